package engine

import (
	"fmt"
	"strings"

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
	// NoCache variables are evaluated at each use.
	NoCache bool
	// Prefix variables answer for every name that begins with Name ("http_", "arg_", ...): Get finds the whole name
	// in v.Name.
	Prefix bool
	// Data belongs to Get and Set.
	Data any
	// Doc is one sentence for the reference.
	Doc string

	index   int // slot in the request, -1 for none
	regular bool
}

type varSlot struct {
	val   []byte
	gen   uint32
	found bool
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
			v.index = -1
			if v.Prefix {
				t.prefixes = append(t.prefixes, &v)
			} else {
				t.byName[v.Name] = &v
			}
		}
	}
	return t
}

// lookup finds a variable without giving it a slot.
func (t *varTable) lookup(name string) *Var {
	if v := t.byName[name]; v != nil {
		return v
	}
	for _, p := range t.prefixes {
		if strings.HasPrefix(name, p.Name) {
			return p
		}
	}
	return nil
}

// Var finds a variable for use in a template and gives it a slot in requests. A name nobody defined is an error when
// the configuration has been read (nginx: unknown "x" variable).
func (h *HTTP) Var(name string) *Var {
	name = strings.ToLower(name)
	t := h.table
	v := t.byName[name]
	if v == nil {
		for _, p := range t.prefixes {
			if strings.HasPrefix(name, p.Name) {
				c := *p
				c.Name, c.Prefix = name, false
				v = &c
				break
			}
		}
		if v == nil {
			v = &Var{Name: name, index: -1} // may be defined further down
			h.undefined = append(h.undefined, v)
		}
		t.byName[name] = v
	}
	if v.index < 0 {
		v.index = len(h.vars)
		h.vars = append(h.vars, v)
	}
	return v
}

// DefineVar adds a variable made by a directive (set, map, geo, auth_request_set, ...). An existing variable that is
// not Changeable gives nginx's error text.
func (h *HTTP) DefineVar(d Var) (*Var, error) {
	d.Name = strings.ToLower(d.Name)
	v := h.table.byName[d.Name]
	if v == nil {
		if p := h.table.lookup(d.Name); p != nil && p.Prefix {
			v = h.Var(d.Name)
		}
	}
	if v == nil {
		c := d
		c.index = -1
		v = &c
		h.table.byName[d.Name] = v
		return h.Var(d.Name), nil
	}
	if !v.Changeable && v.Get != nil {
		return nil, fmt.Errorf("the duplicate \"%s\" variable", d.Name)
	}
	if d.Get != nil || v.Get == nil && v.Set == nil {
		v.Get, v.Set, v.Data, v.NoCache = d.Get, d.Set, d.Data, d.NoCache
	}
	v.Changeable = true
	v.regular = true
	return h.Var(d.Name), nil
}

// checkVars reports the first variable that is used and never defined.
func (h *HTTP) checkVars() error {
	for _, v := range h.undefined {
		if v.Get == nil && !v.regular && !v.Changeable {
			return fmt.Errorf("unknown \"%s\" variable", v.Name)
		}
	}
	return nil
}

// FindVar finds a variable at run time by its lower-case name, nil when there is none. The result of a prefix variable
// must be evaluated with GetNamed.
func (r *Request) FindVar(name string) *Var { return r.H.table.lookup(name) }

// Var evaluates a variable. The bytes live as long as the request.
func (r *Request) Var(v *Var) ([]byte, bool) {
	if v.index < 0 {
		if v.Get == nil {
			return nil, false
		}
		return v.Get(r, v)
	}
	s := &r.vars[v.index]
	if s.gen == r.gen && (!v.NoCache || v.Get == nil) {
		return s.val, s.found
	}
	if v.Get == nil {
		return nil, false
	}
	val, found := v.Get(r, v)
	s = &r.vars[v.index]
	s.val, s.found, s.gen = val, found, r.gen
	return val, found
}

// VarNamed evaluates the variable with that lower-case name, as ngx.var and $-prefix families do.
func (r *Request) VarNamed(name []byte) ([]byte, bool) {
	t := r.H.table
	if v := t.byName[string(name)]; v != nil {
		return r.Var(v)
	}
	for _, p := range t.prefixes {
		if len(name) > len(p.Name) && string(name[:len(p.Name)]) == p.Name {
			c := *p
			c.Name = str(name)
			return p.Get(r, &c)
		}
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
		s.val, s.found, s.gen = val, true, r.gen
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
		s.val, s.found, s.gen = nil, false, r.gen
	}
}

// ForgetVar drops a cached value, so that the next use evaluates it again.
func (r *Request) ForgetVar(v *Var) {
	if v.index >= 0 {
		r.vars[v.index].gen = r.gen - 1
	}
}

// HasSlot reports whether assignments to v are kept (it was mentioned in the configuration).
func (v *Var) HasSlot() bool { return v.index >= 0 }

// shareVars makes a subrequest see its parent's variables.
func (r *Request) shareVars(p *Request) { r.vars, r.gen = p.vars, p.gen }

// Vars lists the variables of all modules, for dumps.
func Vars(modules []*Module) []Var {
	var out []Var
	for _, m := range modules {
		out = append(out, m.Vars...)
	}
	return out
}

var _ conf.Type[*Template] = templateType{}
