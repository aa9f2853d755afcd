package luahost

import (
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
)

// CountForTrim counts a request for lua_malloc_trim: each time that many are over, memory that C libraries have freed
// goes back to the system.
func CountForTrim(r *engine.Request) {
	every := MainOf(r.H).MallocTrim.V
	w := WorkerOf(r.W, r.H)
	if w.served++; w.served < every {
		return
	}
	w.served = 0
	trimmed := 0
	if lua.TrimMalloc() {
		trimmed = 1
	}
	r.Logf(nlog.Debug, "malloc_trim(1) returned %d", trimmed)
}
