package testkit

import (
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Listen serves on a free TCP port of the loopback interface until the test ends: each connection on a goroutine of its
// own, which closes it when serve returns.
func Listen(t testing.TB, serve func(c net.Conn)) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience)) // so that a test which fails does not leave it behind for ever
				serve(c)
			}()
		}
	}()
	return l.Addr()
}

// Refused is a TCP address of the loopback interface that refuses connections until the test ends: it is taken, but nobody
// listens there. A port that somebody has given back may be another's at once.
func Refused(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(sa.(*syscall.SockaddrInet4).Port))
}
