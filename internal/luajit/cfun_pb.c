/*
 * cfun_pb.c: the module pb, with the functions of lua-protobuf that programs use, and pb.codec, which makes an encoder
 * or a decoder of one type as a function of its own.
 *
 * The functions of pb share the current state, which pb.state() changes: entry 1 of a table that is their upvalue.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfun_pb.h"

#define KEEP_CAP (1 << 20)        /* an output buffer larger than that is not kept */

static const char state_name[] = "pb.State";

/* ---- states ---- */

static int state_gc(lua_State *L)
{
    pb_state_free(lua_touserdata(L, 1));
    return 0;
}

/* Makes later calls use the state. */
static int state_setdefault(lua_State *L);

static pb_state *push_state(lua_State *L)
{
    pb_state *st = lua_newuserdata(L, sizeof(*st));

    pb_state_init(st);
    if (luaL_newmetatable(L, state_name)) {
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

/* A call of a function of pb: the state and its environment are on the stack behind the arguments. */
typedef struct {
    pb_state *st;
    int       names;
} call;

static call enter(lua_State *L)
{
    call c;

    lua_rawgeti(L, lua_upvalueindex(1), 1);
    c.st = lua_touserdata(L, -1);
    if (c.st == NULL) {
        lua_pop(L, 1);
        c.st = push_state(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, lua_upvalueindex(1), 1);
    }
    lua_getfenv(L, -1);
    c.names = lua_gettop(L);
    return c;
}

static int state_setdefault(lua_State *L)
{
    luaL_checkudata(L, 1, state_name);
    lua_settop(L, 1);
    lua_rawseti(L, lua_upvalueindex(1), 1);
    return 0;
}

static int state(lua_State *L)
{
    int top = lua_gettop(L);

    if (top > 0 && !lua_isnil(L, 1)) {
        luaL_checkudata(L, 1, state_name);
    }
    if (top == 0) {
        enter(L);
        lua_settop(L, 1);
        return 1;
    }

    lua_settop(L, 1);
    lua_rawgeti(L, lua_upvalueindex(1), 1);
    lua_pushvalue(L, 1);
    lua_rawseti(L, lua_upvalueindex(1), 1);
    return 1;
}

static void check_idle(lua_State *L, pb_state *st)
{
    if (st->busy) {
        luaL_error(L, "pb: types may not change while a hook runs");
    }
}

static const uint8_t *check_bytes(lua_State *L, int arg, size_t *n)
{
    const uint8_t *p;

    if (!pb_to_bytes(L, arg, &p, n)) {
        const char *msg = lua_pushfstring(L, "string/buffer/slice expected, got %s", luaL_typename(L, arg));

        luaL_argerror(L, arg, msg);
    }
    return p;
}

/* The type that argument arg names; NULL when it was not loaded. */
static pb_type *type_arg(lua_State *L, pb_state *st, int arg, int names)
{
    size_t      n;
    const char *s = (const char *) check_bytes(L, arg, &n);
    pb_type    *t = pb_find(st, s, n);

    if (t == NULL || t->kind == PB_UNKNOWN) {
        return NULL;
    }
    pb_seal(L, st, t, names);
    return t;
}

static pb_type *check_message(lua_State *L, pb_state *st, int arg, int names)
{
    pb_type *t = type_arg(L, st, arg, names);

    if (t == NULL || t->kind == PB_IS_ENUM) {
        const char *msg = lua_pushfstring(L, "type '%s' does not exists", lua_tostring(L, arg));

        luaL_argerror(L, arg, msg);
    }
    return t;
}

/* The field that argument arg names, by name or number. */
static pb_field *field_arg(lua_State *L, pb_type *t, int arg)
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
static void keep(lua_State *L, int names, int key, int id)
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

static int load_bytes(lua_State *L, pb_state *st, const uint8_t *p, size_t n)
{
    const uint8_t *end = pb_load(st, p, p + n);

    lua_pushboolean(L, end == p + n);
    lua_pushinteger(L, end - p + 1);
    return 2;
}

static int load(lua_State *L)
{
    call           c = enter(L);
    size_t         n;
    const uint8_t *p = check_bytes(L, 1, &n);

    check_idle(L, c.st);
    return load_bytes(L, c.st, p, n);
}

static int loadfile(lua_State *L)
{
    call        c = enter(L);
    const char *name = luaL_checkstring(L, 1);
    luaL_Buffer b;
    FILE       *f = fopen(name, "rb");
    size_t      n;

    check_idle(L, c.st);
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

    return load_bytes(L, c.st, (const uint8_t *) lua_tolstring(L, -1, NULL), lua_objlen(L, -1));
}

static int clear(lua_State *L)
{
    call      c = enter(L);
    pb_type  *t;
    pb_field *f;

    check_idle(L, c.st);
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

    t = type_arg(L, c.st, 1, c.names);
    if (t == NULL) {
        return 0;
    }
    if (c.names < 4 || lua_isnoneornil(L, 2)) {
        pb_drop_type(t);
    } else {
        f = field_arg(L, t, 2);
        if (f != NULL) {
            pb_drop_field(t, f);
        }
    }
    lua_pushnil(L);
    keep(L, c.names, PB_KEY_DEFAULTS, t->id);
    return 0;
}

/* ---- encoding, decoding ---- */

/* Encodes the table at idx and pushes the bytes; on failure pushes the message and returns 0. */
static int encode_value(lua_State *L, pb_state *st, pb_type *t, int names, int idx, pb_buffer *into)
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
    call       c;
    pb_type   *t;
    pb_buffer *b;

    lua_settop(L, 3);
    c = enter(L);
    t = check_message(L, c.st, 1, c.names);
    luaL_checktype(L, 2, LUA_TTABLE);
    b = pb_test_buffer(L, 3);
    if (!encode_value(L, c.st, t, c.names, 2, b)) {
        return luaL_argerror(L, 2, lua_tostring(L, -1));
    }
    if (b != NULL) {
        lua_pushvalue(L, 3);
    }
    return 1;
}

/* Decodes into the table at idx, when there is one, or a new one, and pushes it; on failure the message. */
static int decode_value(lua_State *L, pb_state *st, pb_type *t, int names, const uint8_t *p, size_t n, int idx)
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
    call           c;
    pb_type       *t;
    size_t         n = 0;
    const uint8_t *p = (const uint8_t *) "";

    lua_settop(L, 3);
    c = enter(L);
    t = check_message(L, c.st, 1, c.names);
    if (!lua_isnil(L, 2)) {
        p = check_bytes(L, 2, &n);
    }
    if (!decode_value(L, c.st, t, c.names, p, n, 3)) {
        return luaL_error(L, "%s", lua_tostring(L, -1));
    }
    return 1;
}

