package socket

import (
	"fmt"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
)

var udpFuncs = concat(
	[]*lua.Func{
		{Name: "ngx.socket.udp", In: lua.Yieldable, Doc: "Makes a UDP or unix datagram socket.", Run: newUDP},
		{Name: "@udpsock:setpeername", In: lua.Yieldable, Tier: lua.Async, Doc: "Sets whom the socket speaks to: host and port, or unix:path.", Run: udpConnect},
		{Name: "@udpsock:bind", In: lua.Yieldable, Doc: "Sets the local address.", Run: udpBind},
	},
	method("send", "", "Sends a datagram.", lua.Sync, udpSend, "udpsock"),
	method("receive", "", "Receives a datagram, of at most the given size.", lua.Async, udpReceive, "udpsock"),
	method("settimeout", "", "Sets the timeout of receive, in milliseconds.", lua.Sync, udpTimeout, "udpsock"),
	method("close", "", "Closes the socket.", lua.Sync, udpClose, "udpsock"),
)

// maxDatagram is the size of the largest datagram received, as in OpenResty.
const maxDatagram = 65536

// udp is a datagram socket as Lua sees it.
type udp struct {
	luahost.Held
	wd     *world
	serial uint64
	fd     netio.FD
	open   bool
	busy   bool
	peer   peer
	local  syscall.Sockaddr
	time   int64 // of settimeout, 0 for the configuration's
	conf   *luahost.Conf
}

func newUDP(c *lua.Call) lua.Outcome {
	if c.NArgs() != 0 {
		return c.Errorf("expecting zero arguments, but got %d", c.NArgs())
	}
	if luahost.CallWorker(c) == nil {
		return luahost.WrongPhase(c)
	}
	c.Push().Object("udpsock", &udp{wd: worldOf(c)})
	return c.Return()
}

// Collected is told that Lua has lost the object.
func (u *udp) Collected() { u.finalize() }

// DropHeld is told that the request is over.
func (u *udp) DropHeld() { u.finalize() }

func (u *udp) finalize() {
	u.LetGo()
	if u.open {
		u.open = false
		u.fd.Close()
	}
}

func udpOf(c *lua.Call) (u *udp, out lua.Outcome, ok bool) {
	if c.Type(1) != lua.Table {
		return nil, c.TypeError(1, "table"), false
	}
	u, _ = c.Object(1).(*udp)
	return u, 0, true
}

// udpOpen gives the socket that a method is for, which has a peer and is not in use; doing is what the method does with data.
func udpOpen(c *lua.Call, doing string) (u *udp, out lua.Outcome, ok bool) {
	u, out, ok = udpOf(c)
	if !ok {
		return nil, out, false
	}
	if u == nil || !u.open {
		return nil, udpClosed(c, u, doing), false
	}
	out, ok = u.check(c)
	return u, out, ok
}

// check tests that the socket is our own and nobody waits on it.
func (u *udp) check(c *lua.Call) (out lua.Outcome, ok bool) {
	if h := luahost.HolderOf(c); h != nil && u.serial != h.Serial(u.wd.w) {
		return c.Errorf("bad request"), false
	}
	if u.busy {
		return c.ReturnNilErr("socket busy"), false
	}
	return 0, true
}

// LogNumber and AppendLog make log lines about the peer, then the request.
type aboutUDP struct {
	u   *udp
	src nlog.Source
}

func (a aboutUDP) LogNumber() uint64 {
	if a.src == nil {
		return 0
	}
	return a.src.LogNumber()
}

func (a aboutUDP) AppendLog(dst []byte) []byte {
	dst = a.u.peer.append(append(dst, ", upstream: "...))
	if a.src != nil {
		dst = a.src.AppendLog(dst)
	}
	return dst
}

func (u *udp) log(c *lua.Call, level nlog.Level, err error, msg string) {
	luahost.Logger(c).Log(level, aboutUDP{u, luahost.Source(c)}, err, msg)
}

