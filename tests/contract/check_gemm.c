/*
 * check_gemm.c - the matrix product against plain loops in double precision.
 *
 * Every other product may round its operands to bfloat16, and is given such as are that already:
 * whatever way it takes, its sums are held to float32.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/rig.h"

/* Rank-`rank` operand with (rows, cols) as its last two dimensions. */
typedef struct operand {
    hone_tensor t;
    float *x; /* owned: the flat buffer */
    int64_t total;
} operand;

static operand operand_new(rig *r, uint32_t rank, const int64_t *batch, int64_t rows, int64_t cols,
                           bool repeat, bool nothing)
{
    int64_t shape[4], step;
    operand o = { { 0 }, NULL, 0 };
    const bool by_column = pick(r, 0, 2) == 0;
    const int64_t pad = pick(r, 0, 2) ? 0 : pick(r, 1, 5);
    for (uint32_t k = 0; k + 2 < rank; k++)
        shape[k] = batch[k];
    shape[rank - 2] = rows;
    shape[rank - 1] = cols;
    o.t = hone_tensor_dense(0, 0, HONE_F32, rank, shape);
    o.t.stride[rank - 1] = by_column ? rows + pad : 1;
    o.t.stride[rank - 2] = by_column ? 1 : cols + pad;
    step = (by_column ? (rows + pad) * (cols ? cols : 1) : (cols + pad) * (rows ? rows : 1)) + 1;
    for (uint32_t k = rank - 2; k-- > 0;) {
        o.t.stride[k] = repeat && pick(r, 0, 1) ? 0 : step;
        step *= o.t.stride[k] ? shape[k] : 1;
    }
    o.total = step + 8;
    o.x = normals(r, o.total, 1);
    for (int64_t i = 0; nothing && i < o.total; i++)
        o.x[i] = NAN;
    return o;
}

static hone_tensor operand_put(rig *r, side *s, const operand *o)
{
    const hone_tensor flat = put(r, s, 1, &o->total, 0, o->x);
    hone_tensor t = o->t;
    t.buf = flat.buf;
    t.offset = flat.offset;
    return t;
}

/* Element (row, col) of batch (b0, b1), where b counts the leading dimensions. */
static float *at(const operand *o, const int64_t b[2], int64_t row, int64_t col)
{
    const uint32_t rank = o->t.rank;
    int64_t i = row * o->t.stride[rank - 2] + col * o->t.stride[rank - 1];
    for (uint32_t k = 0; k + 2 < rank; k++)
        i += b[k] * o->t.stride[k];
    return o->x + i;
}

static void one(rig *r, int round)
{
    static const int64_t sizes[] = { 1, 2, 3, 4, 5, 7, 8, 16, 17, 31, 64, 65, 100, 129, 200 };
    static const float factors[] = { 1, 0, -1, 0.5f, 2 };
    side *s = &r->side[FUSED];
    const uint32_t rank = round % 3 ? 2 : (uint32_t)pick(r, 2, 4);
    const int64_t batch[2] = { pick(r, 1, 3), pick(r, 1, 4) };
    const int64_t limit = rank == 2 ? 15 : 10;
    int64_t m = pick_of(r, sizes, (size_t)limit), n = pick_of(r, sizes, (size_t)limit),
            k = pick_of(r, sizes, (size_t)limit);
    const bool ta = pick(r, 0, 1), tb = pick(r, 0, 1), rounds = pick(r, 0, 1);
    const float alpha = factors[pick(r, 0, 1) * pick(r, 0, 4)], beta = factors[pick(r, 0, 4)];
    operand a, b, d;
    hone_tensor x, y, z;
    float *got;
    double bad = 0, size = 0;
    hone_error err = { 0 };
    if (round % 11 == 5)
        m = 1;
    if (round % 11 == 6)
        k = 0;
    if (round % 17 == 3)
        m = 130, n = 170, k = 260;
    if (round % 17 == 9 && rank == 2)
        m = pick(r, 5, 40), n = pick(r, 5, 70), k = pick(r, 1400, 2200);
    if (round == 100) /* more than is packed at once, in both directions */
        m = 9, n = 1100, k = 8230;
    if (round % 37 == 4)
        n = 0;
    a = operand_new(r, rank, batch, ta ? k : m, ta ? m : k, true, false);
    b = operand_new(r, rank, batch, tb ? n : k, tb ? k : n, true, false);
    d = operand_new(r, rank, batch, m, n, false, beta == 0);
    if (rounds) {
        cut_to_bf16(a.x, a.total);
        cut_to_bf16(b.x, b.total);
    }
    ops_round_operands(s->o, rounds ? HONE_BF16 : HONE_F32);
    what(r,
         "gemm rank %u, batch %lld x %lld, (%lld, %lld) by (%lld, %lld)%s%s%s, alpha %g, beta %g, "
         "strides a %lld %lld b %lld %lld d %lld %lld",
         rank, (long long)batch[0], (long long)batch[1], (long long)m, (long long)k, (long long)k,
         (long long)n, ta ? " a^T" : "", tb ? " b^T" : "", rounds ? ", bfloat16" : "",
         (double)alpha, (double)beta, (long long)a.t.stride[rank - 2],
         (long long)a.t.stride[rank - 1], (long long)b.t.stride[rank - 2],
         (long long)b.t.stride[rank - 1], (long long)d.t.stride[rank - 2],
         (long long)d.t.stride[rank - 1]);
    x = operand_put(r, s, &a);
    y = operand_put(r, s, &b);
    z = operand_put(r, s, &d);
    (void)good(r, ops_gemm(s->o, ta, tb, alpha, x, y, beta, z, &err), &err);
    got = get(r, s, hone_tensor_1d(z.buf, z.offset, HONE_F32, d.total));
    for (int64_t i = 0; i < (rank > 2 ? batch[0] : 1) * (rank > 3 ? batch[1] : 1); i++) {
        const int64_t place[2] = { rank > 3 ? i / batch[1] : i, rank > 3 ? i % batch[1] : 0 };
        for (int64_t row = 0; row < m; row++)
            for (int64_t col = 0; col < n; col++) {
                float *const to = at(&d, place, row, col);
                double sum = 0, want;
                for (int64_t j = 0; j < k; j++)
                    sum += (double)*at(&a, place, ta ? j : row, ta ? row : j) *
                           (double)*at(&b, place, tb ? col : j, tb ? j : col);
                want = (double)alpha * sum + (beta != 0 ? (double)beta * (double)*to : 0);
                bad += pow((double)got[to - d.x] - want, 2);
                size += want * want + (double)(alpha * alpha) * (double)k;
                *to = got[to - d.x]; /* what is left must be as it was */
            }
    }
    if (!(sqrt(bad) <= 2e-6 * sqrt(size)) && bad != 0)
        fail(r, "differs by %.3g of %.3g", sqrt(bad), sqrt(size));
    same_bits(r, "what lies between the elements of d", got, d.x, 4 * (size_t)d.total);
    ops_round_operands(s->o, HONE_F32);
    free(got);
    free(a.x);
    free(b.x);
    free(d.x);
    drop_all(s);
}

