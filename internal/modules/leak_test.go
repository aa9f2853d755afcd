package modules

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/luaapi/workerthread"
	"moongate/internal/testkit/poll"
)

const mixedSite = `
	keepalive_requests 1000000;
	client_header_timeout 60s;
	init_by_lua_block {
		function refs() -- what Go and C have anchored in the VM
			local n = 0
			for k, v in pairs(debug.getregistry()) do
				if type(k) == "number" and type(v) ~= "number" then n = n + 1 end
			end
			return n
		end
	}
	server {
		listen 127.0.0.1:8080;
		root .;
		error_page 418 = @named;
		lua_check_client_abort on;
		location = /refs { content_by_lua_block { collectgarbage() collectgarbage() ngx.print(refs()) } }
		location = /hello { content_by_lua_block { ngx.say("hello") } }
		location = /ctx {
			rewrite_by_lua_block { ngx.ctx.t = { 1 } }
			header_filter_by_lua_block { ngx.header.x = ngx.ctx.t[1] }
			body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1] .. "" }
			content_by_lua_block { ngx.say("ctx") }
			log_by_lua_block { ngx.ctx.u = {} }
		}
		location = /error { content_by_lua_block { ngx.ctx.a = 1; error("on purpose") } }
		location = /syntax { content_by_lua_block { this is no Lua } }
		location = /late { content_by_lua_block { ngx.say("some"); ngx.flush(true); error("on purpose") } }
		location = /exit { access_by_lua_block { ngx.ctx.a = {}; ngx.exit(403) } }
		location = /exec { content_by_lua_block { ngx.ctx.a = {}; ngx.exec("/ctx") } }
		location = /named { return 418; }
		location @named { content_by_lua_block { ngx.ctx.b = {}; ngx.say("named") } }
		location = /capture { content_by_lua_block {
			local a, b = ngx.location.capture_multi{ { "/ctx", { ctx = { 1 } } }, { "/late" } }
			ngx.say(a.status, ngx.location.capture("/wait").status)
		} }
		location = /wait { content_by_lua_block { ngx.sleep(0.001) ngx.say("waited") } }
		location = /long { content_by_lua_block { ngx.on_abort(function() ngx.exit(499) end) ngx.sleep(100) } }
		location = /coro { content_by_lua_block {
			local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
			ngx.say(co(), co())
		} }
		location = /threads { content_by_lua_block {
			local function f(s) ngx.sleep(s) return s end
			local a, b = ngx.thread.spawn(f, 0.001), ngx.thread.spawn(f, 100)
			ngx.say(ngx.thread.wait(a, b))
			ngx.exit(200)
		} }
		location = /fresh { lua_code_cache off; content_by_lua_block { ngx.ctx.a = {}; ngx.sleep(0) ngx.say("fresh") } }
		location = /sock { content_by_lua_block {
			local sock = ngx.socket.tcp()
			assert(sock:connect("127.0.0.1", ngx.var.server_port))
			sock:send("GET /hello HTTP/1.0\r\n\r\n")
			ngx.say((sock:receive()))
			local lost = ngx.socket.tcp()
			lost:connect("127.0.0.1", ngx.var.server_port)
		} }
		location = /killed { content_by_lua_block {
			local function reads()
				local sock = ngx.socket.tcp()
				sock:connect("127.0.0.1", ngx.var.server_port)
				sock:receive()
			end
			local function thread() -- on a thread of the system
				ngx.run_worker_thread("default", "string", "rep", "x", 100000)
			end
			local a, b = ngx.thread.spawn(reads), ngx.thread.spawn(thread)
			ngx.say(ngx.thread.kill(a), ngx.thread.kill(b))
			ngx.thread.spawn(reads)
			ngx.thread.spawn(thread)
			ngx.exit(200)
		} }
		location = /badtimer { content_by_lua_block {
			local done = require("ngx.semaphore").new()
			ngx.timer.at(0, function(_, t) done:post(1) error("on purpose") end, {})
			ngx.say(done:wait(60))
		} }
		location = /timer { content_by_lua_block {
			local done = require("ngx.semaphore").new()
			ngx.timer.at(0, function() done:post(1) end)
			ngx.say(done:wait(60))
		} }
		location = /proxy { proxy_pass http://127.0.0.1:8080/hello; }
		location = /post { client_body_buffer_size 1k; content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_file() ~= nil) } }
	}`

