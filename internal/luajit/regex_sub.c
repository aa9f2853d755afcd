/*
 * regex_sub.c: ngx.re.sub and gsub.
 *
 * A string replacement is done in one C call. A function replacement is driven by a few lines of Lua, because the
 * function may yield (a socket, a sleep) and a Lua coroutine cannot yield through C.
 */
#include "regex_vm.h"

#include <stdlib.h>
#include <string.h>

/* ---- templates: text, $N, ${N}, $$ ---- */

static int mg_re_bad_template(mg_re_vm *vm, const char *src)
{
    mg_re_log(vm, MG_RE_LOG_ERR, "lua script: invalid capturing variable name found in \"%s\"", src);
    return -1;
}

static void mg_re_add_part(mg_re *re, const char *text, size_t len, int cap)
{
    mg_re_part *part = &re->parts[re->nparts++];

    part->text = text;
    part->len = len;
    part->cap = cap;
}

/* Reads the variable whose name starts at p (after "$"); returns the byte after it, or NULL with the reason logged. */
static const char *mg_re_template_var(mg_re_vm *vm, mg_re *re, const char *p, const char *end, const char *src)
{
    int          bracket = 0, num;
    unsigned     n = 0;
    const char  *name;

    if (*p == '{') {
        bracket = 1;

        if (++p == end) {
            mg_re_bad_template(vm, src);
            return NULL;
        }
    }

    num = *p >= '0' && *p <= '9';

    for (name = p; p < end; p++) {
        if (*p >= '0' && *p <= '9') {
            n = n < 100000 ? n * 10 + (unsigned) (*p - '0') : n;

        } else if (num || !((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_')) {
            break;
        }
    }

    if (bracket && (p == end || *p != '}')) {
        mg_re_log(vm, MG_RE_LOG_ERR, "the closing bracket in \"%.*s\" variable is missing", (int) (p - name), name);
        return NULL;
    }

    if (p == name) {
        mg_re_bad_template(vm, src);
        return NULL;
    }

    if (!num) {
        mg_re_log(vm, MG_RE_LOG_ERR, "attempt to use named capturing variable \"%.*s\" "
                  "(named captures not supported yet)", (int) (p - name), name);
        return NULL;
    }

    mg_re_add_part(re, NULL, 0, (int) n);
    return p + bracket;
}

/* Returns -1 for a bad template. The text is copied beside the parts, so it lives as long as they. */
int mg_re_compile_template(mg_re_vm *vm, mg_re *re, const char *src, size_t len)
{
    size_t       vars = 0, size;
    char        *copy;
    const char  *p, *q, *end;

    for (size_t i = 0; i < len; i++) {
        vars += src[i] == '$';
    }

    size = (2 * vars + 1) * sizeof(mg_re_part);
    re->parts = malloc(size + len + 1);
    if (re->parts == NULL) {
        return -1;
    }

    re->nparts = 0;
    re->bytes += size + len;
    vm->st.code_bytes += size + len;

    copy = (char *) re->parts + size;
    memcpy(copy, src, len + 1);
    end = copy + len;

    for (p = copy; p < end; /* void */ ) {
        if (*p != '$') {
            q = memchr(p, '$', (size_t) (end - p));
            q = q != NULL ? q : end;
            mg_re_add_part(re, p, (size_t) (q - p), -1);
            p = q;
            continue;
        }

        if (++p == end) {
            return mg_re_bad_template(vm, copy);
        }

        if (*p == '$') {
            mg_re_add_part(re, p++, 1, -1);
            continue;
        }

        p = mg_re_template_var(vm, re, p, end, copy);
        if (p == NULL) {
            return -1;
        }
    }

    return 0;
}

/* ---- the output buffer ---- */

typedef struct {
    char    *data;
    size_t   len, cap;
} mg_re_buf;

#define MG_RE_BUF_KEEP (64 * 1024)

static inline void mg_re_buf_take(mg_re_vm *vm, mg_re_buf *b)
{
    b->data = vm->buf;
    b->cap = vm->buf != NULL ? vm->buf_cap : 0;
    b->len = 0;
    vm->buf = NULL;
}

static inline void mg_re_buf_give(mg_re_vm *vm, mg_re_buf *b)
{
    if (vm->buf == NULL && b->cap <= MG_RE_BUF_KEEP && !vm->closed) {
        vm->buf = b->data;
        vm->buf_cap = b->cap;

    } else {
        free(b->data);
    }

    b->data = NULL;
    b->cap = b->len = 0;
}

static int mg_re_buf_grow(mg_re_buf *b, size_t n)
{
    size_t   cap = b->cap * 2 > 512 ? b->cap * 2 : 512;
    char    *data;

    if (cap < b->len + n) {
        cap = b->len + n;
    }

    data = realloc(b->data, cap);
    if (data == NULL) {
        return -1;
    }

    b->data = data;
    b->cap = cap;
    return 0;
}

static inline int mg_re_buf_add(mg_re_buf *b, const char *s, size_t n)
{
    char *p;

    if (b->cap - b->len < n && mg_re_buf_grow(b, n) != 0) {
        return -1;
    }

    p = b->data + b->len;
    b->len += n;

    if (n < 16) { /* most pieces are short */
        while (n-- > 0) {
            *p++ = *s++;
        }

    } else {
        memcpy(p, s, n);
    }

    return 0;
}

static inline int mg_re_eval(mg_re_buf *b, mg_re *re, const char *s, const PCRE2_SIZE *ov, int rc)
{
    int bad = 0;

    for (const mg_re_part *part = re->parts, *end = part + re->nparts; part < end; part++) {
        if (part->cap < 0) {
            bad |= mg_re_buf_add(b, part->text, part->len);

        } else if (part->cap < rc && (uint32_t) part->cap <= re->ncap) {
            size_t from = ov[2 * part->cap], to = ov[2 * part->cap + 1];

            if (to > from && from != PCRE2_UNSET) {
                bad |= mg_re_buf_add(b, s + from, to - from);
            }
        }
    }

    return bad;
}

static int mg_re_sub_fail(lua_State *L)
{
    lua_pushnil(L);
    lua_insert(L, -2);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 3;
}

/* Appends the new text for s to b; returns the number of replacements or a negative PCRE2 error. */
static int mg_re_sub_run(mg_re_vm *vm, mg_re *re, const char *s, size_t len, int global, mg_re_buf *b)
{
    int                rc, count = 0, valid = 0;
    size_t             pos = 0, done = 0;
    PCRE2_SIZE        *ov;
    pcre2_match_data  *md = mg_re_take(vm, re);

    if (md == NULL) {
        return PCRE2_ERROR_NOMEMORY;
    }

    ov = pcre2_get_ovector_pointer(md);

    do {
        rc = mg_re_exec(vm, re, md, s, len, pos, &valid);
        if (rc < 0) {
            break;
        }

        count++;

        if ((ov[0] > done && mg_re_buf_add(b, s + done, ov[0] - done) != 0)
            || mg_re_eval(b, re, s, ov, rc) != 0)
        {
            rc = PCRE2_ERROR_NOMEMORY;
            break;
        }

        done = ov[1];
        pos = ov[1] == ov[0] ? done + 1 : done;

    } while (global && pos <= len);

    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
        count = rc;

    } else if (count > 0 && done < len && mg_re_buf_add(b, s + done, len - done) != 0) {
        count = PCRE2_ERROR_NOMEMORY;
    }

    mg_re_give(vm, re, md);
    return count;
}

static int mg_re_sub_string(lua_State *L, int global)
{
    int          n;
    size_t       len;
    mg_re       *re;
    mg_re_vm    *vm = lua_touserdata(L, MG_RE_UP_VM);
    mg_re_buf    b;
    const char  *s;

    lua_settop(L, 4);
    s = mg_re_tostring(L, 1, &len);
    mg_re_tostring(L, 3, NULL);

    re = mg_re_get(L, vm, MG_RE_SUB_STR, 2, 4, 3);
    if (re == NULL) {
        return mg_re_sub_fail(L);
    }

    mg_re_buf_take(vm, &b);
    n = mg_re_sub_run(vm, re, s, len, global, &b);
    mg_re_release(vm, re);

    if (n < 0) {
        mg_re_buf_give(vm, &b);
        mg_re_push_exec_error(L, n);
        return mg_re_sub_fail(L);
    }

    if (n == 0) {
        lua_pushvalue(L, 1);
    } else {
        lua_pushlstring(L, b.data != NULL ? b.data : "", b.len);
    }

    mg_re_buf_give(vm, &b);
    lua_pushinteger(L, n);
    return 2;
}

static int mg_re_sub(lua_State *L)
{
    return mg_re_sub_string(L, 0);
}

static int mg_re_gsub(lua_State *L)
{
    return mg_re_sub_string(L, 1);
}

/* ---- function replacement: one record per call ---- */

typedef struct {
    mg_re_vm   *vm;
    mg_re      *re;      /* held; NULL when done */
    mg_re_buf   b;
    size_t      done;    /* subject bytes copied or replaced */
    size_t      pos;     /* where the next match starts */
    int         count, global, valid;
} mg_re_subst;

#define MG_RE_SUBST_TYPE "mg.re.substitution"

static void mg_re_subst_end(mg_re_subst *st)
{
    if (st->re != NULL) {
        mg_re_release(st->vm, st->re);
        st->re = NULL;
    }

    mg_re_buf_give(st->vm, &st->b);
}

static int mg_re_subst_gc(lua_State *L)
{
    mg_re_subst_end(lua_touserdata(L, 1));
    return 0;
}

/* open(regex, options, global): the record, or nil and the error. */
static int mg_re_subst_open(lua_State *L)
{
    mg_re_vm     *vm = lua_touserdata(L, MG_RE_UP_VM);
    mg_re_subst  *st;

    lua_settop(L, 3);

    st = lua_newuserdata(L, sizeof(*st));
    memset(st, 0, sizeof(*st));
    st->vm = vm;
    st->global = lua_toboolean(L, 3);

    if (luaL_newmetatable(L, MG_RE_SUBST_TYPE)) {
        lua_pushcfunction(L, mg_re_subst_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);

    st->re = mg_re_get(L, vm, MG_RE_SUB_FUNC, 1, 2, 0);
    if (st->re == NULL) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }

    mg_re_buf_take(vm, &st->b);
    return 1;
}

/* Returns nil, new subject, count. */
static int mg_re_subst_finish(lua_State *L, mg_re_subst *st, const char *s, size_t len)
{
    lua_pushnil(L);

    if (st->count == 0) {
        lua_pushvalue(L, 2);

    } else {
        if (st->done < len && mg_re_buf_add(&st->b, s + st->done, len - st->done) != 0) {
            return luaL_error(L, "no memory");
        }

        lua_pushlstring(L, st->b.data != NULL ? st->b.data : "", st->b.len);
    }

    lua_pushinteger(L, st->count);
    mg_re_subst_end(st);
    return 3;
}

/*
 * step(record, subject, piece?): takes the replacement of the match before and returns the next match's captures;
 * at the end nil, new subject, count; after a failure nil, nil, nil, error.
 */
static int mg_re_subst_step(lua_State *L)
{
    int                rc;
    size_t             len, n;
    mg_re_subst       *st = lua_touserdata(L, 1);
    const char        *s = lua_tolstring(L, 2, &len), *piece;
    PCRE2_SIZE        *ov;
    pcre2_match_data  *md;

    if (st->count > 0) {
        piece = luaL_checklstring(L, 3, &n);

        if (mg_re_buf_add(&st->b, piece, n) != 0) {
            return luaL_error(L, "no memory");
        }

        if (!st->global || st->pos > len) {
            return mg_re_subst_finish(L, st, s, len);
        }
    }

    md = mg_re_take(st->vm, st->re);
    rc = md != NULL ? mg_re_exec(st->vm, st->re, md, s, len, st->pos, &st->valid) : PCRE2_ERROR_NOMEMORY;

    if (rc < 0) {
        if (md != NULL) {
            mg_re_give(st->vm, st->re, md);
        }

        if (rc == PCRE2_ERROR_NOMATCH) {
            return mg_re_subst_finish(L, st, s, len);
        }

        mg_re_subst_end(st);
        lua_settop(L, 0);
        lua_pushnil(L);
        lua_pushnil(L);
        lua_pushnil(L);
        return 3 + mg_re_push_exec_error(L, rc);
    }

    ov = pcre2_get_ovector_pointer(md);
    mg_re_push_captures(L, st->re, s, ov, rc, 0);

    n = ov[0] > st->done ? mg_re_buf_add(&st->b, s + st->done, ov[0] - st->done) != 0 : 0;
    st->done = ov[1];
    st->pos = ov[1] == ov[0] ? ov[1] + 1 : ov[1];
    st->count++;
    mg_re_give(st->vm, st->re, md);

    return n == 0 ? 1 : luaL_error(L, "no memory");
}

static const char mg_re_sub_lua[] =
    "local sub, gsub, open, step, type, tostring = ...\n"
    "local function by_function(subject, regex, replace, options, global)\n"
    "  local st, err = open(regex, options, global)\n"
    "  if not st then return nil, nil, err end\n"
    "  subject = tostring(subject)\n"
    "  local m, s, n, failed = step(st, subject)\n"
    "  while m do\n"
    "    m, s, n, failed = step(st, subject, tostring(replace(m)))\n"
    "  end\n"
    "  if failed then return nil, nil, failed end\n"
    "  return s, n\n"
    "end\n"
    "return function(subject, regex, replace, options)\n"
    "  if type(replace) == 'function' then return by_function(subject, regex, replace, options, false) end\n"
    "  return sub(subject, regex, replace, options)\n"
    "end, function(subject, regex, replace, options)\n"
    "  if type(replace) == 'function' then return by_function(subject, regex, replace, options, true) end\n"
    "  return gsub(subject, regex, replace, options)\n"
    "end\n";

/* Adds sub and gsub to the table on the top of the stack. */
void mg_re_add_sub(lua_State *L)
{
    static const luaL_Reg fns[] = {
        {"sub", mg_re_sub}, {"gsub", mg_re_gsub}, {"open", mg_re_subst_open}, {"step", mg_re_subst_step}, {NULL, NULL},
    };
    static const char *const args[] = {"sub", "gsub", "open", "step"};
    int t = lua_gettop(L);

    lua_createtable(L, 0, 4);
    mg_re_register(L, fns);

    if (luaL_loadbuffer(L, mg_re_sub_lua, sizeof(mg_re_sub_lua) - 1, "=ngx.re") != 0) {
        lua_error(L);
    }

    for (int i = 0; i < 4; i++) {
        lua_getfield(L, t + 1, args[i]);
    }

    lua_getglobal(L, "type");
    lua_getglobal(L, "tostring");
    lua_call(L, 6, 2);
    lua_setfield(L, t, "gsub");
    lua_setfield(L, t, "sub");
    lua_settop(L, t);
}
