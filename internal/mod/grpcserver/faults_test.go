package grpcserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"moongate/internal/engine/enginetest"
	base "moongate/internal/grpc"
	"moongate/internal/http2"
	"moongate/internal/modules"
	"moongate/internal/testkit"
	"moongate/internal/testkit/grpctest"
)

// The ways to a service: passed on as it is, with a filter, transcoded, and answered here.
const waysSite = `
	lua_package_path "$prefix/?.lua;;";
	grpc_proto interop.pb;
	error_log logs/error.log info;
	client_max_body_size 0;
	http2 on;
	grpc_max_receive_size 1000;
	grpc_max_send_size 1000;
	upstream back { server %s; keepalive 4; }
	server { listen 127.0.0.1:8080; location / { grpc_pass back; } }
	server { listen 127.0.0.1:8081; location / { grpc_pass back; grpc_message_filter_by_lua_block grpc.testing.TestService { return } } }
	server { listen 127.0.0.1:8082; location / { grpc_transcode grpc.testing.TestService grpc://back; } }
	server { listen 127.0.0.1:8083; location / { grpc_service grpc.testing.TestService testservice; } }`

var ways = []struct{ name, addr string }{{"proxy", "127.0.0.1:8080"}, {"filter", "127.0.0.1:8081"}, {"transcode", "127.0.0.1:8082"}, {"web", "127.0.0.1:8082"}, {"server", "127.0.0.1:8083"}}

func startWays(t *testing.T, back string) *enginetest.Server {
	return enginetest.StartIn(t, site(t), modules.Set(), fmt.Sprintf(waysSite, back))
}

const unaryPath = "/grpc.testing.TestService/UnaryCall"

// ask makes a call over HTTP/1 and gives the number of its status: that of gRPC's mapping where the answer has none, "cut"
// for one that is not complete.
func ask(t *testing.T, s *enginetest.Server, way int, target, ctype, body string, headers ...string) string {
	t.Helper()
	if ctype == "" {
		ctype = "application/grpc"
		if ways[way].name == "web" {
			ctype = "application/grpc-web+proto"
		}
	}
	req, err := http.NewRequest("POST", "http://"+s.Addr(ways[way].addr)+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", ctype)
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return "cut"
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "cut"
	}
	if _, v, ok := strings.Cut(string(b), "grpc-status: "); ok && ways[way].name == "web" {
		v, _, _ = strings.Cut(v, "\r\n")
		return v
	}
	for _, h := range []http.Header{resp.Trailer, resp.Header} {
		if v := h.Get("Grpc-Status"); v != "" {
			return v
		}
	}
	return strconv.Itoa(int(base.FromHTTP(resp.StatusCode)))
}

// oneLine checks that the log has got one line about a call, none for good ones.
func oneLine(t *testing.T, s *enginetest.Server, before int, want int, what string) {
	t.Helper()
	var lines []string
	for range 50 { // turns of the worker: some lines are written after the response
		if lines = aboutCalls(s.ErrorLog()[before:]); len(lines) >= want {
			break
		}
		s.Get("/none")
	}
	if len(lines) != want {
		t.Errorf("%s: %d lines, want %d:\n%s", what, len(lines), want, strings.Join(lines, "\n"))
	}
}

