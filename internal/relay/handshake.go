package relay

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/tlsio"
	"moongate/internal/upstream"
)

const handshaking = "SSL handshaking to upstream"

// Hooks take part in the handshakes of a location's exchanges. They may park; nil leaves things as they are.
type Hooks struct {
	// Certificate gives the certificate that a server that asks for one is shown, nil for the configured one; an error
	// breaks the handshake off.
	Certificate func(x *Exchange, version uint16) (*tls.Certificate, error)
	// Verify judges the server before the handshake ends, after nothing but the handshake's own checks: OpenSSL's number
	// of what is wrong, which takes the place of our own judgement; an error breaks the handshake off.
	Verify func(x *Exchange, cs *tls.ConnectionState) (int, error)
}

var hooks = conf.NewLevel[Hooks](conf.KindLocation).OnMerge(func(parent, child *Hooks, _ *conf.Scope) error {
	if child.Certificate == nil {
		child.Certificate = parent.Certificate
	}
	if child.Verify == nil {
		child.Verify = parent.Verify
	}
	return nil
})

// HooksOf gives the hooks of a location, for directives to set.
func HooksOf(s *conf.Scope) *Hooks { return hooks.Of(s) }

// handshake makes the new connection one of TLS; it parks until the deadline.
func (x *Exchange) handshake(c *upstream.Conn, deadline int64) uint32 {
	x.action(handshaking)
	s := x.SSL.settings
	cfg := s.config.Clone()
	cfg.NextProtos = x.ALPN
	name := x.tlsName
	if x.SSL.ServerName.V && sendsName(name) {
		cfg.ServerName = strings.Clone(name) // it is the request's, and the connection may live longer
	}
	h := hooks.Of(x.R.Scope)
	switch ok := x.certificate(cfg, h); {
	case x.gone:
		return clientGone
	case !ok:
		return failedInternally
	}
	if x.SSL.SessionReuse.V {
		l := localOf(x.R.H, x.w)
		cfg.ClientSessionCache = &sessionOf{l: l, key: x.poolKey()}
	}
	code, text := 0, ""
	if h.Verify != nil {
		cfg.VerifyConnection = func(cs tls.ConnectionState) (err error) {
			code, err = h.Verify(x, &cs)
			text = tlsio.FaultText(code)
			return err
		}
	}
	t := tlsio.Client(&c.FD, cfg)
	err := t.Handshake(deadline)
	switch {
	case x.gone:
		return clientGone
	case err != nil:
		return x.shakeFailed(err)
	}
	x.log(nlog.Debug, nil, "SSL_do_handshake: 1")
	if s.verify != nil {
		chain := t.State().PeerCertificates
		if h.Verify == nil {
			code, text = s.verify.Check(chain)
		}
		if code != 0 {
			x.log(nlog.Error, nil, fmt.Sprintf("upstream SSL certificate verify error: (%d:%s)", code, text))
			return x.refuse(t)
		}
		if !tlsio.HasName(chain[0], name) {
			x.log(nlog.Error, nil, "upstream SSL certificate does not match \""+name+"\"")
			return x.refuse(t)
		}
	}
	c.TLS = t
	return 0
}

func (x *Exchange) refuse(t *tlsio.Conn) uint32 {
	t.CloseNotify()
	return onError
}

// certificate sets what the server is shown when that depends on the request.
func (x *Exchange) certificate(cfg *tls.Config, h *Hooks) bool {
	l, r := x.SSL, x.R
	if h.Certificate != nil {
		defer func() {
			configured := cfg.GetClientCertificate
			cfg.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				pair, err := h.Certificate(x, i.Version)
				switch {
				case err != nil || pair != nil:
					return pair, err
				case configured != nil:
					return configured(i)
				}
				return &tls.Certificate{}, nil
			}
		}()
	}
	if !l.variable() || x.tlsCert == "" {
		return true
	}
	cert, key := x.tlsCert, l.Key.V.EvalString(r)
	var pair *tls.Certificate
	var err error
	now := time.Now()
	x.w.Loop.Offload(func() {
		pair, err = l.Cache.V.Load(tlsio.Files{Full: l.full, Read: os.ReadFile}, cert, key, l.Passwords.V, now)
	})
	if err != nil {
		x.log(nlog.Error, nil, err.Error())
		return false
	}
	show(cfg, pair)
	return true
}

// variable reports whether the certificate depends on the request.
func (l *SSL) variable() bool {
	c := l.Certificate.V
	return c != nil && c.Text != "" && (!c.IsLiteral() || !l.Key.V.IsLiteral())
}

