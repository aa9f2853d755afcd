/*
 * cfun_shdict.c: the dictionary: a hash table of entries that are also in order of use. Every operation drops up to two
 * expired entries from the old end first; a store that finds no memory drops the oldest, up to thirty times three.
 */
#include "cfun_shdict.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

/* What nginx takes of a zone before pages: its pool, and per page; and what it allocates for a new dictionary. */
enum { POOL_HEAD = 704, POOL_PAGE = 24, DICT_HEAD = 80 };

/* What nginx allocates for an entry besides key and value, for a list's head, and for an item of a list. */
enum { ENTRY_HEAD = 68, LIST_HEAD = 16, ITEM_HEAD = 21 };

_Static_assert(offsetof(mg_sd_entry, data) <= ENTRY_HEAD, "an entry is larger than nginx's");

/* An item's links are 16 bytes like nginx's queue, its head packs into the rest. */
_Static_assert(offsetof(mg_sd_item, data) <= ITEM_HEAD, "an item is larger than nginx's");

#define ROUND(n) (((n) + MG_PAGE - 1) & ~(size_t) (MG_PAGE - 1))

static const char no_memory[] = "no memory", not_found[] = "not found", not_a_list[] = "value not a list";

#define LEAST_BUCKETS 64

static mg_shdict *all;
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;

mg_shdict *mg_shdict_new(const char *name, size_t namelen, size_t size)
{
    pthread_mutexattr_t attr;
    mg_shdict *d = calloc(1, sizeof(*d) + namelen);
    uint32_t   pages = (uint32_t) ((size - POOL_HEAD) / (MG_PAGE + POOL_PAGE)), fit;
    size_t     buckets = LEAST_BUCKETS, table;

    fit = (uint32_t) ((size - ROUND(POOL_HEAD + (size_t) pages * POOL_PAGE)) >> MG_PAGE_SHIFT);
    pages = fit < pages ? fit : pages;

    while (buckets < size / 256) {
        buckets *= 2;
    }

    if (d == NULL) {
        return NULL;
    }

    table = ROUND((size_t) pages * sizeof(mg_page));
    d->memlen = ((size_t) pages << MG_PAGE_SHIFT) + table + ROUND(buckets * sizeof(mg_sd_entry *));
    d->mem = mmap(NULL, d->memlen, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (d->mem == MAP_FAILED) {
        free(d);
        return NULL;
    }

    mg_slab_init(&d->slab, d->mem, (mg_page *) ((char *) d->mem + ((size_t) pages << MG_PAGE_SHIFT)), pages);
    d->buckets = (mg_sd_entry **) ((char *) d->mem + ((size_t) pages << MG_PAGE_SHIFT) + table);
    d->most = (uint32_t) buckets;
    d->mask = LEAST_BUCKETS - 1;
    d->used = LEAST_BUCKETS;
    d->size = size;

    if (getrandom(&d->seed, sizeof(d->seed), GRND_NONBLOCK) != sizeof(d->seed)) {
        d->seed = (uint64_t) (uintptr_t) d->mem ^ (uint64_t) time(NULL);
    }

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&d->lock, &attr);
    pthread_mutexattr_destroy(&attr);

    mg_slab_alloc(&d->slab, DICT_HEAD);
    mg_slab_alloc(&d->slab, sizeof(" in lua_shared_dict zone \"\"") + namelen);

    d->namelen = namelen;
    memcpy(d->name, name, namelen);
    pthread_mutex_lock(&all_lock);
    d->next = all;
    all = d;
    pthread_mutex_unlock(&all_lock);
    return d;
}

mg_shdict *mg_shdict_find(const char *name, size_t len)
{
    mg_shdict *d;

    pthread_mutex_lock(&all_lock);
    for (d = all; d != NULL && (d->namelen != len || memcmp(d->name, name, len) != 0); d = d->next) {
        /* on */
    }
    pthread_mutex_unlock(&all_lock);
    return d;
}

void mg_shdict_free(mg_shdict *d)
{
    mg_shdict **at = &all;

    pthread_mutex_lock(&all_lock);
    while (*at != d) {
        at = &(*at)->next;
    }
    *at = d->next;
    pthread_mutex_unlock(&all_lock);

    pthread_mutex_destroy(&d->lock);
    munmap(d->mem, d->memlen);
    free(d);
}

/* --- keys --- */

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t) a * b;

    return (uint64_t) m ^ (uint64_t) (m >> 64);
}

