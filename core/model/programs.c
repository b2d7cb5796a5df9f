/*
 * programs.c - the elementwise programs behind compositions and helpers.
 *
 * Each lists its buffers and parameters by number. A reduction takes the value of
 * the last instruction. rN are registers; see hone/ew.h for the instructions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "core/model/ops_parts.h"

/* clang-format off */

/* 0: y, 1: x; param 0: alpha */
static const hone_ew_insn add[] = {
    HONE_EW0I(LOAD, 0, 0), HONE_EW0I(LOAD, 1, 1), HONE_EW0I(PARAM, 2, 0),
    HONE_EW3(FMA, 3, 2, 1, 0), HONE_EW_ST(0, 3),
};
/* 0: x; param 0: alpha */
static const hone_ew_insn scale[] = {
    HONE_EW0I(LOAD, 0, 0), HONE_EW0I(PARAM, 1, 0), HONE_EW2(MUL, 2, 0, 1), HONE_EW_ST(0, 2),
};
static const hone_ew_insn square[] = { HONE_EW0I(LOAD, 0, 0), HONE_EW2(MUL, 1, 0, 0) };
static const hone_ew_insn product[] = {
    HONE_EW0I(LOAD, 0, 0), HONE_EW0I(LOAD, 1, 1), HONE_EW2(MUL, 2, 0, 1),
};
static const hone_ew_insn value[] = { HONE_EW0I(LOAD, 0, 0) };

/* 0: y, 1: x; params: p, 1 / (1 - p) */
#define KEEP /* r5 = u < p ? 0 : x / (1 - p) */                                   \
    HONE_EW0I(LOAD, 0, 1), HONE_EW0I(PARAM, 1, 0), HONE_EW0I(PARAM, 2, 1),         \
    HONE_EW0I(RANDOM, 3, 0), HONE_EW2(LT, 4, 3, 1), HONE_EW2(MUL, 6, 0, 2),        \
    HONE_EW0C(7, 0), HONE_EW3(SEL, 5, 4, 7, 6)
static const hone_ew_insn drop[] = { KEEP, HONE_EW_ST(0, 5) };
static const hone_ew_insn drop_add[] = {
    KEEP, HONE_EW0I(LOAD, 8, 0), HONE_EW2(ADD, 9, 8, 5), HONE_EW_ST(0, 9),
};

/* 0: rstd, 1: sum of squares; params: 1 / C, eps */
static const hone_ew_insn norm_rstd[] = {
    HONE_EW0I(LOAD, 0, 1), HONE_EW0I(PARAM, 1, 0), HONE_EW0I(PARAM, 2, 1),
    HONE_EW2(MUL, 3, 0, 1), HONE_EW2(ADD, 4, 3, 2), HONE_EW1(SQRT, 5, 4), HONE_EW1(RCP, 6, 5),
    HONE_EW_ST(0, 6),
};
/* 0: y, 1: x, 2: rstd, 3: w */
static const hone_ew_insn norm[] = {
    HONE_EW0I(LOAD, 0, 1), HONE_EW0I(LOAD, 1, 2), HONE_EW0I(LOAD, 2, 3),
    HONE_EW2(MUL, 3, 0, 1), HONE_EW2(MUL, 4, 3, 2), HONE_EW_ST(0, 4),
};
/* 0: dy, 1: w, 2: x */
static const hone_ew_insn norm_dot[] = {
    HONE_EW0I(LOAD, 0, 0), HONE_EW0I(LOAD, 1, 1), HONE_EW0I(LOAD, 2, 2),
    HONE_EW2(MUL, 3, 0, 1), HONE_EW2(MUL, 4, 3, 2),
};
/* 0: out, 1: dy, 2: x, 3: rstd */
static const hone_ew_insn norm_dw[] = {
    HONE_EW0I(LOAD, 0, 1), HONE_EW0I(LOAD, 1, 2), HONE_EW0I(LOAD, 2, 3),
    HONE_EW2(MUL, 3, 0, 1), HONE_EW2(MUL, 4, 3, 2), HONE_EW_ST(0, 4),
};
/* 0: dx, 1: dy, 2: w, 3: x, 4: rstd, 5: dot; param 0: 1 / C */
#define NORM_DX /* r13 */                                                          \
    HONE_EW0I(LOAD, 0, 1), HONE_EW0I(LOAD, 1, 2), HONE_EW0I(LOAD, 2, 3),           \
    HONE_EW0I(LOAD, 3, 4), HONE_EW0I(LOAD, 4, 5), HONE_EW0I(PARAM, 5, 0),          \
    HONE_EW2(MUL, 6, 0, 1), HONE_EW2(MUL, 7, 3, 3), HONE_EW2(MUL, 8, 4, 5),        \
    HONE_EW2(MUL, 9, 7, 8), HONE_EW2(MUL, 10, 2, 9), HONE_EW2(SUB, 11, 6, 10),     \
    HONE_EW2(MUL, 13, 3, 11)
