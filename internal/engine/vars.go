package engine

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
)

// Var is one variable: "$name" in configuration and ngx.var.name in Lua.
type Var struct {
	Name string
	// Get gives the value and whether there is one. The bytes must live as long as the request.
	Get func(r *Request, v *Var) ([]byte, bool)
	// Set handles an assignment; nil with Changeable stores the value in the variable's slot.
	Set func(r *Request, v *Var, val []byte)
	// Changeable variables may be redefined by "set", map, geo and Lua.
	Changeable bool
	// NoCache variables are evaluated at each use, until a value is assigned.
	NoCache bool
	// Prefix variables answer for every name that begins with Name ("http_", "arg_", ...): Get finds the whole name
	// in v.Name.
	Prefix bool
	// Weak definitions leave a prefix variable of that name what it is ("set $http_x" adds a slot only), and do not take
	// the place of another definition.
	Weak bool
	// Data belongs to Get and Set.
	Data any
	// Doc is one sentence for the reference.
	Doc string

	index   int    // slot in the request, -1 for none
	defined bool   // by a module or a directive, not only mentioned
	used    string // where it was first mentioned, for who has to find a slip of the pen
}

type varSlot struct {
	val      []byte
	gen      uint32
	found    bool
	volatile bool // to be evaluated anew at the next use
}

// varTable is the set of variables of one http block.
type varTable struct {
	byName   map[string]*Var
	prefixes []*Var
}

func newVarTable(modules []*Module) *varTable {
	t := &varTable{byName: map[string]*Var{}}
	for _, m := range modules {
		for i := range m.Vars {
			v := m.Vars[i]
			v.index, v.defined = -1, true
			if v.Prefix {
				t.prefixes = append(t.prefixes, &v)
			} else {
				t.byName[v.Name] = &v
			}
		}
	}
	// The longest prefix wins.
	sort.SliceStable(t.prefixes, func(i, j int) bool { return len(t.prefixes[i].Name) > len(t.prefixes[j].Name) })
	return t
}

// prefix finds the prefix variable that answers for a name.
func (t *varTable) prefix(name string) *Var {
	for _, p := range t.prefixes {
		if strings.HasPrefix(name, p.Name) {
			return p
		}
	}
	return nil
}

// lookup finds a variable without giving it a slot.
func (t *varTable) lookup(name string) *Var {
	if v := t.byName[name]; v != nil {
		return v
	}
	return t.prefix(name)
}

// mention finds or makes the entry of a name: a copy of the prefix variable that answers for it, or a variable that may
// be defined further down.
func (h *HTTP) mention(name string) *Var {
	t := h.table
	if v := t.byName[name]; v != nil {
		return v
	}
	v := &Var{Name: name}
	if p := t.prefix(name); p != nil {
		*v = *p
		v.Name, v.Prefix, v.defined = name, false, false
	} else {
		v.used = h.Scope.Reading()
		h.undefined = append(h.undefined, v)
	}
	v.index = -1
	t.byName[name] = v
	return v
}

// Var finds a variable for use in a template and gives it a slot in requests. A name nobody defined is an error when
// the configuration has been read (nginx: unknown "x" variable).
func (h *HTTP) Var(name string) *Var {
	v := h.mention(strings.ToLower(name))
	if v.index < 0 {
		v.index = len(h.vars)
		h.vars = append(h.vars, v)
	}
	return v
}

// DefineVar adds a variable made by a directive (set, map, geo, auth_request_set, ...) and gives it a slot. The error,
// nginx's text, is that the name is taken by a variable which is not Changeable.
func (h *HTTP) DefineVar(d Var) (*Var, error) {
	name := strings.ToLower(d.Name)
	if name == "" {
		return nil, errors.New("invalid variable name \"$\"")
	}
	v := h.Var(name)
	first := !v.defined
	if !first && !v.Changeable {
		return nil, fmt.Errorf("the duplicate \"%s\" variable", d.Name)
	}
	if v.Get == nil || !d.Weak && d.Get != nil {
		v.Get, v.Data = d.Get, d.Data
	}
	if first && !(d.Weak && v.Get != nil && v.NoCache) {
		v.NoCache = d.NoCache
	}
	v.NoCache = v.NoCache || d.NoCache
	if d.Set != nil {
		v.Set = d.Set
	}
	v.defined, v.Changeable = true, true
	return v, nil
}

