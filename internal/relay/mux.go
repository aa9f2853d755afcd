package relay

import (
	"errors"
	"io"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/h2client"
	"moongate/internal/http1"
	"moongate/internal/http2"
	"moongate/internal/netio"
	"moongate/internal/upstream"
)

// mux is what an exchange over a connection that carries many (HTTP/2) has besides.
type mux struct {
	stream  *h2client.Stream
	why     uint32 // of a failure to connect
	spent   bool   // bytes of the client's body were sent that are not kept
	late    bool   // the deadline has passed
	refused int    // tries that servers have not looked at
	retries int    // tries after responses that were to be tried again
	sent    int64  // bytes of the body, by the try under way
	kept
}

// kept is what is made once and used by one exchange after the other.
type kept struct {
	resp   http1.Response
	pumpFn func()
	rest   rest
}

// Why a try over HTTP/2 failed, besides the bits of next_upstream.
const (
	onRefused  uint32 = 1 << (20 + iota) // the server has not looked at the request
	onRetry                              // the response is one to try again for
	onDeadline                           // the exchange's deadline
	onAnswered                           // the Editor has ended the exchange
)

// maxRefused bounds the tries for which nobody is to blame.
const maxRefused = 5

// Observer is implemented by protocols that look at the bodies of multiplexed exchanges as they pass.
type Observer interface {
	Sent(x *Exchange, p []byte)
	Received(x *Exchange, p []byte)
}

// Retrier is implemented by protocols with responses after which the request may be sent again.
type Retrier interface {
	// Retry is asked when a response head is there; end says that it is all of the response. True: try again, after
	// Again has waited.
	Retry(x *Exchange, end bool) bool
	// Again prepares the next try; it may park. False: no further try.
	Again(x *Exchange, tries int) bool
}

// Expirer is implemented by protocols that answer when Exchange.Deadline has passed while a response was under way.
type Expirer interface {
	// Expired gives the trailers that end the response.
	Expired(x *Exchange) []http1.Header
}

// errDial says that Exchange.mux.why has the reason.
var errDial = errors.New("no connection")

// DialHTTP2 makes a connection for a pool.
func (x *Exchange) DialHTTP2() (h2client.Transport, *h2client.Config, error) {
	why := x.connect()
	if why != 0 {
		x.mux.why = why
		x.closeConn()
		if why == clientGone {
			return nil, nil, h2client.ErrGivenUp
		}
		return nil, nil, errDial
	}
	c := x.conn
	x.conn = nil
	return c, &muxConfig, nil
}

var muxConfig h2client.Config

// muxPool is the pool of the group's connections; one that keeps none serves groups that are not known beforehand.
func (x *Exchange) muxPool() *h2client.Pool {
	l := localOf(x.R.H, x.w)
	g := x.bal.Group
	keep := &g.Keepalive
	slot := 2 * g.Index
	switch {
	case x.Group == nil || keep.Max == 0 && !(x.ownPeer && x.Peer.Keep):
		if l.single == nil {
			l.single = &h2client.Pool{Env: envOf(x.w)}
		}
		return l.single
	case x.ownPeer && x.Peer.Keep:
		slot++
	}
	if l.muxes == nil {
		l.muxes = make([]*h2client.Pool, 2*len(l.balancers))
	}
	p := l.muxes[slot]
	if p == nil {
		p = &h2client.Pool{Env: envOf(x.w), Max: keep.Max, Requests: keep.Requests, Timeout: keep.Timeout, Age: keep.Time}
		if slot&1 == 1 {
			p.Max, p.Requests, p.Timeout, p.Age = x.Group.ChosenIdle, x.Peer.KeepRequests, x.Peer.KeepTimeout, 0
		}
		l.muxes[slot] = p
	}
	return p
}

// envOf is what the multiplexed connections of a worker share.
func envOf(w *engine.Worker) *h2client.Env {
	p := poolsOf(w)
	if p.env == nil {
		p.env = &h2client.Env{Loop: w.Loop, Mem: w}
	}
	return p.env
}

