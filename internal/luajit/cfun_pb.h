/*
 * cfun_pb.h: what the parts of the pb library (protocol buffers) share.
 *
 * A state (pb_state, a userdata) holds the types that were loaded from descriptors, and the options. Types live as long
 * as their state; their names as Lua strings are in the array part of the state's environment table, so that a field
 * is set and found without hashing its name. What is read from the wire is never trusted: every length is checked, the
 * depth is bounded.
 */
#ifndef MG_CFUN_PB_H
#define MG_CFUN_PB_H

#include <string.h>

#include "cfun.h"

/* Field types, numbered as in descriptor.proto. */
enum {
    PB_DOUBLE = 1, PB_FLOAT, PB_INT64, PB_UINT64, PB_INT32, PB_FIXED64, PB_FIXED32, PB_BOOL, PB_STRING, PB_GROUP,
    PB_MESSAGE, PB_BYTES, PB_UINT32, PB_ENUM, PB_SFIXED32, PB_SFIXED64, PB_SINT32, PB_SINT64
};

enum { PB_VARINT, PB_64BIT, PB_LENGTH, PB_START, PB_END, PB_32BIT };

/* What a type is; PB_UNKNOWN: it was named by a field and has not been loaded. */
enum { PB_UNKNOWN, PB_IS_MESSAGE, PB_IS_MAP, PB_IS_ENUM };

/* The deepest nesting of messages, as protobuf's own libraries have it. */
#define PB_DEPTH 100

#define PB_MAX_NUMBER ((1u << 29) - 1)

typedef struct pb_type pb_type;

typedef struct {
    const char *name;
    const char *def;              /* the default as text, NULL when there is none */
    pb_type    *sub;              /* of messages and enums */
    uint32_t    number;
    int         name_ref;         /* of the Lua string, once the type is sealed */
    int16_t     oneof;            /* -1: none, and none for those that proto3's "optional" makes */
    uint8_t     type, wire;
    uint8_t     repeated, packed;
    uint8_t     implicit;         /* no presence: zero is not sent */
    uint8_t     optional;         /* proto3's */
    uint8_t     utf8;
    uint8_t     tag_len;
    uint8_t     tag[5];           /* as one value has it */
} pb_field;

typedef struct {
    const char *name;
    int         name_ref;
    int32_t     number;
} pb_value;

typedef struct {
    const void *key;              /* identity of a Lua string */
    int         index;
} pb_slot;

struct pb_type {
    const char  *name, *basename; /* ".pkg.Name", "Name" */
    pb_type     *next;            /* in order of loading */
    pb_field    *fields;          /* by number, once sealed */
    pb_value    *values;          /* by number, once sealed */
    const char **oneofs;
    int         *oneof_refs;
    uint16_t    *by_number;       /* place + 1 of the fields with low numbers */
    pb_slot     *by_name;
    uint32_t     low, mask;       /* sizes of by_number, by_name */
    int          nfields, nvalues, noneofs;
    int          id;              /* its key in tables */
    uint8_t      kind, proto3, sealed;
};

/* How decoded messages get default values. */
enum { PB_DEFAULTS_AUTO, PB_DEFAULTS_NONE, PB_DEFAULTS_COPY, PB_DEFAULTS_META };
enum { PB_NUMBERS, PB_STRINGS, PB_HEX };

typedef struct pb_block pb_block;

typedef struct {
    pb_type   *first, **last;
    pb_type  **table;             /* by name */
    uint32_t   ntypes, mask;
    pb_block  *blocks;            /* memory of names */
    uint8_t   *out;               /* kept between encodings, taken out while one runs */
    size_t     out_cap;
    int        nnames;
    int        busy;              /* hooks are running: types must not change */
    uint8_t    enum_as_value, int64_mode, defaults, default_array, default_message, send_defaults;
    uint8_t    in_order, dec_hooks, enc_hooks, array_meta, map_meta;
    uint8_t    strict;            /* what is no fault by protobuf's rules is none here, what is one is */
} pb_state;

/* Keys of the environment table, beside the names in its array part. */
enum { PB_KEY_DEFAULTS = -1, PB_KEY_DECODE_HOOKS = -2, PB_KEY_ENCODE_HOOKS = -3 };
/* Keys of the defaults table for arrays and maps; types have positive ones. */
enum { PB_ID_ARRAY = -1, PB_ID_MAP = -2 };

/* A view of bytes that are read, and a buffer that grows. */
typedef struct {
    const uint8_t *p, *end, *start;
} pb_view;

typedef struct {
    uint8_t *b;
    size_t   n, cap;
    int      failed;              /* memory was short */
} pb_buffer;

