/*
 * regex_ngx.h: ngx.re over PCRE2, as C functions of a Lua VM.
 *
 * Everything belongs to one VM: the compiled patterns, the match data, the buffers. Two VMs share nothing, so no lock
 * exists. The functions below, the two open functions apart, may be called outside a protected call once a library
 * was opened in the VM.
 */
#ifndef MG_REGEX_NGX_H
#define MG_REGEX_NGX_H

#include "mg.h"

/* Levels given to the log hook: nginx's numbers. */
enum {
    MG_RE_LOG_ERR = 4,
    MG_RE_LOG_WARN = 5,
    MG_RE_LOG_INFO = 7,
    MG_RE_LOG_DEBUG = 8,
};

/* The hook must copy msg: it is gone after the call. It must not call into the VM. */
typedef void (*mg_re_log_fn)(void *ud, int level, const char *msg, size_t len);

typedef struct {
    uint64_t  hits;          /* calls served by a pattern compiled before */
    uint64_t  compiled;      /* calls that had to compile, failures included */
    uint64_t  evicted;
    uint32_t  cached_match;  /* patterns with "o" used by match, find, gmatch, split: least recently used goes */
    uint32_t  cached_sub;    /* patterns with "o" used by sub and gsub: kept for good */
    uint32_t  cached_recent; /* the last patterns used without "o" */
    uint64_t  code_bytes;    /* memory of the patterns above, machine code included */
} mg_re_stats;

/* lua_CFunction: returns the table of match, find, gmatch, sub, gsub, opt. */
int mg_open_ngx_re(lua_State *L);

/* lua_CFunction: returns the module "ngx.re": split, opt. */
int mg_open_ngx_re_module(lua_State *L);

/* lua_regex_cache_max_entries (0: no cache for "o") and lua_regex_match_limit (0: PCRE2's own limit). */
void mg_re_set_limits(lua_State *L, int cache_max, int match_limit);

/* Messages above max_level are not formatted at all. A NULL hook is silent. */
void mg_re_set_log(lua_State *L, mg_re_log_fn log, void *ud, int max_level);

void mg_re_get_stats(lua_State *L, mg_re_stats *st);

#endif
