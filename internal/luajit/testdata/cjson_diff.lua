-- Compares the built-in cjson with another build of the original one on random texts and values.
-- Arguments: the other module, a seed, a number of rounds. Raises an error at the first difference.
local ref, seed, rounds = ...
local own = require "cjson".new()

math.randomseed(seed)
local random = math.random
local function pick(list) return list[random(#list)] end

local pieces = {
  "{", "}", "[", "]", ",", ":", '"', "\\", '"a"', '"key"', '"\\u00e9"', '"\\ud83d\\ude00"', '"\\udc00"', '"x\\ny"',
  '"\\q"', "true", "false", "null", "nul", "tru", "0", "1", "-1", "12.5", "1e5", "1E-3", "-", "+", "+1", "0x10", "01",
  "00.5", "1.", ".5", "-.5", "1e", "1e+", "nan", "NaN", "inf", "-inf", "Infinity", "nan(1)", "Noodle", "0.1", "1e400",
  "-1e-400", "1.7976931348623157e308", "4.9e-324", "//c\n", "/*c*/", "/*", "/", " ", "\n", "\t", "\r", "        ",
  "\0", "\1", "\127", "\200", '"a string of more than sixteen bytes with \\" and / in it"', '"open', "\\u12",
  "2.2250738585072011e-308", "9007199254740993", "0.30000000000000004", "1234567890.123456789",
}

local function text(depth)
  local kind = random(depth > 5 and 6 or 9)
  if kind == 1 then return pick { "0", "1", "-5", "3.25", "1e10", "123456", "0.001", "1.5E+3" } end
  if kind == 2 then return pick { '"a"', '""', '"\\u0041\\n\\t\\"\\\\\\/"', '"' .. ("z"):rep(random(40)) .. '"' } end
  if kind == 3 then return pick { "true", "false", "null" } end
  if kind <= 6 then return tostring(random(100000) / pick { 1, 10, 1000, 7 }) end
  local list = {}
  local n = depth > 3 and random(0, 3) or random(0, pick { 3, 5, 40 })
  if kind == 7 then
    for i = 1, n do list[i] = text(depth + 1) end
    return "[" .. table.concat(list, pick { ",", ", ", " ,\n   " }) .. "]"
  end
  for i = 1, n do list[i] = '"k' .. random(20) .. '":' .. text(depth + 1) end
  return "{" .. table.concat(list, pick { ",", ", ", ",\n        \t" }) .. "}"
end

local function damaged(s)
  for _ = 1, random(0, 3) do
    local at = random(0, #s)
    s = s:sub(1, at) .. pick(pieces) .. s:sub(at + 1 + random(0, 2))
  end
  return s
end

local function same(a, b)
  if type(a) ~= type(b) then return false end
  if type(a) ~= "table" then return a == b or (a ~= a and b ~= b) end
  if #a ~= #b then return false end
  for k, v in pairs(a) do
    if not same(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

-- Later versions name integers apart and spell Infinity out.
local function message(err)
  return type(err) == "string" and err:gsub("T_INTEGER", "T_NUMBER"):gsub("Infinity$", "Inf") or err
end

local function set(name, ...)
  own[name](...)
  ref[name](...)
end

local function check(what, input, f, g, ...)
  local ok1, v1 = pcall(f, ...)
  local ok2, v2 = pcall(g, ...)
  if ok1 ~= ok2 or (ok1 and not same(v1, v2)) or (not ok1 and message(v1) ~= message(v2)) then
    error(("%s %q: %s %s, not %s %s"):format(what, input, tostring(ok1), tostring(v1), tostring(ok2), tostring(v2)), 0)
  end
  return ok1 and v1
end

-- the other module may have been here before
set("encode_max_depth", 1000)
set("encode_number_precision", 14)
set("encode_sparse_array", false, 2, 10)

for i = 1, rounds do
  if i % 100 == 1 then
    set("decode_max_depth", pick { 1000, 3, 10 })
    set("decode_invalid_numbers", random(2) == 1)
  end
  local s
  if random(3) == 1 then
    local list = {}
    for j = 1, random(12) do list[j] = pick(pieces) end
    s = table.concat(list)
  else
    s = damaged(text(0))
  end
  -- where later versions went their own way: long integers, -0, 0X
  if not (s:find(("%d"):rep(19)) or s:find("%-0") or s:find("0X")) then
    local v = check("decode", s, own.decode, ref.decode, s)
    if type(v) == "table" then check("encode", s, own.encode, ref.encode, v) end
  end
end
set("decode_max_depth", 1000)

local function value(depth)
  local kind = random(depth > 4 and 8 or 14)
  if kind == 1 then return random(1000) end
  if kind == 2 then return random() * 10 ^ random(-20, 20) end
  if kind == 3 then return pick { "", "a/b", 'q"\\\n\1\127', "\200\255", ("ab/"):rep(random(30)) } end
  if kind == 4 then return random(2) == 1 end
  if kind == 5 then return ref.null end
  if kind == 6 then return "s" end
  if kind == 7 then return pick { 1 / 0, -1 / 0, 0 / 0, -0.0, 1e15, 1e14, 2 ^ 53, -1e300, 5e-324 } end
  if kind == 8 then return random(40) == 1 and print or "t" end
  local t = {}
  if kind <= 10 then
    for i = 1, random(0, 20) do t[i] = value(depth + 1) end
    if random(10) == 1 then t[random(50)] = value(depth + 1) end
    if random(15) == 1 then t.x = value(depth + 1) end
  elseif kind <= 12 then
    for _ = 1, random(0, 10) do
      t[pick { "a", "b", "c/d", "e\n", "longer key number sixteen+", "k" .. random(50) }] = value(depth + 1)
    end
    if random(10) == 1 then t[random(5)] = 1 end
    if random(20) == 1 then t[1.5] = 1 end
    if random(30) == 1 then t[true] = 1 end
    if random(20) == 1 then t[random(-3, 0)] = 2 end
  else
    for _ = 1, random(0, 6) do t[random(12)] = value(depth + 1) end
  end
  return t
end

for i = 1, rounds do
  if i % 100 == 1 then
    set("encode_max_depth", pick { 1000, 2, 5 })
    set("encode_number_precision", pick { 14, 3, 10, 1 })
    set("encode_keep_buffer", random(2) == 1)
    set("encode_sparse_array", random(2) == 1, random(0, 3), random(0, 12))
  end
  check("encode", "value " .. i, own.encode, ref.encode, value(0))
end
