package relay

import (
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/netio"
)

// Editor sees the bodies of a multiplexed exchange as they pass, and may change them or end the exchange with an answer
// of its own. Request and Response may park, each on its own task; p is theirs until then. They append what goes on in the
// place of p to dst; with ok false nothing goes on any more, and Answer has what the client gets.
type Editor interface {
	Request(x *Exchange, dst, p []byte, end bool) (out []byte, ok bool)
	Response(x *Exchange, dst, p []byte, end bool) (out []byte, ok bool)
	// Head is asked before the head of the server's response goes to the client; r.Out may be changed. False: the body is
	// nothing to edit.
	Head(x *Exchange) bool
	// Trailers appends to the response's trailers.
	Trailers(list []http1.Header) []http1.Header
	// Answer is what ends a response that has begun; for one that has not, who made the exchange asks Answered.
	Answer() (body []byte, trailers []http1.Header)
	// Stop ends what Request or Response wait for; it gives the task that did.
	Stop() *netio.Task
	// Done is told the end of the exchange.
	Done()
}

var editorSlot = engine.NewSlot()

// Edit makes the exchanges of a request in its location, where the protocol has editors, use one.
func Edit(r *engine.Request, ed Editor) { r.SetCtx(editorSlot, ed) }

// EditorOf gives what Edit was given, or nil.
func EditorOf(r *engine.Request) Editor {
	ed, _ := r.Ctx(editorSlot).(Editor)
	return ed
}

// edit is what an exchange with an Editor has besides.
type edit struct {
	body  []byte // of the request, edited; all of it while the exchange is not spent
	done  bool   // that is its end
	over  bool   // the Editor has ended the exchange
	plain bool   // the response is not edited
}

// Answered reports whether the Editor has ended the exchange; what it answers was sent if the response's head was.
func (x *Exchange) Answered() bool { return x.edit.over && !x.gone }

// editFirst edits what is there of the request's body, before a server is looked for: its answer needs none.
func (x *Exchange) editFirst() bool {
	b := &x.R.Body
	if b.File != nil {
		return true // the second task reads it
	}
	end := !x.Unbuffered || b.Read
	if len(b.Mem) == 0 && !end {
		return true
	}
	out, ok := x.Editor.Request(x, x.w.Buffer(len(b.Mem)), b.Mem, end)
	x.edit.body, x.edit.done, x.edit.over = out, end, !ok
	return ok
}

// pumpEdited sends the rest of the request through the Editor.
func (x *Exchange) pumpEdited() uint32 {
	if p := x.pump.rest; len(p) > 0 || x.edit.done {
		if why := x.muxSend(p, x.edit.done); why != 0 || x.edit.done {
			return why
		}
	}
	if x.R.Body.File != nil {
		return x.pumpEditedFile()
	}
	d := x.R.Stream.(engine.Downstream)
	in := piece{end: x.R.Body.Read}
	defer in.drop(x)
	for {
		err := in.fill(x, d)
		if err != nil && err != syscall.EAGAIN {
			return x.clientFailed(err)
		}
		if x.pump.status != 0 {
			return failedInternally
		}
		if len(in.buf) > 0 || in.end {
			if why := x.sendEdited(in.buf, in.end); why != 0 || in.end {
				return why
			}
			in.drop(x)
		}
		if err == nil {
			continue
		}
		if why := x.waitBody(d); why != 0 {
			return why
		}
	}
}

// pumpEditedFile is pumpEdited for a body in a file.
func (x *Exchange) pumpEditedFile() uint32 {
	p, b := &x.pump, &x.R.Body
	buf := x.w.Buffer(16 << 10)
	defer x.w.FreeBuffer(buf)
	x.mux.spent = true // the Editor sees it once
	for {
		n, err := b.File.ReadAt(buf[:min(int64(cap(buf)), b.FileSize-p.fileAt)], p.fileAt)
		if n == 0 && err != nil && p.fileAt < b.FileSize {
			x.R.LogErr(nlog.Crit, err, "pread() \"%s\" failed", b.File.Name())
			p.status = 500
			return failedInternally
		}
		p.fileAt += int64(n)
		end := p.fileAt == b.FileSize
		if why := x.sendEdited(buf[:n], end); why != 0 || end {
			return why
		}
	}
}

