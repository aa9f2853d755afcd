// Package conf is the configuration language: it reads nginx.conf and fills the
// config structs of the modules.
//
// A directive is a row of data (Directive); a module is a list of rows (Module). The
// grammar, the checks and their error texts, the inheritance between levels, the dump
// and the reference manual all follow from the rows.
//
// Reading streams as in nginx: directives take effect in the order of the text, a
// block is parsed when its directive runs, the first error wins. Errors are *Error and
// carry nginx's words with the place they were met at.
//
// What a module configures lives in plain structs, one type per level (Level): one
// struct for the process, for http{}, for each server{}, for each location{}. A Scope
// is the set of structs that one block sees. Structs are written while the
// configuration loads and are immutable afterwards.
//
// The package knows no directive but "include", and nothing about requests.
package conf

import "strings"

// Context is the set of blocks a directive may stand in.
type Context uint32

// The blocks, in the order documentation lists them.
const (
	Main Context = 1 << iota
	Events
	HTTP
	Server
	Location
	ServerIf    // if in server
	LocationIf  // if in location
	LimitExcept // limit_except
	Upstream
	Stream
	StreamServer
	StreamUpstream

	// Everywhere is every block there is.
	Everywhere Context = 1<<iota - 1

	// HTTPServerLocation is the usual place of inherited http directives.
	HTTPServerLocation = HTTP | Server | Location
	// InRequest adds "if in location" to it.
	InRequest = HTTPServerLocation | LocationIf
)

var contextNames = [...]string{
	"main", "events", "http", "server", "location", "if in server", "if in location",
	"limit_except", "upstream", "stream", "server", "upstream",
}

// String lists the blocks by the names nginx's documentation uses, as in
// "http, server, location". A block of stream{} is named like its sibling of http{},
// because a module belongs to one of the two.
func (c Context) String() string {
	var names []string
	for i, name := range contextNames {
		if c&(1<<i) == 0 {
			continue
		}
		sibling := i >= 10 && (c&Server != 0 && name == "server" || c&Upstream != 0 && name == "upstream")
		if !sibling {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Arity is the set of argument counts a directive takes, and whether it opens a block.
type Arity uint32

// Counts. OneMore, TwoMore and Any are open-ended; FlagArg is Take1 in the words of
// documentation, on or off.
const (
	NoArgs Arity = 1 << iota
	Take1
	Take2
	Take3
	Take4
	Take5
	Take6
	Take7
	FlagArg
	OneMore
	TwoMore
	Any
	Block // the directive ends in "{", not in ";"

	Take12   = Take1 | Take2
	Take13   = Take1 | Take3
	Take23   = Take2 | Take3
	Take123  = Take12 | Take3
	Take1234 = Take123 | Take4
)

// maxArgs is the longest list of arguments that has a bit of its own.
const maxArgs = 7

// accepts reports whether n arguments fit. The order of the tests is nginx's.
func (a Arity) accepts(n int) bool {
	switch {
	case a&Any != 0:
		return true
	case a&FlagArg != 0 && n == 1:
		return true
	case a&OneMore != 0:
		return n >= 1
	case a&TwoMore != 0:
		return n >= 2
	}
	return n <= maxArgs && a&(1<<n) != 0
}

// String describes the counts: "1", "1-3", "0,2", "1+", "any", "flag"; a block adds " {}".
func (a Arity) String() string {
	var parts []string
	for n := 0; n <= maxArgs; n++ {
		if a&(1<<n) == 0 {
			continue
		}
		last := n
		for last < maxArgs && a&(1<<(last+1)) != 0 {
			last++
		}
		text := digit(n)
		if last > n {
			text += "-" + digit(last)
		}
		parts = append(parts, text)
		n = last
	}
	for _, open := range []struct {
		bit  Arity
		text string
	}{{FlagArg, "flag"}, {OneMore, "1+"}, {TwoMore, "2+"}, {Any, "any"}} {
		if a&open.bit != 0 {
			parts = append(parts, open.text)
		}
	}
	text := strings.Join(parts, ",")
	if a&Block != 0 {
		text = strings.TrimPrefix(text+" {}", " ")
	}
	return text
}

func digit(n int) string { return string(rune('0' + n)) }

// Directive is one row: everything there is to know about a directive.
type Directive struct {
	Name string

	// Syntax is what follows the name in the reference manual ("on | off"); empty means
	// the words of the setter's type.
	Syntax string

	// Default is configuration text ("4 8k"). A Slot parses it with its own type when
	// no level sets the value; for other setters it only documents.
	Default string

	// In says where the directive may stand.
	In Context

	// Args may be left zero where the setter knows its arity (Slot); otherwise zero means
	// no argument. A directive that opens a block says so here.
	Args Arity

	Set Setter

	Since string // version that brought the directive, "" if it was always there
	Doc   string // Markdown, one or more sentences
}

// Module is a named list of rows. A feature package exports one as a variable.
// Several modules may have rows of the same name: the first whose In holds the
// current block is taken.
type Module struct {
	Name       string
	Directives []Directive
}

// arity is the row's own or else its setter's; a bare Block takes no argument.
func (d *Directive) arity() Arity {
	a := d.Args
	if a&^Block == 0 && d.Set != nil {
		a |= d.Set.arity()
	}
	if a&^Block == 0 {
		a |= NoArgs
	}
	return a
}

// syntax is the row's own or else its setter's.
func (d *Directive) syntax() string {
	if d.Syntax == "" && d.Set != nil {
		return d.Set.syntax()
	}
	return d.Syntax
}

// luaBlock reports whether the directive's block holds Lua instead of directives.
func (d *Directive) luaBlock() bool {
	return strings.HasSuffix(d.Name, "_by_lua_block")
}
