/*
 * ew.h - a program made ready for one run: shared by elementwise and reduce.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_EW_H
#define CPU_EW_H

#include "cpu.h"
#include "jit.h"

/* A compiled program: our copy of the plugin's, checked. */
typedef struct ew_code {
    hone_ew_program program;    /* insns and lut point behind this struct */
    cpu_jit *jit;               /* owned; NULL: interpreted */
    const cpu_nearest *nearest; /* behind it too: of each NEAREST, in their order */
    uint8_t n_nearest;
    uint8_t nearest_of[HONE_EW_MAX_INSNS]; /* which of them an instruction has */
} ew_code;

/* A buffer of the program in a run, dimensions merged where they can be. */
typedef struct ew_walk {
    uint8_t *p;
    uint64_t bytes; /* from p to its last element's end */
    uint32_t dtype, size;
    bool linear; /* element i lies at p + i size */
    int32_t n_dims;
    int64_t shape[4], stride[4];
} ew_walk;

typedef struct ew_run {
    const ew_code *code;
    const cpu_exact *k;
    const float *params; /* borrowed, n_params of the program */
    uint64_t seed, offset;
    int64_t shape[4], count;
    ew_walk buf[HONE_EW_MAX_BUFS];
    /* Of each instruction: which slot its result goes to; whether it is the same
     * for all elements; whether a load may be read where it lies. */
    uint8_t slot[HONE_EW_MAX_INSNS];
    bool uniform[HONE_EW_MAX_INSNS], in_place[HONE_EW_MAX_INSNS];
    uint32_t n_slots;
} ew_run;

/* Registers of one thread. */
typedef struct ew_state {
    float slot[HONE_EW_MAX_REGS][EW_BLOCK] __attribute__((aligned(CPU_ALIGN)));
    const float *value[HONE_EW_MAX_REGS]; /* of register r: a slot, or the buffer itself */
} ew_state;

/* Give back a compiled program. */
void ew_code_free(const hone_host *host, ew_code *code);

/* keep: a register to be read after the program (reduce), or -1. */
hone_status ew_run_init(ew_run *run, const hone_dev *dev, const hone_ew_args *args, int keep,
                        const char *what, hone_error *err);
/* Values that are the same for all elements, once per thread. */
void ew_run_start(const ew_run *run, ew_state *state);
/* Elements [first, first + n), n <= EW_BLOCK. */
void ew_run_block(const ew_run *run, ew_state *state, int64_t first, int64_t n);

void ew_walk_init(ew_walk *w, const hone_tensor *t, void *p);
void ew_walk_load(const ew_walk *w, const cpu_exact *k, float *d, int64_t first, int64_t n);
void ew_walk_store(const ew_walk *w, const cpu_exact *k, const float *s, int64_t first, int64_t n);
/* Does no element of a written view share a place with another? */
bool ew_apart(const hone_tensor *t);

#endif /* CPU_EW_H */
