/*
 * jit.c - machine code for elementwise programs of plain arithmetic.
 *
 * The interpreter (ew.c) goes through a block once per instruction, so that a chain of
 * cheap operations waits for the cache between them, and a division for nobody. Here a
 * program becomes one loop over 8 elements at a time whose registers are the processor's:
 * loads, arithmetic, stores, as a compiler would write it. VEX encoding, AVX2 and FMA.
 *
 *   rdi  array of buffer pointers      rsi  constants, 8 times each
 *   rdx  bytes of a buffer             rcx  where the loop is, bytes
 *
 * Every operation is the IEEE one, so the bits are the interpreter's. What is not made of
 * these operations, has more operands alive than there are registers, or comes to a
 * processor or a system that does not let it, is left to the interpreter.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "jit.h"

#if defined(__x86_64__)

#include <string.h>
#include <sys/mman.h>

enum { TEMP = 15, TEMP2 = 14, N_VALUES = 14 }; /* ymm14, ymm15: within one instruction */
enum { MAX_CODE = 16384, VECTOR = 32 };        /* bytes */
enum { NO_PLACE = 0xff };

/* Where buffers' pointers are kept: rax, r8..r11, those that belong to the caller; rdi last,
 * which they are read from. */
static const uint8_t pointers[JIT_BUFS] = { 0, 8, 9, 10, 11, 3, 12, 14, 15, 7 };
enum { RDI = 7 };

static bool of_caller(unsigned reg)
{
    return reg == 3 || reg >= 12;
}

/* Constants every program has, behind its own. */
enum { C_SIGN = HONE_EW_MAX_REGS, C_MAGNITUDE, C_ONE, C_ZERO };

struct cpu_jit {
    void *code; /* owned: mapped */
    size_t bytes;
};

/* An operand as an instruction takes it: a ymm, a constant, or a place in a buffer. */
typedef struct operand {
    enum { YMM, CONSTANT, BUFFER } kind;
    uint8_t at; /* ymm, register of the program or C_*, general register */
} operand;

typedef struct writer {
    uint8_t *p;
    size_t n;
    const hone_ew_program *program;
    bool uniform[HONE_EW_MAX_REGS];
    uint8_t ymm[HONE_EW_MAX_REGS]; /* of a program's register */
    uint32_t last_use[HONE_EW_MAX_REGS];
    uint32_t taken; /* bit per ymm */
    uint8_t pointer[HONE_EW_MAX_BUFS];
    bool failed;
} writer;

static void byte(writer *w, unsigned x)
{
    if (w->n == MAX_CODE)
        w->failed = true;
    else
        w->p[w->n++] = (uint8_t)x;
}

static void word(writer *w, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        byte(w, x >> 8 * i & 0xff);
}

/* One VEX.256 instruction: map 1 is 0F, 2 0F38, 3 0F3A; prefix 0 none, 1 66. */
static void vex(writer *w, unsigned map, unsigned prefix, unsigned opcode, unsigned reg,
                unsigned second, operand rm)
{
    const unsigned high = rm.kind == CONSTANT ? 0 : rm.at >> 3; /* rsi is a low one */
    byte(w, 0xc4);
    byte(w, (reg < 8 ? 0x80u : 0) | 0x40u | (high ? 0 : 0x20u) | map);
    byte(w, (~second & 15u) << 3 | 4u | prefix);
    byte(w, opcode);
    switch (rm.kind) {
    case YMM:
        byte(w, 0xc0u | (reg & 7u) << 3 | (rm.at & 7u));
        break;
    case CONSTANT: /* [rsi + disp32] */
        byte(w, 0x80u | (reg & 7u) << 3 | 6u);
        word(w, (uint32_t)rm.at * VECTOR);
        break;
    case BUFFER: /* [pointer + rcx] */
        byte(w, (reg & 7u) << 3 | 4u);
        byte(w, 1u << 3 | (rm.at & 7u));
        break;
    }
}

enum { MOVE = 0x10, MOVE_OUT = 0x11, AND = 0x54, XOR = 0x57, COMPARE = 0xc2 };
enum { EQUAL = 0x00, UNEQUAL = 0x04, LESS = 0x11, LESS_EQUAL = 0x12, GREATER = 0x1e };

