package testkit

import (
	"net"
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
