// Package grpctest is the other side of tests of gRPC: grpc.testing.TestService in Go and in Lua, a client of it in Lua, and
// the programs of grpc-go for the interoperability tests. Those are modules of their own (programs/go.mod), so that what
// they depend on is no dependency of the server.
//
// Its own tests are the interoperability tests: grpc-go's client through our proxy, grpc-go's client and our server, our
// client and grpc-go's server; and a server that behaves badly, which grpc-go's http2 program is for.
package grpctest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"moongate/internal/testkit/cert"
)

//go:embed lua
var sources embed.FS

// Files fills dir with what configurations of tests name: the descriptors of the service (interop.pb), the service and the
// client in Lua (testservice.lua, interop_client.lua, with what they need), and certificates: ca.pem, server.pem and
// client.pem with their keys, both for localhost.
func Files(t testing.TB, dir string) {
	t.Helper()
	list, err := sources.ReadDir("lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		b, err := sources.ReadFile("lua/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		cert.WriteFile(t, dir, f.Name(), b)
	}
	fds := &descriptorpb.FileDescriptorSet{}
	for _, f := range []protoreflect.FileDescriptor{testpb.File_grpc_testing_empty_proto, testpb.File_grpc_testing_messages_proto, testpb.File_grpc_testing_test_proto} {
		fds.File = append(fds.File, protodesc.ToFileDescriptorProto(f))
	}
	b, err := proto.Marshal(fds)
	if err != nil {
		t.Fatal(err)
	}
	cert.WriteFile(t, dir, "interop.pb", b)
	ca := cert.Authority(t, nil, "authority")
	ca.Write(t, dir, "ca")
	for _, name := range []string{"server", "client"} {
		cert.Issue(t, ca, name, func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
		}).Write(t, dir, name)
	}
}

// TLS is one side's parameters with the certificates of Files in dir: name is "server" or "client", "" for no certificate.
// Servers with an authority ask clients for certificates.
func TLS(t testing.TB, dir, name string, authority bool) *tls.Config {
	t.Helper()
	c := &tls.Config{ServerName: "localhost"}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if authority {
		b, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AppendCertsFromPEM(b)
		c.ClientCAs, c.ClientAuth = c.RootCAs, tls.RequireAndVerifyClientCert
	}
	return c
}

// Serve runs grpc-go's server with the service and reflection until the test ends, and gives its address. tc may be nil.
func Serve(t testing.TB, tc *tls.Config, opts ...grpc.ServerOption) string {
	t.Helper()
	return ServeOn(t, listen(t), tc, opts...)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ServeService is Serve with another service.
func ServeService(t testing.TB, service testpb.TestServiceServer, opts ...grpc.ServerOption) string {
	t.Helper()
	return serve(t, listen(t), nil, service, opts...)
}

// ServeOn is Serve on a listener.
func ServeOn(t testing.TB, l net.Listener, tc *tls.Config, opts ...grpc.ServerOption) string {
	t.Helper()
	return serve(t, l, tc, Service{}, opts...)
}

func serve(t testing.TB, l net.Listener, tc *tls.Config, service testpb.TestServiceServer, opts ...grpc.ServerOption) string {
	t.Helper()
	if tc != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(tc)))
	}
	s := grpc.NewServer(opts...)
	testpb.RegisterTestServiceServer(s, service)
	reflection.Register(s)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// Service is grpc.testing.TestService as the descriptions of the interoperability tests want it, but for load reports.
type Service struct {
	testpb.UnimplementedTestServiceServer
}

// EmptyCall implements the service.
func (Service) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

const (
	echoed        = "x-grpc-test-echo-initial"
	echoedTrailer = "x-grpc-test-echo-trailing-bin"
)

// echo gives the client metadata back, by what a call has for that.
func echo(ctx context.Context, header, trailer func(metadata.MD)) {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md[echoed]; len(v) > 0 {
		header(metadata.Pairs(echoed, v[0]))
	}
	if v := md[echoedTrailer]; len(v) > 0 {
		trailer(metadata.Pairs(echoedTrailer, v[0]))
	}
}

func wanted(s *testpb.EchoStatus) error {
	if s.GetCode() == 0 {
		return nil
	}
	return status.Error(codes.Code(s.Code), s.Message)
}

// UnaryCall implements the service.
func (Service) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	echo(ctx, func(md metadata.MD) { grpc.SendHeader(ctx, md) }, func(md metadata.MD) { grpc.SetTrailer(ctx, md) })
	if err := wanted(in.GetResponseStatus()); err != nil {
		return nil, err
	}
	out := &testpb.SimpleResponse{Payload: &testpb.Payload{Body: make([]byte, in.GetResponseSize())}}
	if in.GetFillServerId() {
		out.ServerId = "Go"
	}
	return out, nil
}

func answer(ctx context.Context, list []*testpb.ResponseParameters, send func(*testpb.StreamingOutputCallResponse) error) error {
	for _, p := range list {
		if us := p.GetIntervalUs(); us > 0 {
			select {
			case <-time.After(time.Duration(us) * time.Microsecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	return nil
}

// StreamingOutputCall implements the service.
func (Service) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	return answer(s.Context(), in.GetResponseParameters(), s.Send)
}

// StreamingInputCall implements the service.
func (Service) StreamingInputCall(s grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	sum := 0
	for {
		in, err := s.Recv()
		switch {
		case err == io.EOF:
			return s.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		case err != nil:
			return err
		}
		sum += len(in.GetPayload().GetBody())
	}
}

// FullDuplexCall implements the service.
func (Service) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	echo(s.Context(), func(md metadata.MD) { s.SendHeader(md) }, s.SetTrailer)
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = wanted(in.GetResponseStatus())
		}
		if err == nil {
			err = answer(s.Context(), in.GetResponseParameters(), s.Send)
		}
		if err != nil {
			return err
		}
	}
}
