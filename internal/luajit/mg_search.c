/*
 * mg_search.c: looking for modules that are not there.
 *
 * A program which asks for an optional module with pcall(require, ...) at each request makes Lua try every place of
 * package.path and package.cpath each time, some of them twice. These loaders stand before Lua's own: they look without
 * making a Lua string of each name, and never twice for the same file. What they find, Lua's own loaders load.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mg_vm.h"

#define MG_TRIED 24 /* names remembered within one search */

/* The message about what was tried; what does not fit is left to Lua's own loader. */
typedef struct {
    size_t len;
    char   p[8192];
} mg_places;

typedef struct {
    size_t at, len;
} mg_tried;

static int mg_put(mg_places *b, const char *p, size_t n)
{
    if (sizeof(b->p) - b->len < n) {
        return 0;
    }

    memcpy(b->p + b->len, p, n);
    b->len += n;
    return 1;
}

/* Appends the template with each '?' replaced by name, whose dots become slashes, and a null byte. */
static int mg_put_template(mg_places *b, const char *t, size_t n, const char *name, size_t namelen)
{
    for (const char *end = t + n; t < end; ) {
        const char *mark = memchr(t, '?', (size_t) (end - t));

        if (!mg_put(b, t, (size_t) ((mark != NULL ? mark : end) - t))) {
            return 0;
        }
        if (mark == NULL) {
            break;
        }
        if (!mg_put(b, name, namelen)) {
            return 0;
        }
        for (char *p = b->p + b->len - namelen; p < b->p + b->len; p++) {
            if (*p == '.') {
                *p = '/';
            }
        }
        t = mark + 1;
    }

    return mg_put(b, "", 1);
}

static int mg_readable(const char *name)
{
    int fd;

    do {
        fd = open(name, O_RDONLY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);

    if (fd >= 0) {
        close(fd);
    }

    return fd >= 0;
}

/* Says whether none of the places of the path has the module; b is the message then. */
static int mg_nowhere(mg_places *b, const char *path, const char *name, size_t namelen)
{
    mg_tried tried[MG_TRIED];
    int      n = 0;

    for (b->len = 0; *path != '\0'; path += *path == ';') {
        size_t len = strcspn(path, ";"), at;
        int    again = 0;

        if (len == 0) {
            continue;
        }
        if (!mg_put(b, "\n\tno file '", 11)) {
            return 0;
        }

        at = b->len;
        if (!mg_put_template(b, path, len, name, namelen)) {
            return 0;
        }

        for (int i = 0; i < n && !again; i++) {
            again = tried[i].len == b->len - at && memcmp(b->p + tried[i].at, b->p + at, tried[i].len - 1) == 0;
        }
        if (!again) {
            if (mg_readable(b->p + at)) {
                return 0;
            }
            if (n < MG_TRIED) {
                tried[n++] = (mg_tried) {at, b->len - at};
            }
        }

        b->p[b->len - 1] = '\'';
        path += len;
    }

    return 1;
}

/* Upvalues: the package table, the name of its field, Lua's own loader, whether that is the one for all-in-one libraries. */
static int mg_loader(lua_State *L)
{
    size_t      n;
    const char *name = luaL_checklstring(L, 1, &n), *path;
    mg_places   b;

    if (lua_toboolean(L, lua_upvalueindex(4))) {
        if (memchr(name, '.', n) == NULL) {
            return 0; /* is a root itself */
        }
        n = strcspn(name, ".");
    }

    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_gettable(L, lua_upvalueindex(1));
    path = lua_tostring(L, 2);

    if (path != NULL && mg_nowhere(&b, path, name, n)) {
        lua_pushlstring(L, b.p, b.len);
        return 1;
    }

    lua_pushvalue(L, lua_upvalueindex(3));
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

/* Puts the loaders in the places of Lua's own. */
void mg_search_open(lua_State *L)
{
    static const char *const fields[] = {"path", "cpath", "cpath"};

    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaders");

    for (int i = 0; lua_istable(L, -1) && i < 3; i++) {
        lua_pushvalue(L, -2);
        lua_pushstring(L, fields[i]);
        lua_rawgeti(L, -3, i + 2);
        lua_pushboolean(L, i == 2);
        lua_pushcclosure(L, mg_loader, 4);
        lua_rawseti(L, -2, i + 2);
    }

    lua_pop(L, 2);
}
