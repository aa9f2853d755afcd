package ssl

import (
	"crypto/tls"

	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/luajit"
	"moongate/internal/relay"
	"moongate/internal/tlsio"
)

const (
	proxyCert   = prefix + "proxysslcert."
	proxyVerify = prefix + "proxysslverify."
	proxyInfo   = prefix + "proxyssl."
)

// inProxy makes Run of a function that has a place only in one phase of a handshake with a server.
func inProxy(phase lua.Phase, f func(c *lua.Call, p *luahost.ProxyTLS) lua.Outcome) func(c *lua.Call) lua.Outcome {
	return func(c *lua.Call) lua.Outcome {
		x := luahost.FromCall(c)
		switch {
		case x == nil && luahost.ShakeFromCall(c) == nil && c.Phase() != lua.PhaseTimer:
			return c.Errorf(noRequest)
		case c.Phase() != phase || x.ProxyTLS == nil:
			return c.Errorf(badContext)
		}
		return f(c, x.ProxyTLS)
	}
}

func chooses(f func(c *lua.Call, ch *chosen) string) func(c *lua.Call) lua.Outcome {
	return inProxy(lua.PhaseProxySSLCert, func(c *lua.Call, p *luahost.ProxyTLS) lua.Outcome {
		ch, ok := p.Choice.(*chosen)
		if !ok {
			ch = &chosen{}
			p.Choice = ch
		}
		if problem := f(c, ch); problem != "" {
			return c.ReturnNilErr(problem)
		}
		return c.ReturnBool(true)
	})
}

var proxyFuncs = []*lua.Func{
	{Name: proxyCert + "clear_certs", Sig: "-> ok, err", Doc: "Shows the server no certificate unless one is set.", Run: chooses(func(c *lua.Call, ch *chosen) string {
		*ch = chosen{cleared: true}
		return ""
	})},
	{Name: proxyCert + "set_der_cert", Sig: "der:string -> ok, err", Doc: "The certificate to show the server, with those of its issuers, as DER.", Run: chooses(func(c *lua.Call, ch *chosen) string {
		chain, ok := derChain(append([]byte{}, c.Str(1)...))
		if !ok {
			return badDERCert
		}
		return ch.setCert(raws(chain))
	})},
	{Name: proxyCert + "set_der_priv_key", Sig: "der:string -> ok, err", Doc: "The secret key of the certificate, as DER.", Run: chooses(func(c *lua.Call, ch *chosen) string {
		k := derKey(append([]byte{}, c.Str(1)...))
		if k == nil {
			return badDERKey
		}
		return ch.setKey(k)
	})},
	{Name: proxyCert + "_set_cert", Sig: "ptr:any -> ok, err", Doc: "Part of set_cert.", Run: chooses(func(c *lua.Call, ch *chosen) string {
		ders, ok := luajit.ObjectDER(luajit.ObjectChain, uintptr(c.Num(1)))
		if !ok || len(ders) == 0 {
			return "invalid certificate chain"
		}
		return ch.setCert(ders)
	})},
	{Name: proxyCert + "_set_key", Sig: "ptr:any -> ok, err", Doc: "Part of set_priv_key.", Run: chooses(func(c *lua.Call, ch *chosen) string {
		ders, ok := luajit.ObjectDER(luajit.ObjectKey, uintptr(c.Num(1)))
		if !ok || len(ders) != 1 || tlsio.ReadKey(ders[0]) == nil {
			return "invalid private key"
		}
		return ch.setKey(derKey(ders[0]))
	})},
	{Name: proxyVerify + "set_verify_result", Sig: "code:integer -> ok, err", Doc: "OpenSSL's number of what is wrong with the server's certificate; 0 for nothing.",
		Run: inProxy(lua.PhaseProxySSLVerify, func(c *lua.Call, p *luahost.ProxyTLS) lua.Outcome {
			p.VerifyCode = c.Int(1)
			return c.ReturnBool(true)
		})},
	{Name: proxyVerify + "get_verify_result", Sig: "-> code, err", Doc: "OpenSSL's number of what is wrong with the server's certificate so far.",
		Run: inProxy(lua.PhaseProxySSLVerify, func(c *lua.Call, p *luahost.ProxyTLS) lua.Outcome { return c.ReturnInt(p.VerifyCode) })},
	{Name: proxyVerify + "_cert", Sig: "-> ptr, err", Doc: "Part of get_verify_cert.",
		Run: inProxy(lua.PhaseProxySSLVerify, func(c *lua.Call, p *luahost.ProxyTLS) lua.Outcome {
			return object(c, luajit.ObjectCert, "get verify result failed", p.Leaf.Raw)
		})},
	{Name: proxyInfo + "get_tls1_version", Sig: "-> version, err", Doc: "The number of the TLS version spoken with the upstream server.", Run: func(c *lua.Call) lua.Outcome {
		x := luahost.FromCall(c)
		switch {
		case x == nil:
			return c.Errorf(noRequest)
		case x.ProxyTLS != nil:
			return c.ReturnInt(int(x.ProxyTLS.Version))
		}
		e := relay.Of(x.R)
		if e == nil {
			return c.ReturnNilErr(badRequest)
		}
		if v := e.TLSVersion(); v != 0 {
			return c.ReturnInt(int(v))
		}
		return c.ReturnNilErr("bad upstream connection")
	}},
}

// ClientCertificate is what code has chosen to show a server: nil for what is configured, one without content for
// nothing.
func ClientCertificate(p *luahost.ProxyTLS) *tls.Certificate {
	ch, ok := p.Choice.(*chosen)
	if !ok {
		return nil
	}
	if list := ch.complete(); len(list) > 0 {
		return list[0]
	}
	if ch.cleared {
		return &tls.Certificate{}
	}
	return nil
}
