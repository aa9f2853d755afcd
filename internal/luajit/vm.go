package luajit

/*
#include <stdlib.h>
#include "mg_vm_api.h"
#include "mg_wire_api.h"
*/
import "C"

import (
	"errors"
	"runtime/cgo"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Val is an argument handed over by C (mg_val): a number, a boolean as 1 or 0, a string which points into Lua and lives
// as long as the call, or the address of anything else.
type Val struct {
	Type uint32
	Aux  int32 // its stack index
	Num  float64
	Ptr  unsafe.Pointer
	Len  uintptr
}

// Lua's types, as Val.Type and TagOpaque have them.
const (
	TypeNone     = 0xffffffff
	TypeNil      = C.LUA_TNIL
	TypeBool     = C.LUA_TBOOLEAN
	TypeLight    = C.LUA_TLIGHTUSERDATA
	TypeNum      = C.LUA_TNUMBER
	TypeStr      = C.LUA_TSTRING
	TypeTable    = C.LUA_TTABLE
	TypeFunc     = C.LUA_TFUNCTION
	TypeUserdata = C.LUA_TUSERDATA
	TypeThread   = C.LUA_TTHREAD
	TypeCdata    = C.LUA_TTHREAD + 2
)

// Bytes is the string's bytes in place.
func (v *Val) Bytes() []byte { return unsafe.Slice((*byte)(v.Ptr), v.Len) }

// LState is a Lua state as C knows it: the one which made a call.
type LState = uintptr

// Frame is one call of Go by Lua (mg_call). Host.Call reads the arguments and fills Kind to Len.
type Frame struct {
	L     LState
	args  *Val
	Index int32
	NArgs int32
	Kind  int32
	Arg   int32
	Res   uintptr
	Len   uintptr
}

// Args is valid during the call.
func (f *Frame) Args() []Val { return unsafe.Slice(f.args, f.NArgs) }

// How calls and operations end (Frame.Kind).
const (
	KindOK     = C.MG_OK
	KindErr    = C.MG_ERR    // Res is a message, raised with the caller's position
	KindErrArg = C.MG_ERRARG // Res is a message about argument Arg
	KindErrRaw = C.MG_ERRRAW // Res is one encoded value, raised as it is
)

// The mirrors must have C's layout.
var (
	_ [unsafe.Sizeof(Val{}) - C.sizeof_mg_val]byte
	_ [C.sizeof_mg_val - unsafe.Sizeof(Val{})]byte
	_ [unsafe.Sizeof(Frame{}) - C.sizeof_mg_call]byte
	_ [C.sizeof_mg_call - unsafe.Sizeof(Frame{})]byte
)

// Host receives the calls of declared functions. It must not panic.
type Host interface {
	// Call serves f and returns the kind of outcome.
	Call(f *Frame) int32
}

// Config are the numbers a VM is made with.
type Config struct {
	Defs      *Defs
	Host      Host
	Yieldable uint32 // phases which may wait for the host
	NoRequest uint32 // phases without a request
	PlainCo   uint32 // phases with Lua's own coroutines
	NoGuard   uint32 // phases which may write globals silently
	Guard     int32  // index of the function told about global writes, -1 for none
}

// VM is one Lua VM. One goroutine uses it at a time.
type VM struct {
	c    *C.mg_vm
	host Host
	slot int
	// regexLog is of SetRegexLog, 0 for none.
	regexLog cgo.Handle
}

var vms struct {
	sync.Mutex
	all  atomic.Pointer[[]*VM]
	free []int
}

func takeSlot(v *VM) int {
	vms.Lock()
	defer vms.Unlock()
	if n := len(vms.free); n > 0 {
		slot := vms.free[n-1]
		vms.free = vms.free[:n-1]
		(*vms.all.Load())[slot] = v
		return slot
	}
	var all []*VM
	if old := vms.all.Load(); old != nil {
		all = append(all, *old...)
	}
	all = append(all, v)
	vms.all.Store(&all)
	return len(all) - 1
}

func dropSlot(slot int) {
	vms.Lock()
	defer vms.Unlock()
	(*vms.all.Load())[slot] = nil
	vms.free = append(vms.free, slot)
}

//export mg_go_call
func mg_go_call(slot C.int32_t, c *C.mg_call) C.int32_t {
	v := (*vms.all.Load())[slot]
	return C.int32_t(v.host.Call((*Frame)(unsafe.Pointer(c))))
}

// NewVM makes a VM with the declared functions; Close frees it.
func NewVM(cfg Config) (*VM, error) {
	v := &VM{host: cfg.Host}
	v.slot = takeSlot(v)
	v.c = C.mg_vm_new(C.int(v.slot), C.int(cfg.Defs.nfuncs), C.int(cfg.Defs.nviews))
	if v.c == nil {
		dropSlot(v.slot)
		return nil, ErrMemory
	}
	v.c.phases = cfg.Defs.phases
	v.c.yieldable = C.uint32_t(cfg.Yieldable)
	v.c.norequest = C.uint32_t(cfg.NoRequest)
	v.c.plainco = C.uint32_t(cfg.PlainCo)
	v.c.noguard = C.uint32_t(cfg.NoGuard)
	v.c.guard = C.int32_t(cfg.Guard)
	if C.mg_vm_define(v.c, cfg.Defs.rows, C.int(cfg.Defs.n)) != 0 {
		err := errors.New("luajit: " + v.message())
		v.Close()
		return nil, err
	}
	return v, nil
}

// Close frees the VM, and whatever Lua holds in it: Freed tells the objects.
func (v *VM) Close() {
	if v.c == nil {
		return
	}
	C.mg_vm_close(v.c)
	v.c = nil
	if v.regexLog != 0 {
		v.regexLog.Delete()
	}
	dropSlot(v.slot)
}

func (v *VM) message() string { return bytesString(&v.c.msg) }

func bytesString(b *C.mg_bytes) string {
	return C.GoStringN(b.p, C.int(b.len))
}

// Load compiles source or bytecode under a chunk name ("=name", "@file") and anchors the function.
func (v *VM) Load(src []byte, name string) (int32, error) {
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	var ref C.int32_t
	if C.mg_vm_load(v.c, (*C.char)(unsafe.Pointer(unsafe.SliceData(src))), C.size_t(len(src)), cname, &ref) != 0 {
		return 0, &Error{Msg: v.message()}
	}
	return int32(ref), nil
}

// Unref lets go of an anchored value.
func (v *VM) Unref(ref int32) { C.mg_vm_unref(v.c, C.int32_t(ref)) }

// Ref anchors the value at a stack index of l, the state of a running call or a waiting operation.
func (v *VM) Ref(l LState, idx int) (int32, error) {
	ref := C.mg_vm_ref(v.c, lstate(l), C.int(idx))
	if ref == C.LUA_NOREF {
		return 0, ErrMemory
	}
	return int32(ref), nil
}

func lstate(l LState) *C.lua_State { return *(**C.lua_State)(unsafe.Pointer(&l)) }

// Path returns package.path ("path") or package.cpath ("cpath").
func (v *VM) Path(field string) string {
	cfield := C.CString(field)
	defer C.free(unsafe.Pointer(cfield))
	C.mg_vm_path(v.c, cfield, nil, 0)
	return v.message()
}

// SetPath sets package.path ("path") or package.cpath ("cpath").
func (v *VM) SetPath(field, value string) {
	cfield, cvalue := C.CString(field), C.CString(value)
	defer C.free(unsafe.Pointer(cfield))
	defer C.free(unsafe.Pointer(cvalue))
	C.mg_vm_path(v.c, cfield, cvalue, C.size_t(len(value)))
}

// Mem is the memory Lua uses, in bytes.
func (v *VM) Mem() int { return int(C.mg_vm_mem(v.c)) }

// GC runs a full collection.
func (v *VM) GC() { C.mg_vm_gc(v.c) }

// TrimMalloc gives memory that C code has freed back to the system, and says whether there was any. Lua's own memory is
// not malloc's: GC gives that back.
func TrimMalloc() bool { return C.mg_malloc_trim() != 0 }

// UnmapProgram takes the program's code and constants out of the process's memory: what is used from now on is mapped
// again, from the file's pages that the kernel keeps. A start touches nearly all of it, serving a part.
func UnmapProgram() { C.mg_unmap_program() }

// SetMemLimit limits the memory Lua uses, in bytes; 0 lifts the limit.
func (v *VM) SetMemLimit(n int) { C.mg_vm_limit(v.c, C.size_t(n)) }

// OutFast opens or closes the output buffer for printing functions.
func (v *VM) OutFast(on bool) {
	v.c.out_fast = 0
	if on {
		v.c.out_fast = 1
	}
}

// Output is what printing functions have written: taken out of the VM, and to be given back.
type Output struct{ c C.mg_bytes }

// Bytes is valid until GiveOut.
func (o Output) Bytes() []byte { return unsafe.Slice((*byte)(unsafe.Pointer(o.c.p)), o.c.len) }

// OutLen is the number of bytes written since TakeOut.
func (v *VM) OutLen() int { return int(v.c.out.len) }

// TakeOut takes the output out of the VM, which writes to another buffer from now on.
func (v *VM) TakeOut() Output {
	o := Output{v.c.out}
	v.c.out = C.mg_bytes{}
	return o
}

// GiveOut lets the VM use the buffer again.
func (v *VM) GiveOut(o Output) {
	if v.c.out.p != nil {
		C.free(unsafe.Pointer(o.c.p))
		return
	}
	o.c.len = 0
	v.c.out = o.c
}

// TrimOut gives a large output buffer back to the system.
func (v *VM) TrimOut(max int) {
	if int(v.c.out.cap) > max && v.c.out.len == 0 {
		C.free(unsafe.Pointer(v.c.out.p))
		v.c.out = C.mg_bytes{}
	}
}

// Freed calls f with the handle of each object Lua has collected since the last call.
func (v *VM) Freed(f func(handle int32)) {
	if v.c.freed_n == 0 {
		return
	}
	for _, h := range unsafe.Slice((*int32)(unsafe.Pointer(v.c.freed)), v.c.freed_n) {
		f(h)
	}
	v.c.freed_n = 0
}

// Decoding says that Lua is reading the results of a call whose memory must not be reused yet: the present call comes
// from a finalizer.
func (v *VM) Decoding() bool { return v.c.decoding > 0 }

// HasFreed says whether Freed has something to tell.
func (v *VM) HasFreed() bool { return v.c.freed_n != 0 }

// SetView gives the value of a view slot: what a function of tier View returns without a crossing.
func (v *VM) SetView(slot int, num float64) {
	p := v.view(slot)
	p.Type, p.Num = TypeNum, num
}

// SetViewStr is SetView with a string, which is copied.
func (v *VM) SetViewStr(slot int, s string) {
	p := v.view(slot)
	if uintptr(len(s)) > uintptr(p.Aux) {
		p.Ptr = C.realloc(p.Ptr, C.size_t(len(s)))
		p.Aux = int32(len(s))
	}
	p.Type, p.Len = TypeStr, uintptr(len(s))
	copy(p.Bytes(), s)
}

func (v *VM) view(slot int) *Val {
	if slot < 0 || slot >= int(v.c.nviews) {
		panic("luajit: view slot out of range")
	}
	return &unsafe.Slice((*Val)(unsafe.Pointer(v.c.views)), v.c.nviews)[slot]
}

// Errors of Pack.
var (
	ErrDeep  = errors.New("table too deep")
	ErrLarge = errors.New("table too large")
)

// Pack writes the value at a stack index of l, a table as a rule, in the wire form; valid until Lua runs again.
func (v *VM) Pack(l LState, idx, max int) ([]byte, error) {
	switch C.mg_pack_table(v.c, lstate(l), C.int(idx), C.int(max)) {
	case C.MG_PACK_OK:
		return unsafe.Slice((*byte)(unsafe.Pointer(v.c.pack.p)), v.c.pack.len), nil
	case C.MG_PACK_DEPTH:
		return nil, ErrDeep
	case C.MG_PACK_SIZE:
		return nil, ErrLarge
	}
	return nil, ErrMemory
}

// Concat writes n values of l as printing functions do; valid until Lua runs again. When one cannot be printed, bad is
// its number, counted from 1, and why the reason.
func (v *VM) Concat(l LState, first, n int) (b []byte, bad int, why string) {
	if r := C.mg_vm_concat(v.c, lstate(l), C.int(first), C.int(n)); r != 0 {
		return nil, int(r), v.message()
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(v.c.pack.p)), v.c.pack.len), 0, ""
}

