/* regex_split.c: the module "ngx.re" (split, opt) and the two open functions. */
#include "regex_vm.h"

#include <string.h>

#define MG_RE_JIT_STACK_MIN (32 * 1024)

/* opt("jit_stack_size", bytes): only before the first pattern with "o" was matched. */
static int mg_re_opt(lua_State *L)
{
    lua_Number        n;
    mg_re_vm         *vm = lua_touserdata(L, MG_RE_UP_VM);
    const char       *name;
    pcre2_jit_stack  *stack;

    lua_settop(L, 2);
    name = lua_tostring(L, 1);

    if (name == NULL || strcmp(name, "jit_stack_size") != 0) {
        return luaL_error(L, "unrecognized option name");
    }

    if (vm->match_cached) {
        return luaL_error(L, "changing jit stack size is not allowed when some regexs have already been compiled "
                          "and cached");
    }

    n = luaL_checknumber(L, 2);
    if (!(n >= MG_RE_JIT_STACK_MIN)) {
        n = MG_RE_JIT_STACK_MIN;
    }

    stack = pcre2_jit_stack_create(MG_RE_JIT_STACK_MIN, (size_t) n, NULL);
    if (stack == NULL) {
        return luaL_error(L, "pcre jit stack allocation failed");
    }

    pcre2_jit_stack_free(vm->jit_stack);
    vm->jit_stack = stack;
    pcre2_jit_stack_assign(vm->mctx, NULL, stack);
    return 0;
}

/*
 * The running state of one split. Positions are 1-based Lua positions except pos, the 0-based start of a match. start
 * begins as the caller's ctx.pos and may be 0 or negative, which then counts from the end as in string.sub.
 */
typedef struct {
    mg_re_vm    *vm;
    mg_re       *re;
    const char  *s;
    size_t       len;
    size_t       pos;
    int64_t      start;       /* where the next piece begins */
    int64_t      last_empty;  /* position of the last empty match, 0 for none */
    int          n;           /* pieces stored */
    int          matches;
    int          rc;          /* the failure that ended the split, else 0 */
} mg_re_splitter;

/* Stores string.sub(subject, from, to), where to is not negative. */
static void mg_re_split_store(lua_State *L, mg_re_splitter *sp, int64_t from, size_t to)
{
    if (from < 0) {
        from += (int64_t) sp->len + 1;
    }

    if (from < 1) {
        from = 1;
    }

    lua_pushlstring(L, sp->s + from - 1, (int64_t) to >= from ? to - (size_t) from + 1 : 0);
    lua_rawseti(L, 6, ++sp->n);
}

/*
 * Stores the piece before the match, and group 1 when there is one. A group 1 which took no part while a later group
 * did gives the whole subject: OpenResty cuts from position 0 to -1.
 */
static void mg_re_split_piece(lua_State *L, mg_re_splitter *sp, const PCRE2_SIZE *ov, int rc)
{
    int cap = sp->re->ncap > 0 && rc > 1;

    mg_re_split_store(L, sp, sp->start, ov[0]);

    if (cap && ov[2] != PCRE2_UNSET) {
        mg_re_split_store(L, sp, (int64_t) ov[2] + 1, ov[3]);

    } else if (cap) {
        mg_re_split_store(L, sp, 1, sp->len);
    }
}

static void mg_re_split_run(lua_State *L, mg_re_splitter *sp, lua_Number max)
{
    int                rc, valid = 0, count = 1;
    int64_t            from, to;
    PCRE2_SIZE        *ov;
    pcre2_match_data  *md = mg_re_take(sp->vm, sp->re);

    if (md == NULL) {
        sp->rc = PCRE2_ERROR_NOMEMORY;
        return;
    }

    ov = pcre2_get_ovector_pointer(md);

    while (!(max > 0) || count < max) {
        rc = mg_re_exec(sp->vm, sp->re, md, sp->s, sp->len, sp->pos, &valid);

        if (rc < 0) {
            sp->rc = rc == PCRE2_ERROR_NOMATCH ? 0 : rc;
            break;
        }

        sp->matches++;
        from = (int64_t) ov[0] + 1;
        to = (int64_t) ov[1] + 1;
        sp->pos = from == to ? ov[1] + 1 : ov[1];

        if (sp->last_empty != 0) {
            sp->start = sp->last_empty;
        }

        if (from == to) {
            sp->last_empty = from;
        }

        if (from > sp->start || sp->last_empty == 0) {
            count++;
            mg_re_split_piece(L, sp, ov, rc);
            sp->start = to;

            if (sp->start > (int64_t) sp->len) {
                break;
            }
        }
    }

    mg_re_give(sp->vm, sp->re, md);
}

