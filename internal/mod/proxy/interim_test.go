package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

// canned is a server that answers each connection's request with pieces of text, then closes.
func canned(t testing.TB, pieces ...string) string {
	return scripted(t, func(c net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		io.Copy(io.Discard, req.Body)
		for _, p := range pieces {
			io.WriteString(c, p)
		}
	})
}

func TestInterimResponses(t *testing.T) {
	const final = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	hints := canned(t, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nServer: x\r\n\r\nHTTP/1.1 103 Early Hints\r\nLin", "k: </b>\r\n\r\n", final)
	cont := canned(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n", final)
	only := canned(t, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
	old := canned(t, "HTTP/1.0 103 Early Hints\r\nLink: </a>\r\n\r\n", final)
	big := canned(t, "HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("x", 900)+"\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("y", 900)+"\r\n\r\n", final)
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`early_hints $http_wants; proxy_buffer_size 1k; proxy_buffers 4 1k; proxy_max_temp_file_size 1k;
		location /hints { proxy_pass http://%s; }
		location /cont { proxy_pass http://%s; }
		location /only { proxy_pass http://%s; }
		location /old { proxy_pass http://%s; }
		location /big { proxy_pass http://%s; }
		error_log logs/error.log info;`, hints, cont, only, old, big))
	const two = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\nHTTP/1.1 200 OK\r\n"
	for _, c := range []struct{ uri, version, wants, begin, log string }{
		{"/hints", "1.1", "1", two, ""},
		{"/hints", "1.1", "0", "HTTP/1.1 200 OK\r\n", ""},
		{"/hints", "1.1", "", "HTTP/1.1 200 OK\r\n", ""},
		{"/hints", "1.0", "1", "HTTP/1.1 200 OK\r\n", ""},
		{"/cont", "1.1", "1", "HTTP/1.1 200 OK\r\n", ""},
		{"/only", "1.1", "1", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 502 ", "upstream prematurely closed connection while reading response header from upstream"},
		{"/old", "1.1", "1", "HTTP/1.1 502 ", "upstream sent HTTP/1.0 response with early hints"},
		{"/big", "1.1", "1", "HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("x", 900) + "\r\n\r\nHTTP/1.1 200 OK\r\n", "upstream sent too big early hints"},
	} {
		before := len(s.ErrorLog())
		got := s.Raw("GET " + c.uri + " HTTP/" + c.version + "\r\nHost: localhost\r\nConnection: close\r\nWants: " + c.wants + "\r\n\r\n")
		if !strings.HasPrefix(got, c.begin) {
			t.Errorf("%s %s %q: %q", c.uri, c.version, c.wants, got)
		}
		if log := s.ErrorLog()[before:]; !strings.Contains(log, c.log) {
			t.Errorf("%s: log %q", c.uri, log)
		}
	}
}

func TestPostAction(t *testing.T) {
	asked := make(chan string, 1)
	up := scripted(t, func(c net.Conn, br *bufio.Reader) {
		if req, err := http.ReadRequest(br); err == nil {
			asked <- req.URL.Path
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nHIDDEN")
		}
	})
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`access_log logs/access.log; 
		location / { post_action @after; return 200 "$request_id|"; }
		location /none { post_action @after; location /none/off { post_action off; return 200 none; } }
		location @after { proxy_pass http://%s; }`, up))
	got := s.Raw("GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /none/off HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if strings.Contains(got, "HIDDEN") || strings.Count(got, "HTTP/1.1 200 OK") != 2 {
		t.Errorf("%q", got)
	}
	if path := <-asked; path != "/x" {
		t.Errorf("post_action asked for %q", path)
	}
	s.Do(func(*engine.Worker) {})
	if n := len(asked); n != 0 {
		t.Errorf("post_action off asks")
	}
}

func TestEarlyRead(t *testing.T) {
	s := enginetest.Start(t, modules.Set(), `client_body_early_read $http_early;
		location / { set_by_lua_block $len { local b = ngx.req.get_body_data() return b and #b or 0 } return 200 $len; }`)
	for early, want := range map[string]string{"1": "5", "0": "0", "": "0"} {
		if got := enginetest.Body(s.Request("POST", "/", "hello", "Content-Length: 5", "Early: "+early)); got != want {
			t.Errorf("early %q: %q, want %q", early, got, want)
		}
	}
}
