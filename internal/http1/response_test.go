package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// answer parses a response given in pieces, the buffer in a new place for
// every call, and writes down what was found.
func answer(text string, cuts func(int) int) string {
	var p ResponseParser
	for at := 0; ; {
		at = min(cuts(at), len(text))
		n, st := p.Parse(bytes.Clone([]byte(text[:at])), 10)
		if st == ResponseMore && at < len(text) {
			continue
		}
		if st == ResponseDone {
			st = p.Check()
		}
		return describeResponse(&p, n, st)
	}
}

func describeResponse(p *ResponseParser, n int, st ResponseState) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s|", st, p.AppendError(nil, st))
	if st == ResponseMore || st == ResponseNoHeader {
		return b.String()
	}
	fmt.Fprintf(&b, "%d %d %q %q|", p.Version, p.Status, p.StatusText, p.Reason)
	for _, h := range p.List {
		fmt.Fprintf(&b, "%q=%q %d|", h.Name, h.Value, h.ID)
	}
	if st == ResponseDone {
		fmt.Fprintf(&b, "%d %d %v %v", n, p.ContentLength, p.Chunked, p.KeepAlive)
	}
	return b.String()
}

var responses = []struct{ name, text, want string }{
	{"usual", "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello",
		fmt.Sprintf(`1 |1001 200 "200 OK" "OK"|"Server"="x" %d|"Content-Length"="5" %d|49 5 false true`, HServer, HContentLength)},
	{"1.0", "HTTP/1.0 404 Not Found\r\nX_y: a b \r\n\r\n", `1 |1000 404 "404 Not Found" "Not Found"|"X_y"="a b" 0|37 -1 false false`},
	{"keep-alive in 1.0", "HTTP/1.0 200 OK\nConnection: Keep-Alive\n\n",
		fmt.Sprintf(`1 |1000 200 "200 OK" "OK"|"Connection"="Keep-Alive" %d|40 -1 false true`, HConnection)},
	{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
		fmt.Sprintf(`1 |1001 200 "200 OK" "OK"|"Connection"="close" %d|38 -1 false false`, HConnection)},
	{"no reason", "HTTP/1.1 204\r\n\r\n", `1 |1001 204 "204" ""|16 -1 false true`},
	{"empty reason", "HTTP/1.1 299 \r\n\r\n", `1 |1001 299 "299 " ""|17 -1 false true`},
	{"reason of some length", "HTTP/1.1 200 It is  fine \r\n\r\n", `1 |1001 200 "200 It is  fine " "It is  fine "|29 -1 false true`},
	{"sub code", "HTTP/1.1 403.1 Forbidden\n\n", `1 |1001 403 "403.1 Forbidden" "1 Forbidden"|26 -1 false true`},
	{"spaces before code", "HTTP/1.12   200 OK\r\n\r\n", `1 |1012 200 "200 OK" "OK"|22 -1 false true`},
	{"repeated status line", "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n", `1 |1001 200 "200 OK" "OK"|"A"="b" 0|42 -1 false true`},
	{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		fmt.Sprintf(`1 |1001 200 "200 OK" "OK"|"Transfer-Encoding"="chunked" %d|47 -1 true true`, HTransferEncoding)},

	{"unfinished", "HTTP/1.1 200 OK\r\nA: b\r\n", "0 |"},
	{"unfinished line", "HTTP/1.1 200", "0 |"},
	{"no status line", "<html>", "2 upstream sent no valid HTTP/1.0 header|"},
	{"other protocol", "HTTQ/1.1 200 OK\r\n", "2 upstream sent no valid HTTP/1.0 header|"},
	{"version 0", "HTTP/0.9 200 OK\r\n", "2 upstream sent no valid HTTP/1.0 header|"},
	{"two digits", "HTTP/1.1 20 OK\r\n\r\n", "2 upstream sent no valid HTTP/1.0 header|"},
	{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", "2 upstream sent no valid HTTP/1.0 header|"},
	{"CR in reason", "HTTP/1.1 200 a\rb\r\n\r\n", "2 upstream sent no valid HTTP/1.0 header|"},
	{"space before colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", `3 upstream sent invalid header: "A\x20..."|1001 200 "200 OK" "OK"|`},
	{"NUL", "HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", `3 upstream sent invalid header: "A: b\x00..."|1001 200 "200 OK" "OK"|`},
	{"obs-fold", "HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n\r\n", `3 upstream sent invalid header: "\x09..."|1001 200 "200 OK" "OK"|"A"="b" 0|`},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n",
		fmt.Sprintf(`4 upstream sent duplicate header line: "content-length: 6", previous value: "Content-Length: 5"|1001 200 "200 OK" "OK"|"Content-Length"="5" %d|"content-length"="6" %[1]d|`, HContentLength)},
	{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
		fmt.Sprintf(`5 upstream sent invalid "Content-Length" header: "Content-Length: 5x"|1001 200 "200 OK" "OK"|"Content-Length"="5x" %d|`, HContentLength)},
	{"other coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		fmt.Sprintf(`6 upstream sent unknown "Transfer-Encoding": "gzip"|1001 200 "200 OK" "OK"|"Transfer-Encoding"="gzip" %d|`, HTransferEncoding)},
	{"length and coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
		fmt.Sprintf(`7 upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time|1001 200 "200 OK" "OK"|"Transfer-Encoding"="chunked" %d|"Content-Length"="5" %d|`, HTransferEncoding, HContentLength)},
	{"too many", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 11) + "\r\n",
		`8 upstream sent too many header lines|1001 200 "200 OK" "OK"|` + strings.Repeat(`"A"="b" 0|`, 10)},
}

