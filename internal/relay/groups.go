package relay

import (
	"crypto/tls"
	"math"
	"strconv"
	"strings"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/h2client"
	"moongate/internal/resolve"
	"moongate/internal/upstream"
)

// Group is an upstream.Group with what the engine's side knows of it.
type Group struct {
	upstream.Group
	// Key is what the hash method hashes.
	Key *engine.Template
	// Choose, when not nil, chooses the server in place of the group's method (balancer_by_lua).
	Choose Chooser
	// ChosenIdle is how many idle connections are kept for what a Chooser chooses, 0: the default.
	ChosenIdle int
	// Placeholder says that the block has no servers: they are all chosen.
	Placeholder bool
	// Balanced says that a directive of the block has taken the choice of servers: one that takes it again warns.
	Balanced bool
	URL      upstream.URL // of a group that a directive named
	Sticky   *Sticky      // nil: requests stick to no server
	// Resolver finds the addresses of servers that are resolved at run time.
	Resolver        *resolve.Config
	ResolverTimeout time.Duration
}

// Chooser chooses servers by other means than a method of the group.
type Chooser interface {
	// Choose runs before each try. OK: the exchange is to take x.Peer or, when that has no address, the group's
	// method; a status ends the request.
	Choose(x *Exchange) engine.Status
}

// defaultChosenIdle is balancer_keepalive's default.
const defaultChosenIdle = 32

// groups is all groups of an http block.
type groups struct{ list []*Group }

type groupsKey struct{}

func groupsOf(h *engine.HTTP) *groups {
	g, _ := h.Values[groupsKey{}].(*groups)
	if g == nil {
		g = &groups{}
		h.Values[groupsKey{}] = g
	}
	return g
}

// Groups lists the upstream blocks, in the order of the file.
func Groups(h *engine.HTTP) []*Group {
	var out []*Group
	for _, g := range groupsOf(h).list {
		if g.Block {
			out = append(out, g)
		}
	}
	return out
}

// AllGroups lists the upstream blocks and the hosts that directives name.
func AllGroups(h *engine.HTTP) []*Group { return groupsOf(h).list }

// BalancerOf gives a worker's state of a group.
func BalancerOf(h *engine.HTTP, w *engine.Worker, g *Group) *upstream.Balancer {
	return localOf(h, w).balancer(g)
}

// AddBlock makes the group of an upstream block.
func AddBlock(c *conf.Cmd, name string) (*Group, error) {
	gs := groupsOf(engine.HTTPOf(c))
	for _, g := range gs.list {
		if !strings.EqualFold(g.Name, name) {
			continue
		}
		if g.Block {
			return nil, c.Errorf("duplicate upstream \"%s\"", name)
		}
		if !g.NoPort {
			return nil, &conf.Error{Level: "emerg", Msg: "upstream \"" + name + "\" may not have port " + g.URL.PortText, File: g.File, Line: g.Line}
		}
		g.Block, g.Port = true, 0
		g.File, g.Line = c.File, c.Line
		return g, nil
	}
	g := &Group{Group: upstream.Group{Name: name, Block: true, NoPort: true, File: c.File, Line: c.Line, Index: len(gs.list)}}
	gs.list = append(gs.list, g)
	return g, nil
}

// Add finds or makes the group that a directive's address names; u.Text is the address without scheme.
func Add(c *conf.Cmd, u upstream.URL) (*Group, error) {
	gs := groupsOf(engine.HTTPOf(c))
	for _, g := range gs.list {
		if !strings.EqualFold(g.Name, u.Host) {
			continue
		}
		if g.Block && !u.NoPort && !u.Unix {
			return nil, c.Errorf("upstream \"%s\" may not have port %d", u.Host, u.Port)
		}
		if !g.Block && g.Port != 0 && u.Port != 0 && g.Port != u.Port {
			continue
		}
		return g, nil
	}
	g := &Group{Group: upstream.Group{Name: u.Host, Port: u.Port, NoPort: u.NoPort, File: c.File, Line: c.Line, Index: len(gs.list)}, URL: u}
	gs.list = append(gs.list, g)
	return g, nil
}