/* ---- reading and writing the wire (inline: they are the hot part) ---- */

const uint8_t *pb_varint_slow(const uint8_t *p, const uint8_t *end, uint64_t *v);
int pb_grow(pb_buffer *b, size_t n);

/* Reads a varint; NULL when it does not end, or not within ten bytes. */
static inline const uint8_t *pb_read_varint(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
    if (p < end && *p < 0x80) {
        *v = *p;
        return p + 1;
    }

    return pb_varint_slow(p, end, v);
}

static inline int pb_room(pb_buffer *b, size_t n)
{
    return b->cap - b->n >= n || pb_grow(b, n);
}

/* Needs room for ten bytes. */
static inline void pb_put_varint(pb_buffer *b, uint64_t v)
{
    uint8_t *p = b->b + b->n;

    while (v >= 0x80) {
        *p++ = (uint8_t) (v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t) v;
    b->n = (size_t) (p - b->b);
}

static inline void pb_put_bytes(pb_buffer *b, const void *p, size_t n)
{
    if (n > 0) {
        memcpy(b->b + b->n, p, n);
        b->n += n;
    }
}

static inline uint64_t pb_zigzag(int64_t v)
{
    return (uint64_t) v << 1 ^ (uint64_t) (v >> 63);
}

static inline int64_t pb_unzigzag(uint64_t v)
{
    return (int64_t) (v >> 1 ^ (0 - (v & 1)));
}

/* Skips the value of a tag that was read; NULL for a broken one. */
const uint8_t *pb_skip(const uint8_t *p, const uint8_t *end, uint64_t tag, int depth);

/* Writes the length of what was written behind place `at`, where one byte was left for it. */
int pb_put_length(pb_buffer *b, size_t at);

/* ---- types (cfun_pb_types.c, cfun_pb_load.c) ---- */

void      pb_state_init(pb_state *st);
void      pb_state_free(pb_state *st);
pb_type  *pb_find(pb_state *st, const char *name, size_t len);
pb_type  *pb_type_named(pb_state *st, const char *name, size_t len);
void      pb_unseal(pb_type *t);
void      pb_seal(lua_State *L, pb_state *st, pb_type *t, int names);
void      pb_drop_type(pb_type *t);
void      pb_drop_field(pb_type *t, pb_field *f);
pb_value *pb_value_of(pb_type *t, int32_t number);
int       pb_index_of(pb_type *t, const void *key);
int       pb_wire_of(int type);
const char *pb_type_name(int type);

/* A copy that is freed with the state, with a NUL behind; NULL when memory is short. */
char *pb_take_text(pb_state *st, const void *p, size_t n);

/* Loads a FileDescriptorSet; returns where it ended: at the end when all is well. */
const uint8_t *pb_load(pb_state *st, const uint8_t *p, const uint8_t *end);

static inline pb_field *pb_field_of(pb_type *t, uint32_t number)
{
    int lo = 0, hi = t->nfields;

    if (number < t->low) {
        int i = t->by_number[number];

        return i > 0 ? &t->fields[i - 1] : NULL;
    }

    while (lo < hi) {
        int mid = (lo + hi) / 2;

        if (t->fields[mid].number == number) {
            return &t->fields[mid];
        }
        if (t->fields[mid].number < number) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }

    return NULL;
}

static inline int pb_is_message(const pb_field *f)
{
    return f->type == PB_MESSAGE || f->type == PB_GROUP;
}

static inline int pb_is_map(const pb_field *f)
{
    return f->repeated && f->type == PB_MESSAGE && f->sub->kind == PB_IS_MAP;
}

/* ---- messages ---- */

#define PB_ERROR_SIZE 200

/*
 * Decodes a message into the table on top of the stack; names is the stack index of the state's environment. fresh: the
 * table gets default values. Returns 1, or 0 with the words in err.
 */
int pb_decode(lua_State *L, pb_state *st, pb_type *t, int names, const uint8_t *p, size_t n, int fresh, char *err);

/* Encodes the table at idx to the end of b; 1, or 0 with the words in err. */
int pb_encode(lua_State *L, pb_state *st, pb_type *t, int names, int idx, pb_buffer *b, char *err);

/* Encodes the value at idx as field f, as if it stood in a message. */
int pb_encode_field(lua_State *L, pb_state *st, pb_field *f, int names, int idx, pb_buffer *b, char *err);

int pb_valid_utf8(const uint8_t *p, const uint8_t *end);

/* Pushes the default of a field that is no message and not repeated; 0: it has none. */
int pb_push_default(lua_State *L, pb_state *st, pb_field *f, int proto3, int names);

/*
 * Gives the message table on top of the stack what the fields have that were not seen. seen has a bit for each of the
 * first 64 fields; the others are looked up.
 */
void pb_fill_absent(lua_State *L, pb_state *st, pb_type *t, int names, uint64_t seen, int depth);

/* Gives the table on top of the stack the metatable that arrays, or maps, were given with pb.defaults. */
void pb_mark_table(lua_State *L, pb_state *st, int names, int map);

/* Pushes a message table without its fields' values, with what defaults the options ask for. */
void pb_push_default_message(lua_State *L, pb_state *st, pb_type *t, int names, int depth);

/* Pushes the table of a type's defaults, its own metatable; made at the first use. */
void pb_push_defaults(lua_State *L, pb_state *st, pb_type *t, int names);

void pb_push_integer(lua_State *L, int64_t v, int is_unsigned, int mode);

/* An integer as Lua gives it: a number, "#123", "0x7f", an int64_t of FFI; 0: it is none. */
int pb_to_integer(lua_State *L, int idx, uint64_t *v);

/* The bytes of a string, pb.buffer or pb.slice; 0: it is none. */
int pb_to_bytes(lua_State *L, int idx, const uint8_t **p, size_t *n);

/* Pushes the function kept for a type in the table under key of the environment; 0 and nothing when there is none. */
int pb_push_kept(lua_State *L, int names, int key, int id);

/* ---- the module pb (cfun_pb.c, cfun_pb_about.c, cfun_pb_codec.c) ---- */

extern const char pb_state_name[];

/* A call of a function of pb: the state and its environment are on the stack behind the arguments. */
typedef struct {
    pb_state *st;
    int       names;
} pb_call;

pb_call   pb_enter(lua_State *L);
pb_state *pb_push_state(lua_State *L);
void      pb_check_idle(lua_State *L, pb_state *st);
pb_type  *pb_type_arg(lua_State *L, pb_state *st, int arg, int names);
pb_field *pb_field_arg(lua_State *L, pb_type *t, int arg);
void      pb_keep(lua_State *L, int names, int key, int id);
int       pb_load_bytes(lua_State *L, pb_state *st, const uint8_t *p, size_t n);
int       pb_encode_value(lua_State *L, pb_state *st, pb_type *t, int names, int idx, pb_buffer *into);
int       pb_decode_value(lua_State *L, pb_state *st, pb_type *t, int names, const uint8_t *p, size_t n, int idx);
void      pb_set_option(lua_State *L, pb_state *st, int arg);
void      pb_push_function(lua_State *L, lua_CFunction f, int box);

int pb_about_type(lua_State *L);
int pb_about_types(lua_State *L);
int pb_about_field(lua_State *L);
int pb_about_fields(lua_State *L);
int pb_about_enum(lua_State *L);
int pb_about_typefmt(lua_State *L);
int pb_about_defaults(lua_State *L);
int pb_about_hook(lua_State *L);
int pb_about_encode_hook(lua_State *L);

/* ---- the wire by hand (cfun_pb_raw.c, cfun_pb_buffer.c, cfun_pb_slice.c, cfun_pb_conv.c, cfun_pb_io.c) ---- */

#define PB_LEVELS 64              /* how deep a slice is entered, or a format nested */

/* pb.buffer's object at idx, pb.slice's view; NULL when it is none. */
pb_buffer *pb_test_buffer(lua_State *L, int idx);
pb_view   *pb_test_slice(lua_State *L, int idx);
int        pb_buffer_make(lua_State *L, int first);

const uint8_t *pb_check_bytes(lua_State *L, int arg, size_t *n);
uint64_t       pb_check_integer(lua_State *L, int arg);
size_t         pb_range(lua_State *L, int arg, size_t size, size_t *from);
int            pb_type_of_letter(char c);

int pb_result(lua_State *L);
int pb_tohex(lua_State *L);
int pb_typefmt(lua_State *L, const char *s, size_t n, int is_type);

void *pb_test_class(lua_State *L, int idx, const char *name);
int   pb_open_class(lua_State *L, const char *name, const luaL_Reg *functions, lua_CFunction call);
int   pb_open_table(lua_State *L, const luaL_Reg *functions);

int mg_open_pb(lua_State *L);
int mg_open_pb_codec(lua_State *L);
int mg_open_pb_buffer(lua_State *L);
int mg_open_pb_slice(lua_State *L);
int mg_open_pb_conv(lua_State *L);
int mg_open_pb_io(lua_State *L);

#endif
