package h1

import (
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/netio"
)

// exchange is one request and its response on a connection. It is the engine's Stream.
type exchange struct {
	c      *conn
	r      *engine.Request
	parser http1.RequestParser
	uri    []byte // memory for a decoded URI
	// headEnd is where the head ends in the connection's buffer, or 0 when headBuf has it.
	headEnd int
	headBuf []byte
	body    bodyReader
	q       []segment
	qh      int
	queued  int64
	sealed  int64 // bytes of queued that TLS has encrypted: they have left the segments

	chunked  bool
	lastSeen bool // the end of the response was queued
	linger   bool
	timedOut bool
	refused  bool
	pace     pace
	onAbort  func()
	onRead   func()      // see Detach
	pacer    *netio.Task // waits for limit_rate
	next     *exchange
}

// lists are what a worker keeps for requests and connections to come.
type lists struct {
	first *exchange
	conns *conn
	spare int // length of conns
}

var workerSlot = engine.NewWorkerSlot()

func listsOf(w *engine.Worker) *lists {
	fl, _ := w.Values[workerSlot].(*lists)
	if fl == nil {
		fl = &lists{}
		w.Values[workerSlot] = fl
		w.OnTrim(func() { *fl = lists{} })
	}
	return fl
}

func newExchange(c *conn) *exchange {
	fl := listsOf(c.w)
	x := fl.first
	if x == nil {
		x = &exchange{}
	} else {
		fl.first, x.next = x.next, nil
	}
	x.c = c
	x.parser.Reset()
	return x
}

// start ties the exchange to its request.
func (x *exchange) start(r *engine.Request) {
	x.r = r
	x.c.ex = x
	x.body.reset(x)
}

// finish recycles request and exchange.
func (x *exchange) finish() {
	for i := x.qh; i < len(x.q); i++ {
		x.drop(&x.q[i])
	}
	if x.headBuf != nil {
		x.c.w.FreeBuffer(x.headBuf)
		x.headBuf = nil
	}
	x.c.ex = nil
	r := x.r
	x.r = nil
	x.c.w.End(r)
	x.free()
}

func (x *exchange) free() {
	w := x.c.w
	x.q, x.qh, x.queued, x.sealed = x.q[:0], 0, 0, 0
	x.chunked, x.lastSeen, x.linger, x.timedOut, x.refused, x.onAbort, x.onRead = false, false, false, false, false, nil, nil
	x.pace = pace{}
	x.c = nil
	fl := listsOf(w)
	x.next = fl.first
	fl.first = x
}

// complete makes sure that the end of the response is queued and has left.
func (x *exchange) complete() {
	r := x.r
	if r.HeaderSent && !x.lastSeen && !r.HeadOnly {
		// A handler ended without the last chunk: an error of its own; the client must see a broken response.
		r.KeepAlive = false
		x.flush()
	}
	if x.queued > 0 {
		r.Drain(0)
	}
}

// segment is queued output: bytes in memory or a range of a file.
type segment struct {
	b    []byte // of the worker's buffers
	pos  int
	f    *engine.File
	off  int64
	left int64
}

func (x *exchange) drop(s *segment) {
	if s.b != nil {
		x.c.w.FreeBuffer(s.b)
	}
	if s.f != nil {
		s.f.Unref()
	}
	*s = segment{}
}

// tail gives the last memory segment with room for n bytes more.
func (x *exchange) tail(n int) *segment {
	if k := len(x.q); k > x.qh {
		if s := &x.q[k-1]; s.b != nil && cap(s.b)-len(s.b) >= n {
			return s
		}
	}
	x.q = append(x.q, segment{b: x.c.w.Buffer(max(n, 4096))})
	return &x.q[len(x.q)-1]
}

func (x *exchange) queue(p []byte) {
	for len(p) > 0 {
		s := x.tail(min(len(p), 64<<10))
		n := min(len(p), cap(s.b)-len(s.b))
		s.b = append(s.b, p[:n]...)
		x.queued += int64(n)
		p = p[n:]
	}
}

func (x *exchange) queueString(p string) {
	s := x.tail(len(p))
	s.b = append(s.b, p...)
	x.queued += int64(len(p))
}

// directWrite is the size from which a piece of body is written from where it lies instead of being copied.
const directWrite = 16 << 10