// TestBadServers has servers behind do what they must not, all ways.
func TestBadServers(t *testing.T) {
	testkit.LeakCheck(t)
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	type play = func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) bool
	reset := func(code http2.ErrCode) play {
		return func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) bool { c.Reset(id, code); return true }
	}
	answer := func(message string, trailers ...string) play {
		return func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) bool {
			c.Head(id)
			c.Data(id, []byte(message), nil)
			c.Fields(id, true, trailers...)
			return true
		}
	}
	head := func(fields ...string) play {
		return func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) bool {
			c.Fields(id, true, fields...)
			return true
		}
	}
	first := true
	for _, c := range []struct {
		name                             string
		play                             play
		proxy, filter, transcode         string // the status
		proxyLog, filterLog, transcodLog int
	}{
		{"good", answer(frame(0, ""), "grpc-status", "0"), "0", "0", "0", 0, 0, 0},
		{"refused", reset(http2.RefusedStream), "14", "14", "14", 1, 1, 1},
		{"calm", reset(http2.EnhanceYourCalm), "14", "14", "8", 1, 1, 1},
		{"cancel", reset(http2.Cancel), "14", "14", "1", 1, 1, 1},
		{"internal", reset(http2.InternalError), "14", "14", "13", 1, 1, 1},
		{"inadequate", reset(http2.InadequateSecurity), "14", "14", "7", 1, 1, 1},
		{"closed", func(*grpctest.BadConn, uint32, *testpb.SimpleRequest) bool { return false }, "14", "14", "14", 1, 1, 1},
		{"goaway", func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) bool {
			if first { // the call is not looked at, and has to be made again elsewhere
				first = false
				c.GoAway(max(id, 2)-2, http2.NoError)
				return true
			}
			first = true
			return answer(frame(0, ""), "grpc-status", "0")(c, id, in)
		}, "0", "0", "0", 0, 0, 0},
		{"goaway with an error", func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) bool {
			c.GoAway(id, http2.EnhanceYourCalm)
			return false
		}, "14", "14", "14", 1, 1, 1},
		{"cut message", func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) bool {
			c.Head(id)
			c.Data(id, []byte("\x00\x00\x00\x00\x09abc"), nil)
			return false
		}, "cut", "cut", "14", 1, 1, 1},
		{"end within a message", answer("\x00\x00\x00\x00\x09abc", "grpc-status", "0"), "0", "13", "13", 0, 1, 1},
		{"reset within", func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) bool {
			c.Head(id)
			c.Data(id, []byte("\x00\x00\x00\x00\x09abc"), nil)
			c.Reset(id, http2.InternalError)
			return true
		}, "cut", "cut", "13", 1, 1, 1},
		{"compressed without encoding", answer(frame(1, "abc"), "grpc-status", "0"), "0", "13", "13", 0, 1, 1},
		{"unknown flag", answer(frame(2, "abc"), "grpc-status", "0"), "0", "13", "13", 0, 1, 1},
		{"too large", answer(frame(0, strings.Repeat("x", 1001)), "grpc-status", "0"), "0", "8", "8", 0, 1, 1},
		{"not a message", answer(frame(0, "\x0a\x09"), "grpc-status", "0"), "0", "13", "0", 0, 1, 0},
		{"invalid UTF-8", answer(frame(0, "\x12\x01\xff"), "grpc-status", "0"), "0", "13", "0", 0, 1, 0},
		{"no status", answer(frame(0, ""), "x", "y"), "2", "2", "13", 0, 0, 1},
		{"bad status", answer(frame(0, ""), "grpc-status", "nope"), "nope", "nope", "2", 0, 0, 1},
		{"no such method", head(":status", "200", "content-type", "application/grpc", "grpc-status", "12"), "12", "12", "12", 0, 0, 1},
		{"HTTP 503", head(":status", "503", "content-type", "text/html"), "14", "14", "14", 0, 0, 1},
		{"HTTP 404", head(":status", "404"), "12", "12", "12", 0, 0, 1},
		{"wrong type", head(":status", "200", "content-type", "text/html"), "2", "2", "2", 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startWays(t, grpctest.Bad(t, c.play).Addr)
			for way, want := range []string{c.proxy, c.filter, c.transcode, c.transcode} {
				before := len(s.ErrorLog())
				if got := ask(t, s, way, unaryPath, "", frame(0, "")); got != want {
					t.Errorf("%s: status %s, want %s\n%s", ways[way].name, got, want, s.ErrorLog()[before:])
				}
				oneLine(t, s, before, []int{c.proxyLog, c.filterLog, c.transcodLog, c.transcodLog}[way], ways[way].name)
			}
		})
	}
}

