package mapvar_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/mapvar"
	"moongate/internal/mod/rewrite"
)

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &mapvar.Module, &rewrite.Module}}
}

const site = `
map $arg_v $plain { default other; One 1; "" none; \default word; \~x tilde; two "$arg_w!"; include more.map; }
map $arg_v $regex { ~^a(?<rest>.*)$ "$rest/$1"; ~*^B(c*) "$1"; ~d$ d; }
map "$arg_v,$arg_w" $pair { "a,b" both; }
map $arg_v $host_ { hostnames; default none; example.com exact; *.example.com any; .net.org dot; www.tail.* tail; *.deep.example.com deep; ~^re regex; }
map $arg_v $kept { default $arg_v; }
map $arg_v $fresh { volatile; default $arg_v; }
map $loop2 $loop1 { default $loop2; }
map $loop1 $loop2 { default $loop1; }
server { listen 127.0.0.1:8080;
	location /plain { return 200 $plain; }
	location /regex { return 200 $regex; }
	location /pair { return 200 $pair; }
	location /host { return 200 $host_; }
	location /once { set $a "$kept$fresh"; set $args v=2; return 200 "$a,$kept$fresh"; }
	location /loop { return 200 "[$loop1]"; }
}`

func TestMap(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "more.map"), []byte("three 3; hostnames; x.y z;"), 0o644)
	s := enginetest.StartIn(t, dir, set(), site)
	for uri, want := range map[string]string{
		"/plain?v=one": "1", "/plain?v=ONE": "1", "/plain?v=": "none", "/plain": "none", "/plain?v=x": "other",
		"/plain?v=default": "word", "/plain?v=~x": "tilde", "/plain?v=two&w=W": "W!", "/plain?v=three": "3", "/plain?v=x.y": "z",
		"/regex?v=abc": "bc/bc", "/regex?v=bCC": "CC", "/regex?v=xd": "d", "/regex?v=x": "", "/regex?v=": "",
		"/pair?v=a&w=b": "both", "/pair?v=A&w=B": "both", "/pair?v=a": "",
		"/host?v=example.com": "exact", "/host?v=Example.COM.": "exact", "/host?v=a.example.com": "any", "/host?v=b.a.example.com": "any",
		"/host?v=x.deep.example.com": "deep", "/host?v=deep.example.com": "any", "/host?v=net.org": "dot", "/host?v=a.net.org": "dot",
		"/host?v=www.tail.de": "tail", "/host?v=www.tail.co.uk": "tail", "/host?v=www.tail": "none", "/host?v=tail.de": "none",
		"/host?v=re.example": "regex", "/host?v=.example.com": "none",
		"/once?v=1": "11,12",
		"/loop":     "[]",
	} {
		if got := enginetest.Body(s.Get(uri)); got != want {
			t.Errorf("%s: got %q, want %q", uri, got, want)
		}
	}
	if log := s.ErrorLog(); !strings.Contains(log, `cycle while evaluating variable "loop`) {
		t.Errorf("log: %s", log)
	}
}

func TestMapErrors(t *testing.T) {
	for text, want := range map[string]string{
		`map $a x { }`:                              `invalid variable name "x"`,
		`map $a $b { x; }`:                          `invalid number of the map parameters`,
		`map $a $b { x y z; }`:                      `invalid number of the map parameters`,
		`map $a $b { default x; default y; }`:       `duplicate default map parameter`,
		`map $a $b { x y; X z; }`:                   `conflicting parameter "x"`,
		`map $a $b { hostnames; .a.b x; a.b y; }`:   `conflicting parameter "a.b"`,
		`map $a $b { hostnames; *.a.b x; .a.b y; }`: `conflicting parameter ".a.b"`,
		`map $a $b { hostnames; *.*.b x; }`:         `invalid hostname or wildcard "*.*.b"`,
		`map $a $b { hostnames; a..b x; }`:          `invalid hostname or wildcard "a..b"`,
		`map $a $b { ~( x; }`:                       `pcre2_compile() failed`,
		`map $uri $host { }`:                        `the duplicate "host" variable`,
		`map $nowhere $b { }`:                       `unknown "nowhere" variable`,
		`map $uri $b { default $nowhere; }`:         `unknown "nowhere" variable`,
		`map_hash_max_size x;`:                      `invalid number`,
	} {
		_, err := enginetest.Load(t, set(), strings.ReplaceAll(text, "$a ", "$arg_a ")+" server { }", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestNoGarbage(t *testing.T) {
	s := enginetest.Start(t, set(), `map $arg_v $x { default no; one 1; ~^a(.*)$ $1; }
		server { listen 127.0.0.1:8080; location / { return 200 $x; } }`)
	for _, uri := range []string{"/?v=ONE", "/?v=abc"} {
		if n := s.Allocs("GET " + uri + " HTTP/1.1\r\nHost: a\r\n\r\n"); n >= 1 {
			t.Errorf("%s allocates %v times", uri, n)
		}
	}
}
