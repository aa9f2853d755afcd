package engine

import (
	"crypto/tls"
	"crypto/x509"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/tlsio"
)

// TLSConf is what a server's ssl_* directives say: made by their module, used by the drivers of connections. It does
// not change once the snapshot serves.
type TLSConf struct {
	// Config is for handshakes; it has no certificates when Reject is set.
	Config *tls.Config
	Reject bool
	// Certificates is how many the server has, rejecting or not.
	Certificates int
	Verify       ClientVerify
	// Check judges a client's chain: OpenSSL's number and words of the fault, 0 for none. It is not called without one.
	Check func(chain []*x509.Certificate) (code int, text string)
	// Status asks others about a client's certificates once Check has found no fault, and may park: the words of what is
	// wrong. nil: nobody is asked.
	Status func(h *Handshake) string
	// Verifier is what Check goes by, and Depth its ssl_verify_depth.
	Verifier *tlsio.Verifier
	Depth    int
	// Optional reports whether VerifyOptionalNoCA lets a fault pass.
	Optional func(code int) bool
	// RecordSize is how much of a response a record holds.
	RecordSize int
	// Hooks let code take part in handshakes; nil for none.
	Hooks *TLSHooks
	// HTTP2 is Config for addresses and servers that speak HTTP/2 as well.
	HTTP2 *tls.Config
	// Adapt, when not nil, gives a configuration that only this handshake uses, in place of Config.
	Adapt func(h *Handshake) (*tls.Config, error)
}

// EndTLS gives up what hooks of the handshake have kept; the driver calls it, with the baton, when the connection ends.
func (c *Conn) EndTLS() {
	if c.TLS != nil && c.TLS.Kept != nil {
		c.TLS.Kept.ConnEnds()
		c.TLS.Kept = nil
	}
}

// ClientVerify is what is asked of clients.
type ClientVerify uint8

// The values of ssl_verify_client.
const (
	VerifyOff ClientVerify = iota
	VerifyOn
	VerifyOptional
	VerifyOptionalNoCA
)

// TLSState is Conn.TLS of a connection whose handshake is done.
type TLSState struct {
	tls.ConnectionState
	Hello HelloInfo
	// VerifyCode and VerifyText say what is wrong with the client's certificate, 0 for nothing.
	VerifyCode int
	VerifyText string
	// StatusText is what Status has found.
	StatusText string
	// Matched is whether a server was found by the name that the client asked for, where names make a difference: requests
	// for other names are refused then. An address with one server takes them all, as with nginx.
	Matched bool
	// SessionID is the number that the session is kept under at the server's side; empty for one that only the client
	// keeps.
	SessionID []byte
	// ClientRandom and ServerRandom are the numbers of the two hellos.
	ClientRandom, ServerRandom [32]byte
	// Own, when not nil, judges the client in place of the server's.
	Own *TLSConf
	// Kept is what hooks have kept for the connection's requests; it is told of the connection's end.
	Kept  interface{ ConnEnds() }
	judge *TLSConf // whose Check said so
}

// Judge has the client's chain judged by c; the connection was accepted under c, or a request is for its server.
func (s *TLSState) Judge(c *TLSConf) {
	if s.Own != nil {
		c = s.Own
	}
	if s.judge == c {
		return
	}
	s.judge = c
	s.VerifyCode, s.VerifyText = 0, ""
	if len(s.PeerCertificates) > 0 && c.Check != nil {
		s.VerifyCode, s.VerifyText = c.Check(s.PeerCertificates)
	}
}

// HelloInfo is what a client offered.
type HelloInfo struct {
	Suites     []uint16
	Curves     []tls.CurveID
	Signatures []tls.SignatureScheme
}

// ServerFor is the server with the name a client gives in its TLS handshake, nil when there is none.
func (a *AddrConf) ServerFor(name string) *Server {
	if name == "" {
		return nil
	}
	return a.names.find(nil, []byte(name))
}

// checkTLS makes sure that every address with TLS has a certificate.
func (a *AddrConf) checkTLS(servers []*Server) error {
	if !a.TLS {
		return nil
	}
	missing := func(s *Server) error {
		return &conf.Error{Level: "emerg", Msg: "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive", File: s.File, Line: s.Line}
	}
	switch def := a.names.def; {
	case def.TLS == nil:
		return missing(def)
	case def.TLS.Certificates > 0:
		return nil
	}
	for _, s := range servers {
		if s.TLS == nil {
			return missing(s)
		}
	}
	return nil
}

// CheckTLS judges the connection by what the request's server asks of clients, once the server is known; the driver
// finishes the request with the status unless that is OK.
func (r *Request) CheckTLS() Status {
	st := r.Conn.TLS
	if st == nil {
		r.Logf(nlog.Info, "client sent plain HTTP request to HTTPS port")
		return StatusToHTTPS
	}
	c := r.Server.TLS
	if c == nil {
		c = r.Server.Asks
	}
	if c == nil || c.Verify == VerifyOff {
		return OK
	}
	if st.Matched && !equalFold(st.ServerName, r.In.Server) {
		r.Logf(nlog.Info, "client attempted to request the server name different from the one that was negotiated")
		return 421
	}
	st.Judge(c) // the handshake may have been that of another server, with other roots
	if st.VerifyCode != 0 && (c.Verify != VerifyOptionalNoCA || !c.Optional(st.VerifyCode)) {
		r.Logf(nlog.Info, "client SSL certificate verify error: (%d:%s)", st.VerifyCode, st.VerifyText)
		return StatusCertError
	}
	if c.Verify == VerifyOn && len(st.PeerCertificates) == 0 {
		r.Logf(nlog.Info, "client sent no required SSL certificate")
		return StatusNoCert
	}
	if st.StatusText != "" {
		r.Logf(nlog.Info, "client SSL certificate verify error: %s", st.StatusText)
		return StatusCertError
	}
	return OK
}

func equalFold(a string, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x >= 'A' && x <= 'Z' {
			x |= 0x20
		}
		if y >= 'A' && y <= 'Z' {
			y |= 0x20
		}
		if x != y {
			return false
		}
	}
	return true
}
