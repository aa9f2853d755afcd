package grpcserver_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"

	"moongate/internal/engine/enginetest"
	"moongate/internal/http2"
	"moongate/internal/modules"
	"moongate/internal/testkit/grpctest"
)

// TestFilterRetry makes calls again whose messages were changed: Lua sees each once. It also has bodies that were read before
// the call is passed on, into memory and into a file.
func TestFilterRetry(t *testing.T) {
	var calls atomic.Int64
	var seen atomic.Value
	back := grpctest.Bad(t, func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) bool {
		seen.Store(string(in.GetPayload().GetBody()))
		switch calls.Add(1) {
		case 1:
			c.Fields(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "14")
		case 2:
			c.Reset(id, http2.RefusedStream)
		default:
			c.Answer(id, &testpb.SimpleRequest{})
		}
		return true
	})
	s := enginetest.StartIn(t, site(t), modules.Set(), fmt.Sprintf(`
		grpc_proto interop.pb;
		lua_shared_dict seen 1m;
		client_max_body_size 0;
		upstream back { server %s; keepalive 2; }
		server {
			listen 127.0.0.1:8080;
			http2 on;
			grpc_retry_on unavailable;
			grpc_retry_backoff 1ms;
			grpc_message_filter_by_lua_block grpc.testing.TestService {
				if direction == "request" then
					ngx.shared.seen:incr("n", 1, 0)
					message.payload.body = message.payload.body .. "!"
					return message
				end
			}
			location / { grpc_pass back; }
			location /early/ { rewrite ^/early(/.*) $1 break; rewrite_by_lua_block { ngx.req.read_body() } grpc_pass back; }
			location /file/ { client_body_in_file_only clean; rewrite ^/file(/.*) $1 break; rewrite_by_lua_block { ngx.req.read_body() } grpc_pass back; }
			location = /seen { content_by_lua_block { ngx.print(ngx.shared.seen:get "n") ngx.shared.seen:flush_all() } }
		}`, back.Addr))
	for _, c := range []struct {
		where string
		size  int
		calls int64
		code  string
	}{
		{"", 3, 3, "0"},
		{"/early", 3, 3, "0"},
		{"/early", 6000, 3, "0"},
		{"/file", 100_000, 1, "14"}, // what was read of a file is not kept
	} {
		calls.Store(0)
		text := strings.Repeat("x", c.size)
		var in testpb.SimpleRequest
		in.Payload = &testpb.Payload{Body: []byte(text)}
		b, err := proto.Marshal(&in)
		if err != nil {
			t.Fatal(err)
		}
		if code := ask(t, s, 0, c.where+unaryPath, "", frame(0, string(b))); code != c.code {
			t.Errorf("%s %d: status %s\n%s", c.where, c.size, code, s.ErrorLog())
		}
		if n := calls.Load(); n != c.calls || seen.Load() != text+"!" {
			t.Errorf("%s %d: %d calls, %d bytes", c.where, c.size, n, len(seen.Load().(string)))
		}
		if _, _, n := get(t, s, "127.0.0.1:8080", "GET", "/seen", ""); n != "1" {
			t.Errorf("%s %d: Lua saw %s messages", c.where, c.size, n)
		}
	}
}
