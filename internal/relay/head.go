package relay

import (
	"syscall"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/netio"
	"moongate/internal/tlsio"
)

// readHead reads the response up to the end of its head.
func (x *Exchange) readHead() uint32 {
	x.action(readingHead)
	loop, size := x.w.Loop, int(x.Conf.BufferSize.V)
	x.P.Reset(x)
	x.KeepConn, x.Upgrade, x.hints = false, false, 0
	in := x.buf[:0]
	for {
		if why := x.waitRead(); why != 0 {
			return why
		}
		if x.buf == nil {
			x.buf = x.w.Buffer(size)
			in = x.buf[:0]
		}
		n, err := x.conn.Read(in[len(in):size])
		switch {
		case n > 0:
		case err == nil:
			x.log(nlog.Error, nil, "upstream prematurely closed connection")
			return onError
		case err == syscall.EAGAIN:
			continue
		default:
			x.readFailed(err, false)
			return onError
		}
		in = in[:len(in)+n]
		x.state().Received += int64(n)
		used, st := x.P.Head(x, in)
		switch st {
		case HeadInvalid:
			return onInvalidHeader
		case HeadMore:
			if used > 0 {
				in = in[:copy(in, in[used:])]
			}
			if len(in) == size {
				x.log(nlog.Error, nil, "upstream sent too big header")
				return onInvalidHeader
			}
			continue
		}
		x.rest = in[used:]
		t := x.state()
		t.Header = loop.Now() - x.tryBegun
		t.Status = x.Resp.Status
		x.choice.Head(t.Header, loop.Now())
		x.learn(true)
		if why := x.statusFails(); why != 0 {
			return why
		}
		return 0
	}
}

// readFailed logs why nothing can be read. ahead says that nginx would have read into several buffers.
func (x *Exchange) readFailed(err error, ahead bool) {
	switch _, isErrno := err.(syscall.Errno); {
	case x.conn.TLS == nil && ahead:
		x.log(nlog.Error, err, "readv() failed")
	case x.conn.TLS == nil:
		x.log(nlog.Error, err, "recv() failed")
	case isErrno:
		x.log(nlog.Error, err, "SSL_read() failed")
	default:
		x.log(nlog.Error, nil, "SSL_read() failed (SSL: "+tlsio.ErrorText(err)+")")
	}
}

// waitRead parks until the server has sent something.
func (x *Exchange) waitRead() uint32 {
	c := x.conn
	if c.Sysfd() >= 0 && c.Readable() {
		return 0
	}
	var err error
	since, most := x.w.Loop.Now(), or(x.Peer.Read, x.Conf.ReadTimeout.V)
	for {
		if x.spool.feeding || x.deaf || x.postpones() { // another task writes to the client, or nobody
			err = c.WaitRead(since + most)
		} else {
			err = x.R.Stream.WaitRead(x.R, &c.FD, since+most)
		}
		if err != netio.ErrTimeout || x.body {
			break
		}
		// A server may keep silent for as long as the request is on its way, which may wait for the client.
		last := since
		if since = max(last, x.pump.ended); x.pump.on {
			since = x.w.Loop.Now()
		}
		if since == last {
			break
		}
	}
	switch {
	case x.gone:
		return clientGone
	case x.pump.status != 0:
		return x.refused(x.pump.status)
	case x.pump.why != 0:
		return x.pump.why
	case err == nil:
		return 0
	case err == netio.ErrTimeout:
		return onTimeout
	}
	if err == engine.ErrClientGone {
		if x.clientLost() {
			return x.waitRead()
		}
		x.gone = true
	}
	return clientGone
}

// postpones reports whether what is queued for the client waits for more: that of a parent, which may yet fail.
func (x *Exchange) postpones() bool {
	return x.R.Parent != nil && x.R.Pending() < x.R.Core().PostponeOutput.V
}

// EarlyHints passes the fields of early hints on, which were size bytes; the protocol calls it.
func (x *Exchange) EarlyHints(list []http1.Header, size int) {
	if x.hints += int64(size); x.hints > x.Conf.BufferSize.V {
		x.log(nlog.Info, nil, "upstream sent too big early hints")
		return
	}
	x.R.SendHints(x.AppendShown(list[:0], list)) // a client that does not take them is found gone soon enough
}

// AppendShown appends the fields of list that are not hidden.
func (x *Exchange) AppendShown(dst, list []http1.Header) []http1.Header {
	for i := range list {
		if h := &list[i]; !x.Conf.hidden.has(h.ID, h.Name) {
			dst = append(dst, *h)
		}
	}
	return dst
}

