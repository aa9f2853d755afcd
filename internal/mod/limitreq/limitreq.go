// Package limitreq bounds how often requests with the same key are served (limit_req): a leaky bucket for each key, in a
// zone that all workers share. What is over the rate waits (burst) or is refused.
//
// Counting is nginx's to the millisecond and the thousandth of a request. A bucket that several limits look at before the
// last one has decided is pinned, so that it is not forgotten in between.
package limitreq

import (
	"strings"
	"time"

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

// limit is one limit_req directive; burst and delay count thousandths of requests.
type limit struct {
	zone         *zone.Zone
	burst, delay int64
}

// buckets is a zone's Data.
type buckets struct {
	name  string
	key   *engine.Template
	rate  int64 // thousandths of requests in a second
	table *zone.Table[bucket]
}

// bucket is the state of one key.
type bucket struct {
	last   int64 // milliseconds
	excess int64 // thousandths of requests over the rate
	pins   int32
}

// zoneTag marks the zones of this module.
type zoneTag struct{}

var loc = conf.NewLevel[config](conf.KindLocation)

// Module is the limit_req family.
var Module = engine.Module{
	Module: conf.Module{Name: "limit_req", Directives: []conf.Directive{
		{Name: "limit_req_zone", Syntax: "key zone=name:size rate=rate", In: conf.HTTP, Args: conf.Take3, Set: conf.Func(readZone),
			Doc: "Declares a zone of states by key, which may have variables, and the rate that requests with the same key are served at: `10r/s` or `30r/m`. Requests with an empty key are not counted."},
		{Name: "limit_req", Syntax: "zone=name [burst=number] [nodelay | delay=number]", In: conf.HTTPServerLocation, Args: conf.Take123,
			Set: conf.List(loc, readLimit, func(c *config) *[]limit { return &c.limits }),
			Doc: "Bounds requests by a zone; may be repeated with others. Up to burst requests over the rate wait for their turn, those above `delay` only, with `nodelay` none; the others are refused."},
		{Name: "limit_req_log_level", In: conf.HTTPServerLocation, Default: "error", Set: conf.Slot(loc, zone.Levels, func(c *config) *conf.Opt[nlog.Level] { return &c.logLevel }),
			Doc: "The severity of log lines about refusals; those about delays are one below it."},
		{Name: "limit_req_status", In: conf.HTTPServerLocation, Default: "503", Set: conf.Slot(loc, conf.Int(400, 599), func(c *config) *conf.Opt[int] { return &c.status }),
			Doc: "The status of refusals."},
		{Name: "limit_req_dry_run", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.dryRun }),
			Doc: "Counts and logs, but neither delays nor refuses."},
	}},
	Vars: []engine.Var{{Name: "limit_req_status", NoCache: true, Get: status,
		Doc: "What the limits came to: PASSED, DELAYED, REJECTED, DELAYED_DRY_RUN or REJECTED_DRY_RUN."}},
	Steps: []engine.Step{{Phase: engine.Preaccess, Active: func(s *conf.Scope) bool { return len(loc.Of(s).limits) > 0 }, Run: check}},
	Setup: func(h *engine.HTTP) error {
		return zone.Check(h.Config.Values, zoneTag{}, "limit_req_zone $binary_remote_addr zone=%s:1m rate=5r/s;")
	},
	Init: adopt,
}

func readZone(c *conf.Cmd) error {
	key, err := engine.CompileArg(c, c.Args[0])
	if err != nil {
		return err
	}
	name, size, rate, scale := "", int64(0), int64(1), int64(1)
	for _, a := range c.Args[1:] {
		n, sz, ok, err := zone.Param(c, a)
		if err != nil {
			return err
		}
		if ok {
			name, size = n, sz
			continue
		}
		text, ok := strings.CutPrefix(a, "rate=")
		if !ok {
			return c.InvalidParameter(a)
		}
		if t, ok := strings.CutSuffix(text, "r/s"); ok {
			text, scale = t, 1
		} else if t, ok := strings.CutSuffix(text, "r/m"); ok {
			text, scale = t, 60
		}
		if rate, ok = ascii.ParseInt(text); !ok || rate == 0 {
			return c.Errorf("invalid rate \"%s\"", a)
		}
	}
	return zone.Declare(c, name, size, zoneTag{}, &buckets{name: name, key: key, rate: rate * 1000 / scale}, (*buckets).keyText)
}

