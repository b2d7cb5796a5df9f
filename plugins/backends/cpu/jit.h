/*
 * jit.h - machine code for programs of plain arithmetic; see jit.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_JIT_H
#define CPU_JIT_H

#include <stdbool.h>

#include "hone/ew.h"
#include "hone/host.h"

typedef struct cpu_jit cpu_jit;

enum { JIT_STEP = 8 }; /* elements */

/* NULL: this program, processor or system is one for the interpreter. The processor has
 * AVX2 and FMA: the caller has looked. */
cpu_jit *cpu_jit_make(const hone_host *host, const hone_ew_program *program);
void cpu_jit_free(const hone_host *host, cpu_jit *j); /* NULL is fine */
/* n elements, a multiple of JIT_STEP, of dense float32 buffers; constants: the value of
 * each register that is the same for all elements, HONE_EW_MAX_REGS of them. */
void cpu_jit_run(const cpu_jit *j, float *const *bufs, const float *constants, int64_t n);

#endif /* CPU_JIT_H */
