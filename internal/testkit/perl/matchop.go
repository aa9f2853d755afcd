package perl

import "strings"

func (e *regex) eval(f *frame, _ bool) []Value { return one(f.compileRegex(e)) }

// topic is $_, the target of a match that names none.
var topic = &variable{'$', "_", 0}

func target(e expr) expr {
	if e == nil {
		return topic
	}
	return e
}

// remember keeps the captures of a match for $& and $1.
func (f *frame) remember(s string, m []int) (groups []Value) {
	all := make([]Value, 0, len(m)/2)
	for i := 0; i+1 < len(m); i += 2 {
		if m[i] < 0 {
			all = append(all, nil)
		} else {
			all = append(all, s[m[i]:m[i+1]])
		}
	}
	f.in.captures = all
	return all[1:]
}

func (e *match) eval(f *frame, list bool) []Value {
	s := String(f.scalar(target(e.target)))
	re := f.compileRegex(e.re)
	if e.global && !e.neg {
		if !list {
			f.in.die("Perl construct not supported here: //g in scalar context")
		}
		var all []Value
		for at := 0; at <= len(s); {
			m := re.Find(s, at)
			if m == nil {
				break
			}
			groups := f.remember(s, m)
			if len(groups) == 0 {
				groups = f.in.captures
			}
			all = append(all, groups...)
			if at = m[1]; m[1] == m[0] {
				at++
			}
		}
		return all
	}
	m := re.Find(s, 0)
	if m == nil {
		if list && !e.neg {
			return nil
		}
		return one(Bool(e.neg))
	}
	groups := f.remember(s, m)
	if list && !e.neg && len(groups) > 0 {
		return groups
	}
	return one(Bool(!e.neg))
}

func (e *subst) eval(f *frame, _ bool) []Value {
	t := target(e.target)
	s := String(f.scalar(t))
	re := f.compileRegex(e.re)
	global := strings.Contains(e.flags, "g")
	var b strings.Builder
	at, n := 0, 0
	for pos := 0; pos <= len(s); {
		m := re.Find(s, pos)
		if m == nil {
			break
		}
		n++
		f.remember(s, m)
		b.WriteString(s[at:m[0]])
		b.WriteString(String(f.scalar(e.with)))
		at = m[1]
		if pos = m[1]; m[1] == m[0] {
			pos++
		}
		if !global {
			break
		}
	}
	b.WriteString(s[at:])
	if strings.Contains(e.flags, "r") {
		return one(b.String())
	}
	if n > 0 {
		if a, ok := t.(*assign); ok { // (my $x = $y) =~ s///
			a.set(f, b.String())
		} else if l, ok := t.(*listExpr); ok && len(l.items) == 1 {
			f.store(l.items[0], b.String())
		} else {
			f.store(t, b.String())
		}
	}
	return one(number(float64(n)))
}

func (e *translit) eval(f *frame, _ bool) []Value {
	t := target(e.target)
	s := String(f.scalar(t))
	to, drop := e.to, strings.Contains(e.flags, "d")
	if to == "" && !drop {
		to = e.from
	}
	var b strings.Builder
	n := 0
	for i := 0; i < len(s); i++ {
		k := strings.IndexByte(e.from, s[i])
		switch {
		case k < 0:
			b.WriteByte(s[i])
			continue
		case k < len(to):
			b.WriteByte(to[k])
		case !drop:
			b.WriteByte(to[len(to)-1])
		}
		n++
	}
	if strings.Contains(e.flags, "r") {
		return one(b.String())
	}
	if b.String() != s {
		f.store(t, b.String())
	}
	return one(n)
}
