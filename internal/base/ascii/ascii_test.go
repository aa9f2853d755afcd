package ascii

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestFolding(t *testing.T) {
	for i := range 256 {
		c := byte(i)
		want := c
		if c >= 'A' && c <= 'Z' {
			want = c + 32
		}
		if Lower(c) != want {
			t.Errorf("Lower(%#x) = %#x", c, Lower(c))
		}
		if got := IsDigit(c); got != (c >= '0' && c <= '9') {
			t.Errorf("IsDigit(%#x) = %v", c, got)
		}
		if got := IsAlpha(c); got != (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			t.Errorf("IsAlpha(%#x) = %v", c, got)
		}
		v, ok := Hex(c)
		if want := strings.IndexByte("0123456789abcdef", Lower(c)); ok != (want >= 0) || ok && int(v) != want {
			t.Errorf("Hex(%#x) = %d %v", c, v, ok)
		}
	}
	if !EqualFold("Keep-Alive", []byte("kEEP-aLIVE")) || EqualFold("a", "ab") || EqualFold("[", "{") {
		t.Error("EqualFold")
	}
	if !HasPrefixFold("Bytes=0-1", "bytes=") || HasPrefixFold("by", "bytes=") {
		t.Error("HasPrefixFold")
	}
	if got := AppendLower([]byte("x"), "AbC"); string(got) != "xabc" {
		t.Errorf("AppendLower = %q", got)
	}
	b := []byte("AbC[")
	if LowerInPlace(b); string(b) != "abc[" {
		t.Errorf("LowerInPlace = %q", b)
	}
}

func TestIndexFold(t *testing.T) {
	for _, c := range []struct {
		s, sub string
		want   int
	}{
		{"keep-alive, Close", "close", 12}, {"clos", "close", -1}, {"", "a", -1},
		{"aaab", "AAB", 1}, {"abc", "", 0}, {"x", "x", 0},
	} {
		if got := IndexFold(c.s, c.sub); got != c.want {
			t.Errorf("IndexFold(%q, %q) = %d, want %d", c.s, c.sub, got, c.want)
		}
		if got := ContainsFold(c.s, c.sub); got != (c.want >= 0) {
			t.Errorf("ContainsFold(%q, %q) = %v", c.s, c.sub, got)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		s    string
		want int64
		ok   bool
	}{
		{"0", 0, true}, {"0042", 42, true}, {"9223372036854775807", math.MaxInt64, true},
		{"9223372036854775808", 0, false}, {"99999999999999999999", 0, false},
		{"", 0, false}, {"-1", 0, false}, {"+1", 0, false}, {" 1", 0, false}, {"1a", 0, false}, {"1\x00", 0, false},
	} {
		if got, ok := ParseInt(c.s); ok != c.ok || ok && got != c.want {
			t.Errorf("ParseInt(%q) = %d %v", c.s, got, ok)
		}
	}
	for _, n := range []uint64{0, 9, 10, 15, 16, 255, 4096, math.MaxUint64} {
		if got := AppendHex(nil, n); string(got) != fmt.Sprintf("%x", n) {
			t.Errorf("AppendHex(%d) = %q", n, got)
		}
		for _, width := range []int{0, 2, 4} {
			if got := AppendPadded(nil, n, width); string(got) != fmt.Sprintf("%0*d", width, n) {
				t.Errorf("AppendPadded(%d, %d) = %q", n, width, got)
			}
		}
	}
	if got := AppendHexByte([]byte{'%'}, 0xaf); !bytes.Equal(got, []byte("%AF")) {
		t.Errorf("AppendHexByte = %q", got)
	}
}
