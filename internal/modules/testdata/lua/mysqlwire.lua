-- mysqlwire speaks as much of MySQL's protocol over a cosocket as the tests want: logging in (mysql_native_password), TLS
-- from the middle of the greeting on, and queries in text.
local bit = require "bit"
local byte, char, sub, find = string.byte, string.char, string.sub, string.find

local M = {}

local LONG_PASSWORD, WITH_DB, PROTOCOL_41, SSL, TRANSACTIONS, SECURE, PLUGIN_AUTH = 0x1, 0x8, 0x200, 0x800, 0x2000, 0x8000, 0x80000
local UTF8 = char(33)

local function le(n, size)
    local b = {}
    for i = 1, size do
        b[i] = char(n % 256)
        n = math.floor(n / 256)
    end
    return table.concat(b)
end

local function number(s, at, size)
    local n = 0
    for i = at + size - 1, at, -1 do n = n * 256 + byte(s, i) end
    return n
end

-- lenenc reads a number of variable length at a place; nil is NULL.
local function lenenc(s, at)
    local first = byte(s, at)
    if first < 251 then return first, at + 1 end
    if first == 251 then return nil, at + 1 end
    local size = ({[252] = 2, [253] = 3, [254] = 8})[first]
    return number(s, at + 1, size), at + 1 + size
end

-- fault takes the text out of an error, and its number; "#", the state's five letters and the text follow that.
local function fault(body)
    return nil, sub(body, byte(body, 4) == 35 and 10 or 4), number(body, 2, 2)
end

local function recv(self)
    local head, err = self.sock:receive(4)
    if not head then return nil, err end
    self.seq = byte(head, 4) + 1
    return self.sock:receive(number(head, 1, 3))
end

local function send(self, body)
    local n, err = self.sock:send {le(#body, 3), {char(self.seq % 256)}, body} -- tables within tables may be sent
    self.seq = self.seq + 1
    return n, err
end

local function token(password, scramble)
    local one = ngx.sha1_bin(password)
    local two = ngx.sha1_bin(scramble .. ngx.sha1_bin(one))
    local b = {}
    for i = 1, 20 do b[i] = char(bit.bxor(byte(one, i), byte(two, i))) end
    return table.concat(b)
end

-- connect takes path, or host and port; user, password, database; ssl, verify, name; pool. It gives a connection, which is
-- logged in already when it comes from the pool.
function M.connect(o)
    local self = setmetatable({sock = ngx.socket.tcp(), seq = 0}, {__index = M})
    self.sock:settimeouts(5000, 5000, 20000)
    local ok, err
    if o.path then
        ok, err = self.sock:connect("unix:" .. o.path, {pool = o.pool})
    else
        ok, err = self.sock:connect(o.host, o.port, {pool = o.pool})
    end
    if not ok then return nil, err end
    if self.sock:getreusedtimes() > 0 then return self end

    local hello, err = recv(self)
    if not hello then return nil, err end
    if byte(hello) == 255 then return nil, sub(hello, 4), number(hello, 2, 2) end
    local nul = find(hello, "\0", 2, true)
    self.version = sub(hello, 2, nul - 1)
    local scramble = sub(hello, nul + 5, nul + 12) .. sub(hello, nul + 32, nul + 43)
    local offers = number(hello, nul + 14, 2)

    local caps = LONG_PASSWORD + WITH_DB + PROTOCOL_41 + TRANSACTIONS + SECURE + PLUGIN_AUTH
    if o.ssl then
        if bit.band(offers, SSL) == 0 then return nil, "no TLS there" end
        caps = caps + SSL
    end
    local start = le(caps, 4) .. le(2 ^ 24 - 1, 4) .. UTF8 .. ("\0"):rep(23)
    if o.ssl then
        assert(send(self, start))
        ok, err = self.sock:sslhandshake(false, o.name, o.verify)
        if not ok then return nil, err end
    end
    assert(send(self, start .. o.user .. "\0" .. char(20) .. token(o.password, scramble) .. o.database .. "\0mysql_native_password\0"))
    local answer, err = recv(self)
    if not answer then return nil, err end
    if byte(answer) == 255 then return fault(answer) end
    return self
end

-- query gives the rows, or the number of rows changed; nil, text and number after an error.
function M:query(sql)
    self.seq = 0
    local ok, err = send(self, char(3) .. sql)
    if not ok then return nil, err end
    local body, err = recv(self)
    if not body then return nil, err end
    if byte(body) == 0 then return (lenenc(body, 2)) end
    if byte(body) == 255 then return fault(body) end
    local columns = lenenc(body, 1)
    for _ = 1, columns + 1 do recv(self) end -- with the end of the columns
    local rows = {}
    while true do
        body, err = recv(self)
        if not body then return nil, err end
        if byte(body) == 255 then return fault(body) end
        if byte(body) == 254 and #body < 9 then return rows end
        local row, at = {}, 1
        for i = 1, columns do
            local n
            n, at = lenenc(body, at)
            if n then
                row[i] = sub(body, at, at + n - 1)
                at = at + n
            end
        end
        rows[#rows + 1] = row
    end
end

return M