// TrimWorker gives the memory of a past load back.
func TrimWorker(w *engine.Worker) {
	p := poolsOf(w)
	p.records, p.exchanges = nil, nil
	if p.env != nil {
		p.env.Trim()
	}
}

// tryMux asks one server, up to its response head, on a connection that carries many requests.
func (x *Exchange) tryMux() uint32 {
	loop, pool := x.w.Loop, x.muxPool()
	x.P.Reset(x)
	if x.expired() {
		return onDeadline
	}
	for {
		c, fresh, err := pool.Get(x.poolKey(), x, x.until(loop.Now()+or(x.Peer.Connect, x.Conf.ConnectTimeout.V)))
		switch {
		case x.gone:
			return clientGone
		case err == errDial:
			if x.mux.why == onTimeout && x.expired() {
				return onDeadline
			}
			return x.mux.why
		case err == netio.ErrTimeout && x.expired():
			return onDeadline
		case err == netio.ErrTimeout:
			return onTimeout
		case err != nil:
			return clientGone
		}
		x.cached = !fresh
		why := x.openMux(c)
		if why == onRefused {
			continue // the connection ended meanwhile
		}
		if why != 0 {
			return why
		}
		return x.readMuxHead()
	}
}

// openMux sends the request, or begins to.
func (x *Exchange) openMux(c *h2client.Conn) uint32 {
	x.sent, x.allSent, x.mux.sent = false, false, 0
	x.pump = pump{}
	b := &x.R.Body
	body, more := x.OwnBody, false
	switch {
	case x.NoBody:
	case x.Editor != nil:
		body, more = x.edit.body, !x.edit.done
	case b.File != nil:
		body, more = nil, true
	default:
		body, more = b.Mem, x.Unbuffered && !b.Read
	}
	s, err := c.Open(x.Fields, len(body) == 0 && !more)
	if err != nil {
		return onRefused
	}
	x.closeStream() // of the try before
	x.mux.stream = s
	if x.R.IsMain() && x.R.Core().EarlyHints.V != nil {
		s.Interim = x.muxInterim
	}
	s.NoBody = x.HeadRequest
	x.state().Connect = x.w.Loop.Now() - x.tryBegun
	x.action(sending)
	x.sent = true
	n := 0
	if len(body) > 0 {
		var done bool
		n, done = s.TrySend(body, !more)
		x.observeSent(body[:n])
		more = more || !done
	}
	if !more {
		x.allSent = true
		return 0
	}
	x.pump.rest, x.pump.on = body[n:], true
	x.pump.in = piece{buf: b.Mem, from: len(b.Mem) - len(x.pump.rest), kept: true, end: b.Read}
	if x.mux.pumpFn == nil {
		x.mux.pumpFn = x.runMuxPump
	}
	x.w.Loop.Soon(x.mux.pumpFn)
	return 0
}

func (x *Exchange) observeSent(p []byte) {
	x.mux.sent += int64(len(p))
	if o, ok := x.P.(Observer); ok && len(p) > 0 {
		o.Sent(x, p)
	}
}

// until is a deadline within that of the exchange.
func (x *Exchange) until(t int64) int64 {
	if d := x.Deadline; d != 0 && (t == 0 || d < t) {
		return d
	}
	return t
}

// lateReset tells a server that has given the call up because of the deadline, which it knows, a moment before we do.
func (x *Exchange) lateReset(e *h2client.Error) bool {
	const moment = 5e6
	return e.Reset && x.Deadline != 0 && x.w.Loop.Now()+moment >= x.Deadline
}

// renewDeadline has the next server told what is left of the deadline.
func (x *Exchange) renewDeadline() engine.Status {
	if x.Deadline == 0 {
		return engine.OK
	}
	return x.Rewrite()
}

func (x *Exchange) expired() bool { return x.Deadline != 0 && x.w.Loop.Now() >= x.Deadline }

// Gone reports whether the client has given up.
func (x *Exchange) Gone() bool { return x.gone }

// Expired reports whether the exchange has ended because its deadline passed.
func (x *Exchange) Expired() bool { return x.mux.late }

