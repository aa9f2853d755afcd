package client

import (
	"fmt"
	"strconv"
	"strings"

	"moongate/internal/testkit/pattern"
)

// Response is one parsed answer.
type Response struct {
	Status     string // three digits; empty when there was no status line
	Proto      string
	Reason     string
	RawHeaders string // from the status line to the last header, with line ends
	Body       string // decoded when it came in chunks
	Left       string // what followed the answer
	Fault      string // broken framing; Status is empty then
	Warning    string // odd but readable
	headers    []header
}

type header struct{ name, value string }

// Header is the value of the named header, several joined by ", ".
func (r *Response) Header(name string) (string, bool) {
	vals := r.values(name)
	return strings.Join(vals, ", "), len(vals) > 0
}

func (r *Response) values(name string) (vals []string) {
	for _, h := range r.headers {
		if strings.EqualFold(h.name, name) {
			vals = append(vals, h.value)
		}
	}
	return vals
}

// ParseHTTP09 takes everything for the body.
func ParseHTTP09(raw string) *Response { return &Response{Status: "200", Body: raw} }

// Parse reads one answer from raw. head tells that it answers a HEAD request.
func Parse(raw string, head bool) *Response {
	r := &Response{}
	if i := strings.Index(raw, "\r\n\r\n"); i >= 0 {
		r.RawHeaders = raw[:i+2]
	}
	status, rest, _ := strings.Cut(raw, "\n")
	r.statusLine(strings.TrimSuffix(status, "\r"))
	body := r.parseHeaders(rest)
	if r.Status == "304" || r.Status == "101" {
		r.Body = body
		return r
	}
	encoding, _ := r.Header("Transfer-Encoding")
	length, hasLength := r.Header("Content-Length")
	n, err := strconv.Atoi(strings.TrimSpace(length))
	switch {
	case encoding == "chunked":
		r.dechunk(body)
	case hasLength && err == nil && n >= 0 && len(body) > n:
		r.Body, r.Left = body[:n], body[n:]
	default:
		r.Body = body
		if hasLength && err == nil && len(body) < n && !head {
			r.Warning = fmt.Sprintf("response body truncated: %d expected, but got %d", n, len(body))
		}
	}
	if r.Left != "" {
		r.Warning = fmt.Sprintf("unexpected extra bytes after the response: %q", shorten(r.Left))
	}
	return r
}

func shorten(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}

func (r *Response) statusLine(line string) {
	if len(line) >= 4 && line[3] == ' ' && isStatus(line[:3]) { // no protocol
		r.Status, r.Reason = line[:3], line[4:]
		return
	}
	f := strings.SplitN(line, " ", 3)
	if len(f) < 2 || !isStatus(f[1]) {
		return
	}
	r.Proto, r.Status = f[0], f[1]
	if len(f) > 2 {
		r.Reason = f[2]
	}
}

func isStatus(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

var headerLine = pattern.MustCompile(`^([^\s:]+)[ \t]*: ?(.*)$`, "s")

// parseHeaders reads header lines and returns what follows the empty line.
func (r *Response) parseHeaders(text string) (body string) {
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		line = strings.TrimSuffix(line, "\r")
		if m := headerLine.Find(line, 0); m != nil {
			r.headers = append(r.headers, header{line[m[2]:m[3]], line[m[4]:m[5]]})
		} else if len(r.headers) > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			r.headers[len(r.headers)-1].value += "\n" + line
		} else if line == "" {
			return rest
		} else {
			return text
		}
		text = rest
	}
	return ""
}

// dechunk decodes a chunked body; anything but strict framing is a fault.
func (r *Response) dechunk(raw string) {
	var body strings.Builder
	fault := func(format string, args ...any) {
		r.Status, r.Fault = "", fmt.Sprintf(format, args...)
	}
	trailers := r.values("Trailer")
	for {
		if raw == "" {
			fault("no last chunk found")
			return
		}
		line, rest, ok := strings.Cut(raw, "\r\n")
		size, err := strconv.ParseUint(strings.Trim(line, " \t"), 16, 32)
		if !ok || err != nil {
			fault("invalid chunked body received: %q", shorten(raw))
			return
		}
		if size == 0 {
			for _, name := range trailers {
				field, after, ok := strings.Cut(rest, "\r\n")
				if !ok || !strings.HasPrefix(field, name+": ") {
					fault("invalid trailer data received (expected %s)", name)
					return
				}
				rest = after
			}
			if !strings.HasPrefix(rest, "\r\n") {
				fault("invalid chunked data received (expected CRLF behind the last chunk): %q", shorten(rest))
				return
			}
			r.Body, r.Left = body.String(), rest[2:]
			return
		}
		if uint64(len(rest)) < size {
			fault("invalid chunked data received (not enough octets for the data section)")
			return
		}
		body.WriteString(rest[:size])
		if raw, ok = strings.CutPrefix(rest[size:], "\r\n"); !ok {
			fault("invalid chunked data received (expected CRLF)")
			return
		}
	}
}
