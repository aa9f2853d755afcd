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
	"moongate/internal/testkit"
	"moongate/internal/testkit/poll"
)

// reset makes the peer see a reset instead of an end.
func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// answers reads a request's head and writes a text.
func answers(text string) func(c net.Conn, br *bufio.Reader) {
	return func(c net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err == nil {
			io.WriteString(c, text)
		}
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"

// TestBadHeads is about servers that do not get as far as a response head: one line in the log, the next server is
// asked, and without one the status tells.
func TestBadHeads(t *testing.T) {
	waits := func(text string) func(c net.Conn, br *bufio.Reader) {
		return func(c net.Conn, br *bufio.Reader) {
			answers(text)(c, br)
			br.ReadByte()
		}
	}
	const head = " while reading response header from upstream, client: 127.0.0.1"
	cases := []struct {
		name   string
		peer   func(c net.Conn, br *bufio.Reader)
		status int
		log    string
	}{
		{"closes at once", func(net.Conn, *bufio.Reader) {}, 502, "upstream"}, // which of two lines comes is a matter of time
		{"closes without a word", answers(""), 502, "upstream prematurely closed connection" + head},
		{"dies in the status line", answers("HTTP/1.1 20"), 502, "upstream prematurely closed connection" + head},
		{"dies in the head", answers("HTTP/1.1 200 OK\r\nContent-Le"), 502, "upstream prematurely closed connection" + head},
		{"reset in the head", func(c net.Conn, br *bufio.Reader) { answers("HTTP/1.1 200 OK\r\n")(c, br); reset(c) }, 502, "recv() failed (104: Connection reset by peer)" + head},
		{"silence", waits(""), 504, "upstream timed out (110: Connection timed out)" + head},
		{"silence in the head", waits("HTTP/1.1 200 OK\r\nA: b\r\n"), 504, "upstream timed out (110: Connection timed out)" + head},
		{"garbage", answers("\x16\x03\x01\x02\x00garbage\r\n\r\n"), 502, "upstream sent no valid HTTP/1.0 header" + head},
		{"a body without head", answers("<html>hello</html>\n"), 502, "upstream sent no valid HTTP/1.0 header" + head},
		{"a status that is no number", answers("HTTP/1.1 abc OK\r\n\r\n"), 502, "upstream sent no valid HTTP/1.0 header" + head},
		{"a status of two digits", answers("HTTP/1.1 20 OK\r\n\r\n"), 502, "upstream sent no valid HTTP/1.0 header" + head},
		{"another protocol", answers("ICY 200 OK\r\n\r\n"), 502, "upstream sent no valid HTTP/1.0 header" + head},
		{"oversize", answers("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 5000) + "\r\n\r\n"), 502, "upstream sent too big header" + head},
		{"length twice", answers("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\ngood!"), 502, `upstream sent duplicate header line: "Content-Length: 5", previous value: "Content-Length: 4"` + head},
		{"length and coding", answers("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 502, `upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time` + head},
		{"coding and length", answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"), 502, `upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time` + head},
		{"unknown coding", answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 502, `upstream sent unknown "Transfer-Encoding": "gzip, chunked"` + head},
		{"coding twice", answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 502, "upstream sent duplicate header line" + ""},
		{"a length that is none", answers("HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\ngood"), 502, `upstream sent invalid "Content-Length" header: "Content-Length: 4, 4"` + head},
		{"a negative length", answers("HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\ngood"), 502, `upstream sent invalid "Content-Length" header: "Content-Length: -4"` + head},
		{"a folded line", answers("HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\n\r\n"), 502, `upstream sent invalid header: "\x20..."` + head},
		{"a space before the colon", answers("HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\ngood"), 502, `upstream sent invalid header: "Content-Length\x20..."` + head},
		{"a return in a value", answers("HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: x=y\r\n\r\n"), 502, `upstream sent invalid header: "A: b\x0d..."` + head},
		{"a zero byte in a value", answers("HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n"), 502, `upstream sent invalid header: "A: b\x00..."` + head},
	}
	good := scripted(t, answers(ok))
	conf := "proxy_next_upstream error timeout invalid_header;\n"
	groups := ""
	for i, c := range cases {
		addr := scripted(t, c.peer)
		groups += fmt.Sprintf("upstream u%d { server %s max_fails=0; server %s backup; }\n", i, addr, good)
		wait := ""
		if c.status == 504 {
			wait = "proxy_read_timeout 2s;"
		}
		conf += fmt.Sprintf("location /one%d { proxy_pass http://%s; %[3]s }\n location /two%[1]d { proxy_pass http://u%[1]d; %[3]s add_header X-Tries $upstream_status; }\n", i, addr, wait)
	}
	s := enginetest.Start(t, modules.Set(), groups+"server { listen 127.0.0.1:8080;\n"+conf+"}")
	for i, c := range cases {
		if i == 1 {
			testkit.LeakCheck(t) // the loop has its goroutines
		}
		before := len(s.ErrorLog())
		got := enginetest.Status(s.Get(fmt.Sprintf("/one%d", i)))
		if !strings.HasPrefix(got, fmt.Sprint(c.status, " ")) {
			t.Errorf("%s: %q", c.name, got)
		}
		log := s.ErrorLog()[before:]
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, c.log) {
			t.Errorf("%s: log %q, want one line with %q", c.name, log, c.log)
		}
		resp := s.Get(fmt.Sprintf("/two%d", i))
		if enginetest.Body(resp) != "good" || enginetest.Header(resp, "X-Tries") != fmt.Sprintf("%d, 200", c.status) {
			t.Errorf("%s: with another server: %q", c.name, resp)
		}
	}
}

// TestBadBodies is about responses that are cut or wrong behind their head: the client must see that, and no other
// server is asked.
func TestBadBodies(t *testing.T) {
	const head = " while reading upstream, client: 127.0.0.1"
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	cases := []struct {
		name, text string
		body       string // of the response, as far as it comes
		whole      bool   // and the response is complete
		log        string
	}{
		{"cut", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "short", false, "upstream prematurely closed connection" + head},
		{"cut in a chunk", chunked + "a\r\nshort", "short", false, "upstream prematurely closed connection" + head},
		{"cut between chunks", chunked + "5\r\nshort\r\n", "short", false, "upstream prematurely closed connection" + head},
		{"a chunk size that is none", chunked + "5\r\nshort\r\nzz\r\n", "short", false, "upstream sent invalid chunked response" + head},
		{"a chunk without end", chunked + "5\r\nshort!!\r\n0\r\n\r\n", "short", false, "upstream sent invalid chunked response" + head},
		{"a chunk too large", chunked + "5\r\nshort\r\nfffffffffffffffff\r\n", "short", false, "upstream sent invalid chunked response" + head},
		{"by the end", "HTTP/1.0 200 OK\r\n\r\nshort", "short", true, ""},
		{"two responses", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nshort" + ok, "short", true, `upstream sent more data than specified in "Content-Length" header` + head},
		{"two, chunked", chunked + "5\r\nshort\r\n0\r\n\r\n" + ok, "short", true, "upstream sent data after final chunk" + head},
		{"a body with 204", "HTTP/1.1 204 No Content\r\n\r\nshort", "", true, ""},
	}
	conf, groups := "", ""
	good := scripted(t, answers(ok))
	for i, c := range cases {
		groups += fmt.Sprintf("upstream u%d { server %s; server %s backup; keepalive 4; keepalive_timeout 20ms; }\n", i, scripted(t, func(conn net.Conn, br *bufio.Reader) {
			for {
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				io.WriteString(conn, c.text)
				if !c.whole || strings.Contains(c.text, "HTTP/1.0") {
					return
				}
			}
		}), good)
		conf += fmt.Sprintf("location /%d { proxy_pass http://u%d; }\n", i, i)
	}
	s := enginetest.Start(t, modules.Set(), groups+`server { listen 127.0.0.1:8080; error_log logs/error.log warn; proxy_http_version 1.1; proxy_set_header Connection "";
		proxy_next_upstream error timeout invalid_header http_500;`+conf+"}")
	for i, c := range cases {
		if i == 1 {
			testkit.LeakCheck(t)
		}
		for range 2 { // what came too much is not the next request's response
			before := len(s.ErrorLog())
			conn := s.Dial()
			fmt.Fprintf(conn, "GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", i)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			body, err := io.ReadAll(resp.Body)
			conn.Close()
			if string(body) != c.body || (err == nil) != c.whole {
				t.Errorf("%s: %q, %v", c.name, body, err)
			}
			log := s.ErrorLog()[before:]
			if c.log == "" && log != "" || c.log != "" && (strings.Count(log, "\n") != 1 || !strings.Contains(log, c.log)) {
				t.Errorf("%s: log %q, want one line with %q", c.name, log, c.log)
			}
		}
	}
}

// TestEarlyResponse is about servers that answer while the request body is still going up.
func TestEarlyResponse(t *testing.T) {
	const refused = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!"
	early := scripted(t, func(c net.Conn, br *bufio.Reader) {
		answers(refused)(c, br)
		io.Copy(io.Discard, br) // until the other side gives up
	})
	resets := scripted(t, func(c net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err == nil {
			io.CopyN(io.Discard, br, 1000)
			reset(c)
		}
	})
	both := scripted(t, func(c net.Conn, br *bufio.Reader) {
		answers(refused)(c, br)
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, br)
	})
	s := enginetest.Start(t, modules.Set(), strings.NewReplacer("EARLY", early, "RESETS", resets, "BOTH", both).Replace(`
		client_max_body_size 64m; proxy_http_version 1.1;
		location /early { proxy_pass http://EARLY; }
		location /early/now { proxy_pass http://EARLY; proxy_request_buffering off; }
		location /resets { proxy_pass http://RESETS; }
		location /resets/now { proxy_pass http://RESETS; proxy_request_buffering off; }
		location /both { proxy_pass http://BOTH; }`))
	body := strings.Repeat("0123456789abcdef", 1<<20) // 16 MB
	post := func(uri string) string {
		conn := s.Dial()
		defer conn.Close()
		go func() {
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", uri, len(body))
			io.WriteString(conn, body)
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err.Error()
		}
		b, _ := io.ReadAll(resp.Body)
		return fmt.Sprint(resp.StatusCode, " ", string(b))
	}
	post("/early/now")
	testkit.LeakCheck(t)
	for _, c := range []struct{ uri, want string }{{"/early", "413 no!"}, {"/early/now", "413 no!"}, {"/both", "413 no!"}, {"/resets", "502 "}, {"/resets/now", "502 "}} {
		before := len(s.ErrorLog())
		if got := post(c.uri); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.uri, got, c.want)
		}
		log := s.ErrorLog()[before:]
		if errors := strings.Count(log, "[error]"); errors > 1 || (errors == 1) != strings.HasPrefix(c.want, "502") {
			t.Errorf("%s: log %q", c.uri, log)
		}
	}
}

// TestDrip is about a server that says a little now and then: a timeout is one of silence, not of the whole.
func TestDrip(t *testing.T) {
	step := make(chan bool)
	text := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndrip"
	slow := scripted(t, func(c net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err != nil {
			return
		}
		for i := range text {
			io.WriteString(c, text[i:i+1])
			if i%8 == 0 {
				<-step
			}
		}
	})
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf("location / { proxy_pass http://%s; proxy_read_timeout 60s; }", slow))
	conn := s.Dial()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	for range (len(text) + 7) / 8 {
		step <- true
	}
	b, err := io.ReadAll(conn)
	if err != nil || enginetest.Body(string(b)) != "drip" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestClientsThatLeave is about what a server sees of that, and the log.
func TestClientsThatLeave(t *testing.T) {
	asked, left := make(chan bool), make(chan error, 1)
	up := scripted(t, func(c net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if req.URL.Path == "/body" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
		}
		asked <- true
		_, err = br.ReadByte()
		left <- err
	})
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`log_format st "$uri $status $upstream_status"; access_log logs/access.log st; error_log logs/error.log info;
		server { listen 127.0.0.1:8080;
		location / { proxy_pass http://%s; }
		location /ignore { proxy_pass http://%s; proxy_ignore_client_abort on; proxy_read_timeout 50ms; } }`, up, up))
	for i, c := range []struct{ uri, access, log string }{
		{"/head", "/head 499 -", "client prematurely closed connection, so upstream connection is closed too while sending request to upstream"},
		{"/body", "/body 200 200", "client prematurely closed connection, so upstream connection is closed too while reading upstream"},
		{"/ignore", "/ignore 504 504", "upstream timed out (110: Connection timed out) while reading response header from upstream"},
	} {
		if i == 1 {
			testkit.LeakCheck(t)
		}
		conn := s.Dial()
		io.WriteString(conn, "GET "+c.uri+" HTTP/1.1\r\nHost: a\r\n\r\n")
		<-asked
		if c.uri == "/body" {
			http.ReadResponse(bufio.NewReader(conn), nil)
		}
		conn.Close()
		if err := <-left; err != io.EOF && !strings.Contains(fmt.Sprint(err), "reset") {
			t.Errorf("%s: the server sees %v", c.uri, err)
		}
		if !poll.Until(time.Minute, func() bool { return strings.Contains(s.File("logs/access.log"), c.access+"\n") }) {
			t.Errorf("access log %q, want %q", s.File("logs/access.log"), c.access)
		}
		if log := s.ErrorLog(); !strings.Contains(log, c.log) {
			t.Errorf("%s: log %q", c.uri, log)
		}
	}
}

// TestSlowServerAndLimitedClient is about a worker that has other things to do while limit_rate holds a response back and
// the server is silent: the server's next word depends on another request to the same worker.
func TestSlowServerAndLimitedClient(t *testing.T) {
	t.Parallel()
	other := make(chan bool)
	up := scripted(t, func(c net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err == nil {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n%2000d", 1)
			<-other
			fmt.Fprintf(c, "%2000d", 2)
		}
	})
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`location / { proxy_pass http://%s; limit_rate 2k; } location /other { return 200 other; }`, up))
	conn := s.Dial()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		t.Fatal(err)
	}
	if got := enginetest.Body(s.Get("/other")); got != "other" {
		t.Errorf("%q", got)
	}
	other <- true
	b, err := io.ReadAll(conn)
	if _, body, _ := strings.Cut(string(b), "\r\n\r\n"); err != nil || len(body) != 4000 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}
