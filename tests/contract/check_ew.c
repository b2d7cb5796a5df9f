/*
 * check_ew.c - elementwise programs against a plain interpreter, one element and one
 * instruction at a time.
 *
 * + - * / fma sqrt and everything without rounding has to agree to the bit, also in
 * long random programs over strided and repeated operands; the functions have to be
 * within the distance that hone/ew.h allows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/rig.h"

/* ------------------------------------------------------------ one element, plainly */

typedef struct plain {
    const hone_ew_program *p;
    const hone_tensor *bufs; /* offset counts from the start of flat[k] */
    float *flat[HONE_EW_MAX_BUFS];
    uint8_t *bytes[HONE_EW_MAX_BUFS]; /* packed buffers */
    const float *params;
    int64_t shape[4];
    uint64_t seed, offset;
} plain;

static int64_t place(const hone_tensor *t, int64_t i)
{
    int64_t at = (int64_t)(t->offset / 4);
    for (int k = 4; k-- > 0;) {
        at += i % t->shape[k] * t->stride[k];
        i /= t->shape[k];
    }
    return at;
}

static float compute(const plain *x, const hone_ew_insn *s, const float *reg, int64_t e)
{
    const float a = reg[s->a], b = reg[s->b], c = reg[s->c];
    int64_t inner = 1;
    float at;
    switch (s->op) {
    case HONE_EW_LOAD:
        return x->flat[s->idx][place(&x->bufs[s->idx], e)];
    case HONE_EW_CONST:
        return s->imm;
    case HONE_EW_PARAM:
        return x->params[s->idx];
    case HONE_EW_ADD:
        return a + b;
    case HONE_EW_SUB:
        return a - b;
    case HONE_EW_MUL:
        return a * b;
    case HONE_EW_DIV:
        return a / b;
    case HONE_EW_FMA:
        return fmaf(a, b, c);
    case HONE_EW_NEG:
        return -a;
    case HONE_EW_ABS:
        return fabsf(a);
    case HONE_EW_SQRT:
        return sqrtf(a);
    case HONE_EW_MIN:
        return a < b ? a : b;
    case HONE_EW_MAX:
        return a > b ? a : b;
    case HONE_EW_SIGN:
        return a > 0 ? 1.0f : a < 0 ? -1.0f : 0.0f;
    case HONE_EW_LT:
        return a < b ? 1.0f : 0.0f;
    case HONE_EW_LE:
        return a <= b ? 1.0f : 0.0f;
    case HONE_EW_EQ:
        return a == b ? 1.0f : 0.0f;
    case HONE_EW_SEL:
        return a != 0 ? b : c;
    case HONE_EW_INDEX:
        for (int k = 3; k > s->idx; k--)
            inner *= x->shape[k];
        return (float)(e / inner % x->shape[s->idx]);
    case HONE_EW_RANDOM: {
        const uint64_t n = (uint64_t)e + x->offset;
        return (float)(rng_philox(x->seed, s->idx, n / 4).w[n % 4] >> 8) * 0x1p-24f;
    }
    case HONE_EW_BITS: {
        const int64_t per = 8 / s->aux;
        const int shift = s->aux * (int)(per - 1 - e % per);
        return (float)(x->bytes[s->idx][e / per] >> shift & ((1 << s->aux) - 1));
    }
    case HONE_EW_LUT:
        at = truncf(a) + (float)s->idx;
        at = at >= 0 ? at : 0;
        return x->p->lut[at > (float)(x->p->n_lut - 1) ? x->p->n_lut - 1 : (uint32_t)at];
    case HONE_EW_LOADB:
        return x->flat[s->idx][(int64_t)(x->bufs[s->idx].offset / 4) + (e >> s->aux)];
    default:
        return NAN;
    }
}

static void interpret(const plain *x)
{
    const int64_t n = x->shape[0] * x->shape[1] * x->shape[2] * x->shape[3];
    for (int64_t e = 0; e < n; e++) {
        float reg[HONE_EW_MAX_REGS] = { 0 };
        for (uint32_t i = 0; i < x->p->n_insns; i++) {
            const hone_ew_insn *s = &x->p->insns[i];
            if (s->op == HONE_EW_STORE)
                x->flat[s->idx][place(&x->bufs[s->idx], e)] = reg[s->a];
            else
                reg[s->dst] = compute(x, s, reg, e);
        }
    }
}

