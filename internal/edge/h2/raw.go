package h2

import (
	"io"
	"syscall"

	"moongate/internal/engine"
)

// The engine's Downstream: a handler takes the bytes of the stream.

// Hijack makes the stream one of bytes only, both ways.
func (s *stream) Hijack(r *engine.Request) engine.RawConn {
	s.hijacked = true
	return (*rawStream)(s)
}

// rawStream is a stream that a handler has taken.
type rawStream stream

// Read gives what is there.
func (x *rawStream) Read(p []byte) (int, error) {
	s := (*stream)(x)
	n, err := s.TryBody(s.r, p)
	switch {
	case err == io.EOF:
		return 0, nil
	case err == syscall.EAGAIN:
		return 0, err
	case err != nil:
		return 0, syscall.ECONNRESET
	}
	return n, nil
}

// Write sends what the windows allow, and queues some.
func (x *rawStream) Write(p []byte) (int, error) {
	s := (*stream)(x)
	if s.gone || s.reset || s.c.dead {
		return 0, syscall.EPIPE
	}
	if s.queued > engine.OutputLow {
		return 0, syscall.EAGAIN
	}
	p = p[:min(len(p), engine.OutputLow)]
	if s.SendBody(s.r, &engine.Chunk{Data: p, Flush: true}) != nil {
		return 0, syscall.EPIPE
	}
	return len(p), nil
}

// Readable reports whether a read may give bytes or the end.
func (x *rawStream) Readable() bool {
	s := (*stream)(x)
	return s.waitingBody() > 0 || s.inClosed || s.gone || s.c.dead
}

// WaitRead parks until a read may give something.
func (x *rawStream) WaitRead(deadline int64) error { return (*stream)(x).WaitBody(deadline) }

// WaitWrite parks until the client may take more.
func (x *rawStream) WaitWrite(deadline int64) error {
	s := (*stream)(x)
	return s.Drain(s.r, engine.OutputLow)
}
