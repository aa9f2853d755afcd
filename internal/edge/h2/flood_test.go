package h2_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"moongate/internal/http2"
	"moongate/internal/testkit"
)

// refused reads to GOAWAY and checks its code and the log.
func refused(t *testing.T, c *client, code http2.ErrCode, logged string, log func(string) bool) {
	t.Helper()
	if _, got := c.goaway(); got != code {
		t.Errorf("GOAWAY with %v, want %v", got, code)
	}
	if !log(logged) {
		t.Errorf("no %q in the log", logged)
	}
}

// flooded sends what attack gives until the server has had enough.
func flooded(t *testing.T, c *client, attack func() []byte) {
	t.Helper()
	go func() {
		for range 40000 {
			c.c.SetWriteDeadline(time.Now().Add(time.Minute))
			if _, err := c.c.Write(attack()); err != nil {
				return
			}
		}
	}()
}

func TestFloods(t *testing.T) {
	s, addr := start(t, `location / { return 200 ok; } location /slow { echo_sleep 30; echo late; }`)
	logged := func(text string) bool { return strings.Contains(s.ErrorLog(), text) }
	many := func(p []byte, n int) []byte { return bytes.Repeat(p, n) }

	for _, c := range []struct {
		name, log string
		code      http2.ErrCode
		attack    func(c *client) func() []byte
	}{
		{"PING", "http2 flood detected", http2.EnhanceYourCalm, func(c *client) func() []byte {
			return func() []byte { return many(http2.AppendPing(nil, [8]byte{}, 0), 100) }
		}},
		{"SETTINGS", "http2 flood detected", http2.EnhanceYourCalm, func(c *client) func() []byte {
			return func() []byte { return many(http2.AppendSettings(nil), 100) }
		}},
		{"WINDOW_UPDATE", "http2 flood detected", http2.EnhanceYourCalm, func(c *client) func() []byte {
			return func() []byte { return many(http2.AppendWindowUpdate(nil, 0, 1), 100) }
		}},
		{"unknown frames", "http2 flood detected", http2.EnhanceYourCalm, func(c *client) func() []byte {
			return func() []byte { return many(http2.AppendHeader(nil, 0, 0xfa, 0, 0), 100) }
		}},
		{"bytes", "http2 flood detected", http2.NoError, func(c *client) func() []byte {
			return func() []byte { return append(http2.AppendHeader(nil, 16384, 0xfa, 0, 0), make([]byte, 16384)...) }
		}},
		{"PRIORITY", "client sent too many PRIORITY frames", http2.EnhanceYourCalm, func(c *client) func() []byte {
			return func() []byte { return many(http2.AppendPriority(nil, 1, http2.Dependency{Stream: 3, Weight: 1}), 10) }
		}},
		{"empty DATA", "http2 flood detected", http2.EnhanceYourCalm, func(c *client) func() []byte {
			c.write(c.head("/slow", 0))
			return func() []byte { return many(http2.AppendData(nil, 1, nil, 0), 100) }
		}},
		{"empty CONTINUATION", "http2 flood detected", http2.EnhanceYourCalm, func(c *client) func() []byte {
			c.write(http2.AppendHeader(nil, 1, http2.Headers, http2.EndStream, 1))
			c.write([]byte{0x82})
			return func() []byte { return many(http2.AppendHeader(nil, 0, http2.Continuation, 0, 1), 100) }
		}},
		{"CONTINUATION", "client sent too large header", http2.EnhanceYourCalm, func(c *client) func() []byte {
			c.write(http2.AppendHeader(nil, 1, http2.Headers, http2.EndStream, 1))
			c.write([]byte{0x82})
			return func() []byte {
				return append(http2.AppendHeader(nil, 1000, http2.Continuation, 0, 1), many([]byte{0x82}, 1000)...)
			}
		}},
		{"rapid reset", "", 0, // one of two defences, as the reads go: too many of one read, or too many in all
			func(c *client) func() []byte {
				return func() []byte { return http2.AppendRSTStream(c.head("/", http2.EndStream), c.last, http2.Cancel) }
			}},
		{"made reset", "client sent too many refused streams", http2.NoError, func(c *client) func() []byte {
			return func() []byte {
				return http2.AppendWindowUpdate(c.head("/slow", http2.EndStream), c.last, http2.MaxWindow)
			}
		}},
		{"refused", "client sent too many refused streams", http2.NoError, func(c *client) func() []byte {
			return func() []byte { return c.head("/slow", http2.EndStream) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := dial(t, addr)
			flooded(t, cl, c.attack(cl))
			if c.log == "" {
				cl.goaway()
				return
			}
			refused(t, cl, c.code, c.log, logged)
		})
	}
}

// TestTableBomb names a large entry of the table again and again.
func TestTableBomb(t *testing.T) {
	s, addr := start(t, `location / { return 200 ok; }`)
	c := dial(t, addr)
	value := strings.Repeat("v", 3000)
	c.enc.Append(nil, 0, []byte("x-bomb"), []byte(value), http2.Indexed)
	b := append([]byte{0x40, 6}, "x-bomb"...)
	b = append(append(b, 0x7f, 0x80|(3000-127)&0x7f, (3000-127)>>7), value...)
	b = append(b, bytes.Repeat([]byte{0xbe}, 5000)...)
	c.write(http2.AppendHeaders(nil, 1, b, http2.EndStream, http2.DefaultFrameSize))
	refused(t, c, http2.EnhanceYourCalm, "client sent too large header", func(text string) bool { return strings.Contains(s.ErrorLog(), text) })
}

// TestConcurrent sees that a request counts until it has ended, also when its stream was reset.
func TestConcurrent(t *testing.T) {
	s, addr := start(t, `http2_max_concurrent_streams 3;
		location / { return 200 ok; } location /go { content_by_lua_block { package.loaded.go = true ngx.say("go") } }
		location /slow { content_by_lua_block { while not package.loaded.go do ngx.sleep(0.001) end ngx.say("late") } }`)
	c := dial(t, addr)
	var p []byte
	for range 3 {
		p = append(p, c.head("/slow", http2.EndStream)...)
		p = http2.AppendRSTStream(p, c.last, http2.Cancel)
	}
	c.write(append(p, c.head("/", http2.EndStream)...))
	if r := c.response(7); r.reset == nil || *r.reset != http2.RefusedStream {
		t.Error("the fourth request:", r)
	}
	s.Get("/go")
	testkit.Eventually(t, "the next request", func() bool { return c.response(c.get("/")).body == "ok" })
}

// TestSlowReader lets a client take nothing until it has sent all its requests: the server stops reading it meanwhile, and
// goes on afterwards.
func TestSlowReader(t *testing.T) {
	_, addr := start(t, `keepalive_requests 100000; http2_max_concurrent_streams 3000; location / { content_by_lua_block { ngx.header.x_long = string.rep("y", 6000) ngx.exit(204) } }`)
	c := dial(t, addr)
	const n = 3000
	done := make(chan bool)
	var p []byte
	for range n {
		p = append(p, c.head("/", http2.EndStream)...)
	}
	go func() {
		c.write(p)
		close(done)
	}()
	for id := uint32(1); id < 2*n; id += 2 {
		if r := c.response(id); len(r.fields["x-long"]) != 6000 {
			t.Fatal(id, r.reset, len(r.fields["x-long"]))
		}
	}
	<-done
}

func TestWindowViolation(t *testing.T) {
	_, addr := start(t, `http2_body_preread_size 10;
		location / { echo_sleep 30; echo_read_request_body; echo ok; }`)
	c := dial(t, addr)
	c.write(append(c.head("/", 0, "content-length: 40"), http2.AppendData(nil, 1, make([]byte, 40), http2.EndStream)...))
	if r := c.response(1); r.reset == nil || *r.reset != http2.FlowControlError {
		t.Error(r)
	}
	c.ping()
}

// TestHeads: a block of one byte per field is small on the wire and large in memory; the requests of a connection share what
// their heads may take.
func TestHeads(t *testing.T) {
	s, addr := start(t, `location / { echo_sleep 60; } location /free { return 200 ok; }`)
	c := dial(t, addr)
	b := append([]byte{0x82, 0x86, 0x84, 0x01, 9}, "localhost"...)
	b = append(append(b, 0x40, 1, 'x', 0), bytes.Repeat([]byte{0xbe}, 900)...)
	const n = 40
	for i := range uint32(n) {
		c.write(http2.AppendHeaders(nil, 2*i+1, b, http2.EndStream, http2.DefaultFrameSize))
	}
	c.last = 2*n - 1
	if r := c.response(c.last); r.reset == nil || *r.reset != http2.RefusedStream {
		t.Error("the last of many:", r)
	}
	if !strings.Contains(s.ErrorLog(), "too large headers of concurrent streams") {
		t.Error(s.ErrorLog())
	}
	c.ping()
	other := dial(t, addr)
	if r := other.response(other.get("/free")); r.body != "ok" {
		t.Error("another connection:", r)
	}
}
