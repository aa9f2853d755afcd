package perl

import (
	"fmt"
	"math"
	"strings"

	"moongate/internal/testkit/pattern"
)

func one(v Value) []Value { return []Value{v} }

func (e *constant) eval(*frame, bool) []Value { return one(e.v) }

func (e *interpolated) eval(f *frame, _ bool) []Value {
	if len(e.parts) == 1 { // a lone qr object in a pattern stays one
		if re, ok := f.scalar(e.parts[0]).(*pattern.Regexp); ok {
			return one(re)
		}
	}
	var b strings.Builder
	for _, part := range e.parts {
		b.WriteString(f.text(part))
	}
	return one(b.String())
}

// text is a part of a string: arrays are joined by a space.
func (f *frame) text(e expr) string {
	switch e := e.(type) {
	case *deref:
		if e.sigil == '@' {
			return joinValues(" ", e.eval(f, true))
		}
	case *slice:
		return joinValues(" ", e.eval(f, true))
	}
	return String(f.scalar(e))
}

func joinValues(sep string, vals []Value) string {
	texts := make([]string, len(vals))
	for i, v := range vals {
		texts[i] = String(v)
	}
	return strings.Join(texts, sep)
}

// maybeArray is @name in a string: literal text when there is no such array.
type maybeArray struct {
	v   *variable
	src string
}

func (e *maybeArray) eval(f *frame, _ bool) []Value {
	if f.vars.find("@"+e.v.name) == nil && f.in.global('@', e.v.name, false) == nil {
		return one(e.src)
	}
	return one(joinValues(" ", e.v.eval(f, true)))
}

func (e *cased) eval(f *frame, _ bool) []Value {
	s := f.text(e.part)
	switch e.how {
	case 'Q':
		return one(pattern.Quote(s))
	case 'U':
		return one(strings.ToUpper(s))
	case 'L':
		return one(strings.ToLower(s))
	case 'u':
		return one(upperFirst(s))
	}
	return one(lowerFirst(s))
}

func upperFirst(s string) string { return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):] }
func lowerFirst(s string) string { return strings.ToLower(s[:min(1, len(s))]) + s[min(1, len(s)):] }

// container finds the variable's storage; reading an undeclared one is the error
// that strict makes of it.
func (e *variable) container(f *frame) any {
	if e.sigil == '@' && e.name == "_" {
		return f.args
	}
	if c := f.vars.find(string(e.sigil) + e.name); c != nil {
		return c
	}
	qualified := strings.Contains(e.name, "::")
	if c := f.in.global(e.sigil, e.name, !f.in.Strict || qualified || isSpecial(e.name) || e.name == "a" || e.name == "b"); c != nil {
		return c
	}
	panic(&Error{fmt.Sprintf("Global symbol \"%c%s\" requires explicit package name at %s line %d", e.sigil, e.name, f.in.file, e.line)})
}

func (e *variable) eval(f *frame, list bool) []Value {
	if e.sigil == '$' {
		if v, ok := f.captured(e.name); ok {
			return one(v)
		}
	}
	return contents(e.container(f), list)
}

func contents(c any, list bool) []Value {
	switch c := c.(type) {
	case *Scalar:
		return one(c.V)
	case *Array:
		if list {
			return append([]Value(nil), c.Elems...)
		}
		return one(len(c.Elems))
	case *Hash:
		if !list {
			return one(len(c.M))
		}
		var vals []Value
		for _, k := range c.keys() {
			vals = append(vals, k, c.M[k])
		}
		return vals
	}
	return one(nil)
}

// captured is $& or $1 of the last successful match.
func (f *frame) captured(name string) (Value, bool) {
	n := 0
	switch {
	case name == "&":
	case name[0] >= '1' && name[0] <= '9':
		n = integer(name)
	default:
		return nil, false
	}
	if n >= len(f.in.captures) {
		return nil, true
	}
	return f.in.captures[n], true
}

func (e *variable) set(f *frame, v Value) {
	if s, ok := e.container(f).(*Scalar); ok {
		s.V = v
	}
}

func (e *declared) eval(f *frame, list bool) []Value {
	for _, v := range e.vars {
		e.declare(f, v)
	}
	if !e.list && len(e.vars) == 1 {
		return e.vars[0].eval(f, list)
	}
	return f.listOf(e.vars)
}

func (e *declared) declare(f *frame, v expr) {
	x, ok := v.(*variable)
	if !ok {
		if e.how != "local" {
			f.in.die("Can't declare this in \"%s\"", e.how)
		}
		f.localElement(v)
		return
	}
	key := string(x.sigil) + x.name
	switch e.how {
	case "our":
		f.vars.declare(key, f.in.global(x.sigil, x.name, true))
	case "local":
		name := f.in.qualify(x.sigil, x.name)
		old := f.in.globals[name]
		f.in.globals[name] = newContainer(x.sigil)
		f.vars.undo = append(f.vars.undo, func() { f.in.globals[name] = old })
	default:
		f.vars.declare(key, newContainer(x.sigil))
	}
}

