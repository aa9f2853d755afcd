package upstreams

import (
	"strings"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/health"
	"moongate/internal/relay"
)

// Kinds are the protocols of health checks; the first is the default.
var Kinds = []*health.Kind{health.HTTP, health.TCP, health.GRPC}

var checkRows = []conf.Directive{
	{Name: "health_check", In: conf.Upstream, Args: conf.Any, Set: conf.Func(readCheck),
		Syntax: "[http | tcp | grpc] [interval=5s] [timeout=5s] [healthy_threshold=2] [unhealthy_threshold=3] [unhealthy_interval=time] [interval_jitter=time] [port=number] [host=name] [tls] [server_name=name] [path=/] [method=GET] [expected_statuses=200] [send=text] [receive=text] [service=name]",
		Doc:    "Asks every server of the group, once per process, how it is. http sends a request with method, path and host (the group's name) and wants one of the statuses (\"200,204,300-399\"); tcp connects, and where that is said sends a text and wants another; grpc calls grpc.health.v1.Health/Check for the service, or the server as a whole. A server is unhealthy after unhealthy_threshold checks in a row that failed and healthy again after healthy_threshold that did not; unhealthy servers are not asked. With tls the check speaks TLS, port checks another port."},
}

// checksKey is where the checks of a configuration are found, by group.
type checksKey struct{}

type checks map[*relay.Group]*health.Check

func checksOf(h *engine.HTTP) checks {
	m, _ := h.Values[checksKey{}].(checks)
	if m == nil {
		m = checks{}
		h.Values[checksKey{}] = m
	}
	return m
}

func readCheck(c *conf.Cmd) error {
	g := relay.BlockOf(c.Scope)
	all := checksOf(engine.HTTPOf(c))
	if all[g] != nil {
		return c.Duplicate()
	}
	k := &health.Check{Kind: Kinds[0], Interval: health.DefaultInterval, Timeout: health.DefaultTimeout, Healthy: health.DefaultHealthy, Unhealthy: health.DefaultUnhealthy, Host: g.Name}
	args := c.Args
	if len(args) > 0 && !strings.Contains(args[0], "=") && args[0] != "tls" {
		k.Kind = nil
		for _, kind := range Kinds {
			if kind.Name == args[0] {
				k.Kind = kind
			}
		}
		if k.Kind == nil {
			return c.InvalidParameter(args[0])
		}
		args = args[1:]
	}
	k.Kind.New(k)
	for _, arg := range args {
		if !checkParam(k, arg) {
			return c.InvalidParameter(arg)
		}
	}
	all[g] = k
	return nil
}

// checkParam reads a parameter.
func checkParam(k *health.Check, arg string) bool {
	name, val, has := strings.Cut(arg, "=")
	duration := func(d *time.Duration) (ok bool) {
		*d, ok = units.Msec(val)
		return ok && *d > 0
	}
	number := func(i *int, most int64) bool {
		n, ok := units.Number(val)
		*i = int(n)
		return ok && n > 0 && n <= most
	}
	switch {
	case !has && name == "tls":
		k.TLS = true
		return true
	case !has:
		return k.Kind.Param(k, name, "")
	}
	switch name {
	case "interval":
		return duration(&k.Interval)
	case "timeout":
		return duration(&k.Timeout)
	case "unhealthy_interval":
		return duration(&k.UnhealthyInterval)
	case "interval_jitter":
		return duration(&k.Jitter)
	case "healthy_threshold":
		return number(&k.Healthy, 1<<20)
	case "unhealthy_threshold":
		return number(&k.Unhealthy, 1<<20)
	case "port":
		return number(&k.Port, 65535)
	case "host":
		k.Host = val
		return val != "" && !strings.ContainsAny(val, " \r\n")
	case "server_name":
		k.ServerName = val
		return val != ""
	}
	return k.Kind.Param(k, name, val)
}
