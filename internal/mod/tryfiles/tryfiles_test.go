package tryfiles_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/static"
	"moongate/internal/mod/tryfiles"
)

// show answers with the URI and arguments.
var show = engine.Module{Module: conf.Module{Name: "show", Directives: []conf.Directive{
	{Name: "show", In: conf.Location, Args: conf.NoArgs, Doc: "-", Set: conf.Func(func(c *conf.Cmd) error {
		engine.LocationOf(c.Scope).Handler = func(r *engine.Request) engine.Status {
			return r.SendText(append(append(append([]byte{}, r.URI...), '?'), r.Args...))
		}
		return nil
	})},
}}}

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &tryfiles.Module, &static.Module, &show}}
}

func TestTry(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"f": "file", "d/in": "inner", "d/f": "df"} {
		p := filepath.Join(dir, "html", name)
		os.MkdirAll(filepath.Dir(p), 0o755)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := enginetest.StartIn(t, dir, set(), `
		location / { try_files $uri $uri/ /shown?x=$arg_a; }
		location /shown { show; }
		location @named { show; }
		location /code { try_files /none =410; }
		location /named { try_files /none @named; }
		location /literal { try_files /none /f; }
		location /var { try_files /none $arg_to; }
		location /al/ { alias html/d/; try_files $uri /in =404; }
		location ~ ^/re/(.*)$ { alias html/d; try_files /$1 =404; }
		location /dironly { try_files /f/ /d/ =404; }
		location /cached { try_files $uri /f =404; open_file_cache max=10; }
		location /inner { try_files /f =404; location /inner/deep { } }`)
	for _, c := range []struct{ uri, status, body string }{
		{"/f", "200 OK", "file"}, {"/d", "301 Moved Permanently", ""}, {"/none?a=b", "200 OK", "/shown?x=b"}, {"/code", "410 Gone", ""},
		{"/named?q", "200 OK", "/named?q"}, {"/literal", "200 OK", "file"}, {"/var?to=/f", "200 OK", "file"}, {"/var?to=/shown", "200 OK", "/shown?"},
		{"/var?to=@named", "200 OK", "/var?to=@named"}, {"/al/f", "200 OK", "df"}, {"/al/none", "200 OK", "inner"},
		{"/re/f", "200 OK", "df"}, {"/re/none", "404 Not Found", ""}, {"/dironly", "301 Moved Permanently", ""},
		{"/cached", "200 OK", "file"}, {"/cached", "200 OK", "file"}, {"/inner/x", "200 OK", "file"}, {"/inner/deep", "404 Not Found", ""},
		{"/" + strings.Repeat("n", 300), "200 OK", "/shown?x="},
	} {
		r := s.Get(c.uri)
		if got := enginetest.Status(r); got != c.status || got == "200 OK" && enginetest.Body(r) != c.body {
			t.Errorf("%s: %q", c.uri, r)
		}
	}
	if log := s.ErrorLog(); strings.Count(log, "\n") != 1 { // of /inner/deep
		t.Error(log)
	}
}

func TestConfig(t *testing.T) {
	for text, want := range map[string]string{
		"try_files a;":                     `invalid number of arguments in "try_files" directive`,
		"try_files a b; try_files c d;":    `"try_files" directive is duplicate`,
		"try_files a =x;":                  `invalid code "=x"`,
		"try_files a =1000;":               `invalid code "=1000"`,
		"try_files a $nosuch;":             `unknown "nosuch" variable`,
		"location / { try_files a b =1; }": "",
	} {
		_, err := enginetest.Load(t, set(), text, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
