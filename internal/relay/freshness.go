package relay

import (
	"math"

	"moongate/internal/base/ascii"
	"moongate/internal/filecache"
	"moongate/internal/http1"
)

// readFreshness reads what the response's head says about keeping it.
func (x *Exchange) readFreshness() {
	k, ignore := x.cache, x.Conf.Ignore.V
	resp, u := x.Resp, &x.cache.use
	now := x.w.Loop.Wall() / 1e9
	k.noCache, k.expired = false, false
	accel := false
	for i := range resp.List {
		h := &resp.List[i]
		switch h.ID {
		case http1.HSetCookie:
			k.keeps = k.keeps && ignore&ignoreSetCookie != 0
		case http1.HCacheControl:
			if ignore&ignoreCacheControl == 0 {
				x.cacheControl(h.Value, now, accel)
			}
		case http1.HExpires:
			if ignore&ignoreExpires == 0 && resp.Index(h.ID) == i && u.Valid == 0 {
				if t, ok := http1.ParseTime(h.Value); ok && t >= now {
					u.Valid = t
				} else {
					k.expired = true
				}
			}
		case http1.HXAccelExpires:
			if resp.Index(h.ID) == i {
				accel = true
				if ignore&ignoreExpiresXA == 0 {
					x.accelExpires(h.Value, now)
				}
			}
		case http1.HVary:
			if ignore&ignoreVary == 0 && k.keeps && resp.Index(h.ID) == i {
				x.vary(i)
			}
		}
	}
	if k.noCache || k.expired {
		k.keeps = false
	}
}

func (x *Exchange) accelExpires(v []byte, now int64) {
	k, u := x.cache, &x.cache.use
	at := len(v) > 0 && v[0] == '@'
	if at {
		v = v[1:]
	}
	n, ok := ascii.ParseInt(v)
	switch {
	case !ok:
		return
	case at:
		u.Valid = n
	case n == 0:
		k.keeps = false
		return
	default:
		u.Valid = filecache.Later(now, n)
	}
	k.noCache, k.expired = false, false
}

// cacheControl reads a Cache-Control field (RFC 9111 5.2.2, RFC 5861). What X-Accel-Expires has said stays.
func (x *Exchange) cacheControl(v []byte, now int64, accel bool) {
	k, u := x.cache, &x.cache.use
	if u.Valid == 0 || !accel {
		if ascii.ContainsFold(v, "no-cache") || ascii.ContainsFold(v, "no-store") || ascii.ContainsFold(v, "private") {
			k.noCache = true
			return
		}
		n, ok, there := deltaSeconds(v, "s-maxage=")
		if !there {
			n, ok, there = deltaSeconds(v, "max-age=")
		}
		switch {
		case there && !ok:
			k.keeps = false
			return
		case there && n == 0:
			k.noCache = true
			return
		case there:
			u.Valid = filecache.Later(now, n)
			k.expired = false
		}
	}
	if n, ok, there := deltaSeconds(v, "stale-while-revalidate="); there {
		if !ok {
			k.keeps = false
			return
		}
		u.UpdatingFor, u.ErrorFor = n, n
	}
	if n, ok, there := deltaSeconds(v, "stale-if-error="); there {
		if !ok {
			k.keeps = false
			return
		}
		u.ErrorFor = n
	}
}

// deltaSeconds finds a directive and its number.
func deltaSeconds(v []byte, name string) (n int64, ok, there bool) {
	i := ascii.IndexFold(v, name)
	if i < 0 {
		return 0, false, false
	}
	for _, c := range v[i+len(name):] {
		switch {
		case c == ',' || c == ';' || c == ' ':
			return n, true, true
		case !ascii.IsDigit(c):
			return 0, false, true
		case n > (math.MaxInt64-9)/10:
			return math.MaxInt64, true, true
		}
		n = n*10 + int64(c-'0')
	}
	return n, true, true
}

// vary tells the cache what fields of requests the response depends on, beginning with the ith of its own.
func (x *Exchange) vary(i int) {
	k, resp := x.cache, x.Resp
	v := resp.List[i].Value
	for j := i; j >= 0; j = resp.Next(j) {
		w := resp.List[j].Value
		if len(w) == 1 && w[0] == '*' {
			k.keeps = false
			return
		}
		if j != i {
			v = append(append(append(make([]byte, 0, len(v)+2+len(w)), v...), ", "...), w...)
		}
	}
	if len(v) > filecache.MaxVary {
		k.keeps = false
		return
	}
	if !k.hit {
		k.use.SetVary(v, x.R.In.List)
	}
}