func (b *buckets) keyText() string { return b.key.Text }

func readLimit(c *conf.Cmd) (l limit, err error) {
	for _, a := range c.Args {
		key, text, has := strings.Cut(a, "=")
		switch n, number := ascii.ParseInt(text); {
		case key == "zone" && has:
			if l.zone, err = zone.Add(c, text, 0, zoneTag{}); err != nil {
				return l, err
			}
		case key == "burst" && has:
			if !number || n == 0 {
				return l, c.Errorf("invalid burst value \"%s\"", a)
			}
			l.burst = n * 1000
		case key == "delay" && has:
			if !number || n == 0 {
				return l, c.Errorf("invalid delay value \"%s\"", a)
			}
			l.delay = n * 1000
		case a == "nodelay":
			l.delay = 1 << 62
		default:
			return l, c.InvalidParameter(a)
		}
	}
	if l.zone == nil {
		return l, c.Errorf("\"%s\" must have \"zone\" parameter", c.Name)
	}
	for _, have := range loc.Of(c.Scope).limits {
		if have.zone == l.zone {
			return l, c.Duplicate()
		}
	}
	return l, nil
}

// adopt takes tables over from the snapshot before, or makes them.
func adopt(p *engine.Plane, h *engine.HTTP) error {
	return zone.Adopt(h.Config.Values, p.Before(h), zoneTag{}, "limit_req", func(z *zone.Zone) (string, **zone.Table[bucket]) {
		d := z.Data.(*buckets)
		return d.keyText(), &d.table
	})
}

// The values of Request.LimitReq.
const (
	passed = 1 + iota
	delayed
	rejected
	delayedDryRun
	rejectedDryRun
)

var statuses = [...][]byte{passed: []byte("PASSED"), delayed: []byte("DELAYED"), rejected: []byte("REJECTED"),
	delayedDryRun: []byte("DELAYED_DRY_RUN"), rejectedDryRun: []byte("REJECTED_DRY_RUN")}

func status(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	s := r.Main.LimitReq
	return statuses[s], s != 0
}

// dry is what the log lines say of a dry run.
func (c *config) dry() string {
	if c.dryRun.V {
		return ", dry run"
	}
	return ""
}

func check(r *engine.Request) engine.Status {
	if r.Main.LimitReq != 0 {
		return engine.Declined
	}
	c := loc.Of(r.Scope)
	d := decision{now: r.W.Loop.Now() / 1e6}
	switch d.decide(r, c.limits) {
	case none:
		return engine.Declined
	case over:
		if d.worst != nil {
			r.Logf(c.logLevel.V, "limiting requests%s, excess: %d.%03d by zone \"%s\"", c.dry(), d.excess/1000, d.excess%1000, d.worst.zone.Name)
		}
		if c.dryRun.V {
			r.Main.LimitReq = rejectedDryRun
			return engine.Declined
		}
		r.Main.LimitReq = rejected
		return engine.Status(c.status.V)
	}
	if d.delay == 0 {
		r.Main.LimitReq = passed
		return engine.Declined
	}
	r.Logf(min(c.logLevel.V+1, nlog.Info), "delaying request%s, excess: %d.%03d, by zone \"%s\"", c.dry(), d.excess/1000, d.excess%1000, d.worst.zone.Name)
	if c.dryRun.V {
		r.Main.LimitReq = delayedDryRun
		return engine.Declined
	}
	r.Main.LimitReq = delayed
	if st := r.Delay(time.Duration(d.delay) * time.Millisecond); st != engine.OK {
		return st
	}
	return engine.Declined
}
