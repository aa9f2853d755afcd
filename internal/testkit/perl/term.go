package perl

import (
	"os"
	"strings"
)

// primary reads one term.
func (p *parser) primary() expr {
	switch c := p.next(); {
	case c == 0:
		p.fail("syntax error: unexpected end")
	case c == '"':
		body := p.delimited()
		return p.interpolate(body, false)
	case c == '\'':
		return &constant{unescapeSingle(p.delimited(), '\'', '\'')}
	case c == '`':
		return &backtick{p.interpolate(p.delimited(), false)}
	case isDigit(c), c == '.' && isDigit(p.byteAt(1)):
		return p.number()
	case c == '$':
		return p.scalarTerm()
	case c == '@':
		p.pos++
		return p.aggregate('@')
	case c == '%':
		p.pos++
		return p.aggregate('%')
	case c == '&':
		return p.ampersand()
	case c == '(':
		return p.parenthesised()
	case c == '[':
		p.pos++
		e := &anonArray{&listExpr{}}
		if p.next() != ']' {
			e.items = p.expr()
		}
		p.expect("]")
		return e
	case c == '{':
		p.pos++
		e := &anonHash{&listExpr{}}
		if p.next() != '}' {
			e.items = p.expr()
		}
		p.expect("}")
		return e
	case c == '<':
		return p.angle()
	case c == '/':
		return p.matchTerm()
	case isAlpha(c), c == ':' && p.byteAt(1) == ':':
		return p.wordTerm()
	}
	p.fail("syntax error near %q", p.src[p.pos:min(len(p.src), p.pos+20)])
	return nil
}

func (p *parser) parenthesised() expr {
	p.pos++
	var e expr = &listExpr{}
	if p.next() != ')' {
		e = p.expr()
		if _, ok := e.(*listExpr); !ok {
			e = &listExpr{[]expr{e}}
		}
	}
	p.expect(")")
	if p.next() == '[' {
		p.pos++
		at := p.expr()
		p.expect("]")
		return &slice{e, at}
	}
	return e
}

// specials are the punctuation variables that may follow a $.
const specials = "&_!@/\\,;.0"

// scalarTerm reads what begins with $: a variable, an element, $#array, $$ref.
func (p *parser) scalarTerm() expr {
	line := p.line()
	p.pos++
	if strings.HasPrefix(p.src[p.pos:], "#{") || strings.HasPrefix(p.src[p.pos:], "#$") {
		p.pos++
		return &lastIdx{p.dereference('@')}
	}
	if p.byteAt(0) == '#' && isAlpha(p.byteAt(1)) {
		p.pos++
		name := p.word()
		p.pos += len(name)
		return &lastIdx{&variable{'@', name, line}}
	}
	if p.byteAt(0) == '$' && p.byteAt(1) != '{' && p.byteAt(1) != '$' && !isWord(p.byteAt(1)) && p.byteAt(1) != ':' {
		p.pos++
		return &constant{os.Getpid()}
	}
	if c := p.byteAt(0); c == '{' && p.byteAt(1) == '^' {
		p.unsupported("${^...}")
	} else if c == '{' || c == '$' {
		return p.element(&deref{'$', p.dereferenced()})
	}
	name := p.variableName()
	return p.element(&variable{'$', name, line})
}

// variableName reads the name behind a sigil.
func (p *parser) variableName() string {
	if end := wordEnd(p.src, p.pos); end > p.pos {
		name := p.src[p.pos:end]
		p.pos = end
		return name
	}
	start := p.pos
	for isDigit(p.byteAt(0)) {
		p.pos++
	}
	if p.pos == start {
		if p.byteAt(0) == 0 || strings.IndexByte(specials+"?^", p.byteAt(0)) < 0 {
			p.fail("syntax error behind a sigil")
		}
		p.pos++
		if p.src[start] == '^' {
			if !isAlpha(p.byteAt(0)) {
				p.fail("syntax error behind $^")
			}
			p.pos++
		}
	}
	return p.src[start:p.pos]
}