// SendBody queues a piece of body and sends when it is worth it.
func (x *exchange) SendBody(r *engine.Request, c *engine.Chunk) error {
	if x.c.closed || x.c.fd.Sysfd() < 0 {
		return engine.ErrClientGone
	}
	size := c.Size()
	if size > 0 {
		if x.chunked {
			s := x.tail(32)
			n := len(s.b)
			s.b = http1.AppendChunkHeader(s.b, size)
			x.queued += int64(len(s.b) - n)
		}
		switch {
		case c.File != nil:
			if err := x.queueFile(c); err != nil {
				return err
			}
		case len(c.Data) >= directWrite:
			if err := x.writeDirect(c.Data); err != nil {
				return err
			}
		default:
			x.queue(c.Data)
		}
		if x.chunked {
			x.queueString("\r\n")
		}
	}
	if c.Last && !x.lastSeen {
		x.lastSeen = true
		if x.chunked {
			s := x.tail(64 + trailerSize(r.Out.Trailers))
			n := len(s.b)
			s.b = http1.AppendLastChunk(s.b, r.Out.Trailers)
			x.queued += int64(len(s.b) - n)
		}
	}
	if c.Last || c.Flush || x.queued >= r.Core().PostponeOutput.V {
		return x.flush()
	}
	return nil
}

func trailerSize(t []http1.Header) int {
	n := 0
	for i := range t {
		n += len(t[i].Name) + len(t[i].Value) + 4
	}
	return n
}

// inlineFile is the size up to which a piece of a file is read into memory and leaves together with the head.
const inlineFile = 64 << 10

func (x *exchange) queueFile(c *engine.Chunk) error {
	if c.Len <= inlineFile {
		s := x.tail(int(c.Len))
		at := len(s.b)
		b, err := x.r.ReadChunk(s.b, c)
		if err != nil {
			return err
		}
		x.queued += int64(len(b) - at)
		s.b = b
		return nil
	}
	c.File.Ref()
	x.q = append(x.q, segment{f: c.File, off: c.Off, left: c.Len})
	x.queued += c.Len
	return nil
}

// writeDirect sends large bytes without copying what the socket takes at once.
func (x *exchange) writeDirect(p []byte) error {
	fd := &x.c.fd
	if rate, _ := x.r.RateLimit(); rate > 0 || x.c.tls != nil {
		x.queue(p)
		return nil
	}
	if x.qh == len(x.q)-1 && x.q[x.qh].b != nil {
		s := &x.q[x.qh]
		head := s.b[s.pos:]
		n, err := fd.Writev(head, p)
		if err != nil && err != syscall.EAGAIN {
			return x.sendFailed(err)
		}
		x.sent(n)
		if n >= len(head) {
			p = p[n-len(head):]
			x.queued -= int64(len(head))
			x.drop(s)
			x.q, x.qh = x.q[:0], 0
		} else {
			s.pos += n
			x.queued -= int64(n)
		}
	} else if x.qh == len(x.q) {
		n, err := fd.Write(p)
		if err != nil && err != syscall.EAGAIN {
			return x.sendFailed(err)
		}
		if n > 0 {
			x.sent(n)
			p = p[n:]
		}
	}
	x.queue(p)
	return nil
}

// sent counts what the socket took.
func (x *exchange) sent(n int) {
	x.c.Sent += int64(n)
	x.r.Sent += int64(n)
}

func (x *exchange) sendFailed(err error) error {
	x.r.LogErr(nlog.Info, err, "writev() failed")
	return engine.ErrClientGone
}

