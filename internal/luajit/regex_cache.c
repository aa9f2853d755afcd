/*
 * regex_cache.c: the per-VM record of ngx.re: compiling patterns, keeping them, limits, log, counters.
 *
 * Three lists own compiled patterns. "o" patterns of match, find, gmatch and split: the least recently used is thrown
 * out when lua_regex_cache_max_entries is reached. "o" patterns of sub and gsub: kept for good, counted against the
 * same number. Patterns without "o": OpenResty compiles them on every call; here the last few are kept, which no
 * program can see except by its speed.
 *
 * sub and gsub with a string have one entry per template, as in OpenResty; the compiled pattern itself is shared by
 * the templates (an entry of kind MG_RE_SUB_BASE among the recent ones), so a template built at run time costs no
 * compilation.
 */
#include "regex_vm.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MG_RE_RECENT_MAX   64
#define MG_RE_CACHE_MAX    1024  /* default of lua_regex_cache_max_entries */
#define MG_RE_FIRST_MASK   63
#define MG_RE_ERR_MAX      255   /* OpenResty's buffer: longer messages are cut */
#define MG_RE_DFA_WORK     100   /* OpenResty's workspace: error -43 comes at the same patterns */

static char mg_re_vm_key;

void mg_re_log(mg_re_vm *vm, int level, const char *fmt, ...)
{
    char     msg[2048];
    int      n;
    va_list  args;

    if (vm->log == NULL || level > vm->log_level) {
        return;
    }

    va_start(args, fmt);
    n = vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);

    if (n > 0) {
        vm->log(vm->log_ud, level, msg, (size_t) n < sizeof(msg) ? (size_t) n : sizeof(msg) - 1);
    }
}

/* ---- the record ---- */

static void *mg_re_md_malloc(size_t n, void *ud)
{
    mg_re_vm  *vm = ud;
    void      *p = malloc(n);

    if (p != NULL) {
        vm->md_bytes += malloc_usable_size(p);
    }

    return p;
}

static void mg_re_md_free(void *p, void *ud)
{
    mg_re_vm *vm = ud;

    if (p != NULL) {
        vm->md_bytes -= malloc_usable_size(p);
        free(p);
    }
}

/* __gc of the record. Finalizers which run later still find a usable, empty cache. */
static int mg_re_vm_gc(lua_State *L)
{
    mg_re_vm *vm = lua_touserdata(L, 1);

    vm->closed = 1;

    for (int i = 0; i < MG_RE_LISTS; i++) {
        for (mg_re *re = vm->head[i], *next; re != NULL; re = next) {
            next = re->next;
            mg_re_release(vm, re);
        }

        vm->head[i] = vm->tail[i] = NULL;
        vm->count[i] = 0;
    }

    free(vm->bucket);
    vm->bucket = &vm->none;
    vm->mask = 0;

    pcre2_match_data_free(vm->md);
    pcre2_match_data_free(vm->md_dfa);
    pcre2_match_context_free(vm->mctx);
    pcre2_jit_stack_free(vm->jit_stack);
    pcre2_general_context_free(vm->gctx);
    free(vm->buf);

    vm->md = vm->md_dfa = NULL;
    vm->mctx = NULL;
    vm->jit_stack = NULL;
    vm->gctx = NULL;
    vm->buf = NULL;
    vm->log = NULL;
    return 0;
}

static mg_re_vm *mg_re_vm_new(lua_State *L)
{
    mg_re_vm *vm = lua_newuserdata(L, sizeof(*vm));

    memset(vm, 0, sizeof(*vm));
    vm->bucket = &vm->none;
    vm->cache_max = MG_RE_CACHE_MAX;

    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, mg_re_vm_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);

    lua_createtable(L, 0, 0);
    lua_setfenv(L, -2);

    vm->gctx = pcre2_general_context_create(mg_re_md_malloc, mg_re_md_free, vm);
    vm->mctx = pcre2_match_context_create(NULL);
    vm->bucket = calloc(MG_RE_FIRST_MASK + 1, sizeof(mg_re *));

    if (vm->bucket == NULL || vm->gctx == NULL || vm->mctx == NULL) {
        luaL_error(L, "no memory");
    }

    vm->mask = MG_RE_FIRST_MASK;
    return vm;
}

