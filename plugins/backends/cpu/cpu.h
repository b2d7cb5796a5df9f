/*
 * cpu.h - what the files of the CPU device share.
 *
 * Ops run to their end inside the call; a queue only carries what a thread needs
 * for itself: scratch memory and the matrix products made so far. Kernels are
 * built for three instruction sets (kernels.h) and chosen once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_H
#define CPU_H

#include <pthread.h>
#include <stdbool.h>

#include "hone/device.h"
#include "kernels.h"

#define CPU_ALIGN 64

/* The rows of the component. */
typedef struct cpu_config {
    int64_t threads;   /* 0: what the process may use */
    int64_t memory_mb; /* 0: what the machine has */
    int64_t kernels;   /* index into CPU_ISA_CHOICES */
    int64_t products;  /* index into CPU_PRODUCT_CHOICES */
    bool exact;
    bool pin; /* keep threads on their cores */
} cpu_config;

/* Who makes float32 products. */
#define CPU_PRODUCT_CHOICES "auto|own|onednn"
enum { CPU_PRODUCTS_AUTO, CPU_PRODUCTS_OWN, CPU_PRODUCTS_ONEDNN };

/* A handle is a slot and a generation, so that a stale one is an error and not
 * somebody else's memory. Chunks of slots never move: readers take no lock. */
typedef struct cpu_slot {
    void *p; /* owned */
    uint64_t bytes;
    uint32_t generation, kind; /* kind 0: free; HONE_MEM_*; CPU_PROGRAM */
} cpu_slot;

#define CPU_PROGRAM 100u
#define CPU_CHUNK 256u
#define CPU_CHUNKS 4096u

struct hone_dev {
    const hone_host *host; /* borrowed */
    const cpu_kernels *k;  /* static   */
    int threads;
    bool pin;                    /* threads stay on their cores */
    int64_t products;            /* CPU_PRODUCTS_* */
    bool exact;                  /* no operand is rounded */
    uint64_t limit, used;        /* bytes of buffers */
    pthread_mutex_t lock;        /* for what follows */
    cpu_slot *chunk[CPU_CHUNKS]; /* owned */
    uint32_t n_slots, next_free;
};

struct hone_queue {
    hone_dev *dev; /* borrowed */
    struct cpu_area {
        void *p; /* owned */
        uint64_t bytes;
    } scratch, panels;
};

/* ------------------------------------------------------------------ device.c */

extern const hone_device cpu_device;

/* Memory until the next cpu_scratch() of this queue, CPU_ALIGN aligned; NULL: none. */
void *cpu_scratch(hone_queue *q, uint64_t bytes);
/* The same for matrix products, which other ops call while they hold scratch. */
void *cpu_panels(hone_queue *q, uint64_t bytes);

/* ------------------------------------------------------------------- slots.c */

hone_status cpu_slot_add(hone_dev *dev, void *p, uint64_t bytes, uint32_t kind, uint64_t *handle,
                         hone_error *err);
/* The slot, or NULL when the handle is not (or no longer) one of ours. */
cpu_slot *cpu_slot_of(const hone_dev *dev, uint64_t handle);
/* Forget the handle and give back what it held; NULL for a stale one. */
void *cpu_slot_take(hone_dev *dev, uint64_t handle, uint64_t *bytes, uint32_t *kind);

/* ---------------------------------------------------------------- parallel.c */

/* The one thread runtime of the process is the OpenMP library oneDNN runs on. */
void cpu_parallel_setup(int threads);
/* body(arg) once on each of `threads` threads, at most those of the device. */
void cpu_team(const hone_dev *dev, int threads, void (*body)(void *arg), void *arg);
/* body over [0, n) in at most `threads` contiguous pieces of at least grain;
 * thread numbers are below hone_dev.threads. */
void cpu_parallel(const hone_dev *dev, int64_t n, int64_t grain,
                  void (*body)(void *arg, int64_t lo, int64_t hi, int thread), void *arg);
/* One call per item, items handed out in order to whoever is free. */
void cpu_each(const hone_dev *dev, int64_t n, void (*body)(void *arg, int64_t item, int thread),
              void *arg);

/* -------------------------------------------------------------------- view.c */

/* A checked view: memory, and the stride of dimension 0 in elements. */
typedef struct cpu_view {
    void *p;
    int64_t row;
} cpu_view;

#define CPU_DENSE 0u
#define CPU_ROWS 1u     /* dimension 0 may have any stride that keeps rows apart */
#define CPU_OPTIONAL 2u /* buf 0 is fine: p is NULL */

/* Is every element of t inside its buffer? *p is the first one. */
hone_status cpu_resolve(const hone_dev *dev, const hone_tensor *t, const char *what, void **p,
                        hone_error *err);
/* ... and of this dtype and shape (-1: any), dense. */
hone_status cpu_want(const hone_dev *dev, const hone_tensor *t, const char *what, uint32_t dtype,
                     uint32_t flags, uint32_t rank, const int64_t *shape, cpu_view *view,
                     hone_error *err);
/* index (n) in [0, limit)? */
hone_status cpu_check_index(const int32_t *index, int64_t n, int64_t limit, const char *what,
                            hone_error *err);
/* "(4, 8)" */
const char *cpu_shape_text(char *buf, size_t cap, uint32_t rank, const int64_t *shape);

/* An argument struct of this plugin's time, or HONE_ERR_ARG. */
#define CPU_ARGS(args, err)                                                                 \
    do {                                                                                    \
        if (!(args) || (args)->struct_size < sizeof *(args))                                \
            return hone_fail(err, HONE_ERR_ARG, "cpu: %s: struct_size is %u, expected %zu", \
                             __func__, (args) ? (unsigned)(args)->struct_size : 0u,         \
                             sizeof *(args));                                               \
    } while (0)

