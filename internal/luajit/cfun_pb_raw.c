/* cfun_pb_raw.c: the modules pb.buffer, pb.slice, pb.conv and pb.io: the wire format by hand. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfun_pb.h"

static const char buffer_name[] = "pb.Buffer", slice_name[] = "pb.Slice";

#define LEVELS 64                 /* how deep a slice is entered */

/* A slice is a view of bytes that its environment anchors, and the views around it. */
typedef struct {
    pb_view view;
    int     used;
    pb_view outer[LEVELS];
} slice;

static void *test(lua_State *L, int idx, const char *name)
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

pb_buffer *pb_test_buffer(lua_State *L, int idx)
{
    return test(L, idx, buffer_name);
}

pb_view *pb_test_slice(lua_State *L, int idx)
{
    return test(L, idx, slice_name);
}

static const uint8_t *check_bytes(lua_State *L, int arg, size_t *n)
{
    const uint8_t *p;

    if (!pb_to_bytes(L, arg, &p, n)) {
        luaL_argerror(L, arg, lua_pushfstring(L, "string/buffer/slice expected, got %s", luaL_typename(L, arg)));
    }
    return p;
}

static uint64_t check_integer(lua_State *L, int arg)
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
static size_t range(lua_State *L, int arg, size_t size, size_t *from)
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
    p = check_bytes(L, 1, &n);
    n = range(L, 2, n, &from);
    lua_pushlstring(L, n > 0 ? (const char *) p + from : "", n);
    return 1;
}

static int tohex(lua_State *L)
{
    luaL_Buffer    b;
    size_t         n, from;
    const uint8_t *p;

    lua_settop(L, 3);
    p = check_bytes(L, 1, &n);
    n = range(L, 2, n, &from);
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

static int type_of_letter(char c)
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
        i = type_of_letter(*s);
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

/* ---- pb.buffer ---- */

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
        const uint8_t *p = check_bytes(L, i, &n);

        if (p == b->b && n > 0) {         /* itself: it may move */
            lua_pushlstring(L, (const char *) p, n);
            p = (const uint8_t *) lua_tolstring(L, -1, &n);
        }
        append(L, b, p, n);
    }
}

static int buffer_make(lua_State *L, int first)
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
    return buffer_make(L, 1);
}

static int buffer_call(lua_State *L)
{
    return buffer_make(L, 2);
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
    int            type = type_of_letter(c);

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
        p = check_bytes(L, arg, &n);
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

    v = check_integer(L, arg);
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
    size_t open[LEVELS];
    int    level = 0;

    for ( ; *fmt != '\0'; fmt++) {
        switch (*fmt) {
        case '(':
            luaL_argcheck(L, level < LEVELS, 1, "format level overflow");
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
            size_t at = (size_t) check_integer(L, arg++);

            luaL_argcheck(L, at <= b->n, arg - 1, "encode bytes failed");
            append(L, b, "", 1);
            memmove(b->b + at + 1, b->b + at, b->n - at - 1);
            if (!pb_put_length(b, at)) {
                luaL_error(L, "out of memory");
            }
            continue;
        }
        }

        if (strchr("cdqs", *fmt) == NULL && (type_of_letter(*fmt) < 0 || *fmt == 'g')) {
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

/* Makes the metatable of a class, which is its module as well. */
static int open_class(lua_State *L, const char *name, const luaL_Reg *functions, lua_CFunction call)
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
        {"tohex", tohex},
        {NULL, NULL},
    };

    return open_class(L, buffer_name, functions, buffer_call);
}

/* ---- pb.slice ---- */

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

    p = check_bytes(L, arg, &n);
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
    n = range(L, arg + 1, n, &from);
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

    luaL_argcheck(L, s->used < LEVELS, 1, "too many levels");
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
        n = range(L, 2, (size_t) (s->view.end - s->view.p), &from);
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
            if (strchr("dqs", *fmt) == NULL && (type_of_letter(*fmt) < 0 || *fmt == 'g')) {
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
        const uint8_t *p = check_bytes(L, 1, &n);

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
        {"tohex", tohex},
        {"unpack", slice_unpack},
        {NULL, NULL},
    };

    return open_class(L, slice_name, functions, slice_call);
}

/* ---- pb.conv ---- */

static int conv_int32(lua_State *L)
{
    lua_pushnumber(L, (lua_Number) (int32_t) check_integer(L, 1));
    return 1;
}

static int conv_encode_int32(lua_State *L)
{
    pb_push_integer(L, (int64_t) (int32_t) check_integer(L, 1), 1, PB_NUMBERS);
    return 1;
}

static int conv_uint32(lua_State *L)
{
    lua_pushnumber(L, (lua_Number) (uint32_t) check_integer(L, 1));
    return 1;
}

static int conv_encode_sint32(lua_State *L)
{
    lua_pushnumber(L, (lua_Number) (uint32_t) pb_zigzag((int32_t) check_integer(L, 1)));
    return 1;
}

static int conv_decode_sint32(lua_State *L)
{
    lua_pushnumber(L, (lua_Number) (int32_t) pb_unzigzag((uint32_t) check_integer(L, 1)));
    return 1;
}

static int conv_encode_sint64(lua_State *L)
{
    pb_push_integer(L, (int64_t) pb_zigzag((int64_t) check_integer(L, 1)), 1, PB_NUMBERS);
    return 1;
}

static int conv_decode_sint64(lua_State *L)
{
    pb_push_integer(L, pb_unzigzag(check_integer(L, 1)), 0, PB_NUMBERS);
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
    uint32_t w = (uint32_t) check_integer(L, 1);
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
    uint64_t v = check_integer(L, 1);
    double   x;

    memcpy(&x, &v, 8);
    lua_pushnumber(L, x);
    return 1;
}

static int open_table(lua_State *L, const luaL_Reg *functions)
{
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
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

    return open_table(L, functions);
}

/* ---- pb.io ---- */

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
    buffer_make(L, 1);
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

    return open_table(L, functions);
}
