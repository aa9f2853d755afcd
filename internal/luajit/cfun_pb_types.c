/* cfun_pb_types.c: the types of a pb state: loading descriptors, finding types and fields. */
#include <stdlib.h>
#include <string.h>

#include "cfun_pb.h"

struct pb_block {
    pb_block *next;
    size_t    used, size;
    char      b[];
};

#define BLOCK      4096
#define MAX_NESTED 64             /* of message declarations */

/* ---- the wire ---- */

const uint8_t *pb_varint_slow(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
    uint64_t x = 0;

    for (int shift = 0; shift < 70; shift += 7) {
        if (p >= end) {
            return NULL;
        }
        if (shift == 63 && *p > 1) {
            return NULL;
        }
        x |= (uint64_t) (*p & 0x7f) << shift;
        if (*p++ < 0x80) {
            *v = x;
            return p;
        }
    }

    return NULL;
}

int pb_grow(pb_buffer *b, size_t n)
{
    size_t   cap = b->cap < 64 ? 64 : b->cap;
    uint8_t *p;

    while (cap - b->n < n) {
        cap *= 2;
    }

    p = realloc(b->b, cap);
    if (p == NULL) {
        b->failed = 1;
        return 0;
    }

    b->b = p;
    b->cap = cap;
    return 1;
}

int pb_put_length(pb_buffer *b, size_t at)
{
    size_t   n = b->n - at - 1, extra = 0;
    uint64_t v = n;

    while (v >= 0x80) {
        v >>= 7;
        extra++;
    }

    if (extra > 0) {
        if (!pb_room(b, extra)) {
            return 0;
        }
        memmove(b->b + at + 1 + extra, b->b + at + 1, n);
    }

    b->n = at;
    pb_put_varint(b, n);
    b->n = at + 1 + extra + n;
    return 1;
}

const uint8_t *pb_skip(const uint8_t *p, const uint8_t *end, uint64_t tag, int depth)
{
    uint64_t v;

    switch (tag & 7) {
    case PB_VARINT:
        return pb_read_varint(p, end, &v);
    case PB_64BIT:
        return end - p >= 8 ? p + 8 : NULL;
    case PB_32BIT:
        return end - p >= 4 ? p + 4 : NULL;

    case PB_LENGTH:
        p = pb_read_varint(p, end, &v);
        return p != NULL && v <= (uint64_t) (end - p) ? p + v : NULL;

    case PB_START:
        if (depth >= PB_DEPTH) {
            return NULL;
        }
        for ( ;; ) {
            p = pb_read_varint(p, end, &v);
            if (p == NULL || v >> 3 == 0 || v >> 3 > INT32_MAX) {     /* wider than elsewhere, as Go's library */
                return NULL;
            }
            if ((v & 7) == PB_END) {
                return v >> 3 == tag >> 3 ? p : NULL;
            }
            p = pb_skip(p, end, v, depth + 1);
            if (p == NULL) {
                return NULL;
            }
        }
    }

    return NULL;
}

int pb_wire_of(int type)
{
    static const uint8_t wire[] = {
        [PB_DOUBLE] = PB_64BIT, [PB_FIXED64] = PB_64BIT, [PB_SFIXED64] = PB_64BIT,
        [PB_FLOAT] = PB_32BIT, [PB_FIXED32] = PB_32BIT, [PB_SFIXED32] = PB_32BIT,
        [PB_STRING] = PB_LENGTH, [PB_BYTES] = PB_LENGTH, [PB_MESSAGE] = PB_LENGTH, [PB_GROUP] = PB_START,
        [PB_SINT64] = PB_VARINT,
    };

    return wire[type];
}

const char *pb_type_name(int type)
{
    static const char *const names[] = {
        "<unknown>", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "group",
        "message", "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64",
    };

    return type >= PB_DOUBLE && type <= PB_SINT64 ? names[type] : names[0];
}

/* ---- memory ---- */

