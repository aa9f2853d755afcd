package socket

import (
	"errors"
	"io"

	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

var reqFuncs = []*lua.Func{
	{Name: "ngx.req.socket", In: lua.Handlers, Run: requestSocket,
		Doc: "Gives the request body as a socket to read from; with true, the client's connection as it is, for both directions."},
}

var errClientAbort = errors.New("client aborted")

func requestSocket(c *lua.Call) lua.Outcome {
	if c.NArgs() > 1 {
		return c.Errorf("expecting 0 or 1 argument, but got %d", c.NArgs())
	}
	x := luahost.FromCall(c)
	if x == nil {
		return c.Errorf("no request found")
	}
	r := x.R
	if !r.IsMain() {
		return c.Errorf("attempt to read the request body in a subrequest")
	}
	d, ok := r.Stream.(engine.Downstream)
	if !ok {
		return c.Errorf("http v2 not supported yet")
	}
	if c.Bool(1) {
		return rawSocket(c, x, d)
	}
	switch {
	case r.Body.Read:
		return c.ReturnNilErr("request body already exists")
	case r.Discarded:
		return c.ReturnNilErr("request body discarded")
	case !r.Invite(true):
		return c.ReturnNilErr("test expect failed")
	case !r.HasBody():
		return c.ReturnNilErr("no body")
	}
	r.Body.Read = true // nobody else reads it
	s := downstream(c, bodyOfRequest, r)
	s.c.wire = &bodyWire{r, d}
	c.Push().Object("reqsock", s)
	return c.Return()
}

// rawSocket takes the client's connection: no head is sent from now on.
func rawSocket(c *lua.Call, x *luahost.Ctx, d engine.Downstream) lua.Outcome {
	r := x.R
	if r.In.Version >= http1.Version20 && !r.HeaderSent { // but behind a head with 101 the stream is a tunnel
		return c.Errorf("http v2 not supported yet")
	}
	if !x.RawSocket && r.Body.Read && d.BodyLeft() {
		return c.ReturnNilErr("pending request body reading in some other thread")
	}
	r.Stream.Flush(r)
	switch {
	case r.Stream.Pending() > 0:
		return c.ReturnNilErr("pending data to write")
	case x.Buffering:
		return c.ReturnNilErr("http 1.0 buffering")
	case x.RawSocket:
		return c.ReturnNilErr("duplicate call")
	}
	x.RawSocket, x.EOF = true, true
	r.HeaderSent, r.LastSent, r.Body.Read = true, true, true
	s := downstream(c, rawClient, r)
	s.c.wire = d.Hijack(r)
	x.SetFastOutput(false)
	c.Push().Object("rawsock", s)
	return c.Return()
}

// downstream makes a socket of the request itself.
func downstream(c *lua.Call, k kind, r *engine.Request) *sock {
	s := worldOf(c).newSock(k)
	s.begin(c, luahost.ConfOf(r.Scope))
	s.req = r
	s.c = newConn()
	return s
}

// bodyWire reads the request body.
type bodyWire struct {
	r *engine.Request
	d engine.Downstream
}

func (b *bodyWire) Read(p []byte) (int, error) {
	n, err := b.d.TryBody(b.r, p)
	switch err {
	case io.EOF:
		return 0, nil
	case engine.ErrBodyClosed:
		return 0, errClientAbort
	}
	return n, err
}

func (b *bodyWire) Write(p []byte) (int, error) {
	return 0, errors.New("attempt to write to request sockets")
}
func (b *bodyWire) Readable() bool                 { return true }
func (b *bodyWire) WaitRead(deadline int64) error  { return b.d.WaitBody(deadline) }
func (b *bodyWire) WaitWrite(deadline int64) error { return nil }
