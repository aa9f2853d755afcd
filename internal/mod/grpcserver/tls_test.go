package grpcserver_test

import (
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/cert"
)

// TestUpstreamTLS passes calls of all protocols on to servers that speak TLS, and that ask for certificates.
func TestUpstreamTLS(t *testing.T) {
	dir := site(t)
	stranger := cert.Authority(t, nil, "stranger")
	stranger.Write(t, dir, "other-ca")
	cert.Issue(t, stranger, "localhost").Write(t, dir, "other")
	s := enginetest.StartIn(t, dir, modules.Set(), `
		lua_package_path "$prefix/?.lua;;";
		grpc_proto greeter.proto interop.pb;
		http2 on;
		ssl_certificate server.pem; ssl_certificate_key server.key;
		upstream secure { server 127.0.0.1:8081; keepalive 2; }
		upstream mutual { server 127.0.0.1:8082; }
		server { listen 127.0.0.1:8081 ssl; location / { grpc_service hello.Greeter greeter; grpc_service grpc.testing.TestService testservice; } }
		server { listen 127.0.0.1:8082 ssl; ssl_client_certificate ca.pem; ssl_verify_client on; location / { grpc_service hello.Greeter greeter; } }
		server { listen 127.0.0.1:8080;
			grpc_ssl_trusted_certificate ca.pem; grpc_ssl_verify on; grpc_ssl_name localhost;
			location /secure/ { rewrite ^/secure(/.*) $1 break; grpc_transcode hello.Greeter grpcs://secure; grpc_transcode grpc.testing.TestService grpcs://secure; }
			location /grpc.testing.TestService/ { grpc_transcode grpc.testing.TestService grpcs://secure; }
			location /mutual/ { rewrite ^/mutual(/.*) $1 break; grpc_transcode hello.Greeter grpcs://mutual; grpc_ssl_certificate client.pem; grpc_ssl_certificate_key client.key; }
			location /direct/ { rewrite ^/direct(/.*) $1 break; grpc_transcode hello.Greeter grpcs://127.0.0.1:8082; grpc_ssl_certificate client.pem; grpc_ssl_certificate_key client.key; grpc_ssl_server_name on; }
			location /careless/ { rewrite ^/careless(/.*) $1 break; grpc_transcode hello.Greeter grpcs://secure; grpc_ssl_verify off; }
			location /bare/ { rewrite ^/bare(/.*) $1 break; grpc_transcode hello.Greeter grpcs://mutual; }
			location /stranger/ { rewrite ^/stranger(/.*) $1 break; grpc_transcode hello.Greeter grpcs://mutual; grpc_ssl_certificate other.pem; grpc_ssl_certificate_key other.key; }
			location /distrust/ { rewrite ^/distrust(/.*) $1 break; grpc_transcode hello.Greeter grpcs://secure; grpc_ssl_trusted_certificate other-ca.pem; }
			location /name/ { rewrite ^/name(/.*) $1 break; grpc_transcode hello.Greeter grpcs://secure; grpc_ssl_name elsewhere; }
		}`)
	say, req := "/hello.Greeter/Say", frame(0, "\x0a\x01x")
	reply := "\x0a\x07Hello x\x10\x80\x80\x80\x80\x80\x20"
	for where, code := range map[string]string{"/secure": "0", "/mutual": "0", "/direct": "0", "/careless": "0", "/bare": "13", "/stranger": "13", "/distrust": "14", "/name": "14"} {
		ok := code == "0"
		connect := map[string]string{"13": `{"code":"internal"`, "14": `{"code":"unavailable"`}[code]
		for _, c := range []struct{ ctype, body, good, bad string }{
			{"application/grpc", req, frame(0, reply), ""},
			{"application/grpc-web+proto", req, frame(0, reply) + frame(0x80, "grpc-status: 0\r\n"), "grpc-status: " + code + "\r\n"},
			{"application/grpc-web-text", base64.StdEncoding.EncodeToString([]byte(req)), base64.StdEncoding.EncodeToString([]byte(frame(0, reply))), ""},
			{"application/json", `{"name":"x"}`, `{"text":"Hello x"`, connect},
			{"application/proto", "\x0a\x01x", reply, connect},
		} {
			_, h, body := get(t, s, "127.0.0.1:8080", "POST", where+say, c.body, "Content-Type: "+c.ctype)
			want := c.good
			if !ok {
				want = c.bad
			}
			if !strings.Contains(strings.ReplaceAll(body, `": "`, `":"`), want) || (c.ctype == "application/grpc") && h.Get("Grpc-Status") != code {
				t.Errorf("%s, %s: %q %v\n%s", where, c.ctype, body, h, s.ErrorLog())
			}
		}
	}
	cc, err := grpc.NewClient(s.Addr("127.0.0.1:8080"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	tc := testpb.NewTestServiceClient(cc)
	if r, err := tc.UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseSize: 300_000, Payload: &testpb.Payload{Body: make([]byte, 200_000)}}); err != nil || len(r.Payload.Body) != 300_000 {
		t.Error(len(r.GetPayload().GetBody()), err)
	}
	st, err := tc.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int32{1, 100_000, 3} {
		if err := st.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: n}, {Size: n + 1}}}); err != nil {
			t.Fatal(err)
		}
		for i := range int32(2) {
			if r, err := st.Recv(); err != nil || len(r.Payload.Body) != int(n+i) {
				t.Fatal(len(r.GetPayload().GetBody()), err)
			}
		}
	}
	st.CloseSend()
	if _, err := st.Recv(); err != io.EOF {
		t.Error(err)
	}
}

func TestUpstreamTLSConfig(t *testing.T) {
	dir := site(t)
	for text, want := range map[string]string{
		`grpc_ssl_verify on;`: "no grpc_ssl_trusted_certificate for grpc_ssl_verify",
		`grpc_ssl_certificate nosuch.crt; grpc_ssl_certificate_key client.key;`: "nosuch.crt",
		`grpc_ssl_certificate client.pem;`:                                      `no "grpc_ssl_certificate_key" is defined for certificate`,
		`grpc_ssl_name $host;`:                                                  `"$host": no variables are possible here`,
		`grpc_ssl_verify on; grpc_ssl_trusted_certificate ca.pem;`:              "",
	} {
		_, err := enginetest.LoadIn(t, dir, modules.Set(), "events { }\nhttp { grpc_proto greeter.proto; server { "+text+" location / { grpc_transcode hello.Greeter grpcs://127.0.0.1:1; } } }", nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
