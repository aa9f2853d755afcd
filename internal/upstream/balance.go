package upstream

import (
	"math/rand/v2"
	"sync/atomic"
)

// second is the resolution of nginx's clock of failures.
const second = int64(1e9)

// peerState is what a worker knows of a peer.
type peerState struct {
	*Peer
	*counters
	effective int
	current   int
}

// counters are what the workers of a group with a zone know together.
type counters struct {
	conns    atomic.Int64
	fails    atomic.Int64
	accessed atomic.Int64 // of the last failure, seconds
	checked  atomic.Int64
}

func (c *counters) load() int64 { return c.conns.Load() }

// set is the peers of a group, or its backups.
type set struct {
	peers []peerState
	total int // of the weights
	tries int
}

func newSet(g *Group, list []Peer) set {
	s := set{peers: make([]peerState, len(list))}
	for i := range list {
		p := &list[i]
		c := p.shared
		if c == nil {
			c = &counters{}
		}
		s.peers[i] = peerState{Peer: p, counters: c, effective: p.Weight}
		s.total += p.Weight
		if !p.Down {
			s.tries++
		}
	}
	return s
}

// Balancer is one worker's state of a group.
type Balancer struct {
	Group  *Group
	Idle   Idle
	Chosen Idle // connections to servers that were chosen by other means, with parameters of their own
	main   set
	backup set
	single bool
}

// NewBalancer makes a worker's state of a group that was initialised.
func NewBalancer(g *Group) *Balancer {
	b := &Balancer{Group: g, main: newSet(g, g.Main), backup: newSet(g, g.Backup)}
	b.single = len(g.Main) == 1 && len(g.Backup) == 0
	b.Idle.conf = &g.Keepalive
	return b
}

// Choice is one request's way through the peers of a group.
type Choice struct {
	Tries int // still allowed
	Peer  *Peer
	b     *Balancer
	set   *set
	cur   *peerState
	tried []uint64
	few   [2]uint64

	key    []byte
	hash   uint32
	rehash int
	misses int
}

// Begin starts a choice. key is what the hashing methods hash: the address of the client or the value of the
// directive; it must stay as it is while the choice lasts.
func (b *Balancer) Begin(c *Choice, key []byte) {
	c.b, c.set, c.key, c.cur, c.Peer = b, &b.main, key, nil, nil
	c.Tries = b.main.tries + b.backup.tries
	c.hash, c.rehash, c.misses = 0, 0, 0
	if n := (max(len(b.main.peers), len(b.backup.peers)) + 63) / 64; n <= len(c.few) {
		c.few = [2]uint64{}
		c.tried = c.few[:]
	} else {
		c.tried = make([]uint64, n)
	}
	switch b.Group.Method {
	case IPHash:
		c.hash = 89
	case ConsistentHash:
		c.hash = b.Group.findPoint(key)
	}
}

func (c *Choice) isTried(i int) bool { return c.tried[i>>6]&(1<<(i&63)) != 0 }

// usable reports whether peer i may be chosen at time now (seconds).
func (c *Choice) usable(i int, now int64) bool {
	p := &c.set.peers[i]
	return !c.isTried(i) && !p.Down &&
		!(p.MaxFails > 0 && p.fails.Load() >= int64(p.MaxFails) && now-p.checked.Load() <= p.FailTimeout/second) &&
		!(p.MaxConns > 0 && p.conns.Load() >= int64(p.MaxConns))
}

// Next chooses a peer; now is in monotonic nanoseconds. False: there is none left, or alive. What was chosen is given
// back with Done.
func (c *Choice) Next(now int64) bool {
	now /= second
	if c.b.single {
		p := &c.b.main.peers[0]
		if p.Down || p.MaxConns > 0 && p.conns.Load() >= int64(p.MaxConns) {
			return false
		}
		c.take(p)
		return true
	}
	if i := c.pick(now); i >= 0 {
		c.tried[i>>6] |= 1 << (i & 63)
		p := &c.set.peers[i]
		if now-p.checked.Load() > p.FailTimeout/second {
			p.checked.Store(now)
		}
		c.take(p)
		return true
	}
	if c.set == &c.b.main && len(c.b.backup.peers) > 0 {
		c.set = &c.b.backup
		clear(c.tried)
		return c.Next(now * second)
	}
	return false
}

func (c *Choice) take(p *peerState) {
	p.conns.Add(1)
	c.cur, c.Peer = p, p.Peer
}

