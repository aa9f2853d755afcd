package grpcclient

import (
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/relay"
)

// secureAs makes the channel one of TLS by the grpc_ssl_... directives of the location that the call is in.
func (ch *channel) secureAs(c *lua.Call, host string) error {
	cfg, key, err := relay.ClientTLS("grpc_", luahost.ScopeOf(c), host)
	if err != nil {
		return err
	}
	cfg.NextProtos = []string{"h2"}
	ch.tls, ch.key = cfg, "location:"+key+":"
	return nil
}
