package h3

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"moongate/internal/engine"
	"moongate/internal/http2"
)

// Error codes: RFC 9114 8.1, RFC 9204 6.
const (
	errNoError         = 0x100
	errInternal        = 0x102
	errStreamCreation  = 0x103
	errClosedCritical  = 0x104
	errFrameUnexpected = 0x105
	errFrame           = 0x106
	errExcessiveLoad   = 0x107
	errMissingSettings = 0x10a
	errRequestRejected = 0x10b
	errIncomplete      = 0x10d
	errMessage         = 0x10e
	errDecompression   = 0x200
)

// Frame and stream types: RFC 9114 7.2, 6.2.
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameSettings = 0x4
	frameGoAway   = 0x7

	streamControl      = 0x0
	streamPush         = 0x1
	streamQPACKEncoder = 0x2
	streamQPACKDecoder = 0x3
)

// Settings: RFC 9114 7.2.4.1, RFC 9220.
const (
	settingMaxFieldSection = 0x6
	settingExtendedConnect = 0x8
)

// conn is one connection. Its fields are the worker's, but for those that say otherwise.
type conn struct {
	engine.Conn
	engine.ConnLink
	w       *engine.Worker
	qc      *quic.Conn
	control *quic.SendStream
	open    int // requests under way
	lastID  quic.StreamID
	goaway  bool // no more requests are taken
	said    bool // GOAWAY was sent
	closed  bool
	ctx     context.Context
}

// begin takes over a connection whose handshake is done.
func (g *greeting) begin(qc *quic.Conn) {
	c, w := g.c, g.c.w
	if w.Stopping {
		go qc.CloseWithError(errNoError, "")
		return
	}
	c.qc, c.ctx = qc, qc.Context()
	c.Remote, c.Local = address(qc.RemoteAddr()), address(qc.LocalAddr())
	c.Action = "processing HTTP/3 connection"
	g.h.DoneElsewhere(qc.ConnectionState().TLS)
	c.TLS = g.h.State
	engine.CountAccepted()
	w.Enter(&c.ConnLink, c, c.Listener)
	go c.serve()
	context.AfterFunc(c.ctx, func() { w.Loop.Post(c.leave) })
}

func address(a net.Addr) (out engine.Addr) {
	if u, ok := a.(*net.UDPAddr); ok {
		out.IP = u.AddrPort()
	}
	return out
}

// leave is called when the connection is lost or was closed.
func (c *conn) leave() {
	if !c.closed {
		c.closed = true
		c.EndTLS()
		c.w.Leave(&c.ConnLink)
	}
}

// Shutdown is told when the worker stops.
func (c *conn) Shutdown(now bool) {
	switch {
	case now:
		c.close(errNoError)
	case !c.goaway:
		c.retire()
	}
}

// retire lets the requests under way end, and takes no more.
func (c *conn) retire() {
	if !c.goaway && !c.closed {
		c.goaway = true
		c.finishIdle()
	}
}

// finishIdle says GOAWAY once it can be said, and closes the connection when nothing is under way.
func (c *conn) finishIdle() {
	if c.control == nil || c.closed {
		return
	}
	over := c.open == 0
	var b []byte
	if !c.said {
		c.said = true
		id := uint64(c.lastID)
		b = quicvarint.Append(b, frameGoAway)
		b = quicvarint.Append(b, uint64(quicvarint.Len(id)))
		b = quicvarint.Append(b, id)
	}
	control, qc := c.control, c.qc
	go func() {
		if len(b) > 0 {
			control.Write(b)
		}
		if over {
			qc.CloseWithError(errNoError, "")
		}
	}()
	if over {
		c.leave()
	}
}

func (c *conn) close(code quic.ApplicationErrorCode) {
	qc := c.qc
	go qc.CloseWithError(code, "") // waits for its goroutines
	c.leave()
}

// ended is called when a request is over.
func (c *conn) ended() {
	c.open--
	if c.goaway && c.open == 0 {
		c.finishIdle()
	}
}

// serve opens the control stream and takes the client's streams. It is a goroutine of its own.
func (c *conn) serve() {
	control, err := c.qc.OpenUniStream()
	if err != nil {
		c.qc.CloseWithError(errInternal, "")
		return
	}
	sc := c.Listener.Conf().DefaultServer().Conf
	l := sc.Limits()
	var s []byte
	s = quicvarint.Append(s, settingMaxFieldSection)
	s = quicvarint.Append(s, uint64(l.LargeSize*l.LargeCount))
	s = quicvarint.Append(s, settingExtendedConnect)
	s = quicvarint.Append(s, 1)
	b := quicvarint.Append(nil, streamControl)
	b = quicvarint.Append(b, frameSettings)
	b = quicvarint.Append(b, uint64(len(s)))
	control.Write(append(b, s...))
	c.w.Loop.Post(func() {
		if c.control = control; c.goaway {
			c.finishIdle()
		}
	})
	go c.takeUni()
	for {
		str, err := c.qc.AcceptStream(c.ctx)
		if err != nil {
			return
		}
		go c.takeRequest(str)
	}
}

