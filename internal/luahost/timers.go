package luahost

import (
	"errors"
	"slices"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/netio"
)

// Timers are the timers Lua code has made with one snapshot in one worker. A pending timer is an entry of the loop's
// timers and what Lua has anchored; it becomes a task when it runs.
type Timers struct {
	Pending, Running int

	w       *engine.Worker
	h       *engine.HTTP
	first   *timer  // of the pending ones
	home    *origin // of timers made outside of requests
	exiting bool

	lastWhen, tie int64
}

// timer is one call of ngx.timer.at, or all those of ngx.timer.every.
type timer struct {
	netio.Timer
	ts         *Timers
	lw         *Worker // whose VM it runs in
	prev, next *timer

	fn        lua.Ref
	args      []timerArg
	every     time.Duration
	premature bool
	leaving   bool // its worker waits for its last run
	origin    *origin
}

// timerArg is an argument kept for the function.
type timerArg struct {
	kind lua.Type
	num  float64
	str  string
	ref  lua.Ref
}

// origin is where a timer was made.
type origin struct {
	scope  *conf.Scope
	log    *nlog.Logger
	remote engine.Addr
	server string // the listening address
}

// Errors of NewTimer.
const (
	ErrExiting  = "process exiting"
	ErrTooMany  = "too many pending timers"
	ErrNoMemory = "no memory"
)

// NewTimer makes a timer that runs the function which is argument 2 of the call with the arguments after it: once after
// d, or, if every, again and again. It returns an error text or "".
func NewTimer(c *lua.Call, d time.Duration, every bool) string {
	lw := CallWorker(c)
	ts := lw.timers
	switch {
	case ts.exiting && d > 0:
		return ErrExiting
	case ts.Pending >= MainOf(ts.h).MaxPendingTimers.V:
		return ErrTooMany
	}
	fn, err := c.Ref(2)
	if err != nil {
		return ErrNoMemory
	}
	t := &timer{ts: ts, lw: lw, fn: fn, origin: originOf(c, ts)}
	if every {
		t.every = d
	}
	t.Init(t.fire)
	if !t.keepArgs(c) {
		t.unref()
		return ErrNoMemory
	}
	ts.w.Hold(ts.h)
	lw.Hold()
	ts.arm(t, d)
	if log := ts.w.Plane.Params().Log; log.On(nlog.Debug) {
		log.Logf(nlog.Debug, nil, nil, "created timer (co: %p delay: %d ms)", t, d.Milliseconds())
	}
	return ""
}

func (t *timer) keepArgs(c *lua.Call) bool {
	for i := 3; i <= c.NArgs(); i++ {
		a := timerArg{kind: c.Type(i)}
		switch a.kind {
		case lua.Nil:
		case lua.Bool, lua.Number:
			a.num = c.Num(i)
			if c.Bool(i) && a.kind == lua.Bool {
				a.num = 1
			}
		case lua.Str:
			a.str = c.String(i)
		default:
			r, err := c.Ref(i)
			if err != nil {
				return false
			}
			a.ref = r
		}
		t.args = append(t.args, a)
	}
	return true
}

// originOf is what log lines of a timer say of where it was made; timers made by timers have their origin.
func originOf(c *lua.Call, ts *Timers) *origin {
	if b, ok := backgroundOf(c); ok {
		return b.origin
	}
	r := Request(c)
	if r == nil {
		return ts.atHome()
	}
	o := &origin{scope: r.Scope, log: r.Logger, remote: *r.Client()}
	if l := r.Conn.Listener; l != nil {
		o.server = l.Addr
	}
	return o
}

func (ts *Timers) atHome() *origin {
	if ts.home == nil {
		ts.home = &origin{scope: ts.h.Scope, log: ts.w.Plane.Params().Log}
	}
	return ts.home
}

