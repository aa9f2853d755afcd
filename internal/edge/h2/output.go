package h2

import (
	"io"
	"math"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http2"
	"moongate/internal/netio"
)

const (
	// sendAt is how much the buffer holds before it is sent without waiting for more, and what it holds at most of bodies
	// while the client takes nothing.
	sendAt = 40 << 10
	// maxUnsent is how much is kept for a client that takes nothing; beyond it no frames of it are read.
	maxUnsent = 256 << 10
	// pumpAtOnce is how much of bodies leaves before others have their turn.
	pumpAtOnce = 1 << 20
	// directMost is the largest piece that is framed as a whole, without a look at the socket in between.
	directMost = 128 << 10
)

// room makes sure that n bytes can be appended to out.
func (c *conn) room(n int) {
	switch {
	case cap(c.out)-len(c.out) >= n:
	case c.out == nil:
		c.out = c.w.Buffer(max(n, 4<<10))
	case c.wpos > len(c.out)/2 && cap(c.out)-len(c.out)+c.wpos >= n:
		c.out = c.out[:copy(c.out, c.out[c.wpos:])]
		c.wpos = 0
	default:
		nb := append(c.w.Buffer(2*(len(c.out)-c.wpos)+n), c.out[c.wpos:]...)
		c.w.FreeBuffer(c.out)
		c.out, c.wpos = nb, 0
	}
}

// unsent is the number of bytes that the socket has not taken.
func (c *conn) unsent() int {
	n := len(c.out) - c.wpos
	if c.tls != nil {
		n += c.tls.Sealed()
	}
	return n
}

// full reports whether bodies have to wait for the socket.
func (c *conn) full() bool {
	if c.unsent() < sendAt {
		return false
	}
	c.write()
	return c.dead || c.unsent() >= sendAt
}

// write sends what the socket takes.
func (c *conn) write() {
	if c.unsent() == 0 || c.fd.Sysfd() < 0 {
		return
	}
	var err error
	if c.tls != nil {
		err = c.writeTLS()
	} else {
		for c.wpos < len(c.out) && err == nil {
			var n int
			if n, err = c.fd.Write(c.out[c.wpos:]); n > 0 {
				c.wpos += n
			}
		}
	}
	if c.wpos == len(c.out) {
		c.out, c.wpos = c.out[:0], 0
	}
	switch {
	case err == nil:
	case err == syscall.EAGAIN:
		if !c.writing {
			c.writing = true
			c.w.Loop.Go(c.writer)
		}
	default:
		c.log(nlog.Info, err, "writev() failed")
		c.abort()
	}
}

// sealAhead is how much is encrypted before the socket is asked to take it.
const sealAhead = 64 << 10

func (c *conn) writeTLS() error {
	record := 16 << 10
	if t := c.def().TLS; t != nil {
		record = t.RecordSize
	}
	for {
		for c.wpos < len(c.out) && c.tls.Sealed() < sealAhead {
			n := min(record, len(c.out)-c.wpos)
			if err := c.tls.Seal(c.out[c.wpos : c.wpos+n]); err != nil {
				return err
			}
			c.wpos += n
		}
		if err := c.tls.Flush(); err != nil {
			return err
		}
		if c.wpos == len(c.out) {
			return nil
		}
	}
}

// writer waits until the socket takes more, as long as there is more.
func (c *conn) writer() {
	for !c.dead && c.unsent() > 0 {
		err := c.fd.WaitWrite(c.w.Loop.Now() + int64(c.core().SendTimeout.V))
		if c.dead {
			break
		}
		if err != nil {
			if err == netio.ErrTimeout {
				c.log(nlog.Info, syscall.ETIMEDOUT, "client timed out")
			}
			c.writing = false
			c.abort()
			return
		}
		c.write()
		c.pump()
	}
	c.writing = false
	if !c.dead && !c.running {
		c.run() // reading may have been stopped
	}
}

// flushSoon has what is queued sent when the frames of this read, or the events of this turn, have been served.
func (c *conn) flushSoon() {
	if !c.running && !c.flushing && !c.dead {
		c.flushing = true
		c.w.Loop.AtEnd(c.turnFn)
	}
}

