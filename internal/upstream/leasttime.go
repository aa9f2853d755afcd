package upstream

import "sync/atomic"

// times are averages of response times in milliseconds. Workers that share them may overwrite each other's newest value:
// an average bears that.
type times struct {
	header, response                atomic.Int64
	flight, last, changed, inFlight atomic.Int64
}

const milli = int64(1e6)

// average is an exponential moving one, rounded.
func average(a *atomic.Int64, v int64) {
	if old := a.Load(); old != 0 {
		v = int64(0.5 + float64(v)*0.05 + float64(old)*0.95)
	}
	a.Store(v)
}

// begin counts a request that has no answer yet.
func (t *times) begin(now int64) {
	now /= milli
	n := t.inFlight.Load()
	if n > 0 {
		t.last.Add((now - t.changed.Load()) * n)
	}
	t.changed.Store(now)
	t.inFlight.Store(n + 1)
}

// end forgets one, which took so long.
func (t *times) end(took, now int64) {
	now /= milli
	n := t.inFlight.Load()
	if n <= 1 {
		t.last.Store(0)
		t.inFlight.Store(0)
		return
	}
	t.last.Add((now-t.changed.Load())*n - took)
	t.changed.Store(now)
	t.inFlight.Store(n - 1)
}

// byHeader reports whether the time to the response head counts.
func (m Method) byHeader() bool { return m == LeastTime || m == RandomLeastTime }

// Head is told that the response head has come after so many nanoseconds.
func (c *Choice) Head(took, now int64) {
	p := c.cur
	if p == nil || !c.flying || !c.b.Group.Method.byHeader() {
		return
	}
	average(&p.times.header, took/milli)
	c.flying = false
	p.times.end(took/milli, now)
}

// measure learns from a try that has ended. Only successful ones count, lest a failing peer be preferred.
func (c *Choice) measure(p *peerState, r *Result, now int64) {
	if c.flying {
		c.flying = false
		p.times.end(r.Whole/milli, now)
	}
	if r.Outcome != Good || r.Header < 0 {
		return
	}
	average(&p.times.response, r.Whole/milli)
	if g := c.b.Group; g.Inflight && g.Method.byHeader() {
		return // Head has
	}
	average(&p.times.header, r.Header/milli)
}

func (c *Choice) leastTime(now int64) int {
	best, many := -1, false
	var least int64
	for i, p := range c.set.peers {
		if !c.usable(i, now) {
			continue
		}
		if n := p.times.inFlight.Load(); n > 0 {
			average(&p.times.flight, p.times.last.Load()/n+c.now/milli-p.times.changed.Load())
		}
		eta := c.eta(p, now)
		if best >= 0 {
			b := c.set.peers[best]
			x, y := eta*int64(b.Weight), least*int64(p.Weight)
			if x == y {
				many = true
			}
			if x >= y {
				continue
			}
		}
		best, least, many = i, eta, false
	}
	if best < 0 || !many {
		return best
	}
	b := c.set.peers[best]
	return c.roundRobin(now, best, func(p *peerState) bool { return c.eta(p, now)*int64(b.Weight) == least*int64(p.Weight) })
}

// Times beyond slowest are equally bad, so that connections count; below, times within a cluster are equally good.
const (
	slowest = 5000
	cluster = 20
)

// eta is how long p will take for what it has to do.
func (c *Choice) eta(p *peerState, now int64) int64 {
	rt := p.times.response.Load()
	if c.b.Group.Method.byHeader() {
		rt = p.times.header.Load()
	}
	// A slow peer that was left alone gets another chance: its time halves with each fail_timeout.
	if since, timeout := now-p.checked.Load(), p.FailTimeout/second; since > timeout {
		rt >>= min(since/(timeout+1), 62)
	}
	if p.times.inFlight.Load() > 0 {
		rt = max(rt, p.times.flight.Load())
	}
	if rt > slowest {
		rt = slowest
	} else {
		rt += cluster - rt%cluster
	}
	return rt * (1 + p.conns.Load())
}
