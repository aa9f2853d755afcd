package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/tlsio"
)

// confs finds what a location says of a protocol, by the prefix of its directives; filled when the modules are made.
var confs = map[string]func(*conf.Scope) *Conf{}

// CompleteClient reads the files that the PREFIXssl_... directives of a location name, for ClientTLS. It is called once all
// is merged. Names must not have variables.
func CompleteClient(prefix string, s *conf.Scope) error {
	of := confs[prefix]
	if of == nil {
		return nil
	}
	c := of(s)
	for _, t := range []*engine.Template{c.SSL.Name.V, c.SSL.Certificate.V, c.SSL.Key.V} {
		if t != nil && !t.IsLiteral() {
			return s.Errorf("\"%s\": no variables are possible here", t.Text)
		}
	}
	return c.CompleteSSL(prefix, s)
}

// ClientTLS makes the settings of connections to a server that is called host, as the PREFIXssl_... directives of a
// location have them, and a key that no others have. CompleteClient was called for the location.
func ClientTLS(prefix string, s *conf.Scope, host string) (cfg *tls.Config, key string, err error) {
	of := confs[prefix]
	if of == nil || of(s).SSL.settings == nil {
		return nil, "", errors.New("the location says nothing of TLS")
	}
	l := &of(s).SSL
	if l.Name.V != nil {
		host = l.Name.V.Text
	}
	host = withoutPort(host)
	st := l.settings
	cfg = st.config.Clone()
	if l.ServerName.V && sendsName(host) {
		cfg.ServerName = strings.Clone(host)
	}
	if v := st.verify; v != nil {
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			if code, text := v.Check(cs.PeerCertificates); code != 0 {
				return fmt.Errorf("upstream SSL certificate verify error: (%d:%s)", code, text)
			}
			if !tlsio.HasName(cs.PeerCertificates[0], host) {
				return fmt.Errorf("upstream SSL certificate does not match \"%s\"", host)
			}
			return nil
		}
	}
	return cfg, fmt.Sprintf("%d %t %s", st.serial, l.ServerName.V, host), nil
}

var serials atomic.Uint64

// withoutPort cuts the port off a host.
func withoutPort(name string) string {
	from := 0
	if strings.HasPrefix(name, "[") {
		from = max(strings.IndexByte(name, ']'), 0)
	}
	if i := strings.IndexByte(name[from:], ':'); i >= 0 {
		name = name[:from+i]
	}
	return name
}
