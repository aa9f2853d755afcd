package http1

import (
	"encoding/binary"
	"math/bits"
)

// Words of eight equal bytes for scanning eight bytes at a time.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// below marks, by its high bit, the first byte of w that is less than n
// (n <= 128); bytes after the first may be marked wrongly.
func below(w uint64, n uint64) uint64 { return (w - ones*n) &^ w & highs }

// equal marks the first byte of w that equals c; bytes after the first may be
// marked wrongly.
func equal(w uint64, c byte) uint64 {
	w ^= ones * uint64(c)
	return (w - ones) &^ w & highs
}

// place turns the marks of below and equal into the number of the first byte.
func place(marks uint64) int { return bits.TrailingZeros64(marks) >> 3 }

// nameClass sorts the bytes of a header name as nginx does.
const (
	nameGood       = iota // letters, digits, '-'
	nameUnderscore        // '_', by underscores_in_headers
	nameInvalid           // makes the name invalid: ignore_invalid_headers decides
	nameFatal             // ends parsing: controls, space
)

var nameClass = classifyNames()

func classifyNames() (class [256]uint8) {
	for i := range class {
		c := byte(i)
		switch {
		case c-'0' <= 9, (c|0x20)-'a' <= 'z'-'a', c == '-':
			class[i] = nameGood
		case c == '_':
			class[i] = nameUnderscore
		case c <= ' ', c == 0x7f:
			class[i] = nameFatal
		default:
			class[i] = nameInvalid
		}
	}
	return class
}

// lineScanner reads header lines. It is resumable: the fast way reads a line
// that is complete and ordinary, everything else goes byte by byte through a
// state machine whose state is kept. Offsets are relative to the buffer.
type lineScanner struct {
	state      uint8
	invalid    bool
	id         HeaderID
	nameStart  int
	nameEnd    int
	valueStart int
	valueEnd   int // also the place of the offending byte after lineBad
}

// Results of lineScanner.line.
const (
	lineMore = iota // the buffer ends within the line
	lineOK          // a header line: name and value are set
	lineEnd         // the empty line that ends a header
	lineBad         // not a header line: nameStart..valueEnd is what the log shows
)

// States of the slow way.
const (
	hStart = iota
	hName
	hSpaceBefore
	hValue
	hSpaceAfter
	hIgnore
	hAlmostDone
	hEndAlmostDone
)

// maxFastName bounds the search for the colon of a line that may have none.
const maxFastName = 64

// line reads the header line that begins, or goes on, at i. It returns the
// place after it and what it was. Underscores makes '_' a good byte in names;
// upstream passes over stray "HTTP/..." lines, which some servers repeat.
func (s *lineScanner) line(buf []byte, i int, underscores, upstream bool) (next, result int) {
	if s.state != hStart {
		return s.slow(buf, i, underscores, upstream)
	}
	if i+1 < len(buf) && buf[i] == '\r' && buf[i+1] == '\n' {
		s.nameStart, s.valueEnd = i, i
		return i + 2, lineEnd
	}
	colon := findColon(buf, i)
	if colon <= i {
		return s.slow(buf, i, underscores, upstream)
	}
	name := buf[i:colon]
	s.id = LookupHeader(name)
	if s.id == HUnknown && !goodName(name, underscores) {
		return s.slow(buf, i, underscores, upstream)
	}
	value := colon + 1
	for value < len(buf) && buf[value] == ' ' {
		value++
	}
	end := findLineEnd(buf, value)
	switch {
	case end < len(buf) && buf[end] == '\n':
		next = end + 1
	case end+1 < len(buf) && buf[end] == '\r' && buf[end+1] == '\n':
		next = end + 2
	default:
		return s.slow(buf, i, underscores, upstream)
	}
	for end > value && buf[end-1] == ' ' {
		end--
	}
	s.invalid = false
	s.nameStart, s.nameEnd, s.valueStart, s.valueEnd = i, colon, value, end
	return next, lineOK
}

// findColon returns the place of the first ':' at or after i, or -1 when it is
// not among the next maxFastName bytes or too near the end of the buffer.
func findColon(buf []byte, i int) int {
	last := min(len(buf)-8, i+maxFastName)
	for ; i <= last; i += 8 {
		if m := equal(binary.LittleEndian.Uint64(buf[i:i+8]), ':'); m != 0 {
			return i + place(m)
		}
	}
	return -1
}

