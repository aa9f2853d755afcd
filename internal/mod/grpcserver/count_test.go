package grpcserver_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

// TestVariables logs the status and the messages of calls in all protocols, of a service in Lua and of one that is passed on to.
func TestVariables(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), `
		log_format calls "$grpc_status|$grpc_message|$grpc_request_messages/$grpc_response_messages";
		access_log logs/access.log calls;`+greeterSite)
	say, web, streams := "/hello.Greeter/Say", "Content-Type: application/grpc-web+proto", "Content-Type: application/connect+json"
	for _, where := range []string{"127.0.0.1:8080", "127.0.0.1:8081"} {
		for _, c := range []struct{ method, target, body, ctype, want string }{
			{"POST", say, frame(0, "\x0a\x01x"), grpcType, "0|-|1/1"},
			{"POST", say, frame(0, "\x0a\x05error"), grpcType, "5|nobody of that name|1/0"},
			{"POST", say, frame(0, "\x0a\x01x"), web, "0|-|1/1"},
			{"POST", say, frame(0, "\x0a\x05error"), web, "5|nobody of that name|1/0"},
			{"POST", say, `{"name":"x"}`, jsonType, "0|-|1/1"},
			{"POST", say, `{"name":"error"}`, jsonType, "5|nobody of that name|1/0"},
			{"POST", "/hello.Greeter/Count", frame(0, `{"n":3,"name":"error"}`), streams, "10|enough|1/3"},
			{"GET", "/v1/hello/return", "", "", "7|not you|1/0"},
			{"POST", "/hello.Greeter/Sum", `{"n":1} {"n":2}`, jsonType, "0|-|2/1"},
			{"POST", "/hello.Greeter/Chat", `{"name":"a"}{"name":"b"}`, jsonType, "0|-|2/2"},
			{"POST", say, "\x00", grpcType, "13|unexpected EOF|0/0"},
			{"GET", "/nope", "", "", "-|-|-/-"},
		} {
			if where == "127.0.0.1:8081" && strings.Contains(c.target, "Count") {
				c.want = "10|enough|1/2" // the filter drops one
			}
			before := len(s.File("logs/access.log"))
			var headers []string
			if c.ctype != "" {
				headers = append(headers, c.ctype)
			}
			get(t, s, where, c.method, c.target, c.body, headers...)
			log := ""
			for !strings.Contains(log, c.want) { // it is written after the response; the service behind writes one, too
				if log = s.File("logs/access.log")[before:]; strings.Count(log, "\n") >= 3 {
					break
				}
				get(t, s, "127.0.0.1:8082", "GET", "/none", "")
			}
			if !strings.Contains(log, c.want+"\n") {
				t.Errorf("%s %s %q: logged %q, want %q", where, c.target, c.body, log, c.want)
			}
		}
	}
}

