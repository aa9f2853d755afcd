package upstream

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"moongate/internal/base/nlog"
)

// Outlier says when a server is ejected for what its answers are like. The names and the defaults are Envoy's.
type Outlier struct {
	Consecutive5xx     int // 0: not looked at
	ConsecutiveGateway int // 502, 503, 504 and failures to get an answer
	Interval           time.Duration
	BaseEjection       time.Duration
	MaxEjection        time.Duration
	MaxPercent         int // of the servers that may be ejected at a time; one always may
	// Success rates are compared once so many servers had so many requests in an interval.
	MinHosts, RequestVolume int
	StdevFactor             int // in thousandths; 0: not looked at
}

// DefaultOutlier has the defaults.
var DefaultOutlier = Outlier{Consecutive5xx: 5, Interval: 10 * time.Second, BaseEjection: 30 * time.Second, MaxEjection: 300 * time.Second, MaxPercent: 10,
	MinHosts: 5, RequestVolume: 100, StdevFactor: 1900}

// DefaultPanic is the share of usable servers below which health is disregarded.
const DefaultPanic = 50

// outlierState is what is known of a server's answers.
type outlierState struct {
	in5xx, inGateway atomic.Int32 // in a row
	all, good        atomic.Int64 // in this interval
	times            atomic.Int32 // that it was ejected lately
}

// isOut reports whether the server is not to be asked at a moment.
func (s *State) isOut(now int64) bool {
	out := s.out.Load()
	return out&outUnhealthy != 0 || out&outEjected != 0 && now < s.until.Load()
}

// EjectedUntil is when the ejection ends, in monotonic nanoseconds; 0: the server is not ejected.
func (s *State) EjectedUntil() int64 {
	if !s.Ejected() {
		return 0
	}
	return s.until.Load()
}

// observe counts an answer.
func (g *Group) observe(p *Peer, r *Result, now int64) {
	o, st := g.Outlier, &p.outlier
	if r.Status == 0 && !r.Broken {
		return
	}
	failed := r.Status >= 500 || r.Broken
	gateway := r.Local || r.Broken || r.Status >= 502 && r.Status <= 504
	st.all.Add(1)
	if !failed {
		st.good.Add(1)
		if st.in5xx.Load() != 0 {
			st.in5xx.Store(0)
		}
	} else if n := st.in5xx.Add(1); o.Consecutive5xx > 0 && int(n) >= o.Consecutive5xx {
		st.in5xx.Store(0)
		g.eject(p, now, "consecutive 5xx")
	}
	if !gateway {
		if st.inGateway.Load() != 0 {
			st.inGateway.Store(0)
		}
	} else if n := st.inGateway.Add(1); o.ConsecutiveGateway > 0 && int(n) >= o.ConsecutiveGateway {
		st.inGateway.Store(0)
		g.eject(p, now, "consecutive gateway failures")
	}
}

// ejecting keeps workers from ejecting more than they may together.
var ejecting sync.Mutex

// eject leaves p alone for a while, longer each time.
func (g *Group) eject(p *Peer, now int64, why string) {
	ejecting.Lock()
	defer ejecting.Unlock()
	if p.Ejected() {
		return
	}
	ps := g.Peers()
	ejected, all := 0, len(ps.Main)+len(ps.Backup)
	for _, q := range ps.each {
		if q.Ejected() {
			ejected++
		}
	}
	if ejected > 0 && (ejected+1)*100 > g.Outlier.MaxPercent*all {
		return
	}
	o := g.Outlier
	n := p.outlier.times.Load()
	if time.Duration(n)*o.BaseEjection < o.MaxEjection || n == 0 { // longer than at most does not take longer to be forgiven
		n = p.outlier.times.Add(1)
	}
	for_ := min(time.Duration(n)*o.BaseEjection, max(o.MaxEjection, o.BaseEjection))
	p.until.Store(now + int64(for_))
	p.setOut(outEjected)
	g.logf(nlog.Warn, "upstream server %s of \"%s\" is ejected for %v: %s", p.Name, g.Name, for_, why)
	g.Assess()
	if f := g.onEject.Load(); f != nil {
		(*f)()
	}
}

// Sweep ends ejections that are over and, once an interval has passed, compares success rates. It tells when it wants to be
// called again, in monotonic nanoseconds. One goroutine calls it.
func (g *Group) Sweep(now int64, interval bool) (next int64) {
	next = math.MaxInt64
	ps := g.Peers()
	back := false
	for _, p := range ps.each {
		if p.Ejected() {
			if until := p.until.Load(); now < until {
				next = min(next, until)
				continue
			}
			p.outlier.in5xx.Store(0) // what was under way when it was ejected
			p.outlier.inGateway.Store(0)
			p.clearOut(outEjected, now)
			back = true
			g.logf(nlog.Notice, "upstream server %s of \"%s\" is no longer ejected", p.Name, g.Name)
		} else if interval && p.outlier.times.Load() > 0 {
			p.outlier.times.Add(-1)
		}
	}
	if back {
		g.Assess()
	}
	if interval {
		g.compareRates(ps, now)
	}
	return next
}

