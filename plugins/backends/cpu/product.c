/*
 * product.c - float32 matrix products: oneDNN, and our own loops for few rows.
 *
 * Making a oneDNN primitive takes up to milliseconds (it writes machine code), so
 * each queue keeps those it has made, by shape, strides and factors. A product
 * with a few rows (decoding) only reads the matrix once; there a dot product per
 * column at memory speed is all that is wanted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dnnl.h>

#include "cpu.h"

enum { FEW = 4, SLOTS = 512, MOST = 384 };

typedef struct key {
    int64_t m, n, k, a_row, a_col, b_row, b_col, d_row;
    float alpha, beta;
    int32_t bias, used;
} key;

typedef struct made {
    key key;
    dnnl_primitive_t run;
    dnnl_memory_t a, b, bias, d;
} made;

struct cpu_products {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int64_t n;
    made slot[SLOTS]; /* open addressing by hash of the key */
};

static hone_status failed(dnnl_status_t status, const char *step, const cpu_product *p,
                          hone_error *err)
{
    return hone_fail(
        err, status == dnnl_out_of_memory ? HONE_ERR_NOMEM : HONE_ERR_DEVICE,
        "cpu: oneDNN %s failed with status %d for a product of %lld x %lld by %lld x %lld", step,
        (int)status, (long long)p->m, (long long)p->k, (long long)p->k, (long long)p->n);
}

static void made_clear(made *e)
{
    (void)dnnl_primitive_destroy(e->run);
    (void)dnnl_memory_destroy(e->a);
    (void)dnnl_memory_destroy(e->b);
    (void)dnnl_memory_destroy(e->bias);
    (void)dnnl_memory_destroy(e->d);
    memset(e, 0, sizeof *e);
}

void cpu_products_free(hone_queue *q)
{
    cpu_products *c = q->products;
    if (!c)
        return;
    for (int i = 0; i < SLOTS; i++)
        if (c->slot[i].key.used)
            made_clear(&c->slot[i]);
    (void)dnnl_stream_destroy(c->stream);
    (void)dnnl_engine_destroy(c->engine);
    q->dev->host->free(q->dev->host, c);
    q->products = NULL;
}

static dnnl_status_t products_open(hone_queue *q)
{
    cpu_products *c = q->dev->host->alloc(q->dev->host, sizeof *c, CPU_ALIGN, "cpu products");
    dnnl_status_t st = dnnl_out_of_memory;
    if (!c)
        return st;
    memset(c, 0, sizeof *c);
    st = dnnl_engine_create(&c->engine, dnnl_cpu, 0);
    if (!st)
        st = dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags);
    q->products = c;
    if (st)
        cpu_products_free(q);
    return st;
}

/* ---------------------------------------------------------------- one primitive */

static dnnl_status_t describe(dnnl_memory_desc_t *md, int64_t rows, int64_t cols, int64_t row,
                              int64_t col)
{
    const dnnl_dims_t dims = { rows, cols }, strides = { row, col };
    return dnnl_memory_desc_init_by_strides(md, 2, dims, dnnl_f32, strides);
}

static dnnl_status_t made_init(made *e, dnnl_engine_t engine, const key *k)
{
    dnnl_memory_desc_t a, b, bias, d;
    dnnl_matmul_desc_t op;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t post = NULL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t st = describe(&a, k->m, k->k, k->a_row, k->a_col);
    if (!st)
        st = describe(&b, k->k, k->n, k->b_row, k->b_col);
    if (!st)
        st = describe(&bias, 1, k->n, k->n, 1);
    if (!st)
        st = describe(&d, k->m, k->n, k->d_row, 1);
    if (!st)
        st = dnnl_matmul_desc_init(&op, &a, &b, k->bias ? &bias : NULL, &d);
    if (!st)
        st = dnnl_primitive_attr_create(&attr);
    if (!st && k->alpha != 1)
        st = dnnl_primitive_attr_set_output_scales(attr, 1, 0, &k->alpha);
    if (!st && k->beta != 0) {
        st = dnnl_post_ops_create(&post);
        if (!st)
            st = dnnl_post_ops_append_sum(post, k->beta);
        if (!st)
            st = dnnl_primitive_attr_set_post_ops(attr, post);
    }
    if (!st)
        st = dnnl_primitive_desc_create(&desc, &op, attr, engine, NULL);
    if (!st)
        st = dnnl_primitive_create(&e->run, desc);
    if (!st)
        st = dnnl_memory_create(&e->a, &a, engine, DNNL_MEMORY_NONE);
    if (!st)
        st = dnnl_memory_create(&e->b, &b, engine, DNNL_MEMORY_NONE);
    if (!st)
        st = dnnl_memory_create(&e->bias, &bias, engine, DNNL_MEMORY_NONE);
    if (!st)
        st = dnnl_memory_create(&e->d, &d, engine, DNNL_MEMORY_NONE);
    e->key = *k;
    (void)dnnl_post_ops_destroy(post);
    (void)dnnl_primitive_attr_destroy(attr);
    (void)dnnl_primitive_desc_destroy(desc);
    if (st)
        made_clear(e);
    return st;
}

static uint64_t hash(const key *k)
{
    const uint8_t *p = (const uint8_t *)k;
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < sizeof *k; i++)
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    return h;
}

