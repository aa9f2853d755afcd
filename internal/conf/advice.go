package conf

import (
	"errors"
	"iter"
	"strconv"
	"strings"
)

// Advice is what a person may want to read after an error, "" for most: the error's own words are nginx's, and programs
// know those.
func (e *Error) Advice() string {
	if e.advice != "" {
		return e.advice
	}
	for _, a := range advices {
		if strings.HasPrefix(e.Msg, a.msg) {
			return a.text
		}
	}
	return ""
}

// advices are for errors that say all there is to know but not what to do.
var advices = []struct{ msg, text string }{
	{`no "events" section in configuration`, `a configuration needs "events { }", even an empty one, outside of "http"`},
	{"invalid URL prefix", "an address begins with http:// or https://"},
	{"host not found in upstream", "the name has to be known when the server starts: write an address, an upstream block of that name, or, with \"resolver\", a variable"},
	{`unexpected end of file, expecting "}"`, `count the braces: a block further up is still open`},
	{`unexpected "==" in condition`, `compare with "=" or "!="`},
	{"cannot load certificate", "a name of a file begins at the folder of the configuration file"},
	{"getpwnam(", "this machine has no such user"},
	{"no \"ssl_certificate\" is defined", `a server that listens with "ssl" needs ssl_certificate and ssl_certificate_key`},
}

// Advise adds advice to an *Error; others, and empty advice, change nothing.
func Advise(err error, advice string) error {
	var e *Error
	if advice != "" && errors.As(err, &e) {
		e.advice = advice
	}
	return err
}

// absent are the parts of nginx that are not built in, by how the names of their directives begin.
var absent = []string{"fastcgi_", "uwsgi_", "scgi_", "xslt_", "image_filter", "geoip_", "perl", "stream", "mail", "js_"}

// similar finds the directive that was meant: one that may stand here, if there is one as close.
func (p *parser) similar(c *Cmd) string {
	for _, a := range absent {
		if strings.HasPrefix(c.Name, a) {
			return "this part of nginx is not built in"
		}
	}
	best, closest := "", min(3, len(c.Name)-1) // of a short name less can be wrong
	for _, r := range p.all {
		d := distance(c.Name, r.Name, closest)
		if d < closest || d == closest && best != "" && r.In&c.In != 0 && !p.allowed(best, c.In) {
			best, closest = r.Name, d
		}
	}
	if best == "" {
		if strings.HasPrefix(c.Name, "\ufeff") {
			return "the file begins with a byte order mark: save it as UTF-8 without one"
		}
		if p.lex != nil && strings.HasSuffix(c.Name, ":") {
			return "a directive has no colon: write \"" + strings.TrimSuffix(c.Name, ":") + " value;\""
		}
		return ""
	}
	return "did you mean \"" + best + "\"?"
}

// Closest finds the name that was meant by a word with a slip of the pen, "" when none is close.
func Closest(word string, names iter.Seq[string]) string {
	limit := min(3, len(word)/2)
	best, closest := "", limit
	for name := range names {
		if d := distance(word, name, limit); d < closest || d == closest && best != "" && name < best {
			best, closest = name, d
		}
	}
	return best
}

func (p *parser) allowed(name string, in Context) bool {
	for _, r := range p.rows[name] {
		if r.In&in != 0 {
			return true
		}
	}
	return false
}

// distance counts the letters to insert, remove, change or swap with their neighbours to make b of a; limit when it is not
// smaller.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(limit, last[len(b)])
}

// whereAllowed says where a directive belongs.
func (p *parser) whereAllowed(rows []*row) string {
	var in Context
	for _, r := range rows {
		in |= r.In
	}
	if in == Main {
		return "\"" + rows[0].Name + "\" belongs outside of all blocks"
	}
	return "\"" + rows[0].Name + "\" belongs in: " + in.String()
}

// unfinished says in which line a directive begins whose end is too far down.
func (p *parser) unfinished(c *Cmd) string {
	if begin := p.lex.begun; begin < c.Line && begin > 0 {
		return "it begins in line " + strconv.Itoa(begin) + ": is a \";\" missing there?"
	}
	return ""
}

// swallowed looks at the words of a directive that failed: one that is a directive itself may be the next one, behind a
// missing semicolon. Otherwise there is the advice that is passed.
func (p *parser) swallowed(c *Cmd, err error, otherwise string) error {
	var e *Error
	if err == nil || !errors.As(err, &e) || e.advice != "" || e.Line != c.Line || e.File != c.File {
		return err
	}
	for _, w := range c.Args {
		if len(w) > 3 && p.allowed(w, c.In) {
			return Advise(err, "is a \";\" missing before \""+w+"\"?")
		}
	}
	return Advise(err, otherwise)
}
