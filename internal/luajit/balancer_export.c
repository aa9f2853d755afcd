/*
 * balancer_export.c: what Lua libraries take of OpenResty's balancer by ffi.cdef: the name, arguments and results are its.
 * The work is done in Go.
 */
#include <stdint.h>

#include "_cgo_export.h"

#include "mg_vm.h"

enum { NGX_OK = 0, NGX_ERROR = -1 };

int ngx_http_lua_ffi_balancer_set_upstream_tls(void *r, int on, char **err)
{
    char *problem = mg_go_upstream_tls(mg_running_slot(), (uintptr_t) r, on);

    if (problem == NULL) {
        return NGX_OK;
    }

    if (err != NULL) {
        *err = problem;
    }

    return NGX_ERROR;
}
