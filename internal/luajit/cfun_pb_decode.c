/*
 * cfun_pb_decode.c: protobuf messages to Lua tables.
 *
 * A field that comes again, one after the other, is served in one go: its table is looked up once. Of the first 64
 * fields of a message a bit says whether they were seen; only the others' defaults need a look into the table.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfun_pb.h"

typedef struct {
    lua_State *L;
    pb_state  *st;
    int        names;             /* stack index of the environment */
    int        depth;
    char      *err;
    const uint8_t *start;
} decoder;

static const uint8_t *decode_message(decoder *d, pb_type *t, const uint8_t *p, const uint8_t *end, uint32_t group,
    int fresh);

#define FAIL(d, ...)  (snprintf((d)->err, PB_ERROR_SIZE, __VA_ARGS__), (const uint8_t *) NULL)

static int offset(decoder *d, const uint8_t *p)
{
    return (int) (p - d->start) + 1;
}

/* ---- text ---- */

/* Whether the bytes are UTF-8, of Unicode's characters and in their shortest form. */
int pb_valid_utf8(const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        uint64_t w;
        int      n;
        uint8_t  c;

        while (end - p >= 8) {
            memcpy(&w, p, 8);
            if (w & 0x8080808080808080ull) {
                break;
            }
            p += 8;
        }
        if (p == end) {
            return 1;
        }

        c = *p++;
        if (c < 0x80) {
            continue;
        }
        n = c >= 0xc2 && c < 0xe0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 0;
        if (n == 0 || end - p < n
            || (c == 0xe0 && *p < 0xa0) || (c == 0xed && *p > 0x9f) || (c == 0xf0 && *p < 0x90)
            || (c == 0xf4 && *p > 0x8f))
        {
            return 0;
        }
        while (n-- > 0) {
            if ((*p++ & 0xc0) != 0x80) {
                return 0;
            }
        }
    }

    return 1;
}

/* ---- values ---- */

void pb_push_integer(lua_State *L, int64_t v, int is_unsigned, int mode)
{
    char      buf[32], *p = buf + sizeof(buf);
    uint64_t  u = (uint64_t) v;
    int       neg = !is_unsigned && v < 0;
    unsigned  base = mode == PB_HEX ? 16 : 10;

    if (mode == PB_NUMBERS || ((!is_unsigned || v >= 0) && v >= INT_MIN && v <= (int64_t) UINT_MAX)) {
        lua_pushnumber(L, is_unsigned ? (lua_Number) u : (lua_Number) v);
        return;
    }

    if (neg) {
        u = 0 - u;
    }
    do {
        *--p = "0123456789ABCDEF"[u % base];
        u /= base;
    } while (u > 0);
    if (mode == PB_HEX) {
        *--p = 'x';
        *--p = '0';
    }
    if (neg) {
        *--p = '-';
    }
    *--p = '#';
    lua_pushlstring(L, p, (size_t) (buf + sizeof(buf) - p));
}

static void push_enum(decoder *d, pb_type *t, int32_t number)
{
    pb_value *v;

    if (!d->st->enum_as_value && t->kind == PB_IS_ENUM) {
        if (!t->sealed) {
            pb_seal(d->L, d->st, t, d->names);
        }
        v = pb_value_of(t, number);
        if (v != NULL) {
            lua_rawgeti(d->L, d->names, v->name_ref);
            return;
        }
    }
    lua_pushinteger(d->L, number);
}

/* Runs the hook for what is on top of the stack, which may replace it. */
static int run_hook(decoder *d, pb_type *t)
{
    lua_State *L = d->L;
    int        rc;

    if (!d->st->dec_hooks || !pb_push_kept(L, d->names, PB_KEY_DECODE_HOOKS, t->id)) {
        return 1;
    }

    lua_pushvalue(L, -2);
    d->st->busy++;
    rc = lua_pcall(L, 1, 1, 0);
    d->st->busy--;
    if (rc != 0) {
        snprintf(d->err, PB_ERROR_SIZE, "%s", lua_isstring(L, -1) ? lua_tostring(L, -1) : "error in a hook");
        return 0;
    }

    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
    } else {
        lua_replace(L, -2);
    }
    return 1;
}

