// Package report holds what a test run found and writes it: TAP for prove, JUnit
// XML for build servers, and the differences between expected and got text.
package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Assert is one checked statement about a block.
type Assert struct {
	Name string
	OK   bool
	Skip string // why it was not checked
	Diag string // what went wrong, several lines
}

// Block is the outcome of one test block.
type Block struct {
	Name    string
	Place   string // file and line of its first line; may be empty
	Asserts []Assert
	Notes   []string // warnings that fail nothing
	Skip    string   // why the whole block did not run
	Time    time.Duration
}

// Status of a block or a file.
type Status int

// A block passes when nothing failed and something was checked.
const (
	Pass Status = iota
	Fail
	Skipped
)

func (s Status) String() string { return [...]string{"pass", "fail", "skip"}[s] }

// Status sums up the asserts.
func (b *Block) Status() Status {
	checked := false
	for _, a := range b.Asserts {
		if a.Skip == "" {
			checked = true
			if !a.OK {
				return Fail
			}
		}
	}
	if b.Skip != "" || !checked && len(b.Asserts) > 0 {
		return Skipped
	}
	return Pass
}

// File is the outcome of one test file.
type File struct {
	Path   string
	Blocks []*Block
	Skip   string // the file's plan said skip_all
	Err    error  // the file could not be run
}

// Totals counts blocks.
type Totals struct{ Passed, Failed, Skipped int }

// Add counts a file's blocks; a file that could not be run is one failure.
func (t *Totals) Add(f *File) {
	if f.Err != nil {
		t.Failed++
	}
	if f.Skip != "" {
		t.Skipped++
	}
	for _, b := range f.Blocks {
		switch b.Status() {
		case Pass:
			t.Passed++
		case Fail:
			t.Failed++
		default:
			t.Skipped++
		}
	}
}

// String is the summary line.
func (t Totals) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.Passed, t.Failed, t.Skipped)
}

// TAP writes the test lines of one file. Indent shifts them, as a subtest's.
type TAP struct {
	W      io.Writer
	Indent string
	Quiet  bool // failures only; the stream is no complete TAP then
	n      int
	failed int
}

func (t *TAP) line(format string, args ...any) {
	fmt.Fprintf(t.W, "%s"+format+"\n", append([]any{t.Indent}, args...)...)
}

func (t *TAP) diag(text string) {
	for _, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		t.line("# %s", l)
	}
}

// clean makes a text fit for one TAP line.
func clean(s string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`, "#", `\#`).Replace(strings.TrimRight(s, "\n"))
}

// Block writes one block's lines.
func (t *TAP) Block(b *Block) {
	if b.Skip != "" && len(b.Asserts) == 0 {
		b = &Block{Name: b.Name, Asserts: []Assert{{Skip: b.Skip}}}
	}
	for _, a := range b.Asserts {
		t.n++
		name := clean(b.Name)
		if a.Name != "" {
			name += " - " + clean(a.Name)
		}
		switch {
		case a.Skip != "":
			if !t.Quiet {
				t.line("ok %d - %s # SKIP %s", t.n, name, clean(a.Skip))
			}
		case a.OK:
			if !t.Quiet {
				t.line("ok %d - %s", t.n, name)
			}
		default:
			t.failed++
			t.line("not ok %d - %s", t.n, name)
			t.diag("  Failed test '" + b.Name + "'" + nonEmpty(" at ", b.Place) + nonEmpty("\n", a.Diag))
		}
	}
	if !t.Quiet {
		for _, n := range b.Notes {
			t.diag("WARNING: " + b.Name + " - " + n)
		}
	}
}

func nonEmpty(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

// End writes the plan.
func (t *TAP) End(f *File) {
	switch {
	case f.Err != nil:
		t.n++
		t.failed++
		t.line("not ok %d - %s", t.n, clean(f.Path))
		t.diag(f.Err.Error())
	case f.Skip != "" && !t.Quiet:
		t.line("1..0 # SKIP %s", clean(f.Skip))
		return
	}
	if t.Quiet {
		return
	}
	t.line("1..%d", t.n)
	if t.failed > 0 {
		t.line("# Looks like you failed %d test%s of %d.", t.failed, plural(t.failed), t.n)
	}
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
