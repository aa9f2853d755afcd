// Package notmodified answers conditional requests (RFC 9110 13): 304 where the client has the response already, 412
// where a condition does not hold. It looks at the response head alone, whoever made it.
package notmodified

import (
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// Filter stands above all filters of response heads.
var Filter = engine.Filter{Name: "not_modified", Header: check}

func check(r *engine.Request) engine.Status {
	in := r.In
	if r.Out.Status != 200 || !r.IsMain() || r.NoConditions {
		return engine.OK
	}
	if in.Has(http1.HIfUnmodifiedSince) && !unmodified(r) || in.Has(http1.HIfMatch) && !matches(r, http1.HIfMatch, false) {
		return r.AnswerInstead(412)
	}
	since, none := in.Has(http1.HIfModifiedSince), in.Has(http1.HIfNoneMatch)
	switch {
	case !since && !none:
	case since && modified(r):
	case none && !matches(r, http1.HIfNoneMatch, true):
	default:
		r.Out.Status, r.Out.StatusLine = 304, nil
		r.Out.ContentType, r.Out.ContentLength = nil, -1
		r.Out.AcceptRanges = false
		r.DelHeaderOut(http1.HAcceptRanges)
		r.DelHeaderOut(http1.HContentEncoding)
	}
	return engine.OK
}

// unmodified reports whether If-Unmodified-Since holds.
func unmodified(r *engine.Request) bool {
	if r.Out.LastModified == -1 {
		return false
	}
	t, ok := http1.ParseTime(r.In.Get(http1.HIfUnmodifiedSince))
	return ok && t >= r.Out.LastModified
}

// modified reports whether If-Modified-Since asks for the response.
func modified(r *engine.Request) bool {
	how := r.Core().IfModifiedSince.V
	if r.Out.LastModified == -1 || how == engine.ModSinceOff {
		return true
	}
	t, ok := http1.ParseTime(r.In.Get(http1.HIfModifiedSince))
	if !ok {
		return true
	}
	return t != r.Out.LastModified && (how == engine.ModSinceExact || t < r.Out.LastModified)
}

func matches(r *engine.Request, id http1.HeaderID, weak bool) bool {
	var etag []byte
	if h := r.HeaderOut(http1.HETag); h != nil {
		etag = h.Value
	}
	return http1.MatchETag(r.In.Get(id), etag, weak)
}
