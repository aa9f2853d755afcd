-- resty.core.base: what libraries take from it. The functions of lua-resty-core are built in, so nothing here binds C, and
-- "ffi" is not opened before a library needs it.
local new_tab = require "table.new"
local clear_tab = require "table.clear"
local exdata = require "thread.exdata"

local require = require
local buf_size = 4096
local buf, size_ptr

local function ffi_new(...)
  return require("ffi").new(...)
end

local _M = {
  version = "0.1.32",
  new_tab = new_tab,
  clear_tab = clear_tab,
  FFI_OK = 0,
  FFI_ERROR = -1,
  FFI_AGAIN = -2,
  FFI_BUSY = -3,
  FFI_DONE = -4,
  FFI_DECLINED = -5,
  FFI_ABORT = -6,
  FFI_NO_REQ_CTX = -100,
  FFI_BAD_CONTEXT = -101,
}

local errmsg

-- Where C functions leave the address of an error text.
function _M.get_errmsg_ptr()
  if not errmsg then
    errmsg = ffi_new("char *[1]")
  end
  return errmsg
end

function _M.set_string_buf_size(size)
  if type(size) ~= "number" or size <= 0 then
    error("no buffer size given", 2)
  end
  buf_size, buf = size, nil
end

function _M.get_string_buf_size()
  return buf_size
end

function _M.get_size_ptr()
  size_ptr = size_ptr or ffi_new("size_t[1]")
  return size_ptr
end

-- A scratch buffer shared by all callers of the VM: what it holds is lost at the next call.
function _M.get_string_buf(size, must_alloc)
  if size > buf_size or must_alloc then
    return ffi_new("unsigned char[?]", size)
  end
  if not buf then
    buf = ffi_new("unsigned char[?]", buf_size)
  end
  return buf
end

-- Keeps a value in a table under a free integer key; 0 heads the list of free keys.
function _M.ref_in_table(tb, key)
  if key == nil then
    return -1
  end
  local ref = tb[0]
  if ref and ref ~= 0 then
    tb[0] = tb[ref]
  else
    ref = #tb + 1
  end
  tb[ref] = key
  return ref
end

function _M.allows_subsystem(...)
  local n = select("#", ...)
  for i = 1, n do
    if select(i, ...) == "http" then
      return
    end
  end
  error("unsupported subsystem: http", 2)
end

function _M.check_subsystem(...)
  for i = 1, select("#", ...) do
    if select(i, ...) == "http" then
      return true
    end
  end
  return false
end

-- The request as a pointer, for libraries that pass it on; nil outside of requests.
function _M.get_request()
  local phase = ngx.get_phase()
  if phase == "init" or phase == "init_worker" or phase == "timer" or phase == "exit_worker" then
    return nil
  end
  return exdata() or require("ffi").cast("void *", 1)
end

return _M
