/*
 * cfun_tables.c: query strings and header lists to Lua tables and back, in one call each.
 *
 * Tables are sized as OpenResty sizes them, because the order of pairs() depends on it.
 */
#include "cfun.h"

#include <stdlib.h>
#include <string.h>

/* ---- tables whose repeated names become arrays ---- */

/* Names already in the table, as one bit each: most tables have no repeated name, and need no look-up to know it. */
static inline uint64_t name_bit(lua_State *L, int idx)
{
    uintptr_t a = (uintptr_t) lua_tolstring(L, idx, NULL);   /* strings are interned: the address is the name */

    return 1ull << ((a >> 5 ^ a >> 11 ^ a >> 17) & 63);
}

/* Takes the name and the value on top of the stack. */
static void add_pair(lua_State *L, int tab, uint64_t *seen)
{
    uint64_t bit = name_bit(L, -2);

    if (!(*seen & bit)) {
        *seen |= bit;
        lua_rawset(L, tab);
        return;
    }

    lua_pushvalue(L, -2);
    lua_rawget(L, tab);

    switch (lua_type(L, -1)) {
    case LUA_TNIL:
        lua_pop(L, 1);
        lua_rawset(L, tab);
        return;

    case LUA_TTABLE:                     /* name value array */
        lua_insert(L, -2);
        lua_rawseti(L, -2, (int) lua_objlen(L, -2) + 1);
        lua_pop(L, 2);
        return;

    default:                             /* name value first */
        lua_createtable(L, 2, 0);
        lua_insert(L, -3);
        lua_rawseti(L, -3, 1);
        lua_rawseti(L, -2, 2);
        lua_rawset(L, tab);
    }
}

/* ---- query strings ---- */

static void push_unescaped(lua_State *L, const char *p, size_t n)
{
    uint8_t  local[1024], *buf = local, *end;

    if (memchr(p, '%', n) == NULL && memchr(p, '+', n) == NULL) {
        lua_pushlstring(L, p, n);
        return;
    }

    if (n > sizeof(local)) {
        buf = malloc(n);
        if (buf == NULL) {
            luaL_error(L, "no memory");
            return;
        }
    }

    end = mg_unescape_uri(buf, (const uint8_t *) p, n);
    lua_pushlstring(L, (char *) buf, (size_t) (end - buf));

    if (buf != local) {
        free(buf);
    }
}

/* Stores the argument in p..end; returns 0 when its name is empty, which drops it. */
static int add_arg(lua_State *L, int tab, const char *p, const char *end, uint64_t *seen)
{
    const char *eq;

    if (p == end || *p == '=') {
        return 0;
    }

    eq = memchr(p, '=', (size_t) (end - p));
    if (eq == NULL) {
        push_unescaped(L, p, (size_t) (end - p));
        lua_pushboolean(L, 1);

    } else {
        push_unescaped(L, p, (size_t) (eq - p));
        push_unescaped(L, eq + 1, (size_t) (end - eq - 1));
    }

    add_pair(L, tab, seen);
    return 1;
}

static inline const char *arg_end(const char *p, const char *end)
{
    const char *amp = memchr(p, '&', (size_t) (end - p));

    return amp != NULL ? amp : end;
}

/*
 * The limit of get_uri_args is on what "&" separates when it comes to saying "truncated", and on named arguments
 * when it comes to stopping.
 */
static int count_args(const char *p, size_t n, int max, int *limit, int *named)
{
    const char *end = p + n;
    int         parts = 0, names = 0;

    while (p < end) {
        const char *e = arg_end(p, end);

        parts++;
        names += e != p && *p != '=';
        if (e + 1 == end) {
            parts++;                     /* what follows a last "&" counts, though empty */
        }
        p = e + 1;
    }

    if (max < 0) {
        max = MG_MAX_ARGS;
    }

    *limit = max > 0 && parts > max ? max : parts;
    *named = names < *limit ? names : *limit;

    return max > 0 && parts > max;
}

