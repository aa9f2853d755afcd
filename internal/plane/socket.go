package plane

import (
	"fmt"
	"net/netip"
	"syscall"
)

// Socket is one listening socket that a configuration asks for. The process
// opens it (FD), before the plane sees it again in Params.
type Socket struct {
	Addr string // as nginx shows it: "0.0.0.0:80", "[::]:443", "unix:/run/x"
	Type int    // syscall.SOCK_STREAM or SOCK_DGRAM
	// Worker numbers the sockets of one address with reuseport: worker n accepts
	// from the n-th only. 0 otherwise.
	Worker int

	Options Options
	FD      int // non-blocking, close-on-exec; valid while the address is listened on
}

// Options are the socket options of a listen directive. The zero value is
// nginx's default.
type Options struct {
	Backlog      int // 0 is 511
	RcvBuf       int // 0 is the system's
	SndBuf       int
	FastOpen     int  // 0 is off
	V6Only       bool // nginx's default, on, is the directive's to say
	ReusePort    bool
	DeferAccept  bool
	MPTCP        bool
	KeepAlive    int // 0 system's, 1 on, -1 off
	KeepIdle     int // seconds, 0 system's
	KeepInterval int
	KeepCount    int
}

// Key names the socket among all sockets of a process. A reload keeps the
// socket of a key which both configurations have.
func (s *Socket) Key() string {
	return fmt.Sprintf("%d %s %d", s.Type, s.Addr, s.Worker)
}

// UnixPath returns the path of a unix socket, "" for others.
func (s *Socket) UnixPath() string {
	const prefix = "unix:"
	if len(s.Addr) > len(prefix) && s.Addr[:len(prefix)] == prefix {
		return s.Addr[len(prefix):]
	}
	return ""
}

// Sockaddr returns the address in the kernel's form.
func (s *Socket) Sockaddr() (syscall.Sockaddr, int, error) {
	if path := s.UnixPath(); path != "" {
		return &syscall.SockaddrUnix{Name: path}, syscall.AF_UNIX, nil
	}
	ap, err := netip.ParseAddrPort(s.Addr)
	if err != nil {
		return nil, 0, err
	}
	if ap.Addr().Is4() {
		return &syscall.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, syscall.AF_INET, nil
	}
	return &syscall.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}, syscall.AF_INET6, nil
}

// AddrOf returns the Addr form of a kernel address, "" for an unknown family.
func AddrOf(sa syscall.Sockaddr) string {
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)).String()
	case *syscall.SockaddrUnix:
		return "unix:" + a.Name
	}
	return ""
}
