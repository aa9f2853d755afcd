package netio

import (
	"syscall"
	"unsafe"
)

// DialError is a failure to connect. Call is the system call which failed at once, "" when the connection failed later.
type DialError struct {
	Call string
	Err  error
}

func (e *DialError) Error() string {
	if e.Call == "" {
		return e.Err.Error()
	}
	return e.Call + ": " + e.Err.Error()
}

func (e *DialError) Unwrap() error { return e.Err }

const (
	ipTransparent           = 19 // IP_TRANSPARENT
	ip6Transparent          = 75 // IPV6_TRANSPARENT
	bindAddressNoPort       = 24 // IP_BIND_ADDRESS_NO_PORT
	nonblock                = syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC
	connectEdges            = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | 1<<31
	noState           uint8 = 0
)

// Family is the address family of an address.
func Family(sa syscall.Sockaddr) int {
	switch sa.(type) {
	case *syscall.SockaddrInet4:
		return syscall.AF_INET
	case *syscall.SockaddrInet6:
		return syscall.AF_INET6
	}
	return syscall.AF_UNIX
}

// own copies an address: package syscall keeps the kernel's form of it in the address itself, and several workers may be
// about to use one.
func own(a syscall.Sockaddr) syscall.Sockaddr {
	switch a := a.(type) {
	case *syscall.SockaddrInet4:
		c := *a
		return &c
	case *syscall.SockaddrInet6:
		c := *a
		return &c
	case *syscall.SockaddrUnix:
		c := *a
		return &c
	}
	return a
}

// Dial describes a connection to make.
type Dial struct {
	Addr syscall.Sockaddr
	// Local, when not nil, is bound to first; Transparent lets it be an address of another host.
	Local       syscall.Sockaddr
	Transparent bool
	// Deadline is in monotonic nanoseconds, 0 for none.
	Deadline int64
}

// Dial connects a stream socket and registers it as f; it parks. An error other than a *DialError is that of waiting
// (ErrTimeout, ErrKilled, ErrClosed); after an error there is no descriptor.
func (l *Loop) Dial(f *FD, d *Dial) error {
	fd, err := open(d, syscall.SOCK_STREAM)
	if err != nil {
		return err
	}
	if d.Local != nil {
		syscall.SetsockoptInt(fd, syscall.SOL_IP, bindAddressNoPort, 1)
		if err := syscall.Bind(fd, own(d.Local)); err != nil {
			syscall.Close(fd)
			return &DialError{"bind", err}
		}
	}
	switch err := syscall.Connect(fd, own(d.Addr)); err {
	case nil:
		if err := l.AddTo(f, fd, nil); err != nil {
			syscall.Close(fd)
			return &DialError{"epoll_ctl", err}
		}
		return nil
	case syscall.EINPROGRESS, syscall.EINTR:
	default:
		syscall.Close(fd)
		return &DialError{"connect", err}
	}
	if err := l.register(f, fd, nil, connectEdges, noState); err != nil {
		syscall.Close(fd)
		return &DialError{"epoll_ctl", err}
	}
	if err := f.WaitWrite(d.Deadline); err != nil {
		f.Close()
		return err
	}
	code, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	if err != nil {
		f.Close()
		return &DialError{"", err}
	}
	return nil
}

// DialDatagram connects a datagram socket and registers it as f. It never parks; after an error there is no descriptor.
func (l *Loop) DialDatagram(f *FD, d *Dial, h Handler) error {
	fd, err := open(d, syscall.SOCK_DGRAM)
	if err != nil {
		return err
	}
	if Family(d.Addr) == syscall.AF_UNIX {
		// An answer needs an address to go to: the kernel makes one up.
		if err := autobind(fd); err != nil {
			syscall.Close(fd)
			return &DialError{"bind", err}
		}
	} else if d.Local != nil {
		if err := syscall.Bind(fd, own(d.Local)); err != nil {
			syscall.Close(fd)
			return &DialError{"bind", err}
		}
	}
	if err := syscall.Connect(fd, own(d.Addr)); err != nil {
		syscall.Close(fd)
		return &DialError{"connect", err}
	}
	if err := l.AddTo(f, fd, h); err != nil {
		syscall.Close(fd)
		return &DialError{"epoll_ctl", err}
	}
	return nil
}

func open(d *Dial, typ int) (int, error) {
	family := Family(d.Addr)
	fd, err := syscall.Socket(family, typ|nonblock, 0)
	if err != nil {
		return -1, &DialError{"socket", err}
	}
	if d.Transparent {
		if family == syscall.AF_INET6 {
			err = syscall.SetsockoptInt(fd, syscall.SOL_IPV6, ip6Transparent, 1)
		} else {
			err = syscall.SetsockoptInt(fd, syscall.SOL_IP, ipTransparent, 1)
		}
		if err != nil {
			syscall.Close(fd)
			return -1, &DialError{"setsockopt", err}
		}
	}
	return fd, nil
}

func autobind(fd int) error {
	sa := struct{ family uint16 }{syscall.AF_UNIX}
	_, _, e := syscall.RawSyscall(syscall.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa)), 2)
	if e != 0 {
		return e
	}
	return nil
}
