package engine

import (
	"moongate/internal/base/ascii"
	"moongate/internal/http1"
)

var nameETag = []byte("ETag")

// SetETag gives the response the entity tag of a file, made of Out.LastModified and Out.ContentLength, unless the
// location has etag off.
func (r *Request) SetETag() {
	if !r.Core().Etag.V {
		return
	}
	v := append(r.Alloc(2 + 16 + 1 + 16)[:0], '"')
	v = append(ascii.AppendHex(v, uint64(r.Out.LastModified)), '-')
	v = append(ascii.AppendHex(v, uint64(r.Out.ContentLength)), '"')
	r.AddHeader(http1.HETag, nameETag, v)
}

// WeakenETag marks the entity tag as weak: the bytes of the body will differ, what they say will not. A tag that is none
// is dropped.
func (r *Request) WeakenETag() {
	h := r.HeaderOut(http1.HETag)
	switch {
	case h == nil, len(h.Value) > 2 && h.Value[0] == 'W' && h.Value[1] == '/':
	case len(h.Value) == 0 || h.Value[0] != '"':
		h.Name = nil
	default:
		h.Value = append(append(r.Alloc(len(h.Value) + 2)[:0], "W/"...), h.Value...)
	}
}
