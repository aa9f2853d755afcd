/* mg_trace.c: the error message and the stack traceback of a failed coroutine, in OpenResty's layout or in Lua's. */
#include <stdio.h>
#include <string.h>

#include "mg_vm.h"

#define MG_TRACE_DEPTH 22
#define MG_TRACE_COROUTINES 5
#define MG_PLAIN_TOP 12
#define MG_PLAIN_BOTTOM 10

static void mg_add(mg_vm *vm, const char *s)
{
    mg_bytes_add(&vm->trace, s, strlen(s));
}

/* Says whether the frame is of the code around a function that waits for the host. */
static int mg_is_stub(const lua_Debug *ar)
{
    return strcmp(ar->short_src, "ngx") == 0 && strcmp(ar->what, "Lua") == 0;
}

static void mg_add_frame(mg_vm *vm, lua_State *co, lua_Debug *ar)
{
    char line[32];

    lua_getinfo(co, "Snl", ar);
    mg_add(vm, "\n\t");

    if (mg_is_stub(ar)) { /* stands for a function of the host */
        mg_add(vm, "[C]:");
        mg_add(vm, *ar->namewhat != '\0' ? " in function '" : " ?");
        if (*ar->namewhat != '\0') {
            mg_add(vm, ar->name);
            mg_add(vm, "'");
        }
        return;
    }

    mg_add(vm, ar->short_src);
    mg_add(vm, ":");

    if (ar->currentline > 0) {
        snprintf(line, sizeof(line), "%d:", ar->currentline);
        mg_add(vm, line);
    }

    if (*ar->namewhat != '\0') {
        mg_add(vm, " in function '");
        mg_add(vm, ar->name);
        mg_add(vm, "'");

    } else if (*ar->what == 'm') {
        mg_add(vm, " in main chunk");

    } else if (*ar->what == 'C' || *ar->what == 't') {
        mg_add(vm, " ?");

    } else {
        snprintf(line, sizeof(line), ":%d>", ar->linedefined);
        mg_add(vm, " in function <");
        mg_add(vm, ar->short_src);
        mg_add(vm, line);
    }
}

static void mg_add_coroutine(mg_vm *vm, lua_State *co, int id)
{
    char      head[32];
    lua_Debug ar;
    int       level = 0;

    snprintf(head, sizeof(head), "\ncoroutine %d:", id);
    mg_add(vm, head);

    if (lua_getstack(co, 1, &ar) && lua_getinfo(co, "S", &ar) && mg_is_stub(&ar)) {
        level = 1; /* it waits: the function that yields is nobody's */
    }

    while (lua_getstack(co, level++, &ar)) {
        if (level > MG_TRACE_DEPTH) {
            mg_add(vm, "\n\t...");
            return;
        }
        mg_add_frame(vm, co, &ar);
    }
}

/* The child's traceback comes first: it is where the error was raised. The first coroutine gets the number id. */
static int mg_add_chain(mg_vm *vm, lua_State *co, int depth, int id)
{
    lua_State *child = depth < 200 ? mg_wrap_child(co) : NULL;

    if (child != NULL) {
        id = mg_add_chain(vm, child, depth + 1, id);
    }

    if (id < MG_TRACE_COROUTINES) {
        mg_add_coroutine(vm, co, id);
    }

    return id + 1;
}

static void mg_add_plain(mg_vm *vm, lua_State *co)
{
    lua_Debug ar;
    int       depth = 0;

    while (lua_getstack(co, depth, &ar)) {
        depth++;
    }

    for (int level = 0; level < depth; level++) {
        if (level == MG_PLAIN_TOP && depth > MG_PLAIN_TOP + MG_PLAIN_BOTTOM) {
            mg_add(vm, "\n\t...");
            level = depth - MG_PLAIN_BOTTOM;
        }
        lua_getstack(co, level, &ar);
        mg_add_frame(vm, co, &ar);
    }
}

/* Fills vm->msg from the error at the top of co and vm->trace; layers: one block per coroutine, as OpenResty does. */
void mg_trace(mg_vm *vm, lua_State *co, int layers)
{
    size_t      n;
    const char *s;

    if (lua_isstring(co, -1)) {
        s = lua_tolstring(co, -1, &n);
    } else {
        s = "unknown reason";
        n = strlen(s);
    }

    mg_vm_setmsg(vm, s, n);
    vm->trace.len = 0;
    mg_add(vm, "stack traceback:");

    if (layers) {
        vm->traced = mg_add_chain(vm, co, 0, 0);
    } else {
        mg_add_plain(vm, co);
    }
}

/* Appends the coroutines of co, which began the one that mg_trace was last called for. */
void mg_trace_parent(mg_vm *vm, lua_State *co)
{
    vm->traced = mg_add_chain(vm, co, 0, vm->traced);
}

/* The stack of running code, in vm->trace: of the coroutine, and of the one that the host has resumed. */
void mg_stack(mg_vm *vm, lua_State *co)
{
    vm->trace.len = 0;
    mg_add(vm, "stack traceback:");
    mg_add_coroutine(vm, co, 0);

    if (vm->cur != NULL && vm->cur->co != co) {
        mg_add_coroutine(vm, vm->cur->co, 1);
    }
}