func (ts *Timers) arm(t *timer, d time.Duration) {
	t.prev, t.next = nil, ts.first
	if ts.first != nil {
		ts.first.prev = t
	}
	ts.first = t
	ts.Pending++
	if d <= 0 {
		ts.w.Loop.Go(t.fire)
		return
	}
	// Timers of one moment run in the order in which they were made.
	when := ts.w.Loop.Now() + int64(d)
	if ts.tie++; when != ts.lastWhen {
		ts.lastWhen, ts.tie = when, 0
	}
	ts.w.Loop.Arm(&t.Timer, when+ts.tie)
}

func (ts *Timers) unlink(t *timer) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		ts.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.prev, t.next = nil, nil
	ts.Pending--
}

// leave ends the snapshot's timers: those that are pending run at once and are told that it is premature.
func (ts *Timers) leave() {
	if ts.exiting {
		return
	}
	ts.exiting = true
	var all []*timer
	for t := ts.first; t != nil; t = t.next {
		all = append(all, t)
	}
	if log := ts.w.Plane.Params().Log; len(all) > 0 && log.On(nlog.Debug) {
		log.Logf(nlog.Debug, nil, nil, "lua abort pending timers")
		log.Logf(nlog.Debug, nil, nil, "lua found %d pending timers to be aborted prematurely", len(all))
	}
	slices.SortFunc(all, func(a, b *timer) int { return int(max(min(a.When()-b.When(), 1), -1)) })
	for _, t := range all {
		t.premature, t.leaving = true, true
		ts.w.AddBackground(1) // until it has run
		if t.Armed() {        // else it is about to run
			ts.w.Loop.Disarm(&t.Timer)
			ts.w.Loop.Go(t.fire)
		}
	}
}

// fire runs the timer, on a task.
func (t *timer) fire() {
	ts := t.ts
	if t.leaving {
		t.leaving = false
		defer ts.w.AddBackground(-1)
	}
	log := ts.w.Plane.Params().Log
	if log.On(nlog.Debug) {
		log.Logf(nlog.Debug, nil, nil, "lua ngx.timer expired")
	}
	ts.unlink(t)
	again := t.every > 0 && !ts.exiting
	if again {
		ts.arm(t, t.every)
	}
	if most := MainOf(ts.h).MaxRunningTimers.V; ts.Running >= most {
		src, line, _ := t.lw.VM.RefInfo(t.fn)
		log.Logf(nlog.Alert, nil, nil, "lua failed to run timer with function defined at %s:%d: %d lua_max_running_timers are not enough", src, line, most)
	} else {
		t.run()
	}
	if !again {
		t.unref()
		t.lw.Release()
		ts.w.Release(ts.h)
	}
}

func (t *timer) run() {
	ts, vm := t.ts, t.lw.VM
	ts.Running++
	ts.w.AddBackground(1)
	b := ts.background(t.origin, lua.PhaseTimer)
	chunk := vm.Function(t.fn)
	b.run(&chunk, t.pushArgs)
	ts.Running--
	b.Logf(nlog.Debug, "http lua close fake http connection %p", b)
	ts.w.AddBackground(-1)
}

func (t *timer) pushArgs(w *lua.Writer) {
	w.Bool(t.premature)
	for i := range t.args {
		switch a := &t.args[i]; a.kind {
		case lua.Nil:
			w.Nil()
		case lua.Bool:
			w.Bool(a.num != 0)
		case lua.Number:
			w.Num(a.num)
		case lua.Str:
			w.String(a.str)
		default:
			w.Ref(a.ref)
		}
	}
}

func (t *timer) unref() {
	t.lw.VM.Unref(t.fn)
	for i := range t.args {
		if a := &t.args[i]; a.ref != 0 {
			t.lw.VM.Unref(a.ref)
		}
	}
	t.args = nil
}

// Background is a run of Lua code that belongs to no request: a timer's, or a worker's as it starts or ends. It is the
// Data of its Context.
type Background struct {
	*origin
	phase  lua.Phase
	ctx    lua.Context
	holder Holder
	number uint64
}

