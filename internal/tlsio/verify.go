package tlsio

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"strings"
)

// Verifier judges the chain of a client or, with Server, of a server.
type Verifier struct {
	Revoked []*CRL
	Depth   int // how many certificates may stand between the peer's and a root
	Server  bool

	trusted []*x509.Certificate // only those that are self-signed end a chain
}

// Check returns OpenSSL's number and words of what is wrong, 0 for nothing. The chain is not empty.
func (v *Verifier) Check(chain []*x509.Certificate) (code int, text string) {
	code = v.judge(chain).code
	if code == 0 {
		return 0, ""
	}
	return code, FaultText(code)
}

// Chain is the way from a peer's certificate to a root that is trusted; nil when there is none.
func (v *Verifier) Chain(chain []*x509.Certificate) []*x509.Certificate {
	if j := v.judge(chain); j.rooted {
		return j.chain
	}
	return nil
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

// Numbers of OpenSSL for what is wrong with a certificate.
const (
	unspecified       = 1
	noIssuer          = 2
	noCRL             = 3
	badSignature      = 7
	badCRLSignature   = 8
	notYetValid       = 9
	expired           = 10
	crlNotYetValid    = 11
	crlExpired        = 12
	selfSigned        = 18
	selfSignedInChain = 19
	noLocalIssuer     = 20
	unverifiableLeaf  = 21
	chainTooLong      = 22
	revoked           = 23
	pathTooLong       = 25
	wrongPurpose      = 26
	mayNotSign        = 32
	noCRLIssuer       = 33
	unknownCritical   = 34
	mayNotSignCRL     = 35
	unknownCRLPart    = 36
	otherCRLScope     = 44
	notPermitted      = 47
	excluded          = 48
	weakDigest        = 68
	noAuthority       = 79
)

var faultTexts = map[int]string{0: "ok", unspecified: "unspecified certificate verification error", noIssuer: "unable to get issuer certificate", noCRL: "unable to get certificate CRL",
	badSignature: "certificate signature failure", badCRLSignature: "CRL signature failure", notYetValid: "certificate is not yet valid", expired: "certificate has expired",
	crlNotYetValid: "CRL is not yet valid", crlExpired: "CRL has expired", selfSigned: "self-signed certificate",
	selfSignedInChain: "self-signed certificate in certificate chain", noLocalIssuer: "unable to get local issuer certificate", unverifiableLeaf: "unable to verify the first certificate",
	chainTooLong: "certificate chain too long", revoked: "certificate revoked", 24: "issuer certificate doesn't have a public key", pathTooLong: "path length constraint exceeded",
	wrongPurpose: "unsuitable certificate purpose", 27: "certificate not trusted", 28: "certificate rejected", mayNotSign: "key usage does not include certificate signing",
	noCRLIssuer: "unable to get CRL issuer certificate", unknownCritical: "unhandled critical extension", mayNotSignCRL: "key usage does not include CRL signing",
	unknownCRLPart: "unhandled critical CRL extension", otherCRLScope: "different CRL scope", notPermitted: "permitted subtree violation", excluded: "excluded subtree violation",
	50: "application verification failure", 62: "hostname mismatch", weakDigest: "CA signature digest algorithm too weak", noAuthority: "invalid CA certificate"}

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
func (v *Verifier) Add(c *x509.Certificate) { v.trusted = append(v.trusted, c) }

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
