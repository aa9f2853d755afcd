package h2client

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"moongate/internal/http2"
	"moongate/internal/netio"
)

// memory gives buffers as a worker does, and counts those that are out.
type memory struct{ out int }

func (m *memory) Buffer(n int) []byte {
	m.out++
	size := 4 << 10
	for size < n {
		size *= 4
	}
	return make([]byte, 0, size)
}
func (m *memory) FreeBuffer(b []byte) {
	m.out--
	clear(b[:cap(b)]) // who still looks at it sees
}

// peer is a server that a test plays, on the other end of a socket pair.
type peer struct {
	t    *testing.T
	conn net.Conn
	enc  http2.Encoder
	dec  http2.Decoder
	buf  []byte
}

// script runs client in a loop, with a connection to a peer that server plays.
func script(t *testing.T, cfg Config, server func(p *peer), client func(loop *netio.Loop, c *Conn)) {
	t.Helper()
	loop, err := netio.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	mem := &memory{}
	e := &Env{Loop: loop, Mem: mem}
	done := make(chan struct{})
	loop.Go(func() {
		defer loop.Stop()
		tr, other := e.pipe(t)
		go func() {
			defer close(done)
			defer other.Close()
			p := &peer{t: t, conn: other}
			p.enc.Init()
			p.dec.Init(http2.DefaultTableSize)
			p.preface()
			server(p)
		}()
		c := e.NewConn(tr, &cfg)
		client(loop, c)
		c.Close()
		loop.Sleep(0)
	})
	loop.Run()
	loop.Close()
	<-done
	if mem.out != 0 {
		t.Errorf("%d buffers were not given back", mem.out)
	}
}

type transport struct{ netio.FD }

// pipe makes a transport and its other end.
func (e *Env) pipe(t *testing.T) (Transport, net.Conn) {
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.SetNonblock(p[0], true)
	tr := &transport{}
	if err := e.Loop.AddTo(&tr.FD, p[0], nil); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(p[1]), "peer")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	return tr, c
}

func (p *peer) preface() {
	b := make([]byte, len(http2.Preface))
	if _, err := io.ReadFull(p.conn, b); err != nil || string(b) != http2.Preface {
		p.t.Errorf("preface %q, %v", b, err)
	}
}

func (p *peer) settings(list ...http2.Setting) { p.buf = http2.AppendSettings(p.buf, list...) }

// send writes what was built.
func (p *peer) send() {
	p.conn.Write(p.buf)
	p.buf = p.buf[:0]
}

func (p *peer) head(stream uint32, end bool, fields ...string) {
	var block []byte
	block = p.enc.Begin(block)
	for i := 0; i < len(fields); i += 2 {
		block = p.enc.Append(block, 0, []byte(fields[i]), []byte(fields[i+1]), http2.Plain)
	}
	f := http2.Flags(0)
	if end {
		f = http2.EndStream
	}
	p.buf = http2.AppendHeaders(p.buf, stream, block, f, http2.DefaultFrameSize)
}

func (p *peer) data(stream uint32, text string, end bool) {
	f := http2.Flags(0)
	if end {
		f = http2.EndStream
	}
	p.buf = http2.AppendData(p.buf, stream, []byte(text), f)
}

// next reads a frame, but none of the types in skip.
func (p *peer) next(skip ...http2.Type) (http2.FrameHeader, []byte, error) {
	for {
		var b [http2.HeaderSize]byte
		if _, err := io.ReadFull(p.conn, b[:]); err != nil {
			return http2.FrameHeader{}, nil, err
		}
		h := http2.ParseHeader(b[:])
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(p.conn, payload); err != nil {
			return h, nil, err
		}
		skipped := false
		for _, t := range skip {
			skipped = skipped || t == h.Type
		}
		if !skipped {
			return h, payload, nil
		}
	}
}

// want reads up to a frame of a type.
func (p *peer) want(t http2.Type) (http2.FrameHeader, []byte) {
	for {
		h, payload, err := p.next()
		if err != nil {
			p.t.Errorf("no %s frame: %v", t, err)
			return h, nil
		}
		if h.Type == t {
			return h, payload
		}
	}
}

var request = []Field{{Static: http2.PMethod, Value: []byte("POST")}, {Static: http2.PScheme, Value: []byte("http")},
	{Static: http2.PPath, Value: []byte("/svc/Method")}, {Static: http2.PAuthority, Value: []byte("peer")}, {Name: []byte("X-Mixed"), Value: []byte("v")}}

// get is a request without a body whose response is read to its end.
func get(c *Conn) (status int, body, trailer string, err error) { return ask(c, true) }

