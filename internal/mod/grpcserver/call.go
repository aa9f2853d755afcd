package grpcserver

import (
	"bytes"
	"io"
	"strings"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/grpc"
	"moongate/internal/grpc/tally"
	"moongate/internal/grpc/transcode"
	"moongate/internal/http1"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
)

// call is one call, from the request's head to its status.
type call struct {
	r     *engine.Request
	x     *luahost.Ctx
	m     *method
	conf  *locConf
	proto protocol
	json  bool // messages are JSON on the wire

	rule   *transcode.Rule // of JSON by annotations
	values []string

	in       []byte // the worker's: what was read of the body
	pos      int
	inEOF    bool
	encoding string  // of what comes in: "" or "gzip"
	accepts  bool    // gzip, of what goes out
	compress string  // what goes out: "" or "gzip"
	out      []byte  // the worker's: the frame being made
	probe    [1]byte // what follows the only message, or not

	deadline int64 // of the loop's clock, 0: none
	timer    netio.Timer
	status   *grpc.Status // set when the call was ended from outside of the handler, or by it
	canceled bool
	headSent bool
	declared bool // the head says that messages may be compressed
	headers  []http1.Header
	trailers []http1.Header
	received int
	sent     int

	filtered *filtered // the call is one of grpc_pass
	logged   bool      // why it has failed was

	first []byte // the request of a method that has one
	reply []byte
	// replyType is the type of a reply that is sent as it is.
	replyType string
	ok        bool // reply is there

	args  func(w *lua.Writer)
	take  func(c *lua.Call)
	next  *call
	nfree int // in the list from here on
}

// maxFreeCalls is how many are kept for reuse.
const maxFreeCalls = 256

// protocol is how a call is spoken.
type protocol interface {
	// recv gives the next message as the wire of protocol buffers has it, in memory that the next recv reuses; io.EOF, or a
	// *grpc.Status.
	recv(c *call) ([]byte, error)
	// send sends a message; last says that nothing but the status follows.
	send(c *call, msg []byte, last bool) error
	// finish ends the response.
	finish(c *call, st *grpc.Status) error
	name() string
}

var callSlot = engine.NewSlot()
var freeCalls = engine.NewWorkerSlot()

// callOf is the call a Lua function was called in, nil outside of calls.
func callOf(c *lua.Call) *call {
	if r := luahost.Request(c); r != nil {
		if k, ok := r.Ctx(callSlot).(*call); ok {
			return k
		}
	}
	return nil
}

// serve answers a request that is a call of a service; others go on.
func serve(r *engine.Request) engine.Status {
	lc := locLevel.Of(r.Scope)
	if !r.IsMain() || r.HeaderSent {
		return engine.Declined
	}
	if lc.passed != nil {
		if st, ok := lc.pass(r); ok {
			return st
		}
	}
	if lc.methods == nil {
		return engine.Declined
	}
	k := kindOf(r, lc)
	if k.proto == nil {
		if k.status != 0 {
			return k.status
		}
		return engine.Declined
	}
	return answer(r, lc, &k)
}

// answer answers a call.
func answer(r *engine.Request, lc *locConf, k *kind) engine.Status {
	c := newCall(r, lc, k)
	st := c.run()
	c.release()
	return st
}

func newCall(r *engine.Request, lc *locConf, k *kind) *call {
	c, _ := r.W.Values[freeCalls].(*call)
	if c != nil {
		r.W.Values[freeCalls] = c.next
		c.next = nil
	} else {
		c = &call{}
		c.args = c.pushArgs
		c.take = c.takeResult
		c.timer.Init(c.expired)
	}
	c.r, c.conf, c.m, c.proto, c.json, c.rule, c.values = r, lc, k.method, k.proto, k.json, k.rule, k.values
	r.SetCtx(callSlot, c)
	return c
}

func (c *call) release() {
	w := c.r.W
	if c.timer.Armed() {
		w.Loop.Disarm(&c.timer)
	}
	c.r.SetCtx(callSlot, nil)
	if c.in != nil {
		w.FreeBuffer(c.in)
	}
	if c.out != nil {
		w.FreeBuffer(c.out)
	}
	keep := call{args: c.args, take: c.take, timer: c.timer, headers: c.headers[:0], trailers: c.trailers[:0]}
	*c = keep
	if c.next, _ = w.Values[freeCalls].(*call); c.next != nil {
		if c.nfree = c.next.nfree + 1; c.nfree >= maxFreeCalls {
			return
		}
	}
	w.Values[freeCalls] = c
}

