package h2_test

import (
	"fmt"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/http2"
	"moongate/internal/modules"
	"moongate/internal/testkit/cert"
)

func TestResponses(t *testing.T) {
	_, addr := start(t, `
		location / { return 200 "hello"; }
		location /empty { return 204; }
		location /redirect { return 302 /there; }
		location /refused { return 444; }
		location /vars { return 200 "$server_protocol $http2 $request_method $request_uri $http_host $scheme $connection_requests"; }
		location /lua { content_by_lua_block {
			ngx.header["Connection"] = "close" ngx.header["X-Mixed-Case"] = "Value" ngx.header["Set-Cookie"] = {"a=1", "b=2"}
			ngx.say(ngx.req.http_version()) ngx.flush(true) ngx.sleep(0.01) ngx.say("more") } }
		location /trailers { add_trailer X-After "$bytes_sent-"; return 200 body; }
		location /echo { echo_read_request_body; echo_request_body; }
		location /sub { echo_subrequest GET /vars; echo_location /; }
		location /cookies { return 200 $http_cookie; }`)
	c := dial(t, addr)
	for _, x := range []struct{ path, status, body string }{
		{"/", "200", "hello"},
		{"/empty", "204", ""},
		{"/vars?a=b", "200", "HTTP/2.0 h2c GET /vars?a=b localhost http 3"},
		{"/lua", "200", "2\nmore\n"},
		{"/sub", "200", "HTTP/2.0 h2c GET /sub localhost http 5hello"},
		{"/nothing/../", "200", "hello"},
		{"/%zz", "400", ""},
	} {
		r := c.response(c.get(x.path))
		if r.fields[":status"] != x.status || x.body != "" && r.body != x.body || r.reset != nil {
			t.Errorf("%s: %v", x.path, r)
		}
		if x.path == "/lua" && (r.fields["x-mixed-case"] != "Value" || r.fields["connection"] != "" || r.fields["set-cookie"] != "a=1b=2") {
			t.Errorf("fields %v", r.fields)
		}
	}
	if r := c.response(c.get("/redirect")); r.fields["location"] != "http://localhost:"+addr[strings.LastIndexByte(addr, ':')+1:]+"/there" {
		t.Error(r)
	}
	if r := c.response(c.get("/", ":method: HEAD")); r.fields["content-length"] != "5" || r.body != "" || r.frames != 0 {
		t.Error("HEAD:", r)
	}
	if r := c.response(c.get("/trailers")); r.body != "body" || !strings.HasSuffix(r.trailers["x-after"], "-") {
		t.Error("trailers:", r)
	}
	if r := c.response(c.get("/cookies", "cookie: a=b", "cookie: c=d")); r.body != "a=b; c=d" {
		t.Error("cookies:", r)
	}
	if r := c.response(c.get("/refused")); r.reset == nil || *r.reset != http2.InternalError {
		t.Error("444:", r)
	}
	c.ping()
}

