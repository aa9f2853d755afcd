package socket

import (
	"bytes"
	"fmt"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
)

func send(c *lua.Call) lua.Outcome {
	if c.NArgs() != 2 {
		return c.Errorf("expecting 2 arguments (including the object), but got %d", c.NArgs())
	}
	s, out, ok := of(c)
	if !ok {
		return out
	}
	if s == nil || s.c == nil && !s.dialing || s.writeClosed {
		return closedNow(c, s, "send")
	}
	if out, ok := s.check(c, idleConnect|idleWrite); !ok {
		return out
	}
	b, own, err := c.Payload(2)
	if err != nil {
		return c.Fail(err)
	}
	if debugs(c) {
		debugf(c, "lua tcp socket send timeout: %d", s.sendTimeout()/1e6)
	}
	total := len(b)
	if total == 0 {
		return c.ReturnInt(0)
	}
	if !s.c.nodelay {
		s.noDelay(c)
	}
	for len(b) > 0 {
		n, err := s.c.wire.Write(b)
		b = b[n:]
		if err == nil {
			continue
		}
		if !wouldBlock(err) {
			return s.sendFailed(c, err)
		}
		if own { // the memory is the VM's, which others use while we wait
			b, own = append([]byte(nil), b...), false
		}
		if err := s.waitWrite(c); err != nil {
			return s.sendFailed(c, err)
		}
	}
	return c.ReturnInt(total)
}

