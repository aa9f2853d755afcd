// Package header is the part of the Lua API that reads and changes the response head: ngx.header, ngx.resp.get_headers and
// the module ngx.resp.
package header

import (
	"strconv"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// Library declares the functions. The module ngx.resp is a table of its own: the table ngx.resp has get_headers only.
var Library = lua.Library{
	Name: "header", Doc: "The response head.",
	Objects: []*lua.Object{{
		Name: "ngx.header", Index: get, NewIndex: set, In: lua.WithRequest,
		Doc: "The response headers, by name; a header that comes more than once is a table.",
	}},
	Funcs:   []*lua.Func{getHeaders, addHeader, setStatus, bypass},
	Modules: []lua.Module{{Name: "ngx.resp", Table: "package.loaded.moongate_resp"}},
}

func get(c *lua.Call) lua.Outcome {
	x := luahost.FromCall(c)
	if x == nil {
		return luahost.Disabled(c)
	}
	r := x.R
	name := x.Hyphens(luahost.Text(c, 2))
	switch http1.LookupHeader(name) {
	case http1.HContentLength:
		if n := r.Out.ContentLength; n >= 0 {
			var buf [20]byte
			return c.ReturnStr(strconv.AppendInt(buf[:0], n, 10))
		}
	case http1.HContentType:
		if len(r.Out.ContentType) > 0 {
			return c.ReturnStr(r.Out.ContentType)
		}
	case http1.HLastModified:
		if t := r.Out.LastModified; t >= 0 {
			var buf [32]byte
			return c.ReturnStr(http1.AppendTime(buf[:0], t))
		}
		return c.ReturnNil()
	}
	first, at := x.Header(name, 0)
	if at < 0 {
		return c.ReturnNil()
	}
	val, at := x.Header(name, at+1)
	if at < 0 {
		return c.ReturnStr(first)
	}
	w := c.Push()
	w.Begin(4, 0)
	for w.Str(first); at >= 0; val, at = x.Header(name, at+1) {
		w.Str(val)
	}
	w.End()
	return c.Return()
}

func set(c *lua.Call) lua.Outcome { return change(c, 2, true) }

var addHeader = &lua.Func{
	Name: "package.loaded.moongate_resp.add_header", Sig: "name?:any, value?:any", In: lua.WithRequest,
	Doc: "Adds a response header beside those of its name.",
	Run: func(c *lua.Call) lua.Outcome {
		if c.IsNil(2) {
			return c.Errorf("invalid header value")
		}
		return change(c, 1, false)
	},
}

// change sets or adds the header whose name is argument i and whose value is the next one.
func change(c *lua.Call, i int, replace bool) lua.Outcome {
	x := luahost.FromCall(c)
	if x == nil {
		return luahost.Disabled(c)
	}
	if x.R.HeaderSent {
		x.R.Logf(nlog.Error, "attempt to set ngx.header.HEADER after sending out response headers")
		return c.Return()
	}
	name := x.Hyphens(luahost.Text(c, i))
	ok := true
	switch {
	case c.IsNil(i + 1):
		ok = x.SetHeader(name, nil, replace)
	case c.Type(i+1) == lua.Table:
		p, err := c.Pack(i + 1)
		if err != nil {
			return c.Fail(err)
		}
		if p.Len() == 0 && replace {
			ok = x.SetHeader(name, nil, true)
		}
		for k := 1; k <= p.Len() && ok; k++ {
			ok = x.SetHeader(name, luahost.ValueText(p.Index(k)), replace && k == 1)
		}
	default:
		ok = x.SetHeader(name, luahost.Text(c, i+1), replace)
	}
	if !ok {
		return c.Errorf("failed to set header")
	}
	return c.Return()
}

var getHeaders = &lua.Func{
	Name: "ngx.resp.get_headers", Sig: "max?:integer, raw?:any -> headers, err", In: lua.WithRequest,
	NoRequest: "no request object found",
	Doc:       "All response headers; with max 0 without a limit, else 100 or max of them at most and \"truncated\".",
	Run:       runGetHeaders,
}

func runGetHeaders(c *lua.Call) lua.Outcome {
	x := luahost.FromCall(c)
	if x == nil {
		return luahost.Disabled(c)
	}
	r := x.R
	limit := c.IntOr(1, -1)
	if n := countHeaders(r); limit < 0 && n > 100 || limit > 0 && n > limit {
		if limit < 0 {
			r.Logf(nlog.Debug, "lua exceeding response header limit %d > %d", n, 100)
		} else {
			r.Logf(nlog.Debug, "lua exceeding response header limit %d > %d", n, limit)
		}
	}
	return c.ReturnHeaders(limit, c.Bool(2), func(w *lua.Writer) { writeHeaders(w, r) })
}

var (
	contentType      = []byte("content-type")
	contentLength    = []byte("content-length")
	connection       = []byte("connection")
	transferEncoding = []byte("transfer-encoding")
	chunked          = []byte("chunked")
	closeWord        = []byte("close")
	keepAlive        = []byte("keep-alive")
	upgrade          = []byte("upgrade")
)

func countHeaders(r *engine.Request) int {
	n := len(r.Out.List) + 1
	if len(r.Out.ContentType) > 0 {
		n++
	}
	if r.Out.ContentLength >= 0 {
		n++
	}
	if r.Chunked {
		n++
	}
	return n
}

// writeHeaders lists what the driver makes of the response's fields, and the others.
func writeHeaders(w *lua.Writer, r *engine.Request) {
	o := &r.Out
	if len(o.ContentType) > 0 {
		w.Header(contentType, o.ContentType)
	}
	if o.ContentLength >= 0 {
		var buf [20]byte
		w.Header(contentLength, strconv.AppendInt(buf[:0], o.ContentLength, 10))
	}
	switch {
	case o.Status == 101:
		w.Header(connection, upgrade)
	case r.KeepAlive:
		w.Header(connection, keepAlive)
	default:
		w.Header(connection, closeWord)
	}
	if r.Chunked {
		w.Header(transferEncoding, chunked)
	}
	debug := r.Logger.On(nlog.Debug)
	for i := range o.List {
		h := &o.List[i]
		if h.Name == nil {
			continue
		}
		w.Header(h.Name, h.Value)
		if debug {
			r.Logf(nlog.Debug, "lua response header: \"%s: %s\"", h.Name, h.Value)
		}
	}
}

var setStatus = &lua.Func{
	Name: "package.loaded.moongate_resp.set_status", Sig: "status:number, reason?:string", In: lua.WithRequest,
	Doc: "Sets the status of the response and the words that follow it.",
	Run: runSetStatus,
}

func runSetStatus(c *lua.Call) lua.Outcome {
	r := luahost.Request(c)
	if r == nil {
		return luahost.Disabled(c)
	}
	if r.HeaderSent {
		r.Logf(nlog.Error, "attempt to set ngx.status after sending out response headers")
		return c.Return()
	}
	st := c.Int(1)
	if st < 100 || st > 999 {
		r.Logf(nlog.Error, "invalid HTTP status code %d", st)
		return c.Return()
	}
	r.Out.Status, r.ErrStatus, r.Out.StatusLine = engine.Status(st), 0, nil
	switch reason := c.Str(2); {
	case st == 101:
		r.Out.StatusLine = []byte("101 Switching Protocols")
	case len(reason) > 0:
		line := ascii.AppendPadded(r.Alloc(4 + len(reason))[:0], uint64(st), 3)
		r.Out.StatusLine = append(append(line, ' '), reason...)
	}
	return c.Return()
}

var bypass = &lua.Func{
	Name: "package.loaded.moongate_resp.bypass_if_checks", In: lua.WithRequest,
	Doc: "Keeps If-Modified-Since and its like from making a 304 or 412 of the answer.",
	Run: func(c *lua.Call) lua.Outcome {
		r := luahost.Request(c)
		if r == nil {
			return luahost.Disabled(c)
		}
		r.NoConditions = true
		return c.Return()
	},
}
