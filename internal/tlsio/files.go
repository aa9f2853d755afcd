package tlsio

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// Files are read with these functions by all who have certificates. Their errors are whole sentences of nginx's.

// OpenFault is what OpenSSL says of a file that cannot be opened.
func OpenFault(name string, err error) string {
	var no syscall.Errno
	errors.As(err, &no)
	why := strings.TrimSuffix(no.Error(), "\n")
	if why != "" {
		why = strings.ToUpper(why[:1]) + why[1:]
	}
	tail := " error:10080002:BIO routines::system lib"
	if errors.Is(err, fs.ErrNotExist) {
		tail = " error:10000080:BIO routines::no such file"
	}
	return fmt.Sprintf("error:8%07X:system library::%s:calling fopen(%s, r)%s", int(no), why, name, tail)
}

// Files is where files come from: Full makes a name whole, Read reads. While a configuration loads both are its own
// (conf.Config), for only root may read some files.
type Files struct {
	Full func(name string) string
	Read func(name string) ([]byte, error)
}

// load reads a file, or the text behind "data:".
func load(f Files, name, what string) (shown string, text []byte, err error) {
	if data, ok := strings.CutPrefix(name, "data:"); ok {
		return name, []byte(data), nil
	}
	name = f.Full(name)
	if text, err = f.Read(name); err != nil {
		return name, nil, fmt.Errorf("cannot load %s \"%s\": BIO_new_file() failed (SSL: %s)", what, name, OpenFault(name, err))
	}
	return name, text, nil
}

// LoadPair loads a certificate with those of its issuers, and its key. The names may
// also be "data:" and the text. It blocks.
func LoadPair(f Files, certName, keyName string, passwords [][]byte) (out tls.Certificate, err error) {
	if out, err = LoadCertificate(f, certName); err != nil {
		return out, err
	}
	key, _, err := LoadKey(f, keyName, passwords)
	if err != nil {
		return out, err
	}
	return out, SetKey(f, &out, keyName, key)
}

// LoadCertificate is the first half of LoadPair.
func LoadCertificate(f Files, name string) (out tls.Certificate, err error) {
	shown, text, err := load(f, name, "certificate")
	if err != nil {
		return out, err
	}
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type == "CERTIFICATE" || b.Type == "TRUSTED CERTIFICATE" || b.Type == "X509 CERTIFICATE" {
			out.Certificate = append(out.Certificate, b.Bytes)
		}
	}
	if out.Certificate == nil {
		return out, fmt.Errorf("cannot load certificate \"%s\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE)", shown)
	}
	if out.Leaf, err = x509.ParseCertificate(out.Certificate[0]); err != nil {
		return out, fmt.Errorf("cannot load certificate \"%s\": PEM_read_bio_X509_AUX() failed (SSL: %w)", shown, err)
	}
	return out, nil
}

// LoadKey loads a secret key; secret says that a password was needed.
func LoadKey(f Files, name string, passwords [][]byte) (key crypto.PrivateKey, secret bool, err error) {
	shown, text, err := load(f, name, "certificate key")
	if err != nil {
		return nil, false, err
	}
	if key, err = ParseKey(text, passwords); err != nil {
		return nil, false, fmt.Errorf("cannot load certificate key \"%s\": PEM_read_bio_PrivateKey() failed (SSL: %w)", shown, err)
	}
	return key, bytes.Contains(text, []byte("ENCRYPTED")), nil
}

// SetKey makes key that of a certificate, if it is.
func SetKey(f Files, c *tls.Certificate, name string, key crypto.PrivateKey) error {
	pub, ok := key.(crypto.Signer).Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(c.Leaf.PublicKey) {
		if !strings.HasPrefix(name, "data:") {
			name = f.Full(name)
		}
		return fmt.Errorf("SSL_CTX_use_PrivateKey(\"%s\") failed (SSL: error:05800074:x509 certificate routines::key values mismatch)", name)
	}
	c.PrivateKey = key
	return nil
}

var errNoKey = errors.New("error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM")

// ParseKey finds the first secret key of a PEM text.
func ParseKey(text []byte, passwords [][]byte) (crypto.PrivateKey, error) {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return nil, errNoKey
		}
		if b.Type != "PRIVATE KEY" && !strings.HasSuffix(b.Type, " PRIVATE KEY") {
			continue
		}
		return openKey(b, passwords)
	}
}

// ReadKey reads a secret key in any of its forms; nil when it is none that is known.
func ReadKey(der []byte) crypto.Signer {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		switch k := k.(type) {
		case *rsa.PrivateKey:
			return k
		case *ecdsa.PrivateKey:
			return k
		case ed25519.PrivateKey:
			return k
		}
		return nil
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k
	}
	return nil
}

// Passwords are the lines of a password file that are not empty.
func Passwords(text []byte) (out [][]byte) {
	for l := range bytes.SplitSeq(text, []byte("\n")) {
		if l = bytes.TrimSuffix(l, []byte("\r")); len(l) > 0 {
			out = append(out, l)
		}
	}
	return out
}

// TrustFile adds the certificates of a file; also, when not nil, is given its text.
func (v *Verifier) TrustFile(f Files, name string, also *x509.CertPool) error {
	text, err := f.Read(name)
	if err != nil {
		return fmt.Errorf("SSL_CTX_load_verify_locations(\"%s\") failed (SSL: %s error:05880002:x509 certificate routines::system lib)", name, OpenFault(name, err))
	}
	if !v.Trust(text) {
		return fmt.Errorf("SSL_CTX_load_verify_locations(\"%s\") failed (SSL: error:05800088:x509 certificate routines::no certificate or crl found)", name)
	}
	if also != nil {
		also.AppendCertsFromPEM(text)
	}
	return nil
}

// RevokedFile adds the lists of revoked certificates of a file.
func (v *Verifier) RevokedFile(f Files, name string) error {
	text, err := f.Read(name)
	if err != nil {
		return fmt.Errorf("X509_LOOKUP_load_file(\"%s\") failed (SSL: %s error:05880002:x509 certificate routines::system lib)", name, OpenFault(name, err))
	}
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		if l, err := ParseCRL(b.Bytes); err == nil && b.Type == "X509 CRL" {
			v.Revoked = append(v.Revoked, l)
		}
	}
	if v.Revoked == nil {
		return fmt.Errorf("X509_LOOKUP_load_file(\"%s\") failed (SSL: error:05800088:x509 certificate routines::no certificate or crl found)", name)
	}
	return nil
}
