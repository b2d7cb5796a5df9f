/*
 * ew.c - elementwise programs, run in blocks of EW_BLOCK elements. Plain arithmetic on dense
 * float32 has machine code of its own (jit.c); the rest goes as follows.
 *
 * A block goes through the program one instruction at a time, each a vector loop
 * over 256 floats, so that the registers of a program stay in L1. Registers share
 * memory by live range, what is the same for all elements is computed once, and a
 * dense float32 operand is read where it lies unless a store could reach it first.
 * Elements are independent: any number of threads gives the same bits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ew.h"

/* ------------------------------------------------------------------ prepare */

/* The operands of an instruction; how many is returned. */
static int operands(const hone_ew_insn *s, uint8_t r[3])
{
    r[0] = s->a;
    r[1] = s->b;
    r[2] = s->c;
    return hone_ew_operands(s->op);
}

/* Slots by live range. A result never takes the slot of its own operands: the
 * loops of kern_exact.c may assume that they write elsewhere. */
static void assign(ew_run *run, int keep, uint32_t last_use[HONE_EW_MAX_REGS])
{
    const hone_ew_program *p = &run->code->program;
    uint8_t free_slot[HONE_EW_MAX_REGS], slot_of[HONE_EW_MAX_REGS] = { 0 }, r[3];
    bool uniform[HONE_EW_MAX_REGS] = { false };
    uint32_t n_free = 0;
    for (uint32_t i = 0; i < p->n_insns; i++) {
        if (!hone_ew_stores(&p->insns[i]))
            last_use[p->insns[i].dst] = i; /* a result nobody reads lives until now */
        for (int k = operands(&p->insns[i], r); k-- > 0;)
            last_use[r[k]] = i;
    }
    if (keep >= 0)
        last_use[keep] = p->n_insns;
    for (uint32_t i = 0; i < p->n_insns; i++) {
        const hone_ew_insn *s = &p->insns[i];
        const int n = operands(s, r);
        if (!hone_ew_stores(s)) {
            bool same = s->op == HONE_EW_CONST || s->op == HONE_EW_PARAM || n > 0;
            for (int k = 0; k < n; k++)
                same = same && uniform[r[k]];
            run->uniform[i] = uniform[s->dst] = same;
            /* uniform values are computed ahead: their slots are theirs alone */
            slot_of[s->dst] = n_free && !same ? free_slot[--n_free] : (uint8_t)run->n_slots++;
            run->slot[i] = slot_of[s->dst];
        }
        for (int k = 0; k < n; k++) {
            const bool again = (k > 0 && r[0] == r[k]) || (k > 1 && r[1] == r[k]);
            if (!again && last_use[r[k]] == i && !uniform[r[k]])
                free_slot[n_free++] = slot_of[r[k]];
        }
        if (!hone_ew_stores(s) && last_use[s->dst] == i && !run->uniform[i])
            free_slot[n_free++] = slot_of[s->dst];
    }
}

/* A load may be used in place when no store up to its last use can reach it. */
static void find_in_place(ew_run *run, const uint32_t last_use[HONE_EW_MAX_REGS])
{
    const hone_ew_program *p = &run->code->program;
    for (uint32_t i = 0; i < p->n_insns; i++) {
        const hone_ew_insn *s = &p->insns[i];
        const ew_walk *w = &run->buf[s->idx % HONE_EW_MAX_BUFS];
        if (s->op != HONE_EW_LOAD || !w->linear || w->dtype != HONE_F32)
            continue;
        run->in_place[i] = true;
        for (uint32_t j = i + 1; j < p->n_insns && j <= last_use[s->dst]; j++) {
            const ew_walk *d = &run->buf[p->insns[j].idx % HONE_EW_MAX_BUFS];
            if (hone_ew_stores(&p->insns[j]) && d->p < w->p + w->bytes && w->p < d->p + d->bytes)
                run->in_place[i] = false;
        }
    }
}

/* A load of bytes whose only reader is the look-up behind it, a nearest code that is only
 * stored as a byte. */
static void find_bytes(ew_run *run, const uint32_t last_use[HONE_EW_MAX_REGS])
{
    const hone_ew_program *p = &run->code->program;
    for (uint32_t i = 1; i < p->n_insns; i++) {
        const hone_ew_insn *s = &p->insns[i], *before = s - 1;
        const bool in = before->op == HONE_EW_LOAD && s->op == HONE_EW_LUT;
        const bool out = before->op == HONE_EW_NEAREST && s->op == HONE_EW_STORE;
        const ew_walk *w = &run->buf[(in ? before : s)->idx % HONE_EW_MAX_BUFS];
        if ((in || out) && s->a == before->dst && last_use[s->a] == i && !run->uniform[i] &&
            w->linear && w->dtype == HONE_U8 && (out || s->idx + 256u <= p->n_lut))
            run->bytes[i - 1] = run->bytes[i] = true;
    }
}