// element turns $x into $x[...] or $x{...} where a subscript follows.
func (p *parser) element(e expr) expr {
	as := func(sigil byte) expr {
		switch e := e.(type) {
		case *variable:
			return &variable{sigil, e.name, e.line}
		case *deref:
			return &deref{sigil, e.e}
		}
		return e
	}
	switch p.byteAt(0) {
	case '[':
		p.pos++
		at := p.expr()
		p.expect("]")
		return &index{as('@'), at}
	case '{':
		return &lookup{as('%'), p.key()}
	}
	return e
}

// dereferenced reads the reference behind a sigil: {expr} or $name.
func (p *parser) dereferenced() expr {
	if p.byteAt(0) == '{' {
		p.pos++
		p.ws()
		if end := wordEnd(p.src, p.pos); end > p.pos && end < len(p.src) && p.src[end] == '}' {
			name := p.src[p.pos:end] // ${name}
			p.pos = end + 1
			return &refTo{&variable{'$', name, p.line()}}
		}
		e := p.expr()
		p.expect("}")
		return e
	}
	p.pos++ // the inner $
	if p.byteAt(0) == '{' || p.byteAt(0) == '$' {
		return &deref{'$', p.dereferenced()}
	}
	return &variable{'$', p.variableName(), p.line()}
}

func (p *parser) dereference(sigil byte) expr { return &deref{sigil, p.dereferenced()} }

// aggregate reads @name, @{...}, @$ref and slices; the sigil is behind us.
func (p *parser) aggregate(sigil byte) expr {
	line := p.line()
	if c := p.byteAt(0); c == '{' || c == '$' {
		if c == '{' {
			mark := p.pos
			p.pos++
			p.ws()
			if end := wordEnd(p.src, p.pos); end > p.pos && end < len(p.src) && p.src[end] == '}' {
				name := p.src[p.pos:end] // @{name}
				p.pos = end + 1
				return &variable{sigil, name, line}
			}
			p.pos = mark
		}
		return p.dereference(sigil)
	}
	name := p.variableName()
	if sigil == '@' && p.byteAt(0) == '[' {
		p.pos++
		at := p.expr()
		p.expect("]")
		return &slice{&variable{'@', name, line}, at}
	}
	return &variable{sigil, name, line}
}

func (p *parser) ampersand() expr {
	p.pos++
	if p.byteAt(0) == '$' {
		p.pos++
		name := p.variableName()
		c := &callRef{code: &variable{'$', name, p.line()}}
		if p.next() == '(' {
			c.args = p.args()
		}
		return c
	}
	name := p.word()
	p.pos += len(name)
	if p.next() == '(' {
		return &call{name: name, args: p.args(), line: p.line()}
	}
	return &call{name: name, line: p.line(), bare: true}
}

// angle reads a here-document or <handle>.
func (p *parser) angle() expr {
	rest := p.src[p.pos:]
	if strings.HasPrefix(rest, "<<") && len(rest) > 2 {
		c := rest[2]
		if c == '~' && len(rest) > 3 {
			c = rest[3]
		}
		if c == '"' || c == '\'' || isAlpha(c) {
			return p.heredoc()
		}
	}
	end := strings.IndexByte(rest, '>')
	if end < 0 {
		p.fail("syntax error near <")
	}
	p.pos += end + 1
	inner := rest[1:end]
	if name, ok := strings.CutPrefix(inner, "$"); ok && name != "" && wordEnd(name, 0) == len(name) {
		return &readLine{&variable{'$', name, p.line()}}
	}
	if wordEnd(inner, 0) != len(inner) {
		p.unsupported("<" + inner + ">")
	}
	return &readLine{&constant{inner}}
}

