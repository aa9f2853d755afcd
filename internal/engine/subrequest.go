package engine

import (
	"moongate/internal/base/nlog"
	"moongate/internal/http1"
)

// Limits of subrequests, as nginx's.
const (
	maxSubrequests = 50
	maxSubDepth    = 51
)

// SubOptions says what a subrequest is made of; zero values inherit.
type SubOptions struct {
	Method     http1.Method // 0: GET
	MethodName []byte
	Body       []byte // with HasBody
	HasBody    bool
	// KeepBody lets the subrequest see the parent's body (echo_subrequest without body does not).
	KeepBody bool
	// ShareVars makes the subrequest use the parent's variables; otherwise it gets a copy when CopyVars, else none.
	ShareVars, CopyVars bool
	// Capture keeps the response in memory instead of sending it within the parent's; Discard keeps its head only.
	Capture, Discard bool
	// Clone makes the subrequest begin where its parent is: with the content handler of its location, and its method.
	Clone bool
	// Prepare runs before the phases (set variables, ctx).
	Prepare func(sub *Request)
	// Ended is told the end of a subrequest in the background.
	Ended func(sub *Request)

	beside bool
}

// Captured is the response of a captured subrequest; it is a part of the request, and gone with Release.
type Captured struct {
	Req       *Request // its headers; valid until Release
	Body      []byte
	Truncated bool

	shared bool // the variables are the parent's
	vars   []varSlot
	gen    uint32
}

// Subrequest serves uri as a child of r, to its end: the caller parks with it. The child's output goes into the
// response of r at this point, or into memory with Capture. Close the result with Release.
func (r *Request) Subrequest(uri, args []byte, o *SubOptions) (*Captured, Status) {
	if r.Main.Subrequests++; r.Main.Subrequests > maxSubrequests {
		r.Main.Subrequests--
	}
	if r.subDepth+1 > maxSubDepth {
		who := ""
		if o.Capture {
			who = "lua " // as OpenResty has it
		}
		r.Logf(nlog.Error, "%ssubrequests cycle while processing \"%s\"", who, uri)
		return nil, Error
	}
	s := r.W.newRequest()
	s.Conn, s.H, s.Stream, s.Main, s.Parent = r.Conn, r.H, r.Stream, r.Main, r
	s.Server, s.Start, s.StartWall = r.Server, r.W.Loop.Now(), r.W.Loop.Wall()
	s.In = r.In
	s.begin()
	s.subDepth = r.subDepth + 1
	s.Conn.Action = "" // what an upstream's end left there; nginx forgets it here, too
	s.Internal = true
	s.URI, s.Args = uri, args
	s.Method, s.MethodName = http1.MethodGet, nameGET
	if o.Method != 0 {
		s.Method, s.MethodName = o.Method, o.MethodName
	}
	s.lendBody(r, o)
	out := &s.captureInto
	*out = Captured{Req: s, Body: out.Body[:0], Truncated: o.Capture}
	if o.ShareVars {
		out.shared, out.vars, out.gen = true, s.vars, s.gen
		s.shareVars(r)
	} else if o.CopyVars {
		copy(s.vars, r.vars)
		s.gen = r.gen
	}
	switch {
	case o.Capture:
		s.sink = (*memorySink)(out)
	case o.Discard:
		s.sink = discardSink{}
	default:
		s.sink = parentSink{}
	}
	s.Loc = s.Server.Loc
	s.Scope, s.filters, s.Logger = s.Loc.Scope, s.Loc.filters, s.Loc.Core.logger
	from := ServerRewrite
	if o.Clone {
		from = Content
		s.Loc, s.Scope, s.filters, s.Logger = r.Loc, r.Scope, r.filters, r.Logger
		s.Content, s.Method, s.MethodName = r.Content, r.Method, r.MethodName
		s.ValidUnparsed, s.ValidLocation = r.ValidUnparsed, r.ValidLocation
		s.Captures, s.CaptureSubj = append(s.Captures[:0], r.Captures...), s.Copy(r.CaptureSubj)
	}
	s.Beside = o.beside
	if o.Prepare != nil {
		o.Prepare(s)
	}
	func() {
		defer s.rescue()
		s.serve(from)
	}()
	if s.Core().LogSubrequest.V && !s.NoLog {
		s.RunLog()
	}
	return out, OK
}

