// Package base is the part of the Lua API that every handler has: constants, logging, time, the phase, the worker and
// the configuration, and ngx.arg.
package base

import (
	"moongate/internal/base/nlog"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// Library declares the functions.
var Library = lua.Library{
	Name: "base", Doc: "Constants, logging, time, phases, the worker and the configuration.",
	Funcs: append([]*lua.Func{
		rawLog, log, print, getPhase, phaseCtx,
		workerPid, workerPids, workerCount, workerID, workerExiting, configure,
	}, timeFuncs...),
	Props:   []*lua.Prop{isSubrequest},
	Objects: []*lua.Object{arg},
	Consts:  append(consts(), configConsts()...),
	Modules: []lua.Module{{Name: "ngx", Table: "ngx"}},
}

// rawLog takes strings, numbers, booleans and nil only; log makes strings of tables before.
var rawLog = &lua.Func{
	Name: "ngx._log", Sig: "level:number, ...", Doc: "What ngx.log and print are made of.",
	Run: func(c *lua.Call) lua.Outcome {
		level := nlog.Level(c.Int(1))
		if c.Num(1) < 0 || level > nlog.Debug {
			return c.ArgError(1, "bad log level: "+string(lua.AppendNumber(nil, c.Num(1))))
		}
		return write(c, level, 2)
	},
}

// log and print end in a tail call, so that the line they name is their caller's.
var log = &lua.Func{
	Name: "ngx.log", Sig: "level:number, ...", Tier: lua.Lua,
	Doc: "Writes its arguments, joined, to the error log with the given level.",
	Source: `
local raw, type, tostring, select, getmetatable, error = ngx._log, type, tostring, select, getmetatable, error
local unpack, pairs = unpack, pairs
local function text(i, v)
  local mt = getmetatable(v)
  if not mt or type(mt) ~= "table" or not mt.__tostring then
    error("bad argument #" .. i .. " to 'log' (expected table to have __tostring metamethod)", 3)
  end
  return tostring(v)
end
return function(level, ...)
  local n = select("#", ...)
  for i = 1, n do
    if type((select(i, ...))) == "table" then
      local a = { ... }
      for k = i, n do
        if type(a[k]) == "table" then a[k] = text(k, a[k]) end
      end
      return raw(level, unpack(a, 1, n))
    end
  end
  return raw(level, ...)
end`,
}

var print = &lua.Func{
	Name: "print", Sig: "...", Tier: lua.Lua,
	Doc: "Writes its arguments, joined, to the error log with level notice.",
	Source: `
local log = ngx.log
ngx._log = nil
return function(...) return log(6, ...) end`,
}

// write logs the arguments from first on under the place of the calling Lua code.
func write(c *lua.Call, level nlog.Level, first int) lua.Outcome {
	logger := luahost.Logger(c)
	if !logger.On(level) {
		return c.Return()
	}
	b := append(make([]byte, 0, 256), "[lua] "...)
	b = luahost.AppendWhere(b, c, 1)
	for i := first; i <= c.NArgs(); i++ {
		switch c.Type(i) {
		case lua.Str:
			b = append(b, c.Str(i)...)
		case lua.Number:
			b = lua.AppendNumber(b, c.Num(i))
		case lua.Nil:
			b = append(b, "nil"...)
		case lua.Bool:
			if c.Bool(i) {
				b = append(b, "true"...)
			} else {
				b = append(b, "false"...)
			}
		case lua.LightUserdata:
			if !c.IsNull(i) {
				return badLogArg(c, i, first)
			}
			b = append(b, "null"...)
		default:
			return badLogArg(c, i, first)
		}
	}
	luahost.Log(c, level, b)
	return c.Return()
}

func badLogArg(c *lua.Call, i, first int) lua.Outcome {
	return c.ArgError(i-first+1, "string, number, boolean, or nil expected, got "+c.Type(i).String())
}

var getPhase = &lua.Func{
	Name: "ngx.get_phase", Doc: "The name of the phase the code runs in: init, init_worker, set, rewrite, access, content, ...",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnString(c.Phase().Short()) },
}

var phaseCtx = &lua.Func{
	Name: "ngx.get_raw_phase", Doc: "The number of the phase.",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnInt(int(c.Phase())) },
}

var isSubrequest = &lua.Prop{
	Name: "is_subrequest", Doc: "Whether the request is a subrequest.",
	Get: func(c *lua.Call) lua.Outcome {
		r := luahost.Request(c)
		if r == nil {
			return c.Errorf("no request object found")
		}
		return c.ReturnBool(!r.IsMain())
	},
}

// arg is ngx.arg: the arguments of set_by_lua, or the chunk and its end in body_filter_by_lua.
var arg = &lua.Object{
	Name: "ngx.arg", In: lua.PhaseMask(lua.PhaseSet | lua.PhaseBodyFilter), Doc: "The arguments of set_by_lua; in body_filter_by_lua the chunk and whether it is the last.",
	Index: func(c *lua.Call) lua.Outcome {
		x := luahost.FromCall(c)
		if x == nil {
			return c.Errorf("no request object found")
		}
		i := c.Int(2)
		if c.Phase() == lua.PhaseSet {
			if c.Type(2) != lua.Number {
				return c.TypeError(2, "number")
			}
			if i < 1 {
				return c.ArgError(2, "bad argument index")
			}
			if i > len(x.SetArgs) {
				return c.ReturnNil()
			}
			return c.ReturnStr(x.SetArgs[i-1])
		}
		switch {
		case x.Filter == nil:
			return c.ReturnNil()
		case i == 1:
			return c.ReturnStr(x.Filter.Data)
		case i == 2:
			return c.ReturnBool(x.Filter.EOF)
		}
		return c.Errorf("bad index number: %d", i)
	},
	NewIndex: func(c *lua.Call) lua.Outcome {
		x := luahost.FromCall(c)
		if x == nil || x.Filter == nil {
			return c.Errorf("attempt to set ngx.arg outside of body_filter_by_lua")
		}
		f := x.Filter
		switch c.Int(2) {
		case 1:
			switch c.Type(3) {
			case lua.Nil:
				f.Data = nil
			case lua.Str, lua.Number, lua.Table:
				b, err := c.Concat(3, 1)
				if err != nil {
					return c.Fail(err)
				}
				f.Data = x.R.Copy(b)
			default:
				return c.Errorf("bad chunk data type: %s", c.Type(3))
			}
		case 2:
			f.EOF = c.Bool(3)
		default:
			return c.Errorf("bad index number: %d", c.Int(2))
		}
		return c.Return()
	},
}
