// Package upstreams has the upstream block: its servers, balancing methods and idle connections, and the variables that
// tell how a request was passed on. What is done with the servers stands in package relay.
package upstreams

import (
	"strconv"
	"strings"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

// config is what an upstream block says beside its servers.
type config struct {
	keepalive conf.Opt[int]
	requests  conf.Opt[int]
	timeout   conf.Opt[time.Duration]
	time      conf.Opt[time.Duration]
	method    bool // one was named
	noBackup  bool // which knows no backup servers
}

var level = conf.NewLevel[config](conf.KindUpstream)

// Module has the directives and variables.
var Module = engine.Module{
	Module: conf.Module{Name: "upstream", Directives: []conf.Directive{
		{Name: "upstream", Syntax: "name { ... }", In: conf.HTTP, Args: conf.Take1 | conf.Block, Set: conf.Func(readBlock),
			Doc: "A group of servers under a name."},
		{Name: "server", In: conf.Upstream, Args: conf.OneMore, Set: conf.Func(readServer),
			Syntax: "address [weight=number] [max_conns=number] [max_fails=number] [fail_timeout=time] [backup] [down]",
			Doc:    "A server of the group. After max_fails failures within fail_timeout it is left alone for that long; backup servers are asked when no other is alive."},
		{Name: "keepalive", In: conf.Upstream, Args: conf.Take12, Syntax: "connections", Set: conf.Func(readKeepalive),
			Doc: "The number of idle connections to the group that a worker keeps."},
		{Name: "keepalive_requests", In: conf.Upstream, Default: "1000", Set: conf.Slot(level, conf.Number, func(c *config) *conf.Opt[int] { return &c.requests }),
			Doc: "How many requests one connection may carry."},
		{Name: "keepalive_timeout", In: conf.Upstream, Default: "60s", Set: conf.Slot(level, conf.Msec, func(c *config) *conf.Opt[time.Duration] { return &c.timeout }),
			Doc: "How long a connection may be idle."},
		{Name: "keepalive_time", In: conf.Upstream, Default: "1h", Set: conf.Slot(level, conf.Msec, func(c *config) *conf.Opt[time.Duration] { return &c.time }),
			Doc: "How old a connection may become."},
		{Name: "least_conn", In: conf.Upstream, Args: conf.NoArgs, Set: conf.Func(method(upstream.LeastConn, false)),
			Doc: "Chooses the server with the fewest connections, by weight."},
		{Name: "ip_hash", In: conf.Upstream, Args: conf.NoArgs, Set: conf.Func(method(upstream.IPHash, true)),
			Doc: "Chooses the server by the client's network, so that a client stays with one."},
		{Name: "hash", In: conf.Upstream, Args: conf.Take12, Syntax: "key [consistent]", Set: conf.Func(readHash),
			Doc: "Chooses the server by the hash of a key; consistent lets few keys move when servers come or go."},
		{Name: "random", In: conf.Upstream, Args: conf.NoArgs | conf.Take12, Syntax: "[two [method]]", Set: conf.Func(readRandom),
			Doc: "Chooses a server at random, or of two the one with fewer connections."},
		{Name: "zone", In: conf.Upstream, Args: conf.Take12, Syntax: "name [size]", Set: conf.Func(readZone),
			Doc: "Lets all workers know together how the servers of the group do. The size is checked and otherwise not needed."},
	}},
	Vars:         vars,
	Setup:        setup,
	RetireWorker: relay.Retire,
}

func setup(h *engine.HTTP) error { return relay.Setup(h) }

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
	g.Keepalive = upstream.Keepalive{Max: cf.keepalive.V, Requests: cf.requests.V, Timeout: cf.timeout.V, Time: cf.time.V}
	return nil
}

