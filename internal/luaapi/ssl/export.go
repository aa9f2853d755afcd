package ssl

import (
	"encoding/binary"
	"math"

	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/luajit"
	"moongate/internal/tlsio"
)

// Export answers what libraries call by FFI with OpenResty's names; the assembly calls it once.
func Export() { luajit.TLSHost = exported }

func exported(c *luajit.TLSCall) ([]byte, string) {
	in := append([]byte{}, c.In...)
	switch c.Op {
	case luajit.CertDER:
		ders, problem := pemChain(in)
		var all []byte
		for _, d := range ders {
			all = append(all, d...)
		}
		return all, problem
	case luajit.KeyDER:
		return pemKey(in, []byte(c.Password))
	case luajit.PEMCert:
		ders, problem := pemChain(in)
		return pointer(luajit.ObjectChain, badPEMCert, problem, ders...)
	case luajit.DERCert:
		chain, ok := derChain(in)
		if !ok {
			return nil, badDERCert
		}
		return pointer(luajit.ObjectChain, badDERCert, "", raws(chain)...)
	case luajit.PEMKey:
		der, problem := pemKey(in, nil)
		return pointer(luajit.ObjectKey, badPEMKey, problem, der)
	case luajit.DERKey:
		k := tlsio.ReadKey(in)
		if k == nil {
			return nil, badDERKey
		}
		return pointer(luajit.ObjectKey, badDERKey, "", keyDER(k))
	}
	s := luahost.ShakeAt(c.R)
	if s == nil {
		return nil, badRequest
	}
	return ofShake(c, s, in)
}

func ofShake(c *luajit.TLSCall, s *luahost.Shake, in []byte) ([]byte, string) {
	v := view{s.H.Conn, s, s.H.State}
	switch c.Op {
	case luajit.ClearCerts:
		clearCerts(s)
		return nil, ""
	case luajit.SetDERCert:
		return nil, setDERCert(s, in)
	case luajit.SetDERKey:
		return nil, setDERKey(s, in)
	case luajit.SetCert:
		return nil, setCert(s, c.A)
	case luajit.SetKey:
		return nil, setKey(s, c.A)
	case luajit.VerifyClient:
		if s.Phase() != lua.PhaseSSLCert {
			return nil, badContext
		}
		return nil, verifyClient(s, c.A, c.B, c.N)
	case luajit.ClientRandom:
		if s.H.Raw != nil {
			return s.H.Raw.Random, ""
		}
		return v.state.ClientRandom[:], ""
	case luajit.ServerRandom:
		return v.state.ServerRandom[:], ""
	case luajit.SharedCiphers:
		var out []byte
		for _, id := range v.shared() {
			out = binary.NativeEndian.AppendUint16(out, id)
		}
		if len(out) > c.Room {
			return nil, "buffer too small"
		}
		return out[:min(len(out), math.MaxUint16)], ""
	case luajit.MasterKey:
		return nil, "not supported: crypto/tls does not tell its secrets"
	}
	return nil, "not supported: TLS is not OpenSSL's here"
}

// pointer makes an object and gives its address as bytes.
func pointer(what int, failure, problem string, ders ...[]byte) ([]byte, string) {
	if problem != "" {
		return nil, problem
	}
	p := luajit.NewObject(what, ders...)
	if p == 0 {
		return nil, failure
	}
	return binary.NativeEndian.AppendUint64(nil, uint64(p)), ""
}
