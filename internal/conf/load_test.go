package conf

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMerge(t *testing.T) {
	cfg := site(t, `
		env A; env B;
		events { worker_connections 10; }
		http {
			sendfile on;
			send_timeout 5s;
			add_header X 1; add_header Y 2;
			client_header_timeout 7s;
			server {
				client_max_body_size 2g;
				location /a {
					sendfile off; add_header Z 3;
					gzip_comp_level 9;
					satisfy ANY;
					proxy_next_upstream error; proxy_next_upstream off;
					proxy_store_access group:rw all:r;
					proxy_temp_path /t/ 1 2;
					gzip_buffers 4 4k;
					resolver_timeout off;
					root sub;
					if ($x) { sendfile on; }
					location /a/b { root /abs; limit_except GET { sendfile on; } }
				}
				location /c { }
			}
			server { client_header_timeout 1m; }
		}`)
	core := coreLevel.Of(cfg.Core)
	if core.conns != Some(10) || core.daemon != Some(true) || core.workers != Some(1) || !slices.Equal(core.env, []string{"A", "B"}) {
		t.Errorf("core = %+v", *core)
	}
	at := func(path string) *locationConf { return locationLevel.Of(find(cfg.Core, KindLocation, path)) }

	a := at("/a")
	if a.sendfile != Some(false) || a.timeout != Some(5*time.Second) || a.bodyMax != Some(int64(2<<30)) ||
		a.level != Some(9) || a.satisfy != Some(2) || a.next != Some(uint32(1|4)) || a.access != Some(uint32(0o664)) ||
		a.bufs != Some(Buffers{4, 4096}) || a.resolved != Some(time.Duration(0)) || a.root != Some("/srv/sub") {
		t.Errorf("/a = %+v", *a)
	}
	if d := a.temp.V; d.Path != "/t" || !slices.Equal(d.Levels, []int{1, 2}) {
		t.Errorf("temp path = %+v", d)
	}
	if !slices.Equal(a.headers, []Pair{{"Z", "3"}}) {
		t.Errorf("/a headers = %v, want its own only", a.headers)
	}
	c := at("/c")
	if c.sendfile != Some(true) || c.level != Some(1) || c.next != Some(uint32(3)) || c.access != Some(uint32(0o600)) ||
		c.temp.V.Path != "/srv/proxy_temp" || c.root != Some("/srv/html") || c.bodyBuf != Some(int64(16384)) {
		t.Errorf("/c = %+v", *c)
	}
	if c.resolved.IsSet || c.hashed.IsSet {
		t.Errorf("/c has values without default: %+v", *c)
	}
	if !slices.Equal(c.headers, []Pair{{"X", "1"}, {"Y", "2"}}) {
		t.Errorf("/c headers = %v, want http's", c.headers)
	}
	if f := at("($x)"); f.timeout != Some(5*time.Second) || f.sendfile != Some(true) || f.root != a.root {
		t.Errorf("if = %+v", *f)
	}
	if f := at("GET"); f.sendfile != Some(true) || f.root != Some("/abs") || f.merged != "///a//a/b/GET" {
		t.Errorf("limit_except = %+v", *f)
	}
	first, second := find(cfg.Core, KindServer, ""), cfg.Core.Children[1].Children[1]
	if h := serverLevel.Of(first).header; h != Some(7*time.Second) {
		t.Errorf("first server: %v", h)
	}
	if h := serverLevel.Of(second).header; h != Some(time.Minute) {
		t.Errorf("second server: %v", h)
	}
	if mainLevel.Of(second).hash != Some(1024) {
		t.Errorf("main = %+v", mainLevel.Of(second))
	}
}

func TestScopes(t *testing.T) {
	cfg := site(t, "http {\n upstream u { server a; server b; }\n server {\n location / {\n } } }")
	http := cfg.Core.Children[0]
	up, srv := http.Children[0], http.Children[1]
	loc := srv.Children[0]
	if mainLevel.Of(loc) != mainLevel.Of(http) || serverLevel.Of(loc) != serverLevel.Of(srv) ||
		locationLevel.Of(loc) == locationLevel.Of(srv) || coreLevel.Of(loc) != coreLevel.Of(cfg.Core) ||
		locationLevel.Of(up) != locationLevel.Of(http) {
		t.Error("a scope sees other structs than it should")
	}
	if !http.Own(KindLocation) || !srv.Own(KindServer) || loc.Own(KindServer) || !loc.Own(KindLocation) || up.Own(KindMain) || srv.Own(KindUpstream) {
		t.Error("Own")
	}
	if got := upstreamLevel.Of(up).servers; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("servers = %v", got)
	}
	if loc.Dir.Name != "location" || loc.Dir.Line != 4 || loc.Config() != cfg || loc.Dir.Module() != &testHTTP {
		t.Errorf("location opened by %+v", loc.Dir)
	}
	if err := Init(http); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{mainLevel.Of(loc).inits, serverLevel.Of(srv).inits, serverLevel.Of(http).inits, locationLevel.Of(loc).inits} {
		if n != 1 {
			t.Errorf("initialised %d times", n)
		}
	}

	alone := NewScope(KindLocation, nil)
	mainLevel.Of(alone).types["a"] = "b" // reachable without parents, and made by initial
	if !alone.Own(KindMain) || !alone.Own(KindCore) || alone.Own(KindUpstream) {
		t.Error("a scope without parent does not own what it sees")
	}
	if err := Merge(nil, alone); err != nil {
		t.Error(err)
	}
}

