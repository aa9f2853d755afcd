// Package balancer is the module ngx.balancer: what the code of balancer_by_lua says of the server to ask next.
package balancer

import (
	"time"

	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/luajit"
	"moongate/internal/relay"
)

// Library declares the module.
var Library = lua.Library{
	Name: "balancer", Doc: "The choice of upstream servers in balancer_by_lua.",
	Funcs:   []*lua.Func{setCurrentPeer, setMoreTries, getLastFailure, setTimeouts, enableKeepalive, recreateRequest, setUpstreamTLS, bindToLocalAddr},
	Consts:  []lua.Const{{Name: prefix + "version", Value: "0.1.28"}},
	Modules: []lua.Module{{Name: "ngx.balancer", Table: "package.loaded.moongate_balancer"}},
}

const prefix = "package.loaded.moongate_balancer."

// exchange gives the exchange whose server is being chosen; without one the reason, or "no request found" raised.
func exchange(c *lua.Call) (x *relay.Exchange, problem string, noRequest bool) {
	r := luahost.Request(c)
	if r == nil {
		return nil, "", true
	}
	x = relay.Of(r)
	switch {
	case x == nil:
		return nil, "no upstream found", false
	case c.Phase() != lua.PhaseBalancer:
		return nil, "API disabled in the current context", false
	}
	return x, "", false
}

// with makes Run of a function that answers nil and a text outside of its phase.
func with(f func(c *lua.Call, x *relay.Exchange) lua.Outcome) func(c *lua.Call) lua.Outcome {
	return func(c *lua.Call) lua.Outcome {
		x, problem, none := exchange(c)
		switch {
		case none:
			return c.Errorf("no request found")
		case x == nil:
			return c.ReturnNilErr(problem)
		}
		return f(c, x)
	}
}

var setCurrentPeer = &lua.Func{
	Name: prefix + "set_current_peer", Sig: "addr:string, port?:any, host?:any -> ok, err",
	Doc: "The server of this try: an address with port, or unix:/path. host is the name that TLS asks for unless the location names one; its idle connections are kept under it as well.",
	Run: with(func(c *lua.Call, x *relay.Exchange) lua.Outcome {
		host := ""
		if !c.IsNil(3) {
			if c.Type(3) != lua.Str {
				return c.Errorf("bad argument #3 to 'set_current_peer' (string expected, got %s)", c.Type(3))
			}
			host = c.String(3)
		}
		a, problem := x.Address(c.Str(1), c.IntOr(2, 0))
		if problem != "" {
			return c.ReturnNilErr(problem)
		}
		x.Peer.Addr, x.Peer.Host = a, host
		return c.ReturnBool(true)
	}),
}

var setMoreTries = &lua.Func{
	Name: prefix + "set_more_tries", Sig: "count:integer -> ok, err",
	Doc: "Allows that many further tries should this one fail.",
	Run: with(func(c *lua.Call, x *relay.Exchange) lua.Outcome {
		if x.SetMoreTries(c.Int(1)) {
			return c.ReturnBool(true)
		}
		w := c.Push()
		w.Bool(true)
		w.String("reduced tries due to limit")
		return c.Return()
	}),
}

var getLastFailure = &lua.Func{
	Name: prefix + "get_last_failure", Sig: "-> state, status, err",
	Doc: "How the try before went: \"failed\" or \"next\", and the status; nil in the first try.",
	Run: func(c *lua.Call) lua.Outcome {
		x, problem, none := exchange(c)
		if none {
			return c.Errorf("no request found")
		}
		w := c.Push()
		switch {
		case x == nil:
			w.Nil()
			w.Nil()
			w.String(problem)
			return c.Return()
		case x.Last.Failed:
			w.String("failed")
		case x.Last.Next:
			w.String("next")
		default:
			return c.ReturnNil()
		}
		w.Int(x.Last.Status)
		return c.Return()
	},
}

var setTimeouts = &lua.Func{
	Name: prefix + "set_timeouts", Sig: "connect:any, send?:any, read?:any -> ok, err",
	Doc: "The timeouts of this exchange in seconds, in place of the location's; nil leaves one.",
	Run: func(c *lua.Call) lua.Outcome {
		x, problem, none := exchange(c)
		if none {
			return c.Errorf("no request found")
		}
		var t [3]time.Duration
		for i, name := range [...]string{"connect", "send", "read"} {
			if c.IsNil(i + 1) {
				continue
			}
			if c.Type(i+1) != lua.Number || c.Num(i+1) <= 0 {
				return c.Errorf("bad %s timeout", name)
			}
			t[i] = time.Duration(c.Num(i+1)*1e3) * time.Millisecond
		}
		if x == nil {
			return c.ReturnFalseErr(problem)
		}
		for i, to := range [...]*time.Duration{&x.Peer.Connect, &x.Peer.Send, &x.Peer.Read} {
			if t[i] > 0 {
				*to = t[i]
			}
		}
		return c.ReturnBool(true)
	},
}

