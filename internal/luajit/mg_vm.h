/*
 * mg_vm.h: a worker's Lua VM as C sees it. One goroutine uses a VM at a time.
 *
 * Ownership: mg_vm, mg_thread, mg_ctx and the function table are malloc'd here and freed with the VM. The bytes which
 * carry results from Go to Lua are C memory owned by the Go side (see Buffer in vm.go) and live until they are decoded.
 */
#ifndef MG_VM_H
#define MG_VM_H

#include "mg.h"

/* A value handed to Go without a crossing. Strings point into Lua and live as long as the call; luajit.Val mirrors it. */
typedef struct {
    uint32_t    type; /* LUA_T*, or LUA_TNONE as 0xffffffff */
    int32_t     aux;  /* stack index; the handle of an object */
    double      num;  /* number, or 1/0 for a boolean */
    const char *ptr;  /* string bytes, or the address of anything else */
    size_t      len;
} mg_val;

/* Growing memory. */
typedef struct {
    char  *p;
    size_t len, cap;
} mg_bytes;

/* How a call into Go, or an operation, ended. */
enum {
    MG_OK = 0,
    MG_ERR,    /* res is a message: raised with the caller's position */
    MG_ERRARG, /* res is a message about argument number arg */
    MG_ERRRAW, /* res is one encoded value: raised as it is */
    MG_ERRTEXT, /* res is a message: raised as it is */
};

typedef struct {
    int32_t        kind;
    int32_t        arg;
    const uint8_t *res;
    size_t         len;
} mg_result;

/* One call of Go: lives on the C stack; luajit.Frame mirrors it. */
typedef struct {
    lua_State *L;
    mg_val    *args;
    int32_t    index; /* of the function */
    int32_t    nargs;
    mg_result  r; /* written by Go */
} mg_call;

struct mg_vm;

/* A declared function: the upvalue of its closure. */
typedef struct {
    struct mg_vm  *vm;
    int32_t        index;
    uint32_t       mask;    /* phases where it may be called */
    uint8_t        output;  /* MG_OUT_* */
    uint8_t        nsig;    /* parameters described by sig */
    const uint8_t *sig;     /* 2 bytes each: type letter, flags (1: optional) or class number */
    const char    *noreq;   /* error text in phases without a request */
    const char    *hint;    /* what the error text of other phases adds: where the function works */
} mg_func;

/* What all runs of one request share. */
typedef struct {
    void   *exdata;
    int32_t ref; /* registry reference of the ngx.ctx table, LUA_NOREF until it is used */
} mg_ctx;

/* An entry coroutine and what runs in it. */
typedef struct mg_thread {
    struct mg_vm *vm;
    lua_State    *co;  /* the entry coroutine, anchored by ref */
    lua_State    *cur; /* the coroutine to resume: co or a descendant waiting for the host */
    mg_ctx       *ctx;
    mg_val       *args; /* of the operation, or the results when done */
    int32_t       nargs, cap;
    int32_t       ref;
    int32_t       fn; /* registry reference of the function to start */
    int32_t       op; /* index of the function waiting for the host */
    uint32_t      phase;
    int32_t       state;
    int32_t       nstart; /* values already moved to co as arguments of fn */
    mg_result     r;      /* the outcome of the operation, set by Go before the next resume */
} mg_thread;

enum { MG_OUT_NONE = 0, MG_OUT_PRINT, MG_OUT_SAY, MG_OUT_LOG, MG_OUT_LOGPRINT }; /* mg_func.output */
enum { MG_LEVEL_NOTICE = 6, MG_LEVEL_DEBUG = 8 };
enum { MG_IDLE = 0, MG_PARKED, MG_YIELDED, MG_DONE, MG_FAILED }; /* mg_thread.state */
enum { MG_RET_DONE = 0, MG_RET_OP, MG_RET_ERROR, MG_RET_YIELD }; /* of mg_resume */
enum { MG_CTX = -2 };                                         /* property index of ngx.ctx */

