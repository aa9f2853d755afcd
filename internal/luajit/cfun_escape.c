/*
 * cfun_escape.c: percent escapes, SQL quoting and Base64.
 *
 * Escaping sets are those of ngx_escape_uri() as the Lua module has them: its "component" set leaves !'()* alone,
 * unlike nginx's own. One table holds, per byte, a bit per escape type.
 */
#include "cfun.h"

#include <string.h>

/* Printable ASCII that is escaped, per type; besides: whether controls, DEL and bytes with the high bit are. */
static const struct escape_set {
    const char  *chars;
    int          del, high, tab;
} escape_sets[] = {
    [MG_ESCAPE_URI]           = {" #%?", 1, 1, 1},
    [MG_ESCAPE_ARGS]          = {" #%+?", 1, 1, 1},
    [MG_ESCAPE_URI_COMPONENT] = {" \"#$%&+,/:;<=>?@[\\]^`{|}", 1, 1, 1},
    [MG_ESCAPE_HTML]          = {" \"#%'", 1, 1, 1},
    [MG_ESCAPE_REFRESH]       = {" \"'", 1, 1, 1},
    [MG_ESCAPE_MEMCACHED]     = {" %", 0, 0, 1},
    [MG_ESCAPE_MAIL_AUTH]     = {" %", 0, 0, 1},
    [MG_ESCAPE_HEADER_NAME]   = {" \"(),/:;<=>?@[\\]{}", 1, 1, 1},
    [MG_ESCAPE_HEADER_VALUE]  = {"", 1, 0, 0},
    [MG_ESCAPE_SET_URI_ARGS]  = {" ", 1, 0, 1},
};

#define ESCAPE_TYPES  ((int) (sizeof(escape_sets) / sizeof(escape_sets[0])))

static uint8_t escaped[ESCAPE_TYPES][256];   /* 1 where escaped */

static uint8_t hex_value[256];               /* 0xff where no hex digit */

static const uint8_t upper_hex[] = "0123456789ABCDEF";

__attribute__((constructor)) static void make_escape_tables(void)
{
    for (int t = 0; t < ESCAPE_TYPES; t++) {
        const struct escape_set *s = &escape_sets[t];

        for (int c = 0; c < 256; c++) {
            escaped[t][c] = c < 0x20 ? c != '\t' || s->tab : c == 0x7f ? s->del : c > 0x7f ? s->high
                            : strchr(s->chars, c) != NULL;
        }
    }

    memset(hex_value, 0xff, sizeof(hex_value));
    for (int i = 0; i < 10; i++) {
        hex_value['0' + i] = (uint8_t) i;
    }
    for (int i = 0; i < 6; i++) {
        hex_value['a' + i] = hex_value['A' + i] = (uint8_t) (10 + i);
    }
}

size_t mg_escape_count(const uint8_t *src, size_t len, int type)
{
    const uint8_t *set = escaped[type];
    size_t         n = 0;

    for (size_t i = 0; i < len; i++) {
        n += set[src[i]];
    }

    return n;
}

uint8_t *mg_escape_uri(uint8_t *dst, const uint8_t *src, size_t len, int type)
{
    const uint8_t *set = escaped[type], *end = src + len;

    while (src < end) {
        uint8_t c = *src++;

        if (set[c]) {
            *dst++ = '%';
            *dst++ = upper_hex[c >> 4];
            *dst++ = upper_hex[c & 15];

        } else {
            *dst++ = c;
        }
    }

    return dst;
}

uint8_t *mg_unescape_uri(uint8_t *dst, const uint8_t *src, size_t len)
{
    const uint8_t *end = src + len;

    while (src < end) {
        uint8_t c = *src++;

        if (c == '+') {
            c = ' ';

        } else if (c == '%' && end - src >= 2) {
            /* what is not followed by two hex digits stands for itself */
            uint8_t hi = hex_value[src[0]], lo = hex_value[src[1]];

            if ((hi | lo) != 0xff) {
                c = (uint8_t) (hi << 4 | lo);
                src += 2;
            }
        }

        *dst++ = c;
    }

    return dst;
}

/* ---- SQL ---- */

/* The letter after the backslash, 0 for bytes which stand for themselves. */
static const uint8_t sql_escape[256] = {
    ['\0'] = '0', ['\b'] = 'b', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', [26] = 'Z', ['\\'] = '\\', ['\''] = '\'',
    ['"'] = '"',
};

size_t mg_quote_sql_length(const uint8_t *src, size_t len)
{
    size_t n = len + 2;

    for (size_t i = 0; i < len; i++) {
        n += sql_escape[src[i]] != 0;
    }

    return n;
}

uint8_t *mg_quote_sql(uint8_t *dst, const uint8_t *src, size_t len)
{
    *dst++ = '\'';

    for (size_t i = 0; i < len; i++) {
        uint8_t e = sql_escape[src[i]];

        if (e) {
            *dst++ = '\\';
            *dst++ = e;

        } else {
            *dst++ = src[i];
        }
    }

    *dst++ = '\'';
    return dst;
}

