package http1

import "encoding/binary"

// RequestParser parses request heads. The zero value is ready; the result is in
// the embedded Message, valid until Reset.
type RequestParser struct {
	Message

	stage   uint8
	state   uint8 // of the request line's state machine
	skipped bool  // empty lines came before the request
	pos     int   // next byte to look at
	segment int   // end of the bytes that fit nginx's current header buffer
	busy    int   // large buffers nginx would have taken
	lastAt  int   // start of the last header line seen, -1 before the first
	base    *byte // first byte of the buffer the headers point into

	lines lineScanner
	at    lineOffsets
}

const (
	stageLine = iota
	stageHeader
	stageDone
)

// lineOffsets are the places of the parts of a request line; -1 means absent.
type lineOffsets struct {
	start, methodEnd, schemeStart, schemeEnd, hostStart, hostEnd int
	uriStart, uriEnd, args, ext, protocol, end                   int
}

var noOffsets = lineOffsets{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}

// Reset forgets the parsed head and keeps the memory.
func (p *RequestParser) Reset() {
	p.Message.reset()
	p.stage, p.state, p.pos, p.busy, p.segment = stageLine, 0, 0, 0, 0
	p.lines.state = hStart
	p.skipped, p.base = false, nil
}

// Parse looks at buf, which holds the request from its first byte on, and
// returns:
//
//   - Done and the length of the head: the body begins at buf[n];
//   - More: call again with more bytes appended; the bytes may have moved. The
//     first n bytes are finished with (empty lines before a request): the next
//     call must leave them out;
//   - Preface and 0: an HTTP/2 connection;
//   - a failure: see State. Fields of the message seen so far are set, so that
//     the failure can be logged and answered.
//
// l must be the same in all calls for one request; nginx takes these
// directives from the default server of the address.
func (p *RequestParser) Parse(buf []byte, l *Limits) (n int, st State) {
	if p.stage == stageLine {
		if n, st = p.requestLine(buf, l); st != Done {
			return n, st
		}
		p.stage = stageHeader
		p.lastAt = -1
		p.setLine(buf)
		if p.Version < Version10 {
			p.HeadLen = p.pos - p.at.start
			p.stage = stageDone
			return p.pos, Done
		}
	}
	if p.stage == stageDone {
		return p.pos, Done
	}
	if len(buf) > 0 && p.base != &buf[0] {
		if p.base != nil {
			p.setLine(buf)
			p.Headers.rebase(buf)
			p.rebaseIgnored(buf)
		}
		p.base = &buf[0]
	}
	st = p.header(buf, l)
	if st == Done {
		p.HeadLen = p.pos - p.at.start
		p.stage, p.base = stageDone, nil
		return p.pos, Done
	}
	return 0, st
}

// header reads header lines until the empty one.
func (p *RequestParser) header(buf []byte, l *Limits) State {
	s := &p.lines
	for {
		begin := p.pos
		if s.state != hStart {
			begin = s.nameStart
		}
		next, result := s.line(buf, p.pos, l.Underscores, false)
		p.pos = next
		if next > p.segment || result == lineMore && next == p.segment {
			if st := p.overflow(buf, next, begin, result == lineMore, l); st != Done {
				return st
			}
		}
		switch result {
		case lineMore:
			if next > begin {
				p.lastAt = begin
			}
			return More
		case lineEnd:
			return Done
		case lineBad:
			p.faulty, p.faultyByte = buf[s.nameStart:s.valueEnd], buf[s.valueEnd]
			return ErrHeader
		}
		p.lastAt = begin
		if s.invalid && l.IgnoreInvalid {
			p.ignore(buf)
			continue
		}
		if len(p.List) >= l.MaxHeaders && l.MaxHeaders > 0 {
			return ErrTooManyHeaders
		}
		p.push(buf, s)
		if p.dup != 0 {
			return p.Check(l) // fails: no need to wait for the rest
		}
	}
}

// ignore keeps the line just read for the log only.
func (p *RequestParser) ignore(buf []byte) {
	p.Ignored = append(p.Ignored, Header{})
	p.lines.fill(buf, &p.Ignored[len(p.Ignored)-1])
}

// fill makes the line just read into a Header.
func (s *lineScanner) fill(buf []byte, h *Header) {
	h.Name = buf[s.nameStart:s.nameEnd:s.nameEnd]
	h.Value = buf[s.valueStart:s.valueEnd:s.valueEnd]
	h.ID, h.Invalid = s.id, s.invalid
	h.nameOff, h.valueOff = int32(s.nameStart), int32(s.valueStart)
}

