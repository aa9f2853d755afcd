package base

import (
	"os"

	"moongate/internal/lua"
	"moongate/internal/luahost"
)

var workerPid = &lua.Func{Name: "ngx.worker.pid", Doc: "The number of the process.",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnInt(os.Getpid()) }}

var workerPids = &lua.Func{Name: "ngx.worker.pids", Doc: "The process numbers of all workers, which are one.",
	Run: func(c *lua.Call) lua.Outcome {
		if c.Phase() == lua.PhaseInit {
			return c.Errorf("API disabled in the current context")
		}
		w := c.Push()
		w.Begin(1, 0)
		for range luahost.Workers(c) {
			w.Int(os.Getpid())
		}
		w.End()
		return c.Return()
	}}

var workerCount = &lua.Func{Name: "ngx.worker.count", Doc: "The number of workers.",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnInt(luahost.Workers(c)) }}

var workerID = &lua.Func{Name: "ngx.worker.id", Doc: "The number of the worker, from 0; nil outside of workers.",
	Run: func(c *lua.Call) lua.Outcome {
		if w := luahost.EngineWorker(c); w != nil && c.Phase() != lua.PhaseInit {
			return c.ReturnInt(w.ID)
		}
		return c.ReturnNil()
	}}

var workerExiting = &lua.Func{Name: "ngx.worker.exiting", Doc: "Whether the worker is about to end.",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnBool(luahost.Exiting(c)) }}

var configure = &lua.Func{Name: "ngx.config.nginx_configure", Doc: "The configure arguments, as -V prints them.",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnString(luahost.Configure) }}

func configConsts() []lua.Const {
	return []lua.Const{
		{Name: "ngx.config.subsystem", Value: "http"},
		{Name: "ngx.config.debug", Value: true},
		{Name: "ngx.config.nginx_version", Value: luahost.NginxVersion},
		{Name: "ngx.config.ngx_lua_version", Value: luahost.LuaVersion},
	}
}

var prefix = &lua.Func{Name: "ngx.config.prefix", Doc: "The prefix of the server, with a slash at its end.",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnString(luahost.Prefix(c)) }}
