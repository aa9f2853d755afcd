package luajit

/*
#include <stdio.h>
#include <stdlib.h>

// What nginx's own symbols of these names say; Lua code reads them with ffi.C.
int    ngx_argc;
char **ngx_argv;

static void mg_set_argv(int n, char **argv)
{
    ngx_argc = n;
    ngx_argv = argv;
}
*/
import "C"

import (
	"sync"
	"unsafe"
)

var argvOnce sync.Once

// SetArgv publishes the command line of the process to C and FFI; only the first call counts.
func SetArgv(args []string) {
	argvOnce.Do(func() {
		size := C.size_t(unsafe.Sizeof((*C.char)(nil)))
		v := unsafe.Slice((**C.char)(C.calloc(C.size_t(len(args)+1), size)), len(args)+1)
		for i, a := range args {
			v[i] = C.CString(a)
		}
		C.mg_set_argv(C.int(len(args)), unsafe.SliceData(v))
	})
}

// FlushStdio writes out what C code (Lua's io library) has buffered, as a C program does when it exits.
func FlushStdio() { C.fflush(nil) }
