package http1

import (
	"bytes"
	"strings"
	"testing"
)

func TestNormalizeURI(t *testing.T) {
	for _, c := range []struct {
		raw              string
		uri, args, exten string
		flags            URIFlags
		ok               bool
	}{
		{"/", "/", "", "", 0, true},
		{"/a/b.c", "/a/b.c", "", "c", 0, true},
		{"/a.b/c", "/a.b/c", "", "", 0, true},
		{"/a.tar.gz?x.y", "/a.tar.gz", "x.y", "gz", 0, true},
		{"/a.", "/a.", "", "", 0, true},
		{"/.profile", "/.profile", "", "", 0, true},
		{"/.a.b", "/.a.b", "", "b", 0, true},
		{"//a///b", "/a/b", "", "", 0, true},
		{"/./a/.", "/a/", "", "", 0, true},
		{"/a/..", "/", "", "", 0, true},
		{"/a/b/../c", "/a/c", "", "", 0, true},
		{"/a/b.html/../c", "/a/c", "", "", 0, true},
		{"/a/../../b", "", "", "", 0, false},
		{"/..", "", "", "", 0, false},
		{"/../", "", "", "", 0, false},
		{"/..?x", "", "", "", 0, false},
		{"/..#x", "", "", "", 0, false},
		{"/a/..?x", "/", "x", "", 0, true},
		{"/a/.?x", "/a/", "x", "", 0, true},
		{"/a/..#x?y", "/", "", "", 0, true},
		{"/...", "/...", "", "", 0, true},
		{"/..a", "/..a", "", "", 0, true},
		{"/a//../b", "/b", "", "", 0, true},
		{"/%61%2Fb", "/a/b", "", "", URIQuoted, true},
		{"/a%2f%2e%2E%2fb", "/b", "", "", URIQuoted, true},
		{"/%2e%2e/b", "", "", "", URIQuoted, false},
		{"/a%2ejs", "/a.js", "", "js", URIQuoted, true},
		{"/%25%3f%23", "/%?#", "", "", URIQuoted, true},
		{"/%253f", "/%3f", "", "", URIQuoted, true},
		{"/%3Fa.b", "/?a.b", "", "b", URIQuoted, true},
		{"/a+b%2Bc", "/a+b+c", "", "", URIQuoted | URIPlus, true},
		{"/a+b", "/a+b", "", "", URIPlus, true},
		{"/a?b%zz+/../", "/a", "b%zz+/../", "", 0, true},
		{"/a?b#c", "/a", "b", "", 0, true},
		{"/a?#", "/a", "", "", 0, true},
		{"/a#b?c", "/a", "", "", 0, true},
		{"/%00", "", "", "", URIQuoted, false},
		{"/a%0", "", "", "", URIQuoted, false},
		{"/a%", "", "", "", URIQuoted, false},
		{"/a%?b", "", "", "", URIQuoted, false},
		{"/%g0", "", "", "", URIQuoted, false},
		{"/%0g", "", "", "", URIQuoted, false},
		{"/%u0041", "", "", "", URIQuoted, false},
		{"/%c3%a9\xc3\xa9", "/\xc3\xa9\xc3\xa9", "", "", URIQuoted, true},
		{"/%0d%0a", "/\r\n", "", "", URIQuoted, true},
	} {
		out, uri, args, exten, flags, ok := normalize([]byte("kept"), []byte(c.raw), true)
		if string(uri) != c.uri || string(args) != c.args || string(exten) != c.exten || flags != c.flags || ok != c.ok {
			t.Errorf("%q: %q %q %q %d %v", c.raw, uri, args, exten, flags, ok)
		}
		if !bytes.HasPrefix(out, []byte("kept")) {
			t.Errorf("%q overwrites what was there: %q", c.raw, out)
		}
	}
	for raw, want := range map[string]string{"//a///b": "//a///b", "/a//../b": "/a/b", "//../a": "/a", "/a/.//": "/a//"} {
		if _, uri, _, _, _, ok := normalize(nil, []byte(raw), false); !ok || string(uri) != want {
			t.Errorf("without merging, %q: %q, want %q", raw, uri, want)
		}
	}
}

