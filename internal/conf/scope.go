package conf

import (
	"fmt"
	"strconv"
	"unsafe"
)

// Kind is the kind of block a config struct belongs to.
type Kind uint8

// The kinds. An http{} block has structs of KindMain and, as defaults for what is
// inside it, of KindServer and KindLocation; stream{} likewise.
const (
	KindCore           Kind = iota // the whole process
	KindEvents                     // events{}
	KindMain                       // http{}
	KindServer                     // server{} of http{}
	KindLocation                   // location{}, if{}, limit_except{}
	KindUpstream                   // upstream{} of http{}
	KindStreamMain                 // stream{}
	KindStreamServer               // server{} of stream{}
	KindStreamUpstream             // upstream{} of stream{}

	numKinds = iota
)

// owned lists the kinds of structs a scope of each kind has for itself; what else it
// sees belongs to its parents. The core owns the events structs, so that they can be
// reached from everywhere after events{} has been read.
var owned = [numKinds][]Kind{
	KindCore:           {KindCore, KindEvents},
	KindEvents:         {},
	KindMain:           {KindMain, KindServer, KindLocation},
	KindServer:         {KindServer, KindLocation},
	KindLocation:       {KindLocation},
	KindUpstream:       {KindUpstream},
	KindStreamMain:     {KindStreamMain, KindStreamServer},
	KindStreamServer:   {KindStreamServer},
	KindStreamUpstream: {KindStreamUpstream},
}

// outer lists the kind of the usual parent of each kind.
var outer = [numKinds]Kind{
	KindEvents:         KindCore,
	KindMain:           KindCore,
	KindServer:         KindMain,
	KindLocation:       KindServer,
	KindUpstream:       KindMain,
	KindStreamMain:     KindCore,
	KindStreamServer:   KindStreamMain,
	KindStreamUpstream: KindStreamMain,
}

// Level is the config struct T that a module has at one kind of block. Its index is
// fixed when the package's variables are initialised, so levels are package variables.
type Level[T any] struct {
	kind    Kind
	index   int
	initial []func(*T)
	merges  []func(parent, child *T, s *Scope) error
	inits   []func(t *T, s *Scope) error
}

// levelOps is a Level without its type.
type levelOps interface {
	create() unsafe.Pointer
	merge(parent, child unsafe.Pointer, s *Scope) error
	init(t unsafe.Pointer, s *Scope) error
}

// levels registers every level of the program by kind, in order of initialisation:
// a package's levels come after those of the packages it imports.
var levels [numKinds][]levelOps

// NewLevel declares the struct T for blocks of kind k. Each initial runs on every new
// struct before any directive does.
func NewLevel[T any](k Kind, initial ...func(*T)) *Level[T] {
	l := &Level[T]{kind: k, index: len(levels[k]), initial: initial}
	levels[k] = append(levels[k], l)
	return l
}

// Of returns the struct that scope s sees: its own, or the one it shares with its
// parent. It is called several times for every request and does nothing but index.
func (l *Level[T]) Of(s *Scope) *T {
	// Entry index of the set was made by this level's create, hence is a *T. A type
	// assertion would need the dictionary of T at run time.
	return (*T)(s.sets[l.kind][l.index])
}

// OnMerge adds the hand-written part of merging: it runs after the merging of rows of
// all modules, in order of declaration.
func (l *Level[T]) OnMerge(f func(parent, child *T, s *Scope) error) *Level[T] {
	l.merges = append(l.merges, f)
	return l
}

// OnInit adds a function to run once for each struct, when Init reaches its scope.
func (l *Level[T]) OnInit(f func(t *T, s *Scope) error) *Level[T] {
	l.inits = append(l.inits, f)
	return l
}

func (l *Level[T]) create() unsafe.Pointer {
	t := new(T)
	for _, f := range l.initial {
		f(t)
	}
	return unsafe.Pointer(t)
}

func (l *Level[T]) merge(parent, child unsafe.Pointer, s *Scope) error {
	for _, f := range l.merges {
		if err := f((*T)(parent), (*T)(child), s); err != nil {
			return err
		}
	}
	return nil
}

func (l *Level[T]) init(t unsafe.Pointer, s *Scope) error {
	for _, f := range l.inits {
		if err := f((*T)(t), s); err != nil {
			return err
		}
	}
	return nil
}

// Scope is the set of config structs that one block sees. Location-like blocks (if,
// limit_except) are scopes of KindLocation whose parent is the block they stand in.
type Scope struct {
	Kind     Kind
	Parent   *Scope
	Children []*Scope // in order of creation
	Dir      *Cmd     // the directive that opened the block; nil for implied scopes

	sets   [numKinds][]unsafe.Pointer
	config *Config
	inited bool
}

