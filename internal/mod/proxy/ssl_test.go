package proxy_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit"
	"moongate/internal/testkit/cert"
)

// backend makes a server's certificate.
func backend(t testing.TB, by *cert.Pair, change ...func(c *x509.Certificate)) *cert.Pair {
	server := func(c *x509.Certificate) {
		c.DNSNames = append(c.DNSNames, "*.wild.example")
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	return cert.Issue(t, by, "backend", append([]func(*x509.Certificate){server}, change...)...)
}

// secure is a server that speaks TLS and answers each request with what it knows of the connection.
type secure struct {
	addr    net.Addr
	mu      sync.Mutex
	shaken  int // handshakes that succeeded
	reused  int
	request int
}

func newSecure(t testing.TB, cfg *tls.Config) *secure {
	s := &secure{}
	s.addr = testkit.Listen(t, func(c net.Conn) { s.serve(tls.Server(c, cfg)) })
	return s
}

func (s *secure) Addr() net.Addr { return s.addr }

func (s *secure) serve(c *tls.Conn) {
	defer c.Close()
	if c.Handshake() != nil {
		return
	}
	st := c.ConnectionState()
	s.mu.Lock()
	s.shaken++
	if st.DidResume {
		s.reused++
	}
	s.mu.Unlock()
	br := bufio.NewReader(c)
	for n := 1; ; n++ {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.request++
		s.mu.Unlock()
		size, _ := io.Copy(io.Discard, req.Body)
		who := "-"
		if len(st.PeerCertificates) > 0 {
			who = st.PeerCertificates[0].Subject.CommonName
		}
		body := fmt.Sprintf("sni=%s client=%s n=%d size=%d", st.ServerName, who, n, size)
		if req.Close {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

func (s *secure) counts() (shaken, reused, request int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shaken, s.reused, s.request
}

// chain is a TLS configuration with a certificate and those of its issuers.
func chain(p *cert.Pair, issuers ...*cert.Pair) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{p.TLS(issuers...)}, ClientAuth: tls.RequestClientCert}
}

// TestServersThatAreNotTrusted also shows that a server that is not trusted never sees a byte of a request.
func TestServersThatAreNotTrusted(t *testing.T) {
	dir := t.TempDir()
	ca, foreign := cert.Authority(t, nil, "Root"), cert.Authority(t, nil, "Foreign")
	middle := cert.Authority(t, ca, "Middle")
	low := cert.Authority(t, middle, "Low")
	good, revoked := backend(t, ca), backend(t, ca)
	cert.WriteFile(t, dir, "ca.pem", cert.Chain(ca))
	cert.WriteFile(t, dir, "crl.pem", cert.Revoked(t, ca, revoked))
	expired := backend(t, ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	early := backend(t, ca, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })
	usage := backend(t, ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	old := backend(t, ca, func(c *x509.Certificate) { c.DNSNames, c.Subject.CommonName = nil, "old.example" })
	self := backend(t, nil)

	cases := []struct {
		name, conf string
		certs      []*cert.Pair // its own and its issuers'
		want       string       // of the error log; "": it is trusted
	}{
		{"good", "", []*cert.Pair{good}, ""},
		{"by its subject", "proxy_ssl_name old.example;", []*cert.Pair{old}, ""},
		{"by a wildcard", "proxy_ssl_name a.wild.example;", []*cert.Pair{good}, ""},
		{"a port does not count", "proxy_ssl_name backend:8443;", []*cert.Pair{good}, ""},
		{"not revoked", "proxy_ssl_crl crl.pem;", []*cert.Pair{good}, ""},
		{"deep, allowed", "proxy_ssl_verify_depth 2;", []*cert.Pair{backend(t, low), low, middle}, ""},
		{"not verified", "proxy_ssl_verify off;", []*cert.Pair{expired}, ""},
		{"wrong name", "proxy_ssl_name other;", []*cert.Pair{good}, `upstream SSL certificate does not match "other"`},
		{"wildcard of two labels", "proxy_ssl_name a.b.wild.example;", []*cert.Pair{good}, `upstream SSL certificate does not match "a.b.wild.example"`},
		{"the name is an address", "proxy_ssl_name 127.0.0.1;", []*cert.Pair{good}, `upstream SSL certificate does not match "127.0.0.1"`},
		{"no name", "proxy_ssl_name $arg_none;", []*cert.Pair{good}, `upstream SSL certificate does not match ""`},
		{"revoked", "proxy_ssl_crl crl.pem;", []*cert.Pair{revoked}, "upstream SSL certificate verify error: (23:certificate revoked)"},
		{"expired", "", []*cert.Pair{expired}, "upstream SSL certificate verify error: (10:certificate has expired)"},
		{"not yet valid", "", []*cert.Pair{early}, "upstream SSL certificate verify error: (9:certificate is not yet valid)"},
		{"wrong usage", "", []*cert.Pair{usage}, "upstream SSL certificate verify error: (26:unsuitable certificate purpose)"},
		{"too deep", "", []*cert.Pair{backend(t, low), low, middle}, "upstream SSL certificate verify error: (20:unable to get local issuer certificate)"},
		{"foreign", "", []*cert.Pair{backend(t, foreign)}, "upstream SSL certificate verify error: (21:unable to verify the first certificate)"},
		{"self-signed", "", []*cert.Pair{self}, "upstream SSL certificate verify error: (18:self-signed certificate)"},
		{"foreign root", "", []*cert.Pair{backend(t, foreign), foreign}, "upstream SSL certificate verify error: (19:self-signed certificate in certificate chain)"},
	}
	conf := "proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; proxy_ssl_name backend; proxy_ssl_session_reuse off;\n"
	var servers []*secure
	for i, c := range cases {
		s := newSecure(t, chain(c.certs[0], c.certs[1:]...))
		servers = append(servers, s)
		conf += fmt.Sprintf("location /%d { proxy_pass https://%s; %s }\n", i, s.Addr(), c.conf)
	}
	s := enginetest.StartIn(t, dir, modules.Set(), conf)
	for i, c := range cases {
		before := len(s.ErrorLog())
		resp := s.Get(fmt.Sprintf("/%d", i))
		log := s.ErrorLog()[before:]
		_, _, requests := servers[i].counts()
		if c.want == "" {
			if enginetest.Status(resp) != "200 OK" || log != "" {
				t.Errorf("%s: %q, log %q", c.name, resp, log)
			}
			continue
		}
		if enginetest.Status(resp) != "502 Bad Gateway" || requests != 0 {
			t.Errorf("%s: %q, %d requests came through", c.name, enginetest.Status(resp), requests)
		}
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, "[error]") || !strings.Contains(log, c.want+" while SSL handshaking to upstream, client: ") {
			t.Errorf("%s: log %q, want %q", c.name, log, c.want)
		}
	}
}

// TestBytesBeforeTheHandshake: what a server, or somebody in between, sends in plain before TLS is there, is no response.
func TestBytesBeforeTheHandshake(t *testing.T) {
	ca := cert.Authority(t, nil, "Root")
	pair := backend(t, ca)
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for _, goesOn := range []bool{false, true} {
		dir := t.TempDir()
		cert.WriteFile(t, dir, "ca.pem", cert.Chain(ca))
		addr := testkit.Listen(t, func(c net.Conn) {
			io.WriteString(c, evil)
			if goesOn {
				(&secure{}).serve(tls.Server(c, chain(pair)))
			}
		})
		s := enginetest.StartIn(t, dir, modules.Set(), `
		location / { proxy_pass https://`+addr.String()+`; proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; proxy_ssl_name backend; proxy_ssl_session_reuse off; }`)
		resp, log := s.Get("/"), s.ErrorLog()
		if enginetest.Status(resp) != "502 Bad Gateway" || strings.Contains(resp, "evil") {
			t.Errorf("goes on %v: %q", goesOn, resp)
		}
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream") {
			t.Errorf("goes on %v: log %q", goesOn, log)
		}
	}
}

// TestSessionsAndConnections shows which TLS sessions are resumed and which idle connections are used again.
func TestSessionsAndConnections(t *testing.T) {
	dir := t.TempDir()
	ca := cert.Authority(t, nil, "Root")
	for _, name := range []string{"one", "two"} {
		cert.Issue(t, ca, name).Write(t, dir, name)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := chain(backend(t, ca))
		cfg.MaxVersion = version
		up := newSecure(t, cfg)
		s := enginetest.StartIn(t, dir, modules.Set(), fmt.Sprintf(`
		upstream u { server %s; keepalive 4; }
		server { listen 127.0.0.1:8080; proxy_http_version 1.1; proxy_set_header Connection "";
			location /none { proxy_pass https://u; proxy_ssl_session_reuse off; }
			location /resume { proxy_pass https://u; proxy_set_header Connection close; }
			location /fresh { proxy_pass https://u; proxy_ssl_session_reuse off; proxy_set_header Connection close; }
			location /sni { proxy_pass https://u; proxy_ssl_server_name on; proxy_ssl_name $arg_name; }
			location /cert { proxy_pass https://u; proxy_ssl_certificate $arg_c.pem; proxy_ssl_certificate_key $arg_c.key; }
			location /body { proxy_pass https://u; client_max_body_size 4m; }
		}`, up.Addr()))
		get := func(uri, want string) {
			t.Helper()
			if got := enginetest.Body(s.Get(uri)); got != want {
				t.Errorf("version %x, %s: %q, want %q", version, uri, got, want)
			}
		}
		get("/none", "sni= client=- n=1 size=0")
		get("/none", "sni= client=- n=2 size=0")
		get("/sni?name=a.example", "sni=a.example client=- n=1 size=0") // not over the connection without a name
		get("/sni?name=b.example", "sni=b.example client=- n=1 size=0")
		get("/sni?name=a.example:81", "sni=a.example client=- n=2 size=0")
		get("/sni?name=10.0.0.1", "sni= client=- n=1 size=0")
		get("/cert?c=one", "sni= client=one n=1 size=0")
		get("/cert?c=two", "sni= client=two n=1 size=0")
		get("/cert?c=one", "sni= client=one n=2 size=0")
		if resp := s.Get("/cert?c=nobody"); enginetest.Status(resp) != "500 Internal Server Error" {
			t.Errorf("a certificate that is not there: %q", resp)
		}
		body := strings.Repeat("0123456789abcdef", 200_000)
		if got := enginetest.Body(s.Request("POST", "/body", body, fmt.Sprintf("Content-Length: %d", len(body)))); !strings.HasSuffix(got, fmt.Sprintf("size=%d", len(body))) {
			t.Errorf("version %x: %q", version, got)
		}
		s.Get("/resume") // takes what /body has left
		_, before, _ := up.counts()
		for range 3 {
			s.Get("/resume")
		}
		_, after, _ := up.counts()
		if after-before < 2 {
			t.Errorf("version %x: %d of 3 handshakes resumed a session", version, after-before)
		}
		for range 3 {
			s.Get("/fresh")
		}
		if _, n, _ := up.counts(); n != after {
			t.Errorf("version %x: sessions are resumed with proxy_ssl_session_reuse off", version)
		}
	}
}

// TestHandshakesThatFail are such that fail before there is a certificate.
func TestHandshakesThatFail(t *testing.T) {
	plain := scripted(t, func(c net.Conn, _ *bufio.Reader) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) })
	closes := scripted(t, func(c net.Conn, br *bufio.Reader) { br.ReadByte() })
	silent := scripted(t, func(c net.Conn, br *bufio.Reader) { io.Copy(io.Discard, br) })
	old := newSecure(t, &tls.Config{Certificates: chain(backend(t, nil)).Certificates, MaxVersion: tls.VersionTLS12})
	good := newSecure(t, chain(backend(t, nil)))
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`
	upstream next { server %s max_fails=0; server %s backup; }
	server { listen 127.0.0.1:8080;
		location /plain { proxy_pass https://%s; }
		location /closes { proxy_pass https://%s; }
		location /silent { proxy_pass https://%s; proxy_connect_timeout 500ms; }
		location /old { proxy_pass https://%s; proxy_ssl_protocols TLSv1.3; }
		location /next { proxy_pass https://next; }
	}`, closes, good.Addr(), plain, closes, silent, old.Addr()))
	s.Get("/next") // which makes the loop have the goroutines that it keeps
	testkit.LeakCheck(t)
	for _, c := range []struct{ uri, status, log string }{
		{"/plain", "502 Bad Gateway", "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream"},
		{"/closes", "502 Bad Gateway", "peer closed connection in SSL handshake"},
		{"/silent", "504 Gateway Time-out", "upstream timed out (110: Connection timed out) while SSL handshaking to upstream"},
		{"/old", "502 Bad Gateway", "SSL_do_handshake() failed (SSL: "},
		{"/next", "200 OK", "peer closed connection in SSL handshake"},
	} {
		before := len(s.ErrorLog())
		resp := s.Get(c.uri)
		log := s.ErrorLog()[before:]
		if enginetest.Status(resp) != c.status || !strings.Contains(log, c.log) || !strings.Contains(log, "upstream: \"https://127.0.0.1:") {
			t.Errorf("%s: %q, log %q", c.uri, enginetest.Status(resp), log)
		}
	}
}

