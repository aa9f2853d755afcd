/*
 * mg_stall.c: the stack of Lua code that does not yield.
 *
 * mg_resume counts the turns of a VM. A watchman, on any thread, sees that a turn lasts, and sends a signal to the thread
 * which runs it; the handler sets a hook, as Lua's own interpreter does for Ctrl-C. Lua calls the hook at its next
 * instruction (compiled loops look for hooks, see build/luajit) and the hook calls Go with the stack. Unless a turn lasts
 * nothing of this happens: the cost is two stores per turn.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mg_vm.h"
#include "mg_vm_api.h"

#define MG_SIGNAL (SIGRTMAX - 3)

static __thread mg_vm *mg_running; /* by this thread */
static __thread int    mg_tid;

void mg_stall_enter(mg_vm *vm)
{
    if (mg_unlikely(mg_tid == 0)) {
        mg_tid = (int) syscall(SYS_gettid);
    }

    mg_running = vm;
    vm->tid = mg_tid;
    __atomic_store_n(&vm->turn, vm->turn + 1, __ATOMIC_RELEASE);
}

void mg_stall_leave(mg_vm *vm)
{
    mg_running = NULL;
    __atomic_store_n(&vm->turn, vm->turn + 1, __ATOMIC_RELEASE);
}

/* The VM whose Lua called the C function that asks, by its slot; -1 when none did. */
int32_t mg_running_slot(void)
{
    return mg_running != NULL ? mg_running->slot : -1;
}

/* Its clock; NULL, which means the system's, on a thread that runs none. */
const int64_t *mg_running_clock(void)
{
    return mg_running != NULL ? mg_running->clock : NULL;
}

static void mg_stall_hook(lua_State *L, lua_Debug *ar)
{
    mg_vm *vm = mg_running;
    mg_val arg = {.type = LUA_TSTRING};

    (void) ar;
    lua_sethook(L, NULL, 0, 0);

    if (vm == NULL || vm->poke != vm->turn) {
        return; /* set too late: this is another turn */
    }

    vm->poke = 0;
    mg_stack(vm, L);
    arg.ptr = vm->trace.p;
    arg.len = vm->trace.len;
    mg_call_host(vm, L, vm->stalled, &arg, 1);
}

static void mg_stall_signal(int sig)
{
    mg_vm *vm = mg_running;
    int    err = errno;

    (void) sig;
    if (vm != NULL && vm->poke == vm->turn && lua_gethook(vm->L) == NULL) {
        lua_sethook(vm->L, mg_stall_hook, LUA_MASKCOUNT, 1);
    }

    errno = err;
}

/* Prepares for mg_stall_poke; index is the function that is told. */
void mg_stall_open(mg_vm *vm, int index)
{
    struct sigaction sa;

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = mg_stall_signal;
    sa.sa_flags = SA_ONSTACK | SA_RESTART;
    sigfillset(&sa.sa_mask);
    sigaction(MG_SIGNAL, &sa, NULL);
    vm->stalled = index;
}

/* The turn under way, 0 when Lua does not run. Callable from any thread. */
uint64_t mg_stall_turn(const mg_vm *vm)
{
    uint64_t turn = __atomic_load_n(&vm->turn, __ATOMIC_ACQUIRE);

    return turn & 1 ? turn : 0;
}

/* Has the stack of a turn reported, if it lasts still. Callable from any thread. */
void mg_stall_poke(mg_vm *vm, uint64_t turn)
{
    vm->poke = turn;
    syscall(SYS_tgkill, getpid(), vm->tid, MG_SIGNAL);
}
