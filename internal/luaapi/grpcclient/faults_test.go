package grpcclient_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"moongate/internal/engine/enginetest"
	"moongate/internal/http2"
	"moongate/internal/modules"
	"moongate/internal/resolve/resolvetest"
	"moongate/internal/testkit"
	"moongate/internal/testkit/grpctest"
)

// callSite makes a call with one message each way to arg_addr, and one of a server stream: what comes of them.
const callSite = `lua_package_path "$prefix/?.lua;;";
	init_worker_by_lua_block {
		local f = io.open(ngx.config.prefix() .. "/interop.pb", "rb")
		assert(require("ngx.grpc").load_set(f:read "*a"))
		f:close()
	}
	server { listen 127.0.0.1:8080; location / { content_by_lua_block {
		local grpc = require "ngx.grpc"
		local a = ngx.req.get_uri_args()
		local test = grpc.channel(a.addr, {timeout = tonumber(a.timeout) or 10, retries = tonumber(a.retries), retry_delay = 0.001,
			max_receive_size = 100000}):client "grpc.testing.TestService"
		local reply, err = test:UnaryCall{response_size = 10}
		ngx.say("unary ", reply and #reply.payload.body or tostring(err))
		if a.once then return end
		local s, err = test:StreamingOutputCall{response_parameters = {{size = 10}}}
		local n = 0
		while s do
			local m
			m, err = s:recv()
			if not m then break end
			n = n + 1
		end
		ngx.say("stream ", n, " ", tostring(err))
		collectgarbage()
	} } }`

func siteWith(t *testing.T, text string) *enginetest.Server {
	t.Helper()
	dir := t.TempDir()
	grpctest.Files(t, dir)
	return enginetest.StartIn(t, dir, modules.Set(), text)
}