// TestLeaks: after many requests of all kinds, well and badly ended, there are as many goroutines, descriptors, temporary
// files and references into the VM as before.
func TestLeaks(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file.txt"), []byte(strings.Repeat("x", 100_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	workerthread.HasPool = func(*conf.Config, string) bool { return true }
	s := enginetest.StartIn(t, dir, Set(), mixedSite)
	mixed(t, s, 5)
	before := held(t, s)
	mixed(t, s, 170) // about 5,000 requests
	var after holding
	// What the server does when a client is gone takes a moment.
	if !poll.Until(time.Minute, func() bool { after = held(t, s); return after.within(before) }) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	for line := range strings.Lines(s.ErrorLog()) {
		if strings.Contains(line, "[alert]") || strings.Contains(line, "panic") {
			t.Error(line)
		}
	}
}

// held tells what the process holds while nobody is connected.
func held(t *testing.T, s *enginetest.Server) (h holding) {
	t.Helper()
	var err error
	if h.references, err = strconv.Atoi(unchunk(enginetest.Body(s.Get("/refs")))); err != nil {
		t.Fatal(err)
	}
	s.Do(func(w *engine.Worker) {
		w.Loop.Trim()
		h.requests, h.connections = w.Active, w.Conns
	})
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	temp, _ := filepath.Glob(filepath.Join(s.Dir, "*_temp/*"))
	h.goroutines, h.descriptors, h.files = runtime.NumGoroutine(), len(fds), len(temp)
	return h
}

type holding struct{ goroutines, descriptors, references, requests, connections, files int }

// within reports whether nothing is more than before. Less it may be: what a connection had may have been there then.
func (h holding) within(before holding) bool {
	return h.goroutines <= before.goroutines && h.descriptors <= before.descriptors && h.references <= before.references &&
		h.requests <= before.requests && h.connections <= before.connections && h.files <= before.files
}

// mixed makes n rounds of requests.
func mixed(t *testing.T, s *enginetest.Server, n int) {
	t.Helper()
	for range n {
		for _, c := range []struct{ uri, status string }{
			{"/hello", "200"}, {"/ctx", "200"}, {"/error", "500"}, {"/syntax", "500"}, {"/late", "200"}, {"/exit", "403"}, {"/exec", "200"},
			{"/named", "200"}, {"/capture", "200"}, {"/wait", "200"}, {"/coro", "200"}, {"/threads", "200"}, {"/fresh", "200"}, {"/sock", "200"}, {"/timer", "200"}, {"/killed", "200"}, {"/badtimer", "200"}, {"/proxy", "200"},
			{"/file.txt", "200"}, {"/none", "404"},
		} {
			if r := s.Get(c.uri); !strings.HasPrefix(enginetest.Status(r), c.status) {
				t.Fatalf("%s: %q", c.uri, r)
			}
		}
		if r := s.Get("/file.txt", "Range: bytes=1-2,5-6"); !strings.HasPrefix(enginetest.Status(r), "206") {
			t.Fatalf("ranges: %q", r)
		}
		if r := s.Request("POST", "/post", strings.Repeat("x", 5000), "Content-Length: 5000"); !strings.Contains(r, "true") {
			t.Fatalf("post: %q", r)
		}
		if r := s.Raw("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"); !strings.HasPrefix(enginetest.Status(r), "400") {
			t.Fatalf("malformed: %q", r)
		}
		for _, begun := range []string{
			"GET /long HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET /threads HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("x", 5000),
			"GET /file.txt HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET /hello HTTP/1.1\r\nHo",
			"",
		} {
			abandon(t, s, begun)
		}
	}
}

// abandon begins a request and goes away.
func abandon(t *testing.T, s *enginetest.Server, begun string) {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr(""))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, begun)
	s.Do(func(*engine.Worker) {})
	c.Close()
}
