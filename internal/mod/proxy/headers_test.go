package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

// says is a server that answers with the header lines that the query has.
func says(t testing.TB) string {
	return scripted(t, func(c net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		lines, _ := url.QueryUnescape(req.URL.RawQuery)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n"+strings.ReplaceAll(lines, "|", "\r\n")+"\r\nContent-Length: 0\r\n\r\n")
	})
}

func TestRewrittenFields(t *testing.T) {
	up := says(t)
	s := enginetest.Start(t, modules.Set(), strings.ReplaceAll(`absolute_redirect off;
		location /default/ { proxy_pass http://UP/back/; }
		location /none/ { proxy_pass http://UP/; proxy_redirect off; }
		location /rules/ { proxy_pass http://UP/; proxy_redirect http://one.example/ /1/; proxy_redirect ~^http://([a-z]+)\.two\.example(/.*)$ /2/$1$2; proxy_redirect ~*^HTTP://THREE/ /3/; }
		location /cookies/ { proxy_pass http://UP/; proxy_cookie_domain back.example $host; proxy_cookie_domain ~\.([a-z]+)\.example$ $1.front; proxy_cookie_path /old/ /new/; proxy_cookie_path ~^/re/(.+) /$1; proxy_cookie_flags one secure samesite=strict; proxy_cookie_flags ~^two httponly; }
		location /hide/ { proxy_pass http://UP/; proxy_hide_header X-Own; proxy_hide_header Cache-Control; proxy_pass_header Server; proxy_pass_header X-Accel-Charset; }`, "UP", up))
	for _, c := range []struct{ uri, line, want string }{
		{"/default/", "Location: http://" + up + "/back/x?y", "Location: /default/x?y"},
		{"/default/", "Location: http://other.example/back/", "Location: http://other.example/back/"},
		{"/default/", "Location: /back/x", "Location: /back/x"},
		{"/default/", "Refresh: 5; url=http://" + up + "/back/x", "Refresh: 5; url=/default/x"},
		{"/none/", "Location: http://" + up + "/x", "Location: http://" + up + "/x"},
		{"/rules/", "Location: http://one.example/x", "Location: /1/x"},
		{"/rules/", "Location: http://sub.two.example/x/y", "Location: /2/sub/x/y"},
		{"/rules/", "Location: http://three/x", "Location: /3/"},
		{"/rules/", "Location: http://four.example/x", "Location: http://four.example/x"},
		{"/cookies/", "Set-Cookie: a=b; Domain=back.example; Path=/old/x", "Set-Cookie: a=b; Domain=localhost; Path=/new/x"},
		{"/cookies/", "Set-Cookie: a=b; domain=.Back.Example", "Set-Cookie: a=b; domain=.localhost"},
		{"/cookies/", "Set-Cookie: a=b; domain=x.sub.example; path=/re/deep/er", "Set-Cookie: a=b; domain=sub.front; path=/deep/er"},
		{"/cookies/", "Set-Cookie: one=1; Path=/", "Set-Cookie: one=1; Path=/; Secure; SameSite=Strict"},
		{"/cookies/", "Set-Cookie: twofold=2", "Set-Cookie: twofold=2; HttpOnly"},
		{"/cookies/", "Set-Cookie: a=b;Path=/other", "Set-Cookie: a=b;Path=/other"},
		{"/hide/", "X-Own: 1|X-Other: 2|Cache-Control: no|Server: theirs|X-Accel-Charset: utf-8", "X-Other: 2|Server: theirs|X-Accel-Charset: utf-8|!X-Own|!Cache-Control|!moongate"},
		{"/none/", "Server: theirs|Date: never|X-Pad: x|X-Accel-Buffering: no", "!theirs|!never|!X-Pad|!X-Accel"},
		{"/none/", "Connection: X-Hop|Keep-Alive: timeout=5|Trailer: x", "!Keep-Alive|!X-Hop"},
	} {
		head, _, _ := strings.Cut(s.Get(c.uri+"?"+url.QueryEscape(c.line)), "\r\n\r\n")
		for want := range strings.SplitSeq(c.want, "|") {
			not, no := strings.CutPrefix(want, "!")
			if no && strings.Contains(head, not) || !no && !strings.Contains(head+"\r\n", "\r\n"+want+"\r\n") {
				t.Errorf("%s %q: %q, want %q", c.uri, c.line, head, want)
			}
		}
	}
}

