// Package control is the part of the Lua API that ends a handler: ngx.exit, ngx.exec, ngx.redirect, and ngx.sleep.
package control

import (
	"bytes"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// Library declares the functions.
var Library = lua.Library{
	Name: "control", Doc: "Ending a handler, and waiting.",
	Funcs: []*lua.Func{exit, exec, redirect, sleep, onAbort},
}

var exit = &lua.Func{
	Name: "ngx.exit", Sig: "status:number", Tier: lua.Async,
	In:  lua.Handlers | lua.PhaseMask(lua.PhaseTimer|lua.PhaseHeaderFilter|lua.PhaseBalancer|lua.PhaseSSLClientHello|lua.PhaseSSLCert|lua.PhaseSSLSessionFetch|lua.PhaseSSLSessionStore|lua.PhaseProxySSLCert|lua.PhaseProxySSLVerify),
	Doc: "Ends the handler: with a status of 200 or more the request too, with ngx.OK only this phase.",
	Run: runExit,
}

func runExit(c *lua.Call) lua.Outcome {
	code := engine.Status(c.Int(1))
	if code == -2 || code == -4 {
		return c.Errorf("bad argument to 'ngx.exit': does not accept NGX_AGAIN or NGX_DONE")
	}
	x := luahost.FromCall(c)
	if x == nil {
		if c.Phase() == lua.PhaseTimer {
			return c.End(int(code))
		}
		if s := luahost.ShakeFromCall(c); s != nil {
			s.Logf(nlog.Debug, "lua exit with code %d", int(code))
			s.ExitCode, s.Exited = int(code), true
			if c.MayWait() {
				return c.End(int(code))
			}
			return c.Return()
		}
		return c.Errorf("no request ctx found")
	}
	r := x.R
	if x.NoAbort > 0 && code != engine.Error && code != engine.StatusClose && code != 408 && code != engine.StatusClientClosed {
		return c.Errorf("attempt to abort with pending subrequests")
	}
	if r.HeaderSent && code >= 300 && code != 408 && code != engine.StatusClientClosed && code != engine.StatusClose {
		if code != r.Out.Status {
			r.Logf(nlog.Error, "attempt to set status %d via ngx.exit after sending out the response status %d", code, r.Out.Status)
		}
		code = 200
	}
	if x.ProxyTLS != nil {
		r.Logf(nlog.Debug, "lua exit with code %d", int(code))
	}
	x.ExitCode, x.Exited = int(code), true
	if c.MayWait() {
		return c.End(int(code))
	}
	return c.Return()
}

var onAbort = &lua.Func{
	Name: "ngx.on_abort", Tier: lua.Async, In: lua.WithRequest,
	Doc: "Runs a function when the client closes the connection before the handler has ended; needs lua_check_client_abort.",
	Run: func(c *lua.Call) lua.Outcome {
		r := luahost.Request(c)
		if r == nil || !c.MayWait() || !lua.Yieldable.Has(c.Phase()) {
			return luahost.WrongPhase(c)
		}
		if !luahost.ConfOf(r.Scope).CheckClientAbort.V {
			return c.ReturnNilErr("lua_check_client_abort is off")
		}
		if _, _, ok := c.FuncInfo(1); !ok {
			return c.ArgError(1, "Lua function expected")
		}
		switch ok, err := c.OnAbort(); {
		case err != nil:
			return c.Errorf("no memory")
		case !ok:
			return c.ReturnNilErr("duplicate call")
		}
		return c.ReturnOK()
	},
}

var sleep = &lua.Func{
	Name: "ngx.sleep", Sig: "seconds:number", Tier: lua.Async, In: lua.Yieldable,
	Doc: "Parks the calling Lua thread; the worker goes on with other requests.",
	Run: func(c *lua.Call) lua.Outcome {
		d := time.Duration(c.Num(1) * float64(time.Second))
		if d < 0 {
			return c.Errorf("invalid sleep duration \"%d\"", d.Milliseconds())
		}
		r := luahost.Request(c)
		debug := r != nil && r.Logger.On(nlog.Debug) // arguments of a line that is not written cost memory
		if debug {
			r.Logf(nlog.Debug, "lua ready to sleep for %d ms", d.Milliseconds())
		}
		if !c.MayWait() {
			return c.Errorf("attempt to yield across C-call boundary")
		}
		switch err := luahost.Loop(c).Sleep(d); {
		case !debug:
		case err == nil:
			r.Logf(nlog.Debug, "lua sleep timer expired: \"%s?%s\"", r.URI, r.Args)
		default:
			r.Logf(nlog.Debug, "lua clean up the timer for pending ngx.sleep")
		}
		return c.Return()
	},
}

var exec = &lua.Func{
	Name: "ngx.exec", Sig: "uri?:string, args?:any", Tier: lua.Async, In: lua.Handlers,
	Doc: "Sends the request through the phases again with another URI, or to a named location.",
	Run: runExec,
}

func runExec(c *lua.Call) lua.Outcome {
	x := luahost.FromCall(c)
	if x == nil {
		return c.Errorf("no request object found")
	}
	r := x.R
	if n := c.NArgs(); n != 1 && n != 2 {
		return c.Errorf("expecting one or two arguments, but got %d", n)
	}
	if c.IsNil(1) {
		return c.TypeError(1, "string")
	}
	uri := c.Str(1)
	if len(uri) == 0 {
		return c.Errorf("The uri argument is empty")
	}
	var args []byte
	switch c.Type(2) {
	case lua.None, lua.Nil:
	case lua.Str, lua.Number:
		args = r.Copy(luahost.Text(c, 2))
	case lua.Table:
		p, err := c.Pack(2)
		if err != nil {
			return c.Fail(err)
		}
		if args, err = luahost.EncodeArgs(nil, p); err != nil {
			return c.Fail(err)
		}
	default:
		return c.ArgError(2, "string, number, or table expected, but got "+c.Type(2).String())
	}
	if r.HeaderSent {
		return c.Errorf("attempt to call ngx.exec after sending out response headers")
	}
	if x.NoAbort > 0 {
		return c.Errorf("attempt to abort with pending subrequests")
	}
	if uri[0] == '@' {
		if q := bytes.IndexByte(uri, '?'); q >= 0 {
			uri, args = uri[:q], append(append(args, uri[q+1:]...), '&')
		}
	} else {
		if q := bytes.IndexByte(uri, '?'); q >= 0 {
			own := uri[q+1:]
			if len(args) > 0 {
				args = append(append(append(make([]byte, 0, len(own)+1+len(args)), own...), '&'), args...)
			} else {
				args = r.Copy(own)
			}
			uri = uri[:q]
		}
		_, path, _, ok := http1.ParseUnsafeURI(nil, uri)
		if !ok {
			r.Logf(nlog.Error, "unsafe URI \"%s\" was detected", uri)
			return c.Errorf("unsafe uri")
		}
		uri = path
	}
	x.ExecURI, x.ExecArgs = r.Copy(uri), args
	return c.End(0)
}

var redirect = &lua.Func{
	Name: "ngx.redirect", Sig: "uri?:string, status?:number", Tier: lua.Async, In: lua.Handlers,
	Doc: "Ends the request with a redirect: 301, 302 (the default), 303, 307 or 308.",
	Run: runRedirect,
}

func runRedirect(c *lua.Call) lua.Outcome {
	x := luahost.FromCall(c)
	if x == nil {
		return c.Errorf("no request object found")
	}
	r := x.R
	if n := c.NArgs(); n != 1 && n != 2 {
		return c.Errorf("expecting one or two arguments")
	}
	if c.IsNil(1) {
		return c.TypeError(1, "string")
	}
	code := 302
	if !c.IsNil(2) {
		code = c.Int(2)
		switch code {
		case 301, 302, 303, 307, 308:
		default:
			return c.Errorf("only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, ngx.HTTP_PERMANENT_REDIRECT, ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT are allowed")
		}
	}
	if r.HeaderSent {
		return c.Errorf("attempt to call ngx.redirect after sending out the headers")
	}
	if x.NoAbort > 0 {
		return c.Errorf("attempt to abort with pending subrequests")
	}
	uri := c.Str(1)
	for _, ch := range uri {
		if ch < 0x20 || ch == 0x7f {
			return c.Errorf("unsafe byte \"0x%02x\" in redirect uri \"%s\"", ch, luahost.LogEscape(uri))
		}
	}
	x.SetHeader([]byte("Location"), uri, true)
	r.Out.Status = engine.Status(code)
	x.ExitCode, x.Exited = code, true
	return c.End(code)
}