func udpConnect(c *lua.Call) lua.Outcome {
	n := c.NArgs()
	if n != 2 && n != 3 {
		return c.Errorf("ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen %d", n)
	}
	u, out, ok := udpOf(c)
	if !ok {
		return out
	}
	if u == nil {
		return badSelf(c)
	}
	if t := c.Type(2); t != lua.Str && t != lua.Number {
		return c.TypeError(2, "string")
	}
	host := string(luahost.Text(c, 2))
	port := 0
	if n == 3 {
		if c.Type(3) != lua.Number && !(c.Type(3) == lua.Str && isNumber(c.Str(3))) {
			return c.TypeError(3, "number")
		}
		if port = c.Int(3); port < 0 || port > 65535 {
			return c.ReturnNilErr(fmt.Sprintf("bad port number: %d", port))
		}
	}
	if u.serial != 0 {
		if out, ok := u.check(c); !ok {
			return out
		}
		if u.open && debugs(c) {
			debugf(c, "lua udp socket reconnect without shutting down")
		}
		u.finalize()
		if debugs(c) {
			debugf(c, "lua reuse socket upstream ctx")
		}
	}
	u.serial, u.conf = 1, luahost.ConfOf(luahost.ScopeOf(c))
	if h := luahost.HolderOf(c); h != nil {
		u.serial = h.Serial(u.wd.w)
		luahost.RootHolder(c).Hold(&u.Held, u)
	}
	if err := u.peer.parse(host, port); err != nil {
		return c.ReturnNilErr(fmt.Sprintf("failed to parse host name \"%s\": %s", host, err))
	}
	if u.peer.addr == nil {
		u.busy = true
		err := u.peer.resolve(c, host)
		u.busy = false
		if err != nil {
			return c.ReturnNilErr(err.Error())
		}
	}
	if err := u.wd.loop.DialDatagram(&u.fd, &netio.Dial{Addr: u.peer.addr, Local: u.local}, nil); err != nil {
		de := err.(*netio.DialError)
		what := de.Call + "() failed"
		if de.Call == "bind" && u.local != nil {
			local := peer{addr: u.local}
			what = "bind(" + local.text() + ") failed"
		}
		u.log(c, nlog.Crit, de.Err, what)
		return c.ReturnNilErr(strerror(de.Err))
	}
	u.open = true
	return c.ReturnOK()
}

func udpBind(c *lua.Call) lua.Outcome {
	if c.NArgs() != 2 {
		return c.Errorf("expecting 2 arguments, but got %d", c.NArgs())
	}
	u, out, ok := udpOf(c)
	if !ok {
		return out
	}
	if u == nil {
		return badSelf(c)
	}
	if t := c.Type(2); t != lua.Str && t != lua.Number {
		return c.TypeError(2, "string")
	}
	sa, ok := bindAddress(string(luahost.Text(c, 2)), 0)
	if !ok {
		return c.ReturnNilErr("bad address")
	}
	u.local = sa
	if debugs(c) {
		debugf(c, "lua udp socket bind ip: %s", luahost.Text(c, 2))
	}
	return c.ReturnOK()
}

// udpClosed answers a method of a socket without a peer.
func udpClosed(c *lua.Call, u *udp, doing string) lua.Outcome {
	if luahost.ConfOf(luahost.ScopeOf(c)).LogSocketErrors.V {
		var at uintptr
		if u != nil && u.serial != 0 {
			at = addressOf(u)
		}
		luahost.Logger(c).Logf(nlog.Error, luahost.Source(c), nil, "attempt to %s data on a closed socket: u:%016X, c:%016X", doing, at, 0)
	}
	return c.ReturnNilErr("closed")
}