/* Reads one value of a scalar field and pushes it. */
static inline const uint8_t *push_scalar(decoder *d, const pb_field *f, const uint8_t *p, const uint8_t *end)
{
    lua_State *L = d->L;
    uint64_t   v;
    uint32_t   w;
    float      single;
    double     dbl;
    int        mode = d->st->int64_mode;

    switch (f->wire) {
    case PB_VARINT:
        p = pb_read_varint(p, end, &v);
        if (p == NULL) {
            return FAIL(d, "invalid varint value of field '%s'", f->name);
        }

        switch (f->type) {
        case PB_INT32: lua_pushnumber(L, (lua_Number) (int32_t) v); break;
        case PB_UINT32: lua_pushnumber(L, (lua_Number) (uint32_t) v); break;
        case PB_SINT32: lua_pushnumber(L, (lua_Number) (int32_t) pb_unzigzag((uint32_t) v)); break;
        case PB_BOOL: lua_pushboolean(L, v != 0); break;
        case PB_INT64: pb_push_integer(L, (int64_t) v, 0, mode); break;
        case PB_UINT64: pb_push_integer(L, (int64_t) v, 1, mode); break;
        case PB_SINT64: pb_push_integer(L, pb_unzigzag(v), 0, mode); break;
        case PB_ENUM:
            push_enum(d, f->sub, (int32_t) v);
            if (!run_hook(d, f->sub)) {
                return NULL;
            }
            break;
        }
        return p;

    case PB_LENGTH:
        p = pb_read_varint(p, end, &v);
        if (p == NULL) {
            return FAIL(d, "invalid bytes length of field '%s'", f->name);
        }
        if (v > (uint64_t) (end - p)) {
            return FAIL(d, "unfinished bytes (len %d at offset %d)", (int) v, offset(d, p));
        }
        if (f->utf8 && d->st->strict && !pb_valid_utf8(p, p + v)) {
            return FAIL(d, "string field '%s' contains invalid UTF-8", f->name);
        }
        lua_pushlstring(L, (const char *) p, (size_t) v);
        return p + v;

    case PB_32BIT:
        if (end - p < 4) {
            return FAIL(d, "invalid fixed32 value at offset %d", offset(d, p));
        }
        memcpy(&w, p, 4);
        if (f->type == PB_FLOAT) {
            memcpy(&single, &w, 4);
            lua_pushnumber(L, single);
        } else {
            lua_pushnumber(L, f->type == PB_FIXED32 ? (lua_Number) w : (lua_Number) (int32_t) w);
        }
        return p + 4;

    case PB_64BIT:
        if (end - p < 8) {
            return FAIL(d, "invalid fixed64 value at offset %d", offset(d, p));
        }
        memcpy(&v, p, 8);
        if (f->type == PB_DOUBLE) {
            memcpy(&dbl, &v, 8);
            lua_pushnumber(L, dbl);
        } else {
            pb_push_integer(L, (int64_t) v, f->type == PB_FIXED64, mode);
        }
        return p + 8;
    }

    return FAIL(d, "field '%s' has an unknown type", f->name);
}

/* Reads the body of a message field into the table on top of the stack. */
static const uint8_t *decode_sub(decoder *d, const pb_field *f, const uint8_t *p, const uint8_t *end, int fresh)
{
    uint64_t n;

    if (f->wire == PB_START) {
        p = decode_message(d, f->sub, p, end, f->number, fresh);

    } else {
        p = pb_read_varint(p, end, &n);
        if (p == NULL) {
            return FAIL(d, "invalid bytes length of field '%s'", f->name);
        }
        if (n > (uint64_t) (end - p)) {
            return FAIL(d, "unfinished bytes (len %d at offset %d)", (int) n, offset(d, p));
        }
        p = decode_message(d, f->sub, p, p + n, 0, fresh);
    }

    if (p != NULL && d->st->dec_hooks && !run_hook(d, f->sub)) {
        return NULL;
    }
    return p;
}

/* Pushes the value of a message field that has not been there before. */
static const uint8_t *push_sub(decoder *d, const pb_field *f, const uint8_t *p, const uint8_t *end)
{
    lua_createtable(d->L, 0, f->sub->nfields > 64 ? 8 : f->sub->nfields);
    return decode_sub(d, f, p, end, 1);
}

