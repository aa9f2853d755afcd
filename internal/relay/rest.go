package relay

import (
	"moongate/internal/engine"
	"moongate/internal/netio"
)

// A call that streams is silent most of the time. While it is, an exchange over a connection that carries many is at rest: it has
// no task, neither for the response nor for the request body. What ends the rest goes on in the same straight-line code: as
// soon as that would wait again, the exchange is at rest again.

// Rester is implemented by protocols whose exchanges may be at rest: Run answers Detached then.
type Rester interface {
	// Rested is what the handler does after Run, for an exchange that was at rest.
	Rested(x *Exchange, st engine.Status) engine.Status
}

// rest is what is at rest.
type rest struct {
	on    bool
	err   error // why it has ended, when it was not for the server
	until int64
	timer netio.Timer // of the response
	body  netio.Timer // of the request body; may be armed for an earlier moment, as that
	// Methods as values, made once; nil before the first rest.
	wakeFn, pumpFn func()
	goOnFn         func() engine.Status
}

func (x *Exchange) prepareRest() *rest {
	t := &x.mux.rest
	if t.wakeFn == nil {
		t.wakeFn, t.pumpFn, t.goOnFn = x.runAgain, x.bodyCame, x.goOn
		t.timer.Init(x.restTimer)
		t.body.Init(x.bodyTimer)
	}
	return t
}

// mayRest is asked before the response is waited for; true: the exchange is at rest.
func (x *Exchange) mayRest() bool {
	if _, ok := x.P.(Rester); !ok || x.stopped() != 0 || !x.R.Rest() {
		return false
	}
	t, s := x.prepareRest(), x.mux.stream
	t.on, t.until = true, x.until(x.readUntil())
	x.armFor(&t.timer, t.until)
	x.task, x.detached = nil, true
	s.Quiet()
	s.FD.SetHandler(x)
	if x.pump.waits {
		x.pump.in.drop(x) // no try will follow
	}
	return true
}

// armFor arms a timer that looks for itself what time it is for.
func (x *Exchange) armFor(t *netio.Timer, until int64) {
	if !t.Armed() || t.When() > until {
		x.w.Loop.Arm(t, until)
	}
}

// Ready implements netio.Handler, for the stream: something came.
func (x *Exchange) Ready(*netio.FD) {
	if x.mux.rest.on {
		x.wake(nil)
	}
}

// wake ends the rest of the response.
func (x *Exchange) wake(err error) {
	t := &x.mux.rest
	t.on, t.err = false, err
	x.mux.stream.FD.SetHandler(nil)
	x.w.Loop.Soon(t.wakeFn)
}

func (x *Exchange) runAgain() { x.R.Continue(x.mux.rest.goOnFn) }

// goOn is Run's continuation.
func (x *Exchange) goOn() engine.Status {
	st := x.relayAgain()
	if st != engine.Detached {
		st = x.P.(Rester).Rested(x, st)
	}
	return st
}

func (x *Exchange) relayAgain() engine.Status {
	x.task, x.detached = x.w.Loop.Current(), false
	defer func() {
		if !x.detached {
			x.finish()
		}
	}()
	if why := x.waited(x.mux.rest.err); why != 0 {
		return x.failedMux(why)
	}
	return x.relayMux()
}

func (x *Exchange) restTimer() {
	switch t := &x.mux.rest; {
	case !t.on:
	case t.until > x.w.Loop.Now():
		x.w.Loop.Arm(&t.timer, t.until)
	default:
		x.wake(netio.ErrTimeout)
	}
}

// endRest is for the end of the exchange.
func (x *Exchange) endRest() {
	t := &x.mux.rest
	for _, timer := range [...]*netio.Timer{&t.timer, &t.body} {
		if t.wakeFn != nil {
			x.w.Loop.Disarm(timer)
		}
	}
}

// pumpRests is asked before more of the client's body is waited for; true: the pump is at rest.
func (x *Exchange) pumpRests() bool {
	s, ok := x.R.Stream.(engine.Rester)
	if !ok {
		return false
	}
	t, p := x.prepareRest(), &x.pump
	p.waits, p.until = true, x.w.Loop.Now()+int64(x.R.Core().ClientBodyTimeout.V)
	x.armFor(&t.body, p.until)
	s.OnBody(t.pumpFn)
	return true
}

// bodyCame goes on with the request body.
func (x *Exchange) bodyCame() {
	if x.pump.waits {
		x.pump.waits = false
		x.runMuxPump()
	}
}

// wakePump ends a pump at rest.
func (x *Exchange) wakePump(why uint32) {
	x.pump.waits = false
	x.pump.in.drop(x)
	x.pumpEnded(why)
}

func (x *Exchange) bodyTimer() {
	switch p := &x.pump; {
	case !p.waits:
	case p.until > x.w.Loop.Now():
		x.w.Loop.Arm(&x.mux.rest.body, p.until)
	default:
		x.wakePump(x.clientFailed(engine.ErrBodyTimeout))
	}
}
