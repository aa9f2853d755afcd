// Package stubstatus shows the counters of connections and requests, as a page (stub_status) and as variables.
package stubstatus

import (
	"strconv"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// Module is the stub_status directive and its variables.
var Module = engine.Module{
	Module: conf.Module{Name: "stub_status", Directives: []conf.Directive{
		{Name: "stub_status", In: conf.Server | conf.Location, Args: conf.NoArgs | conf.Take1, Doc: "Answers with the counters of connections and requests.",
			Set: conf.Func(func(c *conf.Cmd) error {
				engine.LocationOf(c.Scope).Handler = serve
				return nil
			})},
	}},
	Vars: []engine.Var{
		counter("connections_active", "The number of open client connections.", func(n *numbers) int64 { return n.active }),
		counter("connections_reading", "The number of connections whose request head is being read.", func(n *numbers) int64 { return n.reading }),
		counter("connections_writing", "The number of connections with a request that is being served.", func(n *numbers) int64 { return n.writing }),
		counter("connections_waiting", "The number of connections that wait for a request.", func(n *numbers) int64 { return n.waiting }),
	},
}

type numbers struct {
	accepted, active, requests, reading, writing, waiting int64
}

func count(r *engine.Request) *numbers {
	r.W.Publish()
	accepted, active, requests := r.W.Plane.Stats()
	n := &numbers{accepted: accepted, active: active, requests: int64(requests), writing: r.W.Plane.InFlight(), reading: r.W.Plane.Reading()}
	n.waiting = max(0, n.active-n.writing-n.reading)
	return n
}

func counter(name, doc string, of func(n *numbers) int64) engine.Var {
	return engine.Var{Name: name, NoCache: true, Doc: doc, Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) {
		return strconv.AppendInt(r.Alloc(20)[:0], of(count(r)), 10), true
	}}
}

var typeText = []byte("text/plain")

func serve(r *engine.Request) engine.Status {
	if r.Method&(http1.MethodGet|http1.MethodHead) == 0 {
		return 405
	}
	if st := r.DiscardBody(); st != engine.OK {
		return st
	}
	n := count(r)
	b := r.Alloc(300)[:0]
	put := func(text string, v int64) {
		b = append(strconv.AppendInt(append(b, text...), v, 10), ' ')
	}
	put("Active connections: ", n.active)
	put("\nserver accepts handled requests\n ", n.accepted)
	put("", n.accepted)
	put("", n.requests)
	put("\nReading: ", n.reading)
	put("Writing: ", n.writing)
	put("Waiting: ", n.waiting)
	b = append(b, '\n')
	r.Out.Status = 200
	r.Out.ContentType = typeText
	return r.SendText(b)
}
