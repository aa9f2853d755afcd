package perl

import (
	"sort"
	"strings"
	"time"

	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/poll"
)

// formFor finds the functions that need their arguments unevaluated or the context.
func formFor(name string) func(f *frame, e *call, list bool) []Value {
	switch name {
	case "defined":
		return formDefined
	case "exists":
		return formExists
	case "delete":
		return formDelete
	case "undef":
		return formUndef
	case "scalar":
		return func(f *frame, e *call, _ bool) []Value { return one(f.argument(e)) }
	case "push", "unshift":
		return formPush
	case "shift", "pop":
		return formShift
	case "keys", "values", "each":
		return formKeys
	case "chomp", "chop":
		return formChomp
	case "split":
		return formSplit
	case "open":
		return formOpen
	case "close":
		return formClose
	case "print", "say", "printf":
		return formPrint
	case "wantarray":
		return func(f *frame, _ *call, _ bool) []Value { return one(Bool(f.list)) }
	case "time":
		return func(*frame, *call, bool) []Value { return one(int(time.Now().Unix())) }
	case "sleep":
		return func(f *frame, e *call, _ bool) []Value {
			poll.Pause(time.Duration(Number(f.argument(e)) * float64(time.Second)))
			return one(1)
		}
	case "exit":
		return func(f *frame, e *call, _ bool) []Value { panic(hostError{ErrStop}) }
	}
	return nil
}

// listFuncFor finds the functions that work on the list of their arguments.
func listFuncFor(name string) func(f *frame, args []Value) []Value {
	switch name {
	case "join":
		return fnJoin
	case "reverse":
		return fnReverse
	case "index":
		return fnIndex
	case "rindex":
		return fnRindex
	case "substr":
		return fnSubstr
	case "die", "croak", "confess":
		return fnDie
	case "warn", "carp", "diag", "note":
		return fnWarn
	case "sprintf":
		return fnSprintf
	case "pack":
		return fnPack
	case "system":
		return fnSystem
	case "cwd", "getcwd":
		return fnCwd
	case "dirname":
		return fnDirname
	case "basename":
		return fnBasename
	case "abs_path", "realpath", "rel2abs":
		return fnAbsPath
	case "unlink":
		return fnUnlink
	case "mkdir":
		return fnMkdir
	case "remove_tree":
		return fnRemoveTree
	case "make_path":
		return fnMakePath
	case "rename":
		return fnRename
	case "catfile", "catdir":
		return fnCatfile
	case "binmode", "local", "select", "srand", "chmod":
		return func(*frame, []Value) []Value { return one(1) }
	}
	return nil
}

func (f *frame) first(e *call) expr {
	if len(e.args) == 0 {
		f.in.die("Not enough arguments for %s", e.name)
	}
	return e.args[0]
}

func formDefined(f *frame, e *call, _ bool) []Value {
	if len(e.args) == 0 {
		return one(Bool(f.scalar(topic) != nil))
	}
	switch x := e.args[0].(type) {
	case *call:
		if x.bare { // defined &name
			return one(Bool(f.in.function(x.name) != nil))
		}
	case *variable:
		if x.sigil != '$' {
			return one(Bool(len(x.eval(f, true)) > 0))
		}
	}
	return one(Bool(f.scalar(e.args[0]) != nil))
}

func formExists(f *frame, e *call, _ bool) []Value {
	switch x := f.first(e).(type) {
	case *lookup:
		_, ok := f.hash(x.hash).M[String(f.scalar(x.key))]
		return one(Bool(ok))
	case *index:
		i := integer(f.scalar(x.at))
		return one(Bool(i >= 0 && i < len(f.array(x.array).Elems)))
	}
	f.in.die("exists argument is not a HASH or ARRAY element")
	return nil
}

func formDelete(f *frame, e *call, _ bool) []Value {
	x, ok := f.first(e).(*lookup)
	if !ok {
		f.in.die("delete argument is not a HASH element")
	}
	h, key := f.hash(x.hash), String(f.scalar(x.key))
	old := h.M[key]
	delete(h.M, key)
	return one(old)
}

// formUndef makes its argument undefined; %ENV forgets the name.
func formUndef(f *frame, e *call, _ bool) []Value {
	if len(e.args) == 0 {
		return one(nil)
	}
	switch x := e.args[0].(type) {
	case *lookup:
		if h := f.hash(x.hash); h == f.in.Env {
			delete(h.M, String(f.scalar(x.key)))
			return one(nil)
		}
	case *variable:
		switch c := x.container(f).(type) {
		case *Array:
			c.Elems = nil
			return one(nil)
		case *Hash:
			clear(c.M)
			return one(nil)
		}
	}
	f.store(e.args[0], nil)
	return one(nil)
}

func formPush(f *frame, e *call, _ bool) []Value {
	a := f.array(f.first(e))
	vals := f.listOf(e.args[1:])
	if e.name == "push" {
		a.Elems = append(a.Elems, vals...)
	} else {
		a.Elems = append(vals, a.Elems...)
	}
	return one(len(a.Elems))
}