// noDelay switches Nagle's algorithm off, once per connection.
func (s *sock) noDelay(c *lua.Call) {
	s.c.nodelay = true
	if _, unix := s.peer.addr.(*syscall.SockaddrUnix); unix || s.kind != upstream && s.req.Conn.Remote.Unix {
		return
	}
	if engine.CoreOf(luahost.ScopeOf(c)).TCPNodelay.V {
		if debugs(c) {
			debugf(c, "lua socket tcp_nodelay")
		}
		syscall.SetsockoptInt(s.fd(), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}
}

func (s *sock) waitWrite(c *lua.Call) error {
	if !c.MayWait() {
		return errNoWait
	}
	s.writing = true
	err := s.c.wire.WaitWrite(s.wd.loop.Now() + s.sendTimeout())
	s.writing = false
	if err == nil && s.c == nil {
		err = netio.ErrClosed
	}
	return err
}

func (s *sock) sendFailed(c *lua.Call, err error) lua.Outcome {
	switch err {
	case errNoWait:
		return c.Raise(err.Error())
	case netio.ErrKilled, netio.ErrClosed:
		s.finalize()
		return c.ReturnNilErr("closed")
	}
	s.writeClosed = true
	if err == netio.ErrTimeout {
		s.logError(c, nil, "lua tcp socket write timed out")
		return c.ReturnNilErr("timeout")
	}
	s.logError(c, err, "send() failed")
	return c.ReturnNilErr(strerror(err))
}

// fault is why a read ended.
type fault struct {
	err error // nil: the end of the data
}

// fill reads more into the buffer: at most what lua_socket_buffer_size says, but want bytes when that is more. It parks
// unless bytes are likely to be there. A fault with a nil error is the end.
func (s *sock) fill(c *lua.Call, want int) *fault {
	cn := s.c
	if s.eof {
		return &ended
	}
	size := int(s.conf.BufferSize.V)
	s.room(max(want, 1), size)
	for tried := false; ; tried = true {
		if tried || !cn.wire.Readable() {
			if f := s.waitRead(c); f != nil {
				return f
			}
		}
		limit := min(len(cn.buf), cn.w+max(size, want))
		n, err := cn.wire.Read(cn.buf[cn.w:limit])
		switch {
		case n > 0:
			cn.w += n
			return nil
		case err == nil && s.kind == rawClient && luahost.ConfOf(luahost.ScopeOf(c)).CheckClientAbort.V:
			return &fault{errClientAbort}
		case err == nil:
			s.eof = true
			return &ended
		case !wouldBlock(err):
			return &fault{err}
		}
	}
}

var ended fault

// room makes space for n bytes more.
func (s *sock) room(n, size int) {
	cn := s.c
	if cn.buf == nil {
		b := s.wd.ew.Buffer(max(n, size))
		cn.buf, cn.r, cn.w = b[:cap(b)], 0, 0
		return
	}
	if cn.r == cn.w {
		cn.r, cn.w = 0, 0
	}
	if len(cn.buf)-cn.w >= min(n, size) && len(cn.buf) > cn.w {
		return
	}
	live := cn.buf[cn.r:cn.w]
	if cn.r >= n && cn.r > len(cn.buf)/2 {
		cn.w = copy(cn.buf, live)
		cn.r = 0
		return
	}
	b := s.wd.ew.Buffer(max(2*len(cn.buf), len(live)+n))
	b = b[:cap(b)]
	cn.w = copy(b, live)
	cn.r = 0
	s.wd.ew.FreeBuffer(cn.buf[:0])
	cn.buf = b
}

// waitRead parks until there is something to read.
func (s *sock) waitRead(c *lua.Call) *fault {
	if !c.MayWait() {
		return &fault{errNoWait}
	}
	s.reading = true
	err := s.c.wire.WaitRead(s.wd.loop.Now() + s.readTimeout())
	s.reading = false
	switch {
	case err == nil && s.c != nil:
		return nil
	case err == netio.ErrTimeout && s.c != nil:
		return &timedOut
	}
	s.finalize()
	return &gone
}

var (
	timedOut = fault{netio.ErrTimeout}
	gone     = fault{netio.ErrClosed}
)

// readFailed answers with the fault, and what was read before it.
func (s *sock) readFailed(c *lua.Call, f *fault, partial []byte) lua.Outcome {
	w := c.Push()
	w.Nil()
	switch f.err {
	case errNoWait:
		return c.Raise(errNoWait.Error())
	case netio.ErrTimeout:
		s.logError(c, nil, "lua tcp socket read timed out")
		w.String("timeout")
		w.Str(partial)
		return c.Return()
	case nil, netio.ErrClosed:
		w.String("closed")
	case errClientAbort:
		w.String("client aborted")
	case engine.ErrBodyChunk, engine.ErrBodyTooLarge:
		w.String(f.err.Error())
	default:
		s.logError(c, f.err, "recv() failed")
		w.String(strerror(f.err))
	}
	w.Str(partial)
	s.readClosed = true
	if s.c != nil {
		s.c.freeBuffer(s.wd)
	}
	return c.Return()
}

// took forgets what was read up to the place at.
func (cn *conn) took(at int, s *sock) {
	cn.r = at
	if cn.r == cn.w {
		cn.r, cn.w = 0, 0
		if len(cn.buf) > keepBuffer && len(cn.buf) > int(s.conf.BufferSize.V) {
			cn.freeBuffer(s.wd)
		}
	}
}

// keepBuffer is the size above which an empty buffer is given back at once.
const keepBuffer = 64 << 10

// unread gives up the pattern that has bytes at the front of the buffer: another reader has come.
func (s *sock) unread() {
	if s.until != nil {
		if s.until.state > 0 {
			s.until.state = 0
		}
		s.until = nil
	}
}

// reader is the first part of all methods that read.
func reader(c *lua.Call, minArgs, maxArgs int, expecting string) (s *sock, out lua.Outcome, ok bool) {
	if n := c.NArgs(); n < minArgs || n > maxArgs {
		return nil, c.Errorf("expecting %s (including the object), but got %d", expecting, n), false
	}
	s, out, ok = of(c)
	if !ok {
		return nil, out, false
	}
	if s == nil || s.c == nil && !s.dialing || s.readClosed {
		return nil, closedNow(c, s, "receive"), false
	}
	if out, ok := s.check(c, idleConnect|idleRead); !ok {
		return nil, out, false
	}
	return s, 0, true
}

func receive(c *lua.Call) lua.Outcome {
	s, out, ok := reader(c, 1, 2, "1 or 2 arguments")
	if !ok {
		return out
	}
	if debugs(c) {
		debugf(c, "lua tcp socket calling receive() method")
		debugf(c, "lua tcp socket read timeout: %d", s.readTimeout()/1e6)
	}
	if c.NArgs() == 1 {
		return s.readLine(c)
	}
	switch t := c.Type(2); {
	case t == lua.Number || t == lua.Str && isNumber(c.Str(2)):
		n := c.Int(2)
		if n < 0 {
			return c.ArgError(2, "bad number argument")
		}
		if n == 0 {
			return c.ReturnStr(nil)
		}
		return s.readSize(c, n)
	case t == lua.Str:
		pat := c.Str(2)
		if len(pat) != 2 || pat[0] != '*' {
			return c.ArgError(2, "bad pattern argument: "+string(pat))
		}
		switch pat[1] {
		case 'l':
			return s.readLine(c)
		case 'a':
			return s.readAll(c)
		}
		return c.ArgError(2, "bad pattern argument")
	}
	return c.ArgError(2, "bad argument")
}

func (s *sock) readSize(c *lua.Call, n int) lua.Outcome {
	s.unread()
	for {
		cn := s.c
		if cn.w-cn.r >= n {
			c.Push().Str(cn.buf[cn.r : cn.r+n])
			cn.took(cn.r+n, s)
			return c.Return()
		}
		// Ask for no more memory than has come so far: the number may be anything.
		if f := s.fill(c, min(n-(cn.w-cn.r), max(cn.w-cn.r, 64<<10))); f != nil {
			return s.readShort(c, f)
		}
	}
}

// readShort ends a read that did not get all it wanted.
func (s *sock) readShort(c *lua.Call, f *fault) lua.Outcome {
	cn := s.c
	if cn == nil {
		return s.readFailed(c, f, nil)
	}
	out := s.readFailed(c, f, cn.buf[cn.r:cn.w])
	if s.c != nil && !s.readClosed {
		cn.took(cn.w, s)
	}
	return out
}

func (s *sock) readLine(c *lua.Call) lua.Outcome {
	s.unread()
	for seen := 0; ; {
		cn := s.c
		if i := bytes.IndexByte(cn.buf[cn.r+seen:cn.w], '\n'); i >= 0 {
			end := cn.r + seen + i
			c.Push().Str(withoutCR(cn.buf[cn.r:end]))
			cn.took(end+1, s)
			return c.Return()
		}
		seen = cn.w - cn.r
		if f := s.fill(c, 1); f != nil {
			if s.c == nil {
				return s.readFailed(c, f, nil)
			}
			out := s.readFailed(c, f, withoutCR(cn.buf[cn.r:cn.w]))
			if !s.readClosed {
				cn.took(cn.w, s)
			}
			return out
		}
	}
}

// withoutCR leaves the carriage returns out of a line, all of them, as OpenResty does.
func withoutCR(b []byte) []byte {
	i := bytes.IndexByte(b, '\r')
	if i < 0 {
		return b
	}
	if i == len(b)-1 {
		return b[:i]
	}
	n := i
	for _, ch := range b[i:] {
		if ch != '\r' {
			b[n] = ch
			n++
		}
	}
	return b[:n]
}

func (s *sock) readAll(c *lua.Call) lua.Outcome {
	s.unread()
	for {
		f := s.fill(c, 1)
		if f == nil {
			continue
		}
		cn := s.c
		if cn == nil || f.err != nil {
			return s.readShort(c, f)
		}
		c.Push().Str(cn.buf[cn.r:cn.w])
		cn.took(cn.w, s)
		return c.Return()
	}
}

func receiveAny(c *lua.Call) lua.Outcome {
	s, out, ok := reader(c, 2, 2, "2 arguments")
	if !ok {
		return out
	}
	if t := c.Type(2); t != lua.Number && !(t == lua.Str && isNumber(c.Str(2))) {
		return c.ArgError(2, "bad max argument")
	}
	n := c.Int(2)
	if n <= 0 {
		return c.ArgError(2, "bad max argument")
	}
	if debugs(c) {
		debugf(c, "lua tcp socket calling receiveany() method to read at most %d bytes", n)
		debugf(c, "lua tcp socket read timeout: %d", s.readTimeout()/1e6)
		debugf(c, "lua tcp socket read any")
	}
	s.unread()
	if cn := s.c; cn.w == cn.r {
		if f := s.fill(c, 1); f != nil {
			return s.readShort(c, f)
		}
	}
	cn := s.c
	n = min(n, cn.w-cn.r)
	c.Push().Str(cn.buf[cn.r : cn.r+n])
	cn.took(cn.r+n, s)
	return c.Return()
}

// optionNames are the socket options of getoption and setoption.
var optionNames = map[string][2]int{
	"keepalive":   {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
	"reuseaddr":   {syscall.SOL_SOCKET, syscall.SO_REUSEADDR},
	"tcp-nodelay": {syscall.IPPROTO_TCP, syscall.TCP_NODELAY},
	"sndbuf":      {syscall.SOL_SOCKET, syscall.SO_SNDBUF},
	"rcvbuf":      {syscall.SOL_SOCKET, syscall.SO_RCVBUF},
	"keepintvl":   {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL},
	"keepcnt":     {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT},
}

// option finds the option that argument 2 names.
func option(c *lua.Call) (s *sock, opt [2]int, out lua.Outcome, ok bool) {
	s, out, ok = of(c)
	if !ok {
		return
	}
	if s == nil || s.serial == 0 {
		return s, opt, c.Errorf("socket is never created nor connected"), false
	}
	if c.IsNil(2) {
		return s, opt, c.ReturnNilErr("missing the \"option\" argument"), false
	}
	opt, known := optionNames[string(luahost.Text(c, 2))]
	if !known {
		return s, opt, c.ReturnNilErr("unsupported option " + string(luahost.Text(c, 2))), false
	}
	if s.c == nil {
		return s, opt, c.ReturnNilErr("closed"), false
	}
	return s, opt, 0, true
}

func getOption(c *lua.Call) lua.Outcome {
	s, opt, out, ok := option(c)
	if !ok {
		return out
	}
	v, err := syscall.GetsockoptInt(s.fd(), opt[0], opt[1])
	if err != nil {
		return c.ReturnNilErr(errText(err))
	}
	return c.ReturnInt(v)
}

func setOption(c *lua.Call) lua.Outcome {
	if s, _ := c.Object(1).(*sock); s != nil && !c.IsNil(2) && !c.IsNil(3) && string(c.Str(2)) == "ip-transparent" {
		s.transparent = c.Bool(3)
		return c.ReturnBool(true)
	}
	if !c.IsNil(2) && c.IsNil(3) {
		return c.ReturnNilErr("missing the \"value\" argument")
	}
	s, opt, out, ok := option(c)
	if !ok {
		return out
	}
	v := c.Int(3)
	switch t := c.Type(3); {
	case t == lua.Bool && c.Bool(3):
		v = 1
	case t != lua.Bool && t != lua.Number:
		return c.ArgError(3, "cannot convert '"+t.String()+"' to 'int'")
	}
	if err := syscall.SetsockoptInt(s.fd(), opt[0], opt[1], v); err != nil {
		return c.ReturnNilErr(errText(err))
	}
	return c.ReturnBool(true)
}

func getFD(c *lua.Call) lua.Outcome {
	s, out, ok := of(c)
	if !ok {
		return out
	}
	if s == nil || s.serial == 0 {
		return c.Errorf("socket is never created nor connected")
	}
	if s.c == nil {
		return c.ReturnNilErr("closed")
	}
	return c.ReturnInt(s.fd())
}

// fd is the descriptor's number.
func (s *sock) fd() int {
	if s.kind != upstream && s.req != nil {
		return s.req.Conn.FD
	}
	return s.c.Sysfd()
}

// errText is "92: Protocol not available", as nginx's strerror gives it.
func errText(err error) string {
	if e, ok := err.(syscall.Errno); ok {
		return fmt.Sprintf("%d: %s", int(e), nlog.Strerror(e))
	}
	return err.Error()
}
