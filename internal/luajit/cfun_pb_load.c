/* cfun_pb_load.c: loading descriptors into a pb state (FileDescriptorSet of descriptor.proto, editions included). */
#include <stdlib.h>
#include <string.h>

#include "cfun_pb.h"

#define MAX_NESTED 64             /* of message declarations */

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
        t = pb_type_named(st, (const char *) x.extendee.p, (size_t) (x.extendee.end - x.extendee.p));
        if (t == NULL) {
            return 0;
        }
        x.oneof = -1;
    }

    if (x.type_name.p != NULL) {
        f->sub = pb_type_named(st, (const char *) x.type_name.p, (size_t) (x.type_name.end - x.type_name.p));
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

    f->name = pb_take_text(st, x.name.p, (size_t) (x.name.end - x.name.p));
    f->def = x.has_def ? pb_take_text(st, x.def.p, (size_t) (x.def.end - x.def.p)) : NULL;
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

    pb_unseal(t);
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

    v.name = pb_take_text(st, name.p, (size_t) (name.end - name.p));
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
    return pb_type_named(st, full, n + m + 1);
}

static int load_enum(pb_state *st, const char *scope, const features *fs, const uint8_t *p, const uint8_t *end)
{
    pb_type *t = declared(st, scope, p, end);
    item     it;

    if (t == NULL) {
        return 0;
    }
    pb_unseal(t);
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
    t->oneofs[t->noneofs] = pb_take_text(st, name.p, (size_t) (name.end - name.p));
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

    pb_unseal(t);
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
