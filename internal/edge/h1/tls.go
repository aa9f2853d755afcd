package h1

import (
	"errors"
	"io"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/netio"
	"moongate/internal/tlsio"
)

// What log lines say a connection is at.
const (
	handshaking = "SSL handshaking"
	readingHead = "reading client request headers"
)

// What differs for a connection with TLS. The plain ways are short enough to be inlined.

func (c *conn) read(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Read(p)
	}
	return c.fd.Read(p)
}

func (c *conn) write(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Write(p)
	}
	return c.fd.Write(p)
}

func (c *conn) readable() bool {
	if c.tls != nil {
		return c.tls.Readable()
	}
	return c.fd.Readable()
}

func (c *conn) waitRead(deadline int64) error {
	if c.tls != nil {
		return c.tls.WaitRead(deadline)
	}
	return c.fd.WaitRead(deadline)
}

// Record types by which a handshake is told from a request.
const (
	recordHandshake = 0x16
	recordSSLv2     = 0x80
)

// secure does the handshake, once the first bytes of the client are in the buffer, within client_header_timeout of the
// connection's beginning. It parks. False means that it failed. A client that does not speak TLS goes on without it
// and is told so by the answer.
func (c *conn) secure(sc *engine.SrvConf) bool {
	c.shake = false
	first := c.buf[c.rpos]
	if first&recordSSLv2 == 0 && first != recordHandshake {
		c.Action = "reading client request line"
		return true
	}
	c.Action = handshaking
	a := c.addr()
	if a.DefaultServer().Loc.Core.TCPNodelay.V && !c.Remote.Unix {
		syscall.SetsockoptInt(c.fd.Sysfd(), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		c.nodelay = true
	}
	early := append([]byte(nil), c.buf[c.rpos:]...)
	c.buf, c.rpos = c.buf[:0], 0
	c.log(nlog.Debug, nil, "reusable connection: 0")
	h := engine.NewHandshake(&c.Conn, c.w, a)
	t := tlsio.Server(&c.fd, h.Choose, early)
	h.Attach(t)
	c.w.Hold(h.HTTP)
	err := t.Handshake(c.StartMono + int64(sc.ClientHeaderTimeout.V))
	h.Done(err)
	c.w.Release(h.HTTP)
	if c.closed || c.fd.Sysfd() < 0 {
		return false
	}
	if err != nil {
		if h.TLS != nil && h.TLS.Reject && !tlsio.PeerFault(err) {
			err = errRejected
		}
		c.shakeFailed(err)
		return false
	}
	c.tls, c.TLS = t, h.State
	c.Action = "waiting for request"
	return true
}

// errRejected is the end of a handshake under ssl_reject_handshake.
var errRejected = errors.New("handshake rejected")

// shakeFailed logs why there is no TLS.
func (c *conn) shakeFailed(err error) {
	switch e := err.(type) {
	case syscall.Errno:
		c.log(nlog.Info, e, "peer closed connection in SSL handshake")
		return
	}
	switch err {
	case errRejected:
		c.log(nlog.Info, nil, "handshake rejected")
	case netio.ErrTimeout:
		c.log(nlog.Info, syscall.ETIMEDOUT, "client timed out")
	case io.EOF, io.ErrUnexpectedEOF:
		c.log(nlog.Info, nil, "peer closed connection in SSL handshake")
	default:
		c.log(nlog.Info, nil, "SSL_do_handshake() failed (SSL: "+tlsio.ErrorText(err)+")")
	}
}

// sealAhead is how much is encrypted before the socket is asked to take it.
const sealAhead = 64 << 10

// flushTLS sends what the socket takes of at most free bytes.
func (x *exchange) flushTLS(free int64) error {
	t := x.c.tls
	for {
		if err := t.Flush(); err == syscall.EAGAIN {
			return nil
		} else if err != nil {
			return x.sendFailed(err)
		}
		x.queued -= x.sealed
		x.sent(int(x.sealed))
		x.sealed = 0
		if x.qh == len(x.q) || free <= 0 {
			break
		}
		for x.qh < len(x.q) && free > 0 && x.sealed < sealAhead {
			n, err := x.sealRecord(int(min(free, int64(x.recordSize()))))
			if err != nil {
				return err
			}
			free -= int64(n)
			x.sealed += int64(n)
		}
	}
	if x.qh == len(x.q) {
		x.q, x.qh = x.q[:0], 0
	}
	return nil
}

func (x *exchange) recordSize() int {
	if s := x.r.Server; s != nil && s.TLS != nil {
		return s.TLS.RecordSize
	}
	return 16 << 10
}

// sealRecord makes a record of at most size bytes of what is queued, from as many segments as that takes.
func (x *exchange) sealRecord(size int) (int, error) {
	if s := &x.q[x.qh]; s.b != nil && (len(s.b)-s.pos >= size || x.qh+1 == len(x.q)) {
		p := s.b[s.pos:min(len(s.b), s.pos+size)]
		err := x.c.tls.Seal(p)
		x.advance(len(p))
		if err != nil {
			return 0, x.sendFailed(err)
		}
		return len(p), nil
	}
	buf := x.c.w.Buffer(size)
	defer x.c.w.FreeBuffer(buf)
	p := buf[:0]
	for x.qh < len(x.q) && len(p) < size {
		s := &x.q[x.qh]
		room := size - len(p)
		if s.f == nil {
			n := min(room, len(s.b)-s.pos)
			p = append(p, s.b[s.pos:s.pos+n]...)
			x.advance(n)
			continue
		}
		n, err := syscall.Pread(s.f.FD, p[len(p):len(p)+int(min(int64(room), s.left))], s.off)
		if err != nil {
			x.r.LogErr(nlog.Crit, err, "pread() \"%s\" failed", s.f.Name())
			return 0, engine.ErrClientGone
		}
		if n == 0 {
			x.r.Logf(nlog.Alert, "file \"%s\" was truncated", s.f.Name())
			return 0, engine.ErrClientGone
		}
		p = p[:len(p)+n]
		x.advance(n)
	}
	if err := x.c.tls.Seal(p); err != nil {
		return 0, x.sendFailed(err)
	}
	return len(p), nil
}

// advance takes n bytes off the first segment.
func (x *exchange) advance(n int) {
	s := &x.q[x.qh]
	done := false
	if s.f != nil {
		s.off += int64(n)
		s.left -= int64(n)
		done = s.left == 0
	} else {
		s.pos += n
		done = s.pos == len(s.b)
	}
	if done {
		x.drop(s)
		x.qh++
	}
}
