/*
 * fuzz_dataset.c - any bytes as a dataset: what is read must load, and what loads must
 * pack, with every learned token learned once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"

#include "unit/data/tiny_model.h"

static tokenizer *t;     /* one for all inputs */
static chat_template *c; /* likewise */

static void open_once(void)
{
    static const char *const marks[] = { "<|im_start|>", "<|im_end|>", NULL };
    text json = { 0 };
    hone_error err = { 0 };
    if (t)
        return;
    tiny_json(&json, true, marks);
    if (tokenizer_from_json(&t, json.p, json.n, &err) ||
        chat_template_open(&c, "chatml", NULL, t, &err)) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    text_finish(&json);
}

static void pack(const dataset *d, int64_t seq_len, bool packing)
{
    const plan_options o = {
        .seq_len = seq_len, .batch = 2, .packing = packing, .shuffle = packing, .seed = d->n
    };
    epoch_plan p = { 0 };
    batch b = { 0 };
    hone_error err = { 0 };
    int64_t learned = 0;
    if (epoch_plan_make(&p, d, &o, 0, &err) || batch_init(&b, seq_len, 2, p.max_sequences, &err))
        abort();
    for (int64_t i = 0; i < p.n_batches; i++) {
        epoch_plan_batch(&p, d, &o, i, &b);
        learned += b.n_learned;
    }
    if (learned != d->report.learned)
        abort();
    batch_finish(&b);
    epoch_plan_finish(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    const int64_t seq_len = 2 + (n ? p[n - 1] : 0);
    const dataset_options o = { .seq_len = seq_len,
                                .over_long = n % 4,
                                .raw_bos = true,
                                .raw_eos = n % 2,
                                .keep_duplicates = n % 3 == 0 };
    dataset d = { 0 }, val = { 0 };
    hone_error err = { 0 };
    open_once();
    if (dataset_load_bytes(&d, &o, (const char *)p, n, "f", t, c, &err)) {
        if (!err.code || !*err.message || d.n)
            abort();
        return 0;
    }
    pack(&d, seq_len, true);
    pack(&d, seq_len, false);
    if (dataset_split(&d, &val, 0.25, n, &err))
        abort();
    dataset_finish(&d);
    dataset_finish(&val);
    return 0;
}
