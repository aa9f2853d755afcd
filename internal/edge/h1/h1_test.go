package h1_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
)

// handlers are content handlers by directive name, for what the driver must carry.
func handlers(h map[string]engine.Handler) *engine.Set {
	m := &engine.Module{Module: conf.Module{Name: "test"}}
	for name, f := range h {
		m.Directives = append(m.Directives, conf.Directive{Name: name, In: conf.Location, Args: conf.NoArgs, Doc: "For the test.",
			Set: conf.Func(func(c *conf.Cmd) error { engine.LocationOf(c.Scope).Handler = f; return nil })})
	}
	return &engine.Set{Modules: []*engine.Module{m}}
}

// echoBody answers with the request body and its trailing state.
func echoBody(r *engine.Request) engine.Status {
	if st := r.ReadBody(); st != engine.OK {
		return st
	}
	body := r.Body.Mem
	if r.Body.File != nil {
		body = make([]byte, r.Body.FileSize)
		if _, err := r.Body.File.ReadAt(body, 0); err != nil {
			return 500
		}
	}
	return r.SendText(r.Copy(append([]byte(fmt.Sprintf("%s %s ", r.URI, r.In.Get(1))), body...)))
}

func nap(r *engine.Request) engine.Status {
	r.W.Loop.Sleep(time.Millisecond)
	return r.SendText(r.Copy(r.URI))
}

// large sends 8 MiB in pieces, waiting for the client as a well-behaved producer does.
func large(r *engine.Request) engine.Status {
	if st := r.SendHead(); st != engine.OK {
		return st
	}
	piece := bytes.Repeat([]byte("0123456789abcdef"), 2048)
	for i := range 256 {
		if r.Output(&engine.Chunk{Data: piece, Last: i == 255}) != nil {
			return engine.Error
		}
		if r.Pending() > 4*engine.OutputLow {
			r.Cleanup(func() { panic("the producer outruns the client") })
		}
		if r.Drain(engine.OutputLow) != nil {
			return engine.Error
		}
	}
	return engine.OK
}

const site = `
	location / { echo_body; }
	location /nap { nap; }
	location /large { large; }
	location /ignore { ignore; }
	client_body_buffer_size 8k;
	client_max_body_size 4m;
`

func start(t *testing.T) *enginetest.Server {
	return enginetest.Start(t, handlers(map[string]engine.Handler{
		"echo_body": echoBody, "nap": nap, "large": large,
		"ignore": func(r *engine.Request) engine.Status { return r.SendText([]byte("ignored")) },
	}), site)
}

// responses reads n responses off one connection.
func responses(t *testing.T, s *enginetest.Server, feed func(w io.Writer), n int) []string {
	t.Helper()
	c := s.Dial()
	defer c.Close()
	go feed(c)
	br := bufio.NewReader(c)
	var out []string
	for range n {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("after %q: %v", out, err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprint(resp.StatusCode, " ", string(b)))
	}
	return out
}

