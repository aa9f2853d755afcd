package blocks

import (
	"strings"
	"testing"

	"moongate/internal/testkit/perl"
)

const sample = `use Some::Thing;
run_tests();
__DATA__

=== TEST 1: plain
Words about it.

--- config
    location = /t {
        return 200;
    }

--- request
    GET /t
--- response_body chomp
hello

--- error_code: 200
--- skip_eval: 3:$ENV{X} ? 1 : 0
--- more_headers eval: "A: b"
--- (odd)
x
--- empty

=== TEST 2: no newline at the end
--- SKIP
--- response_body
a
----
b`

func TestParse(t *testing.T) {
	f, err := Parse("a.t", sample)
	if err != nil {
		t.Fatal(err)
	}
	if f.Prelude != "use Some::Thing;\nrun_tests();\n" || len(f.Blocks) != 2 {
		t.Fatalf("prelude %q, %d blocks", f.Prelude, len(f.Blocks))
	}
	b := f.Blocks[0]
	if b.Name != "TEST 1: plain" || b.Description != "Words about it." || b.Line != 5 {
		t.Errorf("block: %+v", b)
	}
	for name, want := range map[string]string{
		"config":        "    location = /t {\n        return 200;\n    }\n",
		"request":       "    GET /t\n",
		"response_body": "hello",
		"error_code":    "200",
		"skip_eval":     "3:$ENV{X} ? 1 : 0",
		"more_headers":  "A: b",
		"odd":           "x\n",
		"empty":         "",
	} {
		s, ok := b.Get(name)
		v, err := s.Value(perl.New("."), "a.t")
		if !ok || err != nil || perl.String(v) != want {
			t.Errorf("%s: got %q (%v, %v), want %q", name, v, ok, err, want)
		}
	}
	if s, _ := f.Blocks[1].Get("response_body"); s.Raw != "a\n----\nb\n" {
		t.Errorf("last section: %q", s.Raw)
	}
	if s, _ := b.Get("request"); s.Line != 14 {
		t.Errorf("request begins in line %d", s.Line)
	}
}

func TestParseWithoutPrelude(t *testing.T) {
	f, err := Parse("a.t", "# a comment\n\n=== one\n--- a\n1\n=== two\n--- a\n2\n")
	if err != nil || f.Prelude != "" || len(f.Blocks) != 2 || f.Blocks[1].Name != "two" {
		t.Errorf("got %+v, %v", f, err)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "a.t:0: no test blocks",
		"use X;\n":                      "no test blocks",
		"=== x\n--- a: 1\nmore\n":       "a.t:2: extra lines",
		"=== x\n--- a: 1\n\n--- b\n2\n": "",
	} {
		_, err := Parse("a.t", text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestFilters(t *testing.T) {
	for _, c := range []struct{ filters, raw, want string }{
		{"", "\n  \n a\r\nb\n\n  \n", " a\nb\n"},
		{"-trim", "\na\n\n", "\na\n\n"},
		{"chomp", "a\nb\n", "a\nb"},
		{"chop", "ab\n", "ab"},
		{"eval", `"a\r\n"`, "a\r\n"},
		{"eval chomp", `"a\n"`, "a"},
		{"+eval chomp", "1 + 1\n", "2"},
		{"lines reverse join", "1\n2\n3\n", "3\n2\n1\n"},
		{"split=, join=-", "a,b,c", "a-b-c"},
		{"lines tail=2 join", "1\n2\n3\n", "2\n3\n"},
		{"quote", "a\"b", `"a\"b"`},
		{"base64_encode", "hello", "aGVsbG8=\n"},
		{"base64_decode", "aGVs bG8=\n", "hello"},
		{"regexp", "a.b\n", "(?^:a.b)"},
		{"regexp=i", "a.b\n", "(?^i:a.b)"},
		{"append=\\n", "a", "a\n"},
	} {
		s := Section{Name: "x", Filters: strings.Fields(c.filters), Raw: c.raw}
		v, err := s.Value(perl.New("."), "a.t")
		if err != nil || perl.String(v) != c.want {
			t.Errorf("%q on %q: got %q (%v), want %q", c.filters, c.raw, v, err, c.want)
		}
	}
	s := Section{Name: "x", Filters: []string{"frobnicate"}}
	if _, err := s.Value(perl.New("."), "a.t"); err == nil || !strings.Contains(err.Error(), `unknown filter "frobnicate"`) {
		t.Errorf("got %v", err)
	}
}

func TestSelect(t *testing.T) {
	names := func(text string) string {
		f, err := Parse("a.t", text)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, b := range Select(f.Blocks) {
			out = append(out, b.Name)
		}
		return strings.Join(out, " ")
	}
	for text, want := range map[string]string{
		"=== a\n=== b\n--- SKIP\n=== c\n":                     "a c",
		"=== a\n=== b\n--- ONLY\n=== c\n":                     "b",
		"=== a\n--- LAST\n=== b\n":                            "a",
		"=== a\n--- SKIP\n--- LAST\n=== b\n=== c\n--- LAST\n": "b c",
	} {
		if got := names(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("f.t", text)
		if err == nil && len(file.Blocks) == 0 {
			t.Error("no blocks and no error")
		}
	})
}
