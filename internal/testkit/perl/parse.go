package perl

import (
	"fmt"
	"strconv"
	"strings"
)

// parser reads source without a token stage: whether a character begins a term or
// is an operator follows from where the parser stands, which is Perl's own rule.
type parser struct {
	src    string
	pos    int
	file   string
	line0  int         // line of src[0]
	skip   map[int]int // newline offset -> where to go on behind here-documents
	resume int         // end of the last here-document's text
}

// Error is a syntax error or a die.
type Error struct{ Msg string }

func (e *Error) Error() string { return strings.TrimRight(e.Msg, "\n") }

func newParser(src, file string, line int) *parser {
	return &parser{src: src, file: file, line0: line, skip: map[int]int{}}
}

func (p *parser) line() int {
	return p.line0 + strings.Count(p.src[:min(p.pos, len(p.src))], "\n")
}

func (p *parser) fail(format string, args ...any) {
	panic(&Error{fmt.Sprintf("%s at %s line %d", fmt.Sprintf(format, args...), p.file, p.line())})
}

// unsupported is for Perl that is right but outside of what this package knows.
func (p *parser) unsupported(what string) { p.fail("Perl construct not supported here: %s", what) }

func (p *parser) ws() {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == '\n':
			if to, ok := p.skip[p.pos]; ok {
				p.pos = to
			} else {
				p.pos++
			}
			if p.pos < len(p.src) && p.src[p.pos] == '=' && p.pos+1 < len(p.src) && isAlpha(p.src[p.pos+1]) {
				p.pod()
			}
		case c == ' ' || c == '\t' || c == '\r' || c == '\f':
			p.pos++
		case c == '#':
			for p.pos < len(p.src) && p.src[p.pos] != '\n' {
				p.pos++
			}
		default:
			return
		}
	}
}

func (p *parser) pod() {
	end := strings.Index(p.src[p.pos:], "\n=cut")
	if end < 0 {
		p.pos = len(p.src)
		return
	}
	p.pos += end + 5
	for p.pos < len(p.src) && p.src[p.pos] != '\n' {
		p.pos++
	}
}

func (p *parser) byteAt(off int) byte {
	if p.pos+off < len(p.src) {
		return p.src[p.pos+off]
	}
	return 0
}

// next is the first byte of the next token, 0 at the end.
func (p *parser) next() byte {
	p.ws()
	return p.byteAt(0)
}

