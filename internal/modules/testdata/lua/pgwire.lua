-- pgwire speaks as much of PostgreSQL's protocol over a cosocket as the tests want: the request for TLS, logging in (MD5),
-- simple queries and notices of other sessions.
local byte, char, sub, find = string.byte, string.char, string.sub, string.find

local M = {}

local function be(n, size)
    local b = {}
    for i = size, 1, -1 do
        b[i] = char(n % 256)
        n = math.floor(n / 256)
    end
    return table.concat(b)
end

local function number(s, at, size)
    local n = 0
    for i = at, at + size - 1 do n = n * 256 + byte(s, i) end
    return n
end

local function recv(self)
    local head, err = self.sock:receive(5)
    if not head then return nil, err end
    local n = number(head, 2, 4) - 4
    if n == 0 then return sub(head, 1, 1), "" end
    local body, err = self.sock:receive(n)
    if not body then return nil, err end
    return sub(head, 1, 1), body
end

local function send(self, kind, body)
    return self.sock:send {kind, be(#body + 4, 4), body}
end

-- fault takes the text out of an error: fields, each a letter and what it says.
local function fault(body)
    local _, _, text = find("\0" .. body, "%zM([^%z]*)")
    return nil, text
end

-- connect takes host and port, or path; user, password, database; ssl, verify, name; pool.
function M.connect(o)
    local self = setmetatable({sock = ngx.socket.tcp()}, {__index = M})
    self.sock:settimeouts(5000, 5000, 20000)
    local ok, err
    if o.path then
        ok, err = self.sock:connect("unix:" .. o.path, {pool = o.pool})
    else
        ok, err = self.sock:connect(o.host, o.port, {pool = o.pool})
    end
    if not ok then return nil, err end
    if self.sock:getreusedtimes() > 0 then return self end

    if o.ssl then
        assert(self.sock:send {be(8, 4), be(80877103, 4)})
        local answer, err = self.sock:receive(1)
        if answer ~= "S" then return nil, err or "no TLS there" end
        ok, err = self.sock:sslhandshake(false, o.name, o.verify)
        if not ok then return nil, err end
    end
    assert(send(self, "", be(196608, 4) .. "user\0" .. o.user .. "\0database\0" .. o.database .. "\0\0"))
    while true do
        local kind, body = recv(self)
        if not kind then return nil, body end
        if kind == "E" then return fault(body) end
        if kind == "Z" then return self end
        if kind == "R" and number(body, 1, 4) == 5 then
            send(self, "p", "md5" .. ngx.md5(ngx.md5(o.password .. o.user) .. sub(body, 5, 8)) .. "\0")
        end
    end
end

-- query gives the rows and what the server calls the command; nil and text after an error.
function M:query(sql)
    local ok, err = send(self, "Q", sql .. "\0")
    if not ok then return nil, err end
    local rows, command, failed = {}, nil, nil
    while true do
        local kind, body = recv(self)
        if not kind then return nil, body end
        if kind == "D" then
            local row, at = {}, 3
            for i = 1, number(body, 1, 2) do
                local n = number(body, at, 4)
                at = at + 4
                if n ~= 2 ^ 32 - 1 then
                    row[i] = sub(body, at, at + n - 1)
                    at = at + n
                end
            end
            rows[#rows + 1] = row
        elseif kind == "C" then
            command = sub(body, 1, -2)
        elseif kind == "E" then
            failed = body
        elseif kind == "Z" then
            if failed then return fault(failed) end
            return rows, command
        end
    end
end

-- notice waits for one of another session and gives channel and payload.
function M:notice()
    while true do
        local kind, body = recv(self)
        if not kind then return nil, body end
        if kind == "A" then
            local _, _, channel, payload = find(body, "^....([^%z]*)%z([^%z]*)%z")
            return channel, payload
        end
    end
end

return M
