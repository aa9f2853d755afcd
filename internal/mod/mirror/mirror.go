// Package mirror sends copies of requests elsewhere (mirror): subrequests beside the request, whose answers nobody sees. The
// response does not wait for them, but the connection's next request does.
package mirror

import (
	"moongate/internal/conf"
	"moongate/internal/engine"
)

type config struct {
	uris []string
	off  bool
	body conf.Opt[bool]
}

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(func(parent, child *config, _ *conf.Scope) error {
	if child.uris == nil && !child.off {
		child.uris, child.off = parent.uris, parent.off
	}
	return nil
})

// Module is the mirror family.
var Module = engine.Module{
	Module: conf.Module{Name: "mirror", Directives: []conf.Directive{
		{Name: "mirror", Syntax: "uri | off", In: conf.HTTPServerLocation, Default: "off", Args: conf.Take1, Set: conf.Func(read),
			Doc: "Serves a copy of each request at another URI and drops the answer; may be repeated."},
		{Name: "mirror_request_body", In: conf.HTTPServerLocation, Default: "on", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.body }),
			Doc: "Reads the request body first and gives it to the copies, too."},
	}},
	Steps: []engine.Step{{Phase: engine.Precontent, Active: func(s *conf.Scope) bool { return len(loc.Of(s).uris) > 0 }, Run: send}},
}

func read(c *conf.Cmd) error {
	lc := loc.Of(c.Scope)
	off := c.Args[0] == "off"
	if lc.off || off && lc.uris != nil {
		return c.Duplicate()
	}
	if off {
		lc.off = true
		return nil
	}
	lc.uris = append(lc.uris, c.Args[0])
	return nil
}

func send(r *engine.Request) engine.Status {
	if !r.IsMain() {
		return engine.Declined
	}
	c := loc.Of(r.Scope)
	if c.body.V {
		if st := r.ReadBody(); st != engine.OK {
			return st
		}
	}
	for _, uri := range c.uris {
		r.Background(r.CopyString(uri), r.Args, engine.SubOptions{Method: r.Method, MethodName: r.MethodName, KeepBody: c.body.V, ShareVars: true})
	}
	return engine.Declined
}
