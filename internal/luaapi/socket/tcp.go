package socket

import (
	"fmt"
	"strconv"
	"strings"

	"moongate/internal/base/nlog"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
)

var tcpFuncs = concat(
	[]*lua.Func{
		{Name: "ngx.socket.tcp", In: lua.Yieldable, Doc: "Makes a TCP or unix stream socket.", Run: newTCP},
		{Name: "ngx.socket.stream", In: lua.Yieldable, Doc: "The same as ngx.socket.tcp.", Run: newTCP},
	},
	[]*lua.Func{
		{Name: "@tcpsock:connect", In: lua.Yieldable, Tier: lua.Async, Doc: "Connects to host and port, or unix:path; takes an idle connection of the pool when there is one.", Run: connect},
		{Name: "@tcpsock:bind", In: lua.Yieldable, Doc: "Sets the local address of connections to be made.", Run: bind},
	},
	method("close", "", "Closes the connection.", lua.Sync, closeSock, "tcpsock"),
	method("setkeepalive", "", "Puts the connection into the pool of idle ones.", lua.Sync, setKeepalive, "tcpsock"),
	method("getreusedtimes", "", "Tells how often the connection came from the pool.", lua.Sync, reusedTimes, "tcpsock"),
	method("settimeout", "", "Sets all timeouts, in milliseconds.", lua.Sync, setTimeout, "tcpsock", "reqsock", "rawsock"),
	method("settimeouts", "", "Sets the timeouts of connecting, sending and reading, in milliseconds.", lua.Sync, setTimeouts, "tcpsock", "reqsock", "rawsock"),
	method("send", "", "Sends a string, a number, or nested tables of them.", lua.Async, send, "tcpsock", "rawsock"),
	method("receive", "", "Reads a number of bytes, a line (the default, or *l), or all there is (*a).", lua.Async, receive, "tcpsock", "reqsock", "rawsock"),
	method("receiveany", "", "Reads what is there, at most the given number of bytes.", lua.Async, receiveAny, "tcpsock", "reqsock", "rawsock"),
	method("getoption", "", "Reads a socket option.", lua.Sync, getOption, "tcpsock", "reqsock", "rawsock"),
	method("setoption", "", "Sets a socket option: keepalive, reuseaddr, tcp-nodelay, sndbuf, rcvbuf, keepintvl, keepcnt, ip-transparent.", lua.Sync, setOption, "tcpsock", "reqsock", "rawsock"),
	method("getsslpointer", "", "Would give OpenSSL's connection.", lua.Sync, noOpenSSL, "tcpsock"),
	method("getsslctx", "", "Would give OpenSSL's context.", lua.Sync, noOpenSSL, "tcpsock"),
	method("getfd", "", "Gives the descriptor.", lua.Sync, getFD, "tcpsock", "reqsock", "rawsock"),
)

func newTCP(c *lua.Call) lua.Outcome {
	if c.NArgs() != 0 {
		return c.Errorf("expecting zero arguments, but got %d", c.NArgs())
	}
	if luahost.CallWorker(c) == nil { // a thread of ngx.run_worker_thread
		return luahost.WrongPhase(c)
	}
	c.Push().Object("tcpsock", worldOf(c).newSock(upstream))
	return c.Return()
}

// badSelf answers a method that was called with a table which is no socket.
func badSelf(c *lua.Call) lua.Outcome { return c.TypeError(1, "socket") }

// options of connect.
type options struct {
	pool    string
	hasPool bool
	size    int
	backlog int
}

