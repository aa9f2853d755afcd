// Package pattern matches regular expressions with the syntax and the
// backtracking semantics of Perl, over bytes. Go's regexp cannot stand in: test
// files use look-around, back references and possessive quantifiers.
//
// Case folding and the classes know ASCII only; a character above 255 in a
// pattern stands for its UTF-8 bytes. Search time is bounded (maxSteps), not
// linear.
package pattern

import (
	"errors"
	"strings"
)

// Regexp is a compiled pattern. It is immutable and may be used concurrently.
type Regexp struct {
	src    string
	flags  string
	start  matcher
	ncap   int
	nloop  int
	names  map[string]int
	prefix string // every match begins with it
	atZero bool   // a match can only begin at the start of the text
}

// Compile compiles src under the modifiers in flags (of imsxn; others that Perl
// knows are accepted and ignored).
func Compile(src, flags string) (re *Regexp, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(syntaxError)
			if !ok {
				panic(r)
			}
			err = errors.New(string(e))
		}
	}()
	p := &parser{src: src, names: map[string]int{}}
	re = &Regexp{src: src}
	for i := 0; i < len(flags); i++ {
		if !p.flags.set(flags[i], true) {
			p.fail("unknown modifier %q", flags[i])
		}
		if strings.IndexByte("imsxn", flags[i]) >= 0 {
			re.flags += flags[i : i+1]
		}
	}
	root := p.alternation()
	if p.more() {
		p.fail("unmatched )")
	}
	c := &compiler{}
	re.start = c.compile(root, accept)
	re.ncap, re.nloop, re.names = p.ncap, c.loops, p.names
	re.prefix, re.atZero = hints(root)
	return re, nil
}

// MustCompile is Compile for patterns that are constants of the program.
func MustCompile(src, flags string) *Regexp {
	re, err := Compile(src, flags)
	if err != nil {
		panic(err)
	}
	return re
}

// hints finds what lets a search skip positions.
func hints(n *node) (prefix string, atZero bool) {
	for n.kind == kSeq || n.kind == kCapture {
		n = n.subs[0]
	}
	if n.kind == kLiteral && !n.fold {
		return n.text, false
	}
	return "", n.anchor
}

// String is the pattern as Perl prints it, ready to be part of another one.
func (re *Regexp) String() string { return "(?^" + re.flags + ":" + re.src + ")" }

// Source is the pattern as it was given to Compile.
func (re *Regexp) Source() string { return re.src }

// Groups is the number of captures.
func (re *Regexp) Groups() int { return re.ncap }

// Match reports whether the pattern matches anywhere in s.
func (re *Regexp) Match(s string) bool { return re.Find(s, 0) != nil }

// Find returns the leftmost match in s that begins at from or later: pairs of
// offsets of the match and its captures, -1 for captures that took no part; nil
// when there is none.
func (re *Regexp) Find(s string, from int) []int {
	m := &machine{s: s, caps: make([]int, 2*re.ncap+2), open: make([]int, re.ncap+1), loops: make([]loopState, re.nloop)}
	for i := from; i <= len(s); i++ {
		if re.atZero && i > 0 {
			return nil
		}
		if re.prefix != "" {
			k := strings.Index(s[i:], re.prefix)
			if k < 0 {
				return nil
			}
			i += k
		}
		for k := range m.caps {
			m.caps[k] = -1
		}
		if re.start(m, i) {
			m.caps[0], m.caps[1] = i, m.end
			return m.caps
		}
		if m.steps > maxSteps {
			return nil
		}
	}
	return nil
}

// Quote escapes every byte of s that is not a word character, as quotemeta does.
func Quote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if !isWord(s[i]) && s[i] < 0x80 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func setOf(f func(byte) bool) (set charSet) {
	for b := 0; b < 256; b++ {
		if f(byte(b)) {
			set.add(byte(b))
		}
	}
	return set
}

// shorthand knows \d, \W and their like.
func shorthand(c byte) (set charSet, ok bool) {
	switch c | 0x20 {
	case 'd':
		set = setOf(posixClasses["digit"])
	case 'w':
		set = setOf(isWord)
	case 's':
		set = setOf(isSpace)
	case 'h':
		set.add(' ')
		set.add('\t')
	case 'v':
		set.addRange('\n', '\r')
	case 'n':
		if c == 'n' {
			return set, false // a newline, not a class
		}
		set.add('\n')
	default:
		return set, false
	}
	if c < 'a' {
		set.negate()
	}
	return set, true
}

var posixClasses = map[string]func(byte) bool{
	"alpha":  func(c byte) bool { return isWord(c) && c > '9' && c != '_' },
	"digit":  func(c byte) bool { return c >= '0' && c <= '9' },
	"alnum":  func(c byte) bool { return isWord(c) && c != '_' },
	"upper":  func(c byte) bool { return c >= 'A' && c <= 'Z' },
	"lower":  func(c byte) bool { return c >= 'a' && c <= 'z' },
	"space":  isSpace,
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"punct":  func(c byte) bool { return c > ' ' && c < 0x7f && (!isWord(c) || c == '_') },
	"ascii":  func(c byte) bool { return c < 0x80 },
	"print":  func(c byte) bool { return c >= ' ' && c < 0x7f },
	"graph":  func(c byte) bool { return c > ' ' && c < 0x7f },
	"cntrl":  func(c byte) bool { return c < ' ' || c == 0x7f },
	"xdigit": func(c byte) bool { return c >= '0' && c <= '9' || lower(c) >= 'a' && lower(c) <= 'f' },
	"word":   isWord,
}

var assertions = map[byte]func(s string, i int) bool{
	'b': func(s string, i int) bool { return wordBefore(s, i) != wordAfter(s, i) },
	'B': func(s string, i int) bool { return wordBefore(s, i) == wordAfter(s, i) },
	'A': atStart,
	'G': atStart,
	'Z': atEndOrNewline,
	'z': func(s string, i int) bool { return i == len(s) },
}

func wordBefore(s string, i int) bool     { return i > 0 && isWord(s[i-1]) }
func wordAfter(s string, i int) bool      { return i < len(s) && isWord(s[i]) }
func atStart(_ string, i int) bool        { return i == 0 }
func atEndOrNewline(s string, i int) bool { return i == len(s) || i == len(s)-1 && s[i] == '\n' }
func atLineEnd(s string, i int) bool      { return i == len(s) || s[i] == '\n' }

// atLineStart is ^ under /m: not after a newline that ends the text.
func atLineStart(s string, i int) bool { return i == 0 || i < len(s) && s[i-1] == '\n' }