static void fill_args(lua_State *L, int tab, const char *p, size_t n, int limit)
{
    const char  *end = p + n;
    uint64_t     seen = 0;

    for (int added = 0; p < end && added < limit; ) {
        const char *e = arg_end(p, end);

        added += add_arg(L, tab, p, e, &seen);
        p = e + 1;
    }
}

int mg_fill_args(lua_State *L, int tab, const char *p, size_t n, int max)
{
    int limit, named, truncated = count_args(p, n, max, &limit, &named);

    luaL_checkstack(L, 6, NULL);
    fill_args(L, tab, p, n, limit);

    return truncated;
}

int mg_push_args(lua_State *L, const char *p, size_t n, int max)
{
    int limit, named, truncated = count_args(p, n, max, &limit, &named);

    luaL_checkstack(L, 6, NULL);
    lua_createtable(L, 0, named);
    fill_args(L, lua_gettop(L), p, n, limit);

    return truncated;
}

int mg_push_post_args(lua_State *L, const char *p, size_t n, int max)
{
    const char  *end = p + n;
    uint64_t     seen = 0;
    int          tab, count = 0;

    luaL_checkstack(L, 6, NULL);
    lua_createtable(L, 0, 4);
    tab = lua_gettop(L);

    while (p < end) {
        const char *e = arg_end(p, end);

        (void) add_arg(L, tab, p, e, &seen);

        /* here every "&" counts, and reaching the limit at one is truncation even when nothing follows */
        if (e < end && max > 0 && ++count == max) {
            return 1;
        }
        p = e + 1;
    }

    return 0;
}

/* ---- tables to query strings ---- */

typedef struct {
    uint8_t  *p;
    size_t    len, cap;
    int       args;          /* written so far: one may be empty */
    uint8_t   local[1024];
} out_buf;

static void out_free(out_buf *b)
{
    if (b->p != b->local) {
        free(b->p);
    }
}

static uint8_t *out_reserve(lua_State *L, out_buf *b, size_t n)
{
    if (b->cap - b->len < n) {
        size_t    cap = (b->len + n) * 2;
        uint8_t  *p = malloc(cap);

        if (p == NULL) {
            out_free(b);
            luaL_error(L, "no memory");
        }

        memcpy(p, b->p, b->len);
        out_free(b);
        b->p = p;
        b->cap = cap;
    }

    return b->p + b->len;
}

static void out_escaped(lua_State *L, out_buf *b, const char *s, size_t n)
{
    uint8_t *p = out_reserve(L, b, n * 3 + 1);

    b->len = (size_t) (mg_escape_uri(p, (const uint8_t *) s, n, MG_ESCAPE_URI_COMPONENT) - b->p);
}

/* Appends "name" or "name=value" for the value on top of the stack; false appends nothing. */
static void out_arg(lua_State *L, out_buf *b, const char *name, size_t nlen)
{
    int         type = lua_type(L, -1);
    const char *value = NULL;
    size_t      vlen = 0;

    if (type == LUA_TBOOLEAN) {
        if (!lua_toboolean(L, -1)) {
            return;
        }

    } else {
        value = lua_tolstring(L, -1, &vlen);
        if (value == NULL) {
            out_free(b);
            luaL_error(L, "attempt to use %s as query arg value", luaL_typename(L, -1));
            return;
        }
    }

    if (b->args++ > 0) {
        *out_reserve(L, b, 1) = '&';
        b->len++;
    }

    out_escaped(L, b, name, nlen);
    if (value != NULL) {
        b->p[b->len++] = '=';            /* reserved above */
        out_escaped(L, b, value, vlen);
    }
}

