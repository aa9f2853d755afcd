package h1

import "moongate/internal/engine"

// The engine's Downstream: a handler reads the body itself, or takes the whole connection.

// WaitBody parks until more of the body may have come.
func (x *exchange) WaitBody(deadline int64) error { return x.c.waitRead(deadline) }

// BodyLeft reports whether a part of the body was not read.
func (x *exchange) BodyLeft() bool { return x.body.unread() }

// Hijack makes the connection one of bytes only: no head and no body are sent for the request, and none follows it.
func (x *exchange) Hijack(r *engine.Request) engine.RawConn {
	r.KeepAlive = false
	x.linger = true
	x.lastSeen = true
	return (*rawConn)(x)
}

// Detach is Hijack; the head is given memory of its own size. The buffer is left to the collector: modules may have kept
// parts of it.
func (x *exchange) Detach(r *engine.Request, readable func()) engine.RawConn {
	c := x.c
	x.onRead = readable
	if x.headEnd > 0 && c.rpos == len(c.buf) {
		from := c.buf[:x.headEnd]
		to := append(make([]byte, 0, len(from)), from...)
		r.Move(from, to)
		x.parser.Message.Move(from, to)
		c.buf, c.rpos, x.headEnd = nil, 0, 0
	}
	return x.Hijack(r)
}

// Resume ends the request.
func (x *exchange) Resume(*engine.Request) {
	if c := x.c; c.done(x) {
		c.serve()
	}
}

// rawConn is a connection that a handler has taken: first come the bytes that were read with the head.
type rawConn exchange

// Read gives what is there.
func (x *rawConn) Read(p []byte) (int, error) {
	c := x.c
	if c.rpos < len(c.buf) {
		n := copy(p, c.buf[c.rpos:])
		c.rpos += n
		return n, nil
	}
	return c.read(p)
}

// Write sends what the client takes.
func (x *rawConn) Write(p []byte) (int, error) {
	n, err := x.c.write(p)
	if n > 0 {
		(*exchange)(x).sent(n)
	}
	return n, err
}

// Readable reports whether a read may give bytes or the end.
func (x *rawConn) Readable() bool { return x.c.rpos < len(x.c.buf) || x.c.readable() }

// WaitRead parks until a read may give something.
func (x *rawConn) WaitRead(deadline int64) error {
	if x.c.rpos < len(x.c.buf) {
		return nil
	}
	return x.c.waitRead(deadline)
}

// WaitWrite parks until the client may take more.
func (x *rawConn) WaitWrite(deadline int64) error { return x.c.fd.WaitWrite(deadline) }
