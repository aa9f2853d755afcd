/* regex_match.c: ngx.re.match, find and gmatch, and the table of captures. */
#include "regex_vm.h"

/* Pushes the text of a failed match; PCRE2's numbers under PCRE's name, which is what OpenResty says with PCRE2 too. */
int mg_re_push_exec_error(lua_State *L, int rc)
{
    lua_pushfstring(L, "pcre_exec() failed: %d", rc);
    return 1;
}

static int mg_re_nil_err(lua_State *L, int nils)
{
    for (int i = 0; i < nils; i++) {
        lua_pushnil(L);
        lua_insert(L, -2);
    }

    return nils + 1;
}

/* Option "D": res[name] collects the groups of that name which took part in the match. */
static void mg_re_add_dup(lua_State *L, const char *name, uint32_t n, int ires)
{
    lua_rawgeti(L, ires, (int) n);
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        return;
    }

    lua_pushstring(L, name);
    lua_rawget(L, ires);

    if (lua_istable(L, -1)) {
        lua_insert(L, -2);
        lua_rawseti(L, -2, (int) lua_objlen(L, -2) + 1);
        lua_pop(L, 1);
        return;
    }

    lua_pop(L, 1);
    lua_pushstring(L, name);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 1);
    lua_rawset(L, ires);
    lua_pop(L, 1);
}

static void mg_re_add_names(lua_State *L, mg_re *re, int ires)
{
    const uint8_t *p = re->names;

    for (uint32_t i = 0; i < re->name_count; i++, p += re->name_size) {
        uint32_t     n = (uint32_t) p[0] << 8 | p[1];
        const char  *name = (const char *) p + 2;

        if (re->dup) {
            mg_re_add_dup(L, name, n, ires);
            continue;
        }

        lua_pushstring(L, name);
        lua_rawgeti(L, ires, (int) n);
        lua_rawset(L, ires);
    }
}

/*
 * Fills the table at ires (0: a new one) and leaves it on the top: [0] the whole match, [n] group n or false, [name]
 * the same values by name. ov must not be the record's: this allocates.
 */
void mg_re_push_captures(lua_State *L, mg_re *re, const char *s, const PCRE2_SIZE *ov, int rc, int ires)
{
    int n = (int) re->ncap;

    if (ires != 0) {
        lua_pushvalue(L, ires);
    } else {
        lua_createtable(L, n > 0 ? n : 1, (int) re->name_count);
    }

    ires = lua_gettop(L);

    for (int i = 0; i <= n; i++) {
        if (i >= rc || ov[2 * i] == PCRE2_UNSET) {
            lua_pushboolean(L, 0);

        } else { /* \K may set the start after the end */
            lua_pushlstring(L, s + ov[2 * i], ov[2 * i + 1] > ov[2 * i] ? ov[2 * i + 1] - ov[2 * i] : 0);
        }

        lua_rawseti(L, ires, i);
    }

    if (re->name_count > 0) {
        mg_re_add_names(L, re, ires);
    }
}

/* The 0-based position which the table ctx at index 4 asks for; not set or below 2 is the beginning. */
static size_t mg_re_ctx_pos(lua_State *L, int ictx)
{
    lua_Number pos;

    lua_pushvalue(L, MG_RE_UP_POS);
    lua_gettable(L, ictx);

    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }

    if (lua_type(L, -1) != LUA_TNUMBER) {
        luaL_error(L, "attempt to compare %s with number", luaL_typename(L, -1));
    }

    pos = lua_tonumber(L, -1);
    lua_pop(L, 1);

    if (!(pos >= 2)) {
        return 0;
    }

    return pos - 1 < 4294967296.0 ? (size_t) (pos - 1) : (size_t) 4294967296;
}

static void mg_re_ctx_set(lua_State *L, int ictx, size_t pos)
{
    lua_pushvalue(L, MG_RE_UP_POS);
    lua_pushinteger(L, (lua_Integer) pos);
    lua_settable(L, ictx);
}

