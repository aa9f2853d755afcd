/*
 * mg_cfuncs.c: the single list of built-in C libraries. Each line makes `require "NAME"` work in every state, and
 * lets a Go declaration of tier C name one of the library's functions as "NAME.function".
 */
#include "mg.h"
#include "regex_ngx.h"

const mg_cfunc mg_cfuncs[] = {
    {"mg.re", mg_open_ngx_re},
    {"ngx.re", mg_open_ngx_re_module},
    {NULL, NULL},
};
