package grpcserver_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/cert"
)

const greeterSite = `
	lua_package_path "$prefix/?.lua;;";
	grpc_proto greeter.proto interop.pb;
	server {
		listen 127.0.0.1:8080;
		http2 on;
		grpc_max_receive_size 1000;
		location / { grpc_service hello.Greeter greeter; }
		location = /silent/hello.Greeter/Say { rewrite ^/silent(.*) $1 break; client_body_timeout 30ms; grpc_service hello.Greeter greeter; }
		location /elsewhere { return 200 elsewhere; }
	}
	server {
		listen 127.0.0.1:8081;
		http2 on;
		location / {
			grpc_transcode hello.Greeter grpc://127.0.0.1:8080;
			grpc_message_filter_by_lua_block hello.Greeter {
				if direction == "request" then
					if message.name == "drop" then return false end
					if message.name == "refuse" then call:error("PERMISSION_DENIED", "filtered") end
					if message.name == "answer" then call:reply{text = "from the filter"} end
					if message.name == "change" then message.name = "changed" return message end
				elseif message.text == "n2" then
					return false
				elseif message.text:find "^Hello" then
					message.text = message.text .. "!"
					return message
				end
			}
		}
	}
	server {
		listen 127.0.0.1:8082;
		http2 on;
		grpc_handler_timeout 2s;
		grpc_protocols grpc;
		grpc_health off;
		grpc_reflection off;
		grpc_method_by_lua_block hello.Greeter/Say {
			if request.name == "slow" then ngx.sleep(60) end
			return {text = "block " .. request.name}
		}
	}`

func get(t *testing.T, s *enginetest.Server, where, method, target, body string, headers ...string) (status int, header http.Header, text string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+s.Addr(where)+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range resp.Trailer {
		resp.Header[k] = v
	}
	return resp.StatusCode, resp.Header, string(b)
}

const jsonType = "Content-Type: application/json"

// TestConnectHead: fields of the Connect protocol that are wrong end the call.
func TestConnectHead(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), greeterSite)
	for _, c := range []struct {
		field  string
		status int
		text   string
	}{
		{"Connect-Protocol-Version: 1", 200, `{"text":"Hello x"`},
		{"Connect-Protocol-Version: 2", 400, `{"code":"invalid_argument","message":"unknown connect-protocol-version: 2"}`},
		{"Connect-Timeout-Ms: 9999999999", 200, `{"text":"Hello x"`},
		{"Connect-Timeout-Ms: soon", 400, `{"code":"invalid_argument","message":"malformed connect-timeout-ms: soon"}`},
		{"Connect-Timeout-Ms: 0", 504, `{"code":"deadline_exceeded"`},
	} {
		status, _, text := get(t, s, "127.0.0.1:8080", "POST", "/hello.Greeter/Say", `{"name":"x"}`, jsonType, c.field)
		if status != c.status || !strings.HasPrefix(text, c.text) {
			t.Errorf("%s: %d %s", c.field, status, text)
		}
	}
}

