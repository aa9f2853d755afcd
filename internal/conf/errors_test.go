package conf

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// errorTests are texts and nginx's answers; FILE stands for the file's name. Tests with
// ours are not given to nginx, because their directives are not nginx's.
var errorTests = []struct {
	name, text, want string
	ours             bool
}{
	{name: "unknown", text: "nosuch on;", want: `unknown directive "nosuch" in FILE:1`},
	{name: "unknown line", text: "\n\n  nosuch\n a\n b;\n", want: `unknown directive "nosuch" in FILE:5`},
	{name: "misplaced", text: "server_name a;", want: `"server_name" directive is not allowed here in FILE:1`},
	{name: "events misplaced", text: "http { worker_connections 1; }", want: `"worker_connections" directive is not allowed here in FILE:1`},
	{name: "not terminated", text: "daemon on { }", want: `directive "daemon" is not terminated by ";" in FILE:1`},
	{name: "no opening", text: "http;", want: `directive "http" has no opening "{" in FILE:1`},
	{name: "too few", text: "daemon;", want: `invalid number of arguments in "daemon" directive in FILE:1`},
	{name: "too many", text: "daemon on on;", want: `invalid number of arguments in "daemon" directive in FILE:1`},
	{name: "block arguments", text: "http a {\n}", want: `invalid number of arguments in "http" directive in FILE:1`},
	{name: "flag", text: "daemon maybe;", want: `invalid value "maybe" in "daemon" directive, it must be "on" or "off" in FILE:1`},
	{name: "duplicate", text: "daemon on;\ndaemon ON;", want: `"daemon" directive is duplicate in FILE:2`},
	{name: "stray close", text: "daemon on;\n}", want: `unexpected "}" in FILE:2`},
	{name: "close after word", text: "http { server_name }", want: `unexpected "}" in FILE:1`},
	{name: "stray semicolon", text: "daemon on;;", want: `unexpected ";" in FILE:1`},
	{name: "stray open", text: " {", want: `unexpected "{" in FILE:1`},
	{name: "after quote", text: `daemon "on"x;`, want: `unexpected "x" in FILE:1`},
	{name: "after quote close", text: `http { server { server_name "a"}}`, want: `unexpected "}" in FILE:1`},
	{name: "end in block", text: "http {\n", want: `unexpected end of file, expecting "}" in FILE:2`},
	{name: "end in directive", text: "daemon on", want: `unexpected end of file, expecting ";" or "}" in FILE:1`},
	{name: "end in quote", text: "daemon \"on;\n\n", want: `unexpected end of file, expecting ";" or "}" in FILE:3`},
	{name: "end after quote", text: "daemon \"on\"", want: `unexpected end of file, expecting ";" or "}" in FILE:1`},
	{name: "end in comment", text: "http { # }", want: `unexpected end of file, expecting "}" in FILE:1`},
	{name: "long quote", text: "\ndaemon \"" + strings.Repeat("\n", 5000) + "\";", want: `too long parameter, probably missing terminating """ character in FILE:2`},
	{name: "long single quote", text: "daemon '" + strings.Repeat("a", 4096) + "';", want: `too long parameter, probably missing terminating "'" character in FILE:1`},
	{name: "long word", text: "\ndaemon\n abcdefghijk" + strings.Repeat("a", 4096) + ";", want: `too long parameter "abcdefghij..." started in FILE:3`},
	{name: "long comment", text: "\n# remark " + strings.Repeat("a", 4096) + "\n;", want: `too long parameter "# remark a..." started in FILE:2`},
	{name: "longest quote", text: `daemon "` + strings.Repeat("a", 4094) + `";`, want: `invalid value "` + strings.Repeat("a", 4094) + `" in "daemon" directive, it must be "on" or "off" in FILE:1`, ours: true},
	{name: "quote of the limit", text: `daemon "` + strings.Repeat("a", 4095) + `";;`, want: `too long parameter "aaaaaaaaaa..." started in FILE:1`},

	{name: "number", text: "http { types_hash_max_size 1k; }", want: `"types_hash_max_size" directive invalid number in FILE:1`},
	{name: "bounds", text: "http { gzip_comp_level 10; }", want: `value must be between 1 and 9 in FILE:1`},
	{name: "size", text: "http { client_body_buffer_size 1g; }", want: `"client_body_buffer_size" directive invalid value in FILE:1`},
	{name: "offset", text: "http { client_max_body_size 1t; }", want: `"client_max_body_size" directive invalid value in FILE:1`},
	{name: "msec", text: "http { send_timeout 1m1h; }", want: `"send_timeout" directive invalid value in FILE:1`},
	{name: "enum", text: "http { satisfy none; }", want: `invalid value "none" in FILE:1`},
	{name: "bits", text: "http { proxy_next_upstream error nope; }", want: `invalid value "nope" in FILE:1`},
	{name: "bufs zero", text: "http { gzip_buffers 0 4k; }", want: `"gzip_buffers" directive invalid value in FILE:1`},
	{name: "bufs size", text: "http { gzip_buffers 4 4x; }", want: `"gzip_buffers" directive invalid value in FILE:1`},
	{name: "access", text: "http { proxy_store_access user:rw world:r; }", want: `invalid value "world:r" in FILE:1`},
	{name: "access right", text: "http { proxy_store_access user:rwx; }", want: `invalid value "user:rwx" in FILE:1`},
	{name: "path level", text: "http { proxy_temp_path /tmp/x 1 0; }", want: `"proxy_temp_path" directive invalid value in FILE:1`},
	{name: "path levels", text: "http { proxy_temp_path /tmp/x 5 4 3; }", want: `"proxy_temp_path" directive invalid value in FILE:1`},
	{name: "nested", text: "http {\n server {\n  location / {\n   nosuch;\n }}}", want: `unknown directive "nosuch" in FILE:4`},
	{name: "after block", text: "http {\n upstream u {\n\n }\n}", want: `no servers are inside upstream in FILE:4`},
	{name: "entry block", text: "http { types { a b { } } }", want: `unexpected "{" in FILE:1`},
	{name: "entry end", text: "http { types { a b;\n", want: `unexpected end of file, expecting "}" in FILE:2`},
	{name: "entry include", text: "http { types { include a b; } }", want: `invalid number of arguments in "include" directive in FILE:1`},
	{name: "include missing", text: "\ninclude nosuch.conf;", want: `open() "DIR/nosuch.conf" failed (2: No such file or directory) in FILE:2`},
	{name: "include arguments", text: "include a b;", want: `invalid number of arguments in "include" directive in FILE:1`},
	{name: "http duplicate", text: "http { }\nhttp { }", want: `"http" directive is duplicate in FILE:2`},

	{name: "lua long string", ours: true, text: "http { server { location / {\n content_by_lua_block {\n\n say([==[x ]] )\n } }}}",
		want: `Lua code block missing the closing long bracket "]==]", the inlined Lua code may be too long in FILE:4`},
	{name: "lua long comment", ours: true, text: "http { init_by_lua_block {\n --[[ x\n } }",
		want: `Lua code block missing the closing long bracket "]]", the inlined Lua code may be too long in FILE:2`},
	{name: "lua too long string", ours: true, text: "http { init_by_lua_block {\n x = [[" + strings.Repeat("x", 4096) + "]]\n } }",
		want: `Lua code block missing the closing long bracket "]]", the inlined Lua code may be too long in FILE:2`},
	{name: "lua end", ours: true, text: "http {\n init_by_lua_block {\n x = {\n  y = 1\n\n",
		want: `unexpected end of file, expecting terminating characters for lua code block in FILE:3`},
	{name: "lua duplicate", ours: true, text: "http { server { location / { content_by_lua_block { a }\n content_by_lua_block {\n b } }}}",
		want: `is duplicate in FILE:3`},
	{name: "lua arguments", ours: true, text: "http { init_by_lua_block a { } }",
		want: `invalid number of arguments in "init_by_lua_block" directive in FILE:1`},
	{name: "lua no block", ours: true, text: "http { init_by_lua_block; }",
		want: `directive "init_by_lua_block" has no opening "{" in FILE:1`},
	{name: "merge", ours: true, text: "http {\n server {\n location / { root /forbidden; }\n }\n}\n", want: `root is forbidden in FILE:5`},
	{name: "init", ours: true, text: "unfinished;\n", want: `core is unfinished`},
	{name: "skipped block end", ours: true, text: "stream { server { a b;", want: `unexpected end of file, expecting "}" in FILE:1`},
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "nginx.conf")
	for _, tt := range errorTests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			want := strings.NewReplacer("FILE", path, "DIR", dir).Replace(tt.want)
			_, err := Load(Options{Modules: testModules, Prefix: dir, Path: path})
			var e *Error
			if !errors.As(err, &e) || e.Level != "emerg" || err.Error() != want {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
		})
	}
}

