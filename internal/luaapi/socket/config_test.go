package socket_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit"
	"moongate/internal/testkit/cert"
)

// full is a port whose queue of connections is full, so that connecting takes for ever.
func full(t *testing.T) int {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, _ := syscall.Getsockname(fd)
	for range 4 {
		c, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(c) })
		syscall.Connect(c, sa)
	}
	return sa.(*syscall.SockaddrInet4).Port
}

// silent is a port where connections are taken and nothing else happens.
func silent(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// Directives about sockets, which what the code sets itself overrides.
func TestDirectives(t *testing.T) {
	testkit.LeakCheck(t)
	l := listen(t, "tcp", "127.0.0.1:0")
	ports := fmt.Sprintf("local echo, silent, full = %d, %d, %d\n", l.Addr().(*net.TCPAddr).Port, silent(t), full(t))
	for _, c := range []struct{ conf, code, want string }{
		{"lua_socket_connect_timeout 20ms;", `ngx.print(s:connect("127.0.0.1", full))`, "niltimeout"},
		{"lua_socket_connect_timeout 1h;", `s:settimeouts(20, nil, nil) ngx.print(s:connect("127.0.0.1", full))`, "niltimeout"},
		{"lua_socket_read_timeout 20ms;", `assert(s:connect("127.0.0.1", silent)) ngx.print(s:receive(1))`, "niltimeout"},
		{"lua_socket_read_timeout 1h;", `assert(s:connect("127.0.0.1", silent)) s:settimeout(20) ngx.print(s:receiveany(1))`, "niltimeout"},
		{"lua_socket_send_timeout 20ms;", `assert(s:connect("127.0.0.1", silent)) ngx.print(s:send(("x"):rep(50 * 2^20)))`, "niltimeout"},
		{"lua_socket_send_timeout 20ms; lua_socket_send_lowat 1k;", `assert(s:connect("127.0.0.1", echo)) ngx.print(s:send("a\n"), s:receive())`, "2a"},
		{"lua_socket_buffer_size 1;", `assert(s:connect("127.0.0.1", echo)) s:send("many\nabc--def--\n")
			ngx.print(#s:receive(), " ", s:receiveuntil("--")(), " ", s:receiveuntil("--", {inclusive = true})(), #s:receive())`, "100000 abc def--0"},
		{"lua_socket_pool_size 1;", `local o = ngx.socket.tcp() assert(s:connect("127.0.0.1", echo)) assert(o:connect("127.0.0.1", echo))
			s:setkeepalive() o:setkeepalive() -- which drops the other
			assert(s:connect("127.0.0.1", echo)) assert(o:connect("127.0.0.1", echo))
			ngx.print(s:getreusedtimes(), o:getreusedtimes())`, "10"},
		{"lua_socket_pool_size 1;", `local o = ngx.socket.tcp() assert(s:connect("127.0.0.1", echo, {pool_size = 2})) assert(o:connect("127.0.0.1", echo))
			s:setkeepalive() o:setkeepalive()
			assert(s:connect("127.0.0.1", echo)) assert(o:connect("127.0.0.1", echo))
			ngx.print(s:getreusedtimes(), o:getreusedtimes())`, "11"},
		{"lua_socket_keepalive_timeout 10ms;", `local n
			for i = 1, 100 do -- until an idle connection was closed before it was wanted
				assert(s:connect("127.0.0.1", echo))
				n = s:getreusedtimes()
				if i > 1 and n == 0 then break end
				s:setkeepalive()
				ngx.sleep(0.01 * i)
			end
			ngx.print(n)`, "0"},
		{"", `assert(s:connect("127.0.0.1", echo, {pool = "one"})) s:setkeepalive()
			assert(s:connect("127.0.0.1", echo, {pool = "two"})) ngx.print(s:getreusedtimes()) s:close()
			assert(s:connect("127.0.0.1", echo, {pool = "one"})) ngx.print(s:getreusedtimes())`, "01"},
		{"", `local a, b = ngx.socket.tcp(), ngx.socket.tcp()
			local o = {pool_size = 1, backlog = 1}
			assert(s:connect("127.0.0.1", echo, o))
			local waits = ngx.thread.spawn(function() assert(a:connect("127.0.0.1", echo, o)) return a:getreusedtimes() end)
			ngx.print(b:connect("127.0.0.1", echo, o))
			s:setkeepalive()
			ngx.print(ngx.thread.wait(waits))`, "niltoo many waiting connect operationstrue1"},
		{"", `local a = ngx.socket.tcp() a:settimeout(20)
			local o = {pool_size = 1, backlog = 1}
			assert(s:connect("127.0.0.1", echo, o))
			ngx.print(a:connect("127.0.0.1", echo, o))`, "niltimeout"},
		{"", `ngx.print(s:bind("127.0.0.9")) assert(s:connect("127.0.0.1", ngx.var.server_port))
			s:send("GET /from HTTP/1.0\r\n\r\n") ngx.print(s:receive("*a"):match("127.*"))`, "true127.0.0.9"},
		{"", `ngx.print(s:bind("nobody"))`, "nilbad address"},
		{"", `s = ngx.socket.udp() ngx.print(s:bind("127.0.0.9")) ngx.print(s:setpeername("127.0.0.1", 9))`, "11"},
		{"", `assert(s:connect("127.0.0.1", echo))
			for _, o in ipairs {"keepalive", "reuseaddr", "tcp-nodelay"} do
				ngx.print(s:setoption(o, true), s:getoption(o), s:setoption(o, 0), s:getoption(o), " ")
			end
			ngx.print(s:setoption("rcvbuf", 8192), s:getoption("rcvbuf") >= 8192, s:setoption("sndbuf", 8192), s:getoption("sndbuf") >= 8192)`,
			"true1true0 true1true0 true1true0 truetruetruetrue"},
		{"", `assert(s:connect("127.0.0.1", echo)) ngx.print(s:setoption("nothing", 1))`, "nilunsupported option nothing"},
		{"", `assert(s:connect("127.0.0.1", echo)) ngx.print(s:send({"a", {1, {"b"}, 2.5}, "\n"}), s:receive())`, "7a1b2.5"},
		{"", `assert(s:connect("127.0.0.1", echo)) local ok, err = pcall(function() s:send({"a", {true}}) end) ngx.print(ok, err:match("bad .*"))`, `falsebad argument #1 to 'send' (bad data type boolean found)`},
	} {
		s := enginetest.Start(t, modules.Set(), "location /from { content_by_lua_block { ngx.print(ngx.var.remote_addr) } } location / { lua_socket_log_errors off; "+
			c.conf+"content_by_lua_block { local s = ngx.socket.tcp()\n"+ports+c.code+"} }")
		if got := enginetest.Body(s.Raw("GET / HTTP/1.0\r\n\r\n")); got != c.want {
			t.Errorf("%s %s:\n%q, want\n%q\n%s", c.conf, c.code, got, c.want, s.ErrorLog())
		}
	}
}

// Sockets with a name that is no file.
func TestAbstract(t *testing.T) {
	name := fmt.Sprintf("@moongate-test-%d", os.Getpid())
	listen(t, "unix", name)
	for _, kind := range []string{"ngx.socket.tcp()", "ngx.socket.stream()"} {
		code := `local s = ` + kind + ` assert(s:connect("unix:` + name + `")) ngx.print(s:send("x\n"), s:receive())`
		if got := run(t, `""`, code); got != "2x" {
			t.Errorf("%s: %q", kind, got)
		}
	}
}

// /etc/hosts counts with "resolver local=on".
func TestHosts(t *testing.T) {
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil || !strings.Contains(string(hosts), "localhost") {
		t.Skip("this machine's /etc/hosts has no localhost")
	}
	l := listen(t, "tcp", "127.0.0.1:0")
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`resolver local=on ipv6=off; location / { lua_socket_log_errors off; content_by_lua_block {
		local s = ngx.socket.tcp() ngx.print(s:connect("localhost", %d), s:send("x\n"), s:receive()) } }`, l.Addr().(*net.TCPAddr).Port))
	if got := enginetest.Body(s.Raw("GET / HTTP/1.0\r\n\r\n")); got != "12x" {
		t.Errorf("%q\n%s", got, s.ErrorLog())
	}
}

