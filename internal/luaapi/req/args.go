package req

import (
	"bytes"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// maxArgs is how many arguments are read when the caller sets no limit.
const maxArgs = 100

var getURIArgs = &lua.Func{
	Name: "ngx.req.get_uri_args", Sig: "max?:number, tab?:table -> args, err", In: lua.WithRequest,
	Doc: "The arguments of the URI: at most 100 or max of them (0: all), else \"truncated\" comes second.",
	Run: withRequest(func(c *lua.Call, r *engine.Request) lua.Outcome {
		limit := c.IntOr(1, -1)
		if r.Logger.On(nlog.Debug) {
			logLimit(r, limit)
		}
		if c.Type(2) == lua.Table {
			return c.ReturnArgsIn(2, r.Args, limit)
		}
		return c.ReturnArgs(r.Args, limit)
	}),
}

func logLimit(r *engine.Request, limit int) {
	if limit < 0 {
		limit = maxArgs
	}
	if limit > 0 && bytes.Count(r.Args, []byte{'&'})+1 > limit {
		r.Logf(nlog.Debug, "lua hit query args limit %d", limit)
	}
}

var setURIArgs = &lua.Func{
	Name: "ngx.req.set_uri_args", Sig: "args?:any", In: lua.WithRequest, NoRequest: "no request object found",
	Doc: "Replaces the arguments of the URI by a table, or by a string that is taken as it is.",
	Run: withRequest(runSetURIArgs),
}

func runSetURIArgs(c *lua.Call, r *engine.Request) lua.Outcome {
	if n := c.NArgs(); n != 1 {
		return c.Errorf("expecting 1 argument but seen %d", n)
	}
	switch c.Type(1) {
	case lua.Str:
		r.Args = escapeControls(r, c.Str(1))
	case lua.Number:
		r.Args = r.Copy(luahost.Text(c, 1))
	case lua.Table:
		p, err := c.Pack(1)
		if err != nil {
			return c.Fail(err)
		}
		args, err := luahost.EncodeArgs(nil, p)
		if err != nil {
			return c.Fail(err)
		}
		r.Args = args
	default:
		return c.ArgError(1, "string, number, or table expected, but got "+c.Type(1).String())
	}
	r.ValidUnparsed = false
	return c.Return()
}

// escapeControls copies arguments; blanks and control bytes in them become %XX.
func escapeControls(r *engine.Request, b []byte) []byte {
	n := 0
	for _, ch := range b {
		if ch <= ' ' || ch == 0x7f {
			n++
		}
	}
	out := r.Alloc(len(b) + 2*n)[:0]
	for _, ch := range b {
		if ch <= ' ' || ch == 0x7f {
			out = ascii.AppendHexByte(append(out, '%'), ch)
		} else {
			out = append(out, ch)
		}
	}
	return out
}

var getPostArgs = &lua.Func{
	Name: "ngx.req.get_post_args", Sig: "max?:integer -> args, err", In: lua.WithRequest, NoRequest: "no request object found",
	Doc: "The arguments of a form in the request body, which must have been read.",
	Run: withRequest(runGetPostArgs),
}

func runGetPostArgs(c *lua.Call, r *engine.Request) lua.Outcome {
	if n := c.NArgs(); n > 1 {
		return c.Errorf("expecting 0 or 1 arguments but seen %d", n)
	}
	b := &r.Body
	switch {
	case r.Discarded:
		return c.ReturnPostArgs(nil, 0)
	case !b.Read:
		return c.Errorf("no request body found; maybe you should turn on lua_need_request_body?")
	case b.File != nil:
		return c.ReturnNilErr("request body in temp file not supported")
	}
	limit := c.IntOr(1, maxArgs)
	if limit > 0 && r.Logger.On(nlog.Debug) && bytes.Count(b.Mem, []byte{'&'}) >= limit {
		r.Logf(nlog.Debug, "lua hit query args limit %d", limit)
	}
	return c.ReturnPostArgs(b.Mem, limit)
}
