package h3

import (
	"context"
	"io"
	"syscall"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"moongate/internal/base/nlog"
	"moongate/internal/edge/mux"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/http2"
	"moongate/internal/netio"
)

// stream is one request and its response.
type stream struct {
	engine.Conn
	c     *conn
	str   *quic.Stream
	in    quicvarint.Reader // who reads: see body
	msg   http1.Message
	block http2.Block
	size  int // of the header block as it came
	r     *engine.Request

	ended  bool // the client's side has ended
	gone   bool // the stream or the connection is lost
	tunnel bool
	hijack bool
	body   body
	out    output

	onAbort func()
}

var _ interface {
	engine.Stream
	engine.Watcher
	engine.Downstream
	engine.Hinter
} = (*stream)(nil)

var protocol = []byte("HTTP/3.0")

func speaks(_ *engine.AddrConf, v *engine.Server) bool { return srv.Of(v.Scope).enable.V }

// begin starts the request, on the worker's loop.
func (s *stream) begin() {
	c := s.c
	if c.closed || c.goaway {
		s.str.CancelRead(errRequestRejected)
		s.str.CancelWrite(errRequestRejected)
		return
	}
	c.open++
	c.lastID = max(c.lastID, s.str.StreamID()+4)
	c.Requests++
	s.Conn = c.Conn
	s.Action = "reading client request headers"
	s.body.left = -1
	s.out.ready.L = &s.out.mu
	context.AfterFunc(s.str.Context(), func() { c.w.Loop.Post(s.lost) })
	if core := c.Listener.Conf().DefaultServer().Loc.Core; c.Requests >= uint64(core.KeepaliveRequests.V) || core.KeepaliveTimeout.V.Timeout == 0 ||
		c.w.Loop.Now()-c.StartMono > int64(core.KeepaliveTime.V) {
		c.retire()
	}
	c.w.Loop.Go(s.serve)
}

// serve takes the request from its head to the log phase. It may park.
func (s *stream) serve() {
	c := s.c
	a := c.Listener.Conf()
	r := c.w.Begin(&s.Conn, a.HTTP(), s, &s.msg)
	s.r = r
	r.SetServer(a.DefaultServer())
	r.RequestLen = int64(s.size)
	h := mux.Head{Msg: &s.msg, Block: &s.block, Protocol: protocol, Version: http1.Version30, Closed: s.ended,
		Speaks: speaks}
	st := h.Read(r, a, a.DefaultServer().Conf.Limits())
	s.tunnel = h.Tunnel
	s.body.left = s.msg.ContentLength
	if h.Short {
		s.body.failed = engine.ErrBodyClosed
	}
	if st != engine.OK {
		r.RejectHead(st)
	} else {
		s.Action = ""
		r.Serve()
		if r.Detached() {
			return
		}
	}
	s.done(h.Malformed)
}

// done ends the request: the rest of the response leaves, the log phase runs.
func (s *stream) done(malformed bool) {
	r, c := s.r, s.c
	if s.hijack && !s.gone {
		s.finish(nil)
		r.Aborted = false
	}
	if !r.Aborted && !s.gone {
		r.Drain(0)
		r.Complete = !r.Aborted && s.out.last
	}
	code := quic.StreamErrorCode(errNoError)
	if malformed || s.body.malformed {
		code = errMessage
	}
	if !s.out.last || r.Aborted {
		s.out.abandon()
		s.str.CancelWrite(errInternal)
	}
	if !s.ended {
		s.str.CancelRead(code)
	}
	r.RunLog()
	s.r = nil
	c.w.End(r)
	c.ended()
}

// lost is called when nothing more can be sent: the client has reset the stream, the connection is gone, or all is sent.
func (s *stream) lost() {
	if s.gone || s.r == nil || s.out.finished() {
		return
	}
	s.gone = true
	s.out.abandon()
	loop := s.c.w.Loop
	s.wakeReader()
	if t := s.out.writer; t != nil {
		loop.Ready(t)
	}
	s.TellGone()
	if f := s.onAbort; f != nil {
		s.onAbort = nil
		f()
	}
}

// Watch implements engine.Watcher.
func (s *stream) Watch(f func()) {
	s.onAbort = f
	if f != nil && s.gone {
		s.c.w.Loop.Go(func() {
			if g := s.onAbort; g != nil {
				s.onAbort = nil
				g()
			}
		})
	}
}

// Gone reports whether the client has given the stream up.
func (s *stream) Gone() bool { return s.gone || s.c.closed }

// WaitRead parks until f may be read; what is queued leaves meanwhile.
func (s *stream) WaitRead(r *engine.Request, f *netio.FD, deadline int64) error {
	return f.WaitRead(deadline)
}

// body is the request body as far as it was read. While a read is under way, frame and in belong to its goroutine.
type body struct {
	buf       []byte
	pos       int
	left      int64  // of Content-Length; negative: it has none
	frame     uint64 // what is left of the DATA frame
	failed    error
	malformed bool
	reading   bool
	onRead    func() // see Detach
	reader    *netio.Task
}

// bodyPiece is how much of a body is read at once.
const bodyPiece = 16 << 10

