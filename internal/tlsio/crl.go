package tlsio

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"
)

// CRL is a list of revoked certificates.
type CRL struct {
	issuer  []byte
	next    time.Time // when there is a newer one; zero: not told
	serials map[string]bool
	signed  func(by *x509.Certificate) error
}

// ParseCRL reads a list in DER, of either version.
func ParseCRL(der []byte) (*CRL, error) {
	c := &CRL{serials: map[string]bool{}}
	if l, err := x509.ParseRevocationList(der); err == nil {
		c.issuer, c.next, c.signed = l.RawIssuer, l.NextUpdate, l.CheckSignatureFrom
		for _, e := range l.RevokedCertificateEntries {
			c.serials[string(e.SerialNumber.Bytes())] = true
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
	c.next = l.TBSCertList.NextUpdate
	//lint:ignore SA1019 as above
	c.signed = func(by *x509.Certificate) error { return by.CheckCRLSignature(l) }
	for _, e := range l.TBSCertList.RevokedCertificates {
		c.serials[string(e.SerialNumber.Bytes())] = true
	}
	return c, nil
}

// revoked looks each certificate but the root up in the lists of its issuer. The last fault counts: OpenSSL goes on after
// the first.
func (v *Verifier) revoked(chain []*x509.Certificate) (code int, text string) {
	for i, c := range chain {
		issuer := c
		if i+1 < len(chain) {
			issuer = chain[i+1]
		} else if len(chain) > 1 {
			break
		}
		found := false
		for _, l := range v.Revoked {
			if !bytes.Equal(l.issuer, c.RawIssuer) || l.signed(issuer) != nil {
				continue
			}
			found = true
			if !l.next.IsZero() && time.Now().After(l.next) {
				code, text = 12, "CRL has expired"
			}
			if l.serials[string(c.SerialNumber.Bytes())] {
				code, text = 23, "certificate revoked"
			}
		}
		if !found {
			code, text = 3, "unable to get certificate CRL"
		}
	}
	return code, text
}
