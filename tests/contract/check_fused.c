/*
 * check_fused.c - norm, rope, swiglu and linear: fused against composed, both against
 * double precision, backward against central differences.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/rig.h"

/* ------------------------------------------------------- in double precision */

static void plain_norm(const double *x, const double *w, int64_t n, int64_t c, double eps,
                       double *y, double *rstd)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 0, scale;
        for (int64_t j = 0; j < c; j++)
            sum += x[i * c + j] * x[i * c + j];
        scale = 1 / sqrt(sum / (double)c + eps);
        if (rstd)
            rstd[i] = scale;
        for (int64_t j = 0; j < c; j++)
            y[i * c + j] = x[i * c + j] * scale * w[j];
    }
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static double weighted(const double *y, const float *by, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += y[i] * (double)by[i];
    return sum;
}

/* --------------------------------------------------------------------- norm */

typedef struct norm_ctx {
    double *x, *w, *y;
    const float *dy;
    int64_t n, c;
    double eps;
} norm_ctx;

static double norm_value(void *ctx)
{
    norm_ctx *k = ctx;
    plain_norm(k->x, k->w, k->n, k->c, k->eps, k->y, NULL);
    return weighted(k->y, k->dy, k->n * k->c);
}

/* What sums in dx and dw are made of, as norms: float32 rounds these, whatever is left of them
 * where they cancel (rows of one or two, gradients that meet what was there). */
static void norm_terms(const norm_ctx *k, const double *rstd, const float *old_dx,
                       const float *old_dw, double *dx, double *dw)
{
    *dx = *dw = 0;
    for (int64_t i = 0; i < k->n; i++) {
        double rows = 0; /* of sum_j dy w x rstd, over C */
        for (int64_t j = 0; j < k->c; j++) {
            const int64_t at = i * k->c + j;
            const double x = k->x[at] * rstd[i], dy = (double)k->dy[at];
            *dw += pow(dy * x, 2);
            *dx += pow(rstd[i] * dy * k->w[j], 2);
            *dx += old_dx ? pow((double)old_dx[at], 2) : 0;
            rows += pow(dy * k->w[j] * x / (double)k->c, 2);
        }
        for (int64_t j = 0; j < k->c; j++)
            *dx += pow(k->x[i * k->c + j] * rstd[i] * rstd[i], 2) * rows;
    }
    for (int64_t j = 0; j < k->c; j++)
        *dw += pow((double)old_dw[j], 2);
    *dx = sqrt(*dx);
    *dw = sqrt(*dw);
}

/* Something is added to x first: the sum is left in x, and everything is that of the sum. */
static void norm_add_case(rig *r, int64_t n, int64_t c, int64_t gap)
{
    const int64_t shape[2] = { n, c }, n_c = n * c;
    float *x = normals(r, n_c, 1), *add = normals(r, n_c, 1), *w = normals(r, c, 1);
    float *sum = normals(r, n_c, 1);
    double *wide, *ww = widened(w, c), *y = calloc((size_t)n_c + 1, 8),
                  *rstd = calloc((size_t)n + 1, 8);
    for (int64_t i = 0; i < n_c; i++)
        sum[i] = x[i] + add[i];
    wide = widened(sum, n_c);
    plain_norm(wide, ww, n, c, (double)1e-5f, y, rstd);
    for (int k = 0; k < N_SIDES; k++) {
        side *s = &r->side[k];
        hone_error err = { 0 };
        hone_rmsnorm_args a = { .eps = 1e-5f };
        float *got;
        what(r, "rmsnorm (%lld, %lld) of a sum, row gap %lld, %s", (long long)n, (long long)c,
             (long long)gap, k ? "composed" : "fused");
        a.x = put(r, s, 2, shape, gap, x);
        a.add = put(r, s, 2, shape, gap / 2, add);
        a.w = put(r, s, 1, &c, 0, w);
        a.y = put(r, s, 2, shape, 0, NULL);
        a.rstd = put(r, s, 1, &n, 0, NULL);
        (void)good(r, ops_rmsnorm(s->o, a, &err), &err);
        got = get(r, s, a.x);
        same_bits(r, "x", got, sum, (size_t)n_c * sizeof *got);
        free(got);
        got = get(r, s, a.y);
        near_norm(r, "y", got, y, n_c, CLOSE);
        free(got);
        got = get(r, s, a.rstd);
        near_norm(r, "rstd", got, rstd, n, CLOSE);
        free(got);
        drop_all(s);
    }
    free(x), free(add), free(w), free(sum), free(wide), free(ww), free(y), free(rstd);
}