static mg_re_vm *mg_re_vm_push(lua_State *L)
{
    mg_re_vm *vm;

    lua_pushlightuserdata(L, &mg_re_vm_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    vm = lua_touserdata(L, -1);

    if (vm != NULL) {
        return vm;
    }

    lua_pop(L, 1);
    vm = mg_re_vm_new(L);
    lua_pushlightuserdata(L, &mg_re_vm_key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return vm;
}

static mg_re_vm *mg_re_vm_of(lua_State *L)
{
    mg_re_vm *vm = mg_re_vm_push(L);

    lua_pop(L, 1);
    return vm;
}

/* Adds the functions to the table on the top of the stack, with the upvalues they expect. */
void mg_re_register(lua_State *L, const luaL_Reg *fns)
{
    mg_re_vm_push(L);
    lua_pushliteral(L, "pos");
    lua_getglobal(L, "tostring");
    luaL_setfuncs(L, fns, MG_RE_UPVALUES);
}

void mg_re_set_limits(lua_State *L, int cache_max, int match_limit)
{
    mg_re_vm *vm = mg_re_vm_of(L);

    if (match_limit <= 0) {
        uint32_t limit;

        pcre2_config(PCRE2_CONFIG_MATCHLIMIT, &limit);
        pcre2_set_match_limit(vm->mctx, limit);

    } else {
        pcre2_set_match_limit(vm->mctx, (uint32_t) match_limit);
    }

    vm->cache_max = cache_max;
}

void mg_re_set_log(lua_State *L, mg_re_log_fn log, void *ud, int max_level)
{
    mg_re_vm *vm = mg_re_vm_of(L);

    vm->log = log;
    vm->log_ud = ud;
    vm->log_level = log != NULL ? max_level : 0;
}

void mg_re_get_stats(lua_State *L, mg_re_stats *st)
{
    mg_re_vm *vm = mg_re_vm_of(L);

    *st = vm->st;
    st->cached_match = vm->count[MG_RE_LIST_MATCH];
    st->cached_sub = vm->count[MG_RE_LIST_SUB];
    st->cached_recent = vm->count[MG_RE_LIST_RECENT];
}

/* ---- match data ---- */

pcre2_match_data *mg_re_new_md(mg_re_vm *vm, mg_re *re)
{
    size_t             pairs = re->ncap + 1;
    pcre2_match_data  *md;

    if (re->dfa) {
        md = vm->md_dfa != NULL ? vm->md_dfa : pcre2_match_data_create(1, vm->gctx);
        vm->md_dfa = NULL;
        return md;
    }

    if (vm->md != NULL) { /* too small */
        pcre2_match_data_free(vm->md);
        vm->md = NULL;
    }

    if (pairs < 16) {
        pairs = 16;
    }

    return pcre2_match_data_create((uint32_t) pairs, vm->gctx);
}

void mg_re_drop_md(mg_re_vm *vm, mg_re *re, pcre2_match_data *md)
{
    if (re->dfa && vm->md_dfa == NULL && !vm->closed) {
        vm->md_dfa = md;
        return;
    }

    pcre2_match_data_free(md);
}

int mg_re_exec_slow(mg_re_vm *vm, mg_re *re, pcre2_match_data *md, const char *s, size_t len, size_t pos, int *valid)
{
    int          rc, work[MG_RE_DFA_WORK];
    PCRE2_SPTR   subj = (PCRE2_SPTR) s;

    if (re->dfa) {
        rc = pcre2_dfa_match(re->code, subj, len, pos, re->exec_opts, md, vm->mctx, work, MG_RE_DFA_WORK);
        return rc == 0 ? 1 : rc;
    }

    if (re->utf_check && *valid && pos <= len) {
        if (pos < len && (subj[pos] & 0xC0) == 0x80) {
            return PCRE2_ERROR_BADUTFOFFSET;
        }

        return pcre2_match(re->code, subj, len, pos, PCRE2_NO_UTF_CHECK, md, vm->mctx);
    }

    rc = pcre2_match(re->code, subj, len, pos, re->exec_opts, md, vm->mctx);

    if (rc >= 0 && pos == 0) {
        *valid = 1;
    }

    return rc;
}

/* ---- compiling ---- */

typedef struct {
    uint32_t  pcre;
    uint8_t   once, jit, dfa, dup, no_check;
} mg_re_flags;

static void mg_re_parse_flags(lua_State *L, const char *opts, size_t len, mg_re_flags *f)
{
    memset(f, 0, sizeof(*f));

    for (size_t i = 0; i < len; i++) {
        switch (opts[i]) {
        case 'a': f->pcre |= PCRE2_ANCHORED; break;
        case 'd': f->dfa = 1; break;
        case 'D': f->pcre |= PCRE2_DUPNAMES; f->dup = 1; break;
        case 'i': f->pcre |= PCRE2_CASELESS; break;
        case 'j': f->jit = 1; break;
        case 'J': f->pcre |= PCRE2_ALT_BSUX | PCRE2_ALLOW_EMPTY_CLASS | PCRE2_MATCH_UNSET_BACKREF; break;
        case 'm': f->pcre |= PCRE2_MULTILINE; break;
        case 'o': f->once = 1; break;
        case 's': f->pcre |= PCRE2_DOTALL; break;
        case 'u': f->pcre |= PCRE2_UTF; break;
        case 'U': f->pcre |= PCRE2_UTF; f->no_check = 1; break;
        case 'x': f->pcre |= PCRE2_EXTENDED; break;
        default:
            lua_pushlstring(L, &opts[i], 1);
            luaL_error(L, "unknown flag \"%s\" (flags \"%s\")", lua_tostring(L, -1), opts);
        }
    }
}

static void mg_re_push_compile_error(lua_State *L, int code, const char *pat, size_t len, size_t off)
{
    char         msg[MG_RE_ERR_MAX + 1];
    PCRE2_UCHAR  text[128];

    pcre2_get_error_message(code, text, sizeof(text));

    if (memchr(pat, '\0', len) != NULL) { /* OpenResty's message is a C string: it ends at the NUL byte */
        snprintf(msg, sizeof(msg), "pcre2_compile() failed: %s in \"%s", (char *) text, pat);

    } else if (off == len) {
        snprintf(msg, sizeof(msg), "pcre2_compile() failed: %s in \"%s\"", (char *) text, pat);

    } else {
        snprintf(msg, sizeof(msg), "pcre2_compile() failed: %s in \"%s\" at \"%s\"", (char *) text, pat, pat + off);
    }

    lua_pushstring(L, msg);
}

/* Returns a pattern with one reference, or NULL with the error text on the stack. */
static mg_re *mg_re_compile(lua_State *L, mg_re_vm *vm, const char *pat, size_t len, const mg_re_flags *f)
{
    int       err, rc;
    size_t    off, jit_size = 0, size = 0;
    mg_re    *re;
    uint32_t  all = 0;

    vm->st.compiled++;

    re = calloc(1, sizeof(*re));
    if (re == NULL) {
        lua_pushliteral(L, "no memory");
        return NULL;
    }

    re->refs = 1;
    re->code = pcre2_compile((PCRE2_SPTR) pat, len, f->pcre, &err, &off, NULL);

    if (re->code == NULL) {
        free(re);
        mg_re_push_compile_error(L, err, pat, len, off);
        return NULL;
    }

    if (f->jit) {
        rc = pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);

        if (rc != 0) {
            mg_re_log(vm, MG_RE_LOG_INFO, "pcre2_jit_compile() failed: %d in \"%s\", ignored", rc, pat);

        } else {
            mg_re_log(vm, MG_RE_LOG_DEBUG, "pcre2 JIT compiled successfully");
        }
    }

    pcre2_pattern_info(re->code, PCRE2_INFO_JITSIZE, &jit_size);
    pcre2_pattern_info(re->code, PCRE2_INFO_SIZE, &size);
    pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &re->ncap);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &re->name_count);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &re->name_size);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &re->names);

    /* the pattern itself may ask for UTF-8, by (*UTF) */
    pcre2_pattern_info(re->code, PCRE2_INFO_ALLOPTIONS, &all);

    re->once = f->once;
    re->dfa = f->dfa;
    re->dup = f->dup;
    re->jit = jit_size > 0;
    re->utf_check = (all & PCRE2_UTF) != 0 && !f->no_check;
    re->fast = re->jit && !re->dfa && !re->utf_check;
    re->exec_opts = f->no_check ? PCRE2_NO_UTF_CHECK : 0;
    re->bytes = sizeof(*re) + size + jit_size;

    if (re->dfa) {
        re->ncap = 0;
    }

    vm->st.code_bytes += re->bytes;
    return re;
}

