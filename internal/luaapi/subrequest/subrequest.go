// Package subrequest is ngx.location.capture and ngx.location.capture_multi: requests served within the server, whose
// responses become Lua tables.
package subrequest

import (
	"bytes"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
)

// Library declares the functions.
var Library = lua.Library{
	Name: "subrequest", Doc: "Requests within the server.",
	Funcs: []*lua.Func{raw, capture, captureMulti},
}

// fields is the number of arguments of raw for one subrequest: uri, method, body, args, vars, ctx, headers, flags.
const fields = 8

const (
	shareVars = 1 << iota
	copyVars
	forwardBody
)

var raw = &lua.Func{
	Name: "ngx.location._capture", Tier: lua.Async, In: lua.Handlers, Free: lua.FreeRequest, Run: run,
	Doc: "What the capture functions are made of.",
}

// capture checks its options where tables are cheap to look at, in Lua, and hands the fields on in order.
var capture = &lua.Func{
	Name: "ngx.location.capture", Tier: lua.Lua, In: lua.Handlers, Free: lua.FreeRequest,
	Doc: "Serves a request within the server and returns its response: status, header, body, truncated.",
	Source: `
local type, error, select, raw = type, error, select, ngx.location._capture
local function check(n, uri, o)
  if type(o) ~= "table" then
    error("expecting table as the 2nd argument for subrequest " .. n .. ", but got " .. type(o), 3)
  end
  local args, vars, headers, method, ctx, body = o.args, o.vars, o.headers, o.method, o.ctx, o.body
  local t = type(args)
  if t == "number" then args = args .. "" elseif t ~= "nil" and t ~= "table" and t ~= "string" then error("Bad args option value", 3) end
  if vars ~= nil and type(vars) ~= "table" then error("Bad vars option value", 3) end
  if headers ~= nil and type(headers) ~= "table" then error("Bad headers option value", 3) end
  local flags = 0
  local v = o.share_all_vars
  if v ~= nil and type(v) ~= "boolean" then error("Bad share_all_vars option value", 3) end
  if v then flags = flags + 1 end
  v = o.copy_all_vars
  if v ~= nil and type(v) ~= "boolean" then error("Bad copy_all_vars option value", 3) end
  if v then flags = flags + 2 end
  if o.always_forward_body then flags = flags + 4 end
  if method ~= nil and type(method) ~= "number" then error("Bad http request method", 3) end
  if ctx ~= nil and type(ctx) ~= "table" then error("Bad ctx option value type " .. type(ctx) .. ", expected a Lua table", 3) end
  if body ~= nil and type(body) ~= "string" and type(body) ~= "number" then error("Bad http request body", 3) end
  if body ~= nil then body = body .. "" end
  return uri, method, body, args, vars, ctx, headers, flags
end
ngx.location._check = check
return function(...)
  local n = select("#", ...)
  if n ~= 1 and n ~= 2 then error("expecting one or two arguments", 2) end
  local uri, o = ...
  if type(uri) ~= "string" then
    if type(uri) ~= "number" then error("bad argument #1 to 'capture' (string expected, got " .. type(uri) .. ")", 2) end
    uri = uri .. ""
  end
  if o == nil then return raw(uri) end
  return raw(check(0, uri, o))
end`,
}

