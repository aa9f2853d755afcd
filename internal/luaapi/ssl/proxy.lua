-- ngx.ssl.proxysslcert, ngx.ssl.proxysslverify, ngx.proxyssl: what is best said in Lua.
local name = ...
local host = package.loaded.moongate_ssl
local from = ({ ["ngx.ssl.proxysslcert"] = host.proxysslcert, ["ngx.ssl.proxysslverify"] = host.proxysslverify, ["ngx.proxyssl"] = host.proxyssl })[name]

local _M = { version = require("resty.core.base").version }
for k, v in pairs(from) do
  if type(v) == "function" and k:sub(1, 1) ~= "_" then
    _M[k] = v
  end
end

if name == "ngx.proxyssl" then
  local ssl = require "ngx.ssl"
  for _, v in ipairs { "SSL3_VERSION", "TLS1_VERSION", "TLS1_1_VERSION", "TLS1_2_VERSION", "TLS1_3_VERSION" } do
    _M[v] = ssl[v]
  end
  local names = { [0x300] = "SSLv3", [0x301] = "TLSv1", [0x302] = "TLSv1.1", [0x303] = "TLSv1.2", [0x304] = "TLSv1.3" }
  function _M.get_tls1_version_str()
    local v, err = from.get_tls1_version()
    if not v then
      return nil, err
    end
    return names[v] or nil, not names[v] and "unknown version" or nil
  end
  return _M
end

local ffi = require "ffi"
local cast, gc, tonumber = ffi.cast, ffi.gc, tonumber

-- The address behind a pointer; 0 for none. What is no pointer raises FFI's error, as in a call by FFI.
local slot = ffi.new("void *[1]")
local function address(p)
  if p == nil then
    return 0
  end
  slot[0] = p
  return tonumber(cast("uintptr_t", slot[0]))
end

if name == "ngx.ssl.proxysslcert" then
  local set_cert, set_key = from._set_cert, from._set_key
  function _M.set_cert(cert)
    return set_cert(address(cert))
  end
  function _M.set_priv_key(key)
    return set_key(address(key))
  end
  return _M
end

ffi.cdef [[ void ngx_http_lua_ffi_proxy_ssl_free_verify_cert(void *cdata); ]]
local free, get = ffi.C.ngx_http_lua_ffi_proxy_ssl_free_verify_cert, from._cert
function _M.get_verify_cert()
  local p, err = get()
  if not p then
    return nil, err
  end
  return gc(cast("void *", p), free)
end
return _M