// TestFaults is what becomes of calls to servers that do not do as they should.
func TestFaults(t *testing.T) {
	type play = func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest)
	raw := func(frame ...byte) play {
		return func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) {
			c.Head(id)
			c.Data(id, frame, nil)
			c.OK(id)
		}
	}
	first := func(p play) play { // another server, or the same at another time, does as it should
		var n atomic.Int64
		return func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) {
			if n.Add(1)%2 == 1 {
				p(c, id, in)
			} else {
				c.Answer(id, in)
			}
		}
	}
	s := siteWith(t, callSite)
	for _, c := range []struct {
		name   string
		play   play
		args   string
		closes bool
		unary  string
		stream string
	}{
		{name: "good", play: func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) { c.Answer(id, in) }, unary: "10", stream: "1 nil"},
		{name: "RST ENHANCE_YOUR_CALM", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.Reset(id, http2.EnhanceYourCalm) },
			unary: "RESOURCE_EXHAUSTED: stream terminated by RST_STREAM with error code: ENHANCE_YOUR_CALM", stream: "0 RESOURCE_EXHAUSTED: "},
		{name: "RST CANCEL", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.Reset(id, http2.Cancel) }, unary: "CANCELLED: ", stream: "0 CANCELLED: "},
		{name: "RST INADEQUATE_SECURITY", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.Reset(id, http2.InadequateSecurity) },
			unary: "PERMISSION_DENIED: ", stream: "0 PERMISSION_DENIED: "},
		{name: "RST INTERNAL_ERROR", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.Reset(id, http2.InternalError) }, unary: "INTERNAL: ", stream: "0 INTERNAL: "},
		{name: "REFUSED_STREAM", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.Reset(id, http2.RefusedStream) },
			unary: "UNAVAILABLE: upstream rejected request with error 7", stream: "0 UNAVAILABLE: "},
		{name: "REFUSED_STREAM once", play: first(func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.Reset(id, http2.RefusedStream) }),
			unary: "10", stream: "1 nil"},
		{name: "GOAWAY once", play: first(func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.GoAway(id-1, http2.NoError) }), unary: "10", stream: "1 nil"},
		{name: "GOAWAY ENHANCE_YOUR_CALM once", play: first(func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.GoAway(id-1, http2.EnhanceYourCalm) }),
			unary: "10", stream: "1 nil"},
		{name: "GOAWAY always", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.GoAway(0, http2.EnhanceYourCalm) },
			unary: "UNAVAILABLE: upstream sent goaway with error 11", stream: "0 UNAVAILABLE: "},
		{name: "connection closed", play: func(*grpctest.BadConn, uint32, *testpb.SimpleRequest) {}, closes: true, unary: "UNAVAILABLE: ", stream: "0 UNAVAILABLE: "},
		{name: "connection closed, with a retry", play: first(func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.Reset(id, http2.RefusedStream) }), args: "&retries=1",
			unary: "10", stream: "1 nil"},
		{name: "truncated message", play: func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) {
			c.Head(id)
			c.Data(id, grpctest.Message(in)[:10], nil)
			c.OK(id)
		}, unary: "INTERNAL: unexpected EOF", stream: "0 INTERNAL: unexpected EOF"},
		{name: "truncated stream", play: func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) {
			c.Head(id)
			c.Data(id, grpctest.Message(in)[:10], nil)
		}, closes: true, unary: "UNAVAILABLE: ", stream: "0 UNAVAILABLE: "},
		{name: "no message", play: raw(), unary: "INTERNAL: cardinality violation", stream: "0 nil"},
		{name: "two messages", play: raw(0, 0, 0, 0, 0, 0, 0, 0, 0, 0), unary: "INTERNAL: cardinality violation", stream: "2 nil"},
		{name: "compressed, but it says not how", play: raw(1, 0, 0, 0, 1, 7), unary: "INTERNAL: grpc: compressed flag set", stream: "0 INTERNAL: "},
		{name: "unknown flag", play: raw(3, 0, 0, 0, 1, 7), unary: "INTERNAL: grpc: received unexpected payload format", stream: "0 INTERNAL: "},
		{name: "no protobuf", play: raw(0, 0, 0, 0, 2, 0x0f, 0xff), unary: "INTERNAL: invalid response message", stream: "0 INTERNAL: invalid response message"},
		{name: "too large", play: raw(0, 0, 1, 0x86, 0xa1), unary: "RESOURCE_EXHAUSTED: ", stream: "0 RESOURCE_EXHAUSTED: "},
		{name: "larger than any", play: raw(0, 0xff, 0xff, 0xff, 0xff), unary: "RESOURCE_EXHAUSTED: ", stream: "0 RESOURCE_EXHAUSTED: "},
		{name: "HTTP 503", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.Fields(id, true, ":status", "503") }, unary: "UNAVAILABLE: unexpected HTTP status", stream: "0 UNAVAILABLE: "},
		{name: "HTTP 401", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.Fields(id, true, ":status", "401") }, unary: "UNAUTHENTICATED: ", stream: "0 UNAUTHENTICATED: "},
		{name: "HTTP 404", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.Fields(id, true, ":status", "404") }, unary: "UNIMPLEMENTED: ", stream: "0 UNIMPLEMENTED: "},
		{name: "wrong content type", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) {
			c.Fields(id, true, ":status", "200", "content-type", "text/html")
		}, unary: "UNKNOWN: received a response that is not gRPC", stream: "0 UNKNOWN: "},
		{name: "no trailers", play: func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) {
			c.Head(id)
			c.Data(id, grpctest.Message(in), nil)
			c.Fields(id, true, "x", "y")
		}, unary: "INTERNAL: server closed the stream without sending trailers", stream: "1 INTERNAL: "},
		{name: "malformed status", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) {
			c.Fields(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "x")
		}, unary: "UNKNOWN: malformed grpc-status: x", stream: "0 UNKNOWN: "},
		{name: "status with a message", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) {
			c.Fields(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5", "grpc-message", "no%20%C3%A4 %zz")
		}, unary: "NOT_FOUND: no ä %zz\n", stream: "0 NOT_FOUND: no ä %zz\n"},
		{name: "interim head", play: func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) {
			c.Fields(id, false, ":status", "103", "link", "x")
			c.Answer(id, in)
		}, unary: "10", stream: "1 nil"},
		{name: "no status", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) {
			c.Fields(id, true, "content-type", "application/grpc")
		}, unary: "INTERNAL: ", stream: "0 INTERNAL: "},
		{name: "unknown frame type", play: func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) {
			c.Raw([]byte{0, 0, 1, 0x77, 0, 0, 0, 0, 0, 9})
			c.Answer(id, in)
		}, unary: "10", stream: "1 nil"},
		{name: "malformed frame", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) {
			c.Raw([]byte{0, 0, 1, byte(http2.Ping), 0, 0, 0, 0, 0, 9})
		}, unary: "INTERNAL: ", stream: "0 INTERNAL: "},
		{name: "frame that is too large", play: func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) {
			c.Raw([]byte{0xff, 0xff, 0xff, byte(http2.Data), 0, 0, 0, 0, byte(id)})
		}, unary: "INTERNAL: ", stream: "0 INTERNAL: "},
		{name: "never an answer", play: func(*grpctest.BadConn, uint32, *testpb.SimpleRequest) {}, args: "&timeout=0.03", unary: "DEADLINE_EXCEEDED: ", stream: "0 DEADLINE_EXCEEDED: "},
		{name: "never an end", play: func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) {
			c.Head(id)
			c.Data(id, grpctest.Message(in), nil)
		}, args: "&timeout=0.5", unary: "DEADLINE_EXCEEDED: ", stream: "1 DEADLINE_EXCEEDED: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := grpctest.Bad(t, func(bc *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) bool {
				in.ResponseSize = 10
				c.play(bc, id, in)
				return !c.closes
			})
			body := s.Get("/?addr=" + url.QueryEscape(bad.Addr) + c.args)
			if !strings.Contains(body, "unary "+c.unary) || !strings.Contains(body, "stream "+c.stream) {
				t.Errorf("%s\nwant unary %s, stream %s", body, c.unary, c.stream)
			}
		})
	}
	if log := s.ErrorLog(); strings.Contains(log, "[error]") || strings.Contains(log, "[alert]") {
		t.Error(log)
	}
}

