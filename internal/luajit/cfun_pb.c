/*
 * cfun_pb.c: the module pb, with the functions of lua-protobuf that programs use.
 *
 * The functions of pb share the current state, which pb.state() changes: entry 1 of a table that is their upvalue.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfun_pb.h"

#define KEEP_CAP (1 << 20)        /* an output buffer larger than that is not kept */

const char pb_state_name[] = "pb.State";

/* ---- states ---- */

static int state_gc(lua_State *L)
{
    pb_state_free(lua_touserdata(L, 1));
    return 0;
}

pb_state *pb_push_state(lua_State *L)
{
    pb_state *st = lua_newuserdata(L, sizeof(*st));

    pb_state_init(st);
    if (luaL_newmetatable(L, pb_state_name)) {
        lua_pushcfunction(L, state_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushvalue(L, -1);
        lua_setfield(L, -2, "__index");
    }
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lua_setfenv(L, -2);
    return st;
}

pb_call pb_enter(lua_State *L)
{
    pb_call c;

    lua_rawgeti(L, lua_upvalueindex(1), 1);
    c.st = lua_touserdata(L, -1);
    if (c.st == NULL) {
        lua_pop(L, 1);
        c.st = pb_push_state(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, lua_upvalueindex(1), 1);
    }
    lua_getfenv(L, -1);
    c.names = lua_gettop(L);
    return c;
}

/* Makes later calls use the state. */
static int state_setdefault(lua_State *L)
{
    luaL_checkudata(L, 1, pb_state_name);
    lua_settop(L, 1);
    lua_rawseti(L, lua_upvalueindex(1), 1);
    return 0;
}

static int state(lua_State *L)
{
    int top = lua_gettop(L);

    if (top > 0 && !lua_isnil(L, 1)) {
        luaL_checkudata(L, 1, pb_state_name);
    }
    if (top == 0) {
        pb_enter(L);
        lua_settop(L, 1);
        return 1;
    }

    lua_settop(L, 1);
    lua_rawgeti(L, lua_upvalueindex(1), 1);
    lua_pushvalue(L, 1);
    lua_rawseti(L, lua_upvalueindex(1), 1);
    return 1;
}

void pb_check_idle(lua_State *L, pb_state *st)
{
    if (st->busy) {
        luaL_error(L, "pb: types may not change while a hook runs");
    }
}

/* The type that argument arg names; NULL when it was not loaded. */
pb_type *pb_type_arg(lua_State *L, pb_state *st, int arg, int names)
{
    size_t      n;
    const char *s = (const char *) pb_check_bytes(L, arg, &n);
    pb_type    *t = pb_find(st, s, n);

    if (t == NULL || t->kind == PB_UNKNOWN) {
        return NULL;
    }
    pb_seal(L, st, t, names);
    return t;
}

static pb_type *check_message(lua_State *L, pb_state *st, int arg, int names)
{
    pb_type *t = pb_type_arg(L, st, arg, names);

    if (t == NULL || t->kind == PB_IS_ENUM) {
        const char *msg = lua_pushfstring(L, "type '%s' does not exists", lua_tostring(L, arg));

        luaL_argerror(L, arg, msg);
    }
    return t;
}

/* The field that argument arg names, by name or number. */
pb_field *pb_field_arg(lua_State *L, pb_type *t, int arg)
{
    int i;

    if (t == NULL || t->kind == PB_IS_ENUM) {
        return NULL;
    }
    if (lua_type(L, arg) == LUA_TNUMBER) {
        return pb_field_of(t, (uint32_t) lua_tointeger(L, arg));
    }
    luaL_checkstring(L, arg);
    i = pb_index_of(t, lua_topointer(L, arg));
    return i >= 0 ? &t->fields[i] : NULL;
}

int pb_push_kept(lua_State *L, int names, int key, int id)
{
    lua_rawgeti(L, names, key);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }

    lua_rawgeti(L, -1, id);
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    return 1;
}

