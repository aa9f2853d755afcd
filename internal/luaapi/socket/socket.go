// Package socket is the part of the Lua API that speaks to others: ngx.socket.tcp and its like (cosockets), ngx.socket.udp,
// and ngx.req.socket, which is the client's own connection.
//
// Methods run straight-line: they try the system call and park on the descriptor when it would block. A sock is what Lua
// holds; it has a conn while it is connected. A conn outlives its sock only in a pool of idle connections, without a
// buffer. What a request has open its luahost.Holder closes at its end. Nothing here is shared between workers.
package socket

import (
	"crypto/tls"
	"strings"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
	"moongate/internal/tlsio"
)

// Library declares the functions.
var Library = lua.Library{
	Name: "socket", Doc: "Sockets to servers, and the client's own.",
	Classes: []*lua.Class{
		{Name: "tcpsock", Doc: "A stream socket, made by ngx.socket.tcp."},
		{Name: "reqsock", Doc: "The request body as a socket, given by ngx.req.socket()."},
		{Name: "rawsock", Doc: "The client's connection, given by ngx.req.socket(true)."},
		{Name: "udpsock", Doc: "A datagram socket, made by ngx.socket.udp."},
		{Name: "sockreader", Doc: "What receiveuntil looks for."},
	},
	Funcs:   concat(tcpFuncs, udpFuncs, reqFuncs, luaFuncs, peerFuncs),
	Modules: auxModules,
}

func concat(lists ...[]*lua.Func) (all []*lua.Func) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// method declares a method of several classes.
func method(name, sig, doc string, tier lua.Tier, run func(c *lua.Call) lua.Outcome, classes ...string) []*lua.Func {
	var out []*lua.Func
	for _, class := range classes {
		out = append(out, &lua.Func{Name: "@" + class + ":" + name, Sig: sig, Tier: tier, Doc: doc, Run: run})
	}
	return out
}

// world is what the sockets of a worker's VM share.
type world struct {
	w       *luahost.Worker
	ew      *engine.Worker
	loop    *netio.Loop
	pools   map[string]*pool
	free    *sock
	closing bool

	sessions    map[int]*session // that Lua holds
	lastSession int
}

var slot = luahost.NewSlot()

func worldOf(c *lua.Call) *world {
	lw := luahost.CallWorker(c)
	if wd, ok := lw.Value(slot).(*world); ok {
		return wd
	}
	wd := &world{w: lw, ew: lw.W, loop: lw.W.Loop, pools: map[string]*pool{}}
	lw.SetValue(slot, wd)
	return wd
}

// Trim drops what is kept for new sockets.
func (wd *world) Trim() { wd.free = nil }

// Close drops the idle connections: the VM goes.
func (wd *world) Close() {
	wd.closing = true
	for _, p := range wd.pools {
		if log := processLog(wd.ew); log.On(nlog.Debug) {
			log.Logf(nlog.Debug, nil, nil, "lua tcp socket keepalive: free connection pool %016X for \"%s\"", addressOf(p), p.key)
		}
		p.closeIdle()
	}
}

// kind of a sock.
type kind uint8

const (
	upstream kind = iota
	bodyOfRequest
	rawClient
)

// wire is what carries the bytes of a conn. Read and Write do not park: syscall.EAGAIN.
type wire interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	Readable() bool
	WaitRead(deadline int64) error
	WaitWrite(deadline int64) error
}

// sock is a stream socket as Lua sees it.
type sock struct {
	luahost.Held
	wd     *world
	kind   kind
	serial uint64 // of the Holder it was connected by, 0 before
	c      *conn  // nil unless connected
	peer   peer

	connecting, reading, writing bool
	dialing                      bool // connecting, and the address is known
	readClosed, writeClosed      bool
	eof                          bool
	handshaken                   bool

	// times are those of settimeout, 0 for the configuration's.
	connectTime, sendTime, readTime int64
	conf                            *luahost.Conf
	req                             *engine.Request // of a request's own socket

	pool  *pool // that counts the connection
	key   []byte
	until *pattern // that has seen a part of itself at the front of the buffer
	local syscall.Sockaddr
	cert  *tls.Certificate // of setclientcert
	// trusted is that of settrustedstore, for one connection.
	trusted *tlsio.Verifier

	transparent bool
	next        *sock
}

func (wd *world) newSock(k kind) *sock {
	s := wd.free
	if s == nil {
		s = &sock{}
	} else {
		wd.free = s.next
	}
	s.wd, s.kind, s.next = wd, k, nil
	return s
}

// Collected is told that Lua has lost the object.
func (s *sock) Collected() {
	s.finalize()
	if s.connecting || s.reading || s.writing {
		return
	}
	wd := s.wd
	*s = sock{key: s.key[:0], next: wd.free}
	wd.free = s
}

// DropHeld is told that the request is over.
func (s *sock) DropHeld() { s.finalize() }

