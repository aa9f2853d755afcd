package engine

import "moongate/internal/http1"

// Connections that only carry bytes both ways, and streams of messages, are open for hours, by the thousand. Their requests
// wait without a task, whose stack would be most of their memory; tunnels also without the buffers that the heads came in.

// Detach makes the client's connection one of bytes (Downstream.Detach) that is served by events from now on: the handler
// answers Detached, and calls Reattach when it is over. It is nil for a request whose handler has to stay.
func (r *Request) Detach(readable func()) RawConn {
	d, ok := r.Stream.(Downstream)
	if !ok || !r.detachable {
		return nil
	}
	r.detached = true
	return d.Detach(r, readable)
}

// Detached reports, to drivers and after Serve, that the request goes on.
func (r *Request) Detached() bool { return r.detached }

// Rest detaches a request whose stream goes on as it is: the handler answers Detached, and Continue goes on with what is left of
// it. False: the handler has to stay.
func (r *Request) Rest() bool {
	s, ok := r.Stream.(Rester)
	r.detached = ok && r.detachable && s.Rest()
	return r.detached
}

// Continue goes on with a request that was detached, as the caller's task: f is the rest of its handler, which may answer
// Detached again.
func (r *Request) Continue(f func() Status) {
	r.detached, r.detachable = false, true
	over := r.proceed(f)
	r.detachable = false
	if over {
		r.Stream.(Downstream).Resume(r)
	}
}

// proceed reports whether the request is over.
func (r *Request) proceed(f func() Status) (over bool) {
	over = true
	defer r.rescue()
	st := f()
	if st == Detached {
		return false
	}
	r.runDelayed()
	r.finish(st)
	return true
}

// Reattach ends a request that was detached; its connection has served its purpose. The caller's task does what is left.
func (r *Request) Reattach() { r.Continue(failed) }

func failed() Status { return Error }

// Move is told that the bytes of from are also in to, and from now on only there as far as the request knows, but for In. What
// modules have kept of from they keep: its memory must not be used anew.
func (r *Request) Move(from, to []byte) {
	for _, p := range [...]*[]byte{&r.RawHead, &r.MethodName, &r.URI, &r.Args, &r.CaptureSubj, &r.Out.StatusLine, &r.Out.ContentType, &r.Out.Charset} {
		*p = http1.Moved(*p, from, to)
	}
	for i := range r.vars {
		v := &r.vars[i]
		v.val = http1.Moved(v.val, from, to)
	}
	http1.MoveList(r.Out.List, from, to)
}
