/*
 * cfun.h: pure functions in C and the Lua libraries made of them (cjson, the string functions of ngx.*, tables of
 * arguments and headers). Nothing here knows a request, waits, or keeps state beyond a Lua state.
 *
 * The mg_NAME functions of the second part are plain C for other callers: sources and destinations are the caller's,
 * destinations must not overlap sources unless said otherwise, and nothing is NUL-terminated.
 */
#ifndef MG_CFUN_H
#define MG_CFUN_H

#include "mg.h"

/* Lua libraries: each pushes one table. */
int mg_open_cjson(lua_State *L);
int mg_open_cjson_safe(lua_State *L);
int mg_open_ngx_strings(lua_State *L);
int mg_open_ngx_base64(lua_State *L);
int mg_open_tables(lua_State *L);

/* The limit on arguments and headers when the caller gives none. */
#define MG_MAX_ARGS 100

/*
 * The table of ngx.req.get_uri_args for the query string p. max: < 0 is MG_MAX_ARGS, 0 no limit.
 * Returns whether arguments were left out. Raises Lua errors only for want of memory.
 */
int mg_push_args(lua_State *L, const char *p, size_t n, int max);

/* The same into the table at tab (ngx.req.get_uri_args(max, tab)), which the caller has cleared; pushes nothing. */
int mg_fill_args(lua_State *L, int tab, const char *p, size_t n, int max);

/* The table of ngx.decode_args and ngx.req.get_post_args, which count differently: max <= 0 is no limit. */
int mg_push_post_args(lua_State *L, const char *p, size_t n, int max);

/* Pushes the query string made of the table at index t; raises OpenResty's errors. */
void mg_encode_args(lua_State *L, int t);

/*
 * The table of ngx.req.get_headers. wire is a sequence of [u32 name length][u32 value length][name][value] in the
 * machine's byte order; max as in mg_push_args. Unless raw, names are lower-cased and the table finds Foo-Bar and
 * foo_bar as foo-bar. Returns whether headers were left out.
 */
int mg_push_headers(lua_State *L, const char *wire, size_t n, int max, int raw);

/* ---- plain C ---- */

/* Escape types, nginx's numbering. */
enum {
    MG_ESCAPE_URI, MG_ESCAPE_ARGS, MG_ESCAPE_URI_COMPONENT, MG_ESCAPE_HTML, MG_ESCAPE_REFRESH, MG_ESCAPE_MEMCACHED,
    MG_ESCAPE_MAIL_AUTH, MG_ESCAPE_HEADER_NAME, MG_ESCAPE_HEADER_VALUE, MG_ESCAPE_SET_URI_ARGS
};

/* How many bytes of src have to be escaped; the escaped length is len + 2 * that. */
size_t mg_escape_count(const uint8_t *src, size_t len, int type);
/* Writes len + 2 * mg_escape_count bytes; returns the end. */
uint8_t *mg_escape_uri(uint8_t *dst, const uint8_t *src, size_t len, int type);
/* Decodes %XX and "+"; writes at most len bytes, dst may be src; returns the end. */
uint8_t *mg_unescape_uri(uint8_t *dst, const uint8_t *src, size_t len);

/* Length of the quoted literal, quotes included, and the literal itself (MySQL's rules); returns the end. */
size_t mg_quote_sql_length(const uint8_t *src, size_t len);
uint8_t *mg_quote_sql(uint8_t *dst, const uint8_t *src, size_t len);

/* Base64. Encoders write at most (len + 2) / 3 * 4 bytes, decoders at most (len + 3) / 4 * 3; all return the number
 * written, decoders -1 for bad input. The url variant has no padding; mime skips what is not of the alphabet. */
size_t mg_encode_base64(uint8_t *dst, const uint8_t *src, size_t len, int no_padding);
size_t mg_encode_base64url(uint8_t *dst, const uint8_t *src, size_t len);
ptrdiff_t mg_decode_base64(uint8_t *dst, const uint8_t *src, size_t len);
ptrdiff_t mg_decode_base64url(uint8_t *dst, const uint8_t *src, size_t len);
ptrdiff_t mg_decode_base64mime(uint8_t *dst, const uint8_t *src, size_t len);

void mg_hex(uint8_t *dst, const uint8_t *src, size_t len);
void mg_md5(uint8_t dst[16], const uint8_t *src, size_t len);
void mg_sha1(uint8_t dst[20], const uint8_t *src, size_t len);
void mg_hmac_sha1(uint8_t dst[20], const uint8_t *key, size_t klen, const uint8_t *src, size_t len);
uint32_t mg_crc32(const uint8_t *src, size_t len);

/* Dates. Both writers need room for 29 bytes, clamp to 1970..9999 and return the length; mg_parse_http_time returns
 * seconds, -1 for what is no date. */
size_t mg_http_time(char *dst, int64_t sec);
size_t mg_cookie_time(char *dst, int64_t sec);
int64_t mg_parse_http_time(const char *src, size_t len);

/* printf's %.<precision>g in the C locale, 1 <= precision <= 17; dst needs MG_FMT_G_MAX bytes; returns the length. */
#define MG_FMT_G_MAX 32
size_t mg_fmt_g(char *dst, double x, int precision);

/*
 * Reads the number at p (NUL-terminated text) as strtod does in the C locale, correctly rounded; returns its end, p
 * when there is none. *integer tells whether it was written as a plain decimal integer (then -0 is 0).
 */
const char *mg_parse_number(const char *p, double *value, int *integer);

#endif
