/* cfun_pb_defaults.c: what decoded messages have of fields that were not sent. */
#include <stdlib.h>
#include <string.h>

#include "cfun_pb.h"

/* Pushes the default of a field that is no message and not repeated; 0: it has none. */
int pb_push_default(lua_State *L, pb_state *st, pb_field *f, int proto3, int names)
{
    char *end;

    if (f->def == NULL && !proto3) {
        return 0;
    }

    switch (f->type) {
    case PB_ENUM: {
        pb_value *v = NULL;

        if (f->sub->kind != PB_IS_ENUM) {
            return 0;
        }
        if (!f->sub->sealed) {
            pb_seal(L, st, f->sub, names);
        }
        if (f->def == NULL) {
            v = pb_value_of(f->sub, 0);
        } else {
            for (int i = 0; i < f->sub->nvalues && v == NULL; i++) {
                if (strcmp(f->sub->values[i].name, f->def) == 0) {
                    v = &f->sub->values[i];
                }
            }
        }
        if (v != NULL && !st->enum_as_value) {
            lua_rawgeti(L, names, v->name_ref);
        } else if (v != NULL || f->def == NULL) {
            lua_pushinteger(L, v != NULL ? v->number : 0);
        } else {
            return 0;
        }
        return 1;
    }

    case PB_BOOL:
        lua_pushboolean(L, f->def != NULL && strcmp(f->def, "true") == 0);
        return 1;

    case PB_STRING:
    case PB_BYTES:
        lua_pushstring(L, f->def != NULL ? f->def : "");
        return 1;

    case PB_DOUBLE:
    case PB_FLOAT:
        lua_pushnumber(L, f->def != NULL ? strtod(f->def, &end) : 0);
        return 1;

    case PB_UINT64:
    case PB_FIXED64:
        pb_push_integer(L, f->def != NULL ? (int64_t) strtoull(f->def, &end, 10) : 0, 1, st->int64_mode);
        return 1;
    }

    pb_push_integer(L, f->def != NULL ? (int64_t) strtoll(f->def, &end, 10) : 0, 0, st->int64_mode);
    return 1;
}

void pb_mark_table(lua_State *L, pb_state *st, int names, int map)
{
    if (!(map ? st->map_meta : st->array_meta)) {
        return;
    }
    if (pb_push_kept(L, names, PB_KEY_DEFAULTS, map ? PB_ID_MAP : PB_ID_ARRAY)) {
        lua_setmetatable(L, -2);
    }
}

/*
 * Pushes what a field has that was not sent, in a message with default values; 0: nothing. values: of plain fields too.
 */
static int push_absent(lua_State *L, pb_state *st, pb_type *t, pb_field *f, int names, int values, int depth)
{
    if (f->repeated) {
        if (!t->proto3 && !st->default_array) {
            return 0;
        }
        lua_createtable(L, 0, 0);
        pb_mark_table(L, st, names, pb_is_map(f));
        return 1;
    }
    if (f->oneof >= 0 || f->optional) {
        return 0;
    }
    if (pb_is_message(f)) {
        if (!st->default_message || depth >= 8 || f->sub->kind != PB_IS_MESSAGE) {
            return 0;
        }
        pb_push_default_message(L, st, f->sub, names, depth + 1);
        return 1;
    }
    return values && pb_push_default(L, st, f, t->proto3, names);
}

static int defaults_of(pb_state *st, pb_type *t)
{
    if (st->defaults == PB_DEFAULTS_AUTO) {
        return t->proto3 ? PB_DEFAULTS_COPY : PB_DEFAULTS_NONE;
    }
    return st->defaults;
}

void pb_push_defaults(lua_State *L, pb_state *st, pb_type *t, int names)
{
    if (pb_push_kept(L, names, PB_KEY_DEFAULTS, t->id)) {
        return;
    }

    pb_seal(L, st, t, names);
    lua_createtable(L, 0, t->nfields + 1);
    for (int i = 0; i < t->nfields; i++) {
        pb_field *f = &t->fields[i];

        if (!f->repeated && !pb_is_message(f) && f->oneof < 0 && !f->optional
            && pb_push_default(L, st, f, t->proto3, names)) {
            lua_rawgeti(L, names, f->name_ref);
            lua_insert(L, -2);
            lua_rawset(L, -3);
        }
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");

    lua_rawgeti(L, names, PB_KEY_DEFAULTS);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 4);
        lua_pushvalue(L, -1);
        lua_rawseti(L, names, PB_KEY_DEFAULTS);
    }
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, t->id);
    lua_pop(L, 1);
}

/* Gives the message table on top of the stack what the fields have that were not seen. */
void pb_fill_absent(lua_State *L, pb_state *st, pb_type *t, int names, uint64_t seen, int depth)
{
    int mode = defaults_of(st, t), tab = lua_gettop(L);

    if (mode == PB_DEFAULTS_NONE && !st->default_array && !st->default_message) {
        return;
    }

    for (int i = 0; i < t->nfields; i++) {
        pb_field *f = &t->fields[i];

        if (i < 64 && seen >> i & 1) {
            continue;
        }
        lua_rawgeti(L, names, f->name_ref);
        if (i >= 64) {
            int there;

            lua_pushvalue(L, -1);
            lua_rawget(L, tab);
            there = !lua_isnil(L, -1);
            lua_pop(L, 1);
            if (there) {
                lua_pop(L, 1);
                continue;
            }
        }
        if (push_absent(L, st, t, f, names, mode == PB_DEFAULTS_COPY, depth)) {
            lua_rawset(L, tab);
        } else {
            lua_pop(L, 1);
        }
    }

    if (mode == PB_DEFAULTS_META) {
        pb_push_defaults(L, st, t, names);
        lua_setmetatable(L, tab);
    }
}

void pb_push_default_message(lua_State *L, pb_state *st, pb_type *t, int names, int depth)
{
    luaL_checkstack(L, 8, "too many levels");
    pb_seal(L, st, t, names);
    lua_createtable(L, 0, t->nfields);
    pb_fill_absent(L, st, t, names, 0, depth);
}