// Directives about TLS with servers: the server answers with what it sees. (Files of lua_ssl_key_log close with the garbage.)
func TestTLSDirectives(t *testing.T) {
	dir := t.TempDir()
	ca := cert.Authority(t, nil, "ca")
	middle := cert.Authority(t, ca, "middle")
	leaf := cert.Issue(t, middle, "test.com")
	direct := cert.Issue(t, ca, "direct.com")
	cert.WriteFile(t, dir, "ca.pem", cert.Chain(ca))
	cert.WriteFile(t, dir, "revoked.pem", cert.Revoked(t, ca, direct))
	cert.Issue(t, ca, "client").Write(t, dir, "client")
	cfg := &tls.Config{ClientAuth: tls.RequestClientCert, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := leaf.TLS(middle)
		if h.ServerName == "direct.com" {
			c = direct.TLS()
		}
		return &c, nil
	}}
	addr := testkit.Listen(t, func(plain net.Conn) {
		c := tls.Server(plain, cfg)
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			return
		}
		st := c.ConnectionState()
		who := "nobody"
		if len(st.PeerCertificates) > 0 {
			who = st.PeerCertificates[0].Subject.CommonName
		}
		io.WriteString(c, strings.Join([]string{tls.VersionName(st.Version), tls.CipherSuiteName(st.CipherSuite), st.ServerName, who}, " ")+"\n")
	})
	const trusts = "lua_ssl_trusted_certificate ca.pem; "
	for _, c := range []struct{ conf, code, want string }{
		{trusts, `ngx.print(s:sslhandshake(false, "test.com", true)) s:send("\n") ngx.print(s:receive())`, "trueTLS 1.3 "},
		{"lua_ssl_protocols TLSv1.2; lua_ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384;", `assert(s:sslhandshake(false, "test.com")) s:send("\n") ngx.print(s:receive())`,
			"TLS 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 test.com nobody"},
		{"lua_ssl_conf_command MaxProtocol TLSv1.2; lua_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;", `assert(s:sslhandshake(false, "test.com")) s:send("\n") ngx.print(s:receive())`,
			"TLS 1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 test.com nobody"},
		{"lua_ssl_certificate client.pem; lua_ssl_certificate_key client.key;", `assert(s:sslhandshake(false, "test.com")) s:send("\n") ngx.print(s:receive():match("%S+$"))`, "client"},
		{trusts + "lua_ssl_verify_depth 0;", `ngx.print(s:sslhandshake(false, "test.com", true))`, "nil20: unable to get local issuer certificate"},
		{trusts + "lua_ssl_verify_depth 0;", `ngx.print(s:sslhandshake(false, "direct.com", true))`, "true"},
		{trusts + "lua_ssl_crl revoked.pem;", `ngx.print(s:sslhandshake(false, "direct.com", true))`, "nil23: certificate revoked"},
		{"lua_ssl_key_log keys.log;", `ngx.print(s:sslhandshake(false, "test.com"))`, "true"},
	} {
		s := enginetest.StartIn(t, dir, modules.Set(), c.conf+fmt.Sprintf(`location / { lua_socket_log_errors off; content_by_lua_block {
			local s = ngx.socket.tcp() assert(s:connect("127.0.0.1", %d)) %s } }`, addr.(*net.TCPAddr).Port, c.code))
		if got := enginetest.Body(s.Raw("GET / HTTP/1.0\r\n\r\n")); !strings.HasPrefix(got, c.want) || c.want == "" {
			t.Errorf("%s %s:\n%q, want\n%q\n%s", c.conf, c.code, got, c.want, s.ErrorLog())
		}
	}
	if keys, _ := os.ReadFile(filepath.Join(dir, "keys.log")); !strings.Contains(string(keys), "CLIENT_") {
		t.Errorf("lua_ssl_key_log wrote %q", keys)
	}
}

