package luamod

import (
	"strconv"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/relay"
)

// balancer chooses the servers of an upstream block by balancer_by_lua.
type balancer struct{ code *luahost.Handler }

var balancerRows = []conf.Directive{
	{Name: "balancer_keepalive", In: conf.Upstream, Args: conf.Take1, Syntax: "connections", Default: "32", Set: conf.Func(readBalancerKeepalive),
		Doc: "How many idle connections a worker keeps for ngx.balancer.enable_keepalive."},
}

// balancerOf is the target of the directive.
func balancerOf(c *conf.Cmd) **luahost.Handler {
	g := relay.BlockOf(c.Scope)
	b, ok := g.Choose.(*balancer)
	if !ok {
		b = &balancer{}
		if g.Balanced {
			c.Warnf("load balancing method redefined")
		}
		g.Choose, g.Balanced = b, true
	}
	return &b.code
}

func readBalancerKeepalive(c *conf.Cmd) error {
	g := relay.BlockOf(c.Scope)
	if g.ChosenIdle != 0 {
		return c.Duplicate()
	}
	n, err := strconv.Atoi(c.Args[0])
	if err != nil || n <= 0 {
		return c.InvalidIn(c.Args[0], "")
	}
	g.ChosenIdle = n
	return nil
}

// Choose runs the code before each try.
func (b *balancer) Choose(x *relay.Exchange) engine.Status {
	r := x.R
	if _, ok := luahost.RunFilter(r, b.code.For(r), lua.PhaseBalancer, nil); !ok {
		return 500
	}
	if h := luahost.Of(r); h.Exited {
		h.Exited = false
		switch code := h.ExitCode; {
		case code == int(engine.OK):
		case code >= 300:
			return engine.Status(code)
		default:
			return 500
		}
	}
	if x.Peer.Addr.Sock == nil && x.Group.Placeholder {
		r.Logger.Log(nlog.Error, r, nil, "lua balancer: no peer set")
		return 500
	}
	return engine.OK
}
