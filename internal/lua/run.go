package lua

import (
	"moongate/internal/luajit"
	"moongate/internal/netio"
	"strings"
)

// Status is how a handler ended.
type Status uint8

const (
	// Done: it returned.
	Done Status = iota
	// Ended: a function ended it with Call.End.
	Ended
	// Failed: a Lua error, see Result.Err.
	Failed
)

// Result is the end of a handler's run.
type Result struct {
	Status Status
	Code   int // Ended: the code given to Call.End
	Err    *RunError
}

// RunError is a Lua error which no pcall has caught.
type RunError struct {
	Msg   string
	Trace string // begins with "stack traceback:"
	Phase Phase
	light bool // of a light thread that was spawned
}

// noReason is the message of an error whose value is no text.
const noReason = "unknown reason"

var processPhases = map[Phase]string{PhaseInit: "init_by_lua", PhaseInitWorker: "init_worker_by_lua", PhaseExitWorker: "exit_worker_by_lua"}

// Error is what OpenResty logs: "lua entry thread aborted: runtime error: MSG\nstack traceback:\ncoroutine 0:..." in
// phases which may wait, "failed to run log_by_lua*: MSG\nstack traceback:..." in others, "init_by_lua error: ..." in
// those of the process.
func (e *RunError) Error() string {
	if e.light {
		return "lua user thread aborted: runtime error: " + e.Msg + "\n" + e.Trace
	}
	if name := processPhases[e.Phase]; name != "" {
		if e.Msg == noReason {
			return name + " error: unknown error\n" + e.Trace
		}
		return name + " error: " + e.Msg + "\n" + e.Trace
	}
	if Yieldable.Has(e.Phase) {
		return "lua entry thread aborted: runtime error: " + e.Msg + "\n" + e.Trace
	}
	return "failed to run " + strings.TrimPrefix(e.Phase.String(), "ssl_") + ": " + e.Msg + "\n" + e.Trace // OpenResty's own inconsistency
}

// Thread is a light thread: the entry thread of a run, or one which ngx.thread.spawn began.
type Thread struct {
	vm    *VM
	lj    *luajit.Thread
	ctx   *Context
	phase Phase
	call  Call // of the operation it waits for

	// Pending counts the subrequests in flight which the thread waits for: it cannot be killed meanwhile.
	Pending int

	light *group // of an entry thread: nil until it spawns
	entry *Thread
	task  *netio.Task // which serves it; valid while it runs
	state threadState
	wait  waitKind
	// Of light threads: the coroutine which spawned it, and the thread that runs that.
	parent       luajit.LState
	parentThread *Thread
	failed       bool
	started      bool      // of ngx.on_abort's
	spawned      bool      // it has begun others
	waitFor      *joining  // while it is in ngx.thread.wait
	taken        []*Thread // whose results it is about to get
}

// thread takes an idle thread.
func (v *VM) thread() (*Thread, error) {
	if n := len(v.free); n > 0 {
		t := v.free[n-1]
		v.free = v.free[:n-1]
		v.live++
		return t, nil
	}
	lj, err := v.lj.NewThread()
	if err != nil {
		return nil, err
	}
	t := &Thread{vm: v, lj: lj}
	t.call = Call{vm: v, thread: t, out: luajit.NewWire(wireSize)}
	t.entry = t
	v.live++
	return t, nil
}

// maxIdle threads are kept for reuse, unless SetIdleThreads says otherwise.
const maxIdle = 1024

func (v *VM) recycle(t *Thread) {
	t.lj.ResetDone()
	t.ctx = nil
	t.call.args = nil
	t.task, t.state, t.Pending, t.light, t.spawned = nil, running, 0, nil, false
	v.live--
	if len(v.free) >= v.most {
		v.lj.FreeThread(t.lj)
		t.call.out.Free()
		return
	}
	t.call.out.Trim(wireKeep)
	v.free = append(v.free, t)
}

// Live is the number of handlers running or waiting.
func (v *VM) Live() int { return v.live }

// VM is where the chunk was loaded.
func (c *Chunk) VM() *VM { return c.vm }

