// Package process is the Lua module ngx.process: what the calling process is, and how it is told to end.
package process

import (
	"os"
	"syscall"

	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// Library declares the module.
var Library = lua.Library{
	Name: "process", Doc: "The process that runs the code: ngx.process.",
	Funcs:   []*lua.Func{kind, typ, privileged, exit, master, masterPID},
	Consts:  []lua.Const{{Name: "ngx.process.version", Value: luahost.CoreVersion}},
	Modules: []lua.Module{{Name: "ngx.process", Table: "ngx.process", Private: true}},
}

// The functions people call in loops are Lua around what does not change, so that LuaJIT compiles them. In init_by_lua
// the process counts as the master, later the same VM belongs to a worker: it calls ngx.process.serve in between.
var typ = &lua.Func{
	Name: "ngx.process.type", Tier: lua.Lua, Doc: "What the process is: \"single\", \"master\" (in init_by_lua) or \"worker\".",
	Source: `
local ask = package.loaded.moongate_process._kind
package.loaded.moongate_process._kind = nil
local kind
package.loaded["` + luahost.Serve + `"] = function()
	kind = nil
end
return function()
	if not kind then
		kind = ask()
	end
	return kind
end`,
}

var kind = &lua.Func{Name: "ngx.process._kind", Doc: "Part of ngx.process.type.", Run: func(c *lua.Call) lua.Outcome {
	switch {
	case !luahost.Supervised(c):
		return c.ReturnString("single")
	case c.Phase() == lua.PhaseInit:
		return c.ReturnString("master")
	}
	return c.ReturnString("worker")
}}

var masterPID = &lua.Func{
	Name: "ngx.process.get_master_pid", Tier: lua.Lua, Doc: "The number of the master process.",
	Source: `
local ask = package.loaded.moongate_process._master
package.loaded.moongate_process._master = nil
local pid
return function()
	if not pid then
		pid = ask()
	end
	return pid
end`,
}

var master = &lua.Func{Name: "ngx.process._master", Doc: "Part of ngx.process.get_master_pid.", Run: func(c *lua.Call) lua.Outcome {
	if luahost.Supervised(c) {
		return c.ReturnInt(os.Getppid())
	}
	return c.ReturnInt(os.Getpid())
}}

var exit = &lua.Func{
	Name: "ngx.process.signal_graceful_exit", Doc: "Lets the process end once it has served what it serves, as QUIT does.",
	Run: func(c *lua.Call) lua.Outcome {
		syscall.Kill(os.Getpid(), syscall.SIGQUIT)
		return c.Return()
	},
}

var privileged = &lua.Func{
	Name: "ngx.process.enable_privileged_agent", Doc: "Fails: there is no privileged agent; use ngx.timer in worker 0.",
	Run: func(c *lua.Call) lua.Outcome {
		if c.Phase() != lua.PhaseInit {
			return c.ReturnNilErr("API disabled in the current context")
		}
		if !c.IsNil(1) && (c.Type(1) != lua.Number || c.Num(1) < 0) {
			return c.ReturnNilErr("bad 'connections' argument: number expected and greater than 0")
		}
		return c.ReturnNilErr("there is no privileged agent: all workers share one process; use a timer where ngx.worker.id() is 0")
	},
}
