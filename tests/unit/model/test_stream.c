/*
 * test_stream.c - a model is quantized while it is read: the process never holds it in the
 * precision of its file, neither in memory of its own nor as pages of the file.
 *
 * A process of its own: the peak of its memory is what is looked at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "golden/model_fixture.h"
#include "temp.h"

#define MB (1 << 20)

static const char config[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 512,"
    " \"intermediate_size\": 1408, \"num_hidden_layers\": 8, \"num_attention_heads\": 8,"
    " \"num_key_value_heads\": 8, \"vocab_size\": 256, \"max_position_embeddings\": 64,"
    " \"rms_norm_eps\": 1e-5, \"hidden_act\": \"silu\", \"tie_word_embeddings\": false}";

/* The file, tensor by tensor, without ever having all of it either. */
static int64_t write_model(const char *dir)
{
    char *path = path_join(dir, "config.json"), *weights = path_join(dir, "model.safetensors");
    hone_error err = { 0 };
    llama_config c = { 0 };
    st_writer *w = NULL;
    int64_t total = 0;
    char name[128];
    CHECK_OK(file_write(path, config, sizeof config - 1, &err), err);
    CHECK_OK(llama_config_read(&c, dir, &err), err);
    CHECK_OK(st_writer_open(&w, weights, &err), err);
    for (int pass = 0; pass < 2; pass++)
        for (const llama_tensor *t = llama_tensors; t->name; t++)
            for (int64_t l = 0; llama_has(&c, t) && l < (t->flags & TENSOR_PER_LAYER ? 8 : 1);
                 l++) {
                const int64_t shape[2] = { c.dim[t->rows], c.dim[t->cols] };
                const int64_t n = shape[0] * shape[1];
                (void)snprintf(name, sizeof name, t->name, (int)l);
                if (pass == 0) {
                    CHECK_OK(
                        st_writer_declare(w, name, HONE_F32, t->cols == DIM_1 ? 1 : 2, shape, &err),
                        err);
                    continue;
                }
                float *x = malloc((size_t)n * sizeof *x);
                for (int64_t i = 0; i < n; i++)
                    x[i] = (float)(i * 7919 % 2039 - 1019) / 20000;
                CHECK_OK(st_writer_add(w, x, (size_t)n * sizeof *x, &err), err);
                total += n * (int64_t)sizeof *x;
                free(x);
            }
    CHECK_OK(st_writer_commit(w, &err), err);
    llama_config_finish(&c);
    free(path);
    free(weights);
    return total;
}

static void test_stream__a_model_is_never_there_in_full(void)
{
    hone_error err = { 0 };
    char *dir = temp_new();
    registry *plugins = golden_registry();
    backend *b = NULL;
    const int64_t full = write_model(dir);
    CHECK_OK(backend_open(&b, plugins, "cpu/nf4", NULL, NULL, &err), err);
    const model_options o = { .dir = dir };
    const int64_t before = mem_resident();
    model *m = golden_model(b, &o);
    const int64_t after = mem_resident_peak(), weights = model_bytes_of(m, BYTES_WEIGHTS);
    printf("     %lld MB of fp32 became %lld MB; the peak rose by %lld MB\n",
           (long long)(full / MB), (long long)(weights / MB), (long long)((after - before) / MB));
    CHECK(full > 90 * MB);
    CHECK(weights < full / 7);
    CHECK(after - before < full / 2);
    model_close(m);
    backend_close(b);
    registry_close(plugins);
    temp_remove(dir);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__)
    fprintf(stderr, "skipped: the sanitizer keeps what is freed\n");
    return 77;
#endif
    RUN(test_stream__a_model_is_never_there_in_full);
    return TEST_EXIT();
}