// heredoc reads the text below the current line; ws jumps over it later.
func (p *parser) heredoc() expr {
	p.pos += 2
	indented := p.byteAt(0) == '~'
	if indented {
		p.pos++
	}
	raw := false
	var tag string
	if c := p.byteAt(0); c == '"' || c == '\'' {
		raw = c == '\''
		tag = p.delimited()
	} else {
		tag = p.word()
		p.pos += len(tag)
	}
	newline := strings.IndexByte(p.src[p.pos:], '\n')
	if newline < 0 {
		p.fail("here-document %q has no text", tag)
	}
	newline += p.pos
	from := newline + 1
	if p.resume > from { // a second one on the same line
		from = p.resume
	}
	var lines []string
	at := from
	for {
		if at >= len(p.src) {
			p.fail("here-document %q does not end", tag)
		}
		end := strings.IndexByte(p.src[at:], '\n')
		line := p.src[at:]
		if end >= 0 {
			line = p.src[at : at+end]
			at += end + 1
		} else {
			at = len(p.src)
		}
		if line == tag || indented && strings.TrimLeft(line, " \t") == tag {
			break
		}
		lines = append(lines, line+"\n")
	}
	p.skip[newline], p.resume = at, at
	if indented {
		unindent(lines)
	}
	text := strings.Join(lines, "")
	if raw {
		return &constant{text}
	}
	return p.interpolate(text, false)
}

// unindent removes the smallest common indentation.
func unindent(lines []string) {
	common := -1
	for _, l := range lines {
		if trimmed := strings.TrimLeft(l, " \t"); trimmed != "\n" {
			if n := len(l) - len(trimmed); common < 0 || n < common {
				common = n
			}
		}
	}
	for i, l := range lines {
		lines[i] = l[min(max(common, 0), len(l)-len(strings.TrimLeft(l, " \t"))):]
	}
}

// namedUnary are the operators that take one argument and bind tighter than
// comparison.
var namedUnary = map[string]bool{"defined": true, "ref": true, "scalar": true, "lc": true, "uc": true, "lcfirst": true,
	"ucfirst": true, "length": true, "chr": true, "ord": true, "int": true, "abs": true, "hex": true, "oct": true,
	"quotemeta": true, "shift": true, "pop": true, "chomp": true, "chop": true, "exists": true, "delete": true,
	"each": true, "keys": true, "values": true, "sleep": true, "rand": true, "close": true, "undef": true, "exit": true,
	"chdir": true, "rmdir": true, "caller": true, "require": true, "sqrt": true, "lock": true, "localtime": true, "gmtime": true}

// noArgs never take arguments.
var noArgs = map[string]bool{"wantarray": true, "time": true, "__FILE__": true, "__LINE__": true, "__PACKAGE__": true}

func (p *parser) wordTerm() expr {
	name := p.word()
	if name == "" {
		p.fail("syntax error near ::")
	}
	line := p.line()
	p.pos += len(name)
	mark := p.pos
	if p.accept("=>") {
		p.pos = mark
		return &constant{name}
	}
	p.pos = mark
	if e := p.quoteLike(name); e != nil {
		return e
	}
	short := strings.TrimPrefix(name, "CORE::")
	switch short {
	case "my", "our", "local", "state":
		return p.declaration(short)
	case "sub":
		p.prototype()
		return &anonSub{p.block()}
	case "do":
		if p.next() != '{' {
			p.unsupported("do FILE")
		}
		return &blockExpr{body: p.block()}
	case "eval":
		if p.next() == '{' {
			return &blockExpr{body: p.block(), catch: true}
		}
		return &evalString{p.optionalArg()}
	case "return", "last", "next":
		c := &control{what: short}
		if !p.listEnds() {
			c.e = p.comma()
		}
		return c
	case "map", "grep", "sort":
		return p.mapTerm(short)
	case "print", "printf", "say":
		return p.printTerm(short, line)
	case "__FILE__":
		return &constant{p.file}
	case "__LINE__":
		return &constant{line}
	}
	if noArgs[short] {
		if p.next() == '(' {
			p.args()
		}
		return &call{name: short, line: line}
	}
	if namedUnary[short] {
		return p.namedUnaryTerm(short, line)
	}
	p.ws()
	if strings.HasPrefix(p.src[p.pos:], "->") {
		return &constant{name}
	}
	if p.byteAt(0) == '(' {
		return &call{name: short, args: p.args(), line: line}
	}
	if p.termAhead() || short == "split" && p.byteAt(0) == '/' {
		return &call{name: short, args: flatten(p.comma()), line: line}
	}
	return &call{name: short, line: line, bare: true}
}

