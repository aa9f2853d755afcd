/*
 * cfun_cjson_encode.c: Lua values to JSON text, with lua-cjson's rules on what is an array.
 *
 * Errors travel up as return codes with the message on the Lua stack, so that cjson.safe needs no protected call and
 * the buffer is put back in one place. Only what metamethods do runs protected.
 */
#include "cfun_cjson.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define START_CAP  1024
#define KEEP_CAP   (1 << 20)      /* a buffer grown beyond is not kept */

typedef struct {
    lua_State     *L;
    cjson_config  *cfg;
    char          *buf;
    size_t         len, cap;
} encoder;

static int encode_top(encoder *e, int depth);

/* ---- the buffer ---- */

static void give_back(encoder *e)
{
    cjson_config *cfg = e->cfg;

    if (cfg->keep_buffer && cfg->out == NULL && e->cap <= KEEP_CAP) {
        cfg->out = e->buf;
        cfg->out_cap = e->cap;

    } else {
        free(e->buf);
    }
    e->buf = NULL;
}

__attribute__((noinline)) static void grow(encoder *e, size_t n)
{
    size_t  cap = e->cap;
    char   *p;

    while (cap - e->len < n) {
        cap *= 2;
    }

    p = realloc(e->buf, cap);
    if (p == NULL) {
        give_back(e);
        luaL_error(e->L, "not enough memory");
    }

    e->buf = p;
    e->cap = cap;
}

static inline void reserve(encoder *e, size_t n)
{
    if (__builtin_expect(e->cap - e->len < n, 0)) {
        grow(e, n);
    }
}

static inline void put_char(encoder *e, char c)
{
    reserve(e, 1);
    e->buf[e->len++] = c;
}

#define put_literal(e, s)  put_bytes(e, s, sizeof(s) - 1)

static inline void put_bytes(encoder *e, const char *s, size_t n)
{
    reserve(e, n);
    memcpy(e->buf + e->len, s, n);
    e->len += n;
}

static void put_newline(encoder *e, int depth)
{
    put_char(e, '\n');
    while (depth-- > 0) {
        put_bytes(e, e->cfg->indent, e->cfg->indent_len);
    }
}

/* ---- errors ---- */

static int fail(encoder *e, int idx, const char *why)
{
    lua_pushfstring(e->L, "Cannot serialise %s: %s", luaL_typename(e->L, idx), why);
    return CJSON_ERROR;
}

/* ---- scalars ---- */

/*
 * Copies bytes which need no escape, 16 at a time, as long as 16 are left; returns how many. A block that has one is
 * copied up to it. slash is '/' when that is escaped, else '"' (once more).
 */
static inline size_t copy_clean(char *d, const char *s, size_t n, char slash)
{
#if defined(__SSE2__)
    const __m128i ctl = _mm_set1_epi8(0x1f), quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\'),
                  del = _mm_set1_epi8(0x7f), sl = _mm_set1_epi8(slash);
    size_t i = 0;

    for ( ; n - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *) (s + i));
        __m128i m = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(v, ctl), v), _mm_cmpeq_epi8(v, quote)),
                                 _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, back), _mm_cmpeq_epi8(v, del)),
                                              _mm_cmpeq_epi8(v, sl)));
        int     mask = _mm_movemask_epi8(m);

        _mm_storeu_si128((__m128i *) (d + i), v);
        if (mask) {
            return i + (size_t) __builtin_ctz((unsigned) mask);
        }
    }

    return i;
#else
    (void) d;
    (void) s;
    (void) n;
    (void) slash;
    return 0;
#endif
}

