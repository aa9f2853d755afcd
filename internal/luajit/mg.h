/*
 * mg.h: what the C files of this package share.
 *
 * Every symbol carries the prefix mg_. C code never keeps Go pointers; it knows slots, indexes and Lua states.
 * A Lua error (longjmp) may only cross C frames: never call into Lua unprotected from a function which Go calls.
 */
#ifndef MG_H
#define MG_H

#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>
#include <stddef.h>
#include <stdint.h>

/* A built-in C library: open returns one table on the stack (it is a lua_CFunction). */
typedef struct {
    const char    *name;
    lua_CFunction  open;
} mg_cfunc;

/* The list of built-in C libraries, ended by a NULL name (mg_cfuncs.c). */
extern const mg_cfunc mg_cfuncs[];

/* Opens "ffi"; what ffi.C finds then, mg_ffi.c says. */
int mg_open_ffi(lua_State *L);

#endif
