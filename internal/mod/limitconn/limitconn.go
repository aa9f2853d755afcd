// Package limitconn bounds how many requests with the same key are served at one time (limit_conn). The counts are in
// zones that all workers share; a request gives its places back when it ends.
package limitconn

import (
	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/zone"
)

// config is what a location says. Limits are inherited as a whole.
type config struct {
	limits   []limit
	logLevel conf.Opt[nlog.Level]
	status   conf.Opt[int]
	dryRun   conf.Opt[bool]
}

// limit is one limit_conn directive.
type limit struct {
	zone *zone.Zone
	most int64
}

// counts is a zone's Data: the number of requests in flight by key.
type counts struct {
	key   *engine.Template
	table *zone.Table[int64]
}

// zoneTag marks the zones of this module.
type zoneTag struct{}

var loc = conf.NewLevel[config](conf.KindLocation)

// Module is the limit_conn family.
var Module = engine.Module{
	Module: conf.Module{Name: "limit_conn", Directives: []conf.Directive{
		{Name: "limit_conn_zone", Syntax: "key zone=name:size", In: conf.HTTP, Args: conf.Take2, Set: conf.Func(readZone),
			Doc: "Declares a zone of counts by key, which may have variables. Requests with an empty key are not counted."},
		{Name: "limit_conn", Syntax: "zone number", In: conf.HTTPServerLocation, Args: conf.Take2,
			Set: conf.List(loc, readLimit, func(c *config) *[]limit { return &c.limits }),
			Doc: "Bounds the requests with the same key that are served at one time; may be repeated with other zones. A connection counts while a request on it is served."},
		{Name: "limit_conn_log_level", In: conf.HTTPServerLocation, Default: "error",
			Set: conf.Slot(loc, zone.Levels, func(c *config) *conf.Opt[nlog.Level] { return &c.logLevel }),
			Doc: "The severity of log lines about refusals."},
		{Name: "limit_conn_status", In: conf.HTTPServerLocation, Default: "503", Set: conf.Slot(loc, conf.Int(400, 599), func(c *config) *conf.Opt[int] { return &c.status }),
			Doc: "The status of refusals."},
		{Name: "limit_conn_dry_run", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.dryRun }),
			Doc: "Counts and logs, but does not refuse."},
	}},
	Vars: []engine.Var{{Name: "limit_conn_status", NoCache: true, Get: status,
		Doc: "What the limits came to: PASSED, REJECTED or REJECTED_DRY_RUN."}},
	Steps: []engine.Step{{Phase: engine.Preaccess, Active: func(s *conf.Scope) bool { return len(loc.Of(s).limits) > 0 }, Run: check}},
	Setup: func(h *engine.HTTP) error {
		return zone.Check(h.Config.Values, zoneTag{}, "limit_conn_zone $binary_remote_addr zone=%s:1m;")
	},
	Init: adopt,
}

func readZone(c *conf.Cmd) error {
	key, err := engine.CompileArg(c, c.Args[0])
	if err != nil {
		return err
	}
	name, size, ok, err := zone.Param(c, c.Args[1])
	switch {
	case err != nil:
		return err
	case !ok:
		return c.InvalidParameter(c.Args[1])
	}
	return zone.Declare(c, name, size, zoneTag{}, &counts{key: key}, (*counts).keyText)
}

func (n *counts) keyText() string { return n.key.Text }

func readLimit(c *conf.Cmd) (l limit, err error) {
	if l.zone, err = zone.Add(c, c.Args[0], 0, zoneTag{}); err != nil {
		return l, err
	}
	for _, have := range loc.Of(c.Scope).limits {
		if have.zone == l.zone {
			return l, c.Duplicate()
		}
	}
	n, ok := ascii.ParseInt(c.Args[1])
	switch {
	case !ok || n == 0:
		return l, c.Errorf("invalid number of connections \"%s\"", c.Args[1])
	case n > 65535:
		return l, c.Errorf("connection limit must be less 65536")
	}
	l.most = n
	return l, nil
}

// adopt takes tables over from the snapshot before, or makes them.
func adopt(p *engine.Plane, h *engine.HTTP) error {
	return zone.Adopt(h.Config.Values, p.Before(h), zoneTag{}, "limit_conn_zone", func(z *zone.Zone) (string, **zone.Table[int64]) {
		d := z.Data.(*counts)
		return d.keyText(), &d.table
	})
}

// The values of Request.LimitConn.
const (
	passed = 1 + iota
	rejected
	rejectedDryRun
)

var statuses = [...][]byte{passed: []byte("PASSED"), rejected: []byte("REJECTED"), rejectedDryRun: []byte("REJECTED_DRY_RUN")}

func status(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	s := r.Main.LimitConn
	return statuses[s], s != 0
}

// place is what a request counts in.
type place struct {
	shard *zone.Shard[int64]
	entry *zone.Entry[int64]
}

// places are those of one request. They are the worker's, and lent to it.
type places struct {
	list []place
	w    *engine.Worker
	end  func()
	next *places
}

var workerSlot = engine.NewWorkerSlot()

func take(r *engine.Request) *places {
	p, _ := r.W.Values[workerSlot].(*places)
	if p == nil {
		p = &places{w: r.W}
		p.end = p.giveBack
	} else {
		r.W.Values[workerSlot] = p.next
	}
	r.Main.Cleanup(p.end)
	return p
}

func (p *places) giveBack() {
	p.leave()
	p.next, _ = p.w.Values[workerSlot].(*places)
	p.w.Values[workerSlot] = p
}

func (p *places) leave() {
	for _, at := range p.list {
		at.shard.Lock()
		if at.entry.Value--; at.entry.Value == 0 {
			at.shard.Delete(at.entry)
		}
		at.shard.Unlock()
	}
	clear(p.list)
	p.list = p.list[:0]
}

func check(r *engine.Request) engine.Status {
	if r.Main.LimitConn != 0 {
		return engine.Declined
	}
	c := loc.Of(r.Scope)
	var mine *places
	for i := range c.limits {
		l := &c.limits[i]
		n := l.zone.Data.(*counts)
		key := n.key.Eval(r)
		switch {
		case len(key) == 0:
			continue
		case len(key) > 255:
			r.Logf(nlog.Error, "the value of the \"%s\" key is more than 255 bytes: \"%s\"", n.key.Text, key)
			continue
		}
		r.Main.LimitConn = passed
		at, full := enter(n.table, key, l.most)
		if at.entry != nil {
			if mine == nil {
				mine = take(r)
			}
			mine.list = append(mine.list, at)
			continue
		}
		if full {
			dry := ""
			if c.dryRun.V {
				dry = ", dry run,"
			}
			r.Logf(c.logLevel.V, "limiting connections%s by zone \"%s\"", dry, l.zone.Name)
		}
		if mine != nil {
			mine.leave()
		}
		if c.dryRun.V {
			r.Main.LimitConn = rejectedDryRun
			return engine.Declined
		}
		r.Main.LimitConn = rejected
		return engine.Status(c.status.V)
	}
	return engine.Declined
}

// enter counts a request; without an entry it is one too many (full), or there is no memory for its key.
func enter(t *zone.Table[int64], key []byte, most int64) (at place, full bool) {
	s, k := t.Shard(key)
	s.Lock()
	defer s.Unlock()
	e := s.Get(k)
	switch {
	case e == nil:
		if e = s.Add(k); e == nil {
			return place{}, false
		}
	case e.Value >= most:
		return place{}, true
	}
	e.Value++
	return place{s, e}, false
}
