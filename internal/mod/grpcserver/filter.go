package grpcserver

import (
	"bytes"
	"errors"
	"io"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/grpc"
	"moongate/internal/http1"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
	"moongate/internal/relay"
)

// filtered is a call that grpc_pass passes on while Lua sees its messages: the Editor of the exchange. Its two directions
// run on tasks of their own; Lua sees one message at a time.
type filtered struct {
	call
	held  luahost.Held
	fn    lua.Ref // of this call, once there was a message
	begun bool

	up, down assembler
	busy     *netio.Task // whose message Lua sees
	waiting  *netio.Task // the other one, until then
	stopped  bool

	shown   []byte // to Lua
	way     string // its direction
	verdict verdict
	changed []byte
	extra   []byte // frames that go to the client before anything else
}

// assembler puts the messages of one direction together.
type assembler struct {
	buf      []byte // the worker's
	encoding string
	limit    int64
	stream   bool // there may be many messages
	way      string
}

// verdict is what Lua says of a message.
type verdict uint8

const (
	passes verdict = iota
	dropped
	changed
)

// pass prepares a request for grpc_pass whose messages Lua is to see; with ok false it is none.
func (lc *locConf) pass(r *engine.Request) (st engine.Status, ok bool) {
	name := bytes.TrimPrefix(r.URI, []byte("/"))
	m := lc.passed[string(name)]
	if m == nil {
		service, _, _ := bytes.Cut(name, []byte("/"))
		if !lc.guarded[string(service)] {
			return 0, false
		}
	}
	if t := contentType(r); r.Method != http1.MethodPost || t != "application/grpc" && t != "application/grpc+proto" {
		return 415, true // it would pass unseen
	}
	if m == nil {
		return answer(r, lc, &kind{proto: protoGRPC, method: unknown(lc, string(r.URI))}), true
	}
	f := &filtered{}
	f.r, f.m, f.conf, f.proto, f.filtered = r, m, lc, protoGRPC, f
	f.args, f.take = f.push, f.judge
	f.timer.Init(f.expired)
	f.up = assembler{limit: lc.recvSize.V, stream: m.clientStream, way: "request"}
	f.down = assembler{limit: lc.sendSize.V, stream: m.serverStream, way: "response"}
	for i := range r.In.List {
		if h := &r.In.List[i]; ascii.EqualFold(h.Name, "grpc-encoding") {
			f.up.encoding = string(h.Value)
		}
	}
	r.SetCtx(callSlot, &f.call)
	relay.Edit(r, f)
	return engine.Declined, true
}

// begin is called with the first message.
func (f *filtered) begin(x *relay.Exchange) {
	f.begun = true
	f.deadline = x.Deadline
	if f.deadline != 0 {
		f.r.W.Loop.Arm(&f.timer, f.deadline)
	}
}

// Request implements relay.Editor.
func (f *filtered) Request(x *relay.Exchange, dst, p []byte, end bool) ([]byte, bool) {
	if !f.begun {
		f.begin(x)
	}
	dst, err := f.edit(&f.up, dst, p, end)
	return dst, f.settle(err, nlog.Info)
}

// Response implements relay.Editor.
func (f *filtered) Response(x *relay.Exchange, dst, p []byte, end bool) ([]byte, bool) {
	if !f.begun {
		f.begin(x)
	}
	dst, err := f.edit(&f.down, f.inserted(dst), p, end)
	return dst, f.settle(err, nlog.Error)
}

// settle keeps why a call ends, if it does.
func (f *filtered) settle(err error, level nlog.Level) bool {
	if err == nil {
		return true
	}
	if err != errStopped {
		if f.status == nil {
			f.status = statusOf(err)
			f.log(level, f.status)
		} else {
			f.log(nlog.Info, f.status)
		}
	}
	return false
}

var (
	errStopped = errors.New("stopped")
	errEnded   = errors.New("ended by Lua") // with the call's status
)

