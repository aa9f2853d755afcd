package ssl_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"moongate/internal/engine/enginetest"
	"moongate/internal/testkit"
	"moongate/internal/testkit/cert"
)

// shown is the common name of the certificate that a server shows.
func (s *site) shown(t testing.TB, c *tls.Config) string {
	t.Helper()
	tc, err := s.dial(t, c)
	if err != nil {
		return err.Error()
	}
	defer tc.Close()
	return tc.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// renew writes another certificate over the server's.
func (s *site) renew(t testing.TB, name string) {
	s.write(t, "ec.pem", string(cert.Chain(cert.For(t, s.server.Key, nil, name, local))))
}

// TestWatch: a certificate that changes serves new handshakes; one that cannot be used is logged, once, and the old one
// serves on.
func TestWatch(t *testing.T) {
	s := newSite(t)
	s.start(t, one("ssl_certificate_watch 1ms;"+pair))
	if got := s.shown(t, nil); got != "localhost" {
		t.Fatal(got)
	}
	s.renew(t, "second")
	testkit.Eventually(t, "the second is shown", func() bool { return s.shown(t, nil) == "second" })
	s.write(t, "ec.key", string(cert.KeyPEM(t, cert.NewKey(t))))
	testkit.Eventually(t, "the fault is logged", func() bool {
		s.shown(t, nil)
		return strings.Contains(s.ErrorLog(), "key values mismatch")
	})
	for range 3 {
		if got := s.shown(t, nil); got != "second" {
			t.Error(got)
		}
	}
	if n := strings.Count(s.ErrorLog(), "the certificate in use stays"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if err := os.Remove(filepath.Join(s.dir, "ec.pem")); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the fault is logged", func() bool {
		s.shown(t, nil)
		return strings.Contains(s.ErrorLog(), "ec.pem\": BIO_new_file() failed")
	})
	s.write(t, "ec.key", string(cert.KeyPEM(t, s.server.Key)))
	s.renew(t, "third")
	testkit.Eventually(t, "the third is shown", func() bool { return s.shown(t, nil) == "third" })

	name := filepath.Join(s.dir, "ec.pem")
	old, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	text := cert.Chain(cert.For(t, s.server.Key, nil, "4th", local))
	text = append(text, bytes.Repeat([]byte("\n"), max(0, int(old.Size())-len(text)))...)
	s.write(t, "new.pem", string(text))
	for _, err := range []error{os.Chtimes(filepath.Join(s.dir, "new.pem"), old.ModTime(), old.ModTime()), os.Rename(filepath.Join(s.dir, "new.pem"), name)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "one of the same time and size is shown", func() bool { return s.shown(t, nil) == "4th" })
}

// TestWatchOff: without the directive only a reload takes a certificate over.
func TestWatchOff(t *testing.T) {
	s := newSite(t)
	s.start(t, one(pair))
	s.renew(t, "second")
	if got := s.shown(t, nil); got != "localhost" {
		t.Error(got)
	}
	if err := s.Reload(one(pair)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the second is shown", func() bool { return s.shown(t, nil) == "second" })
}

// TestNamesWithVariables: the files are those of the name that the client asks for.
func TestNamesWithVariables(t *testing.T) {
	for _, cache := range []string{"", "ssl_certificate_cache max=2 inactive=1h valid=1h;"} {
		s := newSite(t)
		for _, n := range []string{"one", "two"} {
			cert.Issue(t, nil, n).Write(t, s.dir, n)
		}
		s.start(t, one(cache+"ssl_certificate $ssl_server_name.pem; ssl_certificate_key $ssl_server_name.key;"))
		for range 2 {
			for _, n := range []string{"one", "two"} {
				if got := s.shown(t, &tls.Config{ServerName: n}); got != n {
					t.Errorf("%s: %s", n, got)
				}
			}
		}
		if got := s.shown(t, &tls.Config{ServerName: "none"}); !strings.Contains(got, "internal error") {
			t.Error(got)
		}
		if log := s.ErrorLog(); !strings.Contains(log, "cannot load certificate") {
			t.Error(log)
		}
	}
}

// TestSessionCache: with ssl_session_tickets off a session is kept here; servers with other trust do not resume it.
func TestSessionCache(t *testing.T) {
	s := newSite(t)
	server := func(name, text string) string {
		return "server { listen 127.0.0.1:8080 ssl; server_name " + name + "; ssl_session_tickets off; " + pair + text + " return 200 $ssl_session_reused$ssl_session_id; }\n"
	}
	s.start(t, server("shared", "ssl_session_cache shared:S:1m;")+server("same", "ssl_session_cache shared:S:1m;")+
		server("clients", "ssl_session_cache shared:S:1m; ssl_client_certificate ca.pem; ssl_verify_client optional;")+server("builtin", "ssl_session_cache builtin;")+server("off", ""))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			first, second string
			resumed       bool
		}{{"shared", "shared", true}, {"shared", "same", true}, {"shared", "clients", false}, {"builtin", "builtin", true}, {"builtin", "shared", false}, {"off", "off", false}} {
			conf := &tls.Config{ServerName: c.first, MaxVersion: version, ClientSessionCache: &oneKey{tls.NewLRUClientSessionCache(4)}}
			one := enginetest.Body(s.get(t, conf, "/"))
			other := conf.Clone()
			other.ServerName = c.second
			two := enginetest.Body(s.get(t, other, "/"))
			if strings.HasPrefix(two, "r") != c.resumed || strings.HasPrefix(one, "r") {
				t.Errorf("version %x, %s after %s: %q after %q", version, c.second, c.first, two, one)
			}
			if version == tls.VersionTLS12 && c.resumed && one[1:] != two[1:] {
				t.Errorf("%s: the numbers differ: %q, %q", c.first, one, two)
			}
		}
	}
}

