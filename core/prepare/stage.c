/*
 * stage.c - samples on their way to the dataset: duplicates, and which side of the split.
 *
 * Lines are gathered in a file without a name, so that an earlier sample can be looked at again,
 * and so that documents can be dealt to training and validation once it is known which of them
 * share samples: documents with a common sample, or near ones, are one group and go
 * together. Groups are taken in the order of a hash of their first document's name and the seed until
 * the share is reached.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/prepare/near.h"

#define BUFFER (1u << 20)

hone_status stage_open(stage *s, const char *folder, hone_error *err)
{
    return nameless_file(&s->fd, folder, err);
}

void stage_finish(stage *s)
{
    if (s->fd)
        (void)close(s->fd);
    text_finish(&s->buf);
    near_finish(&s->near);
    free(s->ids.slots);
    free(s->lines);
    free(s->docs);
    *s = (stage){ 0 };
}

static hone_status flush(stage *s, hone_error *err)
{
    for (size_t at = 0; at < s->buf.n;) {
        const ssize_t n = pwrite(s->fd, s->buf.p + at, s->buf.n - at, (off_t)(s->flushed + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return hone_fail(err, HONE_ERR_IO, "cannot write a temporary file: %s",
                             strerror(errno));
        at += (size_t)n;
    }
    s->flushed += s->buf.n;
    text_clear(&s->buf);
    return HONE_OK;
}

/* ------------------------------------------------------------------------ groups */

/* The first document of the group. */
static uint32_t group_of(stage *s, uint32_t doc)
{
    while (s->docs[doc].group != doc) {
        s->docs[doc].group = s->docs[s->docs[doc].group].group;
        doc = s->docs[doc].group;
    }
    return doc;
}

static void join(stage *s, uint32_t a, uint32_t b)
{
    const uint32_t x = group_of(s, a), y = group_of(s, b);
    s->docs[x > y ? x : y].group = x > y ? y : x;
}

hone_status stage_document(stage *s, uint64_t name, hone_error *err)
{
    if (s->n_docs >= UINT32_MAX - 1 ||
        !mem_grow(&s->docs, &s->cap_docs, s->n_docs + 1, sizeof *s->docs))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu documents", s->n_docs);
    s->docs[s->n_docs] = (staged){ .start = s->flushed + s->buf.n,
                                   .end = s->flushed + s->buf.n,
                                   .name = name,
                                   .group = (uint32_t)s->n_docs };
    s->n_docs++;
    return HONE_OK;
}

/* ------------------------------------------------------------------------ duplicates */

/* *first: the document that had this sample before, or UINT32_MAX (now remembered). */
static hone_status remember(id_set *set, const char *id, uint32_t doc, uint32_t *first,
                            hone_error *err)
{
    const uint64_t key = strtoull(id, NULL, 16) | 1; /* 0 stands for a free slot */
    if ((set->n + 1) * 2 > set->cap) {
        const size_t cap = set->cap ? set->cap * 2 : 1024;
        struct id_slot *bigger = mem_new(cap, sizeof *bigger);
        if (!bigger)
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu sample ids", set->n);
        for (size_t i = 0; i < set->cap; i++)
            if (set->slots[i].id) {
                size_t at = (size_t)set->slots[i].id & (cap - 1);
                while (bigger[at].id)
                    at = (at + 1) & (cap - 1);
                bigger[at] = set->slots[i];
            }
        free(set->slots);
        set->slots = bigger;
        set->cap = cap;
    }
    size_t at = (size_t)key & (set->cap - 1);
    while (set->slots[at].id && set->slots[at].id != key)
        at = (at + 1) & (set->cap - 1);
    *first = set->slots[at].id ? set->slots[at].doc : UINT32_MAX;
    if (!set->slots[at].id) {
        set->slots[at] = (struct id_slot){ key, doc };
        set->n++;
    }
    return HONE_OK;
}

