// Package health asks the servers of groups how they are: active health checks.
//
// A Checker belongs to one group and one loop; the process has one per group with a check, whatever the number of workers.
// A Kind is a protocol of checks: it reads parameters of its own and probes one server over a connection that it is given,
// in straight-line code that parks. What was found goes to upstream.Group, which knows thresholds and tells the workers.
package health

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"moongate/internal/netio"
	"moongate/internal/tlsio"
	"moongate/internal/upstream"
)

// Check is what a group says of its checks.
type Check struct {
	Kind               *Kind
	Interval           time.Duration
	UnhealthyInterval  time.Duration // of servers that are unhealthy; 0: the same
	Jitter             time.Duration // added to each interval, up to that
	Timeout            time.Duration
	Healthy, Unhealthy int // checks in a row that change a server's state
	Port               int // 0: the server's own
	Host               string
	TLS                bool
	ServerName         string // for TLS; "": Host
	Params             any    // the Kind's
}

// Defaults of checks.
const (
	DefaultInterval  = 5 * time.Second
	DefaultTimeout   = 5 * time.Second
	DefaultHealthy   = 2
	DefaultUnhealthy = 3
)

// Kind is a protocol of checks.
type Kind struct {
	Name string
	// New makes the Check's Params, with defaults.
	New func(c *Check)
	// Param reads a parameter of its own: name=value, or a bare name. False: it has no such.
	Param func(c *Check, name, value string) bool
	// Protocols are the names for ALPN that it offers with TLS.
	Protocols []string
	// Probe asks one server; nil means that it is well. The text of an error tells an operator why not.
	Probe func(p *Probe) error
}

// Probe is one check under way: a connection to the server, closed when the Kind returns.
type Probe struct {
	Check    *Check
	Peer     *upstream.Peer
	Loop     *netio.Loop
	Deadline int64 // monotonic nanoseconds
	FD       *netio.FD
	TLS      *tlsio.Conn // nil without TLS
}

// Errors that probes report.
var (
	ErrTimeout = errors.New("timed out")
	ErrClosed  = errors.New("connection closed")
)

// Read parks until there is something; ErrClosed is the end.
func (p *Probe) Read(b []byte) (int, error) {
	for {
		var n int
		var err error
		if p.TLS != nil {
			n, err = p.TLS.Read(b)
		} else {
			n, err = p.FD.Read(b)
		}
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, ErrClosed
		case err != syscall.EAGAIN:
			return 0, err
		}
		if p.TLS != nil {
			err = p.TLS.WaitRead(p.Deadline)
		} else {
			err = p.FD.WaitRead(p.Deadline)
		}
		if err != nil {
			return 0, waitError(err)
		}
	}
}

// Write parks until all of b has left.
func (p *Probe) Write(b []byte) error {
	for len(b) > 0 {
		var n int
		var err error
		if p.TLS != nil {
			n, err = p.TLS.Write(b)
		} else {
			n, err = p.FD.Write(b)
		}
		if n > 0 {
			b = b[n:]
			continue
		}
		if err != syscall.EAGAIN {
			return err
		}
		if err := p.FD.WaitWrite(p.Deadline); err != nil {
			return waitError(err)
		}
	}
	return nil
}

func waitError(err error) error {
	if err == netio.ErrTimeout {
		return ErrTimeout
	}
	return err
}

// run connects and probes.
func (p *Probe) run() error {
	a := p.Peer.Addr
	if p.Check.Port > 0 {
		a = a.WithPort(p.Check.Port)
	}
	var fd netio.FD
	if err := p.Loop.Dial(&fd, &netio.Dial{Addr: a.Sock, Deadline: p.Deadline}); err != nil {
		if err == netio.ErrTimeout {
			return errors.New("connecting timed out")
		}
		return fmt.Errorf("connecting failed: %w", err)
	}
	defer fd.Close()
	p.FD = &fd
	if p.Check.TLS {
		name := p.Check.ServerName
		if name == "" {
			name = p.Check.Host
		}
		// As with proxy_ssl_verify off: whether the server's certificate is to be trusted is a matter of the requests.
		p.TLS = tlsio.Client(&fd, &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: p.Check.Kind.Protocols})
		if err := p.TLS.Handshake(p.Deadline); err != nil {
			return fmt.Errorf("TLS handshake failed: %w", waitError(err))
		}
	}
	return p.Check.Kind.Probe(p)
}

// Checker checks the servers of a group.
type Checker struct {
	loop    *netio.Loop
	group   *upstream.Group
	check   *Check
	peers   map[*upstream.Peer]*watch
	stopped bool
	// OnChange, when set, is told after a server's health has changed.
	OnChange func()
}

// watch is one server that is checked.
type watch struct {
	c     *Checker
	peer  *upstream.Peer
	timer netio.Timer
	over  bool
}

// Start begins to check; the loop's baton is held.
func Start(loop *netio.Loop, g *upstream.Group, check *Check) *Checker {
	c := &Checker{loop: loop, group: g, check: check, peers: map[*upstream.Peer]*watch{}}
	c.Sync()
	return c
}

// Sync takes on the group's servers as they are now.
func (c *Checker) Sync() {
	if c.stopped {
		return
	}
	now := map[*upstream.Peer]bool{}
	for _, p := range c.group.Peers().Each {
		now[p] = true
		if c.peers[p] != nil || p.Down {
			continue
		}
		w := &watch{c: c, peer: p}
		w.timer.Init(w.run)
		c.peers[p] = w
		c.loop.Arm(&w.timer, c.loop.Now()+int64(jitter(c.check.Jitter)))
	}
	for p, w := range c.peers {
		if !now[p] {
			w.stop()
			delete(c.peers, p)
		}
	}
}

// Stop ends the checks; one under way ends by itself and counts no more.
func (c *Checker) Stop() {
	c.stopped = true
	for _, w := range c.peers {
		w.stop()
	}
}

func (w *watch) stop() {
	w.over = true
	w.c.loop.Disarm(&w.timer)
}

func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// run is the timer's function: one check.
func (w *watch) run() {
	c, k := w.c, w.c.check
	begun := c.loop.Now()
	p := &Probe{Check: k, Peer: w.peer, Loop: c.loop, Deadline: begun + int64(k.Timeout)}
	err := p.run()
	if w.over || c.loop.Stopped() {
		return
	}
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	before := !w.peer.Unhealthy()
	healthy := c.group.Checked(w.peer, problem, k.Healthy, k.Unhealthy, c.loop.Now())
	if healthy != before && c.OnChange != nil {
		c.OnChange()
	}
	every := k.Interval
	if !healthy && k.UnhealthyInterval > 0 {
		every = k.UnhealthyInterval
	}
	c.loop.Arm(&w.timer, max(c.loop.Now()+int64(time.Millisecond), begun+int64(every+jitter(k.Jitter))))
}
