/* mg_vm.c: makes a VM, registers the functions declared in Go, frees it. */
#include "mg_vm.h"

#include <stdlib.h>
#include <string.h>

#include "mg_vm_api.h"

static char mg_vm_key;

/* Returns 0 when memory is short; nothing is added then. */
int mg_bytes_add(mg_bytes *b, const void *p, size_t n)
{
    if (mg_unlikely(b->cap - b->len < n)) {
        size_t cap = b->cap != 0 ? b->cap * 2 : 512;
        char  *mem;

        while (cap - b->len < n) {
            cap *= 2;
        }

        mem = realloc(b->p, cap);
        if (mem == NULL) {
            return 0;
        }

        b->p = mem;
        b->cap = cap;
    }

    memcpy(b->p + b->len, p, n);
    b->len += n;
    return 1;
}

void mg_vm_setmsg(mg_vm *vm, const char *s, size_t len)
{
    vm->msg.len = 0;
    mg_bytes_add(&vm->msg, s, len);
}

mg_vm *mg_vm_of(lua_State *L)
{
    mg_vm *vm;

    lua_pushlightuserdata(L, &mg_vm_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    vm = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return vm;
}

/* Keeps the error message of a failed protected call on the main state, and drops it from the stack. */
static int mg_vm_failed(mg_vm *vm, int rc)
{
    size_t      n;
    const char *s;

    if (rc == 0) {
        return 0;
    }

    s = lua_tolstring(vm->L, -1, &n);
    if (s == NULL) {
        s = "unknown error";
        n = strlen(s);
    }

    mg_vm_setmsg(vm, s, n);
    lua_pop(vm->L, 1);
    return rc;
}

/* --- tables and functions of the API --- */

/* Pushes the table at a dotted path below _G ("" is _G), made as needed; "@name" is the metatable of a class. */
static void mg_push_path(lua_State *L, mg_vm *vm, const char *path, size_t len)
{
    if (len > 0 && path[0] == '@') {
        lua_rawgeti(L, LUA_REGISTRYINDEX, vm->ref_classes);
        lua_pushlstring(L, path + 1, len - 1);
        lua_rawget(L, -2);
        lua_remove(L, -2);
        return;
    }

    lua_pushvalue(L, LUA_GLOBALSINDEX);

    while (len > 0) {
        const char *dot = memchr(path, '.', len);
        size_t      n = dot != NULL ? (size_t) (dot - path) : len;

        lua_pushlstring(L, path, n);
        lua_rawget(L, -2);

        if (!lua_istable(L, -1)) {
            lua_pop(L, 1);
            lua_createtable(L, 0, 8);
            lua_pushlstring(L, path, n);
            lua_pushvalue(L, -2);
            lua_rawset(L, -4);
        }

        lua_remove(L, -2);
        path += n;
        len -= n;

        if (len > 0) {
            path++;
            len--;
        }
    }
}

/* Sets the value at the top at path, pops it. */
static void mg_set_path(lua_State *L, mg_vm *vm, const char *path, size_t len)
{
    size_t n = len;

    while (n > 0 && path[n - 1] != '.' && path[n - 1] != ':') {
        n--;
    }

    mg_push_path(L, vm, path, n > 0 ? n - 1 : 0);
    lua_pushlstring(L, path + n, len - n);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

/* Wraps an async function: `finish(yield(...))`, where finish runs in the place of the call and so has its position. */
static const char mg_async_stub[] = "local y, f = ... return function(...) return f(y(...)) end";

static void mg_push_func(lua_State *L, mg_vm *vm, const mg_def *d)
{
    mg_func *f = &vm->funcs[d->index];

    f->vm = vm;
    f->index = d->index;
    f->mask = d->mask;
    f->output = (uint8_t) d->output;
    f->nsig = (uint8_t) d->nsig;
    f->sig = d->sig;
    f->noreq = d->noreq;
    f->hint = d->hint;

    switch (d->kind) {
    case MG_DEF_SYNC:
        lua_pushlightuserdata(L, f);
        lua_pushcclosure(L, mg_sync, 1);
        break;

    case MG_DEF_ASYNC:
        if (luaL_loadbuffer(L, mg_async_stub, sizeof(mg_async_stub) - 1, "=ngx") != 0) {
            lua_error(L);
        }
        lua_pushlightuserdata(L, f);
        lua_pushcclosure(L, mg_async, 1);
        lua_pushlightuserdata(L, f);
        lua_pushcclosure(L, mg_async_finish, 1);
        lua_call(L, 2, 1);
        break;

    case MG_DEF_VIEW:
        lua_pushlightuserdata(L, f);
        lua_pushinteger(L, d->slot);
        lua_pushcclosure(L, mg_view, 2);
        break;

    case MG_DEF_C: /* the open function, then the field; the library table is shared through package.loaded */
        lua_getglobal(L, "require");
        lua_pushstring(L, d->clib);
        lua_call(L, 1, 1);
        if (d->cfield[0] != '\0') {
            lua_getfield(L, -1, d->cfield);
            lua_remove(L, -2);
        }
        if (lua_isnil(L, -1)) {
            luaL_error(L, "no C function \"%s.%s\"", d->clib, d->cfield);
        }
        break;

    case MG_DEF_LUA:
        if (luaL_loadbuffer(L, d->src, d->srclen, d->chunk) != 0) {
            lua_error(L);
        }
        lua_pushlstring(L, d->path, d->pathlen);
        lua_call(L, 1, 1);
        break;
    }
}

static void mg_define_object(lua_State *L, mg_vm *vm, const mg_def *d)
{
    mg_push_path(L, vm, d->path, d->pathlen);
    if (!lua_getmetatable(L, -1)) {
        lua_createtable(L, 0, 2);
        lua_pushvalue(L, -1);
        lua_setmetatable(L, -3);
    }

    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->ref_funcs);
    if (d->get >= 0) {
        lua_rawgeti(L, -1, d->get + 1);
        lua_setfield(L, -3, "__index");
    }
    if (d->set >= 0) {
        lua_rawgeti(L, -1, d->set + 1);
        lua_setfield(L, -3, "__newindex");
    }
    if (d->call >= 0) {
        lua_rawgeti(L, -1, d->call + 1);
        lua_setfield(L, -3, "__call");
    }

    lua_pop(L, 3);
}

static void mg_define_prop(lua_State *L, mg_vm *vm, const mg_def *d)
{
    const int refs[2] = {vm->ref_getters, vm->ref_setters}, fns[2] = {d->get, d->set};

    for (int i = 0; i < 2; i++) {
        if (fns[i] == -1) {
            continue;
        }
        lua_rawgeti(L, LUA_REGISTRYINDEX, refs[i]);
        lua_pushlstring(L, d->path, d->pathlen);
        lua_pushinteger(L, fns[i]);
        lua_rawset(L, -3);
        lua_pop(L, 1);
    }
}

static int mg_handle_gc(lua_State *L)
{
    mg_vm    *vm = lua_touserdata(L, lua_upvalueindex(1));
    uint32_t *ud = lua_touserdata(L, 1);

    if (vm->freed_n == vm->freed_cap) {
        int32_t   cap = vm->freed_cap != 0 ? vm->freed_cap * 2 : 64;
        uint32_t *mem = realloc(vm->freed, (size_t) cap * sizeof(uint32_t));

        if (mem == NULL) {
            return 0;
        }
        vm->freed = mem;
        vm->freed_cap = cap;
    }

    vm->freed[vm->freed_n++] = ud[0];
    return 0;
}

/* A class is a metatable, its own __index, known by number and by name; -number is the metatable of its handles. */
static void mg_define_class(lua_State *L, mg_vm *vm, const mg_def *d)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->ref_classes);
    lua_createtable(L, 0, 16);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");

    lua_createtable(L, 0, 1);
    lua_pushlightuserdata(L, vm);
    lua_pushcclosure(L, mg_handle_gc, 1);
    lua_setfield(L, -2, "__gc");
    lua_rawseti(L, -3, -d->index); /* the metatable of handles */

    lua_pushlstring(L, d->path, d->pathlen);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    lua_rawseti(L, -2, d->index);
    lua_pop(L, 1);
}