func readOptions(c *lua.Call, i int, conf *luahost.Conf) (o options, err error) {
	o.backlog = -1
	t, err := c.Pack(i)
	if err != nil {
		return o, err
	}
	bad := func(format string, args ...any) error { return &lua.BadArg{Arg: i, Why: fmt.Sprintf(format, args...)} }
	switch v := t.Get("pool_size"); {
	case v.Type == lua.Number || v.Type == lua.Str && isNumber(v.Str()):
		if o.size = v.Int(); o.size <= 0 {
			return o, bad("bad \"pool_size\" option value: %d", o.size)
		}
	case !v.IsNil():
		return o, bad("bad \"pool_size\" option type: %s", v.Type)
	}
	if v := t.Get("backlog"); v.Type == lua.Number || v.Type == lua.Str && isNumber(v.Str()) {
		if o.backlog = v.Int(); o.backlog < 0 {
			return o, bad("bad \"backlog\" option value: %d", o.backlog)
		}
		if o.size == 0 {
			o.size = conf.PoolSize.V
		}
	}
	switch v := t.Get("pool"); {
	case v.Type == lua.Number || v.Type == lua.Str:
		o.pool, o.hasPool = string(v.Text()), true
	case !v.IsNil():
		return o, bad("bad \"pool\" option type: %s", v.Type)
	}
	return o, nil
}

// isNumber says whether a string would do as a number in Lua.
func isNumber(b []byte) bool {
	if len(b) == 0 || b[0] == '*' {
		return false
	}
	if _, err := strconv.ParseFloat(string(b), 64); err == nil {
		return true
	}
	_, err := strconv.ParseInt(string(b), 0, 64)
	return err == nil
}

func connect(c *lua.Call) lua.Outcome {
	n := c.NArgs()
	if n < 2 || n > 4 {
		return c.Errorf("ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen %d", n)
	}
	s, out, ok := of(c)
	if !ok {
		return out
	}
	if s == nil {
		return badSelf(c)
	}
	if t := c.Type(2); t != lua.Str && t != lua.Number {
		return c.TypeError(2, "string")
	}
	cf := luahost.ConfOf(luahost.ScopeOf(c))
	opt := options{backlog: -1}
	if c.Type(n) == lua.Table {
		var err error
		if opt, err = readOptions(c, n, cf); err != nil {
			return c.Fail(err)
		}
		n--
	}
	host := luahost.Text(c, 2)
	port := 0
	hasPort := n >= 3 && (c.Type(3) == lua.Number || c.Type(3) == lua.Str && isNumber(c.Str(3)))
	switch {
	case hasPort:
		if port = c.Int(3); port < 0 || port > 65535 {
			return c.ReturnNilErr(fmt.Sprintf("bad port number: %d", port))
		}
	case len(host) >= 5 && isUnix(string(host[:5])):
	default:
		return c.ReturnNilErr("missing the port number")
	}
	if s.serial != 0 {
		if !s.ours(c) {
			return c.Errorf("bad request")
		}
		if out, ok := s.check(c, idleConnect|idleRead|idleWrite); !ok {
			return out
		}
		if s.c != nil {
			if debugs(c) {
				debugf(c, "lua tcp socket reconnect without shutting down")
			}
			s.finalize()
		}
		if debugs(c) {
			debugf(c, "lua reuse socket upstream ctx")
		}
	}
	s.key = s.key[:0]
	switch {
	case opt.hasPool:
		s.key = append(s.key, opt.pool...)
	default:
		s.key = append(s.key, host...)
		if hasPort {
			s.key = strconv.AppendInt(append(s.key, ':'), int64(port), 10)
		}
	}
	s.begin(c, cf)
	s.pool = s.wd.pools[string(s.key)]
	if s.pool == nil && opt.size > 0 {
		s.pool = s.wd.newPool(c, string(s.key), opt.size, opt.backlog)
	}
	return s.connect(c, host, port)
}

// begin makes s a new socket of the calling request.
func (s *sock) begin(c *lua.Call, cf *luahost.Conf) {
	s.conf = cf
	s.serial = 1
	if h := luahost.HolderOf(c); h != nil {
		s.serial = h.Serial(s.wd.w)
		if again := luahost.RootHolder(c).Hold(&s.Held, s); again && debugs(c) {
			debugf(c, "lua http cleanup reuse")
		}
	}
	s.readClosed, s.writeClosed, s.eof, s.handshaken, s.pool, s.until, s.trusted = false, false, false, false, nil, nil, nil
}

