package rewrite

import (
	"strings"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// value is a text with variables whose captures may have to be escaped.
type value struct {
	whole  *engine.Template
	pieces []piece // when there are captures in it
}

// piece is a part of a value: text with variables, a capture, or the place where arguments begin.
type piece struct {
	text    *engine.Template
	capture int // 1 to 9
}

// mark is where the arguments of a replacement begin.
var mark = piece{capture: -1}

func compileValue(c *conf.Cmd, text string) (v value, err error) {
	if v.whole, err = engine.CompileArg(c, text); err != nil {
		return v, err
	}
	pieces, err := split(c, text, false)
	for _, p := range pieces {
		if p.capture > 0 {
			v.pieces = pieces
		}
	}
	return v, err
}

// split cuts a text at its captures, and with args at the first "?", which is left out.
func split(c *conf.Cmd, text string, args bool) ([]piece, error) {
	var out []piece
	start := 0
	cut := func(end int) error {
		if end > start {
			t, err := engine.CompileArg(c, text[start:end])
			if err != nil {
				return err
			}
			out = append(out, piece{text: t})
		}
		return nil
	}
	for i := 0; i < len(text); i++ {
		var p piece
		n := 1
		switch {
		case text[i] == '$' && i+1 < len(text) && text[i+1] >= '1' && text[i+1] <= '9':
			p, n = piece{capture: int(text[i+1] - '0')}, 2
		case text[i] == '?' && args:
			p, args = mark, false
		default:
			continue
		}
		if err := cut(i); err != nil {
			return nil, err
		}
		out = append(out, p)
		start = i + n
		i = start - 1
	}
	return out, cut(len(text))
}

// eval gives the value; the bytes live as long as the request.
func (v *value) eval(r *engine.Request, f flags) []byte {
	if v.pieces == nil || f&quoting == 0 || !escaped(r) {
		return v.whole.Eval(r)
	}
	b, _ := build(r, v.pieces, true, 0)
	return b
}

// escaped reports whether the URI that captures come from had escapes ("%") or "+" in it: then they are escaped again
// where they become part of arguments or of a redirect.
func escaped(r *engine.Request) bool { return r.IsMain() && (r.In.Quoted || r.In.Plus) }

// build puts pieces together with room for more bytes. Captures are escaped when quote says so, and behind the mark,
// whose place is args, or -1.
func build(r *engine.Request, pieces []piece, quote bool, room int) (out []byte, args int) {
	again := escaped(r)
	var few [16][]byte
	vals := few[:0]
	size := room
	inArgs := false
	for i := range pieces {
		p := &pieces[i]
		var val []byte
		switch {
		case p.text != nil:
			val = p.text.Eval(r)
		case p.capture > 0:
			val = r.Capture(p.capture)
			if again && (quote || inArgs) {
				size += 2 * http1.CountEscape(val, http1.EscapeArgs)
			}
		default:
			inArgs = true
		}
		vals = append(vals, val)
		size += len(val)
	}
	out, args = r.Alloc(size)[:0], -1
	for i := range pieces {
		switch p := &pieces[i]; {
		case p.capture < 0:
			args = len(out)
		case p.capture > 0 && again && (quote || args >= 0):
			out = http1.AppendEscape(out, vals[i], http1.EscapeArgs)
		default:
			out = append(out, vals[i]...)
		}
	}
	return out, args
}

// replacement is a rewrite's second argument.
type replacement struct {
	pieces   []piece
	redirect engine.Status // 0 for none
	keepArgs bool          // the request's arguments are appended
	hasArgs  bool          // a redirect has arguments of its own
}

func compileReplacement(c *conf.Cmd, text string, redirect engine.Status) (*replacement, error) {
	t := &replacement{redirect: redirect, keepArgs: true}
	if strings.HasSuffix(text, "?") { // the last "?" drops the original arguments
		text, t.keepArgs = text[:len(text)-1], false
	}
	t.hasArgs = strings.Contains(text, "?")
	var err error
	t.pieces, err = split(c, text, redirect == 0)
	return t, err
}

// location is the target of a redirect.
func (t *replacement) location(r *engine.Request) []byte {
	b, _ := build(r, t.pieces, true, 0)
	room := 0
	if t.keepArgs && len(r.Args) > 0 {
		room = 1 + len(r.Args)
	}
	out, n := http1.AppendUnescape(r.Alloc(len(b) + room)[:0], b, http1.UnescapeRedirect)
	out = append(out, b[n:]...)
	if room > 0 {
		sep := byte('?')
		if t.hasArgs {
			sep = '&'
		}
		out = append(append(out, sep), r.Args...)
	}
	return out
}

// target is the new URI with the new arguments.
func (t *replacement) target(r *engine.Request) (uri, args []byte) {
	room := 0
	if t.keepArgs && len(r.Args) > 0 {
		room = 1 + len(r.Args)
	}
	b, at := build(r, t.pieces, false, room)
	if at < 0 {
		if t.keepArgs {
			return b, r.Args
		}
		return b, b[len(b):]
	}
	uri = b[:at:at]
	if room > 0 {
		b = append(append(b, '&'), r.Args...)
	}
	return uri, b[at:]
}

// SetFunc computes the value of a set_* directive from its arguments, which live as long as the request, as the result
// must. A status other than OK ends the script and the request. The slice of arguments is valid until another request
// runs: who parks copies it first.
type SetFunc func(r *engine.Request, args [][]byte) ([]byte, engine.Status)

// arguments is the stack that the arguments of SetFuncs are gathered on, one in every worker.
type arguments struct{ stack [][]byte }

var slot = engine.NewWorkerSlot()

// DefineSet makes a directive "set_x $name arg ..." of another module: at this place of the block's script $name is
// assigned what f makes of the arguments, which may have variables.
func DefineSet(c *conf.Cmd, name string, args []string, f SetFunc) error {
	v, err := target(c, name)
	if err != nil {
		return err
	}
	vals := make([]value, len(args))
	for i, a := range args {
		if vals[i], err = compileValue(c, a); err != nil {
			return err
		}
	}
	add(c, func(r *engine.Request, fl flags) (flags, engine.Status) {
		w, _ := r.W.Values[slot].(*arguments)
		if w == nil {
			w = &arguments{}
			r.W.Values[slot] = w
		}
		base := len(w.stack)
		for i := range vals {
			val := vals[i].eval(r, fl)
			w.stack = append(w.stack, val)
		}
		given := w.stack[base:]
		w.stack = w.stack[:base]
		res, st := f(r, given)
		if st != engine.OK {
			return fl | ended, st
		}
		r.SetVar(v, res)
		return fl, engine.Declined
	})
	return nil
}
