package http1

import "moongate/internal/base/ascii"

// Escape names a set of bytes to write as escapes, after nginx's
// ngx_escape_uri types.
type Escape uint8

const (
	EscapeURI       Escape = iota // a path; '?' and '#' too
	EscapeArgs                    // an argument string; '&', '+', ';' too
	EscapeComponent               // one name or value: all but unreserved bytes
	EscapeHTML                    // a URI within HTML: quotes too
	EscapeRefresh                 // a URI within a Refresh header
	EscapeMemcached               // a memcached key
	EscapeMailAuth                // a header of the mail auth protocol
	EscapeMailXtext               // xtext of SMTP (RFC 3461): '+' takes the place of '%'
)

// escapeSets has bit 1<<e set for bytes that Escape e replaces.
var escapeSets = buildEscapes()

func buildEscapes() (sets [256]uint8) {
	mark := func(e Escape, chars string) {
		for i := 0; i < len(chars); i++ {
			sets[chars[i]] |= 1 << e
		}
	}
	for i := range sets {
		c := byte(i)
		if c < ' ' {
			sets[i] = 0xff
		}
		if c >= 0x7f {
			sets[i] = 1<<EscapeURI | 1<<EscapeArgs | 1<<EscapeComponent | 1<<EscapeHTML | 1<<EscapeRefresh | 1<<EscapeMailXtext
		}
		plain := ascii.IsAlpha(c) || ascii.IsDigit(c) || c == '-' || c == '.' || c == '_' || c == '~'
		if !plain {
			sets[i] |= 1 << EscapeComponent
		}
	}
	// RFC 3986 has no place for these in a URI; the sets differ in the delimiters.
	mark(EscapeURI, " \"#%<>?\\^`{|}")
	mark(EscapeArgs, " \"#%&+;<>?\\^`{|}")
	mark(EscapeHTML, " \"#%'<>\\^`{|}")
	mark(EscapeRefresh, " \"'<>\\^`{|~")
	mark(EscapeMemcached, " %")
	mark(EscapeMailAuth, " %")
	mark(EscapeMailXtext, " +=")
	return sets
}

// AppendEscape appends src with the bytes of the set e replaced by "%XX".
func AppendEscape[S ascii.Bytes](dst []byte, src S, e Escape) []byte {
	prefix := byte('%')
	if e == EscapeMailXtext {
		prefix = '+'
	}
	for i := 0; i < len(src); i++ {
		c := src[i]
		if escapeSets[c]>>e&1 == 0 {
			dst = append(dst, c)
			continue
		}
		dst = ascii.AppendHexByte(append(dst, prefix), c)
	}
	return dst
}

// CountEscape returns how many bytes of src AppendEscape would replace; each
// makes the result two bytes longer.
func CountEscape[S ascii.Bytes](src S, e Escape) (n int) {
	for i := 0; i < len(src); i++ {
		n += int(escapeSets[src[i]] >> e & 1)
	}
	return n
}

// Unescape says what AppendUnescape decodes.
type Unescape uint8

const (
	UnescapeAll      Unescape = iota // every escape
	UnescapeURI                      // up to and with the first '?', decoded or not
	UnescapeRedirect                 // the same, and only escapes of printable bytes after '%'
)

// AppendUnescape appends src decoded, as nginx's ngx_unescape_uri: a broken
// escape loses its '%' (and its digit). n is the number of bytes of src it
// took, less than all only when the mode stops at '?'.
func AppendUnescape[S ascii.Bytes](dst []byte, src S, mode Unescape) (out []byte, n int) {
	for i := 0; i < len(src); i++ {
		c := src[i]
		if c == '?' && mode != UnescapeAll {
			return append(dst, c), i + 1
		}
		if c != '%' {
			dst = append(dst, c)
			continue
		}
		if i++; i == len(src) {
			break
		}
		high, ok := ascii.Hex(src[i])
		if !ok {
			dst = append(dst, src[i])
			continue
		}
		if i++; i == len(src) {
			break
		}
		low, ok := ascii.Hex(src[i])
		if !ok {
			continue
		}
		c = high<<4 | low
		switch {
		case mode != UnescapeRedirect:
			dst = append(dst, c)
		case c == '?' || c > '%' && c < 0x7f:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', src[i-1], src[i])
		}
		if c == '?' && mode != UnescapeAll {
			return dst, i + 1
		}
	}
	return dst, len(src)
}

// AppendEscapeHTML appends src with the four characters that matter in HTML
// text replaced by entities.
func AppendEscapeHTML[S ascii.Bytes](dst []byte, src S) []byte {
	for i := 0; i < len(src); i++ {
		switch c := src[i]; c {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		case '"':
			dst = append(dst, "&quot;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
