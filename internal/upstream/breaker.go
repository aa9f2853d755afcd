package upstream

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"moongate/internal/netio"
)

// Breaker bounds what a group is asked at a time, by all workers together. 0 is no bound. The names are Envoy's.
type Breaker struct {
	MaxConnections int // requests that hold a connection
	MaxPending     int // requests that wait for one
	MaxRequests    int
	MaxRetries     int
	// Budget is the share of the requests under way that may be retries, in percent; MinRetries always may. 0: no budget.
	Budget, MinRetries int
}

// Defaults of a breaker.
const (
	DefaultMaxPending = 1024
	DefaultMinRetries = 3
)

// on reports whether anything is bounded.
func (b *Breaker) on() bool {
	return b.MaxConnections > 0 || b.MaxRequests > 0 || b.MaxRetries > 0 || b.Budget > 0
}

// Retry says how a request is tried again.
type Retry struct {
	Num       int // of retries, whatever the number of servers; 0: each server once
	Base, Max time.Duration
}

// Backoff is how long to wait before retry n, from 1: a random time within a bound that doubles.
func (r *Retry) Backoff(n int) time.Duration {
	if r.Base <= 0 {
		return 0
	}
	most := r.Max
	if n < 32 && r.Base <= most>>(n-1) { // else the doubled bound is beyond most
		most = min(most, r.Base<<(n-1))
	}
	return rand.N(most) + 1
}

// load is what a group has to do.
type load struct {
	requests, conns, retries, pending atomic.Int64
	overflows, refusedRetries         atomic.Int64

	mu      sync.Mutex
	waiting []*waiter
}

type waiter struct {
	loop *netio.Loop
	task *netio.Task
	has  bool
	in   bool // still waiting; for the loop's own
}

// Load tells what the group has to do.
func (g *Group) Load() (requests, pending, retries, overflows int64) {
	l := &g.shared.load
	return l.requests.Load(), l.pending.Load(), l.retries.Load(), l.overflows.Load()
}

// RefusedRetries is how many retries the breaker has refused.
func (g *Group) RefusedRetries() int64 { return g.shared.load.refusedRetries.Load() }

// Enter asks for leave to pass a request on; it parks while all connections are in use, until the deadline. full names the bound
// that is reached, "" when the request may go on: then Leave gives the leave back.
func (g *Group) Enter(loop *netio.Loop, deadline int64) (full string, err error) {
	b, l := &g.Breaker, &g.shared.load
	if n := l.requests.Add(1); b.MaxRequests > 0 && n > int64(b.MaxRequests) {
		l.requests.Add(-1)
		l.overflows.Add(1)
		return "max_requests", nil
	}
	if b.MaxConnections == 0 {
		return "", nil
	}
	full, err = g.connection(loop, deadline)
	if full != "" || err != nil {
		l.requests.Add(-1)
		if full != "" {
			l.overflows.Add(1)
		}
	}
	return full, err
}

// connection takes a connection's place, or waits for it.
func (g *Group) connection(loop *netio.Loop, deadline int64) (full string, err error) {
	b, l := &g.Breaker, &g.shared.load
	l.mu.Lock()
	if l.conns.Load() < int64(b.MaxConnections) {
		l.conns.Add(1)
		l.mu.Unlock()
		return "", nil
	}
	if len(l.waiting) >= b.MaxPending {
		l.mu.Unlock()
		return "max_pending_requests", nil
	}
	w := &waiter{loop: loop, task: loop.Current(), in: true}
	defer func() { w.in = false }()
	l.waiting = append(l.waiting, w)
	l.pending.Add(1)
	l.mu.Unlock()
	for {
		err = loop.Park(deadline)
		l.mu.Lock()
		switch {
		case w.has && err != nil && err != netio.ErrTimeout: // killed: somebody else may have it
			l.mu.Unlock()
			g.freeConnection()
			return "", err
		case w.has:
			l.mu.Unlock()
			return "", nil
		case err != nil:
			l.waiting = slices.DeleteFunc(l.waiting, func(o *waiter) bool { return o == w })
			l.pending.Add(-1)
			l.mu.Unlock()
			if err == netio.ErrTimeout {
				return "max_connections", nil
			}
			return "", err
		}
		l.mu.Unlock()
	}
}

// Leave gives back what Enter gave.
func (g *Group) Leave() {
	g.shared.load.requests.Add(-1)
	if g.Breaker.MaxConnections > 0 {
		g.freeConnection()
	}
}

// freeConnection hands a connection's place to who has waited longest.
func (g *Group) freeConnection() {
	l := &g.shared.load
	l.mu.Lock()
	if len(l.waiting) == 0 {
		l.conns.Add(-1)
		l.mu.Unlock()
		return
	}
	w := l.waiting[0]
	l.waiting = slices.Delete(l.waiting, 0, 1)
	w.has = true
	l.pending.Add(-1)
	l.mu.Unlock()
	w.loop.Post(func() {
		if w.in {
			w.loop.Ready(w.task)
		}
	})
}

// BeginRetry asks for leave to try again; EndRetry gives it back.
func (g *Group) BeginRetry() bool {
	b, l := &g.Breaker, &g.shared.load
	n := l.retries.Add(1)
	ok := b.MaxRetries == 0 || n <= int64(b.MaxRetries)
	if b.Budget > 0 {
		ok = ok && n <= max(int64(b.MinRetries), l.requests.Load()*int64(b.Budget)/100)
	}
	if !ok {
		l.retries.Add(-1)
		l.refusedRetries.Add(1)
	}
	return ok
}

// EndRetry says that a retry is over.
func (g *Group) EndRetry() { g.shared.load.retries.Add(-1) }

// Guarded reports whether requests need leave.
func (g *Group) Guarded() bool { return g.Breaker.on() }
