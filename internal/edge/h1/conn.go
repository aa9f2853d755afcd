// Package h1 drives HTTP/1.x client connections: bytes in, engine.Request out, response bytes back.
//
// An idle connection is a conn and nothing else: no goroutine, no buffer. When bytes arrive the worker's leader calls
// Ready, which reads, parses and serves inline; whoever has to wait parks in straight-line code. All state belongs to
// the worker and is used with its baton.
package h1

import (
	"bytes"
	"syscall"
	"time"
	"unsafe"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/netio"
	"moongate/internal/tlsio"
)

// conn is one client connection.
type conn struct {
	engine.Conn
	engine.ConnLink
	fd    netio.FD
	w     *engine.Worker
	timer netio.Timer
	// idleUntil is when an idle connection is closed; the timer may be armed for an earlier moment.
	idleUntil int64
	ex        *exchange // of the request in progress
	busy      bool      // a task serves the connection
	nodelay   bool
	proxied   bool // a PROXY protocol header comes first
	https     bool // the address is one of TLS
	shake     bool // the handshake is still to come
	tls       *tlsio.Conn
	h2        engine.Closer // serves the connection in our place
	closing   bool          // to be closed after the request in progress
	closed    bool
	buf       []byte // bytes read; nil while idle
	rpos      int    // first byte of buf that was not consumed
	free      *conn  // in the free list
}

// maxSpare is how many connections a worker keeps for those to come.
const maxSpare = 256

// newConn takes a connection from the free list.
func newConn(w *engine.Worker) *conn {
	fl := listsOf(w)
	c := fl.conns
	if c == nil {
		c = &conn{}
		c.timer.Init(c.expire)
	} else {
		fl.conns, c.free = c.free, nil
		fl.spare--
	}
	c.w, c.closed = w, false
	return c
}

// end closes the connection. What calls it has served the connection and forgets it: it is the next one's then, if nobody
// else can know of it.
func (c *conn) end() {
	known := c.https || c.h2 != nil || c.closing || c.Values != nil || c.Watched() || c.fd.Awaited()
	c.close()
	fl := listsOf(c.w)
	if known || fl.spare >= maxSpare {
		return
	}
	c.w.Loop.Disarm(&c.timer) // its function may be about to run
	expire := c.timer.F
	*c = conn{closed: true, free: fl.conns}
	c.timer.Init(expire)
	fl.conns = c
	fl.spare++
}

// Accept takes over a socket that was just accepted.
func Accept(w *engine.Worker, l *engine.Listener, fd int, remote engine.Addr) {
	c := newConn(w)
	c.Worker, c.Listener, c.Remote = w, l, remote
	c.ID = w.Plane.NextConnID()
	c.FD = fd
	c.StartMono = w.Loop.Now()
	c.Action = "waiting for request"
	if c.proxied = c.addr().ProxyProt; c.proxied {
		c.Action = readingProxy
	}
	if c.https = c.addr().TLS; c.https && !c.proxied {
		c.Action = handshaking
	}
	c.shake = c.https
	if err := w.Loop.AddTo(&c.fd, fd, c); err != nil {
		syscall.Close(fd)
		return
	}
	w.Enter(&c.ConnLink, c, l)
	c.idle(int64(c.server().ClientHeaderTimeout.V))
}

// addr is the address, as it is configured now, that the connection came in at.
func (c *conn) addr() *engine.AddrConf {
	a := c.Listener.Conf()
	if a.Shared() {
		return a.For(c.LocalAddr().IP.Addr())
	}
	return a
}

// server is the configuration of the address's default server.
func (c *conn) server() *engine.SrvConf { return c.addr().DefaultServer().Conf }

// idle leaves the connection to the poller for at most d nanoseconds.
func (c *conn) idle(d int64) {
	c.busy = false
	c.idleUntil = c.w.Loop.Now() + d
	if !c.timer.Armed() || c.timer.When() > c.idleUntil {
		c.w.Loop.Arm(&c.timer, c.idleUntil)
	}
}

// expire is the timer's function: the deadline has moved, or the connection was idle too long.
func (c *conn) expire() {
	if c.closed || c.busy || c.h2 != nil {
		return
	}
	if c.idleUntil > c.w.Loop.Now() {
		c.w.Loop.Arm(&c.timer, c.idleUntil)
		return
	}
	c.Action = "waiting for request"
	if c.shake {
		c.Action = handshaking
	}
	if c.proxied {
		c.Action = readingProxy
	}
	if c.Requests > 0 {
		c.Action = "keepalive"
	} else {
		c.log(nlog.Info, syscall.ETIMEDOUT, "client timed out")
	}
	c.close()
}

func (c *conn) log(level nlog.Level, err error, msg string) {
	c.addr().DefaultServer().Loc.Core.Logger().Log(level, c, err, msg)
}