// sendEdited edits a piece and sends what comes out. As long as all of that is kept the request can be sent again.
func (x *Exchange) sendEdited(p []byte, end bool) uint32 {
	e := &x.edit
	spent := x.mux.spent
	x.mux.spent = true // a try that ends meanwhile takes the piece with it
	out, ok := x.Editor.Request(x, x.w.Buffer(len(p)), p, end)
	defer func() { x.w.FreeBuffer(out) }()
	if !ok {
		if x.gone || x.pump.waiting != nil { // it was stopped
			return clientGone
		}
		e.over = true
		return onAnswered
	}
	if e.done = end; !spent && len(e.body)+len(out) <= keepBody {
		e.body = append(e.body, out...)
		x.mux.spent = false
	}
	if len(out) == 0 && !end {
		return 0
	}
	return x.muxSend(out, end)
}

// editHead prepares the response's head for a body that is edited.
func (x *Exchange) editHead() {
	o := &x.R.Out
	x.edit.plain = !x.Editor.Head(x)
	switch {
	case x.edit.plain:
	case x.mux.stream.HeadOnly():
		x.edit.plain = true
		o.List = x.Editor.Trailers(o.List)
	default:
		o.ContentLength = -1
	}
}

// relayEdited passes the body on through the Editor.
func (x *Exchange) relayEdited() engine.Status {
	r, s := x.R, x.mux.stream
	obs, _ := x.P.(Observer)
	var out []byte
	defer func() { x.w.FreeBuffer(out) }()
	for {
		if x.edit.over {
			return x.answer(nil)
		}
		if e := s.Err(); e != nil && e.Invalid {
			return x.muxBroken(e)
		}
		p, end := s.Peek(), s.EndSeen()
		if len(p) > 0 || end {
			t := x.state()
			t.Received += int64(len(p))
			t.Length += int64(len(p))
			if obs != nil && len(p) > 0 {
				obs.Received(x, p)
			}
			if out == nil {
				out = x.w.Buffer(len(p))
			}
			var ok bool
			out, ok = x.Editor.Response(x, out[:0], p, end)
			switch {
			case x.gone:
				return x.broken(clientGone)
			case !ok:
				return x.answer(out)
			case end:
				return x.lastMux(out)
			}
			s.Consume(len(p))
			if len(out) > 0 && r.Output(&engine.Chunk{Data: out}) != nil {
				return engine.Error
			}
			if len(s.Peek()) > 0 && r.Pending() == 0 {
				continue
			}
		} else if e := s.Err(); e != nil {
			return x.muxBroken(e)
		}
		if r.Pending() > 0 {
			if r.Stream.Flush(r) != nil {
				return engine.Error
			}
			x.action(toClient)
			if r.Drain(0) != nil {
				return engine.Error
			}
		}
		if len(s.Peek()) > 0 || s.EndSeen() || s.Err() != nil || x.edit.over {
			continue
		}
		x.w.FreeBuffer(out) // a stream may be silent for long
		out = nil
		x.action(readingBody)
		switch why := x.waitMux(false); why {
		case 0:
		case onAnswered:
		case onDeadline:
			return x.expire()
		default:
			return x.broken(why)
		}
	}
}

// answer ends a response that has begun with what the Editor says; p is what has come before that.
func (x *Exchange) answer(p []byte) engine.Status {
	x.edit.over = true
	if x.gone {
		return x.broken(clientGone)
	}
	x.stopPump()
	body, trailers := x.Editor.Answer()
	x.closeConn()
	x.Trailers = append(x.Trailers[:0], trailers...)
	return x.last(append(p, body...))
}

// stopEditor ends what the Editor does for the exchange's tasks. It reports whether that has woken t.
func (x *Exchange) stopEditor(t *netio.Task) bool {
	return x.Editor != nil && x.Editor.Stop() == t && t != nil
}
