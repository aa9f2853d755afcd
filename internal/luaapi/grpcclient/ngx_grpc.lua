-- ngx.grpc: gRPC clients. Channels, calls with one message each way, streams, descriptors.
local native = require "ngx.grpc.client"
local codec = require "pb.codec"

local setmetatable, type, tostring, error, ipairs, pairs = setmetatable, type, tostring, error, ipairs, pairs
local call_unary, open_call = native.call, native.open

local _M = {
    OK = 0, CANCELLED = 1, UNKNOWN = 2, INVALID_ARGUMENT = 3, DEADLINE_EXCEEDED = 4, NOT_FOUND = 5, ALREADY_EXISTS = 6,
    PERMISSION_DENIED = 7, RESOURCE_EXHAUSTED = 8, FAILED_PRECONDITION = 9, ABORTED = 10, OUT_OF_RANGE = 11,
    UNIMPLEMENTED = 12, INTERNAL = 13, UNAVAILABLE = 14, DATA_LOSS = 15, UNAUTHENTICATED = 16,
}

local names = {}
for name, code in pairs(_M) do
    names[code] = name
end

function _M.code_name(code)
    return names[code] or tostring(code)
end

-- ---- errors ----

local Error = {}
Error.__index = Error

function Error:__tostring()
    if self.message == "" then
        return self.name
    end
    return self.name .. ": " .. self.message
end

local Registry = {}
Registry.__index = Registry

local function failure(registry, code, message, details)
    local e = setmetatable({code = code, name = _M.code_name(code), message = message or ""}, Error)
    if details then
        e.details_bin = details
        e.details = registry:details(details)
    end
    return e
end

-- ---- descriptors ----

-- A registry knows services and the codecs of their messages. "int64" may be "string".
function _M.registry(options)
    local state = codec.new()
    if options and options.int64 == "string" then
        state:option "int64_as_string"
    elseif options and options.int64 == "hexstring" then
        state:option "int64_as_hexstring"
    end
    return setmetatable({state = state, services = {}, methods = {}, encoders = {}, decoders = {}}, Registry)
end

function Registry:add(set, services)
    if not set then
        return nil, services
    end
    local ok = self.state:load(set)
    if not ok then
        return nil, "invalid descriptor set"
    end
    for name, methods in pairs(services) do
        self.services[name] = methods
    end
    self.encoders, self.decoders, self.methods = {}, {}, {}
    return true
end

-- files: a name or a list of names of .proto files; paths: where imports are looked for.
function Registry:load(files, paths)
    if type(files) == "string" then
        files = {files}
    end
    return self:add(native.compile(files, paths))
end

function Registry:load_text(text, name, others)
    local texts = {}
    for n, t in pairs(others or {}) do
        texts[n] = t
    end
    name = name or "text.proto"
    texts[name] = text
    return self:add(native.compile({name}, nil, texts))
end

function Registry:load_set(set)
    return self:add(set, select(2, native.services(set)))
end

function Registry:encoder(name)
    local f = self.encoders[name]
    if not f then
        local err
        f, err = self.state:encoder(name)
        if not f then
            return nil, err
        end
        self.encoders[name] = f
    end
    return f
end

function Registry:decoder(name)
    local f = self.decoders[name]
    if not f then
        local err
        f, err = self.state:decoder(name)
        if not f then
            return nil, err
        end
        self.decoders[name] = f
    end
    return f
end

-- What "pkg.Service/Method" is: path, types, codecs.
function Registry:method(name)
    local m = self.methods[name]
    if m then
        return m
    end
    local service, method = name:match "^/?([^/]+)/([^/]+)$"
    local methods = self.services[service]
    local info = methods and methods[method]
    if not info then
        return nil, not service and "a method is written service/method"
            or (methods and "method " .. method .. " not found in service " .. service or "service " .. service .. " not found")
    end
    m = {
        path = "/" .. service .. "/" .. method, client_stream = info.client_stream, server_stream = info.server_stream,
        encode = assert(self:encoder(info.input)), decode = assert(self:decoder(info.output)),
    }
    self.methods[name] = m
    return m
end

-- The messages of an encoded google.rpc.Status whose types are known.
function Registry:details(bytes)
    if not self.status then
        local st = codec.new()
        st:load((assert(native.compile{"google/rpc/status.proto", "google/rpc/error_details.proto"})))
        self.standard = st
        self.status = st:decoder "google.rpc.Status"
    end
    local status = self.status(bytes)
    local list = {}
    for i, any in ipairs(status and status.details or {}) do
        local name = any.type_url:match "[^/]*$"
        local decode = self:decoder(name) or self.standard:decoder(name)
        local msg = decode and decode(any.value) or {value = any.value}
        msg["@type"] = name
        list[i] = msg
    end
    return list
