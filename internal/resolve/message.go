package resolve

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// Types of records, and codes of answers (RFC 1035).
const (
	typeA     = 1
	typeCNAME = 5
	typeAAAA  = 28
	typeSRV   = 33
	classIN   = 1

	formatError = 1
	refused     = 5

	headerSize = 12
	maxName    = 255 // two more than a name can have on the wire: nginx asks for such, and some servers answer
	maxPointer = 64  // compression pointers followed in one name
)

// appendQuery writes a question; false means that the name is none.
func appendQuery(dst []byte, id uint16, name string, qtype uint16) ([]byte, bool) {
	dst = binary.BigEndian.AppendUint16(dst, id)
	dst = append(dst, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0) // recursion desired, one question
	name = strings.TrimSuffix(name, ".")
	if len(name) > maxName {
		return nil, false
	}
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 {
			return nil, false
		}
		dst = append(append(dst, byte(len(label))), label...)
	}
	dst = append(dst, 0)
	dst = binary.BigEndian.AppendUint16(dst, qtype)
	return binary.BigEndian.AppendUint16(dst, classIN), true
}

// answer is what a reply says.
type answer struct {
	code  int
	cut   bool // the rest is to be had over TCP
	addrs []netip.Addr
	srvs  []srv
	ttl   uint32
	cname string // where the name leads, when no address of it came along
}

// srv is a record of a service (RFC 2782).
type srv struct {
	priority, weight, port int
	target                 string
}

// parseReply reads the reply to a question; false means that it is none.
func parseReply(b []byte, name string, qtype uint16) (a answer, ok bool) {
	if len(b) < headerSize || b[2]&0x80 == 0 || binary.BigEndian.Uint16(b[4:]) != 1 {
		return a, false
	}
	a.code, a.cut, a.ttl = int(b[3]&15), b[2]&2 != 0, ^uint32(0)
	if a.code == formatError || a.code > refused { // that is not about the name: another server may understand us
		return a, false
	}
	asked, i, ok := readName(b, headerSize)
	if !ok || i+4 > len(b) || !strings.EqualFold(asked, strings.TrimSuffix(name, ".")) || binary.BigEndian.Uint16(b[i:]) != qtype {
		return a, false
	}
	i += 4
	want := asked
	for n := int(binary.BigEndian.Uint16(b[6:])); n > 0; n-- {
		owner, j, ok := readName(b, i)
		if !ok || j+10 > len(b) {
			return a, a.cut
		}
		typ, ttl, size := binary.BigEndian.Uint16(b[j:]), binary.BigEndian.Uint32(b[j+4:]), int(binary.BigEndian.Uint16(b[j+8:]))
		data := j + 10
		if i = data + size; i > len(b) {
			return a, a.cut
		}
		switch {
		case typ == typeCNAME && strings.EqualFold(owner, want):
			if want, _, ok = readName(b, data); !ok {
				return a, false
			}
			a.ttl = min(a.ttl, ttl)
		case typ == qtype && typ == typeA && size == 4:
			a.addrs = append(a.addrs, netip.AddrFrom4([4]byte(b[data:i])))
			a.ttl = min(a.ttl, ttl)
		case typ == qtype && typ == typeAAAA && size == 16:
			a.addrs = append(a.addrs, netip.AddrFrom16([16]byte(b[data:i])))
			a.ttl = min(a.ttl, ttl)
		case typ == qtype && typ == typeSRV && size > 6:
			target, _, ok := readName(b, data+6)
			if !ok {
				return a, a.cut
			}
			a.srvs = append(a.srvs, srv{int(binary.BigEndian.Uint16(b[data:])), int(binary.BigEndian.Uint16(b[data+2:])), int(binary.BigEndian.Uint16(b[data+4:])), target})
			a.ttl = min(a.ttl, ttl)
		}
	}
	if len(a.addrs)+len(a.srvs) == 0 && want != asked {
		a.cname = want
	}
	return a, true
}

// readName reads a name, which may be compressed, and tells where it ends.
func readName(b []byte, i int) (name string, end int, ok bool) {
	var out []byte
	for jumps := 0; ; {
		if i >= len(b) {
			return "", 0, false
		}
		n := int(b[i])
		switch {
		case n == 0:
			if end == 0 {
				end = i + 1
			}
			return string(out), end, true
		case n&0xc0 == 0xc0:
			if i+1 >= len(b) {
				return "", 0, false
			}
			if end == 0 {
				end = i + 2
			}
			if jumps++; jumps > maxPointer {
				return "", 0, false
			}
			i = n&0x3f<<8 | int(b[i+1])
		case n > 63 || i+1+n > len(b) || len(out)+n > maxName:
			return "", 0, false
		default:
			if len(out) > 0 {
				out = append(out, '.')
			}
			out = append(out, b[i+1:i+1+n]...)
			i += 1 + n
		}
	}
}
