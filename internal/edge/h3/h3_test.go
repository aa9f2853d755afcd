package h3_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit"
	"moongate/internal/testkit/cert"
)

// start serves with a certificate for localhost, and gives a client.
func start(t *testing.T, directives string) (*enginetest.Server, *http.Client) {
	t.Helper()
	dir := t.TempDir()
	cert.Issue(t, nil, "localhost", func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "other.test") }).Write(t, dir, "c")
	s := enginetest.StartIn(t, dir, modules.Set(), `
		ssl_certificate c.pem; ssl_certificate_key c.key;
		log_format f "$request $status $http3 $server_name";
		access_log logs/access.log f;
		server {
			listen 127.0.0.1:8080 quic; listen 127.0.0.1:8080 ssl; server_name localhost;
			`+directives+`
		}
		server { listen 127.0.0.1:8080 quic; server_name other.test; return 200 other; }`)
	tr := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}}
	t.Cleanup(func() { tr.Close() })
	return s, &http.Client{Transport: tr, Timeout: time.Minute}
}

func do(t *testing.T, c *http.Client, req *http.Request, err error) (*http.Response, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestRequests(t *testing.T) {
	s, c := start(t, `
		client_max_body_size 1m; client_body_buffer_size 1m;
		location / { return 200 "$request $http3 $scheme $http_host\n"; }
		location /lua { content_by_lua_block {
			ngx.req.read_body()
			ngx.header["X-Method"] = ngx.req.get_method()
			ngx.say(ngx.req.http_version(), " ", #(ngx.req.get_body_data() or ""))
		} }
		location /stream { content_by_lua_block {
			local sock = assert(ngx.req.socket())
			while true do
				local line = sock:receive()
				if not line then return end
				ngx.say(line:upper()) ngx.flush(true)
			end
		} }
		location /raw { content_by_lua_block { ngx.print((ngx.req.raw_header():gsub("user%-agent[^\r\n]*\r\n", ""))) } }
		location /trailer { add_trailer X-End $status; return 200 body; }
		location /file { root .; }`)
	url := "https://" + s.Addr("")
	big := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	if err := os.WriteFile(filepath.Join(s.Dir, "file"), big, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ method, uri, body, want string }{
		{"GET", "/a?b", "", "200 GET /a?b HTTP/3.0 h3 https " + s.Addr("") + "\n"},
		{"POST", "/lua", strings.Repeat("x", 100_000), "200 3 100000\n"},
		{"POST", "/lua", "", "200 3 0\n"},
		{"HEAD", "/lua", "", "200 "},
		{"GET", "/raw", "", "200 GET /raw HTTP/3.0\r\naccept-encoding: gzip\r\nhost: " + s.Addr("") + "\r\n\r\n"},
		{"POST", "/stream", "a\nbc\n", "200 A\nBC\n"},
		{"POST", "/lua", strings.Repeat("x", 2_000_000), "413 "},
	} {
		req, err := http.NewRequest(x.method, url+x.uri, strings.NewReader(x.body))
		res, body := do(t, c, req, err)
		if got := fmt.Sprint(res.StatusCode, " ", body); got != x.want && !(x.want == "413 " && strings.HasPrefix(got, x.want)) {
			t.Errorf("%s %s: %q, want %q\n%s", x.method, x.uri, got, x.want, s.ErrorLog())
		}
	}
	req, err := http.NewRequest("GET", url+"/trailer", nil)
	if res, body := do(t, c, req, err); body != "body" || res.Trailer.Get("X-End") != "200" {
		t.Errorf("trailers: %q, %v", body, res.Trailer)
	}
	req, err = http.NewRequest("GET", url+"/file", nil)
	if res, body := do(t, c, req, err); body != string(big) || res.ContentLength != int64(len(big)) {
		t.Errorf("a file of %d bytes came as %d of %d", len(big), len(body), res.ContentLength)
	}
	testkit.Eventually(t, "the last request is logged", func() bool {
		return strings.Contains(s.File("logs/access.log"), "GET /file HTTP/3.0 200 h3 localhost\n")
	})
}

// What the server says comes before the client has said all, and both go on.
func TestBothWays(t *testing.T) {
	s, c := start(t, `location / { content_by_lua_block {
		local sock = assert(ngx.req.socket())
		ngx.say("hello") ngx.flush(true)
		ngx.say("got ", sock:receive())
	} }`)
	pr, pw := io.Pipe()
	req, err := http.NewRequest("POST", "https://"+s.Addr(""), pr)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 6)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "hello\n" {
		t.Fatalf("%q, %v", first, err)
	}
	io.WriteString(pw, "more\n")
	rest, err := io.ReadAll(res.Body)
	if pw.Close(); err != nil || string(rest) != "got more\n" {
		t.Fatalf("%q, %v", rest, err)
	}
}

