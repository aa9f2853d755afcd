/* mg_out.c: turns arguments into bytes as ngx.say and ngx.print do. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mg_vm.h"

static int mg_put_int(mg_bytes *b, int32_t v)
{
    char     tmp[12], *p = tmp + sizeof(tmp);
    uint32_t u = v < 0 ? 0u - (uint32_t) v : (uint32_t) v;

    do {
        *--p = (char) ('0' + u % 10);
        u /= 10;
    } while (u != 0);

    if (v < 0) {
        *--p = '-';
    }

    return mg_bytes_add(b, p, (size_t) (tmp + sizeof(tmp) - p));
}

/* Fourteen significant digits, as LuaJIT prints numbers. */
static int mg_put_num(mg_bytes *b, double d)
{
    char tmp[32];

    if (d >= -2147483648.0 && d <= 2147483647.0 && d == (double) (int32_t) d) {
        return mg_put_int(b, (int32_t) d);
    }

    return mg_bytes_add(b, tmp, (size_t) snprintf(tmp, sizeof(tmp), "%.14g", d));
}

/* The highest positive integer key, -1 when there is another kind of key. */
static int mg_array_len(lua_State *L, int idx)
{
    double k, max = 0;

    lua_pushnil(L);

    while (lua_next(L, idx) != 0) {
        if (lua_type(L, -2) != LUA_TNUMBER || (k = lua_tonumber(L, -2)) < 1 || floor(k) != k) {
            lua_pop(L, 2);
            return -1;
        }

        if (k > max) {
            max = k;
        }

        lua_pop(L, 1);
    }

    return max > 2147483647.0 ? -1 : (int) max;
}

enum { MG_NESTED = 1, MG_PAYLOAD = 2 }; /* where mg_put_value is: inside a table; in what a socket sends */

static int mg_put_value(lua_State *L, int idx, int mode, mg_bytes *b, char *why, size_t cap);

static int mg_put_array(lua_State *L, int idx, int mode, mg_bytes *b, char *why, size_t cap)
{
    int n, ok = 1;

    if (!lua_checkstack(L, 4)) {
        snprintf(why, cap, "table too deep");
        return 0;
    }

    n = mg_array_len(L, idx);

    if (n < 0) {
        snprintf(why, cap, "non-array table found");
        return 0;
    }

    for (int i = 1; ok && i <= n; i++) {
        lua_rawgeti(L, idx, i);
        ok = mg_put_value(L, lua_gettop(L), mode | MG_NESTED, b, why, cap);
        lua_pop(L, 1);
    }

    return ok;
}

static int mg_put_value(lua_State *L, int idx, int mode, mg_bytes *b, char *why, size_t cap)
{
    const char *s;
    size_t      n;
    int         type = lua_type(L, idx);

    switch (type) {
    case LUA_TSTRING:
        s = lua_tolstring(L, idx, &n);
        return mg_bytes_add(b, s, n);
    case LUA_TNUMBER:
        return mg_put_num(b, lua_tonumber(L, idx));
    case LUA_TTABLE:
        return mg_put_array(L, idx, mode, b, why, cap);
    }

    if (mode != (MG_PAYLOAD | MG_NESTED)) { /* sockets send these by themselves only */
        switch (type) {
        case LUA_TNIL:
            return mg_bytes_add(b, "nil", 3);
        case LUA_TBOOLEAN:
            return lua_toboolean(L, idx) ? mg_bytes_add(b, "true", 4) : mg_bytes_add(b, "false", 5);
        case LUA_TLIGHTUSERDATA:
            if (!(mode & MG_PAYLOAD)) {
                return mg_bytes_add(b, "null", 4);
            }
        }
    }

    if (mode & MG_NESTED) {
        snprintf(why, cap, "bad data type %s found", luaL_typename(L, idx));
    } else if (mode & MG_PAYLOAD) {
        snprintf(why, cap, "string, number, boolean, nil, or array table expected, got %s", luaL_typename(L, idx));
    } else {
        snprintf(why, cap, "string, number, boolean, nil, ngx.null, or array table expected, but got %s",
                 luaL_typename(L, idx));
    }

    return 0;
}

/* Appends what a socket sends for a value: 1, or 0 with the reason. */
int mg_payload(lua_State *L, int idx, mg_bytes *b, char *why, size_t cap)
{
    snprintf(why, cap, "not enough memory");
    return mg_put_value(L, idx, MG_PAYLOAD, b, why, cap);
}

/* Appends n values of the stack. Returns 0, or the index of the value which cannot be printed, with the reason. */
int mg_concat(lua_State *L, int first, int n, mg_bytes *b, char *why, size_t cap)
{
    snprintf(why, cap, "not enough memory");

    for (int i = first; i < first + n; i++) {
        if (mg_unlikely(!mg_put_value(L, i, 0, b, why, cap))) {
            return i;
        }
    }

    return 0;
}

/*
 * Makes arguments fit for the log: tables become what their __tostring gives. Returns 0, or the number of the bad one
 * counted from first, with the reason. May raise what __tostring raises.
 */
int mg_log_args(lua_State *L, int first, char *why, size_t cap)
{
    int n = lua_gettop(L);

    for (int i = first; i <= n; i++) {
        switch (lua_type(L, i)) {
        case LUA_TNUMBER:
        case LUA_TSTRING:
        case LUA_TNIL:
        case LUA_TBOOLEAN:
        case LUA_TLIGHTUSERDATA:
            continue;

        case LUA_TTABLE:
            if (!luaL_callmeta(L, i, "__tostring")) {
                snprintf(why, cap, "expected table to have __tostring metamethod");
                return i - first + 1;
            }
            if (!lua_isstring(L, -1)) {
                lua_pushliteral(L, "");
                lua_replace(L, -2);
            }
            lua_tostring(L, -1);
            lua_replace(L, i);
            continue;
        }

        snprintf(why, cap, "string, number, boolean, or nil expected, got %s", luaL_typename(L, i));
        return i - first + 1;
    }

    return 0;
}

/* "[lua] file.lua:12: name(): ", the place which logs: the function at level 1. */
int mg_log_prefix(lua_State *L, mg_bytes *b)
{
    lua_Debug   ar;
    const char *src, *p;

    if (!lua_getstack(L, 1, &ar) || !lua_getinfo(L, "Snl", &ar)) {
        return mg_bytes_add(b, "[lua] ", 6);
    }

    for (src = p = ar.short_src; *p != '\0'; p++) {
        if (*p == '/' || *p == '\\') {
            src = p + 1;
        }
    }

    mg_bytes_add(b, "[lua] ", 6);
    mg_bytes_add(b, src, (size_t) (p - src));
    mg_bytes_add(b, ":", 1);
    mg_put_int(b, ar.currentline > 0 ? ar.currentline : ar.linedefined);

    if (*ar.namewhat != '\0' && *ar.what == 'L') {
        mg_bytes_add(b, ": ", 2);
        mg_bytes_add(b, ar.name, strlen(ar.name));
        mg_bytes_add(b, "()", 2);
    }

    return mg_bytes_add(b, ": ", 2);
}