static hone_status take_line(void *ctx, const sample *x, int64_t line, hone_error *err)
{
    sample *s = ctx;
    hone_status st = HONE_OK;
    (void)line;
    s->id = mem_strdup(x->id);
    s->file = mem_strdup(x->file);
    for (size_t i = 0; i < x->n_segments && !st; i++)
        st = sample_add(s, x->segments[i].role, x->segments[i].learn,
                        (hone_str){ x->segments[i].text, x->segments[i].n }, 0, 0, err);
    return st;
}

static hone_status earlier_sample(stage *s, uint32_t number, sample *out, hone_error *err)
{
    const uint64_t start = s->lines[number].at;
    const uint64_t end = number + 1 < s->n_lines ? s->lines[number + 1].at : s->flushed + s->buf.n;
    char *p = mem_new((size_t)(end - start) + 1, 1);
    hone_status st = p ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "no memory for a sample");
    if (!st && end > s->flushed)
        st = flush(s, err);
    if (!st && pread(s->fd, p, (size_t)(end - start), (off_t)start) != (ssize_t)(end - start))
        st = hone_fail(err, HONE_ERR_IO, "cannot read a temporary file");
    if (!st)
        st = dataset_read_bytes(p, (size_t)(end - start), "samples", take_line, out, NULL, err);
    free(p);
    return st;
}

/* A near duplicate of an earlier document: *like >= threshold, and where. */
static hone_status find_near(stage *s, const sample *x, const stage_rules *rules, uint32_t recipe,
                             stage_answer *a, hone_error *err)
{
    const uint32_t doc = (uint32_t)s->n_docs - 1;
    uint32_t found[NEAR_CANDIDATES];
    size_t n = 0;
    shingles mine = { 0 }, other = { 0 };
    hone_status st = shingles_of(&mine, x)
                         ? near_find(&s->near, &mine, recipe, (uint32_t)s->n_lines, rules->folder,
                                     found, &n, err)
                         : hone_fail(err, HONE_ERR_NOMEM, "no memory to look for near duplicates");
    for (size_t i = 0; i < n && !st && a->what == STAGE_NEW; i++) {
        sample then = { 0 };
        if (found[i] >= s->n_lines || s->lines[found[i]].doc == doc)
            continue;
        if (!(st = earlier_sample(s, found[i], &then, err)) && !shingles_of(&other, &then))
            st = hone_fail(err, HONE_ERR_NOMEM, "no memory to look for near duplicates");
        const double like = st ? 0 : shingles_jaccard(&mine, &other);
        if (like >= rules->threshold) {
            a->what = STAGE_NEAR;
            a->like = like;
            (void)snprintf(a->id, sizeof a->id, "%s", then.id ? then.id : "");
            a->file = then.file;
            then.file = NULL;
            join(s, doc, s->lines[found[i]].doc);
        }
        sample_finish(&then);
    }
    free(mine.p);
    free(other.p);
    return st;
}

hone_status stage_add(stage *s, sample *x, uint32_t recipe, const stage_rules *rules,
                      stage_answer *a, hone_error *err)
{
    const uint32_t doc = (uint32_t)s->n_docs - 1;
    uint32_t first = UINT32_MAX;
    hone_status st = remember(&s->ids, x->id, doc, &first, err);
    *a = (stage_answer){ .what = STAGE_NEW };
    if (st)
        return st;
    if (first != UINT32_MAX) {
        a->what = STAGE_SAME;
        join(s, doc, first);
        return HONE_OK;
    }
    if (rules->near != NEAR_OFF && (st = find_near(s, x, rules, recipe, a, err)))
        return st;
    if (a->what == STAGE_NEAR && rules->near == NEAR_DROP)
        return HONE_OK;
    if (s->n_lines >= UINT32_MAX - 1 ||
        !mem_grow(&s->lines, &s->cap_lines, s->n_lines + 1, sizeof *s->lines))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu samples", s->n_lines);
    s->lines[s->n_lines++] = (staged_line){ s->flushed + s->buf.n, doc };
    if ((st = sample_to_json(x, &s->buf, err)))
        return st;
    text_putc(&s->buf, '\n');
    s->docs[doc].end = s->flushed + s->buf.n;
    s->docs[doc].samples++;
    st = text_status(&s->buf, err);
    return st || s->buf.n < BUFFER ? st : flush(s, err);
}

