package luahost

import (
	"bytes"
	"crypto/x509"
	"time"
)

// Verify checks a server's chain against lua_ssl_trusted_certificate, lua_ssl_verify_depth and lua_ssl_crl. It returns
// OpenSSL's number and words of the first fault, 0 for none.
func (c *SSLConf) Verify(chain []*x509.Certificate) (code int, text string) {
	if len(chain) == 0 {
		return 2, "unable to get issuer certificate"
	}
	roots := c.Roots
	if roots == nil {
		roots = x509.NewCertPool()
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	chains, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return verifyFault(chain, err)
	}
	best := chains[0]
	for _, ch := range chains[1:] {
		if len(ch) < len(best) {
			best = ch
		}
	}
	if len(best)-2 > c.VerifyDepth.V {
		return 22, "certificate chain too long"
	}
	if len(c.Revoked) > 0 {
		return c.checkRevoked(best)
	}
	return 0, ""
}

func verifyFault(chain []*x509.Certificate, err error) (int, string) {
	now := time.Now()
	for _, cert := range chain {
		switch {
		case now.After(cert.NotAfter):
			return 10, "certificate has expired"
		case now.Before(cert.NotBefore):
			return 9, "certificate is not yet valid"
		}
	}
	if _, ok := err.(x509.UnknownAuthorityError); ok {
		last := chain[len(chain)-1]
		switch {
		case !bytes.Equal(last.RawSubject, last.RawIssuer):
			return 20, "unable to get local issuer certificate"
		case len(chain) == 1:
			return 18, "self-signed certificate"
		}
		return 19, "self-signed certificate in certificate chain"
	}
	return 1, err.Error()
}

// checkRevoked looks each certificate but the root up in the list of its issuer.
func (c *SSLConf) checkRevoked(chain []*x509.Certificate) (int, string) {
	for i, cert := range chain {
		issuer := cert
		if i+1 < len(chain) {
			issuer = chain[i+1]
		} else if len(chain) > 1 {
			break
		}
		found := false
		for _, l := range c.Revoked {
			if !bytes.Equal(l.RawIssuer, cert.RawIssuer) || l.CheckSignatureFrom(issuer) != nil {
				continue
			}
			found = true
			if time.Now().After(l.NextUpdate) && !l.NextUpdate.IsZero() {
				return 12, "CRL has expired"
			}
			for _, e := range l.RevokedCertificateEntries {
				if e.SerialNumber.Cmp(cert.SerialNumber) == 0 {
					return 23, "certificate revoked"
				}
			}
		}
		if !found {
			return 3, "unable to get certificate CRL"
		}
	}
	return 0, ""
}
