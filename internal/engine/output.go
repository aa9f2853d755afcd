package engine

import (
	"errors"
	"math/bits"

	"moongate/internal/base/nlog"
	"moongate/internal/http1"
)

// ErrClientGone is returned by output after the connection failed.
var ErrClientGone = errors.New("client closed connection")

// UseBody makes filter f see the body of this response; called from its Header.
func (r *Request) UseBody(f *Filter) {
	r.filterMask |= 1 << f.index
	if f.InMemory {
		r.filterMask |= 1 << copyFilter.index
	}
}

// UseOwnBody is UseBody for the filter whose Header is running.
func (r *Request) UseOwnBody() { r.UseBody(r.H.Filters[r.filterPos]) }

// UsesBody reports whether f was installed for this response.
func (r *Request) UsesBody(f *Filter) bool { return r.filterMask&(1<<f.index) != 0 }

// SendHead runs the header filters and queues the response head. Handlers call it once, before Output.
func (r *Request) SendHead() Status {
	if r.HeaderSent {
		r.Logf(nlog.Alert, "header already sent")
		return Error
	}
	if r.ErrStatus != 0 {
		r.Out.Status = r.ErrStatus
		r.Out.StatusLine = nil
	}
	return r.sendHead(false)
}

func (r *Request) sendHead(last bool) Status {
	if r.Out.Status == 0 && len(r.Out.StatusLine) == 0 {
		r.Out.Status = 200
	}
	r.filterMask = 0
	for i := r.headFrom; i < len(r.filters); i++ {
		f := r.filters[i]
		if f.Header == nil {
			continue
		}
		r.filterPos = f.index
		if st := f.Header(r); st == OK || st == Declined {
			continue
		} else if r.replacing {
			r.replacing = false
			if r.hasErrorPage(st) {
				return st
			}
			return r.replaceResponse(i+1, st)
		} else {
			return st // a status is the handler's to finish with
		}
	}
	r.HeaderSent = true
	if r.Out.Status == 204 || r.Out.Status == 304 || r.Method == http1.MethodHead && r.Out.Status >= 200 {
		r.HeadOnly = true
	}
	if err := r.sink.head(r, last || r.HeadOnly); err != nil {
		r.Aborted = true
		return Error
	}
	return OK
}

// ReplaceWith is for header filters whose handlers may go on after it: the page of a status is sent at once. The filter
// returns what it gets. See also AnswerInstead.
func (r *Request) ReplaceWith(st Status) Status {
	r.replacing = true
	return st
}

// replaceResponse sends the page of a status in place of the response whose head a header filter refused; only the
// filters from place next on see it. What the handler still sends is dropped.
func (r *Request) replaceResponse(next int, st Status) Status {
	r.headFrom = next
	r.Out.Status = 0
	r.ErrStatus = st
	if st := r.sendOwnPage(st); st != OK {
		return st
	}
	r.replaced = true
	return Done
}

// SendHeadOnly says that no body will follow: Content-Length stays what the handler set.
func (r *Request) SendHeadOnly() Status {
	r.HeaderOnlyR = true
	if r.ErrStatus != 0 {
		r.Out.Status = r.ErrStatus
	}
	st := r.sendHead(true)
	return st
}

// Output passes a piece of body through the body filters to the client. It does not park, Drain does; but a piece of a
// file may have to be read for filters, which drains in between. The chunk stays the caller's.
func (r *Request) Output(c *Chunk) error {
	if r.Aborted {
		return ErrClientGone
	}
	if r.replaced {
		return nil
	}
	if r.filterMask == 0 {
		return r.toSink(c)
	}
	r.filterPos = -1
	return r.Next(c)
}

// Next passes a chunk from a body filter on to the ones after it. The chunk stays the caller's; a filter may change the
// one that it was given.
func (r *Request) Next(c *Chunk) error {
	pos := r.filterPos
	m := r.filterMask >> (pos + 1)
	if m == 0 {
		return r.toSink(c)
	}
	i := pos + 1 + bits.TrailingZeros64(m)
	r.filterPos = i
	err := r.H.Filters[i].Body(r, r.carry(i, c))
	r.filterPos = pos
	return err
}

// carry copies a chunk to where it lives while filter i has it: filters are called through variables, so that a chunk
// of the caller's would have to be allocated.
func (r *Request) carry(i int, c *Chunk) *Chunk {
	if i >= len(r.chain) {
		r.chain = make([]Chunk, len(r.H.Filters)+1)
	}
	p := &r.chain[i]
	*p = *c
	return p
}

// MayPark reports whether output comes from where the goroutine may wait. Filters are called from Lua functions, too,
// where it may not.
func (r *Request) MayPark() bool { return r.W.Loop.Pinned == 0 }

// WhenFree is for filters that have to wait and may not: f runs when the handler has ended.
func (r *Request) WhenFree(f func()) { r.delayed = append(r.delayed, f) }

func (r *Request) runDelayed() {
	for i := 0; i < len(r.delayed); i++ {
		r.delayed[i]()
	}
	r.delayed = nil
}

// outputAfter passes a chunk to the body filters behind place pos: where a subrequest's output joins its parent's.
func (r *Request) outputAfter(pos int, c *Chunk) error {
	old := r.filterPos
	r.filterPos = pos
	err := r.Next(c)
	r.filterPos = old
	return err
}

func (r *Request) toSink(c *Chunk) error {
	if r.HeadOnly {
		return nil
	}
	r.BodySent += c.Size()
	r.last = *c
	if err := r.sink.body(r, &r.last); err != nil {
		r.Aborted = true
		return err
	}
	return nil
}

// Flush sends what is queued as far as the client takes it, without waiting.
func (r *Request) Flush() error { return r.Output(&Chunk{Flush: true}) }

