package relay

import (
	"errors"
	"io"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/netio"
	"moongate/internal/tlsio"
)

// pump is what still has to go to the server when the response is awaited already: it has a task of its own.
type pump struct {
	on      bool
	task    *netio.Task
	waiting *netio.Task // for the pump to end
	err     error
	rest    []byte // of head or body in memory
	fileAt  int64  // of a body in a file
	ended   int64  // when all was sent
	why     uint32 // a failure that ends the try
	status  engine.Status
	buf     []byte
	in      piece // of the client's body, by a connection that carries many
	waits   bool  // for that, without a task
	until   int64 // no longer than this
}

// send sends the request, or begins to.
func (x *Exchange) send() uint32 {
	x.action(sending)
	x.sent, x.allSent = false, false
	x.pump = pump{}
	b := &x.R.Body
	var body []byte
	if !x.NoBody && !x.Unbuffered && b.File == nil {
		body = b.Mem
	}
	n, err := 0, error(nil)
	if len(body) > 0 {
		n, err = x.conn.Writev(x.head, body)
	} else {
		n, err = x.conn.Write(x.head)
	}
	if err != nil && err != syscall.EAGAIN {
		return x.sendFailed(err)
	}
	x.sent = x.sent || n > 0
	x.conn.Sent += int64(n)
	if n == len(x.head)+len(body) && (x.NoBody || b.File == nil && !x.Unbuffered) {
		x.allSent = true
		return 0
	}
	return x.sendRest(n, body)
}

func (x *Exchange) sendFailed(err error) uint32 {
	switch _, isErrno := err.(syscall.Errno); {
	case x.conn.TLS == nil:
		x.log(nlog.Error, err, "writev() failed")
	case isErrno:
		x.log(nlog.Error, err, "SSL_write() failed")
	default:
		x.log(nlog.Error, nil, "SSL_write() failed (SSL: "+tlsio.ErrorText(err)+")")
	}
	return onError
}

// addPreread adds what has come of a body that goes up as it comes to the head.
func (x *Exchange) addPreread() {
	if p := x.R.Body.Mem; x.Unbuffered && len(p) > 0 {
		if x.ChunkBody {
			x.head = http1.AppendChunkHeader(x.head, int64(len(p)))
			x.head = append(append(x.head, p...), http1.ChunkEnd...)
		} else {
			x.head = append(x.head, p...)
		}
	}
}

// sendRest sends what the first write has left: here, as long as the server says nothing, or in a task of its own.
func (x *Exchange) sendRest(n int, body []byte) uint32 {
	p := &x.pump
	if n < len(x.head) {
		if why := x.write(x.head[n:], false); why != 0 {
			return why
		}
		n = len(x.head)
	}
	x.sent = true
	p.rest = body[n-len(x.head):]
	p.on = true
	x.w.Loop.Go(x.runPump)
	return 0
}

// write sends p to the server; it parks.
func (x *Exchange) write(p []byte, inPump bool) uint32 {
	c, loop := x.conn, x.w.Loop
	for len(p) > 0 {
		n, err := c.Write(p)
		if n > 0 {
			p = p[n:]
			c.Sent += int64(n)
			x.sent = true
			continue
		}
		if err != syscall.EAGAIN {
			if inPump { // the reader finds out what the server has to say
				x.pump.err = err
				return onError
			}
			return x.sendFailed(err)
		}
		switch err := c.WaitWrite(loop.Now() + or(x.Peer.Send, x.Conf.SendTimeout.V)); err {
		case nil:
		case netio.ErrTimeout:
			return onTimeout
		default:
			return clientGone
		}
	}
	return 0
}

// runPump is the second task: it sends the rest of the request while the response is awaited.
func (x *Exchange) runPump() {
	p := &x.pump
	p.task = x.w.Loop.Current()
	switch why := x.pumpAll(); {
	case why == 0:
		x.allSent = true
	case why == onTimeout && !x.body:
		p.why = why
		x.action(sending)
		x.conn.FD.Close() // wakes the reader
	case p.status != 0 && !x.body:
		x.conn.FD.Close()
	}
	if p.buf != nil {
		x.w.FreeBuffer(p.buf)
		p.buf = nil
	}
	p.on, p.task, p.ended = false, nil, x.w.Loop.Now()
	if p.waiting != nil {
		x.w.Loop.Ready(p.waiting)
	}
}

