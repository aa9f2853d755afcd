/* cfun_pb_types.c: the types of a pb state: their memory, finding them and their fields, making them quick to use. */
#include <stdlib.h>
#include <string.h>

#include "cfun_pb.h"

struct pb_block {
    pb_block *next;
    size_t    used, size;
    char      b[];
};

#define BLOCK 4096

/* ---- memory ---- */

/* Memory that is freed with the state, zeroed; NULL when memory is short. */
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

char *pb_take_text(pb_state *st, const void *p, size_t n)
{
    char *s = take(st, n + 1);

    if (s != NULL && n > 0) {
        memcpy(s, p, n);
    }
    return s;
}

void pb_unseal(pb_type *t)
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
    pb_unseal(t);
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
    pb_unseal(t);
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
pb_type *pb_type_named(pb_state *st, const char *name, size_t len)
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
    t->name = pb_take_text(st, name, len);
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

    pb_unseal(t);
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