func (ts *Timers) background(o *origin, phase lua.Phase) *Background {
	b := &Background{origin: o, phase: phase, number: ts.w.Plane.NextConnID()}
	b.ctx.Data = b
	return b
}

// run runs code; its error is logged.
func (b *Background) run(chunk *lua.Chunk, args func(w *lua.Writer)) {
	if err := b.try(chunk, args); err != nil {
		b.Logf(nlog.Error, "%s", err.Error())
	}
}

func (b *Background) try(chunk *lua.Chunk, args func(w *lua.Writer)) (err error) {
	b.ctx.SetLogLevel(lua.Level(min(b.log.Level(), nlog.Debug)))
	res := chunk.RunWith(&b.ctx, b.phase, args, nil)
	if res.Status == lua.Failed {
		err = res.Err
	}
	b.holder.Drop()
	if ref, ok := b.ctx.CtxRef(); ok {
		b.Logf(nlog.Debug, "lua release ngx.ctx at ref %d", ref)
	}
	b.ctx.Release()
	return err
}

// RunInit runs init_by_lua in a VM that no worker has yet, so that it may wait: on a loop of its own.
func RunInit(p *engine.Plane, h *engine.HTTP, vm *lua.VM, code *lua.Code) error {
	chunk, err := vm.Load(code)
	if err != nil {
		return err
	}
	w, err := engine.NewScratch(p, h)
	if err != nil {
		return err
	}
	lw := &Worker{W: w, H: h, VM: vm, timers: &Timers{w: w, h: h}}
	vm.Data, vm.Loop = lw, w.Loop
	w.Loop.Go(func() {
		err = lw.timers.background(lw.timers.atHome(), lua.PhaseInit).try(chunk, nil)
		lw.Close()
		w.Loop.Stop()
	})
	w.Loop.Run()
	w.Loop.Close()
	vm.Data, vm.Loop = nil, nil
	return err
}

// RunProcess runs code of the worker, which belongs to no request: init_worker_by_lua, exit_worker_by_lua. Its error is
// logged.
func (w *Worker) RunProcess(h *Handler, phase lua.Phase) {
	b := w.timers.background(w.timers.atHome(), phase)
	chunk, err := w.VM.Load(h.Code)
	if err != nil {
		var le *lua.LoadError
		if errors.As(err, &le) {
			err = le.Err
		}
		b.log.Logf(nlog.Error, nil, nil, "%s error: %s", h.Name, err)
		return
	}
	b.run(chunk, nil)
}

// Held implements Holding.
func (b *Background) Held() *Holder { return &b.holder }

// Scope implements Holding.
func (b *Background) Scope() *conf.Scope { return b.scope }

// LogNumber implements nlog.Source.
func (b *Background) LogNumber() uint64 { return b.number }

// AppendLog implements nlog.Source.
func (b *Background) AppendLog(dst []byte) []byte {
	if b.phase == lua.PhaseExitWorker {
		return dst
	}
	dst = append(append(dst, ", context: "...), b.phase.String()...)
	if b.server != "" {
		dst = append(dst, ", client: "...)
		dst = b.remote.AppendIP(dst)
		dst = append(append(dst, ", server: "...), b.server...)
	}
	return dst
}

// Logf writes a line about the run.
func (b *Background) Logf(level nlog.Level, format string, args ...any) {
	if b.log.On(level) {
		b.log.Logf(level, b, nil, format, args...)
	}
}

// TimersOf is the state of the timers of a call's worker; nil before the workers run.
func TimersOf(c *lua.Call) *Timers {
	if lw := CallWorker(c); lw != nil {
		return lw.timers
	}
	return nil
}

// Exiting says that the worker stops, or that a reload has replaced what the call's code belongs to.
func Exiting(c *lua.Call) bool {
	lw := CallWorker(c)
	return lw != nil && (lw.W.Stopping || lw.timers.exiting)
}

// Leave ends what runs by itself with a snapshot: the worker stops or has taken over another one.
func (w *Worker) Leave() { w.timers.leave() }
