package luahost

import (
	"errors"
	"fmt"

	"moongate/internal/http1"
	"moongate/internal/lua"
)

// EncodeArgs appends a table as a query string, as ngx.encode_args does.
func EncodeArgs(dst []byte, t lua.Packed) ([]byte, error) {
	first := true
	sep := func() {
		if !first {
			dst = append(dst, '&')
		}
		first = false
	}
	one := func(k []byte, v lua.Value) error {
		switch {
		case v.Type == lua.Bool && !v.Bool():
		case v.Type == lua.Bool:
			sep()
			dst = http1.AppendEscape(dst, k, http1.EscapeComponent)
		case v.Type == lua.Str || v.Type == lua.Number:
			sep()
			dst = http1.AppendEscape(dst, k, http1.EscapeComponent)
			dst = append(dst, '=')
			dst = http1.AppendEscape(dst, v.Text(), http1.EscapeComponent)
		default:
			return fmt.Errorf("attempt to use %s as query arg value", v.Type)
		}
		return nil
	}
	for k, v := range t.Pairs() {
		if k.Type != lua.Str {
			return nil, errors.New("attempt to use a non-string key in the \"args\" option table")
		}
		if v.Type == lua.Table {
			for i := 1; i <= v.Table().Len(); i++ {
				if err := one(k.Str(), v.Table().Index(i)); err != nil {
					return nil, err
				}
			}
			continue
		}
		if err := one(k.Str(), v); err != nil {
			return nil, err
		}
	}
	return dst, nil
}
