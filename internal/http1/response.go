package http1

import (
	"encoding/binary"

	"moongate/internal/base/ascii"
)

// Response is the head of a response from an upstream server. Slices point
// into the parsed buffer.
type Response struct {
	Version    int
	Status     int
	StatusText []byte // "200 OK": code and reason, as nginx keeps for $upstream and the answer
	Reason     []byte
	Headers

	ContentLength int64 // -1 without the header; see Check
	Chunked       bool
	KeepAlive     bool // version and Connection allow another request

	faulty     []byte
	faultyByte byte
}

// ResponseState is the outcome of parsing a response.
type ResponseState uint8

const (
	ResponseMore ResponseState = iota
	ResponseDone
	// ResponseNoHeader means that the first line is no status line; nginx logs
	// "upstream sent no valid HTTP/1.0 header".
	ResponseNoHeader
	ResponseBadHeader    // a header line that cannot be read
	ResponseDuplicate    // a repeated Content-Length or Transfer-Encoding
	ResponseBadLength    // Content-Length is not a number
	ResponseBadCoding    // a Transfer-Encoding other than chunked
	ResponseLengthCoding // both at once
	ResponseTooMany      // more header lines than allowed
)

// AppendError appends nginx's log line for a failure; the upstream module
// answers 502.
func (r *Response) AppendError(dst []byte, s ResponseState) []byte {
	switch s {
	case ResponseNoHeader:
		dst = append(dst, "upstream sent no valid HTTP/1.0 header"...)
	case ResponseBadHeader:
		dst = append(dst, "upstream sent invalid header: \""...)
		dst = append(dst, r.faulty...)
		dst = append(dst, '\\', 'x', lowerHex[r.faultyByte>>4], lowerHex[r.faultyByte&15])
		dst = append(dst, `..."`...)
	case ResponseDuplicate:
		again := &r.List[r.dup-1]
		dst = append(dst, "upstream sent duplicate header line: "...)
		dst = appendLine(dst, again)
		dst = append(dst, ", previous value: "...)
		dst = appendLine(dst, &r.List[r.Index(again.ID)])
	case ResponseBadLength:
		dst = append(dst, "upstream sent invalid \"Content-Length\" header: "...)
		dst = appendLine(dst, &r.List[r.Index(HContentLength)])
	case ResponseBadCoding:
		dst = append(dst, "upstream sent unknown \"Transfer-Encoding\": \""...)
		dst = append(dst, r.Get(HTransferEncoding)...)
		dst = append(dst, '"')
	case ResponseLengthCoding:
		dst = append(dst, "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time"...)
	case ResponseTooMany:
		dst = append(dst, "upstream sent too many header lines"...)
	}
	return dst
}

// ResponseParser parses response heads. The zero value is ready; the result is
// in the embedded Response, valid until Reset.
type ResponseParser struct {
	Response

	stage uint8
	state uint8
	pos   int
	base  *byte
	at    statusOffsets
	lines lineScanner
}

type statusOffsets struct{ code, text, end, digits int }

// Reset forgets the parsed head and keeps the memory.
func (p *ResponseParser) Reset() {
	headers := p.Headers
	headers.Reset()
	*p = ResponseParser{Response: Response{Headers: headers}}
}

// Parse looks at buf, which holds the response from its first byte on.
// ResponseDone returns the length of the head; after ResponseMore call again
// with more bytes appended, which may have moved. maxHeaders 0 means no limit.
func (p *ResponseParser) Parse(buf []byte, maxHeaders int) (n int, st ResponseState) {
	if p.stage == stageLine {
		if st = p.statusLine(buf); st != ResponseDone {
			return 0, st
		}
		p.stage = stageHeader
		p.setLine(buf)
	}
	if p.stage == stageDone {
		return p.pos, ResponseDone
	}
	if len(buf) > 0 && p.base != &buf[0] {
		if p.base != nil {
			p.setLine(buf)
			p.rebase(buf)
		}
		p.base = &buf[0]
	}
	if st = p.header(buf, maxHeaders); st != ResponseDone {
		return 0, st
	}
	p.stage, p.base = stageDone, nil
	return p.pos, ResponseDone
}

func (p *ResponseParser) header(buf []byte, maxHeaders int) ResponseState {
	s := &p.lines
	for {
		next, result := s.line(buf, p.pos, true, true)
		p.pos = next
		switch result {
		case lineMore:
			return ResponseMore
		case lineEnd:
			return ResponseDone
		case lineBad:
			p.faulty, p.faultyByte = buf[s.nameStart:s.valueEnd], buf[s.valueEnd]
			return ResponseBadHeader
		}
		if maxHeaders > 0 && len(p.List) >= maxHeaders {
			return ResponseTooMany
		}
		p.push(buf, s)
	}
}

func (p *ResponseParser) setLine(buf []byte) {
	p.StatusText = buf[p.at.code:p.at.end:p.at.end]
	p.Reason = buf[p.at.text:p.at.end:p.at.end]
}

