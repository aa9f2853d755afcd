package luahost

import (
	"bytes"

	"moongate/internal/base/ascii"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// Bits of the bytes that must not stand in a header's name or value as they are: they become %XX.
const (
	inName  = 1
	inValue = 2
)

var unsafeInHeader = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < 0x20 && c != '\t' || c == 0x7f:
			t[c] = inName | inValue
		case c > 0x7f:
			t[c] = inName
		}
	}
	for _, c := range " \"(),/:;<=>?@[\\]{}" {
		t[c] = inName
	}
	t['\t'] = inName
	return t
}()

// copyHeader copies a part of a header into the request's memory, with its unsafe bytes escaped.
func copyHeader(r *engine.Request, b []byte, where uint8) []byte {
	n := 0
	for _, c := range b {
		if unsafeInHeader[c]&where != 0 {
			n++
		}
	}
	if n == 0 {
		return r.Copy(b)
	}
	out := r.Alloc(len(b) + 2*n)[:0]
	for _, c := range b {
		if unsafeInHeader[c]&where != 0 {
			out = ascii.AppendHexByte(append(out, '%'), c)
		} else {
			out = append(out, c)
		}
	}
	return out
}

// CopyHeaderName copies a header name into the request's memory, with unsafe bytes escaped.
func CopyHeaderName(r *engine.Request, b []byte) []byte { return copyHeader(r, b, inName) }

// CopyHeaderValue is CopyHeaderName for values.
func CopyHeaderValue(r *engine.Request, b []byte) []byte { return copyHeader(r, b, inValue) }

// SetHeader sets a response header as engine.Request.SetHeader does; name and value are copied, with unsafe bytes escaped.
func (x *Ctx) SetHeader(name, value []byte, replace bool) bool {
	id := http1.LookupHeader(name)
	if id == http1.HContentType {
		x.TypeSet = true
	}
	ok := x.R.SetHeader(CopyHeaderName(x.R, name), CopyHeaderValue(x.R, value), replace)
	if id == http1.HLocation && len(value) > 0 && value[0] == '/' {
		if h := x.R.HeaderOut(http1.HLocation); h != nil {
			h.ID = http1.HUnknown // so it goes out as it is: nginx makes its own redirects absolute, not those of Lua
		}
	}
	return ok
}

// Header finds the next response header of that name from place next on: its value and its place, -1 for none.
func (x *Ctx) Header(name []byte, next int) (value []byte, at int) {
	list := x.R.Out.List
	id := http1.LookupHeader(name)
	for i := next; i < len(list); i++ {
		if h := &list[i]; h.Name != nil && engine.SameHeader(h, id, name) {
			return h.Value, i
		}
	}
	return nil, -1
}

// Hyphens is a header name as lua_transform_underscores_in_response_headers makes it: '_' becomes '-'. Names without one are
// returned as they are.
func (x *Ctx) Hyphens(name []byte) []byte {
	if bytes.IndexByte(name, '_') < 0 || !ConfOf(x.R.Scope).TransformUnderscores.V {
		return name
	}
	out := x.R.Copy(name)
	for i, c := range out {
		if c == '_' {
			out[i] = '-'
		}
	}
	return out
}
