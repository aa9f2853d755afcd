/* cfun_cjson.c: the modules cjson and cjson.safe: their functions, settings and instances. */
#include "cfun_cjson.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

const char        cjson_array = 'a';
static const char cjson_empty_array = 'e';

static cjson_config *config_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* ---- settings: each function changes a setting when given a value, and returns the setting ---- */

static cjson_config *setting_args(lua_State *L, int n)
{
    luaL_argcheck(L, lua_gettop(L) <= n, n + 1, "found too many arguments");
    lua_settop(L, n);
    return config_of(L);
}

static int set_integer(lua_State *L, int arg, int *setting, int min, int max)
{
    if (!lua_isnil(L, arg)) {
        lua_Integer v = luaL_checkinteger(L, arg);

        if (v < min || v > max) {
            const char *msg = lua_pushfstring(L, "expected integer between %d and %d", min, max);

            return luaL_argerror(L, 1, msg);
        }
        *setting = (int) v;
    }

    lua_pushinteger(L, *setting);
    return 1;
}

/* 0 and 1 are off and on and shown as booleans; a third name is 2 and shown as itself. */
static int set_choice(lua_State *L, int arg, int *setting, const char *third)
{
    const char *options[] = {"off", "on", third, NULL};

    if (lua_isboolean(L, arg)) {
        *setting = lua_toboolean(L, arg);

    } else if (!lua_isnil(L, arg)) {
        *setting = luaL_checkoption(L, arg, NULL, options);
    }

    if (*setting <= 1) {
        lua_pushboolean(L, *setting);

    } else {
        lua_pushstring(L, options[*setting]);
    }
    return 1;
}

#define CHOICE(name, field, third) \
    static int name(lua_State *L) { return set_choice(L, 1, &setting_args(L, 1)->field, third); }

#define INTEGER(name, field, min, max) \
    static int name(lua_State *L) { return set_integer(L, 1, &setting_args(L, 1)->field, min, max); }

INTEGER(encode_max_depth, encode_max_depth, 1, INT_MAX)
INTEGER(decode_max_depth, decode_max_depth, 1, INT_MAX)
INTEGER(encode_number_precision, number_precision, 1, 16)
CHOICE(encode_empty_table_as_object, empty_table_as_object, NULL)
CHOICE(decode_array_with_array_mt, array_with_array_mt, NULL)
CHOICE(decode_allow_comment, allow_comment, NULL)
CHOICE(encode_skip_unsupported_value_types, skip_unsupported, NULL)
CHOICE(encode_invalid_numbers, encode_invalid_numbers, "null")
CHOICE(decode_invalid_numbers, decode_invalid_numbers, NULL)

static int encode_sparse_array(lua_State *L)
{
    cjson_config *cfg = setting_args(L, 3);

    set_choice(L, 1, &cfg->sparse_convert, NULL);
    set_integer(L, 2, &cfg->sparse_ratio, 0, INT_MAX);
    set_integer(L, 3, &cfg->sparse_safe, 0, INT_MAX);
    return 3;
}

static int encode_keep_buffer(lua_State *L)
{
    cjson_config *cfg = setting_args(L, 1);

    set_choice(L, 1, &cfg->keep_buffer, NULL);
    if (!cfg->keep_buffer) {
        free(cfg->out);
        cfg->out = NULL;
        cfg->out_cap = 0;
    }
    return 1;
}

static int encode_escape_forward_slash(lua_State *L)
{
    cjson_config *cfg = setting_args(L, 1);

    set_choice(L, 1, &cfg->escape_forward_slash, NULL);
    cfg->escape['/'] = cfg->escape_forward_slash ? '/' : 0;
    return 1;
}

static int encode_indent(lua_State *L)
{
    cjson_config *cfg = setting_args(L, 1);

    if (!lua_isnil(L, 1)) {
        const char  *s = luaL_checkstring(L, 1);
        size_t       n = strlen(s);
        char        *copy = NULL;

        if (n) {
            copy = malloc(n + 1);
            if (copy == NULL) {
                return luaL_error(L, "Out of memory");
            }
            memcpy(copy, s, n + 1);
        }

        free(cfg->indent);
        cfg->indent = copy;
        cfg->indent_len = n;
    }

    lua_pushstring(L, cfg->indent != NULL ? cfg->indent : "");
    return 1;
}

/* ---- encode and decode ---- */

