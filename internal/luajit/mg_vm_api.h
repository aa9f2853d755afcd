/* mg_vm_api.h: what vm.go and thread.go call. */
#ifndef MG_VM_API_H
#define MG_VM_API_H

#include "mg_vm.h"

enum {
    MG_DEF_SYNC = 0,
    MG_DEF_ASYNC,
    MG_DEF_VIEW,
    MG_DEF_C,
    MG_DEF_LUA,
    MG_DEF_CLASS,
    MG_DEF_CONST,
    MG_DEF_OBJECT,
    MG_DEF_PROP,
    MG_DEF_MODULE,
    MG_DEF_LOADED,
};

/* One row of what a VM offers. Strings belong to Go's process-wide copies and outlive the VM. */
typedef struct {
    int32_t        kind, index, output, slot;
    uint32_t       mask;
    int32_t        get, set, call;
    const char    *path, *clib, *cfield, *src, *chunk, *noreq, *hint;
    size_t         pathlen, srclen, nsig; /* nsig: parameters, or bytes of a constant's value in sig */
    const uint8_t *sig;
} mg_def;

typedef struct {
    const mg_def *d;
    int           n;
} mg_defs;

int mg_vm_define(mg_vm *vm, const mg_def *d, int n);

/* mg_load.c */
int mg_vm_load(mg_vm *vm, const char *src, size_t len, const char *name, int32_t *ref);
int mg_vm_do(mg_vm *vm, const char *src, size_t len, const char *name);
void mg_vm_unref(mg_vm *vm, int32_t ref);
void mg_vm_path(mg_vm *vm, const char *field, const char *value, size_t len);
size_t mg_vm_mem(mg_vm *vm);
void mg_vm_gc(mg_vm *vm);
void mg_vm_limit(mg_vm *vm, size_t max);
int mg_malloc_trim(void);
void mg_unmap_program(void);

/* mg_call.c */
int32_t mg_vm_ref(mg_vm *vm, lua_State *L, int idx);
int mg_vm_concat(mg_vm *vm, lua_State *L, int first, int n);
int mg_vm_funcinfo(lua_State *L, int idx, lua_Debug *ar);
int mg_vm_refinfo(mg_vm *vm, int32_t ref, lua_Debug *ar);
int mg_vm_where(lua_State *L, int level, lua_Debug *ar);

/* mg_stall.c */
void mg_stall_open(mg_vm *vm, int index);
uint64_t mg_stall_turn(const mg_vm *vm);
void mg_stall_poke(mg_vm *vm, uint64_t turn);

/* mg_coro.c */
mg_thread *mg_thread_new(mg_vm *vm);
void mg_thread_free(mg_thread *t);
mg_thread *mg_thread_spawn(mg_vm *vm, lua_State *L);
void mg_thread_mark(mg_thread *t, int dead);
int mg_thread_nresults(const mg_thread *t);
int mg_thread_is_dead(lua_State *L, int idx);
void mg_thread_reset(mg_thread *t);
int mg_thread_args(mg_thread *t, const uint8_t *p, size_t len);
int mg_resume(uintptr_t thread);

#endif
