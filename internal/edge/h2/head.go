package h2

import (
	"bytes"
	"strconv"

	"moongate/internal/edge/mux"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/http2"
)

// staticOf are the places of names in the static table, by header.
var staticOf = func() (t [256]uint8) {
	for i := uint8(1); i < 62; i++ {
		if id := http1.LookupHeader(http2.StaticName(i)); id != http1.HUnknown {
			t[id] = i
		}
	}
	return t
}()

// Fields whose values hardly ever come twice.
var plain = func() (t [256]bool) {
	for _, id := range []http1.HeaderID{http1.HContentRange, http1.HLastModified, http1.HETag, http1.HLocation, http1.HAge, http1.HExpires, http1.HContentMD5, http1.HSetCookie} {
		t[id] = true
	}
	return t
}()

// mode says what may become of a response field in the client's table. A cookie is a secret: nobody shall find it out by
// comparing lengths (RFC 7541 7.1).
func mode(id http1.HeaderID) http2.Mode {
	if plain[id] {
		return http2.Plain
	}
	return http2.Indexed
}

// open begins a HEADERS frame; its header is left blank.
func (c *conn) open(need int) (at int) {
	c.room(need)
	at = len(c.out)
	var blank [http2.HeaderSize]byte
	c.out = c.enc.Begin(append(c.out, blank[:]...))
	return at
}

// Continue sends the interim response a client may wait for before it sends the body.
func (s *stream) Continue(r *engine.Request) error {
	c := s.c
	if s.gone || c.dead {
		return engine.ErrClientGone
	}
	at := c.open(32)
	c.out = c.enc.AppendStatus(c.out, 100)
	c.out = http2.CloseHeaders(c.out, at, s.id, 0, c.peer.FrameSize)
	c.flushSoon()
	return nil
}

// Hints sends early hints.
func (s *stream) Hints(r *engine.Request, fields []http1.Header) error {
	c := s.c
	if s.gone || s.reset || c.dead {
		return engine.ErrClientGone
	}
	need := 64
	for i := range fields {
		need += len(fields[i].Name) + len(fields[i].Value) + 16
	}
	at := c.open(need)
	b := c.enc.AppendStatus(c.out, 103)
	for i := range fields {
		if h := &fields[i]; !mux.Forbidden(h) {
			b = c.enc.Append(b, staticOf[h.ID], h.Name, h.Value, mode(h.ID))
		}
	}
	c.out = http2.CloseHeaders(b, at, s.id, 0, c.peer.FrameSize)
	c.flushSoon()
	return nil
}

// SendHead writes the response head, in nginx's order.
func (s *stream) SendHead(r *engine.Request, last bool) error {
	c := s.c
	if s.gone || s.reset || c.dead {
		return engine.ErrClientGone
	}
	o := &r.Out
	core := r.Core()
	r.KeepAlive = !c.goaway
	switch o.Status {
	case 200, 206, 304:
	case 204:
		o.ContentLength, o.ContentType, o.LastModified = -1, nil, -1
	default:
		o.LastModified = -1
	}
	status := int(o.Status)
	if len(o.StatusLine) > 0 {
		status = leadingStatus(o.StatusLine, status)
	}
	if status == 101 && s.tunnel {
		status = 200
	}
	r.AbsoluteLocation(core)

	at := c.open(headRoom(r))
	b := c.enc.AppendStatus(c.out, status)
	b = s.ownFields(b, r, core)
	for i := range o.List {
		h := &o.List[i]
		if h.Name == nil || mux.Forbidden(h) || s.tunnel && h.ID == http1.HSecWebSocketAccept {
			continue
		}
		b = c.enc.Append(b, staticOf[h.ID], h.Name, h.Value, mode(h.ID))
	}
	flags := http2.Flags(0)
	if last || o.ContentLength == 0 && !r.ExpectTrailers && len(o.Trailers) == 0 {
		flags = http2.EndStream
		s.last, s.outClosed = true, true
	}
	c.out = http2.CloseHeaders(b, at, s.id, flags, c.peer.FrameSize)
	n := int64(len(c.out) - at)
	r.HeaderSize = n
	s.sent(n)
	c.flushSoon()
	return nil
}

// ownFields writes what the driver adds, unless whoever made the response has said otherwise.
func (s *stream) ownFields(b []byte, r *engine.Request, core *engine.LocConf) []byte {
	o, e := &r.Out, &s.c.enc
	var own struct{ server, date, modified bool }
	for i := range o.List {
		h := &o.List[i]
		switch h.ID { // Server and Date may have been deleted by whoever set them: then none is sent
		case http1.HServer:
			own.server = true
		case http1.HDate:
			own.date = true
		case http1.HLastModified:
			own.modified = own.modified || h.Name != nil
		}
	}
	if !own.server {
		if token := r.ServerToken(); len(token) > 0 {
			b = e.Append(b, http2.SServer, nil, token, http2.Indexed)
		}
	}
	if !own.date {
		b = e.Append(b, http2.SDate, nil, s.c.w.Date(), http2.Indexed)
	}
	if len(o.ContentType) > 0 {
		v := o.ContentType
		if len(o.Charset) > 0 && bytes.IndexByte(v, ';') < 0 {
			v = append(append(append(r.Alloc(len(v) + len(o.Charset) + 10)[:0], v...), "; charset="...), o.Charset...)
		}
		b = e.Append(b, http2.SContentType, nil, v, http2.Indexed)
	}
	if o.ContentLength >= 0 {
		var n [20]byte
		b = e.Append(b, http2.SContentLength, nil, strconv.AppendInt(n[:0], o.ContentLength, 10), http2.Plain)
	}
	if o.LastModified >= 0 && !own.modified {
		var v [32]byte
		b = e.Append(b, http2.SLastModified, nil, http1.AppendTime(v[:0], o.LastModified), http2.Plain)
	}
	if o.VaryEncoding && core.Gzip.Vary.V {
		b = e.Append(b, http2.SVary, nil, acceptEncoding, http2.Indexed)
	}
	return b
}

var acceptEncoding = []byte("Accept-Encoding")

// headRoom is how much memory the head may take.
func headRoom(r *engine.Request) int {
	o := &r.Out
	need := 256 + len(o.ContentType) + len(o.Charset) + len(r.ServerToken())
	for i := range o.List {
		need += len(o.List[i].Name) + len(o.List[i].Value) + 16
	}
	return need
}

// leadingStatus is the number that a status line begins with.
func leadingStatus(line []byte, status int) int {
	if len(line) >= 3 {
		if n, err := strconv.Atoi(string(line[:3])); err == nil && n >= 100 {
			return n
		}
	}
	return status
}

// sendTrailers ends the stream with the fields that follow the body.
func (s *stream) sendTrailers(r *engine.Request) {
	c := s.c
	need := 64
	for i := range r.Out.Trailers {
		need += len(r.Out.Trailers[i].Name) + len(r.Out.Trailers[i].Value) + 16
	}
	at := c.open(need)
	b := c.out
	for i := range r.Out.Trailers {
		if h := &r.Out.Trailers[i]; h.Name != nil && !mux.Forbidden(h) {
			b = c.enc.Append(b, 0, h.Name, h.Value, http2.Indexed)
		}
	}
	c.out = http2.CloseHeaders(b, at, s.id, http2.EndStream, c.peer.FrameSize)
	s.outClosed = true
	s.sent(int64(len(c.out) - at))
}
