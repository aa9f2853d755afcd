package http1

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// request makes a head of lines.
func request(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// Requests that fail, with the status and the words of nginx.
var failing = []struct {
	name, text string
	status     int
	log        string
}{
	{"tls hello", "\x16\x03\x01\x02", 400, `client sent invalid method`},
	{"lower case method", "get / HTTP/1.0\r\n\r\n", 400, `client sent invalid method`},
	{"method with tab", "GET\t/ HTTP/1.0\r\n\r\n", 400, `client sent invalid method`},
	{"method with digit", "G3T / HTTP/1.0\r\n\r\n", 400, `client sent invalid method`},
	{"asterisk form", request("OPTIONS * HTTP/1.1", "Host: a"), 400, `client sent invalid request`},
	{"control in path", "GET /a\x01 HTTP/1.1\r\n", 400, `client sent invalid request`},
	{"NUL in path", "GET /a\x00 HTTP/1.1\r\n", 400, `client sent invalid request`},
	{"DEL in arguments", "GET /a?\x7f HTTP/1.1\r\n", 400, `client sent invalid request`},
	{"tab in path", "GET /a\tHTTP/1.1\r\n", 400, `client sent invalid request`},
	{"bare CR in line", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400, `client sent invalid request`},
	{"space in path", "GET /a b HTTP/1.1\r\n\r\n", 400, `client sent invalid request`},
	{"lower case protocol", "GET / http/1.1\r\n\r\n", 400, `client sent invalid request`},
	{"version without minor", "GET / HTTP/1\r\n\r\n", 400, `client sent invalid request`},
	{"version 0.9 written", "GET / HTTP/0.9\r\n\r\n", 400, `client sent invalid request`},
	{"minor too long", "GET / HTTP/1.1111\r\n\r\n", 400, `client sent invalid request`},
	{"garbage after version", "GET / HTTP/1.1 x\r\n\r\n", 400, `client sent invalid request`},
	{"version 2", "GET / HTTP/2.0\r\n\r\n", 505, `client sent invalid version`},
	{"version 10", "GET / HTTP/10.0\r\n\r\n", 505, `client sent invalid version`},
	{"version 9", "GET / HTTP/9.1\r\n\r\n", 505, `client sent invalid version`},
	{"0.9 with POST", "POST /\r\n", 400, `client sent invalid method in HTTP/0.9 request`},
	{"scheme without slashes", "GET http:/a/ HTTP/1.1\r\n", 400, `client sent invalid request`},
	{"absolute form, bad host byte", "GET http://a_b/ HTTP/1.1\r\n", 400, `client sent invalid request`},
	{"absolute form, empty host", request("GET http:/// HTTP/1.1", "Host: a"), 400, `client sent invalid host in request line`},
	{"absolute form, two dots", request("GET http://a..b/ HTTP/1.1", "Host: a"), 400, `client sent invalid host in request line`},
	{"connect without port", "CONNECT a HTTP/1.1\r\n", 400, `client sent invalid request`},
	{"connect with path", "CONNECT a:1/ HTTP/1.1\r\n", 400, `client sent invalid request`},
	{"connect", request("CONNECT a:1 HTTP/1.1", "Host: a:1"), 405, `client sent CONNECT method`},
	{"trace", request("TRACE / HTTP/1.1", "Host: a"), 405, `client sent TRACE method`},

	{"space before colon", request("GET / HTTP/1.1", "Host : a"), 400, `client sent invalid header line: "Host\x20..."`},
	{"tab before colon", request("GET / HTTP/1.1", "Host\t: a"), 400, `client sent invalid header line: "Host\x09..."`},
	{"obs-fold", request("GET / HTTP/1.1", "Host: a", "X: b", " c"), 400, `client sent invalid header line: "\x20..."`},
	{"obs-fold by tab", request("GET / HTTP/1.1", "Host: a", "\tb"), 400, `client sent invalid header line: "\x09..."`},
	{"empty name", request("GET / HTTP/1.1", "Host: a", ": b"), 400, `client sent invalid header line: "\x3a..."`},
	{"NUL in name", request("GET / HTTP/1.1", "Ho\x00st: a"), 400, `client sent invalid header line: "Ho\x00..."`},
	{"control for dash in name", request("POST / HTTP/1.1", "Host: a", "Content\x0dLength: 5"), 400,
		`client sent invalid header line: "Content\x0d..."`},
	{"NUL in value", request("GET / HTTP/1.1", "Host: a", "X: b\x00c"), 400, `client sent invalid header line: "X: b\x00..."`},
	{"NUL begins value", request("GET / HTTP/1.1", "Host: a", "X: \x00"), 400, `client sent invalid header line: "X: \x00..."`},
	{"NUL after space", request("GET / HTTP/1.1", "Host: a", "X: b \x00"), 400, `client sent invalid header line: "X: b \x00..."`},
	{"bare CR in value", request("GET / HTTP/1.1", "Host: a", "X: b\rc"), 400, `client sent invalid header line: "X: b\x0d..."`},
	{"bare CR for the end", "GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", 400, `client sent invalid header line: "\x0d..."`},

	{"no host", request("GET / HTTP/1.1", "Accept: *"), 400, `client sent HTTP/1.1 request without "Host" header`},
	{"no host in 1.2", request("GET / HTTP/1.2", "Accept: *"), 400, `client sent HTTP/1.1 request without "Host" header`},
	{"two hosts", request("GET / HTTP/1.1", "Host: a", "host: b"), 400,
		`client sent duplicate host header: "host: b", previous value: "Host: a"`},
	{"two equal hosts in 1.0", request("GET / HTTP/1.0", "Host: a", "Host: a"), 400,
		`client sent duplicate host header: "Host: a", previous value: "Host: a"`},
	{"empty host", request("GET / HTTP/1.1", "Host: "), 400, `client sent invalid host header`},
	{"host with a slash", request("GET / HTTP/1.1", "Host: a/b"), 400, `client sent invalid host header`},
	{"host with userinfo", request("GET / HTTP/1.1", "Host: a@b"), 400, `client sent invalid host header`},
	{"bad host before repeated one", request("GET / HTTP/1.1", "Host: a..b", "Host: c"), 400, `client sent invalid host header`},
	{"repeated header before bad host", request("GET / HTTP/1.1", "Expect: 1", "Expect: 2", "Host: a..b"), 400,
		`client sent duplicate header line: "Expect: 2", previous value: "Expect: 1"`},
	{"bad host beside absolute form", request("GET http://a/ HTTP/1.1", "Host: a b"), 400, `client sent invalid host header`},

	{"two lengths", request("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 6"), 400,
		`client sent duplicate header line: "Content-Length: 6", previous value: "Content-Length: 5"`},
	{"two equal lengths", request("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 5"), 400,
		`client sent duplicate header line: "Content-Length: 5", previous value: "Content-Length: 5"`},
	{"list of lengths", request("POST / HTTP/1.1", "Host: a", "Content-Length: 5, 5"), 400, `client sent invalid "Content-Length" header`},
	{"signed length", request("POST / HTTP/1.1", "Host: a", "Content-Length: +5"), 400, `client sent invalid "Content-Length" header`},
	{"negative length", request("POST / HTTP/1.1", "Host: a", "Content-Length: -1"), 400, `client sent invalid "Content-Length" header`},
	{"hexadecimal length", request("POST / HTTP/1.1", "Host: a", "Content-Length: 0x5"), 400, `client sent invalid "Content-Length" header`},
	{"empty length", request("POST / HTTP/1.1", "Host: a", "Content-Length:"), 400, `client sent invalid "Content-Length" header`},
	{"tab before length", request("POST / HTTP/1.1", "Host: a", "Content-Length:\t5"), 400, `client sent invalid "Content-Length" header`},
	{"tab after length", request("POST / HTTP/1.1", "Host: a", "Content-Length: 5\t"), 400, `client sent invalid "Content-Length" header`},
	{"length too large", request("POST / HTTP/1.1", "Host: a", "Content-Length: 9223372036854775808"), 400,
		`client sent invalid "Content-Length" header`},
	{"length and coding", request("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"), 400,
		`client sent "Content-Length" and "Transfer-Encoding" headers at the same time`},
	{"coding and length", request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 0"), 400,
		`client sent "Content-Length" and "Transfer-Encoding" headers at the same time`},
	{"two codings", request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"), 400,
		`client sent duplicate header line: "Transfer-Encoding: identity", previous value: "Transfer-Encoding: chunked"`},
	{"coding in 1.0", request("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked"), 400,
		`client sent HTTP/1.0 request with "Transfer-Encoding" header`},
	{"other coding", request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip, chunked"), 501,
		`client sent unknown "Transfer-Encoding": "gzip, chunked"`},
	{"almost chunked", request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: xchunked"), 501,
		`client sent unknown "Transfer-Encoding": "xchunked"`},
	{"quoted chunked", request("POST / HTTP/1.1", "Host: a", `Transfer-Encoding: "chunked"`), 501,
		`client sent unknown "Transfer-Encoding": ""chunked""`},
	{"tab before chunked", request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding:\tchunked"), 501,
		"client sent unknown \"Transfer-Encoding\": \"\tchunked\""},
	{"control before chunked", request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: \x0bchunked"), 501,
		"client sent unknown \"Transfer-Encoding\": \"\x0bchunked\""},
	{"coding split by LF", "POST / HTTP/1.1\nHost: a\nTransfer-Encoding:\n chunked\n\n", 400,
		`client sent invalid header line: "\x20..."`},
	{"empty coding", request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding:"), 501, `client sent unknown "Transfer-Encoding": ""`},
	{"two agents of authorization", request("GET / HTTP/1.1", "Host: a", "Authorization: b", "Authorization: c"), 400,
		`client sent duplicate header line: "Authorization: c", previous value: "Authorization: b"`},
}

func TestFailingRequests(t *testing.T) {
	l := DefaultLimits
	for _, c := range failing {
		t.Run(c.name, func(t *testing.T) {
			var p RequestParser
			_, st := p.Parse([]byte(c.text), &l)
			if st == Done {
				st = p.Check(&l)
			}
			if !st.Failed() || st.Status() != c.status {
				t.Errorf("%q ends as %q with status %d, want %d", c.text, st, st.Status(), c.status)
			}
			if got := string(p.AppendError(nil, st)); got != c.log {
				t.Errorf("logged: %s\nwant:   %s", got, c.log)
			}
			if want := firstLine([]byte(c.text)); c.status != 505 && !bytes.HasPrefix(want, p.RequestLine) {
				t.Errorf("request line %q of %q", p.RequestLine, want)
			}
		})
	}
}

func TestErrorContext(t *testing.T) {
	for st := ErrMethod; st < numStates; st++ {
		if st == firstHeaderFail {
			continue
		}
		if !st.Failed() || st.String() == "" || st.Status() < 400 {
			t.Errorf("state %d: %q %d", st, st, st.Status())
		}
		want := "reading client request headers"
		if st <= ErrHostInLine {
			want = "reading client request line"
		}
		if st.Action() != want {
			t.Errorf("%s: %s", st, st.Action())
		}
	}
	if More.Failed() || Done.Failed() || Preface.Failed() || Done.Status() != 0 {
		t.Error("a success counts as failure")
	}
}

// Requests that pass.
var passing = []struct {
	name, text string
	want       func(p *RequestParser) []any
	equal      []any
}{
	{"plain", request("GET /a/b.html?c=d&e HTTP/1.1", "Host: Example.COM:8080", "X-Own:  some value  "),
		func(p *RequestParser) []any {
			return []any{p.Method, p.RequestLine, p.URI, p.Args, p.Exten, p.Protocol, p.Server, p.Port, p.Version, p.KeepAlive, p.List[1].Value}
		},
		[]any{MethodGet, "GET /a/b.html?c=d&e HTTP/1.1", "/a/b.html", "c=d&e", "html", "HTTP/1.1", "example.com", 8080, 1001, true, "some value"}},
	{"empty lines first", "\r\n\n\r\n" + request("GET / HTTP/1.0"),
		func(p *RequestParser) []any { return []any{p.RequestLine, p.URI, p.Version, p.HeadLen, p.KeepAlive} },
		[]any{"GET / HTTP/1.0", "/", 1000, 18, false}},
	{"bare LF", "GET /x HTTP/1.1\nHost: a\nVia: b\n\n",
		func(p *RequestParser) []any { return []any{p.RequestLine, p.Get(HHost), p.Get(HVia)} },
		[]any{"GET /x HTTP/1.1", "a", "b"}},
	{"extra spaces", "GET   /x   HTTP/1.1  \r\nHost: a\r\n\r\n",
		func(p *RequestParser) []any { return []any{p.RequestLine, p.Unparsed, p.Protocol} },
		[]any{"GET   /x   HTTP/1.1  ", "/x", "HTTP/1.1  "}},
	{"CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
		func(p *RequestParser) []any { return []any{p.Get(HHost)} }, []any{"a"}},
	{"name without colon", request("GET / HTTP/1.1", "Host: a", "Novalue"),
		func(p *RequestParser) []any { return []any{p.List[1].Name, p.List[1].Value} }, []any{"Novalue", ""}},
	{"0.9", "GET /a?b\r\n",
		func(p *RequestParser) []any {
			return []any{p.RequestLine, p.URI, p.Args, p.Version, p.Protocol, len(p.List)}
		},
		[]any{"GET /a?b", "/a", "b", 9, "", 0}},
	{"0.9 with LF", "GET /\n", func(p *RequestParser) []any { return []any{p.Version} }, []any{9}},
	{"unknown method", request("PURGE-IT_ / HTTP/1.1", "Host: a"),
		func(p *RequestParser) []any { return []any{p.Method, p.MethodName} }, []any{MethodUnknown, "PURGE-IT_"}},
	{"absolute form", request("GET http://A.b:81/c HTTP/1.1", "Host: other"),
		func(p *RequestParser) []any {
			return []any{p.Scheme, p.LineHost, p.Server, p.Port, p.Unparsed, p.Get(HHost), p.ValidUnparsed()}
		}, []any{"http", "A.b:81", "a.b", 81, "/c", "other", true}},
	{"absolute form without path", request("GET http://a HTTP/1.1", "Host: a"),
		func(p *RequestParser) []any { return []any{p.Unparsed, p.URI} }, []any{"/", "/"}},
	{"absolute form with arguments only", request("GET http://a?b=c HTTP/1.1", "Host: a"),
		func(p *RequestParser) []any { return []any{p.Unparsed, p.URI, p.Args, p.ValidUnparsed()} }, []any{"?b=c", "/", "b=c", false}},
	{"absolute form, IPv6", request("GET http://[::1]:80/x HTTP/1.1", "Host: [::1]"),
		func(p *RequestParser) []any { return []any{p.Server, p.Port, p.URI} }, []any{"[::1]", 80, "/x"}},
	{"minor version", request("GET / HTTP/1.23", "Host: a"),
		func(p *RequestParser) []any { return []any{p.Version} }, []any{1023}},
	{"complex URI", request("GET /a/./b//../%63?d#e HTTP/1.1", "Host: a"),
		func(p *RequestParser) []any { return []any{p.Complex, p.Quoted, p.URI, p.Args, p.Unparsed} },
		[]any{true, true, "/a/c", "d", "/a/./b//../%63?d#e"}},
	{"connection close", request("GET / HTTP/1.1", "Host: a", "Connection: Upgrade, CLOSE"),
		func(p *RequestParser) []any { return []any{p.KeepAlive, p.Connection} }, []any{false, ConnectionClose}},
	{"connection keep-alive", request("GET / HTTP/1.0", "Connection: Keep-Alive", "Keep-Alive: 30"),
		func(p *RequestParser) []any { return []any{p.KeepAlive, p.KeepAliveTime} }, []any{true, int64(30)}},
	{"last connection counts", request("GET / HTTP/1.1", "Host: a", "Connection: close", "Connection: keep-alive"),
		func(p *RequestParser) []any { return []any{p.KeepAlive} }, []any{true}},
	{"body length", request("POST / HTTP/1.1", "Host: a", "content-length: 0010", "Expect: 100-Continue"),
		func(p *RequestParser) []any { return []any{p.ContentLength, p.Chunked, p.ExpectsContinue()} }, []any{int64(10), false, true}},
	{"chunked", request("POST / HTTP/1.1", "Host: a", "TRANSFER-ENCODING:Chunked "),
		func(p *RequestParser) []any { return []any{p.ContentLength, p.Chunked} }, []any{int64(-1), true}},
	{"ignored names", request("POST / HTTP/1.1", "Host: a", "Content_Length: 5", "X@y: 1", "\xc3\xa9: 2", "X-Good: 3"),
		func(p *RequestParser) []any {
			return []any{len(p.List), len(p.Ignored), p.Ignored[0].Name, p.Ignored[1].Name, p.List[1].Name, p.ContentLength}
		}, []any{2, 3, "Content_Length", "X@y", "X-Good", int64(-1)}},
}

func TestPassingRequests(t *testing.T) {
	l := DefaultLimits
	for _, c := range passing {
		t.Run(c.name, func(t *testing.T) {
			var p RequestParser
			buf := []byte(c.text + "GET /next")
			n, st := p.Parse(buf, &l)
			if n != len(c.text) || st != Done {
				t.Fatalf("%d of %d bytes, %s", n, len(c.text), p.AppendError(nil, st))
			}
			if st := p.Check(&l); st != Done {
				t.Fatalf("check: %s", p.AppendError(nil, st))
			}
			if _, st := p.DecodeURI(nil, true); st != Done {
				t.Fatalf("uri: %s", st)
			}
			got := c.want(&p)
			for i, v := range got {
				if b, ok := v.([]byte); ok {
					got[i] = string(b)
				}
			}
			if !reflect.DeepEqual(got, c.equal) {
				t.Errorf("got  %v\nwant %v", got, c.equal)
			}
		})
	}
}

// corpus is every request of this file.
func corpus() (texts []string) {
	for _, c := range failing {
		texts = append(texts, c.text)
	}
	for _, c := range passing {
		texts = append(texts, c.text)
	}
	return append(texts, browserRequest, smallRequest, preface,
		"GET /"+strings.Repeat("a", 3000)+" HTTP/1.1\r\nHost: a\r\nCookie: "+strings.Repeat("b", 5000)+"\r\nX-Long: "+strings.Repeat("c ", 3000)+"\r\n\r\n")
}

// However a request comes in, the result is the same.
func TestPieces(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, l := range []Limits{DefaultLimits, {HeaderBuffer: 64, LargeCount: 3, LargeSize: 100, Preface: true, Underscores: true},
		{HeaderBuffer: 20, LargeCount: 1, LargeSize: 30, IgnoreInvalid: true, MaxHeaders: 2}} {
		for _, text := range corpus() {
			want := feed(text, &l, whole)
			if got := feed(text, &l, bytewise); got != want {
				t.Fatalf("%q\nwhole:\n%s\nbytewise:\n%s", text, want, got)
			}
			for range 20 {
				seed := []byte{byte(random.Int()), byte(random.Int()), byte(random.Int())}
				if got := feed(text, &l, until(seed)); got != want {
					t.Fatalf("%q in pieces of %v\nwhole:\n%s\npieces:\n%s", text, seed, want, got)
				}
			}
		}
	}
}

func TestParserReuse(t *testing.T) {
	l := DefaultLimits
	var used RequestParser
	for range 2 {
		for _, text := range corpus() {
			used.Reset()
			n, st := used.Parse([]byte(text), &l)
			if got, want := describe(&used, st, n, &l), feed(text, &l, whole); st != More && got != want {
				t.Fatalf("%q\nfresh:\n%s\nused:\n%s", text, want, got)
			}
		}
	}
	// What Reset leaves must be what a fresh parser has, apart from memory.
	used.Reset()
	var fresh RequestParser
	used.List, used.Ignored, used.server, used.lines, used.at, used.lastAt = nil, nil, nil, lineScanner{}, lineOffsets{}, 0
	if !reflect.DeepEqual(used, fresh) {
		t.Errorf("Reset leaves %+v", used)
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	l := DefaultLimits
	var p RequestParser
	var scratch []byte
	texts := [][]byte{[]byte(browserRequest), []byte(smallRequest),
		[]byte(request("POST /a/%20b//c?d HTTP/1.1", "Host: UPPER.example", "Transfer-Encoding: chunked", "Bad@name: 1", "x_y: 2"))}
	run := func() {
		for _, buf := range texts {
			p.Reset()
			p.Parse(buf[:20], &l)
			_, st := p.Parse(buf, &l)
			if st == Done {
				st = p.Check(&l)
			}
			if st == Done {
				scratch, st = p.DecodeURI(scratch[:0], true)
			}
			if st != Done {
				t.Fatal(st)
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// pad makes a string of n bytes that begins with s.
func pad(s string, n int) string { return s + strings.Repeat("x", n-len(s)) }

// The sizes are those of the directives' documentation: a line must fit a
// large buffer, the first buffer alone may be larger.
func TestHeaderBuffers(t *testing.T) {
	small := Limits{HeaderBuffer: 100, LargeCount: 2, LargeSize: 200, IgnoreInvalid: true}
	wide := Limits{HeaderBuffer: 400, LargeCount: 1, LargeSize: 50, IgnoreInvalid: true}
	one := Limits{HeaderBuffer: 100, LargeCount: 1, LargeSize: 200, IgnoreInvalid: true}
	host := "Host: a\r\n"
	for _, c := range []struct {
		name   string
		l      Limits
		text   string
		want   State
		logged string
	}{
		{"line fits a large buffer", small, pad("GET /", 189) + " HTTP/1.1\r\n" + host + "\r\n", Done, ""},
		{"line one byte too long", small, pad("GET /", 190) + " HTTP/1.1\r\n" + host + "\r\n", ErrURITooLong, "client sent too long URI"},
		{"line without end", small, pad("GET /", 200), ErrURITooLong, "client sent too long URI"},
		{"line not too long yet", small, pad("GET /", 199), More, ""},
		{"first buffer is larger", wide, pad("GET /", 300) + " HTTP/1.1\r\n" + host + "\r\n", Done, ""},
		{"empty lines take no room twice", small, strings.Repeat("\r\n", 500) + "GET / HTTP/1.1\r\n" + host + "\r\n", Done, ""},
		{"header line fits", small, "GET / HTTP/1.1\r\n" + host + pad("X: ", 198) + "\r\n\r\n", Done, ""},
		{"header line too long", small, "GET / HTTP/1.1\r\n" + host + pad("X: ", 199) + "\r\n\r\n", ErrHeaderTooLong,
			`client sent too long header line: "` + pad("X: ", 199) + "\r" + `..."`},
		{"all buffers", small, "GET / HTTP/1.1\r\n" + host + pad("X: ", 190) + "\r\n" + pad("Y: ", 190) + "\r\n\r\n", Done, ""},
		{"one buffer too few", small, "GET / HTTP/1.1\r\n" + host + pad("X: ", 190) + "\r\n" + pad("Y: ", 190) + "\r\n" + pad("Z: ", 20) + "\r\n\r\n",
			ErrHeaderTooLong, `client sent too long header line: "Zxxxxxxx..."`},
		{"line fills the only buffer", one, pad("GET /", 189) + " HTTP/1.1\r\n" + host + "\r\n", ErrRequestTooLarge, "client sent too large request"},
		{"one buffer serves line and header", one, pad("GET /", 150) + " HTTP/1.1\r\n" + host + "\r\n", Done, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "one buffer too few" {
				c.text = strings.Replace(c.text, "Z: x", "Zxxx", 1)
			}
			for _, cuts := range []func(int) int{whole, bytewise} {
				var p RequestParser
				st := More
				at, skipped := 0, 0
				for st == More && at < len(c.text) {
					at = min(cuts(at), len(c.text))
					var n int
					n, st = p.Parse([]byte(c.text[skipped:at]), &c.l)
					skipped += n
				}
				if st != c.want {
					t.Fatalf("%s, want %s", p.AppendError(nil, st), c.want)
				}
				if got := string(p.AppendError(nil, st)); c.logged != "" && got != c.logged {
					t.Errorf("logged: %q\nwant:   %q", got, c.logged)
				}
				if st == ErrHeaderTooLong && (st.Status() != 494 || !st.Lingers()) {
					t.Error("must be answered with 494, lingering")
				}
			}
		})
	}
}

func TestLimits(t *testing.T) {
	parse := func(l Limits, text string) (*RequestParser, State) {
		p := new(RequestParser)
		_, st := p.Parse([]byte(text), &l)
		if st == Done {
			st = p.Check(&l)
		}
		return p, st
	}
	l := DefaultLimits
	l.MaxHeaders = 2
	if _, st := parse(l, request("GET / HTTP/1.1", "Host: a", "x_y: ignored", "A: b")); st != Done {
		t.Errorf("two header lines: %s", st)
	}
	if _, st := parse(l, request("GET / HTTP/1.1", "Host: a", "A: b", "C: d")); st != ErrTooManyHeaders || st.Status() != 494 {
		t.Errorf("three header lines: %s", st)
	}
	l = DefaultLimits
	l.Underscores = true
	if p, _ := parse(l, request("GET / HTTP/1.1", "Host: a", "x_y: b", "_: c")); len(p.List) != 3 || p.List[1].Invalid {
		t.Errorf("underscores: %d lines", len(p.List))
	}
	l.IgnoreInvalid = false
	if p, _ := parse(l, request("GET / HTTP/1.1", "Host: a", "x@y: b")); len(p.List) != 2 || !p.List[1].Invalid || len(p.Ignored) != 0 {
		t.Errorf("ignore_invalid_headers off: %d lines", len(p.List))
	}
	l = DefaultLimits
	l.AllowConnect = true
	p, st := parse(l, request("CONNECT Example.com:443 HTTP/1.1", "Host: example.com:443"))
	if st != Done || string(p.Server) != "example.com" || p.Port != 443 || string(p.Unparsed) != "/" {
		t.Errorf("CONNECT: %s %q %d %q", st, p.Server, p.Port, p.Unparsed)
	}
	if _, st = parse(l, request("CONNECT a:1 HTTP/1.1", "Host: a", "Content-Length: 1")); st != ErrConnectBody {
		t.Errorf("CONNECT with body: %s", st)
	}
	if _, st = parse(l, request("CONNECT a:1 HTTP/1.0", "Host: a")); st != ErrConnect {
		t.Errorf("CONNECT in 1.0: %s", st)
	}
}

func TestPreface(t *testing.T) {
	l := DefaultLimits
	l.Preface = true
	for _, c := range []struct {
		text string
		want State
	}{
		{preface, Preface}, {preface + "more", Preface}, {preface[:1], More}, {preface[:23], More},
		{"PRI * HTTP/1.1\r\n", ErrRequest}, {request("PUT / HTTP/1.1", "Host: a"), Done}, {"\r\n" + preface, ErrRequest},
	} {
		var p RequestParser
		if n, st := p.Parse([]byte(c.text), &l); st != c.want || st == Preface && n != 0 {
			t.Errorf("%q: %s after %d", c.text, st, n)
		}
	}
	l.Preface = false
	var p RequestParser
	if _, st := p.Parse([]byte(preface), &l); st != ErrRequest {
		t.Errorf("preface where none is wanted: %s", st)
	}
}

// Check serves HTTP/2 as well.
func TestCheckHTTP2(t *testing.T) {
	l := DefaultLimits
	m := Message{Version: Version20, Method: MethodGet, LineHost: []byte("A.example:8443")}
	m.Add([]byte("accept"), []byte("*/*"))
	// Without a Host line nginx adds ":authority" as one before it checks.
	m.Add([]byte("host"), m.LineHost)
	if st := m.Check(&l); st != Done || string(m.Server) != "a.example" || m.Port != 8443 {
		t.Errorf("%s %q %d", st, m.Server, m.Port)
	}
	m.Add([]byte("proxy-connection"), []byte("x"))
	if st := m.Check(&l); st != ErrProxyConnection {
		t.Errorf("Proxy-Connection: %s", st)
	}
}

func FuzzRequest(f *testing.F) {
	for _, text := range corpus() {
		f.Add([]byte(text), []byte{1, 7, 30}, uint16(1024), uint16(200), true)
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte, first, large uint16, flag bool) {
		if len(data) > 2000 { // bytewise takes the square of it
			return
		}
		l := Limits{HeaderBuffer: int(first), LargeCount: 3, LargeSize: int(large), MaxHeaders: 8,
			IgnoreInvalid: flag, Underscores: !flag, Preface: flag, AllowConnect: flag}
		want := feed(string(data), &l, whole)
		if got := feed(string(data), &l, bytewise); got != want {
			t.Fatalf("whole:\n%s\nbytewise:\n%s", want, got)
		}
		if got := feed(string(data), &l, until(cuts)); got != want {
			t.Fatalf("whole:\n%s\npieces:\n%s", want, got)
		}
		var p RequestParser
		if n, st := p.Parse(data, &l); st == Done && n > l.MaxHead() && !bytes.HasPrefix(data, []byte("\n")) && !bytes.HasPrefix(data, []byte("\r")) {
			t.Fatalf("a head of %d bytes passes limits of %d", n, l.MaxHead())
		}
	})
}
