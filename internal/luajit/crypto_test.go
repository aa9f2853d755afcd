package luajit

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"
)

func keys(t testing.TB) (*rsa.PrivateKey, *ecdsa.PrivateKey) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r, e
}

// TestSigner: what libcrypto signs, Go accepts.
func TestSigner(t *testing.T) {
	if !OpenCrypto() {
		t.Skip("no libcrypto on this machine")
	}
	r, e := keys(t)
	sum := sha256.Sum256([]byte("text"))
	s := NewSigner(r.Public(), x509.MarshalPKCS1PrivateKey(r), true, r.Size())
	sig, err := s.Sign(nil, sum[:], crypto.SHA256)
	if err != nil || rsa.VerifyPKCS1v15(&r.PublicKey, crypto.SHA256, sum[:], sig) != nil {
		t.Errorf("PKCS #1: %v", err)
	}
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	sig, err = s.Sign(nil, sum[:], opts)
	if err != nil || rsa.VerifyPSS(&r.PublicKey, crypto.SHA256, sum[:], sig, opts) != nil {
		t.Errorf("PSS: %v", err)
	}
	der, err := x509.MarshalECPrivateKey(e)
	if err != nil {
		t.Fatal(err)
	}
	s = NewSigner(e.Public(), der, false, 80)
	sig, err = s.Sign(nil, sum[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(&e.PublicKey, sum[:], sig) {
		t.Errorf("ECDSA: %v", err)
	}
}

// TestObjects: what Lua is given is understood when it comes back.
func TestObjects(t *testing.T) {
	r, _ := keys(t)
	der := x509.MarshalPKCS1PrivateKey(r)
	p := NewObject(ObjectKey, der)
	defer FreeObject(ObjectKey, p)
	got, ok := ObjectDER(ObjectKey, p)
	if !ok || len(got) != 1 || !bytes.Equal(got[0], der) {
		t.Errorf("got %d texts, %v", len(got), ok)
	}
	if p := NewObject(ObjectChain, []byte("rubbish")); p != 0 && OpenCrypto() {
		t.Error("rubbish is a certificate")
	}
	if _, ok := ObjectDER(ObjectKey, 0); ok {
		t.Error("nothing is an object")
	}
}

func BenchmarkSign(b *testing.B) {
	r, e := keys(b)
	sum := sha256.Sum256([]byte("text"))
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	der, _ := x509.MarshalECPrivateKey(e)
	for _, c := range []struct {
		name string
		s    crypto.Signer
		o    crypto.SignerOpts
	}{
		{"rsa/go", r, opts}, {"rsa/libcrypto", NewSigner(r.Public(), x509.MarshalPKCS1PrivateKey(r), true, r.Size()), opts},
		{"ecdsa/go", e, crypto.SHA256}, {"ecdsa/libcrypto", NewSigner(e.Public(), der, false, 80), crypto.SHA256},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.s.Sign(rand.Reader, sum[:], c.o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