// ask is get; without end the request is never complete.
func ask(c *Conn, end bool) (status int, body, trailer string, err error) {
	s, err := c.Open(request, end)
	if err != nil {
		return 0, "", "", err
	}
	defer s.Release()
	defer s.Close()
	if _, err = s.WaitHead(0); err != nil {
		return 0, "", "", err
	}
	status = s.Status()
	for {
		p, err := s.WaitData(0)
		if err != nil {
			return status, body, "", err
		}
		if p == nil {
			for _, f := range s.Trailers().List {
				trailer += string(f.Name) + ":" + string(f.Value) + " "
			}
			return status, body, trailer, nil
		}
		body += string(p)
		s.Consume(len(p))
	}
}

func TestExchange(t *testing.T) {
	script(t, Config{}, func(p *peer) {
		p.settings()
		p.send()
		h, block := p.want(http2.Headers)
		var b http2.Block
		if err := p.dec.Decode(&b, block, &http2.Limits{String: 1000, Total: 1000, Count: 100}); err != nil || !h.Has(http2.EndStream) {
			t.Errorf("request: %v, flags %x", err, h.Flags)
		}
		got := ""
		for _, f := range b.List {
			got += string(f.Name) + "=" + string(f.Value) + ";"
		}
		if got != ":method=POST;:scheme=http;:path=/svc/Method;:authority=peer;x-mixed=v;" {
			t.Errorf("fields %q", got)
		}
		p.head(1, false, ":status", "103", "link", "x")
		p.head(1, false, ":status", "200", "content-type", "text/plain")
		p.data(1, "hel", false)
		p.data(1, "lo", false)
		p.head(1, true, "grpc-status", "0")
		p.send()
		p.want(http2.GoAway) // none comes: the end
	}, func(loop *netio.Loop, c *Conn) {
		status, body, trailer, err := get(c)
		if status != 200 || body != "hello" || trailer != "grpc-status:0 " || err != nil {
			t.Errorf("%d %q %q %v", status, body, trailer, err)
		}
		c.fault(&http2.Error{Code: http2.NoError, Text: "x"})
	})
}

