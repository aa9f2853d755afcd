package relay

import (
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/h2client"
	"moongate/internal/http1"
	"moongate/internal/netio"
	"moongate/internal/upstream"
)

// Protocol speaks to servers.
type Protocol interface {
	// Request appends the request's head, and anything that stands for its body, to dst, and sets x.URI. OK, or a
	// status to end the request with.
	Request(x *Exchange, dst []byte) ([]byte, engine.Status)
	// Reset prepares for a response, the first or that of the next server.
	Reset(x *Exchange)
	// Head looks at what has come of the response, from its first byte on. With HeadDone n bytes were the head and
	// x.Resp is filled; it has logged what is wrong with one that is Invalid. With HeadMore n bytes are done with (an
	// interim response) and will not be shown again.
	Head(x *Exchange, in []byte) (n int, st HeadState)
	// Body takes n bytes of what follows the head; data, a part of them, is a piece of the body.
	Body(x *Exchange, in []byte) (data []byte, n int, st BodyState)
	// End is told that the server has closed the connection; it reports whether the body is complete by that.
	End(x *Exchange) bool
	// Location and Cookie rewrite the values of header fields; the part of the value from prefix on is the URL. ok is
	// false when it stays as it is.
	Location(x *Exchange, value []byte, prefix int) (val []byte, ok bool)
	Cookie(x *Exchange, value []byte) []byte
}

// HeadState is what has become of a response head.
type HeadState uint8

// The states.
const (
	HeadMore HeadState = iota
	HeadDone
	HeadInvalid
)

// BodyState is what has become of a response body.
type BodyState uint8

// The states.
const (
	BodyMore BodyState = iota // as far as it is there
	BodyDone
	BodyInvalid
)

// Exchange is one passing-on of a request.
type Exchange struct {
	R    *engine.Request
	Conf *Conf
	P    Protocol
	// Data belongs to the protocol; it is kept for the next exchange.
	Data any

	// The protocol says before Run where to, and how.
	Scheme     string        // "http://", for log lines
	Group      *Group        // the servers, or
	URL        *upstream.URL // an address named at run time
	Unbuffered bool          // the request body goes up as it comes, chunked when its length is not known
	ChunkBody  bool          // ... in chunks
	NoBody     bool          // the request body does not go up
	URI        []byte
	Method     []byte   // in place of the request's: HEAD asks with GET when the response is to be kept
	SSL        *SSL     // with TLS: what the location says of it
	unspoken   *SSL     // the same while SetTLS has switched it off
	ALPN       []string // with TLS: the protocols that are asked for

	// Multiplexed says that the request goes over a connection that carries many: HTTP/2. The protocol's Request fills
	// Fields then; Head, Body and End are not called.
	Multiplexed  bool
	Fields       []h2client.Field
	OwnBody      []byte // with NoBody: what goes up in its place
	HeadRequest  bool   // the method is HEAD
	PassTrailers bool
	Deadline     int64 // monotonic nanoseconds, 0: none
	// Editor changes the bodies of a multiplexed exchange; nil: they pass as they are.
	Editor Editor

	// Resp is the response's head.
	Resp *http1.Response
	// KeepConn says, when the body is complete, that the connection may carry another request.
	KeepConn bool
	Upgrade  bool // the connection becomes one of bytes
	Trailers []http1.Header

	// Peer is what a Chooser has chosen.
	Peer Chosen
	// Last is how the try before went, for Choosers.
	Last LastTry

	w          *engine.Worker
	rec        *record
	prev       *Exchange
	bal        *upstream.Balancer
	choice     upstream.Choice
	ownPeer    bool
	tries      int    // of a Chooser
	more       int    // tries that it allows
	peer       string // its name
	conn       *upstream.Conn
	cached     bool // conn was idle before
	begun      int64
	tryBegun   int64
	sent       bool // a part of the request was sent
	allSent    bool
	hints      int64 // bytes of early hints
	spool      spool
	store      *stored // the response is to become a file
	deaf       bool    // the client is gone, but the response is wanted
	cache      *caching
	spareCache *caching // the memory for it

	head       []byte // of the request
	buf        []byte // the response, from the worker's buffers
	rest       []byte // what was read behind the head
	late       []byte // pieces that wait, see output
	body       bool   // the response body is being passed on
	task       *netio.Task
	detached   bool // the handler has ended before the exchange
	redirected bool // by X-Accel-Redirect
	watching   bool
	gone       bool // the client is
	tlsName    string
	tlsCert    string // the name of a certificate that depends on the request
	cut        bool   // the response is not complete
	entered    bool   // the group has given leave
	retries    int    // of the group's retry policy
	retrying   bool   // one is under way
	stuck      stuck
	work       *upstream.Work // the counters of a server that a Chooser chose
	pump       pump
	mux        mux
	edit       edit
}

