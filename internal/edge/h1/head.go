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

	need := 256 + len(o.StatusLine) + len(o.ContentType) + len(o.Charset)
	var own struct{ server, date, connection, modified bool }
	for i := range o.List {
		h := &o.List[i]
		need += len(h.Name) + len(h.Value) + 4
		switch h.ID { // Server and Date may have been deleted by whoever set them: then none is sent
		case http1.HServer:
			own.server = true
		case http1.HDate:
			own.date = true
		case http1.HLastModified:
			own.modified = own.modified || h.Name != nil
		case http1.HLocation:
			need += len(r.In.Server) + len(r.Server.Name) + 32
		case http1.HConnection:
			own.connection = own.connection || h.Name != nil
		}
	}
	s := x.tail(need)
	at := len(s.b)
	b := s.b
	if len(o.StatusLine) > 0 {
		b = append(append(append(b, "HTTP/1.1 "...), o.StatusLine...), '\r', '\n')
	} else {
		b = http1.AppendStatusLine(b, http1.Version11, int(o.Status), "")
	}
	if !own.server {
		b = append(append(append(b, "Server: "...), core.ServerToken()...), '\r', '\n')
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
	loc := r.HeaderOut(http1.HLocation)
	if loc != nil && o.OwnLocation && len(loc.Value) > 0 && loc.Value[0] == '/' && core.AbsoluteRedirect.V {
		b = x.appendLocation(b, r, core, loc)
	} else {
		loc = nil
	}
	if x.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case o.Status == 101:
		b = append(b, "Connection: upgrade\r\n"...)
	case own.connection:
	case r.KeepAlive:
		b = append(b, "Connection: keep-alive\r\n"...)
		if t := core.KeepaliveTimeout.V.Header; t > 0 {
			b = append(b, "Keep-Alive: timeout="...)
			b = strconv.AppendInt(b, int64(t.Seconds()), 10)
			b = append(b, '\r', '\n')
		}
	default:
		b = append(b, "Connection: close\r\n"...)
	}
	if o.VaryEncoding && core.Gzip.Vary.V {
		b = append(b, "Vary: Accept-Encoding\r\n"...)
	}
	for i := range o.List {
		h := &o.List[i]
		if h.Name == nil || h == loc {
			continue
		}
		b = append(append(append(append(b, h.Name...), ':', ' '), h.Value...), '\r', '\n')
	}
	b = append(b, '\r', '\n')
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
	if r.KeepAlive && x.body.faulty {
		r.KeepAlive = false
	}
	if x.c.closing {
		r.KeepAlive = false
	}
	if r.KeepAlive && core.KeepaliveDisable.V != 0 && r.BadKeepalive(core.KeepaliveDisable.V) {
		r.KeepAlive = false
	}
}

// appendLocation writes a Location header that begins with a slash in absolute form.
func (x *exchange) appendLocation(b []byte, r *engine.Request, core *engine.LocConf, loc *http1.Header) []byte {
	uri := loc.Value
	b = append(b, "Location: "...)
	at := len(b)
	b = append(b, "http"...)
	port := 80
	if x.c.TLS != nil {
		b = append(b, 's')
		port = 443
	}
	b = append(b, "://"...)
	local := x.c.LocalAddr()
	switch {
	case core.ServerNameInRedirect.V:
		b = append(b, r.Server.Name...)
	case len(r.In.Server) > 0:
		b = append(b, r.In.Server...)
	default:
		b = local.AppendIP(b)
	}
	if p := int(local.IP.Port()); core.PortInRedirect.V && !local.Unix && p != port && p != 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(p), 10)
	}
	b = append(b, uri...)
	loc.Value = r.Copy(b[at:]) // for $sent_http_location
	return append(b, '\r', '\n')
}