static void *take(pb_state *st, size_t n)
{
    pb_block *b = st->blocks;
    void     *p;

    n = (n + 7) & ~(size_t) 7;
    if (b == NULL || b->size - b->used < n) {
        size_t size = n > BLOCK ? n : BLOCK;

        b = malloc(sizeof(*b) + size);
        if (b == NULL) {
            return NULL;
        }
        b->next = st->blocks;
        b->used = 0;
        b->size = size;
        st->blocks = b;
    }

    p = b->b + b->used;
    b->used += n;
    return memset(p, 0, n);
}

static char *take_text(pb_state *st, const void *p, size_t n)
{
    char *s = take(st, n + 1);

    if (s != NULL && n > 0) {
        memcpy(s, p, n);
    }
    return s;
}

static void unseal(pb_type *t)
{
    free(t->by_number);
    free(t->by_name);
    t->by_number = NULL;
    t->by_name = NULL;
    t->low = t->mask = 0;
    t->sealed = 0;
}

/* Makes a type one that was not loaded; its identity stays. */
void pb_drop_type(pb_type *t)
{
    unseal(t);
    free(t->fields);
    free(t->values);
    free(t->oneofs);
    free(t->oneof_refs);
    t->fields = NULL;
    t->values = NULL;
    t->oneofs = NULL;
    t->oneof_refs = NULL;
    t->nfields = t->nvalues = t->noneofs = 0;
    t->kind = PB_UNKNOWN;
}

void pb_drop_field(pb_type *t, pb_field *f)
{
    memmove(f, f + 1, (size_t) (t->fields + t->nfields - f - 1) * sizeof(*f));
    t->nfields--;
    unseal(t);
}

void pb_state_init(pb_state *st)
{
    memset(st, 0, sizeof(*st));
    st->last = &st->first;
}

void pb_state_free(pb_state *st)
{
    for (pb_type *t = st->first; t != NULL; t = t->next) {
        pb_drop_type(t);
    }

    while (st->blocks != NULL) {
        pb_block *b = st->blocks;

        st->blocks = b->next;
        free(b);
    }

    free(st->table);
    free(st->out);
    st->first = NULL;
    st->last = &st->first;
    st->table = NULL;
    st->out = NULL;
    st->out_cap = 0;
    st->ntypes = st->mask = 0;
}

/* ---- types by name ---- */

static uint32_t hash(const char *s, size_t n)
{
    uint32_t h = 2166136261u;

    while (n-- > 0) {
        h = (h ^ (uint8_t) *s++) * 16777619u;
    }
    return h;
}

static pb_type **place(pb_state *st, const char *name, size_t len)
{
    uint32_t i = hash(name, len) & st->mask;

    for ( ;; i = (i + 1) & st->mask) {
        pb_type *t = st->table[i];

        if (t == NULL || (strncmp(t->name, name, len) == 0 && t->name[len] == '\0')) {
            return &st->table[i];
        }
    }
}

static int rehash(pb_state *st)
{
    uint32_t   size = st->mask ? (st->mask + 1) * 2 : 64;
    pb_type  **table = calloc(size, sizeof(*table));

    if (table == NULL) {
        return 0;
    }

    free(st->table);
    st->table = table;
    st->mask = size - 1;
    for (pb_type *t = st->first; t != NULL; t = t->next) {
        *place(st, t->name, strlen(t->name)) = t;
    }
    return 1;
}

/* Finds a type by ".pkg.Name" or "pkg.Name", loaded or only named; NULL when there is none. */
pb_type *pb_find(pb_state *st, const char *name, size_t len)
{
    char buf[256];

    if (st->table == NULL || len == 0 || len >= sizeof(buf) - 1 || memchr(name, '\0', len) != NULL) {
        return NULL;
    }

    if (*name != '.') {
        buf[0] = '.';
        memcpy(buf + 1, name, len);
        name = buf;
        len++;
    }
    return *place(st, name, len);
}

