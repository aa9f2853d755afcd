package grpc

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestMessage(t *testing.T) {
	for _, c := range []struct{ plain, coded string }{
		{"", ""}, {"plain text", "plain text"}, {"100%", "100%25"}, {"\t\ntab", "%09%0Atab"}, {"ü☺", "%C3%BC%E2%98%BA"},
	} {
		if got := string(AppendMessage(nil, c.plain)); got != c.coded {
			t.Errorf("AppendMessage(%q) = %q, want %q", c.plain, got, c.coded)
		}
		if got := Message([]byte(c.coded)); got != c.plain {
			t.Errorf("Message(%q) = %q, want %q", c.coded, got, c.plain)
		}
	}
	for _, bad := range []string{"%", "%4", "%zz", "a%"} {
		if got := Message([]byte(bad)); got != bad {
			t.Errorf("Message(%q) = %q", bad, got)
		}
	}
}

func TestTimeout(t *testing.T) {
	for _, c := range []struct {
		text string
		d    time.Duration
		ok   bool
	}{
		{"1S", time.Second, true}, {"20m", 20 * time.Millisecond, true}, {"99999999H", MaxTimeout, true}, {"5n", 5, true},
		{"2M", 2 * time.Minute, true}, {"7u", 7 * time.Microsecond, true},
		{"", 0, false}, {"S", 0, false}, {"1", 0, false}, {"123456789S", 0, false}, {"-1S", 0, false}, {"1s", 0, false},
	} {
		if d, ok := ParseTimeout([]byte(c.text)); d != c.d || ok != c.ok {
			t.Errorf("ParseTimeout(%q) = %v %v", c.text, d, ok)
		}
	}
	for d, want := range map[time.Duration]string{0: "0n", -5: "0n", 1500: "1500n", time.Second: "1000000u", 100 * time.Second: "100000m", 99999999*time.Nanosecond + 1: "100000u", 1000 * time.Hour: "3600000S"} {
		if got := string(AppendTimeout(nil, d)); got != want {
			t.Errorf("AppendTimeout(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestFrames(t *testing.T) {
	b := AppendFrame(AppendFrame(nil, 0, []byte("one")), Compressed, nil)
	flags, msg, rest, ok := Next(b)
	if flags != 0 || string(msg) != "one" || !ok {
		t.Fatalf("%d %q %v", flags, msg, ok)
	}
	flags, msg, rest, ok = Next(rest)
	if flags != 1 || len(msg) != 0 || len(rest) != 0 || !ok {
		t.Fatalf("%d %q %q %v", flags, msg, rest, ok)
	}
	for i := range 8 {
		if _, _, rest, ok := Next(b[:i]); ok || len(rest) != i {
			t.Errorf("%d bytes are a frame", i)
		}
	}
	if _, _, _, ok := Next([]byte{0, 255, 255, 255, 255, 1}); ok {
		t.Error("a frame of four gigabytes in six bytes")
	}
}

func TestGzip(t *testing.T) {
	msg := []byte(strings.Repeat("text ", 1000))
	z := Gzip(nil, msg)
	if len(z) > 200 {
		t.Errorf("%d bytes", len(z))
	}
	if out, err := Gunzip(z, 5000); err != nil || !bytes.Equal(out, msg) {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	if _, err := Gunzip(z, 4999); err.(*Status).Code != ResourceExhausted {
		t.Error(err)
	}
	for _, bad := range [][]byte{nil, []byte("junk"), z[:len(z)-3]} {
		if _, err := Gunzip(bad, 1<<20); err == nil || err.(*Status).Code != Internal {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestText(t *testing.T) {
	var d TextDecoder
	var out []byte
	text := string(AppendText(AppendText(nil, []byte("ab")), []byte("cdefg")))
	for i := range len(text) {
		var err error
		if out, err = d.Append(out, []byte(text[i:i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if string(out) != "abcdefg" || !d.Complete() {
		t.Errorf("%q", out)
	}
	if _, err := d.Append(nil, []byte("!!!!")); err != ErrText {
		t.Error(err)
	}
}

func TestBinary(t *testing.T) {
	for _, v := range []string{"", "a", "ab", "abc", "\x00\xff"} {
		coded := AppendBinary(nil, []byte(v))
		for _, c := range [][]byte{coded, append(bytes.Clone(coded), "=="...)} {
			if got, err := Binary(c); err != nil || string(got) != v {
				t.Errorf("%q: %q %v", c, got, err)
			}
		}
	}
}

func TestCodes(t *testing.T) {
	for c := OK; c <= Unauthenticated; c++ {
		if p, ok := ParseCode(c.String()); p != c || !ok {
			t.Errorf("%v", c)
		}
	}
	if FromHTTP(404) != Unimplemented || FromHTTP(503) != Unavailable || FromHTTP(418) != Unknown || FromReset(8) != Canceled || FromReset(2) != Internal {
		t.Error("mapping")
	}
	if c, ok := ParseCode("NOPE"); ok || c != Unknown || Code(99).String() != "99" || Code(99).HTTP() != 500 {
		t.Error("unknown codes")
	}
}

func FuzzTextDecoder(f *testing.F) {
	f.Add([]byte("YWI=Y2Q="))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d TextDecoder
		d.Append(nil, b)
		if out, err := Gunzip(b, 1<<16); err == nil && len(out) > 1<<16 {
			t.Error("too much")
		}
		Message(b)
		ParseTimeout(b)
	})
}
