package grpcserver_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/cert"
)

// echoes is a service behind the filters. What a request says tells it what to do.
type echoes struct {
	testpb.UnimplementedTestServiceServer
	running, sent atomic.Int64
}

func (e *echoes) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	text := string(in.GetPayload().GetBody())
	grpc.SetHeader(ctx, metadata.Pairs("x-head", "h"))
	grpc.SetTrailer(ctx, metadata.Pairs("x-trail", "t"))
	switch {
	case text == "fail":
		return nil, status.Error(codes.NotFound, "no such thing")
	case text == "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &testpb.SimpleResponse{Username: "got " + text}, nil
}

func (e *echoes) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, st testpb.TestService_StreamingOutputCallServer) error {
	e.running.Add(1)
	defer e.running.Add(-1)
	for _, p := range in.ResponseParameters {
		if err := st.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.Size)}}); err != nil {
			return err
		}
		e.sent.Add(1)
	}
	return nil
}

func (e *echoes) StreamingInputCall(st testpb.TestService_StreamingInputCallServer) error {
	n := int32(0)
	for {
		in, err := st.Recv()
		if err == io.EOF {
			return st.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: n})
		}
		if err != nil {
			return err
		}
		n += int32(len(in.GetPayload().GetBody()))
	}
}

func (e *echoes) FullDuplexCall(st testpb.TestService_FullDuplexCallServer) error {
	e.running.Add(1)
	defer e.running.Add(-1)
	for {
		in, err := st.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := st.Send(&testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

const filterSite = `
	grpc_proto interop.pb;
	error_log logs/error.log info;
	client_max_body_size 0;
	log_format calls "$request_uri $grpc_status $grpc_request_messages/$grpc_response_messages";
	access_log logs/access.log calls;
	upstream back { server %s; keepalive 4; }
	server {
		listen 127.0.0.1:8080;
		http2 on;
		location / {
			grpc_pass back;
			grpc_message_filter_by_lua_block grpc.testing.TestService {
				local body = message.payload and message.payload.body
				if direction == "request" then
					if body == "change" then message.payload.body = "changed" return message end
					if body == "drop" then return false end
					if body == "refuse" then call:error("PERMISSION_DENIED", "filtered") end
					if body == "answer" then
						call:set_header("x-from", "filter") call:set_trailer("x-end", "yes")
						call:reply(call.method == "UnaryCall" and {username = "from the filter"} or {payload = {body = "from the filter"}})
					end
					if body == "boom" then error "kaputt" end
					if body == "bad" then return {nope = {}, payload = 7} end
					if body == "sleep" then ngx.sleep(0.002) end
					if body == "long" then ngx.sleep(60) end
					if body == "exit" then ngx.exit(403) end
					if body == "recv" then call:recv() end
					if body == "meta" then call:error("ABORTED", table.concat({call.metadata["x-in"], call.service, call.method, call.protocol, tostring(call:remaining() ~= nil)}, " ")) end
				else
					if body == "back" or message.username == "got back" then
						if message.username then message.username = "sent back" else message.payload.body = "sent back" end
						return message
					end
					if body == "hide" or message.username == "got hide" then return false end
					if body == "stop" or message.username == "got stop" then call:error("OUT_OF_RANGE", "enough") end
					if body == "swap" then call:reply{payload = {body = "last"}} end
				end
			}
		}
		location /grpc.testing.TestService/FullDuplexCall {
			grpc_pass back;
			grpc_message_filter_by_lua_block grpc.testing.TestService/FullDuplexCall {
				ngx.sleep(0)
				if message.payload.body == "late" and direction == "request" then call:error("ABORTED", "after all") end
				if message.payload.body == "swap" and direction == "response" then call:reply{payload = {body = "last"}} end
				if message.payload.body == "drop" then return false end
			}
		}
		location /small/ {
			rewrite ^/small(/.*) $1 break;
			grpc_pass back;
			grpc_max_receive_size 100;
			grpc_max_send_size 200;
			grpc_message_filter_by_lua_file grpc.testing.TestService filter.lua;
		}
	}
	server { listen 127.0.0.1:8081; http2 on; location / { grpc_pass back; } }`

// serveEchoes runs the service until the test ends, and gives its address.
func serveEchoes(t *testing.T, e *echoes) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, e)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	return l.Addr().String()
}

type filterBench struct {
	*echoes
	s    *enginetest.Server
	test testpb.TestServiceClient
	conn *grpc.ClientConn
}

func filtering(t *testing.T) *filterBench {
	t.Helper()
	b := &filterBench{echoes: &echoes{}}
	addr := serveEchoes(t, b.echoes)
	dir := site(t)
	cert.WriteFile(t, dir, "filter.lua", []byte("return function(message, direction, call) if direction == 'request' then call:set_header('x-file', 'yes') end end"))
	b.s = enginetest.StartIn(t, dir, modules.Set(), fmt.Sprintf(filterSite, addr))
	b.conn = dial(t, b.s.Addr("127.0.0.1:8080"))
	b.test = testpb.NewTestServiceClient(b.conn)
	return b
}

func simple(body string) *testpb.SimpleRequest {
	return &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(body)}}
}