/* The type with a full name, which begins with a dot; made when there is none. */
static pb_type *type_named(pb_state *st, const char *name, size_t len)
{
    pb_type **at, *t;

    if (len < 2 || len > 250 || memchr(name, '\0', len) != NULL) {
        return NULL;
    }
    if ((st->table == NULL || st->ntypes >= (st->mask + 1) / 2) && !rehash(st)) {
        return NULL;
    }

    at = place(st, name, len);
    if (*at != NULL) {
        return *at;
    }

    t = take(st, sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    t->name = take_text(st, name, len);
    if (t->name == NULL) {
        return NULL;
    }
    t->basename = strrchr(t->name, '.') + 1;
    t->id = (int) ++st->ntypes;
    *at = t;
    *st->last = t;
    st->last = &t->next;
    return t;
}

/* ---- sealing: what makes a type quick to use ---- */

static int by_field_number(const void *a, const void *b)
{
    uint32_t x = ((const pb_field *) a)->number, y = ((const pb_field *) b)->number;

    return x < y ? -1 : x > y;
}

static int by_value_number(const void *a, const void *b)
{
    const pb_value *x = a, *y = b;

    if (x->number != y->number) {
        return x->number < y->number ? -1 : 1;
    }
    return x->name_ref < y->name_ref ? -1 : 1;     /* of several names the first one counts */
}

static int name_ref(lua_State *L, pb_state *st, const char *name, int names)
{
    lua_pushstring(L, name);
    lua_rawseti(L, names, ++st->nnames);
    return st->nnames;
}

/* Enters a name; 0: it is there already. */
static int enter_name(lua_State *L, pb_type *t, int names, int ref, int index)
{
    const void *key;
    uint32_t    i;

    lua_rawgeti(L, names, ref);
    key = lua_topointer(L, -1);
    lua_pop(L, 1);

    for (i = (uint32_t) ((uintptr_t) key >> 4) & t->mask; t->by_name[i].key != NULL; i = (i + 1) & t->mask) {
        if (t->by_name[i].key == key) {
            return 0;
        }
    }
    t->by_name[i].key = key;
    t->by_name[i].index = index;
    return 1;
}

/* The place of a field, or value of an enum, by the identity of its name's Lua string; -1: there is none. */
int pb_index_of(pb_type *t, const void *key)
{
    if (t->by_name == NULL) {
        return -1;
    }

    for (uint32_t i = (uint32_t) ((uintptr_t) key >> 4) & t->mask; t->by_name[i].key != NULL; i = (i + 1) & t->mask) {
        if (t->by_name[i].key == key) {
            return t->by_name[i].index;
        }
    }
    return -1;
}

static void seal_fields(lua_State *L, pb_state *st, pb_type *t, int names)
{
    uint32_t low = 0;

    if (t->nfields > 1) {
        qsort(t->fields, (size_t) t->nfields, sizeof(*t->fields), by_field_number);
    }

    for (int i = 0; i < t->nfields; i++) {
        pb_field *f = &t->fields[i];

        if (f->oneof >= t->noneofs) {
            f->oneof = -1;
        }
        if (f->name_ref == 0) {
            f->name_ref = name_ref(L, st, f->name, names);
        }
        if (!enter_name(L, t, names, f->name_ref, i)) {      /* an extension may have the name of a field */
            memmove(f, f + 1, (size_t) (--t->nfields - i) * sizeof(*f));
            i--;
            continue;
        }
        if (f->number < (uint32_t) t->nfields * 4 + 16 && f->number < 0xffff) {
            low = f->number + 1;
        }
    }

    for (int i = 0; i < t->noneofs; i++) {
        if (t->oneof_refs[i] == 0) {
            t->oneof_refs[i] = name_ref(L, st, t->oneofs[i], names);
        }
    }

    if (low > 0) {
        t->by_number = calloc(low, sizeof(*t->by_number));
        if (t->by_number == NULL) {
            luaL_error(L, "not enough memory");
        }
        for (int i = 0; i < t->nfields && t->fields[i].number < low; i++) {
            t->by_number[t->fields[i].number] = (uint16_t) (i + 1);
        }
        t->low = low;
    }
}

/* Prepares a type for use: its fields are in order and found by number and name. names: index of the environment. */
void pb_seal(lua_State *L, pb_state *st, pb_type *t, int names)
{
    int n = t->nfields + t->nvalues;

    if (t->sealed) {
        return;
    }

    unseal(t);
    luaL_checkstack(L, 4, "too many levels");

    if (n > 0) {
        t->mask = 7;
        while (t->mask < (uint32_t) n * 2) {
            t->mask = t->mask * 2 + 1;
        }
        t->by_name = calloc(t->mask + 1, sizeof(*t->by_name));
        if (t->by_name == NULL) {
            luaL_error(L, "not enough memory");
        }
    }

    seal_fields(L, st, t, names);

    for (int i = 0; i < t->nvalues; i++) {
        if (t->values[i].name_ref == 0) {
            t->values[i].name_ref = name_ref(L, st, t->values[i].name, names);
        }
    }
    if (t->nvalues > 1) {
        qsort(t->values, (size_t) t->nvalues, sizeof(*t->values), by_value_number);
    }
    for (int i = 0; i < t->nvalues; i++) {
        enter_name(L, t, names, t->values[i].name_ref, i);
    }

    t->sealed = 1;
}

pb_value *pb_value_of(pb_type *t, int32_t number)
{
    int lo = 0, hi = t->nvalues;

    while (lo < hi) {
        int mid = (lo + hi) / 2;

        if (t->values[mid].number < number) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }

    return lo < t->nvalues && t->values[lo].number == number ? &t->values[lo] : NULL;
}

/* ---- descriptors ---- */

/* What editions call features: numbers as in FeatureSet. */
typedef struct {
    uint8_t presence, enums, repeated, utf8, message;
    uint8_t proto3;
} features;

enum { EXPLICIT = 1, IMPLICIT, REQUIRED };
enum { PACKED = 1, EXPANDED };
enum { VERIFY = 2, NO_VERIFY };
enum { PREFIXED = 1, DELIMITED };

static const features proto2 = {EXPLICIT, 2, EXPANDED, NO_VERIFY, PREFIXED, 0};
static const features proto3 = {IMPLICIT, 1, PACKED, VERIFY, PREFIXED, 1};
static const features editions = {EXPLICIT, 1, PACKED, VERIFY, PREFIXED, 0};

/* One field of a descriptor: a number, or bytes from p to end. */
typedef struct {
    uint32_t       number;
    int            wire;
    uint64_t       v;
    const uint8_t *p, *end;
} item;

/* Reads the next field; NULL for a broken one. */
static const uint8_t *next_item(const uint8_t *p, const uint8_t *end, item *it)
{
    uint64_t tag;

    p = pb_read_varint(p, end, &tag);
    if (p == NULL || tag >> 3 == 0 || tag >> 3 > PB_MAX_NUMBER) {
        return NULL;
    }

    it->number = (uint32_t) (tag >> 3);
    it->wire = (int) (tag & 7);
    it->v = 0;
    it->p = it->end = p;

    switch (it->wire) {
    case PB_VARINT:
        return pb_read_varint(p, end, &it->v);

    case PB_LENGTH:
        p = pb_read_varint(p, end, &it->v);
        if (p == NULL || it->v > (uint64_t) (end - p)) {
            return NULL;
        }
        it->p = p;
        it->end = p + it->v;
        return it->end;
    }

    return pb_skip(p, end, (uint32_t) tag, 0);
}

/* Finds the last bytes field with a number in a descriptor. */
static int find_bytes(const uint8_t *p, const uint8_t *end, uint32_t number, pb_view *v)
{
    item it;
    int  found = 0;

    while (p < end) {
        p = next_item(p, end, &it);
        if (p == NULL) {
            return 0;
        }
        if (it.number == number && it.wire == PB_LENGTH) {
            v->p = it.p;
            v->end = it.end;
            found = 1;
        }
    }

    return found;
}

/* Overrides what the features in the options of a descriptor say. options and number: the numbers of both fields. */
static void read_features(const uint8_t *p, const uint8_t *end, uint32_t options, uint32_t number, features *f)
{
    pb_view v;
    item    it;

    if (!find_bytes(p, end, options, &v) || !find_bytes(v.p, v.end, number, &v)) {
        return;
    }

    for (p = v.p; p < v.end; ) {
        uint8_t *at[] = {NULL, &f->presence, &f->enums, &f->repeated, &f->utf8, &f->message};

        p = next_item(p, v.end, &it);
        if (p == NULL) {
            return;
        }
        if (it.number <= 5 && it.wire == PB_VARINT && it.v > 0) {
            *at[it.number] = (uint8_t) it.v;
        }
    }
}

/* Makes room for one more at a growing array of n items. */
static void *more(void *list, int n, size_t size)
{
    if (n > 0 && (n < 4 || (n & (n - 1)) != 0)) {
        return n < 4 ? realloc(list, 4 * size) : list;
    }
    return realloc(list, (size_t) (n < 4 ? 4 : n * 2) * size);
}

/* A field of FieldDescriptorProto, read but not yet of a type. */
typedef struct {
    pb_field f;
    pb_view  name, extendee, type_name, def;
    int      label, type, oneof, packed, proto3_optional, has_def;
} field_info;

static int read_field(const uint8_t *p, const uint8_t *end, field_info *x)
{
    item it;

    memset(x, 0, sizeof(*x));
    x->oneof = -1;
    x->packed = -1;

    while (p < end) {
        pb_view *v = NULL;

        p = next_item(p, end, &it);
        if (p == NULL) {
            return 0;
        }

        switch (it.number) {
        case 1: v = &x->name; break;
        case 2: v = &x->extendee; break;
        case 3: x->f.number = it.v > PB_MAX_NUMBER ? 0 : (uint32_t) it.v; break;
        case 4: x->label = (int) it.v; break;
        case 5: x->type = it.v > PB_SINT64 ? 0 : (int) it.v; break;
        case 6: v = &x->type_name; break;
        case 7: v = &x->def; x->has_def = 1; break;
        case 9: x->oneof = it.v > 0x7fff ? -1 : (int) it.v; break;
        case 17: x->proto3_optional = it.v != 0; break;
        case 8:
            for (const uint8_t *o = it.p; o != NULL && o < it.end; ) {
                item opt;

                o = next_item(o, it.end, &opt);
                if (o != NULL && opt.number == 2 && opt.wire == PB_VARINT) {
                    x->packed = opt.v != 0;
                }
            }
            break;
        }
        if (v != NULL) {
            v->p = it.p;
            v->end = it.end;
        }
    }

    return x->f.number > 0 && x->name.end > x->name.p && (size_t) (x->name.end - x->name.p) < 250;
}

static void make_tag(pb_field *f)
{
    pb_buffer b = {f->tag, 0, sizeof(f->tag), 0};

    pb_put_varint(&b, (uint64_t) f->number << 3 | (unsigned) f->wire);
    f->tag_len = (uint8_t) b.n;
}

static int add_field(pb_type *t, pb_field *f)
{
    void *list;

    for (int i = 0; i < t->nfields; i++) {
        if (t->fields[i].number == f->number) {
            t->fields[i] = *f;
            return 1;
        }
    }

    if (t->nfields == 0xfffe) {
        return 0;
    }
    list = more(t->fields, t->nfields, sizeof(*t->fields));
    if (list == NULL) {
        return 0;
    }
    t->fields = list;
    t->fields[t->nfields++] = *f;
    return 1;
}

/* Loads a field of t, or an extension, whose type it names. */
static int load_field(pb_state *st, pb_type *t, const features *inherited, const uint8_t *p, const uint8_t *end)
{
    features    fs = *inherited;
    field_info  x;
    pb_field   *f = &x.f;
    int         extension = t == NULL;

    if (!read_field(p, end, &x)) {
        return 0;
    }
    read_features(p, end, 8, 21, &fs);

    if (extension) {
        t = type_named(st, (const char *) x.extendee.p, (size_t) (x.extendee.end - x.extendee.p));
        if (t == NULL) {
            return 0;
        }
        x.oneof = -1;
    }

    if (x.type_name.p != NULL) {
        f->sub = type_named(st, (const char *) x.type_name.p, (size_t) (x.type_name.end - x.type_name.p));
        if (f->sub == NULL) {
            return 0;
        }
        if (x.type == 0) {
            x.type = PB_MESSAGE;
        }
    }
    if (x.type == 0 || (f->sub == NULL) != (x.type != PB_MESSAGE && x.type != PB_ENUM && x.type != PB_GROUP)) {
        return 0;
    }
    if (x.type == PB_MESSAGE && fs.message == DELIMITED) {
        x.type = PB_GROUP;
    }

    f->name = take_text(st, x.name.p, (size_t) (x.name.end - x.name.p));
    f->def = x.has_def ? take_text(st, x.def.p, (size_t) (x.def.end - x.def.p)) : NULL;
    if (f->name == NULL || (x.has_def && f->def == NULL)) {
        return 0;
    }

    f->type = (uint8_t) x.type;
    f->wire = (uint8_t) pb_wire_of(x.type);
    f->repeated = x.label == 3;
    f->packed = f->repeated && f->wire != PB_LENGTH && f->wire != PB_START
                && (x.packed >= 0 ? x.packed : fs.repeated == PACKED);
    f->utf8 = x.type == PB_STRING && fs.utf8 == VERIFY;
    f->optional = (uint8_t) x.proto3_optional;
    f->oneof = (int16_t) (x.proto3_optional ? -1 : x.oneof);
    f->implicit = fs.presence == IMPLICIT && x.oneof < 0 && !extension && f->type != PB_MESSAGE
                  && f->type != PB_GROUP && !x.proto3_optional;
    make_tag(f);

    unseal(t);
    return add_field(t, f);
}

static int load_value(pb_state *st, pb_type *t, const uint8_t *p, const uint8_t *end)
{
    pb_view  name = {NULL, NULL, NULL};
    pb_value v = {NULL, 0, 0};
    void    *list;
    item     it;

    while (p < end) {
        p = next_item(p, end, &it);
        if (p == NULL) {
            return 0;
        }
        if (it.number == 1 && it.wire == PB_LENGTH) {
            name.p = it.p;
            name.end = it.end;
        } else if (it.number == 2 && it.wire == PB_VARINT) {
            v.number = (int32_t) it.v;
        }
    }

    if (name.p == NULL || name.p == name.end) {
        return 0;
    }
    for (int i = 0; i < t->nvalues; i++) {
        if (strncmp(t->values[i].name, (const char *) name.p, (size_t) (name.end - name.p)) == 0
            && t->values[i].name[name.end - name.p] == '\0')
        {
            t->values[i].number = v.number;
            return 1;
        }
    }

    v.name = take_text(st, name.p, (size_t) (name.end - name.p));
    list = more(t->values, t->nvalues, sizeof(*t->values));
    if (list == NULL) {
        return 0;
    }
    t->values = list;
    if (v.name == NULL) {
        return 0;
    }
    t->values[t->nvalues++] = v;
    return 1;
}

/* The type of a declaration whose name is field 1, within scope. */
static pb_type *declared(pb_state *st, const char *scope, const uint8_t *p, const uint8_t *end)
{
    char    full[256];
    pb_view name;
    size_t  n = strlen(scope), m;

    if (!find_bytes(p, end, 1, &name)) {
        return NULL;
    }
    m = (size_t) (name.end - name.p);
    if (m == 0 || n + m + 1 >= sizeof(full)) {
        return NULL;
    }

    memcpy(full, scope, n);
    full[n] = '.';
    memcpy(full + n + 1, name.p, m);
    return type_named(st, full, n + m + 1);
}

static int load_enum(pb_state *st, const char *scope, const features *fs, const uint8_t *p, const uint8_t *end)
{
    pb_type *t = declared(st, scope, p, end);
    item     it;

    if (t == NULL) {
        return 0;
    }
    unseal(t);
    t->kind = PB_IS_ENUM;
    t->proto3 = fs->proto3;

    while (p < end) {
        p = next_item(p, end, &it);
        if (p == NULL || (it.number == 2 && !load_value(st, t, it.p, it.end))) {
            return 0;
        }
    }
    return 1;
}

static int load_oneof(pb_state *st, pb_type *t, const uint8_t *p, const uint8_t *end)
{
    pb_view  name;
    void    *list, *refs;

    if (!find_bytes(p, end, 1, &name)) {
        return 0;
    }
    list = more(t->oneofs, t->noneofs, sizeof(*t->oneofs));
    if (list == NULL) {
        return 0;
    }
    t->oneofs = list;
    refs = more(t->oneof_refs, t->noneofs, sizeof(*t->oneof_refs));
    if (refs == NULL) {
        return 0;
    }
    t->oneof_refs = refs;
    t->oneof_refs[t->noneofs] = 0;
    t->oneofs[t->noneofs] = take_text(st, name.p, (size_t) (name.end - name.p));
    return t->oneofs[t->noneofs++] != NULL;
}

/* Whether the options of a message say that it is an entry of a map. */
static int is_map_entry(const uint8_t *p, const uint8_t *end)
{
    pb_view v;
    item    it;
    int     is = 0;

    if (!find_bytes(p, end, 7, &v)) {
        return 0;
    }
    for (p = v.p; p != NULL && p < v.end; ) {
        p = next_item(p, v.end, &it);
        if (p != NULL && it.number == 7 && it.wire == PB_VARINT) {
            is = it.v != 0;
        }
    }
    return is;
}

static int load_message(pb_state *st, const char *scope, const features *inherited, const uint8_t *p,
    const uint8_t *end, int depth)
{
    features  fs = *inherited;
    pb_type  *t = declared(st, scope, p, end);
    item      it;

    if (t == NULL || depth > MAX_NESTED) {
        return 0;
    }
    read_features(p, end, 7, 12, &fs);

    unseal(t);
    t->kind = is_map_entry(p, end) ? PB_IS_MAP : PB_IS_MESSAGE;
    t->proto3 = fs.proto3;
    t->noneofs = 0;

    while (p < end) {
        int ok = 1;

        p = next_item(p, end, &it);
        if (p == NULL) {
            return 0;
        }
        if (it.wire != PB_LENGTH) {
            continue;
        }

        switch (it.number) {
        case 2: ok = load_field(st, t, &fs, it.p, it.end); break;
        case 3: ok = load_message(st, t->name, &fs, it.p, it.end, depth + 1); break;
        case 4: ok = load_enum(st, t->name, &fs, it.p, it.end); break;
        case 6: ok = load_field(st, NULL, &fs, it.p, it.end); break;
        case 8: ok = load_oneof(st, t, it.p, it.end); break;
        }
        if (!ok) {
            return 0;
        }
    }

    return 1;
}

static int load_file(pb_state *st, const uint8_t *p, const uint8_t *end)
{
    features fs = proto2;
    pb_view  v;
    char     scope[256] = "";
    item     it;

    if (find_bytes(p, end, 12, &v)) {
        size_t n = (size_t) (v.end - v.p);

        if (n == 6 && memcmp(v.p, "proto3", 6) == 0) {
            fs = proto3;
        } else if (n == 8 && memcmp(v.p, "editions", 8) == 0) {
            fs = editions;
        }
    }
    read_features(p, end, 8, 50, &fs);

    if (find_bytes(p, end, 2, &v) && v.end > v.p) {
        size_t n = (size_t) (v.end - v.p);

        if (n >= sizeof(scope) - 2) {
            return 0;
        }
        scope[0] = '.';
        memcpy(scope + 1, v.p, n);
        scope[n + 1] = '\0';
    }

    while (p < end) {
        int ok = 1;

        p = next_item(p, end, &it);
        if (p == NULL) {
            return 0;
        }
        if (it.wire != PB_LENGTH) {
            continue;
        }

        switch (it.number) {
        case 4: ok = load_message(st, scope, &fs, it.p, it.end, 0); break;
        case 5: ok = load_enum(st, scope, &fs, it.p, it.end); break;
        case 7: ok = load_field(st, NULL, &fs, it.p, it.end); break;
        }
        if (!ok) {
            return 0;
        }
    }

    return 1;
}

const uint8_t *pb_load(pb_state *st, const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        const uint8_t *next;
        item           it;

        next = next_item(p, end, &it);
        if (next == NULL || (it.number == 1 && (it.wire != PB_LENGTH || !load_file(st, it.p, it.end)))) {
            return p;
        }
        p = next;
    }

    return p;
}
