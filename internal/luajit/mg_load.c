/* mg_load.c: compiles chunks, anchors them, and looks after the state's memory. */
#include <string.h>

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

    if (lua_cpcall(vm->L, mg_path_protected, &p) != 0) {
        lua_pop(vm->L, 1);
    }
}

size_t mg_vm_mem(mg_vm *vm)
{
    return (size_t) lua_gc(vm->L, LUA_GCCOUNT, 0) * 1024 + (size_t) lua_gc(vm->L, LUA_GCCOUNTB, 0);
}

static int mg_gc_protected(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

/* A full collection; finalizers may run. */
void mg_vm_gc(mg_vm *vm)
{
    if (lua_cpcall(vm->L, mg_gc_protected, NULL) != 0) {
        lua_pop(vm->L, 1);
    }
}
