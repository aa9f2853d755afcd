package luahost

import (
	"fmt"

	"moongate/internal/lua"
)

// Disabled raises what a function of the request says where there is none: in timers, in init_worker_by_lua, ...
func Disabled(c *lua.Call) lua.Outcome { return c.Errorf("API disabled in the current context") }

// NoRequest raises what a property of the request says where there is none.
func NoRequest(c *lua.Call) lua.Outcome {
	if c.Context() != nil {
		return Disabled(c)
	}
	return c.Errorf("no request object found")
}

// WrongPhase raises what a function says in a phase where it has no place.
func WrongPhase(c *lua.Call) lua.Outcome {
	return c.Errorf("API disabled in the context of %s", c.Phase())
}

// Text is argument i as Lua's tostring writes it. It is valid until the call returns.
func Text(c *lua.Call, i int) []byte {
	switch c.Type(i) {
	case lua.Str:
		return c.Str(i)
	case lua.Number:
		var room []byte
		if r := Request(c); r != nil {
			room = r.Alloc(24)[:0]
		}
		return lua.AppendNumber(room, c.Num(i))
	case lua.Bool:
		return boolText(c.Bool(i))
	case lua.None, lua.Nil:
		return []byte("nil")
	}
	if c.IsNull(i) {
		return []byte("null")
	}
	return fmt.Appendf(nil, "%s: 0x%08x", c.Type(i), c.Pointer(i))
}

// ValueText is Text of a value inside a table.
func ValueText(v lua.Value) []byte {
	switch v.Type {
	case lua.Str, lua.Number:
		return v.Text()
	case lua.Bool:
		return boolText(v.Bool())
	case lua.None, lua.Nil:
		return []byte("nil")
	}
	if v.IsNull() {
		return []byte("null")
	}
	return []byte(v.Type.String())
}

func boolText(b bool) []byte {
	if b {
		return []byte("true")
	}
	return []byte("false")
}
