/*
 * check_attention.c - attention, fused and composed, against double precision; the
 * backward against central differences.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/rig.h"

enum { MAX_SEQUENCES = 64 };

/* The shape of a case. Query rows of sequence s: cu_q[s]..cu_q[s+1]. */
typedef struct shape {
    int64_t n, m, heads, kv, d, sequences;
    int32_t window;
    float scale;
    int32_t cu_q[MAX_SEQUENCES + 1], cu_k[MAX_SEQUENCES + 1];
    int64_t max_q, max_k;
} shape;

/* Keys that query row i sees: [*lo, *hi]; false: it is in no sequence. */
static bool sees(const shape *p, int64_t i, int64_t *lo, int64_t *hi)
{
    for (int64_t s = 0; s < p->sequences; s++)
        if (i >= p->cu_q[s] && i < p->cu_q[s + 1]) {
            *hi = p->cu_k[s + 1] - (p->cu_q[s + 1] - i);
            *lo = p->cu_k[s];
            if (p->window && *hi - p->window + 1 > *lo)
                *lo = *hi - p->window + 1;
            return true;
        }
    return false;
}

/* lse: (2, H, N) as in hone/device.h.
 * terms: the largest sum of |q k| of a row's scores, which their rounding is a share of. */
static void plain(const shape *p, const double *q, const double *k, const double *v, double *o,
                  double *lse, double *terms)
{
    double *e = calloc((size_t)p->m + 1, sizeof *e);
    for (int64_t i = 0; i < p->n; i++)
        for (int64_t h = 0; h < p->heads; h++) {
            const int64_t g = h / (p->heads / p->kv);
            double *to = o + (i * p->heads + h) * p->d, most = -HUGE_VAL, sum = 0, largest = 0;
            int64_t lo = 0, hi = -1;
            const bool any = sees(p, i, &lo, &hi);
            for (int64_t c = 0; c < p->d; c++)
                to[c] = 0;
            for (int64_t j = lo; j <= hi; j++) {
                double size = 0;
                e[j] = 0;
                for (int64_t c = 0; c < p->d; c++) {
                    const double x =
                        q[(i * p->heads + h) * p->d + c] * k[(j * p->kv + g) * p->d + c];
                    e[j] += x;
                    size += fabs(x);
                }
                e[j] *= (double)p->scale;
                largest = fmax(largest, size * (double)p->scale);
                most = e[j] > most ? e[j] : most;
            }
            for (int64_t j = lo; j <= hi; j++) {
                e[j] = exp(e[j] - most);
                sum += e[j];
            }
            for (int64_t j = lo; j <= hi; j++)
                for (int64_t c = 0; c < p->d; c++)
                    to[c] += e[j] / sum * v[(j * p->kv + g) * p->d + c];
            if (lse)
                lse[h * p->n + i] = any ? most : -HUGE_VAL;
            if (lse)
                lse[(p->heads + h) * p->n + i] = sum;
            if (terms)
                terms[h * p->n + i] = largest;
        }
    free(e);
}

typedef struct inputs {
    double *q, *k, *v, *o;
    const float *d_o;
    const shape *p;
} inputs;

static double value(void *ctx)
{
    const inputs *x = ctx;
    double sum = 0;
    plain(x->p, x->q, x->k, x->v, x->o, NULL, NULL);
    for (int64_t i = 0; i < x->p->n * x->p->heads * x->p->d; i++)
        sum += x->o[i] * (double)x->d_o[i];
    return sum;
}

/* The arguments on one side. */
static hone_attention_args args_for(rig *r, side *s, const shape *p, const float *q, const float *k,
                                    const float *v, int64_t gap, bool want_lse)
{
    const int64_t qs[3] = { p->n, p->heads, p->d }, ks[3] = { p->m, p->kv, p->d };
    const int64_t ls[3] = { 2, p->heads, p->n };
    int32_t *first = calloc((size_t)p->n + 1, 4), *last = calloc((size_t)p->n + 1, 4);
    hone_attention_args a = { .window = p->window,
                              .scale = p->scale,
                              .n_sequences = (uint32_t)p->sequences,
                              .max_q = p->max_q,
                              .max_k = p->max_k };
    for (int64_t i = 0; i < p->n; i++) {
        shape whole = *p;
        int64_t lo = 1, hi = 0;
        whole.window = 0;
        (void)sees(&whole, i, &lo, &hi);
        first[i] = (int32_t)lo;
        last[i] = (int32_t)hi;
    }
    a.q = put(r, s, 3, qs, gap, q);
    a.k = put(r, s, 3, ks, gap, k);
    a.v = put(r, s, 3, ks, gap, v);
    a.cu_q = put_ints(r, s, p->sequences + 1, p->cu_q);
    a.cu_k = put_ints(r, s, p->sequences + 1, p->cu_k);
    a.first_key = put_ints(r, s, p->n, first);
    a.last_key = put_ints(r, s, p->n, last);
    a.o = put(r, s, 3, qs, gap / 2, NULL);
    if (want_lse)
        a.lse = put(r, s, 3, ls, 0, NULL);
    free(first);
    free(last);
    return a;
}

