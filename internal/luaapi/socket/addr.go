package socket

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/resolve"
)

// peer is whom a socket speaks to.
type peer struct {
	host string // as given
	port int
	addr syscall.Sockaddr
}

// append writes "host:port(address)", as log lines have it.
func (p *peer) append(dst []byte) []byte {
	dst = append(dst, p.host...)
	if p.port != 0 {
		dst = strconv.AppendInt(append(dst, ':'), int64(p.port), 10)
	}
	switch a := p.addr.(type) {
	case *syscall.SockaddrInet4:
		dst = append(netip.AddrFrom4(a.Addr).AppendTo(append(dst, '(')), ')')
	case *syscall.SockaddrInet6:
		dst = append(netip.AddrFrom16(a.Addr).AppendTo(append(dst, '(')), ')')
	case *syscall.SockaddrUnix:
		dst = append(append(append(dst, "(unix:"...), a.Name...), ')')
	}
	return dst
}

// text is the address with its port: "127.0.0.1:80", "unix:/path".
func (p *peer) text() string {
	switch a := p.addr.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)).String()
	case *syscall.SockaddrUnix:
		return "unix:" + a.Name
	}
	return p.host
}

func isUnix(host string) bool { return len(host) >= 5 && strings.EqualFold(host[:5], "unix:") }

func sockaddr(ip netip.Addr, port int) syscall.Sockaddr {
	ip = ip.Unmap()
	if ip.Is4() {
		return &syscall.SockaddrInet4{Addr: ip.As4(), Port: port}
	}
	return &syscall.SockaddrInet6{Addr: ip.As16(), Port: port}
}

const maxUnixPath = 107

// parse reads a host as nginx reads the name of an upstream: a unix socket, an address, or a name, which may carry a
// port of their own. addr stays nil for a name.
func (p *peer) parse(host string, port int) error {
	p.host, p.port, p.addr = host, port, nil
	if isUnix(host) {
		path := host[5:]
		switch {
		case path == "":
			return errors.New("no path in the unix domain socket")
		case len(path) > maxUnixPath:
			return errors.New("too long path in the unix domain socket")
		}
		p.port, p.addr = 0, &syscall.SockaddrUnix{Name: path}
		return nil
	}
	name, own := host, ""
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return errors.New("invalid host")
		}
		name = host[1:end]
		rest := host[end+1:]
		if rest != "" && rest[0] != ':' {
			return errors.New("invalid host")
		}
		own = strings.TrimPrefix(rest, ":")
		if ip, err := netip.ParseAddr(name); err != nil || !ip.Is6() {
			return errors.New("invalid IPv6 address")
		}
	} else {
		if strings.ContainsAny(host, "/?") {
			return errors.New("invalid host")
		}
		var has bool
		if name, own, has = strings.Cut(host, ":"); has && own == "" {
			return errors.New("invalid port")
		}
	}
	if own != "" {
		n, err := strconv.ParseUint(own, 10, 16)
		if err != nil || n == 0 {
			return errors.New("invalid port")
		}
		port = int(n)
	}
	if name == "" {
		return errors.New("no host")
	}
	p.host = name
	if ip, err := netip.ParseAddr(name); err == nil && (ip.Is4() || host[0] == '[') {
		p.port, p.addr = port, sockaddr(ip, port)
	}
	return nil
}

// resolve finds the address of a name; it parks. Errors are for Lua, or those of waiting.
func (p *peer) resolve(c *lua.Call, host string) error {
	core := engine.CoreOf(luahost.ScopeOf(c))
	cfg := core.Resolver.V
	if cfg == nil {
		return errors.New("no resolver defined to resolve \"" + host + "\"")
	}
	if !c.MayWait() {
		return errNoWait
	}
	loop := luahost.Loop(c)
	addrs, err := resolve.For(loop, cfg).Lookup(p.host, loop.Now()+int64(core.ResolverTimeout.V))
	if debugs(c) {
		debugf(c, "resolve name done: %v", err)
	}
	if err != nil {
		var re *resolve.Error
		if errors.As(err, &re) {
			return errors.New(host + " could not be resolved (" + strconv.Itoa(re.Code) + ": " + re.Text + ")")
		}
		return err
	}
	p.addr = sockaddr(addrs[rand.IntN(len(addrs))], p.port)
	return nil
}

var errNoWait = errors.New("attempt to yield across C-call boundary")

func wouldBlock(err error) bool { return err == syscall.EAGAIN }

// bindAddress reads an address to bind to.
func bindAddress(text string, port int) (syscall.Sockaddr, bool) {
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return nil, false
	}
	return sockaddr(ip, port), true
}

// connectLevel is how bad nginx finds it that a connection cannot be begun.
func connectLevel(err error) nlog.Level {
	switch err {
	case syscall.ECONNREFUSED, syscall.EAGAIN, syscall.ECONNRESET, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH:
		return nlog.Error
	}
	return nlog.Crit
}