static int mg_open_embedded(lua_State *L)
{
    const char *src = lua_touserdata(L, lua_upvalueindex(1));
    size_t      len = (size_t) lua_tonumber(L, lua_upvalueindex(2));

    if (luaL_loadbuffer(L, src, len, lua_tostring(L, lua_upvalueindex(3))) != 0) {
        return lua_error(L);
    }

    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static void mg_define_module(lua_State *L, const mg_def *d)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushlightuserdata(L, (void *) d->src);
    lua_pushnumber(L, (double) d->srclen);
    lua_pushstring(L, d->chunk);
    lua_pushcclosure(L, mg_open_embedded, 3);
    lua_pushlstring(L, d->path, d->pathlen);
    lua_insert(L, -2);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

/* package.loaded[path] = the table at path; several names for one library table are made this way too. */
static void mg_define_loaded(lua_State *L, mg_vm *vm, const mg_def *d)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaded");
    mg_push_path(L, vm, d->path, d->pathlen);
    lua_setfield(L, -2, d->chunk);
    lua_pop(L, 2);
}

static int mg_define_all(lua_State *L)
{
    mg_vm *vm = mg_vm_of(L);
    mg_defs *defs = vm->job;

    for (int i = 0; i < defs->n; i++) {
        const mg_def *d = &defs->d[i];

        lua_settop(L, 0);

        switch (d->kind) {
        case MG_DEF_CLASS:
            mg_define_class(L, vm, d);
            break;
        case MG_DEF_CONST:
            mg_decode(L, vm, d->sig, (size_t) d->nsig);
            mg_set_path(L, vm, d->path, d->pathlen);
            break;
        case MG_DEF_OBJECT:
            mg_define_object(L, vm, d);
            break;
        case MG_DEF_PROP:
            mg_define_prop(L, vm, d);
            break;
        case MG_DEF_MODULE:
            mg_define_module(L, d);
            break;
        case MG_DEF_LOADED:
            mg_define_loaded(L, vm, d);
            break;
        default:
            mg_push_func(L, vm, d);
            if (d->index >= 0 && d->kind <= MG_DEF_LUA) {
                lua_rawgeti(L, LUA_REGISTRYINDEX, vm->ref_funcs);
                lua_pushvalue(L, -2);
                lua_rawseti(L, -2, d->index + 1);
                lua_pop(L, 1);
            }
            if (d->pathlen > 0) {
                mg_set_path(L, vm, d->path, d->pathlen);
            }
        }
    }

    return 0;
}