var captureMulti = &lua.Func{
	Name: "ngx.location.capture_multi", Tier: lua.Lua, In: lua.Handlers, Free: lua.FreeRequest,
	Doc: "Serves several requests within the server at the same time and returns their responses in order.",
	Source: `
local type, error, select, raw, unpack, pairs = type, error, select, ngx.location._capture, unpack, pairs
local check = ngx.location._check
ngx.location._check, ngx.location._capture = nil, nil
return function(...)
  local n = select("#", ...)
  if n ~= 1 then error("only one argument is expected, but got " .. n, 2) end
  local list = ...
  if type(list) ~= "table" then error("bad argument #1 to 'capture_multi' (table expected, got " .. (list == nil and "nil" or type(list)) .. ")", 2) end
  local count = #list
  if count == 0 then error("at least one subrequest should be specified", 2) end
  local a, k = {}, 0
  for i = 1, count do
    local q = list[i]
    if type(q) ~= "table" then
      error("the query argument " .. i - 1 .. " is not a table, but a " .. type(q), 2)
    end
    local m = #q
    if m ~= 1 and m ~= 2 then error("query argument " .. i - 1 .. " expecting one or two arguments", 2) end
    local uri = q[1]
    if type(uri) ~= "string" then
      if type(uri) ~= "number" then error("bad argument #1 to 'capture_multi' (string expected, got " .. type(uri) .. ")", 2) end
      uri = uri .. ""
    end
    if q[2] == nil then
      a[k + 1] = uri
    else
      a[k + 1], a[k + 2], a[k + 3], a[k + 4], a[k + 5], a[k + 6], a[k + 7], a[k + 8] = check(i - 1, uri, q[2])
    end
    k = k + 8
  end
  return raw(unpack(a, 1, k))
end`,
}

// one is a subrequest being made.
type one struct {
	uri, args []byte
	opt       engine.SubOptions
	ctx       lua.Ref
	hasCtx    bool
	vars      []setVar
	headers   lua.Packed
	hasHeads  bool
	length    int64 // of its body, for the head; or one of the values below
	out       *engine.Captured
	turn      luahost.Batch // while it waits to begin
	next      *one
}

// The head of a subrequest says what its parent's says of the body, or nothing.
const (
	keepLength = -1
	dropLength = -2
)

// freeSlot keeps what was used for a single subrequest, in the worker.
var freeSlot = engine.NewWorkerSlot()

func take(x *luahost.Ctx) *one {
	values := x.R.W.Values
	o, _ := values[freeSlot].(*one)
	if o == nil {
		return &one{}
	}
	values[freeSlot] = o.next
	o.next = nil
	return o
}

func (o *one) release(x *luahost.Ctx) {
	next, _ := x.R.W.Values[freeSlot].(*one)
	clear(o.vars)
	*o = one{vars: o.vars[:0], next: next}
	x.R.W.Values[freeSlot] = o
}

type setVar struct {
	v   *engine.Var
	val []byte
}

func run(c *lua.Call) lua.Outcome {
	x := luahost.FromCall(c)
	if x == nil {
		return c.Errorf("no request object found")
	}
	if !c.MayWait() {
		return c.Errorf("attempt to yield across C-call boundary")
	}
	if n := c.NArgs(); n <= fields {
		o := take(x)
		defer o.release(x)
		if out, ok := prepare(c, x, o, 1); !ok {
			return out
		}
		begin(c, x)
		o.turn.Begin(x)
		c.GiveTurn() // a subrequest begins when the threads that are ready have run
		o.turn.End(x)
		if !o.turn.Over { // one of them may have ended the handler
			o.serve(x)
		}
		end(c, x)
		if o.out == nil {
			return c.Errorf("failed to issue subrequest: -1")
		}
		o.result(c)
		return c.Return()
	}
	return multi(c, x)
}

// begin says that the caller's thread waits for subrequests: meanwhile nothing may end it.
func begin(c *lua.Call, x *luahost.Ctx) {
	x.NoAbort++
	c.Thread().Pending++
}

func end(c *lua.Call, x *luahost.Ctx) {
	x.NoAbort--
	c.Thread().Pending--
}

// multi serves the subrequests as tasks of their own and waits for all.
func multi(c *lua.Call, x *luahost.Ctx) lua.Outcome {
	list := make([]one, c.NArgs()/fields)
	for i := range list {
		if out, ok := prepare(c, x, &list[i], 1+i*fields); !ok {
			return out
		}
	}
	begin(c, x)
	loop := x.R.W.Loop
	me, left := loop.Current(), len(list)
	b := &luahost.Batch{Tasks: make([]*netio.Task, len(list))}
	b.Begin(x)
	for i := range list {
		loop.Go(func() {
			if !b.Over {
				b.Tasks[i] = loop.Current()
				list[i].serve(x)
				b.Tasks[i] = nil
			}
			if left--; left == 0 {
				loop.Ready(me)
			}
		})
	}
	for left > 0 {
		loop.Park(0)
	}
	b.End(x)
	end(c, x)
	for i := range list {
		list[i].result(c)
	}
	return c.Return()
}

