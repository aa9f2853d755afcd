package resolve

import (
	"net/netip"
	"sync/atomic"
	"syscall"

	"moongate/internal/base/nlog"
)

var logger atomic.Pointer[nlog.Logger]

// SetLog says where name servers that cannot be reached are reported.
func SetLog(l *nlog.Logger) { logger.Store(l) }

// failed reports a failed call on a server's socket; level and words are nginx's.
func (s *server) failed(call string, err error) {
	if err == syscall.EAGAIN {
		return
	}
	level := nlog.Alert
	switch err {
	case syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH:
		level = nlog.Error
	}
	logger.Load().Log(level, source(s.addr), err, call+"() failed")
}

// source is the address of a server, for log lines.
type source netip.AddrPort

// LogNumber implements nlog.Source.
func (s source) LogNumber() uint64 { return 0 }

// AppendLog implements nlog.Source.
func (s source) AppendLog(dst []byte) []byte {
	return netip.AddrPort(s).AppendTo(append(dst, " while resolving, resolver: "...))
}
