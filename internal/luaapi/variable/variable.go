// Package variable is ngx.var: the variables of the configuration, and the groups of its last regular expression.
package variable

import (
	"moongate/internal/base/ascii"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// Library declares the object.
var Library = lua.Library{
	Name: "variable", Doc: "Variables of the configuration.",
	Objects: []*lua.Object{{
		Name: "ngx.var", Index: get, NewIndex: set, In: lua.WithRequest,
		Doc: "The variables of the request, by name; numbers are the groups of the last regular expression.",
	}},
}

func get(c *lua.Call) lua.Outcome {
	r := luahost.Request(c)
	if r == nil {
		return luahost.Disabled(c)
	}
	switch c.Type(2) {
	case lua.Str:
		if val, ok := r.VarNamed(lower(r, c.Str(2))); ok {
			return c.ReturnStr(val)
		}
		return c.ReturnNil()
	case lua.Number:
		return group(c, r, c.Int(2))
	}
	return c.Errorf("bad variable name")
}

// group is a group of the last regular expression: empty when it took no part in the match.
func group(c *lua.Call, r *engine.Request, n int) lua.Outcome {
	if n <= 0 || 2*n+1 >= len(r.Captures) {
		return c.ReturnNil()
	}
	from, to := int(r.Captures[2*n]), int(r.Captures[2*n+1])
	if from < 0 || to < from || to > len(r.CaptureSubj) {
		return c.ReturnStr(nil)
	}
	return c.ReturnStr(r.CaptureSubj[from:to])
}

// lower is the name in lower case: itself when it has no capitals.
func lower(r *engine.Request, name []byte) []byte {
	for _, b := range name {
		if b-'A' <= 'Z'-'A' {
			return ascii.AppendLower(r.Alloc(len(name))[:0], name)
		}
	}
	return name
}

func set(c *lua.Call) lua.Outcome {
	r := luahost.Request(c)
	if r == nil {
		return luahost.Disabled(c)
	}
	if c.Type(2) != lua.Str {
		return c.Errorf("bad variable name")
	}
	name := lower(r, c.Str(2))
	v := r.FindVarNamed(name)
	switch {
	case v == nil || !v.Assignable():
		return c.Errorf("variable \"%s\" not found for writing; maybe it is a built-in variable that is not changeable or you forgot to use \"set $%s '';\" in the config file to define it first", name, name)
	case !v.Changeable:
		return c.Errorf("variable \"%s\" not changeable", name)
	case v.Set == nil && !v.HasSlot():
		return c.Errorf("variable \"%s\" cannot be assigned a value", name)
	case c.IsNil(3):
		r.UnsetVar(v)
	default:
		r.SetVar(v, r.Copy(luahost.Text(c, 3)))
	}
	return c.Return()
}