func (c *conn) endTurn() {
	c.flushing = false
	if c.dead || c.running {
		return
	}
	c.write()
	if !c.dead {
		c.rest()
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

func (s *stream) drop(g *segment) {
	if g.b != nil {
		s.c.w.FreeBuffer(g.b)
	}
	if g.f != nil {
		g.f.Unref()
	}
	*g = segment{}
}

func (s *stream) dropQueue() {
	for i := s.qh; i < len(s.q); i++ {
		s.drop(&s.q[i])
	}
	s.q, s.qh, s.queued = s.q[:0], 0, 0
}

// sent counts bytes put into the connection's buffer.
func (s *stream) sent(n int64) {
	s.r.Sent += n
	s.Conn.Sent += n
	s.c.base.Sent += n
}

// SendBody sends a piece of body as far as windows and socket allow, and queues the rest.
func (s *stream) SendBody(r *engine.Request, ch *engine.Chunk) error {
	c := s.c
	if s.gone || s.reset || c.dead {
		return engine.ErrClientGone
	}
	if s.outClosed {
		return nil
	}
	last := ch.Last && !s.last
	if size := ch.Size(); size > 0 || last {
		s.last = s.last || last
		if s.qh == len(s.q) && s.pace.free(s) && size <= s.sendWindow.Free() && size <= c.sendWindow.Free() && size <= directMost && !c.full() {
			if err := s.sendNow(r, ch, size, last); err != nil {
				return err
			}
		} else {
			s.enqueue(ch)
			s.offer()
			c.pump()
		}
	}
	if c.dead {
		return engine.ErrClientGone
	}
	c.flushSoon()
	return nil
}

// frameSize is how much of a body one frame holds.
func (s *stream) frameSize() int {
	return int(min(loc.Of(s.r.Scope).chunk.V, int64(s.c.peer.FrameSize)))
}

// sendNow puts a piece that nothing holds back into the connection's buffer.
func (s *stream) sendNow(r *engine.Request, ch *engine.Chunk, size int64, last bool) error {
	trailers := last && len(r.Out.Trailers) > 0
	if size == 0 {
		s.finishBody(trailers)
		return nil
	}
	frame := int64(s.frameSize())
	for off := int64(0); off < size; {
		n := min(frame, size-off)
		end := last && !trailers && off+n == size
		if ch.File == nil {
			s.putData(ch.Data[off:off+n], end)
		} else if err := s.putFile(ch.File, ch.Off+off, int(n), end); err != nil {
			return err
		}
		off += n
		if len(s.c.out)-s.c.wpos >= sendAt {
			s.c.write()
		}
	}
	if trailers {
		s.finishBody(true)
	}
	return nil
}

// finishBody ends the stream behind its last piece.
func (s *stream) finishBody(trailers bool) {
	if trailers {
		s.sendTrailers(s.r)
		return
	}
	s.putData(nil, true)
}

func (s *stream) putData(p []byte, end bool) {
	c := s.c
	c.room(http2.HeaderSize + len(p))
	c.out = http2.AppendData(c.out, s.id, p, s.account(len(p), end))
}

// account takes n bytes off the windows.
func (s *stream) account(n int, end bool) (f http2.Flags) {
	if end {
		f = http2.EndStream
		s.outClosed = true
	}
	s.sendWindow -= http2.Window(n)
	s.c.sendWindow -= http2.Window(n)
	s.c.flood.useful(n)
	s.sent(int64(n) + http2.HeaderSize)
	return f
}

func (s *stream) putFile(f *engine.File, off int64, n int, end bool) error {
	c := s.c
	c.room(http2.HeaderSize + n)
	at := len(c.out)
	body := c.out[at+http2.HeaderSize : at+http2.HeaderSize+n]
	if got, err := f.ReadAt(body, off); got < n {
		if err != nil && got == 0 && err != io.EOF {
			s.r.LogErr(nlog.Crit, err, "pread() \"%s\" failed", f.Name())
		} else {
			s.r.Logf(nlog.Alert, "pread() read only %d of %d from \"%s\"", got, n, f.Name())
		}
		return engine.ErrClientGone
	}
	c.out = c.out[:at+http2.HeaderSize+n]
	http2.PutHeader(c.out[at:], n, http2.Data, s.account(n, end), s.id)
	return nil
}

// enqueue keeps a piece for later.
func (s *stream) enqueue(ch *engine.Chunk) {
	if ch.File != nil {
		ch.File.Ref()
		s.q = append(s.q, segment{f: ch.File, off: ch.Off, left: ch.Len})
		s.queued += ch.Len
		return
	}
	for p := ch.Data; len(p) > 0; {
		var g *segment
		if k := len(s.q); k > s.qh && s.q[k-1].b != nil && len(s.q[k-1].b) < cap(s.q[k-1].b) {
			g = &s.q[k-1]
		} else {
			s.q = append(s.q, segment{b: s.c.w.Buffer(min(len(p), 64<<10))})
			g = &s.q[len(s.q)-1]
		}
		n := min(len(p), cap(g.b)-len(g.b))
		g.b = append(g.b, p[:n]...)
		s.queued += int64(n)
		p = p[n:]
	}
}

// queue is the list of streams that have something to send.
type queue struct{ first, last *stream }

func (q *queue) add(s *stream) {
	s.prev, s.next, s.waiting = q.last, nil, true
	if q.last != nil {
		q.last.next = s
	} else {
		q.first = s
	}
	q.last = s
}

func (q *queue) remove(s *stream) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		q.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		q.last = s.prev
	}
	s.prev, s.next, s.waiting = nil, nil, false
}

