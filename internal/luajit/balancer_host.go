package luajit

/*
#include <stdint.h>
*/
import "C"

// UpstreamTLS says whether the try whose server is being chosen speaks TLS: what libraries call by FFI with OpenResty's name
// ngx_http_lua_ffi_balancer_set_upstream_tls. The host is that of the VM which runs, r what the library took for the request.
// It gives the text of an error. Nil until somebody offers it.
var UpstreamTLS func(h Host, r uintptr, on bool) (problem string)

//export mg_go_upstream_tls
func mg_go_upstream_tls(slot C.int32_t, r C.uintptr_t, on C.int) (problem *C.char) {
	defer func() {
		if recover() != nil {
			problem = problemText("failed")
		}
	}()
	all := *vms.all.Load()
	if UpstreamTLS == nil || slot < 0 || int(slot) >= len(all) || all[slot] == nil {
		return problemText("no upstream found")
	}
	if text := UpstreamTLS(all[slot].host, uintptr(r), on != 0); text != "" {
		return problemText(text)
	}
	return nil
}
