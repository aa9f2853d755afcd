/*
 * mg_coro.c: coroutines, and the loop which runs a handler.
 *
 * coroutine.resume runs the child natively. When the child (or a child of it) waits for the host, every coroutine of the
 * chain yields up to the host; each child keeps its parent in exdata2. The host later resumes the innermost one, and its
 * next plain yield, return or error is handed to its parent by mg_resume, level by level.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_vm.h"
#include "mg_vm_api.h"

#define MG_CO_WRAP 1u   /* resumed by a function made by coroutine.wrap */
#define MG_CO_NORMAL 2u /* waits for a child which waits for the host */
#define MG_CO_OP 4u     /* waits for the host itself */
#define MG_CO_FLAGS 7u

/* In the parent's place for light threads which have ended: not waited for yet, and gone. */
#define MG_LIGHT_ZOMBIE 8u
#define MG_LIGHT_DEAD 16u

#define MG_MAX_NATIVE 1000 /* coroutines inside each other: each costs C stack */

static char mg_raise_key; /* marks an error handed to mg_wrap_finish */

#define MG_RAISE ((void *) &mg_raise_key)

static uintptr_t mg_flags(lua_State *co)
{
    return (uintptr_t) lua_getexdata2(co) & MG_CO_FLAGS;
}

static lua_State *mg_parent(lua_State *co)
{
    return (lua_State *) ((uintptr_t) lua_getexdata2(co) & ~(uintptr_t) MG_CO_FLAGS);
}

static void mg_set_flags(lua_State *co, uintptr_t set, uintptr_t clear)
{
    lua_setexdata2(co, (void *) (((uintptr_t) lua_getexdata2(co) | set) & ~clear));
}

static mg_vm *mg_up(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int mg_is_entry(const mg_vm *vm, const lua_State *L)
{
    return vm->cur != NULL && vm->cur->co == L;
}

/* Phases without light threads have Lua's own coroutines in OpenResty, others must be able to wait. */
static void mg_co_phase(lua_State *L, const mg_vm *vm)
{
    if (mg_unlikely(!(vm->phase & (vm->yieldable | vm->plainco)))) {
        luaL_error(L, "API disabled in the context of %s", mg_phase_name(vm, vm->phase));
    }
}

static const char *mg_co_state(lua_State *L, lua_State *co)
{
    lua_Debug ar;

    if (co == L) {
        return "running";
    }

    switch ((uintptr_t) mg_parent(co)) {
    case MG_LIGHT_ZOMBIE:
        return "zombie";
    case MG_LIGHT_DEAD:
        return "dead";
    }

    switch (lua_status(co)) {
    case LUA_YIELD:
        if (mg_flags(co) & MG_CO_NORMAL) {
            return "normal";
        }
        return mg_flags(co) & MG_CO_OP ? "running" : "suspended";
    case 0:
        if (lua_getstack(co, 0, &ar)) {
            return "normal";
        }
        return lua_gettop(co) == 0 ? "dead" : "suspended";
    }

    return "dead";
}

static int mg_co_status(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);

    luaL_argcheck(L, co != NULL, 1, "coroutine expected");
    mg_co_phase(L, mg_up(L));
    lua_pushstring(L, mg_co_state(L, co));
    return 1;
}

static lua_State *mg_co_new(lua_State *L, mg_vm *vm)
{
    lua_State *co;

    luaL_argcheck(L, lua_isfunction(L, 1) && (!lua_iscfunction(L, 1) || (vm->phase & vm->plainco)), 1,
                  "Lua function expected");
    mg_co_phase(L, vm);
    co = lua_newthread(L);
    lua_setexdata(co, lua_getexdata(L));
    lua_setexdata2(co, NULL);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return co;
}

static int mg_co_create(lua_State *L)
{
    mg_co_new(L, mg_up(L));
    return 1;
}

/* Upvalue 2 makes the function around the new coroutine (see mg_wrap_stub). */
static int mg_co_wrap(lua_State *L)
{
    mg_co_new(L, mg_up(L));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    return 1;
}