/* pb.pack(type, values of the fields by number ...): the message. */
static int pack(lua_State *L)
{
    int        n = lua_gettop(L), first = 2;
    call       c = enter(L);
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
            ok = pb_encode_field(L, c.st, t, &t->fields[i], c.names, first + i, b, err);
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
    call           c;
    pb_type       *t;
    size_t         n;
    const uint8_t *p;
    int            tab;

    lua_settop(L, 3);
    c = enter(L);
    t = check_message(L, c.st, 1, c.names);
    p = check_bytes(L, 2, &n);
    lua_pushnil(L);
    if (!decode_value(L, c.st, t, c.names, p, n, lua_gettop(L))) {
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

/* ---- what is known of types ---- */

static int push_type(lua_State *L, const pb_type *t)
{
    static const char *const kinds[] = {"", "message", "map", "enum"};

    lua_pushstring(L, t->name);
    lua_pushstring(L, t->basename);
    lua_pushstring(L, kinds[t->kind]);
    return 3;
}

static int type(lua_State *L)
{
    call     c = enter(L);
    pb_type *t = type_arg(L, c.st, 1, c.names);

    return t != NULL ? push_type(L, t) : 0;
}

static int types_next(lua_State *L)
{
    call     c;
    pb_type *t;
    size_t   n;

    lua_settop(L, 2);
    c = enter(L);
    if (lua_isnil(L, 2)) {
        t = c.st->first;
    } else {
        const char *s = luaL_checklstring(L, 2, &n);

        t = pb_find(c.st, s, n);
        t = t != NULL ? t->next : NULL;
    }
    while (t != NULL && t->kind == PB_UNKNOWN) {
        t = t->next;
    }
    return t != NULL ? push_type(L, t) : 0;
}

/* Pushes a function over the table of the current state. */
static void push_function(lua_State *L, lua_CFunction f, int box)
{
    lua_pushvalue(L, box);
    lua_pushcclosure(L, f, 1);
}

static int types(lua_State *L)
{
    push_function(L, types_next, lua_upvalueindex(1));
    return 1;
}

static int push_field(lua_State *L, pb_type *t, pb_field *f)
{
    lua_pushstring(L, f->name);
    lua_pushinteger(L, f->number);
    lua_pushstring(L, f->sub != NULL ? f->sub->name : pb_type_name(f->type));
    lua_pushstring(L, f->def);
    lua_pushstring(L, f->repeated ? f->packed ? "packed" : "repeated" : "optional");
    if (f->oneof < 0) {
        return 5;
    }
    lua_pushstring(L, t->oneofs[f->oneof]);
    lua_pushinteger(L, f->oneof);
    return 7;
}

static int field(lua_State *L)
{
    call      c;
    pb_type  *t;
    pb_field *f;

    lua_settop(L, 2);
    c = enter(L);
    t = type_arg(L, c.st, 1, c.names);
    f = field_arg(L, t, 2);
    return f != NULL ? push_field(L, t, f) : 0;
}

static int push_enum_value(lua_State *L, pb_value *v)
{
    lua_pushstring(L, v->name);
    lua_pushinteger(L, v->number);
    return 2;
}

static int fields_next(lua_State *L)
{
    call     c;
    pb_type *t;
    int      i = -1;

    lua_settop(L, 2);
    c = enter(L);
    t = type_arg(L, c.st, 1, c.names);
    if (t == NULL) {
        return 0;
    }
    if (!lua_isnil(L, 2)) {
        luaL_checkstring(L, 2);
        i = pb_index_of(t, lua_topointer(L, 2));
        if (i < 0) {
            return 0;
        }
    }
    i++;
    if (t->kind == PB_IS_ENUM) {
        return i < t->nvalues ? push_enum_value(L, &t->values[i]) : 0;
    }
    return i < t->nfields ? push_field(L, t, &t->fields[i]) : 0;
}

static int fields(lua_State *L)
{
    lua_settop(L, 1);
    push_function(L, fields_next, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int enum_(lua_State *L)
{
    call      c;
    pb_type  *t;
    pb_value *v;
    int       i;

    lua_settop(L, 2);
    c = enter(L);
    t = type_arg(L, c.st, 1, c.names);
    if (t == NULL || t->kind != PB_IS_ENUM) {
        return 0;
    }

    if (lua_type(L, 2) == LUA_TNUMBER) {
        v = pb_value_of(t, (int32_t) lua_tointeger(L, 2));
        if (v == NULL) {
            return 0;
        }
        lua_pushstring(L, v->name);
        return 1;
    }

    luaL_checkstring(L, 2);
    i = pb_index_of(t, lua_topointer(L, 2));
    if (i < 0) {
        return 0;
    }
    lua_pushinteger(L, t->values[i].number);
    return 1;
}

static int typefmt(lua_State *L)
{
    call        c = enter(L);
    size_t      n;
    const char *s = luaL_checklstring(L, 1, &n);

    return pb_typefmt(L, s, n, type_arg(L, c.st, 1, c.names) != NULL);
}

/* pb.defaults(type [, table or nil]): the table of defaults, or the one before. */
static int defaults(lua_State *L)
{
    int         top = lua_gettop(L), id;
    call        c = enter(L);
    const char *s = luaL_checkstring(L, 1);
    pb_type    *t = NULL;
    int         on = top < 2 || lua_toboolean(L, 2);

    if (*s == '*' && (s[1] | 32) == 'a') {
        id = PB_ID_ARRAY;
        c.st->array_meta = (uint8_t) on;
    } else if (*s == '*' && (s[1] | 32) == 'm') {
        id = PB_ID_MAP;
        c.st->map_meta = (uint8_t) on;
    } else {
        t = type_arg(L, c.st, 1, c.names);
        if (t == NULL) {
            return luaL_argerror(L, 1, "type not found");
        }
        id = t->id;
    }

    if (top < 2) {
        if (t != NULL) {
            pb_push_defaults(L, c.st, t, c.names);
        } else if (!pb_push_kept(L, c.names, PB_KEY_DEFAULTS, id)) {
            lua_newtable(L);
            lua_pushvalue(L, -1);
            lua_setfield(L, -2, "__index");
            lua_pushvalue(L, -1);
            keep(L, c.names, PB_KEY_DEFAULTS, id);
        }
        return 1;
    }

    if (!pb_push_kept(L, c.names, PB_KEY_DEFAULTS, id)) {
        lua_pushnil(L);
    }
    if (on) {
        luaL_checktype(L, 2, LUA_TTABLE);
    }
    lua_pushvalue(L, 2);
    if (!on) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    keep(L, c.names, PB_KEY_DEFAULTS, id);
    return 1;
}

static int set_hook(lua_State *L, int key)
{
    int      top = lua_gettop(L);
    call     c = enter(L);
    pb_type *t = type_arg(L, c.st, 1, c.names);

    if (t == NULL) {
        return luaL_argerror(L, 1, "type not found");
    }
    if (top >= 2 && !lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TFUNCTION);
    }

    if (!pb_push_kept(L, c.names, key, t->id)) {
        lua_pushnil(L);
    }
    if (top >= 2) {
        lua_pushvalue(L, 2);
        keep(L, c.names, key, t->id);
    }
    return 1;
}

static int hook(lua_State *L)
{
    return set_hook(L, PB_KEY_DECODE_HOOKS);
}

static int encode_hook(lua_State *L)
{
    return set_hook(L, PB_KEY_ENCODE_HOOKS);
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

static void set_option(lua_State *L, pb_state *st, int arg)
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
    call c = enter(L);

    set_option(L, c.st, 1);
    return 0;
}

/* ---- hexadecimal ---- */

static int tohex(lua_State *L)
{
    size_t         n;
    const uint8_t *p = check_bytes(L, 1, &n);
    luaL_Buffer    b;

    luaL_buffinit(L, &b);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            luaL_addchar(&b, ' ');
        }
        luaL_addchar(&b, "0123456789ABCDEF"[p[i] >> 4]);
        luaL_addchar(&b, "0123456789ABCDEF"[p[i] & 15]);
    }
    luaL_pushresult(&b);
    return 1;
}

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
    {"defaults", defaults},
    {"encode", encode},
    {"encode_hook", encode_hook},
    {"enum", enum_},
    {"field", field},
    {"fields", fields},
    {"fromhex", fromhex},
    {"hook", hook},
    {"load", load},
    {"loadfile", loadfile},
    {"option", option},
    {"pack", pack},
    {"result", pb_result},
    {"state", state},
    {"tohex", tohex},
    {"type", type},
    {"typefmt", typefmt},
    {"types", types},
    {"unpack", unpack},
    {NULL, NULL},
};

