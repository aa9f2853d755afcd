// Package access lets clients in by their addresses: allow, deny.
//
// Rules are tried in the order of the file; the first that fits the client's address decides. Without a fitting rule
// the request goes on.
package access

import (
	"net/netip"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
)

// config holds a level's rules by family, as nginx does: IPv4 rules also judge IPv4 clients of IPv6 sockets. Rules are
// inherited as a whole.
type config struct {
	v4, v6, unix []rule
}

type rule struct {
	net  netip.Prefix // invalid: everything
	deny bool
}

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(inherit)

// Module is the access module.
var Module = engine.Module{
	Module: conf.Module{Name: "access", Directives: []conf.Directive{
		{Name: "allow", Syntax: "address | CIDR | unix: | all", In: conf.HTTPServerLocation | conf.LimitExcept, Args: conf.Take1, Set: conf.Func(readRule),
			Doc: "Lets in clients of an address, a network, of unix sockets, or all."},
		{Name: "deny", Syntax: "address | CIDR | unix: | all", In: conf.HTTPServerLocation | conf.LimitExcept, Args: conf.Take1, Set: conf.Func(readRule),
			Doc: "Refuses clients of an address, a network, of unix sockets, or all, with 403."},
	}},
	Steps: []engine.Step{{Phase: engine.Access, Active: hasRules, Run: check}},
}

func (c *config) empty() bool { return c.v4 == nil && c.v6 == nil && c.unix == nil }

func hasRules(s *conf.Scope) bool { return !loc.Of(s).empty() }

func inherit(parent, child *config, _ *conf.Scope) error {
	if child.empty() {
		*child = *parent
	}
	return nil
}

func readRule(c *conf.Cmd) error {
	lc := loc.Of(c.Scope)
	r := rule{deny: c.Name == "deny"}
	word := c.Args[0]
	switch word {
	case "all":
		lc.v4, lc.v6, lc.unix = append(lc.v4, r), append(lc.v6, r), append(lc.unix, r)
		return nil
	case "unix:":
		lc.unix = append(lc.unix, r)
		return nil
	}
	net, ok := engine.ParseNet(word)
	if !ok {
		return c.InvalidParameter(word)
	}
	if net != net.Masked() {
		c.Warnf("low address bits of %s are meaningless", word)
	}
	r.net = net.Masked()
	if net.Addr().Is4() {
		lc.v4 = append(lc.v4, r)
	} else {
		lc.v6 = append(lc.v6, r)
	}
	return nil
}

func check(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	client := r.Client()
	ip := client.IP.Addr()
	rules := c.v6
	switch {
	case client.Unix:
		rules = c.unix
	case ip.Is4():
		rules = c.v4
	case ip.Is4In6() && c.v4 != nil:
		ip, rules = ip.Unmap(), c.v4
	}
	for i := range rules {
		if n := rules[i].net; n.IsValid() && !n.Contains(ip) {
			continue
		}
		if !rules[i].deny {
			return engine.OK
		}
		if r.Core().Satisfy.V == engine.SatisfyAll {
			r.Logf(nlog.Error, "access forbidden by rule")
		}
		return 403
	}
	return engine.Declined
}
