// Package headers adds to response heads and ends: add_header, add_trailer and expires. It sees the responses of clients'
// own requests, not those of subrequests.
package headers

import (
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct {
	expires  conf.Opt[expiry]
	headers  []*field
	trailers []*field
	inherit  conf.Opt[inheritance]
	inheritT conf.Opt[inheritance]
}

// field is one add_header or add_trailer.
type field struct {
	name   []byte
	id     http1.HeaderID
	value  *engine.Template
	always bool
}

// inheritance is add_header_inherit.
type inheritance uint8

const (
	inheritOn inheritance = iota // a block without fields of its own has its parent's
	inheritOff
	inheritMerge // a block has its own and its parent's
)

var inheritType = conf.Enum(conf.Case("off", inheritOff), conf.Case("on", inheritOn), conf.Case("merge", inheritMerge))

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(merge)

// Module has the directives of response headers.
var Module = engine.Module{Module: conf.Module{Name: "headers", Directives: []conf.Directive{
	{Name: "expires", In: conf.InRequest, Args: conf.Take12, Syntax: "[modified] time | epoch | max | off", Default: "off",
		Set: conf.Slot(loc, expiryType, func(c *config) *conf.Opt[expiry] { return &c.expires }),
		Doc: "Sets Expires and Cache-Control: a time from now, from the last modification, or of the day (@15h30m); the value may have variables."},
	{Name: "add_header", In: conf.InRequest, Args: conf.Take23, Syntax: "name value [always]",
		Set: conf.Func(func(c *conf.Cmd) error { cf := loc.Of(c.Scope); return add(c, &cf.headers) }),
		Doc: "Adds a response header, to successful and redirecting responses or, with always, to all. An empty value adds none."},
	{Name: "add_trailer", In: conf.InRequest, Args: conf.Take23, Syntax: "name value [always]",
		Set: conf.Func(func(c *conf.Cmd) error { cf := loc.Of(c.Scope); return add(c, &cf.trailers) }),
		Doc: "Adds a field behind the response body, for the statuses of add_header."},
	{Name: "add_header_inherit", In: conf.InRequest, Default: "on",
		Set: conf.Slot(loc, inheritType, func(c *config) *conf.Opt[inheritance] { return &c.inherit }),
		Doc: "Whether a block takes over the add_header of the block around it: never, only without any of its own, or besides its own."},
	{Name: "add_trailer_inherit", In: conf.InRequest, Default: "on",
		Set: conf.Slot(loc, inheritType, func(c *config) *conf.Opt[inheritance] { return &c.inheritT }),
		Doc: "The same for add_trailer."},
}}}

// Filter applies them.
var Filter = engine.Filter{Name: "headers", Active: active, Header: apply, Body: end}

func active(s *conf.Scope) bool {
	c := loc.Of(s)
	return c.expires.V.kind != expiresOff || c.headers != nil || c.trailers != nil
}

func merge(parent, child *config, _ *conf.Scope) error {
	child.headers = inherit(parent.headers, child.headers, child.inherit.V)
	child.trailers = inherit(parent.trailers, child.trailers, child.inheritT.V)
	return nil
}

func inherit(parent, child []*field, how inheritance) []*field {
	switch {
	case how == inheritOff || parent == nil:
		return child
	case child == nil:
		return parent
	case how == inheritMerge:
		return append(child[:len(child):len(child)], parent...)
	}
	return child
}

func add(c *conf.Cmd, list *[]*field) error {
	f := &field{name: []byte(c.Args[0]), id: http1.LookupHeader([]byte(c.Args[0]))}
	t, err := engine.CompileArg(c, c.Args[1])
	if err != nil {
		return err
	}
	f.value = t
	*list = append(*list, f)
	if len(c.Args) == 3 {
		if c.Args[2] != "always" {
			return c.InvalidParameter(c.Args[2])
		}
		f.always = true
	}
	return nil
}

// safe reports whether the status is one that gets headers without "always".
func safe(st engine.Status) bool {
	switch st {
	case 200, 201, 204, 206, 301, 302, 303, 304, 307, 308:
		return true
	}
	return false
}

func apply(r *engine.Request) engine.Status {
	if !r.IsMain() {
		return engine.OK
	}
	c := loc.Of(r.Scope)
	ok := safe(r.Out.Status)
	if ok && c.expires.V.kind != expiresOff {
		c.expires.V.apply(r)
	}
	for _, f := range c.headers {
		if ok || f.always {
			f.add(r)
		}
	}
	for _, f := range c.trailers {
		if ok || f.always {
			r.ExpectTrailers = true
			r.UseOwnBody()
			break
		}
	}
	return engine.OK
}

// add adds a header. Last-Modified and ETag exist once, and are what conditions of requests are compared with.
func (f *field) add(r *engine.Request) {
	v := f.value.Eval(r)
	switch f.id {
	case http1.HLastModified:
		r.Out.LastModified = -1
		if t, ok := http1.ParseTime(v); ok {
			r.Out.LastModified = t
		}
		f.set(r, v)
	case http1.HETag:
		f.set(r, v)
	default:
		if len(v) > 0 {
			r.AddHeader(f.id, f.name, v)
		}
	}
}

func (f *field) set(r *engine.Request, v []byte) {
	if len(v) == 0 {
		r.DelHeaderOut(f.id)
		return
	}
	r.SetHeaderOut(f.id, f.name, v)
}

// end adds the trailers when the body ends.
func end(r *engine.Request, c *engine.Chunk) error {
	if c.Last && !r.HeadOnly {
		ok := safe(r.Out.Status)
		for _, f := range loc.Of(r.Scope).trailers {
			if !ok && !f.always {
				continue
			}
			if v := f.value.Eval(r); len(v) > 0 {
				r.Out.Trailers = append(r.Out.Trailers, http1.Header{Name: f.name, Value: v, ID: f.id})
			}
		}
	}
	return r.Next(c)
}