func TestOfDoesNotAllocate(t *testing.T) {
	s := NewScope(KindLocation, nil)
	var sum int
	if n := testing.AllocsPerRun(100, func() { sum += len(locationLevel.Of(s).path) + mainLevel.Of(s).inits }); n != 0 {
		t.Errorf("Of allocates %v times", n)
	}
}

func BenchmarkOf(b *testing.B) {
	s := NewScope(KindLocation, nil)
	for b.Loop() {
		locationLevel.Of(s).inits++
	}
}

func TestInheritedListIsNotShared(t *testing.T) {
	cfg := site(t, "http { add_header A 1; add_header B 2; add_header C 3; server { location /x { } location /y { } } }")
	x := locationLevel.Of(find(cfg.Core, KindLocation, "/x"))
	y := locationLevel.Of(find(cfg.Core, KindLocation, "/y"))
	x.headers = append(x.headers, Pair{"D", "x"})
	y.headers = append(y.headers, Pair{"D", "y"})
	if x.headers[3].Value != "x" {
		t.Error("an append in one location reaches another")
	}
}

func TestLuaBlock(t *testing.T) {
	cfg := site(t, "http {\n server {\n location /l {\n content_by_lua_block\n {\n  say('}')\n }\n root x; } } }")
	l := locationLevel.Of(find(cfg.Core, KindLocation, "/l"))
	if l.lua != "\n  say('}')\n " || l.luaChunk != "=content_by_lua(nginx.conf:5)" || l.root.V != "/srv/x" {
		t.Errorf("lua = %q, chunk = %q, root = %q", l.lua, l.luaChunk, l.root.V)
	}
}

func TestChunkName(t *testing.T) {
	cfg := &Config{ConfPrefix: "/etc/nginx/"}
	long := strings.Repeat("0123456789", 6)
	tests := []struct {
		file string
		want string
	}{
		{"/etc/nginx/nginx.conf", "=content_by_lua(nginx.conf:12)"},
		{"/else/where/nginx.conf", "=content_by_lua(nginx.conf:12)"},
		{"/etc/nginx/sites/a.conf", "=content_by_lua(sites/a.conf:12)"},
		{"/opt/a.conf", "=content_by_lua(/opt/a.conf:12)"},
		{"/etc/nginx/" + long, "=content_by_lua(..." + long[len(long)-37:] + ":12)"},
		{"/opt/" + long, "=content_by_lua(..." + long[len(long)-37:] + ":12)"},
	}
	for _, tt := range tests {
		c := &Cmd{File: tt.file, Line: 12, p: &parser{config: cfg}}
		if got := c.ChunkName("content_by_lua"); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.file, got, tt.want)
		}
	}
}

// tree writes files, given as name and text in turn, into a directory of the test's.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestInclude(t *testing.T) {
	dir := tree(t,
		"conf/nginx.conf", "include envs/*.conf; http { types { include mime.types; c d; } include srv-[!x].conf; include none/*; }\n",
		"conf/envs/2.conf", "env two;",
		"conf/envs/10.conf", "env ten;",
		"conf/envs/.hidden.conf", "nosuch;",
		"conf/envs/3.txt", "nosuch;",
		"conf/mime.types", "text/html html htm;\n",
		"conf/srv-a.conf", "server { include ../frag/loc; }",
		"conf/srv-x.conf", "nosuch;",
		"frag/loc", "location /in { }",
	)
	cfg, err := Load(Options{Modules: testModules, Prefix: dir, Path: "conf/nginx.conf"})
	if err != nil {
		t.Fatal(err)
	}
	if env := coreLevel.Of(cfg.Core).env; !slices.Equal(env, []string{"ten", "two"}) {
		t.Errorf("env = %v", env)
	}
	l := find(cfg.Core, KindLocation, "/in")
	if l == nil || l.Dir.File != dir+"/conf/../frag/loc" {
		t.Fatalf("location = %+v", l)
	}
	if types := mainLevel.Of(l).types; types["htm"] != "text/html" || types["d"] != "c" {
		t.Errorf("types = %v", types)
	}
	var names []string
	for _, f := range cfg.Files {
		names = append(names, strings.TrimPrefix(f.Name, dir))
	}
	want := []string{"/conf/nginx.conf", "/conf/envs/10.conf", "/conf/envs/2.conf", "/conf/mime.types", "/conf/srv-a.conf", "/conf/../frag/loc"}
	if !slices.Equal(names, want) {
		t.Errorf("files = %v", names)
	}
	var out strings.Builder
	if err := cfg.WriteFiles(&out); err != nil {
		t.Fatal(err)
	}
	if text := "# configuration file " + dir + "/conf/envs/10.conf:\nenv ten;\n# configuration file "; !strings.Contains(out.String(), text) {
		t.Errorf("-T prints\n%s", out.String())
	}
}

