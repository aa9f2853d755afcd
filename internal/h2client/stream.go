package h2client

import (
	"errors"
	"fmt"

	"moongate/internal/base/ascii"
	"moongate/internal/http2"
	"moongate/internal/netio"
)

// Field is a header field to send. Names may have upper-case letters: they are sent without. Static is the place of the
// name in HPACK's static table, 0 when it is not there or not known.
type Field struct {
	Name, Value []byte
	Static      uint8
	Mode        http2.Mode
}

// Error is why a stream has ended before its time.
type Error struct {
	Code    http2.ErrCode
	Text    string // as the log has it: "upstream ..."
	Refused bool   // the peer says that it has not looked at the request: it may be sent again
	GoAway  bool   // a GOAWAY says so; when there was an error, Refused is not set
	Reset   bool   // RST_STREAM has come, with Code
	Invalid bool   // the peer has spoken, but not as it should
	Closed  bool   // the connection is gone
	Sys     error  // what the system says, or nil
}

func (e *Error) Error() string {
	if e.Sys != nil {
		return e.Text + ": " + e.Sys.Error()
	}
	return e.Text
}

func (e *Error) Unwrap() error { return e.Sys }

// ErrStopped is returned to senders when the peer does not want the rest of the request; the response is complete.
var ErrStopped = errors.New("peer takes no more")

// Stream is one request and its response. Whoever opened it closes it (Close) and then gives it back (Release); the bytes
// of its fields stay until then.
type Stream struct {
	// FD is readable when something came that was not looked at: a head, data, the end, an error.
	FD netio.FD
	// Interim, when set, is told of responses 102 to 199; it must not park.
	Interim func(status int, b *http2.Block)
	// NoBody says that the response has no body whatever its length says (the method is HEAD).
	NoBody bool

	c     *Conn
	id    uint32
	chain *Stream

	head, trail http2.Block
	status      int
	length, got int64 // of the body, as declared and as it came
	headDone    bool
	remoteEnd   bool
	localEnd    bool
	open        bool // counted as live
	shut        bool // not in the connection's table
	rst         bool
	err         *Error

	in []byte // data from place at on
	at int

	sendWin, recvWin http2.Window
	recvDebt         int64
	sender           *netio.Task
	waiting          bool // in the connection's queue
	wprev, wnext     *Stream
}

// keepStreams is how many unused streams a worker keeps.
const keepStreams = 512

// Open begins a request; end says that no body follows. It does not wait: there must be Room.
func (c *Conn) Open(fields []Field, end bool) (*Stream, error) {
	if c.room() <= 0 {
		if c.err != nil {
			return nil, c.err
		}
		return nil, &Error{Text: "upstream takes no further streams", Refused: true}
	}
	e := c.env
	s := e.free
	if s == nil {
		s = &Stream{}
	} else {
		e.free, s.chain = s.chain, nil
		e.kept--
	}
	e.Loop.Latch(&s.FD)
	s.c, s.id = c, c.nextID
	s.length, s.status = -1, 0
	s.sendWin, s.recvWin = http2.Window(c.peer.InitialWindow), http2.Window(c.cfg.Window)
	c.nextID += 2
	c.opened++
	c.live++
	s.open = true
	c.insert(s)
	c.writeHead(s, fields, end)
	if c.cfg.PingAfter > 0 {
		c.watchPeer()
	}
	return s, nil
}

// writeHead queues a header block.
func (c *Conn) writeHead(s *Stream, fields []Field, end bool) {
	size := 64
	for i := range fields {
		size += len(fields[i].Name) + len(fields[i].Value) + 8
	}
	c.reserve(size + size/512)
	at := len(c.out)
	c.out = append(c.out, make([]byte, http2.HeaderSize)...)
	c.out = c.enc.Begin(c.out)
	for i := range fields {
		f := &fields[i]
		c.out = c.enc.Append(c.out, f.Static, f.Name, f.Value, f.Mode)
	}
	flags := http2.Flags(0)
	if end {
		flags = http2.EndStream
	}
	c.out = http2.CloseHeaders(c.out, at, s.id, flags, c.peer.FrameSize)
	c.wake()
	if end {
		s.endLocal()
	}
}

// ID is the stream's identifier.
func (s *Stream) ID() uint32 { return s.id }

// Conn is the connection.
func (s *Stream) Conn() *Conn { return s.c }

func (s *Stream) endLocal() {
	s.localEnd = true
	if s.remoteEnd {
		s.close()
	}
}

// close ends the stream's being counted.
func (s *Stream) close() {
	if s.open {
		s.open = false
		if !s.shut {
			s.c.ended()
		}
	}
}

func (s *Stream) wakeSender() {
	if s.sender != nil {
		s.c.env.Loop.Ready(s.sender)
	}
}

func (s *Stream) wakeAll() {
	s.FD.Raise()
	s.wakeSender()
}

// end ends the stream with an error.
func (s *Stream) end(e *Error) {
	s.err = e
	s.close()
	s.wakeAll()
}

