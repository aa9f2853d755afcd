// Package ndk is ndk.set_var, which calls the functions of set_* directives from Lua by their names.
package ndk

import (
	"bytes"

	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/setvar"
)

// Library declares the table.
var Library = lua.Library{
	Name: "ndk", Doc: "The functions of set_* directives.",
	Funcs:   []*lua.Func{known, call, table},
	Modules: []lua.Module{{Name: "ndk", Table: "ndk"}},
}

var known = &lua.Func{Name: "ndk._known", Sig: "name:string -> boolean", Doc: "Whether there is a function of that name.",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnBool(setvar.Lookup(c.String(1)) != nil) }}

var call = &lua.Func{Name: "ndk._call", Sig: "name:string, value:string -> value, code", Doc: "Calls a function; nil and a code when it fails.", Run: run}

func run(c *lua.Call) lua.Outcome {
	r := luahost.Request(c)
	val, st := setvar.Lookup(c.String(1)).Do(r, [][]byte{bytes.Clone(c.Str(2))})
	if st != engine.OK {
		w := c.Push()
		w.Nil()
		w.Int(int(engine.Error))
		return c.Return()
	}
	return c.ReturnStr(val)
}

// table is ndk.set_var itself: its fields are closures, made at each use as in OpenResty.
var table = &lua.Func{Name: "ndk.set_var", Tier: lua.Lua, Doc: "A table of functions: ndk.set_var.set_md5(text).", Source: `
local known, call = ndk._known, ndk._call
ndk._known, ndk._call = nil, nil
return setmetatable({}, {
	__index = function(_, name)
		name = tostring(name)
		if not known(name) then
			error('ndk.set_var: directive "' .. name .. '" not found or does not use ndk_set_var_value', 2)
		end
		return function(arg)
			local value, code = call(name, tostring(arg))
			if value == nil then
				error("calling directive " .. name .. " failed with code " .. code, 2)
			end
			return value
		end
	end,
	__newindex = function() error("not allowed", 2) end,
})`}