/* Moves n values, after true unless the child was wrapped; returns their number, or -1 when the stack is full. */
static int mg_hand_over(lua_State *from, lua_State *to, int n, int wrap)
{
    if (!lua_checkstack(to, n + 1)) {
        return -1;
    }

    if (!wrap) {
        lua_pushboolean(to, 1);
    }

    lua_xmove(from, to, n);
    return n + !wrap;
}

/* The child failed, its error is at its top: pushes what its parent sees. */
static int mg_hand_error(lua_State *from, lua_State *to, int wrap)
{
    if (!wrap) {
        lua_pushboolean(to, 0);
        lua_xmove(from, to, 1);
        return 2;
    }

    lua_pushlightuserdata(to, MG_RAISE);
    lua_xmove(from, to, 1);
    lua_pushthread(from);
    lua_xmove(from, to, 1);
    return 3;
}

/* A wrapped coroutine which cannot run returns false and the reason, as OpenResty has it, not an error. */
static int mg_co_refuse(lua_State *L, const mg_vm *vm, int wrap, const char *text)
{
    if (wrap && (vm->phase & vm->plainco)) {
        lua_pushlightuserdata(L, MG_RAISE);
        lua_pushstring(L, text);
        return 2;
    }

    lua_pushboolean(L, 0);
    lua_pushstring(L, text);
    return 2;
}

/* Runs the coroutine at index 1 with the arguments above it. */
static int mg_co_run(lua_State *L, mg_vm *vm, int wrap)
{
    lua_State *co = lua_tothread(L, 1);
    int        n = lua_gettop(L) - 1, rc, blocks;

    if (mg_unlikely(lua_status(co) > LUA_YIELD || mg_flags(co) != 0 || co == L ||
                    (lua_status(co) == 0 && strcmp(mg_co_state(L, co), "suspended") != 0)))
    {
        return mg_co_refuse(L, vm, wrap, lua_pushfstring(L, "cannot resume %s coroutine", mg_co_state(L, co)));
    }

    if (mg_unlikely(vm->depth >= MG_MAX_NATIVE)) {
        return mg_co_refuse(L, vm, wrap, "C stack overflow");
    }

    if (!lua_checkstack(co, n + 1)) {
        return mg_co_refuse(L, vm, wrap, "too many arguments to resume");
    }

    lua_xmove(L, co, n);
    lua_setexdata(co, lua_getexdata(L));

    blocks = !lua_isyieldable(L);
    vm->blocked += blocks;
    vm->depth++;
    rc = lua_resume(co, n);
    vm->depth--;
    vm->blocked -= blocks;

    if (mg_unlikely(rc > LUA_YIELD)) {
        return mg_hand_error(co, L, wrap);
    }

    if (mg_unlikely(rc == LUA_YIELD && vm->op >= 0)) {
        mg_set_flags(L, MG_CO_NORMAL, 0);
        lua_setexdata2(co, (void *) ((uintptr_t) L | (wrap ? MG_CO_WRAP : 0) | mg_flags(co)));
        return lua_yield(L, 1); /* the child, at index 1, stays on the stack */
    }

    n = mg_hand_over(co, L, lua_gettop(co), wrap);

    if (n < 0) {
        mg_back(vm, L);
        return luaL_error(L, "too many results to resume");
    }

    return n;
}

static int mg_co_resume(lua_State *L)
{
    mg_vm *vm = mg_up(L);

    luaL_argcheck(L, lua_isthread(L, 1), 1, "coroutine expected");
    mg_co_phase(L, vm);
    return mg_co_run(L, vm, 0);
}

/*
 * coroutine.wrap gives finish(run(co, ...)): an error is raised by mg_wrap_finish in the place of the user's call, also
 * when the child failed long after its parent had yielded to the host.
 */
static const char mg_wrap_stub[] =
    "local run, finish = ... return function(co) return function(...) return finish(run(co, ...)) end end";

static int mg_wrap_run(lua_State *L)
{
    return mg_co_run(L, mg_up(L), 1);
}

