/*
 * advise.c - a whole config from the data, the model and the memory.
 *
 * The rules are section 6 of "Fine Tuning LLMs for Enterprise" (Raj J et al. 2024) and its
 * tables 3 and 10, in this order: method, number format, adapter, length of rows, batch,
 * optimizer. Each choice is one line of why; whether it fits is asked of the plan.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>

#include "core/app/setup.h"

#define ABUNDANT 100e6 /* bytes of text from which full fine-tuning and full-length rows pay */
#define LARGE_MODEL 10e9

typedef struct adviser {
    setup *u;
    settings *s;
    text *why;
    const char *device; /* "cpu": of the backend */
    bool code;
    double bytes, params;
} adviser;

HONE_PRINTF(3, 4) static void because(adviser *a, const char *choice, const char *format, ...)
{
    char reason[240];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    text_printf(a->why, "  %-30s %s\n", choice, reason);
}

static hone_status set(adviser *a, const char *name, const char *format, double value,
                       hone_error *err)
{
    char words[40];
    (void)snprintf(words, sizeof words, format, value);
    return settings_set(a->s, name, words, err);
}

/* Does the run fit as it is set now, on this format? False as well when it is not installed. */
static hone_status fits(bool *out, adviser *a, const char *format, hone_error *err)
{
    setup *u = a->u;
    text spec = { 0 };
    hone_error why = { 0 };
    hone_status st = HONE_OK;
    *out = false;
    backend_close(u->z.back);
    u->z.back = NULL;
    text_printf(&spec, "%s/%s", a->device, format);
    if (text_status(&spec, err))
        return HONE_ERR_NOMEM;
    if (u->input.device)
        st = backend_open_absent(&u->z.back, u->z.plugins, a->device, format, NULL, &why);
    else
        st = backend_open(&u->z.back, u->z.plugins, spec.p, a->s->device, NULL, &why);
    text_finish(&spec);
    if (st)
        return HONE_OK;
    u->data = plan_data_guess((int64_t)a->bytes, &a->s->train);
    setup_input(u, a->s);
    if (!path_is_dir(a->s->top.model))
        u->model.shape = path_base(a->s->top.model);
    st = run_plan_make(&u->plan, NULL, &u->input, &why);
    if (st == HONE_ERR_UNSUPPORTED || st == HONE_ERR_NOTFOUND)
        return HONE_OK;
    if (st) {
        *err = why;
        return st;
    }
    *out = u->plan.fits;
    return HONE_OK;
}

static hone_status use_format(adviser *a, const char *format, hone_error *err)
{
    text spec = { 0 };
    text_printf(&spec, "%s/%s", a->u->input.device ? "cuda" : a->device, format);
    hone_status st = text_status(&spec, err);
    if (!st)
        st = settings_set(a->s, "backend", spec.p, err);
    text_finish(&spec);
    return st;
}

/* --------------------------------------------------------------------- the choices */

/* Full where there is so much text that every weight has something to learn, and room. */
static hone_status choose_full(bool *full, adviser *a, hone_error *err)
{
    static const char *const optimizers[] = { "adamw", "paged-adamw" };
    hone_status st = HONE_OK;
    *full = false;
    if (a->bytes < ABUNDANT) {
        because(a, "train.method lora", "%.3g MB: adapters, unless data is abundant (section 6)",
                a->bytes / 1e6);
        return settings_set(a->s, "train.method", "lora", err);
    }
    st = settings_set(a->s, "train.method", "full", err);
    for (size_t i = 0; i < 2 && !st && !*full; i++) {
        if (json_object_set_new(a->s->optimizer, "name", json_string(optimizers[i])))
            return hone_fail(err, HONE_ERR_NOMEM, "no memory for the config");
        st = fits(full, a, "bf16", err);
        if (*full) {
            because(a, "train.method full", "%.3g MB of text are abundant, and it fits",
                    a->bytes / 1e6);
            because(a, i ? "optimizer paged-adamw" : "optimizer adamw",
                    i ? "one device and much host memory: states are paged (section 6)"
                      : "its states fit beside the weights");
        }
    }
    if (st || *full)
        return st ? st : use_format(a, "bf16", err);
    (void)json_object_del(a->s->optimizer, "name");
    because(a, "train.method lora",
            "%.3g MB of text would be worth full fine-tuning, but it "
            "does not fit",
            a->bytes / 1e6);
    return settings_set(a->s, "train.method", "lora", err);
}

