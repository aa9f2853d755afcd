package upstream

import (
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// State is what the process knows of a server, over workers and reloads.
type State struct {
	counters                // of a group with a zone
	out       atomic.Uint32 // why it is not to be asked
	until     atomic.Int64  // the end of its ejection, monotonic nanoseconds
	ready     atomic.Int64  // when it came back, for a slow start
	outlier   outlierState
	mu        sync.Mutex
	work      []*Work // of the workers
	Checks    atomic.Uint64
	CheckFail atomic.Uint64
	checkText atomic.Pointer[string]
	streak    int // of checks that went the other way; the checker's
}

// Reasons for a server not to be asked.
const (
	outUnhealthy uint32 = 1 << iota
	outEjected
)

// Unhealthy reports whether active checks fail.
func (s *State) Unhealthy() bool { return s.out.Load()&outUnhealthy != 0 }

// Ejected reports whether the server is ejected as an outlier.
func (s *State) Ejected() bool { return s.out.Load()&outEjected != 0 }

// LastCheck is what the last active check has found, "" before the first.
func (s *State) LastCheck() string {
	if t := s.checkText.Load(); t != nil {
		return *t
	}
	return ""
}

// counters are what balancing knows of a peer: each worker, or with a zone all of them together.
type counters struct {
	conns    atomic.Int64
	fails    atomic.Int64
	accessed atomic.Int64 // of the last failure, seconds
	checked  atomic.Int64
	down     atomic.Int32 // by Lua: 0 for what the configuration says
	times    times
}

func (c *counters) load() int64 { return c.conns.Load() }

// Buckets are the upper bounds of the histogram of response times.
var Buckets = [...]time.Duration{time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second}

// Work is what one worker has counted of a server. Only that worker writes.
type Work struct {
	Requests, Fails        atomic.Int64
	Responses              [6]atomic.Int64 // by class; [0] for what is none
	Sent, Received         atomic.Int64
	Active                 atomic.Int64
	Time                   [len(Buckets) + 1]atomic.Int64 // of responses, by bucket
	TimeSum, Connects, Hit atomic.Int64
}

// Totals is the sum over the workers.
type Totals struct {
	Requests, Fails, Sent, Received, Active, TimeSum, Connects, Hit int64
	Responses                                                       [6]int64
	Time                                                            [len(Buckets) + 1]int64
}

// Totals sums up what the workers have counted.
func (s *State) Totals() (t Totals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.work {
		t.Requests += w.Requests.Load()
		t.Fails += w.Fails.Load()
		t.Sent += w.Sent.Load()
		t.Received += w.Received.Load()
		t.Active += w.Active.Load()
		t.TimeSum += w.TimeSum.Load()
		t.Connects += w.Connects.Load()
		t.Hit += w.Hit.Load()
		for i := range t.Responses {
			t.Responses[i] += w.Responses[i].Load()
		}
		for i := range t.Time {
			t.Time[i] += w.Time[i].Load()
		}
	}
	return t
}

// workOf gives a worker its counters of a server; they outlive reloads.
func (s *State) workOf(worker int) *Work {
	s.mu.Lock()
	for len(s.work) <= worker {
		s.work = append(s.work, &Work{})
	}
	w := s.work[worker]
	s.mu.Unlock()
	return w
}

// count adds up a try that has ended.
func (w *Work) count(r *Result) {
	w.Active.Add(-1)
	if r.Outcome == Failed || r.Broken {
		w.Fails.Add(1)
	}
	if r.Status > 0 && !r.Local {
		class := r.Status / 100
		if class > 5 {
			class = 0
		}
		w.Responses[class].Add(1)
		i := 0
		for i < len(Buckets) && r.Whole > int64(Buckets[i]) {
			i++
		}
		w.Time[i].Add(1)
		w.TimeSum.Add(r.Whole)
	}
	if r.Sent > 0 {
		w.Sent.Add(r.Sent)
	}
	if r.Received > 0 {
		w.Received.Add(r.Received)
	}
}

// Begin counts a try that begins.
func (w *Work) Begin() {
	w.Requests.Add(1)
	w.Active.Add(1)
}

// Connected counts a connection that was made, or one that was idle.
func (w *Work) Connected(kept bool) {
	if kept {
		w.Hit.Add(1)
	} else {
		w.Connects.Add(1)
	}
}

// End counts a try that has ended.
func (w *Work) End(r *Result) { w.count(r) }

// maxChosen bounds the servers chosen by other means that are counted one by one.
const maxChosen = 256

// ChosenWork gives this worker's counters of a server that was chosen by other means; nil when there are too many.
func (b *Balancer) ChosenWork(addr string) *Work {
	if w, ok := b.chosen[addr]; ok {
		return w
	}
	if len(b.chosen) >= maxChosen {
		return nil
	}
	s := b.Group.shared
	s.mu.Lock()
	st := s.chosen[addr]
	if st == nil && len(s.chosen) < maxChosen {
		st = &State{}
		s.chosen[addr] = st
	}
	s.mu.Unlock()
	if b.chosen == nil {
		b.chosen = map[string]*Work{}
	}
	var w *Work
	if st != nil {
		w = st.workOf(b.worker)
	}
	b.chosen[addr] = w
	return w
}

// Chosen lists the servers that were chosen by other means, by address.
func (g *Group) Chosen() map[string]Totals {
	g.shared.mu.Lock()
	defer g.shared.mu.Unlock()
	out := make(map[string]Totals, len(g.shared.chosen))
	for addr, s := range g.shared.chosen {
		out[addr] = s.Totals()
	}
	return out
}

// shared is what the process knows of a group, over workers and reloads.
type shared struct {
	load   load
	mu     sync.Mutex
	states map[string]*State
	chosen map[string]*State  // of servers chosen by other means, by address
	found  map[string][]Found // of names that are resolved at run time
	until  map[string]int64   // how long that counts
}

var groups = struct {
	sync.Mutex
	all map[string]*shared
}{all: map[string]*shared{}}

// sharedOf finds what is known of a group.
func sharedOf(g *Group) *shared {
	if !g.Kept() {
		return newShared()
	}
	key := g.key()
	groups.Lock()
	defer groups.Unlock()
	s := groups.all[key]
	if s == nil {
		s = newShared()
		groups.all[key] = s
	}
	return s
}

func newShared() *shared {
	return &shared{states: map[string]*State{}, chosen: map[string]*State{}, found: map[string][]Found{}, until: map[string]int64{}}
}

// Kept reports whether what is known of the group outlives it: whether a configuration has it.
func (g *Group) Kept() bool { return g.File != "" }

func (g *Group) key() string {
	return g.ZoneName + "\x00" + g.Name + "\x00" + strconv.Itoa(g.Port)
}

// Keep forgets the groups that a configuration which has taken over does not have.
func Keep(list []*Group) {
	groups.Lock()
	defer groups.Unlock()
	for key := range groups.all {
		used := false
		for _, g := range list {
			used = used || g.key() == key
		}
		if !used {
			delete(groups.all, key)
		}
	}
}

// attach gives the peers their states and forgets those of others.
func (s *shared) attach(ps *Peers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make(map[string]*State, len(ps.Main)+len(ps.Backup))
	for _, list := range [][]*Peer{ps.Main, ps.Backup} {
		for _, p := range list {
			key := p.Name + "\x00" + p.Server
			if p.Backup {
				key += "\x00b"
			}
			for n := 0; next[key] != nil && (p.State == nil || next[key] != p.State); n++ {
				key += "\x00" + strconv.Itoa(n) // the same address once more
			}
			if p.State == nil {
				if p.State = s.states[key]; p.State == nil {
					p.State = &State{}
				}
			}
			next[key] = p.State
		}
	}
	s.states = next
}

func serviceKey(s *Server) string { return s.Host + "\x00" + s.Service }

// remember keeps the addresses of a name for the next configuration.
func (s *shared) remember(sv *Server, found []Found) {
	s.mu.Lock()
	s.found[serviceKey(sv)] = found
	s.mu.Unlock()
}

// resolved gives the addresses of a server's name that an earlier configuration had resolved, with the port of this one.
func (s *shared) resolved(sv *Server) []Found {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.found[serviceKey(sv)])
	if sv.Service == "" {
		for i := range out {
			out[i].Addr = out[i].Addr.WithPort(sv.Port)
		}
	}
	return out
}

// ResolvedUntil is how long the addresses that are known of a server count, in monotonic nanoseconds; 0: none are known.
func (g *Group) ResolvedUntil(s *Server) int64 {
	g.shared.mu.Lock()
	defer g.shared.mu.Unlock()
	return g.shared.until[serviceKey(s)]
}

// SetResolvedUntil says how long they count.
func (g *Group) SetResolvedUntil(s *Server, t int64) {
	g.shared.mu.Lock()
	g.shared.until[serviceKey(s)] = t
	g.shared.mu.Unlock()
}

func addrOf(sa syscall.Sockaddr) Addr {
	switch s := sa.(type) {
	case *syscall.SockaddrInet4:
		return Addr{s, netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port)).String()}
	case *syscall.SockaddrInet6:
		return Addr{s, netip.AddrPortFrom(netip.AddrFrom16(s.Addr), uint16(s.Port)).String()}
	}
	return Addr{Sock: sa}
}