// newExchange begins an exchange of a request.
func New(r *engine.Request, c *Conf, p Protocol) *Exchange {
	rec := recordOf(r)
	pl := poolsOf(r.W)
	x := pl.exchanges
	if x == nil {
		x = &Exchange{}
	} else {
		pl.exchanges = x.prev
	}
	x.prev = rec.last
	rec.last = x
	x.R, x.Conf, x.P, x.w, x.rec = r, c, p, r.W, rec
	return x
}

// recycle gives the exchange's memory back; the request has ended.
func (x *Exchange) recycle(p *pools) {
	if x.buf != nil {
		x.w.FreeBuffer(x.buf)
	}
	if x.late != nil {
		x.w.FreeBuffer(x.late)
	}
	if x.edit.body != nil {
		x.w.FreeBuffer(x.edit.body)
	}
	x.closeStream()
	if x.cache != nil {
		x.cache.reset(x.w)
	}
	data, head, trailers, fields, keep := x.Data, x.head[:0], x.Trailers[:0], x.Fields[:0], x.mux.kept
	*x = Exchange{Data: data, head: head, Trailers: trailers, Fields: fields, prev: p.exchanges, spareCache: x.spareCache}
	x.mux.kept = keep
	p.exchanges = x
}

func (x *Exchange) action(a string) { x.R.Conn.Action = a }

// Actions, as log lines have them.
const (
	connecting  = "connecting to upstream"
	sending     = "sending request to upstream"
	readingHead = "reading response header from upstream"
	readingBody = "reading upstream"
	upgraded    = "proxying upgraded connection"
	toClient    = "sending to client"
)

// Run passes the request on and the response back; it parks. The status is what the handler returns.
func (x *Exchange) Run() engine.Status {
	r := x.R
	if x.Unbuffered {
		if !x.Multiplexed || r.Stream.Buffered() > 0 || r.In.ExpectsContinue() {
			if st := r.Preread(); st != engine.OK {
				return st
			}
		}
		x.Unbuffered = !r.Body.Read
	}
	if !x.Unbuffered {
		if st := r.ReadBody(); st != engine.OK {
			return st
		}
	}
	defer func() {
		if !x.detached {
			x.finish()
		}
	}()
	if x.Conf.Caching.Caches() && x.Editor == nil {
		if st := x.fromCache(); st != notCached {
			return st
		}
	}
	st := x.run()
	if st == 502 || st == 504 {
		x.rememberError(st)
	}
	return st
}

