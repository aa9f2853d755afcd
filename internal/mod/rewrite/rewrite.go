// Package rewrite changes URIs and variables, answers directly and chooses configuration by conditions: rewrite, return,
// if, set, break.
//
// The directives of a block are its script, which runs from top to bottom in the (server-)rewrite phase; an "if" holds
// the script of its block. Others may put operations of their own between the directives (Append, DefineSet). The
// package knows what nginx's script engine does, corner by corner, and nothing of locations beyond what the engine says.
package rewrite

import (
	"strings"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
)

// config is what a block says. script is not inherited.
type config struct {
	log    conf.Opt[bool]
	uninit conf.Opt[bool]
	script *script
}

var loc = conf.NewLevel[config](conf.KindLocation)

const (
	inScript = conf.Server | conf.Location | conf.ServerIf | conf.LocationIf
	inAny    = conf.HTTP | inScript
)

// Module is the rewrite module.
var Module = engine.Module{
	Module: conf.Module{Name: "rewrite", Directives: []conf.Directive{
		{Name: "rewrite", Syntax: "regex replacement [last | break | redirect | permanent]", In: inScript, Args: conf.Take23, Set: conf.Func(readRewrite),
			Doc: "Replaces the URI when it matches. Arguments of the replacement go before those of the request, which a `?` at its end drops. `last` ends the script and searches a location for the new URI, `break` ends it and stays; `redirect` answers with 302 and `permanent` with 301, as does a replacement that begins with `http://`, `https://` or `$scheme`."},
		{Name: "return", Syntax: "code [text] | code URL | URL", In: inScript, Args: conf.Take12, Set: conf.Func(readReturn),
			Doc: "Ends the request with a status, a small text or a redirect. The code 444 closes the connection without an answer."},
		{Name: "if", Syntax: "(condition) { ... }", In: conf.Server | conf.Location, Args: conf.OneMore | conf.Block, Set: conf.Func(readIf),
			Doc: "Runs the directives of its block, and has the block's configuration apply, when a variable is neither empty nor `0`, equals a text (`=`, `!=`), matches an expression (`~`, `~*`, `!~`, `!~*`), or when a file (`-f`), a directory (`-d`), either (`-e`) or an executable (`-x`) is there."},
		{Name: "set", Syntax: "$variable value", In: inScript, Args: conf.Take2, Set: conf.Func(readSet),
			Doc: "Assigns a value to a variable."},
		{Name: "break", In: inScript, Args: conf.NoArgs, Set: conf.Func(readBreak),
			Doc: "Ends the script; the URI is served by the location that it is in."},
		{Name: "rewrite_log", In: inAny, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.log }),
			Doc: "Whether the script's matches and results are logged at the notice level."},
		{Name: "uninitialized_variable_warn", In: inAny, Default: "on", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.uninit }),
			Doc: "Whether the use of a variable that no `set` has reached is logged."},
	}},
	Steps: []engine.Step{
		{Phase: engine.ServerRewrite, Active: hasScript, Run: runScript},
		{Phase: engine.Rewrite, Active: hasScript, Run: runInLocation},
	},
}

func hasScript(s *conf.Scope) bool { return loc.Of(s).script != nil }

// runInLocation leaves the server's script alone, which has run, when no location took the request.
func runInLocation(r *engine.Request) engine.Status {
	if r.Loc == r.Server.Loc {
		return engine.Declined
	}
	return runScript(r)
}

func runScript(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	f := quoting
	if c.log.V || r.Logger.Debugs(nlog.DebugHTTP) {
		f |= logging
	}
	_, st := c.script.run(r, f)
	return st
}

// script is a sequence of operations.
type script []op

// op is one operation: a directive made ready. It gets and gives back the state of the run; the status counts when the
// state says that the run has ended.
type op func(r *engine.Request, f flags) (flags, engine.Status)

// flags are the state of a run.
type flags uint8

const (
	// logging is rewrite_log.
	logging flags = 1 << iota
	// quoting has captures escaped when the URI was escaped. As in nginx it is on until the first rewrite has matched.
	quoting
	// ended: nothing more of the script is run.
	ended
)

func (s *script) run(r *engine.Request, f flags) (flags, engine.Status) {
	for _, do := range *s {
		var st engine.Status
		if f, st = do(r, f); f&ended != 0 {
			return f, st
		}
	}
	return f, engine.Declined
}

// add puts an operation at the end of the script being read: of the directive's block, or of the "if" it stands in.
func add(c *conf.Cmd, do op) {
	cfg := loc.Of(c.Scope)
	if cfg.script == nil {
		cfg.script = &script{}
	}
	*cfg.script = append(*cfg.script, do)
}

func readSet(c *conf.Cmd) error {
	v, err := target(c, c.Args[0])
	if err != nil {
		return err
	}
	val, err := compileValue(c, c.Args[1])
	if err != nil {
		return err
	}
	add(c, func(r *engine.Request, f flags) (flags, engine.Status) {
		r.SetVar(v, val.eval(r, f))
		return f, engine.Declined
	})
	return nil
}

// target defines the variable that a directive assigns to.
func target(c *conf.Cmd, name string) (*engine.Var, error) {
	if !strings.HasPrefix(name, "$") {
		return nil, c.Errorf("invalid variable name \"%s\"", name)
	}
	v, err := engine.HTTPOf(c).DefineVar(engine.Var{Name: name[1:], Weak: true, Get: uninitialized})
	if err != nil {
		return nil, c.Errorf("%s", err)
	}
	return v, nil
}

// uninitialized is the Get of a variable that only scripts assign to: nothing has yet.
func uninitialized(r *engine.Request, v *engine.Var) ([]byte, bool) {
	if loc.Of(r.Scope).uninit.V {
		r.Logf(nlog.Warn, "using uninitialized \"%s\" variable", v.Name)
	}
	return nil, true
}

func readBreak(c *conf.Cmd) error {
	add(c, func(r *engine.Request, f flags) (flags, engine.Status) {
		r.StayHere()
		return f | ended, engine.Declined
	})
	return nil
}

func readReturn(c *conf.Cmd) error {
	code, text := c.Args[0], ""
	n, ok := ascii.ParseInt(code)
	switch {
	case ok && n > 999 || !ok && !(len(c.Args) == 1 && isURL(code)):
		return c.Errorf("invalid return code \"%s\"", code)
	case !ok:
		n, text = 302, code
	case len(c.Args) == 2:
		text = c.Args[1]
	}
	t, err := engine.CompileArg(c, text)
	if err != nil {
		return err
	}
	status := engine.Status(n)
	direct := status < 400 || text != ""
	add(c, func(r *engine.Request, f flags) (flags, engine.Status) {
		if !direct {
			return f | ended, status
		}
		st := r.SendResponse(status, t)
		if st == engine.OK {
			st = engine.Done // the phase must not go on
		}
		return f | ended, st
	})
	return nil
}

// isURL reports whether a replacement is a redirect by its looks.
func isURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "$scheme")
}
