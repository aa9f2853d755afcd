/* cfun_pb_slice.c: the module pb.slice: reading the wire format by hand. */
#include <string.h>

#include "cfun_pb.h"

static const char slice_name[] = "pb.Slice";

/* A slice is a view of bytes that its environment anchors, and the views around it. */
typedef struct {
    pb_view view;
    int     used;
    pb_view outer[PB_LEVELS];
} slice;

pb_view *pb_test_slice(lua_State *L, int idx)
{
    return pb_test_class(L, idx, slice_name);
}

static slice *check_slice(lua_State *L, int arg)
{
    return luaL_checkudata(L, arg, slice_name);
}

/* Makes the slice at index at a view of argument arg, a part of it when the two after it say so. */
static void slice_init(lua_State *L, int at, slice *s, int arg)
{
    size_t         n, from;
    const uint8_t *p;

    memset(s, 0, sizeof(*s));
    s->view.p = s->view.end = s->view.start = (const uint8_t *) "";
    if (lua_isnoneornil(L, arg)) {
        return;
    }

    p = pb_check_bytes(L, arg, &n);
    if (lua_type(L, arg) != LUA_TSTRING) {           /* what it views may change or go */
        lua_pushlstring(L, (const char *) p, n);
        lua_replace(L, arg);
        p = (const uint8_t *) lua_tolstring(L, arg, &n);
    }

    lua_createtable(L, 1, 0);
    lua_pushvalue(L, arg);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, at);

    s->outer[s->used++] = (pb_view) {p, p + n, p};
    n = pb_range(L, arg + 1, n, &from);
    s->view = (pb_view) {p + from, p + from + n, p};
}

static int slice_make(lua_State *L, int first)
{
    slice *s;

    lua_settop(L, first + 2);
    s = lua_newuserdata(L, sizeof(*s));
    memset(s, 0, sizeof(*s));
    luaL_getmetatable(L, slice_name);
    lua_setmetatable(L, -2);
    slice_init(L, first + 3, s, first);
    lua_settop(L, first + 3);
    return 1;
}

static int slice_new(lua_State *L)
{
    return slice_make(L, 1);
}

static int slice_call(lua_State *L)
{
    return slice_make(L, 2);
}

static int slice_reset(lua_State *L)
{
    slice *s = check_slice(L, 1);

    lua_settop(L, 4);
    slice_init(L, 1, s, 2);
    lua_settop(L, 1);
    return 1;
}

static int slice_tostring(lua_State *L)
{
    lua_pushfstring(L, "pb.Slice: %p", check_slice(L, 1));
    return 1;
}

static int slice_len(lua_State *L)
{
    slice *s = check_slice(L, 1);

    lua_pushinteger(L, s->view.end - s->view.p);
    lua_pushinteger(L, s->view.p - s->view.start + 1);
    return 2;
}

static int slice_level(lua_State *L)
{
    slice    *s = check_slice(L, 1);
    pb_view  *v, *base = s->used > 0 ? &s->outer[0] : &s->view;
    ptrdiff_t level;

    if (lua_isnoneornil(L, 2)) {
        lua_pushinteger(L, s->used);
        return 1;
    }

    level = luaL_checkinteger(L, 2);
    if (level < 0) {
        level += s->used + 1;
    }
    if (level < 0 || level > s->used) {
        return 0;
    }
    v = level == s->used ? &s->view : &s->outer[level];
    lua_pushinteger(L, v->p - base->start + 1);
    lua_pushinteger(L, v->start - base->start + 1);
    lua_pushinteger(L, v->end - base->start);
    return 3;
}

static int slice_enter(lua_State *L)
{
    slice   *s = check_slice(L, 1);
    pb_view  v;
    size_t   n, from;
    uint64_t len;

    luaL_argcheck(L, s->used < PB_LEVELS, 1, "too many levels");
    if (lua_isnoneornil(L, 2)) {
        const uint8_t *p = pb_read_varint(s->view.p, s->view.end, &len);

        if (p == NULL || len > (uint64_t) (s->view.end - p)) {
            return luaL_argerror(L, 1, lua_pushfstring(L, "bytes wireformat expected at offset %d",
                                                       (int) (s->view.p - s->view.start) + 1));
        }
        v = (pb_view) {p, p + len, p};
        s->view.p = p + len;
    } else {
        lua_settop(L, 3);
        n = pb_range(L, 2, (size_t) (s->view.end - s->view.p), &from);
        v = (pb_view) {s->view.p + from, s->view.p + from + n, s->view.p + from};
    }

    s->outer[s->used++] = s->view;
    s->view = v;
    lua_settop(L, 1);
    return 1;
}

static int slice_leave(lua_State *L)
{
    slice    *s = check_slice(L, 1);
    ptrdiff_t n = luaL_optinteger(L, 2, 1);

    if (n < 0) {
        n += s->used + 1;
    }
    if (n < 0 || n > s->used) {
        return luaL_argerror(L, 2, lua_pushfstring(L, "level (%d) exceed max level %d", (int) n, s->used));
    }
    if (n > 0) {
        s->used -= (int) n;
        s->view = s->outer[s->used];
        if (s->used == 0) {
            s->used = 1;
        }
    }
    lua_settop(L, 1);
    lua_pushinteger(L, s->used);
    return 2;
}

