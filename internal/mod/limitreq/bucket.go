package limitreq

import (
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/zone"
)

// decision is what all limits of a location come to for one request.
type decision struct {
	now    int64 // milliseconds
	excess int64 // of the limit that decided
	delay  int64 // milliseconds
	worst  *limit
	few    [4]pinned
}

// pinned is a bucket that a limit before the last one has looked at.
type pinned struct {
	limit *limit
	shard *zone.Shard[bucket]
	entry *zone.Entry[bucket]
}

// verdict is what decide finds.
type verdict uint8

const (
	none    verdict = iota // no limit applies
	within                 // serve it, after the delay
	over                   // refuse it; without worst there was no memory
	pending                // not over, and not counted yet
)

// decide asks the limits in their order. The first that is exceeded refuses, and only when none is the request counts.
func (d *decision) decide(r *engine.Request, limits []limit) verdict {
	found := none
	held := d.few[:0]
	for i := range limits {
		l := &limits[i]
		b := l.zone.Data.(*buckets)
		key := b.key.Eval(r)
		switch {
		case len(key) == 0:
			continue
		case len(key) > 65535:
			r.Logf(nlog.Error, "the value of the \"%s\" key is more than 65535 bytes: \"%s\"", b.key.Text, key)
			continue
		}
		var p pinned
		d.excess, found, p = d.look(r, b, l, key, i == len(limits)-1)
		if found != over {
			d.worst = l
		}
		if found != pending {
			if found == over {
				unpin(held)
				return over
			}
			break
		}
		held = append(held, p)
	}
	if found == none {
		return none
	}
	if found == within {
		if d.excess > d.worst.delay {
			d.delay = (d.excess - d.worst.delay) * 1000 / d.worst.zone.Data.(*buckets).rate
		}
	}
	d.count(held)
	return within
}

// since is the time from a moment on, in milliseconds; a clock that went back stands still.
func (d *decision) since(last int64) int64 {
	switch ms := d.now - last; {
	case ms < -60000:
		return 1
	case ms < 0:
		return 0
	default:
		return ms
	}
}

// next is the excess with one request more.
func (b *buckets) next(u *bucket, ms int64) int64 { return max(0, u.excess-b.rate*ms/1000+1000) }

// look finds or makes the bucket of a key. With last the request counts in it, else it is pinned.
func (d *decision) look(r *engine.Request, b *buckets, l *limit, key []byte, last bool) (int64, verdict, pinned) {
	s, k := b.table.Shard(key)
	s.Lock()
	defer s.Unlock()
	e := s.Get(k)
	if e == nil {
		return d.begin(r, b, s, k, last, l)
	}
	u := &e.Value
	ms := d.since(u.last)
	excess := b.next(u, ms)
	if excess > l.burst {
		d.worst = l
		return excess, over, pinned{}
	}
	if !last {
		u.pins++
		return excess, pending, pinned{l, s, e}
	}
	u.excess = excess
	if ms > 0 {
		u.last = d.now
	}
	return excess, within, pinned{}
}

// begin makes the bucket of a key that is new.
func (d *decision) begin(r *engine.Request, b *buckets, s *zone.Shard[bucket], k zone.Key, last bool, l *limit) (int64, verdict, pinned) {
	d.expire(b, s, false)
	e := s.Add(k)
	if e == nil {
		d.expire(b, s, true)
		if e = s.Add(k); e == nil {
			r.Logger.Logf(nlog.Alert, nil, nil, "could not allocate node in limit_req zone \"%s\"", b.name)
			d.worst = nil
			return 0, over, pinned{}
		}
	}
	if last {
		e.Value.last = d.now
		return 0, within, pinned{}
	}
	e.Value.last, e.Value.pins = d.now-1e9, 1 // long ago: what it looks at will find it empty
	return 0, pending, pinned{l, s, e}
}

// expire forgets one or two buckets that have been empty for a minute; with force the oldest one, whatever it holds.
func (d *decision) expire(b *buckets, s *zone.Shard[bucket], force bool) {
	for n := 0; n < 2 || force && n < 3; n++ {
		e := s.Oldest()
		if e == nil || e.Value.pins > 0 {
			return
		}
		if !force || n > 0 {
			ms := d.now - e.Value.last
			if ms < 0 {
				ms = -ms
			}
			if ms < 60000 || e.Value.excess > b.rate*ms/1000 {
				return
			}
		}
		s.Delete(e)
	}
}

// count lets the request count in the buckets that were only looked at, and finds the longest delay.
func (d *decision) count(held []pinned) {
	for i := len(held) - 1; i >= 0; i-- {
		p := &held[i]
		b := p.limit.zone.Data.(*buckets)
		p.shard.Lock()
		u := &p.entry.Value
		ms := d.since(u.last)
		u.excess = b.next(u, ms)
		if ms > 0 {
			u.last = d.now
		}
		u.pins--
		excess := u.excess
		p.shard.Unlock()
		if excess <= p.limit.delay {
			continue
		}
		if delay := (excess - p.limit.delay) * 1000 / b.rate; delay > d.delay {
			d.delay, d.excess, d.worst = delay, excess, p.limit
		}
	}
}

func unpin(held []pinned) {
	for i := range held {
		held[i].shard.Lock()
		held[i].entry.Value.pins--
		held[i].shard.Unlock()
	}
}
