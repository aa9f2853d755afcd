package ocsp

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"moongate/internal/testkit/cert"
)

func respond(t *testing.T, issuer, signer, about *cert.Pair, status int, embed bool) []byte {
	t.Helper()
	r := ocsp.Response{Status: status, SerialNumber: about.Cert.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour), RevokedAt: time.Now()}
	if embed {
		r.Certificate = signer.Cert
	}
	b, err := ocsp.CreateResponse(issuer.Cert, signer.Cert, r, signer.Key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestJudge(t *testing.T) {
	ca, other := cert.Authority(t, nil, "CA"), cert.Authority(t, nil, "Other")
	leaf, stranger := cert.Issue(t, ca, "leaf"), cert.Issue(t, ca, "stranger")
	deputy := cert.Issue(t, ca, "deputy", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} })
	server := cert.Issue(t, ca, "server", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	for _, c := range []struct {
		name   string
		resp   []byte
		strict bool
		status Status
		err    error
	}{
		{"good", respond(t, ca, ca, leaf, ocsp.Good, false), true, Good, nil},
		{"good, the issuer's certificate in it", respond(t, ca, ca, leaf, ocsp.Good, true), true, Good, nil},
		{"revoked", respond(t, ca, ca, leaf, ocsp.Revoked, false), true, Revoked, nil},
		{"unknown", respond(t, ca, ca, leaf, ocsp.Unknown, false), true, Unknown, nil},
		{"of a deputy", respond(t, ca, deputy, leaf, ocsp.Good, true), true, Good, nil},
		{"of one who is not entitled", respond(t, ca, server, leaf, ocsp.Good, true), true, 0, ErrSignature},
		{"of a stranger", respond(t, ca, other, leaf, ocsp.Good, true), true, 0, ErrSignature},
		{"of a stranger, not strict", respond(t, ca, other, leaf, ocsp.Good, true), false, Good, nil},
		{"of a stranger, unnamed", respond(t, ca, other, leaf, ocsp.Good, false), false, 0, ErrSignature},
		{"about another", respond(t, ca, ca, stranger, ocsp.Good, false), true, 0, ErrNotFound},
		{"refused", ocsp.TryLaterErrorResponse, true, 0, Refused(3)},
		{"rubbish", []byte("rubbish"), true, 0, ErrFormat},
		{"nothing", nil, true, 0, ErrFormat},
	} {
		a, err := Judge(c.resp, leaf.Cert, ca.Cert, c.strict)
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
	got, err := r.Ask(netip.MustParseAddr("127.0.0.1"), []byte{0xff, 0xff, 0xfe, 1}, time.Minute)
	if err != nil || string(got) != "answer" {
		t.Errorf("%q, %v", got, err)
	}
	if line := <-lines; !strings.HasPrefix(line, "GET /ocsp/%2F%2F%2F%2BAQ%3D%3D HTTP/1.0\r\nHost: responder.example:"+port+"\r\n") {
		t.Errorf("%q", line)
	}
}