func TestAccelFields(t *testing.T) {
	up := says(t)
	s := enginetest.Start(t, modules.Set(), strings.ReplaceAll(`
		location / { proxy_pass http://UP; }
		location /ignore { proxy_pass http://UP; proxy_ignore_headers X-Accel-Redirect X-Accel-Charset; }
		location /inner/ { internal; return 200 "$uri $args $request_method"; }
		location /known { charset koi8-r; }
		location @named { return 200 "named $request_method"; }`, "UP", up))
	for _, c := range []struct{ method, uri, line, want string }{
		{"GET", "/", "X-Accel-Redirect: /inner/a%20b?c=d", "/inner/a b c=d GET"},
		{"POST", "/", "X-Accel-Redirect: /inner/x", "/inner/x  GET"},
		{"POST", "/", "X-Accel-Redirect: @named", "named POST"},
		{"GET", "/", "X-Accel-Redirect: /inner/../../etc/passwd", "404 "},
		{"GET", "/", "X-Accel-Redirect: ", "404 "},
		{"GET", "/ignore", "X-Accel-Redirect: /inner/x", ""},
	} {
		resp := s.Request(c.method, c.uri+"?"+url.QueryEscape(c.line), "")
		if strings.HasPrefix(c.want, "404") {
			if !strings.HasPrefix(enginetest.Status(resp), c.want) {
				t.Errorf("%q: %q", c.line, resp)
			}
		} else if got := enginetest.Body(resp); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.method, c.line, got, c.want)
		}
	}
	for uri, want := range map[string]string{"/": "text/html; charset=koi8-r", "/ignore": "text/html"} {
		if got := enginetest.Header(s.Get(uri+"?"+url.QueryEscape("Content-Type: text/html|X-Accel-Charset: koi8-r")), "Content-Type"); got != want {
			t.Errorf("%s: %q", uri, got)
		}
	}
}

// TestRequestLines shows what the server gets to see.
func TestRequestLines(t *testing.T) {
	up := scripted(t, func(c net.Conn, br *bufio.Reader) {
		var head strings.Builder
		for {
			l, err := br.ReadString('\n')
			if err != nil {
				return
			}
			if l == "\r\n" {
				break
			}
			head.WriteString(strings.TrimSuffix(l, "\r\n") + "|")
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", head.Len(), head.String())
	})
	s := enginetest.Start(t, modules.Set(), strings.ReplaceAll(`
		location / { proxy_pass http://UP; }
		location /cut/ { proxy_pass http://UP/base/; }
		location /vars/ { proxy_pass http://UP/v$uri; }
		location /eleven { proxy_pass http://UP; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host own; proxy_set_header X-Empty ""; proxy_set_header X-Uri $uri; }
		location /method { proxy_pass http://UP; proxy_method PUT; proxy_set_body "[$request_method]"; }
		location ~ "(?s)^/decoded/(.*)" { proxy_pass http://UP/d/$1; proxy_set_header X-Decoded "$1"; proxy_http_version 1.1; proxy_set_header Connection ""; }
		location /bare { proxy_pass http://UP; proxy_pass_request_headers off; proxy_pass_request_body off; }`, "UP", up))
	for _, c := range []struct {
		method, uri, body string
		lines             []string
		want              string
	}{
		{"GET", "/a%2Fb/%7Ex?c=d", "", []string{"X-A: b"}, "GET /a%2Fb/%7Ex?c=d HTTP/1.0|Host: " + up + "|Connection: close|X-A: b|"},
		{"GET", "/cut/a%20b%2f?c", "", nil, "GET /base/a%20b/?c HTTP/1.0|Host: " + up + "|Connection: close|"},
		{"GET", "/cut/", "", []string{"TE: trailers", "Upgrade: x", "Keep-Alive: 1", "Expect: none", "Proxy-Connection: x"}, "GET /base/ HTTP/1.0|Host: " + up + "|Connection: close|"},
		{"GET", "/vars/x?c", "", nil, "GET /v/vars/x HTTP/1.0|Host: " + up + "|Connection: close|"},
		{"GET", "/decoded/a%0d%0aX-Evil:%20b%7f%20c", "", nil, "GET /d/a%0D%0AX-Evil:%20b%7F%20c HTTP/1.1|X-Decoded: a  X-Evil: b\x7f c|Host: " + up + "|"},
		{"GET", "/eleven", "", []string{"X-Empty: client"}, "GET /eleven HTTP/1.1|Host: own|X-Uri: /eleven|"},
		{"POST", "/method", "body", []string{"Content-Length: 4"}, "PUT /method HTTP/1.0|Host: " + up + "|Connection: close|Content-Length: 6|"},
		{"POST", "/bare", "body", []string{"Content-Length: 4", "X-A: b"}, "POST /bare HTTP/1.0|Host: " + up + "|Connection: close|Content-Length: 4|"},
	} {
		got := enginetest.Body(s.Request(c.method, c.uri, c.body, c.lines...))
		if c.want != "" && got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.uri, got, c.want)
		}
	}
}