// localElement is local $hash{key}.
func (f *frame) localElement(v expr) {
	l, ok := v.(*lookup)
	if !ok {
		f.in.die("Perl construct not supported here: local on this")
	}
	h, key := f.hash(l.hash), String(f.scalar(l.key))
	old, had := h.M[key]
	f.vars.undo = append(f.vars.undo, func() {
		if delete(h.M, key); had {
			h.M[key] = old
		}
	})
}

func (e *declared) set(f *frame, v Value) {
	e.declare(f, e.vars[0])
	f.store(e.vars[0], v)
}

func (f *frame) store(e expr, v Value) {
	l, ok := e.(lvalue)
	if !ok {
		f.in.die("Can't modify non-lvalue in assignment")
	}
	l.set(f, v)
}

// array evaluates e to the array it names, making one where a scalar holds none.
func (f *frame) array(e expr) *Array {
	switch e := e.(type) {
	case *variable:
		if a, ok := e.container(f).(*Array); ok {
			return a
		}
	case *declared:
		e.declare(f, e.vars[0])
		return f.array(e.vars[0])
	case *deref:
		switch v := f.scalar(e.e).(type) {
		case *Array:
			return v
		case nil:
			a := &Array{}
			f.store(e.e, a)
			return a
		}
	}
	f.in.die("Not an ARRAY reference")
	return nil
}

func (f *frame) hash(e expr) *Hash {
	switch e := e.(type) {
	case *variable:
		if h, ok := e.container(f).(*Hash); ok {
			return h
		}
	case *declared:
		e.declare(f, e.vars[0])
		return f.hash(e.vars[0])
	case *deref:
		switch v := f.scalar(e.e).(type) {
		case *Hash:
			return v
		case nil:
			h := NewHash()
			f.store(e.e, h)
			return h
		}
	}
	f.in.die("Not a HASH reference")
	return nil
}

func (e *index) eval(f *frame, _ bool) []Value {
	a, i := f.array(e.array), integer(f.scalar(e.at))
	if i < 0 {
		i += len(a.Elems)
	}
	if i < 0 || i >= len(a.Elems) {
		return one(nil)
	}
	return one(a.Elems[i])
}

func (e *index) set(f *frame, v Value) {
	a, i := f.array(e.array), integer(f.scalar(e.at))
	if i < 0 {
		i += len(a.Elems)
	}
	if i < 0 || i > 1<<20 {
		f.in.die("Modification of non-creatable array value attempted")
	}
	for len(a.Elems) <= i {
		a.Elems = append(a.Elems, nil)
	}
	a.Elems[i] = v
}

func (e *lookup) eval(f *frame, _ bool) []Value {
	return one(f.hash(e.hash).M[String(f.scalar(e.key))])
}

func (e *lookup) set(f *frame, v Value) { f.hash(e.hash).M[String(f.scalar(e.key))] = v }

func (e *lastIdx) eval(f *frame, _ bool) []Value { return one(len(f.array(e.array).Elems) - 1) }

func (e *slice) eval(f *frame, _ bool) (vals []Value) {
	from := e.list.eval(f, true)
	for _, at := range e.at.eval(f, true) {
		i := integer(at)
		if i < 0 {
			i += len(from)
		}
		if i >= 0 && i < len(from) {
			vals = append(vals, from[i])
		} else {
			vals = append(vals, nil)
		}
	}
	return vals
}

func (e *deref) eval(f *frame, list bool) []Value {
	switch e.sigil {
	case '@':
		return contents(f.array(e), list)
	case '%':
		return contents(f.hash(e), list)
	}
	switch v := f.scalar(e.e).(type) {
	case *Scalar:
		return one(v.V)
	}
	f.in.die("Not a SCALAR reference")
	return nil
}

func (e *deref) set(f *frame, v Value) {
	if s, ok := f.scalar(e.e).(*Scalar); ok {
		s.V = v
		return
	}
	f.in.die("Not a SCALAR reference")
}

func (e *anonArray) eval(f *frame, _ bool) []Value { return one(&Array{Elems: e.items.eval(f, true)}) }

func (e *anonHash) eval(f *frame, _ bool) []Value {
	h := NewHash()
	h.fill(e.items.eval(f, true))
	return one(h)
}

func (h *Hash) fill(vals []Value) {
	for i := 0; i < len(vals); i += 2 {
		var v Value
		if i+1 < len(vals) {
			v = vals[i+1]
		}
		h.M[String(vals[i])] = v
	}
}

func (e *anonSub) eval(f *frame, _ bool) []Value {
	return one(&Code{name: "__ANON__", body: e.body, scope: f.vars, pkg: f.in.pkg})
}

func (e *refTo) eval(f *frame, _ bool) []Value {
	switch x := e.e.(type) {
	case *variable:
		return one(x.container(f))
	case *declared:
		x.declare(f, x.vars[0])
		return one(x.vars[0].(*variable).container(f))
	case *call:
		if x.bare {
			if c := f.in.funcs[x.name]; c != nil {
				return one(c)
			}
		}
	case *deref:
		switch x.sigil {
		case '@':
			return one(f.array(x))
		case '%':
			return one(f.hash(x))
		}
	}
	return one(&Scalar{f.scalar(e.e)})
}

