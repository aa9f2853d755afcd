/* mg_wire.c: pushes values written by Go (mg_decode) and writes a Lua table for Go (mg_pack_table). */
#include "mg_wire.h"

#include <stdlib.h>
#include <string.h>

#include "cfun.h"
#include "mg_vm.h"
#include "mg_wire_api.h"

#define MG_MAX_DEPTH 100

typedef struct {
    const uint8_t *p, *end;
    mg_vm         *vm;
} mg_in;

static uint32_t mg_u32(mg_in *in)
{
    uint32_t v;

    memcpy(&v, in->p, 4);
    in->p += 4;
    return v;
}

static void mg_decode_value(lua_State *L, mg_in *in);

/* Appends the value at the top to what the key holds already (table at t): one value, or an array of them. */
static void mg_multi(lua_State *L, int t)
{
    lua_pushvalue(L, -2);
    lua_rawget(L, t);

    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_rawset(L, t);
        return;
    }

    if (lua_istable(L, -1)) { /* key value array */
        lua_insert(L, -2);
        lua_rawseti(L, -2, (int) lua_objlen(L, -2) + 1);
        lua_pop(L, 2);
        return;
    }

    lua_createtable(L, 4, 0); /* key value old array */
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 2);
    lua_rawset(L, t);
}

static void mg_decode_table(lua_State *L, mg_in *in)
{
    uint32_t narr = mg_u32(in), nrec = mg_u32(in);
    int      t, n = 0, multi;

    luaL_checkstack(L, 8, "table too deep");
    lua_createtable(L, (int) narr, (int) nrec);
    t = lua_gettop(L);

    for (;;) {
        switch (*in->p) {
        case MG_W_END:
            in->p++;
            return;

        case MG_W_KEY:
        case MG_W_MULTI:
            multi = *in->p++ == MG_W_MULTI;
            mg_decode_value(L, in);
            mg_decode_value(L, in);
            if (multi) {
                mg_multi(L, t);
            } else {
                lua_rawset(L, t);
            }
            break;

        default:
            mg_decode_value(L, in);
            lua_rawseti(L, t, ++n);
        }
    }
}

/* An object is a table whose first element owns the handle, as cosockets are tables in OpenResty. */
static void mg_decode_object(lua_State *L, mg_in *in)
{
    uint32_t  class = mg_u32(in), handle = mg_u32(in);
    uint32_t *ud;

    lua_createtable(L, 4, 0);
    ud = lua_newuserdata(L, 2 * sizeof(uint32_t));
    ud[0] = handle;
    ud[1] = class;
    lua_rawgeti(L, LUA_REGISTRYINDEX, in->vm->ref_classes);
    lua_rawgeti(L, -1, (int) class);
    lua_setmetatable(L, -4);
    lua_rawgeti(L, -1, -(int) class);
    lua_setmetatable(L, -3);
    lua_pop(L, 1);
    lua_rawseti(L, -2, 1);
}

static void mg_clear(lua_State *L, int t)
{
    lua_pushnil(L);
    while (lua_next(L, t) != 0) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, t);
    }
}

/* A table made in one go; a second value says that something did not fit the limit. */
static void mg_decode_bulk(lua_State *L, mg_in *in)
{
    int         kind = *in->p++, limit = (int) mg_u32(in), tab = (int) mg_u32(in), truncated = 0;
    uint32_t    n = mg_u32(in);
    const char *p = (const char *) in->p;

    in->p += n;

    switch (kind) {
    case MG_B_ARGS:
        truncated = mg_push_args(L, p, n, limit);
        break;
    case MG_B_POST_ARGS:
        truncated = mg_push_post_args(L, p, n, limit);
        break;
    case MG_B_FILL_ARGS:
        luaL_checkstack(L, 4, NULL);
        mg_clear(L, tab);
        truncated = mg_fill_args(L, tab, p, n, limit);
        lua_pushvalue(L, tab);
        break;
    case MG_B_HEADERS:
    case MG_B_RAW_HEADERS:
        truncated = mg_push_headers(L, p, n, limit, kind == MG_B_RAW_HEADERS);
        break;
    }

    if (truncated) {
        lua_pushliteral(L, "truncated");
    }
}

/* Takes over values of another coroutine. */
static void mg_decode_move(lua_State *L, mg_in *in)
{
    uint64_t from;
    int      n;

    memcpy(&from, in->p, 8);
    in->p += 8;
    n = (int) mg_u32(in);
    luaL_checkstack(L, n + 8, "too many results");
    lua_xmove((lua_State *) (uintptr_t) from, L, n);
}

static void mg_decode_value(lua_State *L, mg_in *in)
{
    double      d;
    int64_t     i;
    uint64_t    a;
    uint32_t    n;

    switch (*in->p++) {
    case MG_W_FALSE:
        lua_pushboolean(L, 0);
        return;
    case MG_W_TRUE:
        lua_pushboolean(L, 1);
        return;
    case MG_W_NUM:
        memcpy(&d, in->p, 8);
        in->p += 8;
        lua_pushnumber(L, d);
        return;
    case MG_W_INT:
        memcpy(&i, in->p, 8);
        in->p += 8;
        lua_pushnumber(L, (double) i);
        return;
    case MG_W_STR:
        n = mg_u32(in);
        lua_pushlstring(L, (const char *) in->p, n);
        in->p += n;
        return;
    case MG_W_TABLE:
        mg_decode_table(L, in);
        return;
    case MG_W_LIGHT:
        memcpy(&a, in->p, 8);
        in->p += 8;
        lua_pushlightuserdata(L, (void *) (uintptr_t) a);
        return;
    case MG_W_REF:
        lua_rawgeti(L, LUA_REGISTRYINDEX, (int) mg_u32(in));
        return;
    case MG_W_FUNC:
        lua_rawgeti(L, LUA_REGISTRYINDEX, in->vm->ref_funcs);
        lua_rawgeti(L, -1, (int) mg_u32(in) + 1);
        lua_remove(L, -2);
        return;
    case MG_W_OBJECT:
        mg_decode_object(L, in);
        return;
    case MG_W_ARG:
        lua_pushvalue(L, (int) mg_u32(in));
        return;
    case MG_W_BULK:
        mg_decode_bulk(L, in);
        return;
    case MG_W_MOVE:
        mg_decode_move(L, in);
        return;
    default:
        lua_pushnil(L);
    }
}