// edit shows Lua the messages that are complete, and appends what goes on of them to dst.
func (f *filtered) edit(a *assembler, dst, p []byte, end bool) ([]byte, error) {
	a.add(f.r.W, p)
	at := 0
	for rest := a.buf; ; rest = a.buf[at:] {
		if len(rest) < grpc.FrameHead {
			break
		}
		flags, n := grpc.Head(rest)
		if int64(n) > a.limit {
			return dst, grpc.TooLarge(int64(n), a.limit)
		}
		if flags > grpc.Compressed {
			return dst, &grpc.Status{Code: grpc.Internal, Message: "grpc: received unexpected payload format"}
		}
		size := grpc.FrameHead + int(n)
		if len(rest) < size {
			break
		}
		at += size
		var err error
		if dst, err = f.message(a, dst, rest[:size]); err != nil {
			return dst, err
		}
	}
	left := len(a.buf) - at
	a.cut(f.r.W, at)
	if end && left > 0 {
		return dst, cut(io.ErrUnexpectedEOF)
	}
	return dst, nil
}

// add takes bytes; they are the caller's again.
func (a *assembler) add(w *engine.Worker, p []byte) {
	if cap(a.buf)-len(a.buf) < len(p) {
		nb := append(w.Buffer(max(len(a.buf)+len(p), 2*len(a.buf))), a.buf...)
		if a.buf != nil {
			w.FreeBuffer(a.buf)
		}
		a.buf = nb
	}
	a.buf = append(a.buf, p...)
}

// cut forgets n bytes.
func (a *assembler) cut(w *engine.Worker, n int) {
	switch {
	case n == len(a.buf) && a.buf != nil:
		w.FreeBuffer(a.buf)
		a.buf = nil
	case n > 0:
		a.buf = a.buf[:copy(a.buf, a.buf[n:])]
	}
}

// message shows Lua one message, and appends what goes on in its place.
func (f *filtered) message(a *assembler, dst, frame []byte) ([]byte, error) {
	msg := frame[grpc.FrameHead:]
	packed := frame[0]&grpc.Compressed != 0
	if packed {
		var err error
		if msg, err = a.open(msg); err != nil {
			return dst, err
		}
	}
	if err := f.show(a.way, msg); err != nil {
		return dst, err
	}
	if a.way == "response" {
		dst = f.inserted(dst)
	}
	switch f.verdict {
	case passes:
		return append(dst, frame...), nil
	case dropped:
		if !a.stream {
			return dst, &grpc.Status{Code: grpc.Aborted, Message: "the " + a.way + " was dropped"}
		}
		return dst, nil
	}
	if !packed {
		return grpc.AppendFrame(dst, 0, f.changed), nil
	}
	at := len(dst)
	dst = grpc.Gzip(append(dst, 0, 0, 0, 0, 0), f.changed)
	grpc.PutHead(dst[at:], grpc.Compressed, len(dst)-at-grpc.FrameHead)
	return dst, nil
}

// open decompresses a message.
func (a *assembler) open(msg []byte) ([]byte, error) {
	switch a.encoding {
	case "gzip":
		return grpc.Gunzip(msg, a.limit)
	case "", "identity":
		return nil, &grpc.Status{Code: grpc.Internal, Message: "grpc: compressed flag set with identity or empty encoding"}
	}
	return nil, &grpc.Status{Code: grpc.Unimplemented, Message: `grpc: Decompressor is not installed for grpc-encoding "` + a.encoding + `"`}
}

// show runs the filter.
func (f *filtered) show(way string, msg []byte) error {
	if !f.wait() {
		return errStopped
	}
	defer f.give()
	if f.status != nil {
		return errEnded
	}
	if err := f.load(); err != nil {
		return err
	}
	x := f.x
	x.SetLogLevel(lua.Level(min(f.r.Logger.Level(), nlog.Debug)))
	x.EnteredContent, x.EOF, x.Exited = true, true, false
	f.shown, f.way, f.verdict = msg, way, passes
	chunk := x.W.VM.Function(f.fn)
	res := chunk.RunWith(&x.Context, lua.PhaseContent, f.args, f.take)
	switch {
	case f.stopped:
		return errStopped
	case res.Status == lua.Failed:
		f.logged = true
		f.r.Logf(nlog.Error, "%s", res.Err.Error())
		return &grpc.Status{Code: grpc.Internal, Message: "error in the message filter"}
	case f.status != nil:
		return errEnded
	case res.Status == lua.Ended && x.Exited && x.ExitCode >= 400:
		return &grpc.Status{Code: grpc.FromHTTP(x.ExitCode), Message: "the message filter ended with status " + itoa(x.ExitCode)}
	}
	return nil
}

