/*
 * mg_cfuncs.c: the single list of built-in C libraries. Each line makes `require "NAME"` work in every state, and
 * lets a Go declaration of tier C name one of the library's functions as "NAME.function".
 */
#include "mg.h"

const mg_cfunc mg_cfuncs[] = {
    {NULL, NULL},
};