// Where tells the function at a level of the call made by l: 0 is the called function, 1 its caller. line is -1 when it
// is unknown, name is empty when there is none.
func (v *VM) Where(l LState, level int) (source string, line int, name string, ok bool) {
	var ar C.lua_Debug
	if C.mg_vm_where(lstate(l), C.int(level), &ar) == 0 {
		return "", -1, "", false
	}
	if ar.name != nil {
		name = C.GoString(ar.name)
	}
	return C.GoString(&ar.short_src[0]), int(ar.currentline), name, true
}

// FuncInfo tells where the Lua function at a stack index of l was defined, as debug.getinfo's source and linedefined.
func (v *VM) FuncInfo(l LState, idx int) (source string, line int, ok bool) {
	var ar C.lua_Debug
	if C.mg_vm_funcinfo(lstate(l), C.int(idx), &ar) == 0 {
		return "", -1, false
	}
	return C.GoString(ar.source), int(ar.linedefined), true
}

// RefInfo is FuncInfo of an anchored function.
func (v *VM) RefInfo(ref int32) (source string, line int, ok bool) {
	var ar C.lua_Debug
	if C.mg_vm_refinfo(v.c, C.int32_t(ref), &ar) == 0 {
		return "(unknown)", -1, false
	}
	return C.GoString(ar.source), int(ar.linedefined), true
}

