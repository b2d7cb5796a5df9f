/*
 * tokenizer_protobuf.h - as much of the protobuf wire format as tokenizer.model needs.
 *
 * A message is bytes; a field is a key (number << 3 | wire type) and a value. Every
 * length is checked against what is left. Groups, long deprecated, are refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_DATA_TOKENIZER_PROTOBUF_H
#define CORE_DATA_TOKENIZER_PROTOBUF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PB_VARINT 0
#define PB_FIXED64 1
#define PB_BYTES 2
#define PB_FIXED32 5

typedef struct pb_reader {
    const uint8_t *p, *end; /* borrowed */
    bool bad;               /* the bytes are not what they claim */
    uint32_t number, type;  /* of the field that was read */
    uint64_t value;         /* VARINT, FIXED32, FIXED64 */
    const char *bytes;      /* BYTES: borrowed, n bytes */
    size_t n;
} pb_reader;

static inline pb_reader pb_open(const void *p, size_t n)
{
    return (pb_reader){ .p = p, .end = (const uint8_t *)p + n };
}

static inline uint64_t pb_varint(pb_reader *r)
{
    uint64_t value = 0;
    int shift;
    for (shift = 0; shift < 64 && r->p < r->end; shift += 7) {
        const uint8_t b = *r->p++;
        value |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return value;
    }
    r->bad = true;
    return 0;
}

static inline uint64_t pb_fixed(pb_reader *r, size_t n)
{
    uint64_t value = 0;
    size_t i;
    if ((size_t)(r->end - r->p) < n) {
        r->bad = true;
        return 0;
    }
    for (i = 0; i < n; i++)
        value |= (uint64_t)r->p[i] << 8 * i;
    r->p += n;
    return value;
}

/* The next field; false at the end, or when bad. */
static inline bool pb_next(pb_reader *r)
{
    uint64_t key;
    if (r->bad || r->p == r->end)
        return false;
    key = pb_varint(r);
    r->number = (uint32_t)(key >> 3);
    r->type = (uint32_t)(key & 7);
    if (r->bad || key >> 3 == 0 || key >> 32)
        r->bad = true;
    else if (r->type == PB_VARINT)
        r->value = pb_varint(r);
    else if (r->type == PB_FIXED64)
        r->value = pb_fixed(r, 8);
    else if (r->type == PB_FIXED32)
        r->value = pb_fixed(r, 4);
    else if (r->type == PB_BYTES) {
        const uint64_t n = pb_varint(r);
        if (r->bad || n > (uint64_t)(r->end - r->p)) {
            r->bad = true;
        } else {
            r->bytes = (const char *)r->p;
            r->n = (size_t)n;
            r->p += n;
        }
    } else {
        r->bad = true;
    }
    return !r->bad;
}

#endif /* CORE_DATA_TOKENIZER_PROTOBUF_H */
