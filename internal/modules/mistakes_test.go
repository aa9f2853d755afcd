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
		{"events { }\nhttp { listen 80; }", `"listen" directive is not allowed here in FILE:2`, `"listen" belongs in: server`},
		{"events { }\nserver { }", `"server" directive is not allowed here in FILE:2`, `"server" belongs in: http, upstream`},
		{"events { }\nhttp { proxy_pass http://127.0.0.1; }", `"proxy_pass" directive is not allowed here in FILE:2`, `"proxy_pass" belongs in: location, if in location, limit_except`},
		{"events { }\nhttp { include nofile.conf; }", `open() "DIR/nofile.conf" failed (2: No such file or directory) in FILE:2`, ""},
		{"events { }\nhttp { server { listen 80800; } }", `invalid port in "80800" of the "listen" directive in FILE:2`, ""},
		{"events { }\nhttp { server { location / { content_by_lua_block { ngx.say(1) } }", `unexpected end of file, expecting "}" in FILE:2`, "count the braces: a block further up is still open"},
		{"events { }\nhttp { server { location / { return 200 \"abc; } } }", `unexpected end of file, expecting ";" or "}" in FILE:2`, `a quote or a ";" may be missing further up`},
		{"events { }\nhttp { } }", `unexpected "}" in FILE:2`, `either there is one "}" too many, or the line before lacks its ";"`},
		{"events { }\nhttp { server { location / { proxy_pass 127.0.0.1:80; } } }", `invalid URL prefix in FILE:2`, "an address begins with http:// or https://"},
		{"events { }\nhttp { server { gzip yes; } }", `invalid value "yes" in "gzip" directive, it must be "on" or "off" in FILE:2`, ""},
		{"events { }\nhttp { server { root; } }", `invalid number of arguments in "root" directive in FILE:2`, ""},
		{"events { }\nhttp { server { root a;\nroot b; } }", `"root" directive is duplicate in FILE:3`, ""},
		{"events { }\nhttp { server { client_max_body_size ten; } }", `"client_max_body_size" directive invalid value in FILE:2`, ""},
		{"http { }", `no "events" section in configuration`, `a configuration needs "events { }", even an empty one, outside of "http"`},
		{"events { }\nhttp { server { location / { }\nlocation / { } } }", `duplicate location "/" in FILE:3`, ""},
		{"events { }\nhttp { server { listen 8080 ssl; } }", `no "ssl_certificate" is defined for the "listen ... ssl" directive in FILE:2`, `a server that listens with "ssl" needs ssl_certificate and ssl_certificate_key`},
		{"events { }\nhttp { upstream a { } }", `no servers are inside upstream in FILE:2`, ""},
		{"events { }\nhttp { server { if ($host == x) { } } }", `unexpected "==" in condition in FILE:2`, `compare with "=" or "!="`},
		{"events { }\nhttp { server { location / { return 200 $nosuch; } } }", `unknown "nosuch" variable`, ""},
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
		want := strings.NewReplacer("FILE", file, "DIR", dir).Replace(c.want)
		if err.Error() != want || e.Advice() != c.advice {
			t.Errorf("%s:\n%s (%s), want\n%s (%s)", c.text, err, e.Advice(), want, c.advice)
		}
	}
}