// compareRates ejects servers whose success rate is too far below the mean.
func (g *Group) compareRates(ps *Peers, now int64) {
	o := g.Outlier
	type rate struct {
		p *Peer
		r float64
	}
	var rates []rate
	sum := 0.0
	for _, p := range ps.each {
		all, good := p.outlier.all.Swap(0), p.outlier.good.Swap(0)
		if all >= int64(o.RequestVolume) && all > 0 && !p.Ejected() {
			r := float64(good) * 100 / float64(all)
			rates = append(rates, rate{p, r})
			sum += r
		}
	}
	if o.StdevFactor == 0 || len(rates) < o.MinHosts || len(rates) == 0 {
		return
	}
	mean, square := sum/float64(len(rates)), 0.0
	for _, r := range rates {
		square += (r.r - mean) * (r.r - mean)
	}
	low := mean - math.Sqrt(square/float64(len(rates)))*float64(o.StdevFactor)/1000
	for _, r := range rates {
		if r.r < low {
			g.eject(r.p, now, "success rate")
		}
	}
}

// each calls f for all servers.
func (ps *Peers) each(f func(i int, p *Peer) bool) {
	for i, p := range ps.Main {
		if !f(i, p) {
			return
		}
	}
	for i, p := range ps.Backup {
		if !f(len(ps.Main)+i, p) {
			return
		}
	}
}

// Each ranges over all servers.
func (ps *Peers) Each(f func(i int, p *Peer) bool) { ps.each(f) }

func (s *State) setOut(bit uint32) {
	for {
		old := s.out.Load()
		if s.out.CompareAndSwap(old, old|bit) {
			return
		}
	}
}

func (s *State) clearOut(bit uint32, now int64) {
	for {
		old := s.out.Load()
		if s.out.CompareAndSwap(old, old&^bit) {
			if old&^bit == 0 {
				s.ready.Store(now)
			}
			return
		}
	}
}

// Checked takes in what an active check has found: problem is "" when all was well. After so many checks that went
// the other way the server's health changes. It reports whether it is healthy now. One goroutine calls it.
func (g *Group) Checked(p *Peer, problem string, rise, fall int, now int64) bool {
	s := p.State
	text := problem
	if text == "" {
		text = "ok"
	} else {
		s.CheckFail.Add(1)
	}
	s.Checks.Add(1)
	s.checkText.Store(&text)
	healthy := !s.Unhealthy()
	if (problem == "") == healthy {
		s.streak = 0
		return healthy
	}
	s.streak++
	switch {
	case !healthy && s.streak >= rise:
		s.clearOut(outUnhealthy, now)
		g.logf(nlog.Notice, "upstream server %s of \"%s\" is healthy", p.Name, g.Name)
	case healthy && s.streak >= fall:
		s.setOut(outUnhealthy)
		g.logf(nlog.Warn, "upstream server %s of \"%s\" is unhealthy: %s", p.Name, g.Name, problem)
	default:
		return healthy
	}
	s.streak = 0
	g.Assess()
	return !healthy
}

// Forget makes the servers healthy that nobody checks any more, and ends ejections of a group that does not eject any
// more; an earlier configuration did.
func (g *Group) Forget(checked bool) {
	for _, p := range g.Peers().each {
		if !checked && p.Unhealthy() {
			p.clearOut(outUnhealthy, 0)
		}
		if g.Outlier == nil && p.Ejected() {
			p.clearOut(outEjected, 0)
		}
	}
	g.Assess()
}

// counts reports whether the server is usable. A group that ejects nobody has nothing to do with what a request under way
// since an earlier configuration may have ejected.
func (s *State) counts(g *Group) bool {
	out := s.out.Load()
	return out == 0 || out == outEjected && g.Outlier == nil
}

var assessing sync.Mutex

// Panics reports whether so few servers are usable that health and ejection are disregarded.
func (g *Group) Panics() bool { return g.panic.Load() }

// Assess finds out whether enough servers are usable, after a change. Backups that are help.
func (g *Group) Assess() {
	assessing.Lock() // lest who has looked first has the last word
	defer assessing.Unlock()
	ps := g.live.Load()
	usable, all := 0, 0
	for _, p := range ps.Main {
		if p.Down {
			continue
		}
		all++
		if p.counts(g) {
			usable++
		}
	}
	panics := all > 0 && usable < all && usable*100 < g.Panic*all
	for _, p := range ps.Backup {
		if !p.Down && p.counts(g) {
			panics = false
		}
	}
	if g.panic.Swap(panics) != panics {
		if panics {
			g.logf(nlog.Warn, "upstream \"%s\" panics: %d of %d servers are usable, health is disregarded", g.Name, usable, all)
		} else {
			g.logf(nlog.Notice, "upstream \"%s\" no longer panics: %d of %d servers are usable", g.Name, usable, all)
		}
	}
}
