package relay

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/netio"
	"moongate/internal/resolve"
	"moongate/internal/upstream"
)

// Chosen is the server that a Chooser has chosen, and what else it wants. The server is to be
// chosen for each try; timeouts and the local address stay.
type Chosen struct {
	Addr upstream.Addr // none: the group's method chooses
	Host string        // a name that idle connections are kept under beside the address
	// Keep lets the connection be kept, whatever the group's own parameters; for so long, and so many requests (0: any).
	Keep         bool
	KeepTimeout  time.Duration
	KeepRequests int
	// Connect, Send and Read, when not 0, replace the timeouts of the location.
	Connect, Send, Read time.Duration
	Local               syscall.Sockaddr
	LocalText           string
	Refused             engine.Status
}

// LastTry is how the try before went.
type LastTry struct {
	Failed, Next bool
	Status       int
}

// Rewrite makes the request anew, for the next server.
func (x *Exchange) Rewrite() engine.Status {
	var st engine.Status
	x.head, st = x.P.Request(x, x.head[:0])
	if !x.Multiplexed {
		x.addPreread()
	}
	return st
}

// find gives the exchange its servers: those of a group, or the addresses of a name that is resolved now.
func (x *Exchange) find() engine.Status {
	r := x.R
	l := localOf(r.H, x.w)
	if x.Group == nil {
		x.Group = groupsOf(r.H).find(x.URL)
	}
	if x.Group != nil {
		x.bal = l.balancer(x.Group)
		x.bal.Begin(&x.choice, x.hashKey())
		x.stick()
		return x.enter()
	}
	u := x.URL
	if u.Port == 0 && !u.Unix {
		r.Logf(nlog.Error, "no port in upstream \"%s\"", u.Host)
		return 500
	}
	if u.IsAddr() {
		x.bal = l.at(u.Addr)
		x.bal.Begin(&x.choice, nil)
		return engine.OK
	}
	return x.resolve()
}

func (x *Exchange) hashKey() []byte {
	r := x.R
	switch x.Group.Method {
	case upstream.Hash, upstream.ConsistentHash:
		return x.Group.Key.Eval(r)
	case upstream.IPHash:
		ip := r.Client().IP.Addr()
		switch {
		case r.Client().Unix || !ip.IsValid():
			return noAddress
		case ip.Unmap().Is4():
			a := ip.Unmap().As4()
			return r.Copy(a[:3])
		}
		a := ip.As16()
		return r.Copy(a[:])
	}
	return nil
}

var noAddress = make([]byte, 3)

// resolve asks the resolver for the addresses of a name.
func (x *Exchange) resolve() engine.Status {
	r, u := x.R, x.URL
	core := r.Core()
	cfg := core.Resolver.V
	if cfg == nil {
		r.Logf(nlog.Error, "no resolver defined to resolve %s", u.Host)
		return 502
	}
	ips, err := resolve.For(x.w.Loop, cfg).Lookup(u.Host, x.w.Loop.Now()+int64(core.ResolverTimeout.V))
	if x.gone {
		return x.abort()
	}
	if err != nil {
		var re *resolve.Error
		if !errors.As(err, &re) {
			re = &resolve.Error{Code: 110, Text: "Operation timed out"}
		}
		r.Logf(nlog.Error, "%s could not be resolved (%d: %s)", u.Host, re.Code, re.Text)
		return 502
	}
	addrs := make([]upstream.Addr, len(ips))
	for i, ip := range ips {
		addrs[i] = upstream.NewAddr(netip.AddrPortFrom(ip, uint16(u.Port)))
	}
	x.bal = adHoc(u.Host, addrs, x.w.ID)
	x.bal.Begin(&x.choice, nil)
	return engine.OK
}

func or(own, conf time.Duration) int64 {
	if own > 0 {
		return int64(own)
	}
	return int64(conf)
}

// connect makes a new connection to the server.
func (x *Exchange) connect() uint32 {
	loop := x.w.Loop
	d := netio.Dial{Deadline: loop.Now() + or(x.Peer.Connect, x.Conf.ConnectTimeout.V)}
	if x.ownPeer {
		d.Addr = x.Peer.Addr.Sock
	} else {
		d.Addr = x.choice.Peer.Sock
	}
	d.Local = x.Peer.Local
	if l := x.Conf.Local.V; l != nil && d.Local == nil {
		d.Local, d.Transparent = x.localAddr(l), l.Transparent
	}
	if netio.Family(d.Addr) == syscall.AF_UNIX {
		d.Local = nil
	}
	c := x.bal.Idle.New(loop, x.Conf)
	err := loop.Dial(&c.FD, &d)
	if x.gone {
		if err == nil {
			c.Close()
		}
		return clientGone
	}
	if err == nil {
		c.Requests, c.Start = 1, loop.Now()
		x.conn = c
		x.setOptions(d.Addr)
		if x.SSL != nil {
			return x.handshake(c, d.Deadline)
		}
		return 0
	}
	var de *netio.DialError
	switch {
	case isTimeout(err):
		return onTimeout
	case !errors.As(err, &de):
		return failedInternally
	case de.Call == "":
		x.log(connectLevel(de.Err), de.Err, "connect() failed")
		return onError
	case de.Call == "connect":
		x.log(connectLevel(de.Err), de.Err, "connect() to "+x.peer+" failed")
		return onError
	case de.Call == "bind":
		x.log(nlog.Crit, de.Err, "bind("+sockText(d.Local)+") failed")
	default:
		x.log(nlog.Alert, de.Err, de.Call+"() failed")
	}
	return failedInternally
}

func isTimeout(err error) bool { return err == netio.ErrTimeout }

// connectLevel is the level of a failure to connect: what the network may do is less than what should not happen.
func connectLevel(err error) nlog.Level {
	switch err {
	case syscall.ECONNREFUSED, syscall.EAGAIN, syscall.ECONNRESET, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ETIMEDOUT:
		return nlog.Error
	}
	return nlog.Crit
}

// sockText is the text of a local address, without a port when any will do.
func sockText(sa syscall.Sockaddr) string {
	var a netip.AddrPort
	switch s := sa.(type) {
	case *syscall.SockaddrInet4:
		a = netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *syscall.SockaddrInet6:
		a = netip.AddrPortFrom(netip.AddrFrom16(s.Addr), uint16(s.Port))
	}
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

// localAddr is the address to bind to, nil for none.
func (x *Exchange) localAddr(l *Local) syscall.Sockaddr {
	if l.value == nil {
		return l.sock
	}
	v := l.value.Eval(x.R)
	if len(v) == 0 {
		return nil
	}
	sa := parseAddr(string(v))
	if sa == nil {
		x.R.Logf(nlog.Error, "invalid local address \"%s\"", v)
	}
	return sa
}

func (x *Exchange) setOptions(addr syscall.Sockaddr) {
	fd := x.conn.Sysfd()
	if netio.Family(addr) != syscall.AF_UNIX {
		if x.R.Core().TCPNodelay.V {
			syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		}
		if x.Conf.SocketKeepalive.V {
			syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
		}
	}
	if n := x.Conf.SocketRcvbuf; n.IsSet {
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, int(n.V))
	}
	if n := x.Conf.SocketSndbuf; n.IsSet {
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, int(n.V))
	}
}