/* Keyed, so that clients who choose keys cannot choose buckets. */
static uint32_t hash_key(const mg_shdict *d, const char *k, size_t n)
{
    uint64_t h = d->seed ^ n, a, b;

    while (n > 16) {
        memcpy(&a, k, 8);
        memcpy(&b, k + 8, 8);
        h = mix(a ^ h, b ^ 0x9e3779b97f4a7c15u);
        k += 16;
        n -= 16;
    }

    a = b = 0;
    if (n > 8) {
        memcpy(&a, k, 8);
        memcpy(&b, k + 8, n - 8);
    } else {
        memcpy(&a, k, n);
    }

    h = mix(a ^ h ^ 0xa0761d6478bd642fu, b ^ d->seed ^ 0xe7037ed1a0b428dbu);
    return (uint32_t) (h ^ (h >> 32));
}

/*
 * The table grows with the dictionary, so that a small one stays in the cache: by linear hashing, one bucket at a time.
 * Buckets up to used exist; a hash whose bucket does not yet is in the one without its highest bit.
 */
static mg_sd_entry **bucket(mg_shdict *d, uint32_t hash)
{
    uint32_t n = hash & d->mask;

    return &d->buckets[n < d->used ? n : n & (d->mask >> 1)];
}

static void grow(mg_shdict *d)
{
    mg_sd_entry **from, **to, *e;
    uint32_t      n = d->used;

    if (n == d->most) {
        return;
    }

    if (n > d->mask) {
        d->mask = 2 * d->mask + 1;
    }

    d->used++;
    from = &d->buckets[n & (d->mask >> 1)];
    to = &d->buckets[n];

    while ((e = *from) != NULL) {
        if ((e->hash & d->mask) != n) {
            from = &e->hnext;
            continue;
        }
        *from = e->hnext;
        e->hnext = NULL;
        *to = e;
        to = &e->hnext;
    }
}

static mg_sd_entry *find(mg_shdict *d, uint32_t hash, const char *k, size_t n)
{
    mg_sd_entry *e = *bucket(d, hash);

    while (e != NULL && (e->hash != hash || e->klen != n || memcmp(e->data, k, n) != 0)) {
        e = e->hnext;
    }

    return e;
}

/* --- time --- */

static uint64_t now(mg_shdict *d)
{
    struct timespec ts;

    if (d->now == 0) {
        if (d->clock != NULL) {
            d->now = (uint64_t) (*d->clock / 1000000);
        } else {
            clock_gettime(CLOCK_REALTIME, &ts);
            d->now = (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
        }
    }

    return d->now;
}

static int expired(mg_shdict *d, const mg_sd_entry *e)
{
    return e->expires != 0 && e->expires <= now(d);
}

static uint64_t deadline(mg_shdict *d, int64_t ttl)
{
    return ttl > 0 ? now(d) + (uint64_t) ttl : 0;
}

/* --- entries --- */

static void unlink_use(mg_shdict *d, mg_sd_entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &d->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &d->oldest) = e->newer;
}

static void link_use(mg_shdict *d, mg_sd_entry *e)
{
    e->newer = NULL;
    e->older = d->newest;
    *(d->newest != NULL ? &d->newest->newer : &d->oldest) = e;
    d->newest = e;
}

static void touch(mg_shdict *d, mg_sd_entry *e)
{
    if (d->newest != e) {
        unlink_use(d, e);
        link_use(d, e);
    }
}

static void free_items(mg_shdict *d, mg_sd_entry *e)
{
    if (e->type == MG_SD_LIST) {
        for (mg_sd_item *i = e->first, *next; i != NULL; i = next) {
            next = i->next;
            mg_slab_free(&d->slab, i);
        }
    }

    e->first = e->last = NULL;
}

static void drop(mg_shdict *d, mg_sd_entry *e)
{
    mg_sd_entry **at = bucket(d, e->hash);

    while (*at != e) {
        at = &(*at)->hnext;
    }

    *at = e->hnext;
    unlink_use(d, e);
    free_items(d, e);
    mg_slab_free(&d->slab, e);
    d->count--;
}

/* Drops up to two expired entries from the old end; forced, the oldest whatever it is before. Returns their number. */
static int reap(mg_shdict *d, int forced)
{
    int n = 0;

    for (int i = forced ? 0 : 1; i < 3 && d->oldest != NULL; i++) {
        if (i > 0 && !expired(d, d->oldest)) {
            break;
        }
        drop(d, d->oldest);
        n++;
    }

    return n;
}

