/* cfun_pb_io.c: the module pb.io: files of bytes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cfun_pb.h"

static int io_failed(lua_State *L, const char *name)
{
    int e = errno;

    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", name, strerror(e));
    lua_pushinteger(L, e);
    return 3;
}

static int io_read(lua_State *L)
{
    const char *name = luaL_optstring(L, 1, NULL);
    FILE       *f = name != NULL ? fopen(name, "rb") : stdin;
    pb_buffer  *b;
    size_t      n;

    if (f == NULL) {
        return io_failed(L, name);
    }

    lua_settop(L, 0);
    mg_open_pb_buffer(L);
    lua_settop(L, 0);
    pb_buffer_make(L, 1);
    b = lua_touserdata(L, 1);
    do {
        if (!pb_room(b, 4096)) {
            break;
        }
        n = fread(b->b + b->n, 1, 4096, f);
        b->n += n;
    } while (n == 4096);
    if (f != stdin) {
        fclose(f);
    }
    lua_pushlstring(L, (const char *) b->b, b->n);
    return 1;
}

static int write_all(lua_State *L, FILE *f, int first)
{
    int top = lua_gettop(L);

    for (int i = first; i <= top; i++) {
        const uint8_t *p;
        size_t         n;

        if (lua_type(L, i) == LUA_TNUMBER) {
            lua_tostring(L, i);
        }
        if (!pb_to_bytes(L, i, &p, &n)) {
            lua_pushnil(L);
            lua_pushfstring(L, "string/buffer/slice expected, got %s", luaL_typename(L, i));
            return 2;
        }
        if (fwrite(p, 1, n, f) != n) {
            return io_failed(L, "write");
        }
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int io_write(lua_State *L)
{
    int n = write_all(L, stdout, 1);

    fflush(stdout);
    return n;
}

static int io_dump(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    FILE       *f = fopen(name, "wb");
    int         n;

    if (f == NULL) {
        return io_failed(L, name);
    }
    n = write_all(L, f, 2);
    fclose(f);
    return n;
}

int mg_open_pb_io(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"dump", io_dump},
        {"read", io_read},
        {"write", io_write},
        {NULL, NULL},
    };

    return pb_open_table(L, functions);
}
