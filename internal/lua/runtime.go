package lua

import (
	"fmt"
	"strings"

	"moongate/internal/luajit"
)

// Level is a log level, as ngx.log has them.
type Level int

// The levels of ngx.log.
const (
	Stderr Level = iota
	Emerg
	Alert
	Crit
	Error
	Warn
	Notice
	Info
	Debug
)

// Host is what the runtime needs from whoever embeds it. ctx may be nil.
type Host interface {
	// Log writes a line to the error log.
	Log(ctx *Context, level Level, msg string)
	// Output takes what ngx.say and ngx.print have put into the fast buffer (see Context.SetFastOutput). It is called
	// before any other Go function runs and when the handler waits or ends; b is valid during the call.
	Output(ctx *Context, b []byte)
}

// Options of a Runtime.
type Options struct {
	Host Host
	// Unlimited lets every phase wait (lua_phase_limits off).
	Unlimited bool
}

// Runtime is the set of libraries compiled once for the process; each worker makes a VM from it.
type Runtime struct {
	opt     Options
	funcs   []*Func // by index
	defs    *luajit.Defs
	classes map[string]int
	guard   int
	stalled int
}

// NewRuntime compiles the libraries; an error names the declaration which is wrong.
func NewRuntime(opt Options, libs ...*Library) (*Runtime, error) {
	b := builder{rt: &Runtime{opt: opt, classes: map[string]int{}}, private: map[string]bool{}}
	for _, lib := range libs {
		if err := b.classes(lib); err != nil {
			return nil, err
		}
	}
	b.rt.guard = b.add(guardFunc, "")
	b.rt.stalled = b.add(stalledFunc, "")
	b.prop("ctx", luajit.PropCtx, luajit.PropCtx)
	for _, lib := range libs {
		if err := b.library(lib); err != nil {
			return nil, fmt.Errorf("lua library %q: %w", lib.Name, err)
		}
	}
	b.rt.defs = luajit.NewDefs(append(b.first, b.last...), phaseNames())
	return b.rt, nil
}

// Funcs lists the declared functions by index.
func (rt *Runtime) Funcs() []*Func { return rt.funcs }

// Class is the number of a class, 0 when it is not declared.
func (rt *Runtime) Class(name string) int { return rt.classes[name] }

// builder collects definitions; last are those which run Lua code and so need all others.
type builder struct {
	rt          *Runtime
	first, last []luajit.Def
	private     map[string]bool
}

func (b *builder) classes(lib *Library) error {
	for _, m := range lib.Modules {
		b.private[m.Table] = m.Private
	}
	for _, c := range lib.Classes {
		if b.rt.classes[c.Name] != 0 {
			return fmt.Errorf("lua library %q: class %q is declared twice", lib.Name, c.Name)
		}
		n := len(b.rt.classes) + 1
		b.rt.classes[c.Name] = n
		b.first = append(b.first, luajit.Def{Kind: luajit.DefClass, Path: c.Name, Index: n})
	}
	return nil
}