static void norm_case(rig *r, int64_t n, int64_t c, int64_t gap, float scale, bool accumulate,
                      bool wants_dw, bool check_differences)
{
    const int64_t shape[2] = { n, c }, n_c = n * c;
    const float eps = 1e-5f;
    float *x = normals(r, n_c, (double)scale), *w = normals(r, c, 1), *dy = normals(r, n_c, 1);
    float *old_dx = normals(r, n_c, 1), *old_dw = normals(r, c, 1);
    float *dx[N_SIDES], *dw[N_SIDES];
    double *wx = widened(x, n_c), *ww = widened(w, c), *y = calloc((size_t)n_c + 1, 8),
           *rstd = calloc((size_t)n + 1, 8), dx_terms, dw_terms;
    norm_ctx ctx = { wx, ww, y, dy, n, c, (double)eps };
    plain_norm(wx, ww, n, c, (double)eps, y, rstd);
    for (int k = 0; k < N_SIDES; k++) {
        side *s = &r->side[k];
        hone_error err = { 0 };
        hone_rmsnorm_args a = { .eps = eps, .accumulate_dx = accumulate };
        float *got;
        what(r, "rmsnorm (%lld, %lld), row gap %lld, x about %g%s%s, %s", (long long)n,
             (long long)c, (long long)gap, (double)scale, accumulate ? ", dx accumulated" : "",
             wants_dw ? "" : ", no dw", k ? "composed" : "fused");
        a.x = put(r, s, 2, shape, gap, x);
        a.w = put(r, s, 1, &c, 0, w);
        a.y = put(r, s, 2, shape, 0, NULL);
        a.rstd = put(r, s, 1, &n, 0, NULL);
        (void)good(r, ops_rmsnorm(s->o, a, &err), &err);
        got = get(r, s, a.y);
        near_norm(r, "y", got, y, n_c, CLOSE);
        free(got);
        got = get(r, s, a.rstd);
        near_norm(r, "rstd", got, rstd, n, CLOSE);
        free(got);
        a.dy = put(r, s, 2, shape, 0, dy);
        a.dx = put(r, s, 2, shape, 0, accumulate ? old_dx : NULL);
        if (wants_dw)
            a.dw = put(r, s, 1, &c, 0, old_dw);
        (void)good(r, ops_rmsnorm_bwd(s->o, a, &err), &err);
        dx[k] = get(r, s, a.dx);
        dw[k] = wants_dw ? get(r, s, a.dw) : NULL;
        drop_all(s);
    }
    norm_terms(&ctx, rstd, accumulate ? old_dx : NULL, old_dw, &dx_terms, &dw_terms);
    r->floor = dx_terms;
    near_pair(r, "dx, fused against composed", dx[FUSED], dx[COMPOSED], n_c, CLOSE);
    r->floor = dw_terms;
    if (wants_dw)
        near_pair(r, "dw, fused against composed", dw[FUSED], dw[COMPOSED], c, CLOSE);
    if (check_differences) {
        double *gx = differences(wx, n_c, norm_value, &ctx);
        double *gw = differences(ww, c, norm_value, &ctx);
        for (int64_t i = 0; accumulate && i < n_c; i++)
            gx[i] += (double)old_dx[i];
        for (int64_t j = 0; j < c; j++)
            gw[j] += (double)old_dw[j];
        r->floor = dx_terms;
        near_norm(r, "dx", dx[FUSED], gx, n_c, 1e-5);
        r->floor = dw_terms;
        if (wants_dw)
            near_norm(r, "dw", dw[FUSED], gw, c, 1e-5);
        free(gx);
        free(gw);
    }
    r->floor = 0;
    for (int k = 0; k < N_SIDES; k++) {
        free(dx[k]);
        free(dw[k]);
    }
    free(x), free(w), free(dy), free(old_dx), free(old_dw);
    free(wx), free(ww), free(y), free(rstd);
}

static void norms(rig *r)
{
    static const int64_t widths[] = { 1, 2, 7, 8, 15, 16, 33, 64, 100, 257, 640, 1030 };
    norm_case(r, 0, 16, 0, 1, false, true, false);
    norm_case(r, 700, 33, 0, 1, false, true, false); /* dw over many rows */
    norm_case(r, 3, 64, 0, 1e6f, false, true, false);
    norm_case(r, 3, 64, 0, 1e-6f, true, true, false);
    for (int i = 0; i < 30; i++)
        norm_case(r, pick(r, 1, 70), pick_of(r, widths, 12), i % 3 == 0 ? 5 : 0, 1, i % 2,
                  i % 4 != 1, false);
    for (int i = 0; i < 8; i++)
        norm_case(r, pick(r, 1, 5), pick(r, 1, 20), 0, 1, i % 2, true, true);
    for (int i = 0; i < 12; i++)
        norm_add_case(r, pick(r, 1, 70), widths[i], i % 3 ? 0 : 6);
}

