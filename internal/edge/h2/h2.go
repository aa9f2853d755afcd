// Package h2 drives HTTP/2 client connections: frames in, an engine.Request per stream, frames out.
//
// A connection comes from the driver of HTTP/1, which has accepted it and found out what the client speaks: by ALPN or by
// the preface. One goroutine at a time reads it: it holds the baton, takes all frames of a read, serves requests inline as
// their heads are complete, and sends what they have answered in one write. A request that has to wait takes the goroutine
// with it; another one goes on reading. So a request that needs nobody costs no change of goroutines, and the others run
// at the same time.
//
// Output goes through one buffer per connection, in the order of the wire; what flow control or a slow client holds back
// stays with its stream, and its producer waits in Drain. Request bodies wait in their streams, bounded by the windows that
// we grant. A connection without streams keeps its tables of header fields and no buffer.
package h2

import (
	"crypto/tls"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http2"
)

type config struct {
	enable   conf.Opt[bool]
	streams  conf.Opt[int]
	preread  conf.Opt[int64]
	poolSize conf.Opt[int64]
	index    conf.Opt[int]
}

type location struct {
	chunk conf.Opt[int64]
}

var (
	srv = conf.NewLevel[config](conf.KindServer)
	loc = conf.NewLevel[location](conf.KindLocation)
)

const (
	httpSrv = conf.HTTP | conf.Server
	httpAll = conf.HTTP | conf.Server | conf.Location
)

// Module is the directives and variables of HTTP/2.
var Module = engine.Module{Module: conf.Module{Name: "http_v2", Directives: rows}, Vars: vars, Setup: setup, TrimWorker: trim}

// trim gives the memory of a past load back.
func trim(w *engine.Worker) {
	if fl, _ := w.Values[workerSlot].(*freeList); fl != nil {
		fl.first = nil
	}
}

var rows = []conf.Directive{
	{Name: "http2", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.enable }),
		Doc: "Serves HTTP/2: clients choose it by ALPN on addresses with TLS, and by their first bytes on others."},
	{Name: "http2_max_concurrent_streams", In: httpSrv, Default: "128", Set: conf.Slot(srv, conf.Number, func(c *config) *conf.Opt[int] { return &c.streams }),
		Doc: "The number of requests that one connection may have under way; more are refused."},
	{Name: "http2_body_preread_size", In: httpSrv, Default: "64k", Set: conf.Then(conf.Slot(srv, conf.Size, func(c *config) *conf.Opt[int64] { return &c.preread }), checkPreread),
		Doc: "How much of a request's body may come before it is read."},
	{Name: "http2_chunk_size", In: httpAll, Default: "8k", Set: conf.Then(conf.Slot(loc, conf.Size, func(c *location) *conf.Opt[int64] { return &c.chunk }), checkChunk),
		Doc: "The largest piece of a response body that is sent as one frame."},
	{Name: "http2_recv_buffer_size", In: conf.HTTP, Default: "256k", Set: conf.Then(conf.Checked(conf.Size), checkRecvBuffer),
		Doc: "Accepted for compatibility: the memory to read into grows and shrinks by itself."},
	{Name: "http2_pool_size", In: httpSrv, Default: "4k", Set: conf.Then(conf.Slot(srv, conf.Size, func(c *config) *conf.Opt[int64] { return &c.poolSize }), checkPool),
		Doc: "Accepted for compatibility; memory of connections is not pooled by size."},
	{Name: "http2_streams_index_size", In: httpSrv, Default: "32", Set: conf.Then(conf.Slot(srv, conf.Number, func(c *config) *conf.Opt[int] { return &c.index }), checkIndex),
		Doc: "Accepted for compatibility."},
	obsolete("http2_recv_timeout", httpSrv, conf.Take1, "time", "client_header_timeout"),
	obsolete("http2_idle_timeout", httpSrv, conf.Take1, "time", "keepalive_timeout"),
	obsolete("http2_max_requests", httpSrv, conf.Take1, "number", "keepalive_requests"),
	obsolete("http2_max_field_size", httpSrv, conf.Take1, "size", "large_client_header_buffers"),
	obsolete("http2_max_header_size", httpSrv, conf.Take1, "size", "large_client_header_buffers"),
	obsolete("http2_max_concurrent_pushes", httpSrv, conf.Take1, "number", ""),
	obsolete("http2_push", httpAll, conf.Take1, "uri | off", ""),
	obsolete("http2_push_preload", httpAll, conf.Take1, "on | off", ""),
}

// obsolete is a directive that does nothing but warn.
func obsolete(name string, in conf.Context, args conf.Arity, syntax, instead string) conf.Directive {
	doc := "Obsolete, without effect: there is no server push."
	if instead != "" {
		doc = "Obsolete, without effect: see " + instead + "."
	}
	return conf.Directive{Name: name, In: in, Args: args, Syntax: syntax, Doc: doc, Set: conf.Func(func(c *conf.Cmd) error {
		if instead != "" {
			c.Warnf("the \"%s\" directive is obsolete, use the \"%s\" directive instead", name, instead)
		} else {
			c.Warnf("the \"%s\" directive is obsolete, ignored", name)
		}
		return nil
	})}
}

func checkPreread(c *conf.Cmd) error {
	if srv.Of(c.Scope).preread.V > http2.MaxWindow {
		return c.Errorf("the maximum body preread buffer size is %d", http2.MaxWindow)
	}
	return nil
}

func checkChunk(c *conf.Cmd) error {
	p := &loc.Of(c.Scope).chunk.V
	if *p == 0 {
		return c.Errorf("the http2 chunk size cannot be zero")
	}
	*p = min(*p, http2.MaxFrameSize)
	return nil
}

func checkRecvBuffer(c *conf.Cmd) error {
	const least = 16
	if n, ok := units.Size(c.Args[0]); ok && n <= least {
		return c.Errorf("\"%s\" directive value is too small", c.Name)
	}
	return nil
}

func checkPool(c *conf.Cmd) error {
	const least, multiple = 336, 16
	switch n := srv.Of(c.Scope).poolSize.V; {
	case n < least:
		return c.Errorf("the pool size must be no less than %d", least)
	case n%multiple != 0:
		return c.Errorf("the pool size must be a multiple of %d", multiple)
	}
	return nil
}

func checkIndex(c *conf.Cmd) error {
	if n := srv.Of(c.Scope).index.V; n == 0 || n&(n-1) != 0 {
		return c.Errorf("\"http2_streams_index_size\" directive must be a power of two")
	}
	return nil
}

// setup makes the servers' part of the answer to "does this connection speak HTTP/2", and lets TLS offer it.
func setup(h *engine.HTTP) error {
	for _, s := range h.Servers {
		s.HTTP2 = srv.Of(s.Scope).enable.V
		if t := s.TLS; t != nil && t.HTTP2 == nil {
			t.HTTP2 = t.Config.Clone()
			t.HTTP2.NextProtos = append([]string{"h2"}, t.Config.NextProtos...)
		}
	}
	return nil
}

// Negotiated reports whether the client has chosen HTTP/2 in its handshake.
func Negotiated(s *tls.ConnectionState) bool { return s.NegotiatedProtocol == "h2" }

var vars = []engine.Var{
	{Name: "http2", Doc: "`h2` for a request over HTTP/2 with TLS, `h2c` without, else nothing.", Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) {
		if _, ok := r.Main.Stream.(*stream); !ok {
			return nil, true
		}
		if r.Conn.TLS != nil {
			return nameH2, true
		}
		return nameH2C, true
	}},
}

var nameH2, nameH2C = []byte("h2"), []byte("h2c")