// lendBody gives the child its request body: one of its own, that of r, or none.
func (s *Request) lendBody(r *Request, o *SubOptions) {
	s.Body.Read = true
	switch {
	case o.HasBody:
		s.Body.Mem = o.Body
		s.ContentLength = int64(len(o.Body))
	case o.KeepBody:
		s.Body.Mem = r.Body.Mem
		s.Body.File, s.Body.FileSize, s.Body.shared = r.Body.File, r.Body.FileSize, true
		s.ContentLength = r.ContentLength
	}
}

// Background serves uri as a child of r beside it, and drops the answer. The request is not logged and recycled before all
// its children have ended, and neither is r when it is a subrequest itself. uri and args must live as long as r.
func (r *Request) Background(uri, args []byte, o SubOptions) {
	o.Discard, o.beside = true, true
	r.Main.background++
	for s := r; s.Parent != nil; s = s.Parent {
		s.beside++
	}
	r.W.Loop.Go(func() {
		if sub, st := r.Subrequest(uri, args, &o); st == OK {
			if o.Ended != nil {
				o.Ended(sub.Req)
			}
			sub.Release()
		}
		m := r.Main
		r.endBeside()
		if m.background--; m.background == 0 && m.waiter != nil {
			r.W.Loop.Ready(m.waiter)
		}
	})
}

// endBeside recycles the subrequests that have waited for a child beside them.
func (r *Request) endBeside() {
	for s := r; s.Parent != nil; {
		p := s.Parent
		if s.beside--; s.beside == 0 && s.released {
			s.captureInto.Release()
		}
		s = p
	}
}

// waitBackground parks until the children beside the request have ended.
func (r *Request) waitBackground() {
	for r.background > 0 {
		r.waiter = r.W.Loop.Current()
		r.W.Loop.Park(0)
	}
	r.waiter = nil
}

// maxKeptBody is the largest memory for a captured body that is kept for the next.
const maxKeptBody = 64 << 10

// Release recycles the subrequest; its headers and body are gone after it. What it has assigned to variables it shares
// with its parent stays.
func (c *Captured) Release() {
	r := c.Req
	if r == nil {
		return
	}
	if r.beside > 0 {
		r.released = true
		return
	}
	c.Req = nil
	if c.shared {
		r.vars, r.gen = c.vars, c.gen
		c.shared, c.vars = false, nil
		r.Parent.mem.adopt(&r.mem)
	}
	if cap(c.Body) > maxKeptBody {
		c.Body = nil
	}
	r.W.freeRequest(r)
}

// parentSink joins a subrequest's output into its parent's response.
type parentSink struct{}

func (parentSink) head(r *Request, last bool) error { return nil }

func (parentSink) body(r *Request, c *Chunk) error {
	p := r.Parent
	if !p.HeaderSent {
		if st := p.SendHead(); st != OK {
			return ErrClientGone
		}
	}
	d := *c
	d.Last = false
	if d.Size() == 0 && !d.Flush {
		return nil
	}
	if p.Parent != nil {
		return p.toSink(&d)
	}
	if d.File != nil && p.UsesBody(&copyFilter) {
		return p.inPieces(&d, p, p.H.postpone)
	}
	return p.outputAfter(p.H.postpone, &d)
}

// memorySink keeps a subrequest's response.
type memorySink Captured

func (m *memorySink) head(r *Request, last bool) error { return nil }

func (m *memorySink) body(r *Request, c *Chunk) error {
	if c.Last {
		m.Truncated = false
	}
	if c.File != nil {
		at := len(m.Body)
		m.Body = append(m.Body, make([]byte, c.Len)...)
		var err error
		m.Body, err = r.ReadChunk(m.Body[:at], c)
		return err
	}
	m.Body = append(m.Body, c.Data...)
	return nil
}

// discardSink drops the body of a subrequest whose status and head are all that is asked for.
type discardSink struct{}

func (discardSink) head(*Request, bool) error   { return nil }
func (discardSink) body(*Request, *Chunk) error { return nil }

// Captured reports whether the response of r is kept from the client.
func (r *Request) Captured() bool { return r.captured() }

// captured reports whether the response of r is kept from the client.
func (r *Request) captured() bool {
	switch r.sink.(type) {
	case *memorySink, discardSink:
		return true
	}
	return false
}
