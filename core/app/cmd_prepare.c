/*
 * cmd_prepare.c - hone prepare: documents to samples.jsonl.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/app/helper.h"
#include "core/app/prepared.h"
#include "core/app/progress.h"

typedef struct prepare_flags {
    hone_list without;
} prepare_flags;

static prepare_flags flag_values;
static const hone_option flags[] = {
    HONE_ROW_LIST(
        prepare_flags, without, NULL,
        "documents (files, folders, archives, or names of the report) left out as if they "
        "had never been there"),
    HONE_OPTIONS_END,
};

typedef struct shown {
    bool terminal;
    double last; /* clock_now() of the last plain line */
} shown;

#define LINE_SECONDS 10 /* between plain lines, where there is no terminal */

static void show_progress(void *ctx, const prepare_progress *p)
{
    shown *s = ctx;
    text t = { 0 };
    const double now = clock_now(), rate = p->seconds > 0 ? (double)p->bytes / p->seconds : 0;
    if (!s->terminal && now - s->last < LINE_SECONDS)
        return;
    s->last = now;
    if (s->terminal)
        progress_bar(&t, p->bytes, p->all_bytes);
    text_printf(&t, "%lld of %lld files  %.1f of %.1f MB  %.1f MB/s  %lld samples  eta ",
                (long long)p->files, (long long)p->all_files, (double)p->bytes / 1e6,
                (double)p->all_bytes / 1e6, rate / 1e6, (long long)p->samples);
    print_seconds(&t, rate > 0 ? (double)(p->all_bytes - p->bytes) / rate : INFINITY);
    if (s->terminal && p->file)
        text_printf(&t, "  %.40s", path_base(p->file));
    if (!text_status(&t, NULL)) {
        if (s->terminal)
            log_set_status(t.p);
        else
            log_line(HONE_LOG_INFO, "%s", t.p);
    }
    text_finish(&t);
}

/* What samples depend on beside documents, readers and recipes: template, model, how it answers. */
static hone_status make_key(text *key, const settings *s, const session *z, const helper *h,
                            hone_error *err)
{
    static const char *const sections[] = { "generator", "generate", "use" };
    json_t *all = settings_to_json(s);
    text_printf(key, "%s %s", z->chat ? chat_template_hash(z->chat) : "",
                h->g ? generator_service(h->g)->identity : "");
    for (size_t i = 0; i < sizeof sections / sizeof sections[0] && h->g; i++) {
        char *dump = json_dumps(json_object_get(all, sections[i]), JSON_COMPACT | JSON_SORT_KEYS);
        text_puts(key, dump ? dump : "");
        free(dump);
    }
    json_decref(all);
    return text_status(key, err);
}

/* A whole code base is cut to the length that training takes, unless the recipe says another. */
static hone_status fit_code_tokens(settings *s, hone_error *err)
{
    json_t *own = json_object_get(s->recipe, "code-tokens");
    bool used = false;
    for (uint64_t i = 0; i < s->prepare.recipes.n; i++)
        used |= strcmp(s->prepare.recipes.items[i], "code-tokens") == 0;
    if (!used || json_object_get(own, "tokens") || s->train.seq_len < 64 ||
        s->train.seq_len > 1 << 20)
        return HONE_OK;
    if (!own)
        (void)json_object_set_new(s->recipe, "code-tokens", own = json_object());
    return json_object_set_new(own, "tokens", json_integer(s->train.seq_len))
               ? hone_fail(err, HONE_ERR_NOMEM, "no memory for options")
               : HONE_OK;
}

static hone_status run(settings *s, const arguments *a, hone_error *err)
{
    session z = { 0 };
    helper h = { 0 };
    prepare_report report = { 0 };
    prepare_options chosen = s->prepare;
    char dry[] = "/tmp/hone-dry-run-XXXXXX";
    text out = { 0 }, key = { 0 };
    hone_status st = HONE_OK;
    if (a->n)
        return hone_fail(err, HONE_ERR_ARG, "'%s': documents are named by prepare.sources",
                         a->items[0]);
    char *folder = s->file ? path_dir(s->file) : NULL;
    if (s->top.model)
        st = session_open(&z, s, SESSION_TOKENIZER, err);
    else
        st = session_plugins(&z, s, err);
    if (st || (st = fit_code_tokens(s, err)) || (st = helper_open(&h, &z, s, err)))
        goto out;
    if (s->generator.dry_run && !(chosen.out = mkdtemp(dry))) {
        st = hone_fail(err, HONE_ERR_IO, "%s: cannot make a folder for the dry run", dry);
        goto out;
    }
    if (s->generator.dry_run)
        chosen.cache_mb = 0; /* what is known is not asked for */
    if ((st = make_key(&key, s, &z, &h, err)))
        goto out;
    shown view = { .terminal = isatty(STDERR_FILENO) == 1, .last = clock_now() };
    const prepare_input in = { .plugins = z.plugins,
                               .reader_options = s->reader,
                               .recipe_options = s->recipe,
                               .base = folder,
                               .tokenizer = z.tok,
                               .key = key.p,
                               .without = flag_values.without,
                               .own = { s->train.out, s->generator.cache },
                               .on_progress = show_progress,
                               .ctx = &view };
    st = prepare_run(&chosen, &in, &report, err);
    log_set_status(NULL);
    if (st)
        goto out;
    if (s->generator.dry_run) {
        helper_print(&h, &out);
        if (!out.n)
            text_puts(&out, "  nothing would be asked\n");
        if (!(st = text_status(&out, err)))
            fputs(out.p, stdout);
        goto out;
    }
    prepare_report_print(&report, &out);
    if (z.tok && report.samples && (st = count_prepared(&out, s, &z, &report, err)))
        goto out;
    helper_print(&h, &out);
    if ((st = text_status(&out, err)))
        goto out;
    fputs(out.p ? out.p : "", stdout);
    printf("written: %s/samples.jsonl, %s/report.json\n", s->prepare.out, s->prepare.out);
    if (!report.samples)
        st = hone_fail(err, HONE_ERR_NOTFOUND,
                       "no sample came of %lld files; what was left out and why stands above and "
                       "in %s/report.json",
                       (long long)report.files, s->prepare.out);
    else if (prepare_report_lost(&report))
        st = hone_fail(err, HONE_ERR_SKIP,
                       "done, but %lld of %lld documents were left out; %s/report/failed.jsonl "
                       "names them",
                       (long long)prepare_report_lost(&report), (long long)report.files,
                       s->prepare.out);
out:
    text_finish(&out);
    text_finish(&key);
    free(folder);
    prepare_report_finish(&report);
    helper_close(&h);
    if (s->generator.dry_run && chosen.out != s->prepare.out && dir_remove(chosen.out, NULL))
        log_line(HONE_LOG_WARN, "%s: cannot be removed", chosen.out);
    session_close(&z);
    return st;
}

const command cmd_prepare = {
    .name = "prepare",
    .operands = "[CONFIG]",
    .summary = "documents to samples.jsonl, by readers and recipes",
    .sections = "prepare reader recipe generator generate use",
    .flags = flags,
    .flag_values = &flag_values,
    .config_operand = true,
    .run = run,
};
