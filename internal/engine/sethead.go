package engine

import (
	"moongate/internal/base/ascii"
	"moongate/internal/http1"
)

// SetHeader sets a response header: an empty value deletes it. Without replace it is added to those of its name, where
// the header may come more than once. name and value must live as long as the request. False: the value is not one the
// header can have.
func (r *Request) SetHeader(name, value []byte, replace bool) bool {
	o := &r.Out
	id := http1.LookupHeader(name)
	if id == http1.HUnknown && ascii.EqualFold(name, "E-Tag") {
		id = http1.HETag
	}
	switch id {
	case http1.HContentType:
		o.ContentType = nil
		if len(value) > 0 {
			o.ContentType = value
		}
		clearHeader(o, id, name)
		return true
	case http1.HContentLength:
		n, ok := int64(-1), true
		if len(value) > 0 {
			n, ok = ascii.ParseInt(value)
		}
		if ok {
			o.ContentLength = n
		}
		return ok
	case http1.HLastModified:
		o.LastModified = -1
		if t, ok := http1.ParseTime(value); ok {
			o.LastModified = t
		}
		replace = true
	case http1.HServer, http1.HDate, http1.HContentEncoding, http1.HLocation, http1.HRefresh, http1.HContentRange, http1.HAcceptRanges,
		http1.HExpires, http1.HETag:
		replace = true
	}
	if len(value) == 0 {
		if replace && !clearHeader(o, id, name) && (id == http1.HServer || id == http1.HDate) {
			// A deleted entry keeps the driver from writing its own.
			o.List = append(o.List, http1.Header{ID: id})
		}
		return true
	}
	e := http1.Header{ID: id, Name: name, Value: value}
	if !replace || !putHeader(o, id, &e) {
		o.List = append(o.List, e)
	}
	return true
}

// SameHeader says that the entry, deleted or not, is of the header.
func SameHeader(h *http1.Header, id http1.HeaderID, name []byte) bool {
	if id != http1.HUnknown && h.ID == id {
		return true
	}
	return h.ID == http1.HUnknown && len(h.Name) == len(name) && ascii.EqualFold(h.Name, name)
}

// clearHeader deletes the header; false: it was not there.
func clearHeader(o *HeadersOut, id http1.HeaderID, name []byte) bool {
	found := false
	for i := range o.List {
		if h := &o.List[i]; SameHeader(h, id, name) {
			h.Name, found = nil, true
		}
	}
	return found
}

// putHeader gives the first entry of the header a new value and deletes the others.
func putHeader(o *HeadersOut, id http1.HeaderID, e *http1.Header) bool {
	found := false
	for i := range o.List {
		h := &o.List[i]
		switch {
		case !SameHeader(h, id, e.Name):
		case found:
			h.Name = nil
		default:
			found = true
			if id == http1.HUnknown {
				e.Name = h.Name // an existing spelling stays
			}
			*h = *e
		}
	}
	return found
}

// SetHeaderIn sets a header of the request, with its effects on what was made of it; an empty value deletes it. Without
// replace it is added. name and value must live as long as the request. False: the value is not one the header can have.
func (r *Request) SetHeaderIn(name, value []byte, replace bool) bool {
	in := r.OwnHead()
	switch http1.LookupHeader(name) {
	case http1.HHost:
		if !r.setHost(in, value) {
			return false
		}
	case http1.HConnection:
		setConnection(in, value)
	case http1.HContentLength:
		n, ok := int64(-1), true
		if len(value) > 0 {
			n, ok = ascii.ParseInt(value)
		}
		if !ok {
			return false
		}
		r.ContentLength = n
	case http1.HCookie, http1.HXForwardedFor, http1.HUnknown:
	default: // nginx keeps one of each that it knows
		if nginxKnows(http1.LookupHeader(name)) {
			replace = true
		}
	}
	if replace {
		in.Set(name, value)
	} else {
		in.Add(name, value)
	}
	return true
}

// nginxKnows says that nginx has a field for the request header.
func nginxKnows(id http1.HeaderID) bool {
	switch id {
	case http1.HIfModifiedSince, http1.HIfUnmodifiedSince, http1.HIfMatch, http1.HIfNoneMatch, http1.HUserAgent, http1.HReferer,
		http1.HContentType, http1.HRange, http1.HIfRange, http1.HTransferEncoding, http1.HExpect, http1.HUpgrade, http1.HAcceptEncoding,
		http1.HVia, http1.HAuthorization, http1.HKeepAlive, http1.HXRealIP, http1.HDepth, http1.HDestination, http1.HOverwrite, http1.HDate:
		return true
	}
	return false
}

func (r *Request) setHost(in *http1.Message, value []byte) bool {
	in.Server, in.Port = nil, 0
	if len(value) > 0 {
		name, port, ok := http1.ValidateHost(r.Alloc(len(value))[:0], value)
		if !ok {
			return false
		}
		in.Server, in.Port = name, port
	}
	if v := r.FindVar("host"); v != nil {
		r.ForgetVar(v)
	}
	return true
}

func setConnection(in *http1.Message, value []byte) {
	switch {
	case ascii.ContainsFold(value, "close"):
		in.Connection = http1.ConnectionClose
	case ascii.ContainsFold(value, "keep-alive"):
		in.Connection = http1.ConnectionKeepAlive
	default:
		in.Connection = http1.ConnectionDefault
	}
}
