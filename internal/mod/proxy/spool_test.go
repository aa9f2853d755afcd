package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit"
	"moongate/internal/testkit/poll"
)

// bigSize is more than the buffers of sockets hold.
const bigSize = 24 << 20

// pattern is a body whose every part can be told from any other.
func pattern(size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%07d\n", i)
	}
	return b.Bytes()[:size]
}

// TestSlowClients shows when the server is read on though the client takes nothing, and that all comes through.
func TestSlowClients(t *testing.T) {
	big := pattern(bigSize)
	sent := make(chan bool, 1) // the server has got rid of the whole response
	up := scripted(t, func(c net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		switch {
		case strings.HasPrefix(req.URL.Path, "/chunked"):
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			w := bufio.NewWriterSize(c, 64<<10)
			for p := big; len(p) > 0; {
				n := min(len(p), 10_000)
				fmt.Fprintf(w, "%x\r\n%s\r\n", n, p[:n])
				p = p[n:]
			}
			io.WriteString(w, "0\r\n\r\n")
			w.Flush()
		default:
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(big))
			c.Write(big)
		}
		sent <- true
		br.ReadByte()
	})
	s := enginetest.Start(t, modules.Set(), strings.ReplaceAll(`proxy_http_version 1.1;
		location / { proxy_pass http://UP; }
		location /off { proxy_pass http://UP; proxy_max_temp_file_size 0; }
		location /unbuffered { proxy_pass http://UP; proxy_buffering off; }
		location /small { proxy_pass http://UP; proxy_max_temp_file_size 1m; }
		location /chunked { proxy_pass http://UP; }
		error_log logs/error.log warn;`, "UP", up))
	cases := []struct {
		uri   string
		ahead bool // the server is read to the end before the client reads
		log   string
	}{
		{"/", true, "an upstream response is buffered to a temporary file " + s.Dir + "/proxy_temp/"},
		{"/chunked", true, "an upstream response is buffered to a temporary file"},
		{"/off", false, ""},
		{"/unbuffered", false, ""},
		{"/small", false, "an upstream response is buffered to a temporary file"},
	}
	for i, c := range cases {
		if i == 1 {
			testkit.LeakCheck(t) // the loop has its goroutines
		}
		before := len(s.ErrorLog())
		conn := s.Dial()
		io.WriteString(conn, "GET "+c.uri+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if c.ahead {
			select {
			case <-sent:
			case <-time.After(time.Minute):
				t.Fatalf("%s: the server has to wait for the client", c.uri)
			}
		}
		if c.log != "" { // a client that reads at once may need no file
			testkit.Eventually(t, c.uri+" goes to a file", func() bool { return strings.Contains(s.ErrorLog()[before:], c.log) })
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(body, big) {
			t.Errorf("%s: %d bytes, %v", c.uri, len(body), err)
		}
		conn.Close()
		if !c.ahead {
			<-sent
		}
		log := s.ErrorLog()[before:]
		if c.log == "" && log != "" || !strings.Contains(log, c.log) {
			t.Errorf("%s: log %q", c.uri, log)
		}
	}
	if left, _ := filepath.Glob(s.Dir + "/proxy_temp/*/*/*"); len(left) != 0 {
		t.Errorf("files left: %v", left)
	}
	// A client that goes away in the middle leaves nothing behind: LeakCheck sees that.
	conn := s.Dial()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-sent
	conn.Close()
}

func TestNoRoomForTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	big := pattern(bigSize)
	up := scripted(t, func(c net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err == nil {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(big))
			c.Write(big)
		}
	})
	s := enginetest.StartIn(t, dir, modules.Set(), fmt.Sprintf(`location / { proxy_pass http://%s; proxy_temp_path gone; }`, up))
	os.RemoveAll(filepath.Join(dir, "gone"))
	if err := os.WriteFile(filepath.Join(dir, "gone"), nil, 0o600); err != nil { // nothing can be made below a file
		t.Fatal(err)
	}
	conn := s.Dial()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if !poll.Until(time.Minute, func() bool { return strings.Contains(s.ErrorLog(), "[crit]") }) {
		t.Error("no line in the log")
	}
	b, err := io.ReadAll(conn)
	if got := enginetest.Body(string(b)); err != nil || got != string(big) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if log := s.ErrorLog(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "[crit] ") || !strings.Contains(log, "open() \""+dir+"/gone/") {
		t.Errorf("log %q", log)
	}
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	up := scripted(t, func(c net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		switch req.URL.Path {
		case "/cut":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
		case "/404":
			io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
		case "/chunked":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
		case "/close":
			io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nto the end")
		default:
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLast-Modified: Mon, 28 Sep 2020 06:00:00 GMT\r\n\r\nhello")
		}
	})
	s := enginetest.StartIn(t, dir, modules.Set(), strings.ReplaceAll(`
		proxy_store_access user:rw group:rw all:r; proxy_http_version 1.1; root store;
		location / { proxy_pass http://UP; proxy_store on; }
		location /named/ { proxy_pass http://UP/; proxy_store other/$uri.copy; }
		location /off { proxy_pass http://UP; proxy_store off; }`, "UP", up))
	for _, c := range []struct{ uri, file, want string }{
		{"/a/b", "store/a/b", "hello"},
		{"/a/b", "store/a/b", "hello"}, // over the old one
		{"/chunked", "store/chunked", "abcdefg"},
		{"/close", "store/close", "to the end"},
		{"/named/x", "other/named/x.copy", "hello"},
		{"/cut", "store/cut", ""},
		{"/404", "store/404", ""},
		{"/off", "store/off", ""},
	} {
		s.Get(c.uri)
		if got := s.File(c.file); got != c.want {
			t.Errorf("%s: %q in %s, want %q", c.uri, got, c.file, c.want)
		}
	}
	fi, err := os.Stat(filepath.Join(dir, "store/a/b"))
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode() != 0o664 || fi.ModTime().Unix() != 1601272800 {
		t.Errorf("mode %v, time %v", fi.Mode(), fi.ModTime())
	}
	if left, _ := filepath.Glob(dir + "/proxy_temp/*/*/*"); len(left) != 0 {
		t.Errorf("files left: %v", left)
	}
}

// TestCutBehindFile is about a response that is cut while a part of it lies in a file: what has come is sent.
func TestCutBehindFile(t *testing.T) {
	big := pattern(8 << 20)
	sent := make(chan bool, 1)
	up := scripted(t, func(c net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err == nil {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(big)+1)
			c.Write(big)
			sent <- true
		}
	})
	s := enginetest.Start(t, modules.Set(), strings.ReplaceAll(`server { listen 127.0.0.1:8080 sndbuf=32k; error_log logs/error.log warn;
		location / { proxy_pass http://UP; }
		location /filter { proxy_pass http://UP; sub_filter foo bar; sub_filter_types *; } }`, "UP", up))
	for _, uri := range []string{"/", "/filter"} {
		conn := s.Dial()
		fmt.Fprintf(conn, "GET %s HTTP/1.0\r\n\r\n", uri)
		<-sent
		b, err := io.ReadAll(conn)
		if got := enginetest.Body(string(b)); got != string(big) || err != nil {
			t.Errorf("%s: %d of %d bytes, %v", uri, len(got), len(big), err)
		}
		conn.Close()
	}
	if log := s.ErrorLog(); strings.Count(log, "upstream prematurely closed connection while reading upstream") != 2 {
		t.Errorf("log %q", log)
	}
}