static void begin(mg_shdict *d, const int64_t *clock)
{
    pthread_mutex_lock(&d->lock);
    d->clock = clock;
    d->now = 0;
}

static const char *end(mg_shdict *d, const char *err)
{
    pthread_mutex_unlock(&d->lock);
    return err;
}

/* A new entry whose value has room for len bytes and is charged charge bytes, in table and order; NULL: no memory. */
static mg_sd_entry *insert(mg_shdict *d, uint32_t hash, const char *k, size_t klen, size_t charge, int force, int *forcible)
{
    size_t        n = ENTRY_HEAD + klen + charge;
    mg_sd_entry  *e = mg_slab_alloc(&d->slab, n), **b;

    for (int i = 0; e == NULL && force && i < 30 && reap(d, 1) > 0; i++) {
        *forcible = 1;
        e = mg_slab_alloc(&d->slab, n);
    }

    if (e == NULL) {
        return NULL;
    }

    if (d->count >= d->used) {
        grow(d);
    }

    b = bucket(d, hash);
    e->hnext = *b;
    *b = e;
    e->hash = hash;
    e->klen = (uint16_t) klen;
    e->first = e->last = NULL;
    memcpy(e->data, k, klen);
    link_use(d, e);
    d->count++;
    return e;
}

static void fill(mg_shdict *d, mg_sd_entry *e, int type, const char *p, size_t len, uint32_t flags, int64_t ttl)
{
    e->type = (uint8_t) type;
    e->len = (uint32_t) len;
    e->flags = flags;
    e->expires = deadline(d, ttl);
    memcpy(e->data + e->klen, p, len);
}

static const char *take(mg_sd_value *v, int type, const char *p, size_t len)
{
    v->type = type;

    switch (type) {
    case MG_SD_NUM:
        memcpy(&v->num, p, sizeof(double));
        return NULL;
    case MG_SD_BOOL:
        v->num = *p;
        return NULL;
    case MG_SD_LIST:
        return "value is a list";
    }

    if (len > v->cap) {
        char *mem = malloc(len);

        if (mem == NULL) {
            v->type = MG_SD_NIL;
            return no_memory;
        }
        if (v->heap) {
            free(v->s);
        }
        v->s = mem;
        v->cap = len;
        v->heap = 1;
    }

    memcpy(v->s, p, len);
    v->len = len;
    return NULL;
}

const char *mg_shdict_get(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, int stale, mg_sd_value *v)
{
    uint32_t     hash = hash_key(d, k, klen);
    mg_sd_entry *e;

    v->type = MG_SD_NIL;
    v->stale = 0;
    begin(d, clock);

    if (!stale) {
        reap(d, 0);
    }

    e = find(d, hash, k, klen);
    if (e == NULL) {
        return end(d, NULL);
    }

    if (expired(d, e)) {
        if (!stale) {
            return end(d, NULL);
        }
        v->stale = 1;
    } else {
        touch(d, e);
    }

    v->flags = e->flags;
    return end(d, take(v, e->type, e->data + klen, e->len));
}

/* bytes_of gives a value as an entry keeps it; flag is memory for a boolean. */
static const char *bytes_of(const mg_sd_value *v, char *flag, size_t *len)
{
    switch (v->type) {
    case MG_SD_NUM:
        *len = sizeof(double);
        return (const char *) &v->num;
    case MG_SD_BOOL:
        *flag = v->num != 0;
        *len = 1;
        return flag;
    }

    *len = v->len;
    return v->s;
}

/* is_value reports whether a live entry, or NULL, has that value. */
static int is_value(const mg_sd_entry *e, const mg_sd_value *v)
{
    char        flag;
    size_t      len;
    const char *p = bytes_of(v, &flag, &len);

    if (e == NULL || v->type == MG_SD_NIL) {
        return e == NULL && v->type == MG_SD_NIL;
    }

    return e->type == v->type && e->len == len && memcmp(e->data + e->klen, p, len) == 0;
}

