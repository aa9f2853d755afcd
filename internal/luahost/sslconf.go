package luahost

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"moongate/internal/conf"
)

// SSLConf is what the lua_ssl_* directives say.
type SSLConf struct {
	Protocols    conf.Opt[uint32]
	Ciphers      conf.Opt[string]
	Trusted, CRL conf.Opt[string]
	VerifyDepth  conf.Opt[int]
	KeyLog       conf.Opt[string]
	Certificates conf.Opt[[]string]
	Keys         conf.Opt[[]string]
	Commands     conf.Opt[[]conf.Pair]

	// Roots, Revoked, Own and Secrets are what the files hold.
	Roots   *x509.CertPool
	Revoked []*x509.RevocationList
	Own     []tls.Certificate
	Secrets *os.File
}

// load reads the files.
func (c *SSLConf) load() error {
	if name := c.Trusted.V; name != "" {
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("SSL_CTX_load_verify_locations(\"%s\") failed (%w)", name, err)
		}
		c.Roots = x509.NewCertPool()
		if !c.Roots.AppendCertsFromPEM(text) {
			return fmt.Errorf("SSL_CTX_load_verify_locations(\"%s\") failed (no certificate found)", name)
		}
	}
	if name := c.CRL.V; name != "" {
		if err := c.loadCRL(name); err != nil {
			return fmt.Errorf("X509_LOOKUP_load_file(\"%s\") failed (%w)", name, err)
		}
	}
	if len(c.Certificates.V) > len(c.Keys.V) {
		return fmt.Errorf("no \"lua_ssl_certificate_key\" is defined for certificate \"%s\"", c.Certificates.V[len(c.Keys.V)])
	}
	for i, name := range c.Certificates.V {
		pair, err := tls.LoadX509KeyPair(name, c.Keys.V[i])
		if err != nil {
			return fmt.Errorf("cannot load certificate \"%s\": %w", name, err)
		}
		c.Own = append(c.Own, pair)
	}
	if name := c.KeyLog.V; name != "" {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		c.Secrets = f
	}
	return nil
}

func (c *SSLConf) loadCRL(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		if b.Type != "X509 CRL" {
			continue
		}
		l, err := x509.ParseRevocationList(b.Bytes)
		if err != nil {
			return err
		}
		c.Revoked = append(c.Revoked, l)
	}
	if c.Revoked == nil {
		return errors.New("no CRL found")
	}
	return nil
}
