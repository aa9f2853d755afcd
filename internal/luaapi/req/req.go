// Package req is the part of the Lua API that reads and changes the request line and head: ngx.req.*, without the body's
// functions.
package req

import (
	"bytes"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// Library declares the functions. The module ngx.req is a table of its own: it has add_header only.
var Library = lua.Library{
	Name: "req", Doc: "The request.",
	Funcs: []*lua.Func{getMethod, setMethod, setURI, getURIArgs, setURIArgs, getPostArgs, getHeaders, setHeader, clearHeader, addHeader,
		rawHeader, httpVersion, startTime, isInternal},
	Modules: []lua.Module{{Name: "ngx.req", Table: "package.loaded.moongate_req"}},
}

// withRequest makes Run of a function that needs no more than the request.
func withRequest(f func(c *lua.Call, r *engine.Request) lua.Outcome) func(c *lua.Call) lua.Outcome {
	return func(c *lua.Call) lua.Outcome {
		if r := luahost.Request(c); r != nil {
			return f(c, r)
		}
		return luahost.Disabled(c)
	}
}

var getMethod = &lua.Func{
	Name: "ngx.req.get_method", In: lua.WithRequest, Sig: "-> method",
	Doc: "The name of the request's method.",
	Run: withRequest(func(c *lua.Call, r *engine.Request) lua.Outcome { return c.ReturnStr(r.MethodName) }),
}

var setMethod = &lua.Func{
	Name: "ngx.req.set_method", In: lua.WithRequest, Sig: "method:any",
	Doc: "Changes the method to one of the constants ngx.HTTP_GET, ...",
	Run: withRequest(func(c *lua.Call, r *engine.Request) lua.Outcome {
		if c.Type(1) != lua.Number {
			return c.Errorf("bad method number")
		}
		m := http1.Method(c.Int(1))
		name := m.String()
		if name == "" || m == http1.MethodConnect {
			return c.Errorf("unsupported HTTP method: %s", luahost.Text(c, 1))
		}
		r.Method, r.MethodName = m, r.CopyString(name)
		return c.Return()
	}),
}

var httpVersion = &lua.Func{
	Name: "ngx.req.http_version", In: lua.WithRequest, Sig: "-> version", NoRequest: "no request object found",
	Doc: "The protocol's version as a number: 0.9, 1.0, 1.1, 2.0 or 3.0.",
	Run: withRequest(func(c *lua.Call, r *engine.Request) lua.Outcome {
		switch r.In.Version {
		case http1.Version09:
			return c.ReturnNum(0.9)
		case http1.Version10:
			return c.ReturnNum(1.0)
		case http1.Version11:
			return c.ReturnNum(1.1)
		case http1.Version20:
			return c.ReturnNum(2.0)
		case http1.Version30:
			return c.ReturnNum(3.0)
		}
		return c.ReturnNil()
	}),
}

var startTime = &lua.Func{
	Name: "ngx.req.start_time", In: lua.WithRequest, Sig: "-> seconds",
	Doc: "When the request began, in seconds since the epoch with milliseconds.",
	Run: func(c *lua.Call) lua.Outcome {
		r := luahost.Request(c)
		if r == nil {
			return c.ReturnNum(float64(luahost.Loop(c).Wall()/1e6) / 1e3)
		}
		return c.ReturnNum(float64(r.StartWall/1e6) / 1e3)
	},
}

var isInternal = &lua.Func{
	Name: "ngx.req.is_internal", In: lua.WithRequest, Sig: "-> internal", NoRequest: "no request object found",
	Doc: "Whether the request was redirected by the server itself, or is a subrequest.",
	Run: withRequest(func(c *lua.Call, r *engine.Request) lua.Outcome { return c.ReturnBool(r.Internal) }),
}

var rawHeader = &lua.Func{
	Name: "ngx.req.raw_header", In: lua.WithRequest, Sig: "no_request_line?:any -> head", NoRequest: "no request object found",
	Doc: "The request head as it came from the client, with or without its first line; for HTTP/2 and HTTP/3, what HTTP/1 would have for it.",
	Run: withRequest(func(c *lua.Call, r *engine.Request) lua.Outcome {
		m := r.Main
		head := m.RawHead
		if m.In.Version >= http1.Version20 {
			head = rebuiltHead(r)
		}
		if len(m.In.RequestLine) == 0 {
			head = nil // nothing that reads as a request
		}
		if c.Bool(1) {
			head = head[bytes.IndexByte(head, '\n')+1:]
		}
		return c.ReturnStr(head)
	}),
}

// rebuiltHead writes the head of a request whose protocol has none as text, from the fields that came.
func rebuiltHead(r *engine.Request) []byte {
	in := r.Main.In
	n := len(in.RequestLine) + 4
	for i := range in.List {
		n += len(in.List[i].Name) + len(in.List[i].Value) + 4
	}
	b := append(append(r.Alloc(n)[:0], in.RequestLine...), "\r\n"...)
	for i := range in.List {
		if h := &in.List[i]; h.Name != nil {
			b = append(append(append(append(b, h.Name...), ": "...), h.Value...), "\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}

var setURI = &lua.Func{
	Name: "ngx.req.set_uri", Sig: "uri:string, ...", Tier: lua.Async, In: lua.WithRequest,
	Doc: "Changes the URI; with jump, in the rewrite phase, the request goes on in the location of the new one.",
	Run: withRequest(runSetURI),
}

func runSetURI(c *lua.Call, r *engine.Request) lua.Outcome {
	if n := c.NArgs(); n > 3 {
		return c.Errorf("expecting 1, 2 or 3 arguments but seen %d", n)
	}
	uri := c.Str(1)
	if len(uri) == 0 {
		return c.Errorf("attempt to use zero-length uri")
	}
	for i := 2; i <= c.NArgs(); i++ {
		if c.Type(i) != lua.Bool {
			return c.TypeError(i, "boolean")
		}
	}
	if !c.Bool(3) {
		for _, b := range uri {
			if b < 0x20 && b != '\t' || b == 0x7f {
				return c.Errorf("unsafe byte \"0x%02x\" in uri \"%s\" (maybe you want to set the 'binary' argument?)", b, luahost.LogEscape(uri))
			}
		}
	}
	jump := c.Bool(2)
	x := luahost.FromCall(c)
	if jump {
		if c.Phase() != lua.PhaseRewrite && c.Phase() != lua.PhaseServerRewrite {
			return luahost.WrongPhase(c)
		}
		if x.NoAbort > 0 {
			return c.Errorf("attempt to abort with pending subrequests")
		}
		r.Logf(nlog.Debug, "lua set uri jump to \"%s\"", uri)
	}
	r.SetURI(r.Copy(uri), jump)
	r.Internal = true
	if !jump {
		r.ValidLocation = false
		return c.Return()
	}
	x.ExitCode, x.Exited = 0, true
	return c.End(0)
}
