package grpcclient_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

func write(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// testProto is as much of grpc.testing.TestService as the tests of resty.grpc need.
const testProto = `syntax = "proto3";
package grpc.testing;
message Payload { int32 type = 1; bytes body = 2; }
message EchoStatus { int32 code = 1; string message = 2; }
message SimpleRequest { int32 response_size = 2; Payload payload = 3; EchoStatus response_status = 7; }
message SimpleResponse { Payload payload = 1; }
message ResponseParameters { int32 size = 1; int32 interval_us = 2; }
message StreamingOutputCallRequest { repeated ResponseParameters response_parameters = 2; Payload payload = 3; EchoStatus response_status = 7; }
message StreamingOutputCallResponse { Payload payload = 1; }
message StreamingInputCallRequest { Payload payload = 1; }
message StreamingInputCallResponse { int32 aggregated_payload_size = 1; }
service TestService {
  rpc UnaryCall(SimpleRequest) returns (SimpleResponse);
  rpc StreamingOutputCall(StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
  rpc StreamingInputCall(stream StreamingInputCallRequest) returns (StreamingInputCallResponse);
  rpc FullDuplexCall(stream StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
}`

// files puts descriptors, certificates and the Lua client into a folder.
func files(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	b, err := os.ReadFile("testdata/interop_client.lua")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "interop_client.lua", b)
	write(t, dir, "test.proto", []byte(testProto))
	fds := &descriptorpb.FileDescriptorSet{}
	for _, f := range []protoreflect.FileDescriptor{testpb.File_grpc_testing_empty_proto, testpb.File_grpc_testing_messages_proto, testpb.File_grpc_testing_test_proto} {
		fds.File = append(fds.File, protodesc.ToFileDescriptorProto(f))
	}
	if b, err = proto.Marshal(fds); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "interop.pb", b)

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	for name, c := range map[string]*x509.Certificate{"ca.crt": ca, "leaf.crt": leaf} {
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "leaf.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return dir
}

// serveGo runs grpc-go's interoperability server.
func serveGo(t testing.TB, opts ...grpc.ServerOption) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(opts...)
	testpb.RegisterTestServiceServer(s, interop.NewTestServer())
	reflection.Register(s)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func serverTLS(t testing.TB, dir string, mutual bool) grpc.ServerOption {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "leaf.crt"), filepath.Join(dir, "leaf.key"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
	if mutual {
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		b, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		cfg.ClientCAs.AppendCertsFromPEM(b)
	}
	return grpc.Creds(credentials.NewTLS(cfg))
}

var cases = strings.Fields(`empty_unary large_unary client_streaming server_streaming ping_pong empty_stream timeout_on_sleeping_server
	cancel_after_begin cancel_after_first_response custom_metadata status_code_and_message special_status_message unimplemented_method
	unimplemented_service compressed concurrent too_large bad_request reflection resty`)

// TestInterop runs the cases of gRPC's interoperability tests with the Lua client against grpc-go's server.
func TestInterop(t *testing.T) {
	dir := files(t)
	plain, secure, mutual := serveGo(t), serveGo(t, serverTLS(t, dir, false)), serveGo(t, serverTLS(t, dir, true))
	s := enginetest.StartIn(t, dir, modules.Set(), `
		upstream group { server `+plain+`; }
		server { listen 127.0.0.1:8080; location / { content_by_lua_file interop_client.lua; } }`)
	for _, way := range []struct{ name, addr, tls string }{
		{"cleartext", plain, ""}, {"TLS", secure, "&tls=on"}, {"mTLS", mutual, "&tls=mutual"}, {"upstream", "group", ""},
	} {
		t.Run(way.name, func(t *testing.T) {
			for _, c := range cases {
				t.Run(c, func(t *testing.T) {
					resp := s.Get("/?case=" + c + "&addr=" + url.QueryEscape(way.addr) + way.tls + "&dir=" + url.QueryEscape(dir))
					if _, body, _ := strings.Cut(resp, "\r\n\r\n"); !strings.Contains(body, "ok\n") {
						t.Errorf("%s\n%s", resp, s.ErrorLog())
					}
				})
			}
		})
	}
}
