/*
 * cfun_pb_encode.c: Lua tables to protobuf messages.
 *
 * Of small types each field is looked up in the table, in the order of their numbers; of large ones the table is walked
 * and its keys are looked up among the fields.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfun_pb.h"

#define SMALL 24                  /* fields of a type that are all looked up */

typedef struct {
    lua_State *L;
    pb_state  *st;
    pb_buffer *b;
    int        names;
    int        depth;
    char      *err;
} encoder;

static int encode_message(encoder *e, pb_type *t, int idx);
static int encode_field(encoder *e, pb_field *f, int idx);

#define FAIL(e, ...)  (snprintf((e)->err, PB_ERROR_SIZE, __VA_ARGS__), 0)

static int no_memory(encoder *e)
{
    return FAIL(e, "not enough memory");
}

/* ---- integers ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;
}

/* "#123", "-5", "0x7F": a decimal or hexadecimal integer after any signs; 0: it is none. */
static int parse_integer(const char *s, size_t n, uint64_t *out)
{
    const char *end = s + n;
    int         neg = 0, base = 10;
    uint64_t    v = 0;

    while (s < end && (*s == '#' || *s == '+' || *s == '-')) {
        neg ^= *s++ == '-';
    }
    if (end - s > 2 && s[0] == '0' && (s[1] | 32) == 'x') {
        base = 16;
        s += 2;
    }
    if (s == end) {
        return 0;
    }
    for ( ; s < end; s++) {
        int d = hex_digit(*s);

        if (d >= base) {
            return 0;
        }
        v = v * (unsigned) base + (unsigned) d;
    }

    *out = neg ? 0 - v : v;
    return 1;
}

static int number_to_integer(double x, uint64_t *v)
{
    if (x >= -9223372036854775808.0 && x < 9223372036854775808.0) {
        *v = (uint64_t) (int64_t) x;
        return 1;
    }
    if (x >= 9223372036854775808.0 && x < 18446744073709551616.0) {
        *v = (uint64_t) x;
        return 1;
    }
    return 0;
}

/* What tostring makes of the value at idx, when it is a boxed integer ("12LL", "12ULL"). */
static int cdata_to_integer(lua_State *L, int idx, uint64_t *v)
{
    const char *s;
    size_t      n;
    int         ok = 0;

    lua_pushvalue(L, idx);
    lua_getglobal(L, "tostring");
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 1, 0) == 0) {
        s = lua_tolstring(L, -1, &n);
        if (s != NULL && n > 2 && s[n - 1] == 'L' && s[n - 2] == 'L') {
            n -= 2;
            n -= n > 0 && s[n - 1] == 'U';
            ok = parse_integer(s, n, v);
        }
    }
    lua_pop(L, 1);
    return ok;
}

#define TYPE_CDATA (LUA_TTHREAD + 2)

int pb_to_integer(lua_State *L, int idx, uint64_t *v)
{
    const char *s;
    size_t      n;

    switch (lua_type(L, idx)) {
    case LUA_TNUMBER:
        return number_to_integer(lua_tonumber(L, idx), v);

    case LUA_TSTRING:
        s = lua_tolstring(L, idx, &n);
        if (parse_integer(s, n, v)) {
            return 1;
        }
        return lua_isnumber(L, idx) && number_to_integer(lua_tonumber(L, idx), v);

    case TYPE_CDATA:
        return cdata_to_integer(L, idx, v);
    }
    return 0;
}

int pb_to_bytes(lua_State *L, int idx, const uint8_t **p, size_t *n)
{
    pb_buffer *b;
    pb_view   *s;

    switch (lua_type(L, idx)) {
    case LUA_TSTRING:
        *p = (const uint8_t *) lua_tolstring(L, idx, n);
        return 1;

    case LUA_TUSERDATA:
        b = pb_test_buffer(L, idx);
        if (b != NULL) {
            *p = b->b;
            *n = b->n;
            return 1;
        }
        s = pb_test_slice(L, idx);
        if (s != NULL) {
            *p = s->p;
            *n = (size_t) (s->end - s->p);
            return 1;
        }
    }
    return 0;
}

/* ---- values ---- */

static int wrong_type(encoder *e, const pb_field *f, int idx, const char *expected)
{
    return FAIL(e, "%s expected for field '%s', got %s", expected, f->name, luaL_typename(e->L, idx));
}