/* Tables 3 and 10: what gave good answers, by kind of data and size of model. */
static hone_status choose_adapter(adviser *a, hone_error *err)
{
    const bool large = a->params >= LARGE_MODEL;
    const double rank = a->code ? 16 : large ? 8 : 1, alpha = a->code ? 32 : 512;
    hone_status st = set(a, "adapter.rank", "%.0f", rank, err);
    if (!st)
        st = set(a, "adapter.alpha", "%.0f", alpha, err);
    if (!st)
        st = settings_set(a->s, "adapter.targets", a->code ? "all-linear" : "q_proj,v_proj", err);
    if (!st)
        st = settings_set(a->s, "train.lr", a->code ? "2e-4" : "2e-5", err);
    if (a->code) {
        because(a, "adapter.rank 16, alpha 32",
                "code: good at these, higher ones hallucinate "
                "(table 10)");
        because(a, "adapter.targets all-linear",
                "names and idioms of code are in every projection");
        because(a, "train.lr 2e-4", "usual where alpha is twice the rank");
    } else {
        because(a, large ? "adapter.rank 8, alpha 512" : "adapter.rank 1, alpha 512",
                large ? "text, 13B and more: best at this rank (table 3)"
                      : "text, up to 7B: low rank, high alpha take in new knowledge (table 3)");
        because(a, "adapter.targets q_proj, v_proj",
                "as the paper's text runs had, for small "
                "datasets (section 5.1)");
        because(a, "train.lr 2e-5", "alpha %.0f multiplies every update: a tenth of the usual rate",
                alpha);
    }
    return st;
}

/* Half precision if it fits, else eight bits, else four. */
static hone_status choose_format(adviser *a, hone_error *err)
{
    static const struct {
        const char *name, *why;
    } formats[] = {
        { "bf16", "half precision is sufficient (section 6), and it fits" },
        { "fp16", "half precision is sufficient (section 6), and it fits" },
        { "int8", "half precision does not fit; 1 byte a parameter does (section 4.3)" },
        { "nf4", "8 bits do not fit; half a byte a parameter does (section 4.3)" },
        { "fp32", "no smaller format is installed" },
    };
    bool ok = false;
    hone_status st = HONE_OK;
    for (size_t i = 0; i < sizeof formats / sizeof *formats && !ok; i++) {
        if (a->u->input.device && a->u->input.device->no_bf16 &&
            strcmp(formats[i].name, "bf16") == 0)
            continue;
        st = fits(&ok, a, formats[i].name, err);
        if (st)
            return st;
        if (!ok)
            continue;
        char choice[48];
        (void)snprintf(choice, sizeof choice, "backend %s/%s", a->device, formats[i].name);
        because(a, choice, "%s", formats[i].why);
        return use_format(a, formats[i].name, err);
    }
    return hone_fail(err, HONE_ERR_NOMEM,
                     "no format of %s fits into the memory there is, not even with one row of %lld "
                     "tokens at a time",
                     path_base(a->s->top.model), (long long)a->s->train.seq_len);
}

static int64_t positions_of(const adviser *a)
{
    llama_config c = { 0 };
    int64_t n = 2048;
    hone_error err = { 0 };
    const hone_status st = path_is_dir(a->s->top.model)
                               ? llama_config_read(&c, a->s->top.model, &err)
                               : llama_config_known(&c, path_base(a->s->top.model), &err);
    if (!st && c.max_positions)
        n = c.max_positions;
    llama_config_finish(&c);
    return n;
}

static hone_status choose_rows(adviser *a, hone_error *err)
{
    const int64_t most = positions_of(a);
    const int64_t usual = a->bytes >= ABUNDANT ? most : a->bytes >= 1e6 ? 2048 : 512;
    const int64_t n = usual < most ? usual : most;
    char choice[40];
    hone_status st = set(a, "train.seq_len", "%.0f", (double)n, err);
    if (!st)
        st = settings_set(a->s, "train.packing", "true", err);
    (void)snprintf(choice, sizeof choice, "train.seq_len %lld, packed", (long long)n);
    if (a->bytes >= ABUNDANT)
        because(a, choice, "large corpora: the model's full length, no padding (section 6)");
    else
        because(a, choice, "rows are filled without padding: fewer rows, less time (section 6)");
    return st;
}

/* A small batch, and what is left to eight rows by accumulation; fewer where there are few rows. */
static hone_status choose_batch(adviser *a, hone_error *err)
{
    const double rows = a->bytes / 3.6 / (double)a->s->train.seq_len;
    const char *format = strrchr(a->s->top.backend, '/') + 1;
    int64_t step = 8, most = 4;
    bool ok = false;
    char choice[64], now[16];
    hone_status st = HONE_OK;
    (void)snprintf(now, sizeof now, "%s", format);
    while (step > 1 && rows / (double)step < 8)
        step /= 2;
    most = step < most ? step : most;
    for (; most >= 1 && !st; most /= 2) {
        st = set(a, "train.batch", "%.0f", (double)most, err);
        if (!st)
            st = set(a, "train.accumulate", "%.0f", (double)(step / most), err);
        if (!st)
            st = fits(&ok, a, now, err);
        if (ok || most == 1)
            break;
    }
    (void)snprintf(choice, sizeof choice, "train.batch %lld, accumulate %lld", (long long)most,
                   (long long)(step / most));
    because(a, choice,
            "low, as suits the model, not the memory's limit (section 6); %lld rows an update",
            (long long)step);
    return st;
}

