// Package restycore gives require the modules of lua-resty-core by their names. What they bind in OpenResty is built in
// here; so the modules are the tables that programs look at, without a version handshake.
package restycore

import (
	_ "embed"

	"moongate/internal/lua"
)

//go:embed base.lua
var base string

// Library declares the modules.
var Library = lua.Library{Name: "resty.core", Doc: "The modules of lua-resty-core by name.", Modules: modules()}

// parts are modules that only say that they are there.
var parts = []string{
	"base64", "coroutine", "ctx", "exit", "hash", "misc", "ndk", "param", "phase", "request", "response", "shdict", "socket",
	"socket.tcp", "time", "uri", "utils", "var", "worker",
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
	return m
}
