package tlsio

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
	"time"
)

// judgement is a chain on its way through OpenSSL's checks, in their order. nginx has OpenSSL go on after a fault, so
// the last one is what users see, and what ssl_verify_client optional_no_ca goes by.
type judgement struct {
	v      *Verifier
	now    time.Time
	chain  []*x509.Certificate
	peers  int  // how many of the chain, from its beginning, are the peer's
	rooted bool // its end is a root that is trusted
	code   int
}

func (v *Verifier) judge(sent []*x509.Certificate) *judgement {
	j := &judgement{v: v, now: time.Now(), chain: []*x509.Certificate{sent[0]}, peers: 1}
	j.build(sent)
	j.extensions()
	j.digests()
	if len(v.Revoked) > 0 {
		j.revocation()
	}
	if !j.sound() {
		j.signatures()
		j.constraints()
		if j.code == 0 {
			j.fail(unspecified)
		}
	}
	return j
}

// sound reports whether crypto/x509 accepts the chain: what is not accepted there is refused, whatever the checks here
// say. They are for OpenSSL's numbers, and for what only OpenSSL refuses.
func (j *judgement) sound() bool {
	if !j.rooted {
		return false
	}
	usage := x509.ExtKeyUsageClientAuth
	if j.v.Server {
		usage = x509.ExtKeyUsageServerAuth
	}
	o := j.options()
	o.KeyUsages, o.CurrentTime = []x509.ExtKeyUsage{usage}, j.now
	_, err := j.chain[0].Verify(o)
	return err == nil
}

// options have crypto/x509 look at the chain that was built.
func (j *judgement) options() x509.VerifyOptions {
	last := len(j.chain) - 1
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	o.Roots.AddCert(j.chain[last])
	for i := 1; i < last; i++ {
		o.Intermediates.AddCert(j.chain[i])
	}
	return o
}

func (j *judgement) fail(code int) { j.code = code }

func (j *judgement) top() *x509.Certificate { return j.chain[len(j.chain)-1] }

// build looks for issuers: among those trusted first, then among the ones the peer has sent.
func (j *judgement) build(sent []*x509.Certificate) {
	long := j.v.Depth + 1
	for len(j.chain) <= long && !j.rooted {
		cur := j.top()
		if is := j.issuer(cur, j.v.trusted); is != nil {
			if signsItself(cur) { // one that only has the name of a root is none
				if j.rooted = cur.Equal(is); j.rooted {
					j.peers = min(j.peers, len(j.chain)-1)
				}
				break
			}
			j.chain = append(j.chain, is)
			j.rooted = signsItself(is)
			continue
		}
		if j.peers < len(j.chain) || signsItself(cur) {
			break
		}
		is := j.issuer(cur, sent[1:])
		if is == nil {
			break
		}
		j.chain = append(j.chain, is)
		j.peers++
	}
	if j.rooted {
		return
	}
	if len(j.chain) > long {
		j.fail(chainTooLong)
	}
	switch self := signsItself(j.top()); {
	case self && len(j.chain) == 1:
		j.fail(selfSigned)
	case self:
		j.fail(selfSignedInChain)
	case j.peers < len(j.chain):
		j.fail(noIssuer)
	default:
		j.fail(noLocalIssuer)
	}
}

// issuer is the one of all that may have issued c; where several have the name, one that has signed it and is valid now.
func (j *judgement) issuer(c *x509.Certificate, all []*x509.Certificate) (best *x509.Certificate) {
	rank := 0
	for _, is := range all {
		if !issued(is, c) || slices.ContainsFunc(j.chain, is.Equal) && !(len(j.chain) == 1 && is.Equal(c)) {
			continue
		}
		n := 1
		if !j.now.Before(is.NotBefore) && !j.now.After(is.NotAfter) {
			n++
		}
		if best != nil && n >= rank && verifies(is, c) && !verifies(best, c) {
			n++
		}
		if n > rank {
			best, rank = is, n
		}
	}
	return best
}

// issued reports whether is may have issued c, by names and identifiers of keys.
func issued(is, c *x509.Certificate) bool {
	return bytes.Equal(is.RawSubject, c.RawIssuer) && keyIs(c.AuthorityKeyId, is) && signatureKind(c.SignatureAlgorithm) == is.PublicKeyAlgorithm
}

func keyIs(id []byte, c *x509.Certificate) bool {
	return len(id) == 0 || len(c.SubjectKeyId) == 0 || bytes.Equal(id, c.SubjectKeyId)
}

func signsItself(c *x509.Certificate) bool { return issued(c, c) }

