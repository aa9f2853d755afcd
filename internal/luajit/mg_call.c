/*
 * mg_call.c: the way from Lua into Go and back.
 *
 * mg_sync calls Go at once. mg_async yields an operation to the host and mg_async_finish, which runs in its caller's
 * place by a tail call, pushes the operation's results or raises its error: so both have the name and position of the
 * user's call. Errors are always raised here, after Go has returned.
 */
#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_vm.h"
#include "mg_vm_api.h"

#define MG_ARGS_ON_STACK 8
#define MG_MAX_ARGS 250

const char *mg_phase_name(const mg_vm *vm, uint32_t bit)
{
    int n = __builtin_ffs((int) bit) - 1;

    if (n < 0 || vm->phases == NULL || vm->phases[n] == NULL) {
        return "(unknown)";
    }

    return vm->phases[n];
}

static void mg_set_text(mg_vm *vm, mg_result *r, int kind, int arg, const char *text)
{
    r->kind = kind;
    r->arg = arg;
    r->res = (const uint8_t *) vm->text;
    r->len = (size_t) snprintf(vm->text, sizeof(vm->text), "%s", text);
}

static __attribute__((noinline)) int mg_phase_error(const mg_func *f, mg_result *r)
{
    mg_vm *vm = f->vm;
    char   text[512];

    if (f->noreq != NULL && (vm->phase == 0 || (vm->phase & vm->norequest))) {
        mg_set_text(vm, r, MG_ERR, 0, f->noreq);
        return 0;
    }

    snprintf(text, sizeof(text), "API disabled in the context of %s%s", mg_phase_name(vm, vm->phase),
             f->hint != NULL ? f->hint : "");
    mg_set_text(vm, r, MG_ERR, 0, text);
    return 0;
}

/* --- arguments --- */

static const char *mg_sig_name(uint8_t letter)
{
    switch (letter) {
    case 's':
        return "string";
    case 'n':
    case 'i':
        return "number";
    case 'b':
        return "boolean";
    case 't':
    case 'o':
        return "table";
    case 'f':
        return "function";
    case 'c':
        return "thread";
    }
    return "value";
}

/* Is the table at idx an object of the class? */
static int mg_is_object(lua_State *L, mg_vm *vm, int idx, int class)
{
    int ok;

    lua_rawgeti(L, idx, 1);
    ok = lua_type(L, -1) == LUA_TUSERDATA && lua_objlen(L, -1) == 2 * sizeof(uint32_t) &&
         ((const uint32_t *) lua_touserdata(L, -1))[1] == (uint32_t) class;
    (void) vm;
    lua_pop(L, 1);
    return ok;
}

/* Checks the arguments against the declaration and converts numbers and strings in place, as luaL_check* do. */
static int mg_sig_check(lua_State *L, const mg_func *f, mg_result *r)
{
    int n = lua_gettop(L);

    for (int i = 1; i <= f->nsig; i++) {
        const uint8_t *s = f->sig + 3 * (i - 1);
        int            type = i <= n ? lua_type(L, i) : LUA_TNONE, ok = 0;
        char           text[96];

        if (s[1] == 1 && type <= LUA_TNIL) {
            continue;
        }

        switch (s[0]) {
        case 'a':
            ok = type != LUA_TNONE;
            break;
        case 's':
            ok = type == LUA_TSTRING || (type == LUA_TNUMBER && lua_tolstring(L, i, NULL) != NULL);
            break;
        case 'n':
        case 'i':
            ok = type == LUA_TNUMBER;
            if (type == LUA_TSTRING && lua_isnumber(L, i)) {
                lua_pushnumber(L, lua_tonumber(L, i));
                lua_replace(L, i);
                ok = 1;
            }
            break;
        case 'b':
            ok = type == LUA_TBOOLEAN;
            break;
        case 't':
            ok = type == LUA_TTABLE;
            break;
        case 'f':
            ok = type == LUA_TFUNCTION;
            break;
        case 'c':
            ok = type == LUA_TTHREAD;
            break;
        case 'o':
            ok = type == LUA_TTABLE && mg_is_object(L, f->vm, i, s[2]);
            break;
        }

        if (mg_unlikely(!ok)) {
            if (s[0] == 'a') {
                snprintf(text, sizeof(text), "value expected");
            } else {
                snprintf(text, sizeof(text), "%s expected, got %s", mg_sig_name(s[0]),
                         type == LUA_TNONE ? "no value" : lua_typename(L, type));
            }
            mg_set_text(f->vm, r, MG_ERRARG, i, text);
            return 0;
        }
    }

    return 1;
}

