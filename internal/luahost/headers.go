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

// SetHeader sets a response header: an empty value deletes it. Without replace it is added to those of its name, where
// the header may come more than once. name and value are copied. False: the value is not one the header can have.
func (x *Ctx) SetHeader(name, value []byte, replace bool) bool {
	r := x.R
	o := &r.Out
	id := http1.LookupHeader(name)
	if id == http1.HUnknown && ascii.EqualFold(name, "E-Tag") {
		id = http1.HETag
	}
	switch id {
	case http1.HContentType:
		o.ContentType = nil
		if len(value) > 0 {
			o.ContentType = CopyHeaderValue(r, value)
		}
		x.TypeSet = true
		clearHeader(o, id, name)
		return true
	case http1.HContentLength:
		n, ok := int64(-1), true
		if len(value) > 0 {
			n, ok = ascii.ParseInt(value)
		}
		if ok {
			o.ContentLength = n
		}
		return ok
	case http1.HLastModified:
		o.LastModified = -1
		if t, ok := http1.ParseTime(value); ok {
			o.LastModified = t
		}
		replace = true
	case http1.HServer, http1.HDate, http1.HContentEncoding, http1.HLocation, http1.HRefresh, http1.HContentRange, http1.HAcceptRanges,
		http1.HExpires, http1.HETag:
		replace = true
	}
	if len(value) == 0 {
		if replace && !clearHeader(o, id, name) && (id == http1.HServer || id == http1.HDate) {
			// A deleted entry keeps the driver from writing its own.
			o.List = append(o.List, http1.Header{ID: id})
		}
		return true
	}
	e := http1.Header{ID: id, Name: CopyHeaderName(r, name), Value: CopyHeaderValue(r, value)}
	if id == http1.HLocation && e.Value[0] == '/' {
		e.ID = http1.HUnknown // so it goes out as it is: nginx makes its own redirects absolute, not those of Lua
	}
	if !replace || !putHeader(o, id, &e) {
		o.List = append(o.List, e)
	}
	return true
}

// sameHeader says that the entry, deleted or not, is of the header.
func sameHeader(h *http1.Header, id http1.HeaderID, name []byte) bool {
	if id != http1.HUnknown && h.ID == id {
		return true
	}
	return h.ID == http1.HUnknown && len(h.Name) == len(name) && ascii.EqualFold(h.Name, name)
}

// clearHeader deletes the header; false: it was not there.
func clearHeader(o *engine.HeadersOut, id http1.HeaderID, name []byte) bool {
	found := false
	for i := range o.List {
		if h := &o.List[i]; sameHeader(h, id, name) {
			h.Name, found = nil, true
		}
	}
	return found
}

// putHeader gives the first entry of the header a new value and deletes the others.
func putHeader(o *engine.HeadersOut, id http1.HeaderID, e *http1.Header) bool {
	found := false
	for i := range o.List {
		h := &o.List[i]
		switch {
		case !sameHeader(h, id, e.Name):
		case found:
			h.Name = nil
		default:
			found = true
			if id == http1.HUnknown {
				e.Name = h.Name // an existing spelling stays
			}
			*h = *e
		}
	}
	return found
}

// Header finds the next response header of that name from place next on: its value and its place, -1 for none.
func (x *Ctx) Header(name []byte, next int) (value []byte, at int) {
	list := x.R.Out.List
	id := http1.LookupHeader(name)
	for i := next; i < len(list); i++ {
		if h := &list[i]; h.Name != nil && sameHeader(h, id, name) {
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
