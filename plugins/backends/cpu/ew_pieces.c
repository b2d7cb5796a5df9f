/*
 * ew_pieces.c - machine code for the plain arithmetic inside programs that are interpreted.
 *
 * A program with a table, a conversion or a function in it goes through a block of EW_BLOCK
 * elements one instruction after the other (ew.c). What lies between such instructions is
 * arithmetic: it is put off until one of them needs it, so that it stands together, and each
 * such piece becomes one loop (jit.c) over registers that lie in memory. Only what is read
 * outside of a piece leaves it. Registers are written once, so that putting a computation off
 * changes nothing, as long as it stays before the next store.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ew.h"

/* Instructions that are worth a piece. */
enum { SHORTEST = 2 };

/* What an instruction reads; how many is returned. */
static int reads(const hone_ew_insn *s, uint8_t r[3])
{
    r[0] = s->a;
    r[1] = s->b;
    r[2] = s->c;
    return hone_ew_operands(s->op);
}

static uint64_t bit(uint8_t reg)
{
    return UINT64_C(1) << reg;
}

/* Registers that are the same for all elements. */
static uint64_t uniform_registers(const hone_ew_program *p)
{
    uint64_t same = 0;
    uint8_t r[3];
    for (uint32_t i = 0; i < p->n_insns; i++) {
        const hone_ew_insn *s = &p->insns[i];
        const int n = reads(s, r);
        bool all = s->op == HONE_EW_CONST || s->op == HONE_EW_PARAM || n > 0;
        for (int k = 0; k < n; k++)
            all = all && (same & bit(r[k]));
        if (all && !hone_ew_stores(s))
            same |= bit(s->dst);
    }
    return same;
}

/* ------------------------------------------------------------------------ order */

typedef struct order {
    hone_ew_insn *to;                      /* the instructions in their new order */
    hone_ew_insn later[HONE_EW_MAX_INSNS]; /* arithmetic that nobody has needed yet */
    uint32_t n, n_later, n_runs;
    uint64_t waits;                                            /* registers of those */
    uint32_t first[HONE_EW_MAX_INSNS], end[HONE_EW_MAX_INSNS]; /* runs of arithmetic */
} order;

static void flush(order *o)
{
    if (!o->n_later)
        return;
    o->first[o->n_runs] = o->n;
    memcpy(o->to + o->n, o->later, o->n_later * sizeof *o->to);
    o->n += o->n_later;
    o->end[o->n_runs++] = o->n;
    o->n_later = 0;
    o->waits = 0;
}

static void put_in_order(order *o, const hone_ew_program *p, uint64_t same)
{
    uint8_t r[3];
    for (uint32_t i = 0; i < p->n_insns; i++) {
        const hone_ew_insn *s = &p->insns[i];
        const bool stores = hone_ew_stores(s);
        bool now = stores;
        if (cpu_jit_takes(s->op) && !(same & bit(s->dst))) {
            o->waits |= bit(s->dst);
            o->later[o->n_later++] = *s;
            continue;
        }
        for (int k = reads(s, r); k-- > 0;)
            now = now || (o->waits & bit(r[k]));
        if (now)
            flush(o);
        o->to[o->n++] = *s;
    }
    flush(o);
}

/* ----------------------------------------------------------------------- pieces */

typedef struct maker {
    ew_piece *piece;
    hone_ew_insn insn[HONE_EW_MAX_INSNS];
    uint32_t n;
    uint64_t known; /* registers that have been loaded or computed */
    bool full;
} maker;

static void put(maker *m, hone_ew_insn s)
{
    if (m->n == HONE_EW_MAX_INSNS)
        m->full = true;
    else
        m->insn[m->n++] = s;
}

/* A buffer for a register: to read it (insn EW_NO_INSN) or for the result of instruction insn. */
static uint16_t buffer_for(maker *m, uint8_t reg, uint32_t insn)
{
    ew_piece *piece = m->piece;
    if (piece->n_bufs == JIT_BUFS) {
        m->full = true;
        return 0;
    }
    piece->reg[piece->n_bufs] = reg;
    piece->insn[piece->n_bufs] = (uint16_t)insn;
    return piece->n_bufs++;
}

