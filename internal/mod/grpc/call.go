package grpc

import (
	"bytes"
	"strconv"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/grpc"
	"moongate/internal/grpc/tally"
	"moongate/internal/http1"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

// call is what this protocol keeps with an exchange.
type call struct {
	conf           *config
	host           string
	url            upstream.URL
	sent, received messages
	spend          *spending
	retrying       bool
	until          int64 // the client's deadline, 0: none
	given          []byte
	late           [2]http1.Header
	outcome        tally.Call
}

type protocol struct{}

var alpn = []string{"h2"}

// handle is the content handler.
func handle(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	x := relay.New(r, &c.Conf, protocol{})
	e, _ := x.Data.(*call)
	if e == nil {
		e = &call{}
		x.Data = e
	}
	*e = call{conf: c}
	if t := c.target; t.template == nil {
		x.Group, x.Scheme, e.host = t.group, t.scheme, t.host
	} else if !e.eval(x) {
		return 500
	}
	if x.Scheme == secure {
		x.SSL, x.ALPN = &c.SSL, alpn
	}
	x.Multiplexed, x.PassTrailers = true, true
	x.HeadRequest = r.Method == http1.MethodHead
	x.Unbuffered = r.IsMain() && r.HasBody()
	if c.timeoutHeader.V && isGRPC(r) {
		e.readTimeout(x)
	}
	if c.retryOn.V != 0 {
		e.begin(x)
	}
	x.Editor = relay.EditorOf(r)
	st := x.Run()
	if st == engine.Detached {
		return st
	}
	return e.ended(x, st)
}

// Rested implements relay.Rester.
func (protocol) Rested(x *relay.Exchange, st engine.Status) engine.Status {
	return x.Data.(*call).ended(x, st)
}

// ended is what follows the exchange.
func (e *call) ended(x *relay.Exchange, st engine.Status) engine.Status {
	r := x.R
	e.end()
	switch {
	case r.HeaderSent:
	case x.Answered():
		st = answer(r, x.Editor)
	case x.Expired():
		st = deadlineExceeded(r)
	}
	if isGRPC(r) {
		e.count(x, st)
	}
	return st
}

// count adds the call, which has ended with st, to the counters.
func (e *call) count(x *relay.Exchange, st engine.Status) {
	r := x.R
	to := e.conf.target.name
	if to == "" && x.Group != nil { // else the address, made of variables, may be any
		to = x.Group.FullName()
	}
	o := &e.outcome
	*o = tally.Call{Sent: e.sent.n, Received: e.received.n, Time: r.W.Loop.Now() - r.Start}
	v, answered := field(r, "grpc-status")
	switch n, ok := ascii.ParseInt(v); {
	case x.Gone():
		o.Code = grpc.Canceled
	case answered && ok:
		o.Code = grpc.Code(min(n, 1<<30))
	case answered:
		o.Code = grpc.Unknown
	case r.HeaderSent && st == engine.OK:
		o.Code = grpc.FromHTTP(int(r.Out.Status))
	case r.HeaderSent: // the client sees a reset
		o.Code = grpc.Internal
	default:
		o.Code = grpc.FromHTTP(int(st))
	}
	known := x.Resp != nil && o.Code != grpc.Unimplemented && o.Code != grpc.Unauthenticated && o.Code != grpc.PermissionDenied
	tally.Add(r.W, tally.Proxy, to, r.URI, "", known, o)
}

// eval reads an address with variables.
func (e *call) eval(x *relay.Exchange) bool {
	r := x.R
	scheme, rest := splitScheme(e.conf.target.template.EvalString(r))
	u, problem := upstream.ParseURL(rest, 0, false)
	if problem != "" {
		r.Logf(nlog.Error, "%s in upstream \"%s\"", problem, rest)
		return false
	}
	e.url = u
	x.URL, x.Scheme, e.host = &e.url, scheme, hostOf(&u)
	return true
}

// isGRPC reports whether a request is a call of gRPC.
func isGRPC(r *engine.Request) bool {
	return ascii.HasPrefixFold(r.In.Get(http1.HContentType), "application/grpc")
}

// Request makes the request's fields.
func (protocol) Request(x *relay.Exchange, dst []byte) ([]byte, engine.Status) {
	r, e := x.R, x.Data.(*call)
	c := e.conf
	if host := c.fields.Host; host != nil {
		x.Begin(r.MethodName, path(r), nil)
		x.AddField(nameHost, host.Eval(r))
	} else {
		x.Begin(r.MethodName, path(r), r.CopyString(e.host))
	}
	c.fields.Append(x, true)
	if x.Editor != nil {
		acceptGzip(x)
	}
	if e.until != 0 {
		e.propagate(x)
	}
	return dst, engine.OK
}

var nameHost = []byte("host")

// acceptGzip leaves the server no compressions to choose from that Lua could not look into.
func acceptGzip(x *relay.Exchange) {
	for i := range x.Fields {
		f := &x.Fields[i]
		if len(f.Name) != len(nameAccept) || !ascii.EqualFold(f.Name, nameAccept) {
			continue
		}
		if bytes.Contains(f.Value, gzip) {
			f.Value = gzip
		} else {
			f.Value = identity
		}
	}
}

var (
	nameAccept = []byte("grpc-accept-encoding")
	gzip       = []byte("gzip")
	identity   = []byte("identity")
)

// answer sends what Lua has answered in the place of a server.
func answer(r *engine.Request, ed relay.Editor) engine.Status {
	r.Out.Status, r.Out.ContentType = 200, typeGRPC
	body, trailers := ed.Answer()
	if len(body) == 0 {
		r.Out.ContentLength = 0
		r.Out.List = append(r.Out.List, trailers...)
		return r.SendHeadEmpty()
	}
	r.Out.ContentLength, r.Out.Trailers, r.ExpectTrailers = -1, trailers, true
	if st := r.SendHead(); st != engine.OK {
		return st
	}
	if r.Output(&engine.Chunk{Data: body, Last: true}) != nil {
		return engine.Error
	}
	return engine.OK
}

// path is the URI of the request to the server.
func path(r *engine.Request) []byte {
	if r.ValidUnparsed && r.IsMain() {
		return r.In.Unparsed
	}
	p := http1.AppendEscape(r.Alloc(3*len(r.URI) + 1 + len(r.Args))[:0], r.URI, http1.EscapeURI)
	if len(r.Args) > 0 {
		p = append(append(p, '?'), r.Args...)
	}
	return p
}

// Reset prepares for a response.
func (protocol) Reset(x *relay.Exchange) {
	e := x.Data.(*call)
	e.sent, e.received = messages{}, messages{}
}

// Head, Body and End belong to connections that carry one request at a time.
func (protocol) Head(*relay.Exchange, []byte) (int, relay.HeadState) { return 0, relay.HeadInvalid }
func (protocol) Body(*relay.Exchange, []byte) ([]byte, int, relay.BodyState) {
	return nil, 0, relay.BodyInvalid
}
func (protocol) End(*relay.Exchange) bool { return false }

// Location and Cookie leave what servers say as it is.
func (protocol) Location(_ *relay.Exchange, v []byte, _ int) ([]byte, bool) { return v, false }
func (protocol) Cookie(_ *relay.Exchange, v []byte) []byte                  { return v }

// Sent and Received count messages.
func (protocol) Sent(x *relay.Exchange, p []byte)     { x.Data.(*call).sent.pass(p) }
func (protocol) Received(x *relay.Exchange, p []byte) { x.Data.(*call).received.pass(p) }

// messages counts the messages in a body: each has five bytes before it, of which four are its length.
type messages struct {
	n    int64
	left uint32 // of the message under way
	head uint32
	have int8 // bytes of the next one's five
}

func (m *messages) pass(p []byte) {
	for len(p) > 0 {
		if m.left > 0 {
			k := min(int64(m.left), int64(len(p)))
			m.left -= uint32(k)
			p = p[k:]
			continue
		}
		m.head = m.head<<8 | uint32(p[0])
		p = p[1:]
		if m.have++; m.have == 5 {
			m.n++
			m.left, m.have = m.head, 0
		}
	}
}

func current(r *engine.Request) *call {
	if x := relay.Of(r); x != nil {
		e, _ := x.Data.(*call)
		return e
	}
	return nil
}

func number(r *engine.Request, n int64) []byte {
	return strconv.AppendInt(r.Alloc(20)[:0], n, 10)
}

func getRequestMessages(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if c := tally.Of(r); c != nil {
		return number(r, c.Received), true
	}
	if e := current(r); e != nil {
		return number(r, e.sent.n), true
	}
	return nil, false
}

func getResponseMessages(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if c := tally.Of(r); c != nil {
		return number(r, c.Sent), true
	}
	if e := current(r); e != nil {
		return number(r, e.received.n), true
	}
	return nil, false
}

func getTrailers(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if x := relay.Of(r); x != nil {
		v := x.WantsTrailers()
		return v, v != nil
	}
	return nil, false
}

func getStatus(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if c := tally.Of(r); c != nil {
		return number(r, int64(c.Code)), true
	}
	return field(r, "grpc-status")
}

func getMessage(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if c := tally.Of(r); c != nil {
		return c.Message, c.Message != nil
	}
	return field(r, "grpc-message")
}

// field finds what stands behind the response, or in its head.
func field(r *engine.Request, name string) ([]byte, bool) {
	for _, list := range [...][]http1.Header{r.Out.Trailers, r.Out.List} {
		for i := range list {
			if h := &list[i]; len(h.Name) == len(name) && ascii.EqualFold(h.Name, name) {
				return h.Value, true
			}
		}
	}
	return nil, false
}
