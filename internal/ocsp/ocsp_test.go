package ocsp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

type holder struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func issue(t *testing.T, by *holder, name string, serial int64, use ...x509.ExtKeyUsage) *holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: by == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: use}
	parent, signer := c, crypto.Signer(key)
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &holder{cert, key}
}

func respond(t *testing.T, issuer, signer *holder, serial int64, status int, embed bool) []byte {
	t.Helper()
	r := ocsp.Response{Status: status, SerialNumber: big.NewInt(serial), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour), RevokedAt: time.Now()}
	if embed {
		r.Certificate = signer.cert
	}
	b, err := ocsp.CreateResponse(issuer.cert, signer.cert, r, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestJudge(t *testing.T) {
	ca := issue(t, nil, "CA", 1)
	other := issue(t, nil, "Other", 2)
	leaf := issue(t, ca, "leaf", 3)
	deputy := issue(t, ca, "deputy", 4, x509.ExtKeyUsageOCSPSigning)
	server := issue(t, ca, "server", 5, x509.ExtKeyUsageServerAuth)
	for _, c := range []struct {
		name   string
		resp   []byte
		strict bool
		status Status
		err    error
	}{
		{"good", respond(t, ca, ca, 3, ocsp.Good, false), true, Good, nil},
		{"good, the issuer's certificate in it", respond(t, ca, ca, 3, ocsp.Good, true), true, Good, nil},
		{"revoked", respond(t, ca, ca, 3, ocsp.Revoked, false), true, Revoked, nil},
		{"unknown", respond(t, ca, ca, 3, ocsp.Unknown, false), true, Unknown, nil},
		{"of a deputy", respond(t, ca, deputy, 3, ocsp.Good, true), true, Good, nil},
		{"of one who is not entitled", respond(t, ca, server, 3, ocsp.Good, true), true, 0, ErrSignature},
		{"of a stranger", respond(t, ca, other, 3, ocsp.Good, true), true, 0, ErrSignature},
		{"of a stranger, not strict", respond(t, ca, other, 3, ocsp.Good, true), false, Good, nil},
		{"of a stranger, unnamed", respond(t, ca, other, 3, ocsp.Good, false), false, 0, ErrSignature},
		{"about another", respond(t, ca, ca, 9, ocsp.Good, false), true, 0, ErrNotFound},
		{"refused", ocsp.TryLaterErrorResponse, true, 0, Refused(3)},
		{"rubbish", []byte("rubbish"), true, 0, ErrFormat},
		{"nothing", nil, true, 0, ErrFormat},
	} {
		a, err := Judge(c.resp, leaf.cert, ca.cert, c.strict)
		switch {
		case !errors.Is(err, c.err):
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		case err == nil && (a.Status != c.status || !a.Fresh(time.Now()) || a.Fresh(time.Now().Add(2*time.Hour))):
			t.Errorf("%s: %+v", c.name, a)
		}
	}
	if got := Refused(3).Error(); got != "OCSP response not successful (3: trylater)" {
		t.Error(got)
	}
}

func TestParseURL(t *testing.T) {
	for url, want := range map[string]Responder{
		"http://a":            {"a", "80", "/"},
		"http://a:8080/b/c":   {"a", "8080", "/b/c"},
		"http://[::1]:81/":    {"::1", "81", "/"},
		"http://127.0.0.1/x/": {"127.0.0.1", "80", "/x/"},
	} {
		if got, err := ParseURL(url); err != nil || got != want {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
	}
	for _, bad := range []string{"https://a", "a", "http://", "http:///x"} {
		if _, err := ParseURL(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestBody(t *testing.T) {
	for text, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nA: b\r\n\r\nx\r\n\r\ny": "x\r\n\r\ny",
		"HTTP/1.0 200 OK\n\nx":                      "x",
	} {
		if got, err := body([]byte(text)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 404 Not Found\r\n\r\nx", "FOO 200\r\n\r\nx", "HTTP/1.1\r\n\r\nx"} {
		if _, err := body([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestAsk: the request is a GET whose path is the request in base64.
func TestAsk(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lines := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		b := make([]byte, 1000)
		n, _ := c.Read(b)
		lines <- string(b[:n])
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nanswer")
		c.Close()
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	r, err := ParseURL("http://responder.example:" + port + "/ocsp")
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Ask(netip.MustParseAddr("127.0.0.1"), []byte{0xff, 0xff, 0xfe, 1}, 10*time.Second)
	if err != nil || string(got) != "answer" {
		t.Errorf("%q, %v", got, err)
	}
	if line := <-lines; !strings.HasPrefix(line, "GET /ocsp/%2F%2F%2F%2BAQ%3D%3D HTTP/1.0\r\nHost: responder.example:"+port+"\r\n") {
		t.Errorf("%q", line)
	}
}