/* -------------------------------------------------------------- random programs */

/* Buffers: 0..2 loaded, 3 loaded and stored, 4 stored, 5 packed, 6 block scales. */
enum { IN_PLACE = 3, OUT = 4, PACKED = 5, SCALES = 6, N_BUFS = 7, N_PARAMS = 3, N_LUT = 16 };

typedef struct made {
    hone_ew_insn insn[HONE_EW_MAX_INSNS];
    float lut[N_LUT];
    hone_ew_program p;
} made;

static float nasty(rig *r)
{
    static const float odd[] = { 0.0f, -0.0f, 1,      -1,     0.5f, INFINITY,   -INFINITY,
                                 NAN,  3e38f, 1e-38f, 1e-42f, 2,    16777216.0f };
    return pick(r, 0, 9)
               ? (float)(rng_normal(r->seed, 7, r->next++) * ldexp(1, (int)pick(r, -3, 3)))
               : odd[pick(r, 0, (int64_t)(sizeof odd / sizeof *odd) - 1)];
}

/* simple: loads, stores and arithmetic alone, what a device may compile as a whole. */
static void random_program(rig *r, made *m, uint32_t n_insns, bool simple)
{
    static const uint8_t exact[] = { HONE_EW_ADD,   HONE_EW_SUB,   HONE_EW_MUL,   HONE_EW_DIV,
                                     HONE_EW_FMA,   HONE_EW_NEG,   HONE_EW_ABS,   HONE_EW_SQRT,
                                     HONE_EW_MIN,   HONE_EW_MAX,   HONE_EW_SIGN,  HONE_EW_LT,
                                     HONE_EW_LE,    HONE_EW_EQ,    HONE_EW_SEL,   HONE_EW_FMA,
                                     HONE_EW_ADD,   HONE_EW_STORE, HONE_EW_LOAD,  HONE_EW_CONST,
                                     HONE_EW_PARAM, HONE_EW_LUT,   HONE_EW_INDEX, HONE_EW_RANDOM,
                                     HONE_EW_BITS,  HONE_EW_LOADB };
    const int64_t n_ops = (int64_t)sizeof exact - (simple ? 5 : 0);
    uint32_t regs = 0;
    memset(m, 0, sizeof *m);
    for (int i = 0; i < N_LUT; i++)
        m->lut[i] = nasty(r);
    for (uint32_t i = 0; i < n_insns; i++) {
        hone_ew_insn *s = &m->insn[i];
        s->op = exact[pick(r, 0, n_ops - 1)];
        if (i + 1 == n_insns)
            s->op = HONE_EW_STORE;
        else if (regs == HONE_EW_MAX_REGS)
            s->op = HONE_EW_STORE;
        if (regs == 0)
            s->op = HONE_EW_LOAD;
        if (regs) {
            s->a = (uint8_t)pick(r, 0, regs - 1);
            s->b = (uint8_t)pick(r, 0, regs - 1);
            s->c = (uint8_t)pick(r, 0, regs - 1);
        }
        switch (s->op) {
        case HONE_EW_LOAD:
            s->idx = (uint16_t)pick(r, 0, IN_PLACE);
            break;
        case HONE_EW_STORE: /* the last one tells of what came before */
            s->idx = i + 1 == n_insns ? OUT : (uint16_t)pick(r, IN_PLACE, OUT);
            s->a = i + 1 == n_insns ? (uint8_t)(regs - 1) : s->a;
            break;
        case HONE_EW_CONST:
            s->imm = nasty(r);
            break;
        case HONE_EW_PARAM:
            s->idx = (uint16_t)pick(r, 0, N_PARAMS - 1);
            break;
        case HONE_EW_INDEX:
            s->idx = (uint16_t)pick(r, 0, 3);
            break;
        case HONE_EW_RANDOM:
            s->idx = (uint16_t)pick(r, 0, 9);
            break;
        case HONE_EW_BITS:
            s->idx = PACKED;
            s->aux = (uint8_t)(2 << pick(r, 0, 2));
            break;
        case HONE_EW_LUT:
            s->idx = (uint16_t)pick(r, 0, N_LUT - 1);
            break;
        case HONE_EW_LOADB:
            s->idx = SCALES;
            s->aux = (uint8_t)pick(r, 0, 7);
            break;
        default:
            break;
        }
        if (s->op != HONE_EW_STORE)
            s->dst = (uint8_t)regs++;
    }
    m->p = (hone_ew_program){ .struct_size = sizeof m->p,
                              .n_insns = n_insns,
                              .n_regs = regs,
                              .n_bufs = N_BUFS,
                              .n_params = N_PARAMS,
                              .n_lut = N_LUT,
                              .insns = m->insn,
                              .lut = m->lut,
                              .name = "random" };
}

