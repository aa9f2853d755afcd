// Command grpclua measures the CPU time of gRPC calls: of the server in Lua and the client in Lua, beside grpc-go's.
//
//	go run ./bench/grpclua -binary bin/moongate
//
// All calls are unary, with 100 bytes each way, -parallel (50) at a time over one connection. The client in Lua makes its calls from the
// worker that has the connection, and from another one.
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
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

func main() {
	binary := flag.String("binary", "bin/moongate", "the server")
	calls := flag.Int("calls", 50000, "calls of a round")
	rounds := flag.Int("rounds", 3, "rounds")
	parallel := flag.Int("parallel", 50, "calls at a time")
	flag.Parse()
	switch flag.Arg(0) {
	case "serve":
		serve(flag.Arg(1))
	case "load":
		load(flag.Arg(1), *calls, *parallel)
	default:
		if err := compare(*binary, *calls, *parallel, *rounds); err != nil {
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
func load(addr string, calls, parallel int) {
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

const site = `daemon off; worker_processes 2; error_log error.log; pid moongate.pid;
events { worker_connections 1024; }
http {
	access_log off;
	grpc_proto interop.pb;
	lua_package_path "$prefix/?.lua;;";
	lua_shared_dict jobs 1m;
	# Each worker looks for calls to make: connections would meet whichever worker is free.
	init_worker_by_lua_block {
		local jobs, me = ngx.shared.jobs, ngx.worker.id()
		ngx.timer.every(0.01, function()
			local job = jobs:get(me)
			if job then
				jobs:delete(me)
				local ok, err = pcall(require "load", ngx.decode_args(job))
				jobs:set("result", ok and "done" or tostring(err))
			end
		end)
	}
	server {
		listen %s;
		http2 on;
		keepalive_requests 100000000;
		grpc_method_by_lua_block grpc.testing.TestService/UnaryCall { return {payload = request.payload} }
		location = /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
		location = /load {
			content_by_lua_block {
				local jobs = ngx.shared.jobs
				jobs:set(tonumber(ngx.var.arg_worker), ngx.var.args)
				while not jobs:get "result" do ngx.sleep(0.01) end
				ngx.say(jobs:get "result")
				jobs:delete "result"
			}
		}
	}
}
`

// loadSource is the Lua that makes the calls.
const loadSource = `local grpc = require "ngx.grpc"
local f = io.open(ngx.config.prefix() .. "/interop.pb", "rb")
assert(grpc.load_set(f:read "*a"))
f:close()
return function(args)
	local test = grpc.channel(args.addr, {use_local_subchannel_pool = args.own}):client "grpc.testing.TestService"
	local request = {payload = {body = string.rep("\0", 100)}}
	local threads = {}
	for i = 1, args.parallel do
		threads[i] = ngx.thread.spawn(function()
			for _ = 1, args.calls / args.parallel do assert(test:UnaryCall(request)) end
		end)
	end
	for i = 1, #threads do assert(ngx.thread.wait(threads[i])) end
end
`

func compare(binary string, calls, parallel, rounds int) error {
	dir, err := os.MkdirTemp("", "grpcbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755) // workers of a supervisor that is root are not
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
	conf := fmt.Sprintf(site, luaAddr)
	os.WriteFile(filepath.Join(dir, "load.lua"), []byte(loadSource), 0o644)
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
		defer c.Process.Signal(syscall.SIGTERM)
	}
	for _, a := range []string{goAddr, luaAddr} {
		if err := reachable(a); err != nil {
			return err
		}
	}
	pids := [2]int{goServer.Process.Pid}
	if pids[1], err = workerOf(luaAddr); err != nil {
		return err
	}
	fmt.Println("microseconds of CPU per call:  server Go  server Lua  client Go  client Lua  from another worker  with its own connection")
	for range rounds {
		var us [6]float64
		var client time.Duration
		for i, c := range []struct {
			pid  int
			addr string
		}{{pids[0], goAddr}, {pids[1], luaAddr}} {
			before := cpu(c.pid)
			l := exec.Command(self, "-calls", fmt.Sprint(calls), "-parallel", fmt.Sprint(parallel), "load", c.addr)
			l.Stderr = os.Stderr
			if err := l.Run(); err != nil {
				return err
			}
			us[i] = perCall(cpu(c.pid)-before, calls)
			client = l.ProcessState.UserTime() + l.ProcessState.SystemTime()
			if i == 0 {
				us[2] = perCall(client, calls)
			}
		}
		for i, from := range []string{"worker=0", "worker=1", "worker=1&own=1"} { // the first that connects keeps the connection
			before := cpu(pids[1])
			if err := loadLua(fmt.Sprintf("http://%s/load?addr=%s&calls=%d&parallel=%d&%s", luaAddr, goAddr, calls, parallel, from)); err != nil {
				return err
			}
			us[3+i] = perCall(cpu(pids[1])-before, calls)
		}
		fmt.Printf("%41.2f %11.2f %10.2f %11.2f %20.2f %24.2f   Lua server: %.2f of Go's calls per CPU second; Lua client: %.2f of Go's CPU\n",
			us[0], us[1], us[2], us[3], us[4], us[5], us[0]/us[1], us[3]/us[2])
	}
	return nil
}

// workerOf is the number of the process that serves.
func workerOf(addr string) (pid int, err error) {
	resp, err := http.Get("http://" + addr + "/pid")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = fmt.Fscan(resp.Body, &pid)
	return pid, err
}

// loadLua has a worker make calls.
func loadLua(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "done\n" {
		return fmt.Errorf("the client in Lua: %s", b)
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
