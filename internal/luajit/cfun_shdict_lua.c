/*
 * cfun_shdict_lua.c: ngx.shared.NAME for Lua. A dictionary's table holds a userdata with its address at index 1; the
 * methods are in a metatable whose __index is itself. Upvalue 1 of every method is the mg_vm.
 */
#include <stdlib.h>
#include <string.h>

#include "cfun_shdict.h"
#include "mg_vm.h"

enum { ON_STACK = 4096, KEEP = 1 << 20 };

/* Room for long values, kept between calls. Taken out while in use: a finalizer may run meanwhile and need its own. */
static __thread struct {
    char  *p;
    size_t cap;
} spare;

static mg_vm *vm_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static const int64_t *clock_of(lua_State *L)
{
    mg_vm *vm = vm_of(L);

    return vm->clock;
}

static mg_shdict *dict_arg(lua_State *L)
{
    mg_shdict **d = NULL;

    if (lua_type(L, 1) == LUA_TTABLE) {
        lua_rawgeti(L, 1, 1);
        d = lua_touserdata(L, -1);
        if (d != NULL && (lua_type(L, -1) != LUA_TUSERDATA || lua_objlen(L, -1) != sizeof(*d))) {
            d = NULL;
        }
        lua_pop(L, 1);
    }

    if (mg_unlikely(d == NULL || *d == NULL)) {
        luaL_error(L, "bad \"zone\" argument");
    }

    return *d;
}

