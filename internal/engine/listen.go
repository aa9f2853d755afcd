package engine

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/plane"
)

// Addr is the address of one end of a connection.
type Addr struct {
	IP   netip.AddrPort
	Unix bool // a unix socket; Path may be empty
	Path string
}

// AppendIP appends the address without port: "127.0.0.1", "unix:".
func (a *Addr) AppendIP(dst []byte) []byte {
	if a.Unix {
		return append(dst, "unix:"...)
	}
	return a.IP.Addr().Unmap().AppendTo(dst)
}

// String is the address with port.
func (a *Addr) String() string {
	if a.Unix {
		return "unix:" + a.Path
	}
	return netip.AddrPortFrom(a.IP.Addr().Unmap(), a.IP.Port()).String()
}

// ListenOpt is one listen directive.
type ListenOpt struct {
	Addr      netip.AddrPort
	Unix      string
	Text      string // as nginx shows it: "0.0.0.0:80", "unix:/path"
	Default   bool
	Set       bool // socket options were given
	Backlog   int
	Rcvbuf    int
	Sndbuf    int
	SoKeep    int // 0 unset, 1 on, -1 off
	KeepIdle  time.Duration
	KeepIntvl time.Duration
	KeepCnt   int
	Deferred  bool
	Reuseport bool
	IPv6Only  int // 0 unset, 1 on, -1 off
	Fastopen  int
	Setfib    int
	Bind      bool
	TLS       bool
	HTTP2     bool
	QUIC      bool
	ProxyProt bool
	Multipath bool
}

// Key identifies the address: one for QUIC is another than that of TCP.
func (l *ListenOpt) Key() string {
	if l.QUIC {
		return "quic " + l.Text
	}
	return l.Text
}

func (l *ListenOpt) wildcard() bool { return l.Unix == "" && l.Addr.Addr().IsUnspecified() }

// AddrConf is an address with the servers behind it.
type AddrConf struct {
	ListenOpt
	names *nameTable
	http  *HTTP
	// within is the wildcard address whose socket the address shares; the wildcard has the others in specific.
	within   *AddrConf
	specific []*AddrConf
}

// Shared reports whether the socket is that of several addresses: For tells them apart.
func (a *AddrConf) Shared() bool { return len(a.specific) > 0 }

// For is the address that a connection to local came in at.
func (a *AddrConf) For(local netip.Addr) *AddrConf {
	for _, s := range a.specific {
		if s.Addr.Addr() == local {
			return s
		}
	}
	return a
}

// shareSockets finds the addresses that need no socket: a wildcard address has one for their port, and nothing asked
// for one of their own (bind, or an option of sockets).
func (h *HTTP) shareSockets() {
	for _, w := range h.Addrs {
		if !w.wildcard() || w.QUIC {
			continue
		}
		for _, a := range h.Addrs {
			if a != w && !a.QUIC && a.Unix == "" && !a.Set && !a.wildcard() && a.Addr.Port() == w.Addr.Port() && a.Addr.Addr().Is4() == w.Addr.Addr().Is4() {
				a.within = w
				w.specific = append(w.specific, a)
			}
		}
	}
}

// Default is the server for hosts that no name matches.
func (a *AddrConf) DefaultServer() *Server { return a.names.def }

// combine adds the listen of another server for the same address.
func (a *AddrConf) combine(l *ListenOpt) {
	if l.Set {
		d, tls, h2, pp := a.Default, a.TLS, a.HTTP2, a.ProxyProt
		a.ListenOpt = *l
		a.Default, a.TLS, a.HTTP2, a.ProxyProt = d || l.Default, tls, h2, pp
	}
	a.TLS = a.TLS || l.TLS
	a.HTTP2 = a.HTTP2 || l.HTTP2
	a.ProxyProt = a.ProxyProt || l.ProxyProt
}

var listenRows = []conf.Directive{
	{Name: "listen", Default: "*:80", In: conf.Server, Args: conf.OneMore, Set: conf.Func(readListen),
		Syntax: "address[:port] | port | unix:path [default_server] [bind] [backlog=number] [rcvbuf=size] [sndbuf=size] [reuseport] [deferred] [ipv6only=on|off] [so_keepalive=on|off|[idle]:[interval]:[count]] [fastopen=number] [proxy_protocol] [ssl] [http2 | quic]",
		Doc:    "An address the server is reached at."},
}

