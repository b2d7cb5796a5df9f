/*
 * attention_bwd.c - causal attention over packed sequences, backward.
 *
 *   P = exp(scale S - largest) / sum, dV = P^T dO, dP = dO V^T,
 *   dS = scale P (dP - delta), delta_i = dO_i . O_i, dQ = dS K, dK = dS^T Q
 *
 * An item is (sequence, key/value head) with all the query heads of its group: what
 * it writes, nobody else does, so sums have one order and there are no atomics.
 * When that makes too few items for the threads, it is (sequence, query head), and
 * the heads of a group leave partial dK, dV that are added in order afterwards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attention.h"

#include <math.h>

typedef struct back_area {
    float p[TILE_K * TILE_Q], dp[TILE_K * TILE_Q];
    float largest[TILE_Q], share[TILE_Q], delta[TILE_Q]; /* share: 1 / sum */
    float rest[];                                        /* back_parts */
} back_area;

/* Behind the struct, in floats: q, d_o (d, TILE_Q) transposed; dq (TILE_Q, wide);
 * room for padded q, d_o (TILE_Q, wide), k (TILE_K, wide); dk, dv (max keys, wide). */
static int64_t rest_floats_of(int64_t d, int64_t wide, int64_t max_keys)
{
    return 2 * d * TILE_Q + (3 * TILE_Q + TILE_K + 2 * max_keys) * wide;
}

static int64_t rest_floats(const attention *a, int64_t max_keys)
{
    return rest_floats_of(a->d, a->wide, max_keys);
}

static uint64_t area_bytes(int64_t d, int64_t wide, int64_t max_keys)
{
    return (sizeof(back_area) + (uint64_t)rest_floats_of(d, wide, max_keys) * sizeof(float) +
            CPU_ALIGN - 1) /
           CPU_ALIGN * CPU_ALIGN;
}

/* Partial dk, dv: those of every query head, when a batch has few sequences. */
uint64_t cpu_attention_bwd_scratch(const hone_dev *dev, const hone_extent *e)
{
    const int64_t wide = (e->head_dim + TILE_N - 1) / TILE_N * TILE_N;
    const uint64_t parts = e->heads > e->kv_heads
                               ? 2 * (uint64_t)(e->tokens * e->heads * e->head_dim) * sizeof(float)
                               : 0;
    return area_bytes(e->head_dim, wide, e->longest) * (uint64_t)dev->threads + parts;
}

typedef struct back_job {
    attention a;
    int64_t group; /* query heads of a key/value head                 */
    int64_t parts; /* 1: items take whole groups; group: single heads */
    int64_t max_keys;
    float *part[2]; /* dk, dv of the heads of groups: (parts, m, kv_heads, d) */
} back_job;

/* One tile of queries: dq, and what it adds to dk, dv (keys of the sequence, wide). */
static void back_tile(const attention *a, const attention_tile *t, back_area *w, float *dk,
                      float *dv)
{
    const cpu_tile *k = a->k->tile;
    float *qt = w->rest, *dot = qt + a->d * TILE_Q, *dq = dot + a->d * TILE_Q;
    float *pad_q = dq + TILE_Q * a->wide, *pad_do = pad_q + TILE_Q * a->wide;
    float *pad_k = pad_do + TILE_Q * a->wide;
    const float *largest = (const float *)a->lse.p + t->head * a->n + t->query;
    const float *sum = largest + a->heads * a->n;
    const float *q, *d_o;
    int64_t lo, hi, q_row, d_o_row;
    k->transpose(qt, t->lanes, attention_row(&a->q, t->query, t->head, a->d), a->q.row, t->n, a->d);
    k->transpose(dot, t->lanes, attention_row(&a->d_o, t->query, t->head, a->d), a->d_o.row, t->n,
                 a->d);
    q = attention_pad(a, &a->q, t->query, t->head, t->n, pad_q, &q_row);
    d_o = attention_pad(a, &a->d_o, t->query, t->head, t->n, pad_do, &d_o_row);
    for (int64_t i = 0; i < t->lanes; i++) {
        const bool real = i < t->n; /* lanes beyond give p = exp(-inf) = 0 */
        w->largest[i] = real ? largest[i] : INFINITY;
        w->share[i] = real ? 1 / sum[i] : 0;
        w->delta[i] =
            real ? a->k->rows->dot(attention_row(&a->o, t->query + i, t->head, a->d),
                                   attention_row(&a->d_o, t->query + i, t->head, a->d), a->d)
                 : 0;
    }
    attention_keys(a, t, &lo, &hi);
    for (int64_t j = lo, keys; j < hi; j += keys) {
        const float *key, *value = attention_row(&a->v, t->key + j, t->kv_head, a->d);
        int64_t key_row;
        keys = hi - j < TILE_K ? hi - j : TILE_K;
        a->multiply(w->p, TILE_Q, attention_row(&a->kk, t->key + j, t->kv_head, a->d), a->kk.row, 1,
                    qt, TILE_Q, keys, t->lanes, a->d, 0);
        a->multiply(w->dp, TILE_Q, value, a->v.row, 1, dot, TILE_Q, keys, t->lanes, a->d, 0);
        if (j + keys > t->position + 1 || (a->window && j + a->window < t->position + t->n))
            attention_mask(a, t, w->p, j, keys);
        k->softmax_back(w->p, w->dp, keys, t->lanes, a->scale, w->largest, w->share, w->delta);
        a->multiply(dv + j * a->wide, a->wide, w->p, TILE_Q, 1, d_o, d_o_row, keys, a->wide, t->n,
                    1);
        a->multiply(dk + j * a->wide, a->wide, w->dp, TILE_Q, 1, q, q_row, keys, a->wide, t->n, 1);
        key = attention_pad(a, &a->kk, t->key + j, t->kv_head, keys, pad_k, &key_row);
        a->multiply(dq, a->wide, w->dp, 1, TILE_Q, key, key_row, t->n, a->wide, keys, j > lo);
    }
    for (int64_t i = 0; i < t->n; i++)
        memcpy(attention_row(&a->dq, t->query + i, t->head, a->d), dq + i * a->wide,
               (size_t)a->d * sizeof *dq);
}

