package proxy

import (
	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/relay"
)

// HTTP/2 to servers (proxy_http_version 2): requests share connections where the group keeps them, see package relay.

var alpn2 = []string{"h2"}

// ownFields2 are the fields that we make; notPassed2 are the client's fields that are its connection's.
var (
	notPassed2 = []string{"Content-Length", "TE", "Host", "Connection", "Proxy-Connection", "Transfer-Encoding", "Keep-Alive", "Expect", "Upgrade"}
	ownFields2 = map[string]func(x *relay.Exchange) []byte{
		"content-length": func(x *relay.Exchange) []byte { return x.Number(x.Data.(*exchange).bodyLen) },
		"te": func(x *relay.Exchange) []byte {
			if x.PassTrailers {
				return x.WantsTrailers()
			}
			return nil
		},
		"if-modified-since": func(x *relay.Exchange) []byte {
			if t, ok := relay.CachedModified(x.R); ok {
				return http1.AppendTime(x.R.Alloc(http1.TimeLen)[:0], t)
			}
			return nil
		},
		"if-none-match": func(x *relay.Exchange) []byte { return relay.CachedETag(x.R) },
	}
	notPassedKept2 = append(notPassed2[:len(notPassed2):len(notPassed2)], "If-Modified-Since", "If-Unmodified-Since", "If-None-Match", "If-Match", "Range", "If-Range")
)

// compile2 makes the list of fields for HTTP/2.
func (c *config) compile2(s *conf.Scope) (err error) {
	if c.version.V != http1.Version20 {
		return nil
	}
	if c.fields2, err = relay.NewFieldSet(s, c.headers, ownFields2, notPassed2); err != nil || !c.Caching.Caches() {
		return err
	}
	c.kept2, err = relay.NewFieldSet(s, c.headers, ownFields2, notPassedKept2)
	return err
}

// multiplex makes the exchange one over HTTP/2.
func (e *exchange) multiplex(x *relay.Exchange) {
	c, r := e.conf, x.R
	x.Multiplexed, x.PassTrailers = true, c.trailers.V
	if x.SSL != nil {
		x.ALPN = alpn2
	}
	x.Unbuffered = !c.RequestBuffering.V && !x.NoBody && r.IsMain() && r.HasBody()
}

// request2 makes the fields of the request.
func (e *exchange) request2(x *relay.Exchange) engine.Status {
	r, c := x.R, e.conf
	method := e.methodOf(x)
	x.HeadRequest = len(method) == 4 && ascii.EqualFold(method, "HEAD")
	path := e.appendURI(r.Alloc(len(e.vars.uri) + 3*len(r.URI) + len(r.In.Unparsed) + len(r.Args) + 1)[:0], r)
	if len(path) == 0 {
		r.Logf(nlog.Error, "zero length URI to proxy")
		return 500
	}
	x.URI = path
	e.bodyLen = -1
	switch {
	case c.body.V != nil:
		x.OwnBody = c.body.V.Eval(r)
		e.bodyLen = int64(len(x.OwnBody))
	case x.NoBody:
	case x.Unbuffered:
		e.bodyLen = r.ContentLength
	case r.Body.Size() > 0 || r.ContentLength == 0 && r.In.Has(http1.HContentLength) || r.ChunkedBody || r.Parent != nil && r.ContentLength >= 0:
		e.bodyLen = r.Body.Size()
	}
	var host []byte
	fields := c.fields2
	if x.Keeps() {
		fields = c.kept2
	}
	if h := fields.Host; h != nil {
		host = h.Eval(r)
	}
	if len(host) == 0 {
		host = r.CopyString(e.vars.host)
	}
	x.Begin(method, path, host)
	fields.Append(x, c.PassRequestHeaders.V)
	return engine.OK
}
