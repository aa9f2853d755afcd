package static_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/ranges"
	"moongate/internal/mod/static"
)

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &static.Module}, Filters: []*engine.Filter{&ranges.Body, engine.Copy, &ranges.Header}}
}

var modified = time.Unix(1577934245, 0)

// files makes files below dir/html; a name that ends in a slash is a folder.
func files(t *testing.T, dir string, all map[string]string) {
	t.Helper()
	for name, text := range all {
		p := filepath.Join(dir, "html", name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(p, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		os.MkdirAll(filepath.Dir(p), 0o755)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		os.Chtimes(p, modified, modified)
	}
}

const site = `
	types { text/html html; image/gif gif; }
	location / { }
	location /quiet/ { log_not_found off; }
	location /noetag { etag off; }
	location /al/ { alias html/d/; }
	location ~ ^/re/(.*)$ { alias html/$1; }
	location /nolinks/ { disable_symlinks on from=$document_root/nolinks; }
	location /cached/ { open_file_cache max=2; open_file_cache_errors on; alias html/; }
	location /all/ { location /all/in/ { } alias html/d/; }`

func TestServe(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{"a.html": "text", "empty": "", "d/": "", "d/in/x": "nested", "noetag": "n", "X.GIF": "G", "d/b c": "", "cached": "", "nolinks/f": "plain", "d/only": "aliased"})
	if err := syscall.Mkfifo(filepath.Join(dir, "html/fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("f", filepath.Join(dir, "html/nolinks/l")); err != nil {
		t.Fatal(err)
	}
	s := enginetest.StartIn(t, dir, set(), site)
	html := filepath.Join(dir, "html")
	for _, c := range []struct {
		method, uri, status, body, log string
		headers                        []string
	}{
		{"GET", "/a.html", "200 OK", "text", "", []string{"Content-Type: text/html", "Content-Length: 4", "Last-Modified: Thu, 02 Jan 2020 03:04:05 GMT", `ETag: "5e0d5da5-4"`, "Accept-Ranges: bytes"}},
		{"HEAD", "/a.html", "200 OK", "", "", []string{"Content-Length: 4"}},
		{"POST", "/a.html", "405 Not Allowed", "", "", nil},
		{"PUT", "/a.html", "405 Not Allowed", "", "", nil},
		{"GET", "/empty", "200 OK", "", "", []string{"Content-Length: 0", "Content-Type: text/plain"}},
		{"GET", "/X.GIF", "200 OK", "G", "", []string{"Content-Type: image/gif"}},
		{"GET", "/noetag", "200 OK", "n", "", []string{"Last-Modified: Thu"}},
		{"GET", "/d", "301 Moved Permanently", "", "", []string{"Location: http://localhost:PORT/d/\r\n"}},
		{"GET", "/d?a=b", "301 Moved Permanently", "", "", []string{"Location: http://localhost:PORT/d/?a=b\r\n"}},
		{"GET", "/no", "404 Not Found", "", `open() "` + html + `/no" failed (2: No such file or directory)`, nil},
		{"GET", "/a.html/x", "404 Not Found", "", `open() "` + html + `/a.html/x" failed (20: Not a directory)`, nil},
		{"GET", "/" + strings.Repeat("n", 256), "404 Not Found", "", "failed (36: File name too long)", nil},
		{"GET", "/fifo", "404 Not Found", "", `"` + html + `/fifo" is not a regular file`, nil},
		{"GET", "/quiet/no", "404 Not Found", "", "", nil},
		{"GET", "/al/only", "200 OK", "aliased", "", nil},
		{"GET", "/all/in/x", "200 OK", "nested", "", nil},
		{"GET", "/re/a.html", "200 OK", "text", "", nil},
		{"GET", "/nolinks/f", "200 OK", "plain", "", nil},
		{"GET", "/nolinks/l", "403 Forbidden", "", `openat() "` + html + `/nolinks/l" failed (40: Too many levels of symbolic links)`, nil},
		{"GET", "/cached/a.html", "200 OK", "text", "", nil},
		{"GET", "/cached/a.html", "200 OK", "text", "", nil},
		{"GET", "/cached/d/only", "200 OK", "aliased", "", nil},
		{"GET", "/cached/X.GIF", "200 OK", "G", "", nil},
		{"GET", "/cached/no", "404 Not Found", "", "failed (2: ", nil},
		{"GET", "/cached/no", "404 Not Found", "", "failed (2: ", nil},
		{"GET", "/cached/d", "301 Moved Permanently", "", "", nil},
		{"GET", "/", "403 Forbidden", "", `directory index of "` + html + `/" is forbidden`, nil},
	} {
		before := len(s.ErrorLog())
		r := strings.ReplaceAll(s.Request(c.method, c.uri, ""), s.Addr("")[strings.LastIndexByte(s.Addr(""), ':')+1:], "PORT")
		if got := enginetest.Status(r); got != c.status {
			t.Errorf("%s %s: %s, want %s", c.method, c.uri, got, c.status)
		}
		if body := enginetest.Body(r); c.status == "200 OK" && body != c.body {
			t.Errorf("%s %s: body %q", c.method, c.uri, body)
		}
		for _, h := range c.headers {
			if !strings.Contains(r, "\r\n"+h) {
				t.Errorf("%s %s: no %q in %q", c.method, c.uri, h, r)
			}
		}
		s.Do(func(*engine.Worker) {})
		log := s.ErrorLog()[before:]
		if (c.log == "") != (log == "") || !strings.Contains(log, c.log) {
			t.Errorf("%s %s: log %q, want %q", c.method, c.uri, log, c.log)
		}
	}
	if r := s.Get("/noetag"); enginetest.Header(r, "ETag") != "" {
		t.Error("etag off: ", r)
	}
}

// A file larger than what the socket takes at once comes whole, also in parts.
func TestLarge(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	for i := range 400_000 {
		b.WriteString(strings.Repeat("x", i%7))
		b.WriteByte('\n')
	}
	files(t, dir, map[string]string{"large": b.String()})
	s := enginetest.StartIn(t, dir, set(), "location / { } location /c/ { alias html/; open_file_cache max=5; }")
	for _, uri := range []string{"/large", "/c/large", "/c/large"} {
		if got := enginetest.Body(s.Get(uri)); got != b.String() {
			t.Errorf("%s: %d bytes, want %d", uri, len(got), b.Len())
		}
		if got := enginetest.Body(s.Get(uri, "Range: bytes=100000-900000")); got != b.String()[100000:900001] {
			t.Errorf("%s: part of %d bytes", uri, len(got))
		}
	}
}

// Serving a small file on a kept-alive connection allocates nothing.
func TestNoGarbage(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{"f": strings.Repeat("y", 16<<10)})
	s := enginetest.StartIn(t, dir, set(), "keepalive_requests 1000000; location / { } location /c/ { alias html/; open_file_cache max=5; }")
	for _, uri := range []string{"/f", "/c/f"} {
		c := s.Dial()
		req := []byte("GET " + uri + " HTTP/1.1\r\nHost: a\r\n\r\n")
		buf := make([]byte, 64<<10)
		size := 0
		ask := func(want int) int {
			if _, err := c.Write(req); err != nil {
				t.Fatal(err)
			}
			n := 0
			for n == 0 || n < want {
				m, err := c.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				n += m
				if want == 0 && n > 16<<10 {
					return n
				}
			}
			return n
		}
		size = ask(0)
		for range 200 {
			ask(size)
		}
		var a, b runtime.MemStats
		runtime.ReadMemStats(&a)
		const rounds = 1000
		for range rounds {
			ask(size)
		}
		runtime.ReadMemStats(&b)
		if n := b.Mallocs - a.Mallocs; n > rounds/2 {
			t.Errorf("%s: %d allocations for %d requests", uri, n, rounds)
		}
	}
}