static void mg_pack_other(lua_State *L, int idx, int type, mg_val *v)
{
    if (type == LUA_TTABLE) {
        lua_rawgeti(L, idx, 1);
        if (lua_type(L, -1) == LUA_TUSERDATA && lua_objlen(L, -1) == 2 * sizeof(uint32_t)) {
            v->len = 1; /* perhaps an object: its handle */
            v->num = ((const uint32_t *) lua_touserdata(L, -1))[0];
        }
        lua_pop(L, 1);
    }

    v->ptr = lua_topointer(L, idx);
}

void mg_pack(mg_vm *vm, lua_State *L, int first, int n, mg_val *out)
{
    (void) vm;

    for (int i = first; i < first + n; i++, out++) {
        int type = lua_type(L, i);

        out->type = (uint32_t) type;
        out->aux = i;
        out->len = 0;

        switch (type) {
        case LUA_TSTRING:
            out->ptr = lua_tolstring(L, i, &out->len);
            break;
        case LUA_TNUMBER:
            out->num = lua_tonumber(L, i);
            break;
        case LUA_TBOOLEAN:
            out->num = lua_toboolean(L, i);
            break;
        case LUA_TNIL:
            break;
        case LUA_TLIGHTUSERDATA:
            out->ptr = lua_touserdata(L, i);
            break;
        default:
            mg_pack_other(L, i, type, out);
        }
    }
}

/* --- the call --- */

int mg_back_protected(lua_State *main)
{
    (void) main;
    return 0;
}

/*
 * Makes L the running coroutine again after others ran inside a C function which it called. LuaJIT does so itself when
 * the function returns, but not when it raises an error: a pcall in L would go on with the other's stack in compiled code.
 */
void mg_back(mg_vm *vm, lua_State *L)
{
    vm->strayed = 0;
    lua_pushvalue(vm->L, MG_SLOT_BACK);
    lua_xmove(vm->L, L, 1);
    lua_call(L, 0, 0);
}

/* Go may run handlers nested in this call; what belongs to the caller's run is put back afterwards. */
static void mg_cross(mg_vm *vm, mg_call *c)
{
    mg_thread *cur = vm->cur;
    uint32_t   phase = vm->phase;
    int32_t    blocked = vm->blocked, depth = vm->depth;

    vm->inside++;
    c->r.kind = mg_go_call(vm->slot, c);
    vm->inside--;

    vm->cur = cur;
    vm->phase = phase;
    vm->blocked = blocked;
    vm->depth = depth;
    vm->op = -1;

    if (mg_unlikely(vm->strayed)) {
        mg_back(vm, c->L);
    }
}

static void mg_call_go(lua_State *L, mg_func *f, int n, mg_result *r)
{
    mg_val  room[MG_ARGS_ON_STACK];
    mg_call c = {.L = L, .args = room, .index = f->index, .nargs = n};

    if (mg_unlikely(n > MG_ARGS_ON_STACK)) {
        c.nargs = n > MG_MAX_ARGS ? MG_MAX_ARGS : n;
        c.args = alloca((size_t) c.nargs * sizeof(mg_val));
    }

    mg_pack(f->vm, L, 1, c.nargs, c.args);
    mg_cross(f->vm, &c);
    *r = c.r;
}

/* Calls a function of the host outside of any call by Lua; its results are nobody's. */
void mg_call_host(mg_vm *vm, lua_State *L, int index, mg_val *args, int n)
{
    mg_call c = {.L = L, .args = args, .index = index, .nargs = n};

    mg_cross(vm, &c);
}

static const uint8_t mg_one[] = {4 /* MG_W_INT */, 1, 0, 0, 0, 0, 0, 0, 0};

static void mg_return(mg_result *r, const uint8_t *p, size_t n)
{
    r->kind = MG_OK;
    r->res = p;
    r->len = n;
}

