package luajit

/*
#include <stdlib.h>
#include "cfun_shdict.h"
#include "mg_vm.h"
*/
import "C"

import (
	"errors"
	"sync"
	"unsafe"
)

// Dict is a shared dictionary (ngx.shared.NAME): memory outside of Go and Lua which every VM, and Go, may use at any
// time from any goroutine. It lives as long as someone holds it (OpenDict, Release).
type Dict struct {
	c    *C.mg_shdict
	name string
	size int64
	refs int
}

var dicts = struct {
	sync.Mutex
	all map[string][]*Dict
}{all: map[string][]*Dict{}}

// OpenDict gives the dictionary of a name and size in bytes (8 KiB or more), made if nobody holds one: so it survives
// a reload which leaves it as it is.
func OpenDict(name string, size int64) (*Dict, error) {
	dicts.Lock()
	defer dicts.Unlock()
	for _, d := range dicts.all[name] {
		if d.size == size {
			d.refs++
			return d, nil
		}
	}
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	c := C.mg_shdict_new(cname, C.size_t(len(name)), C.size_t(size))
	if c == nil {
		return nil, ErrMemory
	}
	d := &Dict{c: c, name: name, size: size, refs: 1}
	dicts.all[name] = append(dicts.all[name], d)
	return d, nil
}

// Release gives the dictionary up; the last holder frees it.
func (d *Dict) Release() {
	dicts.Lock()
	defer dicts.Unlock()
	if d.refs--; d.refs > 0 {
		return
	}
	list := dicts.all[d.name]
	for i, e := range list {
		if e == d {
			dicts.all[d.name] = append(list[:i:i], list[i+1:]...)
		}
	}
	C.mg_shdict_free(d.c)
	d.c = nil
}

// Name is the dictionary's name.
func (d *Dict) Name() string { return d.name }

// Size is the dictionary's size in bytes, as configured.
func (d *Dict) Size() int64 { return d.size }

// FreeSpace is the size of the pages in which nothing is stored.
func (d *Dict) FreeSpace() int64 { return int64(C.mg_shdict_free_space(d.c)) }

// DefineDict makes ngx.shared.NAME in the VM; a nil Dict makes sure of ngx.shared only. The Dict must outlive the VM.
func (v *VM) DefineDict(d *Dict) error {
	var c *C.mg_shdict
	name := ""
	if d != nil {
		c, name = d.c, d.name
	}
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	if C.mg_shdict_define(v.c, cname, C.size_t(len(name)), c) != 0 {
		return ErrMemory
	}
	return nil
}

// NewClock is memory for a time which C code reads too; it is never freed.
func NewClock() *int64 { return (*int64)(C.calloc(1, 8)) }

// SetClock gives the VM the time, in nanoseconds since the epoch, that it goes by: see NewClock.
func (v *VM) SetClock(clock *int64) { v.c.clock = (*C.int64_t)(clock) }

// dictErrors are the texts of C as errors, made once.
var dictErrors sync.Map

func dictError(text *C.char) error {
	if text == nil {
		return nil
	}
	if err, ok := dictErrors.Load(text); ok {
		return err.(error)
	}
	err := errors.New(C.GoString(text))
	dictErrors.Store(text, err)
	return err
}

func dictKey(key []byte) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.SliceData(key))), C.size_t(len(key))
}

// Get appends the string stored under key to dst; ok is false when there is none. A number or boolean is no string.
func (d *Dict) Get(dst, key []byte) (val []byte, ok bool) {
	var v C.mg_sd_value
	k, n := dictKey(key)
	if C.mg_shdict_get(d.c, nil, k, n, 0, &v) != nil || v._type != C.MG_SD_STR {
		return dst, false
	}
	dst = append(dst, unsafe.Slice((*byte)(unsafe.Pointer(v.s)), v.len)...)
	if v.heap != 0 {
		C.free(unsafe.Pointer(v.s))
	}
	return dst, true
}

// Number is the number stored under key.
func (d *Dict) Number(key []byte) (n float64, ok bool) {
	var v C.mg_sd_value
	k, klen := dictKey(key)
	if C.mg_shdict_get(d.c, nil, k, klen, 0, &v) != nil {
		return 0, false
	}
	if v.heap != 0 {
		C.free(unsafe.Pointer(v.s))
	}
	return float64(v.num), v._type == C.MG_SD_NUM
}

// Set stores a string for ttl milliseconds, 0 for ever. Older entries give way to it.
func (d *Dict) Set(key, val []byte, ttl int64) error {
	var forcible C.int
	k, n := dictKey(key)
	v := (*C.mg_sd_value)(C.calloc(1, C.sizeof_mg_sd_value)) // its pointer must not be Go's
	defer C.free(unsafe.Pointer(v))
	s := C.CBytes(val)
	defer C.free(s)
	v._type, v.s, v.len = C.MG_SD_STR, (*C.char)(s), C.size_t(len(val))
	return dictError(C.mg_shdict_store(d.c, nil, 0, k, n, v, C.int64_t(ttl), nil, &forcible))
}

// Delete removes an entry.
func (d *Dict) Delete(key []byte) {
	var forcible C.int
	var v C.mg_sd_value
	k, n := dictKey(key)
	C.mg_shdict_store(d.c, nil, 0, k, n, &v, 0, nil, &forcible)
}

// Incr adds to the number stored under key, which begins as init when there is none and then lives for ttl
// milliseconds, 0 for ever.
func (d *Dict) Incr(key []byte, add, init float64, ttl int64) (float64, error) {
	var forcible C.int
	v := C.double(add)
	k, n := dictKey(key)
	err := dictError(C.mg_shdict_incr(d.c, nil, k, n, &v, 1, C.double(init), C.int64_t(ttl), &forcible))
	return float64(v), err
}