// responder is an OCSP responder of the clients' authority: it knows what is revoked.
type responder struct {
	url     string
	revoked atomic.Bool
	asked   atomic.Int32
}

func newResponder(t testing.TB, a, about *cert.Pair) *responder {
	r := &responder{}
	r.url = "http://" + testkit.Listen(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		r.asked.Add(1)
		what := ocsp.Response{Status: ocsp.Good, SerialNumber: about.Cert.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
		if r.revoked.Load() {
			what.Status, what.RevokedAt = ocsp.Revoked, time.Now()
		}
		b, err := ocsp.CreateResponse(a.Cert, a.Cert, what, a.Key)
		if err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+string(b))
		}
	}).String()
	return r
}

// TestClientStatus: responders are asked about clients' certificates, and what they say is kept.
func TestClientStatus(t *testing.T) {
	s := newSite(t)
	who := joe(t, s.ca)
	r := newResponder(t, s.ca, who)
	server := func(name, text string) string {
		return "server { listen 127.0.0.1:8080 ssl; server_name " + name + "; ssl_client_certificate ca.pem; ssl_verify_client on; ssl_ocsp on; " + pair + text + " return 200 $ssl_client_verify; }\n"
	}
	s.start(t, "error_log logs/error.log info;"+server("plain", "ssl_ocsp_responder "+r.url+";")+server("kept", "ssl_ocsp_cache shared:O:1m; ssl_ocsp_responder "+r.url+"/;")+server("nobody", ""))
	ask := func(name string) string {
		c := client(who)
		c.ServerName = name
		tc, err := s.dial(t, c)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(tc, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", name)
		b, _ := io.ReadAll(tc)
		return string(b)
	}
	for _, n := range []string{"plain", "kept", "kept"} {
		if got := ask(n); enginetest.Body(got) != "SUCCESS" {
			t.Errorf("%s: %q", n, got)
		}
	}
	if n := r.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	r.revoked.Store(true)
	if got := ask("plain"); !strings.Contains(got, "400 Bad Request") {
		t.Errorf("revoked: %q", got)
	}
	if got := ask("kept"); enginetest.Body(got) != "SUCCESS" {
		t.Errorf("kept: %q", got)
	}
	if got := ask("nobody"); !strings.Contains(got, "400 Bad Request") {
		t.Errorf("nobody to ask: %q", got)
	}
	if log := s.ErrorLog(); !strings.Contains(log, "client SSL certificate verify error: certificate revoked") || !strings.Contains(log, "client SSL certificate verify error: certificate status request failed") {
		t.Error(log)
	}
}

// TestStapling: the response of the responder goes along with the certificate once it is there.
func TestStapling(t *testing.T) {
	s := newSite(t)
	ca := cert.Authority(t, nil, "Servers")
	server := cert.Issue(t, ca, "localhost")
	server.Write(t, s.dir, "chain", ca)
	r := newResponder(t, ca, server)
	s.start(t, one("ssl_stapling on; ssl_stapling_verify on; ssl_stapling_responder "+r.url+"; ssl_certificate chain.pem; ssl_certificate_key chain.key;"))
	stapled := func() []byte {
		tc, err := s.dial(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tc.Close()
		return tc.OCSPResponse()
	}
	testkit.Eventually(t, "the response is there", func() bool { return stapled() != nil })
	if resp, err := ocsp.ParseResponseForCert(stapled(), server.Cert, ca.Cert); err != nil || resp.Status != ocsp.Good {
		t.Errorf("%+v, %v", resp, err)
	}
	if n := r.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestKeyLog: the secrets of connections go to a file.
func TestKeyLog(t *testing.T) {
	s := newSite(t)
	s.start(t, one("ssl_key_log secrets;"+pair))
	s.shown(t, nil)
	if text := s.File("secrets"); !strings.Contains(text, "SERVER_TRAFFIC_SECRET_0 ") {
		t.Errorf("%q", text)
	}
}
