package socket

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
	"moongate/internal/tlsio"
)

// clientCert is what setclientcert has set: OpenSSL's objects, as addresses.
type clientCert struct{ cert, key uintptr }

// tlsWire is TLS over a descriptor. crypto/tls never waits: what it wants to send is kept in out, and where it wants to
// read more than there is it is told to come back (see errAgain); only during the handshake it parks, when nobody else
// can be at the socket.
type tlsWire struct {
	fd       *netio.FD
	tc       *tls.Conn
	out      []byte // records that the socket has not taken
	taken    int    // bytes of the caller that out holds
	more     bool   // decrypted bytes may be there
	shaking  bool
	deadline int64
	session  *session
}

// session is a TLS session that can be resumed.
type session struct {
	state *tls.ClientSessionState
	id    int
}

// errAgain is an error that crypto/tls does not keep.
type again struct{}

func (again) Error() string   { return "try again" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

var errAgain = again{}

// link is the tlsWire as crypto/tls sees it.
type link tlsWire

func (l *link) Read(p []byte) (int, error) {
	for {
		if l.fd.Readable() {
			n, err := l.fd.Read(p)
			if n > 0 {
				return n, nil
			}
			if err == nil {
				return 0, io.EOF
			}
			if !wouldBlock(err) {
				return 0, err
			}
		}
		if !l.shaking {
			return 0, errAgain
		}
		if err := l.fd.WaitRead(l.deadline); err != nil {
			return 0, err
		}
	}
}

func (l *link) Write(p []byte) (int, error) {
	l.out = append(l.out, p...)
	if !l.shaking {
		return len(p), nil
	}
	for {
		err := (*tlsWire)(l).flush()
		if err == nil {
			return len(p), nil
		}
		if !wouldBlock(err) {
			return 0, err
		}
		if err := l.fd.WaitWrite(l.deadline); err != nil {
			return 0, err
		}
	}
}

func (l *link) Close() error                     { return nil }
func (l *link) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (l *link) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (l *link) SetDeadline(time.Time) error      { return nil }
func (l *link) SetReadDeadline(time.Time) error  { return nil }
func (l *link) SetWriteDeadline(time.Time) error { return nil }

// flush sends what the socket takes.
func (t *tlsWire) flush() error {
	for len(t.out) > 0 {
		n, err := t.fd.Write(t.out)
		if err != nil {
			return err
		}
		t.out = t.out[:copy(t.out, t.out[n:])]
	}
	if cap(t.out) > keepBuffer {
		t.out = nil
	}
	return nil
}

func (t *tlsWire) Read(p []byte) (int, error) {
	n, err := t.tc.Read(p)
	t.more = n > 0
	if len(t.out) > t.taken {
		t.flush() // the answer to a change of keys; what does not leave now leaves with the next bytes
	}
	switch err {
	case nil:
		return n, nil
	case errAgain:
		return 0, syscall.EAGAIN
	case io.EOF, io.ErrUnexpectedEOF:
		return 0, nil
	}
	if n > 0 {
		return n, nil
	}
	return 0, unwrap(err)
}

// Write takes the bytes once the socket has taken the records that they make.
func (t *tlsWire) Write(p []byte) (int, error) {
	if t.taken == 0 {
		if err := t.flush(); err != nil {
			return 0, err
		}
		p = p[:min(len(p), keepBuffer)]
		if _, err := t.tc.Write(p); err != nil {
			return 0, unwrap(err)
		}
		t.taken = len(p)
	}
	if err := t.flush(); err != nil {
		return 0, err
	}
	n := t.taken
	t.taken = 0
	return n, nil
}

func (t *tlsWire) Readable() bool { return t.more || t.fd.Readable() }

func (t *tlsWire) WaitRead(deadline int64) error {
	if t.more {
		return nil
	}
	return t.fd.WaitRead(deadline)
}

func (t *tlsWire) WaitWrite(deadline int64) error { return t.fd.WaitWrite(deadline) }

// unwrap finds the system error in one of crypto/tls.
func unwrap(err error) error {
	if oe, ok := err.(*net.OpError); ok {
		return oe.Err
	}
	return err
}

// oneSession is the session cache of one connection.
type oneSession struct{ resume, got *session }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) {
	if o.resume == nil || o.resume.state == nil {
		return nil, false
	}
	return o.resume.state, true
}

