/*
 * hone/ew.h - elementwise programs: the portable kernel language of optimizers,
 * weight formats and small ops.
 *
 * A program is straight-line SSA over float registers, run once per element: no
 * branch, no loop, no address. A device compiles it for what it is (blocked
 * vector loops on a CPU, PTX on CUDA). Because every operand is bounded by the
 * limits below and defined before use, hone_ew_check() proves that a program
 * from a plugin touches nothing but the elements it was given.
 *
 * Arithmetic is IEEE single precision, round to nearest even, never contracted
 * or reordered: + - * / fma sqrt are equal to the bit on every device. exp log
 * sin cos tanh sigmoid are within 4 ulp (sigmoid, tanh: 8).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_EW_H
#define HONE_EW_H

#include "status.h"

HONE_BEGIN

/* Element types of dense data. */
#define HONE_F32 1
#define HONE_F16 2
#define HONE_BF16 3
#define HONE_I8 4
#define HONE_U8 5
#define HONE_I32 6
#define HONE_I64 7
#define HONE_F64 8

/* Bytes of one element, 0 for an unknown type. */
static inline uint32_t hone_dtype_size(uint32_t dtype)
{
    static const uint8_t size[] = { 0, 4, 2, 2, 1, 1, 4, 8, 8 };
    return dtype < sizeof size ? size[dtype] : 0;
}

/* Instructions. X(NAME, operands read from a,b,c; what it gives)
 * LOAD   buffer idx at this element, converted from the buffer's dtype
 * STORE  register a to buffer idx, converted to the buffer's dtype (nearest even)
 * CONST  imm           PARAM  run-time scalar idx
 * SEL    a != 0 ? b : c             LT LE EQ  1.0 or 0.0
 * MIN MAX  a < b ? a : b, a > b ? a : b (NaN in either gives b)
 * SIGN   -1, 0 or 1                 SIGMOID  1 / (1 + exp(-a))
 * INDEX  this element's position along dimension idx (exact below 2^24)
 * RANDOM uniform in [0, 1): n = linear element index + run's offset; the high 24
 *        bits of word n % 4 of Philox 4x32-10 with key = run's seed and counter =
 *        (n / 4, stream idx), low words first
 * BITS   the unsigned code number of this element in packed buffer idx (a flat
 *        u8 buffer, `aux` = 2, 4 or 8 bits per code, high bits of a byte first)
 * LUT    lut[idx + int(a)], index clamped to the table
 * LOADB  buffer idx at (linear element index >> aux): block scales
 * NEAREST  how many of the 2^aux - 1 places halfway between neighbours of lut[idx ..
 *        idx + 2^aux), which ascends, lie below a: the entry nearest to it, the lower of
 *        two. Places are (double)(lower) + (double)(upper) halved. NaN gives 0
 * BMAX   the largest a of the 2^aux elements (aux <= 8) that share linear index >> aux;
 *        -inf where all are NaN, which counts as nothing. It waits for them: what comes
 *        before it in the program has happened to the whole block, what comes after to none
 * STOREB register a of the first of the 2^aux elements (aux <= 8) that share linear index
 *        >> aux, to buffer idx at (linear index >> aux). Where the buffer is also read by a
 *        LOADB, that comes first and a BMAX of the same aux is between the two           */
#define HONE_EW_OPS(X) \
    X(LOAD, 0)         \
    X(STORE, 1)        \
    X(CONST, 0)        \
    X(PARAM, 0)        \
    X(ADD, 2)          \
    X(SUB, 2)          \
    X(MUL, 2)          \
    X(DIV, 2)          \
    X(FMA, 3)          \
    X(NEG, 1)          \
    X(ABS, 1)          \
    X(SQRT, 1)         \
    X(RSQRT, 1)        \
    X(RCP, 1)          \
    X(EXP, 1)          \
    X(LOG, 1)          \
    X(SIN, 1)          \
    X(COS, 1)          \
    X(TANH, 1)         \
    X(SIGMOID, 1)      \
    X(MIN, 2)          \
    X(MAX, 2)          \
    X(SIGN, 1)         \
    X(LT, 2)           \
    X(LE, 2)           \
    X(EQ, 2)           \
    X(SEL, 3)          \
    X(INDEX, 0)        \
    X(RANDOM, 0)       \
    X(BITS, 0)         \
    X(LUT, 1)          \
    X(LOADB, 0)        \
    X(NEAREST, 1)      \
    X(BMAX, 1)         \
    X(STOREB, 1)

enum {
    HONE_EW_NONE = 0,
#define X(name, operands) HONE_EW_##name,
    HONE_EW_OPS(X)
#undef X
        HONE_EW_END
};

typedef struct hone_ew_insn { /* FROZEN */
    uint8_t op;               /* HONE_EW_*                                        */
    uint8_t dst;              /* register written; each is written exactly once   */
    uint8_t a, b, c;          /* registers read                                   */
    uint8_t aux;              /* BITS: bits per code; LOADB and others: shift     */
    uint16_t idx;             /* buffer, parameter, dimension, stream or LUT base */
    float imm;                /* CONST                                            */
    uint32_t reserved;        /* 0                                                */
} hone_ew_insn;

HONE_STATIC_ASSERT(sizeof(hone_ew_insn) == 16, "frozen");

#define HONE_EW_MAX_INSNS 256
#define HONE_EW_MAX_REGS 64
#define HONE_EW_MAX_BUFS 16
#define HONE_EW_MAX_PARAMS 16
#define HONE_EW_MAX_LUT 1024

/* Borrowed for the call that takes it; static in most plugins. */
typedef struct hone_ew_program {
    uint32_t struct_size;
    uint32_t n_insns, n_regs, n_bufs, n_params, n_lut;
    const hone_ew_insn *insns;
    const float *lut;
    const char *name; /* for messages and profiles: "adamw" */
} hone_ew_program;