// run serves the call to its end.
func (c *call) run() engine.Status {
	r := c.r
	if !r.Invite(true) {
		return engine.Error
	}
	r.Out.Status, r.Out.ContentLength = 200, -1
	st := c.begin()
	if st == nil {
		if w, ok := r.Stream.(engine.Watcher); ok {
			w.Watch(c.gone)
			st = c.handle()
			w.Watch(nil)
		} else {
			st = c.handle()
		}
	}
	if c.canceled || r.Aborted {
		c.count(errGone)
		if r.In.Version != http1.Version20 { // else the connection has written a line
			r.Logf(nlog.Info, "client canceled the call of /%s/%s", c.m.service, c.m.name)
		}
		return engine.StatusClientClosed
	}
	if st == nil {
		st = &statusOK
	}
	c.count(st)
	c.log(nlog.Info, st)
	if err := c.proto.finish(c, st); err != nil {
		return engine.Error
	}
	if st := r.DiscardBody(); st != engine.OK && st != engine.Declined {
		return engine.Error
	}
	return engine.Done
}

var statusOK grpc.Status

// count keeps how the call has ended.
func (c *call) count(st *grpc.Status) {
	o := tally.Note(c.r)
	o.Code, o.Received, o.Sent, o.Time = st.Code, int64(c.received), int64(c.sent), c.r.W.Loop.Now()-c.r.Start
	if st.Message != "" {
		o.Message = grpc.AppendMessage(c.r.Alloc(3 * len(st.Message))[:0], st.Message)
	}
	tally.Add(c.r.W, tally.Server, "", c.m.path, c.m.kind, c.m.desc != nil, o)
}

// log writes the line about a call that has failed, once.
func (c *call) log(level nlog.Level, st *grpc.Status) {
	if st.Code != grpc.OK && !c.logged && c.r.Logger.On(level) {
		c.logged = true
		c.r.Logf(level, "call of /%s/%s ended with %s", c.m.service, c.m.name, st)
	}
}

// begin reads what the head says of the call.
func (c *call) begin() *grpc.Status {
	r := c.r
	now := r.W.Loop.Now()
	limit := c.conf.timeout.V
	var bad *grpc.Status
	for i := range r.In.List {
		h := &r.In.List[i]
		switch string(lower(h.Name)) {
		case "grpc-timeout":
			d, ok := grpc.ParseTimeout(h.Value)
			if !ok {
				bad = &grpc.Status{Code: grpc.Internal, Message: "malformed grpc-timeout: " + string(h.Value)}
			} else if d == 0 {
				bad = &grpc.Status{Code: grpc.DeadlineExceeded, Message: "Deadline Exceeded"}
			} else if limit == 0 || d < limit {
				limit = d
			}
		case "connect-timeout-ms":
			if d, ok := millis(h.Value); !ok {
				bad = &grpc.Status{Code: grpc.InvalidArgument, Message: "malformed connect-timeout-ms: " + string(h.Value)}
			} else if d == 0 {
				bad = &grpc.Status{Code: grpc.DeadlineExceeded, Message: "Deadline Exceeded"}
			} else if limit == 0 || d < limit {
				limit = d
			}
		case "connect-protocol-version":
			if string(h.Value) != "1" {
				bad = &grpc.Status{Code: grpc.InvalidArgument, Message: "unknown connect-protocol-version: " + string(h.Value)}
			}
		case "grpc-encoding", "connect-content-encoding":
			c.encoding = string(h.Value)
		case "content-encoding":
			if c.proto == protoConnectUnary {
				c.encoding = string(h.Value)
			}
		case "grpc-accept-encoding", "connect-accept-encoding":
			c.accepts = c.accepts || bytes.Contains(h.Value, []byte("gzip"))
		case "accept-encoding":
			if c.proto == protoConnectUnary {
				c.accepts = bytes.Contains(h.Value, []byte("gzip"))
			}
		}
	}
	if limit > 0 && limit < grpc.MaxTimeout {
		c.deadline = now + int64(limit)
		r.W.Loop.Arm(&c.timer, c.deadline)
	}
	if c.accepts && c.conf.compress.V == "gzip" {
		c.compress = "gzip"
	}
	switch c.encoding {
	case "identity":
		c.encoding = ""
	case "", "gzip":
	default:
		return &grpc.Status{Code: grpc.Unimplemented, Message: `grpc: Decompressor is not installed for grpc-encoding "` + c.encoding + `"`}
	}
	if bad == nil && c.m.desc == nil {
		bad = &grpc.Status{Code: grpc.Unimplemented, Message: "unknown method " + c.m.name + " for service " + c.m.service}
		if _, known := c.conf.guarded[c.m.service]; !known && !c.conf.served[c.m.service] {
			bad.Message = "unknown service " + c.m.service
		}
	}
	return bad
}