// overflow is called when the line that begins at begin reaches past the
// buffer nginx would hold it in (or fills it, when more bytes are awaited), and
// does what ngx_http_alloc_large_header_buffer does: a line in the making moves
// to the start of the next large buffer, a finished one stays behind.
func (p *RequestParser) overflow(buf []byte, end, begin int, more bool, l *Limits) State {
	for end > p.segment || more && end == p.segment {
		partial := begin < p.segment
		if partial && p.segment-begin >= l.LargeSize || p.busy >= l.LargeCount {
			return p.tooLarge(buf, begin, partial)
		}
		p.busy++
		p.segment = begin + l.LargeSize
	}
	return Done
}

// tooLarge names the failure of overflow.
func (p *RequestParser) tooLarge(buf []byte, begin int, partial bool) State {
	if p.stage == stageLine {
		p.RequestLine = buf[begin:p.segment]
		p.Method, p.Version = 0, 0 // they may come from beyond that
		p.EmptyPath, p.Complex, p.Quoted, p.Plus = false, false, false, false
		return ErrURITooLong
	}
	if !partial {
		begin = p.lastAt
	}
	if begin < 0 {
		return ErrRequestTooLarge
	}
	const logged = 1748 // what nginx leaves of a line in its log
	p.faulty = buf[begin:min(p.segment, begin+logged)]
	return ErrHeaderTooLong
}

// rebaseIgnored does for the dropped lines what Headers.rebase does.
func (p *RequestParser) rebaseIgnored(buf []byte) {
	for i := range p.Ignored {
		e := &p.Ignored[i]
		e.Name = buf[e.nameOff:][:len(e.Name):len(e.Name)]
		e.Value = buf[e.valueOff:][:len(e.Value):len(e.Value)]
	}
}

// setLine fills the fields of the request line from its offsets.
func (p *RequestParser) setLine(buf []byte) {
	at := &p.at
	p.RequestLine = buf[at.start:at.end:at.end]
	p.MethodName = buf[at.start:at.methodEnd:at.methodEnd]
	p.Unparsed = buf[at.uriStart:at.uriEnd:at.uriEnd]
	p.argsAt, p.extAt = 0, 0
	if at.args >= 0 {
		p.argsAt = int32(at.args - at.uriStart)
	}
	if at.ext >= 0 {
		p.extAt = int32(at.ext - at.uriStart)
	}
	if at.protocol >= 0 {
		p.Protocol = buf[at.protocol:at.end:at.end]
	}
	if at.schemeEnd >= 0 {
		p.Scheme = buf[at.schemeStart:at.schemeEnd:at.schemeEnd]
	}
	if at.hostEnd >= 0 {
		p.LineHost = buf[at.hostStart:at.hostEnd:at.hostEnd]
	}
}

// preface is what a client that speaks HTTP/2 without negotiation sends first
// (RFC 9113 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// requestLine reads the request line; Done leaves p.pos after it.
func (p *RequestParser) requestLine(buf []byte, l *Limits) (int, State) {
	if p.state == rStart && p.pos == 0 {
		if p.segment == 0 {
			p.segment = max(l.HeaderBuffer, 1)
		}
		if l.Preface && !p.skipped && len(buf) > 0 && buf[0] == 'P' {
			size := min(len(buf), len(preface))
			if string(buf[:size]) == preface[:size] {
				if size == len(preface) {
					return 0, Preface
				}
				return 0, More
			}
		}
		p.at = noOffsets
		if next := p.fastLine(buf); next > 0 {
			p.pos = next
			if next > p.segment {
				return 0, p.overflow(buf, next, 0, false, l)
			}
			return 0, Done
		}
		p.at = noOffsets
		p.Method, p.Version = 0, 0
		p.Complex, p.Quoted, p.Plus = false, false, false
	}
	next, st := p.slowLine(buf, p.pos)
	p.pos = next
	if st == More && p.state == rStart {
		// Empty lines only: they are done with. nginx keeps them in its buffer
		// until that is full, then begins at its start again.
		p.pos = 0
		p.skipped = p.skipped || next > 0
		for p.segment -= next; p.segment <= 0; {
			p.segment += max(l.HeaderBuffer, 1)
		}
		return next, More
	}
	for p.segment <= p.at.start {
		p.segment += max(l.HeaderBuffer, 1)
	}
	if next > p.segment || st == More && next == p.segment {
		if st := p.overflow(buf, next, p.at.start, st == More, l); st != Done {
			return 0, st
		}
	}
	if st.Failed() {
		p.RequestLine = firstLine(buf[p.at.start:])
	}
	return 0, st
}

