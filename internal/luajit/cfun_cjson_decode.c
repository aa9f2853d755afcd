/*
 * cfun_cjson_decode.c: JSON text to Lua values.
 *
 * A recursive descent straight over the text, which a NUL ends (Lua strings have one). It knows only whether what it
 * meets fits; for the message about what does not, the place is looked at again by a tokenizer with lua-cjson's idea
 * of tokens (blame()). Strings without escapes go from the text to Lua without a copy.
 */
#include "cfun_cjson.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define KEEP_CAP     (1 << 20)
/* Items and members are collected on the Lua stack, to make the table in its size; deep down the stack is saved. */
#define ITEMS        32
#define MEMBERS      16
#define BATCH_DEPTH  16

typedef struct {
    lua_State     *L;
    cjson_config  *cfg;
    const char    *text, *p, *end;
    char          *tmp;
    size_t         tmp_cap;
    int            depth;
} decoder;

static int decode_next(decoder *d);

/* ---- white space, comments ---- */

/* Returns 0 when a comment does not end; then p is at its begin. */
static int skip_comments(decoder *d)
{
    const char *p = d->p;

    for ( ;; ) {
        while (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r') {
            p++;
        }

        d->p = p;
        if (*p != '/' || (p[1] != '/' && p[1] != '*')) {
            return 1;
        }

        if (p[1] == '/') {
            p += strcspn(p, "\n");
            continue;
        }

        p = strstr(p + 2, "*/");
        if (p == NULL) {
            return 0;
        }
        p += 2;
    }
}

/* Moves to the next token and returns its first byte; for a comment without end, a byte no token begins with. */
static inline char next_byte(decoder *d)
{
    const char *p = d->p;

    if (__builtin_expect((unsigned char) *p > ' ' && *p != '/', 1)) {
        return *p;
    }

    if (d->cfg->allow_comment) {
        return skip_comments(d) ? *d->p : '*';
    }

    while (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r') {
        p++;

        /* indented text: runs of spaces */
        while (d->end - p >= 8 && memcmp(p, "        ", 8) == 0) {
            p += 8;
        }
    }

    d->p = p;
    return *p;
}

/* ---- strings ---- */

/* The first quote, backslash or NUL from p on. The NUL after the text is one. */
static inline const char *string_stop(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\'), zero = _mm_setzero_si128();

    for ( ; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *) p);
        __m128i m = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, back)),
                                 _mm_cmpeq_epi8(v, zero));
        int     mask = _mm_movemask_epi8(m);

        if (mask) {
            return p + __builtin_ctz((unsigned) mask);
        }
    }

#else
    const uint64_t ones = 0x0101010101010101ull, high = ones << 7;

    for ( ; end - p >= 8; p += 8) {
        uint64_t v, q, b;

        memcpy(&v, p, 8);
        q = v ^ (ones * '"');
        b = v ^ (ones * '\\');
        if ((((v - ones) & ~v) | ((q - ones) & ~q) | ((b - ones) & ~b)) & high) {
            break;
        }
    }
#endif

    while (*p != '"' && *p != '\\' && *p != '\0') {
        p++;
    }

    return p;
}

static int hex4(const char *p)
{
    int v = 0;

    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char) p[i];

        if ((unsigned) (c - '0') < 10) {
            c = (unsigned char) (c - '0');

        } else if ((unsigned) ((c | 0x20) - 'a') < 6) {
            c = (unsigned char) ((c | 0x20) - 'a' + 10);

        } else {
            return -1;
        }
        v = v << 4 | c;
    }

    return v;
}

/* Decodes \uXXXX, or the two of a surrogate pair, at p to UTF-8 at out; returns the length read, 0 for an error. */
static int unicode_escape(const char *p, char **out)
{
    unsigned char  *o = (unsigned char *) *out;
    int             c = hex4(p + 2), low, n = 6;

    if (c < 0) {
        return 0;
    }

    if ((c & 0xf800) == 0xd800) {
        if (c >= 0xdc00 || p[6] != '\\' || p[7] != 'u') {
            return 0;
        }

        low = hex4(p + 8);
        if (low < 0 || (low & 0xfc00) != 0xdc00) {
            return 0;
        }
        c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
        n = 12;
    }

    if (c < 0x80) {
        *o++ = (unsigned char) c;

    } else if (c < 0x800) {
        *o++ = (unsigned char) (0xc0 | c >> 6);
        *o++ = (unsigned char) (0x80 | (c & 0x3f));

    } else if (c < 0x10000) {
        *o++ = (unsigned char) (0xe0 | c >> 12);
        *o++ = (unsigned char) (0x80 | (c >> 6 & 0x3f));
        *o++ = (unsigned char) (0x80 | (c & 0x3f));

    } else {
        *o++ = (unsigned char) (0xf0 | c >> 18);
        *o++ = (unsigned char) (0x80 | (c >> 12 & 0x3f));
        *o++ = (unsigned char) (0x80 | (c >> 6 & 0x3f));
        *o++ = (unsigned char) (0x80 | (c & 0x3f));
    }

    *out = (char *) o;
    return n;
}

