// Package headersmore changes any header of responses, the server's own included, and of requests (the directives of
// headers-more-nginx-module).
//
// Each directive is a command: conditions, and the headers it sets or clears. Commands for responses run in a header
// filter, those for requests at the end of the rewrite phase; an outer block's run before an inner one's.
package headersmore

import (
	"moongate/internal/conf"
	"moongate/internal/engine"
)

// config has the commands of a location, those of the blocks around it first.
type config struct {
	out, in []*command
}

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(func(p, c *config, _ *conf.Scope) error {
	c.out = join(p.out, c.out)
	c.in = join(p.in, c.in)
	return nil
})

func join(outer, inner []*command) []*command {
	if len(inner) == 0 {
		return outer
	}
	return append(outer[:len(outer):len(outer)], inner...)
}

// Module is the headers-more module.
var Module = engine.Module{
	Module: conf.Module{Name: "headers_more", Directives: []conf.Directive{
		{Name: "more_set_headers", Syntax: "[-t types] [-s statuses] [-a] name: value ...", In: conf.InRequest, Args: conf.OneMore, Set: conf.Func(func(c *conf.Cmd) error {
			return read(c, "tsa", false, &loc.Of(c.Scope).out)
		}), Doc: "Sets response headers, whatever module made them, or deletes those without a value; `-t` and `-s` limit it to content types and statuses, `-a` adds to headers of the same name."},
		{Name: "more_clear_headers", Syntax: "[-t types] [-s statuses] name ...", In: conf.InRequest, Args: conf.OneMore, Set: conf.Func(func(c *conf.Cmd) error {
			return read(c, "ts", true, &loc.Of(c.Scope).out)
		}), Doc: "Deletes response headers; a `*` at the end of a name stands for any rest."},
		{Name: "more_set_input_headers", Syntax: "[-r] [-t types] name: value ...", In: conf.InRequest, Args: conf.OneMore, Set: conf.Func(func(c *conf.Cmd) error {
			return read(c, "tr", false, &loc.Of(c.Scope).in)
		}), Doc: "Sets request headers, or deletes those without a value; `-t` limits it to content types of requests, `-r` to headers that are there."},
		{Name: "more_clear_input_headers", Syntax: "[-t types] name ...", In: conf.InRequest, Args: conf.OneMore, Set: conf.Func(func(c *conf.Cmd) error {
			return read(c, "t", true, &loc.Of(c.Scope).in)
		}), Doc: "Deletes request headers; a `*` at the end of a name stands for any rest."},
	}},
	Steps: []engine.Step{{Phase: engine.Rewrite, Active: func(s *conf.Scope) bool { return loc.Of(s).in != nil }, Run: rewriteInput}},
}

// Filter changes the heads of responses.
var Filter = engine.Filter{Name: "headers_more", Active: func(s *conf.Scope) bool { return loc.Of(s).out != nil }, Header: headerFilter}

// command is a directive.
type command struct {
	headers  []header
	types    [][]byte
	statuses []engine.Status
	add      bool // -a
	existing bool // -r
}

// header is one that a command sets, or clears when it has no value.
type header struct {
	name     []byte
	value    *engine.Template // nil: clear
	wildcard bool             // name is a beginning
}

func headerFilter(r *engine.Request) engine.Status {
	for _, c := range loc.Of(r.Scope).out {
		if c.appliesOut(r) {
			for i := range c.headers {
				c.headers[i].setOut(r, c.add)
			}
		}
	}
	return engine.OK
}

func rewriteInput(r *engine.Request) engine.Status {
	if r.URIChanged() {
		return engine.Declined
	}
	for _, c := range loc.Of(r.Scope).in {
		if c.appliesIn(r) {
			for i := range c.headers {
				if !c.headers[i].setIn(r, c.existing) {
					return 500
				}
			}
		}
	}
	return engine.Declined
}