/* Strides over `shape` in some order of dimensions, with gaps; repeat: some are 0. */
static hone_tensor random_view(rig *r, const int64_t shape[4], bool dense, bool repeat,
                               int64_t *total)
{
    hone_tensor t = hone_tensor_dense(0, 0, HONE_F32, 4, shape);
    const bool turned = !dense && pick(r, 0, 3) == 0, gaps = !dense && pick(r, 0, 2) == 0;
    int64_t step = 1;
    for (int i = 0; i < 4; i++) {
        const int k = turned ? i : 3 - i;
        if (repeat && !dense && pick(r, 0, 3) == 0) {
            t.stride[k] = 0;
            continue;
        }
        t.stride[k] = step;
        step *= shape[k] ? shape[k] : 1;
        step += gaps ? pick(r, 0, 3) : 0;
    }
    *total = step + 4;
    t.offset = 4 * (uint64_t)pick(r, 0, 3);
    return t;
}

static bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void random_one(rig *r, int round)
{
    static const int64_t sizes[] = { 1, 2, 3, 5, 8, 16, 31, 64, 100, 256, 300 };
    side *s = &r->side[FUSED];
    made m, sent;
    int64_t total[N_BUFS], shape[4] = { 1, 1, 1, 1 }, n;
    hone_tensor bufs[N_BUFS], views[N_BUFS];
    plain x = { 0 };
    float params[N_PARAMS] = { nasty(r), nasty(r), nasty(r) }, lent[N_PARAMS];
    hone_kernel kernel = 0;
    hone_error err = { 0 };
    hone_ew_args args;
    const bool simple = round % 2 == 0;
    const uint32_t insns = (uint32_t)pick(r, 2, round % 9 == 0 ? HONE_EW_MAX_INSNS : 40);
    for (int k = 0; k < 4; k++)
        shape[k] = pick(r, 0, 1) ? pick_of(r, sizes, k < 2 ? 5 : 11) : 1;
    if (round % 23 == 7)
        shape[pick(r, 0, 3)] = 0;
    if (round % 19 == 5)
        shape[0] = 9, shape[1] = 1, shape[2] = 1, shape[3] = 20011;
    n = shape[0] * shape[1] * shape[2] * shape[3];
    random_program(r, &m, insns, simple);
    sent = m;
    sent.p.insns = sent.insn;
    sent.p.lut = sent.lut;
    memcpy(lent, params, sizeof lent);
    what(r, "random program %d, %u instructions, (%lld, %lld, %lld, %lld)", round, insns,
         (long long)shape[0], (long long)shape[1], (long long)shape[2], (long long)shape[3]);
    x = (plain){ .p = &m.p,
                 .bufs = views,
                 .params = params,
                 .seed = (uint64_t)pick(r, 0, 1) << 40,
                 .offset = (uint64_t)pick(r, 0, 1000) };
    memcpy(x.shape, shape, sizeof shape);
    for (int k = 0; k < N_BUFS; k++) {
        hone_tensor flat;
        if (k == PACKED) {
            total[k] = n + 8;
            x.bytes[k] = calloc((size_t)total[k], 1);
            for (int64_t i = 0; i < total[k]; i++)
                x.bytes[k][i] = (uint8_t)pick(r, 0, 255);
            bufs[k] = views[k] = put_raw(r, s, HONE_U8, 1, &total[k], x.bytes[k]);
            continue;
        }
        if (k == SCALES) {
            total[k] = n + 8;
            views[k] = hone_tensor_1d(0, 0, HONE_F32, total[k]);
        } else {
            views[k] = random_view(r, shape, simple, k < IN_PLACE, &total[k]);
        }
        x.flat[k] = calloc((size_t)total[k], 4);
        for (int64_t i = 0; i < total[k]; i++)
            x.flat[k][i] = nasty(r);
        flat = put(r, s, 1, &total[k], 0, x.flat[k]);
        bufs[k] = views[k];
        bufs[k].buf = flat.buf;
        bufs[k].offset += flat.offset;
    }
    args = (hone_ew_args){ .n_bufs = N_BUFS,
                           .n_params = N_PARAMS,
                           .bufs = bufs,
                           .params = lent,
                           .seed = x.seed,
                           .offset = x.offset };
    memcpy(args.shape, shape, sizeof shape);
    if (good(r, r->device->ew_compile(ops_dev(s->o), &sent.p, &kernel, &err), &err)) {
        args.kernel = kernel;
        memset(&sent, 0xee, sizeof sent); /* the device has copied the program */
        (void)good(r, ops_elementwise(s->o, args, &err), &err);
        memset(lent, 0xee, sizeof lent); /* and borrows arguments for the call only */
        memset(bufs, 0xee, IN_PLACE * sizeof *bufs);
        interpret(&x);
    }
    for (int k = IN_PLACE; k <= OUT; k++) { /* the whole buffers: gaps stay as they were */
        float *got = get(r, s, hone_tensor_1d(bufs[k].buf, 64, HONE_F32, total[k]));
        for (int64_t i = 0; i < total[k]; i++)
            if (!same(got[i], x.flat[k][i])) {
                fail(r, "buffer %d, element %lld is %.9g, expected %.9g", k, (long long)i,
                     (double)got[i], (double)x.flat[k][i]);
                break;
            }
        free(got);
    }
    r->device->ew_free(ops_dev(s->o), kernel);
    for (int k = 0; k < N_BUFS; k++) {
        free(x.flat[k]);
        free(x.bytes[k]);
    }
    drop_all(s);
}