/* Instructions [first, end) of the program as one of its own; NULL: too many registers. */
static cpu_jit *compile(const hone_host *host, ew_piece *piece, const hone_ew_program *p,
                        uint32_t first, uint32_t end, uint64_t same, uint64_t outside)
{
    maker m = { .piece = piece };
    uint8_t r[3];
    *piece = (ew_piece){ .first = (uint16_t)first, .end = (uint16_t)end };
    for (uint32_t i = first; i < end; i++) {
        const hone_ew_insn *s = &p->insns[i];
        for (int k = reads(s, r); k-- > 0;) {
            if (m.known & bit(r[k]))
                continue;
            m.known |= bit(r[k]);
            if (same & bit(r[k]))
                put(&m, (hone_ew_insn)HONE_EW0C(r[k], 0)); /* the value comes with each run */
            else
                put(&m, (hone_ew_insn)HONE_EW0I(LOAD, r[k], buffer_for(&m, r[k], EW_NO_INSN)));
        }
        put(&m, *s);
        m.known |= bit(s->dst);
        if (outside & bit(s->dst))
            put(&m, (hone_ew_insn)HONE_EW_ST(buffer_for(&m, s->dst, i), s->dst));
    }
    if (m.full)
        return NULL;
    return cpu_jit_make(host, &(hone_ew_program){ .struct_size = sizeof(hone_ew_program),
                                                  .n_insns = m.n,
                                                  .n_regs = HONE_EW_MAX_REGS,
                                                  .n_bufs = piece->n_bufs,
                                                  .insns = m.insn });
}

/* A run as one piece, or as two when that is too much. */
static void make_pieces(const hone_host *host, ew_code *code, uint32_t first, uint32_t end,
                        uint64_t same)
{
    const hone_ew_program *p = &code->program;
    ew_piece *piece = &code->piece[code->n_pieces];
    uint64_t written = 0, outside = 0, inside = 0;
    uint8_t r[3];
    if (end - first < SHORTEST || code->n_pieces == EW_MAX_PIECES)
        return;
    for (uint32_t i = 0; i < p->n_insns; i++) {
        const bool here = i >= first && i < end;
        for (int k = reads(&p->insns[i], r); k-- > 0;)
            *(here ? &inside : &outside) |= bit(r[k]);
        if (here)
            written |= bit(p->insns[i].dst);
    }
    outside |= written & ~inside; /* read by nobody: a reduce may want it */
    piece->jit = compile(host, piece, p, first, end, same, outside);
    if (piece->jit) {
        code->hidden |= written & ~outside;
        code->piece_at[first] = (uint8_t)++code->n_pieces;
        return;
    }
    make_pieces(host, code, first, first + (end - first) / 2, same);
    make_pieces(host, code, first + (end - first) / 2, end, same);
}

void ew_pieces_make(const hone_host *host, ew_code *code, const hone_ew_program *p,
                    hone_ew_insn *insns)
{
    const uint64_t same = uniform_registers(p);
    order o = { .to = insns };
    put_in_order(&o, p, same);
    for (uint32_t i = 0; i < o.n_runs; i++)
        make_pieces(host, code, o.first[i], o.end[i], same);
}

void ew_pieces_free(const hone_host *host, ew_code *code)
{
    for (uint32_t i = 0; i < code->n_pieces; i++)
        cpu_jit_free(host, code->piece[i].jit);
}

void ew_piece_run(const ew_run *run, ew_state *state, const ew_piece *piece)
{
    const void *bufs[JIT_BUFS];
    for (uint32_t k = 0; k < piece->n_bufs; k++) {
        const uint8_t reg = piece->reg[k];
        if (piece->insn[k] != EW_NO_INSN)
            state->value[reg] = state->slot[run->slot[piece->insn[k]]];
        bufs[k] = state->value[reg];
    }
    cpu_jit_run(piece->jit, bufs, &state->constants, EW_BLOCK);
}