/* Returns 0, or not 0 with vm->msg set. */
int mg_vm_define(mg_vm *vm, const mg_def *d, int n)
{
    mg_defs defs = {d, n};

    vm->job = &defs;
    return mg_vm_failed(vm, lua_cpcall(vm->L, mg_define_all, NULL));
}

/* --- the ngx table and _G --- */

static int mg_prop_get(lua_State *L)
{
    mg_vm *vm = lua_touserdata(L, lua_upvalueindex(1));
    int    fn;

    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(2));
    if (lua_isnil(L, -1)) {
        return 1;
    }

    fn = (int) lua_tointeger(L, -1);
    if (fn == MG_CTX) {
        return mg_ctx_get(L, vm);
    }

    lua_settop(L, 0);
    return mg_sync_call(L, &vm->funcs[fn]);
}

static int mg_prop_set(lua_State *L)
{
    mg_vm *vm = lua_touserdata(L, lua_upvalueindex(1));
    int    fn;

    lua_settop(L, 3);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(2));
    if (lua_isnil(L, -1)) {
        lua_settop(L, 3);
        lua_rawset(L, 1);
        return 0;
    }

    fn = (int) lua_tointeger(L, -1);
    lua_settop(L, 3);
    if (fn == MG_CTX) {
        return mg_ctx_set(L, vm);
    }

    lua_replace(L, 1);
    lua_settop(L, 1);
    return mg_sync_call(L, &vm->funcs[fn]);
}

