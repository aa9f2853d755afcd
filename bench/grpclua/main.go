// Command grpclua measures the CPU time of gRPC calls: of the server in Lua and the client in Lua, beside grpc-go's.
//
//	go run ./bench/grpclua -binary bin/moongate
//
// All calls are unary, with 100 bytes each way, 50 at a time over one connection.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

const parallel = 50

func main() {
	binary := flag.String("binary", "bin/moongate", "the server")
	calls := flag.Int("calls", 50000, "calls of a round")
	rounds := flag.Int("rounds", 3, "rounds")
	flag.Parse()
	switch flag.Arg(0) {
	case "serve":
		serve(flag.Arg(1))
	case "load":
		load(flag.Arg(1), *calls)
	default:
		if err := compare(*binary, *calls, *rounds); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

type echo struct {
	testpb.UnimplementedTestServiceServer
}

func (echo) UnaryCall(_ context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: r.Payload}, nil
}

func serve(addr string) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		panic(err)
	}
	s := grpc.NewServer()
	testpb.RegisterTestServiceServer(s, echo{})
	s.Serve(l)
}

// load makes calls with grpc-go's client.
func load(addr string, calls int) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	tc := testpb.NewTestServiceClient(conn)
	request := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 100)}}
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for range calls / parallel {
				if _, err := tc.UnaryCall(context.Background(), request); err != nil {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
}

const site = `daemon off; master_process off; worker_processes 1; error_log error.log; pid moongate.pid;
events { worker_connections 1024; }
http {
	access_log off;
	grpc_proto interop.pb;
	server {
		listen %s;
		http2 on;
		keepalive_requests 100000000;
		grpc_method_by_lua_block grpc.testing.TestService/UnaryCall { return {payload = request.payload} }
		location = /load {
			content_by_lua_block {
				local grpc = require "ngx.grpc"
				if not grpc.default.services["grpc.testing.TestService"] then
					local f = io.open("%s/interop.pb", "rb")
					assert(grpc.load_set(f:read "*a"))
					f:close()
				end
				local args = ngx.req.get_uri_args()
				local test = grpc.channel(args.addr):client "grpc.testing.TestService"
				local request = {payload = {body = string.rep("\0", 100)}}
				local threads = {}
				for i = 1, %d do
					threads[i] = ngx.thread.spawn(function()
						for _ = 1, args.calls / %d do assert(test:UnaryCall(request)) end
					end)
				end
				for i = 1, #threads do assert(ngx.thread.wait(threads[i])) end
				ngx.say "done"
			}
		}
	}
}
`

func compare(binary string, calls, rounds int) error {
	dir, err := os.MkdirTemp("", "grpcbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fds := &descriptorpb.FileDescriptorSet{}
	for _, f := range []protoreflect.FileDescriptor{testpb.File_grpc_testing_empty_proto, testpb.File_grpc_testing_messages_proto, testpb.File_grpc_testing_test_proto} {
		fds.File = append(fds.File, protodesc.ToFileDescriptorProto(f))
	}
	set, err := proto.Marshal(fds)
	if err != nil {
		return err
	}
	os.WriteFile(filepath.Join(dir, "interop.pb"), set, 0o644)
	goAddr, luaAddr := freeAddr(), freeAddr()
	conf := fmt.Sprintf(site, luaAddr, dir, parallel, parallel)
	os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o644)
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	goServer, luaServer := exec.Command(self, "serve", goAddr), exec.Command(binary, "-p", dir, "-c", "nginx.conf")
	for _, c := range []*exec.Cmd{goServer, luaServer} {
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			return err
		}
		defer c.Process.Kill()
	}
	for _, a := range []string{goAddr, luaAddr} {
		if err := reachable(a); err != nil {
			return err
		}
	}
	fmt.Println("microseconds of CPU per call:  server Go  server Lua  client Go  client Lua")
	for range rounds {
		var us [4]float64
		var client time.Duration
		for i, c := range []struct {
			server *exec.Cmd
			addr   string
		}{{goServer, goAddr}, {luaServer, luaAddr}} {
			before := cpu(c.server.Process.Pid)
			l := exec.Command(self, "-calls", fmt.Sprint(calls), "load", c.addr)
			l.Stderr = os.Stderr
			if err := l.Run(); err != nil {
				return err
			}
			us[i] = perCall(cpu(c.server.Process.Pid)-before, calls)
			client = l.ProcessState.UserTime() + l.ProcessState.SystemTime()
			if i == 0 {
				us[2] = perCall(client, calls)
			}
		}
		before := cpu(luaServer.Process.Pid)
		resp, err := http.Get(fmt.Sprintf("http://%s/load?addr=%s&calls=%d", luaAddr, goAddr, calls))
		if err != nil {
			return err
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != "done\n" {
			return fmt.Errorf("the client in Lua: %s", b)
		}
		us[3] = perCall(cpu(luaServer.Process.Pid)-before, calls)
		fmt.Printf("%41.2f %11.2f %10.2f %11.2f   Lua server: %.2f of Go's calls per CPU second; Lua client: %.2f of Go's CPU\n",
			us[0], us[1], us[2], us[3], us[0]/us[1], us[3]/us[2])
	}
	return nil
}

func perCall(d time.Duration, calls int) float64 {
	return float64(d.Nanoseconds()) / 1e3 / float64(calls)
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// reachable waits until a server listens.
func reachable(addr string) error {
	var err error
	for range 100 {
		var c net.Conn
		if c, err = net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// cpu is the CPU time that a process has used.
func cpu(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	var user, system int64
	end := len(b)
	for i := range b {
		if b[i] == ')' {
			end = i + 2
		}
	}
	var skip string
	fmt.Sscan(string(b[end:]), &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &user, &system)
	return time.Duration(user+system) * time.Second / ticks
}

// ticks is USER_HZ, which is 100 on all of Linux's architectures that we build for.
const ticks = 100
