/*
 * product.h - matrix products: operands, their panels, the loops over blocks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_PRODUCT_H
#define CPU_PRODUCT_H

#include "cpu.h"
#include "hone/nf4.h"

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

/* The 16 values of a block of nf4. */
static inline void cpu_nf4_values(const cpu_operand *o, int64_t block, float value[16])
{
    const float scale =
        hone_nf4_scale(o->scales[block]) * o->nested[block / HONE_NF4_NEST] + *o->offset;
    for (int i = 0; i < 16; i++)
        value[i] = hone_nf4_value[i] * scale;
}

/* d^T = b^T a^T */
static inline cpu_product cpu_product_transposed(const cpu_product *p)
{
    cpu_product t = *p;
    t.a = cpu_operand_transposed(p->b);
    t.b = cpu_operand_transposed(p->a);
    t.plus_a = cpu_operand_transposed(p->plus_b);
    t.plus_b = cpu_operand_transposed(p->plus_a);
    t.m = p->n;
    t.n = p->m;
    t.d_row = p->d_col;
    t.d_col = p->d_row;
    return t;
}

/* blocks.c: p->k > 0, alpha != 0, bias not looked at. */
/* What its panels take at most, of this product or one with fewer rows. */
uint64_t cpu_blocks_bytes(const hone_dev *dev, int64_t m, int64_t n, int64_t k, int64_t plus_k);
hone_status cpu_product_blocks(hone_queue *q, const cpu_product *p, hone_error *err);

/* amx.c, with dev->k->amx: p as above, operands HONE_BF16. */
hone_status cpu_amx_product(hone_queue *q, const cpu_product *p, hone_error *err);
/* What its panels take. */
uint64_t cpu_amx_bytes(const hone_dev *dev, int64_t m, int64_t n, int64_t k, int64_t plus_k);

/* y (m, n) = unit x_scale w_scale^T o (x w^T) + bias + beta y, x (m, k) and w (n, k) bytes,
 * k <= 2^16. */
typedef struct cpu_int8_product {
    const int8_t *x, *w;
    int64_t x_row;                         /* of w: k */
    const float *x_scale, *w_scale, *bias; /* bias may be NULL */
    float *y;
    int64_t m, n, k, y_row;
    float unit, beta;
} cpu_int8_product;
hone_status cpu_amx_int8(hone_queue *q, const cpu_int8_product *p, hone_error *err);

#endif /* CPU_PRODUCT_H */
