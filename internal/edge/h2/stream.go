package h2

import (
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/http2"
	"moongate/internal/netio"
)

// stream is one request and its response. It is the engine's Stream, and what the request knows as its connection: modules
// may change what they find there.
type stream struct {
	engine.Conn
	msg   http1.Message
	block http2.Block
	uri   []byte // memory for a decoded URI
	q     []segment
	pace  pace
	live
}

// live is what begins anew with each stream.
type live struct {
	c      *conn
	r      *engine.Request
	id     uint32
	size   int // of the header block as it came
	weight int // of the header block as it is kept

	// What the client may still do.
	inClosed bool // END_STREAM has come
	reset    bool // RST_STREAM has come or was sent: the stream is over
	gone     bool // the stream or the connection is lost
	body     body

	// The response.
	sendWindow http2.Window
	qh         int   // the first segment that was not framed
	queued     int64 // bytes of the segments
	last       bool  // the end of the response was queued
	outClosed  bool  // END_STREAM was put into the connection's buffer
	malformed  bool  // the request breaks the protocol: RFC 9113 8.1.1
	timedOut   bool
	tunnel     bool // extended CONNECT
	hijacked   bool
	waiting    bool // in the queue of the connection
	prev, next *stream
	progress   int64 // when a piece was last sent
	rank       int   // the place in the tree of priorities, as of version placed
	share      float64
	placed     uint32

	reader  *netio.Task // waits for the body
	writer  *netio.Task // waits until at most low bytes are queued
	low     int64
	onAbort func()
	onRead  func() // see Detach
	onBody  func() // see OnBody
}

var _ interface {
	engine.Stream
	engine.Watcher
	engine.Downstream
	engine.Rester
	engine.Pusher
} = (*stream)(nil)

type freeList struct{ first *stream }

var workerSlot = engine.NewWorkerSlot()

func newStream(c *conn, id uint32) *stream {
	fl, _ := c.w.Values[workerSlot].(*freeList)
	if fl == nil {
		fl = &freeList{}
		c.w.Values[workerSlot] = fl
	}
	s := fl.first
	if s == nil {
		s = &stream{}
		s.pace.timer.Init(s.paced)
	} else {
		fl.first, s.next = s.next, nil
	}
	s.c, s.id = c, id
	s.Conn = *c.base
	s.Action = "reading client request headers"
	s.sendWindow = http2.Window(c.peer.InitialWindow)
	s.body.recvWindow = c.config().preread.V
	return s
}

// recycle gives the stream back. Its request has ended, or there was none.
func (s *stream) recycle() {
	s.dropQueue()
	s.dropBody()
	c := s.c
	w := c.w
	if s.waiting {
		c.ready.remove(s)
	}
	if s.pace.timer.Armed() {
		w.Loop.Disarm(&s.pace.timer)
	}
	s.block.Reset()
	s.msg.Reset()
	s.uri, s.q, s.pace.until = s.uri[:0], s.q[:0], 0
	s.live = live{}
	fl := w.Values[workerSlot].(*freeList)
	s.next = fl.first
	fl.first = s
}

// serve takes the request from its head to the log phase. It may park.
func (s *stream) serve() {
	c := s.c
	a := c.host.Addr()
	r := c.w.Begin(&s.Conn, a.HTTP(), s, &s.msg)
	s.r = r
	r.SetServer(a.DefaultServer())
	r.RequestLen = int64(s.size)
	if st := s.head(r, a); st != engine.OK {
		r.RejectHead(st)
	} else {
		s.Action = ""
		r.Serve()
		if r.Detached() {
			return
		}
	}
	s.done()
}

