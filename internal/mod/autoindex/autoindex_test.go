package autoindex_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/autoindex"
	"moongate/internal/mod/index"
	"moongate/internal/mod/static"
)

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&index.Module, &autoindex.Module, &static.Module}}
}

// line is a line of the html form.
func line(href, shown string, width int, date, size string) string {
	return `<a href="` + href + `">` + shown + "</a>" + strings.Repeat(" ", 50-width) + " " + date + " " + size + "\r\n"
}

func TestForms(t *testing.T) {
	dir := t.TempDir()
	d := filepath.Join(dir, "html/d")
	when := time.Unix(1577934245, 0)
	os.MkdirAll(filepath.Join(d, "sub"), 0o755)
	os.MkdirAll(filepath.Join(d, ".hidden"), 0o755)
	long := strings.Repeat("l", 51)
	for name, size := range map[string]int64{"b": 5, "A<&": 10240, `q"\` + "\n": 1, long: 3<<20 + 600<<10} {
		p := filepath.Join(d, name)
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		os.Truncate(p, size)
		os.Chtimes(p, when, when)
	}
	os.Chtimes(filepath.Join(d, "sub"), when, when)
	pipe := filepath.Join(d, "pipe")
	syscall.Mkfifo(pipe, 0o644)
	os.Chtimes(pipe, when, when)
	s := enginetest.StartIn(t, dir, set(), `
		autoindex on;
		location / { }
		location /round/ { alias html/d/; autoindex_exact_size off; }
		location /json/ { alias html/d/; autoindex_format json; }
		location /jsonp/ { alias html/d/; autoindex_format jsonp; }
		location /xml/ { alias html/d/; autoindex_format xml; }
		location /off/ { alias html/d/; autoindex off; }`)
	date := "02-Jan-2020 03:04"
	head := func(uri string) string {
		return "<html>\r\n<head><title>Index of " + uri + "</title></head>\r\n<body>\r\n<h1>Index of " + uri + "</h1><hr><pre><a href=\"../\">../</a>\r\n"
	}
	sizes := func(exact bool) string {
		s := map[string][2]string{"sub": {"                  -", "      -"}, "A": {"              10240", "    10K"}, "b": {"                  5", "      5"}, "l": {"            3760128", "     4M"}, "q": {"                  1", "      1"}, "p": {"                  0", "      0"}}
		i := 1
		if exact {
			i = 0
		}
		return line("sub/", "sub/", 4, date, s["sub"][i]) + line("A%3C%26", "A&lt;&amp;", 3, date, s["A"][i]) + line("b", "b", 1, date, s["b"][i]) +
			`<a href="` + long + `">` + long[:47] + "..&gt;</a> " + date + " " + s["l"][i] + "\r\n" + line("pipe", "pipe", 4, date, s["p"][i]) + line("q%22%5C%0A", "q&quot;\\\n", 4, date, s["q"][i]) +
			"</pre><hr></body>\r\n</html>\r\n"
	}
	mtime := "Thu, 02 Jan 2020 03:04:05 GMT"
	json := `[` + "\r\n" + `{ "name":"sub", "type":"directory", "mtime":"` + mtime + `" },` + "\r\n" + `{ "name":"A<&", "type":"file", "mtime":"` + mtime + `", "size":10240 },` + "\r\n" +
		`{ "name":"b", "type":"file", "mtime":"` + mtime + `", "size":5 },` + "\r\n" + `{ "name":"` + long + `", "type":"file", "mtime":"` + mtime + `", "size":3760128 },` + "\r\n" +
		`{ "name":"pipe", "type":"other", "mtime":"` + mtime + `" },` + "\r\n" + `{ "name":"q\"\\\n", "type":"file", "mtime":"` + mtime + `", "size":1 }` + "\r\n]"
	x := `mtime="2020-01-02T03:04:05Z"`
	xml := "<?xml version=\"1.0\"?>\r\n<list>\r\n<directory " + x + ">sub</directory>\r\n<file " + x + ` size="10240">A&lt;&amp;</file>` + "\r\n<file " + x + ` size="5">b</file>` + "\r\n<file " + x + ` size="3760128">` + long + "</file>\r\n<other " + x + ">pipe</other>\r\n<file " + x + " size=\"1\">q&quot;\\\n</file>\r\n</list>\r\n"
	for _, c := range []struct{ uri, contentType, body string }{
		{"/d/", "text/html", head("/d/") + sizes(true)},
		{"/round/", "text/html", head("/round/") + sizes(false)},
		{"/json/", "application/json", json},
		{"/jsonp/", "application/json", json},
		{"/jsonp/?callback=", "application/json", json},
		{"/jsonp/?a=b&Callback=f.x_1", "application/javascript", "/* callback */\r\nf.x_1(" + json + ");"},
		{"/xml/", "text/xml; charset=utf-8", xml},
	} {
		r := s.Raw("GET " + c.uri + " HTTP/1.0\r\n\r\n")
		if enginetest.Status(r) != "200 OK" || enginetest.Header(r, "Content-Type") != c.contentType || enginetest.Body(r) != c.body {
			t.Errorf("%s:\n%q\nwant\n%q", c.uri, r, c.body)
		}
	}
	for _, c := range []struct{ method, uri, status string }{
		{"HEAD", "/d/", "200"}, {"POST", "/d/", "403"}, {"GET", "/off/", "403"}, {"GET", "/none/", "404"},
		{"GET", "/jsonp/?callback=a-b", "400"}, {"GET", "/jsonp/?callback=" + strings.Repeat("a", 129), "400"},
	} {
		if r := s.Request(c.method, c.uri, ""); enginetest.Status(r)[:3] != c.status {
			t.Errorf("%s %s: %q", c.method, c.uri, r)
		}
	}
}