// close ends the connection.
func (c *conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	if c.timer.Armed() {
		c.w.Loop.Disarm(&c.timer)
	}
	if c.buf != nil {
		c.w.FreeBuffer(c.buf)
		c.buf = nil
	}
	if c.tls != nil {
		c.tls.CloseNotify()
		c.EndTLS()
	}
	c.fd.Close()
	c.w.Leave(&c.ConnLink)
}

// Shutdown is told when the worker stops.
func (c *conn) Shutdown(now bool) {
	if c.h2 != nil {
		c.h2.Shutdown(now)
		return
	}
	if now {
		if !c.busy {
			c.close()
			return
		}
		c.closing = true
		c.fd.Close() // whoever waits on it wakes with an error
		if x := c.ex; x != nil && x.onRead != nil {
			c.w.Loop.Go(x.onRead)
		}
		return
	}
	c.closing = true
	switch {
	case c.busy:
	case c.arrived():
		c.w.Loop.Go(c.serveLast)
	case c.Requests == 0:
		// Whoever has just connected is about to ask.
		c.idle(freshWait)
	default:
		c.close()
	}
}

// freshWait is how long a stopping worker waits for the first request of a connection.
const freshWait = int64(time.Second)

// arrived reports whether the client has sent something that was not read.
func (c *conn) arrived() bool {
	var b [1]byte
	n, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(c.fd.Sysfd()), uintptr(unsafe.Pointer(&b[0])), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return e == 0 && n > 0
}

// serveLast serves what was there when the worker was told to stop.
func (c *conn) serveLast() {
	if !c.busy && !c.closed {
		c.Ready(&c.fd)
	}
}

// Ready serves what the client sent. It is called by the poller for an idle connection.
func (c *conn) Ready(f *netio.FD) {
	if c.busy {
		if x := c.ex; x != nil && x.onRead != nil {
			x.onRead()
		} else {
			c.notice()
		}
		return
	}
	c.busy = true
	c.serve()
}

// turns is how many requests a connection may have served in a row before others have their turn.
const turns = 32

func (c *conn) serve() {
	for range turns {
		if !c.serveOne() {
			return
		}
	}
	c.w.Loop.Go(c.serve)
}

// notice is called when something arrives while a task serves the connection and waits for something else: the
// client may have gone.
func (c *conn) notice() {
	if !c.fd.HungUp() {
		return
	}
	c.TellGone()
	if x := c.ex; x != nil && x.pacer != nil {
		c.w.Loop.Ready(x.pacer)
	}
	if x := c.ex; x != nil && x.onAbort != nil {
		f := x.onAbort
		x.onAbort = nil
		f()
	}
}

// Watch implements engine.Watcher.
func (x *exchange) Watch(f func()) {
	x.onAbort = f
	if c := x.c; f != nil && c.fd.HungUp() {
		c.w.Loop.Go(func() {
			if c.ex == x {
				c.notice()
			}
		})
	}
}

// serveOne reads and serves one request; false leaves the connection idle or closed.
func (c *conn) serveOne() bool {
	w := c.w
	sc := c.server()
	limits := sc.Limits()
	x := newExchange(c)
	pipelined := len(c.buf) > c.rpos
	headDeadline := int64(0)
	for {
		if c.proxied && len(c.buf) > 0 && !c.readProxy() || c.shake && !c.proxied && len(c.buf) > c.rpos && !c.secure(sc) {
			x.free()
			c.close()
			return false
		}
		if c.Requests == 0 && !c.proxied && !c.shake && c.turnsOut() {
			x.free()
			c.speakHTTP2()
			return false
		}
		if len(c.buf) > c.rpos && !c.proxied && (c.Requests > 0 || !c.maybeHTTP2()) {
			n, st := x.parser.Parse(c.buf[c.rpos:], limits)
			if st == http1.More {
				c.rpos += n
			} else {
				return c.begin(x, n, st, pipelined)
			}
		}
		if c.buf == nil {
			c.buf = w.Buffer(readBuffer)
			c.rpos = 0
		} else if len(c.buf) == cap(c.buf) {
			c.makeRoom(limits)
		}
		n, err := c.read(c.buf[len(c.buf):cap(c.buf)])
		if n > 0 {
			if !c.proxied && !c.shake && (len(c.buf) == c.rpos && c.Requests == 0 || headDeadline == 0) {
				c.Action = "reading client request line"
			}
			c.buf = c.buf[:len(c.buf)+n]
			continue
		}
		if err != syscall.EAGAIN {
			c.gone(x, err)
			return false
		}
		if len(c.buf) == c.rpos { // nothing of a request yet
			c.freeRead()
			x.free()
			c.idleAgain()
			return false
		}
		if headDeadline == 0 {
			headDeadline = w.Loop.Now() + int64(sc.ClientHeaderTimeout.V)
		}
		if !c.waitHead(x, headDeadline) {
			return false
		}
	}
}