static int mg_wrap_finish(lua_State *L)
{
    mg_vm *vm;

    if (lua_type(L, 1) != LUA_TLIGHTUSERDATA || lua_touserdata(L, 1) != MG_RAISE) {
        return lua_gettop(L);
    }

    vm = mg_up(L);
    lua_settop(L, 3); /* index 3, the failed child, stays for the traceback */

    if ((vm->phase & vm->plainco) && lua_isstring(L, 2)) {
        luaL_where(L, 1);
    } else {
        lua_pushliteral(L, "");
    }

    if (lua_isstring(L, 2)) {
        lua_pushvalue(L, 2);
        lua_concat(L, 2);
    } else {
        lua_pushvalue(L, 2);
    }

    return lua_error(L);
}

/* The child whose error made co fail, NULL when co failed by itself. */
lua_State *mg_wrap_child(lua_State *co)
{
    lua_Debug   ar;
    lua_State  *child = NULL;
    const char *name;

    if (!lua_getstack(co, 0, &ar) || !lua_getinfo(co, "f", &ar)) {
        return NULL;
    }

    name = lua_tocfunction(co, -1) == mg_wrap_finish ? "" : NULL;
    lua_pop(co, 1);

    if (name != NULL && (name = lua_getlocal(co, &ar, 3)) != NULL) {
        child = lua_tothread(co, -1);
        lua_pop(co, 1);
    }

    return child;
}

static int mg_co_yield(lua_State *L)
{
    mg_vm *vm = mg_up(L);

    mg_co_phase(L, vm);

    if (mg_is_entry(vm, L) && !(vm->phase & vm->yieldable)) {
        return luaL_error(L, "attempt to yield across C-call boundary");
    }

    return lua_yield(L, lua_gettop(L));
}

/* Keeps the function at the top under its names: the usual one, and the one with two underscores; what was there before
 * gets one underscore. */
static void mg_co_set(lua_State *L, const char *name)
{
    char alias[16];

    snprintf(alias, sizeof(alias), "_%s", name);
    lua_getfield(L, -2, name);
    lua_setfield(L, -3, alias);
    snprintf(alias, sizeof(alias), "__%s", name);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, alias);
    lua_setfield(L, -2, name);
}

void mg_coro_open(lua_State *L, mg_vm *vm)
{
    static const luaL_Reg fns[] = {
        {"create", mg_co_create}, {"resume", mg_co_resume}, {"yield", mg_co_yield},
        {"status", mg_co_status}, {NULL, NULL},
    };

    lua_getglobal(L, "coroutine");

    for (const luaL_Reg *f = fns; f->name != NULL; f++) {
        lua_pushlightuserdata(L, vm);
        lua_pushcclosure(L, f->func, 1);
        mg_co_set(L, f->name);
    }

    lua_pushlightuserdata(L, vm);
    if (luaL_loadbuffer(L, mg_wrap_stub, sizeof(mg_wrap_stub) - 1, "=coroutine") != 0) {
        lua_error(L);
    }
    lua_pushlightuserdata(L, vm);
    lua_pushcclosure(L, mg_wrap_run, 1);
    lua_pushlightuserdata(L, vm);
    lua_pushcclosure(L, mg_wrap_finish, 1);
    lua_call(L, 2, 1);
    lua_pushcclosure(L, mg_co_wrap, 2);
    mg_co_set(L, "wrap");
    lua_pushnil(L); /* OpenResty has none */
    lua_setfield(L, -2, "isyieldable");
    lua_pop(L, 1);
}

/* --- entry coroutines --- */