func (e *callRef) eval(f *frame, list bool) []Value {
	c, ok := f.scalar(e.code).(*Code)
	if !ok {
		f.in.die("Not a CODE reference")
	}
	return f.in.call(c, f.listOf(e.args), list)
}

func (e *method) eval(f *frame, list bool) []Value {
	obj := f.scalar(e.obj)
	args := f.listOf(e.args)
	o, ok := obj.(*Object)
	if !ok {
		panic(&Error{fmt.Sprintf("Perl construct not supported here: method %s of %q at %s line %d", e.name, String(obj), f.in.file, e.line)})
	}
	vals, err := o.Call(e.name, args)
	if err != nil {
		f.in.die("%v at %s line %d", err, f.in.file, e.line)
	}
	return vals
}

func (e *unary) eval(f *frame, _ bool) []Value {
	v := f.scalar(e.e)
	switch e.op {
	case "!":
		return one(Bool(!Truth(v)))
	case "~":
		return one(int(^uint32(Number(v))))
	}
	if s, ok := v.(string); ok && s != "" && isAlpha(s[0]) {
		return one("-" + s)
	}
	return one(number(-Number(v)))
}

func (e *logical) eval(f *frame, list bool) []Value {
	l := f.scalar(e.l)
	switch e.op {
	case "||":
		if Truth(l) {
			return one(l)
		}
	case "&&":
		if !Truth(l) {
			return one(l)
		}
	default:
		if l != nil {
			return one(l)
		}
	}
	return e.r.eval(f, list)
}

func (e *ternary) eval(f *frame, list bool) []Value {
	if Truth(f.scalar(e.cond)) {
		return e.yes.eval(f, list)
	}
	return e.no.eval(f, list)
}

func (e *binary) eval(f *frame, list bool) []Value {
	if e.op == "x" {
		return f.repeat(e, list)
	}
	return one(f.apply(e.op, f.scalar(e.l), f.scalar(e.r)))
}

// maxText bounds what a repetition may build.
const maxText = 1 << 28

func (f *frame) repeat(e *binary, list bool) []Value {
	r := f.scalar(e.r)
	if l, ok := e.l.(*listExpr); ok && list {
		vals := l.eval(f, true)
		var out []Value
		for range min(integer(r), 1<<20) {
			out = append(out, vals...)
		}
		return out
	}
	return one(f.repeatText(String(f.scalar(e.l)), integer(r)))
}

func (f *frame) repeatText(s string, n int) string {
	if n > 0 && len(s) > maxText/n {
		f.in.die("Out of memory in a repetition")
	}
	return strings.Repeat(s, max(0, n))
}

func (f *frame) apply(op string, l, r Value) Value {
	switch op {
	case ".":
		return String(l) + String(r)
	case "eq":
		return Bool(String(l) == String(r))
	case "ne":
		return Bool(String(l) != String(r))
	case "lt":
		return Bool(String(l) < String(r))
	case "gt":
		return Bool(String(l) > String(r))
	case "le":
		return Bool(String(l) <= String(r))
	case "ge":
		return Bool(String(l) >= String(r))
	case "cmp":
		return strings.Compare(String(l), String(r))
	case "xor":
		return Bool(Truth(l) != Truth(r))
	case "x":
		return f.repeatText(String(l), integer(r))
	}
	return f.arithmetic(op, Number(l), Number(r))
}

func (f *frame) arithmetic(op string, a, b float64) Value {
	switch op {
	case "+":
		return number(a + b)
	case "-":
		return number(a - b)
	case "*":
		return number(a * b)
	case "/":
		if b == 0 {
			f.in.die("Illegal division by zero")
		}
		return number(a / b)
	case "%":
		if b == 0 {
			f.in.die("Illegal modulus zero")
		}
		m := math.Mod(math.Trunc(a), math.Trunc(b))
		if m != 0 && (m < 0) != (b < 0) {
			m += b
		}
		return number(m)
	case "**":
		return number(math.Pow(a, b))
	case "==":
		return Bool(a == b)
	case "!=":
		return Bool(a != b)
	case "<":
		return Bool(a < b)
	case ">":
		return Bool(a > b)
	case "<=":
		return Bool(a <= b)
	case ">=":
		return Bool(a >= b)
	case "<=>":
		return int(cmpFloat(a, b))
	case "|":
		return int(int64(a) | int64(b))
	case "&":
		return int(int64(a) & int64(b))
	case "^":
		return int(int64(a) ^ int64(b))
	case "<<":
		return int(int64(a) << uint(b))
	case ">>":
		return int(int64(a) >> uint(b))
	}
	f.in.die("unknown operator %s", op)
	return nil
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (e *assign) eval(f *frame, list bool) []Value {
	if e.op != "" {
		return one(f.opAssign(e))
	}
	if isListTarget(e.l) {
		vals := e.r.eval(f, true)
		f.assignList(e.l, vals)
		if list {
			return f.evalAssigned(e.l)
		}
		return one(len(vals))
	}
	v := f.scalar(e.r)
	f.store(e.l, v)
	return one(v)
}
