package geo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/geo"
	"moongate/internal/mod/rewrite"
)

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &geo.Module, &rewrite.Module}}
}

const site = `
geo $own { default other; 127.0.0.0/8 loop; }
geo $arg_a $net { default d; 10.0.0.0/8 ten; 10.1.0.0/16 one; 10.1.2.3 host; 255.255.255.255 none; 2001:db8::/32 six; include more.geo; }
geo $arg_a $bare { 10.0.0.0/8 ten; 11.0.0.0/8 eleven; delete 11.0.0.0/8; }
geo $arg_a $range { ranges; default d; 10.0.0.0-10.0.255.255 a; 10.0.1.0-10.0.1.255 b; 10.0.0.0-10.0.0.0 c; 10.0.255.255-10.0.255.255 e; 10.2.0.128-10.4.0.127 f; 10.9.0.0-10.9.0.9 g; delete 10.9.0.0-10.9.0.9; }
geo $via { default d; proxy 127.0.0.0/8; 192.0.2.0/24 client; 198.51.100.0/24 proxy; }
geo $far { default d; proxy 127.0.0.1; proxy 198.51.100.0/24; proxy_recursive; 192.0.2.0/24 client; 198.51.100.0/24 proxy; }
geo $arg_a $kept { 10.0.0.0/8 ten; }
geo $arg_a $fresh { volatile; 10.0.0.0/8 ten; }
server { listen 127.0.0.1:8080;
	location /own { return 200 $own; } location /net { return 200 $net; } location /bare { return 200 $bare; } location /range { return 200 $range; }
	location /via { return 200 $via,$far; } location /twice { set $x $kept,$fresh; set $args a=11.0.0.1; return 200 "$x $kept,$fresh"; }
}`

func TestGeo(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "more.geo"), []byte("172.16.0.0/12 more;"), 0o644)
	s := enginetest.StartIn(t, dir, set(), site)
	for uri, want := range map[string]string{
		"/own":           "loop",
		"/net?a=9.0.0.1": "d", "/net?a=10.2.0.1": "ten", "/net?a=10.1.9.9": "one", "/net?a=10.1.2.3": "host", "/net?a=::ffff:10.1.2.3": "host",
		"/net?a=2001:db8::5": "six", "/net?a=2001:db9::5": "d", "/net?a=172.31.0.1": "more", "/net?a=x": "none", "/net": "none",
		"/bare?a=10.0.0.1": "ten", "/bare?a=11.0.0.1": "", "/bare?a=x": "",
		"/range?a=10.0.0.0": "c", "/range?a=10.0.0.1": "a", "/range?a=10.0.0.255": "a", "/range?a=10.0.1.0": "b", "/range?a=10.0.1.255": "b",
		"/range?a=10.0.2.0": "a", "/range?a=10.0.255.255": "e", "/range?a=10.1.0.0": "d", "/range?a=10.2.0.127": "d", "/range?a=10.2.0.128": "f",
		"/range?a=10.3.77.1": "f", "/range?a=10.4.0.127": "f", "/range?a=10.4.0.128": "d", "/range?a=10.9.0.5": "d", "/range?a=x": "d", "/range?a=::1": "d",
		"/twice?a=10.0.0.1": "ten,ten ten,",
	} {
		if got := enginetest.Body(s.Get(uri)); got != want {
			t.Errorf("%s: got %q, want %q", uri, got, want)
		}
	}
	for list, want := range map[string]string{
		"192.0.2.1": "client,client", "192.0.2.1, 198.51.100.1": "proxy,client", "x": "d,d", "": "d,d",
	} {
		if got := enginetest.Body(s.Get("/via", "X-Forwarded-For: "+list)); got != want {
			t.Errorf("for %q: got %q, want %q", list, got, want)
		}
	}
	if n := s.Allocs("GET /net?a=10.1.2.3 HTTP/1.1\r\nHost: a\r\n\r\n"); n >= 1 {
		t.Errorf("allocates %v times", n)
	}
}

func TestMessages(t *testing.T) {
	for text, want := range map[string]string{
		`geo x { }`:                  `invalid variable name "x"`,
		`geo x $y { }`:               `invalid variable name "x"`,
		`geo $a { 10.0.0.0/8; }`:     `invalid number of the geo parameters`,
		`geo $a { 10.0.0.0/8 x y; }`: `invalid number of the geo parameters`,
		`geo $a { 10.0.0/8 x; }`:     `invalid network "10.0.0/8"`,
		`geo $a { proxy x; }`:        `invalid network "x"`,
		`geo $a { 10.0.0.0/8 x; ranges; 1.1.1.1-1.1.1.2 x; }`:           `the "ranges" directive must be the first directive inside "geo" block`,
		`geo $a { ranges; 10.0.0.0 x; }`:                                `invalid range "10.0.0.0"`,
		`geo $a { ranges; 10.0.0.1-10.0.0.0 x; }`:                       `invalid range "10.0.0.1-10.0.0.0"`,
		`geo $a { ranges; 10.0.0.1-10.0.0.9 x; 10.0.0.5-10.0.0.11 y; }`: `range "10.0.0.5-10.0.0.11" overlaps "10.0.0.1-10.0.0.9"`,
		`geo $host { }`:                                                     `the duplicate "host" variable`,
		`geo $a { 10.1.0.0/8 x; }`:                                          `[warn] low address bits of 10.1.0.0/8 are meaningless`,
		`geo $a { 10.0.0.0/8 x; 10.0.0.0/8 y; }`:                            `[warn] duplicate network "10.0.0.0/8", value: "y", old value: "x"`,
		`geo $a { delete 10.0.0.0/8; }`:                                     `[warn] no network "10.0.0.0/8" to delete`,
		`geo $a { ranges; default x; default y; }`:                          `[warn] duplicate default geo range value: "y", old value: "x"`,
		`geo $a { ranges; 10.0.0.1-10.0.0.9 x; 10.0.0.1-10.0.0.9 y; }`:      `[warn] duplicate range "10.0.0.1-10.0.0.9", value: "y", old value: "x"`,
		`geo $a { ranges; 10.0.0.1-10.0.0.9 x; delete 10.0.0.1-10.0.0.8; }`: `[warn] no address range "10.0.0.1-10.0.0.8" to delete`,
	} {
		var notes []string
		_, err := enginetest.Load(t, set(), text+" server { }", &notes)
		if err != nil {
			notes = append(notes, err.Error())
		}
		if len(notes) == 0 || !strings.Contains(notes[0], want) {
			t.Errorf("%s: %v, want %s", text, notes, want)
		}
	}
}
