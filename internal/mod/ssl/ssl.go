// Package ssl is TLS of servers (ssl_*): it reads the directives and the files, makes what handshakes go by
// (engine.TLSConf) and gives the $ssl_* variables. The handshakes themselves are those of the connections' drivers.
package ssl

import (
	"strings"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/relay"
	"moongate/internal/tlsio"
)

type config struct {
	certificates, keys            []fileName
	pairs                         conf.Opt[*tlsio.PairCache]
	watch                         conf.Opt[time.Duration]
	commands                      [][2]string
	passwords                     conf.Opt[[][]byte]
	ticketKeys                    []*ticketKey
	cache                         conf.Opt[cacheConf]
	protocols                     conf.Opt[uint32]
	ciphers, curves               conf.Opt[string]
	verify                        conf.Opt[engine.ClientVerify]
	depth                         conf.Opt[int]
	clientCertificate, trusted    conf.Opt[string]
	crl, dhparam, staplingFile    conf.Opt[string]
	keyLog                        conf.Opt[string]
	stapling, tickets, reject     conf.Opt[bool]
	preferServer, early, compress conf.Opt[bool]
	staplingVerify                conf.Opt[bool]
	staplingResponder             conf.Opt[string]
	ocsp                          conf.Opt[int]
	ocspResponder                 conf.Opt[string]
	ocspCache                     conf.Opt[*answers]
	bufferSize                    conf.Opt[int64]
	timeout                       conf.Opt[time.Duration]
}

var srv = conf.NewLevel[config](conf.KindServer)

const httpSrv = conf.HTTP | conf.Server

// Module is TLS of servers.
var Module = engine.Module{Module: conf.Module{Name: "http_ssl", Directives: rows}, Vars: vars, Setup: setup}

var rows = []conf.Directive{
	{Name: "ssl_certificate", In: httpSrv, Args: conf.Take1, Syntax: "file", Set: conf.List(srv, readName, func(c *config) *[]fileName { return &c.certificates }),
		Doc: "A file with the server's certificate and those of its issuers, in PEM, or `data:` and the PEM text. It may be given once for each kind of key: RSA, ECDSA. The name may have variables."},
	{Name: "ssl_certificate_key", In: httpSrv, Args: conf.Take1, Syntax: "file", Set: conf.List(srv, readName, func(c *config) *[]fileName { return &c.keys }),
		Doc: "The secret key of the certificate at the same place of the list of certificates, in PEM."},
	{Name: "ssl_certificate_cache", In: httpSrv, Default: "off", Set: conf.Slot(srv, relay.PairCacheType(""), func(c *config) *conf.Opt[*tlsio.PairCache] { return &c.pairs }),
		Doc: "How many certificates whose names have variables are kept, for how long unused, and after how long the files are looked at again."},
	{Name: "ssl_certificate_watch", In: httpSrv, Default: "off", Set: conf.Slot(srv, watchTime, func(c *config) *conf.Opt[time.Duration] { return &c.watch }),
		Doc: "How often the files of certificates and keys are looked at: what has changed serves new handshakes without a reload. What cannot be read, or does not fit together, is logged, and what was there before serves on. Files that only root may read are opened by the supervisor, if nobody but root can write in the folders they are in. Not of nginx."},
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
	{Name: "ssl_stapling", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.stapling }), Doc: "Sends an OCSP response along with the certificate: of ssl_stapling_file, or of the responder that the certificate or ssl_stapling_responder names, fetched when it is first needed."},
	{Name: "ssl_stapling_file", In: httpSrv, Set: conf.Slot(srv, conf.ConfPath, func(c *config) *conf.Opt[string] { return &c.staplingFile }), Doc: "An OCSP response in DER."},
	{Name: "ssl_stapling_responder", In: httpSrv, Set: conf.Slot(srv, conf.Str, func(c *config) *conf.Opt[string] { return &c.staplingResponder }), Syntax: "url", Doc: "The URL of the OCSP responder, in place of the one that the certificate names."},
	{Name: "ssl_stapling_verify", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.staplingVerify }), Doc: "Whether a response of a responder must be signed by the issuer of the certificate, or by whom that has entitled."},
	{Name: "ssl_ocsp", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Enum(conf.Case("off", ocspOff), conf.Case("on", ocspAll), conf.Case("leaf", ocspLeaf)), func(c *config) *conf.Opt[int] { return &c.ocsp }),
		Doc: "Asks OCSP responders about the certificates of clients, or only about the first of each chain."},
	{Name: "ssl_ocsp_responder", In: httpSrv, Syntax: "url", Set: conf.Slot(srv, conf.Str, func(c *config) *conf.Opt[string] { return &c.ocspResponder }), Doc: "The URL of the OCSP responder for clients' certificates, in place of those that they name."},
	{Name: "ssl_ocsp_cache", In: httpSrv, Default: "off", Set: conf.Slot(srv, ocspCache, func(c *config) *conf.Opt[*answers] { return &c.ocspCache }), Doc: "Keeps what responders have said of clients' certificates, as long as it is valid."},
	{Name: "ssl_key_log", In: httpSrv, Syntax: "path", Set: conf.Slot(srv, conf.ConfPath, func(c *config) *conf.Opt[string] { return &c.keyLog }), Doc: "A file that the secrets of connections are written to, for analysers. Not of nginx's free edition."},
	{Name: "ssl_early_data", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.early }), Doc: "Accepted for compatibility: early data is refused, and the client sends it again."},
	{Name: "ssl_conf_command", In: httpSrv, Args: conf.Take2, Syntax: "name value", Set: conf.List(srv, func(c *conf.Cmd) ([2]string, error) { return [2]string{c.Args[0], c.Args[1]}, nil }, func(c *config) *[][2]string { return &c.commands }),
		Doc: "A configuration command of OpenSSL: those about versions, suites, curves, certificates and tickets are carried out, others are passed over."},
	{Name: "ssl_reject_handshake", In: httpSrv, Default: "off", Set: conf.Slot(srv, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.reject }), Doc: "Refuses every handshake with the server, by the alert unrecognized_name."},
}

// fileName is the name of a file as it is, since the words of errors show it so, or, with variables, what it is made of.
type fileName struct {
	text string
	vars *engine.Template
}

func readName(c *conf.Cmd) (n fileName, err error) {
	n.text = c.Args[0]
	if strings.Contains(n.text, "$") && !strings.HasPrefix(n.text, "data:") {
		n.vars, err = engine.CompileArg(c, n.text)
		if n.vars != nil && n.vars.IsLiteral() {
			n.vars = nil
		}
	}
	return n, err
}

// watchTime is off, which is 0, or a time.
var watchTime = conf.NewType("off | time", conf.Take1, func(c *conf.Cmd) (time.Duration, error) {
	if c.Args[0] == "off" {
		return 0, nil
	}
	return conf.Msec.Parse(c)
})

var passwordType = conf.NewType("file", conf.Take1, func(c *conf.Cmd) ([][]byte, error) {
	name := c.Config().FullConfName(c.Args[0])
	text, err := c.Config().ReadFile(name)
	if err != nil {
		return nil, c.Errorf("open() \"%s\" failed %s", name, conf.SysError(err))
	}
	return tlsio.Passwords(text), nil
})
