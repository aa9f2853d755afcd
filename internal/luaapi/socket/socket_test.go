package socket_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/resolve/resolvetest"
	"moongate/internal/testkit"
	"moongate/internal/testkit/cert"
)

// echo serves lines: each comes back; "quit" closes, "many" sends 100,000 bytes and a line.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for {
				line, err := r.ReadString('\n')
				switch {
				case err != nil, line == "quit\n":
					return
				case line == "many\n":
					line = strings.Repeat("x", 100000) + "\n"
				}
				io.WriteString(c, line)
			}
		}()
	}
}

func listen(t *testing.T, network, addr string) net.Listener {
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go echo(l)
	return l
}

// run runs code in a content handler: connect(sock) connects to the echo server.
func run(t *testing.T, server, code string) string {
	t.Helper()
	s := enginetest.Start(t, modules.Set(), "location / { lua_socket_log_errors off; content_by_lua_block {\n"+
		"local function connect(sock, opt) return assert(sock:connect("+server+", opt)) end\n"+code+"} }")
	return enginetest.Body(s.Raw("GET / HTTP/1.0\r\n\r\n"))
}

func TestTCP(t *testing.T) {
	testkit.LeakCheck(t)
	l := listen(t, "tcp", "127.0.0.1:0")
	server := fmt.Sprintf("\"127.0.0.1\", %d", l.Addr().(*net.TCPAddr).Port)
	for _, c := range []struct{ code, want string }{
		{`local s = ngx.socket.tcp() connect(s) ngx.print(s:send{"a", {1, "b"}, 2.5, "\r\n"}, s:receive())`, "8a1b2.5"},
		{`local s = ngx.socket.tcp() connect(s) s:send("hello\n") ngx.print(s:receive(2), s:receive("*l"), s:close(), s:close())`, "hello1nilclosed"},
		{`local s = ngx.socket.tcp() connect(s) s:send("a\nb\nquit\n") ngx.print(s:receive("*a"), s:receive("*a"), s:receive())`, "a\nb\nnilclosed"},
		{`local s = ngx.socket.tcp() connect(s) s:send("many\n") ngx.print(#s:receive(99999), s:receive())`, "99999x"},
		{`local s = ngx.socket.tcp() connect(s) s:send("many\n") ngx.print(#s:receive())`, "100000"},
		{`local s = ngx.socket.tcp() connect(s) s:send("abc\n") ngx.print(s:receiveany(2), s:receiveany(10))`, "abc\n"},
		{`local s = ngx.socket.tcp() connect(s) s:send("a--b--c\n") local it = s:receiveuntil("--") ngx.print(it(), it(), s:receive())`, "abc"},
		{`local s = ngx.socket.tcp() connect(s) s:send("abcdef--g\n") local it = s:receiveuntil("--", {inclusive = true})
			ngx.print(it(4), " ", it(4), " ", it(4), " ", s:receive())`, "abcd ef-- nil g"},
		{`local s = ngx.socket.tcp() connect(s) s:send("a-\n") s:settimeout(2000) local it = s:receiveuntil("--")
			ngx.print(it())`, "niltimeouta-\n"},
		{`local s = ngx.socket.tcp() connect(s) s:settimeout(2000) s:send("ab\ncd\n") s:receive() ngx.print(s:receive(9))`, "niltimeoutcd\n"},
		{`local s = ngx.socket.tcp() ngx.print(s:connect("127.0.0.1", 1)) ngx.print(s:send("x"))`, "nilconnection refusednilclosed"},
		{`local s = ngx.socket.tcp() ngx.print(s:connect("nowhere", 1))`, `nilno resolver defined to resolve "nowhere"`},
		{`local s = ngx.socket.tcp() ngx.print(s:connect("127.0.0.1"))`, "nilmissing the port number"},
		{`local s = ngx.socket.tcp() connect(s) ngx.print(select(2, pcall(s.send, s, {nil, true})))`, "bad argument #2 to '?' (bad data type nil found)"},
		{`local s = ngx.socket.tcp() connect(s) ngx.print(s:setkeepalive(), s:send("x")) connect(s) ngx.print(s:getreusedtimes())
			s:send("x\n") ngx.print(s:receive()) s:close()`, "1nilclosed1x"},
		{`local s = ngx.socket.tcp() connect(s) s:send("ab\n") s:receive(1) ngx.print(s:setkeepalive())`, "nilunread data in buffer"},
		{`local s, t = ngx.socket.tcp(), ngx.socket.tcp() local o = {pool = "p", pool_size = 1, backlog = 0}
			connect(s, o) ngx.print(t:connect(` + server + `, o)) s:setkeepalive() ngx.print(t:connect(` + server + `, o), t:getreusedtimes())`,
			"niltoo many waiting connect operations11"},
		{`local s, t = ngx.socket.tcp(), ngx.socket.tcp() local o = {pool = "p", pool_size = 1, backlog = 1}
			connect(s, o) local th = ngx.thread.spawn(function() connect(t, o) return t:getreusedtimes() end)
			s:setkeepalive() ngx.print(select(2, ngx.thread.wait(th)))`, "1"},
		{`local s = ngx.socket.tcp() connect(s) local th = ngx.thread.spawn(function() return s:receive() end)
			ngx.print(select(2, s:receive()), " ") s:send("full duplex\n") ngx.print(select(2, ngx.thread.wait(th)))`, "socket busy reading full duplex"},
		{`local s = ngx.socket.tcp() connect(s) local th = ngx.thread.spawn(function() return s:receive() end)
			ngx.thread.kill(th) ngx.sleep(0) ngx.print(s:send("x"))`, "nilclosed"},
		{`local s = ngx.socket.tcp() connect(s) ngx.print(s:setoption("keepalive", true), s:getoption("keepalive"), s:getfd() > 2, s:getoption("x"))`,
			"true1truenilunsupported option x"},
		{`local s = ngx.socket.connect(` + server + `) ngx.print(type(s), s.sock)`, "tablenil"},
		{`ngx.print(select(2, pcall(ngx.socket.tcp().send, "x")))`, "expecting 2 arguments (including the object), but got 1"},
	} {
		if got := run(t, server, c.code); got != c.want {
			t.Errorf("%s: %q, want %q", c.code, got, c.want)
		}
	}
}

