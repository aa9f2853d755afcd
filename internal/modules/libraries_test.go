package modules

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moongate/internal/engine/enginetest"
	"moongate/internal/testkit/poll"
)

// luaDir is where Debian has Lua libraries; those written for nginx are below nginx/.
const luaDir = "/usr/share/lua/5.1"

// TestLibraries runs libraries as Debian packages them, against real servers.
func TestLibraries(t *testing.T) {
	for _, l := range []struct {
		file, pkg string
		server    []string // SOCKET is where it listens
		code      string
		want      string
	}{
		{"nginx/redis.lua", "lua-nginx-redis", []string{"redis-server", "--port", "0", "--save", "", "--unixsocket", "SOCKET"}, `
			local r = require "nginx.redis":new()
			assert(r:connect("unix:SOCKET"))
			ngx.say(r:set("a", "1"), " ", r:incr("a"), " ", r:get("a"), " ", r:get("b") == ngx.null)
			r:init_pipeline() r:set("b", "2") r:get("b")
			ngx.say(table.concat(r:commit_pipeline(), " "))
			assert(r:set_keepalive(1000, 10))
			assert(r:connect("unix:SOCKET"))
			ngx.say(r:get_reused_times())`, "OK 2 2 true\nOK 2\n1\n"},
		{"nginx/memcached.lua", "lua-nginx-memcached", []string{"memcached", "-u", "nobody", "-s", "SOCKET"}, `
			local m = require "nginx.memcached":new()
			assert(m:connect("unix:SOCKET"))
			ngx.say(m:set("a", "value"), " ", (m:get("a")), " ", (m:get("b")))
			ngx.say(m:incr("a", 1))`, "1 value nil\nnilCLIENT_ERROR cannot increment or decrement non-numeric value\n"},
		{"resty/lrucache.lua", "lua-resty-lrucache", nil, `
			local c = require "resty.lrucache".new(2)
			c:set("a", 1) c:set("b", 2) c:set("c", 3)
			ngx.say(c:get("a"), " ", c:get("b"), " ", (c:get("c")))`, "nil 2 3\n"},
	} {
		t.Run(l.pkg, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(luaDir, l.file)); err != nil {
				t.Skip("the Debian package " + l.pkg + " is not installed")
			}
			code := l.code
			if l.server != nil {
				code = strings.ReplaceAll(code, "SOCKET", startServer(t, l.server))
			}
			s := enginetest.StartIn(t, t.TempDir(), Set(), `
				events { }
				http {
					lua_package_path "`+luaDir+`/?.lua;;";
					server { listen 127.0.0.1:8080; location / { content_by_lua_block { `+code+` } } }
				}`)
			if got := s.Get("/", "Connection: close"); !strings.Contains(got, "200 OK") {
				t.Fatalf("%s\n%s", got, s.ErrorLog())
			} else if plain := strings.NewReplacer("\r\n", "\n").Replace(got); !containsLines(plain, l.want) {
				t.Fatalf("got %s\nwant %s", got, l.want)
			}
		})
	}
}

func containsLines(text, want string) bool {
	for _, line := range strings.Split(strings.TrimSpace(want), "\n") {
		if !strings.Contains(text, line+"\n") {
			return false
		}
	}
	return true
}

// startServer starts a server on a socket of its own and waits until it listens.
func startServer(t *testing.T, argv []string) string {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		t.Skip(argv[0] + " is not installed")
	}
	dir, err := os.MkdirTemp("", "mg")
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o777)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(path, strings.Split(strings.ReplaceAll(strings.Join(argv[1:], "\n"), "SOCKET", socket), "\n")...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	up := poll.Until(20*time.Second, func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if !up {
		t.Fatalf("%s does not listen", argv[0])
	}
	return socket
}