/*
 * Unescapes what is between the quotes from p on into out, which has room for the rest of the text; *len is the
 * length. Returns the end quote; NULL for an error, with its place and words in *at and *what.
 */
static const char *unescape(const char *p, const char *end, char *out, size_t *len, const char **at,
    const char **what)
{
    static const char plain[256] = {
        ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['t'] = '\t', ['n'] = '\n', ['f'] = '\f', ['r'] = '\r',
    };

    char *o = out;

    for ( ;; ) {
        const char *stop = string_stop(p, end);
        char        c;
        int         n;

        memcpy(o, p, (size_t) (stop - p));
        o += stop - p;
        p = stop;

        if (*p == '"') {
            *len = (size_t) (o - out);
            return p;
        }

        *at = p;
        if (*p == '\0') {
            *what = "unexpected end of string";
            return NULL;
        }

        c = plain[(unsigned char) p[1]];
        if (c != 0) {
            *o++ = c;
            p += 2;
            continue;
        }

        if (p[1] != 'u') {
            *what = "invalid escape code";
            return NULL;
        }

        n = unicode_escape(p, &o);
        if (n == 0) {
            *what = "invalid unicode escape code";
            return NULL;
        }
        p += n;
    }
}

static int need_tmp(decoder *d)
{
    size_t  n = (size_t) (d->end - d->p) + 1;
    char   *tmp;

    if (d->tmp_cap >= n) {
        return 1;
    }

    tmp = malloc(n);
    if (tmp == NULL) {
        return 0;
    }

    free(d->tmp);
    d->tmp = tmp;
    d->tmp_cap = n;
    return 1;
}

/* Pushes the string whose opening quote is at p; returns 0, and p as it was, for an error. */
static int push_string(decoder *d)
{
    const char *start = d->p + 1, *stop = string_stop(start, d->end), *at, *what;
    size_t      n;

    if (__builtin_expect(*stop == '"', 1)) {
        lua_pushlstring(d->L, start, (size_t) (stop - start));
        d->p = stop + 1;
        return 1;
    }

    if (!need_tmp(d)) {
        return 0;
    }

    stop = unescape(start, d->end, d->tmp, &n, &at, &what);
    if (stop == NULL) {
        return 0;
    }

    lua_pushlstring(d->L, d->tmp, n);
    d->p = stop + 1;
    return 1;
}

/* ---- numbers ---- */

/* Whether what is at p, if a number at all, is one JSON does not have: +1, 01, 0x1, inf, nan. */
static int is_invalid_number(const char *p)
{
    if (*p == '+') {
        return 1;
    }

    p += *p == '-';
    if (*p == '0') {
        return (p[1] | 0x20) == 'x' || (unsigned) (p[1] - '0') < 10;
    }

    return *p > '9' && (strncasecmp(p, "inf", 3) == 0 || strncasecmp(p, "nan", 3) == 0);
}

/* Pushes the number at p; returns 0 when there is none. */
static int push_number(decoder *d)
{
    const char *end;
    double      v;
    int         integer;

    if (!d->cfg->decode_invalid_numbers && is_invalid_number(d->p)) {
        return 0;
    }

    end = mg_parse_number(d->p, &v, &integer);
    if (end == d->p) {
        return 0;
    }

    lua_pushnumber(d->L, v);
    d->p = end;
    return 1;
}

/* ---- errors ---- */

