// Package body is the part of the Lua API that reads and replaces the request body.
package body

import (
	"errors"
	"os"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// Library declares the functions.
var Library = lua.Library{
	Name: "body", Doc: "The request body.",
	Funcs: []*lua.Func{read, discard, data, file, setData, setFile, begin, appendTo, finish},
}

const noRequest = "request object not found"

// exact makes Run of a function with a fixed number of arguments.
func exact(n int, f func(c *lua.Call, r *engine.Request) lua.Outcome) func(c *lua.Call) lua.Outcome {
	return func(c *lua.Call) lua.Outcome {
		if c.NArgs() != n {
			return c.Errorf("expecting %d arguments but seen %d", n, c.NArgs())
		}
		if r := luahost.Request(c); r != nil {
			return f(c, r)
		}
		return luahost.Disabled(c)
	}
}

var read = &lua.Func{
	Name: "ngx.req.read_body", Tier: lua.Async, In: lua.Handlers, NoRequest: noRequest,
	Doc: "Reads the whole request body, into memory or a temporary file, while other requests go on.",
	Run: exact(0, func(c *lua.Call, r *engine.Request) lua.Outcome {
		r.Logf(nlog.Debug, "lua start to read buffered request body")
		if st := r.ReadBody(); st != engine.OK && !c.Killed() {
			x := luahost.FromCall(c)
			x.ExitCode, x.Exited = int(st), true
			return c.End(int(st))
		}
		return c.Return()
	}),
}

var discard = &lua.Func{
	Name: "ngx.req.discard_body", In: lua.WithRequest, NoRequest: noRequest,
	Doc: "Lets the request body go by unread.",
	Run: exact(0, func(c *lua.Call, r *engine.Request) lua.Outcome {
		if r.DiscardBody() != engine.OK {
			return c.Errorf("failed to discard request body")
		}
		return c.Return()
	}),
}

var data = &lua.Func{
	Name: "ngx.req.get_body_data", Sig: "max?:number -> data", In: lua.WithRequest, NoRequest: noRequest,
	Doc: "The request body, or its first max bytes, when it was read and is in memory; nil when it is empty.",
	Run: func(c *lua.Call) lua.Outcome {
		if n := c.NArgs(); n > 1 {
			return c.Errorf("expecting 0 or 1 arguments but seen %d", n)
		}
		r := luahost.Request(c)
		if r == nil {
			return luahost.Disabled(c)
		}
		b := &r.Body
		if b.File != nil || len(b.Mem) == 0 {
			return c.ReturnNil()
		}
		if max := c.Int(1); max > 0 && max < len(b.Mem) {
			return c.ReturnStr(b.Mem[:max])
		}
		return c.ReturnStr(b.Mem)
	},
}

var file = &lua.Func{
	Name: "ngx.req.get_body_file", Sig: "-> name", In: lua.WithRequest, NoRequest: noRequest,
	Doc: "The name of the file that the request body was read into, nil when it is in memory.",
	Run: exact(0, func(c *lua.Call, r *engine.Request) lua.Outcome {
		if r.Body.File == nil {
			return c.ReturnNil()
		}
		return c.ReturnString(r.Body.File.Name())
	}),
}

// unread says why the request's body cannot be replaced, "" when it can.
func unread(r *engine.Request) string {
	switch {
	case r.Discarded:
		return "request body already discarded asynchronously"
	case !r.Body.Read:
		return "request body not read yet"
	}
	return ""
}

var setData = &lua.Func{
	Name: "ngx.req.set_body_data", Sig: "data:string", In: lua.WithRequest, NoRequest: noRequest,
	Doc: "Replaces the request body.",
	Run: exact(1, func(c *lua.Call, r *engine.Request) lua.Outcome {
		if why := unread(r); why != "" {
			return c.Errorf("%s", why)
		}
		r.SetBody(r.Copy(c.Str(1)))
		return c.Return()
	}),
}

var setFile = &lua.Func{
	Name: "ngx.req.set_body_file", Sig: "name:string, clean?:boolean", In: lua.WithRequest,
	Doc: "Replaces the request body by a file, which is deleted at the end when clean.",
	Run: runSetFile,
}

func runSetFile(c *lua.Call) lua.Outcome {
	if n := c.NArgs(); n > 2 {
		return c.Errorf("expecting 1 or 2 arguments but seen %d", n)
	}
	r := luahost.Request(c)
	if r == nil {
		return luahost.Disabled(c)
	}
	if why := unread(r); why != "" {
		return c.Errorf("%s", why)
	}
	name := c.String(1)
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		var errno syscall.Errno
		if errors.As(err, &errno) {
			r.Logf(nlog.Crit, "open() \"%s\" failed %s", name, nlog.ErrText(err))
		}
		return c.Errorf("open() \"%s\" failed", name)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return c.Errorf("fstat() \"%s\" failed", name)
	}
	r.SetBodyFile(f, info.Size(), !c.Bool(2))
	return c.Return()
}
