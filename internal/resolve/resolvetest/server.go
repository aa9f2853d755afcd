// Package resolvetest is a name server for tests: it answers over UDP on a loopback port with the records that the test has
// put into it last.
package resolvetest

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// Server is a name server that answers until the test ends.
type Server struct {
	Addr string // "127.0.0.1:port"

	mu      sync.Mutex
	records map[string]Records // by name in lower case
	asked   int
}

// Records is what the server knows of a name.
type Records struct {
	Addrs []string // IPv4 and IPv6
	SRV   []SRV
	CNAME string
	Code  int // of the answer, not 0 for an error
	TTL   uint32
}

// SRV is a record of a service.
type SRV struct {
	Priority, Weight, Port uint16
	Target                 string
}

// Start serves on a free port.
func Start(t testing.TB) *Server {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s := &Server{Addr: c.LocalAddr().String(), records: map[string]Records{}}
	go s.serve(c)
	return s
}

// Set replaces what is known of a name.
func (s *Server) Set(name string, r Records) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[strings.ToLower(name)] = r
}

// Asked is the number of questions so far.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *Server) serve(c net.PacketConn) {
	buf := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		if out := s.answer(buf[:n]); out != nil {
			c.WriteTo(out, from)
		}
	}
}

const headerSize = 12

// answer makes the answer to a question.
func (s *Server) answer(q []byte) []byte {
	if len(q) < headerSize+5 {
		return nil
	}
	var labels []string
	i := headerSize
	for q[i] != 0 {
		end := i + 1 + int(q[i])
		if end >= len(q) {
			return nil
		}
		labels = append(labels, string(q[i+1:end]))
		i = end
	}
	if i+5 > len(q) {
		return nil
	}
	qtype := binary.BigEndian.Uint16(q[i+1:])
	s.mu.Lock()
	r, known := s.records[strings.ToLower(strings.Join(labels, "."))]
	s.asked++
	s.mu.Unlock()
	if !known {
		r.Code = 3
	}
	out := append([]byte(nil), q[:i+5]...)
	out[2], out[3] = 0x81, 0x80|byte(r.Code)
	clear(out[6:headerSize])
	add := func(typ uint16, data []byte) {
		out[7]++
		out = append(out, 0xc0, headerSize)
		out = binary.BigEndian.AppendUint16(out, typ)
		out = append(out, 0, 1)
		out = binary.BigEndian.AppendUint32(out, r.TTL)
		out = binary.BigEndian.AppendUint16(out, uint16(len(data)))
		out = append(out, data...)
	}
	r.each(qtype, add)
	return out
}

// each calls add for the records that answer a question.
func (r *Records) each(qtype uint16, add func(typ uint16, data []byte)) {
	switch {
	case r.Code != 0:
		return
	case r.CNAME != "":
		add(5, name(r.CNAME))
		return
	}
	for _, a := range r.Addrs {
		ip := netip.MustParseAddr(a)
		if ip.Is4() && qtype == 1 || ip.Is6() && qtype == 28 {
			add(qtype, ip.AsSlice())
		}
	}
	if qtype != 33 {
		return
	}
	for _, v := range r.SRV {
		b := binary.BigEndian.AppendUint16(nil, v.Priority)
		b = binary.BigEndian.AppendUint16(b, v.Weight)
		b = binary.BigEndian.AppendUint16(b, v.Port)
		add(33, append(b, name(v.Target)...))
	}
}

func name(s string) (b []byte) {
	for _, l := range strings.Split(s, ".") {
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0)
}
