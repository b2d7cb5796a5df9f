/*
 * code_fim.c - fill in the middle: some lines of a function are to be written from what stands before
 * and after them in the file.
 *
 * With the model's own tokens, in the order prefix, suffix, middle (psm) or suffix, prefix, middle
 * (spm). Which lines are chosen is random, and the same for the same seed and file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "code_parts.h"

#include <string.h>

#define ORDER_PSM 0
#define ORDER_SPM 1
#define ORDER_BOTH 2
#define LEARN_MIDDLE 0
#define FREE_TOKENS 8 /* special tokens, begin of text, and what joining may add */

typedef struct config {
    int64_t tokens, per_function, order, learn, seed;
    double middle;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_I64(config, tokens, 64, 1 << 20, "1024", "largest sample, in tokens: what surrounds the middle is cut to fit"),
    HONE_ROW_I64(config, per_function, 1, 100, "1", "samples of each function"),
    HONE_ROW_ENUM(config, order, "psm|spm|both", "psm",
                  "psm (prefix, suffix, middle), spm (suffix, prefix, middle), both (by turns)"),
    HONE_ROW_ENUM(config, learn, "middle|all", "middle", "what is learned: the middle, or prefix and suffix too"),
    HONE_ROW_F64(config, middle, 0.01, 1, "0.5", "largest share of a function's lines that is the middle"),
    HONE_ROW_I64(config, seed, 0, INT64_C(1) << 53, "0", "of the choice of lines"),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct recipe {
    const hone_host *host; /* borrowed */
    config config;
    meter meter;
    hone_str token[HONE_TOKEN_FIM_END + 1]; /* by purpose */
    hone_text lines;                        /* of uint64_t: where lines of the body start */
} recipe;

static void fim_destroy(void *p)
{
    recipe *self = p;
    if (!self)
        return;
    hone_text_finish(&self->lines);
    self->host->free(self->host, self);
}

static hone_status fim_create(const hone_host *host, const void *cfg, void **out, hone_error *err)
{
    static const char *const names[] = { "", "prefix", "suffix", "middle", "end" };
    recipe *self = host->alloc(host, sizeof *self, _Alignof(recipe), "code-fim");
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "code-fim: no memory");
    *self = (recipe){ .host = host,
                      .config = *(const config *)cfg,
                      .lines = { .host = host, .tag = "code-fim" } };
    hone_status st = meter_init(&self->meter, host, "code-fim", 0, err);
    for (uint32_t i = HONE_TOKEN_FIM_PREFIX; i <= HONE_TOKEN_FIM_END && st == HONE_OK; i++) {
        self->token[i] = meter_special(&self->meter, i);
        if (!self->token[i].n)
            st = hone_fail(err, HONE_ERR_UNSUPPORTED,
                           "code-fim: the model's tokenizer has no fill-in-the-middle tokens (none "
                           "for the %s): use a code model, such as Code Llama, Qwen Coder, "
                           "StarCoder or DeepSeek Coder",
                           names[i]);
    }
    if (st != HONE_OK) {
        fim_destroy(self);
        return st;
    }
    *out = self;
    return HONE_OK;
}

static uint64_t name_hash(hone_str s)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (uint64_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h;
}

static bool holds(hone_str t, hone_str what)
{
    return what.n && t.n >= what.n && memmem(t.p, t.n, what.p, what.n) != NULL;
}

static bool spells_token(const recipe *self, hone_str t)
{
    for (uint32_t i = HONE_TOKEN_FIM_PREFIX; i <= HONE_TOKEN_FIM_END; i++)
        if (holds(t, self->token[i]))
            return true;
    return false;
}

/* Lines of the body that may be the middle: not the one with the opening brace, not the closing
 * one, and as they are: with their indentation. */
static hone_status find_lines(recipe *self, hone_str t, const hone_unit *u, hone_error *err)
{
    hone_text_clear(&self->lines);
    uint64_t at = u->body, line = u->body;
    while (line && (t.p[line - 1] == ' ' || t.p[line - 1] == '\t'))
        line--;
    if (t.p[at] != '{' && (line == 0 || t.p[line - 1] == '\n'))
        at = line;
    else /* the rest of its first line goes with the head */
        while (at < u->body_end && t.p[at++] != '\n')
            ;
    while (at < u->body_end) {
        const char *nl = memchr(t.p + at, '\n', u->body_end - at);
        if (!nl && t.p[u->body_end - 1] == '}') /* the line of the closing brace */
            break;
        hone_text_add(&self->lines, (const char *)&at, sizeof at);
        at = nl ? (uint64_t)(nl - t.p) + 1 : u->body_end;
    }
    hone_text_add(&self->lines, (const char *)&at, sizeof at); /* the end */
    return hone_text_status(&self->lines, err);
}

