package grpctest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"

	"moongate/internal/http2"
)

// BadServer is a server of HTTP/2 that does with calls of UnaryCall what a test says.
type BadServer struct {
	Addr string

	mu       sync.Mutex
	settings []http2.Setting
	play     Play
	conns    int
	calls    int
	pings    int // sent and not answered
	most     int // streams open at once on a connection that has confirmed the settings
}

// Play answers a request that is complete; false closes the connection when that has been sent.
type Play func(c *BadConn, id uint32, in *testpb.SimpleRequest) bool

// BadConn is a connection to a BadServer.
type BadConn struct {
	// N is the connection's number, from 1.
	N int
	// Last, when set, is the last stream that is looked at.
	Last uint32

	conn   net.Conn
	server *BadServer
	enc    http2.Encoder
	peer   http2.Peer
	queue  []piece
	window int64
	open   map[uint32]*badStream
	agreed bool // the client has confirmed the settings
}

type badStream struct {
	body   bytes.Buffer
	window int64
	whole  bool // the request
}

// piece is what is to be sent: a frame as it is, or data of a stream, which waits for its windows.
type piece struct {
	frame []byte
	id    uint32
	data  []byte
}

// Bad runs a BadServer until the test ends.
func Bad(t testing.TB, play Play, settings ...http2.Setting) *BadServer {
	t.Helper()
	l := listen(t)
	s := &BadServer{Addr: l.Addr().String(), settings: settings, play: play}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 1; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c := &BadConn{N: n, conn: nc, server: s, peer: http2.DefaultPeer(), window: http2.DefaultWindow, open: map[uint32]*badStream{}}
			c.enc.Init()
			go c.serve()
		}
	}()
	return s
}

// Conns is the number of connections that had a request, Calls that of the requests.
func (s *BadServer) Conns() int { return s.count(&s.conns) }

// Calls is the number of requests.
func (s *BadServer) Calls() int { return s.count(&s.calls) }

// Pings is the number of those that were not answered.
func (s *BadServer) Pings() int { return s.count(&s.pings) }

// Most is how many streams a connection had open at once, after its client has confirmed the settings.
func (s *BadServer) Most() int { return s.count(&s.most) }

func (s *BadServer) count(n *int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *n
}

func (s *BadServer) note(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
}

func (c *BadConn) serve() {
	defer c.conn.Close()
	io.ReadFull(c.conn, make([]byte, len(http2.Preface)))
	c.frame(http2.AppendWindowUpdate(http2.AppendSettings(nil, c.server.settings...), 0, 1<<24))
	for first := true; ; {
		if c.pump() != nil {
			return
		}
		var b [http2.HeaderSize]byte
		if _, err := io.ReadFull(c.conn, b[:]); err != nil {
			return
		}
		h := http2.ParseHeader(b[:])
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(c.conn, p); err != nil {
			return
		}
		st := c.take(h, p)
		if st == nil {
			continue
		}
		c.server.note(func() {
			if c.server.calls++; first {
				c.server.conns++
			}
		})
		first = false
		var in testpb.SimpleRequest
		if b := st.body.Bytes(); len(b) >= 5 {
			proto.Unmarshal(b[5:], &in)
		}
		if !c.server.play(c, h.Stream, &in) {
			c.pump()
			return
		}
	}
}

// take looks at a frame; it gives the stream whose request that has completed.
func (c *BadConn) take(h http2.FrameHeader, p []byte) *badStream {
	st := c.open[h.Stream]
	switch {
	case h.Type == http2.Settings && h.Has(http2.Ack):
		c.agreed = true
	case h.Type == http2.Settings:
		if delta, _, err := c.peer.SettingsPayload(h, p); err == nil {
			for _, st := range c.open {
				st.window += delta
			}
		}
		c.frame(http2.AppendSettingsAck(nil))
	case h.Type == http2.Ping && h.Has(http2.Ack):
		c.server.note(func() { c.server.pings-- })
	case h.Type == http2.Ping:
		c.frame(http2.AppendPing(nil, [8]byte(p), http2.Ack))
	case h.Type == http2.WindowUpdate:
		if n := int64(binary.BigEndian.Uint32(p)); h.Stream == 0 {
			c.window += n
		} else if st != nil {
			st.window += n
		}
	case c.Last > 0 && h.Stream > c.Last:
	case h.Type == http2.Headers:
		c.open[h.Stream] = &badStream{window: int64(c.peer.InitialWindow)}
		if c.agreed {
			c.server.note(func() { c.server.most = max(c.server.most, len(c.open)) })
		}
	case h.Type == http2.RSTStream:
		delete(c.open, h.Stream)
	case h.Type == http2.Data && st != nil && !st.whole:
		st.body.Write(p)
		if len(p) > 0 {
			c.frame(http2.AppendWindowUpdate(nil, h.Stream, int64(len(p))))
		}
		if st.whole = h.Has(http2.EndStream); st.whole {
			return st
		}
	}
	return nil
}

