package req_test

import (
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

// run serves one request by content_by_lua with the code and gives the body.
func run(t *testing.T, code, head string) string {
	t.Helper()
	s := enginetest.Start(t, modules.Set(), "location / { content_by_lua_block { "+code+" } }")
	return enginetest.Body(s.Raw(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n"))
}

func TestReq(t *testing.T) {
	for _, c := range []struct{ code, head, want string }{
		{`ngx.print(ngx.req.get_method(), ngx.req.http_version(), ngx.req.is_internal())`, "PUT / HTTP/1.0\n", "PUT1false"},
		{`ngx.req.set_method(ngx.HTTP_PATCH) ngx.print(ngx.req.get_method(), ngx.var.request_method)`, "GET / HTTP/1.0\n", "PATCHPATCH"},
		{`ngx.print(pcall(ngx.req.set_method, "GET"))`, "GET / HTTP/1.0\n", "falsebad method number"},
		{`ngx.print(pcall(ngx.req.set_method, 3))`, "GET / HTTP/1.0\n", "falseunsupported HTTP method: 3"},
		{`ngx.print(math.abs(ngx.req.start_time() - ngx.now()) < 5)`, "GET / HTTP/1.0\n", "true"},
		{`ngx.print(ngx.req.raw_header())`, "GET /a HTTP/1.0\nA: b\n", "GET /a HTTP/1.0\r\nA: b\r\n\r\n"},
		{`ngx.print(ngx.req.raw_header(true))`, "\nGET /a HTTP/1.0\nA: b\n", "A: b\r\n\r\n"},
		{`ngx.req.set_uri("/b c") ngx.print(ngx.var.uri, ngx.req.is_internal())`, "GET /a HTTP/1.0\n", "/b ctrue"},
		{`ngx.print(select(2, pcall(ngx.req.set_uri, "")))`, "GET /a HTTP/1.0\n", "attempt to use zero-length uri"},
		{`ngx.print(select(2, pcall(ngx.req.set_uri, "/a\n")))`, "GET /a HTTP/1.0\n",
			`unsafe byte "0x0a" in uri "/a\x0A" (maybe you want to set the 'binary' argument?)`},
		{`ngx.print(select(2, pcall(ngx.req.set_uri, "/a", true)))`, "GET /a HTTP/1.0\n", "API disabled in the context of content_by_lua*"},
		{`local a = ngx.req.get_uri_args() ngx.print(a.a, a.b[1], a.b[2], a.c, a["d e"])`, "GET /?a=1&b=2&b=3&c&d+e=%21 HTTP/1.0\n", "123true!"},
		{`local a, err = ngx.req.get_uri_args(1) ngx.print(a.a, a.b, err)`, "GET /?a=1&b=2 HTTP/1.0\n", "1niltruncated"},
		{`local t = {z = 1} local a = ngx.req.get_uri_args(0, t) ngx.print(a == t, a.z, a.a)`, "GET /?a=1 HTTP/1.0\n", "truenil1"},
		{`ngx.req.set_uri_args("a b=c") ngx.print(ngx.var.args)`, "GET / HTTP/1.0\n", "a%20b=c"},
		{`ngx.req.set_uri_args{a = {1, "x y"}} ngx.print(ngx.var.args)`, "GET / HTTP/1.0\n", "a=1&a=x%20y"},
		{`ngx.print(select(2, pcall(ngx.req.set_uri_args)))`, "GET / HTTP/1.0\n", "expecting 1 argument but seen 0"},
		{`ngx.req.read_body() local a = ngx.req.get_post_args() ngx.print(a.a, a.b)`, "POST / HTTP/1.0\nContent-Length: 5\n\na=1&b", "1true"},
	} {
		if got := run(t, c.code, c.head); !strings.HasSuffix(got, c.want) || len(got) > len(c.want)+40 {
			t.Errorf("%s: %q, want %q", c.code, got, c.want)
		}
	}
}

func TestHeaders(t *testing.T) {
	const head = "GET / HTTP/1.0\nHost: a.b:80\nX-One: 1\nX-Two: a\nx-two: b\nCookie: c=d\n"
	for _, c := range []struct{ code, want string }{
		{`local h = ngx.req.get_headers() ngx.print(h.host, h.X_One, h["x-two"][2], h.none)`, "a.b:801bnil"},
		{`local h = ngx.req.get_headers(0, true) ngx.print(h["X-One"], h["x-one"], h["X-Two"], h["x-two"])`, "1nilab"},
		{`local h, err = ngx.req.get_headers(2) ngx.print(h.x_one, h.cookie, err)`, "1niltruncated"},
		{`ngx.req.set_header("X-Two", 7) ngx.print(ngx.req.get_headers().x_two, ngx.var.http_x_two)`, "77"},
		{`ngx.req.set_header("X-New", {"a", "b"}) ngx.print(#ngx.req.get_headers().x_new)`, "2"},
		{`require "ngx.req".add_header("X-One", "2") ngx.print(ngx.req.get_headers().x_one[2])`, "2"},
		{`ngx.req.clear_header("x-two") ngx.print(ngx.req.get_headers().x_two, ngx.var.http_cookie)`, "nilc=d"},
		{`ngx.req.set_header("Host", "C.D:81") ngx.print(ngx.var.host, ngx.var.http_host)`, "c.dC.D:81"},
		{`ngx.req.set_header("Cookie", "e=f") ngx.print(ngx.var.cookie_e, ngx.var.cookie_c)`, "fnil"},
		{`ngx.req.set_header("A", "b\nc") ngx.print(ngx.req.get_headers().a)`, "b%0Ac"},
		{`ngx.print(pcall(ngx.req.set_header, nil, 1))`, "falsebad 'name' argument: string expected, got nil"},
		{`ngx.print(pcall(ngx.req.set_header, "Content-Length", "x"))`, "falsefailed to set header"},
	} {
		if got := run(t, c.code, head); got != c.want {
			t.Errorf("%s: %q, want %q", c.code, got, c.want)
		}
	}
}

func TestJump(t *testing.T) {
	s := enginetest.Start(t, modules.Set(), `
		location /a { rewrite_by_lua_block { ngx.req.set_uri_args("x=1") ngx.req.set_uri("/b", true) ngx.log(ngx.ERR, "unreachable") } content_by_lua_block { ngx.print("a") } }
		location /b { content_by_lua_block { ngx.print("b", ngx.var.uri, ngx.var.args, ngx.req.is_internal()) } }`)
	if got := enginetest.Body(s.Raw("GET /a HTTP/1.0\r\n\r\n")); got != "b/bx=1true" || s.ErrorLog() != "" {
		t.Errorf("%q %s", got, s.ErrorLog())
	}
}

func TestNoGarbage(t *testing.T) {
	s := enginetest.Start(t, modules.Set(), `location / { set $v x; content_by_lua_block {
		local h, a = ngx.req.get_headers(), ngx.req.get_uri_args()
		ngx.var.v = h.host
		ngx.header["X-A"] = a.a
		ngx.header.content_length = 1
		ngx.print(ngx.req.get_method() == "GET" and ngx.var.uri == "/" and ngx.var.v == "b" and ngx.header.x_a == "1" and 1 or 0)
	} }`)
	if n := s.Allocs("GET /?a=1 HTTP/1.1\r\nHost: b\r\nCookie: c=d\r\n\r\n"); n != 0 {
		t.Errorf("%v allocations for each request", n)
	}
}
