/*
 * regex_vm.h: what the files of ngx.re share (regex_cache.c, regex_match.c, regex_sub.c, regex_split.c).
 *
 * Invariants:
 *  - LuaJIT interns every string, so the address of an anchored string stands for its bytes: cache keys are addresses.
 *  - Any Lua API call that allocates may run a finalizer, and a finalizer may use ngx.re. So what is needed after such
 *    a call is taken out of the VM's record first (match data, buffer) and the pattern is held by a reference.
 *  - A hold or a taken match data lost to a Lua memory error is leaked; no other Lua error can happen in between.
 */
#ifndef MG_REGEX_VM_H
#define MG_REGEX_VM_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "regex_ngx.h"

/* What a compiled pattern is used for; part of its key. */
enum { MG_RE_MATCH, MG_RE_SUB_FUNC, MG_RE_SUB_STR, MG_RE_SUB_BASE };

/* The list that owns a cached pattern. */
enum { MG_RE_LIST_MATCH, MG_RE_LIST_SUB, MG_RE_LIST_RECENT, MG_RE_LISTS };

/* One piece of a replacement template: text, or capture cap when cap >= 0. */
typedef struct {
    const char  *text;
    size_t       len;
    int          cap;
} mg_re_part;

typedef struct mg_re mg_re;

struct mg_re {
    pcre2_code     *code;
    uint32_t        ncap;        /* groups, group 0 not counted; 0 in DFA mode, which reports the whole match only */
    uint32_t        exec_opts;
    uint8_t         fast;        /* machine code, and the subject needs no UTF-8 check */
    uint8_t         jit;         /* machine code exists */
    uint8_t         dfa;
    uint8_t         dup;         /* option "D": named captures are arrays */
    uint8_t         utf_check;
    uint8_t         once;        /* option "o" */

    uint32_t        name_count;
    uint32_t        name_size;
    const uint8_t  *names;       /* name_count times: number (2 bytes, big endian), name, NUL */

    mg_re_part     *parts;       /* MG_RE_SUB_STR only: the template */
    uint32_t        nparts;
    mg_re          *base;        /* MG_RE_SUB_STR only: owns code, held */

    int             refs;        /* one for the cache, one for each user */

    uint8_t         kind;
    uint8_t         list;
    const char     *key_re;      /* addresses of interned strings; key_opts and key_repl may be NULL */
    const char     *key_opts;
    const char     *key_repl;
    int             anchor[3];   /* references in the VM record's environment which keep the keys alive */
    mg_re          *chain;
    mg_re          *prev;
    mg_re          *next;
    size_t          bytes;
};

typedef struct {
    mg_re                  **bucket;
    size_t                   mask;
    mg_re                   *none;       /* the only bucket of a closed VM */
    int                      closed;
    mg_re                   *head[MG_RE_LISTS];
    mg_re                   *tail[MG_RE_LISTS];
    uint32_t                 count[MG_RE_LISTS];

    int                      cache_max;
    int                      match_cached; /* a pattern went into the match cache: the JIT stack is settled */
    int                      warned;

    pcre2_general_context   *gctx;       /* counts md_bytes */
    pcre2_match_context     *mctx;
    pcre2_jit_stack         *jit_stack;
    pcre2_match_data        *md;         /* NULL while taken */
    size_t                   md_pairs;
    size_t                   md_bytes;
    pcre2_match_data        *md_dfa;     /* one pair */

    char                    *buf;        /* scratch of sub; NULL while taken */
    size_t                   buf_cap;

    mg_re_log_fn             log;
    void                    *log_ud;
    int                      log_level;
    mg_re_stats              st;
} mg_re_vm;

/* Upvalues of every C function of the library. */
#define MG_RE_UP_VM        lua_upvalueindex(1) /* the record (full userdata) */
#define MG_RE_UP_POS       lua_upvalueindex(2) /* "pos" */
#define MG_RE_UP_TOSTRING  lua_upvalueindex(3) /* the global function */
#define MG_RE_UPVALUES     3