func (x *Exchange) run() engine.Status {
	r := x.R
	x.task = x.w.Loop.Current()
	x.deaf = r.Beside // nobody listens
	if !x.heedless() {
		x.watching = true
		r.Conn.Watch(x)
		if r.Stream.Gone() {
			x.lost()
		}
	}
	if x.Editor != nil && !x.editFirst() {
		if x.gone {
			return x.abort()
		}
		return 200
	}
	var st engine.Status
	if x.head, st = x.P.Request(x, x.head[:0]); st != engine.OK {
		return st
	}
	if !x.Multiplexed {
		x.addPreread()
	}
	if len(x.rec.tries) > 0 {
		x.rec.tries = append(x.rec.tries, Try{}) // a redirect lies between
	}
	if st := x.find(); st != engine.OK {
		return st
	}
	if x.SSL != nil {
		x.prepareTLS()
	}
	x.begun = x.w.Loop.Now()
	if n := x.Conf.NextTries.V; n > 0 && x.choice.Tries > n {
		x.choice.Tries = n
	}
	for {
		why := x.try()
		if why == 0 {
			break
		}
		if x.gone {
			return x.abort()
		}
		if st := x.next(why); st != engine.OK {
			if kept, ok := x.staleAnswers(why, why&failedInternally == 0); ok {
				return kept
			}
			return st
		}
	}
	return x.respond()
}

// why a try failed: a bit of next_upstream, or beyond them one of these.
const (
	failedInternally uint32 = 1 << (30 + iota)
	clientGone

	toBeWoken uint32 = failedInternally | clientGone // the task ends, and another goes on; see pumpRests
)

// try asks one server up to its response head. 0: it is there, and not one to try the next server for.
func (x *Exchange) try() uint32 {
	loop := x.w.Loop
	if n := len(x.rec.tries); n > 0 && x.rec.tries[n-1].Whole < 0 {
		t := &x.rec.tries[n-1]
		t.Whole = loop.Now() - x.tryBegun
	}
	x.tryBegun = loop.Now()
	x.rec.tries = append(x.rec.tries, Try{Connect: -1, Header: -1, Whole: -1})
	x.action(connecting)
	if why := x.pick(); why != 0 {
		return why
	}
	if x.gone {
		return clientGone
	}
	if x.Multiplexed {
		return x.tryMux()
	}
	if x.conn == nil {
		if why := x.connect(); why != 0 {
			return why
		}
		x.connected(false)
	} else {
		x.connected(true)
	}
	x.state().Connect = loop.Now() - x.tryBegun
	if why := x.send(); why != 0 {
		return why
	}
	return x.readHead()
}

// state is the try under way.
func (x *Exchange) state() *Try { return &x.rec.tries[len(x.rec.tries)-1] }

// pick chooses a server and takes an idle connection to it, if there is one.
func (x *Exchange) pick() uint32 {
	now := x.w.Loop.Now()
	x.cached = false
	if x.choosing() {
		x.Peer.Addr, x.Peer.Host, x.Peer.Keep = upstream.Addr{}, "", false
		x.tries++
		x.more = 0
		if st := x.Group.Choose.Choose(x); st != engine.OK {
			return x.refused(st)
		}
	}
	if x.Peer.Addr.Sock != nil {
		x.ownPeer = true
		x.peer = x.Peer.Addr.Name
		if x.SSL != nil && x.Peer.Host != "" {
			x.setName()
		}
		x.choice.Tries += x.more
		if x.work = x.bal.ChosenWork(x.peer); x.work != nil {
			x.work.Begin()
		}
	} else {
		x.ownPeer = false
		if !x.choice.Next(now) {
			x.peer = x.bal.Group.Name
			x.state().Peer = x.peer
			x.log(nlog.Error, nil, "no live upstreams")
			return onNoLive
		}
		x.peer = x.choice.Peer.Name
		x.setCookie()
	}
	x.state().Peer = x.peer
	if l := x.idle(); l != nil && !x.Multiplexed {
		c := l.Take(x.poolKey(), x.Conf)
		if c != nil {
			x.conn, x.cached = c, true
		}
		if x.R.Logger.On(nlog.Debug) {
			x.traceTake(l, c)
		}
	}
	return 0
}

// choosing reports whether a Chooser chooses the servers.
func (x *Exchange) choosing() bool { return x.Group != nil && x.Group.Choose != nil }

