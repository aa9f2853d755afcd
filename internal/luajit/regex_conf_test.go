package luajit

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
)

func TestCompileRegexErrors(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{"(", `pcre2_compile() failed: missing closing parenthesis in "("`},
		{"a)b", `pcre2_compile() failed: unmatched closing parenthesis in "a)b" at ")b"`},
		{"[z-a]", `pcre2_compile() failed: range out of order in character class in "[z-a]" at "a]"`},
		{"*", `pcre2_compile() failed: quantifier does not follow a repeatable item in "*" at "*"`},
	} {
		if _, err := CompileRegex(c.pattern, false); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.pattern, err, c.want)
		}
	}
}

func mustRegex(t testing.TB, pattern string, caseless bool) *Regex {
	t.Helper()
	r, err := CompileRegex(pattern, caseless)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegexConfMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		caseless         bool
		n                int
		ov               []int32
	}{
		{`^/(\w+)/(?<id>\d+)$`, "/user/42", false, 3, []int32{0, 8, 1, 5, 6, 8}},
		{`^/(\w+)/(?<id>\d+)$`, "/user/x", false, RegexNoMatch, nil},
		{`(a)|(b)`, "b", false, 3, []int32{0, 1, -1, -1, 0, 1}},
		{`(a)|(b)`, "a", false, 2, []int32{0, 1, 0, 1, -1, -1}},
		{`FOO+`, "xfoooy", true, 1, []int32{1, 5, -9, -9}},
		{`\.php$`, "/a/b.php", false, 1, []int32{4, 8}},
		{`\.php$`, "/a/b.php\n", false, 1, []int32{4, 8}},
		{`\.PHP$`, "/a/b.PhP", true, 1, []int32{4, 8}},
		{`\.(gif|jpg)$`, "/a.jpg", false, 2, []int32{2, 6, 3, 6}},
		{`\.(?:gif|jpg)$`, "/a.jpg", false, 1, []int32{2, 6}},
		{`^/static/`, "/static/x", false, 1, []int32{0, 8}},
		{`^/static/`, "x/static/", false, RegexNoMatch, nil},
		{``, "", false, 1, []int32{0, 0}},
		{`.*`, "", false, 1, []int32{0, 0}},
	} {
		r := mustRegex(t, c.pattern, c.caseless)
		ov := []int32{-9, -9, -9, -9, -9, -9}
		n := r.Match([]byte(c.subject), ov)
		if n != c.n || n > 0 && !slices.Equal(ov[:len(c.ov)], c.ov) {
			t.Errorf("%s on %q: got %d %v, want %d %v", c.pattern, c.subject, n, ov, c.n, c.ov)
		}
		if r.MatchString(c.subject, nil) != c.n {
			t.Errorf("%s on %q: a different result without room", c.pattern, c.subject)
		}
	}
}

func TestRegexConfNames(t *testing.T) {
	r := mustRegex(t, `(?<user>\w+)(-)(?<id>\d+)`, false)
	if r.NumCaptures() != 3 || !slices.Equal(r.Names(), []RegexName{{"id", 3}, {"user", 1}}) {
		t.Errorf("got %d %v", r.NumCaptures(), r.Names())
	}
	if r.String() != `(?<user>\w+)(-)(?<id>\d+)` {
		t.Errorf("pattern %q", r.String())
	}
}

