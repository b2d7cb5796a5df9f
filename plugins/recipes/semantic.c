/*
 * semantic.c - chunks that end where the topic turns, each able to stand alone.
 *
 * Sentences (and tables, code, list items as they are) become vectors by the model's own hidden states.
 * The topic turns before a sentence when what follows points elsewhere than what went before: further
 * than most sentences of the document do, or at a heading. Chunks begin there, with the headings above
 * them, and hold at least min_tokens; what is longer than a chunk is cut as everywhere. Nothing is
 * repeated and nothing is left out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "split.h"
#include "turns.h"

typedef struct config {
    int64_t tokens, min_tokens, window;
    double share;
    bool headings;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_I64(config, tokens, SPLIT_MIN_BUDGET, SPLIT_MAX_BUDGET, "384", "largest chunk, in tokens"),
    HONE_ROW_I64(config, min_tokens, 0, SPLIT_MAX_BUDGET, "64", "tokens of a chunk before a turn may end it; a heading may always"),
    HONE_ROW_F64(config, share, 0, 1, "0.9", "share of a document's sentences that are no turn: the others begin a chunk"),
    HONE_ROW_I64(config, window, 1, 64, "3", "sentences on either side that are compared"),
    HONE_ROW_BOOL(config, headings, "true", "begin a chunk with the headings above it, which count"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct unit { /* a sentence, or a block that has none */
    uint64_t block, from, to;
} unit;

typedef struct recipe {
    const hone_host *host; /* borrowed */
    const config *c;       /* borrowed */
    splitter splitter;
    turns turns;
    unit *units; /* owned */
    hone_str *texts;
    uint64_t n_units, cap_units;
    hone_block *blocks; /* owned: those of the document, cut at turns */
    uint8_t *stops;     /* owned: a chunk begins before it */
    uint64_t n_blocks;
    const hone_sample_sink *sink; /* borrowed while a document is at hand */
} recipe;

static void semantic_destroy(void *p)
{
    recipe *self = p;
    if (!self)
        return;
    if (self->splitter.host)
        splitter_finish(&self->splitter);
    turns_finish(&self->turns);
    self->host->free(self->host, self->units);
    self->host->free(self->host, self->texts);
    self->host->free(self->host, self->blocks);
    self->host->free(self->host, self->stops);
    self->host->free(self->host, self);
}

