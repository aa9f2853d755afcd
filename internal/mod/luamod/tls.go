package luamod

import (
	"crypto/tls"
	"errors"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/tlsio"
)

// setupTLS makes the ssl_..._by_lua of servers hooks of their handshakes.
func setupTLS(h *engine.HTTP) error {
	for _, s := range h.Servers {
		if s.TLS == nil {
			continue
		}
		c := luahost.ConfOf(s.Scope)
		if c.ClientHello == nil && c.Certificate == nil && c.SessionFetch == nil && c.SessionStore == nil {
			continue
		}
		k := &engine.TLSHooks{Done: shakeDone}
		if c.ClientHello != nil {
			k.Hello = clientHello
		}
		if c.Certificate != nil {
			k.Certificate = certificate
		}
		if c.SessionFetch != nil {
			k.Fetch = fetchSession
		}
		if c.SessionStore != nil {
			k.Store = storeSession
		}
		s.TLS.Hooks = k
	}
	return nil
}

// Errors of hooks, in the words OpenSSL has for the failure of its callbacks.
var (
	errHello       error = tlsio.Words("error:0A0000EA:SSL routines::callback failed")
	errCertificate error = tlsio.Words("error:0A000179:SSL routines::cert cb error")
)

// during says what the connection does meanwhile.
func during(h *engine.Handshake, action string) func() {
	before := h.Conn.Action
	h.Conn.Action = action
	return func() { h.Conn.Action = before }
}

func clientHello(h *engine.Handshake) error {
	h.Logf(nlog.Debug, "ssl client hello: connection reusable: 0")
	defer during(h, "loading SSL client hello by lua")()
	s := luahost.ShakeOf(h)
	return hookEnds(s, s.Run(luahost.ConfOf(h.Server.Scope).ClientHello.Code, lua.PhaseSSLClientHello), "ssl_client_hello_by_lua", "client hello cb", errHello)
}

func certificate(h *engine.Handshake) error {
	h.Logf(nlog.Debug, "ssl cert: connection reusable: 0")
	defer during(h, "loading SSL certificate by lua")()
	code := luahost.ConfOf(h.Server.Scope).Certificate
	if code == nil {
		h.Logf(nlog.Alert, "no ssl_certificate_by_lua* defined in server %s", h.Server.Name)
		return errCertificate
	}
	s := luahost.ShakeOf(h)
	return hookEnds(s, s.Run(code.Code, lua.PhaseSSLCert), "ssl_certificate_by_lua", "cert cb", errCertificate)
}

// hookEnds says how a hook has ended and gives the error that the handshake ends with.
func hookEnds(s *luahost.Shake, err error, name, what string, failure error) error {
	code := 1
	if err != nil {
		code = 0
	} else {
		failure = nil
	}
	value := s.ExitCode
	if s.Phase() == lua.PhaseSSLSessionStore {
		value = 0 // it is not run as the others are
	}
	s.H.Logf(nlog.Debug, "%s: handler return value: %d, %s exit code: %d", name, value, what, code)
	s.H.Logf(nlog.Debug, "%s: %s exit code: %d", name, what, code)
	return failure
}

// skips tells that a session is left to OpenResty's rule: its hooks are for TLS 1.2 and below.
func skips(h *engine.Handshake, version uint16, name string) bool {
	if version < tls.VersionTLS13 {
		return false
	}
	h.Logf(nlog.Debug, "%s: skipped since TLS version >= 1.3 (%x)", name, version)
	return true
}

func fetchSession(h *engine.Handshake, version uint16, id []byte) ([]byte, error) {
	if skips(h, version, "ssl_session_fetch_by_lua*") {
		return nil, nil
	}
	h.Logf(nlog.Debug, "ssl session fetch: connection reusable: 0")
	defer during(h, "fetching SSL session by lua")()
	s := luahost.ShakeOf(h)
	s.SessionID, s.Session = id, nil
	err := s.Run(luahost.ConfOf(h.Server.Scope).SessionFetch.Code, lua.PhaseSSLSessionFetch)
	hookEnds(s, err, "ssl_session_fetch_by_lua*", "sess get cb", nil)
	session := s.Session
	s.SessionID, s.Session = nil, nil
	if errors.Is(err, luahost.ErrShakeEnded) {
		return nil, nil // as with OpenSSL, the handshake goes on without the session
	}
	return session, nil
}

func storeSession(h *engine.Handshake, version uint16, id, session []byte) {
	if skips(h, version, "ssl_session_store_by_lua*") {
		return
	}
	h.Logf(nlog.Debug, "ssl session store: connection reusable: 0")
	defer during(h, "storing SSL session by lua")()
	s := luahost.ShakeOf(h)
	s.SessionID, s.Session = id, session
	err := s.Run(luahost.ConfOf(h.Server.Scope).SessionStore.Code, lua.PhaseSSLSessionStore)
	hookEnds(s, err, "ssl_session_store_by_lua*", "sess new cb", nil)
	s.SessionID, s.Session = nil, nil
}

// shakeDone gives up what Lua kept for the handshake.
func shakeDone(h *engine.Handshake, ok bool) {
	if s, was := h.Value.(*luahost.Shake); was {
		s.End(ok)
		h.Value = nil
	}
}
