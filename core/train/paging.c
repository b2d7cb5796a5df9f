/*
 * paging.c - pages of state that are not on the device: in host memory as far as the limit
 * goes, in a file beyond, and in a small ring of slots while they are used.
 *
 * A slot is host memory, and on a device with memory of its own a buffer there and a queue
 * for its copies. Page k of those that need one uses slot k % RING. While page k is worked
 * on, the next AHEAD are on their way in, and those before it on their way out:
 *
 *   file -> host -> [copy, event] -> device: program -> [event, copy] -> host -> file
 *
 * The steps in brackets fall away where ops run on host memory as well (HONE_DEV_UNIFIED);
 * there a page in host memory needs no slot at all. Pages in memory are spread evenly among
 * those in the file, so that the disk always has work. What a walk used last is still in
 * the ring when the next one comes back from the end.
 *
 * Elements are independent of each other: results are those of resident state, to the bit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/states.h"

#include <inttypes.h>
#include <stdlib.h>

enum { RING = 4, AHEAD = 2 };
#define ALIGN UINT64_C(4096) /* of pages in memory and file, bytes */
#define NO_PAGE SIZE_MAX

typedef struct slot {
    hone_buf host; /* owned; 0: no page of the file comes here */
    uint8_t *mem;  /* what it maps to */
    hone_buf dev;  /* owned; 0: unified */
    hone_queue *q; /* owned; NULL: unified */
    size_t page;
    bool reading; /* a job fills host, nothing has been done with it */
    bool dirty;   /* was used: home is out of date */
    uint64_t ticket;
    hone_event ready; /* owned; 0: none. The copy to dev is done */
    hone_event used;  /* owned; 0: none. Ops on dev are done */
} slot;

typedef struct home {
    bool in_pool;
    uint64_t at, bytes; /* in pool or file */
    size_t turn;        /* among pages that need a slot; NO_PAGE: needs none */
} home;

struct paging {
    ops *o; /* borrowed */
    bool unified;
    home *homes; /* owned, n_pages */
    size_t n_pages;
    size_t *page_of; /* owned, n_turns */
    size_t n_turns;
    hone_buf pool; /* owned */
    uint8_t *pool_mem;
    pagefile *file; /* owned; NULL: everything is in the pool */
    slot slots[RING];
    size_t n_slots;
    uint64_t slot_bytes, pool_bytes;
    store_memory memory;
};

/* ------------------------------------------------------------------ open, close */