static void put_string(encoder *e, int idx)
{
    static const char hex[] = "0123456789abcdef";

    const char *esc = e->cfg->escape;
    char        slash = esc['/'] ? '/' : '"';
    size_t      n;
    const char *s = lua_tolstring(e->L, idx, &n), *end = s + n;
    char       *d;

    /* room for the text, both quotes, one escape, and what follows the string: , : or a brace */
    reserve(e, n + 16);
    d = e->buf + e->len;
    *d++ = '"';

    while (s < end) {
        char c, x;

        if (end - s >= 16) {
            size_t k = copy_clean(d, s, (size_t) (end - s), slash);

            d += k;
            s += k;
            if (s == end) {
                break;
            }
        }

        c = *s++;
        x = esc[(unsigned char) c];

        if (__builtin_expect(x == 0, 1)) {
            *d++ = c;
            continue;
        }

        *d++ = '\\';
        *d++ = x;
        if (x == 'u') {
            *d++ = '0';
            *d++ = '0';
            *d++ = hex[(unsigned char) c >> 4];
            *d++ = hex[c & 15];
        }

        e->len = (size_t) (d - e->buf);
        reserve(e, (size_t) (end - s) + 16);
        d = e->buf + e->len;
    }

    *d++ = '"';
    e->len = (size_t) (d - e->buf);
}

static int put_number(encoder *e, int idx)
{
    double x = lua_tonumber(e->L, idx);

    if (__builtin_expect(!isfinite(x), 0)) {
        switch (e->cfg->encode_invalid_numbers) {
        case 0:
            return fail(e, idx, "must not be NaN or Infinity");
        case 2:
            put_literal(e, "null");
            return CJSON_OK;
        }

        if (isnan(x)) {
            put_literal(e, "NaN");

        } else if (x < 0) {
            put_literal(e, "-Infinity");

        } else {
            put_literal(e, "Infinity");
        }
        return CJSON_OK;
    }

    reserve(e, MG_FMT_G_MAX);
    e->len += mg_fmt_g(e->buf + e->len, x, e->cfg->number_precision);
    return CJSON_OK;
}

/* ---- tables ---- */

/* Pushes t[i] for the table on top, as its metatable has it when `raw` is not set. */
static int get_item(lua_State *L)
{
    lua_gettable(L, 1);
    return 1;
}

static int push_item(encoder *e, int i, int raw)
{
    lua_State *L = e->L;

    lua_rawgeti(L, -1, i);
    if (raw || !lua_isnil(L, -1) || !luaL_getmetafield(L, -2, "__index")) {
        return CJSON_OK;
    }

    lua_pop(L, 2);
    lua_pushcfunction(L, get_item);
    lua_pushvalue(L, -2);
    lua_pushinteger(L, i);
    return lua_pcall(L, 2, 1, 0) == 0 ? CJSON_OK : CJSON_RAISED;
}

/* Items first..n of the table on top; what comes before is in the buffer. depth is that of the items. */
static int put_items(encoder *e, int depth, int first, int n, int raw)
{
    int comma = first > 1;

    for (int i = first; i <= n; i++) {
        size_t  start = e->len;
        int     rc;

        if (comma++ > 0) {
            put_char(e, ',');
        }
        if (e->cfg->indent != NULL) {
            put_newline(e, depth);
        }

        rc = push_item(e, i, raw);
        if (rc == CJSON_OK) {
            rc = encode_top(e, depth);
        }
        if (rc > CJSON_SKIP) {
            return rc;
        }

        if (rc == CJSON_SKIP) {
            e->len = start;
            if (comma == 1) {
                comma = 0;
            }
        }
        lua_pop(e->L, 1);
    }

    if (n > 0 && e->cfg->indent != NULL) {
        put_newline(e, depth - 1);
    }
    put_char(e, ']');
    return CJSON_OK;
}

static int put_array(encoder *e, int depth, int n, int raw)
{
    put_char(e, '[');
    return put_items(e, depth, 1, n, raw);
}

