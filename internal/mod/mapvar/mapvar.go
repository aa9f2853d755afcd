// Package mapvar makes variables whose values depend on other values: map.
//
// A value is looked for among the texts first, then, with "hostnames", among names with a leading and with a trailing
// asterisk, then among the regular expressions in their order. Texts are compared without regard to case.
package mapvar

import (
	"bytes"
	"strings"

	"moongate/internal/base/ascii"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/luajit"
)

// mainConfig is what tunes nginx's hash tables; ours tune themselves.
type mainConfig struct {
	maxSize    conf.Opt[int]
	bucketSize conf.Opt[int]
}

var mainLevel = conf.NewLevel[mainConfig](conf.KindMain)

// Module is the map module.
var Module = engine.Module{Module: conf.Module{Name: "map", Directives: []conf.Directive{
	{Name: "map", Syntax: "string $variable { ... }", In: conf.HTTP, Args: conf.Take2 | conf.Block, Set: conf.Func(readMap),
		Doc: "Makes a variable whose value follows from the string's: each line has a text, or an expression behind `~` or `~*`, and the result, which may have variables. `default` names the result without a match, `hostnames` has texts with asterisks match like server names, `volatile` keeps the result from being remembered, `include` reads a file; a backslash in front makes these words texts."},
	{Name: "map_hash_max_size", In: conf.HTTP, Default: "2048", Set: conf.Slot(mainLevel, conf.Number, func(m *mainConfig) *conf.Opt[int] { return &m.maxSize }),
		Doc: "Accepted for compatibility."},
	{Name: "map_hash_bucket_size", In: conf.HTTP, Default: "64", Set: conf.Slot(mainLevel, conf.Number, func(m *mainConfig) *conf.Opt[int] { return &m.bucketSize }),
		Doc: "Accepted for compatibility."},
}}}

// table is a map block.
type table struct {
	source    *engine.Template
	exact     map[string]*engine.Template
	heads     map[string]*engine.Template // "*.example.com" by ".example.com"
	tails     map[string]*engine.Template // "www.example.*" by "www.example."
	regexes   []regexCase
	other     *engine.Template // default
	hostnames bool
}

type regexCase struct {
	regex *luajit.Regex
	value *engine.Template
}

func readMap(c *conf.Cmd) error {
	t := &table{exact: map[string]*engine.Template{}, heads: map[string]*engine.Template{}, tails: map[string]*engine.Template{}}
	var err error
	if t.source, err = engine.CompileArg(c, c.Args[0]); err != nil {
		return err
	}
	name := c.Args[1]
	if !strings.HasPrefix(name, "$") {
		return c.Errorf("invalid variable name \"%s\"", name)
	}
	v, err := engine.HTTPOf(c).DefineVar(engine.Var{Name: name[1:], Get: get, Data: t})
	if err != nil {
		return c.Errorf("%s", err)
	}
	err = c.Entries(func(e *conf.Cmd) error {
		switch {
		case e.Name == "hostnames" && len(e.Args) == 0:
			t.hostnames = true
			return nil
		case e.Name == "volatile" && len(e.Args) == 0:
			v.NoCache = true
			return nil
		case len(e.Args) != 1:
			return e.Errorf("invalid number of the map parameters")
		case e.Name == "include":
			return e.Include()
		}
		value, err := engine.CompileArg(e, e.Args[0])
		if err != nil {
			return err
		}
		return t.add(e, e.Name, value)
	})
	if t.other == nil {
		t.other = engine.Literal("")
	}
	return err
}

// add takes one line of the block.
func (t *table) add(e *conf.Cmd, key string, value *engine.Template) error {
	if key == "default" {
		if t.other != nil {
			return e.Errorf("duplicate default map parameter")
		}
		t.other = value
		return nil
	}
	if pattern, ok := strings.CutPrefix(key, "~"); ok {
		pattern, caseless := strings.CutPrefix(pattern, "*")
		re, err := engine.CompileRegex(e, pattern, caseless)
		t.regexes = append(t.regexes, regexCase{re, value})
		return err
	}
	key = strings.TrimPrefix(key, "\\")
	lower := string(ascii.AppendLower(nil, key))
	ok := true
	put := func(m map[string]*engine.Template, k string) {
		ok = ok && m[k] == nil
		m[k] = value
	}
	switch kind := wildcard(lower); {
	case !t.hostnames || kind == plain:
		put(t.exact, lower)
	case kind == bad:
		return e.Errorf("invalid hostname or wildcard \"%s\"", key)
	case kind == domain:
		put(t.exact, lower[1:])
		put(t.heads, lower)
	case kind == head:
		put(t.heads, lower[1:])
	case kind == tail:
		put(t.tails, lower[:len(lower)-1])
	}
	if !ok {
		return e.Errorf("conflicting parameter \"%s\"", lower)
	}
	return nil
}

// Kinds of host names.
const (
	plain  = iota
	domain // ".example.com"
	head   // "*.example.com"
	tail   // "www.example.*"
	bad
)

func wildcard(s string) int {
	stars := strings.Count(s, "*")
	switch {
	case stars > 1, strings.Contains(s, ".."), strings.Contains(s, "\x00"):
		return bad
	case len(s) > 1 && s[0] == '.':
		return domain
	case len(s) > 2 && strings.HasPrefix(s, "*."):
		return head
	case len(s) > 2 && strings.HasSuffix(s, ".*"):
		return tail
	case stars > 0:
		return bad
	}
	return plain
}

func get(r *engine.Request, v *engine.Var) ([]byte, bool) {
	t := v.Data.(*table)
	val := t.source.Eval(r)
	if t.hostnames {
		val = bytes.TrimSuffix(val, []byte("."))
	}
	return t.find(r, val).Eval(r), true
}

// find chooses the result for a value.
func (t *table) find(r *engine.Request, val []byte) *engine.Template {
	low := lower(r, val)
	if found := t.exact[string(low)]; found != nil {
		return found
	}
	if len(t.heads) > 0 {
		// From the left, so that the longest name is found first.
		for i := bytes.IndexByte(low, '.'); i >= 0 && i < len(low); i = next(low, i) {
			if found := t.heads[string(low[i:])]; found != nil && i > 0 {
				return found
			}
		}
	}
	if len(t.tails) > 0 {
		for i := bytes.LastIndexByte(low, '.'); i >= 0; i = bytes.LastIndexByte(low[:i], '.') {
			if found := t.tails[string(low[:i+1])]; found != nil && i+1 < len(low) {
				return found
			}
		}
	}
	if len(val) > 0 {
		for i := range t.regexes {
			if r.MatchRegex(t.regexes[i].regex, val) {
				return t.regexes[i].value
			}
		}
	}
	return t.other
}

// next is the place of the next dot behind i, or the end.
func next(b []byte, i int) int {
	if j := bytes.IndexByte(b[i+1:], '.'); j >= 0 {
		return i + 1 + j
	}
	return len(b)
}

// lower gives val in lower case, which it mostly is already.
func lower(r *engine.Request, val []byte) []byte {
	for _, c := range val {
		if c >= 'A' && c <= 'Z' {
			return ascii.AppendLower(r.Alloc(len(val))[:0], val)
		}
	}
	return val
}
