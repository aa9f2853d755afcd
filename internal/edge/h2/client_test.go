package h2_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"moongate/internal/engine/enginetest"
	"moongate/internal/http2"
	"moongate/internal/modules"
)

// client speaks raw frames.
type client struct {
	t    testing.TB
	c    net.Conn
	enc  http2.Encoder
	dec  http2.Decoder
	last uint32
	in   []byte
}

// frame is a frame of the server, with its header block read when it has one.
type frame struct {
	http2.FrameHeader
	p      []byte
	fields map[string]string
}

// dial connects and greets.
func dial(t testing.TB, addr string, settings ...http2.Setting) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return greet(t, nc, settings...)
}

func dialTLS(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	if p := nc.ConnectionState().NegotiatedProtocol; p != "h2" {
		t.Fatalf("the protocol agreed on is %q", p)
	}
	return greet(t, nc)
}

func greet(t testing.TB, nc net.Conn, settings ...http2.Setting) *client {
	c := &client{t: t, c: nc}
	c.enc.Init()
	c.dec.Init(http2.DefaultTableSize)
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(time.Minute))
	c.write(http2.AppendSettingsAck(http2.AppendSettings([]byte(http2.Preface), settings...)))
	return c
}

func (c *client) write(p []byte) {
	c.t.Helper()
	if _, err := c.c.Write(p); err != nil {
		c.t.Log("write:", err)
	}
}

// head gives the frame of a request's head; fields are "name: value", and may name the pseudo headers that are to be others.
func (c *client) head(path string, flags http2.Flags, fields ...string) []byte {
	if c.last == 0 {
		c.last = 1
	} else {
		c.last += 2
	}
	pseudo := []string{":method: GET", ":scheme: http", ":path: " + path, ":authority: localhost"}
	for _, f := range fields {
		if !strings.HasPrefix(f, ":") {
			continue
		}
		name, _, _ := strings.Cut(f[1:], ":")
		at := -1
		for i, p := range pseudo {
			if strings.HasPrefix(p, ":"+name+":") {
				at = i
			}
		}
		if at < 0 {
			pseudo = append(pseudo, f)
		} else {
			pseudo[at] = f
		}
	}
	b := c.enc.Begin(nil)
	for _, f := range append(pseudo, fields...) {
		i := strings.Index(f[1:], ":") + 1
		if f[0] == ':' && !contains(pseudo, f) {
			continue
		}
		if f[0] == ':' {
			pseudo = remove(pseudo, f) // once
		}
		b = c.enc.Append(b, 0, []byte(f[:i]), []byte(strings.TrimPrefix(f[i+1:], " ")), http2.Indexed)
	}
	return http2.AppendHeaders(nil, c.last, b, flags, http2.DefaultFrameSize)
}

func contains(l []string, s string) bool {
	return strings.Contains("\n"+strings.Join(l, "\n")+"\n", "\n"+s+"\n")
}

func remove(l []string, s string) (out []string) {
	for _, x := range l {
		if x != s {
			out = append(out, x)
		}
	}
	return out
}

// get sends a request without body and gives its stream.
func (c *client) get(path string, fields ...string) uint32 {
	c.t.Helper()
	c.write(c.head(path, http2.EndStream, fields...))
	return c.last
}

// next reads a frame; io.EOF is the end of the connection.
func (c *client) next() (f frame, err error) {
	var h [http2.HeaderSize]byte
	if _, err := io.ReadFull(c.c, h[:]); err != nil {
		return f, io.EOF
	}
	f.FrameHeader = http2.ParseHeader(h[:])
	f.p = make([]byte, f.Length)
	if _, err := io.ReadFull(c.c, f.p); err != nil {
		return f, io.EOF
	}
	if f.Type != http2.Headers && f.Type != http2.Continuation {
		return f, nil
	}
	c.in = append(c.in, f.p...)
	if f.Has(http2.EndHeaders) {
		var b http2.Block
		if err := c.dec.Decode(&b, c.in, &http2.Limits{String: 1 << 20, Total: 1 << 21, Count: 1000}); err != nil {
			c.t.Fatal(err)
		}
		c.in = nil
		f.fields = map[string]string{}
		for _, x := range b.List {
			if f.fields[string(x.Name)] += string(x.Value); string(x.Name) != strings.ToLower(string(x.Name)) {
				c.t.Errorf("name %q", x.Name)
			}
		}
	}
	return f, nil
}

// until reads frames up to the first that ok accepts; others but those for the connection's sake are in before.
func (c *client) until(ok func(f frame) bool) (f frame, before []frame) {
	c.t.Helper()
	for {
		f, err := c.next()
		if err != nil {
			c.t.Fatalf("%v before the frame awaited; %v", err, before)
		}
		if ok(f) {
			return f, before
		}
		before = append(before, f)
	}
}

func (f frame) String() string {
	return fmt.Sprintf("%v %d %x %d %v %.40q", f.Type, f.Stream, f.Flags, f.Length, f.fields, f.p)
}

// response is what came on a stream.
type response struct {
	fields, trailers map[string]string
	body             string
	reset            *http2.ErrCode
	frames           int // of DATA
}

// response reads to the end of a stream.
func (c *client) response(id uint32) response {
	c.t.Helper()
	var r response
	c.until(func(f frame) bool {
		if f.Stream != id {
			return false
		}
		switch f.Type {
		case http2.Headers, http2.Continuation:
			if f.fields != nil && (r.fields == nil || r.fields[":status"] == "100") {
				r.fields = f.fields
			} else if f.fields != nil {
				r.trailers = f.fields
			}
		case http2.Data:
			r.body += string(f.p)
			r.frames++
		case http2.RSTStream:
			code, _ := http2.RSTStreamPayload(f.FrameHeader, f.p)
			r.reset = &code
			return true
		}
		return (f.Type == http2.Data || f.Type == http2.Headers) && f.Has(http2.EndStream)
	})
	return r
}

// goaway reads to GOAWAY and gives its code.
func (c *client) goaway() (last uint32, code http2.ErrCode) {
	c.t.Helper()
	f, _ := c.until(func(f frame) bool { return f.Type == http2.GoAway })
	last, code, _, err := http2.GoAwayPayload(f.FrameHeader, f.p)
	if err != nil {
		c.t.Fatal(err)
	}
	return last, code
}

// ping sees that the connection lives.
func (c *client) ping() {
	c.t.Helper()
	c.write(http2.AppendPing(nil, [8]byte{'p'}, 0))
	c.until(func(f frame) bool { return f.Type == http2.Ping && f.Has(http2.Ack) && f.p[0] == 'p' })
}

// start serves locations on a cleartext address.
func start(t testing.TB, locations string) (*enginetest.Server, string) {
	t.Helper()
	s := enginetest.Start(t, modules.Set(), "server { listen 127.0.0.1:8080; http2 on; server_name localhost; error_log logs/error.log info;\n"+locations+"\n}")
	return s, s.Addr("127.0.0.1:8080")
}
