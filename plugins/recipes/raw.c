/*
 * raw.c - documents as plain text in chunks of a token budget; no template, learned throughout.
 *
 * A chunk that goes on where the one before was cut repeats the end of that one, so that
 * no sentence is only seen without what led to it. A chunk that begins with a heading repeats
 * nothing: a new subject needs no lead.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "split.h"

typedef struct config {
    int64_t tokens, characters, min_tokens, overlap_tokens;
    double overlap;
    bool headings;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_I64(config, tokens, SPLIT_MIN_BUDGET, SPLIT_MAX_BUDGET, "256", "largest chunk, in tokens"),
    HONE_ROW_F64(config, overlap, 0, 0.5, "0.1", "share of a chunk that repeats the end of the chunk before"),
    HONE_ROW_I64(config, overlap_tokens, 0, SPLIT_MAX_BUDGET, "0", "the same in tokens; 0: overlap says it"),
    HONE_ROW_BOOL(config, headings, "false", "begin a chunk with the headings above it, which count"),
    HONE_ROW_I64(config, min_tokens, 1, SPLIT_MAX_BUDGET, "1",
                 "a smaller chunk, in tokens, is left out and reported"),
    HONE_ROW_I64(config, characters, 0, SPLIT_MAX_BUDGET, "0",
                 "largest chunk, in characters instead of tokens (min_tokens, overlap_tokens too); 0: tokens"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct recipe {
    const hone_host *host; /* borrowed */
    splitter splitter;
    uint64_t min_size; /* tokens or code points */
} recipe;

typedef struct output {
    const hone_sample_sink *sink; /* borrowed */
    uint64_t min_size;
} output;

static void raw_destroy(void *p)
{
    recipe *self = p;
    if (!self)
        return;
    splitter_finish(&self->splitter);
    self->host->free(self->host, self);
}

static hone_status raw_create(const hone_host *host, const void *cfg, void **out, hone_error *err)
{
    const config *c = cfg;
    recipe *self = host->alloc(host, sizeof *self, _Alignof(recipe), "raw");
    hone_status st;
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "raw: no memory");
    *self = (recipe){ .host = host, .min_size = (uint64_t)c->min_tokens };
    st = splitter_init(&self->splitter, host, "raw", c->tokens, c->characters, c->overlap, err);
    if (st == HONE_OK && self->min_size > self->splitter.budget)
        st = hone_fail(err, HONE_ERR_ARG,
                       "raw: min_tokens is %lld, more than the %llu of a whole chunk: nothing "
                       "would be left",
                       (long long)c->min_tokens, (unsigned long long)self->splitter.budget);
    if (st == HONE_OK && 2 * (uint64_t)c->overlap_tokens > self->splitter.budget)
        st = hone_fail(err, HONE_ERR_ARG,
                       "raw: overlap_tokens is %lld, more than half of the %llu of a chunk",
                       (long long)c->overlap_tokens, (unsigned long long)self->splitter.budget);
    if (c->overlap_tokens)
        self->splitter.overlap = (uint64_t)c->overlap_tokens;
    self->splitter.path = c->headings;
    if (st != HONE_OK) {
        raw_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

static hone_status add_chunk(void *ctx, const piece *p, hone_error *err)
{
    const output *o = ctx;
    const hone_segment segment = { .role = HONE_ROLE_RAW,
                                   .loss_weight = 1,
                                   .text = p->text,
                                   .src_off = p->src_off,
                                   .src_len = p->src_len };
    if (p->size < o->min_size) {
        o->sink->lost(o->sink, p->new_bytes, "chunks smaller than min_tokens");
        return HONE_OK;
    }
    return o->sink->add(o->sink, &segment, 1, err);
}

static void lose(void *ctx, uint64_t bytes, const char *why)
{
    const output *o = ctx;
    o->sink->lost(o->sink, bytes, why);
}

static hone_status raw_process(void *p, const hone_document *document, const hone_sample_sink *sink,
                               hone_error *err)
{
    recipe *self = p;
    output out = { sink, self->min_size };
    const piece_sink pieces = { &out, add_chunk, lose };
    /* a file of code is code: fences are for code among text */
    self->splitter.fences = false;
    for (uint64_t i = 0; i < document->n_blocks && !self->splitter.fences; i++)
        self->splitter.fences = document->blocks[i].kind != HONE_BLOCK_CODE;
    return splitter_run(&self->splitter, document->blocks, document->n_blocks, &pieces, err);
}

static const hone_recipe ops = {
    .struct_size = sizeof ops,
    .create = raw_create,
    .destroy = raw_destroy,
    .process = raw_process,
};

static const hone_component raw = {
    .struct_size = sizeof raw,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_RECIPE,
    .name = "raw",
    .summary = "plain text in overlapping chunks of a token budget, without a template",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &raw };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.raw",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.raw", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_RECIPE, "raw", ""));
HONE_PLUGIN_ENTRY(&plugin)
