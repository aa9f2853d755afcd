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

// parse reads a document. Every block of a language that can be tried has to say what it is.
func parse(path string) (*page, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &page{path: path, sections: []*section{{title: "top", line: 1}}}
	seen := map[string]bool{}
	port := func(n string) {
		if !seen[n] {
			seen[n] = true
			p.ports = append(p.ports, n)
		}
	}
	for _, n := range standing {
		port(n)
	}
	var b *block
	indent, said := "", "" // said: the text since the last block
	for i, line := range strings.Split(string(text), "\n") {
		last := p.sections[len(p.sections)-1]
		trimmed := strings.TrimLeft(line, " ")
		switch {
		case b != nil && trimmed == "```":
			if err := b.complete(); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, b.line-1, err)
			}
			for _, re := range []*regexp.Regexp{listens, runsOn} {
				for _, m := range re.FindAllStringSubmatch(b.text, -1) {
					port(m[1])
				}
			}
			if missing := b.caption(last.blocks); missing != "" && !strings.Contains(said, missing) {
				return nil, fmt.Errorf("%s:%d: the text before the block does not say %s, and the words behind the fence are not seen", path, b.line-1, missing)
			}
			last.blocks = append(last.blocks, b)
			b, said = nil, ""
		case b != nil:
			b.text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(trimmed, "```"):
			indent = line[:len(line)-len(trimmed)]
			b = &block{line: i + 2, attrs: map[string]string{}}
			for j, w := range strings.Fields(trimmed[3:]) {
				if k, v, _ := strings.Cut(w, "="); j > 0 {
					b.attrs[k] = v
				} else {
					b.lang = w
				}
			}
		case strings.HasPrefix(line, "## "):
			p.sections = append(p.sections, &section{title: line[3:], line: i + 1})
			said = ""
		default:
			said += line + "\n"
			if m := comment.FindStringSubmatch(line); m != nil {
				for _, w := range strings.Fields(m[1]) {
					k, v, _ := strings.Cut(w, "=")
					switch k {
					case "continued":
						last.continued = true
						continue
					case "port":
					default:
						p.needs = append(p.needs, k)
					}
					port(v)
				}
			}
		}
	}
	if b != nil {
		return nil, fmt.Errorf("%s:%d: the block does not end", path, b.line-1)
	}
	return p, nil
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
	return nil
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
