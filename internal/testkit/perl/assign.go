package perl

// isListTarget tells whether assigning to e is a list assignment.
func isListTarget(e expr) bool {
	switch e := e.(type) {
	case *listExpr:
		return true
	case *variable:
		return e.sigil != '$'
	case *deref:
		return e.sigil != '$'
	case *declared:
		return e.list || isListTarget(e.vars[0])
	}
	return false
}

func (f *frame) assignList(e expr, vals []Value) {
	switch e := e.(type) {
	case *listExpr:
		f.distribute(e.items, vals)
	case *declared:
		for _, v := range e.vars {
			e.declare(f, v)
		}
		f.distribute(e.vars, vals)
	default:
		f.distribute([]expr{e}, vals)
	}
}

// distribute hands values to targets from left to right; an array or a hash takes
// all that is left.
func (f *frame) distribute(targets []expr, vals []Value) {
	for _, t := range targets {
		switch t := t.(type) {
		case *declared:
			f.assignList(t, vals)
			vals = vals[min(len(t.vars), len(vals)):]
			continue
		case *call:
			if t.name == "undef" {
				vals = vals[min(1, len(vals)):]
				continue
			}
		}
		switch sigilOf(t) {
		case '@':
			f.array(t).Elems = append([]Value(nil), vals...)
			vals = nil
		case '%':
			h := f.hash(t)
			clear(h.M)
			h.fill(vals)
			vals = nil
		default:
			var v Value
			if len(vals) > 0 {
				v, vals = vals[0], vals[1:]
			}
			f.store(t, v)
		}
	}
}

func sigilOf(e expr) byte {
	switch e := e.(type) {
	case *variable:
		return e.sigil
	case *deref:
		return e.sigil
	}
	return '$'
}

func (f *frame) opAssign(e *assign) Value {
	if isListTarget(e.l) && sigilOf(e.l) == '@' && (e.op == "x" || e.op == "||") {
		f.in.die("Perl construct not supported here: %s= on an array", e.op)
	}
	if d, ok := e.l.(*declared); ok {
		d.declare(f, d.vars[0])
		return f.opAssign(&assign{e.op, d.vars[0], e.r})
	}
	old := f.scalar(e.l)
	switch {
	case e.op == "||" && Truth(old), e.op == "&&" && !Truth(old), e.op == "//" && old != nil:
		return old
	}
	v := f.scalar(e.r)
	if e.op != "||" && e.op != "&&" && e.op != "//" {
		v = f.apply(e.op, old, v)
	}
	f.store(e.l, v)
	return v
}

// evalAssigned reads the targets back after a list assignment.
func (f *frame) evalAssigned(e expr) []Value {
	switch e := e.(type) {
	case *declared:
		return f.listOf(e.vars)
	}
	return e.eval(f, true)
}

func (e *step) eval(f *frame, _ bool) []Value {
	old := f.scalar(e.e)
	v := number(Number(old) + float64(e.by))
	if s, ok := old.(string); ok && e.by > 0 && s != "" && isAlpha(s[0]) {
		v = succ(s)
	}
	f.store(e.e, v)
	if e.postfix {
		if old == nil {
			old = 0
		}
		return one(old)
	}
	return one(v)
}

// succ is the magical increment of a string of letters and digits.
func succ(s string) string {
	b := []byte(s)
	for i := len(b) - 1; i >= 0; i-- {
		switch b[i] {
		case 'z':
			b[i] = 'a'
		case 'Z':
			b[i] = 'A'
		case '9':
			b[i] = '0'
		default:
			b[i]++
			return string(b)
		}
	}
	switch first := s[0]; {
	case first == 'z':
		return "a" + string(b)
	case first == 'Z':
		return "A" + string(b)
	}
	return "1" + string(b)
}

func (e *listExpr) eval(f *frame, list bool) []Value {
	if list {
		return f.listOf(e.items)
	}
	var v Value
	for _, item := range e.items { // the comma operator
		v = f.scalar(item)
	}
	return one(v)
}

func (e *listExpr) set(f *frame, v Value) { f.assignList(e, []Value{v}) }

func (e *ternary) set(f *frame, v Value) {
	if Truth(f.scalar(e.cond)) {
		f.store(e.yes, v)
	} else {
		f.store(e.no, v)
	}
}

// set makes (EXPR = ...) =~ s/// and chomp(my $x = ...) work.
func (e *assign) set(f *frame, v Value) {
	if d, ok := e.l.(*declared); ok {
		f.store(d.vars[0], v)
		return
	}
	f.store(e.l, v)
}

func (e *rangeOp) eval(f *frame, _ bool) (vals []Value) {
	from, to := f.scalar(e.from), f.scalar(e.to)
	if s, ok := from.(string); ok && s != "" && isAlpha(s[0]) {
		last := String(to)
		for len(s) <= len(last) {
			vals = append(vals, s)
			if s == last || len(vals) > 1<<20 {
				break
			}
			s = succ(s)
		}
		return vals
	}
	a, b := integer(from), integer(to)
	if b-a > 1<<22 {
		f.in.die("Out of memory in a range")
	}
	for ; a <= b; a++ {
		vals = append(vals, a)
	}
	return vals
}