// takeUni takes the streams that are not requests.
func (c *conn) takeUni() {
	var seen [4]bool
	for {
		str, err := c.qc.AcceptUniStream(c.ctx)
		if err != nil {
			return
		}
		kind, err := quicvarint.Read(quicvarint.NewReader(str))
		if err != nil {
			continue
		}
		switch {
		case kind == streamPush:
			c.qc.CloseWithError(errStreamCreation, "")
			return
		case kind > streamQPACKDecoder:
			str.CancelRead(errStreamCreation)
			continue
		case seen[kind]:
			c.qc.CloseWithError(errStreamCreation, "")
			return
		}
		seen[kind] = true
		if kind == streamControl {
			go c.readControl(str)
		} else {
			go func() { // our tables are empty: nothing said here matters, but that it is said
				if _, err := io.Copy(io.Discard, str); err == nil {
					c.qc.CloseWithError(errClosedCritical, "")
				}
			}()
		}
	}
}

// maxControlFrame bounds what is kept of a frame on the control stream.
const maxControlFrame = 4 << 10

func (c *conn) readControl(str *quic.ReceiveStream) {
	r := quicvarint.NewReader(str)
	for first := true; ; first = false {
		kind, err := quicvarint.Read(r)
		if err != nil {
			c.qc.CloseWithError(errClosedCritical, "")
			return
		}
		size, err := quicvarint.Read(r)
		switch {
		case err != nil || size > maxControlFrame:
			c.qc.CloseWithError(errFrame, "")
			return
		case first != (kind == frameSettings):
			code := quic.ApplicationErrorCode(errFrameUnexpected)
			if first {
				code = errMissingSettings
			}
			c.qc.CloseWithError(code, "")
			return
		case kind == frameData || kind == frameHeaders || kind >= 2 && kind <= 9 && kind&1 == 0 && kind > 4:
			c.qc.CloseWithError(errFrameUnexpected, "")
			return
		}
		if _, err := io.CopyN(io.Discard, r, int64(size)); err != nil {
			c.qc.CloseWithError(errClosedCritical, "")
			return
		}
	}
}

var errTooLarge = errors.New("header block too large")

// takeRequest reads the head of a request stream and hands it to the worker. It is a goroutine of its own.
func (c *conn) takeRequest(str *quic.Stream) {
	s := &stream{c: c, str: str, in: quicvarint.NewReader(str)}
	block, err := s.readHeaders()
	if err == nil {
		err = s.decode(block, &s.block)
	}
	switch {
	case err == errTooLarge:
		str.CancelRead(errExcessiveLoad)
		str.CancelWrite(errExcessiveLoad)
		return
	case err == errDecode:
		c.qc.CloseWithError(errDecompression, "")
		return
	case err == errUnexpected:
		c.qc.CloseWithError(errFrameUnexpected, "")
		return
	case err != nil:
		str.CancelRead(errIncomplete)
		str.CancelWrite(errIncomplete)
		return
	}
	s.size = len(block)
	// Most requests end with their head. Where a body is unlikely, whoever reads the head waits for the end; others may
	// want an answer before they send more.
	if s.bodiless() {
		_, err := str.Peek(make([]byte, 1))
		s.ended = err == io.EOF
	}
	c.w.Loop.Post(s.begin)
}

var (
	errDecode     = errors.New("QPACK")
	errUnexpected = errors.New("unexpected frame")
)

// readHeaders reads frames up to the first HEADERS, whose block it gives.
func (s *stream) readHeaders() ([]byte, error) {
	l := s.c.Listener.Conf().DefaultServer().Conf.Limits()
	for {
		kind, err := quicvarint.Read(s.in)
		if err != nil {
			return nil, err
		}
		size, err := quicvarint.Read(s.in)
		if err != nil {
			return nil, err
		}
		switch {
		case kind == frameHeaders:
			if size > uint64(l.LargeSize*l.LargeCount) {
				return nil, errTooLarge
			}
			block := make([]byte, size)
			_, err := io.ReadFull(s.in, block)
			return block, err
		case kind <= 0xd && kind != frameHeaders:
			return nil, errUnexpected
		}
		if _, err := io.CopyN(io.Discard, s.in, int64(size)); err != nil { // unknown frames are to be ignored: RFC 9114 9
			return nil, err
		}
	}
}

// decode reads a header block's fields.
func (s *stream) decode(block []byte, into *http2.Block) error {
	l := s.c.Listener.Conf().DefaultServer().Conf.Limits()
	next := qpack.NewDecoder().Decode(block)
	for {
		f, err := next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return errDecode
		case !into.Add(f.Name, f.Value):
			return errDecode
		case into.Size > l.LargeSize*l.LargeCount || len(into.List) > maxFields:
			return errTooLarge
		}
	}
}

// maxFields bounds the fields of a head; max_headers is judged later.
const maxFields = 2000

// bodiless reports whether a head is one of a request that has no body as a rule.
func (s *stream) bodiless() bool {
	plain := false
	for i := range s.block.List {
		switch f := &s.block.List[i]; f.Static {
		case http2.PMethod:
			m := string(f.Value)
			plain = m == "GET" || m == "HEAD" || m == "OPTIONS" || m == "DELETE"
		case http2.SContentLength:
			return string(f.Value) == "0"
		}
	}
	return plain
}
