package check

import (
	"fmt"
	"os"
	"strings"
	"time"

	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/perl"
	"moongate/internal/testkit/poll"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/server"
)

// LogTiming says how long log lines are waited for.
type LogTiming struct {
	Wait  time.Duration // for lines that must come
	Quiet time.Duration // the log must not grow for so long before lines that must not come are looked for
}

const tailLines = 12

// logPattern is one entry of an error_log section: a qr or literal text.
type logPattern struct {
	re   *pattern.Regexp
	text string
}

func (p *logPattern) match(line string) bool {
	if p.re != nil {
		return p.re.Match(line)
	}
	return strings.Contains(line, p.text)
}

func (p *logPattern) String() string {
	if p.re != nil {
		return p.re.String()
	}
	return p.text
}

// patterns reads a section: text is a pattern for each line, a list one for each
// element.
func (c *Checker) patterns(section string) (out []logPattern) {
	v, ok := c.Get(section)
	if !ok {
		return nil
	}
	if s, ok := v.(string); ok {
		for _, line := range strings.Split(s, "\n") {
			if line != "" {
				out = append(out, logPattern{text: line})
			}
		}
		return out
	}
	for _, e := range perl.Elems(v) {
		if re, ok := e.(*pattern.Regexp); ok {
			out = append(out, logPattern{re: re})
		} else if e != nil {
			out = append(out, logPattern{text: perl.String(e)})
		}
	}
	return out
}

// grep is the grep_error_log section with what it should find.
type grep struct {
	pat  logPattern
	want perl.Value
}

// find is the text of the matches, one a line.
func (g *grep) find(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		text := ""
		if g.pat.re != nil {
			m := g.pat.re.Find(line, 0)
			if m == nil {
				continue
			}
			text = line[m[0]:m[1]]
		} else if text = g.pat.text; !strings.Contains(line, text) {
			continue
		}
		if !strings.Contains(text, "\n") {
			b.WriteString(text + "\n")
		}
	}
	return b.String()
}

func (g *grep) ok(got string) bool {
	if re, isRe := g.want.(*pattern.Regexp); isRe {
		return re.Match(got)
	}
	return perl.String(g.want) == got
}

func (c *Checker) grep() (*grep, error) {
	v, ok := c.Get("grep_error_log")
	want, hasOut := c.Get("grep_error_log_out")
	if !ok {
		if hasOut {
			return nil, fmt.Errorf("section grep_error_log_out without grep_error_log")
		}
		return nil, nil
	}
	if !hasOut {
		return nil, fmt.Errorf("section grep_error_log without grep_error_log_out")
	}
	if v = c.repeated(v); v == nil {
		return nil, nil
	}
	g := &grep{want: c.repeated(want)}
	if re, ok := v.(*pattern.Regexp); ok {
		g.pat.re = re
	} else {
		g.pat.text = perl.String(v)
	}
	if s, ok := g.want.(string); ok {
		text, err := c.Expand(s)
		if err != nil {
			return nil, err
		}
		g.want = text
	}
	return g, nil
}

// repeated is the value for the current repetition.
func (c *Checker) repeated(v perl.Value) perl.Value {
	if list, ok := v.(*perl.Array); ok {
		if c.Repeat < len(list.Elems) {
			return list.Elems[c.Repeat]
		}
		return nil
	}
	return v
}

// ErrorLog checks error_log, no_error_log and grep_error_log on the lines written
// since the last check, and moves the log's position behind them unless keep is
// set.
func (c *Checker) ErrorLog(log *server.Log, keep bool, timing LogTiming) {
	g, err := c.grep()
	if err != nil {
		c.fail("grep_error_log", err)
		return
	}
	want, unwanted := c.patterns("error_log"), c.patterns("no_error_log")
	var lines []string
	if c.Skip == "" {
		lines = await(log, want, g, len(unwanted) > 0, timing)
	}
	if g != nil {
		got := g.find(lines)
		c.assert(fmt.Sprintf("grep_error_log_out (req %d)", c.Repeat), g.ok(got), func() string {
			if re, ok := g.want.(*pattern.Regexp); ok {
				return fmt.Sprintf("%s\ndoes not match\n%s", quoteLong(got), re)
			}
			return report.Diff(perl.String(g.want), got)
		})
	}
	c.present(want, lines, "error_log", "error.log")
	c.absent(unwanted, lines, "error.log")
	c.alarms(lines)
	if !keep {
		log.Advance()
	}
}

