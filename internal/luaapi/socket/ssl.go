package socket

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/luajit"
	"moongate/internal/netio"
	"moongate/internal/ocsp"
	"moongate/internal/tlsio"
)

// tlsWire is TLS over a descriptor; only during the handshake it parks, when nobody else can be at the socket.
type tlsWire struct {
	*tlsio.Conn
	fd      *netio.FD
	session *session
}

// session is a TLS session that can be resumed.
type session struct {
	state *tls.ClientSessionState
	id    int
}

// WaitWrite implements wire.
func (t *tlsWire) WaitWrite(deadline int64) error { return t.fd.WaitWrite(deadline) }

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
	if s.cert != nil {
		cf.Certificates = nil
		cf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.cert, nil }
	}
	cn := s.c
	t := &tlsWire{tlsio.Client(&cn.FD, cf), &cn.FD, cache.got}
	s.connecting = true
	err := t.Handshake(s.wd.loop.Now() + s.connectTimeout())
	s.connecting = false
	if s.c == nil || err == netio.ErrKilled || err == netio.ErrClosed {
		s.finalize()
		return "closed"
	}
	if err != nil {
		return s.shakeFailed(c, err)
	}
	cn.tls, cn.wire, s.handshaken = t, t, true
	if debugs(c) {
		st := t.State()
		for _, l := range tlsio.Describe(&st) {
			debugf(c, "%s", l)
		}
	}
	if !verify {
		return ""
	}
	st := t.State()
	v := s.trusted
	if v == nil {
		v = s.conf.SSL.Verifier
	}
	code, text := v.Check(st.PeerCertificates)
	if code == 21 && !s.conf.SSL.Trusting {
		code, text = 20, tlsio.FaultText(20) // without trusted certificates in the configuration OpenSSL stops at the first fault
	}
	if code == 0 && c.Bool(5) {
		code, text = checkStaple(&st, time.Now())
	}
	if code != 0 {
		s.logError(c, nil, fmt.Sprintf("lua ssl certificate verify error: (%d: %s)", code, text))
		s.finalize()
		return fmt.Sprintf("%d: %s", code, text)
	}
	if name != "" && !tlsio.HasName(st.PeerCertificates[0], name) {
		s.logError(c, nil, "lua ssl certificate does not match host \""+name+"\"")
		s.finalize()
		return "certificate host mismatch"
	}
	return ""
}

// checkStaple looks at the OCSP response that came along with the server's certificate, if one did: it must be signed
// by the issuer and say that the certificate is good.
func checkStaple(st *tls.ConnectionState, now time.Time) (code int, text string) {
	if len(st.OCSPResponse) == 0 || len(st.PeerCertificates) < 2 {
		return 0, ""
	}
	a, err := ocsp.Judge(st.OCSPResponse, st.PeerCertificates[0], st.PeerCertificates[1], true)
	switch {
	case err != nil || !a.Fresh(now):
		return 94, "OCSP verification failed"
	case a.Status == ocsp.Revoked:
		return 23, "certificate revoked"
	case a.Status != ocsp.Good:
		return 75, "OCSP unknown cert"
	}
	return 0, ""
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
			luahost.Logger(c).Log(nlog.Error, src, e, "peer closed connection in SSL handshake")
		default:
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				luahost.Logger(c).Log(nlog.Error, src, nil, "peer closed connection in SSL handshake")
				break
			}
			level := nlog.Crit
			if tlsio.PeerFault(err) {
				level = nlog.Error
			}
			luahost.Logger(c).Log(level, src, nil, "SSL_do_handshake() failed (SSL: "+tlsio.ErrorText(err)+")")
		}
	}
	return "handshake failed"
}

func tlsConfig(c *luahost.SSLConf) *tls.Config {
	// Certificates are verified after the handshake, in OpenSSL's words.
	cf := &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true}
	if len(c.Own) > 0 { // OpenSSL does not look at the issuers that a server asks for
		cf.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			for n := range c.Own {
				if i.SupportsCertificate(&c.Own[n]) == nil {
					return &c.Own[n], nil
				}
			}
			return &c.Own[0], nil
		}
	}
	cf.MinVersion, cf.MaxVersion = tlsio.Versions(c.Protocols.V)
	cf.CipherSuites, _ = tlsio.Suites(c.Ciphers.V)
	var list [][2]string
	for _, p := range c.Commands.V {
		list = append(list, [2]string{p.Key, p.Value})
	}
	tlsio.Commands(cf, list) // which the configuration was asked for once
	if c.Secrets != nil {
		cf.KeyLogWriter = c.Secrets
	}
	return cf
}

// setClientCert is setclientcert for the Lua around it, which gives the types of what it was given and the addresses
// behind pointers.
func setClientCert(c *lua.Call) lua.Outcome {
	s, out, ok := of(c)
	if !ok {
		return out
	}
	if s == nil {
		return badSelf(c)
	}
	cert, key := uintptr(c.Num(2)), uintptr(c.Num(3))
	if cert == 0 && key == 0 {
		s.cert = nil
		return c.ReturnBool(true)
	}
	chain, ok := luajit.ObjectDER(luajit.ObjectChain, cert)
	if !ok || len(chain) == 0 {
		return c.ReturnNilErr("invalid certificate chain")
	}
	secret, ok := luajit.ObjectDER(luajit.ObjectKey, key)
	if !ok || len(secret) != 1 {
		return c.ReturnNilErr("invalid private key")
	}
	pair, problem := clientPair(chain, secret[0])
	if problem != "" {
		return c.ReturnNilErr(problem)
	}
	s.cert = pair
	return c.ReturnBool(true)
}

func clientPair(chain [][]byte, secret []byte) (*tls.Certificate, string) {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, "SSL_use_certificate() failed"
	}
	key := tlsio.ReadKey(secret)
	if key == nil {
		return nil, "SSL_use_PrivateKey() failed"
	}
	if e, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !e.Equal(leaf.PublicKey) {
		return nil, "SSL_use_PrivateKey() failed"
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, ""
}

// setTrustedStore makes sslhandshake trust the certificates of an X509_STORE in place of the configuration's.
func setTrustedStore(c *lua.Call) lua.Outcome {
	s, out, ok := of(c)
	if !ok {
		return out
	}
	switch {
	case s == nil:
		return badSelf(c)
	case s.c == nil || s.readClosed || s.writeClosed:
		return c.ReturnNilErr("closed")
	case !s.ours(c):
		return c.ReturnNilErr("bad request")
	case s.handshaken:
		return c.ReturnNilErr("ssl handshake already done; trusted store cannot be changed on an established TLS connection")
	case c.Num(2) == 0:
		s.trusted = nil
		return c.ReturnBool(true)
	}
	ders, ok := luajit.ObjectDER(luajit.ObjectStore, uintptr(c.Num(2)))
	if !ok {
		return c.ReturnNilErr("invalid store")
	}
	v := &tlsio.Verifier{Server: true, Depth: luahost.ConfOf(luahost.ScopeOf(c)).SSL.VerifyDepth.V}
	for _, der := range ders {
		if cert, err := x509.ParseCertificate(der); err == nil {
			v.Add(cert)
		}
	}
	s.trusted = v
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
