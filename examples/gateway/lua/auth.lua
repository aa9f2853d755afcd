-- Who may pass: a token of the Authorization field, signed with JWT_SECRET.
local jwt = require "jwt"

local secret = os.getenv("JWT_SECRET") or "only for trying"

local M = {}

local function refuse(status, why)
    ngx.log(ngx.WARN, "refused: ", why)
    if status == 401 then
        ngx.header["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    end
    return ngx.exit(status)
end

-- check ends the request unless it comes with a good token, which has to have the scope when one is named.
function M.check(scope)
    local token = (ngx.var.http_authorization or ""):match("^[Bb]earer%s+(%S+)$")
    if not token then
        return refuse(401, "no token")
    end
    local claims, err = jwt.verify(token, secret)
    if not claims then
        return refuse(401, err)
    end
    if scope and not (" " .. (claims.scope or "") .. " "):find(" " .. scope .. " ", 1, true) then
        return refuse(403, "no scope " .. scope)
    end
    ngx.var.consumer = claims.sub or ""
end

return M