/* Calls Go with one string, or a number and a string, made of the arguments in memory which is ours for the call. */
static void mg_call_text(lua_State *L, mg_func *f, int first, int n, double level, mg_result *r)
{
    mg_vm   *vm = f->vm;
    int      log = f->output >= MG_OUT_LOG;
    mg_val   args[2] = {{.type = LUA_TNUMBER, .num = level}, {.type = LUA_TSTRING}};
    mg_call  c = {.L = L, .args = log ? args : args + 1, .index = f->index, .nargs = log ? 2 : 1};
    mg_bytes own = vm->pack;
    char     why[128];
    int      bad;

    memset(&vm->pack, 0, sizeof(mg_bytes)); /* nested calls get another one */
    own.len = 0;

    if (log) {
        mg_log_prefix(L, &own);
    }

    bad = mg_concat(L, first, n, &own, why, sizeof(why));

    if (bad == 0 && (f->output != MG_OUT_SAY || mg_bytes_add(&own, "\n", 1))) {
        args[1].ptr = own.p != NULL ? own.p : "";
        args[1].len = own.len;
        mg_cross(vm, &c);
        *r = c.r;

    } else {
        mg_set_text(vm, r, MG_ERRARG, bad, why);
    }

    free(vm->pack.p);
    vm->pack = own;
}

/* A printing function: bytes go to the output buffer when the host has opened it, else to Go as one argument. */
static void mg_call_print(lua_State *L, mg_func *f, int n, mg_result *r)
{
    mg_vm *vm = f->vm;
    size_t len = vm->out.len;
    char   why[128];
    int    bad;

    if (!vm->out_fast) {
        mg_call_text(L, f, 1, n, 0, r);
        return;
    }

    bad = mg_concat(L, 1, n, &vm->out, why, sizeof(why));

    if (bad == 0 && (f->output == MG_OUT_PRINT || mg_bytes_add(&vm->out, "\n", 1))) {
        if (mg_unlikely(vm->out.len == 0)) { /* nothing to send yet: but the response begins here */
            mg_call_text(L, f, 1, n, 0, r);
            return;
        }
        mg_return(r, mg_one, sizeof(mg_one));
        return;
    }

    vm->out.len = len;
    mg_set_text(vm, r, MG_ERRARG, bad, why);
}

/* A logging function: Go is called only when the level is logged. */
static void mg_call_log(lua_State *L, mg_func *f, mg_result *r)
{
    mg_vm *vm = f->vm;
    int    level = MG_LEVEL_NOTICE, first = 1, bad;
    char   why[128];

    if (f->output == MG_OUT_LOG) {
        level = (int) luaL_checkinteger(L, 1);
        first = 2;
        if (level < 0 || level > MG_LEVEL_DEBUG) {
            snprintf(why, sizeof(why), "bad log level: %d", level);
            mg_set_text(vm, r, MG_ERRARG, 1, why);
            return;
        }
    }

    if (level > vm->log_level) {
        mg_return(r, NULL, 0);
        return;
    }

    bad = mg_log_args(L, first, why, sizeof(why));
    if (bad != 0) {
        mg_set_text(vm, r, MG_ERRARG, bad, why);
        return;
    }

    mg_call_text(L, f, first, lua_gettop(L) - first + 1, level, r);
}

/*
 * Pushes results, or raises the error; runs in a C function's frame called by the user's code. Memory allocated here
 * may run finalizers and these may call Go, which must not reuse the memory of these results: hence decoding.
 */
static int mg_complete(lua_State *L, mg_vm *vm, const mg_result *r)
{
    int n;

    if (r->kind == MG_OK) {
        vm->decoding++;
        n = mg_decode(L, vm, r->res, r->len);
        vm->decoding--;
        return n;
    }

    vm->decoding++;

    switch (r->kind) {

    case MG_ERRARG:
        lua_pushlstring(L, (const char *) r->res, r->len);
        vm->decoding--;
        return luaL_argerror(L, r->arg, lua_tostring(L, -1));

    case MG_ERRTEXT:
        lua_pushlstring(L, (const char *) r->res, r->len);
        vm->decoding--;
        return lua_error(L);

    case MG_ERRRAW:
        mg_decode(L, vm, r->res, r->len);
        vm->decoding--;
        return lua_error(L);
    }

    luaL_where(L, 1);
    lua_pushlstring(L, (const char *) r->res, r->len);
    vm->decoding--;
    lua_concat(L, 2);
    return lua_error(L);
}

static inline int mg_enter(lua_State *L, mg_func *f, mg_result *r)
{
    if (mg_unlikely(!(f->mask & f->vm->phase))) {
        return mg_phase_error(f, r);
    }

    return f->nsig == 0 || mg_sig_check(L, f, r);
}

