/* mg_state.h: plain states (see state.go). */
#ifndef MG_STATE_H
#define MG_STATE_H

#include "mg.h"

lua_State *mg_state_new(void);
void mg_state_preload(lua_State *L, const char *name, lua_CFunction open);
lua_CFunction mg_cfunc_find(const char *name);
int mg_state_do(lua_State *L, const char *code, size_t len, const char *chunk);

#endif
