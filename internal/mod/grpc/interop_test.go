package grpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	loads "github.com/cncf/xds/go/xds/data/orca/v3"
	reports "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

// cases are the official interoperability cases, as far as they need no cloud.
var cases = []struct {
	name string
	run  func(ctx context.Context, cc *grpc.ClientConn)
}{
	{"empty_unary", with(interop.DoEmptyUnaryCall)},
	{"large_unary", with(interop.DoLargeUnaryCall)},
	{"client_streaming", with(interop.DoClientStreaming)},
	{"server_streaming", with(interop.DoServerStreaming)},
	{"ping_pong", with(interop.DoPingPong)},
	{"empty_stream", with(interop.DoEmptyStream)},
	{"timeout_on_sleeping_server", with(interop.DoTimeoutOnSleepingServer)},
	{"cancel_after_begin", with(interop.DoCancelAfterBegin)},
	{"cancel_after_first_response", with(interop.DoCancelAfterFirstResponse)},
	{"status_code_and_message", with(interop.DoStatusCodeAndMessage)},
	{"special_status_message", with(interop.DoSpecialStatusMessage)},
	{"custom_metadata", with(interop.DoCustomMetadata)},
	{"unimplemented_method", func(_ context.Context, cc *grpc.ClientConn) { interop.DoUnimplementedMethod(cc2(cc)) }},
	{"unimplemented_service", func(ctx context.Context, cc *grpc.ClientConn) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(cc))
	}},
	{"pick_first_unary", func(ctx context.Context, cc *grpc.ClientConn) {
		interop.DoPickFirstUnary(ctx, testgrpc.NewTestServiceClient(cc))
	}},
	{"orca_per_rpc", func(ctx context.Context, cc *grpc.ClientConn) {
		interop.DoORCAPerRPCTest(ctx, testgrpc.NewTestServiceClient(cc))
	}},
	{"orca_oob", func(ctx context.Context, cc *grpc.ClientConn) {
		interop.DoORCAOOBTest(ctx, testgrpc.NewTestServiceClient(cc))
	}},
}

func cc2(cc *grpc.ClientConn) (context.Context, *grpc.ClientConn) { return context.Background(), cc }

func with(f func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) func(context.Context, *grpc.ClientConn) {
	return func(ctx context.Context, cc *grpc.ClientConn) { f(ctx, testgrpc.NewTestServiceClient(cc)) }
}

const (
	childAddr = "MOONGATE_INTEROP_ADDR"
	childDir  = "MOONGATE_INTEROP_CERTS"
)

// TestInteropClient is the client of TestInterop, in a process of its own: its cases end the process when they fail.
func TestInteropClient(t *testing.T) {
	addr := os.Getenv(childAddr)
	if addr == "" {
		t.Skip("a part of TestInterop, which runs it in a process of its own: the cases end the process when they fail")
	}
	creds := insecure.NewCredentials()
	if dir := os.Getenv(childDir); dir != "" {
		creds = credentials.NewTLS(clientTLS(t, dir))
	}
	// As in the official client, the balancing policy that some cases look for.
	cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds), grpc.WithDefaultServiceConfig(os.Getenv("MOONGATE_INTEROP_CONFIG")))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	for _, c := range cases {
		if strings.HasPrefix(c.name, "orca") != (os.Getenv("MOONGATE_INTEROP_CONFIG") != "{}") {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		c.run(ctx, cc)
		cancel()
		fmt.Println("\npassed", c.name)
	}
}

// serve runs grpc-go's server of the cases.
func serve(t testing.TB, tc *tls.Config) string {
	opts := []grpc.ServerOption{orca.CallMetricsServerOption(nil)}
	if tc != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(tc)))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(opts...)
	rec := orca.NewServerMetricsRecorder()
	reports.RegisterOpenRcaServiceServer(s, &reporter{rec: rec})
	testgrpc.RegisterTestServiceServer(s, named{interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: rec})})
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// named is grpc-go's server, but it tells its name to those who ask.
type named struct{ testgrpc.TestServiceServer }

func (n named) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	out, err := n.TestServiceServer.UnaryCall(ctx, in)
	if err == nil && in.FillServerId {
		out.ServerId = "server"
	}
	return out, err
}