func TestRequestBodies(t *testing.T) {
	_, addr := start(t, `
		client_max_body_size 1m;
		location / { content_by_lua_block { ngx.req.read_body() local d = ngx.req.get_body_data() or "" 
			local f = ngx.req.get_body_file() if f then d = io.open(f):read("*a") end ngx.say(#d, " ", d:sub(-3)) } }
		location /early { return 200 early; }
		location /sock { content_by_lua_block { local s = assert(ngx.req.socket()) local n = 0
			while true do local d, err, p = s:receive(1000) n = n + #(d or p or "") if not d then break end end ngx.say(n) } }`)
	c := dial(t, addr, http2.Setting{ID: http2.InitialWindowSize, Value: 1 << 20})
	// A body in pieces and padding, without length; trailers end it.
	p := c.head("/", 0)
	p = http2.AppendData(p, c.last, []byte("abc"), 0)
	p = append(http2.AppendHeader(p, 7, http2.Data, http2.Padded, c.last), 3, 'd', 'e', 'f', 0, 0, 0)
	p = http2.AppendHeaders(p, c.last, []byte{0, 1, 'x', 1, 'y'}, http2.EndStream, 100)
	c.write(p)
	if r := c.response(c.last); r.body != "6 def\n" {
		t.Error(r)
	}
	// A large one, as the window allows.
	for _, path := range []string{"/", "/sock"} {
		c.write(c.head(path, 0, "content-length: 600000"))
		id, left, window := c.last, 600000, 65536
		for left > 0 {
			for window > 0 && left > 0 {
				n := min(window, left, 16384)
				left, window = left-n, window-n
				flags := http2.Flags(0)
				if left == 0 {
					flags = http2.EndStream
				}
				c.write(http2.AppendData(nil, id, make([]byte, n), flags))
			}
			if left > 0 {
				f, _ := c.until(func(f frame) bool { return f.Type == http2.WindowUpdate && f.Stream == id })
				n, _ := http2.WindowUpdatePayload(f.FrameHeader, f.p)
				window += int(n)
			}
		}
		if r := c.response(id); !strings.HasPrefix(r.body, "600000") {
			t.Error(path, r)
		}
	}
	// Too large, by length and by what comes.
	c.write(c.head("/", 0, "content-length: 2000000"))
	if r := c.response(c.last); r.fields[":status"] != "413" {
		t.Error(r)
	}
	// The answer comes before the body: the client is told to stop.
	c.write(c.head("/early", 0))
	id := c.last
	if r := c.response(id); r.body != "early" || r.reset != nil {
		t.Error(r)
	}
	f, _ := c.until(func(f frame) bool { return f.Type == http2.RSTStream && f.Stream == id })
	if code, _ := http2.RSTStreamPayload(f.FrameHeader, f.p); code != http2.NoError {
		t.Error(code)
	}
	c.write(http2.AppendData(nil, id, []byte("late"), http2.EndStream)) // was on its way
	c.ping()
	// More and less than announced.
	c.write(http2.AppendData(c.head("/", 0, "content-length: 3"), c.last, []byte("four"), http2.EndStream))
	if r := c.response(c.last); r.fields[":status"] != "400" {
		t.Error(r)
	}
	c.write(http2.AppendData(c.head("/", 0, "content-length: 5"), c.last, []byte("four"), http2.EndStream))
	if r := c.response(c.last); r.fields[":status"] != "400" {
		t.Error(r)
	}
	// Expect: 100-continue.
	c.write(c.head("/", 0, "expect: 100-continue", "content-length: 3"))
	f, _ = c.until(func(f frame) bool { return f.Type == http2.Headers })
	if f.fields[":status"] != "100" || f.Has(http2.EndStream) {
		t.Error(f)
	}
	c.write(http2.AppendData(nil, c.last, []byte("yes"), http2.EndStream))
	if r := c.response(c.last); r.body != "3 yes\n" {
		t.Error(r)
	}
}

