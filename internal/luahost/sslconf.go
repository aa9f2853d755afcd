package luahost

import (
	"crypto"
	"crypto/tls"
	"fmt"
	"os"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/tlsio"
)

// SSLConf is what the lua_ssl_* directives say.
type SSLConf struct {
	Protocols    conf.Opt[uint32]
	Ciphers      conf.Opt[string]
	Trusted, CRL conf.Opt[string]
	VerifyDepth  conf.Opt[int]
	KeyLog       conf.Opt[string]
	Certificates conf.Opt[[]string]
	Keys         conf.Opt[[]string]
	Commands     conf.Opt[[]conf.Pair]

	*SSLFiles
}

// SSLFiles is what the files hold; all locations that name the same ones share it.
type SSLFiles struct {
	Verifier *tlsio.Verifier // of servers
	Trusting bool            // lua_ssl_trusted_certificate is there
	Own      []tls.Certificate
	Secrets  *os.File
}

type sslFilesKey struct{}

// load reads the files. Its errors are whole sentences of nginx's.
func (c *SSLConf) load(cfg *conf.Config) error {
	h := engine.FromConfig(cfg)
	all, _ := h.Values[sslFilesKey{}].(map[string]*SSLFiles)
	if all == nil {
		all = map[string]*SSLFiles{}
		h.Values[sslFilesKey{}] = all
	}
	key := fmt.Sprintf("%q %q %d %q %q %q %q", c.Trusted.V, c.CRL.V, c.VerifyDepth.V, c.Certificates.V, c.Keys.V, c.KeyLog.V, c.Commands.V)
	if c.SSLFiles = all[key]; c.SSLFiles != nil {
		return nil
	}
	f, err := c.files(tlsio.Files{Full: cfg.FullConfName, Read: cfg.ReadFile})
	if err != nil {
		return &conf.Error{Level: "emerg", Msg: err.Error()}
	}
	all[key], c.SSLFiles = f, f
	return nil
}

func (c *SSLConf) files(f tlsio.Files) (*SSLFiles, error) {
	var list [][2]string
	for _, p := range c.Commands.V {
		list = append(list, [2]string{p.Key, p.Value})
	}
	said, err := tlsio.Commands(&tls.Config{}, list)
	if err != nil {
		return nil, err
	}
	certs, keys := c.Certificates.V, c.Keys.V
	if said.Certificate != "" && said.PrivateKey != "" {
		certs, keys = []string{f.Full(said.Certificate)}, []string{f.Full(said.PrivateKey)}
	}
	out := &SSLFiles{Verifier: &tlsio.Verifier{Depth: c.VerifyDepth.V, Server: true}}
	if name := c.Trusted.V; name != "" {
		out.Trusting = true
		if err := out.Verifier.TrustFile(f, name, nil); err != nil {
			return nil, err
		}
	}
	if name := c.CRL.V; name != "" {
		if err := out.Verifier.RevokedFile(f, name); err != nil {
			return nil, err
		}
	}
	if len(certs) > len(keys) {
		return nil, fmt.Errorf("no \"lua_ssl_certificate_key\" is defined for certificate \"%s\"", certs[len(keys)])
	}
	for i, name := range certs {
		pair, err := tlsio.LoadPair(f, name, keys[i], nil)
		if err != nil {
			return nil, err
		}
		pair.PrivateKey = tlsio.FastKey(pair.PrivateKey.(crypto.Signer))
		out.Own = append(out.Own, pair)
	}
	if name := c.KeyLog.V; name != "" {
		log, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open() \"%s\" failed %s", name, conf.SysError(err))
		}
		out.Secrets = log
	}
	return out, nil
}
