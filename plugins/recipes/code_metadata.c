/*
 * code_metadata.c - what a function says of itself is the instruction, its code is what is learned.
 *
 * The instruction has the language, the signature, the documentation and the comments in the body.
 * The answer is the function without its documentation, which would only be repeated. Functions in
 * functions go with the outer one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "code_parts.h"

#include <string.h>

typedef struct config {
    int64_t tokens, characters, min_lines;
    bool comments, undocumented;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_I64(config, tokens, 16, 1 << 20, "1024", "largest sample, in tokens: larger functions are left out"),
    HONE_ROW_I64(config, min_lines, 1, 10000, "3", "a shorter function, in lines, is left out"),
    HONE_ROW_BOOL(config, comments, "true", "comments in the body are part of the instruction"),
    HONE_ROW_BOOL(config, undocumented, "true", "functions without documentation and comments too: by their signature"),
    HONE_ROW_I64(config, characters, 0, 1 << 20, "0", "largest sample, in characters instead of tokens; 0: tokens"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct recipe {
    const hone_host *host; /* borrowed */
    config config;
    meter meter;
    uint64_t budget;
    hone_text question, answer;
} recipe;

static void metadata_destroy(void *p)
{
    recipe *self = p;
    if (!self)
        return;
    hone_text_finish(&self->question);
    hone_text_finish(&self->answer);
    self->host->free(self->host, self);
}