int mg_sync_call(lua_State *L, mg_func *f)
{
    mg_result r;

    if (mg_enter(L, f, &r)) {
        if (f->output == MG_OUT_NONE) {
            mg_call_go(L, f, lua_gettop(L), &r);
        } else if (f->output <= MG_OUT_SAY) {
            mg_call_print(L, f, lua_gettop(L), &r);
        } else {
            mg_call_log(L, f, &r);
        }
    }

    return mg_complete(L, f->vm, &r);
}

int mg_sync(lua_State *L)
{
    return mg_sync_call(L, lua_touserdata(L, lua_upvalueindex(1)));
}

static void mg_call_direct(lua_State *L, mg_func *f, int n, mg_result *r)
{
    if (f->output == MG_OUT_NONE) {
        mg_call_go(L, f, n, r);
    } else {
        mg_call_print(L, f, n, r);
    }
}

/* Makes one string of what a printing function prints; 0 with the result set when it cannot. */
static int mg_join_args(lua_State *L, const mg_func *f, mg_result *r)
{
    mg_vm   *vm = f->vm;
    mg_bytes own = vm->pack;
    char     why[128];
    int      bad;

    memset(&vm->pack, 0, sizeof(mg_bytes));
    own.len = 0;
    bad = mg_concat(L, 1, lua_gettop(L), &own, why, sizeof(why));

    if (bad == 0 && (f->output != MG_OUT_SAY || mg_bytes_add(&own, "\n", 1))) {
        lua_settop(L, 0);
        lua_pushlstring(L, own.p != NULL ? own.p : "", own.len);
    } else {
        mg_set_text(vm, r, MG_ERRARG, bad, why);
        bad = 1;
    }

    free(vm->pack.p);
    vm->pack = own;
    return !bad;
}

int mg_async(lua_State *L)
{
    mg_func *f = lua_touserdata(L, lua_upvalueindex(1));
    mg_vm   *vm = f->vm;

    if (!mg_enter(L, f, &vm->fin)) {
        return 0;
    }

    if (!(vm->phase & vm->yieldable) || mg_unlikely(vm->inside > 0)) { /* where nothing waits, it is an ordinary call */
        mg_call_direct(L, f, lua_gettop(L), &vm->fin);
        return 0;
    }

    if (mg_unlikely(vm->blocked > 0 || !lua_isyieldable(L))) {
        if (f->output != MG_OUT_NONE) { /* one that would wait only for handlers of other phases */
            mg_call_direct(L, f, lua_gettop(L), &vm->fin);
            return 0;
        }
        mg_set_text(vm, &vm->fin, MG_ERRTEXT, 0, "attempt to yield across C-call boundary");
        return 0;
    }

    if (mg_unlikely(f->output != MG_OUT_NONE && !mg_join_args(L, f, &vm->fin))) {
        return 0;
    }

    vm->op = f->index;
    vm->op_co = L;
    return lua_yield(L, lua_gettop(L));
}

int mg_async_finish(lua_State *L)
{
    mg_func *f = lua_touserdata(L, lua_upvalueindex(1));

    return mg_complete(L, f->vm, &f->vm->fin);
}

int mg_view(lua_State *L)
{
    mg_func      *f = lua_touserdata(L, lua_upvalueindex(1));
    const mg_val *v = &f->vm->views[lua_tointeger(L, lua_upvalueindex(2))];

    if (mg_unlikely(!(f->mask & f->vm->phase))) {
        mg_result r;

        mg_phase_error(f, &r);
        return mg_complete(L, f->vm, &r);
    }

    if (v->type == LUA_TNUMBER) {
        lua_pushnumber(L, v->num);
    } else if (v->type == LUA_TSTRING) {
        lua_pushlstring(L, v->ptr, v->len);
    } else {
        lua_pushnil(L);
    }

    return 1;
}

/* --- ngx.ctx --- */

static mg_ctx *mg_ctx_of(lua_State *L, mg_vm *vm)
{
    if (vm->cur == NULL || vm->cur->ctx == NULL || (vm->phase & vm->norequest)) {
        luaL_error(L, "no request found");
    }

    return vm->cur->ctx;
}

int mg_ctx_get(lua_State *L, mg_vm *vm)
{
    mg_ctx *ctx = mg_ctx_of(L, vm);

    if (ctx->ref == LUA_NOREF) {
        lua_createtable(L, 0, 4);
        lua_pushvalue(L, -1);
        ctx->ref = luaL_ref(L, LUA_REGISTRYINDEX);
        return 1;
    }

    lua_rawgeti(L, LUA_REGISTRYINDEX, ctx->ref);
    return 1;
}

