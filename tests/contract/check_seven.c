/*
 * check_seven.c - copy, fill, gather_rows, scatter_add_rows, reduce against plain
 * loops in double precision.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/rig.h"

static const uint32_t dtypes[] = { HONE_F32, HONE_F16, HONE_BF16, HONE_I8,
                                   HONE_U8,  HONE_I32, HONE_I64,  HONE_F64 };
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

/* ------------------------------------------------------------- conversions, slowly */

/* A small float: `bits` of fraction, exponents from `least`. */
static double small_float(double x, int bits, int least, double most)
{
    int e;
    double quantum, y;
    if (!isfinite(x) || x == 0)
        return x;
    (void)frexp(x, &e);
    quantum = ldexp(1, (e - 1 < least ? least : e - 1) - bits);
    y = rint(x / quantum) * quantum;
    return fabs(y) > most ? copysign(HUGE_VAL, x) : copysign(y, x);
}

static double whole(double x, double least, double most)
{
    const double y = rint(x);
    return isnan(x) ? 0 : y < least ? least : y > most ? most : y;
}

/* What is left of x after it was stored as this dtype. */
static double stored(uint32_t dtype, double x)
{
    switch (dtype) {
    case HONE_F32:
        return (double)(float)x;
    case HONE_F16:
        return small_float(x, 10, -14, 65504);
    case HONE_BF16:
        return small_float(x, 7, -126, 3.3895313892515355e38);
    case HONE_I8:
        return whole(x, -128, 127);
    case HONE_U8:
        return whole(x, 0, 255);
    case HONE_I32:
        return whole(x, -2147483648.0, 2147483647.0);
    case HONE_I64:
        return whole(x, -9223372036854775808.0, 9223372036854775807.0);
    default:
        return x;
    }
}

static double read_f16(uint16_t h)
{
    const int e = h >> 10 & 31, f = h & 1023;
    const double m = e == 0    ? ldexp(f, -24)
                     : e == 31 ? (f ? (double)NAN : HUGE_VAL)
                               : ldexp(1024 + f, e - 25);
    return h & 0x8000 ? -m : m;
}

static double read_as(uint32_t dtype, const void *p, int64_t i)
{
    union {
        uint32_t u;
        float f;
    } wide;
    switch (dtype) {
    case HONE_F32:
        return (double)((const float *)p)[i];
    case HONE_F16:
        return read_f16(((const uint16_t *)p)[i]);
    case HONE_BF16:
        wide.u = (uint32_t)((const uint16_t *)p)[i] << 16;
        return (double)wide.f;
    case HONE_I8:
        return ((const int8_t *)p)[i];
    case HONE_U8:
        return ((const uint8_t *)p)[i];
    case HONE_I32:
        return ((const int32_t *)p)[i];
    case HONE_I64:
        return (double)((const int64_t *)p)[i];
    default:
        return ((const double *)p)[i];
    }
}

/* x has to be a value of the dtype, as stored() gives it. */
static void write_as(uint32_t dtype, void *p, int64_t i, double x)
{
    union {
        uint32_t u;
        float f;
    } wide;
    switch (dtype) {
    case HONE_F32:
        ((float *)p)[i] = (float)x;
        break;
    case HONE_F16: /* the pattern whose value it is */
        for (uint32_t h = 0; h < 65536; h++)
            if (read_f16((uint16_t)h) == x || (isnan(x) && h == 0x7e00)) {
                ((uint16_t *)p)[i] = (uint16_t)h;
                break;
            }
        break;
    case HONE_BF16:
        wide.f = (float)x;
        ((uint16_t *)p)[i] = (uint16_t)(wide.u >> 16);
        break;
    case HONE_I8:
        ((int8_t *)p)[i] = (int8_t)x;
        break;
    case HONE_U8:
        ((uint8_t *)p)[i] = (uint8_t)x;
        break;
    case HONE_I32:
        ((int32_t *)p)[i] = (int32_t)x;
        break;
    case HONE_I64:
        ((int64_t *)p)[i] = x >= 9223372036854775807.0 ? INT64_MAX : (int64_t)x;
        break;
    default:
        ((double *)p)[i] = x;
    }
}

