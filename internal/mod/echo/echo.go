// Package echo answers with what the configuration says: texts, request bodies, the output of subrequests, with pauses
// in between (the directives of echo-nginx-module).
//
// The directives of a location are a program. Those of the content run from top to bottom in the content handler, which
// may park; those around the body (echo_before_body, echo_after_body) run in a filter and only write. A subrequest is
// served where it stands: its output joins the response there. The "async" forms do the same, because their output has
// the same place.
package echo

import (
	"moongate/internal/conf"
	"moongate/internal/engine"
)

// config is what a location says.
type config struct {
	content       []*cmd
	before, after []*cmd
	status        conf.Opt[int]
}

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(func(p, c *config, _ *conf.Scope) error {
	if c.content == nil {
		c.content = p.content
	}
	if c.before == nil {
		c.before = p.before
	}
	if c.after == nil {
		c.after = p.after
	}
	return nil
})

const where = conf.Location | conf.LocationIf

// Module is the echo module.
var Module = engine.Module{
	Module: conf.Module{Name: "echo", Directives: []conf.Directive{
		row("echo", "[-n] [text ...]", conf.Any, echo, "Writes its arguments, separated by spaces, and a newline, which `-n` leaves out. `--` ends the options."),
		row("echo_request_body", "", conf.NoArgs, requestBody, "Writes the request body as far as it was read."),
		row("echo_sleep", "seconds", conf.Take1, sleep, "Waits; other requests are served meanwhile."),
		row("echo_flush", "", conf.NoArgs, flush, "Sends what is buffered to the client."),
		row("echo_blocking_sleep", "seconds", conf.Take1, blockingSleep, "Stops the whole worker for a time, to try out what that does."),
		row("echo_reset_timer", "", conf.NoArgs, resetTimer, "Makes `$echo_timer_elapsed` count from now."),
		row("echo_location", "location [arguments]", conf.Take12, location, "Writes what a location answers to a GET subrequest."),
		row("echo_location_async", "location [arguments]", conf.Take12, locationAsync, "Writes what a location answers to a GET subrequest."),
		row("echo_subrequest", "method location [-q arguments] [-b body] [-f file]", conf.TwoMore, subrequest, "Writes what a location answers to a subrequest of any method, with the given query string and a body from a text or a file."),
		row("echo_subrequest_async", "method location [-q arguments] [-b body] [-f file]", conf.TwoMore, subrequestAsync, "Writes what a location answers to a subrequest of any method."),
		row("echo_duplicate", "count text", conf.Take2, duplicate, "Writes a text as often as the count says, in which underscores may stand."),
		row("echo_read_request_body", "", conf.NoArgs, readBody, "Reads the request body, for `$request_body` and echo_request_body."),
		row("echo_foreach_split", "delimiter text", conf.TwoMore, foreach, "Runs the directives up to echo_end for each part of a text, which is in `$echo_it`; empty parts are left out."),
		row("echo_end", "", conf.NoArgs, end, "Ends echo_foreach_split."),
		row("echo_abort_parent", "", conf.NoArgs, abortParent, "Ends the request that a subrequest belongs to."),
		row("echo_exec", "location [arguments]", conf.Take12, exec, "Sends the request through the phases again with another URI, or to a named location."),
		{Name: "echo_before_body", Syntax: "[-n] [text ...]", In: where, Args: conf.Any, Set: conf.Func(func(c *conf.Cmd) error {
			return compile(c, echo, &loc.Of(c.Scope).before)
		}), Doc: "Writes a text before the body, whoever makes that."},
		{Name: "echo_after_body", Syntax: "[-n] [text ...]", In: where, Args: conf.Any, Set: conf.Func(func(c *conf.Cmd) error {
			return compile(c, echo, &loc.Of(c.Scope).after)
		}), Doc: "Writes a text after the body, whoever makes that."},
		{Name: "echo_status", Syntax: "code", In: where, Default: "200", Set: conf.Slot(loc, conf.Number, func(c *config) *conf.Opt[int] { return &c.status }),
			Doc: "The status of the response that the other directives make."},
	}},
	Vars: vars,
}

// cmd is one directive made ready.
type cmd struct {
	do    command
	args  []*engine.Template
	opts  []string // leading arguments with a "-", without that
	isEnd bool     // echo_end
}