static hone_status metadata_create(const hone_host *host, const void *cfg, void **out,
                                   hone_error *err)
{
    recipe *self = host->alloc(host, sizeof *self, _Alignof(recipe), "code-metadata");
    const hone_text text = { .host = host, .tag = "code-metadata" };
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "code-metadata: no memory");
    *self =
        (recipe){ .host = host, .config = *(const config *)cfg, .question = text, .answer = text };
    self->budget =
        (uint64_t)(self->config.characters ? self->config.characters : self->config.tokens);
    const hone_status st =
        meter_init(&self->meter, host, "code-metadata", self->config.characters, err);
    if (st != HONE_OK) {
        metadata_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

static void put(hone_text *out, const char *head, hone_str s, const char *tail)
{
    hone_text_puts(out, head);
    hone_text_add(out, s.p, s.n);
    hone_text_puts(out, tail);
}

/* true: it has words of people. */
static bool put_question(recipe *self, const hone_document *d, uint64_t i)
{
    static const char *const kinds[] = { "function", "method", "property" };
    const hone_unit *u = &d->units[i];
    const char *kind = kinds[u->kind == HONE_UNIT_PROPERTY ? 2
                             : u->kind == HONE_UNIT_METHOD ? 1
                                                           : 0];
    hone_text *q = &self->question;
    bool words = u->doc.n > 0, comments = false;
    hone_text_clear(q);
    put(q, "Write the ", d->language, " ");
    put(q, kind, (hone_str){ " `", 2 }, "");
    put(q, "", u->name, "`");
    if (u->scope.n)
        put(q, " of `", u->scope, "`");
    put(q, ".\n\n", u->signature, "\n");
    if (u->doc.n)
        put(q, "\n", u->doc, "\n");
    for (uint64_t k = i + 1; k < d->n_units && d->units[k].start < u->end; k++) {
        const hone_unit *c = &d->units[k];
        if (!self->config.comments || c->kind != HONE_UNIT_COMMENT || c->start < u->body ||
            (c->parent == i + 1 && (c->flags & HONE_UNIT_DOC)) || !c->doc.n)
            continue;
        if (!comments)
            hone_text_puts(q, "\nComments in it:\n");
        comments = true;
        hone_text_puts(q, "- ");
        for (uint64_t b = 0; b < c->doc.n; b++)
            hone_text_putc(q, c->doc.p[b] == '\n' ? ' ' : c->doc.p[b]);
        hone_text_putc(q, '\n');
    }
    while (q->n && q->p && q->p[q->n - 1] == '\n')
        q->n--;
    return words || comments;
}

/* The code from its head on without documentation, moved to the left margin. */
static void put_answer(recipe *self, const hone_document *d, uint64_t i)
{
    const hone_unit *u = &d->units[i];
    const hone_str t = d->blocks[u->block].text;
    uint64_t column = 0, at = u->head, k = i + 1;
    while (u->head > column &&
           (t.p[u->head - column - 1] == ' ' || t.p[u->head - column - 1] == '\t'))
        column++;
    hone_text_clear(&self->answer);
    while (at < u->end) {
        const hone_unit *c = NULL;
        for (; k < d->n_units && d->units[k].start < u->end && !c; k++)
            if (d->units[k].kind == HONE_UNIT_COMMENT && d->units[k].parent == i + 1 &&
                (d->units[k].flags & HONE_UNIT_DOC) && d->units[k].start >= at)
                c = &d->units[k];
        uint64_t to = c ? c->start : u->end;
        while (at < to) {
            const bool line_end = t.p[at] == '\n';
            hone_text_putc(&self->answer, t.p[at++]);
            for (uint64_t n = 0; line_end && n < column && at < to && strchr(" \t", t.p[at]); n++)
                at++;
        }
        if (!c)
            break;
        at = c->end;
        hone_text *a = &self->answer; /* with the line it stood on */
        while (a->n && a->p && (a->p[a->n - 1] == ' ' || a->p[a->n - 1] == '\t'))
            a->n--;
        while (at < u->end && (t.p[at] == ' ' || t.p[at] == ';'))
            at++;
        if (a->n && a->p && a->p[a->n - 1] == '\n' && at < u->end && t.p[at] == '\n') {
            at++;
            for (uint64_t n = 0; n < column && at < u->end && (t.p[at] == ' ' || t.p[at] == '\t');
                 n++)
                at++;
        }
    }
    while (self->answer.n && self->answer.p && strchr(" \t\n", self->answer.p[self->answer.n - 1]))
        self->answer.n--;
}

static uint64_t lines_of(hone_str s)
{
    uint64_t n = 1;
    for (uint64_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

static hone_status add_function(recipe *self, const hone_document *d, uint64_t i,
                                const hone_sample_sink *sink, hone_error *err)
{
    const hone_unit *u = &d->units[i];
    const hone_block *b = &d->blocks[u->block];
    uint64_t q = 0, a = 0;
    const bool words = put_question(self, d, i);
    put_answer(self, d, i);
    hone_status st = hone_text_status(&self->question, err);
    if (st == HONE_OK)
        st = hone_text_status(&self->answer, err);
    if (st != HONE_OK)
        return st;
    hone_segment s[2] = {
        { .role = HONE_ROLE_USER, .text = hone_text_str(&self->question) },
        { .role = HONE_ROLE_ASSISTANT, .loss_weight = 1, .text = hone_text_str(&self->answer) },
    };
    if (lines_of(s[1].text) < (uint64_t)self->config.min_lines) {
        sink->lost(sink, u->end - u->start, "functions of fewer lines than min_lines");
        return HONE_OK;
    }
    if (!words && !self->config.undocumented) {
        sink->lost(sink, u->end - u->start, "functions without documentation and comments");
        return HONE_OK;
    }
    if ((st = meter_count(&self->meter, s[0].text, &q, err)) != HONE_OK ||
        (st = meter_count(&self->meter, s[1].text, &a, err)) != HONE_OK)
        return st;
    if (q + a > self->budget) {
        sink->lost(sink, u->end - u->start, "functions larger than a sample");
        return HONE_OK;
    }
    set_source(&s[0], b, u->start, u->body, u);
    set_source(&s[1], b, u->head, u->end, u);
    return sink->add(sink, s, 2, err);
}

static hone_status metadata_process(void *p, const hone_document *d, const hone_sample_sink *sink,
                                    hone_error *err)
{
    recipe *self = p;
    uint64_t all = 0, used = 0;
    hone_status st = HONE_OK;
    for (uint64_t i = 0; i < d->n_blocks; i++)
        all += d->blocks[i].text.n;
    for (uint64_t i = 0; i < d->n_units && st == HONE_OK; i++) {
        const hone_unit *u = &d->units[i];
        if (!is_whole_function(d, i))
            continue;
        used += u->end - u->start;
        if (self->host->cancelled(self->host))
            return hone_fail(err, HONE_ERR_CANCELLED, "code-metadata: stopped");
        st = add_function(self, d, i, sink, err);
    }
    if (st == HONE_OK && all > used)
        sink->lost(sink, all - used,
                   d->language.n ? "code outside of functions" : "no source code");
    return st;
}

static const hone_recipe ops = {
    .struct_size = sizeof ops,
    .create = metadata_create,
    .destroy = metadata_destroy,
    .process = metadata_process,
};

static const hone_component metadata = {
    .struct_size = sizeof metadata,
    .flags = HONE_COMPONENT_DETERMINISTIC | HONE_COMPONENT_CODE,
    .kind = HONE_KIND_RECIPE,
    .name = "code-metadata",
    .summary = "signature, documentation and comments of a function are the instruction, its code "
               "the answer",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &metadata };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.code-metadata",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.code-metadata", "1.0.0", 1,
                 HONE_NOTE_ROW(HONE_KIND_RECIPE, "code-metadata", ""));
HONE_PLUGIN_ENTRY(&plugin)
