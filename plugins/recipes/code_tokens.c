/*
 * code_tokens.c - a whole code base as one text, file after file, in samples of full length.
 *
 * Every file goes in, whatever it is; a header with its path, or the model's own token for it, stands
 * before each. A file is given to the host in pieces of an eighth of a sample at most, cut before a
 * class, a function or a blank line where it can be, and the host fills samples with them: so a
 * sample is at least seven eighths full, and small functions are not cut.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "code_parts.h"

#include <string.h>

#define ENDS 2  /* tokens that are kept free: begin and end of a text */
#define PARTS 8 /* pieces of a full sample */

typedef struct config {
    int64_t tokens;
    const char *header;
} config;

/* clang-format off */
static const hone_option options[] = {
    HONE_ROW_I64(config, tokens, 64, 1 << 20, "2048", "length of a sample in tokens; hone prepare takes train.seq_len when it is not set"),
    HONE_ROW_STRING(config, header, "", "before each file, %s is its path; default: the model's own token for files, else \"==== %s ====\""),
    HONE_OPTIONS_END,
};
/* clang-format on */

typedef struct recipe {
    const hone_host *host; /* borrowed */
    config config;         /* strings borrowed */
    meter meter;
    hone_str file;    /* the model's token; empty: none */
    hone_text header; /* of the file at hand */
    hone_text prose;  /* a document that is no code, as one text */
} recipe;

static void tokens_destroy(void *p)
{
    recipe *self = p;
    if (!self)
        return;
    hone_text_finish(&self->header);
    hone_text_finish(&self->prose);
    self->host->free(self->host, self);
}

static hone_status tokens_create(const hone_host *host, const void *cfg, void **out,
                                 hone_error *err)
{
    recipe *self = host->alloc(host, sizeof *self, _Alignof(recipe), "code-tokens");
    const hone_text text = { .host = host, .tag = "code-tokens" };
    if (!self)
        return hone_fail(err, HONE_ERR_NOMEM, "code-tokens: no memory");
    *self = (recipe){ .host = host, .config = *(const config *)cfg, .header = text, .prose = text };
    hone_status st = meter_init(&self->meter, host, "code-tokens", 0, err);
    if (st == HONE_OK && self->config.header[0] && !strstr(self->config.header, "%s"))
        st = hone_fail(err, HONE_ERR_ARG,
                       "code-tokens: header \"%s\" has no %%s, where the path of the file goes",
                       self->config.header);
    if (st != HONE_OK) {
        tokens_destroy(self);
        return st;
    }
    if (!self->config.header[0])
        self->file = meter_special(&self->meter, HONE_TOKEN_FILE);
    *out = self;
    return HONE_OK;
}

static void put_header(recipe *self, hone_str name)
{
    const char *format = self->file.n ? "%s" : self->config.header;
    if (!*format)
        format = "==== %s ====";
    const char *at = strstr(format, "%s");
    hone_text_clear(&self->header);
    hone_text_add(&self->header, format, (uint64_t)(at - format));
    hone_text_add(&self->header, name.p, name.n);
    hone_text_puts(&self->header, at + 2);
    hone_text_putc(&self->header, '\n');
}

/* How good a cut is before the line at `at`: what begins there. */
static int rank(const hone_document *d, hone_str t, uint64_t at, uint64_t *unit)
{
    while (*unit < d->n_units && d->units[*unit].start < at)
        ++*unit;
    for (uint64_t k = *unit; k < d->n_units && d->units[k].start <= at + 64; k++) {
        uint64_t i = at;
        while (i < d->units[k].start && (t.p[i] == ' ' || t.p[i] == '\t'))
            i++;
        if (i < d->units[k].start)
            break;
        if (d->units[k].kind != HONE_UNIT_COMMENT)
            return d->units[k].parent ? 3 : 4;
    }
    return at > 1 && t.p[at - 2] == '\n' ? 2 : 1;
}

/* The best place to end a piece of [from, to): in its second half. */
static uint64_t best_cut(const hone_document *d, hone_str t, uint64_t from, uint64_t to,
                         uint64_t *unit)
{
    uint64_t best = to, k = *unit;
    int most = 0;
    for (uint64_t at = from + (to - from) / 2; at <= to; at++) {
        if (at == from || at == t.n || t.p[at - 1] != '\n')
            continue;
        const int r = rank(d, t, at, &k);
        if (r >= most) {
            most = r;
            best = at;
        }
    }
    return best;
}