func (o *oneSession) Put(_ string, s *tls.ClientSessionState) { o.got.state = s }

// handshake is sslhandshake for the Lua around it: the socket, the session's number or nil or false, name, verify, ocsp.
// It returns true, a session's number, nil and a message, or false and what is to be raised.
func handshake(c *lua.Call) lua.Outcome {
	s, out, ok := of(c)
	if !ok {
		return out
	}
	if s == nil || s.serial == 0 {
		return c.ReturnFalseErr("socket is never created nor connected")
	}
	if s.c == nil || s.readClosed || s.writeClosed {
		return c.ReturnNilErr("closed")
	}
	if !s.ours(c) {
		return c.ReturnNilErr("bad request")
	}
	if out, ok := s.check(c, idleConnect|idleRead|idleWrite); !ok {
		return out
	}
	if s.kind != upstream {
		return c.ReturnNilErr("not supported for downstream sockets")
	}
	wantSession := c.Type(2) != lua.Bool || c.Bool(2)
	var resume *session
	if c.Type(2) == lua.Number {
		resume = s.wd.sessions[c.Int(2)]
	}
	if s.c.tls == nil {
		if !c.MayWait() {
			return c.Raise(errNoWait.Error())
		}
		if msg := s.shake(c, resume); msg != "" {
			return c.ReturnNilErr(msg)
		}
	} else if resume != nil {
		return c.ReturnInt(s.wd.keepSession(resume))
	}
	if !wantSession {
		return c.ReturnBool(true)
	}
	id := s.wd.keepSession(s.c.tls.session)
	if debugs(c) {
		debugf(c, "lua ssl save session: %016X", id)
	}
	return c.ReturnInt(id)
}

// keepSession gives a session a number by which Lua knows it.
func (wd *world) keepSession(s *session) int {
	if wd.sessions == nil {
		wd.sessions = map[int]*session{}
	}
	wd.lastSession++
	wd.sessions[wd.lastSession] = &session{state: s.state, id: wd.lastSession}
	if s.state == nil { // the ticket is still to come
		wd.sessions[wd.lastSession] = s
	}
	return wd.lastSession
}

func freeSession(c *lua.Call) lua.Outcome {
	if debugs(c) {
		debugf(c, "lua ssl free session: %016X", c.Int(1))
	}
	delete(worldOf(c).sessions, c.Int(1))
	return c.Return()
}

// shake makes the connection one of TLS; it parks. It returns the message for Lua, "" when all is well.
func (s *sock) shake(c *lua.Call, resume *session) string {
	name := strings.TrimSuffix(string(luahost.Text(c, 3)), "\x00")
	if c.IsNil(3) {
		name = ""
	}
	verify := c.Bool(4)
	if debugs(c) {
		debugf(c, "lua tcp socket ssl handshake")
		if name != "" {
			debugf(c, "lua ssl server name: \"%s\"", name)
		}
		if resume != nil {
			debugf(c, "lua ssl set session: %016X", resume.id)
		}
	}
	cache := &oneSession{resume: resume, got: &session{}}
	if resume != nil {
		cache.got.state = resume.state
	}
	cf := tlsConfig(&s.conf.SSL)
	cf.ServerName, cf.ClientSessionCache = name, cache
	cn := s.c
	t := &tlsWire{fd: &cn.FD, shaking: true, deadline: s.wd.loop.Now() + s.connectTimeout(), session: cache.got}
	t.tc = tls.Client((*link)(t), cf)
	s.connecting = true
	err := t.tc.Handshake()
	s.connecting = false
	t.shaking = false
	if s.c == nil || err == netio.ErrKilled || err == netio.ErrClosed {
		s.finalize()
		return "closed"
	}
	if err != nil {
		return s.shakeFailed(c, unwrap(err))
	}
	cn.tls, cn.wire, s.handshaken = t, t, true
	if !verify {
		return ""
	}
	st := t.tc.ConnectionState()
	if code, text := s.conf.SSL.Verify(st.PeerCertificates); code != 0 {
		s.logError(c, nil, fmt.Sprintf("lua ssl certificate verify error: (%d: %s)", code, text))
		s.finalize()
		return fmt.Sprintf("%d: %s", code, text)
	}
	if name != "" && st.PeerCertificates[0].VerifyHostname(name) != nil {
		s.logError(c, nil, "lua ssl certificate does not match host \""+name+"\"")
		s.finalize()
		return "certificate host mismatch"
	}
	return ""
}

