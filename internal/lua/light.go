package lua

import (
	"moongate/internal/luajit"
	"moongate/internal/netio"
)

// Light threads. A run has its entry thread, on the goroutine that called Run, and what it spawned, each on a task of
// the worker's loop: an operation that waits parks that task. A spawned thread runs at once until it waits, then its
// parent goes on. The run is over when all have ended, or when one ends it (ngx.exit and friends) or the entry thread
// fails: the others are killed then, which wakes them with netio.ErrKilled from whatever they wait for.

type threadState uint8

const (
	running threadState = iota
	zombie              // ended, not waited for
	dead
)

// waitKind says what a thread's task is parked in, if it is.
type waitKind uint8

const (
	notWaiting  waitKind = iota
	inOperation          // an Async function, or the wait for its turn: may be killed
	inSpawn              // ngx.thread.spawn runs another thread: it goes on by itself
)

// group is the light threads of one run.
type group struct {
	threads map[luajit.LState]*Thread // by coroutine, those not dead
	live    int                       // tasks of spawned threads, killed ones included
	waiter  *netio.Task               // the entry's, once it waits for the others
	onAbort *Thread                   // of ngx.on_abort; in threads once it was started
	over    bool                      // somebody ended the run, or it failed
	result  Result
}

// Spawn starts a light thread with the function that is argument 1 and the other arguments, and pushes its coroutine. It
// returns when the thread waits or has ended.
func (c *Call) Spawn() error {
	v, t := c.vm, c.thread
	child, err := c.newThread()
	if err != nil {
		return err
	}
	child.enlist()
	ref := child.lj.Ref()
	t.wait = inSpawn
	v.Loop.Start(child.main)
	t.wait = inOperation
	if t.state != dead {
		c.out.Ref(ref)
	}
	return nil
}

// newThread makes a light thread which is not started: with the function that is argument 1 and the other arguments.
func (c *Call) newThread() (*Thread, error) {
	v, t := c.vm, c.thread
	lj, err := v.lj.Spawn(t.lj, c.l)
	if err != nil {
		return nil, err
	}
	t.entry.many()
	t.spawned = true
	child := &Thread{vm: v, lj: lj, ctx: t.ctx, phase: t.phase, entry: t.entry, parent: c.l, parentThread: t}
	child.call = Call{vm: v, thread: child, out: luajit.NewWire(wireSize)}
	v.live++
	return child, nil
}

// many makes room for light threads beside the entry thread.
func (e *Thread) many() *group {
	if e.light == nil {
		e.light = &group{threads: map[luajit.LState]*Thread{}}
	}
	return e.light
}

// enlist adds a thread that is about to be started.
func (t *Thread) enlist() {
	t.entry.light.threads[t.lj.Co()] = t
	t.entry.light.live++
}

// OnAbort keeps the function that is argument 1: it becomes a light thread of the run when the client goes away (see
// Context.Interrupt). It reports false when there is one already.
func (c *Call) OnAbort() (bool, error) {
	g := c.thread.entry.many()
	if g.onAbort != nil {
		return false, nil
	}
	t, err := c.newThread()
	g.onAbort = t
	return true, err
}

// Interrupt tells the run that handles the Context's request that the client has gone: the function of Call.OnAbort
// starts, or, without one, the run ends with code. It reports whether the run was ended.
func (x *Context) Interrupt(code int) bool {
	e := x.entry
	if e == nil {
		return false
	}
	g := e.many()
	switch t := g.onAbort; {
	case g.over:
	case t == nil:
		e.endRun(Result{Status: Ended, Code: code}, nil)
		return true
	case !t.started:
		t.started = true
		t.enlist()
		e.vm.Loop.Go(t.main)
	}
	return false
}