func (x *Exchange) shakeFailed(err error) uint32 {
	switch e := err.(type) {
	case syscall.Errno:
		x.log(nlog.Error, e, "peer closed connection in SSL handshake")
		return onError
	}
	switch {
	case isTimeout(err):
		return onTimeout
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		x.log(nlog.Error, nil, "peer closed connection in SSL handshake")
	default:
		level := nlog.Crit
		if tlsio.PeerFault(err) {
			level = nlog.Error
		}
		x.log(level, nil, "SSL_do_handshake() failed (SSL: "+tlsio.ErrorText(err)+")")
	}
	return onError
}

// setName finds the name that the server is to have, without a port; it is the group's or the host's unless
// configured.
func (x *Exchange) setName() {
	l := x.SSL
	var name string
	switch {
	case !l.ServerName.V && !l.Verify.V:
		x.tlsName = ""
		return
	case l.Name.V != nil:
		name = l.Name.V.EvalString(x.R)
	case x.Peer.Host != "":
		name = x.Peer.Host
	case x.URL != nil:
		name = x.URL.Host
	default:
		name = x.Group.Name
	}
	x.tlsName = withoutPort(name)
}

// sendsName reports whether a name may stand in SNI (RFC 6066 3: no addresses).
func sendsName(name string) bool {
	if name == "" || name[0] == '[' {
		return false
	}
	_, err := netip.ParseAddr(name)
	return err != nil
}

// SetTLS says whether this try and the next ones speak TLS. It reports false when they shall but the location does not say how.
func (x *Exchange) SetTLS(on bool) bool {
	switch {
	case !on && x.SSL != nil:
		x.SSL, x.unspoken, x.Scheme = nil, x.SSL, "http://"
	case on && x.SSL == nil && x.unspoken != nil:
		x.SSL, x.unspoken, x.Scheme = x.unspoken, nil, "https://"
	}
	return !on || x.SSL != nil
}

// prepareTLS finds out what connections of this exchange are kept under.
func (x *Exchange) prepareTLS() {
	x.setName()
	x.tlsCert = ""
	if x.SSL.variable() {
		x.tlsCert = x.SSL.Certificate.V.EvalString(x.R)
	}
}

// tlsKey is the key of connections to the server at key: what was agreed on by other settings, under another name or
// with another certificate is not taken.
func (x *Exchange) tlsKey(key string) string {
	l := localOf(x.R.H, x.w)
	b := append(append(append(append(append(append(l.key[:0], x.bal.Group.Name...), ' '), key...), ' '), x.SSL.settings.id...), ' ')
	b = append(append(append(b, x.tlsName...), ' '), x.tlsCert...)
	if x.SSL.ServerName.V {
		b = append(b, " sni"...)
	}
	for _, p := range x.ALPN {
		b = append(append(b, ' '), p...)
	}
	l.key = b
	if s, ok := l.keys[string(b)]; ok {
		return s
	}
	if len(l.keys) >= maxNamed {
		clear(l.keys)
	}
	s := string(b)
	l.keys[s] = s
	return s
}

// sessionOf is the cache of sessions as one handshake sees it.
type sessionOf struct {
	l   *local
	key string
}

func (s *sessionOf) Get(string) (*tls.ClientSessionState, bool) {
	st, ok := s.l.sessions[s.key]
	return st, ok
}

func (s *sessionOf) Put(_ string, st *tls.ClientSessionState) {
	if st == nil {
		delete(s.l.sessions, s.key)
		return
	}
	if len(s.l.sessions) >= maxNamed {
		clear(s.l.sessions)
	}
	s.l.sessions[s.key] = st
}

// PeerCertificates is the chain that the server of the exchange has shown, nil without TLS.
func (x *Exchange) PeerCertificates() []*x509.Certificate {
	if x.conn == nil || x.conn.TLS == nil {
		return nil
	}
	return x.conn.TLS.State().PeerCertificates
}

// CheckServer judges a server's chain as the location says: OpenSSL's number and words of the first fault.
func (x *Exchange) CheckServer(chain []*x509.Certificate) (code int, text string) {
	if v := x.SSL.settings.verify; v != nil {
		return v.Check(chain)
	}
	return 0, ""
}

// TLSVersion is the version of TLS spoken with the server, 0 without TLS.
func (x *Exchange) TLSVersion() uint16 {
	if x.conn == nil || x.conn.TLS == nil {
		return 0
	}
	return x.conn.TLS.State().Version
}

// Protocol is what was agreed on with the server by ALPN.
func (x *Exchange) Protocol() string {
	if x.conn == nil || x.conn.TLS == nil {
		return ""
	}
	return x.conn.TLS.State().NegotiatedProtocol
}
