package engine

import (
	"crypto/tls"
	"strings"

	"moongate/internal/base/nlog"
	"moongate/internal/http1"
	"moongate/internal/tlsio"
)

// TLSHooks is code that takes part in the handshakes of a server. The functions may park, but for Store.
type TLSHooks struct {
	// Hello sees the client's first message before anything is decided; an error refuses the client.
	Hello func(h *Handshake) error
	// Certificate may set h.Certificates, Cleared and Staple, and change h.Config.
	Certificate func(h *Handshake) error
	// Fetch looks a session up by its number and gives it as Store had it, nil when there is none; Store keeps one.
	Fetch func(h *Handshake, version uint16, id []byte) ([]byte, error)
	Store func(h *Handshake, version uint16, id, session []byte)
	// Done is told that the handshake is over, whatever its end.
	Done func(h *Handshake, ok bool)
}

// Handshake is a server's handshake under way. A driver of connections makes one, lets TLS call Choose, and ends it with
// Done.
type Handshake struct {
	Conn   *Conn
	Worker *Worker
	HTTP   *HTTP
	// Server is the server of the name that the client gave, the default one without; TLS is what the handshake goes by.
	Server *Server
	TLS    *TLSConf
	State  *TLSState
	Info   *tls.ClientHelloInfo
	// Raw is the client's first message.
	Raw *tlsio.ClientHello
	// Config is the handshake's own configuration, once there are hooks: they may change it.
	Config *tls.Config
	// Certificates are those that a hook has chosen; the server's own are used too, unless Cleared. Staple is the OCSP
	// response to be sent along.
	Certificates []*tls.Certificate
	Cleared      bool
	Staple       []byte
	// Value belongs to the hooks.
	Value any

	addr  *AddrConf
	hello *TLSHooks
	hooks *TLSHooks
	io    *tlsio.Conn
}

// NewHandshake prepares the handshake of a connection that came in at an address; t is made with its Choose.
func NewHandshake(c *Conn, w *Worker, a *AddrConf) *Handshake {
	return &Handshake{Conn: c, Worker: w, HTTP: a.HTTP(), addr: a, State: &TLSState{}}
}

// Attach tells which connection the handshake is done on.
func (h *Handshake) Attach(t *tlsio.Conn) { h.io = t }

// Choose gives the configuration for a client. It may park.
func (h *Handshake) Choose(info *tls.ClientHelloInfo) (*tls.Config, error) {
	h.Info = info
	st := h.State
	st.ServerName = info.ServerName
	st.Hello = HelloInfo{Suites: info.CipherSuites, Curves: info.SupportedCurves, Signatures: info.SignatureSchemes}
	def := h.addr.DefaultServer()
	h.Server, h.TLS = def, def.TLS
	if h.hello = def.TLS.Hooks; h.hello != nil && h.hello.Hello != nil {
		h.readRaw()
		h.Config = &tls.Config{}
		if err := h.hello.Hello(h); err != nil {
			return nil, err
		}
	}
	if s := h.addr.ServerFor(lowerName(info.ServerName)); s != nil {
		st.Matched = !h.addr.names.alone
		h.Server = s
		if s.TLS != nil {
			h.TLS = s.TLS
		}
	}
	h.hooks = h.TLS.Hooks
	asked := h.Config
	cfg := h.config()
	if h.TLS.Adapt != nil {
		own, err := h.TLS.Adapt(h)
		if err != nil {
			return nil, err
		}
		own.NextProtos = cfg.NextProtos
		cfg = own
	}
	if h.hooks == nil && h.hello == nil {
		return cfg, nil
	}
	if h.Config = cfg; cfg == h.config() {
		h.Config = cfg.Clone()
	}
	return h.own(asked)
}

// readRaw finds the client's first message; of a handshake over QUIC it is not known.
func (h *Handshake) readRaw() {
	if h.Raw == nil && h.io != nil {
		h.Raw = h.io.Hello()
	}
}

// config is the server's configuration for the address.
func (h *Handshake) config() *tls.Config {
	if h.TLS.HTTP2 != nil && h.addr.SpeaksHTTP2(h.Server) {
		return h.TLS.HTTP2
	}
	return h.TLS.Config
}

// own makes the configuration, which only this handshake uses, call hooks.
func (h *Handshake) own(asked *tls.Config) (*tls.Config, error) {
	cfg := h.Config
	if asked != nil && asked.MaxVersion != 0 {
		cfg.MinVersion, cfg.MaxVersion = asked.MinVersion, asked.MaxVersion
	}
	if h.hooks != nil && h.hooks.Certificate != nil {
		before, certs := cfg.GetCertificate, cfg.Certificates
		cfg.Certificates = nil
		cfg.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
			h.readRaw()
			if err := h.hooks.Certificate(h); err != nil {
				return nil, err
			}
			return h.pick(info, before, certs)
		}
	}
	return cfg, nil
}