static int mg_guard(lua_State *L)
{
    mg_vm *vm = lua_touserdata(L, lua_upvalueindex(1));

    lua_settop(L, 3);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, 1);

    if (vm->guard < 0 || vm->phase == 0 || (vm->phase & vm->noguard)) {
        return 0;
    }

    luaL_traceback(L, L, "", 1);
    lua_getglobal(L, "tostring");
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
    lua_replace(L, 1);
    lua_replace(L, 2);
    lua_settop(L, 2);
    return mg_sync_call(L, &vm->funcs[vm->guard]);
}

static int mg_new_table_ref(lua_State *L, int nrec)
{
    lua_createtable(L, 0, nrec);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static int mg_vm_init(lua_State *L)
{
    mg_vm *vm = lua_touserdata(L, 1);

    luaL_openlibs(L);

    lua_pushlightuserdata(L, &mg_vm_key);
    lua_pushlightuserdata(L, vm);
    lua_rawset(L, LUA_REGISTRYINDEX);

    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    for (const mg_cfunc *f = mg_cfuncs; f->name != NULL; f++) {
        lua_pushcfunction(L, f->open);
        lua_setfield(L, -2, f->name);
    }
    lua_pushcfunction(L, mg_open_ffi);
    lua_setfield(L, -2, "ffi");
    lua_settop(L, 0);

    lua_createtable(L, vm->nfuncs, 0);
    vm->ref_funcs = luaL_ref(L, LUA_REGISTRYINDEX);
    vm->ref_classes = mg_new_table_ref(L, 16);
    vm->ref_getters = mg_new_table_ref(L, 16);
    vm->ref_setters = mg_new_table_ref(L, 16);

    lua_createtable(L, 0, 128); /* ngx */
    lua_createtable(L, 0, 2);
    lua_pushlightuserdata(L, vm);
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->ref_getters);
    lua_pushcclosure(L, mg_prop_get, 2);
    lua_setfield(L, -2, "__index");
    lua_pushlightuserdata(L, vm);
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->ref_setters);
    lua_pushcclosure(L, mg_prop_set, 2);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    lua_setglobal(L, "ngx");

    mg_coro_open(L, vm);
    mg_search_open(L);

    lua_createtable(L, 0, 1); /* the guard of _G */
    lua_pushlightuserdata(L, vm);
    lua_pushcclosure(L, mg_guard, 1);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, LUA_GLOBALSINDEX);
    return 0;
}

/* The functions which run protected on the main state stay at the bottom of its stack. */
static void mg_vm_slots(lua_State *L)
{
    static const lua_CFunction slots[MG_SLOTS] = {
        mg_pack_protected, mg_concat_protected, mg_ref_protected, mg_args_protected, mg_gc_protected,
        mg_back_protected,
    };

    lua_settop(L, 0);

    for (int i = 0; i < MG_SLOTS; i++) {
        lua_pushcfunction(L, slots[i]);
    }
}

/* NULL when memory is short. */
mg_vm *mg_vm_new(int slot, int nfuncs, int nviews)
{
    mg_vm *vm = calloc(1, sizeof(mg_vm));

    if (vm == NULL) {
        return NULL;
    }

    vm->slot = slot;
    vm->nfuncs = nfuncs;
    vm->nviews = nviews;
    vm->op = -1;
    vm->guard = -1;
    vm->funcs = calloc((size_t) nfuncs + 1, sizeof(mg_func));
    vm->views = calloc((size_t) nviews + 1, sizeof(mg_val));
    vm->L = luaL_newstate();

    if (vm->funcs == NULL || vm->views == NULL || vm->L == NULL || lua_cpcall(vm->L, mg_vm_init, vm) != 0) {
        mg_vm_close(vm);
        return NULL;
    }

    mg_vm_slots(vm->L);
    return vm;
}

void mg_vm_close(mg_vm *vm)
{
    if (vm->L != NULL) {
        lua_close(vm->L);
    }

    free(vm->out.p);
    free(vm->msg.p);
    free(vm->trace.p);
    free(vm->pack.p);
    free(vm->freed);
    free(vm->funcs);
    free(vm->views);
    free(vm);
}
