// Package setmisc has the directives that assign to variables what the functions of package setvar make: quoting,
// encodings, digests, random and chosen values. They run in the script of the rewrite module, between its directives.
package setmisc

import (
	"strings"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/mod/rewrite"
	"moongate/internal/setvar"
)

const inAny = conf.HTTP | conf.Server | conf.Location | conf.ServerIf | conf.LocationIf

// Module is the set-misc module, with upstream_list of the development kit.
var Module = engine.Module{
	Module: conf.Module{Name: "set_misc", Directives: append(rows(), settings...)},
}

var settings = []conf.Directive{
	{Name: "set_base32_padding", In: inAny, Default: "on", Set: conf.Slot(setvar.Level, conf.Flag, func(c *setvar.Conf) *conf.Opt[bool] { return &c.Padding }),
		Doc: "Whether base32 is filled up with `=`."},
	{Name: "set_misc_base32_padding", In: inAny, Default: "on", Set: conf.Slot(setvar.Level, conf.Flag, func(c *setvar.Conf) *conf.Opt[bool] { return &c.Padding }),
		Doc: "The former name of set_base32_padding."},
	{Name: "set_base32_alphabet", Syntax: "alphabet", In: inAny, Args: conf.Take1, Default: "\"" + setvar.Alphabet + "\"", Set: conf.Func(readAlphabet),
		Doc: "The 32 digits of base32."},
	{Name: "encrypted_session_key", In: inAny, Set: conf.Slot(setvar.Level, sessionKey, func(c *setvar.Conf) *conf.Opt[string] { return &c.Key }),
		Doc: "The key of set_encrypt_session and set_decrypt_session: 32 bytes."},
	{Name: "encrypted_session_iv", In: inAny, Default: "\"" + setvar.DefaultIV + "\"", Set: conf.Slot(setvar.Level, sessionIV, func(c *setvar.Conf) *conf.Opt[string] { return &c.IV }),
		Doc: "The initialisation vector: up to 16 bytes."},
	{Name: "encrypted_session_expires", In: inAny, Default: "1d", Set: conf.Slot(setvar.Level, conf.Sec, func(c *setvar.Conf) *conf.Opt[time.Duration] { return &c.Expires }),
		Doc: "How long a sealed value is good; 0 is for ever."},
	{Name: "upstream_list", Syntax: "name upstream ...", In: conf.HTTP, Args: conf.TwoMore, Set: conf.Func(readList),
		Doc: "Names a list of upstreams for set_hashed_upstream."},
}

var sessionKey = conf.NewType("key", conf.Take1, func(c *conf.Cmd) (string, error) {
	if len(c.Args[0]) != setvar.SessionKey {
		return "", c.Errorf("encrypted_session_key: the key must be of %d bytes long", setvar.SessionKey)
	}
	return c.Args[0], nil
})

var sessionIV = conf.NewType("iv", conf.Take1, func(c *conf.Cmd) (string, error) {
	if len(c.Args[0]) > setvar.SessionIV {
		return "", c.Errorf("encrypted_session_iv: the init vector must NOT be longer than %d bytes", setvar.SessionIV)
	}
	return c.Args[0], nil
})

// arity is the number of words of a directive, by the function's form; the first is the variable.
var arity = map[setvar.Form]conf.Arity{
	setvar.Value: conf.Take12, setvar.Bare: conf.Take1, setvar.One: conf.Take2, setvar.Two: conf.Take3, setvar.Own: conf.Take2, setvar.TwoOwn: conf.Take3,
}

var syntax = map[setvar.Form]string{
	setvar.Value: "$variable [value]", setvar.Bare: "$variable", setvar.One: "$variable value", setvar.Two: "$variable value value",
	setvar.Own: "$variable value", setvar.TwoOwn: "$variable from to",
}

func rows() []conf.Directive {
	var list []conf.Directive
	for i := range setvar.Funcs {
		f := &setvar.Funcs[i]
		list = append(list, conf.Directive{Name: f.Name, Syntax: syntax[f.Form], In: inAny, Args: arity[f.Form], Doc: f.Doc,
			Set: conf.Func(func(c *conf.Cmd) error { return define(c, f) })})
	}
	return list
}

func define(c *conf.Cmd, f *setvar.Func) error {
	name, args := c.Args[0], c.Args[1:]
	if f.Name == "set_hashed_upstream" && !strings.Contains(args[0], "$") && !listed(c.Scope, args[0]) {
		return c.Errorf("set_hashed_upstream: upstream list \"%s\" not defined yet", args[0])
	}
	switch {
	case len(args) == 0, f.Form == setvar.Own: // the variable itself
		args = c.Args
	case f.Form == setvar.TwoOwn:
		args = []string{args[0], args[1], name}
	}
	return rewrite.DefineSet(c, name, args, f.Do)
}

// listed reports whether an upstream_list before this place has the name.
func listed(s *conf.Scope, name string) bool {
	for ; s != nil && s.Own(conf.KindLocation); s = s.Parent {
		if setvar.Level.Of(s).Lists[name] != nil {
			return true
		}
	}
	return false
}

func readAlphabet(c *conf.Cmd) error {
	a := &setvar.Level.Of(c.Scope).Alphabet
	if a.IsSet {
		return c.Duplicate()
	}
	if n := len(c.Args[0]); n != len(setvar.Alphabet) {
		return c.Errorf("\"set_base32_alphabet\" directive takes an alphabet of %d bytes but %d expected", n, len(setvar.Alphabet))
	}
	a.V, a.IsSet = c.Args[0], true
	return nil
}

func readList(c *conf.Cmd) error {
	conf := setvar.Level.Of(c.Scope)
	if conf.Lists == nil {
		conf.Lists = map[string][]string{}
	}
	conf.Lists[c.Args[0]] = c.Args[1:]
	return nil
}
