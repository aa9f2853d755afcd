package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

type xmlSuites struct {
	XMLName  xml.Name   `xml:"testsuites"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Suites   []xmlSuite `xml:"testsuite"`
}

type xmlSuite struct {
	Name     string    `xml:"name,attr"`
	Tests    int       `xml:"tests,attr"`
	Failures int       `xml:"failures,attr"`
	Skipped  int       `xml:"skipped,attr"`
	Time     string    `xml:"time,attr"`
	Cases    []xmlCase `xml:"testcase"`
}

type xmlCase struct {
	Name    string   `xml:"name,attr"`
	Class   string   `xml:"classname,attr"`
	Time    string   `xml:"time,attr"`
	Failure *xmlNote `xml:"failure"`
	Skipped *xmlNote `xml:"skipped"`
}

type xmlNote struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the outcome of all files: a suite for each file, a case for each
// block.
func JUnit(w io.Writer, files []*File) error {
	var all xmlSuites
	for _, f := range files {
		s := suite(f)
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Skipped += s.Skipped
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func suite(f *File) xmlSuite {
	var t Totals
	t.Add(f)
	s := xmlSuite{Name: f.Path, Tests: t.Passed + t.Failed + t.Skipped, Failures: t.Failed, Skipped: t.Skipped}
	seconds := 0.0
	for _, b := range f.Blocks {
		seconds += b.Time.Seconds()
		c := xmlCase{Name: legal(b.Name), Class: f.Path, Time: fmt.Sprintf("%.3f", b.Time.Seconds())}
		switch b.Status() {
		case Fail:
			c.Failure = failure(b)
		case Skipped:
			c.Skipped = &xmlNote{Message: legal(b.Skip)}
		}
		s.Cases = append(s.Cases, c)
	}
	if f.Err != nil {
		s.Cases = append(s.Cases, xmlCase{Name: "(file)", Class: f.Path, Time: "0", Failure: &xmlNote{Message: legal(f.Err.Error())}})
	}
	if f.Skip != "" {
		s.Cases = append(s.Cases, xmlCase{Name: "(file)", Class: f.Path, Time: "0", Skipped: &xmlNote{Message: legal(f.Skip)}})
	}
	s.Time = fmt.Sprintf("%.3f", seconds)
	return s
}

func failure(b *Block) *xmlNote {
	n := &xmlNote{}
	for _, a := range b.Asserts {
		if a.OK || a.Skip != "" {
			continue
		}
		if n.Message == "" {
			n.Message = legal(a.Name)
		}
		n.Text += legal(a.Name + "\n" + a.Diag + "\n")
	}
	return n
}

// legal replaces what XML cannot carry.
func legal(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "?")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' {
			return '?'
		}
		return r
	}, s)
}
