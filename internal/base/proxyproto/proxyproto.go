// Package proxyproto reads the PROXY protocol header, versions 1 and 2, with which a proxy in front tells whom a
// connection is for.
//
// It knows bytes only, not who is trusted to send them.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

// Header is what a header said. Src and Dst are not valid when the proxy spoke of no address: a check of its own
// (LOCAL), or a protocol other than TCP.
type Header struct {
	Src, Dst netip.AddrPort
	TLVs     []byte // of version 2, encoded; a view of what was parsed
}

// ErrMore says that the header may be complete with more bytes.
var ErrMore = errors.New("more of the PROXY protocol header is needed")

// MaxHeader is the longest header that is read, in bytes.
const MaxHeader = 4096

const (
	maxLine    = 107 // of version 1, with CR and LF
	signature  = "\r\n\r\n\x00\r\nQUIT\n"
	fixedPart  = 16 // of version 2: signature, version and command, family and transport, length
	cmdProxy   = 1
	typeStream = 1
	familyIPv4 = 1
	familyIPv6 = 2
)

// Parse reads the header at the beginning of p and returns its length. Errors other than ErrMore have nginx's words.
func Parse(p []byte) (h Header, n int, err error) {
	switch {
	case startsAs(p, signature):
		return parseBinary(p)
	case startsAs(p, "PROXY "):
		return parseLine(p)
	}
	return h, 0, broken(p)
}

// startsAs reports whether p begins with s, as far as it goes.
func startsAs(p []byte, s string) bool {
	n := min(len(p), len(s))
	return string(p[:n]) == s[:n]
}

func broken(p []byte) error {
	if i := bytes.IndexAny(p, "\r\n"); i >= 0 {
		p = p[:i]
	}
	return fmt.Errorf("broken header: \"%s\"", p)
}

// parseLine reads version 1: "PROXY TCP4 source destination port port" or "PROXY UNKNOWN" with anything after it.
func parseLine(p []byte) (h Header, n int, err error) {
	end := bytes.IndexByte(p, '\n')
	switch {
	case end < 0 && len(p) < maxLine:
		return h, 0, ErrMore
	case end < 1 || end >= maxLine || p[end-1] != '\r':
		return h, 0, broken(p)
	}
	line := p[len("PROXY ") : end-1]
	if bytes.HasPrefix(line, []byte("UNKNOWN")) {
		return h, end + 1, nil
	}
	f := bytes.Split(line, []byte(" "))
	if len(f) != 5 || string(f[0]) != "TCP4" && string(f[0]) != "TCP6" {
		return h, 0, broken(p)
	}
	var ok1, ok2 bool
	h.Src, ok1 = addrPort(f[1], f[3])
	h.Dst, ok2 = addrPort(f[2], f[4])
	if !ok1 || !ok2 {
		return Header{}, 0, broken(p)
	}
	return h, end + 1, nil
}

func addrPort(addr, port []byte) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(string(addr))
	if err != nil || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(string(port), 10, 16)
	return netip.AddrPortFrom(a, uint16(n)), err == nil
}

// parseBinary reads version 2.
func parseBinary(p []byte) (h Header, n int, err error) {
	if len(p) < fixedPart {
		return h, 0, ErrMore
	}
	if v := p[12] >> 4; v != 2 {
		return h, 0, fmt.Errorf("unknown PROXY protocol version: %d", v)
	}
	n = fixedPart + int(binary.BigEndian.Uint16(p[14:]))
	if n > MaxHeader {
		return h, 0, errors.New("header is too large")
	}
	if len(p) < n {
		return h, 0, ErrMore
	}
	if p[12]&15 != cmdProxy || p[13]&15 != typeStream {
		return h, n, nil
	}
	b := p[fixedPart:n]
	size := 0
	switch p[13] >> 4 {
	case familyIPv4:
		size = 4
	case familyIPv6:
		size = 16
	default:
		return h, n, nil
	}
	if len(b) < 2*size+4 {
		return h, 0, broken(nil)
	}
	src, _ := netip.AddrFromSlice(b[:size])
	dst, _ := netip.AddrFromSlice(b[size : 2*size])
	h.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b[2*size:]))
	h.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2*size+2:]))
	h.TLVs = b[2*size+4:]
	return h, n, nil
}