static hone_status semantic_create(const hone_host *host, const void *cfg, void **out,
                                   hone_error *err)
{
    const config *c = cfg;
    recipe *self = host->alloc(host, sizeof *self, _Alignof(recipe), "semantic");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "semantic: no memory");
    *self = (recipe){ .host = host, .c = c };
    hone_status st = splitter_init(&self->splitter, host, "semantic", c->tokens, 0, 0, err);
    self->splitter.path = c->headings;
    if (st == HONE_OK)
        st = turns_init(&self->turns, host, "semantic", (uint64_t)c->window, err);
    if (st == HONE_OK && c->min_tokens > c->tokens)
        st = hone_fail(err, HONE_ERR_ARG,
                       "semantic: min_tokens is %lld, more than the %lld of a whole chunk",
                       (long long)c->min_tokens, (long long)c->tokens);
    if (st != HONE_OK) {
        semantic_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

/* -------------------------------------------------------------------------- units */

static bool has_sentences(const hone_block *b)
{
    return b->kind == HONE_BLOCK_TEXT || b->kind == HONE_BLOCK_QUOTE;
}

static void *take(recipe *self, uint64_t n, uint64_t size)
{
    return n > UINT64_MAX / 4 / size
               ? NULL
               : self->host->alloc(self->host, n * size + size, 16, "semantic");
}

/* Counted first, then written: units NULL. */
static uint64_t list_units(const hone_document *d, unit *units, hone_str *texts)
{
    uint64_t n = 0;
    for (uint64_t k = 0; k < d->n_blocks; k++) {
        const hone_block *b = &d->blocks[k];
        for (uint64_t at = 0; at < b->text.n;) {
            const uint64_t end = has_sentences(b) ? sentence_end(b->text, at) : b->text.n;
            if (units) {
                units[n] = (unit){ k, at, end };
                texts[n] = (hone_str){ b->text.p + at, end - at };
            }
            n++;
            at = end;
        }
    }
    return n;
}

static hone_status make_units(recipe *self, const hone_document *d, hone_error *err)
{
    self->n_units = list_units(d, NULL, NULL);
    const uint64_t most = self->n_units + d->n_blocks; /* a turn in front of every unit */
    if (most > self->cap_units) {
        self->host->free(self->host, self->units);
        self->host->free(self->host, self->texts);
        self->host->free(self->host, self->blocks);
        self->host->free(self->host, self->stops);
        self->cap_units = most;
        self->units = take(self, most, sizeof *self->units);
        self->texts = take(self, most, sizeof *self->texts);
        self->blocks = take(self, most, sizeof *self->blocks);
        self->stops = take(self, most, 1);
    }
    if (most && (!self->units || !self->texts || !self->blocks || !self->stops)) {
        self->cap_units = 0;
        return hone_fail(err, HONE_ERR_NOMEM, "semantic: no memory for %llu sentences",
                         (unsigned long long)self->n_units);
    }
    (void)list_units(d, self->units, self->texts);
    return HONE_OK;
}

/* -------------------------------------------------------------------------- turns */

static hone_status count_tokens(recipe *self, hone_str text, uint64_t *n, hone_error *err)
{
    const hone_tokenizer_service *t = self->splitter.tokenizer;
    const int64_t count = t->count(t, text);
    if (count < 0)
        return hone_fail(err, HONE_ERR_NOMEM, "semantic: no memory to count tokens");
    *n = (uint64_t)count;
    return HONE_OK;
}

/* The document's blocks, cut where a chunk begins; a chunk begins before headings too. */
static hone_status cut_blocks(recipe *self, const hone_document *d, hone_error *err)
{
    double turn = 0;
    uint64_t since = 0, next = 0;
    bool heading = true; /* headings alone have come since the chunk began */
    hone_status st = turns_quantile(&self->turns, self->c->share, &turn, err);
    self->n_blocks = 0;
    for (uint64_t k = 0; k < d->n_blocks && st == HONE_OK; k++) {
        const bool is_heading = d->blocks[k].kind == HONE_BLOCK_HEADING;
        hone_block *own = NULL;
        if (!d->blocks[k].text.n)
            continue;
        for (; next < self->n_units && self->units[next].block == k && st == HONE_OK; next++) {
            const unit *u = &self->units[next];
            uint64_t tokens = 0;
            const bool stop = !heading && (is_heading || (self->turns.distance[next] > turn &&
                                                          since >= (uint64_t)self->c->min_tokens));
            if (stop || !own) {
                own = &self->blocks[self->n_blocks];
                *own = d->blocks[k];
                own->text.p += u->from;
                own->text.n = 0;
                own->ordinal = u->from ? 0 : own->ordinal;
                self->stops[self->n_blocks++] = stop;
            }
            own->text.n += u->to - u->from;
            st = count_tokens(self, self->texts[next], &tokens, err);
            since = stop ? tokens : since + tokens;
            heading = is_heading && (heading || stop);
        }
    }
    return st;
}

static hone_status add_chunk(void *ctx, const piece *p, hone_error *err)
{
    const recipe *self = ctx;
    const hone_segment segment = { .role = HONE_ROLE_RAW,
                                   .loss_weight = 1,
                                   .text = p->text,
                                   .src_off = p->src_off,
                                   .src_len = p->src_len };
    return self->sink->add(self->sink, &segment, 1, err);
}

static void lose(void *ctx, uint64_t bytes, const char *why)
{
    const recipe *self = ctx;
    self->sink->lost(self->sink, bytes, why);
}

static hone_status semantic_process(void *p, const hone_document *document,
                                    const hone_sample_sink *sink, hone_error *err)
{
    recipe *self = p;
    const piece_sink pieces = { self, add_chunk, lose };
    self->sink = sink;
    self->splitter.fences = false;
    for (uint64_t i = 0; i < document->n_blocks && !self->splitter.fences; i++)
        self->splitter.fences = document->blocks[i].kind != HONE_BLOCK_CODE;
    hone_status st = make_units(self, document, err);
    if (st == HONE_OK)
        st = turns_measure(&self->turns, self->texts, self->n_units, err);
    if (st == HONE_OK)
        st = cut_blocks(self, document, err);
    self->splitter.stops = self->stops;
    if (st == HONE_OK)
        st = splitter_run(&self->splitter, self->blocks, self->n_blocks, &pieces, err);
    return st;
}

static const hone_recipe ops = {
    .struct_size = sizeof ops,
    .create = semantic_create,
    .destroy = semantic_destroy,
    .process = semantic_process,
};

static const hone_component semantic = {
    .struct_size = sizeof semantic,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_RECIPE,
    .name = "semantic",
    .summary = "plain text in chunks that end where the topic turns, by the model's hidden states",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &semantic };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.semantic",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.semantic", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_RECIPE, "semantic", ""));
HONE_PLUGIN_ENTRY(&plugin)
