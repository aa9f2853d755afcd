package resolve_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"moongate/internal/netio"
	"moongate/internal/resolve"
)

// reply makes the answer to a question: cut, or with an address.
func reply(q []byte, addr ...byte) []byte {
	out := append([]byte(nil), q...)
	out[2], out[3] = 0x81, 0x80
	if len(addr) == 0 {
		out[2] |= 2
		return out
	}
	out[7] = 1
	out = append(out, 0xc0, 12)
	out = append(out, q[len(q)-4:]...) // type and class
	out = binary.BigEndian.AppendUint32(out, 60)
	out = binary.BigEndian.AppendUint16(out, uint16(len(addr)))
	return append(out, addr...)
}

// listenBoth listens on one port over UDP and TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.ListenPacket("udp4", l.Addr().String())
		if err == nil {
			t.Cleanup(func() { l.Close(); u.Close() })
			return u, l
		}
		l.Close()
	}
	t.Fatal("no port is free for both")
	return nil, nil
}

// While the answer of one family is had over TCP, the other's comes cut too: it is had over TCP as well.
func TestBothFamiliesAreCut(t *testing.T) {
	u, l := listenBoth(t)
	go func() {
		buf := make([]byte, 512)
		var first, second []byte
		var from net.Addr
		for second == nil {
			n, a, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			from = a
			if q := append([]byte(nil), buf[:n]...); first == nil {
				first = q
			} else {
				second = q
			}
		}
		u.WriteTo(reply(second), from)
		for range 2 {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			io.ReadFull(c, size[:])
			q := make([]byte, binary.BigEndian.Uint16(size[:]))
			io.ReadFull(c, q)
			addr := []byte{127, 0, 0, 9}
			if q[len(q)-3] == 28 {
				addr = append(make([]byte, 15), 1)
			}
			if first != nil {
				u.WriteTo(reply(first), from)
				first = nil
			}
			answer := reply(q, addr...)
			c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			c.Close()
		}
	}()
	cfg := &resolve.Config{Servers: []netip.AddrPort{netip.MustParseAddrPort(l.Addr().String())}, IPv4: true, IPv6: true}
	in(t, func(loop *netio.Loop) {
		addrs, err := resolve.For(loop, cfg).Lookup("a.test", loop.Now()+patience)
		if got := fmt.Sprint(addrs, err); got != "[127.0.0.9 ::1] <nil>" {
			t.Error(got)
		}
	})
}