func (s *sock) shakeFailed(c *lua.Call, err error) string {
	defer s.finalize()
	if err == netio.ErrTimeout {
		return "timeout"
	}
	if s.logs() {
		src := about{s, luahost.Source(c)}
		switch e := err.(type) {
		case syscall.Errno:
			luahost.Logger(c).Log(nlog.Error, src, e, "SSL_do_handshake() failed")
		default:
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				luahost.Logger(c).Log(nlog.Error, src, nil, "peer closed connection in SSL handshake")
				break
			}
			luahost.Logger(c).Log(nlog.Crit, src, nil, "SSL_do_handshake() failed (SSL: "+sslText(err)+")")
		}
	}
	return "handshake failed"
}

// sslText is an error of the handshake; for a peer that does not speak TLS at all in OpenSSL's words, which people know.
func sslText(err error) string {
	if _, ok := err.(tls.RecordHeaderError); ok {
		return "error:0A00010B:SSL routines::wrong version number"
	}
	return err.Error()
}

func tlsConfig(c *luahost.SSLConf) *tls.Config {
	// Certificates are verified by SSLConf.Verify, in OpenSSL's words.
	cf := &tls.Config{InsecureSkipVerify: true, Certificates: c.Own}
	cf.MinVersion, cf.MaxVersion = tlsio.Versions(c.Protocols.V)
	cf.CipherSuites, _ = tlsio.Suites(c.Ciphers.V)
	if c.Secrets != nil {
		cf.KeyLogWriter = c.Secrets
	}
	return cf
}

func setClientCert(c *lua.Call) lua.Outcome {
	s, out, ok := of(c)
	if !ok {
		return out
	}
	if s == nil {
		return badSelf(c)
	}
	hasCert, hasKey := c.Bool(2), c.Bool(3)
	switch {
	case !hasCert && !hasKey:
		s.cert = clientCert{}
		return c.ReturnBool(true)
	case !hasCert || !hasKey:
		return c.ReturnNilErr("client certificate must be supplied with corresponding private key")
	case c.Type(2) != lua.Cdata:
		return c.ReturnNilErr("bad cert arg: cdata expected, got " + c.Type(2).String())
	case c.Type(3) != lua.Cdata:
		return c.ReturnNilErr("bad pkey arg: cdata expected, got " + c.Type(3).String())
	}
	s.cert = clientCert{c.Pointer(2), c.Pointer(3)}
	return c.ReturnBool(true)
}

// getSession is getsslsession for the Lua around it: a session's number.
func getSession(c *lua.Call) lua.Outcome {
	s, out, ok := of(c)
	switch {
	case !ok:
		return out
	case s == nil || s.c == nil || s.readClosed && s.writeClosed:
		return c.ReturnNilErr("closed")
	case s.c.tls == nil:
		return c.ReturnNilErr("no session")
	}
	return c.ReturnInt(s.wd.keepSession(s.c.tls.session))
}

// noOpenSSL answers the methods that hand out OpenSSL's own objects: there are none.
func noOpenSSL(c *lua.Call) lua.Outcome {
	return c.ReturnNilErr("not supported: TLS is not OpenSSL's here")
}