// idle is where the connection is kept when it is not in use; nil: nowhere.
func (x *Exchange) idle() *upstream.Idle {
	switch {
	case x.ownPeer && x.Peer.Keep:
		return &x.bal.Chosen
	case x.bal.Group.Keepalive.Max > 0:
		return &x.bal.Idle
	}
	return nil
}

// poolKey is the name of the pool of idle connections.
func (x *Exchange) poolKey() string {
	key := x.peer
	if p := &x.Peer; x.ownPeer && p.Keep && (p.Host != "" || p.LocalText != "") {
		key = p.Host + " " + p.LocalText + " " + x.peer
	}
	if x.SSL != nil {
		return x.tlsKey(key)
	}
	return key
}

// next decides what follows a failure: OK means another try.
func (x *Exchange) next(why uint32) engine.Status {
	x.stopPump()
	if x.R.Logger.On(nlog.Debug) {
		x.R.Logf(nlog.Debug, "http next upstream, %x", nginxBit(why))
	}
	if why&(onRefused|onRetry|onDeadline|onAnswered) != 0 {
		return x.again(why)
	}
	if why&failedInternally != 0 {
		if st := x.Peer.Refused; st != 0 {
			return st
		}
		return 500
	}
	outcome := upstream.Failed
	if why&(on403|on404) != 0 {
		outcome = upstream.Next
	}
	x.countSent()
	st := statusOf(why)
	x.Last = LastTry{Failed: outcome == upstream.Failed, Next: outcome == upstream.Next, Status: int(st)}
	if x.done(outcome, int(st)) {
		x.log(nlog.Warn, nil, "upstream server temporarily disabled")
	}
	if why == onTimeout {
		x.log(nlog.Error, syscall.ETIMEDOUT, "upstream timed out")
	}
	if x.ownPeer && x.choice.Tries > 0 && why != onNoLive {
		x.choice.Tries--
	}
	if x.cached && why == onError && !x.choosing() {
		x.choice.Tries++ // the server had closed an idle connection: that does not count, unless a Chooser counts
	}
	x.traceUnkept()
	x.state().Status = int(st)
	if x.sent && x.nonIdempotent() {
		why |= onNonIdempotent
	}
	if x.choice.Tries <= 0 || x.Conf.Next.V&why != why || x.spent() || x.lateForNext() {
		return st
	}
	x.closeConn()
	if st := x.retry(why, st); st != engine.OK {
		return st
	}
	return x.renewDeadline()
}

// statusOf is the status that stands for a failure.
func statusOf(why uint32) engine.Status {
	switch why {
	case onTimeout, on504:
		return 504
	case on500:
		return 500
	case on503:
		return 503
	case on403:
		return 403
	case on404:
		return 404
	case on429:
		return 429
	}
	return 502
}

// nginxBit is the number that nginx's debug line has for a failure.
func nginxBit(why uint32) int {
	for i, w := range [...]uint32{onError, onTimeout, onInvalidHeader, on500, on502, on503, on504, on403, on404, on429} {
		if why == w {
			return 2 << i
		}
	}
	return 0x40000000
}

func (x *Exchange) lateForNext() bool {
	d := int64(x.Conf.NextTimeout.V)
	return d > 0 && x.w.Loop.Now()-x.begun >= d
}

// spent reports whether a part of the request's body was sent that is not here any more.
func (x *Exchange) spent() bool {
	if x.Multiplexed {
		return x.mux.spent
	}
	return x.sent && x.Unbuffered
}

func (x *Exchange) nonIdempotent() bool {
	return x.R.Method&(http1.MethodPost|http1.MethodLock|http1.MethodPatch) != 0
}

// refused ends the tries with the status of a Chooser.
func (x *Exchange) refused(st engine.Status) uint32 {
	x.Peer.Refused = st
	return failedInternally
}

// heedless says that the exchange goes on when the client is gone: its answer is not for the client, as that of a mirror, or
// the configuration says so.
func (x *Exchange) heedless() bool {
	return x.Conf.IgnoreClientAbort.V || x.Conf.Store.V.on || x.R.PostAction || x.R.Beside
}