// TestFaults plays peers that do what they must not.
func TestFaults(t *testing.T) {
	ok := func(p *peer) { p.head(1, false, ":status", "200") }
	for _, f := range []struct {
		name, text string
		conn       bool // the connection is at fault, not the stream
		play       func(p *peer)
	}{
		{"no status", "upstream sent no :status header", false, func(p *peer) { p.head(1, true, "a", "b") }},
		{"late status", "upstream sent no :status header", false, func(p *peer) { p.head(1, true, "a", "b", ":status", "200") }},
		{"two statuses", "upstream sent duplicate :status header", false, func(p *peer) { p.head(1, true, ":status", "200", ":status", "200") }},
		{"bad status", "upstream sent invalid :status \"2x0\"", false, func(p *peer) { p.head(1, true, ":status", "2x0") }},
		{"pseudo", "upstream sent invalid header \":path: /\"", false, func(p *peer) { p.head(1, true, ":status", "200", ":path", "/") }},
		{"switching", "upstream sent unexpected :status \"101\"", false, func(p *peer) { p.head(1, false, ":status", "101") }},
		{"interim end", "upstream prematurely closed stream", false, func(p *peer) { p.head(1, true, ":status", "103") }},
		{"line feed", "upstream sent invalid header:", false, func(p *peer) { p.head(1, true, ":status", "200", "a", "b\nc") }},
		{"coding", "upstream sent invalid header:", false, func(p *peer) { p.head(1, true, ":status", "200", "transfer-encoding", "chunked") }},
		{"length", "upstream sent invalid \"Content-Length\" header", false, func(p *peer) { p.head(1, false, ":status", "200", "content-length", "+1") }},
		{"two lengths", "upstream sent invalid \"Content-Length\" header", false, func(p *peer) { p.head(1, false, ":status", "200", "content-length", "1", "content-length", "2") }},
		{"too long", "upstream sent response body larger than indicated content length", false, func(p *peer) {
			p.head(1, false, ":status", "200", "content-length", "3")
			p.data(1, "four", true)
		}},
		{"too short", "upstream prematurely closed stream", false, func(p *peer) {
			p.head(1, false, ":status", "200", "content-length", "5")
			p.data(1, "four", true)
		}},
		{"data first", "upstream sent unexpected http2 frame: 0", false, func(p *peer) { p.data(1, "x", false) }},
		{"trailers without end", "upstream sent trailer without end stream flag", false, func(p *peer) { ok(p); p.head(1, false, "a", "b") }},
		{"pseudo trailer", "upstream sent invalid trailer", false, func(p *peer) { ok(p); p.head(1, true, ":status", "200") }},
		{"reset", "upstream rejected request with error 2", false, func(p *peer) { p.buf = http2.AppendRSTStream(p.buf, 1, http2.InternalError) }},
		{"window", "upstream sent too large window update", false, func(p *peer) { p.buf = http2.AppendWindowUpdate(p.buf, 1, http2.MaxWindow) }},
		{"flow control", "upstream violated stream flow control", false, func(p *peer) {
			ok(p)
			p.data(1, strings.Repeat("x", 2000), false)
		}},
		{"even stream", "upstream sent frame for unknown stream 2", true, func(p *peer) { p.head(2, true, ":status", "200") }},
		{"idle stream", "upstream sent frame for unknown stream 7", true, func(p *peer) { p.data(7, "x", false) }},
		{"push", "upstream sent unexpected push promise frame", true, func(p *peer) {
			p.buf = append(http2.AppendHeader(p.buf, 4, http2.PushPromise, http2.EndHeaders, 1), 0, 0, 0, 2)
		}},
		{"continuation", "upstream sent unexpected http2 frame: 9", true, func(p *peer) { p.buf = http2.AppendHeader(p.buf, 0, http2.Continuation, 0, 1) }},
		{"interrupted block", "upstream sent unexpected http2 frame: 6", true, func(p *peer) {
			p.buf = append(http2.AppendHeader(p.buf, 1, http2.Headers, 0, 1), 0x88)
			p.buf = http2.AppendPing(p.buf, [8]byte{}, 0)
		}},
		{"compression", "upstream sent", true, func(p *peer) { p.buf = append(http2.AppendHeader(p.buf, 1, http2.Headers, http2.EndHeaders, 1), 0x80) }},
		{"large frame", "upstream sent too large http2 frame: 16385", true, func(p *peer) { p.buf = http2.AppendHeader(p.buf, 16385, http2.Data, 0, 1) }},
		{"zero window", "upstream sent zero window update", true, func(p *peer) { p.buf = http2.AppendWindowUpdate(p.buf, 0, 0) }},
		{"window of all", "upstream sent too large window update", true, func(p *peer) { p.buf = http2.AppendWindowUpdate(p.buf, 0, http2.MaxWindow) }},
		{"setting", "upstream sent SETTINGS frame with incorrect", true, func(p *peer) { p.settings(http2.Setting{ID: http2.MaxFrameSizeID, Value: 1}) }},
		{"continuation flood", "upstream sent too large http2 header", true, func(p *peer) {
			p.buf = append(http2.AppendHeader(p.buf, 1, http2.Headers, 0, 1), 0x88)
			for range 2 * maxFragments {
				p.buf = http2.AppendHeader(p.buf, 0, http2.Continuation, 0, 1)
			}
		}},
		{"empty frames", "upstream sent too many frames that carry nothing", true, func(p *peer) {
			ok(p)
			for range maxEmpty + 10 {
				p.data(1, "", false)
			}
		}},
		{"ping flood", "upstream sent too many settings or ping frames", true, func(p *peer) {
			for range maxAnswers + 10 {
				p.buf = http2.AppendPing(p.buf, [8]byte{}, 0)
			}
		}},
		{"end", "upstream prematurely closed connection", true, func(p *peer) { p.conn.(*net.UnixConn).CloseWrite() }}, // closing with bytes unread would be a reset
	} {
		t.Run(f.name, func(t *testing.T) {
			script(t, Config{Window: 1000}, func(p *peer) {
				p.settings()
				p.send()
				p.want(http2.Headers)
				f.play(p)
				p.send()
				for {
					if _, _, err := p.next(); err != nil {
						return
					}
				}
			}, func(loop *netio.Loop, c *Conn) {
				_, _, _, err := ask(c, false)
				var e *Error
				if !errors.As(err, &e) || !strings.HasPrefix(e.Text, f.text) {
					t.Errorf("got %v, want %q", err, f.text)
				}
				if c.Usable() == f.conn {
					t.Errorf("the connection is usable: %v", c.Usable())
				}
			})
		})
	}
}

