package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/poll"
)

// TestSlowUpload is about a client that takes longer for its body than a server may keep silent: the server has nothing
// to answer yet.
func TestSlowUpload(t *testing.T) {
	begun := make(chan bool, 1)
	up := scripted(t, func(c net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if req.URL.Path == "/silent" {
			br.ReadByte()
			return
		}
		begun <- true
		body, _ := io.ReadAll(req.Body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	})
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`proxy_http_version 1.1; proxy_read_timeout 1500ms;
		location / { proxy_pass http://%s; proxy_request_buffering off; }
		location = /silent { proxy_pass http://%s; }`, up, up))
	for _, frame := range []string{"Content-Length: 6\r\n\r\nabc|def", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n|3\r\ndef\r\n0\r\n\r\n"} {
		first, rest, _ := strings.Cut(frame, "|")
		conn := s.Dial()
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\n"+first)
		<-begun
		for range 2 { // each takes a read timeout
			if got := s.Raw("GET /silent HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 504 ") {
				t.Fatalf("the clock of this test: %q", got)
			}
		}
		io.WriteString(conn, rest)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "abcdef" {
			t.Errorf("%q: %s %q", frame, resp.Status, body)
		}
		conn.Close()
	}
}

// TestUnbufferedFaults shows what becomes of a body that is faulty behind its beginning, which the server has already.
func TestUnbufferedFaults(t *testing.T) {
	begun := make(chan bool, 1)
	up := scripted(t, func(_ net.Conn, br *bufio.Reader) {
		if req, err := http.ReadRequest(br); err == nil {
			begun <- true
			io.Copy(io.Discard, req.Body)
		}
	})
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`log_format st "$uri $status"; access_log logs/access.log st; error_log logs/error.log info;
		proxy_http_version 1.1; proxy_request_buffering off;
		server { listen 127.0.0.1:8080;
		location / { proxy_pass http://%s; }
		location /slow { proxy_pass http://%s; client_body_timeout 20ms; } }`, up, up))
	for _, c := range []struct{ uri, rest, answer, access, log string }{
		{"/chunk", "zz\r\n", "HTTP/1.1 400 Bad Request\r\n", "/chunk 400\n", "client sent invalid chunked body while sending request to upstream"},
		{"/slow", "", "", "/slow 408\n", ""},
		{"/cut", "close", "", "/cut 400\n", "client prematurely closed connection while sending request to upstream"},
	} {
		before := len(s.ErrorLog())
		conn := s.Dial()
		io.WriteString(conn, "POST "+c.uri+" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		<-begun
		if c.rest == "close" {
			conn.(*net.TCPConn).CloseWrite()
		} else {
			io.WriteString(conn, c.rest)
		}
		got, _ := io.ReadAll(conn)
		conn.Close()
		if !strings.HasPrefix(string(got), c.answer) || c.answer == "" && len(got) > 0 {
			t.Errorf("%s: %q", c.uri, got)
		}
		logged := func() bool {
			text := s.File("logs/access.log")
			// Who reads the body and who watches the client both see that it has gone: whoever is first says so.
			return strings.HasSuffix(text, c.access) || c.rest == "close" && strings.HasSuffix(text, "/cut 499\n")
		}
		if !poll.Until(time.Minute, logged) {
			t.Errorf("%s: access log %q", c.uri, s.File("logs/access.log"))
		}
		log := strings.Replace(s.ErrorLog()[before:], ", so upstream connection is closed too", "", 1)
		if n := strings.Count(log, "\n"); !strings.Contains(log, c.log) || c.log == "" && n > 0 || n > 1 {
			t.Errorf("%s: log %q", c.uri, log)
		}
	}
}

// TestBytesLogged compares what $upstream_... say of framing and of upgraded connections with what went over the wire.
func TestBytesLogged(t *testing.T) {
	const chunked = "4;ext\r\nbody\r\n0\r\nX-T: 1\r\nX-Accel-Redirect: /secret\r\n\r\n"
	up := scripted(t, func(c net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		switch {
		case err != nil:
		case req.Header.Get("Upgrade") != "":
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhi")
			io.CopyN(c, br, 5)
		default:
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked)
		}
	})
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`log_format st "$uri $upstream_response_length $upstream_bytes_sent"; access_log logs/access.log st;
		proxy_http_version 1.1; proxy_set_header Host h;
		server { listen 127.0.0.1:8080;
		location / { proxy_pass http://%s; proxy_pass_trailers on; }
		location /up { proxy_pass http://%s; proxy_set_header Host h; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }`, up, up))
	got := s.Raw("GET /c HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n")
	if !strings.HasSuffix(got, "4\r\nbody\r\n0\r\nX-T: 1\r\n\r\n") {
		t.Errorf("trailers: %q", got)
	}
	conn := s.Dial()
	io.WriteString(conn, "GET /up HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello")
	if all, _ := io.ReadAll(conn); !strings.HasSuffix(string(all), "\r\n\r\nhihello") {
		t.Errorf("upgraded: %q", all)
	}
	conn.Close()
	head := len("GET /up HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
	want := fmt.Sprintf("/c %d %d\n/up 0 %d\n", len(chunked), len("GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), head+5)
	if !poll.Until(time.Minute, func() bool { return s.File("logs/access.log") == want }) {
		t.Errorf("access log %q, want %q", s.File("logs/access.log"), want)
	}
}
