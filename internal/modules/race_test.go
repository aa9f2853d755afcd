package modules

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"moongate/internal/base/nlog"
	"moongate/internal/engine/enginetest"
)

// sharedSite uses what workers share: logs, dictionaries, counters, files, upstreams.
const sharedSite = `
	worker_processes 3;
	events { }
	http {
		keepalive_requests 1000000;
		lua_shared_dict dict 1m;
		open_file_cache max=10 inactive=1h;
		access_log logs/access.log;
		init_by_lua_block { version = "%s" }
		init_worker_by_lua_block { ngx.timer.every(0.001, function() ngx.shared.dict:incr("ticks", 1, 0) end) }
		upstream self { zone self 64k; server 127.0.0.1:8080; keepalive 4; }
		server {
			listen 127.0.0.1:8080;
			root .;
			location = /version { content_by_lua_block { ngx.print(version) } }
			location = /count { access_log logs/count.log combined buffer=4k; content_by_lua_block { ngx.print(ngx.shared.dict:incr("n", 1, 0)) } }
			location = /log { content_by_lua_block { ngx.log(ngx.ERR, "on purpose") ngx.print("logged") } }
			location = /status { content_by_lua_block { ngx.print(#require("moongate").status().workers) } }
			location = /stub { stub_status; }
			location = /proxy { proxy_pass http://self/version; proxy_http_version 1.1; proxy_set_header Connection ""; }
			location = /sleep { content_by_lua_block { ngx.sleep(0.001) ngx.print("slept") } }
			location = /fresh { lua_code_cache off; content_by_lua_block { ngx.print(version) } }
			location = /named { error_page 418 = @named; return 418; }
			location @named { return 200 named; }
		}
	}`

// TestWorkersShare has several workers serve everything at once while configurations are replaced, refused and logs
// reopened: run with the race detector it finds what they share without care.
func TestWorkersShare(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file.txt"), []byte(strings.Repeat("x", 20_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	s := enginetest.StartIn(t, dir, Set(), fmt.Sprintf(sharedSite, "v0"))
	uris := []string{"/version", "/count", "/log", "/status", "/stub", "/proxy", "/sleep", "/fresh", "/named", "/file.txt", "/none"}
	var stop atomic.Bool
	var done sync.WaitGroup
	var answers atomic.Int64
	for i := range 8 {
		done.Add(1)
		go func() {
			defer done.Done()
			for n := i; !stop.Load() || n < i+len(uris); n++ {
				uri := uris[n%len(uris)]
				want := "HTTP/1.1 200 "
				if uri == "/none" {
					want = "HTTP/1.1 404 "
				}
				r, err := fetch(s.Addr(""), uri)
				if err != nil || !strings.HasPrefix(r, want) {
					t.Errorf("%s: %q, %v", uri, r, err)
					return
				}
				answers.Add(1)
			}
		}()
	}
	for n := 1; n <= 5 && !t.Failed(); n++ {
		version := fmt.Sprintf("v%d", n)
		if err := s.Reload(fmt.Sprintf(sharedSite, version)); err != nil {
			t.Error(err)
		}
		if got := unchunk(enginetest.Body(s.Get("/version"))); got != version {
			t.Errorf("%q answers, want %q", got, version)
		}
		nlog.FilesIn(s.Conf.Values).Reopen(-1, nil)
		if err := s.Reload(strings.Replace(fmt.Sprintf(sharedSite, "bad"), "init_by_lua_block {", "init_by_lua_block { error('refused')", 1)); err == nil {
			t.Error("a bad configuration is taken")
		}
		s.Plane.Stats()
	}
	stop.Store(true)
	done.Wait()
	if n := answers.Load(); n < int64(8*len(uris)) {
		t.Errorf("only %d answers", n)
	}
	if log := s.ErrorLog(); strings.Contains(log, "[alert]") || strings.Contains(log, "panic") {
		t.Error(log)
	}
}

// fetch makes a request on a connection of its own.
func fetch(addr, uri string) (string, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET "+uri+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}