// fail ends the stream because of a fault of the peer, and tells it.
func (s *Stream) fail(code http2.ErrCode, text string) {
	if s.err != nil {
		return
	}
	s.c.reserve(control)
	s.c.out = http2.AppendRSTStream(s.c.out, s.id, code)
	s.c.wake()
	s.end(&Error{Code: code, Text: text, Invalid: true})
}

// reset is the peer's RST_STREAM. After a complete response NO_ERROR says that the rest of the request is not wanted.
func (s *Stream) reset(code http2.ErrCode) {
	switch {
	case s.remoteEnd && code == http2.NoError && !s.rst:
		s.rst, s.localEnd = true, true
		s.close()
		s.wakeAll()
		return
	case s.remoteEnd && code == http2.NoError:
		s.end(&Error{Text: fmt.Sprintf("upstream sent frame for closed stream %d", s.id), Invalid: true})
		return
	}
	s.end(&Error{Code: code, Text: fmt.Sprintf("upstream rejected request with error %d", code), Refused: code == http2.RefusedStream && !s.headDone, Reset: true, Invalid: true})
}

// response checks a response head.
func (s *Stream) response(end bool) {
	b := &s.head
	if text := s.checkHead(); text != "" {
		s.fail(http2.ProtocolError, text)
		return
	}
	if s.status < 200 {
		switch {
		case end:
			s.fail(http2.ProtocolError, "upstream prematurely closed stream")
		case s.status == 101:
			s.fail(http2.ProtocolError, "upstream sent unexpected :status \"101\"")
		case s.Interim != nil:
			s.Interim(s.status, b)
		}
		s.status = 0
		return
	}
	s.headDone = true
	if s.status == 204 || s.status == 304 {
		s.NoBody = true
	}
	s.FD.Raise()
	if end {
		s.endRemote()
	}
}

// checkHead reads the status and checks the fields; it gives what is wrong, or "".
func (s *Stream) checkHead() string {
	b := &s.head
	s.status, s.length = 0, -1
	for i := range b.List {
		f := &b.List[i]
		switch {
		case f.Static == http2.PStatus:
			if i > 0 {
				return "upstream sent duplicate :status header"
			}
			n, ok := ascii.ParseInt(f.Value)
			if !ok || len(f.Value) != 3 || n < 100 {
				return fmt.Sprintf("upstream sent invalid :status \"%.64s\"", f.Value)
			}
			s.status = int(n)
		case f.Pseudo():
			return fmt.Sprintf("upstream sent invalid header \"%.64s: %.64s\"", f.Name, f.Value)
		case i == 0:
			return "upstream sent no :status header"
		case f.Faults&(http2.BadName|http2.BadValue) != 0:
			return fmt.Sprintf("upstream sent invalid header: \"%.64q: %.64q\"", f.Name, f.Value)
		case f.Static == http2.STransferEncoding:
			return fmt.Sprintf("upstream sent invalid header: \"%.64q: %.64q\"", f.Name, f.Value)
		case f.Static == http2.SContentLength:
			n, ok := ascii.ParseInt(f.Value)
			if !ok || s.length >= 0 && s.length != n {
				return fmt.Sprintf("upstream sent invalid \"Content-Length\" header: \"%.64s\"", f.Value)
			}
			s.length = n
		}
	}
	if s.status == 0 {
		return "upstream sent no :status header"
	}
	return ""
}

// trailers checks the fields behind the body.
func (s *Stream) trailers(end bool) {
	if !end {
		s.fail(http2.ProtocolError, "upstream sent trailer without end stream flag")
		return
	}
	for i := range s.trail.List {
		f := &s.trail.List[i]
		switch {
		case f.Pseudo():
			s.fail(http2.ProtocolError, fmt.Sprintf("upstream sent invalid trailer \"%.64s: %.64s\"", f.Name, f.Value))
			return
		case f.Faults&(http2.BadName|http2.BadValue) != 0:
			s.fail(http2.ProtocolError, fmt.Sprintf("upstream sent invalid header: \"%.64q: %.64q\"", f.Name, f.Value))
			return
		}
	}
	s.endRemote()
}

// data takes a piece of the body; pad is what counts for flow control besides.
func (s *Stream) data(p []byte, pad int64, end bool) {
	s.got += int64(len(p))
	if s.length >= 0 && s.got > s.length && !s.NoBody {
		s.fail(http2.ProtocolError, "upstream sent response body larger than indicated content length")
		return
	}
	if len(p) > 0 {
		s.store(p)
	}
	if pad > 0 && !end {
		s.credit(pad)
	}
	if end {
		s.endRemote()
	} else if len(p) > 0 {
		s.FD.Raise()
	}
}

func (s *Stream) endRemote() {
	if s.length >= 0 && s.got != s.length && !s.NoBody {
		s.fail(http2.ProtocolError, "upstream prematurely closed stream")
		return
	}
	s.remoteEnd = true
	if s.localEnd {
		s.close()
	}
	s.FD.Raise()
}