// TestPlain calls over HTTP/1 with JSON.
func TestPlain(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), greeterSite)
	for _, c := range []struct {
		where, method, target, body string
		status                      int
		text                        string
		header                      string
	}{
		{"8080", "GET", "/v1/hello/Bob", "", 200, `{"text":"Hello Bob","n":"1099511627776"}`, jsonType},
		{"8080", "GET", "/v1/hello/B%20b?n=5", "", 200, `{"text":"Hello B b","n":"1099511627776"}`, jsonType},
		{"8080", "POST", "/v1/hello", `{"name":"x"}`, 200, `"Hello x"`, jsonType},
		{"8080", "POST", "/hello.Greeter/Say", `{"name":"x"}`, 200, `{"text":"Hello x","n":"1099511627776"}`, jsonType},
		{"8080", "POST", "/hello.Greeter/Say", `{}`, 200, `{"text":"Hello ","n":"1099511627776"}`, jsonType},
		{"8080", "POST", "/hello.Greeter/Say", `{"name":"error"}`, 404, `{"code":"not_found","message":"nobody of that name","details":[{"type":"hello.Request","value":"CgN3aG8"}]}`, jsonType},
		{"8080", "GET", "/v1/hello/return", "", 403, `{"code":7,"details":[],"message":"not you"}`, jsonType},
		{"8080", "GET", "/v1/hello/message", "", 500, `{"code":2,"details":[],"message":"just words"}`, jsonType},
		{"8080", "GET", "/v1/hello/boom", "", 500, `{"code":13,"details":[],"message":"error in the handler"}`, jsonType},
		{"8080", "GET", "/v1/hello/bad", "", 500, `{"code":13,"details":[],"message":"error in the handler"}`, jsonType},
		{"8080", "GET", "/v1/hello/exit", "", 403, `{"code":7,"details":[],"message":"the handler ended with status 403"}`, jsonType},
		{"8080", "GET", "/v1/hello/say", "", 200, `{"text":"seen eof","n":"0"}`, jsonType},
		{"8080", "GET", "/v1/hello/info", "", 200, `{"text":"hello.Greeter Say json 127.0.0.1 false false","n":"0"}`, jsonType},
		{"8080", "GET", "/v1/hello/reserved", "", 500, `{"code":13,"details":[],"message":"error in the handler"}`, jsonType},
		{"8080", "GET", "/v1/hello/split", "", 500, `{"code":13,"details":[],"message":"error in the handler"}`, jsonType},
		{"8080", "POST", "/hello.Greeter/Say", `{"nope":1}`, 400, `{"code":"invalid_argument","message":"`, jsonType},
		{"8080", "POST", "/hello.Greeter/Say", `{`, 400, `{"code":"invalid_argument"`, jsonType},
		{"8080", "POST", "/hello.Greeter/Say", `{"name":"` + strings.Repeat("x", 1000) + `"}`, 429, `{"code":"resource_exhausted"`, jsonType},
		{"8080", "POST", "/hello.Greeter/Missing", `{}`, 501, `{"code":"unimplemented","message":"method Missing not implemented"}`, jsonType},
		{"8080", "DELETE", "/v1/hello/Bob", "", 405, "", ""},
		{"8080", "GET", "/hello.Greeter/Say", "", 405, "", ""},
		{"8080", "GET", "/nope", "", 404, "", ""},
		{"8080", "GET", "/elsewhere", "", 200, "elsewhere", ""},
		{"8080", "GET", "/v1/count/3", "", 200, "{\"text\":\"n1\",\"n\":\"0\"}\n{\"text\":\"n2\",\"n\":\"0\"}\n{\"text\":\"n3\",\"n\":\"0\"}\n", "Content-Type: application/x-ndjson"},
		{"8080", "GET", "/v1/count/0", "", 200, "", "Content-Type: application/x-ndjson"},
		{"8080", "GET", "/v1/count/x", "", 400, `{"code":3,`, jsonType},
		{"8080", "GET", "/v1/count/1?name=error", "", 200, "{\"text\":\"n1\",\"n\":\"0\"}\n{\"error\":{\"code\":10,\"details\":[],\"message\":\"enough\"}}\n", ""},
		{"8080", "POST", "/hello.Greeter/Sum", `{"n":1} {"n":2}` + "\n" + `{"n":3}`, 200, `{"text":"","n":"6"}`, jsonType},
		{"8080", "POST", "/hello.Greeter/Sum", `[{"n":1},{"n":2}]`, 200, `{"text":"","n":"3"}`, jsonType},
		{"8080", "POST", "/hello.Greeter/Sum", `{"n":1} {"n":`, 400, `{"code":3,`, jsonType},
		{"8080", "POST", "/hello.Greeter/Chat", `{"name":"a"}{"name":"b"}`, 200, "{\"text\":\"you said a\",\"n\":\"0\"}\n{\"text\":\"you said b\",\"n\":\"0\"}\n", ""},
		{"8080", "GET", "/hello.Greeter/Say?connect=v1&encoding=json&message=%7B%22name%22%3A%22g%22%7D", "", 200, `{"text":"Hello g","n":"1099511627776"}`, jsonType},
		{"8080", "GET", "/hello.Greeter/Say?connect=v1&encoding=xml&message=x", "", 415, "", ""},
		{"8080", "GET", "/hello.Greeter/Say?connect=v1&encoding=json&base64=1&message=eyJuYW1lIjoiZyJ9", "", 200, `{"text":"Hello g","n":"1099511627776"}`, jsonType},

		{"8081", "GET", "/v1/hello/Bob", "", 200, `{"text":"Hello Bob!","n":"1099511627776"}`, jsonType},
		{"8081", "GET", "/v1/hello/change", "", 200, `{"text":"Hello changed!","n":"1099511627776"}`, jsonType},
		{"8081", "GET", "/v1/hello/drop", "", 409, `{"code":10,"details":[],"message":"the request was dropped"}`, jsonType},
		{"8081", "GET", "/v1/hello/refuse", "", 403, `{"code":7,"details":[],"message":"filtered"}`, jsonType},
		{"8081", "GET", "/v1/hello/answer", "", 200, `{"text":"from the filter","n":"0"}`, jsonType},
		{"8081", "GET", "/v1/hello/error", "", 404, `{"code":5,"details":[{"@type":"type.googleapis.com/hello.Request","name":"who"`, jsonType},
		{"8081", "GET", "/v1/count/3", "", 200, "{\"text\":\"n1\",\"n\":\"0\"}\n{\"text\":\"n3\",\"n\":\"0\"}\n", ""},
		{"8081", "POST", "/hello.Greeter/Sum", `{"n":1}{"n":2}`, 200, `{"text":"","n":"3"}`, jsonType},
		{"8081", "POST", "/hello.Greeter/Chat", `{"name":"a"}{"name":"drop"}{"name":"change"}`, 200, "{\"text\":\"you said a\",\"n\":\"0\"}\n{\"text\":\"you said changed\",\"n\":\"0\"}\n", ""},
	} {
		var headers []string
		if c.body != "" {
			headers = []string{jsonType}
		}
		st, h, text := get(t, s, "127.0.0.1:"+c.where, c.method, c.target, c.body, headers...)
		text = strings.ReplaceAll(text, `", "`, `","`)
		text = strings.ReplaceAll(text, ", \"", ",\"")
		if st != c.status || !strings.HasPrefix(text, c.text) || c.text == "" && st == 200 && text != "" {
			t.Errorf("%s %s %s %s:\n got %d %s\nwant %d %s\n%s", c.where, c.method, c.target, c.body, st, text, c.status, c.text, s.ErrorLog())
		}
		if k, v, ok := strings.Cut(c.header, ": "); ok && h.Get(k) != v {
			t.Errorf("%s: %s: %s", c.target, k, h.Get(k))
		}
	}
	if _, h, text := get(t, s, "", "GET", "/v1/count/2", "", "Accept: text/event-stream"); text != "data: {\"text\":\"n1\",\"n\":\"0\"}\n\ndata: {\"text\":\"n2\",\"n\":\"0\"}\n\n" && !strings.Contains(text, "data: {") || h.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%q", text)
	}
	if _, h, _ := get(t, s, "", "POST", "/hello.Greeter/Say", `{"name":"meta"}`, jsonType, "X-In: v"); h.Get("X-Head") != "v" || h.Get("Trailer-X-Trail") != "t" || h.Get("Trailer-X-Bits-Bin") != "AQI" {
		t.Errorf("%v", h)
	}
	log := s.ErrorLog()
	if n := strings.Count(log, "kaputt"); n != 1 || !strings.Contains(log, "greeter.lua:12: kaputt\nstack traceback:") {
		t.Errorf("%d lines about the error:\n%s", n, log)
	}
}

