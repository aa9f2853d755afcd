/* mg_load.c: compiles chunks, anchors them, and looks after the state's memory and the program's. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dl_iterate_phdr */
#endif
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "mg_vm.h"
#include "mg_vm_api.h"

typedef struct {
    const char *src, *name;
    size_t      len;
    int32_t     ref;
} mg_chunk;

static int mg_load_protected(lua_State *L)
{
    mg_chunk *c = lua_touserdata(L, 1);

    if (luaL_loadbuffer(L, c->src, c->len, c->name) != 0) {
        return lua_error(L);
    }

    c->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int mg_load_fail(mg_vm *vm)
{
    size_t      n;
    const char *s = lua_tolstring(vm->L, -1, &n);

    if (s == NULL) {
        s = "unknown error";
        n = strlen(s);
    }

    mg_vm_setmsg(vm, s, n);
    lua_settop(vm->L, MG_SLOTS);
    return 1;
}

/* Compiles source or bytecode: 0 and its registry reference, else vm->msg is the error. */
int mg_vm_load(mg_vm *vm, const char *src, size_t len, const char *name, int32_t *ref)
{
    mg_chunk c = {src, name, len, LUA_NOREF};

    vm->strayed = 1;
    if (lua_cpcall(vm->L, mg_load_protected, &c) != 0) {
        return mg_load_fail(vm);
    }

    *ref = c.ref;
    return 0;
}

void mg_vm_unref(mg_vm *vm, int32_t ref)
{
    luaL_unref(vm->L, LUA_REGISTRYINDEX, ref);
}

typedef struct {
    const char *field, *value;
    size_t      len;
} mg_path;

static int mg_path_protected(lua_State *L)
{
    mg_path *p = lua_touserdata(L, 1);

    lua_getglobal(L, "package");
    lua_getfield(L, -1, p->field);

    if (p->value != NULL) {
        lua_pushlstring(L, p->value, p->len);
        lua_setfield(L, -3, p->field);

    } else {
        size_t      n;
        const char *s = lua_tolstring(L, -1, &n);

        mg_vm_setmsg(mg_vm_of(L), s != NULL ? s : "", s != NULL ? n : 0);
    }

    return 0;
}

/* Sets package.path or package.cpath; with a NULL value copies the present one to vm->msg. */
void mg_vm_path(mg_vm *vm, const char *field, const char *value, size_t len)
{
    mg_path p = {field, value, len};

    vm->strayed = 1;
    if (lua_cpcall(vm->L, mg_path_protected, &p) != 0) {
        lua_pop(vm->L, 1);
    }
}

size_t mg_vm_mem(mg_vm *vm)
{
    return (size_t) lua_gc(vm->L, LUA_GCCOUNT, 0) * 1024 + (size_t) lua_gc(vm->L, LUA_GCCOUNTB, 0);
}

int mg_gc_protected(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

/* A full collection, which needs no memory; finalizers may run. */
void mg_vm_gc(mg_vm *vm)
{
    lua_pushvalue(vm->L, MG_SLOT_GC);
    vm->strayed = 1;
    if (lua_pcall(vm->L, 0, 0, 0) != 0) {
        lua_pop(vm->L, 1);
    }
}

/* Gives back what malloc keeps of freed memory; other libraries than glibc do so by themselves. */
int mg_malloc_trim(void)
{
#ifdef __GLIBC__
    return malloc_trim(1);
#else
    return 0;
#endif
}

/* The program comes first. Segments that may be written have pages of their own; those of the others are the file's. */
static int mg_unmap_segments(struct dl_phdr_info *info, size_t size, void *unused)
{
    uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE) - 1, from, to;

    (void) size;
    (void) unused;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_LOAD && !(p->p_flags & PF_W)) {
            from = (info->dlpi_addr + p->p_vaddr + page) & ~page;
            to = (info->dlpi_addr + p->p_vaddr + p->p_memsz) & ~page;
            if (to > from) {
                madvise((void *) from, to - from, MADV_DONTNEED);
            }
        }
    }
    return 1;
}

void mg_unmap_program(void)
{
    dl_iterate_phdr(mg_unmap_segments, NULL);
}

static void *mg_limited(void *ud, void *p, size_t old, size_t new)
{
    mg_vm *vm = ud;
    void  *mem;

    if (new > old && vm->mem_used + (new - old) > vm->mem_max) {
        return NULL;
    }

    mem = vm->alloc(vm->alloc_ud, p, old, new);
    if (mem != NULL || new == 0) {
        vm->mem_used += new - old;
    }

    return mem;
}

/* Allocations which would go beyond max bytes fail: Lua raises "not enough memory". 0 lifts the limit. */
void mg_vm_limit(mg_vm *vm, size_t max)
{
    if (vm->alloc == NULL) {
        vm->alloc = lua_getallocf(vm->L, &vm->alloc_ud);
    }

    vm->mem_max = max;
    vm->mem_used = mg_vm_mem(vm);

    if (max != 0) {
        lua_setallocf(vm->L, mg_limited, vm);
    } else {
        lua_setallocf(vm->L, vm->alloc, vm->alloc_ud);
    }
}
