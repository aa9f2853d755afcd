package netio

import (
	"syscall"
	"unsafe"
)

// Handler is told that an idle descriptor became readable (or was closed by the peer, or failed: reading tells).
// It is called with the baton and may park.
type Handler interface{ Ready(f *FD) }

// FD is a non-blocking descriptor registered with a loop, edge-triggered.
type FD struct {
	loop   *Loop
	fd     int
	slot   int32
	gen    int32
	state  uint8
	level  bool
	armed  bool // events of writability were asked for
	file   bool // a pipe or the like: the calls for sockets do not work on it
	h      Handler
	rw, ww *Task
}

const (
	readable uint8 = 1 << iota
	writable
	hangup // the peer has shut down its writing side: a read that drains the socket must go on to the end of file
	broken
)

// readEvents are the events of a new descriptor, edge-triggered. Writability is asked for when a write has failed
// first: asked for at once, it would make an event of its own for every connection.
const readEvents = syscall.EPOLLIN | syscall.EPOLLRDHUP | 1<<31

// Add registers fd with the loop. h is called when the descriptor becomes readable and no task waits for it;
// nil leaves the event to be found by WaitRead.
func (l *Loop) Add(fd int, h Handler) (*FD, error) {
	f := &FD{}
	return f, l.AddTo(f, fd, h)
}

// AddTo is Add with an FD that the caller owns (embedded in a connection).
func (l *Loop) AddTo(f *FD, fd int, h Handler) error {
	return l.register(f, fd, h, readEvents, writable)
}

// AddListener registers a listening socket, level-triggered; exclusive is for one socket shared by several loops.
func (l *Loop) AddListener(fd int, h Handler, exclusive bool) (*FD, error) {
	f := &FD{level: true}
	ev := uint32(syscall.EPOLLIN)
	if exclusive {
		ev |= 1 << 28 // EPOLLEXCLUSIVE
	}
	return f, l.register(f, fd, h, ev, 0)
}

func (l *Loop) register(f *FD, fd int, h Handler, events uint32, state uint8) error {
	var slot int32
	if n := len(l.freeSlots); n > 0 {
		slot = l.freeSlots[n-1]
		l.freeSlots = l.freeSlots[:n-1]
	} else {
		slot = int32(len(l.slots))
		l.slots = append(l.slots, nil)
	}
	// An event of a descriptor closed in this batch must not reach the one that has its slot now.
	l.gen++
	gen := l.gen
	f.loop, f.fd, f.slot, f.gen, f.state, f.h, f.rw, f.ww = l, fd, slot, gen, state, h, nil, nil
	f.armed, f.file = false, false
	ev := syscall.EpollEvent{Events: events, Fd: slot, Pad: gen}
	if _, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(l.epfd), syscall.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0); e != 0 {
		l.freeSlots = append(l.freeSlots, slot)
		f.fd = -1
		return e
	}
	l.slots[slot] = f
	return nil
}

// Sysfd is the descriptor's number, -1 once closed.
func (f *FD) Sysfd() int { return f.fd }

// Loop is the loop the descriptor belongs to.
func (f *FD) Loop() *Loop { return f.loop }

// SetHandler replaces the handler of readiness; nil while a task serves the descriptor.
func (f *FD) SetHandler(h Handler) { f.h = h }

// Readable reports whether a read may give bytes or the end of file.
func (f *FD) Readable() bool { return f.state&readable != 0 }

// HungUp reports whether the peer has closed its side or the descriptor is broken.
func (f *FD) HungUp() bool { return f.state&(hangup|broken) != 0 }

// Awaited reports whether a task waits for the descriptor.
func (f *FD) Awaited() bool { return f.rw != nil || f.ww != nil }

func (f *FD) event(ev uint32) {
	if ev&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0 {
		f.state |= readable | writable | broken
	}
	if ev&syscall.EPOLLRDHUP != 0 {
		f.state |= readable | hangup
	}
	if ev&syscall.EPOLLOUT != 0 {
		f.state |= writable
	}
	if ev&syscall.EPOLLIN != 0 {
		f.state |= readable
	}
	if f.ww != nil && f.state&writable != 0 {
		f.loop.Ready(f.ww)
	}
	if f.state&readable != 0 {
		if f.rw != nil {
			f.loop.Ready(f.rw)
		} else if f.h != nil {
			f.h.Ready(f)
		}
	}
}

// Close unregisters and closes the descriptor; tasks that wait on it get ErrClosed.
func (f *FD) Close() {
	switch {
	case f.fd < 0:
		return
	case f.slot < 0:
		f.unlatch()
		return
	}
	fd := f.Detach0()
	syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
}

