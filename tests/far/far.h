/*
 * far.h - the far-memory test device: a device whose memory the host cannot reach
 * and whose ops run late.
 *
 * It is the CPU device behind a wall. Handles lie in address space that nobody may
 * touch; a new buffer holds NaN; an op is copied, queued, and run by another thread
 * when somebody waits for it; what fails is reported by that wait. Code that passes
 * here does not rely on host memory, on the life of its arguments or on an op being
 * done when its call returns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FAR_H
#define TESTS_FAR_H

#include "plugins/backends/cpu/cpu.h"

typedef struct far_queue far_queue;
typedef struct far_dev far_dev;

/* One queued call: everything it needs, in one block of memory. */
typedef struct far_command {
    struct far_command *next; /* owned */
    uint64_t bytes;           /* of this block */
    hone_status (*run)(far_queue *q, struct far_command *c, hone_error *err);
} far_command;

struct far_queue {
    far_dev *dev;      /* borrowed */
    hone_queue *inner; /* owned; touched by the worker alone */
    pthread_t worker;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t wake, done;
    far_command *first, *last;    /* owned */
    uint64_t queued, wanted, ran; /* tickets: commands so far */
    uint64_t pending_bytes;
    bool stop;
    hone_error error; /* the first failure nobody has been told of */
    far_queue *next;  /* of the device, until it is closed */
};

/* queue.c */
hone_status far_queue_open(far_dev *dev, far_queue **out, hone_error *err);
void far_queue_stop(far_queue *q); /* runs what is queued; the struct stays */
void far_queue_free(far_queue *q);
/* The end of the queue takes c; its ticket is returned. */
uint64_t far_queue_add(far_queue *q, far_command *c);
void far_queue_run_to(far_queue *q, uint64_t ticket);
void far_queue_run_all(far_queue *q);
/* The failure to report, once. */
hone_status far_queue_error(far_queue *q, hone_error *err);

/* far.c: what a handle stands for; for none, a handle that the CPU device refuses. */
hone_buf far_inner(far_dev *dev, hone_buf handle);
const hone_dev *far_cpu(const far_dev *dev);

/* ops.c */
hone_status far_copy(hone_queue *q, const hone_tensor *dst, const hone_tensor *src,
                     hone_error *err);
hone_status far_fill(hone_queue *q, const hone_tensor *dst, double value, hone_error *err);
hone_status far_gemm(hone_queue *q, const hone_gemm_args *args, hone_error *err);
hone_status far_elementwise(hone_queue *q, const hone_ew_args *args, hone_error *err);
hone_status far_reduce(hone_queue *q, const hone_reduce_args *args, hone_error *err);
hone_status far_gather_rows(hone_queue *q, const hone_rows_args *args, hone_error *err);
hone_status far_scatter_add_rows(hone_queue *q, const hone_rows_args *args, hone_error *err);
hone_status far_rmsnorm(hone_queue *q, const hone_rmsnorm_args *args, hone_error *err);
hone_status far_rmsnorm_bwd(hone_queue *q, const hone_rmsnorm_args *args, hone_error *err);
hone_status far_rope(hone_queue *q, const hone_rope_args *args, hone_error *err);
hone_status far_attention(hone_queue *q, const hone_attention_args *args, hone_error *err);
hone_status far_attention_bwd(hone_queue *q, const hone_attention_args *args, hone_error *err);
hone_status far_swiglu(hone_queue *q, const hone_swiglu_args *args, hone_error *err);
hone_status far_swiglu_bwd(hone_queue *q, const hone_swiglu_args *args, hone_error *err);
hone_status far_linear(hone_queue *q, const hone_linear_args *args, hone_error *err);
hone_status far_loss(hone_queue *q, const hone_loss_args *args, hone_error *err);

static inline far_queue *far_queue_of(hone_queue *q)
{
    return (far_queue *)(void *)q;
}

#endif /* TESTS_FAR_H */
