package modules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
)

// TestAllocs: in the steady state a request on a kept-alive connection allocates nothing.
func TestAllocs(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"small.txt": 100, "large.txt": 100_000} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("x", size)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := enginetest.StartIn(t, dir, Set(), `
		worker_processes 1;
		events { }
		http {
			keepalive_requests 1000000;
			access_log off;
			open_file_cache max=10 inactive=1h;
			open_file_cache_valid 1h;
			init_by_lua_block { cjson = require "cjson" }
			log_format short '$remote_addr [$time_local] "$request" $status';
			limit_req_zone $binary_remote_addr zone=req:1m rate=100000r/s;
			limit_req_zone $uri zone=other:1m rate=100000r/s;
			limit_conn_zone $binary_remote_addr zone=conn:1m;
			server {
				listen 127.0.0.1:8080;
				root .;
				location = /limited {
					limit_req zone=req burst=1000000 nodelay; limit_req zone=other burst=1000000 nodelay; limit_conn conn 10;
					content_by_lua_block { ngx.exit(204) }
				}
				location = /return { return 200 "hello\n"; }
				location = /redirect { return 302 /return; }
				location = /none { return 404; }
				location = /headers {
					add_header X-One 1; add_header X-Args $args; expires 1h; add_header Vary Accept always;
					return 200 "$host $http_user_agent\n";
				}
				location = /rewrite { set $x "a$args"; if ($args) { set $x b; } rewrite ^/rewrite$ /return?$x last; }
				location = /logged { access_log /dev/null short; return 204; }
				location = /hello { content_by_lua_block { ngx.say("hello") } }
				location = /phases {
					rewrite_by_lua_block { ngx.ctx.a = 1 }
					access_by_lua_block { ngx.ctx.a = ngx.ctx.a + 1 }
					header_filter_by_lua_block { ngx.header["X-A"] = ngx.ctx.a }
					body_filter_by_lua_block { if ngx.arg[2] then ngx.ctx.b = true end }
					log_by_lua_block { local b = ngx.ctx.b }
					content_by_lua_block { ngx.say("hello") }
				}
				location = /api { content_by_lua_block {
					local h = ngx.req.get_headers()
					local a = ngx.req.get_uri_args()
					ngx.header["Content-Type"] = "application/json"
					ngx.say('{"ua":"', h["user-agent"] or "", '","id":"', a.id or "", '","uri":"', ngx.var.uri, '"}')
				} }
				location = /json { content_by_lua_block {
					local t = cjson.decode('{"a":[1,2,3],"b":{"c":true}}')
					t.n = 1
					ngx.print(cjson.encode(t) and "fine")
				} }
				location = /re { content_by_lua_block {
					local m = ngx.re.match(ngx.var.request_uri, [[id=(\d+)]], "jo")
					ngx.say(m and m[1], " ", (ngx.re.gsub("the quick brown fox", [[\b(\w)(\w*)\b]], "$2$1", "jo")))
				} }
				location = /capture { content_by_lua_block { ngx.print(ngx.location.capture("/return").body) } }
				location = /sleep { content_by_lua_block { ngx.sleep(0) ngx.say("slept") } }
				location = /wait { content_by_lua_block { ngx.sleep(0.001) ngx.say("slept") } }
				location = /post { content_by_lua_block { ngx.req.read_body() ngx.say(#ngx.req.get_body_data()) } }
			}
		}`)
	get := func(uri string, lines ...string) string {
		return "GET " + uri + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n"
	}
	for _, c := range []struct{ name, request string }{
		{"return", get("/return")},
		{"redirect", get("/redirect")},
		{"error page", get("/none")},
		{"headers", get("/headers?a=b")},
		{"rewrite", get("/rewrite?a=b")},
		{"limits", get("/limited")},
		{"log", get("/logged")},
		{"small file", get("/small.txt")},
		{"large file", get("/large.txt")},
		{"not modified", get("/small.txt", "If-None-Match: *")},
		{"range", get("/large.txt", "Range: bytes=1000-2000")},
		{"hello", get("/hello")},
		{"phases", get("/phases")},
		{"api", get("/api?id=3")},
		{"json", get("/json")},
		{"re", get("/re?id=77")},
		{"capture", get("/capture")},
		{"sleep", get("/sleep")},
		{"wait", get("/wait")},
		{"post", "POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n := s.Allocs(c.request); n >= 1 {
				t.Errorf("%v allocations per request", n)
			}
		})
	}
	if log := s.ErrorLog(); strings.Contains(log, "[error]") {
		t.Error(log)
	}
}
