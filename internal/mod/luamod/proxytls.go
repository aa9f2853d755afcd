package luamod

import (
	"crypto/tls"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luaapi/ssl"
	"moongate/internal/luahost"
	"moongate/internal/relay"
	"moongate/internal/tlsio"
)

// proxyCert and proxyVerify are the targets of proxy_ssl_certificate_by_lua and proxy_ssl_verify_by_lua, which become
// hooks of the location's handshakes with servers.
func proxyCert(c *conf.Cmd) **luahost.Handler {
	relay.HooksOf(c.Scope).Certificate = proxyCertificate
	return &luahost.Level.Of(c.Scope).ProxyCert
}

func proxyVerify(c *conf.Cmd) **luahost.Handler {
	relay.HooksOf(c.Scope).Verify = proxyVerified
	return &luahost.Level.Of(c.Scope).ProxyVerify
}

var errVerify = tlsio.Words("error:0A000086:SSL routines::certificate verify failed")

// proxyCertificate gives what a server that asks is shown; nil for what is configured.
func proxyCertificate(x *relay.Exchange, version uint16) (*tls.Certificate, error) {
	r := x.R
	r.Logf(nlog.Debug, "proxy ssl cert: connection reusable: 0")
	p := &luahost.ProxyTLS{Version: version}
	code := proxyHook(r, p, luahost.ConfOf(r.Scope).ProxyCert, lua.PhaseProxySSLCert, "loading proxy ssl certificate by lua", "proxy_ssl_certificate_by_lua", "cert cb")
	if code == 0 {
		return nil, errHello // a client's callback has no words of its own
	}
	return ssl.ClientCertificate(p), nil
}

// proxyVerified judges a server; it returns OpenSSL's number of what is wrong with it, or an error that breaks the
// handshake off.
func proxyVerified(x *relay.Exchange, cs *tls.ConnectionState) (int, error) {
	r := x.R
	r.Logf(nlog.Debug, "proxy ssl verify: connection reusable: 0")
	p := &luahost.ProxyTLS{Version: cs.Version, Leaf: cs.PeerCertificates[0]}
	c := luahost.ConfOf(r.Scope)
	if !c.SkipDefaultVerify.V {
		r.Logf(nlog.Debug, "proxy_ssl_verify_by_lua: openssl default verify")
		if p.VerifyCode, _ = x.CheckServer(cs.PeerCertificates); p.VerifyCode != 0 {
			return p.VerifyCode, errVerify
		}
	}
	if proxyHook(r, p, c.ProxyVerify, lua.PhaseProxySSLVerify, "loading proxy ssl verify by lua", "proxy_ssl_verify_by_lua", "cert verify callback") == 0 {
		return p.VerifyCode, errVerify
	}
	return p.VerifyCode, nil
}

// proxyHook runs the code; it returns 1 when the handshake may go on, else 0.
func proxyHook(r *engine.Request, p *luahost.ProxyTLS, h *luahost.Handler, phase lua.Phase, action, name, what string) int {
	before := r.Conn.Action
	r.Conn.Action = action
	ctx := luahost.Of(r)
	ctx.ProxyTLS = p
	value := luahost.RunHook(r, h.For(r), phase)
	ctx.ProxyTLS = nil
	code := 1
	if value == int(engine.Error) || value >= 400 {
		code = 0
	}
	r.Logf(nlog.Debug, "%s: handler return value: %d, %s exit code: %d", name, value, what, code)
	r.Logf(nlog.Debug, "%s: %s exit code: %d", name, what, code)
	r.Conn.Action = before
	return code
}
