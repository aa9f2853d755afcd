package nlog

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Syslog sends lines to a syslog server over UDP or a unix datagram socket
// (RFC 3164). Sending never waits: what the socket does not take is lost.
type Syslog struct {
	facility   int
	severity   int
	tag        string
	nohostname bool
	hostname   string

	mu   sync.Mutex
	fd   int
	sa   syscall.Sockaddr
	buf  []byte
	busy bool
	// fail, when set, is told once per failure that sending did not work.
	fail func(what string, err error)
}

var facilities = [...]string{
	"kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp",
	"clock", "authpriv", "ftp", "ntp", "audit", "alert", "cron", "local0",
	"local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// syslogSeverities are the words of severity=; their place is the number.
var syslogSeverities = levelNames[1:]

// ParseSyslog reads "server=...,facility=...,severity=...,tag=...,nohostname",
// what follows "syslog:" in a directive. Names are looked up at once. The
// errors are nginx's texts.
func ParseSyslog(params string) (*Syslog, error) {
	s := &Syslog{facility: -1, severity: -1, fd: -1}
	for p := range strings.SplitSeq(params, ",") {
		if err := s.param(p); err != nil {
			return nil, err
		}
	}
	if s.sa == nil {
		return nil, errors.New("no syslog server specified")
	}
	if s.facility == -1 {
		s.facility = 23 // local7
	}
	if s.severity == -1 {
		s.severity = int(Info) - 1
	}
	if s.tag == "" {
		s.tag = "nginx"
	}
	host, _ := os.Hostname()
	s.hostname = strings.ToLower(host)
	return s, nil
}

func (s *Syslog) param(p string) error {
	name, value, _ := strings.Cut(p, "=")
	switch {
	case strings.HasPrefix(p, "server="):
		if s.sa != nil {
			return errors.New(`duplicate syslog "server"`)
		}
		return s.server(value)
	case strings.HasPrefix(p, "facility="):
		if s.facility != -1 {
			return errors.New(`duplicate syslog "facility"`)
		}
		s.facility = indexOf(facilities[:], value)
		if s.facility == -1 {
			return fmt.Errorf(`unknown syslog facility "%s"`, value)
		}
	case strings.HasPrefix(p, "severity="):
		if s.severity != -1 {
			return errors.New(`duplicate syslog "severity"`)
		}
		s.severity = indexOf(syslogSeverities, value)
		if s.severity == -1 {
			return fmt.Errorf(`unknown syslog severity "%s"`, value)
		}
	case strings.HasPrefix(p, "tag="):
		if s.tag != "" {
			return errors.New(`duplicate syslog "tag"`)
		}
		// RFC 3164, 4.1.3: alphanumeric, at most 32 characters.
		if len(value) > 32 {
			return errors.New("syslog tag length exceeds 32")
		}
		for i := range len(value) {
			c := value[i] | 0x20
			if value[i] == '_' || '0' <= value[i] && value[i] <= '9' || 'a' <= c && c <= 'z' {
				continue
			}
			return errors.New(`syslog "tag" only allows alphanumeric characters and underscore`)
		}
		s.tag = value
	case name == "nohostname" && p == name:
		s.nohostname = true
	default:
		return fmt.Errorf(`unknown syslog parameter "%s"`, p)
	}
	return nil
}

func indexOf(list []string, s string) int {
	for i, v := range list {
		if v == s {
			return i
		}
	}
	return -1
}

func (s *Syslog) server(value string) error {
	if path, ok := strings.CutPrefix(value, "unix:"); ok {
		if path == "" {
			return fmt.Errorf(`no path in the unix domain socket in syslog server "%s"`, value)
		}
		s.sa = &syscall.SockaddrUnix{Name: path}
		return nil
	}
	host, port := value, "514"
	if h, p, err := net.SplitHostPort(value); err == nil {
		host, port = h, p
	} else if strings.HasPrefix(value, "[") {
		host = strings.Trim(value, "[]")
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return fmt.Errorf(`invalid port in syslog server "%s"`, value)
	}
	if host == "" {
		return fmt.Errorf(`no host in syslog server "%s"`, value)
	}
	a, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return fmt.Errorf(`host not found in syslog server "%s"`, value)
	}
	if ip4 := a.IP.To4(); ip4 != nil {
		s.sa = &syscall.SockaddrInet4{Port: n, Addr: [4]byte(ip4)}
	} else {
		s.sa = &syscall.SockaddrInet6{Port: n, Addr: [16]byte(a.IP.To16())}
	}
	return nil
}

// OnFailure has f told of failures; f may log, lines to s itself are dropped
// meanwhile.
func (s *Syslog) OnFailure(f func(what string, err error)) { s.fail = f }

// Severity returns the number of severity=, for writers whose lines have no
// level of their own.
func (s *Syslog) Severity() int { return s.severity }

// Writer returns what an error log Target calls.
func (s *Syslog) Writer() func(Level, []byte) {
	return func(level Level, line []byte) {
		s.Send(max(int(level), 1)-1, line[:len(line)-1])
	}
}

// Send sends one message of a severity (0 emerg .. 7 debug). It does not keep
// msg.
func (s *Syslog) Send(severity int, msg []byte) error {
	s.mu.Lock()
	if s.busy {
		s.mu.Unlock()
		return syscall.EBUSY
	}
	s.busy = true
	s.buf = s.appendHeader(s.buf[:0], severity)
	s.buf = append(s.buf, msg...)
	what, err := s.transmit(s.buf)
	s.mu.Unlock()

	// Unlocked but busy: the report may come back here.
	if err != nil && s.fail != nil {
		s.fail(what, err)
	}
	s.mu.Lock()
	s.busy = false
	s.mu.Unlock()
	return err
}

func (s *Syslog) appendHeader(b []byte, severity int) []byte {
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(s.facility*8+severity), 10)
	b = append(b, '>')
	b = time.Now().AppendFormat(b, time.Stamp)
	if !s.nohostname {
		b = append(b, ' ')
		b = append(b, s.hostname...)
	}
	b = append(b, ' ')
	b = append(b, s.tag...)
	return append(b, ": "...)
}

func (s *Syslog) transmit(p []byte) (what string, err error) {
	if s.fd == -1 {
		family := syscall.AF_UNIX
		switch s.sa.(type) {
		case *syscall.SockaddrInet4:
			family = syscall.AF_INET
		case *syscall.SockaddrInet6:
			family = syscall.AF_INET6
		}
		fd, err := syscall.Socket(family, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return "socket()", err
		}
		if err := syscall.Connect(fd, s.sa); err != nil {
			syscall.Close(fd)
			return "connect()", err
		}
		s.fd = fd
	}
	_, err = syscall.Write(s.fd, p)
	if err == nil || err == syscall.EAGAIN {
		return "", nil
	}
	// The server may be back, at the same path, the next time.
	syscall.Close(s.fd)
	s.fd = -1
	return "send()", err
}

// Close gives the socket back.
func (s *Syslog) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd != -1 {
		syscall.Close(s.fd)
		s.fd = -1
	}
}

// FailureLevel is the severity of a failure to send: that nobody listens is less than what should not happen.
func FailureLevel(err error) Level {
	switch no, _ := err.(syscall.Errno); no {
	case syscall.ECONNRESET, syscall.EPIPE, syscall.ENOTCONN, syscall.ETIMEDOUT, syscall.ECONNREFUSED, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH:
		return Error
	}
	return Alert
}