// main serves a spawned thread on its task.
func (t *Thread) main() {
	v, g := t.vm, t.entry.light
	t.task = v.Loop.Current()
	r := t.run()
	t.task = nil
	switch {
	case t.state == dead:
	case r.Status == Ended:
		t.entry.endRun(r, t)
	default:
		if r.Status == Failed {
			t.failed = true
			v.rt.opt.Host.Log(t.ctx, Error, r.Err.Error())
		}
		t.end()
	}
	if t.state == dead {
		t.free()
	}
	if g.live--; g.waiter != nil {
		v.Loop.Ready(g.waiter)
	}
}

// end makes a thread that returned or failed a zombie and wakes its parent, if that waits for it.
func (t *Thread) end() {
	t.buryChildren()
	p := t.parentThread
	if p.state != running {
		t.die()
		return
	}
	t.state = zombie
	t.lj.MarkZombie()
	if w := p.waitFor; w != nil && w.co == t.parent && w.has(t) && w.found == nil {
		w.found = t
		t.vm.Loop.Ready(p.task)
	}
}

// buryChildren forgets the ended threads which a thread that is over has not waited for.
func (t *Thread) buryChildren() {
	if !t.spawned {
		return
	}
	for _, c := range t.entry.light.threads {
		if c.parentThread == t && c.state == zombie {
			c.die()
			c.free()
		}
	}
}

// die makes the thread dead for Lua; free follows when its task is done with it.
func (t *Thread) die() {
	t.state = dead
	t.lj.MarkDead()
	delete(t.entry.light.threads, t.lj.Co())
}

// free gives up what a dead thread's coroutine holds.
func (t *Thread) free() {
	if t.lj == nil {
		return
	}
	t.lj.Reset()
	t.lj.MarkDead()
	t.vm.lj.FreeThread(t.lj)
	t.call.out.Free()
	t.lj = nil
	t.vm.live--
}

// kill makes a running thread dead and wakes it out of what it waits for.
func (t *Thread) kill() {
	t.die()
	if t.task != nil && t.wait == inOperation {
		t.vm.Loop.Kill(t.task)
	}
}

// endRun ends the whole run with a result on behalf of one of its threads.
func (e *Thread) endRun(r Result, by *Thread) {
	g := e.light
	if g.over {
		return
	}
	g.over, g.result = true, r
	if e.ctx != nil && e.ctx.OnEnd != nil {
		e.ctx.OnEnd()
	}
	if by != e && e.state == running {
		e.state = dead
		if g.waiter == nil && e.wait == inOperation {
			e.vm.Loop.Kill(e.task)
		}
	}
	for _, t := range g.threads {
		switch {
		case t == by || t.state == dead:
		case t.state == zombie:
			t.die()
			t.free()
		default:
			t.kill()
		}
	}
	if by != e && by != nil {
		by.die()
	}
}

// finish waits for the other threads of a run whose entry thread has ended with r.
func (e *Thread) finish(r Result) Result {
	g := e.light
	switch {
	case g.over:
	case r.Status == Done:
		e.state = zombie
		e.buryChildren()
	default:
		e.endRun(r, e)
	}
	g.waiter = e.vm.Loop.Current()
	for g.live > 0 {
		if e.vm.Loop.Park(0) == netio.ErrKilled && !g.over {
			e.endRun(Result{Status: Ended}, e)
		}
	}
	g.waiter = nil
	if t := g.onAbort; t != nil && !t.started {
		t.die()
		t.free()
	}
	for _, t := range g.threads {
		t.die()
		t.free()
	}
	if g.over {
		return g.result
	}
	return r
}

// Killed says that the light thread was ended while the call waited: nothing it does matters any more.
func (c *Call) Killed() bool { return c.thread.state == dead }

// GiveTurn lets the other light threads go on until they wait; without any it does nothing. The thread cannot be killed
// meanwhile.
func (c *Call) GiveTurn() {
	if t := c.thread; t.entry.light != nil {
		t.wait = notWaiting
		c.vm.Loop.Sleep(0)
		t.wait = inOperation
	}
}

