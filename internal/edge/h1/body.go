package h1

import (
	"fmt"
	"io"
	"syscall"

	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/netio"
)

// bodyReader takes the request body off the connection.
type bodyReader struct {
	x       *exchange
	left    int64 // of a body with Content-Length
	chunked bool
	over    bool  // the end was seen
	faulty  bool  // the place of the next request is unknown
	got     int64 // the bytes of chunks
	dec     http1.Chunked
}

func (b *bodyReader) reset(x *exchange) {
	b.x, b.left, b.got, b.chunked, b.over, b.faulty = x, 0, 0, false, true, false
}

func (b *bodyReader) begin(r *engine.Request) {
	switch {
	case r.In.Chunked:
		b.chunked, b.over = true, false
		b.dec.Reset()
	case r.In.ContentLength > 0:
		b.left, b.over = r.In.ContentLength, false
	}
}

// unread reports whether a part of the body is still to come.
func (b *bodyReader) unread() bool { return !b.over }

// Buffered is the number of bytes behind the head that have arrived.
func (x *exchange) Buffered() int { return len(x.c.buf) - x.c.rpos }

// ReadBody gives the next bytes of the body; it parks for at most client_body_timeout.
func (x *exchange) ReadBody(r *engine.Request, p []byte) (int, error) {
	for {
		n, err := x.TryBody(r, p)
		if err != syscall.EAGAIN {
			return n, err
		}
		switch err := x.c.waitRead(x.c.w.Loop.Now() + int64(r.Core().ClientBodyTimeout.V)); err {
		case nil:
		case netio.ErrTimeout:
			x.timedOut = true
			x.body.faulty = true
			return 0, engine.ErrBodyTimeout
		case netio.ErrKilled: // the light thread that reads was ended
			x.body.faulty = true
			return 0, err
		default:
			x.body.faulty = true
			return 0, engine.ErrBodyClosed
		}
	}
}

// TryBody gives the next bytes of the body; EAGAIN: nothing is there.
func (x *exchange) TryBody(r *engine.Request, p []byte) (int, error) {
	b := &x.body
	if b.over {
		return 0, io.EOF
	}
	if b.faulty {
		return 0, engine.ErrBodyClosed
	}
	if b.chunked {
		return b.readChunked(r, p)
	}
	c := x.c
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n := 0
	if c.rpos < len(c.buf) {
		n = copy(p, c.buf[c.rpos:])
		c.rpos += n
	} else {
		var err error
		if n, err = b.tryRead(p); err != nil {
			return 0, err
		}
	}
	b.left -= int64(n)
	r.RequestLen += int64(n)
	if b.left == 0 {
		b.over = true
	}
	return n, nil
}

// tryRead reads from the connection without waiting.
func (b *bodyReader) tryRead(p []byte) (int, error) {
	c := b.x.c
	if c.fd.Sysfd() < 0 {
		b.faulty = true
		return 0, engine.ErrBodyClosed
	}
	if !c.readable() { // a read would fail, and a failed read costs as much as all parsing
		return 0, syscall.EAGAIN
	}
	n, err := c.read(p)
	if n > 0 {
		return n, nil
	}
	if err == syscall.EAGAIN {
		return 0, err
	}
	b.faulty = true
	return 0, engine.ErrBodyClosed
}

func (b *bodyReader) readChunked(r *engine.Request, p []byte) (int, error) {
	c := b.x.c
	for {
		for c.rpos < len(c.buf) {
			in := c.buf[c.rpos:]
			if len(in) > len(p) {
				in = in[:len(p)] // what is decoded fits p
			}
			data, n, st := b.dec.Next(in)
			if most := r.Core().ClientMaxBodySize.V; most > 0 && !r.Discarded && st < http1.ChunkDone && b.got+int64(len(data))+b.dec.Left() > most {
				b.faulty = true // no need to wait for what is announced
				return 0, &engine.BodyError{Status: 413, Text: fmt.Sprintf("client intended to send too large chunked body: %d+%d bytes", b.got, int64(len(data))+b.dec.Left())}
			}
			switch st {
			case http1.ChunkData:
				copy(p, data)
				b.got += int64(len(data))
				c.rpos += n
				r.RequestLen += int64(n)
				return len(data), nil
			case http1.ChunkDone:
				c.rpos += n
				r.RequestLen += int64(n)
				b.over = true
				return 0, io.EOF
			case http1.ChunkMore:
				c.rpos += n
				r.RequestLen += int64(n)
			default:
				b.faulty = true
				if st == http1.ChunkTooLarge {
					return 0, engine.ErrBodyTooLarge
				}
				return 0, engine.ErrBodyChunk
			}
		}
		c.bodyRoom(r)
		n, err := b.tryRead(c.buf[len(c.buf):cap(c.buf)])
		if err != nil {
			return 0, err
		}
		c.buf = c.buf[:len(c.buf)+n]
	}
}

// bodyRoom makes room behind the head for chunked input: the head's bytes stay where they are, the consumed bytes of
// the body are overwritten.
func (c *conn) bodyRoom(r *engine.Request) {
	if c.rpos == len(c.buf) {
		head := c.ex.headEnd
		c.buf, c.rpos = c.buf[:head], head
	}
	if cap(c.buf)-len(c.buf) < 1024 {
		// The head moves to memory of the request; the buffer is the body's from here on.
		c.keepHead(r)
	}
}

// keepHead gives the buffer with the head to the exchange and reads on in a new one.
func (c *conn) keepHead(r *engine.Request) {
	rest := c.buf[c.rpos:]
	nb := append(c.w.Buffer(max(16<<10, 2*len(rest))), rest...)
	if c.ex.headBuf == nil {
		c.ex.headBuf = c.buf
	} else {
		c.w.FreeBuffer(c.buf)
	}
	c.buf, c.rpos, c.ex.headEnd = nb, 0, 0
}

// bodyInDoubt reports whether the client may send its body or the next request instead: it was not told to send the body.
func (x *exchange) bodyInDoubt() bool {
	return x.body.unread() && x.r.BodyMayNotCome() && x.Buffered() == 0
}

// skipBody reads the rest of a body that nobody wanted, so that the next request is found. It reports whether the
// connection is usable after it.
func (x *exchange) skipBody() bool {
	b := &x.body
	if b.over {
		return true
	}
	if b.faulty || x.bodyInDoubt() {
		return false
	}
	r := x.r
	buf := x.c.w.Buffer(4096)
	buf = buf[:cap(buf)]
	defer x.c.w.FreeBuffer(buf)
	end := x.c.w.Loop.Now() + int64(r.Core().LingeringTime.V)
	for {
		_, err := x.ReadBody(r, buf)
		if err == io.EOF || b.over {
			return true
		}
		if err != nil || x.c.w.Loop.Now() > end {
			return false
		}
	}
}
