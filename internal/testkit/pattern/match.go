package pattern

import "strings"

// maxSteps bounds the work of one search, so that a pattern with catastrophic
// backtracking ends a test instead of hanging it.
const maxSteps = 50_000_000

type loopState struct{ count, start int }

// machine is the state of one search. Matchers change it on the way down and put
// back what they changed when they fail.
type machine struct {
	s     string
	caps  []int
	open  []int // where a capture began that is not closed yet
	loops []loopState
	end   int // where an accepting matcher stopped
	steps int
}

func (m *machine) tired() bool {
	m.steps++
	return m.steps > maxSteps
}

// matcher tries to match from position i to the end of the pattern: what comes
// next in the pattern is part of it.
type matcher func(m *machine, i int) bool

func accept(m *machine, i int) bool {
	m.end = i
	return true
}

type compiler struct{ loops int }

func (c *compiler) compile(n *node, next matcher) matcher {
	switch n.kind {
	case kEmpty:
		return next
	case kLiteral:
		return literalMatcher(n, next)
	case kSet:
		set := n.set
		return func(m *machine, i int) bool {
			return i < len(m.s) && set.has(m.s[i]) && next(m, i+1)
		}
	case kSeq:
		for k := len(n.subs) - 1; k >= 0; k-- {
			next = c.compile(n.subs[k], next)
		}
		return next
	case kAlt:
		return c.alternatives(n, next)
	case kCapture:
		return c.capture(n, next)
	case kRepeat:
		return c.repeat(n, next)
	case kLook:
		return c.look(n, next)
	case kAtomic:
		return c.atomic(n, next)
	case kBackref:
		return backref(n, next)
	}
	test := n.test
	return func(m *machine, i int) bool { return test(m.s, i) && next(m, i) }
}

func literalMatcher(n *node, next matcher) matcher {
	text := n.text
	if n.fold {
		return func(m *machine, i int) bool {
			return i+len(text) <= len(m.s) && asciiEqualFold(m.s[i:i+len(text)], text) && next(m, i+len(text))
		}
	}
	return func(m *machine, i int) bool {
		return strings.HasPrefix(m.s[i:], text) && next(m, i+len(text))
	}
}

func (c *compiler) alternatives(n *node, next matcher) matcher {
	alts := make([]matcher, len(n.subs))
	for k, sub := range n.subs {
		alts[k] = c.compile(sub, next)
	}
	return func(m *machine, i int) bool {
		if m.tired() {
			return false
		}
		for _, alt := range alts {
			if alt(m, i) {
				return true
			}
		}
		return false
	}
}

func (c *compiler) capture(n *node, next matcher) matcher {
	g := n.n
	body := c.compile(n.subs[0], func(m *machine, i int) bool {
		from, to := m.caps[2*g], m.caps[2*g+1]
		m.caps[2*g], m.caps[2*g+1] = m.open[g], i
		if next(m, i) {
			return true
		}
		m.caps[2*g], m.caps[2*g+1] = from, to
		return false
	})
	return func(m *machine, i int) bool {
		old := m.open[g]
		m.open[g] = i
		if body(m, i) {
			return true
		}
		m.open[g] = old
		return false
	}
}

func (c *compiler) repeat(n *node, next matcher) matcher {
	if n.subs[0].kind == kSet {
		return repeatSet(n, next)
	}
	id, min, max, isLazy := c.loops, n.min, n.max, n.mode == lazy
	c.loops++
	var again func(m *machine, i, count int) bool
	body := c.compile(n.subs[0], func(m *machine, i int) bool {
		st := m.loops[id]
		if i == st.start && st.count >= min {
			return false // an empty turn would go on for ever; leaving was or will be tried at st.start
		}
		return again(m, i, st.count+1)
	})
	again = func(m *machine, i, count int) bool {
		if m.tired() {
			return false
		}
		if isLazy && count >= min && next(m, i) {
			return true
		}
		if max < 0 || count < max {
			saved := m.loops[id]
			m.loops[id] = loopState{count, i}
			if body(m, i) {
				return true
			}
			m.loops[id] = saved
		}
		return !isLazy && count >= min && next(m, i)
	}
	return func(m *machine, i int) bool { return again(m, i, 0) }
}

// repeatSet repeats a one-byte matcher without recursion.
func repeatSet(n *node, next matcher) matcher {
	set, min, max := n.subs[0].set, n.min, n.max
	if n.mode == lazy {
		return func(m *machine, i int) bool {
			for k := 0; ; k++ {
				if k >= min && next(m, i+k) {
					return true
				}
				if m.tired() || max >= 0 && k >= max || i+k >= len(m.s) || !set.has(m.s[i+k]) {
					return false
				}
			}
		}
	}
	return func(m *machine, i int) bool {
		k := 0
		for (max < 0 || k < max) && i+k < len(m.s) && set.has(m.s[i+k]) {
			k++
		}
		for ; k >= min; k-- {
			if next(m, i+k) {
				return true
			}
			if m.tired() {
				return false
			}
		}
		return false
	}
}

func (c *compiler) look(n *node, next matcher) matcher {
	sub := c.compile(n.subs[0], accept)
	found := sub
	if n.behind {
		// Try every start before i whose match ends exactly here.
		sub = c.compile(n.subs[0], func(m *machine, i int) bool { return i == m.end })
		found = func(m *machine, i int) bool {
			end := m.end
			defer func() { m.end = end }()
			m.end = i
			for k := i; k >= 0; k-- {
				if sub(m, k) {
					return true
				}
			}
			return false
		}
	}
	if n.neg {
		return func(m *machine, i int) bool {
			saved := append([]int(nil), m.caps...)
			if found(m, i) {
				copy(m.caps, saved)
				return false
			}
			return next(m, i)
		}
	}
	return func(m *machine, i int) bool {
		saved := append([]int(nil), m.caps...)
		if found(m, i) && next(m, i) {
			return true
		}
		copy(m.caps, saved)
		return false
	}
}

func (c *compiler) atomic(n *node, next matcher) matcher {
	sub := c.compile(n.subs[0], accept)
	return func(m *machine, i int) bool {
		saved := append([]int(nil), m.caps...)
		if sub(m, i) && next(m, m.end) {
			return true
		}
		copy(m.caps, saved)
		return false
	}
}

func backref(n *node, next matcher) matcher {
	g, fold := n.n, n.fold
	return func(m *machine, i int) bool {
		if 2*g+1 >= len(m.caps) || m.caps[2*g] < 0 {
			return false
		}
		text := m.s[m.caps[2*g]:m.caps[2*g+1]]
		if i+len(text) > len(m.s) {
			return false
		}
		got := m.s[i : i+len(text)]
		return (got == text || fold && asciiEqualFold(got, text)) && next(m, i+len(text))
	}
}

func asciiEqualFold(a, b string) bool {
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 32
	}
	return c
}
