package modules

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/conf"
)

// TestMistakes makes the mistakes of beginners: the words are nginx's, with file and line, and what may help follows.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ text, want, advice string }{
		{"events { }\nhttp { server {\n listen 8080\n root html;\n} }", `invalid parameter "root" in FILE:4`, `is a ";" missing before "root"?`},
		{"events { }\nhttp { server {\n root html\n index a.html;\n} }", `invalid number of arguments in "root" directive in FILE:4`, `is a ";" missing before "index"?`},
		{"events { }\nhttp { server { lisen 8080; } }", `unknown directive "lisen" in FILE:2`, `did you mean "listen"?`},
		{"events { }\nhttp { server { location / { proxypass http://a; } } }", `unknown directive "proxypass" in FILE:2`, `did you mean "proxy_pass"?`},
		{"events { }\nhttp { server { location / { content_by_lua_blok { } } } }", `unknown directive "content_by_lua_blok" in FILE:2`, `did you mean "content_by_lua_block"?`},
		{"events { }\nhttp { server { server_name: a; } }", `unknown directive "server_name:" in FILE:2`, `did you mean "server_name"?`},
		{"events { }\nhttp { server { rot html; } }", `unknown directive "rot" in FILE:2`, `did you mean "root"?`},
		{"events { }\nhttp { server { xyz html; } }", `unknown directive "xyz" in FILE:2`, ""},
		{"events { }\nhttp { listen 80; }", `"listen" directive is not allowed here in FILE:2`, `"listen" belongs in: server`},
		{"events { }\nhttp { worker_processes 2; }", `"worker_processes" directive is not allowed here in FILE:2`, `"worker_processes" belongs outside of all blocks`},
		{"user nosuchuser_;", `getpwnam("nosuchuser_") failed in FILE:1`, "this machine has no such user"},
		{"events { }\nserver { }", `"server" directive is not allowed here in FILE:2`, `"server" belongs in: http, upstream`},
		{"events { }\nhttp { proxy_pass http://127.0.0.1; }", `"proxy_pass" directive is not allowed here in FILE:2`, `"proxy_pass" belongs in: location, if in location, limit_except`},
		{"events { }\nhttp { include nofile.conf; }", `open() "DIR/nofile.conf" failed (2: No such file or directory) in FILE:2`, ""},
		{"events { }\nhttp { server { listen 80800; } }", `invalid port in "80800" of the "listen" directive in FILE:2`, ""},
		{"events { }\nhttp { server { location / { content_by_lua_block { ngx.say(1) } }", `unexpected end of file, expecting "}" in FILE:2`, "count the braces: a block further up is still open"},
		{"events { }\nhttp { server { location / { return 200 \"abc; } } }", `unexpected end of file, expecting ";" or "}" in FILE:2`, `the quote in line 2 is not closed, or one further up is not`},
		{"events { }\nhttp { } }", `unexpected "}" in FILE:2`, `there is one "}" more than blocks were opened`},
		{"events { }\nhttp { server { location / { proxy_pass 127.0.0.1:80; } } }", `invalid URL prefix in FILE:2`, "an address begins with http:// or https://"},
		{"events { }\nhttp { server { gzip yes; } }", `invalid value "yes" in "gzip" directive, it must be "on" or "off" in FILE:2`, ""},
		{"events { }\nhttp { server { root; } }", `invalid number of arguments in "root" directive in FILE:2`, "it is written: root path;"},
		{"events { }\nhttp { server { root a;\nroot b; } }", `"root" directive is duplicate in FILE:3`, ""},
		{"events { }\nhttp { server { client_max_body_size ten; } }", `"client_max_body_size" directive invalid value in FILE:2`, `a size is a number of bytes, or has "k", "m" or "g" behind it: 10m`},
		{"events { }\nhttp { proxy_read_timeout 5sec; }", `"proxy_read_timeout" directive invalid value in FILE:2`, "a time is a number of seconds, or has its unit behind it: 500ms, 30s, 5m, 1h, 7d"},
		{"events { }\nhttp { lua_shared_dict counts; }", `invalid number of arguments in "lua_shared_dict" directive in FILE:2`, "it is written: lua_shared_dict name size;"},
		{"events { }\nhttp { server { location / {\nreturn 200 ok } } }", `unexpected "}" in FILE:3`, `is a ";" missing behind the directive that begins in line 3?`},
		{"events { }\nhttp { server {\nlisten 80", `unexpected end of file, expecting ";" or "}" in FILE:3`, `is a ";" missing behind the directive that begins in line 3?`},
		{"events { }\nhttp { limit_req zone=a; }", `zero size shared memory zone "a"`, `nothing makes it: write "limit_req_zone $binary_remote_addr zone=a:1m rate=5r/s;"`},
		{"events { }\nhttp { limit_conn a 1; }", `zero size shared memory zone "a"`, `nothing makes it: write "limit_conn_zone $binary_remote_addr zone=a:1m;"`},
		{"events { }\nhttp { proxy_cache_vaild 1m; }", `unknown directive "proxy_cache_vaild" in FILE:2`, `did you mean "proxy_cache_valid"?`},
		{"http { }", `no "events" section in configuration`, `a configuration needs "events { }", even an empty one, outside of "http"`},
		{"events { }\nhttp { server { location / { }\nlocation / { } } }", `duplicate location "/" in FILE:3`, ""},
		{"events { }\nhttp { server { listen 8080 ssl; } }", `no "ssl_certificate" is defined for the "listen ... ssl" directive in FILE:2`, `a server that listens with "ssl" needs ssl_certificate and ssl_certificate_key`},
		{"events { }\nhttp { upstream a { } }", `no servers are inside upstream in FILE:2`, ""},
		{"events { }\nhttp { server { if ($host == x) { } } }", `unexpected "==" in condition in FILE:2`, `compare with "=" or "!="`},
		{"events { }\nhttp { server { location / { return 200 $nosuch; } } }", `unknown "nosuch" variable`, `$nosuch is used in FILE:2; "set", "map" and others make variables`},
		{"events { }\nhttp { server {\nlocation / { return 200 $remote_adr; } } }", `unknown "remote_adr" variable`, "$remote_adr is used in FILE:3; did you mean $remote_addr?"},
		{"events { }\nhttp { server {\nroot html\ntypes {\n} } }", `directive "root" is not terminated by ";" in FILE:4`, `it begins in line 3: is a ";" missing there?`},
		{"events { }\nhttp { server { location / ( return 200; ) } }", `directive "location" has no opening "{" in FILE:2`, `what belongs to "location" stands between "{" and "}"`},
		{"\ufeffevents { }", "unknown directive \"\ufeffevents\" in FILE:1", "the file begins with a byte order mark: save it as UTF-8 without one"},
		{"events { }\nhttp { server { location ~ \\.php$ { fastcgi_pass a:1; } } }", `unknown directive "fastcgi_pass" in FILE:2`, "this part of nginx is not built in"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := conf.Load(conf.Options{Modules: Conf(), Prefix: dir + "/", Path: file})
		var e *conf.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		names := strings.NewReplacer("FILE", file, "DIR", dir)
		want, advice := names.Replace(c.want), names.Replace(c.advice)
		if err.Error() != want || e.Advice() != advice {
			t.Errorf("%s:\n%s (%s), want\n%s (%s)", c.text, err, e.Advice(), want, advice)
		}
	}
}