func TestIncludedFileEndsInBlock(t *testing.T) {
	dir := tree(t, "nginx.conf", "\nhttp {\n include a.conf;\n}", "a.conf", "\nserver {\n")
	_, err := Load(Options{Modules: testModules, Prefix: dir, Path: "nginx.conf"})
	if want := `unexpected end of file, expecting "}" in ` + dir + `/a.conf:3`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	dir = tree(t, "nginx.conf", "http {\n include a.conf;", "a.conf", "server { } }")
	_, err = Load(Options{Modules: testModules, Prefix: dir, Path: "nginx.conf"})
	if want := `unexpected "}" in ` + dir + `/a.conf:1`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestGlob(t *testing.T) {
	dir := tree(t, "a/x.conf", "", "b/x.conf", "", "b/y.conf", "", "b/.z.conf", "", "c-[1", "", "d*", "", "é", "")
	tests := []struct {
		pattern string
		want    string
	}{
		{"*/x.conf", "a/x.conf b/x.conf"},
		{"b/?.conf", "b/x.conf b/y.conf"},
		{"b/.*.conf", "b/.z.conf"},
		{"b/*z*", ""},
		{"[ab]/[!x].conf", "b/y.conf"},
		{"[^a]/x.conf", "b/x.conf"},
		{"[a-b]/[x-z].*", "a/x.conf b/x.conf b/y.conf"},
		{"c-[1", "c-[1"},
		{`d\*`, "d*"},
		{`[]\[]*`, ""},
		{"*[1-]", "c-[1"},
		{"nosuch/*", ""},
		{"??", "d* é"},
	}
	for _, tt := range tests {
		var got []string
		for _, name := range Glob(dir + "/" + tt.pattern) {
			got = append(got, strings.TrimPrefix(name, dir+"/"))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s = %q, want %q", tt.pattern, got, tt.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	var logged []string
	_, err := Load(Options{Modules: testModules, Prefix: "/srv", Path: "/n", Text: "http {\n proxy_next_upstream error ERROR;\n limit_rate_after 1k;\n}",
		Log: func(level, msg string) { logged = append(logged, level+": "+msg) }})
	want := []string{
		`warn: duplicate value "ERROR" in /n:2`,
		`warn: the "limit_rate_after" directive is old in /n:3`,
	}
	if err != nil || !slices.Equal(logged, want) {
		t.Errorf("%v, %q", err, logged)
	}
}

func TestParsedComesBeforeCore(t *testing.T) {
	var parsed bool
	opt := Options{Modules: testModules, Prefix: "/srv", Path: "/n", Text: "unfinished;", Parsed: func() { parsed = true }}
	if _, err := Load(opt); err == nil || !parsed {
		t.Errorf("%v, parsed %v", err, parsed)
	}
	parsed = false
	opt.Text = "nosuch;"
	if _, err := Load(opt); err == nil || parsed {
		t.Errorf("%v, parsed %v", err, parsed)
	}
}

func TestSkippedBlock(t *testing.T) {
	cfg := site(t, "stream { server { listen 1; content_by_lua_block { x = '}' } } nosuch { a \"}\"; } }\nhttp { }")
	if len(cfg.Core.Children) != 1 || cfg.Core.Children[0].Dir.Line != 2 {
		t.Error("the block was not skipped as a whole")
	}
}

func TestReadElsewhere(t *testing.T) {
	files := map[string]string{
		"/srv/n":     "nosuch a; worker_processes 3;\ninclude more; nosuch { x y { } } init_by_lua_block { '}' }",
		"/srv/more":  "other { include nosuch; }\nserver_name misplaced; env A;",
		"/srv/short": "nosuch {",
	}
	opt := Options{Modules: []*Module{&testCore}, Prefix: "/srv", Path: "n", SkipUnknown: true,
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := files[name]; ok {
				return []byte(text), nil
			}
			return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		}}
	cfg, err := Load(opt)
	if err != nil {
		t.Fatal(err)
	}
	if c := coreLevel.Of(cfg.Core); c.workers != Some(3) || !slices.Equal(c.env, []string{"A"}) || len(cfg.Files) != 2 {
		t.Errorf("core = %+v, %d files", *c, len(cfg.Files))
	}
	opt.Path = "short"
	if _, err = Load(opt); err == nil || err.Error() != `unexpected end of file, expecting "}" in /srv/short:1` {
		t.Errorf("%v", err)
	}
}