func TestParseUnsafeURI(t *testing.T) {
	for _, c := range []struct {
		raw, path, args string
		ok              bool
	}{
		{"/a/b?c=d?e", "/a/b", "c=d?e", true}, {"a", "a", "", true}, {"/a%20b?%20", "/a b", "%20", true},
		{"/a?", "/a", "", true}, {"/%3f", "/?", "", true}, {"/a..b/..c", "/a..b/..c", "", true}, {"...", "...", "", true},
		{"", "", "", false}, {"?a", "", "", false}, {"..", "", "", false}, {"../a", "", "", false}, {"/a/..", "", "", false},
		{"/a/../b", "", "", false}, {"/%2e%2e/b", "", "", false}, {"/a\x00", "", "", false}, {"/a%00", "", "", false},
		{"/a?/../\x00", "/a", "/../\x00", true},
	} {
		out, path, args, ok := ParseUnsafeURI([]byte("kept"), []byte(c.raw))
		if string(path) != c.path || string(args) != c.args || ok != c.ok || !bytes.HasPrefix(out, []byte("kept")) {
			t.Errorf("%q: %q %q %v, out %q", c.raw, path, args, ok, out)
		}
	}
}

func TestValidateHost(t *testing.T) {
	for _, c := range []struct {
		host, name string
		port       int
		ok         bool
	}{
		{"a", "a", 0, true}, {"Example.COM:8080", "example.com", 8080, true}, {"a.", "a", 0, true}, {"a.:80", "a", 80, true},
		{"a:", "a", 0, true}, {"a:0", "a", 0, true}, {"a:65535", "a", 65535, true}, {"a:00080", "a", 80, true},
		{"a:65536", "", 0, false}, {"a:99999999999999999999", "", 0, false}, {"a:8x", "", 0, false}, {"a:1:2", "", 0, false},
		{"", "", 0, false}, {".", "", 0, false}, {":80", "", 0, false}, {"a..b", "", 0, false}, {"..", "", 0, false}, {".a", ".a", 0, true},
		{"a_b~!$&'()*+,;=%41", "a_b~!$&'()*+,;=%41", 0, true},
		{"a b", "", 0, false}, {"a/b", "", 0, false}, {"a\\b", "", 0, false}, {"a\x00", "", 0, false}, {"a\tb", "", 0, false},
		{"\xc3\xa9", "", 0, false}, {"a@b", "", 0, false}, {"a#b", "", 0, false}, {"a?b", "", 0, false}, {"a\"b", "", 0, false},
		{"[::1]", "[::1]", 0, true}, {"[::1]:8080", "[::1]", 8080, true}, {"[FE80::1]", "[fe80::1]", 0, true}, {"[v1.a]", "[v1.a]", 0, true},
		{"[::1", "", 0, false}, {"[::1]x", "", 0, false}, {"[::1]:x", "", 0, false}, {"[a..b]", "", 0, false}, {"[%25]", "", 0, false},
		{"[", "", 0, false}, {"a[b]", "", 0, false}, {"]", "", 0, false},
	} {
		name, port, ok := ValidateHost([]byte("kept"), []byte(c.host))
		if string(name) != c.name || ok != c.ok || ok && port != c.port {
			t.Errorf("%q: %q %d %v", c.host, name, port, ok)
		}
	}
}

func TestEscape(t *testing.T) {
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	alnum := "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	high := string(all[0x80:])
	for _, c := range []struct {
		name  string
		e     Escape
		plain string // the bytes that stay, without letters and digits
	}{
		{"uri", EscapeURI, "!$&'()*+,-./:;=@[]_~"},
		{"args", EscapeArgs, "!$'()*,-./:=@[]_~"},
		{"component", EscapeComponent, "-._~"},
		{"html", EscapeHTML, "!$&()*+,-./:;=?@[]_~"},
		{"refresh", EscapeRefresh, "!#$%&()*+,-./:;=?@[]_}"},
		{"memcached", EscapeMemcached, "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~\x7f" + high},
		{"mail auth", EscapeMailAuth, "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~\x7f" + high},
		{"xtext", EscapeMailXtext, "!\"#$%&'()*,-./:;<>?@[\\]^_`{|}~"},
	} {
		var plain []byte
		for _, b := range all {
			if out := AppendEscape(nil, []byte{b}, c.e); len(out) == 1 && out[0] == b {
				plain = append(plain, b)
			} else if want := "%" + strings.ToUpper(string([]byte{lowerHex[b>>4], lowerHex[b&15]})); c.e != EscapeMailXtext && string(out) != want {
				t.Errorf("%s: %#x becomes %q", c.name, b, out)
			}
		}
		want := []byte(alnum + c.plain)
		for _, b := range all {
			if bytes.Contains(plain, []byte{b}) != bytes.Contains(want, []byte{b}) {
				t.Errorf("%s: %q is treated wrongly", c.name, b)
			}
		}
		if got := CountEscape(all, c.e); got != 256-len(want) {
			t.Errorf("%s: counts %d", c.name, got)
		}
	}
	if got := AppendEscape([]byte("kept "), "a+b", EscapeMailXtext); string(got) != "kept a+2Bb" {
		t.Errorf("xtext: %q", got)
	}
	if got := AppendEscapeHTML(nil, `<a href="x">&'`); string(got) != `&lt;a href=&quot;x&quot;&gt;&amp;'` {
		t.Errorf("html text: %q", got)
	}
}

