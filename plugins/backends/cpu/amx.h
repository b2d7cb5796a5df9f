/*
 * amx.h - matrix products in tiles: bfloat16 with float32 sums, bytes with 32-bit sums.
 *
 * Both operands are brought into panels first. A panel is 32 lines of a (rows) or of b (columns)
 * by the whole inner dimension, in steps of 64 bytes: two tiles a step, 2 KiB, one after the
 * other. See amx_ops.h for what a tile holds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_AMX_H
#define CPU_AMX_H

#include "product.h"

enum {
    AMX_STEP = 64,         /* bytes of the inner dimension */
    AMX_LINES = 32,        /* of a panel */
    AMX_STEP_BYTES = 2048, /* of a panel's step */
    AMX_TILE = 1024,
    AMX_PACK = 4 /* panels packed as one item */
};

/* An operand as its lines lie in memory: along the inner dimension, or across it. */
typedef struct amx_source amx_source;
struct amx_source {
    /* n numbers of line `line` from `first` on, as bfloat16 or bytes; n <= 512 */
    void (*fetch)(const amx_source *s, int64_t line, int64_t first, int64_t n, void *to);
    const cpu_kernels *k;
    cpu_operand o;
    float factor; /* of every number */
    bool across;
    int64_t k_size; /* inner dimension, in numbers, ... */
    int64_t bytes;  /* ... of so many bytes each: 2 or, never across, 1 */
};

/* A side of the product: a, or b. */
typedef struct amx_side {
    amx_source part[2]; /* the operand, the low-rank addition (k_size 0: none) */
    bool left;
    int64_t lines; /* rows of a or columns of b */
    /* what stands in the panels: lines [line, line + n), inner [at, at + depth) of part 0 */
    uint8_t *panels;
    int64_t line, n, at, depth, steps;
} amx_side;

/* Work area of a thread while it packs. */
typedef struct amx_stage {
    uint32_t lanes[16][272]; /* 16 lines of 64-byte steps; the pad keeps them apart in a cache */
    uint16_t line[2][512];
    float wide[512];
} amx_stage;

amx_source amx_source_of(const cpu_kernels *k, const cpu_operand *o, bool across, int64_t k_size,
                         float factor);
/* Item `item` of amx_items(): AMX_PACK panels, both parts; part 1 only with `last`. */
void amx_pack(const amx_side *s, int64_t item, bool last, amx_stage *room);

static inline int64_t amx_steps(const amx_source *s, int64_t k)
{
    return (k * s->bytes + AMX_STEP - 1) / AMX_STEP;
}

static inline int64_t amx_panels(int64_t lines)
{
    return (lines + AMX_LINES - 1) / AMX_LINES;
}

static inline int64_t amx_items(const amx_side *s)
{
    return (amx_panels(s->n) + AMX_PACK - 1) / AMX_PACK;
}

#endif /* CPU_AMX_H */