// offer puts the stream into the connection's queue when something of it may leave.
func (s *stream) offer() {
	if !s.waiting && !s.gone && !s.reset && s.unfinished() {
		s.c.ready.add(s)
	}
}

// unfinished reports whether something is to be framed.
func (s *stream) unfinished() bool { return s.qh < len(s.q) || s.last && !s.outClosed }

// pump frames what the streams have queued, a frame of each in turn, as far as windows and socket allow.
func (c *conn) pump() {
	if c.pumping || c.dead {
		return
	}
	c.pumping = true
	for left := pumpAtOnce; c.ready.first != nil; {
		var s *stream
		if c.sendWindow > 0 {
			s = c.best()
		} else if s = c.ready.sendsEnd(); s == nil {
			break
		}
		if left <= 0 {
			c.w.Loop.Go(c.pumpAgain)
			break
		}
		if c.full() {
			break
		}
		n := s.sendPiece()
		if n < 0 { // nothing more of this one
			if s.waiting {
				c.ready.remove(s)
			}
		} else if left -= n + http2.HeaderSize; s.waiting && s != c.ready.last {
			c.ready.remove(s)
			c.ready.add(s)
		}
	}
	c.pumping = false
	c.flushSoon()
}

// sendsEnd finds a stream that has only its end to send, which needs no window.
func (q *queue) sendsEnd() *stream {
	for s := q.first; s != nil; s = s.next {
		if s.qh == len(s.q) {
			return s
		}
	}
	return nil
}

func (c *conn) pumpAgain() { c.pump() }

// sendPiece frames a piece of what is queued and gives its size; -1: nothing can be sent now, or nothing is left.
func (s *stream) sendPiece() int {
	r := s.r
	if s.qh == len(s.q) {
		if s.last && !s.outClosed {
			s.finishBody(len(r.Out.Trailers) > 0)
		}
		s.wake()
		return -1
	}
	free := min(int64(s.frameSize()), s.sendWindow.Free(), s.c.sendWindow.Free(), s.pace.allowance(s))
	if free <= 0 {
		return -1
	}
	g := &s.q[s.qh]
	var n int
	trailers := s.last && len(r.Out.Trailers) > 0
	if g.f != nil {
		n = int(min(free, g.left))
		end := s.last && !trailers && int64(n) == g.left && s.qh+1 == len(s.q)
		if s.putFile(g.f, g.off, n, end) != nil {
			s.dropQueue()
			s.sendReset(http2.InternalError)
			s.abandon()
			return -1
		}
		g.off += int64(n)
		g.left -= int64(n)
		if g.left == 0 {
			s.drop(g)
			s.qh++
		}
	} else {
		n = int(min(free, int64(len(g.b)-g.pos)))
		end := s.last && !trailers && n == len(g.b)-g.pos && s.qh+1 == len(s.q)
		s.putData(g.b[g.pos:g.pos+n], end)
		if g.pos += n; g.pos == len(g.b) {
			s.drop(g)
			s.qh++
		}
	}
	if s.qh == len(s.q) {
		s.q, s.qh = s.q[:0], 0
		if trailers {
			s.finishBody(true)
		}
	}
	s.queued -= int64(n)
	s.progress = s.c.w.Loop.Now()
	s.pace.took(s, int64(n)+http2.HeaderSize)
	s.wake()
	if !s.unfinished() {
		return -1
	}
	return n
}