end

-- The registry of load, load_text and load_set below, and of channels without one of their own.
local default = _M.registry()
_M.default = default

function _M.load(...) return default:load(...) end
function _M.load_text(...) return default:load_text(...) end
function _M.load_set(...) return default:load_set(...) end

-- ---- streams ----

local Stream = {}
Stream.__index = Stream

function Stream:send(msg, last)
    local bytes, err = self.encode(msg)
    if not bytes then
        return nil, failure(self.registry, 13, "invalid request message: " .. err)
    end
    local ok, err = self.raw:send(bytes, last)
    if not ok then
        return nil, err
    end
    return true
end

-- The next message; nil at the end; nil and an error when the call has failed.
function Stream:recv()
    local bytes, code, message, details = self.raw:recv()
    if bytes then
        local msg, err = self.decode(bytes)
        if not msg then
            self.raw:close()
            return nil, failure(self.registry, 13, "invalid response message: " .. err)
        end
        return msg
    end
    if code then
        self.err = failure(self.registry, code, message, details)
        return nil, self.err
    end
    self.ended = true
end

function Stream:messages()
    return Stream.recv, self
end

-- Ends the requests and gives the one response of a client stream.
function Stream:close_and_recv()
    local ok, err = self.raw:close_send()
    if not ok and err ~= "EOF" then
        return nil, failure(self.registry, 14, err)
    end
    local msg, err = self:recv()
    if not msg then
        return nil, err or failure(self.registry, 13, "the server sent no response")
    end
    local _, err = self:recv()
    if err then
        return nil, err
    end
    return msg
end

function Stream:close_send() return self.raw:close_send() end
function Stream:header() return self.raw:header() end
function Stream:trailer() return self.raw:trailer() end
function Stream:close() return self.raw:close() end

-- ---- channels ----

local Channel = {}
Channel.__index = Channel

local function merge(a, b)
    if not a or not b then
        return a or b
    end
    local all = {}
    for k, v in pairs(a) do all[k] = v end
    for k, v in pairs(b) do all[k] = v end
    return all
end

-- options: tls (true or a table: server_name, verify, trusted_ca, client_cert, client_key), authority, timeout (seconds, for
-- each call), connect_timeout (seconds, 20 without), metadata, retries, retry_on, retry_delay, max_receive_size, compression, registry,
-- use_local_subchannel_pool (connections of this worker only).
function _M.channel(target, options)
    options = options or {}
    local o = {authority = options.authority, max_receive_size = options.max_receive_size, compression = options.compression,
        connect_timeout = options.connect_timeout, use_local_subchannel_pool = options.use_local_subchannel_pool}
    if options.tls then
        o.tls = true
        if type(options.tls) == "table" then
            for k, v in pairs(options.tls) do
                o[k] = v
            end
        end
    end
    local raw, err = native.channel(target, o)
    if not raw then
        return nil, err
    end
    local retry
    if options.retries then
        retry = {retries = options.retries, retry_on = options.retry_on, retry_delay = options.retry_delay}
    end
    return setmetatable({
        raw = raw, registry = options.registry or default, timeout = options.timeout or 60, metadata = options.metadata, retry = retry,
    }, Channel)
end

function Channel:method(name)
    local m, err = self.registry:method(name)
    if not m then
        return nil, failure(self.registry, 12, err)
    end
    return m
end

-- Calls a method with one request and one response: the response, or nil and an error. options: timeout, metadata, retries,
-- retry_on, retry_delay; with info a third value has header and trailer.
function Channel:call(name, request, options)
    local m, err = self:method(name)
    if not m then
        return nil, err
    end
    local bytes, err = m.encode(request)
    if not bytes then
        return nil, failure(self.registry, 13, "invalid request message: " .. err)
    end
    local timeout, metadata, extra = self.timeout, self.metadata, self.retry
    if options then
        timeout = options.timeout or timeout
        metadata = merge(metadata, options.metadata)
        if options.retries or options.info then
            extra = merge(extra, options)
            extra.metadata = nil
        end
    end
    local reply, code, message, details, header, trailer = call_unary(self.raw, m.path, bytes, timeout, metadata, extra)
    if not reply then
        return nil, failure(self.registry, code, message, details)
    end
    local msg, err = m.decode(reply)
    if not msg then
        return nil, failure(self.registry, 13, "invalid response message: " .. err)
    end
    if header then
        return msg, nil, {header = header, trailer = trailer}
    end
    return msg
