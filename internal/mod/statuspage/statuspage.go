// Package statuspage shows the state of the server: connections, requests by zone, upstream servers, shared dictionaries and Lua
// memory, as a page, as JSON (status_page) and for Prometheus (prometheus_metrics).
//
// What happens often is counted elsewhere, by each worker for itself: here are only the counters of zones (status_zone). All else is
// gathered when somebody asks, outside of the worker that serves, into one State that the three forms are made of.
package statuspage

import (
	"bytes"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// config is what a location has.
type config struct {
	zone    conf.Opt[string]
	counted *zone // of this configuration
	form    string
	goStats bool
	process bool
}

var loc = conf.NewLevel[config](conf.KindLocation)

// Module has the directives.
var Module = engine.Module{
	Module: conf.Module{Name: "status_page", Directives: []conf.Directive{
		{Name: "status_page", In: conf.Location, Args: conf.NoArgs | conf.Take1, Syntax: "[html | json]", Set: conf.Func(readPage),
			Doc: "Answers with the state of the server, as a page or as JSON. Without a parameter, and with the argument format in the request, the client chooses; Accept: application/json asks for JSON. Who may see it is for allow, deny and auth_basic to say."},
		{Name: "prometheus_metrics", In: conf.Location, Args: conf.NoArgs | conf.Take12, Syntax: "[go] [process]", Set: conf.Func(readMetrics),
			Doc: "Answers with the state of the server as metrics for Prometheus; go and process add those of the Go runtime and of the process. Who may see it is for allow, deny and auth_basic to say."},
		{Name: "status_zone", In: conf.HTTPServerLocation, Set: conf.Slot(loc, zoneType, func(c *config) *conf.Opt[string] { return &c.zone }),
			Doc: "Counts the requests that end here under a name, which status_page and prometheus_metrics show; several places may share one. off counts nothing."},
	}},
	Steps: []engine.Step{{Phase: engine.Log, Active: counts, Run: count}},
	Init:  begin,
}

var zoneType = conf.NewType("name | off", conf.Take1, func(c *conf.Cmd) (string, error) {
	switch name := c.Args[0]; name {
	case "":
		return "", c.Errorf("invalid zone name \"\"")
	case "off":
		return "", nil
	default:
		return name, nil
	}
})

func readPage(c *conf.Cmd) error {
	cf := loc.Of(c.Scope)
	if len(c.Args) > 0 {
		if cf.form = c.Args[0]; cf.form != "html" && cf.form != "json" {
			return c.InvalidParameter(cf.form)
		}
	}
	engine.LocationOf(c.Scope).Handler = servePage
	return nil
}

func readMetrics(c *conf.Cmd) error {
	cf := loc.Of(c.Scope)
	for _, arg := range c.Args {
		switch arg {
		case "go":
			cf.goStats = true
		case "process":
			cf.process = true
		default:
			return c.InvalidParameter(arg)
		}
	}
	engine.LocationOf(c.Scope).Handler = serveMetrics
	return nil
}

var (
	typeJSON    = []byte("application/json")
	typeHTML    = []byte("text/html; charset=utf-8")
	typeMetrics = []byte("text/plain; version=0.0.4; charset=utf-8")
)

func servePage(r *engine.Request) engine.Status {
	if form(r) == "json" {
		return answer(r, typeJSON, (*State).json)
	}
	return answer(r, typeHTML, (*State).html)
}

// form is the one that the directive or the client wants.
func form(r *engine.Request) string {
	if f := loc.Of(r.Scope).form; f != "" {
		return f
	}
	for _, arg := range bytes.Split(r.Args, []byte{'&'}) {
		if v, ok := bytes.CutPrefix(arg, []byte("format=")); ok {
			return string(v)
		}
	}
	if bytes.Contains(r.In.Get(http1.HAccept), typeJSON) {
		return "json"
	}
	return "html"
}

func serveMetrics(r *engine.Request) engine.Status {
	cf := loc.Of(r.Scope)
	return answer(r, typeMetrics, func(s *State) ([]byte, error) { return s.metrics(cf.goStats, cf.process) })
}

// answer gathers the state and sends a form of it; the worker goes on meanwhile.
func answer(r *engine.Request, typ []byte, make func(*State) ([]byte, error)) engine.Status {
	if r.Method&(http1.MethodGet|http1.MethodHead) == 0 {
		return 405
	}
	if st := r.DiscardBody(); st != engine.OK {
		return st
	}
	var body []byte
	var err error
	plane, h := r.W.Plane, r.H
	r.W.Publish()
	r.W.Loop.Offload(func() { body, err = make(gather(plane, h)) })
	if err != nil {
		r.Logf(3, "status page failed: %s", err)
		return 500
	}
	r.Out.Status = 200
	r.Out.ContentType = typ
	return r.SendText(body)
}
