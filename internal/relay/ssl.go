package relay

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"strconv"
	"strings"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/tlsio"
)

// SSL is what a location says of TLS to servers. SSLRows makes its directives; CompleteSSL reads the files.
type SSL struct {
	SessionReuse, ServerName, Verify conf.Opt[bool]
	VerifyDepth                      conf.Opt[int]
	Protocols                        conf.Opt[uint32]
	Ciphers, Trusted, CRL, KeyLog    conf.Opt[string]
	Name, Certificate, Key           conf.Opt[*engine.Template]
	Passwords                        conf.Opt[[][]byte]
	Cache                            conf.Opt[*tlsio.PairCache]

	commands []conf.Pair
	settings *settings
	full     func(string) string // of names of files
}

// settings is what the handshakes of all locations that say the same have in common.
type settings struct {
	id     string
	serial uint64 // unlike id, of all configurations
	config *tls.Config
	verify *tlsio.Verifier // nil: any certificate will do
}

// SSLRows makes the directives of TLS to servers, for protocols that speak it.
func SSLRows[T any](prefix string, l *conf.Level[T], of func(*T) *Conf) []conf.Directive {
	flag := func(f func(*SSL) *conf.Opt[bool]) conf.Setter {
		return conf.Slot(l, conf.Flag, func(t *T) *conf.Opt[bool] { return f(&of(t).SSL) })
	}
	file := func(f func(*SSL) *conf.Opt[string]) conf.Setter {
		return conf.Slot(l, conf.ConfPath, func(t *T) *conf.Opt[string] { return f(&of(t).SSL) })
	}
	text := func(f func(*SSL) *conf.Opt[*engine.Template]) conf.Setter {
		return conf.Slot(l, engine.TemplateType(), func(t *T) *conf.Opt[*engine.Template] { return f(&of(t).SSL) })
	}
	confs[prefix] = func(s *conf.Scope) *Conf { return of(l.Of(s)) }
	return []conf.Directive{
		{Name: prefix + "ssl_certificate", In: anywhere, Syntax: "file", Set: text(func(s *SSL) *conf.Opt[*engine.Template] { return &s.Certificate }),
			Doc: "The certificate, in PEM, that a server is shown when it asks for one. The name may have variables; an empty one stands for no certificate."},
		{Name: prefix + "ssl_certificate_key", In: anywhere, Syntax: "file", Set: text(func(s *SSL) *conf.Opt[*engine.Template] { return &s.Key }),
			Doc: "The secret key of the certificate, in PEM. The name may have variables."},
		{Name: prefix + "ssl_certificate_cache", In: anywhere, Default: "off", Set: conf.Slot(l, PairCacheType(prefix), func(t *T) *conf.Opt[*tlsio.PairCache] { return &of(t).SSL.Cache }),
			Doc: "How many certificates whose names have variables are kept, for how long unused, and after how long the files are looked at again."},
		{Name: prefix + "ssl_password_file", In: anywhere, Set: conf.Slot(l, passwordFile, func(t *T) *conf.Opt[[][]byte] { return &of(t).SSL.Passwords }),
			Doc: "Passwords of secret keys, one a line; they are tried in turn."},
		{Name: prefix + "ssl_ciphers", In: anywhere, Default: "DEFAULT", Syntax: "ciphers", Set: conf.Slot(l, conf.Str, func(t *T) *conf.Opt[string] { return &of(t).SSL.Ciphers }),
			Doc: "The cipher suites of TLS 1.2 and below, as OpenSSL names them; with a word for a group of suites they are Go's own choice."},
		{Name: prefix + "ssl_protocols", In: anywhere, Default: "TLSv1.2 TLSv1.3", Set: conf.Slot(l, conf.Bits(tlsio.Protocols...), func(t *T) *conf.Opt[uint32] { return &of(t).SSL.Protocols }),
			Doc: "The versions of TLS. SSLv2 and SSLv3 are accepted and never spoken."},
		{Name: prefix + "ssl_conf_command", In: anywhere, Syntax: "name value", Args: conf.Take2, Set: conf.List(l, func(c *conf.Cmd) (conf.Pair, error) { return conf.Pair{Key: c.Args[0], Value: c.Args[1]}, nil }, func(t *T) *[]conf.Pair { return &of(t).SSL.commands }),
			Doc: "A configuration command of OpenSSL's, as far as there is something to command here: versions, suites, curves, certificates."},
		{Name: prefix + "ssl_crl", In: anywhere, Set: file(func(s *SSL) *conf.Opt[string] { return &s.CRL }),
			Doc: "Lists of revoked certificates, in PEM, for the verification of servers."},
		{Name: prefix + "ssl_key_log", In: anywhere, Set: file(func(s *SSL) *conf.Opt[string] { return &s.KeyLog }),
			Doc: "A file that the secrets of connections to servers are written to, for analysers."},
		{Name: prefix + "ssl_name", In: anywhere, Syntax: "name", Set: text(func(s *SSL) *conf.Opt[*engine.Template] { return &s.Name }),
			Doc: "The name that a server's certificate must have, and that it is asked for by SNI, in place of the host that requests are passed to."},
		{Name: prefix + "ssl_server_name", In: anywhere, Default: "off", Set: flag(func(s *SSL) *conf.Opt[bool] { return &s.ServerName }),
			Doc: "Whether a server is told the name that it is wanted by (SNI)."},
		{Name: prefix + "ssl_session_reuse", In: anywhere, Default: "on", Set: flag(func(s *SSL) *conf.Opt[bool] { return &s.SessionReuse }),
			Doc: "Whether TLS sessions with servers are resumed."},
		{Name: prefix + "ssl_trusted_certificate", In: anywhere, Set: file(func(s *SSL) *conf.Opt[string] { return &s.Trusted }),
			Doc: "Trusted issuers of servers' certificates, in PEM."},
		{Name: prefix + "ssl_verify", In: anywhere, Default: "off", Set: flag(func(s *SSL) *conf.Opt[bool] { return &s.Verify }),
			Doc: "Whether the chain and the name of a server's certificate are verified."},
		{Name: prefix + "ssl_verify_depth", In: anywhere, Default: "1", Set: conf.Slot(l, conf.Number, func(t *T) *conf.Opt[int] { return &of(t).SSL.VerifyDepth }),
			Doc: "How many certificates may stand between a server's and a trusted one."},
	}
}

