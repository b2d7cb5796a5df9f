/*
 * test_parts.c - several conversations in one cache give what each gives alone; hidden states are
 * pooled by sequence.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "golden/model_fixture.h"

#define SEQUENCES 3
#define ROOM 20 /* rows of the cache for each */

static registry *plugins;
static const char *const families[] = { "llama", "mistral", "qwen3" };

/* Ids that differ between sequences. */
static int32_t id_of(int64_t sequence, int64_t i)
{
    return (int32_t)(3 + (sequence * 31 + i * 7) % 90);
}

/* How many ids of each sequence a step feeds; 0: it sits this step out. */
static const int64_t steps[][SEQUENCES] = {
    { 4, 0, 0 }, { 0, 9, 1 }, { 1, 1, 3 }, { 1, 0, 1 }, { 6, 1, 1 },
};

static void feed_parts(model *m, float *logits, int64_t vocab, float *alone)
{
    hone_error err = { 0 };
    int64_t past[SEQUENCES] = { 0 };
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        model_part parts[SEQUENCES];
        int32_t ids[SEQUENCES][ROOM], which[SEQUENCES];
        size_t n = 0;
        for (int s = 0; s < SEQUENCES; s++) {
            if (!steps[k][s])
                continue;
            for (int64_t i = 0; i < steps[k][s]; i++)
                ids[s][i] = id_of(s, past[s] + i);
            which[n] = s;
            parts[n++] = (model_part){ s * ROOM, past[s], ids[s], steps[k][s] };
            past[s] += steps[k][s];
        }
        CHECK_OK(model_feed_parts(m, parts, n, logits, &err), err);
        /* the same from the beginning, alone, at the other end of the cache's rows */
        for (size_t i = 0; i < n; i++) {
            const int s = which[i];
            int32_t all[ROOM];
            for (int64_t j = 0; j < past[s]; j++)
                all[j] = id_of(s, j);
            const model_part one = { SEQUENCES * ROOM, 0, all, past[s] };
            CHECK_OK(model_feed_parts(m, &one, 1, alone, &err), err);
            CHECK_WITHIN("a part beside others",
                         golden_error(logits + i * (size_t)vocab, alone, vocab), 2e-6);
        }
    }
}

static void test_parts__are_as_each_alone(void)
{
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (size_t i = 0; i < SETTING_COUNT; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "models/%s", families[f]);
            char *dir = golden_path(name);
            backend *b = golden_backend(plugins, &settings[i]);
            const model_options o = { .dir = dir,
                                      .max_sequences = 2 * SEQUENCES,
                                      .context = (SEQUENCES + 1) * ROOM };
            model *m = golden_model(b, &o);
            const int64_t vocab = model_config(m)->dim[DIM_V];
            float *logits = malloc(SEQUENCES * (size_t)vocab * sizeof *logits);
            float *alone = malloc((size_t)vocab * sizeof *alone);
            hone_error err = { 0 };
            int32_t all[ROOM];
            feed_parts(m, logits, vocab, alone);
            /* and as model_feed() has it */
            for (int j = 0; j < 7; j++)
                all[j] = id_of(0, j);
            const model_part one = { ROOM, 0, all, 7 };
            CHECK_OK(model_feed_parts(m, &one, 1, logits, &err), err);
            CHECK_INT(model_fed(m), 0);
            CHECK_OK(model_feed(m, all, 7, alone, &err), err);
            CHECK_WITHIN("a part beside model_feed()", golden_error(logits, alone, vocab), 2e-6);
            free(logits);
            free(alone);
            model_close(m);
            backend_close(b);
            free(dir);
        }
}

static void test_parts__that_do_not_fit_are_refused(void)
{
    char *dir = golden_path("models/llama");
    backend *b = golden_backend(plugins, &settings[0]);
    const model_options o = { .dir = dir, .max_sequences = 4, .context = 16 };
    model *m = golden_model(b, &o);
    const int32_t ids[20] = { 1 }, bad[1] = { 1 << 20 };
    const struct {
        model_part parts[3];
        size_t n;
        hone_status status;
    } cases[] = {
        { { { 0, 0, ids, 17 } }, 1, HONE_ERR_LIMIT },
        { { { 0, 10, ids, 7 } }, 1, HONE_ERR_LIMIT },
        { { { 20, 0, ids, 1 } }, 1, HONE_ERR_LIMIT },
        { { { 0, 0, ids, 4 }, { 3, 0, ids, 4 } }, 2, HONE_ERR_LIMIT },
        { { { 0, 0, ids, 1 }, { 4, 0, ids, 1 }, { 8, 0, ids, 1 } }, 3, HONE_ERR_LIMIT },
        { { { 0, 0, bad, 1 } }, 1, HONE_ERR_ARG },
        { { { 0, 0, ids, 0 } }, 1, HONE_ERR_LIMIT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_error err = { 0 };
        CHECK_INT(model_feed_parts(m, cases[i].parts, cases[i].n, NULL, &err), cases[i].status);
    }
    model_close(m);
    backend_close(b);
    free(dir);
}

static void test_parts__hidden_states_are_pooled_by_sequence(void)
{
    char *dir = golden_path("models/llama");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        backend *b = golden_backend(plugins, &settings[i]);
        const model_options o = { .dir = dir, .seq_len = 32, .batch = 1, .max_sequences = 4 };
        model *m = golden_model(b, &o);
        const int64_t c = model_config(m)->dim[DIM_C];
        static const int32_t lengths[3] = { 5, 1, 8 };
        float *both = malloc(3 * (size_t)c * sizeof *both),
              *alone = malloc((size_t)c * sizeof *alone);
        hone_error err = { 0 };
        batch in = { 0 };
        for (int pass = -1; pass < 3; pass++) { /* all, then each alone */
            CHECK_OK(batch_init(&in, 32, 1, 4, &err), err);
            for (int s = pass < 0 ? 0 : pass; s < (pass < 0 ? 3 : pass + 1); s++) {
                for (int32_t j = 0; j < lengths[s]; j++) {
                    in.ids[in.n] = id_of(s, j);
                    in.position[in.n] = j;
                    in.seg_start[in.n] = in.n - j;
                    in.n++;
                }
                in.cu[++in.n_sequences] = in.n;
                in.longest = lengths[s] > in.longest ? lengths[s] : in.longest;
            }
            CHECK_OK(model_embed(m, &in, pass < 0 ? both : alone, &err), err);
            if (pass >= 0)
                CHECK_WITHIN("pooled", golden_error(both + pass * c, alone, c), 2e-6);
            batch_finish(&in);
        }
        CHECK(golden_error(both, both + c, c) > 0.1); /* they differ */
        free(both);
        free(alone);
        model_close(m);
        backend_close(b);
    }
    free(dir);
}

int main(void)
{
    plugins = golden_registry();
    RUN(test_parts__are_as_each_alone);
    RUN(test_parts__that_do_not_fit_are_refused);
    RUN(test_parts__hidden_states_are_pooled_by_sequence);
    registry_close(plugins);
    return TEST_EXIT();
}
