// Package thread is the part of the Lua API that runs several light threads within one handler: ngx.thread. What a
// light thread is, and how they share a run, is in package lua.
package thread

import "moongate/internal/lua"

// Library declares the functions.
var Library = lua.Library{
	Name: "thread", Doc: "Light threads: several flows of a handler at a time.",
	Funcs: []*lua.Func{spawn, wait, kill},
}

var spawn = &lua.Func{
	Name: "ngx.thread.spawn", Tier: lua.Async, In: lua.Yieldable,
	Doc: "Runs a function as a light thread: at once until it waits, then beside its parent.",
	Run: func(c *lua.Call) lua.Outcome {
		if _, _, ok := c.FuncInfo(1); !ok {
			return c.ArgError(1, "Lua function expected")
		}
		if err := c.Spawn(); err != nil {
			return c.Errorf("no memory")
		}
		return c.Return()
	},
}

var wait = &lua.Func{
	Name: "ngx.thread.wait", Tier: lua.Async, In: lua.Yieldable,
	Doc: "Waits for the first of the light threads to end, and gives true and its results, or false and its error.",
	Run: func(c *lua.Call) lua.Outcome { return c.Join() },
}

var kill = &lua.Func{
	Name: "ngx.thread.kill", Tier: lua.Async, In: lua.Yieldable,
	Doc: "Ends a light thread, and whatever it waits for.",
	Run: func(c *lua.Call) lua.Outcome { return c.KillThread() },
}
