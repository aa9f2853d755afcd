// Package h3 drives HTTP/3 client connections (RFC 9114) over QUIC, which quic-go does: a stream in, an engine.Request, a
// stream out.
//
// QUIC lives on goroutines of its own: one for each connection's streams, one that reads the head of each stream. What they
// have found is posted to the loop of the worker that the connection was given to; from there on a request is served as any
// other, with the baton. Towards the client, bytes go through a queue per stream that a goroutine empties, since writing to a
// QUIC stream may block; producers wait in Drain. Nothing of the engine is touched without the baton.
package h3

import (
	"moongate/internal/conf"
	"moongate/internal/engine"
)

type config struct {
	enable, hq, retry, gso conf.Opt[bool]
	streams, ids           conf.Opt[int]
	buffer                 conf.Opt[int64]
	hostKey                conf.Opt[string]
}

var srv = conf.NewLevel[config](conf.KindServer)

const httpSrv = conf.HTTP | conf.Server

func flag(field func(c *config) *conf.Opt[bool]) conf.Setter { return conf.Slot(srv, conf.Flag, field) }

func number(field func(c *config) *conf.Opt[int]) conf.Setter {
	return conf.Slot(srv, conf.Number, field)
}

// Module is the directives and variables of HTTP/3.
var Module = engine.Module{Module: conf.Module{Name: "http_v3", Directives: rows}, Vars: vars, Setup: setup}

var rows = []conf.Directive{
	{Name: "http3", In: httpSrv, Default: "on", Set: flag(func(c *config) *conf.Opt[bool] { return &c.enable }),
		Doc: "Serves HTTP/3 on addresses with \"listen ... quic\"."},
	{Name: "http3_hq", In: httpSrv, Default: "off", Set: conf.Then(flag(func(c *config) *conf.Opt[bool] { return &c.hq }), checkHQ),
		Doc: "HTTP/0.9 over QUIC, for interoperability tests of QUIC itself; it is not built in, only \"off\" is taken."},
	{Name: "http3_max_concurrent_streams", In: httpSrv, Default: "128", Set: number(func(c *config) *conf.Opt[int] { return &c.streams }),
		Doc: "The number of requests that one connection may have under way."},
	{Name: "http3_stream_buffer_size", In: httpSrv, Default: "64k", Set: conf.Slot(srv, conf.Size, func(c *config) *conf.Opt[int64] { return &c.buffer }),
		Doc: "How much of a stream may come before it is read."},
	{Name: "quic_retry", In: httpSrv, Default: "off", Set: flag(func(c *config) *conf.Opt[bool] { return &c.retry }),
		Doc: "Has clients prove their address before the handshake (RFC 9000 8.1.2)."},
	{Name: "quic_gso", In: httpSrv, Default: "off", Set: flag(func(c *config) *conf.Opt[bool] { return &c.gso }),
		Doc: "Accepted for compatibility: segmentation offload is used where the system has it."},
	{Name: "quic_host_key", In: httpSrv, Set: conf.Slot(srv, conf.Str, func(c *config) *conf.Opt[string] { return &c.hostKey }),
		Doc: "A file with the secret that tokens and stateless resets are made with; without, it is random at each start."},
	{Name: "quic_active_connection_id_limit", In: httpSrv, Default: "2", Set: number(func(c *config) *conf.Opt[int] { return &c.ids }),
		Doc: "Accepted for compatibility: the number of connection IDs that are kept is fixed."},
}

func checkHQ(c *conf.Cmd) error {
	if srv.Of(c.Scope).hq.V {
		return c.Errorf("HTTP/0.9 over QUIC is not supported")
	}
	return nil
}

// setup takes care that QUIC's version of TLS is there.
func setup(h *engine.HTTP) error {
	for _, a := range h.Addrs {
		if s := a.DefaultServer(); a.QUIC && s.TLS != nil && s.TLS.Config.MaxVersion != 0 && s.TLS.Config.MaxVersion < tls13 {
			return &conf.Error{Level: "emerg", Msg: "\"ssl_protocols\" must enable TLSv1.3 for the \"listen ... quic\" directive", File: s.File, Line: s.Line}
		}
	}
	return nil
}

var vars = []engine.Var{
	{Name: "http3", Doc: "`h3` for a request over HTTP/3, else nothing.", Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) {
		if _, ok := r.Main.Stream.(*stream); !ok {
			return nil, true
		}
		return nameH3, true
	}},
}

var nameH3 = []byte("h3")