static inline const uint8_t *push_value(decoder *d, const pb_field *f, const uint8_t *p, const uint8_t *end)
{
    return pb_is_message(f) ? push_sub(d, f, p, end) : push_scalar(d, f, p, end);
}

/* ---- repeated fields, maps ---- */

/* Whether the tag of field f, as written for one value, is next. */
static inline const uint8_t *same_tag(const pb_field *f, const uint8_t *p, const uint8_t *end)
{
    if (end - p < f->tag_len || *p != f->tag[0] || (f->tag_len > 1 && memcmp(p, f->tag, f->tag_len) != 0)) {
        return NULL;
    }
    return p + f->tag_len;
}

/* Pushes the table of a repeated field of the message at tab: that which it has, or a new one; n: what it holds. */
static void push_list(decoder *d, pb_field *f, int tab, int known, int size, int *n)
{
    lua_State *L = d->L;
    int        map = pb_is_map(f);

    *n = 0;
    if (!known) {
        lua_rawgeti(L, d->names, f->name_ref);
        lua_rawget(L, tab);
        if (lua_istable(L, -1)) {
            *n = map ? 0 : (int) lua_objlen(L, -1);
            return;
        }
        lua_pop(L, 1);
    }

    lua_rawgeti(L, d->names, f->name_ref);
    lua_createtable(L, map ? 0 : size, map ? size : 0);
    pb_mark_table(L, d->st, d->names, map);
    lua_pushvalue(L, -1);
    lua_insert(L, -3);
    lua_rawset(L, tab);
}

/* How many values packed bytes hold, when that is cheap to know. */
static int packed_count(const pb_field *f, size_t n)
{
    size_t size = f->wire == PB_64BIT ? 8 : f->wire == PB_32BIT ? 4 : 2;

    return n / size > 1 << 20 ? 1 << 20 : (int) (n / size);
}

static const uint8_t *decode_packed(decoder *d, pb_field *f, int tab, int known, const uint8_t *p, const uint8_t *end)
{
    uint64_t       len;
    const uint8_t *stop;
    int            n;

    p = pb_read_varint(p, end, &len);
    if (p == NULL) {
        return FAIL(d, "invalid bytes length of field '%s'", f->name);
    }
    if (len > (uint64_t) (end - p)) {
        return FAIL(d, "unfinished bytes (len %d at offset %d)", (int) len, offset(d, p));
    }

    stop = p + len;
    push_list(d, f, tab, known, packed_count(f, (size_t) len), &n);
    while (p < stop) {
        p = push_scalar(d, f, p, stop);
        if (p == NULL) {
            return NULL;
        }
        lua_rawseti(d->L, -2, ++n);
    }
    lua_pop(d->L, 1);
    return stop;
}

static const uint8_t *decode_repeated(decoder *d, pb_field *f, int tab, int known, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *next;
    int            n;

    push_list(d, f, tab, known, 1, &n);
    for ( ;; ) {
        p = push_value(d, f, p, end);
        if (p == NULL) {
            return NULL;
        }
        lua_rawseti(d->L, -2, ++n);
        next = same_tag(f, p, end);
        if (next == NULL) {
            break;
        }
        p = next;
    }
    lua_pop(d->L, 1);
    return p;
}

/* Replaces the value at index at by the field's, merging messages. */
static const uint8_t *decode_entry_value(decoder *d, pb_field *f, int at, const uint8_t *p, const uint8_t *end)
{
    if (pb_is_message(f) && lua_istable(d->L, at)) {
        lua_pushvalue(d->L, at);
        p = decode_sub(d, f, p, end, 0);
    } else {
        p = push_value(d, f, p, end);
    }
    if (p != NULL) {
        lua_replace(d->L, at);
    }
    return p;
}

