package proxy

import (
	"strconv"
	"strings"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

// field is a header field of the request to the server.
type field struct {
	name  string
	value *engine.Template
	own   func(x *relay.Exchange, dst []byte) []byte // in place of value
}

// fieldSet is the names of fields.
type fieldSet struct {
	ids   [4]uint64
	other []string
}

func (s *fieldSet) add(name string) {
	if id := http1.LookupHeader([]byte(name)); id != http1.HUnknown {
		s.ids[id>>6] |= 1 << (id & 63)
	} else {
		s.other = append(s.other, name)
	}
}

func (s *fieldSet) has(h *http1.Header) bool {
	if h.ID != http1.HUnknown {
		return s.ids[h.ID>>6]&(1<<(h.ID&63)) != 0
	}
	for _, o := range s.other {
		if len(o) == len(h.Name) && ascii.EqualFold(h.Name, o) {
			return true
		}
	}
	return false
}

func readSetHeader(c *conf.Cmd) error {
	cf := loc.Of(c.Scope)
	cf.headers = append(cf.headers, conf.Pair{Key: c.Args[0], Value: c.Args[1]})
	if _, err := engine.CompileArg(c, c.Args[1]); err != nil {
		return err
	}
	return nil
}

// fieldList is the fields of requests to servers: those of proxy_set_header, then the defaults that these leave.
type fieldList struct {
	fields []field
	skip   fieldSet // of the client's that are not passed on
}

// standard are the fields of a request that proxy_set_header does not name. Those without a value are the client's
// alone: they are not passed on.
var standard = []conf.Pair{{Key: "Host", Value: "$proxy_host"}, {Key: "Connection", Value: "close"}, {Key: "Proxy-Connection"}, {Key: "Content-Length"}, {Key: "Transfer-Encoding"}, {Key: "TE"}, {Key: "Keep-Alive"}, {Key: "Expect"}, {Key: "Upgrade"}}

// standardKept are those of a request whose response is to be kept: it is to be the whole, and what conditions there are, are
// the cache's.
var standardKept = append(standard[:len(standard):len(standard)], conf.Pair{Key: "If-Modified-Since", Value: "$upstream_cache_last_modified"}, conf.Pair{Key: "If-Unmodified-Since"},
	conf.Pair{Key: "If-None-Match", Value: "$upstream_cache_etag"}, conf.Pair{Key: "If-Match"}, conf.Pair{Key: "Range"}, conf.Pair{Key: "If-Range"})

// compile makes the lists of fields of a merged config.
func (c *config) compile(s *conf.Scope) error {
	if err := c.compileList(s, &c.plain, standard); err != nil {
		return err
	}
	if !c.Caching.Caches() {
		return nil
	}
	return c.compileList(s, &c.kept, standardKept)
}

func (c *config) compileList(s *conf.Scope, l *fieldList, standard []conf.Pair) error {
	h := engine.FromConfig(s.Config())
	*l = fieldList{}
	all := c.headers
	for _, d := range standard {
		named := false
		for _, p := range c.headers {
			named = named || strings.EqualFold(p.Key, d.Key)
		}
		if !named {
			all = append(all[:len(all):len(all)], d)
		}
	}
	for _, p := range all {
		l.skip.add(p.Key)
		own := strings.EqualFold(p.Key, "Content-Length") || strings.EqualFold(p.Key, "Transfer-Encoding")
		switch {
		case own && p.Value == "" && !c.names(p.Key):
			l.fields = append(l.fields, field{name: p.Key, own: bodyField})
		case p.Value != "":
			t, err := h.Compile(p.Value)
			if err != nil {
				return s.Errorf("%s", err)
			}
			l.fields = append(l.fields, field{name: p.Key, value: t})
		}
	}
	return nil
}

func (c *config) names(key string) bool {
	for _, p := range c.headers {
		if strings.EqualFold(p.Key, key) {
			return true
		}
	}
	return false
}

// bodyField says how the request body is framed: Content-Length, or Transfer-Encoding in its own place. The one for
// Content-Length writes both.
func bodyField(x *relay.Exchange, dst []byte) []byte {
	e := x.Data.(*exchange)
	if e.bodyLen < 0 {
		return dst
	}
	return strconv.AppendInt(dst, e.bodyLen, 10)
}

// exchange is what this protocol keeps with an exchange.
type exchange struct {
	t       *target
	vars    vars
	conf    *config
	url     upstream.URL
	parser  http1.ResponseParser
	dec     http1.Chunked
	left    int64
	mode    uint8
	head    bool // the method is HEAD: the response has no body
	short   bool // a body was announced that does not go up: what follows on the connection would be taken for it
	bodyLen int64
}

// How a response body ends.
const (
	noBody uint8 = iota
	byLength
	byChunks
	byClose
)

type protocol struct{}

// handle is the content handler.
func handle(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	x := relay.New(r, &c.Conf, protocol{})
	e, _ := x.Data.(*exchange)
	if e == nil {
		e = &exchange{}
		x.Data = e
	}
	e.conf, e.t = c, c.target
	if e.t.template == nil {
		x.Group, x.Scheme, e.vars = e.t.group, e.t.scheme, e.t.vars
	} else if !e.eval(x) {
		return 500
	}
	if x.Scheme == "https://" {
		x.SSL = &c.SSL
	}
	x.NoBody = c.body.V != nil || !c.PassBody.V
	if !c.RequestBuffering.V && !x.NoBody && (!r.ChunkedBody || c.version.V == http1.Version11) && r.IsMain() && r.HasBody() {
		x.Unbuffered, x.ChunkBody = true, r.ChunkedBody
	}
	if c.version.V == http1.Version20 {
		e.multiplex(x)
	}
	return x.Run()
}

// eval reads an address with variables.
func (e *exchange) eval(x *relay.Exchange) bool {
	r := x.R
	text := e.t.template.EvalString(r)
	scheme, rest, port := splitScheme(text)
	if scheme == "" {
		r.Logf(nlog.Error, "invalid URL prefix in \"%s\"", text)
		return false
	}
	u, problem := upstream.ParseURL(rest, port, true)
	if problem != "" {
		r.Logf(nlog.Error, "%s in upstream \"%s\"", problem, rest)
		return false
	}
	if u.URI != "" && u.URI[0] == '?' {
		u.URI = "/" + u.URI
	}
	e.url = u
	x.URL, x.Scheme = &e.url, scheme
	e.vars = varsOf(&u, port)
	return true
}

// Request writes the request's head.
func (protocol) Request(x *relay.Exchange, dst []byte) ([]byte, engine.Status) {
	r := x.R
	e := x.Data.(*exchange)
	if x.Multiplexed {
		return dst, e.request2(x)
	}
	c := e.conf
	method := e.methodOf(x)
	e.head = len(method) == 4 && ascii.EqualFold(method, "HEAD")
	dst = append(append(dst, method...), ' ')
	from := len(dst)
	dst = e.appendURI(dst, r)
	if len(dst) == from {
		r.Logf(nlog.Error, "zero length URI to proxy")
		return dst, 500
	}
	x.URI = r.Copy(dst[from:])
	if c.version.V == http1.Version11 {
		dst = append(dst, " HTTP/1.1\r\n"...)
	} else {
		dst = append(dst, " HTTP/1.0\r\n"...)
	}
	var body []byte
	e.short = false
	switch {
	case c.body.V != nil:
		body = c.body.V.Eval(r)
		e.bodyLen = int64(len(body))
	case x.Unbuffered && x.ChunkBody:
		e.bodyLen = -1
	case x.Unbuffered:
		e.bodyLen = r.ContentLength
	case x.NoBody:
		e.bodyLen = r.ContentLength
		if !c.PassBody.V && e.bodyLen < 0 && r.Body.Size() > 0 {
			e.bodyLen = r.Body.Size()
		}
		e.short = e.bodyLen > 0
	case r.Body.Size() > 0 || r.ContentLength == 0 && r.In.Has(http1.HContentLength) || r.ChunkedBody || r.Parent != nil && r.ContentLength >= 0:
		e.bodyLen = r.Body.Size()
	default:
		e.bodyLen = -1
	}
	l := &c.plain
	if x.Keeps() {
		l = &c.kept
	}
	for i := range l.fields {
		dst = appendField(dst, x, e, &l.fields[i])
	}
	if c.PassRequestHeaders.V {
		for i := range r.In.List {
			h := &r.In.List[i]
			if l.skip.has(h) {
				continue
			}
			dst = append(append(append(append(dst, h.Name...), ':', ' '), h.Value...), '\r', '\n')
		}
	}
	dst = append(dst, '\r', '\n')
	return append(dst, body...), engine.OK
}

// methodOf is the method of the request to the server.
func (e *exchange) methodOf(x *relay.Exchange) []byte {
	switch {
	case x.Method != nil:
		return x.Method
	case e.conf.method.V != nil:
		return e.conf.method.V.Eval(x.R)
	}
	return x.R.MethodName
}

// CacheKey is the address that the request is passed on to.
func (protocol) CacheKey(x *relay.Exchange, dst []byte) []byte {
	e := x.Data.(*exchange)
	dst = append(append(dst, x.Scheme...), e.vars.host...)
	return e.appendRawURI(dst, x.R)
}

func appendField(dst []byte, x *relay.Exchange, e *exchange, f *field) []byte {
	at := len(dst)
	name := f.name
	dst = append(append(dst, name...), ':', ' ')
	from := len(dst)
	switch {
	case f.own == nil:
		if dst = f.value.Append(dst, x.R); !f.value.IsLiteral() {
			oneLine(dst[from:])
		}
	case name[0]|0x20 == 'c':
		dst = f.own(x, dst)
	case x.Unbuffered && x.ChunkBody:
		dst = append(dst, "chunked"...)
	}
	if len(dst) == from { // no value: no field
		return dst[:at]
	}
	return append(dst, '\r', '\n')
}

// oneLine keeps what a variable holds, a decoded URI say, from being more than the value of a field (RFC 9110 5.5).
func oneLine(v []byte) {
	for i, c := range v {
		if c == '\r' || c == '\n' || c == 0 {
			v[i] = ' '
		}
	}
}

// appendURI writes the URI of the request to the server. What ends a URI, or the line, is escaped, wherever it comes from.
func (e *exchange) appendURI(dst []byte, r *engine.Request) []byte {
	from := len(dst)
	dst = e.appendRawURI(dst, r)
	for _, c := range dst[from:] {
		if c <= ' ' || c == 0x7f {
			raw := r.Copy(dst[from:])
			dst = dst[:from]
			for _, c := range raw {
				if c <= ' ' || c == 0x7f {
					dst = append(dst, '%', hex[c>>4], hex[c&15])
				} else {
					dst = append(dst, c)
				}
			}
			break
		}
	}
	return dst
}

const hex = "0123456789ABCDEF"

func (e *exchange) appendRawURI(dst []byte, r *engine.Request) []byte {
	uri := e.vars.uri
	switch {
	case e.t.template != nil && uri != "":
		return append(dst, uri...)
	case uri == "" && r.ValidUnparsed:
		return append(dst, r.In.Unparsed...)
	}
	cut := 0
	if r.ValidLocation {
		dst = append(dst, uri...)
		if uri != "" {
			cut = min(e.t.location, len(r.URI))
		}
	}
	if r.In.Quoted || r.Internal {
		dst = http1.AppendEscape(dst, r.URI[cut:], http1.EscapeURI)
	} else {
		dst = append(dst, r.URI[cut:]...)
	}
	if len(r.Args) > 0 {
		dst = append(append(dst, '?'), r.Args...)
	}
	return dst
}

func current(r *engine.Request) *exchange {
	if x := relay.Of(r); x != nil {
		e, _ := x.Data.(*exchange)
		return e
	}
	return nil
}

func getHost(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if e := current(r); e != nil {
		return r.CopyString(e.vars.host), true
	}
	return nil, false
}

func getPort(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if e := current(r); e != nil {
		return r.CopyString(e.vars.port), true
	}
	return nil, false
}

func getForwarded(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	var b []byte
	for i := r.In.Index(http1.HXForwardedFor); i >= 0; i = r.In.Next(i) {
		b = append(append(b, r.In.List[i].Value...), ", "...)
	}
	return r.Client().AppendIP(append(r.Alloc(len(b) + 48)[:0], b...)), true
}