// pump sends what is queued, as far as the windows allow.
func (c *BadConn) pump() error {
	var out []byte
	for len(c.queue) > 0 {
		q := &c.queue[0]
		if st := c.open[q.id]; q.data != nil && st != nil {
			n := min(int64(len(q.data)), st.window, c.window)
			if n <= 0 {
				break
			}
			out = http2.AppendData(out, q.id, q.data[:n], 0)
			st.window -= n
			c.window -= n
			if q.data = q.data[n:]; len(q.data) > 0 {
				continue
			}
		} else if out = append(out, q.frame...); q.id != 0 { // the end of a stream
			delete(c.open, q.id)
		}
		c.queue = c.queue[1:]
	}
	_, err := c.conn.Write(out)
	return err
}

// Flush sends what the windows allow, before play is over.
func (c *BadConn) Flush() { c.pump() }

func (c *BadConn) frame(b []byte) { c.queue = append(c.queue, piece{frame: b}) }

func (c *BadConn) fields(id uint32, end bool, fields ...string) []byte {
	block := c.enc.Begin(nil)
	for i := 0; i < len(fields); i += 2 {
		block = c.enc.Append(block, 0, []byte(fields[i]), []byte(fields[i+1]), http2.Plain)
	}
	f := http2.Flags(0)
	if end {
		f = http2.EndStream
	}
	return http2.AppendHeaders(nil, id, block, f, http2.DefaultFrameSize)
}

// Head sends the head of an answer.
func (c *BadConn) Head(id uint32) {
	c.Fields(id, false, ":status", "200", "content-type", "application/grpc")
}

// Fields sends a header block.
func (c *BadConn) Fields(id uint32, end bool, fields ...string) {
	p := piece{frame: c.fields(id, end, fields...)}
	if end {
		p.id = id
	}
	c.queue = append(c.queue, p)
}

// Raw sends bytes as they are.
func (c *BadConn) Raw(b []byte) { c.frame(b) }

// OK ends an answer well.
func (c *BadConn) OK(id uint32) { c.Fields(id, true, "grpc-status", "0") }

// Data sends bytes of an answer, in frames that are not large; between, when not nil, is called behind each.
func (c *BadConn) Data(id uint32, p []byte, between func()) {
	for len(p) > 0 {
		n := min(len(p), 10_000)
		c.queue = append(c.queue, piece{id: id, data: p[:n]})
		if p = p[n:]; between != nil {
			between()
		}
	}
}

// Reset ends a stream.
func (c *BadConn) Reset(id uint32, code http2.ErrCode) {
	c.queue = append(c.queue, piece{frame: http2.AppendRSTStream(nil, id, code), id: id})
}

// GoAway says that last is the last request that is looked at.
func (c *BadConn) GoAway(last uint32, code http2.ErrCode) {
	c.Last = max(last, 1) // 0: as if it were the first, whose answer is not sent
	c.frame(http2.AppendGoAway(nil, last, code, ""))
}

// Ping asks the client for an answer.
func (c *BadConn) Ping() {
	c.server.note(func() { c.server.pings++ })
	c.frame(http2.AppendPing(nil, [8]byte{1}, 0))
}

// Message is the answer to a request, as large as it asks for, in its frame.
func Message(in *testpb.SimpleRequest) []byte {
	m, _ := proto.Marshal(&testpb.SimpleResponse{Payload: &testpb.Payload{Body: make([]byte, in.ResponseSize)}})
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

// Answer answers as a good server does.
func (c *BadConn) Answer(id uint32, in *testpb.SimpleRequest) {
	c.Head(id)
	c.Data(id, Message(in), nil)
	c.OK(id)
}
