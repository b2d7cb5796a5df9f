/*
 * ew.h - a program made ready for one run: shared by elementwise and reduce.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CPU_EW_H
#define CPU_EW_H

#include "cpu.h"
#include "jit.h"

/* Plain arithmetic inside a program that is interpreted, as machine code. */
#define EW_NO_INSN 0xffff
typedef struct ew_piece {
    cpu_jit *jit;            /* owned */
    uint16_t first, end;     /* instructions */
    uint16_t n_bufs;         /* of the code: a register each */
    uint16_t insn[JIT_BUFS]; /* which writes the register here; EW_NO_INSN: it is read */
    uint8_t reg[JIT_BUFS];
} ew_piece;
enum { EW_MAX_PIECES = 64 };

/* A compiled program: our copy of the plugin's, checked. */
typedef struct ew_code {
    hone_ew_program program;    /* insns and lut point behind this struct */
    cpu_jit *jit;               /* owned; NULL: interpreted */
    const cpu_nearest *nearest; /* behind it too: of each NEAREST, in their order */
    uint8_t n_nearest;
    uint8_t nearest_of[HONE_EW_MAX_INSNS]; /* which of them an instruction has */
    ew_piece piece[EW_MAX_PIECES];
    uint8_t n_pieces, piece_at[HONE_EW_MAX_INSNS]; /* 1 + the piece that begins here, or 0 */
    uint64_t hidden;                               /* bit per register that exists in pieces only */
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
    bool bytes[HONE_EW_MAX_INSNS]; /* both of a pair that goes between bytes and floats at once */
    bool pieces;                   /* machine code where there is some */
    uint32_t n_slots;
} ew_run;

/* Registers of one thread. */
typedef struct ew_state {
    float slot[HONE_EW_MAX_REGS][EW_BLOCK] __attribute__((aligned(CPU_ALIGN)));
    const float *value[HONE_EW_MAX_REGS]; /* of register r: a slot, or the buffer itself */
    cpu_jit_constants constants;
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

/* p's instructions to `insns` in an order that brings arithmetic together, and code for that.
 * Without machine code the program stays as it is. */
void ew_pieces_make(const hone_host *host, ew_code *code, const hone_ew_program *p,
                    hone_ew_insn *insns);
void ew_pieces_free(const hone_host *host, ew_code *code);
void ew_piece_run(const ew_run *run, ew_state *state, const ew_piece *piece);

void ew_walk_init(ew_walk *w, const hone_tensor *t, void *p);
void ew_walk_load(const ew_walk *w, const cpu_exact *k, float *d, int64_t first, int64_t n);
void ew_walk_store(const ew_walk *w, const cpu_exact *k, const float *s, int64_t first, int64_t n);
/* Does no element of a written view share a place with another? */
bool ew_apart(const hone_tensor *t);

#endif /* CPU_EW_H */
