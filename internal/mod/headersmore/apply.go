package headersmore

import (
	"bytes"
	"slices"

	"moongate/internal/base/ascii"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// appliesOut looks at the content type without its parameters.
func (c *command) appliesOut(r *engine.Request) bool {
	if len(c.statuses) > 0 && !slices.Contains(c.statuses, r.Out.Status) {
		return false
	}
	if len(c.types) == 0 {
		return true
	}
	typ, _, _ := bytes.Cut(r.Out.ContentType, []byte(";"))
	return slices.ContainsFunc(c.types, func(t []byte) bool { return bytes.Equal(typ, t) })
}

// appliesIn wants the whole of the request's type, with its parameters.
func (c *command) appliesIn(r *engine.Request) bool {
	return len(c.types) == 0 || slices.ContainsFunc(c.types, func(t []byte) bool { return bytes.Equal(r.In.Get(http1.HContentType), t) })
}

// setOut sets a response header. Those the engine keeps apart are found by their names too.
func (h *header) setOut(r *engine.Request, add bool) {
	var value []byte
	if h.value != nil {
		value = h.value.Eval(r)
	}
	if !h.wildcard {
		if len(value) == 0 && http1.LookupHeader(h.name) == http1.HAcceptRanges {
			r.Out.AcceptRanges = false
		}
		r.SetHeader(h.name, value, !add)
		return
	}
	for i := range r.Out.List {
		if e := &r.Out.List[i]; e.Name != nil && ascii.HasPrefixFold(e.Name, h.name) {
			e.Value = value
			if len(value) == 0 {
				e.Name = nil
			}
		}
	}
}

// setIn sets a request header; false: it cannot have that value.
func (h *header) setIn(r *engine.Request, existing bool) bool {
	var value []byte
	if h.value != nil {
		value = h.value.Eval(r)
	}
	if !h.wildcard {
		if existing && !hasHeader(r, h.name) {
			return true
		}
		return r.SetHeaderIn(h.name, value, true)
	}
	for {
		name := findPrefix(r, h.name)
		if name == nil || !r.SetHeaderIn(name, nil, true) {
			return true
		}
	}
}

func hasHeader(r *engine.Request, name []byte) bool {
	return slices.ContainsFunc(r.In.List, func(e http1.Header) bool { return ascii.EqualFold(e.Name, name) })
}

// findPrefix gives the name of the first request header that begins with prefix.
func findPrefix(r *engine.Request, prefix []byte) []byte {
	for i := range r.In.List {
		if name := r.In.List[i].Name; ascii.HasPrefixFold(name, prefix) {
			return name
		}
	}
	return nil
}
