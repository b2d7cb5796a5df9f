/*
 * compose_linear.c - a product with a stored weight from gemm, and from the
 * format's decode program where the weight is not dense.
 *
 * A packed weight is decoded a tile of rows at a time. A program addresses bits and
 * blocks by the element's number within the run, so a run starts where every plane starts
 * a new byte and a new block, at or before the tile's first row.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/ops_parts.h"

#define THEN(call) (st = st ? st : (call))

enum {
    TILE = 1 << 21, /* elements of a decoded tile, about */
    LEAD = 1 << 14  /* before it, to where a block begins: enough for the known formats */
};

uint64_t compose_linear_bytes(int64_t weight_elements)
{
    return scratch_size((uint64_t)(weight_elements < TILE ? weight_elements : TILE + LEAD));
}

/* y = beta y + bias for all rows; the product is added to it. */
static hone_status put_bias(ops *o, const hone_linear_args *a, hone_error *err)
{
    const hone_tensor bias = per_col(a->bias, a->y.shape[0], a->y.shape[1]);
    const hone_tensor y = as_rows(a->y);
    if (a->beta == 0)
        return ops_copy(o, y, bias, err);
    return run_program(o, PROGRAM_BIAS, (hone_tensor[]){ y, bias }, &a->beta, err);
}

static hone_status dense(ops *o, const hone_linear_args *a, hone_tensor w, hone_error *err)
{
    float beta = a->beta;
    hone_status st = HONE_OK;
    if (a->bias.buf) {
        st = put_bias(o, a, err);
        beta = 1;
    }
    THEN(ops_gemm(o, false, !a->transpose, 1, a->x, w, beta, a->y, err));
    return st;
}

/* ---------------------------------------------------------------- decoded tiles */

/* How a decode program uses a plane. */
typedef struct reading {
    int64_t per;     /* elements of the matrix to one of the plane, in BITS and LOADB */
    bool used, load; /* load: by LOAD, a number per weight, per row, or one in all */
    bool mixed;      /* in two ways at once */
} reading;

typedef struct readings {
    reading plane[HONE_MAX_PLANES];
    int64_t need; /* a run starts at a multiple of it, flat */
    bool by_row;  /* a plane has a number per row: a run is whole rows */
    bool whole;   /* a run is the whole matrix */
} readings;

