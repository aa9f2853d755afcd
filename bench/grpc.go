package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// Calls of gRPC: messages are bytes, the server sends back what it gets.
const (
	echoUnary  = "/bench.Echo/Unary"
	echoStream = "/bench.Echo/Stream"
)

// raw is a codec of bytes.
type raw struct{}

func (raw) Name() string { return "proto" }
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = raw{}

// grpcServer is the server behind, in a process of its own.
func grpcServer(*settings) error {
	l, err := listenAsChild()
	if err != nil {
		return err
	}
	echo := func(_ any, s grpc.ServerStream) error {
		for {
			var p []byte
			if err := s.RecvMsg(&p); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := s.SendMsg(&p); err != nil {
				return err
			}
		}
	}
	return grpc.NewServer(grpc.ForceServerCodecV2(raw{}), grpc.UnknownServiceHandler(echo), grpc.MaxConcurrentStreams(1<<20)).Serve(l)
}

// grpcConf is a configuration that passes calls on.
func grpcConf(c candidate, listen, backend string, streams int) string {
	paths, http2, own := "fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;", "", " http2"
	if c.name == "ours" {
		paths, http2, own = "", "http2 on;", ""
	}
	return fmt.Sprintf(`pid logs/pid; error_log logs/error.log error; worker_processes 1; worker_rlimit_nofile 60000; master_process off;
events { worker_connections 50000; }
http { access_log off; client_body_temp_path b; proxy_temp_path p; %s
  keepalive_requests 1000000000; http2_max_concurrent_streams %d; client_max_body_size 0; %s
  upstream echo { server %s; keepalive 256; keepalive_requests 1000000000; }
  server { listen %s%s backlog=4096; location /version { return 200 ok; } location / { grpc_pass grpc://echo; grpc_read_timeout 10m; grpc_send_timeout 10m; client_body_timeout 10m; } } }
`, paths, streams, http2, backend, listen, own)
}

func startGRPC(s *settings, c candidate, backend string, streams int) (*server, error) {
	srv, err := newServer(func(srv *server) error { return srv.configure(grpcConf(c, srv.listen, backend, streams)) })
	if err != nil {
		return nil, err
	}
	return srv, srv.run(s.serverCPU, c.binary, "http://"+srv.listen+"/version", true)
}

func dialGRPC(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{}), grpc.MaxCallRecvMsgSize(64<<20)))
}

// unary measures calls of 100 bytes that are passed on, beside the reference.
func unary(s *settings) error {
	if err := tools("taskset"); err != nil {
		return err
	}
	candidates, done, err := s.prepare()
	if err != nil {
		return err
	}
	defer done()
	backend, stop, err := startChild(s.wrkAt, "grpc-server")
	if err != nil {
		return err
	}
	defer stop()
	servers := make([]*server, len(candidates))
	for i, c := range candidates {
		if servers[i], err = startGRPC(s, c, backend, 1000); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		defer servers[i].stop()
	}
	pin(s.wrkAt)
	samples := make([][]sample, len(candidates))
	for range s.rounds {
		for i := range candidates {
			one, err := servers[i].calls(s)
			if err != nil {
				return fmt.Errorf("%s: %w", candidates[i].name, err)
			}
			samples[i] = append(samples[i], one)
		}
	}
	fmt.Printf("%-10s %8s %8s %8s %9s\n", "server", "user µs", "sys µs", "total", "calls/s")
	for i, c := range candidates {
		m := median(samples[i])
		fmt.Printf("%-10s %8.2f %8.2f %8.2f %9.0f\n", c.name, m.user, m.system, m.total(), m.rate)
	}
	if len(candidates) == 2 {
		fmt.Printf("total to %s: %.2f\n", s.reference, median(samples[0]).total()/median(samples[1]).total())
	}
	return nil
}

// pin keeps this process on a core.
func pin(cpu string) { exec.Command("taskset", "-a", "-c", "-p", cpu, fmt.Sprint(os.Getpid())).Run() }

// perConn is how many calls each client connection has under way.
const perConn = 16

// calls makes as many calls as it can.
func (srv *server) calls(s *settings) (sample, error) {
	var n atomic.Int64
	var failed atomic.Value
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.seconds)*time.Second)
	defer cancel()
	var wait sync.WaitGroup
	conns := max(s.connections/perConn, 1)
	user, system := cpuTime(srv.cmd.Process.Pid)
	for range conns {
		cc, err := dialGRPC(srv.listen)
		if err != nil {
			return sample{}, err
		}
		defer cc.Close()
		for range perConn {
			wait.Go(func() {
				in, out := make([]byte, 100), []byte(nil)
				for ctx.Err() == nil {
					if err := cc.Invoke(context.Background(), echoUnary, &in, &out); err != nil || len(out) != len(in) {
						failed.CompareAndSwap(nil, fmt.Sprintf("%v, %d bytes", err, len(out)))
						return
					}
					n.Add(1)
				}
			})
		}
	}
	wait.Wait()
	userAfter, systemAfter := cpuTime(srv.cmd.Process.Pid)
	if why := failed.Load(); why != nil {
		return sample{}, errors.New(why.(string))
	}
	k := float64(n.Load())
	return sample{(userAfter - user) * 1e6 / k, (systemAfter - system) * 1e6 / k, k / float64(s.seconds)}, nil
}

// streams holds many streams of both directions open through the server, and looks at its memory before, while and after.
func streams(s *settings) error {
	backend, stop, err := startChild(s.wrkAt, "grpc-server")
	if err != nil {
		return err
	}
	defer stop()
	binary, err := filepath.Abs(s.ours)
	if err != nil {
		return err
	}
	const perConn = 500
	srv, err := startGRPC(s, candidate{name: "ours", binary: binary}, backend, perConn)
	if err != nil {
		return err
	}
	defer srv.stop()
	pid := srv.cmd.Process.Pid
	fmt.Printf("%-28s %12s\n%-28s %12d\n", "", "PSS KiB", "after the start", memoryOf(pid))
	began := time.Now()
	var open []grpc.ClientStream
	message, back := make([]byte, 100), []byte(nil)
	exchange := func(st grpc.ClientStream) error {
		if err := st.SendMsg(&message); err != nil {
			return err
		}
		return st.RecvMsg(&back)
	}
	var conns []*grpc.ClientConn
	for i := range s.idle {
		if i%perConn == 0 {
			cc, err := dialGRPC(srv.listen)
			if err != nil {
				return err
			}
			conns = append(conns, cc)
		}
		st, err := conns[len(conns)-1].NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, echoStream)
		if err == nil {
			err = exchange(st)
		}
		if err != nil {
			return fmt.Errorf("after %d streams: %w", i, err)
		}
		open = append(open, st)
	}
	fmt.Printf("%-28s %12d   after %.1f s\n", fmt.Sprintf("%d streams open", len(open)), memoryOf(pid), time.Since(began).Seconds())
	for i, st := range open {
		if err := exchange(st); err != nil {
			return fmt.Errorf("stream %d: %w", i, err)
		}
	}
	fmt.Printf("%-28s %12d\n", "each has echoed again", memoryOf(pid))
	for i, st := range open {
		st.CloseSend()
		if err := st.RecvMsg(&back); err != io.EOF {
			return fmt.Errorf("the end of stream %d: %v", i, err)
		}
	}
	for _, cc := range conns {
		cc.Close()
	}
	time.Sleep(time.Duration(s.settle) * time.Second)
	fmt.Printf("%-28s %12d\n", fmt.Sprintf("%d s after the last ended", s.settle), memoryOf(pid))
	srv.cmd.Process.Signal(syscall.SIGTERM)
	return nil
}