static int finish(lua_State *L, int rc)
{
    if (rc == CJSON_OK) {
        return 1;
    }

    if (rc == CJSON_ERROR) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int finish_safe(lua_State *L, int rc)
{
    if (rc == CJSON_OK) {
        return 1;
    }

    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int encode(lua_State *L)
{
    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
    return finish(L, cjson_encode_value(L, config_of(L)));
}

static int encode_safe(lua_State *L)
{
    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
    return finish_safe(L, cjson_encode_value(L, config_of(L)));
}

static int decode(lua_State *L)
{
    const char  *text;
    size_t       len;

    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
    text = luaL_checklstring(L, 1, &len);
    return finish(L, cjson_decode_text(L, config_of(L), text, len));
}

static int decode_safe(lua_State *L)
{
    const char  *text;
    size_t       len;

    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");

    text = lua_tolstring(L, 1, &len);
    if (text == NULL) {
        /* the words of an argument check made below a protected call */
        lua_pushfstring(L, "bad argument #1 to '?' (string expected, got %s)", luaL_typename(L, 1));
        return finish_safe(L, CJSON_ERROR);
    }

    return finish_safe(L, cjson_decode_text(L, config_of(L), text, len));
}

/* ---- instances ---- */

static int config_gc(lua_State *L)
{
    cjson_config *cfg = lua_touserdata(L, 1);

    free(cfg->out);
    free(cfg->tmp);
    free(cfg->indent);
    cfg->out = cfg->tmp = cfg->indent = NULL;
    return 0;
}

/* Pushes the metatable kept in the registry at key: one per state, shared by all instances. */
static const void *push_marker(lua_State *L, const char *key)
{
    lua_pushlightuserdata(L, (void *) key);
    lua_rawget(L, LUA_REGISTRYINDEX);

    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushlightuserdata(L, (void *) key);
        lua_pushvalue(L, -2);
        lua_rawset(L, LUA_REGISTRYINDEX);
    }

    return lua_topointer(L, -1);
}

static void push_config(lua_State *L)
{
    cjson_config *cfg = lua_newuserdata(L, sizeof(*cfg));

    memset(cfg, 0, sizeof(*cfg));
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, config_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);

    cfg->sparse_ratio = 2;
    cfg->sparse_safe = 10;
    cfg->encode_max_depth = 1000;
    cfg->decode_max_depth = 1000;
    cfg->decode_invalid_numbers = 1;
    cfg->number_precision = 14;
    cfg->keep_buffer = 1;
    cfg->empty_table_as_object = 1;
    cfg->escape_forward_slash = 1;

    memset(cfg->escape, 'u', 0x20);
    cfg->escape['\b'] = 'b';
    cfg->escape['\t'] = 't';
    cfg->escape['\n'] = 'n';
    cfg->escape['\f'] = 'f';
    cfg->escape['\r'] = 'r';
    cfg->escape['"'] = '"';
    cfg->escape['/'] = '/';
    cfg->escape['\\'] = '\\';
    cfg->escape[0x7f] = 'u';
}

static const luaL_Reg setting_funcs[] = {
    {"encode_empty_table_as_object", encode_empty_table_as_object},
    {"decode_array_with_array_mt", decode_array_with_array_mt},
    {"decode_allow_comment", decode_allow_comment},
    {"encode_sparse_array", encode_sparse_array},
    {"encode_max_depth", encode_max_depth},
    {"decode_max_depth", decode_max_depth},
    {"encode_number_precision", encode_number_precision},
    {"encode_keep_buffer", encode_keep_buffer},
    {"encode_invalid_numbers", encode_invalid_numbers},
    {"decode_invalid_numbers", decode_invalid_numbers},
    {"encode_escape_forward_slash", encode_escape_forward_slash},
    {"encode_skip_unsupported_value_types", encode_skip_unsupported_value_types},
    {"encode_indent", encode_indent},
    {NULL, NULL},
};

/* Sets field name of the module at index 1 to f over the configuration at index 2. */
static void add_function(lua_State *L, const char *name, lua_CFunction f)
{
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, f, 1);
    lua_setfield(L, 1, name);
}

static int new_module(lua_State *L, lua_CFunction new, lua_CFunction enc, lua_CFunction dec)
{
    cjson_config *cfg;

    lua_settop(L, 0);
    lua_createtable(L, 0, 32);
    push_config(L);
    cfg = lua_touserdata(L, 2);

    for (const luaL_Reg *f = setting_funcs; f->name != NULL; f++) {
        add_function(L, f->name, f->func);
    }
    add_function(L, "encode", enc);
    add_function(L, "decode", dec);
    add_function(L, "new", new);

    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, 1, "null");

    lua_pushlightuserdata(L, (void *) &cjson_array);
    lua_setfield(L, 1, "empty_array");

    cfg->array_mt = push_marker(L, &cjson_array);
    lua_setfield(L, 1, "array_mt");

    cfg->empty_array_mt = push_marker(L, &cjson_empty_array);
    lua_setfield(L, 1, "empty_array_mt");

    lua_pushliteral(L, "cjson");
    lua_setfield(L, 1, "_NAME");
    lua_pushliteral(L, "2.1.0.15");
    lua_setfield(L, 1, "_VERSION");

    lua_settop(L, 1);
    return 1;
}

int mg_open_cjson(lua_State *L)
{
    return new_module(L, mg_open_cjson, encode, decode);
}

int mg_open_cjson_safe(lua_State *L)
{
    return new_module(L, mg_open_cjson_safe, encode_safe, decode_safe);
}
