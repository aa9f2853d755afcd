package upstreams

import (
	"strings"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

// maxRoute is the longest route a server may have.
const maxRoute = 32

func readServer(c *conf.Cmd) error {
	g := relay.BlockOf(c.Scope)
	s := upstream.Server{Weight: 1, MaxFails: upstream.DefaultMaxFails, FailTimeout: upstream.DefaultFailTimeout}
	resolves := false
	for _, arg := range c.Args[1:] {
		if arg == "resolve" {
			resolves = true
		} else if err := parameter(c, &s, arg); err != nil {
			return err
		}
	}
	name := c.Args[0]
	if s.Service != "" && !resolves {
		return c.Errorf("service upstream \"%s\" requires \"resolve\" parameter", name)
	}
	u, problem := upstream.ParseURL(name, 80, false)
	if problem == "" && !resolves {
		s.Addrs, problem = u.Resolve()
	}
	switch {
	case problem != "":
		return c.Errorf("%s in upstream \"%s\"", problem, name)
	case s.Service != "" && !u.NoPort:
		return c.Errorf("service upstream \"%s\" may not have port", name)
	case s.Service != "" && u.IsAddr():
		return c.Errorf("service upstream \"%s\" requires domain name", name)
	case resolves && u.IsAddr():
		s.Addrs = []upstream.Addr{u.Addr}
	case resolves:
		s.Host, s.Port = u.Host, u.Port
	}
	s.Name = name
	g.Servers = append(g.Servers, s)
	return nil
}

// parameter reads one of a server's parameters.
func parameter(c *conf.Cmd, s *upstream.Server, arg string) error {
	name, val, has := strings.Cut(arg, "=")
	n, number := units.Number(val)
	number = number && has
	ok := true
	switch {
	case name == "weight" && has:
		s.Weight, ok = int(n), number && n > 0
	case name == "max_conns" && has:
		s.MaxConns, ok = int(n), number
	case name == "max_fails" && has:
		s.MaxFails, ok = int(n), number
	case name == "fail_timeout" && has:
		s.FailTimeout, ok = units.Sec(val)
	case name == "slow_start" && has:
		if level.Of(c.Scope).noBackup {
			return notSupported(c, arg)
		}
		s.SlowStart, ok = units.Msec(val)
	case arg == "backup":
		if level.Of(c.Scope).noBackup {
			return notSupported(c, arg)
		}
		s.Backup = true
	case arg == "down":
		s.Down, s.Drain = true, false
	case arg == "drain":
		s.Down, s.Drain = false, true
	case name == "route" && has:
		switch s.Route = val; {
		case val == "":
			return c.Errorf("route is empty")
		case len(val) > maxRoute:
			return c.Errorf("route is longer than %d", maxRoute)
		}
	case name == "service" && has:
		if s.Service = val; val == "" {
			return c.Errorf("service is empty")
		}
	default:
		ok = false
	}
	if !ok {
		return c.InvalidParameter(arg)
	}
	return nil
}

func notSupported(c *conf.Cmd, arg string) error {
	return c.Errorf("balancing method does not support parameter \"%s\"", arg)
}
