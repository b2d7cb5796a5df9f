/*
 * check_blocks.c - programs that look at blocks of elements: BMAX, STOREB, NEAREST.
 *
 * What a state in eight bits is made of, against plain loops: to the bit, for every size of
 * a block and a table, with NaN among the values and values right between two entries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/rig.h"

enum { X, SCALES, CODES, FIRSTS, N_BUFS, MAX_N = 70001 };

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float nearest(const float *table, int n, float x)
{
    int below = 0;
    for (int i = 0; i + 1 < n; i++)
        below += (double)x > ((double)table[i] + (double)table[i + 1]) / 2;
    return (float)below;
}

static void check_float(rig *r, const char *name, hone_tensor t, const float *want, int64_t n)
{
    float *got = get(r, &r->side[FUSED], t);
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0 && !(isnan(got[i]) && isnan(want[i]))) {
            fail(r, "%s: element %lld of %lld is %.9g, expected %.9g", name, (long long)i,
                 (long long)n, (double)got[i], (double)want[i]);
            break;
        }
    free(got);
}

/* Codes in bytes, and what a table has at their places. */
static void look_up(rig *r, hone_tensor codes, const hone_ew_program *like, const float *want,
                    int64_t n)
{
    const uint16_t base = 3;
    const hone_ew_insn insns[] = { HONE_EW0I(LOAD, 0, 0),
                                   { .op = HONE_EW_LUT, .dst = 1, .a = 0, .idx = base },
                                   HONE_EW_ST(1, 1) };
    hone_ew_program program = *like;
    side *s = &r->side[FUSED];
    hone_tensor bufs[2] = { codes, put(r, s, 1, &n, 0, NULL) };
    float *values = calloc((size_t)n + 1, sizeof *values);
    hone_kernel kernel = 0;
    hone_error err = { 0 };
    program.n_insns = 3;
    program.n_regs = program.n_bufs = 2;
    program.insns = insns;
    for (int64_t i = 0; i < n; i++)
        values[i] = like->lut[base + (int)want[i]];
    if (good(r, r->device->ew_compile(ops_dev(s->o), &program, &kernel, &err), &err)) {
        (void)good(r,
                   ops_elementwise(
                       s->o,
                       (hone_ew_args){
                           .n_bufs = 2, .kernel = kernel, .bufs = bufs, .shape = { n, 1, 1, 1 } },
                       &err),
                   &err);
        check_float(r, "looked up", bufs[1], values, n);
    }
    r->device->ew_free(ops_dev(s->o), kernel);
    free(values);
}

static void check_codes(rig *r, hone_tensor t, const float *want, int64_t n, bool bytes)
{
    uint8_t *got;
    if (!bytes) {
        check_float(r, "codes", t, want, n);
        return;
    }
    got = get_raw(r, &r->side[FUSED], t);
    for (int64_t i = 0; i < n; i++)
        if ((float)got[i] != want[i]) {
            fail(r, "codes: element %lld of %lld is %d, expected %g", (long long)i, (long long)n,
                 (int)got[i], (double)want[i]);
            break;
        }
    free(got);
}

static void one_case(rig *r, int64_t n, uint8_t shift, uint8_t bits, bool bytes)
{
    static float x[MAX_N], scales[MAX_N], codes[MAX_N], firsts[MAX_N], product[MAX_N];
    const int base = 3, entries = 1 << bits;
    const int64_t size = INT64_C(1) << shift, blocks = (n + size - 1) / size;
    float table[3 + 256];
    const hone_ew_insn insns[] = {
        HONE_EW0I(LOAD, 0, X),
        { .op = HONE_EW_LOADB, .dst = 1, .aux = shift, .idx = SCALES },
        HONE_EW2(MUL, 2, 0, 1),
        { .op = HONE_EW_BMAX, .dst = 3, .a = 2, .aux = shift },
        { .op = HONE_EW_STOREB, .a = 3, .aux = shift, .idx = SCALES },
        { .op = HONE_EW_NEAREST, .dst = 4, .a = 2, .aux = bits, .idx = (uint16_t)base },
        HONE_EW_ST(CODES, 4),
        { .op = HONE_EW_STOREB, .a = 2, .aux = shift, .idx = FIRSTS },
    };
    const hone_ew_program program = { .struct_size = sizeof program,
                                      .n_insns = sizeof insns / sizeof *insns,
                                      .n_regs = 5,
                                      .n_bufs = N_BUFS,
                                      .n_lut = (uint32_t)(base + entries),
                                      .insns = insns,
                                      .lut = table,
                                      .name = "blocks" };
    side *s = &r->side[FUSED];
    hone_tensor bufs[N_BUFS];
    hone_kernel kernel = 0;
    hone_error err = { 0 };
    what(r, "blocks of %lld, a table of %d, %lld elements%s", (long long)size, entries,
         (long long)n, bytes ? ", codes in bytes" : "");
    for (int i = 0; i < base + entries; i++) /* many sizes; some twice */
        table[i] = i % 7 == 6
                       ? table[i - 1]
                       : (float)ldexp(rng_normal(r->seed, 5, r->next++), (int)pick(r, -30, 0));
    table[0] = NAN; /* not of the part that is searched */
    qsort(table + base, (size_t)entries, sizeof *table, ascending);
    for (int64_t i = 0; i < n; i++) {
        const int k = base + (int)pick(r, 0, entries - 2);
        const double halfway = ((double)table[k] + (double)table[k + 1]) / 2;
        static const float odd[] = { 0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-42f };
        switch (pick(r, 0, 5)) {
        case 0:
            x[i] = (float)halfway;
            break;
        case 1:
            x[i] = nextafterf((float)halfway, pick(r, 0, 1) ? INFINITY : -INFINITY);
            break;
        case 2:
            x[i] = table[k];
            break;
        case 3:
            x[i] = odd[pick(r, 0, 5)];
            break;
        default:
            x[i] = (float)rng_normal(r->seed, 6, r->next++);
        }
    }
    for (int64_t b = 0; b < blocks; b++)
        scales[b] = pick(r, 0, 2) ? 1 : (float)ldexp(1, (int)pick(r, -3, 3));
    bufs[X] = put(r, s, 1, &n, 0, x);
    bufs[SCALES] = put(r, s, 1, &blocks, 0, scales);
    bufs[CODES] = bytes ? put_raw(r, s, HONE_U8, 1, &n, NULL) : put(r, s, 1, &n, 0, NULL);
    bufs[FIRSTS] = put(r, s, 1, &blocks, 0, NULL);
    for (int64_t i = 0; i < n; i++) {
        product[i] = x[i] * scales[i / size];
        codes[i] = nearest(table + base, entries, product[i]);
    }
    for (int64_t b = 0; b < blocks; b++) {
        float most = -INFINITY;
        for (int64_t i = b * size; i < n && i < (b + 1) * size; i++)
            most = product[i] > most ? product[i] : most;
        scales[b] = most;
        firsts[b] = product[b * size];
    }
    if (good(r, r->device->ew_compile(ops_dev(s->o), &program, &kernel, &err), &err)) {
        (void)good(r,
                   ops_elementwise(s->o,
                                   (hone_ew_args){ .n_bufs = N_BUFS,
                                                   .kernel = kernel,
                                                   .bufs = bufs,
                                                   .shape = { n, 1, 1, 1 } },
                                   &err),
                   &err);
        check_codes(r, bufs[CODES], codes, n, bytes);
        if (bytes)
            look_up(r, bufs[CODES], &program, codes, n);
        check_float(r, "largest of blocks", bufs[SCALES], scales, blocks);
        check_float(r, "first of blocks", bufs[FIRSTS], firsts, blocks);
    }
    r->device->ew_free(ops_dev(s->o), kernel);
    drop_all(s);
}