/* Keeps the value on top of the stack, and pops it, for a type under key of the environment. */
void pb_keep(lua_State *L, int names, int key, int id)
{
    lua_rawgeti(L, names, key);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, names, key);
    }
    lua_insert(L, -2);
    lua_rawseti(L, -2, id);
    lua_pop(L, 1);
}

/* ---- loading ---- */

int pb_load_bytes(lua_State *L, pb_state *st, const uint8_t *p, size_t n)
{
    const uint8_t *end = pb_load(st, p, p + n);

    lua_pushboolean(L, end == p + n);
    lua_pushinteger(L, end - p + 1);
    return 2;
}

static int load(lua_State *L)
{
    pb_call        c = pb_enter(L);
    size_t         n;
    const uint8_t *p = pb_check_bytes(L, 1, &n);

    pb_check_idle(L, c.st);
    return pb_load_bytes(L, c.st, p, n);
}

static int loadfile(lua_State *L)
{
    pb_call     c = pb_enter(L);
    const char *name = luaL_checkstring(L, 1);
    luaL_Buffer b;
    FILE       *f = fopen(name, "rb");
    size_t      n;

    pb_check_idle(L, c.st);
    if (f == NULL) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: %s", name, strerror(errno));
        lua_pushinteger(L, errno);
        return 3;
    }

    luaL_buffinit(L, &b);
    do {
        n = fread(luaL_prepbuffer(&b), 1, LUAL_BUFFERSIZE, f);
        luaL_addsize(&b, n);
    } while (n == LUAL_BUFFERSIZE);
    fclose(f);
    luaL_pushresult(&b);

    return pb_load_bytes(L, c.st, (const uint8_t *) lua_tolstring(L, -1, NULL), lua_objlen(L, -1));
}

static int clear(lua_State *L)
{
    pb_call   c = pb_enter(L);
    pb_type  *t;
    pb_field *f;

    pb_check_idle(L, c.st);
    if (lua_isnoneornil(L, 1) || c.names < 3) {
        for (t = c.st->first; t != NULL; t = t->next) {
            pb_drop_type(t);
        }
        c.st->nnames = 0;
        lua_newtable(L);
        lua_setfenv(L, c.names - 1);
        c.st->array_meta = c.st->map_meta = 0;
        return 0;
    }

    t = pb_type_arg(L, c.st, 1, c.names);
    if (t == NULL) {
        return 0;
    }
    if (c.names < 4 || lua_isnoneornil(L, 2)) {
        pb_drop_type(t);
    } else {
        f = pb_field_arg(L, t, 2);
        if (f != NULL) {
            pb_drop_field(t, f);
        }
    }
    lua_pushnil(L);
    pb_keep(L, c.names, PB_KEY_DEFAULTS, t->id);
    return 0;
}

/* ---- encoding, decoding ---- */

/* Encodes the table at idx and pushes the bytes; on failure pushes the message and returns 0. */
int pb_encode_value(lua_State *L, pb_state *st, pb_type *t, int names, int idx, pb_buffer *into)
{
    pb_buffer own = {st->out, 0, st->out_cap, 0}, *b = into != NULL ? into : &own;
    size_t    before = b->n;
    char      err[PB_ERROR_SIZE];
    int       ok;

    if (into == NULL) {
        st->out = NULL;
        st->out_cap = 0;
    }

    ok = pb_encode(L, st, t, names, idx, b, err);
    if (!ok) {
        b->n = before;
        lua_pushstring(L, err);
    } else if (into == NULL) {
        lua_pushlstring(L, (const char *) b->b, b->n);
    }

    if (into == NULL) {
        if (own.cap > KEEP_CAP || st->out != NULL) {
            free(own.b);
        } else {
            st->out = own.b;
            st->out_cap = own.cap;
        }
    }
    return ok;
}

