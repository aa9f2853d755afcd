package tlsio

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"moongate/internal/testkit/cert"
)

type change = func(*x509.Certificate)

func past(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
}
func future(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }
func key(u x509.KeyUsage) change { return func(c *x509.Certificate) { c.KeyUsage = u } }
func usage(u ...x509.ExtKeyUsage) change {
	return func(c *x509.Certificate) { c.ExtKeyUsage = u }
}
func plain(c *x509.Certificate) { c.IsCA = false }

// TestFaults has the numbers that nginx with OpenSSL 3.0 gives of the same chains.
func TestFaults(t *testing.T) {
	root, other := cert.Authority(t, nil, "root"), cert.Authority(t, nil, "other")
	inter := cert.Authority(t, root, "inter")
	inter2 := cert.Authority(t, inter, "inter2")
	issue := func(by *cert.Pair, c ...change) *cert.Pair { return cert.Issue(t, by, "leaf", c...) }
	self := issue(nil)
	fake := cert.Authority(t, nil, "root", func(c *x509.Certificate) { c.SubjectKeyId = root.Cert.SubjectKeyId })
	oldInter := cert.Authority(t, root, "old", past)
	noCA := cert.Authority(t, root, "noca", plain)
	noSign := cert.Authority(t, root, "nosign", key(x509.KeyUsageCRLSign))
	short := cert.Authority(t, root, "short", func(c *x509.Certificate) { c.MaxPathLenZero = true })
	below := cert.Authority(t, short, "below")
	servers := cert.Authority(t, root, "servers", usage(x509.ExtKeyUsageServerAuth))
	named := cert.Authority(t, root, "named", func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"ok.test"}, true
	})
	oldRoot := cert.Authority(t, nil, "oldroot", past)
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 9}, Critical: true, Value: []byte{5, 0}}}
	}
	dns := func(n string) change { return func(c *x509.Certificate) { c.DNSNames = []string{n} } }
	one := []*cert.Pair{root}
	for _, c := range []struct {
		name   string
		trust  []*cert.Pair
		depth  int
		server bool
		sent   []*cert.Pair
		want   int
	}{
		{"good", one, 0, false, []*cert.Pair{issue(root)}, 0},
		{"good of two", []*cert.Pair{other, root}, 1, false, []*cert.Pair{issue(root)}, 0},
		{"in between", one, 1, false, []*cert.Pair{issue(inter), inter}, 0},
		{"with the root", one, 1, false, []*cert.Pair{issue(inter), inter, root}, 0},
		{"in disorder", one, 2, false, []*cert.Pair{issue(inter2), root, inter, inter2}, 0},
		{"known in between", []*cert.Pair{root, inter}, 1, false, []*cert.Pair{issue(inter)}, 0},
		{"too deep", one, 0, false, []*cert.Pair{issue(inter), inter}, noLocalIssuer},
		{"far too deep", one, 1, false, []*cert.Pair{issue(inter2), inter2, inter}, noLocalIssuer},
		{"only in between is trusted", []*cert.Pair{inter}, 1, false, []*cert.Pair{issue(inter)}, noIssuer},
		{"nobody is trusted", nil, 1, false, []*cert.Pair{issue(root)}, unverifiableLeaf},
		{"missing in between", one, 1, false, []*cert.Pair{issue(inter)}, unverifiableLeaf},
		{"other authority", one, 1, false, []*cert.Pair{issue(other)}, unverifiableLeaf},
		{"other authority, sent along", one, 1, false, []*cert.Pair{issue(other), other}, selfSignedInChain},
		{"self-signed", one, 1, false, []*cert.Pair{self}, selfSigned},
		{"self-signed and trusted", []*cert.Pair{self}, 1, false, []*cert.Pair{self}, 0},
		{"trusted, but no root", []*cert.Pair{inter2}, 1, false, []*cert.Pair{inter2}, unverifiableLeaf},
		{"the name of an authority", one, 1, false, []*cert.Pair{issue(fake)}, badSignature},
		{"the name of an authority, sent along", one, 1, false, []*cert.Pair{issue(fake), fake}, badSignature},
		{"expired", one, 1, false, []*cert.Pair{issue(root, past)}, expired},
		{"expired, other authority", one, 1, false, []*cert.Pair{issue(other, past)}, expired},
		{"not yet valid", one, 1, false, []*cert.Pair{issue(root, future)}, notYetValid},
		{"expired in between", one, 1, false, []*cert.Pair{issue(oldInter), oldInter}, expired},
		{"expired root", []*cert.Pair{oldRoot}, 1, false, []*cert.Pair{issue(oldRoot)}, expired},
		{"for servers", one, 1, false, []*cert.Pair{issue(root, usage(x509.ExtKeyUsageServerAuth))}, wrongPurpose},
		{"for clients", one, 1, false, []*cert.Pair{issue(root, usage(x509.ExtKeyUsageClientAuth))}, 0},
		{"for anything", one, 1, false, []*cert.Pair{issue(root, usage(x509.ExtKeyUsageAny))}, wrongPurpose},
		{"for servers, other authority", one, 1, false, []*cert.Pair{issue(other, usage(x509.ExtKeyUsageServerAuth)), other}, wrongPurpose},
		{"key that encrypts", one, 1, false, []*cert.Pair{issue(root, key(x509.KeyUsageKeyEncipherment))}, wrongPurpose},
		{"key that signs certificates", one, 1, false, []*cert.Pair{issue(root, key(x509.KeyUsageCertSign))}, wrongPurpose},
		{"key that agrees", one, 1, false, []*cert.Pair{issue(root, key(x509.KeyUsageKeyAgreement))}, 0},
		{"key for anything", one, 1, false, []*cert.Pair{issue(root, key(0))}, 0},
		{"server: key that encrypts", one, 1, true, []*cert.Pair{issue(root, key(x509.KeyUsageKeyEncipherment))}, 0},
		{"server: key that signs certificates", one, 1, true, []*cert.Pair{issue(root, key(x509.KeyUsageCertSign))}, wrongPurpose},
		{"server: for clients", one, 1, true, []*cert.Pair{issue(root, usage(x509.ExtKeyUsageClientAuth))}, wrongPurpose},
		{"issuer for servers", one, 1, false, []*cert.Pair{issue(servers), servers}, wrongPurpose},
		{"issuer is none", one, 1, false, []*cert.Pair{issue(noCA), noCA}, wrongPurpose},
		{"issuer must not sign", one, 1, false, []*cert.Pair{issue(noSign), noSign}, mayNotSign},
		{"too long a path", one, 2, false, []*cert.Pair{issue(below), below, short}, pathTooLong},
		{"unknown and critical", one, 1, false, []*cert.Pair{issue(root, critical)}, unknownCritical},
		{"name that the issuer has not", one, 1, false, []*cert.Pair{issue(named, dns("bad.test")), named}, notPermitted},
		{"name that the issuer has", one, 1, false, []*cert.Pair{issue(named, dns("a.ok.test")), named}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &Verifier{Depth: c.depth, Server: c.server}
			for _, p := range c.trust {
				v.Add(p.Cert)
			}
			var sent []*x509.Certificate
			for _, p := range c.sent {
				sent = append(sent, p.Cert)
			}
			code, text := v.Check(sent)
			if code != c.want || code != 0 && text != FaultText(code) {
				t.Errorf("%d %s, want %d", code, text, c.want)
			}
			if code == 0 && v.Chain(sent) == nil {
				t.Error("no chain")
			}
		})
	}
}

