package relay

import (
	"fmt"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/upstream"
)

// The lines that nginx's keepalive module and the Lua module write at the debug level about idle connections: tools read
// them. Nothing here runs unless that level is on.

// pointer is a connection's identity as nginx prints addresses; zeros for none.
func pointer(c *upstream.Conn) string {
	if c == nil {
		return "0000000000000000"
	}
	var at uint64
	fmt.Sscanf(fmt.Sprintf("%p", c), "0x%x", &at)
	return fmt.Sprintf("%016X", at)
}

// keptAs is the name that a Chooser's connection is kept under.
func (x *Exchange) keptAs() string {
	if x.Peer.Host == "" && x.SSL != nil {
		return x.tlsName
	}
	return x.Peer.Host
}

// traceTake tells what the idle connections had, c or nothing.
func (x *Exchange) traceTake(l *upstream.Idle, c *upstream.Conn) {
	switch chosen := l == &x.bal.Chosen; {
	case chosen && c != nil:
		x.R.Logf(nlog.Debug, "lua balancer: keepalive reusing connection %s, host: %s, name: %s", pointer(c), x.peer, x.keptAs())
	case chosen:
		x.R.Logf(nlog.Debug, "lua balancer: keepalive no free connection, host: %s, name: %s", x.peer, x.keptAs())
	case c != nil:
		x.R.Logf(nlog.Debug, "get keepalive peer: using connection %s", pointer(c))
	}
}

// tracePut tells what has become of a connection that was to be kept.
func (x *Exchange) tracePut(l *upstream.Idle, c *upstream.Conn, kept bool) {
	switch chosen := l == &x.bal.Chosen; {
	case chosen && kept:
		x.R.Logf(nlog.Debug, "lua balancer: keepalive saving connection %s, host: %s, name: %s", pointer(c), x.peer, x.keptAs())
	case chosen:
		x.R.Logf(nlog.Debug, "lua balancer: keepalive not saving connection %s", pointer(c))
	case kept:
		x.R.Logf(nlog.Debug, "free keepalive peer: saving connection %s", pointer(c))
	}
}

// traceUnkept tells, once, that the connection of this try is not kept though a Chooser wanted it to be.
func (x *Exchange) traceUnkept() {
	if x.ownPeer && x.Peer.Keep && !x.Multiplexed && x.R.Logger.On(nlog.Debug) {
		x.R.Logf(nlog.Debug, "lua balancer: keepalive not saving connection %s", pointer(x.conn))
	}
	x.Peer.Keep = false
}

// traceClosed tells of Choosers' connections that end while they are idle.
func traceClosed(w *engine.Worker) func(c *upstream.Conn) {
	return func(c *upstream.Conn) {
		if log := w.Plane.Params().Log; log.On(nlog.Debug) {
			log.Logf(nlog.Debug, nil, nil, "lua balancer: keepalive closing connection %s", pointer(c))
		}
	}
}