// Run runs the chunk as the handler of a phase, for a request (ctx may be nil), until it is over. Async functions may
// park the goroutine meanwhile. The caller holds the baton, before and after.
func (c *Chunk) Run(ctx *Context, phase Phase) Result { return c.RunWith(ctx, phase, nil, nil) }

// RunWith is Run with arguments and results: args writes the chunk's arguments, take sees what it returned as the
// arguments of a call. Both may be nil.
func (c *Chunk) RunWith(ctx *Context, phase Phase, args func(w *Writer), take func(c *Call)) Result {
	v := c.vm
	t, err := v.thread()
	if err != nil {
		return Result{Status: Failed, Err: &RunError{Msg: "not enough memory", Phase: phase}}
	}
	t.phase, t.ctx = phase, ctx
	if v.Loop != nil {
		t.task = v.Loop.Current()
	}
	var lctx *luajit.Ctx
	if ctx != nil {
		ctx.bind(v)
		lctx = ctx.c
		if Yieldable.Has(phase) {
			ctx.entry = t
			defer func() { ctx.entry = nil }()
		}
	}
	t.lj.Prepare(c.fn, uint32(phase), lctx)
	if args != nil {
		t.call.out.Reset()
		args(t.call.Push())
		if t.lj.Args(t.call.out) != nil {
			v.recycle(t)
			return Result{Status: Failed, Err: &RunError{Msg: "not enough memory", Phase: phase}}
		}
	}
	r := t.run()
	if t.light != nil {
		r = t.finish(r)
	}
	if r.Status == Done && take != nil {
		t.call.args, t.call.l = t.lj.Values(), t.lj.L()
		take(&t.call)
	}
	v.recycle(t)
	if v.lj.HasFreed() {
		v.collect()
	}
	if len(v.late) > 0 && v.cur == nil {
		v.dropLate()
	}
	return r
}

// run resumes the thread and serves its operations until it is over.
func (t *Thread) run() Result {
	v := t.vm
	prev := v.cur // of the call this run is nested in
	defer v.enter(prev)
	for {
		switch t.resume() {
		case luajit.RetDone:
			return Result{Status: Done}
		case luajit.RetError:
			for p := t.parentThread; p != nil && p.lj != nil && p.state == running; p = p.parentThread {
				p.lj.TraceParent()
			}
			e := v.lj.Failure()
			return Result{Status: Failed, Err: &RunError{Msg: e.Msg, Trace: e.Traceback, Phase: t.phase, light: t != t.entry}}
		case luajit.RetYield:
			if t.entry.light != nil && !t.giveTurn() {
				return Result{Status: Ended}
			}
			continue
		}
		c := &t.call
		c.args, c.l, c.packed = t.lj.Values(), t.lj.L(), c.packed[:0]
		if v.lj.HasFreed() {
			v.collect()
		}
		t.wait = inOperation
		out := t.operate(c)
		t.wait = notWaiting
		if t.state == dead { // killed meanwhile
			return Result{Status: Ended}
		}
		if out == ended {
			return Result{Status: Ended, Code: c.code}
		}
		res, n := c.out.Seal()
		t.lj.Outcome(out.kind(), c.errArg, res, n)
	}
}

// operate carries out the operation the thread waits for.
func (t *Thread) operate(c *Call) Outcome {
	v := t.vm
	i := t.lj.Op()
	x := t.ctx
	if !v.rt.opt.Unlimited || x == nil || !v.rt.funcs[i].Filters {
		return v.invoke(c, i)
	}
	// What filters do to a response must not mix with what another light thread sends meanwhile.
	x.turn = append(x.turn, t)
	for x.turn[0] != t && t.state != dead {
		v.Loop.Park(0)
	}
	out := returned
	if t.state != dead {
		out = v.invoke(c, i)
	}
	for n, w := range x.turn {
		if w == t {
			x.turn = append(x.turn[:n], x.turn[n+1:]...)
			break
		}
	}
	if len(x.turn) > 0 {
		v.Loop.Ready(x.turn[0].task)
	}
	return out
}

// resume gives the VM to the thread until it waits or is over.
func (t *Thread) resume() int {
	v := t.vm
	v.enter(t)
	rc := t.lj.Resume()
	if len(t.taken) > 0 {
		t.freeTaken()
	}
	v.flush()
	v.cur = nil
	return rc
}
