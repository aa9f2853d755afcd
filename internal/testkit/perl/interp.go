// Package perl runs the small part of Perl that test files are written in: string
// and list expressions of `eval` sections, and preludes with assignments,
// conditions, loops and simple subroutines. Strings are bytes.
//
// It is no Perl: classes, formats, ties, local on elements, sockets and most of
// the library are missing, and what it does not know is an error, never a guess.
// The code of a test file is trusted like the test itself: it may read files and
// run commands.
package perl

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"moongate/internal/testkit/pattern"
)

// Interp is one interpreter with its global variables. It is not safe for
// concurrent use.
type Interp struct {
	// Dir is where relative paths begin and commands run.
	Dir string
	// Env is %ENV; it starts empty and is the environment of commands.
	Env *Hash
	// Use, when set, is told of every `use Module LIST` before the module is looked
	// for under Dir.
	Use func(module string, args []Value) error

	// Strict makes the use of undeclared variables an error. `use strict` and the
	// test frameworks turn it on; sections are always strict.
	Strict bool

	funcs    map[string]*Code
	globals  map[string]any // "$name", "@name", "%name", package main without prefix
	pkg      string
	file     string
	captures []Value // $&, $1 ...
	used     map[string]bool
	depth    int
}

// New returns an interpreter that knows the built-in functions only.
func New(dir string) *Interp {
	in := &Interp{Dir: dir, Env: NewHash(), funcs: map[string]*Code{}, globals: map[string]any{}, used: map[string]bool{}}
	in.globals["%ENV"] = in.Env
	in.globals["$/"] = &Scalar{"\n"}
	in.globals["$0"] = &Scalar{""}
	in.globals["$^O"] = &Scalar{"linux"}
	return in
}

// Define makes fn callable as name.
func (in *Interp) Define(name string, fn Func) { in.funcs[name] = &Code{name: name, native: fn} }

// SetGlobal sets a scalar of package main (or name's own package).
func (in *Interp) SetGlobal(name string, v Value) { in.globals["$"+name] = &Scalar{v} }

// ErrStop ends Run early and without error when a host function returns it.
var ErrStop = errors.New("stop")

// Run executes src, which starts at the given line of file.
func (in *Interp) Run(src, file string, line int) error {
	_, err := in.exec(src, file, line, false)
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// Eval evaluates src in list context and returns the value of its last statement.
// Lexical variables end with it.
func (in *Interp) Eval(src, file string, line int) ([]Value, error) {
	in.Strict = true
	return in.exec(src, file, line, true)
}

// hostError carries the error of a host function through the script.
type hostError struct{ err error }

func (in *Interp) exec(src, file string, line int, list bool) (vals []Value, err error) {
	defer in.rescue(&err)
	if in.file == "" {
		in.globals["$0"] = &Scalar{file}
	}
	in.file = file
	prog := newParser(src, file, line).program()
	f := &frame{in: in, vars: &scope{}, args: &Array{}}
	in.hoist(f, prog)
	return prog.runIn(f, list), nil
}

// rescue turns the unwinding of a die or a host error into an error. The
// interpreter unwinds by panic, as recursive evaluators do; nothing of it leaves
// the package.
func (in *Interp) rescue(err *error) {
	switch r := recover().(type) {
	case nil:
	case *Error:
		*err = r
	case hostError:
		*err = r.err
	case *jump:
		if r.what != "return" {
			*err = &Error{"Can't \"" + r.what + "\" outside a loop block"}
		}
	default:
		panic(r)
	}
}

// Call runs a subroutine that the script handed over.
func (in *Interp) Call(c *Code, args ...Value) (vals []Value, err error) {
	defer in.rescue(&err)
	return in.call(c, args, true), nil
}

// hoist defines the subroutines of a program before it runs.
func (in *Interp) hoist(f *frame, b *block) {
	for _, s := range b.stmts {
		if d, ok := s.(*subDef); ok {
			d.run(f, false)
		}
	}
}

func (in *Interp) die(format string, args ...any) {
	panic(&Error{fmt.Sprintf(format, args...)})
}

func (in *Interp) call(c *Code, args []Value, list bool) (vals []Value) {
	if in.depth++; in.depth > 200 {
		in.die("Deep recursion in %s", c.name)
	}
	defer func() { in.depth-- }()
	if c.native != nil {
		vals, err := c.native(in, args, list)
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				panic(e)
			}
			panic(hostError{err})
		}
		return vals
	}
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if j, ok := r.(*jump); ok && j.what == "return" {
			vals = j.vals
			return
		}
		panic(r)
	}()
	saved := in.pkg
	in.pkg = c.pkg
	defer func() { in.pkg = saved }()
	f := &frame{in: in, vars: &scope{parent: c.scope}, args: &Array{Elems: args}, inSub: true, list: list}
	return c.body.runIn(f, list)
}

