// Package client speaks HTTP/1 to the server under test with raw sockets: what is
// sent is what the test says, byte for byte, and the framing of the answer is
// checked, not repaired.
package client

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"moongate/internal/testkit/pattern"
)

// Piece is a part of a request that is written by itself.
type Piece struct {
	Text     string
	Delay    time.Duration // before it is written
	HasDelay bool
}

// Request is what one connection sends.
type Request []Piece

// Text is the whole request.
func (r Request) Text() string {
	var b strings.Builder
	for _, p := range r {
		b.WriteString(p.Text)
	}
	return b.String()
}

// IsHead tells whether the request is a HEAD request, whose answer has no body.
func (r Request) IsHead() bool {
	f := strings.Fields(r.Text())
	return len(f) > 1 && f[0] == "HEAD"
}

// Raw makes a request of pieces sent as they are.
func Raw(pieces ...string) Request {
	r := make(Request, len(pieces))
	for i, p := range pieces {
		r[i].Text = p
	}
	return r
}

// ParseHeaders reads the text of a more_headers section: one header a line,
// comment lines begin with #. chunked tells of Transfer-Encoding: chunked.
func ParseHeaders(text string) (lines string, chunked bool) {
	var b strings.Builder
	for _, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
			continue
		}
		key, val, _ := strings.Cut(line, ":")
		val = strings.TrimLeft(val, " \t")
		if strings.EqualFold(key, "transfer-encoding") && val == "chunked" {
			chunked = true
		}
		b.WriteString(key + ": " + val + "\r\n")
	}
	return b.String(), chunked
}

// Template is what surrounds the request line and the body.
type Template struct {
	Host       string // used unless the headers have a Host
	Connection string // used unless the headers have a Connection
	Headers    string // as ParseHeaders returns them
	Chunked    bool   // the body is in chunks already
}

// segment is a run of the source text and what becomes of it.
type segment struct {
	from, to int
	text     string
}

var (
	requestLine = pattern.MustCompile(`^(\s*)(\S+)( *)((\S+)( *))?((\S+)( *))?(\s*)$`, "")
	hasLength   = pattern.MustCompile(`(?:^|\n)Content-Length:`, "")
	hasHost     = pattern.MustCompile(`(?:^|\n)Host:`, "i")
	hasConn     = pattern.MustCompile(`(?:^|\n)Connection`, "i")
)

// Build turns the short form "METHOD [URL [VERSION]]\nBODY", given in one or more
// pieces, into a full HTTP request, cut where the pieces were cut.
func (t *Template) Build(pieces []Piece) (Request, error) {
	src := Request(pieces).Text()
	first, body, _ := strings.Cut(src, "\n")
	if src == "" {
		return nil, fmt.Errorf("request line should be non-empty")
	}
	m := requestLine.Find(first, 0)
	if m == nil {
		return nil, fmt.Errorf("bad request line %q: should be METHOD [URL [VERSION]]", first)
	}
	group := func(n int, otherwise string) segment {
		if m[2*n] < 0 {
			return segment{len(first), len(first), otherwise}
		}
		return segment{m[2*n], m[2*n+1], first[m[2*n]:m[2*n+1]]}
	}
	method, url, version := group(2, ""), group(5, "/"), group(8, "HTTP/1.1")
	method.text += " "
	url.text += " "
	version.text += "\r\n" + t.headers(&body)
	rest := segment{min(len(first)+1, len(src)), len(src), body}
	return cut(pieces, []segment{method, url, version, rest}), nil
}

// headers returns the header block; a body with a length of its own is trimmed.
func (t *Template) headers(body *string) string {
	length := ""
	if !t.Chunked && *body != "" && !hasLength.Match(t.Headers) {
		*body = strings.TrimFunc(*body, func(r rune) bool { return r < 0x80 && unicode.IsSpace(r) })
		length = "Content-Length: " + strconv.Itoa(len(*body)) + "\r\n"
	}
	var b strings.Builder
	if !hasHost.Match(t.Headers) {
		b.WriteString("Host: " + t.Host + "\r\n")
	}
	if !hasConn.Match(t.Headers) {
		b.WriteString("Connection: " + t.Connection + "\r\n")
	}
	return b.String() + t.Headers + length + "\r\n"
}

// cut joins the segments' texts and cuts them into pieces where the source was
// cut: an offset inside a segment's source is the same offset inside its text.
func cut(pieces []Piece, segs []segment) Request {
	var all strings.Builder
	for _, s := range segs {
		all.WriteString(s.text)
	}
	text, done, end := all.String(), 0, 0
	out := make(Request, len(pieces))
	for i, p := range pieces {
		end += len(p.Text)
		to := len(text)
		if i < len(pieces)-1 {
			to = max(done, outputOffset(segs, end))
		}
		p.Text, done = text[done:to], to
		out[i] = p
	}
	return out
}

func outputOffset(segs []segment, at int) (out int) {
	for _, s := range segs {
		if at <= s.from {
			break
		}
		if at < s.to {
			return out + min(at-s.from, len(s.text))
		}
		out += len(s.text)
	}
	return out
}
