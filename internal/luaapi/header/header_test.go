package header_test

import (
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

func TestHeader(t *testing.T) {
	for _, c := range []struct{ code, has, not string }{
		{`ngx.header.x_foo = "a"`, "x-foo: a", ""},
		{`ngx.header["X-Foo"] = {"a", 2, true}`, "X-Foo: a\r\nX-Foo: 2\r\nX-Foo: true", ""},
		{`ngx.header.foo = "a" ngx.header.Foo = "b"`, "foo: b", "foo: a"},
		{`ngx.header.foo = {"a", "b"} ngx.header.foo = nil`, "", "foo:"},
		{`ngx.header.content_type = "text/x; charset=utf-8"`, "Content-Type: text/x; charset=utf-8\r\n", ""},
		{`ngx.header.content_type = ""`, "", "Content-Type"},
		{`ngx.header.last_modified = "Thu, 18 Nov 2010 11:27:35 GMT"`, "last-modified: Thu, 18 Nov 2010 11:27:35 GMT\r\n", ""},
		{`ngx.header.Location = "/x"`, "Location: /x\r\n", "http://"},
		{`ngx.header.Location = {"/x", "/y"}`, "Location: /y\r\n", "/x"},
		{`ngx.header.server = "me"`, "server: me\r\n", "moongate"},
		{`ngx.header.server = nil`, "", "Server:"},
		{`ngx.header.Bad = "a\r\nEvil: b"`, "Bad: a%0D%0AEvil: b\r\n", ""},
		{`ngx.header["Bad\nName"] = "a"`, "Bad%0AName: a\r\n", ""},
		{`require "ngx.resp".add_header("A-B", "1") require "ngx.resp".add_header("a_b", {"2", "3"})`, "A-B: 1\r\na-b: 2\r\na-b: 3\r\n", ""},
		{`require "ngx.resp".set_status(299, "Quite Good")`, "HTTP/1.1 299 Quite Good\r\n", ""},
		{`ngx.header.content_length = 3 ngx.print("abc", ngx.header.content_length)`, "Content-Length: 3\r\n", ""},
	} {
		s := enginetest.Start(t, modules.Set(), "location / { content_by_lua_block { "+c.code+" ngx.exit(200) } }")
		r := s.Get("/")
		if !strings.Contains(r, c.has) || c.not != "" && strings.Contains(r, c.not) {
			t.Errorf("%s: %q", c.code, r)
		}
	}
}

func TestRead(t *testing.T) {
	s := enginetest.Start(t, modules.Set(), `
		location / { content_by_lua_block {
			local h = ngx.header
			h.one, h.two, h.last_modified = 1, {"a", "b"}, "Thu, 18 Nov 2010 11:27:35 GMT"
			ngx.print(h.ONE, type(h.one), #h.two, h.two[2], h["Last-Modified"], h.none, h.content_type)
			local all, err = ngx.resp.get_headers()
			ngx.print("|", all.one, all.Two[1], all["connection"], err)
			all, err = ngx.resp.get_headers(1, true)
			ngx.print("|", all.One, err)
			ngx.flush()
		} }
		location /late { content_by_lua_block { ngx.say("x") ngx.flush() ngx.header.foo = "a" } }`)
	want := "1string2bThu, 18 Nov 2010 11:27:35 GMTnilnil|1aclosenil|niltruncated"
	if got := enginetest.Body(s.Raw("GET / HTTP/1.0\r\n\r\n")); got != want {
		t.Errorf("%q", got)
	}
	s.Get("/late")
	if !strings.Contains(s.ErrorLog(), "attempt to set ngx.header.HEADER after sending out response headers") {
		t.Error(s.ErrorLog())
	}
}
