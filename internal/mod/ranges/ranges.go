// Package ranges answers requests for parts of a response (RFC 9110 14): one part as it is, several as a multipart body.
//
// It is two filters: Header stands near the client and decides, when all other filters have said whether the body is what
// the handler made (Out.AcceptRanges); Body stands above all others and cuts what the handler gives.
package ranges

import (
	"bytes"
	"strconv"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// Header decides whether parts are sent; Body cuts them out.
var (
	Header = engine.Filter{Name: "range_header", Header: decide}
	Body   = engine.Filter{Name: "range_body", Body: cut}
)

// state is what a response keeps for its body; it is used again.
type state struct {
	w      *engine.Worker
	next   *state
	ranges []http1.Range
	offset int64    // of the body, so far
	total  int64    // length of the whole
	part   []byte   // of several: what stands before each, up to the numbers
	heads  [][]byte // the numbers and the empty line, for each
}

var (
	slot     = engine.NewSlot()
	freeSlot = engine.NewWorkerSlot()
)

func newState(w *engine.Worker) *state {
	s, _ := w.Values[freeSlot].(*state)
	if s == nil {
		return &state{w: w}
	}
	w.Values[freeSlot] = s.next
	return s
}

// ReleaseCtx recycles the state; the engine calls it when the request ends.
func (s *state) ReleaseCtx() {
	clear(s.heads)
	next, _ := s.w.Values[freeSlot].(*state)
	*s = state{w: s.w, next: next, ranges: s.ranges[:0], heads: s.heads[:0]}
	s.w.Values[freeSlot] = s
}

var (
	nameAcceptRanges = []byte("Accept-Ranges")
	nameContentRange = []byte("Content-Range")
	unitBytes        = []byte("bytes")
)

func decide(r *engine.Request) engine.Status {
	if !r.Out.AcceptRanges || r.Out.Status != 200 || r.Out.ContentLength == -1 || r.In.Version < http1.Version10 || !r.IsMain() && !r.SubRanges {
		return engine.OK
	}
	limit := r.Core().MaxRanges.V
	if limit == 0 {
		return engine.OK
	}
	v := r.In.Get(http1.HRange)
	if len(v) < 7 || !ascii.HasPrefixFold(v, "bytes=") || !ifRange(r) {
		return accept(r)
	}
	if r.SingleRange {
		limit = 1
	}
	s := newState(r.W)
	ranges, res := http1.ParseRange(s.ranges, v, r.Out.ContentLength, limit)
	s.ranges = ranges
	if res != http1.RangeOK {
		s.ReleaseCtx()
	}
	switch res {
	case http1.RangeOK:
	case http1.RangeFailed:
		r.DelHeaderOut(http1.HContentRange)
		b := append(r.Alloc(32)[:0], "bytes */"...)
		r.AddHeader(http1.HContentRange, nameContentRange, strconv.AppendInt(b, r.Out.ContentLength, 10))
		r.Out.Status = 416
		r.Out.ContentLength = -1
		return 416
	default:
		return accept(r)
	}
	r.Out.Status, r.Out.StatusLine = 206, nil
	s.offset, s.total = r.Out.ContentOffset, r.Out.ContentLength
	r.SetCtx(slot, s)
	r.DelHeaderOut(http1.HContentRange)
	if len(s.ranges) == 1 {
		one(r, s.ranges[0])
	} else {
		s.several(r)
	}
	r.UseBody(&Body)
	return engine.OK
}

func accept(r *engine.Request) engine.Status {
	r.AddHeader(http1.HAcceptRanges, nameAcceptRanges, unitBytes)
	return engine.OK
}

func ifRange(r *engine.Request) bool {
	if !r.In.Has(http1.HIfRange) {
		return true
	}
	var etag []byte
	if h := r.HeaderOut(http1.HETag); h != nil {
		etag = h.Value
	}
	return http1.IfRange(r.In.Get(http1.HIfRange), etag, r.Out.LastModified)
}

// appendRange appends "start-end/total".
func appendRange(b []byte, x http1.Range, total int64) []byte {
	b = append(strconv.AppendInt(b, x.Start, 10), '-')
	b = append(strconv.AppendInt(b, x.End-1, 10), '/')
	return strconv.AppendInt(b, total, 10)
}

const maxNumbers = 3*20 + 6

// one makes the head of a response with a single part.
func one(r *engine.Request, x http1.Range) {
	b := append(r.Alloc(6 + maxNumbers)[:0], "bytes "...)
	r.AddHeader(http1.HContentRange, nameContentRange, appendRange(b, x, r.Out.ContentLength))
	r.Out.ContentLength = x.End - x.Start
	r.Out.ContentOffset = x.Start
}

// boundaryLen is the length of "\r\n--" and a boundary.
const boundaryLen = 4 + 20

// several makes the head of a multipart response, and the heads of its parts.
func (s *state) several(r *engine.Request) {
	o := &r.Out
	p := append(r.Alloc(100 + len(o.ContentType) + len(o.Charset))[:0], "\r\n--"...)
	p = ascii.AppendPadded(p, r.W.Plane.NextTemp(), 20)
	if len(o.ContentType) > 0 {
		p = append(append(p, "\r\nContent-Type: "...), o.ContentType...)
		if len(o.Charset) > 0 && bytes.IndexByte(o.ContentType, ';') < 0 {
			p = append(append(p, "; charset="...), o.Charset...)
		}
	}
	s.part = append(p, "\r\nContent-Range: bytes "...)
	o.ContentType = append(append(r.Alloc(64)[:0], "multipart/byteranges; boundary="...), s.part[4:boundaryLen]...)
	o.Charset = nil
	o.ContentLength = boundaryLen + 4
	for _, x := range s.ranges {
		h := append(appendRange(r.Alloc(maxNumbers)[:0], x, s.total), "\r\n\r\n"...)
		s.heads = append(s.heads, h)
		o.ContentLength += int64(len(s.part)+len(h)) + x.End - x.Start
	}
}

func cut(r *engine.Request, c *engine.Chunk) error {
	s, _ := r.Ctx(slot).(*state)
	if s == nil {
		return r.Next(c)
	}
	if len(s.ranges) == 1 {
		return s.cutOne(r, c)
	}
	return s.cutSeveral(r, c)
}

// cutOne passes on what of a chunk lies in the range; the chunk that reaches its end is the last.
func (s *state) cutOne(r *engine.Request, c *engine.Chunk) error {
	x := s.ranges[0]
	start := s.offset
	end := start + c.Size()
	s.offset = end
	if start == end { // nothing but a mark
		if x.End <= start {
			return nil
		}
		return r.Next(c)
	}
	if x.End <= start {
		return nil
	}
	last := x.End <= end
	if x.Start >= end {
		return nil
	}
	slice(c, max(x.Start-start, 0), min(x.End, end)-start)
	c.Last = last
	return r.Next(c)
}

// slice narrows a chunk.
func slice(c *engine.Chunk, from, to int64) {
	if c.File != nil {
		c.Off += from
		c.Len = to - from
	} else {
		c.Data = c.Data[from:to]
	}
}

// cutSeveral makes the multipart body; that needs the whole in one chunk.
func (s *state) cutSeveral(r *engine.Request, c *engine.Chunk) error {
	size := c.Size()
	if size == 0 {
		if s.offset != 0 { // the end was sent with the parts
			return nil
		}
		return r.Next(c)
	}
	overlaps := s.offset != 0
	for _, x := range s.ranges {
		overlaps = overlaps || !c.Last && x.End > size
	}
	if overlaps {
		r.Logf(nlog.Alert, "range in overlapped buffers")
		return engine.ErrClientGone
	}
	s.offset = size
	for i, x := range s.ranges {
		if err := r.Next(&engine.Chunk{Data: s.part}); err != nil {
			return err
		}
		if err := r.Next(&engine.Chunk{Data: s.heads[i]}); err != nil {
			return err
		}
		p := *c
		slice(&p, x.Start, x.End)
		p.Last, p.Flush = false, false
		if err := r.Next(&p); err != nil {
			return err
		}
	}
	end := append(append(r.Alloc(boundaryLen + 4)[:0], s.part[:boundaryLen]...), "--\r\n"...)
	return r.Next(&engine.Chunk{Data: end, Last: true})
}
