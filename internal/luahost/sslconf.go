package luahost

import (
	"moongate/internal/conf"
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
}