/* The new value is at index 3. */
int mg_ctx_set(lua_State *L, mg_vm *vm)
{
    mg_ctx *ctx = mg_ctx_of(L, vm);

    if (!lua_istable(L, 3)) {
        return luaL_error(L, "ctx should be a table while getting a %s", luaL_typename(L, 3));
    }

    if (ctx->ref == LUA_NOREF) {
        ctx->ref = luaL_ref(L, LUA_REGISTRYINDEX);
        return 0;
    }

    lua_rawseti(L, LUA_REGISTRYINDEX, ctx->ref);
    return 0;
}

/* --- called by Go during a call or an operation: whatever may raise runs protected on the main state --- */

int mg_ref_protected(lua_State *main)
{
    mg_vm *vm = mg_vm_of(main);

    *(int32_t *) vm->job = luaL_ref(main, LUA_REGISTRYINDEX);
    return 0;
}

/* Anchors the value at idx of L in the registry; LUA_NOREF when memory is short. */
int32_t mg_vm_ref(mg_vm *vm, lua_State *L, int idx)
{
    int32_t ref = LUA_NOREF;

    vm->job = &ref;
    lua_pushvalue(vm->L, MG_SLOT_REF);
    lua_pushvalue(L, idx);
    lua_xmove(L, vm->L, 1);

    vm->strayed = 1;
    if (lua_pcall(vm->L, 1, 0, 0) != 0) {
        lua_pop(vm->L, 1);
        return LUA_NOREF;
    }

    return ref;
}

int mg_concat_protected(lua_State *main)
{
    mg_vm *vm = mg_vm_of(main);
    char   why[128];
    int    n = lua_gettop(main), bad;

    if (*(int *) vm->job == 0) {
        bad = mg_payload(main, 1, &vm->pack, why, sizeof(why)) ? 0 : 1;
    } else {
        bad = mg_concat(main, 1, n, &vm->pack, why, sizeof(why));
    }

    if (bad != 0) {
        mg_vm_setmsg(vm, why, strlen(why));
    }

    *(int *) vm->job = bad;
    return 0;
}

/*
 * Concatenates n values of L into vm->pack: 0, or the number of the bad one (from 1) with vm->msg set. With n = 0 it is
 * what a socket sends for the value at first.
 */
int mg_vm_concat(mg_vm *vm, lua_State *L, int first, int n)
{
    int bad = n;

    vm->pack.len = 0;
    vm->job = &bad;
    n = n > 0 ? n : 1;

    if (n > 200 || !lua_checkstack(vm->L, n + 2)) {
        mg_vm_setmsg(vm, "too many values", 15);
        return 1;
    }

    lua_pushvalue(vm->L, MG_SLOT_CONCAT);
    for (int i = 0; i < n; i++) {
        lua_pushvalue(L, first + i);
        lua_xmove(L, vm->L, 1);
    }

    vm->strayed = 1;
    if (lua_pcall(vm->L, n, 0, 0) != 0) {
        mg_vm_setmsg(vm, lua_tostring(vm->L, -1), strlen(lua_tostring(vm->L, -1)));
        lua_pop(vm->L, 1);
        return 1;
    }

    return bad;
}

/* Where a Lua function argument was defined; 0 when it is none. */
int mg_vm_funcinfo(lua_State *L, int idx, lua_Debug *ar)
{
    if (!lua_isfunction(L, idx)) {
        return 0;
    }

    lua_pushvalue(L, idx);
    return lua_getinfo(L, ">S", ar);
}

/* The same of an anchored function. */
int mg_vm_refinfo(mg_vm *vm, int32_t ref, lua_Debug *ar)
{
    lua_rawgeti(vm->L, LUA_REGISTRYINDEX, ref);
    if (!lua_isfunction(vm->L, -1)) {
        lua_pop(vm->L, 1);
        return 0;
    }
    return lua_getinfo(vm->L, ">S", ar);
}

/* Source, line and name of the function at a level of a call (0 is the called function itself). */
int mg_vm_where(lua_State *L, int level, lua_Debug *ar)
{
    memset(ar, 0, sizeof(*ar));
    return lua_getstack(L, level, ar) && lua_getinfo(L, "Snl", ar);
}