// What is too deep for the machine code's stack is matched all the same; a runaway pattern ends with an error.
func TestRegexConfLimits(t *testing.T) {
	subject := bytes.Repeat([]byte("(xxx"), 400)
	subject = append(subject, bytes.Repeat([]byte(")"), 400)...)
	if n := mustRegex(t, `\((?:[^()]|(?R))*\)`, false).Match(subject, nil); n != 1 {
		t.Errorf("deep: got %d", n)
	}
	if n := mustRegex(t, `(a+)+[bd]`, false).Match([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"), nil); n != -47 {
		t.Errorf("runaway: got %d", n)
	}
}

func TestRegexConfConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	small, big := mustRegex(t, `(\d+)-(\d+)`, false), mustRegex(t, `^`+string(bytes.Repeat([]byte("(.)"), 60)), false)
	for g := range 8 {
		wg.Go(func() {
			ov := make([]int32, 122)
			for i := range 2000 {
				s := fmt.Sprintf("x%d-%d", g*10000, i)
				dash := int32(bytes.IndexByte([]byte(s), '-'))
				if n := small.Match([]byte(s), ov); n != 3 || ov[2] != 1 || ov[3] != dash || ov[5] != int32(len(s)) {
					t.Errorf("%s: %d %v", s, n, ov[:6])
					return
				}
				if n := big.Match(bytes.Repeat([]byte(s), 20), ov); n != 61 || ov[120] != 59 {
					t.Errorf("%s: %d", s, n)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestRegexConfNoAlloc(t *testing.T) {
	for _, p := range []string{`^/(\w+)/(\d+)$`, `\.php$`, `\.(gif|jpg)$`} {
		r := mustRegex(t, p, false)
		subject := []byte("/user/42/x.jpg")
		if n := testing.AllocsPerRun(100, func() {
			var ov [6]int32
			r.Match(subject, ov[:])
		}); n != 0 {
			t.Errorf("%s: %v allocations", p, n)
		}
	}
}

func TestLiteralRegexRecognized(t *testing.T) {
	for _, c := range []struct {
		pattern string
		fold    bool
		want    bool
	}{
		{`\.php$`, false, true}, {`\.php$`, true, true}, {`^/api/`, false, true}, {`^/api$`, false, true},
		{`^/(?:a|b)/c$`, false, true}, {`\.(js|css)$`, true, true}, {`foo`, false, true}, {``, false, true},
		{`^`, true, true}, {`$`, false, true}, {`^(a|)$`, false, true}, {`/\-\_`, false, true},
		{`foo`, true, false}, {`a|b`, false, false}, {`(a|b)`, false, false}, {`\.ph.$`, false, false},
		{`\d$`, false, false}, {`^a+$`, false, false}, {`^(a|b)+$`, false, false}, {`^(a(b))$`, false, false},
		{`^(?i:a)$`, false, false}, {`^(?<n>a)$`, false, false}, {`a\$`, false, true}, {`a$$`, false, false},
		{`a\`, false, false}, {`^a{2}$`, false, false}, {`(*UTF)a$`, false, false}, {`^a$b`, false, false},
		{`^^a`, false, false}, {"^a\n", false, false}, {`^(a|b$)`, false, false}, {`\A`, false, false},
	} {
		if got := parseLiteralRegex(c.pattern, c.fold) != nil; got != c.want {
			t.Errorf("%s (fold %v): %v", c.pattern, c.fold, got)
		}
	}
}

// FuzzLiteralRegex compares the two ways of matching wherever both exist.
func FuzzLiteralRegex(f *testing.F) {
	for _, p := range []string{`\.php$`, `^/a(b|bc|)c$`, `(aa|a|)$`, `^(?:x|xy)y`, `ab`, `$`, `^`, `\.(JPG|png)$`, `(a|A)$`} {
		for _, s := range []string{"", "\n", "a.php", "a.php\n", "/abcc", "/abc\n", "xyy", "aaa", "aaa\n\n", "xab", "b.jpg"} {
			f.Add(p, s, false)
			f.Add(p, s, true)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, subject string, caseless bool) {
		r, err := CompileRegex(pattern, caseless)
		if err != nil || r.lit == nil {
			return
		}
		a, b := make([]int32, 4), make([]int32, 4)
		n, m := r.lit.match([]byte(subject), a), r.matchC([]byte(subject), b)
		if n != m || n > 0 && !slices.Equal(a, b) && !(r.ncap == 0 && slices.Equal(a[:2], b[:2])) {
			t.Errorf("%q on %q (caseless %v): %d %v, PCRE2 %d %v", pattern, subject, caseless, n, a, m, b)
		}
	})
}

func BenchmarkRegexConf(b *testing.B) {
	subject := []byte("/user/profile/42/avatar.jpg")
	for _, p := range []string{`\.(gif|jpg)$`, `^/(\w+)/(\w+)/(\d+)/`, `^/x(\w+)`} {
		r := mustRegex(b, p, false)
		b.Run(p, func(b *testing.B) {
			var ov [8]int32
			for b.Loop() {
				r.Match(subject, ov[:])
			}
		})
	}
}
