package upstreams

import (
	"strings"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/relay"
	"moongate/internal/upstream"
	"moongate/internal/zone"
)

var methodRows = []conf.Directive{
	{Name: "least_conn", In: conf.Upstream, Args: conf.NoArgs, Set: conf.Func(method(upstream.LeastConn, false)),
		Doc: "Chooses the server with the fewest connections, by weight."},
	{Name: "ip_hash", In: conf.Upstream, Args: conf.NoArgs, Set: conf.Func(method(upstream.IPHash, true)),
		Doc: "Chooses the server by the client's network, so that a client stays with one."},
	{Name: "hash", In: conf.Upstream, Args: conf.Take12, Syntax: "key [consistent]", Set: conf.Func(readHash),
		Doc: "Chooses the server by the hash of a key; consistent lets few keys move when servers come or go."},
	{Name: "random", In: conf.Upstream, Args: conf.NoArgs | conf.Take12, Syntax: "[two [least_conn | least_time=header | least_time=last_byte]]", Set: conf.Func(readRandom),
		Doc: "Chooses a server at random, or of two the one with fewer connections or less time to answer."},
	{Name: "least_time", In: conf.Upstream, Args: conf.Take12, Syntax: "header | last_byte [inflight]", Set: conf.Func(readLeastTime),
		Doc: "Chooses the server that is likely to answer first, by the average time to its response heads or to the end of its responses, and its connections. With inflight, requests without an answer count too."},
	{Name: "sticky", In: conf.Upstream, Args: conf.TwoMore, Set: conf.Func(readSticky),
		Syntax: "cookie name [expires=time | expires=max] [domain=domain] [path=path] [httponly] [secure] [samesite=strict|lax|none|$variable] | route $variable ... | learn create=$variable lookup=$variable zone=name:size [timeout=time] [header]",
		Doc:    "Has the requests of a session go to one server: by a cookie that tells the client its server, by a route that a variable has, or by sessions that are learned from responses."},
}

// take makes m the group's method.
func take(c *conf.Cmd, m upstream.Method, noBackup bool) *relay.Group {
	cf := level.Of(c.Scope)
	g := relay.BlockOf(c.Scope)
	if g.Balanced {
		c.Warnf("load balancing method redefined")
		g.Sticky = nil // as in nginx, what stands behind the method sticks
	}
	cf.noBackup, g.Balanced = noBackup, true
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
	if len(c.Args) == 2 {
		switch c.Args[1] {
		case "least_conn":
		case "least_time=header":
			m = upstream.RandomLeastTime
		case "least_time=last_byte":
			m = upstream.RandomLeastTimeLast
		default:
			return c.InvalidParameter(c.Args[1])
		}
	}
	take(c, m, true)
	return nil
}

func readLeastTime(c *conf.Cmd) error {
	g := take(c, upstream.LeastTime, false)
	if len(c.Args) == 2 {
		if c.Args[1] != "inflight" {
			return c.InvalidParameter(c.Args[1])
		}
		g.Inflight = true
	}
	switch c.Args[0] {
	case "header":
	case "last_byte":
		g.Method = upstream.LeastTimeLast
	default:
		return c.InvalidIn(c.Args[0], "")
	}
	return nil
}

func readSticky(c *conf.Cmd) error {
	cf := level.Of(c.Scope)
	if cf.sticky {
		return c.Duplicate()
	}
	cf.sticky = true
	s := &relay.Sticky{Expires: -1}
	g := relay.BlockOf(c.Scope)
	g.Sticky, g.Balanced = s, true
	switch c.Args[0] {
	case "cookie":
		return readCookie(c, s)
	case "route":
		for _, arg := range c.Args[1:] {
			if arg[:min(1, len(arg))] != "$" {
				return c.Errorf("invalid variable name \"%s\"", arg)
			}
			if err := addVariable(c, &s.Lookup, arg); err != nil {
				return err
			}
		}
		return nil
	case "learn":
		return readLearn(c, s)
	}
	return c.Errorf("unknown parameter \"%s\"", c.Args[0])
}

func addVariable(c *conf.Cmd, list *[]*engine.Template, text string) error {
	t, err := engine.CompileArg(c, text)
	if err == nil {
		*list = append(*list, t)
	}
	return err
}