// TestErrorsMatchNginx gives the texts to the nginx that MOONGATE_NGINX names.
func TestErrorsMatchNginx(t *testing.T) {
	nginx := os.Getenv("MOONGATE_NGINX")
	if nginx == "" {
		t.Skip("MOONGATE_NGINX names no nginx binary to compare the errors with")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "nginx.conf")
	emerg := regexp.MustCompile(`(?m)\[emerg\] \d+#\d+: (.*)$`)
	check := func(t *testing.T, want string, args ...string) {
		args = append([]string{"-t", "-p", dir, "-e", "stderr", "-c", path}, args...)
		out, _ := exec.Command(nginx, args...).CombinedOutput()
		want = strings.NewReplacer("FILE", path, "DIR", dir).Replace(want)
		if got := emerg.FindSubmatch(out); got == nil || string(got[1]) != want {
			t.Errorf("nginx says\n%s\nwe say\n%s", out, want)
		}
	}
	for _, tt := range errorTests {
		if tt.ours {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			check(t, tt.want)
		})
	}
	if err := os.WriteFile(path, []byte("events {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range globalTests {
		if tt.want != "" {
			t.Run(tt.text, func(t *testing.T) { check(t, tt.want, "-g", tt.text) })
		}
	}
}

var globalTests = []struct{ text, want string }{
	{"daemon off;", ""},
	{"daemon off; worker_processes 3;", ""},
	{"daemon off", `unexpected end of parameter, expecting ";" in command line`},
	{"nosuch;", `unknown directive "nosuch" in command line`},
	{"http { }", `block directives are not supported in -g option in command line`},
	{"}", `unexpected "}" in command line`},
	{"daemon maybe;", `invalid value "maybe" in "daemon" directive, it must be "on" or "off" in command line`},
	{"daemon 'off", `unexpected end of parameter, expecting ";" in command line`},
}

