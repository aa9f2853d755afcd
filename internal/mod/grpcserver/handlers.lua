-- Makes drivers of handlers: functions of an encoded request that return an encoded reply, or nil, code, message, details.
local native = require "ngx.grpc.call"
local codec = require "pb.codec"

local setmetatable, type, tonumber, tostring, require, pairs = setmetatable, type, tonumber, tostring, require, pairs

local codes = {
    OK = 0, CANCELLED = 1, UNKNOWN = 2, INVALID_ARGUMENT = 3, DEADLINE_EXCEEDED = 4, NOT_FOUND = 5, ALREADY_EXISTS = 6,
    PERMISSION_DENIED = 7, RESOURCE_EXHAUSTED = 8, FAILED_PRECONDITION = 9, ABORTED = 10, OUT_OF_RANGE = 11,
    UNIMPLEMENTED = 12, INTERNAL = 13, UNAVAILABLE = 14, DATA_LOSS = 15, UNAUTHENTICATED = 16,
}

-- One state of the codec for each set of descriptors and way of integers.
local states = {}

local function state_of(id, set, int64)
    local key = tostring(id) .. int64
    local st = states[key]
    if not st then
        st = codec.new()
        assert(st:load(set))
        if int64 == "string" then
            st:option "int64_as_string"
        end
        states[key] = st
    end
    return st
end

-- An Any of a message with its type in ["@type"]: of a type that nobody here knows if its bytes are in value.
local function encode_detail(st, d)
    local url = type(d) == "table" and d["@type"]
    if type(url) ~= "string" then
        return nil, "a message without \"@type\""
    end
    local name = url:match "[^/]*$"
    local encode = st:encoder(name)
    local value, err
    if encode then
        value, err = encode(d)
    elseif type(d.value) == "string" then
        value = d.value
    else
        err = "unknown type"
    end
    if not value then
        return nil, name .. ": " .. tostring(err)
    end
    return {type_url = url == name and "type.googleapis.com/" .. name or url, value = value}
end

