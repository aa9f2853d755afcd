-- Makes drivers of handlers: functions of an encoded request that return an encoded reply, or nil, code, message, details.
local native = require "ngx.grpc.call"
local codec = require "pb.codec"

local setmetatable, type, tonumber, tostring, require = setmetatable, type, tonumber, tostring, require

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

-- details: an encoded google.rpc.Status, or a list of messages with their types in ["@type"].
local function encode_details(st, code, message, details)
    if details == nil or type(details) == "string" then
        return details
    end
    local list = {}
    for i = 1, #details do
        local d = details[i]
        local name = d["@type"]:match "[^/]*$"
        local encode, err = st:encoder(name)
        local value = encode and encode(d)
        if not value then
            error("status details: " .. tostring(err or name), 3)
        end
        list[i] = {type_url = "type.googleapis.com/" .. name, value = value}
    end
    local encode = st:encoder "google.rpc.Status"
    return encode{code = code, message = message, details = list}
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

local Call = {}

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

return function(service, method, input, output, client_stream, server_stream, int64, id, set, handler)
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