func TestRevocation(t *testing.T) {
	root := cert.Authority(t, nil, "root")
	inter := cert.Authority(t, root, "inter")
	leaf, gone, under := cert.Issue(t, root, "leaf"), cert.Issue(t, root, "gone"), cert.Issue(t, inter, "under")
	list := func(by *cert.Pair, from, to time.Duration, change ...func(*x509.RevocationList)) *CRL {
		l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(from), NextUpdate: time.Now().Add(to),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: gone.Cert.SerialNumber, RevocationTime: time.Now()}}}
		for _, f := range change {
			f(l)
		}
		der, err := x509.CreateRevocationList(rand.Reader, l, by.Cert, by.Key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseCRL(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	extra := func(id asn1.ObjectIdentifier, v string) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: id, Critical: true, Value: []byte(v)}}
		}
	}
	const h = time.Hour
	now, old, next := list(root, -h, h), list(root, -3*h, -h), list(root, h, 2*h)
	forged := *now
	forged.signed = list(cert.Authority(t, nil, "root"), -h, h).signed
	users := list(root, -h, h, extra(distribution, "\x30\x03\x81\x01\xff"))
	placed := list(root, -h, h, extra(distribution, "\x30\x0d\xa0\x0b\xa0\x09\x86\x07http://"))
	delta := list(root, -h, h, extra(deltaIndicator, "\x02\x01\x01"))
	unknown := list(root, -h, h, extra(asn1.ObjectIdentifier{1, 2, 3}, "\x05\x00"))
	for _, c := range []struct {
		name  string
		lists []*CRL
		sent  []*cert.Pair
		want  int
	}{
		{"not revoked", []*CRL{now}, []*cert.Pair{leaf}, 0},
		{"revoked", []*CRL{now}, []*cert.Pair{gone}, revoked},
		{"expired", []*CRL{old}, []*cert.Pair{leaf}, crlExpired},
		{"expired beside one that is not", []*CRL{old, now}, []*cert.Pair{leaf}, 0},
		{"the other way round", []*CRL{now, old}, []*cert.Pair{gone}, revoked},
		{"not yet valid", []*CRL{next}, []*cert.Pair{leaf}, crlNotYetValid},
		{"forged", []*CRL{&forged}, []*cert.Pair{leaf}, badCRLSignature},
		{"none for the one in between", []*CRL{now}, []*cert.Pair{under, inter}, noCRL},
		{"one for each", []*CRL{now, list(inter, -h, h)}, []*cert.Pair{under, inter}, 0},
		{"none", []*CRL{list(inter, -h, h)}, []*cert.Pair{leaf}, noCRL},
		{"for users only", []*CRL{users}, []*cert.Pair{leaf}, noCRL}, // the root is none
		{"of another place", []*CRL{placed}, []*cert.Pair{leaf}, noCRL},
		{"only changes", []*CRL{delta}, []*cert.Pair{leaf}, noCRL},
		{"unknown part", []*CRL{unknown}, []*cert.Pair{leaf}, unknownCRLPart},
	} {
		v := &Verifier{Depth: 3, Revoked: c.lists}
		v.Add(root.Cert)
		var sent []*x509.Certificate
		for _, p := range c.sent {
			sent = append(sent, p.Cert)
		}
		if code, text := v.Check(sent); code != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, code, text, c.want)
		}
	}
}
