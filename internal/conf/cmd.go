package conf

import (
	"fmt"
	"strconv"
	"strings"
)

// Cmd is one directive as it stands in the text. Setters get it while the reading
// stands right after the directive's ";" or "{"; they may keep it.
type Cmd struct {
	Name  string
	Args  []string // without the name, escapes and quotes resolved
	File  string   // full name of the file; "" in the text of -g
	Line  int      // of the ";" or "{" that ends the directive
	Scope *Scope   // whose structs the directive writes to
	In    Context  // the block it stands in

	Body     string // of a *_by_lua_block: the exact text between the braces
	BodyLine int    // the line Body starts on

	p       *parser
	row     *row
	frame   *frame // the block the directive stands in
	param   bool
	read    bool // its block has been parsed
	endLine int  // line of the "}" once read
}

// Config is the configuration being loaded.
func (c *Cmd) Config() *Config { return c.p.config }

// IsDefault reports whether the arguments are the row's Default, and no directive of the text.
func (c *Cmd) IsDefault() bool { return c.frame == nil }

// Module is the module whose row handles the directive; nil for an entry.
func (c *Cmd) Module() *Module {
	if c.row == nil {
		return nil
	}
	return c.row.module
}

func (c *Cmd) place() place {
	line := c.Line
	if c.endLine != 0 {
		line = c.endLine
	}
	return place{c.File, line, c.param}
}

// Errorf makes an error at the directive: at the end of its block once that is read.
func (c *Cmd) Errorf(format string, a ...any) error {
	return c.place().errorf(format, a...)
}

// Warnf logs a warning at the place Errorf would name.
func (c *Cmd) Warnf(format string, a ...any) {
	c.p.config.log("warn", c.place().errorf(format, a...).Error())
}

// Alertf logs an alert that ends in the directive's file and line.
func (c *Cmd) Alertf(format string, a ...any) {
	c.p.config.log("alert", c.place().errorf(format, a...).Error())
}

// Noticef logs a notice at the place Errorf would name.
func (c *Cmd) Noticef(format string, a ...any) {
	c.p.config.log("notice", c.place().errorf(format, a...).Error())
}

// Bad is the error `"NAME" directive PROBLEM`, as in `"a" directive invalid value`.
func (c *Cmd) Bad(problem string) error {
	if c.row != nil && c.row.luaBlock() {
		return c.Errorf("%s", problem) // OpenResty's block parser does not name the directive
	}
	return c.Errorf("\"%s\" directive %s", c.Name, problem)
}

// Duplicate is the error `"NAME" directive is duplicate`.
func (c *Cmd) Duplicate() error { return c.Bad("is duplicate") }

// Invalid is the error `invalid value "VALUE"`.
func (c *Cmd) Invalid(value string) error {
	return c.Errorf("invalid value \"%s\"", value)
}

// InvalidIn is the error `invalid value "VALUE" in "NAME" directive`, followed by a
// comma and the hint unless that is empty.
func (c *Cmd) InvalidIn(value, hint string) error {
	if hint != "" {
		hint = ", " + hint
	}
	return c.Errorf("invalid value \"%s\" in \"%s\" directive%s", value, c.Name, hint)
}

// InvalidParameter is the error `invalid parameter "VALUE"`.
func (c *Cmd) InvalidParameter(value string) error {
	return c.Errorf("invalid parameter \"%s\"", value)
}

func (c *Cmd) badArity() error {
	return c.Errorf("invalid number of arguments in \"%s\" directive", c.Name)
}

// Block parses the directive's block as directives of context in, writing to scope s.
// It must be called at most once, from the directive's own setter.
func (c *Cmd) Block(in Context, s *Scope) error {
	if s.Dir == nil && s != c.Scope {
		s.Dir = c
	}
	return c.readBlock(&frame{in: in, scope: s})
}

// Entries parses the directive's block as free-form entries, calling f for each
// "a b c;": Name is its first word, Args the others. f handles "include x;" itself, by
// returning e.Include().
func (c *Cmd) Entries(f func(e *Cmd) error) error {
	return c.readBlock(&frame{in: c.In, scope: c.Scope, entry: f})
}

func (c *Cmd) readBlock(f *frame) error {
	if c.row == nil || c.row.args&Block == 0 || c.read {
		panic("conf: directive " + c.Name + " has no block to read")
	}
	c.read = true
	err := c.p.parse(f, inBlock)
	c.endLine = c.p.lex.line
	return err
}

// Include parses the files that the directive's only argument names, in its place.
func (c *Cmd) Include() error {
	if len(c.Args) != 1 {
		return c.badArity()
	}
	return c.p.include(c)
}

// maxChunkName is what LuaJIT can show of a chunk's name.
const maxChunkName = 56

// ChunkName names the Lua code of the directive as OpenResty does, for tag
// "content_by_lua": "=content_by_lua(nginx.conf:40)". The file is named relative to
// the main file's directory.
func (c *Cmd) ChunkName(tag string) string {
	line := strconv.Itoa(c.Line)
	room := maxChunkName - len(tag) - len(line)
	file := c.File
	if strings.HasSuffix(file, "/nginx.conf") {
		return fmt.Sprintf("=%s(nginx.conf:%s)", tag, line)
	}
	if rel, ok := strings.CutPrefix(file, c.Config().ConfPrefix); ok && rel != "" {
		file = rel
	}
	if len(file) > room {
		file = "..." + file[min(len(file), len(file)-room+3):]
	}
	return fmt.Sprintf("=%s(%s:%s)", tag, file, line)
}
