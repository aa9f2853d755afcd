// Package slice makes one response of several smaller ones (slice): the location is asked for a part at a time, each by a
// subrequest of its own, so that parts can be cached whatever ranges clients ask for. The location passes $slice_range on.
package slice

import (
	"bytes"
	"strconv"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct{ size conf.Opt[int64] }

var loc = conf.NewLevel[config](conf.KindLocation)

// Module is the slice directive and its variable.
var Module = engine.Module{
	Module: conf.Module{Name: "slice", Directives: []conf.Directive{
		{Name: "slice", In: conf.HTTPServerLocation, Default: "0", Set: conf.Slot(loc, conf.Size, func(c *config) *conf.Opt[int64] { return &c.size }),
			Doc: "The size of the parts in which a response is asked for; 0 asks for the whole."},
	}},
	Vars: []engine.Var{{Name: "slice_range", NoCache: true, Get: rangeText, Doc: "The part that is asked for, as the value of a Range header."}},
}

// Filter stands above all others: it sees what the location gives.
var Filter = engine.Filter{
	Name:   "slice",
	Active: func(s *conf.Scope) bool { return loc.Of(s).size.V > 0 },
	Header: check, Body: collect,
}

var slot = engine.NewSlot()

// state is a response in parts; the main request shares it with the subrequests.
type state struct {
	start, end int64 // of what is still to be asked for; the end is known with the first part
	total      int64
	text       []byte
	etag       []byte
	ready      bool // end is known
	active     bool // the part under way has come
	failed     bool
}

func (s *state) setRange(r *engine.Request, size int64) {
	b := append(r.Main.Alloc(48)[:0], "bytes="...)
	b = append(strconv.AppendInt(b, s.start, 10), '-')
	s.text = strconv.AppendInt(b, s.start+size-1, 10)
}

func rangeText(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	s, _ := r.Ctx(slot).(*state)
	if s == nil {
		size := loc.Of(r.Scope).size.V
		if !r.IsMain() || r.Out.Status != 0 || size == 0 {
			return nil, false
		}
		s = &state{start: first(r) / size * size}
		s.setRange(r, size)
		r.SetCtx(slot, s)
	}
	return s.text, true
}

// first is where the client's range begins.
func first(r *engine.Request) int64 {
	v := r.In.Get(http1.HRange)
	if r.In.Has(http1.HIfRange) || len(v) < 7 || !ascii.HasPrefixFold(v, "bytes=") || bytes.IndexByte(v, ',') >= 0 {
		return 0
	}
	v = bytes.TrimLeft(v[len("bytes="):], " ")
	n := 0
	for n < len(v) && ascii.IsDigit(v[n]) {
		n++
	}
	start, _ := ascii.ParseInt(v[:n]) // none, or too large: from the beginning
	return start
}

// check makes of the head of a part that of the whole.
func check(r *engine.Request) engine.Status {
	s, _ := r.Ctx(slot).(*state)
	if s == nil {
		return engine.OK
	}
	fail := func(format string, args ...any) engine.Status {
		s.failed = true
		r.Logf(nlog.Error, format, args...)
		return engine.Error
	}
	o := &r.Out
	if o.Status != 206 {
		if r.IsMain() {
			r.SetCtx(slot, nil)
			return engine.OK
		}
		return fail("unexpected status code %d in slice response", int(o.Status))
	}
	h := r.HeaderOut(http1.HETag)
	if len(s.etag) > 0 && (h == nil || !bytes.Equal(h.Value, s.etag)) {
		return fail("etag mismatch in slice response")
	}
	if h != nil && len(s.etag) == 0 {
		s.etag = r.Main.Copy(h.Value)
	}
	cr := r.HeaderOut(http1.HContentRange)
	if cr == nil {
		return fail("invalid range in slice response")
	}
	start, end, total, ok := contentRange(cr.Value)
	switch {
	case !ok:
		return fail("invalid range in slice response")
	case total == -1:
		return fail("no complete length in slice response")
	}
	if want := min(start+loc.Of(r.Scope).size.V, total); start != s.start || end != want {
		return fail("unexpected range in slice response: %d-%d, expected: %d-%d", start, end, s.start, want)
	}
	s.start, s.total, s.active = end, total, true
	o.Status, o.StatusLine = 200, nil
	o.ContentLength, o.ContentOffset = total, start
	cr.Name = nil
	r.DelHeaderOut(http1.HAcceptRanges)
	o.AcceptRanges, r.SubRanges, r.SingleRange = true, true, true
	if r.IsMain() {
		r.UseOwnBody()
	}
	return engine.OK
}

// contentRange reads "bytes start-last/total" (RFC 9110 14.4); end is last+1, total -1 for "*".
func contentRange(v []byte) (start, end, total int64, ok bool) {
	v, ok = bytes.CutPrefix(v, []byte("bytes "))
	if !ok {
		return 0, 0, 0, false
	}
	number := func(after byte) int64 {
		v = bytes.TrimLeft(v, " ")
		n := 0
		for n < len(v) && ascii.IsDigit(v[n]) {
			n++
		}
		x, good := ascii.ParseInt(v[:n])
		v = bytes.TrimLeft(v[n:], " ")
		switch {
		case !good:
			ok = false
		case after == 0:
			ok = ok && len(v) == 0
		case len(v) == 0 || v[0] != after:
			ok = false
		default:
			v = v[1:]
		}
		return x
	}
	start = number('-')
	end = number('/') + 1
	if rest := bytes.Trim(v, " "); string(rest) == "*" {
		return start, end, -1, ok
	}
	return start, end, number(0), ok
}

// collect asks for the next parts when the one of the main request has been sent.
func collect(r *engine.Request, c *engine.Chunk) error {
	s, _ := r.Ctx(slot).(*state)
	if s == nil {
		return r.Next(c)
	}
	s.begin(r)
	last := c.Last
	c.Last = false
	if err := r.Next(c); err != nil || !last {
		return err
	}
	if !r.MayPark() {
		r.WhenFree(func() {
			if r.Output(&engine.Chunk{Last: true}) != nil {
				r.Aborted = true
			}
		})
		return nil
	}
	for s.start < s.end {
		if err := s.ask(r); err != nil {
			return err
		}
	}
	r.SetCtx(slot, nil)
	return r.Next(&engine.Chunk{Last: true})
}

// begin finds out where to stop, now that the client's range has been applied to the head.
func (s *state) begin(r *engine.Request) {
	if s.ready {
		return
	}
	s.ready = true
	o := &r.Out
	if o.Status != 206 {
		s.end = s.total
		return
	}
	size := loc.Of(r.Scope).size.V
	if s.start+size <= o.ContentOffset {
		s.start = o.ContentOffset / size * size
	}
	s.end = o.ContentOffset + o.ContentLength
}

// ask serves the subrequest for the next part; what it answers joins the response.
func (s *state) ask(r *engine.Request) error {
	s.active = false
	s.setRange(r, loc.Of(r.Scope).size.V)
	if r.Logger.On(nlog.Debug) {
		r.Logf(nlog.Debug, "http slice subrequest: \"%s\"", s.text)
	}
	sub, st := r.Subrequest(r.URI, r.Args, &engine.SubOptions{Clone: true, KeepBody: true, ShareVars: true, Prepare: func(sub *engine.Request) { sub.SetCtx(slot, s) }})
	if st != engine.OK {
		return engine.ErrClientGone
	}
	sub.Release()
	switch {
	case s.failed:
		return engine.ErrClientGone
	case !s.active:
		r.Logf(nlog.Error, "missing slice response")
		return engine.ErrClientGone
	}
	return r.Drain(engine.OutputLow)
}
