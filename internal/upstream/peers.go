package upstream

import (
	"crypto/md5"
	"encoding/hex"
	"slices"
	"syscall"
)

// Peers is the servers of a group at a moment.
type Peers struct {
	Main, Backup []*Peer
	points       []point
	slow         bool // some server has a slow start
}

// Peers gives the servers as they are now.
func (g *Group) Peers() *Peers { return g.live.Load() }

// Init makes the peers once all servers are known. What an earlier configuration knew of a group of this name and its
// servers is taken on.
func (g *Group) Init() {
	g.shared = sharedOf(g)
	var main, backup []*Peer
	for i := range g.Servers {
		s := &g.Servers[i]
		if s.Host != "" {
			continue
		}
		for _, a := range s.Addrs {
			if s.Backup {
				backup = append(backup, newPeer(s, a, s.Name, s.Weight, true))
			} else {
				main = append(main, newPeer(s, a, s.Name, s.Weight, false))
			}
		}
	}
	for i := range g.Servers {
		s := &g.Servers[i]
		if s.Host == "" {
			continue
		}
		for _, f := range g.shared.resolved(s) {
			p := s.peerOf(&f)
			if p.Backup {
				backup = append(backup, p)
			} else {
				main = append(main, p)
			}
		}
	}
	g.install(main, backup)
}

func newPeer(s *Server, a Addr, name string, weight int, backup bool) *Peer {
	p := &Peer{Addr: a, Server: name, Weight: weight, MaxConns: s.MaxConns, MaxFails: s.MaxFails, FailTimeout: int64(s.FailTimeout), SlowStart: int64(s.SlowStart),
		Down: s.Down, Drain: s.Drain, Backup: backup, SID: s.Route}
	if p.SID == "" {
		sum := md5.Sum([]byte(a.Name))
		p.SID = hex.EncodeToString(sum[:])
	}
	return p
}

// install makes these the group's servers.
func (g *Group) install(main, backup []*Peer) {
	ps := &Peers{Main: main, Backup: backup}
	g.shared.attach(ps)
	for _, list := range [][]*Peer{main, backup} {
		for _, p := range list {
			ps.slow = ps.slow || p.SlowStart > 0
		}
	}
	if g.Method == ConsistentHash {
		ps.points = makePoints(ps.Main)
	}
	g.live.Store(ps)
	g.Assess()
}

// Found is an address that the name of a server was resolved to.
type Found struct {
	Addr   Addr
	Name   string // of the host, for services
	Weight int    // for services
	Backup bool   // of lower priority, for services
}

// peerOf makes the peer of an address of a server that is resolved.
func (s *Server) peerOf(f *Found) *Peer {
	name, weight := s.Name, s.Weight
	if s.Service != "" {
		name = f.Name
		if weight == 1 {
			weight = f.Weight
		}
	}
	p := newPeer(s, f.Addr, name, weight, s.Backup || f.Backup)
	p.of = s
	return p
}

// same reports whether p is what f asks for.
func (p *Peer) same(s *Server, f *Found) bool {
	if p.Name != f.Addr.Name || p.Backup != (s.Backup || f.Backup) {
		return false
	}
	return s.Service == "" || p.Server == f.Name && (s.Weight != 1 || p.Weight == f.Weight)
}

// Resolved replaces the addresses of a server that is resolved at run time; those that remain keep their state. It
// reports whether anything has changed. One goroutine calls it.
func (g *Group) Resolved(s *Server, found []Found) bool {
	now := g.live.Load()
	left := slices.Clone(found)
	changed := false
	keep := func(list []*Peer) (out []*Peer) {
		for _, p := range list {
			if p.of != s {
				out = append(out, p)
				continue
			}
			i := slices.IndexFunc(left, func(f Found) bool { return p.same(s, &f) })
			if i < 0 {
				changed = true
				continue
			}
			left = slices.Delete(left, i, i+1)
			out = append(out, p)
		}
		return out
	}
	main, backup := keep(now.Main), keep(now.Backup)
	for i := range left {
		p := s.peerOf(&left[i])
		if p.Backup {
			backup = append(backup, p)
		} else {
			main = append(main, p)
		}
		changed = true
	}
	g.shared.remember(s, found)
	if changed {
		g.install(main, backup)
	}
	return changed
}

// WithPort gives the address with another port.
func (a Addr) WithPort(port int) Addr {
	switch s := a.Sock.(type) {
	case *syscall.SockaddrInet4:
		c := *s
		c.Port = port
		return addrOf(&c)
	case *syscall.SockaddrInet6:
		c := *s
		c.Port = port
		return addrOf(&c)
	}
	return a
}
