package luajit

/*
#include "mg_vm_api.h"
*/
import "C"

// WatchStalls prepares for Poke: the declared function of an index is called with the stack.
func (v *VM) WatchStalls(index int) { C.mg_stall_open(v.c, C.int(index)) }

// Turn is a number for the stretch that Lua has been running without a wait, 0 when it does not run. It may be called from
// any goroutine, as long as the VM is not closed.
func (v *VM) Turn() uint64 { return uint64(C.mg_stall_turn(v.c)) }

// Poke has the Lua stack of a turn reported, if it still lasts when Lua runs its next instruction. It may be called from
// any goroutine, as long as the VM is not closed.
func (v *VM) Poke(turn uint64) { C.mg_stall_poke(v.c, C.uint64_t(turn)) }