func millis(b []byte) (time.Duration, bool) {
	n := int64(0)
	for _, d := range b {
		if d < '0' || d > '9' || n > 1e12 {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return time.Duration(n) * time.Millisecond, len(b) > 0
}

// lower is a name of a header in lower case, in place: drivers of HTTP/2 have them so.
func lower(name []byte) []byte {
	for _, b := range name {
		if b >= 'A' && b <= 'Z' {
			return bytes.ToLower(name)
		}
	}
	return name
}

// handle runs the handler; nil is OK.
func (c *call) handle() *grpc.Status {
	if c.m.native != nil {
		return c.m.native(c)
	}
	return c.runLua()
}

// expired ends a call that is over its deadline. A timer that has fired may run late, when another call has the memory.
func (c *call) expired() {
	if c.r == nil || c.deadline == 0 || c.r.W.Loop.Now() < c.deadline {
		return
	}
	c.end(&grpc.Status{Code: grpc.DeadlineExceeded, Message: "Deadline Exceeded"})
}

// gone ends a call whose client has given it up.
func (c *call) gone() {
	c.canceled = true
	c.end(&grpc.Status{Code: grpc.Canceled, Message: "context canceled"})
}

func (c *call) end(st *grpc.Status) {
	if c.status == nil {
		c.status = st
	}
	if c.x != nil && c.x.Context.Interrupt(int(engine.StatusClientClosed)) {
		c.x.Exited, c.x.ExitCode = true, int(engine.StatusClientClosed)
	}
}

// more reads more of the body; io.EOF, or a *grpc.Status.
func (c *call) more(need int) error {
	r := c.r
	if c.inEOF {
		return io.EOF
	}
	d, ok := r.Stream.(engine.Downstream)
	if !ok || !r.HasBody() && r.In.Version < http1.Version20 {
		c.inEOF = true
		return io.EOF
	}
	for {
		c.room(need)
		n, err := d.TryBody(r, c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+n]
		switch {
		case n > 0:
			return nil
		case err == io.EOF:
			c.inEOF = true
			return io.EOF
		case err != nil && err != syscall.EAGAIN:
			return c.broken(err)
		}
		c.dropEmpty()
		if err := c.wait(d); err != nil {
			return err
		}
	}
}

// wait waits for more of the body; the error is a *grpc.Status.
func (c *call) wait(d engine.Downstream) error {
	r := c.r
	until := c.deadline
	if until == 0 {
		until = r.W.Loop.Now() + int64(24*365*time.Hour)
	}
	if !c.m.clientStream { // a stream may be silent, but who sends one message has to send it
		until = min(until, r.W.Loop.Now()+int64(r.Core().ClientBodyTimeout.V))
	}
	if err := d.WaitBody(until); err != nil {
		return c.broken(err)
	}
	return nil
}

// noMore sees to the end of the requests: nothing may follow the only message, which is left in the buffer as it is.
func (c *call) noMore() *grpc.Status {
	if c.pos < len(c.in) {
		return c.excess(c.in[c.pos])
	}
	if c.inEOF {
		return nil
	}
	d, ok := c.r.Stream.(engine.Downstream)
	if !ok {
		return nil
	}
	for {
		n, err := d.TryBody(c.r, c.probe[:])
		switch {
		case n > 0:
			return c.excess(c.probe[0])
		case err == io.EOF:
			c.inEOF = true
			return nil
		case err != nil && err != syscall.EAGAIN:
			return statusOf(c.broken(err))
		}
		if err := c.wait(d); err != nil {
			return statusOf(err)
		}
	}
}

// excess is what a byte behind the only message means: another message, if it is not the end that grpc-web and Connect may
// send as a frame.
func (c *call) excess(flags byte) *grpc.Status {
	switch p := c.proto.(type) {
	case *frames:
		if p.web && flags&grpc.Trailers != 0 {
			return nil
		}
	case *connectStream:
		if flags&grpc.EndStream != 0 {
			return nil
		}
	default:
		return nil
	}
	return &grpc.Status{Code: grpc.Internal, Message: "there is more than one request message"}
}

// room makes sure that need bytes from the first unread one fit, and that something can be read.
func (c *call) room(need int) {
	if c.pos == len(c.in) {
		c.in, c.pos = c.in[:0], 0
	}
	if cap(c.in)-c.pos >= need && len(c.in) < cap(c.in) {
		return
	}
	w := c.r.W
	nb := append(w.Buffer(max(need, 2*(len(c.in)-c.pos), 4<<10)), c.in[c.pos:]...)
	if c.in != nil {
		w.FreeBuffer(c.in)
	}
	c.in, c.pos = nb, 0
}

// dropEmpty gives a buffer without contents back: a stream may wait for long.
func (c *call) dropEmpty() {
	if c.in != nil && c.pos == len(c.in) {
		c.r.W.FreeBuffer(c.in)
		c.in, c.pos = nil, 0
	}
}

// broken is the status of a failure to read.
func (c *call) broken(err error) error {
	switch {
	case c.status != nil:
		return c.status
	case err == netio.ErrTimeout:
		return &grpc.Status{Code: grpc.DeadlineExceeded, Message: "Deadline Exceeded"}
	case c.r.Stream.Gone():
		c.canceled = true
		return &grpc.Status{Code: grpc.Canceled, Message: "context canceled"}
	}
	return &grpc.Status{Code: grpc.Internal, Message: "failed to read the request: " + err.Error()}
}

// fetch gives the next n bytes of the body; io.EOF at its end, io.ErrUnexpectedEOF within.
func (c *call) fetch(n int) ([]byte, error) {
	for len(c.in)-c.pos < n {
		if err := c.more(n); err != nil {
			if err == io.EOF && len(c.in) > c.pos {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	b := c.in[c.pos : c.pos+n]
	c.pos += n
	return b, nil
}

// whole reads the rest of the body, of at most limit bytes.
func (c *call) whole(limit int64) ([]byte, error) {
	for {
		if int64(len(c.in)-c.pos) > limit {
			return nil, grpc.TooLarge(int64(len(c.in)-c.pos), limit)
		}
		if err := c.more(len(c.in) - c.pos + 1); err == io.EOF {
			b := c.in[c.pos:]
			c.pos = len(c.in)
			return b, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// recv is the next message of the client.
func (c *call) recv() ([]byte, error) {
	if c.status != nil {
		return nil, c.status
	}
	msg, err := c.proto.recv(c)
	switch err {
	case nil:
		c.received++
	case io.EOF:
	default:
		c.status = statusOf(err) // whatever the handler makes of it
	}
	return msg, err
}

// recvOne is the only message of a method that takes one.
func (c *call) recvOne() ([]byte, *grpc.Status) {
	msg, err := c.recv()
	if err == io.EOF {
		return nil, &grpc.Status{Code: grpc.Internal, Message: "there is no request message"}
	}
	if err != nil {
		return nil, statusOf(err)
	}
	return msg, c.noMore()
}

func statusOf(err error) *grpc.Status {
	if st, ok := err.(*grpc.Status); ok {
		return st
	}
	return &grpc.Status{Code: grpc.Internal, Message: err.Error()}
}

// send sends a message.
func (c *call) send(msg []byte, last bool) error {
	switch {
	case c.status != nil:
		return c.status
	case c.canceled || c.r.Aborted:
		return &grpc.Status{Code: grpc.Canceled, Message: "context canceled"}
	case int64(len(msg)) > c.conf.sendSize.V:
		return &grpc.Status{Code: grpc.ResourceExhausted, Message: "trying to send a message larger than grpc_max_send_size"}
	}
	c.sent++
	if err := c.proto.send(c, msg, last); err != nil {
		return err
	}
	if !last && c.r.Pending() > engine.OutputLow {
		if c.r.Drain(engine.OutputLow) != nil {
			return &grpc.Status{Code: grpc.Canceled, Message: "context canceled"}
		}
	}
	return nil
}

// sendHead sends the response head with the call's headers.
func (c *call) sendHead(contentType string) error {
	if c.headSent {
		return nil
	}
	c.headSent = true
	r := c.r
	r.Out.ContentType = r.CopyString(contentType)
	r.Out.List = append(r.Out.List, c.headers...)
	r.KeepAlive = r.KeepAlive && !c.canceled
	if r.SendHead() != engine.OK {
		return errGone
	}
	return nil
}

var errGone = &grpc.Status{Code: grpc.Canceled, Message: "context canceled"}

// buffer is an empty buffer for what goes out.
func (c *call) buffer(n int) []byte {
	if cap(c.out) < n {
		if c.out != nil {
			c.r.W.FreeBuffer(c.out)
		}
		c.out = c.r.W.Buffer(n)
	}
	return c.out[:0]
}

func (c *call) output(b []byte, flush, last bool) error {
	if c.r.HeadOnly {
		return nil
	}
	err := c.r.Output(&engine.Chunk{Data: b, Flush: flush && !last, Last: last})
	if flush && c.out != nil { // of a stream, which may wait for long
		c.r.W.FreeBuffer(c.out)
		c.out = nil
	}
	if err != nil {
		return errGone
	}
	return nil
}

// header adds a response header or trailer of the call; the strings are copied.
func (c *call) header(list *[]http1.Header, name string, value []byte) {
	name = strings.ToLower(name)
	r := c.r
	if strings.HasSuffix(name, "-bin") {
		value = grpc.AppendBinary(nil, value)
	} else {
		value = r.Copy(value)
	}
	*list = append(*list, http1.Header{Name: r.CopyString(name), Value: value})
}