// goodName reports whether a name can be taken without further thought.
func goodName(name []byte, underscores bool) bool {
	seen := uint8(0)
	for _, c := range name {
		seen |= nameClass[c]
	}
	return seen == nameGood || seen == nameUnderscore && underscores
}

// findLineEnd returns the place of the first CR, LF or NUL at or after i, or
// len(buf).
func findLineEnd(buf []byte, i int) int {
	for i+8 <= len(buf) {
		m := below(binary.LittleEndian.Uint64(buf[i:i+8]), '\r'+1)
		if m == 0 {
			i += 8
			continue
		}
		i += place(m)
		if c := buf[i]; c == '\r' || c == '\n' || c == 0 {
			return i
		}
		i++
	}
	for i < len(buf) && buf[i] != '\r' && buf[i] != '\n' && buf[i] != 0 {
		i++
	}
	return i
}

// slow reads a line byte by byte, as nginx's ngx_http_parse_header_line: it
// takes CR CR LF for a line end and a line without a colon for a name with an
// empty value. Whitespace before the colon, a line that begins with
// whitespace (obs-fold), NUL and a CR inside a line are errors.
func (s *lineScanner) slow(buf []byte, i int, underscores, upstream bool) (next, result int) {
	for ; i < len(buf); i++ {
		c := buf[i]
		if s.state == hName && c == '/' && upstream && string(buf[s.nameStart:i]) == "HTTP" {
			s.state = hIgnore
			continue
		}
		switch {
		case s.state <= hName:
			result = s.stepName(i, c, underscores)
		case s.state <= hSpaceAfter:
			result = s.stepValue(i, c)
		default:
			result = s.stepEnd(c)
		}
		if result == lineMore {
			continue
		}
		if result == lineOK {
			s.id = LookupHeader(buf[s.nameStart:s.nameEnd])
		}
		if result != lineBad {
			s.state = hStart
		}
		return i + 1, result
	}
	return i, lineMore
}

func (s *lineScanner) stepName(i int, c byte, underscores bool) (result int) {
	if s.state == hStart {
		s.nameStart, s.invalid = i, false
		s.valueEnd = i
		switch {
		case c == '\r':
			s.state = hEndAlmostDone
			return lineMore
		case c == '\n':
			return lineEnd
		case c == ':':
			return lineBad
		}
		s.state = hName
	}
	switch {
	case c == ':':
		s.nameEnd = i
		s.state = hSpaceBefore
	case c == '\r' || c == '\n': // no colon
		s.nameEnd, s.valueStart = i, i
		return s.endValue(i, c)
	case nameClass[c] == nameFatal:
		s.valueEnd = i
		return lineBad
	case nameClass[c] == nameInvalid, nameClass[c] == nameUnderscore && !underscores:
		s.invalid = true
	}
	return lineMore
}

func (s *lineScanner) stepValue(i int, c byte) (result int) {
	switch {
	case c == 0:
		s.valueEnd = i
		return lineBad
	case s.state == hSpaceBefore:
		if c != ' ' {
			s.valueStart = i
			s.state = hValue
		}
		if c == '\r' || c == '\n' {
			return s.endValue(i, c)
		}
	case c == ' ':
		if s.state == hValue {
			s.valueEnd = i
		}
		s.state = hSpaceAfter
	case c == '\r' || c == '\n':
		if s.state == hSpaceAfter {
			i = s.valueEnd
		}
		return s.endValue(i, c)
	default:
		s.state = hValue
	}
	return lineMore
}

// endValue takes the CR or LF after a value that ends at i.
func (s *lineScanner) endValue(i int, c byte) (result int) {
	s.valueEnd = i
	if c == '\n' {
		return lineOK
	}
	s.state = hAlmostDone
	return lineMore
}

func (s *lineScanner) stepEnd(c byte) (result int) {
	switch {
	case s.state == hIgnore:
		if c == '\n' {
			s.state = hStart
		}
	case c == '\n' && s.state == hAlmostDone:
		return lineOK
	case c == '\n':
		return lineEnd
	case c != '\r' || s.state == hEndAlmostDone:
		return lineBad
	}
	return lineMore
}
