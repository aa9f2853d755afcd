package grpcserver

import (
	"bytes"
	_ "embed"
	"errors"
	"io"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/grpc"
	"moongate/internal/http1"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// handlersSource is the Lua side: it makes of a handler a function of an encoded request that returns an encoded reply.
//
//go:embed handlers.lua
var handlersSource string

var handlers = lua.NewCode(handlersSource, "=ngx.grpc.handlers")

// Library has the functions that handlers.lua is made with; programs use the call object.
var Library = lua.Library{
	Name: "grpc_server", Doc: "What the call object of a gRPC handler is made of.",
	Funcs: []*lua.Func{
		{Name: "ngx.grpccall.recv", Tier: lua.Async, In: lua.Yieldable, Run: luaRecv,
			Doc: "The next message of the client, encoded; nil at the end, with code and message for a failure."},
		{Name: "ngx.grpccall.send", Sig: "message:string", Tier: lua.Async, In: lua.Yieldable, Run: luaSend,
			Doc: "Sends an encoded message; nil, code and message for a failure."},
		{Name: "ngx.grpccall.set_header", Sig: "name:string, value:string", Run: luaHeader, Doc: "Adds a header to the response; false when its head has left."},
		{Name: "ngx.grpccall.set_trailer", Sig: "name:string, value:string", Run: luaTrailer, Doc: "Adds a trailer to the response."},
		{Name: "ngx.grpccall.metadata", Sig: "sendable?:boolean", Run: luaMetadata,
			Doc: "The client's metadata: a value, or a list of values, by lower-case name; all, or what gRPC can send on."},
		{Name: "ngx.grpccall.info", Run: luaInfo, Doc: "Service, method, protocol, peer and authority of the call."},
		{Name: "ngx.grpccall.remaining", Run: luaRemaining, Doc: "The seconds to the deadline; nil without one."},
		{Name: "ngx.grpccall.cancelled", Run: luaCancelled, Doc: "Whether the client has given up, or the deadline is over."},
		{Name: "ngx.grpccall.finish", Sig: "code:integer, message?:string, details?:string", Tier: lua.Async, In: lua.Yieldable, Run: luaFinish,
			Doc: "Ends the handler with a status."},
		{Name: "ngx.grpccall.on_cancel", Sig: "f:function", Tier: lua.Async, In: lua.Yieldable, Run: luaOnCancel,
			Doc: "Has a function run as a light thread when the client gives up or the deadline is over; the handler is not ended then."},
		{Name: "ngx.grpccall.set_compression", Sig: "name:string", Run: luaCompression, Doc: "How messages that are sent from now on are compressed."},
		{Name: "ngx.grpccall.set_health", Sig: "service:string, serving:any", Run: luaHealth, Doc: "What grpc.health.v1.Health says of a service."},
	},
	Modules: []lua.Module{{Name: "ngx.grpc.call", Table: "ngx.grpccall", Private: true}},
}

// prepared is what a VM knows of methods.
type prepared struct {
	make    lua.Ref // of handlers.lua
	methods map[*method]lua.Ref
}

var preparedSlot = luahost.NewSlot()

// driver is the function that serves a method in the request's VM.
func (c *call) driver() (lua.Ref, error) {
	lw := c.x.W
	p, _ := lw.Value(preparedSlot).(*prepared)
	if p == nil {
		p = &prepared{methods: map[*method]lua.Ref{}}
		chunk, err := lw.VM.Load(handlers)
		if err != nil {
			return 0, err
		}
		if p.make, err = c.refOf(chunk, nil); err != nil {
			return 0, err
		}
		lw.SetValue(preparedSlot, p)
	}
	if f, ok := p.methods[c.m]; ok {
		return f, nil
	}
	var own lua.Ref
	code := c.m.code
	if (c.m.target != "" || c.filtered != nil) && code == nil {
		code = c.m.filter
	}
	if code != nil {
		chunk, err := lw.VM.Load(code)
		if err != nil {
			return 0, err
		}
		if own, err = c.refOf(chunk, nil); err != nil {
			return 0, err
		}
	}
	maker := lw.VM.Function(p.make)
	d := c.m.desc
	f, err := c.refOf(&maker, func(w *lua.Writer) {
		w.String(c.m.service)
		w.String(c.m.name)
		w.String(string(d.Input().FullName()))
		w.String(string(d.Output().FullName()))
		w.Bool(c.m.clientStream)
		w.Bool(c.m.serverStream)
		w.String(c.conf.int64s.V)
		w.Light(c.conf.id())
		w.Str(c.conf.encoded)
		if own != 0 {
			w.Ref(own)
		} else {
			w.String(c.m.module)
		}
		if (c.m.target != "" || c.filtered != nil) && c.m.code == nil {
			w.String(c.m.target)
			w.String(c.conf.tls)
			w.Int(int(c.conf.sendSize.V))
		}
	})
	if err == nil && f != 0 {
		p.methods[c.m] = f
	}
	return f, err
}

// refOf runs a chunk and anchors the function it returns; 0 when it returns none.
func (c *call) refOf(chunk *lua.Chunk, args func(w *lua.Writer)) (ref lua.Ref, err error) {
	res := chunk.RunWith(&c.x.Context, lua.PhaseContent, args, func(k *lua.Call) {
		if k.Type(1) == lua.Function {
			ref, err = k.Ref(1)
		} else if k.Type(2) == lua.Str {
			err = errors.New(k.String(2))
		}
	})
	if res.Status == lua.Failed {
		return 0, res.Err
	}
	return ref, err
}

// runLua runs the handler of the call's method.
func (c *call) runLua() *grpc.Status {
	r := c.r
	c.x = luahost.Of(r)
	x := c.x
	x.SetLogLevel(lua.Level(min(r.Logger.Level(), nlog.Debug)))
	x.EnteredContent, x.EOF = true, true // nothing but messages is sent: ngx.say says so
	f, err := c.driver()
	switch {
	case err != nil:
		c.logged = true
		r.Logf(nlog.Error, "%s", err)
		return &grpc.Status{Code: grpc.Internal, Message: "the handler cannot be loaded"}
	case f == 0:
		return &grpc.Status{Code: grpc.Unimplemented, Message: "method " + c.m.name + " not implemented"}
	}
	if !c.m.clientStream {
		var st *grpc.Status
		if c.first, st = c.recvOne(); st != nil {
			return st
		}
	}
	if c.status != nil {
		return c.status
	}
	chunk := x.W.VM.Function(f)
	x.Exited = false
	res := chunk.RunWith(&x.Context, lua.PhaseContent, c.args, c.take)
	switch {
	case res.Status == lua.Failed:
		c.logged = true
		r.Logf(nlog.Error, "%s", res.Err.Error())
		return &grpc.Status{Code: grpc.Internal, Message: "error in the handler"}
	case c.status != nil:
		return c.status
	case res.Status == lua.Ended && x.Exited && x.ExitCode >= 400:
		return &grpc.Status{Code: grpc.FromHTTP(x.ExitCode), Message: "the handler ended with status " + itoa(x.ExitCode)}
	}
	return c.status
}

func (c *call) pushArgs(w *lua.Writer) {
	if !c.m.clientStream {
		w.Str(c.first)
	}
}

// takeResult sees what the driver returned: the reply, or nil, code, message and details.
func (c *call) takeResult(k *lua.Call) {
	if c.status != nil {
		return
	}
	if k.Type(1) == lua.Str {
		if c.m.serverStream || c.sent > 0 { // what was sent with call:send is the reply
			return
		}
		if err := c.send(k.Str(1), true); err != nil {
			c.status = statusOf(err)
		}
		return
	}
	if code := grpc.Code(k.Int(2)); code != grpc.OK {
		c.status = &grpc.Status{Code: code, Message: k.String(3)}
		if d := k.Str(4); len(d) > 0 {
			c.status.Details = append([]byte(nil), d...)
		}
	}
}

// ---- functions of the call object ----

func outside(c *lua.Call) lua.Outcome { return c.Errorf("no gRPC call in the current context") }

func fail(c *lua.Call, st *grpc.Status) lua.Outcome {
	w := c.Push()
	w.Nil()
	w.Int(int(st.Code))
	w.String(st.Message)
	return c.Return()
}

func luaRecv(c *lua.Call) lua.Outcome {
	k := callOf(c)
	if k == nil {
		return outside(c)
	}
	if k.filtered != nil {
		return c.Errorf("a message filter cannot receive")
	}
	if !k.m.clientStream {
		return c.ReturnNil()
	}
	msg, err := k.recv()
	switch {
	case err == io.EOF:
		return c.ReturnNil()
	case err != nil:
		return fail(c, statusOf(err))
	}
	return c.ReturnStr(msg)
}

func luaSend(c *lua.Call) lua.Outcome {
	k := callOf(c)
	if k == nil {
		return outside(c)
	}
	if k.filtered != nil {
		k.filtered.insert(c.Str(1))
		return c.ReturnBool(true)
	}
	if !k.m.serverStream && k.sent > 0 {
		return fail(c, &grpc.Status{Code: grpc.Internal, Message: "a reply was sent already"})
	}
	if err := k.send(c.Str(1), false); err != nil {
		return fail(c, statusOf(err))
	}
	return c.ReturnBool(true)
}

func luaHeader(c *lua.Call) lua.Outcome {
	k := callOf(c)
	if k == nil {
		return outside(c)
	}
	if k.headSent {
		return c.ReturnBool(false)
	}
	return addField(c, k, &k.headers)
}

func luaTrailer(c *lua.Call) lua.Outcome {
	k := callOf(c)
	if k == nil {
		return outside(c)
	}
	return addField(c, k, &k.trailers)
}

func addField(c *lua.Call, k *call, list *[]http1.Header) lua.Outcome {
	name := c.Str(1)
	for _, b := range name {
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_' || b == '.') {
			return c.Errorf("invalid name of metadata %q", name)
		}
	}
	if len(name) == 0 || len(name) > 4 && string(lower(name[:5])) == "grpc-" {
		return c.Errorf("reserved name of metadata %q", name)
	}
	if !bytes.HasSuffix(lower(name), []byte("-bin")) {
		for _, b := range c.Str(2) {
			if b < ' ' || b > '~' {
				return c.Errorf("invalid value of metadata %q", name)
			}
		}
	}
	k.header(list, string(name), c.Str(2))
	return c.ReturnBool(true)
}

