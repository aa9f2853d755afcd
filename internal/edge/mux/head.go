// Package mux makes requests of the heads that multiplexed protocols carry: HTTP/2 and HTTP/3 have the same pseudo headers
// and the same rules (RFC 9113 8, RFC 9114 4). What is wrong is logged and answered in nginx's words.
package mux

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/http2"
)

// Head is a request's header block on its way to being a request.
type Head struct {
	Msg      *http1.Message
	Block    *http2.Block
	Protocol []byte // as the request line has it: "HTTP/2.0"
	Version  int
	// URI is memory for a decoded URI, given back for the next use.
	URI []byte
	// Closed says that no body follows.
	Closed bool
	// Speaks reports whether the protocol is on for a server.
	Speaks func(a *engine.AddrConf, s *engine.Server) bool

	// Tunnel is set for an extended CONNECT, Malformed when the request breaks the protocol, Short when it ends before its body.
	Tunnel, Malformed, Short bool
}

// Read makes the message and routes the request. Anything but OK is the status to refuse it with.
func (h *Head) Read(r *engine.Request, a *engine.AddrConf, l *http1.Limits) engine.Status {
	m := h.Msg
	m.Version, m.Protocol = h.Version, h.Protocol
	p := pseudo{Head: h, r: r, merge: a.DefaultServer().Conf.MergeSlashes.V}
	st := p.fields(l)
	r.Method, r.MethodName = m.Method, m.MethodName
	if st == engine.OK {
		st = p.check(a, l)
	} else {
		r.URI, r.Args = m.URI, m.Args
	}
	h.Malformed = st == 400
	return st
}

var (
	nameHost       = []byte("host")
	nameCookie     = []byte("cookie")
	nameUpgrade    = []byte("upgrade")
	nameConnection = []byte("connection")
	nameWebSocket  = []byte("sec-websocket-key")
	methodGet      = []byte("GET")
)

// refusef logs a fault and gives the status for it.
func refusef(r *engine.Request, format string, args ...any) engine.Status {
	r.Logf(nlog.Info, format, args...)
	return 400
}

// pseudo is what the pseudo headers say.
type pseudo struct {
	*Head
	r                                       *engine.Request
	authority, upgrade                      []byte
	seenPath, seenScheme, seenMethod, ended bool
	merge                                   bool // slashes
}

// fields goes through the block.
func (p *pseudo) fields(l *http1.Limits) engine.Status {
	m, r := p.Msg, p.r
	cookies, count := 0, 0
	for i := range p.Block.List {
		f := &p.Block.List[i]
		switch bad := f.Faults; {
		case bad&http2.BadName != 0:
			return refusef(r, "client sent invalid header name: \"%s\"", f.Name)
		case bad&http2.BadValue != 0:
			return refusef(r, "client sent header \"%s\" with invalid value: \"%s\"", f.Name, f.Value)
		case f.Pseudo():
			if st := p.take(f); st != engine.OK {
				return st
			}
			continue
		}
		if !p.ended {
			if st := p.end(); st != engine.OK {
				return st
			}
		}
		odd := f.Faults&http2.OddName != 0 || f.Faults&http2.Underscore != 0 && !l.Underscores
		if odd && l.IgnoreInvalid {
			r.Logf(nlog.Info, "client sent invalid header: \"%s\"", f.Name)
			continue
		}
		if f.Static == http2.SCookie {
			cookies++
			continue
		}
		if count++; count > l.MaxHeaders && l.MaxHeaders > 0 {
			r.Logf(nlog.Info, "client sent too many header lines")
			return 494
		}
		m.Add(f.Name, f.Value)
		m.List[len(m.List)-1].Invalid = odd
	}
	if p.Block.Dropped > 0 {
		r.Logf(nlog.Info, "client sent too many header lines")
		return 494
	}
	if !p.ended {
		if st := p.end(); st != engine.OK {
			return st
		}
	}
	if cookies > 0 {
		m.Add(nameCookie, p.joinCookies(cookies))
	}
	return engine.OK
}

