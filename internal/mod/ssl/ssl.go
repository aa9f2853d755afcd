// Package ssl is TLS of servers (ssl_*): it reads the directives and the files, makes what handshakes go by
// (engine.TLSConf) and gives the $ssl_* variables. The handshakes themselves are those of the connections' drivers.
package ssl

import (
	"os"
	"strconv"
	"strings"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/tlsio"
)

type config struct {
	certificates, keys             []string // as in the text
	commands                       [][2]string
	passwords                      conf.Opt[[][]byte]
	ticketKeys                     []*ticketKey
	cache                          conf.Opt[cacheConf]
	protocols                      conf.Opt[uint32]
	ciphers, curves                conf.Opt[string]
	verify                         conf.Opt[engine.ClientVerify]
	depth                          conf.Opt[int]
	clientCertificate, trusted     conf.Opt[string]
	crl, dhparam, staplingFile     conf.Opt[string]
	stapling, tickets, reject      conf.Opt[bool]
	preferServer, early, compress  conf.Opt[bool]
	staplingVerify                 conf.Opt[bool]
	staplingResponder, ocspAddress conf.Opt[string]
	ocsp                           conf.Opt[string]
	bufferSize                     conf.Opt[int64]
	timeout                        conf.Opt[time.Duration]
}

var srv = conf.NewLevel[config](conf.KindServer)

const httpSrv = conf.HTTP | conf.Server

// Module is TLS of servers.
var Module = engine.Module{Module: conf.Module{Name: "http_ssl", Directives: rows}, Vars: vars, Setup: setup}

