package socket

import (
	"bytes"
	"testing"
)

// feed gives in to a pattern's scan in pieces of the given size, as the iterator without a limit does.
func feed(text, in []byte, piece int) (before []byte, found bool) {
	p := &pattern{text: text, back: borders(text)}
	data := 0
	for end := 0; end < len(in); {
		end = min(end+piece, len(in))
		n, ok := p.scan(in[:end], data, 0)
		if ok {
			return in[:n-len(text)], true
		}
		if n+p.state != end {
			panic("scan has stopped early")
		}
		data = n
	}
	return in[:data], false
}

func TestScan(t *testing.T) {
	for _, c := range []struct{ text, in string }{
		{"--abc", "hello, world ----abc"}, {"--abc", "--a--ab--abc"}, {"aa", "abaabaa"}, {"abcabd", "abcabcabd"},
		{"abaababaab", "abaabaababaababaab"}, {"\r\n", "a\rb\r\r\nc"}, {"x", "x"}, {"ab", "aaab"}, {"abc", "ab"},
	} {
		for piece := 1; piece <= len(c.in); piece++ {
			want, _, ok := bytes.Cut([]byte(c.in), []byte(c.text))
			got, found := feed([]byte(c.text), []byte(c.in), piece)
			if found != ok || ok && !bytes.Equal(got, want) {
				t.Errorf("%q in %q by %d: %q %v, want %q %v", c.text, c.in, piece, got, found, want, ok)
			}
		}
	}
}

func TestScanLimit(t *testing.T) {
	text, in := []byte("--abc"), []byte("hello--a--abcrest")
	p := &pattern{text: text, back: borders(text)}
	var out []byte
	for rest, pieces := in, 0; ; pieces++ {
		n, found := p.scan(rest, 0, 2)
		if found {
			out = append(out, rest[:n-len(text)]...)
			if rest = rest[n:]; string(out) != "hello--a" || string(rest) != "rest" || pieces < 3 {
				t.Errorf("%q, %q left, %d pieces", out, rest, pieces)
			}
			return
		}
		if n < 2 {
			t.Fatalf("a piece of %d bytes, %q so far", n, out)
		}
		out, rest = append(out, rest[:n]...), rest[n:]
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("--abc"), []byte("x----abcy"), 3)
	f.Add([]byte("aab"), []byte("aaaab"), 1)
	f.Fuzz(func(t *testing.T, text, in []byte, piece int) {
		if len(text) == 0 || piece <= 0 {
			return
		}
		want, _, ok := bytes.Cut(in, text)
		got, found := feed(text, in, piece)
		if found != ok || ok && !bytes.Equal(got, want) {
			t.Errorf("%q in %q: %q %v", text, in, got, found)
		}
	})
}

func TestPeer(t *testing.T) {
	for _, c := range []struct {
		host string
		port int
		want string
	}{
		{"127.0.0.1", 80, "127.0.0.1:80(127.0.0.1)"}, {"127.0.0.1:81", 80, "127.0.0.1:81(127.0.0.1)"}, {"[::1]", 80, "::1:80(::1)"},
		{"unix:/a/b", 80, "unix:/a/b(unix:/a/b)"}, {"name", 80, "name:80"},
		{"", 80, "no host"}, {"a/b", 80, "invalid host"}, {"a:x", 80, "invalid port"}, {"[::1", 80, "invalid host"}, {"unix:", 0, "no path in the unix domain socket"},
	} {
		var p peer
		got := ""
		if err := p.parse(c.host, c.port); err != nil {
			got = err.Error()
		} else {
			got = string(p.append(nil))
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.host, got, c.want)
		}
	}
}