// giveTurn lets the other ready tasks go first; false: the thread was killed meanwhile.
func (t *Thread) giveTurn() bool {
	loop := t.vm.Loop
	t.wait = inOperation
	loop.Ready(t.task)
	loop.Park(0)
	t.wait = notWaiting
	return t.state != dead
}

// joining is what a thread in ngx.thread.wait waits for.
type joining struct {
	co      luajit.LState // the coroutine which waits
	threads []*Thread
	found   *Thread
}

func (w *joining) has(t *Thread) bool {
	for _, x := range w.threads {
		if x == t {
			return true
		}
	}
	return false
}

// Errors of Join and Kill, besides those that name themselves.
const (
	notThread    = "attempt to wait on a coroutine that is not a user thread"
	notParent    = "only the parent coroutine can wait on the thread"
	alreadyTaken = "already waited or killed"
)

// Join waits for the first of the light threads that are the arguments and pushes true and its results, or false and its
// error.
func (c *Call) Join() Outcome {
	t := c.thread
	if len(c.args) == 0 {
		return c.Errorf("at least one coroutine should be specified")
	}
	w := &joining{co: c.l}
	for i := 1; i <= len(c.args); i++ {
		if c.Type(i) != Coroutine {
			return c.ArgError(i, "lua thread expected")
		}
		x := t.entry.child(c.Pointer(i))
		switch {
		case x == nil && c.vm.lj.IsDead(c.l, int(c.args[i-1].Aux)):
			if i == len(c.args) && len(w.threads) == 0 {
				return c.ReturnNilErr(alreadyTaken)
			}
		case x == nil:
			return c.Errorf(notThread)
		case x.parent != c.l:
			return c.Errorf(notParent)
		case x.state == zombie:
			return c.take(x)
		default:
			w.threads = append(w.threads, x)
		}
	}
	t.waitFor = w
	for w.found == nil && t.state != dead {
		if c.vm.Loop.Park(0) != nil {
			break
		}
	}
	t.waitFor = nil
	if w.found == nil {
		return c.Return() // killed
	}
	return c.take(w.found)
}

// child finds a light thread of the run that is not dead.
func (e *Thread) child(co luajit.LState) *Thread {
	if e.light == nil {
		return nil
	}
	return e.light.threads[co]
}

// take pushes what an ended thread left and buries it. Its coroutine is freed when the results were taken over.
func (c *Call) take(x *Thread) Outcome {
	c.out.Bool(!x.failed)
	if n := x.lj.NumResults(); n > 0 {
		c.out.Move(x.lj.Co(), n)
	}
	x.die()
	c.thread.taken = append(c.thread.taken, x)
	return c.Return()
}

// freeTaken frees the threads whose results have been handed over.
func (t *Thread) freeTaken() {
	for _, x := range t.taken {
		x.free()
	}
	t.taken = t.taken[:0]
}

// KillThread ends the light thread that is argument 1.
func (c *Call) KillThread() Outcome {
	if c.Type(1) != Coroutine {
		return c.ArgError(1, "lua thread expected")
	}
	x := c.thread.entry.child(c.Pointer(1))
	switch {
	case x == nil && c.vm.lj.IsDead(c.l, int(c.args[0].Aux)):
		return c.ReturnNilErr(alreadyTaken)
	case x == nil:
		return c.ReturnNilErr("not user thread")
	case x.parent != c.l:
		return c.ReturnNilErr("killer not parent")
	case x.Pending > 0:
		return c.ReturnNilErr("pending subrequests")
	case x.state == zombie:
		x.die()
		x.free()
		return c.ReturnNilErr("already terminated")
	}
	if c.MayWait() && x.task != nil && x.wait == inOperation {
		x.die()
		c.killNow(x)
	} else {
		x.kill()
	}
	return c.ReturnInt(1)
}

// killNow lets x give up what it was doing before the killer goes on: a socket it waited for is closed then, as OpenResty has it.
func (c *Call) killNow(x *Thread) {
	t := c.thread
	t.wait = notWaiting
	c.vm.Loop.KillNow(x.task)
	t.wait = inOperation
}
