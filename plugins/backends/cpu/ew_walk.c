/*
 * ew_walk.c - elements of a strided view, a run of them at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ew.h"

void ew_walk_init(ew_walk *w, const hone_tensor *t, void *p)
{
    int64_t last = 0;
    *w = (ew_walk){ .p = p, .dtype = t->dtype, .size = hone_dtype_size(t->dtype) };
    for (int k = 0; k < 4; k++) {
        int32_t *n = &w->n_dims;
        if (t->shape[k] == 1)
            continue;
        last += (t->shape[k] - 1) * t->stride[k];
        if (*n && w->stride[*n - 1] == t->stride[k] * t->shape[k]) {
            w->shape[*n - 1] *= t->shape[k];
            w->stride[*n - 1] = t->stride[k];
        } else {
            w->shape[*n] = t->shape[k];
            w->stride[(*n)++] = t->stride[k];
        }
    }
    w->linear = w->n_dims == 0 || (w->n_dims == 1 && w->stride[0] == 1);
    w->bytes = (uint64_t)(last + 1) * w->size;
}

bool ew_apart(const hone_tensor *t)
{
    int order[4] = { 0, 1, 2, 3 };
    int64_t span = 0; /* of the dimensions with smaller strides */
    if (!hone_tensor_count(t))
        return true;
    for (int i = 1; i < 4; i++)
        for (int j = i; j > 0 && t->stride[order[j]] < t->stride[order[j - 1]]; j--) {
            const int swap = order[j];
            order[j] = order[j - 1];
            order[j - 1] = swap;
        }
    for (int i = 0; i < 4; i++) {
        const int k = order[i];
        if (t->shape[k] <= 1)
            continue;
        if (t->stride[k] <= span)
            return false;
        span += (t->shape[k] - 1) * t->stride[k];
    }
    return true;
}

/* Where a walk stands: coordinates, and the element offset they give. */
typedef struct place {
    int64_t at[4], offset;
} place;

static place place_of(const ew_walk *w, int64_t first)
{
    place p = { { 0 }, 0 };
    for (int k = w->n_dims; k-- > 0;) {
        p.at[k] = first % w->shape[k];
        first /= w->shape[k];
        p.offset += p.at[k] * w->stride[k];
    }
    return p;
}

/* Elements left in the innermost dimension. */
static int64_t place_room(const ew_walk *w, const place *p)
{
    return w->shape[w->n_dims - 1] - p->at[w->n_dims - 1];
}

static void place_step(const ew_walk *w, place *p, int64_t n)
{
    int k = w->n_dims - 1;
    p->at[k] += n;
    p->offset += n * w->stride[k];
    for (; k > 0 && p->at[k] == w->shape[k]; k--) {
        p->offset += w->stride[k - 1] - w->shape[k] * w->stride[k];
        p->at[k] = 0;
        p->at[k - 1]++;
    }
}

void ew_walk_load(const ew_walk *w, const cpu_exact *k, float *d, int64_t first, int64_t n)
{
    place p;
    if (w->linear) {
        k->load[w->dtype](d, w->p + (uint64_t)first * w->size, n);
        return;
    }
    p = place_of(w, first);
    while (n > 0) {
        const int64_t room = place_room(w, &p), m = n < room ? n : room;
        const int64_t stride = w->stride[w->n_dims - 1];
        const uint8_t *s = w->p + (uint64_t)p.offset * w->size;
        if (stride == 1) {
            k->load[w->dtype](d, s, m);
        } else if (stride == 0) {
            float x;
            k->load[w->dtype](&x, s, 1);
            for (int64_t i = 0; i < m; i++)
                d[i] = x;
        } else if (w->dtype == HONE_F32) {
            for (int64_t i = 0; i < m; i++)
                d[i] = ((const float *)(const void *)s)[i * stride];
        } else {
            for (int64_t i = 0; i < m; i++)
                k->load[w->dtype](d + i, s + (uint64_t)(i * stride) * w->size, 1);
        }
        place_step(w, &p, m);
        d += m;
        n -= m;
    }
}

void ew_walk_store(const ew_walk *w, const cpu_exact *k, const float *s, int64_t first, int64_t n)
{
    place p;
    if (w->linear) {
        k->store[w->dtype](w->p + (uint64_t)first * w->size, s, n);
        return;
    }
    p = place_of(w, first);
    while (n > 0) {
        const int64_t room = place_room(w, &p), m = n < room ? n : room;
        const int64_t stride = w->stride[w->n_dims - 1];
        uint8_t *d = w->p + (uint64_t)p.offset * w->size;
        if (stride == 1)
            k->store[w->dtype](d, s, m);
        else if (w->dtype == HONE_F32)
            for (int64_t i = 0; i < m; i++)
                ((float *)(void *)d)[i * stride] = s[i];
        else
            for (int64_t i = 0; i < m; i++)
                k->store[w->dtype](d + (uint64_t)(i * stride) * w->size, s + i, 1);
        place_step(w, &p, m);
        s += m;
        n -= m;
    }
}