void mg_re_free(mg_re_vm *vm, mg_re *re)
{
    vm->st.code_bytes -= re->bytes;

    if (re->base != NULL) {
        mg_re_release(vm, re->base);

    } else {
        pcre2_code_free(re->code);
    }

    free(re->parts);
    free(re);
}

/* ---- the cache ---- */

static void mg_re_evict(lua_State *L, mg_re_vm *vm, mg_re *re)
{
    mg_re **p = &vm->bucket[mg_re_hash(re->kind, re->key_re, re->key_opts, re->key_repl) & vm->mask];

    while (*p != re) {
        p = &(*p)->chain;
    }

    *p = re->chain;
    mg_re_unlink(vm, re);
    vm->count[re->list]--;
    vm->st.evicted++;

    mg_re_vm_push(L);
    lua_getfenv(L, -1);
    for (int i = 0; i < 3; i++) {
        luaL_unref(L, -1, re->anchor[i]);
    }
    lua_pop(L, 2);

    mg_re_release(vm, re);
}

static void mg_re_grow(mg_re_vm *vm)
{
    size_t   total = 0, mask = vm->mask * 2 + 1;
    mg_re  **bucket;

    for (int i = 0; i < MG_RE_LISTS; i++) {
        total += vm->count[i];
    }

    if (total <= vm->mask || (bucket = calloc(mask + 1, sizeof(mg_re *))) == NULL) {
        return;
    }

    for (size_t i = 0; i <= vm->mask; i++) {
        for (mg_re *re = vm->bucket[i], *next; re != NULL; re = next) {
            size_t h = mg_re_hash(re->kind, re->key_re, re->key_opts, re->key_repl) & mask;

            next = re->chain;
            re->chain = bucket[h];
            bucket[h] = re;
        }
    }

    free(vm->bucket);
    vm->bucket = bucket;
    vm->mask = mask;
}