/* Half-precision operands, where the device takes them. */
static void narrow(rig *r)
{
    side *s = &r->side[FUSED];
    for (int round = 0; round < 8; round++) {
        const uint32_t dtype = round % 2 ? HONE_F16 : HONE_BF16;
        const int64_t m = pick(r, 1, 40), n = pick(r, 1, 40), k = pick(r, 1, 40);
        const int64_t as[2] = { m, k }, bs[2] = { n, k }, ds[2] = { m, n };
        float *a = normals(r, m * k, 1), *b = normals(r, n * k, 1), *wide[2], *got[2];
        hone_tensor t[2], d[2], w[2];
        hone_status st;
        hone_error err = { 0 };
        what(r, "gemm of dtype %u, (%lld, %lld) by (%lld, %lld)^T", dtype, (long long)m,
             (long long)k, (long long)n, (long long)k);
        t[0] = put_raw(r, s, dtype, 2, as, NULL);
        t[1] = put_raw(r, s, dtype, 2, bs, NULL);
        w[0] = put(r, s, 2, as, 0, a);
        w[1] = put(r, s, 2, bs, 0, b);
        for (int i = 0; i < 2; i++) { /* round by copying there and back */
            (void)good(r, ops_copy(s->o, t[i], w[i], &err), &err);
            (void)good(r, ops_copy(s->o, w[i], t[i], &err), &err);
            wide[i] = get(r, s, w[i]);
            d[i] = put(r, s, 2, ds, 0, NULL);
        }
        st = ops_gemm(s->o, false, true, 1, t[0], t[1], 0, d[0], &err);
        if (st != HONE_ERR_UNSUPPORTED && good(r, st, &err)) {
            (void)good(r, ops_gemm(s->o, false, true, 1, w[0], w[1], 0, d[1], &err), &err);
            got[0] = get(r, s, d[0]);
            got[1] = get(r, s, d[1]);
            near_pair(r, "the product", got[0], got[1], m * n, 2e-6);
            free(got[0]);
            free(got[1]);
        }
        free(wide[0]);
        free(wide[1]);
        free(a);
        free(b);
        drop_all(s);
    }
}

static void refused(rig *r)
{
    side *s = &r->side[FUSED];
    const int64_t as[2] = { 4, 6 }, ds[2] = { 4, 4 }, ranks[3] = { 1, 4, 6 };
    float *x = normals(r, 24, 1);
    const hone_tensor a = put(r, s, 2, as, 0, x), d = put(r, s, 2, ds, 0, NULL);
    hone_tensor scattered = a, small = d;
    hone_error err = { 0 };
    what(r, "gemm of shapes that do not match");
    must_fail(r, s, ops_gemm(s->o, false, false, 1, a, a, 0, d, &err), &err);
    what(r, "gemm into another shape");
    small.shape[0] = 3;
    must_fail(r, s, ops_gemm(s->o, false, true, 1, a, a, 0, small, &err), &err);
    what(r, "gemm of different ranks");
    must_fail(r, s, ops_gemm(s->o, false, true, 1, put(r, s, 3, ranks, 0, x), a, 0, d, &err), &err);
    what(r, "gemm with two strides that are not 1");
    scattered.shape[0] = scattered.shape[1] = 2;
    scattered.stride[0] = 12;
    scattered.stride[1] = 2;
    small.shape[0] = small.shape[1] = 2;
    must_fail(r, s, ops_gemm(s->o, false, false, 1, scattered, scattered, 0, small, &err), &err);
    free(x);
    drop_all(s);
}

void check_gemm(rig *r)
{
    for (int round = 0; round < 260; round++)
        one(r, round);
    narrow(r);
    refused(r);
}