func duplex(body string) *testpb.StreamingOutputCallRequest {
	return &testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte(body)}}
}

// aboutCalls are the lines of a log that tell of calls that have failed.
func aboutCalls(log string) (lines []string) {
	for _, l := range strings.Split(log, "\n") {
		if strings.Contains(l, ", client: ") {
			lines = append(lines, l)
		}
	}
	return lines
}

// TestFilterUnary has a filter between a client and a server do all it can do to calls with one message each way.
func TestFilterUnary(t *testing.T) {
	b := filtering(t)
	for _, c := range []struct {
		body string
		code codes.Code
		text string // of the reply, or of the status
		logs int
	}{
		{"plain", codes.OK, "got plain", 0},
		{"change", codes.OK, "got changed", 0},
		{"back", codes.OK, "sent back", 0},
		{"sleep", codes.OK, "got sleep", 0},
		{"answer", codes.OK, "from the filter", 0},
		{"drop", codes.Aborted, "the request was dropped", 1},
		{"hide", codes.Aborted, "the response was dropped", 1},
		{"refuse", codes.PermissionDenied, "filtered", 1},
		{"stop", codes.OutOfRange, "enough", 1},
		{"fail", codes.NotFound, "no such thing", 0},
		{"boom", codes.Internal, "error in the message filter", 1},
		{"bad", codes.Internal, "error in the message filter", 1},
		{"recv", codes.Internal, "error in the message filter", 1},
		{"exit", codes.PermissionDenied, "the message filter ended with status 403", 1},
		{"meta", codes.Aborted, "v grpc.testing.TestService UnaryCall grpc true", 1},
		{strings.Repeat("large", 100_000), codes.OK, "got " + strings.Repeat("large", 100_000), 0},
	} {
		for _, zip := range []bool{false, true} {
			before := len(b.s.ErrorLog())
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "x-in", "v"), time.Minute)
			var head, trail metadata.MD
			opts := []grpc.CallOption{grpc.Header(&head), grpc.Trailer(&trail)}
			if zip {
				opts = append(opts, grpc.UseCompressor(gzip.Name))
			}
			out, err := b.test.UnaryCall(ctx, simple(c.body), opts...)
			cancel()
			text := status.Convert(err).Message()
			if err == nil {
				text = out.Username
			}
			name := c.body[:min(len(c.body), 10)]
			if status.Code(err) != c.code || text != c.text {
				t.Errorf("%s, gzip %v: %v %.60q", name, zip, status.Code(err), text)
			}
			if c.body == "answer" && (head["x-from"] == nil || trail["x-end"] == nil) {
				t.Errorf("%s: %v %v", name, head, trail)
			}
			if c.body == "back" && (head["x-head"] == nil || trail["x-trail"] == nil) {
				t.Errorf("%s: %v %v", name, head, trail)
			}
			if lines := aboutCalls(b.s.ErrorLog()[before:]); len(lines) != c.logs {
				t.Errorf("%s: %d lines, want %d:\n%s", name, len(lines), c.logs, strings.Join(lines, "\n"))
			}
		}
	}
	if log := b.s.ErrorLog(); !strings.Contains(log, "kaputt\nstack traceback:") {
		t.Error(log)
	}
}