// waitHead waits for more of a head; when none comes in time, connection and exchange are given up.
func (c *conn) waitHead(x *exchange, deadline int64) bool {
	c.w.Reading++
	err := c.waitRead(deadline)
	c.w.Reading--
	switch {
	case err == nil:
		return true
	case err == netio.ErrTimeout && !c.proxied:
		c.incomplete(x, syscall.ETIMEDOUT, "client timed out", 408)
	case err == netio.ErrTimeout:
		c.log(nlog.Info, syscall.ETIMEDOUT, "client timed out")
		fallthrough
	default:
		x.free()
	}
	c.close()
	return false
}

// readBuffer is the size of the buffer a request head is read into at first.
const readBuffer = 4 << 10

// makeRoom moves the unconsumed bytes to a larger buffer, or to the front of this one.
func (c *conn) makeRoom(l *http1.Limits) {
	live := c.buf[c.rpos:]
	if c.rpos > cap(c.buf)/2 {
		n := copy(c.buf[:cap(c.buf)], live)
		c.buf, c.rpos = c.buf[:n], 0
		return
	}
	size := min(max(2*cap(c.buf), 2*len(live)), max(l.MaxHead()+1024, 2*readBuffer))
	if size <= len(live) {
		size = 2 * len(live)
	}
	nb := append(c.w.Buffer(size), live...)
	c.w.FreeBuffer(c.buf)
	c.buf, c.rpos = nb, 0
}

func (c *conn) freeRead() {
	if c.buf != nil {
		c.w.FreeBuffer(c.buf)
		c.buf, c.rpos = nil, 0
	}
}

// gone closes a connection whose peer closed it or that failed while a head was awaited.
func (c *conn) gone(x *exchange, err error) {
	partial := len(c.buf) > c.rpos && !c.proxied
	switch {
	case err != nil:
		c.log(nlog.Info, err, "recv() failed")
	case partial:
		c.incomplete(x, nil, "client prematurely closed connection", 400)
	case c.Requests > 0:
		if lg := c.addr().DefaultServer().Loc.Core.Logger(); lg.On(nlog.Info) {
			lg.Logf(nlog.Info, nil, nil, "*%d client %s closed keepalive connection", c.ID, c.Remote.AppendIP(nil))
		}
	}
	if !partial {
		x.free()
	}
	c.end()
}

// incomplete logs a request whose head did not come in full, with the status that nginx gives it. No answer is sent.
func (c *conn) incomplete(x *exchange, err error, msg string, status engine.Status) {
	m := &x.parser.Message
	c.Action = readingHead
	if len(m.RequestLine) == 0 {
		c.Action = "reading client request line"
		m.RequestLine = bytes.TrimLeft(c.buf[c.rpos:], "\r\n")
	}
	r := c.w.Begin(&c.Conn, c.addr().HTTP(), x, m)
	r.SetServer(c.addr().DefaultServer())
	x.start(r)
	if r.Logger.On(nlog.Info) {
		r.LogErr(nlog.Info, err, "%s", msg)
	}
	if len(m.Unparsed) > 0 {
		x.decodeURI()
		r.URI, r.Args = m.URI, m.Args
	}
	r.Method, r.MethodName = m.Method, m.MethodName
	r.RequestLen = int64(len(c.buf) - c.rpos)
	r.Out.Status = status
	r.RunLog()
	x.finish()
}

// idleAgain leaves the connection waiting as it was.
func (c *conn) idleAgain() {
	c.busy = false
	if c.closing {
		c.close()
		return
	}
	if !c.timer.Armed() {
		c.w.Loop.Arm(&c.timer, max(c.idleUntil, c.w.Loop.Now()+1e9))
	}
}

// begin serves a request whose head is complete, or answers a faulty one. It reports whether the connection may carry
// another request at once.
func (c *conn) begin(x *exchange, n int, st http1.State, pipelined bool) bool {
	w := c.w
	a := c.addr()
	m := &x.parser.Message
	c.Action = readingHead
	r := w.Begin(&c.Conn, a.HTTP(), x, m)
	r.SetServer(a.DefaultServer())
	r.Pipelined = pipelined
	x.start(r)
	if st == http1.Done {
		r.RawHead = c.buf[c.rpos+n-m.HeadLen : c.rpos+n] // without empty lines before it
		c.rpos += n
		x.headEnd = c.rpos
		r.RequestLen = int64(n)
		if st = x.decodeURI(); st == http1.Done {
			st = m.Check(c.server().Limits())
		}
	} else if st.InHeader() {
		x.decodeURI() // for the log
	}
	if len(m.Ignored) > 0 && r.Logger.On(nlog.Info) {
		c.Action = "reading client request headers"
		for i := range m.Ignored {
			h := &m.Ignored[i]
			r.Logf(nlog.Info, "client sent invalid header line: \"%s: %s\"", h.Name, h.Value)
		}
		c.Action = ""
	}
	if st != http1.Done {
		return c.refuse(x, st)
	}
	r.Route(a)
	x.body.begin(r)
	if c.https {
		if st := r.CheckTLS(); st != engine.OK {
			r.RejectHead(st)
			return c.done(x)
		}
	}
	c.Action = ""
	r.Serve()
	if r.Detached() {
		return false
	}
	return c.done(x)
}

