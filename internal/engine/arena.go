package engine

import "unsafe"

// arena is a request's scratch memory: bytes that live until the request ends.
type arena struct {
	w    *Worker
	cur  []byte
	full [][]byte
}

// The first block is small: most requests need no other, and thousands may wait for hours.
const (
	firstBlock = 1024
	arenaBlock = 4096
)

// alloc gives n bytes of unspecified content.
func (a *arena) alloc(n int) []byte {
	if len(a.cur)+n > cap(a.cur) {
		if n > arenaBlock/2 {
			return make([]byte, n)
		}
		if a.cur == nil && n <= firstBlock {
			a.cur = a.w.block(firstBlock)
		} else {
			if a.cur != nil {
				a.full = append(a.full, a.cur)
			}
			a.cur = a.w.block(arenaBlock)
		}
	}
	m := len(a.cur)
	a.cur = a.cur[:m+n]
	return a.cur[m : m+n : m+n]
}

// reset keeps the first block and gives the others back.
func (a *arena) reset() {
	if len(a.full) > 0 {
		a.full = append(a.full, a.cur)
		a.cur = a.full[0]
		for i, b := range a.full {
			if i > 0 && b != nil {
				a.w.freeBlock(b)
			}
			a.full[i] = nil
		}
		a.full = a.full[:0]
	}
	a.cur = a.cur[:0]
}

// adopt takes over the memory of b, whose bytes go on living in a.
func (a *arena) adopt(b *arena) {
	a.full = append(a.full, b.full...)
	if len(b.cur) > 0 {
		a.full = append(a.full, b.cur)
		b.cur = nil
	}
	clear(b.full)
	b.full = b.full[:0]
}

// Alloc gives n bytes that live until the request ends; their content is unspecified.
func (r *Request) Alloc(n int) []byte { return r.mem.alloc(n) }

// Copy copies b into memory that lives until the request ends.
func (r *Request) Copy(b []byte) []byte {
	p := r.mem.alloc(len(b))
	copy(p, b)
	return p
}

// CopyString is Copy of a string.
func (r *Request) CopyString(s string) []byte {
	p := r.mem.alloc(len(s))
	copy(p, s)
	return p
}

// str views b as a string without copying; b must not change while the string lives.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// bytesOf views s as bytes, which must not be written to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
