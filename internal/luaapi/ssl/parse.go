package ssl

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"sync"

	"moongate/internal/tlsio"
)

// Texts of errors, which are those of the OpenSSL functions that OpenResty calls.
const (
	badPEMCert  = "PEM_read_bio_X509_AUX() failed"
	badPEMKey   = "PEM_read_bio_PrivateKey() failed"
	badDERCert  = "d2i_X509_bio() failed"
	badDERKey   = "d2i_PrivateKey_bio() failed"
	badUseCert  = "SSL_use_certificate() failed"
	badUseKey   = "SSL_use_PrivateKey() failed"
	badRequest  = "bad request"
	badContext  = "API disabled in the current context"
	noRequest   = "no request found"
	badArgument = "invalid argument"
)

// pemChain gives the certificates of a PEM text as DER. Unlike pem.Decode it does not pass over what is broken.
func pemChain(text []byte) (ders [][]byte, problem string) {
	bad := func() ([][]byte, string) {
		if ders == nil {
			return nil, badPEMCert
		}
		return nil, "PEM_read_bio_X509() failed"
	}
	for {
		i := bytes.Index(text, []byte("-----BEGIN "))
		if i < 0 {
			break
		}
		text = text[i:]
		line, _, _ := bytes.Cut(text, []byte("\n"))
		line = bytes.TrimSpace(line)
		if kind := string(bytes.TrimSuffix(line[len("-----BEGIN "):], []byte("-----"))); kind != "CERTIFICATE" && kind != "TRUSTED CERTIFICATE" && kind != "X509 CERTIFICATE" {
			text = text[len("-----BEGIN "):]
			continue
		}
		next := len(text)
		if j := bytes.Index(text[1:], []byte("-----BEGIN ")); j >= 0 {
			next = 1 + j
		}
		b, _ := pem.Decode(text[:next])
		if b == nil {
			return bad()
		}
		if _, err := x509.ParseCertificate(b.Bytes); err != nil {
			return bad()
		}
		ders = append(ders, b.Bytes)
		text = text[next:]
	}
	if ders == nil {
		return nil, badPEMCert
	}
	return ders, ""
}

// derChain splits certificates that lie behind each other.
func derChain(der []byte) (chain []*x509.Certificate, ok bool) {
	chain, err := x509.ParseCertificates(der)
	return chain, err == nil && len(chain) > 0
}

func raws(chain []*x509.Certificate) (ders [][]byte) {
	for _, c := range chain {
		ders = append(ders, c.Raw)
	}
	return ders
}

// pemKey gives the secret key of a PEM text as DER, in the form that OpenSSL's i2d_PrivateKey writes.
func pemKey(text, password []byte) (der []byte, problem string) {
	k, err := tlsio.ParseKey(text, [][]byte{password})
	if err != nil {
		return nil, badPEMKey
	}
	if der = keyDER(k); der == nil {
		return nil, "i2d_PrivateKey() failed"
	}
	return der, ""
}

func keyDER(k crypto.PrivateKey) (der []byte) {
	switch k := k.(type) {
	case *rsa.PrivateKey:
		der = x509.MarshalPKCS1PrivateKey(k)
	case *ecdsa.PrivateKey:
		der, _ = x509.MarshalECPrivateKey(k)
	default:
		der, _ = x509.MarshalPKCS8PrivateKey(k)
	}
	return der
}

// parsedKeys keeps the newest keys that Lua has handed over: reading an RSA key costs more than a signature.
var parsedKeys struct {
	sync.Mutex
	m map[[32]byte]crypto.Signer
}

const maxParsedKeys = 256

// derKey reads a secret key.
func derKey(der []byte) crypto.Signer {
	id := sha256.Sum256(der)
	parsedKeys.Lock()
	k := parsedKeys.m[id]
	parsedKeys.Unlock()
	if k != nil {
		return k
	}
	if k = tlsio.ReadKey(der); k == nil {
		return nil
	}
	k = tlsio.FastKey(k)
	parsedKeys.Lock()
	defer parsedKeys.Unlock()
	if parsedKeys.m == nil {
		parsedKeys.m = map[[32]byte]crypto.Signer{}
	}
	for old := range parsedKeys.m {
		if len(parsedKeys.m) < maxParsedKeys {
			break
		}
		delete(parsedKeys.m, old)
	}
	parsedKeys.m[id] = k
	return k
}

// kind tells keys apart as OpenSSL does, which has room for one certificate of each.
func kind(p crypto.PublicKey) int {
	switch p.(type) {
	case *rsa.PublicKey:
		return 1
	case *ecdsa.PublicKey:
		return 2
	case ed25519.PublicKey:
		return 3
	}
	return 0
}

// chosen are the certificates that code has chosen for a handshake, by the kind of key.
type chosen struct {
	cleared bool
	certs   []*tls.Certificate
	key     crypto.Signer // set before its certificate
}

func (h *chosen) setCert(ders [][]byte) (problem string) {
	leaf, err := x509.ParseCertificate(ders[0])
	if err != nil {
		return badUseCert
	}
	t := &tls.Certificate{Certificate: ders, Leaf: leaf}
	if k := h.key; k != nil && samePublic(leaf.PublicKey, k) {
		t.PrivateKey = k
	}
	for i, old := range h.certs {
		if kind(old.Leaf.PublicKey) == kind(leaf.PublicKey) {
			if old.PrivateKey != nil && samePublic(leaf.PublicKey, old.PrivateKey.(crypto.Signer)) {
				t.PrivateKey = old.PrivateKey
			}
			h.certs[i] = t
			return ""
		}
	}
	h.certs = append(h.certs, t)
	return ""
}

func (h *chosen) setKey(k crypto.Signer) (problem string) {
	for i, c := range h.certs {
		if kind(c.Leaf.PublicKey) == kind(k.Public()) {
			if !samePublic(c.Leaf.PublicKey, k) {
				return badUseKey
			}
			with := *c
			with.PrivateKey = k
			h.certs[i] = &with
			return ""
		}
	}
	h.key = k
	return ""
}

func samePublic(p crypto.PublicKey, k crypto.Signer) bool {
	e, ok := k.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && e.Equal(p)
}

// complete are those that have a key.
func (h *chosen) complete() (out []*tls.Certificate) {
	for _, c := range h.certs {
		if c.PrivateKey != nil {
			out = append(out, c)
		}
	}
	return out
}
