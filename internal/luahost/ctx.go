// Package luahost ties requests to the Lua VM of their worker: the state Lua keeps with a request, and how a handler's
// code is run in a phase and its end turned into what the engine wants to know.
//
// The packages of the Lua API (luaapi/...) and the directives (mod/luamod) build on it and do not know each other.
package luahost

import (
	"strconv"
	"time"
	"unsafe"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/lua"
	"moongate/internal/luajit"
)

// Ctx is what Lua knows of one request. It is lost, like every module's, when the request is redirected internally.
type Ctx struct {
	lua.Context
	Holder
	R *engine.Request
	W *Worker

	// ExitCode is what ngx.exit was given; Exited that it was called in the running handler.
	ExitCode int
	Exited   bool
	// ExecURI, when not nil, is where ngx.exec sends the request.
	ExecURI, ExecArgs []byte
	// EOF says that the end of the response was sent (ngx.eof).
	EOF bool
	// ProxyTLS is the handshake with an upstream server that a hook runs in.
	ProxyTLS *ProxyTLS
	// RawSocket says that Lua has taken the client's connection (ngx.req.socket(true)).
	RawSocket bool
	// Refused is the status that a header filter wants in place of the response: the handler ends with it.
	Refused engine.Status
	// EnteredContent says that content_by_lua runs or ran.
	EnteredContent bool
	// Buffering gathers output of HTTP/1.0 responses to find their length.
	Buffering bool
	buffered  []byte
	// TypeSet says that Lua set a Content-Type or asked for none.
	TypeSet bool

	// Filter is the chunk a body filter sees and what it leaves behind, nil elsewhere.
	Filter *FilterArgs
	filter FilterArgs
	// SetArgs are the arguments of set_by_lua (ngx.arg).
	SetArgs [][]byte
	set     *setRun
	// BodySeenEOF says that body_filter_by_lua ended the body early.
	BodySeenEOF bool
	// NoAbort counts subrequests in flight: ngx.exit must wait for them.
	NoAbort int
	subs    subs
	broken  bool // the request's own VM could not be made
	next    *Ctx
}

// PushFilter makes args what a body filter sees; it returns what was seen before, for PopFilter.
func (x *Ctx) PushFilter(args FilterArgs) (outer *FilterArgs, saved FilterArgs) {
	outer, saved = x.Filter, x.filter
	x.filter = args
	x.Filter = &x.filter
	return outer, saved
}

// PopFilter ends what PushFilter began and returns what the filter has left.
func (x *Ctx) PopFilter(outer *FilterArgs, saved FilterArgs) (left FilterArgs) {
	left = x.filter
	x.Filter, x.filter = outer, saved
	return left
}

// FilterArgs is ngx.arg in body_filter_by_lua.
type FilterArgs struct {
	Data   []byte
	EOF    bool
	Result int // what the code returned
}

// Worker is the Lua side of a worker, or, with lua_code_cache off, that of one request (see private.go).
type Worker struct {
	W  *engine.Worker
	H  *engine.HTTP // the snapshot
	VM *lua.VM
	// Make makes another VM like this one, with init_by_lua run in it.
	Make func() (*lua.VM, error)
	// Collected is the memory the VM used after its last full collection.
	Collected int

	free    *Ctx
	files   map[string]*lua.Code // of names with variables
	code    codeRefs             // for the debug log
	served  int                  // requests since malloc was trimmed
	private bool                 // VM belongs to the users
	gone    bool                 // VM is closed, or about to be
	users   int

	timers   *Timers
	watchman *lua.Watchman
	values   []any // of packages, by Slot
	serials  uint64
}

var (
	ctxSlot    = engine.NewSlot()
	workerSlot = engine.NewWorkerSlot()
)

// WorkerOf gives the Lua side of a worker for a snapshot.
func WorkerOf(w *engine.Worker, h *engine.HTTP) *Worker {
	lw, _ := h.Local(w, workerSlot).(*Worker)
	return lw
}

// Attach makes vm the one a worker serves the snapshot with.
func Attach(w *engine.Worker, h *engine.HTTP, vm *lua.VM) *Worker {
	lw := &Worker{W: w, H: h, VM: vm, timers: &Timers{w: w, h: h}}
	lw.adopt()
	h.SetLocal(w, workerSlot, lw)
	lw.watchStalls()
	return lw
}

