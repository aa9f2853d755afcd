package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestBuild(t *testing.T) {
	for _, c := range []struct {
		headers string
		pieces  []string
		want    string // pieces joined by "|"
	}{
		{"", []string{"GET /t\n"}, "GET /t HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
		{"", []string{"GET\n"}, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
		{"", []string{"  GET  /t  HTTP/1.0  \n"}, "GET /t HTTP/1.0\r\nHost: h\r\nConnection: close\r\n\r\n"},
		{"", []string{"POST /t\n hello\n\n"}, "POST /t HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"},
		{"Content-Length: 7\n", []string{"POST /t\nhello\n"}, "POST /t HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 7\r\n\r\nhello\n"},
		{"Transfer-Encoding: chunked", []string{"POST /t\n0\r\n\r\n"}, "POST /t HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"host: x\n# note\nConnection: keep-alive\nA:b\n", []string{"GET /"}, "GET / HTTP/1.1\r\nhost: x\r\nConnection: keep-alive\r\nA: b\r\n\r\n"},
		{"", []string{"GE", "T /t", "t"}, "GE|T /t|t HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
		{"", []string{"POST /t\nhel", "lo"}, "POST /t HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhel|lo"},
		{"", []string{"POST /t\n", "hello"}, "POST /t HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\n|hello"},
	} {
		lines, chunked := ParseHeaders(c.headers)
		tpl := Template{Host: "h", Connection: "close", Headers: lines, Chunked: chunked}
		req, err := tpl.Build(Raw(c.pieces...))
		if err != nil {
			t.Errorf("%q: %v", c.pieces, err)
			continue
		}
		var got []string
		for _, p := range req {
			got = append(got, p.Text)
		}
		if g := strings.Join(got, "|"); g != c.want {
			t.Errorf("%q: got\n%q, want\n%q", c.pieces, g, c.want)
		}
	}
	for _, bad := range []string{"", "a b c d\n"} {
		if _, err := (&Template{}).Build(Raw(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParse(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct {
		raw                         string
		head                        bool
		status, body, left, problem string
	}{
		{ok + "Content-Length: 3\r\n\r\nabc", false, "200", "abc", "", ""},
		{ok + "Content-Length: 3\r\n\r\nabcde", false, "200", "abc", "de", "extra bytes"},
		{ok + "Content-Length: 3\r\n\r\na", false, "200", "a", "", "truncated: 3 expected, but got 1"},
		{ok + "Content-Length: 3\r\n\r\n", true, "200", "", "", ""},
		{ok + "\r\nall of it", false, "200", "all of it", "", ""},
		{ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", false, "200", "abc0123456789", "", ""},
		{ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP", false, "200", "abc", "HTTP", "extra bytes"},
		{ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nab", false, "", "", "", "not enough octets"},
		{ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", false, "", "", "", "expected CRLF"},
		{ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", false, "", "", "", "no last chunk"},
		{ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", false, "", "", "", "invalid chunked body"},
		{ok + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\nX: 1\r\n\r\n", false, "200", "", "", ""},
		{ok + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n\r\n", false, "", "", "", "invalid trailer"},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", false, "304", "", "", ""},
		{"garbage", false, "", "", "", ""},
		{"", false, "", "", "", ""},
	} {
		r := Parse(c.raw, c.head)
		problem := r.Fault + r.Warning
		if r.Status != c.status || r.Body != c.body || r.Left != c.left || (problem == "") != (c.problem == "") || !strings.Contains(problem, c.problem) {
			t.Errorf("%q: got %+v", c.raw, r)
		}
	}
	r := Parse(ok+"A: 1\r\nB:2\r\n b\r\na: 3\r\n\r\n", false)
	a, _ := r.Header("a")
	b, _ := r.Header("B")
	_, none := r.Header("C")
	if a != "1, 3" || b != "2\n b" || none || r.RawHeaders != ok+"A: 1\r\nB:2\r\n b\r\na: 3\r\n" {
		t.Errorf("headers: %q %q %v %q", a, b, none, r.RawHeaders)
	}
}

// serve accepts one connection at a time on a free port.
func serve(t *testing.T, handle func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
		}
	}()
	return l.Addr().String()
}

func TestSend(t *testing.T) {
	addr := serve(t, func(c net.Conn) {
		defer c.Close()
		var one, two [3]byte
		io.ReadFull(c, one[:])
		n, _ := io.ReadFull(c, two[:]) // the second piece, or the client's shutdown
		fmt.Fprintf(c, "%q %q", one[:], two[:n])
	})
	res, err := Send(Request{{Text: "one"}, {Text: "two", Delay: 5 * time.Millisecond, HasDelay: true}}, Options{Addr: addr, Timeout: time.Minute})
	if err != nil || res.Raw != `"one" "two"` || res.TimedOut {
		t.Errorf("got %+v, %v", res, err)
	}
	res, err = Send(Raw("one"), Options{Addr: addr, Timeout: time.Minute, Shutdown: 1})
	if err != nil || res.Raw != `"one" ""` {
		t.Errorf("got %+v, %v", res, err)
	}
}

func TestSendTimesOut(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	addr := serve(t, func(c net.Conn) {
		go func() {
			c.Write([]byte("part"))
			<-hold
			c.Close()
		}()
	})
	for limit := 50 * time.Millisecond; ; limit *= 2 {
		res, err := Send(Raw("x"), Options{Addr: addr, Timeout: limit})
		if limit < 10*time.Second && (err != nil || res.Raw == "") {
			continue // on a busy machine it may be over before the server has its turn
		}
		if err != nil || !res.TimedOut || res.Raw != "part" {
			t.Errorf("got %+v, %v", res, err)
		}
		return
	}
}

func TestSendWithoutListener(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0) // has a port, and does not listen
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	if _, err := Send(Raw("x"), Options{Addr: addr, Timeout: 20 * time.Millisecond}); !errors.Is(err, ErrNoListener) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) { Parse(raw, false) })
}
