/* regex_log.h: see regex_log.c. */
#ifndef MG_REGEX_LOG_H
#define MG_REGEX_LOG_H

#include "regex_ngx.h"

/* handle 0 ends the messages. */
void mg_re_set_go_log(lua_State *L, uintptr_t handle, int max_level);

#endif
