/*
 * peer_dnnl.c - oneDNN's matmul primitive with packed weights, to be measured beside.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dnnl.h>
#include <stdlib.h>

#include "tests/bench/bench_ops.h"

enum { SRC, WEIGHTS, DST, ROLES };

extern void omp_set_num_threads(int n); /* of the thread library that oneDNN runs on */

struct peer {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t matmul;
    dnnl_memory_t memory[ROLES];
};

static dnnl_status_t fill(dnnl_memory_t memory, size_t bytes, bool bf16)
{
    void *p = NULL;
    const dnnl_status_t st = dnnl_memory_get_data_handle(memory, &p);
    for (size_t i = 0; !st && bf16 && i < bytes / 2; i++)
        ((uint16_t *)p)[i] = 0x3c23; /* about 0.01 */
    for (size_t i = 0; !st && !bf16 && i < bytes / sizeof(float); i++)
        ((float *)p)[i] = 0.01f;
    return st;
}

hone_status peer_open(peer **out, int threads, bool bf16, bool a_by_columns, int64_t m, int64_t n,
                      int64_t k, hone_error *err)
{
    const dnnl_dims_t dims[ROLES] = { { m, k }, { k, n }, { m, n } };
    const dnnl_format_tag_t tag[ROLES] = { a_by_columns ? dnnl_ba : dnnl_ab, dnnl_format_tag_any,
                                           dnnl_ab };
    const dnnl_data_type_t narrow = bf16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_data_type_t type[ROLES] = { narrow, narrow, dnnl_f32 };
    static const dnnl_query_t query[ROLES] = { dnnl_query_src_md, dnnl_query_weights_md,
                                               dnnl_query_dst_md };
    dnnl_memory_desc_t md[ROLES];
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t st = dnnl_success;
    hone_status result = HONE_OK;
    peer *p = calloc(1, sizeof *p);
    if (!p)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for a product of the peer");
    omp_set_num_threads(threads);
#define THEN(call) (st = st ? st : (call))
    for (int i = 0; i < ROLES; i++)
        THEN(dnnl_memory_desc_init_by_tag(&md[i], 2, dims[i], type[i], tag[i]));
    THEN(dnnl_engine_create(&p->engine, dnnl_cpu, 0));
    THEN(dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags));
    THEN(dnnl_matmul_desc_init(&desc, &md[SRC], &md[WEIGHTS], NULL, &md[DST]));
    THEN(dnnl_primitive_desc_create(&pd, &desc, NULL, p->engine, NULL));
    THEN(dnnl_primitive_create(&p->matmul, pd));
    for (int i = 0; i < ROLES; i++) {
        const dnnl_memory_desc_t *chosen =
            st ? NULL : dnnl_primitive_desc_query_md(pd, query[i], 0);
        THEN(dnnl_memory_create(&p->memory[i], chosen, p->engine, DNNL_MEMORY_ALLOCATE));
        THEN(fill(p->memory[i], st ? 0 : dnnl_memory_desc_get_size(chosen), bf16 && i != DST));
    }
    if (pd)
        (void)dnnl_primitive_desc_destroy(pd);
    if (st) {
        result = hone_fail(err, HONE_ERR_DEVICE, "oneDNN: status %d for %lld x %lld x %lld",
                           (int)st, (long long)m, (long long)n, (long long)k);
        goto out;
    }
    *out = p;
    p = NULL; /* given to the caller */
out:
    peer_close(p);
    return result;
}

hone_status peer_run(peer *p, hone_error *err)
{
    const dnnl_exec_arg_t args[ROLES] = { { DNNL_ARG_SRC, p->memory[SRC] },
                                          { DNNL_ARG_WEIGHTS, p->memory[WEIGHTS] },
                                          { DNNL_ARG_DST, p->memory[DST] } };
    dnnl_status_t st = dnnl_primitive_execute(p->matmul, p->stream, ROLES, args);
    THEN(dnnl_stream_wait(p->stream));
    return st ? hone_fail(err, HONE_ERR_DEVICE, "oneDNN: status %d", (int)st) : HONE_OK;
}

void peer_close(peer *p)
{
    if (!p)
        return;
    for (int i = 0; i < ROLES; i++)
        if (p->memory[i])
            (void)dnnl_memory_destroy(p->memory[i]);
    if (p->matmul)
        (void)dnnl_primitive_destroy(p->matmul);
    if (p->stream)
        (void)dnnl_stream_destroy(p->stream);
    if (p->engine)
        (void)dnnl_engine_destroy(p->engine);
    free(p);
}
