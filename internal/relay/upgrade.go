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
	WaitRead(deadline int64) error
	WaitWrite(deadline int64) error
}

// tunnel is an upgraded connection: two tasks carry bytes, until one side ends.
type tunnel struct {
	x      *Exchange
	client engine.RawConn
	over   bool
	done   bool        // the second task has ended
	others *netio.Task // the task that carries to the server
	waiter *netio.Task
	active int64 // when bytes were last carried, either way
}

// relayRaw passes on the head of an upgrade, then bytes both ways.
func (x *Exchange) relayRaw() engine.Status {
	r := x.R
	if r.Parent != nil {
		x.log(nlog.Error, nil, "connection upgrade in subrequest")
		return engine.Error
	}
	down, ok := r.Stream.(engine.Downstream)
	if !ok {
		return 502
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
	t := &tunnel{x: x, client: down.Hijack(r), active: x.w.Loop.Now()}
	x.w.Loop.Go(t.toServer)
	t.carry(x.conn, t.client, int64(x.Conf.ReadTimeout.V), x.rest, true)
	t.over = true
	t.waiter = x.w.Loop.Current()
	if t.others != nil {
		x.w.Loop.Kill(t.others)
	}
	for !t.done {
		x.w.Loop.Park(0)
	}
	x.state().Whole = x.w.Loop.Now() - x.tryBegun
	return engine.Error // the connection has served its purpose
}

func (t *tunnel) toServer() {
	t.others = t.x.w.Loop.Current()
	if !t.over {
		t.carry(t.client, t.x.conn, int64(t.x.Conf.ReadTimeout.V), nil, false)
	}
	t.over, t.done, t.others = true, true, nil
	if t.waiter != nil {
		t.x.w.Loop.Ready(t.waiter)
	} else {
		t.x.w.Loop.Kill(t.x.task)
	}
}

// carry takes bytes from one end to the other until one of them ends.
func (t *tunnel) carry(from, to end, timeout int64, first []byte, down bool) {
	x := t.x
	loop := x.w.Loop
	p := first
	for !t.over {
		if len(p) > 0 && !t.writeAll(to, p, down) {
			return
		}
		switch err := from.WaitRead(t.active + timeout); err {
		case nil:
		case netio.ErrTimeout:
			if loop.Now() < t.active+timeout {
				p = nil
				continue
			}
			x.action(upgraded)
			x.log(nlog.Error, syscall.ETIMEDOUT, "upstream timed out")
			return
		default:
			return
		}
		buf := x.w.Buffer(16 << 10)
		n, err := from.Read(buf[:cap(buf)])
		ok := true
		if n > 0 {
			t.active = loop.Now()
			if down {
				x.state().Received += int64(n)
				x.state().Length += int64(n)
			} else {
				x.conn.Sent += int64(n)
			}
			ok = t.writeAll(to, buf[:n], down)
		}
		x.w.FreeBuffer(buf)
		p = nil
		if !ok || n == 0 && err != syscall.EAGAIN || n < 0 && err != syscall.EAGAIN {
			return
		}
	}
}

func (t *tunnel) writeAll(to end, p []byte, down bool) bool {
	x := t.x
	for len(p) > 0 {
		n, err := to.Write(p)
		if n > 0 {
			p = p[n:]
			if down {
				x.R.BodySent += int64(n)
			}
			continue
		}
		if err != syscall.EAGAIN {
			return false
		}
		if to.WaitWrite(x.w.Loop.Now()+int64(x.Conf.SendTimeout.V)) != nil {
			return false
		}
	}
	return true
}