end

-- Begins a call of any kind; with a request that one is sent and, unless the method takes a stream, the only one.
function Channel:stream(name, request, options)
    local m, err = self:method(name)
    if not m then
        return nil, err
    end
    options = options or {}
    local raw, code, message = open_call(self.raw, m.path, options.timeout or self.timeout, merge(self.metadata, options.metadata), options.compression and options)
    if not raw then
        return nil, failure(self.registry, code, message)
    end
    local s = setmetatable({raw = raw, encode = m.encode, decode = m.decode, registry = self.registry}, Stream)
    if request then
        local ok, err = s:send(request, not m.client_stream)
        if not ok and err ~= "EOF" then
            raw:close()
            return nil, type(err) == "table" and err or failure(self.registry, 14, err)
        end
    end
    return s
end

-- A client of one service: its methods are functions of it, client:SayHello(request, options). Methods with streams give
-- the stream.
function Channel:client(service)
    local methods = self.registry.services[service]
    if not methods then
        return nil, failure(self.registry, 12, "service " .. service .. " not found")
    end
    local client = {}
    for name, m in pairs(methods) do
        local full = service .. "/" .. name
        if m.client_stream then
            client[name] = function(_, options) return self:stream(full, nil, options) end
        elseif m.server_stream then
            client[name] = function(_, request, options) return self:stream(full, request, options) end
        else
            client[name] = function(_, request, options) return self:call(full, request, options) end
        end
    end
    return client
end

-- Questions to a version of the server's reflection: a function that gives the answer, or nil and an error; and the stream.
local function reflection(ch, version)
    local r = _M.registry()
    assert(r:load("grpc/reflection/" .. version .. "/reflection.proto"))
    ch = setmetatable({raw = ch.raw, registry = r, timeout = ch.timeout, metadata = ch.metadata}, Channel)
    local s, err = ch:stream("grpc.reflection." .. version .. ".ServerReflection/ServerReflectionInfo")
    if not s then
        return nil, err
    end
    return function(question)
        local ok, err = s:send(question)
        if not ok then
            local _, why = s:recv()
            return nil, why or err
        end
        local answer, err = s:recv()
        if not answer then
            return nil, err or failure(r, 13, "the server ended the reflection stream")
        end
        local e = answer.error_response
        if e then
            return nil, failure(r, e.error_code, e.error_message)
        end
        return answer
    end, s
end

-- The files of services, or of all services; and the names of those.
local function files_of(ask, wanted)
    if not wanted then
        local answer, err = ask{list_services = "*"}
        if not answer then
            return nil, err
        end
        wanted = {}
        for _, x in ipairs(answer.list_services_response.service) do
            wanted[#wanted + 1] = x.name
        end
    elseif type(wanted) == "string" then
        wanted = {wanted}
    end

    local files, seen = {}, {}
    local function take(answer)
        for _, f in ipairs(answer.file_descriptor_response.file_descriptor_proto) do
            if not seen[f] then
                seen[f] = true
                files[#files + 1] = f
            end
        end
    end
    for _, name in ipairs(wanted) do
        local answer, err = ask{file_containing_symbol = name}
        if not answer then
            return nil, err
        end
        take(answer)
    end
    -- A server need not send what a file imports along with it. What it does not have may be known here.
    local asked, more = {}, true
    while more do
        more = false
        for _, name in ipairs(native.missing(files)) do
            if not asked[name] then
                asked[name], more = true, true
                local answer = ask{file_by_filename = name}
                if answer then
                    take(answer)
                end
            end
        end
    end
    return files, wanted
end

-- Asks the server for the descriptors of its services, or of those named, and loads them.
function Channel:reflect(wanted)
    local files, names
    for _, version in ipairs{"v1", "v1alpha"} do
        local ask, stream = reflection(self, version)
        if not ask then
            return nil, stream
        end
        files, names = files_of(ask, wanted)
        stream:close()
        if files or names.code ~= _M.UNIMPLEMENTED then
            break
        end
    end
    if not files then
        return nil, names
    end
    local ok, err = self.registry:add(native.join(files))
    if not ok then
        return nil, failure(self.registry, 13, err)
    end
    return names
end

-- ---- health of the services that this server has (grpc_service) ----

function _M.set_health(service, serving)
    return require("ngx.grpc.call").set_health(service, serving)
end

return _M
