package luajit

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// Tags of the wire form; mg_wire.h has the same numbers and describes the form.
const (
	TagNil = iota
	TagFalse
	TagTrue
	TagNum
	TagInt
	TagStr
	TagTable
	TagEnd
	TagKey
	TagMulti
	TagLight
	TagRef
	TagFunc
	TagObject
	TagArg
	TagOpaque
	TagBulk
	TagMove
)

// Kinds of Bulk.
const (
	BulkArgs = iota
	BulkPostArgs
	BulkFillArgs
	BulkHeaders
	BulkRawHeaders
)

// Wire is a buffer of encoded values. Its bytes are C memory as long as they fit; append moves them to the Go heap
// otherwise, and Seal brings them back before C reads them.
type Wire struct {
	B   []byte
	mem []byte // the C memory, full capacity
}

// Reset empties the buffer.
func (w *Wire) Reset() { w.B = w.mem[:0] }

// Nil appends nil.
func (w *Wire) Nil() { w.B = append(w.B, TagNil) }

// Bool appends a boolean.
func (w *Wire) Bool(v bool) {
	if v {
		w.B = append(w.B, TagTrue)
	} else {
		w.B = append(w.B, TagFalse)
	}
}

// Num appends a number.
func (w *Wire) Num(v float64) {
	w.B = binary.LittleEndian.AppendUint64(append(w.B, TagNum), math.Float64bits(v))
}

// Int appends an integer, which Lua sees as a number.
func (w *Wire) Int(v int64) {
	w.B = binary.LittleEndian.AppendUint64(append(w.B, TagInt), uint64(v))
}

// Str appends a string.
func (w *Wire) Str(s string) {
	w.B = append(binary.LittleEndian.AppendUint32(append(w.B, TagStr), uint32(len(s))), s...)
}

// Bytes appends a string; b is copied.
func (w *Wire) Bytes(b []byte) {
	w.B = append(binary.LittleEndian.AppendUint32(append(w.B, TagStr), uint32(len(b))), b...)
}

// Table begins a table with room for narr positional and nrec keyed entries; End closes it.
func (w *Wire) Table(narr, nrec int) {
	w.B = binary.LittleEndian.AppendUint32(append(w.B, TagTable), uint32(narr))
	w.B = binary.LittleEndian.AppendUint32(w.B, uint32(nrec))
}

// End closes the innermost table.
func (w *Wire) End() { w.B = append(w.B, TagEnd) }

// Key announces that the next two values are a key and its value.
func (w *Wire) Key() { w.B = append(w.B, TagKey) }

// Multi is Key for a key which may come again: its values then become an array.
func (w *Wire) Multi() { w.B = append(w.B, TagMulti) }

// Light appends a light userdata.
func (w *Wire) Light(addr uintptr) {
	w.B = binary.LittleEndian.AppendUint64(append(w.B, TagLight), uint64(addr))
}

// Ref appends the value anchored under a registry reference.
func (w *Wire) Ref(ref int32) { w.u32(TagRef, uint32(ref)) }

// Func appends the declared function with that index.
func (w *Wire) Func(index int32) { w.u32(TagFunc, uint32(index)) }

// Arg appends the caller's argument at that stack index.
func (w *Wire) Arg(i int) { w.u32(TagArg, uint32(i)) }

// Move appends the n values at the top of another coroutine, as results of a call only.
func (w *Wire) Move(from LState, n int) {
	w.B = binary.LittleEndian.AppendUint64(append(w.B, TagMove), uint64(from))
	w.B = binary.LittleEndian.AppendUint32(w.B, uint32(n))
}

// Object appends a new object of a class, which owns the handle.
func (w *Wire) Object(class, handle int32) {
	w.u32(TagObject, uint32(class))
	w.B = binary.LittleEndian.AppendUint32(w.B, uint32(handle))
}

// Bulk begins a table which C makes of bytes that follow, and of which EndBulk tells the end: a query string, or headers
// added with Header. tab is the stack index for BulkFillArgs. When more than limit entries are there a second value,
// "truncated", comes after the table.
func (w *Wire) Bulk(kind byte, limit, tab int) (at int) {
	w.B = append(w.B, TagBulk, kind)
	w.B = binary.LittleEndian.AppendUint32(w.B, uint32(int32(limit)))
	w.B = binary.LittleEndian.AppendUint32(w.B, uint32(tab))
	w.B = append(w.B, 0, 0, 0, 0)
	return len(w.B)
}

// Header adds one header to a Bulk.
func (w *Wire) Header(name, value []byte) {
	w.B = binary.NativeEndian.AppendUint32(w.B, uint32(len(name)))
	w.B = binary.NativeEndian.AppendUint32(w.B, uint32(len(value)))
	w.B = append(append(w.B, name...), value...)
}

// EndBulk ends the table which Bulk began and returned at for.
func (w *Wire) EndBulk(at int) { binary.LittleEndian.PutUint32(w.B[at-4:], uint32(len(w.B)-at)) }

func (w *Wire) u32(tag byte, v uint32) {
	w.B = binary.LittleEndian.AppendUint32(append(w.B, tag), v)
}

// Seal returns the address and length of the bytes in C memory.
func (w *Wire) Seal() (uintptr, uintptr) {
	n := len(w.B)
	if n == 0 {
		return 0, 0
	}
	if unsafe.SliceData(w.B) != unsafe.SliceData(w.mem) {
		w.grow(n)
		copy(w.mem, w.B)
		w.B = w.mem[:n]
	}
	return uintptr(unsafe.Pointer(unsafe.SliceData(w.mem))), uintptr(n)
}
