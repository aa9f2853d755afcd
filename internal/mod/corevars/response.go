package corevars

import (
	"bytes"
	"strconv"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/base/units"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

func status(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return ascii.AppendPadded(r.Alloc(20)[:0], uint64(max(r.LogStatus(), 0)), 3), true
}

func bytesSent(r *engine.Request, _ *engine.Var) ([]byte, bool) { return number(r, r.Main.Sent) }

func bodyBytesSent(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return number(r, max(r.Main.Sent-r.HeaderSize, 0))
}

var wordOK = []byte("OK")

func completion(r *engine.Request, _ *engine.Var) ([]byte, bool) { return flag(r.Complete, wordOK) }

func limitRate(r *engine.Request, _ *engine.Var) ([]byte, bool) { return number(r, r.LimitRate) }

func setLimitRate(r *engine.Request, _ *engine.Var, val []byte) {
	n, ok := units.Size(string(val))
	if !ok {
		r.Logf(nlog.Error, "invalid $limit_rate \"%s\"", val)
		return
	}
	r.LimitRate, r.LimitRateSet = n, true
}

func sentHeader(r *engine.Request, v *engine.Var) ([]byte, bool) {
	return named(r, r.Out.List, v.Name[len("sent_http_"):])
}

func sentTrailer(r *engine.Request, v *engine.Var) ([]byte, bool) {
	return named(r, r.Out.Trailers, v.Name[len("sent_trailer_"):])
}

// sentContentType has the charset once the head has left with it.
func sentContentType(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	t, c := r.Out.ContentType, r.Out.Charset
	if len(t) == 0 {
		return nil, false
	}
	if r.HeaderSent && len(c) > 0 && bytes.IndexByte(t, ';') < 0 {
		return join(r, t, c, "; charset=", true), true
	}
	return t, true
}

func sentContentLength(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if h := r.HeaderOut(http1.HContentLength); h != nil {
		return h.Value, true
	}
	if r.Out.ContentLength < 0 {
		return nil, false
	}
	return number(r, r.Out.ContentLength)
}

func sentLastModified(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if h := r.HeaderOut(http1.HLastModified); h != nil {
		return h.Value, true
	}
	if r.Out.LastModified < 0 {
		return nil, false
	}
	return http1.AppendTime(r.Alloc(http1.TimeLen)[:0], r.Out.LastModified), true
}

var (
	wordUpgrade   = []byte("upgrade")
	wordKeepAlive = []byte("keep-alive")
	wordClose     = []byte("close")
	wordChunked   = []byte("chunked")
)

func sentConnection(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	switch {
	case r.Out.Status == 101:
		return wordUpgrade, true
	case r.KeepAlive && !r.Logged: // as in nginx, which has given the request up when it is logged
		return wordKeepAlive, true
	}
	return wordClose, true
}

func sentKeepAlive(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	t := r.Core().KeepaliveTimeout.V.Header
	if !r.KeepAlive || r.Logged || t == 0 {
		return nil, false
	}
	return strconv.AppendInt(append(r.Alloc(28)[:0], "timeout="...), int64(t.Seconds()), 10), true
}

func sentTransferEncoding(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return wordChunked, r.Chunked
}