// flaky fails as often as it is told, and notes what it is asked with.
type flaky struct {
	grpctest.Service
	mu    sync.Mutex
	fails int
	code  codes.Code
	push  string
	seen  []string
}

func (f *flaky) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	f.seen = append(f.seen, strings.Join(md["grpc-previous-rpc-attempts"], ","))
	if f.fails > 0 {
		f.fails--
		if f.push != "" {
			grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", f.push))
		}
		return nil, status.Error(f.code, "not now")
	}
	return f.Service.UnaryCall(ctx, in)
}

// TestRetries counts the attempts of calls.
func TestRetries(t *testing.T) {
	for _, c := range []struct {
		fails   int
		code    codes.Code
		push    string
		retries int
		seen    string
		want    string
	}{
		{0, codes.Unavailable, "", 3, "", "unary 10"},
		{2, codes.Unavailable, "", 2, "|1|2", "unary 10"},
		{3, codes.Unavailable, "", 2, "|1|2", "unary UNAVAILABLE: not now"},
		{1, codes.Unavailable, "", 0, "", "unary UNAVAILABLE: not now"},
		{1, codes.NotFound, "", 2, "", "unary NOT_FOUND: not now"},
		{1, codes.Unavailable, "1", 2, "|1", "unary 10"},
		{1, codes.Unavailable, "-1", 2, "", "unary UNAVAILABLE: not now"},
		{1, codes.Unavailable, "junk", 2, "", "unary UNAVAILABLE: not now"},
	} {
		f := &flaky{fails: c.fails, code: c.code, push: c.push}
		addr := grpctest.ServeService(t, f)
		s := siteWith(t, callSite)
		if got := s.Get("/?once=1&retries=" + fmt.Sprint(c.retries) + "&addr=" + addr); !strings.Contains(got, c.want) || strings.Join(f.seen, "|") != c.seen {
			t.Errorf("%+v: %v\n%s", c, f.seen, got)
		}
	}
}

// TestBalance has calls go to all servers of a group, past one that is not there.
func TestBalance(t *testing.T) {
	var seen [2]watched
	list := ""
	for i := range seen {
		list += " server " + grpctest.Serve(t, nil, grpc.StatsHandler(&seen[i])) + ";"
	}
	s := siteWith(t, "upstream g { "+list+" server 127.0.0.1:1; }\n"+"upstream dead { server 127.0.0.1:1; }\n"+callSite)
	for range 20 {
		if got := s.Get("/?once=1&addr=g"); !strings.Contains(got, "unary 10") {
			t.Fatal(got)
		}
	}
	if seen[0].all.Load() != 1 || seen[1].all.Load() != 1 {
		t.Errorf("%d and %d connections", seen[0].all.Load(), seen[1].all.Load())
	}
	if got := s.Get("/?once=1&addr=dead"); !strings.Contains(got, "unary UNAVAILABLE: ") {
		t.Error(got)
	}
}