static uint64_t padded(uint64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* Which pages lie in the pool: an even share of each stretch of them. */
static hone_status place(paging *p, const uint64_t *bytes, size_t n_pages, const store_options *how,
                         bool unified, hone_error *err)
{
    uint64_t total = 0, pool = 0, file = 0, seen = 0, ring;
    size_t i;
    double share = 1;
    *p = (paging){ .unified = unified, .n_pages = n_pages };
    p->homes = mem_new(n_pages, sizeof *p->homes);
    p->page_of = mem_new(n_pages, sizeof *p->page_of);
    if (!p->homes || !p->page_of)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for %zu pages", n_pages);
    for (i = 0; i < n_pages; i++) {
        total += padded(bytes[i]);
        p->slot_bytes = padded(bytes[i]) > p->slot_bytes ? padded(bytes[i]) : p->slot_bytes;
    }
    ring = RING * p->slot_bytes;
    if (total > padded(how->limit)) {
        if (how->limit < ring)
            return hone_fail(err, HONE_ERR_ARG,
                             "train.paged_memory: %" PRIu64
                             " bytes are too few, the pages on their way take %" PRIu64,
                             how->limit, ring);
        share = (double)(how->limit - ring) / (double)total;
    }
    for (i = 0; i < n_pages; i++) {
        home *h = &p->homes[i];
        h->bytes = bytes[i];
        seen += padded(bytes[i]);
        h->in_pool = share >= 1 || (double)(pool + padded(bytes[i])) <= share * (double)seen;
        h->at = h->in_pool ? pool : file;
        *(h->in_pool ? &pool : &file) += padded(bytes[i]);
        h->turn = NO_PAGE;
        if (h->in_pool && unified)
            continue;
        h->turn = p->n_turns;
        p->page_of[p->n_turns++] = i;
    }
    p->n_slots = p->n_turns < RING ? p->n_turns : RING;
    p->pool_bytes = pool;
    p->memory = (store_memory){ .device = unified ? 0 : p->n_slots * p->slot_bytes,
                                .host = pool + (file ? p->n_slots * p->slot_bytes : 0),
                                .file = file };
    return HONE_OK;
}

hone_status paging_plan(store_memory *out, const uint64_t *bytes, size_t n_pages,
                        const store_options *how, bool unified, hone_error *err)
{
    paging p;
    const hone_status st = place(&p, bytes, n_pages, how, unified, err);
    if (!st)
        *out = p.memory;
    free(p.homes);
    free(p.page_of);
    return st;
}

static hone_status open_slot(paging *p, slot *s, hone_error *err)
{
    hone_status st = HONE_OK;
    void *mem = NULL;
    s->page = NO_PAGE;
    if (p->memory.file) {
        st = ops_alloc_host(p->o, &s->host, &mem, p->slot_bytes, err);
        s->mem = mem;
    }
    if (st || p->unified)
        return st;
    st = ops_alloc(p->o, &s->dev, p->slot_bytes, err);
    return st ? st : ops_device(p->o)->queue_create(ops_dev(p->o), &s->q, err);
}

hone_status paging_open(paging **out, ops *o, const uint64_t *bytes, size_t n_pages,
                        const store_options *how, hone_error *err)
{
    paging *p = mem_new(1, sizeof *p);
    const bool unified = (ops_info(o)->flags & HONE_DEV_UNIFIED) != 0;
    void *mem = NULL;
    size_t i;
    hone_status st;
    if (!p)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for paged optimizer state");
    st = place(p, bytes, n_pages, how, unified, err);
    p->o = o;
    if (!st && p->memory.file)
        st = pagefile_open(&p->file, how->dir, p->memory.file, 2 * RING, err);
    if (!st && p->pool_bytes) {
        st = ops_alloc_host(o, &p->pool, &mem, p->pool_bytes, err);
        p->pool_mem = mem;
    }
    for (i = 0; !st && i < p->n_slots; i++)
        st = open_slot(p, &p->slots[i], err);
    if (st)
        paging_close(p);
    else
        *out = p;
    return st;
}

static void forget(const paging *p, hone_event *event)
{
    if (*event)
        ops_device(p->o)->event_free(ops_dev(p->o), *event);
    *event = 0;
}

void paging_close(paging *p)
{
    size_t i;
    if (!p)
        return;
    pagefile_close(p->file); /* its thread uses the slots */
    for (i = 0; i < p->n_slots; i++) {
        slot *s = &p->slots[i];
        forget(p, &s->ready);
        forget(p, &s->used);
        if (s->q)
            ops_device(p->o)->queue_destroy(s->q);
        ops_free(p->o, s->dev);
        ops_free(p->o, s->host);
    }
    ops_free(p->o, p->pool);
    free(p->page_of);
    free(p->homes);
    free(p);
}

store_memory paging_bytes(const paging *p)
{
    return p->memory;
}

/* ----------------------------------------------------------------- in and out */

/* Between a slot's device buffer and host memory, on the slot's queue. */
static hone_status copy_page(const paging *p, const slot *s, bool to_device, hone_error *err)
{
    const home *h = &p->homes[s->page];
    const hone_tensor host = hone_tensor_1d(h->in_pool ? p->pool : s->host, h->in_pool ? h->at : 0,
                                            HONE_U8, (int64_t)h->bytes);
    const hone_tensor dev = hone_tensor_1d(s->dev, 0, HONE_U8, (int64_t)h->bytes);
    return ops_device(p->o)->copy(s->q, to_device ? &dev : &host, to_device ? &host : &dev, err);
}

/* The page's bytes are in host memory: send them on. */
static hone_status send(const paging *p, slot *s, hone_error *err)
{
    hone_status st = HONE_OK;
    s->reading = false;
    if (!p->unified)
        st = copy_page(p, s, true, err);
    if (!st && !p->unified)
        st = ops_device(p->o)->record(s->q, &s->ready, err);
    return st;
}

/* Nothing works with the slot's memory any more, and its page is at home or queued there. */
static hone_status evict(paging *p, slot *s, hone_error *err)
{
    const hone_device *device = ops_device(p->o);
    const home *h = &p->homes[s->page == NO_PAGE ? 0 : s->page];
    hone_status st = HONE_OK;
    if (s->page == NO_PAGE)
        return HONE_OK;
    if (s->dirty && p->unified)
        st = ops_sync(p->o, err);
    else if (s->dirty) {
        st = device->wait(s->q, s->used, err);
        if (!st)
            st = copy_page(p, s, false, err);
    }
    if (!st && s->q && !h->in_pool)
        st = device->sync(s->q, err);
    if (st)
        return st;
    if (s->dirty && !h->in_pool)
        s->ticket = pagefile_queue(p->file, h->at, s->mem, h->bytes, true);
    forget(p, &s->ready);
    forget(p, &s->used);
    s->dirty = s->reading = false;
    s->page = NO_PAGE;
    return HONE_OK;
}

/* See that the page of this turn is in its slot, or on its way. */
static hone_status load(paging *p, size_t turn, hone_error *err)
{
    slot *s = &p->slots[turn % p->n_slots];
    const size_t page = p->page_of[turn];
    hone_status st;
    if (s->page == page)
        return s->reading && pagefile_done(p->file, s->ticket) ? send(p, s, err) : HONE_OK;
    st = evict(p, s, err);
    if (st)
        return st;
    s->page = page;
    if (p->homes[page].in_pool)
        return send(p, s, err);
    s->ticket = pagefile_queue(p->file, p->homes[page].at, s->mem, p->homes[page].bytes, false);
    s->reading = true;
    return HONE_OK;
}

hone_status paging_fetch(paging *p, size_t page, bool backward, hone_buf *buf, uint64_t *offset,
                         hone_error *err)
{
    const home *h = &p->homes[page];
    size_t i;
    slot *s;
    hone_status st = HONE_OK;
    if (h->turn == NO_PAGE) {
        *buf = p->pool;
        *offset = h->at;
        return HONE_OK;
    }
    for (i = 0; !st && i <= AHEAD; i++)
        if (backward ? h->turn >= i : h->turn + i < p->n_turns)
            st = load(p, backward ? h->turn - i : h->turn + i, err);
    s = &p->slots[h->turn % p->n_slots];
    if (!st && s->reading) {
        st = pagefile_wait(p->file, s->ticket, err);
        if (!st)
            st = send(p, s, err);
    }
    if (!st && s->ready)
        st = ops_device(p->o)->wait(ops_queue(p->o), s->ready, err);
    forget(p, &s->ready);
    if (st)
        return st;
    *buf = p->unified ? s->host : s->dev;
    *offset = 0;
    return HONE_OK;
}

hone_status paging_release(paging *p, size_t page, hone_error *err)
{
    const home *h = &p->homes[page];
    slot *s;
    if (h->turn == NO_PAGE)
        return HONE_OK;
    s = &p->slots[h->turn % p->n_slots];
    s->dirty = true;
    if (p->unified)
        return HONE_OK;
    forget(p, &s->used);
    return ops_device(p->o)->record(ops_queue(p->o), &s->used, err);
}

/* ---------------------------------------------------------------- for the host */

hone_status paging_settle(paging *p, hone_error *err)
{
    hone_status st = ops_sync(p->o, err);
    size_t i;
    for (i = 0; !st && i < p->n_slots; i++) {
        slot *s = &p->slots[i];
        st = evict(p, s, err);
        if (!st && s->q)
            st = ops_device(p->o)->sync(s->q, err);
        if (!st && p->file)
            st = pagefile_wait(p->file, s->ticket, err);
    }
    return st;
}

hone_status paging_move(paging *p, size_t page, uint64_t at, void *mem, uint64_t bytes, bool out,
                        hone_error *err)
{
    const home *h = &p->homes[page];
    uint8_t *there = p->pool_mem + h->at + at;
    if (!h->in_pool)
        return pagefile_wait(p->file, pagefile_queue(p->file, h->at + at, mem, bytes, out), err);
    memcpy(out ? there : (uint8_t *)mem, out ? (uint8_t *)mem : there, bytes);
    return HONE_OK;
}