/* --------------------------------------------------------------------- rope */

static void rope_case(rig *r, int64_t n, int64_t heads, int64_t d, int64_t gap, bool inverse)
{
    const int64_t shape[3] = { n, heads, d }, table[2] = { 40, d / 2 }, count = n * heads * d;
    float *x = normals(r, count, 1), *c = normals(r, table[0] * table[1], 1);
    float *sn = normals(r, table[0] * table[1], 1);
    int32_t *position = calloc((size_t)n + 1, sizeof *position);
    double *want = calloc((size_t)count + 1, sizeof *want);
    for (int64_t i = 0; i < n; i++)
        position[i] = (int32_t)pick(r, 0, table[0] - 1);
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t k = 0; k < d / 2; k++) {
                const int64_t low = (i * heads + h) * d + k, high = low + d / 2;
                const double co = (double)c[position[i] * (d / 2) + k];
                const double si = (double)sn[position[i] * (d / 2) + k] * (inverse ? -1 : 1);
                want[low] = (double)x[low] * co - (double)x[high] * si;
                want[high] = (double)x[high] * co + (double)x[low] * si;
            }
    for (int k = 0; k < N_SIDES; k++) {
        side *s = &r->side[k];
        hone_error err = { 0 };
        hone_rope_args a = { .inverse = inverse };
        float *got;
        what(r, "rope (%lld, %lld, %lld), row gap %lld%s, %s", (long long)n, (long long)heads,
             (long long)d, (long long)gap, inverse ? ", inverse" : "", k ? "composed" : "fused");
        a.x = put(r, s, 3, shape, gap, x);
        a.cos = put(r, s, 2, table, 0, c);
        a.sin = put(r, s, 2, table, 0, sn);
        a.position = put_ints(r, s, n, position);
        (void)good(r, ops_rope(s->o, a, &err), &err);
        got = get(r, s, a.x);
        near_norm(r, "x", got, want, count, CLOSE);
        free(got);
        if (n && k == FUSED) {
            position[n - 1] = 40;
            a.position = put_ints(r, s, n, position);
            must_fail(r, s, ops_rope(s->o, a, &err), &err);
            position[n - 1] = 39;
        }
        drop_all(s);
        if (n)
            position[n - 1] = 0;
        if (n && k == FUSED) /* the composed side gets the changed position too */
            for (int64_t h = 0; h < heads; h++)
                for (int64_t j = 0; j < d / 2; j++) {
                    const int64_t low = ((n - 1) * heads + h) * d + j, high = low + d / 2;
                    const double co = (double)c[j], si = (double)sn[j] * (inverse ? -1 : 1);
                    want[low] = (double)x[low] * co - (double)x[high] * si;
                    want[high] = (double)x[high] * co + (double)x[low] * si;
                }
    }
    free(x), free(c), free(sn), free(position), free(want);
}

static void ropes(rig *r)
{
    static const int64_t sizes[] = { 2, 4, 6, 8, 16, 32, 34, 64, 80, 128 };
    rope_case(r, 0, 2, 8, 0, false);
    for (int i = 0; i < 24; i++)
        rope_case(r, pick(r, 1, 60), pick(r, 1, 9), pick_of(r, sizes, 10), i % 3 ? 0 : 12, i % 2);
}

/* ------------------------------------------------------------------- swiglu */

typedef struct swiglu_ctx {
    double *gate, *up;
    const float *dy;
    int64_t n;
} swiglu_ctx;

static double swiglu_value(void *ctx)
{
    swiglu_ctx *k = ctx;
    double sum = 0;
    for (int64_t i = 0; i < k->n; i++)
        sum += silu(k->gate[i]) * k->up[i] * (double)k->dy[i];
    return sum;
}