// timeouts in force, in nanoseconds.
func (s *sock) readTimeout() int64 {
	if s.readTime > 0 || s.conf == nil {
		return s.readTime
	}
	return int64(s.conf.ReadTimeout.V)
}

func (s *sock) sendTimeout() int64 {
	if s.sendTime > 0 || s.conf == nil {
		return s.sendTime
	}
	return int64(s.conf.SendTimeout.V)
}

func (s *sock) connectTimeout() int64 {
	if s.connectTime > 0 || s.conf == nil {
		return s.connectTime
	}
	return int64(s.conf.ConnectTimeout.V)
}

// of gives the object that argument 1 must be; the outcome counts when ok is false. s is nil for any other table.
func of(c *lua.Call) (s *sock, out lua.Outcome, ok bool) {
	if c.Type(1) != lua.Table {
		return nil, c.TypeError(1, "table"), false
	}
	s, _ = c.Object(1).(*sock)
	return s, 0, true
}

// ours says that the calling request is the one which has connected s.
func (s *sock) ours(c *lua.Call) bool {
	h := luahost.HolderOf(c)
	return h == nil || s.serial == h.Serial(s.wd.w)
}

// what a method needs of the socket.
const (
	idleConnect = 1 << iota
	idleRead
	idleWrite
)

// check tests that s is our own and nobody else is at it.
func (s *sock) check(c *lua.Call, need int) (out lua.Outcome, ok bool) {
	switch {
	case !s.ours(c):
		return c.Errorf("bad request"), false
	case need&idleConnect != 0 && s.connecting:
		return c.ReturnNilErr("socket busy connecting"), false
	case need&idleRead != 0 && s.reading:
		return c.ReturnNilErr("socket busy reading"), false
	case need&idleWrite != 0 && s.writing:
		return c.ReturnNilErr("socket busy writing"), false
	}
	return 0, true
}

// finalize closes the socket, whatever it was doing.
func (s *sock) finalize() {
	s.LetGo()
	s.readClosed, s.writeClosed = true, true
	if s.until != nil {
		s.until.state = 0
		s.until = nil
	}
	c := s.c
	if c == nil {
		return
	}
	if log := processLog(s.wd.ew); log.On(nlog.Debug) {
		log.Logf(nlog.Debug, nil, nil, "lua finalize socket")
	}
	s.c = nil
	c.freeBuffer(s.wd)
	if s.kind != upstream {
		s.req = nil
		return
	}
	c.Close()
	s.leavePool()
}

// leavePool ends the counting of the connection.
func (s *sock) leavePool() {
	p := s.pool
	if p == nil {
		return
	}
	s.pool = nil
	p.uncount()
}

// strerror is an error's text as LuaSocket has it.
func strerror(err error) string {
	if err == syscall.EPIPE {
		return "broken pipe"
	}
	var e syscall.Errno
	if de, ok := err.(*netio.DialError); ok {
		err = de.Err
	}
	e, ok := err.(syscall.Errno)
	if !ok {
		return strings.ToLower(err.Error())
	}
	return strings.ToLower(nlog.Strerror(e))
}

// about is the source of a socket's log lines: the upstream, then the request.
type about struct {
	s   *sock
	src nlog.Source
}

func (a about) LogNumber() uint64 {
	if a.src == nil {
		return 0
	}
	return a.src.LogNumber()
}

func (a about) AppendLog(dst []byte) []byte {
	if _, ok := a.src.(*engine.Request); ok && a.s.kind == upstream && a.s.peer.host != "" { // timers do not tell
		dst = a.s.peer.append(append(dst, ", upstream: "...))
	}
	if a.src != nil {
		dst = a.src.AppendLog(dst)
	}
	return dst
}

// logs says whether failures of the socket are logged.
func (s *sock) logs() bool { return s.conf == nil || s.conf.LogSocketErrors.V }

func (s *sock) logError(c *lua.Call, err error, msg string) {
	if s.logs() {
		luahost.Logger(c).Log(nlog.Error, about{s, luahost.Source(c)}, err, msg)
	}
}

// debugs says whether debug lines are written.
func debugs(c *lua.Call) bool { return luahost.Logger(c).On(nlog.Debug) }

func debugf(c *lua.Call, format string, args ...any) {
	luahost.Logger(c).Logf(nlog.Debug, luahost.Source(c), nil, format, args...)
}

// closedNow answers a method of a socket which is not connected.
func closedNow(c *lua.Call, s *sock, doing string) lua.Outcome {
	if luahost.ConfOf(luahost.ScopeOf(c)).LogSocketErrors.V {
		var u, cn uintptr
		eof := 0
		if s != nil && s.serial != 0 {
			u = addressOf(s)
			if s.c != nil {
				cn = addressOf(s.c)
			}
			if s.eof {
				eof = 1
			}
		}
		luahost.Logger(c).Logf(nlog.Error, luahost.Source(c), nil, "attempt to %s data on a closed socket: u:%016X, c:%016X, ft:0 eof:%d", doing, u, cn, eof)
	}
	return c.ReturnNilErr("closed")
}
