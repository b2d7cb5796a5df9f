/*
 * random_model.c - a random Llama in Hugging Face format, and tokens to train it on.
 *
 * FOLDER/model.safetensors is bfloat16, as models are published; FOLDER/tokens.i32 are the ids
 * that hone and its peers take in turn, so that both see the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/random_model.h"

#include <stdlib.h>

#include "core/model/safetensors.h" /* st_write_f32 */

typedef struct shape {
    const char *name;
    int64_t vocabulary, channels, layers, heads, feed_forward;
    bool tied; /* embedding and head */
} shape;

/* gpt2 has the numbers of GPT-2 124M: two matrices of 4 x channels are three of 8/3. */
static const shape shapes[] = {
    { "10M", 8192, 256, 8, 4, 688, false },
    { "100M", 32000, 640, 12, 10, 1728, false },
    { "1B", 32000, 2048, 16, 16, 5632, false },
    { "gpt2", 50257, 768, 12, 12, 2048, true },
};

typedef struct writer {
    st_writer *file;
    float *values;  /* owned: a row of the widest tensor */
    uint16_t *half; /* owned: the same in bfloat16       */
    uint64_t stream;
} writer;

static hone_status add_tensor(writer *w, const char *name, int64_t rows, int64_t cols, bool vector,
                              bool declare, hone_error *err)
{
    const int64_t dims[2] = { rows, cols };
    hone_status st = HONE_OK;
    if (declare)
        return st_writer_declare(w->file, name, HONE_BF16, vector ? 1 : 2, dims, err);
    w->stream++;
    for (int64_t r = 0; r < rows && !st; r++) {
        for (int64_t i = 0; i < cols; i++)
            w->values[i] =
                vector ? 1.0f : (float)(0.02 * rng_normal(1, w->stream, (uint64_t)(r * cols + i)));
        (void)st_write_f32(HONE_BF16, w->values, cols, w->half);
        st = st_writer_add(w->file, w->half, (size_t)cols * sizeof *w->half, err);
    }
    return st;
}

static hone_status write_weights(const char *dir, hone_error *err)
{
    llama_config c = { 0 };
    writer w = { 0 };
    char name[256];
    char *path = path_join(dir, "model.safetensors");
    int64_t widest = 1;
    hone_status st = llama_config_read(&c, dir, err);
    if (st || (st = st_writer_open(&w.file, path, err)))
        goto out;
    for (const llama_tensor *t = llama_tensors; t->name; t++)
        if (c.dim[t->cols] > widest)
            widest = c.dim[t->cols];
    w.values = mem_new((size_t)widest, sizeof *w.values);
    w.half = mem_new((size_t)widest, sizeof *w.half);
    if (!w.values || !w.half)
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for a row of weights");
    for (int pass = 0; pass < 2; pass++)
        for (const llama_tensor *t = llama_tensors; t->name && !st; t++) {
            const int64_t layers = t->flags & TENSOR_PER_LAYER ? c.layers : 1;
            if (!llama_has(&c, t))
                continue;
            for (int64_t l = 0; l < layers && !st; l++) {
                (void)snprintf(name, sizeof name, t->name, (int)l);
                st = add_tensor(&w, name, c.dim[t->rows], c.dim[t->cols], t->cols == DIM_1,
                                pass == 0, err);
            }
        }
    if (!st) {
        st = st_writer_commit(w.file, err);
        w.file = NULL;
    }
out:
    st_writer_abort(w.file);
    free(w.values);
    free(w.half);
    free(path);
    llama_config_finish(&c);
    return st;
}

static hone_status write_tokens(const char *dir, int64_t vocabulary, hone_error *err)
{
    int32_t *ids = mem_new(RANDOM_TOKENS, sizeof *ids);
    char *path = path_join(dir, "tokens.i32");
    hone_status st = ids && path ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "no memory for tokens");
    for (uint64_t i = 0; !st && i < RANDOM_TOKENS; i++)
        ids[i] = (int32_t)(rng_u64(2, 0, i) % (uint64_t)vocabulary);
    if (!st)
        st = file_write(path, ids, RANDOM_TOKENS * sizeof *ids, err);
    free(path);
    free(ids);
    return st;
}

hone_status random_model_write(const char *dir, const char *size, hone_error *err)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const shape *s = &shapes[i];
        if (strcmp(s->name, size) != 0)
            continue;
        json_t *o = json_pack(
            "{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:b, s:s, s:I, s:s}",
            "architectures", "LlamaForCausalLM", "model_type", "llama", "vocab_size",
            (json_int_t)s->vocabulary, "hidden_size", (json_int_t)s->channels, "num_hidden_layers",
            (json_int_t)s->layers, "num_attention_heads", (json_int_t)s->heads,
            "num_key_value_heads", (json_int_t)s->heads, "intermediate_size",
            (json_int_t)s->feed_forward, "max_position_embeddings", (json_int_t)4096,
            "rms_norm_eps", 1e-5, "rope_theta", 10000.0, "tie_word_embeddings", (int)s->tied,
            "hidden_act", "silu", "bos_token_id", (json_int_t)1, "torch_dtype", "bfloat16");
        char *path = path_join(dir, "config.json");
        hone_status st = dir_make(dir, err);
        if (!st)
            st = json_write(o, path, err);
        free(path);
        json_decref(o);
        if (!st)
            st = write_weights(dir, err);
        return st ? st : write_tokens(dir, s->vocabulary, err);
    }
    return hone_fail(err, HONE_ERR_ARG, "unknown size '%s': expected %s", size, RANDOM_SIZES);
}

hone_status random_rows(dataset *d, const char *dir, int64_t n, int64_t seq, hone_error *err)
{
    char *path = path_join(dir, "tokens.i32");
    file_map file = { 0 };
    int64_t at = 0;
    hone_status st = file_map_open(&file, path, err);
    if (!st && file.n != RANDOM_TOKENS * sizeof(int32_t))
        st = hone_fail(err, HONE_ERR_FORMAT, "%s: expected %d ids", path, RANDOM_TOKENS);
    if (!st && !mem_grow(&d->rows, &d->cap, (size_t)n, sizeof *d->rows))
        st = hone_fail(err, HONE_ERR_NOMEM, "no memory for rows");
    for (; !st && d->n < (size_t)n; d->n++) {
        row *r = &d->rows[d->n];
        *r = (row){ .ids = mem_new((size_t)seq, 4),
                    .labels = mem_new((size_t)seq, 4),
                    .n = (int32_t)seq,
                    .n_learned = (int32_t)seq - 1,
                    .id = mem_strdup("random") };
        if (!r->ids || !r->labels || !r->id)
            st = hone_fail(err, HONE_ERR_NOMEM, "no memory for rows");
        for (int64_t k = 0; !st && k < seq; k++, at++) {
            memcpy(&r->ids[k], (const char *)file.p + at % RANDOM_TOKENS * 4, 4);
            r->labels[k] = r->ids[k];
        }
    }
    file_map_close(&file);
    free(path);
    return st;
}