static hone_status add_sample(const recipe *self, const hone_document *d, const hone_unit *u,
                              uint64_t from, uint64_t to, bool spm, const hone_sample_sink *sink,
                              hone_error *err)
{
    const hone_block *b = &d->blocks[u->block];
    const hone_str t = b->text;
    const bool all = self->config.learn != LEARN_MIDDLE;
    uint64_t middle = 0, before = from, after = to, used = 0, n = 0;
    hone_status st = meter_count(&self->meter, (hone_str){ t.p + from, to - from }, &middle, err);
    if (st != HONE_OK)
        return st;
    if (middle + FREE_TOKENS + 16 > (uint64_t)self->config.tokens) {
        sink->lost(sink, to - from, "middles larger than a sample");
        return HONE_OK;
    }
    const uint64_t room = (uint64_t)self->config.tokens - FREE_TOKENS - middle;
    /* half for each side; what one leaves goes to the other */
    if ((st = fit_after(&self->meter, t, to, t.n, room / 2, &after, err)) != HONE_OK ||
        (st = meter_count(&self->meter, (hone_str){ t.p + to, after - to }, &used, err)) !=
            HONE_OK ||
        (st = fit_before(&self->meter, t, 0, from, room - used, &before, err)) != HONE_OK)
        return st;
    if (before == 0 &&
        ((st = meter_count(&self->meter, (hone_str){ t.p, from }, &used, err)) != HONE_OK ||
         (used < room &&
          (st = fit_after(&self->meter, t, to, t.n, room - used, &after, err)) != HONE_OK)))
        return st;
    if (spells_token(self, (hone_str){ t.p + before, after - before })) {
        sink->lost(sink, to - from, "code that spells one of the model's special tokens");
        return HONE_OK;
    }
    hone_segment s[7];
    const uint64_t ranges[3][2] = { { before, from }, { to, after }, { from, to } };
    static const uint8_t psm[] = { HONE_TOKEN_FIM_PREFIX, 100, HONE_TOKEN_FIM_SUFFIX, 101,
                                   HONE_TOKEN_FIM_MIDDLE, 102, HONE_TOKEN_FIM_END };
    static const uint8_t spm_order[] = {
        HONE_TOKEN_FIM_PREFIX, HONE_TOKEN_FIM_SUFFIX, 101, HONE_TOKEN_FIM_MIDDLE, 100, 102,
        HONE_TOKEN_FIM_END
    };
    for (uint32_t i = 0; i < 7; i++) {
        const uint8_t what = spm ? spm_order[i] : psm[i];
        const bool learned = all || what == 102 || what == HONE_TOKEN_FIM_END;
        hone_segment g = { .loss_weight = learned ? 1 : 0 };
        if (what < 100) {
            g.role = HONE_ROLE_SPECIAL;
            g.text = self->token[what];
        } else {
            const uint64_t *r = ranges[what - 100];
            if (r[0] == r[1])
                continue;
            g.text = (hone_str){ t.p + r[0], r[1] - r[0] };
            set_source(&g, b, r[0], r[1], u);
        }
        s[n++] = g;
    }
    return sink->add(sink, s, n, err);
}

static hone_status add_function(recipe *self, const hone_document *d, uint64_t i,
                                const hone_sample_sink *sink, hone_error *err)
{
    const hone_unit *u = &d->units[i];
    const uint64_t stream = name_hash(d->name);
    const uint64_t seed = (uint64_t)self->config.seed;
    hone_status st = find_lines(self, d->blocks[u->block].text, u, err);
    const uint64_t *lines = (const uint64_t *)(const void *)self->lines.p;
    const uint64_t n = st == HONE_OK ? self->lines.n / sizeof *lines - 1 : 0;
    if (st == HONE_OK && n == 0)
        sink->lost(sink, u->end - u->start, "functions of one line");
    for (int64_t k = 0; k < self->config.per_function && n && st == HONE_OK; k++) {
        const uint64_t at = (i * 128 + (uint64_t)k) * 4;
        uint64_t most = (uint64_t)((double)n * self->config.middle);
        most = most ? most : 1;
        const uint64_t count = 1 + self->host->random(self->host, seed, stream, at) % most;
        const uint64_t first =
            self->host->random(self->host, seed, stream, at + 1) % (n - count + 1);
        const bool spm = self->config.order == ORDER_SPM ||
                         (self->config.order == ORDER_BOTH &&
                          self->host->random(self->host, seed, stream, at + 2) % 2);
        st = add_sample(self, d, u, lines[first], lines[first + count], spm, sink, err);
    }
    return st;
}

static hone_status fim_process(void *p, const hone_document *d, const hone_sample_sink *sink,
                               hone_error *err)
{
    recipe *self = p;
    uint64_t functions = 0, bytes = 0;
    hone_status st = HONE_OK;
    for (uint64_t i = 0; i < d->n_units && st == HONE_OK; i++) {
        if (!is_whole_function(d, i))
            continue;
        functions++;
        if (self->host->cancelled(self->host))
            return hone_fail(err, HONE_ERR_CANCELLED, "code-fim: stopped");
        st = add_function(self, d, i, sink, err);
    }
    for (uint64_t i = 0; i < d->n_blocks && !functions; i++)
        bytes += d->blocks[i].text.n;
    if (st == HONE_OK && bytes)
        sink->lost(sink, bytes, d->language.n ? "files without functions" : "no source code");
    return st;
}

static const hone_recipe ops = {
    .struct_size = sizeof ops,
    .create = fim_create,
    .destroy = fim_destroy,
    .process = fim_process,
};

static const hone_component fim = {
    .struct_size = sizeof fim,
    .flags = HONE_COMPONENT_DETERMINISTIC | HONE_COMPONENT_CODE,
    .kind = HONE_KIND_RECIPE,
    .name = "code-fim",
    .summary = "fill in the middle: lines of a function from what stands before and after them",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &fim };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.code-fim",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.code-fim", "1.0.0", 1, HONE_NOTE_ROW(HONE_KIND_RECIPE, "code-fim", ""));
HONE_PLUGIN_ENTRY(&plugin)
