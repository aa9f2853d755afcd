package srcache

import (
	"bytes"
	"slices"
	"strconv"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// NewFilter makes the filter that gathers what is to be stored.
func NewFilter() *engine.Filter {
	f := &engine.Filter{Name: "srcache", InMemory: true, Body: gather, Active: func(s *conf.Scope) bool { return loc.Of(s).store.V != nil }}
	f.Header = func(r *engine.Request) engine.Status {
		s := of(r)
		if s == nil || s.hit || !s.wanted(r, loc.Of(r.Scope)) {
			return engine.OK
		}
		r.Logf(nlog.Debug, "srcache_store decides to store the response")
		s.storing, s.status = true, r.Out.Status
		s.begin(r, loc.Of(r.Scope))
		r.UseBody(f)
		return engine.OK
	}
	return f
}

// wanted reports whether a response is one to be stored, as far as its head tells.
func (s *state) wanted(r *engine.Request, c *config) bool {
	o := &r.Out
	if r.Method == http1.MethodHead || !c.takes(r.Method) {
		r.Logf(nlog.Debug, "srcache_store skipped due to request method %s", r.MethodName)
		return false
	}
	if h := r.HeaderOut(http1.HContentEncoding); h != nil && len(h.Value) > 0 && !c.ignoreEncoding.V {
		r.Logf(nlog.Warn, "srcache_store skipped due to response header \"Content-Encoding: %s\" (maybe you forgot to disable compression on the backend?)", h.Value)
		return false
	}
	if c.obey.V && s.forbidden(r, c) {
		r.Logf(nlog.Debug, "srcache_store skipped due to response header Cache-Control")
		return false
	}
	if s.skips(r, c, "fed into") {
		s.skip = true
		return false
	}
	if !slices.Contains(c.statuses, int(o.Status)) {
		r.Logf(nlog.Debug, "srcache_store bypassed because of unmatched status code %d", int(o.Status))
		return false
	}
	const aboutHead = 15 // as OpenResty guesses
	if most := c.maxSize.V; most != 0 && o.ContentLength > 0 && o.ContentLength+aboutHead > most {
		r.Logf(nlog.Debug, "srcache_store bypassed because of too large Content-Length response header: %d (limit is: %d)", o.ContentLength, most)
		return false
	}
	return true
}

func (s *state) skips(r *engine.Request, c *config, how string) bool {
	t := c.storeSkip.V
	if t == nil {
		return false
	}
	v := t.Eval(r)
	if !said(v) {
		return false
	}
	r.Logf(nlog.Debug, "srcache_store skipped due to the true value %s srcache_store_skip: \"%s\"", how, v)
	return true
}

// forbidden reports whether Cache-Control or Expires of a response keep it from the cache; it notes how long it is fresh.
func (s *state) forbidden(r *engine.Request, c *config) bool {
	now := r.W.Loop.Wall() / 1e9
	for i := range r.Out.List {
		h := &r.Out.List[i]
		if h.ID != http1.HCacheControl || h.Name == nil {
			continue
		}
		switch v := h.Value; {
		case !c.private.V && ascii.ContainsFold(v, "private"),
			!c.noStore.V && ascii.ContainsFold(v, "no-store"),
			!c.noCache.V && ascii.ContainsFold(v, "no-cache"):
			return true
		case s.fresh == 0:
			age, ok, has := maxAge(v)
			if has && (!ok || age == 0) {
				return true
			}
			if has {
				s.fresh = now + age
			}
		}
	}
	if s.fresh != 0 {
		return false
	}
	h := r.HeaderOut(http1.HExpires)
	if h == nil {
		return false
	}
	t, ok := http1.ParseTime(h.Value)
	if !ok || t <= now {
		return true
	}
	s.fresh = t
	return false
}

// maxAge reads the number of max-age in a Cache-Control.
func maxAge(v []byte) (age int64, ok, has bool) {
	const word = "max-age="
	i := ascii.IndexFold(v, word)
	if i < 0 {
		return 0, false, false
	}
	v = v[i+len(word):]
	n := 0
	for n < len(v) && v[n] != ',' && v[n] != ';' && v[n] != ' ' {
		n++
	}
	age, ok = ascii.ParseInt(v[:n])
	return age, ok, true
}

// begin writes the head.
func (s *state) begin(r *engine.Request, c *config) {
	o := &r.Out
	b := s.whole[:0]
	if o.StatusLine != nil {
		b = append(append(append(b, "HTTP/1.1 "...), o.StatusLine...), '\r', '\n')
	} else {
		b = http1.AppendStatusLine(b, http1.Version11, int(o.Status), "")
	}
	if v := o.ContentType; !c.hidesType && len(v) > 0 {
		b = append(append(b, "Content-Type: "...), v...)
		if len(o.Charset) > 0 && bytes.IndexByte(v, ';') < 0 {
			b = append(append(b, "; charset="...), o.Charset...)
		}
		b = append(b, '\r', '\n')
	}
	if o.LastModified != -1 && o.Status != 200 && o.Status != 206 && o.Status != 304 && o.Status != 204 {
		o.LastModified = -1
		r.DelHeaderOut(http1.HLastModified)
	}
	if o.LastModified != -1 && !c.hidesChange && r.HeaderOut(http1.HLastModified) == nil {
		b = append(http1.AppendTime(append(b, "Last-Modified: "...), o.LastModified), '\r', '\n')
	}
	if o.AcceptRanges {
		b = append(b, allowRanges+": 1\r\n"...)
	}
	for i := range o.List {
		if h := &o.List[i]; h.Name != nil && !c.hides(h.Name) {
			b = http1.AppendHeader(b, h.Name, h.Value)
		}
	}
	s.whole = append(b, '\r', '\n')
	s.head = len(s.whole)
}

// partialDigit is the place of the last digit of the status in "HTTP/1.1 200".
const partialDigit = 11

// gather copies a piece of the body; with the last the response is stored.
func gather(r *engine.Request, ch *engine.Chunk) error {
	s, c := of(r), loc.Of(r.Scope)
	if s == nil || !s.storing {
		return r.Next(ch)
	}
	if r.Out.Status == 206 && s.status == 200 { // a range that was asked for: it has become known after the head was written
		h := r.HeaderOut(http1.HContentRange)
		if !c.ranges.V || h == nil { // several parts have none
			s.storing = false
			return r.Next(ch)
		}
		s.whole[partialDigit], s.status = '6', 206
		s.whole = append(http1.AppendHeader(s.whole[:s.head-len("\r\n")], h.Name, h.Value), '\r', '\n')
		s.head = len(s.whole)
	}
	if most := c.maxSize.V; most != 0 && int64(len(s.whole)+len(ch.Data)) > most {
		r.Logf(nlog.Debug, "srcache_store bypassed because response body exceeded maximum size: %d (limit is: %d)", len(s.whole)+len(ch.Data), most)
		s.storing = false
		return r.Next(ch)
	}
	s.whole = append(s.whole, ch.Data...)
	if ch.Last && s.complete(r) && !s.skips(r, c, "in") {
		s.send(r, c.store.V)
	}
	return r.Next(ch)
}

// complete reports whether all of the response has been made.
func (s *state) complete(r *engine.Request) bool {
	o := &r.Out
	switch got := len(s.whole) - s.head; {
	case o.ContentLength > int64(got):
		r.Logf(nlog.Error, "srcache_store: skipped because response body truncated: %d > %d", o.ContentLength, got)
	case o.Status >= 300 && o.Status != s.status:
		r.Logf(nlog.Error, "srcache_store: skipped due to new error status code %d (old: %d)", int(o.Status), int(s.status))
	default:
		return true
	}
	s.storing = false
	return false
}

// send gives the response to the cache, beside the request.
func (s *state) send(r *engine.Request, k *call) {
	uri, args, ok := k.address(r)
	if !ok {
		s.storing = false
		return
	}
	r.Background(uri, args, engine.SubOptions{Method: k.method, MethodName: k.name, Body: s.whole, HasBody: true, Prepare: s.prepare, Ended: stored})
}

// setLength makes the header of the subrequest tell the length of its body.
func (s *state) setLength(sub *engine.Request) {
	sub.OwnHead().Set([]byte("Content-Length"), strconv.AppendInt(sub.Alloc(20)[:0], int64(len(s.whole)), 10))
}

// stored is told how the subrequest has ended.
func stored(sub *engine.Request) {
	rc, status := 0, int(sub.Out.Status)
	if sub.HeaderSent {
		sub.Logf(nlog.Debug, "srcache_store: subrequest returned status %d", status)
	} else {
		rc, status = status, 0
	}
	if rc >= 300 || status >= 300 {
		sub.Logf(nlog.Error, "srcache_store subrequest failed: rc=%d status=%d", rc, status)
	}
}
