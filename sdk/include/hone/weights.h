/*
 * hone/weights.h - how a frozen weight matrix is stored, independent of the device.
 *
 * A format splits a matrix (O, I) into up to six planes (codes, scales, ..). It
 * brings a host reference in both directions, which is the oracle, and a decode
 * program, with which every device can use the format at once. For a product the
 * core takes, in this order: the device's own kernel for the format's name, a
 * native kernel of the format, decode into a tile followed by a dense gemm.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_WEIGHTS_H
#define HONE_WEIGHTS_H

#include "host.h"
#include "tensor.h"

HONE_BEGIN

#define HONE_MAX_PLANES 6

typedef struct hone_plane { /* FROZEN */
    char name[24];          /* "codes", "scales": suffix in saved files */
    uint32_t dtype;         /* HONE_F32, HONE_U8, ...                   */
    uint32_t reserved;
    int64_t count; /* elements                                 */
} hone_plane;

HONE_STATIC_ASSERT(sizeof(hone_plane) == 40, "frozen");

typedef struct hone_planes {
    uint32_t struct_size;
    uint32_t n;
    hone_plane plane[HONE_MAX_PLANES];
} hone_planes;

/* A matrix on a device. Borrowed by every op that takes it. */
typedef struct hone_weight {
    uint32_t struct_size;
    uint32_t n_planes;
    const char *format;                 /* "fp32", "bf16", "nf4", ...            */
    int64_t rows, cols;                 /* O, I                                  */
    hone_tensor plane[HONE_MAX_PLANES]; /* dense formats: plane[0] is (O, I)     */
    uint64_t cache;                     /* the device's own slot, 0 at first: a packed copy;
                                           the device frees it with the buffer    */
    float outlier; /* int8: columns of x with an |x| of this and more are multiplied apart from
                      the int8 product, in 16 bits or better; 0: none */
    uint32_t reserved;
} hone_weight;

typedef struct hone_weights {
    uint32_t struct_size;
    uint32_t dense; /* dtype when plane[0] is the plain matrix (fp32, fp16, bf16); 0 when packed */

    /* config: the struct of the component's rows, borrowed until destroy(). [main] */
    hone_status (*create)(const hone_host *host, const void *config, void **self, hone_error *err);
    void (*destroy)(void *self); /* NULL is fine [main] */

    /* Planes of a (rows, cols) matrix. planes->struct_size is set by the caller. [any] */
    hone_status (*layout)(void *self, int64_t rows, int64_t cols, hone_planes *planes,
                          hone_error *err);
    /* Host reference: rows * cols float32, row-major, to planes and back. plane[k]
     * points to plane k's memory, sized by layout(). [any] */
    hone_status (*quantize)(void *self, const float *src, int64_t rows, int64_t cols,
                            void *const *plane, hone_error *err);
    hone_status (*dequantize)(void *self, const void *const *plane, int64_t rows, int64_t cols,
                              float *dst, hone_error *err);
    /* Planes (buffers 0..n-1, flat) to float32 (buffer n), element by element;
     * equal to dequantize() to the bit. A plane that is LOADed has an element per weight,
     * or one per row of the matrix, or one: each is repeated where it is missing. Owned by
     * the plugin. NULL: dense formats. */
    const hone_ew_program *(*decode)(void *self);

    /* A kernel of the format for a device type ("cpu", "cuda"). NULL: none. What
     * `kernel` is, the device type's extension header says. [main] */
    hone_status (*native)(void *self, const char *device_type, const char *op, const void **kernel,
                          hone_error *err);
    /* What a device must know of a weight beside its planes: sets the fields of w below `cache`.
     * Called once for each weight after layout(). NULL: nothing. [main] */
    void (*describe)(void *self, hone_weight *w);
    /* What a run with this format computes its products in: HONE_BF16, a device may round their
     * operands to that (hone_gemm_args); HONE_F32 or 0, it may not. */
    uint32_t operands;
    uint32_t reserved;
} hone_weights;

HONE_END

#endif /* HONE_WEIGHTS_H */