// flush sends what the socket takes.
func (x *exchange) flush() error {
	fd := &x.c.fd
	if fd.Sysfd() < 0 {
		return engine.ErrClientGone
	}
	free := x.allowance()
	if turn := x.r.Core().SendfileMaxChunk.V; turn > 0 {
		free = min(free, turn) // others have their turn: see Drain
	}
	before := x.r.Sent
	defer func() { x.took(x.r.Sent - before) }()
	if x.c.tls != nil {
		return x.flushTLS(free)
	}
	for x.qh < len(x.q) && free > 0 {
		s := &x.q[x.qh]
		var n int
		var err error
		if s.f != nil {
			n, err = fd.Sendfile(s.f.FD, s.off, int(min(s.left, 2<<20, free)))
			if n > 0 {
				s.off += int64(n)
				s.left -= int64(n)
			} else if err == nil {
				x.r.Logf(nlog.Alert, "sendfile() reported that \"%s\" was truncated", s.f.Name())
				return engine.ErrClientGone
			}
		} else if x.qh+1 < len(x.q) && x.q[x.qh+1].b != nil && free >= x.queued {
			t := &x.q[x.qh+1]
			n, err = fd.Writev(s.b[s.pos:], t.b[t.pos:])
			if over := n - (len(s.b) - s.pos); over > 0 {
				t.pos += over
				s.pos = len(s.b)
			} else if n > 0 {
				s.pos += n
			}
		} else {
			n, err = fd.Write(s.b[s.pos : s.pos+int(min(int64(len(s.b)-s.pos), free))])
			if n > 0 {
				s.pos += n
			}
		}
		if n > 0 {
			free -= int64(n)
			x.queued -= int64(n)
			x.sent(n)
		}
		if err == syscall.EAGAIN {
			return nil
		}
		if err != nil {
			return x.sendFailed(err)
		}
		for x.qh < len(x.q) {
			s := &x.q[x.qh]
			if s.f != nil && s.left > 0 || s.b != nil && s.pos < len(s.b) {
				break
			}
			x.drop(s)
			x.qh++
		}
	}
	if x.qh == len(x.q) {
		x.q, x.qh = x.q[:0], 0
	}
	return nil
}

// Flush pushes out what is queued.
func (x *exchange) Flush(r *engine.Request) error { return x.flush() }

// Pending is the number of bytes queued.
func (x *exchange) Pending() int64 { return x.queued }

// Drain parks until at most max bytes are queued.
func (x *exchange) Drain(r *engine.Request, max int64) error {
	for {
		if err := x.flush(); err != nil {
			return err
		}
		if x.queued <= max {
			return nil
		}
		if now := x.c.w.Loop.Now(); x.pace.until > now {
			if !x.pause(r) {
				return engine.ErrClientGone
			}
			continue
		}
		if x.c.fd.Writable() {
			x.c.w.Loop.Sleep(0)
			continue
		}
		err := x.c.fd.WaitWrite(x.c.w.Loop.Now() + int64(r.Core().SendTimeout.V))
		switch err {
		case nil, netio.ErrKilled: // ending a light thread does not take back what it printed
		case netio.ErrTimeout:
			x.timedOut = true
			r.SetTimedOut()
			r.LogErr(nlog.Info, syscall.ETIMEDOUT, "client timed out")
			return engine.ErrClientGone
		default:
			return engine.ErrClientGone
		}
	}
}

// pause waits until limit_rate lets more bytes go; false means that there is nobody left to send them to.
func (x *exchange) pause(r *engine.Request) bool {
	loop := x.c.w.Loop
	if !x.c.fd.HungUp() {
		x.pacer = loop.Current()
		err := loop.Park(x.pace.until)
		x.pacer = nil
		if err != nil && err != netio.ErrTimeout && err != netio.ErrKilled {
			return false
		}
	}
	if x.c.fd.HungUp() {
		r.Logf(nlog.Info, "client prematurely closed connection")
		return false
	}
	return true
}

// WaitRead parks until f may be read; meanwhile what is queued goes on leaving.
func (x *exchange) WaitRead(r *engine.Request, f *netio.FD, deadline int64) error {
	for !f.Readable() {
		if x.queued == 0 {
			return f.WaitRead(deadline)
		}
		if until := x.pace.until; until > x.c.w.Loop.Now() { // limit_rate lets nothing go before
			early := deadline == 0 || until < deadline
			if !early {
				until = deadline
			}
			if err := f.WaitRead(until); err != nil && (err != netio.ErrTimeout || !early) {
				return err
			}
			if err := x.flush(); err != nil {
				return err
			}
			continue
		}
		if err := f.WaitReadOr(&x.c.fd, deadline); err != nil {
			if x.c.fd.Sysfd() < 0 {
				return engine.ErrClientGone
			}
			return err
		}
		if x.c.fd.Writable() {
			if err := x.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Gone reports whether the client has closed its side.
func (x *exchange) Gone() bool { return x.c.closed || x.c.fd.Sysfd() < 0 || x.c.fd.HungUp() }
