package socket

import "moongate/internal/lua"

// luaFuncs need Lua around them: what gives out a function, and what is best said in Lua. Their helpers are named in
// ngx.socket while the VM is made, and hidden by the last one.
var luaFuncs = concat(
	[]*lua.Func{
		{Name: "ngx.socket._pattern", Doc: "Part of receiveuntil.", Run: newPattern},
		{Name: "ngx.socket._step", Sig: "p:@sockreader", Tier: lua.Async, Doc: "Part of receiveuntil.", Run: step},
		{Name: "ngx.socket._handshake", Tier: lua.Async, Doc: "Part of sslhandshake.", Run: handshake},
		{Name: "ngx.socket._session", Doc: "Part of getsslsession.", Run: getSession},
		{Name: "ngx.socket._free", Doc: "Part of sslhandshake.", Run: freeSession},
		{Name: "@tcpsock:sslhandshake", Tier: lua.Lua, Source: sslSource,
			Doc: "Speaks TLS from here on; resumes a session, and returns one unless given false."},
		{Name: "ngx.socket._cert", Doc: "Part of setclientcert.", Run: setClientCert},
		{Name: "ngx.socket._store", Doc: "Part of settrustedstore.", Run: setTrustedStore},
		{Name: "@tcpsock:setclientcert", Tier: lua.Lua, Source: certSource, Doc: "Sets the certificate and key that sslhandshake shows the server, as ngx.ssl parses them; nil for none."},
		{Name: "@tcpsock:settrustedstore", Tier: lua.Lua, Source: storeSource, Doc: "Makes sslhandshake trust the certificates of an X509_STORE of OpenSSL in place of lua_ssl_trusted_certificate."},
		{Name: "@tcpsock:getsslsession", Tier: lua.Lua, Source: sessionSource, Doc: "Gives the TLS session, to be resumed by another socket."},
	},
	untilFuncs("tcpsock", "reqsock", "rawsock"),
	[]*lua.Func{{Name: "ngx.socket.connect", Tier: lua.Lua, In: lua.Yieldable, Source: connectSource,
		Doc: "Makes a TCP socket and connects it."}},
)

func untilFuncs(classes ...string) (out []*lua.Func) {
	for _, class := range classes {
		out = append(out, &lua.Func{Name: "@" + class + ":receiveuntil", Tier: lua.Lua, Source: untilSource,
			Doc: "Gives an iterator over what comes before each occurrence of a string."})
	}
	return out
}

// An error of receiveuntil is raised by finish, which has no frame of its own any more then.
const untilSource = `
local make, step, error = ngx.socket._pattern, ngx.socket._step, error
local function finish(sock, p, err)
	if p == false then
		return error(err, 1) -- both calls are tail calls: the frame below is the caller
	end
	if not p then
		return nil, err
	end
	p.sock = sock -- lives as long as the iterator
	return function(...)
		return step(p, ...)
	end
end
return function(...)
	return finish((...), make(...))
end
`

const connectSource = `
local socket = ngx.socket
local tcp = socket.tcp
for _, name in ipairs { "_pattern", "_step", "_handshake", "_session", "_free", "_cert", "_store" } do
	socket[name] = nil
end
return function(...)
	local sock = tcp()
	local ok, err = sock:connect(...)
	if ok then
		return sock
	end
	return nil, err
end
`

// A session is an opaque pointer in Lua, as OpenSSL's are: its number.
const sslSource = `
local ffi
local require = require
local handshake, free, error, type, select, tonumber = ngx.socket._handshake, ngx.socket._free, error, type, select, tonumber
local function release(p)
	free(tonumber(ffi.cast("uintptr_t", p)))
end
local function finish(a, err)
	if type(a) == "number" then
		ffi = ffi or require "ffi"
		return ffi.gc(ffi.cast("void *", a), release)
	end
	if a == false then
		return error(err, 1) -- both calls are tail calls: the frame below is the caller
	end
	if a == nil then
		return nil, err
	end
	return a
end
return function(sock, session, ...)
	local n = select("#", ...)
	if not sock or n > 3 then
		return error("ngx.socket sslhandshake: expecting 1 ~ 5 arguments (including the object), but seen " .. (sock and 2 + n or 0), 2)
	end
	if type(session) == "cdata" then
		ffi = ffi or require "ffi"
		session = tonumber(ffi.cast("uintptr_t", session))
	elseif session ~= false then
		session = nil
	end
	return finish(handshake(sock, session, ...))
end
`

const sessionSource = `
local ffi
local require = require
local get, free, error, type, tonumber = ngx.socket._session, ngx.socket._free, error, type, tonumber
local function release(p)
	free(tonumber(ffi.cast("uintptr_t", p)))
end
return function(sock)
	if not sock then
		return error("ngx.socket getfd: expecting the cosocket object, but seen none", 2)
	end
	local a, err = get(sock)
	if type(a) == "number" then
		ffi = ffi or require "ffi"
		return ffi.gc(ffi.cast("void *", a), release)
	end
	return nil, err
end
`

// Certificates and keys are pointers to objects of OpenSSL, or of ours where there is no OpenSSL.
const certSource = `
local require, type, tonumber = require, type, tonumber
local set = ngx.socket._cert
return function(sock, cert, key)
	if not cert and not key then
		return set(sock, 0, 0)
	end
	if not cert or not key then
		return nil, "client certificate must be supplied with corresponding private key"
	end
	if type(cert) ~= "cdata" then
		return nil, "bad cert arg: cdata expected, got " .. type(cert)
	end
	if type(key) ~= "cdata" then
		return nil, "bad pkey arg: cdata expected, got " .. type(key)
	end
	local cast = require("ffi").cast
	return set(sock, tonumber(cast("uintptr_t", cert)), tonumber(cast("uintptr_t", key)))
end
`

const storeSource = `
local require, type, tonumber = require, type, tonumber
local set = ngx.socket._store
return function(sock, store)
	if store == nil then
		return set(sock, 0)
	end
	if type(store) ~= "cdata" then
		return nil, "bad store arg: cdata expected, got " .. type(store)
	end
	return set(sock, tonumber(require("ffi").cast("uintptr_t", store)))
end
`
