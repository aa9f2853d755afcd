package h2

import "moongate/internal/http2"

// priorities is what a client says about what it wants first: the tree of RFC 7540 5.3. RFC 9113 has given it up, but
// browsers send it, and nginx goes by it: streams that depend on others come after them, and of those at one level the
// heavier first. A connection has none until the client says something.
type priorities struct {
	nodes   map[uint32]*node
	order   []uint32 // the nodes' streams, oldest first
	version uint32   // counts changes
}

type node struct {
	parent *node
	weight int
}

const (
	defaultWeight = 16
	// closedNodes is how many streams without a request are remembered.
	closedNodes = 64
)

// prioritize places a stream in the tree.
func (c *conn) prioritize(id uint32, dep http2.Dependency) {
	p := c.prio
	if p == nil {
		p = &priorities{nodes: map[uint32]*node{}}
		c.prio = p
	}
	p.version++
	var parent *node
	exclusive := dep.Exclusive
	if dep.Stream != 0 {
		if parent = p.nodes[dep.Stream]; parent == nil && c.streams[dep.Stream] != nil {
			parent = c.addNode(dep.Stream)
		}
		exclusive = exclusive && parent != nil
	}
	n := p.nodes[id]
	if n == nil {
		n = c.addNode(id)
	}
	for a := parent; a != nil; a = a.parent {
		if a == n { // what it shall depend on depends on it: that takes its place first
			parent.parent = n.parent
			break
		}
	}
	if exclusive {
		for _, x := range p.nodes {
			if x != n && x.parent == parent {
				x.parent = n
			}
		}
	}
	n.parent, n.weight = parent, dep.Weight
}

// addNode makes a stream known, and forgets the oldest one that has no request.
func (c *conn) addNode(id uint32) *node {
	p := c.prio
	n := &node{weight: defaultWeight}
	p.nodes[id] = n
	p.order = append(p.order, id)
	for i := 0; i < len(p.order) && len(p.nodes) > closedNodes+c.processing; i++ {
		if old := p.order[i]; old != id && c.streams[old] == nil {
			p.forget(old)
			p.order = append(p.order[:i], p.order[i+1:]...)
			break
		}
	}
	return n
}

// forget takes a node out of the tree; those that depend on it share its place.
func (p *priorities) forget(id uint32) {
	gone := p.nodes[id]
	delete(p.nodes, id)
	sum := 0
	for _, n := range p.nodes {
		if n.parent == gone {
			sum += n.weight
		}
	}
	for _, n := range p.nodes {
		if n.parent == gone {
			n.parent = gone.parent
			n.weight = max(1, gone.weight*n.weight/sum)
		}
	}
}

// place is where a stream stands: how deep, and its share there.
func (p *priorities) place(id uint32) (rank int, share float64) {
	n := p.nodes[id]
	if n == nil {
		return 1, float64(defaultWeight) / 256
	}
	share = 1
	for ; n != nil; n = n.parent {
		rank++
		share *= float64(n.weight) / 256
	}
	return rank, share
}

// best is the stream whose turn it is.
func (c *conn) best() *stream {
	first := c.ready.first
	p := c.prio
	if p == nil || first.next == nil {
		return first
	}
	for s := first; s != nil; s = s.next {
		if s.placed != p.version+1 {
			s.rank, s.share = p.place(s.id)
			s.placed = p.version + 1
		}
		if s.rank < first.rank || s.rank == first.rank && s.share > first.share {
			first = s
		}
	}
	return first
}