/* ------------------------------------------------------------------------ the split */

typedef struct group {
    uint64_t order, samples;
    uint32_t first;
} group;

static int by_order(const void *a, const void *b)
{
    const group *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static int by_name(const void *a, const void *b)
{
    const staged *const *x = a, *const *y = b;
    if ((*x)->name != (*y)->name)
        return (*x)->name < (*y)->name ? -1 : 1;
    return *x < *y ? -1 : *x > *y;
}

/* Documents of one name (of one folder, when those are split) are one group. */
static hone_status join_names(stage *s, hone_error *err)
{
    const staged **order = mem_new(s->n_docs + 1, sizeof *order);
    if (!order)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the split");
    for (size_t i = 0; i < s->n_docs; i++)
        order[i] = &s->docs[i];
    qsort(order, s->n_docs, sizeof *order, by_name);
    for (size_t i = 1; i < s->n_docs; i++)
        if (order[i]->name == order[i - 1]->name)
            join(s, (uint32_t)(order[i] - s->docs), (uint32_t)(order[i - 1] - s->docs));
    free(order);
    return HONE_OK;
}

static hone_status deal(stage *s, double share, uint64_t seed, hone_error *err)
{
    uint64_t all = 0, taken = 0;
    size_t n = 0;
    hone_status st = join_names(s, err);
    group *groups = mem_new(s->n_docs + 1, sizeof *groups);
    if (!st && !groups)
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for the split");
    if (st)
        goto out;
    for (size_t i = 0; i < s->n_docs; i++)
        if (group_of(s, (uint32_t)i) == i)
            s->docs[i].index = (uint32_t)n,
            groups[n++] = (group){ rng_u64(seed, 0, s->docs[i].name), 0, (uint32_t)i };
    for (size_t i = 0; i < s->n_docs; i++) {
        groups[s->docs[group_of(s, (uint32_t)i)].index].samples += s->docs[i].samples;
        all += s->docs[i].samples;
    }
    if (n)
        qsort(groups, n, sizeof *groups, by_order);
    const uint64_t want = (uint64_t)(share * (double)all + 0.5);
    size_t smallest = n;
    for (size_t i = 0; i < n; i++) {
        const uint64_t size = groups[i].samples;
        if (size && (smallest == n || size < groups[smallest].samples))
            smallest = i;
        if (size && size < all && taken + size <= want) {
            s->docs[groups[i].first].val = true;
            taken += size;
        }
    }
    /* None fits: the smallest, if something is left to train on. */
    if (want && !taken && smallest < n && groups[smallest].samples < all)
        s->docs[groups[smallest].first].val = true;
    for (size_t i = 0; i < s->n_docs; i++)
        s->docs[i].val = s->docs[group_of(s, (uint32_t)i)].val;
out:
    free(groups);
    return st;
}

static hone_status copy_range(stage *s, uint64_t at, uint64_t end, file_writer *to, hone_error *err)
{
    static char buf[1 << 16];
    hone_status st = HONE_OK;
    while (at < end && !st) {
        const size_t want = end - at < sizeof buf ? (size_t)(end - at) : sizeof buf;
        const ssize_t n = pread(s->fd, buf, want, (off_t)at);
        if (n <= 0)
            return hone_fail(err, HONE_ERR_IO, "cannot read a temporary file");
        st = file_writer_add(to, buf, (size_t)n, err);
        at += (uint64_t)n;
    }
    return st;
}

hone_status stage_write(stage *s, double share, uint64_t seed, file_writer *train, file_writer *val,
                        int64_t *n_val, hone_error *err)
{
    hone_status st = flush(s, err);
    *n_val = 0;
    if (!st && share > 0)
        st = deal(s, share, seed, err);
    for (size_t i = 0; i < s->n_docs && !st; i++) {
        const staged *d = &s->docs[i];
        *n_val += d->val ? (int64_t)d->samples : 0;
        st = copy_range(s, d->start, d->end, d->val ? val : train, err);
    }
    return st;
}
