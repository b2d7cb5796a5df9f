/*
 * check_memory.c - buffers, queues, events, running out, arguments that are wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/rig.h"

static void upload_download(rig *r)
{
    side *s = &r->side[FUSED];
    static const int64_t sizes[] = { 0, 1, 3, 63, 64, 65, 4097, 1 << 20, (1 << 21) + 5 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const uint64_t n = (uint64_t)sizes[i];
        uint8_t *a = calloc(n + 1, 1), *b = calloc(n + 1, 1);
        hone_error err = { 0 };
        hone_buf buf = 0;
        what(r, "upload and download of %llu bytes", (unsigned long long)n);
        for (uint64_t k = 0; a && k < n; k++)
            a[k] = (uint8_t)(k * 7 + i);
        if (good(r, ops_alloc(s->o, &buf, n, &err), &err) &&
            good(r, ops_upload(s->o, buf, 0, a, n, &err), &err)) {
            uint8_t first = a[0];
            if (n)
                a[0] ^= 0xff; /* src may be reused as soon as upload() returns */
            (void)good(r, ops_download(s->o, b, buf, 0, n, &err), &err);
            a[0] = first;
            same_bits(r, "contents", b, a, n);
            if (n > 2) {
                (void)good(r, ops_download(s->o, b, buf, 1, n - 2, &err), &err);
                same_bits(r, "a part", b, a + 1, n - 2);
            }
            must_fail(r, s, ops_upload(s->o, buf, 1, a, n, &err), &err);
            must_fail(r, s, ops_download(s->o, b, buf, UINT64_MAX, 1, &err), &err);
        }
        if (!buf)
            fail(r, "the handle is 0, which means none");
        ops_free(s->o, buf);
        free(a);
        free(b);
    }
    ops_free(s->o, 0);
}

static void host_memory(rig *r)
{
    side *s = &r->side[FUSED];
    const int64_t n = 1000;
    hone_error err = { 0 };
    hone_buf buf = 0;
    hone_tensor t;
    void *p = NULL;
    float *got;
    what(r, "host memory");
    if (!good(r, ops_alloc_host(s->o, &buf, &p, 4 * (uint64_t)n, &err), &err))
        return;
    for (int64_t i = 0; i < n; i++)
        ((float *)p)[i] = (float)i;
    t = put(r, s, 1, &n, 0, NULL);
    (void)good(r, ops_copy(s->o, t, hone_tensor_1d(buf, 0, HONE_F32, n), &err), &err);
    got = get(r, s, t); /* waits: p may be written again */
    same_bits(r, "copied from host memory", got, p, 4 * (size_t)n);
    free(got);
    what(r, "mapping device memory is refused");
    must_fail(r, s, r->device->map(ops_dev(s->o), t.buf, &p, &err), &err);
    ops_free(s->o, buf);
    drop_all(s);
}

static void out_of_memory(rig *r)
{
    side *s = &r->side[FUSED];
    static const uint64_t sizes[] = { UINT64_C(1) << 60, UINT64_MAX, UINT64_MAX - 4096,
                                      UINT64_C(1) << 46 };
    const int64_t n = 100;
    float *x = normals(r, n, 1), *got;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        hone_error err = { 0 };
        hone_buf buf = 0;
        what(r, "a buffer of %llu bytes", (unsigned long long)sizes[i]);
        if (ops_alloc(s->o, &buf, sizes[i], &err) != HONE_ERR_DEVMEM || buf || !err.message[0])
            fail(r, "gives handle %llu, \"%s\"; expected HONE_ERR_DEVMEM with a message",
                 (unsigned long long)buf, err.message);
    }
    what(r, "after running out of memory");
    got = get(r, s, put(r, s, 1, &n, 0, x));
    same_bits(r, "a new buffer", got, x, 4 * (size_t)n);
    free(got);
    free(x);
    drop_all(s);
}

/* A chain of adds in one queue takes effect in order; a second queue that waits for
 * an event of the first sees all of it. */
static void order(rig *r)
{
    side *s = &r->side[FUSED];
    const hone_device *d = r->device;
    const int64_t n = 5000, steps = 200;
    hone_error err = { 0 };
    hone_queue *q = NULL;
    hone_event done = 0;
    float *zero = calloc((size_t)n, 4), *one = calloc((size_t)n, 4), *got;
    hone_tensor x, y, z;
    what(r, "order of %lld ops and an event", (long long)steps);
    for (int64_t i = 0; i < n; i++)
        one[i] = 1;
    x = put(r, s, 1, &n, 0, zero);
    y = put(r, s, 1, &n, 0, one);
    z = put(r, s, 1, &n, 0, NULL);
    if (!good(r, d->queue_create(ops_dev(s->o), &q, &err), &err))
        goto out;
    for (int64_t i = 0; i < steps; i++) { /* x = 2 x + 1, modulo 1 by scaling back */
        (void)good(r, ops_add(s->o, x, 1, y, &err), &err);
        if (i % 10 == 9)
            (void)good(r, ops_scale(s->o, x, 0.5f, &err), &err);
    }
    (void)good(r, d->record(ops_queue(s->o), &done, &err), &err);
    (void)good(r, d->wait(q, done, &err), &err);
    (void)good(r, d->copy(q, &z, &x, &err), &err);
    (void)good(r, d->sync(q, &err), &err);
    d->event_free(ops_dev(s->o), done);
    got = get(r, s, z);
    {
        float want = 0;
        for (int64_t i = 0; i < steps; i++) {
            want += 1;
            if (i % 10 == 9)
                want *= 0.5f;
        }
        for (int64_t i = 0; i < n; i++)
            if (got[i] != want) {
                fail(r, "[%lld] is %.9g, expected %.9g", (long long)i, (double)got[i],
                     (double)want);
                break;
            }
    }
    free(got);
out:
    d->queue_destroy(q);
    d->queue_destroy(NULL);
    drop_all(s);
    free(zero);
    free(one);
}

