package autoindex

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"moongate/internal/base/ascii"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// nameWidth is the column of names in the html form; longer names are cut.
const nameWidth = 50

func html(r *engine.Request, c *config, entries []entry) []byte {
	unicode := ascii.EqualFold(r.Out.Charset, "utf-8")
	b := append([]byte(nil), "<html>\r\n<head><title>Index of "...)
	b = http1.AppendEscapeHTML(b, r.URI)
	b = append(b, "</title></head>\r\n<body>\r\n<h1>Index of "...)
	b = http1.AppendEscapeHTML(b, r.URI)
	b = append(b, "</h1><hr><pre><a href=\"../\">../</a>\r\n"...)
	zone := time.UTC
	if c.local.V {
		_, offset := time.Now().Zone() // one for all, as it is now
		zone = time.FixedZone("", offset)
	}
	for i := range entries {
		e := &entries[i]
		b = append(b, "<a href=\""...)
		b = http1.AppendEscape(b, e.name, http1.EscapeComponent)
		if e.dir {
			b = append(b, '/')
		}
		b = append(b, "\">"...)
		b = e.appendName(b, unicode)
		b = append(b, ' ')
		b = time.Unix(e.mtime, 0).In(zone).AppendFormat(b, "02-Jan-2006 15:04 ")
		b = e.appendSize(b, c.exactSize.V)
		b = append(b, "\r\n"...)
	}
	return append(b, "</pre><hr></body>\r\n</html>\r\n"...)
}

// appendName appends the name as it is shown, the end of the link and spaces up to the next column.
func (e *entry) appendName(b []byte, unicode bool) []byte {
	width := len(e.name)
	if unicode {
		if n, ok := runes(e.name); ok {
			width = n
		}
	}
	if width > nameWidth {
		keep := e.name[:prefix(e.name, nameWidth-3, width != len(e.name))]
		return append(http1.AppendEscapeHTML(b, keep), "..&gt;</a>"...)
	}
	b = http1.AppendEscapeHTML(b, e.name)
	if e.dir && width < nameWidth {
		b = append(b, '/')
		width++
	}
	b = append(b, "</a>"...)
	for ; width < nameWidth; width++ {
		b = append(b, ' ')
	}
	return b
}

// runes counts characters; a name that is not UTF-8 counts by its bytes.
func runes(s string) (int, bool) { return utf8.RuneCountInString(s), utf8.ValidString(s) }

// prefix is the length in bytes of the first n characters.
func prefix(s string, n int, unicode bool) int {
	if !unicode {
		return min(n, len(s))
	}
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

func (e *entry) appendSize(b []byte, exact bool) []byte {
	if e.dir {
		if exact {
			return append(b, "                  -"...)
		}
		return append(b, "      -"...)
	}
	if exact {
		return fmt.Appendf(b, "%19d", e.size)
	}
	for _, s := range []struct {
		limit, unit int64
		letter      byte
	}{{1<<30 - 1, 1 << 30, 'G'}, {1<<20 - 1, 1 << 20, 'M'}, {9999, 1 << 10, 'K'}} {
		if e.size > s.limit {
			n := e.size / s.unit
			if e.size%s.unit > s.unit/2-1 {
				n++
			}
			return fmt.Appendf(b, "%6d%c", n, s.letter)
		}
	}
	return fmt.Appendf(b, " %6d", e.size)
}

func (e *entry) kind() string {
	switch {
	case e.dir:
		return "directory"
	case e.file:
		return "file"
	}
	return "other"
}

func json(entries []entry, callback []byte) []byte {
	var b []byte
	if callback != nil {
		b = append(append(append(b, "/* callback */\r\n"...), callback...), '(')
	}
	b = append(b, '[')
	for i := range entries {
		e := &entries[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "\r\n{ \"name\":\""...)
		b = appendJSON(b, e.name)
		b = append(append(append(b, "\", \"type\":\""...), e.kind()...), "\", \"mtime\":\""...)
		b = append(http1.AppendTime(b, e.mtime), '"')
		if e.file {
			b = strconv.AppendInt(append(b, ", \"size\":"...), e.size, 10)
		}
		b = append(b, " }"...)
	}
	b = append(b, "\r\n]"...)
	if callback != nil {
		b = append(b, ");"...)
	}
	return b
}

// appendJSON appends s as it stands within a JSON string (RFC 8259 7).
func appendJSON(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, c)
		case strings.IndexByte("\n\r\t\b\f", c) >= 0:
			b = append(b, '\\', "nrtbf"[strings.IndexByte("\n\r\t\b\f", c)])
		default:
			b = fmt.Appendf(b, "\\u%04X", c)
		}
	}
	return b
}

func xml(entries []entry) []byte {
	b := append([]byte(nil), "<?xml version=\"1.0\"?>\r\n<list>\r\n"...)
	for i := range entries {
		e := &entries[i]
		b = append(append(append(b, '<'), e.kind()...), " mtime=\""...)
		b = time.Unix(e.mtime, 0).UTC().AppendFormat(b, "2006-01-02T15:04:05Z")
		if e.file {
			b = strconv.AppendInt(append(b, "\" size=\""...), e.size, 10)
		}
		b = append(b, "\">"...)
		b = http1.AppendEscapeHTML(b, e.name)
		b = append(append(append(b, "</"...), e.kind()...), ">\r\n"...)
	}
	return append(b, "</list>\r\n"...)
}
