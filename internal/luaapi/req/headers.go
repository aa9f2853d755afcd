package req

import (
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// maxHeaders is how many headers are read when the caller sets no limit.
const maxHeaders = 100

var getHeaders = &lua.Func{
	Name: "ngx.req.get_headers", Sig: "max?:number, raw?:any -> headers, err", In: lua.WithRequest,
	Doc: "The request headers, found in any spelling unless raw: at most 100 or max of them (0: all), else \"truncated\" comes second.",
	Run: withRequest(func(c *lua.Call, r *engine.Request) lua.Outcome {
		limit := c.IntOr(1, maxHeaders)
		if limit < 0 {
			limit = maxHeaders
		}
		if n := len(r.In.List); limit > 0 && n > limit {
			r.Logf(nlog.Debug, "lua exceeding request header limit %d > %d", n, limit)
		}
		return c.ReturnHeaders(limit, c.Bool(2), func(w *lua.Writer) {
			for i := range r.In.List {
				h := &r.In.List[i]
				w.Header(h.Name, h.Value)
			}
		})
	}),
}

var setHeader = &lua.Func{
	Name: "ngx.req.set_header", Sig: "name?:any, value?:any", In: lua.WithRequest,
	Doc: "Replaces a request header by a value, or by the values of a table; nil deletes it.",
	Run: withRequest(func(c *lua.Call, r *engine.Request) lua.Outcome { return change(c, r, true) }),
}

var addHeader = &lua.Func{
	Name: "package.loaded.moongate_req.add_header", Sig: "name?:any, value?:any", In: lua.WithRequest,
	Doc: "Adds a request header beside those of its name.",
	Run: withRequest(func(c *lua.Call, r *engine.Request) lua.Outcome { return change(c, r, false) }),
}

var clearHeader = &lua.Func{
	Name: "ngx.req.clear_header", Sig: "name?:any", In: lua.WithRequest,
	Doc: "Deletes a request header.",
	Run: withRequest(func(c *lua.Call, r *engine.Request) lua.Outcome {
		if r.In.Version >= http1.Version10 && !luahost.SetRequestHeader(r, luahost.Text(c, 1), nil, true) {
			return c.Errorf("failed to set header")
		}
		return c.Return()
	}),
}

func change(c *lua.Call, r *engine.Request, replace bool) lua.Outcome {
	if c.IsNil(1) {
		return c.Errorf("bad 'name' argument: string expected, got nil")
	}
	if c.IsNil(2) && !replace {
		return c.Errorf("bad 'value' argument: string or table expected, got nil")
	}
	name := luahost.Text(c, 1)
	ok := true
	switch {
	case c.Type(2) == lua.Table:
		p, err := c.Pack(2)
		if err != nil {
			return c.Fail(err)
		}
		if p.Len() == 0 && !replace {
			return c.Errorf("bad 'value' argument: non-empty table expected")
		}
		if r.In.Version < http1.Version10 {
			return c.Return()
		}
		if p.Len() == 0 {
			ok = luahost.SetRequestHeader(r, name, nil, true)
		}
		for i := 1; i <= p.Len() && ok; i++ {
			ok = luahost.SetRequestHeader(r, name, luahost.ValueText(p.Index(i)), replace && i == 1)
		}
	case r.In.Version < http1.Version10: // no head to put it in
	case c.IsNil(2):
		ok = luahost.SetRequestHeader(r, name, nil, true)
	default:
		ok = luahost.SetRequestHeader(r, name, luahost.Text(c, 2), replace)
	}
	if !ok {
		return c.Errorf("failed to set header")
	}
	return c.Return()
}