func TestSSLConfigurationErrors(t *testing.T) {
	dir := t.TempDir()
	cert.WriteFile(t, dir, "c.pem", cert.Chain(backend(t, nil)))
	cert.WriteFile(t, dir, "junk.pem", []byte("junk\n"))
	for _, c := range []struct{ text, want string }{
		{"proxy_pass https://127.0.0.1:81; proxy_ssl_verify on;", "no proxy_ssl_trusted_certificate for proxy_ssl_verify"},
		{"proxy_pass https://127.0.0.1:81; proxy_ssl_certificate c.pem;", `no "proxy_ssl_certificate_key" is defined for certificate "c.pem"`},
		{"proxy_pass https://127.0.0.1:81; proxy_ssl_certificate c.pem; proxy_ssl_certificate_key c.key;", `cannot load certificate key "` + dir + `/c.key": BIO_new_file() failed`},
		{"proxy_pass https://127.0.0.1:81; proxy_ssl_verify on; proxy_ssl_trusted_certificate junk.pem;", `SSL_CTX_load_verify_locations("` + dir + `/junk.pem") failed`},
		{"proxy_pass https://127.0.0.1:81; proxy_ssl_ciphers NONE;", `SSL_CTX_set_cipher_list("NONE") failed`},
		{"proxy_pass https://127.0.0.1:81; proxy_ssl_certificate_cache inactive=1s;", `"proxy_ssl_certificate_cache" must have the "max" parameter`},
		{"proxy_pass https://127.0.0.1:81; proxy_ssl_certificate_cache max=0;", `invalid parameter "max=0"`},
		{"proxy_pass http://127.0.0.1:81; proxy_ssl_verify on;", ""}, // files are not needed without TLS
		{`proxy_pass https://127.0.0.1:81; proxy_ssl_certificate "";`, ""},
	} {
		_, err := enginetest.LoadIn(t, dir, modules.Set(), "location / { "+c.text+" }", nil)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

// scripted is a TCP server that runs f for each connection, then closes it. It gives the address.
func scripted(t testing.TB, f func(c net.Conn, br *bufio.Reader)) string {
	return testkit.Listen(t, func(c net.Conn) { f(c, bufio.NewReader(c)) }).String()
}