int mg_open_pb(lua_State *L)
{
    int top = lua_gettop(L);

    lua_createtable(L, 0, 24);
    lua_createtable(L, 1, 0);
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        push_function(L, f->func, top + 2);
        lua_setfield(L, top + 1, f->name);
    }

    push_state(L);
    lua_getmetatable(L, -1);
    push_function(L, state_setdefault, top + 2);
    lua_setfield(L, -2, "setdefault");
    lua_settop(L, top + 1);
    return 1;
}

/* ---- pb.codec: a state of its own, whose encoders and decoders are functions ---- */

/* Upvalues of an encoder or decoder: the state, its environment, the type. */
static int codec_encode(lua_State *L)
{
    pb_state *st = lua_touserdata(L, lua_upvalueindex(1));
    pb_type  *t = lua_touserdata(L, lua_upvalueindex(3));

    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(2));
    if (encode_value(L, st, t, 2, 1, NULL)) {
        return 1;
    }
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int codec_decode(lua_State *L)
{
    pb_state      *st = lua_touserdata(L, lua_upvalueindex(1));
    pb_type       *t = lua_touserdata(L, lua_upvalueindex(3));
    size_t         n;
    const uint8_t *p = check_bytes(L, 1, &n);

    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(2));
    if (decode_value(L, st, t, 3, p, n, 2)) {
        return 1;
    }
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int codec_of(lua_State *L, lua_CFunction f)
{
    pb_state   *st = luaL_checkudata(L, 1, state_name);
    size_t      n;
    const char *name = luaL_checklstring(L, 2, &n);
    pb_type    *t = pb_find(st, name, n);

    if (t == NULL || t->kind != PB_IS_MESSAGE) {
        lua_pushnil(L);
        lua_pushfstring(L, "type '%s' does not exists", name);
        return 2;
    }

    lua_pushvalue(L, 1);
    lua_getfenv(L, 1);
    pb_seal(L, st, t, lua_gettop(L));
    lua_pushlightuserdata(L, t);
    lua_pushcclosure(L, f, 3);
    return 1;
}

