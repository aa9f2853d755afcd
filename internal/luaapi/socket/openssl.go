package socket

import (
	_ "embed"

	"moongate/internal/lua"
)

// lua-resty-openssl reads OpenSSL's connection out of nginx's structures, or asks a module of nginx that is made for it, in its
// own module resty.openssl.auxiliary.nginx_c. pgmoon needs that for SCRAM over TLS: the hash of the server's certificate. This is
// that module, over connections which OpenSSL knows nothing of.
//
//go:embed nginx_c.lua
var auxSource string

const peerTable = "package.loaded.moongate_peer."

var peerFuncs = []*lua.Func{{
	Name: peerTable + "session", Doc: "Part of resty.openssl: the server's certificate as DER, the numbers of the cipher suite and of the protocol.", Run: peerSession,
}}

var auxModules = []lua.Module{
	{Name: "moongate_peer", Table: "package.loaded.moongate_peer"},
	{Name: "resty.openssl.auxiliary.nginx_c", Source: auxSource},
}

func peerSession(c *lua.Call) lua.Outcome {
	s, out, ok := of(c)
	switch {
	case !ok:
		return out
	case s == nil:
		return badSelf(c)
	case s.c == nil || s.readClosed && s.writeClosed:
		return c.ReturnNilErr("closed")
	case s.c.tls == nil:
		return c.ReturnNilErr("no TLS on this socket")
	}
	st := s.c.tls.State()
	if len(st.PeerCertificates) == 0 {
		return c.ReturnNilErr("the server has no certificate")
	}
	w := c.Push()
	w.Str(st.PeerCertificates[0].Raw)
	w.Int(int(st.CipherSuite))
	w.Int(int(st.Version))
	return c.Return()
}