func frame(flags byte, msg string) string {
	b := binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(msg)))
	return string(b) + msg
}

const grpcType = "Content-Type: application/grpc"

// TestFrames sends what is right and what is wrong with frames, over HTTP/1, where a test can write it.
func TestFrames(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), greeterSite)
	say := "/hello.Greeter/Say"
	for _, c := range []struct {
		target, body string
		headers      []string
		code         string
		message      string // begins
	}{
		{say, frame(0, "\x0a\x01x"), nil, "0", ""},
		{say, frame(0, ""), nil, "0", ""},
		{say, "", nil, "13", "there is no request message"},
		{say, frame(0, "\x0a\x01x") + frame(0, "\x0a\x01y"), nil, "13", "there is more than one request message"},
		{say, frame(0, "\x0a\x01x") + "\x00", nil, "13", "there is more than one request message"},
		{"/hello.Greeter/Count", frame(0, "") + frame(0, ""), nil, "13", "there is more than one request message"},
		{"/grpc.health.v1.Health/Check", frame(0, "") + frame(0, ""), nil, "13", "there is more than one request message"},
		{say, "\x00\x00", nil, "13", "unexpected EOF"},
		{say, "\x00\x00\x00\x00\x09abc", nil, "13", "unexpected EOF"},
		{say, "\x00\xff\xff\xff\xff", nil, "8", "received message larger than max (4294967295 vs. 1000)"},
		{say, frame(1, "\x0a\x01x"), nil, "13", "grpc: compressed flag set with identity or empty encoding"},
		{say, frame(1, "\x0a\x01x"), []string{"Grpc-Encoding: gzip"}, "13", "grpc: failed to decompress the received message"},
		{say, frame(0, "\x0a\x01x"), []string{"Grpc-Encoding: zstd"}, "12", `grpc: Decompressor is not installed for grpc-encoding "zstd"`},
		{say, frame(2, "\x0a\x01x"), nil, "13", "grpc: received unexpected payload format"},
		{say, frame(0, "\x0a\x09x"), nil, "13", "invalid request message: unfinished bytes"},
		{say, frame(0, "\x0a\x01\xff"), nil, "13", "invalid request message: string field 'name' contains invalid UTF-8"},
		{say, frame(0, "\x0a\x01x"), []string{"Grpc-Timeout: soon"}, "13", "malformed grpc-timeout: soon"},
		{say, frame(0, "\x0a\x04slow"), []string{"Grpc-Timeout: 20m"}, "4", "Deadline Exceeded"},
		{"/hello.Greeter/Nope", frame(0, ""), nil, "12", "unknown method Nope for service hello.Greeter"},
		{"/no.Such/Method", frame(0, ""), nil, "12", "unknown service no.Such"},
		{"/", frame(0, ""), nil, "12", "unknown service"},
		{"/hello.Greeter/Sum", frame(0, "\x10\x02") + frame(0, "\x10\x03"), nil, "0", ""},
		{"/hello.Greeter/Sum", frame(0, "\x10\x02") + "\x00\x00", nil, "13", "unexpected EOF"},
	} {
		st, h, _ := get(t, s, "", "POST", c.target, c.body, append(c.headers, grpcType)...)
		if st != 200 || h.Get("Grpc-Status") != c.code || !strings.HasPrefix(h.Get("Grpc-Message"), strings.ReplaceAll(c.message, "%", "%25")) {
			t.Errorf("%s %q %v: %d %v", c.target, c.body, c.headers, st, h)
		}
	}
	if st, _, _ := get(t, s, "", "POST", say, "x", "Content-Type: text/plain"); st != 415 {
		t.Errorf("text/plain: %d", st)
	}
	// grpc-web: the status is in the body.
	_, h, body := get(t, s, "", "POST", say, frame(0, "\x0a\x01w"), "Content-Type: application/grpc-web+proto")
	if want := frame(0, "\x0a\x07Hello w\x10\x80\x80\x80\x80\x80\x20") + frame(0x80, "grpc-status: 0\r\n"); body != want || h.Get("Content-Type") != "application/grpc-web+proto" {
		t.Errorf("%q %v", body, h)
	}
	_, h, body = get(t, s, "", "POST", say, base64.StdEncoding.EncodeToString([]byte(frame(0, "\x0a\x01w"))), "Content-Type: application/grpc-web-text")
	if !strings.HasPrefix(body, base64.StdEncoding.EncodeToString([]byte(frame(0, "\x0a\x07Hello w\x10\x80\x80\x80\x80\x80\x20")))) || h.Get("Content-Type") != "application/grpc-web-text+proto" {
		t.Errorf("%q %v", body, h)
	}
	_, _, body = get(t, s, "", "POST", say, "!!!!", "Content-Type: application/grpc-web-text")
	if !strings.Contains(string(decode64(body)), "grpc-status: 13") {
		t.Errorf("%q", body)
	}
	// Connect: streams end with a frame of JSON; compression.
	_, _, body = get(t, s, "", "POST", "/hello.Greeter/Count", frame(0, `{"n":1,"name":"error"}`), "Content-Type: application/connect+json")
	if !strings.HasSuffix(body, frame(2, `{"error":{"code":"aborted","message":"enough"}}`)) {
		t.Errorf("%q", body)
	}
	_, h, body = get(t, s, "", "POST", say, `{"name":"zip"}`, jsonType, "Accept-Encoding: gzip")
	if h.Get("Content-Encoding") != "gzip" || len(body) > 500 {
		t.Errorf("%d bytes, %v", len(body), h)
	}
}

