/*
 * headings.c - sections as question and answer: the headings above are the instruction, the text
 * below is what is learned.
 *
 * A heading that ends in a question mark is a question and stands alone; other headings are
 * only clear together with those above them ("Linux > Install > Packages"), beginning with the
 * document's title unless the first of them says it. Text before the first heading answers the
 * title, or the document's name without folder and extension when it has none.
 *
 * A heading is reported as lost when neither it nor a heading below it that names it has text. A
 * "heading" of more than SPLIT_MAX_HEADING bytes is a reader's mistake, taken as a paragraph; a
 * title of that size is none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "question.h"
#include "split.h"

#define PATH_AUTO 0
#define PATH_FULL 1

typedef struct config {
    int64_t tokens, characters, path;
    const char *question;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_I64(config, tokens, SPLIT_MIN_BUDGET, SPLIT_MAX_BUDGET, "384",
                 "largest answer, in tokens; longer sections become several, \"(part 2)\" and so on"),
    HONE_ROW_ENUM(config, path, "auto|full|last", "auto",
                  "headings in the question: full (\"Title > A > B\"), last, auto (last if it ends in \"?\", else full)"),
    HONE_ROW_STRING(config, question, "%s", "the question; %s stands for the headings, %% for a percent sign"),
    HONE_ROW_I64(config, characters, 0, SPLIT_MAX_BUDGET, "0",
                 "largest answer, in characters instead of tokens; 0: tokens"),
    HONE_OPTIONS_END,
};
/* clang-format on */

/* A heading above the place that is read. */
typedef struct heading {
    hone_str text; /* borrowed, trimmed */
    uint64_t src_off, src_len, bytes;
    uint32_t level;
    bool used; /* some sample holds it */
} heading;

typedef struct recipe {
    const hone_host *host; /* borrowed */
    const char *question;  /* borrowed */
    int64_t path;
    splitter splitter;
    hone_text text; /* the question */
    heading stack[SPLIT_LEVELS];
    uint32_t n_stack;
} recipe;

/* A section while its pieces come. */
typedef struct section {
    recipe *self;
    const hone_sample_sink *sink; /* borrowed */
    uint64_t n_question;          /* bytes of self->text, without "(part 2)" */
    uint64_t src_off, src_len;    /* of the question */
    bool full;                    /* all headings are in the question ...  */
    uint32_t first;               /* ... or those of the stack from here on */
    uint64_t part;
} section;

static void headings_destroy(void *p)
{
    recipe *self = p;
    if (!self)
        return;
    splitter_finish(&self->splitter);
    hone_text_finish(&self->text);
    self->host->free(self->host, self);
}

static hone_status headings_create(const hone_host *host, const void *cfg, void **out,
                                   hone_error *err)
{
    const config *c = cfg;
    recipe *self = NULL;
    hone_status st = question_check("headings", c->question, "headings", err);
    if (st != HONE_OK)
        return st;
    self = host->alloc(host, sizeof *self, _Alignof(recipe), "headings");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "headings: no memory");
    *self = (recipe){ .host = host,
                      .question = c->question,
                      .path = c->path,
                      .text = { .host = host, .tag = "headings" } };
    st = splitter_init(&self->splitter, host, "headings", c->tokens, c->characters, 0, err);
    if (st != HONE_OK) {
        headings_destroy(self);
        return st;
    }
    self->splitter.fences = true;
    *out = self;
    return HONE_OK;
}

static hone_str trim(hone_str s)
{
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    while (s.n && is_space(*s.p))
        s.p++, s.n--;
    return s;
}

static bool is_question(hone_str s)
{
    return (s.n && s.p[s.n - 1] == '?') ||
           (s.n >= 3 && memcmp(s.p + s.n - 3, "\xef\xbc\x9f", 3) == 0);
}

/* On one line: white space inside is a space. */
static void put_line(hone_text *out, hone_str s)
{
    for (uint64_t i = 0; i < s.n; i++) {
        if (!is_space(s.p[i]))
            hone_text_putc(out, s.p[i]);
        else if (!is_space(s.p[i - 1]))
            hone_text_putc(out, ' ');
    }
}

/* "docs/install.md": "install" */
static hone_str stem(hone_str name)
{
    uint64_t n;
    for (n = name.n; n && name.p[n - 1] != '/'; n--)
        ;
    name.p += n;
    name.n -= n;
    for (n = name.n; n > 1; n--)
        if (name.p[n - 1] == '.')
            return (hone_str){ name.p, n - 1 };
    return name;
}

/* Does the heading say the title, or the title begin with the heading ("Install - the manual")? */
static bool says(hone_str head, hone_str title)
{
    const unsigned char next = head.n < title.n ? (unsigned char)title.p[head.n] : ' ';
    for (uint64_t i = 0; head.n >= title.n && i <= head.n - title.n; i++)
        if (memcmp(head.p + i, title.p, title.n) == 0)
            return true;
    return head.n <= title.n && memcmp(head.p, title.p, head.n) == 0 && next < 0x80 &&
           !(next >= '0' && next <= '9') && !((next | 32) >= 'a' && (next | 32) <= 'z');
}