// LogLevel sets the highest level which logging functions pass on to Go.
func (v *VM) LogLevel(level int) { v.c.log_level = C.int32_t(level) }

// NewWire returns a buffer of n bytes of C memory; Free frees it.
func NewWire(n int) *Wire {
	w := &Wire{}
	w.grow(n)
	w.Reset()
	return w
}

func (w *Wire) grow(n int) {
	n = (n + 255) &^ 255
	p := C.malloc(C.size_t(n))
	C.free(unsafe.Pointer(unsafe.SliceData(w.mem)))
	w.mem = unsafe.Slice((*byte)(p), n)
}

// Trim gives memory above max bytes back; the buffer must be out of use.
func (w *Wire) Trim(max int) {
	if len(w.mem) > max {
		w.grow(max)
	}
	w.Reset()
}

// Free frees the C memory.
func (w *Wire) Free() {
	C.free(unsafe.Pointer(unsafe.SliceData(w.mem)))
	w.mem, w.B = nil, nil
}

// SetRegexLimits sets lua_regex_cache_max_entries (0 for no cache) and lua_regex_match_limit (0 for PCRE2's own).
func (v *VM) SetRegexLimits(cacheMax, matchLimit int) { setRegexLimits(v.c.L, cacheMax, matchLimit) }

// SetRegexLog sends what ngx.re has to say to log; the VM's Close ends it.
func (v *VM) SetRegexLog(maxLevel int, log RegexLog) { v.regexLog = setRegexLog(v.c.L, maxLevel, log) }