static int need_table(encoder *e, const pb_field *f, int idx)
{
    if (lua_istable(e->L, idx)) {
        return 1;
    }
    return FAIL(e, "table expected at field '%s', got %s", f->name, luaL_typename(e->L, idx));
}

/* Lets the hook of a type change the value at idx, which is absolute. */
static int run_hook(encoder *e, pb_type *t, int idx)
{
    lua_State *L = e->L;
    int        rc;

    if (!e->st->enc_hooks || !pb_push_kept(L, e->names, PB_KEY_ENCODE_HOOKS, t->id)) {
        return 1;
    }

    lua_pushvalue(L, idx);
    e->st->busy++;
    rc = lua_pcall(L, 1, 1, 0);
    e->st->busy--;
    if (rc != 0) {
        return FAIL(e, "%s", lua_isstring(L, -1) ? lua_tostring(L, -1) : "error in a hook");
    }

    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
    } else {
        lua_replace(L, idx);
    }
    return 1;
}

static int read_enum(encoder *e, pb_field *f, int idx, uint64_t *v)
{
    lua_State *L = e->L;
    int        i;

    switch (lua_type(L, idx)) {
    case LUA_TNUMBER:
        *v = (uint64_t) (int64_t) (int32_t) lua_tointeger(L, idx);
        return 1;

    case LUA_TSTRING:
        if (!f->sub->sealed) {
            pb_seal(L, e->st, f->sub, e->names);
        }
        i = pb_index_of(f->sub, lua_topointer(L, idx));
        if (i >= 0 && f->sub->kind == PB_IS_ENUM) {
            *v = (uint64_t) (int64_t) f->sub->values[i].number;
            return 1;
        }
        if (pb_to_integer(L, idx, v)) {
            *v = (uint64_t) (int64_t) (int32_t) *v;
            return 1;
        }
        return FAIL(e, "can not encode unknown enum '%s' at field '%s'", lua_tostring(L, idx), f->name);
    }
    return FAIL(e, "number/string expected at enum field '%s', got %s", f->name, luaL_typename(L, idx));
}

#define TWO_63 9223372036854775808.0
#define TWO_64 18446744073709551616.0

/* Reports whether v, which x stands for, is a value of an integer type. */
static int in_range(int type, double x, uint64_t v)
{
    switch (type) {
    case PB_INT32:
    case PB_SINT32:
    case PB_SFIXED32:
        return (int64_t) v == (int32_t) v;
    case PB_UINT32:
    case PB_FIXED32:
        return v == (uint32_t) v;
    case PB_UINT64:
    case PB_FIXED64:
        return x >= 0;
    }
    return x < TWO_63;
}

/*
 * Reads the value of an integer field. The largest ones are 2^63 and 2^64 once they are numbers: they stand for themselves. With
 * "strict", nothing is cut off to make a value fit.
 */
static int read_integer(encoder *e, pb_field *f, int idx, uint64_t *v)
{
    lua_State *L = e->L;
    int        number = lua_type(L, idx) == LUA_TNUMBER;
    double     x = number ? lua_tonumber(L, idx) : 0;

    if (x == TWO_64 && (f->type == PB_UINT64 || f->type == PB_FIXED64)) {
        *v = UINT64_MAX;
        return 1;
    }
    if (x == TWO_63 && (f->type == PB_INT64 || f->type == PB_SINT64 || f->type == PB_SFIXED64)) {
        *v = INT64_MAX;
        return 1;
    }
    if (!pb_to_integer(L, idx, v)) {
        return number ? FAIL(e, "number has no integer representation") : wrong_type(e, f, idx, "number/'#number'");
    }
    if (!e->st->strict) {
        return 1;
    }
    if (number && x != (double) (int64_t) *v && x != (double) *v) {
        return FAIL(e, "number has no integer representation at field '%s'", f->name);
    }
    return in_range(f->type, x, *v) || FAIL(e, "number out of range at field '%s'", f->name);
}

enum { BARE = 1, SKIP_ZERO = 2 };

static inline int put_tag(encoder *e, const pb_field *f, int how)
{
    if (how & BARE) {
        return 1;
    }
    memcpy(e->b->b + e->b->n, f->tag, 5);
    e->b->n += f->tag_len;
    return 1;
}

