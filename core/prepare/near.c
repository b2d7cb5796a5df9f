/*
 * near.c - near duplicates: samples of other documents that share most of their words.
 *
 * Words are runs of letters and digits without regard to ASCII case; a letter of Chinese,
 * Japanese or Korean is a word. A sample is the set of its runs of five words (shingles; system
 * messages left out), and two samples of one recipe are near duplicates when
 * |A and B| / |A or B| (Jaccard) is at least prepare.near_threshold. Candidates come from
 * min-hashes: 64 bins by one permutation (Li, Owen, Zhang 2012), empty ones filled from others
 * (Shrivastava 2017), in 16 bands of 4; a pair of 0.8 meets in none of them once in 5,000, and
 * what meets is compared shingle by shingle, so that the threshold is exact. Each band's first
 * sample is remembered: 8 bytes a band and sample, in memory that the kernel may write to disk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/prepare/near.h"

#define SHINGLE 5 /* words */
#define BINS 64
#define BANDS 16
#define ROWS (BINS / BANDS)

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xe9846af9b1a615dull;
    x ^= x >> 32;
    x *= 0xe9846af9b1a615dull;
    return x ^ x >> 28;
}

/* ------------------------------------------------------------------------ shingles */

typedef struct word_run {
    uint64_t last[SHINGLE]; /* hashes of words, a ring */
    uint64_t n;
} word_run;

static bool add_word(shingles *s, word_run *r, uint64_t word)
{
    r->last[r->n++ % SHINGLE] = mix(word);
    if (r->n < SHINGLE)
        return true;
    uint64_t h = 0;
    for (uint64_t i = 0; i < SHINGLE; i++)
        h = mix(h + r->last[(r->n + i) % SHINGLE]);
    if (!mem_grow(&s->p, &s->cap, s->n + 1, sizeof *s->p))
        return false;
    s->p[s->n++] = h;
    return true;
}

static bool is_word(uint32_t cp)
{
    return (cp >= '0' && cp <= '9') || (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') ||
           cp >= 0xaa;
}

/* Chinese, Japanese, Korean: no blanks between words. */
static bool stands_alone(uint32_t cp)
{
    return (cp >= 0x2e80 && cp < 0xa4d0) || (cp >= 0xac00 && cp < 0xd7b0) ||
           (cp >= 0xf900 && cp < 0xfb00) || (cp >= 0x20000 && cp < 0x32000);
}

static bool add_text(shingles *s, word_run *r, const char *p, size_t n)
{
    uint64_t word = 0;
    bool good = true;
    for (size_t i = 0; i < n && good;) {
        uint32_t cp = (uint8_t)p[i];
        bool bad = false;
        i += cp < 0x80 ? 1 : utf8_next(p + i, n - i, &cp, &bad);
        const bool inside = is_word(cp), alone = stands_alone(cp);
        if (word && (!inside || alone)) {
            good = add_word(s, r, word);
            word = 0;
        }
        if (inside && cp < 0x80 && cp >= 'A' && cp <= 'Z')
            cp += 32;
        if (inside)
            word = (word ^ cp) * 0x100000001b3ull + 0x9e3779b97f4a7c15ull;
        if (alone) {
            good = good && add_word(s, r, word);
            word = 0;
        }
    }
    return good && (!word || add_word(s, r, word));
}

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

bool shingles_of(shingles *s, const sample *x)
{
    word_run r = { 0 };
    bool good = true;
    s->n = 0;
    for (size_t i = 0; i < x->n_segments && good; i++)
        if (x->segments[i].role != ROLE_SYSTEM)
            good = add_text(s, &r, x->segments[i].text, x->segments[i].n);
    if (good && r.n && r.n < SHINGLE) { /* few words: all of them are one */
        uint64_t h = r.n;
        for (uint64_t i = 0; i < r.n; i++)
            h = mix(h + r.last[i]);
        if ((good = mem_grow(&s->p, &s->cap, 1, sizeof *s->p)))
            s->p[s->n++] = h;
    }
    if (s->n)
        qsort(s->p, s->n, sizeof *s->p, compare_hashes);
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!i || s->p[i] != s->p[i - 1])
            s->p[kept++] = s->p[i];
    s->n = kept;
    return good;
}