// store keeps data until it is read.
func (s *Stream) store(p []byte) {
	m := s.c.env.Mem
	if s.in == nil {
		s.in, s.at = m.Buffer(len(p)), 0
	}
	if cap(s.in)-len(s.in) < len(p) {
		rest := s.in[s.at:]
		if s.at > 0 && cap(s.in) >= len(rest)+len(p) {
			s.in = s.in[:copy(s.in[:cap(s.in)], rest)]
		} else {
			nb := append(m.Buffer(len(rest)+len(p)), rest...)
			m.FreeBuffer(s.in)
			s.in = nb
		}
		s.at = 0
	}
	s.in = append(s.in, p...)
}

// Head gives the response's head, nil while there is none. The fields stay until Release.
func (s *Stream) Head() *http2.Block {
	if s.headDone {
		return &s.head
	}
	return nil
}

// Status is the response's; 0 while there is none.
func (s *Stream) Status() int { return s.status }

// Length is the body's length as the head says, -1 when it does not.
func (s *Stream) Length() int64 { return s.length }

// Peek gives the data that is there, valid until the next call that parks or Consume.
func (s *Stream) Peek() []byte { return s.in[s.at:] }

// Consume says that n bytes of Peek were used: the peer may send as many more.
func (s *Stream) Consume(n int) {
	s.at += n
	if s.at == len(s.in) && s.in != nil {
		s.c.env.Mem.FreeBuffer(s.in)
		s.in, s.at = nil, 0
	}
	s.credit(int64(n))
}

func (s *Stream) credit(n int64) {
	if s.recvDebt += n; s.recvDebt < s.c.cfg.Window/2 || s.remoteEnd || s.shut || s.err != nil {
		return
	}
	s.c.reserve(control)
	s.c.out = http2.AppendWindowUpdate(s.c.out, s.id, s.recvDebt)
	s.recvWin.Add(s.recvDebt)
	s.recvDebt = 0
	s.c.wake()
}

// Ended reports whether the response is complete and all of its data was read. The trailers are there then.
func (s *Stream) Ended() bool { return s.remoteEnd && s.err == nil && s.at == len(s.in) }

// EndSeen reports whether the response is complete, read or not.
func (s *Stream) EndSeen() bool { return s.remoteEnd && s.err == nil }

// HeadOnly reports whether the head was all of the response.
func (s *Stream) HeadOnly() bool {
	return s.remoteEnd && s.got == 0 && len(s.trail.List) == 0 && s.err == nil
}

// Trailers gives the fields behind the body. They stay until Release.
func (s *Stream) Trailers() *http2.Block { return &s.trail }

// Err is why the stream has ended before its time, nil while it has not. Data that came before may still be read.
func (s *Stream) Err() *Error { return s.err }

// Stopped reports whether the peer takes no more of the request, or all of it was sent.
func (s *Stream) Stopped() bool { return s.localEnd || s.err != nil }

// Quiet is called before FD is waited for, when all that came was looked at.
func (s *Stream) Quiet() { s.FD.Lower() }

// WaitHead parks until the head is there; the error is the stream's or that of waiting.
func (s *Stream) WaitHead(deadline int64) (*http2.Block, error) {
	for {
		switch {
		case s.headDone:
			return &s.head, nil
		case s.err != nil:
			return nil, s.err
		}
		s.FD.Lower()
		if err := s.FD.WaitRead(deadline); err != nil {
			return nil, err
		}
	}
}

// WaitData parks until data, the end of the response (then there is none) or an error is there.
func (s *Stream) WaitData(deadline int64) ([]byte, error) {
	for {
		switch {
		case s.at < len(s.in):
			return s.in[s.at:], nil
		case s.err != nil:
			return nil, s.err
		case s.remoteEnd:
			return nil, nil
		}
		s.FD.Lower()
		if err := s.FD.WaitRead(deadline); err != nil {
			return nil, err
		}
	}
}

// Cancel is Close with a code for the peer.
func (s *Stream) Cancel(code http2.ErrCode) {
	c := s.c
	if !s.shut {
		if s.err == nil && !(s.localEnd && s.remoteEnd) {
			c.reserve(control)
			c.out = http2.AppendRSTStream(c.out, s.id, code)
			c.wake()
		}
		c.unwait(s)
		c.remove(s)
		s.close()
		s.shut = true
		if c.streams == 0 {
			c.vacant()
		}
	}
	if s.in != nil {
		c.env.Mem.FreeBuffer(s.in)
		s.in, s.at = nil, 0
	}
	if s.err == nil && !s.remoteEnd {
		s.err = &Error{Code: code, Text: "stream is closed"}
	}
	s.wakeSender()
	s.FD.Close()
}

// Close ends the stream: one that is not complete is cancelled. Repeated calls do nothing.
func (s *Stream) Close() { s.Cancel(http2.Cancel) }

// Release gives a closed stream back: the caller forgets it.
func (s *Stream) Release() {
	e := s.c.env
	s.head.Reset()
	s.trail.Reset()
	if e.kept >= keepStreams {
		return
	}
	*s = Stream{head: s.head, trail: s.trail, chain: e.free}
	e.free = s
	e.kept++
}

// Trim gives the memory of unused streams up.
func (e *Env) Trim() { e.free, e.kept = nil, 0 }