/* --------------------------------------------------------------- the functions */

static double exact_of(uint32_t op, double a)
{
    switch (op) {
    case HONE_EW_RSQRT:
        return 1 / sqrt(a);
    case HONE_EW_RCP:
        return 1 / a;
    case HONE_EW_EXP:
        return exp(a);
    case HONE_EW_LOG:
        return log(a);
    case HONE_EW_SIN:
        return sin(a);
    case HONE_EW_COS:
        return cos(a);
    case HONE_EW_TANH:
        return tanh(a);
    default: /* both ends without cancellation */
        return a < 0 ? exp(a) / (1 + exp(a)) : 1 / (1 + exp(-a));
    }
}

static void functions(rig *r)
{
    static const struct {
        uint32_t op;
        const char *name;
        double allowed, lo, hi;
    } rows[] = {
        { HONE_EW_EXP, "exp", 4, -110, 95 },   { HONE_EW_LOG, "log", 4, 0, 1e4 },
        { HONE_EW_SIN, "sin", 4, -100, 100 },  { HONE_EW_COS, "cos", 4, -100, 100 },
        { HONE_EW_TANH, "tanh", 8, -20, 20 },  { HONE_EW_SIGMOID, "sigmoid", 8, -110, 110 },
        { HONE_EW_RSQRT, "rsqrt", 4, 0, 1e6 }, { HONE_EW_RCP, "rcp", 4, -1e3, 1e3 },
    };
    static const float special[] = { 0.0f,      -0.0f,   1,       -1,          INFINITY,
                                     -INFINITY, NAN,     1e-40f,  1e-20f,      1e-5f,
                                     -1e-5f,    88.72f,  88.73f,  -87.3f,      -87.4f,
                                     -103.9f,   -104.1f, 3.4e38f, 0.99999994f, 1.0000001f };
    side *s = &r->side[FUSED];
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        const int64_t n = 20000, n_special = sizeof special / sizeof *special;
        const hone_ew_insn insn[] = { HONE_EW0I(LOAD, 0, 0),
                                      { .op = (uint8_t)rows[row].op, .dst = 1, .a = 0 },
                                      HONE_EW_ST(0, 1) };
        const hone_ew_program p = { .struct_size = sizeof p,
                                    .n_insns = 3,
                                    .n_regs = 2,
                                    .n_bufs = 1,
                                    .insns = insn,
                                    .name = rows[row].name };
        float *x = calloc((size_t)n, 4), *got;
        hone_kernel kernel = 0;
        hone_error err = { 0 };
        hone_tensor t;
        double worst = 0;
        int64_t where = 0;
        what(r, "%s", rows[row].name);
        for (int64_t i = 0; i < n; i++)
            x[i] = i < n_special ? special[i]
                   : i % 2 ? (float)(rows[row].lo + uniform(r) * (rows[row].hi - rows[row].lo))
                           : (float)rng_normal(r->seed, 9, r->next++);
        t = put(r, s, 1, &n, 0, x);
        if (good(r, ops_compile(s->o, &kernel, &p, &err), &err))
            (void)good(r,
                       ops_elementwise(
                           s->o,
                           (hone_ew_args){
                               .n_bufs = 1, .kernel = kernel, .bufs = &t, .shape = { n, 1, 1, 1 } },
                           &err),
                       &err);
        got = get(r, s, t);
        for (int64_t i = 0; i < n; i++) {
            const double want = exact_of(rows[row].op, (double)x[i]);
            const bool wave = rows[row].op == HONE_EW_SIN || rows[row].op == HONE_EW_COS;
            double off = ulps(got[i], want);
            if (wave && fabs((double)x[i]) > 1e3 && !isnan(got[i]) == !isnan(want))
                continue; /* the argument is reduced to a few digits there */
            if (wave && fabs((double)got[i] - want) <= 0x1p-24)
                off = 0; /* next to a zero, an absolute bound */
            if (!(off <= worst)) {
                worst = off;
                where = i;
            }
        }
        if (!(worst <= rows[row].allowed))
            fail(r, "of %.9g is %.9g, expected %.9g: %.3g ulp, allowed %g", (double)x[where],
                 (double)got[where], exact_of(rows[row].op, (double)x[where]), worst,
                 rows[row].allowed);
        free(got);
        free(x);
        drop_all(s);
    }
}