// Defaults of enable_keepalive.
const (
	idleTimeout = 60 * time.Second
	maxRequests = 100
)

var enableKeepalive = &lua.Func{
	Name: prefix + "enable_keepalive", Sig: "idle_timeout?:any, max_requests?:any -> ok, err",
	Doc: "Keeps the connection for other requests: for so many seconds (60), and so many requests (100; 0 for any number).",
	Run: func(c *lua.Call) lua.Outcome {
		x, problem, none := exchange(c)
		if none {
			return c.Errorf("no request found")
		}
		for i := 1; i <= 2; i++ {
			switch {
			case c.IsNil(i):
			case c.Type(i) != lua.Number:
				return c.Errorf("bad argument #%d to 'enable_keepalive' (number expected, got %s)", i, c.Type(i))
			case c.Num(i) < 0:
				return c.Errorf("bad argument #%d to 'enable_keepalive' (expected >= 0)", i)
			}
		}
		switch {
		case x == nil:
			return c.ReturnNilErr(problem)
		case x.Peer.Addr.Sock == nil:
			return c.ReturnNilErr("no current peer set")
		}
		p := &x.Peer
		p.Keep, p.KeepTimeout, p.KeepRequests = true, idleTimeout, maxRequests
		if !c.IsNil(1) {
			p.KeepTimeout = time.Duration(c.Num(1) * 1e9)
		}
		if !c.IsNil(2) {
			p.KeepRequests = c.Int(2)
		}
		return c.ReturnBool(true)
	},
}

var recreateRequest = &lua.Func{
	Name: prefix + "recreate_request", Sig: "-> ok, err",
	Doc: "Makes the request to the server anew, with what this code has changed of the client's.",
	Run: with(func(c *lua.Call, x *relay.Exchange) lua.Outcome {
		if st := x.Rewrite(); st != 0 {
			return c.ReturnNilErr("failed to recreate the upstream request")
		}
		return c.ReturnBool(true)
	}),
}

// Export answers what libraries call by FFI with OpenResty's names; the assembly calls it once.
func Export() { luajit.UpstreamTLS = exported }

// exported is set_upstream_tls without a Call: compiled Lua may be what calls.
func exported(h luajit.Host, r uintptr, on bool) string {
	vm, _ := h.(*lua.VM)
	if vm == nil || r == 0 {
		return "no request found"
	}
	ctx, phase := vm.Current()
	if ctx == nil {
		return "no request found"
	}
	lc, _ := ctx.Data.(*luahost.Ctx)
	if lc == nil || lc.R == nil {
		return "no request found"
	}
	x := relay.Of(lc.R)
	switch {
	case x == nil:
		return "no upstream found"
	case phase != lua.PhaseBalancer:
		return "API disabled in the current context"
	case !x.SetTLS(on):
		return noTLS
	}
	return ""
}

const noTLS = "TLS can only be switched off: the location does not speak it"

var setUpstreamTLS = &lua.Func{
	Name: prefix + "set_upstream_tls", Sig: "on:any -> ok, err",
	Doc: "Whether this try speaks TLS to the server.",
	Run: with(func(c *lua.Call, x *relay.Exchange) lua.Outcome {
		off := c.Type(1) == lua.Bool && !c.Bool(1) || c.Type(1) == lua.Number && c.Num(1) == 0
		if !x.SetTLS(!off) {
			return c.ReturnNilErr(noTLS)
		}
		return c.ReturnBool(true)
	}),
}

var bindToLocalAddr = &lua.Func{
	Name: prefix + "bind_to_local_addr", Sig: "addr:any -> ok, err",
	Doc: "The local address of connections made for this exchange.",
	Run: func(c *lua.Call) lua.Outcome {
		x, problem, none := exchange(c)
		switch {
		case none:
			return c.Errorf("no request found")
		case c.Type(1) != lua.Str:
			return c.Errorf("bad argument #1 to 'bind_to_local_addr' (string expected, got %s)", c.Type(1))
		case x == nil:
			return c.ReturnNilErr(problem)
		case !x.BindTo(c.String(1)):
			return c.ReturnNilErr("invalid addr " + c.String(1))
		}
		return c.ReturnBool(true)
	},
}