/* ngx.re.match(subject, regex, options?, ctx?, res?) */
int mg_re_match(lua_State *L)
{
    int                rc, valid = 0, ctx;
    size_t             len, pos, end;
    mg_re             *re;
    mg_re_vm          *vm = lua_touserdata(L, MG_RE_UP_VM);
    const char        *s;
    PCRE2_SIZE        *ov;
    pcre2_match_data  *md;

    lua_settop(L, 5);
    s = mg_re_tostring(L, 1, &len);
    ctx = lua_toboolean(L, 4);
    pos = ctx ? mg_re_ctx_pos(L, 4) : 0;

    if (lua_toboolean(L, 5)) {
        luaL_checktype(L, 5, LUA_TTABLE);
    }

    re = mg_re_get(L, vm, MG_RE_MATCH, 2, 3, 0);
    if (re == NULL) {
        return mg_re_nil_err(L, 1);
    }

    md = mg_re_take(vm, re);
    if (md == NULL) {
        mg_re_release(vm, re);
        mg_re_push_exec_error(L, PCRE2_ERROR_NOMEMORY);
        return mg_re_nil_err(L, 1);
    }

    rc = mg_re_exec(vm, re, md, s, len, pos, &valid);

    if (rc < 0) {
        mg_re_give(vm, re, md);
        mg_re_release(vm, re);

        if (rc == PCRE2_ERROR_NOMATCH) {
            lua_pushnil(L);
            return 1;
        }

        mg_re_push_exec_error(L, rc);
        return mg_re_nil_err(L, 1);
    }

    ov = pcre2_get_ovector_pointer(md);
    end = ov[1];
    mg_re_push_captures(L, re, s, ov, rc, lua_toboolean(L, 5) ? 5 : 0);
    mg_re_give(vm, re, md);
    mg_re_release(vm, re);

    if (ctx) {
        mg_re_ctx_set(L, 4, end + 1);
    }

    return 1;
}

/* ngx.re.find(subject, regex, options?, ctx?, nth?) */
int mg_re_find(lua_State *L)
{
    int                rc, valid = 0, ctx, nth = 0, ncap;
    size_t             len, pos, end = 0, from = PCRE2_UNSET, to = PCRE2_UNSET;
    mg_re             *re;
    mg_re_vm          *vm = lua_touserdata(L, MG_RE_UP_VM);
    const char        *s;
    PCRE2_SIZE        *ov;
    pcre2_match_data  *md;

    lua_settop(L, 5);
    s = mg_re_tostring(L, 1, &len);
    ctx = lua_toboolean(L, 4);
    pos = ctx ? mg_re_ctx_pos(L, 4) : 0;

    if (lua_toboolean(L, 5)) {
        nth = luaL_checkint(L, 5);
    }

    re = mg_re_get(L, vm, MG_RE_MATCH, 2, 3, 0);
    if (re == NULL) {
        return mg_re_nil_err(L, 2);
    }

    md = mg_re_take(vm, re);
    rc = md != NULL ? mg_re_exec(vm, re, md, s, len, pos, &valid) : PCRE2_ERROR_NOMEMORY;

    if (nth < 0) {
        nth = 0;
    }

    ncap = (int) re->ncap;

    if (rc > 0) {
        ov = pcre2_get_ovector_pointer(md);
        end = ov[1];

        if (nth < rc && nth <= ncap) {
            from = ov[2 * nth];
            to = ov[2 * nth + 1];
        }
    }

    if (md != NULL) {
        mg_re_give(vm, re, md);
    }
    mg_re_release(vm, re);

    if (rc == PCRE2_ERROR_NOMATCH) {
        lua_pushnil(L);
        return 1;
    }

    if (rc < 0) {
        mg_re_push_exec_error(L, rc);
        return mg_re_nil_err(L, 2);
    }

    if (ctx) {
        mg_re_ctx_set(L, 4, end + 1);
    }

    if (nth > ncap) {
        lua_pushliteral(L, "nth out of bound");
        return mg_re_nil_err(L, 2);
    }

    if (from == PCRE2_UNSET) {
        lua_pushnil(L);
        lua_pushnil(L);
        return 2;
    }

    lua_pushinteger(L, (lua_Integer) from + 1);
    lua_pushinteger(L, (lua_Integer) to);
    return 2;
}

/*
 * ---- gmatch ----
 *
 * The iterator is a table {subject, record} whose metatable has __call. A C closure would be simpler, but compiled
 * Lua code is specialised to a closure's address and a new one per gmatch would never run compiled.
 */

