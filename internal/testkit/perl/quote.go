package perl

import (
	"strings"
	"unicode/utf8"
)

var closing = map[byte]byte{'(': ')', '[': ']', '{': '}', '<': '>'}

// delimited reads the text between the delimiter at hand and its partner and
// returns it raw; brackets nest.
func (p *parser) delimited() string {
	if p.pos >= len(p.src) {
		p.fail("syntax error: a delimiter is missing")
	}
	open := p.src[p.pos]
	shut, nests := closing[open], true
	if shut == 0 {
		shut, nests = open, false
	}
	p.pos++
	start, depth := p.pos, 1
	for ; p.pos < len(p.src); p.pos++ {
		switch c := p.src[p.pos]; {
		case c == '\\':
			p.pos++
		case c == shut:
			if depth--; depth == 0 {
				text := p.src[start:p.pos]
				p.pos++
				return text
			}
		case nests && c == open:
			depth++
		}
	}
	p.pos = start
	p.fail("string does not end: no %q", string(shut))
	return ""
}

// unescapeSingle resolves the two escapes of single quotes.
func unescapeSingle(s string, open, shut byte) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '\\' || s[i+1] == open || s[i+1] == shut) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// quoteLike reads q, qq, qw, qr, qx, m, s, tr and y; nil when name is not one of
// them or no delimiter follows.
func (p *parser) quoteLike(name string) expr {
	switch name {
	case "q", "qq", "qw", "qr", "qx", "m", "s", "tr", "y":
	default:
		return nil
	}
	mark := p.pos
	if p.byteAt(0) != '#' { // with white space before it, # begins a comment
		p.ws()
	}
	c := p.byteAt(0)
	if c == 0 || isWord(c) || strings.IndexByte(" ,;)", c) >= 0 || strings.HasPrefix(p.src[p.pos:], "=>") || c == '=' && p.byteAt(1) == ' ' {
		p.pos = mark
		return nil
	}
	switch name {
	case "q":
		return &constant{unescapeSingle(p.delimited(), c, closing[c])}
	case "qq":
		return p.interpolate(unescapeDelimiter(p.delimited(), c), false)
	case "qw":
		l := &listExpr{}
		for _, w := range strings.Fields(p.delimited()) {
			l.items = append(l.items, &constant{w})
		}
		return l
	case "qx":
		return &backtick{p.interpolate(p.delimited(), false)}
	case "qr":
		return p.regexTerm(c)
	case "m":
		return p.matchTerm()
	case "s":
		return p.substTerm()
	}
	return p.translitTerm()
}

// unescapeDelimiter drops the backslash before a delimiter that has no meaning of
// its own in a string.
func unescapeDelimiter(s string, open byte) string {
	if strings.IndexByte(`\$@`, open) >= 0 || isWord(open) {
		return s
	}
	shut := closing[open]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if s[i+1] != open && (shut == 0 || s[i+1] != shut) {
				b.WriteByte(s[i])
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func (p *parser) modifierLetters() string {
	start := p.pos
	for p.pos < len(p.src) && isAlpha(p.src[p.pos]) {
		p.pos++
	}
	return p.src[start:p.pos]
}

func (p *parser) regexTerm(delim byte) *regex {
	body := p.delimited()
	r := &regex{}
	if delim == '\'' {
		r.pat = &constant{body}
	} else {
		r.pat = p.interpolate(body, true)
	}
	r.flags = p.modifierLetters()
	return r
}

func (p *parser) matchTerm() expr {
	r := p.regexTerm(p.byteAt(0))
	m := &match{re: r, global: strings.Contains(r.flags, "g")}
	r.flags = keepFlags(r.flags, "imsxn")
	return m
}

func (p *parser) substTerm() expr {
	delim := p.byteAt(0)
	s := &subst{re: &regex{pat: p.interpolate(p.delimited(), true)}}
	if closing[delim] != 0 {
		p.ws()
	} else {
		p.pos-- // the middle delimiter opens the second part
	}
	line := p.line()
	with := p.delimited()
	s.flags = p.modifierLetters()
	if strings.Contains(s.flags, "e") {
		s.with = newParser(with, p.file, line).expr()
	} else {
		s.with = p.interpolate(unescapeDelimiter(with, delim), false)
	}
	s.re.flags = keepFlags(s.flags, "imsxn")
	return s
}

func keepFlags(flags, want string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(want, r) {
			return r
		}
		return -1
	}, flags)
}

