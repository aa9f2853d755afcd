package tlsio

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"
)

// Verifier judges the chain of a client or, with Server, of a server.
type Verifier struct {
	Roots *x509.CertPool // self-signed
	// Known are certificates of issuers that are no roots: as for OpenSSL, a chain has to reach a root.
	Known   []*x509.Certificate
	Revoked []*x509.RevocationList
	Depth   int // how many certificates may stand between the peer's and a root
	Server  bool
}

// Check returns OpenSSL's number and words of the first fault, 0 for none. The chain is not empty.
func (v *Verifier) Check(chain []*x509.Certificate) (code int, text string) {
	roots := v.Roots
	if roots == nil {
		roots = x509.NewCertPool()
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	for _, c := range v.Known {
		between.AddCert(c)
	}
	usage := x509.ExtKeyUsageClientAuth
	if v.Server {
		usage = x509.ExtKeyUsageServerAuth
	}
	chains, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return fault(chain, err)
	}
	best := chains[0]
	for _, ch := range chains[1:] {
		if len(ch) < len(best) {
			best = ch
		}
	}
	if len(best)-2 > v.Depth {
		return 22, "certificate chain too long"
	}
	if len(v.Revoked) > 0 {
		return v.revoked(best)
	}
	return 0, ""
}

// Optional reports whether ssl_verify_client optional_no_ca lets the fault pass: the issuer is not known.
func Optional(code int) bool { return code >= 18 && code <= 21 || code == 27 }

func fault(chain []*x509.Certificate, err error) (int, string) {
	switch e := err.(type) {
	case x509.CertificateInvalidError:
		now := time.Now()
		switch {
		case e.Reason == x509.Expired && now.Before(e.Cert.NotBefore):
			return 9, "certificate is not yet valid"
		case e.Reason == x509.Expired:
			return 10, "certificate has expired"
		case e.Reason == x509.IncompatibleUsage:
			return 26, "unsuitable certificate purpose"
		case e.Reason == x509.TooManyIntermediates:
			return 25, "path length constraint exceeded"
		case e.Reason == x509.NotAuthorizedToSign:
			return 79, "invalid CA certificate"
		}
	case x509.UnknownAuthorityError:
		last := chain[len(chain)-1]
		switch {
		case !bytes.Equal(last.RawSubject, last.RawIssuer):
			if len(chain) == 1 {
				return 21, "unable to verify the first certificate"
			}
			return 20, "unable to get local issuer certificate"
		case len(chain) == 1:
			return 18, "self-signed certificate"
		}
		return 19, "self-signed certificate in certificate chain"
	}
	return 1, err.Error()
}

// revoked looks each certificate but the root up in the lists of its issuer.
func (v *Verifier) revoked(chain []*x509.Certificate) (int, string) {
	for i, c := range chain {
		issuer := c
		if i+1 < len(chain) {
			issuer = chain[i+1]
		} else if len(chain) > 1 {
			break
		}
		found := false
		for _, l := range v.Revoked {
			if !bytes.Equal(l.RawIssuer, c.RawIssuer) || l.CheckSignatureFrom(issuer) != nil {
				continue
			}
			found = true
			if !l.NextUpdate.IsZero() && time.Now().After(l.NextUpdate) {
				return 12, "CRL has expired"
			}
			for _, e := range l.RevokedCertificateEntries {
				if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
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

// Trust adds the certificates of a PEM text; it reports whether there are any.
func (v *Verifier) Trust(text []byte) bool {
	found := false
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return found
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			continue
		}
		found = true
		if bytes.Equal(c.RawSubject, c.RawIssuer) {
			v.Roots.AddCert(c)
		} else {
			v.Known = append(v.Known, c)
		}
	}
}
