package upstreams

import (
	"bytes"
	"strconv"

	"moongate/internal/base/ascii"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/relay"
)

var vars = []engine.Var{
	list("upstream_addr", "The addresses of the servers that were asked.", func(b []byte, t *relay.Try) []byte { return append(b, t.Peer...) }),
	list("upstream_status", "The statuses of the servers' responses, or of the failures to get one.", func(b []byte, t *relay.Try) []byte {
		if t.Status == 0 {
			return append(b, '-')
		}
		return strconv.AppendInt(b, int64(t.Status), 10)
	}),
	list("upstream_connect_time", "How long connecting to the servers took, in seconds.", func(b []byte, t *relay.Try) []byte { return relay.AppendSeconds(b, t.Connect) }),
	list("upstream_header_time", "How long the servers' response heads took to come, in seconds.", func(b []byte, t *relay.Try) []byte { return relay.AppendSeconds(b, t.Header) }),
	list("upstream_response_time", "How long the servers' responses took to come, in seconds.", func(b []byte, t *relay.Try) []byte { return relay.AppendSeconds(b, t.Whole) }),
	list("upstream_response_length", "The lengths of the servers' response bodies.", func(b []byte, t *relay.Try) []byte { return strconv.AppendInt(b, t.Length, 10) }),
	list("upstream_bytes_received", "How many bytes came from the servers.", func(b []byte, t *relay.Try) []byte { return strconv.AppendInt(b, t.Received, 10) }),
	list("upstream_bytes_sent", "How many bytes were sent to the servers.", func(b []byte, t *relay.Try) []byte { return strconv.AppendInt(b, t.Sent, 10) }),
	{Name: "upstream_cache_status", NoCache: true, Get: cacheStatus, Doc: "What the look into the cache came to: MISS, BYPASS, EXPIRED, STALE, UPDATING, REVALIDATED or HIT."},
	{Name: "upstream_cache_key", NoCache: true, Get: cacheKey, Doc: "What the response is found by in the cache."},
	{Name: "upstream_cache_last_modified", NoCache: true, Get: cacheModified, Doc: "Last-Modified of the kept response that the server is asked about."},
	{Name: "upstream_cache_etag", NoCache: true, Get: cacheETag, Doc: "The entity tag of the kept response that the server is asked about."},
	{Name: "upstream_http_", Prefix: true, NoCache: true, Get: header, Doc: "A field of the server's response head, as it came."},
	{Name: "upstream_trailer_", Prefix: true, NoCache: true, Get: trailer, Doc: "A field behind the server's response body."},
	{Name: "upstream_cookie_", Prefix: true, NoCache: true, Get: cookie, Doc: "A cookie that the server has set."},
}

func cacheStatus(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	s := relay.CacheStatus(r)
	return r.CopyString(s), s != ""
}

func cacheKey(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	k := relay.CacheKey(r)
	return k, k != nil
}

func cacheModified(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	t, ok := relay.CachedModified(r)
	if !ok {
		return nil, false
	}
	return http1.AppendTime(r.Alloc(http1.TimeLen)[:0], t), true
}

func cacheETag(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	v := relay.CachedETag(r)
	return v, len(v) > 0
}

func list(name, doc string, add func(b []byte, t *relay.Try) []byte) engine.Var {
	return engine.Var{Name: name, NoCache: true, Doc: doc, Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) { return relay.List(r, add) }}
}

func header(r *engine.Request, v *engine.Var) ([]byte, bool) {
	x := relay.Of(r)
	if x == nil || x.Resp == nil {
		return nil, false
	}
	return field(r, x.Resp.List, v.Name[len("upstream_http_"):])
}

func trailer(r *engine.Request, v *engine.Var) ([]byte, bool) {
	x := relay.Of(r)
	if x == nil {
		return nil, false
	}
	return field(r, x.Trailers, v.Name[len("upstream_trailer_"):])
}

// field joins the values of the fields that a variable's name stands for.
func field(r *engine.Request, list []http1.Header, name string) ([]byte, bool) {
	var val []byte
	found := false
	for i := range list {
		if !sameName(list[i].Name, name) {
			continue
		}
		if !found {
			val, found = list[i].Value, true
			continue
		}
		val = append(append(append(r.Alloc(len(val) + len(list[i].Value) + 2)[:0], val...), ", "...), list[i].Value...)
	}
	return val, found
}

// sameName compares a field's name with that of a variable, which has _ for -.
func sameName(name []byte, v string) bool {
	if len(name) != len(v) {
		return false
	}
	for i, c := range name {
		switch {
		case c == '-':
			c = '_'
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		}
		if c != v[i] {
			return false
		}
	}
	return true
}

func cookie(r *engine.Request, v *engine.Var) ([]byte, bool) {
	x := relay.Of(r)
	if x == nil || x.Resp == nil {
		return nil, false
	}
	name := v.Name[len("upstream_cookie_"):]
	for i := range x.Resp.List {
		h := &x.Resp.List[i]
		if h.ID != http1.HSetCookie {
			continue
		}
		n, val, ok := bytes.Cut(h.Value, []byte{'='})
		if !ok || !ascii.EqualFold(bytes.TrimRight(n, " "), name) {
			continue
		}
		val = bytes.TrimLeft(val, " ")
		if end := bytes.IndexByte(val, ';'); end >= 0 {
			val = val[:end]
		}
		return val, true
	}
	return nil, false
}
