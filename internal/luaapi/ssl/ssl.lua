-- ngx.ssl: what is best said in Lua. Certificates and keys are pointers to libcrypto's objects, freed by the collector.
local ffi = require "ffi"
local host = package.loaded.moongate_ssl

local cast, gc, tonumber, type = ffi.cast, ffi.gc, tonumber, type
local _M = { version = require("resty.core.base").version }
for k, v in pairs(host) do
  if type(v) == "function" and k:sub(1, 1) ~= "_" then
    _M[k] = v
  end
end

ffi.cdef [[
void ngx_http_lua_ffi_free_cert(void *cdata);
void ngx_http_lua_ffi_free_priv_key(void *cdata);
]]
local free_cert, free_key = ffi.C.ngx_http_lua_ffi_free_cert, ffi.C.ngx_http_lua_ffi_free_priv_key

local function parser(f, free)
  return function(text)
    local p, err = f(text)
    if not p then
      return nil, err
    end
    return gc(cast("void *", p), free)
  end
end

_M.parse_pem_cert = parser(host._pem_cert, free_cert)
_M.parse_der_cert = parser(host._der_cert, free_cert)
_M.parse_pem_priv_key = parser(host._pem_key, free_key)
_M.parse_der_priv_key = parser(host._der_key, free_key)

-- The address behind a pointer; 0 for none. What is no pointer raises FFI's error, as in a call by FFI.
local slot = ffi.new("void *[1]")
local function address(p)
  if p == nil then
    return 0
  end
  slot[0] = p
  return tonumber(cast("uintptr_t", slot[0]))
end

local set_cert, set_key, verify = host._set_cert, host._set_key, host._verify_client

function _M.set_cert(cert)
  return set_cert(address(cert))
end

function _M.set_priv_key(key)
  return set_key(address(key))
end

function _M.verify_client(client_certs, depth, trusted_certs)
  return verify(address(client_certs), depth, address(trusted_certs))
end

function _M.ssl_session_reused(ssl)
  if type(ssl) ~= "cdata" then
    return nil, "bad ssl"
  end
  return nil, "not supported: TLS is not OpenSSL's here"
end

_M.SSL3_VERSION, _M.TLS1_VERSION, _M.TLS1_1_VERSION, _M.TLS1_2_VERSION, _M.TLS1_3_VERSION = 0x300, 0x301, 0x302, 0x303, 0x304
local names = { [0x300] = "SSLv3", [0x301] = "TLSv1", [0x302] = "TLSv1.1", [0x303] = "TLSv1.2", [0x304] = "TLSv1.3" }

function _M.get_tls1_version_str()
  local v, err = host.get_tls1_version()
  if not v then
    return nil, err
  end
  local name = names[v]
  if not name then
    return nil, "unknown version"
  end
  return name
end

return _M
