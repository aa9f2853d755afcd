package socket

import (
	"unsafe"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/netio"
)

// conn is a connection. It is registered with the worker's loop from its making to its close.
type conn struct {
	netio.FD
	wire wire // the descriptor itself, or TLS over it
	peer peer

	buf  []byte // from the worker; what was read ahead is buf[r:w]
	r, w int

	reused  int
	nodelay bool
	tls     *tlsWire

	// in a pool
	pool       *pool
	idle       netio.Timer
	prev, next *conn
}

func newConn() *conn {
	c := &conn{}
	c.wire = &c.FD
	c.idle.Init(c.expire)
	return c
}

// freeBuffer gives the read buffer back, with what is in it.
func (c *conn) freeBuffer(wd *world) {
	if c.buf != nil {
		wd.ew.FreeBuffer(c.buf[:0])
		c.buf = nil
	}
	c.r, c.w = 0, 0
}

func addressOf[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// pool is the idle connections to one peer, and the number of those in use.
type pool struct {
	wd            *world
	key           string
	size, backlog int   // backlog is -1 without a queue
	conns         int   // in use, idle, and waiting to be made
	first, last   *conn // idle, the newest first
	idle          int
	head, tail    *waiter // for a connection to be given back
}

// waiter is a connect that waits until the pool has room.
type waiter struct {
	task *netio.Task
	next *waiter
}

func (wd *world) newPool(c *lua.Call, key string, size, backlog int) *pool {
	if debugs(c) {
		debugf(c, "lua tcp socket connection pool size: %d, backlog: %d", size, backlog)
		debugf(c, "lua tcp socket keepalive create connection pool for key \"%s\"", key)
	}
	p := &pool{wd: wd, key: key, size: size, backlog: backlog}
	wd.pools[key] = p
	return p
}

// take removes the connection used last.
func (p *pool) take() *conn {
	c := p.first
	if c != nil {
		p.unlink(c)
	}
	return c
}

func (p *pool) unlink(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		p.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		p.last = c.prev
	}
	c.prev, c.next, c.pool = nil, nil, nil
	c.SetHandler(nil)
	if c.idle.Armed() {
		p.wd.loop.Disarm(&c.idle)
	}
	p.idle--
}

// put makes c idle for at most timeout nanoseconds, 0 for ever.
func (p *pool) put(c *conn, timeout int64) {
	c.pool, c.next = p, p.first
	if p.first != nil {
		p.first.prev = c
	} else {
		p.last = c
	}
	p.first = c
	p.idle++
	c.SetHandler(c)
	if timeout > 0 {
		p.wd.loop.Arm(&c.idle, p.wd.loop.Now()+timeout)
	}
}

func (p *pool) log() *nlog.Logger { return processLog(p.wd.ew) }

func processLog(w *engine.Worker) *nlog.Logger { return w.Plane.Params().Log }

// uncount ends the counting of a connection: the pool goes with the last one, or who waits has its turn.
func (p *pool) uncount() {
	p.conns--
	if p.conns > 0 {
		p.wake()
		return
	}
	if p.log().On(nlog.Debug) {
		p.log().Logf(nlog.Debug, nil, nil, "lua tcp socket keepalive: free connection pool for \"%s\"", p.key)
	}
	if p.wd.pools[p.key] == p {
		delete(p.wd.pools, p.key)
	}
}

// wake lets the first waiter go on.
func (p *pool) wake() {
	if w := p.head; w != nil {
		p.head = w.next
		if p.head == nil {
			p.tail = nil
		}
		p.wd.loop.Ready(w.task)
		w.task = nil
	}
}

// wait parks until the pool has room; the caller is counted already.
func (p *pool) wait(deadline int64) error {
	w := &waiter{task: p.wd.loop.Current()}
	if p.tail != nil {
		p.tail.next = w
	} else {
		p.head = w
	}
	p.tail = w
	err := p.wd.loop.Park(deadline)
	if w.task == nil {
		if err != nil { // it was our turn: the next one's then
			p.wake()
		}
		return err
	}
	var prev *waiter
	for x := p.head; x != w; x = x.next {
		prev = x
	}
	if prev == nil {
		p.head = w.next
	} else {
		prev.next = w.next
	}
	if p.tail == w {
		p.tail = prev
	}
	return err
}

func (p *pool) closeIdle() {
	for c := p.first; c != nil; c = p.first {
		p.unlink(c)
		c.Close()
		p.conns--
	}
}

// Ready is called by the loop when an idle connection has something to read: bytes nobody asked for, or its end.
func (c *conn) Ready(f *netio.FD) { c.stale() }

// stale closes an idle connection unless there is nothing to be read after all. It reports whether the connection was
// closed.
func (c *conn) stale() bool {
	p := c.pool
	var one [1]byte
	if lg := p.log(); lg.On(nlog.Debug) {
		lg.Log(nlog.Debug, nil, nil, "lua tcp socket keepalive close handler check stale events")
	}
	if n, err := c.wire.Read(one[:]); n <= 0 && wouldBlock(err) && !c.HungUp() {
		return false
	}
	c.discard()
	return true
}

// expire is the timer's function.
func (c *conn) expire() {
	if c.pool == nil {
		return
	}
	if lg := c.pool.log(); lg.On(nlog.Debug) {
		lg.Log(nlog.Debug, nil, nil, "lua tcp socket keepalive max idle timeout")
	}
	c.discard()
}

// discard closes an idle connection.
func (c *conn) discard() {
	p := c.pool
	if lg := p.log(); lg.On(nlog.Debug) {
		lg.Logf(nlog.Debug, nil, nil, "lua tcp socket keepalive close handler: fd:%d", c.Sysfd())
	}
	p.unlink(c)
	c.Close()
	p.uncount()
}
