package grpcclient

import (
	"errors"

	"moongate/internal/grpc"
	"moongate/internal/h2client"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
	"moongate/internal/upstream"
)

// stream is one call, as the worker has it whose Lua code makes it. What is on the connection is x, at the home: when that
// is another worker, the code waits here while an op does there what is to be done (see place).
type stream struct {
	luahost.Held
	view   // of x, after the last operation
	ch     *channel
	me     *place
	loop   *netio.Loop
	home   *home
	x      *exchange
	first  exchange // what x is, unless the call had to be made again
	choice upstream.Choice
	chosen bool
	over   bool

	begun          int64 // the try under way, monotonic nanoseconds
	sent, received int64 // messages

	// replay is what was sent, kept until the response begins: a call that the server has not looked at is made again.
	replay  []byte
	tooMuch bool
	again   bool // it was
}

const (
	// maxRefused is how often a call is made again that has not left us.
	maxRefused = 5
	// maxReplay is how much of a call is kept.
	maxReplay = 64 << 10
)

func newStream(at *place, ch *channel, path string, md []h2client.Field, deadline int64) *stream {
	st := &stream{ch: ch, me: at, loop: at.w.Loop, begun: at.w.Loop.Now()}
	st.first = exchange{ch: ch, path: path, metadata: md, deadline: deadline, gzip: ch.gzip}
	st.x = &st.first
	return st
}

// open begins the call at a server that takes it; with unary the whole call is made. The error is a *grpc.Status, or that
// of a thread that was killed.
func (st *stream) open(c *lua.Call, unary bool, frame []byte) (reply []byte, err error) {
	deadline := st.x.deadline
	if st.ch.group != nil {
		st.chosen = true
		groupBalancer(workerOf(c), st.ch).Begin(&st.choice, nil)
	}
	last := errNoLive
	for tries := 0; ; {
		to, err := st.ch.next(c, st.loop, &st.choice, deadline)
		if err != nil {
			if killed(err) {
				return nil, err
			}
			if err == errNoMore {
				err = last
			}
			return nil, st.ch.unavailable(err, deadline, st.loop.Now())
		}
		reply, err := st.try(&to, unary, frame)
		switch {
		case err == nil && unary && st.refused && !st.again:
			st.again = true
			st.renew(c)
			continue
		case err == nil || killed(err):
			return reply, err
		case err == errCut:
			return nil, &grpc.Status{Code: grpc.Unavailable, Message: err.Error()}
		case err == errStopped || ofStream(err): // nothing was sent
			if tries++; tries > maxRefused {
				return nil, &grpc.Status{Code: grpc.Unavailable, Message: err.Error()}
			}
			st.renew(c)
		default:
			now := st.loop.Now()
			if !st.chosen || err == netio.ErrTimeout && now >= deadline {
				return nil, st.ch.unavailable(err, deadline, now)
			}
			last = err
			st.choice.Done(&upstream.Result{Outcome: upstream.Failed, Local: true, Status: 502, Header: -1}, now)
		}
	}
}

var errNoLive = errors.New("no live upstreams")

// ofStream tells a connection's error from that of making one.
func ofStream(err error) bool {
	var he *h2client.Error
	return errors.As(err, &he)
}

// renew makes the call one that was not begun: it is made once more.
func (st *stream) renew(c *lua.Call) {
	old := st.x
	st.x = &exchange{ch: st.ch, path: old.path, metadata: old.metadata, deadline: old.deadline, gzip: old.gzip}
	st.view = view{}
	st.done(upstream.Next)
	if st.chosen {
		groupBalancer(workerOf(c), st.ch).Begin(&st.choice, nil)
	}
}

// try begins the call at a server, at the home of the connections to it.
func (st *stream) try(to *target, unary bool, frame []byte) (reply []byte, err error) {
	st.leave()
	st.begun = st.loop.Now()
	x := st.x
	if st.ch.own || st.me.alone || st.me.mine[to.key] > 0 { // with connections here, this is the home
		x.at = st.me
	} else {
		st.home = homes.enter(st.me, to.key)
		x.at = st.home.at
	}
	x.away = x.at != st.me
	if unary {
		defer st.leave()
	}
	switch {
	case x.away && unary:
		reply, err = st.run(&op{do: (*op).call, to: *to, arg: frame})
	case x.away:
		_, err = st.run(&op{do: (*op).begin, to: *to})
	case unary:
		reply, err = x.call(to, frame)
		st.view = x.view
	default:
		err = x.begin(to)
	}
	return reply, err
}

// leave tells the registry that the call uses no connection any more.
func (st *stream) leave() {
	if st.home != nil {
		homes.leave(st.home)
		st.home = nil
	}
}

// run has an op done at the home.
func (st *stream) run(o *op) ([]byte, error) {
	o.x = st.x
	err := st.x.at.run(o, st.loop)
	switch {
	case killed(err) || err == errStopped || err == errCut: // it may be going on
		return nil, err
	case !st.over:
		st.view = o.v
	}
	return o.msg, err
}

