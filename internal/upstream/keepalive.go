package upstream

import (
	"syscall"
	"time"

	"moongate/internal/netio"
	"moongate/internal/tlsio"
)

// Conn is a connection to a peer. Its methods of reading and writing go by way of TLS when there is that.
type Conn struct {
	netio.FD
	TLS      *tlsio.Conn // after the handshake
	Requests int         // sent over it, the one under way included
	Start    int64       // monotonic nanoseconds
	Sent     int64       // bytes, by the request under way
	// Values belongs to the protocol: what it keeps with the connection.
	Values any

	key        string
	tag        any
	idleUntil  int64 // the timer may be armed for an earlier moment
	idle       *Idle
	timer      netio.Timer
	prev, next *Conn
}

// Idle is one worker's idle connections to a group, the one used last first.
type Idle struct {
	conf        *Keepalive
	first, last *Conn
	n           int
	closed      bool
	// Closed, when not nil, is told of connections that are let go of while they are idle.
	Closed func(c *Conn)
}

// SetConf replaces the parameters.
func (l *Idle) SetConf(k *Keepalive) { l.conf = k }

// New gives a connection object to dial with.
func (l *Idle) New(loop *netio.Loop, tag any) *Conn {
	c := &Conn{tag: tag}
	c.timer.Init(c.expire)
	return c
}

// Take removes an idle connection to the peer named key; nil when there is none. tag is who asks: with Keepalive.Local a
// connection that was made for another one does not count.
func (l *Idle) Take(key string, tag any) *Conn {
	for c := l.first; c != nil; c = c.next {
		if c.key == key && (!l.conf.Local || c.tag == tag) {
			l.unlink(c)
			c.Requests++
			c.Sent = 0
			return c
		}
	}
	return nil
}

// Put makes c idle, or closes it when it has served enough: false. The oldest makes room.
func (l *Idle) Put(c *Conn, key string) bool {
	return l.PutFor(c, key, l.conf.Requests, l.conf.Timeout)
}

// PutFor is Put with a number of requests, 0 for any, and a time of its own.
func (l *Idle) PutFor(c *Conn, key string, requests int, timeout time.Duration) bool {
	loop := c.Loop()
	if l.conf.Max == 0 || l.closed || requests > 0 && c.Requests >= requests || loop.Now()-c.Start > int64(l.conf.Time) || !c.quiet() {
		c.Close()
		return false
	}
	if l.n >= l.conf.Max {
		l.drop(l.last)
	}
	c.key, c.idle, c.prev, c.next = key, l, nil, l.first
	if l.first != nil {
		l.first.prev = c
	} else {
		l.last = c
	}
	l.first = c
	l.n++
	c.SetHandler(c)
	// An armed timer is left where it is while it is early: expire arms it anew.
	until := loop.Now() + int64(timeout)
	c.until(loop, until)
	return true
}

// drop closes an idle connection.
func (l *Idle) drop(c *Conn) {
	l.unlink(c)
	c.Close()
	if l.Closed != nil {
		l.Closed(c)
	}
}

func (c *Conn) until(loop *netio.Loop, t int64) {
	if !c.timer.Armed() || c.timer.When() > t {
		loop.Arm(&c.timer, t)
	}
	c.idleUntil = t
}

func (l *Idle) unlink(c *Conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.last = c.prev
	}
	c.prev, c.next, c.idle = nil, nil, nil
	c.SetHandler(nil)
	l.n--
}

// Len is the number of idle connections.
func (l *Idle) Len() int { return l.n }

// CloseAll closes the idle connections; none is kept from now on.
func (l *Idle) CloseAll() {
	l.closed = true
	for c := l.first; c != nil; c = l.first {
		l.drop(c)
	}
}

// Close closes the connection, idle or not.
func (c *Conn) Close() {
	if c.timer.Armed() {
		c.Loop().Disarm(&c.timer)
	}
	if c.TLS != nil {
		c.TLS.CloseNotify()
	}
	c.FD.Close()
}

// Ready is told by the loop that an idle connection has something to read: its end, or what nobody asked for.
func (c *Conn) Ready(*netio.FD) {
	if l := c.idle; l != nil && !c.quiet() {
		l.drop(c)
	}
}

// quiet reports whether the peer has sent nothing: of what TLS has for itself, a ticket, nobody is to know.
func (c *Conn) quiet() bool {
	if c.TLS != nil {
		return c.TLS.Quiet()
	}
	return !c.FD.Readable()
}

// expire is the timer's function.
func (c *Conn) expire() {
	l := c.idle
	if l == nil {
		return // in use: Put arms the timer again
	}
	if loop := c.Loop(); c.idleUntil > loop.Now() {
		loop.Arm(&c.timer, c.idleUntil)
		return
	}
	l.drop(c)
}

// Read is FD.Read.
func (c *Conn) Read(p []byte) (int, error) {
	if c.TLS != nil {
		return c.TLS.Read(p)
	}
	return c.FD.Read(p)
}

// Write is FD.Write; after syscall.EAGAIN the same bytes are to be written again.
func (c *Conn) Write(p []byte) (int, error) {
	if c.TLS != nil {
		return c.TLS.Write(p)
	}
	return c.FD.Write(p)
}

// Writev is FD.Writev; what it has not taken is to be written next.
func (c *Conn) Writev(a, b []byte) (int, error) {
	if c.TLS == nil {
		return c.FD.Writev(a, b)
	}
	n, err := c.TLS.Write(a)
	if err != nil || n < len(a) {
		return n, err
	}
	m, err := c.TLS.Write(b)
	if err == syscall.EAGAIN {
		err = nil
	}
	return n + m, err
}

// Readable is FD.Readable.
func (c *Conn) Readable() bool {
	if c.TLS != nil {
		return c.TLS.Readable()
	}
	return c.FD.Readable()
}

// WaitRead is FD.WaitRead.
func (c *Conn) WaitRead(deadline int64) error {
	if c.TLS != nil {
		return c.TLS.WaitRead(deadline)
	}
	return c.FD.WaitRead(deadline)
}
