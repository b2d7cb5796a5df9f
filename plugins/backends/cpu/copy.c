/*
 * copy.c - copy and fill of strided views, with conversion.
 *
 * Equal dtypes are moved as they are. The small float and integer types convert
 * through float32, as a program's LOAD and STORE do; where a 32-bit or larger
 * integer or a double is one side, through double (exact up to 2^53).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "ew.h"

enum { PIECE = 4096 }; /* elements of one step */

static bool through_float(uint32_t dtype)
{
    return dtype != HONE_I32 && dtype != HONE_I64 && dtype != HONE_F64;
}

static double get(const cpu_exact *k, uint32_t dtype, const void *p)
{
    float x;
    switch (dtype) {
    case HONE_I32:
        return (double)*(const int32_t *)p;
    case HONE_I64:
        return (double)*(const int64_t *)p;
    case HONE_F64:
        return *(const double *)p;
    default:
        k->load[dtype](&x, p, 1);
        return (double)x;
    }
}

/* Whole numbers: nearest even, clamped; NaN gives 0. */
static void put(const cpu_exact *k, uint32_t dtype, void *p, double x)
{
    const double r = rint(x);
    const float y = (float)x;
    switch (dtype) {
    case HONE_I32:
        *(int32_t *)p = !(r == r)           ? 0
                        : r < -2147483648.0 ? INT32_MIN
                        : r >= 2147483648.0 ? INT32_MAX
                                            : (int32_t)r;
        break;
    case HONE_I64:
        *(int64_t *)p = !(r == r)                    ? 0
                        : r < -9223372036854775808.0 ? INT64_MIN
                        : r >= 9223372036854775808.0 ? INT64_MAX
                                                     : (int64_t)r;
        break;
    case HONE_F64:
        *(double *)p = x;
        break;
    default:
        k->store[dtype](p, &y, 1);
    }
}

typedef struct copy_job {
    const cpu_exact *k;
    ew_walk d, s;
    int64_t count;
} copy_job;

static void move(uint8_t *d, const uint8_t *s, uint32_t size)
{
    switch (size) { /* memcpy of a constant size is one instruction */
    case 1:
        *d = *s;
        break;
    case 2:
        memcpy(d, s, 2);
        break;
    case 4:
        memcpy(d, s, 4);
        break;
    default:
        memcpy(d, s, 8);
    }
}

/* Byte position of element i. */
static uint64_t place(const ew_walk *w, int64_t i)
{
    int64_t offset = 0;
    for (int k = w->n_dims; k-- > 0;) {
        offset += i % w->shape[k] * w->stride[k];
        i /= w->shape[k];
    }
    return (uint64_t)offset * w->size;
}

/* Elements from i on that are next to each other. */
static int64_t run_length(const ew_walk *w, int64_t i)
{
    const int k = w->n_dims - 1;
    return k < 0 || w->stride[k] != 1 ? 1 : w->shape[k] - i % w->shape[k];
}

static void copy_same(const copy_job *job, int64_t lo, int64_t hi)
{
    while (lo < hi) {
        int64_t n = run_length(&job->d, lo), m = run_length(&job->s, lo);
        uint8_t *d = job->d.p + place(&job->d, lo);
        const uint8_t *s = job->s.p + place(&job->s, lo);
        n = n < m ? n : m;
        n = n < hi - lo ? n : hi - lo;
        if (n == 1)
            move(d, s, job->d.size);
        else
            memcpy(d, s, (uint64_t)n * job->d.size);
        lo += n;
    }
}

static void copy_steps(void *arg, int64_t lo, int64_t hi, int thread)
{
    const copy_job *job = arg;
    float x[EW_BLOCK];
    (void)thread;
    lo *= PIECE;
    hi = hi * PIECE < job->count ? hi * PIECE : job->count;
    if (job->d.dtype == job->s.dtype) {
        copy_same(job, lo, hi);
        return;
    }
    for (; lo < hi; lo += EW_BLOCK) {
        const int64_t n = hi - lo < EW_BLOCK ? hi - lo : EW_BLOCK;
        if (through_float(job->d.dtype) && through_float(job->s.dtype)) {
            ew_walk_load(&job->s, job->k, x, lo, n);
            ew_walk_store(&job->d, job->k, x, lo, n);
            continue;
        }
        for (int64_t i = lo; i < lo + n; i++)
            put(job->k, job->d.dtype, job->d.p + place(&job->d, i),
                get(job->k, job->s.dtype, job->s.p + place(&job->s, i)));
    }
}

hone_status cpu_copy(hone_queue *q, const hone_tensor *dst, const hone_tensor *src, hone_error *err)
{
    copy_job job = { .k = q->dev->k->exact };
    void *d = NULL, *s = NULL;
    hone_status st = cpu_resolve(q->dev, dst, "copy: dst", &d, err);
    if (!st)
        st = cpu_resolve(q->dev, src, "copy: src", &s, err);
    if (st)
        return st;
    if (memcmp(dst->shape, src->shape, sizeof dst->shape) != 0) {
        char got[96], want[96];
        return hone_fail(err, HONE_ERR_ARG, "cpu: copy: src is %s, expected %s",
                         cpu_shape_text(got, sizeof got, 4, src->shape),
                         cpu_shape_text(want, sizeof want, 4, dst->shape));
    }
    if (!ew_apart(dst))
        return hone_fail(err, HONE_ERR_ARG, "cpu: copy: elements of dst overlap");
    job.count = hone_tensor_count(dst);
    if (!job.count)
        return HONE_OK;
    ew_walk_init(&job.d, dst, d);
    ew_walk_init(&job.s, src, s);
    cpu_parallel(q->dev, (job.count - 1) / PIECE + 1, 4, copy_steps, &job);
    return HONE_OK;
}

typedef struct fill_job {
    ew_walk d;
    int64_t count;
    uint8_t value[8];
} fill_job;

static void fill_steps(void *arg, int64_t lo, int64_t hi, int thread)
{
    const fill_job *job = arg;
    const uint32_t size = job->d.size;
    bool zero = true;
    (void)thread;
    for (uint32_t i = 0; i < size; i++)
        zero = zero && !job->value[i];
    lo *= PIECE;
    hi = hi * PIECE < job->count ? hi * PIECE : job->count;
    while (lo < hi) {
        const int64_t room = run_length(&job->d, lo), n = room < hi - lo ? room : hi - lo;
        uint8_t *d = job->d.p + place(&job->d, lo);
        if (zero)
            memset(d, 0, (uint64_t)n * size);
        else
            for (int64_t i = 0; i < n; i++)
                move(d + (uint64_t)i * size, job->value, size);
        lo += n;
    }
}

hone_status cpu_fill(hone_queue *q, const hone_tensor *dst, double value, hone_error *err)
{
    fill_job job = { .count = hone_tensor_count(dst) };
    void *d = NULL;
    hone_status st = cpu_resolve(q->dev, dst, "fill", &d, err);
    if (st || !job.count)
        return st;
    if (!ew_apart(dst))
        return hone_fail(err, HONE_ERR_ARG, "cpu: fill: elements of the view overlap");
    ew_walk_init(&job.d, dst, d);
    put(q->dev->k->exact, dst->dtype, job.value, value);
    cpu_parallel(q->dev, (job.count - 1) / PIECE + 1, 4, fill_steps, &job);
    return HONE_OK;
}