/* Exact in float32, so that the way of a conversion cannot matter. */
static double value_for(rig *r, uint32_t dtype)
{
    static const double odd[] = { 0,     0.5,  1.5,        2.5,        -0.5,  -1.5,
                                  127.5, 128,  255.5,      -128.5,     65504, 65519.9,
                                  65520, 1e-7, 6e-8,       1e30,       -1e30, 1e-40,
                                  3e9,   -3e9, 1.00390625, 1.01171875, 2049,  2051 };
    const double x = pick(r, 0, 2)
                         ? rng_normal(r->seed, 5, r->next++) * ldexp(1, (int)pick(r, -4, 8))
                         : odd[pick(r, 0, (int64_t)(sizeof odd / sizeof *odd) - 1)];
    return stored(dtype, (double)(float)x);
}

/* -------------------------------------------------------------- strided views */

/* A view of `rank` dimensions of a flat buffer: some order of the dimensions, gaps
 * here and there; with `repeat`, strides of 0 too. *total: elements of the buffer. */
static hone_tensor random_view(rig *r, uint32_t dtype, uint32_t rank, const int64_t *shape,
                               bool repeat, int64_t *total)
{
    hone_tensor t = hone_tensor_dense(0, 0, dtype, rank, shape);
    uint32_t order[4] = { 0, 1, 2, 3 };
    int64_t step = 1, first = pick(r, 0, 3);
    if (pick(r, 0, 1))
        for (uint32_t k = rank; k-- > 1;) {
            const uint32_t j = (uint32_t)pick(r, 0, k), swap = order[k];
            order[k] = order[j];
            order[j] = swap;
        }
    for (uint32_t k = rank; k-- > 0;) {
        const uint32_t d = order[k];
        if (repeat && pick(r, 0, 4) == 0) {
            t.stride[d] = 0;
            continue;
        }
        if (pick(r, 0, 2) == 0)
            step += pick(r, 0, 3);
        t.stride[d] = step;
        step *= shape[d] ? shape[d] : 1;
    }
    *total = first + step + 5;
    t.offset = (uint64_t)first * hone_dtype_size(dtype);
    return t;
}

/* Place of the i-th element in row-major order. */
static int64_t place(const hone_tensor *t, int64_t i)
{
    int64_t at = (int64_t)(t->offset / hone_dtype_size(t->dtype));
    for (int k = 4; k-- > 0;) {
        at += i % t->shape[k] * t->stride[k];
        i /= t->shape[k];
    }
    return at;
}

/* View t over a fresh buffer holding flat[total]. */
static hone_tensor put_view(rig *r, side *s, hone_tensor t, int64_t total, const void *flat)
{
    const hone_tensor whole_buffer = put_raw(r, s, t.dtype, 1, &total, flat);
    t.buf = whole_buffer.buf;
    t.offset += whole_buffer.offset;
    return t;
}

static void compare_flat(rig *r, side *s, hone_tensor t, int64_t total, const void *want)
{
    const hone_tensor all = hone_tensor_1d(t.buf, 64, t.dtype, total);
    void *got = get_raw(r, s, all);
    for (int64_t i = 0; i < total; i++) {
        const double a = read_as(t.dtype, got, i), b = read_as(t.dtype, want, i);
        if (a != b && !(isnan(a) && isnan(b))) {
            fail(r, "element %lld of the buffer is %.17g, expected %.17g", (long long)i, a, b);
            break;
        }
    }
    free(got);
}

static void *random_flat(rig *r, uint32_t dtype, int64_t total)
{
    uint8_t *p = calloc((size_t)total, 8);
    for (int64_t i = 0; i < total; i++)
        write_as(dtype, p, i, value_for(r, dtype));
    return p;
}

