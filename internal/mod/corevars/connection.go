package corevars

import (
	"encoding/binary"
	"strconv"
	"syscall"
	"unsafe"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
)

func address(r *engine.Request, a *engine.Addr) []byte { return a.AppendIP(r.Alloc(45)[:0]) }

// port is empty for unix sockets.
func port(r *engine.Request, a *engine.Addr) ([]byte, bool) {
	if a.Unix || a.IP.Port() == 0 {
		return nil, true
	}
	return number(r, int64(a.IP.Port()))
}

func remoteAddr(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return address(r, r.Client()), true
}

func binaryRemoteAddr(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	a := r.Client()
	if a.Unix {
		return address(r, a), true
	}
	if ip := a.IP.Addr(); ip.Is4() {
		b := ip.As4()
		return r.Copy(b[:]), true
	}
	b := a.IP.Addr().As16()
	return r.Copy(b[:]), true
}

func remotePort(r *engine.Request, _ *engine.Var) ([]byte, bool) { return port(r, r.Client()) }

func serverAddr(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	a := r.Conn.LocalAddr()
	if a.Unix {
		return append(append(r.Alloc(5 + len(a.Path))[:0], "unix:"...), a.Path...), true
	}
	return address(r, a), true
}

func serverPort(r *engine.Request, _ *engine.Var) ([]byte, bool) { return port(r, r.Conn.LocalAddr()) }

var (
	wordHTTP  = []byte("http")
	wordHTTPS = []byte("https")
	wordOn    = []byte("on")
	pipeYes   = []byte("p")
	pipeNo    = []byte(".")
)

func scheme(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if r.Conn.TLS != nil {
		return wordHTTPS, true
	}
	return wordHTTP, true
}

func https(r *engine.Request, _ *engine.Var) ([]byte, bool) { return flag(r.Conn.TLS != nil, wordOn) }

func connection(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return strconv.AppendUint(r.Alloc(20)[:0], r.Conn.ID, 10), true
}

func connectionRequests(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return strconv.AppendUint(r.Alloc(20)[:0], r.Conn.Requests, 10), true
}

func connectionTime(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return seconds(r, r.W.Loop.Now()-r.Conn.StartMono), true
}

func pipe(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if r.Main.Pipelined {
		return pipeYes, true
	}
	return pipeNo, true
}

// seconds writes nanoseconds as seconds with milliseconds: "12.345".
func seconds(r *engine.Request, ns int64) []byte {
	ms := uint64(max(ns, 0) / 1e6)
	b := strconv.AppendUint(r.Alloc(24)[:0], ms/1000, 10)
	return ascii.AppendPadded(append(b, '.'), ms%1000, 3)
}

func msec(r *engine.Request, _ *engine.Var) ([]byte, bool) { return seconds(r, r.W.Loop.Wall()), true }

func requestTime(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return seconds(r, r.W.Loop.Now()-r.Start), true
}

func timeLocal(r *engine.Request, _ *engine.Var) ([]byte, bool) { return r.Copy(r.W.TimeLocal()), true }
func timeISO(r *engine.Request, _ *engine.Var) ([]byte, bool)   { return r.Copy(r.W.TimeISO()), true }

// Ends of a connection behind a proxy, the Data of its variables.
const (
	proxySource      = "source"
	proxyDestination = "destination"
)

func proxyEnd(r *engine.Request, v *engine.Var) *engine.Addr {
	p := r.Conn.Proxy
	switch {
	case p == nil:
		return nil
	case v.Data == proxySource:
		return &p.Src
	}
	return &p.Dst
}

func proxyAddr(r *engine.Request, v *engine.Var) ([]byte, bool) {
	a := proxyEnd(r, v)
	if a == nil {
		return nil, false
	}
	return address(r, a), true
}

func proxyPort(r *engine.Request, v *engine.Var) ([]byte, bool) {
	a := proxyEnd(r, v)
	if a == nil {
		return nil, false
	}
	return port(r, a)
}

// Types of the PROXY protocol, version 2 (its section 2.2).
var (
	tlvTypes    = map[string]uint64{"alpn": 0x01, "authority": 0x02, "unique_id": 0x05, "ssl": 0x20, "netns": 0x30}
	tlvSSLTypes = map[string]uint64{"version": 0x21, "cn": 0x22, "cipher": 0x23, "sig_alg": 0x24, "key_alg": 0x25}
)

const (
	tlvSSL       = 0x20
	tlvSSLHeader = 5 // a byte of bits about the client, four bytes of the verification's result
)

func proxyTLV(r *engine.Request, v *engine.Var) ([]byte, bool) {
	name := v.Name[len("proxy_protocol_tlv_"):]
	if r.Conn.Proxy == nil {
		return nil, false
	}
	tlvs, types, word := r.Conn.Proxy.TLVs, tlvTypes, name
	if len(name) >= 4 && name[:4] == "ssl_" {
		inner, ok := findTLV(r, tlvs, tlvSSL)
		if !ok || len(inner) < tlvSSLHeader {
			return nil, false
		}
		word = name[4:]
		if word == "verify" {
			return number(r, int64(binary.BigEndian.Uint32(inner[1:])))
		}
		tlvs, types = inner[tlvSSLHeader:], tlvSSLTypes
	}
	if len(word) >= 2 && word[:2] == "0x" {
		n, err := strconv.ParseUint(word[2:], 16, 32)
		if err != nil {
			r.Logf(nlog.Error, "invalid PROXY protocol TLV \"%s\"", name)
			return nil, false
		}
		return findTLV(r, tlvs, n)
	}
	if n, ok := types[word]; ok {
		return findTLV(r, tlvs, n)
	}
	r.Logf(nlog.Error, "unknown PROXY protocol TLV \"%s\"", name)
	return nil, false
}

func findTLV(r *engine.Request, p []byte, kind uint64) ([]byte, bool) {
	for len(p) > 0 {
		if len(p) < 3 || len(p)-3 < int(binary.BigEndian.Uint16(p[1:])) {
			r.Logf(nlog.Error, "broken PROXY protocol TLV")
			return nil, false
		}
		end := 3 + int(binary.BigEndian.Uint16(p[1:]))
		if uint64(p[0]) == kind {
			return p[3:end], true
		}
		p = p[end:]
	}
	return nil, false
}

// Values of TCP_INFO, the Data of their variables: places in struct tcp_info of Linux.
const (
	tcpRTT      = 68
	tcpRTTVar   = 72
	tcpSndCwnd  = 80
	tcpRcvSpace = 96
	tcpInfoSize = 104
)

func tcpInfo(r *engine.Request, v *engine.Var) ([]byte, bool) {
	var info [tcpInfoSize]byte
	n := uint32(len(info))
	if r.Conn.FD < 0 {
		return nil, false
	}
	_, _, e := syscall.RawSyscall6(syscall.SYS_GETSOCKOPT, uintptr(r.Conn.FD), syscall.IPPROTO_TCP, syscall.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&n)), 0)
	if e != 0 {
		return nil, false
	}
	return number(r, int64(binary.NativeEndian.Uint32(info[v.Data.(int):])))
}