/* What hone_ew_check() has to refuse, and a reduce that would look at blocks. */
static void refusals(rig *r)
{
    static const float falling[] = { 1, 0, 2, 3 }, endless[] = { -INFINITY, INFINITY };
    static const hone_ew_insn bad[][3] = {
        { HONE_EW0I(LOAD, 0, 0), { .op = HONE_EW_BMAX, .dst = 1, .a = 0, .aux = 9 } },
        { HONE_EW0I(LOAD, 0, 0), { .op = HONE_EW_STOREB, .a = 0, .aux = 9 } },
        { HONE_EW0I(LOAD, 0, 0), { .op = HONE_EW_STOREB, .a = 0, .aux = 1, .idx = 1 } },
        { HONE_EW0I(LOAD, 0, 0), { .op = HONE_EW_NEAREST, .dst = 1, .a = 0, .aux = 2 } },
        { HONE_EW0I(LOAD, 0, 0), { .op = HONE_EW_NEAREST, .dst = 1, .a = 0, .aux = 3 } },
        { HONE_EW0I(LOAD, 0, 0), { .op = HONE_EW_NEAREST, .dst = 1, .a = 0, .aux = 9 } },
        { HONE_EW0I(LOAD, 0, 0), { .op = HONE_EW_NEAREST, .dst = 1, .a = 0, .aux = 1 } },
    };
    static const hone_ew_insn look[] = { HONE_EW0I(LOAD, 0, 0),
                                         { .op = HONE_EW_BMAX, .dst = 1, .a = 0, .aux = 2 } };
    side *s = &r->side[FUSED];
    hone_ew_program p = { .struct_size = sizeof p, .n_regs = 2, .n_bufs = 1, .n_insns = 2 };
    hone_kernel kernel = 0;
    hone_error err = { 0 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const bool last = i + 1 == sizeof bad / sizeof *bad;
        what(r, "bad program %zu", i);
        p.insns = bad[i];
        p.lut = last ? endless : falling;
        p.n_lut = last ? 2 : 4;
        if (r->device->ew_compile(ops_dev(s->o), &p, &kernel, &err) == HONE_OK)
            fail(r, "is accepted");
    }
    what(r, "a reduce that looks at blocks");
    p.insns = look;
    p.n_lut = 0;
    if (good(r, r->device->ew_compile(ops_dev(s->o), &p, &kernel, &err), &err)) {
        const int64_t n = 16, one = 1;
        const hone_tensor x = put(r, s, 1, &n, 0, NULL);
        hone_tensor out = put(r, s, 1, &one, 0, NULL);
        must_fail(
            r, s,
            ops_reduce(
                s->o,
                (hone_reduce_args){
                    .op = HONE_REDUCE_SUM,
                    .map_reg = 1,
                    .map = { .n_bufs = 1, .kernel = kernel, .bufs = &x, .shape = { 1, 1, 1, n } },
                    .out = out },
                &err),
            &err);
    }
    r->device->ew_free(ops_dev(s->o), kernel);
    drop_all(s);
}

void check_blocks(rig *r)
{
    static const int64_t sizes[] = { 1, 5, 255, 256, 257, 1000, MAX_N };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (uint8_t shift = 0; shift <= 8; shift++)
            one_case(r, sizes[i], shift, (uint8_t)pick(r, 1, 8), pick(r, 0, 1));
    one_case(r, 4096, 8, 8, false);
    for (uint8_t bits = 1; bits <= 8; bits++)
        one_case(r, 1000, 8, bits, true);
    refusals(r);
}
