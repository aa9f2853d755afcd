package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// mixedLoad is a site whose handlers hold all kinds of things, and lose some of them on purpose.
var mixedLoad = workload{name: "mixed", path: "/hello", http: `
    lua_max_pending_timers 100000; lua_max_running_timers 100000; lua_socket_log_errors off;
    init_by_lua_block {
        function held() -- what Go and C have anchored in the VM
            local n = 0
            for k, v in pairs(debug.getregistry()) do
                if type(k) == "number" and type(v) ~= "number" then n = n + 1 end
            end
            return n
        end
    }
`, site: `
        lua_check_client_abort on;
        location = /hello { content_by_lua_block { ngx.say("hello") } }
        location = /held { content_by_lua_block {
            collectgarbage() collectgarbage()
            ngx.say(held(), " ", require "moongate".status().goroutines, " ", ngx.timer.pending_count())
        } }
        location = /socket { content_by_lua_block {
            local s = ngx.socket.tcp()
            assert(s:connect("BACKEND"))
            s:send("x\n")
            ngx.say((s:receive()))
            if math.random() < 0.5 then s:setkeepalive(1000, 8) end
            ngx.socket.tcp():connect("BACKEND")
        } }
        location = /threads { content_by_lua_block {
            local function reader()
                local s = ngx.socket.tcp()
                s:connect("BACKEND")
                s:receive()
            end
            local t, u = ngx.thread.spawn(reader), ngx.thread.spawn(reader)
            local v = ngx.thread.spawn(function() ngx.sleep(0.001) return 1 end)
            ngx.thread.wait(t, v)
            ngx.thread.kill(t)
            ngx.say("one killed, one left behind")
            ngx.exit(200)
        } }
        location = /timer { content_by_lua_block {
            ngx.timer.at(0, function() error("on purpose") end)
            ngx.timer.at(0.001, function(p, t) ngx.ctx.x = t end, {})
            ngx.say("timers")
        } }
        location = /long { content_by_lua_block {
            ngx.on_abort(function() ngx.exit(499) end)
            local s = ngx.socket.tcp()
            s:connect("BACKEND")
            s:receive()
        } }
        location = /capture { content_by_lua_block {
            local a, b = ngx.location.capture_multi{ { "/hello" }, { "/error" } }
            ngx.say(a.status, b.status)
        } }
        location = /error { content_by_lua_block { ngx.ctx.a = {} ngx.sleep(0) error("on purpose") } }
        location = /semaphore { content_by_lua_block {
            local s = require "ngx.semaphore".new()
            ngx.thread.spawn(function() s:wait(10) end)
            ngx.say(s:wait(0.001))
            ngx.exit(200)
        } }
        location = /timers { content_by_lua_block {
            local ran = 0
            for i = 1, ngx.var.arg_n do
                local ok, err = ngx.timer.at(1 + i / ngx.var.arg_n, function() ran = ran + 1 end)
                if not ok then ngx.status = 500 ngx.say(err) return end
            end
            local most = ngx.timer.pending_count()
            while ngx.timer.pending_count() > 0 do ngx.sleep(0.1) end
            ngx.say(most, " pending, ", ran, " ran")
        } }
        location = /sockets { content_by_lua_block {
            local list, n = {}, tonumber(ngx.var.arg_n)
            local function one(i)
                local s = ngx.socket.tcp()
                s:settimeout(60000)
                local ok, err = s:connect("BACKEND")
                if not ok then error(err) end
                s:send("x\n")
                list[i] = s
                assert(s:receive())
            end
            for from = 1, n, 100 do
                local threads = {}
                for i = from, from + 99 do threads[#threads + 1] = ngx.thread.spawn(one, i) end
                for _, t in ipairs(threads) do assert(ngx.thread.wait(t)) end
            end
            local open = 0
            for i = 1, n do
                list[i]:send("y\n")
                if list[i]:receive() then open = open + 1 end
            end
            ngx.say(open, " open")
        } }
`}

// holding is what a server holds while nobody asks it anything.
type holding struct{ references, goroutines, timers, files, pss int }

// leaks sends many requests of all kinds, many of them abandoned, and prints what the server holds before and after.
func leaks(s *settings) error {
	candidates, done, err := s.prepare()
	if err != nil {
		return err
	}
	done()
	echo, err := echoServer()
	if err != nil {
		return err
	}
	defer echo.Close()
	s.backend = strings.Replace(echo.Addr().String(), ":", "\", \"", 1)
	srv, err := start(s, candidates[0], &mixedLoad)
	if err != nil {
		return err
	}
	defer srv.stop()
	base := "http://" + srv.listen
	mixed(base, srv.listen, s.mixed/100+100)
	settle := func() holding {
		time.Sleep(time.Duration(s.settle) * time.Second)
		return srv.holding(base)
	}
	rows := []struct {
		name string
		do   func() string
	}{
		{"at first", func() string { return "" }},
		{fmt.Sprintf("%d requests", s.mixed), func() string { return mixed(base, srv.listen, s.mixed) }},
		{"50,000 timers", func() string { return ask(base + "/timers?n=50000") }},
		{"10,000 sockets", func() string { return ask(base + "/sockets?n=10000") }},
	}
	fmt.Printf("%-18s %10s %10s %8s %8s %10s  %s\n", "after", "references", "goroutines", "timers", "files", "PSS KiB", "said")
	for _, r := range rows {
		said := r.do()
		h := settle()
		fmt.Printf("%-18s %10d %10d %8d %8d %10d  %s\n", r.name, h.references, h.goroutines, h.timers, h.files, h.pss, said)
	}
	return nil
}

func (srv *server) holding(base string) (h holding) {
	h.pss = memoryOf(srv.cmd.Process.Pid)
	http.DefaultClient.CloseIdleConnections()
	fmt.Sscan(ask(base+"/held"), &h.references, &h.goroutines, &h.timers)
	http.DefaultClient.CloseIdleConnections()
	time.Sleep(50 * time.Millisecond)
	for _, pid := range family(srv.cmd.Process.Pid) {
		list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		h.files += len(list)
	}
	return h
}

// ask gives the answer's body, or what went wrong.
func ask(url string) string {
	r, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b))
}

// mixed sends n requests over several connections at once, each ninth abandoned; it tells how many failed.
func mixed(base, addr string, n int) string {
	kinds := []string{"/hello", "/socket", "/threads", "/timer", "/capture", "/error", "/semaphore", "/hello"}
	var next, failed atomic.Int64
	var all sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	for range 16 {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if i%9 == 0 {
					abandon(addr)
					continue
				}
				uri := kinds[i%int64(len(kinds))]
				r, err := client.Get(base + uri)
				if err != nil {
					failed.Add(1)
					continue
				}
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				if want := 200; r.StatusCode != want && uri != "/error" {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	client.CloseIdleConnections()
	return fmt.Sprintf("%d failed", failed.Load())
}

// abandon begins a request that takes long, and goes away.
func abandon(addr string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	io.WriteString(c, "GET /long HTTP/1.1\r\nHost: bench\r\n\r\n")
	time.Sleep(time.Millisecond)
	c.Close()
}

// echoServer gives each line back.
func echoServer() (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			go func() {
				defer c.Close()
				r := bufio.NewReaderSize(c, 64)
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					c.Write(line)
				}
			}()
		}
	}()
	return l, nil
}
