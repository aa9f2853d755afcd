/* cfun_pb_buffer.c: the module pb.buffer: writing the wire format by hand. */
#include <stdlib.h>
#include <string.h>

#include "cfun_pb.h"

static const char buffer_name[] = "pb.Buffer";

pb_buffer *pb_test_buffer(lua_State *L, int idx)
{
    return pb_test_class(L, idx, buffer_name);
}

static pb_buffer *check_buffer(lua_State *L, int arg)
{
    return luaL_checkudata(L, arg, buffer_name);
}

static void append(lua_State *L, pb_buffer *b, const void *p, size_t n)
{
    if (!pb_room(b, n + 10)) {
        luaL_error(L, "out of memory");
    }
    pb_put_bytes(b, p, n);
}

static void append_args(lua_State *L, pb_buffer *b, int first, int last)
{
    for (int i = first; i <= last; i++) {
        size_t         n;
        const uint8_t *p = pb_check_bytes(L, i, &n);

        if (p == b->b && n > 0) {         /* itself: it may move */
            lua_pushlstring(L, (const char *) p, n);
            p = (const uint8_t *) lua_tolstring(L, -1, &n);
        }
        append(L, b, p, n);
    }
}

/* Makes a buffer of the arguments from first on. */
int pb_buffer_make(lua_State *L, int first)
{
    int        top = lua_gettop(L);
    pb_buffer *b = lua_newuserdata(L, sizeof(*b));

    memset(b, 0, sizeof(*b));
    luaL_getmetatable(L, buffer_name);
    lua_setmetatable(L, -2);
    append_args(L, b, first, top);
    lua_settop(L, top + 1);
    return 1;
}

static int buffer_new(lua_State *L)
{
    return pb_buffer_make(L, 1);
}

static int buffer_call(lua_State *L)
{
    return pb_buffer_make(L, 2);
}

static int buffer_delete(lua_State *L)
{
    pb_buffer *b = pb_test_buffer(L, 1);

    if (b != NULL) {
        free(b->b);
        memset(b, 0, sizeof(*b));
    }
    return 0;
}

static int buffer_reset(lua_State *L)
{
    int        top = lua_gettop(L);
    pb_buffer *b = check_buffer(L, 1);

    b->n = 0;
    append_args(L, b, 2, top);
    lua_settop(L, 1);
    return 1;
}

static int buffer_tostring(lua_State *L)
{
    lua_pushfstring(L, "pb.Buffer: %p", check_buffer(L, 1));
    return 1;
}

static int buffer_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer) check_buffer(L, 1)->n);
    return 1;
}

/* Appends the argument arg as the format letter c has it. */
static void pack_one(lua_State *L, pb_buffer *b, char c, int arg)
{
    const uint8_t *p;
    size_t         n;
    uint64_t       v = 0;
    uint32_t       w;
    double         x;
    float          single;
    int            type = pb_type_of_letter(c);

    if (!pb_room(b, 24)) {
        luaL_error(L, "out of memory");
    }

    switch (c) {
    case 'c':
        append_args(L, b, arg, arg);
        return;

    case 's':
    case 't':
    case 'S':
        p = pb_check_bytes(L, arg, &n);
        pb_put_varint(b, n);
        append(L, b, p, n);
        return;

    case 'b':
        pb_put_varint(b, (uint64_t) lua_toboolean(L, arg));
        return;

    case 'f':
        single = (float) luaL_checknumber(L, arg);
        pb_put_bytes(b, &single, 4);
        return;

    case 'F':
        x = luaL_checknumber(L, arg);
        pb_put_bytes(b, &x, 8);
        return;
    }

    v = pb_check_integer(L, arg);
    switch (c) {
    case 'd':
    case 'x':
    case 'y':
        w = (uint32_t) v;
        pb_put_bytes(b, &w, 4);
        return;

    case 'q':
    case 'X':
    case 'Y':
        pb_put_bytes(b, &v, 8);
        return;
    }

    switch (type) {
    case PB_INT32: v = (uint64_t) (int64_t) (int32_t) v; break;
    case PB_UINT32: v = (uint32_t) v; break;
    case PB_SINT32: v = (uint32_t) pb_zigzag((int32_t) v); break;
    case PB_SINT64: v = pb_zigzag((int64_t) v); break;
    }
    pb_put_varint(b, v);
}

static void pack(lua_State *L, pb_buffer *b, int arg, const char *fmt)
{
    size_t open[PB_LEVELS];
    int    level = 0;

    for ( ; *fmt != '\0'; fmt++) {
        switch (*fmt) {
        case '(':
            luaL_argcheck(L, level < PB_LEVELS, 1, "format level overflow");
            if (!pb_room(b, 10)) {
                luaL_error(L, "out of memory");
            }
            open[level++] = b->n++;
            continue;

        case ')':
            luaL_argcheck(L, level > 0, 1, "unexpected ')' in format");
            if (!pb_put_length(b, open[--level])) {
                luaL_error(L, "out of memory");
            }
            continue;

        case '#': {
            size_t at = (size_t) pb_check_integer(L, arg++);

            luaL_argcheck(L, at <= b->n, arg - 1, "encode bytes failed");
            append(L, b, "", 1);
            memmove(b->b + at + 1, b->b + at, b->n - at - 1);
            if (!pb_put_length(b, at)) {
                luaL_error(L, "out of memory");
            }
            continue;
        }
        }

        if (strchr("cdqs", *fmt) == NULL && (pb_type_of_letter(*fmt) < 0 || *fmt == 'g')) {
            luaL_argerror(L, 1, lua_pushfstring(L, "invalid formater: '%c'", *fmt));
        }
        pack_one(L, b, *fmt, arg++);
    }

    luaL_argcheck(L, level == 0, 2, "unmatch '(' in format");
}

/* b:pack(fmt, ...), or pb.buffer.pack(fmt, ...), which gives a string */
static int buffer_pack(lua_State *L)
{
    pb_buffer *b = pb_test_buffer(L, 1);

    if (b != NULL) {
        pack(L, b, 3, luaL_checkstring(L, 2));
        lua_settop(L, 1);
        return 1;
    }

    luaL_checkstring(L, 1);
    b = lua_newuserdata(L, sizeof(*b));
    memset(b, 0, sizeof(*b));
    luaL_getmetatable(L, buffer_name);
    lua_setmetatable(L, -2);
    lua_insert(L, 1);
    pack(L, b, 3, lua_tostring(L, 2));
    lua_pushlstring(L, (const char *) b->b, b->n);
    return 1;
}

int mg_open_pb_buffer(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"__gc", buffer_delete},
        {"__len", buffer_len},
        {"__tostring", buffer_tostring},
        {"delete", buffer_delete},
        {"len", buffer_len},
        {"new", buffer_new},
        {"pack", buffer_pack},
        {"reset", buffer_reset},
        {"result", pb_result},
        {"tohex", pb_tohex},
        {NULL, NULL},
    };

    return pb_open_class(L, buffer_name, functions, buffer_call);
}
