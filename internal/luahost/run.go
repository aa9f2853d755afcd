package luahost

import (
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/lua"
)

// Run runs code as a handler of a request's phase that may produce the answer, and turns its end into a status:
// Declined when the request shall go on.
func Run(r *engine.Request, code *lua.Code, phase lua.Phase) engine.Status {
	x := Of(r)
	chunk, st := x.load(code)
	if chunk == nil {
		return st
	}
	x.Exited, x.ExecURI = false, nil
	if phase == lua.PhaseContent {
		x.EnteredContent = true
	}
	// Where ngx.say must tell whether its bytes could be sent they do not wait in Lua's buffer.
	x.SetFastOutput(r.Core().PostponeOutput.V >= smallOutput && !r.In.Has(http1.HIfUnmodifiedSince) && !r.In.Has(http1.HIfMatch))
	x.SetLogLevel(logLevel(r))
	watched := x.watch()
	debug := r.Logger.On(nlog.Debug)
	if debug {
		x.logReuse()
	}
	main := x.enlist()
	res := chunk.Run(&x.Context, phase)
	x.delist(main)
	x.SetFastOutput(false)
	if debug {
		x.logKept()
	}
	if watched != nil {
		watched.Watch(nil)
	}
	switch res.Status {
	case lua.Failed:
		r.Logf(nlog.Error, "%s", res.Err.Error())
		x.explain(code, res.Err)
		if r.HeaderSent {
			return engine.Error
		}
		return 500
	case lua.Ended:
		if x.Refused == 0 || r.HeaderSent {
			return x.ended()
		}
	}
	if r.Aborted {
		return engine.Error
	}
	if x.Refused != 0 && !r.HeaderSent {
		return x.refused()
	}
	if phase == lua.PhaseContent {
		return x.SendLast()
	}
	if r.HeaderSent || r.Out.Status != 0 && len(x.buffered) > 0 {
		return x.answered()
	}
	return engine.Declined
}

// smallOutput is a postpone_output that asks for bytes to be sent as they come: ngx.say tells whether they could be.
const smallOutput = 512

// answered ends the response that a phase before content has produced: later phases must not produce another.
func (x *Ctx) answered() engine.Status {
	if st := x.SendLast(); st != engine.OK {
		return st
	}
	return 200
}

// refused ends the handler with the status of the header filter that refused its response.
func (x *Ctx) refused() engine.Status {
	st := x.Refused
	x.Refused = 0
	return st
}

// watch lets x.gone be called when the client goes away, where lua_check_client_abort asks for it.
func (x *Ctx) watch() engine.Watcher {
	r := x.R
	if !ConfOf(r.Scope).CheckClientAbort.V || !r.IsMain() {
		return nil
	}
	w, ok := r.Stream.(engine.Watcher)
	if !ok {
		return nil
	}
	w.Watch(x.gone)
	return w
}

// gone ends the handler, or starts the function it gave to ngx.on_abort, when the client has closed the connection.
func (x *Ctx) gone() {
	x.R.Logf(nlog.Info, "client prematurely closed connection")
	if x.Interrupt(int(engine.StatusClientClosed)) {
		x.ExitCode, x.Exited = int(engine.StatusClientClosed), true
	} else {
		x.R.Logf(nlog.Debug, "lua waking up the on_abort callback thread")
	}
}

// logLevel is the level up to which the request's error log takes lines.
func logLevel(r *engine.Request) lua.Level { return lua.Level(min(r.Logger.Level(), nlog.Debug)) }

// load gives the code's function in the request's VM; on failure the status to answer with.
func (x *Ctx) load(code *lua.Code) (*lua.Chunk, engine.Status) {
	if x.broken {
		return nil, 500
	}
	if x.R.Logger.On(nlog.Debug) {
		x.W.logLoad(code, x)
	}
	chunk, err := x.W.VM.Load(code)
	if err != nil {
		x.R.Logf(nlog.Error, "%s", err.Error())
		x.explain(code, err)
		if le, ok := err.(*lua.LoadError); ok && le.Missing() {
			if le.Unreadable() {
				return nil, 503
			}
			return nil, 404
		}
		return nil, 500
	}
	return chunk, engine.OK
}

