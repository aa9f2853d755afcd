package grpcclient_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/luaapi/grpcclient"
	"moongate/internal/modules"
	"moongate/internal/testkit"
	"moongate/internal/testkit/grpctest"
)

// watched is what a server has seen: connections, and calls that are open.
type watched struct{ all, open, calls atomic.Int64 }

func (w *watched) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (w *watched) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (w *watched) HandleRPC(_ context.Context, s stats.RPCStats) {
	switch s.(type) {
	case *stats.Begin:
		w.calls.Add(1)
	case *stats.End:
		w.calls.Add(-1)
	}
}

func (w *watched) HandleConn(_ context.Context, s stats.ConnStats) {
	switch s.(type) {
	case *stats.ConnBegin:
		w.all.Add(1)
		w.open.Add(1)
	case *stats.ConnEnd:
		w.open.Add(-1)
	}
}

const workers = 4

var zones atomic.Int64

// sharing runs code in each of several workers once, as timers: a function of an argument that says what dir and the servers
// are. Its result is what results waits for.
func sharing(t *testing.T, code, upstreams string) *enginetest.Server {
	t.Helper()
	dir := t.TempDir()
	grpctest.Files(t, dir)
	zone := "results" + strconv.Itoa(int(zones.Add(1))) // zones outlive servers
	return enginetest.StartIn(t, dir, modules.Set(), fmt.Sprintf(`worker_processes %[1]d; events { } http {
		lua_package_path "$prefix/?.lua;;"; lua_shared_dict %[4]s 1m; %[2]s
		init_worker_by_lua_block {
			ngx.timer.at(0, function()
				local ok, err = xpcall(function() %[3]s end, debug.traceback)
				ngx.shared.%[4]s:set(ngx.worker.id(), ok and "ok" or tostring(err))
			end)
		}
		server { listen 127.0.0.1:8080;
			location / { content_by_lua_block {
				for i = 0, ngx.worker.count() - 1 do ngx.say(ngx.shared.%[4]s:get(i) or "waiting") end
			} }
			location /case { content_by_lua_block {
				ngx.say(tostring(select(2, require("interop_client").run(ngx.var.arg_case, {addr = ngx.var.arg_addr, dir = ngx.config.prefix()}))))
			} }
		} }`, workers, upstreams, strings.ReplaceAll(code, "shared.results", "shared."+zone), zone))
}

// results waits until all workers are done.
func results(t *testing.T, s *enginetest.Server) {
	t.Helper()
	var body string
	testkit.Eventually(t, "all workers are done", func() bool {
		body = enginetest.Body(s.Get("/"))
		return body != "" && !strings.Contains(body, "waiting")
	})
	if n := strings.Count(body, "ok\n"); n != workers {
		t.Errorf("%s\n%s", body, s.ErrorLog())
	}
	testkit.Eventually(t, "no worker has anything to do for another", func() bool {
		var busy atomic.Int64
		s.Do(func(w *engine.Worker) {
			ops, calls, background := grpcclient.Busy(w)
			busy.Add(int64(ops + calls + background))
		})
		return busy.Load() == 0
	})
}

const everything = `
	local client = require "interop_client"
	for _ = 1, 2 do
		for name in ([[empty_unary large_unary client_streaming server_streaming ping_pong empty_stream timeout_on_sleeping_server
			cancel_after_begin cancel_after_first_response custom_metadata status_code_and_message special_status_message unimplemented_method
			unimplemented_service pick_first_unary rpc_soak channel_soak concurrent too_large bad_request]]):gmatch "%%S+" do
			local ok, err = client.run(name, {addr = "%s", dir = ngx.config.prefix(), tls = %s, own = %t})
			if not ok then error(ngx.worker.id() .. " " .. name .. ": " .. tostring(err), 0) end
		end
	end`

// TestShared has all workers make calls of all kinds at once: the server sees one connection.
func TestShared(t *testing.T) {
	for _, c := range []struct {
		name string
		tls  bool
		own  bool
		want int64
	}{{"cleartext", false, false, 1}, {"mTLS", true, false, 1}, {"use_local_subchannel_pool", false, true, workers}} {
		t.Run(c.name, func(t *testing.T) {
			var seen watched
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			grpctest.Files(t, dir)
			upstreams, tls := fmt.Sprintf("upstream u { server %s; }", l.Addr()), "nil"
			code := everything
			if c.tls {
				tls = `"mutual"`
				code = strings.Replace(code, "dir = ngx.config.prefix()", `dir = "`+dir+`"`, 1)
				grpctest.ServeOn(t, l, grpctest.TLS(t, dir, "server", true), grpc.StatsHandler(&seen))
			} else {
				grpctest.ServeOn(t, l, nil, grpc.StatsHandler(&seen))
			}
			s := sharing(t, fmt.Sprintf(code, "u", tls, c.own), upstreams)
			results(t, s)
			if n := seen.all.Load(); n != c.want {
				t.Errorf("%d connections, not %d", n, c.want)
			}
			testkit.Eventually(t, "no call is open", func() bool { return seen.calls.Load() == 0 })
		})
	}
}