func TestUnix(t *testing.T) {
	for _, name := range []string{t.TempDir() + "/sock", fmt.Sprintf("@moongate-test-unix-%d", os.Getpid())} {
		listen(t, "unix", name)
		if got := run(t, `"unix:`+name+`"`, `local s = ngx.socket.stream() connect(s) s:send("x\n") ngx.print(s:receive())`); got != "x" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestUDP(t *testing.T) {
	testkit.LeakCheck(t)
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			c.WriteTo(buf[:n], from)
		}
	}()
	got := run(t, "1", fmt.Sprintf(`local s = ngx.socket.udp() ngx.print(s:send("x")) ngx.print(s:setpeername("127.0.0.1", %d), s:send{"a", "b"}, s:receive(), s:send("cde"), s:receive(2))
		s:settimeout(1) ngx.print(s:receive()) ngx.print(s:close(), s:close())`, c.LocalAddr().(*net.UDPAddr).Port))
	if want := "nilclosed11ab1cdniltimeout1nilclosed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRequestSocket(t *testing.T) {
	for _, c := range []struct{ code, head, body, want string }{
		{`local s = ngx.req.socket() ngx.print(s:receive(2), s:receive(9))`, "Content-Length: 5\r\n", "hello", "henilclosedllo"},
		{`local s = ngx.req.socket() ngx.print(s:receive("*a"), s.send)`, "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcdenil"},
		{`ngx.print(ngx.req.socket())`, "", "", "nilno body"},
		{`ngx.req.read_body() ngx.print(ngx.req.socket())`, "Content-Length: 1\r\n", "x", "nilrequest body already exists"},
		{`local s = ngx.req.socket(true) s:send("HTTP/1.1 200 OK\r\n\r\n" .. s:receive(3)) s:send(select(2, ngx.say("x"))) s:send(select(2, ngx.req.socket(true)))`,
			"Upgrade: x\r\n", "raw", "rawraw request socket acquiredduplicate call"},
	} {
		s := enginetest.Start(t, modules.Set(), "location / { content_by_lua_block { "+c.code+" } }")
		r := s.Raw("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + c.head + "\r\n" + c.body)
		if !strings.Contains(r+"\r\n", "\r\n"+c.want+"\r\n") {
			t.Errorf("%s: %q, want %q", c.code, r, c.want)
		}
	}
}

// certificate writes a self-signed certificate for test.com and gives it with the file's name.
func certificate(t *testing.T) (tls.Certificate, string) {
	dir := t.TempDir()
	p := cert.Authority(t, nil, "test.com", func(c *x509.Certificate) { c.DNSNames = []string{"test.com"} })
	p.Write(t, dir, "ca")
	return p.TLS(), dir + "/ca.pem"
}

func TestTLS(t *testing.T) {
	testkit.LeakCheck(t)
	pair, ca := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go echo(l)
	port := l.Addr().(*net.TCPAddr).Port
	for _, c := range []struct{ conf, code, want string }{
		{"lua_ssl_trusted_certificate " + ca + ";", `ngx.print(type(s:sslhandshake(nil, "test.com", true)), s:send("hello\n"), s:receive())`, "cdata6hello"},
		{"lua_ssl_trusted_certificate " + ca + ";", `ngx.print(s:sslhandshake(false, "other.com", true))`, "nilcertificate host mismatch"},
		{"", `ngx.print(s:sslhandshake(false, "test.com", true))`, "nil18: self-signed certificate"},
		{"", `ngx.print(s:sslhandshake(false), s:send("many\n"), #s:receive())`, "true5100000"},
		{"", `local sess = s:sslhandshake() s:send("x\n") s:receive() s:setkeepalive() assert(s:connect("127.0.0.1", port))
			ngx.print(s:getreusedtimes(), type(s:sslhandshake(sess)), s:send("y\n"), s:receive())`, "1cdata2y"},
		{"", `local sess = s:sslhandshake(nil, "test.com") s:send("x\n") s:receive() s:close() assert(s:connect("127.0.0.1", port))
			ngx.print(type(s:sslhandshake(sess, "test.com")), s:send("y\n"), s:receive(), select(2, s:getsslpointer()) ~= nil)`, "cdata2ytrue"},
	} {
		s := enginetest.Start(t, modules.Set(), c.conf+fmt.Sprintf(`location / { content_by_lua_block { local port = %d local s = ngx.socket.tcp() assert(s:connect("127.0.0.1", port)) %s } }`, port, c.code))
		if got := enginetest.Body(s.Raw("GET / HTTP/1.0\r\n\r\n")); got != c.want {
			t.Errorf("%s: %q, want %q", c.code, got, c.want)
		}
	}
}

// A request that ends, however it does, leaves no descriptor behind.
func TestNothingLeft(t *testing.T) {
	testkit.LeakCheck(t)
	l := listen(t, "tcp", "127.0.0.1:0")
	server := fmt.Sprintf("\"127.0.0.1\", %d", l.Addr().(*net.TCPAddr).Port)
	s := enginetest.Start(t, modules.Set(), `location / { content_by_lua_block {
		local kept = {}
		for i = 1, 10 do kept[i] = ngx.socket.tcp() assert(kept[i]:connect(`+server+`)) end
		ngx.ctx.kept = kept
		ngx.thread.spawn(function() kept[1]:receive() end)
		if ngx.var.arg_how == "error" then error("x") end
		ngx.print("ok") ngx.exit(200)
	} }`)
	for _, how := range []string{"exit", "error", "exit"} {
		s.Get("/?how=" + how)
	}
	s.Do(func(*engine.Worker) {})
}

func TestResolver(t *testing.T) {
	testkit.LeakCheck(t)
	dns := resolvetest.Start(t)
	dns.Set("there.test", resolvetest.Records{Addrs: []string{"127.0.0.1"}, TTL: 60})
	l := listen(t, "tcp", "127.0.0.1:0")
	conf := fmt.Sprintf(`resolver %s ipv6=off; location / { lua_socket_log_errors off; content_by_lua_block {
		local s = ngx.socket.tcp() ngx.print(s:connect("there.test", %d), s:send("x\n"), s:receive(), s:connect("absent.test", 1)) } }`,
		dns.Addr, l.Addr().(*net.TCPAddr).Port)
	s := enginetest.Start(t, modules.Set(), conf)
	if got, want := enginetest.Body(s.Raw("GET / HTTP/1.0\r\n\r\n")), "12xnilabsent.test could not be resolved (3: Host not found)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