// prepare reads the arguments of one subrequest. On failure the outcome is the call's.
func prepare(c *lua.Call, x *luahost.Ctx, o *one, at int) (lua.Outcome, bool) {
	r := x.R
	if out, ok := prepareURI(c, r, o, at); !ok {
		return out, false
	}
	flags := c.IntOr(at+7, 0)
	method := http1.Method(c.IntOr(at+1, int(http1.MethodGet)))
	name := method.String()
	if name == "" || method == http1.MethodConnect {
		r.Logf(4, "unsupported HTTP method: %d", method)
		return c.Errorf("failed to adjust the subrequest: -1"), false
	}
	o.opt = engine.SubOptions{Method: method, MethodName: r.CopyString(name), Capture: true, ShareVars: flags&shareVars != 0, CopyVars: flags&copyVars != 0}
	size := r.ContentLength
	chunked := size < 0 && r.ChunkedBody && r.Body.Read
	if chunked {
		size = int64(len(r.Body.Mem)) + r.Body.FileSize
	}
	o.length = keepLength
	switch {
	case !c.IsNil(at + 2):
		o.opt.HasBody, o.opt.Body = true, r.Copy(c.Str(at+2))
		o.length = int64(len(o.opt.Body))
	case flags&forwardBody != 0 || method == http1.MethodPut || method == http1.MethodPost || size <= 0:
		o.opt.KeepBody = true
		if chunked {
			o.length = size
		}
	default:
		o.length = dropLength
	}
	if c.Type(at+4) == lua.Table {
		if out, ok := prepareVars(c, r, o, at+4); !ok {
			return out, false
		}
	}
	if c.Type(at+5) == lua.Table {
		ref, err := c.Ref(at + 5)
		if err != nil {
			return c.Fail(err), false
		}
		o.ctx, o.hasCtx = ref, true
	}
	if c.Type(at+6) == lua.Table {
		p, err := c.Pack(at + 6)
		if err != nil {
			return c.Fail(err), false
		}
		o.headers, o.hasHeads = p, true
	}
	return 0, true
}

// prepareURI reads the URI, and the arguments that it and the option args have.
func prepareURI(c *lua.Call, r *engine.Request, o *one, at int) (lua.Outcome, bool) {
	uri := c.Str(at)
	if len(uri) == 0 {
		return c.Errorf("unsafe uri in argument #1: %s", uri), false
	}
	if uri[0] == '@' {
		o.uri = r.Copy(uri)
	} else {
		_, path, own, ok := http1.ParseUnsafeURI(nil, uri)
		if !ok {
			return c.Errorf("unsafe uri in argument #1: %s", uri), false
		}
		o.uri, o.args = r.Copy(path), r.Copy(own)
	}
	switch c.Type(at + 3) {
	case lua.Str:
		o.args = join(o.args, c.Str(at+3))
	case lua.Table:
		p, err := c.Pack(at + 3)
		if err != nil {
			return c.Fail(err), false
		}
		more, err := luahost.EncodeArgs(nil, p)
		if err != nil {
			return c.Fail(err), false
		}
		o.args = join(o.args, more)
	}
	return 0, true
}