// checkVars reports the first variable that is used and never defined.
func (h *HTTP) checkVars() error {
	for _, v := range h.undefined {
		if !v.defined {
			return conf.Advise(&conf.Error{Level: "emerg", Msg: fmt.Sprintf("unknown \"%s\" variable", v.Name)}, h.variableAdvice(v)) // nginx does not know where
		}
	}
	return nil
}

// variableAdvice says where a variable nobody defines stands, and which one may be meant.
func (h *HTTP) variableAdvice(v *Var) string {
	meant := conf.Closest(v.Name, func(yield func(string) bool) {
		for name, other := range h.table.byName {
			if other.defined && !yield(name) {
				return
			}
		}
	})
	advice := "\"set\", \"map\" and others make variables"
	if meant != "" {
		advice = "did you mean $" + meant + "?"
	}
	if v.used == "" {
		return advice
	}
	return "$" + v.Name + " is used in " + v.used + "; " + advice
}

// FindVar finds a variable at run time by its lower-case name, nil when there is none. A prefix
// variable ($http_...) is evaluated by VarNamed, which knows the name.
func (r *Request) FindVar(name string) *Var { return r.H.table.lookup(name) }

// FindVarNamed is FindVar; the name may be changed afterwards.
func (r *Request) FindVarNamed(name []byte) *Var { return r.H.table.lookup(str(name)) }

// Var evaluates a variable. The bytes live as long as the request.
func (r *Request) Var(v *Var) ([]byte, bool) {
	if v.index >= 0 {
		if s := &r.vars[v.index]; s.gen == r.gen && !s.volatile {
			return s.val, s.found
		}
	}
	if v.Get == nil {
		return nil, false
	}
	val, found := r.evalVar(v)
	return val, found
}

// maxVarDepth bounds variables that are made of variables, as nginx does.
const maxVarDepth = 100

func (r *Request) evalVar(v *Var) ([]byte, bool) {
	if r.varDepth >= maxVarDepth {
		r.Logf(nlog.Error, "cycle while evaluating variable \"%s\"", v.Name)
		return nil, false
	}
	r.varDepth++
	r.varVolatile = false
	val, found := v.Get(r, v)
	if !found {
		val = nil
	}
	volatile := r.varVolatile || v.NoCache
	r.varVolatile = false
	r.varDepth--
	if v.index >= 0 {
		r.vars[v.index] = varSlot{val, r.gen, found, volatile}
	}
	return val, found
}

// DontCache is for a Get: the value just made is to be evaluated anew at the next use.
func (r *Request) DontCache() { r.varVolatile = true }

// VarNamed evaluates the variable with that lower-case name, as ngx.var and $-prefix families do.
func (r *Request) VarNamed(name []byte) ([]byte, bool) {
	t := r.H.table
	if v := t.byName[string(name)]; v != nil {
		if !v.defined && v.Get != nil { // mentioned, but a prefix variable's: by name they are never cached
			return v.Get(r, v)
		}
		return r.Var(v)
	}
	if p := t.prefix(str(name)); p != nil {
		v := &r.named // Gets of prefix variables read the name first and evaluate no other by name
		*v = *p
		v.Name = str(name)
		return r.evalVar(v)
	}
	return nil, false
}

// SetVar assigns to a variable. The bytes must live as long as the request.
func (r *Request) SetVar(v *Var, val []byte) {
	if v.Set != nil {
		v.Set(r, v, val)
		return
	}
	if v.index >= 0 {
		s := &r.vars[v.index]
		*s = varSlot{val, r.gen, true, false}
	}
}

// UnsetVar makes a stored variable "not found" (ngx.var.x = nil).
func (r *Request) UnsetVar(v *Var) {
	if v.Set != nil {
		v.Set(r, v, nil)
		return
	}
	if v.index >= 0 {
		s := &r.vars[v.index]
		*s = varSlot{nil, r.gen, false, false}
	}
}

// ForgetVar drops a cached value, so that the next use evaluates it again.
func (r *Request) ForgetVar(v *Var) {
	if v.index >= 0 {
		r.vars[v.index].gen = r.gen - 1
	}
}

// Assignable reports whether the configuration or a module defines the variable under its own name; $http_x and its like
// are not, unless a directive such as "set" makes them.
func (v *Var) Assignable() bool { return v.defined && !v.Prefix }

// HasSlot reports whether assignments to v are kept (it was mentioned in the configuration).
func (v *Var) HasSlot() bool { return v.index >= 0 }

// shareVars makes a subrequest see its parent's variables.
func (r *Request) shareVars(p *Request) { r.vars, r.gen = p.vars, p.gen }

var _ conf.Type[*Template] = templateType{}
