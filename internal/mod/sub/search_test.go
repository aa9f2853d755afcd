package sub

import (
	"bytes"
	"testing"
)

func searcherOf(words ...string) *searcher {
	s := &searcher{}
	for i, w := range words {
		s.words = append(s.words, word{[]byte(w), i})
	}
	s.prepare()
	return s
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		words []string
		text  string
		at    int
		word  string // "": none, or not yet
	}{
		{[]string{"abc"}, "xxabcxx", 2, "abc"},
		{[]string{"abc"}, "xxABcxx", 2, "abc"},
		{[]string{"abc"}, "xxabxab", 5, ""},
		{[]string{"abc"}, "xxabxx", 6, ""},
		{[]string{"abc"}, "", 0, ""},
		{[]string{"a"}, "xA", 1, "a"},
		{[]string{"abcd", "bc"}, "xabcd", 1, "abcd"},
		{[]string{"bc", "abcd"}, "xabcx", 2, "bc"},
		{[]string{"bc", "abcd"}, "xabc", 1, ""},
		{[]string{"abcd", "ab"}, "abc", 0, ""},
		{[]string{"ab", "abcd"}, "abc", 0, "ab"},
		{[]string{"\xff\xfe"}, "a\xff\xfe", 1, "\xff\xfe"},
	} {
		s := searcherOf(c.words...)
		at, which := s.find([]byte(c.text), nil)
		got := ""
		if which >= 0 {
			got = string(s.words[which].text)
		}
		if at != c.at || got != c.word {
			t.Errorf("%q in %q: %d %q, want %d %q", c.words, c.text, at, got, c.at, c.word)
		}
	}
}

// FuzzFind compares with looking at each place.
func FuzzFind(f *testing.F) {
	f.Add("ab", "abc", "xxAbcab")
	f.Add("a", "aaa", "baAab")
	f.Fuzz(func(t *testing.T, one, two, text string) {
		if one == "" || two == "" || len(one) > 300 || len(two) > 300 {
			return
		}
		lower := func(s string) string { return string(lowered([]byte(s))) }
		one, two = lower(one), lower(two)
		s := searcherOf(one, two)
		at, which := s.find([]byte(text), nil)
		got := "?"
		if which >= 0 {
			got = string(s.words[which].text)
		}
		wantAt, want := len(text), "?"
		low := []byte(lower(text))
	look:
		for i := range low {
			for _, w := range []string{one, two} {
				n := min(len(w), len(low)-i)
				if bytes.Equal(low[i:i+n], []byte(w[:n])) {
					wantAt = i
					if n == len(w) {
						want = w
					}
					break look
				}
			}
		}
		if at != wantAt || got != want {
			t.Errorf("%q, %q in %q: %d %q, want %d %q", one, two, text, at, got, wantAt, want)
		}
	})
}

func lowered(b []byte) []byte {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return b
}
