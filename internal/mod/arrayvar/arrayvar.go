// Package arrayvar has the directives for variables that hold several values: array_split makes one, array_map and
// array_map_op change its values, array_join makes a text of it. They run in the script of the rewrite module.
package arrayvar

import (
	"strings"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/mod/rewrite"
	"moongate/internal/setvar"
)

const inAny = conf.HTTP | conf.Server | conf.Location | conf.ServerIf | conf.LocationIf

// Module is the array-var module.
var Module = engine.Module{
	Module: conf.Module{Name: "array_var", Directives: []conf.Directive{
		{Name: "array_split", Syntax: "separator subject [max] [to=$target]", In: inAny, Args: conf.TwoMore, Set: conf.Func(split),
			Doc: "Makes an array of a text, max values at most; without `to` the subject is a variable that becomes the array. An empty separator splits after each byte."},
		{Name: "array_map", Syntax: "template $array [to=$target]", In: inAny, Args: conf.Take23, Set: conf.Func(mapValues),
			Doc: "Replaces each value by a template, in which `$array_it` is the value."},
		{Name: "array_map_op", Syntax: "directive $array [to=$target]", In: inAny, Args: conf.Take23, Set: conf.Func(mapOp),
			Doc: "Replaces each value by what a directive such as set_quote_sql_str makes of it."},
		{Name: "array_join", Syntax: "separator $array [to=$target]", In: inAny, Args: conf.Take23, Set: conf.Func(join),
			Doc: "Makes a text of the values with a separator between them."},
	}},
	Vars: []engine.Var{{Name: "array_it", Changeable: true, NoCache: true, Doc: "The value that array_map is at.",
		Get: func(*engine.Request, *engine.Var) ([]byte, bool) { return nil, false }}},
}

// to gives the target of a "to=$x" argument.
func to(arg string) (string, bool) { return strings.CutPrefix(arg, "to=") }

// target is the variable that the directive assigns to: the last argument's, or the second argument.
func target(c *conf.Cmd) (string, error) {
	if len(c.Args) == 2 {
		return c.Args[1], nil
	}
	name, ok := to(c.Args[2])
	if !ok {
		return "", c.Errorf("%s: unexpected argument \"%s\"", c.Name, c.Args[2])
	}
	return name, nil
}

func split(c *conf.Cmd) error {
	name, args := c.Args[1], c.Args
	switch n := len(c.Args); {
	case n == 2:
	case strings.HasPrefix(c.Args[2], "to="):
		if n > 3 {
			return c.Errorf("%s: unexpected argument \"%s\"", c.Name, c.Args[3])
		}
		name, args = c.Args[2][len("to="):], c.Args[:2]
	case n == 4:
		var ok bool
		if name, ok = to(c.Args[3]); !ok {
			return c.Errorf("%s: expecting the \"to\" option at the 4th argument: \"%s\"", c.Name, c.Args[3])
		}
		args = c.Args[:3]
	case n > 4:
		return c.Errorf("%s: unexpected argument \"%s\"", c.Name, c.Args[4])
	}
	return rewrite.DefineSet(c, name, args, func(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
		most := -1
		if len(args) == 3 {
			n, ok := ascii.ParseInt(args[2])
			if !ok {
				r.Logf(nlog.Error, "array_split: invalid max items: \"%s\"", args[2])
				return nil, 500
			}
			if n > 0 {
				most = int(min(n, 1<<30))
			}
		}
		var items [][]byte
		sep, rest := string(args[0]), args[1]
		for most < 0 || len(items) < most-1 {
			i, skip := strings.Index(string(rest), sep), len(sep)
			if sep == "" {
				if i = 1; len(rest) < 2 {
					i = -1
				}
			}
			if i < 0 {
				break
			}
			items = append(items, rest[:i])
			rest = rest[i+skip:]
		}
		return setvar.Array(r, append(items, rest)), engine.OK
	})
}

// items gives the values of an array; false, which is logged: it is none.
func items(r *engine.Request, name string, value []byte) ([][]byte, bool) {
	list, ok := setvar.Items(value)
	if !ok {
		r.Logf(nlog.Error, "%s: invalid array variable value in the 2nd argument: \"%s\"", name, value)
	}
	return list, ok
}

func mapValues(c *conf.Cmd) error {
	template, err := engine.CompileArg(c, c.Args[0])
	if err != nil {
		return err
	}
	name := c.Args[1]
	if len(c.Args) == 3 {
		var ok bool
		if name, ok = to(c.Args[2]); !ok {
			return c.Errorf("%s: expecting the \"to\" option at the 3rd argument: \"%s\"", c.Name, c.Args[2])
		}
	}
	it := engine.HTTPOf(c).Var("array_it")
	return rewrite.DefineSet(c, name, c.Args[1:2], func(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
		list, ok := items(r, "array_join", args[0]) // nginx's module names that one
		if !ok {
			return nil, 500
		}
		for i, v := range list {
			r.SetVar(it, v)
			list[i] = template.Eval(r)
		}
		r.UnsetVar(it)
		return setvar.Array(r, list), engine.OK
	})
}

func mapOp(c *conf.Cmd) error {
	name, err := target(c)
	if err != nil {
		return err
	}
	return rewrite.DefineSet(c, name, c.Args[:2], func(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
		f := setvar.Lookup(string(args[0]))
		if f == nil {
			r.Logf(nlog.Error, "array_map_op: directive \"%s\" not found or does not use ndk_set_var_value", args[0])
			return nil, 500
		}
		list, ok := items(r, "array_map_op", args[1])
		if !ok {
			return nil, 500
		}
		for i, v := range list {
			val, st := f.Do(r, [][]byte{v})
			if st != engine.OK {
				return nil, st
			}
			list[i] = val
		}
		return setvar.Array(r, list), engine.OK
	})
}

func join(c *conf.Cmd) error {
	name, err := target(c)
	if err != nil {
		return err
	}
	return rewrite.DefineSet(c, name, c.Args[:2], func(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
		list, ok := items(r, "array_join", args[1])
		if !ok {
			return nil, 500
		}
		size := 0
		for _, v := range list {
			size += len(v) + len(args[0])
		}
		b := r.Alloc(size)[:0]
		for i, v := range list {
			if i > 0 {
				b = append(b, args[0]...)
			}
			b = append(b, v...)
		}
		return b, engine.OK
	})
}
