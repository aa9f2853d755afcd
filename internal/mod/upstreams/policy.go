package upstreams

import (
	"strings"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

// These directives are not nginx's. Their names, and the defaults, are those of Envoy's clusters.
var policyRows = []conf.Directive{
	{Name: "outlier_detection", In: conf.Upstream, Args: conf.Any, Set: conf.Func(readOutlier),
		Syntax: "[consecutive_5xx=5] [consecutive_gateway_failure=0] [interval=10s] [base_ejection_time=30s] [max_ejection_time=300s] [max_ejection_percent=10] [success_rate_minimum_hosts=5] [success_rate_request_volume=100] [success_rate_stdev_factor=1900]",
		Doc:    "Ejects a server for what its answers are like: so many 5xx in a row; so many gateway failures (502, 503, 504 or none at all) in a row; a success rate so far below the others', once enough servers had enough requests in an interval. 0 turns a rule off. An ejection lasts base_ejection_time times the number of ejections, which falls again with each good interval; at most max_ejection_percent of the servers are ejected at a time, and always one may be."},
	{Name: "circuit_breaker", In: conf.Upstream, Args: conf.OneMore, Set: conf.Func(readBreaker),
		Syntax: "[max_connections=number] [max_pending_requests=1024] [max_requests=number] [max_retries=number] [retry_budget=percent] [min_retry_concurrency=3]",
		Doc:    "Bounds what all workers together ask of the group: requests that hold a connection, requests that wait for one (no longer than connecting may take), requests at all, retries, and retries as a share of the requests under way. What is beyond is answered with 503; a retry that is not allowed leaves the failure as it is."},
	{Name: "retry_policy", In: conf.Upstream, Args: conf.OneMore, Set: conf.Func(readRetry),
		Syntax: "[num_retries=number] [base_interval=time] [max_interval=time]",
		Doc:    "How requests go to the next server, where the next_upstream directive lets them: num_retries allows that many retries whatever the number of servers, with another turn when all were asked; before retry n passes a random time of at most base_interval times 2 to the power of n-1, and max_interval (ten times base_interval)."},
	{Name: "panic_threshold", In: conf.Upstream, Default: "50", Syntax: "percent", Set: conf.Slot(level, conf.Int(0, 100), func(c *config) *conf.Opt[int] { return &c.panic }),
		Doc: "When less than this share of the servers, and no backup, is neither unhealthy nor ejected, all are asked as if they were well: better many than the last few. 0 never does that."},
}

// params reads parameters of the form name=value into variables.
type params struct {
	c    *conf.Cmd
	ints map[string]*int
	durs map[string]*time.Duration
}

func (p params) read(args []string) error {
	for _, arg := range args {
		name, val, has := strings.Cut(arg, "=")
		if i := p.ints[name]; i != nil && has {
			if strings.HasSuffix(name, "percent") || name == "retry_budget" {
				val = strings.TrimSuffix(val, "%")
			}
			n, ok := units.Number(val)
			if !ok {
				return p.c.InvalidParameter(arg)
			}
			*i = int(n)
			continue
		}
		d := p.durs[name]
		if d == nil || !has {
			return p.c.InvalidParameter(arg)
		}
		v, ok := units.Msec(val)
		if !ok || v == 0 {
			return p.c.InvalidParameter(arg)
		}
		*d = v
	}
	return nil
}

func readOutlier(c *conf.Cmd) error {
	g := relay.BlockOf(c.Scope)
	if g.Outlier != nil {
		return c.Duplicate()
	}
	o := upstream.DefaultOutlier
	g.Outlier = &o
	return params{c, map[string]*int{
		"consecutive_5xx": &o.Consecutive5xx, "consecutive_gateway_failure": &o.ConsecutiveGateway, "max_ejection_percent": &o.MaxPercent,
		"success_rate_minimum_hosts": &o.MinHosts, "success_rate_request_volume": &o.RequestVolume, "success_rate_stdev_factor": &o.StdevFactor,
	}, map[string]*time.Duration{
		"interval": &o.Interval, "base_ejection_time": &o.BaseEjection, "max_ejection_time": &o.MaxEjection,
	}}.read(c.Args)
}

func readBreaker(c *conf.Cmd) error {
	cf, b := level.Of(c.Scope), &relay.BlockOf(c.Scope).Breaker
	if cf.breaker {
		return c.Duplicate()
	}
	cf.breaker = true
	*b = upstream.Breaker{MaxPending: upstream.DefaultMaxPending, MinRetries: upstream.DefaultMinRetries}
	return params{c, map[string]*int{
		"max_connections": &b.MaxConnections, "max_pending_requests": &b.MaxPending, "max_requests": &b.MaxRequests, "max_retries": &b.MaxRetries,
		"retry_budget": &b.Budget, "min_retry_concurrency": &b.MinRetries,
	}, nil}.read(c.Args)
}

// retryFactor is the default of max_interval, times base_interval.
const retryFactor = 10

func readRetry(c *conf.Cmd) error {
	cf, r := level.Of(c.Scope), &relay.BlockOf(c.Scope).Retry
	if cf.retry {
		return c.Duplicate()
	}
	cf.retry = true
	err := params{c, map[string]*int{"num_retries": &r.Num}, map[string]*time.Duration{"base_interval": &r.Base, "max_interval": &r.Max}}.read(c.Args)
	if r.Max == 0 {
		r.Max = retryFactor * r.Base
	}
	return err
}
