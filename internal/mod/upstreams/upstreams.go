// Package upstreams has the upstream block: its servers, balancing methods and idle connections, and the variables that
// tell how a request was passed on. What is done with the servers stands in package relay.
package upstreams

import (
	"slices"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/relay"
	"moongate/internal/resolve"
	"moongate/internal/upstream"
	"moongate/internal/zone"
)

// config is what an upstream block says beside its servers.
type config struct {
	keepalive conf.Opt[upstream.Keepalive]
	requests  conf.Opt[int]
	timeout   conf.Opt[time.Duration]
	time      conf.Opt[time.Duration]

	resolver        conf.Opt[*resolve.Config]
	resolverTimeout conf.Opt[time.Duration]

	noBackup bool // the method knows no backup servers
	sticky   bool
	panic    conf.Opt[int]
	retry    bool
	breaker  bool
}

var level = conf.NewLevel[config](conf.KindUpstream)

// Module has the directives and variables.
var Module = engine.Module{
	Module:       conf.Module{Name: "upstream", Directives: slices.Concat(blockRows, methodRows, policyRows, checkRows)},
	Vars:         vars,
	Setup:        setup,
	Init:         begin,
	StartWorker:  startWorker,
	ReloadWorker: reloadWorker,
	DrainWorker:  stopWorker,
	StopWorker:   endWorker,
	RetireWorker: relay.Retire,
	TrimWorker:   relay.TrimWorker,
}

var blockRows = []conf.Directive{

	{Name: "upstream", Syntax: "name { ... }", In: conf.HTTP, Args: conf.Take1 | conf.Block, Set: conf.Func(readBlock),
		Doc: "A group of servers under a name."},
	{Name: "server", In: conf.Upstream, Args: conf.OneMore, Set: conf.Func(readServer),
		Syntax: "address [weight=number] [max_conns=number] [max_fails=number] [fail_timeout=time] [slow_start=time] [backup] [down] [drain] [route=string] [resolve] [service=name]",
		Doc:    "A server of the group. After max_fails failures within fail_timeout it is left alone for that long; backup servers are asked when no other is alive. With resolve its name is resolved again at run time, with service for SRV records. route is what requests stick to, drain lets only those come. After it was away, a server is given its weight over the time of slow_start."},
	{Name: "keepalive", In: conf.Upstream, Args: conf.Take12, Syntax: "connections [local]", Set: conf.Func(readKeepalive),
		Doc: "The number of idle connections to the group that a worker keeps; with local, a location uses only those it has made itself."},
	{Name: "keepalive_requests", In: conf.Upstream, Default: "1000", Set: conf.Slot(level, conf.Number, func(c *config) *conf.Opt[int] { return &c.requests }),
		Doc: "How many requests one connection may carry."},
	{Name: "keepalive_timeout", In: conf.Upstream, Default: "60s", Set: conf.Slot(level, conf.Msec, func(c *config) *conf.Opt[time.Duration] { return &c.timeout }),
		Doc: "How long a connection may be idle."},
	{Name: "keepalive_time", In: conf.Upstream, Default: "1h", Set: conf.Slot(level, conf.Msec, func(c *config) *conf.Opt[time.Duration] { return &c.time }),
		Doc: "How old a connection may become."},
	{Name: "zone", In: conf.Upstream, Args: conf.Take12, Syntax: "name [size]", Set: conf.Func(readZone),
		Doc: "Lets all workers know together how the servers of the group do, and keeps that over reloads. The size is checked and otherwise not needed."},
	{Name: "resolver", In: conf.Upstream, Args: conf.OneMore, Set: conf.Slot(level, resolve.Type, func(c *config) *conf.Opt[*resolve.Config] { return &c.resolver }),
		Doc: "The name servers that resolve the group's servers at run time; without it those of the http block."},
	{Name: "resolver_timeout", In: conf.Upstream, Syntax: "time", Set: conf.Slot(level, conf.Msec, func(c *config) *conf.Opt[time.Duration] { return &c.resolverTimeout }),
		Doc: "How long resolving may take, and how long after a failure it is tried again; without it as the http block says."},
}

// zoneTag tells zones of groups from others.
type zoneTag struct{}

func setup(h *engine.HTTP) error {
	if err := zone.Check(h.Config.Values, zoneTag{}, "zone %s 64k;"); err != nil {
		return err
	}
	core := engine.CoreOf(h.Scope)
	for _, g := range relay.Groups(h) {
		if g.Resolver == nil {
			g.Resolver = core.Resolver.V
		}
		if g.ResolverTimeout == 0 {
			g.ResolverTimeout = core.ResolverTimeout.Or(30 * time.Second)
		}
	}
	return relay.Setup(h)
}

func readBlock(c *conf.Cmd) error {
	g, err := relay.AddBlock(c, c.Args[0])
	if err != nil {
		return err
	}
	s := conf.NewScope(conf.KindUpstream, c.Scope)
	relay.SetBlock(s, g)
	if err := c.Block(conf.Upstream, s); err != nil {
		return err
	}
	if len(g.Servers) == 0 && g.Choose != nil {
		g.Placeholder = true
		u, _ := upstream.ParseURL("0.0.0.1", 80, false)
		g.Implicit([]upstream.Addr{u.Addr})
	}
	if len(g.Servers) == 0 {
		return c.Errorf("no servers are inside upstream")
	}
	if err := conf.Merge(nil, s, conf.KindUpstream); err != nil {
		return err
	}
	cf := level.Of(s)
	g.Keepalive = cf.keepalive.V
	g.Keepalive.Requests, g.Keepalive.Timeout, g.Keepalive.Time = cf.requests.V, cf.timeout.V, cf.time.V
	g.Resolver, g.ResolverTimeout = cf.resolver.V, cf.resolverTimeout.V
	g.Panic = cf.panic.Or(upstream.DefaultPanic)
	return nil
}

func readKeepalive(c *conf.Cmd) error {
	cf := level.Of(c.Scope)
	if cf.keepalive.IsSet {
		return c.Duplicate()
	}
	n, ok := units.Number(c.Args[0])
	if !ok {
		return c.InvalidIn(c.Args[0], "")
	}
	k := upstream.Keepalive{Max: int(n)}
	if len(c.Args) == 2 {
		if c.Args[1] != "local" {
			return c.InvalidParameter(c.Args[1])
		}
		k.Local = true
	}
	cf.keepalive = conf.Some(k)
	relay.BlockOf(c.Scope).Balanced = true
	return nil
}

func readZone(c *conf.Cmd) error {
	var size int64
	if c.Args[0] == "" {
		return c.Errorf("invalid zone name \"%s\"", c.Args[0])
	}
	if len(c.Args) == 2 {
		n, ok := units.Size(c.Args[1])
		if !ok {
			return c.Errorf("invalid zone size \"%s\"", c.Args[1])
		}
		if n < minZone {
			return c.Errorf("zone \"%s\" is too small", c.Args[0])
		}
		size = n
	}
	if _, err := zone.Add(c, c.Args[0], size, zoneTag{}); err != nil {
		return err
	}
	g := relay.BlockOf(c.Scope)
	g.Zone, g.ZoneName = true, c.Args[0]
	return nil
}

// minZone is what nginx wants at least: eight pages.
const minZone = 8 * 4096