// ended carries out ngx.exit, ngx.exec and ngx.redirect.
func (x *Ctx) ended() engine.Status {
	r := x.R
	if x.ExecURI != nil {
		uri, args := x.ExecURI, x.ExecArgs
		if uri[0] == '@' {
			if len(args) > 0 {
				r.Logf(nlog.Warn, "query strings %s ignored when exec'ing named location %s", args, uri)
			}
			return r.NamedRedirect(uri)
		}
		return r.InternalRedirect(uri, args)
	}
	if r.URIChanged() && x.ExitCode == 0 {
		r.Forget() // ngx.req.set_uri with jump loses what modules keep, as an internal redirect does
		return engine.Declined
	}
	code := engine.Status(x.ExitCode)
	if !r.HeaderSent && r.Out.Status == 0 && code >= 200 {
		r.Out.Status = code
	}
	if code == engine.OK && !x.EnteredContent && (r.HeaderSent || r.Out.Status != 0 && len(x.buffered) > 0) {
		return x.answered()
	}
	last := x.Buffering && r.Out.Status != 0 && len(x.buffered) > 0 && code != engine.Error && code != 408 && code != engine.StatusClientClosed && code != engine.StatusClose
	if last || code == engine.OK && x.EnteredContent || code >= 200 && code < 300 && code != 204 {
		if st := x.SendLast(); st != engine.OK {
			return st
		}
		if last && code >= 200 {
			return 200
		}
	}
	if r.HeaderSent && code > 0 && code != 408 && code != engine.StatusClientClosed && code != engine.StatusClose {
		if x.EnteredContent {
			return engine.OK
		}
		return 200
	}
	if code < 200 && code != engine.OK && code != engine.Declined {
		return engine.Error // no status: the connection is closed; the engine's own answers are not for Lua to give
	}
	return code
}

// RunFilter runs code in a phase that neither waits nor answers (header filter, log, set, balancer): its error is
// logged and reported.
func RunFilter(r *engine.Request, code *lua.Code, phase lua.Phase, take func(c *lua.Call)) (lua.Result, bool) {
	x := Of(r)
	chunk, _ := x.load(code)
	if chunk == nil {
		return lua.Result{Status: lua.Failed}, false
	}
	x.SetLogLevel(logLevel(r))
	exited := x.Exited
	x.Exited = false
	res := chunk.RunWith(&x.Context, phase, nil, take)
	if res.Status == lua.Failed {
		r.Logf(nlog.Error, "%s", res.Err.Error())
		x.Exited = exited
		return res, false
	}
	return res, true
}

// RunSet runs the code of a set_by_lua with x.SetArgs, which are its arguments as well as ngx.arg, and gives the string
// or number it returned, empty for anything else. The bytes live as long as the request.
func RunSet(r *engine.Request, code *lua.Code) (val []byte, ok bool) {
	x := Of(r)
	chunk, _ := x.load(code)
	if chunk == nil {
		return nil, false
	}
	x.SetLogLevel(logLevel(r))
	if x.set == nil {
		x.set = &setRun{}
		s := x.set
		s.args = func(w *lua.Writer) {
			for _, a := range s.x.SetArgs {
				w.Str(a)
			}
		}
		s.take = func(c *lua.Call) {
			if t := c.Type(1); t == lua.Str || t == lua.Number {
				if b, err := c.Concat(1, 1); err == nil {
					s.val = s.x.R.Copy(b)
				}
			}
		}
	}
	x.set.x, x.set.val = x, nil
	args := x.set.args
	if len(x.SetArgs) == 0 {
		args = nil
	}
	res := chunk.RunWith(&x.Context, lua.PhaseSet, args, x.set.take)
	if res.Status == lua.Failed {
		r.Logf(nlog.Error, "%s", res.Err.Error())
		return nil, false
	}
	return x.set.val, true
}

// setRun is what RunSet needs at each run, made once.
type setRun struct {
	x    *Ctx
	val  []byte
	args func(w *lua.Writer)
	take func(c *lua.Call)
}
