/*
 * session.c - tokenizer, template, backend and model opened from the settings, the same
 * way for every command, so that what trains is what answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/app/app.h"

hone_status session_plugins(session *z, const settings *s, hone_error *err)
{
    if (z->plugins)
        return HONE_OK;
    return registry_open(&z->plugins, s->top.plugin_dir.items, (size_t)s->top.plugin_dir.n, err);
}

static bool folder_has(const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    const bool there = path && path_exists(path);
    free(path);
    return there;
}

hone_status session_tuned_path(const settings *s, char **path, bool *full, hone_error *err)
{
    static const char *const results[] = { "adapter", "model" };
    *path = NULL;
    *full = false;
    if (s->use.base)
        return HONE_OK;
    if (s->use.adapter) {
        *full = !folder_has(s->use.adapter, "adapter_config.json");
        if (*full && !folder_has(s->use.adapter, "config.json"))
            return hone_fail(err, HONE_ERR_NOTFOUND,
                             "use.adapter: %s has neither adapter_config.json nor config.json",
                             s->use.adapter);
        *path = mem_strdup(s->use.adapter);
        return *path ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "settings: no memory");
    }
    for (size_t i = 0; s->train.out && i < sizeof results / sizeof results[0]; i++) {
        char *candidate = path_join(s->train.out, results[i]);
        if (!candidate)
            return hone_fail(err, HONE_ERR_NOMEM, "settings: no memory");
        if (folder_has(candidate, i == 0 ? "adapter_config.json" : "config.json")) {
            *full = i == 1;
            *path = candidate;
            return HONE_OK;
        }
        free(candidate);
    }
    return HONE_OK;
}

hone_status session_check_adapter(const session *z, const char *dir, hone_error *err)
{
    json_t *p = NULL;
    hone_status st = adapter_provenance(&p, dir, err);
    if (st)
        return st;
    const struct {
        const char *key, *what, *now, *how;
    } marks[] = {
        { "tokenizer", "tokenizer", tokenizer_hash(z->tok),
          "use the model folder it was trained on" },
        { "template_hash", "chat template", chat_template_hash(z->chat),
          "set \"template\" to the one it was trained with" },
    };
    for (size_t i = 0; p && !st && i < sizeof marks / sizeof marks[0]; i++) {
        const char *then = json_string_value(json_object_get(p, marks[i].key));
        if (then && then[0] && strcmp(then, marks[i].now) != 0)
            st = hone_fail(err, HONE_ERR_STATE,
                           "%s was trained with another %s (%.12s, now %.12s); %s", dir,
                           marks[i].what, then, marks[i].now, marks[i].how);
    }
    json_decref(p);
    return st;
}

hone_status session_open(session *z, const settings *s, uint32_t what, hone_error *err)
{
    bool full = false;
    hone_status st;
    if (!s->top.model)
        return hone_fail(err, HONE_ERR_ARG,
                         "no model: set \"model\" in hone.json, or --model FOLDER (a Hugging Face "
                         "model folder)");
    if ((st = session_plugins(z, s, err)) || (st = tokenizer_open(&z->tok, s->top.model, err)) ||
        (st = chat_template_open(&z->chat, s->top.template_, s->top.model, z->tok, err)))
        return st;
    if (!(what & SESSION_MODEL))
        return HONE_OK;

    if ((st = session_tuned_path(s, &z->adapter_owned, &full, err)))
        return st;
    return session_open_model(z, s, z->adapter_owned, full, err);
}

hone_status session_open_model(session *z, const settings *s, const char *tuned, bool full,
                               hone_error *err)
{
    hone_status st;
    model_close(z->net);
    z->net = NULL;
    if (tuned && !full && (st = session_check_adapter(z, tuned, err)))
        return st;
    log_line(HONE_LOG_INFO, "%s%s%s on %s", s->top.model, tuned ? (full ? ", tuned: " : " + ") : "",
             tuned ? tuned : "", s->top.backend);
    if (!z->back &&
        (st = backend_open(&z->back, z->plugins, s->top.backend, s->device, s->weights, err)))
        return st;
    model_options o = {
        .dir = full ? tuned : s->top.model,
        .train = TRAIN_NONE,
        .adapter_dir = full ? NULL : tuned,
        .seq_len = s->train.seq_len,
        .batch = s->train.batch,
        .max_sequences = s->train.seq_len * s->train.batch,
        .context = s->use.context,
    };
    if (z->at_once) { /* to answer, not to score: passes of what a prompt has */
        o.seq_len = o.batch = 1;
        o.max_sequences = z->at_once > 32 ? 2 * z->at_once : 64;
        o.context = s->use.context * z->at_once;
    }
    if ((st = model_open(&z->net, z->back, &o, err)))
        return st;
    return model_check_tokenizer(z->net, z->tok, err);
}

void session_close_model(session *z)
{
    model_close(z->net);
    backend_close(z->back);
    z->net = NULL;
    z->back = NULL;
}

void session_close(session *z)
{
    session_close_model(z);
    chat_template_close(z->chat);
    tokenizer_close(z->tok);
    registry_close(z->plugins);
    free(z->adapter_owned);
    *z = (session){ 0 };
}

hone_status read_input(const char *path, char **p, size_t *n, hone_error *err)
{
    const size_t limit = (size_t)1 << 32;
    if (path && strcmp(path, "-") != 0)
        return file_read(p, n, path, limit, err);
    text t = { 0 };
    char block[1 << 16];
    size_t got;
    while ((got = fread(block, 1, sizeof block, stdin)) > 0)
        text_add(&t, block, got);
    if (ferror(stdin)) {
        text_finish(&t);
        return hone_fail(err, HONE_ERR_IO, "standard input: cannot read");
    }
    text_add(&t, "", 0);
    hone_status st = text_status(&t, err);
    if (st) {
        text_finish(&t);
        return st;
    }
    *n = t.n;
    *p = t.p ? t.p : mem_new(1, 1);
    return *p ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "standard input: no memory");
}

hone_status mend_input(char **p, size_t *n, const char *what, hone_error *err)
{
    text mended = { 0 };
    const encode_losses lost = { .bad_bytes = utf8_mend(&mended, *p, *n) };
    text_add(&mended, "", 0);
    const hone_status st = text_status(&mended, err);
    if (st) {
        text_finish(&mended);
        return st;
    }
    encode_losses_warn(&lost, what);
    free(*p);
    *p = mended.p;
    *n = mended.n;
    return HONE_OK;
}

void print_bytes(text *out, double bytes)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    size_t u = 0;
    for (; bytes >= 1000 && u + 1 < sizeof units / sizeof units[0]; u++)
        bytes /= 1000;
    text_printf(out, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
}

void print_seconds(text *out, double seconds)
{
    if (!(seconds >= 0) || seconds > 1e8) {
        text_puts(out, "?");
        return;
    }
    const long s = (long)(seconds + 0.5);
    if (s >= 3600)
        text_printf(out, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        text_printf(out, "%ld:%02ld", s / 60, s % 60);
}
