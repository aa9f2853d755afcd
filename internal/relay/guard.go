package relay

import (
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/netio"
	"moongate/internal/upstream"
)

// enter asks the group for leave to pass the request on.
func (x *Exchange) enter() engine.Status {
	g := &x.Group.Group
	if !g.Guarded() {
		return engine.OK
	}
	loop := x.w.Loop
	full, err := g.Enter(loop, loop.Now()+or(x.Peer.Connect, x.Conf.ConnectTimeout.V))
	switch {
	case x.gone:
		if full == "" && err == nil {
			g.Leave()
		}
		return x.abort()
	case err == netio.ErrKilled || err != nil:
		return engine.Error
	case full != "":
		x.R.Logf(nlog.Error, "circuit breaker of upstream \"%s\" is open: %s", g.Name, full)
		return 503
	}
	x.entered = true
	return engine.OK
}

// leave gives back what enter got.
func (x *Exchange) leave() {
	x.endRetry()
	if x.entered {
		x.entered = false
		x.Group.Leave()
	}
}

func (x *Exchange) endRetry() {
	if x.retrying {
		x.retrying = false
		x.Group.EndRetry()
	}
}

// retry asks for leave to try again after a failure, and waits as the group's policy says. OK, or the status to end with.
func (x *Exchange) retry(why uint32, st engine.Status) engine.Status {
	x.endRetry()
	if x.Group == nil || why == onNoLive {
		return engine.OK
	}
	g := &x.Group.Group
	if g.Guarded() {
		if !g.BeginRetry() {
			x.R.Logf(nlog.Error, "circuit breaker of upstream \"%s\" is open: no further retry", g.Name)
			return st
		}
		x.retrying = true
	}
	x.retries++
	if d := g.Retry.Backoff(x.retries); d > 0 {
		x.w.Loop.Sleep(d)
		if x.gone {
			return x.abort()
		}
		if x.lateForNext() {
			return st
		}
	}
	return engine.OK
}

// done gives the server of the try that has ended back.
func (x *Exchange) done(o upstream.Outcome, status int) (disabled bool) {
	t := x.state()
	now := x.w.Loop.Now()
	r := upstream.Result{Outcome: o, Status: status, Local: t.Header < 0, Broken: x.cut, Left: x.gone || x.R.Aborted, Header: t.Header, Whole: t.Whole,
		Sent: t.Sent, Received: t.Received}
	if r.Whole < 0 {
		r.Whole = now - x.tryBegun
	}
	if x.work != nil {
		x.work.End(&r)
		x.work = nil
	}
	return x.choice.Done(&r, now)
}

// connected counts the connection of a try.
func (x *Exchange) connected(kept bool) {
	if x.work != nil {
		x.work.Connected(kept)
	}
	x.choice.Connected(kept)
}