/* state:encoder(type): a function that gives a table's bytes, or nil and what is wrong. */
static int state_encoder(lua_State *L)
{
    return codec_of(L, codec_encode);
}

/* state:decoder(type): a function that gives the table of bytes, or nil and what is wrong. */
static int state_decoder(lua_State *L)
{
    return codec_of(L, codec_decode);
}

static int state_load(lua_State *L)
{
    pb_state      *st = luaL_checkudata(L, 1, state_name);
    size_t         n;
    const uint8_t *p = check_bytes(L, 2, &n);

    check_idle(L, st);
    return load_bytes(L, st, p, n);
}

static int state_option(lua_State *L)
{
    set_option(L, luaL_checkudata(L, 1, state_name), 2);
    return 0;
}

static int codec_new(lua_State *L)
{
    pb_state *st = push_state(L);

    st->strict = 1;
    return 1;
}

int mg_open_pb_codec(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"decoder", state_decoder},
        {"encoder", state_encoder},
        {"load", state_load},
        {"option", state_option},
        {NULL, NULL},
    };

    push_state(L);
    lua_getmetatable(L, -1);
    for (const luaL_Reg *f = methods; f->name != NULL; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    lua_pop(L, 2);

    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, codec_new);
    lua_setfield(L, -2, "new");
    return 1;
}
