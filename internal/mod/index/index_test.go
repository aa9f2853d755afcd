package index_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/index"
	"moongate/internal/mod/static"
)

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &index.Module, &static.Module}}
}

func TestIndex(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"index.html": "root", "a/index.html": "a", "a/other": "other", "b/x": "", "file": "", "abs": "absolute", "longer/" + strings.Repeat("l", 100): "long"} {
		p := filepath.Join(dir, "html", name)
		os.MkdirAll(filepath.Dir(p), 0o755)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := enginetest.StartIn(t, dir, set(), `
		location / { }
		location /var/ { alias html/a/; index $arg_i other; }
		location /noslash { alias html/a; }
		location /long/ { alias html/longer/; index no `+strings.Repeat("l", 100)+`; }
		location /absolute/ { index /abs; }
		location /cached/ { alias html/; open_file_cache max=10; }
		location /list/ { index no more; location /list/a/ { alias html/a/; } }`)
	html := filepath.Join(dir, "html")
	for _, c := range []struct{ method, uri, status, body, log string }{
		{"GET", "/", "200 OK", "root", ""}, {"GET", "/a/", "200 OK", "a", ""}, {"HEAD", "/a/", "200 OK", "", ""},
		{"POST", "/a/", "405 Not Allowed", "", ""}, {"PUT", "/a/", "405 Not Allowed", "", ""},
		{"GET", "/b/", "403 Forbidden", "", `directory index of "` + html + `/b/" is forbidden`},
		{"GET", "/c/", "404 Not Found", "", `"` + html + `/c/index.html" is not found (2: No such file or directory)`},
		{"GET", "/file/", "404 Not Found", "", `"` + html + `/file/index.html" is not found (20: Not a directory)`},
		{"GET", "/var/?i=none", "200 OK", "other", ""}, {"GET", "/var/", "500 Internal Server Error", "", "rewrite or internal redirection cycle"}, {"GET", "/var/?i=index.html", "200 OK", "a", ""}, {"GET", "/var/?i=/abs", "200 OK", "absolute", ""},
		{"GET", "/long/", "200 OK", "long", ""}, {"GET", "/absolute/", "200 OK", "absolute", ""},
		{"GET", "/list/a/", "403 Forbidden", "", "directory index"},
		{"GET", "/cached/", "200 OK", "root", ""}, {"GET", "/cached/", "200 OK", "root", ""}, {"GET", "/cached/b/", "403 Forbidden", "", "directory index"},
	} {
		before := len(s.ErrorLog())
		r := s.Request(c.method, c.uri, "")
		if got := enginetest.Status(r); got != c.status || got == "200 OK" && enginetest.Body(r) != c.body {
			t.Errorf("%s %s: %q", c.method, c.uri, r)
		}
		s.Do(func(*engine.Worker) {})
		log := s.ErrorLog()[before:]
		if (c.log == "") != (log == "") || !strings.Contains(log, c.log) {
			t.Errorf("%s %s: log %q", c.method, c.uri, log)
		}
	}
}

func TestConfig(t *testing.T) {
	var warn []string
	if _, err := enginetest.Load(t, set(), "index /a b;", &warn); err != nil || len(warn) != 1 || !strings.Contains(warn[0], `only the last index in "index" directive should be absolute`) {
		t.Error(err, warn)
	}
	if _, err := enginetest.Load(t, set(), `index "";`, nil); err == nil || !strings.Contains(err.Error(), `index "" in "index" directive is invalid`) {
		t.Error(err)
	}
}
