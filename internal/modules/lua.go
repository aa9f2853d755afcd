package modules

import (
	"sync"

	"moongate/internal/lua"
	"moongate/internal/luaapi/balancer"
	"moongate/internal/luaapi/base"
	"moongate/internal/luaapi/body"
	"moongate/internal/luaapi/control"
	"moongate/internal/luaapi/errlog"
	"moongate/internal/luaapi/grpcclient"
	"moongate/internal/luaapi/header"
	"moongate/internal/luaapi/ndk"
	"moongate/internal/luaapi/output"
	"moongate/internal/luaapi/pipe"
	"moongate/internal/luaapi/process"
	"moongate/internal/luaapi/req"
	"moongate/internal/luaapi/restycore"
	"moongate/internal/luaapi/semaphore"
	"moongate/internal/luaapi/socket"
	"moongate/internal/luaapi/ssl"
	"moongate/internal/luaapi/status"
	"moongate/internal/luaapi/subrequest"
	"moongate/internal/luaapi/text"
	"moongate/internal/luaapi/thread"
	"moongate/internal/luaapi/timer"
	"moongate/internal/luaapi/upstream"
	"moongate/internal/luaapi/variable"
	"moongate/internal/luaapi/workerthread"
	"moongate/internal/mod/grpcserver"
	"moongate/internal/mod/luamod"
)

// assemble tells packages, once in a process, what they do not know by themselves: the features the libraries, and C what
// libraries call by FFI.
var assemble = sync.OnceFunc(func() {
	luamod.Libraries = LuaLibraries()
	ssl.Export()
	balancer.Export()
})

// LuaLibraries is the ordered list of what the Lua API is made of. A library may use what stands above it.
func LuaLibraries() []*lua.Library {
	return []*lua.Library{
		&restycore.Library,
		&base.Library,
		&text.Library,
		&output.Library,
		&control.Library,
		&ndk.Library,
		&thread.Library,
		&semaphore.Library,
		&timer.Library,
		&workerthread.Library,
		&process.Library,
		&errlog.Library,
		&pipe.Library,
		&subrequest.Library,
		&variable.Library,
		&header.Library,
		&req.Library,
		&body.Library,
		&status.Library,
		&socket.Library,
		&ssl.Library,
		&balancer.Library,
		&upstream.Library,
		&grpcserver.Library,
		&grpcclient.Library,
	}
}
