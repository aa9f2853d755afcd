/*
 * ngx_export.c: functions of nginx's core that Lua libraries take from ffi.C, by nginx's names, arguments and results
 * (lua-resty-string takes ngx_hex_dump and ngx_atoi). The linker's -rdynamic makes them visible.
 */
#include "cfun.h"

#include <stdint.h>

typedef struct {
    size_t len;
    uint8_t *data;
} ngx_str_t;

enum { NGX_OK = 0, NGX_ERROR = -1 };

/* ngx_hex_dump writes 2 * len lower-case digits and returns where they end. */
uint8_t *ngx_hex_dump(uint8_t *dst, const uint8_t *src, size_t len)
{
    mg_hex(dst, src, len);
    return dst + 2 * len;
}

/* ngx_atoi gives the number that n decimal digits say; NGX_ERROR when there is none, another byte, or too many. */
intptr_t ngx_atoi(const uint8_t *line, size_t n)
{
    intptr_t value = 0;

    if (n == 0) {
        return NGX_ERROR;
    }

    for (; n > 0; n--, line++) {
        if (*line < '0' || *line > '9') {
            return NGX_ERROR;
        }
        int digit = *line - '0';
        if (value > (INTPTR_MAX - digit) / 10) {
            return NGX_ERROR;
        }
        value = value * 10 + digit;
    }

    return value;
}

/* The data of dst has room for what comes out: nginx's callers size it so. */
void ngx_encode_base64(ngx_str_t *dst, const ngx_str_t *src)
{
    dst->len = mg_encode_base64(dst->data, src->data, src->len, 0);
}

void ngx_encode_base64url(ngx_str_t *dst, const ngx_str_t *src)
{
    dst->len = mg_encode_base64url(dst->data, src->data, src->len);
}

static intptr_t ngx_decode(ngx_str_t *dst, const ngx_str_t *src, ptrdiff_t (*decode)(uint8_t *, const uint8_t *, size_t))
{
    ptrdiff_t n = decode(dst->data, src->data, src->len);

    if (n < 0) {
        return NGX_ERROR;
    }

    dst->len = (size_t) n;
    return NGX_OK;
}

intptr_t ngx_decode_base64(ngx_str_t *dst, const ngx_str_t *src)
{
    return ngx_decode(dst, src, mg_decode_base64);
}

intptr_t ngx_decode_base64url(ngx_str_t *dst, const ngx_str_t *src)
{
    return ngx_decode(dst, src, mg_decode_base64url);
}
