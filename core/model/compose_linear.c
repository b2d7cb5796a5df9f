/*
 * compose_linear.c - a product with a stored weight from gemm, and from the
 * format's decode program where the weight is not dense.
 *
 * A packed weight is decoded a tile of rows at a time. A program addresses its
 * planes by the element's number within the run, so a tile has to start where
 * every plane starts a new byte and a new block.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/ops_parts.h"

#define THEN(call) (st = st ? st : (call))

enum { TILE = 1 << 21 }; /* elements of a decoded tile, about */

uint64_t compose_linear_bytes(int64_t weight_elements)
{
    return scratch_size((uint64_t)(weight_elements < TILE ? weight_elements : TILE));
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

/* How plane k is read: element e of a run uses place e * times / per. */
typedef struct reading {
    int64_t per;
    bool used, mixed;
} reading;

static void find_readings(const hone_ew_program *p, reading r[HONE_MAX_PLANES])
{
    for (uint32_t i = 0; i < p->n_insns; i++) {
        const hone_ew_insn *s = &p->insns[i];
        int64_t per;
        switch (s->op) {
        case HONE_EW_LOAD:
            per = 1;
            break;
        case HONE_EW_BITS:
            per = 8 / s->aux;
            break;
        case HONE_EW_LOADB:
            per = INT64_C(1) << s->aux;
            break;
        default:
            continue;
        }
        if (s->idx >= HONE_MAX_PLANES)
            continue;
        r[s->idx].mixed = r[s->idx].mixed || (r[s->idx].used && r[s->idx].per != per);
        r[s->idx].used = true;
        r[s->idx].per = per;
    }
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

/* Rows of a tile: about TILE elements, and a multiple of what every plane needs. */
static int64_t tile_rows(const hone_weight *w, const reading r[HONE_MAX_PLANES])
{
    int64_t need = 1, rows, step; /* all `per` are powers of two: the largest will do */
    for (uint32_t k = 0; k < w->n_planes; k++) {
        if (r[k].mixed)
            return w->rows;
        need = r[k].used && r[k].per > need ? r[k].per : need;
    }
    step = need / common_divisor(need, w->cols);
    rows = TILE / w->cols / step * step;
    rows = rows < step ? step : rows;
    return rows < w->rows ? rows : w->rows;
}

static hone_status decode(ops *o, const ops_format *f, const hone_weight *w,
                          const reading r[HONE_MAX_PLANES], int64_t first, hone_tensor tile,
                          hone_error *err)
{
    const int64_t n = tile.shape[0] * tile.shape[1], from = first * w->cols;
    hone_tensor bufs[HONE_MAX_PLANES + 1];
    hone_ew_args args = {
        .n_bufs = w->n_planes + 1, .kernel = f->kernel, .bufs = bufs, .shape = { n, 1, 1, 1 }
    };
    for (uint32_t k = 0; k < w->n_planes; k++) {
        const int64_t per = r[k].used ? r[k].per : 1, skip = from / per;
        bufs[k] = view_flat(w->plane[k]);
        if (!r[k].used)
            continue;
        bufs[k].offset += (uint64_t)skip * hone_dtype_size(bufs[k].dtype);
        bufs[k].shape[0] = per == 1 ? n : bufs[k].shape[0] - skip;
    }
    bufs[w->n_planes] = view_flat(tile);
    return ops_elementwise(o, args, err);
}

static hone_status packed(ops *o, const hone_linear_args *a, const ops_format *f, hone_error *err)
{
    const hone_weight *w = a->w;
    reading r[HONE_MAX_PLANES] = { 0 };
    hone_status st = HONE_OK;
    int64_t rows;
    if (w->n_planes > HONE_MAX_PLANES || f->decode->n_bufs != w->n_planes + 1 || w->cols < 1)
        return hone_fail(err, HONE_ERR_ARG, "linear: %u planes of a %s weight, %u in its program",
                         (unsigned)w->n_planes, w->format, (unsigned)f->decode->n_bufs);
    find_readings(f->decode, r);
    rows = tile_rows(w, r);
    THEN(scratch_begin(o, 1, scratch_size((uint64_t)(rows * w->cols)), err));
    for (int64_t at = 0; !st && at < w->rows; at += rows) {
        const int64_t n = w->rows - at < rows ? w->rows - at : rows;
        const hone_tensor tile = hone_tensor_2d(o->area[1].buf, 0, HONE_F32, n, w->cols);
        hone_linear_args part = *a;
        st = decode(o, f, w, r, at, tile, err);
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

hone_status compose_linear(ops *o, const hone_linear_args *a, hone_error *err)
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
    if (!f && strcmp(format, "fp32") != 0)
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