// firstLine returns what precedes the first line end, for the log.
func firstLine(buf []byte) []byte {
	for i, c := range buf {
		if c == '\r' || c == '\n' {
			return buf[:i]
		}
	}
	return buf
}

// Words of eight bytes as they lie in memory.
const (
	wordHTTP11 = 0x312e312f50545448 // "HTTP/1.1"
	wordHTTP10 = 0x302e312f50545448 // "HTTP/1.0"
)

// fastLine reads a complete request line of the usual form, "METHOD /path
// HTTP/1.x", and returns the place after it, or 0 when the line is something else.
func (p *RequestParser) fastLine(buf []byte) int {
	i := 0
	for i < len(buf) && i < 16 && (buf[i]-'A' <= 'Z'-'A' || buf[i] == '_' || buf[i] == '-') {
		i++
	}
	if i == 0 || i+1 >= len(buf) || buf[i] != ' ' || buf[i+1] != '/' {
		return 0
	}
	at := &p.at
	at.start, at.methodEnd, at.uriStart = 0, i, i+1
	p.Method = LookupMethod(buf[:i])
	if p.Method == MethodConnect {
		return 0
	}
	i = p.fastURI(buf, i+2)
	if i+10 > len(buf) || buf[i] != ' ' {
		return 0
	}
	at.uriEnd, at.protocol = i, i+1
	switch binary.LittleEndian.Uint64(buf[i+1 : i+9]) {
	case wordHTTP11:
		p.Version = Version11
	case wordHTTP10:
		p.Version = Version10
	default:
		return 0
	}
	i += 9
	at.end = i
	if buf[i] == '\n' {
		return i + 1
	}
	if i+1 < len(buf) && buf[i] == '\r' && buf[i+1] == '\n' {
		return i + 2
	}
	return 0
}

// uriClass sorts the bytes of a URI; 0 is a byte without meaning.
const (
	uriPlain = iota
	uriSlash
	uriDot
	uriPercent
	uriQuery
	uriFragment
	uriPlus
	uriSpace
	uriCR
	uriLF
	uriFatal // other controls
)

var uriClass = classifyURI()

func classifyURI() (class [256]uint8) {
	for i := range class {
		if i < ' ' || i == 0x7f {
			class[i] = uriFatal
		}
	}
	class['/'], class['.'], class['%'], class['?'] = uriSlash, uriDot, uriPercent, uriQuery
	class['#'], class['+'], class[' '] = uriFragment, uriPlus, uriSpace
	class['\r'], class['\n'] = uriCR, uriLF
	return class
}

// fastURI reads on after the first slash of a path to the first space or
// control, noting what the path contains. It returns len(buf) without one.
func (p *RequestParser) fastURI(buf []byte, i int) int {
	slash := true // the byte before was a slash
	for i < len(buf) {
		switch uriClass[buf[i]] {
		case uriPlain:
			slash = false
		case uriSlash:
			if slash {
				p.Complex = true
				return fastRest(p, buf, i+1)
			}
			p.at.ext = -1
			slash = true
		case uriDot:
			if slash {
				p.Complex = true
				return fastRest(p, buf, i+1)
			}
			p.at.ext = i + 1
		case uriPercent:
			p.Quoted = true
			return fastRest(p, buf, i+1)
		case uriQuery:
			p.at.args = i + 1
			return fastRest(p, buf, i+1)
		case uriFragment:
			p.Complex = true
			return fastRest(p, buf, i+1)
		case uriPlus: // nginx goes on as if it were not there
			p.Plus = true
		default:
			return i
		}
		i++
	}
	return i
}

// fastRest reads the rest of a URI in which only '#', the space that ends it
// and controls still matter.
func fastRest(p *RequestParser, buf []byte, i int) int {
	for i+8 <= len(buf) {
		w := binary.LittleEndian.Uint64(buf[i : i+8])
		m := below(w, '#'+1) | equal(w, 0x7f)
		if m == 0 {
			i += 8
			continue
		}
		i += place(m)
		switch uriClass[buf[i]] {
		case uriFragment:
			p.Complex = true
		case uriSpace, uriCR, uriLF, uriFatal:
			return i
		}
		i++
	}
	for ; i < len(buf); i++ {
		switch uriClass[buf[i]] {
		case uriFragment:
			p.Complex = true
		case uriSpace, uriCR, uriLF, uriFatal:
			return i
		}
	}
	return i
}
