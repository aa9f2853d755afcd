package h2client

import (
	"errors"
	"math"
	"time"

	"moongate/internal/netio"
)

// Pool is one worker's connections to a group of servers, shared by the requests to it.
type Pool struct {
	Env *Env
	// Max is how many connections without streams are kept; 0: each carries one request only. Requests is how many one
	// carries (0: any), Timeout how long it may be without, Age how long it is used.
	Max          int
	Requests     int
	Timeout, Age time.Duration
	// Watch, when set, is told how many connections with a key there are more or, below zero, less; it must not park.
	Watch func(key string, n int)

	first  *Conn
	idles  int
	dials  []*dialing
	closed bool
}

// dialing is a connection being made; others wait for it instead of making their own.
type dialing struct {
	key     string
	waiters []*netio.Task
	failed  bool
}

// ErrGivenUp is what a Dialer returns when nobody wants its connection any more; others who wait for it make their own.
var ErrGivenUp = errors.New("given up")

// Dialer makes connections.
type Dialer interface {
	// DialHTTP2 connects and, where there is TLS, shakes hands; it parks. The Config is only looked at.
	DialHTTP2() (Transport, *Config, error)
}

// Get gives a connection to the peer named key with room for a stream, from the pool or a new one; it parks while one is
// made. fresh says that it had no stream yet. The error is the Dialer's, or that of waiting.
func (p *Pool) Get(key string, d Dialer, deadline int64) (c *Conn, fresh bool, err error) {
	for p.Max > 0 && !p.closed {
		if c := p.take(key); c != nil {
			return c, c.opened == 0, nil
		}
		w := p.dialed(key)
		if w == nil {
			return p.dial(key, d)
		}
		loop := p.Env.Loop
		w.waiters = append(w.waiters, loop.Current())
		if err := loop.Park(deadline); err != nil {
			return nil, false, err
		}
		if w.failed {
			break // this request finds out for itself
		}
	}
	t, cfg, err := d.DialHTTP2()
	if err != nil {
		return nil, false, err
	}
	return p.begin(key, t, cfg), true, nil
}

// take finds a connection with room. One that has served enough is used no more.
func (p *Pool) take(key string) *Conn {
	now := p.Env.Loop.Now()
	for c := p.first; c != nil; {
		next := c.next
		if c.key == key && c.room() > 0 {
			if p.Requests > 0 && c.opened >= p.Requests || p.Age > 0 && p.Age < math.MaxInt64 && now-c.start > int64(p.Age) {
				c.Retire()
			} else {
				p.busy(c)
				return c
			}
		}
		c = next
	}
	return nil
}

func (p *Pool) dialed(key string) *dialing {
	for _, w := range p.dials {
		if w.key == key {
			return w
		}
	}
	return nil
}

// dial makes a connection that others may wait for.
func (p *Pool) dial(key string, d Dialer) (*Conn, bool, error) {
	w := &dialing{key: key}
	p.dials = append(p.dials, w)
	t, cfg, err := d.DialHTTP2()
	for i := range p.dials {
		if p.dials[i] == w {
			p.dials = append(p.dials[:i], p.dials[i+1:]...)
			break
		}
	}
	var c *Conn
	if err == nil {
		c = p.begin(key, t, cfg)
	}
	w.failed = err != nil && err != ErrGivenUp && err != netio.ErrKilled
	for _, t := range w.waiters {
		p.Env.Loop.Ready(t)
	}
	return c, err == nil, err
}

// begin makes a connection the pool's; where none are kept, it carries one request.
func (p *Pool) begin(key string, t Transport, cfg *Config) *Conn {
	c := p.Env.NewConn(t, cfg)
	if p.Max == 0 || p.closed {
		c.once, c.cfg.MaxStreams = true, 1
		return c
	}
	c.pool, c.key = p, key
	if p.first != nil {
		p.first.prev = c
	}
	c.next, p.first = p.first, c
	if p.Watch != nil {
		p.Watch(key, 1)
	}
	return c
}

// forget is told that a connection is gone.
func (p *Pool) forget(c *Conn) {
	p.busy(c)
	if c.prev != nil {
		c.prev.next = c.next
	} else if p.first == c {
		p.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next, c.pool = nil, nil, nil
	if p.Watch != nil {
		p.Watch(c.key, -1)
	}
}

func (p *Pool) busy(c *Conn) {
	if c.idle {
		c.idle = false
		p.idles--
	}
}

// idle is told that a connection has no streams. The one that has been so for longest makes room.
func (p *Pool) idle(c *Conn) {
	if p.closed || p.Max == 0 || p.Requests > 0 && c.opened >= p.Requests {
		c.Close()
		return
	}
	loop := p.Env.Loop
	if p.idles >= p.Max {
		var oldest *Conn
		for o := p.first; o != nil; o = o.next {
			if o.idle && (oldest == nil || o.idleUntil < oldest.idleUntil) {
				oldest = o
			}
		}
		if oldest != nil {
			oldest.Close()
		}
	}
	c.idle = true
	p.idles++
	c.idleUntil = loop.Now() + int64(p.Timeout)
	if !c.timer.Armed() || c.timer.When() > c.idleUntil {
		loop.Arm(&c.timer, c.idleUntil)
	}
}

// Idle is the number of connections without streams.
func (p *Pool) Idle() int { return p.idles }

// Conns is the number of connections.
func (p *Pool) Conns() int {
	n := 0
	for c := p.first; c != nil; c = c.next {
		n++
	}
	return n
}

// CloseAll closes the connections without streams; the others are closed when their last one has ended.
func (p *Pool) CloseAll() {
	p.closed = true
	for c := p.first; c != nil; {
		next := c.next
		c.Retire()
		c = next
	}
}
