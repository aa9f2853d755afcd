package conf

import "slices"

// Opt is an optional value: what config structs are made of. Merging sets every Opt
// whose row has a default.
type Opt[V any] struct {
	V     V
	IsSet bool
}

// Some is an Opt that is set.
func Some[V any](v V) Opt[V] { return Opt[V]{v, true} }

// Or is the value, or def when it is not set.
func (o Opt[V]) Or(def V) V {
	if o.IsSet {
		return o.V
	}
	return def
}

// Setter takes a directive's effect. Setters are made by Slot, List, Func, Ignore,
// Then.
type Setter interface {
	set(c *Cmd) error
	arity() Arity   // 0 where the row has to say
	syntax() string // "" where the row has to say
}

// merger is a Setter that inherits.
type merger interface {
	Setter
	kind() Kind
	merge(p *parser, r *row, parent, child *Scope) error
	checkDefault(p *parser, r *row) error
}

// Type turns a directive's arguments into a value. Errors should come from the Cmd
// (Invalid, Bad, Errorf), which knows nginx's words for them.
type Type[V any] interface {
	Parse(c *Cmd) (V, error)
	Arity() Arity
	String() string // the reference manual's syntax: "on | off"
}

// adder is a Type whose directive may be repeated, each adding to the value.
type adder[V any] interface {
	add(c *Cmd, old V) (V, error)
}

// slot is the stock setter.
type slot[T, V any] struct {
	level *Level[T]
	typ   Type[V]
	field func(*T) *Opt[V]
}

// Slot stores one value in a field of the struct of level l. A second directive in the
// same block is refused as a duplicate. Unset, the value is inherited, and at the
// outermost level it is the row's Default parsed with typ; without a Default it stays
// unset.
func Slot[T, V any](l *Level[T], typ Type[V], field func(*T) *Opt[V]) Setter {
	return &slot[T, V]{l, typ, field}
}

func (s *slot[T, V]) arity() Arity   { return s.typ.Arity() }
func (s *slot[T, V]) syntax() string { return s.typ.String() }
func (s *slot[T, V]) kind() Kind     { return s.level.kind }

func (s *slot[T, V]) set(c *Cmd) error {
	o := s.field(s.level.Of(c.Scope))
	if more, ok := s.typ.(adder[V]); ok {
		v, err := more.add(c, o.V)
		if err != nil {
			return err
		}
		*o = Some(v)
		return nil
	}
	if o.IsSet {
		return c.Duplicate()
	}
	v, err := s.typ.Parse(c)
	if err != nil {
		return err
	}
	*o = Some(v)
	return nil
}

func (s *slot[T, V]) merge(p *parser, r *row, parent, child *Scope) error {
	o := s.field(s.level.Of(child))
	if o.IsSet {
		return nil
	}
	if parent != nil {
		if from := s.field(s.level.Of(parent)); from.IsSet {
			*o = *from
			return nil
		}
	}
	if r.Default == "" {
		return nil
	}
	v, err := defaultOf(p, r, child, s.typ.Parse)
	if err == nil {
		*o = Some(v)
	}
	return err
}

func (s *slot[T, V]) checkDefault(p *parser, r *row) error {
	_, err := defaultOf(p, r, nil, s.typ.Parse)
	return err
}

// list is the setter of directives that accumulate.
type list[T, V any] struct {
	level *Level[T]
	parse func(c *Cmd) (V, error)
	field func(*T) *[]V
}

// List appends what parse makes of each directive to a field. A block without any
// inherits all of its parent's; the Default, if there is one, is then parsed as the
// only directive. The row states the arity.
func List[T, V any](l *Level[T], parse func(c *Cmd) (V, error), field func(*T) *[]V) Setter {
	return &list[T, V]{l, parse, field}
}

func (s *list[T, V]) arity() Arity   { return 0 }
func (s *list[T, V]) syntax() string { return "" }
func (s *list[T, V]) kind() Kind     { return s.level.kind }

func (s *list[T, V]) set(c *Cmd) error {
	v, err := s.parse(c)
	if err != nil {
		return err
	}
	f := s.field(s.level.Of(c.Scope))
	*f = append(*f, v)
	return nil
}

func (s *list[T, V]) merge(p *parser, r *row, parent, child *Scope) error {
	f := s.field(s.level.Of(child))
	if *f != nil {
		return nil
	}
	if parent != nil {
		if from := *s.field(s.level.Of(parent)); from != nil {
			*f = slices.Clip(from) // an append in the child must not reach the parent
			return nil
		}
	}
	if r.Default == "" {
		return nil
	}
	v, err := defaultOf(p, r, child, s.parse)
	if err == nil {
		*f = []V{v}
	}
	return err
}

func (s *list[T, V]) checkDefault(p *parser, r *row) error {
	_, err := defaultOf(p, r, nil, s.parse)
	return err
}

// defaultOf parses the default text of a row, once for each load.
func defaultOf[V any](p *parser, r *row, s *Scope, parse func(c *Cmd) (V, error)) (V, error) {
	if v, ok := p.defaults[r]; ok {
		return v.(V), nil
	}
	var none V
	words, end, problem := newLexer("", r.Default+";").next()
	if problem != "" || end != endSemicolon {
		return none, p.here().errorf("default %q of %q cannot be read", r.Default, r.Name)
	}
	at := p.here()
	c := &Cmd{Name: r.Name, Args: words, File: at.file, Line: at.line, Scope: s, In: r.In, p: p, row: r, param: at.param}
	if !r.args.accepts(len(words)) {
		return none, c.badArity()
	}
	v, err := parse(c)
	if err != nil {
		return none, at.wrap(err)
	}
	p.defaults[r] = v
	return v, nil
}

// hand is a hand-written setter.
type hand func(c *Cmd) error

// Func is a setter for real grammar. The row states arity and syntax. A directive with
// a block has to read it (Block, Entries); else it is skipped unread.
func Func(f func(c *Cmd) error) Setter { return hand(f) }

func (f hand) set(c *Cmd) error { return f(c) }
func (hand) arity() Arity       { return 0 }
func (hand) syntax() string     { return "" }

// checked is the setter of Checked.
type checked[V any] struct{ typ Type[V] }

func (s checked[V]) set(c *Cmd) error { _, err := s.typ.Parse(c); return err }
func (s checked[V]) arity() Arity     { return s.typ.Arity() }
func (s checked[V]) syntax() string   { return s.typ.String() }

// Checked accepts a directive that has no effect here, if its arguments make sense.
func Checked[V any](typ Type[V]) Setter { return checked[V]{typ} }

// Ignore accepts a directive that has no effect here. The row states its arity.
func Ignore() Setter { return hand(func(*Cmd) error { return nil }) }

// then wraps another setter; merging stays that of the first.
type then struct {
	Setter
	after func(c *Cmd) error
}

func (s *then) set(c *Cmd) error {
	if err := s.Setter.set(c); err != nil {
		return err
	}
	return s.after(c)
}

// Then runs f after the setter has succeeded, to check or complete its value.
func Then(s Setter, f func(c *Cmd) error) Setter {
	return wrap(&then{Setter: s, after: f})
}

// wrap keeps the inheritance of the wrapped setter visible.
func wrap(t *then) Setter {
	if m, ok := t.Setter.(merger); ok {
		return &thenMerger{merger: m, outer: t}
	}
	return t
}

type thenMerger struct {
	merger
	outer *then
}

func (s *thenMerger) set(c *Cmd) error { return s.outer.set(c) }