func (p *parser) accept(s string) bool {
	p.ws()
	if strings.HasPrefix(p.src[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *parser) expect(s string) {
	if !p.accept(s) {
		rest := p.src[p.pos:]
		if len(rest) > 20 {
			rest = rest[:20]
		}
		p.fail("syntax error: %q expected near %q", s, rest)
	}
}

func isAlpha(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isWord(c byte) bool  { return isAlpha(c) || isDigit(c) }

// word is the identifier ahead, with its package, or "".
func (p *parser) word() string {
	p.ws()
	end := wordEnd(p.src, p.pos)
	return p.src[p.pos:end]
}

func wordEnd(s string, i int) int {
	start := i
	for i < len(s) {
		switch {
		case isAlpha(s[i]) || i > start && isDigit(s[i]):
			i++
		case strings.HasPrefix(s[i:], "::") && i+2 < len(s) && isAlpha(s[i+2]) && (i > start || i == start):
			i += 2
		default:
			return i
		}
	}
	return i
}

func (p *parser) acceptWord(w string) bool {
	if p.word() == w {
		p.pos += len(w)
		return true
	}
	return false
}

// program parses to the end of the source.
func (p *parser) program() *block {
	b := &block{}
	for p.next() != 0 {
		if w := p.word(); w == "__END__" || w == "__DATA__" {
			break
		}
		if p.byteAt(0) == '}' {
			p.fail("syntax error: unmatched }")
		}
		if s := p.statement(); s != nil {
			b.stmts = append(b.stmts, s)
		}
	}
	return b
}

func (p *parser) block() *block {
	p.expect("{")
	b := &block{}
	for {
		switch p.next() {
		case '}':
			p.pos++
			return b
		case 0:
			p.fail("syntax error: missing }")
		}
		if s := p.statement(); s != nil {
			b.stmts = append(b.stmts, s)
		}
	}
}

func (p *parser) statement() stmt {
	if p.accept(";") {
		return nil
	}
	if p.next() == '{' {
		return p.block()
	}
	start := p.pos
	w := p.word()
	p.pos += len(w)
	switch w {
	case "BEGIN":
		return p.block()
	case "END":
		p.block()
		return nil
	case "sub":
		if name := p.word(); name != "" {
			p.pos += len(name)
			p.prototype()
			if p.accept(";") {
				return nil
			}
			return &subDef{name, p.block()}
		}
	case "package":
		name := p.word()
		p.pos += len(name)
		p.accept(";")
		return &packageStmt{name}
	case "use", "no":
		return p.use(w == "no")
	case "if", "unless":
		return p.ifStatement(w == "unless")
	case "while", "until":
		p.expect("(")
		s := &whileStmt{until: w == "until", cond: &constant{1}}
		if p.next() != ')' {
			s.cond = p.expr()
		}
		p.expect(")")
		s.body = p.block()
		return s
	case "for", "foreach":
		return p.forStatement()
	}
	p.pos = start
	s := p.modifiers(p.expr())
	if p.next() != '}' && p.next() != 0 {
		p.expect(";")
	}
	return s
}

func (p *parser) prototype() {
	if p.next() == '(' {
		end := strings.IndexByte(p.src[p.pos:], ')')
		if end < 0 {
			p.fail("syntax error: bad prototype")
		}
		p.pos += end + 1
	}
}

func (p *parser) use(no bool) stmt {
	s := &useStmt{no: no}
	if c := p.next(); c == 'v' && isDigit(p.byteAt(1)) || isDigit(c) {
		for p.next() != ';' && p.next() != 0 {
			p.pos++
		}
	} else {
		s.module = p.word()
		p.pos += len(s.module)
		if isDigit(p.next()) {
			p.number()
		}
		if p.next() != ';' && p.next() != 0 {
			s.args = p.expr()
		}
	}
	p.accept(";")
	return s
}

func (p *parser) ifStatement(negate bool) stmt {
	s := &ifStmt{}
	for {
		p.expect("(")
		cond := p.expr()
		p.expect(")")
		if negate {
			cond, negate = &unary{"!", cond}, false
		}
		s.conds = append(s.conds, cond)
		s.then = append(s.then, p.block())
		if p.acceptWord("elsif") {
			continue
		}
		if p.acceptWord("else") {
			s.then = append(s.then, p.block())
		}
		return s
	}
}

func (p *parser) forStatement() stmt {
	s := &foreachStmt{}
	if p.acceptWord("my") || p.acceptWord("our") {
		s.mine = true
	}
	if p.next() == '$' {
		p.pos++
		s.name = p.word()
		p.pos += len(s.name)
	}
	p.expect("(")
	var first expr
	if p.next() != ';' && p.next() != ')' {
		first = p.expr()
	}
	if s.name == "" && p.accept(";") { // for (init; cond; step)
		w := &whileStmt{init: first, cond: &constant{1}}
		if p.next() != ';' {
			w.cond = p.expr()
		}
		p.expect(";")
		if p.next() != ')' {
			w.step = p.expr()
		}
		p.expect(")")
		w.body = p.block()
		return w
	}
	p.expect(")")
	if first == nil {
		first = &listExpr{}
	}
	s.list = first
	s.body = p.block()
	return s
}

// modifiers wraps an expression in the if, unless, while ... behind it.
func (p *parser) modifiers(e expr) stmt {
	var s stmt = &exprStmt{e}
	for {
		w := p.word()
		switch w {
		case "if", "unless", "while", "until", "for", "foreach":
			p.pos += len(w)
		default:
			return s
		}
		cond := p.expr()
		body := &block{stmts: []stmt{s}}
		switch w {
		case "if":
			s = &ifStmt{conds: []expr{cond}, then: []*block{body}}
		case "unless":
			s = &ifStmt{conds: []expr{&unary{"!", cond}}, then: []*block{body}}
		case "while", "until":
			_, isDo := e.(*blockExpr)
			s = &whileStmt{cond: cond, body: body, until: w == "until", post: isDo}
		default:
			s = &foreachStmt{list: cond, body: body}
		}
	}
}

// expr parses at the lowest precedence: or, and, not.
func (p *parser) expr() expr {
	l := p.lowAnd()
	for {
		switch {
		case p.acceptWord("or"):
			l = &logical{"||", l, p.lowAnd()}
		case p.acceptWord("xor"):
			l = &binary{"xor", l, p.lowAnd()}
		default:
			return l
		}
	}
}

func (p *parser) lowAnd() expr {
	l := p.lowNot()
	for p.acceptWord("and") {
		l = &logical{"&&", l, p.lowNot()}
	}
	return l
}

func (p *parser) lowNot() expr {
	if p.acceptWord("not") {
		return &unary{"!", p.lowNot()}
	}
	return p.comma()
}

func (p *parser) comma() expr {
	first := p.assign()
	items := []expr{first}
	isList := false
	for p.accept("=>") || p.next() == ',' && p.accept(",") {
		isList = true
		if p.listEnds() {
			break
		}
		if p.next() == ',' {
			continue
		}
		items = append(items, p.assign())
	}
	if !isList {
		return first
	}
	return &listExpr{items}
}

// lowWords end a list without parentheses.
var lowWords = map[string]bool{"or": true, "and": true, "xor": true, "if": true, "unless": true,
	"while": true, "until": true, "for": true, "foreach": true}

func (p *parser) listEnds() bool {
	switch p.next() {
	case ')', ']', '}', ';', ':', 0:
		return true
	}
	return lowWords[p.word()]
}

var assignOps = []string{"**=", "||=", "&&=", "//=", "<<=", ">>=", "+=", "-=", "*=", "/=", ".=", "%=", "x=", "|=", "&=", "^="}

func (p *parser) assign() expr {
	l := p.ternary()
	p.ws()
	rest := p.src[p.pos:]
	if strings.HasPrefix(rest, "=") && !strings.HasPrefix(rest, "==") && !strings.HasPrefix(rest, "=~") && !strings.HasPrefix(rest, "=>") {
		p.pos++
		return &assign{"", l, p.assign()}
	}
	for _, op := range assignOps {
		if strings.HasPrefix(rest, op) && !(op == "x=" && strings.HasPrefix(rest, "x=>")) {
			p.pos += len(op)
			return &assign{op[:len(op)-1], l, p.assign()}
		}
	}
	return l
}

func (p *parser) ternary() expr {
	cond := p.rangeExpr()
	if p.next() != '?' {
		return cond
	}
	p.pos++
	yes := p.assign()
	p.expect(":")
	return &ternary{cond, yes, p.assign()}
}

func (p *parser) rangeExpr() expr {
	l := p.binary(1)
	p.ws()
	if strings.HasPrefix(p.src[p.pos:], "..") {
		p.pos += 2
		p.accept(".")
		return &rangeOp{l, p.binary(1)}
	}
	return l
}

// operators by precedence, longest first where one begins another.
var operators = []struct {
	text string
	prec int
}{
	{"<=>", 5}, {"||", 1}, {"//", 1}, {"&&", 2}, {"==", 5}, {"!=", 5}, {"=~", 11}, {"!~", 11},
	{"<=", 6}, {">=", 6}, {"<<", 8}, {">>", 8}, {"**", 12}, {"|", 3}, {"^", 3}, {"&", 4}, {"<", 6}, {">", 6},
	{"+", 9}, {"-", 9}, {".", 9}, {"*", 10}, {"/", 10}, {"%", 10},
	{"eq", 5}, {"ne", 5}, {"cmp", 5}, {"lt", 6}, {"gt", 6}, {"le", 6}, {"ge", 6}, {"x", 10},
}

func (p *parser) operator() (op string, prec int) {
	p.ws()
	rest := p.src[p.pos:]
	for _, o := range operators {
		if !strings.HasPrefix(rest, o.text) {
			continue
		}
		after := byte(0)
		if len(rest) > len(o.text) {
			after = rest[len(o.text)]
		}
		switch {
		case isAlpha(o.text[0]):
			if isAlpha(after) || isDigit(after) && o.text != "x" || after == '=' && o.text == "x" && !strings.HasPrefix(rest, "x==") {
				continue
			}
		case o.text == "." && after == '.':
			return "", 0
		case after == '=' && (o.prec <= 4 || o.prec >= 8) && o.prec != 11:
			return "", 0 // an assignment operator
		}
		return o.text, o.prec
	}
	return "", 0
}

func (p *parser) binary(min int) expr {
	l := p.unary()
	for {
		op, prec := p.operator()
		if op == "" || prec < min {
			return l
		}
		p.pos += len(op)
		switch op {
		case "||", "&&", "//":
			l = &logical{op, l, p.binary(prec + 1)}
		case "=~", "!~":
			l = p.bind(l, p.unary(), op == "!~")
		case "**":
			l = &binary{op, l, p.binary(prec)}
		default:
			l = &binary{op, l, p.binary(prec + 1)}
		}
	}
}

// bind makes the target of =~ known to its right side.
func (p *parser) bind(target, r expr, neg bool) expr {
	switch r := r.(type) {
	case *match:
		r.target, r.neg = target, neg
		return r
	case *subst:
		r.target = target
		return r
	case *translit:
		r.target = target
		return r
	}
	return &match{target: target, re: r, neg: neg}
}

func (p *parser) unary() expr {
	switch c := p.next(); {
	case c == '!':
		p.pos++
		return &unary{"!", p.unary()}
	case c == '~':
		p.pos++
		return &unary{"~", p.unary()}
	case c == '\\':
		p.pos++
		return &refTo{p.unary()}
	case strings.HasPrefix(p.src[p.pos:], "++"), strings.HasPrefix(p.src[p.pos:], "--"):
		p.pos += 2
		return &step{by: ',' - int(c), e: p.unary()} // the comma lies between + and -
	case c == '-':
		if op := p.byteAt(1); strings.IndexByte("edfrwxszl", op) >= 0 && op != 0 && !isWord(p.byteAt(2)) && !strings.HasPrefix(p.src[p.pos+2:], "=>") {
			p.pos += 2
			return &fileTest{op, p.binary(8)}
		}
		p.pos++
		return &unary{"neg", p.binary(12)}
	case c == '+':
		p.pos++
		return p.unary()
	}
	e := p.postfix(p.primary())
	if strings.HasPrefix(p.src[p.pos:], "++") || strings.HasPrefix(p.src[p.pos:], "--") {
		e = &step{by: ',' - int(p.src[p.pos]), postfix: true, e: e}
		p.pos += 2
	}
	return e
}

// postfix reads subscripts, calls and methods behind a term.
func (p *parser) postfix(e expr) expr {
	for {
		p.ws()
		arrow := strings.HasPrefix(p.src[p.pos:], "->")
		if !arrow && !subscripted(e) {
			return e
		}
		mark := p.pos
		if arrow {
			p.pos += 2
		}
		switch c := p.next(); {
		case c == '[':
			p.pos++
			e = &index{&deref{'@', e}, p.expr()}
			p.expect("]")
		case c == '{':
			e = &lookup{&deref{'%', e}, p.key()}
		case c == '(' && (arrow || subscripted(e)):
			e = &callRef{e, p.args()}
		case arrow && c == '@':
			p.pos += 1
			p.expect("*")
			e = &deref{'@', e}
		case arrow && c == '$':
			p.pos++
			e = &callRef{&variable{'$', p.variableName(), p.line()}, append([]expr{e}, p.args()...)}
		case arrow:
			name := p.word()
			if name == "" {
				p.fail("syntax error behind ->")
			}
			p.pos += len(name)
			m := &method{obj: e, name: name, line: p.line()}
			if p.byteAt(0) == '(' {
				m.args = p.args()
			}
			e = m
		default:
			p.pos = mark
			return e
		}
	}
}

// subscripted tells whether a subscript may follow e without an arrow.
func subscripted(e expr) bool {
	switch e.(type) {
	case *index, *lookup:
		return true
	}
	return false
}

// key reads {key} where a bare word is a string.
func (p *parser) key() expr {
	p.expect("{")
	p.ws()
	start := p.pos
	if p.byteAt(0) == '-' {
		p.pos++
	}
	if w := p.word(); w != "" {
		p.pos += len(w)
		if p.next() == '}' {
			text := strings.TrimSpace(p.src[start:p.pos])
			p.pos++
			return &constant{text}
		}
	}
	p.pos = start
	e := p.expr()
	p.expect("}")
	return e
}

// args reads an argument list in parentheses.
func (p *parser) args() []expr {
	p.expect("(")
	if p.accept(")") {
		return nil
	}
	e := p.expr()
	p.expect(")")
	return flatten(e)
}

func flatten(e expr) []expr {
	if l, ok := e.(*listExpr); ok {
		return l.items
	}
	return []expr{e}
}

func (p *parser) number() expr {
	start := p.pos
	if p.byteAt(0) == '0' && (p.byteAt(1) == 'x' || p.byteAt(1) == 'X' || p.byteAt(1) == 'b') || p.byteAt(0) == '0' && isDigit(p.byteAt(1)) {
		for isWord(p.byteAt(0)) {
			p.pos++
		}
		v, err := strconv.ParseInt(strings.ReplaceAll(p.src[start:p.pos], "_", ""), 0, 64)
		if err != nil {
			p.fail("bad number")
		}
		return &constant{int(v)}
	}
	for isDigit(p.byteAt(0)) || p.byteAt(0) == '_' {
		p.pos++
	}
	if p.byteAt(0) == '.' && p.byteAt(1) != '.' {
		p.pos++
		for isDigit(p.byteAt(0)) || p.byteAt(0) == '_' {
			p.pos++
		}
	}
	if c := p.byteAt(0); (c == 'e' || c == 'E') && (isDigit(p.byteAt(1)) || p.byteAt(1) == '-' && isDigit(p.byteAt(2))) {
		p.pos += 2
		for isDigit(p.byteAt(0)) {
			p.pos++
		}
	}
	return &constant{number(numericPrefix(strings.ReplaceAll(p.src[start:p.pos], "_", "")))}
}