// readMuxHead waits for the response's head.
func (x *Exchange) readMuxHead() uint32 {
	x.action(readingHead)
	x.KeepConn, x.Upgrade = false, false
	for {
		s := x.mux.stream
		if x.edit.over {
			return onAnswered
		}
		if s.Head() != nil {
			return x.muxHead()
		}
		if e := s.Err(); e != nil {
			return x.muxFailed(e)
		}
		if why := x.waitMux(true); why != 0 {
			return why
		}
	}
}

// waitMux parks until the server has sent something. While the request is going up nobody waits for the response's head.
func (x *Exchange) waitMux(head bool) uint32 {
	s := x.mux.stream
	s.Quiet()
	deadline := int64(0)
	if !head || !x.pump.on {
		deadline = x.readUntil()
	}
	if why := x.stopped(); why != 0 {
		return why
	}
	var err error
	if x.deaf {
		err = s.FD.WaitRead(x.until(deadline))
	} else {
		err = x.R.Stream.WaitRead(x.R, &s.FD, x.until(deadline))
	}
	if err == engine.ErrClientGone && x.stopped() == 0 && x.clientLost() {
		return x.waitMux(head)
	}
	return x.waited(err)
}

func (x *Exchange) readUntil() int64 {
	return x.w.Loop.Now() + or(x.Peer.Read, x.Conf.ReadTimeout.V)
}

// stopped tells why the response is not to be waited for any more, 0 while it is.
func (x *Exchange) stopped() uint32 {
	switch {
	case x.gone:
		return clientGone
	case x.pump.status != 0:
		return x.refused(x.pump.status)
	case x.pump.why != 0:
		return x.pump.why
	case x.edit.over:
		return onAnswered
	}
	return 0
}

// waited tells what the end of waiting means; 0: the server has sent something.
func (x *Exchange) waited(err error) uint32 {
	why := x.stopped()
	switch {
	case why != 0:
		return why
	case err == nil:
		return 0
	case err == netio.ErrTimeout && x.expired():
		return onDeadline
	case err == netio.ErrTimeout:
		return onTimeout
	}
	if err == engine.ErrClientGone {
		x.gone = true
	}
	return clientGone
}

// muxFailed tells what the end of a stream before its time means for the try.
func (x *Exchange) muxFailed(e *h2client.Error) uint32 {
	switch {
	case x.lateReset(e):
		return onDeadline
	case e.Refused && !x.mux.spent && x.mux.refused < maxRefused:
		return onRefused
	case e.Closed && e.Sys != nil:
		x.log(nlog.Error, e.Sys, e.Text)
		return onError
	case e.Closed:
		x.log(nlog.Error, nil, e.Text)
		return onError
	}
	x.log(nlog.Error, nil, e.Text)
	return onInvalidHeader
}

// muxInterim passes early hints on.
func (x *Exchange) muxInterim(status int, b *http2.Block) {
	if status != 103 {
		return
	}
	var list []http1.Header
	for i := 1; i < len(b.List); i++ {
		f := &b.List[i]
		if f.Static == 0 && http2.ConnectionSpecific(f.Name) {
			continue
		}
		list = append(list, http1.Header{Name: f.Name, Value: f.Value, ID: http1.LookupHeader(f.Name)})
	}
	x.EarlyHints(list, b.Size)
}

// muxHead makes x.Resp of the head that came.
func (x *Exchange) muxHead() uint32 {
	s := x.mux.stream
	b := s.Head()
	if int64(b.Size) > x.Conf.BufferSize.V {
		x.log(nlog.Error, nil, "upstream sent too large http2 header")
		return onInvalidHeader
	}
	resp := &x.mux.resp
	resp.Headers.Reset()
	for i := 1; i < len(b.List); i++ {
		f := &b.List[i]
		if f.Static == 0 && http2.ConnectionSpecific(f.Name) {
			continue // they mean nothing here (RFC 9113 8.2.2)
		}
		resp.Add(f.Name, f.Value)
	}
	end := s.HeadOnly()
	resp.Status, resp.StatusText, resp.ContentLength, resp.Chunked = s.Status(), nil, s.Length(), false
	if end && resp.ContentLength < 0 && !x.HeadRequest {
		resp.ContentLength = 0
	}
	x.Resp = resp
	t := x.state()
	t.Header = x.w.Loop.Now() - x.tryBegun
	t.Status = resp.Status
	t.Received += int64(b.Size)
	x.choice.Head(t.Header, x.w.Loop.Now())
	x.learn(true)
	if rt, ok := x.P.(Retrier); ok && !x.mux.spent && rt.Retry(x, end) {
		return onRetry
	}
	return x.statusFails()
}

