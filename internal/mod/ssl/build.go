package ssl

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/tlsio"
)

// setup makes the TLSConf of every server that has what a handshake needs.
func setup(h *engine.HTTP) error {
	for _, s := range h.Servers {
		c := srv.Of(s.Scope)
		if n := len(c.certificates); n > len(c.keys) {
			return emerg("no \"ssl_certificate_key\" is defined for certificate \"%s\"", c.certificates[n-1])
		}
		if len(c.certificates) == 0 && !c.reject.V {
			continue
		}
		t, err := c.build(h.Config)
		if err != nil {
			return err
		}
		s.TLS = t
	}
	return nil
}

// emerg is an error of which nginx tells no place.
func emerg(format string, a ...any) error {
	return &conf.Error{Level: "emerg", Msg: fmt.Sprintf(format, a...)}
}

func (c *config) build(cfg *conf.Config) (*engine.TLSConf, error) {
	t := &engine.TLSConf{Config: &tls.Config{DynamicRecordSizingDisabled: true, NextProtos: protocols}, Reject: c.reject.V, Verify: c.verify.V,
		Optional: tlsio.Optional, RecordSize: min(max(int(c.bufferSize.V), 512), 16<<10)}
	tc := t.Config
	tc.MinVersion, tc.MaxVersion = tlsio.Versions(c.protocols.V)
	suites, ok := tlsio.Suites(c.ciphers.V)
	if !ok {
		return nil, emerg("SSL_CTX_set_cipher_list(\"%s\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)", c.ciphers.V)
	}
	tc.CipherSuites = suites
	if err := c.setCurves(tc); err != nil {
		return nil, err
	}
	said, err := tlsio.Commands(tc, c.commands)
	if err != nil {
		return nil, emerg("%s", err)
	}
	if said.Tickets != nil {
		c.tickets.V = *said.Tickets
	}
	if said.Certificate != "" && said.PrivateKey != "" { // takes the place of one with the same kind of key; there is no telling before
		c.certificates, c.keys = []string{said.Certificate}, []string{said.PrivateKey}
	}
	for i := range c.certificates {
		pair, err := c.pair(cfg, c.certificates[i], c.keys[i])
		if err != nil {
			return nil, err
		}
		tc.Certificates = append(tc.Certificates, pair)
	}
	t.Certificates = len(tc.Certificates)
	if c.reject.V {
		tc.Certificates = nil // which makes crypto/tls refuse with the alert that is wanted
	} else {
		if len(tc.Certificates) > 0 && c.stapling.V && c.staplingFile.V != "" {
			text, err := os.ReadFile(c.staplingFile.V)
			if err != nil {
				return nil, emerg("BIO_new_file(\"%s\") failed (SSL: %s)", c.staplingFile.V, tlsio.OpenFault(c.staplingFile.V, err))
			}
			tc.Certificates[0].OCSPStaple = text
		}
		if len(tc.Certificates) > 1 {
			choose(tc)
		}
	}
	if err := c.clients(t); err != nil {
		return nil, err
	}
	c.sessions(t)
	return t, nil
}

// protocols are what a client may ask for by ALPN; one that knows none of them is refused, as by nginx.
var protocols = []string{"http/1.1", "http/1.0", "http/0.9"}

// choose makes a server of several certificates take the first elliptic one that the client understands, whatever name
// it has asked for.
func choose(tc *tls.Config) {
	var order []*tls.Certificate
	for i := range tc.Certificates {
		order = append(order, &tc.Certificates[i])
	}
	slices.SortStableFunc(order, func(a, b *tls.Certificate) int { return rank(a) - rank(b) })
	first := &tc.Certificates[0]
	tc.Certificates = nil
	tc.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		any := *h
		any.ServerName = ""
		for _, c := range order {
			if any.SupportsCertificate(c) == nil {
				return c, nil
			}
		}
		return first, nil
	}
}

func rank(c *tls.Certificate) int {
	if _, ok := c.Leaf.PublicKey.(*rsa.PublicKey); ok {
		return 1
	}
	return 0
}

func (c *config) setCurves(tc *tls.Config) error {
	if c.curves.V == "auto" {
		return nil
	}
	ids, ok := tlsio.Curves(c.curves.V)
	if !ok {
		return emerg("SSL_CTX_set1_curves_list(\"%s\") failed (SSL: error:0A080106:SSL routines::passed invalid argument:group '%s' cannot be set)", c.curves.V, c.curves.V)
	}
	tc.CurvePreferences = ids
	return nil
}

// pair loads a certificate and its key.
func (c *config) pair(cfg *conf.Config, certName, keyName string) (tls.Certificate, error) {
	out, err := tlsio.LoadPair(cfg.FullConfName, certName, keyName, c.passwords.V)
	if err != nil {
		return out, emerg("%s", err)
	}
	out.PrivateKey = tlsio.FastKey(out.PrivateKey.(crypto.Signer))
	return out, nil
}

// clients sets up what is asked of clients.
func (c *config) clients(t *engine.TLSConf) error {
	v := &tlsio.Verifier{Roots: x509.NewCertPool(), Depth: c.depth.V}
	t.Check, t.Verifier, t.Depth = v.Check, v, v.Depth
	if c.verify.V != engine.VerifyOff {
		if c.verify.V != engine.VerifyOptionalNoCA && c.clientCertificate.V == "" && c.trusted.V == "" {
			return emerg("no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client")
		}
		// The handshake only asks: what is wrong with a certificate, or that there is none, is answered with HTTP.
		t.Config.ClientAuth = tls.RequestClientCert
		if c.clientCertificate.V != "" {
			t.Config.ClientCAs = x509.NewCertPool()
			if err := v.TrustFile(c.clientCertificate.V, t.Config.ClientCAs); err != nil {
				return emerg("%s", err)
			}
		}
	}
	if c.trusted.V != "" {
		if err := v.TrustFile(c.trusted.V, nil); err != nil {
			return emerg("%s", err)
		}
	}
	if name := c.crl.V; name != "" {
		if err := v.RevokedFile(name); err != nil {
			return emerg("%s", err)
		}
	}
	return nil
}
