package upstream

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// URL is an address as directives have it: host, port and, where allowed, a URI behind it.
type URL struct {
	Text     string
	Host     string // without port; of a unix socket the path
	Port     int    // the default one when none was given
	PortText string // as written
	NoPort   bool
	Unix     bool
	URI      string
	Addr     Addr // set when Host is an address or a socket
}

// IsAddr reports whether the host is an address, not a name.
func (u *URL) IsAddr() bool { return u.Addr.Sock != nil }

// ParseURL reads text; with uri a URI may follow the address. problem, in nginx's words, is "" when it is fine.
func ParseURL(text string, defaultPort int, uri bool) (u URL, problem string) {
	u = URL{Text: text, Port: defaultPort}
	if len(text) >= 5 && strings.EqualFold(text[:5], "unix:") {
		return u, u.unix(text[5:], uri)
	}
	host := text
	from := 0
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return u, "invalid host"
		}
		from = end
	}
	if i := strings.IndexAny(host[from:], "/?"); i >= 0 {
		if !uri {
			return u, "invalid host"
		}
		host, u.URI = host[:from+i], host[from+i:]
	}
	if i := strings.IndexByte(host[from:], ':'); i >= 0 {
		u.PortText = host[from+i+1:]
		n, err := strconv.ParseUint(u.PortText, 10, 32)
		if err != nil || n < 1 || n > 65535 {
			return u, "invalid port"
		}
		host, u.Port = host[:from+i], int(n)
	} else {
		u.NoPort = true
	}
	if host == "" {
		return u, "no host"
	}
	u.Host = host
	if from > 0 {
		a, err := netip.ParseAddr(host[1 : len(host)-1])
		if err != nil || !a.Is6() || len(host) != from+1 {
			return u, "invalid IPv6 address"
		}
		u.Addr = NewAddr(netip.AddrPortFrom(a, uint16(u.Port)))
		u.Addr.Name = "[" + a.String() + "]:" + strconv.Itoa(u.Port)
		u.Addr.Sock = &syscall.SockaddrInet6{Addr: a.As16(), Port: u.Port}
	} else if a, err := netip.ParseAddr(host); err == nil && a.Is4() {
		u.Addr = NewAddr(netip.AddrPortFrom(a, uint16(u.Port)))
	}
	return u, ""
}

// maxUnixPath is the longest path a socket address holds.
const maxUnixPath = 107

func (u *URL) unix(path string, uri bool) string {
	u.Unix, u.NoPort = true, true
	u.Port = 0
	if uri {
		if i := strings.IndexByte(path, ':'); i >= 0 {
			path, u.URI = path[:i], path[i+1:]
			u.NoPort = false
		}
	}
	if path == "" {
		return "no path in the unix domain socket"
	}
	if len(path) > maxUnixPath {
		return "too long path in the unix domain socket"
	}
	u.Host = "unix:" + path
	u.Addr = UnixAddr(path)
	return ""
}

// Resolve finds the addresses of the host as the system does; it blocks and is for configuration. The error is
// nginx's "host not found".
func (u *URL) Resolve() ([]Addr, string) {
	if u.IsAddr() {
		return []Addr{u.Addr}, ""
	}
	ips, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", u.Host)
	if err != nil || len(ips) == 0 {
		return nil, "host not found"
	}
	var out []Addr
	for _, v4 := range []bool{true, false} {
		for _, ip := range ips {
			if ip = ip.Unmap(); ip.Is4() == v4 {
				out = append(out, NewAddr(netip.AddrPortFrom(ip, uint16(u.Port))))
			}
		}
	}
	return out, ""
}