// TestFlowControl takes large responses through narrow windows, two at a time.
func TestFlowControl(t *testing.T) {
	dir := t.TempDir()
	cert.Issue(t, nil, "localhost").Write(t, dir, "c")
	want := strings.Repeat("0123456789abcdef", 20000)
	os.MkdirAll(filepath.Join(dir, "html"), 0o755)
	if err := os.WriteFile(filepath.Join(dir, "html/file"), []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
	s := enginetest.StartIn(t, dir, modules.Set(), `server { listen 127.0.0.1:8080; listen 127.0.0.1:8081 ssl; http2 on; ssl_certificate c.pem; ssl_certificate_key c.key;
		location / { root html; } location /lua { content_by_lua_block { for i = 1, 20 do ngx.print(string.rep("0123456789abcdef", 1000)) end } } }`)
	for _, secure := range []bool{false, true} {
		var c *client
		if secure {
			c = dialTLS(t, s.Addr("127.0.0.1:8081"))
		} else {
			c = dial(t, s.Addr("127.0.0.1:8080"))
		}
		c.write(append(c.head("/file", http2.EndStream), c.head("/lua", http2.EndStream)...))
		bodies := map[uint32]string{}
		window, ended := 65535, 0
		for ended < 2 {
			f, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if f.Type != http2.Data {
				continue
			}
			bodies[f.Stream] += string(f.p)
			if window -= len(f.p); window < 0 {
				t.Fatal("the window does not count")
			}
			if f.Has(http2.EndStream) {
				ended++
			} else if len(f.p) > 0 {
				c.write(http2.AppendWindowUpdate(http2.AppendWindowUpdate(nil, 0, int64(len(f.p))), f.Stream, int64(len(f.p))))
				window += len(f.p)
			}
		}
		if bodies[1] != want || bodies[3] != want {
			t.Errorf("TLS %v: %d and %d bytes", secure, len(bodies[1]), len(bodies[3]))
		}
	}
}

func TestConcurrentStreams(t *testing.T) {
	_, addr := start(t, `
		location /slow { content_by_lua_block { while not package.loaded.go do ngx.sleep(0.001) end ngx.print(ngx.var.arg_n) } }
		location / { content_by_lua_block { package.loaded.go = true ngx.print("fast") } }`)
	c := dial(t, addr)
	var p []byte
	for i := range 20 {
		p = append(p, c.head(fmt.Sprintf("/slow?n=%d", i), http2.EndStream)...)
	}
	c.write(append(p, c.head("/", http2.EndStream)...))
	order := []uint32{}
	for len(order) < 21 {
		f, _ := c.until(func(f frame) bool { return f.Type == http2.Data && f.Has(http2.EndStream) })
		order = append(order, f.Stream)
	}
	if order[0] != 41 {
		t.Error("the request that does not wait is answered last:", order)
	}
}

func TestRefusedHeads(t *testing.T) {
	s, addr := start(t, `location / { return 200 ok; }`)
	for _, x := range []struct {
		fields []string
		status string
		log    string
	}{
		{[]string{":path: "}, "400", "client sent empty :path header"},
		{[]string{":path: x"}, "400", `client sent invalid :path header: "x"`},
		{[]string{":method: GE T"}, "400", `client sent invalid method: "GE T"`},
		{[]string{":scheme: 1"}, "400", `client sent invalid :scheme header: "1"`},
		{[]string{":authority: a/b"}, "400", `client sent invalid ":authority" header`},
		{[]string{":what: x"}, "400", `client sent unknown pseudo-header ":what"`},
		{[]string{":method: TRACE"}, "405", "client sent TRACE method"},
		{[]string{":method: CONNECT"}, "405", "client sent CONNECT method"},
		{[]string{"connection: close"}, "400", `client sent "Connection" header`},
		{[]string{"upgrade: x"}, "400", `client sent "Upgrade" header`},
		{[]string{"transfer-encoding: chunked"}, "400", `client sent "Transfer-Encoding" header`},
		{[]string{"te: gzip"}, "400", `client sent invalid "TE" header`},
		{[]string{"te: trailers"}, "200", ""},
		{[]string{"host: other"}, "400", `client sent ":authority" and "Host" headers with different values`},
		{[]string{"content-length: x"}, "400", `client sent invalid "Content-Length" header`},
		{[]string{"content-length: 5"}, "400", "client prematurely closed stream"},
		{[]string{"x(y: z"}, "200", `client sent invalid header: "x(y"`},
		{[]string{"x: a\nb"}, "400", `client sent header "x" with invalid value`},
	} {
		c := dial(t, addr)
		r := c.response(c.get("/", x.fields...))
		if r.fields[":status"] != x.status {
			t.Errorf("%q: %v", x.fields, r)
		}
		if !strings.Contains(s.ErrorLog(), x.log) {
			t.Errorf("%q: no %q in the log", x.fields, x.log)
		}
		c.ping()
	}
}

// TestTunnel is a WebSocket over extended CONNECT (RFC 8441), passed on to a server that speaks HTTP/1.1.
func TestTunnel(t *testing.T) {
	_, addr := start(t, `
		location / { proxy_pass http://127.0.0.1:8082; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }
	} server { listen 127.0.0.1:8082; location / { content_by_lua_block {
		ngx.status = 101 ngx.header.upgrade = ngx.var.http_upgrade ngx.header.sec_websocket_accept = "x" ngx.send_headers() ngx.flush(true)
		local s = assert(ngx.req.socket(true))
		while true do local d = s:receive(4) if not d then break end s:send(d:upper()) end } }`)
	c := dial(t, addr)
	c.write(c.head("/ws", 0, ":method: CONNECT", ":protocol: websocket"))
	f, before := c.until(func(f frame) bool { return f.Type == http2.Headers || f.Type == http2.RSTStream })
	if f.fields[":status"] != "200" || f.Has(http2.EndStream) || f.fields["upgrade"] != "" || f.fields["sec-websocket-accept"] != "" {
		t.Fatal(f)
	}
	if !strings.Contains(fmt.Sprint(before), "SETTINGS") {
		t.Error("no SETTINGS", before)
	}
	for _, word := range []string{"ping", "pong"} {
		c.write(http2.AppendData(nil, 1, []byte(word), 0))
		if f, _ := c.until(func(f frame) bool { return f.Type == http2.Data }); string(f.p) != strings.ToUpper(word) {
			t.Fatal(f)
		}
	}
	c.write(http2.AppendData(nil, 1, nil, http2.EndStream))
	if r := c.response(1); r.reset != nil {
		t.Error(r)
	}
	c.ping()
}

func TestGoAway(t *testing.T) {
	_, addr := start(t, `keepalive_requests 2; location / { return 200 ok; } location /slow { echo_sleep 0.2; echo late; }`)
	c := dial(t, addr)
	c.write(append(c.head("/", http2.EndStream), c.head("/slow", http2.EndStream)...))
	if last, code := c.goaway(); last != 3 || code != http2.NoError {
		t.Error(last, code)
	}
	if r := c.response(3); r.body != "late\n" {
		t.Error(r)
	}
	if _, err := c.next(); err == nil {
		t.Error("the connection is still there")
	}
}

// TestReset sees that those who work for a stream learn that its client has gone.
func TestReset(t *testing.T) {
	s, addr := start(t, `access_log logs/access.log;
		location /lua { lua_check_client_abort on; content_by_lua_block {
			ngx.on_abort(function() ngx.log(ngx.WARN, "told of the end") ngx.exit(499) end) ngx.sleep(60) } }
		location /proxy { proxy_pass http://127.0.0.1:8082/; }
		location /body { content_by_lua_block { ngx.req.read_body() ngx.log(ngx.WARN, "not reached") } }
	} server { listen 127.0.0.1:8082; location / { echo_sleep 60; echo late; }`)
	c := dial(t, addr)
	var p []byte
	for _, path := range []string{"/lua", "/proxy"} {
		p = append(p, c.head(path, http2.EndStream)...)
	}
	c.write(append(p, c.head("/body", 0)...))
	c.ping()
	for id := uint32(1); id <= 5; id += 2 {
		c.write(http2.AppendRSTStream(nil, id, http2.Cancel))
	}
	for {
		active := 0
		s.Do(func(w *engine.Worker) { active = w.Active })
		if active <= 1 { // the one behind the proxy sleeps on
			break
		}
		c.ping()
	}
	log, access := s.ErrorLog(), s.File("logs/access.log")
	if !strings.Contains(log, "told of the end") || !strings.Contains(log, "client canceled stream 3") || strings.Contains(log, "not reached") {
		t.Error(log)
	}
	if strings.Count(access, " 499 ")+strings.Count(access, " 400 ") != 3 {
		t.Error(access)
	}
}

// TestGarbage: whatever comes, the server goes on.
func TestGarbage(t *testing.T) {
	s, addr := start(t, `location / { return 200 ok; } location /body { echo_read_request_body; echo_request_body; }
		location /wait { echo_sleep 0.001; echo ok; }`)
	rnd := rand.New(rand.NewSource(5))
	for i := range 300 {
		c := dial(t, addr)
		var p []byte
		for range 2 + rnd.Intn(6) {
			p = append(p, c.head([]string{"/", "/body", "/wait"}[rnd.Intn(3)], http2.Flags(rnd.Intn(2)))...)
			payload := make([]byte, rnd.Intn(40))
			rnd.Read(payload)
			if rnd.Intn(2) == 0 {
				clear(payload[min(3, len(payload)):])
			}
			p = append(http2.AppendHeader(p, len(payload), http2.Type(rnd.Intn(11)), http2.Flags(rnd.Intn(64)), uint32(rnd.Intn(12))), payload...)
			if rnd.Intn(3) == 0 {
				p = http2.AppendData(p, c.last, payload, http2.Flags(rnd.Intn(2)))
			}
		}
		if i%2 == 0 {
			p[rnd.Intn(len(p))] ^= byte(1 << rnd.Intn(8))
		}
		c.write(p)
		if i%3 == 0 {
			c.c.Close()
			continue
		}
		c.write(http2.AppendGoAway(nil, 0, 0, ""))
		c.c.(*net.TCPConn).CloseWrite()
		for {
			if _, err := c.next(); err != nil {
				break
			}
		}
	}
	c := dial(t, addr)
	if r := c.response(c.get("/")); r.body != "ok" {
		t.Error(r)
	}
	for {
		conns, active := 0, 0
		s.Do(func(w *engine.Worker) { conns, active = w.Conns, w.Active })
		if conns == 1 && active == 0 { // those that fail go, and take their requests along
			break
		}
		c.ping()
	}
	if log := s.ErrorLog(); strings.Contains(log, "[alert]") || strings.Contains(log, "panic") {
		t.Error(log)
	}
}

// TestDeclaredLength: a body that is not as long as Content-Length says makes the request a bad one, wherever it was to go
// (RFC 9113 8.1.1).
func TestDeclaredLength(t *testing.T) {
	_, addr := start(t, `location /read { content_by_lua_block { ngx.req.read_body() ngx.say("served") } }
		location /file { client_body_in_file_only clean; content_by_lua_block { ngx.req.read_body() ngx.say("served") } }
		location /proxy { proxy_pass http://127.0.0.1:8082; proxy_http_version 1.1; }
		location /unbuffered { proxy_pass http://127.0.0.1:8082; proxy_http_version 1.1; proxy_request_buffering off; }
		location /two { proxy_pass http://127.0.0.1:8083; proxy_http_version 2; }
		location /grpc { grpc_pass grpc://127.0.0.1:8083; }
	}
	server { listen 127.0.0.1:8082; location / { content_by_lua_block { ngx.req.read_body() ngx.say("served") } } }
	server { listen 127.0.0.1:8083; http2 on; location / { content_by_lua_block { ngx.req.read_body() ngx.say("served") } }`)
	c := dial(t, addr)
	for _, path := range []string{"/read", "/file", "/proxy", "/unbuffered", "/two", "/grpc"} {
		for _, x := range []struct {
			declared string
			pieces   []string // DATA frames; the last one ends the stream
			status   string
		}{
			{"0", []string{""}, "200"},
			{"3", []string{"abc"}, "200"},
			{"3", []string{"abc", ""}, "200"},
			{"0", []string{"x"}, "400"},
			{"0", []string{"", "x"}, "400"},
			{"3", []string{"abc", "d"}, "400"},
			{"3", []string{"abcd"}, "400"},
			{"3", []string{"ab"}, "400"},
			{"3", []string{""}, "400"},
		} {
			all := c.head(path, 0, ":method: POST", "content-length: "+x.declared)
			id := c.last
			for i, p := range x.pieces {
				flags := http2.Flags(0)
				if i == len(x.pieces)-1 {
					flags = http2.EndStream
				}
				all = http2.AppendData(all, id, []byte(p), flags)
			}
			c.write(all) // at once: an answer may be under way when as much has come as was declared
			r := c.response(id)
			if r.fields[":status"] != x.status {
				t.Errorf("%s: %s declared, %q sent: %v", path, x.declared, x.pieces, r)
			}
			if x.status == "400" {
				f, _ := c.until(func(f frame) bool { return f.Type == http2.RSTStream && f.Stream == id })
				if code, _ := http2.RSTStreamPayload(f.FrameHeader, f.p); code != http2.ProtocolError {
					t.Errorf("%s: the stream ends with %v", path, code)
				}
			}
		}
	}
	c.ping()
}

// TestFlush: what a handler has flushed and waited for leaves before the handler goes on, without a pause of the loop.
func TestFlush(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, addr := start(t, `location / { content_by_lua_block { ngx.say("first") ngx.flush(true)
		local f = io.open("`+fifo+`") f:read("*a") f:close() ngx.say("second") } }`)
	c := dial(t, addr)
	c.get("/")
	if f, _ := c.until(func(f frame) bool { return f.Type == http2.Data }); string(f.p) != "first\n" {
		t.Error(f)
	}
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // the worker is blocked until now
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if r := c.response(1); r.body != "second\n" {
		t.Error(r)
	}
}
