package modules

import (
	"moongate/internal/lua"
	"moongate/internal/luaapi/control"
	"moongate/internal/luaapi/output"
)

// LuaLibraries is the ordered list of what the Lua API is made of. A library may use what stands above it.
func LuaLibraries() []*lua.Library {
	return []*lua.Library{
		&output.Library,
		&control.Library,
	}
}
