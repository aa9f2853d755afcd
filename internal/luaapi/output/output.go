// Package output is the part of the Lua API that sends the response: ngx.say, ngx.print, ngx.flush, ngx.eof,
// ngx.send_headers, and the properties ngx.status and ngx.headers_sent.
package output

import (
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// Library declares the functions.
var Library = lua.Library{
	Name:  "output",
	Doc:   "Sending the response.",
	Funcs: []*lua.Func{say, print, flush, eof, sendHeaders},
	Props: []*lua.Prop{status, headersSent},
}

// In these phases output is allowed.
const phases = lua.Handlers

var say = &lua.Func{
	Name: "ngx.say", Sig: "... -> ok, err", In: phases, Output: lua.Say, Filters: true, Run: write,
	Doc: "Sends its arguments, joined, and a newline as a part of the response body.",
}

var print = &lua.Func{
	Name: "ngx.print", Sig: "... -> ok, err", In: phases, Output: lua.Print, Filters: true, Run: write,
	Doc: "Sends its arguments, joined, as a part of the response body.",
}

func write(c *lua.Call) lua.Outcome {
	x := luahost.FromCall(c)
	if x == nil {
		return c.Errorf("no request object found")
	}
	if x.RawSocket {
		return c.ReturnNilErr("raw request socket acquired")
	}
	if x.EOF {
		return c.ReturnNilErr("seen eof")
	}
	if x.R.HeadOnly && x.R.HeaderSent {
		return c.ReturnNilErr("header only")
	}
	if x.Write(c.Str(1)) != engine.OK {
		return c.ReturnNilErr("nginx output filter error")
	}
	return c.ReturnOK()
}

var flush = &lua.Func{
	Name: "ngx.flush", Sig: "wait?:boolean -> ok, err", In: phases, Tier: lua.Async, Filters: true, Run: runFlush,
	Doc: "Pushes what was sent so far out to the client; with wait it returns when the client's socket has taken it.",
}

func runFlush(c *lua.Call) lua.Outcome {
	x := luahost.FromCall(c)
	if x == nil {
		return c.Errorf("no request object found")
	}
	r := x.R
	switch {
	case r.HeadOnly && r.HeaderSent:
		return c.ReturnNilErr("header only")
	case x.RawSocket:
		return c.ReturnNilErr("raw request socket acquired")
	case x.EOF:
		return c.ReturnNilErr("seen eof")
	case x.Buffering:
		r.Logf(nlog.Debug, "lua http 1.0 buffering makes ngx.flush() a no-op")
		return c.ReturnNilErr("buffering")
	case !r.HeaderSent:
		return c.ReturnNilErr("nothing to flush")
	}
	if r.Flush() != nil {
		return c.ReturnNilErr("nginx output filter error")
	}
	if c.Bool(1) && c.MayWait() && r.IsMain() {
		if p, ok := r.Stream.(engine.Pusher); ok {
			p.Push()
		}
		if n := r.Stream.Pending(); n > 0 && r.Logger.On(nlog.Debug) {
			r.Logf(nlog.Debug, "lua flush requires waiting: buffered 0x%x, delayed:1", n)
		}
		if err := r.Drain(0); err != nil {
			if r.TimedOut() {
				return c.ReturnNilErr("timeout")
			}
			return c.ReturnNilErr("client aborted")
		}
	}
	return c.ReturnOK()
}

var eof = &lua.Func{
	Name: "ngx.eof", Sig: "-> ok, err", In: phases, Filters: true, Run: runEOF,
	Doc: "Ends the response; the code may go on.",
}

func runEOF(c *lua.Call) lua.Outcome {
	if c.NArgs() != 0 {
		return c.Errorf("no argument is expected")
	}
	x := luahost.FromCall(c)
	if x == nil {
		return c.Errorf("no request object found")
	}
	if x.RawSocket {
		return c.ReturnNilErr("raw request socket acquired")
	}
	if x.EOF {
		return c.ReturnNilErr("seen eof")
	}
	if x.SendLast() != engine.OK {
		return c.ReturnNilErr("nginx output filter error")
	}
	return c.ReturnOK()
}

var sendHeaders = &lua.Func{
	Name: "ngx.send_headers", Sig: "-> ok, err", In: phases, Filters: true, Run: runSendHeaders,
	Doc: "Sends the response head now.",
}

func runSendHeaders(c *lua.Call) lua.Outcome {
	x := luahost.FromCall(c)
	if x == nil {
		return c.Errorf("no request object found")
	}
	if !x.R.HeaderSent {
		if st := x.SendHead(); st != engine.OK {
			return c.ReturnNilErr("nginx output filter error")
		}
	}
	return c.ReturnOK()
}

var status = &lua.Prop{
	Name: "status", Get: getStatus, Set: setStatus,
	Doc: "The status of the response; to be set before the head is sent.",
}

func getStatus(c *lua.Call) lua.Outcome {
	r := luahost.Request(c)
	if r == nil {
		return luahost.NoRequest(c)
	}
	switch {
	case r.Out.Status != 0:
		return c.ReturnInt(int(r.Out.Status))
	case r.ErrStatus != 0:
		return c.ReturnInt(int(r.ErrStatus))
	case r.In.Version == 9:
		return c.ReturnInt(9)
	}
	return c.ReturnInt(0)
}

func setStatus(c *lua.Call) lua.Outcome {
	r := luahost.Request(c)
	if r == nil {
		return luahost.NoRequest(c)
	}
	if c.Type(1) != lua.Number && (c.Type(1) != lua.Str || c.Num(1) == 0) {
		return c.Errorf("bad argument #3 to '__newindex' (number expected, got %s)", c.Type(1))
	}
	if r.HeaderSent {
		r.Logf(nlog.Error, "attempt to set ngx.status after sending out response headers")
		return c.Return()
	}
	r.Out.Status = engine.Status(c.Int(1))
	r.ErrStatus = 0
	if c.Int(1) == 101 {
		r.Out.ContentLength = -1
	}
	r.Out.StatusLine = nil
	return c.Return()
}

var headersSent = &lua.Prop{
	Name: "headers_sent", Doc: "Whether the response head has been sent.",
	Get: func(c *lua.Call) lua.Outcome {
		r := luahost.Request(c)
		if r == nil {
			return luahost.NoRequest(c)
		}
		return c.ReturnBool(r.HeaderSent)
	},
}
