package body_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

func TestBody(t *testing.T) {
	for _, c := range []struct{ code, body, want string }{
		{`ngx.print(ngx.req.get_body_data(), ngx.req.get_body_file())`, "abc", "nilnil"},
		{`ngx.req.read_body() ngx.print(ngx.req.get_body_data(), ngx.req.get_body_data(2), ngx.req.get_body_file())`, "abc", "abcabnil"},
		{`ngx.req.read_body() ngx.print(ngx.req.get_body_data())`, "", "nil"},
		{`ngx.req.read_body() ngx.req.set_body_data("hello") ngx.print(ngx.req.get_body_data(), ngx.var.http_content_length, ngx.var.content_length)`, "abc", "hello55"},
		{`ngx.req.discard_body() ngx.print(ngx.req.get_body_data(), select(2, pcall(ngx.req.set_body_data, "x")))`, "abc", "nilrequest body already discarded asynchronously"},
		{`ngx.print(select(2, pcall(ngx.req.set_body_data, "x")))`, "abc", "request body not read yet"},
		{`ngx.print(select(2, pcall(ngx.req.append_body, "x")))`, "abc", "request_body not initialized"},
		{`ngx.req.read_body() ngx.req.init_body() ngx.req.append_body("he") ngx.req.append_body("llo") ngx.req.finish_body()
			ngx.print(ngx.req.get_body_data(), ngx.var.http_content_length)`, "abc", "hello5"},
		{`ngx.req.read_body() ngx.req.init_body(4) ngx.req.append_body("he") ngx.req.append_body("llo") ngx.req.finish_body()
			local f = io.open(ngx.req.get_body_file()) ngx.print(ngx.req.get_body_data(), f:read("*a"), ngx.var.http_content_length) f:close()`, "abc", "nilhello5"},
		{`ngx.req.read_body() ngx.print(select(2, pcall(ngx.req.set_body_file, "/nowhere/x")))`, "abc", `open() "/nowhere/x" failed`},
		{`ngx.req.read_body() local f = io.open(ngx.req.get_body_file()) ngx.print(#f:read("*a"), ngx.req.get_body_data()) f:close()`,
			strings.Repeat("x", 50000), "50000nil"},
	} {
		s := enginetest.Start(t, modules.Set(), "location / { content_by_lua_block { "+c.code+" } }")
		r := s.Raw("POST / HTTP/1.0\r\nContent-Length: " + strconv.Itoa(len(c.body)) + "\r\n\r\n" + c.body)
		if got := enginetest.Body(r); !strings.HasSuffix(got, c.want) || len(got) > len(c.want)+40 {
			t.Errorf("%s: %q, want %q", c.code, got, c.want)
		}
	}
}

func TestBodyFile(t *testing.T) {
	dir := t.TempDir()
	for _, clean := range []bool{true, false} {
		name := dir + "/" + strconv.FormatBool(clean)
		if err := os.WriteFile(name, []byte("in a file"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := enginetest.Start(t, modules.Set(), "location / { content_by_lua_block { ngx.req.read_body() ngx.req.set_body_file(\""+name+"\", "+
			strconv.FormatBool(clean)+") ngx.print(ngx.req.get_body_file() == \""+name+"\", ngx.var.content_length) } }")
		if got := enginetest.Body(s.Raw("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")); got != "true9" {
			t.Errorf("%q", got)
		}
		s.Do(func(*engine.Worker) {})
		if _, err := os.Stat(name); os.IsNotExist(err) != clean {
			t.Errorf("clean %v: %v", clean, err)
		}
	}
}