/* Pushes every value and returns their number. May raise a Lua error: call it inside a coroutine or protected. */
int mg_decode(lua_State *L, mg_vm *vm, const uint8_t *p, size_t len)
{
    mg_in in = {p, p + len, vm};
    int   top = lua_gettop(L), n = 0;

    while (in.p < in.end) {
        if (mg_unlikely((n & 7) == 7)) {
            luaL_checkstack(L, 12, "too many results");
        }
        mg_decode_value(L, &in);
        n++;
    }

    return lua_gettop(L) - top;
}

/* --- Lua to Go --- */

typedef struct {
    mg_vm     *vm;
    lua_State *L;
    int        max; /* how many values may still be written */
    int        rc;  /* MG_PACK_* */
} mg_packer;

static void mg_put(mg_packer *k, const void *p, size_t n)
{
    if (!mg_bytes_add(&k->vm->pack, p, n)) {
        k->rc = MG_PACK_MEMORY;
    }
}

static void mg_put_tag(mg_packer *k, uint8_t tag)
{
    mg_put(k, &tag, 1);
}

static void mg_pack_value(mg_packer *k, int idx, int depth);

static void mg_pack_pairs(mg_packer *k, int idx, int depth)
{
    lua_State *L = k->L;
    uint32_t   n[2] = {(uint32_t) lua_objlen(L, idx), 0};
    size_t     at;

    if (depth >= MG_MAX_DEPTH || !lua_checkstack(L, 4)) {
        k->rc = MG_PACK_DEPTH;
        return;
    }

    mg_put_tag(k, MG_W_TABLE);
    mg_put(k, n, 8);
    at = k->vm->pack.len;

    lua_pushnil(L);
    while (k->rc == 0 && lua_next(L, idx) != 0) {
        int top = lua_gettop(L);

        mg_put_tag(k, MG_W_KEY);
        mg_pack_value(k, top - 1, depth + 1);
        mg_pack_value(k, top, depth + 1);
        lua_pop(L, 1);
    }

    mg_put_tag(k, MG_W_END);

    if (k->rc == 0) {
        n[1] = (uint32_t) (k->vm->pack.len - at);
        memcpy(k->vm->pack.p + at - 4, &n[1], 4);
    }
}

static void mg_pack_value(mg_packer *k, int idx, int depth)
{
    lua_State  *L = k->L;
    int         type = lua_type(L, idx);
    uint8_t     t;
    double      d;
    size_t      n;
    uint32_t    n32;
    uint64_t    a;
    const char *s;

    if (k->max-- <= 0) {
        k->rc = MG_PACK_SIZE;
        return;
    }

    switch (type) {
    case LUA_TNIL:
        mg_put_tag(k, MG_W_NIL);
        return;
    case LUA_TBOOLEAN:
        mg_put_tag(k, lua_toboolean(L, idx) ? MG_W_TRUE : MG_W_FALSE);
        return;
    case LUA_TNUMBER:
        d = lua_tonumber(L, idx);
        mg_put_tag(k, MG_W_NUM);
        mg_put(k, &d, 8);
        return;
    case LUA_TSTRING:
        s = lua_tolstring(L, idx, &n);
        n32 = (uint32_t) n;
        mg_put_tag(k, MG_W_STR);
        mg_put(k, &n32, 4);
        mg_put(k, s, n);
        return;
    case LUA_TLIGHTUSERDATA:
        a = (uint64_t) (uintptr_t) lua_touserdata(L, idx);
        mg_put_tag(k, MG_W_LIGHT);
        mg_put(k, &a, 8);
        return;
    case LUA_TTABLE:
        mg_pack_pairs(k, idx, depth);
        return;
    default:
        t = (uint8_t) type;
        mg_put_tag(k, MG_W_OPAQUE);
        mg_put(k, &t, 1);
    }
}

/* Runs on the main state, which errors may unwind safely: the value to pack is at its top. */
int mg_pack_protected(lua_State *main)
{
    mg_packer *k = mg_vm_of(main)->job;

    k->L = main;
    mg_pack_value(k, lua_gettop(main), 0);
    return 0;
}

/* Writes the value at idx of L to vm->pack. Called by Go. */
int mg_pack_table(mg_vm *vm, lua_State *L, int idx, int max)
{
    mg_packer k = {vm, NULL, max, 0};

    vm->pack.len = 0;
    vm->job = &k;
    lua_pushvalue(vm->L, MG_SLOT_PACK);
    lua_pushvalue(L, idx);
    lua_xmove(L, vm->L, 1);

    vm->strayed = 1;
    if (lua_pcall(vm->L, 1, 0, 0) != 0) {
        lua_pop(vm->L, 1);
        k.rc = MG_PACK_MEMORY;
    }

    return k.rc;
}
