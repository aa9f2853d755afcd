package core

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/plane"
)

// Events has the rows of events{} and the block itself.
var Events = conf.Module{Name: "events", Directives: []conf.Directive{
	{Name: "events", Syntax: "{ ... }", In: conf.Main, Args: conf.NoArgs | conf.Block, Set: fn(setEvents),
		Doc: "Holds the directives on how connections are handled. A configuration must have it."},
	{Name: "worker_connections", Syntax: "number", In: conf.Events, Default: "512", Args: conf.Take1, Set: fn(setConnections),
		Doc: "Most connections a worker may have open at a time, those to upstreams included."},
	{Name: "use", Syntax: "method", In: conf.Events, Args: conf.Take1, Set: fn(setUse),
		Doc: "Event method: `epoll`, `poll` or `select`. Accepted; the system's best is used."},
	{Name: "multi_accept", In: conf.Events, Default: "off",
		Set: slot(conf.Flag, func(c *Config) *conf.Opt[bool] { return &c.MultiAccept }),
		Doc: "Lets a worker accept all waiting connections at a time."},
	{Name: "accept_mutex", In: conf.Events, Default: "off",
		Set: slot(conf.Flag, func(c *Config) *conf.Opt[bool] { return &c.AcceptMutex }),
		Doc: "Accepted; the kernel wakes one worker for a connection."},
	{Name: "accept_mutex_delay", In: conf.Events, Default: "500ms",
		Set: slot(conf.Msec, func(c *Config) *conf.Opt[time.Duration] { return &c.AcceptDelay }),
		Doc: "Accepted; see `accept_mutex`."},
	{Name: "debug_connection", Syntax: "address | CIDR | unix:", In: conf.Events, Args: conf.Take1, Set: fn(setDebugConnection),
		Doc: "Logs debug lines for connections of these clients, whatever the level of their `error_log`."},
	{Name: "epoll_events", In: conf.Events, Default: "512",
		Set: slot(conf.Number, func(c *Config) *conf.Opt[int] { return &c.EpollEvents }),
		Doc: "Accepted; the number of events fetched at a time is fixed."},
	{Name: "worker_aio_requests", In: conf.Events, Default: "32", Since: "1.1.4, 1.0.7",
		Set: slot(conf.Number, func(c *Config) *conf.Opt[int] { return &c.AIORequests }),
		Doc: "Accepted; files are read without kernel aio."},
	foreign("devpoll_changes"), foreign("devpoll_events"), foreign("eventport_events"), foreign("iocp_threads"),
	foreign("post_acceptex"), foreign("acceptex_read"), foreign("kqueue_changes"), foreign("kqueue_events"),
}}

// foreign is a row of another system's event method.
func foreign(name string) conf.Directive {
	return conf.Directive{Name: name, Syntax: "value", In: conf.Events, Args: conf.Take1, Set: conf.Ignore(),
		Doc: "Accepted; concerns another operating system."}
}

func setEvents(c *conf.Cmd, t *Config) error {
	if t.eventsSeen {
		return c.Duplicate()
	}
	t.eventsSeen = true
	return c.Block(conf.Events, c.Scope)
}

func setConnections(c *conf.Cmd, t *Config) error {
	if t.connSet {
		return c.Duplicate()
	}
	n, ok := units.Number(c.Args[0])
	if !ok {
		return c.Errorf("invalid number \"%s\"", c.Args[0])
	}
	t.connSet, t.Connections = true, int(n)
	return nil
}

func setUse(c *conf.Cmd, t *Config) error {
	if t.Use != "" {
		return c.Duplicate()
	}
	if !slices.Contains([]string{"epoll", "poll", "select"}, c.Args[0]) {
		return c.Errorf("invalid event type \"%s\"", c.Args[0])
	}
	t.Use = c.Args[0]
	return nil
}

func setDebugConnection(c *conf.Cmd, t *Config) error {
	arg := c.Args[0]
	if arg == "unix:" {
		t.DebugConn = append(t.DebugConn, plane.DebugNet{Unix: true})
		return nil
	}
	if p, ok := parseCIDR(arg); ok {
		if p != p.Masked() {
			c.Warnf("low address bits of %s are meaningless", arg)
		}
		t.DebugConn = append(t.DebugConn, plane.DebugNet{Net: p.Masked()})
		return nil
	}
	ips, err := net.LookupIP(arg)
	if err != nil || len(ips) == 0 {
		return c.Errorf("host not found in debug_connection \"%s\"", arg)
	}
	for _, ip := range ips {
		a, _ := netip.AddrFromSlice(ip)
		a = a.Unmap()
		t.DebugConn = append(t.DebugConn, plane.DebugNet{Net: netip.PrefixFrom(a, a.BitLen())})
	}
	return nil
}

func parseCIDR(s string) (netip.Prefix, bool) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p, err == nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// complete is what nginx checks once everything is read.
func complete(t *Config, s *conf.Scope) error {
	if n, m := len(t.Affinity), t.Workers; !t.AffinityAuto && n > 1 && n != m {
		s.Warnf(`the number of "worker_processes" is not equal to the number of "worker_cpu_affinity" masks, using last mask for remaining worker processes`)
	}
	if err := t.defaultUser(); err != nil {
		return err
	}
	if !t.eventsSeen && !s.Config().Partial() {
		return s.Errorf(`no "events" section in configuration`)
	}
	return nil
}
