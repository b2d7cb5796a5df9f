/*
 * hone/tensor.h - a view of device memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_TENSOR_H
#define HONE_TENSOR_H

#include "ew.h"

HONE_BEGIN

/* A buffer of a device: a handle, never a pointer. Host code reads it through
 * download() only. 0 is "none". */
typedef uint64_t hone_buf;

/* A strided view; passed and copied by value, owns nothing. FROZEN: it lives in
 * arrays. Element (i0, .., ir) is at byte offset + dtype size * sum(ik * stride[k]).
 * Unused dimensions have shape 1, stride 0. Stride 0 on a used dimension
 * broadcasts (read only). Strides are never negative. */
typedef struct hone_tensor {
    hone_buf buf;    /* 0: absent                                   */
    uint64_t offset; /* bytes, a multiple of the element size       */
    uint16_t dtype;  /* HONE_F32, ...                               */
    uint8_t rank;    /* 1..4                                        */
    uint8_t flags;   /* 0                                           */
    uint32_t reserved;
    int64_t shape[4];  /* elements; outermost first                   */
    int64_t stride[4]; /* elements                                   */
    uint64_t reserved2;
} hone_tensor;

HONE_STATIC_ASSERT(sizeof(hone_tensor) == 96, "frozen");

static inline int64_t hone_tensor_count(const hone_tensor *t)
{
    return t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3];
}

/* Dense row-major view of shape (d0, .., d[rank-1]) at byte `offset` of buf. */
static inline hone_tensor hone_tensor_dense(hone_buf buf, uint64_t offset, uint32_t dtype,
                                            uint32_t rank, const int64_t *shape)
{
    hone_tensor t;
    int64_t step = 1;
    uint32_t k;
    memset(&t, 0, sizeof t);
    t.buf = buf;
    t.offset = offset;
    t.dtype = (uint16_t)dtype;
    t.rank = (uint8_t)rank;
    for (k = 0; k < 4; k++)
        t.shape[k] = 1;
    for (k = rank; k-- > 0;) {
        t.shape[k] = shape[k];
        t.stride[k] = step;
        step *= shape[k];
    }
    return t;
}

static inline hone_tensor hone_tensor_1d(hone_buf buf, uint64_t offset, uint32_t dtype, int64_t n)
{
    return hone_tensor_dense(buf, offset, dtype, 1, &n);
}

static inline hone_tensor hone_tensor_2d(hone_buf buf, uint64_t offset, uint32_t dtype,
                                         int64_t rows, int64_t cols)
{
    const int64_t shape[2] = { rows, cols };
    return hone_tensor_dense(buf, offset, dtype, 2, shape);
}

HONE_END

#endif /* HONE_TENSOR_H */
