// Package blocks reads test files of the data-driven block form: an optional
// prelude up to __DATA__, then blocks that begin with === and hold sections that
// begin with ---.
//
//	=== TEST 1: title
//	description
//	--- config
//	    location = /t { return 200 "ok\n"; }
//	--- request
//	GET /t
//	--- error_code: 200
//
// The package knows the form only; what sections mean is the runner's business.
package blocks

import (
	"fmt"
	"os"
	"strings"
)

// Section is one --- part of a block.
type Section struct {
	Name    string
	Filters []string // as written, without the default ones
	Raw     string   // text before any filter
	Line    int      // of the first line of the text
}

// Block is one test.
type Block struct {
	Name        string // text behind ===
	Description string
	Sections    []Section
	Line        int
}

// File is a parsed test file.
type File struct {
	Path    string
	Prelude string // empty when the file starts with its blocks
	Blocks  []*Block
}

// Get returns the section of that name. The last one counts where a block has
// several.
func (b *Block) Get(name string) (Section, bool) {
	for i := len(b.Sections) - 1; i >= 0; i-- {
		if b.Sections[i].Name == name {
			return b.Sections[i], true
		}
	}
	return Section{}, false
}

// Has tells whether the block has a section of that name.
func (b *Block) Has(name string) bool {
	_, ok := b.Get(name)
	return ok
}

// Error is a fault in the form of a file.
type Error struct {
	Path string
	Line int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Msg) }

// ParseFile reads and parses a file.
func ParseFile(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, string(text))
}

// Parse parses the text of a file.
func Parse(path, text string) (*File, error) {
	f := &File{Path: path}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1]
	first := 0
	if data := dataLine(lines); data >= 0 {
		f.Prelude = strings.Join(lines[:data], "")
		first = data + 1
	}
	for first < len(lines) && !strings.HasPrefix(lines[first], "===") {
		first++
	}
	if first == len(lines) {
		return nil, &Error{path, len(lines), "no test blocks (a block begins with ===)"}
	}
	for first < len(lines) {
		end := first + 1
		for end < len(lines) && !strings.HasPrefix(lines[end], "===") {
			end++
		}
		b, err := parseBlock(path, lines[first:end], first+1)
		if err != nil {
			return nil, err
		}
		f.Blocks = append(f.Blocks, b)
		first = end
	}
	return f, nil
}

// dataLine finds the line that ends the prelude, -1 when there is none.
func dataLine(lines []string) int {
	for i, l := range lines {
		switch strings.TrimRight(l, "\r\n") {
		case "__DATA__", "__END__":
			return i
		}
	}
	return -1
}

func parseBlock(path string, lines []string, line int) (*Block, error) {
	b := &Block{Name: strings.TrimSpace(strings.TrimLeft(lines[0][3:], " \t")), Line: line}
	i := 1
	for i < len(lines) {
		if _, _, ok := sectionHead(lines[i]); ok {
			break
		}
		i++
	}
	b.Description = strings.TrimSpace(strings.Join(lines[1:i], ""))
	for i < len(lines) {
		name, rest, _ := sectionHead(lines[i])
		s := Section{Name: name, Line: line + i + 1}
		end := i + 1
		for end < len(lines) {
			if _, _, ok := sectionHead(lines[end]); ok {
				break
			}
			end++
		}
		s.Raw = strings.Join(lines[i+1:end], "")
		if filters, value, ok := cutInline(rest); ok {
			if strings.TrimSpace(s.Raw) != "" {
				return nil, &Error{path, line + i, fmt.Sprintf("extra lines behind the inline value of section %q", name)}
			}
			rest, s.Raw, s.Line = filters, strings.TrimSpace(value), line+i
		}
		s.Filters = strings.Fields(rest)
		b.Sections = append(b.Sections, s)
		i = end
	}
	return b, nil
}

// sectionHead splits "--- name rest"; the name may stand in parentheses.
func sectionHead(line string) (name, rest string, ok bool) {
	after, found := strings.CutPrefix(line, "---")
	if !found {
		return "", "", false
	}
	trimmed := strings.TrimLeft(after, " ")
	if trimmed == after {
		return "", "", false
	}
	trimmed = strings.TrimPrefix(trimmed, "(")
	n := 0
	for n < len(trimmed) && isWord(trimmed[n]) {
		n++
	}
	if n == 0 {
		return "", "", false
	}
	return trimmed[:n], strings.TrimSpace(strings.TrimPrefix(trimmed[n:], ")")), true
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// cutInline splits "filters: value" at the first colon that ends the line or has
// white space behind it.
func cutInline(rest string) (filters, value string, ok bool) {
	for i := 0; i < len(rest); i++ {
		if rest[i] == ':' && (i+1 == len(rest) || rest[i+1] == ' ' || rest[i+1] == '\t') {
			return strings.TrimSpace(rest[:i]), rest[i+1:], true
		}
	}
	return "", "", false
}

// Select returns the blocks that are to run: the first with an ONLY section
// alone, else all without SKIP up to the first with LAST.
func Select(all []*Block) []*Block {
	var out []*Block
	for _, b := range all {
		if b.Has("ONLY") {
			return []*Block{b}
		}
		if b.Has("SKIP") {
			continue
		}
		out = append(out, b)
		if b.Has("LAST") {
			break
		}
	}
	return out
}
