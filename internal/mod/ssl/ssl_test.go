package ssl_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/cert"
)

// site is a folder with a server's certificates and those of two authorities of clients.
type site struct {
	*enginetest.Server
	dir               string
	ca, other, middle *cert.Pair
	server            *cert.Pair // its files are ec.pem and ec.key
}

func (s *site) write(t testing.TB, name, text string) {
	cert.WriteFile(t, s.dir, name, []byte(text))
}

// moon gives a subject an organization, with a comma in its name.
func moon(c *x509.Certificate) { c.Subject.Organization = []string{"Moon, Inc"} }

// local is for localhost, whatever its subject is.
func local(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }

func newSite(t testing.TB) *site {
	s := &site{dir: t.TempDir()}
	s.server = cert.Issue(t, nil, "localhost")
	s.server.Write(t, s.dir, "ec")
	cert.For(t, cert.NewRSA(t), nil, "rsa", local).Write(t, s.dir, "rsa")
	s.ca, s.other = cert.Authority(t, nil, "Clients", moon), cert.Authority(t, nil, "Others", moon)
	s.middle = cert.Authority(t, s.ca, "Middle", moon)
	s.write(t, "ca.pem", string(cert.Chain(s.ca)))
	s.write(t, "other.pem", string(cert.Chain(s.other)))
	s.write(t, "junk.pem", "junk\n")
	return s
}

func (s *site) start(t testing.TB, text string) *site {
	s.Server = enginetest.StartIn(t, s.dir, modules.Set(), text)
	return s
}

const pair = "ssl_certificate ec.pem; ssl_certificate_key ec.key;\n"

func one(text string) string {
	return "server { listen 127.0.0.1:8080 ssl; server_name localhost;\n" + text + "\n}"
}

// dial does a handshake; names are not verified.
func (s *site) dial(t testing.TB, c *tls.Config) (*tls.Conn, error) {
	t.Helper()
	if c == nil {
		c = &tls.Config{}
	}
	c.InsecureSkipVerify = true
	tc := tls.Client(s.Dial(), c)
	return tc, tc.Handshake()
}