// wait waits until Lua sees no message of the other direction.
func (f *filtered) wait() bool {
	loop := f.r.W.Loop
	for f.busy != nil {
		f.waiting = loop.Current()
		err := loop.Park(0)
		if f.waiting = nil; err != nil {
			return false
		}
	}
	f.busy = loop.Current()
	return true
}

func (f *filtered) give() {
	f.busy = nil
	if f.waiting != nil {
		f.r.W.Loop.Ready(f.waiting)
	}
}

// load makes the function that is shown the messages of this call.
func (f *filtered) load() error {
	if f.fn != 0 {
		return nil
	}
	f.x = luahost.Of(f.r)
	m, err := f.driver()
	if err == nil {
		maker := f.x.W.VM.Function(m)
		f.fn, err = f.refOf(&maker, nil)
	}
	if err == nil && f.fn == 0 {
		err = errors.New("the message filter is no function")
	}
	if err != nil {
		f.logged = true
		f.r.Logf(nlog.Error, "%s", err)
		return &grpc.Status{Code: grpc.Internal, Message: "the message filter cannot be loaded"}
	}
	f.x.Hold(&f.held, f)
	return nil
}

// DropHeld is told that the request forgets its Lua state.
func (f *filtered) DropHeld() {
	if f.fn != 0 {
		f.x.W.VM.Unref(f.fn)
	}
	f.fn, f.x = 0, nil
}

func (f *filtered) push(w *lua.Writer) {
	w.Str(f.shown)
	w.String(f.way)
}

// judge sees what Lua has returned.
func (f *filtered) judge(c *lua.Call) {
	switch c.Type(1) {
	case lua.Bool:
		f.verdict = dropped
	case lua.Str:
		f.verdict, f.changed = changed, append(f.changed[:0], c.Str(1)...)
	}
}

// insert adds a message to what the client gets.
func (f *filtered) insert(msg []byte) { f.extra = grpc.AppendFrame(f.extra, 0, msg) }

// inserted appends what insert has left to dst.
func (f *filtered) inserted(dst []byte) []byte {
	dst = append(dst, f.extra...)
	f.extra = f.extra[:0]
	return dst
}

// Head implements relay.Editor.
func (f *filtered) Head(x *relay.Exchange) bool {
	f.headSent = true
	if x.Resp.Status != 200 || !ascii.HasPrefixFold(x.Resp.Get(http1.HContentType), "application/grpc") {
		return false
	}
	for i := range x.Resp.List {
		if h := &x.Resp.List[i]; ascii.EqualFold(h.Name, "grpc-encoding") {
			f.down.encoding = string(h.Value)
		}
	}
	f.r.Out.List = append(f.r.Out.List, f.headers...)
	return true
}

// Trailers implements relay.Editor.
func (f *filtered) Trailers(list []http1.Header) []http1.Header { return append(list, f.trailers...) }

// Answer implements relay.Editor.
func (f *filtered) Answer() ([]byte, []http1.Header) {
	st := f.status
	if st == nil {
		st = &statusOK
	}
	if !f.r.HeaderSent {
		f.r.Out.List = append(f.r.Out.List, f.headers...)
	}
	return f.extra, f.statusFields(st)
}

// Stop implements relay.Editor.
func (f *filtered) Stop() *netio.Task {
	t := f.busy
	if t != nil && f.x != nil {
		f.stopped = true
		f.x.Context.Interrupt(int(engine.StatusClientClosed))
	}
	return t
}

// Done implements relay.Editor.
func (f *filtered) Done() {
	w := f.r.W
	if f.timer.Armed() {
		w.Loop.Disarm(&f.timer)
	}
	for _, a := range []*assembler{&f.up, &f.down} {
		a.cut(w, len(a.buf))
	}
	if f.fn != 0 {
		f.held.LetGo()
		f.DropHeld()
	}
	f.r.SetCtx(callSlot, nil)
}
