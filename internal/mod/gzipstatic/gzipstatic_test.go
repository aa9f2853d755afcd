package gzipstatic_test

import (
	"os"
	"path/filepath"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/gzipstatic"
	"moongate/internal/mod/static"
)

func TestGzipStatic(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "html/folder.gz"), 0o755)
	for name, text := range map[string]string{"f.html": "plain", "f.html.gz": "compressed", "alone.gz": "alone", "bare": "bare", "folder": "file"} {
		if err := os.WriteFile(filepath.Join(dir, "html", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := enginetest.StartIn(t, dir, &engine.Set{Modules: []*engine.Module{&gzipstatic.Module, &static.Module}}, `
		types { text/html html; }
		location /on/ { alias html/; gzip_static on; }
		location /vary/ { alias html/; gzip_static on; gzip_vary on; }
		location /always/ { alias html/; gzip_static always; gzip_vary on; }`)
	for _, c := range []struct {
		uri    string
		accept bool
		body   string
		gz     bool
		vary   bool
	}{
		{"/on/f.html", true, "compressed", true, false}, {"/on/f.html", false, "plain", false, false}, {"/on/bare", true, "bare", false, false},
		{"/on/alone", true, "alone", true, false}, {"/on/folder", true, "file", false, false},
		{"/vary/f.html", true, "compressed", true, true}, {"/vary/f.html", false, "plain", false, true}, {"/vary/bare", true, "bare", false, false},
		{"/always/f.html", false, "compressed", true, false}, {"/always/bare", false, "bare", false, false},
	} {
		var head []string
		if c.accept {
			head = []string{"Accept-Encoding: gzip"}
		}
		r := s.Get(c.uri, head...)
		if enginetest.Body(r) != c.body || (enginetest.Header(r, "Content-Encoding") == "gzip") != c.gz || (enginetest.Header(r, "Vary") != "") != c.vary {
			t.Errorf("%s %v: %q", c.uri, c.accept, r)
		}
		if c.uri[len(c.uri)-5:] == ".html" && enginetest.Header(r, "Content-Type") != "text/html" {
			t.Errorf("%s: %q", c.uri, r)
		}
	}
	if r := s.Get("/on/alone"); enginetest.Status(r) != "404 Not Found" {
		t.Errorf("%q", r)
	}
	if r := s.Request("POST", "/always/f.html", ""); enginetest.Status(r) != "405 Not Allowed" {
		t.Errorf("%q", r)
	}
}