func (o *op) begin() error { return o.x.begin(&o.to) }
func (o *op) head() error  { return o.x.readHead() }
func (o *op) send() error  { return o.x.put(o.arg, o.last) }

func (o *op) call() (err error) {
	o.msg, err = o.x.call(&o.to, o.arg)
	return err
}

func (o *op) recv() (err error) {
	o.msg, err = o.x.read()
	return err
}

// failed is the call's status after an error; nil for that of a killed thread.
func (st *stream) failed(err error) *grpc.Status {
	switch {
	case st.status != nil:
	case err == errStopped || err == errCut:
		st.status = &grpc.Status{Code: grpc.Unavailable, Message: err.Error()}
	case !st.x.away:
		st.x.fail(err)
		st.view = st.x.view
	case killed(err):
	default:
		e := exchange{deadline: st.x.deadline}
		e.fail(err)
		st.status, st.refused = e.status, e.refused
	}
	return st.status
}

// done gives the server of a group back.
func (st *stream) done(out upstream.Outcome) {
	if st.chosen && st.choice.Peer != nil {
		st.choice.Done(&upstream.Result{Outcome: out, Status: 200, Header: -1}, st.loop.Now())
	}
}

// close ends the call; what is under way is cancelled.
func (st *stream) close() {
	if st.over {
		return
	}
	st.over = true
	st.LetGo()
	out := upstream.Good
	if st.status != nil && st.status.Code == grpc.Unavailable {
		out = upstream.Failed
	}
	st.done(out)
	if st.status == nil {
		st.status = closed
	}
	st.count()
	switch x := st.x; {
	case x.at == nil:
	case x.away:
		x.at.w.Loop.Post(x.close)
	default:
		x.close()
	}
	st.leave()
}

// finish is close for a call with one message each way, which has closed itself.
func (st *stream) finish() {
	st.x.at = nil
	st.sent = 1
	if st.status != nil && st.status.Code == grpc.OK {
		st.received = 1
	}
	st.close()
}

// closed is the status of calls that were ended by us.
var closed = &grpc.Status{Code: grpc.Canceled, Message: "the call was closed"}

// DropHeld implements luahost.Dropper: the request has ended.
func (st *stream) DropHeld() { st.close() }

// Collected implements lua.Collected.
func (st *stream) Collected() { st.close() }

// frame makes the frame of a message.
func frame(msg []byte, gzip bool) []byte {
	if gzip && len(msg) >= 64 {
		b := grpc.Gzip(make([]byte, grpc.FrameHead, len(msg)/2+64), msg)
		grpc.PutHead(b, grpc.Compressed, len(b)-grpc.FrameHead)
		return b
	}
	return grpc.AppendFrame(make([]byte, 0, len(msg)+grpc.FrameHead), 0, msg)
}

// put sends a frame, or with none just the end.
func (st *stream) put(b []byte, last bool) error {
	if st.status != nil {
		return h2client.ErrStopped
	}
	st.keep(b)
	var err error
	if st.x.away {
		_, err = st.run(&op{do: (*op).send, arg: b, last: last})
	} else {
		err = st.x.put(b, last)
		if !st.over {
			st.view = st.x.view
		}
	}
	st.sentLast = st.sentLast || last && err == nil
	return err
}

// keep keeps what is sent.
func (st *stream) keep(b []byte) {
	switch {
	case st.headSeen || st.again || st.tooMuch:
	case len(st.replay)+len(b) > maxReplay:
		st.tooMuch, st.replay = true, nil
	default:
		st.replay = append(st.replay, b...)
	}
}

// resend makes a call again, once, that the server has not looked at, if its request was complete.
func (st *stream) resend(c *lua.Call) (bool, error) {
	if !st.refused || st.again || st.tooMuch || !st.sentLast || st.over {
		return false, nil
	}
	st.again = true
	old, b := st.x, st.replay
	st.renew(c)
	if old.away {
		old.at.w.Loop.Post(old.close)
	} else {
		old.close()
	}
	if _, err := st.open(c, false, nil); err != nil {
		if s, ok := err.(*grpc.Status); ok {
			st.status = s
			return true, nil
		}
		return false, err
	}
	if err := st.put(b, true); err != nil && err != h2client.ErrStopped && st.failed(err) == nil {
		return false, err
	}
	return true, nil
}

// read gives the next message; nil at the end, when status is set. The error is that of a killed thread.
func (st *stream) read(c *lua.Call) (msg []byte, err error) {
	for {
		if st.x.away {
			if msg, err = st.run(&op{do: (*op).recv}); err == errStopped || err == errCut {
				st.failed(err)
				err = nil
			}
		} else {
			msg, err = st.x.read()
			if !st.over {
				st.view = st.x.view
			}
		}
		if st.headSeen {
			st.replay = nil
		}
		if err != nil {
			return nil, err
		}
		if more, err := st.resend(c); !more {
			return msg, err
		}
	}
}

// readHead waits for the response's head.
func (st *stream) readHead() (err error) {
	if st.x.away {
		_, err = st.run(&op{do: (*op).head})
		return err
	}
	if err = st.x.readHead(); !st.over {
		st.view = st.x.view
	}
	return err
}
