-- resty.grpc: the interface of grpc-client-nginx-module, on ngx.grpc.
local grpc = require "ngx.grpc"
local native = require "ngx.grpc.client"

local setmetatable, type, tostring, pairs = setmetatable, type, tostring, pairs
local format = string.format

local _M = {
    PROTO_TYPE_FILE = 1,
    PROTO_TYPE_STR = 2,

    INT64_AS_NUMBER = 1,
    INT64_AS_STRING = 2,
    INT64_AS_HEXSTRING = 3,
}

local modes = {"int64_as_number", "int64_as_string", "int64_as_hexstring"}

local registry

-- How grpc-go spells the codes in its errors.
local spelled = {
    [1] = "Canceled", [2] = "Unknown", [3] = "InvalidArgument", [4] = "DeadlineExceeded", [5] = "NotFound", [6] = "AlreadyExists",
    [7] = "PermissionDenied", [8] = "ResourceExhausted", [9] = "FailedPrecondition", [10] = "Aborted", [11] = "OutOfRange",
    [12] = "Unimplemented", [13] = "Internal", [14] = "Unavailable", [15] = "DataLoss", [16] = "Unauthenticated",
}

local function rpc_error(code, message)
    return format("rpc error: code = %s desc = %s", spelled[code] or "Code(" .. tostring(code) .. ")", message or "")
end

function _M.load(def, proto_type)
    registry = registry or grpc.registry()
    local ok, err
    if proto_type == nil or proto_type == _M.PROTO_TYPE_FILE then
        ok, err = registry:load(def)
    else
        ok, err = registry:load_text(def, "dummy.proto")
    end
    if not ok then
        return nil, "failed to load protobuf: " .. err
    end
    return true
end

-- Forgets all that was loaded.
function _M.unload()
    registry = nil
end

local Conn = {}
Conn.__index = Conn

function _M.connect(target, opt)
    opt = opt or {}
    if (opt.client_cert == nil) ~= (opt.client_key == nil) then
        return nil, format("client_cert and client_key must both be present or both absent: cert: %s key: %s",
                           opt.client_cert or "", opt.client_key or "")
    end
    local o = {max_receive_size = opt.max_recv_msg_size}
    if opt.insecure == false then
        o.tls = true
        o.verify = opt.tls_verify ~= false
        o.client_cert, o.client_key = opt.client_cert, opt.client_key
        o.trusted_ca = opt.trusted_ca
    end
    local raw, err = native.channel(target, o)
    if not raw then
        return nil, err
    end
    return setmetatable({raw = raw}, Conn)
end

function Conn:close()
    self.raw = nil
end

local function method_of(self, service, method)
    if not registry then
        return nil, "proto files not loaded"
    end
    if not self.raw then
        return nil, "closed"
    end
    local methods = registry.services[service]
    if not methods then
        return nil, format("service %s not found", service)
    end
    if not methods[method] then
        return nil, format("method %s not found", method)
    end
    return registry:method(service .. "/" .. method)
end

local function seconds(opt)
    local t = opt.timeout
    return (t and t > 0 and t or 60000) / 1000
end

local function decode(m, opt, bytes)
    m.state:option(modes[opt.int64_encoding or 1] or modes[1])
    local msg, err = m.decode(bytes)
    m.state:option(modes[1])
    if not msg then
        return nil, "failed to decode: " .. err
    end
    return msg
end

local function prepare(self, service, method, req, opt)
    local m, err = method_of(self, service, method)
    if not m then
        return nil, err
    end
    m.state = registry.state
    local bytes, err = m.encode(req)
    if not bytes then
        return nil, "failed to encode: " .. err
    end
    return m, bytes
end

function Conn:call(service, method, req, opt)
    opt = opt or {}
    local m, bytes = prepare(self, service, method, req, opt)
    if not m then
        return nil, bytes
    end
    local reply, code, message = native.call(self.raw, m.path, bytes, seconds(opt), opt.metadata)
    if not reply then
        return nil, "failed to call: " .. rpc_error(code, message)
    end
    return decode(m, opt, reply)
end

local function new_stream(class, last)
    return function(self, service, method, req, opt)
        opt = opt or {}
        local m, bytes = prepare(self, service, method, req, opt)
        if not m then
            return nil, bytes
        end
        local raw, code, message = native.open(self.raw, m.path, seconds(opt), opt.metadata)
        if not raw then
            return nil, "failed to new stream: " .. rpc_error(code, message)
        end
        local ok, err = raw:send(bytes, last)
        if not ok and err ~= "EOF" then
            raw:close()
            return nil, "failed to new stream: " .. err
        end
        return setmetatable({raw = raw, m = m, opt = opt}, class)
    end
end

local function close(self)
    if self.raw then
        self.raw:close()
        self.raw = nil
    end
end

local function recv(self)
    if not self.raw then
        return nil, "closed"
    end
    local bytes, code, message = self.raw:recv()
    if not bytes then
        return nil, "failed to recv: " .. (code and rpc_error(code, message) or "EOF")
    end
    return decode(self.m, self.opt, bytes)
end

local function send(self, req)
    if not self.raw then
        return nil, "closed"
    end
    local bytes, err = self.m.encode(req)
    if not bytes then
        return nil, "failed to encode: " .. err
    end
    local ok, err = self.raw:send(bytes)
    if not ok then
        return nil, "failed to send: " .. err
    end
    return true
end

local function close_send(self)
    if not self.raw then
        return nil, "closed"
    end
    local ok, err = self.raw:close_send()
    if not ok then
        return nil, "failed to close send: " .. err
    end
    return true
end

local function recv_close(self)
    if not self.raw then
        return nil, "closed"
    end
    self.raw:close_send()
    local res, err = recv(self)
    if not res then
        return nil, err
    end
    close(self)
    return res
end

local ServerStream = {close = close, recv = recv}
local ClientStream = {close = close, send = send, recv_close = recv_close}
local BidirectionalStream = {close = close, send = send, close_send = close_send, recv = recv}
ServerStream.__index, ClientStream.__index, BidirectionalStream.__index = ServerStream, ClientStream, BidirectionalStream

Conn.new_server_stream = new_stream(ServerStream, true)
Conn.new_client_stream = new_stream(ClientStream)
Conn.new_bidirectional_stream = new_stream(BidirectionalStream)

return _M