func (s *site) get(t testing.TB, c *tls.Config, uri string) string {
	t.Helper()
	tc, err := s.dial(t, c)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(tc, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", uri)
	b, err := io.ReadAll(tc)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVariables(t *testing.T) {
	s := newSite(t).start(t, one(pair+`
		location / { return 200 "$scheme $https $ssl_protocol $ssl_cipher $ssl_server_name $ssl_session_reused $ssl_client_verify $ssl_alpn_protocol [$ssl_client_s_dn]"; }
		location /s { return 200 "$ssl_sigalgs"; }
		location /r { absolute_redirect on; return 302 /x; }`))
	if got := enginetest.Body(s.get(t, &tls.Config{ServerName: "LocalHost", NextProtos: []string{"http/1.1"}}, "/")); !strings.HasPrefix(got, "https on TLSv1.3 TLS_") || !strings.HasSuffix(got, " . NONE http/1.1 []") || !strings.Contains(strings.ToLower(got), " localhost ") {
		t.Errorf("%q", got)
	}
	if got := enginetest.Body(s.get(t, &tls.Config{MaxVersion: tls.VersionTLS12}, "/")); !strings.HasPrefix(got, "https on TLSv1.2 ECDHE-ECDSA-") {
		t.Errorf("%q", got)
	}
	if got := enginetest.Body(s.get(t, nil, "/s")); !strings.Contains(got+":", "ecdsa_secp256r1_sha256:") || strings.Contains(got, "0x") {
		t.Errorf("%q", got)
	}
	if got := enginetest.Header(s.get(t, nil, "/r"), "Location"); !strings.HasPrefix(got, "https://localhost:") {
		t.Errorf("Location %q", got)
	}
}

func TestKeepAliveAndPipelining(t *testing.T) {
	s := newSite(t).start(t, one(pair+`location / { return 200 "$connection_requests;"; }`))
	tc, err := s.dial(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(tc)
	read := func(want string) {
		t.Helper()
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		if string(b) != want {
			t.Errorf("got %q, want %q", b, want)
		}
	}
	const req = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for i := range 3 {
		io.WriteString(tc, req)
		read(fmt.Sprintf("%d;", i+1))
	}
	io.WriteString(tc, strings.Repeat(req, 50))
	for i := range 50 {
		read(fmt.Sprintf("%d;", i+4))
	}
	for i := range len(req) { // a record for each byte
		io.WriteString(tc, req[i:i+1])
	}
	read("54;")
}

func TestLargeBodies(t *testing.T) {
	s := newSite(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 200_000) // 3.2 MB: more than a socket takes
	s.write(t, "html-big", string(big))
	os.MkdirAll(filepath.Join(s.dir, "html"), 0o755)
	os.Rename(filepath.Join(s.dir, "html-big"), filepath.Join(s.dir, "html/big"))
	s.start(t, one(pair+`client_max_body_size 10m; client_body_buffer_size 16k;
		location /echo { content_by_lua_block { ngx.req.read_body() local f = ngx.req.get_body_file() local d = f and io.open(f):read("*a") or ngx.req.get_body_data() ngx.print(d) } }
		location /slow { limit_rate 100000k; alias html; }`))
	for _, uri := range []string{"/big", "/slow/big"} {
		tc, err := s.dial(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(tc, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", uri)
		br := bufio.NewReaderSize(tc, 16)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1)
		io.ReadFull(resp.Body, first)
		s.Do(func(*engine.Worker) {}) // the server has filled the socket and waits
		rest, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(append(first, rest...), big) {
			t.Errorf("%s: %d bytes of %d, %v", uri, len(rest)+1, len(big), err)
		}
	}
	for _, chunked := range []bool{false, true} {
		tc, err := s.dial(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequest("POST", "http://localhost/echo", bytes.NewReader(big))
		if chunked {
			req.ContentLength = -1
		}
		req.Close = true
		sent := make(chan error, 1)
		go func() { sent <- req.Write(tc) }()
		resp, err := http.ReadResponse(bufio.NewReader(tc), req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(got, big) {
			t.Errorf("chunked %v: status %d, %d bytes of %d, %v", chunked, resp.StatusCode, len(got), len(big), err)
		}
		<-sent
	}
}

func TestPlainRequest(t *testing.T) {
	s := newSite(t).start(t, "error_log logs/error.log info;"+one(pair))
	got := s.Get("/")
	if enginetest.Status(got) != "400 Bad Request" || !strings.Contains(got, "<title>400 The plain HTTP request was sent to HTTPS port</title>") {
		t.Errorf("%q", got)
	}
	if log := s.ErrorLog(); !strings.Contains(log, "client sent plain HTTP request to HTTPS port while reading client request headers, client: 127.0.0.1") && !strings.Contains(log, "client sent plain HTTP request to HTTPS port, client: 127.0.0.1") {
		t.Errorf("log: %s", log)
	}
}

func TestGarbage(t *testing.T) {
	s := newSite(t).start(t, "error_log logs/error.log info;"+one(pair))
	for _, data := range []string{"\x16\x03\x01\x00\x05garbage and more of it", "\x16junkjunkjunk", "\x80\x2e\x01\x00\x02\x00\x15"} {
		s.Raw(data)
	}
	log := s.ErrorLog()
	if n := strings.Count(log, "SSL_do_handshake() failed (SSL: "); n != 3 || !strings.Contains(log, "while SSL handshaking, client: 127.0.0.1, server: ") {
		t.Errorf("%d lines: %s", n, log)
	}
	brief := newSite(t).start(t, "error_log logs/error.log info;"+one("client_header_timeout 500ms;"+pair))
	brief.Raw("\x16\x03") // half a record: until client_header_timeout
	if log := brief.ErrorLog(); !strings.Contains(log, "client timed out (110: Connection timed out) while SSL handshaking") {
		t.Errorf("log: %s", log)
	}
	c := s.Dial()
	io.WriteString(c, "\x16\x03\x01")
	c.(*net.TCPConn).CloseWrite()
	io.ReadAll(c)
	if log := s.ErrorLog(); !strings.Contains(log, "peer closed connection in SSL handshake while SSL handshaking") {
		t.Errorf("log: %s", log)
	}
}

func TestServerNames(t *testing.T) {
	s := newSite(t)
	s.start(t, `
	server { listen 127.0.0.1:8080 ssl; server_name _; ssl_reject_handshake on; }
	server { listen 127.0.0.1:8080 ssl; server_name rsa.test *.rsa.test; ssl_certificate rsa.pem; ssl_certificate_key rsa.key; return 200 rsa; }
	server { listen 127.0.0.1:8080 ssl; server_name ~^both\d; ssl_certificate rsa.pem; ssl_certificate_key rsa.key; `+pair+` return 200 both; }`)
	for _, c := range []struct {
		name, kind string
		suites     []uint16
	}{
		{"rsa.test", "rsa", nil}, {"a.RSA.test", "rsa", nil}, {"both1", "localhost", nil},
		{"both1", "rsa", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}},
	} {
		conf := &tls.Config{ServerName: c.name, CipherSuites: c.suites}
		if c.suites != nil {
			conf.MaxVersion = tls.VersionTLS12
		}
		tc, err := s.dial(t, conf)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := tc.ConnectionState().PeerCertificates[0].Subject.CommonName; got != c.kind {
			t.Errorf("%s: certificate of %s", c.name, got)
		}
	}
	for _, name := range []string{"", "unknown.test"} {
		if _, err := s.dial(t, &tls.Config{ServerName: name}); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := s.dial(t, &tls.Config{ServerName: "rsa.test", NextProtos: []string{"foo"}}); err == nil {
		t.Error("an unknown protocol was agreed on")
	}
}

// joe makes a client's certificate.
func joe(t testing.TB, by *cert.Pair, change ...func(c *x509.Certificate)) *cert.Pair {
	usage := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	return cert.Issue(t, by, "joe", append([]func(*x509.Certificate){moon, local, usage}, change...)...)
}

// client is the configuration of one who shows a certificate whoever is asked for.
func client(p *cert.Pair, issuers ...*cert.Pair) *tls.Config {
	c := p.TLS(issuers...)
	return &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }}
}

func TestClientCertificates(t *testing.T) {
	s := newSite(t)
	outcast := joe(t, s.ca)
	good, revoked := client(joe(t, s.ca)), client(outcast)
	s.write(t, "crl.pem", string(cert.Revoked(t, s.ca, outcast)))
	answer := `return 200 "$ssl_client_verify|$ssl_client_s_dn|$ssl_client_i_dn|$ssl_client_serial";`
	names := ""
	for _, m := range []string{"on", "optional", "optional_no_ca"} {
		names += "server { listen 127.0.0.1:8080 ssl; server_name " + m + "; " + pair + "ssl_client_certificate ca.pem; ssl_verify_client " + m + "; " + answer + " }\n"
	}
	names += "server { listen 127.0.0.1:8080 ssl; server_name crl; " + pair + "ssl_client_certificate ca.pem; ssl_verify_client on; ssl_crl crl.pem; " + answer + " }\n"
	names += "server { listen 127.0.0.1:8080 ssl; server_name shallow; " + pair + "ssl_client_certificate ca.pem; ssl_verify_client on; ssl_verify_depth 0; " + answer + " }\n"
	names += "server { listen 127.0.0.1:8080 ssl; server_name other; " + pair + "ssl_trusted_certificate other.pem; ssl_verify_client on; " + answer + " }\n"
	s.write(t, "middle.pem", string(cert.Chain(s.middle)))
	names += "server { listen 127.0.0.1:8080 ssl; server_name middle; " + pair + "ssl_client_certificate middle.pem; ssl_verify_client on; " + answer + " }\n"
	s.start(t, names)

	expired := client(joe(t, s.ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
	server := client(joe(t, s.ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }))
	deep := client(joe(t, s.middle), s.middle)
	foreign := client(joe(t, s.other))
	self := client(joe(t, nil))
	const no495, no496 = "400 The SSL certificate error", "400 No required SSL certificate was sent"
	for _, c := range []struct {
		name   string
		conf   *tls.Config
		server string
		want   string
	}{
		{"good", good, "on", "SUCCESS|CN=joe,O=Moon\\, Inc|CN=Clients,O=Moon\\, Inc|"},
		{"none", nil, "on", no496},
		{"none", nil, "optional", "NONE|||"},
		{"expired", expired, "on", no495},
		{"expired", expired, "optional_no_ca", no495},
		{"wrong usage", server, "on", no495},
		{"deep", deep, "on", "SUCCESS|"},
		{"deep", deep, "shallow", no495},
		{"deep", deep, "middle", no495}, // not up to a root
		{"foreign", foreign, "on", no495},
		{"foreign", foreign, "optional", no495},
		{"foreign", foreign, "optional_no_ca", "FAILED:unable to verify the first certificate|"},
		{"foreign", foreign, "other", "SUCCESS|"},
		{"self", self, "optional_no_ca", "FAILED:self-signed certificate|"},
		{"self", self, "on", no495},
		{"revoked", revoked, "on", "SUCCESS|"},
		{"revoked", revoked, "crl", no495},
		{"good", good, "crl", "SUCCESS|"},
		{"good", good, "other", no495},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			conf := &tls.Config{}
			if c.conf != nil {
				conf = c.conf.Clone()
			}
			conf.ServerName, conf.MaxVersion = c.server, version
			tc, err := s.dial(t, conf)
			if err != nil {
				t.Errorf("%s to %s: %v", c.name, c.server, err)
				continue
			}
			fmt.Fprintf(tc, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", c.server)
			b, err := io.ReadAll(tc)
			if err != nil || !strings.Contains(string(b), c.want) {
				t.Errorf("%s to %s: %q, %v", c.name, c.server, b, err)
			}
		}
	}
	// A connection made with one server's trust does not carry requests to another one's.
	for sni, want := range map[string]string{"on": "421 ", "": "400 "} {
		conf := good.Clone()
		conf.ServerName = sni
		tc, err := s.dial(t, conf)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(tc, "GET / HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n")
		b, _ := io.ReadAll(tc)
		if !strings.HasPrefix(enginetest.Status(string(b)), want) {
			t.Errorf("handshake with %q: %q", sni, b)
		}
	}
}

// TestOneServer: an address with one server takes requests for names other than that of the handshake, unless the server's
// name captures something; so it is with nginx, and who proxies to an address with proxy_ssl_name relies on it.
func TestOneServer(t *testing.T) {
	for name, want := range map[string]string{"a": "200 ", "a b": "200 ", "~^[ab]$": "200 ", "~^([ab])$": "421 ", "~^(?<x>[ab])$": "421 ", "a; } server { listen 127.0.0.1:8080 ssl; server_name c": "421 "} {
		s := newSite(t)
		s.start(t, "ssl_client_certificate ca.pem; ssl_verify_client optional; "+pair+" server { listen 127.0.0.1:8080 ssl; return 200 ok; server_name "+name+"; }")
		tc, err := s.dial(t, &tls.Config{ServerName: "a"})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(tc, "GET / HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n")
		b, _ := io.ReadAll(tc)
		if !strings.HasPrefix(enginetest.Status(string(b)), want) {
			t.Errorf("server_name %s: %q, want %s", name, b, want)
		}
	}
}

func TestSessions(t *testing.T) {
	s := newSite(t)
	s.start(t, `
	server { listen 127.0.0.1:8080 ssl; server_name a; `+pair+` return 200 $ssl_session_reused; }
	server { listen 127.0.0.1:8080 ssl; server_name b; ssl_client_certificate other.pem; ssl_verify_client on; `+pair+` return 200 $ssl_session_reused; }
	server { listen 127.0.0.1:8080 ssl; server_name never; ssl_session_tickets off; `+pair+` return 200 $ssl_session_reused; }`)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, want := range map[string]string{"a": "r", "never": "."} {
			conf := &tls.Config{ServerName: name, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
			s.get(t, conf, "/")
			tc, err := s.dial(t, conf)
			if err != nil {
				t.Fatal(err)
			}
			if reused := tc.ConnectionState().DidResume; reused != (want == "r") {
				t.Errorf("%s, version %x: resumed %v", name, version, reused)
			}
		}
		cache := tls.NewLRUClientSessionCache(4)
		conf := &tls.Config{ServerName: "a", MaxVersion: version, ClientSessionCache: &oneKey{cache}}
		s.get(t, conf, "/")
		other := conf.Clone()
		other.ServerName = "b"
		tc, err := s.dial(t, other)
		if err != nil {
			t.Fatal(err)
		}
		if tc.ConnectionState().DidResume {
			t.Errorf("version %x: a session of one server was resumed with another", version)
		}
	}
}

// oneKey takes all servers for one.
type oneKey struct{ tls.ClientSessionCache }

func (o *oneKey) Get(string) (*tls.ClientSessionState, bool) { return o.ClientSessionCache.Get("x") }
func (o *oneKey) Put(_ string, s *tls.ClientSessionState)    { o.ClientSessionCache.Put("x", s) }

func TestConfigurationErrors(t *testing.T) {
	s := newSite(t)
	d := s.dir + "/"
	for _, c := range []struct{ text, want string }{
		{"", `no "ssl_certificate" is defined for the "listen ... ssl" directive in ` + d + "nginx.conf:4"},
		{"ssl_certificate ec.pem;", `no "ssl_certificate_key" is defined for certificate "ec.pem"`},
		{"ssl_certificate none.pem; ssl_certificate_key ec.key;", `cannot load certificate "` + d + `none.pem": BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory:calling fopen(` + d + `none.pem, r) error:10000080:BIO routines::no such file)`},
		{"ssl_certificate junk.pem; ssl_certificate_key ec.key;", `cannot load certificate "` + d + `junk.pem": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE)`},
		{"ssl_certificate ec.pem; ssl_certificate_key junk.pem;", `cannot load certificate key "` + d + `junk.pem": PEM_read_bio_PrivateKey() failed (SSL: error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM)`},
		{"ssl_certificate ec.pem; ssl_certificate_key rsa.key;", `SSL_CTX_use_PrivateKey("` + d + `rsa.key") failed (SSL: error:05800074:x509 certificate routines::key values mismatch)`},
		{pair + "ssl_ciphers FOO;", `SSL_CTX_set_cipher_list("FOO") failed (SSL: error:0A0000B9:SSL routines::no cipher match)`},
		{pair + "ssl_verify_client on;", `no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client`},
		{pair + "ssl_verify_client on; ssl_client_certificate junk.pem;", `SSL_CTX_load_verify_locations("` + d + `junk.pem") failed (SSL: error:05800088:x509 certificate routines::no certificate or crl found)`},
		{pair + "ssl_ecdh_curve foo;", `SSL_CTX_set1_curves_list("foo") failed (SSL: error:0A080106:SSL routines::passed invalid argument:group 'foo' cannot be set)`},
		{pair + "ssl_session_cache foo;", `invalid session cache "foo" in ` + d + "nginx.conf:6"},
		{pair + "ssl_session_cache shared:a:1k;", `session cache "shared:a:1k" is too small in ` + d + "nginx.conf:6"},
		{pair + "ssl_session_cache shared:a:1m; } server { listen 127.0.0.1:8081 ssl; ssl_session_cache shared:a:2m; " + pair, `the size 2097152 of shared memory zone "a" conflicts with already declared size 1048576 in ` + d + "nginx.conf:6"},
		{pair + "ssl_ciphers DEFAULT@SECLEVEL=0;", ""},
		{pair + "ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256:@STRENGTH;", ""},
		{pair + "ssl_session_ticket_key junk.pem;", `"` + d + `junk.pem" must be 48 or 80 bytes in ` + d + "nginx.conf:6"},
		{pair + "ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256:NEW-ONE; ssl_protocols SSLv3 TLSv1.2; ssl_prefer_server_ciphers on; ssl_session_cache shared:SSL:10m; ssl_session_timeout 1d; ssl_buffer_size 4k;", ""},
	} {
		_, err := enginetest.LoadIn(t, s.dir, modules.Set(), "\n"+one(c.text), nil)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestPasswords(t *testing.T) {
	s := newSite(t)
	//lint:ignore SA1019 servers have keys of this form
	block, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", ecDER(t, s.server.Key), []byte("second"), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "enc.key", string(pem.EncodeToMemory(block)))
	s.write(t, "pass", "first\r\nsecond\n")
	s.start(t, one("ssl_certificate ec.pem; ssl_certificate_key enc.key; ssl_password_file pass; return 200 ok;"))
	if got := enginetest.Body(s.get(t, nil, "/")); got != "ok" {
		t.Errorf("%q", got)
	}
	s.write(t, "pass", "third\n")
	if _, err := enginetest.LoadIn(t, s.dir, modules.Set(), one("ssl_certificate ec.pem; ssl_certificate_key enc.key; ssl_password_file pass;"), nil); err == nil || !strings.Contains(err.Error(), "maybe wrong password") {
		t.Error(err)
	}
}

func ecDER(t testing.TB, k crypto.Signer) []byte {
	der, err := x509.MarshalECPrivateKey(k.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return der
}