static void back_item(void *arg, int64_t item, int thread)
{
    const back_job *job = arg;
    const attention *a = &job->a;
    const int64_t part = item % job->parts, kv = item / job->parts % a->kv_heads;
    const int64_t s = item / job->parts / a->kv_heads;
    const int64_t heads = job->group / job->parts, head = kv * job->group + part;
    const int64_t k0 = a->cu_k[s], nk = a->cu_k[s + 1] - k0;
    void *area = a->scratch + (uint64_t)thread * a->scratch_each;
    back_area *w = area;
    float *dk = w->rest + rest_floats(a, 0), *dv = dk + nk * a->wide;
    float *to[2] = { attention_row(&a->dk, k0, kv, a->d), attention_row(&a->dv, k0, kv, a->d) };
    int64_t row[2] = { a->dk.row, a->dv.row };
    memset(dk, 0, (size_t)(2 * nk * a->wide) * sizeof *dk);
    for (int64_t h = head; h < head + heads; h++)
        for (int64_t i = 0; i < attention_tiles(a, s); i++) {
            const attention_tile t = attention_tile_of(a, s, h, i);
            back_tile(a, &t, w, dk, dv);
        }
    for (int i = 0; i < 2; i++) {
        if (job->parts > 1) {
            row[i] = a->kv_heads * a->d;
            to[i] = job->part[i] + (part * a->m + k0) * row[i] + kv * a->d;
        }
        for (int64_t j = 0; j < nk; j++)
            memcpy(to[i] + j * row[i], (i ? dv : dk) + j * a->wide, (size_t)a->d * sizeof *dk);
    }
}

/* Key rows [lo, hi): the parts of a group, added in order. */
static void add_parts(void *arg, int64_t lo, int64_t hi, int thread)
{
    const back_job *job = arg;
    const attention *a = &job->a;
    const int64_t row = a->kv_heads * a->d;
    (void)thread;
    for (int i = 0; i < 2; i++)
        for (int64_t j = lo; j < hi; j++) {
            float *to = attention_row(i ? &a->dv : &a->dk, j, 0, a->d);
            memcpy(to, job->part[i] + j * row, (size_t)row * sizeof *to);
            for (int64_t p = 1; p < job->parts; p++)
                a->k->rows->axpy(to, job->part[i] + (p * a->m + j) * row, 1, row);
        }
}

static void zero_rows(const cpu_view *v, int64_t lo, int64_t hi, int64_t n)
{
    for (int64_t i = lo; i < hi; i++)
        memset((float *)v->p + i * v->row, 0, (size_t)n * sizeof(float));
}

hone_status cpu_attention_bwd(hone_queue *q, const hone_attention_args *args, hone_error *err)
{
    back_job job = { 0 };
    attention *a = &job.a;
    int64_t live = 0, first, past;
    uint64_t parts_bytes;
    uint8_t *scratch;
    hone_status st;
    CPU_ARGS(args, err);
    st = attention_init(a, q, args, true, err);
    if (st || !a->heads)
        return st;
    for (int64_t s = 0; s < a->sequences; s++) {
        const int64_t nk = a->cu_k[s + 1] - a->cu_k[s];
        live += nk > 0;
        job.max_keys = nk > job.max_keys ? nk : job.max_keys;
    }
    job.group = a->heads / a->kv_heads;
    job.parts = live * a->kv_heads < 4 * q->dev->threads ? job.group : 1;
    a->scratch_each = area_bytes(a->d, a->wide, job.max_keys);
    parts_bytes =
        job.parts > 1 ? (uint64_t)(job.parts * a->m * a->kv_heads * a->d) * sizeof(float) : 0;
    scratch = cpu_scratch(q, a->scratch_each * (uint64_t)q->dev->threads + 2 * parts_bytes);
    if (!scratch)
        return hone_fail(err, HONE_ERR_NOMEM, "cpu: attention_bwd: no memory for %d work areas",
                         q->dev->threads);
    a->scratch = scratch;
    scratch += a->scratch_each * (uint64_t)q->dev->threads;
    job.part[0] = (float *)(void *)scratch;
    job.part[1] = (float *)(void *)(scratch + parts_bytes);
    attention_each(q->dev, a, a->sequences * a->kv_heads * job.parts, back_item, &job);
    first = a->cu_k[0];
    past = a->cu_k[a->sequences];
    if (job.parts > 1) {
        back_job tail = job; /* rows [first, past) of the keys */
        cpu_view *v[2] = { &tail.a.dk, &tail.a.dv };
        for (int i = 0; i < 2; i++) {
            v[i]->p = (float *)v[i]->p + first * v[i]->row;
            tail.part[i] += first * a->kv_heads * a->d;
        }
        cpu_parallel(q->dev, past - first, 16, add_parts, &tail);
    }
    zero_rows(&a->dk, 0, first, a->kv_heads * a->d);
    zero_rows(&a->dv, 0, first, a->kv_heads * a->d);
    zero_rows(&a->dk, past, a->m, a->kv_heads * a->d);
    zero_rows(&a->dv, past, a->m, a->kv_heads * a->d);
    zero_rows(&a->dq, 0, a->cu_q[0], a->heads * a->d);
    zero_rows(&a->dq, a->cu_q[a->sequences], a->n, a->heads * a->d);
    return HONE_OK;
}