// settrustedstore takes a store of OpenSSL in place of the configuration's certificates.
func TestTrustedStore(t *testing.T) {
	if found, _ := filepath.Glob("/usr/lib/*/libcrypto.so*"); found == nil {
		t.Skip("no libcrypto on this machine")
	}
	ca := cert.Authority(t, nil, "ca")
	pair := cert.Issue(t, ca, "test.com").TLS()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go echo(l)
	code := fmt.Sprintf(`
		local ffi = require "ffi"
		ffi.cdef [[
			typedef struct x509_store_st X509_STORE;
			X509_STORE *X509_STORE_new(void);
			void X509_STORE_free(X509_STORE *s);
			int X509_STORE_add_cert(X509_STORE *s, void *x);
			void *d2i_X509(void **x, const unsigned char **in, long len);
			void X509_free(void *x);
		]]
		local der = ngx.decode_base64(%q)
		local at = ffi.new("const unsigned char *[1]", ffi.cast("const unsigned char *", der))
		local x = ffi.C.d2i_X509(nil, at, #der)
		local store = ffi.gc(ffi.C.X509_STORE_new(), ffi.C.X509_STORE_free)
		ffi.C.X509_STORE_add_cert(store, x)
		ffi.C.X509_free(x)
		local s = ngx.socket.tcp()
		ngx.say(s:settrustedstore(store))
		for _, st in ipairs {store, false} do
			assert(connect(s, {pool = tostring(st)}))
			if st then ngx.say(s:settrustedstore(st)) end
			ngx.say(s:sslhandshake(false, "test.com", true))
			if st then ngx.say(s:settrustedstore(st)) end
			s:close()
		end`, base64.StdEncoding.EncodeToString(ca.Cert.Raw))
	got := run(t, fmt.Sprintf(`"127.0.0.1", %d`, l.Addr().(*net.TCPAddr).Port), code)
	want := "nilclosed\ntrue\ntrue\nnilssl handshake already done; trusted store cannot be changed on an established TLS connection\n" +
		"nil20: unable to get local issuer certificate\n"
	if got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}