func readServer(c *conf.Cmd) error {
	g := relay.BlockOf(c.Scope)
	s := upstream.Server{Weight: 1, MaxFails: upstream.DefaultMaxFails, FailTimeout: upstream.DefaultFailTimeout}
	for _, arg := range c.Args[1:] {
		if err := parameter(c, &s, arg); err != nil {
			return err
		}
	}
	u, problem := upstream.ParseURL(c.Args[0], 80, false)
	if problem == "" {
		s.Addrs, problem = u.Resolve()
	}
	if problem != "" {
		return c.Errorf("%s in upstream \"%s\"", problem, c.Args[0])
	}
	s.Name = c.Args[0]
	g.Servers = append(g.Servers, s)
	return nil
}

func parameter(c *conf.Cmd, s *upstream.Server, arg string) error {
	name, val, has := strings.Cut(arg, "=")
	n, err := strconv.Atoi(val)
	number := has && err == nil && n >= 0 && val[0] != '+'
	switch {
	case name == "weight" && number && n > 0:
		s.Weight = n
	case name == "max_conns" && number:
		s.MaxConns = n
	case name == "max_fails" && number:
		s.MaxFails = n
	case name == "fail_timeout" && has:
		d, ok := units.Sec(val)
		if !ok {
			return c.InvalidParameter(arg)
		}
		s.FailTimeout = d
	case arg == "backup":
		if level.Of(c.Scope).noBackup {
			return c.Errorf("balancing method does not support parameter \"%s\"", arg)
		}
		s.Backup = true
	case arg == "down":
		s.Down = true
	default:
		return c.InvalidParameter(arg)
	}
	return nil
}

func readKeepalive(c *conf.Cmd) error {
	cf := level.Of(c.Scope)
	if cf.keepalive.IsSet {
		return c.Duplicate()
	}
	n, err := strconv.Atoi(c.Args[0])
	if err != nil || n <= 0 {
		return c.InvalidIn(c.Args[0], "")
	}
	if len(c.Args) == 2 && c.Args[1] != "local" {
		return c.InvalidParameter(c.Args[1])
	}
	cf.keepalive = conf.Some(n)
	return nil
}

// take makes m the group's method.
func take(c *conf.Cmd, m upstream.Method, noBackup bool) *relay.Group {
	cf := level.Of(c.Scope)
	if cf.method || cf.keepalive.IsSet {
		c.Warnf("load balancing method redefined")
	}
	cf.method, cf.noBackup = true, noBackup
	g := relay.BlockOf(c.Scope)
	g.Method = m
	return g
}

func method(m upstream.Method, noBackup bool) func(c *conf.Cmd) error {
	return func(c *conf.Cmd) error {
		take(c, m, noBackup)
		return nil
	}
}

func readHash(c *conf.Cmd) error {
	t, err := engine.CompileArg(c, c.Args[0])
	if err != nil {
		return err
	}
	m := upstream.Hash
	if len(c.Args) == 2 {
		if c.Args[1] != "consistent" {
			return c.InvalidParameter(c.Args[1])
		}
		m = upstream.ConsistentHash
	}
	take(c, m, true).Key = t
	return nil
}

func readRandom(c *conf.Cmd) error {
	m := upstream.Random
	if len(c.Args) > 0 {
		if c.Args[0] != "two" {
			return c.InvalidParameter(c.Args[0])
		}
		m = upstream.RandomTwo
	}
	if len(c.Args) == 2 && c.Args[1] != "least_conn" {
		return c.InvalidParameter(c.Args[1])
	}
	take(c, m, true)
	return nil
}

func readZone(c *conf.Cmd) error {
	if c.Args[0] == "" {
		return c.Errorf("invalid zone name \"%s\"", c.Args[0])
	}
	if len(c.Args) == 2 {
		if n, ok := units.Size(c.Args[1]); !ok {
			return c.Errorf("invalid zone size \"%s\"", c.Args[1])
		} else if n < 8*4096 {
			return c.Errorf("zone \"%s\" is too small", c.Args[0])
		}
	}
	relay.BlockOf(c.Scope).Zone = true
	return nil
}
