-- JSON web tokens with HS256 (RFC 7519, RFC 7518 3.2). The digest is libcrypto's.
local ffi = require "ffi"
local cjson = require "cjson.safe"
local b64 = require "ngx.base64"

ffi.cdef [[
const void *EVP_sha256(void);
unsigned char *HMAC(const void *md, const void *key, int key_len, const unsigned char *data, size_t n,
                    unsigned char *out, unsigned int *out_len);
]]

local C = ffi.C
local out, out_len = ffi.new("unsigned char[32]"), ffi.new("unsigned int[1]")

local M = {}

local function sign(text, secret)
    C.HMAC(C.EVP_sha256(), secret, #secret, text, #text, out, out_len)
    return ffi.string(out, out_len[0])
end

-- same compares in a time that does not tell where two strings differ.
local function same(a, b)
    if #a ~= #b then return false end
    local diff = 0
    for i = 1, #a do
        diff = bit.bor(diff, bit.bxor(a:byte(i), b:byte(i)))
    end
    return diff == 0
end

-- verify returns the claims of a token, or nil and what is wrong with it.
function M.verify(token, secret)
    local head, body, signature = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
    if not head then
        return nil, "malformed token"
    end
    local header = cjson.decode(b64.decode_base64url(head) or "")
    if type(header) ~= "table" or header.alg ~= "HS256" then
        return nil, "not signed with HS256"
    end
    if not same(sign(head .. "." .. body, secret), b64.decode_base64url(signature) or "") then
        return nil, "wrong signature"
    end
    local claims = cjson.decode(b64.decode_base64url(body) or "")
    if type(claims) ~= "table" then
        return nil, "malformed claims"
    end
    if type(claims.exp) ~= "number" or claims.exp < ngx.time() then
        return nil, "expired"
    end
    return claims
end

-- make returns a token.
function M.make(claims, secret)
    local text = b64.encode_base64url('{"alg":"HS256","typ":"JWT"}') .. "." .. b64.encode_base64url(cjson.encode(claims))
    return text .. "." .. b64.encode_base64url(sign(text, secret))
end

return M