// decodeURI makes the URI of a complete request line ready.
func (x *exchange) decodeURI() (st http1.State) {
	x.uri, st = x.parser.Message.DecodeURI(x.uri[:0], x.c.server().MergeSlashes.V)
	return st
}

// refuse answers a faulty head and closes.
func (c *conn) refuse(x *exchange, st http1.State) bool {
	r := x.r
	m := r.In
	c.Action = st.Action()
	r.Method, r.MethodName = m.Method, m.MethodName
	r.URI, r.Args = m.URI, m.Args
	if r.URI == nil && len(m.Unparsed) > 0 {
		r.URI = m.Unparsed[:0] // there was one, but it makes no sense
	}
	if m.Version == 0 { // it was not read: the answer has a head all the same
		m.Version = http1.Version10
	}
	if r.Logger.On(nlog.Info) {
		r.Logf(nlog.Info, "%s", m.AppendError(nil, st))
	}
	x.refused = true
	if st == http1.Preface {
		x.linger = false
		r.RejectHead(400)
	} else {
		if st.Lingers() {
			x.linger = true
		}
		r.RejectHead(engine.Status(st.Status()))
	}
	return c.done(x)
}

// done ends the request: the rest of the response leaves, the log phase runs, the connection is kept or closed.
func (c *conn) done(x *exchange) bool {
	r := x.r
	if !r.Aborted {
		x.complete()
		r.Complete = !r.Aborted && x.lastSeen
	}
	keep := r.KeepAlive && !r.Aborted && x.lastSeen && !c.closing && !c.closed
	if keep && !x.skipBody() {
		keep = false
	}
	r.RunLog()
	core := r.Core()
	keepFor := int64(core.KeepaliveTimeout.V.Timeout)
	linger := !r.Aborted && !c.closed && c.wantsLinger(x, core)
	lingerTime, lingerTimeout := int64(core.LingeringTime.V), int64(core.LingeringTimeout.V)
	nodelay := core.TCPNodelay.V
	reset := x.timedOut && core.ResetTimedout.V
	x.finish()
	if !keep || c.w.Stopping && len(c.buf) == c.rpos {
		if reset {
			syscall.SetsockoptLinger(c.fd.Sysfd(), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		}
		if linger {
			c.lingerClose(lingerTime, lingerTimeout)
		}
		c.end()
		return false
	}
	if len(c.buf) > c.rpos {
		return true // pipelined
	}
	c.freeRead()
	if nodelay && !c.nodelay && !c.Remote.Unix {
		syscall.SetsockoptInt(c.fd.Sysfd(), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		c.nodelay = true
	}
	c.Action = "keepalive"
	c.idle(keepFor)
	if c.readable() {
		c.busy = true
		return true
	}
	return false
}

// wantsLinger decides whether the client may still be sending.
func (c *conn) wantsLinger(x *exchange, core *engine.LocConf) bool {
	switch core.LingeringClose.V {
	case engine.LingerOff:
		return false
	case engine.LingerAlways:
		return true
	}
	return x.linger || x.body.unread() || len(c.buf) > c.rpos || c.fd.Readable() && !c.fd.HungUp()
}

// lingerClose tells the client that nothing more comes, and reads what it still sends so that the kernel does not
// reset the connection before it has read the answer.
func (c *conn) lingerClose(total, each int64) {
	if c.tls != nil {
		c.tls.CloseNotify()
	}
	syscall.Shutdown(c.fd.Sysfd(), syscall.SHUT_WR)
	end := c.w.Loop.Now() + total
	if c.buf == nil {
		c.buf = c.w.Buffer(readBuffer)
	}
	for !c.closed {
		n, err := c.fd.Read(c.buf[:cap(c.buf)])
		if n > 0 {
			continue
		}
		if err != syscall.EAGAIN || c.closing {
			return
		}
		now := c.w.Loop.Now()
		if now >= end || c.fd.WaitRead(min(end, now+each)) != nil {
			return
		}
	}
}
