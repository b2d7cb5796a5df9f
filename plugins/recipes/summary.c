/*
 * summary.c - a chunk and what the model sums it up as: the summary is the instruction, the chunk is
 * learned, or the other way round.
 *
 * A summary that was cut, says nothing or is no shorter than its chunk is dropped and counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "asking.h"
#include "question.h"

#define LEARN_CHUNK 0

typedef struct config {
    int64_t sentences, tokens, characters, learn, answer_tokens;
    double overlap;
    bool headings;
    const char *prompt, *question;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_I64(config, sentences, 1, 50, "3", "sentences of a summary, at most; {{count}} in the prompt"),
    HONE_ROW_I64(config, tokens, SPLIT_MIN_BUDGET, SPLIT_MAX_BUDGET, "384", "largest chunk, in tokens"),
    HONE_ROW_F64(config, overlap, 0, 0.5, "0", "share of a chunk that repeats the end of the one before"),
    HONE_ROW_BOOL(config, headings, "true", "begin a chunk with the headings above it, which count"),
    HONE_ROW_ENUM(config, learn, "chunk|summary", "chunk",
                  "what is learned; the other one is the instruction"),
    HONE_ROW_STRING(config, question, "%s", "the instruction; %s stands for the one that is not learned, %% for a percent sign"),
    HONE_ROW_I64(config, answer_tokens, 0, 100000, "0", "longest answer of the model, in tokens; 0: 60 for each sentence"),
    HONE_ROW_PATH(config, prompt, NULL, "file of the prompt instead of the recipe's own: {{text}}, {{count}}, {{title}}"),
    HONE_ROW_I64(config, characters, 0, SPLIT_MAX_BUDGET, "0", "largest chunk, in characters instead of tokens; 0: tokens"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct recipe {
    const config *c; /* borrowed */
    asking asking;
    hone_text instruction;
} recipe;

static void summary_destroy(void *p)
{
    recipe *self = p;
    if (!self)
        return;
    const hone_host *host = self->asking.host;
    asking_finish(&self->asking);
    hone_text_finish(&self->instruction);
    host->free(host, self);
}

static hone_status take(void *ctx, const asked_chunk *c, const hone_answer *a, hone_error *err)
{
    recipe *self = ctx;
    const hone_str summary = trim_space(a->text);
    const bool learn_chunk = self->c->learn == LEARN_CHUNK;
    const char *why = NULL;
    if (a->end == HONE_ANSWER_LENGTH)
        why = "summaries cut at the longest answer";
    else if (!summary.n)
        why = "summaries without words";
    else if (summary.n >= c->text.n)
        why = "summaries no shorter than their chunk";
    if (why) {
        asking_drop(&self->asking, 1, why);
        self->asking.sink->lost(self->asking.sink, c->new_bytes, "chunks without a summary");
        return HONE_OK;
    }
    hone_text_clear(&self->instruction);
    question_put(&self->instruction, self->c->question, learn_chunk ? summary : c->text);
    const hone_status st = hone_text_status(&self->instruction, err);
    return st == HONE_OK ? asking_pair(&self->asking, c, hone_text_str(&self->instruction),
                                       learn_chunk ? c->text : summary, err)
                         : st;
}

static hone_status summary_create(const hone_host *host, const void *cfg, void **out,
                                  hone_error *err)
{
    static const char *const names[] = { "text", "count", "title", NULL };
    const config *c = cfg;
    hone_status st = question_check("summary", c->question, "summary, or the chunk", err);
    if (st != HONE_OK)
        return st;
    recipe *self = host->alloc(host, sizeof *self, _Alignof(recipe), "summary");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "summary: no memory");
    const hone_text text = { .host = host, .tag = "summary" };
    *self =
        (recipe){ .c = c,
                  .asking = { .host = host,
                              .name = "summary",
                              .max_tokens = c->answer_tokens ? c->answer_tokens : 60 * c->sentences,
                              .title = text,
                              .take = take,
                              .ctx = self },
                  .instruction = text };
    (void)snprintf(self->asking.count, sizeof self->asking.count, "%lld", (long long)c->sentences);
    st = prompt_init(&self->asking.prompt, host, "summary", c->prompt, prompt_words, names, err);
    if (st == HONE_OK)
        st = splitter_init(&self->asking.splitter, host, "summary", c->tokens, c->characters,
                           c->overlap, err);
    self->asking.splitter.fences = true;
    self->asking.splitter.path = c->headings;
    if (st != HONE_OK) {
        summary_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

static hone_status summary_process(void *p, const hone_document *document,
                                   const hone_sample_sink *sink, hone_error *err)
{
    recipe *self = p;
    return asking_run(&self->asking, document, sink, err);
}

static const hone_recipe ops = {
    .struct_size = sizeof ops,
    .create = summary_create,
    .destroy = summary_destroy,
    .process = summary_process,
};

static const hone_component summary = {
    .struct_size = sizeof summary,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_RECIPE,
    .name = "summary",
    .summary = "a chunk with the model's summary of it as instruction",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &summary };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.summary",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.summary", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_RECIPE, "summary", ""));
HONE_PLUGIN_ENTRY(&plugin)
