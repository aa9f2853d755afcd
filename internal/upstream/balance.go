package upstream

import (
	"math/rand/v2"
)

// second is the resolution of nginx's clock of failures.
const second = int64(1e9)

// seconds is the time by that clock: far from 0, which stands for never.
func seconds(now int64) int64 { return now/second + clockBase }

const clockBase = 1 << 30

// peerState is what a worker knows of a peer.
type peerState struct {
	*Peer
	*counters
	work      *Work
	effective int
	current   int
	own       counters // without a zone
}

// set is the peers of a group, or its backups. A change of the group's servers replaces it; choices under way go on with
// theirs.
type set struct {
	peers []*peerState
	total int // of the weights
	tries int
	slow  bool
}

// Balancer is one worker's state of a group.
type Balancer struct {
	Group  *Group
	Idle   Idle
	Chosen Idle // connections to servers that were chosen by other means, with parameters of their own

	worker int
	chosen map[string]*Work
	have   *Peers
	main   *set
	backup *set
	single bool
}

// NewBalancer makes a worker's state of a group that was initialised.
func NewBalancer(g *Group, worker int) *Balancer {
	b := &Balancer{Group: g, worker: worker}
	b.renew()
	b.Idle.conf = &g.Keepalive
	return b
}

// renew takes on the group's servers as they are now; those that remain keep their state.
func (b *Balancer) renew() {
	ps := b.Group.Peers()
	known := map[*Peer]*peerState{}
	for _, s := range []*set{b.main, b.backup} {
		if s != nil {
			for _, p := range s.peers {
				known[p.Peer] = p
			}
		}
	}
	b.have = ps
	b.main, b.backup = b.newSet(ps.Main, ps.slow, known), b.newSet(ps.Backup, ps.slow, known)
	b.single = len(ps.Main) == 1 && len(ps.Backup) == 0
}

func (b *Balancer) newSet(list []*Peer, slow bool, known map[*Peer]*peerState) *set {
	s := &set{peers: make([]*peerState, len(list)), slow: slow}
	for i, p := range list {
		ps := known[p]
		if ps == nil {
			ps = &peerState{Peer: p, effective: p.Weight, work: p.workOf(b.worker)}
			ps.counters = &ps.own
			if b.Group.Zone {
				ps.counters = &p.State.counters
			}
		}
		s.peers[i] = ps
		s.total += p.Weight
		if !p.Down && !p.Drain {
			s.tries++
		}
	}
	return s
}

// Choice is one request's way through the peers of a group.
type Choice struct {
	Tries int // still allowed
	Peer  *Peer
	// Hint names the peer to prefer (Peer.SID); nil for none.
	Hint []byte

	b      *Balancer
	main   *set
	backup *set
	set    *set
	cur    *peerState
	tried  []uint64
	few    [2]uint64
	single bool
	again  bool // when all peers were tried, the first may be tried again
	now    int64
	flying bool // least_time counts the request as being under way

	key    []byte
	points []point
	hash   uint32
	rehash int
	misses int
}

// Begin starts a choice. key is what the hashing methods hash: the address of the client or the value of the
// directive; it must stay as it is while the choice lasts.
func (b *Balancer) Begin(c *Choice, key []byte) {
	if b.have != b.Group.live.Load() {
		b.renew()
	}
	c.b, c.main, c.backup, c.set, c.key, c.cur, c.Peer, c.Hint = b, b.main, b.backup, b.main, key, nil, nil, nil
	c.single = b.single
	c.Tries = b.main.tries + b.backup.tries
	c.again = b.Group.Retry.Num > 0
	if c.again {
		c.Tries = b.Group.Retry.Num + 1
	}
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
		c.points = b.have.points
		c.hash = b.have.findPoint(key)
	}
}

func (c *Choice) isTried(i int) bool { return c.tried[i>>6]&(1<<(i&63)) != 0 }

// usable reports whether peer i may be chosen at time now (seconds).
func (c *Choice) usable(i int, now int64) bool {
	return !c.set.peers[i].Drain && c.alive(i, now)
}

// alive is usable, also of a server that takes only what sticks to it.
func (c *Choice) alive(i int, now int64) bool {
	p := c.set.peers[i]
	return !c.isTried(i) && !p.isDown() &&
		!(p.MaxFails > 0 && p.fails.Load() >= int64(p.MaxFails) && now-p.checked.Load() <= p.FailTimeout/second) &&
		!(p.MaxConns > 0 && p.conns.Load() >= int64(p.MaxConns)) &&
		!p.shunned(c)
}

