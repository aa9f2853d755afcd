package upstreams

import (
	"errors"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/health"
	"moongate/internal/netio"
	"moongate/internal/relay"
	"moongate/internal/resolve"
	"moongate/internal/upstream"
)

// keeper does what a group needs once per process, whatever the number of workers: it resolves names, checks health and ends
// ejections. It runs in the first worker.
type keeper struct {
	loop    *netio.Loop
	stopped bool
	names   []*name
	checks  map[*upstream.Group]*health.Checker
	sweeps  []*sweep
}

var keeperSlot = engine.NewWorkerSlot()

// begin ties the groups of a new snapshot to the process.
func begin(p *engine.Plane, h *engine.HTTP) error {
	all := relay.AllGroups(h)
	kept := make([]*upstream.Group, len(all))
	for i, g := range all {
		g.Log = func() *nlog.Logger { return p.Params().Log }
		kept[i] = &g.Group
	}
	upstream.Keep(kept)
	relay.KeepSessions(all)
	return relay.BeginCaches(p, h)
}

func startWorker(w *engine.Worker) error {
	keep(w, w.HTTP)
	relay.KeepCaches(w, w.HTTP)
	return nil
}

func reloadWorker(w *engine.Worker, h *engine.HTTP) {
	stopWorker(w)
	keep(w, h)
	relay.KeepCaches(w, h)
}

func stopWorker(w *engine.Worker) {
	if k, _ := w.Values[keeperSlot].(*keeper); k != nil {
		k.stop()
		w.Values[keeperSlot] = nil
	}
}

// endWorker is stopWorker when nothing follows: idle connections are closed.
func endWorker(w *engine.Worker) {
	stopWorker(w)
	relay.StopCaches(w)
	relay.Retire(w, w.HTTP)
}

func keep(w *engine.Worker, h *engine.HTTP) {
	if w.ID != 0 {
		return
	}
	k := &keeper{loop: w.Loop, checks: map[*upstream.Group]*health.Checker{}}
	wanted, _ := h.Values[checksKey{}].(checks) // only read: other workers look at Values too
	for _, g := range relay.Groups(h) {
		for i := range g.Servers {
			if g.Servers[i].Host != "" {
				k.resolve(g, &g.Servers[i])
			}
		}
		if c := wanted[g]; c != nil {
			k.checks[&g.Group] = health.Start(w.Loop, &g.Group, c)
		}
		g.Forget(wanted[g] != nil)
		if g.Outlier != nil {
			k.sweep(&g.Group)
		}
	}
	w.Values[keeperSlot] = k
}

func (k *keeper) stop() {
	k.stopped = true
	for _, n := range k.names {
		k.loop.Disarm(&n.timer)
	}
	for _, c := range k.checks {
		c.Stop()
	}
	for _, s := range k.sweeps {
		s.g.OnEject(nil)
		k.loop.Disarm(&s.timer)
	}
}

// name is a server that is resolved again and again.
type name struct {
	k     *keeper
	g     *relay.Group
	s     *upstream.Server
	timer netio.Timer
}

// Times after which a name is resolved again: at the earliest, and when there is no such name.
const (
	soonest      = int64(time.Second)
	nothingValid = 10 * time.Second
)

func (k *keeper) resolve(g *relay.Group, s *upstream.Server) {
	n := &name{k: k, g: g, s: s}
	n.timer.Init(n.run)
	k.names = append(k.names, n)
	k.loop.Arm(&n.timer, max(k.loop.Now(), g.ResolvedUntil(s)))
}

// run is the timer's function.
func (n *name) run() {
	k, loop := n.k, n.k.loop
	found, until, err := n.ask()
	if k.stopped || loop.Stopped() {
		return
	}
	var re *resolve.Error
	switch {
	case err == nil:
	case !errors.As(err, &re) || re.Code != 3:
		loop.Arm(&n.timer, loop.Now()+max(int64(n.g.ResolverTimeout), soonest))
		return
	default: // there is no such name any more
		valid := n.g.Resolver.Valid
		if valid == 0 {
			valid = nothingValid
		}
		until = loop.Now() + int64(valid)
	}
	if n.g.Resolved(n.s, found) {
		if c := k.checks[&n.g.Group]; c != nil {
			c.Sync()
		}
	}
	n.g.SetResolvedUntil(n.s, until)
	loop.Arm(&n.timer, max(until, loop.Now()+soonest))
}

// ask asks the resolver and logs what it cannot find.
func (n *name) ask() (found []upstream.Found, until int64, err error) {
	r := resolve.For(n.k.loop, n.g.Resolver)
	deadline := n.k.loop.Now() + int64(n.g.ResolverTimeout)
	if n.s.Service != "" {
		return n.askService(r, deadline)
	}
	addrs, until, err := r.LookupUntil(n.s.Host, deadline)
	if err != nil {
		n.logError(err, "%s could not be resolved (%d: %s)", n.s.Host)
	}
	for _, a := range addrs {
		found = append(found, upstream.Found{Addr: upstream.NewAddrPort(a, n.s.Port)})
	}
	return found, until, err
}

func (n *name) askService(r *resolve.Resolver, deadline int64) (found []upstream.Found, until int64, err error) {
	list, until, problems, err := r.Service(n.s.Service, n.s.Host, deadline)
	for _, p := range problems {
		n.logError(p.Err, "%s could not be resolved (%d: %s) while resolving service "+n.s.Service+" of "+n.s.Host, p.Host)
	}
	if err != nil {
		n.logError(err, "service "+n.s.Service+" of %s could not be resolved (%d: %s)", n.s.Host)
	}
	first := 1 << 16
	for _, t := range list {
		first = min(first, t.Priority)
	}
	for _, t := range list {
		found = append(found, upstream.Found{Addr: upstream.NewAddr(t.Addr), Name: t.Host, Weight: t.Weight, Backup: t.Priority != first})
	}
	return found, until, err
}

func (n *name) logError(err error, format, host string) {
	var re *resolve.Error
	if errors.As(err, &re) {
		n.g.Log().Logf(nlog.Error, nil, nil, format, host, re.Code, re.Text)
	}
}

// sweep ends the ejections of a group and compares success rates.
type sweep struct {
	k        *keeper
	g        *upstream.Group
	timer    netio.Timer
	interval int64 // when the present one ends
}

func (k *keeper) sweep(g *upstream.Group) {
	s := &sweep{k: k, g: g, interval: k.loop.Now() + int64(g.Outlier.Interval)}
	s.timer.Init(s.run)
	k.sweeps = append(k.sweeps, s)
	g.OnEject(func() {
		k.loop.Post(func() {
			if !k.stopped {
				k.loop.Arm(&s.timer, k.loop.Now())
			}
		})
	})
	k.loop.Arm(&s.timer, s.interval)
}

func (s *sweep) run() {
	now := s.k.loop.Now()
	over := now >= s.interval
	if over {
		s.interval = now + int64(s.g.Outlier.Interval)
	}
	next := s.g.Sweep(now, over)
	s.k.loop.Arm(&s.timer, min(next, s.interval))
}
