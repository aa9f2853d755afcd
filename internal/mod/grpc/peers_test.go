package grpc_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"moongate/internal/http2"
)

// badConn is a connection to a server that behaves as the test says.
type badConn struct {
	net.Conn
	n    int // of the connection
	enc  http2.Encoder
	out  []byte
	acks int // of pings
	open map[uint32]*bytes.Buffer
	most int    // streams open at once
	last uint32 // streams above are not looked at any more
}

// badServer answers requests that are complete by play; false closes the connection.
func badServer(t *testing.T, settings []http2.Setting, play func(c *badConn, id uint32, in *testgrpc.SimpleRequest) bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 1; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c := &badConn{Conn: nc, n: n, open: map[uint32]*bytes.Buffer{}}
			c.enc.Init()
			go c.serve(settings, play)
		}
	}()
	return l.Addr().String()
}

func (c *badConn) serve(settings []http2.Setting, play func(c *badConn, id uint32, in *testgrpc.SimpleRequest) bool) {
	defer c.Close()
	io.ReadFull(c, make([]byte, len(http2.Preface)))
	c.out = http2.AppendSettings(c.out, settings...)
	c.out = http2.AppendWindowUpdate(c.out, 0, 1<<24)
	for {
		if _, err := c.Write(c.out); err != nil {
			return
		}
		c.out = c.out[:0]
		var b [http2.HeaderSize]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return
		}
		h := http2.ParseHeader(b[:])
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(c, p); err != nil {
			return
		}
		switch {
		case h.Type == http2.Settings && !h.Has(http2.Ack):
			c.out = http2.AppendSettingsAck(c.out)
		case h.Type == http2.Ping && h.Has(http2.Ack):
			c.acks++
		case c.last > 0 && h.Stream > c.last:
		case h.Type == http2.Headers:
			c.open[h.Stream] = &bytes.Buffer{}
			c.most = max(c.most, len(c.open))
		case h.Type == http2.RSTStream:
			delete(c.open, h.Stream)
		case h.Type == http2.Data && c.open[h.Stream] != nil:
			c.open[h.Stream].Write(p)
			c.out = http2.AppendWindowUpdate(c.out, h.Stream, 1<<20)
			if h.Has(http2.EndStream) {
				var in testgrpc.SimpleRequest
				if body := c.open[h.Stream].Bytes(); len(body) >= 5 {
					proto.Unmarshal(body[5:], &in)
				}
				delete(c.open, h.Stream)
				if !play(c, h.Stream, &in) {
					c.Write(c.out)
					return
				}
			}
		}
	}
}

func (c *badConn) fields(id uint32, end bool, fields ...string) {
	block := c.enc.Begin(nil)
	for i := 0; i < len(fields); i += 2 {
		block = c.enc.Append(block, 0, []byte(fields[i]), []byte(fields[i+1]), http2.Plain)
	}
	f := http2.Flags(0)
	if end {
		f = http2.EndStream
	}
	c.out = http2.AppendHeaders(c.out, id, block, f, http2.DefaultFrameSize)
}

func (c *badConn) head(id uint32) {
	c.fields(id, false, ":status", "200", "content-type", "application/grpc")
}
func (c *badConn) ok(id uint32) { c.fields(id, true, "grpc-status", "0") }

// message is the answer to a request: as large as it asks for.
func message(in *testgrpc.SimpleRequest) []byte {
	m, _ := proto.Marshal(&testgrpc.SimpleResponse{Payload: &testgrpc.Payload{Body: make([]byte, in.ResponseSize)}})
	return append([]byte{0, byte(len(m) >> 24), byte(len(m) >> 16), byte(len(m) >> 8), byte(len(m))}, m...)
}

func (c *badConn) data(id uint32, p []byte, between func()) {
	for len(p) > 0 {
		n := min(len(p), 10_000)
		c.out = http2.AppendData(c.out, id, p[:n], 0)
		p = p[n:]
		if between != nil {
			between()
		}
	}
}

func (c *badConn) answer(id uint32, in *testgrpc.SimpleRequest) {
	c.head(id)
	c.data(id, message(in), nil)
	c.ok(id)
}

// large asks for what the official cases of bad peers ask for; its answer fits the windows that we grant.
func large() *testgrpc.SimpleRequest {
	return &testgrpc.SimpleRequest{ResponseSize: 200_000, Payload: &testgrpc.Payload{Body: make([]byte, 271_828)}}
}