// TestNames finds servers by name: with the resolver of the system, with one of the configuration, and none where there is none.
func TestNames(t *testing.T) {
	addr := grpctest.Serve(t, nil)
	_, port, _ := strings.Cut(addr, ":")
	names := resolvetest.Start(t)
	names.Set("greeter.test", resolvetest.Records{Addrs: []string{"127.0.0.1"}, TTL: 60})
	s := siteWith(t, callSite)
	resolving := siteWith(t, strings.Replace(callSite, "server {", "resolver "+names.Addr+" ipv6=off; server {", 1))
	for _, target := range []string{"greeter.test:" + port, "no.such.name.test:" + port} {
		want := "unary 10"
		if strings.HasPrefix(target, "no") {
			want = "unary UNAVAILABLE: connection error: " + target + ": no.such.name.test could not be resolved"
		}
		if got := resolving.Get("/?once=1&addr=" + target); !strings.Contains(got, want) {
			t.Errorf("%s: %s", target, got)
		}
	}
	for _, c := range []struct{ target, want string }{
		{"localhost:" + port, "unary 10"}, {"dns:///localhost:" + port, "unary 10"}, {"passthrough:///" + addr, "unary 10"}, {"ipv4:" + addr, "unary 10"},
		{"no-such-host.invalid:1", "unary UNAVAILABLE: "},
	} {
		if got := s.Get("/?once=1&addr=" + url.QueryEscape(c.target)); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", c.target, got)
		}
	}
}

// TestPhases makes calls in the phases that may wait, and sees them refused in one that may not.
func TestPhases(t *testing.T) {
	var seen watched
	addr := grpctest.Serve(t, nil, grpc.StatsHandler(&seen))
	const call = `local reply, err = require("ngx.grpc").channel("%[1]s"):call("grpc.testing.TestService/UnaryCall", {response_size = 3})
		ngx.ctx.n = (ngx.ctx.n or 0) + (reply and #reply.payload.body or error(err))`
	text := fmt.Sprintf(strings.Replace(callSite, "location / {", `
		location /filter { header_filter_by_lua_block { ngx.header.x = tostring(select(2, pcall(function() `+call+` end))) } return 200 ok; }
		location /unlimited { header_filter_by_lua_block { `+call+` ngx.header.x = ngx.ctx.n } return 200 ok; }
		location /phases {
			rewrite_by_lua_block { `+call+` }
			access_by_lua_block { `+call+` }
			precontent_by_lua_block { `+call+` }
			content_by_lua_block {
				`+call+`
				local at = assert(ngx.timer.at(0, function() `+call+` ngx.log(ngx.ERR, "timer ", ngx.ctx.n) end))
				ngx.thread.wait(ngx.thread.spawn(function() `+call+` end))
				ngx.say("n ", ngx.ctx.n)
			}
		}
		location / {`, 1), addr)
	s := siteWith(t, text)
	if got := s.Get("/phases"); !strings.Contains(got, "n 15\n") {
		t.Errorf("%s\n%s", got, s.ErrorLog())
	}
	testkit.Eventually(t, "the timer has made its call", func() bool { return strings.Contains(s.ErrorLog(), "timer 3") })
	if got := s.Get("/filter"); !strings.Contains(got, "API disabled in the context of header_filter_by_lua*") {
		t.Error(got)
	}
	if err := s.Reload("events { } http { lua_phase_limits off; " + text + " }"); err != nil {
		t.Fatal(err)
	}
	if got := s.Get("/unlimited"); !strings.Contains(got, "x: 3\r\n") {
		t.Errorf("%s\n%s", got, s.ErrorLog())
	}
	if seen.all.Load() != 1 {
		t.Errorf("%d connections", seen.all.Load())
	}
}

// TestLeftOpen ends requests with streams that are open: the server sees them cancelled.
func TestLeftOpen(t *testing.T) {
	var seen watched
	addr := grpctest.Serve(t, nil, grpc.StatsHandler(&seen))
	s := siteWith(t, strings.Replace(callSite, "local test =", `if a.open then
			local s = assert(grpc.channel(a.addr):client("grpc.testing.TestService"):FullDuplexCall())
			assert(s:send{response_parameters = {{size = 7}}})
			assert(s:recv())
			ngx.say "open"
			if a.open == "2" then ngx.thread.spawn(function() s:recv() end) ngx.exit(200) end
			return
		end
		local test =`, 1))
	for _, how := range []string{"1", "2"} {
		for range 5 {
			if got := s.Get("/?open=" + how + "&addr=" + addr); !strings.Contains(got, "open") {
				t.Fatal(got)
			}
		}
	}
	testkit.Eventually(t, "no call is open", func() bool { return seen.calls.Load() == 0 })
	if seen.all.Load() != 1 {
		t.Errorf("%d connections", seen.all.Load())
	}
}

