package ssl

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"moongate/internal/base/gcfloor"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/ocsp"
	"moongate/internal/tlsio"
)

// setup makes the TLSConf of every server that has what a handshake needs.
func setup(h *engine.HTTP) error {
	for _, s := range h.Servers {
		c := srv.Of(s.Scope)
		if n := len(c.certificates); n > len(c.keys) {
			return emerg("no \"ssl_certificate_key\" is defined for certificate \"%s\"", c.certificates[n-1].text)
		}
		if len(c.certificates) == 0 && !c.reject.V {
			if c.verify.V != engine.VerifyOff {
				s.Asks = &engine.TLSConf{Verify: c.verify.V, Optional: tlsio.Optional, Check: (&tlsio.Verifier{Depth: c.depth.V}).Check}
			}
			continue
		}
		t, err := c.build(h.Config)
		if err != nil {
			return err
		}
		s.TLS = t
		gcfloor.Keep(os.Getenv)
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
		c.certificates, c.keys = []fileName{{text: said.Certificate}}, []fileName{{text: said.PrivateKey}}
	}
	if name := c.keyLog.V; name != "" {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, emerg("open() \"%s\" failed %s", name, conf.SysError(err))
		}
		tc.KeyLogWriter = f
	}
	st, err := c.newStore(filesOf(cfg))
	if err != nil {
		return nil, err
	}
	t.Certificates = len(c.certificates)
	sv := &server{c: c, conf: tc, reject: c.reject.V, store: st}
	if c.stapling.V && t.Certificates > 0 && !c.reject.V {
		if sv.stapler, err = c.newStapler(cfg); err != nil {
			return nil, err
		}
	}
	if err := c.clients(cfg, t); err != nil {
		return nil, err
	}
	sv.sessions = c.sessions()
	t.Adapt = sv.adapt
	return t, nil
}

// newStapler prepares ssl_stapling.
func (c *config) newStapler(cfg *conf.Config) (*stapler, error) {
	s := &stapler{c: c, m: map[*tls.Certificate]*staple{}}
	if name := c.staplingFile.V; name != "" {
		text, err := cfg.ReadFile(name)
		if err != nil {
			return nil, emerg("BIO_new_file(\"%s\") failed (SSL: %s)", name, tlsio.OpenFault(name, err))
		}
		s.fixed = text
	}
	if name := c.trusted.V; name != "" {
		text, err := cfg.ReadFile(name)
		if err != nil {
			return nil, emerg("SSL_CTX_load_verify_locations(\"%s\") failed (SSL: %s error:05880002:x509 certificate routines::system lib)", name, tlsio.OpenFault(name, err))
		}
		s.trust = tlsio.Certificates(text)
	}
	return s, nil
}

// server is what handshakes with one server go by.
type server struct {
	c        *config
	conf     *tls.Config
	reject   bool
	store    *store
	stapler  *stapler // nil without ssl_stapling
	sessions *sessions
}

// adapt gives the configuration of one handshake.
func (sv *server) adapt(h *engine.Handshake) (*tls.Config, error) {
	if sv.c.watch.V > 0 {
		sv.store.refresh(h)
	}
	cfg := sv.conf.Clone()
	if !sv.reject { // without a certificate crypto/tls refuses with the alert that is wanted
		cfg.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, err := sv.store.pick(h, info)
			if err == nil && sv.stapler != nil {
				cert = sv.stapler.attach(h, cert, *sv.store.list.Load())
			}
			return cert, err
		}
	}
	sv.sessions.adapt(h, cfg)
	return cfg, nil
}

// protocols are what a client may ask for by ALPN; one that knows none of them is refused, as by nginx.
var protocols = []string{"http/1.1", "http/1.0", "http/0.9"}

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

func filesOf(cfg *conf.Config) tlsio.Files {
	return tlsio.Files{Full: cfg.FullConfName, Read: cfg.ReadFile}
}

// clients sets up what is asked of clients.
func (c *config) clients(cfg *conf.Config, t *engine.TLSConf) error {
	v := &tlsio.Verifier{Depth: c.depth.V}
	t.Check, t.Verifier, t.Depth = v.Check, v, v.Depth
	if c.ocsp.V != ocspOff {
		if c.verify.V == engine.VerifyOptionalNoCA {
			return emerg("\"ssl_ocsp\" is incompatible with \"ssl_verify_client optional_no_ca\"")
		}
		if url := c.ocspResponder.V; url != "" {
			if _, err := ocsp.ParseURL(url); err != nil {
				return emerg("%s", err)
			}
		}
		t.Status = c.clientStatus
	}
	if c.verify.V != engine.VerifyOff {
		if c.verify.V != engine.VerifyOptionalNoCA && c.clientCertificate.V == "" && c.trusted.V == "" {
			return emerg("no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client")
		}
		// The handshake only asks: what is wrong with a certificate, or that there is none, is answered with HTTP.
		t.Config.ClientAuth = tls.RequestClientCert
		if c.clientCertificate.V != "" {
			t.Config.ClientCAs = x509.NewCertPool()
			if err := v.TrustFile(filesOf(cfg), c.clientCertificate.V, t.Config.ClientCAs); err != nil {
				return emerg("%s", err)
			}
		}
	}
	if c.trusted.V != "" {
		if err := v.TrustFile(filesOf(cfg), c.trusted.V, nil); err != nil {
			return emerg("%s", err)
		}
	}
	if name := c.crl.V; name != "" {
		if err := v.RevokedFile(filesOf(cfg), name); err != nil {
			return emerg("%s", err)
		}
	}
	return nil
}
