package ssl

import (
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/tlsio"
)

const hello = prefix + "clienthello."

// inHello makes Run of a function that has a place only in ssl_client_hello_by_lua.
func inHello(f func(c *lua.Call, s *luahost.Shake, h *tlsio.ClientHello) lua.Outcome) func(c *lua.Call) lua.Outcome {
	return func(c *lua.Call) lua.Outcome {
		s := luahost.ShakeFromCall(c)
		switch {
		case s == nil && luahost.Request(c) == nil && c.Phase() != lua.PhaseTimer:
			return c.Errorf(noRequest)
		case s == nil || c.Phase() != lua.PhaseSSLClientHello:
			return c.Errorf(badContext)
		case s.H.Raw == nil:
			return c.ReturnNilErr("Bad SSL Client Hello")
		}
		return f(c, s, s.H.Raw)
	}
}

// Extensions of RFC 6066 and RFC 8446.
const (
	extServerName = 0
	extStatus     = 5
	extVersions   = 43
)

var helloFuncs = []*lua.Func{
	{Name: hello + "get_client_hello_server_name", Sig: "-> name, err", Doc: "The name that the client asks for (SNI); nil without one.",
		Run: inHello(func(c *lua.Call, s *luahost.Shake, h *tlsio.ClientHello) lua.Outcome {
			b, ok := h.Extension(extServerName)
			if !ok {
				return c.ReturnNil()
			}
			name, ok := sniName(b)
			if !ok {
				return c.ReturnNilErr("Bad SSL Client Hello Extension")
			}
			return c.ReturnStr(name)
		})},
	{Name: hello + "get_client_hello_ext", Sig: "type:integer -> bytes, err", Doc: "The bytes of an extension; nil when the client has not sent it.",
		Run: inHello(func(c *lua.Call, s *luahost.Shake, h *tlsio.ClientHello) lua.Outcome {
			if b, ok := h.Extension(uint16(c.Int(1))); ok && c.Int(1) == int(uint16(c.Int(1))) {
				return c.ReturnStr(b)
			}
			return c.ReturnNil()
		})},
	{Name: hello + "get_client_hello_ext_present", Sig: "-> list, err", Doc: "The types of the extensions that OpenSSL knows, in the client's order.",
		Run: inHello(func(c *lua.Call, s *luahost.Shake, h *tlsio.ClientHello) lua.Outcome {
			if len(h.Extensions) == 0 {
				return c.ReturnNil()
			}
			return c.Table(func(w *lua.Writer) {
				for _, e := range h.Extensions {
					if !tlsio.Grease(e.Type) {
						w.Int(int(e.Type))
					}
				}
			})
		})},
	{Name: hello + "get_client_hello_ciphers", Sig: "-> list, err", Doc: "The numbers of the cipher suites that the client offers, in its order.",
		Run: inHello(func(c *lua.Call, s *luahost.Shake, h *tlsio.ClientHello) lua.Outcome {
			if len(h.Suites) == 0 {
				return c.ReturnNilErr("failed SSL_client_hello_get0_ciphers()")
			}
			return c.Table(func(w *lua.Writer) {
				for _, id := range h.Suites[:min(len(h.Suites), 128)] {
					if !tlsio.Grease(id) {
						w.Int(int(id))
					}
				}
			})
		})},
	{Name: hello + "get_supported_versions", Sig: "-> list, err", Doc: "The versions that the client offers, oldest first; nil when it does not list them.",
		Run: inHello(func(c *lua.Call, s *luahost.Shake, h *tlsio.ClientHello) lua.Outcome {
			b, ok := h.Extension(extVersions)
			if !ok || len(b) == 0 || len(b)-1 != int(b[0]) {
				return c.ReturnNil()
			}
			return c.Table(func(w *lua.Writer) {
				for b = b[1:]; len(b) >= 2; b = b[:len(b)-2] {
					if name := tlsio.VersionName(be16(b[len(b)-2:])); name != "" {
						w.String(name)
					}
				}
			})
		})},
	{Name: hello + "set_protocols", Sig: "list:table -> ok, err", Doc: "The versions of TLS that this client may speak.", Run: inHello(setProtocols)},
}

// sniName reads the extension server_name (RFC 6066, 3).
func sniName(b []byte) (name []byte, ok bool) {
	if len(b) <= 2 || int(be16(b))+2 != len(b) {
		return nil, false
	}
	b = b[2:]
	if b[0] != 0 || len(b) <= 3 || int(be16(b[1:]))+3 > len(b) {
		return nil, false
	}
	return b[3 : 3+int(be16(b[1:]))], true
}

func setProtocols(c *lua.Call, s *luahost.Shake, _ *tlsio.ClientHello) lua.Outcome {
	list, err := c.Pack(1)
	if err != nil {
		return c.Fail(err)
	}
	bits := uint32(0)
	for i := 1; i <= list.Len(); i++ {
		known := false
		for n, name := range tlsio.Protocols {
			if v := list.Index(i); v.Type == lua.Str && string(v.Str()) == name {
				bits |= 1 << n
				known = true
			}
		}
		if !known {
			return c.ReturnNilErr("invalid protocols failed")
		}
	}
	low, high := tlsio.Versions(bits)
	s.H.Config.MinVersion, s.H.Config.MaxVersion = low, high
	return c.ReturnBool(true)
}