func readCookie(c *conf.Cmd, s *relay.Sticky) (err error) {
	if s.Cookie = c.Args[1]; s.Cookie == "" {
		return c.Bad("empty cookie name")
	}
	for _, arg := range c.Args[2:] {
		name, val, has := strings.Cut(arg, "=")
		again := false
		switch {
		case name == "domain" && has:
			again = s.Domain != nil
			s.Domain, err = engine.CompileArg(c, val)
		case name == "path" && has:
			again = s.Path != ""
			s.Path = "; path=" + val
		case name == "expires" && has:
			again = s.Expires != -1
			if val == "max" {
				s.Expires = relay.Forever
			} else if d, ok := units.Sec(val); ok {
				s.Expires = d
			} else {
				return c.Bad("invalid \"expires\" parameter value")
			}
		case arg == "httponly":
			again = s.HTTPOnly
			s.HTTPOnly = true
		case arg == "secure":
			again = s.Secure
			s.Secure = true
		case name == "samesite" && has:
			again = s.SameSite != nil
			if s.SameSite, err = engine.CompileArg(c, val); err == nil && s.SameSite.IsLiteral() && !relay.KnownSameSite(val) {
				return c.Bad("invalid \"samesite\" parameter value")
			}
		default:
			return c.Errorf("unknown parameter \"%s\"", arg)
		}
		switch {
		case err != nil:
			return err
		case again:
			return c.Bad("parameter \"" + name + "\" is duplicate")
		case val == "" && (name == "domain" || name == "path"):
			return c.Bad("no value for \"" + name + "\"")
		}
	}
	return addVariable(c, &s.Lookup, "${cookie_"+s.Cookie+"}")
}

// sessionTag tells zones of sessions from others.
type sessionTag struct{}

// sessionTimeout is the default of "sticky learn".
const sessionTimeout = 10 * time.Minute

func readLearn(c *conf.Cmd, s *relay.Sticky) (err error) {
	var timeout time.Duration
	var size int64
	zoneName := ""
	for _, arg := range c.Args[1:] {
		name, val, has := strings.Cut(arg, "=")
		switch {
		case name == "zone" && has:
			if zoneName, size, err = sessionZone(c, val, size); err != nil {
				return err
			}
		case name == "timeout" && has:
			if timeout != 0 {
				return c.Bad("duplicate timeout")
			}
			var ok bool
			if timeout, ok = units.Msec(val); !ok || timeout == 0 {
				return c.Bad("invalid timeout")
			}
		case (name == "create" || name == "lookup") && has:
			if !strings.HasPrefix(val, "$") {
				return c.Bad("missing variable in the \"" + name + "\" parameter")
			}
			list := &s.Create
			if name == "lookup" {
				list = &s.Lookup
			}
			if err := addVariable(c, list, val); err != nil {
				return err
			}
		case arg == "header":
			s.AfterHeads = true
		default:
			return c.Errorf("unknown parameter \"%s\"", arg)
		}
	}
	switch {
	case len(s.Lookup) == 0:
		return c.Bad("\"lookup\" parameter is not specified")
	case len(s.Create) == 0:
		return c.Bad("\"create\" parameter is not specified")
	case size == 0:
		return c.Bad("\"zone\" parameter is not specified")
	}
	if timeout == 0 {
		timeout = sessionTimeout
	}
	z, err := zone.Add(c, zoneName, size, sessionTag{})
	if err != nil {
		return err
	}
	if z.Data != nil {
		return c.Errorf("sticky zone \"%s\" is already used in upstream \"%s\"", zoneName, z.Data)
	}
	z.Data = relay.BlockOf(c.Scope).Name
	s.Sessions = relay.OpenSessions(zoneName, size, timeout)
	return nil
}

func sessionZone(c *conf.Cmd, val string, before int64) (name string, size int64, err error) {
	name, text, has := strings.Cut(val, ":")
	size, ok := units.Size(text)
	switch {
	case before != 0:
		err = c.Bad("duplicate zone")
	case !has:
		err = c.Bad("zone size is not specified")
	case name == "":
		err = c.Bad("zone name is not specified")
	case !ok:
		err = c.Bad("invalid zone size")
	case size < minZone:
		err = c.Bad("zone is too small")
	}
	return name, size, err
}