/* Encodes a scalar: its tag, unless BARE, and its value; nothing for a zero with SKIP_ZERO. */
static int encode_scalar(encoder *e, pb_field *f, int idx, int how)
{
    lua_State     *L = e->L;
    pb_buffer     *b = e->b;
    const uint8_t *bytes;
    uint64_t       v;
    uint32_t       w;
    size_t         n;
    double         x;
    float          single;

    if (!pb_room(b, 24)) {
        return no_memory(e);
    }

    switch (f->type) {
    case PB_STRING:
    case PB_BYTES:
        if (!pb_to_bytes(L, idx, &bytes, &n)) {
            return wrong_type(e, f, idx, "string");
        }
        if (n == 0 && how & SKIP_ZERO) {
            return 1;
        }
        if (f->utf8 && e->st->strict && !pb_valid_utf8(bytes, bytes + n)) {
            return FAIL(e, "string field '%s' contains invalid UTF-8", f->name);
        }
        put_tag(e, f, how);
        pb_put_varint(b, n);
        if (!pb_room(b, n)) {
            return no_memory(e);
        }
        pb_put_bytes(b, bytes, n);
        return 1;

    case PB_DOUBLE:
    case PB_FLOAT:
        x = lua_tonumber(L, idx);
        if (x == 0) {
            if (!lua_isnumber(L, idx)) {
                return wrong_type(e, f, idx, "number/'#number'");
            }
            if (how & SKIP_ZERO && !signbit(x)) {
                return 1;
            }
        }
        put_tag(e, f, how);
        if (f->type == PB_DOUBLE) {
            pb_put_bytes(b, &x, 8);
        } else {
            single = (float) x;
            pb_put_bytes(b, &single, 4);
        }
        return 1;

    case PB_BOOL:
        v = (uint64_t) lua_toboolean(L, idx);
        break;

    case PB_ENUM:
        if (e->st->enc_hooks && !run_hook(e, f->sub, idx)) {
            return 0;
        }
        if (!read_enum(e, f, idx, &v)) {
            return 0;
        }
        break;

    default:
        if (!read_integer(e, f, idx, &v)) {
            return 0;
        }
    }

    if (v == 0 && how & SKIP_ZERO) {
        return 1;
    }
    put_tag(e, f, how);

    switch (f->type) {
    case PB_INT32: v = (uint64_t) (int64_t) (int32_t) v; break;
    case PB_UINT32: v = (uint32_t) v; break;
    case PB_SINT32: v = (uint32_t) pb_zigzag((int32_t) v); break;
    case PB_SINT64: v = pb_zigzag((int64_t) v); break;

    case PB_FIXED32:
    case PB_SFIXED32:
        w = (uint32_t) v;
        pb_put_bytes(b, &w, 4);
        return 1;

    case PB_FIXED64:
    case PB_SFIXED64:
        pb_put_bytes(b, &v, 8);
        return 1;
    }

    pb_put_varint(b, v);
    return 1;
}

static int encode_sub(encoder *e, pb_field *f, int idx)
{
    pb_buffer *b = e->b;
    size_t     at;

    if (!run_hook(e, f->sub, idx) || !need_table(e, f, idx)) {
        return 0;
    }
    if (!pb_room(b, 16)) {
        return no_memory(e);
    }

    put_tag(e, f, 0);
    if (f->type == PB_GROUP) {
        if (!encode_message(e, f->sub, idx)) {
            return 0;
        }
        if (!pb_room(b, 10)) {
            return no_memory(e);
        }
        pb_put_varint(b, (uint64_t) f->number << 3 | PB_END);
        return 1;
    }

    at = b->n++;
    return encode_message(e, f->sub, idx) && (pb_put_length(b, at) || no_memory(e));
}

static int encode_single(encoder *e, pb_field *f, int idx, int how)
{
    return pb_is_message(f) ? encode_sub(e, f, idx) : encode_scalar(e, f, idx, how);
}

/* ---- repeated fields, maps ---- */

static int encode_map(encoder *e, pb_field *f, int idx)
{
    lua_State *L = e->L;
    pb_buffer *b = e->b;
    pb_field  *kf, *vf;
    int        top = lua_gettop(L);

    if (!f->sub->sealed) {
        pb_seal(L, e->st, f->sub, e->names);
    }
    kf = pb_field_of(f->sub, 1);
    vf = pb_field_of(f->sub, 2);
    if (kf == NULL || vf == NULL || pb_is_message(kf)) {
        return 1;
    }

    lua_pushnil(L);
    while (lua_next(L, idx)) {
        size_t at;

        if (!pb_room(b, 16)) {
            return no_memory(e);
        }
        put_tag(e, f, 0);
        at = b->n++;
        lua_pushvalue(L, -2);       /* the key stays as it is for lua_next */
        if (!encode_scalar(e, kf, top + 3, 0) || !encode_single(e, vf, top + 2, 0)) {
            return 0;
        }
        if (!pb_put_length(b, at)) {
            return no_memory(e);
        }
        lua_settop(L, top + 1);
    }
    return 1;
}

