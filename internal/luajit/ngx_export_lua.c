/*
 * ngx_export_lua.c: functions of OpenResty's Lua module that programs take from ffi.C, by OpenResty's names, arguments
 * and results: those that need no request. lua-resty-core's own modules are built in and do not come by here.
 */
#include "cfun.h"

#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double ngx_http_lua_ffi_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double) t.tv_sec + (double) (t.tv_nsec / 1000000) / 1000.0;
}

long ngx_http_lua_ffi_time(void)
{
    return (long) time(NULL);
}

long ngx_http_lua_ffi_monotonic_msec(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The clock is read at each call: there is nothing to renew. */
void ngx_http_lua_ffi_update_time(void)
{
}

static void ngx_put_time(uint8_t *buf, const struct tm *tm, const char *format, size_t n)
{
    char text[32];

    strftime(text, sizeof(text), format, tm);
    memcpy(buf, text, n);
}

void ngx_http_lua_ffi_today(uint8_t *buf)
{
    time_t    now = time(NULL);
    struct tm tm;

    ngx_put_time(buf, localtime_r(&now, &tm), "%Y-%m-%d", 10);
}

void ngx_http_lua_ffi_localtime(uint8_t *buf)
{
    time_t    now = time(NULL);
    struct tm tm;

    ngx_put_time(buf, localtime_r(&now, &tm), "%Y-%m-%d %H:%M:%S", 19);
}

void ngx_http_lua_ffi_utctime(uint8_t *buf)
{
    time_t    now = time(NULL);
    struct tm tm;

    ngx_put_time(buf, gmtime_r(&now, &tm), "%Y-%m-%d %H:%M:%S", 19);
}

int ngx_http_lua_ffi_cookie_time(uint8_t *buf, long t)
{
    return (int) mg_cookie_time((char *) buf, t);
}

void ngx_http_lua_ffi_http_time(uint8_t *buf, long t)
{
    mg_http_time((char *) buf, t);
}

void ngx_http_lua_ffi_parse_http_time(const uint8_t *str, size_t len, long *t)
{
    *t = (long) mg_parse_http_time((const char *) str, len);
}

void ngx_http_lua_ffi_md5_bin(const uint8_t *src, size_t len, uint8_t *dst)
{
    mg_md5(dst, src, len);
}

void ngx_http_lua_ffi_md5(const uint8_t *src, size_t len, uint8_t *dst)
{
    uint8_t sum[16];

    mg_md5(sum, src, len);
    mg_hex(dst, sum, sizeof(sum));
}

int ngx_http_lua_ffi_sha1_bin(const uint8_t *src, size_t len, uint8_t *dst)
{
    mg_sha1(dst, src, len);
    return 1;
}

unsigned int ngx_http_lua_ffi_crc32_short(const uint8_t *src, size_t len)
{
    return mg_crc32(src, len);
}

unsigned int ngx_http_lua_ffi_crc32_long(const uint8_t *src, size_t len)
{
    return mg_crc32(src, len);
}

size_t ngx_http_lua_ffi_encode_base64(const uint8_t *src, size_t len, uint8_t *dst, int no_padding)
{
    return mg_encode_base64(dst, src, len, no_padding);
}

int ngx_http_lua_ffi_decode_base64(const uint8_t *src, size_t len, uint8_t *dst, size_t *dlen)
{
    ptrdiff_t n = mg_decode_base64(dst, src, len);

    if (n < 0) {
        return 0;
    }

    *dlen = (size_t) n;
    return 1;
}

size_t ngx_http_lua_ffi_uri_escaped_length(const uint8_t *src, size_t len, int type)
{
    return len + 2 * mg_escape_count(src, len, type);
}

void ngx_http_lua_ffi_escape_uri(const uint8_t *src, size_t len, uint8_t *dst, int type)
{
    mg_escape_uri(dst, src, len, type);
}

size_t ngx_http_lua_ffi_unescape_uri(const uint8_t *src, size_t len, uint8_t *dst)
{
    return (size_t) (mg_unescape_uri(dst, src, len) - dst);
}

int ngx_http_lua_ffi_worker_pid(void)
{
    return (int) getpid();
}