static void random_shape(rig *r, uint32_t *rank, int64_t shape[4])
{
    static const int64_t sizes[] = { 1, 2, 3, 5, 7, 8, 16, 17, 33, 100 };
    *rank = (uint32_t)pick(r, 1, 4);
    for (uint32_t k = 0; k < 4; k++)
        shape[k] = k < *rank ? pick_of(r, sizes, *rank > 2 ? 6 : 10) : 1;
    if (pick(r, 0, 20) == 0)
        shape[pick(r, 0, *rank - 1)] = 0;
}

static void copies(rig *r)
{
    side *s = &r->side[FUSED];
    for (int round = 0; round < 4 * N_DTYPES * N_DTYPES; round++) {
        const uint32_t to = dtypes[round % N_DTYPES], from = dtypes[round / N_DTYPES % N_DTYPES];
        uint32_t rank;
        int64_t shape[4], n_dst, n_src, n;
        hone_tensor dst, src;
        void *a, *b;
        hone_error err = { 0 };
        random_shape(r, &rank, shape);
        dst = random_view(r, to, rank, shape, false, &n_dst);
        src = random_view(r, from, rank, shape, true, &n_src);
        what(r, "copy of dtype %u to %u, (%lld, %lld, %lld, %lld), strides %lld %lld %lld %lld",
             from, to, (long long)shape[0], (long long)shape[1], (long long)shape[2],
             (long long)shape[3], (long long)src.stride[0], (long long)src.stride[1],
             (long long)src.stride[2], (long long)src.stride[3]);
        a = random_flat(r, to, n_dst);
        b = random_flat(r, from, n_src);
        dst = put_view(r, s, dst, n_dst, a);
        src = put_view(r, s, src, n_src, b);
        (void)good(r, ops_copy(s->o, dst, src, &err), &err);
        dst.offset -= 64;
        src.offset -= 64;
        n = hone_tensor_count(&dst);
        for (int64_t i = 0; i < n; i++)
            write_as(to, a, place(&dst, i), stored(to, read_as(from, b, place(&src, i))));
        compare_flat(r, s, dst, n_dst, a);
        free(a);
        free(b);
        drop_all(s);
    }
    { /* a large one, dense: all threads of a device */
        const int64_t n = 1000003;
        float *x = normals(r, n, 1), *got;
        hone_tensor src = put(r, s, 1, &n, 0, x), dst = put(r, s, 1, &n, 0, NULL);
        hone_error err = { 0 };
        what(r, "copy of %lld elements", (long long)n);
        (void)good(r, ops_copy(s->o, dst, src, &err), &err);
        got = get(r, s, dst);
        same_bits(r, "the copy", got, x, 4 * (size_t)n);
        free(got);
        free(x);
        drop_all(s);
    }
    { /* refused: other shapes, a destination that overlaps itself */
        const int64_t n = 12;
        float *x = normals(r, n, 1);
        hone_tensor t = put(r, s, 1, &n, 0, x), other = t, repeated = t;
        hone_error err = { 0 };
        other.shape[0] = 11;
        repeated.stride[0] = 0;
        what(r, "copy between shapes that differ");
        must_fail(r, s, ops_copy(s->o, t, other, &err), &err);
        what(r, "copy into a view that repeats an element");
        must_fail(r, s, ops_copy(s->o, repeated, t, &err), &err);
        free(x);
        drop_all(s);
    }
}

static void fills(rig *r)
{
    side *s = &r->side[FUSED];
    static const double values[] = { 0, 1, -1, 0.1, 2.5, 300, -1e10, 65519, HUGE_VAL };
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
        for (int d = 0; d < N_DTYPES; d++) {
            uint32_t rank;
            int64_t shape[4], total;
            hone_tensor t;
            hone_error err = { 0 };
            void *a;
            random_shape(r, &rank, shape);
            t = random_view(r, dtypes[d], rank, shape, false, &total);
            what(r, "fill of dtype %u with %g", dtypes[d], values[v]);
            a = random_flat(r, dtypes[d], total);
            t = put_view(r, s, t, total, a);
            (void)good(r, ops_fill(s->o, t, values[v], &err), &err);
            t.offset -= 64;
            for (int64_t i = 0; i < hone_tensor_count(&t); i++)
                write_as(dtypes[d], a, place(&t, i), stored(dtypes[d], (double)(float)values[v]));
            if (dtypes[d] == HONE_F64)
                for (int64_t i = 0; i < hone_tensor_count(&t); i++)
                    write_as(HONE_F64, a, place(&t, i), values[v]);
            compare_flat(r, s, t, total, a);
            free(a);
            drop_all(s);
        }
}