// Detach unregisters the descriptor and hands it to the caller, still open.
func (f *FD) Detach() int {
	if f.fd < 0 {
		return -1
	}
	var ev syscall.EpollEvent
	syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(f.loop.epfd), syscall.EPOLL_CTL_DEL, uintptr(f.fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	return f.Detach0()
}

// Detach0 forgets the descriptor without telling epoll: closing it does.
func (f *FD) Detach0() int {
	fd := f.fd
	f.loop.slots[f.slot] = nil
	f.loop.freeSlots = append(f.loop.freeSlots, f.slot)
	f.fd, f.h = -1, nil
	if f.rw != nil {
		f.loop.ReadyErr(f.rw, ErrClosed)
	}
	if f.ww != nil {
		f.loop.ReadyErr(f.ww, ErrClosed)
	}
	return fd
}

// recv and send use the calls for sockets, which are shorter ways through the kernel; what is no socket says so once.
func (f *FD) recv(p []byte) (uintptr, uintptr, syscall.Errno) {
	if !f.file {
		n, r2, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(f.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		if e != syscall.ENOTSOCK {
			return n, r2, e
		}
		f.file = true
	}
	return syscall.RawSyscall(syscall.SYS_READ, uintptr(f.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
}

func (f *FD) send(p []byte) (uintptr, uintptr, syscall.Errno) {
	if !f.file {
		n, r2, e := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(f.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
		if e != syscall.ENOTSOCK {
			return n, r2, e
		}
		f.file = true
	}
	return syscall.RawSyscall(syscall.SYS_WRITE, uintptr(f.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
}

// Read reads without waiting: syscall.EAGAIN when nothing is there; 0 and no error is the end of file.
func (f *FD) Read(p []byte) (int, error) {
	for {
		n, _, e := f.recv(p)
		if e != 0 {
			if e == syscall.EINTR {
				continue
			}
			if e == syscall.EAGAIN {
				f.state &^= readable
			}
			return 0, e
		}
		// A short read has drained the socket (epoll(7)): the next bytes make a new edge.
		if int(n) < len(p) && f.state&(hangup|broken) == 0 {
			f.state &^= readable
		}
		return int(n), nil
	}
}

// Write writes without waiting: syscall.EAGAIN when the socket takes nothing.
func (f *FD) Write(p []byte) (int, error) {
	for {
		n, _, e := f.send(p)
		if e == syscall.EINTR {
			continue
		}
		return f.wrote(int(n), e)
	}
}

// Writev writes two pieces without waiting.
func (f *FD) Writev(a, b []byte) (int, error) {
	iov := [2]syscall.Iovec{{Base: unsafe.SliceData(a), Len: uint64(len(a))}, {Base: unsafe.SliceData(b), Len: uint64(len(b))}}
	for {
		n, _, e := syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(f.fd), uintptr(unsafe.Pointer(&iov[0])), 2)
		if e == syscall.EINTR {
			continue
		}
		return f.wrote(int(n), e)
	}
}

// Sendfile sends up to n bytes of the open file src from offset off, without waiting for the socket.
func (f *FD) Sendfile(src int, off int64, n int) (int, error) {
	for {
		r, _, e := syscall.RawSyscall6(syscall.SYS_SENDFILE, uintptr(f.fd), uintptr(src), uintptr(unsafe.Pointer(&off)), uintptr(n), 0, 0)
		if e == syscall.EINTR {
			continue
		}
		return f.wrote(int(r), e)
	}
}

func (f *FD) wrote(n int, e syscall.Errno) (int, error) {
	if e != 0 {
		if e == syscall.EAGAIN {
			f.state &^= writable
		}
		return 0, e
	}
	return n, nil
}

// WaitRead parks until the descriptor may be read, the deadline (monotonic nanoseconds, 0 none) or Close.
func (f *FD) WaitRead(deadline int64) error {
	if f.fd < 0 {
		return ErrClosed
	}
	l := f.loop
	for f.state&readable == 0 {
		t := l.cur
		f.rw = t
		err := l.Park(deadline)
		if f.rw == t { // else a task that was killed was followed by another before it ran
			f.rw = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// arm asks for events of writability from now on.
func (f *FD) arm() error {
	ev := syscall.EpollEvent{Events: readEvents | syscall.EPOLLOUT, Fd: f.slot, Pad: f.gen}
	if _, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(f.loop.epfd), syscall.EPOLL_CTL_MOD, uintptr(f.fd), uintptr(unsafe.Pointer(&ev)), 0, 0); e != 0 {
		return e
	}
	f.armed = true
	return nil
}

// WaitWrite parks until the descriptor may take bytes, the deadline (monotonic nanoseconds, 0 none) or Close.
func (f *FD) WaitWrite(deadline int64) error {
	if f.fd < 0 {
		return ErrClosed
	}
	l := f.loop
	if f.state&writable == 0 && !f.armed {
		if err := f.arm(); err != nil {
			return err
		}
	}
	for f.state&writable == 0 {
		t := l.cur
		f.ww = t
		err := l.Park(deadline)
		if f.ww == t { // else a task that was killed was followed by another before it ran
			f.ww = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// WaitReadOr parks until f may be read or w, which may be f, may take bytes, the deadline or Close.
func (f *FD) WaitReadOr(w *FD, deadline int64) error {
	if f.fd < 0 || w.fd < 0 {
		return ErrClosed
	}
	l := f.loop
	if w.state&writable == 0 && !w.armed {
		if err := w.arm(); err != nil {
			return err
		}
	}
	for f.state&readable == 0 && w.state&writable == 0 {
		f.rw, w.ww = l.cur, l.cur
		err := l.Park(deadline)
		f.rw, w.ww = nil, nil
		if err != nil {
			return err
		}
	}
	return nil
}

// Writable reports whether a write may be taken.
func (f *FD) Writable() bool { return f.state&writable != 0 }
