// Package timer is the part of the Lua API that runs code later, outside of any request: ngx.timer. The timers
// themselves are in luahost.
package timer

import (
	"time"

	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// Library declares the functions.
var Library = lua.Library{
	Name: "timer", Doc: "Code that runs later, outside of any request.",
	Funcs: []*lua.Func{at, every, running, pending},
}

const (
	anytime   = lua.WithRequest &^ lua.PhaseMask(lua.PhaseExitWorker)
	noRequest = "no request"
)

var at = &lua.Func{
	Name: "ngx.timer.at", In: anytime, NoRequest: noRequest,
	Doc: "Runs a function once, after so many seconds, with true first when the worker stops before.",
	Run: func(c *lua.Call) lua.Outcome { return start(c, false) },
}

var every = &lua.Func{
	Name: "ngx.timer.every", In: anytime, NoRequest: noRequest,
	Doc: "Runs a function again and again, with so many seconds between the beginnings.",
	Run: func(c *lua.Call) lua.Outcome { return start(c, true) },
}

func start(c *lua.Call, every bool) lua.Outcome {
	if n := c.NArgs(); n < 2 {
		return c.Errorf("expecting at least 2 arguments but got %d", n)
	}
	if !c.IsNumber(1) {
		return c.TypeError(1, "number")
	}
	ms := int64(c.Num(1) * 1000)
	if every && ms == 0 {
		return c.Errorf("delay cannot be zero")
	}
	if _, _, ok := c.FuncInfo(2); !ok {
		return c.ArgError(2, "Lua function expected")
	}
	if why := luahost.NewTimer(c, time.Duration(ms)*time.Millisecond, every); why != "" {
		return c.ReturnNilErr(why)
	}
	return c.ReturnOK()
}

var running = &lua.Func{
	Name: "ngx.timer.running_count", In: lua.WithRequest, NoRequest: noRequest,
	Doc: "The number of timers that run now.",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnInt(luahost.TimersOf(c).Running) },
}

var pending = &lua.Func{
	Name: "ngx.timer.pending_count", In: lua.WithRequest, NoRequest: noRequest,
	Doc: "The number of timers that wait.",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnInt(luahost.TimersOf(c).Pending) },
}
