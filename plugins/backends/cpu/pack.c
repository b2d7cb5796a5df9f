/*
 * pack.c - operands of a product on their way into panels.
 *
 * One row per storage format: how a run of stored numbers becomes float32. Runs are decoded
 * into a piece of cache and go into panels from there, so a weight in a narrow format never
 * exists as a whole float32 copy, and a new format is a row of this table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "product.h"

/* n numbers of line `line` from `first` on, widened by the tables of kern_exact.c. */
static void decode_dense(const cpu_kernels *k, const cpu_operand *o, int64_t line, int64_t first,
                         int64_t n, float *to)
{
    const uint64_t at = (uint64_t)(line * cpu_operand_step(o) + first);
    k->exact->load[o->dtype](to, (const uint8_t *)o->p + at * hone_dtype_size(o->dtype), n);
}

/* See hone/nf4.h. A run may begin inside a block, and inside a byte. */
static void decode_nf4(const cpu_kernels *k, const cpu_operand *o, int64_t line, int64_t first,
                       int64_t n, float *to)
{
    const uint8_t *codes = o->p;
    int64_t at = line * cpu_operand_step(o) + first;
    while (n > 0) {
        const int64_t block = at / HONE_NF4_BLOCK, left = (block + 1) * HONE_NF4_BLOCK - at;
        const int64_t take = left < n ? left : n;
        float value[16];
        cpu_nf4_values(o, block, value);
        k->mm->look_up(to, codes, at, take, value);
        at += take;
        to += take;
        n -= take;
    }
}

/* A scale per row of the weight, and its rows are its lines. */
static void decode_int8(const cpu_kernels *k, const cpu_operand *o, int64_t line, int64_t first,
                        int64_t n, float *to)
{
    const int8_t *codes = (const int8_t *)o->p + line * cpu_operand_step(o) + first;
    const float scale = o->nested[line] / 127;
    (void)k;
    for (int64_t i = 0; i < n; i++)
        to[i] = (float)codes[i] * scale;
}

typedef hone_status take_planes(const hone_dev *dev, const hone_weight *w, const char *what,
                                uint32_t dtype, cpu_operand *o, hone_error *err);

static hone_status take_dense(const hone_dev *dev, const hone_weight *w, const char *what,
                              uint32_t dtype, cpu_operand *o, hone_error *err)
{
    const int64_t shape[2] = { w->rows, w->cols };
    cpu_view v = { 0 };
    hone_status st = cpu_want(dev, &w->plane[0], what, dtype, CPU_ROWS, 2, shape, &v, err);
    o->p = v.p;
    o->row = v.row;
    return st;
}

static hone_status take_nf4(const hone_dev *dev, const hone_weight *w, const char *what,
                            uint32_t dtype, cpu_operand *o, hone_error *err)
{
    const int64_t n = w->rows * w->cols, blocks = (n + HONE_NF4_BLOCK - 1) / HONE_NF4_BLOCK;
    const int64_t counts[4] = { (n + 1) / 2, blocks, (blocks + HONE_NF4_NEST - 1) / HONE_NF4_NEST,
                                1 };
    const uint32_t dtypes[4] = { dtype, HONE_U8, HONE_F32, HONE_F32 };
    cpu_view v[4] = { { 0 } };
    hone_status st = HONE_OK;
    if (w->n_planes != 4)
        return hone_fail(err, HONE_ERR_ARG, "cpu: %s: %u planes of an nf4 weight", what,
                         (unsigned)w->n_planes);
    for (int k = 0; k < 4 && !st; k++)
        st = cpu_want(dev, &w->plane[k], what, dtypes[k], CPU_DENSE, 1, &counts[k], &v[k], err);
    o->p = v[0].p;
    o->scales = v[1].p;
    o->nested = v[2].p;
    o->offset = v[3].p;
    o->row = w->cols;
    return st;
}

static hone_status take_int8(const hone_dev *dev, const hone_weight *w, const char *what,
                             uint32_t dtype, cpu_operand *o, hone_error *err)
{
    const int64_t n = w->rows * w->cols;
    cpu_view codes, scales;
    hone_status st = HONE_OK;
    if (w->n_planes != 2)
        return hone_fail(err, HONE_ERR_ARG, "cpu: %s: %u planes of an int8 weight", what,
                         (unsigned)w->n_planes);
    st = cpu_want(dev, &w->plane[0], what, dtype, CPU_DENSE, 1, &n, &codes, err);
    if (!st)
        st = cpu_want(dev, &w->plane[1], what, HONE_F32, CPU_DENSE, 1, &w->rows, &scales, err);
    if (st)
        return st;
    o->p = codes.p;
    o->nested = scales.p;
    o->row = w->cols;
    return HONE_OK;
}

/* clang-format off */
static const struct {
    const char *format; /* of hone_weight */
    uint32_t dtype;     /* of plane 0 */
    take_planes *take;
    cpu_decode *decode;
} formats[] = {
    { "fp32", HONE_F32,  take_dense, decode_dense },
    { "fp16", HONE_F16,  take_dense, decode_dense },
    { "bf16", HONE_BF16, take_dense, decode_dense },
    { "nf4",  HONE_U8,   take_nf4,   decode_nf4 },
    { "int8", HONE_I8,   take_int8,  decode_int8 },
};
/* clang-format on */

cpu_operand cpu_operand_f32(const void *p, int64_t row, int64_t col)
{
    return (
        cpu_operand){ .p = p, .row = row, .col = col, .dtype = HONE_F32, .decode = decode_dense };
}

cpu_decode *cpu_decode_dtype(uint32_t dtype)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].dtype == dtype && formats[i].take == take_dense)
            return formats[i].decode;
    return NULL;
}

uint32_t cpu_format_dtype(const char *format)
{
    for (size_t i = 0; format && i < sizeof formats / sizeof *formats; i++)
        if (strcmp(format, formats[i].format) == 0)
            return formats[i].dtype;
    return HONE_F32;
}

hone_status cpu_operand_weight(const hone_dev *dev, const hone_weight *w, const char *what,
                               cpu_operand *o, hone_error *err)
{
    for (size_t i = 0; w->format && i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(w->format, formats[i].format) != 0)
            continue;
        *o = (cpu_operand){ .col = 1, .dtype = formats[i].dtype, .decode = formats[i].decode };
        return formats[i].take(dev, w, what, formats[i].dtype, o, err);
    }
    return hone_fail(err, HONE_ERR_UNSUPPORTED, "cpu: %s: no kernel for weights in %s", what,
                     w->format ? w->format : "(no format)");
}

void cpu_decode_block(const cpu_kernels *k, const cpu_operand *o, int64_t line, int64_t lines,
                      int64_t first, int64_t n, float *to, int64_t to_row)
{
    for (int64_t i = 0; i < lines; i++)
        o->decode(k, o, line + i, first, n, to + i * to_row);
}

void cpu_pack_panel(const cpu_kernels *k, const cpu_operand *b, int64_t row, int64_t rows,
                    int64_t col, int64_t cols, float *to, float *room)
{
    const cpu_mm *mm = k->mm;
    const bool by_rows = b->col == 1;
    const float *from = (const float *)b->p + row * b->row + col * b->col;
    int64_t step = cpu_operand_step(b);
    if (b->dtype != HONE_F32) {
        step = by_rows ? mm->wide : rows + PACK_PAD;
        cpu_decode_block(k, b, by_rows ? row : col, by_rows ? rows : cols, by_rows ? col : row,
                         by_rows ? cols : rows, room, step);
        from = room;
    }
    (by_rows ? mm->pack : mm->pack_transposed)(to, from, step, rows, cols);
}
