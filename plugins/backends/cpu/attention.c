/*
 * attention.c - causal attention over packed sequences, forward.
 *
 * Dao et al. 2022/2023: a tile of queries runs over the keys once, keeping for
 * every query the largest score, the sum of exponentials and the weighted sum of
 * values; both sums are shrunk when a larger score turns up. Work items are (query
 * tile, head), independent of each other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attention.h"

#include <math.h>

/* ------------------------------------------------------------------- shared */

static hone_status check_sequences(const attention *a, hone_error *err)
{
    for (int64_t s = 0; s <= a->sequences; s++) {
        const int64_t q = a->cu_q[s], k = a->cu_k[s];
        const int64_t before_q = s ? a->cu_q[s - 1] : 0, before_k = s ? a->cu_k[s - 1] : 0;
        if (q < before_q || q > a->n || k < before_k || k > a->m)
            return hone_fail(
                err, HONE_ERR_ARG,
                "cpu: attention: sequence %lld ends at query %lld, key %lld; there are %lld, %lld",
                (long long)s - 1, (long long)q, (long long)k, (long long)a->n, (long long)a->m);
        if (s && q > before_q && k - before_k < q - before_q)
            return hone_fail(err, HONE_ERR_ARG,
                             "cpu: attention: sequence %lld has %lld queries but only %lld keys",
                             (long long)s - 1, (long long)(q - before_q),
                             (long long)(k - before_k));
    }
    return HONE_OK;
}

hone_status attention_init(attention *a, hone_queue *q, const hone_attention_args *args, bool back,
                           hone_error *err)
{
    const int64_t n = args->q.shape[0], heads = args->q.shape[1], d = args->q.shape[2];
    const int64_t m = args->k.shape[0], kv = args->k.shape[1];
    const int64_t nhd[3] = { n, heads, d }, mkd[3] = { m, kv, d }, hn[3] = { 2, heads, n };
    const int64_t cu[1] = { (int64_t)args->n_sequences + 1 };
    cpu_view cu_q, cu_k;
    const struct {
        const hone_tensor *t;
        const char *name;
        uint32_t dtype, flags, rank;
        const int64_t *shape;
        cpu_view *view;
        bool wanted;
    } rows[] = {
        { &args->q, "attention: q", HONE_F32, CPU_ROWS, 3, nhd, &a->q, true },
        { &args->k, "attention: k", HONE_F32, CPU_ROWS, 3, mkd, &a->kk, true },
        { &args->v, "attention: v", HONE_F32, CPU_ROWS, 3, mkd, &a->v, true },
        { &args->o, "attention: o", HONE_F32, CPU_ROWS, 3, nhd, &a->o, true },
        { &args->lse, "attention: lse", HONE_F32, back ? CPU_DENSE : CPU_OPTIONAL, 3, hn, &a->lse,
          true },
        { &args->cu_q, "attention: cu_q", HONE_I32, CPU_DENSE, 1, cu, &cu_q, true },
        { &args->cu_k, "attention: cu_k", HONE_I32, CPU_DENSE, 1, cu, &cu_k, true },
        { &args->d_o, "attention: d_o", HONE_F32, CPU_ROWS, 3, nhd, &a->d_o, back },
        { &args->dq, "attention: dq", HONE_F32, CPU_ROWS, 3, nhd, &a->dq, back },
        { &args->dk, "attention: dk", HONE_F32, CPU_ROWS, 3, mkd, &a->dk, back },
        { &args->dv, "attention: dv", HONE_F32, CPU_ROWS, 3, mkd, &a->dv, back },
    };
    memset(a, 0, sizeof *a);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hone_status st = HONE_OK;
        if (rows[i].wanted)
            st = cpu_want(q->dev, rows[i].t, rows[i].name, rows[i].dtype, rows[i].flags,
                          rows[i].rank, rows[i].shape, rows[i].view, err);
        if (st)
            return st;
    }
    if (kv < 1 || heads % kv || d < 1)
        return hone_fail(err, HONE_ERR_ARG,
                         "cpu: attention: %lld heads of size %lld over %lld key/value heads",
                         (long long)heads, (long long)d, (long long)kv);
    if (!(args->scale > 0) || args->window < 0)
        return hone_fail(err, HONE_ERR_ARG, "cpu: attention: scale %g, window %d",
                         (double)args->scale, (int)args->window);
    a->k = q->dev->k;
    if (a->k->amx && args->operands == HONE_BF16 && !q->dev->exact)
        a->amx = a->k->amx;
    a->multiply = a->amx ? a->amx->multiply : a->k->tile->multiply;
    a->n = n, a->m = m, a->heads = heads, a->kv_heads = kv, a->d = d;
    a->wide = (d + TILE_N - 1) / TILE_N * TILE_N;
    a->sequences = args->n_sequences;
    a->window = args->window;
    a->scale = args->scale;
    a->cu_q = cu_q.p;
    a->cu_k = cu_k.p;
    return check_sequences(a, err);
}