// NewScope makes the scope of a block of the given kind inside parent. Without a parent
// it owns every struct it sees, which suits tests.
func NewScope(kind Kind, parent *Scope) *Scope {
	s := &Scope{Kind: kind, Parent: parent}
	if parent != nil {
		s.sets = parent.sets
		s.config = parent.config
		parent.Children = append(parent.Children, s)
	}
	for k := kind; ; k = outer[k] {
		for _, o := range owned[k] {
			if k == kind || s.sets[o] == nil {
				s.sets[o] = createSet(o)
			}
		}
		if parent != nil || k == KindCore {
			return s
		}
	}
}

func createSet(k Kind) []unsafe.Pointer {
	set := make([]unsafe.Pointer, len(levels[k]))
	for i, l := range levels[k] {
		set[i] = l.create()
	}
	return set
}

// Own reports whether the structs of kind k that s sees are its own, not its parent's.
func (s *Scope) Own(k Kind) bool {
	if s.sets[k] == nil {
		return false
	}
	if s.Parent == nil {
		return true
	}
	for _, o := range owned[s.Kind] {
		if o == k {
			return true
		}
	}
	return false
}

// Config is the configuration being loaded; nil for a scope made outside of Load.
func (s *Scope) Config() *Config { return s.config }

// Errorf makes an error met while merging or initialising. As in nginx it is reported
// where the reading stands, usually at the closing brace of http{}.
func (s *Scope) Errorf(format string, a ...any) error {
	return s.here().errorf(format, a...)
}

// Warnf logs a warning with the place Errorf would name.
func (s *Scope) Warnf(format string, a ...any) {
	if s.config != nil {
		s.config.log("warn", s.here().errorf(format, a...).Error())
	}
}

// Logf logs a line without a place, where nginx knows none.
func (s *Scope) Logf(level, format string, a ...any) {
	if s.config != nil {
		s.config.log(level, fmt.Sprintf(format, a...))
	}
}

// Reading is where the reading of the configuration stands, as FILE:LINE; "" when it is over.
func (s *Scope) Reading() string {
	at := s.here()
	if at.file == "" {
		return ""
	}
	return at.file + ":" + strconv.Itoa(at.line)
}

func (s *Scope) here() place {
	if s.config == nil {
		return place{}
	}
	return s.config.parser.here()
}

// Merge completes the child's structs of the given kinds, or of all it owns: what the
// child leaves unset comes from the parent, and what that leaves unset too from the
// rows' defaults. First the rows of all modules are merged, then OnMerge functions
// run. A nil parent stands for one that sets nothing; OnMerge is not called then.
func Merge(parent, child *Scope, kinds ...Kind) error {
	if len(kinds) == 0 {
		kinds = owned[child.Kind]
	}
	for _, k := range kinds {
		if !child.Own(k) {
			continue
		}
		from := parent
		if from != nil && from.sets[k] == nil {
			from = nil // such as an upstream's parent
		}
		if err := mergeRows(from, child, k); err != nil {
			return err
		}
		if from == nil {
			continue
		}
		for i, l := range levels[k] {
			if err := l.merge(from.sets[k][i], child.sets[k][i], child); err != nil {
				return child.here().wrap(err)
			}
		}
	}
	return nil
}

func mergeRows(parent, child *Scope, k Kind) error {
	if child.config == nil {
		return nil
	}
	for _, r := range child.config.parser.merging[k] {
		if err := r.Set.(merger).merge(child.config.parser, r, parent, child); err != nil {
			return err
		}
	}
	return nil
}

// MergeTree merges root's descendants, each with its parent, parents first.
func MergeTree(root *Scope) error {
	for _, child := range root.Children {
		if err := Merge(root, child); err != nil {
			return err
		}
		if err := MergeTree(child); err != nil {
			return err
		}
	}
	return nil
}

// Init runs OnInit functions for the structs of s and its descendants, parents first,
// once for each struct however often it is called.
func Init(s *Scope) error {
	if err := s.initOwn(); err != nil {
		return err
	}
	for _, child := range s.Children {
		if err := Init(child); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scope) initOwn() error {
	if s.inited {
		return nil
	}
	s.inited = true
	for _, k := range owned[s.Kind] {
		for i, l := range levels[k] {
			if err := l.init(s.sets[k][i], s); err != nil {
				return s.here().wrap(err)
			}
		}
	}
	return nil
}