// TestCardinality sends the messages of a method with one request by and by: nothing is done before the end is there.
func TestCardinality(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), greeterSite)
	conn := dial(t, s.Addr("127.0.0.1:8080"))
	for n, want := range []codes.Code{codes.Internal, codes.OK, codes.Internal} {
		st, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/hello.Greeter/Say")
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if err := st.SendMsg(&healthpb.HealthCheckRequest{Service: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := st.CloseSend(); err != nil {
			t.Fatal(err)
		}
		var reply healthpb.HealthCheckRequest // its first field is text, as that of the reply
		if err := st.RecvMsg(&reply); status.Code(err) != want || want == codes.OK && reply.Service != "Hello x" {
			t.Errorf("%d messages: %v, %v", n, &reply, err)
		}
	}
}

// A client that does not send its one message is not waited for.
func TestSilent(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), greeterSite)
	c := s.Dial()
	io.WriteString(c, "POST /silent/hello.Greeter/Say HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/grpc\r\nContent-Length: 5\r\n\r\n")
	b := make([]byte, 4096)
	got := ""
	for !strings.Contains(got, "grpc-status: 4") {
		n, err := c.Read(b)
		if got += string(b[:n]); err != nil {
			t.Fatalf("%v after %q", err, got)
		}
	}
}

