package relay

import (
	"strconv"

	"moongate/internal/engine"
	"moongate/internal/h2client"
)

// Try is one try to get a response: what $upstream_addr and its like list.
type Try struct {
	Peer    string // "" between the tries of one exchange and the next's
	Status  int
	Connect int64 // nanoseconds; -1: it did not come to that
	Header  int64
	Whole   int64
	// Bytes behind the head, those of chunks' framing among them, and all that were received and sent.
	Length, Received, Sent int64
}

// record is all exchanges of a request. It outlives internal redirects.
type record struct {
	r     *engine.Request
	tries []Try
	last  *Exchange
	free  func() // given to Request.Cleanup
	next  *record
}

// pools is a worker's free lists.
type pools struct {
	records   *record
	exchanges *Exchange
	env       *h2client.Env
}

func poolsOf(w *engine.Worker) *pools {
	p, _ := w.Values[workerSlot].(*pools)
	if p == nil {
		p = &pools{}
		w.Values[workerSlot] = p
	}
	return p
}

// recordOf finds or makes the record of a request.
func recordOf(r *engine.Request) *record {
	if rec, ok := r.Upstream.(*record); ok {
		return rec
	}
	p := poolsOf(r.W)
	rec := p.records
	if rec == nil {
		rec = &record{}
		rec.free = rec.release
	} else {
		p.records = rec.next
	}
	rec.r = r
	r.Upstream = rec
	r.Cleanup(rec.free)
	return rec
}

// release recycles the record and its exchanges when the request has ended.
func (rec *record) release() {
	p := poolsOf(rec.r.W)
	for x := rec.last; x != nil; {
		next := x.prev
		x.recycle(p)
		x = next
	}
	rec.last, rec.r = nil, nil
	rec.tries = rec.tries[:0]
	rec.next = p.records
	p.records = rec
}

// Tries lists the tries of a request's exchanges; nil when there were none.
func Tries(r *engine.Request) []Try {
	if rec, ok := r.Upstream.(*record); ok {
		return rec.tries
	}
	return nil
}

// Of gives the newest exchange of a request, nil when there is none.
func Of(r *engine.Request) *Exchange {
	if rec, ok := r.Upstream.(*record); ok {
		return rec.last
	}
	return nil
}

// AppendLog appends the server in use.
func (rec *record) AppendLog(dst []byte) []byte {
	x := rec.last
	if x == nil || x.peer == "" {
		return dst
	}
	dst = append(append(append(dst, ", upstream: \""...), x.Scheme...), x.peer...)
	if len(x.peer) > 5 && x.peer[:5] == "unix:" {
		dst = append(dst, ':')
	}
	return append(append(dst, x.URI...), '"')
}

// List joins a value of every try as nginx does: ", " between tries, " : " between exchanges. ok is false when there
// was none.
func List(r *engine.Request, add func(dst []byte, t *Try) []byte) (val []byte, ok bool) {
	tries := Tries(r)
	if len(tries) == 0 {
		return nil, false
	}
	var b []byte
	if len(tries) == 1 {
		b = add(r.Alloc(len(tries[0].Peer) + 24)[:0], &tries[0])
		return b, true
	}
	for i := range tries {
		switch {
		case tries[i].Peer == "":
			b = append(b, " : "...)
			continue
		case i > 0 && tries[i-1].Peer != "":
			b = append(b, ", "...)
		}
		b = add(b, &tries[i])
	}
	return b, true
}

// AppendSeconds appends a time in nanoseconds as "0.123", or "-" when it is negative.
func AppendSeconds(dst []byte, ns int64) []byte {
	if ns < 0 {
		return append(dst, '-')
	}
	ms := ns / 1e6
	dst = strconv.AppendInt(dst, ms/1000, 10)
	ms %= 1000
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}
