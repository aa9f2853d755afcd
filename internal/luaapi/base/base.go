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
		log, print, getPhase, phaseCtx, oldPhaseCtx,
		workerPid, workerPids, workerCount, workerID, workerExiting, configure, prefix,
	}, timeFuncs...),
	Props:   []*lua.Prop{isSubrequest},
	Objects: []*lua.Object{arg},
	Consts:  append(consts(), configConsts()...),
	Modules: []lua.Module{{Name: "ngx", Table: "ngx"}},
}

var log = &lua.Func{
	Name: "ngx.log", Sig: "level:number, ...", Output: lua.Log, Run: write,
	Doc: "Writes its arguments, joined, to the error log with the given level.",
}

var print = &lua.Func{
	Name: "print", Sig: "...", Output: lua.LogPrint, Run: write,
	Doc: "Writes its arguments, joined, to the error log with level notice.",
}

// write logs a line that has its place already.
func write(c *lua.Call) lua.Outcome {
	luahost.Log(c, nlog.Level(c.Int(1)), c.Str(2))
	return c.Return()
}

var getPhase = &lua.Func{
	Name: "ngx.get_phase", Doc: "The name of the phase the code runs in: init, init_worker, set, rewrite, access, content, ...",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnString(c.Phase().Short()) },
}

var phaseCtx = &lua.Func{
	Name: "ngx.get_raw_phase", Doc: "The number of the phase.",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnInt(int(c.Phase())) },
}

var oldPhaseCtx = &lua.Func{Name: "ngx._phase_ctx", Doc: "The same as ngx.get_raw_phase.", Run: phaseCtx.Run}

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
