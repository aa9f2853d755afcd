/* cfun_pb_wire.c: reading and writing the wire format, as far as it is not inline, and the types of the wire. */
#include <stdlib.h>
#include <string.h>

#include "cfun_pb.h"

const uint8_t *pb_varint_slow(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
    uint64_t x = 0;

    for (int shift = 0; shift < 70; shift += 7) {
        if (p >= end) {
            return NULL;
        }
        if (shift == 63 && *p > 1) {
            return NULL;
        }
        x |= (uint64_t) (*p & 0x7f) << shift;
        if (*p++ < 0x80) {
            *v = x;
            return p;
        }
    }

    return NULL;
}

int pb_grow(pb_buffer *b, size_t n)
{
    size_t   cap = b->cap < 64 ? 64 : b->cap;
    uint8_t *p;

    while (cap - b->n < n) {
        cap *= 2;
    }

    p = realloc(b->b, cap);
    if (p == NULL) {
        b->failed = 1;
        return 0;
    }

    b->b = p;
    b->cap = cap;
    return 1;
}

int pb_put_length(pb_buffer *b, size_t at)
{
    size_t   n = b->n - at - 1, extra = 0;
    uint64_t v = n;

    while (v >= 0x80) {
        v >>= 7;
        extra++;
    }

    if (extra > 0) {
        if (!pb_room(b, extra)) {
            return 0;
        }
        memmove(b->b + at + 1 + extra, b->b + at + 1, n);
    }

    b->n = at;
    pb_put_varint(b, n);
    b->n = at + 1 + extra + n;
    return 1;
}

const uint8_t *pb_skip(const uint8_t *p, const uint8_t *end, uint64_t tag, int depth)
{
    uint64_t v;

    switch (tag & 7) {
    case PB_VARINT:
        return pb_read_varint(p, end, &v);
    case PB_64BIT:
        return end - p >= 8 ? p + 8 : NULL;
    case PB_32BIT:
        return end - p >= 4 ? p + 4 : NULL;

    case PB_LENGTH:
        p = pb_read_varint(p, end, &v);
        return p != NULL && v <= (uint64_t) (end - p) ? p + v : NULL;

    case PB_START:
        if (depth >= PB_DEPTH) {
            return NULL;
        }
        for ( ;; ) {
            p = pb_read_varint(p, end, &v);
            if (p == NULL || v >> 3 == 0 || v >> 3 > INT32_MAX) {     /* wider than elsewhere, as Go's library */
                return NULL;
            }
            if ((v & 7) == PB_END) {
                return v >> 3 == tag >> 3 ? p : NULL;
            }
            p = pb_skip(p, end, v, depth + 1);
            if (p == NULL) {
                return NULL;
            }
        }
    }

    return NULL;
}

int pb_wire_of(int type)
{
    static const uint8_t wire[] = {
        [PB_DOUBLE] = PB_64BIT, [PB_FIXED64] = PB_64BIT, [PB_SFIXED64] = PB_64BIT,
        [PB_FLOAT] = PB_32BIT, [PB_FIXED32] = PB_32BIT, [PB_SFIXED32] = PB_32BIT,
        [PB_STRING] = PB_LENGTH, [PB_BYTES] = PB_LENGTH, [PB_MESSAGE] = PB_LENGTH, [PB_GROUP] = PB_START,
        [PB_SINT64] = PB_VARINT,
    };

    return wire[type];
}

const char *pb_type_name(int type)
{
    static const char *const names[] = {
        "<unknown>", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "group",
        "message", "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64",
    };

    return type >= PB_DOUBLE && type <= PB_SINT64 ? names[type] : names[0];
}
