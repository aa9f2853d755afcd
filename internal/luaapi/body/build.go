package body

import (
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// writers keeps the body that a request is building.
var writers = engine.NewSlot()

var begin = &lua.Func{
	Name: "ngx.req.init_body", Sig: "size?:integer", In: lua.WithRequest,
	Doc: "Begins a new request body: up to size bytes of it (client_body_buffer_size) stay in memory.",
	Run: runBegin,
}

func runBegin(c *lua.Call) lua.Outcome {
	if n := c.NArgs(); n > 1 {
		return c.Errorf("expecting 0 or 1 argument but seen %d", n)
	}
	r := luahost.Request(c)
	if r == nil {
		return luahost.Disabled(c)
	}
	if why := unread(r); why != "" {
		return c.Errorf("%s", why)
	}
	size := int(r.Core().ClientBodyBufferSize.V)
	if c.NArgs() == 1 {
		if size = c.Int(1); size < 0 {
			return c.Errorf("bad size argument: %d", size)
		}
	}
	w := r.NewBody(size)
	r.SetCtx(writers, &w)
	return c.Return()
}

// building gives the body being built, nil when there is none.
func building(r *engine.Request) *engine.BodyWriter {
	w, _ := r.Ctx(writers).(*engine.BodyWriter)
	return w
}

var appendTo = &lua.Func{
	Name: "ngx.req.append_body", Sig: "data:string", In: lua.WithRequest,
	Doc: "Appends to the request body that init_body has begun.",
	Run: exact(1, func(c *lua.Call, r *engine.Request) lua.Outcome {
		w := building(r)
		if w == nil {
			return c.Errorf("request_body not initialized")
		}
		if !w.Write(c.Str(1)) {
			return c.Errorf("fail to write file")
		}
		return c.Return()
	}),
}

var finish = &lua.Func{
	Name: "ngx.req.finish_body", In: lua.WithRequest,
	Doc: "Ends the request body that init_body has begun.",
	Run: exact(0, func(c *lua.Call, r *engine.Request) lua.Outcome {
		w := building(r)
		if w == nil {
			return c.Errorf("request_body not initialized")
		}
		w.End()
		return c.Return()
	}),
}
