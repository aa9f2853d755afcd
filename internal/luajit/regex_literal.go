package luajit

import (
	"bytes"
	"strings"
)

// literalRegex is a pattern made of plain text only, which Go matches exactly as PCRE2 does but without a call into C:
//
//	^TEXT  ^TEXT$  TEXT$  TEXT   and with one group:  ^TEXT(A|B)TEXT$  \.(jpg|png)$
//
// Everything else is left to PCRE2. Outside multi-line mode "$" also matches before a line feed that ends the subject.
type literalRegex struct {
	alts   [][]byte // every whole text, one for each alternative of the group, in the order of the pattern
	group  bool     // the group captures
	begin  bool     // "^"
	end    bool     // "$"
	fold   bool     // case does not matter; alts are in lower case
	before int      // how much of each text stands before the group
	after  int      // and after it
}

// parseLiteralRegex returns nil for a pattern of any other form.
func parseLiteralRegex(pattern string, fold bool) *literalRegex {
	l := &literalRegex{fold: fold}
	p := pattern
	p, l.begin = strings.CutPrefix(p, "^")
	before, p, ok := cutLiteral(p)
	if !ok {
		return nil
	}
	inner := [][]byte{nil}
	if strings.HasPrefix(p, "(") {
		inner, p, l.group, ok = cutAlternatives(p[1:])
		if !ok {
			return nil
		}
	}
	after, p, ok := cutLiteral(p)
	if !ok {
		return nil
	}
	p, l.end = strings.CutSuffix(p, "$")
	if p != "" || !l.begin && !l.end && (fold || len(inner) > 1) {
		return nil // a search for several texts is better done by PCRE2
	}
	for _, alt := range inner {
		text := bytes.Join([][]byte{before, alt, after}, nil)
		if fold {
			text = asciiLower(text)
		}
		l.alts = append(l.alts, text)
	}
	l.before, l.after = len(before), len(after)
	return l
}

// cutLiteral reads plain text: bytes without a meaning, and escaped punctuation.
func cutLiteral(p string) (text []byte, rest string, ok bool) {
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '\\':
			i++
			if i == len(p) || !isPunct(p[i]) {
				return nil, "", false
			}
			text = append(text, p[i])
		case strings.IndexByte("()|$", c) >= 0:
			return text, p[i:], true
		case strings.IndexByte("^.*+?[]{}", c) >= 0 || c < ' ' || c == 0x7f:
			return nil, "", false
		default:
			text = append(text, c)
		}
	}
	return text, "", true
}

// cutAlternatives reads "A|B)" or "?:A|B)".
func cutAlternatives(p string) (alts [][]byte, rest string, captures, ok bool) {
	p, plain := strings.CutPrefix(p, "?:")
	for {
		text, q, ok := cutLiteral(p)
		if !ok || q == "" {
			return nil, "", false, false
		}
		alts = append(alts, text)
		switch q[0] {
		case '|':
			p = q[1:]
		case ')':
			return alts, q[1:], !plain, true
		default:
			return nil, "", false, false
		}
	}
}

func isPunct(c byte) bool {
	return c > ' ' && c < 0x7f && !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
}

func asciiLower(s []byte) []byte {
	out := make([]byte, len(s))
	for i, c := range s {
		out[i] = lower(c)
	}
	return out
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func (l *literalRegex) match(s []byte, ov []int32) int {
	switch {
	case l.begin:
		for _, a := range l.alts {
			if l.hasPrefix(s, a) && (!l.end || atEnd(s, len(a))) {
				return l.found(0, len(a), ov)
			}
		}
	case l.end:
		return l.matchEnd(s, ov)
	default:
		if i := bytes.Index(s, l.alts[0]); i >= 0 {
			return l.found(i, len(l.alts[0]), ov)
		}
	}
	return RegexNoMatch
}

// matchEnd: PCRE2 tries start positions from the left, so the longest text wins, and one that ends before the last
// line feed starts further left than the same text at the very end.
func (l *literalRegex) matchEnd(s []byte, ov []int32) int {
	from, n := -1, 0
	for _, a := range l.alts {
		if i := l.suffixAt(s, a); i >= 0 && (from < 0 || i < from) {
			from, n = i, len(a)
		}
	}
	if from < 0 {
		return RegexNoMatch
	}
	return l.found(from, n, ov)
}

// suffixAt returns where text stands before the final line feed, else at the end, else -1.
func (l *literalRegex) suffixAt(s, text []byte) int {
	if n := len(s); n > 0 && s[n-1] == '\n' {
		if i := n - 1 - len(text); i >= 0 && l.hasPrefix(s[i:], text) {
			return i
		}
	}
	if i := len(s) - len(text); i >= 0 && l.hasPrefix(s[i:], text) {
		return i
	}
	return -1
}

func (l *literalRegex) hasPrefix(s, text []byte) bool {
	if len(s) < len(text) {
		return false
	}
	if !l.fold {
		return string(s[:len(text)]) == string(text)
	}
	for i, c := range text {
		if lower(s[i]) != c {
			return false
		}
	}
	return true
}

// atEnd reports whether "$" matches at i.
func atEnd(s []byte, i int) bool {
	return i == len(s) || i == len(s)-1 && s[i] == '\n'
}

func (l *literalRegex) found(from, n int, ov []int32) int {
	if len(ov) >= 2 {
		ov[0], ov[1] = int32(from), int32(from+n)
	}
	if !l.group {
		return 1
	}
	if len(ov) >= 4 {
		ov[2], ov[3] = int32(from+l.before), int32(from+n-l.after)
	}
	return 2
}
