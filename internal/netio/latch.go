package netio

import "syscall"

// latchFD is the number of a latch: none that the kernel gives out.
const latchFD = 1<<31 - 1

// Latch makes f a descriptor that the kernel does not know: it is readable when code says so. Whoever can wait for a
// descriptor can wait for it, so that a stream of a connection that carries many looks like a connection of its own.
// It ends with Close; it has no bytes, and its handler is called by Raise.
func (l *Loop) Latch(f *FD) {
	*f = FD{loop: l, fd: latchFD, slot: -1, state: writable}
}

// Raise makes a latch readable and wakes who waits for that.
func (f *FD) Raise() { f.event(syscall.EPOLLIN) }

// Lower ends what Raise has begun.
func (f *FD) Lower() { f.state &^= readable }

// unlatch is the Close of a latch.
func (f *FD) unlatch() {
	f.fd, f.h = -1, nil
	if f.rw != nil {
		f.loop.ReadyErr(f.rw, ErrClosed)
	}
	if f.ww != nil {
		f.loop.ReadyErr(f.ww, ErrClosed)
	}
}
