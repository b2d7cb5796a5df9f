/*
 * store.c - pages of state: one buffer on the device, or paged (paging.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/states.h"

#include <stdlib.h>

#define LARGEST_PAGE ((uint64_t)4 << 20) /* large enough for a disk, small enough for a cache */
#define SMALLEST_PAGE ((uint64_t)16 << 10)

struct store {
    ops *o;       /* borrowed */
    hone_buf buf; /* owned; 0: paged */
    uint64_t bytes;
    paging *paging; /* owned; NULL: resident */
};

uint64_t store_page_bytes(const store_options *how)
{
    const uint64_t share = how->limit / 8 / 4096 * 4096; /* the ring is half of the limit */
    if (!how->paged)
        return UINT64_MAX;
    return share < SMALLEST_PAGE ? SMALLEST_PAGE : share > LARGEST_PAGE ? LARGEST_PAGE : share;
}

hone_status store_plan(store_memory *out, const uint64_t *bytes, size_t n_pages,
                       const store_options *how, bool unified, hone_error *err)
{
    if (how->paged)
        return paging_plan(out, bytes, n_pages, how, unified, err);
    *out = (store_memory){ .device = n_pages ? bytes[0] : 0 };
    return HONE_OK;
}

hone_status store_open(store **out, ops *o, const uint64_t *bytes, size_t n_pages,
                       const store_options *how, hone_error *err)
{
    store *s = mem_new(1, sizeof *s);
    hone_status st;
    if (!s)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory for the optimizer's state");
    s->o = o;
    if (how->paged) {
        st = paging_open(&s->paging, o, bytes, n_pages, how, err);
    } else {
        s->bytes = n_pages ? bytes[0] : 0;
        st = ops_alloc(o, &s->buf, s->bytes, err);
    }
    if (st)
        store_close(s);
    else
        *out = s;
    return st;
}

void store_close(store *s)
{
    if (!s)
        return;
    paging_close(s->paging);
    ops_free(s->o, s->buf);
    free(s);
}

store_memory store_bytes(const store *s)
{
    return s->paging ? paging_bytes(s->paging) : (store_memory){ .device = s->bytes };
}

hone_status store_fetch(store *s, size_t page, bool backward, hone_buf *buf, uint64_t *offset,
                        hone_error *err)
{
    if (s->paging)
        return paging_fetch(s->paging, page, backward, buf, offset, err);
    *buf = s->buf;
    *offset = 0;
    return HONE_OK;
}

hone_status store_release(store *s, size_t page, hone_error *err)
{
    return s->paging ? paging_release(s->paging, page, err) : HONE_OK;
}

hone_status store_read(store *s, size_t page, uint64_t at, void *p, uint64_t bytes, hone_error *err)
{
    hone_status st;
    if (!s->paging)
        return ops_download(s->o, p, s->buf, at, bytes, err);
    st = paging_settle(s->paging, err);
    return st ? st : paging_move(s->paging, page, at, p, bytes, false, err);
}

hone_status store_write(store *s, size_t page, uint64_t at, const void *p, uint64_t bytes,
                        hone_error *err)
{
    hone_status st;
    if (!s->paging)
        return ops_upload(s->o, s->buf, at, p, bytes, err);
    st = paging_settle(s->paging, err);
    return st ? st : paging_move(s->paging, page, at, (void *)(uintptr_t)p, bytes, true, err);
}