// await reads the log until all wanted lines are there or time is over.
func await(log *server.Log, want []logPattern, g *grep, calm bool, timing LogTiming) []string {
	var lines []string
	poll.Until(timing.Wait, func() bool {
		lines = log.Unread()
		return complete(lines, want, g)
	})
	if calm {
		quiet := time.Now()
		poll.Until(timing.Wait, func() bool {
			if again := log.Unread(); len(again) != len(lines) {
				lines, quiet = again, time.Now()
			}
			return time.Since(quiet) >= timing.Quiet
		})
	}
	return lines
}

func complete(lines []string, want []logPattern, g *grep) bool {
	for i := range want {
		if !matchAny(lines, &want[i]) {
			return false
		}
	}
	return g == nil || g.ok(g.find(lines))
}

func matchAny(lines []string, p *logPattern) bool {
	for _, l := range lines {
		if p.match(l) {
			return true
		}
	}
	return false
}

func (c *Checker) present(pats []logPattern, lines []string, section, file string) {
	for i := range pats {
		p := &pats[i]
		ok := matchAny(lines, p)
		verb := "matches"
		if !ok {
			verb = "should match"
		}
		c.assert(fmt.Sprintf("pattern \"%s\" %s a line in %s (req %d)", p, verb, file, c.Repeat), ok, func() string {
			return "last lines of " + file + ":\n" + report.Tail(lines, tailLines)
		})
	}
}

func (c *Checker) absent(pats []logPattern, lines []string, file string) {
	for i := range pats {
		p := &pats[i]
		bad, more := "", 0
		for _, l := range lines {
			if p.match(l) {
				if bad == "" {
					bad = l
				} else {
					more++
				}
			}
		}
		name := fmt.Sprintf("pattern \"%s\" does not match a line in %s (req %d)", p, file, c.Repeat)
		if bad != "" {
			name = fmt.Sprintf("pattern \"%s\" should not match any line in %s (req %d)", p, file, c.Repeat)
		}
		c.assert(name, bad == "", func() string {
			text := "matches line: " + strings.TrimSpace(bad)
			if more > 0 {
				text += fmt.Sprintf("\nand %d more", more)
			}
			return text
		})
	}
}

var assertion = pattern.MustCompile(`\bAssertion .*?failed\b`, "")

// alarms notes grave lines that the block says nothing about; a failed assertion
// in the server fails the block.
func (c *Checker) alarms(lines []string) {
	for _, mark := range []struct{ text, mention string }{
		{"writing a global lua variable", "writing a global lua variable"},
		{"[alert]", "[alert"}, {"[crit]", "[crit"}, {"[emerg]", "[emerg"},
	} {
		if c.mentions("error_log", mark.mention) || c.mentions("no_error_log", mark.mention) {
			continue
		}
		for _, l := range lines {
			if strings.Contains(l, mark.text) {
				c.Note(strings.TrimSpace(l))
			}
		}
	}
	for _, l := range lines {
		if assertion.Match(l) {
			c.fail("server assertion", fmt.Errorf("%s", strings.TrimSpace(l)))
		}
	}
}

func (c *Checker) mentions(section, text string) bool {
	v, ok := c.Get(section)
	if !ok {
		return false
	}
	for _, e := range perl.Elems(v) {
		if s := perl.String(e); strings.Contains(s, text) || strings.Contains(s, `\`+text) {
			return true
		}
	}
	return false
}

// AccessLog checks access_log and no_access_log on the whole file.
func (c *Checker) AccessLog(path string, timing LogTiming) {
	want, unwanted := c.patterns("access_log"), c.patterns("no_access_log")
	if len(want)+len(unwanted) == 0 {
		return
	}
	if _, err := os.Stat(path); err != nil && c.Skip == "" {
		c.fail("access_log", err)
		return
	}
	var lines []string
	if c.Skip == "" {
		lines = await(&server.Log{Path: path}, want, nil, len(unwanted) > 0, timing)
	}
	c.present(want, lines, "access_log", "access.log")
	c.absent(unwanted, lines, "access.log")
}

// ShutdownLog checks shutdown_error_log and no_shutdown_error_log on the lines
// written since the last check; the server has ended.
func (c *Checker) ShutdownLog(log *server.Log) {
	want, unwanted := c.patterns("shutdown_error_log"), c.patterns("no_shutdown_error_log")
	if len(want)+len(unwanted) == 0 {
		return
	}
	lines := log.Unread()
	c.present(want, lines, "shutdown_error_log", "error.log at shutdown")
	c.absent(unwanted, lines, "error.log at shutdown")
	for _, l := range lines {
		if assertion.Match(l) {
			c.fail("server assertion", fmt.Errorf("%s", strings.TrimSpace(l)))
		}
	}
}