// A name of another server is served by that one; a reload serves connections that are open.
func TestNamesAndReload(t *testing.T) {
	text := func(word string) string {
		return `ssl_certificate c.pem; ssl_certificate_key c.key;
		server { listen 127.0.0.1:8080 quic; server_name localhost; return 200 ` + word + `; }
		server { listen 127.0.0.1:8080 quic; server_name off.test; http3 off; return 200 no; }`
	}
	s, c := start(t, "return 200 one;")
	ask := func(host string) string {
		req, err := http.NewRequest("GET", "https://"+s.Addr(""), nil)
		if err == nil {
			req.Host = host
		}
		res, body := do(t, c, req, err)
		return fmt.Sprint(res.StatusCode, " ", body)
	}
	if got := ask("localhost") + " " + ask("other.test"); got != "200 one 200 other" {
		t.Fatal(got)
	}
	if err := s.Reload(text("two")); err != nil {
		t.Fatal(err)
	}
	if got := ask("localhost"); got != "200 two" {
		t.Fatal(got)
	}
	if got := ask("off.test"); !strings.HasPrefix(got, "421") {
		t.Fatal(got)
	}
}

// TestSocketIsClosed: once an address is not listened on and its last connection has ended, its socket is not used any more.
func TestSocketIsClosed(t *testing.T) {
	s, c := start(t, "return 200 one;")
	req, err := http.NewRequest("GET", "https://"+s.Addr(""), nil)
	if _, body := do(t, c, req, err); body != "one" {
		t.Fatal(body)
	}
	_, port, _ := net.SplitHostPort(s.Addr(""))
	if n := descriptors(t, port); n != 2 { // the process's and the endpoint's
		t.Fatalf("%d descriptors", n)
	}
	if err := s.Reload("ssl_certificate c.pem; ssl_certificate_key c.key; server { listen 127.0.0.1:8080 ssl; return 200 two; }"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "only the process has the socket", func() bool { return descriptors(t, port) == 1 })
}

// descriptors counts those of this process that are sockets for datagrams to a port.
func descriptors(t *testing.T, port string) (n int) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range fds {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		sa, err := syscall.Getsockname(fd)
		if in, ok := sa.(*syscall.SockaddrInet4); err != nil || !ok || strconv.Itoa(in.Port) != port {
			continue
		}
		if kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE); err == nil && kind == syscall.SOCK_DGRAM {
			n++
		}
	}
	return n
}

func TestConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"server { listen 127.0.0.1:8080 quic ssl; }":     `"ssl" parameter is incompatible with "quic"`,
		"server { listen 127.0.0.1:8080 quic http2; }":   `"http2" parameter is incompatible with "quic"`,
		"server { listen 127.0.0.1:8080 quic; }":         `no "ssl_certificate" is defined for the "listen ... ssl" directive`,
		"server { listen 127.0.0.1:8080; http3_hq on; }": `HTTP/0.9 over QUIC is not supported`,
	} {
		if _, err := enginetest.Load(t, modules.Set(), text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
}
