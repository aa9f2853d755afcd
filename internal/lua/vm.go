package lua

import (
	"fmt"
	"runtime/debug"
	"strings"

	"moongate/internal/luajit"
	"moongate/internal/netio"
)

// VM is a worker's Lua VM. One goroutine uses it at a time: whoever holds the worker's baton.
type VM struct {
	// Data is the host's: what leads from the VM to its worker.
	Data any
	// Loop is the worker's, whose tasks serve light threads; nil before the worker runs.
	Loop *netio.Loop

	rt     *Runtime
	lj     *luajit.VM
	cur    *Thread // running, nil outside of Lua
	free   []*Thread
	calls  []*Call
	late   []*Call
	ctxs   []*luajit.Ctx
	level  Level // of handlers without a Context
	loaded map[*Code]*Chunk

	objects []any // by handle
	holes   []int32

	dicts    []*luajit.Dict
	watchman *Watchman
	most     int // threads kept for reuse
	live     int // threads in use
}

const (
	wireSize  = 1 << 10  // of a new call's result buffer
	wireKeep  = 64 << 10 // above it, memory is given back after use
	maxPacked = 1 << 20  // values in one table handed to Go
)

// NewVM makes a VM; Close frees it.
func (rt *Runtime) NewVM() (*VM, error) { return rt.newVM(rt.opt.Unlimited) }

func (rt *Runtime) newVM(unlimited bool) (*VM, error) {
	v := &VM{rt: rt, loaded: map[*Code]*Chunk{}, level: Notice, most: maxIdle}
	cfg := luajit.Config{Defs: rt.defs, Host: v, Yieldable: uint32(Yieldable), NoRequest: uint32(PhaseInit),
		PlainCo: uint32(plainCoroutines), NoGuard: uint32(globalsAllowed), Guard: int32(rt.guard)}
	if unlimited {
		cfg.Yieldable = uint32(Free)
	}
	lj, err := luajit.NewVM(cfg)
	if err != nil {
		return nil, err
	}
	v.lj = lj
	return v, nil
}

// Sibling makes another VM which finds the same modules and shared dictionaries. It belongs to no worker: its user may be
// any goroutine, one at a time; nothing in it may wait.
func (v *VM) Sibling() (*VM, error) {
	s, err := v.rt.newVM(false)
	if err != nil {
		return nil, err
	}
	var dicts []*luajit.Dict
	for _, d := range v.dicts {
		if d, err := luajit.OpenDict(d.Name(), d.Size()); err == nil {
			dicts = append(dicts, d)
		}
	}
	for _, field := range [2]string{"path", "cpath"} {
		s.lj.SetPath(field, v.lj.Path(field))
	}
	return s, s.DefineDicts(dicts)
}

// Close frees the VM. No handler may be running or waiting in it.
func (v *VM) Close() {
	for _, t := range v.free {
		v.lj.FreeThread(t.lj)
		t.call.out.Free()
	}
	for _, c := range v.calls {
		c.out.Free()
	}
	for _, c := range v.ctxs {
		v.lj.FreeCtx(c)
	}
	v.free, v.calls, v.ctxs = nil, nil, nil
	v.lj.Close()
	for _, d := range v.dicts {
		d.Release()
	}
	v.dicts = nil
	v.dropLate()
	for h, o := range v.objects {
		if o != nil {
			v.collected(int32(h))
		}
	}
}

// SetIdleThreads says how many coroutines are kept for reuse.
func (v *VM) SetIdleThreads(most int) { v.most = most }

// IdleThreads is the number of coroutines kept for reuse; full that no more are.
func (v *VM) IdleThreads() (n int, full bool) { return len(v.free), len(v.free) >= v.most }

// Runtime is what the VM was made from.
func (v *VM) Runtime() *Runtime { return v.rt }

// Mem is the memory Lua uses, in bytes.
func (v *VM) Mem() int { return v.lj.Mem() }

// GC runs a full collection, and frees what is kept for reuse.
func (v *VM) GC() {
	for _, t := range v.free {
		v.lj.FreeThread(t.lj)
		t.call.out.Free()
	}
	v.free = v.free[:0]
	v.lj.TrimOut(wireKeep)
	v.lj.GC()
	v.collect()
}

// TrimMalloc gives memory that C libraries have freed back to the system, of the whole process, and says whether there
// was any.
func TrimMalloc() bool { return luajit.TrimMalloc() }

// SetMemLimit makes Lua raise "not enough memory" when it would use more than kb KiB; 0 is no limit.
func (v *VM) SetMemLimit(kb int) { v.lj.SetMemLimit(kb * 1024) }