func formShift(f *frame, e *call, _ bool) []Value {
	a := f.args
	if len(e.args) > 0 {
		a = f.array(e.args[0])
	}
	if len(a.Elems) == 0 {
		return one(nil)
	}
	var v Value
	if e.name == "shift" {
		v, a.Elems = a.Elems[0], a.Elems[1:]
	} else {
		v, a.Elems = a.Elems[len(a.Elems)-1], a.Elems[:len(a.Elems)-1]
	}
	return one(v)
}

func formKeys(f *frame, e *call, list bool) (vals []Value) {
	if e.name == "each" {
		f.in.die("Perl construct not supported here: each")
	}
	if sigilOf(f.first(e)) == '@' {
		a := f.array(e.args[0])
		if e.name == "values" {
			return contents(a, list)
		}
		for i := range a.Elems {
			vals = append(vals, i)
		}
		return vals
	}
	h := f.hash(e.args[0])
	if !list {
		return one(len(h.M))
	}
	for _, k := range h.keys() {
		if e.name == "keys" {
			vals = append(vals, k)
		} else {
			vals = append(vals, h.M[k])
		}
	}
	return vals
}

func formChomp(f *frame, e *call, _ bool) []Value {
	var t expr = topic
	if len(e.args) > 0 {
		t = e.args[0]
	}
	if sigilOf(t) == '@' {
		a := f.array(t)
		for i, v := range a.Elems {
			a.Elems[i] = strings.TrimSuffix(String(v), "\n")
		}
		return one(len(a.Elems))
	}
	v := f.scalar(t)
	s := String(v)
	if v == nil || s == "" {
		return one(0)
	}
	cut := strings.TrimSuffix(s, "\n")
	if e.name == "chop" {
		cut = s[:len(s)-1]
	}
	if cut != s {
		if d, ok := t.(*declared); ok { // chomp(my $x) is pointless but right
			t = d.vars[0]
		}
		f.store(t, cut)
	}
	return one(len(s) - len(cut))
}

func formSplit(f *frame, e *call, list bool) []Value {
	s := ""
	if len(e.args) > 1 {
		s = String(f.scalar(e.args[1]))
	} else {
		s = String(f.scalar(topic))
	}
	limit := 0
	if len(e.args) > 2 {
		limit = integer(f.scalar(e.args[2]))
	}
	sep := f.first(e)
	if m, ok := sep.(*match); ok && m.target == nil {
		sep = m.re
	}
	var re *pattern.Regexp
	if v, ok := sep.(*constant); ok && v.v == " " {
		s = strings.TrimLeft(s, " \t\r\n\f")
		re = pattern.MustCompile(`\s+`, "")
	} else {
		re = f.compileRegex(sep)
	}
	fields := splitBy(re, s, limit)
	if !list {
		return one(len(fields))
	}
	return fields
}

func splitBy(re *pattern.Regexp, s string, limit int) (fields []Value) {
	at := 0
	for pos := 0; pos <= len(s) && (limit <= 0 || len(fields) < limit-1); {
		m := re.Find(s, pos)
		if m == nil || m[0] >= len(s) {
			break
		}
		if m[1] == m[0] && m[0] == at { // an empty match splits behind the next byte
			pos = m[0] + 1
			continue
		}
		if m[1] > 0 {
			fields = append(fields, s[at:m[0]])
			for i := 2; i+1 < len(m); i += 2 {
				if m[i] < 0 {
					fields = append(fields, nil)
				} else {
					fields = append(fields, s[m[i]:m[i+1]])
				}
			}
		}
		at = m[1]
		pos = max(m[1], m[0]+1)
		if m[1] == m[0] {
			pos = m[1]
		}
	}
	if s != "" {
		fields = append(fields, s[at:])
	}
	if limit == 0 {
		for len(fields) > 0 && String(fields[len(fields)-1]) == "" {
			fields = fields[:len(fields)-1]
		}
	}
	return fields
}

func (e *mapExpr) eval(f *frame, list bool) (vals []Value) {
	items := e.list.eval(f, true)
	if e.op == "sort" {
		vals = append([]Value(nil), items...)
		sort.SliceStable(vals, func(i, j int) bool { return f.less(e.fn, vals[i], vals[j]) })
		return vals
	}
	old := f.in.globals["$_"]
	defer func() { f.in.globals["$_"] = old }()
	for _, v := range items {
		f.in.globals["$_"] = &Scalar{v}
		if e.op == "grep" {
			if Truth(f.scalar(e.fn)) {
				vals = append(vals, v)
			}
		} else {
			vals = append(vals, e.fn.eval(f, true)...)
		}
	}
	if !list {
		return one(len(vals))
	}
	return vals
}

func (f *frame) less(fn expr, a, b Value) bool {
	if fn == nil {
		return String(a) < String(b)
	}
	f.in.SetGlobal("a", a)
	f.in.SetGlobal("b", b)
	return Number(f.scalar(fn)) < 0
}