/* Loads and stores of every dtype are what copy() does. */
static void conversions(rig *r)
{
    static const uint32_t dtypes[] = { HONE_F16, HONE_BF16, HONE_I8, HONE_U8, HONE_I32 };
    static const hone_ew_insn insn[] = { HONE_EW0I(LOAD, 0, 0), HONE_EW_ST(1, 0) };
    static const hone_ew_program p = { .struct_size = sizeof p,
                                       .n_insns = 2,
                                       .n_regs = 1,
                                       .n_bufs = 2,
                                       .insns = insn,
                                       .name = "convert" };
    side *s = &r->side[FUSED];
    hone_kernel kernel = 0;
    hone_error err = { 0 };
    what(r, "compile a conversion");
    if (!good(r, ops_compile(s->o, &kernel, &p, &err), &err))
        return;
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        const int64_t n = 3001;
        float *x = normals(r, n, 60);
        hone_tensor from, to[2], back[2];
        void *a, *b;
        what(r, "load and store of dtype %u", dtypes[d]);
        for (int i = 0; i < 20; i++)
            x[i] = (float)(i - 10) + 0.5f; /* ties */
        x[20] = 70000, x[21] = -70000, x[22] = 1e-6f, x[23] = 6e-8f, x[24] = NAN, x[25] = INFINITY;
        from = put(r, s, 1, &n, 0, x);
        for (int i = 0; i < 2; i++) {
            hone_ew_args args = { .n_bufs = 2, .kernel = kernel, .shape = { n, 1, 1, 1 } };
            to[i] = put_raw(r, s, dtypes[d], 1, &n, NULL);
            back[i] = put(r, s, 1, &n, 0, NULL);
            if (i) {
                (void)good(r, ops_copy(s->o, to[i], from, &err), &err);
                (void)good(r, ops_copy(s->o, back[i], to[i], &err), &err);
                continue;
            }
            args.bufs = (hone_tensor[]){ from, to[i] };
            (void)good(r, ops_elementwise(s->o, args, &err), &err);
            args.bufs = (hone_tensor[]){ to[i], back[i] };
            (void)good(r, ops_elementwise(s->o, args, &err), &err);
        }
        a = get_raw(r, s, to[0]);
        b = get_raw(r, s, to[1]);
        same_bits(r, "stored", a, b, (size_t)n * hone_dtype_size(dtypes[d]));
        free(a);
        free(b);
        a = get_raw(r, s, back[0]);
        b = get_raw(r, s, back[1]);
        for (int64_t i = 0; i < n; i++)
            if (!same(((float *)a)[i], ((float *)b)[i])) {
                fail(r, "loaded: [%lld] is %g, expected %g", (long long)i, (double)((float *)a)[i],
                     (double)((float *)b)[i]);
                break;
            }
        free(a);
        free(b);
        free(x);
        drop_all(s);
    }
}

