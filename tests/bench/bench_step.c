/*
 * bench_step.c - tokens per second of a LoRA training step, through the real trainer.
 *
 *     bench_step write FOLDER 10M|100M        a random Llama in Hugging Face format
 *     bench_step run FOLDER SEQ BATCH STEPS [BACKEND [KEY=VALUE]...]
 *                                             train on random tokens; one line. BACKEND is
 *                                             cpu/fp32, the rest are options of its device
 *
 * tools/bench/peer_lora.py does the same with PyTorch + PEFT on the same folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/train/train.h"

typedef struct shape {
    const char *name;
    int64_t vocabulary, channels, layers, heads, feed_forward;
} shape;

static const shape shapes[] = {
    { "10M", 8192, 256, 8, 4, 688 },
    { "100M", 32000, 640, 12, 10, 1728 },
};

static hone_status write_weights(const char *dir, hone_error *err)
{
    llama_config c = { 0 };
    st_writer *w = NULL;
    float *values = NULL;
    char name[256];
    char *path = path_join(dir, "model.safetensors");
    uint64_t stream = 0;
    hone_status st = llama_config_read(&c, dir, err);
    if (st || (st = st_writer_open(&w, path, err)))
        goto out;
    for (int pass = 0; pass < 2; pass++)
        for (const llama_tensor *t = llama_tensors; t->name; t++) {
            if (!llama_has(&c, t))
                continue;
            const int64_t rows = c.dim[t->rows], cols = c.dim[t->cols], n = rows * cols;
            const int64_t layers = t->flags & TENSOR_PER_LAYER ? c.layers : 1;
            for (int64_t l = 0; l < layers; l++) {
                const int64_t dims[2] = { rows, cols };
                (void)snprintf(name, sizeof name, t->name, (int)l);
                if (pass == 0) {
                    if ((st = st_writer_declare(w, name, HONE_F32, t->cols == DIM_1 ? 1 : 2, dims,
                                                err)))
                        goto out;
                    continue;
                }
                free(values);
                values = mem_new((size_t)n, sizeof *values);
                for (int64_t i = 0; values && i < n; i++)
                    values[i] = t->cols == DIM_1
                                    ? 1.0f
                                    : (float)(0.02 * rng_normal(1, stream, (uint64_t)i));
                stream++;
                st = values ? st_writer_add(w, values, (size_t)n * sizeof *values, err)
                            : hone_fail(err, HONE_ERR_NOMEM, "no memory for %s", name);
                if (st)
                    goto out;
            }
        }
    st = st_writer_commit(w, err);
    w = NULL;
out:
    st_writer_abort(w);
    free(values);
    free(path);
    llama_config_finish(&c);
    return st;
}

static hone_status write_model(const char *dir, const char *size, hone_error *err)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const shape *s = &shapes[i];
        if (strcmp(s->name, size) != 0)
            continue;
        json_t *o = json_pack(
            "{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:b, s:s, s:I}",
            "architectures", "LlamaForCausalLM", "model_type", "llama", "vocab_size",
            (json_int_t)s->vocabulary, "hidden_size", (json_int_t)s->channels, "num_hidden_layers",
            (json_int_t)s->layers, "num_attention_heads", (json_int_t)s->heads,
            "num_key_value_heads", (json_int_t)s->heads, "intermediate_size",
            (json_int_t)s->feed_forward, "max_position_embeddings", (json_int_t)4096,
            "rms_norm_eps", 1e-5, "rope_theta", 10000.0, "tie_word_embeddings", 0, "hidden_act",
            "silu", "bos_token_id", (json_int_t)1);
        char *path = path_join(dir, "config.json");
        hone_status st = dir_make(dir, err);
        if (!st)
            st = json_write(o, path, err);
        free(path);
        json_decref(o);
        return st ? st : write_weights(dir, err);
    }
    return hone_fail(err, HONE_ERR_ARG, "unknown size '%s': 10M or 100M", size);
}

typedef struct clocked {
    double last;
    double *seconds; /* per step */
    int64_t n;
} clocked;

