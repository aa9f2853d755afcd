/*
 * mg_wire.h: the form in which values travel between Go and Lua in one piece.
 *
 * A value is a tag byte and its payload, little endian and unaligned. A table is MG_W_TABLE narr:u32 nrec:u32, entries,
 * MG_W_END; an entry is a value (appended), MG_W_KEY key value, or MG_W_MULTI key value (a key met again becomes an
 * array of its values). In tables written for Go nrec is the size of the entries with MG_W_END. wire.go has the same
 * numbers.
 */
#ifndef MG_WIRE_H
#define MG_WIRE_H

enum {
    MG_W_NIL = 0,
    MG_W_FALSE,
    MG_W_TRUE,
    MG_W_NUM,    /* f64 */
    MG_W_INT,    /* i64, becomes a number */
    MG_W_STR,    /* u32 length, bytes */
    MG_W_TABLE,
    MG_W_END,
    MG_W_KEY,
    MG_W_MULTI,
    MG_W_LIGHT,  /* u64 address */
    MG_W_REF,    /* u32 registry reference */
    MG_W_FUNC,   /* u32 index of a declared function */
    MG_W_OBJECT, /* u32 class, u32 handle */
    MG_W_ARG,    /* u32 stack index of the caller's argument */
    MG_W_OPAQUE, /* u8 Lua type: only from Lua to Go */
    MG_W_BULK,   /* u8 MG_B_*, i32 limit, u32 stack index, u32 length, bytes: one table, and "truncated" */
    MG_W_MOVE,   /* u64 lua_State, u32 count: the values at its top, only as results */
    MG_W_LAST,
};

/* What the bytes of MG_W_BULK are. */
enum {
    MG_B_ARGS = 0,    /* a query string */
    MG_B_POST_ARGS,   /* the same, counted as a posted body is */
    MG_B_FILL_ARGS,   /* the same as MG_B_ARGS, into the table at the stack index */
    MG_B_HEADERS,     /* headers as mg_push_headers takes them */
    MG_B_RAW_HEADERS, /* the same, with their own spelling */
};

#endif
