package runner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/testkit/blocks"
	"moongate/internal/testkit/perl"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/server"
)

// copied makes the copy of a site of these files and returns its configuration.
func copied(t *testing.T, files map[string]string) (*test, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, "site", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := &fileRun{r: &Runner{}, site: filepath.Join(dir, "site"), root: server.Root(filepath.Join(dir, "root")), port: 1000}
	f.set = defaultSettings(&f.r.opts)
	if err := f.root.Reset(); err != nil {
		t.Fatal(err)
	}
	x := &test{f: f, src: &blocks.Block{}, values: map[string]perl.Value{}, out: &report.Block{}}
	t.Cleanup(x.releasePorts)
	if err := x.copySite(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(f.root.ConfFile())
	if err != nil {
		t.Fatal(err)
	}
	return x, string(text)
}

func TestCopySite(t *testing.T) {
	x, text := copied(t, map[string]string{
		"conf/nginx.conf": "user www;\npid /run/x.pid;\nerror_log /var/log/e.log\n    warn;\nhttp {\n  access_log /var/log/a.log main;\n" +
			"  # listen 1;\n  server { listen 80 default_server reuseport; listen [::]:80; }\n  server { listen 10.0.0.1:443 ssl; listen unix:/x; }\n" +
			"  location / { proxy_pass http://127.0.0.1:80; error_log x debug; }\n}\n",
		"lua/a.lua":             "connect('localhost:443') connect('localhost:44')",
		"html/a.html":           "localhost:80",
		"other/conf/nginx.conf": "listen 9000;",
	})
	first, second := x.site.listeners["80"], x.site.listeners["443"]
	if first == nil || first.port != 1000 || first.tls || second == nil || !second.tls || len(x.site.listeners) != 4 {
		t.Fatalf("%+v", x.site.listeners)
	}
	head, rest, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(head, "daemon on; ") || !strings.Contains(head, "/logs/error.log debug;") {
		t.Errorf("first line %q", head)
	}
	want := "\n\n\nhttp {\n  access_log logs/a.log main;\n  # listen 1;\n  server { listen 127.0.0.1:1000 default_server; listen [::1]:1000; }\n" +
		"  server { listen 127.0.0.1:PORT ssl; listen unix:/x; }\n  location / { proxy_pass http://127.0.0.1:1000; error_log x debug; }\n}\n"
	if got := strings.ReplaceAll(rest, x.port("443"), "PORT"); got != want {
		t.Error(report.Diff(want, got))
	}
	lua, _ := os.ReadFile(filepath.Join(string(x.f.root), "lua/a.lua"))
	if got := strings.ReplaceAll(string(lua), x.port("443"), "PORT"); got != "connect('127.0.0.1:PORT') connect('localhost:44')" {
		t.Errorf("%q", got)
	}
	if to, err := os.Readlink(filepath.Join(string(x.f.root), "html/a.html")); err != nil || to != filepath.Join(x.f.site, "html/a.html") {
		t.Error(to, err)
	}
	if _, err := os.Stat(filepath.Join(string(x.f.root), "other")); err == nil {
		t.Error("the copy has another site")
	}
	// A file that a block brings does not replace the site's own.
	x.values["user_files"] = ">>> html/a.html\nmine\n"
	if err := x.writeUserFiles(); err != nil {
		t.Fatal(err)
	}
	for root, want := range map[string]string{x.f.site: "localhost:80", string(x.f.root): "mine\n"} {
		if b, _ := os.ReadFile(filepath.Join(root, "html/a.html")); string(b) != want {
			t.Errorf("%s: %q", root, b)
		}
	}
}

func (t *test) port(name string) string {
	t.values["listen"] = name
	defer delete(t.values, "listen")
	port, _, err := t.target()
	if err != nil {
		return err.Error()
	}
	return perl.String(port)
}

func TestFindSite(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "a/conf"), 0o755)
	os.WriteFile(filepath.Join(dir, "a/conf/nginx.conf"), nil, 0o644)
	with := &blocks.File{Path: filepath.Join(dir, "a/tests/x.t"), Blocks: []*blocks.Block{{Sections: []blocks.Section{{Name: "config"}}}}}
	without := &blocks.File{Path: with.Path, Blocks: []*blocks.Block{{}}}
	for _, c := range []struct {
		src         *blocks.File
		given, want string
	}{
		{with, "", ""},
		{without, "", filepath.Join(dir, "a")},
		{with, filepath.Join(dir, "a"), filepath.Join(dir, "a")},
		{&blocks.File{Path: filepath.Join(dir, "b.t")}, "", ""},
	} {
		if got, err := findSite(c.src, c.given); got != c.want || err != nil {
			t.Errorf("%s, %q: %q %v", c.src.Path, c.given, got, err)
		}
	}
	if _, err := findSite(with, dir); err == nil {
		t.Error("a folder without conf/nginx.conf is a site")
	}
}

func TestRenames(t *testing.T) {
	r := append(rename("users:80", 1), rename("two", 2)...)
	for in, want := range map[string]string{
		"server users:80;":           "server 127.0.0.1:1;",
		"http://users:80/x":          "http://127.0.0.1:1/x",
		"http://users:8080/x":        "http://users:8080/x",
		"http://my.users:80/x":       "http://my.users:80/x",
		"server two;":                "server 127.0.0.1:2;",
		"server two:80; server two/": "server two:80; server 127.0.0.1:2/",
		`connect("users", 80)`:       `connect("127.0.0.1", 1)`,
		`connect('users' , 80, 1)`:   `connect('127.0.0.1' , 1, 1)`,
		`connect("users", 8080)`:     `connect("users", 8080)`,
		"two.example twofold":        "two.example twofold",
	} {
		if got := r.Replace(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
