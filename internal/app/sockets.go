package app

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/plane"
)

// inheritVar names the sockets a new binary takes over: "5;6;", nginx's own
// convention, so that either program can upgrade to the other.
const inheritVar = "NGINX"

const (
	tcpFastOpen    = 23
	soReusePort    = 15
	ipprotoMPTCP   = 262
	defaultBacklog = 511
	bindTries      = 5
	bindPause      = 500 * time.Millisecond
)

// openSockets opens the wanted sockets; what have lists under the same key is
// taken over. On failure, which is logged, it closes those it opened; the error is
// an ErrLogged with the reason.
func openSockets(wanted, have []plane.Socket, test bool, log *nlog.Logger) ([]plane.Socket, error) {
	byKey := map[string]*plane.Socket{}
	for i := range have {
		byKey[have[i].Key()] = &have[i]
	}
	opened := map[string]bool{}
	for tries := bindTries; ; tries-- {
		busy := false
		for i := range wanted {
			s := &wanted[i]
			if s.FD != -1 {
				continue
			}
			if old := byKey[s.Key()]; old != nil {
				s.FD = old.FD
				adjust(s, old, log)
				continue
			}
			allowSharing(s, byKey, log)
			err := openSocket(s, test, log)
			if err == nil {
				opened[s.Key()] = s.FD != -1
				continue
			}
			if err != syscall.EADDRINUSE {
				closeOpened(wanted, opened)
				return nil, fmt.Errorf("%w: %w", plane.ErrLogged, err)
			}
			busy = busy || !test
		}
		if !busy {
			break
		}
		if tries == 1 {
			log.Log(nlog.Emerg, nil, nil, "still could not bind()")
			closeOpened(wanted, opened)
			return nil, fmt.Errorf("%w: %w", plane.ErrLogged, syscall.EADDRINUSE)
		}
		log.Log(nlog.Notice, nil, nil, "try again to bind() after 500ms")
		time.Sleep(bindPause)
	}
	if !test {
		for i := range wanted {
			configure(&wanted[i], log)
		}
	}
	return wanted, nil
}

// bindAdvice is what to do about addresses that cannot be had.
func bindAdvice(err error) string {
	switch {
	case errors.Is(err, syscall.EACCES):
		return "ports below 1024 are for root, or for a program with CAP_NET_BIND_SERVICE: start as root, or listen on another port"
	case errors.Is(err, syscall.EADDRINUSE):
		return "another program listens there; as root, \"ss -ltnp\" says which"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine does not have the address: \"ip address\" lists those it has"
	}
	return ""
}

func closeOpened(list []plane.Socket, opened map[string]bool) {
	for i := range list {
		if opened[list[i].Key()] {
			syscall.Close(list[i].FD)
			if path := list[i].UnixPath(); path != "" {
				syscall.Unlink(path)
			}
		}
	}
}

// allowSharing prepares the step from one socket to several with reuseport:
// the old one has to be shared before others can be bound beside it.
func allowSharing(s *plane.Socket, have map[string]*plane.Socket, log *nlog.Logger) {
	if !s.Options.ReusePort || s.Worker == 0 {
		return
	}
	first := *s
	first.Worker = 0
	if old := have[first.Key()]; old != nil {
		if err := syscall.SetsockoptInt(old.FD, syscall.SOL_SOCKET, soReusePort, 1); err != nil {
			log.Logf(nlog.Alert, nil, err, "setsockopt(SO_REUSEPORT) %s failed, ignored", s.Addr)
		}
	}
}

// openSocket binds and listens. Errors are logged; EADDRINUSE may be tried
// again.
func openSocket(s *plane.Socket, test bool, log *nlog.Logger) error {
	sa, family, err := s.Sockaddr()
	if err != nil {
		log.Logf(nlog.Emerg, nil, nil, "invalid address \"%s\"", s.Addr)
		return err
	}
	proto := 0
	if s.Options.MPTCP && s.Type == syscall.SOCK_STREAM {
		proto = ipprotoMPTCP
	}
	fd, err := syscall.Socket(family, s.Type|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, proto)
	if err != nil {
		log.Logf(nlog.Emerg, nil, err, "socket() %s failed", s.Addr)
		return err
	}
	if err := bindSocket(fd, family, sa, s, test, log); err != nil {
		syscall.Close(fd)
		return err
	}
	s.FD = fd
	return nil
}

