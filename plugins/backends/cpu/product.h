/*
 * product.h - matrix products: operands, their panels, the loops over blocks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_PRODUCT_H
#define CPU_PRODUCT_H

#include "cpu.h"

/* Rows of a copied block lie this many floats further apart than they are long, so that they
 * do not fall on the same lines of a cache. */
#define PACK_PAD 16

/* The stride of the dimension that is not 1. */
static inline int64_t cpu_operand_step(const cpu_operand *o)
{
    return o->col == 1 ? o->row : o->col;
}

static inline cpu_operand cpu_operand_transposed(cpu_operand o)
{
    const int64_t row = o.row;
    o.row = o.col;
    o.col = row;
    return o;
}

/* Lines [line, line + lines), elements [first, first + n) of each, as float32 rows to_row apart.
 * A line is a row of the matrix when col is 1, otherwise a column. */
void cpu_decode_block(const cpu_kernels *k, const cpu_operand *o, int64_t line, int64_t lines,
                      int64_t first, int64_t n, float *to, int64_t to_row);

/* Rows [row, row + rows), columns [col, col + cols) of b, cols <= wide, as a panel
 * (rows, wide). room: (rows + PACK_PAD) * wide floats for narrow formats. */
void cpu_pack_panel(const cpu_kernels *k, const cpu_operand *b, int64_t row, int64_t rows,
                    int64_t col, int64_t cols, float *to, float *room);

/* blocks.c: p->k > 0, alpha != 0, bias not looked at. */
/* What its panels take at most. */
uint64_t cpu_blocks_bytes(const hone_dev *dev, int64_t rank);
hone_status cpu_product_blocks(hone_queue *q, const cpu_product *p, hone_error *err);

#endif /* CPU_PRODUCT_H */
