package proxy

import (
	"moongate/internal/base/nlog"
	"moongate/internal/http1"
	"moongate/internal/relay"
)

// Reset prepares for a response.
func (protocol) Reset(x *relay.Exchange) {
	e := x.Data.(*exchange)
	e.parser.Reset()
	e.dec.Reset()
	e.dec.KeepTrailers, e.dec.MaxTrailer = e.conf.trailers.V, 0
	if e.conf.trailers.V {
		e.dec.MaxTrailer = int(e.conf.BufferSize.V)
	}
}

// Head reads the response's head. Of interim responses early hints are passed on.
func (protocol) Head(x *relay.Exchange, in []byte) (int, relay.HeadState) {
	e := x.Data.(*exchange)
	p := &e.parser
	skipped := 0
	for {
		n, st := p.Parse(in[skipped:], 0)
		switch st {
		case http1.ResponseMore:
			if skipped > 0 { // the next call begins anew, with what is left
				p.Reset()
			}
			return skipped, relay.HeadMore
		case http1.ResponseDone:
			st = p.Check()
		}
		if st != http1.ResponseDone {
			x.R.Logf(nlog.Error, "%s", p.AppendError(nil, st))
			return 0, relay.HeadInvalid
		}
		skipped += n
		if p.Status >= 200 || p.Status == 101 {
			break
		}
		if p.Status == 103 {
			if p.Version < http1.Version11 {
				x.R.Logf(nlog.Error, "upstream sent HTTP/1.0 response with early hints")
				return 0, relay.HeadInvalid
			}
			x.EarlyHints(p.List, n)
		}
		p.Reset()
	}
	x.Resp = &p.Response
	e.frame(x)
	return skipped, relay.HeadDone
}

// frame finds out how the body will end (RFC 9112 6.3).
func (e *exchange) frame(x *relay.Exchange) {
	resp := &e.parser.Response
	if e.short {
		resp.KeepAlive = false
	}
	keep := resp.KeepAlive
	x.KeepConn = false
	switch {
	case resp.Status == 101:
		e.mode = noBody
		x.Upgrade = x.R.In.Has(http1.HUpgrade)
		return
	case e.head || resp.Status == 204 || resp.Status == 304:
		e.mode = noBody
	case resp.Chunked:
		e.mode = byChunks
	case resp.ContentLength > 0:
		e.mode, e.left = byLength, resp.ContentLength
	case resp.ContentLength == 0:
		e.mode = noBody
	default:
		e.mode = byClose
		return
	}
	if e.mode == noBody {
		x.KeepConn = keep
	}
}

// Body takes the next piece of the body.
func (protocol) Body(x *relay.Exchange, in []byte) ([]byte, int, relay.BodyState) {
	e := x.Data.(*exchange)
	switch e.mode {
	case noBody:
		if len(in) > 0 {
			x.KeepConn = false
		}
		return nil, 0, relay.BodyDone
	case byLength:
		n := len(in)
		if int64(n) < e.left {
			e.left -= int64(n)
			return in, n, relay.BodyMore
		}
		n = int(e.left)
		e.left = 0
		e.mode = noBody
		x.KeepConn = e.parser.KeepAlive
		if len(in) > n {
			x.R.Logf(nlog.Warn, "upstream sent more data than specified in \"Content-Length\" header")
		}
		return in[:n], n, relay.BodyDone
	case byChunks:
		return e.chunk(x, in)
	}
	return in, len(in), relay.BodyMore
}

func (e *exchange) chunk(x *relay.Exchange, in []byte) ([]byte, int, relay.BodyState) {
	data, n, st := e.dec.Next(in)
	switch st {
	case http1.ChunkData, http1.ChunkMore:
		return data, n, relay.BodyMore
	case http1.ChunkDone:
		x.KeepConn = e.parser.KeepAlive
		x.Trailers = x.AppendShown(x.Trailers[:0], e.dec.Trailers.List)
		if len(in) > n {
			x.R.Logf(nlog.Warn, "upstream sent data after final chunk")
		}
		return nil, n, relay.BodyDone
	}
	if st == http1.ChunkTooLarge && e.dec.KeepTrailers {
		x.R.Logf(nlog.Error, "upstream sent too big trailers")
	} else {
		x.R.Logf(nlog.Error, "upstream sent invalid chunked response")
	}
	return nil, n, relay.BodyInvalid
}

// End reports whether the body was complete when the server closed the connection.
func (protocol) End(x *relay.Exchange) bool { return x.Data.(*exchange).mode == byClose }
