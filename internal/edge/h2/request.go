package h2

import (
	"moongate/internal/edge/mux"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

var protocol = []byte("HTTP/2.0")

// head makes the message of the header block and routes the request. Anything but OK is the status to refuse it with; the fault
// was logged, in nginx's words.
func (s *stream) head(r *engine.Request, a *engine.AddrConf) engine.Status {
	_, l := s.c.limits()
	h := mux.Head{Msg: &s.msg, Block: &s.block, Protocol: protocol, Version: http1.Version20, URI: s.uri, Closed: s.inClosed,
		Speaks: (*engine.AddrConf).SpeaksHTTP2}
	st := h.Read(r, a, l)
	s.uri, s.tunnel = h.URI, h.Tunnel
	if st == 400 || st == 494 {
		s.malformed = h.Malformed
	}
	if st == engine.OK || h.Short {
		s.body.left = s.msg.ContentLength
	}
	if h.Short {
		s.body.failed = engine.ErrBodyClosed
	}
	return st
}