/* A line that is larger than a piece is cut between characters. */
static hone_status cut_line(const recipe *self, hone_str t, uint64_t from, uint64_t room,
                            uint64_t *end, hone_error *err)
{
    uint64_t n, to = from + room < t.n ? from + room : t.n;
    do {
        while (to > from + 1 && to < t.n && (t.p[to] & 0xc0) == 0x80)
            to--;
        const hone_status st =
            meter_count(&self->meter, (hone_str){ t.p + from, to - from }, &n, err);
        if (st != HONE_OK)
            return st;
        *end = to;
        to = from + (to - from) / 2;
    } while (n > room && to > from);
    while (*end < t.n && (t.p[*end] & 0xc0) == 0x80)
        ++*end;
    return HONE_OK;
}

static hone_status add_piece(const recipe *self, const hone_block *b, hone_str t, uint64_t from,
                             uint64_t to, bool first, const hone_sample_sink *sink, hone_error *err)
{
    hone_segment s[3];
    uint64_t n = 0;
    if (first && self->file.n)
        s[n++] = (hone_segment){ .role = HONE_ROLE_SPECIAL, .loss_weight = 1, .text = self->file };
    if (first)
        s[n++] = (hone_segment){ .loss_weight = 1, .text = hone_text_str(&self->header) };
    s[n] = (hone_segment){ .loss_weight = 1, .text = { t.p + from, to - from } };
    if (b)
        set_source(&s[n], b, from, to, NULL);
    return sink->join(sink, s, n + 1, (uint64_t)self->config.tokens - ENDS, err);
}

static hone_status add_text(recipe *self, const hone_document *d, const hone_block *b, hone_str t,
                            const hone_sample_sink *sink, hone_error *err)
{
    const uint64_t room = (uint64_t)(self->config.tokens - ENDS) / PARTS;
    uint64_t at = 0, unit = 0, end = 0, head = 0;
    bool first = true;
    hone_status st = HONE_OK;
    if (!t.n)
        return HONE_OK;
    put_header(self, d->name);
    if ((st = hone_text_status(&self->header, err)) != HONE_OK ||
        (st = meter_count(&self->meter, hone_text_str(&self->header), &head, err)) != HONE_OK)
        return st;
    if (head > room) { /* a path like that is no name */
        sink->lost(sink, t.n, "files whose header is larger than an eighth of a sample");
        return HONE_OK;
    }
    for (; at < t.n && st == HONE_OK; at = end, first = false) {
        if (self->host->cancelled(self->host))
            return hone_fail(err, HONE_ERR_CANCELLED, "code-tokens: stopped");
        if ((st = fit_after(&self->meter, t, at, t.n, room, &end, err)) != HONE_OK)
            break;
        if (end == at)
            st = cut_line(self, t, at, room, &end, err);
        else if (end < t.n && d->n_units && b)
            end = best_cut(d, t, at, end, &unit);
        while (unit < d->n_units && d->units[unit].start < end)
            unit++;
        if (st == HONE_OK)
            st = add_piece(self, b, t, at, end, first, sink, err);
    }
    if (st == HONE_OK && t.p[t.n - 1] != '\n') /* the next header begins a line */
        st = add_piece(self, NULL, (hone_str){ "\n", 1 }, 0, 1, false, sink, err);
    return st;
}

static hone_status tokens_process(void *p, const hone_document *d, const hone_sample_sink *sink,
                                  hone_error *err)
{
    recipe *self = p;
    if (d->n_blocks == 1)
        return add_text(self, d, &d->blocks[0], d->blocks[0].text, sink, err);
    hone_text_clear(&self->prose);
    for (uint64_t i = 0; i < d->n_blocks; i++) {
        hone_text_puts(&self->prose, i ? "\n\n" : "");
        hone_text_add(&self->prose, d->blocks[i].text.p, d->blocks[i].text.n);
    }
    const hone_status st = hone_text_status(&self->prose, err);
    return st == HONE_OK ? add_text(self, d, NULL, hone_text_str(&self->prose), sink, err) : st;
}

static const hone_recipe ops = {
    .struct_size = sizeof ops,
    .create = tokens_create,
    .destroy = tokens_destroy,
    .process = tokens_process,
};

static const hone_component tokens = {
    .struct_size = sizeof tokens,
    .flags = HONE_COMPONENT_DETERMINISTIC | HONE_COMPONENT_CODE,
    .kind = HONE_KIND_RECIPE,
    .name = "code-tokens",
    .summary = "a whole code base, file after file, in samples of full length",
    .ops = &ops,
    .options = options,
    .config_size = sizeof(config),
};

static const hone_component *const components[] = { &tokens };

static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.code-tokens",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};

HONE_PLUGIN_NOTE("hone.code-tokens", "1.0.0", 1,
                 HONE_NOTE_ROW(HONE_KIND_RECIPE, "code-tokens", ""));
HONE_PLUGIN_ENTRY(&plugin)