static void name_case(rig *r, const shape *p, int side_no)
{
    char list[200];
    size_t n = 0;
    list[0] = '\0';
    for (int64_t s = 0; s <= p->sequences && n + 16 < sizeof list; s++)
        n +=
            (size_t)snprintf(list + n, sizeof list - n, " %d/%d", (int)p->cu_q[s], (int)p->cu_k[s]);
    what(r, "attention N %lld, M %lld, H %lld, K %lld, D %lld, window %d, sequences%s, %s",
         (long long)p->n, (long long)p->m, (long long)p->heads, (long long)p->kv, (long long)p->d,
         (int)p->window, list, side_no ? "composed" : "fused");
}

/* rounds: the device may round probabilities and their gradients to bfloat16 on their way into a
 * product; q, k, v and d_o are that already. */
static void attention_case(rig *r, const shape *p, double size, int64_t gap, bool back, bool slow,
                           bool rounds)
{
    const int64_t nq = p->n * p->heads * p->d, nk = p->m * p->kv * p->d;
    float *q = normals(r, nq, size), *k = normals(r, nk, size), *v = normals(r, nk, 1);
    float *d_o = normals(r, nq, 1), *grad[N_SIDES][3] = { { 0 } };
    float *const inputs_of[4] = { q, k, v, d_o };
    for (int i = 0; i < 4 && rounds; i++)
        cut_to_bf16(inputs_of[i], i == 1 || i == 2 ? nk : nq);
    double *wq = widened(q, nq), *wk = widened(k, nk), *wv = widened(v, nk);
    double *o = calloc((size_t)nq + 1, 8), *lse = calloc((size_t)(2 * p->heads * p->n) + 1, 8);
    double *terms = calloc((size_t)(p->heads * p->n) + 1, 8);
    static const char *const names[3] = { "dq", "dk", "dv" };
    plain(p, wq, wk, wv, o, lse, terms);
    for (int i = 0; i < N_SIDES; i++) {
        side *s = &r->side[i];
        const int64_t qs[3] = { p->n, p->heads, p->d }, ks[3] = { p->m, p->kv, p->d };
        hone_error err = { 0 };
        hone_attention_args a;
        float *got;
        name_case(r, p, i);
        a = args_for(r, s, p, q, k, v, gap, back || i == 0);
        ops_round_operands(s->o, rounds && i == FUSED ? HONE_BF16 : HONE_F32);
        (void)good(r, ops_attention(s->o, a, &err), &err);
        got = get(r, s, a.o);
        near_norm(r, "o", got, o, nq, rounds && i == FUSED ? 4e-3 : 5e-6);
        free(got);
        if (a.lse.buf) {
            got = get(r, s, a.lse);
            for (int64_t h = 0; h < p->heads * p->n; h++) {
                const double *sum = lse + p->heads * p->n;
                const float *got_sum = got + p->heads * p->n;
                const double off = 1e-5 * (1 + fabs(lse[h])) + 1e-6 * terms[h];
                const bool none = isinf(lse[h]); /* in no sequence */
                if (none ? (double)got[h] != lse[h] || got_sum[h] != 0
                         : !(fabs((double)got[h] - lse[h]) <= off) ||
                               !(fabs(log((double)got_sum[h]) - log(sum[h])) <= off)) {
                    fail(r, "lse[%lld] is %g and %g, expected %g and %g", (long long)h,
                         (double)got[h], (double)got_sum[h], lse[h], sum[h]);
                    break;
                }
            }
            free(got);
        }
        if (back) {
            a.d_o = put(r, s, 3, qs, 0, d_o);
            a.dq = put(r, s, 3, qs, gap, NULL);
            a.dk = put(r, s, 3, ks, gap, NULL);
            a.dv = put(r, s, 3, ks, 0, NULL);
            (void)good(r, ops_attention_bwd(s->o, a, &err), &err);
            grad[i][0] = get(r, s, a.dq);
            grad[i][1] = get(r, s, a.dk);
            grad[i][2] = get(r, s, a.dv);
        }
        ops_round_operands(s->o, HONE_F32);
        drop_all(s);
    }
    r->floor = 0.1 * sqrt((double)nq); /* one key takes it all: dq, dk are 0 */
    for (int i = 0; back && i < 3; i++)
        near_pair(r, names[i], grad[FUSED][i], grad[COMPOSED][i], i ? nk : nq,
                  rounds     ? 1e-2
                  : size > 2 ? 3e-4 /* exp of large scores magnifies their rounding */
                             : 1e-5);
    if (back && slow) {
        inputs x = { wq, wk, wv, o, d_o, p };
        double *of[3] = { wq, wk, wv };
        for (int i = 0; i < 3; i++) {
            double *g = differences(of[i], i ? nk : nq, value, &x);
            near_norm(r, names[i], grad[FUSED][i], g, i ? nk : nq, 2e-5);
            free(g);
        }
    }
    r->floor = 0;
    for (int i = 0; i < N_SIDES; i++)
        for (int j = 0; j < 3; j++)
            free(grad[i][j]);
    free(q), free(k), free(v), free(d_o), free(wq), free(wk), free(wv), free(o), free(lse),
        free(terms);
}