/* Reads an entry into the map on top of the stack. */
static const uint8_t *decode_entry(decoder *d, pb_field *f, const uint8_t *p, const uint8_t *end)
{
    lua_State     *L = d->L;
    pb_type       *t = f->sub;
    pb_field      *kf, *vf;
    uint64_t       len, tag;
    const uint8_t *stop;
    int            top = lua_gettop(L);

    p = pb_read_varint(p, end, &len);
    if (p == NULL || len > (uint64_t) (end - p)) {
        return FAIL(d, "invalid bytes length of field '%s'", f->name);
    }
    stop = p + len;

    if (!t->sealed) {
        pb_seal(L, d->st, t, d->names);
    }
    kf = pb_field_of(t, 1);
    vf = pb_field_of(t, 2);
    if (kf == NULL || vf == NULL || pb_is_message(kf) || kf->repeated || vf->repeated) {
        return stop;
    }

    lua_pushnil(L);
    lua_pushnil(L);
    while (p < stop) {
        p = pb_read_varint(p, stop, &tag);
        if (p == NULL || tag >> 3 == 0 || tag >> 3 > PB_MAX_NUMBER) {
            return FAIL(d, "invalid tag in field '%s'", f->name);
        }
        if (tag == kf->tag[0]) {
            p = decode_entry_value(d, kf, top + 1, p, stop);
        } else if (tag == vf->tag[0]) {
            p = decode_entry_value(d, vf, top + 2, p, stop);
        } else {
            p = pb_skip(p, stop, (uint32_t) tag, d->depth);
            if (p == NULL) {
                return FAIL(d, "invalid value in field '%s'", f->name);
            }
        }
        if (p == NULL) {
            return NULL;
        }
    }

    if (lua_isnil(L, top + 1) && pb_push_default(L, d->st, kf, 1, d->names)) {
        lua_replace(L, top + 1);
    }
    if (lua_isnil(L, top + 2)) {
        if (pb_is_message(vf)) {
            pb_push_default_message(L, d->st, vf->sub, d->names, 0);
            lua_replace(L, top + 2);
        } else if (pb_push_default(L, d->st, vf, 1, d->names)) {
            lua_replace(L, top + 2);
        }
    }

    if (lua_isnil(L, top + 1) || lua_isnil(L, top + 2)) {
        lua_settop(L, top);
    } else {
        lua_rawset(L, top);
    }
    return stop;
}

static const uint8_t *decode_map(decoder *d, pb_field *f, int tab, int known, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *next;
    int            n;

    push_list(d, f, tab, known, 4, &n);
    for ( ;; ) {
        p = decode_entry(d, f, p, end);
        if (p == NULL) {
            return NULL;
        }
        next = same_tag(f, p, end);
        if (next == NULL) {
            break;
        }
        p = next;
    }
    lua_pop(d->L, 1);
    return p;
}

/* ---- messages ---- */

/* A member of a oneof takes the place of the one that was there; of a message that is merged anyone may have been. */
static void choose_member(decoder *d, pb_type *t, pb_field *f, int tab, int fresh, uint64_t *seen)
{
    lua_State *L = d->L;

    for (int i = 0; i < t->nfields; i++) {
        pb_field *o = &t->fields[i];

        if (o->oneof == f->oneof && o != f && (i >= 64 || !fresh || *seen >> i & 1)) {
            lua_rawgeti(L, d->names, o->name_ref);
            lua_pushnil(L);
            lua_rawset(L, tab);
            if (i < 64) {
                *seen &= ~((uint64_t) 1 << i);
            }
        }
    }

    lua_rawgeti(L, d->names, t->oneof_refs[f->oneof]);
    lua_rawgeti(L, d->names, f->name_ref);
    lua_rawset(L, tab);
}

static const uint8_t *decode_single(decoder *d, pb_field *f, int tab, int known, const uint8_t *p, const uint8_t *end)
{
    lua_State *L = d->L;

    lua_rawgeti(L, d->names, f->name_ref);
    if (!pb_is_message(f)) {
        p = push_scalar(d, f, p, end);

    } else if (known) {
        p = push_sub(d, f, p, end);

    } else {
        lua_pushvalue(L, -1);
        lua_rawget(L, tab);
        if (lua_istable(L, -1)) {
            p = decode_sub(d, f, p, end, 0);
        } else {
            lua_pop(L, 1);
            p = push_sub(d, f, p, end);
        }
    }

    if (p != NULL) {
        lua_rawset(L, tab);
    }
    return p;
}