// adopt makes an idle connection the socket's.
func (s *sock) adopt(c *lua.Call, cn *conn) lua.Outcome {
	if debugs(c) {
		debugf(c, "lua tcp socket get keepalive peer: using connection %016X, fd:%d", addressOf(cn), cn.Sysfd())
	}
	cn.reused++
	s.c, s.peer = cn, cn.peer
	s.handshaken = cn.tls != nil
	return c.ReturnOK()
}

// connect finds a connection: an idle one, or a new one when the pool has room, now or later.
func (s *sock) connect(c *lua.Call, host []byte, port int) lua.Outcome {
	p := s.pool
	if p != nil {
		if cn := p.take(); cn != nil {
			return s.adopt(c, cn)
		}
		if debugs(c) {
			debugf(c, "lua tcp socket keepalive: connection pool empty")
		}
		p.conns++
		if p.backlog >= 0 {
			if p.conns > p.size+p.backlog {
				p.conns--
				s.pool = nil
				return c.ReturnNilErr("too many waiting connect operations")
			}
			if p.conns > p.size {
				if out, ok := s.queue(c, p, host, port); !ok {
					return out
				}
				if cn := p.take(); cn != nil {
					p.conns--
					return s.adopt(c, cn)
				}
			}
		}
	}
	s.connecting = true
	err := s.dial(c, string(host), port)
	s.connecting = false
	if err == nil {
		return c.ReturnOK()
	}
	s.LetGo()
	s.leavePool()
	return s.dialFailed(c, err)
}

// queue waits for a connection of the pool to be given back.
func (s *sock) queue(c *lua.Call, p *pool, host []byte, port int) (out lua.Outcome, ok bool) {
	if debugs(c) {
		debugf(c, "lua tcp socket queue connect operation for connection pool \"%s\", connections: %d", p.key, p.conns)
	}
	if !c.MayWait() {
		s.leavePool()
		return c.Raise(errNoWait.Error()), false
	}
	s.connecting = true
	err := p.wait(s.wd.loop.Now() + s.connectTimeout())
	s.connecting = false
	if err == nil {
		return 0, true
	}
	p.conns--
	s.pool = nil
	s.LetGo()
	if err == netio.ErrTimeout {
		s.logError(c, nil, fmt.Sprintf("lua tcp socket queued connect timed out, when trying to connect to %s:%d", host, port))
		return c.ReturnNilErr("timeout"), false
	}
	if lg := p.log(); lg.On(nlog.Debug) {
		lg.Log(nlog.Debug, nil, nil, "lua tcp socket abort queueing")
	}
	return c.ReturnNilErr("closed"), false
}

// dial makes a connection; it parks.
func (s *sock) dial(c *lua.Call, host string, port int) error {
	p := &s.peer
	if err := p.parse(host, port); err != nil {
		return fmt.Errorf("failed to parse host name \"%s\": %w", host, err)
	}
	if debugs(c) {
		debugf(c, "lua tcp socket connect timeout: %d", s.connectTimeout()/1e6)
	}
	if p.addr == nil {
		if err := p.resolve(c, host); err != nil {
			if err == netio.ErrKilled && debugs(c) {
				debugf(c, "lua tcp socket abort resolver")
			}
			return err
		}
	}
	if !c.MayWait() {
		return errNoWait
	}
	cn := newConn()
	cn.peer = *p
	s.dialing = true
	defer func() { s.dialing = false }()
	d := netio.Dial{Addr: p.addr, Local: s.local, Transparent: s.transparent, Deadline: s.wd.loop.Now() + s.connectTimeout()}
	if err := s.wd.loop.Dial(&cn.FD, &d); err != nil {
		if debugs(c) {
			debugf(c, "lua finalize socket")
		}
		return err
	}
	if s.writeClosed { // the request has ended meanwhile
		cn.Close()
		return netio.ErrClosed
	}
	s.c = cn
	if debugs(c) {
		debugf(c, "lua tcp socket connected")
	}
	return nil
}