/* Fill cu from lengths; tail: rows behind the last sequence. */
static void pack(shape *p, const int64_t *q, const int64_t *k, int64_t sequences, int64_t tail)
{
    p->sequences = sequences;
    p->cu_q[0] = p->cu_k[0] = 0;
    p->max_q = p->max_k = 1;
    for (int64_t s = 0; s < sequences; s++) {
        p->cu_q[s + 1] = (int32_t)(p->cu_q[s] + q[s]);
        p->cu_k[s + 1] = (int32_t)(p->cu_k[s] + k[s]);
        p->max_q = q[s] > p->max_q ? q[s] : p->max_q;
        p->max_k = k[s] > p->max_k ? k[s] : p->max_k;
    }
    p->n = p->cu_q[sequences] + tail;
    p->m = p->cu_k[sequences] + tail;
}

/* Gradients as formulas, in double precision. g: dq, dk, dv, zeroed. */
static void plain_back(const shape *p, const double *q, const double *k, const double *v,
                       const float *d_o, double *const g[3])
{
    double *e = calloc((size_t)p->m + 1, sizeof *e), *dp = calloc((size_t)p->m + 1, sizeof *dp);
    for (int64_t i = 0; i < p->n; i++)
        for (int64_t h = 0; h < p->heads; h++) {
            const int64_t at = (i * p->heads + h) * p->d, group = h / (p->heads / p->kv);
            double most = -HUGE_VAL, sum = 0, delta = 0;
            int64_t lo = 0, hi = -1;
            (void)sees(p, i, &lo, &hi);
            for (int64_t j = lo; j <= hi; j++) {
                const int64_t to = (j * p->kv + group) * p->d;
                e[j] = dp[j] = 0;
                for (int64_t c = 0; c < p->d; c++) {
                    e[j] += q[at + c] * k[to + c] * (double)p->scale;
                    dp[j] += (double)d_o[at + c] * v[to + c];
                }
                most = e[j] > most ? e[j] : most;
            }
            for (int64_t j = lo; j <= hi; j++)
                sum += exp(e[j] - most);
            for (int64_t j = lo; j <= hi; j++) {
                e[j] = exp(e[j] - most) / sum;
                delta += e[j] * dp[j];
            }
            for (int64_t j = lo; j <= hi; j++) {
                const int64_t to = (j * p->kv + group) * p->d;
                const double ds = e[j] * (dp[j] - delta) * (double)p->scale;
                for (int64_t c = 0; c < p->d; c++) {
                    g[0][at + c] += ds * k[to + c];
                    g[1][to + c] += ds * q[at + c];
                    g[2][to + c] += e[j] * (double)d_o[at + c];
                }
            }
        }
    free(e);
    free(dp);
}

/* Scores that float32 holds exactly, all of them about `about`: whatever the gradients are off
 * by comes from the softmax alone. */