static void mg_re_warn_full(mg_re_vm *vm)
{
    if (!vm->warned) {
        vm->warned = 1;
        mg_re_log(vm, MG_RE_LOG_WARN, "lua exceeding regex cache max entries (%d)", vm->cache_max);
    }
}

/* Chooses the list for a new pattern and makes room in it. */
static int mg_re_room(lua_State *L, mg_re_vm *vm, int kind, int once)
{
    if (once && kind != MG_RE_SUB_BASE && vm->cache_max > 0) {
        if (kind == MG_RE_MATCH) {
            while (vm->count[MG_RE_LIST_MATCH] >= (uint32_t) vm->cache_max) {
                mg_re_warn_full(vm);
                mg_re_evict(L, vm, vm->tail[MG_RE_LIST_MATCH]);
            }

            vm->match_cached = 1;
            return MG_RE_LIST_MATCH;
        }

        if (vm->count[MG_RE_LIST_SUB] < (uint32_t) vm->cache_max) {
            return MG_RE_LIST_SUB;
        }

        mg_re_warn_full(vm);
    }

    while (vm->count[MG_RE_LIST_RECENT] >= MG_RE_RECENT_MAX) {
        mg_re_evict(L, vm, vm->tail[MG_RE_LIST_RECENT]);
    }

    return MG_RE_LIST_RECENT;
}