typedef struct mg_vm {
    lua_State *L;
    int32_t    slot;
    uint32_t   phase;     /* bit of the running handler */
    uint32_t   yieldable; /* phases which may wait for the host */
    uint32_t   norequest; /* phases without a request */
    uint32_t   plainco;   /* phases whose coroutines are plain Lua ones */
    uint32_t   noguard;   /* phases which may write globals silently */
    int32_t    op;        /* operation being yielded to the host, -1 when none */
    int32_t    blocked;   /* C calls between the running coroutine and the host */
    int32_t    depth;     /* coroutines resumed natively inside each other */
    lua_State *op_co;
    mg_thread *cur;
    int32_t    decoding; /* results are being read: their memory is in use */
    uint64_t   turn;     /* counted up when Lua begins to run, and when it ends: odd meanwhile */
    uint64_t   poke;     /* the turn whose stack is wanted */
    int32_t    tid;      /* the thread which runs it */
    int32_t    stalled;  /* function index told about it */
    int32_t    inside;   /* calls of Go from Lua under way: what they run may not wait */
    int32_t    strayed;  /* another coroutine than the caller's has run since Lua called Go: see mg_back */
    char       text[512]; /* of an error found in C */
    mg_result  fin; /* what mg_async_finish makes of the operation */

    int32_t    log_level; /* the highest level which is logged */
    int32_t    out_fast; /* say and print append to out */
    mg_bytes   out;
    mg_bytes   msg, trace; /* of the last error, for Go to copy */
    int        traced;     /* coroutines in trace */
    mg_bytes   pack;       /* scratch of mg_pack_table and mg_concat */

    uint32_t  *freed; /* handles of collected objects */
    int32_t    freed_n, freed_cap;

    mg_func   *funcs;
    int32_t    nfuncs;
    void      *job;          /* argument of the protected function running on L */
    int32_t    guard;        /* function index told about global writes, -1 none */
    int32_t    ref_funcs;    /* closures by index + 1 */
    int32_t    ref_classes;  /* metatables by class number and by name */
    int32_t    ref_getters, ref_setters; /* property name -> function index */
    const char *const *phases; /* names by bit number, 32 entries */
    lua_Alloc  alloc; /* LuaJIT's allocator, below mg_vm_limit's */
    void      *alloc_ud;
    size_t     mem_max, mem_used;
    mg_val    *views;
    int32_t    nviews;
    const int64_t *clock; /* the worker's cached time in nanoseconds since the epoch; NULL: ask the system */
} mg_vm;

/* Stack slots of the main state: functions to run there protected, made once. */
enum { MG_SLOT_PACK = 1, MG_SLOT_CONCAT, MG_SLOT_REF, MG_SLOT_ARGS, MG_SLOT_GC, MG_SLOT_BACK, MG_SLOTS = MG_SLOT_BACK };

/* mg_vm.c */
mg_vm *mg_vm_new(int slot, int nfuncs, int nviews);
void mg_vm_close(mg_vm *vm);
mg_vm *mg_vm_of(lua_State *L);
void mg_vm_setmsg(mg_vm *vm, const char *s, size_t len);
int mg_bytes_add(mg_bytes *b, const void *p, size_t n);

/* mg_call.c */
int mg_sync(lua_State *L);
int mg_sync_call(lua_State *L, mg_func *f);
int mg_ctx_get(lua_State *L, mg_vm *vm);
int mg_ctx_set(lua_State *L, mg_vm *vm);
int mg_ref_protected(lua_State *main);
int mg_args_protected(lua_State *main);
int mg_gc_protected(lua_State *main);
int mg_back_protected(lua_State *main);
void mg_back(mg_vm *vm, lua_State *L);
int mg_async(lua_State *L);
int mg_async_finish(lua_State *L);
int mg_view(lua_State *L);
void mg_call_host(mg_vm *vm, lua_State *L, int index, mg_val *args, int n);
void mg_pack(mg_vm *vm, lua_State *L, int first, int n, mg_val *out);
const char *mg_phase_name(const mg_vm *vm, uint32_t bit);

/* mg_wire.c */
int mg_decode(lua_State *L, mg_vm *vm, const uint8_t *p, size_t len);
int mg_pack_protected(lua_State *main);

/* mg_out.c */
int mg_concat(lua_State *L, int first, int n, mg_bytes *b, char *why, size_t whycap);
int mg_payload(lua_State *L, int idx, mg_bytes *b, char *why, size_t whycap);
int mg_concat_protected(lua_State *main);
int mg_log_args(lua_State *L, int first, char *why, size_t cap);
int mg_log_prefix(lua_State *L, mg_bytes *b);

/* mg_coro.c */
void mg_coro_open(lua_State *L, mg_vm *vm);
lua_State *mg_wrap_child(lua_State *L);
void mg_thread_link(lua_State *L, lua_State *parent, unsigned flags);

/* mg_stall.c */
void mg_stall_enter(mg_vm *vm);
void mg_stall_leave(mg_vm *vm);
int32_t mg_running_slot(void);
const int64_t *mg_running_clock(void);

/* mg_search.c */
void mg_search_open(lua_State *L);

/* mg_trace.c */
void mg_trace(mg_vm *vm, lua_State *co, int layers);
void mg_trace_parent(mg_vm *vm, lua_State *co);
void mg_stack(mg_vm *vm, lua_State *co);

/* Go */
extern int32_t mg_go_call(int32_t slot, mg_call *c);

#define mg_unlikely(x) __builtin_expect(!!(x), 0)

#endif
