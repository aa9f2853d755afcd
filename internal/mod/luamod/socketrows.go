package luamod

import (
	"time"

	"moongate/internal/conf"
	"moongate/internal/luahost"
)

func timeRow(name, doc string, f func(*luahost.Conf) *conf.Opt[time.Duration]) conf.Directive {
	return conf.Directive{Name: name, In: anyIf, Default: "60s", Set: conf.Slot(luahost.Level, conf.Msec, f), Doc: doc}
}

const sslSide = conf.HTTP | conf.Server | conf.Location

func sslStr(name, doc string, typ conf.Type[string], def string, f func(*luahost.SSLConf) *conf.Opt[string]) conf.Directive {
	return conf.Directive{Name: name, In: sslSide, Default: def, Doc: doc,
		Set: conf.Slot(luahost.Level, typ, func(c *luahost.Conf) *conf.Opt[string] { return f(&c.SSL) })}
}

// paths adds a file name each time the directive stands in a block.
func paths(f func(*luahost.SSLConf) *conf.Opt[[]string]) conf.Setter {
	return conf.Func(func(c *conf.Cmd) error {
		o := f(&luahost.Level.Of(c.Scope).SSL)
		*o = conf.Some(append(o.V, c.Config().FullConfName(c.Args[0])))
		return nil
	})
}

// socketRows are the directives of cosockets.
var socketRows = []conf.Directive{
	timeRow("lua_socket_connect_timeout", "How long a socket may take to connect, unless settimeout says otherwise.", func(c *luahost.Conf) *conf.Opt[time.Duration] { return &c.ConnectTimeout }),
	timeRow("lua_socket_send_timeout", "How long a socket waits until the peer takes more, unless settimeout says otherwise.", func(c *luahost.Conf) *conf.Opt[time.Duration] { return &c.SendTimeout }),
	timeRow("lua_socket_read_timeout", "How long a socket waits for the next bytes, unless settimeout says otherwise.", func(c *luahost.Conf) *conf.Opt[time.Duration] { return &c.ReadTimeout }),
	timeRow("lua_socket_keepalive_timeout", "How long a connection stays idle in a pool, unless setkeepalive says otherwise.", func(c *luahost.Conf) *conf.Opt[time.Duration] { return &c.KeepaliveTimeout }),
	{Name: "lua_socket_send_lowat", In: anyIf, Default: "0", Set: conf.Slot(luahost.Level, conf.Size, func(c *luahost.Conf) *conf.Opt[int64] { return &c.SendLowat }),
		Doc: "Accepted for compatibility: Linux has no low-water mark for sending."},
	{Name: "lua_socket_buffer_size", In: anyIf, Default: "4k", Set: conf.Slot(luahost.Level, conf.Size, func(c *luahost.Conf) *conf.Opt[int64] { return &c.BufferSize }),
		Doc: "How much a socket reads ahead at once."},
	{Name: "lua_socket_pool_size", In: anyIf, Default: "30", Set: conf.Slot(luahost.Level, conf.Number, func(c *luahost.Conf) *conf.Opt[int] { return &c.PoolSize }),
		Doc: "The number of idle connections a pool keeps, unless setkeepalive or connect say otherwise."},
	flagRow("lua_socket_log_errors", anyIf, "on", "Whether failures of sockets are logged.", func(c *luahost.Conf) *conf.Opt[bool] { return &c.LogSocketErrors }),

	{Name: "lua_ssl_protocols", In: sslSide, Default: "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3",
		Set: conf.Slot(luahost.Level, conf.Bits("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"), func(c *luahost.Conf) *conf.Opt[uint32] { return &c.SSL.Protocols }),
		Doc: "The TLS versions of sslhandshake. SSLv2 and SSLv3 are accepted and never spoken."},
	sslStr("lua_ssl_ciphers", "The cipher suites of sslhandshake, as OpenSSL names them.", conf.Str, "DEFAULT", func(c *luahost.SSLConf) *conf.Opt[string] { return &c.Ciphers }),
	sslStr("lua_ssl_trusted_certificate", "The certificates that sslhandshake trusts, in PEM.", conf.ConfPath, "", func(c *luahost.SSLConf) *conf.Opt[string] { return &c.Trusted }),
	sslStr("lua_ssl_crl", "Revoked certificates, in PEM.", conf.ConfPath, "", func(c *luahost.SSLConf) *conf.Opt[string] { return &c.CRL }),
	sslStr("lua_ssl_key_log", "A file that the secrets of connections are written to, for analysers.", conf.ConfPath, "", func(c *luahost.SSLConf) *conf.Opt[string] { return &c.KeyLog }),
	{Name: "lua_ssl_verify_depth", In: sslSide, Default: "1", Set: conf.Slot(luahost.Level, conf.Number, func(c *luahost.Conf) *conf.Opt[int] { return &c.SSL.VerifyDepth }),
		Doc: "The number of intermediate certificates a verified chain may have."},
	{Name: "lua_ssl_certificate", Syntax: "file", In: sslSide, Args: conf.Take1, Set: paths(func(c *luahost.SSLConf) *conf.Opt[[]string] { return &c.Certificates }),
		Doc: "The certificate that sslhandshake shows the server; may be repeated."},
	{Name: "lua_ssl_certificate_key", Syntax: "file", In: sslSide, Args: conf.Take1, Set: paths(func(c *luahost.SSLConf) *conf.Opt[[]string] { return &c.Keys }),
		Doc: "The key of lua_ssl_certificate."},
	{Name: "lua_ssl_conf_command", Syntax: "name value", In: sslSide, Args: conf.Take2, Set: conf.Func(func(c *conf.Cmd) error {
		o := &luahost.Level.Of(c.Scope).SSL.Commands
		*o = conf.Some(append(o.V, conf.Pair{Key: c.Args[0], Value: c.Args[1]}))
		return nil
	}), Doc: "A configuration command of OpenSSL for sslhandshake: those about versions, suites, curves and certificates are carried out, others are passed over."},
}