/* free() while ops that use the buffer may still be queued */
static void free_while_queued(rig *r)
{
    side *s = &r->side[FUSED];
    const int64_t n = 40000;
    float *x = normals(r, n, 1), *got;
    hone_error err = { 0 };
    hone_tensor to;
    what(r, "freeing a buffer behind the ops that read it");
    to = put(r, s, 1, &n, 0, NULL);
    for (int i = 0; i < 50; i++) {
        hone_buf from = 0;
        if (!good(r, ops_alloc(s->o, &from, 4 * (uint64_t)n, &err), &err))
            break;
        (void)good(r, ops_upload(s->o, from, 0, x, 4 * (uint64_t)n, &err), &err);
        (void)good(r, ops_copy(s->o, to, hone_tensor_1d(from, 0, HONE_F32, n), &err), &err);
        ops_free(s->o, from);
    }
    got = get(r, s, to);
    same_bits(r, "the copy", got, x, 4 * (size_t)n);
    free(got);
    free(x);
    drop_all(s);
}

/* Tensors that do not lie in their buffer, or are none. */
static void bad_tensors(rig *r)
{
    side *s = &r->side[FUSED];
    const int64_t n = 100;
    float *x = normals(r, n, 1), *got;
    hone_tensor t = put(r, s, 1, &n, 0, x), out = put(r, s, 1, &n, 0, NULL);
    hone_tensor bad[12];
    size_t k = 0;
    hone_error err = { 0 };
    hone_kernel none = 0;
#define BAD(change) (bad[k] = t, bad[k].change, k++)
    BAD(buf = 0xdeadbeef);
    BAD(buf = 0);
    BAD(offset = 1 << 20);
    BAD(offset = UINT64_MAX - 3);
    BAD(offset = 65); /* not a multiple of the element size */
    BAD(dtype = 77);
    BAD(stride[0] = INT64_MAX);
    BAD(stride[0] = 1000);
    BAD(stride[0] = -1);
    BAD(rank = 9);
    BAD(shape[0] = -5);
    BAD(shape[0] = INT64_MAX / 2);
#undef BAD
    for (size_t i = 0; i < k; i++) {
        hone_tensor same = out;
        what(r, "malformed tensor %zu", i);
        memcpy(same.shape, bad[i].shape, sizeof same.shape);
        must_fail(r, s, ops_fill(s->o, bad[i], 1, &err), &err);
        must_fail(r, s, ops_copy(s->o, same, bad[i], &err), &err);
        must_fail(r, s, ops_scale(s->o, bad[i], 2, &err), &err);
        must_fail(r, s, ops_gemm(s->o, false, false, 1, bad[i], t, 0, out, &err), &err);
    }
    what(r, "a kernel that was never compiled");
    must_fail(
        r, s,
        ops_elementwise(
            s->o,
            (hone_ew_args){ .kernel = none, .n_bufs = 1, .bufs = &t, .shape = { n, 1, 1, 1 } },
            &err),
        &err);
    what(r, "an argument struct of another time");
    must_fail(r, s, r->device->gemm(ops_queue(s->o), &(hone_gemm_args){ .struct_size = 8 }, &err),
              &err);
    what(r, "after all these mistakes");
    (void)good(r, ops_copy(s->o, out, t, &err), &err);
    got = get(r, s, out);
    same_bits(r, "a copy", got, x, 4 * (size_t)n);
    free(got);
    free(x);
    drop_all(s);
}

static void described(rig *r)
{
    const hone_device *d = r->device;
    hone_error err = { 0 };
    uint32_t n = 0;
    hone_dev *dev = NULL;
    const hone_dev_info *info = ops_info(r->side[FUSED].o);
    what(r, "count, info, open");
    (void)good(r, d->count(plugin_host(), &n, &err), &err);
    if (n < 1)
        fail(r, "count is 0, and yet it opened");
    if (!info->type[0] || !info->name[0] || !info->mem_total)
        fail(r, "info says type \"%s\", name \"%s\", %llu bytes", info->type, info->name,
             (unsigned long long)info->mem_total);
    if (d->open(plugin_host(), n, NULL, &dev, &err) == HONE_OK || !err.message[0])
        fail(r, "device %u of %u opens", (unsigned)n, (unsigned)n);
    d->close(NULL);
}

void check_memory(rig *r)
{
    described(r);
    upload_download(r);
    host_memory(r);
    out_of_memory(r);
    order(r);
    free_while_queued(r);
    bad_tensors(r);
}
