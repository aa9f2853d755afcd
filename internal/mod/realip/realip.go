// Package realip takes the client's address from what a trusted proxy says (set_real_ip_from, real_ip_header): a header, or
// the PROXY protocol. From then on that is the address of the request for everybody; the connection's stays what it is.
package realip

import (
	"net/netip"
	"strconv"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct {
	from      []engine.Nets // one per directive; merged into trusted
	trusted   engine.Nets
	header    conf.Opt[source]
	recursive conf.Opt[bool]
}

// source is where the address stands.
type source struct {
	kind kind
	name []byte
}

type kind uint8

const (
	someHeader kind = iota
	forwardedFor
	proxyProtocol
)

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(func(_, child *config, _ *conf.Scope) error {
	child.trusted = engine.Nets{}
	for _, n := range child.from {
		child.trusted.Prefixes = append(child.trusted.Prefixes, n.Prefixes...)
		child.trusted.Unix = child.trusted.Unix || n.Unix
	}
	return nil
})

var sourceType = conf.NewType("field | X-Real-IP | X-Forwarded-For | proxy_protocol", conf.Take1, func(c *conf.Cmd) (source, error) {
	switch name := c.Args[0]; name {
	case "X-Forwarded-For":
		return source{kind: forwardedFor}, nil
	case "proxy_protocol":
		return source{kind: proxyProtocol}, nil
	default:
		return source{name: []byte(name)}, nil
	}
})

// Module is the realip family.
var Module = engine.Module{
	Module: conf.Module{Name: "realip", Directives: []conf.Directive{
		{Name: "set_real_ip_from", Syntax: "address | CIDR | hostname | unix:", In: conf.HTTPServerLocation, Args: conf.Take1,
			Set: conf.List(loc, readFrom, func(c *config) *[]engine.Nets { return &c.from }),
			Doc: "Trusts the proxies of an address, a network, a name or of unix sockets to say whom they speak for; may be repeated."},
		{Name: "real_ip_header", In: conf.HTTPServerLocation, Default: "X-Real-IP", Set: conf.Slot(loc, sourceType, func(c *config) *conf.Opt[source] { return &c.header }),
			Doc: "The request header that has the client's address, or `proxy_protocol`."},
		{Name: "real_ip_recursive", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.recursive }),
			Doc: "Goes on through a list of addresses, from the last to the first, while they are those of trusted proxies."},
	}},
	Vars: []engine.Var{
		{Name: "realip_remote_addr", Doc: "The address of the connection, whatever the client's is said to be.", Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) {
			return r.Conn.Remote.AppendIP(r.Alloc(48)[:0]), true
		}},
		{Name: "realip_remote_port", Doc: "The port of the connection, whatever the client's is said to be.", Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) {
			if p := r.Conn.Remote.IP.Port(); p != 0 {
				return strconv.AppendUint(r.Alloc(5)[:0], uint64(p), 10), true
			}
			return nil, true
		}},
	},
	Steps: []engine.Step{
		{Phase: engine.PostRead, Active: active, Run: set},
		{Phase: engine.Preaccess, Active: active, Run: set},
	},
}

func active(s *conf.Scope) bool { return len(loc.Of(s).from) > 0 }

func readFrom(c *conf.Cmd) (n engine.Nets, err error) {
	text := c.Args[0]
	if text == "unix:" {
		n.Unix = true
		return n, nil
	}
	if net, ok := engine.ParseNet(text); ok {
		if net != net.Masked() {
			c.Warnf("low address bits of %s are meaningless", text)
		}
		n.Prefixes = append(n.Prefixes, net.Masked())
		return n, nil
	}
	ips, err := engine.LookupHost(text)
	if err != nil {
		return n, c.Errorf("host not found in set_real_ip_from \"%s\"", text)
	}
	for _, ip := range ips {
		n.Prefixes = append(n.Prefixes, netip.PrefixFrom(ip, ip.BitLen()))
	}
	return n, nil
}

func set(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	if r.ClientSet() {
		return engine.Declined
	}
	remote := r.Conn.Remote
	switch c.header.V.kind {
	case forwardedFor:
		if a, ok := engine.ForwardedAddr(remote, &r.In.Headers, http1.HXForwardedFor, &c.trusted, c.recursive.V); ok {
			r.SetClient(a)
		}
	case proxyProtocol:
		if p := r.Conn.Proxy; p != nil && (p.Src.Unix || p.Src.IP.IsValid()) && c.trusted.Contains(&remote) {
			r.SetClient(p.Src)
		}
	default:
		if value := field(r, c.header.V.name); value != nil {
			if a, ok := engine.ForwardedList(remote, value, &c.trusted, c.recursive.V); ok {
				r.SetClient(a)
			}
		}
	}
	return engine.Declined
}

// field gives the first header of a name, nil when there is none.
func field(r *engine.Request, name []byte) []byte {
	id := http1.LookupHeader(name)
	if id != http1.HUnknown {
		return r.In.Get(id)
	}
	for i := range r.In.List {
		if h := &r.In.List[i]; engine.SameHeader(h, id, name) && h.Name != nil {
			return h.Value
		}
	}
	return nil
}