// again decides about the next try after one that counts for nobody.
func (x *Exchange) again(why uint32) engine.Status {
	x.closeConn()
	x.countSent()
	left := max(x.choice.Tries, 1)
	x.done(upstream.Good, x.state().Status)
	x.state().Whole = x.w.Loop.Now() - x.tryBegun
	switch why {
	case onDeadline:
		x.logLate()
		x.state().Status = 504
		return 504
	case onAnswered:
		return 200
	case onRefused:
		x.mux.refused++
		if st := x.renewDeadline(); st != engine.OK {
			return st
		}
	case onRetry:
		x.mux.retries++
		if !x.P.(Retrier).Again(x, x.mux.retries) {
			return 502
		}
		if x.gone {
			return x.abort()
		}
		if st := x.Rewrite(); st != engine.OK {
			return st
		}
	}
	x.bal.Begin(&x.choice, x.keyOf())
	x.choice.Tries = min(x.choice.Tries, left)
	return engine.OK
}

func (x *Exchange) keyOf() []byte {
	if x.Group == nil {
		return nil
	}
	return x.hashKey()
}

// closeStream ends the stream of the try.
func (x *Exchange) closeStream() {
	if s := x.mux.stream; s != nil {
		s.Close()
		s.Release()
		x.mux.stream = nil
	}
}

// relayMux passes the body on, and what follows it.
func (x *Exchange) relayMux() engine.Status {
	r, s := x.R, x.mux.stream
	low, rate := x.Conf.readAhead, int64(0)
	if x.buffering() {
		rate = x.Conf.rate(r)
	} else {
		low = 0
	}
	obs, _ := x.P.(Observer)
	for {
		if e := s.Err(); e != nil && e.Invalid { // what came with the fault is not passed on, as nginx does
			return x.muxBroken(e)
		}
		for p := s.Peek(); len(p) > 0; p = s.Peek() {
			if rate > 0 {
				p = p[:x.throttle(rate, len(p))]
			}
			t := x.state()
			t.Received += int64(len(p))
			t.Length += int64(len(p))
			if obs != nil {
				obs.Received(x, p)
			}
			if s.EndSeen() && len(p) == len(s.Peek()) {
				return x.lastMux(p)
			}
			if !x.deliver(p) {
				return engine.Error
			}
			s.Consume(len(p))
			if !x.deaf && r.Pending() > low {
				break
			}
		}
		if s.Ended() {
			return x.lastMux(nil)
		}
		if len(s.Peek()) == 0 && s.Err() != nil {
			return x.muxBroken(s.Err())
		}
		if !x.deaf && r.Pending() > 0 {
			if r.Stream.Flush(r) != nil && !x.clientLost() {
				return engine.Error
			}
			x.action(toClient)
			if !x.deaf && r.Drain(low) != nil && !x.clientLost() {
				return engine.Error
			}
		}
		if len(s.Peek()) > 0 || s.EndSeen() || s.Err() != nil {
			continue
		}
		x.action(readingBody)
		if x.mayRest() {
			return engine.Detached
		}
		if why := x.waitMux(false); why != 0 {
			return x.failedMux(why)
		}
	}
}

// failedMux ends a response whose rest does not come.
func (x *Exchange) failedMux(why uint32) engine.Status {
	if why == onDeadline {
		return x.expire()
	}
	return x.broken(why)
}