// SetPath sets package.path and package.cpath as lua_package_path does: ";;" stands for the default, $prefix and
// ${prefix} for prefix. An empty value leaves the default.
func (v *VM) SetPath(prefix, path, cpath string) {
	set := func(field, value string) {
		if value == "" {
			return
		}
		value = strings.ReplaceAll(value, ";;", ";\x01;")
		value = strings.NewReplacer("$prefix", prefix, "${prefix}", prefix).Replace(value)
		v.lj.SetPath(field, strings.ReplaceAll(value, "\x01", v.lj.Path(field)))
	}
	set("path", path)
	set("cpath", cpath)
}

// DefineDicts makes ngx.shared with the dictionaries; the VM releases them when it is closed.
func (v *VM) DefineDicts(dicts []*luajit.Dict) error {
	v.dicts = append(v.dicts, dicts...)
	err := v.lj.DefineDict(nil)
	for _, d := range dicts {
		if err == nil {
			err = v.lj.DefineDict(d)
		}
	}
	return err
}

// SetClock gives the VM the wall time it goes by, see luajit.NewClock.
func (v *VM) SetClock(clock *int64) { v.lj.SetClock(clock) }

// SetView gives the number which the View function with that slot returns.
func (v *VM) SetView(slot int, num float64) { v.lj.SetView(slot, num) }

// SetViewString is SetView with a string, which is copied.
func (v *VM) SetViewString(slot int, s string) { v.lj.SetViewStr(slot, s) }

// Context is the state which all handlers of one request share. The host embeds or pools it; Data leads back to the
// request. The zero Context is ready; Release ends its life.
type Context struct {
	Data any
	// OnEnd, when set, is called when the run of a handler is ended (ngx.exit, an error, a client that went away) while
	// light threads of it wait: before they are killed.
	OnEnd func()

	vm    *VM
	c     *luajit.Ctx
	fast  bool
	level Level // the level + 1, so that zero is the VM's
	ext   uintptr
	entry *Thread // of the handler that runs, in a phase which may wait
	turn  []*Thread
}

// SetExdata sets the address which FFI libraries find with thread.exdata.
func (x *Context) SetExdata(addr uintptr) {
	x.ext = addr
	if x.c != nil {
		x.c.SetExdata(addr)
	}
}

// SetFastOutput lets ngx.say and ngx.print write to the VM's buffer without calling Go, until it is taken back. The
// bytes come by Host.Output.
func (x *Context) SetFastOutput(on bool) {
	x.fast = on
	x.refresh()
}

// SetLogLevel says which messages ngx.log passes on for this request: those up to level. The default is the VM's.
func (x *Context) SetLogLevel(level Level) {
	x.level = level + 1
	x.refresh()
}

// SetLogLevel is Context.SetLogLevel for handlers without a Context, and the default of all Contexts: Notice at first.
func (v *VM) SetLogLevel(level Level) {
	v.level = level
	v.enter(v.cur)
}

func (x *Context) refresh() {
	if x.vm != nil && x.vm.cur != nil && x.vm.cur.ctx == x {
		x.vm.enter(x.vm.cur)
	}
}

// enter makes t the running thread: what C keeps for it is set.
func (v *VM) enter(t *Thread) {
	v.cur = t
	fast, level := false, v.level
	if t != nil && t.ctx != nil {
		fast = t.ctx.fast && !v.rt.opt.Unlimited
		if t.ctx.level != 0 {
			level = t.ctx.level - 1
		}
	}
	v.lj.OutFast(fast)
	v.lj.LogLevel(int(level))
}

func (x *Context) bind(v *VM) {
	if x.c != nil {
		return
	}
	x.vm = v
	if n := len(v.ctxs); n > 0 {
		x.c, v.ctxs = v.ctxs[n-1], v.ctxs[:n-1]
	} else {
		x.c = v.lj.NewCtx()
	}
	x.c.SetExdata(x.ext)
}

// Release lets go of ngx.ctx; the Context is zero again but for Data. The VM's user must hold the baton.
func (x *Context) Release() {
	if x.c != nil {
		x.vm.lj.ResetCtx(x.c)
		x.vm.ctxs = append(x.vm.ctxs, x.c)
	}
	*x = Context{Data: x.Data, OnEnd: x.OnEnd}
}

// CtxRef anchors the ngx.ctx table of the request, for a request which inherits it; ok is false when it was not used.
func (x *Context) CtxRef() (ref Ref, ok bool) {
	if x.c == nil || x.c.Ref() < 0 {
		return 0, false
	}
	return Ref(x.c.Ref()), true
}

// SetCtxTable makes an anchored table the request's ngx.ctx; the anchor becomes the Context's own.
func (x *Context) SetCtxTable(v *VM, r Ref) {
	x.bind(v)
	x.c.SetRef(v.lj, int32(r))
}

// Ref is a Lua value anchored by Go: see Call.Ref and VM.Unref.
type Ref int32

