package socket_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit"
	"moongate/internal/testkit/cert"
)

// What a server's certificate comes with is looked at when sslhandshake is asked to.
func TestStaple(t *testing.T) {
	testkit.LeakCheck(t)
	dir := t.TempDir()
	ca, other := cert.Authority(t, nil, "ca"), cert.Authority(t, nil, "ca")
	cert.WriteFile(t, dir, "ca.pem", cert.Chain(ca))
	leaf := cert.Issue(t, ca, "test.com")
	staple := func(by *cert.Pair, status int, until time.Duration) []byte {
		b, err := ocsp.CreateResponse(by.Cert, by.Cert, ocsp.Response{Status: status, SerialNumber: leaf.Cert.SerialNumber,
			ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: time.Now().Add(until), RevokedAt: time.Now().Add(-time.Hour)}, by.Key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		what   string
		staple []byte
		args   string
		want   string
	}{
		{"none", nil, "true, true", "true"},
		{"good", staple(ca, ocsp.Good, time.Hour), "true, true", "true"},
		{"revoked", staple(ca, ocsp.Revoked, time.Hour), "true, true", "nil23: certificate revoked"},
		{"unknown", staple(ca, ocsp.Unknown, time.Hour), "true, true", "nil75: OCSP unknown cert"},
		{"old", staple(ca, ocsp.Good, -time.Hour), "true, true", "nil94: OCSP verification failed"},
		{"of somebody else", staple(other, ocsp.Good, time.Hour), "true, true", "nil94: OCSP verification failed"},
		{"nothing", []byte("nothing"), "true, true", "nil94: OCSP verification failed"},
		{"revoked, not asked for", staple(ca, ocsp.Revoked, time.Hour), "true", "true"},
		{"revoked, nothing verified", staple(ca, ocsp.Revoked, time.Hour), "false, true", "true"},
	} {
		t.Run(c.what, func(t *testing.T) {
			pair := leaf.TLS(ca)
			pair.OCSPStaple = c.staple
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go echo(l)
			s := enginetest.StartIn(t, dir, modules.Set(), fmt.Sprintf(`lua_ssl_trusted_certificate ca.pem; location / { lua_socket_log_errors off; content_by_lua_block {
				local s = ngx.socket.tcp() assert(s:connect("127.0.0.1", %d)) ngx.print(s:sslhandshake(false, "test.com", %s)) } }`,
				l.Addr().(*net.TCPAddr).Port, c.args))
			if got := enginetest.Body(s.Raw("GET / HTTP/1.0\r\n\r\n")); got != c.want {
				t.Errorf("%q, want %q\n%s", got, c.want, s.ErrorLog())
			}
		})
	}
}
