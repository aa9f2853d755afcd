// Package upstream is the module ngx.upstream: what the groups of servers are, how they do, and which are down.
//
// As with nginx, what it tells of the peers of a group without a zone is what the calling worker knows, and set_peer_down is
// for that worker only.
package upstream

import (
	"bytes"
	"strconv"
	"time"

	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

// Library declares the module.
var Library = lua.Library{
	Name: "upstream", Doc: "The module ngx.upstream: groups of servers and their state.",
	Funcs:   []*lua.Func{getUpstreams, getServers, getPrimary, getBackup, setPeerDown, currentName},
	Modules: []lua.Module{{Name: "ngx.upstream", Table: "package.loaded.moongate_upstream"}},
}

const prefix = "package.loaded.moongate_upstream."

const oneArgument = "exactly one argument expected"

// where is the worker and the configuration that the caller sees.
func where(c *lua.Call) (*engine.Worker, *engine.HTTP) {
	if r := luahost.Request(c); r != nil {
		return r.W, r.H
	}
	lw := c.VM().Data.(*luahost.Worker)
	return lw.W, lw.H
}

// find gives the group of a name, with or without the port that a directive gave.
func find(h *engine.HTTP, name []byte) *relay.Group {
	all := relay.AllGroups(h)
	for _, g := range all {
		if g.Name == string(name) {
			return g
		}
	}
	host, port, has := bytes.Cut(name, []byte{':'})
	n, err := strconv.ParseUint(string(port), 10, 16)
	if !has || err != nil || n == 0 {
		return nil
	}
	for _, g := range all {
		if g.Port == int(n) && g.Name == string(host) {
			return g
		}
	}
	return nil
}

// caller is a call about a group, and where it comes from.
type caller struct {
	*lua.Call
	worker *engine.Worker
	http   *engine.HTTP
	group  *relay.Group
}

// about is a function of n arguments, the first of which names a group; text says so when there are not as many.
func about(n int, text string, run func(c *caller) lua.Outcome) func(*lua.Call) lua.Outcome {
	return func(call *lua.Call) lua.Outcome {
		if call.NArgs() != n {
			return call.Errorf("%s", text)
		}
		if call.Type(1) != lua.Str && call.Type(1) != lua.Number {
			return call.TypeError(1, "string")
		}
		c := &caller{Call: call}
		c.worker, c.http = where(call)
		if c.group = find(c.http, call.Str(1)); c.group == nil {
			return call.ReturnNilErr("upstream not found")
		}
		return run(c)
	}
}

var getUpstreams = &lua.Func{
	Name: prefix + "get_upstreams", Sig: "... -> names",
	Doc: "The names of the groups, those included that proxy_pass and its like make of a host.",
	Run: func(c *lua.Call) lua.Outcome {
		if c.NArgs() != 0 {
			return c.Errorf("no argument expected")
		}
		_, h := where(c)
		all := relay.AllGroups(h)
		w := c.Push()
		w.Begin(len(all), 0)
		for i, g := range all {
			w.KeyInt(i + 1)
			w.String(g.FullName())
		}
		w.End()
		return c.Return()
	},
}

var getServers = &lua.Func{
	Name: prefix + "get_servers", Sig: "... -> servers, err",
	Doc: "The servers of a group as configured: addr (a string, or a table when the name has several addresses), name, weight, max_fails, fail_timeout, backup and down.",
	Run: about(1, oneArgument, func(c *caller) lua.Outcome {
		g, w := c.group, c.Push()
		w.Begin(len(g.Servers), 0)
		for i := range g.Servers {
			if g.Placeholder || !g.Block && !g.URL.IsAddr() {
				break
			}
			w.KeyInt(i + 1)
			putServer(w, &g.Servers[i], g.Block)
		}
		w.End()
		return c.Return()
	}),
}

func putServer(w *lua.Writer, s *upstream.Server, named bool) {
	w.Begin(0, 7)
	if named {
		w.SetString("name", s.Name)
	}
	w.Key("addr")
	switch {
	case s.Host != "":
		w.String(s.Name)
	case len(s.Addrs) == 1:
		w.String(s.Addrs[0].Name)
	default:
		w.Begin(len(s.Addrs), 0)
		for i, a := range s.Addrs {
			w.KeyInt(i + 1)
			w.String(a.Name)
		}
		w.End()
	}
	if !named { // as with nginx, which does not fill them in
		s = &upstream.Server{}
	}
	w.SetInt("weight", s.Weight)
	w.SetInt("max_fails", s.MaxFails)
	w.SetInt("fail_timeout", int(s.FailTimeout/time.Second))
	if s.Backup {
		w.SetBool("backup", true)
	}
	if s.Down {
		w.SetBool("down", true)
	}
	w.End()
}

const peerDoc = "id, name, weight, current_weight, effective_weight, conns, fails, max_fails, fail_timeout, and where there is one accessed, checked and down."

var getPrimary = &lua.Func{
	Name: prefix + "get_primary_peers", Sig: "... -> peers, err",
	Doc: "The peers of a group that are no backups: " + peerDoc,
	Run: about(1, oneArgument, func(c *caller) lua.Outcome { return peers(c, false) }),
}

var getBackup = &lua.Func{
	Name: prefix + "get_backup_peers", Sig: "... -> peers, err",
	Doc: "The backups of a group: " + peerDoc,
	Run: about(1, oneArgument, func(c *caller) lua.Outcome { return peers(c, true) }),
}

func peers(c *caller, backup bool) lua.Outcome {
	now, wall := c.worker.Loop.Now()/1e9, c.worker.Loop.Wall()/1e9
	list := relay.BalancerOf(c.http, c.worker, c.group).Info(backup)
	w := c.Push()
	w.Begin(len(list), 0)
	for i := range list {
		p := &list[i]
		w.KeyInt(i + 1)
		w.Begin(0, 12)
		w.SetInt("id", i)
		w.SetString("name", p.Name)
		w.SetInt("weight", p.Weight)
		w.SetInt("current_weight", p.Current)
		w.SetInt("effective_weight", p.Effective)
		w.SetInt("conns", int(p.Conns))
		w.SetInt("fails", int(p.Fails))
		w.SetInt("max_fails", p.MaxFails)
		w.SetInt("fail_timeout", int(p.FailTimeout/1e9))
		if p.Accessed >= 0 {
			w.SetInt("accessed", int(wall-now+p.Accessed))
		}
		if p.Checked >= 0 {
			w.SetInt("checked", int(wall-now+p.Checked))
		}
		if p.Down {
			w.SetBool("down", true)
		}
		w.End()
	}
	w.End()
	return c.Return()
}

var setPeerDown = &lua.Func{
	Name: prefix + "set_peer_down", Sig: "... -> ok, err",
	Doc: "Takes the group's name, whether a backup is meant, the id of a peer and whether it is down: then it is not asked. In a group with a zone that counts for all workers.",
	Run: about(4, "exactly 4 arguments expected", func(c *caller) lua.Outcome {
		backup := truth(c.Call, 2)
		if backup && len(c.group.Peers().Backup) == 0 {
			return c.ReturnNilErr("no backup peers")
		}
		if !c.IsNumber(3) {
			return c.TypeError(3, "number")
		}
		if !relay.BalancerOf(c.http, c.worker, c.group).SetDown(backup, c.Int(3), truth(c.Call, 4)) {
			return c.ReturnNilErr("bad peer id")
		}
		return c.ReturnBool(true)
	}),
}

// truth is Lua's: everything but nil and false.
func truth(c *lua.Call, i int) bool { return !c.IsNil(i) && (c.Type(i) != lua.Bool || c.Bool(i)) }

var currentName = &lua.Func{
	Name: prefix + "current_upstream_name", Sig: "-> name",
	Doc: "The group that the request is passed to, with the port that the directive gave; nil when it is passed to none.",
	Run: func(c *lua.Call) lua.Outcome {
		r := luahost.Request(c)
		if r == nil {
			return c.Errorf("no request object found")
		}
		x := relay.Of(r)
		switch {
		case x == nil:
			return c.ReturnNil()
		case x.Group != nil:
			return c.ReturnString(x.Group.FullName())
		}
		return c.Errorf("no srv conf for upstream")
	},
}