// qualify makes the key of a package variable.
func (in *Interp) qualify(sigil byte, name string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "::"), "main::")
	if in.pkg != "" && !strings.Contains(name, "::") && !isSpecial(name) {
		name = in.pkg + "::" + name
	}
	return string(sigil) + name
}

func isSpecial(name string) bool {
	return name == "ENV" || name == "_" || name == "ARGV" || name == "INC" || name == "STDIN" || !isAlpha(name[0])
}

// global returns the container of a package variable, nil when there is none and
// make is false.
func (in *Interp) global(sigil byte, name string, create bool) any {
	key := in.qualify(sigil, name)
	v := in.globals[key]
	if v == nil && create {
		v = newContainer(sigil)
		in.globals[key] = v
	}
	return v
}

func newContainer(sigil byte) any {
	switch sigil {
	case '@':
		return &Array{}
	case '%':
		return NewHash()
	}
	return &Scalar{}
}

// path makes a file name of the script usable.
func (in *Interp) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(in.Dir, name)
}

// Command prepares a shell command in the script's directory and environment.
func (in *Interp) Command(cmd string) *exec.Cmd {
	c := exec.Command("/bin/sh", "-c", cmd)
	c.Dir = in.Dir
	c.Stderr = os.Stderr
	for _, k := range in.Env.keys() {
		if v := in.Env.M[k]; v != nil {
			c.Env = append(c.Env, k+"="+String(v))
		}
	}
	return c
}

// frame is the state of one running subroutine or program.
type frame struct {
	in    *Interp
	vars  *scope
	args  *Array
	inSub bool
	list  bool // what the caller of the subroutine wants
}

// scope holds lexical variables by sigil and name.
type scope struct {
	parent *scope
	vars   map[string]any
	undo   []func() // what local changed
}

func (s *scope) find(key string) any {
	for ; s != nil; s = s.parent {
		if v, ok := s.vars[key]; ok {
			return v
		}
	}
	return nil
}

func (s *scope) declare(key string, container any) {
	if s.vars == nil {
		s.vars = map[string]any{}
	}
	s.vars[key] = container
}

// jump is return, last or next on its way up.
type jump struct {
	what string
	vals []Value
}

func (f *frame) scalar(e expr) Value {
	vals := e.eval(f, false)
	if len(vals) == 0 {
		return nil
	}
	return vals[len(vals)-1]
}

func (f *frame) listOf(es []expr) (vals []Value) {
	for _, e := range es {
		vals = append(vals, e.eval(f, true)...)
	}
	return vals
}

// compileRegex makes a pattern of an evaluated regex.
func (f *frame) compileRegex(e expr) *pattern.Regexp {
	flags := ""
	if r, ok := e.(*regex); ok {
		v := f.scalar(r.pat)
		if re, ok := v.(*pattern.Regexp); ok && r.flags == "" {
			return re
		}
		return f.mustCompile(String(v), r.flags)
	}
	v := f.scalar(e)
	if re, ok := v.(*pattern.Regexp); ok {
		return re
	}
	return f.mustCompile(String(v), flags)
}

func (f *frame) mustCompile(src, flags string) *pattern.Regexp {
	re, err := pattern.Compile(src, flags)
	if err != nil {
		f.in.die("%v", err)
	}
	return re
}
