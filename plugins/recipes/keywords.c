/*
 * keywords.c - chunks as answers to their own keywords: the top phrases by RAKE (rake.h) are the
 * instruction, the chunk is what is learned.
 *
 * A chunk that goes on where the one before was cut repeats nothing by default: its keywords
 * would be asked for twice. Markdown's marks at the start of lines are no words; every block
 * is a sentence at least, and sentences are found as sentence.h says. Option `sentences` gives
 * the text as it stands instead, for those who compare with another RAKE.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>

#include "question.h"
#include "rake.h"
#include "split.h"
#include "stopwords.h"

#define SENTENCES_AUTO 0
#define SENTENCES_LINES 1

#define MAX_LIST_BYTES (1 << 20) /* of a file of stop words */

typedef struct config {
    int64_t count, tokens, characters, metric, min_words, max_words, language, punctuation,
        sentences;
    double overlap;
    const char *stop_words, *question, *separator;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_I64(config, count, 1, 1000, "5", "phrases in an instruction, at most"),
    HONE_ROW_I64(config, tokens, SPLIT_MIN_BUDGET, SPLIT_MAX_BUDGET, "256", "largest answer, in tokens"),
    HONE_ROW_F64(config, overlap, 0, 0.5, "0", "share of an answer that repeats the end of the one before"),
    HONE_ROW_STRING(config, question, "%s", "the instruction; %s stands for the phrases, %% for a percent sign"),
    HONE_ROW_STRING(config, separator, ", ", "what stands between two phrases"),
    HONE_ROW_ENUM(config, metric, "ratio|degree|frequency", "ratio",
                  "a word's score: degree/frequency, degree, frequency"),
    HONE_ROW_I64(config, min_words, 1, 1000, "1", "words of a phrase, at least"),
    HONE_ROW_I64(config, max_words, 0, 100000, "5", "words of a phrase, at most; longer ones are no phrases; 0: any number"),
    HONE_ROW_ENUM(config, language, STOPWORD_LANGUAGES, "english", "whose stop words end a phrase"),
    HONE_ROW_PATH(config, stop_words, NULL, "file of stop words instead, one a line, in lower case"),
    HONE_ROW_ENUM(config, punctuation, "single|all", "single",
                  "single: \".\" ends a phrase and \"...\" is a word, as in rake-nltk; all: every run of punctuation ends one"),
    HONE_ROW_ENUM(config, sentences, "auto|lines|none", "auto",
                  "what no phrase goes beyond: sentences and blocks, lines, or nothing"),
    HONE_ROW_I64(config, characters, 0, SPLIT_MAX_BUDGET, "0",
                 "largest answer, in characters instead of tokens; 0: tokens"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct recipe {
    const hone_host *host; /* borrowed */
    const config *c;       /* borrowed */
    splitter splitter;
    rake rake;
    hone_text question, phrases, sentence;
    const hone_sample_sink *sink; /* borrowed while a document is at hand */
} recipe;

static void keywords_destroy(void *p)
{
    recipe *self = p;
    if (!self)
        return;
    splitter_finish(&self->splitter);
    rake_finish(&self->rake);
    hone_text_finish(&self->question);
    hone_text_finish(&self->phrases);
    hone_text_finish(&self->sentence);
    self->host->free(self->host, self);
}

static hone_status add_words(rake *r, hone_str list, hone_error *err)
{
    hone_status st = HONE_OK;
    for (uint64_t i = 0; i < list.n && st == HONE_OK;) {
        uint64_t n = 0;
        while (i < list.n && is_space(list.p[i]))
            i++;
        while (i + n < list.n && !is_space(list.p[i + n]))
            n++;
        st = rake_stop(r, (hone_str){ list.p + i, n }, err);
        i += n;
    }
    return st;
}

static hone_status read_words(recipe *self, const char *path, hone_error *err)
{
    char part[4096];
    size_t n;
    hone_status st = HONE_OK;
    hone_text *t = &self->sentence;
    FILE *f = fopen(path, "rb");
    if (!f)
        return hone_fail(err, errno == ENOENT ? HONE_ERR_NOTFOUND : HONE_ERR_IO,
                         "keywords: stop_words: cannot read %s: %s", path, strerror(errno));
    while ((n = fread(part, 1, sizeof part, f)) > 0 && t->n <= MAX_LIST_BYTES)
        hone_text_add(t, part, n);
    if (ferror(f))
        st = hone_fail(err, HONE_ERR_IO, "keywords: stop_words: cannot read %s", path);
    else if (t->n > MAX_LIST_BYTES)
        st = hone_fail(err, HONE_ERR_LIMIT,
                       "keywords: stop_words: %s has more than %d bytes; expected one word a line",
                       path, MAX_LIST_BYTES);
    (void)fclose(f);
    if (st == HONE_OK)
        st = hone_text_status(t, err);
    if (st == HONE_OK)
        st = add_words(&self->rake, hone_text_str(t), err);
    hone_text_clear(t);
    return st;
}

static hone_status keywords_create(const hone_host *host, const void *cfg, void **out,
                                   hone_error *err)
{
    const config *c = cfg;
    recipe *self;
    hone_status st = question_check("keywords", c->question, "keywords", err);
    if (st != HONE_OK)
        return st;
    if (c->max_words && c->max_words < c->min_words)
        return hone_fail(err, HONE_ERR_ARG,
                         "keywords: max_words is %lld, less than min_words, %lld",
                         (long long)c->max_words, (long long)c->min_words);
    self = host->alloc(host, sizeof *self, _Alignof(recipe), "keywords");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "keywords: no memory");
    const hone_text text = { .host = host, .tag = "keywords" };
    *self = (recipe){ .host = host, .c = c, .question = text, .phrases = text, .sentence = text };
    rake_init(&self->rake, host, "keywords");
    self->rake.min_words = (uint64_t)c->min_words;
    self->rake.max_words = c->max_words ? (uint64_t)c->max_words : UINT64_MAX;
    self->rake.all_punctuation = c->punctuation == 1;
    st =
        splitter_init(&self->splitter, host, "keywords", c->tokens, c->characters, c->overlap, err);
    self->splitter.fences = true;
    if (st == HONE_OK)
        st = c->stop_words ? read_words(self, c->stop_words, err)
                           : add_words(&self->rake, hone_s(stopword_lists[c->language]), err);
    if (st != HONE_OK) {
        keywords_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

/* -------------------------------------------------------------------- sentences */

/* Bytes of the marks that a line of Markdown begins with: "## ", "> ", "- ", "12. "; all of a
 * fence. */
static uint64_t line_marks(hone_str line)
{
    uint64_t i = 0, k;
    if (line.n >= 3 && memcmp(line.p, "```", 3) == 0)
        return line.n;
    while (i < line.n && line.p[i] == ' ')
        i++;
    for (k = i; k < line.n && line.p[k] == '#'; k++)
        ;
    while (k == i && k < line.n && line.p[k] >= '0' && line.p[k] <= '9')
        k++;
    if (k > i && k < line.n && line.p[i] != '#')
        k = line.p[k] == '.' ? k + 1 : i;
    if (k == i && k < line.n && (line.p[k] == '-' || line.p[k] == '>'))
        k++;
    return k > i && k < line.n && line.p[k] == ' ' ? k + 1 : i;
}

static hone_str next_line(hone_str *rest)
{
    const char *nl = memchr(rest->p, '\n', rest->n);
    const hone_str line = { rest->p, nl ? (uint64_t)(nl - rest->p) : rest->n };
    rest->p += line.n + (nl != NULL);
    rest->n -= line.n + (nl != NULL);
    return line;
}

static hone_status end_block(recipe *self, hone_error *err)
{
    const hone_str t = hone_text_str(&self->sentence);
    hone_status st = hone_text_status(&self->sentence, err);
    for (uint64_t at = 0; at < t.n && st == HONE_OK;) {
        const uint64_t end = sentence_end(t, at);
        st = rake_sentence(&self->rake, (hone_str){ t.p + at, end - at }, err);
        at = end;
    }
    hone_text_clear(&self->sentence);
    return st;
}

/* Lines of a paragraph run on; a mark or a blank line begins another block. */
static hone_status take_blocks(recipe *self, hone_str text, hone_error *err)
{
    hone_status st = HONE_OK;
    while (text.n && st == HONE_OK) {
        const hone_str line = next_line(&text);
        const uint64_t marks = line_marks(line);
        if (marks || !line.n)
            st = end_block(self, err);
        hone_text_add(&self->sentence, line.p + marks, line.n - marks);
        hone_text_putc(&self->sentence, '\n');
        if (st == HONE_OK && marks && line.p[0] == '#') /* a heading ends with its line */
            st = end_block(self, err);
    }
    return st == HONE_OK ? end_block(self, err) : st;
}

static hone_status take_text(recipe *self, hone_str text, hone_error *err)
{
    hone_status st = HONE_OK;
    rake_begin(&self->rake);
    if (self->c->sentences == SENTENCES_AUTO)
        return take_blocks(self, text, err);
    if (self->c->sentences != SENTENCES_LINES)
        return rake_sentence(&self->rake, text, err);
    while (text.n && st == HONE_OK)
        st = rake_sentence(&self->rake, next_line(&text), err);
    return st;
}

/* ---------------------------------------------------------------------- samples */

static hone_status add_chunk(void *ctx, const piece *p, hone_error *err)
{
    recipe *self = ctx;
    const rake_phrase *last = NULL;
    int64_t n = 0;
    hone_status st = take_text(self, p->text, err);
    if (st == HONE_OK)
        st = rake_rank(&self->rake, self->c->metric, err);
    if (st != HONE_OK)
        return st;
    hone_text_clear(&self->phrases);
    for (uint64_t i = 0; i < self->rake.n_phrases && n < self->c->count; i++) {
        const rake_phrase *x = &self->rake.phrases[i]; /* the same ones stand together */
        if (last && last->n == x->n && memcmp(last->text, x->text, x->n) == 0)
            continue;
        hone_text_puts(&self->phrases, n++ ? self->c->separator : "");
        hone_text_add(&self->phrases, x->text, x->n);
        last = x;
    }
    if (!n) {
        self->sink->lost(self->sink, p->new_bytes, "chunks without a keyword");
        return HONE_OK;
    }
    hone_text_clear(&self->question);
    question_put(&self->question, self->c->question, hone_text_str(&self->phrases));
    if ((st = hone_text_status(&self->question, err)) != HONE_OK ||
        (st = hone_text_status(&self->phrases, err)) != HONE_OK)
        return st;
    const hone_segment segments[] = {
        { .role = HONE_ROLE_USER,
          .text = hone_text_str(&self->question),
          .src_off = p->src_off,
          .src_len = p->src_len },
        { .role = HONE_ROLE_ASSISTANT,
          .loss_weight = 1,
          .text = p->text,
          .src_off = p->src_off,
          .src_len = p->src_len },
    };
    return self->sink->add(self->sink, segments, 2, err);
}

static void lose(void *ctx, uint64_t bytes, const char *why)
{
    const recipe *self = ctx;
    self->sink->lost(self->sink, bytes, why);
}

static hone_status keywords_process(void *p, const hone_document *document,
                                    const hone_sample_sink *sink, hone_error *err)
{
    recipe *self = p;
    const piece_sink pieces = { self, add_chunk, lose };
    self->sink = sink;
    return splitter_run(&self->splitter, document->blocks, document->n_blocks, &pieces, err);
}

static const hone_recipe ops = {
    .struct_size = sizeof ops,
    .create = keywords_create,
    .destroy = keywords_destroy,
    .process = keywords_process,
};

static const hone_component keywords = {
    .struct_size = sizeof keywords,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_RECIPE,
    .name = "keywords",
    .summary = "a chunk's key phrases (RAKE) as question, the chunk as answer",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &keywords };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.keywords",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.keywords", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_RECIPE, "keywords", ""));
HONE_PLUGIN_ENTRY(&plugin)
