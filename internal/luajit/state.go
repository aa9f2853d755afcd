// Package luajit is the only package that sees C: it holds LuaJIT (OpenResty's branch) and PCRE2, linked statically.
//
// Invariants: a state is used by one goroutine at a time; a Lua error never unwinds a Go frame; C keeps slot numbers,
// never Go pointers; a Go panic stops at the exported border.
package luajit

/*
#cgo CFLAGS: -O2 -std=gnu11 -Wall -I/usr/include/luajit-2.1
#cgo LDFLAGS: -Wl,-Bstatic -lluajit-5.1 -lpcre2-8 -Wl,-Bdynamic -lm -ldl -rdynamic
#include <stdlib.h>
#include "mg_state.h"
*/
import "C"

import (
	"errors"
	"strings"
	"unsafe"
)

// State is a plain Lua state with the standard libraries and the built-in C libraries. It serves tests, and what only has to
// know whether code compiles; the server runs Lua in a VM.
type State struct {
	l *C.lua_State
}

// ErrMemory says that no Lua state could be created.
var ErrMemory = errors.New("luajit: not enough memory")

// Error is an error raised by Lua: the message, and the traceback when there is one.
type Error struct {
	Msg       string
	Traceback string
}

func (e *Error) Error() string { return e.Msg }

// Bytecode is the byte that compiled code begins with.
const Bytecode = '\x1b'

// New returns a fresh state; it is the caller's to Close.
func New() (*State, error) {
	l := C.mg_state_new()
	if l == nil {
		return nil, ErrMemory
	}
	return &State{l: l}, nil
}

// Close frees the state. It may be called twice.
func (s *State) Close() {
	if s.l != nil {
		C.lua_close(s.l)
		s.l = nil
	}
}

// DoString runs code as the chunk called chunk (a leading "=" or "@" as in Lua). The error is an *Error.
func (s *State) DoString(code, chunk string) error {
	_, err := s.Eval(code, chunk)
	return err
}

// Eval is DoString and returns tostring() of the chunk's first result.
func (s *State) Eval(code, chunk string) (string, error) {
	cchunk := C.CString(chunk)
	defer C.free(unsafe.Pointer(cchunk))
	rc := C.mg_state_do(s.l, (*C.char)(unsafe.Pointer(unsafe.StringData(code))), C.size_t(len(code)), cchunk)
	var n C.size_t
	p := C.lua_tolstring(s.l, -1, &n)
	out := C.GoStringN(p, C.int(n))
	C.lua_settop(s.l, 0)
	if rc == 0 {
		return out, nil
	}
	msg, trace, _ := strings.Cut(out, "\nstack traceback:\n")
	return "", &Error{Msg: msg, Traceback: trace}
}
