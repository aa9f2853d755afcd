package relay

import (
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/netio"
)

// end is one side of an upgraded connection.
type end interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	Readable() bool
	WaitWrite(deadline int64) error
}

// tunnel is an upgraded connection. It has neither a task nor a buffer while nobody sends anything: the loop calls the flow
// whose end has become readable.
type tunnel struct {
	x        *Exchange
	up, down flow // to the server, to the client
	over     bool // one side has ended
	ended    bool // nothing is left to do
	timer    netio.Timer
	timeout  int64
	active   int64 // when bytes were last carried, either way
}

// flow is one direction.
type flow struct {
	t        *tunnel
	from, to end
	busy     bool        // a task carries
	task     *netio.Task // which
}

// relayRaw passes on the head of an upgrade; bytes both ways follow without this task.
func (x *Exchange) relayRaw() engine.Status {
	r := x.R
	if r.Parent != nil {
		x.log(nlog.Error, nil, "connection upgrade in subrequest")
		return engine.Error
	}
	r.KeepAlive = false
	r.Out.ContentLength = -1
	if st := r.SendHead(); st != engine.OK {
		return st
	}
	if r.Stream.Flush(r) != nil || r.Drain(0) != nil {
		return engine.Error
	}
	x.body = true
	if x.watching { // the ends tell themselves
		r.Conn.Unwatch(x)
		x.watching = false
	}
	x.action(upgraded)
	t := &tunnel{x: x, timeout: int64(x.Conf.ReadTimeout.V), active: x.w.Loop.Now()}
	t.up.t, t.down.t = t, t
	client := r.Detach(t.up.carry)
	if client == nil {
		return 502
	}
	t.up.from, t.up.to, t.down.from, t.down.to = client, x.conn, x.conn, client
	t.timer.Init(t.expire)
	x.w.Loop.Arm(&t.timer, t.active+t.timeout)
	x.w.Loop.Go(t.begin)
	x.detached = true
	return engine.Detached
}

// begin carries what is there already.
func (t *tunnel) begin() {
	x := t.x
	ok := true
	if len(x.rest) > 0 {
		t.down.busy, t.down.task = true, x.w.Loop.Current()
		ok = t.down.writeAll(x.rest)
		t.down.busy, t.down.task = false, nil
	}
	if !ok || t.over {
		t.end()
		return
	}
	x.shrink()
	x.conn.SetHandler(&t.down)
	t.up.carry()
	t.down.carry()
}

// shrink gives the response's head memory of its size. The buffer is left to the collector: modules may have kept parts of it.
func (x *Exchange) shrink() {
	from := x.buf[:cap(x.buf)-cap(x.rest)]
	to := append(make([]byte, 0, len(from)), from...)
	x.Resp.Move(from, to)
	x.R.Move(from, to)
	x.buf, x.rest = nil, nil
}

// Ready implements netio.Handler: the server has sent something.
func (f *flow) Ready(*netio.FD) { f.carry() }

// turnsInRow is how many pieces a flow carries before others have their turn.
const turnsInRow = 16

// carry takes the bytes that are there from one end to the other.
func (f *flow) carry() {
	t := f.t
	if f.busy || t.over {
		return
	}
	f.busy, f.task = true, t.x.w.Loop.Current()
	n := 0
	for n < turnsInRow && !t.over && f.turn() {
		n++
	}
	f.busy, f.task = false, nil
	switch {
	case t.over:
		t.end()
	case n == turnsInRow:
		t.x.w.Loop.Go(f.carry)
	}
}

// turn carries one piece; false: there was none, or all is over.
func (f *flow) turn() bool {
	t := f.t
	x := t.x
	buf := x.w.Buffer(16 << 10)
	n, err := f.from.Read(buf[:cap(buf)])
	if n > 0 {
		t.active = x.w.Loop.Now()
		if f == &t.down {
			x.state().Received += int64(n)
		} else {
			x.conn.Sent += int64(n)
		}
		t.over = !f.writeAll(buf[:n]) || t.over
	} else if err != syscall.EAGAIN {
		f.failed(err)
		t.over = true
	}
	x.w.FreeBuffer(buf)
	return n > 0 && !t.over && f.from.Readable()
}

// failed logs why an end gives no more, unless it has just closed. A client that fails is no fault of ours.
func (f *flow) failed(err error) {
	x := f.t.x
	_, isErrno := err.(syscall.Errno)
	if err == nil || f.t.over {
		return
	}
	x.action(upgraded)
	switch {
	case f == &f.t.down:
		x.readFailed(err, false)
	case isErrno:
		x.log(nlog.Info, err, "recv() failed")
	}
}

func (f *flow) writeAll(p []byte) bool {
	x := f.t.x
	for len(p) > 0 {
		n, err := f.to.Write(p)
		if n > 0 {
			p = p[n:]
			if f == &f.t.down {
				x.R.BodySent += int64(n)
			}
			continue
		}
		if err != syscall.EAGAIN {
			return false
		}
		if f.to.WaitWrite(x.w.Loop.Now()+int64(x.Conf.SendTimeout.V)) != nil {
			return false
		}
	}
	return true
}

// expire is the timer's function.
func (t *tunnel) expire() {
	x := t.x
	switch until := t.active + t.timeout; {
	case t.over:
	case until > x.w.Loop.Now():
		x.w.Loop.Arm(&t.timer, until)
	default:
		x.action(upgraded)
		x.log(nlog.Info, syscall.ETIMEDOUT, "upstream timed out")
		t.end()
	}
}

// end ends the request, once no flow is busy.
func (t *tunnel) end() {
	x := t.x
	loop := x.w.Loop
	t.over = true
	waits := false
	for _, f := range [...]*flow{&t.up, &t.down} {
		if f.busy {
			waits = true
			loop.Kill(f.task) // it calls again
		}
	}
	if waits || t.ended {
		return
	}
	t.ended = true
	if t.timer.Armed() {
		loop.Disarm(&t.timer)
	}
	x.conn.SetHandler(nil)
	x.state().Whole = loop.Now() - x.tryBegun
	x.countSent()
	loop.Go(func() {
		x.finish()
		x.R.Reattach()
	})
}