static int fail(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

/* The key, argument 2: NULL and *why when there is none. */
static const char *key_arg(lua_State *L, size_t *len, const char **why)
{
    const char *k;

    switch (lua_type(L, 2)) {
    case LUA_TSTRING:
        break;
    case LUA_TNONE:
    case LUA_TNIL:
        *why = "nil key";
        return NULL;
    default:
        lua_getglobal(L, "tostring");
        lua_pushvalue(L, 2);
        lua_call(L, 1, 1);
        lua_replace(L, 2);
    }

    k = lua_tolstring(L, 2, len);
    *why = NULL;

    if (mg_unlikely(k == NULL)) {
        *why = "nil key";
    } else if (mg_unlikely(*len == 0)) {
        *why = "empty key";
    } else if (mg_unlikely(*len > MG_SHDICT_MAX_KEY)) {
        *why = "key too long";
    }

    return *why == NULL ? k : NULL;
}

/* Lists take their key as luaL_checklstring has it. */
static const char *list_key(lua_State *L, int want, size_t *len, const char **why)
{
    if (lua_gettop(L) != want) {
        luaL_error(L, "expecting %d arguments, but only seen %d", want, lua_gettop(L));
    }

    if (lua_type(L, 2) != LUA_TNIL) {
        luaL_checklstring(L, 2, NULL);
    }

    return key_arg(L, len, why);
}

/* Seconds as milliseconds. */
static int64_t millis(double s)
{
    return s < 9e15 ? (int64_t) (s * 1000) : (int64_t) 9e18;
}

static void get_room(mg_sd_value *v, char *stack)
{
    v->heap = spare.p != NULL;
    v->s = stack;
    v->cap = ON_STACK;

    if (v->heap) {
        v->s = spare.p;
        v->cap = spare.cap;
        spare.p = NULL;
    }
}

static void give_room(mg_sd_value *v)
{
    if (!v->heap) {
        return;
    }

    if (v->cap > KEEP || spare.p != NULL) {
        free(v->s);
        return;
    }

    spare.p = v->s;
    spare.cap = v->cap;
}

static int push_value(lua_State *L, mg_sd_value *v)
{
    switch (v->type) {
    case MG_SD_NUM:
        lua_pushnumber(L, v->num);
        break;
    case MG_SD_BOOL:
        lua_pushboolean(L, v->num != 0);
        break;
    case MG_SD_STR:
        lua_pushlstring(L, v->s, v->len);
        break;
    default:
        lua_pushnil(L);
    }
    return 1;
}

static int sd_fetch(lua_State *L, int stale)
{
    mg_shdict  *d = dict_arg(L);
    char        stack[ON_STACK];
    size_t      klen;
    const char *err, *k = key_arg(L, &klen, &err);
    mg_sd_value v;

    if (k == NULL) {
        return fail(L, err);
    }

    get_room(&v, stack);
    err = mg_shdict_get(d, clock_of(L), k, klen, stale, &v);

    if (mg_unlikely(err != NULL)) {
        give_room(&v);
        return fail(L, err);
    }

    if (v.type == MG_SD_NIL) {
        give_room(&v);
        lua_pushnil(L);
        return 1;
    }

    push_value(L, &v);
    give_room(&v);

    if (mg_unlikely(v.flags != 0)) {
        lua_pushinteger(L, (int32_t) v.flags);
        if (!stale) {
            return 2;
        }
    } else if (!stale) {
        return 1;
    } else {
        lua_pushnil(L);
    }

    lua_pushboolean(L, v.stale);
    return 3;
}

static int sd_get(lua_State *L)
{
    return sd_fetch(L, 0);
}

static int sd_get_stale(lua_State *L)
{
    return sd_fetch(L, 1);
}

static int value_arg(lua_State *L, int i, mg_sd_value *v)
{
    v->flags = 0;

    switch (lua_type(L, i)) {
    case LUA_TNUMBER:
        v->type = MG_SD_NUM;
        v->num = lua_tonumber(L, i);
        return 1;
    case LUA_TSTRING:
        v->type = MG_SD_STR;
        v->s = (char *) lua_tolstring(L, i, &v->len);
        return 1;
    case LUA_TBOOLEAN:
        v->type = MG_SD_BOOL;
        v->num = lua_toboolean(L, i);
        return 1;
    case LUA_TNONE:
    case LUA_TNIL:
        v->type = MG_SD_NIL;
        v->s = NULL;
        v->len = 0;
        return 1;
    }

    return 0;
}

/*
 * sd_put stores the argument at place value, 0 for nil, behind which expiration and flags may follow; with when, the
 * argument before it is what the entry's value must be.
 */
static int sd_put(lua_State *L, int op, int value, int when)
{
    mg_shdict  *d = dict_arg(L);
    int         at = value != 0 ? value : 3;
    double      ttl = lua_toboolean(L, at + 1) ? luaL_checknumber(L, at + 1) : 0;
    size_t      klen;
    const char *err, *k;
    mg_sd_value v = {.type = MG_SD_NIL}, old = {.type = MG_SD_NIL};
    int         forcible;

    if (mg_unlikely(ttl < 0)) {
        return luaL_error(L, "bad \"exptime\" argument");
    }

    k = key_arg(L, &klen, &err);
    if (mg_unlikely(k == NULL)) {
        return fail(L, err);
    }

    if (value != 0 && mg_unlikely(!value_arg(L, value, &v))) {
        return fail(L, "bad value type");
    }

    if (when && mg_unlikely(!value_arg(L, value - 1, &old))) {
        return fail(L, "bad old value type");
    }

    if (lua_toboolean(L, at + 2)) {
        v.flags = (uint32_t) (int64_t) luaL_checknumber(L, at + 2);
    }

    err = mg_shdict_store(d, clock_of(L), op, k, klen, &v, millis(ttl), when ? &old : NULL, &forcible);
    lua_pushboolean(L, err == NULL);
    if (err == NULL) {
        lua_pushnil(L);
    } else {
        lua_pushstring(L, err);
    }
    lua_pushboolean(L, forcible);
    return 3;
}

static int sd_set(lua_State *L)
{
    return sd_put(L, 0, 3, 0);
}

static int sd_safe_set(lua_State *L)
{
    return sd_put(L, MG_SD_SAFE, 3, 0);
}

static int sd_add(lua_State *L)
{
    return sd_put(L, MG_SD_ADD, 3, 0);
}

static int sd_safe_add(lua_State *L)
{
    return sd_put(L, MG_SD_ADD | MG_SD_SAFE, 3, 0);
}

/* set_when and safe_set_when: dict:set_when(key, old_value, value, exptime?, flags?), with nil for no entry. */
static int sd_set_when(lua_State *L)
{
    return sd_put(L, 0, 4, 1);
}

static int sd_safe_set_when(lua_State *L)
{
    return sd_put(L, MG_SD_SAFE, 4, 1);
}

static int sd_replace(lua_State *L)
{
    return sd_put(L, MG_SD_REPLACE, 3, 0);
}

static int sd_delete(lua_State *L)
{
    lua_settop(L, 2);
    return sd_put(L, 0, 0, 0);
}

/* A number argument that may be written as a string; nil and, for init, false are none. */
static int number_arg(lua_State *L, int i, const char *name, double *n)
{
    if (!lua_isnumber(L, i)) {
        return luaL_error(L, "bad %s arg: number expected, got %s", name, luaL_typename(L, i));
    }

    *n = lua_tonumber(L, i);
    return 1;
}

static int sd_incr(lua_State *L)
{
    mg_shdict  *d = dict_arg(L);
    size_t      klen;
    const char *err, *k = key_arg(L, &klen, &err);
    double      v, init = 0, ttl = 0;
    int         has_init = lua_toboolean(L, 4), forcible;

    if (mg_unlikely(k == NULL)) {
        return fail(L, err);
    }

    if (mg_unlikely(!lua_isnumber(L, 3))) {
        return luaL_error(L, "cannot convert 'nil' to 'double'"); /* what tonumber made of it */
    }
    v = lua_tonumber(L, 3);

    if (has_init) {
        number_arg(L, 4, "init", &init);
    }

    if (!lua_isnoneornil(L, 5)) {
        number_arg(L, 5, "init_ttl", &ttl);
        if (ttl < 0) {
            return luaL_error(L, "bad \"init_ttl\" argument");
        }
        if (!has_init) {
            return luaL_error(L, "must provide \"init\" when providing \"init_ttl\"");
        }
    }

    err = mg_shdict_incr(d, clock_of(L), k, klen, &v, has_init, init, millis(ttl), &forcible);
    if (mg_unlikely(err != NULL)) {
        return fail(L, err);
    }

    lua_pushnumber(L, v);
    if (!has_init) {
        return 1;
    }

    lua_pushnil(L);
    lua_pushboolean(L, forcible);
    return 3;
}

static int push_item(lua_State *L, int left)
{
    size_t      klen;
    const char *err, *k = list_key(L, 3, &klen, &err);
    mg_shdict  *d = dict_arg(L);
    mg_sd_value v;
    uint32_t    n;

    if (k == NULL) {
        return fail(L, err);
    }

    if (!value_arg(L, 3, &v) || (v.type != MG_SD_STR && v.type != MG_SD_NUM)) {
        return fail(L, "bad value type");
    }

    err = mg_shdict_push(d, clock_of(L), k, klen, &v, left, &n);
    if (err != NULL) {
        return fail(L, err);
    }

    lua_pushnumber(L, n);
    return 1;
}

static int sd_lpush(lua_State *L)
{
    return push_item(L, 1);
}

static int sd_rpush(lua_State *L)
{
    return push_item(L, 0);
}

static int pop_item(lua_State *L, int left)
{
    char        stack[ON_STACK];
    size_t      klen;
    const char *err, *k = list_key(L, 2, &klen, &err);
    mg_shdict  *d = dict_arg(L);
    mg_sd_value v;

    if (k == NULL) {
        return fail(L, err);
    }

    get_room(&v, stack);
    err = mg_shdict_pop(d, clock_of(L), k, klen, left, &v);
    if (err != NULL) {
        give_room(&v);
        return fail(L, err);
    }

    push_value(L, &v);
    give_room(&v);
    return 1;
}

static int sd_lpop(lua_State *L)
{
    return pop_item(L, 1);
}

static int sd_rpop(lua_State *L)
{
    return pop_item(L, 0);
}

static int sd_llen(lua_State *L)
{
    size_t      klen;
    const char *err, *k = list_key(L, 2, &klen, &err);
    mg_shdict  *d = dict_arg(L);
    uint32_t    n;

    if (k == NULL) {
        return fail(L, err);
    }

    err = mg_shdict_llen(d, clock_of(L), k, klen, &n);
    if (err != NULL) {
        return fail(L, err);
    }

    lua_pushnumber(L, n);
    return 1;
}

static int sd_ttl(lua_State *L)
{
    mg_shdict  *d = dict_arg(L);
    size_t      klen;
    const char *err, *k = key_arg(L, &klen, &err);
    int64_t     ms = 0;

    if (k == NULL || (err = mg_shdict_ttl(d, clock_of(L), k, klen, &ms)) != NULL) {
        return fail(L, err);
    }

    lua_pushnumber(L, (double) ms / 1000);
    return 1;
}

static int sd_expire(lua_State *L)
{
    mg_shdict  *d = dict_arg(L);
    size_t      klen;
    const char *err, *k;

    if (!lua_toboolean(L, 3)) {
        return luaL_error(L, "bad \"exptime\" argument");
    }

    k = key_arg(L, &klen, &err);
    if (k == NULL || (err = mg_shdict_expire(d, clock_of(L), k, klen, millis(luaL_checknumber(L, 3)))) != NULL) {
        return fail(L, err);
    }

    lua_pushboolean(L, 1);
    return 1;
}

static int sd_flush_all(lua_State *L)
{
    mg_shdict_flush_all(dict_arg(L), clock_of(L));
    return 0;
}

/* The optional limit of flush_expired and get_keys. */
static int limit_arg(lua_State *L, int none)
{
    int n = lua_gettop(L);

    if (n != 1 && n != 2) {
        luaL_error(L, "expecting 1 or 2 argument(s), but saw %d", n);
    }

    luaL_checktype(L, 1, LUA_TTABLE);
    return n == 2 ? (int) luaL_checkinteger(L, 2) : none;
}

static int sd_flush_expired(lua_State *L)
{
    int max = limit_arg(L, 0);

    lua_pushnumber(L, mg_shdict_flush_expired(dict_arg(L), clock_of(L), max));
    return 1;
}

static int sd_get_keys(lua_State *L)
{
    int        max = limit_arg(L, 1024);
    mg_shdict *d = dict_arg(L);
    uint32_t   n, len;
    size_t     need = mg_shdict_keys(d, clock_of(L), (uint32_t) (max > 0 ? max : 0), NULL, 0, &n), used;
    char      *buf = lua_newuserdata(L, need + 1); /* Lua's, so that an error leaks nothing */

    used = mg_shdict_keys(d, clock_of(L), (uint32_t) (max > 0 ? max : 0), buf, need, &n);
    (void) used; /* more, when keys were added in between: those are left out */
    lua_createtable(L, (int) n, 0);

    for (uint32_t i = 1; i <= n; i++) {
        memcpy(&len, buf, 4);
        lua_pushlstring(L, buf + 4, len);
        lua_rawseti(L, -2, (int) i);
        buf += 4 + len;
    }

    return 1;
}

static int sd_capacity(lua_State *L)
{
    lua_pushnumber(L, (double) dict_arg(L)->size);
    return 1;
}

static int sd_free_space(lua_State *L)
{
    lua_pushnumber(L, (double) mg_shdict_free_space(dict_arg(L)));
    return 1;
}

static const luaL_Reg methods[] = {
    {"get", sd_get},
    {"get_stale", sd_get_stale},
    {"set", sd_set},
    {"safe_set", sd_safe_set},
    {"add", sd_add},
    {"safe_add", sd_safe_add},
    {"replace", sd_replace},
    {"set_when", sd_set_when},
    {"safe_set_when", sd_safe_set_when},
    {"delete", sd_delete},
    {"incr", sd_incr},
    {"lpush", sd_lpush},
    {"rpush", sd_rpush},
    {"lpop", sd_lpop},
    {"rpop", sd_rpop},
    {"llen", sd_llen},
    {"ttl", sd_ttl},
    {"expire", sd_expire},
    {"flush_all", sd_flush_all},
    {"flush_expired", sd_flush_expired},
    {"get_keys", sd_get_keys},
    {"capacity", sd_capacity},
    {"free_space", sd_free_space},
    {NULL, NULL},
};

static char meta_key; /* of the metatable in the registry */

typedef struct {
    mg_vm      *vm;
    const char *name;
    size_t      len;
    mg_shdict  *d;
} definition;

static void push_meta(lua_State *L, mg_vm *vm)
{
    lua_pushlightuserdata(L, &meta_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (!lua_isnil(L, -1)) {
        return;
    }

    lua_pop(L, 1);
    lua_createtable(L, 0, 24);
    for (const luaL_Reg *m = methods; m->name != NULL; m++) {
        lua_pushlightuserdata(L, vm);
        lua_pushcclosure(L, m->func, 1);
        lua_setfield(L, -2, m->name);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pushlightuserdata(L, &meta_key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

static int define_protected(lua_State *L)
{
    definition *def = lua_touserdata(L, 1);

    lua_getglobal(L, "ngx");
    lua_getfield(L, -1, "shared");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "shared");
    }

    if (def->d == NULL) {
        return 0;
    }

    lua_pushlstring(L, def->name, def->len);
    lua_createtable(L, 1, 0);
    *(mg_shdict **) lua_newuserdata(L, sizeof(mg_shdict *)) = def->d;
    lua_rawseti(L, -2, 1);
    push_meta(L, def->vm);
    lua_setmetatable(L, -2);
    lua_rawset(L, -3);
    return 0;
}

/* Makes ngx.shared.NAME; without a dictionary only ngx.shared. Not 0 when memory is short. */
int mg_shdict_define(mg_vm *vm, const char *name, size_t len, mg_shdict *d)
{
    definition def = {vm, name, len, d};

    if (lua_cpcall(vm->L, define_protected, &def) != 0) {
        lua_pop(vm->L, 1);
        return 1;
    }

    return 0;
}