func bindSocket(fd, family int, sa syscall.Sockaddr, s *plane.Socket, test bool, log *nlog.Logger) error {
	set := func(level, opt, value int, name string) error {
		err := syscall.SetsockoptInt(fd, level, opt, value)
		if err != nil {
			log.Logf(nlog.Emerg, nil, err, "setsockopt(%s) %s failed", name, s.Addr)
		}
		return err
	}
	if s.Type != syscall.SOCK_DGRAM || !test {
		if err := set(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1, "SO_REUSEADDR"); err != nil {
			return err
		}
	}
	if s.Options.ReusePort && !test {
		if err := set(syscall.SOL_SOCKET, soReusePort, 1, "SO_REUSEPORT"); err != nil {
			return err
		}
	}
	if family == syscall.AF_INET6 {
		only := 0
		if s.Options.V6Only {
			only = 1
		}
		set(syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, only, "IPV6_V6ONLY")
	}
	if err := syscall.Bind(fd, sa); err != nil {
		if err != syscall.EADDRINUSE || !test {
			log.Logf(nlog.Emerg, nil, err, "bind() to %s failed", s.Addr)
		}
		return err
	}
	if path := s.UnixPath(); path != "" {
		// Everybody may connect; the directory decides who can.
		if err := syscall.Chmod(path, 0o666); err != nil {
			log.Logf(nlog.Emerg, nil, err, "chmod() \"%s\" failed", path)
		}
		if test {
			unlinkSocket(path, log)
		}
	}
	if s.Type != syscall.SOCK_STREAM {
		return nil
	}
	if err := syscall.Listen(fd, backlog(s)); err != nil {
		if err != syscall.EADDRINUSE || !test {
			log.Logf(nlog.Emerg, nil, err, "listen() to %s, backlog %d failed", s.Addr, backlog(s))
		}
		return err
	}
	return nil
}

// adjust makes what can be changed of a socket that is already open.
func adjust(s, old *plane.Socket, log *nlog.Logger) {
	if s.Type == syscall.SOCK_STREAM && s.Options.Backlog != old.Options.Backlog {
		if err := syscall.Listen(s.FD, backlog(s)); err != nil {
			log.Logf(nlog.Alert, nil, err, "listen() to %s, backlog %d failed, ignored", s.Addr, backlog(s))
		}
	}
	if old.Options.DeferAccept && !s.Options.DeferAccept {
		syscall.SetsockoptInt(s.FD, syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, 0)
	}
}

// configure sets the options that do not decide whether a socket can be had.
func configure(s *plane.Socket, log *nlog.Logger) {
	set := func(level nlog.Level, proto, opt, value int, name string) {
		if err := syscall.SetsockoptInt(s.FD, proto, opt, value); err != nil {
			log.Logf(level, nil, err, "setsockopt(%s) %s failed, ignored", name, s.Addr)
		}
	}
	o := &s.Options
	if o.RcvBuf > 0 {
		set(nlog.Alert, syscall.SOL_SOCKET, syscall.SO_RCVBUF, o.RcvBuf, "SO_RCVBUF, "+strconv.Itoa(o.RcvBuf))
	}
	if o.SndBuf > 0 {
		set(nlog.Alert, syscall.SOL_SOCKET, syscall.SO_SNDBUF, o.SndBuf, "SO_SNDBUF, "+strconv.Itoa(o.SndBuf))
	}
	if s.Type != syscall.SOCK_STREAM {
		return
	}
	if o.KeepAlive != 0 {
		set(nlog.Alert, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, max(o.KeepAlive, 0), "SO_KEEPALIVE, "+strconv.Itoa(max(o.KeepAlive, 0)))
	}
	if s.UnixPath() != "" {
		return
	}
	for _, k := range [...]struct {
		value, opt int
		name       string
	}{{o.KeepIdle, syscall.TCP_KEEPIDLE, "TCP_KEEPIDLE"}, {o.KeepInterval, syscall.TCP_KEEPINTVL, "TCP_KEEPINTVL"}, {o.KeepCount, syscall.TCP_KEEPCNT, "TCP_KEEPCNT"}} {
		if k.value > 0 {
			set(nlog.Alert, syscall.IPPROTO_TCP, k.opt, k.value, k.name+", "+strconv.Itoa(k.value))
		}
	}
	if o.FastOpen > 0 {
		set(nlog.Alert, syscall.IPPROTO_TCP, tcpFastOpen, o.FastOpen, "TCP_FASTOPEN, "+strconv.Itoa(o.FastOpen))
	}
	if o.DeferAccept {
		set(nlog.Alert, syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, 1, "TCP_DEFER_ACCEPT, 1")
	}
}

