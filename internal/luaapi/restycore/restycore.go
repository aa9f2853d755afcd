// Package restycore gives require the modules of lua-resty-core by their names. What they bind in OpenResty is built in
// here; so the modules are the tables that programs look at, without a version handshake.
package restycore

import (
	_ "embed"
	"syscall"
	"unsafe"

	"moongate/internal/lua"
)

//go:embed base.lua
var base string

//go:embed parts.lua
var partsSource string

// Library declares the modules.
var Library = lua.Library{Name: "resty.core", Doc: "The modules of lua-resty-core by name.", Funcs: []*lua.Func{monotonic}, Modules: modules()}

// parts are modules that only say that they are there.
var parts = []string{
	"base64", "coroutine", "exit", "hash", "ndk", "param", "phase", "shdict", "socket", "socket.tcp", "uri", "var", "worker",
}

// called are modules that have functions of their own.
var called = []string{"ctx", "misc", "request", "response", "time", "utils"}

var monotonic = &lua.Func{
	Name: "package.loaded.moongate_core.monotonic_msec", Doc: "Milliseconds of a clock that is never set.",
	Run: func(c *lua.Call) lua.Outcome {
		var ts syscall.Timespec
		syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&ts)), 0)
		return c.ReturnNum(float64(ts.Nano() / 1e6))
	},
}

func modules() []lua.Module {
	m := []lua.Module{
		{Name: "resty.core.base", Source: base},
		{Name: "resty.core", Source: `
local base = require "resty.core.base"
return { version = base.version }`},
		{Name: "resty.core.regex", Source: `
local base = require "resty.core.base"
local _M = { version = base.version, no_regex_cache = false }
function _M.set_buf_grow_ratio() end
function _M.is_regex_cache_empty() return false end
return _M`},
	}
	for _, p := range parts {
		m = append(m, lua.Module{Name: "resty.core." + p, Source: `return { version = require("resty.core.base").version }`})
	}
	for _, p := range called {
		m = append(m, lua.Module{Name: "resty.core." + p, Source: partsSource})
	}
	return m
}
