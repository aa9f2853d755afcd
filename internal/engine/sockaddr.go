package engine

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"
)

// rawSockaddr is what the kernel writes a peer's address into.
type rawSockaddr [112]byte

func accept4(fd int, sa *rawSockaddr) (int, uint32, syscall.Errno) {
	n := uint32(len(sa))
	r, _, e := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(sa)), uintptr(unsafe.Pointer(&n)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
	return int(r), n, e
}

func (sa *rawSockaddr) addr(n uint32) Addr {
	switch binary.NativeEndian.Uint16(sa[:]) {
	case syscall.AF_INET:
		return Addr{IP: netip.AddrPortFrom(netip.AddrFrom4([4]byte(sa[4:8])), binary.BigEndian.Uint16(sa[2:]))}
	case syscall.AF_INET6:
		return Addr{IP: netip.AddrPortFrom(netip.AddrFrom16([16]byte(sa[8:24])), binary.BigEndian.Uint16(sa[2:]))}
	}
	a := Addr{Unix: true}
	if n > 2 {
		p := sa[2:n]
		for i, c := range p {
			if c == 0 && i > 0 {
				p = p[:i]
				break
			}
		}
		a.Path = string(p)
	}
	return a
}

// LocalAddr is the connection's own address, asked for when it is first needed.
func (c *Conn) LocalAddr() *Addr {
	if !c.Local.Unix && !c.Local.IP.IsValid() && c.FD >= 0 {
		c.Local = SockName(c.FD)
	}
	return &c.Local
}

// SockName asks for the local address of a socket.
func SockName(fd int) Addr {
	var sa rawSockaddr
	n := uint32(len(sa))
	if _, _, e := syscall.RawSyscall(syscall.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&n))); e != 0 {
		return Addr{}
	}
	return sa.addr(n)
}