typedef struct amx_items {
    const cpu_amx *amx;
    void (*body)(void *arg, int64_t item, int thread);
    void *arg;
} amx_items;

static void one_with_tiles(void *arg, int64_t item, int thread)
{
    const amx_items *x = arg;
    x->amx->configure();
    x->body(x->arg, item, thread);
    x->amx->release();
}

void attention_each(const hone_dev *dev, const attention *a, int64_t n,
                    void (*body)(void *arg, int64_t item, int thread), void *arg)
{
    amx_items items = { a->amx, body, arg };
    if (a->amx)
        cpu_each(dev, n, one_with_tiles, &items);
    else
        cpu_each(dev, n, body, arg);
}

int64_t attention_tiles(const attention *a, int64_t sequence)
{
    return (a->cu_q[sequence + 1] - a->cu_q[sequence] + TILE_Q - 1) / TILE_Q;
}

attention_tile attention_tile_of(const attention *a, int64_t sequence, int64_t head, int64_t t)
{
    const int64_t q0 = a->cu_q[sequence], nq = a->cu_q[sequence + 1] - q0;
    const int64_t k0 = a->cu_k[sequence], nk = a->cu_k[sequence + 1] - k0;
    const int64_t first = t * TILE_Q, n = nq - first < TILE_Q ? nq - first : TILE_Q;
    return (attention_tile){ .query = q0 + first,
                             .n = n,
                             .lanes = (n + TILE_N - 1) / TILE_N * TILE_N,
                             .key = k0,
                             .n_keys = nk,
                             .position = nk - nq + first,
                             .head = head,
                             .kv_head = head / (a->heads / a->kv_heads) };
}

void attention_keys(const attention *a, const attention_tile *t, int64_t *lo, int64_t *hi)
{
    *lo = a->window && t->position >= a->window ? t->position - a->window + 1 : 0;
    *hi = t->position + t->n;
}

void attention_mask(const attention *a, const attention_tile *t, float *s, int64_t lo, int64_t keys)
{
    for (int64_t j = lo; j < lo + keys; j++, s += TILE_Q) {
        /* lane i stands at position + i and sees j when j <= that < j + window */
        const int64_t first = j - t->position, past = first + a->window;
        for (int64_t i = 0; i < first && i < t->lanes; i++)
            s[i] = -INFINITY;
        for (int64_t i = past < 0 ? 0 : past; a->window && i < t->lanes; i++)
            s[i] = -INFINITY;
    }
}

const float *attention_pad(const attention *a, const cpu_view *v, int64_t row, int64_t head,
                           int64_t rows, float *pack, int64_t *stride)
{
    const float *s = attention_row(v, row, head, a->d);
    *stride = v->row;
    if (a->wide == a->d)
        return s;
    for (int64_t i = 0; i < rows; i++) {
        memcpy(pack + i * a->wide, s + i * v->row, (size_t)a->d * sizeof *pack);
        memset(pack + i * a->wide + a->d, 0, (size_t)(a->wide - a->d) * sizeof *pack);
    }
    *stride = a->wide;
    return pack;
}

/* ------------------------------------------------------------------ forward */

/* A thread's work area. */
typedef struct forward_area {
    float s[TILE_K * TILE_Q];
    float largest[TILE_Q], sum[TILE_Q], shrink[TILE_Q];
    float rest[]; /* q (d, TILE_Q), o (TILE_Q, wide), v (TILE_K, wide) */
} forward_area;

typedef struct forward_job {
    attention a;
    const int32_t *tiles; /* (n_tiles, 2): sequence, tile */
    int64_t n_tiles;
} forward_job;

