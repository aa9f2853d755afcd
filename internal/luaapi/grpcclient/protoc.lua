-- protoc: .proto sources for the pb module, with the interface of lua-protobuf's compiler.
local pb = require "pb"
local codec = require "pb.codec"
local native = require "ngx.grpc.client"

local setmetatable, type, error, ipairs, pairs = setmetatable, type, error, ipairs, pairs

local Parser = {}
Parser.__index = Parser
Parser.__name = "protoc.Parser"
Parser.loaded = {}
Parser.paths = {}
Parser.include_imports = false

function Parser.new()
    return setmetatable({loaded = {}, typemap = {}, paths = {}, texts = {}}, Parser)
end

local descriptors -- a decoder of FileDescriptorSet

local function decode(set)
    if not descriptors then
        local st = codec.new()
        st:option "no_default_values"
        assert(st:load((assert(native.compile{"google/protobuf/descriptor.proto"}))))
        descriptors = st:decoder "google.protobuf.FileDescriptorSet"
    end
    return assert(descriptors(set))
end

-- The directories that imports are looked for in.
function Parser:addpath(path)
    self.paths[#self.paths + 1] = path
end

local function compile(self, names, texts)
    local all = {}
    for n, t in pairs(self.texts or {}) do
        all[n] = t
    end
    for n, t in pairs(texts or {}) do
        all[n] = t
    end
    local set, err = native.compile(names, self.paths, all)
    if not set then
        error(err, 0)
    end
    local files = decode(set).file
    self.loaded = self.loaded or {}
    for _, f in ipairs(files) do
        f.package = f.package or ""
        self.loaded[f.name] = f
    end
    return set, files[#files]
end

local function source_name(name)
    name = name or "<input>"
    return name
end

-- parse gives the FileDescriptorProto of a source as a table, compile the bytes of a set, load puts them into pb.
function Parser:parse(source, name)
    name = source_name(name)
    local _, info = compile(self, {name}, {[name] = source})
    self.loaded[name] = info
    return info
end

function Parser:compile(source, name)
    name = source_name(name)
    local set, info = compile(self, {name}, {[name] = source})
    self.loaded[name] = info
    return set
end

function Parser:load(source, name)
    local set = self:compile(source, name)
    if name then
        self.texts = self.texts or {}
        self.texts[name] = source
    end
    local ok, at = pb.load(set)
    if not ok then
        error("load descriptors fail at " .. at)
    end
    return ok, at
end

function Parser:parsefile(name)
    local _, info = compile(self, {name})
    self.loaded[name] = info
    return info
end

function Parser:compilefile(name)
    local set, info = compile(self, {name})
    self.loaded[name] = info
    return set
end

function Parser:loadfile(name)
    local set = self:compilefile(name)
    local ok, at = pb.load(set)
    if not ok then
        error("load descriptors fail at " .. at)
    end
    return ok, at
end

function Parser:reset()
    self.loaded, self.typemap, self.texts, self.paths = {}, {}, {}, {}
    return self
end

-- The types of google.protobuf come with what imports them: nothing has to be loaded beforehand.
function Parser.reload()
    return true
end

-- Functions of the module may be called with or without it as the first argument.
local default = Parser.new()
local M = {new = Parser.new, reload = Parser.reload, loaded = default.loaded, paths = default.paths}
for _, name in ipairs{"addpath", "parse", "compile", "load", "parsefile", "compilefile", "loadfile", "reset"} do
    M[name] = function(self, ...)
        if self == M then
            return default[name](default, ...)
        end
        if type(self) == "table" then
            return Parser[name](self, ...)
        end
        return default[name](default, self, ...)
    end
end

return M