/* Without max, empty pieces at the end go; else the rest of the subject is the last piece. */
static void mg_re_split_end(lua_State *L, mg_re_splitter *sp, lua_Number max)
{
    size_t n;

    if (max > 0 || sp->start <= (int64_t) sp->len) {
        mg_re_split_store(L, sp, sp->start, sp->len);

    } else {
        for (int i = sp->n; i >= 1; i--) {
            lua_rawgeti(L, 6, i);
            n = lua_type(L, -1) == LUA_TSTRING ? lua_objlen(L, -1) : 1;
            lua_pop(L, 1);

            if (n > 0) {
                sp->n = i;
                break;
            }

            lua_pushnil(L);
            lua_rawseti(L, 6, i);
        }
    }

    lua_pushnil(L);
    lua_rawseti(L, 6, sp->n + 1);
}

/* ctx.pos, 1 when not set. */
static lua_Number mg_re_split_pos(lua_State *L)
{
    lua_Number pos = 1;

    if (!lua_toboolean(L, 4)) {
        return 1;
    }

    lua_pushvalue(L, MG_RE_UP_POS);
    lua_gettable(L, 4);

    if (lua_toboolean(L, -1)) {
        pos = luaL_checknumber(L, -1);
    }

    lua_pop(L, 1);
    return pos;
}

/* ctx.pos ends as the 0-based offset at which the next match would have started. */
static void mg_re_split_set_pos(lua_State *L, lua_Number pos)
{
    if (lua_toboolean(L, 4)) {
        lua_pushvalue(L, MG_RE_UP_POS);
        lua_pushnumber(L, pos);
        lua_settable(L, 4);
    }
}

/* split(subject, regex, options?, ctx?, max?, res?) */
static int mg_re_split(lua_State *L)
{
    lua_Number      max, pos;
    mg_re_splitter  sp;

    lua_settop(L, 6);
    memset(&sp, 0, sizeof(sp));
    sp.vm = lua_touserdata(L, MG_RE_UP_VM);
    sp.s = mg_re_tostring(L, 1, &sp.len);

    pos = mg_re_split_pos(L);
    max = lua_toboolean(L, 5) ? luaL_checknumber(L, 5) : 0;

    if (!lua_toboolean(L, 6)) {
        lua_createtable(L, max >= 1 && max < 4 ? (int) max : 4, 0);
        lua_replace(L, 6);

    } else if (!lua_istable(L, 6)) {
        return luaL_error(L, "res is not a table");
    }

    if (pos > (lua_Number) sp.len) {
        mg_re_split_set_pos(L, pos);
        lua_pushnil(L);
        lua_rawseti(L, 6, 1);
        return 1;
    }

    sp.re = mg_re_get(L, sp.vm, MG_RE_MATCH, 2, 3, 0);
    if (sp.re == NULL) {
        mg_re_split_set_pos(L, pos);
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }

    sp.start = pos > -1e15 ? (int64_t) pos : 1;
    sp.pos = pos >= 1 ? (size_t) sp.start - 1 : 0;

    mg_re_split_run(L, &sp, max);
    mg_re_release(sp.vm, sp.re);
    mg_re_split_set_pos(L, sp.matches > 0 ? (lua_Number) sp.pos : pos - 1);

    if (sp.rc != 0) {
        lua_pushnil(L);
        mg_re_push_exec_error(L, sp.rc);
        return 2;
    }

    mg_re_split_end(L, &sp, max);
    lua_settop(L, 6);
    return 1;
}

int mg_open_ngx_re(lua_State *L)
{
    static const luaL_Reg fns[] = {
        {"match", mg_re_match}, {"find", mg_re_find}, {"gmatch", mg_re_gmatch}, {"opt", mg_re_opt}, {NULL, NULL},
    };

    lua_createtable(L, 0, 6);
    mg_re_register(L, fns);
    mg_re_add_sub(L);
    return 1;
}

int mg_open_ngx_re_module(lua_State *L)
{
    static const luaL_Reg fns[] = {{"split", mg_re_split}, {"opt", mg_re_opt}, {NULL, NULL}};

    lua_createtable(L, 0, 2);
    mg_re_register(L, fns);
    return 1;
}