// abort ends an exchange whose client is gone.
func (x *Exchange) abort() engine.Status {
	if x.conn != nil || x.mux.stream != nil {
		if t := x.state(); t.Received == 0 && x.R.Conn.Action == readingHead {
			x.action(sending) // as with nginx, which reads from the first byte on
		}
		x.logGone("epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too")
	} else {
		x.logGone("epoll_wait() reported that client prematurely closed connection")
	}
	x.R.KeepAlive = false
	return engine.StatusClientClosed
}

// logGone writes the line about a client that has gone. That of HTTP/2 has got one by its connection, as with nginx.
func (x *Exchange) logGone(text string) {
	if x.R.In.Version != http1.Version20 {
		x.log(nlog.Info, nil, text)
	}
}

// ClientGone is told by the connection.
func (x *Exchange) ClientGone() {
	if x.gone || x.body && x.R.Aborted {
		return
	}
	if x.pump.on && x.Unbuffered && !x.Multiplexed && !x.body {
		return // the second task comes upon the end of the body, and says so
	}
	if x.lost(); !x.gone {
		return
	}
	switch {
	case x.mux.rest.on:
		x.wake(nil)
	case x.task != nil && !x.stopEditor(x.task): // else about to have a task again
		x.w.Loop.Kill(x.task)
	}
}

func (x *Exchange) countSent() {
	switch {
	case x.conn != nil:
		x.state().Sent = x.conn.Sent
	case x.Multiplexed:
		x.state().Sent = x.mux.sent
	}
}

// lost notes that the client has gone. A response that is to be kept is fetched all the same.
func (x *Exchange) lost() {
	if x.Keeps() && !x.cache.waiting {
		x.cache.left = true
	} else {
		x.gone = true
	}
}

// finish ends the exchange: the server is given back, the connection kept or closed. The response's bytes stay until
// the request ends.
func (x *Exchange) finish() {
	x.stopPump()
	x.endRest()
	if x.Editor != nil {
		x.Editor.Done()
	}
	x.endSpool()
	x.endStore(false)
	x.endCache()
	if x.watching {
		x.R.Conn.Unwatch(x)
		x.watching = false
	}
	if n := len(x.rec.tries); n > 0 && x.rec.tries[n-1].Whole < 0 {
		x.rec.tries[n-1].Whole = x.w.Loop.Now() - x.tryBegun
		x.countSent()
	}
	x.release()
	if x.conn != nil {
		x.traceUnkept()
	}
	x.closeConn()
	x.task = nil
	if x.redirected {
		x.action("")
	} else {
		x.action(toClient)
	}
}

// release gives the server back once it has done what it should.
func (x *Exchange) release() {
	if x.choice.Peer != nil || x.work != nil {
		x.learn(false)
		x.done(upstream.Good, x.state().Status)
	}
	x.leave()
}

// keep makes the connection idle when it may carry another request; the body is complete.
func (x *Exchange) keep() {
	c := x.conn
	if c == nil || !x.KeepConn || !x.allSent || x.pump.on || x.w.Stopping {
		return
	}
	l := x.idle()
	if l == nil {
		return
	}
	x.state().Sent = c.Sent
	x.conn = nil
	kept := false
	if p := &x.Peer; x.ownPeer && p.Keep {
		kept = l.PutFor(c, x.poolKey(), p.KeepRequests, p.KeepTimeout)
	} else {
		kept = l.Put(c, x.poolKey())
	}
	if x.R.Logger.On(nlog.Debug) {
		x.tracePut(l, c, kept)
	}
}

func (x *Exchange) closeConn() {
	if x.mux.stream != nil {
		x.mux.stream.Close() // its fields stay
	}
	if x.conn != nil {
		x.conn.Close()
		x.conn = nil
	}
}

// log writes a line about the server.
func (x *Exchange) log(level nlog.Level, err error, msg string) {
	x.R.Logger.Log(level, x.R, err, msg)
}
