package engine

import "sync/atomic"

// stats are the counters of the whole process.
var stats struct {
	accepted, active, stalls atomic.Int64
}

// counters are what a worker publishes of its own, for everybody to read.
type counters struct {
	requests      atomic.Uint64
	conns, active atomic.Int64
	reading       atomic.Int64
	calm          atomic.Bool // the worker has given its memory back and served nothing since
}

// Publish renews what Published tells; it happens by itself after each poll.
func (w *Worker) Publish() {
	c := &w.counters
	if c.requests.Load() == w.Requests && c.conns.Load() == int64(w.Conns) && c.active.Load() == int64(w.Active) && c.reading.Load() == int64(w.Reading) {
		return
	}
	c.calm.Store(false)
	c.requests.Store(w.Requests)
	c.conns.Store(int64(w.Conns))
	c.active.Store(int64(w.Active))
	c.reading.Store(int64(w.Reading))
}

// Published tells the requests begun so far, the open connections and the requests in flight, from any goroutine.
func (w *Worker) Published() (requests uint64, conns, active int) {
	c := &w.counters
	return c.requests.Load(), int(c.conns.Load()), int(c.active.Load())
}

// Stats gives the process's counters: connections accepted, open, and requests begun.
func (p *Plane) Stats() (accepted, active int64, requests uint64) {
	for _, w := range p.workers {
		requests += w.counters.requests.Load()
	}
	return stats.accepted.Load(), stats.active.Load(), requests
}

// Stalls counts the stretches of Lua code that ran longer than lua_worker_stall_threshold without waiting. Anybody may read
// it; what runs Lua code adds to it.
func Stalls() *atomic.Int64 { return &stats.stalls }

// InFlight is the number of requests in flight in all workers.
func (p *Plane) InFlight() (n int64) {
	for _, w := range p.workers {
		n += w.counters.active.Load()
	}
	return n
}

// Reading is the number of connections of which a part of a request head has come, in all workers.
func (p *Plane) Reading() (n int64) {
	for _, w := range p.workers {
		n += w.counters.reading.Load()
	}
	return n
}

// CountAccepted is for drivers that accept connections by themselves.
func CountAccepted() { stats.accepted.Add(1) }
