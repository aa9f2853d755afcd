package ssl

import (
	"crypto/tls"
	"crypto/x509"

	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/luajit"
	"moongate/internal/tlsio"
)

var certFuncs = []*lua.Func{
	{Name: prefix + "cert_pem_to_der", Sig: "pem:string -> der, err", Doc: "The certificates of a PEM text as DER, one behind the other.", Run: func(c *lua.Call) lua.Outcome {
		ders, problem := pemChain(c.Str(1))
		if problem != "" {
			return c.ReturnNilErr(problem)
		}
		var all []byte
		for _, d := range ders {
			all = append(all, d...)
		}
		return c.ReturnStr(all)
	}},
	{Name: prefix + "priv_key_pem_to_der", Sig: "pem:string, password?:any -> der, err", Doc: "The secret key of a PEM text as DER; an encrypted one needs its password.", Run: func(c *lua.Call) lua.Outcome {
		der, problem := pemKey(c.Str(1), []byte(c.String(2)))
		if problem != "" {
			return c.ReturnNilErr(problem)
		}
		return c.ReturnStr(der)
	}},
	{Name: prefix + "_pem_cert", Sig: "pem:string -> ptr, err", Doc: "Part of parse_pem_cert.", Run: func(c *lua.Call) lua.Outcome {
		ders, problem := pemChain(c.Str(1))
		if problem != "" {
			return c.ReturnNilErr(problem)
		}
		return object(c, luajit.ObjectChain, badPEMCert, ders...)
	}},
	{Name: prefix + "_der_cert", Sig: "der:string -> ptr, err", Doc: "Part of parse_der_cert.", Run: func(c *lua.Call) lua.Outcome {
		if len(c.Str(1)) == 0 {
			return c.ReturnNilErr(badArgument)
		}
		chain, ok := derChain(c.Str(1))
		if !ok {
			return c.ReturnNilErr(badDERCert)
		}
		return object(c, luajit.ObjectChain, badDERCert, raws(chain)...)
	}},
	{Name: prefix + "_pem_key", Sig: "pem:string -> ptr, err", Doc: "Part of parse_pem_priv_key.", Run: func(c *lua.Call) lua.Outcome {
		der, problem := pemKey(c.Str(1), nil)
		if problem != "" {
			return c.ReturnNilErr(problem)
		}
		return object(c, luajit.ObjectKey, badPEMKey, der)
	}},
	{Name: prefix + "_der_key", Sig: "der:string -> ptr, err", Doc: "Part of parse_der_priv_key.", Run: func(c *lua.Call) lua.Outcome {
		if len(c.Str(1)) == 0 {
			return c.ReturnNilErr(badArgument)
		}
		k := tlsio.ReadKey(append([]byte{}, c.Str(1)...))
		if k == nil {
			return c.ReturnNilErr(badDERKey)
		}
		return object(c, luajit.ObjectKey, badDERKey, keyDER(k))
	}},
	{Name: prefix + "clear_certs", Sig: "-> ok, err", Doc: "Forgets the certificates of the configuration for this handshake.", Run: set(func(c *lua.Call, s *luahost.Shake) string { clearCerts(s); return "" })},
	{Name: prefix + "set_der_cert", Sig: "der:string -> ok, err", Doc: "The certificate to show, with those of its issuers, as DER.", Run: set(func(c *lua.Call, s *luahost.Shake) string { return setDERCert(s, c.Str(1)) })},
	{Name: prefix + "set_der_priv_key", Sig: "der:string -> ok, err", Doc: "The secret key of the certificate, as DER.", Run: set(func(c *lua.Call, s *luahost.Shake) string { return setDERKey(s, c.Str(1)) })},
	{Name: prefix + "_set_cert", Sig: "ptr:any -> ok, err", Doc: "Part of set_cert.", Run: set(func(c *lua.Call, s *luahost.Shake) string { return setCert(s, uintptr(c.Num(1))) })},
	{Name: prefix + "_set_key", Sig: "ptr:any -> ok, err", Doc: "Part of set_priv_key.", Run: set(func(c *lua.Call, s *luahost.Shake) string { return setKey(s, uintptr(c.Num(1))) })},
	{Name: prefix + "_verify_client", Sig: "ca:any, depth:any, trusted:any -> ok, err", Doc: "Part of verify_client.", Run: during(lua.PhaseSSLCert, func(c *lua.Call, s *luahost.Shake) lua.Outcome {
		depth := -1
		if !c.IsNil(2) {
			depth = c.Int(2)
		}
		if problem := verifyClient(s, uintptr(c.Num(1)), uintptr(c.Num(3)), depth); problem != "" {
			return c.ReturnNilErr(problem)
		}
		return c.ReturnBool(true)
	})},
}