func TestGoAway(t *testing.T) {
	script(t, Config{}, func(p *peer) {
		p.settings()
		p.send()
		p.want(http2.Headers)
		p.want(http2.Headers)
		p.buf = http2.AppendGoAway(p.buf, 1, http2.NoError, "")
		p.head(1, false, ":status", "200")
		p.data(1, "ok", true)
		p.send()
		if _, _, err := p.next(http2.Settings, http2.WindowUpdate); err != io.EOF {
			t.Errorf("the connection is not closed after its last stream: %v", err)
		}
	}, func(loop *netio.Loop, c *Conn) {
		first, _ := c.Open(request, true)
		second, _ := c.Open(request, true)
		if _, err := second.WaitHead(0); !second.Err().Refused {
			t.Errorf("the stream that was not looked at: %v", err)
		}
		second.Close()
		if _, err := c.Open(request, true); err == nil || c.Usable() {
			t.Error("a stream was opened after GOAWAY")
		}
		if p, err := first.WaitData(0); string(p) != "ok" {
			t.Errorf("the stream before it: %q, %v", p, err)
		}
		first.Close()
	})
}

// TestGoAwayBelowAnswers: a server that names a last stream below one that it has answered does not take the answer away.
func TestGoAwayBelowAnswers(t *testing.T) {
	script(t, Config{}, func(p *peer) {
		p.settings()
		p.send()
		p.want(http2.Headers)
		p.want(http2.Headers)
		p.head(3, false, ":status", "200")
		p.data(3, "ok", true)
		p.buf = http2.AppendGoAway(p.buf, 3, http2.NoError, "")
		p.buf = http2.AppendGoAway(p.buf, 1, http2.NoError, "")
		p.head(1, true, ":status", "204")
		p.send()
		if _, _, err := p.next(http2.Settings, http2.WindowUpdate); err != io.EOF {
			t.Errorf("the connection is not closed after its last stream: %v", err)
		}
	}, func(loop *netio.Loop, c *Conn) {
		first, _ := c.Open(request, true)
		second, _ := c.Open(request, true)
		if _, err := first.WaitHead(0); err != nil || first.Status() != 204 {
			t.Errorf("%d, %v", first.Status(), err)
		}
		if p, err := second.WaitData(0); string(p) != "ok" {
			t.Errorf("the answer that was there: %q, %v", p, err)
		}
		second.Consume(2)
		if p, err := second.WaitData(0); len(p) > 0 || err != nil || !second.Ended() {
			t.Errorf("its end: %q, %v", p, err)
		}
		second.Close()
		first.Close()
	})
}

func TestRefused(t *testing.T) {
	script(t, Config{}, func(p *peer) {
		p.settings()
		p.send()
		p.want(http2.Headers)
		p.buf = http2.AppendRSTStream(p.buf, 1, http2.RefusedStream)
		p.send()
		p.want(http2.Headers)
		p.head(3, true, ":status", "204")
		p.send()
	}, func(loop *netio.Loop, c *Conn) {
		_, _, _, err := get(c)
		var e *Error
		if !errors.As(err, &e) || !e.Refused {
			t.Errorf("got %v", err)
		}
		if status, _, _, err := get(c); status != 204 {
			t.Errorf("%d, %v", status, err)
		}
	})
}

// TestResponseBeforeRequest is a peer that has answered in full and does not want the rest.
func TestResponseBeforeRequest(t *testing.T) {
	script(t, Config{}, func(p *peer) {
		p.settings(http2.Setting{ID: http2.InitialWindowSize, Value: 3})
		p.send()
		p.want(http2.Data)
		p.head(1, false, ":status", "200")
		p.data(1, "enough", true)
		p.buf = http2.AppendRSTStream(p.buf, 1, http2.NoError)
		p.send()
	}, func(loop *netio.Loop, c *Conn) {
		for !c.settled {
			loop.Sleep(0)
		}
		s, _ := c.Open(request, false)
		if err := s.Send([]byte("more than the window"), true, int64(time.Minute)); err != ErrStopped {
			t.Errorf("sending: %v", err)
		}
		if p, err := s.WaitData(0); string(p) != "enough" || err != nil {
			t.Errorf("%q, %v", p, err)
		}
		s.Consume(6)
		if !s.Ended() || c.Live() != 0 {
			t.Errorf("ended %v, live %d", s.Ended(), c.Live())
		}
		s.Close()
	})
}

