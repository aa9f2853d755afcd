package luahost

import (
	"moongate/internal/base/nlog"
	"moongate/internal/base/version"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/netio"
)

// What ngx.config tells.
const (
	NginxVersion = version.NginxNumber
	LuaVersion   = version.Lua
	// CoreVersion is the version of lua-resty-core whose modules are built in.
	CoreVersion = "0.1.32"
	// Serve is the module that, when it is there, a VM calls once after init_by_lua: from then on it serves.
	Serve = "moongate.serve"
)

// Configure is the text of the configure arguments; the assembly sets it.
var Configure string

// EngineWorker is the worker a Lua function was called in, nil before the workers run.
func EngineWorker(c *lua.Call) *engine.Worker {
	if lw, ok := c.VM().Data.(*Worker); ok {
		return lw.W
	}
	return nil
}

// Loop is the loop of the worker a Lua function was called in.
func Loop(c *lua.Call) *netio.Loop { return EngineWorker(c).Loop }

// LoopOrNil is Loop, or nil before the workers run.
func LoopOrNil(c *lua.Call) *netio.Loop {
	if w := EngineWorker(c); w != nil {
		return w.Loop
	}
	return nil
}

// Plane is the data plane of the snapshot that is being made ready, for code in init_by_lua.
var initPlane *engine.Plane

// SetInitPlane tells which plane init_by_lua runs for.
func SetInitPlane(p *engine.Plane) { initPlane = p }

// Workers is the number of workers.
func Workers(c *lua.Call) int {
	if w := EngineWorker(c); w != nil {
		return len(w.Plane.Workers())
	}
	if initPlane != nil {
		return len(initPlane.Workers())
	}
	return 1
}

// Logger is the error log of the calling request, or the process's.
func Logger(c *lua.Call) *nlog.Logger {
	if r := Request(c); r != nil {
		return r.Logger
	}
	if b, ok := backgroundOf(c); ok {
		return b.log
	}
	if w := EngineWorker(c); w != nil {
		return w.Plane.Params().Log
	}
	if initPlane != nil {
		return initPlane.Params().Log
	}
	return nil
}

// Log writes a line for the calling request, or for the process.
func Log(c *lua.Call, level nlog.Level, msg []byte) {
	if r := Request(c); r != nil {
		r.Logf(level, "%s", msg)
		return
	}
	if b, ok := backgroundOf(c); ok {
		b.Logf(level, "%s", msg)
		return
	}
	l := Logger(c)
	if EngineWorker(c) != nil && c.Phase() != lua.PhaseExitWorker && l.On(level) {
		l.Logf(level, nil, nil, "%s, context: %s", msg, c.Phase().String())
		return
	}
	l.Logf(level, nil, nil, "%s", msg)
}

// Prefix is the server's prefix, with a slash at its end.
func Prefix(c *lua.Call) string {
	if r := Request(c); r != nil {
		return r.H.Config.Prefix
	}
	p := initPlane
	if w := EngineWorker(c); w != nil {
		p = w.Plane
	}
	if p == nil || p.Params() == nil {
		return ""
	}
	return p.Params().Config.Prefix
}
