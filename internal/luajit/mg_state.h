/* mg_state.h: plain states (see state.go). */
#ifndef MG_STATE_H
#define MG_STATE_H

#include "mg.h"

lua_State *mg_state_new(void);
int mg_state_do(lua_State *L, const char *code, size_t len, const char *chunk);

#endif
