/* cfun_pb_raw.c: what pb.buffer, pb.slice, pb.conv and pb.io have in common: arguments, format letters, classes. */
#include <string.h>

#include "cfun_pb.h"

const uint8_t *pb_check_bytes(lua_State *L, int arg, size_t *n)
{
    const uint8_t *p;

    if (!pb_to_bytes(L, arg, &p, n)) {
        luaL_argerror(L, arg, lua_pushfstring(L, "string/buffer/slice expected, got %s", luaL_typename(L, arg)));
    }
    return p;
}

uint64_t pb_check_integer(lua_State *L, int arg)
{
    uint64_t v;

    if (!pb_to_integer(L, arg, &v)) {
        if (lua_type(L, arg) == LUA_TSTRING) {
            luaL_error(L, "integer format error: '%s'", lua_tostring(L, arg));
        }
        luaL_argerror(L, arg, lua_pushfstring(L, "number/string expected, got %s", luaL_typename(L, arg)));
    }
    return v;
}

/* The range that arguments arg and arg + 1 name, as string.sub has it: from (0-based) and its length. */
size_t pb_range(lua_State *L, int arg, size_t size, size_t *from)
{
    ptrdiff_t i = luaL_optinteger(L, arg, 1), j = luaL_optinteger(L, arg + 1, -1), n = (ptrdiff_t) size;

    if (i < 0) {
        i = i < -n ? 1 : n + i + 1;
    }
    if (j < 0) {
        j = n + j + 1;
    }
    i = i < 1 ? 1 : i;
    j = j > n ? n : j;
    *from = (size_t) (i > n ? n : i - 1);
    return i > j ? 0 : (size_t) (j - i + 1);
}

/* pb.result(data [, i [, j]]) */
int pb_result(lua_State *L)
{
    size_t         n, from;
    const uint8_t *p;

    lua_settop(L, 3);
    p = pb_check_bytes(L, 1, &n);
    n = pb_range(L, 2, n, &from);
    lua_pushlstring(L, n > 0 ? (const char *) p + from : "", n);
    return 1;
}

int pb_tohex(lua_State *L)
{
    luaL_Buffer    b;
    size_t         n, from;
    const uint8_t *p;

    lua_settop(L, 3);
    p = pb_check_bytes(L, 1, &n);
    n = pb_range(L, 2, n, &from);
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            luaL_addchar(&b, ' ');
        }
        luaL_addchar(&b, "0123456789ABCDEF"[p[from + i] >> 4]);
        luaL_addchar(&b, "0123456789ABCDEF"[p[from + i] & 15]);
    }
    luaL_pushresult(&b);
    return 1;
}

/* ---- formats ---- */

/* The letters of types, by their numbers. */
static const char letters[] = " FfIUiXxbtgSsuvyYjJ";
static const char wire_letters[] = "vqs!!d";
static const char *const wire_names[] = {"varint", "64bit", "bytes", "gstart", "gend", "32bit"};

int pb_type_of_letter(char c)
{
    const char *at = c != ' ' && c != '\0' ? strchr(letters, c) : NULL;

    return at != NULL ? (int) (at - letters) : -1;
}

/* pb.typefmt: the letter of a type's name, or the name of a letter; and the number that goes with it. */
int pb_typefmt(lua_State *L, const char *s, size_t n, int is_type)
{
    char letter[2] = "!";
    int  i;

    if (n == 1) {
        i = pb_type_of_letter(*s);
        lua_pushstring(L, i > 0 ? pb_type_name(i) : "!");
        lua_pushinteger(L, i);
        return 2;
    }
    if (is_type) {
        lua_pushliteral(L, "message");
        lua_pushinteger(L, PB_LENGTH);
        return 2;
    }

    for (i = PB_DOUBLE; i <= PB_SINT64; i++) {
        if (strcmp(pb_type_name(i), s) == 0) {
            letter[0] = letters[i];
            lua_pushstring(L, letter);
            lua_pushinteger(L, pb_wire_of(i));
            return 2;
        }
    }
    for (i = 0; i < 6; i++) {
        if (strcmp(wire_names[i], s) == 0) {
            letter[0] = wire_letters[i];
            break;
        }
    }
    lua_pushstring(L, letter);
    lua_pushinteger(L, i < 6 ? i : PB_MESSAGE);
    return 2;
}

/* ---- classes and tables of functions ---- */

/* The userdata at idx when it is of a class, else NULL. */
void *pb_test_class(lua_State *L, int idx, const char *name)
{
    void *p = lua_touserdata(L, idx);

    if (p == NULL || !lua_getmetatable(L, idx)) {
        return NULL;
    }
    luaL_getmetatable(L, name);
    if (!lua_rawequal(L, -1, -2)) {
        p = NULL;
    }
    lua_pop(L, 2);
    return p;
}

/* Makes the metatable of a class, which is its module as well. */
int pb_open_class(lua_State *L, const char *name, const luaL_Reg *functions, lua_CFunction call)
{
    if (luaL_newmetatable(L, name)) {
        for (const luaL_Reg *f = functions; f->name != NULL; f++) {
            lua_pushcfunction(L, f->func);
            lua_setfield(L, -2, f->name);
        }
        lua_pushvalue(L, -1);
        lua_setfield(L, -2, "__index");
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, call);
        lua_setfield(L, -2, "__call");
        lua_setmetatable(L, -2);
    }
    return 1;
}

int pb_open_table(lua_State *L, const luaL_Reg *functions)
{
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}