func (b *builder) library(lib *Library) error {
	for _, f := range lib.Funcs {
		if err := b.function(f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	for _, o := range lib.Objects {
		b.first = append(b.first, luajit.Def{Kind: luajit.DefObject, Path: o.Name,
			Get: b.meta(o, "__index", o.Index), Set: b.meta(o, "__newindex", o.NewIndex), Exe: b.meta(o, "__call", o.Exe)})
	}
	for _, p := range lib.Props {
		b.property(p)
	}
	for _, c := range lib.Consts {
		v, err := encodeConst(c.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		b.first = append(b.first, luajit.Def{Kind: luajit.DefConst, Path: b.place(c.Name), Value: v})
	}
	for _, m := range lib.Modules {
		if m.Table != "" {
			b.last = append(b.last, luajit.Def{Kind: luajit.DefLoaded, Path: b.place(m.Table), Chunk: m.Name})
			continue
		}
		b.first = append(b.first, luajit.Def{Kind: luajit.DefModule, Path: m.Name, Source: m.Source, Chunk: "=" + m.Name})
	}
	return nil
}

func (b *builder) function(f *Func) error {
	if !strings.Contains(f.Name, ".") && !strings.HasPrefix(f.Name, "@") && f.Tier != C && f.Tier != Lua && f.Name == "" {
		return fmt.Errorf("no name")
	}
	if f.Run == nil && (f.Tier == Sync || f.Tier == Async) {
		return fmt.Errorf("no Run")
	}
	if class, ok := strings.CutPrefix(f.Name, "@"); ok {
		class, _, _ = strings.Cut(class, ":")
		if b.rt.classes[class] == 0 {
			return fmt.Errorf("unknown class %q", class)
		}
	}
	sig, err := parseSig(f.Sig, b.rt.classes)
	if err != nil {
		return err
	}
	i := b.add(f, b.place(f.Name))
	d := b.lastDef(f.Tier)
	d.Index = i
	d.Sig = sig
	if f.Tier == C {
		dot := strings.LastIndexByte(f.CName, '.') // a library's name may have dots
		d.CLib, d.CField = f.CName[:max(dot, 0)], f.CName[dot+1:]
	}
	return nil
}

// place is where a name goes below _G: the module "moongate" and private ones are no global tables.
func (b *builder) place(name string) string {
	if name == "moongate" || strings.HasPrefix(name, "moongate.") {
		return "package.loaded." + name
	}
	if i := strings.LastIndexByte(name, '.'); i > 0 && b.private[name[:i]] {
		return privatePlace(name[:i]) + name[i:]
	}
	if b.private[name] {
		return privatePlace(name)
	}
	return name
}

// privatePlace is where the table of a private module lies: ngx.errlog in package.loaded.moongate_errlog.
func privatePlace(module string) string {
	return "package.loaded.moongate_" + module[strings.LastIndexByte(module, '.')+1:]
}

func (b *builder) lastDef(t Tier) *luajit.Def {
	if t == C || t == Lua {
		return &b.last[len(b.last)-1]
	}
	return &b.first[len(b.first)-1]
}

// add appends a function's definition and returns its index.
func (b *builder) add(f *Func, path string) int {
	d := luajit.Def{Path: path, Index: len(b.rt.funcs), Mask: uint32(f.In), Output: int(f.Output), Slot: f.Slot,
		Source: f.Source, Chunk: "=" + f.Name, NoRequest: f.NoRequest}
	if f.In == 0 {
		d.Mask = uint32(Anywhere)
	}
	if b.rt.opt.Unlimited {
		if d.Mask |= uint32(f.Free); f.In == Yieldable {
			d.Mask |= uint32(Free)
		}
	} else {
		d.Hint = hint(f)
	}
	if d.NoRequest == "" {
		d.NoRequest = "no request found"
	}
	b.rt.funcs = append(b.rt.funcs, f)
	switch f.Tier {
	case Async:
		d.Kind = luajit.DefAsync
	case Sync:
		if f.Filters && b.rt.opt.Unlimited {
			d.Kind = luajit.DefAsync
		}
	case View:
		d.Kind = luajit.DefView
	case C, Lua:
		d.Kind = luajit.DefC
		if f.Tier == Lua {
			d.Kind = luajit.DefLua
		}
		b.last = append(b.last, d)
		return d.Index
	}
	b.first = append(b.first, d)
	return d.Index
}

// hint tells where a function works that was called in a phase which does not allow it.
func hint(f *Func) string {
	if f.In == 0 || f.In&WithRequest == WithRequest || f.Tier == View {
		return ""
	}
	var names []string
	for _, p := range phases {
		if f.In.Has(p.phase) {
			names = append(names, p.name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	if most := 5; len(names) > most {
		names = append(names[:most], "...")
	}
	s := "; it works in " + strings.Join(names, ", ")
	if f.In == Yieldable || f.Free != 0 {
		s += "; \"lua_phase_limits off\" lifts this"
	}
	return s
}

func (b *builder) meta(o *Object, name string, run func(*Call) Outcome) int {
	if run == nil {
		return -1
	}
	return b.add(&Func{Name: o.Name + "." + name, In: o.In, Run: run, NoRequest: o.NoRequest}, "")
}

func (b *builder) property(p *Prop) {
	set := p.Set
	if set == nil {
		set = func(c *Call) Outcome { return c.Errorf("attempt to write a read-only value") }
	}
	get := -1
	if p.Get != nil {
		get = b.add(&Func{Name: "ngx." + p.Name, In: p.In, Run: p.Get}, "")
	}
	b.prop(p.Name, get, b.add(&Func{Name: "ngx." + p.Name, In: p.In, Run: set}, ""))
}

func (b *builder) prop(name string, get, set int) {
	b.first = append(b.first, luajit.Def{Kind: luajit.DefProp, Path: name, Get: get, Set: set})
}

func encodeConst(v any) ([]byte, error) {
	var w luajit.Wire
	switch v := v.(type) {
	case bool:
		w.Bool(v)
	case int:
		w.Int(int64(v))
	case float64:
		w.Num(v)
	case string:
		w.Str(v)
	case nullValue:
		w.Light(0)
	default:
		return nil, fmt.Errorf("constant of type %T", v)
	}
	return w.B, nil
}

// guardFunc is told about writes of global variables: name, traceback.
var guardFunc = &Func{Name: "_G.__newindex", Run: func(c *Call) Outcome {
	c.vm.rt.opt.Host.Log(c.Context(), Warn, "[lua] _G write guard:12: __newindex(): writing a global Lua variable ('"+
		c.String(1)+"') which may lead to race conditions between concurrent requests, so prefer the use of 'local' variables"+
		c.String(2))
	return c.Return()
}}