static void large_scores(rig *r, float about)
{
    shape p = { .heads = 4, .kv = 2, .d = 64, .scale = 0.125f };
    const int64_t len[2] = { 70, 150 };
    static const char *const names[3] = { "dq", "dk", "dv" };
    int64_t nq, nk;
    pack(&p, len, len, 2, 0);
    nq = p.n * p.heads * p.d;
    nk = p.m * p.kv * p.d;
    float *q = normals(r, nq, 1), *k = normals(r, nk, 1), *v = normals(r, nk, 1);
    float *d_o = normals(r, nq, 1);
    for (int64_t i = 0; i < nq; i++) /* quarters: products are sixteenths */
        q[i] = i % p.d ? roundf(q[i] * 4) / 4 : about / p.scale;
    for (int64_t i = 0; i < nk; i++)
        k[i] = i % p.d ? roundf(k[i] * 4) / 4 : 1;
    double *wq = widened(q, nq), *wk = widened(k, nk), *wv = widened(v, nk);
    double *const want[3] = { calloc((size_t)nq, 8), calloc((size_t)nk, 8), calloc((size_t)nk, 8) };
    plain_back(&p, wq, wk, wv, d_o, want);
    for (int i = 0; i < N_SIDES; i++) {
        side *s = &r->side[i];
        const int64_t qs[3] = { p.n, p.heads, p.d }, ks[3] = { p.m, p.kv, p.d };
        hone_error err = { 0 };
        hone_attention_args a = args_for(r, s, &p, q, k, v, 0, true);
        what(r, "attention with scores about %g, %s", (double)about, i ? "composed" : "fused");
        (void)good(r, ops_attention(s->o, a, &err), &err);
        a.d_o = put(r, s, 3, qs, 0, d_o);
        a.dq = put(r, s, 3, qs, 0, NULL);
        a.dk = put(r, s, 3, ks, 0, NULL);
        a.dv = put(r, s, 3, ks, 0, NULL);
        (void)good(r, ops_attention_bwd(s->o, a, &err), &err);
        for (int j = 0; j < 3; j++) {
            float *got = get(r, s, j == 0 ? a.dq : j == 1 ? a.dk : a.dv);
            near_norm(r, names[j], got, want[j], j ? nk : nq, 1e-6);
            free(got);
        }
        drop_all(s);
    }
    for (int j = 0; j < 3; j++)
        free(want[j]);
    free(q), free(k), free(v), free(d_o), free(wq), free(wk), free(wv);
}

static void random_heads(rig *r, shape *p)
{
    static const int64_t sizes[] = { 8, 16, 24, 32, 40, 64, 80, 96, 128, 4, 12, 1, 33 };
    static const int64_t groups[] = { 1, 2, 3, 4, 7, 8 };
    p->kv = pick(r, 1, 3);
    p->heads = p->kv * pick_of(r, groups, 6);
    p->d = pick_of(r, sizes, 13);
    p->scale = (float)(1 / sqrt((double)p->d));
    p->window = 0;
}

/* Training: keys and queries are the same rows. */
static void packed(rig *r)
{
    static const int64_t lengths[] = { 1,  2,  3,   15,  16,  17,  31,  63,
                                       64, 65, 100, 127, 128, 129, 200, 0 };
    for (int round = 0; round < 40; round++) {
        shape p = { 0 };
        int64_t len[MAX_SEQUENCES];
        const int64_t sequences = round % 4 == 0 ? 1 : pick(r, 1, 6);
        random_heads(r, &p);
        for (int64_t s = 0; s < sequences; s++)
            len[s] = pick_of(r, lengths, 16);
        pack(&p, len, len, sequences, round % 3 ? 0 : pick(r, 0, 9));
        if (round % 3 == 1)
            p.window = (int32_t)pick(r, 1, 90);
        attention_case(r, &p, 1, round % 5 ? 0 : 8, true, false, round % 3 == 1);
    }
    { /* many short sequences, some empty, some sequences unused at the end */
        shape p = { .heads = 4, .kv = 2, .d = 16, .scale = 0.25f };
        int64_t len[MAX_SEQUENCES];
        for (int64_t s = 0; s < 60; s++)
            len[s] = s < 50 ? pick(r, 0, 5) : 0;
        pack(&p, len, len, 60, 3);
        attention_case(r, &p, 1, 0, true, false, false);
        attention_case(r, &p, 1, 0, true, false, true);
    }
    for (int i = 0; i < 2; i++) { /* wide heads */
        shape p = { .heads = 1, .kv = 1, .d = 168, .scale = 0.08f };
        const int64_t len[2] = { 70, 20 };
        pack(&p, len, len, 2, 0);
        attention_case(r, &p, 1, 0, true, false, i);
    }
    { /* scores in the hundreds: one key takes it all */
        shape p = { .heads = 2, .kv = 1, .d = 32, .scale = 1 };
        const int64_t len[2] = { 70, 130 };
        pack(&p, len, len, 2, 0);
        attention_case(r, &p, 8, 0, true, false, false);
    }
    for (int round = 0; round < 6; round++) { /* small enough for differences */
        shape p = { 0 };
        const int64_t len[3] = { pick(r, 1, 5), pick(r, 0, 3), pick(r, 1, 4) };
        p.kv = pick(r, 1, 2);
        p.heads = p.kv * pick(r, 1, 2);
        p.d = pick(r, 2, 9);
        p.scale = 0.4f;
        p.window = round % 2 ? 2 : 0;
        pack(&p, len, len, 3, round % 3);
        attention_case(r, &p, 1, 0, true, true, false);
    }
}

