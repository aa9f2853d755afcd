package grpcserver_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

// TestMetadata: what HTTP has in its heads is not all metadata, and some of it gRPC cannot carry.
func TestMetadata(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), `
	lua_package_path "$prefix/?.lua;;";
	grpc_proto greeter.proto;
	http2 on;
	server { listen 127.0.0.1:8080; location / { grpc_method_by_lua_block hello.Greeter/Say {
		local list = {}
		for k, v in pairs(call.metadata) do
			list[#list + 1] = k .. "=" .. (type(v) == "table" and table.concat(v, "|") or v)
		end
		table.sort(list)
		return {text = table.concat(list, " ")}
	} } }
	server { listen 127.0.0.1:8081; location / { grpc_transcode hello.Greeter grpc://127.0.0.1:8080; } }`)
	for _, c := range []struct{ header, here, passed string }{
		{"Keep-Alive: 300", "", ""},
		{"Proxy-Connection: keep-alive", "", ""},
		{"Connect-Protocol-Version: 1", "", ""},
		{"Trailer: x", "", ""},
		{"X-Plain: a b", "x-plain=a b", "x-plain=a b"},
		{"X-Odd: M\u00fcller", "x-odd=M\u00fcller", ""},
		{"X-Bits-Bin: AQ,Ag==", "x-bits-bin=\x01|\x02", "x-bits-bin=\x01|\x02"},
		{"X-Bits-Bin: ?", "", ""},
	} {
		for where, want := range map[string]string{"127.0.0.1:8080": c.here, "127.0.0.1:8081": c.passed} {
			status, _, text := get(t, s, where, "GET", "/v1/hello/x", "", c.header)
			got := strings.NewReplacer(`\u0001`, "\x01", `\u0002`, "\x02").Replace(text)
			if status != 200 || !strings.HasPrefix(got, `{"text":"`+want+`"`) {
				t.Errorf("%s at %s: %d %s", c.header, where, status, text)
			}
		}
	}
}

// TestEmptyStream: a stream without a message is of the type that the client asks for.
func TestEmptyStream(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), greeterSite)
	for accept, want := range map[string]string{"text/event-stream": "text/event-stream", "*/*": "application/x-ndjson"} {
		for n, text := range map[int]string{0: "", 1: "n1"} {
			status, h, body := get(t, s, "", "GET", fmt.Sprint("/v1/count/", n), "", "Accept: "+accept)
			if status != 200 || h.Get("Content-Type") != want || !strings.Contains(body, text) || text == "" && body != "" {
				t.Errorf("%s, %d: %d %v %q", accept, n, status, h, body)
			}
		}
	}
}

// TestTextLimit: what is bounded is the message, not its base64.
func TestTextLimit(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), greeterSite)
	for size, want := range map[int]string{1000: "grpc-status: 0", 1001: "grpc-status: 8", 9000: "grpc-status: 8"} {
		msg := "\x0a" + string([]byte{byte((size-3)&127 | 128), byte((size - 3) >> 7)}) + strings.Repeat("x", size-3)
		_, _, body := get(t, s, "", "POST", "/hello.Greeter/Say", base64.StdEncoding.EncodeToString([]byte(frame(0, msg))), "Content-Type: application/grpc-web-text")
		if text := allText(body); !strings.Contains(text, want) {
			t.Errorf("%d bytes: %q", size, text)
		}
	}
}

// allText decodes pieces of base64, each of which may be padded.
func allText(s string) string {
	var out []byte
	for len(s) >= 4 {
		b, err := base64.StdEncoding.DecodeString(s[:4])
		if err != nil {
			return string(out) + "?"
		}
		out, s = append(out, b...), s[4:]
	}
	return string(out)
}

// TestUnknownFields sends JSON with a field too many, in all protocols that have JSON.
func TestUnknownFields(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), greeterSite+`
	server { listen 127.0.0.1:8083; grpc_json_unknown_fields ignore; location / { grpc_service hello.Greeter greeter; } }`)
	body := `{"name":"a","later":{"x":[1]}}`
	for _, c := range []struct{ target, ctype, body, ok, bad string }{
		{"/v1/hello", "application/json", body, `"Hello a"`, `"code":3`},
		{"/hello.Greeter/Say", "application/json", body, `"Hello a"`, `"invalid_argument"`},
		{"/hello.Greeter/Say", "application/grpc-web+json", frame(0, body), "grpc-status: 0", "grpc-status: 3"},
		{"/hello.Greeter/Count", "application/connect+json", frame(0, body), "\x02\x00\x00\x00\x02{}", `"invalid_argument"`},
		{"/hello.Greeter/Sum", "application/json", `{"n":1}{"n":2,"later":1}`, `"n":"3"`, `"code":3`},
	} {
		for where, want := range map[string]string{"127.0.0.1:8080": c.bad, "127.0.0.1:8083": c.ok} {
			_, _, text := get(t, s, where, "POST", c.target, c.body, "Content-Type: "+c.ctype)
			if !strings.Contains(strings.ReplaceAll(text, `, "`, `,"`), want) {
				t.Errorf("%s %s at %s: %q", c.target, c.ctype, where, text)
			}
		}
	}
}

// TestOneReply: what a handler of a method with one reply has sent is the reply, whatever it returns; and messages are compressed
// only where the head says so.
func TestOneReply(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), `grpc_proto greeter.proto; http2 on;
	server { listen 127.0.0.1:8080; location / {
		grpc_method_by_lua_block hello.Greeter/Say { call:send{text = "sent"} if request.name == "both" then return {text = "returned"} end }
		grpc_method_by_lua_block hello.Greeter/Count {
			call:send{text = "a"}
			local ok, err = call:set_compression "gzip"
			call:send{text = tostring(ok) .. tostring(err)}
		}
	} }`)
	for _, name := range []string{"both", "none"} {
		_, h, body := get(t, s, "", "POST", "/hello.Greeter/Say", frame(0, "\x0a\x04"+name), grpcType)
		if h.Get("Grpc-Status") != "0" || body != frame(0, "\x0a\x04sent") {
			t.Errorf("%s: %v %q", name, h, body)
		}
	}
	_, h, body := get(t, s, "", "POST", "/hello.Greeter/Count", frame(0, ""), grpcType, "Grpc-Accept-Encoding: gzip")
	if want := frame(0, "\x0a\x01a") + frame(0, "\x0a\x2cfalsethe head, which has to say so, has left"); h.Get("Grpc-Encoding") != "" || body != want {
		t.Errorf("%v %q", h, body)
	}
}