// lastMux sends the last piece and the trailers.
func (x *Exchange) lastMux(p []byte) engine.Status {
	if x.PassTrailers {
		x.Trailers = x.Trailers[:0]
		for i := range x.mux.stream.Trailers().List {
			f := &x.mux.stream.Trailers().List[i]
			if f.Static == 0 && http2.ConnectionSpecific(f.Name) {
				continue
			}
			x.Trailers = append(x.Trailers, http1.Header{Name: f.Name, Value: f.Value, ID: http1.LookupHeader(f.Name)})
		}
	}
	if x.Editor != nil && !x.edit.plain {
		x.Trailers = x.Editor.Trailers(x.Trailers)
	}
	return x.last(p)
}

// expire ends a response whose deadline has passed.
func (x *Exchange) expire() engine.Status {
	x.logLate()
	e, ok := x.P.(Expirer)
	if !ok {
		return x.broken(onTimeout)
	}
	x.Trailers = append(x.Trailers[:0], e.Expired(x)...)
	return x.last(nil)
}

func (x *Exchange) logLate() {
	x.mux.late = true
	x.log(nlog.Info, nil, "the deadline of the client has passed")
}

func (x *Exchange) muxBroken(e *h2client.Error) engine.Status {
	if x.lateReset(e) {
		return x.expire()
	}
	x.log(nlog.Error, e.Sys, e.Text)
	if e.Reset && e.Code != http2.RefusedStream && e.Code != http2.HTTP11Required { // these would ask the client to try again
		x.R.Cut = uint32(e.Code)
	}
	return x.truncated()
}

// runMuxPump is the second task: it sends the rest of the request while the response is awaited.
func (x *Exchange) runMuxPump() {
	p := &x.pump
	p.task = x.w.Loop.Current()
	why := clientGone
	if x.mux.stream != nil { // else given up before this task had its turn
		why = x.muxPumpAll()
	}
	if why == toBeWoken {
		p.task = nil
		return
	}
	x.pumpEnded(why)
}

// pumpEnded ends the sending.
func (x *Exchange) pumpEnded(why uint32) {
	p := &x.pump
	if why == 0 {
		x.allSent = true
	} else if why == onTimeout && !x.body {
		p.why = why
		x.action(sending)
	}
	p.on, p.task = false, nil
	if s := x.mux.stream; s != nil {
		s.FD.Raise() // the reader's time begins, or ends
	}
	if p.waiting != nil {
		x.w.Loop.Ready(p.waiting)
	}
}

func (x *Exchange) muxPumpAll() uint32 {
	p, b := &x.pump, &x.R.Body
	if x.Editor != nil {
		return x.pumpEdited()
	}
	if x.Unbuffered {
		return x.muxPumpClient()
	}
	if len(p.rest) > 0 {
		if why := x.muxSend(p.rest, x.NoBody || b.File == nil); why != 0 {
			return why
		}
	}
	if x.NoBody || b.File == nil {
		return 0
	}
	buf := x.w.Buffer(16 << 10)
	defer x.w.FreeBuffer(buf)
	for p.fileAt < b.FileSize {
		n, err := b.File.ReadAt(buf[:min(int64(cap(buf)), b.FileSize-p.fileAt)], p.fileAt)
		if n == 0 && err != nil {
			x.R.LogErr(nlog.Crit, err, "pread() \"%s\" failed", b.File.Name())
			p.status = 500
			return failedInternally
		}
		p.fileAt += int64(n)
		if why := x.muxSend(buf[:n], p.fileAt == b.FileSize); why != 0 {
			return why
		}
	}
	return 0
}

// muxSend sends p to the server; it parks.
func (x *Exchange) muxSend(p []byte, last bool) uint32 {
	x.observeSent(p)
	err := x.mux.stream.Send(p, last, or(x.Peer.Send, x.Conf.SendTimeout.V))
	switch err {
	case nil:
		return 0
	case netio.ErrTimeout:
		return onTimeout
	}
	return clientGone // the reader finds out what the server has to say
}