const char *mg_shdict_store(mg_shdict *d, const int64_t *clock, int op, const char *k, size_t klen, const mg_sd_value *v,
                            int64_t ttl, const mg_sd_value *when, int *forcible)
{
    uint32_t     hash = hash_key(d, k, klen);
    size_t       len;
    char         flag;
    const char  *p = bytes_of(v, &flag, &len);
    int          live;
    mg_sd_entry *e;

    *forcible = 0;

    if (v->type == MG_SD_NIL && (op & (MG_SD_ADD | MG_SD_REPLACE))) {
        return "attempt to add or replace nil values";
    }

    begin(d, clock);
    reap(d, 0);
    e = find(d, hash, k, klen);
    live = e != NULL && !expired(d, e);

    if (when != NULL && !is_value(live ? e : NULL, when)) {
        return end(d, "already modified");
    }

    if ((op & MG_SD_REPLACE) && !live) {
        return end(d, not_found);
    }

    if ((op & MG_SD_ADD) && live) {
        touch(d, e);
        return end(d, "exists");
    }

    if (e != NULL) {
        if (v->type != MG_SD_NIL && e->type != MG_SD_LIST && e->len == len) {
            touch(d, e);
            fill(d, e, v->type, p, len, v->flags, ttl);
            return end(d, NULL);
        }
        drop(d, e);
    }

    if (v->type == MG_SD_NIL) {
        return end(d, NULL);
    }

    e = insert(d, hash, k, klen, len, !(op & MG_SD_SAFE), forcible);
    if (e == NULL) {
        return end(d, no_memory);
    }

    fill(d, e, v->type, p, len, v->flags, ttl);
    return end(d, NULL);
}

const char *mg_shdict_incr(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, double *v, int has_init,
                           double init, int64_t ttl, int *forcible)
{
    uint32_t     hash = hash_key(d, k, klen);
    double       num;
    mg_sd_entry *e;

    *forcible = 0;
    begin(d, clock);
    reap(d, 0);
    e = find(d, hash, k, klen);

    if (e != NULL && !expired(d, e)) {
        touch(d, e);
        if (e->type != MG_SD_NUM) {
            return end(d, "not a number");
        }
        memcpy(&num, e->data + klen, sizeof(num));
        *v += num;
        memcpy(e->data + klen, v, sizeof(num));
        return end(d, NULL);
    }

    if (!has_init) {
        return end(d, not_found);
    }

    *v += init;

    if (e != NULL && e->type != MG_SD_LIST && e->len == sizeof(double)) {
        touch(d, e);
    } else {
        if (e != NULL) {
            drop(d, e);
        }
        e = insert(d, hash, k, klen, sizeof(double), 1, forcible);
        if (e == NULL) {
            return end(d, no_memory);
        }
    }

    fill(d, e, MG_SD_NUM, (const char *) v, sizeof(double), 0, ttl);
    return end(d, NULL);
}

/* --- lists --- */

/* The list to push to, made new when there is none; *err is set when it is another value, or memory is short. */
static mg_sd_entry *list_for_push(mg_shdict *d, uint32_t hash, const char *k, size_t klen, const char **err)
{
    mg_sd_entry *e = find(d, hash, k, klen);
    int          forcible;

    if (e != NULL && !expired(d, e)) {
        touch(d, e);
        *err = e->type == MG_SD_LIST ? NULL : not_a_list;
        return e;
    }

    if (e != NULL && e->type == MG_SD_LIST) {
        free_items(d, e);
        touch(d, e);

    } else {
        if (e != NULL) {
            drop(d, e);
        }
        e = insert(d, hash, k, klen, LIST_HEAD + (-(ENTRY_HEAD + klen) & 7), 0, &forcible);
        if (e == NULL) {
            *err = no_memory;
            return NULL;
        }
        e->type = MG_SD_LIST;
        e->flags = 0;
    }

    e->expires = 0;
    e->len = 0;
    return e;
}

const char *mg_shdict_push(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, const mg_sd_value *v, int left,
                           uint32_t *n)
{
    uint32_t     hash = hash_key(d, k, klen);
    const char  *p = v->type == MG_SD_NUM ? (const char *) &v->num : v->s, *err = NULL;
    size_t       len = v->type == MG_SD_NUM ? sizeof(double) : v->len;
    mg_sd_entry *e;
    mg_sd_item  *i;

    begin(d, clock);
    reap(d, 0);
    e = list_for_push(d, hash, k, klen, &err);
    if (err != NULL) {
        return end(d, err);
    }

    i = mg_slab_alloc(&d->slab, ITEM_HEAD + len);
    if (i == NULL) {
        if (e->len == 0) {
            drop(d, e);
        }
        return end(d, no_memory);
    }

    i->type = (uint8_t) v->type;
    i->len = (uint32_t) len;
    memcpy(i->data, p, len);
    i->prev = left ? NULL : e->last;
    i->next = left ? e->first : NULL;
    *(i->prev != NULL ? &i->prev->next : &e->first) = i;
    *(i->next != NULL ? &i->next->prev : &e->last) = i;
    *n = ++e->len;
    return end(d, NULL);
}