static dnnl_status_t find(cpu_products *c, const key *k, made **out)
{
    uint64_t i = hash(k) % SLOTS;
    dnnl_status_t st;
    while (c->slot[i].key.used) {
        if (!memcmp(&c->slot[i].key, k, sizeof *k)) {
            *out = &c->slot[i];
            return dnnl_success;
        }
        i = (i + 1) % SLOTS;
    }
    if (c->n >= MOST) { /* many shapes (prompts of every length): start over */
        for (int s = 0; s < SLOTS; s++)
            if (c->slot[s].key.used)
                made_clear(&c->slot[s]);
        c->n = 0;
        i = hash(k) % SLOTS;
    }
    st = made_init(&c->slot[i], c->engine, k);
    if (!st) {
        c->n++;
        *out = &c->slot[i];
    }
    return st;
}

/* oneDNN takes void * for what it only reads. */
static void *writable(const float *p)
{
    union {
        const float *in;
        void *out;
    } u = { p };
    return u.out;
}

static hone_status product_dnnl(hone_queue *q, const cpu_product *p, hone_error *err)
{
    key k;
    made *e = NULL;
    dnnl_status_t st = q->products ? dnnl_success : products_open(q);
    if (st)
        return failed(st, "set-up", p, err);
    memset(&k, 0, sizeof k); /* padding is part of the key */
    k.m = p->m, k.n = p->n, k.k = p->k;
    /* the stride of the dimension that is not 1, never less than what it spans */
    k.a_col = p->a_col == 1 ? 1 : p->a_col > p->m ? p->a_col : p->m;
    k.a_row = p->a_col != 1 ? 1 : p->a_row > p->k ? p->a_row : p->k;
    k.b_col = p->b_col == 1 ? 1 : p->b_col > p->k ? p->b_col : p->k;
    k.b_row = p->b_col != 1 ? 1 : p->b_row > p->n ? p->b_row : p->n;
    k.d_row = p->d_row > p->n ? p->d_row : p->n;
    k.alpha = p->alpha, k.beta = p->beta;
    k.bias = p->bias != NULL;
    k.used = 1;
    cpu_parallel_setup(q->dev->threads);
    st = find(q->products, &k, &e);
    if (st)
        return failed(st, "set-up", p, err);
    (void)dnnl_memory_set_data_handle(e->a, writable(p->a));
    (void)dnnl_memory_set_data_handle(e->b, writable(p->b));
    (void)dnnl_memory_set_data_handle(e->bias, writable(p->bias));
    (void)dnnl_memory_set_data_handle(e->d, p->d);
    {
        const dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, e->a },
                                         { DNNL_ARG_WEIGHTS, e->b },
                                         { DNNL_ARG_DST, e->d },
                                         { DNNL_ARG_BIAS, e->bias } };
        st = dnnl_primitive_execute(e->run, q->products->stream, p->bias ? 4 : 3, args);
    }
    if (!st)
        st = dnnl_stream_wait(q->products->stream);
    return st ? failed(st, "run", p, err) : HONE_OK;
}

/* ----------------------------------------------------------- few rows, no product */

typedef struct few_job {
    const cpu_product *p;
    const cpu_rows *rows;
} few_job;

static inline float finish(const cpu_product *p, int64_t i, int64_t j, float x)
{
    float y = p->alpha * x + (p->bias ? p->bias[j] : 0);
    if (p->beta != 0)
        y += p->beta * p->d[i * p->d_row + j];
    return y;
}

/* Columns [lo, hi) of b are rows in memory: one dot product each. */
static void few_rows(void *arg, int64_t lo, int64_t hi, int thread)
{
    const few_job *job = arg;
    const cpu_product *p = job->p;
    float y[4];
    (void)thread;
    for (int64_t j = lo; j < hi; j += 4)
        for (int64_t i = 0; i < p->m; i++) {
            const float *a = p->a + i * p->a_row, *b = p->b + j * p->b_col;
            if (hi - j >= 4)
                job->rows->dot4(y, a, b, p->b_col, p->k);
            else
                for (int64_t t = 0; t < hi - j; t++)
                    y[t] = job->rows->dot(a, b + t * p->b_col, p->k);
            for (int64_t t = 0; t < 4 && j + t < hi; t++)
                p->d[i * p->d_row + j + t] = finish(p, i, j + t, y[t]);
        }
}

static void no_product(void *arg, int64_t lo, int64_t hi, int thread)
{
    const cpu_product *p = arg;
    (void)thread;
    for (int64_t i = lo; i < hi; i++)
        for (int64_t j = 0; j < p->n; j++)
            p->d[i * p->d_row + j] = finish(p, i, j, 0);
}

hone_status cpu_product_run(hone_queue *q, const cpu_product *p, hone_error *err)
{
    if (p->m == 0 || p->n == 0)
        return HONE_OK;
    if (p->k == 0 || p->alpha == 0) {
        cpu_product none = *p;
        cpu_parallel(q->dev, p->m, 1 + 16384 / p->n, no_product, &none);
        return HONE_OK;
    }
    if (p->m <= FEW && p->b_row == 1 && (p->a_col == 1 || p->k == 1)) {
        few_job job = { p, q->dev->k->rows };
        cpu_parallel(q->dev, p->n, 4 + 32768 / p->k, few_rows, &job);
        return HONE_OK;
    }
    return product_dnnl(q, p, err);
}
