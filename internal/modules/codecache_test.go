package modules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
)

// TestCodeCacheOff: each request has a VM of its own, with init_by_lua run in it, and reads all code anew.
func TestCodeCacheOff(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	version := func(n int) {
		write("page.lua", fmt.Sprintf(`local m = require "m"; m.n = m.n + 1; ngx.say("page %d ", m.text, " ", m.n, " ", begun)`, n))
		write("m.lua", fmt.Sprintf(`return { text = "module %d", n = 0 }`, n))
	}
	version(1)
	s := enginetest.StartIn(t, dir, Set(), `
		lua_package_path "$prefix/?.lua;;";
		init_by_lua_block { begun = (begun or 0) + 1 }
		server {
			listen 127.0.0.1:8080;
			location /kept { lua_code_cache on; content_by_lua_file page.lua; }
			lua_code_cache off;
			location /live { content_by_lua_file page.lua; }
			location /var { content_by_lua_file $arg_f; }
			location /outer {
				content_by_lua_block {
					local ctx = { from = "outer" }
					shared = { "global" }
					local res = ngx.location.capture("/inner", { ctx = ctx })
					ngx.print(res.body, ctx.back, "\n")
				}
			}
			location /inner { content_by_lua_block { ngx.ctx.back = "inner"; ngx.print(ngx.ctx.from, " ", type(shared), " ") } }
			location /phases {
				rewrite_by_lua_block { package.loaded.seen = "rewrite" }
				content_by_lua_block { ngx.say(package.loaded.seen) }
				log_by_lua_block { ngx.log(ngx.ERR, "log phase sees ", package.loaded.seen) }
			}
		}`)
	for _, c := range []struct{ uri, want string }{
		{"/live", "page 1 module 1 1 1\n"},
		{"/live", "page 1 module 1 1 1\n"},
		{"/kept", "page 1 module 1 1 1\n"},
		{"/kept", "page 1 module 1 2 1\n"},
		{"/var?f=page.lua", "page 1 module 1 1 1\n"},
		{"/outer", "outer table inner\n"},
		{"/phases", "rewrite\n"},
	} {
		if got := unchunk(enginetest.Body(s.Get(c.uri))); got != c.want {
			t.Errorf("%s: got %q, want %q", c.uri, got, c.want)
		}
	}
	version(2)
	for _, c := range []struct{ uri, want string }{
		{"/live", "page 2 module 2 1 1\n"},
		{"/var?f=page.lua", "page 2 module 2 1 1\n"},
		{"/kept", "page 1 module 1 3 1\n"},
	} {
		if got := unchunk(enginetest.Body(s.Get(c.uri))); got != c.want {
			t.Errorf("after an edit: %s: got %q, want %q", c.uri, got, c.want)
		}
	}
	write("m.lua", "syntax error here")
	if r := s.Get("/live"); enginetest.Status(r) != "500 Internal Server Error" {
		t.Errorf("broken module: %q", r)
	}
	if log := s.ErrorLog(); !strings.Contains(log, "log phase sees rewrite") {
		t.Errorf("error log:\n%s", log)
	}
}

// unchunk joins the chunks of a body.
func unchunk(body string) string {
	var out strings.Builder
	for {
		var n int
		size, rest, ok := strings.Cut(body, "\r\n")
		if _, err := fmt.Sscanf(size, "%x", &n); !ok || err != nil || n > len(rest) {
			return body
		}
		if n == 0 {
			return out.String()
		}
		out.WriteString(rest[:n])
		body = strings.TrimPrefix(rest[n:], "\r\n")
	}
}