// dialFailed logs a failure to connect and tells Lua.
func (s *sock) dialFailed(c *lua.Call, err error) lua.Outcome {
	switch err {
	case netio.ErrTimeout:
		s.logError(c, nil, "lua tcp socket connect timed out")
		return c.ReturnNilErr("timeout")
	case netio.ErrClosed, netio.ErrKilled:
		return c.ReturnNilErr("closed")
	case errNoWait:
		return c.Raise(err.Error())
	}
	de, ok := err.(*netio.DialError)
	if !ok {
		return c.ReturnNilErr(err.Error())
	}
	switch de.Call {
	case "":
		s.logError(c, de.Err, "connect() failed")
	case "connect":
		luahost.Logger(c).Log(connectLevel(de.Err), about{s, luahost.Source(c)}, de.Err, "connect() to "+s.peer.text()+" failed")
	case "bind":
		local := peer{addr: s.local}
		name := strings.TrimSuffix(local.text(), ":0") // without a port as it was given
		luahost.Logger(c).Log(nlog.Crit, about{s, luahost.Source(c)}, de.Err, "bind("+name+") failed")
	default:
		luahost.Logger(c).Log(nlog.Alert, about{s, luahost.Source(c)}, de.Err, de.Call+"() failed")
	}
	return c.ReturnNilErr(strerror(de.Err))
}

func bind(c *lua.Call) lua.Outcome {
	n := c.NArgs()
	if n != 2 && n != 3 {
		return c.Errorf("expecting 2 or 3 arguments, but got %d", n)
	}
	s, out, ok := of(c)
	if !ok {
		return out
	}
	if s == nil {
		return badSelf(c)
	}
	port := 0
	if n == 3 {
		if c.Type(3) != lua.Number && !(c.Type(3) == lua.Str && isNumber(c.Str(3))) {
			return c.ReturnNilErr("expecting port to be anumber but got type: " + c.Type(3).String())
		}
		if port = c.Int(3); port < 0 || port > 65535 {
			return c.ReturnNilErr(fmt.Sprintf("bad port number: %d", port))
		}
	}
	if t := c.Type(2); t != lua.Str && t != lua.Number {
		return c.TypeError(2, "string")
	}
	sa, ok := bindAddress(string(luahost.Text(c, 2)), port)
	if !ok {
		return c.ReturnNilErr("bad address")
	}
	s.local = sa
	if debugs(c) {
		debugf(c, "lua tcp socket bind ip: %s", luahost.Text(c, 2))
	}
	return c.ReturnBool(true)
}

func closeSock(c *lua.Call) lua.Outcome {
	if c.NArgs() != 1 {
		return c.Errorf("expecting 1 argument (including the object) but seen %d", c.NArgs())
	}
	s, out, ok := of(c)
	if !ok {
		return out
	}
	if s == nil || s.c == nil && !s.dialing || s.readClosed && s.writeClosed {
		return c.ReturnNilErr("closed")
	}
	if out, ok := s.check(c, idleConnect|idleRead|idleWrite); !ok {
		return out
	}
	s.finalize()
	return c.ReturnOK()
}

func reusedTimes(c *lua.Call) lua.Outcome {
	if c.NArgs() != 1 {
		return c.Errorf("expecting 1 argument (including the object), but got %d", c.NArgs())
	}
	s, out, ok := of(c)
	if !ok {
		return out
	}
	if s != nil && s.dialing {
		return c.ReturnInt(0)
	}
	if s == nil || s.c == nil || s.readClosed && s.writeClosed {
		return c.ReturnNilErr("closed")
	}
	return c.ReturnInt(s.c.reused)
}

// millis reads a timeout: 0 for the configuration's.
func millis(c *lua.Call, i int) (ns int64, ok bool) {
	ms := int64(c.Num(i))
	return max(ms, 0) * 1e6, ms>>31 == 0
}