static int encode(lua_State *L)
{
    pb_call    c;
    pb_type   *t;
    pb_buffer *b;

    lua_settop(L, 3);
    c = pb_enter(L);
    t = check_message(L, c.st, 1, c.names);
    luaL_checktype(L, 2, LUA_TTABLE);
    b = pb_test_buffer(L, 3);
    if (!pb_encode_value(L, c.st, t, c.names, 2, b)) {
        return luaL_argerror(L, 2, lua_tostring(L, -1));
    }
    if (b != NULL) {
        lua_pushvalue(L, 3);
    }
    return 1;
}

/* Decodes into the table at idx, when there is one, or a new one, and pushes it; on failure the message. */
int pb_decode_value(lua_State *L, pb_state *st, pb_type *t, int names, const uint8_t *p, size_t n, int idx)
{
    char err[PB_ERROR_SIZE];
    int  fresh = !lua_istable(L, idx);

    if (fresh) {
        lua_createtable(L, 0, t->nfields > 64 ? 8 : t->nfields);
    } else {
        lua_pushvalue(L, idx);
    }

    if (!pb_decode(L, st, t, names, p, n, fresh, err)) {
        lua_pushstring(L, err);
        return 0;
    }
    return 1;
}

static int decode(lua_State *L)
{
    pb_call        c;
    pb_type       *t;
    size_t         n = 0;
    const uint8_t *p = (const uint8_t *) "";

    lua_settop(L, 3);
    c = pb_enter(L);
    t = check_message(L, c.st, 1, c.names);
    if (!lua_isnil(L, 2)) {
        p = pb_check_bytes(L, 2, &n);
    }
    if (!pb_decode_value(L, c.st, t, c.names, p, n, 3)) {
        return luaL_error(L, "%s", lua_tostring(L, -1));
    }
    return 1;
}

/* pb.pack(type, values of the fields by number ...): the message. */
static int pack(lua_State *L)
{
    int        n = lua_gettop(L), first = 2;
    pb_call    c = pb_enter(L);
    pb_type   *t = check_message(L, c.st, 1, c.names);
    pb_buffer  own = {NULL, 0, 0, 0}, *b = n >= 2 ? pb_test_buffer(L, 2) : NULL;
    char       err[PB_ERROR_SIZE];
    int        ok = 1;

    if (b != NULL) {
        first = 3;
    } else {
        b = &own;
    }

    for (int i = 0; ok && i < t->nfields && first + i <= n; i++) {
        if (!lua_isnil(L, first + i)) {
            ok = pb_encode_field(L, c.st, &t->fields[i], c.names, first + i, b, err);
        }
    }

    if (b != &own) {
        lua_pushvalue(L, 2);
    } else {
        lua_pushlstring(L, ok ? (const char *) own.b : "", ok ? own.n : 0);
        free(own.b);
    }
    return ok ? 1 : luaL_error(L, "%s", err);
}

/* pb.unpack(data, type): the values of the fields by number. */
static int unpack(lua_State *L)
{
    pb_call        c;
    pb_type       *t;
    size_t         n;
    const uint8_t *p;
    int            tab;

    lua_settop(L, 3);
    c = pb_enter(L);
    t = check_message(L, c.st, 1, c.names);
    p = pb_check_bytes(L, 2, &n);
    lua_pushnil(L);
    if (!pb_decode_value(L, c.st, t, c.names, p, n, lua_gettop(L))) {
        return luaL_error(L, "%s", lua_tostring(L, -1));
    }

    tab = lua_gettop(L);
    luaL_checkstack(L, t->nfields + 2, "too many fields");
    for (int i = 0; i < t->nfields; i++) {
        lua_rawgeti(L, c.names, t->fields[i].name_ref);
        lua_rawget(L, tab);
    }
    return t->nfields;
}

/* ---- options ---- */

typedef struct {
    const char *name;
    size_t      at;
    uint8_t     value;
} option_row;

#define OPTION(name, field, value) {name, offsetof(pb_state, field), value}

