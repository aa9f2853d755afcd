package pattern

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	for _, c := range []struct {
		re, flags, text string
		want            string // the match and its captures joined by "|", "-" for none, "" for no match
	}{
		{`abc`, "", "xabcx", "abc"},
		{`a.c`, "", "a\nc", ""},
		{`a.c`, "s", "a\nc", "a\nc"},
		{`^b`, "", "a\nb", ""},
		{`^b`, "m", "a\nb", "b"},
		{`a$`, "", "a\n", "a"},
		{`a\z`, "", "a\n", ""},
		{`a\Z`, "", "a\n", "a"},
		{`a$`, "m", "a\nb", "a"},
		{`ABC`, "i", "xabc", "abc"},
		{`[a-c]+`, "i", "xABCd", "ABC"},
		{`[^a-c]+`, "", "abxyc", "xy"},
		{`[]x]+`, "", "a]x]", "]x]"},
		{`[\]\\-]+`, "", `a]\-`, `]\-`},
		{`[\d-x]+`, "", "a1-x", "1-x"},
		{`[[:digit:][:upper:]]+`, "", "a1B2c", "1B2"},
		{`(a+)(b*)`, "", "xaab", "aab|aa|b"},
		{`(a)|(b)`, "", "b", "b|-|b"},
		{`(?:ab)+`, "", "ababx", "abab"},
		{`(ab){2,}`, "", "abababx", "ababab|ab"},
		{`(ab){2}?`, "", "ababab", "abab|ab"},
		{`a{,2}b`, "", "aaab", "aab"},
		{`a{x}`, "", "a{x}", "a{x}"},
		{`.*?b`, "", "aabab", "aab"},
		{`<(.+)>`, "", "<a><b>", "<a><b>|a><b"},
		{`<(.+?)>`, "", "<a><b>", "<a>|a"},
		{`rewrite .+?(?= while )`, "", "x rewrite a b while c", "rewrite a b"},
		{`foo(?!bar)\w`, "", "foobar foox", "foox"},
		{`(?<=a)b`, "", "bab", "b"},
		{`(?<!a)b`, "", "abxb", "b"},
		{`(\w)\1`, "", "abccd", "cc|c"},
		{`(?<x>\w)-\k<x>`, "", "a-b c-c", "c-c|c"},
		{`a++b`, "", "aab", "aab"},
		{`a++ab`, "", "aaab", ""},
		{`(?>a*)ab`, "", "aaab", ""},
		{`(?i)foo`, "", "FOO", "FOO"},
		{`(?i:F)oo`, "", "foo", "foo"},
		{`(?i:F)oo`, "", "fOO", ""},
		{`(?^:a.b)`, "s", "a\nb", ""},
		{`(?^s:a.b)`, "", "a\nb", "a\nb"},
		{"a b # note\n c", "x", "abc", "abc"},
		{`a(?#note)b`, "", "ab", "ab"},
		{`\bfoo\b`, "", "afoo foo", "foo"},
		{`\x41\x{42}\103\t`, "", "ABC\t", "ABC\t"},
		{`\0`, "", "a\x00b", "\x00"},
		{`\xff`, "", "\xff", "\xff"},
		{`\x{4e2d}`, "", "a中", "中"},
		{"^ab中文$", "i", "AB中文", "AB中文"},
		{`[^[:ascii:]]+`, "", "a中b", "中"},
		{`(a*)*b`, "", "aab", "aab|aa"},
		{`(a|ab)(c|bcd)(d*)`, "", "abcd", "abcd|a|bcd|"},
		{`(?:a|b)*?c`, "", "ababc", "ababc"},
		{`((a)|b)+`, "", "ab", "ab|b|a"},
		{`x*`, "", "aaa", ""},
		{`\[error\] .*? \S+: failed`, "", "1 [error] 2#3: b c: failed", "[error] 2#3: b c: failed"},
		{`a\.b\/c`, "", "a.b/c", "a.b/c"},
		{`\h+\N+`, "", "a \tb\nc", " \tb"},
		{`\R`, "", "a\r\nb", "\r\n"},
		{`[\s\S]+\z`, "", "a\nb\n", "a\nb\n"},
		{`(?:.*\r\n)*?x`, "", "a\r\nb\r\nx", "a\r\nb\r\nx"},
		{`(foo){0}bar`, "", "foobar", "bar|-"},
		{`^a|b`, "", "xb", "b"},
		{`ab*`, "", "xa", "a"},
	} {
		re, err := Compile(c.re, c.flags)
		if err != nil {
			t.Errorf("%q: %v", c.re, err)
			continue
		}
		var got []string
		m := re.Find(c.text, 0)
		for i := 0; i+1 < len(m); i += 2 {
			if m[i] < 0 {
				got = append(got, "-")
			} else {
				got = append(got, c.text[m[i]:m[i+1]])
			}
		}
		if g := strings.Join(got, "|"); g != c.want {
			t.Errorf("%q on %q: got %q, want %q", c.re, c.text, g, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, src := range []string{`(`, `)`, `[a`, `*a`, `a\`, `(?q)`, `[b-a]`, `[[:nope:]]`, `(?<x`, `\k<y>`, `\x{41`} {
		if re, err := Compile(src, ""); err == nil {
			t.Errorf("%q compiled to %v", src, re)
		}
	}
	if _, err := Compile("a", "q"); err == nil {
		t.Error("modifier q was accepted")
	}
}

func TestStringNests(t *testing.T) {
	inner := MustCompile("a.b", "s")
	outer := MustCompile("x"+inner.String()+".", "")
	if !outer.Match("xa\nbz") || outer.Match("xa\nb\n") {
		t.Error("modifiers of the inner pattern leak or are lost")
	}
}

func TestCatastropheEnds(t *testing.T) {
	if MustCompile(`(a+)+$`, "").Match(strings.Repeat("a", 40) + "b") {
		t.Error("matched")
	}
}

func TestQuote(t *testing.T) {
	if got := Quote("a.b_c 1"); got != `a\.b_c\ 1` {
		t.Errorf("got %q", got)
	}
}

// FuzzAgainstGo compares with Go's regexp where both mean the same, and checks
// that nothing panics otherwise.
func FuzzAgainstGo(f *testing.F) {
	for _, s := range []string{"a(b|c)*d", "[a-c]+?x", "(a)(b)?", "^a|b$", "a{2,3}", `\w+\s\d`} {
		f.Add(s, "abcd aab 12")
	}
	plain := regexp.MustCompile(`^[a-c.()|*+?\[\]^$]{0,12}$`)
	f.Fuzz(func(t *testing.T, src, text string) {
		if len(src) > 40 || len(text) > 100 {
			return
		}
		re, err := Compile(src, "")
		if err != nil {
			return
		}
		m := re.Find(text, 0)
		g, gerr := regexp.Compile(src)
		// Empty loops and $ before a final newline differ by design.
		if gerr != nil || !plain.MatchString(src) || strings.ContainsAny(text, "\n") || !isASCII(text) || strings.Contains(src, "*)*") {
			return
		}
		if got, want := m != nil, g.MatchString(text); got != want {
			t.Errorf("%q on %q: got %v, Go says %v", src, text, got, want)
		}
	})
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// TestAgainstPerl holds the table's cases against perl itself where it is
// installed.
func TestAgainstPerl(t *testing.T) {
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("perl, which the patterns are compared with, is not installed")
	}
	for _, c := range [][2]string{{`(a|ab)(c|bcd)(d*)`, "abcd"}, {`((a)|b)+`, "ab"}, {`(?:x|(y))*`, "yx"}, {`(a*)+`, "b"},
		{`(a*?)+?b`, "aab"}, {`(?=(a+))a`, "aaa"}, {`^(?:(\d+)|(\w+))*$`, "12ab"}} {
		out, err := exec.Command(perl, "-e",
			`my ($re, $t) = @ARGV; if ($t =~ /$re/) { print join "|", $&, map { defined ? $_ : "-" } map { eval "\$$_" } 1 .. $#+ }`,
			c[0], c[1]).Output()
		if err != nil {
			t.Fatal(err)
		}
		m := MustCompile(c[0], "").Find(c[1], 0)
		var got []string
		for i := 0; i+1 < len(m); i += 2 {
			if m[i] < 0 {
				got = append(got, "-")
			} else {
				got = append(got, c[1][m[i]:m[i+1]])
			}
		}
		want := string(out)
		for len(got) > strings.Count(want, "|")+1 && got[len(got)-1] == "-" {
			got = got[:len(got)-1] // $#+ counts the groups that took part
		}
		if g := strings.Join(got, "|"); g != want {
			t.Errorf("%q on %q: got %q, perl says %q", c[0], c[1], g, want)
		}
	}
}