// TestInit makes calls where nothing may wait: in init_worker_by_lua the worker waits, and with lua_phase_limits off also in
// init_by_lua. Their connections are nobody's home.
func TestInit(t *testing.T) {
	var seen watched
	addr := grpctest.Serve(t, nil, grpc.StatsHandler(&seen))
	_, port, _ := strings.Cut(addr, ":")
	code := func(target string) string {
		return `local g = require "resty.grpc"
			assert(g.load(ngx.config.prefix() .. "/test.proto"))
			local conn = assert(g.connect("` + target + `"))
			local reply, err = conn:call("grpc.testing.TestService", "UnaryCall", {response_size = 4})
			n = (n or 0) + (reply and #reply.payload.body or error(err))`
	}
	const site = `upstream g { server %s; } server { listen 127.0.0.1:8080; location / { content_by_lua_block { %s ngx.say("n ", n) } } }`
	for _, c := range []struct{ where, target, want string }{
		{"init_worker_by_lua_block { %s }", addr, "n 8\n"},
		{"init_worker_by_lua_block { %s }", "localhost:" + port, "n 8\n"},
		{"init_worker_by_lua_block { %s }", "g", "n 8\n"},
		{"lua_phase_limits off; init_worker_by_lua_block { %s }", addr, "n 8\n"},
		{"lua_phase_limits off; init_by_lua_block { %s }", addr, "n 8\n"},
	} {
		s := siteWith(t, fmt.Sprintf("worker_processes 2; events { } http { "+c.where+site+"}", code(c.target), addr, code(c.target)))
		if got := s.Get("/"); !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %s\n%s", c.where, c.target, got, s.ErrorLog())
		}
	}
	s := siteWith(t, `init_worker_by_lua_block { `+code("127.0.0.1:1")+` } server { listen 127.0.0.1:8080; }`)
	if log := s.ErrorLog(); !strings.Contains(log, "rpc error: code = Unavailable desc = connection error: 127.0.0.1:1") {
		t.Error(log)
	}
}

// TestTLSFaults is about servers and clients that do not trust each other.
func TestTLSFaults(t *testing.T) {
	dir := t.TempDir()
	grpctest.Files(t, dir)
	secure, mutual := grpctest.Serve(t, grpctest.TLS(t, dir, "server", false)), grpctest.Serve(t, grpctest.TLS(t, dir, "server", true))
	plain := grpctest.Serve(t, nil)
	silent := testkit.Listen(t, func(c net.Conn) { io.Copy(io.Discard, c) }).String()
	s := enginetest.StartIn(t, dir, modules.Set(), strings.Replace(callSite, "location /", `location /tls { content_by_lua_block {
			local a, p = ngx.req.get_uri_args(), ngx.config.prefix()
			local tls = {server_name = a.name, trusted_ca = a.ca and p .. a.ca, client_cert = a.cert and p .. a.cert, client_key = a.key and p .. a.key}
			if a.verify then tls.verify = false end
			local ch, err = require("ngx.grpc").channel(a.addr, {tls = tls, connect_timeout = tonumber(a.connect)})
			if not ch then return ngx.say("channel ", err) end
			local reply, err = ch:call("grpc.testing.TestService/EmptyCall", {})
			ngx.say(reply and "good" or tostring(err))
		} }
		location /`, 1))
	for _, c := range []struct{ addr, args, want string }{
		{secure, "name=localhost&ca=ca.pem", "good"},
		{secure, "name=other&ca=ca.pem", "UNAVAILABLE: connection error: "},
		{secure, "name=other&verify=off", "good"},
		{secure, "name=localhost", "UNAVAILABLE: connection error: "},
		{secure, "name=localhost&ca=no.pem", "channel open "},
		{secure, "name=localhost&ca=server.key", "channel no certificate in "},
		{secure, "name=localhost&ca=ca.pem&cert=client.pem", "channel client_cert and client_key must both be present"},
		{mutual, "name=localhost&ca=ca.pem&cert=client.pem&key=client.key", "good"},
		{mutual, "name=localhost&ca=ca.pem", "UNAVAILABLE: "},
		{plain, "name=localhost&ca=ca.pem", "UNAVAILABLE: connection error: "},
		{silent, "name=localhost&ca=ca.pem&connect=0.02", "UNAVAILABLE: connection error: " + silent + ": connection timed out"},
	} {
		if got := enginetest.Body(s.Get("/tls?addr=" + c.addr + "&" + c.args)); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", c.args, got)
		}
	}
}
