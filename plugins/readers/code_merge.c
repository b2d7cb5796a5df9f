/*
 * code_merge.c - units of one file that was parsed several times (code_mask.c): of what was found more
 * than once the parse counts that understood it, and units stand in one another or apart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "code.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    const found *x = a, *y = b;
    if (x->name != y->name)
        return x->name < y->name ? -1 : 1;
    if (x->name_end != y->name_end)
        return x->name_end < y->name_end ? -1 : 1;
    if (x->pass != y->pass)
        return x->pass < y->pass ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int by_place(const void *a, const void *b)
{
    const found *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->end != y->end)
        return x->end > y->end ? -1 : 1;
    return by_name(a, b);
}

static bool broken(const found *u)
{
    return (u->flags & HONE_UNIT_BROKEN) != 0;
}

/* Of units [0, n) with one name in one place: those of the first pass without an error in them. What
 * only a masked text shows counts when it has none; phantom: what only the whole text shows, with
 * errors. */
static void choose(found *u, uint64_t n)
{
    uint64_t best = n;
    for (uint64_t i = 0; i < n && best == n; i++)
        best = broken(&u[i]) ? n : i;
    for (uint64_t i = 0; i < n; i++) {
        u[i].dropped = best < n ? u[i].pass != u[best].pass : u[i].pass != 0;
        u[i].phantom = best == n && u[n - 1].pass == 0;
    }
}

/* Which of two that cross is to go: one with errors, then one of a masked text. */
static found *loser(found *up, found *u)
{
    if (broken(up) != broken(u))
        return broken(up) ? up : u;
    return up->pass > u->pass ? up : u;
}

static bool one_name(const char *text, const found *a, const found *b)
{
    const uint32_t n = a->name_end - a->name;
    return n == b->name_end - b->name && memcmp(text + a->name, text + b->name, n) == 0;
}

/* Drops what overlaps another without standing in it. open: room for indices. */
static void untangle(const char *text, found *u, uint64_t n, uint64_t *open)
{
    uint64_t k = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (u[i].dropped || u[i].kind == HONE_UNIT_COMMENT)
            continue;
        for (; k; k--) {
            found *up = &u[open[k - 1]];
            if (up->end <= u[i].start)
                continue;
            if (up->phantom && u[i].pass)
                up->dropped = true;
            else if (up->end == u[i].end && one_name(text, up, &u[i]))
                u[i].dropped = true; /* its head in another branch */
            else if (up->end < u[i].end)
                loser(up, &u[i])->dropped = true;
            if (!up->dropped || u[i].dropped)
                break;
        }
        if (!u[i].dropped)
            open[k++] = i;
    }
}

hone_status code_merge(walk *w, const walk *more, hone_error *err)
{
    found *u;
    uint64_t n, k = 0, at = 0;
    for (uint64_t i = 0; i < found_n(more); i++)
        if (found_at(more, i)->kind != HONE_UNIT_COMMENT) /* the whole text has them all */
            hone_text_add(&w->units, (const char *)found_at(more, i), sizeof(found));
    n = found_n(w);
    uint64_t *open = w->host->alloc(w->host, (n + 1) * sizeof *open, _Alignof(uint64_t), "code");
    if (!open || w->units.failed) {
        w->host->free(w->host, open);
        return hone_fail(err, HONE_ERR_NOMEM, "code: no memory for %llu units",
                         (unsigned long long)n);
    }
    u = (found *)(void *)w->units.p;
    qsort(u, n, sizeof *u, by_name);
    for (uint64_t i = 0; i < n; i = at) {
        for (at = i + 1; at < n && u[at].name == u[i].name && u[at].name_end == u[i].name_end; at++)
            ;
        if (u[i].name_end) /* comments have no names */
            choose(u + i, at - i);
    }
    qsort(u, n, sizeof *u, by_place);
    untangle(w->text.p, u, n, open);
    for (uint64_t i = 0; i < n; i++)
        if (!u[i].dropped)
            u[k++] = u[i];
    w->units.n = k * sizeof *u;
    w->host->free(w->host, open);
    return HONE_OK;
}
