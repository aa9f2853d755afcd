package doctest

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// page is a document: its sections, and what its comments ask for.
type page struct {
	path     string
	sections []*section
	ports    []string // numbers that stand for free ports
	needs    []string // services
}

// section is what stands below one heading of the second level.
type section struct {
	title     string
	line      int
	continued bool // goes on with the configuration of the section before
	blocks    []*block
}

// block is one fenced block: language and attributes are the words behind the fence.
type block struct {
	line  int // of its first line
	lang  string
	attrs map[string]string
	text  string
}

var (
	comment  = regexp.MustCompile(`^<!-- test: (.*) -->$`)
	listens  = regexp.MustCompile(`\blisten\s+(?:[\w.*\[\]:]+:)?(\d{4,5})\b`)
	runsOn   = regexp.MustCompile(`-l [\w.]+:(\d{4,5})\b`)
	checked  = map[string]bool{"nginx": true, "lua": true, "console": true, "proto": true, "perl": true, "json": true, "html": true, "sh": true, "go": true}
	known    = map[string]bool{"file": true, "in": true, "at": true, "unchecked": true, "serves": true, "part": true, "needs": true, "eventually": true}
	standing = []string{"8080"}
)

// reader is what parse knows at a line.
type reader struct {
	page   *page
	seen   map[string]bool // ports
	block  *block          // the one being read, or nil
	indent string
	said   string // the text since the last block
}

// parse reads a document. Every block of a language that can be tried has to say what it is.
func parse(path string) (*page, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rd := &reader{page: &page{path: path, sections: []*section{{title: "top", line: 1}}}, seen: map[string]bool{}}
	for _, n := range standing {
		rd.port(n)
	}
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case rd.block != nil && strings.TrimLeft(line, " ") == "```":
			if err := rd.close(); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, rd.block.line-1, err)
			}
			rd.block, rd.said = nil, ""
		case rd.block != nil:
			rd.block.text += strings.TrimPrefix(line, rd.indent) + "\n"
		default:
			rd.line(i+1, line)
		}
	}
	if rd.block != nil {
		return nil, fmt.Errorf("%s:%d: the block does not end", path, rd.block.line-1)
	}
	return rd.page, nil
}

// last is the section being read.
func (rd *reader) last() *section { return rd.page.sections[len(rd.page.sections)-1] }

func (rd *reader) port(n string) {
	if !rd.seen[n] {
		rd.seen[n] = true
		rd.page.ports = append(rd.page.ports, n)
	}
}

// line reads a line outside of blocks.
func (rd *reader) line(number int, line string) {
	trimmed := strings.TrimLeft(line, " ")
	switch {
	case strings.HasPrefix(trimmed, "```"):
		rd.indent = line[:len(line)-len(trimmed)]
		rd.block = newBlock(number+1, strings.Fields(trimmed[3:]))
	case strings.HasPrefix(line, "## "):
		rd.page.sections = append(rd.page.sections, &section{title: line[3:], line: number})
		rd.said = ""
	default:
		rd.said += line + "\n"
		if m := comment.FindStringSubmatch(line); m != nil {
			rd.ask(strings.Fields(m[1]))
		}
	}
}

// newBlock is a block with the words behind its fence.
func newBlock(line int, words []string) *block {
	b := &block{line: line, attrs: map[string]string{}}
	for j, w := range words {
		if k, v, _ := strings.Cut(w, "="); j > 0 {
			b.attrs[k] = v
		} else {
			b.lang = w
		}
	}
	return b
}

// ask takes the words of a comment for us.
func (rd *reader) ask(words []string) {
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "continued":
			rd.last().continued = true
			continue
		case "port":
		default:
			rd.page.needs = append(rd.page.needs, k)
		}
		rd.port(v)
	}
}

// close ends the block being read.
func (rd *reader) close() error {
	b, last := rd.block, rd.last()
	if err := b.complete(); err != nil {
		return err
	}
	for _, re := range []*regexp.Regexp{listens, runsOn} {
		for _, m := range re.FindAllStringSubmatch(b.text, -1) {
			rd.port(m[1])
		}
	}
	if missing := b.caption(last.blocks); missing != "" && !strings.Contains(rd.said, missing) {
		return fmt.Errorf("the text before the block does not say %s, and the words behind the fence are not seen", missing)
	}
	last.blocks = append(last.blocks, b)
	return nil
}