// TestBadPeers are the official cases of servers that misbehave (grpc-go's interop/http2), on the server's side of the
// gateway.
func TestBadPeers(t *testing.T) {
	through := func(t *testing.T, addr string) testgrpc.TestServiceClient {
		s := start(t, `upstream u { server %s; keepalive 4; } client_max_body_size 0;
			server { listen 127.0.0.1:8080; location / { grpc_pass u; } }`, addr)
		return testgrpc.NewTestServiceClient(dial(t, s.Addr("127.0.0.1:8080")))
	}
	call := func(tc testgrpc.TestServiceClient) (*testgrpc.SimpleResponse, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		return tc.UnaryCall(ctx, large())
	}
	fine := func(t *testing.T, tc testgrpc.TestServiceClient) {
		if out, err := call(tc); err != nil || len(out.GetPayload().GetBody()) != 200_000 {
			t.Errorf("%d bytes, %v", len(out.GetPayload().GetBody()), err)
		}
	}
	fails := func(t *testing.T, tc testgrpc.TestServiceClient, want ...codes.Code) {
		out, err := call(tc)
		if out != nil {
			t.Error("there is an answer")
		}
		for _, w := range want {
			if status.Code(err) == w {
				return
			}
		}
		t.Errorf("%v, want one of %v", err, want)
	}
	t.Run("goaway", func(t *testing.T) {
		var conns atomic.Int64
		tc := through(t, badServer(t, nil, func(c *badConn, id uint32, in *testgrpc.SimpleRequest) bool {
			conns.Store(int64(c.n))
			c.answer(id, in)
			c.out = http2.AppendGoAway(c.out, id, http2.NoError, "")
			return true
		}))
		fine(t, tc)
		fine(t, tc)
		if n := conns.Load(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
	for name, play := range map[string]func(c *badConn, id uint32, in *testgrpc.SimpleRequest){
		"rst_after_header": func(c *badConn, id uint32, in *testgrpc.SimpleRequest) { c.head(id) },
		"rst_during_data": func(c *badConn, id uint32, in *testgrpc.SimpleRequest) {
			c.head(id)
			c.data(id, message(in)[:100_000], nil)
		},
		"rst_after_data": func(c *badConn, id uint32, in *testgrpc.SimpleRequest) {
			c.head(id)
			c.data(id, message(in), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			fails(t, through(t, badServer(t, nil, func(c *badConn, id uint32, in *testgrpc.SimpleRequest) bool {
				play(c, id, in)
				c.out = http2.AppendRSTStream(c.out, id, http2.NoError)
				return true
			})), codes.Internal, codes.Unknown)
		})
	}
	t.Run("ping", func(t *testing.T) {
		acks := make(chan int, 1)
		tc := through(t, badServer(t, nil, func(c *badConn, id uint32, in *testgrpc.SimpleRequest) bool {
			select {
			case acks <- c.acks:
			default:
			}
			ping := func() { c.out = http2.AppendPing(c.out, [8]byte{1}, 0) }
			c.head(id)
			ping()
			c.data(id, message(in), ping)
			c.ok(id)
			return true
		}))
		fine(t, tc)
		<-acks
		fine(t, tc)
		if n := <-acks; n < 20 {
			t.Errorf("%d pings were answered", n)
		}
	})
	t.Run("max_streams", func(t *testing.T) {
		var most atomic.Int64
		tc := through(t, badServer(t, []http2.Setting{{ID: http2.MaxConcurrentStreams, Value: 1}}, func(c *badConn, id uint32, in *testgrpc.SimpleRequest) bool {
			if n := int64(c.most); c.n == 1 && n > most.Load() {
				most.Store(n)
			}
			c.answer(id, in)
			return true
		}))
		fine(t, tc)
		var wait sync.WaitGroup
		for range 15 {
			wait.Go(func() { fine(t, tc) })
		}
		wait.Wait()
		if n := most.Load(); n != 1 {
			t.Errorf("%d streams at once", n)
		}
	})
	t.Run("refused", func(t *testing.T) {
		var n atomic.Int64
		tc := through(t, badServer(t, nil, func(c *badConn, id uint32, in *testgrpc.SimpleRequest) bool {
			if n.Add(1) == 1 {
				c.out = http2.AppendRSTStream(c.out, id, http2.RefusedStream)
			} else {
				c.answer(id, in)
			}
			return true
		}))
		if _, err := tc.UnaryCall(context.Background(), &testgrpc.SimpleRequest{ResponseSize: 10}); err != nil {
			t.Error(err)
		}
	})
	t.Run("calm", func(t *testing.T) {
		fails(t, through(t, badServer(t, nil, func(c *badConn, id uint32, in *testgrpc.SimpleRequest) bool {
			c.out = http2.AppendRSTStream(c.out, id, http2.EnhanceYourCalm)
			return true
		})), codes.Unavailable)
	})
	t.Run("truncated", func(t *testing.T) {
		fails(t, through(t, badServer(t, nil, func(c *badConn, id uint32, in *testgrpc.SimpleRequest) bool {
			c.head(id)
			c.data(id, message(in)[:1000], nil)
			return false
		})), codes.Internal, codes.Unknown)
	})
}

// TestNoCallIsLost lets a server say GOAWAY over and over while many calls are under way: those that it has not looked
// at are made again.
func TestNoCallIsLost(t *testing.T) {
	var conns atomic.Int64
	addr := badServer(t, nil, func(c *badConn, id uint32, in *testgrpc.SimpleRequest) bool {
		c.answer(id, in)
		conns.Store(int64(c.n))
		if id >= 41 {
			c.last = id
			c.out = http2.AppendGoAway(c.out, id, http2.NoError, "")
		}
		return true
	})
	s := start(t, `upstream u { server %s; keepalive 4; }
		server { listen 127.0.0.1:8080; location / { grpc_pass u; } }`, addr)
	tc := testgrpc.NewTestServiceClient(dial(t, s.Addr("127.0.0.1:8080")))
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			for range 20 {
				if _, err := tc.UnaryCall(context.Background(), &testgrpc.SimpleRequest{ResponseSize: 10, Payload: &testgrpc.Payload{Body: make([]byte, 10)}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	if n := conns.Load(); n < 5 {
		t.Errorf("%d connections", n)
	}
	if t.Failed() {
		t.Log(s.ErrorLog())
	}
}