// noCertificate is a certificate that no client understands, so that crypto/tls sends the alert handshake_failure, as
// OpenSSL does when there is no certificate to show.
var noCertificate = &tls.Certificate{Certificate: [][]byte{nil}, PrivateKey: struct{}{}}

// pick takes the first certificate that the client understands, of those a hook has chosen and, unless cleared, of the
// server's own; its name is no matter, as in nginx.
func (h *Handshake) pick(info *tls.ClientHelloInfo, own func(*tls.ClientHelloInfo) (*tls.Certificate, error), certs []tls.Certificate) (*tls.Certificate, error) {
	list := h.Certificates
	if !h.Cleared {
		if own != nil {
			if c, err := own(info); err == nil && c != nil {
				list = append(list, c)
			}
		}
		for i := range certs {
			list = append(list, &certs[i])
		}
	}
	if len(list) == 0 {
		return noCertificate, nil
	}
	nameless := *info
	nameless.ServerName = ""
	best := list[0]
	for _, c := range list {
		if nameless.SupportsCertificate(c) == nil {
			best = c
			break
		}
	}
	if h.Staple != nil {
		with := *best
		with.OCSPStaple = h.Staple
		best = &with
	}
	return best, nil
}

// SessionHooks are those of sessions; nil for none.
func (h *Handshake) SessionHooks() *TLSHooks {
	if h.hooks != nil && (h.hooks.Fetch != nil || h.hooks.Store != nil) {
		return h.hooks
	}
	return nil
}

// Done ends the handshake, with what tlsio.Conn.Handshake has returned. The state is complete then.
func (h *Handshake) Done(err error) {
	if err == nil {
		h.State.ConnectionState = h.io.State()
		h.State.ClientRandom, h.State.ServerRandom = h.io.Randoms()
	}
	h.over(err)
	h.io.Forget()
}

// DoneElsewhere ends a handshake that a QUIC stack has done.
func (h *Handshake) DoneElsewhere(st tls.ConnectionState) {
	h.State.ConnectionState = st
	h.over(nil)
}

func (h *Handshake) over(err error) {
	st := h.State
	if err == nil {
		st.Judge(h.TLS)
		if h.TLS.Status != nil && st.VerifyCode == 0 && len(st.PeerCertificates) > 0 {
			st.StatusText = h.TLS.Status(h)
		}
		if h.Server.Loc.Core.Logger().On(nlog.Debug) {
			for _, l := range tlsio.Describe(&st.ConnectionState) {
				h.Logf(nlog.Debug, "%s", l)
			}
		}
	}
	for _, k := range []*TLSHooks{h.hello, h.hooks} {
		if k != nil && k.Done != nil {
			k.Done(h, err == nil)
			break
		}
	}
}

// Eval evaluates a template as for a request to the handshake's server that has nothing but the connection.
func (h *Handshake) Eval(t *Template) string {
	r := h.Worker.newRequest()
	r.Conn, r.H, r.In = h.Conn, h.HTTP, &http1.Message{}
	r.Main = r
	r.Start, r.StartWall = h.Worker.Loop.Now(), h.Worker.Loop.Wall()
	r.begin()
	r.SetServer(h.Server)
	before := h.Conn.TLS
	h.Conn.TLS = h.State
	v := strings.Clone(t.EvalString(r))
	h.Conn.TLS = before
	h.Worker.freeRequest(r)
	return v
}

// Version is the version that will be agreed on, as far as that is known before.
func (h *Handshake) Version() uint16 {
	cfg := h.Config
	if cfg == nil {
		cfg = h.TLS.Config
	}
	best := uint16(0)
	for _, v := range h.Info.SupportedVersions {
		if v <= cfg.MaxVersion && v >= cfg.MinVersion {
			best = max(best, v)
		}
	}
	return best
}

// Logf writes a line about the handshake to the error log of its server.
func (h *Handshake) Logf(level nlog.Level, format string, args ...any) {
	if l := h.Server.Loc.Core.Logger(); l.On(level) {
		l.Logf(level, h.Conn, nil, format, args...)
	}
}

// lowerName is a name in lower case.
func lowerName(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'A' && b[i] <= 'Z' {
					b[i] |= 0x20
				}
			}
			return string(b)
		}
	}
	return s
}
