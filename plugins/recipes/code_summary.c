/*
 * code_summary.c - functions with the model's description as instruction; what is learned is the
 * code.
 *
 * Functions and methods are those the reader of source code found; one inside another is part of it. In
 * other documents the blocks of code are taken as they are. What is no function, too large, too small or
 * did not parse is reported, and so are descriptions that were cut, say nothing or quote code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "asking.h"
#include "question.h"

typedef struct config {
    int64_t sentences, tokens, min_tokens, answer_tokens;
    bool comments;
    const char *prompt, *question;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_I64(config, sentences, 1, 50, "8", "sentences of a description, at most; {{count}} in the prompt"),
    HONE_ROW_I64(config, tokens, SPLIT_MIN_BUDGET, SPLIT_MAX_BUDGET, "1024", "largest function, in tokens; larger ones are left out and reported"),
    HONE_ROW_I64(config, min_tokens, 1, SPLIT_MAX_BUDGET, "24", "smallest function, in tokens"),
    HONE_ROW_BOOL(config, comments, "false", "learn the comment in front of a function too"),
    HONE_ROW_STRING(config, question, "%s", "the instruction; %s stands for the description, %% for a percent sign"),
    HONE_ROW_I64(config, answer_tokens, 0, 100000, "0", "longest answer of the model, in tokens; 0: 40 for each sentence"),
    HONE_ROW_PATH(config, prompt, NULL,
                  "file of the prompt instead of the recipe's own: {{text}}, {{count}}, {{title}}, {{name}}, {{language}}"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct recipe {
    const config *c; /* borrowed */
    asking asking;
    hone_text instruction, label;
} recipe;

static void code_summary_destroy(void *p)
{
    recipe *self = p;
    if (!self)
        return;
    const hone_host *host = self->asking.host;
    asking_finish(&self->asking);
    hone_text_finish(&self->instruction);
    hone_text_finish(&self->label);
    host->free(host, self);
}

static hone_status take(void *ctx, const asked_chunk *c, const hone_answer *a, hone_error *err)
{
    recipe *self = ctx;
    const hone_str words = trim_space(a->text);
    const char *why = NULL;
    if (a->end == HONE_ANSWER_LENGTH)
        why = "descriptions cut at the longest answer";
    else if (!words.n)
        why = "descriptions without words";
    else if (memmem(words.p, words.n, "```", 3))
        why = "descriptions that quote code";
    if (why) {
        asking_drop(&self->asking, 1, why);
        self->asking.sink->lost(self->asking.sink, c->new_bytes, "functions without a description");
        return HONE_OK;
    }
    hone_text_clear(&self->instruction);
    question_put(&self->instruction, self->c->question, words);
    const hone_status st = hone_text_status(&self->instruction, err);
    return st == HONE_OK
               ? asking_pair(&self->asking, c, hone_text_str(&self->instruction), c->text, err)
               : st;
}