/* regex_cache.c */
void mg_re_register(lua_State *L, const luaL_Reg *fns);
mg_re *mg_re_miss(lua_State *L, mg_re_vm *vm, int kind, int ire, int iopts, int irepl);
void mg_re_free(mg_re_vm *vm, mg_re *re);
void mg_re_log(mg_re_vm *vm, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
pcre2_match_data *mg_re_new_md(mg_re_vm *vm, mg_re *re);
void mg_re_drop_md(mg_re_vm *vm, mg_re *re, pcre2_match_data *md);

/* regex_match.c */
int mg_re_match(lua_State *L);
int mg_re_find(lua_State *L);
int mg_re_gmatch(lua_State *L);
void mg_re_push_captures(lua_State *L, mg_re *re, const char *s, const PCRE2_SIZE *ov, int rc, int ires);
int mg_re_push_exec_error(lua_State *L, int rc);

/* regex_sub.c */
int mg_re_compile_template(mg_re_vm *vm, mg_re *re, const char *src, size_t len);
void mg_re_add_sub(lua_State *L);

static inline size_t mg_re_hash(int kind, const char *re, const char *opts, const char *repl)
{
    uint64_t h = (uint64_t) (uintptr_t) re * 0x9E3779B97F4A7C15ull;

    h ^= (uint64_t) (uintptr_t) opts * 0xC2B2AE3D27D4EB4Full;
    h ^= (uint64_t) (uintptr_t) repl * 0x165667B19E3779F9ull;
    h += (uint64_t) kind;
    return (size_t) (h >> 32);
}

static inline void mg_re_unlink(mg_re_vm *vm, mg_re *re)
{
    if (re->prev != NULL) {
        re->prev->next = re->next;
    } else {
        vm->head[re->list] = re->next;
    }

    if (re->next != NULL) {
        re->next->prev = re->prev;
    } else {
        vm->tail[re->list] = re->prev;
    }
}

static inline void mg_re_link(mg_re_vm *vm, mg_re *re)
{
    re->prev = NULL;
    re->next = vm->head[re->list];

    if (re->next != NULL) {
        re->next->prev = re;
    } else {
        vm->tail[re->list] = re;
    }

    vm->head[re->list] = re;
}

/*
 * Returns the pattern at ire with the options at iopts, held for the caller (mg_re_release), or NULL with the error
 * text on the stack. Raises for arguments of a wrong type. irepl is 0 or the index of the template.
 */
static inline mg_re *mg_re_get(lua_State *L, mg_re_vm *vm, int kind, int ire, int iopts, int irepl)
{
    const char  *kre, *kopts, *krepl;
    mg_re       *re;

    kre = luaL_checklstring(L, ire, NULL);
    kopts = lua_toboolean(L, iopts) ? luaL_checklstring(L, iopts, NULL) : NULL;
    krepl = irepl != 0 ? lua_tolstring(L, irepl, NULL) : NULL;

    for (re = vm->bucket[mg_re_hash(kind, kre, kopts, krepl) & vm->mask]; re != NULL; re = re->chain) {
        if (re->key_re == kre && re->key_opts == kopts && re->key_repl == krepl && re->kind == kind) {
            break;
        }
    }

    if (re == NULL) {
        return mg_re_miss(L, vm, kind, ire, iopts, irepl);
    }

    vm->st.hits++;
    re->refs++;

    if (vm->head[re->list] != re) {
        mg_re_unlink(vm, re);
        mg_re_link(vm, re);
    }

    if (re->list == MG_RE_LIST_RECENT && re->jit && vm->log_level >= MG_RE_LOG_DEBUG) {
        /* without "o" OpenResty compiles on every call, and says so */
        mg_re_log(vm, MG_RE_LOG_DEBUG, "pcre2 JIT compiled successfully");
    }

    return re;
}

static inline void mg_re_release(mg_re_vm *vm, mg_re *re)
{
    if (--re->refs == 0) {
        mg_re_free(vm, re);
    }
}

/* The match data for re, the caller's until mg_re_give; NULL when memory is short. */
static inline pcre2_match_data *mg_re_take(mg_re_vm *vm, mg_re *re)
{
    pcre2_match_data *md = vm->md;

    if (md == NULL || vm->md_pairs <= re->ncap || re->dfa) {
        return mg_re_new_md(vm, re);
    }

    vm->md = NULL;
    return md;
}

/* A deep match leaves PCRE2's heap frames with the match data; above this size it is not kept. */
#define MG_RE_MD_KEEP (256 * 1024)

static inline void mg_re_give(mg_re_vm *vm, mg_re *re, pcre2_match_data *md)
{
    if (re->dfa || vm->md != NULL || vm->md_bytes > MG_RE_MD_KEEP || vm->closed) {
        mg_re_drop_md(vm, re, md);
        return;
    }

    vm->md = md;
    vm->md_pairs = pcre2_get_ovector_count(md);
}

/*
 * Matches s[pos..len); returns PCRE2's result, with 1 in place of DFA's "more matches than room". *valid remembers
 * between the calls of one loop over the same subject that its UTF-8 was checked from the beginning.
 */
int mg_re_exec_slow(mg_re_vm *vm, mg_re *re, pcre2_match_data *md, const char *s, size_t len, size_t pos, int *valid);

static inline int mg_re_exec(mg_re_vm *vm, mg_re *re, pcre2_match_data *md, const char *s, size_t len, size_t pos,
    int *valid)
{
    if (re->fast && pos <= len) {
        return pcre2_jit_match(re->code, (PCRE2_SPTR) s, len, pos, 0, md, vm->mctx);
    }

    return mg_re_exec_slow(vm, re, md, s, len, pos, valid);
}

/* The subject at idx as a string, as tostring() does it; the slot is replaced. */
static inline const char *mg_re_tostring(lua_State *L, int idx, size_t *len)
{
    int t = lua_type(L, idx);

    if (t != LUA_TSTRING && t != LUA_TNUMBER) {
        lua_pushvalue(L, MG_RE_UP_TOSTRING);
        lua_pushvalue(L, idx);
        lua_call(L, 1, 1);
        lua_replace(L, idx);
    }

    return lua_tolstring(L, idx, len);
}

#endif