// fetch reads the next piece beside the loop.
func (s *stream) fetch() {
	b := &s.body
	if b.reading || s.ended || b.failed != nil {
		return
	}
	b.reading = true
	buf := s.c.w.Buffer(bodyPiece)
	go func() {
		n, err := s.readData(buf[:cap(buf)])
		s.c.w.Loop.Post(func() { s.fetched(buf[:n], err) })
	}()
}

// readData reads from DATA frames; io.EOF: the body has ended, trailers and all.
func (s *stream) readData(p []byte) (int, error) {
	b := &s.body
	for b.frame == 0 {
		kind, err := quicvarint.Read(s.in)
		if err != nil {
			return 0, err
		}
		size, err := quicvarint.Read(s.in)
		switch {
		case err != nil:
			return 0, io.ErrUnexpectedEOF
		case kind == frameData:
			b.frame = size
			continue
		case kind <= 0xd && kind != frameHeaders || kind == frameHeaders && size > maxTrailers:
			return 0, errUnexpected
		}
		if _, err := io.CopyN(io.Discard, s.in, int64(size)); err != nil {
			return 0, io.ErrUnexpectedEOF
		}
	}
	n, err := s.in.Read(p[:min(uint64(len(p)), b.frame)])
	b.frame -= uint64(n)
	if err == io.EOF {
		if err = nil; b.frame > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// maxTrailers bounds request trailers, which nobody asks for.
const maxTrailers = 16 << 10

// fetched takes what was read.
func (s *stream) fetched(p []byte, err error) {
	b := &s.body
	b.reading = false
	n := int64(len(p))
	switch {
	case b.left >= 0 && n > b.left && !s.tunnel:
		s.fault("client intended to send body data larger than declared")
	case err == io.EOF && b.left > 0 && !s.tunnel:
		s.ended = true
		s.fault("client prematurely closed stream")
	case err == io.EOF:
		s.ended = true
	case err != nil:
		b.failed = engine.ErrBodyClosed
	}
	if b.left >= 0 {
		b.left -= n
	}
	if s.r == nil || n == 0 {
		s.c.w.FreeBuffer(p)
	} else {
		b.buf, b.pos = p, 0
	}
	s.wakeReader()
}

// wakeReader tells whoever reads that there is something, or that nothing more comes.
func (s *stream) wakeReader() {
	if t := s.body.reader; t != nil {
		s.c.w.Loop.Ready(t)
	}
	if f := s.body.onRead; f != nil {
		s.c.w.Loop.Go(f)
	}
}

func (s *stream) fault(text string) {
	s.body.failed = &engine.BodyError{Status: 400, Text: text}
	s.body.malformed = true
}

// Buffered is the number of bytes of the body that wait.
func (s *stream) Buffered() int { return len(s.body.buf) - s.body.pos }

// ReadBody gives the next bytes of the body; it parks for at most client_body_timeout.
func (s *stream) ReadBody(r *engine.Request, p []byte) (int, error) {
	for {
		n, err := s.TryBody(r, p)
		if err != syscall.EAGAIN {
			return n, err
		}
		switch err := s.WaitBody(s.c.w.Loop.Now() + int64(r.Core().ClientBodyTimeout.V)); err {
		case nil:
		case netio.ErrTimeout:
			s.body.failed = engine.ErrBodyTimeout
		default:
			return 0, err
		}
	}
}

// TryBody gives the next bytes of the body; EAGAIN: nothing is there.
func (s *stream) TryBody(r *engine.Request, p []byte) (int, error) {
	b := &s.body
	if b.failed != nil {
		return 0, b.failed
	}
	if n := copy(p, b.buf[b.pos:]); n > 0 {
		b.pos += n
		r.RequestLen += int64(n)
		if b.pos == len(b.buf) {
			s.c.w.FreeBuffer(b.buf)
			b.buf, b.pos = nil, 0
		}
		return n, nil
	}
	switch {
	case s.gone:
		return 0, engine.ErrBodyClosed
	case s.ended:
		return 0, io.EOF
	}
	s.fetch()
	return 0, syscall.EAGAIN
}

// WaitBody parks until TryBody may give more, or the deadline.
func (s *stream) WaitBody(deadline int64) error {
	b, loop := &s.body, s.c.w.Loop
	for s.Buffered() == 0 && !s.ended && !s.gone && b.failed == nil {
		s.fetch()
		t := loop.Current()
		b.reader = t
		err := loop.Park(deadline)
		if b.reader == t {
			b.reader = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// BodyLeft reports whether a part of the body was not read.
func (s *stream) BodyLeft() bool { return s.Buffered() > 0 || !s.ended }

// Hijack makes the stream one of bytes only, both ways.
func (s *stream) Hijack(r *engine.Request) engine.RawConn {
	s.hijack = true
	return mux.Raw{S: s, R: r}
}

// Detach is Hijack.
func (s *stream) Detach(r *engine.Request, readable func()) engine.RawConn {
	s.body.onRead = readable
	return s.Hijack(r)
}

// Resume ends the request.
func (s *stream) Resume(*engine.Request) { s.done(false) }

// Over reports whether nothing more will come.
func (s *stream) Over() bool { return s.ended || s.gone }

func (s *stream) timedOut(r *engine.Request) error {
	r.SetTimedOut()
	r.LogErr(nlog.Info, syscall.ETIMEDOUT, "client timed out")
	return engine.ErrClientGone
}