static void on_step(void *ctx, const train_progress *p)
{
    clocked *c = ctx;
    const double now = clock_now();
    c->seconds[p->step - 1] = now - c->last;
    c->last = now;
    c->n = p->step;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* KEY=VALUE words as a JSON object, numbers as numbers; new reference. */
static json_t *device_options(char **words, int n)
{
    json_t *o = json_object();
    for (int i = 0; i < n; i++) {
        char *value = strchr(words[i], '='), *end;
        long long number;
        if (!value)
            continue;
        *value++ = '\0';
        number = strtoll(value, &end, 10);
        (void)json_object_set_new(o, words[i], *end ? json_string(value) : json_integer(number));
    }
    return o;
}

static hone_status run(const char *dir, int64_t seq, int64_t rows, int64_t steps,
                       const char *backend_name, json_t *settings, hone_error *err)
{
    registry *plugins = NULL;
    backend *back = NULL;
    model *m = NULL;
    dataset d = { 0 };
    train_result result = { 0 };
    clocked c = { 0 };
    char out[] = "/tmp/hone-bench-XXXXXX";
    const char *targets[] = { "all-linear" };
    const adapter_options adapter = { .rank = 16, .alpha = 32, .targets = { targets, 1 } };
    const model_options mo = { .dir = dir,
                               .train = TRAIN_LORA,
                               .adapter = &adapter,
                               .seed = 1,
                               .seq_len = seq,
                               .batch = rows,
                               .max_sequences = rows };
    const train_options to = { .out = out,
                               .seq_len = seq,
                               .batch = rows,
                               .accumulate = 1,
                               .packing = true,
                               .steps = steps,
                               .lr = 1e-4,
                               .clip = 1,
                               .save_every = steps,
                               .log_every = 1,
                               .eval_every = steps,
                               .keep = 1 };
    hone_status st = registry_open(&plugins, NULL, 0, err);
    if (!mkdtemp(out))
        st = hone_fail(err, HONE_ERR_IO, "%s: cannot make a folder", out);
    if (st || (st = backend_open(&back, plugins, backend_name, settings, NULL, err)) ||
        (st = model_open(&m, back, &mo, err)))
        goto out;
    d.n = (size_t)(rows * steps);
    d.rows = mem_new(d.n, sizeof *d.rows);
    c.seconds = mem_new((size_t)steps, sizeof *c.seconds);
    for (size_t i = 0; d.rows && i < d.n; i++) {
        row *r = &d.rows[i];
        *r = (row){ .ids = mem_new((size_t)seq, 4),
                    .labels = mem_new((size_t)seq, 4),
                    .n = (int32_t)seq,
                    .n_learned = (int32_t)seq - 1,
                    .id = mem_strdup("random") };
        for (int64_t k = 0; k < seq; k++) {
            const uint64_t x = rng_u64(2, i, (uint64_t)k);
            r->ids[k] = r->labels[k] = (int32_t)(x % (uint64_t)model_config(m)->dim[DIM_V]);
        }
    }
    c.last = clock_now();
    const train_hooks hooks = { .ctx = &c, .on_step = on_step };
    st = train_run(m, &d, NULL, &to, "adamw", NULL, plugins, NULL, NULL, &hooks, &result, err);
    if (st)
        goto out;
    if (c.n > 1)
        qsort(c.seconds + 1, (size_t)c.n - 1, sizeof *c.seconds,
              ascending); /* the first warms up */
    const double median = c.seconds[c.n > 1 ? 1 + (c.n - 1) / 2 : 0];
    printf("hone %s LoRA r16: %.4f s/step, %.0f tok/s, first loss %.4f, resident at most "
           "%.0f MB\n",
           backend_name, median, (double)(seq * rows) / median, result.first_loss,
           (double)result.peak_host_bytes / 1e6);
out:
    dataset_finish(&d);
    free(c.seconds);
    model_close(m);
    backend_close(back);
    plugin_shutdown_all();
    registry_close(plugins);
    (void)!dir_remove(out, NULL);
    return st;
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    hone_status st = HONE_ERR_ARG;
    if (argc == 4 && strcmp(argv[1], "write") == 0)
        st = write_model(argv[2], argv[3], &err);
    else if (argc >= 6 && strcmp(argv[1], "run") == 0) {
        json_t *settings = device_options(argv + 7, argc - 7);
        st = run(argv[2], atoll(argv[3]), atoll(argv[4]), atoll(argv[5]),
                 argc > 6 ? argv[6] : "cpu/fp32", settings, &err);
        json_decref(settings);
    } else
        (void)hone_fail(&err, st,
                        "bench_step write FOLDER 10M|100M, or run FOLDER SEQ BATCH STEPS [BACKEND "
                        "[KEY=VALUE]...]");
    if (st)
        fprintf(stderr, "bench_step: %s\n", err.message);
    return st ? 1 : 0;
}