static hone_status code_summary_create(const hone_host *host, const void *cfg, void **out,
                                       hone_error *err)
{
    static const char *const names[] = { "text", "count", "title", "name", "language", NULL };
    const config *c = cfg;
    hone_status st = question_check("code-summary", c->question, "description", err);
    if (st != HONE_OK)
        return st;
    recipe *self = host->alloc(host, sizeof *self, _Alignof(recipe), "code-summary");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "code-summary: no memory");
    const hone_text text = { .host = host, .tag = "code-summary" };
    *self =
        (recipe){ .c = c,
                  .asking = { .host = host,
                              .name = "code-summary",
                              .max_tokens = c->answer_tokens ? c->answer_tokens : 40 * c->sentences,
                              .title = text,
                              .take = take,
                              .ctx = self },
                  .instruction = text,
                  .label = text };
    (void)snprintf(self->asking.count, sizeof self->asking.count, "%lld", (long long)c->sentences);
    st = prompt_init(&self->asking.prompt, host, "code-summary", c->prompt, prompt_words, names,
                     err);
    if (st == HONE_OK) /* counts tokens, as elsewhere */
        st = splitter_init(&self->asking.splitter, host, "code-summary", c->tokens, 0, 0, err);
    if (st != HONE_OK) {
        code_summary_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

/* -------------------------------------------------------------------- functions */

/* Lines of code without what follows the last of them; its own indentation stays. */
static hone_str trim_end(hone_str s)
{
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

static hone_status ask(recipe *self, asked_chunk c, hone_str name, hone_str language,
                       hone_error *err)
{
    const hone_tokenizer_service *t = self->asking.splitter.tokenizer;
    c.text = trim_end(c.text);
    c.new_bytes = c.text.n;
    const int64_t n = t->count(t, c.text);
    if (n < 0)
        return hone_fail(err, HONE_ERR_NOMEM, "code-summary: no memory to count tokens");
    if (n < self->c->min_tokens || n > self->c->tokens) {
        self->asking.sink->lost(self->asking.sink, c.text.n,
                                n > self->c->tokens ? "functions larger than tokens"
                                                    : "functions smaller than min_tokens");
        return HONE_OK;
    }
    const prompt_value values[] = { { "text", c.text },
                                    { "title", hone_text_str(&self->asking.title) },
                                    { "count", hone_s(self->asking.count) },
                                    { "name", name.n ? name : hone_s("(without a name)") },
                                    { "language", language },
                                    { NULL, { NULL, 0 } } };
    return asking_add(&self->asking, &c, values, err);
}

static bool is_function(const hone_unit *u)
{
    return u->kind == HONE_UNIT_FUNCTION || u->kind == HONE_UNIT_METHOD;
}

static bool inside_function(const hone_document *d, const hone_unit *u)
{
    while (u->parent && u->parent <= d->n_units) {
        const hone_unit *above = &d->units[u->parent - 1];
        if (above >= u) /* a unit comes after the one that holds it */
            return true;
        u = above;
        if (is_function(u))
            return true;
    }
    return false;
}

static hone_status ask_unit(recipe *self, const hone_document *d, const hone_unit *u,
                            uint64_t *covered, hone_error *err)
{
    const hone_sample_sink *sink = self->asking.sink;
    if (u->block >= d->n_blocks || u->head > u->end || u->start > u->head ||
        u->end > d->blocks[u->block].text.n)
        return hone_fail(err, HONE_ERR_FORMAT, "code-summary: a function outside its block");
    const uint64_t start = self->c->comments ? u->start : u->head;
    if (!u->body_end)
        return HONE_OK; /* a declaration: with what is no function */
    *covered += u->end - u->start;
    if (u->flags & HONE_UNIT_BROKEN) {
        sink->lost(sink, u->end - u->start, "functions that did not parse");
        return HONE_OK;
    }
    hone_text_clear(&self->label);
    hone_text_add(&self->label, u->scope.p, u->scope.n);
    hone_text_puts(&self->label, u->scope.n ? "." : "");
    hone_text_add(&self->label, u->name.p, u->name.n);
    const hone_status st = hone_text_status(&self->label, err);
    const asked_chunk c = { .text = { d->blocks[u->block].text.p + start, u->end - start },
                            .src_off = u->src_off,
                            .src_len = u->src_len };
    return st == HONE_OK ? ask(self, c, hone_text_str(&self->label), d->language, err) : st;
}

static hone_status ask_units(recipe *self, const hone_document *d, hone_error *err)
{
    uint64_t covered = 0, all = 0;
    hone_status st = HONE_OK;
    for (uint64_t i = 0; i < d->n_units && st == HONE_OK; i++)
        if (is_function(&d->units[i]) && !inside_function(d, &d->units[i]))
            st = ask_unit(self, d, &d->units[i], &covered, err);
    for (uint64_t k = 0; k < d->n_blocks; k++)
        all += d->blocks[k].text.n;
    if (st == HONE_OK && all > covered)
        self->asking.sink->lost(self->asking.sink, all - covered, "code outside functions");
    return st;
}

static hone_status ask_blocks(recipe *self, const hone_document *d, hone_error *err)
{
    hone_status st = HONE_OK;
    uint64_t words = 0;
    for (uint64_t k = 0; k < d->n_blocks && st == HONE_OK; k++) {
        const hone_block *b = &d->blocks[k];
        const asked_chunk c = { .text = b->text, .src_off = b->src_off, .src_len = b->src_len };
        if (b->kind == HONE_BLOCK_CODE)
            st = ask(self, c, hone_s(""), b->lang, err);
        else
            words += b->text.n;
    }
    if (st == HONE_OK && words)
        self->asking.sink->lost(self->asking.sink, words, "text that is no code");
    return st;
}

static hone_status code_summary_process(void *p, const hone_document *document,
                                        const hone_sample_sink *sink, hone_error *err)
{
    recipe *self = p;
    asking_begin(&self->asking, document, sink);
    const bool units = HONE_HAS(document, n_units) && document->n_units;
    const hone_status st = units ? ask_units(self, document, err) : ask_blocks(self, document, err);
    return st == HONE_OK ? asking_end(&self->asking, err) : asking_stop(&self->asking, st);
}

static const hone_recipe ops = {
    .struct_size = sizeof ops,
    .create = code_summary_create,
    .destroy = code_summary_destroy,
    .process = code_summary_process,
};

static const hone_component code_summary = {
    .struct_size = sizeof code_summary,
    .flags = HONE_COMPONENT_DETERMINISTIC | HONE_COMPONENT_CODE,
    .kind = HONE_KIND_RECIPE,
    .name = "code-summary",
    .summary = "the model's description of a function as instruction, its code as answer",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &code_summary };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.code-summary",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.code-summary", "1.0.0", 1,
                 HONE_NOTE_ROW(HONE_KIND_RECIPE, "code-summary", ""));
HONE_PLUGIN_ENTRY(&plugin)