/* ------------------------------------------------------------------- refusals */

static void refused_programs(rig *r)
{
    static const hone_ew_insn undefined[] = { HONE_EW1(NEG, 0, 1), HONE_EW_ST(0, 0) };
    static const hone_ew_insn twice[] = { HONE_EW0C(0, 1), HONE_EW0C(0, 2) };
    static const hone_ew_insn no_buffer[] = { HONE_EW0I(LOAD, 0, 1) };
    static const hone_ew_insn unknown[] = { { .op = 200 } };
    static const hone_ew_insn bits[] = { { .op = HONE_EW_BITS, .aux = 3 } };
    static const hone_ew_insn table[] = { HONE_EW0C(0, 1),
                                          { .op = HONE_EW_LUT, .dst = 1, .idx = 5 } };
    static const hone_ew_insn fine[] = { HONE_EW0I(LOAD, 0, 0), HONE_EW_ST(0, 0) };
#define ROW(code, regs, bufs)                                                          \
    {                                                                                  \
        .struct_size = sizeof(hone_ew_program), .n_insns = sizeof code / sizeof *code, \
        .n_regs = regs, .n_bufs = bufs, .insns = code, .name = #code                   \
    }
    const hone_ew_program rows[] = {
        ROW(undefined, 2, 1),
        ROW(twice, 1, 1),
        ROW(no_buffer, 1, 1),
        ROW(unknown, 1, 1),
        ROW(bits, 1, 1),
        ROW(table, 2, 1),
        ROW(fine, 65, 1),
        ROW(fine, 1, 17),
        { .struct_size = 8,
          .n_insns = 2,
          .n_regs = 1,
          .n_bufs = 1,
          .insns = fine,
          .name = "short" },
        { .struct_size = sizeof(hone_ew_program), .n_insns = 1, .name = "none" },
    };
#undef ROW
    side *s = &r->side[FUSED];
    const int64_t n = 10, short_n = 3;
    float *x = normals(r, n, 1);
    const hone_tensor t = put(r, s, 1, &n, 0, x), small = put(r, s, 1, &short_n, 0, x);
    hone_tensor bufs[3], repeated = t;
    hone_kernel kernel = 0;
    hone_error err = { 0 };
    hone_ew_args args = { .n_bufs = 1, .bufs = bufs, .shape = { n, 1, 1, 1 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        what(r, "program %zu, \"%s\", is not valid", i, rows[i].name);
        kernel = 0;
        if (r->device->ew_compile(ops_dev(s->o), &rows[i], &kernel, &err) == HONE_OK)
            fail(r, "it compiles");
    }
    {
        const hone_ew_program p = { .struct_size = sizeof p,
                                    .n_insns = 2,
                                    .n_regs = 1,
                                    .n_bufs = 1,
                                    .insns = fine,
                                    .name = "fine" };
        what(r, "a program run with the wrong arguments");
        if (!good(r, ops_compile(s->o, &kernel, &p, &err), &err))
            return;
    }
    args.kernel = kernel;
    bufs[0] = small;
    must_fail(r, s, ops_elementwise(s->o, args, &err), &err); /* another shape */
    bufs[0] = t;
    args.n_bufs = 0;
    must_fail(r, s, ops_elementwise(s->o, args, &err), &err);
    args.n_bufs = 1;
    repeated.stride[0] = 0;
    bufs[0] = repeated; /* stored with a stride of 0 */
    must_fail(r, s, ops_elementwise(s->o, args, &err), &err);
    bufs[0] = t;
    bufs[0].shape[0] = args.shape[0] = 1000; /* beyond the buffer */
    must_fail(r, s, ops_elementwise(s->o, args, &err), &err);
    {
        static const hone_ew_insn packed[] = {
            { .op = HONE_EW_BITS, .idx = 1, .aux = 4 },
            { .op = HONE_EW_LOADB, .dst = 1, .idx = 2, .aux = 2 },
            HONE_EW2(MUL, 2, 0, 1),
            HONE_EW_ST(0, 2)
        };
        const hone_ew_program p = { .struct_size = sizeof p,
                                    .n_insns = 4,
                                    .n_regs = 3,
                                    .n_bufs = 3,
                                    .insns = packed,
                                    .name = "packed" };
        const int64_t bytes = 4, scales = 2; /* 5 and 3 are needed */
        const uint8_t codes[5] = { 0 };
        what(r, "packed buffers that are too short");
        if (!good(r, ops_compile(s->o, &args.kernel, &p, &err), &err))
            return;
        args.n_bufs = 3;
        args.shape[0] = n;
        bufs[0] = t;
        bufs[1] = put_raw(r, s, HONE_U8, 1, &bytes, codes);
        bufs[2] = t;
        must_fail(r, s, ops_elementwise(s->o, args, &err), &err);
        bufs[1] = put_raw(r, s, HONE_U8, 1, &(int64_t){ 5 }, codes);
        bufs[2] = put(r, s, 1, &scales, 0, x);
        must_fail(r, s, ops_elementwise(s->o, args, &err), &err);
    }
    free(x);
    drop_all(s);
}

/* The same (seed, offset) gives the same mask to a view of any stride, another seed or
 * offset another one, and the share that is kept is right. */
static void dropout(rig *r)
{
    side *s = &r->side[FUSED];
    const int64_t shape[2] = { 300, 70 }, n = shape[0] * shape[1];
    const float p = 0.3f;
    float *x = normals(r, n, 1), *got[4];
    static const struct {
        uint64_t seed, offset;
        int64_t gap;
    } rows[4] = { { 5, 123, 0 }, { 5, 123, 9 }, { 6, 123, 0 }, { 5, 124, 0 } };
    hone_error err = { 0 };
    int64_t dropped = 0;
    what(r, "dropout");
    for (int i = 0; i < 4; i++) {
        const hone_tensor from = put(r, s, 2, shape, rows[i].gap, x),
                          to = put(r, s, 2, shape, 0, NULL);
        (void)good(r, ops_dropout(s->o, to, from, p, rows[i].seed, rows[i].offset, false, &err),
                   &err);
        if (i == 0) /* y = x + dropout(x) - x keep / (1 - p), by the accumulating one */
            (void)good(r, ops_dropout(s->o, from, from, p, 5, 123, true, &err), &err);
        got[i] = get(r, s, to);
        if (i == 0) {
            float *sum = get(r, s, from);
            for (int64_t k = 0; k < n; k++)
                if (sum[k] != x[k] + got[0][k]) {
                    fail(r, "accumulated: [%lld] is %g, expected %g", (long long)k, (double)sum[k],
                         (double)(x[k] + got[0][k]));
                    break;
                }
            free(sum);
        }
    }
    same_bits(r, "another stride", got[1], got[0], 4 * (size_t)n);
    if (!memcmp(got[2], got[0], 4 * (size_t)n) || !memcmp(got[3], got[0], 4 * (size_t)n))
        fail(r, "another seed or offset drops the same elements");
    for (int64_t k = 0; k < n; k++) {
        dropped += got[0][k] == 0;
        if (got[0][k] != 0 && got[0][k] != x[k] * (1 / (1 - p)))
            fail(r, "[%lld] is %g, not %g / (1 - p)", (long long)k, (double)got[0][k],
                 (double)x[k]);
    }
    if (fabs((double)dropped / (double)n - (double)p) > 0.02)
        fail(r, "drops %lld of %lld", (long long)dropped, (long long)n);
    for (int i = 0; i < 4; i++)
        free(got[i]);
    free(x);
    drop_all(s);
}

void check_ew(rig *r)
{
    for (int round = 0; round < 300; round++)
        random_one(r, round);
    functions(r);
    conversions(r);
    refused_programs(r);
    dropout(r);
}