static void mg_re_insert(lua_State *L, mg_re_vm *vm, mg_re *re, int ire, int iopts, int irepl)
{
    const int  idx[3] = {ire, re->key_opts != NULL ? iopts : 0, irepl};
    size_t     h;

    mg_re_vm_push(L);
    lua_getfenv(L, -1);
    for (int i = 0; i < 3; i++) {
        re->anchor[i] = LUA_NOREF;

        if (idx[i] != 0) {
            lua_pushvalue(L, idx[i]);
            re->anchor[i] = luaL_ref(L, -2);
        }
    }
    lua_pop(L, 2);

    h = mg_re_hash(re->kind, re->key_re, re->key_opts, re->key_repl) & vm->mask;
    re->chain = vm->bucket[h];
    vm->bucket[h] = re;
    vm->count[re->list]++;
    mg_re_link(vm, re);
    re->refs++;
    mg_re_grow(vm);
}

/* A pattern for the template at irepl, over the shared compiled pattern. NULL as mg_re_compile. */
static mg_re *mg_re_derive(lua_State *L, mg_re_vm *vm, int ire, int iopts, int irepl)
{
    size_t       len;
    mg_re       *re, *base = mg_re_get(L, vm, MG_RE_SUB_BASE, ire, iopts, 0);
    const char  *tpl;

    if (base == NULL) {
        return NULL;
    }

    re = malloc(sizeof(*re));
    if (re == NULL) {
        mg_re_release(vm, base);
        lua_pushliteral(L, "no memory");
        return NULL;
    }

    *re = *base;
    re->base = base;
    re->refs = 1;
    re->bytes = sizeof(*re);
    vm->st.code_bytes += re->bytes;

    tpl = lua_tolstring(L, irepl, &len);
    re->key_repl = tpl;

    if (mg_re_compile_template(vm, re, tpl, len) != 0) {
        mg_re_release(vm, re);
        lua_pushliteral(L, "failed to compile the replacement template");
        return NULL;
    }

    return re;
}

/* The slow half of mg_re_get. */
mg_re *mg_re_miss(lua_State *L, mg_re_vm *vm, int kind, int ire, int iopts, int irepl)
{
    size_t       len, opts_len = 0;
    const char  *pat, *opts = NULL;
    mg_re       *re;
    mg_re_flags  f;

    if (vm->closed) {
        luaL_error(L, "the Lua VM is closing");
    }

    if (kind == MG_RE_SUB_STR) {
        re = mg_re_derive(L, vm, ire, iopts, irepl);

    } else {
        pat = lua_tolstring(L, ire, &len);
        if (lua_toboolean(L, iopts)) {
            opts = lua_tolstring(L, iopts, &opts_len);
        }

        mg_re_parse_flags(L, opts, opts_len, &f);
        re = mg_re_compile(L, vm, pat, len, &f);

        if (re != NULL) {
            re->key_re = pat;
            re->key_opts = opts;
        }
    }

    if (re == NULL) {
        return NULL;
    }

    re->kind = (uint8_t) kind;
    re->list = (uint8_t) mg_re_room(L, vm, kind, re->once);
    mg_re_insert(L, vm, re, ire, iopts, irepl);
    return re;
}