static operand constant(unsigned which)
{
    return (operand){ CONSTANT, (uint8_t)which };
}

static operand value(const writer *w, uint8_t reg)
{
    return w->uniform[reg] ? constant(reg) : (operand){ YMM, w->ymm[reg] };
}

/* The operand in a ymm: its own, or `spare`. */
static unsigned in_ymm(writer *w, operand x, unsigned spare)
{
    if (x.kind == YMM)
        return x.at;
    vex(w, 1, 0, MOVE, spare, 0, x);
    return spare;
}

/* d = a <predicate> b, as a mask */
static void compare(writer *w, unsigned d, operand a, operand b, unsigned predicate)
{
    vex(w, 1, 0, COMPARE, d, in_ymm(w, a, TEMP), b);
    byte(w, predicate);
}

static void multiply_add(writer *w, unsigned d, operand a, operand b, operand c)
{
    vex(w, 1, 0, MOVE, d, 0, a);
    if (b.kind != YMM && c.kind == YMM)
        vex(w, 2, 1, 0x98, d, c.at, b); /* d = d b + c */
    else
        vex(w, 2, 1, 0xa8, d, in_ymm(w, b, TEMP), c); /* d = b d + c */
}

/* An operation with one VEX instruction for it; 0: it has none. */
static unsigned opcode_of(uint32_t op)
{
    static const uint8_t codes[HONE_EW_END] = {
        [HONE_EW_ADD] = 0x58, [HONE_EW_MUL] = 0x59, [HONE_EW_SUB] = 0x5c,
        [HONE_EW_MIN] = 0x5d, [HONE_EW_DIV] = 0x5e, [HONE_EW_MAX] = 0x5f,
    };
    return codes[op];
}

static void arithmetic(writer *w, const hone_ew_insn *s, unsigned d)
{
    operand a = value(w, s->a), b = value(w, s->b);
    const operand c = value(w, s->c);
    if ((s->op == HONE_EW_ADD || s->op == HONE_EW_MUL) && a.kind != YMM) {
        const operand swap = a; /* a constant is best taken from memory */
        a = b;
        b = swap;
    }
    switch (s->op) {
    case HONE_EW_FMA:
        if (a.kind != YMM && b.kind == YMM)
            multiply_add(w, d, b, a, c);
        else
            multiply_add(w, d, a, b, c);
        break;
    case HONE_EW_SQRT:
        vex(w, 1, 0, 0x51, d, 0, a);
        break;
    case HONE_EW_RSQRT:
        vex(w, 1, 0, 0x51, TEMP2, 0, a);
        vex(w, 1, 0, 0x5e, d, in_ymm(w, constant(C_ONE), TEMP), (operand){ YMM, TEMP2 });
        break;
    case HONE_EW_RCP:
        vex(w, 1, 0, 0x5e, d, in_ymm(w, constant(C_ONE), TEMP), a);
        break;
    case HONE_EW_NEG:
        vex(w, 1, 0, XOR, d, in_ymm(w, a, TEMP), constant(C_SIGN));
        break;
    case HONE_EW_ABS:
        vex(w, 1, 0, AND, d, in_ymm(w, a, TEMP), constant(C_MAGNITUDE));
        break;
    case HONE_EW_LT:
    case HONE_EW_LE:
    case HONE_EW_EQ:
        compare(w, d, a, b, s->op == HONE_EW_LT ? LESS : s->op == HONE_EW_LE ? LESS_EQUAL : EQUAL);
        vex(w, 1, 0, AND, d, d, constant(C_ONE));
        break;
    case HONE_EW_SIGN:
        compare(w, TEMP2, a, constant(C_ZERO), LESS);
        compare(w, d, a, constant(C_ZERO), GREATER);
        vex(w, 1, 0, AND, TEMP2, TEMP2, constant(C_ONE));
        vex(w, 1, 0, AND, d, d, constant(C_ONE));
        vex(w, 1, 0, 0x5c, d, d, (operand){ YMM, TEMP2 });
        break;
    case HONE_EW_SEL: /* blend: where the mask is set the last operand, else the second */
        compare(w, TEMP2, a, constant(C_ZERO), UNEQUAL);
        vex(w, 3, 1, 0x4a, d, in_ymm(w, c, TEMP), b);
        byte(w, TEMP2 << 4);
        break;
    default:
        vex(w, 1, 0, opcode_of(s->op), d, in_ymm(w, a, TEMP), b);
    }
}