-- details: an encoded google.rpc.Status, a list of messages, or one message. One that cannot be encoded is left out: the status itself is
-- what the client has to know.
local function encode_details(st, code, message, details)
    if details == nil or type(details) == "string" then
        return details
    end
    if type(details) ~= "table" or details["@type"] then
        details = {details}
    end
    local list = {}
    for i = 1, #details do
        local any, err = encode_detail(st, details[i])
        if any then
            list[#list + 1] = any
        else
            ngx.log(ngx.ERR, "status details: ", err)
        end
    end
    local encode = st:encoder "google.rpc.Status"
    return encode and encode{code = code, message = message, details = list}
end

local function number_of(code)
    return tonumber(code) or codes[code]
end

-- What a handler has returned for a failure: a code by number or name, or a message only.
local function failure(st, code, message, details)
    local n = number_of(code)
    if not n then
        return nil, 2, tostring(code)
    end
    if n == 0 then
        return nil, 0
    end
    message = message and tostring(message)
    return nil, n, message, encode_details(st, n, message, details)
end

-- Fields that are made at their first use: metadata, service, method, protocol, peer, authority.
local function class(st, encode, decode)
    local methods = {}

    function methods:recv()
        local bytes, code, message = native.recv()
        if not bytes then
            return nil, code, message
        end
        local msg, err = decode(bytes)
        if not msg then
            return native.finish(13, "invalid request message: " .. err)
        end
        return msg
    end

    function methods:messages()
        return methods.recv, self
    end

    function methods:send(msg)
        local bytes, err = encode(msg)
        if not bytes then
            error("invalid reply message: " .. err, 2)
        end
        return native.send(bytes)
    end

    function methods:error(code, message, details)
        local n = number_of(code) or 2
        message = message and tostring(message)
        return native.finish(n, message, encode_details(st, n, message, details))
    end

    -- Answers the call with a message at once.
    function methods:reply(msg)
        local bytes, err = encode(msg)
        if not bytes then
            error("invalid reply message: " .. err, 2)
        end
        native.send(bytes)
        return native.finish(0)
    end

    function methods:set_header(name, value) return native.set_header(name, value) end
    function methods:set_trailer(name, value) return native.set_trailer(name, value) end
    function methods:set_compression(name) return native.set_compression(name) end
    function methods:remaining() return native.remaining() end
    function methods:cancelled() return native.cancelled() end
    function methods:on_cancel(f) return native.on_cancel(f) end

    return {__index = function(self, key)
        local v = methods[key]
        if v ~= nil then
            return v
        end
        if key == "metadata" then
            v = native.metadata()
            self.metadata = v
            return v
        end
        if key == "service" or key == "method" or key == "protocol" or key == "peer" or key == "authority" then
            local info = native.info()
            for k, x in pairs(info) do
                self[k] = x
            end
            return info[key]
        end
    end}
end

-- ---- calls that are passed on ----

local channels = {}

-- tls names what the location says of TLS, most is the size of messages that may come.
local function channel_of(target, tls, most)
    local key = target .. tls .. " " .. most
    local ch = channels[key]
    if not ch then
        local client = require "ngx.grpc.client"
        local scheme, server = target:match "^(%w+)://(.*)$"
        local options = {max_receive_size = most}
        if scheme == "grpcs" then
            options.tls, options.location = true, true
        end
        ch = assert(client.channel(server, options))
        channels[key] = ch
    end
    return ch
end

-- Fields of a server's that are the connection's, as with grpc_pass.
local own_fields = {
    date = true, server = true, ["x-accel-expires"] = true, ["x-accel-redirect"] = true, ["x-accel-limit-rate"] = true,
    ["x-accel-buffering"] = true, ["x-accel-charset"] = true,
}

local function pass_fields(fields, add)
    for name, value in pairs(fields) do
        if own_fields[name] then -- ours are there
        elseif type(value) == "table" then
            for i = 1, #value do add(name, value[i]) end
        else
            add(name, value)
        end
    end
end

-- What passes the messages of one direction through a filter: bytes in, bytes out, or nil for one that is dropped.
local function through(filter, direction, decode, encode)
    if not filter then
        return function(bytes) return bytes end
    end
    return function(bytes, call)
        local msg, err = decode(bytes)
        if not msg then
            return native.finish(13, "invalid " .. direction .. " message: " .. err)
        end
        local changed = filter(msg, direction, call)
        if changed == nil then
            return bytes
        end
        if not changed then
            return nil
        end
        local out, err = encode(changed)
        if not out then
            error("invalid " .. direction .. " message of a filter: " .. err, 0)
        end
        return out
    end
end

-- Of calls that grpc_pass passes on: a function for each call, which is shown the messages of both directions one by one
-- and gives nil to let one pass, false to drop it, or what goes on in its place.
local function observer(st, input, output, filter)
    local encode = {request = assert(st:encoder(input)), response = assert(st:encoder(output))}
    local decode = {request = assert(st:decoder(input)), response = assert(st:decoder(output))}
    local meta = class(st, encode.response, decode.request)
    return function()
        local call = setmetatable({}, meta)
        return function(bytes, direction)
            local msg, err = decode[direction](bytes)
            if not msg then
                return native.finish(13, "invalid " .. direction .. " message: " .. err)
            end
            local changed = filter(msg, direction, call)
            if not changed then
                return changed
            end
            local out, err = encode[direction](changed)
            if not out then
                error("invalid " .. direction .. " message of a filter: " .. err, 0)
            end
            return out
        end
    end
end

local function forwarder(st, service, method, input, output, client_stream, server_stream, filter, target, tls, most)
    local client = require "ngx.grpc.client"
    local path = "/" .. service .. "/" .. method
    local encode_reply = assert(st:encoder(output))
    local meta = class(st, encode_reply, assert(st:decoder(input)))
    local up = through(filter, "request", assert(st:decoder(input)), assert(st:encoder(input)))
    local down = through(filter, "response", assert(st:decoder(output)), encode_reply)

    if not client_stream and not server_stream then
        local options = {info = true}
        return function(bytes)
            local call = setmetatable({}, meta)
            bytes = up(bytes, call)
            if not bytes then
                return nil, 10, "the request was dropped"
            end
            local reply, code, message, details, header, trailer = client.call(channel_of(target, tls, most), path, bytes, native.remaining() or 0, native.metadata(true), options)
            if not reply then
                return nil, code, message, details
            end
            pass_fields(header, native.set_header)
            pass_fields(trailer, native.set_trailer)
            reply = down(reply, call)
            if not reply then
                return nil, 10, "the response was dropped"
            end
            return reply
        end
    end

    return function(first)
        local call = setmetatable({}, meta)
        local raw, code, message = client.open(channel_of(target, tls, most), path, native.remaining() or 0, native.metadata(true))
        if not raw then
            return nil, code, message
        end

        local function requests()
            if first then
                local bytes = up(first, call)
                if bytes then raw:send(bytes) end
            else
                for bytes in native.recv do
                    bytes = up(bytes, call)
                    if bytes and not raw:send(bytes) then
                        return
                    end
                end
            end
            raw:close_send()
        end

        local sender = ngx.thread.spawn(requests)
        local headed
        local function status(bytes, code, message, details)
            if not headed then
                headed = true
                pass_fields(raw:header() or {}, native.set_header)
            end
            if bytes then
                return bytes
            end
            ngx.thread.kill(sender)
            pass_fields(raw:trailer(), native.set_trailer)
            raw:close()
            return nil, code, message, details
        end

        local last
        while true do
            local bytes, code, message, details = status(raw:recv())
            if not bytes then
                if code then
                    return nil, code, message, details
                end
                return last
            end
            bytes = down(bytes, call)
            if bytes and server_stream then
                local sent, why, text = native.send(bytes)
                if not sent then
                    ngx.thread.kill(sender)
                    raw:close()
                    return nil, why, text
                end
            elseif bytes then
                last = bytes
            end
        end
    end
end

return function(service, method, input, output, client_stream, server_stream, int64, id, set, handler, target, tls, most)
    if target == "" then
        return observer(state_of(id, set, int64), input, output, handler)
    end
    if target then
        local filter = type(handler) == "function" and handler or nil
        return forwarder(state_of(id, set, int64), service, method, input, output, client_stream, server_stream, filter, target, tls, most)
    end

    if type(handler) == "string" then
        if handler == "" then
            return nil
        end
        local module = require(handler)
        if type(module) ~= "table" then
            return nil, "the module " .. handler .. " of " .. service .. " is no table"
        end
        handler = module[method]
        if handler == nil then
            return nil
        end
    end

    local st = state_of(id, set, int64)
    local encode, decode = assert(st:encoder(output)), assert(st:decoder(input))
    local meta = class(st, encode, decode)

    local function reply(msg, code, message, details)
        if msg == nil and code ~= nil then
            return failure(st, code, message, details)
        end
        if msg ~= nil and code ~= nil and code ~= 0 and code ~= "OK" then
            return failure(st, code, message, details)
        end
        local bytes, err = encode(msg or {})
        if not bytes then
            error("invalid reply message of " .. service .. "/" .. method .. ": " .. err, 0)
        end
        return bytes
    end

    local function done(result, code, message, details)
        if code ~= nil then
            return failure(st, code, message, details)
        end
    end

    if client_stream then
        local finish = server_stream and done or reply
        return function()
            local call = setmetatable({}, meta)
            return finish(handler(function() return call:recv() end, call))
        end
    end

    local finish = server_stream and done or reply
    return function(bytes)
        local request, err = decode(bytes)
        if not request then
            return nil, 13, "invalid request message: " .. err
        end
        return finish(handler(request, setmetatable({}, meta)))
    end
end
