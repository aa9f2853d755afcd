package relay

import (
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
)

// relay passes the response body on.
func (x *Exchange) relay() engine.Status {
	r := x.R
	buffering := x.buffering()
	rate := int64(0)
	if buffering {
		rate = x.Conf.rate(r)
	}
	size := x.Conf.readBuffer
	var buf []byte
	defer func() {
		if buf != nil {
			x.w.FreeBuffer(buf)
		}
	}()
	if buffering {
		x.action(readingBody)
	}
	in := x.rest
	x.state().Length += int64(len(in))
	for {
		done, st := x.pass(in)
		if st != engine.OK || done {
			return st
		}
		if !x.deaf && !x.spool.feeding && r.Pending() > 0 && !x.postpones() && !x.yieldTo(buffering) {
			return engine.Error
		}
		x.action(readingBody)
		if why := x.waitRead(); why != 0 {
			return x.broken(why)
		}
		if buf == nil {
			buf = x.w.Buffer(size)
			buf = buf[:cap(buf)]
		}
		most := len(buf)
		if rate > 0 {
			most = x.throttle(rate, most)
		}
		n, err := x.conn.Read(buf[:most])
		switch {
		case n > 0:
			x.state().Received += int64(n)
			x.state().Length += int64(n)
			in = buf[:n]
		case err == syscall.EAGAIN:
			in = nil
		case err == nil:
			return x.ended()
		default:
			x.readFailed(err, buffering)
			if !x.releaseLate() {
				return engine.Error
			}
			return x.truncated()
		}
	}
}

// yieldTo lets the client take what is queued: it waits, or begins to spool. False: the client is gone.
func (x *Exchange) yieldTo(buffering bool) bool {
	r := x.R
	low := x.Conf.readAhead
	if !buffering {
		low = 0
	}
	if r.Stream.Flush(r) != nil {
		return x.clientLost()
	}
	if r.Pending() <= low {
		return true
	}
	if buffering && x.spools() {
		x.startFeeder(low)
		return true
	}
	x.action(toClient)
	return r.Drain(low) == nil || x.clientLost()
}

// pass gives the body's pieces in what was read to the client; done says that it is complete.
func (x *Exchange) pass(in []byte) (done bool, st engine.Status) {
	r := x.R
	var held []byte // the last piece waits: it may be the end of the body
	late := r.Captured() && x.buffering()
	for {
		data, n, state := x.P.Body(x, in)
		in = in[n:]
		if len(data) > 0 {
			if held != nil && !x.output(held, late) {
				return true, engine.Error
			}
			held = data
		}
		switch {
		case state == BodyDone:
			if len(in) > 0 {
				x.KeepConn = false
			}
			if !x.releaseLate() {
				return true, engine.Error
			}
			return true, x.last(held)
		case state == BodyInvalid:
			if held != nil && !x.output(held, late) || !x.releaseLate() {
				return true, engine.Error
			}
			return true, x.truncated()
		case len(in) == 0:
			if held != nil && !x.output(held, late) {
				return true, engine.Error
			}
			return false, engine.OK
		}
	}
}

// output passes a piece on. With late it waits until there is a buffer full: whoever captures a response that is read
// ahead does not see the beginning of a buffer that was never filled, as with nginx, when the server falls silent.
func (x *Exchange) output(p []byte, late bool) bool {
	if !late {
		return x.deliver(p)
	}
	if x.late == nil {
		x.late = x.w.Buffer(int(x.Conf.Buffers.V.Size))
	}
	for len(x.late)+len(p) >= cap(x.late) {
		n := cap(x.late) - len(x.late)
		x.late = append(x.late, p[:n]...)
		p = p[n:]
		if !x.deliver(x.late) {
			return false
		}
		x.late = x.late[:0]
	}
	x.late = append(x.late, p...)
	return true
}

// releaseLate passes on what waits.
func (x *Exchange) releaseLate() bool {
	if len(x.late) == 0 {
		return true
	}
	p := x.late
	x.late = x.late[:0]
	return x.deliver(p)
}

// last sends the last piece; the server is done with before the client may have to be waited for.
func (x *Exchange) last(held []byte) engine.Status {
	r := x.R
	t := x.state()
	t.Whole = x.w.Loop.Now() - x.tryBegun
	x.countSent()
	x.keep()
	x.release() // the client may take long yet
	if x.spool.feeding {
		if len(held) > 0 && !x.deliver(held) {
			return engine.Error
		}
		held = nil
		x.action(toClient)
		x.joinFeeder()
	} else if x.store != nil {
		x.store.write(x, held)
	}
	x.endStore(true)
	if x.deaf && !r.Beside || x.spool.failed {
		return engine.Error
	}
	r.Out.Trailers = append(r.Out.Trailers, x.Trailers...)
	if r.Output(&engine.Chunk{Data: held, Last: true}) != nil {
		return engine.Error
	}
	return engine.OK
}

// ended is the end of the connection.
func (x *Exchange) ended() engine.Status {
	if !x.releaseLate() {
		return engine.Error
	}
	if x.P.End(x) {
		return x.last(nil)
	}
	x.log(nlog.Error, nil, "upstream prematurely closed connection")
	return x.truncated()
}

// broken is a body that does not come.
func (x *Exchange) broken(why uint32) engine.Status {
	switch {
	case x.gone:
		x.logGone("epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too")
		return engine.Error
	case why == onTimeout:
		x.log(nlog.Error, syscall.ETIMEDOUT, "upstream timed out")
	}
	return x.truncated()
}

// truncated ends a response that is not complete: the client must see that. What has come is sent.
func (x *Exchange) truncated() engine.Status {
	r := x.R
	x.KeepConn, x.cut = false, true
	if r.Parent != nil {
		return engine.Done
	}
	r.KeepAlive = false
	x.action(toClient)
	x.joinFeeder()
	if r.Stream.Flush(r) == nil {
		r.Drain(0)
	}
	return engine.Error
}

// throttle waits until something may be read within the rate, and gives how much, n at most.
func (x *Exchange) throttle(rate int64, n int) int {
	loop := x.w.Loop
	for !x.gone {
		left := rate + rate*((loop.Now()-x.tryBegun)/1e6)/1000 - x.state().Length
		if left > 0 {
			return int(min(left, int64(n)))
		}
		loop.Park(loop.Now() + (-left*1000/rate+1)*1e6)
	}
	return n
}
