/*
 * mg_ffi.c: what ffi.C finds besides the program itself. nginx is linked with OpenSSL, so libraries written for
 * OpenResty take libcrypto's and libssl's names from ffi.C (lua-resty-string, lua-resty-openssl). Those are loaded into
 * the process when Lua first asks for "ffi": a process whose Lua does without pays nothing, and a machine without
 * OpenSSL lacks only these names.
 */
#include "mg_state.h"

#include <dlfcn.h>
#include <pthread.h>

static void mg_ffi_load_first(const char *const *names)
{
    for (; *names != NULL; names++) {
        if (dlopen(*names, RTLD_LAZY | RTLD_GLOBAL) != NULL) {
            return;
        }
    }
}

static void mg_ffi_load(void)
{
    static const char *const crypto[] = { "libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so", NULL };
    static const char *const ssl[] = { "libssl.so.3", "libssl.so.1.1", "libssl.so", NULL };

    mg_ffi_load_first(crypto);
    mg_ffi_load_first(ssl);
}

/* The types that resty.core.base declares; libraries use them in declarations of their own. */
static const char mg_ffi_types[] =
    "typedef struct ngx_http_request_s ngx_http_request_t;"
    "typedef struct { size_t len; const unsigned char *data; } ngx_str_t;"
    "typedef struct { int len; const unsigned char *data; } ngx_http_lua_ffi_str_t;";

/* mg_open_ffi takes the place of luaopen_ffi in package.preload. */
int mg_open_ffi(lua_State *L)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, mg_ffi_load);
    luaopen_ffi(L);

    lua_getfield(L, -1, "cdef");
    lua_pushlstring(L, mg_ffi_types, sizeof(mg_ffi_types) - 1);
    lua_call(L, 1, 0);

    return 1;
}
