package engine

import (
	"bytes"
	"net/netip"
	"strconv"

	"moongate/internal/http1"
)

// Nets is a set of networks: those of trusted proxies.
type Nets struct {
	Prefixes []netip.Prefix
	Unix     bool // unix sockets are in it, too
}

// Contains reports whether an address lies in one of the networks; an IPv4 address in IPv6 form counts as IPv4.
func (n *Nets) Contains(a *Addr) bool {
	if a.Unix {
		return n.Unix
	}
	ip := a.IP.Addr().Unmap()
	for i := range n.Prefixes {
		if n.Prefixes[i].Contains(ip) {
			return true
		}
	}
	return false
}

// ForwardedAddr finds out whom a proxy speaks for, by header lines such as X-Forwarded-For: while addr is a trusted
// proxy's, the last address of the list takes its place; without recursive only once. ok is false when addr stays.
func ForwardedAddr(addr Addr, h *http1.Headers, id http1.HeaderID, trusted *Nets, recursive bool) (_ Addr, ok bool) {
	var few [8]int
	lines := few[:0]
	for i := h.Index(id); i >= 0; i = h.Next(i) {
		lines = append(lines, i)
	}
	for k := len(lines) - 1; k >= 0; k-- {
		next, found, more := forwarded(addr, h.List[lines[k]].Value, trusted, recursive)
		if addr = next; found {
			ok = true
		}
		if !more {
			break
		}
	}
	return addr, ok
}

// ForwardedList is ForwardedAddr for one list of addresses.
func ForwardedList(addr Addr, list []byte, trusted *Nets, recursive bool) (_ Addr, ok bool) {
	addr, ok, _ = forwarded(addr, list, trusted, recursive)
	return addr, ok
}

// forwarded follows one list; more says that a list before it counts, too.
func forwarded(addr Addr, list []byte, trusted *Nets, recursive bool) (_ Addr, ok, more bool) {
	for {
		if !trusted.Contains(&addr) {
			return addr, ok, false
		}
		list = bytes.TrimRight(list, " ,")
		at := bytes.LastIndexAny(list, " ,") + 1
		next, good := ParseAddr(list[at:])
		if !good {
			return addr, ok, false
		}
		addr, ok = next, true
		list = list[:at]
		if !recursive || at == 0 {
			return addr, true, recursive
		}
	}
}

// ParseAddr reads an address with an optional port: "1.2.3.4", "1.2.3.4:80", "::1", "[::1]:80".
func ParseAddr(text []byte) (Addr, bool) {
	s := str(text)
	port := uint16(0)
	if n := len(s); n > 0 && s[0] == '[' {
		end := bytes.IndexByte(text, ']')
		if end < 0 || end+1 < n && s[end+1] != ':' {
			return Addr{}, false
		}
		if end+1 < n {
			p, err := strconv.ParseUint(s[end+2:], 10, 16)
			if err != nil || p == 0 {
				return Addr{}, false
			}
			port = uint16(p)
		}
		s = s[1:end]
	} else if i := bytes.IndexByte(text, ':'); i >= 0 && bytes.IndexByte(text[i+1:], ':') < 0 {
		p, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err != nil || p == 0 {
			return Addr{}, false
		}
		s, port = s[:i], uint16(p)
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" {
		return Addr{}, false
	}
	return Addr{IP: netip.AddrPortFrom(ip, port)}, true
}

// ParseNet reads an address with an optional length of the network's part; bits below it are kept.
func ParseNet(s string) (netip.Prefix, bool) {
	text, bits := s, ""
	has := false
	for i := range len(s) {
		if s[i] == '/' {
			text, bits, has = s[:i], s[i+1:], true
			break
		}
	}
	a, ok := parseIPv4(text)
	if !ok {
		var err error
		if a, err = netip.ParseAddr(text); err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
	}
	n := uint64(a.BitLen())
	if has {
		var err error
		if n, err = strconv.ParseUint(bits, 10, 32); err != nil || n > uint64(a.BitLen()) {
			return netip.Prefix{}, false
		}
	}
	return netip.PrefixFrom(a, int(n)), true
}

// parseIPv4 reads four numbers with dots between them; unlike others, nginx takes zeros in front of a number.
func parseIPv4(s string) (netip.Addr, bool) {
	var b [4]byte
	part, digits, n := 0, 0, 0
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == '.' {
			if digits == 0 || part == 4 {
				return netip.Addr{}, false
			}
			b[part] = byte(n)
			part, digits, n = part+1, 0, 0
			continue
		}
		d := int(s[i]) - '0'
		if d < 0 || d > 9 || n*10+d > 255 {
			return netip.Addr{}, false
		}
		n, digits = n*10+d, digits+1
	}
	return netip.AddrFrom4(b), part == 4
}
