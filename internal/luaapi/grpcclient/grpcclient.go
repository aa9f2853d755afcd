// Package grpcclient is gRPC from Lua: the modules ngx.grpc and resty.grpc, protoc, and what they are made of. Calls go over
// multiplexed HTTP/2 connections (h2client); names of upstream blocks are balanced over.
//
// The Lua sources know the messages, Go knows only their bytes. A call is straight-line code on the task of the light thread
// that makes it; a stream that its request leaves open is cancelled at the request's end.
//
// Connections are shared by all workers. Those of one key, which is an address and how TLS is spoken, have a home: the worker
// that made the first of them. Everything on a connection happens with its home's baton. A call of another worker is one or
// more operations that tasks of the home do for it, while it is parked (place.go): it makes the message's bytes before and
// looks at what came after, nothing else is touched by both.
package grpcclient

import (
	_ "embed"
	"time"

	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

var (
	//go:embed ngx_grpc.lua
	ngxSource string
	//go:embed resty_grpc.lua
	restySource string
	//go:embed protoc.lua
	protocSource string
)

// Library declares the modules.
var Library = lua.Library{
	Name: "grpc", Doc: "gRPC clients.",
	Funcs: []*lua.Func{
		{Name: "ngx.grpcclient.channel", Sig: "target:string, options?:table", Run: newChannel,
			Doc: "A channel to host:port, unix:path or an upstream block; nil and a message for bad parameters."},
		{Name: "ngx.grpcclient.call", Sig: "channel:@grpc_channel, path:string, message:string, timeout:number, metadata?:table, options?:table",
			Tier: lua.Async, In: lua.Yieldable | lua.PhaseMask(lua.PhaseInitWorker), Free: lua.Free, Run: unary,
			Doc: "Calls a method that has one request and one response: the encoded response; or nil, code, message and details. With options.info, header and trailer follow. In init_worker_by_lua the worker waits."},
		{Name: "ngx.grpcclient.open", Sig: "channel:@grpc_channel, path:string, timeout:number, metadata?:table, options?:table",
			Tier: lua.Async, In: lua.Yieldable, Run: openStream, Doc: "Begins a call: a stream; or nil, code and message."},
		{Name: "@grpc_stream:send", Sig: "self:@grpc_stream, message:string, last?:boolean", Tier: lua.Async, In: lua.Yieldable, Run: send,
			Doc: "Sends an encoded message: true; or nil and a message when the server takes no more: recv has the status then."},
		{Name: "@grpc_stream:recv", Sig: "self:@grpc_stream", Tier: lua.Async, In: lua.Yieldable, Run: recv,
			Doc: "The next encoded message; nil at the end; nil, code, message and details when the call has failed."},
		{Name: "@grpc_stream:close_send", Sig: "self:@grpc_stream", Tier: lua.Async, In: lua.Yieldable, Run: closeSend, Doc: "Says that no further message follows."},
		{Name: "@grpc_stream:header", Sig: "self:@grpc_stream", Tier: lua.Async, In: lua.Yieldable, Run: header, Doc: "The server's header metadata; waits for it."},
		{Name: "@grpc_stream:trailer", Sig: "self:@grpc_stream", Run: trailer, Doc: "The server's trailer metadata, once the call has ended."},
		{Name: "@grpc_stream:close", Sig: "self:@grpc_stream", Run: closeStream, Doc: "Ends the call; one that is not over is cancelled."},
		{Name: "ngx.grpcclient.compile", Sig: "names:table, paths?:table, texts?:table", Run: compile,
			Doc: "Compiles .proto files: the binary descriptor set and a table of the services; or nil and FILE:LINE with what is wrong."},
		{Name: "ngx.grpcclient.services", Sig: "set:string", Run: services, Doc: "The services of a binary descriptor set; or nil and what is wrong."},
		{Name: "ngx.grpcclient.missing", Sig: "files:table", Run: missing, Doc: "The names of the files that encoded files import and that are not among them."},
		{Name: "ngx.grpcclient.join", Sig: "files:table", Run: join, Doc: "A descriptor set of encoded files; or nil and what is wrong."},
	},
	Classes: []*lua.Class{{Name: "grpc_channel", Doc: "A gRPC channel."}, {Name: "grpc_stream", Doc: "A gRPC call with streams."}},
	Modules: []lua.Module{
		{Name: "ngx.grpc.client", Table: "ngx.grpcclient", Private: true},
		{Name: "ngx.grpc", Source: ngxSource},
		{Name: "resty.grpc", Source: restySource},
		{Name: "protoc", Source: protocSource},
	},
}

// The connections of a worker.
const (
	maxIdle     = 128
	idleTimeout = 60 * time.Second
)

// options reads the table of an argument; the zero table when there is none.
func options(c *lua.Call, i int) lua.Packed {
	if c.Type(i) != lua.Table {
		return lua.Packed{}
	}
	p, err := c.Pack(i)
	if err != nil {
		return lua.Packed{}
	}
	return p
}

func workerOf(c *lua.Call) *engine.Worker { return luahost.EngineWorker(c) }
