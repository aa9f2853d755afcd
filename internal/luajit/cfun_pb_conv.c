/* cfun_pb_conv.c: the module pb.conv: numbers as the wire format has them. */
#include <string.h>

#include "cfun_pb.h"

static int conv_int32(lua_State *L)
{
    lua_pushnumber(L, (lua_Number) (int32_t) pb_check_integer(L, 1));
    return 1;
}

static int conv_encode_int32(lua_State *L)
{
    pb_push_integer(L, (int64_t) (int32_t) pb_check_integer(L, 1), 1, PB_NUMBERS);
    return 1;
}

static int conv_uint32(lua_State *L)
{
    lua_pushnumber(L, (lua_Number) (uint32_t) pb_check_integer(L, 1));
    return 1;
}

static int conv_encode_sint32(lua_State *L)
{
    lua_pushnumber(L, (lua_Number) (uint32_t) pb_zigzag((int32_t) pb_check_integer(L, 1)));
    return 1;
}

static int conv_decode_sint32(lua_State *L)
{
    lua_pushnumber(L, (lua_Number) (int32_t) pb_unzigzag((uint32_t) pb_check_integer(L, 1)));
    return 1;
}

static int conv_encode_sint64(lua_State *L)
{
    pb_push_integer(L, (int64_t) pb_zigzag((int64_t) pb_check_integer(L, 1)), 1, PB_NUMBERS);
    return 1;
}

static int conv_decode_sint64(lua_State *L)
{
    pb_push_integer(L, pb_unzigzag(pb_check_integer(L, 1)), 0, PB_NUMBERS);
    return 1;
}

static int conv_encode_float(lua_State *L)
{
    float    x = (float) luaL_checknumber(L, 1);
    uint32_t w;

    memcpy(&w, &x, 4);
    lua_pushnumber(L, (lua_Number) w);
    return 1;
}

static int conv_decode_float(lua_State *L)
{
    uint32_t w = (uint32_t) pb_check_integer(L, 1);
    float    x;

    memcpy(&x, &w, 4);
    lua_pushnumber(L, (lua_Number) x);
    return 1;
}

static int conv_encode_double(lua_State *L)
{
    double   x = luaL_checknumber(L, 1);
    uint64_t v;

    memcpy(&v, &x, 8);
    pb_push_integer(L, (int64_t) v, 1, PB_NUMBERS);
    return 1;
}

static int conv_decode_double(lua_State *L)
{
    uint64_t v = pb_check_integer(L, 1);
    double   x;

    memcpy(&x, &v, 8);
    lua_pushnumber(L, x);
    return 1;
}

int mg_open_pb_conv(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode_double", conv_decode_double},
        {"decode_float", conv_decode_float},
        {"decode_int32", conv_int32},
        {"decode_sint32", conv_decode_sint32},
        {"decode_sint64", conv_decode_sint64},
        {"decode_uint32", conv_uint32},
        {"encode_double", conv_encode_double},
        {"encode_float", conv_encode_float},
        {"encode_int32", conv_encode_int32},
        {"encode_sint32", conv_encode_sint32},
        {"encode_sint64", conv_encode_sint64},
        {"encode_uint32", conv_uint32},
        {NULL, NULL},
    };

    return pb_open_table(L, functions);
}