/* Names the token at p as lua-cjson does and moves p to the place to be blamed. */
static const char *token_name(decoder *d)
{
    const char *p = d->p, *at, *what;
    double      v;
    size_t      n;
    int         integer;

    switch (*p) {
    case '{':
        return "T_OBJ_BEGIN";
    case '}':
        return "T_OBJ_END";
    case '[':
        return "T_ARR_BEGIN";
    case ']':
        return "T_ARR_END";
    case ',':
        return "T_COMMA";
    case ':':
        return "T_COLON";
    case '\0':
        return "T_END";

    case '"':
        if (!need_tmp(d)) {
            return "out of memory";
        }
        if (unescape(p + 1, d->end, d->tmp, &n, &at, &what) != NULL) {
            return "T_STRING";
        }
        d->p = at;
        return what;

    case 't':
        return strncmp(p, "true", 4) == 0 ? "T_BOOLEAN" : "invalid token";
    case 'f':
        return strncmp(p, "false", 5) == 0 ? "T_BOOLEAN" : "invalid token";

    case 'n':
        if (strncmp(p, "null", 4) == 0) {
            return "T_NULL";
        }
        /* fall through */

    case 'N':
    case 'i':
    case 'I':
    case '+':
        if (!d->cfg->decode_invalid_numbers || !is_invalid_number(p)) {
            return "invalid token";
        }
        break;

    case '-':
    case '0' ... '9':
        if (!d->cfg->decode_invalid_numbers && is_invalid_number(p)) {
            return "invalid number";
        }
        break;

    default:
        return "invalid token";
    }

    if (mg_parse_number(p, &v, &integer) == p) {
        return "invalid number";
    }
    return integer ? "T_INTEGER" : "T_NUMBER";
}

/* Pushes the message for what is at p where `expected` should be. */
static int blame(decoder *d, const char *expected)
{
    const char *found;

    if (d->cfg->allow_comment && !skip_comments(d)) {
        found = "unclosed multi-line comment";
        d->p += strlen(d->p);

    } else {
        found = token_name(d);
    }

    lua_pushfstring(d->L, "Expected %s but found %s at character %d", expected, found, (int) (d->p - d->text) + 1);
    return CJSON_ERROR;
}

/* ---- objects, arrays ---- */

static int descend(decoder *d, int slots)
{
    if (++d->depth <= d->cfg->decode_max_depth && lua_checkstack(d->L, slots)) {
        return 1;
    }

    lua_pushfstring(d->L, "Found too many nested data structures (%d) at character %d", d->depth,
                    (int) (d->p - d->text));
    return 0;
}

/* Pushes a key and its value. */
static int decode_member(decoder *d)
{
    if (next_byte(d) != '"' || !push_string(d)) {
        return blame(d, "object key string");
    }

    if (next_byte(d) != ':') {
        return blame(d, "colon");
    }

    d->p++;
    return decode_next(d);
}

/*
 * Turns the n keys and values on top, and the nil below them, into a table with room for `size` members. The pairs
 * go in from the last to the first, so a repeated key, whose last value counts, takes the slow way.
 */
static void collect_members(decoder *d, int n, int size)
{
    lua_State   *L = d->L;
    int          base = lua_gettop(L) - 2 * n;
    const void  *keys[MEMBERS];
    int          repeated = 0;

    for (int i = 0; i < n; i++) {
        keys[i] = lua_topointer(L, base + 1 + 2 * i);     /* strings are interned */
        for (int j = 0; j < i; j++) {
            repeated |= keys[j] == keys[i];
        }
    }

    lua_createtable(L, 0, size);
    lua_replace(L, base);

    if (repeated) {
        for (int i = 0; i < n; i++) {
            lua_pushvalue(L, base + 1 + 2 * i);
            lua_pushvalue(L, base + 2 + 2 * i);
            lua_rawset(L, base);
        }
        lua_settop(L, base);
        return;
    }

    for (int i = 0; i < n; i++) {
        lua_rawset(L, base);
    }
}

static int decode_object(decoder *d)
{
    lua_State  *L = d->L;
    int         rc, n = 0, batch;

    d->p++;
    if (!descend(d, 5)) {
        return CJSON_ERROR;
    }

    if (next_byte(d) == '}') {
        lua_createtable(L, 0, 0);
        d->p++;
        d->depth--;
        return CJSON_OK;
    }

    batch = d->depth <= BATCH_DEPTH && lua_checkstack(L, 2 * MEMBERS + 6);
    if (batch) {
        lua_pushnil(L);

    } else {
        lua_createtable(L, 0, 0);
    }

    for ( ;; ) {
        char c;

        rc = decode_member(d);
        if (rc != CJSON_OK) {
            return rc;
        }

        c = next_byte(d);

        if (!batch) {
            lua_rawset(L, -3);

        } else if (++n == MEMBERS || c != ',') {
            collect_members(d, n, c == ',' ? 2 * n : n);
            batch = 0;
        }

        if (c == ',') {
            d->p++;
            continue;
        }

        if (c != '}') {
            return blame(d, "comma or object end");
        }

        d->p++;
        d->depth--;
        return CJSON_OK;
    }
}