// joinCookies makes one header of the pieces that a client may send a cookie in (RFC 9113 8.2.3).
func (p *pseudo) joinCookies(n int) []byte {
	size := 0
	for i := range p.Block.List {
		if f := &p.Block.List[i]; f.Static == http2.SCookie {
			if n == 1 {
				return f.Value
			}
			size += len(f.Value) + 2
		}
	}
	out := p.Block.Memory(size)[:0]
	for i := range p.Block.List {
		if f := &p.Block.List[i]; f.Static == http2.SCookie {
			if len(out) > 0 {
				out = append(out, "; "...)
			}
			out = append(out, f.Value...)
		}
	}
	return out
}

// take reads a pseudo header.
func (p *pseudo) take(f *http2.Field) engine.Status {
	m, r := p.Msg, p.r
	if p.ended {
		return refusef(r, "client sent out of order pseudo-headers")
	}
	switch f.Static {
	case http2.PPath:
		if p.seenPath {
			return refusef(r, "client sent duplicate :path header")
		}
		if len(f.Value) == 0 {
			return refusef(r, "client sent empty :path header")
		}
		p.seenPath = true
		if m.SetTarget(f.Value) != http1.Done {
			m.Unparsed = nil
			return refusef(r, "client sent invalid :path header: \"%s\"", f.Value)
		}
		var st http1.State
		if p.URI, st = m.DecodeURI(p.URI[:0], p.merge); st != http1.Done {
			return refusef(r, "client sent invalid request")
		}
	case http2.PMethod:
		if p.seenMethod {
			return refusef(r, "client sent duplicate :method header")
		}
		if len(f.Value) == 0 {
			return refusef(r, "client sent empty :method header")
		}
		p.seenMethod = true
		m.Method, m.MethodName = http1.LookupMethod(f.Value), f.Value
		for _, c := range f.Value {
			if c-'A' > 'Z'-'A' && c != '_' && c != '-' {
				return refusef(r, "client sent invalid method: \"%s\"", f.Value)
			}
		}
	case http2.PScheme:
		if p.seenScheme {
			return refusef(r, "client sent duplicate :scheme header")
		}
		if len(f.Value) == 0 {
			return refusef(r, "client sent empty :scheme header")
		}
		p.seenScheme = true
		for i, c := range f.Value {
			if !ascii.IsAlpha(c) && (i == 0 || !ascii.IsDigit(c) && c != '+' && c != '-' && c != '.') {
				return refusef(r, "client sent invalid :scheme header: \"%s\"", f.Value)
			}
		}
		m.Scheme = f.Value
	case http2.PAuthority:
		if p.authority != nil {
			return refusef(r, "client sent duplicate \":authority\" header")
		}
		if _, _, ok := http1.ValidateHost(nil, f.Value); !ok {
			return refusef(r, "client sent invalid \":authority\" header")
		}
		p.authority = f.Value
	default:
		if string(f.Name) == ":protocol" && p.upgrade == nil {
			p.upgrade = f.Value
			return engine.OK
		}
		return refusef(r, "client sent unknown pseudo-header \"%s\"", f.Name)
	}
	return engine.OK
}

// end is called at the first field that is no pseudo header.
func (p *pseudo) end() engine.Status {
	m, r := p.Msg, p.r
	p.ended = true
	switch {
	case !p.seenMethod:
		return refusef(r, "client sent no :method header")
	case !p.seenScheme && (m.Method != http1.MethodConnect || p.upgrade != nil):
		return refusef(r, "client sent no :scheme header")
	case !p.seenPath && (m.Method != http1.MethodConnect || p.upgrade != nil):
		return refusef(r, "client sent no :path header")
	}
	n := len(m.MethodName) + len(m.Unparsed) + len(p.Protocol) + 2
	line := p.Block.Memory(n)[:0]
	line = append(append(line, m.MethodName...), ' ')
	line = append(append(line, m.Unparsed...), ' ')
	m.RequestLine = append(line, p.Protocol...)
	return engine.OK
}