// Setup resolves the hosts that directives name and makes all groups ready. The module of upstream blocks calls it.
func Setup(h *engine.HTTP) error {
	for _, g := range groupsOf(h).list {
		if !g.Block {
			if g.Port == 0 && !g.URL.Unix {
				return g.errorf("no port in upstream \"" + g.Name + "\"")
			}
			addrs, problem := g.URL.Resolve()
			if problem != "" {
				return g.errorf(problem + " in upstream \"" + g.Name + "\"")
			}
			g.Implicit(addrs)
		}
		g.Init()
		if g.ChosenIdle == 0 {
			g.ChosenIdle = defaultChosenIdle
		}
		if err := g.checkServers(); err != nil {
			return err
		}
	}
	return nil
}

// checkServers reports what is wrong with the servers all together.
func (g *Group) checkServers() error {
	resolves, main := false, false
	for i := range g.Servers {
		s := &g.Servers[i]
		resolves = resolves || s.Host != ""
		main = main || !s.Backup
	}
	switch {
	case resolves && !g.Zone:
		return &conf.Error{Level: "emerg", Msg: "resolving names at run time requires upstream \"" + g.Name + "\" in " + g.File + ":" + strconv.Itoa(g.Line) + " to be in shared memory"}
	case resolves && (g.Resolver == nil || len(g.Resolver.Servers) == 0):
		return g.errorf("no resolver defined to resolve names at run time in upstream \"" + g.Name + "\"")
	case !main:
		return g.errorf("no servers in upstream \"" + g.Name + "\"")
	}
	return nil
}

func (g *Group) errorf(msg string) error {
	return &conf.Error{Level: "emerg", Msg: msg, File: g.File, Line: g.Line}
}

// find gives the group that a run-time address names, nil when none does.
func (gs *groups) find(u *upstream.URL) *Group {
	for _, g := range gs.list {
		if len(g.Name) == len(u.Host) && (g.Port == 0 && u.NoPort || g.Port == u.Port) && strings.EqualFold(g.Name, u.Host) {
			return g
		}
	}
	return nil
}

// local is what a worker has of the groups of one snapshot.
type local struct {
	worker    int
	closed    func(c *upstream.Conn) // see Idle.Closed
	balancers []*upstream.Balancer
	// named has balancers of addresses that were named at run time.
	named map[string]*upstream.Balancer
	// addrs has addresses that Choosers gave as text.
	addrs map[string]upstream.Addr
	// keys has the keys of idle connections with TLS, sessions what can be resumed, by the same keys.
	keys     map[string]string
	sessions map[string]*tls.ClientSessionState
	key      []byte // room to make a key
	// muxes has connections that carry many requests, two pools for each group: see muxPool.
	muxes  []*h2client.Pool
	single *h2client.Pool
}

var (
	localSlot  = engine.NewWorkerSlot() // per snapshot
	workerSlot = engine.NewWorkerSlot()
)

func localOf(h *engine.HTTP, w *engine.Worker) *local {
	l, _ := h.Local(w, localSlot).(*local)
	if l == nil {
		l = &local{worker: w.ID, closed: traceClosed(w), balancers: make([]*upstream.Balancer, len(groupsOf(h).list)), named: map[string]*upstream.Balancer{}, addrs: map[string]upstream.Addr{},
			keys: map[string]string{}, sessions: map[string]*tls.ClientSessionState{}}
		h.SetLocal(w, localSlot, l)
	}
	return l
}

func (l *local) balancer(g *Group) *upstream.Balancer {
	b := l.balancers[g.Index]
	if b == nil {
		b = upstream.NewBalancer(&g.Group, l.worker)
		b.Chosen.SetConf(&upstream.Keepalive{Max: g.ChosenIdle, Time: math.MaxInt64})
		b.Chosen.Closed = l.closed
		l.balancers[g.Index] = b
	}
	return b
}