bool cpu_jit_takes(uint32_t op)
{
    switch (op) {
    case HONE_EW_FMA:
    case HONE_EW_SQRT:
    case HONE_EW_RSQRT:
    case HONE_EW_RCP:
    case HONE_EW_NEG:
    case HONE_EW_ABS:
    case HONE_EW_LT:
    case HONE_EW_LE:
    case HONE_EW_EQ:
    case HONE_EW_SIGN:
    case HONE_EW_SEL:
        return true;
    default:
        return opcode_of(op) != 0;
    }
}

/* What an instruction reads; how many is returned. */
static int reads(const hone_ew_insn *s, uint8_t r[3])
{
    r[0] = s->a;
    r[1] = s->b;
    r[2] = s->c;
    return hone_ew_operands(s->op);
}

/* Which values are constants, and until when each is wanted. False: not for us. */
static bool survey(writer *w)
{
    const hone_ew_program *p = w->program;
    uint32_t n_pointers = 0;
    uint8_t r[3];
    memset(w->pointer, NO_PLACE, sizeof w->pointer);
    for (uint32_t i = 0; i < p->n_insns; i++) {
        const hone_ew_insn *s = &p->insns[i];
        const int n = reads(s, r);
        if (s->op == HONE_EW_LOAD || s->op == HONE_EW_STORE) {
            if (w->pointer[s->idx] == NO_PLACE && n_pointers == JIT_BUFS)
                return false;
            if (w->pointer[s->idx] == NO_PLACE)
                w->pointer[s->idx] = pointers[n_pointers++];
        } else if (s->op == HONE_EW_CONST || s->op == HONE_EW_PARAM) {
            w->uniform[s->dst] = true;
        } else if (cpu_jit_takes(s->op)) {
            bool same = true;
            for (int k = 0; k < n; k++)
                same = same && w->uniform[r[k]];
            w->uniform[s->dst] = same;
        } else {
            return false;
        }
        for (int k = 0; k < n; k++)
            w->last_use[r[k]] = i;
        if (s->op != HONE_EW_STORE)
            w->last_use[s->dst] = i;
    }
    return n_pointers > 0;
}

/* A ymm that nobody uses; NO_PLACE and failed when all are taken. */
static uint8_t take(writer *w)
{
    for (uint8_t i = 0; i < N_VALUES; i++)
        if (!(w->taken >> i & 1)) {
            w->taken |= 1u << i;
            return i;
        }
    w->failed = true;
    return 0;
}

static void body(writer *w)
{
    const hone_ew_program *p = w->program;
    uint8_t r[3];
    for (uint32_t i = 0; i < p->n_insns && !w->failed; i++) {
        const hone_ew_insn *s = &p->insns[i];
        const int n = reads(s, r);
        if (s->op == HONE_EW_STORE) {
            const unsigned from = in_ymm(w, value(w, s->a), TEMP);
            vex(w, 1, 0, MOVE_OUT, from, 0, (operand){ BUFFER, w->pointer[s->idx] });
        } else if (!w->uniform[s->dst]) {
            const uint8_t d = w->ymm[s->dst] = take(w);
            if (s->op == HONE_EW_LOAD)
                vex(w, 1, 0, MOVE, d, 0, (operand){ BUFFER, w->pointer[s->idx] });
            else
                arithmetic(w, s, d);
            if (w->last_use[s->dst] == i)
                w->taken &= ~(1u << d);
        }
        for (int k = 0; k < n; k++)
            if (!w->uniform[r[k]] && w->last_use[r[k]] == i)
                w->taken &= ~(1u << w->ymm[r[k]]);
    }
}

/* push (0x50) or pop (0x58) of a register that belongs to the caller */
static void push(writer *w, unsigned reg, unsigned opcode)
{
    if (reg == NO_PLACE || !of_caller(reg))
        return;
    if (reg >= 8)
        byte(w, 0x41);
    byte(w, opcode | (reg & 7u));
}