// TestLuaMistakes: with -t slips in Lua are warned of; the configuration is right all the same, as in OpenResty.
func TestLuaMistakes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("good.lua", "#!/usr/bin/lua\nlocal a = ...\nreturn a")
	write("bad.lua", "\nlocal a = = 1")
	file := write("nginx.conf", `events { }
http { server {
 location /a { content_by_lua_block { if x ngx.say(1) } }
 location /b { content_by_lua_block { ngx.say(1) } }
 location /c { access_by_lua_file good.lua; }
 location /d { access_by_lua_file bad.lua; }
 location /e { access_by_lua_file none.lua; }
 location /f { access_by_lua_file $uri.lua; }
 location /g { content_by_lua "return 1; ngx.say()"; }
} }`)
	want := strings.NewReplacer("FILE", file, "DIR", dir).Replace(`failed to load inlined Lua code: content_by_lua(nginx.conf:3):1: 'then' expected near 'ngx' in FILE:3
failed to load external Lua file "DIR/bad.lua": DIR/bad.lua:2: unexpected symbol near '=' in FILE:6
failed to load external Lua file "DIR/none.lua": cannot open DIR/none.lua: No such file or directory in FILE:7
failed to load inlined Lua code: content_by_lua(nginx.conf:9):1: '<eof>' expected near 'ngx' in FILE:9
`)
	for _, test := range []bool{true, false} {
		var said strings.Builder
		_, err := conf.Load(conf.Options{Modules: Conf(), Prefix: dir + "/", Path: file, Test: test, Log: func(level, msg string) { said.WriteString(msg + "\n") }})
		if !test {
			want = ""
		}
		if err != nil || said.String() != want {
			t.Errorf("-t %v: %v\n%swant\n%s", test, err, said.String(), want)
		}
	}
}