static void rows(rig *r)
{
    side *s = &r->side[FUSED];
    for (int round = 0; round < 24; round++) {
        const int64_t table_rows = pick(r, 1, 50), n = pick(r, 0, 90), c = pick(r, 1, 130);
        const int64_t ts[2] = { table_rows, c }, is[2] = { n, c };
        const int64_t gap_t = pick(r, 0, 2) ? 0 : pick(r, 1, 9), gap_i = pick(r, 0, 2) ? 0 : 4;
        float *table = normals(r, table_rows * c, 1), *io = normals(r, n * c, 1), *got;
        int32_t *index = calloc((size_t)n + 1, sizeof *index);
        hone_tensor t, i, x;
        hone_error err = { 0 };
        what(r, "rows of a table (%lld, %lld) by %lld indexes", (long long)table_rows, (long long)c,
             (long long)n);
        for (int64_t k = 0; k < n; k++) /* many equal ones */
            index[k] = (int32_t)pick(r, 0, round % 2 ? table_rows - 1 : (table_rows - 1) / 8);
        t = put(r, s, 2, ts, gap_t, table);
        i = put_ints(r, s, n, index);
        x = put(r, s, 2, is, gap_i, NULL);
        (void)good(r, ops_gather_rows(s->o, x, t, i, &err), &err);
        got = get(r, s, x);
        for (int64_t k = 0; k < n; k++)
            same_bits(r, "a gathered row", got + k * c, table + index[k] * c, 4 * (size_t)c);
        free(got);
        x = put(r, s, 2, is, gap_i, io);
        (void)good(r, ops_scatter_add_rows(s->o, t, i, x, &err), &err);
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < c; j++)
                table[index[k] * c + j] += io[k * c + j];
        got = get(r, s, t);
        same_bits(r, "the table after adding", got, table, 4 * (size_t)(table_rows * c));
        free(got);
        if (n) {
            index[pick(r, 0, n - 1)] = (int32_t)(round % 2 ? table_rows : -1);
            i = put_ints(r, s, n, index);
            must_fail(r, s, ops_gather_rows(s->o, x, t, i, &err), &err);
            must_fail(r, s, ops_scatter_add_rows(s->o, t, i, x, &err), &err);
        }
        free(table);
        free(io);
        free(index);
        drop_all(s);
    }
}

