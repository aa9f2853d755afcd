package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// lifeSite is a configuration whose answers tell its version; ADDR is its address.
func lifeSite(version, more string) string {
	return `
worker_processes 2;
pid logs/nginx.pid;
error_log logs/error.log notice;
events { worker_connections 512; }
http {
    access_log logs/access.log;
    keepalive_requests 1000000;
    ` + more + `
    server {
        listen ADDR;
        location = /return { return 200 ` + version + `; }
        location = /lua { content_by_lua_block { ngx.print("` + version + `") } }
        location = /wait { content_by_lua_block { ngx.sleep(0.002) ngx.print("` + version + `") } }
        location = /long { content_by_lua_block { ngx.log(ngx.NOTICE, "asleep") ngx.sleep(0.3) ngx.print("` + version + `") } }
    }
}
`
}

// load is clients that request without a pause on connections kept alive.
type load struct {
	*server
	stop    atomic.Bool
	done    sync.WaitGroup
	lost    atomic.Int64 // connections that the server has closed
	answers atomic.Int64
	// accept judges an error; nil finds all of them wrong.
	accept func(error) bool
}

func (s *server) load(clients int) *load {
	l := &load{server: s}
	paths := []string{"/return", "/lua", "/wait"}
	for i := range clients {
		l.done.Add(1)
		go func() {
			defer l.done.Done()
			c := l.client()
			defer c.CloseIdleConnections()
			for n := i; !l.stop.Load(); n++ {
				body, err := get(c, "http://"+s.addr+paths[n%len(paths)])
				switch {
				case err == nil && strings.HasPrefix(body, "v"):
					l.answers.Add(1)
				case err != nil && l.accept != nil && l.accept(err):
				default:
					l.Errorf("%s: %q, %v", paths[n%len(paths)], body, err)
					return
				}
			}
		}()
	}
	l.more(20 * int64(clients))
	return l
}

// client keeps one connection.
func (l *load) client() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{MaxConnsPerHost: 1, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &watched{c, &l.lost}, err
	}}}
}

// watched is a connection that counts its end when that comes from the other side. The client itself closes one, too, when
// it is not quick enough to take note of what it has sent.
type watched struct {
	net.Conn
	lost *atomic.Int64
}

func (c *watched) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		c.lost.Add(1)
	}
	return n, err
}

// more waits for n more answers.
func (l *load) more(n int64) {
	l.Helper()
	from := l.answers.Load()
	l.eventually("answers", func() bool { return l.answers.Load() >= from+n || l.Failed() })
}

func (l *load) end() {
	l.stop.Store(true)
	l.done.Wait()
}

