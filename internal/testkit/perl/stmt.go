package perl

import (
	"os"
	"path/filepath"
	"strings"
)

// run executes a block in a scope of its own.
func (b *block) run(f *frame, list bool) []Value {
	outer := f.vars
	f.vars = &scope{parent: outer}
	defer func() { f.vars = outer }()
	return b.runIn(f, list)
}

// runIn executes the statements in the current scope; what local changed is put
// back at the end.
func (b *block) runIn(f *frame, list bool) (vals []Value) {
	here := f.vars
	defer func() {
		for i := len(here.undo) - 1; i >= 0; i-- {
			here.undo[i]()
		}
		here.undo = nil
	}()
	for i, s := range b.stmts {
		if v := s.run(f, list && i == len(b.stmts)-1); i == len(b.stmts)-1 {
			vals = v
		}
	}
	return vals
}

func (s *exprStmt) run(f *frame, list bool) []Value { return s.e.eval(f, list) }

func (s *ifStmt) run(f *frame, list bool) []Value {
	for i, c := range s.conds {
		if v := f.scalar(c); Truth(v) {
			return s.then[i].run(f, list)
		} else if i == len(s.conds)-1 && len(s.then) == len(s.conds) {
			return one(v)
		}
	}
	return s.then[len(s.then)-1].run(f, list)
}

// turn runs a loop body once; last ends the loop.
func (f *frame) turn(b *block) (goOn bool) {
	outer := f.vars
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if j, ok := r.(*jump); ok && j.what != "return" {
			f.vars = outer
			goOn = j.what == "next"
			return
		}
		panic(r)
	}()
	b.run(f, false)
	return true
}

func (s *whileStmt) run(f *frame, _ bool) []Value {
	outer := f.vars
	f.vars = &scope{parent: outer}
	defer func() { f.vars = outer }()
	if s.init != nil {
		s.init.eval(f, false)
	}
	if s.post && !f.turn(s.body) {
		return nil
	}
	for n := 0; Truth(s.condition(f)) != s.until; n++ {
		if n > 10_000_000 {
			f.in.die("Loop does not end")
		}
		if !f.turn(s.body) {
			break
		}
		if s.step != nil {
			s.step.eval(f, false)
		}
	}
	return nil
}

// condition evaluates the loop's condition: while (<$fh>) assigns to $_ and ends
// with the file.
func (s *whileStmt) condition(f *frame) Value {
	switch c := s.cond.(type) {
	case *readLine:
		v := f.scalar(c)
		f.store(&variable{'$', "_", 0}, v)
		return Bool(v != nil)
	case *assign:
		if _, ok := c.r.(*readLine); ok {
			return Bool(f.scalar(c) != nil)
		}
	}
	return f.scalar(s.cond)
}

func (s *foreachStmt) run(f *frame, _ bool) []Value {
	outer := f.vars
	f.vars = &scope{parent: outer}
	defer func() { f.vars = outer }()
	vals := s.list.eval(f, true)
	name := s.name
	if name == "" {
		name = "_"
	}
	var source *Array // changes to the variable reach the array it stands for
	if l := flatten(s.list); len(l) == 1 && sigilOf(l[0]) == '@' {
		source = f.array(l[0])
	}
	cell := &Scalar{}
	if s.name == "" {
		key := "$_"
		old := f.in.globals[key]
		f.in.globals[key] = cell
		defer func() { f.in.globals[key] = old }()
	} else {
		f.vars.declare("$"+name, cell)
	}
	for i, v := range vals {
		if s.mine { // closures of one turn keep their own variable
			cell = &Scalar{}
			f.vars.declare("$"+name, cell)
		}
		cell.V = v
		goOn := f.turn(s.body)
		if source != nil && i < len(source.Elems) {
			source.Elems[i] = cell.V
		}
		if !goOn {
			break
		}
	}
	return nil
}

func (s *subDef) run(f *frame, _ bool) []Value {
	f.in.funcs[s.name] = &Code{name: s.name, body: s.body, scope: f.vars, pkg: f.in.pkg}
	return nil
}

func (s *packageStmt) run(f *frame, _ bool) []Value {
	f.in.pkg = s.name
	if s.name == "main" {
		f.in.pkg = ""
	}
	return nil
}

// run of use loads a module that lies in the project (Dir or Dir/lib);
// others are taken to be there.
func (s *useStmt) run(f *frame, _ bool) []Value {
	if s.no || s.module == "" {
		return nil
	}
	var args []Value
	if s.args != nil {
		args = s.args.eval(f, true)
	}
	in := f.in
	if in.Use != nil {
		if err := in.Use(s.module, args); err != nil {
			panic(hostError{err})
		}
	}
	if s.module == "strict" || strings.HasPrefix(s.module, "Test::") {
		in.Strict = true
	}
	if in.used[s.module] {
		return nil
	}
	in.used[s.module] = true
	rel := strings.ReplaceAll(s.module, "::", "/") + ".pm"
	if strings.HasPrefix(s.module, "Test::") {
		return nil // the frameworks themselves are what the host provides
	}
	for _, dir := range []string{"", "lib"} {
		path := filepath.Join(in.Dir, dir, rel)
		src, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		pkg, file := in.pkg, in.file
		in.pkg, in.file = "", path
		prog := newParser(string(src), path, 1).program()
		sub := &frame{in: in, vars: &scope{}, args: &Array{}}
		in.hoist(sub, prog)
		prog.runIn(sub, false)
		in.pkg, in.file = pkg, file
		in.export(s.module, args)
		break
	}
	return nil
}

// export makes the variables that a module exports known in the current package;
// subroutines are known everywhere anyway.
func (in *Interp) export(module string, args []Value) {
	names := args
	if list, ok := in.globals["@"+module+"::EXPORT"].(*Array); ok {
		names = append(names, list.Elems...)
	}
	for _, v := range names {
		name := String(v)
		if len(name) < 2 || strings.IndexByte("$@%", name[0]) < 0 {
			continue
		}
		if c := in.globals[name[:1]+module+"::"+name[1:]]; c != nil {
			in.globals[in.qualify(name[0], name[1:])] = c
		}
	}
}

func (e *control) eval(f *frame, _ bool) []Value {
	j := &jump{what: e.what}
	if e.e != nil && e.what == "return" {
		j.vals = e.e.eval(f, f.list)
	}
	panic(j)
}

// eval of do {} and eval {}: the latter catches die and leaves its text in $@.
func (e *blockExpr) eval(f *frame, list bool) (vals []Value) {
	if !e.catch {
		return e.body.run(f, list)
	}
	return f.protect(func() []Value { return e.body.run(f, list) })
}

func (f *frame) protect(run func() []Value) (vals []Value) {
	outer := f.vars
	defer func() {
		r := recover()
		if r == nil {
			f.in.SetGlobal("@", "")
			return
		}
		f.vars = outer
		switch e := r.(type) {
		case *Error:
			f.in.SetGlobal("@", e.Msg)
			vals = nil
		default:
			panic(r)
		}
	}()
	return run()
}

func (e *evalString) eval(f *frame, list bool) []Value {
	src := ""
	if e.e != nil {
		src = String(f.scalar(e.e))
	}
	return f.protect(func() []Value {
		return newParser(src, "(eval)", 1).program().run(f, list)
	})
}