var passwordFile = conf.NewType("file", conf.Take1, func(c *conf.Cmd) ([][]byte, error) {
	name := c.Config().FullConfName(c.Args[0])
	text, err := c.Config().ReadFile(name)
	if err != nil {
		return nil, c.Errorf("open() \"%s\" failed %s", name, conf.SysError(err))
	}
	return tlsio.Passwords(text), nil
})

// PairCacheType is the type of the directive PREFIXssl_certificate_cache: it reads "off" or "max=N [inactive=time] [valid=time]".
func PairCacheType(prefix string) conf.Type[*tlsio.PairCache] {
	return conf.NewType("off | max=N [inactive=time] [valid=time]", conf.Take123, func(c *conf.Cmd) (*tlsio.PairCache, error) {
		pc := &tlsio.PairCache{Inactive: tlsio.CacheInactive, Valid: tlsio.CacheValid}
		for _, a := range c.Args {
			key, val, _ := strings.Cut(a, "=")
			ok := true
			switch key {
			case "off":
				if len(c.Args) > 1 || a != "off" {
					return nil, c.InvalidParameter(a)
				}
				return nil, nil
			case "max":
				n, err := strconv.Atoi(val)
				pc.Max, ok = n, err == nil && n > 0
			case "inactive":
				pc.Inactive, ok = units.Sec(val)
			case "valid":
				pc.Valid, ok = units.Sec(val)
			default:
				ok = false
			}
			if !ok {
				return nil, c.InvalidParameter(a)
			}
		}
		if pc.Max == 0 {
			return nil, c.Errorf("\"%sssl_certificate_cache\" must have the \"max\" parameter", prefix)
		}
		return pc, nil
	})
}