// TestFilterStreams does the same to streams.
func TestFilterStreams(t *testing.T) {
	b := filtering(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	in, err := b.test.StreamingInputCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"abc", "drop", "change", "drop"} {
		if err := in.Send(&testpb.StreamingInputCallRequest{Payload: &testpb.Payload{Body: []byte(body)}}); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := in.CloseAndRecv(); err != nil || r.AggregatedPayloadSize != 10 {
		t.Error(r, err)
	}
	for _, c := range []struct {
		sent, got string
		code      codes.Code
	}{
		{"a b c", "a b c", codes.OK},
		{"a drop c", "a c", codes.OK},
		{"", "", codes.OK},
		{"a b late c", "a b", codes.Aborted},
		{"a swap c", "a last", codes.OK},
	} {
		st, err := b.test.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		read := func() error {
			m, err := st.Recv()
			if err == nil {
				got = append(got, string(m.GetPayload().GetBody()))
			}
			return err
		}
		for _, body := range strings.Fields(c.sent) {
			if st.Send(duplex(body)) != nil {
				break
			}
			if body == "drop" {
				continue
			}
			if err = read(); err != nil {
				break
			}
		}
		st.CloseSend()
		for err == nil {
			err = read()
		}
		if err == io.EOF {
			err = nil
		}
		if strings.Join(got, " ") != c.got || status.Code(err) != c.code {
			t.Errorf("%s: %q %v\n%s", c.sent, got, err, b.s.ErrorLog())
		}
	}
}

// TestFilterPasses is about what a filter must not let through unseen, and what it leaves alone.
func TestFilterPasses(t *testing.T) {
	b := filtering(t)
	unary := "/grpc.testing.TestService/UnaryCall"
	for _, c := range []struct {
		target, ctype, body string
		status              int
		code, message       string
	}{
		{unary, "application/grpc", frame(0, ""), 200, "0", ""},
		{unary, "application/grpc+proto", frame(0, ""), 200, "0", ""},
		{unary, "application/grpc-web", frame(0, ""), 415, "", ""},
		{unary, "application/proto", "", 415, "", ""},
		{"/grpc.testing.TestService/NewCall", "application/grpc", frame(0, ""), 200, "12", "unknown method NewCall for service grpc.testing.TestService"},
		{"/other.Service/Call", "application/grpc", frame(0, ""), 200, "12", "unknown service other.Service"},
		{unary, "application/grpc", frame(1, "x"), 200, "13", "grpc: compressed flag set with identity or empty encoding"},
		{unary, "application/grpc", frame(2, "x"), 200, "13", "grpc: received unexpected payload format"},
		{unary, "application/grpc", "\x00\x00", 200, "13", "unexpected EOF"},
		{unary, "application/grpc", frame(0, "x"), 200, "13", "invalid request message: "},
		{"/small" + unary, "application/grpc", frame(0, "\x1a\x02\x12\x00"), 200, "0", ""},
		{"/small" + unary, "application/grpc", frame(0, strings.Repeat("x", 101)), 200, "8", "received message larger than max (101 vs. 100)"},
		{"/small" + unary, "application/grpc", "\x00\xff\xff\xff\xff", 200, "8", "received message larger than max (4294967295 vs. 100)"},
	} {
		before := len(b.s.ErrorLog())
		st, h, _ := get(t, b.s, "127.0.0.1:8080", "POST", c.target, c.body, "Content-Type: "+c.ctype)
		if st != c.status || h.Get("Grpc-Status") != c.code || !strings.HasPrefix(h.Get("Grpc-Message"), c.message) {
			t.Errorf("%s %q: %d %v", c.target, c.body, st, h)
		}
		if strings.HasPrefix(c.target, "/small") && c.code == "0" && h.Get("X-File") != "yes" {
			t.Errorf("%v", h)
		}
		if lines := aboutCalls(b.s.ErrorLog()[before:]); c.code != "0" && c.status == 200 && !strings.HasPrefix(c.target, "/other") && len(lines) != 1 {
			t.Errorf("%s %q: %d lines: %s", c.target, c.body, len(lines), lines)
		}
	}
	// A response that is too large for the filter.
	tc := testpb.NewTestServiceClient(&elsewhere{b.conn, "/small"})
	if _, err := tc.UnaryCall(t.Context(), simple(strings.Repeat("x", 90))); err != nil {
		t.Error(err)
	}
	st, err := tc.StreamingOutputCall(t.Context(), &testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 10}, {Size: 300}, {Size: 10}}})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := st.Recv(); err != nil || len(m.Payload.Body) != 10 {
		t.Error(m, err)
	}
	if _, err := st.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Error(err)
	}
}

