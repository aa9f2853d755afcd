// Command peer makes and serves the cases of gRPC's interoperability tests, with grpc-go's functions for them, where the
// programs of grpc-go cannot: with a certificate of the client's, and with a server that tells its name.
//
//	peer -serve -ca FILE -cert FILE -key FILE     prints its address; with -ca clients need a certificate
//	peer -addr HOST:PORT -test_case NAME ...      ends with 0 when the case passes
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	loads "github.com/cncf/xds/go/xds/data/orca/v3"
	reports "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
)

var (
	serving = flag.Bool("serve", false, "be the server")
	addr    = flag.String("addr", "", "the server's address")
	name    = flag.String("test_case", "", "the case")
	ca      = flag.String("ca", "", "authority of the other side's certificate")
	cert    = flag.String("cert", "", "own certificate")
	key     = flag.String("key", "", "own key")
	config  = flag.String("service_config_json", "{}", "the client's service configuration")
)

func main() {
	flag.Parse()
	var tc *tls.Config
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		check(err)
		tc = &tls.Config{Certificates: []tls.Certificate{pair}, ServerName: "localhost"}
		if *ca != "" {
			pem, err := os.ReadFile(*ca)
			check(err)
			tc.RootCAs = x509.NewCertPool()
			tc.RootCAs.AppendCertsFromPEM(pem)
			tc.ClientCAs, tc.ClientAuth = tc.RootCAs, tls.RequireAndVerifyClientCert
		}
	}
	if *serving {
		serve(tc)
		return
	}
	call(tc)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func serve(tc *tls.Config) {
	opts := []grpc.ServerOption{orca.CallMetricsServerOption(nil)}
	if tc != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(tc)))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	s := grpc.NewServer(opts...)
	rec := orca.NewServerMetricsRecorder()
	reports.RegisterOpenRcaServiceServer(s, &reporter{rec: rec})
	testpb.RegisterTestServiceServer(s, named{interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: rec})})
	fmt.Println(l.Addr())
	check(s.Serve(l))
}

// named tells its name to those who ask, which grpc-go's server does not.
type named struct{ testpb.TestServiceServer }

func (n named) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
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

type clientCase func(ctx context.Context, cc *grpc.ClientConn, tc testpb.TestServiceClient)

func plain(f func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)) clientCase {
	return func(ctx context.Context, _ *grpc.ClientConn, tc testpb.TestServiceClient) { f(ctx, tc) }
}

func bare(f func(context.Context, testpb.TestServiceClient)) clientCase {
	return func(ctx context.Context, _ *grpc.ClientConn, tc testpb.TestServiceClient) { f(ctx, tc) }
}

var cases = map[string]clientCase{
	"empty_unary":                 plain(interop.DoEmptyUnaryCall),
	"large_unary":                 plain(interop.DoLargeUnaryCall),
	"client_streaming":            plain(interop.DoClientStreaming),
	"server_streaming":            plain(interop.DoServerStreaming),
	"ping_pong":                   plain(interop.DoPingPong),
	"empty_stream":                plain(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  plain(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          plain(interop.DoCancelAfterBegin),
	"cancel_after_first_response": plain(interop.DoCancelAfterFirstResponse),
	"status_code_and_message":     plain(interop.DoStatusCodeAndMessage),
	"special_status_message":      plain(interop.DoSpecialStatusMessage),
	"custom_metadata":             plain(interop.DoCustomMetadata),
	"pick_first_unary":            bare(interop.DoPickFirstUnary),
	"orca_per_rpc":                bare(interop.DoORCAPerRPCTest),
	"orca_oob":                    bare(interop.DoORCAOOBTest),
	"unimplemented_method": func(ctx context.Context, cc *grpc.ClientConn, _ testpb.TestServiceClient) {
		interop.DoUnimplementedMethod(ctx, cc)
	},
	"unimplemented_service": func(ctx context.Context, cc *grpc.ClientConn, _ testpb.TestServiceClient) {
		interop.DoUnimplementedService(ctx, testpb.NewUnimplementedServiceClient(cc))
	},
	"rpc_soak": func(ctx context.Context, cc *grpc.ClientConn, _ testpb.TestServiceClient) {
		soak(ctx, func() (*grpc.ClientConn, func()) { return cc, func() {} })
	},
	"channel_soak": func(ctx context.Context, _ *grpc.ClientConn, _ testpb.TestServiceClient) {
		soak(ctx, func() (*grpc.ClientConn, func()) {
			cc := connect()
			return cc, func() { cc.Close() }
		})
	},
}

func soak(ctx context.Context, channel func() (*grpc.ClientConn, func())) {
	interop.DoSoakTest(ctx, interop.SoakTestConfig{RequestSize: 271828, ResponseSize: 314159, PerIterationMaxAcceptableLatency: time.Minute,
		OverallTimeout: time.Minute, ServerAddr: *addr, NumWorkers: 1, Iterations: 10, ChannelForTest: channel})
}

var connect func() *grpc.ClientConn

func call(tc *tls.Config) {
	creds := insecure.NewCredentials()
	if tc != nil {
		creds = credentials.NewTLS(tc)
	}
	connect = func() *grpc.ClientConn {
		cc, err := grpc.NewClient(*addr, grpc.WithTransportCredentials(creds), grpc.WithDefaultServiceConfig(*config))
		check(err)
		return cc
	}
	run := cases[*name]
	if run == nil {
		log.Fatalf("no case %q", *name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cc := connect()
	defer cc.Close()
	run(ctx, cc, testpb.NewTestServiceClient(cc))
}