static int mg_thread_protected(lua_State *L)
{
    mg_thread *t = lua_touserdata(L, 1);

    t->co = lua_newthread(L);
    lua_setexdata2(t->co, NULL);
    t->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* NULL when memory is short. */
mg_thread *mg_thread_new(mg_vm *vm)
{
    mg_thread *t = calloc(1, sizeof(mg_thread));

    if (t == NULL) {
        return NULL;
    }

    t->vm = vm;
    t->cap = 8;
    t->args = malloc((size_t) t->cap * sizeof(mg_val));

    vm->strayed = 1;
    if (t->args == NULL || lua_cpcall(vm->L, mg_thread_protected, t) != 0) {
        free(t->args);
        free(t);
        return NULL;
    }

    return t;
}

/*
 * A light thread: starts the function at index 1 of the coroutine L, which waits, with the values above it. NULL when
 * memory is short.
 */
mg_thread *mg_thread_spawn(mg_vm *vm, lua_State *L)
{
    mg_thread *t = mg_thread_new(vm);
    int        n = lua_gettop(L);

    if (t == NULL) {
        return NULL;
    }

    if (!lua_checkstack(t->co, n + 1) || !lua_checkstack(L, n)) {
        mg_vm_unref(vm, t->ref);
        mg_thread_free(t);
        return NULL;
    }

    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, i);
    }

    lua_xmove(L, t->co, n);
    t->nstart = n;
    return t;
}

/* Marks a light thread as ended, with results that somebody may take, or as gone. */
void mg_thread_mark(mg_thread *t, int dead)
{
    lua_setexdata2(t->co, (void *) (uintptr_t) ((dead ? MG_LIGHT_DEAD : MG_LIGHT_ZOMBIE) | MG_CO_OP));
}

/*
 * How many values an ended light thread left: its results, or its error. As in OpenResty the arguments of error() come
 * before its message, so what is found first has no position.
 */
int mg_thread_nresults(const mg_thread *t)
{
    int         n = lua_gettop(t->co);
    size_t      len, msglen;
    const char *arg, *msg;

    if (t->state != MG_FAILED || n < 2 || !lua_isstring(t->co, 1) || !lua_isstring(t->co, -1)) {
        return t->state == MG_FAILED ? 1 : n;
    }

    arg = lua_tolstring(t->co, 1, &len);
    msg = lua_tolstring(t->co, -1, &msglen);
    return len < msglen && memcmp(msg + msglen - len, arg, len) == 0 ? n : 1;
}

/* Is the thread at index idx of L a light thread which is gone? */
int mg_thread_is_dead(lua_State *L, int idx)
{
    lua_State *co = lua_tothread(L, idx);

    return co != NULL && (uintptr_t) mg_parent(co) == MG_LIGHT_DEAD;
}

/* Frees the C side; the coroutine goes with the VM, or is collected after mg_vm_unref. */
void mg_thread_free(mg_thread *t)
{
    free(t->args);
    free(t);
}

/* Makes the thread fit for another handler, whatever it was doing. */
void mg_thread_reset(mg_thread *t)
{
    if (t->state == MG_DONE) {
        lua_settop(t->co, 0);
    } else if (t->state != MG_IDLE) {
        lua_resetthread(t->vm->L, t->co);
    }

    lua_setexdata2(t->co, NULL);
    t->state = MG_IDLE;
    t->ctx = NULL;
    t->nstart = 0;
}

typedef struct {
    mg_thread     *t;
    const uint8_t *p;
    size_t         len;
} mg_start;

int mg_args_protected(lua_State *main)
{
    mg_start *s = mg_vm_of(main)->job;
    int       n;

    n = mg_decode(main, s->t->vm, s->p, s->len);
    luaL_checkstack(s->t->co, n + 1, "too many arguments");
    lua_rawgeti(s->t->co, LUA_REGISTRYINDEX, s->t->fn);
    lua_xmove(main, s->t->co, n);
    s->t->nstart = n + 1;
    return 0;
}

/* Gives a thread which has not started its function's arguments. Not 0 and vm->msg when memory is short. */
int mg_thread_args(mg_thread *t, const uint8_t *p, size_t len)
{
    mg_vm   *vm = t->vm;
    mg_start s = {t, p, len};

    vm->job = &s;
    lua_pushvalue(vm->L, MG_SLOT_ARGS);

    vm->strayed = 1;
    if (lua_pcall(vm->L, 0, 0, 0) != 0) {
        mg_vm_setmsg(vm, "not enough memory", 17);
        lua_pop(vm->L, 1);
        return 1;
    }

    return 0;
}

