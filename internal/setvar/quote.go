package setvar

import (
	"strings"

	"moongate/internal/engine"
	"moongate/internal/http1"
)

// plain are the bytes escapeURI leaves alone: a set of the original's own.
var plain = func() (t [256]bool) {
	for c := byte('!'); c < 0x7f; c++ {
		t[c] = !strings.ContainsRune("\"#%&+/:;<=>?[\\]^{}", rune(c))
	}
	return t
}()

func escapeURI(r *engine.Request, src []byte) []byte {
	n := 0
	for _, c := range src {
		if !plain[c] {
			n++
		}
	}
	if n == 0 {
		return src
	}
	const hex = "0123456789ABCDEF"
	out := alloc(r, len(src)+2*n)[:0]
	for _, c := range src {
		if plain[c] {
			out = append(out, c)
		} else {
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return out
}

func unescapeURI(r *engine.Request, src []byte) []byte {
	in := append(alloc(r, len(src))[:0], src...)
	for i, c := range in {
		if c == '+' {
			in[i] = ' '
		}
	}
	out, _ := http1.AppendUnescape(alloc(r, len(src))[:0], in, http1.UnescapeAll)
	return out
}

// sqlEscape is the letter behind the backslash, 0 for bytes that stay.
var sqlEscape = [256]byte{0: '0', '\b': 'b', '\t': 't', '\n': 'n', '\r': 'r', 0x1a: 'Z', '\\': '\\', '\'': '\'', '"': '"', '$': '$'}

func quoteSQL(r *engine.Request, src []byte) []byte {
	return appendSQL(append(alloc(r, 2+2*len(src))[:0], '\''), src, false)
}

// quotePgSQL writes what is not ASCII in octal.
func quotePgSQL(r *engine.Request, src []byte) []byte {
	if len(src) == 0 {
		return []byte("''")
	}
	return appendSQL(append(alloc(r, 3+5*len(src))[:0], 'E', '\''), src, true)
}

func appendSQL(out, src []byte, octal bool) []byte {
	for _, c := range src {
		switch e := sqlEscape[c]; {
		case e != 0:
			out = append(out, '\\', e)
		case octal && c >= 0x80:
			out = append(out, '\\', '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			out = append(out, c)
		}
	}
	return append(out, '\'')
}

var jsonEscape = [256]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r', '\\': '\\', '"': '"'}

func quoteJSON(r *engine.Request, src []byte) []byte {
	if len(src) == 0 {
		return []byte("null")
	}
	n := 2
	for _, c := range src {
		switch {
		case jsonEscape[c] != 0:
			n += 2
		case c < 0x20:
			n += 6
		default:
			n++
		}
	}
	const hex = "0123456789abcdef"
	out := append(alloc(r, n)[:0], '"')
	for _, c := range src {
		switch e := jsonEscape[c]; {
		case e != 0:
			out = append(out, '\\', e)
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
