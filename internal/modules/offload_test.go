package modules

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine/enginetest"
	"moongate/internal/luaapi/workerthread"
	"moongate/internal/testkit/poll"
)

// offloadSite has light threads that are ended while another thread of the system works for them.
const offloadSite = `
	lua_worker_thread_vm_pool_size 1;
	lua_package_path "$prefix/?.lua;;";
	init_by_lua_block {
		function refs()
			local n = 0
			for k, v in pairs(debug.getregistry()) do
				if type(k) == "number" and type(v) ~= "number" then n = n + 1 end
			end
			return n
		end
		went_on = 0
	}
	server {
		listen 127.0.0.1:8080;
		location = /refs { content_by_lua_block { collectgarbage() collectgarbage() ngx.print(refs()) } }
		location = /went_on { content_by_lua_block { ngx.print(went_on) } }

		# a file that nobody has written yet
		location = /thread/killed { content_by_lua_block {
			local t = ngx.thread.spawn(function()
				ngx.run_worker_thread("default", "reader", "read", ngx.config.prefix() .. "fifo")
				went_on = went_on + 1
			end)
			ngx.say(ngx.run_worker_thread("default", "reader", "read", "")) -- the only VM is busy
			ngx.say(ngx.thread.kill(t), " ", ngx.thread.wait(t))
			ngx.sleep(0)
			ngx.say("unharmed")
		} }
		location = /thread/exit { content_by_lua_block {
			ngx.thread.spawn(function()
				ngx.run_worker_thread("default", "reader", "read", ngx.config.prefix() .. "fifo")
				went_on = went_on + 1
			end)
			ngx.say("unharmed")
			ngx.exit(200)
		} }
		location = /thread/free { content_by_lua_block {
			ngx.print(ngx.run_worker_thread("default", "reader", "read", ngx.config.prefix() .. "file"))
		} }

		# a name that the machine's own resolver looks for
		location = /name/killed { content_by_lua_block {
			local client = require "ngx.grpc.client"
			local t = ngx.thread.spawn(function()
				client.call(client.channel("somebody.example:" .. ngx.var.arg_port), "a.B/C", "", 60)
				went_on = went_on + 1
			end)
			ngx.say(ngx.thread.kill(t), " ", ngx.thread.wait(t))
			ngx.sleep(0)
			ngx.say("unharmed")
		} }
		location = /name/exit { content_by_lua_block {
			local client = require "ngx.grpc.client"
			ngx.thread.spawn(function()
				client.call(client.channel("somebody.example:" .. ngx.var.arg_port), "a.B/C", "", 60)
				went_on = went_on + 1
			end)
			ngx.say("unharmed")
			ngx.exit(200)
		} }
	}`

// TestKilledWhileOffloaded ends light threads while a thread of the system works for them: the request goes on, or ends when that
// work does; what the light thread was about to do with the result is not done; nothing is left over.
func TestKilledWhileOffloaded(t *testing.T) {
	workerthread.HasPool = func(*conf.Config, string) bool { return true }
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"file":       "a file",
		"reader.lua": `return {read = function(path) return assert(io.open(path)):read("*a") end}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Who looks for a name says so, and hears nothing until told.
	asked, answer, names := make(chan bool, 1), make(chan bool), nameServer(t)
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		select {
		case asked <- true:
		default:
		}
		<-answer
		return net.Dial("udp", names)
	}}
	t.Cleanup(func() { net.DefaultResolver = before }) // when the server has stopped

	s := enginetest.StartIn(t, dir, Set(), offloadSite)

	listener, err := net.Listen("tcp", "127.1.2.3:0") // what every name stands for: whoever went on would come here
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())

	write := func() { // waits for the reader
		t.Helper()
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	get := func(uri, want string) {
		t.Helper()
		if got := unchunk(enginetest.Body(s.Get(uri))); got != want {
			t.Errorf("%s: %q, want %q\n%s", uri, got, want, s.ErrorLog())
		}
	}
	released := func() {
		t.Helper()
		if !poll.Until(time.Minute, func() bool { return unchunk(enginetest.Body(s.Get("/thread/free"))) == "truea file" }) {
			t.Error("the VM does not come back")
		}
	}
	round := func() {
		t.Helper()
		get("/thread/killed", "falseno available Lua vm\n1 nilalready waited or killed\nunharmed\n")
		write()
		released()
		get("/thread/exit", "unharmed\n")
		write()
		released()
		for _, uri := range []string{"/name/killed?port=", "/name/exit?port="} {
			want := "1 nilalready waited or killed\nunharmed\n"
			if strings.Contains(uri, "exit") {
				want = "unharmed\n"
			}
			done := make(chan bool)
			go func() { get(uri+port, want); done <- true }()
			<-asked
			get("/went_on", "0") // others are served meanwhile
			for over := false; !over; {
				select {
				case answer <- true:
				case over = <-done:
				}
			}
			for len(asked) > 0 {
				<-asked
			}
		}
	}
	round()
	first := held(t, s)
	for range 5 {
		round()
	}
	var last holding
	if !poll.Until(time.Minute, func() bool { last = held(t, s); return last.within(first) }) {
		t.Errorf("before %+v, after %+v", first, last)
	}
	get("/went_on", "0")
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if c, _, err := syscall.Accept(int(fd)); err == nil { // it does not block
			syscall.Close(c)
			t.Error("a light thread that was killed has gone on to connect")
		}
	})
	for line := range strings.Lines(s.ErrorLog()) {
		if strings.Contains(line, "[alert]") || strings.Contains(line, "panic") {
			t.Error(line)
		}
	}
}