static const uint8_t *mismatch(decoder *d, pb_field *f, uint32_t tag, const uint8_t *p)
{
    static const char *const wires[] = {"varint", "64bit", "bytes", "gstart", "gend", "32bit", "unknown", "unknown"};

    return FAIL(d, "type mismatch for %s%sfield '%s' at offset %d, %s expected for type %s, got %s",
                f->packed ? "packed " : "", f->repeated ? "repeated " : "", f->name, offset(d, p),
                wires[f->wire], pb_type_name(f->type), wires[tag & 7]);
}

/* Reads one field's value, or several of a repeated field, into the table at tab. */
static const uint8_t *decode_field(decoder *d, pb_type *t, pb_field *f, int tab, int fresh, uint64_t *seen,
    uint32_t tag, const uint8_t *p, const uint8_t *end)
{
    int      i = (int) (f - t->fields);
    uint64_t bit = i < 64 ? (uint64_t) 1 << i : 0;
    int      known = fresh && bit && !(*seen & bit);    /* known not to be there yet */

    *seen |= bit;

    if (f->repeated) {
        if ((tag & 7) != f->wire) {
            return decode_packed(d, f, tab, known, p, end);
        }
        if (pb_is_map(f)) {
            return decode_map(d, f, tab, known, p, end);
        }
        return decode_repeated(d, f, tab, known, p, end);
    }

    if (f->oneof >= 0 && (known || !bit || !fresh)) {
        choose_member(d, t, f, tab, fresh, seen);
    }
    return decode_single(d, f, tab, known, p, end);
}

/*
 * Decodes into the table on top of the stack. A group ends with its end tag. fresh: the table is new, and gets default
 * values.
 */
static const uint8_t *decode_message(decoder *d, pb_type *t, const uint8_t *p, const uint8_t *end, uint32_t group,
    int fresh)
{
    lua_State *L = d->L;
    int        tab = lua_gettop(L);
    uint64_t   seen = 0, tag;

    if (++d->depth > PB_DEPTH || !lua_checkstack(L, 12)) {
        return FAIL(d, "message too many levels");
    }
    if (!t->sealed) {
        pb_seal(L, d->st, t, d->names);
    }

    while (p < end) {
        const uint8_t *at = p;
        pb_field      *f;

        p = pb_read_varint(p, end, &tag);
        if (p == NULL || tag >> 3 == 0 || tag >> 3 > PB_MAX_NUMBER) {
            return FAIL(d, "invalid tag at offset %d", offset(d, at));
        }

        if ((tag & 7) == PB_END) {
            if (group == 0 || group != tag >> 3) {
                return FAIL(d, "mismatching end of a group at offset %d", offset(d, at));
            }
            group = 0;
            goto done;
        }

        f = pb_field_of(t, (uint32_t) (tag >> 3));
        if (f != NULL && (tag & 7) != f->wire
            && !(f->repeated && (tag & 7) == PB_LENGTH && f->wire != PB_START && f->wire != PB_LENGTH))
        {
            if (!d->st->strict) {
                return mismatch(d, f, (uint32_t) tag, at);
            }
            f = NULL;      /* protobuf takes it for a field that is not known */
        }

        if (f == NULL || (f->sub != NULL && f->sub->kind == PB_UNKNOWN)) {
            p = pb_skip(p, end, (uint32_t) tag, d->depth);
            if (p == NULL) {
                return FAIL(d, "invalid value of field %u at offset %d", (unsigned) (tag >> 3), offset(d, at));
            }
            continue;
        }

        p = decode_field(d, t, f, tab, fresh, &seen, (uint32_t) tag, p, end);
        if (p == NULL) {
            return NULL;
        }
    }

    if (group != 0) {
        return FAIL(d, "unfinished group");
    }

done:

    if (fresh) {
        pb_fill_absent(L, d->st, t, d->names, seen, 0);
    }
    d->depth--;
    return p;
}

int pb_decode(lua_State *L, pb_state *st, pb_type *t, int names, const uint8_t *p, size_t n, int fresh, char *err)
{
    decoder d = {L, st, names, 0, err, p};

    if (decode_message(&d, t, p, p + n, 0, fresh) == NULL) {
        return 0;
    }
    return run_hook(&d, t);
}
