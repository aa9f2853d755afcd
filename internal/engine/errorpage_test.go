package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/access"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/rewrite"
	"moongate/internal/mod/static"
)

func siteSet() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &rewrite.Module, &access.Module, &static.Module}}
}

// ask requests a URI and gives status, Location (with the port named PORT) and body.
func ask(s *enginetest.Server, method, uri string, head ...string) (status, location, body string) {
	r := s.Request(method, uri, "", head...)
	_, port, _ := strings.Cut(s.Addr(""), ":")
	return enginetest.Status(r), strings.Replace(enginetest.Header(r, "Location"), ":"+port, ":PORT", 1), enginetest.Body(r)
}

func TestErrorPage(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "html"), 0o755)
	if err := os.WriteFile(filepath.Join(dir, "html/page"), []byte("page"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := enginetest.StartIn(t, dir, siteSet(), `
		location / { return 404; }
		location /page { }
		location /show { return 200 "$uri?$args $request_method $status"; }
		location @named { return 200 "named $uri $status"; }
		location = /code { return 402; }
		location /plain { error_page 404 /page; return 404; }
		location /same { error_page 404 = /page; return 404; }
		location /as200 { error_page 404 =200 /page; return 404; }
		location /as503 { error_page 404 =503 /page; return 404; }
		location /as204 { error_page 404 =204 /page; return 404; }
		location /args { error_page 404 /show?x=1; return 404; }
		location /var { error_page 404 $arg_to; return 404; }
		location /varargs { error_page 404 /show?y=$uri; return 404; }
		location /named { error_page 404 @named; return 404; }
		location /namedsame { error_page 404 = @named; return 404; }
		location /nonamed { error_page 404 @none; return 404; }
		location /out { error_page 404 http://example.org/a; return 404; }
		location /out301 { error_page 404 =301 http://example.org/a; return 404; }
		location /out404 { error_page 404 =404 http://example.org/a; return 404; }
		location /redirect { error_page 301 http://example.org/b; return 301 /x; }
		location /code402 { error_page 404 = /code; return 404; }
		location /list { error_page 403 404 500 =200 /page; return 500; }
		location /once { error_page 404 /page2; return 404; }
		location /page2 { error_page 402 /page; return 402; }
		location /rec { recursive_error_pages on; error_page 404 /rec2; return 404; }
		location /rec2 { recursive_error_pages on; error_page 402 =200 /page; return 402; }
		location /loop { recursive_error_pages on; error_page 404 /loop; return 404; }
		location /close { return 444; }
		location /unknown { return 599; }
		location /abs { absolute_redirect off; return 301 /x; }
		location /noport { port_in_redirect off; return 301 /x; }
		location /name { server_name_in_redirect on; return 301 /x; }
		location /rel { return 301 x; }
		location /inner { internal; return 200 in; }
		location /toinner { error_page 404 = /inner; return 404; }
		location /big { client_max_body_size 2; error_page 413 = /show; return 200 ok; }`)
	for _, c := range []struct{ method, uri, status, location, body string }{
		{"GET", "/plain", "404 Not Found", "", "page"}, {"GET", "/same", "200 OK", "", "page"}, {"GET", "/as200", "200 OK", "", "page"},
		{"GET", "/as503", "503 Service Temporarily Unavailable", "", "page"}, {"GET", "/as204", "204 No Content", "", ""},
		{"GET", "/args", "404 Not Found", "", "/show?x=1 GET 404"}, {"POST", "/args", "404 Not Found", "", "/show?x=1 GET 404"}, {"HEAD", "/args", "404 Not Found", "", ""},
		{"GET", "/var?to=/page", "404 Not Found", "", "page"}, {"GET", "/var?to=@named", "404 Not Found", "", "named /var 404"}, {"GET", "/var?to=http://x/", "302 Moved Temporarily", "http://x/", "*"},
		{"GET", "/varargs", "404 Not Found", "", "/show?y=/varargs GET 404"}, {"GET", "/named", "404 Not Found", "", "named /named 404"}, {"GET", "/namedsame", "200 OK", "", "named /namedsame 200"},
		{"GET", "/nonamed", "500 Internal Server Error", "", "*"}, {"GET", "/out", "302 Moved Temporarily", "http://example.org/a", "*"}, {"GET", "/out301", "301 Moved Permanently", "http://example.org/a", "*"},
		{"GET", "/out404", "302 Moved Temporarily", "http://example.org/a", "*"}, {"GET", "/redirect", "302 Moved Temporarily", "http://example.org/b", "*"}, {"GET", "/code402", "402 Payment Required", "", "*"}, {"GET", "/list", "200 OK", "", "page"},
		{"GET", "/once", "402 Payment Required", "", "*"}, {"GET", "/rec", "200 OK", "", "page"}, {"GET", "/loop", "500 Internal Server Error", "", "*"},
		{"GET", "/close", "", "", ""}, {"GET", "/unknown", "599 ", "", ""},
		{"GET", "/abs", "301 Moved Permanently", "/x", "*"}, {"GET", "/noport", "301 Moved Permanently", "http://host/x", "*"}, {"GET", "/name", "301 Moved Permanently", "http://localhost:PORT/x", "*"}, {"GET", "/rel", "301 Moved Permanently", "x", "*"},
		{"GET", "/inner", "404 Not Found", "", "*"}, {"GET", "/toinner", "200 OK", "", "in"},
	} {
		status, location, body := ask(s, c.method, c.uri, "Host: host")
		if status != c.status || location != c.location || body != c.body && c.body != "*" {
			t.Errorf("%s %s: %q %q %q", c.method, c.uri, status, location, body)
		}
	}
	if r := s.Request("POST", "/big", "abc", "Content-Length: 3"); enginetest.Status(r) != "200 OK" || enginetest.Body(r) != "/show? GET 200" {
		t.Errorf("%q", r)
	}
	for uri, want := range map[string]string{"/nonamed": `could not find named location "@none"`, "/loop": `rewrite or internal redirection cycle while internally redirecting to "/loop"`} {
		if !strings.Contains(s.ErrorLog(), want) {
			t.Errorf("%s: no %q in %q", uri, want, s.ErrorLog())
		}
	}
}

// The built-in pages, with what old browsers need.
func TestOwnPage(t *testing.T) {
	s := enginetest.Start(t, siteSet(), `
		location / { return 404; }
		location /tokens { server_tokens off; return 404; }
		location /nopad { msie_padding off; return 404; }
		location /moved { return 301 /x; }
		location /refresh { msie_refresh on; return 302 "/x?\"<"; }
		location /494 { return 494; }
		location /497 { return 497; }`)
	page := func(title, headline, more, server string) string {
		return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + headline + "</h1></center>\r\n" + more + "<hr><center>" + server + "</center>\r\n</body>\r\n</html>\r\n"
	}
	padding := strings.Repeat("<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n", 6)
	server := engine.ServerVersion
	for _, c := range []struct{ uri, agent, status, body string }{
		{"/", "curl", "404 Not Found", page("404 Not Found", "404 Not Found", "", server)},
		{"/", "Chrome/90", "404 Not Found", page("404 Not Found", "404 Not Found", "", server) + padding},
		{"/", "MSIE 6.0; x", "404 Not Found", page("404 Not Found", "404 Not Found", "", server) + padding},
		{"/nopad", "Chrome/90", "404 Not Found", page("404 Not Found", "404 Not Found", "", server)},
		{"/moved", "Chrome/90", "301 Moved Permanently", page("301 Moved Permanently", "301 Moved Permanently", "", server)},
		{"/tokens", "", "404 Not Found", page("404 Not Found", "404 Not Found", "", engine.ServerName)},
		{"/refresh", "MSIE 7.0; x", "200 OK", "<html><head><meta http-equiv=\"Refresh\" content=\"0; URL=/x?%22%3C\"></head><body></body></html>\r\n"},
		{"/494", "", "400 Bad Request", page("400 Request Header Or Cookie Too Large", "400 Bad Request", "<center>Request Header Or Cookie Too Large</center>\r\n", server)},
		{"/497", "", "400 Bad Request", page("400 The plain HTTP request was sent to HTTPS port", "400 Bad Request", "<center>The plain HTTP request was sent to HTTPS port</center>\r\n", server)},
	} {
		if status, _, body := ask(s, "GET", c.uri, "User-Agent: "+c.agent); status != c.status || body != c.body {
			t.Errorf("%s %s: %q %q", c.uri, c.agent, status, body)
		}
	}
}