func udpSend(c *lua.Call) lua.Outcome {
	if c.NArgs() != 2 {
		return c.Errorf("expecting 2 arguments (including the object), but got %d", c.NArgs())
	}
	u, out, ok := udpOpen(c, "send")
	if !ok {
		return out
	}
	b, _, err := c.Payload(2)
	if err != nil {
		return c.Fail(err)
	}
	n, err := u.fd.Write(b)
	if debugs(c) {
		debugf(c, "send: fd:%d %d of %d", u.fd.Sysfd(), n, len(b))
	}
	switch {
	case err != nil:
		u.log(c, sendLevel(err), err, "send() failed")
		return c.ReturnNilErr(strerror(err))
	case n != len(b):
		return c.ReturnNilErr("partial write")
	}
	return c.ReturnOK()
}

// sendLevel is the level of a line about a datagram that could not be sent: what the network does is an error, what
// we should not have tried an alert, as nginx has it.
func sendLevel(err error) nlog.Level {
	switch err {
	case syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.ENOTCONN, syscall.ETIMEDOUT,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH:
		return nlog.Error
	}
	return nlog.Alert
}

func udpReceive(c *lua.Call) lua.Outcome {
	if n := c.NArgs(); n != 1 && n != 2 {
		return c.Errorf("expecting 1 or 2 arguments (including the object), but got %d", n)
	}
	u, out, ok := udpOpen(c, "receive")
	if !ok {
		return out
	}
	size := maxDatagram
	if !c.IsNil(2) {
		if c.Type(2) != lua.Number && !(c.Type(2) == lua.Str && isNumber(c.Str(2))) {
			return c.TypeError(2, "number")
		}
		size = min(max(c.Int(2), 0), maxDatagram)
	}
	timeout := u.time
	if timeout <= 0 {
		timeout = int64(u.conf.ReadTimeout.V)
	}
	if debugs(c) {
		debugf(c, "lua udp socket calling receive() method")
		debugf(c, "lua udp socket read timeout: %d", timeout/1e6)
		debugf(c, "lua udp socket receive buffer size: %d", size)
	}
	return u.receive(c, size, u.wd.loop.Now()+timeout)
}

func (u *udp) receive(c *lua.Call, size int, deadline int64) lua.Outcome {
	buf := u.wd.ew.Buffer(size)
	defer u.wd.ew.FreeBuffer(buf)
	for {
		n, err := u.fd.Read(buf[:size])
		if err == nil {
			return c.ReturnStr(buf[:n])
		}
		if !wouldBlock(err) {
			u.log(c, nlog.Error, err, "recv() failed")
			return c.ReturnNilErr(strerror(err))
		}
		if !c.MayWait() {
			return c.Raise(errNoWait.Error())
		}
		u.busy = true
		err = u.fd.WaitRead(deadline)
		u.busy = false
		switch {
		case err == netio.ErrTimeout:
			if u.conf.LogSocketErrors.V {
				u.log(c, nlog.Error, nil, "lua udp socket read timed out")
			}
			return c.ReturnNilErr("timeout")
		case err != nil:
			u.finalize()
			return c.ReturnNilErr("closed")
		}
	}
}

func udpTimeout(c *lua.Call) lua.Outcome {
	if c.NArgs() != 2 {
		return c.Errorf("ngx.socket settimeout: expecting at least 2 arguments (including the object) but seen %d", c.NArgs())
	}
	u, out, ok := udpOf(c)
	if !ok {
		return out
	}
	if u != nil {
		u.time = int64(c.Num(2)) * 1e6
	}
	return c.Return()
}

func udpClose(c *lua.Call) lua.Outcome {
	if c.NArgs() != 1 {
		return c.Errorf("expecting 1 argument (including the object) but seen %d", c.NArgs())
	}
	u, out, ok := udpOf(c)
	if !ok {
		return out
	}
	if u == nil || !u.open {
		return c.ReturnNilErr("closed")
	}
	if out, ok := u.check(c); !ok {
		return out
	}
	u.finalize()
	return c.ReturnOK()
}
