/*
 * cfun_shdict_export.c: what Lua libraries take of OpenResty's shared dictionaries by ffi.cdef: the names, arguments and
 * results are its.
 */
#include <stdlib.h>
#include <string.h>

#include "cfun_shdict.h"
#include "mg_vm.h"

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

/*
 * What lua-resty-core's own module calls; other programs have copies of it, and shared objects that are given a zone
 * (APISIX's xDS agent) call these too. A zone is the address that ngx.shared.NAME[1] holds. Times are milliseconds.
 */
void *ngx_http_lua_ffi_shdict_udata_to_zone(void *udata)
{
    return udata != NULL ? *(void **) udata : NULL;
}

int ngx_http_lua_ffi_shdict_get(void *zone, const char *key, size_t len, int *type, char **buf, size_t *buflen, double *num,
                                int *flags, int get_stale, int *is_stale, char **err)
{
    mg_sd_value v = {.s = *buf, .cap = *buflen};
    const char *problem = mg_shdict_get(zone, mg_running_clock(), key, len, get_stale, &v);

    *err = (char *) problem;
    *type = v.type;

    if (problem != NULL) {
        return NGX_ERROR;
    }

    switch (v.type) {
    case MG_SD_NIL:
        return NGX_OK;
    case MG_SD_NUM:
        *num = v.num;
        *buflen = sizeof(double);
        break;
    case MG_SD_BOOL:
        if (*buflen == 0) {
            return NGX_ERROR;
        }
        **buf = v.num != 0;
        break;
    case MG_SD_STR:
        *buf = v.s; /* the caller's, or memory that the caller frees */
        *buflen = v.len;
    }

    *flags = (int) v.flags;

    if (get_stale) {
        *is_stale = v.stale;
    }

    return NGX_OK;
}

/* What the operation does not allow is declined, other problems are errors. */
static int told(const char *problem, char **err, const char *declined)
{
    if (problem == NULL) {
        return NGX_OK;
    }

    *err = (char *) problem;
    return declined != NULL && strcmp(problem, declined) == 0 ? NGX_DECLINED : NGX_ERROR;
}

int ngx_http_lua_ffi_shdict_store(void *zone, int op, const char *key, size_t len, int type, const char *str, size_t strlen,
                                  double num, long ttl, int flags, char **err, int *forcible)
{
    mg_sd_value v = {.type = type, .flags = (uint32_t) flags, .num = num, .s = (char *) str, .len = strlen};

    if (len > MG_SHDICT_MAX_KEY) {
        return told("key too long", err, NULL);
    }

    switch (type) {
    case MG_SD_NIL:
    case MG_SD_BOOL:
    case MG_SD_NUM:
    case MG_SD_STR:
        return told(mg_shdict_store(zone, mg_running_clock(), op, key, len, &v, ttl > 0 ? ttl : 0, NULL, forcible), err,
                    op & MG_SD_REPLACE ? "not found" : "exists");
    }

    return told("unsupported value type", err, NULL);
}

int ngx_http_lua_ffi_shdict_incr(void *zone, const char *key, size_t len, double *value, char **err, int has_init, double init,
                                 long ttl, int *forcible)
{
    if (len > MG_SHDICT_MAX_KEY) {
        return told("key too long", err, NULL);
    }

    return told(mg_shdict_incr(zone, mg_running_clock(), key, len, value, has_init, init, ttl > 0 ? ttl : 0, forcible), err, NULL);
}

int ngx_http_lua_ffi_shdict_flush_all(void *zone)
{
    mg_shdict_flush_all(zone, mg_running_clock());
    return NGX_OK;
}

long ngx_http_lua_ffi_shdict_get_ttl(void *zone, const char *key, size_t len)
{
    int64_t ms;

    return mg_shdict_ttl(zone, mg_running_clock(), key, len, &ms) == NULL ? (long) ms : NGX_DECLINED;
}

int ngx_http_lua_ffi_shdict_set_expire(void *zone, const char *key, size_t len, long ttl)
{
    return mg_shdict_expire(zone, mg_running_clock(), key, len, ttl > 0 ? ttl : 0) == NULL ? NGX_OK : NGX_DECLINED;
}

size_t ngx_http_lua_ffi_shdict_capacity(void *zone)
{
    return ((mg_shdict *) zone)->size;
}

size_t ngx_http_lua_ffi_shdict_free_space(void *zone)
{
    return mg_shdict_free_space(zone);
}