/* ---- Base64 (RFC 4648) ---- */

static const char std_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint16_t std_pairs[4096], url_pairs[4096];   /* two characters for twelve bits */
static uint8_t  std_value[256], url_value[256];     /* 0x80 where not of the alphabet */

static void make_base64(const char *alphabet, uint16_t *two, uint8_t *value)
{
    memset(value, 0x80, 256);
    for (int i = 0; i < 64; i++) {
        value[(uint8_t) alphabet[i]] = (uint8_t) i;
    }

    for (int i = 0; i < 4096; i++) {
        uint8_t c[2] = {(uint8_t) alphabet[i >> 6], (uint8_t) alphabet[i & 63]};

        memcpy(&two[i], c, 2);
    }
}

__attribute__((constructor)) static void make_base64_tables(void)
{
    make_base64(std_alphabet, std_pairs, std_value);
    make_base64(url_alphabet, url_pairs, url_value);
}

static size_t encode_base64(uint8_t *dst, const uint8_t *s, size_t len, const char *alphabet, const uint16_t *two,
    int padding)
{
    uint8_t *d = dst;

    for ( ; len > 2; len -= 3, s += 3, d += 4) {
        uint32_t v = (uint32_t) s[0] << 16 | (uint32_t) s[1] << 8 | s[2];

        memcpy(d, &two[v >> 12], 2);
        memcpy(d + 2, &two[v & 0xfff], 2);
    }

    if (len) {
        uint32_t v = (uint32_t) s[0] << 16 | (len == 2 ? (uint32_t) s[1] << 8 : 0);

        memcpy(d, &two[v >> 12], 2);
        d += 2;

        if (len == 2) {
            *d++ = (uint8_t) alphabet[v >> 6 & 63];

        } else if (padding) {
            *d++ = '=';
        }

        if (padding) {
            *d++ = '=';
        }
    }

    return (size_t) (d - dst);
}

size_t mg_encode_base64(uint8_t *dst, const uint8_t *src, size_t len, int no_padding)
{
    return encode_base64(dst, src, len, std_alphabet, std_pairs, !no_padding);
}

size_t mg_encode_base64url(uint8_t *dst, const uint8_t *src, size_t len)
{
    return encode_base64(dst, src, len, url_alphabet, url_pairs, 0);
}

/* As nginx: the first "=" ends the data, whatever follows, and missing padding is no error. */
static ptrdiff_t decode_base64(uint8_t *dst, const uint8_t *s, size_t len, const uint8_t *value)
{
    uint8_t        *d = dst;
    const uint8_t  *end = s + len;
    uint8_t         v[4];
    int             n = 0;

    while (end - s >= 4) {
        uint8_t a = value[s[0]], b = value[s[1]], c = value[s[2]], e = value[s[3]];

        if ((a | b | c | e) & 0x80) {
            break;
        }

        d[0] = (uint8_t) (a << 2 | b >> 4);
        d[1] = (uint8_t) (b << 4 | c >> 2);
        d[2] = (uint8_t) (c << 6 | e);
        d += 3;
        s += 4;
    }

    /* at most three more characters of the alphabet before the end or "=" */
    while (s < end && *s != '=') {
        if (n == 3 || value[*s] & 0x80) {
            return -1;
        }
        v[n++] = value[*s++];
    }

    if (n == 1) {
        return -1;
    }
    if (n > 1) {
        *d++ = (uint8_t) (v[0] << 2 | v[1] >> 4);
    }
    if (n > 2) {
        *d++ = (uint8_t) (v[1] << 4 | v[2] >> 2);
    }

    return d - dst;
}

ptrdiff_t mg_decode_base64(uint8_t *dst, const uint8_t *src, size_t len)
{
    return decode_base64(dst, src, len, std_value);
}

ptrdiff_t mg_decode_base64url(uint8_t *dst, const uint8_t *src, size_t len)
{
    return decode_base64(dst, src, len, url_value);
}

ptrdiff_t mg_decode_base64mime(uint8_t *dst, const uint8_t *s, size_t len)
{
    uint8_t        *d = dst;
    const uint8_t  *end = s + len;
    uint32_t        acc = 0;
    int             n = 0;

    for ( ; s < end && *s != '='; s++) {
        uint8_t v = std_value[*s];

        if (v & 0x80) {
            continue;
        }

        acc = acc << 6 | v;
        if (++n == 4) {
            *d++ = (uint8_t) (acc >> 16);
            *d++ = (uint8_t) (acc >> 8);
            *d++ = (uint8_t) acc;
            n = 0;
        }
    }

    if (n == 1) {
        return -1;
    }
    if (n > 1) {
        *d++ = (uint8_t) (acc >> (6 * n - 8));
    }
    if (n > 2) {
        *d++ = (uint8_t) (acc >> 2);
    }

    return d - dst;
}
