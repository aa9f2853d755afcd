package grpcserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

// site is a folder with what the configurations of these tests name.
func site(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []string{"testservice.lua", "greeter.lua", "greeter.proto"} {
		b, err := os.ReadFile(filepath.Join("testdata", f))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, f, b)
	}
	fds := &descriptorpb.FileDescriptorSet{}
	for _, f := range []protoreflect.FileDescriptor{testpb.File_grpc_testing_empty_proto, testpb.File_grpc_testing_messages_proto, testpb.File_grpc_testing_test_proto} {
		fds.File = append(fds.File, protodesc.ToFileDescriptorProto(f))
	}
	b, err := proto.Marshal(fds)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "interop.pb", b)
	certificates(t, dir)
	return dir
}

func write(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// certificates makes an authority, and a certificate that serves servers and clients.
func certificates(t testing.TB, dir string) {
	t.Helper()
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
}

func clientTLS(t testing.TB, dir string, cert bool) credentials.TransportCredentials {
	t.Helper()
	pool := x509.NewCertPool()
	b, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(b)
	cfg := &tls.Config{RootCAs: pool, ServerName: "localhost"}
	if cert {
		c, err := tls.LoadX509KeyPair(filepath.Join(dir, "leaf.crt"), filepath.Join(dir, "leaf.key"))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{c}
	}
	return credentials.NewTLS(cfg)
}

const testSite = `
	lua_package_path "$prefix/?.lua;;";
	grpc_proto interop.pb;
	server {
		listen 127.0.0.1:8080;
		http2 on;
		ssl_certificate leaf.crt;
		ssl_certificate_key leaf.key;
		location / { grpc_service grpc.testing.TestService testservice; }
	}
	server {
		listen 127.0.0.1:8081 ssl;
		http2 on;
		ssl_certificate leaf.crt;
		ssl_certificate_key leaf.key;
		location / { grpc_service grpc.testing.TestService testservice; }
	}
	server {
		listen 127.0.0.1:8082 ssl;
		http2 on;
		ssl_certificate leaf.crt;
		ssl_certificate_key leaf.key;
		ssl_client_certificate ca.crt;
		ssl_verify_client on;
		location / { grpc_service grpc.testing.TestService testservice; }
	}`

// TestInterop runs the cases of gRPC's interoperability tests with grpc-go's client against a server in Lua.
func TestInterop(t *testing.T) {
	dir := site(t)
	s := enginetest.StartIn(t, dir, modules.Set(), testSite)
	for _, way := range []struct {
		name, addr string
		creds      credentials.TransportCredentials
	}{
		{"cleartext", "127.0.0.1:8080", insecure.NewCredentials()},
		{"TLS", "127.0.0.1:8081", clientTLS(t, dir, false)},
		{"mTLS", "127.0.0.1:8082", clientTLS(t, dir, true)},
	} {
		t.Run(way.name, func(t *testing.T) {
			conn, err := grpc.NewClient(s.Addr(way.addr), grpc.WithTransportCredentials(way.creds))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			tc := testpb.NewTestServiceClient(conn)
			for name, run := range interopCases {
				t.Run(name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					run(ctx, tc)
				})
			}
			t.Run("unimplemented_method", func(t *testing.T) { interop.DoUnimplementedMethod(t.Context(), conn) })
			t.Run("unimplemented_service", func(t *testing.T) {
				interop.DoUnimplementedService(t.Context(), testpb.NewUnimplementedServiceClient(conn))
			})
		})
	}
}

type interopCase = func(ctx context.Context, tc testpb.TestServiceClient)

// without gives a case no options.
func without(f func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)) interopCase {
	return func(ctx context.Context, tc testpb.TestServiceClient) { f(ctx, tc) }
}

var interopCases = map[string]interopCase{
	"empty_unary":                 without(interop.DoEmptyUnaryCall),
	"large_unary":                 without(interop.DoLargeUnaryCall),
	"client_streaming":            without(interop.DoClientStreaming),
	"server_streaming":            without(interop.DoServerStreaming),
	"ping_pong":                   without(interop.DoPingPong),
	"empty_stream":                without(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  without(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          without(interop.DoCancelAfterBegin),
	"cancel_after_first_response": without(interop.DoCancelAfterFirstResponse),
	"custom_metadata":             without(interop.DoCustomMetadata),
	"status_code_and_message":     without(interop.DoStatusCodeAndMessage),
	"special_status_message":      without(interop.DoSpecialStatusMessage),
	"pick_first_unary":            interop.DoPickFirstUnary,
}
