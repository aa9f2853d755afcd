/*
 * cfun_shdict_slab.c: memory of a shared dictionary: pages of 4 KiB, cut into cells of 8 to 2048 bytes, or given out in
 * runs. Free runs are found first fit and joined with their neighbours when pages come back.
 */
#include <string.h>

#include "cfun_shdict.h"

enum { PAGE_RUN = 0, PAGE_FREE, PAGE_FREE_TAIL, PAGE_CELLS, PAGE_INSIDE };

static void unlink_page(mg_slab *s, uint32_t *list, mg_page *p)
{
    if (p->prev != 0) {
        s->pages[p->prev - 1].next = p->next;
    } else {
        *list = p->next;
    }

    if (p->next != 0) {
        s->pages[p->next - 1].prev = p->prev;
    }
}

static void push_page(mg_slab *s, uint32_t *list, mg_page *p)
{
    uint32_t no = (uint32_t) (p - s->pages) + 1;

    p->prev = 0;
    p->next = *list;

    if (*list != 0) {
        s->pages[*list - 1].prev = no;
    }

    *list = no;
}

/* Writes the borders of a free run. */
static void mark_free(mg_slab *s, mg_page *p, uint32_t n)
{
    p->run = n;

    if (n > 1) {
        p[n - 1].kind = PAGE_FREE_TAIL;
        p[n - 1].run = (uint32_t) (p - s->pages) + 1;
    }

    p->kind = PAGE_FREE;
}

void mg_slab_init(mg_slab *s, char *base, mg_page *pages, uint32_t npages)
{
    memset(s, 0, sizeof(*s));
    s->base = base;
    s->pages = pages;
    s->npages = npages;
    s->nfree = npages;

    if (npages > 0) {
        mark_free(s, pages, npages);
        push_page(s, &s->runs, pages);
    }
}

static mg_page *take_run(mg_slab *s, uint32_t n)
{
    mg_page *p, *rest;

    for (uint32_t no = s->runs; no != 0; no = p->next) {
        p = &s->pages[no - 1];

        if (p->run < n) {
            continue;
        }

        if (p->run > n) { /* the rest takes its place in the list */
            rest = p + n;
            rest->next = p->next;
            rest->prev = p->prev;
            mark_free(s, rest, p->run - n);

            if (rest->prev != 0) {
                s->pages[rest->prev - 1].next = no + n;
            } else {
                s->runs = no + n;
            }
            if (rest->next != 0) {
                s->pages[rest->next - 1].prev = no + n;
            }

        } else {
            unlink_page(s, &s->runs, p);
        }

        p->kind = PAGE_RUN;
        p->run = n;
        s->nfree -= n;
        if (n > 1) {
            p[n - 1].kind = PAGE_INSIDE;
        }
        return p;
    }

    return NULL;
}

static void give_run(mg_slab *s, mg_page *p, uint32_t n)
{
    mg_page *q = p + n;

    s->nfree += n;

    if (q < s->pages + s->npages && q->kind == PAGE_FREE) {
        unlink_page(s, &s->runs, q);
        n += q->run;
        q->kind = PAGE_INSIDE;
    }

    if (p > s->pages && (p[-1].kind == PAGE_FREE || p[-1].kind == PAGE_FREE_TAIL)) {
        q = p[-1].kind == PAGE_FREE ? p - 1 : &s->pages[p[-1].run - 1];
        unlink_page(s, &s->runs, q);
        n += q->run;
        p[-1].kind = PAGE_INSIDE;
        p->kind = PAGE_INSIDE;
        p = q;
    }

    mark_free(s, p, n);
    push_page(s, &s->runs, p);
}

/* Cells of less than 64 bytes leave the first ones to nginx's bitmap of the page. */
static uint16_t first_cell(int shift)
{
    int n = (MG_PAGE >> shift) / ((1 << shift) * 8);

    return shift >= 6 ? 0 : (uint16_t) (n > 0 ? n : 1);
}

void *mg_slab_alloc(mg_slab *s, size_t size)
{
    int      shift = MG_SLAB_MIN_SHIFT;
    uint32_t *list;
    mg_page *p;
    char    *at;

    if (size > MG_PAGE / 2) {
        p = take_run(s, (uint32_t) ((size + MG_PAGE - 1) >> MG_PAGE_SHIFT));
        return p == NULL ? NULL : s->base + ((size_t) (p - s->pages) << MG_PAGE_SHIFT);
    }

    if (size > 1u << MG_SLAB_MIN_SHIFT) {
        shift = 32 - __builtin_clz((uint32_t) size - 1);
    }

    list = &s->classes[shift - MG_SLAB_MIN_SHIFT];

    if (*list != 0) {
        p = &s->pages[*list - 1];

    } else {
        p = take_run(s, 1);
        if (p == NULL) {
            return NULL;
        }
        p->kind = PAGE_CELLS;
        p->shift = (uint8_t) shift;
        p->used = p->free = 0;
        p->fresh = first_cell(shift);
        push_page(s, list, p);
    }

    at = s->base + ((size_t) (p - s->pages) << MG_PAGE_SHIFT);

    if (p->free != 0) {
        at += (size_t) (p->free - 1) << shift;
        memcpy(&p->free, at, sizeof(p->free));
    } else {
        at += (size_t) p->fresh++ << shift;
    }

    p->used++;

    if (p->free == 0 && p->fresh == MG_PAGE >> shift) {
        unlink_page(s, list, p);
    }

    return at;
}

void mg_slab_free(mg_slab *s, void *ptr)
{
    size_t    off = (size_t) ((char *) ptr - s->base);
    mg_page  *p = &s->pages[off >> MG_PAGE_SHIFT];
    uint32_t *list;
    int       full;

    if (p->kind == PAGE_RUN) {
        give_run(s, p, p->run);
        return;
    }

    list = &s->classes[p->shift - MG_SLAB_MIN_SHIFT];
    full = p->free == 0 && p->fresh == MG_PAGE >> p->shift;

    memcpy(ptr, &p->free, sizeof(p->free));
    p->free = (uint16_t) (((off & (MG_PAGE - 1)) >> p->shift) + 1);
    p->used--;

    if (p->used == 0) {
        if (!full) {
            unlink_page(s, list, p);
        }
        give_run(s, p, 1);
        return;
    }

    if (full) {
        push_page(s, list, p);
    }
}