func isRoot() bool { return os.Geteuid() == 0 }

func hostname() string { n, _ := os.Hostname(); return n }

// ParseListenAddr reads "addr:port", "port", "[v6]:port", "unix:path", "*:port". A port range gives several.
func ParseListenAddr(text string) ([]ListenOpt, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return nil, fmt.Errorf("no path in the unix domain socket in \"%s\" of the \"listen\" directive", text)
		}
		return []ListenOpt{{Unix: path, Text: text}}, nil
	}
	fail := func(why string) ([]ListenOpt, error) {
		return nil, fmt.Errorf("%s in \"%s\" of the \"listen\" directive", why, text)
	}
	host, port, why := splitListen(text)
	if why != "" {
		return fail(why)
	}
	lo, hi, isRange := strings.Cut(port, "-")
	first, err := strconv.Atoi(lo)
	if err != nil || first < 1 || first > 65535 {
		return fail("invalid port")
	}
	last := first
	if isRange {
		if last, err = strconv.Atoi(hi); err != nil || last < first || last > 65535 {
			return fail("invalid port range")
		}
	}
	ip := netip.IPv4Unspecified()
	if host != "*" {
		if ip, err = netip.ParseAddr(host); err != nil {
			ips, err := LookupHost(host)
			if err != nil || len(ips) == 0 {
				return fail("host not found")
			}
			ip = ips[0]
		}
	}
	var out []ListenOpt
	for p := first; p <= last; p++ {
		a := netip.AddrPortFrom(ip, uint16(p))
		out = append(out, ListenOpt{Addr: a, Text: a.String()})
	}
	return out, nil
}

// splitListen parts an address; host "*" is any. why says what is wrong with it.
func splitListen(text string) (host, port, why string) {
	switch {
	case strings.HasPrefix(text, "["):
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return "", "", "invalid host"
		}
		host = text[1:end]
		if rest := text[end+1:]; rest != "" {
			if rest[0] != ':' {
				return "", "", "invalid port"
			}
			port = rest[1:]
		}
		if _, err := netip.ParseAddr(host); err != nil {
			return "", "", "invalid IPv6 address"
		}
	case strings.Contains(text, ":"):
		host, port, _ = strings.Cut(text, ":")
		if host == "" {
			return "", "", "no host"
		}
	default:
		first, _, _ := strings.Cut(text, "-")
		if _, err := strconv.Atoi(first); err == nil {
			host, port = "*", text
		} else {
			host = text
		}
	}
	if port == "" {
		port = "80"
	}
	return host, port, ""
}

func readListen(c *conf.Cmd) error {
	ls, err := ParseListenAddr(c.Args[0])
	if err != nil {
		return c.Errorf("%s", err)
	}
	srv := srvLevel.Of(c.Scope).srv
	for i := range ls {
		l := &ls[i]
		l.Backlog = 511
		l.Fastopen = -1
		if err := l.params(c); err != nil {
			return err
		}
		for j := range srv.Listens {
			if srv.Listens[j].Key() == l.Key() {
				return c.Errorf("a duplicate listen %s", c.Args[0])
			}
		}
		if err := HTTPOf(c).mayListen(c, l); err != nil {
			return err
		}
		srv.Listens = append(srv.Listens, *l)
	}
	return nil
}

// mayListen checks a listen directive against those of other servers for the same address.
func (h *HTTP) mayListen(c *conf.Cmd, l *ListenOpt) error {
	for _, s := range h.Servers {
		for i := range s.Listens {
			switch o := &s.Listens[i]; {
			case o.Key() != l.Key():
			case o.Set && l.Set:
				return c.Errorf("duplicate listen options for %s", l.Text)
			case o.Default && l.Default:
				return c.Errorf("a duplicate default server for %s", l.Text)
			}
		}
	}
	return nil
}

// params reads what follows the address.
func (l *ListenOpt) params(c *conf.Cmd) error {
	for _, a := range c.Args[1:] {
		if l.server(c, a) {
			continue
		}
		if err := l.socket(c, a); err != nil {
			return err
		}
		l.Set = true
	}
	if !l.QUIC {
		return nil
	}
	for _, other := range []struct {
		on   bool
		name string
	}{{l.TLS, "ssl"}, {l.HTTP2, "http2"}, {l.ProxyProt, "proxy_protocol"}} {
		if other.on {
			return c.Errorf("\"%s\" parameter is incompatible with \"quic\"", other.name)
		}
	}
	l.TLS = true
	return nil
}