// States of the status line after "HTTP/".
const (
	sPrefix     = iota
	sFirstMajor = iota + 4 // the states before count the bytes of "HTTP/"
	sMajor
	sFirstMinor
	sMinor
	sCode
	sAfterCode
	sReason
	sAlmostDone
)

// statusLine reads "HTTP/x.y code reason" as ngx_http_parse_status_line does:
// the reason may be missing, and a dot may follow the code.
func (p *ResponseParser) statusLine(buf []byte) ResponseState {
	if p.pos == 0 && p.fastStatus(buf) {
		return ResponseDone
	}
	for ; p.pos < len(buf); p.pos++ {
		switch st := p.stepStatus(p.pos, buf[p.pos]); st {
		case ResponseDone:
			if p.at.text == 0 {
				p.at.text = p.at.end
			}
			p.pos++
			return st
		case ResponseNoHeader:
			return st
		}
	}
	return ResponseMore
}

// fastStatus reads a complete line of the usual form.
func (p *ResponseParser) fastStatus(buf []byte) bool {
	if len(buf) < 16 || buf[8] != ' ' || buf[12] != ' ' {
		return false
	}
	switch binary.LittleEndian.Uint64(buf) {
	case wordHTTP11:
		p.Version = Version11
	case wordHTTP10:
		p.Version = Version10
	default:
		return false
	}
	code := 0
	for _, c := range buf[9:12] {
		if !ascii.IsDigit(c) {
			return false
		}
		code = code*10 + int(c-'0')
	}
	end := findLineEnd(buf, 13)
	if end+1 >= len(buf) || buf[end] != '\r' || buf[end+1] != '\n' {
		return false
	}
	p.Status = code
	p.at.code, p.at.text, p.at.end = 9, 13, end
	p.pos = end + 2
	return true
}

func (p *ResponseParser) stepStatus(i int, c byte) ResponseState {
	digit := ascii.IsDigit(c)
	switch {
	case p.state < sFirstMajor:
		if c != "HTTP/"[p.state] {
			return ResponseNoHeader
		}
		p.state++
	case p.state < sCode:
		return p.stepVersion(c, digit)
	case p.state == sCode:
		if c == ' ' {
			break
		}
		if !digit {
			return ResponseNoHeader
		}
		if p.at.digits == 0 {
			p.Status = 0
		}
		p.Status = p.Status*10 + int(c-'0')
		if p.at.digits++; p.at.digits == 3 {
			p.at.code = i - 2
			p.state = sAfterCode
		}
	case p.state == sAlmostDone:
		if c != '\n' {
			return ResponseNoHeader
		}
		p.at.end = i - 1
		return ResponseDone
	default:
		return p.stepReason(i, c)
	}
	return ResponseMore
}

func (p *ResponseParser) stepVersion(c byte, digit bool) ResponseState {
	const most = 99
	major, minor := p.Version/1000, p.Version%1000
	switch {
	case p.state == sFirstMajor:
		if !digit || c == '0' {
			return ResponseNoHeader
		}
		p.Version = int(c-'0') * 1000
		p.state = sMajor
	case p.state == sMajor && c == '.':
		p.state = sFirstMinor
	case p.state == sMinor && c == ' ':
		p.state = sCode
	case !digit || major > most || minor > most:
		return ResponseNoHeader
	case p.state == sMajor:
		p.Version = (major*10 + int(c-'0')) * 1000
	default:
		p.Version = major*1000 + minor*10 + int(c-'0')
		p.state = sMinor
	}
	return ResponseMore
}

func (p *ResponseParser) stepReason(i int, c byte) ResponseState {
	switch {
	case c == '\r':
		p.state = sAlmostDone
	case c == '\n':
		p.at.end = i
		return ResponseDone
	case p.state == sReason:
	case c == ' ' || c == '.': // IIS sends codes such as 403.1
		p.at.text = i + 1
		p.state = sReason
	default:
		return ResponseNoHeader
	}
	return ResponseMore
}

// Check applies the rules about framing and fills the last group of fields.
func (r *Response) Check() ResponseState {
	r.ContentLength, r.Chunked = -1, false
	for _, id := range [...]HeaderID{HContentLength, HTransferEncoding} {
		if i := r.Index(id); i >= 0 {
			if again := r.Next(i); again >= 0 {
				r.dup = again + 1
				return ResponseDuplicate
			}
		}
	}
	if r.Has(HContentLength) {
		n, ok := ascii.ParseInt(r.Get(HContentLength))
		if !ok {
			return ResponseBadLength
		}
		r.ContentLength = n
	}
	if r.Has(HTransferEncoding) {
		if !ascii.EqualFold(r.Get(HTransferEncoding), "chunked") {
			return ResponseBadCoding
		}
		if r.Has(HContentLength) {
			return ResponseLengthCoding
		}
		r.Chunked = true
	}
	r.KeepAlive = r.Version > Version10
	for i := r.Index(HConnection); i >= 0; i = r.Next(i) {
		value := r.List[i].Value
		if ascii.ContainsFold(value, "close") {
			r.KeepAlive = false
			break
		}
		if ascii.ContainsFold(value, "keep-alive") {
			r.KeepAlive = true
		}
	}
	return ResponseDone
}