// set makes Run of a function that changes the handshake's certificates.
func set(f func(c *lua.Call, s *luahost.Shake) string) func(c *lua.Call) lua.Outcome {
	return with(1, func(c *lua.Call, v view) lua.Outcome {
		if v.shake == nil {
			return c.ReturnNilErr(badContext)
		}
		if problem := f(c, v.shake); problem != "" {
			return c.ReturnNilErr(problem)
		}
		return c.ReturnBool(true)
	})
}

// choiceOf is what code has chosen for a handshake.
func choiceOf(s *luahost.Shake) *chosen {
	ch, ok := s.Choice.(*chosen)
	if !ok {
		ch = &chosen{}
		s.Choice = ch
	}
	return ch
}

func clearCerts(s *luahost.Shake) {
	*choiceOf(s) = chosen{cleared: true}
	s.H.Certificates, s.H.Cleared = nil, true
}

// take makes the handshake use what is chosen.
func (h *chosen) take(s *luahost.Shake, problem string) string {
	if problem == "" {
		s.H.Certificates = h.complete()
	}
	return problem
}

func setDERCert(s *luahost.Shake, der []byte) string {
	chain, ok := derChain(append([]byte{}, der...))
	if !ok {
		return badDERCert
	}
	ch := choiceOf(s)
	return ch.take(s, ch.setCert(raws(chain)))
}

func setDERKey(s *luahost.Shake, der []byte) string {
	k := derKey(append([]byte{}, der...))
	if k == nil {
		return badDERKey
	}
	ch := choiceOf(s)
	return ch.take(s, ch.setKey(k))
}

func setCert(s *luahost.Shake, p uintptr) string {
	ders, ok := luajit.ObjectDER(luajit.ObjectChain, p)
	if !ok || len(ders) == 0 {
		return "invalid certificate chain"
	}
	ch := choiceOf(s)
	return ch.take(s, ch.setCert(ders))
}

func setKey(s *luahost.Shake, p uintptr) string {
	ders, ok := luajit.ObjectDER(luajit.ObjectKey, p)
	if !ok || len(ders) != 1 {
		return "invalid private key"
	}
	k := derKey(ders[0])
	if k == nil {
		return "invalid private key"
	}
	ch := choiceOf(s)
	return ch.take(s, ch.setKey(k))
}

// verifyClient asks the client for a certificate; ca and trusted are chains, 0 for none. What is wrong with it, the
// requests see.
func verifyClient(s *luahost.Shake, ca, trusted uintptr, depth int) string {
	h := s.H
	h.Config.ClientAuth = tls.RequestClientCert
	own := &engine.TLSConf{Verify: engine.VerifyOptional, Optional: tlsio.Optional, Check: h.TLS.Check}
	if depth < 0 {
		depth = h.TLS.Depth
	}
	v := &tlsio.Verifier{Depth: depth}
	if ca == 0 && trusted == 0 {
		if base := h.TLS.Verifier; base != nil {
			with := *base
			with.Depth = depth
			v = &with
		}
	}
	for i, p := range []uintptr{ca, trusted} {
		if p == 0 {
			continue
		}
		ders, ok := luajit.ObjectDER(luajit.ObjectChain, p)
		if !ok {
			return "sk_X509_value() failed"
		}
		if i == 0 {
			h.Config.ClientCAs = x509.NewCertPool()
		}
		for _, der := range ders {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return "X509_STORE_add_cert() failed"
			}
			if i == 0 {
				h.Config.ClientCAs.AddCert(c)
			}
			v.Add(c)
		}
	}
	own.Check = v.Check
	h.State.Own = own
	return ""
}
