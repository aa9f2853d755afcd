package luajit

/*
#include <stdlib.h>
#include "mg_vm_api.h"
*/
import "C"

import "unsafe"

// Kinds of rows in Defs.
const (
	DefSync   = C.MG_DEF_SYNC
	DefAsync  = C.MG_DEF_ASYNC
	DefView   = C.MG_DEF_VIEW
	DefC      = C.MG_DEF_C
	DefLua    = C.MG_DEF_LUA
	DefClass  = C.MG_DEF_CLASS
	DefConst  = C.MG_DEF_CONST
	DefObject = C.MG_DEF_OBJECT
	DefProp   = C.MG_DEF_PROP
	DefModule = C.MG_DEF_MODULE
	DefLoaded = C.MG_DEF_LOADED
)

// PropCtx is the getter and setter of ngx.ctx, which C serves.
const PropCtx = C.MG_CTX

// Def is one row of what every VM offers. Which fields count depends on Kind.
type Def struct {
	Kind          int
	Path          string // "ngx.req.get_method", "@class:method", a property or module name
	Index         int    // of the function, or number of the class (from 1)
	Mask          uint32 // phases which allow it
	Output        int    // 1 concatenates the arguments, 2 and a newline
	Slot          int    // DefView
	Get, Set, Exe int    // function indexes, -1 for none: properties, and the metatable of objects
	Sig           []byte // three bytes a parameter: type letter, 1 if optional, class number
	Value         []byte // DefConst, one encoded value
	CLib, CField  string // DefC
	Source, Chunk string // DefLua, DefModule; DefLoaded's module name is in Chunk
	NoRequest     string // error text in phases without a request
	Hint          string // what the error text in other phases adds
}

// Defs is a list of definitions in C memory, shared by all VMs for the life of the process.
type Defs struct {
	rows           *C.mg_def
	n              int
	nfuncs, nviews int
	phases         **C.char
}

// NewDefs copies the definitions; phases are the names of the phase bits, lowest first.
func NewDefs(defs []Def, phases []string) *Defs {
	d := &Defs{n: len(defs)}
	d.rows = (*C.mg_def)(C.calloc(C.size_t(len(defs)+1), C.sizeof_mg_def))
	rows := unsafe.Slice(d.rows, len(defs))
	for i := range defs {
		fillDef(&rows[i], &defs[i])
		if k := defs[i].Kind; k <= DefLua {
			d.nfuncs = max(d.nfuncs, defs[i].Index+1)
		}
		if defs[i].Kind == DefView {
			d.nviews = max(d.nviews, defs[i].Slot+1)
		}
	}
	d.phases = (**C.char)(C.calloc(32, C.size_t(unsafe.Sizeof(uintptr(0)))))
	names := unsafe.Slice(d.phases, 32)
	for i, p := range phases {
		if p != "" {
			names[i] = C.CString(p)
		}
	}
	return d
}

func fillDef(c *C.mg_def, d *Def) {
	c.kind, c.index = C.int32_t(d.Kind), C.int32_t(d.Index)
	c.mask, c.output, c.slot = C.uint32_t(d.Mask), C.int32_t(d.Output), C.int32_t(d.Slot)
	c.get, c.set, c.call = C.int32_t(d.Get), C.int32_t(d.Set), C.int32_t(d.Exe)
	c.path, c.pathlen = C.CString(d.Path), C.size_t(len(d.Path))
	c.clib, c.cfield = C.CString(d.CLib), C.CString(d.CField)
	c.src, c.srclen = C.CString(d.Source), C.size_t(len(d.Source))
	c.chunk = C.CString(d.Chunk)
	if d.NoRequest != "" {
		c.noreq = C.CString(d.NoRequest)
	}
	if d.Hint != "" {
		c.hint = C.CString(d.Hint)
	}
	c.sig, c.nsig = (*C.uint8_t)(C.CBytes(d.Sig)), C.size_t(len(d.Sig)/3)
	if d.Kind == DefConst {
		c.sig, c.nsig = (*C.uint8_t)(C.CBytes(d.Value)), C.size_t(len(d.Value))
	}
}