/* What the question is about: headings, or the document. */
static void put_subject(const section *s, const hone_document *document)
{
    const recipe *self = s->self;
    hone_text *out = &s->self->text;
    hone_str title = trim(document->title);
    if (title.n > SPLIT_MAX_HEADING)
        title.n = 0;
    if (!self->n_stack && !title.n)
        title = trim(stem(document->name));
    if (!self->n_stack || (s->full && title.n && !says(self->stack[0].text, title))) {
        put_line(out, title);
        hone_text_puts(out, self->n_stack ? " > " : "");
    }
    for (uint32_t i = s->first; i < self->n_stack; i++) {
        hone_text_puts(out, i > s->first ? " > " : "");
        put_line(out, self->stack[i].text);
    }
}

static void put_question(section *s, const hone_document *document)
{
    recipe *self = s->self;
    const heading *last = self->n_stack ? &self->stack[self->n_stack - 1] : NULL;
    s->full =
        self->path == PATH_FULL || (self->path == PATH_AUTO && last && !is_question(last->text));
    s->first = s->full || !last ? 0 : self->n_stack - 1;
    hone_text_clear(&self->text);
    for (const char *p = self->question; *p; p++) {
        if (*p != '%')
            hone_text_putc(&self->text, *p);
        else if (*++p == '%')
            hone_text_putc(&self->text, '%');
        else
            put_subject(s, document);
    }
    s->n_question = self->text.n;
    if (last) {
        s->src_off = last->src_off;
        s->src_len = last->src_len;
    }
}

static hone_status add_answer(void *ctx, const piece *p, hone_error *err)
{
    section *s = ctx;
    recipe *self = s->self;
    char part[40];
    hone_status st;
    self->text.n = s->n_question;
    if (++s->part > 1) {
        (void)snprintf(part, sizeof part, " (part %llu)", (unsigned long long)s->part);
        hone_text_puts(&self->text, part);
    }
    st = hone_text_status(&self->text, err);
    if (st != HONE_OK)
        return st;
    const hone_segment turns[] = {
        { .role = HONE_ROLE_USER,
          .text = hone_text_str(&self->text),
          .src_off = s->src_off,
          .src_len = s->src_len },
        { .role = HONE_ROLE_ASSISTANT,
          .loss_weight = 1,
          .text = p->text,
          .src_off = p->src_off,
          .src_len = p->src_len },
    };
    for (uint32_t i = s->first; i < self->n_stack; i++)
        self->stack[i].used = true;
    return s->sink->add(s->sink, turns, sizeof turns / sizeof *turns, err);
}

static void lose(void *ctx, uint64_t bytes, const char *why)
{
    const section *s = ctx;
    s->sink->lost(s->sink, bytes, why);
}

/* Headings of `level` and deeper end. */
static void pop(recipe *self, uint32_t level, const hone_sample_sink *sink)
{
    while (self->n_stack && self->stack[self->n_stack - 1].level >= level) {
        const heading *h = &self->stack[--self->n_stack];
        if (!h->used)
            sink->lost(sink, h->bytes, "heading without text");
    }
}

static bool is_heading(const hone_block *b)
{
    return b->kind == HONE_BLOCK_HEADING && b->level >= 1 && b->level <= SPLIT_LEVELS &&
           b->text.n <= SPLIT_MAX_HEADING && trim(b->text).n > 0;
}

static hone_status headings_process(void *p, const hone_document *document,
                                    const hone_sample_sink *sink, hone_error *err)
{
    recipe *self = p;
    hone_status st = HONE_OK;
    self->n_stack = 0;
    for (uint64_t i = 0, end; st == HONE_OK && i < document->n_blocks; i = end) {
        const hone_block *b = &document->blocks[i];
        section s = { .self = self, .sink = sink };
        const piece_sink pieces = { &s, add_answer, lose };
        end = i + 1;
        if (is_heading(b)) {
            pop(self, b->level, sink);
            self->stack[self->n_stack++] = (heading){ .text = trim(b->text),
                                                      .src_off = b->src_off,
                                                      .src_len = b->src_len,
                                                      .bytes = b->text.n,
                                                      .level = b->level };
            continue;
        }
        while (end < document->n_blocks && !is_heading(&document->blocks[end]))
            end++;
        put_question(&s, document);
        st = splitter_run(&self->splitter, b, end - i, &pieces, err);
    }
    if (st == HONE_OK)
        pop(self, 0, sink);
    return st;
}

static const hone_recipe ops = {
    .struct_size = sizeof ops,
    .create = headings_create,
    .destroy = headings_destroy,
    .process = headings_process,
};

static const hone_component headings = {
    .struct_size = sizeof headings,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_RECIPE,
    .name = "headings",
    .summary = "question and answer: headings ask, the section below answers",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &headings };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.headings",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.headings", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_RECIPE, "headings", ""));
HONE_PLUGIN_ENTRY(&plugin)
