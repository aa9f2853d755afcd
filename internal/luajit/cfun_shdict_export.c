/*
 * cfun_shdict_export.c: what Lua libraries take of OpenResty's shared dictionaries by ffi.cdef: the names, arguments and
 * results are its.
 */
#include <stdlib.h>
#include <string.h>

#include "cfun_shdict.h"

enum { NGX_OK = 0, NGX_ERROR = -1, NGX_DONE = -4, NGX_DECLINED = -5 };

typedef struct {
    uint8_t type;

    union {
        int    b;
        double n;
        struct {
            size_t len;
            char  *data;
        } s;
    } value;
} mg_ngx_value;

void *ngx_http_lua_find_zone(const char *name, size_t len);
intptr_t ngx_http_lua_shared_dict_get(void *zone, const char *key, size_t len, mg_ngx_value *value);

void *ngx_http_lua_find_zone(const char *name, size_t len)
{
    return mg_shdict_find(name, len);
}

/* A string goes to the caller's buffer, as much of it as fits. */
intptr_t ngx_http_lua_shared_dict_get(void *zone, const char *key, size_t len, mg_ngx_value *value)
{
    mg_sd_value v = {.s = NULL};
    intptr_t    rc = NGX_OK;

    if (zone == NULL || mg_shdict_get(zone, NULL, key, len, 1, &v) != NULL) {
        return NGX_ERROR;
    }

    value->type = (uint8_t) v.type;

    switch (v.type) {
    case MG_SD_NIL:
        return NGX_DECLINED;
    case MG_SD_NUM:
        value->value.n = v.num;
        break;
    case MG_SD_BOOL:
        value->value.b = v.num != 0;
        break;
    case MG_SD_STR:
        if (value->value.s.data == NULL || value->value.s.len == 0) {
            rc = NGX_ERROR;
            break;
        }
        if (v.len < value->value.s.len) {
            value->value.s.len = v.len;
        }
        memcpy(value->value.s.data, v.s, value->value.s.len);
    }

    if (v.heap) {
        free(v.s);
    }

    return v.stale ? NGX_DONE : rc;
}