var rows = []conf.Directive{
	{Name: "ssl_certificate", In: httpSrv, Args: conf.Take1, Syntax: "file", Set: conf.List(srv, readName, func(c *config) *[]string { return &c.certificates }),
		Doc: "A file with the server's certificate and those of its issuers, in PEM, or `data:` and the PEM text. It may be given once for each kind of key: RSA, ECDSA."},
	{Name: "ssl_certificate_key", In: httpSrv, Args: conf.Take1, Syntax: "file", Set: conf.List(srv, readName, func(c *config) *[]string { return &c.keys }),
		Doc: "The secret key of the certificate at the same place of the list of certificates, in PEM."},
	{Name: "ssl_certificate_cache", In: httpSrv, Args: conf.Take123, Syntax: "off | max=N [inactive=time] [valid=time]", Default: "off", Set: conf.Func(certificateCache),
		Doc: "Accepted for compatibility: certificates are read when the configuration is."},
	{Name: "ssl_certificate_compression", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.compress }), Doc: "Accepted for compatibility: certificates are sent as they are."},
	{Name: "ssl_password_file", In: httpSrv, Set: conf.Slot(srv, passwordType, func(c *config) *conf.Opt[[][]byte] { return &c.passwords }),
		Doc: "Passwords of secret keys, one a line; they are tried in turn."},
	{Name: "ssl_dhparam", In: httpSrv, Set: conf.Slot(srv, conf.ConfPath, func(c *config) *conf.Opt[string] { return &c.dhparam }), Doc: "Accepted for compatibility: keys are agreed on by elliptic curves only."},
	{Name: "ssl_ecdh_curve", In: httpSrv, Default: "auto", Set: conf.Slot(srv, conf.Str, func(c *config) *conf.Opt[string] { return &c.curves }), Doc: "The curves of key agreement, separated by colons: X25519MLKEM768, X25519, prime256v1, secp384r1, secp521r1."},
	{Name: "ssl_protocols", In: httpSrv, Default: "TLSv1.2 TLSv1.3", Set: conf.Slot(srv, conf.Bits(tlsio.Protocols...), func(c *config) *conf.Opt[uint32] { return &c.protocols }),
		Doc: "The versions of TLS. SSLv2 and SSLv3 are accepted and never spoken."},
	{Name: "ssl_ciphers", In: httpSrv, Default: "HIGH:!aNULL:!MD5", Set: conf.Slot(srv, conf.Str, func(c *config) *conf.Opt[string] { return &c.ciphers }),
		Doc: "The cipher suites of TLS 1.2 and below, as OpenSSL names them; with a word for a group of suites they are Go's own choice."},
	{Name: "ssl_prefer_server_ciphers", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.preferServer }), Doc: "Accepted for compatibility: the best suite for both sides' hardware is taken."},
	{Name: "ssl_buffer_size", In: httpSrv, Default: "16k", Set: conf.Slot(srv, conf.Size, func(c *config) *conf.Opt[int64] { return &c.bufferSize }), Doc: "How much of a response is encrypted as one record."},
	{Name: "ssl_verify_client", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Enum(conf.Case("off", engine.VerifyOff), conf.Case("on", engine.VerifyOn), conf.Case("optional", engine.VerifyOptional), conf.Case("optional_no_ca", engine.VerifyOptionalNoCA)),
		func(c *config) *conf.Opt[engine.ClientVerify] { return &c.verify }), Doc: "Asks clients for a certificate: `on` refuses without a good one, `optional` refuses a bad one, `optional_no_ca` lets one pass whose issuer is not known."},
	{Name: "ssl_verify_depth", In: httpSrv, Default: "1", Set: conf.Slot(srv, conf.Number, func(c *config) *conf.Opt[int] { return &c.depth }), Doc: "How many certificates may stand between a client's and a trusted one."},
	{Name: "ssl_client_certificate", In: httpSrv, Set: conf.Slot(srv, conf.ConfPath, func(c *config) *conf.Opt[string] { return &c.clientCertificate }), Doc: "Trusted issuers of clients' certificates, in PEM. Clients are told their names."},
	{Name: "ssl_trusted_certificate", In: httpSrv, Set: conf.Slot(srv, conf.ConfPath, func(c *config) *conf.Opt[string] { return &c.trusted }), Doc: "More trusted issuers, in PEM, that clients are not told of."},
	{Name: "ssl_crl", In: httpSrv, Set: conf.Slot(srv, conf.ConfPath, func(c *config) *conf.Opt[string] { return &c.crl }), Doc: "Lists of revoked certificates, in PEM."},
	{Name: "ssl_session_cache", In: httpSrv, Default: "none", Set: conf.Slot(srv, sessionCache, func(c *config) *conf.Opt[cacheConf] { return &c.cache }),
		Doc: "Where sessions are kept for clients when ssl_session_tickets is off: `shared` by name, for all servers that say so, or `builtin`, for one server; a size of 1m is room for some 4000. With tickets the client keeps its session."},
	{Name: "ssl_session_tickets", In: httpSrv, Default: "on", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.tickets }), Doc: "Whether clients keep their sessions, encrypted. The keys change as often as ssl_session_timeout says, and outlive reloads."},
	{Name: "ssl_session_ticket_key", In: httpSrv, Args: conf.Take1, Syntax: "file", Set: conf.List(srv, readTicketKey, func(c *config) *[]*ticketKey { return &c.ticketKeys }),
		Doc: "A file of 48 or 80 random bytes that tickets are encrypted with, so that several machines understand them. The first file encrypts, the others decrypt."},
	{Name: "ssl_session_timeout", In: httpSrv, Default: "5m", Set: conf.Slot(srv, conf.Sec, func(c *config) *conf.Opt[time.Duration] { return &c.timeout }), Doc: "How long a session can be resumed."},
	{Name: "ssl_stapling", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.stapling }), Doc: "Sends the OCSP response of ssl_stapling_file along with the certificate."},
	{Name: "ssl_stapling_file", In: httpSrv, Set: conf.Slot(srv, conf.ConfPath, func(c *config) *conf.Opt[string] { return &c.staplingFile }), Doc: "An OCSP response in DER."},
	{Name: "ssl_stapling_responder", In: httpSrv, Set: conf.Slot(srv, conf.Str, func(c *config) *conf.Opt[string] { return &c.staplingResponder }), Doc: "Accepted for compatibility: responses come from ssl_stapling_file."},
	{Name: "ssl_stapling_verify", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.staplingVerify }), Doc: "Accepted for compatibility: clients verify."},
	{Name: "ssl_early_data", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.early }), Doc: "Accepted for compatibility: early data is refused, and the client sends it again."},
	{Name: "ssl_conf_command", In: httpSrv, Args: conf.Take2, Syntax: "name value", Set: conf.List(srv, func(c *conf.Cmd) ([2]string, error) { return [2]string{c.Args[0], c.Args[1]}, nil }, func(c *config) *[][2]string { return &c.commands }),
		Doc: "A configuration command of OpenSSL: those about versions, suites, curves, certificates and tickets are carried out, others are passed over."},
	{Name: "ssl_reject_handshake", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.reject }), Doc: "Refuses every handshake with the server, by the alert unrecognized_name."},
}

// readName takes the name of a file as it is: the words of errors show it so.
func readName(c *conf.Cmd) (string, error) {
	if strings.Contains(c.Args[0], "$") {
		return "", c.Errorf("variables in \"ssl_certificate\" and \"ssl_certificate_key\" directives are not supported on this platform")
	}
	return c.Args[0], nil
}

func certificateCache(c *conf.Cmd) error {
	most := false
	for _, a := range c.Args {
		key, val, _ := strings.Cut(a, "=")
		ok := true
		switch key {
		case "off":
			if len(c.Args) > 1 || a != "off" {
				return c.InvalidParameter(a)
			}
			return nil
		case "max":
			n, err := strconv.Atoi(val)
			ok = err == nil && n > 0
			most = true
		case "inactive", "valid":
			_, ok = units.Sec(val)
		default:
			ok = false
		}
		if !ok {
			return c.InvalidParameter(a)
		}
	}
	if !most {
		return c.Errorf("\"ssl_certificate_cache\" must have the \"max\" parameter")
	}
	return nil
}

var passwordType = conf.NewType("file", conf.Take1, func(c *conf.Cmd) ([][]byte, error) {
	name := c.Config().FullConfName(c.Args[0])
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, c.Errorf("open() \"%s\" failed %s", name, conf.SysError(err))
	}
	return tlsio.Passwords(text), nil
})
