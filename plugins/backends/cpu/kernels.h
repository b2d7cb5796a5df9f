/*
 * kernels.h - the loops of the CPU device, built once per instruction set.
 *
 * kern_exact.c keeps to the letter of IEEE (elementwise programs are equal to the
 * bit on every device); kern_rows.c, kern_tile.c and kern_gemm.c may contract a product and a
 * sum into one rounding. Nothing here allocates, checks or knows a tensor.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include "hone/ew.h"

/* Elements an elementwise program works on at a time: its registers stay in L1. */
#define EW_BLOCK 256

#define CPU_DTYPES 9 /* HONE_F32 .. HONE_F64, 0 unused */

/* EW_BLOCK elements; d is none of a, b, c. */
typedef void cpu_ew_op(float *restrict d, const float *restrict a, const float *restrict b,
                       const float *restrict c);

/* CPU_ISA is v1, v3 or v4 in a kernel file: cpu_exact_v4 and so on. */
#define CPU_ISA_JOIN(prefix, isa) prefix##isa
#define CPU_ISA_EXPAND(prefix, isa) CPU_ISA_JOIN(prefix, isa)
#define CPU_ISA_NAME(prefix) CPU_ISA_EXPAND(prefix, CPU_ISA)

/* What NEAREST needs of a table of n entries, so that most of the search is one look.
 * Places halfway between neighbours are rounded down: a float lies above one of them
 * exactly when it lies above the place itself. */
typedef struct cpu_nearest {
    float above[256];       /* n - 1 places, then +inf */
    float tree[256];        /* the same as a search tree: children of node k are 2 k, 2 k + 1 */
    uint8_t start[1 << 16]; /* by the high half of a's bits, made to ascend: places below
                                all such a                                               */
    uint32_t steps;         /* places that share a high half, at most */
} cpu_nearest;

/* kern_exact.c */
typedef struct cpu_exact {
    cpu_ew_op *op[64]; /* NULL: not a function of registers alone */
    void (*load[CPU_DTYPES])(float *restrict d, const void *restrict s, int64_t n);
    void (*store[CPU_DTYPES])(void *restrict d, const float *restrict s, int64_t n);
    /* d[i] = RANDOM at counter first + i */
    void (*random)(float *d, int64_t n, uint64_t seed, uint64_t stream, uint64_t first);
    /* EW_BLOCK elements: which entry is nearest; table[clamped(base + a)] of n entries, of
     * which 256 behind the last can be read */
    void (*nearest)(float *restrict d, const float *restrict a, const cpu_nearest *t);
    void (*look_up)(float *restrict d, const float *restrict a, const float *table, uint32_t n,
                    uint32_t base);
    /* the same in bytes: to codes; of codes that are all entries of the table */
    void (*nearest_bytes)(uint8_t *restrict d, const float *restrict a, const cpu_nearest *t);
    void (*look_up_bytes)(float *restrict d, const uint8_t *restrict codes, const float *table);
    /* the largest of each 2^shift of n elements, in all of their places */
    void (*block_max)(float *restrict d, const float *restrict a, int64_t n, uint32_t shift);
    void (*spread)(float *d, float x, int64_t n); /* d[i] = x */
    double (*sum)(const float *x, int64_t n);
    float (*max)(const float *x, int64_t n); /* NaN when there is one; -inf for n == 0 */
} cpu_exact;

/* kern_table.c: some of them */
extern void CPU_ISA_NAME(cpu_table_nearest_)(float *restrict d, const float *restrict a,
                                             const cpu_nearest *t);
extern void CPU_ISA_NAME(cpu_table_nearest_bytes_)(uint8_t *restrict d, const float *restrict a,
                                                   const cpu_nearest *t);
extern void CPU_ISA_NAME(cpu_table_look_up_)(float *restrict d, const float *restrict a,
                                             const float *table, uint32_t n, uint32_t base);
extern void CPU_ISA_NAME(cpu_table_look_up_bytes_)(float *restrict d, const uint8_t *restrict codes,
                                                   const float *table);
extern void CPU_ISA_NAME(cpu_table_block_max_)(float *restrict d, const float *restrict a,
                                               int64_t n, uint32_t shift);