// shunned reports whether the peer is unhealthy or ejected, and that counts.
func (p *peerState) shunned(c *Choice) bool {
	return p.out.Load() != 0 && p.isOut(c.now) && !c.b.Group.panic.Load()
}

// Next chooses a peer; now is in monotonic nanoseconds. False: there is none left, or alive. What was chosen is given
// back with Done.
func (c *Choice) Next(now int64) bool {
	c.now = now
	now = seconds(now)
	if c.single && c.set == c.main {
		p := c.main.peers[0]
		if p.isDown() || p.Drain && c.sticky(now) < 0 || p.MaxConns > 0 && p.conns.Load() >= int64(p.MaxConns) || p.shunned(c) {
			return false
		}
		c.take(p)
		return true
	}
	for {
		if i := c.pick(now); i >= 0 {
			c.tried[i>>6] |= 1 << (i & 63)
			p := c.set.peers[i]
			if now-p.checked.Load() > p.FailTimeout/second {
				p.checked.Store(now)
			}
			c.take(p)
			return true
		}
		switch {
		case c.set == c.main && len(c.backup.peers) > 0:
			c.set = c.backup
			clear(c.tried)
		case c.again:
			c.again = false
			c.set = c.main
			clear(c.tried)
		default:
			return false
		}
	}
}

func (c *Choice) take(p *peerState) {
	p.conns.Add(1)
	p.work.Begin()
	c.cur, c.Peer = p, p.Peer
	if c.b.Group.Inflight {
		p.times.begin(c.now)
		c.flying = true
	}
}

// sticky gives the place of the peer that the hint names, -1 when there is none alive.
func (c *Choice) sticky(now int64) int {
	if c.Hint == nil {
		return -1
	}
	for i, p := range c.set.peers {
		if p.SID == string(c.Hint) {
			if c.alive(i, now) {
				return i
			}
			return -1
		}
	}
	return -1
}

// pick gives the place of the peer of the group's method, -1 for none.
func (c *Choice) pick(now int64) int {
	m := c.b.Group.Method
	if c.Hint != nil {
		if i := c.sticky(now); i >= 0 {
			if m == RoundRobin {
				return c.stickyRoundRobin(now, i)
			}
			return i
		}
	}
	onMain := c.set == c.main
	switch {
	case m == RoundRobin:
	case m == LeastConn:
		return c.leastConn(now)
	case m >= LeastTime:
		return c.leastTime(now)
	case !onMain || len(c.set.peers) == 0:
	case m == ConsistentHash && len(c.key) > 0:
		return c.consistent(now)
	case len(c.set.peers) == 1:
	case m == IPHash:
		return c.ipHash(now)
	case m == Hash && len(c.key) > 0:
		return c.plainHash(now)
	case m == Random:
		return c.random(now)
	case m >= RandomTwo && m < LeastTime:
		return c.randomTwo(now)
	}
	return c.roundRobin(now, 0, nil)
}

// roundRobin is nginx's smooth weighted round robin over the usable peers from place from on that also is wants.
func (c *Choice) roundRobin(now int64, from int, is func(p *peerState) bool) int {
	best, total := c.reweigh(now, from, is)
	if best >= 0 {
		c.set.peers[best].current -= total
	}
	return best
}

// reweigh adds to every usable peer what it is due.
func (c *Choice) reweigh(now int64, from int, is func(p *peerState) bool) (best, total int) {
	best = -1
	for i := from; i < len(c.set.peers); i++ {
		p := c.set.peers[i]
		if !c.usable(i, now) || is != nil && !is(p) {
			continue
		}
		due := p.effective
		if c.set.slow {
			due = p.ramp(due, c.now)
		}
		p.current += due
		total += due
		if p.effective < p.Weight {
			p.effective++
		}
		if best < 0 || p.current > c.set.peers[best].current {
			best = i
		}
	}
	return best, total
}

// slowScale is the parts that weights have in a group with slow starts.
const slowScale = 256

// ramp is the share of its weight that a server which came back is due.
func (p *peerState) ramp(due int, now int64) int {
	due *= slowScale
	if p.SlowStart > 0 {
		if since := now - p.ready.Load(); p.ready.Load() > 0 && since < p.SlowStart {
			return max(1, int(float64(due)*(float64(since)/float64(p.SlowStart)))) // in integers large weights and long times overflow
		}
	}
	return due
}

// stickyRoundRobin chooses the peer in place i, and has the others catch up once it has had its turn.
func (c *Choice) stickyRoundRobin(now int64, i int) int {
	p := c.set.peers[i]
	if low := p.Weight - c.set.total; p.current <= low {
		return i
	}
	_, total := c.reweigh(now, 0, nil)
	p.current -= total
	return i
}