static int encode_repeated(encoder *e, pb_field *f, int idx)
{
    lua_State *L = e->L;
    pb_buffer *b = e->b;
    int        top = lua_gettop(L), n;
    size_t     at = 0, begin = b->n;

    if (f->packed) {
        if (!pb_room(b, 16)) {
            return no_memory(e);
        }
        put_tag(e, f, 0);
        b->b[begin] = (uint8_t) ((b->b[begin] & ~7) | PB_LENGTH);
        at = b->n++;
    }

    for (n = 1; ; n++) {
        lua_rawgeti(L, idx, n);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            break;
        }
        if (!encode_single(e, f, top + 1, f->packed ? BARE : 0)) {
            return 0;
        }
        lua_settop(L, top);
    }

    if (f->packed) {
        if (n == 1) {
            b->n = begin;
        } else if (!pb_put_length(b, at)) {
            return no_memory(e);
        }
    }
    return 1;
}

/* ---- messages ---- */

/* Encodes the value at idx (absolute), which is not nil; a null of JSON counts as absent. */
static int encode_field(encoder *e, pb_field *f, int idx)
{
    if (lua_islightuserdata(e->L, idx) && lua_touserdata(e->L, idx) == NULL) {
        return 1;
    }
    if (f->sub != NULL && f->sub->kind == PB_UNKNOWN) {
        return 1;
    }
    if (f->repeated) {
        if (!need_table(e, f, idx)) {
            return 0;
        }
        return pb_is_map(f) ? encode_map(e, f, idx) : encode_repeated(e, f, idx);
    }
    return encode_single(e, f, idx, f->implicit && !e->st->send_defaults ? SKIP_ZERO : 0);
}

static int encode_fields(encoder *e, pb_type *t, int idx)
{
    lua_State *L = e->L;
    int        top = lua_gettop(L);

    for (int i = 0; i < t->nfields; i++) {
        lua_rawgeti(L, e->names, t->fields[i].name_ref);
        lua_rawget(L, idx);
        if (!lua_isnil(L, -1) && !encode_field(e, &t->fields[i], top + 1)) {
            return 0;
        }
        lua_settop(L, top);
    }
    return 1;
}

static int encode_entries(encoder *e, pb_type *t, int idx)
{
    lua_State *L = e->L;
    int        top = lua_gettop(L);

    lua_pushnil(L);
    while (lua_next(L, idx)) {
        int i = lua_type(L, -2) == LUA_TSTRING ? pb_index_of(t, lua_topointer(L, -2)) : -1;

        if (i >= 0 && !encode_field(e, &t->fields[i], top + 2)) {
            return 0;
        }
        lua_settop(L, top + 1);
    }
    return 1;
}

/* idx is absolute, and a table. */
static int encode_message(encoder *e, pb_type *t, int idx)
{
    int ok;

    if (++e->depth > PB_DEPTH || !lua_checkstack(e->L, 12)) {
        return FAIL(e, "message too many levels");
    }
    if (!t->sealed) {
        pb_seal(e->L, e->st, t, e->names);
    }

    ok = t->nfields <= SMALL || e->st->in_order ? encode_fields(e, t, idx) : encode_entries(e, t, idx);
    e->depth--;
    return ok;
}

int pb_encode(lua_State *L, pb_state *st, pb_type *t, int names, int idx, pb_buffer *b, char *err)
{
    encoder e = {L, st, b, names, 0, err};

    if (!run_hook(&e, t, idx)) {
        return 0;
    }
    if (!lua_istable(L, idx)) {
        return FAIL(&e, "table expected, got %s", luaL_typename(L, idx));
    }
    return encode_message(&e, t, idx);
}

int pb_encode_field(lua_State *L, pb_state *st, pb_field *f, int names, int idx, pb_buffer *b, char *err)
{
    encoder e = {L, st, b, names, 0, err};

    return encode_field(&e, f, idx);
}
