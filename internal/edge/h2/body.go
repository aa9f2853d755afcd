package h2

import (
	"io"
	"syscall"

	"moongate/internal/engine"
	"moongate/internal/http2"
	"moongate/internal/netio"
)

// body is the request body as far as it waits to be read.
type body struct {
	buf        []byte // the worker's
	pos        int
	left       int64 // of Content-Length; negative: it has none
	recvWindow int64 // what the client may still send
	credit     int64 // what was read and the client has not been told of
	failed     error
}

func (s *stream) waitingBody() int { return len(s.body.buf) - s.body.pos }

// narrowWindow is a window that is always made wider when a body is read, as clients expect of nginx.
const narrowWindow = 16 << 10

// wideWindow is how much of a body that is being read may be on its way.
const wideWindow = 256 << 10

// receive takes the bytes of DATA, and the padding that counts with them.
func (s *stream) receive(data []byte, padding int, end bool) {
	b := &s.body
	s.inClosed = end
	b.credit += int64(padding)
	if s.gone || b.failed != nil {
		return
	}
	switch n := int64(len(data)); {
	case b.left >= 0 && n > b.left && !s.tunnel:
		s.fault("client intended to send body data larger than declared")
	case end && b.left > n && !s.tunnel:
		want := s.msg.ContentLength
		s.fault(sprintf("client prematurely closed stream: only %d out of %d bytes of request body received", want-b.left+n, want))
	default:
		if b.left >= 0 {
			b.left -= n
		}
		s.keep(data)
	}
	s.wakeReader()
}

// wakeReader tells whoever reads that there is something, or that nothing more comes.
func (s *stream) wakeReader() {
	if s.reader != nil {
		s.c.w.Loop.Ready(s.reader)
	}
	if s.onRead != nil {
		s.c.w.Loop.Go(s.onRead)
	}
	if f := s.onBody; f != nil {
		s.onBody = nil
		s.c.w.Loop.Soon(f)
	}
}

// fault ends the body for a fault of the client.
func (s *stream) fault(text string) {
	s.body.failed = &engine.BodyError{Status: 400, Text: text} // whoever reads the body logs it
	s.malformed = true
}

// keep appends to what waits.
func (s *stream) keep(data []byte) {
	b, w := &s.body, s.c.w
	if len(data) == 0 {
		return
	}
	if cap(b.buf)-len(b.buf) < len(data) {
		live := b.buf[b.pos:]
		if len(live)+len(data) <= cap(b.buf) && len(live) <= cap(b.buf)/2 {
			b.buf = b.buf[:copy(b.buf[:cap(b.buf)], live)]
		} else {
			nb := append(w.Buffer(max(4<<10, 2*(len(live)+len(data)))), live...)
			if b.buf != nil {
				w.FreeBuffer(b.buf)
			}
			b.buf = nb
		}
		b.pos = 0
	}
	b.buf = append(b.buf, data...)
}

func (s *stream) dropBody() {
	if s.body.buf != nil {
		s.c.w.FreeBuffer(s.body.buf)
	}
	s.body.buf, s.body.pos = nil, 0
}

// grant tells the client how much more it may send, when that is worth a frame.
func (s *stream) grant(most int64) {
	b := &s.body
	if s.inClosed || s.reset || s.gone {
		return
	}
	free := most - b.recvWindow - int64(s.waitingBody())
	if b.left >= 0 && !s.tunnel && b.left <= b.recvWindow && b.recvWindow >= narrowWindow { // all of it may come already
		return
	}
	if free < most/2 && (b.recvWindow > 0 || s.waitingBody() > 0) || free <= 0 {
		return
	}
	b.recvWindow += free
	s.c.room(16)
	s.c.out = http2.AppendWindowUpdate(s.c.out, s.id, free)
	s.c.flushSoon()
}

// Buffered is the number of bytes of the body that wait.
func (s *stream) Buffered() int { return s.waitingBody() }

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
			s.timedOut = true
			s.body.failed = engine.ErrBodyTimeout
		default:
			return 0, err
		}
	}
}

// TryBody gives the next bytes of the body; EAGAIN: nothing is there.
func (s *stream) TryBody(r *engine.Request, p []byte) (int, error) {
	b := &s.body
	if n := s.waitingBody(); n > 0 && b.failed == nil {
		n = copy(p, b.buf[b.pos:])
		b.pos += n
		r.RequestLen += int64(n)
		if b.pos == len(b.buf) {
			s.dropBody()
		}
		s.grant(s.window())
		return n, nil
	}
	switch {
	case b.failed != nil:
		return 0, b.failed
	case s.inClosed && !s.gone:
		return 0, io.EOF
	case s.gone || s.c.dead:
		return 0, engine.ErrBodyClosed
	}
	s.grant(s.window())
	return 0, syscall.EAGAIN
}

// window is how much of the body may be on its way once it is read.
func (s *stream) window() int64 { return max(wideWindow, s.c.config().preread.V) }

// WaitBody parks until TryBody may give more, or the deadline.
func (s *stream) WaitBody(deadline int64) error {
	loop := s.c.w.Loop
	for s.waitingBody() == 0 && !s.inClosed && !s.gone && !s.c.dead && s.body.failed == nil {
		t := loop.Current()
		s.reader = t
		err := loop.Park(deadline)
		if s.reader == t {
			s.reader = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// BodyLeft reports whether a part of the body was not read.
func (s *stream) BodyLeft() bool { return s.waitingBody() > 0 || !s.inClosed }
