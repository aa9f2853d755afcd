// Package cert makes certificates for tests: elliptic keys, good for an hour, issued by authorities of the test's own or by
// themselves. It knows nothing of servers; what a test wants otherwise it changes before the certificate is signed.
package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Pair is a certificate and its key.
type Pair struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// Issue makes a key and a certificate with the name as subject and as the only DNS name. by signs it; nil stands for the
// key itself. Each of change may alter the certificate before.
func Issue(t testing.TB, by *Pair, name string, change ...func(*x509.Certificate)) *Pair {
	t.Helper()
	return For(t, NewKey(t), by, name, change...)
}

// For is Issue with a key that exists.
func For(t testing.TB, key crypto.Signer, by *Pair, name string, change ...func(*x509.Certificate)) *Pair {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(0x1000)),
		Subject:      pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for _, f := range change {
		f(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.Cert, by.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Pair{Cert: out, Key: key}
}

// Authority is Issue for one that signs certificates and revocation lists.
func Authority(t testing.TB, by *Pair, name string, change ...func(*x509.Certificate)) *Pair {
	t.Helper()
	ca := func(c *x509.Certificate) {
		c.DNSNames, c.IsCA, c.BasicConstraintsValid = nil, true, true
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	}
	return Issue(t, by, name, append([]func(*x509.Certificate){ca}, change...)...)
}

// NewKey makes a key on P-256.
func NewKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// NewRSA makes an RSA key of 2048 bits.
func NewRSA(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Chain is the certificates as PEM, as a file of a certificate and its issuers has them.
func Chain(pairs ...*Pair) []byte {
	var b bytes.Buffer
	for _, p := range pairs {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: p.Cert.Raw})
	}
	return b.Bytes()
}

// KeyPEM is a key in PKCS #8.
func KeyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Revoked is the revocation list of an authority, as PEM, with the pairs on it.
func Revoked(t testing.TB, by *Pair, pairs ...*Pair) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, p := range pairs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: p.Cert.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, by.Cert, by.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// Write puts the certificate into dir/name.pem, followed by those of issuers, and the key into dir/name.key.
func (p *Pair) Write(t testing.TB, dir, name string, issuers ...*Pair) {
	t.Helper()
	WriteFile(t, dir, name+".pem", Chain(append([]*Pair{p}, issuers...)...))
	WriteFile(t, dir, name+".key", KeyPEM(t, p.Key))
}

// WriteFile writes a file that only its owner may read.
func WriteFile(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TLS is the pair as crypto/tls takes it; the certificates of issuers are sent along.
func (p *Pair) TLS(issuers ...*Pair) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{p.Cert.Raw}, PrivateKey: p.Key, Leaf: p.Cert}
	for _, i := range issuers {
		c.Certificate = append(c.Certificate, i.Cert.Raw)
	}
	return c
}