// done ends the request: the rest of the response leaves, the log phase runs.
func (s *stream) done() {
	r, c := s.r, s.c
	if s.hijacked && !s.gone && !s.reset {
		s.last, r.Aborted = true, false
		s.offer()
		c.pump()
	}
	if !r.Aborted && !s.gone {
		if s.unfinished() {
			r.Drain(0)
		}
		r.Complete = !r.Aborted && s.last
	}
	s.closeWire()
	if s.Conn.Values != nil {
		c.base.Values = s.Conn.Values
	}
	c.base.Local = s.Conn.Local
	r.RunLog()
	s.r = nil
	c.w.End(r)
	delete(c.streams, s.id)
	c.heads -= s.weight
	s.recycle()
	c.processing--
	if c.running {
		return
	}
	if c.dead {
		if c.processing == 0 && !c.closed {
			c.w.Loop.Go(c.closeGentlyUnlessLost)
		}
		return
	}
	c.flushSoon()
}

// closeGentlyUnlessLost closes a connection whose last request has ended.
func (c *conn) closeGentlyUnlessLost() {
	if c.goaway && !c.fd.HungUp() {
		c.closeGently()
	} else {
		c.close()
	}
}

// closeWire tells the client how the stream has ended, where it does not know.
func (s *stream) closeWire() {
	c := s.c
	if s.reset || c.dead {
		return
	}
	s.dropQueue()
	switch {
	case !s.outClosed && (s.malformed || s.timedOut):
		s.sendReset(http2.ProtocolError)
	case !s.outClosed && s.r.Cut != 0: // gRPC makes a status of it
		s.sendReset(http2.ErrCode(s.r.Cut))
	case !s.outClosed:
		s.sendReset(http2.InternalError)
	case s.malformed:
		s.sendReset(http2.ProtocolError)
	case !s.inClosed:
		c.addLate(s.id)
	default:
		c.past.add(s.id, endedByClient)
	}
	s.reset = true
}

// sendReset sends RST_STREAM.
func (s *stream) sendReset(code http2.ErrCode) {
	s.reset = true
	s.c.past.add(s.id, endedByUs)
	s.c.resetStream(s.id, code)
}

// terminate ends a stream for a fault of the client; its request goes on without one.
func (s *stream) terminate(code http2.ErrCode) {
	if !s.reset {
		s.sendReset(code)
	}
	s.abandon()
}

// abandon tells everybody who works for the stream that the client is gone.
func (s *stream) abandon() {
	if s.gone {
		return
	}
	s.gone = true
	loop := s.c.w.Loop
	if s.waiting {
		s.c.ready.remove(s)
	}
	s.wakeReader()
	if s.writer != nil {
		loop.Ready(s.writer)
	}
	s.TellGone()
	if f := s.onAbort; f != nil {
		s.onAbort = nil
		f()
	}
}

// Watch implements engine.Watcher.
func (s *stream) Watch(f func()) {
	s.onAbort = f
	if f != nil && s.gone {
		s.c.w.Loop.Go(func() {
			if g := s.onAbort; g != nil && s.gone {
				s.onAbort = nil
				g()
			}
		})
	}
}

// Gone reports whether the client has given the stream up.
func (s *stream) Gone() bool { return s.gone || s.c.dead }

// WaitRead parks until f may be read; what is queued leaves meanwhile, as the connection is served by others.
func (s *stream) WaitRead(r *engine.Request, f *netio.FD, deadline int64) error {
	return f.WaitRead(deadline)
}

// takeTrailers reads the fields behind a body. They have to be well-formed; nobody asks for them.
func (s *stream) takeTrailers(end bool, block []byte) error {
	l, _ := s.c.limits()
	var b http2.Block
	if err := s.c.dec.Decode(&b, block, &l); err != nil {
		return err
	}
	bad := !end
	for i := range b.List {
		f := &b.List[i]
		bad = bad || f.Pseudo() || f.Faults&(http2.BadName|http2.BadValue) != 0
	}
	if bad {
		s.r.Logf(nlog.Info, "client sent invalid trailers")
		s.malformed = true
		s.terminate(http2.ProtocolError)
		return s.c.tooManyResets()
	}
	s.receive(nil, 0, true)
	return nil
}
