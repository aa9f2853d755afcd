/*
 * cfun_strings.c: the pure functions of ngx.* as Lua functions. Argument checks and error texts are those of
 * resty.core (an error of level N there is luaL_where(N - 1) here) and of the Lua module.
 */
#include "cfun.h"

#include <stdlib.h>
#include <string.h>

/* Results up to this size are made on the C stack. */
#define LOCAL_SIZE 2048

static uint8_t *result_buf(lua_State *L, uint8_t *local, size_t n)
{
    uint8_t *p;

    if (n <= LOCAL_SIZE) {
        return local;
    }

    p = malloc(n);
    if (p == NULL) {
        luaL_error(L, "no memory");
    }

    return p;
}

static int push_result(lua_State *L, uint8_t *local, uint8_t *buf, size_t n)
{
    lua_pushlstring(L, (char *) buf, n);

    if (buf != local) {
        free(buf);
    }

    return 1;
}

/* Argument 1 as resty.core takes it: nil and false are "", anything else goes through tostring(). */
static const uint8_t *text_arg(lua_State *L, size_t *len)
{
    int top = lua_gettop(L);

    switch (lua_type(L, 1)) {
    case LUA_TSTRING:
    case LUA_TNUMBER:
        break;

    case LUA_TBOOLEAN:
        if (lua_toboolean(L, 1)) {
            *len = 4;
            return (const uint8_t *) "true";
        }
        /* fall through */

    case LUA_TNIL:
    case LUA_TNONE:
        *len = 0;
        return (const uint8_t *) "";

    default:
        lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
        lua_getfield(L, -1, "_G");
        lua_getfield(L, -1, "tostring");
        lua_pushvalue(L, 1);
        lua_call(L, 1, 1);
        lua_replace(L, 1);
        lua_settop(L, top);
    }

    return (const uint8_t *) lua_tolstring(L, 1, len);
}

static const uint8_t *string_arg(lua_State *L, size_t *len)
{
    if (lua_type(L, 1) != LUA_TSTRING) {
        luaL_error(L, "string argument only");
    }

    return (const uint8_t *) lua_tolstring(L, 1, len);
}

/* ---- escapes ---- */

static int ngx_escape_uri(lua_State *L)
{
    uint8_t         local[LOCAL_SIZE], *buf;
    const uint8_t  *s;
    size_t          len, escapes;
    int             type = MG_ESCAPE_URI_COMPONENT;

    s = text_arg(L, &len);

    if (!lua_isnoneornil(L, 2)) {
        lua_Number t;

        if (lua_type(L, 2) != LUA_TNUMBER) {
            luaL_where(L, 2);
            lua_pushliteral(L, "\"type\" is not a number");
            lua_concat(L, 2);
            return lua_error(L);
        }

        t = lua_tonumber(L, 2);
        if (!(t >= MG_ESCAPE_URI && t <= MG_ESCAPE_MAIL_AUTH)) {
            luaL_where(L, 2);
            lua_pushfstring(L, "\"type\" %s out of range", lua_tostring(L, 2));
            lua_concat(L, 2);
            return lua_error(L);
        }

        type = (int) t;
    }

    escapes = mg_escape_count(s, len, type);
    if (escapes == 0) {
        if (lua_type(L, 1) == LUA_TSTRING) {
            lua_pushvalue(L, 1);

        } else {
            lua_pushlstring(L, (const char *) s, len);
        }
        return 1;
    }

    buf = result_buf(L, local, len + 2 * escapes);
    mg_escape_uri(buf, s, len, type);
    return push_result(L, local, buf, len + 2 * escapes);
}

static int ngx_unescape_uri(lua_State *L)
{
    uint8_t         local[LOCAL_SIZE], *buf;
    const uint8_t  *s;
    size_t          len;

    s = text_arg(L, &len);
    buf = result_buf(L, local, len);
    return push_result(L, local, buf, (size_t) (mg_unescape_uri(buf, s, len) - buf));
}

static int ngx_encode_args(lua_State *L)
{
    if (lua_gettop(L) != 1) {
        return luaL_error(L, "expecting 1 argument but seen %d", lua_gettop(L));
    }

    luaL_checktype(L, 1, LUA_TTABLE);
    mg_encode_args(L, 1);
    return 1;
}

