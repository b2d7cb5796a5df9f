/*
 * queries.c - questions that a chunk answers, written by the model and held against the chunk.
 *
 * With each question the model gives the words that answer it. A question whose quote does not stand in
 * the chunk (white space aside) is dropped: what the model made up is not learned. So is one that is
 * nearly the same as an earlier question of the document. All is counted, with the reason.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "asking.h"
#include "pairs.h"

#define ANSWER_CHUNK 0
#define ANSWER_SENTENCES 1
#define MAX_QUESTION 1000 /* bytes */

typedef struct config {
    int64_t count, tokens, characters, answer, answer_tokens;
    double overlap, similar;
    bool headings;
    const char *prompt;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_I64(config, count, 1, 50, "3", "questions of a chunk"),
    HONE_ROW_I64(config, tokens, SPLIT_MIN_BUDGET, SPLIT_MAX_BUDGET, "384", "largest chunk, in tokens"),
    HONE_ROW_F64(config, overlap, 0, 0.5, "0", "share of a chunk that repeats the end of the one before"),
    HONE_ROW_BOOL(config, headings, "true", "begin a chunk with the headings above it, which count"),
    HONE_ROW_ENUM(config, answer, "chunk|sentences|quote", "chunk",
                  "what a question's answer is: the chunk, the quote's sentences, the quote"),
    HONE_ROW_F64(config, similar, 0.1, 1, "0.8",
                 "share of words that makes two questions of a document the same; the later one is dropped"),
    HONE_ROW_I64(config, answer_tokens, 0, 100000, "0", "longest answer of the model, in tokens; 0: 100 for each question"),
    HONE_ROW_PATH(config, prompt, NULL, "file of the prompt instead of the recipe's own: {{text}}, {{count}}, {{title}}"),
    HONE_ROW_I64(config, characters, 0, SPLIT_MAX_BUDGET, "0", "largest chunk, in characters instead of tokens; 0: tokens"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct recipe {
    const config *c; /* borrowed */
    asking asking;
    questions asked; /* of the document at hand */
} recipe;

static void queries_destroy(void *p)
{
    recipe *self = p;
    if (!self)
        return;
    const hone_host *host = self->asking.host;
    asking_finish(&self->asking);
    questions_finish(&self->asked);
    host->free(host, self);
}

/* The sentences that hold text[start, end). */
static hone_str sentences_around(hone_str text, uint64_t start, uint64_t end)
{
    uint64_t from = 0, to = 0;
    while (to < text.n && to < end) {
        const uint64_t begin = to;
        to = sentence_end(text, begin);
        if (to <= start)
            from = to;
    }
    return trim_space((hone_str){ text.p + from, to - from });
}

static hone_status take_pair(recipe *self, const asked_chunk *c, hone_str question, hone_str quote,
                             int64_t *used, hone_error *err)
{
    const config *o = self->c;
    uint64_t start = 0, end = 0;
    bool known = false;
    const char *why = NULL;
    if (!question.n || question.n > MAX_QUESTION)
        why = "questions without words, or of more than 1000 bytes";
    else if (!quote_find(c->text, quote, &start, &end))
        why = "questions whose quote does not stand in their chunk";
    else if (*used == o->count)
        why = "questions beyond the number asked for";
    else if (!questions_add(&self->asked, question, o->similar, &known))
        return hone_fail(err, HONE_ERR_NOMEM, "queries: no memory for questions");
    else if (known)
        why = "questions nearly the same as another one";
    if (why) {
        asking_drop(&self->asking, 1, why);
        return HONE_OK;
    }
    ++*used;
    hone_str answer = c->text;
    if (o->answer == ANSWER_SENTENCES)
        answer = sentences_around(c->text, start, end);
    else if (o->answer != ANSWER_CHUNK)
        answer = (hone_str){ c->text.p + start, end - start };
    return asking_pair(&self->asking, c, question, answer, err);
}

static hone_status take(void *ctx, const asked_chunk *c, const hone_answer *a, hone_error *err)
{
    recipe *self = ctx;
    uint64_t at = 0;
    int64_t used = 0, seen = 0;
    hone_str question, quote;
    bool whole;
    hone_status st = HONE_OK;
    while (st == HONE_OK && pairs_next(a->text, &at, &question, &quote, &whole)) {
        seen++;
        if (a->end == HONE_ANSWER_LENGTH && !whole)
            asking_drop(&self->asking, 1, "questions torn at the longest answer");
        else
            st = take_pair(self, c, question, quote, &used, err);
    }
    if (st == HONE_OK && !seen)
        asking_drop(&self->asking, 1, "answers without a question and a quote");
    if (st == HONE_OK && !used)
        self->asking.sink->lost(self->asking.sink, c->new_bytes, "chunks without a question");
    return st;
}

static hone_status queries_create(const hone_host *host, const void *cfg, void **out,
                                  hone_error *err)
{
    static const char *const names[] = { "text", "count", "title", NULL };
    const config *c = cfg;
    recipe *self = host->alloc(host, sizeof *self, _Alignof(recipe), "queries");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "queries: no memory");
    *self =
        (recipe){ .c = c,
                  .asking = { .host = host,
                              .name = "queries",
                              .max_tokens = c->answer_tokens ? c->answer_tokens : 100 * c->count,
                              .title = { .host = host, .tag = "queries" },
                              .take = take,
                              .ctx = self },
                  .asked = { .host = host, .tag = "queries" } };
    (void)snprintf(self->asking.count, sizeof self->asking.count, "%lld", (long long)c->count);
    hone_status st =
        prompt_init(&self->asking.prompt, host, "queries", c->prompt, prompt_words, names, err);
    if (st == HONE_OK)
        st = splitter_init(&self->asking.splitter, host, "queries", c->tokens, c->characters,
                           c->overlap, err);
    self->asking.splitter.fences = true;
    self->asking.splitter.path = c->headings;
    if (st != HONE_OK) {
        queries_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

static hone_status queries_process(void *p, const hone_document *document,
                                   const hone_sample_sink *sink, hone_error *err)
{
    recipe *self = p;
    questions_clear(&self->asked);
    return asking_run(&self->asking, document, sink, err);
}

static const hone_recipe ops = {
    .struct_size = sizeof ops,
    .create = queries_create,
    .destroy = queries_destroy,
    .process = queries_process,
};

static const hone_component queries = {
    .struct_size = sizeof queries,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_RECIPE,
    .name = "queries",
    .summary = "questions by the model, each held against its chunk by a quote",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &queries };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.queries",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.queries", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_RECIPE, "queries", ""));
HONE_PLUGIN_ENTRY(&plugin)
