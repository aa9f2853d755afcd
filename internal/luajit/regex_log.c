/* regex_log.c: carries the log lines of ngx.re to Go; ud is the number of a cgo.Handle. */
#include "regex_log.h"
#include "_cgo_export.h"

static void mg_re_go_log(void *ud, int level, const char *msg, size_t len)
{
    mgRegexLog((uintptr_t) ud, level, (char *) msg, len);
}

void mg_re_set_go_log(lua_State *L, uintptr_t handle, int max_level)
{
    mg_re_set_log(L, handle != 0 ? mg_re_go_log : NULL, (void *) handle, max_level);
}