/* How many registers op reads; -1 for an unknown op. */
static inline int hone_ew_operands(uint32_t op)
{
    static const int8_t n[] = { -1,
#define X(name, operands) operands,
                                HONE_EW_OPS(X)
#undef X
    };
    return op < HONE_EW_END ? n[op] : -1;
}

/* Does instruction s write memory, not a register? */
static inline int hone_ew_stores(const hone_ew_insn *s)
{
    return s->op == HONE_EW_STORE || s->op == HONE_EW_STOREB;
}

/* Do 2^aux entries from idx on lie in the table, finite, none below the one before it? */
static inline int hone_ew_ascends(const hone_ew_program *p, uint32_t idx, uint32_t aux)
{
    uint32_t i;
    if (aux < 1 || aux > 8 || idx + (1u << aux) > p->n_lut)
        return 0;
    for (i = idx; i < idx + (1u << aux); i++)
        if (!(p->lut[i] - p->lut[i] == 0) || (i > idx && !(p->lut[i - 1] <= p->lut[i])))
            return 0;
    return 1;
}

/* Prove a program: within limits, operands defined before use, registers
 * written once. Every host and device calls it before compiling. [any] */
HONE_MUST_CHECK static inline hone_status hone_ew_check(const hone_ew_program *p, hone_error *err)
{
    uint64_t defined = 0;
    uint32_t i;
    int k;
    const char *name = p->name ? p->name : "program";
    if (p->struct_size < sizeof *p || !p->insns)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: program has no instructions", name);
    if (p->n_insns > HONE_EW_MAX_INSNS || p->n_regs > HONE_EW_MAX_REGS ||
        p->n_bufs > HONE_EW_MAX_BUFS || p->n_params > HONE_EW_MAX_PARAMS ||
        p->n_lut > HONE_EW_MAX_LUT || (p->n_lut && !p->lut))
        return hone_fail(err, HONE_ERR_LIMIT, "%s: program exceeds a limit of hone/ew.h", name);
    for (i = 0; i < p->n_insns; i++) {
        const hone_ew_insn *s = &p->insns[i];
        const uint8_t operand[3] = { s->a, s->b, s->c };
        const int n = hone_ew_operands(s->op);
        int ok = 1;
        if (n < 0)
            return hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: instruction %u: unknown op %u", name,
                             (unsigned)i, (unsigned)s->op);
        for (k = 0; k < n; k++)
            if (operand[k] >= p->n_regs || !(defined >> operand[k] & 1))
                return hone_fail(err, HONE_ERR_FORMAT, "%s: instruction %u reads undefined r%u",
                                 name, (unsigned)i, (unsigned)operand[k]);
        switch (s->op) {
        case HONE_EW_LOAD:
        case HONE_EW_STORE:
            ok = s->idx < p->n_bufs;
            break;
        case HONE_EW_LOADB:
            ok = s->idx < p->n_bufs && s->aux < 32;
            break;
        case HONE_EW_BITS:
            ok = s->idx < p->n_bufs && (s->aux == 2 || s->aux == 4 || s->aux == 8);
            break;
        case HONE_EW_PARAM:
            ok = s->idx < p->n_params;
            break;
        case HONE_EW_INDEX:
            ok = s->idx < 4;
            break;
        case HONE_EW_LUT:
            ok = s->idx < p->n_lut;
            break;
        case HONE_EW_NEAREST:
            ok = hone_ew_ascends(p, s->idx, s->aux);
            break;
        case HONE_EW_BMAX:
            ok = s->aux <= 8;
            break;
        case HONE_EW_STOREB:
            ok = s->idx < p->n_bufs && s->aux <= 8;
            break;
        default:
            break;
        }
        if (!ok)
            return hone_fail(err, HONE_ERR_FORMAT, "%s: instruction %u: index %u is out of range",
                             name, (unsigned)i, (unsigned)s->idx);
        if (hone_ew_stores(s))
            continue;
        if (s->dst >= p->n_regs || (defined >> s->dst & 1))
            return hone_fail(err, HONE_ERR_FORMAT, "%s: instruction %u writes r%u twice", name,
                             (unsigned)i, (unsigned)s->dst);
        defined |= UINT64_C(1) << s->dst;
    }
    return HONE_OK;
}

/* Shorthand for tables of instructions:
 *     HONE_EW0I(LOAD, 0, 1), HONE_EW3(FMA, 4, 0, 1, 2), ... */
#define HONE_EW0(OP, DST)              \
    {                                  \
        .op = HONE_EW_##OP, .dst = DST \
    }
#define HONE_EW0I(OP, DST, IDX)                    \
    {                                              \
        .op = HONE_EW_##OP, .dst = DST, .idx = IDX \
    }
#define HONE_EW0C(DST, VALUE)                         \
    {                                                 \
        .op = HONE_EW_CONST, .dst = DST, .imm = VALUE \
    }
#define HONE_EW1(OP, DST, A)                   \
    {                                          \
        .op = HONE_EW_##OP, .dst = DST, .a = A \
    }
#define HONE_EW2(OP, DST, A, B)                        \
    {                                                  \
        .op = HONE_EW_##OP, .dst = DST, .a = A, .b = B \
    }
#define HONE_EW3(OP, DST, A, B, C)                             \
    {                                                          \
        .op = HONE_EW_##OP, .dst = DST, .a = A, .b = B, .c = C \
    }
#define HONE_EW_ST(IDX, A)                      \
    {                                           \
        .op = HONE_EW_STORE, .a = A, .idx = IDX \
    }

HONE_END

#endif /* HONE_EW_H */