typedef struct {
    const void  *tag;    /* &mg_re_iter_tag */
    mg_re_vm    *vm;
    mg_re       *re;     /* held; NULL when the iterator is exhausted */
    size_t       pos;
    int          valid;
} mg_re_iter;

#define MG_RE_ITER_META   "mg.re.gmatch"
#define MG_RE_RECORD_META "mg.re.gmatch.record"

static char mg_re_iter_tag;

static void mg_re_iter_end(mg_re_iter *it)
{
    if (it->re != NULL) {
        mg_re_release(it->vm, it->re);
        it->re = NULL;
    }
}

static int mg_re_iter_gc(lua_State *L)
{
    mg_re_iter_end(lua_touserdata(L, 1));
    return 0;
}

static mg_re_iter *mg_re_iter_check(lua_State *L)
{
    mg_re_iter *it = NULL;

    lua_settop(L, 1);

    if (lua_istable(L, 1)) {
        lua_rawgeti(L, 1, 2);
        lua_rawgeti(L, 1, 1);

        if (lua_objlen(L, 2) == sizeof(*it)) {
            it = lua_touserdata(L, 2);
        }
    }

    if (it == NULL || it->tag != &mg_re_iter_tag || lua_type(L, 3) != LUA_TSTRING) {
        luaL_error(L, "bad gmatch iterator");
    }

    return it;
}

/* it(): the next match's captures, nil at the end, or nil and the error. */
static int mg_re_iter_next(lua_State *L)
{
    int                rc;
    size_t             len, from, to;
    mg_re_iter        *it = mg_re_iter_check(L);
    const char        *s = lua_tolstring(L, 3, &len);
    PCRE2_SIZE        *ov;
    pcre2_match_data  *md;

    if (it->re == NULL) {
        lua_pushnil(L);
        return 1;
    }

    md = mg_re_take(it->vm, it->re);
    rc = md != NULL ? mg_re_exec(it->vm, it->re, md, s, len, it->pos, &it->valid) : PCRE2_ERROR_NOMEMORY;

    if (rc < 0) {
        if (md != NULL) {
            mg_re_give(it->vm, it->re, md);
        }
        mg_re_iter_end(it);

        lua_pushnil(L);
        return rc == PCRE2_ERROR_NOMATCH ? 1 : 1 + mg_re_push_exec_error(L, rc);
    }

    ov = pcre2_get_ovector_pointer(md);
    from = ov[0];
    to = ov[1];
    mg_re_push_captures(L, it->re, s, ov, rc, 0);
    mg_re_give(it->vm, it->re, md);

    it->pos = from == to ? to + 1 : to;
    if (it->pos > len) {
        mg_re_iter_end(it);
    }

    return 1;
}

static mg_re_iter *mg_re_iter_new(lua_State *L, mg_re_vm *vm)
{
    mg_re_iter *it = lua_newuserdata(L, sizeof(*it));

    it->tag = &mg_re_iter_tag;
    it->vm = vm;
    it->re = NULL;
    it->pos = 0;
    it->valid = 0;

    if (luaL_newmetatable(L, MG_RE_RECORD_META)) {
        lua_pushcfunction(L, mg_re_iter_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return it;
}

/* ngx.re.gmatch(subject, regex, options?) */
int mg_re_gmatch(lua_State *L)
{
    mg_re_vm    *vm = lua_touserdata(L, MG_RE_UP_VM);
    mg_re_iter  *it;

    lua_settop(L, 3);
    mg_re_tostring(L, 1, NULL);
    lua_createtable(L, 2, 0);
    it = mg_re_iter_new(L, vm);

    it->re = mg_re_get(L, vm, MG_RE_MATCH, 2, 3, 0);
    if (it->re == NULL) {
        return mg_re_nil_err(L, 1);
    }

    lua_rawseti(L, 4, 2);
    lua_pushvalue(L, 1);
    lua_rawseti(L, 4, 1);

    if (luaL_newmetatable(L, MG_RE_ITER_META)) {
        lua_pushcfunction(L, mg_re_iter_next);
        lua_setfield(L, -2, "__call");
    }
    lua_setmetatable(L, 4);
    return 1;
}