func (p *parser) namedUnaryTerm(name string, line int) expr {
	c := &call{name: name, line: line}
	if p.next() == '(' {
		p.pos++
		if p.next() != ')' {
			c.args = []expr{p.expr()}
		}
		p.expect(")")
		return c
	}
	if e := p.optionalArg(); e != nil {
		c.args = []expr{e}
	}
	return c
}

// optionalArg reads one argument above comparison, nil when none follows.
func (p *parser) optionalArg() expr {
	if c := p.next(); c == '(' || c == '&' || p.termAhead() {
		return p.binary(8)
	}
	return nil
}

// termAhead tells whether what follows begins a term rather than an operator.
func (p *parser) termAhead() bool {
	c := p.next()
	switch {
	case c == '"', c == '\'', c == '`', c == '$', c == '@', c == '[', c == '\\', c == '{', isDigit(c), c == '!':
		return true
	case c == '%' || c == '&':
		return isAlpha(p.byteAt(1)) || p.byteAt(1) == '$'
	case c == '-':
		return isAlpha(p.byteAt(1)) || isDigit(p.byteAt(1)) || p.byteAt(1) == '$'
	case c == '<':
		return p.byteAt(1) == '<' && (p.byteAt(2) == '"' || p.byteAt(2) == '\'' || isAlpha(p.byteAt(2))) || p.byteAt(1) == '$'
	case isAlpha(c):
		w := p.word()
		if lowWords[w] {
			return false
		}
		op, _ := p.operator()
		return op == ""
	}
	return false
}

func (p *parser) declaration(how string) expr {
	d := &declared{how: how}
	if p.next() == '(' {
		d.list = true
		d.vars = p.args()
	} else {
		d.vars = []expr{p.postfix(p.primary())}
	}
	return d
}

func (p *parser) mapTerm(op string) expr {
	paren := p.next() == '('
	if paren {
		p.pos++
	}
	m := &mapExpr{op: op}
	if p.next() == '{' {
		m.fn = &blockExpr{body: p.block()}
		p.accept(",")
	} else if op != "sort" {
		m.fn = p.assign()
		p.expect(",")
	}
	m.list = &listExpr{}
	if !p.listEnds() {
		m.list = p.comma()
	}
	if paren {
		p.expect(")")
	}
	return m
}

// printTerm reads print with an optional file handle, which becomes the first
// argument.
func (p *parser) printTerm(name string, line int) expr {
	paren := p.next() == '('
	if paren {
		p.pos++
	}
	var to expr = &constant{"STDOUT"}
	if p.next() == '{' {
		p.pos++
		to = p.expr()
		p.expect("}")
	} else if w := p.word(); w != "" && w == strings.ToUpper(w) {
		p.pos += len(w)
		to = &constant{w}
	} else if p.byteAt(0) == '$' {
		end := wordEnd(p.src, p.pos+1)
		if end > p.pos+1 && end+1 < len(p.src) && p.src[end] == ' ' && (isAlpha(p.src[end+1]) && p.src[end+1] != 'x' || strings.IndexByte(`"'$@`, p.src[end+1]) >= 0) {
			to = &variable{'$', p.src[p.pos+1 : end], line}
			p.pos = end
		}
	}
	c := &call{name: name, args: []expr{to}, line: line}
	if !p.listEnds() {
		c.args = append(c.args, flatten(p.comma())...)
	}
	if paren {
		p.expect(")")
	}
	return c
}