// muxPumpClient passes the request body on as it comes. What fits the memory of the body is kept there: while all of it
// does, the request can be sent again. While nothing comes there is no other memory, and where the stream allows it no task.
func (x *Exchange) muxPumpClient() (why uint32) {
	d := x.R.Stream.(engine.Downstream)
	s, in := x.mux.stream, &x.pump.in
	defer in.drop(x)
	for {
		err := in.fill(x, d)
		if err != nil && err != syscall.EAGAIN {
			return x.clientFailed(err)
		}
		if x.pump.status != 0 {
			return failedInternally
		}
		n, done := s.TrySend(in.buf[in.from:], in.end)
		x.observeSent(in.buf[in.from : in.from+n])
		in.from += n
		switch {
		case done && in.end:
			return 0
		case !done:
			switch s.WaitSend(or(x.Peer.Send, x.Conf.SendTimeout.V)) {
			case nil:
			case netio.ErrTimeout:
				return onTimeout
			default:
				return clientGone // the reader finds out what the server has to say
			}
			continue
		}
		in.drop(x)
		if err == nil {
			continue
		}
		if x.pumpRests() {
			return toBeWoken
		}
		if why := x.waitBody(d); why != 0 {
			return why
		}
	}
}

// waitBody parks until more of the client's body may be there.
func (x *Exchange) waitBody(d engine.Downstream) uint32 {
	switch err := d.WaitBody(x.w.Loop.Now() + int64(x.R.Core().ClientBodyTimeout.V)); err {
	case nil:
		return 0
	case netio.ErrTimeout:
		return x.clientFailed(engine.ErrBodyTimeout)
	case netio.ErrKilled:
		return clientGone
	}
	return x.clientFailed(engine.ErrBodyClosed)
}

// piece is what has come of the request body and was not sent: buf from place from on.
type piece struct {
	buf  []byte
	from int
	kept bool // buf is the memory of the body
	end  bool // nothing follows
}

// fill takes what has come, as far as there is room. EAGAIN: nothing more has.
func (in *piece) fill(x *Exchange, d engine.Downstream) error {
	r, b := x.R, &x.R.Body
	switch {
	case in.buf == nil && in.kept:
		r.BodyMemory(keepBody)
		in.buf = b.Mem
	case in.buf == nil:
		in.buf = x.w.Buffer(16 << 10)
	case !in.kept && in.from > 0: // what the windows have left behind makes room, so that frames are not small for it
		in.buf, in.from = in.buf[:copy(in.buf, in.buf[in.from:])], 0
	}
	at, err := len(in.buf), error(nil)
	for !in.end && len(in.buf) < cap(in.buf) && err == nil { // the end is to go with the last bytes
		var n int
		n, err = d.TryBody(r, in.buf[len(in.buf):cap(in.buf)])
		in.buf = in.buf[:len(in.buf)+n]
		in.end = err == io.EOF
	}
	n := len(in.buf) - at
	if in.kept {
		b.Mem = in.buf
	} else if n > 0 && x.Editor == nil {
		x.mux.spent = true
	}
	b.Read = b.Read || in.end
	if n > 0 {
		b.Received += int64(n)
		if max := r.Core().ClientMaxBodySize.V; max > 0 && b.Received > max {
			r.Logf(nlog.Error, "client intended to send too large chunked body: %d+%d bytes", b.Received-int64(n), n)
			x.pump.status = 413
		}
	}
	if in.end {
		return nil
	}
	return err
}

// keepBody is how much of a body that is passed on as it comes is kept.
const keepBody = 4 << 10

// drop forgets what was sent. The memory of the body is left when it is full, and given up when the response has begun.
func (in *piece) drop(x *Exchange) {
	switch {
	case in.kept && in.buf == nil:
	case in.kept && x.body && in.from == len(in.buf):
		x.mux.spent = true
		x.R.DropBodyMemory()
		in.kept, in.buf, in.from = false, nil, 0
	case in.kept && len(in.buf) < cap(in.buf):
	case in.kept:
		in.kept, in.buf, in.from = false, nil, 0
	case in.buf != nil:
		x.w.FreeBuffer(in.buf)
		in.buf, in.from = nil, 0
	}
}

// Retries is how many tries were made after responses that were to be tried again.
func (x *Exchange) Retries() int { return x.mux.retries }

// AddField appends a field to those of the request.
func (x *Exchange) AddField(name, value []byte) {
	x.Fields = append(x.Fields, h2client.Field{Name: name, Value: value, Mode: mode(0, name)})
}