static int mg_thread_pack(mg_thread *t, lua_State *co)
{
    int n = lua_gettop(co);

    if (mg_unlikely(n > t->cap)) {
        mg_val *mem = realloc(t->args, (size_t) n * sizeof(mg_val));

        if (mem == NULL) {
            n = t->cap;
        } else {
            t->args = mem;
            t->cap = n;
        }
    }

    t->nargs = n;
    mg_pack(t->vm, co, 1, n, t->args);
    return n;
}

/* Ends a step of cur with results or an error: hands it to the parent. Returns the number of values for the parent. */
static int mg_step_up(mg_thread *t, int rc)
{
    lua_State *cur = t->cur, *parent = mg_parent(cur);
    int        wrap = (mg_flags(cur) & MG_CO_WRAP) != 0, n;

    lua_setexdata2(cur, NULL);
    mg_set_flags(parent, 0, MG_CO_NORMAL);
    t->cur = parent;

    if (rc > LUA_YIELD) {
        return mg_hand_error(cur, parent, wrap);
    }

    n = mg_hand_over(cur, parent, lua_gettop(cur), wrap);
    return n >= 0 ? n : 0;
}

static int mg_run(mg_thread *t, mg_vm *vm)
{
    int n = 0, rc;

    if (t->state == MG_IDLE) {
        t->cur = t->co;
        if (t->nstart > 0) {
            n = t->nstart - 1;
        } else {
            lua_rawgeti(t->co, LUA_REGISTRYINDEX, t->fn);
        }
        t->nstart = 0;

    } else {
        vm->fin = t->r; /* left alone after a plain yield */
        mg_set_flags(t->cur, 0, MG_CO_OP);
    }

    for (;;) {
        vm->strayed = 0;
        rc = lua_resume(t->cur, n);
        vm->strayed = 1;

        if (rc == LUA_YIELD && vm->op >= 0) {
            t->cur = vm->op_co;
            t->op = vm->op;
            mg_set_flags(t->cur, MG_CO_OP, 0);
            mg_thread_pack(t, t->cur);
            t->state = MG_PARKED;
            return MG_RET_OP;
        }

        if (t->cur != t->co) {
            n = mg_step_up(t, rc);
            continue;
        }

        if (rc == LUA_YIELD) { /* coroutine.yield of the thread itself: others may have their turn */
            lua_settop(t->co, 0);
            mg_set_flags(t->co, MG_CO_OP, 0);
            t->state = MG_YIELDED;
            return MG_RET_YIELD;
        }

        if (rc == 0) {
            t->nargs = 0;
            if (mg_unlikely(lua_gettop(t->co) > 0)) {
                mg_thread_pack(t, t->co);
            }
            t->state = MG_DONE;
            return MG_RET_DONE;
        }

        mg_trace(vm, t->co, (t->phase & vm->yieldable) != 0);
        t->state = MG_FAILED;
        return MG_RET_ERROR;
    }
}

/* Starts or continues a thread until it is done, fails, or waits for the host. */
int mg_resume(uintptr_t thread)
{
    mg_thread *t = (mg_thread *) thread, *cur;
    mg_vm     *vm = t->vm;
    uint32_t   phase = vm->phase;
    int32_t    blocked = vm->blocked, depth = vm->depth;
    int        rc;

    cur = vm->cur;
    if (cur == NULL) {
        vm->decoding = 0; /* an error may have left it */
        mg_stall_enter(vm);
    }
    vm->cur = t;
    vm->phase = t->phase;
    vm->blocked = 0;
    vm->op = -1;
    lua_setexdata(t->co, t->ctx != NULL ? t->ctx->exdata : NULL);

    rc = mg_run(t, vm);

    if (cur == NULL) {
        mg_stall_leave(vm);
    }
    vm->op = -1;
    vm->cur = cur;
    vm->phase = phase;
    vm->blocked = blocked;
    vm->depth = depth;
    return rc;
}