static void mark_array(decoder *d)
{
    if (d->cfg->array_with_array_mt) {
        lua_pushlightuserdata(d->L, (void *) &cjson_array);
        lua_rawget(d->L, LUA_REGISTRYINDEX);
        lua_setmetatable(d->L, -2);
    }
}

/* Turns the n items on top, and the nil below them, into a table. */
static void collect_items(decoder *d, int n)
{
    lua_State  *L = d->L;
    int         base = lua_gettop(L) - n;

    lua_createtable(L, n, 0);
    lua_replace(L, base);
    for (int i = n; i > 0; i--) {
        lua_rawseti(L, base, i);
    }
}

static int decode_array(decoder *d)
{
    lua_State  *L = d->L;
    int         rc, batch;

    d->p++;
    if (!descend(d, 4)) {
        return CJSON_ERROR;
    }

    if (next_byte(d) == ']') {
        lua_createtable(L, 0, 0);
        mark_array(d);
        d->p++;
        d->depth--;
        return CJSON_OK;
    }

    batch = d->depth <= BATCH_DEPTH && lua_checkstack(L, ITEMS + 4) ? ITEMS : 0;
    if (batch) {
        lua_pushnil(L);

    } else {
        lua_createtable(L, 0, 0);
    }

    for (int i = 1; ; i++) {
        rc = decode_next(d);
        if (rc != CJSON_OK) {
            return rc;
        }

        if (i > batch) {
            lua_rawseti(L, -2, i);

        } else if (i == batch) {
            collect_items(d, i);
        }

        switch (next_byte(d)) {
        case ',':
            d->p++;
            continue;

        case ']':
            if (i < batch) {
                collect_items(d, i);
            }
            mark_array(d);
            d->p++;
            d->depth--;
            return CJSON_OK;

        default:
            return blame(d, "comma or array end");
        }
    }
}

/* Pushes the value which comes next. */
static int decode_next(decoder *d)
{
    char c = next_byte(d);

    switch (c) {
    case '"':
        if (push_string(d)) {
            return CJSON_OK;
        }
        break;

    case '-':
    case '0' ... '9':
        if (push_number(d)) {
            return CJSON_OK;
        }
        break;

    case '{':
        return decode_object(d);

    case '[':
        return decode_array(d);

    case 't':
        if (strncmp(d->p, "true", 4) == 0) {
            lua_pushboolean(d->L, 1);
            d->p += 4;
            return CJSON_OK;
        }
        break;

    case 'f':
        if (strncmp(d->p, "false", 5) == 0) {
            lua_pushboolean(d->L, 0);
            d->p += 5;
            return CJSON_OK;
        }
        break;

    case 'n':
        if (strncmp(d->p, "null", 4) == 0) {
            lua_pushlightuserdata(d->L, NULL);
            d->p += 4;
            return CJSON_OK;
        }
        /* fall through */

    case 'N':
    case 'i':
    case 'I':
    case '+':
        if (d->cfg->decode_invalid_numbers && is_invalid_number(d->p) && push_number(d)) {
            return CJSON_OK;
        }
        break;
    }

    return blame(d, "value");
}

int cjson_decode_text(lua_State *L, cjson_config *cfg, const char *text, size_t len)
{
    decoder  d = {L, cfg, text, text, text + len, cfg->tmp, cfg->tmp_cap, 0};
    int      rc;

    /* the first two characters of JSON in UTF-8 are ASCII and not NUL */
    if (len >= 2 && (text[0] == '\0' || text[1] == '\0')) {
        lua_pushliteral(L, "JSON parser does not support UTF-16 or UTF-32");
        return CJSON_ERROR;
    }

    cfg->tmp = NULL;
    cfg->tmp_cap = 0;

    rc = decode_next(&d);
    if (rc == CJSON_OK && next_byte(&d) != '\0') {
        rc = blame(&d, "the end");
    }

    if (cfg->tmp == NULL && d.tmp_cap <= KEEP_CAP) {
        cfg->tmp = d.tmp;
        cfg->tmp_cap = d.tmp_cap;

    } else {
        free(d.tmp);
    }

    return rc;
}
