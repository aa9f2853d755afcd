package luahost

import (
	"moongate/internal/base/ascii"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// SetRequestHeader sets a header of the request, with its effects on what was made of it; an empty value deletes it.
// Without replace it is added. name and value are copied. False: the value is not one the header can have.
func SetRequestHeader(r *engine.Request, name, value []byte, replace bool) bool {
	if r.Out.Status == 400 {
		return true // the head may be half read
	}
	name, value = CopyHeaderName(r, name), CopyHeaderValue(r, value)
	in := r.OwnHead()
	switch http1.LookupHeader(name) {
	case http1.HHost:
		if !setHost(r, in, value) {
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

func setHost(r *engine.Request, in *http1.Message, value []byte) bool {
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