static void forward_tile(const attention *a, const attention_tile *t, forward_area *w)
{
    const cpu_tile *k = a->k->tile;
    float *q = w->rest, *o = q + a->d * TILE_Q, *pack = o + TILE_Q * a->wide;
    int64_t lo, hi;
    k->transpose(q, t->lanes, attention_row(&a->q, t->query, t->head, a->d), a->q.row, t->n, a->d);
    for (int64_t i = 0; i < t->lanes; i++) {
        w->largest[i] = -3e38f; /* finite: exp(-inf - largest) has to be 0, not NaN */
        w->sum[i] = 0;
    }
    attention_keys(a, t, &lo, &hi);
    for (int64_t j = lo, keys; j < hi; j += keys) {
        const float *v;
        int64_t v_row;
        keys = hi - j < TILE_K ? hi - j : TILE_K;
        a->multiply(w->s, TILE_Q, attention_row(&a->kk, t->key + j, t->kv_head, a->d), a->kk.row, 1,
                    q, TILE_Q, keys, t->lanes, a->d, 0);
        if (j + keys > t->position + 1 || (a->window && j + a->window < t->position + t->n))
            attention_mask(a, t, w->s, j, keys);
        k->softmax_step(w->s, keys, t->lanes, a->scale, w->largest, w->sum, w->shrink);
        for (int64_t i = 0; j > lo && i < t->n; i++)
            if (w->shrink[i] != 1)
                a->k->rows->scale(o + i * a->wide, o + i * a->wide, w->shrink[i], a->wide);
        v = attention_pad(a, &a->v, t->key + j, t->kv_head, keys, pack, &v_row);
        a->multiply(o, a->wide, w->s, 1, TILE_Q, v, v_row, t->n, a->wide, keys, j > lo);
    }
    for (int64_t i = 0; i < t->n; i++) {
        a->k->rows->scale(attention_row(&a->o, t->query + i, t->head, a->d), o + i * a->wide,
                          1 / w->sum[i], a->d);
        if (a->lse.p) {
            float *lse = (float *)a->lse.p + t->head * a->n + t->query + i;
            lse[0] = w->largest[i];
            lse[a->heads * a->n] = w->sum[i];
        }
    }
}

static void forward_item(void *arg, int64_t item, int thread)
{
    const forward_job *job = arg;
    const int32_t *at = job->tiles + item / job->a.heads * 2;
    const attention_tile t = attention_tile_of(&job->a, at[0], item % job->a.heads, at[1]);
    void *area = job->a.scratch + (uint64_t)thread * job->a.scratch_each;
    forward_tile(&job->a, &t, area);
}

/* Rows in no sequence. */
static void forward_outside(const attention *a)
{
    const int64_t first = a->cu_q[0], past = a->cu_q[a->sequences];
    for (int64_t i = 0; i < a->n; i++) {
        if (i == first)
            i = past;
        if (i >= a->n)
            break;
        memset(attention_row(&a->o, i, 0, a->d), 0, (size_t)(a->heads * a->d) * sizeof(float));
        for (int64_t h = 0; a->lse.p && h < a->heads; h++) {
            float *lse = (float *)a->lse.p + h * a->n + i;
            lse[0] = -INFINITY;
            lse[a->heads * a->n] = 0;
        }
    }
}

static uint64_t list_bytes(int64_t n_tiles)
{
    return ((uint64_t)n_tiles * 2 * sizeof(int32_t) + CPU_ALIGN - 1) / CPU_ALIGN * CPU_ALIGN;
}

static uint64_t area_bytes(int64_t d, int64_t wide)
{
    return (sizeof(forward_area) +
            (uint64_t)(d * TILE_Q + (TILE_Q + TILE_K) * wide) * sizeof(float) + CPU_ALIGN - 1) /
           CPU_ALIGN * CPU_ALIGN;
}

uint64_t cpu_attention_scratch(const hone_dev *dev, const hone_extent *e)
{
    const int64_t wide = (e->head_dim + TILE_N - 1) / TILE_N * TILE_N;
    return list_bytes(e->tokens) + area_bytes(e->head_dim, wide) * (uint64_t)dev->threads;
}

hone_status cpu_attention(hone_queue *q, const hone_attention_args *args, hone_error *err)
{
    forward_job job = { 0 };
    attention *a = &job.a;
    uint64_t list;
    int32_t *tiles;
    hone_status st;
    CPU_ARGS(args, err);
    st = attention_init(a, q, args, false, err);
    if (st || !a->n || !a->heads)
        return st;
    for (int64_t s = 0; s < a->sequences; s++)
        job.n_tiles += attention_tiles(a, s);
    list = list_bytes(job.n_tiles);
    a->scratch_each = area_bytes(a->d, a->wide);
    tiles = cpu_scratch(q, list + a->scratch_each * (uint64_t)q->dev->threads);
    if (!tiles)
        return hone_fail(err, HONE_ERR_NOMEM, "cpu: attention: no memory for %d work areas",
                         q->dev->threads);
    a->scratch = (uint8_t *)tiles + list;
    job.tiles = tiles;
    /* the last tile of a sequence sees the most keys: hand it out first */
    for (int64_t s = 0; s < a->sequences; s++)
        for (int64_t t = attention_tiles(a, s); t-- > 0;) {
            *tiles++ = (int32_t)s;
            *tiles++ = (int32_t)t;
        }
    attention_each(q->dev, a, job.n_tiles * a->heads, forward_item, &job);
    forward_outside(a);
    return HONE_OK;
}