static const hone_ew_insn norm_dx[] = { NORM_DX, HONE_EW_ST(0, 13) };
static const hone_ew_insn norm_dx_add[] = {
    NORM_DX, HONE_EW0I(LOAD, 14, 0), HONE_EW2(ADD, 15, 14, 13), HONE_EW_ST(0, 15),
};

/* 0: low half, 1: high half, 2: cos, 3: sin; param 0: 1 forward, -1 inverse */
static const hone_ew_insn rope[] = {
    HONE_EW0I(LOAD, 0, 0), HONE_EW0I(LOAD, 1, 1), HONE_EW0I(LOAD, 2, 2), HONE_EW0I(LOAD, 3, 3),
    HONE_EW0I(PARAM, 4, 0), HONE_EW2(MUL, 5, 3, 4),
    HONE_EW2(MUL, 6, 0, 2), HONE_EW2(MUL, 7, 1, 5), HONE_EW2(SUB, 8, 6, 7),
    HONE_EW2(MUL, 9, 1, 2), HONE_EW2(MUL, 10, 0, 5), HONE_EW2(ADD, 11, 9, 10),
    HONE_EW_ST(0, 8), HONE_EW_ST(1, 11),
};

/* 0: y, 1: gate, 2: up */
static const hone_ew_insn swiglu[] = {
    HONE_EW0I(LOAD, 0, 1), HONE_EW0I(LOAD, 1, 2), HONE_EW1(SIGMOID, 2, 0),
    HONE_EW2(MUL, 3, 0, 2), HONE_EW2(MUL, 4, 3, 1), HONE_EW_ST(0, 4),
};
/* 0: dgate, 1: dup, 2: dy, 3: gate, 4: up */
static const hone_ew_insn swiglu_bwd[] = {
    HONE_EW0I(LOAD, 0, 2), HONE_EW0I(LOAD, 1, 3), HONE_EW0I(LOAD, 2, 4),
    HONE_EW1(SIGMOID, 3, 1), HONE_EW0C(4, 1),
    HONE_EW2(SUB, 5, 4, 3), HONE_EW3(FMA, 6, 1, 5, 4),                  /* 1 + g (1 - s)  */
    HONE_EW2(MUL, 7, 0, 3), HONE_EW2(MUL, 8, 7, 2), HONE_EW2(MUL, 9, 8, 6),
    HONE_EW2(MUL, 10, 7, 1), HONE_EW_ST(0, 9), HONE_EW_ST(1, 10),
};

/* 0: y, 1: bias; param 0: beta (never 0) */
static const hone_ew_insn bias[] = {
    HONE_EW0I(LOAD, 0, 0), HONE_EW0I(LOAD, 1, 1), HONE_EW0I(PARAM, 2, 0),
    HONE_EW3(FMA, 3, 2, 0, 1), HONE_EW_ST(0, 3),
};

/* Attention over (K, group, rows, keys). 0: scores, 1: first key, 2: last key;
 * params: number of the first key here, window (huge: none). r0: score, r8: seen. */
#define SEEN                                                                       \
    HONE_EW0I(LOAD, 0, 0), HONE_EW0I(LOAD, 1, 1), HONE_EW0I(LOAD, 2, 2),           \
    HONE_EW0I(PARAM, 3, 0), HONE_EW0I(PARAM, 4, 1), HONE_EW0I(INDEX, 5, 3),        \
    HONE_EW2(ADD, 6, 5, 3),                                                        \
    HONE_EW2(LE, 7, 1, 6), HONE_EW2(LE, 9, 6, 2), HONE_EW2(SUB, 10, 2, 6),         \
    HONE_EW2(LT, 11, 10, 4), HONE_EW2(MUL, 12, 7, 9), HONE_EW2(MUL, 8, 12, 11)
/* -3e38 below: a row that sees nothing has -inf as its largest score */
static const hone_ew_insn attn_masked[] = {
    SEEN, HONE_EW0C(13, -INFINITY), HONE_EW3(SEL, 14, 8, 0, 13),
};
/* 3: largest */
#define ATTN_EXP /* r19 */                                                         \
    SEEN, HONE_EW0I(LOAD, 13, 3), HONE_EW0C(14, -3e38f), HONE_EW2(MAX, 15, 13, 14), \
    HONE_EW2(SUB, 16, 0, 15), HONE_EW1(EXP, 17, 16), HONE_EW0C(18, 0),             \
    HONE_EW3(SEL, 19, 8, 17, 18)
static const hone_ew_insn attn_exp[] = { ATTN_EXP };
/* 4: sum; stores over the scores */
static const hone_ew_insn attn_p[] = {
    ATTN_EXP, HONE_EW0I(LOAD, 20, 4), HONE_EW2(DIV, 21, 19, 20),
    HONE_EW3(SEL, 22, 8, 21, 18), HONE_EW_ST(0, 22),
};
/* 0: dp, 1: p, 2: delta */
static const hone_ew_insn attn_ds[] = {
    HONE_EW0I(LOAD, 0, 0), HONE_EW0I(LOAD, 1, 1), HONE_EW0I(LOAD, 2, 2),
    HONE_EW2(SUB, 3, 0, 2), HONE_EW2(MUL, 4, 1, 3), HONE_EW_ST(0, 4),
};

