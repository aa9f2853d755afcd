package http1

import "moongate/internal/base/ascii"

// AcceptsGzip reads an Accept-Encoding value as nginx's
// ngx_http_gzip_accept_encoding: "gzip" at the start or after a comma or
// space, its quality, if any, above 0. "*" does not count.
func AcceptsGzip(value []byte) bool { return AcceptsCoding(value, "gzip") }

// AcceptsCoding does the same for any coding.
func AcceptsCoding(value []byte, coding string) bool {
	for at := 0; ; {
		i := ascii.IndexFold(value[at:], coding)
		if i < 0 {
			return false
		}
		at += i
		if at == 0 || value[at-1] == ',' || value[at-1] == ' ' {
			return acceptable(value[at+len(coding):])
		}
		at += len(coding)
	}
}

// acceptable looks at what follows the name of a coding.
func acceptable(b []byte) bool {
	b = skipSpaces(b)
	if len(b) == 0 || b[0] == ',' {
		return true
	}
	if b[0] != ';' {
		return false
	}
	b = skipSpaces(b[1:])
	if len(b) == 0 {
		return true
	}
	if b[0]|0x20 != 'q' || len(b) < 3 || b[1] != '=' {
		return false
	}
	return quality(b[2:]) > 0
}

// quality reads a weight and returns a number above 0 if it is one above 0.
// Like nginx it adds the decimals up, which tells 0 from the rest.
func quality(b []byte) (q int) {
	if b[0] != '0' && b[0] != '1' {
		return 0
	}
	q = int(b[0]-'0') * 100
	if len(b) == 1 || b[1] == ',' || b[1] == ' ' {
		return q
	}
	if b[1] != '.' {
		return 0
	}
	n := 0
	for _, c := range b[2:] {
		if c == ',' || c == ' ' {
			break
		}
		if !ascii.IsDigit(c) {
			return 0
		}
		q += int(c - '0')
		n++
	}
	if q > 100 || n > 3 {
		return 0
	}
	return q
}

// MatchETag reports whether a list of entity tags (If-Match, If-None-Match)
// has etag, or is "*", as nginx's ngx_http_test_if_match. The weak comparison
// takes no notice of "W/". Without an etag only "*" matches.
func MatchETag(list, etag []byte, weak bool) bool {
	if len(list) == 1 && list[0] == '*' {
		return true
	}
	if len(etag) == 0 {
		return false
	}
	if weak {
		etag = dropWeak(etag)
	}
	for len(list) > 0 {
		if weak {
			list = dropWeak(list)
		}
		if len(etag) > len(list) {
			return false
		}
		if string(list[:len(etag)]) == string(etag) {
			list = skipBlanks(list[len(etag):])
			if len(list) == 0 || list[0] == ',' {
				return true
			}
		}
		list = list[len(upTo(list, ',')):]
		for len(list) > 0 && (list[0] == ',' || list[0] == ' ' || list[0] == '\t') {
			list = list[1:]
		}
	}
	return false
}

func dropWeak(b []byte) []byte {
	if len(b) > 2 && b[0] == 'W' && b[1] == '/' {
		return b[2:]
	}
	return b
}

func skipBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}