func luaMetadata(c *lua.Call) lua.Outcome {
	k := callOf(c)
	if k == nil {
		return outside(c)
	}
	sendable := c.Bool(1)
	w := c.Push()
	w.Begin(0, 8)
	for i := range k.r.In.List {
		h := &k.r.In.List[i]
		name := lower(h.Name)
		switch {
		case grpc.Reserved(string(name)) || sendable && !grpc.Sendable(string(name), h.Value):
		case bytes.HasSuffix(name, []byte("-bin")):
			for part := range bytes.SplitSeq(h.Value, []byte(",")) { // values may be joined
				if v, err := grpc.Binary(bytes.TrimSpace(part)); err == nil {
					w.Multi(name)
					w.Str(v)
				}
			}
		default:
			w.Multi(name)
			w.Str(h.Value)
		}
	}
	w.End()
	return c.Return()
}

func luaInfo(c *lua.Call) lua.Outcome {
	k := callOf(c)
	if k == nil {
		return outside(c)
	}
	return c.Table(func(w *lua.Writer) {
		w.SetString("service", k.m.service)
		w.SetString("method", k.m.name)
		w.SetString("protocol", k.proto.name())
		w.SetString("peer", string(k.r.Conn.Remote.AppendIP(nil)))
		w.SetString("authority", string(k.r.In.Server))
	})
}