// TestBadClients has clients send what they must not, all ways. What a proxy does not look into is the server's to judge.
func TestBadClients(t *testing.T) {
	testkit.LeakCheck(t)
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s := startWays(t, grpctest.Serve(t, nil))
	good := frame(0, "")
	for _, c := range []struct {
		name, target, ctype, body     string
		header                        string
		proxy, filter, others, server string
		logs                          [5]int
	}{
		{"good", unaryPath, "", good, "", "0", "0", "0", "0", [5]int{}},
		{"wrong type", unaryPath, "text/plain", good, "", "3", "2", "2", "2", [5]int{}},
		{"no message", unaryPath, "", "", "", "13", "13", "13", "13", [5]int{0, 0, 1, 1, 1}},
		{"half a head", unaryPath, "", "\x00\x00", "", "13", "13", "13", "13", [5]int{0, 1, 1, 1, 1}},
		{"half a message", unaryPath, "", "\x00\x00\x00\x00\x09abc", "", "13", "13", "13", "13", [5]int{0, 1, 1, 1, 1}},
		{"unknown flag", unaryPath, "", frame(2, ""), "", "13", "13", "13", "13", [5]int{0, 1, 1, 1, 1}},
		{"compressed without encoding", unaryPath, "", frame(1, "x"), "", "13", "13", "13", "13", [5]int{0, 1, 1, 1, 1}},
		{"not compressed at all", unaryPath, "", frame(1, "x"), "Grpc-Encoding: gzip", "13", "13", "13", "13", [5]int{0, 1, 1, 1, 1}},
		{"unknown encoding", unaryPath, "", frame(1, "x"), "Grpc-Encoding: zstd", "12", "12", "12", "12", [5]int{0, 1, 1, 1, 1}},
		{"too large", unaryPath, "", frame(0, strings.Repeat("x", 1001)), "", "13", "8", "8", "8", [5]int{0, 1, 1, 1, 1}},
		{"four gigabytes", unaryPath, "", "\x00\xff\xff\xff\xff", "", "8", "8", "8", "8", [5]int{0, 1, 1, 1, 1}},
		{"not a message", unaryPath, "", frame(0, "\x1a\x09"), "", "13", "13", "13", "13", [5]int{0, 1, 1, 1, 1}},
		{"invalid UTF-8", unaryPath, "", frame(0, "\x3a\x03\x12\x01\xff"), "", "13", "13", "13", "13", [5]int{0, 1, 1, 1, 1}},
		{"unknown method", "/grpc.testing.TestService/Nope", "", good, "", "12", "12", "12", "12", [5]int{0, 1, 1, 1, 1}},
		{"unknown service", "/nope.Service/Nope", "", good, "", "12", "12", "12", "12", [5]int{0, 0, 1, 1, 1}},
		{"bad timeout", unaryPath, "", good, "Grpc-Timeout: soon", "13", "13", "13", "13", [5]int{0, 0, 1, 1, 1}},
		{"no time", unaryPath, "", good, "Grpc-Timeout: 0n", "4", "4", "4", "4", [5]int{1, 1, 1, 1, 1}},
	} {
		for way, want := range []string{c.proxy, c.filter, c.others, c.others, c.server} {
			before := len(s.ErrorLog())
			var headers []string
			if c.header != "" {
				headers = append(headers, c.header)
			}
			if got := ask(t, s, way, c.target, c.ctype, c.body, headers...); got != want {
				t.Errorf("%s, %s: status %s, want %s\n%s", c.name, ways[way].name, got, want, s.ErrorLog()[before:])
			}
			oneLine(t, s, before, c.logs[way], c.name+", "+ways[way].name)
		}
	}
}

// TestGivenUp has clients that go away, and deadlines that pass, while the server is silent; all ways.
func TestGivenUp(t *testing.T) {
	testkit.LeakCheck(t)
	b := &echoes{}
	s := startWays(t, serveEchoes(t, b))
	for way, w := range ways {
		if w.name == "web" {
			continue
		}
		cc, err := grpc.NewClient(s.Addr(w.addr), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		tc := testpb.NewTestServiceClient(cc)
		before := len(s.ErrorLog())
		ctx, cancel := context.WithCancel(t.Context())
		st, err := tc.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 1}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Recv(); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := st.Recv(); status.Code(err) != codes.Canceled {
			t.Error(err)
		}
		testkit.Eventually(t, "the server's side ends", func() bool { return b.running.Load() == 0 })
		oneLine(t, s, before, 1, w.name+", cancelled")
		if w.name != "server" {
			before = len(s.ErrorLog())
			if got := ask(t, s, way, unaryPath, "", frame(0, "\x1a\x06\x12\x04wait"), "Grpc-Timeout: 30m"); got != "4" {
				t.Errorf("%s: status %s", w.name, got)
			}
			oneLine(t, s, before, 1, w.name+", deadline")
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		if _, err := tc.EmptyCall(ctx, &testpb.Empty{}); err != nil && status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: afterwards: %v", w.name, err)
		}
		cancel()
		cc.Close()
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
