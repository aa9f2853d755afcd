/*
 * mg_cfuncs.c: the single list of built-in C libraries. Each line makes `require "NAME"` work in every state, and
 * lets a Go declaration of tier C name one of the library's functions as "NAME.function".
 */
#include "cfun.h"
#include "cfun_pb.h"
#include "mg.h"
#include "regex_ngx.h"

const mg_cfunc mg_cfuncs[] = {
    {"cjson", mg_open_cjson},
    {"cjson.safe", mg_open_cjson_safe},
    {"mg.re", mg_open_ngx_re},
    {"mg.strings", mg_open_ngx_strings},
    {"mg.tables", mg_open_tables},
    {"ngx.base64", mg_open_ngx_base64},
    {"ngx.re", mg_open_ngx_re_module},
    {"pb", mg_open_pb},
    {"pb.buffer", mg_open_pb_buffer},
    {"pb.codec", mg_open_pb_codec},
    {"pb.conv", mg_open_pb_conv},
    {"pb.io", mg_open_pb_io},
    {"pb.slice", mg_open_pb_slice},
    {NULL, NULL},
};