/* sum a b and max a, over the last of up to four dimensions; b repeats along rows or not */
static void reductions(rig *r)
{
    static const hone_ew_insn product[] = { HONE_EW0I(LOAD, 0, 0), HONE_EW0I(LOAD, 1, 1),
                                            HONE_EW2(MUL, 2, 0, 1) };
    static const hone_ew_program program = { .struct_size = sizeof program,
                                             .n_insns = 3,
                                             .n_regs = 3,
                                             .n_bufs = 2,
                                             .insns = product,
                                             .name = "product" };
    static const int64_t lengths[] = { 0,  1,   2,   3,   7,    8,    15,    17,
                                       64, 255, 256, 257, 1000, 5000, 70000, 200001 };
    side *s = &r->side[FUSED];
    hone_kernel kernel = 0;
    hone_error err = { 0 };
    what(r, "compile a product");
    if (!good(r, ops_compile(s->o, &kernel, &program, &err), &err))
        return;
    for (int round = 0; round < 96; round++) {
        const int64_t length = lengths[round % 16];
        const int64_t outer = length > 4000 ? 2 : 12;
        const int64_t shape[4] = { pick(r, 1, 2), pick(r, 1, 3),
                                   pick(r, length > 4000 ? 1 : 0, outer), length };
        const int64_t out_shape[4] = { shape[0], shape[1], shape[2], 1 };
        const int64_t n_rows = shape[0] * shape[1] * shape[2];
        const bool largest = round / 16 % 2, accumulate = round / 32 % 2, repeat = pick(r, 0, 1);
        const int64_t n_b = repeat ? length : n_rows * length;
        const int64_t gap = round % 5 == 0 ? 3 : 0;
        float *a = normals(r, n_rows * length, 1), *b = normals(r, n_b, 1);
        float *old = normals(r, n_rows, 3), *got;
        hone_tensor bufs[2], out;
        hone_reduce_args args = { .op = largest ? HONE_REDUCE_MAX : HONE_REDUCE_SUM,
                                  .map_reg = 2,
                                  .accumulate = accumulate };
        what(r, "%s over rows of %lld, %lld of them%s%s", largest ? "max" : "sum",
             (long long)length, (long long)n_rows, accumulate ? ", accumulated" : "",
             repeat ? ", repeated operand" : "");
        if (round % 7 == 3 && n_rows && length)
            a[pick(r, 0, n_rows * length - 1)] = NAN;
        bufs[0] = put(r, s, 4, shape, gap, a);
        bufs[1] = put(r, s, 1, &n_b, 0, b);
        if (repeat)
            bufs[1] = view_flat(bufs[1]);
        {
            hone_tensor t = bufs[1];
            t.rank = 4;
            memcpy(t.shape, shape, sizeof shape);
            t.stride[3] = 1;
            t.stride[2] = repeat ? 0 : length;
            t.stride[1] = repeat ? 0 : length * shape[2];
            t.stride[0] = repeat ? 0 : length * shape[2] * shape[1];
            bufs[1] = t;
        }
        out = put(r, s, 4, out_shape, 0, accumulate ? old : NULL);
        args.map = (hone_ew_args){ .n_bufs = 2, .kernel = kernel, .bufs = bufs };
        memcpy(args.map.shape, shape, sizeof shape);
        args.out = out;
        (void)good(r, ops_reduce(s->o, args, &err), &err);
        got = get(r, s, out);
        for (int64_t i = 0; i < n_rows; i++) {
            double want = largest ? -HUGE_VAL : 0, size = 0;
            for (int64_t j = 0; j < length; j++) {
                const float x = a[i * length + j] * b[repeat ? j : i * length + j];
                want =
                    largest ? (isnan(x) || (double)x > want ? (double)x : want) : want + (double)x;
                if (largest && isnan(want))
                    break;
                size += fabs((double)x);
            }
            if (accumulate)
                want = largest ? (isnan(want) || want > (double)old[i] ? want : (double)old[i])
                               : want + (double)old[i];
            size += accumulate ? fabs((double)old[i]) : 0;
            if (!(fabs((double)got[i] - want) <= 1e-6 * size) && (double)got[i] != want &&
                !(isnan(want) && isnan(got[i]))) {
                fail(r, "row %lld is %.9g, expected %.9g", (long long)i, (double)got[i], want);
                break;
            }
        }
        free(got);
        free(a);
        free(b);
        free(old);
        drop_all(s);
    }
    { /* a register that the program never writes; a shape that does not fit */
        const int64_t n = 8;
        float *x = normals(r, n, 1);
        const hone_tensor t = put(r, s, 1, &n, 0, x);
        hone_tensor bufs[2] = { t, t };
        hone_reduce_args args = {
            .op = HONE_REDUCE_SUM,
            .map_reg = 9,
            .out = t,
            .map = { .n_bufs = 2, .kernel = kernel, .bufs = bufs, .shape = { n, 1, 1, 1 } }
        };
        what(r, "reduce of a register that is never written");
        must_fail(r, s, ops_reduce(s->o, args, &err), &err);
        what(r, "reduce into another shape");
        args.map_reg = 2;
        args.map.shape[0] = 1;
        args.map.shape[3] = n;
        must_fail(r, s, ops_reduce(s->o, args, &err), &err);
        free(x);
        drop_all(s);
    }
}

void check_seven(rig *r)
{
    copies(r);
    fills(r);
    rows(r);
    reductions(r);
}