static void swiglu_case(rig *r, int64_t n, int64_t f, int64_t gap, double scale, bool in_place)
{
    const int64_t shape[2] = { n, f }, count = n * f;
    float *gate = normals(r, count, scale), *up = normals(r, count, 1), *dy = normals(r, count, 1);
    double *want = calloc((size_t)count + 1, sizeof *want), *dg = want, *du, *wg, *wu;
    if (count > 3)
        gate[0] = 200, gate[1] = -200, gate[2] = 0;
    for (int64_t i = 0; i < count; i++)
        want[i] = silu((double)gate[i]) * (double)up[i];
    wg = widened(gate, count);
    wu = widened(up, count);
    {
        swiglu_ctx ctx = { wg, wu, dy, 1 };
        du = calloc((size_t)count + 1, sizeof *du);
        dg = calloc((size_t)count + 1, sizeof *dg);
        for (int64_t i = 0; i < count; i++) { /* elements are independent */
            double *g;
            ctx = (swiglu_ctx){ wg + i, wu + i, dy + i, 1 };
            g = differences(wg + i, 1, swiglu_value, &ctx);
            dg[i] = g[0];
            free(g);
            g = differences(wu + i, 1, swiglu_value, &ctx);
            du[i] = g[0];
            free(g);
        }
    }
    for (int k = 0; k < N_SIDES; k++) {
        side *s = &r->side[k];
        hone_error err = { 0 };
        hone_swiglu_args a = { 0 };
        float *got;
        what(r, "swiglu (%lld, %lld), row gap %lld%s, %s", (long long)n, (long long)f,
             (long long)gap, in_place ? ", in place" : "", k ? "composed" : "fused");
        a.gate = put(r, s, 2, shape, gap, gate);
        a.up = put(r, s, 2, shape, gap, up);
        a.y = put(r, s, 2, shape, 0, NULL);
        a.dy = put(r, s, 2, shape, 0, dy);
        a.dgate = in_place ? a.gate : put(r, s, 2, shape, 0, NULL);
        a.dup = in_place ? a.up : put(r, s, 2, shape, 0, NULL);
        (void)good(r, ops_swiglu(s->o, a, &err), &err);
        got = get(r, s, a.y);
        near_norm(r, "y", got, want, count, CLOSE);
        free(got);
        (void)good(r, ops_swiglu_bwd(s->o, a, &err), &err);
        got = get(r, s, a.dgate);
        near_norm(r, "dgate", got, dg, count, 1e-5);
        free(got);
        got = get(r, s, a.dup);
        near_norm(r, "dup", got, du, count, 1e-5);
        free(got);
        drop_all(s);
    }
    free(gate), free(up), free(dy), free(want), free(dg), free(du), free(wg), free(wu);
}

static void swiglus(rig *r)
{
    static const int64_t widths[] = { 1, 3, 8, 15, 16, 17, 31, 64, 100, 300 };
    swiglu_case(r, 0, 8, 0, 1, false);
    for (int i = 0; i < 16; i++)
        swiglu_case(r, pick(r, 1, 30), pick_of(r, widths, 10), i % 3 ? 0 : 7, i % 4 ? 2 : 20,
                    i % 2);
}

/* ------------------------------------------------------------------- linear */

static void linear_case(rig *r, int64_t n, int64_t rows, int64_t cols, bool transpose, bool bias,
                        float beta, int64_t gap, int64_t rank)
{
    const int64_t in = transpose ? rows : cols, out = transpose ? cols : rows;
    const int64_t xs[2] = { n, in }, ws[2] = { rows, cols }, ys[2] = { n, out };
    float *x = normals(r, n * in, 1), *w = normals(r, rows * cols, 1), *b = normals(r, out, 1);
    float *y = normals(r, n * out, 1), *low = normals(r, n * rank, 1);
    float *up = normals(r, rank * out, 1);
    const int64_t low_shape[2] = { n, rank };
    const int64_t up_shape[2] = { transpose ? rank : out, transpose ? out : rank };
    const float up_scale = 0.5f;
    double *want = calloc((size_t)(n * out) + 1, sizeof *want);
    const bool rounds = pick(r, 0, 1); /* what is bfloat16 already may be rounded to that */
    if (rounds) {
        cut_to_bf16(x, n * in);
        cut_to_bf16(w, rows * cols);
        cut_to_bf16(low, n * rank);
        cut_to_bf16(up, rank * out);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t o = 0; o < out; o++) {
            double sum =
                (bias ? (double)b[o] : 0) + (beta != 0 ? (double)(beta * y[i * out + o]) : 0);
            for (int64_t j = 0; j < in; j++)
                sum += (double)x[i * in + j] * (double)w[transpose ? j * cols + o : o * cols + j];
            for (int64_t j = 0; j < rank; j++)
                sum += (double)up_scale * (double)low[i * rank + j] *
                       (double)up[transpose ? j * out + o : o * rank + j];
            want[i * out + o] = sum;
        }
    for (int k = 0; k < N_SIDES; k++) {
        side *s = &r->side[k];
        hone_error err = { 0 };
        hone_weight weight = { .struct_size = sizeof weight,
                               .n_planes = 1,
                               .format = "fp32",
                               .rows = rows,
                               .cols = cols };
        hone_linear_args a = { .transpose = transpose, .beta = beta, .w = &weight };
        float *got;
        what(r, "linear (%lld, %lld) by (%lld, %lld)%s%s%s, beta %g, rank %lld on top, %s",
             (long long)n, (long long)in, (long long)rows, (long long)cols, transpose ? "" : "^T",
             bias ? " + bias" : "", rounds ? ", bfloat16" : "", (double)beta, (long long)rank,
             k ? "composed" : "fused");
        if (rank) {
            a.low = put(r, s, 2, low_shape, gap, low);
            a.up = put(r, s, 2, up_shape, 0, up);
            a.up_scale = up_scale;
        }
        weight.plane[0] = put(r, s, 2, ws, 0, w);
        a.x = put(r, s, 2, xs, gap, x);
        if (bias)
            a.bias = put(r, s, 1, &out, 0, b);
        a.y = put(r, s, 2, ys, gap, beta != 0 ? y : NULL);
        ops_round_operands(s->o, rounds ? HONE_BF16 : HONE_F32);
        (void)good(r, ops_linear(s->o, a, &err), &err);
        ops_round_operands(s->o, HONE_F32);
        got = get(r, s, a.y);
        near_norm(r, "y", got, want, n * out, CLOSE);
        free(got);
        if (transpose) {
            a.bias = put(r, s, 1, &out, 0, b);
            must_fail(r, s, ops_linear(s->o, a, &err), &err);
        }
        drop_all(s);
    }
    free(x), free(w), free(b), free(y), free(want), free(low), free(up);
}

