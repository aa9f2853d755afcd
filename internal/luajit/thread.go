package luajit

/*
#include <stdlib.h>
#include "mg_vm_api.h"
*/
import "C"

import "unsafe"

// What Resume returns.
const (
	RetDone  = C.MG_RET_DONE
	RetOp    = C.MG_RET_OP
	RetError = C.MG_RET_ERROR
	RetYield = C.MG_RET_YIELD
)

// Ctx is what all runs of one request share: the ngx.ctx table and the address FFI libraries find with thread.exdata.
type Ctx struct{ c C.mg_ctx }

// NewCtx returns a Ctx in C memory; FreeCtx frees it.
func (v *VM) NewCtx() *Ctx {
	c := (*Ctx)(C.malloc(C.sizeof_mg_ctx))
	c.c.ref = C.LUA_NOREF
	c.c.exdata = nil
	return c
}

// SetExdata sets the address; 0 is none.
func (c *Ctx) SetExdata(addr uintptr) { *(*uintptr)(unsafe.Pointer(&c.c.exdata)) = addr }

// ResetCtx lets go of the ngx.ctx table.
func (v *VM) ResetCtx(c *Ctx) {
	if c.c.ref != C.LUA_NOREF {
		C.mg_vm_unref(v.c, c.c.ref)
		c.c.ref = C.LUA_NOREF
	}
	c.c.exdata = nil
}

// Ref is the registry reference of the ngx.ctx table, negative when there is none.
func (c *Ctx) Ref() int32 { return int32(c.c.ref) }

// SetRef makes the table of a registry reference the ngx.ctx table; the reference is the Ctx's from now on.
func (c *Ctx) SetRef(v *VM, ref int32) {
	if c.c.ref != C.LUA_NOREF {
		C.mg_vm_unref(v.c, c.c.ref)
	}
	c.c.ref = C.int32_t(ref)
}

// FreeCtx frees a Ctx after ResetCtx.
func (v *VM) FreeCtx(c *Ctx) { C.free(unsafe.Pointer(c)) }

// Thread is an entry coroutine: it runs one handler at a time.
type Thread struct {
	c *C.mg_thread
}

// NewThread returns an idle thread.
func (v *VM) NewThread() (*Thread, error) {
	c := C.mg_thread_new(v.c)
	if c == nil {
		return nil, ErrMemory
	}
	return &Thread{c: c}, nil
}

// FreeThread frees an idle thread. Its coroutine is collected by Lua.
func (v *VM) FreeThread(t *Thread) {
	if v.c != nil {
		C.mg_vm_unref(v.c, t.c.ref)
	}
	C.mg_thread_free(t.c)
	t.c = nil
}

// Prepare says what the idle thread runs next: a function's registry reference, in a phase, for a request (ctx may be
// nil).
func (t *Thread) Prepare(fn int32, phase uint32, ctx *Ctx) {
	t.c.fn, t.c.phase = C.int32_t(fn), C.uint32_t(phase)
	t.c.ctx = (*C.mg_ctx)(unsafe.Pointer(ctx))
}

// Args gives the prepared function arguments, encoded in w.
func (t *Thread) Args(w *Wire) error {
	p, n := w.Seal()
	if C.mg_thread_args(t.c, *(**C.uint8_t)(unsafe.Pointer(&p)), C.size_t(n)) != 0 {
		return ErrMemory
	}
	return nil
}

// Outcome says how the operation the thread waits for has ended; res and n as Wire.Seal gives them, kept until Resume
// returns.
func (t *Thread) Outcome(kind, arg int32, res, n uintptr) {
	t.c.r.kind, t.c.r.arg = C.int32_t(kind), C.int32_t(arg)
	*(*uintptr)(unsafe.Pointer(&t.c.r.res)) = res
	t.c.r.len = C.size_t(n)
}

// Spawn makes a thread which runs the function that is the first argument of the operation l waits with, in the same
// phase and for the same request as t, with the other arguments.
func (v *VM) Spawn(t *Thread, l LState) (*Thread, error) {
	c := C.mg_thread_spawn(v.c, lstate(l))
	if c == nil {
		return nil, ErrMemory
	}
	c.phase, c.ctx = t.c.phase, t.c.ctx
	return &Thread{c: c}, nil
}

// MarkZombie says that the thread has ended and nobody has waited for it.
func (t *Thread) MarkZombie() { C.mg_thread_mark(t.c, 0) }

// MarkDead says that the thread is gone, whatever it was doing.
func (t *Thread) MarkDead() { C.mg_thread_mark(t.c, 1) }

// NumResults is how many values the ended thread has left at the top of its coroutine (see Co): results, or an error.
func (t *Thread) NumResults() int { return int(C.mg_thread_nresults(t.c)) }

// Co is the thread's coroutine, and its identity in Lua.
func (t *Thread) Co() LState { return uintptr(unsafe.Pointer(t.c.co)) }

// Ref is the registry reference of the thread's coroutine.
func (t *Thread) Ref() int32 { return int32(t.c.ref) }

// IsDead says that the coroutine at a stack index of l is a thread which was marked dead.
func (v *VM) IsDead(l LState, idx int) bool { return C.mg_thread_is_dead(lstate(l), C.int(idx)) != 0 }

// Resume starts or continues the thread and returns RetDone, RetOp (see Op, Values), RetYield after a coroutine.yield of
// the thread itself, or RetError (see Failure).
func (t *Thread) Resume() int {
	return int(C.mg_resume(C.uintptr_t(uintptr(unsafe.Pointer(t.c)))))
}

// Op is the index of the function whose operation the thread waits for.
func (t *Thread) Op() int32 { return int32(t.c.op) }

// L is the coroutine which waits, or which ended.
func (t *Thread) L() LState { return uintptr(unsafe.Pointer(t.c.cur)) }

// Values are the operation's arguments, or the handler's results; valid until the next Resume or Reset.
func (t *Thread) Values() []Val {
	return unsafe.Slice((*Val)(unsafe.Pointer(t.c.args)), t.c.nargs)
}

// TraceParent adds t, which has begun the thread that has just failed or begun its parent, to the traceback of the failure.
func (t *Thread) TraceParent() { C.mg_trace_parent(t.c.vm, t.c.co) }

// Failure is the error of the thread which has just failed.
func (v *VM) Failure() *Error {
	return &Error{Msg: bytesString(&v.c.msg), Traceback: bytesString(&v.c.trace)}
}

// Reset makes the thread idle, whatever it was doing.
func (t *Thread) Reset() { C.mg_thread_reset(t.c) }

// ResetDone is Reset without a crossing when the thread's function has ended without results.
func (t *Thread) ResetDone() {
	if t.c.state == C.MG_DONE && t.c.nargs == 0 {
		t.c.state = C.MG_IDLE
		t.c.ctx = nil
		return
	}
	t.Reset()
}