// wake lets a producer go on.
func (s *stream) wake() {
	if s.writer != nil && s.queued <= s.low && (s.low > 0 || !s.unfinished()) {
		s.c.w.Loop.Ready(s.writer)
	}
}

// Flush has what is queued sent.
func (s *stream) Flush(r *engine.Request) error {
	if s.gone || s.c.dead {
		return engine.ErrClientGone
	}
	s.c.flushSoon()
	return nil
}

// Push implements engine.Pusher.
func (s *stream) Push() {
	if !s.gone && !s.c.dead {
		s.c.write()
	}
}

// Pending is the number of bytes that wait for windows or the socket.
func (s *stream) Pending() int64 {
	if s.queued == 0 && s.last && !s.outClosed {
		return 1
	}
	return s.queued
}

// Drain parks until at most max bytes are queued, for at most send_timeout without progress.
func (s *stream) Drain(r *engine.Request, max int64) error {
	loop := s.c.w.Loop
	s.progress = loop.Now()
	for {
		if s.gone || s.c.dead {
			return engine.ErrClientGone
		}
		if s.Pending() <= max {
			return nil
		}
		deadline := s.progress + int64(r.Core().SendTimeout.V)
		if s.pace.until > loop.Now() {
			deadline += s.pace.until - s.progress
		}
		t := loop.Current()
		s.writer, s.low = t, max
		err := loop.Park(deadline)
		if s.writer == t {
			s.writer = nil
		}
		switch err {
		case nil, netio.ErrKilled: // ending a light thread does not take back what it printed
		case netio.ErrTimeout:
			if s.progress+int64(r.Core().SendTimeout.V) > loop.Now() || s.pace.until > loop.Now() {
				continue
			}
			s.timedOut = true
			r.SetTimedOut()
			r.LogErr(nlog.Info, syscall.ETIMEDOUT, "client timed out")
			return engine.ErrClientGone
		default:
			return err
		}
	}
}

// pace keeps a response at the speed of limit_rate: a second's bytes may leave at once, then no more until they would have
// taken their time.
type pace struct {
	until int64 // monotonic nanoseconds before which nothing is sent
	timer netio.Timer
}

// free reports whether there is no limit.
func (p *pace) free(s *stream) bool {
	rate, _ := s.r.RateLimit()
	return rate == 0
}

// allowance is the number of bytes that may be sent now; when it is 0 the timer goes on with the stream.
func (p *pace) allowance(s *stream) int64 {
	r := s.r
	rate, after := r.RateLimit()
	if rate == 0 {
		return math.MaxInt64
	}
	loop := s.c.w.Loop
	now := loop.Now()
	if p.until <= now {
		seconds := loop.Wall()/1e9 - r.StartWall/1e9
		free := rate*(seconds+1) - (r.Sent - after)
		if free > 0 {
			return free
		}
		p.until = now + (-free*1000/rate+1)*1e6
	}
	loop.Arm(&p.timer, p.until)
	return 0
}

// took notes that n bytes were sent: the next ones wait for the time that these take.
func (p *pace) took(s *stream, n int64) {
	rate, after := s.r.RateLimit()
	if rate == 0 || n == 0 {
		return
	}
	counted := max(s.r.Sent-after, 0) - max(s.r.Sent-n-after, 0)
	if ms := counted * 1000 / rate; ms > 0 {
		p.until = s.c.w.Loop.Now() + ms*1e6
	}
}

// paced is the timer's function.
func (s *stream) paced() {
	if s.c != nil && s.r != nil {
		s.offer()
		s.c.pump()
	}
}
