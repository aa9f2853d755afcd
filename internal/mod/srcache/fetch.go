package srcache

import (
	"strconv"
	"time"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

var slot = engine.NewSlot()

// state is what a request has to do with the cache. It is the worker's, lent to the request.
type state struct {
	asked, hit    bool
	storing, skip bool
	status        engine.Status // of the head that is to be stored
	fresh         int64         // the second until which the response is, 0: not known
	whole         []byte        // what is to be stored
	head          int           // the length of its head
	parser        http1.ResponseParser

	w       *engine.Worker
	next    *state
	end     func()
	prepare func(sub *engine.Request)
}

var workerSlot = engine.NewWorkerSlot()

func take(r *engine.Request) *state {
	s, _ := r.W.Values[workerSlot].(*state)
	if s == nil {
		s = &state{w: r.W}
		s.end, s.prepare = s.release, s.setLength
	} else {
		r.W.Values[workerSlot] = s.next
		s.next = nil
	}
	r.Cleanup(s.end)
	r.SetCtx(slot, s)
	return s
}

// keptBody is the size up to which a state keeps its memory.
const keptBody = 64 << 10

func (s *state) release() {
	body := s.whole[:0]
	if cap(body) > keptBody {
		body = nil
	}
	s.parser.Reset()
	next, _ := s.w.Values[workerSlot].(*state)
	*s = state{whole: body, parser: s.parser, w: s.w, end: s.end, prepare: s.prepare, next: next}
	s.w.Values[workerSlot] = s
}

func of(r *engine.Request) *state {
	s, _ := r.Ctx(slot).(*state)
	return s
}

// checked splits the arguments from the URI of a subrequest, unless there are others.
func checked(r *engine.Request, uri, args []byte) (path, query []byte, ok bool) {
	_, path, own, ok := http1.ParseUnsafeURI(r.Alloc(len(uri))[:0], uri)
	if !ok {
		r.Logf(nlog.Error, "unsafe URI \"%s\" was detected", uri)
		return nil, nil, false
	}
	if len(args) == 0 {
		args = own
	}
	return path, args, true
}

// said reports whether a condition holds.
func said(v []byte) bool { return len(v) > 0 && (len(v) != 1 || v[0] != '0') }

// fetch asks the cache, and answers when it has the response.
func fetch(r *engine.Request) engine.Status {
	if !r.IsMain() {
		return engine.Declined
	}
	c := loc.Of(r.Scope)
	if !c.takes(r.Method) {
		r.Logf(nlog.Debug, "srcache_fetch and srcache_store skipped due to request method %s", r.MethodName)
		return engine.Declined
	}
	if c.obeyRequest.V {
		if noCache, noStore := demands(r); noCache {
			r.Logf(nlog.Debug, "srcache_fetch skipped due to request headers \"Cache-Control: no-cache\" or \"Pragma: no-cache\"")
			if noStore {
				r.Logf(nlog.Debug, "srcache_store skipped due to request header \"Cache-Control: no-store\"")
				return engine.Declined
			}
			take(r)
			return engine.Declined
		}
	}
	s := take(r)
	if t := c.fetchSkip.V; t != nil {
		if v := t.Eval(r); said(v) {
			r.Logf(nlog.Debug, "srcache_fetch skipped due to the true value fed into srcache_fetch_skip: \"%s\"", v)
			return engine.Declined
		}
	}
	k := c.fetch.V
	if k == nil {
		return engine.Declined
	}
	if st := r.ReadBody(); st != engine.OK {
		return st
	}
	uri, args, ok := k.address(r)
	if !ok {
		return engine.Error
	}
	s.asked = true
	sub, st := r.Subrequest(uri, args, &engine.SubOptions{Method: k.method, MethodName: k.name, Capture: true})
	if st != engine.OK {
		return st
	}
	defer sub.Release()
	if !s.found(r, c, sub) {
		return engine.Declined
	}
	s.hit = true
	return s.answer(r, sub.Body[s.head:])
}

// demands tells what the request's headers forbid.
func demands(r *engine.Request) (noCache, noStore bool) {
	for i := range r.In.List {
		switch h := &r.In.List[i]; h.ID {
		case http1.HCacheControl:
			noStore = noStore || ascii.ContainsFold(h.Value, "no-store")
			noCache = noCache || ascii.ContainsFold(h.Value, "no-cache")
		case http1.HPragma:
			noCache = noCache || ascii.ContainsFold(h.Value, "no-cache")
		}
	}
	return noCache, noStore
}

// found reads the head that the cache has given, if it has.
func (s *state) found(r *engine.Request, c *config, sub *engine.Captured) bool {
	st := sub.Req.LogStatus()
	r.Logf(nlog.Debug, "srcache_fetch: subrequest returned status %d", st)
	if st >= 300 {
		return false
	}
	if st == 200 {
		r.Logf(nlog.Debug, "srcache_fetch decides to send the response in cache")
		n, state := s.parser.Parse(sub.Body, 0)
		s.head = n
		switch state {
		case http1.ResponseDone:
			if !s.fits(r, int(c.headerBuffer.V)) {
				return false
			}
		case http1.ResponseMore:
			r.Logf(nlog.Error, "srcache_fetch: cache sent truncated status line or headers")
			return false
		case http1.ResponseNoHeader:
			r.Logf(nlog.Error, "srcache_fetch: cache sent invalid status line")
			return false
		default:
			r.Logf(nlog.Error, "srcache_fetch: cache sent invalid header")
			return false
		}
	}
	if st != 200 || sub.Truncated {
		r.Logf(nlog.Error, "srcache_fetch: cache sent truncated response body")
		return false
	}
	return true
}

// fits reports whether all header lines are small enough.
func (s *state) fits(r *engine.Request, most int) bool {
	for i := range s.parser.List {
		if h := &s.parser.List[i]; len(h.Name)+len(": ")+len(h.Value)+len("\r\n") > most {
			r.Logf(nlog.Error, "srcache_fetch: header buffer overflown (maybe you should consider increasing srcache_header_buffer_size?)")
			return false
		}
	}
	return true
}

// allowRanges is the header that keeps in the cache that parts of the response may be sent.
const allowRanges = "X-SRCache-Allow-Ranges"

// answer sends the cached response.
func (s *state) answer(r *engine.Request, body []byte) engine.Status {
	o := &r.Out
	o.Status = engine.Status(s.parser.Status)
	for i := range s.parser.List {
		h := &s.parser.List[i]
		switch {
		case h.ID == http1.HContentLength || h.ID == http1.HTransferEncoding || h.ID == http1.HConnection || h.ID == http1.HKeepAlive:
			continue
		case h.ID == http1.HContentType:
			o.ContentType = r.Copy(h.Value)
			o.Charset = http1.CharsetParam(o.ContentType)
			continue
		case h.ID == http1.HLastModified:
			if t, ok := http1.ParseTime(h.Value); ok {
				o.LastModified = t
			}
		case h.ID == http1.HUnknown && ascii.EqualFold(h.Name, allowRanges):
			o.AcceptRanges = true
			continue
		}
		r.AddHeader(h.ID, r.Copy(h.Name), r.Copy(h.Value))
	}
	if st := r.SendText(body); st != engine.OK {
		return st
	}
	return engine.Done
}

func expireText(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	s, c := of(r), loc.Of(r.Scope)
	if s == nil || !s.storing {
		return nil, false
	}
	n := int64(c.expire.V / time.Second)
	if s.fresh != 0 {
		n = s.fresh - r.W.Loop.Wall()/1e9
	}
	if most := int64(c.maxExpire.V / time.Second); most > 0 {
		n = min(n, most)
	}
	return strconv.AppendInt(r.Alloc(20)[:0], n, 10), true
}

var (
	wordHit    = []byte("HIT")
	wordMiss   = []byte("MISS")
	wordBypass = []byte("BYPASS")
	wordStore  = []byte("STORE")
)

func fetchStatus(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	switch s := of(r); {
	case s == nil || !s.asked:
		return wordBypass, true
	case s.hit:
		return wordHit, true
	}
	return wordMiss, true
}

func storeStatus(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if s := of(r); s != nil && s.storing {
		return wordStore, true
	}
	return wordBypass, true
}
