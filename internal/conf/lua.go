package conf

import (
	"fmt"
	"strings"
)

// longBracketLimit bounds a long string or long comment in an inlined Lua block.
// OpenResty searches its 4096 byte buffer for the closing bracket and refuses the
// configuration when it is not there; so do we.
const longBracketLimit = 4096

// luaBody reads the text of a *_by_lua_block from right after its "{" to the "}" that
// closes it, and steps over that. Braces in strings, long brackets and comments do not
// count. A quote without a partner on its line is an ordinary byte, as in OpenResty:
// whether the text is Lua at all is for the Lua compiler to say.
func (lx *lexer) luaBody() (body, problem string) {
	start, depth := lx.pos, 1
	openLine := lx.line // of the last "{", which errors at the end of the file name
	for lx.pos < len(lx.src) {
		rest := lx.src[lx.pos:]
		n := 1
		switch rest[0] {
		case '\n':
			lx.line++
		case '{':
			depth++
			openLine = lx.line
		case '}':
			depth--
			if depth == 0 {
				lx.pos++
				return lx.src[start : lx.pos-1], ""
			}
		case '"', '\'':
			n = luaString(rest)
		case '-':
			if strings.HasPrefix(rest, "--") {
				n = luaComment(rest)
			}
		case '[':
			n = luaLongBracket(rest, 0)
		}
		if n < 0 {
			return "", fmt.Sprintf("Lua code block missing the closing long bracket %q, "+
				"the inlined Lua code may be too long", closingBracket(rest))
		}
		if n > 1 {
			lx.line += strings.Count(rest[:n], "\n")
		}
		lx.pos += n
	}
	lx.line = openLine
	return "", "unexpected end of file, expecting terminating characters for lua code block"
}

// luaString is the length of the quoted string that s begins with, 1 if its quote does
// not close. A line break may stand in a string only after a backslash or \z.
func luaString(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case s[0]:
			return i + 1
		case '\n':
			return 1
		case '\\':
			i++
			if i < len(s) && s[i] == 'z' {
				for i+1 < len(s) && strings.IndexByte(" \t\r\n\v\f", s[i+1]) >= 0 {
					i++
				}
			} else if strings.HasPrefix(s[i:], "\r\n") {
				i++
			}
		}
	}
	return 1
}

// luaComment is the length of the comment that s begins with, up to but not including
// the line break of a short one; negative if a long one does not close.
func luaComment(s string) int {
	if n := luaLongBracket(s, 2); n != 1 {
		return n
	}
	if n := strings.IndexByte(s, '\n'); n >= 0 {
		return n
	}
	return len(s)
}

// luaLongBracket is the length of s up to the end of the long bracket that opens at
// offset from, 1 if none opens there, negative if it does not close in time.
func luaLongBracket(s string, from int) int {
	open := bracketLen(s[from:])
	if open == 0 {
		return 1
	}
	content := from + open
	end := min(len(s), longBracketLimit)
	if content > end {
		return -1
	}
	n := strings.Index(s[content:end], closingBracket(s[from:]))
	if n < 0 {
		return -1
	}
	return content + n + open
}

// bracketLen is the length of the opening bracket "[", "="*, "[" at the start of s, or 0.
func bracketLen(s string) int {
	if s == "" || s[0] != '[' {
		return 0
	}
	n := 1
	for n < len(s) && s[n] == '=' {
		n++
	}
	if n < len(s) && s[n] == '[' {
		return n + 1
	}
	return 0
}

// closingBracket is the bracket that closes the one s begins with, after "--" or not.
func closingBracket(s string) string {
	s = strings.TrimPrefix(s, "--")
	return "]" + strings.Repeat("=", bracketLen(s)-2) + "]"
}