static hone_status check_buffers(ew_run *run, const hone_dev *dev, const hone_ew_args *args,
                                 const char *what, hone_error *err)
{
    const hone_ew_program *p = &run->code->program;
    for (uint32_t i = 0; i < p->n_insns; i++) {
        const hone_ew_insn *s = &p->insns[i];
        const bool strided = s->op == HONE_EW_LOAD || s->op == HONE_EW_STORE;
        const hone_tensor *t;
        char name[64];
        int64_t need = 0;
        void *at = NULL;
        hone_status st;
        if (!strided && s->op != HONE_EW_BITS && s->op != HONE_EW_LOADB && s->op != HONE_EW_STOREB)
            continue;
        t = &args->bufs[s->idx];
        (void)snprintf(name, sizeof name, "%s: buffer %u", what, (unsigned)s->idx);
        st = cpu_resolve(dev, t, name, &at, err);
        if (st)
            return st;
        ew_walk_init(&run->buf[s->idx], t, at);
        if (strided) {
            char got[96], want[96];
            if (memcmp(t->shape, run->shape, sizeof run->shape) != 0)
                return hone_fail(err, HONE_ERR_ARG, "cpu: %s is %s, expected %s", name,
                                 cpu_shape_text(got, sizeof got, 4, t->shape),
                                 cpu_shape_text(want, sizeof want, 4, run->shape));
            if (s->op == HONE_EW_STORE && !ew_apart(t))
                return hone_fail(err, HONE_ERR_ARG, "cpu: %s is written, but its elements overlap",
                                 name);
            continue;
        }
        if (s->op == HONE_EW_BITS)
            need = run->count / (8 / s->aux) + (run->count % (8 / s->aux) != 0);
        else if (run->count)
            need = ((run->count - 1) >> s->aux) + 1;
        if ((s->op == HONE_EW_BITS && t->dtype != HONE_U8) || !run->buf[s->idx].linear ||
            hone_tensor_count(t) < need)
            return hone_fail(
                err, HONE_ERR_ARG,
                "cpu: %s: a flat buffer of %lld %s was expected, %lld of dtype %u came", name,
                (long long)need, s->op == HONE_EW_BITS ? "bytes" : "values",
                (long long)hone_tensor_count(t), (unsigned)t->dtype);
    }
    return HONE_OK;
}

hone_status ew_run_init(ew_run *run, const hone_dev *dev, const hone_ew_args *args, int keep,
                        const char *what, hone_error *err)
{
    const cpu_slot *slot = cpu_slot_of(dev, args->kernel);
    uint32_t last_use[HONE_EW_MAX_REGS] = { 0 };
    const hone_ew_program *p;
    hone_status st;
    if (!slot || slot->kind != CPU_PROGRAM)
        return hone_fail(err, HONE_ERR_ARG, "cpu: %s: no program has the handle %llx", what,
                         (unsigned long long)args->kernel);
    memset(run, 0, sizeof *run);
    run->code = slot->p;
    run->k = dev->k->exact;
    run->params = args->params;
    run->seed = args->seed;
    run->offset = args->offset;
    run->count = 1;
    p = &run->code->program;
    if (args->n_bufs != p->n_bufs || args->n_params < p->n_params || (p->n_bufs && !args->bufs) ||
        (p->n_params && !args->params))
        return hone_fail(err, HONE_ERR_ARG,
                         "cpu: %s: the program takes %u buffers and %u parameters, got %u and %u",
                         what, (unsigned)p->n_bufs, (unsigned)p->n_params, (unsigned)args->n_bufs,
                         (unsigned)args->n_params);
    for (int k = 0; k < 4; k++) {
        run->shape[k] = args->shape[k];
        if (args->shape[k] < 0 || __builtin_mul_overflow(run->count, args->shape[k], &run->count))
            return hone_fail(err, HONE_ERR_ARG, "cpu: %s: shape[%d] is %lld", what, k,
                             (long long)args->shape[k]);
    }
    st = check_buffers(run, dev, args, what, err);
    if (st || !run->count)
        return st;
    run->pieces = keep < 0 || !(run->code->hidden >> keep & 1);
    assign(run, keep, last_use);
    find_in_place(run, last_use);
    find_bytes(run, last_use);
    return HONE_OK;
}