func decode64(s string) []byte {
	b, _ := base64.StdEncoding.DecodeString(s)
	return b
}

// TestBlocks has handlers in the configuration, a limit on time, and no protocol but gRPC.
func TestBlocks(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), greeterSite)
	where := "127.0.0.1:8082"
	_, h, body := get(t, s, where, "POST", "/hello.Greeter/Say", frame(0, "\x0a\x01x"), grpcType)
	if h.Get("Grpc-Status") != "0" || body != frame(0, "\x0a\x07block x") {
		t.Errorf("%q %v", body, h)
	}
	_, h, _ = get(t, s, where, "POST", "/hello.Greeter/Say", frame(0, "\x0a\x04slow"), grpcType)
	if h.Get("Grpc-Status") != "4" {
		t.Errorf("%v", h)
	}
	for target, want := range map[string]string{"/hello.Greeter/Count": "12", "/grpc.health.v1.Health/Check": "12", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": "12"} {
		if _, h, _ := get(t, s, where, "POST", target, frame(0, ""), grpcType); h.Get("Grpc-Status") != want {
			t.Errorf("%s: %v", target, h)
		}
	}
	if st, _, _ := get(t, s, where, "GET", "/v1/hello/x", ""); st != 404 {
		t.Errorf("JSON is spoken: %d", st)
	}
}