// TestReloadUnderLoad: connections stay open over reloads with good and bad configurations, and no request is lost.
func TestReloadUnderLoad(t *testing.T) {
	const clients = 6
	s := prepare(t)
	s.configure(lifeSite("v0", ""))
	s.start("-p", s.dir, "-g", "daemon off;")
	l := s.load(clients)
	refused := 0
	for n := 1; n <= 4; n++ {
		version := "v" + strconv.Itoa(n)
		s.configure(lifeSite(version, ""))
		s.signal(syscall.SIGHUP)
		s.eventually("the new configuration", func() bool { return s.get("/lua") == version })
		l.more(10 * clients)
		for _, bad := range []struct{ more, text string }{
			{"no_such_directive;", `unknown directive "no_such_directive"`},
			{`init_by_lua_block { error("on purpose") }`, "init_by_lua error: init_by_lua(nginx.conf:"},
		} {
			refused++
			s.configure(lifeSite("v-bad", bad.more))
			s.signal(syscall.SIGHUP)
			s.logged(bad.text, n)
			l.more(5 * clients)
			if got := s.get("/lua"); got != version {
				t.Errorf("after a refused configuration %q answers, want %q", got, version)
			}
		}
	}
	l.end()
	if n := l.lost.Load(); n > 0 {
		t.Errorf("a reload has closed %d connections", n)
	}
	s.noAlerts()
	s.signal(syscall.SIGQUIT)
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestReloadDropsAddress: a request to an address that the new configuration does not have is answered by the old one;
// idle connections there close, and nobody can connect any more.
func TestReloadDropsAddress(t *testing.T) {
	s := prepare(t)
	second := freeAddress(t)
	s.configure(strings.Replace(lifeSite("v1", ""), "listen ADDR;", "listen ADDR; listen "+second+";", 1))
	s.start("-p", s.dir, "-g", "daemon off;")
	idle, err := net.Dial("tcp", second)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	idle.SetDeadline(time.Now().Add(patience))
	if _, err := idle.Write([]byte("GET /lua HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(idle)
	if line, err := r.ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	long := make(chan error, 1)
	go func() {
		body, err := get(&http.Client{Timeout: patience, Transport: &http.Transport{}}, "http://"+second+"/long")
		if err == nil && body != "v1" {
			err = fmt.Errorf("got %q", body)
		}
		long <- err
	}()
	s.logged("asleep", 1)
	s.configure(lifeSite("v2", ""))
	s.signal(syscall.SIGHUP)
	s.eventually("the new configuration", func() bool { return s.get("/lua") == "v2" })
	if err := <-long; err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("the idle connection: %v, want its end", err)
	}
	s.eventually("the address closed", func() bool {
		c, err := net.Dial("tcp", second)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	s.logged("exited with code 0", 1) // the old configuration is not in use any more
	s.noAlerts()
}

// TestReusePort: with reuseport each worker has a socket of its own, so the kernel deals connections out to all of them; a
// reload that names another number of workers leaves no socket without one that accepts.
func TestReusePort(t *testing.T) {
	s := prepare(t)
	site := func(workers, listen string) {
		s.configure("worker_processes " + workers + "; pid logs/nginx.pid; error_log logs/error.log notice; events { worker_connections 512; }\n" +
			"http { access_log off; server { listen ADDR " + listen + "; location / { content_by_lua_block { ngx.print('" + workers + listen + " ', ngx.worker.id()) } } } }")
	}
	reached := func(prefix string) int {
		seen := map[string]bool{}
		for range 64 {
			body := s.get("/")
			if !strings.HasPrefix(body, prefix+" ") {
				t.Fatalf("%q", body)
			}
			seen[body] = true
		}
		return len(seen)
	}
	site("3", "reuseport")
	s.start("-p", s.dir, "-g", "daemon off;")
	if n := reached("3reuseport"); n != 3 {
		t.Errorf("%d workers have got connections, want 3", n)
	}
	for i, next := range [][2]string{{"5", "reuseport"}, {"2", "reuseport"}, {"2", ""}, {"4", "reuseport"}} {
		site(next[0], next[1])
		s.signal(syscall.SIGHUP)
		s.logged("exited with code 0", i+1) // no worker has the old one
		reached(next[0] + next[1])
	}
	s.noAlerts()
}

// TestQuitDrains: requests in flight are answered, those asked for on kept connections too until these close, and the
// process ends.
func TestQuitDrains(t *testing.T) {
	const sleepers = 5
	s := prepare(t)
	s.configure(lifeSite("v1", ""))
	s.start("-p", s.dir, "-g", "daemon off;")
	l := s.load(4)
	// A kept connection that closes while a request is sent on it makes the client dial again: nobody listens then, or the
	// socket closes before anybody has accepted.
	l.accept = func(err error) bool {
		return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
	}
	idle := l.client()
	if _, err := get(idle, "http://"+s.addr+"/return"); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, sleepers)
	for range sleepers {
		go func() {
			body, err := get(&http.Client{Timeout: patience, Transport: &http.Transport{}}, "http://"+s.addr+"/long")
			if err == nil && body != "v1" {
				err = fmt.Errorf("got %q", body)
			}
			answers <- err
		}()
	}
	s.logged("asleep", sleepers)
	s.signal(syscall.SIGQUIT)
	for range sleepers {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	l.end()
	s.noAlerts()
	if _, err := os.Stat(s.path("logs/nginx.pid")); err == nil {
		t.Error("the pid file is still there")
	}
}

// TestReopenUnderLoad: USR1 goes on in new log files, and each request is logged once.
func TestReopenUnderLoad(t *testing.T) {
	s := prepare(t)
	s.configure(lifeSite("v1", ""))
	s.start("-p", s.dir, "-g", "daemon off;")
	l := s.load(4)
	const turns = 3
	for n := range turns {
		for _, name := range []string{"access", "error"} {
			if err := os.Rename(s.path("logs/"+name+".log"), s.path(fmt.Sprintf("logs/%s.%d", name, n))); err != nil {
				t.Fatal(err)
			}
		}
		s.signal(syscall.SIGUSR1)
		s.eventually("new log files", func() bool {
			_, err := os.Stat(s.path("logs/error.log"))
			return err == nil && strings.Contains(s.read("logs/access.log"), "GET")
		})
		l.more(40)
	}
	l.end()
	s.signal(syscall.SIGQUIT)
	s.exitCode()
	lines := strings.Count(s.read("logs/access.log"), "\n")
	for n := range turns {
		lines += strings.Count(s.read(fmt.Sprintf("logs/access.%d", n)), "\n")
	}
	if int64(lines) != l.answers.Load() {
		t.Errorf("%d lines for %d requests", lines, l.answers.Load())
	}
}

// TestUpgradeUnderLoad: a new binary takes over the sockets; connections to the old one close as QUIT closes them, and no
// request is lost.
func TestUpgradeUnderLoad(t *testing.T) {
	s := prepare(t)
	s.configure(lifeSite("v1", ""))
	old := s.daemon()
	l := s.load(4)
	s.configure(lifeSite("v2", ""))
	syscall.Kill(old, syscall.SIGUSR2)
	// Both processes accept from the sockets now; which of them answers is the kernel's choice.
	young := s.another(old)
	t.Cleanup(func() { syscall.Kill(young, syscall.SIGKILL) })
	l.more(40)
	syscall.Kill(old, syscall.SIGQUIT)
	s.eventually("the end of the old process", func() bool { return gone(old) })
	l.more(40)
	l.end()
	for range 20 {
		if got := s.get("/lua"); got != "v2" {
			t.Fatalf("got %q", got)
		}
	}
	s.noAlerts()
	syscall.Kill(young, syscall.SIGQUIT)
	s.eventually("the end", func() bool { return gone(young) })
}