func verifies(is, c *x509.Certificate) bool {
	return is.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func signatureKind(a x509.SignatureAlgorithm) x509.PublicKeyAlgorithm {
	switch a {
	case x509.ECDSAWithSHA1, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		return x509.ECDSA
	case x509.PureEd25519:
		return x509.Ed25519
	case x509.DSAWithSHA1, x509.DSAWithSHA256:
		return x509.DSA
	}
	return x509.RSA
}

// extensions looks at what the certificates may be used for.
func (j *judgement) extensions() {
	between := 0 // issuers so far that count for the length of the path
	for i, c := range j.chain {
		if slices.ContainsFunc(c.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool { return !handled[id.String()] }) {
			j.fail(unknownCritical)
		}
		if a := authority(c); i > 0 && (a == notAuthority || a == perhapsAuthority && i+1 < len(j.chain)) {
			j.fail(noAuthority)
		}
		if !j.v.suits(c, i > 0) {
			j.fail(wrongPurpose)
		}
		if i > 1 && c.BasicConstraintsValid && (c.MaxPathLen > 0 || c.MaxPathLenZero) && between > c.MaxPathLen {
			j.fail(pathTooLong)
		}
		if i > 0 && !bytes.Equal(c.RawSubject, c.RawIssuer) {
			between++
		}
	}
}

// handled are critical extensions that OpenSSL knows and crypto/x509 leaves to others.
var handled = map[string]bool{"2.5.29.36": true, "2.5.29.54": true, "2.5.29.33": true, "2.5.29.30": true, "2.16.840.1.113730.1.1": true}

const (
	notAuthority = iota
	isAuthority
	perhapsAuthority // it does not say, but looks like one
)

// authority tells whether a certificate may issue others.
func authority(c *x509.Certificate) int {
	switch {
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return notAuthority
	case c.BasicConstraintsValid:
		if c.IsCA {
			return isAuthority
		}
		return notAuthority
	case c.KeyUsage != 0, c.Version == 1 && signsItself(c):
		return perhapsAuthority
	}
	return notAuthority
}

// suits tells whether a peer of the kind may show the certificate, or one that issuer has issued.
func (v *Verifier) suits(c *x509.Certificate, issuer bool) bool {
	usage, key := x509.ExtKeyUsageClientAuth, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement
	if v.Server {
		usage, key = x509.ExtKeyUsageServerAuth, key|x509.KeyUsageKeyEncipherment
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 && !slices.Contains(c.ExtKeyUsage, usage) {
		return false
	}
	if issuer {
		return authority(c) != notAuthority
	}
	return c.KeyUsage == 0 || c.KeyUsage&key != 0
}

// digests refuses SHA-1 and older below the root, as OpenSSL's second security level does.
func (j *judgement) digests() {
	for _, c := range j.chain[:len(j.chain)-1] {
		switch c.SignatureAlgorithm {
		case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
			j.fail(weakDigest)
		}
	}
}

// signatures looks at signatures and times, from the root down. The end of a chain without a root is not looked at,
// unless it is all there is.
func (j *judgement) signatures() {
	n := len(j.chain) - 1
	by := j.chain[n]
	if !signsItself(by) {
		if n == 0 {
			j.fail(unverifiableLeaf)
		} else {
			n--
		}
	}
	for ; n >= 0; n-- {
		c := j.chain[n]
		if c != by {
			if by.KeyUsage != 0 && by.KeyUsage&x509.KeyUsageCertSign == 0 {
				j.fail(mayNotSign)
			}
			if !verifies(by, c) {
				j.fail(badSignature)
			}
		}
		if j.now.Before(c.NotBefore) {
			j.fail(notYetValid)
		}
		if j.now.After(c.NotAfter) {
			j.fail(expired)
		}
		by = c
	}
}

// constraints looks at the names that issuers may issue for. crypto/x509 does so only with all the rest, for which the
// moment is chosen so that nothing has expired.
func (j *judgement) constraints() {
	if !slices.ContainsFunc(j.chain[1:], constrained) {
		return
	}
	o := j.options()
	o.KeyUsages, o.CurrentTime = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, j.chain[0].NotBefore
	for _, c := range j.chain {
		if o.CurrentTime.Before(c.NotBefore) {
			o.CurrentTime = c.NotBefore
		}
	}
	_, err := j.chain[0].Verify(o)
	bad, ok := err.(x509.CertificateInvalidError)
	switch {
	case err == nil, j.code != 0 && !ok:
	case ok && bad.Reason == x509.CANotAuthorizedForThisName && strings.Contains(bad.Detail, "excluded"):
		j.fail(excluded)
	case ok && bad.Reason != x509.CANotAuthorizedForThisName && j.code != 0:
	default:
		j.fail(notPermitted)
	}
}

var nameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

func constrained(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(nameConstraints) {
			return true
		}
	}
	return false
}