static int ngx_decode_args(lua_State *L)
{
    int          n = lua_gettop(L), max = MG_MAX_ARGS;
    const char  *s;
    size_t       len;

    if (n != 1 && n != 2) {
        return luaL_error(L, "expecting 1 or 2 arguments but seen %d", n);
    }

    s = luaL_checklstring(L, 1, &len);
    if (n == 2) {
        max = luaL_checkint(L, 2);
    }

    if (mg_push_post_args(L, s, len, max)) {
        lua_pushliteral(L, "truncated");
        return 2;
    }

    return 1;
}

static int ngx_quote_sql_str(lua_State *L)
{
    uint8_t         local[LOCAL_SIZE], *buf;
    const uint8_t  *s;
    size_t          len, n;

    if (lua_gettop(L) != 1) {
        return luaL_error(L, "expecting one argument");
    }

    s = (const uint8_t *) luaL_checklstring(L, 1, &len);
    n = mg_quote_sql_length(s, len);
    buf = result_buf(L, local, n);
    mg_quote_sql(buf, s, len);
    return push_result(L, local, buf, n);
}

/* ---- Base64 ---- */

static int ngx_encode_base64(lua_State *L)
{
    uint8_t         local[LOCAL_SIZE], *buf;
    const uint8_t  *s;
    size_t          len;

    s = text_arg(L, &len);

    if (lua_toboolean(L, 2) && lua_type(L, 2) != LUA_TBOOLEAN) {
        return luaL_error(L, "bad no_padding: boolean expected, got %s", luaL_typename(L, 2));
    }

    buf = result_buf(L, local, (len + 2) / 3 * 4);
    return push_result(L, local, buf, mg_encode_base64(buf, s, len, lua_toboolean(L, 2)));
}

/* Pushes the decoded text or returns 0. */
static int decode(lua_State *L, const uint8_t *s, size_t len, ptrdiff_t (*fn)(uint8_t *, const uint8_t *, size_t))
{
    uint8_t    local[LOCAL_SIZE], *buf;
    ptrdiff_t  n;

    buf = result_buf(L, local, (len + 3) / 4 * 3);
    n = fn(buf, s, len);
    if (n < 0) {
        if (buf != local) {
            free(buf);
        }
        return 0;
    }

    return push_result(L, local, buf, (size_t) n);
}

static int ngx_decode_base64(lua_State *L)
{
    size_t          len;
    const uint8_t  *s = string_arg(L, &len);

    if (!decode(L, s, len, mg_decode_base64)) {
        lua_pushnil(L);
    }
    return 1;
}

static int ngx_decode_base64mime(lua_State *L)
{
    size_t          len;
    const uint8_t  *s = string_arg(L, &len);

    if (!decode(L, s, len, mg_decode_base64mime)) {
        lua_pushnil(L);
    }
    return 1;
}

static int base64_encode_url(lua_State *L)
{
    uint8_t         local[LOCAL_SIZE], *buf;
    const uint8_t  *s;
    size_t          len;

    if (lua_type(L, 1) != LUA_TSTRING) {
        lua_pushnil(L);
        lua_pushliteral(L, "must provide a string");
        return 2;
    }

    s = (const uint8_t *) lua_tolstring(L, 1, &len);
    buf = result_buf(L, local, (len + 2) / 3 * 4);
    return push_result(L, local, buf, mg_encode_base64url(buf, s, len));
}

static int base64_decode_url(lua_State *L)
{
    const uint8_t  *s;
    size_t          len;

    if (lua_type(L, 1) != LUA_TSTRING) {
        lua_pushnil(L);
        lua_pushliteral(L, "must provide a string");
        return 2;
    }

    s = (const uint8_t *) lua_tolstring(L, 1, &len);
    if (decode(L, s, len, mg_decode_base64url)) {
        return 1;
    }

    lua_pushnil(L);
    lua_pushliteral(L, "invalid input");
    return 2;
}

/* ---- digests ---- */

static int ngx_md5_bin(lua_State *L)
{
    uint8_t         sum[16];
    size_t          len;
    const uint8_t  *s = text_arg(L, &len);

    mg_md5(sum, s, len);
    lua_pushlstring(L, (char *) sum, sizeof(sum));
    return 1;
}

