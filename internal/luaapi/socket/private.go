package socket

import "moongate/internal/lua"

// luaFuncs need Lua around them: what gives out a function, and what is best said in Lua. Their helpers are named in
// ngx.socket while the VM is made, and hidden by the last one.
var luaFuncs = concat(
	[]*lua.Func{
		{Name: "ngx.socket._pattern", Doc: "Part of receiveuntil.", Run: newPattern},
		{Name: "ngx.socket._step", Sig: "p:@sockreader", Tier: lua.Async, Doc: "Part of receiveuntil.", Run: step},
	},
	untilFuncs("tcpsock", "reqsock", "rawsock"),
	[]*lua.Func{{Name: "ngx.socket.connect", Tier: lua.Lua, In: lua.Yieldable, Source: connectSource,
		Doc: "Makes a TCP socket and connects it."}},
)

func untilFuncs(classes ...string) (out []*lua.Func) {
	for _, class := range classes {
		out = append(out, &lua.Func{Name: "@" + class + ":receiveuntil", Tier: lua.Lua, Source: untilSource,
			Doc: "Gives an iterator over what comes before each occurrence of a string."})
	}
	return out
}

// An error of receiveuntil is raised by finish, in whose frame the caller's one is the next.
const untilSource = `
local make, step, error = ngx.socket._pattern, ngx.socket._step, error
local function finish(sock, p, err)
	if p == false then
		return error(err, 2)
	end
	if not p then
		return nil, err
	end
	p.sock = sock -- lives as long as the iterator
	return function(...)
		return step(p, ...)
	end
end
return function(...)
	return finish((...), make(...))
end
`

const connectSource = `
local socket = ngx.socket
local tcp = socket.tcp
socket._pattern, socket._step = nil, nil
return function(...)
	local sock = tcp()
	local ok, err = sock:connect(...)
	if ok then
		return sock
	end
	return nil, err
end
`
