package luahost

import (
	"crypto/x509"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
)

// ProxyTLS is what Lua knows of a handshake with an upstream server, while its hooks run.
type ProxyTLS struct {
	Version uint16
	// Choice is what the code has chosen to show the server; it belongs to the package of ngx.ssl.
	Choice any
	// Leaf is the server's certificate, VerifyCode OpenSSL's number of what is wrong with it.
	Leaf       *x509.Certificate
	VerifyCode int
}

// RunHook runs code for a request in the midst of its content handler; it may wait. It returns the code of ngx.exit, 500
// after an error, which it logs.
func RunHook(r *engine.Request, code *lua.Code, phase lua.Phase) int {
	x := Of(r)
	chunk, _ := x.load(code)
	if chunk == nil {
		return 500
	}
	x.SetLogLevel(logLevel(r))
	exited, exitCode := x.Exited, x.ExitCode
	x.Exited, x.ExitCode = false, 0
	res := chunk.Run(&x.Context, phase)
	ended := x.ExitCode
	x.Exited, x.ExitCode = exited, exitCode
	if res.Status == lua.Failed {
		r.Logf(nlog.Error, "%s", res.Err.Error())
		return 500
	}
	return ended
}
