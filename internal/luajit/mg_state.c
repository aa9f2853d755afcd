/* mg_state.c: a Lua state with the standard libraries and the built-in C libraries, and protected execution. */
#include "mg_state.h"

#include <string.h>

static int mg_state_init(lua_State *L)
{
    luaL_openlibs(L);

    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");

    for (const mg_cfunc *f = mg_cfuncs; f->name != NULL; f++) {
        lua_pushcfunction(L, f->open);
        lua_setfield(L, -2, f->name);
    }
    lua_pushcfunction(L, mg_open_ffi);
    lua_setfield(L, -2, "ffi");

    return 0;
}

/* mg_state_new returns NULL when memory is short. */
lua_State *mg_state_new(void)
{
    lua_State *L = luaL_newstate();

    if (L == NULL) {
        return NULL;
    }

    if (lua_cpcall(L, mg_state_init, NULL) != 0) {
        lua_close(L);
        return NULL;
    }

    return L;
}

static int mg_state_traceback(lua_State *L)
{
    const char *msg = lua_tostring(L, 1);

    if (msg == NULL) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_isstring(L, -1)) {
            msg = lua_tostring(L, -1);

        } else {
            msg = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
        }
    }

    luaL_traceback(L, L, msg, 1);
    return 1;
}

/* Leaves one string on the stack: the first result (or the error and its traceback when the return is not 0). */
int mg_state_do(lua_State *L, const char *code, size_t len, const char *chunk)
{
    int rc;

    lua_settop(L, 0);
    lua_pushcfunction(L, mg_state_traceback);

    rc = luaL_loadbuffer(L, code, len, chunk);
    if (rc == 0) {
        rc = lua_pcall(L, 0, 1, 1);
    }

    if (rc == 0 && !lua_isstring(L, -1)) {
        lua_getglobal(L, "tostring");
        lua_insert(L, -2);
        rc = lua_pcall(L, 1, 1, 1);
    }

    return rc;
}
