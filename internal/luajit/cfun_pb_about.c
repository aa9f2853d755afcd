/* cfun_pb_about.c: what the module pb tells of types, and what it keeps for them: defaults and hooks. */

#include "cfun_pb.h"

static int push_type(lua_State *L, const pb_type *t)
{
    static const char *const kinds[] = {"", "message", "map", "enum"};

    lua_pushstring(L, t->name);
    lua_pushstring(L, t->basename);
    lua_pushstring(L, kinds[t->kind]);
    return 3;
}

int pb_about_type(lua_State *L)
{
    pb_call  c = pb_enter(L);
    pb_type *t = pb_type_arg(L, c.st, 1, c.names);

    return t != NULL ? push_type(L, t) : 0;
}

static int types_next(lua_State *L)
{
    pb_call  c;
    pb_type *t;
    size_t   n;

    lua_settop(L, 2);
    c = pb_enter(L);
    if (lua_isnil(L, 2)) {
        t = c.st->first;
    } else {
        const char *s = luaL_checklstring(L, 2, &n);

        t = pb_find(c.st, s, n);
        t = t != NULL ? t->next : NULL;
    }
    while (t != NULL && t->kind == PB_UNKNOWN) {
        t = t->next;
    }
    return t != NULL ? push_type(L, t) : 0;
}

int pb_about_types(lua_State *L)
{
    pb_push_function(L, types_next, lua_upvalueindex(1));
    return 1;
}

static int push_field(lua_State *L, pb_type *t, pb_field *f)
{
    lua_pushstring(L, f->name);
    lua_pushinteger(L, f->number);
    lua_pushstring(L, f->sub != NULL ? f->sub->name : pb_type_name(f->type));
    lua_pushstring(L, f->def);
    lua_pushstring(L, f->repeated ? f->packed ? "packed" : "repeated" : "optional");
    if (f->oneof < 0) {
        return 5;
    }
    lua_pushstring(L, t->oneofs[f->oneof]);
    lua_pushinteger(L, f->oneof);
    return 7;
}

int pb_about_field(lua_State *L)
{
    pb_call   c;
    pb_type  *t;
    pb_field *f;

    lua_settop(L, 2);
    c = pb_enter(L);
    t = pb_type_arg(L, c.st, 1, c.names);
    f = pb_field_arg(L, t, 2);
    return f != NULL ? push_field(L, t, f) : 0;
}

static int push_enum_value(lua_State *L, pb_value *v)
{
    lua_pushstring(L, v->name);
    lua_pushinteger(L, v->number);
    return 2;
}

static int fields_next(lua_State *L)
{
    pb_call  c;
    pb_type *t;
    int      i = -1;

    lua_settop(L, 2);
    c = pb_enter(L);
    t = pb_type_arg(L, c.st, 1, c.names);
    if (t == NULL) {
        return 0;
    }
    if (!lua_isnil(L, 2)) {
        luaL_checkstring(L, 2);
        i = pb_index_of(t, lua_topointer(L, 2));
        if (i < 0) {
            return 0;
        }
    }
    i++;
    if (t->kind == PB_IS_ENUM) {
        return i < t->nvalues ? push_enum_value(L, &t->values[i]) : 0;
    }
    return i < t->nfields ? push_field(L, t, &t->fields[i]) : 0;
}

int pb_about_fields(lua_State *L)
{
    lua_settop(L, 1);
    pb_push_function(L, fields_next, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

int pb_about_enum(lua_State *L)
{
    pb_call   c;
    pb_type  *t;
    pb_value *v;
    int       i;

    lua_settop(L, 2);
    c = pb_enter(L);
    t = pb_type_arg(L, c.st, 1, c.names);
    if (t == NULL || t->kind != PB_IS_ENUM) {
        return 0;
    }

    if (lua_type(L, 2) == LUA_TNUMBER) {
        v = pb_value_of(t, (int32_t) lua_tointeger(L, 2));
        if (v == NULL) {
            return 0;
        }
        lua_pushstring(L, v->name);
        return 1;
    }

    luaL_checkstring(L, 2);
    i = pb_index_of(t, lua_topointer(L, 2));
    if (i < 0) {
        return 0;
    }
    lua_pushinteger(L, t->values[i].number);
    return 1;
}

int pb_about_typefmt(lua_State *L)
{
    pb_call     c = pb_enter(L);
    size_t      n;
    const char *s = luaL_checklstring(L, 1, &n);

    return pb_typefmt(L, s, n, pb_type_arg(L, c.st, 1, c.names) != NULL);
}

/* pb.defaults(type [, table or nil]): the table of defaults, or the one before. */
int pb_about_defaults(lua_State *L)
{
    int         top = lua_gettop(L), id;
    pb_call     c = pb_enter(L);
    const char *s = luaL_checkstring(L, 1);
    pb_type    *t = NULL;
    int         on = top < 2 || lua_toboolean(L, 2);

    if (*s == '*' && (s[1] | 32) == 'a') {
        id = PB_ID_ARRAY;
        c.st->array_meta = (uint8_t) on;
    } else if (*s == '*' && (s[1] | 32) == 'm') {
        id = PB_ID_MAP;
        c.st->map_meta = (uint8_t) on;
    } else {
        t = pb_type_arg(L, c.st, 1, c.names);
        if (t == NULL) {
            return luaL_argerror(L, 1, "type not found");
        }
        id = t->id;
    }

    if (top < 2) {
        if (t != NULL) {
            pb_push_defaults(L, c.st, t, c.names);
        } else if (!pb_push_kept(L, c.names, PB_KEY_DEFAULTS, id)) {
            lua_newtable(L);
            lua_pushvalue(L, -1);
            lua_setfield(L, -2, "__index");
            lua_pushvalue(L, -1);
            pb_keep(L, c.names, PB_KEY_DEFAULTS, id);
        }
        return 1;
    }

    if (!pb_push_kept(L, c.names, PB_KEY_DEFAULTS, id)) {
        lua_pushnil(L);
    }
    if (on) {
        luaL_checktype(L, 2, LUA_TTABLE);
    }
    lua_pushvalue(L, 2);
    if (!on) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    pb_keep(L, c.names, PB_KEY_DEFAULTS, id);
    return 1;
}

static int set_hook(lua_State *L, int key)
{
    int      top = lua_gettop(L);
    pb_call  c = pb_enter(L);
    pb_type *t = pb_type_arg(L, c.st, 1, c.names);

    if (t == NULL) {
        return luaL_argerror(L, 1, "type not found");
    }
    if (top >= 2 && !lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TFUNCTION);
    }

    if (!pb_push_kept(L, c.names, key, t->id)) {
        lua_pushnil(L);
    }
    if (top >= 2) {
        lua_pushvalue(L, 2);
        pb_keep(L, c.names, key, t->id);
    }
    return 1;
}

int pb_about_hook(lua_State *L)
{
    return set_hook(L, PB_KEY_DECODE_HOOKS);
}

int pb_about_encode_hook(lua_State *L)
{
    return set_hook(L, PB_KEY_ENCODE_HOOKS);
}