/* ------------------------------------------------------------------------- the door */

static json_t *list_json(const hone_list *l)
{
    json_t *out = json_array();
    for (uint64_t i = 0; i < l->n; i++)
        (void)json_array_append_new(out, json_string(l->items[i]));
    return out;
}

/* What was chosen, and what was given. */
static json_t *config_json(const adviser *a)
{
    const settings *s = a->s;
    const train_options *t = &s->train;
    const bool full = t->method == 1;
    json_t *root = json_pack("{s:s, s:s, s:{s:s, s:s, s:I, s:I, s:I, s:b, s:f, s:f, s:s}}", "model",
                             s->top.model, "backend", s->top.backend, "train", "method",
                             full ? "full" : "lora", "out", t->out ? t->out : "run", "seq_len",
                             (json_int_t)t->seq_len, "batch", (json_int_t)t->batch, "accumulate",
                             (json_int_t)t->accumulate, "packing", t->packing, "epochs", t->epochs,
                             "lr", t->lr, "schedule", "cosine");
    if (!root)
        return NULL;
    if (!full)
        (void)json_object_set_new(root, "adapter",
                                  json_pack("{s:I, s:f, s:o}", "rank", (json_int_t)s->adapter.rank,
                                            "alpha", s->adapter.alpha, "targets",
                                            list_json(&s->adapter.targets)));
    if (json_object_size(s->optimizer))
        (void)json_object_set(root, "optimizer", s->optimizer);
    if (s->prepare.sources.n)
        (void)json_object_set_new(root, "prepare",
                                  json_pack("{s:o, s:o, s:s}", "sources",
                                            list_json(&s->prepare.sources), "recipes",
                                            list_json(&s->prepare.recipes), "out", s->prepare.out));
    if (s->data.path)
        (void)json_object_set_new(root, "data", json_pack("{s:s}", "path", s->data.path));
    if (s->plan.memory)
        (void)json_object_set_new(root, "plan", json_pack("{s:s}", "memory", s->plan.memory));
    return root;
}

hone_status advise(json_t **config, text *why, setup *u, settings *s, double bytes, bool code,
                   hone_error *err)
{
    adviser a = { .u = u, .s = s, .why = why, .code = code, .bytes = bytes };
    const char *slash = strchr(s->top.backend, '/');
    char *device = u->input.device
                       ? mem_strdup(u->input.device->name)
                       : mem_strndup(s->top.backend, slash ? (size_t)(slash - s->top.backend)
                                                           : strlen(s->top.backend));
    llama_config c = { 0 };
    bool full = false;
    hone_status st = HONE_OK;
    if (!device)
        return hone_fail(err, HONE_ERR_NOMEM, "no memory to advise");
    a.device = device;
    st = path_is_dir(s->top.model) ? llama_config_read(&c, s->top.model, err)
                                   : llama_config_known(&c, path_base(s->top.model), err);
    if (st)
        goto out;
    a.params = (double)llama_param_count(&c);
    llama_config_finish(&c);
    because(&a, code ? "kind of data: code" : "kind of data: text",
            "%.3g MB, about %.3g tokens; --kind says otherwise", bytes / 1e6, bytes / 3.6);
    st = choose_rows(&a, err);
    if (!st)
        st = set(&a, "train.batch", "%.0f", 1, err);
    if (!st)
        st = choose_full(&full, &a, err);
    if (!st && !full)
        st = choose_adapter(&a, err);
    if (!st && full) {
        st = settings_set(s, "train.lr", "2e-5", err);
        because(&a, "train.lr 2e-5", "usual where every weight moves");
    }
    if (!st && !full)
        st = choose_format(&a, err);
    if (!st)
        st = choose_batch(&a, err);
    if (!st)
        st = settings_set(s, "train.epochs", full ? "1" : "3", err);
    because(&a, full ? "train.epochs 1" : "train.epochs 3",
            full ? "abundant data need no second pass" : "as the paper's adapters had");
    if (st)
        goto out;
    *config = config_json(&a);
    if (!*config)
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for the config");
out:
    free(device);
    return st;
}