static int ngx_md5(lua_State *L)
{
    uint8_t         sum[16], hex[32];
    size_t          len;
    const uint8_t  *s = text_arg(L, &len);

    mg_md5(sum, s, len);
    mg_hex(hex, sum, sizeof(sum));
    lua_pushlstring(L, (char *) hex, sizeof(hex));
    return 1;
}

static int ngx_sha1_bin(lua_State *L)
{
    uint8_t         sum[20];
    size_t          len;
    const uint8_t  *s = text_arg(L, &len);

    mg_sha1(sum, s, len);
    lua_pushlstring(L, (char *) sum, sizeof(sum));
    return 1;
}

static int ngx_hmac_sha1(lua_State *L)
{
    uint8_t      sum[20];
    size_t       klen, len;
    const char  *key, *s;

    if (lua_gettop(L) != 2) {
        return luaL_error(L, "expecting 2 arguments, but got %d", lua_gettop(L));
    }

    key = luaL_checklstring(L, 1, &klen);
    s = luaL_checklstring(L, 2, &len);

    mg_hmac_sha1(sum, (const uint8_t *) key, klen, (const uint8_t *) s, len);
    lua_pushlstring(L, (char *) sum, sizeof(sum));
    return 1;
}

static int ngx_crc32(lua_State *L)
{
    size_t          len;
    const uint8_t  *s = text_arg(L, &len);

    lua_pushnumber(L, (lua_Number) mg_crc32(s, len));
    return 1;
}

/* ---- dates ---- */

static int64_t seconds_arg(lua_State *L)
{
    lua_Number d;

    if (lua_type(L, 1) != LUA_TNUMBER) {
        luaL_error(L, "number argument only");
    }

    d = lua_tonumber(L, 1);
    return d > -9e18 && d < 9e18 ? (int64_t) d : -1;   /* no number of seconds: the epoch, as FFI makes it */
}

static int ngx_cookie_time(lua_State *L)
{
    char buf[32];

    lua_pushlstring(L, buf, mg_cookie_time(buf, seconds_arg(L)));
    return 1;
}

static int ngx_http_time(lua_State *L)
{
    char buf[32];

    lua_pushlstring(L, buf, mg_http_time(buf, seconds_arg(L)));
    return 1;
}

static int ngx_parse_http_time(lua_State *L)
{
    size_t          len;
    const uint8_t  *s = string_arg(L, &len);
    int64_t         sec = mg_parse_http_time((const char *) s, len);

    if (sec == -1) {
        lua_pushnil(L);

    } else {
        lua_pushnumber(L, (lua_Number) sec);
    }
    return 1;
}

/* Named as under "ngx.". */
static const luaL_Reg string_funcs[] = {
    {"escape_uri", ngx_escape_uri},
    {"unescape_uri", ngx_unescape_uri},
    {"encode_args", ngx_encode_args},
    {"decode_args", ngx_decode_args},
    {"quote_sql_str", ngx_quote_sql_str},
    {"encode_base64", ngx_encode_base64},
    {"decode_base64", ngx_decode_base64},
    {"decode_base64mime", ngx_decode_base64mime},
    {"md5", ngx_md5},
    {"md5_bin", ngx_md5_bin},
    {"sha1_bin", ngx_sha1_bin},
    {"hmac_sha1", ngx_hmac_sha1},
    {"crc32_short", ngx_crc32},
    {"crc32_long", ngx_crc32},
    {"cookie_time", ngx_cookie_time},
    {"http_time", ngx_http_time},
    {"parse_http_time", ngx_parse_http_time},
    {NULL, NULL},
};

int mg_open_ngx_strings(lua_State *L)
{
    lua_createtable(L, 0, (int) (sizeof(string_funcs) / sizeof(string_funcs[0])));
    luaL_register(L, NULL, string_funcs);
    return 1;
}

/* The module ngx.base64. */
int mg_open_ngx_base64(lua_State *L)
{
    static const luaL_Reg funcs[] = {
        {"encode_base64url", base64_encode_url},
        {"decode_base64url", base64_decode_url},
        {NULL, NULL},
    };

    lua_createtable(L, 0, 2);
    luaL_register(L, NULL, funcs);
    return 1;
}