double shingles_jaccard(const shingles *a, const shingles *b)
{
    size_t i = 0, k = 0, both = 0;
    while (i < a->n && k < b->n) {
        both += a->p[i] == b->p[k];
        const bool first = a->p[i] <= b->p[k], second = b->p[k] <= a->p[i];
        i += first;
        k += second;
    }
    const size_t all = a->n + b->n - both;
    return all ? (double)both / (double)all : 0;
}

/* ------------------------------------------------------------------------ bands */

static void min_hashes(const shingles *s, uint64_t out[BINS])
{
    uint64_t bins[BINS];
    memset(bins, 0xff, sizeof bins);
    for (size_t i = 0; i < s->n; i++) {
        const uint64_t h = mix(s->p[i]), bin = h % BINS;
        if (h < bins[bin])
            bins[bin] = h;
    }
    for (uint64_t b = 0; b < BINS; b++) {
        uint64_t from = b;
        for (uint64_t k = 1; bins[from] == UINT64_MAX; k++)
            from = mix(b * 0x10001 + k) % BINS;
        out[b] = bins[from];
    }
}

/* n zeroed slots in a file without a name, or plain memory where there can be none. */
static near_slot *map_slots(const char *folder, size_t n)
{
    int fd = -1;
    void *p = MAP_FAILED;
    if (!nameless_file(&fd, folder, NULL)) {
        if (ftruncate(fd, (off_t)(n * sizeof(near_slot))) == 0)
            p = mmap(NULL, n * sizeof(near_slot), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void)close(fd);
    }
    if (p == MAP_FAILED)
        p = mmap(NULL, n * sizeof(near_slot), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                 -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* A slot's place comes from its tag alone, so that the table can grow. */
static near_slot *find_slot(near_slot *slots, size_t cap, uint32_t tag)
{
    size_t at = (size_t)mix(tag) & (cap - 1);
    while (slots[at].sample && slots[at].tag != tag)
        at = (at + 1) & (cap - 1);
    return &slots[at];
}

static bool make_room(near_index *x, const char *folder)
{
    if ((x->n_slots + BANDS) * 5 < x->cap_slots * 3)
        return true;
    const size_t cap = x->cap_slots ? x->cap_slots * 2 : 1u << 14;
    near_slot *bigger = map_slots(folder, cap);
    if (!bigger)
        return false;
    for (size_t i = 0; i < x->cap_slots; i++)
        if (x->slots[i].sample)
            *find_slot(bigger, cap, x->slots[i].tag) = x->slots[i];
    if (x->slots)
        (void)munmap(x->slots, x->cap_slots * sizeof(near_slot));
    x->slots = bigger;
    x->cap_slots = cap;
    return true;
}

hone_status near_find(near_index *x, const shingles *s, uint32_t recipe, uint32_t number,
                      const char *folder, uint32_t found[NEAR_CANDIDATES], size_t *n,
                      hone_error *err)
{
    uint64_t bins[BINS];
    uint32_t seen[BANDS], votes[BANDS];
    size_t n_seen = 0;
    *n = 0;
    if (!s->n)
        return HONE_OK;
    if (!make_room(x, folder))
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to look for near duplicates");
    min_hashes(s, bins);
    for (uint32_t b = 0; b < BANDS; b++) {
        uint64_t key = (uint64_t)recipe << 32 | b;
        for (uint32_t k = 0; k < ROWS; k++)
            key = mix(key + bins[b * ROWS + k]);
        near_slot *slot = find_slot(x->slots, x->cap_slots, (uint32_t)(key >> 16));
        if (!slot->sample) {
            *slot = (near_slot){ (uint32_t)(key >> 16), number + 1 };
            x->n_slots++;
            continue;
        }
        size_t i = 0;
        while (i < n_seen && seen[i] != slot->sample - 1)
            i++;
        if (i == n_seen) {
            seen[n_seen] = slot->sample - 1;
            votes[n_seen++] = 0;
        }
        votes[i]++;
    }
    while (*n < NEAR_CANDIDATES && *n < n_seen) { /* most votes first, then the earlier sample */
        size_t best = 0;
        for (size_t i = 1; i < n_seen; i++)
            if (votes[i] > votes[best] || (votes[i] == votes[best] && seen[i] < seen[best]))
                best = i;
        if (!votes[best])
            break;
        votes[best] = 0;
        found[(*n)++] = seen[best];
    }
    return HONE_OK;
}

void near_finish(near_index *x)
{
    if (x->slots)
        (void)munmap(x->slots, x->cap_slots * sizeof(near_slot));
    *x = (near_index){ 0 };
}
