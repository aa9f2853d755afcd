/* cfun_cjson.h: what the parts of the cjson library share. */
#ifndef MG_CFUN_CJSON_H
#define MG_CFUN_CJSON_H

#include "cfun.h"

/* The settings and buffers of one cjson instance: a userdata, upvalue of each of its functions. */
typedef struct {
    int          sparse_convert, sparse_ratio, sparse_safe;
    int          encode_max_depth, decode_max_depth;
    int          encode_invalid_numbers;          /* 2: as null */
    int          decode_invalid_numbers;
    int          number_precision;
    int          keep_buffer;
    int          empty_table_as_object;
    int          array_with_array_mt;
    int          allow_comment;
    int          escape_forward_slash;
    int          skip_unsupported;
    char        *indent;                          /* NULL when there is none */
    size_t       indent_len;

    const void  *array_mt, *empty_array_mt;       /* the metatables' identities; the registry keeps them alive */
    char         escape[256];                     /* after the backslash; 'u' for \u00XX, 0 for none */

    /*
     * Buffers kept between calls. A call takes the one it uses out of here and puts it back at its end: collecting
     * garbage may run a finalizer which uses this instance.
     */
    char        *out, *tmp;
    size_t       out_cap, tmp_cap;
} cjson_config;

/* How a conversion ended; other than OK leaves the message or error value on top of the stack. */
enum { CJSON_OK, CJSON_SKIP, CJSON_ERROR, CJSON_RAISED };

/* Its address: registry key of array_mt, and as a light userdata cjson.empty_array. */
extern const char cjson_array;

/* Both expect the value at stack index 1 and push the result. */
int cjson_encode_value(lua_State *L, cjson_config *cfg);
int cjson_decode_text(lua_State *L, cjson_config *cfg, const char *text, size_t len);

#endif