/* kern_rows.c: one row each */
typedef struct cpu_rows {
    float (*sum_squares)(const float *x, int64_t n);
    float (*add_squares)(float *x, const float *add, int64_t n); /* x += add first */
    void (*norm)(float *y, const float *x, const float *w, float rstd, int64_t n);
    /* dx [=|+=] rstd (dy w - x rstd^2 mean(dy w x)); dw += dy x rstd unless NULL */
    void (*norm_bwd)(float *dx, float *dw, const float *dy, const float *x, const float *w,
                     float rstd, int64_t n, int accumulate);
    /* x (2 half), sign 1 forward, -1 back */
    void (*rope)(float *x, const float *cosine, const float *sine, int64_t half, float sign);
    void (*swiglu)(float *y, const float *gate, const float *up, int64_t n);
    void (*swiglu_bwd)(float *dgate, float *dup, const float *dy, const float *gate,
                       const float *up, int64_t n);
    /* the largest of x, and sum exp(x - largest) */
    float (*log_sum)(const float *x, int64_t n, double *sum);
    /* x = factor exp(x - lse) */
    void (*softmax)(float *x, int64_t n, float lse, float factor);
    float (*dot)(const float *a, const float *b, int64_t n);
    /* y[j] = dot(x, w + j stride) for 4 rows of w at once */
    void (*dot4)(float *y, const float *x, const float *w, int64_t stride, int64_t n);
    void (*axpy)(float *y, const float *x, float alpha, int64_t n);  /* y += alpha x */
    void (*scale)(float *y, const float *x, float alpha, int64_t n); /* y = alpha x  */
} cpu_rows;

/* kern_tile.c: attention. Up to TILE_Q queries are the lanes of a tile. */
#define TILE_Q 64
#define TILE_K 64

/* c (m, n) [=|+=] a (m, k) b (k, n): one of a's strides is 1; rows of b and c dense, n a multiple
 * of TILE_N, b and c readable and writable that far. */
typedef void cpu_tile_multiply(float *c, int64_t c_row, const float *a, int64_t a_row,
                               int64_t a_col, const float *b, int64_t b_row, int64_t m, int64_t n,
                               int64_t k, int32_t accumulate);

typedef struct cpu_tile {
    cpu_tile_multiply *multiply;
    /* One step of the online softmax. s (keys, n): scores in, exp(scale s - largest)
     * out. largest, sum, shrink (n): state; what was summed before is to be multiplied
     * by shrink. Rows of s are TILE_Q apart, n is a multiple of TILE_N. */
    void (*softmax_step)(float *s, int64_t keys, int64_t n, float scale, float *largest, float *sum,
                         float *shrink);
    /* p = exp(scale p - largest) share, dp = scale p (dp - delta), both (keys, n) */
    void (*softmax_back)(float *p, float *dp, int64_t keys, int64_t n, float scale,
                         const float *largest, const float *share, const float *delta);
    /* d (cols, n) = s (rows, cols) transposed, 0 in columns from rows on */
    void (*transpose)(float *d, int64_t n, const float *s, int64_t s_row, int64_t rows,
                      int64_t cols);
} cpu_tile;

/* kern_gemm.c: one tile of a matrix product, and its panels. */
typedef struct cpu_mm_part { /* a (rows, k) b (k, columns): a summand of a tile */
    const float *a;          /* one of its strides is 1 */
    int64_t a_row, a_col;
    const float *b; /* rows of b_row floats, all `wide` columns readable */
    int64_t b_row, k;
} cpu_mm_part;

#define CPU_MM_SPILL 16

typedef struct cpu_mm {
    int64_t high, wide; /* rows and columns of a tile at most; wide is a multiple of 4 */
    /* c (rows, cols) = alpha * sum of parts + beta c; beta 0 never reads c. One of c's
     * strides is 1. */
    void (*tile)(const cpu_mm_part *part, int parts, int64_t rows, int64_t cols, float *c,
                 int64_t c_row, int64_t c_col, float alpha, float beta);
    /* A panel to (k, wide) from (k, cols) or, transposed, (cols, k); 0 in columns from cols on.
     * Rows of `from` are `row` floats apart. */
    void (*pack)(float *to, const float *from, int64_t row, int64_t k, int64_t cols);
    void (*pack_transposed)(float *to, const float *from, int64_t row, int64_t k, int64_t cols);
    /* Rows of a for a tile, (rows, k), rows <= high, to (k, rows); CPU_MM_SPILL floats behind that
     * are written, too. */
    void (*pack_rows)(float *to, const float *from, int64_t row, int64_t rows, int64_t k);
    /* to[i] = value[code first + i], n of them; two codes to a byte, the first in its high half */
    void (*look_up)(float *to, const uint8_t *codes, int64_t first, int64_t n, const float *value);
} cpu_mm;

#define TILE_N 16 /* floats; no instruction set has wider lanes */

/* kern_few.c: rows of a stored matrix times at most FEW_ROWS vectors. y[m y_row + r] is the
 * product of row r with vector m; nothing is added to it. */