/* Loss over (rows, V). 0: logits, 1: largest */
static const hone_ew_insn loss_exp[] = {
    HONE_EW0I(LOAD, 0, 0), HONE_EW0I(LOAD, 1, 1), HONE_EW2(SUB, 2, 0, 1), HONE_EW1(EXP, 3, 2),
};
/* 0: logits, 1: target */
static const hone_ew_insn loss_pick[] = {
    HONE_EW0I(LOAD, 0, 0), HONE_EW0I(LOAD, 1, 1), HONE_EW0I(INDEX, 2, 3),
    HONE_EW2(EQ, 3, 1, 2), HONE_EW0C(4, 0), HONE_EW3(SEL, 5, 3, 0, 4),
};
/* 0: nll, 1: largest, 2: sum, 3: picked, 4: target; param 0: V */
static const hone_ew_insn loss_nll[] = {
    HONE_EW0I(LOAD, 0, 1), HONE_EW0I(LOAD, 1, 2), HONE_EW0I(LOAD, 2, 3), HONE_EW0I(LOAD, 3, 4),
    HONE_EW0I(PARAM, 4, 0), HONE_EW0C(5, 0), HONE_EW2(LE, 6, 5, 3), HONE_EW2(LT, 7, 3, 4),
    HONE_EW2(MUL, 8, 6, 7), HONE_EW1(LOG, 9, 1), HONE_EW2(SUB, 10, 0, 2),
    HONE_EW2(ADD, 11, 10, 9), HONE_EW0C(12, NAN), HONE_EW3(SEL, 13, 8, 11, 12),
    HONE_EW_ST(0, 13),
};
/* 0: logits, 1: largest, 2: sum, 3: target; param 0: scale */
#define LOSS_GRAD /* r12 */                                                        \
    HONE_EW0I(LOAD, 0, 0), HONE_EW0I(LOAD, 1, 1), HONE_EW0I(LOAD, 2, 2),           \
    HONE_EW0I(LOAD, 3, 3), HONE_EW0I(PARAM, 4, 0), HONE_EW0I(INDEX, 5, 3),         \
    HONE_EW2(SUB, 6, 0, 1), HONE_EW1(EXP, 7, 6), HONE_EW2(DIV, 8, 7, 2),           \
    HONE_EW2(EQ, 9, 3, 5), HONE_EW2(SUB, 10, 8, 9), HONE_EW2(MUL, 12, 10, 4)
static const hone_ew_insn loss_grad[] = { LOSS_GRAD, HONE_EW_ST(0, 12) };
/* 4: weight */
static const hone_ew_insn loss_grad_w[] = {
    LOSS_GRAD, HONE_EW0I(LOAD, 13, 4), HONE_EW2(MUL, 14, 12, 13), HONE_EW_ST(0, 14),
};

#define ROW(NAME, code, regs, bufs, params)                                        \
    [PROGRAM_##NAME] = { .struct_size = sizeof(hone_ew_program),                   \
        .n_insns = sizeof code / sizeof *code, .n_regs = regs, .n_bufs = bufs,     \
        .n_params = params, .insns = code, .name = #code }
static const hone_ew_program programs[N_PROGRAMS] = {
    ROW(ADD, add, 4, 2, 1),
    ROW(SCALE, scale, 3, 1, 1),
    ROW(SQUARE, square, 2, 1, 0),
    ROW(DROP, drop, 8, 2, 2),
    ROW(DROP_ADD, drop_add, 10, 2, 2),
    ROW(NORM_RSTD, norm_rstd, 7, 2, 2),
    ROW(NORM, norm, 5, 4, 0),
    ROW(NORM_DOT, norm_dot, 5, 3, 0),
    ROW(NORM_DW, norm_dw, 5, 4, 0),
    ROW(NORM_DX, norm_dx, 14, 6, 1),
    ROW(NORM_DX_ADD, norm_dx_add, 16, 6, 1),
    ROW(ROPE, rope, 12, 4, 1),
    ROW(SWIGLU, swiglu, 5, 3, 0),
    ROW(SWIGLU_BWD, swiglu_bwd, 11, 5, 0),
    ROW(BIAS, bias, 4, 2, 1),
    ROW(ATTN_MASKED, attn_masked, 15, 3, 2),
    ROW(ATTN_EXP, attn_exp, 20, 4, 2),
    ROW(ATTN_P, attn_p, 23, 5, 2),
    ROW(PRODUCT, product, 3, 2, 0),
    ROW(ATTN_DS, attn_ds, 5, 3, 0),
    ROW(LOSS_EXP, loss_exp, 4, 2, 0),
    ROW(LOSS_PICK, loss_pick, 6, 2, 0),
    ROW(LOSS_NLL, loss_nll, 14, 5, 1),
    ROW(LOSS_GRAD, loss_grad, 13, 4, 1),
    ROW(LOSS_GRAD_W, loss_grad_w, 15, 5, 1),
    ROW(VALUE, value, 1, 1, 0),
};
/* clang-format on */

const hone_ew_program *ops_program_of(ops_program which)
{
    return &programs[which];
}