void mg_encode_args(lua_State *L, int t)
{
    out_buf b;

    if (t < 0) {
        t = lua_gettop(L) + t + 1;
    }

    b.p = b.local;
    b.len = 0;
    b.args = 0;
    b.cap = sizeof(b.local);
    luaL_checkstack(L, 6, NULL);

    lua_pushnil(L);
    while (lua_next(L, t) != 0) {
        const char *name;
        size_t      nlen;

        if (lua_type(L, -2) != LUA_TSTRING) {
            out_free(&b);
            luaL_error(L, "attempt to use a non-string key in the \"args\" option table");
            return;
        }

        name = lua_tolstring(L, -2, &nlen);

        if (lua_istable(L, -1)) {
            lua_pushnil(L);
            while (lua_next(L, -2) != 0) {
                out_arg(L, &b, name, nlen);
                lua_pop(L, 1);
            }

        } else {
            out_arg(L, &b, name, nlen);
        }

        lua_pop(L, 1);
    }

    lua_pushlstring(L, (char *) b.p, b.len);
    out_free(&b);
}

/*
 * Pushes the query string for argument arg of ngx.req.set_uri_args and its like: a table is encoded, a string is
 * escaped where it must be, a number is taken as it is, anything else is an argument error.
 */
static void check_args(lua_State *L, int arg)
{
    const uint8_t  *s;
    uint8_t        *p;
    size_t          len, escapes;

    switch (lua_type(L, arg)) {
    case LUA_TTABLE:
        mg_encode_args(L, arg);
        return;

    case LUA_TNUMBER:
        lua_pushvalue(L, arg);
        (void) lua_tolstring(L, -1, NULL);
        return;

    case LUA_TSTRING:
        s = (const uint8_t *) lua_tolstring(L, arg, &len);
        escapes = mg_escape_count(s, len, MG_ESCAPE_SET_URI_ARGS);
        if (escapes == 0) {
            lua_pushvalue(L, arg);
            return;
        }

        p = lua_newuserdata(L, len + 2 * escapes);
        mg_escape_uri(p, s, len, MG_ESCAPE_SET_URI_ARGS);
        lua_pushlstring(L, (char *) p, len + 2 * escapes);
        lua_remove(L, -2);
        return;

    default:
        luaL_argerror(L, arg, lua_pushfstring(L, "string, number, or table expected, but got %s",
                                              luaL_typename(L, arg)));
    }
}

/* ---- headers ---- */

static char headers_mt;                  /* its address is the registry key */

/*
 * In Lua, so that a look-up of a header which is not there, or is spelled otherwise, stays within a compiled trace.
 */
static const char headers_mt_code[] =
    "local lower, find, gsub, rawget = ...\n"
    "return {\n"
    "  __index = function(headers, name)\n"
    "    name = lower(name)\n"
    "    local value = rawget(headers, name)\n"
    "    if value == nil and find(name, '_', 1, true) then\n"
    "      value = rawget(headers, (gsub(name, '_', '-')))\n"
    "    end\n"
    "    return value\n"
    "  end\n"
    "}\n";