func TestPipelinedRequestsKeepTheirOrder(t *testing.T) {
	s := start(t)
	var in strings.Builder
	var want []string
	for i := range 100 {
		uri := fmt.Sprintf("/nap/%d", i)
		if i%3 == 0 {
			uri = fmt.Sprintf("/x/%d", i)
			fmt.Fprintf(&in, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", uri)
			want = append(want, "200 "+uri+" h abc")
			continue
		}
		fmt.Fprintf(&in, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", uri)
		want = append(want, "200 "+uri)
	}
	got := responses(t, s, func(w io.Writer) { io.WriteString(w, in.String()) }, len(want))
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("response %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func TestBodies(t *testing.T) {
	s := start(t)
	chunked := func(body string, size int) string {
		var b strings.Builder
		for len(body) > 0 {
			n := min(size, len(body))
			fmt.Fprintf(&b, "%x;ext=1\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		return b.String() + "0\r\nTrailer: x\r\n\r\n"
	}
	for _, size := range []int{1, 100, 4000, 8192, 8193, 100_000, 1 << 20} {
		body := strings.Repeat("m", size)
		for _, in := range []string{
			fmt.Sprintf("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, body),
			"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, 7+size/3),
			"POST /a HTTP/1.1\r\nHost: h\r\nX-Pad: " + strings.Repeat("p", 6000) + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, 1+size/100),
		} {
			got := responses(t, s, func(w io.Writer) { io.WriteString(w, in+"GET /next HTTP/1.1\r\nHost: h\r\n\r\n") }, 2)
			if got[0] != "200 /a h "+body || got[1] != "200 /next h " {
				t.Errorf("size %d, %.80q: got %d bytes %.60q, then %q", size, in, len(got[0]), got[0], got[1])
			}
		}
	}
}

func TestBytewise(t *testing.T) {
	s := start(t)
	in := "\r\nPOST /one HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n"
	got := responses(t, s, func(w io.Writer) {
		for i := range in {
			io.WriteString(w, in[i:i+1])
		}
	}, 2)
	if got[0] != "200 /one h hello" || got[1] != "200 /two h " {
		t.Errorf("got %q", got)
	}
}

func TestUnreadBodyIsSkipped(t *testing.T) {
	s := start(t)
	body := strings.Repeat("b", 200_000)
	in := fmt.Sprintf("POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%sGET /after HTTP/1.1\r\nHost: h\r\n\r\n", len(body), body)
	got := responses(t, s, func(w io.Writer) { io.WriteString(w, in) }, 2)
	if got[0] != "200 ignored" || got[1] != "200 /after h " {
		t.Errorf("got %.100q", got)
	}
}

func TestExpectContinue(t *testing.T) {
	s := start(t)
	c := s.Dial()
	defer c.Close()
	io.WriteString(c, "POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	br := bufio.NewReader(c)
	line, _ := br.ReadString('\n')
	if line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q", line)
	}
	br.ReadString('\n')
	io.WriteString(c, "ok")
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "/e h ok" {
		t.Errorf("got %q", b)
	}
}

// TestSlowReader checks that a producer waits for its client instead of filling memory, and that all bytes arrive.
func TestSlowReader(t *testing.T) {
	s := start(t)
	c := s.Dial()
	defer c.Close()
	io.WriteString(c, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
	// Others are served meanwhile: the first client has read nothing yet.
	if got := s.Get("/nap/x"); enginetest.Body(got) != "/nap/x" {
		t.Fatalf("got %q", got)
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 1024), nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n != 8<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if log := s.ErrorLog(); strings.Contains(log, "panic") {
		t.Error(log)
	}
}

func TestClientLeaves(t *testing.T) {
	s := start(t)
	for range 20 {
		c := s.Dial()
		io.WriteString(c, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
		io.ReadFull(c, make([]byte, 1000))
		c.Close()
	}
	if got := s.Get("/nap/y"); enginetest.Body(got) != "/nap/y" {
		t.Fatalf("got %q", got)
	}
}

func TestRefused(t *testing.T) {
	s := start(t)
	for in, want := range map[string]string{
		"GET / HTTP/1.1\r\n\r\n":                       "400",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": "400",
		"GET / HTTP/2.0\r\nHost: a\r\n\r\n":            "505",
		"get / HTTP/1.1\r\nHost: a\r\n\r\n":            "400",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n": "400",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na":              "400",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n":                                   "400",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n":                              "501",
		"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":                  "400",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":                     "400",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n":                              "413",
		"GET /" + strings.Repeat("u", 9000) + " HTTP/1.1\r\nHost: a\r\n\r\n":                         "414",
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("v", 9000) + "\r\n\r\n":                  "400",
		"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\nX : y\r\n\r\n":                                "400",
	} {
		got := s.Raw(in)
		if !strings.HasPrefix(enginetest.Status(got), want) {
			t.Errorf("%.70q: got %.60q, want %s", in, got, want)
		}
		if strings.Count(got, "HTTP/1.1 ") != 1 || enginetest.Header(got, "Connection") != "close" {
			t.Errorf("%.70q: the connection must end after one answer: %.200q", in, got)
		}
	}
}
