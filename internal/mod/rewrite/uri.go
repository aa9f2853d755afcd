package rewrite

import (
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/luajit"
)

// rule is a rewrite directive.
type rule struct {
	regex *luajit.Regex
	to    *replacement
	last  bool // the script ends when the rule was applied
	stay  bool // "break"
}

func readRewrite(c *conf.Cmd) error {
	text := c.Args[1]
	if text == "" {
		return c.Errorf("empty replacement")
	}
	w := &rule{}
	var err error
	if w.regex, err = engine.CompileRegex(c, c.Args[0], false); err != nil {
		return err
	}
	redirect := engine.Status(0)
	if isURL(text) {
		redirect, w.last = 302, true
	}
	if len(c.Args) == 3 {
		switch c.Args[2] {
		case "last":
		case "break":
			w.stay = true
		case "redirect":
			redirect = 302
		case "permanent":
			redirect = 301
		default:
			return c.InvalidParameter(c.Args[2])
		}
		w.last = true
	}
	if w.to, err = compileReplacement(c, text, redirect); err != nil {
		return err
	}
	add(c, w.run)
	return nil
}

func (w *rule) run(r *engine.Request, f flags) (flags, engine.Status) {
	switch rc := match(r, f, w.regex, r.URI); {
	case rc < 0:
		return f | ended, 500
	case rc == 0:
		return f, engine.Declined
	}
	if w.to.redirect != 0 {
		to := w.to.location(r)
		if f&logging != 0 {
			r.Logf(nlog.Notice, "rewritten redirect: \"%s\"", to)
		}
		r.Internal = true
		r.SetURI(r.URI, !w.stay)
		r.Expose(to)
		return f | ended, w.to.redirect
	}
	f &^= quoting
	uri, args := w.to.target(r)
	r.Internal = true
	r.Args = args
	r.SetURI(uri, !w.stay)
	if f&logging != 0 {
		r.Logf(nlog.Notice, "rewritten data: \"%s\", args: \"%s\"", uri, args)
	}
	if len(uri) == 0 {
		r.Logf(nlog.Error, "the rewritten URI has a zero length")
		return f | ended, 500
	}
	if w.last {
		f |= ended
	}
	return f, engine.Declined
}

// match looks for an expression and logs what came of it; without a match the captures are gone.
func match(r *engine.Request, f flags, re *luajit.Regex, subject []byte) int {
	rc := r.ExecRegex(re, subject)
	if rc == 0 {
		r.NoCaptures()
	}
	if f&logging != 0 && rc >= 0 {
		verb := "matches"
		if rc == 0 {
			verb = "does not match"
		}
		r.Logf(nlog.Notice, "\"%s\" %s \"%s\"", re, verb, subject)
	}
	return rc
}