// TestHomeMoves closes the connections of all workers by a server that goes: the next calls make a new one, once.
func TestHomeMoves(t *testing.T) {
	var seen watched
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	grpctest.ServeOn(t, l, nil, grpc.StatsHandler(&seen), grpc.ConnectionTimeout(time.Minute))
	s := sharing(t, `
		local grpc = require "ngx.grpc"
		require("interop_client").run("empty_unary", {addr = "u", dir = ngx.config.prefix()})
		local test = grpc.channel("u"):client "grpc.testing.TestService"
		local s = assert(test:FullDuplexCall())
		assert(s:send{response_parameters = {{size = 5}}})
		assert(#assert(s:recv()).payload.body == 5)
		ngx.shared.results:incr("open", 1, 0)
		while ngx.shared.results:get "open" < ngx.worker.count() do ngx.sleep(0.001) end
		-- a thread that is killed while it waits at the home
		local before = ngx.now()
		local t = ngx.thread.spawn(function() return s:recv() end)
		ngx.sleep(0.01)
		assert(ngx.thread.kill(t))
		s:close()
		local _, err = s:recv()
		assert(err.name == "CANCELLED")
		-- many at once
		local threads = {}
		for i = 1, 50 do
			threads[i] = ngx.thread.spawn(function()
				local s = assert(test:FullDuplexCall())
				for n = 1, 10 do
					assert(s:send{response_parameters = {{size = n * 1000}}})
					assert(#assert(s:recv()).payload.body == n * 1000)
				end
				assert(s:close_send())
				local m, err = s:recv()
				assert(not m and not err)
			end)
		end
		for i = 1, 50 do assert(ngx.thread.wait(threads[i])) end`, fmt.Sprintf("upstream u { server %s; }", l.Addr()))
	results(t, s)
	if n := seen.all.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	testkit.Eventually(t, "no call is open", func() bool { return seen.calls.Load() == 0 })
	if err := s.Reload(`worker_processes 4; events { } http { lua_package_path "$prefix/?.lua;;"; server { listen 127.0.0.1:8080; location /case { content_by_lua_block {
		ngx.say(tostring(require("interop_client").run(ngx.var.arg_case, {addr = ngx.var.arg_addr, dir = ngx.config.prefix()})))
	} } } }`); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if got := s.Get("/case?case=large_unary&addr=" + l.Addr().String()); !strings.Contains(got, "true") {
			t.Fatal(got)
		}
	}
	if n := seen.all.Load(); n != 1 {
		t.Errorf("%d connections after a reload", n)
	}
}

// TestHomeStops ends the worker that has the connection, as a graceful stop does, while others have calls on it.
func TestHomeStops(t *testing.T) {
	var seen watched
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	grpctest.ServeOn(t, l, nil, grpc.StatsHandler(&seen))
	s := sharing(t, `
		local results = ngx.shared.results
		local grpc = require "ngx.grpc"
		if ngx.worker.id() > 0 then
			while not results:get "connected" do ngx.sleep(0.001) end
		end
		assert(require("interop_client").run("empty_unary", {addr = "u", dir = ngx.config.prefix()}))
		results:set("connected", true)
		if ngx.worker.id() == 0 then return end
		local test = grpc.channel("u"):client "grpc.testing.TestService"
		local s = assert(test:FullDuplexCall())
		assert(s:send{response_parameters = {{size = 5}}})
		assert(s:recv())
		results:incr("open", 1, 0)
		while not ngx.worker.exiting() do ngx.sleep(0.001) end
		ngx.sleep(0.05)
		for n = 1, 20 do
			assert(s:send{response_parameters = {{size = n * 1000}}})
			assert(#assert(s:recv()).payload.body == n * 1000)
			assert(test:UnaryCall{response_size = 10})
		end
		assert(s:close_send())
		assert(not s:recv())
		-- the home has nothing to do any more and ends; this worker makes its own connection
		for n = 1, 20 do
			assert(test:UnaryCall{response_size = 10})
			ngx.sleep(0.002)
		end`, fmt.Sprintf("upstream u { server %s; }", l.Addr()))
	testkit.Eventually(t, "streams are open", func() bool { return seen.calls.Load() == workers-1 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.Plane.Quit(ctx)
	if ctx.Err() != nil {
		t.Error("the workers did not end")
	}
	if log := s.ErrorLog(); strings.Contains(log, "[error]") {
		t.Error(log)
	}
	testkit.Eventually(t, "connections are closed", func() bool { return seen.open.Load() == 0 })
}

// TestStopAtOnce stops workers, as at the end of any test, while they wait for answers on one connection.
func TestStopAtOnce(t *testing.T) {
	var calls atomic.Int64
	bad := grpctest.Bad(t, func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) bool {
		c.Head(id)
		calls.Add(1)
		return true
	})
	sharing(t, `
		local grpc = require "ngx.grpc"
		require("interop_client").run("none", {addr = "u", dir = ngx.config.prefix()})
		local test = grpc.channel("u"):client "grpc.testing.TestService"
		ngx.thread.spawn(function() test:UnaryCall{} end)
		assert(test:StreamingOutputCall{}):recv()`, "upstream u { server "+bad.Addr+"; }")
	testkit.Eventually(t, "all calls are made", func() bool { return calls.Load() == 2*workers })
	if n := bad.Conns(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