/* ----------------------------------------------------------------- product.c */

typedef struct cpu_operand cpu_operand;
/* n numbers of line `line` (a row when col is 1, otherwise a column) from `first` on. */
typedef void cpu_decode(const cpu_kernels *k, const cpu_operand *o, int64_t line, int64_t first,
                        int64_t n, float *to);

/* A matrix of a product: strides of rows and columns in elements, one of the two is 1. */
struct cpu_operand {
    const void *p;
    int64_t row, col;
    uint32_t dtype;
    cpu_decode *decode;           /* what makes float32 of it */
    const uint8_t *scales;        /* nf4: planes 1 to 3 */
    const float *nested, *offset; /* int8: nested is plane 1, a scale per line */
};

/* d (m, n) = alpha a (m, k) b (k, n) + plus_scale plus_a (m, plus_k) plus_b (plus_k, n) + bias
 *          + beta d.
 * a, b: any format; the low-rank addition in float32; one of d's strides is 1. bias (n) or NULL,
 * only with d_col 1. */
typedef struct cpu_product {
    cpu_operand a, b, plus_a, plus_b;
    const float *bias;
    float *d;
    int64_t m, n, k, plus_k; /* plus_k 0: no addition */
    int64_t d_row, d_col;
    float alpha, beta, plus_scale;
    uint32_t operands; /* HONE_BF16: a, b, plus_a, plus_b may be rounded to that; else exact */
} cpu_product;

hone_status cpu_product_run(hone_queue *q, const cpu_product *p, hone_error *err);
cpu_operand cpu_operand_f32(const void *p, int64_t row, int64_t col);
/* How a dtype is decoded; NULL: no operand. */
cpu_decode *cpu_decode_dtype(uint32_t dtype);
/* Of the first plane; HONE_F32 where the core decodes, the device having no row for the format. */
uint32_t cpu_format_dtype(const char *format);
/* (rows, cols) of a stored weight; HONE_ERR_UNSUPPORTED for a format without a row in pack.c. */
hone_status cpu_operand_weight(const hone_dev *dev, const hone_weight *w, const char *what,
                               cpu_operand *o, hone_error *err);

/* -------------------------------------------------------------- workspace.c */

/* Bytes of cpu_scratch() at most, and what products hold besides, for a run of this extent. */
hone_status cpu_workspace(hone_dev *dev, const hone_extent *extent, uint64_t *bytes,
                          hone_error *err);
uint64_t cpu_attention_scratch(const hone_dev *dev, const hone_extent *extent);
uint64_t cpu_attention_bwd_scratch(const hone_dev *dev, const hone_extent *extent);
uint64_t cpu_norm_scratch(const hone_extent *extent);
/* Of products: work areas, and copies of weights that stay. */
uint64_t cpu_product_workspace(const hone_dev *dev, const hone_extent *extent);

/* -------------------------------------------------------------- few.c, int8.c */

/* Is it a forward product of a few rows, with a weight in a format few.c reads? */
bool cpu_few_takes(const hone_linear_args *args);
hone_status cpu_few_linear(hone_queue *q, const hone_linear_args *args, hone_error *err);
/* Forward, with a weight in int8. */
hone_status cpu_int8_linear(hone_queue *q, const hone_linear_args *args, hone_error *err);
/* Of cpu_scratch(), at most: few rows of a weight with `cols` columns; n rows in int8. */
uint64_t cpu_few_scratch(const hone_dev *dev, int64_t cols);
uint64_t cpu_int8_scratch(const hone_dev *dev, int64_t n, int64_t cols);

/* ------------------------------------------------------------------ the ops */

hone_status cpu_copy(hone_queue *q, const hone_tensor *dst, const hone_tensor *src,
                     hone_error *err);
hone_status cpu_fill(hone_queue *q, const hone_tensor *dst, double value, hone_error *err);
hone_status cpu_gemm(hone_queue *q, const hone_gemm_args *args, hone_error *err);
hone_status cpu_elementwise(hone_queue *q, const hone_ew_args *args, hone_error *err);
hone_status cpu_reduce(hone_queue *q, const hone_reduce_args *args, hone_error *err);
hone_status cpu_gather_rows(hone_queue *q, const hone_rows_args *args, hone_error *err);
hone_status cpu_scatter_add_rows(hone_queue *q, const hone_rows_args *args, hone_error *err);
hone_status cpu_rmsnorm(hone_queue *q, const hone_rmsnorm_args *args, hone_error *err);
hone_status cpu_rmsnorm_bwd(hone_queue *q, const hone_rmsnorm_args *args, hone_error *err);
hone_status cpu_rope(hone_queue *q, const hone_rope_args *args, hone_error *err);
hone_status cpu_attention(hone_queue *q, const hone_attention_args *args, hone_error *err);
hone_status cpu_attention_bwd(hone_queue *q, const hone_attention_args *args, hone_error *err);
hone_status cpu_swiglu(hone_queue *q, const hone_swiglu_args *args, hone_error *err);
hone_status cpu_swiglu_bwd(hone_queue *q, const hone_swiglu_args *args, hone_error *err);
hone_status cpu_linear(hone_queue *q, const hone_linear_args *args, hone_error *err);
hone_status cpu_loss(hone_queue *q, const hone_loss_args *args, hone_error *err);

hone_status cpu_ew_compile(hone_dev *dev, const hone_ew_program *program, hone_kernel *kernel,
                           hone_error *err);
void cpu_ew_free(hone_dev *dev, hone_kernel kernel);

#endif /* CPU_H */