// elsewhere calls methods below a prefix.
type elsewhere struct {
	*grpc.ClientConn
	prefix string
}

func (e *elsewhere) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return e.ClientConn.Invoke(ctx, e.prefix+method, args, reply, opts...)
}

func (e *elsewhere) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return e.ClientConn.NewStream(ctx, desc, e.prefix+method, opts...)
}

// TestFilterEnds has deadlines and clients that go away while Lua is at work, and while the server is.
func TestFilterEnds(t *testing.T) {
	b := filtering(t)
	for _, body := range []string{"long", "wait"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := b.test.UnaryCall(ctx, simple(body)); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("%s: %v", body, err)
		}
		cancel()
		// The gateway's own answer, which that client does not wait for.
		msg := frame(0, "\x1a\x06\x12\x04"+body)
		if _, h, _ := get(t, b.s, "127.0.0.1:8080", "POST", "/grpc.testing.TestService/UnaryCall", msg, grpcType, "Grpc-Timeout: 30m"); h.Get("Grpc-Status") != "4" {
			t.Errorf("%s: %v", body, h)
		}
	}
	var wait sync.WaitGroup
	for i := range 60 {
		wait.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			st, err := b.test.FullDuplexCall(ctx)
			if err != nil {
				t.Error(err)
				cancel()
				return
			}
			for n := range i % 7 {
				st.Send(duplex(strings.Repeat("x", n*1000)))
				if i%2 == 0 {
					st.Recv()
				}
			}
			cancel()
		})
	}
	wait.Wait()
	for end := time.Now().Add(time.Minute); b.running.Load() > 0; {
		if time.Now().After(end) {
			t.Fatalf("%d calls go on at the server", b.running.Load())
		}
		get(t, b.s, "127.0.0.1:8080", "GET", "/none", "")
	}
	if out, err := b.test.UnaryCall(t.Context(), simple("change")); err != nil || out.Username != "got changed" {
		t.Error(out, err)
	}
	if log := b.s.ErrorLog(); strings.Contains(log, "panic") || strings.Contains(log, "[alert]") || strings.Contains(log, "[crit]") {
		t.Error(log)
	}
}

// TestFilterBounded has a client that does not read: the server behind has to wait.
func TestFilterBounded(t *testing.T) {
	b := filtering(t)
	in := &testpb.StreamingOutputCallRequest{}
	for range 2000 {
		in.ResponseParameters = append(in.ResponseParameters, &testpb.ResponseParameters{Size: 20_000})
	}
	st, err := b.test.StreamingOutputCall(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(); err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	for n := b.sent.Load(); n != last; n = b.sent.Load() {
		last = n
		for range 50 { // some turns of the worker
			get(t, b.s, "127.0.0.1:8080", "GET", "/none", "")
		}
	}
	if last > 400 { // 8 MB of 40
		t.Errorf("%d messages have left the server", last)
	}
	n := 1
	for {
		if _, err := st.Recv(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2000 {
		t.Errorf("%d messages", n)
	}
}
