package nlog

import (
	"fmt"
	"sync"
)

// Ring keeps the last lines in memory (error_log memory:SIZE), to be read with
// a debugger or in a core file, where "MEMLOG" marks its beginning.
type Ring struct {
	mu   sync.Mutex
	buf  []byte
	head int // length of the mark
	at   int // next byte to write, counted from head
}

// RingOverhead is what a ring needs besides the mark's file name.
const RingOverhead = MaxLine + len("MEMLOG  :\n") + 2*20

// NewRing returns a ring of size bytes, marked with the place of the directive.
func NewRing(size int, file string, line int) *Ring {
	r := &Ring{buf: make([]byte, size)}
	for i := range r.buf {
		r.buf[i] = ' '
	}
	r.head = copy(r.buf, fmt.Sprintf("MEMLOG %d %s:%d\n", size, file, line))
	return r
}

// Write is what an error log Target calls.
func (r *Ring) Write(_ Level, line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body := r.buf[r.head:]
	n := copy(body[r.at:], line)
	copy(body, line[n:])
	r.at = (r.at + len(line)) % len(body)
}

// Bytes returns a copy of the whole ring.
func (r *Ring) Bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]byte(nil), r.buf...)
}
