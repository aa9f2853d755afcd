package luamod

import (
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// run runs a handler of a phase that may wait and answer.
func run(r *engine.Request, h *luahost.Handler, phase lua.Phase) engine.Status {
	if luahost.ConfOf(r.Scope).NeedRequestBody.V {
		if st := r.ReadBody(); st != engine.OK {
			return st
		}
	}
	return luahost.Run(r, h.For(r), phase)
}

// goOn makes "fine" of a handler's end mean that the phase goes on.
func goOn(st engine.Status) engine.Status {
	if st == engine.OK {
		return engine.Declined
	}
	return st
}

func serverRewrite(r *engine.Request) engine.Status {
	return goOn(run(r, luahost.ConfOf(r.Scope).ServerRewrite, lua.PhaseServerRewrite))
}

func rewritePhase(r *engine.Request) engine.Status {
	c := luahost.ConfOf(r.Scope)
	if c.Rewrite == nil || r.URIChanged() {
		return engine.Declined
	}
	debug(r, "lua rewrite handler, uri:\"%s\" c:1")
	return goOn(run(r, c.Rewrite, lua.PhaseRewrite))
}

// access lets the request in when the code ends without ngx.exit, as OpenResty does.
func access(r *engine.Request) engine.Status {
	debug(r, "lua access handler, uri:\"%s\" c:1")
	st := run(r, luahost.ConfOf(r.Scope).Access, lua.PhaseAccess)
	if st == engine.Declined {
		if x := luahost.Existing(r); x != nil && x.Exited {
			return st // ngx.exit(ngx.DECLINED): no opinion
		}
		return engine.OK
	}
	return st
}

// debug writes a line that OpenResty's users know from its debug log.
func debug(r *engine.Request, format string) {
	if r.Logger.On(nlog.Debug) {
		r.Logf(nlog.Debug, format, r.URI)
	}
}

func precontent(r *engine.Request) engine.Status {
	return goOn(run(r, luahost.ConfOf(r.Scope).Precontent, lua.PhasePrecontent))
}

func contentPhase(r *engine.Request) engine.Status {
	h := luahost.ConfOf(r.Scope).Content
	if h == nil {
		return engine.Declined
	}
	if r.Logger.On(nlog.Debug) {
		r.Logf(nlog.Debug, "lua content handler, uri:\"%s\" c:1", r.URI)
	}
	st := run(r, h, lua.PhaseContent)
	if st == engine.Declined { // ngx.exit(ngx.DECLINED): there is no other handler, and so no response
		return engine.StatusClose
	}
	return st
}

// countPhase keeps lua_malloc_trim's count.
func countPhase(r *engine.Request) engine.Status {
	luahost.CountForTrim(r)
	return engine.OK
}

func logPhase(r *engine.Request) engine.Status {
	debug(r, "lua log handler, uri:\"%s\" c:1")
	h := luahost.ConfOf(r.Scope).Log
	if r.Logger.On(nlog.Debug) && luahost.MainOf(r.H).MallocTrim.V == 0 {
		r.Logf(nlog.Debug, "malloc_trim() disabled")
	}
	luahost.RunFilter(r, h.For(r), lua.PhaseLog, nil)
	return engine.OK
}
