package lua

// Phase is where a handler runs; a set of phases is a PhaseMask. The values are those which ngx._phase_ctx reports.
type Phase uint32

// PhaseMask is a set of phases.
type PhaseMask uint32

// The phases, named as their directives.
const (
	PhaseSet             Phase = 0x00001
	PhaseRewrite         Phase = 0x00002
	PhaseAccess          Phase = 0x00004
	PhaseContent         Phase = 0x00008
	PhaseLog             Phase = 0x00010
	PhaseHeaderFilter    Phase = 0x00020
	PhaseBodyFilter      Phase = 0x00040
	PhaseTimer           Phase = 0x00080
	PhaseInitWorker      Phase = 0x00100
	PhaseBalancer        Phase = 0x00200
	PhaseSSLCert         Phase = 0x00400
	PhaseSSLSessionStore Phase = 0x00800
	PhaseSSLSessionFetch Phase = 0x01000
	PhaseExitWorker      Phase = 0x02000
	PhaseSSLClientHello  Phase = 0x04000
	PhaseServerRewrite   Phase = 0x08000
	PhaseProxySSLVerify  Phase = 0x10000
	PhasePrecontent      Phase = 0x20000
	PhaseProxySSLCert    Phase = 0x40000
	PhaseInit            Phase = 0x80000
)

// Sets which declarations use.
const (
	// Anywhere is every phase, init included.
	Anywhere PhaseMask = 0xfffff
	// WithRequest is every phase but init.
	WithRequest = Anywhere &^ PhaseMask(PhaseInit)
	// Yieldable are the phases which may wait.
	Yieldable = PhaseMask(PhaseRewrite | PhaseServerRewrite | PhaseAccess | PhasePrecontent | PhaseContent | PhaseTimer |
		PhaseProxySSLCert | PhaseProxySSLVerify | PhaseSSLClientHello | PhaseSSLCert | PhaseSSLSessionFetch)
	// Handlers are the phases which may produce the answer.
	Handlers = PhaseMask(PhaseRewrite | PhaseServerRewrite | PhaseAccess | PhasePrecontent | PhaseContent)

	// Free are the phases which may wait with Options.Unlimited.
	Free = Anywhere
	// FreeRequest are those of them which handle a request.
	FreeRequest = Handlers | PhaseMask(PhaseSet|PhaseHeaderFilter|PhaseBodyFilter|PhaseLog|PhaseBalancer)

	// In these OpenResty leaves coroutines to Lua itself.
	plainCoroutines = PhaseMask(PhaseInit | PhaseHeaderFilter | PhaseBodyFilter)
	// In these global variables are meant to be made.
	globalsAllowed = PhaseMask(PhaseInit | PhaseInitWorker)
)

var phases = []struct {
	phase       Phase
	name, short string
}{
	{PhaseSet, "set_by_lua*", "set"},
	{PhaseRewrite, "rewrite_by_lua*", "rewrite"},
	{PhaseAccess, "access_by_lua*", "access"},
	{PhaseContent, "content_by_lua*", "content"},
	{PhaseLog, "log_by_lua*", "log"},
	{PhaseHeaderFilter, "header_filter_by_lua*", "header_filter"},
	{PhaseBodyFilter, "body_filter_by_lua*", "body_filter"},
	{PhaseTimer, "ngx.timer", "timer"},
	{PhaseInitWorker, "init_worker_by_lua*", "init_worker"},
	{PhaseBalancer, "balancer_by_lua*", "balancer"},
	{PhaseSSLCert, "ssl_certificate_by_lua*", "ssl_cert"},
	{PhaseSSLSessionStore, "ssl_session_store_by_lua*", "ssl_session_store"},
	{PhaseSSLSessionFetch, "ssl_session_fetch_by_lua*", "ssl_session_fetch"},
	{PhaseExitWorker, "exit_worker_by_lua*", "exit_worker"},
	{PhaseSSLClientHello, "ssl_client_hello_by_lua*", "ssl_client_hello"},
	{PhaseServerRewrite, "server_rewrite_by_lua*", "server_rewrite"},
	{PhaseProxySSLVerify, "proxy_ssl_verify_by_lua*", "proxy_ssl_verify"},
	{PhasePrecontent, "precontent_by_lua*", "precontent"},
	{PhaseProxySSLCert, "proxy_ssl_certificate_by_lua*", "proxy_ssl_cert"},
	{PhaseInit, "init_by_lua*", "init"},
}

// String is the name error texts use: "content_by_lua*".
func (p Phase) String() string {
	for _, e := range phases {
		if e.phase == p {
			return e.name
		}
	}
	return "(unknown)"
}

// Short is the name ngx.get_phase returns: "content".
func (p Phase) Short() string {
	for _, e := range phases {
		if e.phase == p {
			return e.short
		}
	}
	return ""
}

// Has says whether the set holds p.
func (m PhaseMask) Has(p Phase) bool { return m&PhaseMask(p) != 0 }

func phaseNames() []string {
	names := make([]string, len(phases))
	for i, e := range phases {
		names[i] = e.name
	}
	return names
}
