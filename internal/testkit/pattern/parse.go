package pattern

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// charSet is the set of bytes that one position may hold.
type charSet [4]uint64

func (c *charSet) add(b byte)         { c[b>>6] |= 1 << (b & 63) }
func (c *charSet) has(b byte) bool    { return c[b>>6]&(1<<(b&63)) != 0 }
func (c *charSet) addSet(o *charSet)  { c.each(func(i int) { c[i] |= o[i] }) }
func (c *charSet) each(f func(i int)) { f(0); f(1); f(2); f(3) }
func (c *charSet) negate()            { c.each(func(i int) { c[i] = ^c[i] }) }
func (c *charSet) addRange(lo, hi byte) { // inclusive
	for b := int(lo); b <= int(hi); b++ {
		c.add(byte(b))
	}
}

// fold adds the other case of every letter in the set.
func (c *charSet) fold() {
	for b := byte('a'); b <= 'z'; b++ {
		if up := b - 32; c.has(b) || c.has(up) {
			c.add(b)
			c.add(up)
		}
	}
}

type kind uint8

const (
	kEmpty   kind = iota
	kLiteral      // text, fold
	kSet          // set
	kSeq          // subs
	kAlt          // subs
	kCapture      // subs[0], n
	kRepeat       // subs[0], min, max (-1: no limit), mode
	kLook         // subs[0], neg, behind
	kAtomic       // subs[0]
	kBackref      // n, fold
	kAssert       // test, anchor
)

type mode uint8

const (
	greedy mode = iota
	lazy
	possessive
)

type node struct {
	kind     kind
	text     string
	set      charSet
	subs     []*node
	n        int
	min, max int
	mode     mode
	neg      bool
	behind   bool
	fold     bool
	anchor   bool // true only at the start of the text
	test     func(s string, i int) bool
}

// flagSet holds the modifiers in force at a point of the pattern.
type flagSet struct{ i, m, s, x, n bool }

func (f *flagSet) set(c byte, on bool) bool {
	switch c {
	case 'i':
		f.i = on
	case 'm':
		f.m = on
	case 's':
		f.s = on
	case 'x':
		f.x = on
	case 'n':
		f.n = on
	case 'a', 'u', 'l', 'd', 'p', 'o', 'g', 'c': // do not matter for bytes
	default:
		return false
	}
	return true
}

type parser struct {
	src   string
	pos   int
	flags flagSet
	ncap  int
	names map[string]int
}

// syntaxError unwinds the recursive descent; Compile turns it into an error.
type syntaxError string

func (p *parser) fail(format string, args ...any) {
	panic(syntaxError(fmt.Sprintf(format, args...) + fmt.Sprintf(" at offset %d of pattern %q", p.pos, p.src)))
}

func (p *parser) more() bool { return p.pos < len(p.src) }
func (p *parser) peek() byte { return p.src[p.pos] }