// check applies the rules that concern the whole head.
func (p *pseudo) check(a *engine.AddrConf, l *http1.Limits) engine.Status {
	m, r := p.Msg, p.r
	if !p.sameHost() {
		r.SetServer(serverOf(a, p.authority))
		return refusef(r, "client sent \":authority\" and \"Host\" headers with different values")
	}
	for _, h := range [...]struct {
		id   http1.HeaderID
		name string
	}{{http1.HConnection, "Connection"}, {http1.HKeepAlive, "Keep-Alive"}, {http1.HTransferEncoding, "Transfer-Encoding"}, {http1.HUpgrade, "Upgrade"}} {
		if m.Has(h.id) {
			return refusef(r, "client sent \"%s\" header", h.name)
		}
	}
	if i := m.Index(http1.HTE); i >= 0 && (m.Next(i) >= 0 || !ascii.EqualFold(m.List[i].Value, "trailers")) {
		return refusef(r, "client sent invalid \"TE\" header")
	}
	if p.upgrade != nil {
		if st := p.extendedConnect(); st != engine.OK {
			return st
		}
	}
	if len(p.authority) == 0 && !m.Has(http1.HHost) {
		return refusef(r, "client sent neither \":authority\" nor \"Host\" header")
	}
	m.LineHost = p.authority
	if st := m.Check(l); st != http1.Done {
		r.URI, r.Args = m.URI, m.Args
		if r.Logger.On(nlog.Info) {
			r.Logf(nlog.Info, "%s", m.AppendError(nil, st))
		}
		return engine.Status(st.Status())
	}
	m.KeepAlive = true
	r.Route(a)
	if !p.Speaks(a, r.Server) {
		r.Logf(nlog.Info, "client attempted to request the server name for which the negotiated protocol is disabled")
		return 421
	}
	p.frameBody()
	if m.ContentLength > 0 && p.Closed {
		p.Short = true
		return refusef(r, "client prematurely closed stream")
	}
	if a.TLS {
		return r.CheckTLS()
	}
	return engine.OK
}

// serverOf is the server of a name, for the log and the page of a refusal.
func serverOf(a *engine.AddrConf, host []byte) *engine.Server {
	name, _, _ := http1.ValidateHost(nil, host)
	if f := a.ServerFor(string(name)); f != nil {
		return f
	}
	return a.DefaultServer()
}

// sameHost compares Host with ":authority", and makes one for $http_host where there is none.
func (p *pseudo) sameHost() bool {
	m := p.Msg
	if p.authority == nil {
		return true
	}
	if !m.Has(http1.HHost) {
		m.Add(nameHost, p.authority)
		return true
	}
	return bytes.Equal(m.Get(http1.HHost), p.authority)
}

// frameBody says what body there is.
func (p *pseudo) frameBody() {
	m := p.Msg
	if p.Tunnel {
		p.r.ContentLength, p.r.ChunkedBody = -1, false
		return
	}
	if m.ContentLength < 0 && !p.Closed {
		m.Chunked, p.r.ChunkedBody = true, true
	}
}

// extendedConnect makes a tunnel's request (RFC 8441) the one that HTTP/1.1 knows for it.
func (p *pseudo) extendedConnect() engine.Status {
	m := p.Msg
	if m.Method != http1.MethodConnect || p.authority == nil {
		return refusef(p.r, "client sent invalid \":protocol\" header")
	}
	m.Method, m.MethodName = http1.MethodGet, methodGet
	p.r.Method, p.r.MethodName = m.Method, m.MethodName
	m.Add(nameUpgrade, p.upgrade)
	m.Add(nameConnection, nameUpgrade)
	if string(p.upgrade) == "websocket" && !m.Has(http1.HSecWebSocketKey) {
		var key [16]byte
		rand.Read(key[:])
		m.Add(nameWebSocket, base64.StdEncoding.AppendEncode(p.Block.Memory(24)[:0], key[:]))
	}
	p.Tunnel = true
	return engine.OK
}