// TestMetrics counts calls that are answered and calls that are passed on.
func TestMetrics(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), `
		lua_package_path "$prefix/?.lua;;";
		grpc_proto interop.pb;
		upstream back { server 127.0.0.1:8080; keepalive 2; }
		server { listen 127.0.0.1:8080; http2 on; location / { grpc_service grpc.testing.TestService testservice; } }
		server { listen 127.0.0.1:8081; http2 on; location / { grpc_pass back; } location /lua { content_by_lua_block {
			local grpc = require "ngx.grpc"
			local f = assert(io.open(ngx.config.prefix() .. "interop.pb")) assert(grpc.load_set(f:read "*a")) f:close()
			local ch = assert(grpc.channel("back"))
			assert(ch:call("grpc.testing.TestService/EmptyCall", {}))
			local st = assert(ch:client("grpc.testing.TestService"):StreamingOutputCall{response_parameters = {{size = 1}, {size = 2}}})
			for m in st:messages() do end
			ngx.say "done"
		} } location /dead/ { grpc_pass 127.0.0.1:1; } }
		server { listen 127.0.0.1:8082; location /metrics { prometheus_metrics; } location /status { status_page; } }`)
	tc := testpb.NewTestServiceClient(dial(t, s.Addr("127.0.0.1:8081")))
	for range 3 {
		if _, err := tc.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tc.UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: 5}}); status.Code(err) != codes.NotFound {
		t.Fatal(err)
	}
	st, err := tc.StreamingOutputCall(t.Context(), &testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 1}, {Size: 1}}})
	for err == nil {
		_, err = st.Recv()
	}
	for i := range 5 {
		get(t, s, "127.0.0.1:8081", "POST", fmt.Sprintf("/made.Up/Method%d", i), frame(0, ""), grpcType)
		get(t, s, "127.0.0.1:8081", "POST", fmt.Sprintf("/dead/Method%d", i), frame(0, ""), grpcType)
	}
	var text string
	if _, _, text := get(t, s, "127.0.0.1:8081", "GET", "/lua", ""); text != "done\n" {
		t.Fatal(text, s.ErrorLog())
	}
	_, _, text = get(t, s, "127.0.0.1:8082", "GET", "/metrics", "")
	service := `grpc_service="grpc.testing.TestService"`
	for _, want := range []string{
		`grpc_server_handled_total{grpc_code="OK",grpc_method="EmptyCall",` + service + `,grpc_type="unary"} 4`,
		`grpc_client_handled_total{grpc_code="OK",grpc_method="EmptyCall",` + service + `,upstream="back"} 1`,
		`grpc_client_msg_received_total{grpc_method="StreamingOutputCall",` + service + `,upstream="back"} 2`,
		`grpc_client_msg_sent_total{grpc_method="StreamingOutputCall",` + service + `,upstream="back"} 1`,
		`grpc_server_handled_total{grpc_code="NotFound",grpc_method="UnaryCall",` + service + `,grpc_type="unary"} 1`,
		`grpc_server_handled_total{grpc_code="Unimplemented",grpc_method="other",grpc_service="other",grpc_type=""} 5`,
		`grpc_server_handling_seconds_bucket{grpc_method="EmptyCall",` + service + `,grpc_type="unary",le="10"} 4`,
		`grpc_server_handling_seconds_count{grpc_method="EmptyCall",` + service + `,grpc_type="unary"} 4`,
		`grpc_proxy_handling_seconds_count{grpc_method="EmptyCall",` + service + `,upstream="back"} 3`,
		`grpc_client_handling_seconds_count{grpc_method="EmptyCall",` + service + `,upstream="back"} 1`,
		`grpc_server_msg_received_total{grpc_method="EmptyCall",` + service + `,grpc_type="unary"} 4`,
		`grpc_server_msg_sent_total{grpc_method="StreamingOutputCall",` + service + `,grpc_type="server_stream"} 4`,
		`grpc_proxy_handled_total{grpc_code="OK",grpc_method="EmptyCall",` + service + `,upstream="back"} 3`,
		`grpc_proxy_handled_total{grpc_code="NotFound",grpc_method="UnaryCall",` + service + `,upstream="back"} 1`,
		`grpc_proxy_handled_total{grpc_code="Unimplemented",grpc_method="other",grpc_service="other",upstream="back"} 5`,
		`grpc_proxy_handled_total{grpc_code="Unavailable",grpc_method="other",grpc_service="other",upstream="127.0.0.1:1"} 5`,
		`grpc_proxy_msg_received_total{grpc_method="StreamingOutputCall",` + service + `,upstream="back"} 2`,
		`grpc_proxy_msg_sent_total{grpc_method="StreamingOutputCall",` + service + `,upstream="back"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, grep(text, "grpc_"))
		}
	}
	if strings.Contains(text, "Method0") {
		t.Error(grep(text, "Method"))
	}
	var page struct {
		GRPC []struct {
			Role, Service, Method string
			Handled               map[string]int
			Received              int `json:"messages_received"`
		}
	}
	_, _, text = get(t, s, "127.0.0.1:8082", "GET", "/status?format=json", "")
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, c := range page.GRPC {
		if c.Method == "EmptyCall" && c.Handled["OK"] == map[string]int{"server": 4, "proxy": 3, "client": 1}[c.Role] && c.Received == c.Handled["OK"] {
			found++
		}
	}
	if found != 3 {
		t.Errorf("%+v", page.GRPC)
	}
	if _, _, text = get(t, s, "127.0.0.1:8082", "GET", "/status", ""); !strings.Contains(text, "<td>grpc.testing.TestService/EmptyCall</td><td>proxy</td><td>back</td><td>3</td><td>0</td>") {
		t.Error(text)
	}
}

func grep(text, what string) string {
	var out []string
	for l := range strings.SplitSeq(text, "\n") {
		if strings.Contains(l, what) {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}