static void linears(rig *r)
{
    static const int64_t sizes[] = { 1, 3, 8, 16, 17, 33, 64, 100, 130 };
    static const float betas[] = { 0, 1, 0.5f };
    for (int i = 0; i < 48; i++)
        linear_case(r, i % 4 ? pick(r, 1, 70) : pick(r, 1, 5), pick_of(r, sizes, 9),
                    pick_of(r, sizes, 9), i % 2, i % 2 == 0 && i % 3, betas[i % 3], i % 5 ? 0 : 6,
                    i % 7 < 3 ? pick(r, 1, 20) : 0);
    linear_case(r, 0, 8, 8, false, false, 0, 0, 4);
    linear_case(r, 1, 700, 300, false, true, 0, 0, 0);
    linear_case(r, 150, 700, 300, false, true, 0, 0, 8); /* more than one block of everything */
    linear_case(r, 150, 300, 700, true, false, 1, 0, 8);
}

/* --------------------------------------------------------------- what NaN does */

/* A NaN that goes in comes out where it went in; it is neither lost nor spread. */
static void nan_stays(rig *r)
{
    for (int k = 0; k < N_SIDES; k++) {
        side *s = &r->side[k];
        const int64_t n = 6, c = 40, shape[2] = { n, c };
        float *x = normals(r, n * c, 1), *w = normals(r, c, 1), *got;
        hone_error err = { 0 };
        hone_rmsnorm_args a = { .eps = 1e-5f };
        hone_swiglu_args g = { 0 };
        x[2 * c + 17] = NAN;
        what(r, "a NaN in row 2 of rmsnorm and swiglu, %s", k ? "composed" : "fused");
        a.x = put(r, s, 2, shape, 0, x);
        a.w = put(r, s, 1, &c, 0, w);
        a.y = put(r, s, 2, shape, 0, NULL);
        a.rstd = put(r, s, 1, &n, 0, NULL);
        (void)good(r, ops_rmsnorm(s->o, a, &err), &err);
        g.gate = g.up = a.x;
        g.y = put(r, s, 2, shape, 0, NULL);
        (void)good(r, ops_swiglu(s->o, g, &err), &err);
        got = get(r, s, a.y);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < c; j++)
                if (isnan(got[i * c + j]) != (i == 2)) {
                    fail(r, "rmsnorm: [%lld][%lld] is %g", (long long)i, (long long)j,
                         (double)got[i * c + j]);
                    i = n - 1, j = c;
                }
        free(got);
        got = get(r, s, g.y);
        for (int64_t i = 0; i < n * c; i++)
            if (isnan(got[i]) != (i == 2 * c + 17))
                fail(r, "swiglu: [%lld] is %g", (long long)i, (double)got[i]);
        free(got), free(x), free(w);
        drop_all(s);
    }
}

void check_fused(rig *r)
{
    norms(r);
    ropes(r);
    swiglus(r);
    linears(r);
    nan_stays(r);
}
