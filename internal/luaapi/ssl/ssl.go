// Package ssl is the part of the Lua API about TLS: ngx.ssl, ngx.ssl.clienthello, ngx.ssl.session, ngx.ocsp and what
// concerns upstream servers. It talks to the handshakes of the engine (engine.Handshake), which are crypto/tls; what
// that does not tell gives nil and a reason.
package ssl

import (
	"crypto/tls"
	_ "embed"
	"encoding/binary"

	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/luajit"
)

const prefix = "package.loaded.moongate_ssl."

//go:embed ssl.lua
var source string

//go:embed proxy.lua
var proxySource string

// Library declares the modules.
var Library = lua.Library{
	Name: "ssl", Doc: "TLS: certificates, hellos, sessions, OCSP.",
	Funcs: concat(infoFuncs, certFuncs, helloFuncs, sessionFuncs, ocspFuncs, proxyFuncs),
	Modules: []lua.Module{
		{Name: "ngx.ssl", Source: source},
		{Name: "ngx.ssl.clienthello", Table: "package.loaded.moongate_ssl.clienthello"},
		{Name: "ngx.ssl.session", Table: "package.loaded.moongate_ssl.session"},
		{Name: "ngx.ssl.proxysslcert", Source: proxySource},
		{Name: "ngx.ssl.proxysslverify", Source: proxySource},
		{Name: "ngx.proxyssl", Source: proxySource},
		{Name: "ngx.ocsp", Table: "package.loaded.moongate_ssl.ocsp"},
	},
	Consts: []lua.Const{{Name: prefix + "clienthello.version", Value: version}, {Name: prefix + "session.version", Value: version}, {Name: prefix + "ocsp.version", Value: version}},
}

const version = luahost.CoreVersion

func concat(lists ...[]*lua.Func) (out []*lua.Func) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// view is the TLS connection that a call is about: of a handshake's hook, or of a request.
type view struct {
	conn  *engine.Conn
	shake *luahost.Shake // nil in requests
	state *engine.TLSState
}

// with makes Run of a function that needs a TLS connection. Without a request it raises, on a plain connection it gives
// nils, as many as there are results, and a reason.
func with(results int, f func(c *lua.Call, v view) lua.Outcome) func(c *lua.Call) lua.Outcome {
	return func(c *lua.Call) lua.Outcome {
		if s := luahost.ShakeFromCall(c); s != nil {
			return f(c, view{s.H.Conn, s, s.H.State})
		}
		r := luahost.Request(c)
		switch {
		case r == nil && c.Phase() != lua.PhaseTimer:
			return c.Errorf(noRequest)
		case r == nil || r.Conn.TLS == nil:
			for range results - 1 {
				c.Push().Nil()
			}
			return c.ReturnNilErr(badRequest)
		}
		return f(c, view{r.Conn, nil, r.Conn.TLS})
	}
}

// during is with for what only a phase of the handshake may do.
func during(phase lua.Phase, f func(c *lua.Call, s *luahost.Shake) lua.Outcome) func(c *lua.Call) lua.Outcome {
	return with(1, func(c *lua.Call, v view) lua.Outcome {
		if v.shake == nil || c.Phase() != phase {
			return c.ReturnNilErr(badContext)
		}
		return f(c, v.shake)
	})
}

var infoFuncs = []*lua.Func{
	{Name: prefix + "server_name", Sig: "-> name, err", Doc: "The name that the client asked for (SNI); nil without one.", Run: with(1, func(c *lua.Call, v view) lua.Outcome {
		if n := v.serverName(); n != "" {
			return c.ReturnString(n)
		}
		return c.ReturnNil()
	})},
	{Name: prefix + "server_port", Sig: "-> port, err", Doc: "The port that the client connected to.", Run: with(1, func(c *lua.Call, v view) lua.Outcome {
		a := v.conn.LocalAddr()
		if a.Unix {
			return c.ReturnNilErr("unix domain has no port")
		}
		return c.ReturnInt(int(a.IP.Port()))
	})},
	{Name: prefix + "raw_server_addr", Sig: "-> addr, type, err", Doc: "The bytes of the address that the client connected to, and \"inet\", \"inet6\" or \"unix\".",
		Run: with(2, func(c *lua.Call, v view) lua.Outcome { return rawAddr(c, v.conn.LocalAddr()) })},
	{Name: prefix + "raw_client_addr", Sig: "-> addr, type, err", Doc: "The bytes of the client's address, and \"inet\", \"inet6\" or \"unix\".",
		Run: with(2, func(c *lua.Call, v view) lua.Outcome { return rawAddr(c, &v.conn.Remote) })},
	{Name: prefix + "get_tls1_version", Sig: "-> version, err", Doc: "The number of the TLS version: 0x304 for TLS 1.3.", Run: with(1, func(c *lua.Call, v view) lua.Outcome {
		return c.ReturnInt(int(v.version()))
	})},
	{Name: prefix + "get_client_random", Sig: "len?:any -> bytes, err", Doc: "The client's random number; with 0 its length.", Run: with(1, func(c *lua.Call, v view) lua.Outcome {
		b := v.state.ClientRandom[:]
		if v.shake != nil && v.shake.H.Raw != nil {
			b = v.shake.H.Raw.Random
		}
		return random(c, b)
	})},
	{Name: prefix + "get_server_random", Sig: "len?:any -> bytes, err", Doc: "The server's random number; zeros before it is made; with 0 its length.", Run: with(1, func(c *lua.Call, v view) lua.Outcome {
		return random(c, v.state.ServerRandom[:])
	})},
	{Name: prefix + "get_session_master_key", Sig: "len?:any -> bytes, err", Doc: "Never given: crypto/tls does not tell secrets.", Run: with(1, func(c *lua.Call, v view) lua.Outcome {
		return c.ReturnNilErr("not supported: crypto/tls does not tell its secrets")
	})},
	{Name: prefix + "get_req_ssl_pointer", Sig: "-> ptr, err", Doc: "Never given: connections are crypto/tls's, there is no SSL object.", Run: with(1, func(c *lua.Call, v view) lua.Outcome {
		return c.ReturnNilErr("not supported: TLS is not OpenSSL's here")
	})},
	{Name: prefix + "get_upstream_ssl_pointer", Sig: "-> ptr, err", Doc: "Never given: connections are crypto/tls's, there is no SSL object.", Run: func(c *lua.Call) lua.Outcome {
		return c.ReturnNilErr("not supported: TLS is not OpenSSL's here")
	}},
	{Name: prefix + "get_req_shared_ssl_ciphers", Sig: "filter_grease?:any -> list, err", Doc: "The numbers of the cipher suites that both sides know, in the server's order.",
		Run: with(1, func(c *lua.Call, v view) lua.Outcome {
			return c.Table(func(w *lua.Writer) {
				for _, id := range v.shared() {
					w.Int(int(id))
				}
			})
		})},
	{Name: prefix + "export_keying_material", Sig: "length:integer, label:string, context?:any -> bytes, err", Doc: "Keying material of the connection (RFC 5705).", Run: with(1, exportKey)},
	{Name: prefix + "export_keying_material_early", Sig: "length:integer, label:string, context?:any -> bytes, err", Doc: "Nil: early data is not taken, so there is no early secret.",
		Run: with(1, func(c *lua.Call, v view) lua.Outcome { return c.ReturnNil() })},
}