/* ---------------------------------------------------------------------- run */

static void fill_index(const ew_run *run, float *d, uint32_t dim, int64_t first, int64_t n)
{
    int64_t inner = 1, at, left;
    for (int k = 3; k > (int)dim; k--)
        inner *= run->shape[k];
    at = first / inner % run->shape[dim];
    left = inner - first % inner;
    for (int64_t i = 0; i < n; i++) {
        d[i] = (float)at;
        if (--left == 0) {
            left = inner;
            at = at + 1 == run->shape[dim] ? 0 : at + 1;
        }
    }
}

static void fill_bits(const ew_walk *w, float *d, uint32_t bits, int64_t first, int64_t n)
{
    const int64_t per = 8 / bits;
    const uint32_t mask = (1u << bits) - 1;
    for (int64_t i = 0; i < n; i++) {
        const int64_t e = first + i;
        const uint32_t shift = bits * (uint32_t)(per - 1 - e % per);
        d[i] = (float)((uint32_t)w->p[e / per] >> shift & mask);
    }
}

/* 2^shift elements share a value */
static void fill_scales(const ew_run *run, const ew_walk *w, float *d, uint32_t shift,
                        int64_t first, int64_t n)
{
    int64_t i = 0;
    while (i < n) {
        const int64_t at = (first + i) >> shift;
        int64_t end = ((at + 1) << shift) - first;
        float x;
        run->k->load[w->dtype](&x, w->p + (uint64_t)at * w->size, 1);
        end = end < n ? end : n;
        run->k->spread(d + i, x, end - i);
        i = end;
    }
}

/* The first of each 2^shift elements; blocks of a program begin at multiples of it. */
static void store_scales(const ew_run *run, const ew_walk *w, const float *a, uint32_t shift,
                         int64_t first, int64_t n)
{
    for (int64_t i = 0; i < n; i += INT64_C(1) << shift)
        run->k->store[w->dtype](w->p + (uint64_t)((first + i) >> shift) * w->size, a + i, 1);
}

/* One of a pair; the other does nothing. */
static void one_bytes(const ew_run *run, ew_state *state, uint32_t i, int64_t first)
{
    const hone_ew_insn *s = &run->code->program.insns[i];
    if (s->op == HONE_EW_LUT) {
        float *d = state->slot[run->slot[i]];
        run->k->look_up_bytes(d, run->buf[s[-1].idx].p + first, run->code->program.lut + s->idx);
        state->value[s->dst] = d;
    } else if (s->op == HONE_EW_NEAREST) {
        run->k->nearest_bytes(run->buf[s[1].idx].p + first, state->value[s->a],
                              &run->code->nearest[run->code->nearest_of[i]]);
    }
}

static void one(const ew_run *run, ew_state *state, uint32_t i, int64_t first, int64_t n)
{
    const hone_ew_program *p = &run->code->program;
    const hone_ew_insn *s = &p->insns[i];
    const ew_walk *w = &run->buf[s->idx % HONE_EW_MAX_BUFS];
    float *d = state->slot[run->slot[i]];
    const float *const *value = state->value;
    if (run->bytes[i] && n == EW_BLOCK) {
        one_bytes(run, state, i, first);
        return;
    }
    if (s->op == HONE_EW_STORE) {
        ew_walk_store(w, run->k, value[s->a], first, n);
        return;
    }
    if (s->op == HONE_EW_STOREB) {
        store_scales(run, w, value[s->a], s->aux, first, n);
        return;
    }
    state->value[s->dst] = d;
    switch (s->op) {
    case HONE_EW_LOAD: /* a block in place has to be whole: loops run over EW_BLOCK */
        if (run->in_place[i] && n == EW_BLOCK)
            state->value[s->dst] = (const float *)(const void *)(w->p + first * 4);
        else
            ew_walk_load(w, run->k, d, first, n);
        break;
    case HONE_EW_CONST:
        run->k->spread(d, s->imm, EW_BLOCK);
        break;
    case HONE_EW_PARAM:
        run->k->spread(d, run->params[s->idx], EW_BLOCK);
        break;
    case HONE_EW_INDEX:
        fill_index(run, d, s->idx, first, n);
        break;
    case HONE_EW_RANDOM:
        run->k->random(d, n, run->seed, s->idx, (uint64_t)first + run->offset);
        break;
    case HONE_EW_BITS:
        fill_bits(w, d, s->aux, first, n);
        break;
    case HONE_EW_LUT:
        run->k->look_up(d, value[s->a], p->lut, p->n_lut, s->idx);
        break;
    case HONE_EW_NEAREST:
        run->k->nearest(d, value[s->a], &run->code->nearest[run->code->nearest_of[i]]);
        break;
    case HONE_EW_BMAX:
        run->k->block_max(d, value[s->a], n, s->aux);
        break;
    case HONE_EW_LOADB:
        fill_scales(run, w, d, s->aux, first, n);
        break;
    default: {
        uint8_t r[3] = { 0, 0, 0 };
        const int count = operands(s, r);
        run->k->op[s->op & 63](d, value[r[0]], value[r[count > 1 ? 1 : 0]],
                               value[r[count > 2 ? 2 : 0]]);
        break;
    }
    }
}