// reporter sends load reports often; that of package orca does not, to those who are not of its module.
type reporter struct {
	reports.UnimplementedOpenRcaServiceServer
	rec orca.ServerMetricsRecorder
}

func (r *reporter) StreamCoreMetrics(_ *reports.OrcaLoadReportRequest, s grpc.ServerStreamingServer[loads.OrcaLoadReport]) error {
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-s.Context().Done():
			return s.Context().Err()
		case <-every.C:
			m := r.rec.ServerMetrics()
			if err := s.Send(&loads.OrcaLoadReport{CpuUtilization: m.CPUUtilization, MemUtilization: m.MemUtilization, Utilization: m.Utilization}); err != nil {
				return err
			}
		}
	}
}

func TestInterop(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir)
	plain, secure, mutual := serve(t, nil), serve(t, serverTLS(t, dir, false)), serve(t, serverTLS(t, dir, true))
	s := enginetest.StartIn(t, dir, modules.Set(), fmt.Sprintf(`
		upstream plain { server %s; keepalive 8; }
		upstream secure { server %s; keepalive 8; }
		upstream mutual { server %s; keepalive 8; }
		http2 on; client_max_body_size 0; error_log logs/error.log info;
		grpc_ssl_verify on; grpc_ssl_trusted_certificate ca.pem; grpc_ssl_name localhost; grpc_ssl_server_name on;
		ssl_certificate server.pem; ssl_certificate_key server.key;
		server { listen 127.0.0.1:8080; location / { grpc_pass grpc://plain; } }
		server { listen 127.0.0.1:8081 ssl; location / { grpc_pass grpcs://secure; } }
		server { listen 127.0.0.1:8082 ssl; ssl_verify_client on; ssl_client_certificate ca.pem;
			location / { grpc_pass grpcs://mutual; grpc_ssl_certificate client.pem; grpc_ssl_certificate_key client.key; } }
		server { listen 127.0.0.1:8083; location / { grpc_pass grpc://%s; } }`, plain, secure, mutual, plain))
	for _, w := range []struct{ name, addr, certs string }{
		{"cleartext", "127.0.0.1:8080", ""}, {"TLS", "127.0.0.1:8081", dir}, {"mTLS", "127.0.0.1:8082", dir}, {"no keepalive", "127.0.0.1:8083", ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			passed := 0
			for _, config := range []string{"{}", `{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`} {
				cmd := exec.Command(os.Args[0], "-test.run=^TestInteropClient$", "-test.v")
				cmd.Env = append(os.Environ(), childAddr+"="+s.Addr(w.addr), childDir+"="+w.certs, "MOONGATE_INTEROP_CONFIG="+config)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%v\n%s\nerror log:\n%s", err, out, s.ErrorLog())
				}
				passed += strings.Count(string(out), "\npassed ")
			}
			if passed != len(cases) {
				t.Errorf("%d cases of %d", passed, len(cases))
			}
		})
	}
}

// certificates makes an authority, and certificates of a server and a client, in dir.
func certificates(t testing.TB, dir string) {
	write := func(name string, blocks ...*pem.Block) {
		var b []byte
		for _, p := range blocks {
			b = append(b, pem.EncodeToMemory(p)...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := func(name string) *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, _ := x509.MarshalECPrivateKey(k)
		write(name+".key", &pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
		return k
	}
	template := func(n int64, name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature}
	}
	caKey := key("ca")
	ca := template(1, "authority")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	write("ca.pem", &pem.Block{Type: "CERTIFICATE", Bytes: der})
	for n, name := range []string{"server", "client"} {
		k := key(name)
		c := template(int64(n+2), name)
		c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &k.PublicKey, caKey)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".pem", &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
}

func pool(t testing.TB, dir string) *x509.CertPool {
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(text)
	return p
}

func pair(t testing.TB, dir, name string) []tls.Certificate {
	c, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return []tls.Certificate{c}
}

func serverTLS(t testing.TB, dir string, mutual bool) *tls.Config {
	c := &tls.Config{Certificates: pair(t, dir, "server")}
	if mutual {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, pool(t, dir)
	}
	return c
}

func clientTLS(t testing.TB, dir string) *tls.Config {
	return &tls.Config{RootCAs: pool(t, dir), Certificates: pair(t, dir, "client"), ServerName: "localhost"}
}
