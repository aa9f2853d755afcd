package h1

import (
	"bytes"
	"strconv"

	"moongate/internal/engine"
	"moongate/internal/http1"
)

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// Continue sends the interim response a client may wait for before it sends the body.
func (x *exchange) Continue(r *engine.Request) error {
	x.queue(continueLine)
	return x.flush()
}

var hintsLine = []byte("HTTP/1.1 103 Early Hints\r\n")

// Hints sends early hints to a client that may understand them.
func (x *exchange) Hints(r *engine.Request, fields []http1.Header) error {
	if r.In.Version < http1.Version11 {
		return nil
	}
	x.queue(hintsLine)
	for i := range fields {
		x.queue(fields[i].Name)
		x.queueString(": ")
		x.queue(fields[i].Value)
		x.queueString("\r\n")
	}
	x.queueString("\r\n")
	return x.flush()
}

// SendHead writes the response head, in nginx's order.
func (x *exchange) SendHead(r *engine.Request, last bool) error {
	if x.c.closed || x.c.fd.Sysfd() < 0 {
		return engine.ErrClientGone
	}
	o := &r.Out
	core := r.Core()
	if r.In.Version == http1.Version09 { // has no head
		r.KeepAlive = false
		if last {
			x.lastSeen = true
			return x.flush()
		}
		return nil
	}
	x.frame(r, core, last)
	var own ownFields
	own.location = r.AbsoluteLocation(core)
	size := own.find(o.List)
	var token []byte
	if !own.server {
		token = x.r.ServerToken()
	}
	s := x.tail(256 + len(o.StatusLine) + len(o.ContentType) + len(o.Charset) + size + len(token))
	at := len(s.b)
	b := x.appendHead(s.b, r, core, token, &own)
	s = &x.q[len(x.q)-1]
	s.b = b
	x.queued += int64(len(b) - at)
	r.HeaderSize = int64(len(b) - at)
	if last {
		x.lastSeen = true
		return x.flush()
	}
	if core.PostponeOutput.V < sendHeadAt {
		return x.flush()
	}
	return nil
}

// sendHeadAt is the postpone_output below which a head is sent without waiting for a body.
const sendHeadAt = 512

// ownFields are those of the fields we make that handlers have set themselves. Server and Date may also have been
// deleted by whoever set them: then none is sent. A Location that we made absolute stands before the fields of the connection.
type ownFields struct{ server, date, connection, modified, location bool }

// find looks at the fields and gives their size.
func (own *ownFields) find(list []http1.Header) (size int) {
	for i := range list {
		h := &list[i]
		size += len(h.Name) + len(h.Value) + 4
		switch h.ID {
		case http1.HServer:
			own.server = true
		case http1.HDate:
			own.date = true
		case http1.HLastModified:
			own.modified = own.modified || h.Name != nil
		case http1.HConnection:
			own.connection = own.connection || h.Name != nil
		}
	}
	return size
}

// appendHead appends status line and fields; token is the value of Server, if that is sent.
func (x *exchange) appendHead(b []byte, r *engine.Request, core *engine.LocConf, token []byte, own *ownFields) []byte {
	o := &r.Out
	if len(o.StatusLine) > 0 {
		b = append(append(append(b, "HTTP/1.1 "...), o.StatusLine...), '\r', '\n')
	} else {
		b = http1.AppendStatusLine(b, http1.Version11, int(o.Status), "")
	}
	if len(token) > 0 {
		b = append(append(append(b, "Server: "...), token...), '\r', '\n')
	}
	if !own.date {
		b = append(append(append(b, "Date: "...), x.c.w.Date()...), '\r', '\n')
	}
	if len(o.ContentType) > 0 {
		b = append(append(b, "Content-Type: "...), o.ContentType...)
		if len(o.Charset) > 0 && bytes.IndexByte(o.ContentType, ';') < 0 {
			b = append(append(b, "; charset="...), o.Charset...)
		}
		b = append(b, '\r', '\n')
	}
	if o.ContentLength >= 0 {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, o.ContentLength, 10)
		b = append(b, '\r', '\n')
	}
	if o.LastModified >= 0 && !own.modified {
		b = append(b, "Last-Modified: "...)
		b = http1.AppendTime(b, o.LastModified)
		b = append(b, '\r', '\n')
	}
	if own.location {
		b = append(append(append(b, "Location: "...), r.HeaderOut(http1.HLocation).Value...), '\r', '\n')
	}
	if x.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	if !own.connection || o.Status == 101 {
		b = appendConnection(b, r, core)
	}
	if o.VaryEncoding && core.Gzip.Vary.V {
		b = append(b, "Vary: Accept-Encoding\r\n"...)
	}
	for i := range o.List {
		h := &o.List[i]
		if h.Name == nil || own.location && h.ID == http1.HLocation {
			continue
		}
		b = append(append(append(append(b, h.Name...), ':', ' '), h.Value...), '\r', '\n')
	}
	return append(b, '\r', '\n')
}

// appendConnection says what becomes of the connection.
func appendConnection(b []byte, r *engine.Request, core *engine.LocConf) []byte {
	switch {
	case r.Out.Status == 101:
		return append(b, "Connection: upgrade\r\n"...)
	case !r.KeepAlive:
		return append(b, "Connection: close\r\n"...)
	}
	b = append(b, "Connection: keep-alive\r\n"...)
	if t := core.KeepaliveTimeout.V.Header; t > 0 {
		b = append(b, "Keep-Alive: timeout="...)
		b = strconv.AppendInt(b, int64(t.Seconds()), 10)
		b = append(b, '\r', '\n')
	}
	return b
}

// frame decides how the client will find the end of the body.
func (x *exchange) frame(r *engine.Request, core *engine.LocConf, last bool) {
	o := &r.Out
	noBody := r.Method == http1.MethodHead || o.Status == 204 || o.Status == 304 || o.Status < 200 && o.Status >= 100
	switch o.Status {
	case 200, 206, 304:
	case 204:
		o.ContentLength, o.ContentType, o.LastModified = -1, nil, -1
	default:
		o.LastModified = -1
	}
	if !noBody && (o.ContentLength < 0 || r.ExpectTrailers) {
		switch {
		case r.In.Version >= http1.Version11 && core.ChunkedTransfer.V:
			x.chunked = true
			r.Chunked = true
			o.ContentLength = -1
		case o.ContentLength < 0:
			r.KeepAlive = false
		}
	}
	if r.KeepAlive && (x.body.faulty || x.bodyInDoubt()) {
		r.KeepAlive = false
	}
	if x.c.closing {
		r.KeepAlive = false
	}
	if r.KeepAlive && core.KeepaliveDisable.V != 0 && r.BadKeepalive(core.KeepaliveDisable.V) {
		r.KeepAlive = false
	}
}
