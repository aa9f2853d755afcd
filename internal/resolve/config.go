// Package resolve finds the addresses of names: the resolver directive.
//
// A Resolver belongs to one worker and one resolver directive. It asks the servers over UDP, over TCP when an answer was
// cut, and keeps answers as long as they say (or valid= says). With "local=on" /etc/hosts and the search domains of
// /etc/resolv.conf count too. Lookup parks the calling task; several which ask for one name wait for one answer.
package resolve

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
)

// Config is one resolver directive.
type Config struct {
	Servers    []netip.AddrPort
	Valid      time.Duration // how long answers count, 0: as they say
	IPv4, IPv6 bool
	Zone       string
	Local      bool
	hosts      map[string][]netip.Addr
	search     []string
	ndots      int
}

// Type reads the directive; nil means "resolver off" or no server at all.
var Type = conf.NewType("address ... [valid=time] [ipv4=on|off] [ipv6=on|off] [local=on|off|path] [status_zone=zone]", conf.OneMore, parse)

// Names of files that local=on reads.
const (
	resolvConf = "/etc/resolv.conf"
	hostsFile  = "/etc/hosts"
)

func parse(c *conf.Cmd) (*Config, error) {
	r := &Config{IPv4: true, IPv6: true, ndots: 1}
	for _, arg := range c.Args {
		key, val, has := strings.Cut(arg, "=")
		ok := true
		switch {
		case has && key == "valid":
			r.Valid, ok = units.Sec(val)
		case has && key == "ipv4":
			r.IPv4, ok = onOff(val)
		case has && key == "ipv6":
			r.IPv6, ok = onOff(val)
		case has && key == "local":
			if r.Local, ok = onOff(val); !ok && val != "" {
				r.Local, ok = true, true
				if err := r.readResolvConf(c.Config().FullName(val)); err != nil {
					return nil, c.Errorf("%s", err)
				}
			} else if r.Local {
				r.readResolvConf(resolvConf) // without it, what the directive says counts
			}
			if r.Local {
				r.readHosts(hostsFile)
			}
		case has && key == "status_zone":
			r.Zone, ok = val, val != ""
		default:
			if err := r.addServer(arg); err != nil {
				return nil, c.Errorf("%s in resolver \"%s\"", err, arg)
			}
		}
		if !ok {
			return nil, c.Errorf("invalid parameter: %s", arg)
		}
	}
	if !r.IPv4 && !r.IPv6 {
		return nil, c.Errorf("\"ipv4\" and \"ipv6\" cannot both be \"off\"")
	}
	if len(r.Servers) == 0 && !r.Local {
		return nil, c.Errorf("no name servers defined")
	}
	return r, nil
}

func onOff(s string) (v, ok bool) { return s == "on", s == "on" || s == "off" }

// addServer adds an address with or without a port, or the addresses of a name.
func (r *Config) addServer(arg string) error {
	if a, err := netip.ParseAddrPort(arg); err == nil {
		r.Servers = append(r.Servers, a)
		return nil
	}
	if a, err := netip.ParseAddr(strings.Trim(arg, "[]")); err == nil && (a.Is4() || arg[0] == '[') {
		r.Servers = append(r.Servers, netip.AddrPortFrom(a, 53))
		return nil
	}
	name, port := arg, uint16(53)
	if h, p, has := strings.Cut(arg, ":"); has {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return errors.New("invalid port")
		}
		name, port = h, uint16(n)
	}
	if name == "" {
		return errors.New("no host")
	}
	ips, err := net.LookupIP(name)
	if err != nil || len(ips) == 0 {
		return errors.New("host not found")
	}
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			r.Servers = append(r.Servers, netip.AddrPortFrom(a.Unmap(), port))
		}
	}
	return nil
}

// readResolvConf takes servers and search domains from a file like /etc/resolv.conf.
func (r *Config) readResolvConf(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(strings.SplitN(strings.SplitN(line, "#", 2)[0], ";", 2)[0])
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil {
				r.Servers = append(r.Servers, netip.AddrPortFrom(a, 53))
			}
		case "search", "domain":
			r.search = f[1:]
		case "options":
			for _, o := range f[1:] {
				if n, ok := strings.CutPrefix(o, "ndots:"); ok {
					r.ndots, _ = strconv.Atoi(n)
				}
			}
		}
	}
	return nil
}

func (r *Config) readHosts(name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		return
	}
	r.hosts = map[string][]netip.Addr{}
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(strings.SplitN(line, "#", 2)[0])
		if len(f) < 2 {
			continue
		}
		a, err := netip.ParseAddr(f[0])
		if err != nil || a.Is4() && !r.IPv4 || a.Is6() && !r.IPv6 {
			continue
		}
		for _, n := range f[1:] {
			n = strings.ToLower(n)
			r.hosts[n] = append(r.hosts[n], a)
		}
	}
}

func sockaddr(a netip.AddrPort) syscall.Sockaddr {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		return &syscall.SockaddrInet4{Addr: ip.As4(), Port: int(a.Port())}
	}
	return &syscall.SockaddrInet6{Addr: ip.As16(), Port: int(a.Port())}
}