// server takes a parameter that is about the server, not the socket: several servers may have it for one address.
func (l *ListenOpt) server(c *conf.Cmd, a string) bool {
	switch a {
	case "default_server", "default":
		l.Default = true
	case "ssl":
		l.TLS = true
	case "http2":
		c.Warnf("the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead")
		l.HTTP2 = true
	case "quic":
		l.QUIC = true
	case "proxy_protocol":
		l.ProxyProt = true
	default:
		return false
	}
	return true
}

// socket takes a parameter of the socket, which one server may set for an address.
func (l *ListenOpt) socket(c *conf.Cmd, a string) error {
	switch a {
	case "bind":
		l.Bind = true
		return nil
	case "deferred":
		l.Deferred = true
		return nil
	case "reuseport":
		l.Reuseport = true
		return nil
	case "multipath":
		l.Multipath = true
		return nil
	}
	key, val, has := strings.Cut(a, "=")
	if !has {
		return c.InvalidParameter(a)
	}
	ok := true
	switch key {
	case "backlog":
		l.Backlog, ok = atoi(val)
		ok = ok && l.Backlog != 0
	case "rcvbuf":
		l.Rcvbuf, ok = bufferSize(val)
	case "sndbuf":
		l.Sndbuf, ok = bufferSize(val)
	case "fastopen":
		l.Fastopen, ok = atoi(val)
	case "setfib":
		l.Setfib, ok = atoi(val)
	case "accept_filter":
		return c.Errorf("accept filters \"%s\" are not supported on this platform, ignored", val)
	case "ipv6only":
		switch val {
		case "on":
			l.IPv6Only = 1
		case "off":
			l.IPv6Only = -1
		default:
			return c.Errorf("invalid ipv6only flags \"%s\"", val)
		}
	case "so_keepalive":
		if !l.keepaliveParam(val) {
			return c.Errorf("invalid so_keepalive value: \"%s\"", val)
		}
	default:
		return c.InvalidParameter(a)
	}
	if !ok {
		return c.Errorf("invalid %s \"%s\"", key, a)
	}
	return nil
}

func bufferSize(val string) (int, bool) {
	n, ok := units.Size(val)
	return int(n), ok
}

func (l *ListenOpt) keepaliveParam(val string) bool {
	switch val {
	case "on":
		l.SoKeep = 1
		return true
	case "off":
		l.SoKeep = -1
		return true
	}
	p := strings.Split(val, ":")
	if len(p) > 3 || strings.Trim(val, ":") == "" {
		return false
	}
	ok := true
	if p[0] != "" {
		l.KeepIdle, ok = units.Sec(p[0])
	}
	if ok && len(p) > 1 && p[1] != "" {
		l.KeepIntvl, ok = units.Sec(p[1])
	}
	if ok && len(p) > 2 && p[2] != "" {
		l.KeepCnt, ok = atoi(p[2])
	}
	l.SoKeep = 1
	return ok
}

func atoi(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0
}

// Listener is an open listening socket; it survives reloads. Its configuration is replaced by each snapshot.
type Listener struct {
	Key    string
	Addr   string
	FD     int
	Worker int                      // with reuseport: the worker that accepts from it
	QUIC   bool                     // the socket is one of datagrams: it is Plane.Datagrams' to serve
	conf   *AddrConf                // of the snapshot it was opened for
	next   atomic.Pointer[AddrConf] // of the newest one
}

// Conf is the address as configured now.
func (l *Listener) Conf() *AddrConf {
	if a := l.next.Load(); a != nil {
		return a
	}
	return l.conf
}

// options are the socket options in the process's terms.
func (l *ListenOpt) options() plane.Options {
	return plane.Options{
		Backlog: l.Backlog, RcvBuf: l.Rcvbuf, SndBuf: l.Sndbuf, FastOpen: max(l.Fastopen, 0), V6Only: l.IPv6Only >= 0,
		ReusePort: l.Reuseport, DeferAccept: l.Deferred, MPTCP: l.Multipath, KeepAlive: l.SoKeep,
		KeepIdle: int(l.KeepIdle / time.Second), KeepInterval: int(l.KeepIntvl / time.Second), KeepCount: l.KeepCnt,
	}
}
