package h2

import (
	"moongate/internal/edge/mux"
	"moongate/internal/engine"
)

// Hijack makes the stream one of bytes only, both ways: a handler takes them.
func (s *stream) Hijack(r *engine.Request) engine.RawConn {
	s.hijacked = true
	return mux.Raw{S: s, R: r}
}

// Detach is Hijack.
func (s *stream) Detach(r *engine.Request, readable func()) engine.RawConn {
	s.onRead = readable
	return s.Hijack(r)
}

// Rest implements engine.Rester. A request that is served inline is not one that frames find.
func (s *stream) Rest() bool { return s.c.inline != s }

// OnBody implements engine.Rester.
func (s *stream) OnBody(f func()) { s.onBody = f }

// Resume ends the request.
func (s *stream) Resume(*engine.Request) { s.done() }

// Over reports whether nothing more will come.
func (s *stream) Over() bool { return s.inClosed || s.gone || s.c.dead }