type settingsKey struct{}

// CompleteSSL reads the files of a merged Conf; protocols call it from their OnMerge for locations that speak TLS.
func (c *Conf) CompleteSSL(prefix string, s *conf.Scope) error {
	h := engine.FromConfig(s.Config())
	all, _ := h.Values[settingsKey{}].(map[string]*settings)
	if all == nil {
		all = map[string]*settings{}
		h.Values[settingsKey{}] = all
	}
	l := &c.SSL
	l.full = s.Config().FullConfName
	files := tlsio.Files{Full: l.full, Read: s.Config().ReadFile}
	key := l.text()
	if l.settings = all[key]; l.settings != nil {
		return nil
	}
	st := &settings{id: strconv.Itoa(len(all)), serial: serials.Add(1)}
	if err := l.build(prefix, files, st); err != nil {
		return &conf.Error{Level: "emerg", Msg: err.Error()}
	}
	all[key] = st
	l.settings = st
	return nil
}

// text is all that settings are made of.
func (l *SSL) text() string {
	return fmt.Sprintf("%v %v %v %x %q %q %q %q %q %q %q %q", l.SessionReuse.V, l.Verify.V, l.VerifyDepth.V, l.Protocols.V, l.Ciphers.V, l.Trusted.V, l.CRL.V, l.KeyLog.V,
		source(l.Certificate.V), source(l.Key.V), bytes.Join(l.Passwords.V, []byte{'\n'}), l.commands)
}

func source(t *engine.Template) string {
	if t == nil {
		return ""
	}
	return t.Text
}

func (l *SSL) build(prefix string, files tlsio.Files, st *settings) error {
	// Certificates are verified after the handshake, as nginx does and in OpenSSL's words.
	tc := &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true}
	st.config = tc
	tc.MinVersion, tc.MaxVersion = tlsio.Versions(l.Protocols.V)
	var ok bool
	if tc.CipherSuites, ok = tlsio.Suites(l.Ciphers.V); !ok {
		return fmt.Errorf("SSL_CTX_set_cipher_list(\"%s\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)", l.Ciphers.V)
	}
	var list [][2]string
	for _, p := range l.commands {
		list = append(list, [2]string{p.Key, p.Value})
	}
	said, err := tlsio.Commands(tc, list)
	if err != nil {
		return err
	}
	if cert, key := l.Certificate.V, l.Key.V; cert != nil && cert.Text != "" {
		if key == nil {
			return fmt.Errorf("no \"%sssl_certificate_key\" is defined for certificate \"%s\"", prefix, cert.Text)
		}
		if cert.IsLiteral() && key.IsLiteral() {
			pair, err := tlsio.LoadPair(files, cert.Text, key.Text, l.Passwords.V)
			if err != nil {
				return err
			}
			show(tc, &pair)
		}
	}
	if said.Certificate != "" && said.PrivateKey != "" {
		pair, err := tlsio.LoadPair(files, said.Certificate, said.PrivateKey, l.Passwords.V)
		if err != nil {
			return err
		}
		show(tc, &pair)
	}
	if l.Verify.V {
		if l.Trusted.V == "" {
			return fmt.Errorf("no %sssl_trusted_certificate for %sssl_verify", prefix, prefix)
		}
		st.verify = &tlsio.Verifier{Depth: l.VerifyDepth.V, Server: true}
		if err := st.verify.TrustFile(files, l.Trusted.V, nil); err != nil {
			return err
		}
		if l.CRL.V != "" {
			if err := st.verify.RevokedFile(files, l.CRL.V); err != nil {
				return err
			}
		}
	}
	if name := l.KeyLog.V; name != "" {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("open() \"%s\" failed %s", name, conf.SysError(err))
		}
		tc.KeyLogWriter = f
	}
	return nil
}

// show makes a pair the one that a server sees, whatever issuers it asks for: OpenSSL does not look at these.
func show(tc *tls.Config, pair *tls.Certificate) {
	tc.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
}
