package report

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"
)

func sampleFile() *File {
	return &File{Path: "t/a.t", Blocks: []*Block{
		{Name: "TEST 1: one", Asserts: []Assert{{Name: "status code ok", OK: true}, {Name: "body # of\ntwo lines", OK: true}}, Notes: []string{"odd"}},
		{Name: "TEST 2: two", Asserts: []Assert{{Name: "x", OK: true}, {Name: "status code ok", Diag: "expected: \"200\"\n     got: \"404\""}}},
		{Name: "TEST 3: three", Skip: "not today"},
		{Name: "TEST 4: four", Asserts: []Assert{{Name: "y", Skip: "too old\x01"}}},
	}}
}

func TestTAP(t *testing.T) {
	var b strings.Builder
	f := sampleFile()
	tap := &TAP{W: &b}
	for _, bl := range f.Blocks {
		tap.Block(bl)
	}
	tap.End(f)
	want := `ok 1 - TEST 1: one - status code ok
ok 2 - TEST 1: one - body \# of\ntwo lines
# WARNING: TEST 1: one - odd
ok 3 - TEST 2: two - x
not ok 4 - TEST 2: two - status code ok
#   Failed test 'TEST 2: two'
# expected: "200"
#      got: "404"
ok 5 - TEST 3: three # SKIP not today
ok 6 - TEST 4: four - y # SKIP too old` + "\x01" + `
1..6
# Looks like you failed 1 test of 6.
`
	if b.String() != want {
		t.Error(Diff(want, b.String()))
	}
	var totals Totals
	totals.Add(f)
	if s := totals.String(); s != "1 passed, 1 failed, 2 skipped" {
		t.Error(s)
	}
	b.Reset()
	(&TAP{W: &b, Indent: "    "}).End(&File{Path: "t/b.t", Skip: "no module"})
	(&TAP{W: &b}).End(&File{Path: "t/c.t", Err: errors.New("cannot read")})
	if got := b.String(); got != "    1..0 # SKIP no module\nnot ok 1 - t/c.t\n# cannot read\n1..1\n# Looks like you failed 1 test of 1.\n" {
		t.Errorf("got %q", got)
	}
}

func TestJUnit(t *testing.T) {
	var b strings.Builder
	if err := JUnit(&b, []*File{sampleFile(), {Path: "t/b.t", Skip: "x"}, {Path: "t/c.t", Err: errors.New("bad \xff")}}); err != nil {
		t.Fatal(err)
	}
	var got xmlSuites
	if err := xml.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if got.Tests != 6 || got.Failures != 2 || got.Skipped != 3 || len(got.Suites) != 3 || got.Suites[0].Cases[1].Failure.Message != "status code ok" {
		t.Errorf("got %+v", got)
	}
}

func TestDiff(t *testing.T) {
	for _, c := range [][3]string{
		{"a", "b", "expected: \"a\"\n     got: \"b\""},
		{"a\nb\nc\n", "a\nx\nc\n", "--- expected\n+++ got\n a\n-b\n+x\n c"},
		{"a\r\nb\n", "a\nb", "--- expected\n+++ got\n-a\\r\n-b\n+a\n+b \\ no newline"},
		{"ab\x00c", "ab\x01c", "expected: \"ab\\x00c\"\n     got: \"ab\\x01c\"\nthey differ at byte 2; expected 4 bytes, got 4"},
	} {
		if got := Diff(c[0], c[1]); got != c[2] {
			t.Errorf("%q %q: got\n%s\nwant\n%s", c[0], c[1], got, c[2])
		}
	}
	if d := Diff(strings.Repeat("x", 10000)+"a", strings.Repeat("x", 10000)+"b"); len(d) > 1200 || !strings.Contains(d, "byte 10000") {
		t.Errorf("got %d bytes: %s", len(d), d)
	}
}

func TestTail(t *testing.T) {
	if got := Tail([]string{"1 [error] a\n", "2 [debug] b\n", "3 [warn] c\n"}, 2); got != "  1 [error] a\n  3 [warn] c" {
		t.Errorf("got %q", got)
	}
}