static readings find_readings(const hone_ew_program *p, const hone_weight *w)
{
    readings r = { .need = 1 };
    for (uint32_t i = 0; i < p->n_insns; i++) {
        const hone_ew_insn *s = &p->insns[i];
        const bool load = s->op == HONE_EW_LOAD;
        int64_t per = 1;
        if (s->op == HONE_EW_BITS)
            per = 8 / s->aux;
        else if (s->op == HONE_EW_LOADB)
            per = INT64_C(1) << s->aux;
        else if (!load)
            continue;
        if (s->idx >= w->n_planes)
            continue;
        reading *x = &r.plane[s->idx];
        x->mixed = x->mixed || (x->used && (x->per != per || x->load != load));
        x->used = true;
        x->load = load;
        x->per = per;
    }
    for (uint32_t k = 0; k < w->n_planes; k++) {
        const reading *x = &r.plane[k];
        const int64_t count = hone_tensor_count(&w->plane[k]);
        r.whole = r.whole || x->mixed;
        r.need = x->per > r.need ? x->per : r.need; /* powers of two: the largest will do */
        r.by_row = r.by_row || (x->load && count == w->rows && count != w->rows * w->cols);
    }
    return r;
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Rows of a tile, about TILE elements. */
static int64_t tile_rows(const hone_weight *w, const readings *r)
{
    const int64_t step = r->by_row ? r->need / common_divisor(r->need, w->cols) : 1;
    int64_t rows = TILE / w->cols / step * step;
    rows = rows < step ? step : rows;
    return r->whole || rows > w->rows ? w->rows : rows;
}

/* A view of what plane k holds for a run of shape (rows, cols) from `from` on. */
static hone_tensor part_of(const hone_weight *w, uint32_t k, const reading *x, int64_t from,
                           int64_t rows, int64_t cols)
{
    const int64_t shape[4] = { 1, 1, rows, cols }, count = hone_tensor_count(&w->plane[k]);
    hone_tensor t = view_flat(w->plane[k]);
    if (!x->used)
        return t;
    if (!x->load) {
        t.offset += (uint64_t)(from / x->per) * hone_dtype_size(t.dtype);
        t.shape[0] -= from / x->per;
        return t;
    }
    if (count == w->rows * w->cols) {
        t.offset += (uint64_t)from * hone_dtype_size(t.dtype);
        return view_strided(t, shape, (int64_t[]){ 0, 0, cols, 1 });
    }
    if (count == w->rows)
        t.offset += (uint64_t)(from / w->cols) * hone_dtype_size(t.dtype);
    return view_strided(t, shape, (int64_t[]){ 0, 0, count == w->rows, 0 });
}

/* Rows [first, first + n) to *tile, a view of scratch. */
static hone_status decode(ops *o, const ops_format *f, const hone_weight *w, const readings *r,
                          int64_t first, int64_t n, hone_tensor *tile, hone_error *err)
{
    const int64_t from = first * w->cols, lead = r->by_row ? 0 : from % r->need;
    const int64_t rows = r->by_row ? n : 1, cols = r->by_row ? w->cols : n * w->cols + lead;
    const int64_t shape[4] = { 1, 1, rows, cols };
    const hone_tensor out = hone_tensor_dense(o->area[1].buf, 0, HONE_F32, 4, shape);
    hone_tensor bufs[HONE_MAX_PLANES + 1];
    hone_ew_args args = {
        .n_bufs = w->n_planes + 1, .kernel = f->kernel, .bufs = bufs, .shape = { 1, 1, rows, cols }
    };
    for (uint32_t k = 0; k < w->n_planes; k++)
        bufs[k] = part_of(w, k, &r->plane[k], from - lead, rows, cols);
    bufs[w->n_planes] = out;
    *tile = hone_tensor_2d(out.buf, (uint64_t)lead * sizeof(float), HONE_F32, n, w->cols);
    return ops_elementwise(o, args, err);
}

static hone_status packed(ops *o, const hone_linear_args *a, const ops_format *f, hone_error *err)
{
    const hone_weight *w = a->w;
    hone_status st = HONE_OK;
    readings r;
    int64_t rows;
    if (w->n_planes > HONE_MAX_PLANES || f->decode->n_bufs != w->n_planes + 1 || w->cols < 1)
        return hone_fail(err, HONE_ERR_ARG, "linear: %u planes of a %s weight, %u in its program",
                         (unsigned)w->n_planes, w->format, (unsigned)f->decode->n_bufs);
    r = find_readings(f->decode, w);
    rows = tile_rows(w, &r);
    THEN(scratch_begin(
        o, 1, scratch_size((uint64_t)(rows * w->cols + (rows < w->rows ? r.need : 0))), err));
    for (int64_t at = 0; !st && at < w->rows; at += rows) {
        const int64_t n = w->rows - at < rows ? w->rows - at : rows;
        hone_linear_args part = *a;
        hone_tensor tile;
        st = decode(o, f, w, &r, at, n, &tile, err);
        if (a->transpose) { /* y = sum over tiles of x[:, tile] tile */
            part.x = view_cols(a->x, at, n);
            part.beta = at ? 1 : a->beta;
        } else { /* y[:, tile] = x tile^T */
            part.y = view_cols(a->y, at, n);
            if (a->bias.buf)
                part.bias = view_rows(a->bias, at, n);
        }
        THEN(dense(o, &part, tile, err));
    }
    return st;
}

static hone_status base(ops *o, const hone_linear_args *a, hone_error *err)
{
    const char *format = a->w->format ? a->w->format : "(none)";
    const ops_format *f = NULL;
    hone_status st;
    if (a->transpose && a->bias.buf)
        return hone_fail(err, HONE_ERR_ARG, "linear: a transposed product takes no bias");
    for (size_t i = 0; i < o->n_formats; i++)
        if (!strcmp(o->format[i].name, format))
            f = &o->format[i];
    if (f && f->decode)
        return packed(o, a, f, err);
    if (!f && (a->w->n_planes != 1 || a->w->plane[0].rank != 2 ||
               a->w->plane[0].dtype > HONE_BF16)) /* not a plain matrix either */
        return hone_fail(
            err, HONE_ERR_UNSUPPORTED,
            "linear: the device has no kernel for weights in %s and nothing decodes them", format);
    st = dense(o, a, a->w->plane[0], err);
    if (st == HONE_ERR_UNSUPPORTED) { /* a device whose gemm takes float32 only */
        hone_tensor wide;
        st = scratch_begin(o, 1, scratch_size((uint64_t)(a->w->rows * a->w->cols)), err);
        wide = hone_tensor_2d(o->area[1].buf, 0, HONE_F32, a->w->rows, a->w->cols);
        THEN(ops_copy(o, wide, a->w->plane[0], err));
        if (a->bias.buf) /* already in y */
            THEN(ops_gemm(o, false, !a->transpose, 1, a->x, wide, 1, a->y, err));
        else
            THEN(dense(o, a, wide, err));
    }
    return st;
}

hone_status compose_linear(ops *o, const hone_linear_args *a, hone_error *err)
{
    hone_status st = base(o, a, err);
    if (a->low.buf)
        THEN(ops_gemm(o, false, !a->transpose, a->up_scale, a->low, a->up, 1, a->y, err));
    return st;
}