func (p *parser) translitTerm() expr {
	delim := p.byteAt(0)
	t := &translit{from: expandRanges(p.delimited())}
	if closing[delim] != 0 {
		p.ws()
	} else {
		p.pos--
	}
	t.to = expandRanges(p.delimited())
	t.flags = p.modifierLetters()
	return t
}

func expandRanges(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			var n int
			var text string
			text, n = escapeSequence(s[i+1:])
			b.WriteString(text)
			i += n
			continue
		}
		if i+2 < len(s) && s[i+1] == '-' {
			for x := int(c); x <= int(s[i+2]); x++ {
				b.WriteByte(byte(x))
			}
			i += 2
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// escapeSequence resolves what follows a backslash in a double-quoted string and
// tells how many bytes it took.
func escapeSequence(s string) (text string, n int) {
	switch c := s[0]; c {
	case 'n':
		return "\n", 1
	case 't':
		return "\t", 1
	case 'r':
		return "\r", 1
	case 'f':
		return "\f", 1
	case 'b':
		return "\b", 1
	case 'a':
		return "\a", 1
	case 'e':
		return "\x1b", 1
	case 'c':
		if len(s) > 1 {
			b := s[1]
			if b >= 'a' && b <= 'z' {
				b -= 32
			}
			return string([]byte{b ^ 64}), 2
		}
	case 'x':
		return hexEscape(s)
	case '0', '1', '2', '3', '4', '5', '6', '7':
		v, n := 0, 0
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			v = v*8 + int(s[n]-'0')
			n++
		}
		return string([]byte{byte(v)}), n
	}
	return s[:1], 1
}

func hexEscape(s string) (string, int) {
	i, limit := 1, 3
	braces := len(s) > 1 && s[1] == '{'
	if braces {
		i, limit = 2, 10
	}
	v := 0
	for ; i < len(s) && i < limit; i++ {
		d := strings.IndexByte("0123456789abcdef", s[i]|0x20)
		if s[i] >= '0' && s[i] <= '9' {
			d = int(s[i] - '0')
		}
		if d < 0 {
			break
		}
		v = v*16 + d
	}
	if braces && i < len(s) && s[i] == '}' {
		i++
	}
	if v > 255 {
		return string(utf8.AppendRune(nil, rune(v))), i
	}
	return string([]byte{byte(v)}), i
}

// interpolate splits the text of a string (or, with re, of a pattern, whose own
// escapes stay) into constants and expressions.
func (p *parser) interpolate(s string, re bool) expr {
	q := &interpolator{p: p, s: s, re: re, line: p.line()}
	parts := q.parts(0)
	if len(parts) == 0 {
		return &constant{""}
	}
	if c, ok := parts[0].(*constant); ok && len(parts) == 1 {
		return c
	}
	return &interpolated{parts}
}

type interpolator struct {
	p    *parser
	s    string
	i    int
	re   bool
	line int
}