#define FEW_ROWS 4
#define FEW_GROUP 128 /* columns that nf4 reads at once, at most */

typedef struct cpu_few {
    /* by dtype: rows of w are w_row elements apart, n columns; NULL: not a plain format */
    void (*plain[CPU_DTYPES])(float *y, int64_t y_row, const float *x, int64_t x_row, int64_t m,
                              const void *w, int64_t w_row, int64_t rows, int64_t n);
    /* x in the order that nf4 reads it; n is a multiple of 64, to is filled up with 0 to one of
     * FEW_GROUP at most */
    void (*part)(float *to, const float *x, int64_t n);
    /* One row: its codes, its blocks' scales, x parted; n is a multiple of 64. */
    void (*nf4)(float *y, int64_t y_row, const float *x, int64_t x_row, int64_t m,
                const uint8_t *codes, const float *scales, const float *value, int64_t n);
} cpu_few;

/* kern_int8.c */
typedef struct cpu_int8 {
    /* tile (m, r) = m rows of x times r rows of w, both at most 4; n below 2^16 */
    void (*dots)(int32_t *tile, const int8_t *x, int64_t x_row, int m, const int8_t *w,
                 int64_t w_row, int r, int64_t n);
    /* The largest |x| below limit; apart[i] = 1 where it is not below (or NaN). */
    float (*largest)(uint8_t *apart, const float *x, int64_t n, float limit);
    /* q = x * factor to the nearest even, 0 where apart */
    void (*quantize)(int8_t *q, const float *x, const uint8_t *apart, int64_t n, float factor);
} cpu_int8;

/* kern_amx.c: products in tiles (amx_ops.h), and the way into and out of them. */
/* c (2, 2) tiles [=|+=] panels l and r, `steps` of 2 tiles each; the same span behind next is asked
 * for meanwhile, and only asked for. Between configure() and release() of this thread. */
typedef void cpu_amx_multiply(uint8_t *c, const uint8_t *l, const uint8_t *r, int64_t steps,
                              int32_t add, const uint8_t *next);

typedef struct cpu_amx {
    void (*configure)(void);
    void (*release)(void);
    /* [l has a second tile][r has one]; c's tiles that are not there are not touched */
    cpu_amx_multiply *bf16[2][2], *i8[2][2];
    void (*narrow)(uint16_t *to, const float *from, int64_t n); /* to the nearest bfloat16 */
    /* to[i] = value[code first + i]; two codes to a byte, the first in its high half; value (16) */
    void (*look_up)(uint16_t *to, const uint8_t *codes, int64_t first, int64_t n,
                    const uint16_t *value);
    /* to[i] = even[i] | odd[i] << 16 */
    void (*pair)(uint32_t *restrict to, const uint16_t *restrict even, const uint16_t *restrict odd,
                 int64_t n);
    /* 16 x 16 lanes to a tile, as they are or transposed; rows of `from` are from_row lanes apart */
    void (*copy)(uint32_t *restrict to, const uint32_t *restrict from, int64_t from_row);
    void (*transpose)(uint32_t *to, const uint32_t *from, int64_t from_row);
    /* y (rows, cols) = alpha c + beta y from one tile; beta 0 never reads y */
    void (*put)(float *restrict y, int64_t y_row, const float *restrict c, int64_t rows,
                int64_t cols, float alpha, float beta);
    /* y = c row[i] col[j] unit + bias[j] + beta y; bias may be NULL */
    void (*put_i8)(float *restrict y, int64_t y_row, const int32_t *restrict c, int64_t rows,
                   int64_t cols, const float *row, const float *col, float unit, const float *bias,
                   float beta);
    cpu_tile_multiply *multiply; /* with operands rounded to bfloat16 */
} cpu_amx;

typedef struct cpu_kernels {
    const char *name; /* "x86-64-v4" */
    int vex;          /* AVX2 and FMA: programs may become machine code */
    const cpu_exact *exact;
    const cpu_rows *rows;
    const cpu_tile *tile;
    const cpu_few *few;
    const cpu_int8 *int8;
    const cpu_mm *mm;
    const cpu_amx *amx; /* NULL: none */
} cpu_kernels;

/* isa.c: the best set this processor has, or the one named (index into CPU_ISA_CHOICES,
 * 0: choose); NULL when the processor does not have it. amx-plain is for tests: the products
 * of amx, whose tiles any processor has. */
#define CPU_ISA_CHOICES "auto|v1|v3|v4|v4vnni|amx|amx-plain"
const cpu_kernels *cpu_kernels_choose(int64_t wanted);

#endif /* CPU_KERNELS_H */