// Unref lets go of a value.
func (v *VM) Unref(r Ref) { v.lj.Unref(int32(r)) }

// Current is the request's Context whose Lua runs, nil for none, and the phase.
func (v *VM) Current() (*Context, Phase) {
	if v.cur == nil {
		return nil, PhaseInit
	}
	return v.cur.ctx, v.cur.phase
}

// Call serves luajit.Host: a Sync function, or an Async one where nothing may wait.
func (v *VM) Call(f *luajit.Frame) int32 {
	if v.lj.Decoding() {
		return v.callLate(f)
	}
	if v.lj.HasFreed() { // a handler may run for ever: what Lua has lost must not wait for its end
		v.collect()
	}
	var c *Call
	if n := len(v.calls); n > 0 {
		c, v.calls = v.calls[n-1], v.calls[:n-1]
	} else {
		c = v.newCall()
	}
	v.serve(c, f)
	v.calls = append(v.calls, c)
	return f.Kind
}

func (v *VM) newCall() *Call { return &Call{vm: v, out: luajit.NewWire(wireSize), sync: true} }

func (v *VM) serve(c *Call, f *luajit.Frame) {
	t := v.cur
	c.thread, c.l, c.args = t, f.L, f.Args()
	if int(f.Index) != v.rt.stalled { // which comes in the middle of anything
		v.flush()
	}
	if v.Loop != nil {
		v.Loop.Pinned++
	}
	out := v.invoke(c, f.Index)
	if v.Loop != nil {
		v.Loop.Pinned--
	}
	if v.cur != t { // handlers nested in the call may have waited, and others run meanwhile
		v.enter(t)
	}
	f.Kind, f.Arg = out.kind(), c.errArg
	f.Res, f.Len = c.out.Seal()
	c.release()
}

// callLate is a call by a finalizer while Lua reads the results of another call: nothing of that may be reused.
func (v *VM) callLate(f *luajit.Frame) int32 {
	c := v.newCall()
	v.serve(c, f)
	v.late = append(v.late, c)
	return f.Kind
}

// dropLate frees the calls made by finalizers, once the VM is at rest.
func (v *VM) dropLate() {
	for _, c := range v.late {
		c.out.Free()
	}
	v.late = v.late[:0]
}

// invoke runs the function of an index; a panic becomes a Lua error.
func (v *VM) invoke(c *Call, index int32) (out Outcome) {
	c.out.Reset()
	defer func() {
		if p := recover(); p != nil {
			out = v.panicked(c, v.rt.funcs[index], p)
		}
	}()
	return v.rt.funcs[index].Run(c)
}

func (v *VM) panicked(c *Call, f *Func, p any) Outcome {
	v.rt.opt.Host.Log(c.Context(), Crit, fmt.Sprintf("panic in %s: %v\n%s", f.Name, p, debug.Stack()))
	return c.Errorf("internal error in %s: %v", f.Name, p)
}

// flush hands printed bytes to the host, which may run a header filter for them: the buffer is out of the VM meanwhile.
func (v *VM) flush() {
	if v.lj.OutLen() == 0 {
		return
	}
	var ctx *Context
	if v.cur != nil {
		ctx = v.cur.ctx
	}
	out := v.lj.TakeOut()
	if v.Loop != nil {
		v.Loop.Pinned++
	}
	v.rt.opt.Host.Output(ctx, out.Bytes())
	if v.Loop != nil {
		v.Loop.Pinned--
	}
	v.lj.GiveOut(out)
}

// Collected is implemented by objects which want to know that Lua has lost them.
type Collected interface{ Collected() }

func (v *VM) collect() {
	if v.lj.HasFreed() {
		v.lj.Freed(v.collected)
	}
}

func (v *VM) collected(h int32) {
	o := v.objects[h]
	v.objects[h] = nil
	v.holes = append(v.holes, h)
	if o, ok := o.(Collected); ok {
		o.Collected()
	}
}

func (v *VM) keep(o any) int32 {
	if n := len(v.holes); n > 0 {
		h := v.holes[n-1]
		v.holes = v.holes[:n-1]
		v.objects[h] = o
		return h
	}
	v.objects = append(v.objects, o)
	return int32(len(v.objects) - 1)
}

// SetRegex sets lua_regex_cache_max_entries and lua_regex_match_limit, and sends what ngx.re has to say to the host's log.
// The library that declares ngx.re must be part of the runtime.
func (v *VM) SetRegex(cacheMax, matchLimit int) {
	v.lj.SetRegexLimits(cacheMax, matchLimit)
	v.lj.SetRegexLog(int(Debug), func(level int, msg string) {
		var ctx *Context
		if v.cur != nil {
			ctx = v.cur.ctx
		}
		v.rt.opt.Host.Log(ctx, Level(level), msg)
	})
}