func TestResponses(t *testing.T) {
	for _, c := range responses {
		t.Run(c.name, func(t *testing.T) {
			for _, cuts := range []func(int) int{whole, bytewise, until([]byte{5, 11, 2})} {
				if got := answer(c.text, cuts); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			}
		})
	}
}

func TestResponseAllocatesNothing(t *testing.T) {
	var p ResponseParser
	text := []byte("HTTP/1.1 200 OK\r\nServer: x\r\nX-Own: y\r\nContent-Length: 5\r\n\r\n")
	run := func() {
		p.Reset()
		p.Parse(text[:30], 0)
		if _, st := p.Parse(text, 0); st != ResponseDone || p.Check() != ResponseDone {
			t.Fatal(st)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAppendStatusLine(t *testing.T) {
	for _, c := range []struct {
		version, code int
		reason, want  string
	}{
		{Version11, 200, "", "HTTP/1.1 200 OK\r\n"},
		{Version10, 302, "", "HTTP/1.0 302 Moved Temporarily\r\n"},
		{Version11, 414, "", "HTTP/1.1 414 Request-URI Too Large\r\n"},
		{Version11, 418, "", "HTTP/1.1 418 \r\n"},
		{Version11, 999, "", "HTTP/1.1 999 \r\n"},
		{Version11, 7, "", "HTTP/1.1 007 \r\n"},
		{Version11, 200, "Fine", "HTTP/1.1 200 Fine\r\n"},
	} {
		if got := AppendStatusLine(nil, c.version, c.code, c.reason); string(got) != c.want {
			t.Errorf("%d: %q", c.code, got)
		}
	}
	if Reason(-1) != "" || Reason(600) != "" || Reason(503) != "Service Temporarily Unavailable" {
		t.Error("Reason")
	}
	if got := AppendHeader([]byte("A: b\r\n"), "Server", []byte("x")); string(got) != "A: b\r\nServer: x\r\n" {
		t.Errorf("%q", got)
	}
}

func FuzzResponse(f *testing.F) {
	for _, c := range responses {
		f.Add([]byte(c.text), []byte{1, 9})
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		if len(data) > 2000 {
			return
		}
		want := answer(string(data), whole)
		for _, c := range []func(int) int{bytewise, until(cuts)} {
			if got := answer(string(data), c); got != want {
				t.Fatalf("whole:\n%s\npieces:\n%s", want, got)
			}
		}
	})
}
