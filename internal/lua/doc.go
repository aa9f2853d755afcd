// Package lua is the runtime of a worker's Lua VM: it runs handlers as coroutines and lets packages declare Lua
// functions as data. It knows nothing of HTTP; what a request is, the host puts into Context.Data.
//
// # Declaring functions
//
// A package offers a Library, and the list of libraries goes into NewRuntime:
//
//	var Sleep = &lua.Func{
//		Name: "ngx.sleep", Sig: "seconds:number", Tier: lua.Async, In: lua.Yieldable,
//		Doc: "Suspends the calling light thread; the worker goes on with other requests.",
//		Run: func(c *lua.Call) lua.Outcome {
//			s := c.Num(1) // checked by Sig: a number, or a string which reads as one
//			if s < 0 {
//				return c.ArgError(1, fmt.Sprintf("invalid sleep duration %q", s))
//			}
//			request(c).Loop().Sleep(time.Duration(s * float64(time.Second))) // parks this goroutine
//			return c.Return()
//		},
//	}
//
//	var GetHeaders = &lua.Func{
//		Name: "ngx.req.get_headers", Sig: "max?:integer, raw?:boolean", In: lua.WithRequest,
//		Run: func(c *lua.Call) lua.Outcome {
//			w := c.Push()
//			w.Begin(0, 8)
//			for _, h := range request(c).Headers {
//				w.Multi(h.Name) // a name met again becomes an array
//				w.Str(h.Value)
//			}
//			w.End()
//			return c.Return()
//		},
//	}
//
//	var Library = &lua.Library{
//		Name:  "req",
//		Funcs: []*lua.Func{Sleep, GetHeaders},
//		Props: []*lua.Prop{{Name: "status", Get: getStatus, Set: setStatus}}, // ngx.status
//		Objects: []*lua.Object{{Name: "ngx.var", Index: getVar, NewIndex: setVar}},
//		Classes: []*lua.Class{{Name: "tcpsock"}}, // methods: Funcs named "@tcpsock:send"
//		Consts:  []lua.Const{{Name: "ngx.OK", Value: 0}, {Name: "ngx.null", Value: lua.Null}},
//	}
//
//	func request(c *lua.Call) *Request { return c.Context().Data.(*Request) }
//
// Arguments count from 1; c.Str is a view of Lua's own bytes, valid until Run returns. Results are pushed in order and
// the last step is one of the Return methods, or Errorf, ArgError, Raise (errors), or End (ends the whole handler, as
// ngx.exit does). A scalar call allocates nothing in Go. Objects which live in Lua, such as sockets, are pushed with
// Writer.Object(class, value) and come back with c.Object(1) when the parameter is declared as "self:@tcpsock".
//
// A Sync function runs on the stack of its caller: it may run further handlers (Chunk.Run of a header filter, while
// ngx.say waits for it) but not wait. An Async function may park its goroutine: the VM is left first, other goroutines
// use it meanwhile. Panics in either become a Lua error and a line in the log.
//
// # Running handlers
//
//	rt, err := lua.NewRuntime(lua.Options{Host: host}, libraries...)
//	vm, err := rt.NewVM()                       // one per worker
//	chunk, err := vm.Load(code)                 // code := lua.NewCode(src, cmd.ChunkName("content_by_lua"))
//	res := chunk.Run(ctx, lua.PhaseContent)     // ctx *lua.Context: one per request, shared by its phases; Release at its end
//	if res.Status == lua.Failed { log(res.Err.Error()) }
//
// # Invariants
//
// One goroutine uses a VM at a time. A Lua error never passes a Go frame: errors of Go functions are raised after Go has
// returned. Nested runs end in the reverse order of their beginning.
package lua