/* Decoding and prefill with a cache: more keys than queries. */
static void with_cache(rig *r)
{
    for (int round = 0; round < 16; round++) {
        shape p = { 0 };
        int64_t q[4], k[4];
        const int64_t sequences = pick(r, 1, 4);
        random_heads(r, &p);
        for (int64_t s = 0; s < sequences; s++) {
            q[s] = round % 2 ? 1 : pick(r, 1, 70);
            k[s] = q[s] + pick(r, round % 4 ? 1 : 0, 150);
        }
        pack(&p, q, k, sequences, 0);
        if (p.n == p.m)
            continue; /* that would promise equal rows */
        p.window = round % 3 == 2 ? (int32_t)pick(r, 1, 50) : 0;
        attention_case(r, &p, 1, round % 4 ? 0 : 4, false, false, round % 3 == 2);
    }
}

/* A NaN in one query row stays in that row; rows in no sequence may hold anything a
 * fused op never looks at. */
static void nan_stays(rig *r)
{
    side *s = &r->side[FUSED];
    shape p = { .heads = 2, .kv = 1, .d = 16, .scale = 0.25f };
    const int64_t len[2] = { 90, 20 }, n = 110 * 2 * 16;
    float *q, *k, *v, *got;
    hone_error err = { 0 };
    hone_attention_args a;
    pack(&p, len, len, 2, 0);
    q = normals(r, n, 1);
    k = normals(r, n / 2, 1);
    v = normals(r, n / 2, 1);
    q[(70 * 2 + 1) * 16 + 3] = NAN;
    name_case(r, &p, FUSED);
    a = args_for(r, s, &p, q, k, v, 0, true);
    (void)good(r, ops_attention(s->o, a, &err), &err);
    got = get(r, s, a.o);
    for (int64_t i = 0; i < 220; i++)
        if (isnan(got[i * 16]) != (i == 70 * 2 + 1)) {
            fail(r, "with a NaN in query 70, head 1: o of query %lld, head %lld is %g",
                 (long long)i / 2, (long long)i % 2, (double)got[i * 16]);
            break;
        }
    free(got), free(q), free(k), free(v);
    drop_all(s);
}

static void refused(rig *r)
{
    side *s = &r->side[FUSED];
    shape p = { .heads = 2, .kv = 1, .d = 8, .scale = 0.4f };
    const int64_t len[2] = { 6, 4 };
    float *x = normals(r, 10 * 2 * 8, 1);
    hone_error err = { 0 };
    hone_attention_args a;
    static const int32_t bad[][3] = { { 0, 6, 11 }, { 0, 7, 6 }, { -1, 6, 10 } };
    pack(&p, len, len, 2, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        a = args_for(r, s, &p, x, x, x, 0, true);
        what(r, "attention over sequences %d %d %d of 10 rows", (int)bad[i][0], (int)bad[i][1],
             (int)bad[i][2]);
        a.cu_q = a.cu_k = put_ints(r, s, 3, bad[i]);
        must_fail(r, s, ops_attention(s->o, a, &err), &err);
        drop_all(s);
    }
    what(r, "attention with heads that do not divide");
    a = args_for(r, s, &p, x, x, x, 0, true);
    a.q.shape[1] = 3;
    must_fail(r, s, ops_attention(s->o, a, &err), &err);
    drop_all(s);
    free(x);
}

void check_attention(rig *r)
{
    packed(r);
    large_scores(r, 100);
    large_scores(r, 1000);
    with_cache(r);
    nan_stays(r);
    refused(r);
}