// parts reads to the end, or to the \E that ends the case escape `until`.
func (q *interpolator) parts(until byte) []expr {
	var out []expr
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			out = append(out, &constant{text.String()})
			text.Reset()
		}
	}
	for q.i < len(q.s) {
		c := q.s[q.i]
		switch {
		case c == '\\' && q.i+1 < len(q.s):
			e := q.s[q.i+1]
			switch e {
			case 'E':
				q.i += 2
				if until != 0 {
					flush()
					return out
				}
				continue
			case 'Q', 'U', 'L':
				q.i += 2
				flush()
				out = append(out, &cased{e, &interpolated{q.parts(e)}})
				continue
			case 'u', 'l':
				if !q.re {
					q.i += 2
					flush()
					rest := q.parts(until)
					return append(out, &cased{e, &interpolated{rest}})
				}
			}
			if q.re && until != 'Q' {
				text.WriteString(q.s[q.i : q.i+2])
				q.i += 2
				continue
			}
			t, n := escapeSequence(q.s[q.i+1:])
			text.WriteString(t)
			q.i += 1 + n
		case c == '$' || c == '@':
			if e := q.variable(); e != nil {
				flush()
				out = append(out, e)
				continue
			}
			text.WriteByte(c)
			q.i++
		default:
			text.WriteByte(c)
			q.i++
		}
	}
	flush()
	return out
}

// variable reads a variable with its subscripts; nil when the sigil is literal.
func (q *interpolator) variable() expr {
	sigil, start := q.s[q.i], q.i
	i := start + 1
	if i >= len(q.s) {
		return nil
	}
	c := q.s[i]
	switch end := wordEnd(q.s, i); {
	case c == '{':
		i = q.balanced(i)
	case c == '#' && sigil == '$' && !q.re && i+1 < len(q.s) && (isAlpha(q.s[i+1]) || q.s[i+1] == '$'): // $#array
		i = wordEnd(q.s, i+2)
	case end > i:
		i = end
	case sigil == '@' && c == '$':
		i = wordEnd(q.s, i+1)
	case sigil == '@':
		return nil
	case c == '$' && i+1 < len(q.s) && (isAlpha(q.s[i+1]) || q.s[i+1] == '{'): // $$ref
		if i++; q.s[i] == '{' {
			i = q.balanced(i)
		} else {
			i = wordEnd(q.s, i)
		}
	case isDigit(c):
		for i < len(q.s) && isDigit(q.s[i]) {
			i++
		}
	case c == '&' || !q.re && strings.IndexByte("!@/0", c) >= 0:
		i++
	default:
		return nil
	}
	if i < 0 {
		return nil
	}
	i = q.subscripts(i)
	src := q.s[start:i]
	sub := newParser(src, q.p.file, q.line)
	var e expr
	if sigil == '$' {
		e = sub.postfix(sub.primary())
	} else {
		e = sub.primary()
	}
	if sub.pos < len(src) {
		q.p.fail("cannot read %q in a string", src)
	}
	q.i = i
	if v, ok := e.(*variable); ok && sigil == '@' {
		return &maybeArray{v, src}
	}
	return e
}

// balanced returns the offset behind the bracket that closes the one at i, -1
// when there is none.
func (q *interpolator) balanced(i int) int {
	open, depth := q.s[i], 0
	for ; i < len(q.s); i++ {
		switch q.s[i] {
		case '\\':
			i++
		case open:
			depth++
		case closing[open]:
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// subscripts extends a variable over [...], {...} and their arrow forms. In a
// pattern, a class or a quantifier looks alike: there only plain subscripts count.
func (q *interpolator) subscripts(i int) int {
	for i < len(q.s) {
		at := i
		if strings.HasPrefix(q.s[i:], "->[") || strings.HasPrefix(q.s[i:], "->{") {
			at += 2
		}
		if q.s[at] != '[' && q.s[at] != '{' {
			return i
		}
		end := q.balanced(at)
		if end < 0 || !q.isSubscript(q.s[at], q.s[at+1:end-1]) {
			return i
		}
		i = end
	}
	return i
}

func (q *interpolator) isSubscript(open byte, inner string) bool {
	if inner == "" {
		return false
	}
	digits := strings.Trim(inner, "0123456789") == "" || strings.Trim(inner[1:], "0123456789") == "" && inner[0] == '-' && len(inner) > 1
	name := inner[0] == '$' && wordEnd(inner, 1) == len(inner)
	if open == '[' {
		return digits || name
	}
	return name || wordEnd(inner, 0) == len(inner) || inner[0] == '\'' || inner[0] == '"'
}