func (c *Choice) leastConn(now int64) int {
	best, many := -1, false
	for i := range c.set.peers {
		if !c.usable(i, now) {
			continue
		}
		p := c.set.peers[i]
		if best < 0 {
			best = i
			continue
		}
		b := c.set.peers[best]
		if x, y := p.load()*int64(b.Weight), b.load()*int64(p.Weight); x < y {
			best, many = i, false
		} else if x == y {
			many = true
		}
	}
	if best < 0 || !many {
		return best
	}
	b := c.set.peers[best]
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
		p, q := c.set.peers[i], c.set.peers[prev]
		x, y := p.load(), q.load()
		if c.b.Group.Method != RandomTwo {
			x, y = c.eta(p, now), c.eta(q, now)
		}
		if x*int64(q.Weight) > y*int64(p.Weight) {
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

// Result is how a try went.
type Result struct {
	Outcome
	Status   int   // of the response or, with Local, the one that stands for its failure
	Local    bool  // there was no response
	Broken   bool  // the response was cut
	Left     bool  // the client went away: nothing can be said
	Header   int64 // nanoseconds to the response head, -1: there was none
	Whole    int64 // and to its end
	Sent     int64
	Received int64
}

// Done gives the chosen peer back. It reports whether this failure disabled the peer for a while.
func (c *Choice) Done(r *Result, now int64) (disabled bool) {
	p := c.cur
	if p == nil {
		return false
	}
	c.cur, c.Peer = nil, nil
	p.conns.Add(-1)
	p.work.count(r)
	g := c.b.Group
	if g.Method.timed() {
		c.measure(p, r, now)
	}
	if g.Outlier != nil && !r.Left {
		g.observe(p.Peer, r, now)
	}
	if c.single {
		if p.fails.Load() > 0 {
			p.fails.Store(0)
		}
		if c.Tries--; g.Retry.Num == 0 {
			c.Tries = 0
		}
		return false
	}
	now = seconds(now)
	if r.Outcome == Failed {
		p.fails.Add(1)
		p.accessed.Store(now)
		p.checked.Store(now)
		if p.MaxFails > 0 {
			p.effective -= p.Weight / p.MaxFails
			disabled = p.fails.Load() >= int64(p.MaxFails)
		}
		p.effective = max(p.effective, 0)
	} else if p.fails.Load() > 0 && p.accessed.Load() < p.checked.Load() {
		if p.SlowStart > 0 && p.MaxFails > 0 && p.fails.Load() >= int64(p.MaxFails) {
			p.ready.Store((now - clockBase) * second)
		}
		p.fails.Store(0)
	}
	if c.Tries > 0 {
		c.Tries--
	}
	return disabled
}

// Connected counts a connection that was made to the chosen peer, or one that was idle.
func (c *Choice) Connected(kept bool) {
	if c.cur != nil {
		c.cur.work.Connected(kept)
	}
}

// PeerInfo is what one worker knows of a peer.
type PeerInfo struct {
	*Peer
	Current, Effective int // of its weight
	Conns, Fails       int64
	Accessed, Checked  int64 // monotonic seconds of the last failure and of the last time it was tried after; -1: never
	Down               bool
}

// Info lists the peers, or the backups, as this worker knows them.
func (b *Balancer) Info(backup bool) []PeerInfo {
	var out []PeerInfo
	for _, p := range b.list(backup).peers {
		out = append(out, PeerInfo{Peer: p.Peer, Current: p.current, Effective: p.effective, Conns: p.conns.Load(), Fails: p.fails.Load(),
			Accessed: max(p.accessed.Load()-clockBase, -1), Checked: max(p.checked.Load()-clockBase, -1), Down: p.isDown()})
	}
	return out
}

func (b *Balancer) list(backup bool) *set {
	if b.have != b.Group.live.Load() {
		b.renew()
	}
	if backup {
		return b.backup
	}
	return b.main
}

// Values of counters.down.
const (
	setDown = 1 + iota
	setUp
)

func (p *peerState) isDown() bool {
	switch p.down.Load() {
	case 0:
		return p.Down
	case setDown:
		return true
	}
	return false
}

// SetDown says that a peer is not to be asked, or is again: by this worker, or with a zone by all. False: there is no such peer.
func (b *Balancer) SetDown(backup bool, place int, down bool) bool {
	s := b.list(backup)
	if place < 0 || place >= len(s.peers) {
		return false
	}
	p := s.peers[place]
	if down {
		p.down.Store(setDown)
	} else {
		p.down.Store(setUp)
		p.fails.Store(0)
	}
	return true
}