func dial(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestHealth(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), greeterSite+`
	server { listen 127.0.0.1:8083; location / { content_by_lua_block {
		require("ngx.grpc").set_health("hello.Greeter", ngx.var.arg_on == "1") ngx.say "set"
	} } }`)
	hc := healthpb.NewHealthClient(dial(t, s.Addr("127.0.0.1:8080")))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if r, err := hc.List(ctx, &healthpb.HealthListRequest{}); err != nil || len(r.Statuses) != 5 || r.Statuses["hello.Greeter"].GetStatus() != 1 {
		t.Errorf("%v %v", r, err)
	}
	for service, want := range map[string]healthpb.HealthCheckResponse_ServingStatus{"": 1, "hello.Greeter": 1} {
		if r, err := hc.Check(ctx, &healthpb.HealthCheckRequest{Service: service}); err != nil || r.Status != want {
			t.Errorf("%q: %v %v", service, r, err)
		}
	}
	if _, err := hc.Check(ctx, &healthpb.HealthCheckRequest{Service: "nope"}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	w, err := hc.Watch(ctx, &healthpb.HealthCheckRequest{Service: "hello.Greeter"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []healthpb.HealthCheckResponse_ServingStatus{1, 2, 1} {
		if r, err := w.Recv(); err != nil || r.Status != want {
			t.Fatalf("%v %v, want %v", r, err, want)
		}
		get(t, s, "127.0.0.1:8083", "GET", fmt.Sprint("/?on=", min(i, 1)), "")
	}
}

// A client that goes away ends the handler; the connection and others on it go on.
func TestCancel(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), greeterSite+`
	lua_shared_dict seen 1m;
	init_by_lua_block { ngx.shared.seen:flush_all() }
	server {
		listen 127.0.0.1:8083;
		http2 on;
		location / {
			grpc_method_by_lua_block grpc.testing.TestService/FullDuplexCall {
				call:on_cancel(function() ngx.shared.seen:set("cancelled", tostring(call:cancelled())) end)
				call:send{}
				call:recv()
				ngx.shared.seen:incr("ended", 1, 0)
			}
			grpc_method_by_lua_block grpc.testing.TestService/EmptyCall { return {} }
		}
		location = /seen { content_by_lua_block { ngx.print(ngx.shared.seen:get("cancelled"), " ", ngx.shared.seen:get("ended")) } }
	}`)
	tc := testpb.NewTestServiceClient(dial(t, s.Addr("127.0.0.1:8083")))
	ctx, cancel := context.WithCancel(t.Context())
	st, err := tc.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	text := ""
	for end := time.Now().Add(time.Minute); text != "true 1" && time.Now().Before(end); {
		_, _, text = get(t, s, "127.0.0.1:8083", "GET", "/seen", "")
	}
	if text != "true 1" {
		t.Errorf("%q", text)
	}
	if _, err := tc.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	dir := site(t)
	cert.WriteFile(t, dir, "bad.proto", []byte("syntax = \"proto3\";\nmessage A { B b = 1; }"))
	if err := os.MkdirAll(filepath.Join(dir, "inc", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	cert.WriteFile(t, filepath.Join(dir, "inc", "deep"), "in.proto", []byte(`syntax = "proto3"; package deep; import "deep/more.proto"; service S { rpc M(X) returns (X); }`))
	cert.WriteFile(t, filepath.Join(dir, "inc", "deep"), "more.proto", []byte(`syntax = "proto3"; package deep; message X { }`))
	for text, want := range map[string]string{
		`grpc_proto_path inc; grpc_proto deep/in.proto; server { grpc_service deep.S s; }`: "",
		`grpc_proto_path inc; grpc_proto deep/nosuch.proto;`:                               "nosuch.proto: file not found",
		`grpc_proto bad.proto;`:                    "bad.proto:2: ",
		`grpc_proto nosuch.proto;`:                 "nosuch.proto",
		`grpc_proto greeter.lua;`:                  "invalid descriptor set",
		`server { grpc_service hello.Greeter g; }`: `unknown gRPC service "hello.Greeter"`,
		`grpc_proto greeter.proto; server { grpc_service hello.Greeter g; grpc_service hello.Greeter h; }`: `"grpc_service" directive is duplicate`,
		`grpc_proto greeter.proto; server { grpc_method_by_lua_block hello.Greeter/Nope { } }`:             `the gRPC service "hello.Greeter" has no method "Nope"`,
		`grpc_proto greeter.proto; server { grpc_method_by_lua_block hello.Greeter { } }`:                  `"hello.Greeter" is not of the form service/method`,
		`grpc_proto greeter.proto; server { grpc_transcode hello.Greeter http://x; }`:                      `invalid URL prefix in "http://x"`,
		`grpc_proto greeter.proto; server { grpc_message_filter_by_lua_block hello.Greeter/Nope { } }`:     `has no method "Nope"`,
		`grpc_proto greeter.proto; server { grpc_protocols smoke; }`:                                       `invalid value "smoke"`,
		`grpc_proto greeter.proto; server { grpc_compression zip; }`:                                       `invalid value "zip"`,
		`grpc_proto greeter.proto interop.pb; server { grpc_service grpc.testing.TestService t; }`:         "",
	} {
		_, err := enginetest.LoadIn(t, dir, modules.Set(), "events { }\nhttp { "+text+" }", nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// Whatever comes as a body, the server answers, and goes on.
func FuzzBody(f *testing.F) {
	s := enginetest.StartIn(f, site(f), modules.Set(), greeterSite)
	types := []string{"application/grpc", "application/grpc-web", "application/grpc-web-text", "application/connect+json", "application/connect+proto", "application/json", "application/proto", "application/grpc+json"}
	for i := range types {
		f.Add(uint8(i), "/hello.Greeter/Say", []byte(frame(0, "\x0a\x01x")))
		f.Add(uint8(i), "/hello.Greeter/Chat", []byte(`{"name":"a"}{`))
	}
	f.Fuzz(func(t *testing.T, kind uint8, target string, body []byte) {
		if !strings.HasPrefix(target, "/hello") || strings.ContainsAny(target, " \r\n\t") || bytes.Contains(body, []byte("slow")) {
			return
		}
		req, err := http.NewRequest("POST", "http://"+s.Addr("")+target, bytes.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Content-Type", types[int(kind)%len(types)])
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s %q: %v", target, body, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	})
}
