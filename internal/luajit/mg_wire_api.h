/* mg_wire_api.h: what wire.go calls. */
#ifndef MG_WIRE_API_H
#define MG_WIRE_API_H

#include "mg_vm.h"

enum { MG_PACK_OK = 0, MG_PACK_DEPTH, MG_PACK_SIZE, MG_PACK_MEMORY };

int mg_pack_table(mg_vm *vm, lua_State *L, int idx, int max);

#endif