// complete checks that a block says what is to be done with it.
func (b *block) complete() error {
	for k := range b.attrs {
		if !known[k] {
			return fmt.Errorf("unknown attribute %q", k)
		}
	}
	if checked[b.lang] && b.lang != "console" && len(b.attrs) == 0 {
		return fmt.Errorf("a block of %s says nothing of how it is tried: file=NAME, in=server, in=http, at=/location or unchecked=REASON", b.lang)
	}
	if b.lang == "console" {
		for _, c := range b.commands() {
			if shows(c.text) {
				return fmt.Errorf("curl shows its progress when the output goes elsewhere: curl -s in %q", c.text)
			}
		}
	}
	return nil
}

// curl is one command, up to what ends it, and quoted words.
var curl = regexp.MustCompile(`\bcurl (?:'[^']*'|"[^"$]*"|[^'";|&)])*[|&)]?`)

// shows reports whether a reader of the command sees the progress of curl, which the tests do not.
func shows(command string) bool {
	for _, c := range curl.FindAllString(command, -1) {
		elsewhere := strings.HasSuffix(c, "|") || strings.HasSuffix(c, ")") || strings.Contains(c, " -o ") || strings.Contains(c, " > ") || strings.Contains(command, "done | ")
		if elsewhere && !strings.HasPrefix(c, "curl -s ") {
			return true
		}
	}
	return false
}

// caption is what the text has to say so that readers know where a block belongs: the name of a file, the address that Lua
// answers, or the http block. What belongs to no block in particular is the server's; after one of http that is said too.
func (b *block) caption(before []*block) string {
	switch {
	case b.attrs["file"] != "":
		return "`" + b.attrs["file"] + "`"
	case b.attrs["at"] != "":
		return "`" + b.attrs["at"] + "`"
	case b.attrs["in"] == "http", b.attrs["in"] == "server" && len(before) > 0 && before[len(before)-1].attrs["in"] == "http":
		return "`" + b.attrs["in"] + "`"
	}
	return ""
}

// command is one command of a console and what it is to print.
type command struct {
	line       int
	text, want string
}

// commands splits a console: lines that begin with "$ ", with what follows a backslash or stands behind "> ".
func (b *block) commands() (list []*command) {
	more := false
	for i, line := range strings.SplitAfter(strings.TrimSuffix(b.text, "\n"), "\n") {
		line = strings.TrimSuffix(line, "\n")
		switch cmd, ok := strings.CutPrefix(line, "$ "); {
		case ok:
			list = append(list, &command{line: b.line + i, text: cmd})
			more = strings.HasSuffix(cmd, `\`)
		case len(list) == 0:
		case more || strings.HasPrefix(line, "> "):
			c := list[len(list)-1]
			c.text += "\n" + strings.TrimPrefix(line, "> ")
			more = strings.HasSuffix(line, `\`)
		default:
			list[len(list)-1].want += line + "\n"
		}
	}
	return list
}

// matches compares what a command printed with what the document shows, where "..." stands for anything: in a line for
// some of it, as a line of its own for any number of lines.
func matches(want, got string) bool {
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	lines := strings.Split(strings.TrimRight(want, "\n"), "\n")
	for i, line := range lines {
		if line = strings.TrimRight(line, " "); line == "..." {
			re.WriteString(`(?:.*\n)?`)
			continue
		}
		parts := strings.Split(line, "...")
		for j := range parts {
			parts[j] = regexp.QuoteMeta(parts[j])
		}
		re.WriteString(strings.Join(parts, `[^\n]*`))
		if i < len(lines)-1 {
			re.WriteString(`\n`)
		}
	}
	re.WriteString(`\n*\z`)
	var tidy []string
	for _, line := range strings.Split(got, "\n") {
		tidy = append(tidy, strings.TrimRight(line, " \r"))
	}
	text := strings.TrimRight(strings.Join(tidy, "\n"), "\n") + "\n"
	ok, err := regexp.MatchString(re.String(), text)
	return err == nil && ok
}