func (p *parser) accept(s string) bool {
	if strings.HasPrefix(p.src[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *parser) alternation() *node {
	subs := []*node{p.sequence()}
	for p.accept("|") {
		subs = append(subs, p.sequence())
	}
	if len(subs) == 1 {
		return subs[0]
	}
	return &node{kind: kAlt, subs: subs}
}

func (p *parser) sequence() *node {
	seq := &node{kind: kSeq}
	for {
		p.skipExtended()
		if !p.more() || p.peek() == '|' || p.peek() == ')' {
			break
		}
		atom := p.atom()
		p.skipExtended()
		quantified := p.quantify(atom)
		if quantified == atom && atom.kind == kLiteral && len(seq.subs) > 0 {
			// Join neighbouring literals: one comparison instead of many. The last
			// one is still open for a quantifier, so join only what stands before.
			last := seq.subs[len(seq.subs)-1]
			if last.kind == kLiteral && last.fold == atom.fold {
				last.text += atom.text
				continue
			}
		}
		if quantified.kind != kEmpty {
			seq.subs = append(seq.subs, quantified)
		}
	}
	switch len(seq.subs) {
	case 0:
		return &node{kind: kEmpty}
	case 1:
		return seq.subs[0]
	}
	return seq
}

// skipExtended passes over white space and comments under the x modifier.
func (p *parser) skipExtended() {
	for p.more() {
		if p.accept("(?#") {
			end := strings.IndexByte(p.src[p.pos:], ')')
			if end < 0 {
				p.fail("unterminated comment")
			}
			p.pos += end + 1
			continue
		}
		if !p.flags.x {
			return
		}
		switch c := p.peek(); {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			p.pos++
		case c == '#':
			for p.more() && p.peek() != '\n' {
				p.pos++
			}
		default:
			return
		}
	}
}

// quantify wraps atom in the quantifiers that follow it.
func (p *parser) quantify(atom *node) *node {
	min, max, ok := p.quantifier()
	if !ok {
		return atom
	}
	n := &node{kind: kRepeat, subs: []*node{atom}, min: min, max: max}
	if p.accept("?") {
		n.mode = lazy
	} else if p.accept("+") {
		n.mode = possessive
		return &node{kind: kAtomic, subs: []*node{{kind: kRepeat, subs: n.subs, min: min, max: max}}}
	}
	return n
}

func (p *parser) quantifier() (min, max int, ok bool) {
	switch {
	case p.accept("*"):
		return 0, -1, true
	case p.accept("+"):
		return 1, -1, true
	case p.accept("?"):
		return 0, 1, true
	}
	if !p.more() || p.peek() != '{' {
		return 0, 0, false
	}
	// {n} {n,} {n,m} {,m}; anything else is a literal brace
	i := p.pos + 1
	number := func() (int, bool) {
		start, v := i, 0
		for i < len(p.src) && p.src[i] >= '0' && p.src[i] <= '9' && v < 1<<20 {
			v = v*10 + int(p.src[i]-'0')
			i++
		}
		return v, i > start
	}
	min, hasMin := number()
	max = min
	comma, hasMax := false, false
	if i < len(p.src) && p.src[i] == ',' {
		comma = true
		i++
		if max, hasMax = number(); !hasMax {
			max = -1
		}
	}
	if i >= len(p.src) || p.src[i] != '}' || !hasMin && !(comma && hasMax) {
		return 0, 0, false
	}
	p.pos = i + 1
	return min, max, true
}

func (p *parser) atom() *node {
	c := p.peek()
	p.pos++
	switch c {
	case '.':
		return p.dot()
	case '^':
		if p.flags.m {
			return &node{kind: kAssert, test: atLineStart}
		}
		return &node{kind: kAssert, test: atStart, anchor: true}
	case '$':
		if p.flags.m {
			return &node{kind: kAssert, test: atLineEnd}
		}
		return &node{kind: kAssert, test: atEndOrNewline}
	case '[':
		return p.class()
	case '(':
		return p.group()
	case '\\':
		return p.escape()
	case '*', '+', '?':
		p.pos--
		p.fail("quantifier follows nothing")
	}
	return p.literal(string([]byte{c}))
}

func (p *parser) literal(text string) *node {
	return &node{kind: kLiteral, text: text, fold: p.flags.i && strings.ContainsFunc(text, isASCIILetter)}
}

func isASCIILetter(r rune) bool { return r|0x20 >= 'a' && r|0x20 <= 'z' }

func (p *parser) dot() *node {
	n := &node{kind: kSet}
	if !p.flags.s {
		n.set.add('\n')
	}
	n.set.negate()
	return n
}

func (p *parser) group() *node {
	outer := p.flags
	n := &node{}
	switch {
	case !p.accept("?"):
		if p.flags.n {
			return p.closeGroup(outer)
		}
		n.kind = kCapture
		p.ncap++
		n.n = p.ncap
	case p.accept(":"):
		return p.closeGroup(outer)
	case p.accept(">"):
		n.kind = kAtomic
	case p.accept("="):
		n.kind = kLook
	case p.accept("!"):
		n.kind, n.neg = kLook, true
	case p.accept("<="):
		n.kind, n.behind = kLook, true
	case p.accept("<!"):
		n.kind, n.behind, n.neg = kLook, true, true
	case p.accept("P<"), p.accept("<"), p.accept("'"):
		end := strings.IndexAny(p.src[p.pos:], ">'")
		if end <= 0 {
			p.fail("bad group name")
		}
		n.kind = kCapture
		p.ncap++
		n.n = p.ncap
		p.names[p.src[p.pos:p.pos+end]] = n.n
		p.pos += end + 1
	case p.accept("|"): // branch reset: numbering as in the first branch is not needed here
		return p.closeGroup(outer)
	default:
		return p.flagGroup(outer)
	}
	n.subs = []*node{p.closeGroup(outer)}
	return n
}

// flagGroup reads (?flags) and (?flags:...), also with a leading ^.
func (p *parser) flagGroup(outer flagSet) *node {
	if p.accept("^") {
		p.flags = flagSet{}
	}
	on := true
	for p.more() {
		c := p.peek()
		p.pos++
		switch c {
		case '-':
			on = false
		case ':':
			return p.closeGroup(outer)
		case ')':
			return &node{kind: kEmpty} // in force to the end of the enclosing group
		default:
			if !p.flags.set(c, on) {
				p.fail("unknown group (?%c", c)
			}
		}
	}
	p.fail("unterminated group")
	return nil
}

func (p *parser) closeGroup(outer flagSet) *node {
	n := p.alternation()
	if !p.accept(")") {
		p.fail("missing )")
	}
	p.flags = outer
	if n.kind == kLiteral { // keep it apart from its neighbours: a quantifier may follow
		return &node{kind: kSeq, subs: []*node{n}}
	}
	return n
}

// escape reads what follows a backslash outside a class.
func (p *parser) escape() *node {
	if !p.more() {
		p.fail("trailing backslash")
	}
	c := p.peek()
	if set, ok := shorthand(c); ok {
		p.pos++
		return &node{kind: kSet, set: set}
	}
	if test, ok := assertions[c]; ok {
		p.pos++
		return &node{kind: kAssert, test: test, anchor: c == 'A'}
	}
	switch {
	case c >= '1' && c <= '9':
		start := p.pos
		n := p.decimal()
		if n <= p.ncap || n <= 9 {
			return &node{kind: kBackref, n: n, fold: p.flags.i}
		}
		p.pos = start
	case c == 'g':
		p.pos++
		braces := p.accept("{")
		n := p.decimal()
		if braces && !p.accept("}") {
			p.fail("bad \\g")
		}
		return &node{kind: kBackref, n: n, fold: p.flags.i}
	case c == 'k':
		p.pos++
		end := strings.IndexAny(p.src[p.pos:], ">}'")
		if end < 2 {
			p.fail("bad \\k")
		}
		n, ok := p.names[p.src[p.pos+1:p.pos+end]]
		if !ok {
			p.fail("unknown group name")
		}
		p.pos += end + 1
		return &node{kind: kBackref, n: n, fold: p.flags.i}
	case c == 'R':
		p.pos++
		any := &node{kind: kSet}
		any.set.addRange('\n', '\r')
		return &node{kind: kAtomic, subs: []*node{{kind: kAlt, subs: []*node{{kind: kLiteral, text: "\r\n"}, any}}}}
	case c == 'K':
		p.fail("\\K is not supported")
	}
	return p.literal(p.char())
}

func (p *parser) decimal() int {
	v, start := 0, p.pos
	for p.more() && p.peek() >= '0' && p.peek() <= '9' && v < 1<<20 {
		v = v*10 + int(p.peek()-'0')
		p.pos++
	}
	if start == p.pos {
		p.fail("number expected")
	}
	return v
}

// char reads one escaped character; the backslash is behind us.
func (p *parser) char() string {
	c := p.peek()
	p.pos++
	switch c {
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 'r':
		return "\r"
	case 'f':
		return "\f"
	case 'e':
		return "\x1b"
	case 'a':
		return "\a"
	case 'c':
		if p.more() {
			b := p.peek()
			p.pos++
			if b >= 'a' && b <= 'z' {
				b -= 32
			}
			return string([]byte{b ^ 64})
		}
	case 'x':
		return p.hex()
	case '0', '1', '2', '3', '4', '5', '6', '7':
		v := int(c - '0')
		for k := 0; k < 2 && p.more() && p.peek() >= '0' && p.peek() <= '7'; k++ {
			v = v*8 + int(p.peek()-'0')
			p.pos++
		}
		return string([]byte{byte(v)})
	}
	return string([]byte{c})
}

func (p *parser) hex() string {
	digits, limit := p.pos, 2
	braces := p.accept("{")
	if braces {
		digits, limit = p.pos, 8
	}
	v := 0
	for p.more() && p.pos-digits < limit {
		d := strings.IndexByte("0123456789abcdef", p.peek()|0x20)
		if p.peek() >= '0' && p.peek() <= '9' {
			d = int(p.peek() - '0')
		}
		if d < 0 {
			break
		}
		v = v*16 + d
		p.pos++
	}
	if braces && !p.accept("}") {
		p.fail("bad \\x{}")
	}
	if v > 255 {
		return string(utf8.AppendRune(nil, rune(v)))
	}
	return string([]byte{byte(v)})
}

// class reads a bracketed class; the [ is behind us.
func (p *parser) class() *node {
	n := &node{kind: kSet}
	negated := p.accept("^")
	for first := true; ; first = false {
		if !p.more() {
			p.fail("unterminated [")
		}
		if p.peek() == ']' && !first {
			p.pos++
			break
		}
		if set, ok := p.classShorthand(); ok {
			n.set.addSet(&set)
			continue
		}
		lo := p.classByte()
		if p.pos+1 < len(p.src) && p.peek() == '-' && p.src[p.pos+1] != ']' {
			p.pos++
			if set, ok := p.classShorthand(); ok { // "a-\d": the hyphen is itself
				n.set.add(lo)
				n.set.add('-')
				n.set.addSet(&set)
				continue
			}
			hi := p.classByte()
			if hi < lo {
				p.fail("range out of order")
			}
			n.set.addRange(lo, hi)
			continue
		}
		n.set.add(lo)
	}
	if p.flags.i {
		n.set.fold()
	}
	if negated {
		n.set.negate()
	}
	return n
}

func (p *parser) classShorthand() (charSet, bool) {
	if p.accept("[:") {
		end := strings.Index(p.src[p.pos:], ":]")
		if end < 0 {
			p.pos -= 2
			return charSet{}, false
		}
		name := p.src[p.pos : p.pos+end]
		p.pos += end + 2
		negated := strings.HasPrefix(name, "^")
		set, ok := posixClasses[strings.TrimPrefix(name, "^")]
		if !ok {
			p.fail("unknown class [:%s:]", name)
		}
		s := setOf(set)
		if negated {
			s.negate()
		}
		return s, true
	}
	if p.more() && p.peek() == '\\' && p.pos+1 < len(p.src) && p.src[p.pos+1] != 'b' {
		if set, ok := shorthand(p.src[p.pos+1]); ok {
			p.pos += 2
			return set, true
		}
	}
	return charSet{}, false
}

func (p *parser) classByte() byte {
	if p.accept("\\") {
		if !p.more() {
			p.fail("unterminated [")
		}
		if p.accept("b") {
			return '\b'
		}
		s := p.char()
		if len(s) != 1 {
			p.fail("wide character in a class")
		}
		return s[0]
	}
	b := p.peek()
	p.pos++
	return b
}