func setTimeout(c *lua.Call) lua.Outcome {
	if c.NArgs() != 2 {
		return c.Errorf("ngx.socket settimeout: expecting 2 arguments (including the object) but seen %d", c.NArgs())
	}
	t, ok := millis(c, 2)
	if !ok {
		return c.Errorf("bad timeout value")
	}
	s, out, ok := of(c)
	if !ok {
		return out
	}
	if s != nil {
		s.connectTime, s.sendTime, s.readTime = t, t, t
	}
	return c.Return()
}

func setTimeouts(c *lua.Call) lua.Outcome {
	if c.NArgs() != 4 {
		return c.Errorf("ngx.socket settimeouts: expecting 4 arguments (including the object) but seen %d", c.NArgs())
	}
	var t [3]int64
	for i := range t {
		var ok bool
		if t[i], ok = millis(c, i+2); !ok {
			return c.Errorf("bad timeout value")
		}
	}
	s, out, ok := of(c)
	if !ok {
		return out
	}
	if s != nil {
		s.connectTime, s.sendTime, s.readTime = t[0], t[1], t[2]
	}
	return c.Return()
}

func setKeepalive(c *lua.Call) lua.Outcome {
	n := c.NArgs()
	if n < 1 || n > 3 {
		return c.Errorf("expecting 1 to 3 arguments (including the object), but got %d", n)
	}
	s, out, ok := of(c)
	if !ok {
		return out
	}
	for i := 2; i <= n; i++ {
		if !c.IsNil(i) && c.Type(i) != lua.Number && !(c.Type(i) == lua.Str && isNumber(c.Str(i))) {
			return c.TypeError(i, "number")
		}
	}
	if s != nil && s.dialing && s.ours(c) {
		return c.ReturnNilErr("socket busy connecting")
	}
	if s == nil || s.c == nil || s.readClosed || s.writeClosed || s.eof || s.c.HungUp() {
		return c.ReturnNilErr("closed")
	}
	if out, ok := s.check(c, idleConnect|idleRead|idleWrite); !ok {
		return out
	}
	if s.c.w > s.c.r {
		return c.ReturnNilErr("unread data in buffer")
	}
	wd := s.wd
	if wd.closing || luahost.Exiting(c) {
		if debugs(c) {
			debugf(c, "lua tcp socket set keepalive while process exiting, closing connection %016X", addressOf(s.c))
		}
		s.finalize()
		return c.ReturnOK()
	}
	cf := luahost.ConfOf(luahost.ScopeOf(c))
	timeout, size := int64(cf.KeepaliveTimeout.V), cf.PoolSize.V
	if !c.IsNil(2) {
		timeout = int64(c.Int(2)) * 1e6
	}
	if !c.IsNil(3) {
		size = c.Int(3)
	}
	p := wd.pools[string(s.key)]
	if p == nil {
		if size <= 0 {
			return c.ArgError(n, fmt.Sprintf("bad \"pool_size\" option value: %d", size))
		}
		p = wd.newPool(c, string(s.key), size, -1)
	}
	return s.retire(c, p, timeout)
}

// retire puts the connection into the pool.
func (s *sock) retire(c *lua.Call, p *pool, timeout int64) lua.Outcome {
	cn := s.c
	if debugs(c) {
		debugf(c, "lua tcp socket set keepalive: saving connection %016X", addressOf(cn))
	}
	if p.idle >= p.size {
		old := p.last
		p.unlink(old)
		old.Close()
		if s.pool != nil {
			p.conns--
		}
	} else if s.pool == nil {
		p.conns++
	}
	s.pool, s.c = nil, nil
	cn.freeBuffer(s.wd)
	s.finalize()
	if debugs(c) {
		if timeout == 0 {
			debugf(c, "lua tcp socket keepalive timeout: unlimited")
		} else {
			debugf(c, "lua tcp socket keepalive timeout: %d ms", timeout/1e6)
		}
	}
	p.put(cn, timeout)
	if cn.Readable() && cn.stale() {
		return c.ReturnNilErr("connection in dubious state")
	}
	p.wake()
	return c.ReturnOK()
}
