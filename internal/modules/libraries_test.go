package modules

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
)

// libraryDirs is where Debian's Lua libraries may be: as build/testdeps unpacks them, or installed. Those written for nginx
// are below nginx/.
var libraryDirs = []string{"../../.cache/lualibs", "/usr/share/lua/5.1"}

// libraryDir gives the folder that has the file, or skips the test.
func libraryDir(t *testing.T, file, pkg string) string {
	for _, dir := range libraryDirs {
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			dir, _ = filepath.Abs(dir)
			return dir
		}
	}
	t.Skip("the Debian package " + pkg + " is not there: build/testdeps gets it")
	return ""
}

// TestLibraries runs libraries as Debian packages them, against real servers.
func TestLibraries(t *testing.T) {
	redis := []string{"redis-server", "--port", "0", "--save", "", "--unixsocket", "SOCKET"}
	for _, l := range []struct {
		file, pkg string
		server    []string // SOCKET is where it listens; ADDR, the address of a server of this test
		code      string
		want      string
	}{
		{"nginx/redis.lua", "lua-nginx-redis", redis, `
			local r = require "nginx.redis":new()
			assert(r:connect("unix:SOCKET"))
			ngx.say(r:set("a", "1"), " ", r:incr("a"), " ", r:get("a"), " ", r:get("b") == ngx.null)
			r:init_pipeline() r:set("b", "2") r:get("b")
			ngx.say(table.concat(r:commit_pipeline(), " "))
			assert(r:set_keepalive(1000, 10))
			assert(r:connect("unix:SOCKET"))
			ngx.say(r:get_reused_times())`, "OK 2 2 true\nOK 2\n1\n"},
		{"nginx/redis/connector.lua", "lua-nginx-redis-connector", redis, `
			local rc = require "nginx.redis.connector".new({keepalive_poolsize = 5})
			local r = assert(rc:connect({path = "unix:SOCKET", db = 1}))
			ngx.say(r:set("k", "v"), " ", r:get("k"))
			ngx.say(rc:set_keepalive(r))`, "OK v\n1\n"},
		{"nginx/memcached.lua", "lua-nginx-memcached", []string{"memcached", "-u", "nobody", "-s", "SOCKET"}, `
			local m = require "nginx.memcached":new()
			assert(m:connect("unix:SOCKET"))
			ngx.say(m:set("a", "value"), " ", (m:get("a")), " ", (m:get("b")))
			ngx.say(m:incr("a", 1))`, "1 value nil\nnilCLIENT_ERROR cannot increment or decrement non-numeric value\n"},
		{"resty/lrucache.lua", "lua-resty-lrucache", nil, `
			for _, name in ipairs {"resty.lrucache", "resty.lrucache.pureffi"} do
				local c = require(name).new(2)
				c:set("a", 1) c:set("b", 2) c:set("c", 3)
				ngx.say(c:get("a"), " ", c:get("b"), " ", (c:get("c")))
			end`, "nil 2 3\nnil 2 3\n"},
		{"nginx/string.lua", "lua-nginx-string", nil, `
			local to_hex = require "nginx.string".to_hex
			for _, name in ipairs {"md5", "sha1", "sha256", "sha512"} do
				local d = require("nginx." .. name):new()
				d:update("ab") d:update("c")
				ngx.say(name, " ", to_hex(d:final()):sub(1, 16))
			end
			local aes = require "nginx.aes":new("secret")
			ngx.say(aes:decrypt(aes:encrypt("hello")), " ", #require "nginx.random".bytes(9, true), " ", require "nginx.string".atoi("0042"))`,
			"md5 900150983cd24fb0\nsha1 a9993e364706816a\nsha256 ba7816bf8f01cfea\nsha512 ddaf35a193617aba\nhello 9 42\n"},
		{"nginx/cookie.lua", "lua-nginx-cookie", nil, `
			ngx.req.set_header("Cookie", "a=1; b=xy")
			local c = require "nginx.cookie":new()
			ngx.say(c:get("a"), " ", c:get("b"), " ", c:set({key = "n", value = "v", path = "/", httponly = true}))`, "1 xy true\n"},
		{"nginx/dns/resolver.lua", "lua-nginx-dns", nil, `
			local host, port = ("ADDR"):match("(.*):(.*)")
			local r = assert(require "nginx.dns.resolver":new({nameservers = {{host, tonumber(port)}}}))
			local answers = assert(r:query("www.example.com", {qtype = r.TYPE_A}))
			ngx.say(#answers, " ", answers[1].name, " ", answers[1].address, " ", answers[1].ttl)`, "1 www.example.com 127.1.2.3 60\n"},
		{"nginx/websocket/client.lua", "lua-nginx-websocket", nil, `
			local ws = require "nginx.websocket.client":new({max_payload_len = 100000})
			assert(ws:connect("ws://127.0.0.1:" .. ngx.var.server_port .. "/ws"))
			for _, text in ipairs {"", "hello", ("x"):rep(70000)} do
				assert(ws:send_text(text))
				local data, typ = ws:recv_frame()
				ngx.say(typ, " ", #data, " ", data == text:upper())
			end
			assert(ws:send_ping("p"))
			ngx.say((ws:recv_frame()), ".")
			assert(ws:send_close(1000, "bye"))
			local data, typ, code = ws:recv_frame()
			ngx.say(typ, " ", code, " ", data)`, "text 0 true\ntext 5 true\ntext 70000 true\np.\nclose 1000 ended\n"},
	} {
		t.Run(l.pkg, func(t *testing.T) {
			dir := libraryDir(t, l.file, l.pkg)
			code := l.code
			if l.server != nil {
				code = strings.ReplaceAll(code, "SOCKET", startServer(t, l.server))
			}
			if strings.Contains(code, "ADDR") {
				code = strings.ReplaceAll(code, "ADDR", nameServer(t))
			}
			s := enginetest.StartIn(t, t.TempDir(), Set(), `
				events { }
				http {
					lua_package_path "`+dir+`/?.lua;;";
					server {
						listen 127.0.0.1:8080;
						location / { content_by_lua_block { `+code+` } }
						location /ws { content_by_lua_block { `+webSocketEcho+` } }
					}
				}`)
			if got := s.Get("/", "Connection: close"); !strings.Contains(got, "200 OK") {
				t.Fatalf("%s\n%s", got, s.ErrorLog())
			} else if plain := strings.NewReplacer("\r\n", "\n").Replace(got); !containsLines(plain, l.want) {
				t.Fatalf("got %s\nwant %s\n%s", got, l.want, s.ErrorLog())
			}
		})
	}
}

// webSocketEcho answers in capitals, until the client closes.
const webSocketEcho = `
	local ws = assert(require "nginx.websocket.server":new({max_payload_len = 100000}))
	while true do
		local data, typ, err = ws:recv_frame()
		if typ == "text" then
			ws:send_text(data:upper())
		elseif typ == "ping" then
			ws:send_pong(data)
		elseif typ == "close" then
			return ws:send_close(1000, "ended")
		else
			error(err)
		end
	end`

// nameServer answers every question with the address 127.1.2.3, until the test ends.
func nameServer(t *testing.T) string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			end := 12 // of the question's name: labels with their lengths
			for end < n && buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			if end += 5; end > n {
				continue
			}
			reply := append([]byte(nil), buf[:end]...)
			reply[2], reply[3], reply[7], reply[11] = 0x81, 0x80, 1, 0                   // RFC 1035 4.1.1: a response, one answer
			reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 1, 2, 3) // 4.1.3: the question's name, A, IN
			c.WriteTo(reply, from)
		}
	}()
	return c.LocalAddr().String()
}

func containsLines(text, want string) bool {
	for _, line := range strings.Split(strings.TrimSpace(want), "\n") {
		if !strings.Contains(text, line+"\n") {
			return false
		}
	}
	return true
}