// maxNamed bounds the balancers a worker keeps for addresses named at run time.
const maxNamed = 1024

// at gives the balancer of one address named at run time.
func (l *local) at(a upstream.Addr) *upstream.Balancer {
	if b := l.named[a.Name]; b != nil {
		return b
	}
	if len(l.named) >= maxNamed {
		clear(l.named)
	}
	b := adHoc(a.Name, []upstream.Addr{a}, l.worker)
	l.named[a.Name] = b
	return b
}

// adHoc makes a balancer of addresses that no group has.
func adHoc(name string, addrs []upstream.Addr, worker int) *upstream.Balancer {
	g := &upstream.Group{Name: name}
	g.Implicit(addrs)
	g.Init()
	return upstream.NewBalancer(g, worker)
}

// Retire closes the idle connections of a snapshot that the worker does not use any more.
func Retire(w *engine.Worker, h *engine.HTTP) {
	if l, _ := h.Local(w, localSlot).(*local); l != nil {
		for _, b := range l.balancers {
			if b != nil {
				b.Idle.CloseAll()
				b.Chosen.CloseAll()
			}
		}
		for _, p := range l.muxes {
			if p != nil {
				p.CloseAll()
			}
		}
	}
}

// block is what an upstream block's scope has.
type block struct{ g *Group }

var blockLevel = conf.NewLevel[block](conf.KindUpstream)

// BlockOf gives the group of the upstream block that a directive stands in.
func BlockOf(s *conf.Scope) *Group { return blockLevel.Of(s).g }

// SetBlock makes g the group of an upstream block's scope.
func SetBlock(s *conf.Scope, g *Group) { blockLevel.Of(s).g = g }

// Address reads the text of an address and a port, 0 for none, as Choosers give them. problem is "" when it is fine.
func (x *Exchange) Address(text []byte, port int) (a upstream.Addr, problem string) {
	l := localOf(x.R.H, x.w)
	l.key = strconv.AppendInt(append(append(l.key[:0], text...), ' '), int64(port), 10)
	if a, ok := l.addrs[string(l.key)]; ok {
		return a, ""
	}
	u, problem := upstream.ParseURL(string(text), port, false)
	switch {
	case problem != "":
		return a, problem
	case !u.IsAddr():
		return a, "no host allowed"
	}
	if len(l.addrs) >= maxNamed {
		clear(l.addrs)
	}
	l.addrs[string(l.key)] = u.Addr
	return u.Addr, ""
}

// BindTo makes text the local address of new connections; false: it is none.
func (x *Exchange) BindTo(text string) bool {
	sa := parseAddr(text)
	if sa == nil {
		return false
	}
	x.Peer.Local, x.Peer.LocalText = sa, text
	return true
}

// SetMoreTries lets n further tries follow this one. It reports whether the location's limit allows all of them.
func (x *Exchange) SetMoreTries(n int) bool {
	full := true
	if most := x.Conf.NextTries.V; most > 0 {
		if total := x.tries + x.choice.Tries - 1; total+n > most {
			n, full = most-total, false
		}
	}
	x.more = n
	return full
}

// FullName is the name of the group, with the port that a directive gave.
func (g *Group) FullName() string {
	if g.Port != 0 {
		return g.Name + ":" + strconv.Itoa(g.Port)
	}
	return g.Name
}

// IdleOf counts a worker's idle connections by group, in the order of AllGroups.
func IdleOf(h *engine.HTTP, w *engine.Worker) []int {
	l, _ := h.Local(w, localSlot).(*local)
	if l == nil {
		return nil
	}
	out := make([]int, len(l.balancers))
	for i, b := range l.balancers {
		if b != nil {
			out[i] = b.Idle.Len() + b.Chosen.Len()
		}
	}
	return out
}