/* Reads what the format letter c says and pushes it; 0: what is there does not fit. */
static int unpack_one(lua_State *L, pb_view *s, char c)
{
    const uint8_t *p = s->p;
    uint64_t       v = 0;
    uint32_t       w = 0;
    double         x;
    float          single;

    if (strchr("dxyf", c) != NULL) {
        if (s->end - p < 4) {
            return 0;
        }
        memcpy(&w, p, 4);
        memcpy(&single, p, 4);
        s->p = p + 4;
        lua_pushnumber(L, c == 'f' ? (lua_Number) single : c == 'y' ? (lua_Number) (int32_t) w : (lua_Number) w);
        return 1;
    }
    if (strchr("qXYF", c) != NULL) {
        if (s->end - p < 8) {
            return 0;
        }
        memcpy(&v, p, 8);
        memcpy(&x, p, 8);
        s->p = p + 8;
        if (c == 'F') {
            lua_pushnumber(L, x);
        } else {
            pb_push_integer(L, (int64_t) v, c != 'Y', PB_NUMBERS);
        }
        return 1;
    }

    p = pb_read_varint(p, s->end, &v);
    if (p == NULL) {
        return 0;
    }
    switch (c) {
    case 's':
    case 't':
    case 'S':
        if (v > (uint64_t) (s->end - p)) {
            return 0;
        }
        lua_pushlstring(L, (const char *) p, (size_t) v);
        p += v;
        break;
    case 'b': lua_pushboolean(L, v != 0); break;
    case 'i': lua_pushnumber(L, (int32_t) v); break;
    case 'u': lua_pushnumber(L, (uint32_t) v); break;
    case 'j': lua_pushnumber(L, (int32_t) pb_unzigzag((uint32_t) v)); break;
    case 'I': pb_push_integer(L, (int64_t) v, 0, PB_NUMBERS); break;
    case 'J': pb_push_integer(L, pb_unzigzag(v), 0, PB_NUMBERS); break;
    default: pb_push_integer(L, (int64_t) v, 1, PB_NUMBERS);
    }
    s->p = p;
    return 1;
}

static int unpack(lua_State *L, pb_view *s, const char *fmt, int arg)
{
    int       top = lua_gettop(L), n = 0;
    ptrdiff_t len = s->end - s->start, to;

    for ( ; *fmt != '\0'; fmt++) {
        luaL_checkstack(L, 5, "too many values");
        switch (*fmt) {
        case '@':
            lua_pushinteger(L, s->p - s->start + 1);
            n++;
            continue;

        case '*':
        case '+':
            luaL_argcheck(L, arg <= top, 1, "format argument exceed");
            to = luaL_checkinteger(L, arg++);
            if (*fmt == '+') {
                to += s->p - s->start + 1;
            } else if (to < 0) {
                to += len + 1;
            }
            to = to < 1 ? 1 : to > len ? len + 1 : to;
            s->p = s->start + to - 1;
            continue;
        }

        if (s->p >= s->end) {
            lua_pushnil(L);
            return n + 1;
        }
        if (*fmt == 'c') {
            luaL_argcheck(L, arg <= top, 1, "format argument exceed");
            to = luaL_checkinteger(L, arg++);
            if (to < 0 || to > s->end - s->p) {
                return luaL_error(L, "invalid sub string at offset %d", (int) (s->p - s->start) + 1);
            }
            lua_pushlstring(L, (const char *) s->p, (size_t) to);
            s->p += to;
        } else {
            if (strchr("dqs", *fmt) == NULL && (pb_type_of_letter(*fmt) < 0 || *fmt == 'g')) {
                return luaL_argerror(L, 1, lua_pushfstring(L, "invalid formater: '%c'", *fmt));
            }
            if (!unpack_one(L, s, *fmt)) {
                return luaL_error(L, "invalid value at offset %d", (int) (s->p - s->start) + 1);
            }
        }
        n++;
    }

    return n;
}

/* s:unpack(fmt, ...); the first argument may be a string as well */
static int slice_unpack(lua_State *L)
{
    pb_view *s = pb_test_slice(L, 1), v;
    size_t   n;

    if (s == NULL) {
        const uint8_t *p = pb_check_bytes(L, 1, &n);

        v = (pb_view) {p, p + n, p};
        s = &v;
    }
    return unpack(L, s, luaL_checkstring(L, 2), 3);
}

int mg_open_pb_slice(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"__len", slice_len},
        {"__tostring", slice_tostring},
        {"delete", slice_reset},
        {"enter", slice_enter},
        {"leave", slice_leave},
        {"len", slice_len},
        {"level", slice_level},
        {"new", slice_new},
        {"reset", slice_reset},
        {"result", pb_result},
        {"tohex", pb_tohex},
        {"unpack", slice_unpack},
        {NULL, NULL},
    };

    return pb_open_class(L, slice_name, functions, slice_call);
}
