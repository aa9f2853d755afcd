package mock

import (
	"io"
	"net"
	"path/filepath"
	"strconv"
	"testing"

	"moongate/internal/testkit/server"
)

var ports server.Ports

func freePort(t *testing.T) string {
	t.Helper()
	port, err := ports.Get()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ports.Put(port) })
	return strconv.Itoa(port)
}

func canned(pieces ...string) Reply { return func(string) []string { return pieces } }

func TestTCP(t *testing.T) {
	port := freePort(t)
	sock := filepath.Join(t.TempDir(), "m.sock")
	for _, c := range []struct{ network, addr, target string }{{"tcp", "127.0.0.1:" + port, port}, {"unix", sock, sock}} {
		s, err := TCP(Options{Target: c.target, QueryLen: 6, Reply: canned("he", "llo"), Shutdown: -1})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial(c.network, c.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "que")
		io.WriteString(conn, "ry!")
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != "hello" || s.Query() != "query!" {
			t.Errorf("%s: got %q %v, query %q", c.network, got, err, s.Query())
		}
		conn.Close()
		s.Close()
	}
}

func TestTCPKeepsOpenUntilClose(t *testing.T) {
	port := freePort(t)
	s, err := TCP(Options{Target: port, Reply: func(q string) []string { return []string{q, q} }, NoClose: true, Shutdown: -1})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "ab")
	buf := make([]byte, 4)
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "abab" {
		t.Fatalf("got %q, %v", buf, err)
	}
	s.Close()
	if _, err := conn.Read(buf); err == nil {
		t.Error("the connection is still open")
	}
}

func TestTCPCloseWithoutClient(t *testing.T) {
	s, err := TCP(Options{Target: freePort(t), Shutdown: -1})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestUDP(t *testing.T) {
	port := freePort(t)
	s, err := UDP(Options{Target: port, Reply: canned("pong")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := net.Dial("udp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "ping")
	buf := make([]byte, 16)
	n, err := conn.Read(buf)
	if err != nil || string(buf[:n]) != "pong" || s.Query() != "ping" {
		t.Errorf("got %q, %v, query %q", buf[:n], err, s.Query())
	}
}
