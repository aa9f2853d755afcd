package luahost

import (
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// SendHead sends the response head if it has not been sent: Content-Type by default, HTTP/1.0 bodies are gathered to
// know their length. It reports OK, or the status that ends the handler.
func (x *Ctx) SendHead() engine.Status {
	r := x.R
	if r.HeaderSent {
		return engine.OK
	}
	if x.Refused != 0 {
		return x.Refused
	}
	if r.Out.Status == 0 {
		r.Out.Status = 200
	}
	if ConfOf(r.Scope).DefaultType.V && !x.TypeSet && r.Out.Status != 304 {
		r.SetContentType()
	}
	if !r.Body.Read && !r.Invite(false) {
		return engine.Error
	}
	st := r.SendHead()
	if st != engine.OK && st != engine.Error {
		x.Refused = st
	}
	if st != engine.OK || r.HeadOnly {
		x.SetFastOutput(false) // ngx.say has to tell that nothing is sent
	}
	return st
}

// Write sends bytes of the response; they are valid until it returns.
func (x *Ctx) Write(b []byte) engine.Status {
	r := x.R
	if x.EOF || r.Aborted {
		return engine.Error
	}
	if !r.HeaderSent && r.In.Version < http1.Version11 && ConfOf(r.Scope).HTTP10Buffering.V && r.Out.ContentLength < 0 && r.Method != http1.MethodHead {
		x.Buffering = true
		if r.Out.Status == 0 { // the head's turn would be now: what comes later does not change it, ngx.exit least of all
			r.Out.Status = 200
		}
		r.Logf(nlog.Debug, "lua buffering output bufs for the HTTP 1.0 request")
		x.buffered = append(x.buffered, b...)
		return engine.OK
	}
	if st := x.SendHead(); st != engine.OK {
		return st
	}
	if len(b) == 0 {
		return engine.OK
	}
	if r.Output(&engine.Chunk{Data: b}) != nil {
		return engine.Error
	}
	return engine.OK
}

// SendLast ends the response.
func (x *Ctx) SendLast() engine.Status {
	r := x.R
	if x.EOF || r.LastSent {
		return engine.OK
	}
	r.DiscardBody() // as in nginx a body that nobody has read is not wanted any more
	if x.Buffering && !r.HeaderSent {
		b := x.buffered
		x.buffered, x.Buffering = b[:0], false
		r.Out.ContentLength = int64(len(b))
		if st := x.SendHead(); st != engine.OK {
			return st
		}
		x.setEOF()
		if r.HeadOnly {
			return engine.OK
		}
		if r.Output(&engine.Chunk{Data: b, Last: true}) != nil {
			return engine.Error
		}
		return engine.OK
	}
	if st := x.SendHead(); st != engine.OK {
		return st
	}
	x.setEOF()
	if r.HeadOnly {
		return engine.OK
	}
	if r.Output(&engine.Chunk{Last: true}) != nil {
		return engine.Error
	}
	return engine.OK
}

// setEOF notes that the response is over; ngx.say is to tell.
func (x *Ctx) setEOF() {
	x.EOF = true
	x.SetFastOutput(false)
}