// pick gives the place of the peer of the group's method, -1 for none.
func (c *Choice) pick(now int64) int {
	onMain := c.set == &c.b.main
	switch m := c.b.Group.Method; {
	case m == LeastConn:
		return c.leastConn(now)
	case m == IPHash && onMain && len(c.set.peers) > 1:
		return c.ipHash(now)
	case m == Hash && onMain && len(c.set.peers) > 1 && len(c.key) > 0:
		return c.plainHash(now)
	case m == ConsistentHash && onMain && len(c.set.peers) > 0 && len(c.key) > 0:
		return c.consistent(now)
	case m == Random && onMain:
		return c.random(now)
	case m == RandomTwo && onMain && len(c.set.peers) > 1:
		return c.randomTwo(now)
	}
	return c.roundRobin(now, 0, nil)
}

// roundRobin is nginx's smooth weighted round robin over the usable peers from place from on that also is wants.
func (c *Choice) roundRobin(now int64, from int, is func(p *peerState) bool) int {
	best, total := -1, 0
	for i := from; i < len(c.set.peers); i++ {
		p := &c.set.peers[i]
		if !c.usable(i, now) || is != nil && !is(p) {
			continue
		}
		p.current += p.effective
		total += p.effective
		if p.effective < p.Weight {
			p.effective++
		}
		if best < 0 || p.current > c.set.peers[best].current {
			best = i
		}
	}
	if best >= 0 {
		c.set.peers[best].current -= total
	}
	return best
}

func (c *Choice) leastConn(now int64) int {
	best, many := -1, false
	for i := range c.set.peers {
		if !c.usable(i, now) {
			continue
		}
		p := &c.set.peers[i]
		if best < 0 {
			best = i
			continue
		}
		b := &c.set.peers[best]
		if x, y := p.load()*int64(b.Weight), b.load()*int64(p.Weight); x < y {
			best, many = i, false
		} else if x == y {
			many = true
		}
	}
	if best < 0 || !many {
		return best
	}
	b := &c.set.peers[best]
	return c.roundRobin(now, best, func(p *peerState) bool { return p.load()*int64(b.Weight) == b.load()*int64(p.Weight) })
}

// weighted gives the place of the peer that a number below the sum of the weights falls on.
func (s *set) weighted(w int) int {
	for i := range s.peers {
		if w -= s.peers[i].Weight; w < 0 {
			return i
		}
	}
	return 0
}

// maxMisses is how often a hashing method tries before round robin takes over.
const maxMisses = 20

func (c *Choice) random(now int64) int {
	for ; c.misses <= maxMisses; c.misses++ {
		if i := c.set.weighted(rand.IntN(c.set.total)); c.usable(i, now) {
			return i
		}
	}
	return c.roundRobin(now, 0, nil)
}

func (c *Choice) randomTwo(now int64) int {
	prev := -1
	for ; c.misses <= maxMisses; c.misses++ {
		i := c.set.weighted(rand.IntN(c.set.total))
		if i == prev || !c.usable(i, now) {
			continue
		}
		if prev < 0 {
			prev = i
			continue
		}
		p, q := &c.set.peers[i], &c.set.peers[prev]
		if p.load()*int64(q.Weight) > q.load()*int64(p.Weight) {
			i = prev
		}
		return i
	}
	return c.roundRobin(now, 0, nil)
}

// Outcome says how a peer did.
type Outcome uint8

// The outcomes.
const (
	Good   Outcome = iota
	Next           // it answered, but the next one is to be asked: no fault of its
	Failed         // counts against it
)

// Done gives the chosen peer back. It reports whether this failure disabled the peer for a while.
func (c *Choice) Done(o Outcome, now int64) (disabled bool) {
	p := c.cur
	if p == nil {
		return false
	}
	c.cur, c.Peer = nil, nil
	p.conns.Add(-1)
	if c.b.single {
		p.fails.Store(0)
		c.Tries = 0
		return false
	}
	now /= second
	if o == Failed {
		p.fails.Add(1)
		p.accessed.Store(now)
		p.checked.Store(now)
		if p.MaxFails > 0 {
			p.effective -= p.Weight / p.MaxFails
			disabled = p.fails.Load() >= int64(p.MaxFails)
		}
		p.effective = max(p.effective, 0)
	} else if p.accessed.Load() < p.checked.Load() {
		p.fails.Store(0)
	}
	if c.Tries > 0 {
		c.Tries--
	}
	return disabled
}