/* The members of the table on top, from the key and value pushed above it; "{" is in the buffer. */
static int put_members(encoder *e, int depth)
{
    lua_State  *L = e->L;
    int         comma = 0;

    do {
        size_t  start = e->len;
        int     rc;

        if (comma++ > 0) {
            put_char(e, ',');
        }
        if (e->cfg->indent != NULL) {
            put_newline(e, depth);
        }

        switch (lua_type(L, -2)) {
        case LUA_TSTRING:
            put_string(e, -2);
            break;

        case LUA_TNUMBER:
            put_char(e, '"');
            if (put_number(e, -2) != CJSON_OK) {
                return CJSON_ERROR;
            }
            put_char(e, '"');
            break;

        default:
            return fail(e, -2, "table key must be a number or string");
        }

        put_char(e, ':');
        if (e->cfg->indent != NULL) {
            put_char(e, ' ');
        }

        rc = encode_top(e, depth);
        if (rc > CJSON_SKIP) {
            return rc;
        }

        if (rc == CJSON_SKIP) {
            e->len = start;
            if (comma == 1) {
                comma = 0;
            }
        }
        lua_pop(L, 1);
    } while (lua_next(L, -2) != 0);

    if (e->cfg->indent != NULL) {
        put_newline(e, depth - 1);
    }
    put_char(e, '}');
    return CJSON_OK;
}

static int put_object(encoder *e, int depth)
{
    put_char(e, '{');

    lua_pushnil(e->L);
    if (lua_next(e->L, -2) == 0) {
        put_char(e, '}');
        return CJSON_OK;
    }

    return put_members(e, depth);
}

/* The key below the value on top as an array index, 0 when it is none. */
static inline double index_key(lua_State *L)
{
    double k;

    if (lua_type(L, -2) != LUA_TNUMBER) {
        return 0;
    }

    k = lua_tonumber(L, -2);
    return k >= 1 && k <= INT_MAX && (double) (int) k == k ? k : 0;
}

/*
 * The length of the array on top, -1 when it is an object, -2 for an error. Goes on from the key and value pushed
 * above the table, after `items` keys up to `max`.
 */
static int count_items(encoder *e, double items, double max)
{
    lua_State     *L = e->L;
    cjson_config  *cfg = e->cfg;

    do {
        double k = index_key(L);

        if (k == 0) {
            lua_pop(L, 2);
            return -1;
        }

        max = k > max ? k : max;
        items++;
        lua_pop(L, 1);
    } while (lua_next(L, -2) != 0);

    if (cfg->sparse_ratio > 0 && max > items * cfg->sparse_ratio && max > cfg->sparse_safe) {
        if (!cfg->sparse_convert) {
            fail(e, -1, "excessively sparse array");
            return -2;
        }
        return -1;
    }

    return (int) max;
}

static int put_empty(encoder *e)
{
    if (e->cfg->empty_table_as_object) {
        put_literal(e, "{}");

    } else {
        put_literal(e, "[]");
    }
    return CJSON_OK;
}

/* Whether the value on top is one that is appended without further ado. */
static inline int is_plain(lua_State *L)
{
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
    case LUA_TBOOLEAN:
        return 1;
    case LUA_TNUMBER:
        return isfinite(lua_tonumber(L, -1));
    case LUA_TLIGHTUSERDATA:
        return lua_touserdata(L, -1) == NULL;
    }

    return 0;
}

/*
 * A table without metatable. Its kind is known only when all keys have been seen, but nearly always the first one
 * tells: a key that is no index makes an object, and a run 1, 2, 3 of plain values is written as it is seen, to be
 * taken back when the rest does not fit. Nested tables end the run, so that nothing deep is ever written twice.
 */
static int put_plain_table(encoder *e, int depth)
{
    lua_State  *L = e->L;
    size_t      start = e->len;
    int         i = 0, n;

    lua_pushnil(L);
    if (lua_next(L, -2) == 0) {
        return put_empty(e);
    }

    if (index_key(L) == 0) {
        put_char(e, '{');
        return put_members(e, depth);
    }

    put_char(e, '[');

    if (e->cfg->indent == NULL) {
        while (lua_tonumber(L, -2) == i + 1 && lua_type(L, -2) == LUA_TNUMBER && is_plain(L)) {
            if (i++ > 0) {
                put_char(e, ',');
            }
            (void) encode_top(e, depth);
            lua_pop(L, 1);

            if (lua_next(L, -2) == 0) {
                put_char(e, ']');
                return CJSON_OK;
            }
        }
    }

    n = count_items(e, i, i);
    if (n > 0) {
        return put_items(e, depth, i + 1, n, 1);
    }
    if (n < -1) {
        return CJSON_ERROR;
    }

    e->len = start;
    return put_object(e, depth);
}

