// Package authrequest lets a subrequest decide whether a request may go on (auth_request): with 2xx it may, 401 and 403 are
// passed on, anything else is a failure. Only the subrequest's status and head are used.
package authrequest

import (
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct {
	uri  conf.Opt[string] // "": off
	sets []set
}

// set is one auth_request_set.
type set struct {
	to    *engine.Var
	value *engine.Template
}

var loc = conf.NewLevel[config](conf.KindLocation)

// uriType is a URI, or "off".
var uriType = conf.NewType("uri | off", conf.Take1, func(c *conf.Cmd) (string, error) {
	if c.Args[0] == "off" {
		return "", nil
	}
	return c.Args[0], nil
})

// Module is the auth_request family.
var Module = engine.Module{
	Module: conf.Module{Name: "auth_request", Directives: []conf.Directive{
		{Name: "auth_request", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, uriType, func(c *config) *conf.Opt[string] { return &c.uri }),
			Doc: "Asks a subrequest whether the request may go on."},
		{Name: "auth_request_set", Syntax: "$variable value", In: conf.HTTPServerLocation, Args: conf.Take2,
			Set: conf.List(loc, readSet, func(c *config) *[]set { return &c.sets }),
			Doc: "Sets a variable when the subrequest of auth_request has ended; variables in the value are the subrequest's."},
	}},
	Steps: []engine.Step{{Phase: engine.Access, Active: func(s *conf.Scope) bool { return loc.Of(s).uri.V != "" }, Run: check}},
}

func readSet(c *conf.Cmd) (s set, err error) {
	name := c.Args[0]
	if name == "" || name[0] != '$' {
		return s, c.Errorf("invalid variable name \"%s\"", name)
	}
	s.to, err = engine.HTTPOf(c).DefineVar(engine.Var{Name: name[1:], Weak: true, Get: func(*engine.Request, *engine.Var) ([]byte, bool) { return nil, false }})
	if err != nil {
		return s, c.Errorf("%s", err)
	}
	s.value, err = engine.CompileArg(c, c.Args[1])
	return s, err
}

func check(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	sub, st := r.Subrequest(r.CopyString(c.uri.V), nil, &engine.SubOptions{Discard: true, ShareVars: true})
	if st != engine.OK {
		return st
	}
	defer sub.Release()
	for i := range c.sets {
		r.SetVar(c.sets[i].to, r.Copy(c.sets[i].value.Eval(sub.Req)))
	}
	st = engine.Status(sub.Req.LogStatus())
	switch {
	case st == 403, st == engine.StatusClientClosed: // in the second case nobody waits for an answer
	case st == 401:
		challenge(r, sub.Req)
	case st >= 200 && st < 300:
		return engine.OK
	default:
		r.Logf(nlog.Error, "auth request unexpected status: %d", st)
		return 500
	}
	return st
}

// challenge passes the subrequest's WWW-Authenticate headers on.
func challenge(r, sub *engine.Request) {
	for i := range sub.Out.List {
		if h := &sub.Out.List[i]; h.ID == http1.HWWWAuthenticate && h.Name != nil {
			r.AddHeader(h.ID, r.Copy(h.Name), r.Copy(h.Value))
		}
	}
}