// prepareVars reads the option vars, argument i.
func prepareVars(c *lua.Call, r *engine.Request, o *one, i int) (lua.Outcome, bool) {
	p, err := c.Pack(i)
	if err != nil {
		return c.Fail(err), false
	}
	for k, v := range p.Pairs() {
		if k.Type != lua.Str {
			return c.Errorf("attempt to use a non-string key in the \"vars\" option table"), false
		}
		if v.Type != lua.Str && v.Type != lua.Number {
			return c.Errorf("attempt to use bad variable value type %s", v.Type), false
		}
		ev := r.FindVar(string(bytes.ToLower(k.Str())))
		switch {
		case ev == nil:
			r.Logf(nlog.Error, "variable \"%s\" cannot be assigned a value (maybe you forgot to define it first?) ", k.Str())
			return c.Errorf("failed to adjust the subrequest: -1"), false
		case !ev.Changeable || !ev.HasSlot() && ev.Set == nil:
			r.Logf(nlog.Error, "variable \"%s\" not changeable", k.Str())
			return c.Errorf("failed to adjust the subrequest: 500"), false
		}
		o.vars = append(o.vars, setVar{ev, r.Copy(v.Text())})
	}
	return 0, true
}

func join(a, b []byte) []byte {
	if len(a) == 0 {
		return append([]byte(nil), b...)
	}
	if len(b) == 0 {
		return a
	}
	return append(append(append(make([]byte, 0, len(a)+1+len(b)), a...), '&'), b...)
}

// serve runs the subrequest to its end.
func (o *one) serve(x *luahost.Ctx) {
	if x.OwnVM() || o.hasCtx || len(o.vars) > 0 || o.hasHeads || o.length != keepLength || o.opt.Method != http1.MethodGet {
		o.opt.Prepare = func(sub *engine.Request) {
			luahost.ShareVM(sub, x)
			for _, v := range o.vars {
				sub.SetVar(v.v, v.val)
			}
			if o.hasCtx {
				luahost.Of(sub).SetCtxTable(x.W.VM, o.ctx)
			}
			if o.length >= 0 {
				luahost.SetContentLength(sub, o.length)
			} else if o.length == dropLength {
				luahost.DropContentLength(sub)
			}
			if o.hasHeads {
				for k, v := range o.headers.Pairs() {
					luahost.SetHeaderIn(sub, sub.Copy(k.Text()), sub.Copy(v.Text()))
				}
			}
		}
	}
	if x.R.Logger.Debugs(nlog.DebugHTTP) {
		x.R.Logf(nlog.Debug, "lua http subrequest \"%s?%s\"", o.uri, o.args)
	}
	o.out, _ = x.R.Subrequest(o.uri, o.args, &o.opt)
}

// result pushes the response as a table.
func (o *one) result(c *lua.Call) {
	w := c.Push()
	w.Begin(0, 4)
	if o.out == nil {
		w.SetInt("status", 500)
		w.SetString("body", "")
		w.Key("header")
		w.Begin(0, 0)
		w.End()
		w.SetBool("truncated", true)
		w.End()
		return
	}
	r := o.out.Req
	out := &r.Out
	status := int(out.Status)
	if status == 0 {
		status = 200
		if r.ErrStatus != 0 {
			status = int(r.ErrStatus)
		}
	}
	w.SetInt("status", status)
	w.SetBool("truncated", o.out.Truncated)
	w.Key("body")
	w.Str(o.out.Body)
	w.Key("header")
	w.Begin(0, 4)
	if len(out.ContentType) > 0 {
		w.Key("Content-Type")
		if len(out.Charset) > 0 && bytes.IndexByte(out.ContentType, ';') < 0 {
			w.String(string(out.ContentType) + "; charset=" + string(out.Charset))
		} else {
			w.Str(out.ContentType)
		}
	}
	if out.ContentLength >= 0 {
		w.Key("Content-Length")
		w.Int(int(out.ContentLength))
	}
	if out.LastModified >= 0 {
		w.Key("Last-Modified")
		w.Str(http1.AppendTime(nil, out.LastModified))
	}
	for i := range out.List {
		if h := &out.List[i]; h.Name != nil {
			w.Multi(h.Name)
			w.Str(h.Value)
		}
	}
	w.End()
	w.End()
	o.out.Release()
}
