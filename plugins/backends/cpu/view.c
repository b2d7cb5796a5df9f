/*
 * view.c - is a tensor what an op expects, and inside its buffer?
 *
 * A wrong view is a mistake of the caller; it becomes an error here, never a
 * read or write outside the buffer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cpu.h"

const char *cpu_shape_text(char *buf, size_t cap, uint32_t rank, const int64_t *shape)
{
    size_t n = 0;
    buf[0] = '\0';
    for (uint32_t k = 0; k < rank && k < 4 && n < cap; k++) {
        const int w = shape[k] < 0 ? snprintf(buf + n, cap - n, "%s*", k ? ", " : "(")
                                   : snprintf(buf + n, cap - n, "%s%lld", k ? ", " : "(",
                                              (long long)shape[k]);
        n += w > 0 ? (size_t)w : 0;
    }
    if (n < cap)
        (void)snprintf(buf + n, cap - n, ")");
    return buf;
}

hone_status cpu_resolve(const hone_dev *dev, const hone_tensor *t, const char *what, void **p,
                        hone_error *err)
{
    const uint32_t size = hone_dtype_size(t->dtype);
    const cpu_slot *slot = cpu_slot_of(dev, t->buf);
    uint64_t last = 0, end;
    int64_t count = 1;
    if (!size || t->rank < 1 || t->rank > 4)
        return hone_fail(err, HONE_ERR_ARG, "cpu: %s: dtype %u, rank %u is not a tensor", what,
                         (unsigned)t->dtype, (unsigned)t->rank);
    for (int k = 0; k < 4; k++) {
        uint64_t span;
        if (t->shape[k] < 0 || t->stride[k] < 0)
            return hone_fail(err, HONE_ERR_ARG, "cpu: %s: dimension %d has size %lld, stride %lld",
                             what, k, (long long)t->shape[k], (long long)t->stride[k]);
        if (__builtin_mul_overflow(count, t->shape[k], &count))
            return hone_fail(err, HONE_ERR_ARG, "cpu: %s: too many elements", what);
        if (t->shape[k] > 1 &&
            (__builtin_mul_overflow((uint64_t)t->shape[k] - 1, (uint64_t)t->stride[k], &span) ||
             __builtin_add_overflow(last, span, &last)))
            return hone_fail(err, HONE_ERR_ARG, "cpu: %s: strides overflow", what);
    }
    if (count == 0) {
        *p = NULL;
        return HONE_OK;
    }
    if (!slot || slot->kind == CPU_PROGRAM)
        return hone_fail(err, HONE_ERR_ARG, "cpu: %s: no buffer has the handle %llx", what,
                         (unsigned long long)t->buf);
    if (t->offset % size || __builtin_mul_overflow(last + 1, (uint64_t)size, &end) ||
        __builtin_add_overflow(end, t->offset, &end) || last + 1 == 0 || end > slot->bytes) {
        char text[96];
        return hone_fail(err, HONE_ERR_ARG,
                         "cpu: %s: %s at byte %llu does not lie in its buffer of %llu bytes", what,
                         cpu_shape_text(text, sizeof text, t->rank, t->shape),
                         (unsigned long long)t->offset, (unsigned long long)slot->bytes);
    }
    *p = (uint8_t *)slot->p + t->offset;
    return HONE_OK;
}

/* Row-major without gaps; with CPU_ROWS the rows of dimension 0 may lie apart. */
static bool dense(const hone_tensor *t, uint32_t rank, uint32_t flags)
{
    int64_t step = 1;
    for (uint32_t k = rank; k-- > 0;) {
        const bool free_row = k == 0 && (flags & CPU_ROWS) && rank > 1;
        if (t->shape[k] > 1 && (free_row ? t->stride[k] < step : t->stride[k] != step))
            return false;
        step *= t->shape[k];
    }
    return true;
}

hone_status cpu_want(const hone_dev *dev, const hone_tensor *t, const char *what, uint32_t dtype,
                     uint32_t flags, uint32_t rank, const int64_t *shape, cpu_view *view,
                     hone_error *err)
{
    char got[96], want[96];
    int64_t inner = 1;
    bool same = t->rank == rank;
    hone_status st;
    if ((flags & CPU_OPTIONAL) && !t->buf) {
        *view = (cpu_view){ NULL, 0 };
        return HONE_OK;
    }
    for (uint32_t k = 0; same && k < 4; k++)
        same = k < rank ? shape[k] < 0 || t->shape[k] == shape[k] : t->shape[k] == 1;
    if (!same)
        return hone_fail(err, HONE_ERR_ARG, "cpu: %s is %s, expected %s", what,
                         cpu_shape_text(got, sizeof got, t->rank, t->shape),
                         cpu_shape_text(want, sizeof want, rank, shape));
    if (t->dtype != dtype)
        return hone_fail(err, HONE_ERR_ARG, "cpu: %s has dtype %u, expected %u", what,
                         (unsigned)t->dtype, (unsigned)dtype);
    st = cpu_resolve(dev, t, what, &view->p, err);
    if (st)
        return st;
    if (!dense(t, rank, flags))
        return hone_fail(err, HONE_ERR_ARG, "cpu: %s %s is not dense%s", what,
                         cpu_shape_text(got, sizeof got, t->rank, t->shape),
                         flags & CPU_ROWS ? " within its rows" : "");
    for (uint32_t k = 1; k < rank; k++)
        inner *= t->shape[k];
    view->row = rank > 1 && t->shape[0] > 1 ? t->stride[0] : inner;
    return HONE_OK;
}

hone_status cpu_check_index(const int32_t *index, int64_t n, int64_t limit, const char *what,
                            hone_error *err)
{
    for (int64_t i = 0; i < n; i++)
        if (index[i] < 0 || index[i] >= limit)
            return hone_fail(err, HONE_ERR_ARG, "cpu: %s[%lld] is %d, expected 0..%lld", what,
                             (long long)i, (int)index[i], (long long)limit - 1);
    return HONE_OK;
}
