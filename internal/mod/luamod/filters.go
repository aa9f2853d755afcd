package luamod

import (
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/errlog"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// NewFilter makes the filter that runs header_filter_by_lua and body_filter_by_lua.
func NewFilter() *engine.Filter {
	f := &engine.Filter{Name: "lua", InMemory: true, Body: bodyFilter, Active: func(s *conf.Scope) bool {
		c := luahost.ConfOf(s)
		return c.HeaderFilter != nil || c.BodyFilter != nil
	}}
	f.Header = func(r *engine.Request) engine.Status {
		debug(r, "lua header filter for user lua code, uri \"%s\"")
		c := luahost.ConfOf(r.Scope)
		if c.BodyFilter != nil {
			r.UseBody(f)
		}
		if c.HeaderFilter == nil {
			return engine.OK
		}
		return headerFilter(r, c.HeaderFilter)
	}
	return f
}

// NewTrace makes the filter that writes the debug lines OpenResty's capture filters write.
func NewTrace() *engine.Filter {
	f := &engine.Filter{Name: "lua trace", Active: func(s *conf.Scope) bool {
		return luahost.MainLevel.Of(s).Captures && errlog.Of(s).On(nlog.Debug)
	}}
	f.Header = func(r *engine.Request) engine.Status {
		debug(r, "lua capture header filter, uri \"%s\"")
		r.UseBody(f)
		return engine.OK
	}
	f.Body = func(r *engine.Request, c *engine.Chunk) error {
		debug(r, "lua capture body filter, uri \"%s\"")
		return r.Next(c)
	}
	return f
}

// headerFilter runs the code on the response head. ngx.exit there ends the response with its status.
func headerFilter(r *engine.Request, h *luahost.Handler) engine.Status {
	if _, ok := luahost.RunFilter(r, h.For(r), lua.PhaseHeaderFilter, nil); !ok {
		return engine.Error
	}
	x := luahost.Of(r)
	if x.Exited {
		x.Exited = false
		if x.ExitCode == int(engine.Error) {
			return engine.Error
		}
		if x.ExitCode >= 200 {
			return r.ReplaceWith(engine.Status(x.ExitCode))
		}
	}
	return engine.OK
}

// bodyFilter runs the code on a piece of body: ngx.arg[1] and ngx.arg[2] are its bytes and whether it is the last.
func bodyFilter(r *engine.Request, c *engine.Chunk) error {
	h := luahost.ConfOf(r.Scope).BodyFilter
	if h == nil {
		return r.Next(c)
	}
	debug(r, "lua body filter for user lua code, uri \"%s\"")
	x := luahost.Of(r)
	if x.BodySeenEOF {
		return nil // the code ended the body before; what still comes is dropped
	}
	outer, saved := x.PushFilter(luahost.FilterArgs{Data: c.Data, EOF: c.Last})
	_, ok := luahost.RunFilter(r, h.For(r), lua.PhaseBodyFilter, takeResult)
	args := x.PopFilter(outer, saved)
	if !ok || args.Result == int(engine.Error) || args.Result >= 300 {
		// The connection ends, for a subrequest that of its parent too.
		r.Main.Aborted, r.Main.KeepAlive = true, false
		return engine.ErrClientGone
	}
	if args.EOF && !c.Last {
		x.BodySeenEOF = true
	}
	out := engine.Chunk{Data: args.Data, Flush: c.Flush, Last: args.EOF}
	if len(out.Data) == 0 && !out.Last && !out.Flush {
		return nil
	}
	return r.Next(&out)
}

// takeResult keeps what the code of a body filter returned, which may say that the response is to be given up.
func takeResult(c *lua.Call) { luahost.FromCall(c).Filter.Result = c.Int(1) }
