package tlsio

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"time"
)

// CRL is a list of revoked certificates.
type CRL struct {
	issuer, key []byte    // who has made it, and the identifier of the key
	this, next  time.Time // from when, and until when there is a newer one; zero: not told
	serials     map[string]bool
	signed      func(by *x509.Certificate) bool
	critical    bool // it has a part that is critical and not known
	partial     bool // it has changes only, or not all that its issuer has revoked
	users       bool // only certificates of users
	authorities bool // only certificates of authorities
	places      []string
}

// removed is the reason of an entry that takes back another one.
const removed = 8

// ParseCRL reads a list in DER, of either version.
func ParseCRL(der []byte) (*CRL, error) {
	c := &CRL{serials: map[string]bool{}}
	if l, err := x509.ParseRevocationList(der); err == nil {
		c.issuer, c.key, c.this, c.next = l.RawIssuer, l.AuthorityKeyId, l.ThisUpdate, l.NextUpdate
		c.signed = func(by *x509.Certificate) bool {
			return by.CheckSignature(l.SignatureAlgorithm, l.RawTBSRevocationList, l.Signature) == nil
		}
		for _, e := range l.RevokedCertificateEntries {
			if e.ReasonCode != removed {
				c.serials[string(e.SerialNumber.Bytes())] = true
			}
		}
		for _, e := range l.Extensions {
			c.extension(e)
		}
		return c, nil
	}
	//lint:ignore SA1019 OpenSSL's tools make lists of version 1, which the newer function does not know
	l, err := x509.ParseDERCRL(der)
	if err != nil {
		return nil, err
	}
	var head struct { // what comes first in the signed part; more follows
		Version   int `asn1:"optional,default:0"`
		Signature pkix.AlgorithmIdentifier
		Issuer    asn1.RawValue
	}
	if _, err := asn1.Unmarshal(l.TBSCertList.Raw, &head); err != nil {
		return nil, err
	}
	c.issuer = head.Issuer.FullBytes
	c.this, c.next = l.TBSCertList.ThisUpdate, l.TBSCertList.NextUpdate
	//lint:ignore SA1019 as above
	c.signed = func(by *x509.Certificate) bool { return by.CheckCRLSignature(l) == nil }
	for _, e := range l.TBSCertList.RevokedCertificates {
		c.serials[string(e.SerialNumber.Bytes())] = true
	}
	for _, e := range l.TBSCertList.Extensions {
		c.extension(e)
	}
	return c, nil
}

// Extensions of lists (RFC 5280, 5.2).
var (
	deltaIndicator = asn1.ObjectIdentifier{2, 5, 29, 27}
	distribution   = asn1.ObjectIdentifier{2, 5, 29, 28}
	authorityKey   = asn1.ObjectIdentifier{2, 5, 29, 35}
	listNumber     = asn1.ObjectIdentifier{2, 5, 29, 20}
)

func (c *CRL) extension(e pkix.Extension) {
	switch {
	case e.Id.Equal(deltaIndicator):
		c.partial = true
	case e.Id.Equal(distribution):
		c.scope(e.Value)
	case e.Critical && !e.Id.Equal(authorityKey) && !e.Id.Equal(listNumber):
		c.critical = true
	}
}

// scope reads for which certificates the list is.
func (c *CRL) scope(der []byte) {
	var p struct {
		Place struct {
			Names asn1.RawValue `asn1:"optional,tag:0"`
		} `asn1:"optional,tag:0"`
		Users       bool           `asn1:"optional,tag:1"`
		Authorities bool           `asn1:"optional,tag:2"`
		Reasons     asn1.BitString `asn1:"optional,tag:3"`
		Indirect    bool           `asn1:"optional,tag:4"`
		Attributes  bool           `asn1:"optional,tag:5"`
	}
	if _, err := asn1.Unmarshal(der, &p); err != nil {
		c.partial = true
		return
	}
	c.users, c.authorities = p.Users, p.Authorities
	c.partial = c.partial || p.Reasons.BitLength > 0 || p.Indirect || p.Attributes
	for rest := p.Place.Names.Bytes; len(rest) > 0; {
		var name asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &name); err != nil {
			return
		}
		c.places = append(c.places, string(name.Bytes))
	}
}

// covers reports whether a certificate would be in the list, had it been revoked.
func (c *CRL) covers(cert *x509.Certificate) bool {
	if cert.IsCA && c.users || !cert.IsCA && c.authorities {
		return false
	}
	return c.places == nil || slices.ContainsFunc(cert.CRLDistributionPoints, func(p string) bool { return slices.Contains(c.places, p) })
}

// valid gives OpenSSL's number of what is wrong with the times of the list.
func (c *CRL) valid(now time.Time) int {
	switch {
	case !c.next.IsZero() && now.After(c.next):
		return crlExpired
	case now.Before(c.this):
		return crlNotYetValid
	}
	return 0
}

// list is the best one for a certificate: without unknown parts, for such certificates, of now, and then the newest.
func (j *judgement) list(c, issuer *x509.Certificate) (best *CRL) {
	top := 0
	for _, l := range j.v.Revoked {
		if l.partial || !bytes.Equal(l.issuer, c.RawIssuer) || !keyIs(l.key, issuer) {
			continue
		}
		n := 1
		if !l.critical {
			n += 8
		}
		if l.covers(c) {
			n += 4
		}
		if l.valid(j.now) == 0 {
			n += 2
		}
		if n > top || n == top && l.this.After(best.this) {
			best, top = l, n
		}
	}
	return best
}

// revocation looks each certificate up in a list of its issuer.
func (j *judgement) revocation() {
	for i, c := range j.chain {
		issuer := c
		if i+1 < len(j.chain) {
			issuer = j.chain[i+1]
		}
		l := j.list(c, issuer)
		if l == nil {
			j.fail(noCRL)
			continue
		}
		if i+1 == len(j.chain) && !signsItself(issuer) {
			j.fail(noCRLIssuer)
		}
		if issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
			j.fail(mayNotSignCRL)
		}
		if !l.covers(c) {
			j.fail(otherCRLScope)
		}
		if code := l.valid(j.now); code != 0 {
			j.fail(code)
		}
		if !l.signed(issuer) {
			j.fail(badCRLSignature)
		}
		if l.critical {
			j.fail(unknownCRLPart)
		}
		if l.serials[string(c.SerialNumber.Bytes())] {
			j.fail(revoked)
		}
		if !l.covers(c) {
			j.fail(noCRL)
		}
	}
}