func TestGlobalDirectives(t *testing.T) {
	for _, tt := range globalTests {
		cfg, err := Load(Options{Modules: testModules, Prefix: "/srv", Path: "x", Text: "events {}", GlobalDirectives: tt.text})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%q: %v", tt.text, err)
		case tt.want == "":
			if d := coreLevel.Of(cfg.Core).daemon; !d.IsSet || d.V {
				t.Errorf("%q: daemon = %v", tt.text, d)
			}
		case err == nil || err.Error() != tt.want:
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
	_, err := Load(Options{Modules: testModules, Prefix: "/srv", Path: "x", Text: "\ndaemon on;", GlobalDirectives: "daemon on;"})
	if err == nil || err.Error() != `"daemon" directive is duplicate in /srv/x:2` {
		t.Errorf("set twice: %v", err)
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(Options{Modules: testModules, Prefix: dir, Path: "none.conf"})
	if want := `open() "` + dir + `/none.conf" failed (2: No such file or directory)`; err == nil || err.Error() != want {
		t.Errorf("missing: %v, want %s", err, want)
	}
	_, err = Load(Options{Modules: testModules, Prefix: dir, Path: dir})
	var e *Error
	if want := `pread() "` + dir + `" failed (21: Is a directory)`; !errors.As(err, &e) || e.Level != "crit" || err.Error() != want {
		t.Errorf("directory: %v, want %s", err, want)
	}
	loop := filepath.Join(dir, "loop.conf")
	if err := os.WriteFile(loop, []byte("include loop.conf;"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(Options{Modules: testModules, Prefix: dir, Path: "loop.conf"})
	if want := `open() "` + loop + `" failed (24: Too many open files) in ` + loop + `:1`; err == nil || err.Error() != want {
		t.Errorf("loop: %v, want %s", err, want)
	}
}
