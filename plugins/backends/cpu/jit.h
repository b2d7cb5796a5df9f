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

enum { JIT_STEP = 8, JIT_BUFS = 10 }; /* elements; different buffers of a program, at most */

/* Registers of a program that are the same for all elements, and what every program has. */
typedef struct cpu_jit_constants {
    float of[HONE_EW_MAX_REGS + 4][JIT_STEP] __attribute__((aligned(JIT_STEP * 4)));
} cpu_jit_constants;

/* NULL: this program, processor or system is one for the interpreter. The processor has
 * AVX2 and FMA: the caller has looked. */
cpu_jit *cpu_jit_make(const hone_host *host, const hone_ew_program *program);
void cpu_jit_free(const hone_host *host, cpu_jit *j); /* NULL is fine */
/* Can it be an instruction of a program here? Besides, there are CONST, PARAM, LOAD, STORE. */
bool cpu_jit_takes(uint32_t op);
/* values: of registers, HONE_EW_MAX_REGS of them; the others do not matter. */
void cpu_jit_constants_set(cpu_jit_constants *c, const float *values);
/* n elements, a multiple of JIT_STEP, of dense float32 buffers, those that are stored to
 * writable. */
void cpu_jit_run(const cpu_jit *j, const void *const *bufs, const cpu_jit_constants *c, int64_t n);

#endif /* CPU_JIT_H */