// watchStalls looks for Lua code that does not wait, where lua_worker_stall_threshold asks for it.
func (lw *Worker) watchStalls() {
	over := MainOf(lw.H).StallThreshold.V
	if over <= 0 {
		return
	}
	log, id := lw.W.Plane.Params().Log, lw.W.ID
	lw.watchman = lw.VM.Watch(over, engine.Stalls(), func(over time.Duration) {
		log.Logf(nlog.Warn, nil, nil, "worker %d has been in something that Lua code has called for over %s", id, over.Truncate(time.Millisecond))
	})
}

// adopt makes the VM one of the worker's.
func (lw *Worker) adopt() {
	loop := lw.W.Loop
	if loop.Mirror == nil {
		loop.Mirror = luajit.NewClock()
		*loop.Mirror = loop.Wall()
	}
	lw.VM.Data, lw.VM.Loop = lw, loop
	lw.VM.SetClock(loop.Mirror)
}

// Of gives the request's Ctx, making it at the first use.
func Of(r *engine.Request) *Ctx {
	if x, ok := r.Ctx(ctxSlot).(*Ctx); ok {
		return x
	}
	return create(r)
}

// Existing gives the request's Ctx, nil when Lua has not touched the request yet.
func Existing(r *engine.Request) *Ctx {
	x, _ := r.Ctx(ctxSlot).(*Ctx)
	return x
}

func create(r *engine.Request) *Ctx {
	x := blank(r)
	if !ConfOf(r.Scope).CodeCache.V {
		x.ownVM()
	}
	if st := r.Conn.TLS; st != nil && st.Kept != nil {
		x.inherit(st.Kept)
	}
	return x
}

// blank makes a Ctx that uses the worker's VM.
func blank(r *engine.Request) *Ctx {
	lw := WorkerOf(r.W, r.H)
	x := lw.free
	if x == nil {
		x = &Ctx{}
		x.OnEnd = x.endSubs
	} else {
		lw.free, x.next = x.next, nil
	}
	x.R, x.W = r, lw
	x.Context.Data = x
	x.SetExdata(uintptr(unsafe.Pointer(x)))
	r.SetCtx(ctxSlot, x)
	return x
}

// ReleaseCtx recycles the Ctx; the engine calls it when the request ends or leaves its location.
func (x *Ctx) ReleaseCtx() {
	lw := WorkerOf(x.R.W, x.R.H)
	if _, used := x.CtxRef(); used {
		x.R.Logf(nlog.Debug, "lua release ngx.ctx at ref %d", 1)
	}
	if x.R.IsMain() {
		x.R.Logf(nlog.Debug, "http close request")
	}
	x.Drop()
	x.Context.Release()
	if x.W != lw {
		x.W.Release()
	}
	buf := x.buffered[:0]
	if cap(buf) > 64<<10 {
		buf = nil
	}
	clear(x.SetArgs)
	*x = Ctx{Context: x.Context, buffered: buf, SetArgs: x.SetArgs[:0], set: x.set}
	x.next = lw.free
	lw.free = x
}

// Logf writes a line about the request.
func (x *Ctx) Logf(level nlog.Level, format string, args ...any) { x.R.Logf(level, format, args...) }

// FromCall gives the Ctx of the request a Lua function was called in; nil outside of requests (timers, init).
func FromCall(c *lua.Call) *Ctx {
	ctx := c.Context()
	if ctx == nil {
		return nil
	}
	x, _ := ctx.Data.(*Ctx)
	return x
}

// Request gives the request a Lua function was called in; nil outside of requests.
func Request(c *lua.Call) *engine.Request {
	if x := FromCall(c); x != nil {
		return x.R
	}
	return nil
}

// SetContentLength makes the request's own head carry a Content-Length, in place of how the client framed its body.
func SetContentLength(r *engine.Request, n int64) {
	SetHeaderIn(r, []byte("Content-Length"), strconv.AppendInt(nil, n, 10))
	r.ContentLength, r.ChunkedBody = n, false
}

// DropContentLength makes the request's own head say nothing of a body.
func DropContentLength(r *engine.Request) {
	if r.In.Has(http1.HContentLength) {
		SetRequestHeader(r, []byte("Content-Length"), nil, true)
	}
	r.ContentLength, r.ChunkedBody = -1, false
}

// SetHeaderIn sets one header of the request; the bytes must live as long as it.
func SetHeaderIn(r *engine.Request, name, value []byte) {
	h := r.OwnHead()
	for i := range h.List {
		if ascii.EqualFold(h.List[i].Name, name) {
			h.List[i].Value = value
			return
		}
	}
	h.Add(name, value)
}
