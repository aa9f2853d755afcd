package tlsio

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"strings"
	"time"
)

// Verifier judges the chain of a client or, with Server, of a server.
type Verifier struct {
	Roots *x509.CertPool // self-signed
	// Known are certificates of issuers that are no roots: as for OpenSSL, a chain has to reach a root.
	Known   []*x509.Certificate
	Revoked []*CRL
	Depth   int // how many certificates may stand between the peer's and a root
	Server  bool
}

// Check returns OpenSSL's number and words of the first fault, 0 for none. The chain is not empty.
func (v *Verifier) Check(chain []*x509.Certificate) (code int, text string) {
	best, err := v.best(chain)
	if err != nil {
		return fault(chain, err)
	}
	if len(best)-2 > v.Depth {
		return 22, "certificate chain too long"
	}
	if len(v.Revoked) > 0 {
		return v.revoked(best)
	}
	return 0, ""
}

// Chain is the way from a peer's certificate to a root that is trusted; nil when there is none.
func (v *Verifier) Chain(chain []*x509.Certificate) []*x509.Certificate {
	best, _ := v.best(chain)
	return best
}

// best is the shortest way to a root.
func (v *Verifier) best(chain []*x509.Certificate) ([]*x509.Certificate, error) {
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
		return nil, err
	}
	best := chains[0]
	for _, ch := range chains[1:] {
		if len(ch) < len(best) {
			best = ch
		}
	}
	return best, nil
}

// Optional reports whether ssl_verify_client optional_no_ca lets the fault pass: the issuer is not known.
func Optional(code int) bool { return code >= 18 && code <= 21 || code == 27 }

// FaultText is OpenSSL's words for its number of a fault.
func FaultText(code int) string {
	if t, ok := faultTexts[code]; ok {
		return t
	}
	return "unknown certificate verification error"
}

var faultTexts = map[int]string{0: "ok", 1: "unspecified certificate verification error", 2: "unable to get issuer certificate", 3: "unable to get certificate CRL",
	7: "certificate signature failure", 9: "certificate is not yet valid", 10: "certificate has expired", 12: "CRL has expired", 18: "self-signed certificate",
	19: "self-signed certificate in certificate chain", 20: "unable to get local issuer certificate", 21: "unable to verify the first certificate",
	22: "certificate chain too long", 23: "certificate revoked", 24: "invalid CA certificate", 25: "path length constraint exceeded", 26: "unsuitable certificate purpose",
	27: "certificate not trusted", 28: "certificate rejected", 50: "application verification failure", 62: "hostname mismatch", 79: "invalid CA certificate"}

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

// Trust adds the certificates of a PEM text; it reports whether there are any.
func (v *Verifier) Trust(text []byte) bool {
	all := Certificates(text)
	for _, c := range all {
		v.Add(c)
	}
	return len(all) > 0
}

// Certificates are those of a PEM text that can be read.
func Certificates(text []byte) (all []*x509.Certificate) {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return all
		}
		if c, err := x509.ParseCertificate(b.Bytes); err == nil {
			all = append(all, c)
		}
	}
}

// Add makes a certificate one that is trusted.
func (v *Verifier) Add(c *x509.Certificate) {
	if bytes.Equal(c.RawSubject, c.RawIssuer) {
		v.Roots.AddCert(c)
	} else {
		v.Known = append(v.Known, c)
	}
}

// HasName reports whether a certificate is one for host, as OpenSSL's X509_check_host does: by the names of its
// extension or, without any, by its subject's.
func HasName(c *x509.Certificate, host string) bool {
	if host == "" {
		return false
	}
	names := c.DNSNames
	if len(names) == 0 {
		names = nil
		for _, a := range c.Subject.Names {
			if cn, ok := a.Value.(string); ok && a.Type.Equal(commonName) {
				names = append(names, cn)
			}
		}
	}
	for _, n := range names {
		if matches(n, host) {
			return true
		}
	}
	return false
}

var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// matches compares without case; the first label of a pattern may be, or have, one asterisk for a part of a label.
func matches(pattern, host string) bool {
	if strings.EqualFold(pattern, host) {
		return pattern != ""
	}
	label, rest, ok := strings.Cut(pattern, ".")
	first, tail, ok2 := strings.Cut(host, ".")
	before, after, star := strings.Cut(label, "*")
	if !ok || !ok2 || !star || !strings.Contains(rest, ".") || strings.Contains(rest, "*") || strings.Contains(after, "*") || !strings.EqualFold(rest, tail) {
		return false
	}
	if before+after != "" && (strings.HasPrefix(strings.ToLower(label), "xn--") || strings.HasPrefix(strings.ToLower(first), "xn--")) {
		return false
	}
	return len(first) > len(before)+len(after) && strings.EqualFold(first[:len(before)], before) && strings.EqualFold(first[len(first)-len(after):], after)
}