func luaRemaining(c *lua.Call) lua.Outcome {
	k := callOf(c)
	switch {
	case k == nil:
		return outside(c)
	case k.deadline == 0:
		return c.ReturnNil()
	}
	k.r.W.Loop.RenewClock()
	return c.ReturnNum(float64(max(k.deadline-k.r.W.Loop.Now(), 0)) / 1e9)
}

func luaCancelled(c *lua.Call) lua.Outcome {
	k := callOf(c)
	if k == nil {
		return outside(c)
	}
	return c.ReturnBool(k.canceled || k.r.Aborted || k.status != nil || k.r.Stream.Gone())
}

func luaFinish(c *lua.Call) lua.Outcome {
	k := callOf(c)
	if k == nil {
		return outside(c)
	}
	if k.status == nil {
		k.status = &grpc.Status{Code: grpc.Code(c.Int(1)), Message: c.String(2)}
		if d := c.Str(3); len(d) > 0 {
			k.status.Details = append([]byte(nil), d...)
		}
	}
	return c.End(int(engine.OK))
}

func luaOnCancel(c *lua.Call) lua.Outcome {
	k := callOf(c)
	if k == nil {
		return outside(c)
	}
	if k.filtered != nil {
		return c.Errorf("a message filter has no on_cancel")
	}
	ok, err := c.OnAbort()
	if err != nil {
		return c.Errorf("%s", err)
	}
	return c.ReturnBool(ok)
}

func luaCompression(c *lua.Call) lua.Outcome {
	k := callOf(c)
	if k == nil {
		return outside(c)
	}
	switch name := c.String(1); name {
	case "gzip":
		if !k.accepts {
			return c.ReturnFalseErr("the client does not accept gzip")
		}
		if k.headSent && !k.declared {
			return c.ReturnFalseErr("the head, which has to say so, has left")
		}
		k.compress = "gzip"
	case "identity":
		k.compress = ""
	default:
		return c.ArgError(1, "unknown compression")
	}
	return c.ReturnBool(true)
}

func luaHealth(c *lua.Call) lua.Outcome {
	state := uint64(notServing)
	if c.Bool(2) {
		state = serving
	}
	setHealth(c.String(1), state)
	return c.Return()
}