// statusFails gives the bit of next_upstream of an error response when the next server is to be asked.
func (x *Exchange) statusFails() uint32 {
	why := statusBit(x.Resp.Status)
	if why == 0 {
		return 0
	}
	mask := why
	if x.sent && x.nonIdempotent() {
		mask |= onNonIdempotent
	}
	if x.choice.Tries > 1 && x.Conf.Next.V&mask == mask && !x.spent() && !x.lateForNext() {
		return why
	}
	return 0
}

// statusBit is the bit of next_upstream for a status, 0 when it has none.
func statusBit(status int) uint32 {
	switch status {
	case 500:
		return on500
	case 502:
		return on502
	case 503:
		return on503
	case 504:
		return on504
	case 403:
		return on403
	case 404:
		return on404
	case 429:
		return on429
	}
	return 0
}

// respond passes the response on.
func (x *Exchange) respond() engine.Status {
	r, resp := x.R, x.Resp
	if st, ok := x.keptAnswers(); ok {
		return st
	}
	if st := x.intercept(); st != 0 {
		return st
	}
	x.warnRepeated()
	if resp.Has(http1.HXAccelRedirect) && x.Conf.Ignore.V&ignoreRedirect == 0 {
		return x.redirect(resp.Get(http1.HXAccelRedirect))
	}
	x.copyHead()
	if x.Editor != nil {
		x.editHead()
	}
	if x.Upgrade {
		x.endCache()
		return x.relayRaw()
	}
	if r.KeepAlive && r.IsMain() && !r.Body.Read && !x.allSent {
		r.KeepAlive = false
	}
	if st := r.SendHead(); st != engine.OK {
		return st
	}
	x.body = true
	x.beginStore()
	x.beginKeep()
	if x.store == nil && x.cache != nil && x.cache.left {
		x.gone = true
		return x.abort()
	}
	if x.store == nil && (r.HeadOnly || r.Beside) {
		if x.KeepConn {
			x.keep()
		}
		return engine.OK
	}
	if x.Multiplexed && x.Editor != nil && !x.edit.plain {
		return x.relayEdited()
	}
	if x.Multiplexed {
		return x.relayMux()
	}
	return x.relay()
}

// intercept gives the status of an error response that error_page answers for.
func (x *Exchange) intercept() engine.Status {
	st := engine.Status(x.Resp.Status)
	if st == 404 && x.Conf.Intercept404 {
		if x.KeepConn {
			x.keep()
		}
		return st
	}
	if st < 300 || !x.Conf.Intercept.V {
		return 0
	}
	r := x.R
	for _, p := range r.Core().ErrorPages {
		for _, c := range p.Codes {
			if c != st {
				continue
			}
			if x.KeepConn {
				x.keep()
			}
			if st == 401 {
				for i := range x.Resp.List {
					if h := &x.Resp.List[i]; h.ID == http1.HWWWAuthenticate {
						r.AddHeader(h.ID, h.Name, h.Value)
					}
				}
			}
			x.rememberError(st)
			return st
		}
	}
	return 0
}

// once are the fields of which nginx takes the first and ignores others.
var once = [...]http1.HeaderID{http1.HContentType, http1.HDate, http1.HLastModified, http1.HETag, http1.HServer, http1.HLocation, http1.HRefresh,
	http1.HExpires, http1.HXAccelExpires, http1.HXAccelRedirect, http1.HXAccelLimitRate, http1.HStatus}

func (x *Exchange) warnRepeated() {
	resp := x.Resp
	for _, id := range once {
		first := resp.Index(id)
		if first < 0 {
			continue
		}
		for i := resp.Next(first); i >= 0; i = resp.Next(i) {
			a, b := &resp.List[i], &resp.List[first]
			x.R.Logf(nlog.Warn, "upstream sent duplicate header line: \"%s: %s\", previous value: \"%s: %s\", ignored", a.Name, a.Value, b.Name, b.Value)
		}
	}
}

// redirect follows X-Accel-Redirect: some fields of the response stay.
func (x *Exchange) redirect(to []byte) engine.Status {
	r := x.R
	if x.KeepConn {
		x.keep()
	}
	for i := range x.Resp.List {
		switch h := &x.Resp.List[i]; h.ID {
		case http1.HContentType:
			r.Out.ContentType = h.Value
		case http1.HSetCookie:
			r.AddHeader(h.ID, h.Name, x.P.Cookie(x, h.Value))
		case http1.HContentDisposition, http1.HCacheControl, http1.HExpires, http1.HAcceptRanges:
			r.AddHeader(h.ID, h.Name, h.Value)
		}
	}
	x.special()
	x.redirected = true
	if len(to) > 0 && to[0] == '@' {
		return r.NamedRedirect(to)
	}
	_, uri, args, ok := http1.ParseUnsafeURI(r.Alloc(len(to))[:0], to)
	if !ok {
		r.Logf(nlog.Error, "unsafe URI \"%s\" was detected", to)
		return 404
	}
	if r.Method != http1.MethodHead {
		r.Method, r.MethodName = http1.MethodGet, methodGet
	}
	return r.InternalRedirect(uri, args)
}

