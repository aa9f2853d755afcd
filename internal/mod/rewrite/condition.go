package rewrite

import (
	"bytes"
	"strings"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/openfile"
)

// condition is what an "if" tests. failed ends the script with 500.
type condition func(r *engine.Request, f flags) (yes, failed bool)

func readIf(c *conf.Cmd) error {
	inner := engine.NewIf(c)
	test, err := readCondition(c)
	if err != nil {
		return err
	}
	// The directives of the block are part of this script; the block itself has none.
	body := &script{}
	cfg := loc.Of(inner.Scope)
	cfg.script = body
	in := conf.LocationIf
	if c.In&conf.Server != 0 {
		in = conf.ServerIf
	}
	if err := c.Block(in, inner.Scope); err != nil {
		return err
	}
	cfg.script = nil
	add(c, func(r *engine.Request, f flags) (flags, engine.Status) {
		yes, failed := test(r, f)
		if failed {
			return f | ended, 500
		}
		if !yes {
			return f, engine.Declined
		}
		if in == conf.LocationIf {
			r.SwitchLocation(inner)
		}
		return body.run(r, f)
	})
	return nil
}

// readCondition reads what stands between the parentheses, which the language knows nothing of: they may or may not
// stick to the words next to them.
func readCondition(c *conf.Cmd) (condition, error) {
	bad := func(word string) (condition, error) { return nil, c.Errorf("invalid condition \"%s\"", word) }
	words := append([]string{}, c.Args...)
	if !strings.HasPrefix(words[0], "(") {
		return bad(words[0])
	}
	first, last := 0, len(words)-1
	if words[0] = words[0][1:]; words[0] == "" {
		first = 1
	}
	word := words[last]
	if first > last {
		return bad(c.Args[0])
	}
	if !strings.HasSuffix(word, ")") {
		return bad(word)
	}
	if words[last] = word[:len(word)-1]; words[last] == "" {
		last--
	}
	if last < first {
		return bad(word)
	}
	w := words[first]
	switch {
	case len(w) > 1 && w[0] == '$':
		if last != first && last != first+2 {
			return bad(w)
		}
		v := engine.HTTPOf(c).Var(w[1:])
		if last == first {
			return func(r *engine.Request, _ flags) (bool, bool) {
				val, _ := r.Var(v)
				return isTrue(val), false
			}, nil
		}
		return compare(c, v, words[first+1], words[last])
	case len(w) == 2 && w[0] == '-', len(w) == 3 && w[:2] == "!-":
		if last != first+1 {
			return bad(w)
		}
		return fileTest(c, w, words[last])
	}
	return bad(w)
}

// isTrue is what counts as true: neither empty nor "0".
func isTrue(b []byte) bool { return len(b) > 1 || len(b) == 1 && b[0] != '0' }

func compare(c *conf.Cmd, v *engine.Var, operator, operand string) (condition, error) {
	switch operator {
	case "=", "!=":
		val, err := compileValue(c, operand)
		if err != nil {
			return nil, err
		}
		want := operator == "="
		return func(r *engine.Request, f flags) (bool, bool) {
			left, _ := r.Var(v)
			return bytes.Equal(left, val.eval(r, f)) == want, false
		}, nil
	case "~", "~*", "!~", "!~*":
		re, err := engine.CompileRegex(c, operand, strings.HasSuffix(operator, "*"))
		if err != nil {
			return nil, err
		}
		want := operator[0] == '~'
		return func(r *engine.Request, f flags) (bool, bool) {
			left, _ := r.Var(v)
			rc := match(r, f, re, left)
			return (rc > 0) == want, rc < 0
		}, nil
	}
	return nil, c.Errorf("unexpected \"%s\" in condition", operator)
}

// fileTest is -f, -d, -e or -x, or one of them negated with "!".
func fileTest(c *conf.Cmd, operator, operand string) (condition, error) {
	val, err := compileValue(c, operand)
	if err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(operator, "!")
	if !strings.Contains("fdex", name[1:]) {
		return nil, c.Errorf("invalid condition \"%s\"", operator)
	}
	kind, want := name[1], operator[0] == '-'
	return func(r *engine.Request, f flags) (bool, bool) {
		return isFile(r, val.eval(r, f), kind) == want, false
	}, nil
}

// isFile tests a file's kind; what is neither a regular file nor a directory does not exist for -e.
func isFile(r *engine.Request, path []byte, kind byte) bool {
	var i openfile.Info
	if !r.StatFile(path, false, &i) {
		switch i.Err {
		case syscall.ENOENT, syscall.ENOTDIR, syscall.ENAMETOOLONG:
		default:
			r.LogErr(nlog.Crit, i.Err, "%s \"%s\" failed", i.Failed, path)
		}
		return false
	}
	switch kind {
	case 'f':
		return i.IsRegular()
	case 'd':
		return i.IsDir()
	case 'x':
		return i.Mode&syscall.S_IXUSR != 0
	}
	return i.IsRegular() || i.IsDir()
}
