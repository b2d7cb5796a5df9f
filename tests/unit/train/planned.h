/*
 * planned.h - a run on a model of random weights, up to its plan.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_TRAIN_PLANNED_H
#define TESTS_UNIT_TRAIN_PLANNED_H

#include "core/train/plan_parts.h"
#include "tests/unit/train/fixture.h"

/* 42 million parameters, 168 MB in float32; 3 million of the same kinds. */
static const char *const planned_configs[] = {
    "{\"model_type\":\"llama\",\"vocab_size\":16384,\"hidden_size\":512,\"intermediate_size\":1376,"
    "\"num_hidden_layers\":8,\"num_attention_heads\":8,\"num_key_value_heads\":4,"
    "\"max_position_embeddings\":1024,\"tie_word_embeddings\":false}",
    "{\"model_type\":\"llama\",\"vocab_size\":4096,\"hidden_size\":192,\"intermediate_size\":512,"
    "\"num_hidden_layers\":4,\"num_attention_heads\":6,\"num_key_value_heads\":3,"
    "\"max_position_embeddings\":1024,\"tie_word_embeddings\":false}",
};

/* Rows of random ids, 60 to 128 of them. */
static inline dataset planned_rows(size_t n)
{
    dataset d = { 0 };
    CHECK(mem_grow(&d.rows, &d.cap, n, sizeof *d.rows));
    for (d.n = 0; d.n < n; d.n++) {
        row *r = &d.rows[d.n];
        *r = (row){ .n = (int32_t)(60 + rng_u64(1, 2, d.n) % 69) };
        r->ids = mem_new((size_t)r->n, sizeof *r->ids);
        r->labels = mem_new((size_t)r->n, sizeof *r->labels);
        for (int32_t i = 0; i < r->n; i++)
            r->ids[i] = r->labels[i] = (int32_t)(rng_u64(3, d.n, (uint64_t)i) % 4096);
        r->n_learned = r->n - 1;
    }
    fixture_hash(&d);
    return d;
}

typedef struct planned {
    train_options train;
    adapter_options adapter;
    model_options model;
    plan_data data;
    plan_input in;
    dataset rows;
    backend *back;
    char *dir; /* owned: a folder with config.json */
} planned;

static const char *const planned_targets[] = { "all-linear" };

static inline void planned_init(planned *p, const char *spec, bool full, const char *opt,
                                bool small)
{
    hone_error err = { 0 };
    *p = (planned){ .train = trial_new(NULL).o, .rows = planned_rows(24) };
    p->dir = scratch("plan");
    CHECK_OK(dir_make(p->dir, &err), err);
    char *path = path_join(p->dir, "config.json");
    CHECK_OK(file_write(path, planned_configs[small], strlen(planned_configs[small]), &err), err);
    free(path);
    p->train.method = full;
    p->train.seq_len = 128;
    p->train.batch = 2;
    p->train.accumulate = 2;
    p->train.steps = 3;
    p->train.out = path_join(p->dir, "run");
    p->adapter = (adapter_options){ .rank = 8, .alpha = 16, .targets = { planned_targets, 1 } };
    p->model = (model_options){ .dir = p->dir,
                                .train = full ? TRAIN_FULL : TRAIN_LORA,
                                .adapter = full ? NULL : &p->adapter,
                                .fresh = true,
                                .seq_len = p->train.seq_len,
                                .batch = p->train.batch };
    CHECK_OK(backend_open(&p->back, fixture_plugins, spec, NULL, NULL, &err), err);
    CHECK_OK(plan_data_of(&p->data, &p->rows, NULL, &p->train, &err), err);
    p->in = (plan_input){ .train = &p->train,
                          .model = &p->model,
                          .back = p->back,
                          .plugins = fixture_plugins,
                          .optimizer = opt,
                          .adapter = &p->adapter,
                          .data = &p->data };
}

static inline void planned_finish(planned *p)
{
    hone_error err = { 0 };
    backend_close(p->back);
    dataset_finish(&p->rows);
    CHECK_OK(dir_remove(p->dir, &err), err);
    free((char *)(uintptr_t)p->train.out);
    free(p->dir);
}

#endif /* TESTS_UNIT_TRAIN_PLANNED_H */