// closeSockets closes those of list that are not in keep, by descriptor. With
// unlink the files of unix sockets go as well.
func closeSockets(list, keep []plane.Socket, unlink bool, log *nlog.Logger) {
	kept := map[int]bool{}
	for i := range keep {
		kept[keep[i].FD] = true
	}
	for i := range list {
		s := &list[i]
		if s.FD == -1 || kept[s.FD] {
			continue
		}
		syscall.Close(s.FD)
		if path := s.UnixPath(); path != "" && unlink {
			unlinkSocket(path, log)
		}
	}
}

func unlinkSocket(path string, log *nlog.Logger) {
	if err := syscall.Unlink(path); err != nil {
		log.Logf(nlog.Emerg, nil, err, "unlink() %s failed", path)
	}
}

// inheritSockets takes over the sockets that a running binary passes to this
// one.
func (p *process) inheritSockets() error {
	list, ok := os.LookupEnv(inheritVar)
	if !ok {
		return nil
	}
	os.Unsetenv(inheritVar)
	p.upgrading, p.daemonized = true, true
	p.log.Logf(nlog.Notice, nil, nil, "using inherited sockets from \"%s\"", list)
	seen := map[string]int{}
	for len(list) > 0 {
		i := strings.IndexAny(list, ":;")
		if i == -1 {
			p.log.Logf(nlog.Emerg, nil, nil, "invalid socket number \"%s\" in %s environment variable, ignoring", list, inheritVar)
			break
		}
		fd, err := strconv.Atoi(list[:i])
		if err != nil || fd < 0 {
			p.log.Logf(nlog.Emerg, nil, nil, "invalid socket number \"%s\" in %s environment variable, ignoring the rest of the variable", list, inheritVar)
			break
		}
		list = list[i+1:]
		s, ok := p.inheritSocket(fd)
		if !ok {
			continue
		}
		s.Worker = seen[s.Addr]
		seen[s.Addr]++
		p.inherited = append(p.inherited, s)
	}
	return nil
}

func (p *process) inheritSocket(fd int) (s plane.Socket, ok bool) {
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		p.log.Logf(nlog.Crit, nil, err, "getsockname() of the inherited socket #%d failed", fd)
		return s, false
	}
	s.FD, s.Addr = fd, plane.AddrOf(sa)
	if s.Addr == "" {
		p.log.Logf(nlog.Crit, nil, nil, "the inherited socket #%d has an unsupported protocol family", fd)
		return s, false
	}
	if s.Type, err = syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil {
		p.log.Logf(nlog.Crit, nil, err, "getsockopt(SO_TYPE) %s failed", s.Addr)
		return s, false
	}
	syscall.CloseOnExec(fd)
	syscall.SetNonblock(fd, true)
	return s, true
}

func backlog(s *plane.Socket) int {
	if s.Options.Backlog != 0 {
		return s.Options.Backlog
	}
	return defaultBacklog
}