// command carries a directive out. Continue lets the program go on; any other status ends it.
type command func(r *engine.Request, x *state, c *cmd) engine.Status

// goOn is what a command returns when the next one shall run.
const goOn = engine.Declined

func row(name, syntax string, args conf.Arity, do command, doc string) conf.Directive {
	return conf.Directive{Name: name, Syntax: syntax, In: where, Args: args, Doc: doc, Set: conf.Func(func(c *conf.Cmd) error {
		engine.LocationOf(c.Scope).Handler = serve
		return compile(c, do, &loc.Of(c.Scope).content)
	})}
}

// compile reads a directive's arguments. Options are recognised in the configuration text, not in values of variables.
func compile(c *conf.Cmd, do command, to *[]*cmd) error {
	d := &cmd{do: do, isEnd: c.Name == "echo_end"}
	options := true
	for _, a := range c.Args {
		if options && len(a) > 1 && a[0] == '-' {
			if a[1] == '-' {
				options = false
			} else {
				d.opts = append(d.opts, a[1:])
			}
			continue
		}
		options = false
		t, err := engine.CompileArg(c, a)
		if err != nil {
			return err
		}
		d.args = append(d.args, t)
	}
	*to = append(*to, d)
	return nil
}

// text is the value of argument i, counted from 0; empty when there is none.
func (c *cmd) text(r *engine.Request, i int) []byte {
	if i >= len(c.args) {
		return nil
	}
	return c.args[i].Eval(r)
}

// state is what a request keeps: of the program it runs, and of its variables.
type state struct {
	next  int // the command after the one that runs
	timer int64
	count int // $echo_incr, of the main request
	loop  *loop
	// beforeSent and afterSent say which texts around the body were written.
	beforeSent, afterSent bool
}

// loop is an echo_foreach_split in progress.
type loop struct {
	parts [][]byte
	at    int
	first int // the command after echo_foreach_split
}

var slot = engine.NewSlot()

// of gives the request's state, made at its first use.
func of(r *engine.Request) *state {
	x, _ := r.Ctx(slot).(*state)
	if x == nil {
		x = &state{timer: r.Start}
		r.SetCtx(slot, x)
	}
	return x
}

// serve is the content handler: it runs the program.
func serve(r *engine.Request) engine.Status {
	prog := loc.Of(r.Scope).content
	x := of(r)
	for x.next < len(prog) {
		c := prog[x.next]
		x.next++
		if st := c.do(r, x, c); st != goOn {
			return st
		}
		if r.Aborted {
			return engine.Error
		}
	}
	if st := sendHead(r); st != engine.OK {
		return st
	}
	if r.Output(&engine.Chunk{Last: true}) != nil {
		return engine.Error
	}
	return r.DiscardBody()
}

// sendHead sends the response head if it was not sent.
func sendHead(r *engine.Request) engine.Status {
	if r.HeaderSent {
		return engine.OK
	}
	r.Out.Status = engine.Status(loc.Of(r.Scope).status.V)
	r.SetContentType()
	r.Out.ContentLength = -1
	r.Out.AcceptRanges = false
	return r.SendHead()
}

// write sends a piece of body and waits when the client is slow.
func write(r *engine.Request, b []byte) engine.Status {
	if st := sendHead(r); st != engine.OK {
		return st
	}
	if len(b) > 0 && (r.Output(&engine.Chunk{Data: b}) != nil || r.Drain(engine.OutputLow) != nil) {
		return engine.Error
	}
	return goOn
}

// line is what echo writes.
func (c *cmd) line(r *engine.Request) []byte {
	newline := len(c.opts) == 0 || c.opts[0] != "n"
	if len(c.args) == 1 && !newline {
		return c.args[0].Eval(r)
	}
	var few [8][]byte
	vals, n := few[:0], 1
	for _, t := range c.args {
		v := t.Eval(r)
		vals = append(vals, v)
		n += len(v) + 1
	}
	b := r.Alloc(n)[:0]
	for i, v := range vals {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, v...)
	}
	if newline {
		b = append(b, '\n')
	}
	return b
}

func echo(r *engine.Request, _ *state, c *cmd) engine.Status { return write(r, c.line(r)) }

// isNamed reports whether a location is a named one.
func isNamed(uri []byte) bool { return len(uri) > 0 && uri[0] == '@' }