var methodGet = []byte("GET")

// special carries out the fields that tell us something.
func (x *Exchange) special() {
	r, resp, ignore := x.R, x.Resp, x.Conf.Ignore.V
	if v := resp.Get(http1.HXAccelLimitRate); v != nil && ignore&ignoreLimitRate == 0 {
		if n, ok := ascii.ParseInt(v); ok {
			r.LimitRate, r.LimitRateSet = n, true
		}
	}
	if v := resp.Get(http1.HXAccelCharset); v != nil && ignore&ignoreCharset == 0 {
		r.Out.OverrideCharset = v
	}
}

// copyHead makes the response head of the server's.
func (x *Exchange) copyHead() {
	r, resp, c := x.R, x.Resp, x.Conf
	o := &r.Out
	x.special()
	for i := range resp.List {
		h := &resp.List[i]
		if !c.hidden.has(h.ID, h.Name) && x.passed(i, h) {
			o.List = append(o.List, http1.Header{Name: h.Name, Value: h.Value, ID: h.ID})
		}
	}
	if c.passesServer && !resp.Has(http1.HServer) {
		o.List = append(o.List, http1.Header{ID: http1.HServer}) // the server has none: the client is not to see ours
	}
	if c.passesDate && !resp.Has(http1.HDate) {
		o.List = append(o.List, http1.Header{ID: http1.HDate})
	}
	o.Status = engine.Status(resp.Status)
	o.StatusLine = resp.StatusText
	o.ContentLength = resp.ContentLength
	if resp.Chunked {
		o.ContentLength = -1
	}
	r.NoConditions = !x.Keeps()
	if c.ForceRanges.V {
		o.AcceptRanges, r.SingleRange = true, x.cache == nil || !x.cache.hit
	}
}

// passed reports whether a field, the ith, is passed on as it is. Some that are not it takes into the head in their own
// way. Of those that may stand there once the first counts.
func (x *Exchange) passed(i int, h *http1.Header) bool {
	r, o := x.R, &x.R.Out
	first := func() bool { return x.Resp.Index(h.ID) == i }
	switch h.ID {
	case http1.HContentLength, http1.HTransferEncoding, http1.HConnection, http1.HKeepAlive:
		return false
	case http1.HUpgrade:
		return r.In.Version <= http1.Version11 // RFC 9113 8.2.2: it has no meaning above
	case http1.HContentType:
		if o.ContentType == nil && first() {
			o.ContentType, o.Charset = h.Value, http1.CharsetParam(h.Value)
		}
		return false
	case http1.HLastModified:
		if !first() {
			return false
		}
		if t, ok := http1.ParseTime(h.Value); ok {
			o.LastModified = t
		}
	case http1.HDate, http1.HETag, http1.HServer, http1.HExpires, http1.HXAccelExpires, http1.HXAccelRedirect, http1.HXAccelLimitRate, http1.HStatus:
		return first()
	case http1.HLocation:
		if first() {
			v, ok := x.P.Location(x, h.Value, 0)
			r.AddHeader(h.ID, h.Name, v)
			o.OwnLocation = ok // one of the server's that begins with a slash stays so
		}
		return false
	case http1.HRefresh:
		if first() {
			r.AddHeader(h.ID, h.Name, x.refresh(h.Value))
		}
		return false
	case http1.HSetCookie:
		r.AddHeader(h.ID, h.Name, x.P.Cookie(x, h.Value))
		return false
	case http1.HAcceptRanges:
		switch {
		case x.Conf.ForceRanges.V:
			return false
		case x.cache != nil && x.cache.hit:
			o.AcceptRanges = true
			return false
		case x.Keeps():
			o.AcceptRanges, r.SingleRange = true, true
			return false
		}
	}
	return true
}

// refresh rewrites the URL of a Refresh field.
func (x *Exchange) refresh(v []byte) []byte {
	for i := 0; i+4 <= len(v); i++ {
		if ascii.EqualFold(v[i:i+4], "url=") {
			v, _ = x.P.Location(x, v, i+4)
			return v
		}
	}
	return v
}

// buffering reports whether the response is read ahead of the client.
func (x *Exchange) buffering() bool {
	on := x.Conf.Buffering.V
	if v := x.Resp.Get(http1.HXAccelBuffering); v != nil && x.Conf.Ignore.V&ignoreBuffering == 0 {
		switch {
		case ascii.EqualFold(v, "no"):
			return false
		case ascii.EqualFold(v, "yes"):
			return true
		}
	}
	return on
}
