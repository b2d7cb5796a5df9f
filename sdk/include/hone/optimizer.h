/*
 * hone/optimizer.h - an optimizer is data: the state it keeps per parameter and an
 * elementwise program for the update, plus per-step scalars.
 *
 * State is plain named tensors, so the core places, pages, saves and resumes it;
 * the plugin has no save or load code, and no device code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_OPTIMIZER_H
#define HONE_OPTIMIZER_H

#include "host.h"
#include "tensor.h"

HONE_BEGIN

#define HONE_OPTIMIZER_MAX_STATES 6

/* The program loads and stores a state as float32, whatever its format: the host puts the
 * conversion around it. Formats are
 *   f32, bf16, f16
 *   dynamic8, udynamic8   one byte per element and one float32 per 256: the block-wise
 *                         dynamic map of Dettmers et al. 2022, signed and unsigned; init >= 0 */
typedef struct hone_state { /* FROZEN: one tensor per parameter, of its shape */
    char name[24];          /* "m", "v": part of the name in checkpoints      */
    char format[16];        /* storage, one of the above                      */
    uint32_t flags;         /* HONE_STATE_*                                   */
    float init;             /* value before the first step                    */
    int64_t min_elements;   /* parameters with fewer keep this state as f32   */
} hone_state;

HONE_STATIC_ASSERT(sizeof(hone_state) == 56, "frozen");

/* Lives in host memory, and in a file beyond what the user gives of it; the host moves it
 * to the device ahead of use. All states of an optimizer have the flag, or none. */
#define HONE_STATE_PAGED 1u

/* The program's buffers, in this order; states follow. */
#define HONE_OPT_BUF_PARAM 0  /* inout: fp32 master                                  */
#define HONE_OPT_BUF_GRAD 1   /* in: fp32, already normalised; clipping is PARAM 0   */
#define HONE_OPT_BUF_STATE0 2 /* inout: state k is buffer 2 + k                      */

/* The program's PARAM 0 is always the host's gradient factor (clipping): multiply the
 * gradient by it. The rest is filled by scalars(). */
#define HONE_OPT_PARAM_GRAD_SCALE 0

typedef struct hone_step_info {
    uint32_t struct_size, reserved;
    int64_t step;        /* counts from 1                                */
    double lr;           /* after the schedule                           */
    double weight_decay; /* of this parameter's group: 0 where none      */
} hone_step_info;

typedef struct hone_optimizer {
    uint32_t struct_size, reserved;

    /* config: the struct of the component's rows, borrowed until destroy(). [main] */
    hone_status (*create)(const hone_host *host, const void *config, void **self, hone_error *err);
    void (*destroy)(void *self); /* NULL is fine [main] */

    /* The states, at most HONE_OPTIMIZER_MAX_STATES. Owned by the plugin until destroy(). [main] */
    hone_status (*states)(void *self, const hone_state **states, uint32_t *n, hone_error *err);
    /* The update. Owned by the plugin until destroy(). [main] */
    hone_status (*program)(void *self, const hone_ew_program **program, hone_error *err);
    /* params[1..n_params) for this step; computed in double, handed over as float.
     * params[0] is the host's. [main] */
    hone_status (*scalars)(void *self, const hone_step_info *info, float *params, uint32_t n_params,
                           hone_error *err);
} hone_optimizer;

HONE_END

#endif /* HONE_OPTIMIZER_H */
