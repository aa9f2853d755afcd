-- The parts of resty.core that programs call into. The name of the one asked for is the chunk's argument.
local version = require("resty.core.base").version
local parts = {}

function parts.time()
  local msec = package.loaded.moongate_core.monotonic_msec
  return {
    version = version,
    monotonic_msec = msec,
    monotonic_time = function()
      return msec() / 1000
    end,
  }
end

function parts.utils()
  return {
    version = version,
    str_replace_char = function(str, find, replace)
      local c = find:sub(1, 1)
      if not str:find(find, nil, true) then
        return str
      end
      local pattern = c == "\0" and "%z" or c:find("%w") and c or "%" .. c
      return (str:gsub(pattern, { [c] = replace:sub(1, 1) }))
    end,
  }
end

-- Hooks for fields of ngx, put before those that are built in when the first one comes.
function parts.misc()
  local getters, setters
  local function hook()
    if getters then
      return
    end
    getters, setters = {}, {}
    local mt = getmetatable(ngx)
    local index, newindex = mt.__index, mt.__newindex
    function mt.__index(t, k)
      local f = getters[k]
      if f then
        return f()
      end
      if type(index) == "function" then
        return index(t, k)
      end
      return index and index[k]
    end
    function mt.__newindex(t, k, v)
      local f = setters[k]
      if f then
        return f(v)
      end
      if newindex then
        return newindex(t, k, v)
      end
      return rawset(t, k, v)
    end
  end
  return {
    _VERSION = version,
    register_ngx_magic_key_getter = function(key, f)
      hook()
      getters[key] = f
    end,
    register_ngx_magic_key_setter = function(key, f)
      hook()
      setters[key] = f
    end,
  }
end

function parts.ctx()
  return {
    _VERSION = version,
    -- ngx.ctx, or the table given when nothing is in it yet
    get_ctx_table = function(tab)
      local ctx = ngx.ctx
      if tab and next(ctx) == nil then
        ngx.ctx = tab
        return tab
      end
      return ctx
    end,
  }
end

function parts.request()
  return {
    version = version,
    set_req_header = function(name, value, override)
      if override then
        return ngx.req.set_header(name, value)
      end
      return require("ngx.req").add_header(name, value)
    end,
  }
end

function parts.response()
  return {
    version = version,
    set_resp_header = function(_, name, value, no_override)
      if no_override then
        return require("ngx.resp").add_header(name, value)
      end
      ngx.header[name] = value
    end,
  }
end

return parts[(...):match("[%w_]+$")]()