func (v view) serverName() string {
	if v.shake != nil {
		if v.shake.H.Info != nil {
			return v.shake.H.Info.ServerName
		}
		return ""
	}
	return v.state.ServerName
}

func (v view) version() uint16 {
	if v.shake != nil && v.state.Version == 0 {
		return v.shake.H.Version()
	}
	return v.state.Version
}

// shared are the suites of both sides: those of TLS 1.3 first.
func (v view) shared() (out []uint16) {
	offered := map[uint16]bool{}
	for _, id := range v.state.Hello.Suites {
		offered[id] = true
	}
	add := func(ids ...uint16) {
		for _, id := range ids {
			if offered[id] {
				out = append(out, id)
			}
		}
	}
	cfg := v.config()
	if cfg.MaxVersion == 0 || cfg.MaxVersion >= tls.VersionTLS13 {
		add(tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256, tls.TLS_AES_128_GCM_SHA256)
	}
	if cfg.MinVersion < tls.VersionTLS13 {
		if cfg.CipherSuites != nil {
			add(cfg.CipherSuites...)
			return out
		}
		for _, s := range tls.CipherSuites() {
			if s.SupportedVersions[0] < tls.VersionTLS13 {
				add(s.ID)
			}
		}
	}
	return out
}

func (v view) config() *tls.Config {
	if v.shake != nil {
		if c := v.shake.H.Config; c != nil && c.MinVersion != 0 {
			return c
		}
		return v.shake.H.TLS.Config
	}
	return &tls.Config{}
}

func rawAddr(c *lua.Call, a *engine.Addr) lua.Outcome {
	w := c.Push()
	switch ip := a.IP.Addr().Unmap(); {
	case a.Unix:
		w.String(a.Path)
		w.String("unix")
	case ip.Is4():
		b := ip.As4()
		w.Str(b[:])
		w.String("inet")
	default:
		b := ip.As16()
		w.Str(b[:])
		w.String("inet6")
	}
	return c.Return()
}

func random(c *lua.Call, b []byte) lua.Outcome {
	if c.IsNil(1) {
		return c.ReturnStr(b)
	}
	n := c.Int(1)
	if n == 0 {
		return c.ReturnInt(len(b))
	}
	return c.ReturnStr(b[:max(0, min(n, len(b)))])
}

// maxKeying is more than anybody needs.
const maxKeying = 1 << 16

func exportKey(c *lua.Call, v view) lua.Outcome {
	if v.shake != nil {
		return c.ReturnNilErr("API disabled in the context of " + c.Phase().String())
	}
	if n := c.Int(1); n < 1 || n > maxKeying {
		return c.ReturnNilErr("SSL_export_keying_material() failed")
	}
	var context []byte
	if c.Type(3) == lua.Str {
		context = append([]byte{}, c.Str(3)...)
	}
	b, err := v.state.ExportKeyingMaterial(c.String(2), context, c.Int(1))
	if err != nil {
		return c.ReturnNilErr("SSL_export_keying_material() failed")
	}
	return c.ReturnStr(b)
}

// object hands Lua an object of libcrypto, as an address that the Lua around makes a pointer of.
func object(c *lua.Call, what int, problem string, ders ...[]byte) lua.Outcome {
	p := luajit.NewObject(what, ders...)
	if p == 0 {
		return c.ReturnNilErr(problem)
	}
	c.Push().Light(p)
	return c.Return()
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