// Pending is the number of bytes queued for the client.
func (r *Request) Pending() int64 { return r.Stream.Pending() }

// Pusher is a Stream whose Flush leaves the sending to the end of the worker's turn, so that what several streams of a connection
// have to send leaves at once. Push sends now, for a producer that may go on without a wait.
type Pusher interface{ Push() }

// Drain parks until at most max bytes are queued: producers call it between pieces.
func (r *Request) Drain(max int64) error {
	if r.Aborted {
		return ErrClientGone
	}
	if r.Stream.Pending() <= max {
		return nil
	}
	if err := r.Stream.Drain(r, max); err != nil {
		r.Aborted = true
		return err
	}
	return nil
}

// TimedOut reports whether the client was given up because it took nothing for send_timeout.
func (r *Request) TimedOut() bool { return r.timedOut }

// SetTimedOut is for drivers.
func (r *Request) SetTimedOut() { r.timedOut = true }

// OutputLow is the number of queued bytes up to which producers go on without waiting.
const OutputLow = 64 << 10

// SendText answers with a complete small body: head, body, end.
func (r *Request) SendText(body []byte) Status {
	r.Out.ContentLength = int64(len(body))
	if st := r.SendHead(); st != OK {
		return st
	}
	if r.HeadOnly {
		return OK
	}
	if r.Output(&Chunk{Data: body, Last: true}) != nil {
		return Error
	}
	return OK
}

// SendResponse answers with a status and a small body, or, when the status is a redirect's, with the body as Location;
// the caller returns the status it gets. Variables in the body know the status.
func (r *Request) SendResponse(st Status, text *Template) Status {
	if st := r.DiscardBody(); st != OK {
		return st
	}
	r.Out.Status = st
	body := text.Eval(r)
	switch st {
	case 301, 302, 303, 307, 308:
		r.Expose(body)
		return st
	}
	r.SetContentType()
	return r.SendText(body)
}

// driverSink is the end of a main request's output.
type driverSink struct{}

func (driverSink) head(r *Request, last bool) error { return r.Stream.SendHead(r, last) }
func (driverSink) body(r *Request, c *Chunk) error  { return r.Stream.SendBody(r, c) }

// finish ends a run of the phases: it turns a status into a response where none was sent. Restart means that an
// error_page led elsewhere.
func (r *Request) finish(st Status) Status {
	_, kept := r.sink.(*memorySink) // by Lua, which never sees an error_page
	if r.captured() && !r.HeaderSent && (st >= 300 || st == Error) && (kept || !r.hasErrorPage(st)) {
		// Whoever captures wants the status, not our page.
		if st == Error {
			st = 500
		}
		if r.Out.Status == 0 {
			r.Out.Status = st
		}
		return Done
	}
	if r.Aborted || st == Error || st == StatusClientClosed || (st == StatusClose || st == 408) && r.Parent == nil {
		if st > 0 && !r.HeaderSent { // a client that was too slow gets no answer either
			r.Out.Status = st
		}
		r.fail()
		return Done
	}
	switch {
	case st == Declined && !r.HeaderSent && r.Parent == nil:
		r.fail() // nobody answered
		return Done
	case st == Done || st == Declined:
		return Done
	case st >= 300 || st == 201 || st == 204 && !r.HeaderSent:
		if r.HeaderSent {
			// Too late for another answer: nginx cuts the response here.
			if st >= 500 || r.Out.ContentLength >= 0 {
				r.Logf(nlog.Debug, "status %d after the head was sent", st)
			}
			r.fail()
			return Done
		}
		switch st := r.specialResponse(st); {
		case st == Restart:
			return st
		case st == Error:
			r.fail()
		case st >= 300: // an error page that leads nowhere
			return r.finish(st)
		}
		return Done
	}
	if !r.HeaderSent && r.Parent == nil {
		// A handler that answered OK without output: an empty response.
		if r.SendHeadEmpty() != OK {
			r.fail()
		}
	}
	return Done
}

// SendHeadEmpty sends the head of a response without body.
func (r *Request) SendHeadEmpty() Status {
	if r.Out.ContentLength < 0 && r.Out.Status >= 200 && r.Out.Status != 204 && r.Out.Status != 304 {
		r.Out.ContentLength = 0
	}
	if st := r.SendHead(); st != OK {
		return st
	}
	if r.HeadOnly {
		return OK
	}
	if r.Output(&Chunk{Last: true}) != nil {
		return Error
	}
	return OK
}

// fail marks the connection as not usable any more: the driver closes it.
func (r *Request) fail() {
	r.Main.KeepAlive = false
	if r.Parent == nil {
		r.Aborted = true
	}
}

// LogStatus is the status as $status has it: that of the error an error page was made for, else the response's; 9 for
// HTTP/0.9, 0 when there is none.
func (r *Request) LogStatus() int {
	switch {
	case r.ErrStatus != 0:
		return int(r.ErrStatus)
	case r.Out.Status != 0:
		return int(r.Out.Status)
	case r.In.Version == http1.Version09:
		return 9
	}
	return 0
}

// RunLog runs the log phase; the driver calls it when the response has left. It parks while subrequests beside the request
// are under way.
func (r *Request) RunLog() {
	if r.Logged {
		return
	}
	if r.Core().PostAction.V != "" {
		r.postAction()
	}
	r.waitBackground()
	r.Logged = true
	r.Conn.Action = "logging request"
	defer func() {
		if p := recover(); p != nil {
			r.Logf(nlog.Alert, "panic in the log phase: %v", p)
		}
	}()
	for _, run := range r.Loc.steps[Log] {
		run(r)
	}
}
