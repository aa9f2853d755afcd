package workerthread

import (
	"fmt"
	"strings"

	"moongate/internal/lua"
)

// value is a Lua value outside of any VM.
type value struct {
	kind  lua.Type
	num   float64
	str   string
	pairs [][2]value
}

// copyArgs copies the arguments of a call from first on; why says what cannot be copied.
func copyArgs(c *lua.Call, first int) (out []value, why string) {
	for i := first; i <= c.NArgs(); i++ {
		v := value{kind: c.Type(i)}
		switch v.kind {
		case lua.Nil:
		case lua.Bool:
			if c.Bool(i) {
				v.num = 1
			}
		case lua.Number:
			v.num = c.Num(i)
		case lua.Str:
			v.str = c.String(i)
		case lua.LightUserdata:
			v.num = float64(c.Pointer(i))
		case lua.Table:
			t, err := c.Pack(i)
			if err != nil {
				return nil, "suspicious circular references, table depth exceed max depth: 100"
			}
			if v.pairs, why = copyTable(t); why != "" {
				return nil, why
			}
		default:
			return nil, unsupported(v.kind)
		}
		out = append(out, v)
	}
	return out, ""
}

func copyTable(t lua.Packed) (out [][2]value, why string) {
	for k, v := range t.Pairs() {
		var pair [2]value
		for i, x := range [2]lua.Value{k, v} {
			if pair[i], why = copyValue(x); why != "" {
				return nil, why
			}
		}
		out = append(out, pair)
	}
	return out, ""
}

func copyValue(x lua.Value) (v value, why string) {
	v.kind = x.Type
	switch x.Type {
	case lua.Bool:
		if x.Bool() {
			v.num = 1
		}
	case lua.Number, lua.LightUserdata:
		v.num = x.Num()
	case lua.Str:
		v.str = x.String()
	case lua.Table:
		v.pairs, why = copyTable(x.Table())
	default:
		why = unsupported(x.Type)
	}
	return v, why
}

func unsupported(t lua.Type) string {
	switch t {
	case lua.Function, lua.Userdata, lua.Coroutine, lua.Nil:
		return fmt.Sprintf("unsupported Lua type: LUA_T%s", strings.ToUpper(t.String()))
	}
	return "unsupported Lua type"
}

// push writes the value into a VM.
func (v *value) push(w *lua.Writer) {
	switch v.kind {
	case lua.Bool:
		w.Bool(v.num != 0)
	case lua.Number:
		w.Num(v.num)
	case lua.Str:
		w.String(v.str)
	case lua.LightUserdata:
		w.Light(uintptr(v.num))
	case lua.Table:
		w.Begin(0, len(v.pairs))
		for i := range v.pairs {
			w.NextKey()
			v.pairs[i][0].push(w)
			v.pairs[i][1].push(w)
		}
		w.End()
	default:
		w.Nil()
	}
}