func TestUnescape(t *testing.T) {
	for _, c := range []struct {
		src                string
		all, uri, redirect string
		n                  int // taken by the modes that stop
	}{
		{"abc", "abc", "abc", "abc", 3},
		{"a%20b", "a b", "a b", "a%20b", 5},
		{"%41%7e%7f%25", "A~\x7f%", "A~\x7f%", "A~%7f%25", 12},
		{"a?b%41", "a?bA", "a?", "a?", 2},
		{"a%3fb%41", "a?bA", "a?", "a?", 4},
		{"%", "", "", "", 1}, {"%4", "", "", "", 2},
		{"%zz", "zz", "zz", "zz", 3}, {"%4z!", "!", "!", "!", 4}, {"%%41", "%41", "%41", "%41", 4},
		{"%C3%a9", "\xc3\xa9", "\xc3\xa9", "%C3%a9", 6},
		{"+", "+", "+", "+", 1},
	} {
		for mode, want := range map[Unescape]string{UnescapeAll: c.all, UnescapeURI: c.uri, UnescapeRedirect: c.redirect} {
			taken := c.n
			if mode == UnescapeAll {
				taken = len(c.src)
			}
			if got, n := AppendUnescape([]byte("kept "), c.src, mode); string(got) != "kept "+want || n != taken {
				t.Errorf("%q in mode %d: %q after %d", c.src, mode, got, n)
			}
		}
	}
}

func TestURIAllocatesNothing(t *testing.T) {
	raw := []byte("/a/../b//%63.html?d")
	buf := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		normalize(buf, raw, true)
		ParseUnsafeURI(buf, raw[5:])
		AppendEscape(buf, raw, EscapeURI)
		AppendUnescape(buf, raw, UnescapeAll)
		ValidateHost(buf, raw)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzNormalizeURI(f *testing.F) {
	for _, raw := range []string{"/", "/a/../b", "/%2e%2e/", "//./..//?#", "/a%3fb", "/a.b+c?d#e", "/%zz", "/a/.../%2f"} {
		f.Add([]byte(raw), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, merge bool) {
		if len(raw) == 0 || raw[0] != '/' { // a request line gives no other
			return
		}
		_, uri, args, exten, _, ok := normalize(nil, raw, merge)
		if ok {
			checkNormal(t, raw, uri, args, exten, merge)
		}
		var p RequestParser
		l := Limits{HeaderBuffer: 1 << 20}
		if _, st := p.Parse([]byte("GET "+string(raw)+" HTTP/1.1\r\n\r\n"), &l); st != Done || len(p.Unparsed) != len(raw) {
			return
		}
		_, st := p.DecodeURI(nil, merge)
		if ok != (st == Done) {
			t.Fatalf("%q: alone %v, in a request %s", raw, ok, st)
		}
		if ok && (!bytes.Equal(uri, p.URI) || !bytes.Equal(args, p.Args) || !bytes.Equal(exten, p.Exten)) {
			t.Fatalf("%q: alone %q %q %q, in a request %q %q %q", raw, uri, args, exten, p.URI, p.Args, p.Exten)
		}
	})
}

// normalize is what DecodeURI does to a path that needs it.
func normalize(dst, raw []byte, mergeSlashes bool) (out, uri, args, exten []byte, flags URIFlags, ok bool) {
	u := normalizer{raw: raw, out: dst, base: len(dst), ext: -1, merge: mergeSlashes}
	if !u.run() {
		return dst, nil, nil, nil, u.flags, false
	}
	return u.out, u.path(), u.args, u.exten(), u.flags, true
}

// checkNormal holds a normalised URI to what file access relies on.
func checkNormal(t *testing.T, raw, uri, args, exten []byte, merge bool) {
	switch {
	case len(uri) == 0 || uri[0] != '/':
		t.Fatalf("%q: path %q", raw, uri)
	case bytes.Contains(raw, []byte("%00")) && bytes.IndexByte(uri, 0) >= 0 && bytes.IndexByte(raw, 0) < 0:
		t.Fatalf("%q: NUL in %q", raw, uri)
	case merge && bytes.Contains(uri, []byte("//")):
		t.Fatalf("%q: slashes in %q", raw, uri)
	case !bytes.Contains(raw, args) || !bytes.HasSuffix(uri, exten):
		t.Fatalf("%q: arguments %q, extension %q", raw, args, exten)
	}
	for _, part := range bytes.Split(uri, []byte("/")) {
		if string(part) == "." || string(part) == ".." {
			t.Fatalf("%q: dots in %q", raw, uri)
		}
	}
}
