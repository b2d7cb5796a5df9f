/*
 * compose_attention.c - attention from the seven required ops.
 *
 * Queries go ROWS at a time, so scores are (H, ROWS, keys) and never N x N. Where a
 * row's sequence begins and ends only the device knows (first_key, last_key), the
 * host just bounds the keys a chunk can see by the longest sequence.
 *
 * All of it is rank 4, (K, group, rows, keys or D): heads that share a key/value
 * head read it through a stride of 0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/ops_parts.h"

#define THEN(call) (st = st ? st : (call))

enum { ROWS = 64 };

uint64_t compose_attention_bytes(int64_t heads, int64_t keys, bool training)
{
    const uint64_t scores = scratch_size((uint64_t)(heads * ROWS * keys));
    return (training ? 2 : 1) * scores + 2 * scratch_size((uint64_t)(heads * ROWS));
}

/* A chunk of query rows and the keys it can see. */
typedef struct chunk {
    int64_t at, n, key, keys; /* rows of q; rows of k */
    int64_t group;            /* H / K                */
} chunk;

static chunk chunk_of(const hone_attention_args *a, int64_t at)
{
    const int64_t n = a->q.shape[0], m = a->k.shape[0];
    chunk c = { .at = at,
                .n = n - at < ROWS ? n - at : ROWS,
                .keys = m,
                .group = a->q.shape[1] / a->k.shape[1] };
    int64_t back = a->max_k - 1; /* how far before its row a query can look */
    if (n != m)
        return c;
    if (a->window > 0 && a->window - 1 < back)
        back = a->window - 1;
    c.key = back > 0 && back < at ? at - back : back > 0 ? 0 : at;
    c.keys = at + c.n - c.key;
    return c;
}

/* (N, H, D) as (K, group, rows, D) */
static hone_tensor queries(hone_tensor t, const chunk *c)
{
    const int64_t shape[4] = { t.shape[1] / c->group, c->group, c->n, t.shape[2] };
    const int64_t stride[4] = { c->group * t.stride[1], t.stride[1], t.stride[0], t.stride[2] };
    return view_strided(view_rows(t, c->at, c->n), shape, stride);
}

/* (M, K, D) as (K, group, keys, D), the group sharing one */
static hone_tensor keys_of(hone_tensor t, const chunk *c, int64_t group)
{
    const int64_t shape[4] = { t.shape[1], group, c->keys, t.shape[2] };
    const int64_t stride[4] = { t.stride[1], 0, t.stride[0], t.stride[2] };
    return view_strided(view_rows(t, c->key, c->keys), shape, stride);
}

/* One head of each group, as a group of one. */
static hone_tensor one_of(hone_tensor t, int64_t g)
{
    t.offset += (uint64_t)(g * t.stride[1]) * sizeof(float);
    t.shape[1] = 1;
    return t;
}

/* (N) int32 along the rows of scores */
static hone_tensor along_rows(hone_tensor t, const chunk *c, const int64_t scores[4])
{
    return view_strided(view_rows(t, c->at, c->n), scores, (int64_t[]){ 0, 0, 1, 0 });
}

/* Half 0 or 1 of lse (2, H, N) as (K, group, rows, 1), and spread along the keys */
static hone_tensor of_rows(hone_tensor t, int64_t half, const chunk *c, int64_t kv)
{
    const int64_t n = t.shape[2];
    const int64_t shape[4] = { kv, c->group, c->n, 1 }, stride[4] = { c->group * n, n, 1, 0 };
    t.offset += (uint64_t)(half * t.shape[1] * n + c->at) * sizeof(float);
    return view_strided(t, shape, stride);
}

static hone_tensor spread(hone_tensor t, int64_t keys)
{
    t.shape[3] = keys;
    t.stride[3] = 0;
    return t;
}

static hone_status check(const hone_attention_args *a, hone_error *err)
{
    if (!a->first_key.buf || !a->last_key.buf)
        return hone_fail(
            err, HONE_ERR_UNSUPPORTED,
            "attention: the device offers none, and without first_key and last_key it cannot be "
            "composed");
    if (a->k.shape[1] < 1 || a->q.shape[1] % a->k.shape[1])
        return hone_fail(err, HONE_ERR_ARG, "attention: %lld heads over %lld key/value heads",
                         (long long)a->q.shape[1], (long long)a->k.shape[1]);
    return HONE_OK;
}

static void mask_params(const hone_attention_args *a, const chunk *c, float params[2])
{
    params[0] = (float)c->key;
    params[1] = a->window > 0 ? (float)a->window : 3e38f;
}