static int call_len(encoder *e, int *n)
{
    double d;

    lua_pushvalue(e->L, -2);
    if (lua_pcall(e->L, 1, 1, 0) != 0) {
        return CJSON_RAISED;
    }

    d = lua_tonumber(e->L, -1);
    *n = d >= 1 && d <= INT_MAX ? (int) d : 0;
    lua_pop(e->L, 1);
    return CJSON_OK;
}

/* A table with the metatable mt: array_mt and __len make an array, empty_array_mt makes one of an empty table. */
static int put_meta_table(encoder *e, int depth, const void *mt)
{
    lua_State  *L = e->L;
    int         n = 0;

    if (mt == e->cfg->array_mt) {
        return put_array(e, depth, (int) lua_objlen(L, -1), 1);
    }

    if (luaL_getmetafield(L, -1, "__len")) {
        int rc = call_len(e, &n);

        return rc == CJSON_OK ? put_array(e, depth, n, 0) : rc;
    }

    lua_pushnil(L);
    if (lua_next(L, -2) != 0) {
        n = count_items(e, 0, 0);
    }

    if (n < -1) {
        return CJSON_ERROR;
    }
    if (n > 0 || (n == 0 && !e->cfg->empty_table_as_object)) {
        return put_array(e, depth, n, 0);
    }
    if (mt == e->cfg->empty_array_mt) {
        return put_array(e, depth, (int) lua_objlen(L, -1), 1);
    }

    return put_object(e, depth);
}

static int put_table(encoder *e, int depth)
{
    lua_State *L = e->L;

    /* a key, a value, a metamethod call with two arguments, a message */
    if (++depth > e->cfg->encode_max_depth || !lua_checkstack(L, 6)) {
        lua_pushfstring(L, "Cannot serialise, excessive nesting (%d)", depth);
        return CJSON_ERROR;
    }

    if (lua_getmetatable(L, -1)) {
        const void *mt = lua_topointer(L, -1);

        lua_pop(L, 1);
        return put_meta_table(e, depth, mt);
    }

    return put_plain_table(e, depth);
}

/* Appends the value on top of the stack and leaves it there. On CJSON_ERROR more may lie above it. */
static int encode_top(encoder *e, int depth)
{
    lua_State *L = e->L;

    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        put_string(e, -1);
        return CJSON_OK;

    case LUA_TNUMBER:
        return put_number(e, -1);

    case LUA_TTABLE:
        return put_table(e, depth);

    case LUA_TBOOLEAN:
        if (lua_toboolean(L, -1)) {
            put_literal(e, "true");

        } else {
            put_literal(e, "false");
        }
        return CJSON_OK;

    case LUA_TNIL:
        put_literal(e, "null");
        return CJSON_OK;

    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, -1) == NULL) {
            put_literal(e, "null");
            return CJSON_OK;
        }
        if (lua_touserdata(L, -1) == (void *) &cjson_array) {
            put_literal(e, "[]");
            return CJSON_OK;
        }
        break;
    }

    return e->cfg->skip_unsupported ? CJSON_SKIP : fail(e, -1, "type not supported");
}

int cjson_encode_value(lua_State *L, cjson_config *cfg)
{
    encoder  e = {L, cfg, cfg->out, 0, cfg->out_cap};
    int      rc;

    cfg->out = NULL;
    if (e.buf == NULL) {
        e.cap = START_CAP;
        e.buf = malloc(START_CAP);
        if (e.buf == NULL) {
            return luaL_error(L, "not enough memory");
        }
    }

    rc = encode_top(&e, 0);
    if (rc <= CJSON_SKIP) {
        lua_pushlstring(L, e.buf, e.len);
        rc = CJSON_OK;
    }

    give_back(&e);
    return rc;
}