func (x *Exchange) pumpAll() uint32 {
	p := &x.pump
	if x.conn == nil { // given up before this task had its turn
		return clientGone
	}
	if why := x.write(p.rest, true); why != 0 {
		return why
	}
	if x.NoBody {
		return 0
	}
	if x.Unbuffered {
		return x.pumpClient()
	}
	b := &x.R.Body
	if b.File == nil {
		return 0
	}
	p.buf = x.w.Buffer(16 << 10)
	for p.fileAt < b.FileSize {
		n, err := b.File.ReadAt(p.buf[:min(int64(cap(p.buf)), b.FileSize-p.fileAt)], p.fileAt)
		if n == 0 && err != nil {
			x.R.LogErr(nlog.Crit, err, "pread() \"%s\" failed", b.File.Name())
			p.status = 500
			return failedInternally
		}
		p.fileAt += int64(n)
		if why := x.write(p.buf[:n], true); why != 0 {
			return why
		}
	}
	return 0
}

// pumpClient passes the request body on as it comes.
func (x *Exchange) pumpClient() uint32 {
	p, r := &x.pump, x.R
	p.buf = x.w.Buffer(16 << 10)
	const room = http1.MaxChunkHeader
	all := p.buf[:cap(p.buf)]
	for {
		in := all[room : cap(all)-len(http1.ChunkEnd)]
		n, err := r.Stream.ReadBody(r, in)
		for n > 0 && n < len(in) && err == nil { // what else is there
			var m int
			m, err = r.Stream.(engine.Downstream).TryBody(r, in[n:])
			n += m
		}
		if err == syscall.EAGAIN {
			err = nil
		}
		if n > 0 {
			r.Body.Received += int64(n)
			if max := r.Core().ClientMaxBodySize.V; max > 0 && r.Body.Received > max {
				x.action(sending)
				r.Logf(nlog.Error, "client intended to send too large chunked body: %d+%d bytes", r.Body.Received-int64(n), n)
				p.status = 413
				return failedInternally
			}
			out := all[room : room+n]
			if x.ChunkBody {
				var head [room]byte
				h := http1.AppendChunkHeader(head[:0], int64(n))
				at := room - len(h)
				copy(all[at:], h)
				out = append(all[at:room+n], http1.ChunkEnd...)
			}
			if why := x.write(out, true); why != 0 {
				return why
			}
		}
		if err == io.EOF {
			if x.ChunkBody {
				return x.write([]byte(http1.LastChunk), true)
			}
			return 0
		}
		if err != nil {
			return x.clientFailed(err)
		}
	}
}

// clientFailed ends the exchange because the client's body does not come.
func (x *Exchange) clientFailed(err error) uint32 {
	p, r := &x.pump, x.R
	r.KeepAlive = false
	if x.gone && x.Multiplexed { // the other task says so
		return clientGone
	}
	var be *engine.BodyError
	if !errors.As(err, &be) {
		return clientGone
	}
	x.action(sending)
	p.status = r.BodyFailed(be)
	if be == engine.ErrBodyClosed && x.Multiplexed {
		p.status = engine.StatusClientClosed
	}
	return failedInternally
}

// stopPump ends the second task, if there is one.
func (x *Exchange) stopPump() {
	p := &x.pump
	if !p.on {
		return
	}
	if p.waits {
		x.wakePump(clientGone)
		return
	}
	loop := x.w.Loop
	p.waiting = loop.Current()
	if p.task != nil {
		if !x.stopEditor(p.task) {
			loop.Kill(p.task)
		}
	} else {
		x.closeConn() // it has not begun: it finds no connection to write to
	}
	for p.on {
		loop.Park(0)
	}
}
