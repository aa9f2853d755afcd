package body_test

import (
	"io"
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

// TestExpectations: who is told to send a body, and what becomes of the connection when that was left open.
func TestExpectations(t *testing.T) {
	s := enginetest.Start(t, modules.Set(), `server { listen 127.0.0.1:8080; location / { return 200 ok; } location /denied { deny all; }
		location /unread { content_by_lua_block { ngx.say("ok") } }
		location /flushed { content_by_lua_block { ngx.say("ok") ngx.flush(true) } }
		location /none { content_by_lua_block { ngx.req.read_body() ngx.req.read_body() ngx.say("ok") } }
		location /socket { content_by_lua_block { local s, err = ngx.req.socket() ngx.say(s and s:receive(2) or err) } }
		location /page { error_page 404 =200 /; deny all; error_page 403 = /; } }`)
	const interim, next = "HTTP/1.1 100 Continue\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for _, x := range []struct {
		name, path, fields, body string
		interim, status          string
		next                     bool // the next request is served
	}{
		{"dropped", "/", "Content-Length: 2\r\n", "ab", interim, "200", true},
		{"dropped chunks", "/", "Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n", interim, "200", true},
		{"nothing announced", "/", "", "", interim, "200", true},
		{"not read", "/unread", "Content-Length: 2\r\n", "ab", interim, "200", true},
		{"not read, head sent", "/flushed", "Content-Length: 2\r\n", "ab", interim, "200", true},
		{"read twice", "/none", "Content-Length: 2\r\n", "ab", interim, "200", true},
		{"socket", "/socket", "Content-Length: 2\r\n", "ab", interim, "200", true},
		{"socket of nothing", "/socket", "", "", interim, "200", true},
		{"page", "/page", "Content-Length: 2\r\n", "ab", interim, "200", true},
		{"refused", "/denied", "Content-Length: 2\r\n", "", "", "403", false},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := s.Dial()
			defer c.Close()
			io.WriteString(c, "POST "+x.path+" HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"+x.fields+"\r\n"+x.body)
			if x.next {
				io.WriteString(c, next)
			}
			b, err := io.ReadAll(c)
			got := string(b)
			if err != nil || !strings.HasPrefix(got, x.interim+"HTTP/1.1 "+x.status) || strings.Count(got, interim) != strings.Count(x.interim, interim) {
				t.Errorf("%v %q", err, got)
			}
			if n := strings.Count(got, "HTTP/1.1 200"); x.next && n != 2 || !x.next && !strings.Contains(got, "Connection: close") {
				t.Errorf("%q", got)
			}
		})
	}
}