void ew_run_start(const ew_run *run, ew_state *state)
{
    /* A short block leaves the rest of a slot as it was; it has to be numbers. */
    float constants[HONE_EW_MAX_REGS] = { 0 };
    memset(state->slot, 0, run->n_slots * sizeof state->slot[0]);
    for (uint32_t i = 0; i < run->code->program.n_insns; i++)
        if (run->uniform[i]) {
            one(run, state, i, 0, EW_BLOCK);
            constants[run->code->program.insns[i].dst] =
                state->value[run->code->program.insns[i].dst][0];
        }
    if (run->code->jit || run->code->n_pieces)
        cpu_jit_constants_set(&state->constants, constants);
}

void ew_run_block(const ew_run *run, ew_state *state, int64_t first, int64_t n)
{
    const ew_code *code = run->code;
    for (uint32_t i = 0; i < code->program.n_insns; i++)
        if (run->pieces && code->piece_at[i]) {
            const ew_piece *piece = &code->piece[code->piece_at[i] - 1];
            ew_piece_run(run, state, piece);
            i = piece->end - 1u;
        } else if (!run->uniform[i]) {
            one(run, state, i, first, n);
        }
}

static void run_blocks(void *arg, int64_t lo, int64_t hi, int thread)
{
    const ew_run *run = arg;
    ew_state state;
    (void)thread;
    ew_run_start(run, &state);
    for (int64_t b = lo; b < hi; b++) {
        const int64_t first = b * EW_BLOCK, left = run->count - first;
        ew_run_block(run, &state, first, left < EW_BLOCK ? left : EW_BLOCK);
    }
}

/* Machine code takes dense float32 alone. */
static bool all_dense(const ew_run *run)
{
    const hone_ew_program *p = &run->code->program;
    for (uint32_t i = 0; i < p->n_insns; i++) {
        const ew_walk *w = &run->buf[p->insns[i].idx % HONE_EW_MAX_BUFS];
        const bool memory = p->insns[i].op == HONE_EW_LOAD || p->insns[i].op == HONE_EW_STORE;
        if (memory && (!w->linear || w->dtype != HONE_F32))
            return false;
    }
    return true;
}

static void run_code(void *arg, int64_t lo, int64_t hi, int thread)
{
    const ew_run *run = arg;
    const hone_ew_program *p = &run->code->program;
    const int64_t first = lo * EW_BLOCK,
                  end = hi * EW_BLOCK < run->count ? hi * EW_BLOCK : run->count;
    const int64_t whole = (end - first) / JIT_STEP * JIT_STEP;
    const void *bufs[HONE_EW_MAX_BUFS];
    ew_state state;
    (void)thread;
    ew_run_start(run, &state);
    for (uint32_t k = 0; k < p->n_bufs; k++)
        bufs[k] = run->buf[k].p ? run->buf[k].p + (uint64_t)first * sizeof(float) : NULL;
    cpu_jit_run(run->code->jit, bufs, &state.constants, whole);
    if (first + whole < end)
        ew_run_block(run, &state, first + whole, end - first - whole);
}

hone_status cpu_elementwise(hone_queue *q, const hone_ew_args *args, hone_error *err)
{
    ew_run run;
    hone_status st;
    CPU_ARGS(args, err);
    st = ew_run_init(&run, q->dev, args, -1, "elementwise", err);
    if (st)
        return st;
    cpu_parallel(q->dev, run.count / EW_BLOCK + (run.count % EW_BLOCK != 0), 16,
                 run.code->jit && all_dense(&run) ? run_code : run_blocks, &run);
    return HONE_OK;
}
