/*
 * embed.c - texts as mean-pooled hidden states, packed into passes of the model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/generate/parts.h"

#define MOST_TOKENS 512 /* of a text; what a passage needs and every position table has */

int64_t embed_limit(const model *net)
{
    int64_t n = model_capacity(net);
    if (n > model_context(net))
        n = model_context(net);
    return n < MOST_TOKENS ? n : MOST_TOKENS;
}

typedef struct packing {
    model *net; /* borrowed */
    batch b;
    uint64_t first; /* text of the batch's first sequence */
    float *out;     /* borrowed */
} packing;

static hone_status flush(packing *k, hone_error *err)
{
    const int64_t width = model_config(k->net)->dim[DIM_C];
    if (!k->b.n_sequences)
        return HONE_OK;
    for (int32_t s = k->b.n_sequences; s < k->b.max_sequences; s++)
        k->b.cu[s + 1] = k->b.n;
    const hone_status st = model_embed(k->net, &k->b, k->out + k->first * (uint64_t)width, err);
    k->first += (uint64_t)k->b.n_sequences;
    k->b.n = k->b.n_sequences = k->b.longest = 0;
    return st;
}

hone_status embed_texts(model *net, const tokenizer *tok, const hone_str *texts, uint64_t n,
                        float *out, hone_error *err)
{
    packing k = { .net = net, .out = out };
    tokens t = { 0 };
    const int64_t most = embed_limit(net), capacity = model_capacity(net);
    const int64_t width = model_config(net)->dim[DIM_C];
    hone_status st = batch_init(&k.b, capacity, 1, model_max_sequences(net), err);
    for (uint64_t i = 0; i < n && !st; i++) {
        t.n = 0;
        st = tokenizer_encode(tok, texts[i].p ? texts[i].p : "", (size_t)texts[i].n, ENCODE_ADD, &t,
                              NULL, err);
        const int64_t len = (int64_t)t.n < most ? (int64_t)t.n : most;
        if (!st && (len == 0 || k.b.n + len > capacity || k.b.n_sequences == k.b.max_sequences))
            st = flush(&k, err);
        if (st)
            break;
        if (!len) { /* nothing to pool */
            memset(out + k.first * (uint64_t)width, 0, (size_t)width * sizeof *out);
            k.first++;
            continue;
        }
        const int32_t start = k.b.n;
        for (int64_t j = 0; j < len; j++) {
            k.b.ids[k.b.n] = t.p[j].id;
            k.b.position[k.b.n] = (int32_t)j;
            k.b.seg_start[k.b.n] = start;
            k.b.n++;
        }
        k.b.cu[++k.b.n_sequences] = k.b.n;
        if (len > k.b.longest)
            k.b.longest = (int32_t)len;
    }
    if (!st)
        st = flush(&k, err);
    tokens_finish(&t);
    batch_finish(&k.b);
    return st;
}
