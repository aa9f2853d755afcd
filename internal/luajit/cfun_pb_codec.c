/*
 * cfun_pb_codec.c: the module pb.codec: a state of its own, whose encoders and decoders, one for each type, are
 * functions.
 */
#include "cfun_pb.h"

/* Upvalues of an encoder or decoder: the state, its environment, the type. */
static int codec_encode(lua_State *L)
{
    pb_state *st = lua_touserdata(L, lua_upvalueindex(1));
    pb_type  *t = lua_touserdata(L, lua_upvalueindex(3));

    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(2));
    if (pb_encode_value(L, st, t, 2, 1, NULL)) {
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
    const uint8_t *p = pb_check_bytes(L, 1, &n);

    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(2));
    if (pb_decode_value(L, st, t, 3, p, n, 2)) {
        return 1;
    }
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int codec_of(lua_State *L, lua_CFunction f)
{
    pb_state   *st = luaL_checkudata(L, 1, pb_state_name);
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
    pb_state      *st = luaL_checkudata(L, 1, pb_state_name);
    size_t         n;
    const uint8_t *p = pb_check_bytes(L, 2, &n);

    pb_check_idle(L, st);
    return pb_load_bytes(L, st, p, n);
}

static int state_option(lua_State *L)
{
    pb_set_option(L, luaL_checkudata(L, 1, pb_state_name), 2);
    return 0;
}

static int codec_new(lua_State *L)
{
    pb_state *st = pb_push_state(L);

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

    pb_push_state(L);
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