static void push_headers_mt(lua_State *L)
{
    static const char *const fields[] = {"lower", "find", "gsub"};

    lua_pushlightuserdata(L, &headers_mt);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (!lua_isnil(L, -1)) {
        return;
    }

    lua_pop(L, 1);
    luaL_checkstack(L, 10, NULL);

    if (luaL_loadbuffer(L, headers_mt_code, sizeof(headers_mt_code) - 1, "=headers") != 0) {
        lua_error(L);
    }

    /* from package.loaded: globals are the user's */
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_getfield(L, -1, "string");
    for (int i = 0; i < 3; i++) {
        lua_getfield(L, -1 - i, fields[i]);
    }
    lua_getfield(L, -5, "_G");
    lua_getfield(L, -1, "rawget");
    lua_replace(L, -2);                  /* chunk loaded string lower find gsub rawget */
    lua_remove(L, -6);
    lua_remove(L, -5);
    lua_call(L, 4, 1);

    lua_pushlightuserdata(L, &headers_mt);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

static void push_lower(lua_State *L, const char *p, size_t n)
{
    char    local[256], *buf = local;
    size_t  i = 0;

    while (i < n && (unsigned) (p[i] - 'A') > 25) {
        i++;
    }

    if (i == n) {
        lua_pushlstring(L, p, n);
        return;
    }

    if (n > sizeof(local)) {
        buf = malloc(n);
        if (buf == NULL) {
            luaL_error(L, "no memory");
            return;
        }
    }

    memcpy(buf, p, i);
    for ( ; i < n; i++) {
        buf[i] = (char) ((unsigned) (p[i] - 'A') > 25 ? p[i] : p[i] | 0x20);
    }

    lua_pushlstring(L, buf, n);
    if (buf != local) {
        free(buf);
    }
}

/* Returns the end of the entry at p, NULL when it does not fit. */
static const char *next_header(const char *p, const char *end, uint32_t *klen, uint32_t *vlen)
{
    if (end - p < 8) {
        return NULL;
    }

    memcpy(klen, p, 4);
    memcpy(vlen, p + 4, 4);
    p += 8;

    return (uint64_t) *klen + *vlen > (uint64_t) (end - p) ? NULL : p + *klen + *vlen;
}

int mg_push_headers(lua_State *L, const char *wire, size_t n, int max, int raw)
{
    const char  *p, *next, *end = wire + n;
    uint32_t     klen = 0, vlen = 0;
    uint64_t     seen = 0;
    int          count = 0, limit, tab;

    for (p = wire; (next = next_header(p, end, &klen, &vlen)) != NULL; p = next) {
        count++;
    }

    if (max < 0) {
        max = MG_MAX_ARGS;
    }
    limit = max > 0 && count > max ? max : count;

    luaL_checkstack(L, 10, NULL);
    lua_createtable(L, 0, limit);
    tab = lua_gettop(L);

    p = wire;
    for (int i = 0; i < limit; i++) {
        next = next_header(p, end, &klen, &vlen);
        p += 8;

        if (raw) {
            lua_pushlstring(L, p, klen);

        } else {
            push_lower(L, p, klen);
        }

        lua_pushlstring(L, p + klen, vlen);
        add_pair(L, tab, &seen);
        p = next;
    }

    if (!raw) {
        push_headers_mt(L);
        lua_setmetatable(L, tab);
    }

    return count > limit;
}

/* ---- the library mg.tables ---- */

/* uri_args(query, max, tab): the table, "truncated" when arguments were left out. */
static int tables_uri_args(lua_State *L)
{
    size_t       n;
    const char  *p = luaL_checklstring(L, 1, &n);
    int          max = luaL_optint(L, 2, -1), truncated;

    if (lua_istable(L, 3)) {
        lua_settop(L, 3);
        truncated = mg_fill_args(L, 3, p, n, max);

    } else {
        truncated = mg_push_args(L, p, n, max);
    }

    if (!truncated) {
        return 1;
    }
    lua_pushliteral(L, "truncated");
    return 2;
}

/* args_text(args): the query string of a table, string or number. */
static int tables_args_text(lua_State *L)
{
    lua_settop(L, 1);
    check_args(L, 1);
    return 1;
}

/* headers(wire, max, raw): the table, "truncated" when headers were left out. */
static int tables_headers(lua_State *L)
{
    size_t       n;
    const char  *p = luaL_checklstring(L, 1, &n);

    if (!mg_push_headers(L, p, n, luaL_optint(L, 2, -1), lua_toboolean(L, 3))) {
        return 1;
    }
    lua_pushliteral(L, "truncated");
    return 2;
}

int mg_open_tables(lua_State *L)
{
    static const luaL_Reg funcs[] = {
        {"uri_args", tables_uri_args},
        {"args_text", tables_args_text},
        {"headers", tables_headers},
        {NULL, NULL},
    };

    lua_createtable(L, 0, 3);
    luaL_register(L, NULL, funcs);
    return 1;
}