static void write_code(writer *w)
{
    size_t top;
    for (int last = 0; last < 2; last++)
        for (unsigned k = 0; k < HONE_EW_MAX_BUFS; k++) {
            const unsigned reg = w->pointer[k];
            if (reg == NO_PLACE || (reg == RDI) != last)
                continue;
            push(w, reg, 0x50);
            byte(w, 0x48u | (reg >= 8 ? 4u : 0)); /* mov pointer, [rdi + 8 k] */
            byte(w, 0x8b);
            byte(w, 0x40u | (reg & 7u) << 3 | 7u);
            byte(w, 8 * k);
        }
    byte(w, 0x31), byte(w, 0xc9); /* xor ecx, ecx */
    top = w->n;
    body(w);
    byte(w, 0x48), byte(w, 0x83), byte(w, 0xc1), byte(w, VECTOR); /* add rcx, 32 */
    byte(w, 0x48), byte(w, 0x39), byte(w, 0xd1);                  /* cmp rcx, rdx */
    byte(w, 0x0f), byte(w, 0x82);                                 /* jb top */
    word(w, (uint32_t)(top - (w->n + 4)));
    byte(w, 0xc5), byte(w, 0xf8), byte(w, 0x77); /* vzeroupper */
    for (unsigned k = HONE_EW_MAX_BUFS; k-- > 0;)
        push(w, w->pointer[k], 0x58);
    byte(w, 0xc3); /* ret */
}

cpu_jit *cpu_jit_make(const hone_host *host, const hone_ew_program *program)
{
    writer w = { .program = program };
    void *code;
    cpu_jit *j;
    if (!survey(&w))
        return NULL;
    code = mmap(NULL, MAX_CODE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        return NULL;
    w.p = code;
    write_code(&w);
    j = w.failed || mprotect(code, MAX_CODE, PROT_READ | PROT_EXEC)
            ? NULL
            : host->alloc(host, sizeof *j, sizeof(void *), "cpu programs");
    if (!j) {
        (void)munmap(code, MAX_CODE);
        return NULL;
    }
    *j = (cpu_jit){ code, MAX_CODE };
    return j;
}

void cpu_jit_free(const hone_host *host, cpu_jit *j)
{
    if (!j)
        return;
    (void)munmap(j->code, j->bytes);
    host->free(host, j);
}

void cpu_jit_constants_set(cpu_jit_constants *c, const float *values)
{
    static const uint32_t own[] = { 0x80000000u, 0x7fffffffu, 0x3f800000u, 0 };
    for (int k = 0; k < HONE_EW_MAX_REGS; k++)
        for (int i = 0; i < JIT_STEP; i++)
            c->of[k][i] = values[k];
    for (int k = C_SIGN; k <= C_ZERO; k++)
        for (int i = 0; i < JIT_STEP; i++)
            memcpy(&c->of[k][i], &own[k - C_SIGN], sizeof(float));
}

void cpu_jit_run(const cpu_jit *j, const void *const *bufs, const cpu_jit_constants *c, int64_t n)
{
    typedef void loop(const void *const *bufs, const float *constants, int64_t bytes);
    loop *run;
    memcpy(&run, &j->code, sizeof run); /* a function's address, by way of its bytes */
    if (n)
        run(bufs, c->of[0], n * (int64_t)sizeof(float));
}

#else

cpu_jit *cpu_jit_make(const hone_host *host, const hone_ew_program *program)
{
    (void)host, (void)program;
    return NULL;
}

void cpu_jit_free(const hone_host *host, cpu_jit *j)
{
    (void)host, (void)j;
}

bool cpu_jit_takes(uint32_t op)
{
    (void)op;
    return false;
}

void cpu_jit_constants_set(cpu_jit_constants *c, const float *values)
{
    (void)c, (void)values;
}

void cpu_jit_run(const cpu_jit *j, const void *const *bufs, const cpu_jit_constants *c, int64_t n)
{
    (void)j, (void)bufs, (void)c, (void)n;
}

#endif