static const option_row options[] = {
    OPTION("enum_as_name", enum_as_value, 0),
    OPTION("enum_as_value", enum_as_value, 1),
    OPTION("int64_as_number", int64_mode, PB_NUMBERS),
    OPTION("int64_as_string", int64_mode, PB_STRINGS),
    OPTION("int64_as_hexstring", int64_mode, PB_HEX),
    OPTION("encode_order", in_order, 1),
    OPTION("no_encode_order", in_order, 0),
    OPTION("encode_default_values", send_defaults, 1),
    OPTION("no_encode_default_values", send_defaults, 0),
    OPTION("auto_default_values", defaults, PB_DEFAULTS_AUTO),
    OPTION("no_default_values", defaults, PB_DEFAULTS_NONE),
    OPTION("use_default_values", defaults, PB_DEFAULTS_COPY),
    OPTION("use_default_metatable", defaults, PB_DEFAULTS_META),
    OPTION("decode_default_array", default_array, 1),
    OPTION("no_decode_default_array", default_array, 0),
    OPTION("decode_default_message", default_message, 1),
    OPTION("no_decode_default_message", default_message, 0),
    OPTION("enable_hooks", dec_hooks, 1),
    OPTION("disable_hooks", dec_hooks, 0),
    OPTION("enable_enchooks", enc_hooks, 1),
    OPTION("disable_enchooks", enc_hooks, 0),
    OPTION("strict", strict, 1),
    OPTION("no_strict", strict, 0),
};

#define NOPTIONS (sizeof(options) / sizeof(options[0]))

void pb_set_option(lua_State *L, pb_state *st, int arg)
{
    const char *name = luaL_checkstring(L, arg);

    for (size_t i = 0; i < NOPTIONS; i++) {
        if (strcmp(options[i].name, name) == 0) {
            ((uint8_t *) st)[options[i].at] = options[i].value;
            return;
        }
    }

    luaL_argerror(L, arg, lua_pushfstring(L, "invalid option '%s'", name));
}

static int option(lua_State *L)
{
    pb_call c = pb_enter(L);

    pb_set_option(L, c.st, 1);
    return 0;
}

/* ---- the module ---- */

static int fromhex(lua_State *L)
{
    size_t      n;
    const char *s = luaL_checklstring(L, 1, &n);
    int         high = -1;
    luaL_Buffer b;

    luaL_buffinit(L, &b);
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        int  d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;

        if (d < 0) {
            continue;
        }
        if (high < 0) {
            high = d;
        } else {
            luaL_addchar(&b, (char) (high << 4 | d));
            high = -1;
        }
    }
    luaL_pushresult(&b);
    return 1;
}

static const luaL_Reg functions[] = {
    {"clear", clear},
    {"decode", decode},
    {"defaults", pb_about_defaults},
    {"encode", encode},
    {"encode_hook", pb_about_encode_hook},
    {"enum", pb_about_enum},
    {"field", pb_about_field},
    {"fields", pb_about_fields},
    {"fromhex", fromhex},
    {"hook", pb_about_hook},
    {"load", load},
    {"loadfile", loadfile},
    {"option", option},
    {"pack", pack},
    {"result", pb_result},
    {"state", state},
    {"tohex", pb_tohex},
    {"type", pb_about_type},
    {"typefmt", pb_about_typefmt},
    {"types", pb_about_types},
    {"unpack", unpack},
    {NULL, NULL},
};

/* Pushes a function over the table of the current state. */
void pb_push_function(lua_State *L, lua_CFunction f, int box)
{
    lua_pushvalue(L, box);
    lua_pushcclosure(L, f, 1);
}

int mg_open_pb(lua_State *L)
{
    int top = lua_gettop(L);

    lua_createtable(L, 0, 24);
    lua_createtable(L, 1, 0);
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        pb_push_function(L, f->func, top + 2);
        lua_setfield(L, top + 1, f->name);
    }

    pb_push_state(L);
    lua_getmetatable(L, -1);
    pb_push_function(L, state_setdefault, top + 2);
    lua_setfield(L, -2, "setdefault");
    lua_settop(L, top + 1);
    return 1;
}