const char *mg_shdict_pop(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, int left, mg_sd_value *v)
{
    uint32_t     hash = hash_key(d, k, klen);
    const char  *err;
    mg_sd_entry *e;
    mg_sd_item  *i;

    v->type = MG_SD_NIL;
    begin(d, clock);
    reap(d, 0);
    e = find(d, hash, k, klen);

    if (e == NULL || expired(d, e)) {
        return end(d, NULL);
    }

    touch(d, e);

    if (e->type != MG_SD_LIST) {
        return end(d, not_a_list);
    }

    i = left ? e->first : e->last;
    err = take(v, i->type, i->data, i->len);
    if (err != NULL) {
        return end(d, err);
    }

    *(i->prev != NULL ? &i->prev->next : &e->first) = i->next;
    *(i->next != NULL ? &i->next->prev : &e->last) = i->prev;
    mg_slab_free(&d->slab, i);

    if (--e->len == 0) {
        drop(d, e);
    }

    return end(d, NULL);
}

const char *mg_shdict_llen(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, uint32_t *n)
{
    uint32_t     hash = hash_key(d, k, klen);
    mg_sd_entry *e;

    *n = 0;
    begin(d, clock);
    reap(d, 0);
    e = find(d, hash, k, klen);

    if (e == NULL || expired(d, e)) {
        return end(d, NULL);
    }

    touch(d, e);

    if (e->type != MG_SD_LIST) {
        return end(d, not_a_list);
    }

    *n = e->len;
    return end(d, NULL);
}

/* --- expiry, and the whole --- */

const char *mg_shdict_ttl(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, int64_t *ms)
{
    uint32_t     hash = hash_key(d, k, klen);
    mg_sd_entry *e;

    begin(d, clock);
    e = find(d, hash, k, klen);
    if (e == NULL) {
        return end(d, not_found);
    }

    *ms = e->expires == 0 ? 0 : (int64_t) (e->expires - now(d));
    return end(d, NULL);
}

const char *mg_shdict_expire(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, int64_t ttl)
{
    uint32_t     hash = hash_key(d, k, klen);
    mg_sd_entry *e;

    begin(d, clock);
    e = find(d, hash, k, klen);
    if (e == NULL) {
        return end(d, not_found);
    }

    e->expires = deadline(d, ttl);
    return end(d, NULL);
}

void mg_shdict_flush_all(mg_shdict *d, const int64_t *clock)
{
    begin(d, clock);
    for (mg_sd_entry *e = d->newest; e != NULL; e = e->older) {
        e->expires = 1;
    }
    reap(d, 1);
    end(d, NULL);
}

int mg_shdict_flush_expired(mg_shdict *d, const int64_t *clock, int max)
{
    int n = 0;

    begin(d, clock);
    for (mg_sd_entry *e = d->oldest, *next; e != NULL; e = next) {
        next = e->newer;
        if (expired(d, e)) {
            drop(d, e);
            if (++n == max) {
                break;
            }
        }
    }
    end(d, NULL);
    return n;
}

size_t mg_shdict_free_space(mg_shdict *d)
{
    size_t n;

    begin(d, NULL);
    n = (size_t) d->slab.nfree << MG_PAGE_SHIFT;
    end(d, NULL);
    return n;
}

size_t mg_shdict_keys(mg_shdict *d, const int64_t *clock, uint32_t max, char *buf, size_t cap, uint32_t *n)
{
    size_t   need = 0;
    uint32_t left = max, len;

    *n = 0;
    begin(d, clock);
    for (mg_sd_entry *e = d->oldest; e != NULL; e = e->newer) {
        if (expired(d, e)) {
            continue;
        }
        len = e->klen;
        if (need + 4 + len <= cap) {
            memcpy(buf + need, &len, 4);
            memcpy(buf + need + 4, e->data, len);
            ++*n;
        }
        need += 4 + len;
        if (left > 0 && --left == 0) {
            break;
        }
    }
    end(d, NULL);
    return need;
}
