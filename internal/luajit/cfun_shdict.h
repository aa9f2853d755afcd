/*
 * cfun_shdict.h: shared dictionaries (ngx.shared.NAME). A dictionary is memory of the process, outside of Lua and Go;
 * every worker's VM, and Go, uses it under its lock. Nothing that may raise a Lua error or call back happens under the
 * lock, so a value is never seen half written.
 *
 * What fits into a dictionary of a given size is what fits into nginx's: the same pages, size classes and bytes per
 * entry, so that sizes tuned for it stay right.
 */
#ifndef MG_SHDICT_H
#define MG_SHDICT_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "mg.h"

#define MG_SHDICT_MAX_KEY 65535

/* Types of values, as lua_type numbers them. */
enum { MG_SD_NIL = 0, MG_SD_BOOL = 1, MG_SD_NUM = 3, MG_SD_STR = 4, MG_SD_LIST = 5 };

enum { MG_SD_ADD = 1, MG_SD_REPLACE = 2, MG_SD_SAFE = 4 }; /* mg_shdict_store's op */

/* --- the allocator: cfun_shdict_slab.c --- */

enum { MG_SLAB_MIN_SHIFT = 3, MG_SLAB_CLASSES = 9, MG_PAGE_SHIFT = 12, MG_PAGE = 1 << MG_PAGE_SHIFT };

typedef struct {
    uint32_t next, prev; /* in the list of its class or of free runs; page number + 1, 0 is the end */
    uint32_t run;        /* pages of the run that begins here; within a free run, its last page knows its first + 1 */
    uint16_t free, used; /* of a class page: first free cell + 1, cells in use */
    uint16_t fresh;      /* cells from here on were never used */
    uint8_t  kind, shift;
} mg_page;

typedef struct {
    char    *base;
    mg_page *pages;
    uint32_t npages, nfree;
    uint32_t runs;                     /* list of free runs, page number + 1 */
    uint32_t classes[MG_SLAB_CLASSES]; /* lists of pages with free cells */
} mg_slab;

void mg_slab_init(mg_slab *s, char *base, mg_page *pages, uint32_t npages);
void *mg_slab_alloc(mg_slab *s, size_t size);
void mg_slab_free(mg_slab *s, void *p);

/* --- the dictionary: cfun_shdict.c --- */

typedef struct mg_sd_item {
    struct mg_sd_item *next, *prev;
    uint32_t           len;
    uint8_t            type;
    char               data[];
} mg_sd_item;

typedef struct mg_sd_entry {
    struct mg_sd_entry *hnext;         /* in its bucket */
    struct mg_sd_entry *newer, *older; /* least recently used order */
    mg_sd_item         *first, *last;  /* of a list */
    uint64_t            expires;       /* milliseconds since the epoch, 0: never */
    uint32_t            hash;
    uint32_t            len; /* of the value; of a list, the number of items */
    uint32_t            flags;
    uint16_t            klen;
    uint8_t             type;
    char                data[]; /* key, value */
} mg_sd_entry;

typedef struct mg_shdict {
    pthread_mutex_t lock;
    mg_slab         slab;
    mg_sd_entry   **buckets;
    uint64_t        seed;
    uint32_t        mask;
    uint32_t        used, most; /* buckets */
    uint32_t        count;
    mg_sd_entry    *newest, *oldest;
    size_t          size; /* as configured */
    void           *mem;  /* one mapping for pages, page table and buckets */
    size_t          memlen;
    const int64_t  *clock; /* of the caller's worker, NULL: ask the system; set under the lock */
    uint64_t        now;   /* milliseconds, 0 until asked for in this operation */
    struct mg_shdict *next; /* of all dictionaries */
    size_t          namelen;
    char            name[];
} mg_shdict;

/*
 * A value. On store s is the caller's; on get it is a buffer of cap bytes, replaced by malloc'd memory when that is too
 * small: heap tells which, the caller frees.
 */
typedef struct {
    int      type, heap;
    uint32_t flags;
    double   num;
    char    *s;
    size_t   len, cap;
    int      stale;
} mg_sd_value;

mg_shdict *mg_shdict_new(const char *name, size_t namelen, size_t size);
void mg_shdict_free(mg_shdict *d);
mg_shdict *mg_shdict_find(const char *name, size_t len); /* the newest of that name, NULL when there is none */

/* All return NULL or an error text that lives for ever. clock is nanoseconds since the epoch, or NULL. */
const char *mg_shdict_get(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, int stale, mg_sd_value *v);
/* With when, the value is stored only as long as the entry's is that one; MG_SD_NIL: there is no entry. */
const char *mg_shdict_store(mg_shdict *d, const int64_t *clock, int op, const char *k, size_t klen, const mg_sd_value *v,
                            int64_t ttl, const mg_sd_value *when, int *forcible);
const char *mg_shdict_incr(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, double *v, int has_init,
                           double init, int64_t ttl, int *forcible);
const char *mg_shdict_push(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, const mg_sd_value *v, int left,
                           uint32_t *n);
const char *mg_shdict_pop(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, int left, mg_sd_value *v);
const char *mg_shdict_llen(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, uint32_t *n);
const char *mg_shdict_ttl(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, int64_t *ms);
const char *mg_shdict_expire(mg_shdict *d, const int64_t *clock, const char *k, size_t klen, int64_t ttl);
void mg_shdict_flush_all(mg_shdict *d, const int64_t *clock);
int mg_shdict_flush_expired(mg_shdict *d, const int64_t *clock, int max);
size_t mg_shdict_free_space(mg_shdict *d);
/* Writes up to max (0: all) keys, oldest first, as [u32 length][bytes]; returns the bytes needed, *n the keys written. */
size_t mg_shdict_keys(mg_shdict *d, const int64_t *clock, uint32_t max, char *buf, size_t cap, uint32_t *n);

/* --- Lua: cfun_shdict_lua.c --- */

struct mg_vm;
int mg_shdict_define(struct mg_vm *vm, const char *name, size_t len, mg_shdict *d);

#endif