func TestWindows(t *testing.T) {
	text := strings.Repeat("0123456789", 30_000)
	script(t, Config{}, func(p *peer) {
		p.settings(http2.Setting{ID: http2.InitialWindowSize, Value: 100})
		p.send()
		p.want(http2.Headers)
		got := 0
		for got < len(text) {
			h, payload := p.want(http2.Data)
			if got += len(payload); h.Length > 100+10_000 {
				t.Errorf("%d bytes at once", h.Length)
			}
			p.buf = http2.AppendWindowUpdate(p.buf, 1, 10_000)
			p.buf = http2.AppendWindowUpdate(p.buf, 0, 10_000)
			p.send()
		}
		p.head(1, false, ":status", "200")
		p.send()
		sent, window := 0, defaultWindow
		for sent < len(text) {
			for window == 0 {
				h, payload := p.want(http2.WindowUpdate)
				if n, _ := http2.WindowUpdatePayload(h, payload); h.Stream == 1 {
					window += int(n)
				}
			}
			n := min(window, 16000, len(text)-sent)
			p.data(1, text[sent:sent+n], sent+n == len(text))
			p.send()
			sent += n
			window -= n
		}
	}, func(loop *netio.Loop, c *Conn) {
		for !c.settled {
			loop.Sleep(0)
		}
		s, _ := c.Open(request, false)
		loop.Go(func() {
			if err := s.Send([]byte(text), true, int64(time.Minute)); err != nil {
				t.Errorf("sending: %v", err)
			}
		})
		var got strings.Builder
		for {
			p, err := s.WaitData(0)
			if err != nil {
				t.Errorf("reading: %v", err)
				break
			}
			if p == nil {
				break
			}
			got.Write(p)
			s.Consume(len(p))
		}
		if got.String() != text {
			t.Errorf("%d bytes came back of %d", got.Len(), len(text))
		}
		s.Close()
		s.Release()
	})
}

// TestSharedWindow lets streams wait for the connection's window: all of them end.
func TestSharedWindow(t *testing.T) {
	const streams, size = 20, 10_000
	script(t, Config{}, func(p *peer) {
		p.settings(http2.Setting{ID: http2.InitialWindowSize, Value: 1 << 20})
		p.send()
		got := 0
		for ends := 0; ends < streams; {
			h, payload := p.want(http2.Data)
			if h.Has(http2.EndStream) {
				ends++
			}
			if got += len(payload); got > http2.DefaultWindow-2000 {
				p.buf = http2.AppendWindowUpdate(p.buf, 0, 3000)
				p.send()
			}
			if len(payload) == 0 {
				return
			}
		}
	}, func(loop *netio.Loop, c *Conn) {
		for !c.settled {
			loop.Sleep(0)
		}
		me, left := loop.Current(), streams
		for range streams {
			loop.Go(func() {
				s, _ := c.Open(request, false)
				if err := s.Send(make([]byte, size), true, int64(time.Minute)); err != nil {
					t.Errorf("sending: %v", err)
				}
				s.Close()
				if left--; left == 0 {
					loop.Ready(me)
				}
			})
		}
		for left > 0 {
			loop.Park(0)
		}
	})
}

func TestMaxConcurrentStreams(t *testing.T) {
	script(t, Config{}, func(p *peer) {
		p.settings(http2.Setting{ID: http2.MaxConcurrentStreams, Value: 1})
		p.send()
		for i := range uint32(3) {
			h, _ := p.want(http2.Headers)
			if h.Stream != 2*i+1 {
				t.Errorf("stream %d", h.Stream)
			}
			p.head(h.Stream, true, ":status", "200")
			p.send()
		}
	}, func(loop *netio.Loop, c *Conn) {
		for !c.settled {
			loop.Sleep(0)
		}
		for range 3 {
			if n := c.room(); n != 1 {
				t.Errorf("room for %d", n)
			}
			if status, _, _, err := get(c); status != 200 {
				t.Errorf("%d, %v", status, err)
			}
		}
	})
}

func TestSilentPeer(t *testing.T) {
	script(t, Config{PingAfter: 5 * time.Millisecond, PingTimeout: 2 * time.Second}, func(p *peer) {
		p.settings()
		p.send()
		h, payload := p.want(http2.Ping)
		data, _ := http2.PingPayload(h, payload)
		p.buf = http2.AppendPing(p.buf, data, http2.Ack)
		p.send()
		p.want(http2.Ping) // stays without an answer
		io.Copy(io.Discard, p.conn)
	}, func(loop *netio.Loop, c *Conn) {
		if _, _, _, err := get(c); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCancel(t *testing.T) {
	script(t, Config{}, func(p *peer) {
		p.settings()
		p.send()
		p.want(http2.Headers)
		h, payload := p.want(http2.RSTStream)
		if code, _ := http2.RSTStreamPayload(h, payload); code != http2.Cancel {
			t.Errorf("code %s", code)
		}
		p.head(1, true, ":status", "200", "a", "b") // late: changes nothing
		p.want(http2.Headers)
		p.head(3, true, ":status", "204")
		p.send()
	}, func(loop *netio.Loop, c *Conn) {
		s, _ := c.Open(request, false)
		s.Close()
		s.Release()
		if status, _, _, err := get(c); status != 204 {
			t.Errorf("%d, %v", status, err)
		}
	})
}