hone_status compose_attention(ops *o, const hone_attention_args *a, hone_error *err)
{
    const int64_t heads = a->q.shape[1], kv = a->k.shape[1];
    hone_status st = check(a, err);
    for (int64_t at = 0; !st && at < a->q.shape[0]; at += ROWS) {
        const chunk c = chunk_of(a, at);
        hone_tensor s, largest, sum, first, last;
        float params[2];
        mask_params(a, &c, params);
        st = scratch_begin(o, 0, compose_attention_bytes(heads, c.keys, false), err);
        if (st)
            break;
        s = scratch_take(o, 0, kv, c.group, c.n, c.keys);
        if (a->lse.buf) {
            largest = of_rows(a->lse, 0, &c, kv);
            sum = of_rows(a->lse, 1, &c, kv);
        } else {
            largest = scratch_take(o, 0, kv, c.group, c.n, 1);
            sum = scratch_take(o, 0, kv, c.group, c.n, 1);
        }
        first = along_rows(a->first_key, &c, s.shape);
        last = along_rows(a->last_key, &c, s.shape);
        THEN(ops_gemm(o, false, true, a->scale, queries(a->q, &c), keys_of(a->k, &c, c.group), 0, s,
                      err));
        THEN(run_reduce(o, PROGRAM_ATTN_MASKED, HONE_REDUCE_MAX, false, largest,
                        (hone_tensor[]){ s, first, last }, params, err));
        THEN(run_reduce(o, PROGRAM_ATTN_EXP, HONE_REDUCE_SUM, false, sum,
                        (hone_tensor[]){ s, first, last, spread(largest, c.keys) }, params, err));
        THEN(run_program(
            o, PROGRAM_ATTN_P,
            (hone_tensor[]){ s, first, last, spread(largest, c.keys), spread(sum, c.keys) }, params,
            err));
        THEN(
            ops_gemm(o, false, false, 1, s, keys_of(a->v, &c, c.group), 0, queries(a->o, &c), err));
    }
    return st;
}

/* What a chunk's dS and P give the keys: heads of a group one after the other. */
static hone_status add_to_keys(ops *o, const hone_attention_args *a, const chunk *c, hone_tensor p,
                               hone_tensor ds, hone_error *err)
{
    hone_status st = HONE_OK;
    for (int64_t g = 0; !st && g < c->group; g++) {
        THEN(ops_gemm(o, true, false, 1, one_of(p, g), one_of(queries(a->d_o, c), g), 1,
                      keys_of(a->dv, c, 1), err));
        THEN(ops_gemm(o, true, false, a->scale, one_of(ds, g), one_of(queries(a->q, c), g), 1,
                      keys_of(a->dk, c, 1), err));
    }
    return st;
}

hone_status compose_attention_bwd(ops *o, const hone_attention_args *a, hone_error *err)
{
    const int64_t heads = a->q.shape[1], kv = a->k.shape[1];
    hone_status st = check(a, err);
    THEN(ops_fill(o, a->dk, 0, err));
    THEN(ops_fill(o, a->dv, 0, err));
    for (int64_t at = 0; !st && at < a->q.shape[0]; at += ROWS) {
        const chunk c = chunk_of(a, at);
        hone_tensor p, dp, delta, first, last;
        float params[2];
        mask_params(a, &c, params);
        st = scratch_begin(o, 0, compose_attention_bytes(heads, c.keys, true), err);
        if (st)
            break;
        p = scratch_take(o, 0, kv, c.group, c.n, c.keys);
        dp = scratch_take(o, 0, kv, c.group, c.n, c.keys);
        delta = scratch_take(o, 0, kv, c.group, c.n, 1);
        first = along_rows(a->first_key, &c, p.shape);
        last = along_rows(a->last_key, &c, p.shape);
        THEN(ops_gemm(o, false, true, a->scale, queries(a->q, &c), keys_of(a->k, &c, c.group), 0, p,
                      err));
        THEN(
            run_program(o, PROGRAM_ATTN_P,
                        (hone_tensor[]){ p, first, last, spread(of_rows(a->lse, 0, &c, kv), c.keys),
                                         spread(of_rows(a->lse, 1, &c, kv), c.keys) },
                        params, err));
        THEN(ops_gemm(o, false, true, 1, queries(a->d_o, &c), keys_of(a->v, &c, c.group), 0, dp,
                      err));
        THEN(run_reduce(o, PROGRAM_PRODUCT, HONE_REDUCE_SUM, false, delta,
                        (hone_tensor[]){ queries(a->d_o, &c), queries(a->o, &c) }, NULL, err));
        THEN(run_program(o, PROGRAM_ATTN_DS, (hone_tensor[]){ dp, p, spread(delta, c.keys) }, NULL,
                         err));
        THEN(ops_gemm(o, false, false, a->scale, dp, keys_of(a->k, &c, c.group), 0,
                      queries(a->dq, &c), err));
        THEN(add_to_keys(o, a, &c, p, dp, err));
    }
    return st;
}
