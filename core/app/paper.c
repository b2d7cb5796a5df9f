/*
 * paper.c - docs/paper-tables.md: the tables of "Fine Tuning LLMs for Enterprise: Practical
 * Guidelines and Recommendations" (Raj J et al. 2024) beside what physics and the plan say.
 *
 * A row is what the paper prints; what it leaves out is assumed and said so. Nothing depends
 * on this machine: the page is the same wherever it is written.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>

#include "core/app/setup.h"

typedef struct paper_row {
    const char *name, *shape, *format;
    bool full;
    int64_t seq_len, batch, accumulate;
    int64_t steps; /* 0: from tokens and epochs */
    double tokens; /* of an epoch */
    double epochs;
    double host, device; /* GB, as printed */
    double minutes;
} paper_row;

typedef struct paper_table {
    const char *title, *assumed;
    const paper_row *rows;
    size_t n;
} paper_table;

/* clang-format off */
#define TEXT_TOKENS 16500 /* 60 KB at 3.64 bytes a token */
#define CODE_TOKENS (60 * 4096.0)
static const paper_row table2[] = {
    { "Llama 2 Chat 7B, LoRA",   "llama-2-7b",  "bf16", false, 2048, 1, 1, 0, TEXT_TOKENS, 3, 6, 18, 15 },
    { "Llama 2 Chat 13B, LoRA",  "llama-2-13b", "bf16", false, 2048, 1, 1, 0, TEXT_TOKENS, 3, 6, 26, 25 },
    { "Llama 2 Chat 70B, QLoRA", "llama-2-70b", "nf4",  false, 2048, 1, 1, 0, TEXT_TOKENS, 3, 7, 65, 40 },
};
static const paper_row table5[] = {
    { "7B, 4096, FP32, 1 x 2",  "llama-2-7b",  "fp32", true, 4096, 1, 2, 254, 0, 0, 54, 80, 57 },
    { "7B, 4096, FP16, 2 x 4",  "llama-2-7b",  "fp16", true, 4096, 2, 4, 63,  0, 0, 54, 80, 33 },
    { "7B, 2048, FP16, 4 x 8",  "llama-2-7b",  "fp16", true, 2048, 4, 8, 16,  0, 0, 54, 80, 10 },
    { "13B, 4096, FP32, 1 x 2", "llama-2-13b", "fp32", true, 4096, 1, 2, 254, 0, 0, 102, 80, 110 },
    { "13B, 4096, FP16, 2 x 4", "llama-2-13b", "fp16", true, 4096, 2, 4, 127, 0, 0, 102, 80, 75 },
    { "13B, 2048, FP16, 4 x 8", "llama-2-13b", "fp16", true, 2048, 4, 8, 16,  0, 0, 102, 80, 25 },
};
static const paper_row table8[] = {
    { "Code Llama 7B, LoRA",  "code-llama-7b",  "bf16", false, 4096, 1, 1, 0, CODE_TOKENS, 3, 6, 18, 23 },
    { "Code Llama 13B, LoRA", "code-llama-13b", "bf16", false, 4096, 1, 1, 0, CODE_TOKENS, 3, 6, 26, 25 },
    { "Code Llama 7B, QLoRA", "code-llama-7b",  "nf4",  false, 4096, 1, 1, 0, CODE_TOKENS, 3, 7, 15, 10 },
};
static const paper_row table9[] = {
    { "7B, 4096, FP16, 2 x 2",  "code-llama-7b",  "fp16", true, 4096, 2, 2, 0, CODE_TOKENS, 3, 54, 57, 10 },
    { "7B, 4096, FP16, 2 x 4",  "code-llama-7b",  "fp16", true, 4096, 2, 4, 0, CODE_TOKENS, 3, 54, 46, 38 },
    { "7B, 2048, FP16, 4 x 8",  "code-llama-7b",  "fp16", true, 2048, 4, 8, 0, CODE_TOKENS, 3, 54, 59, 10 },
    { "13B, 4096, FP32, 2 x 2", "code-llama-13b", "fp32", true, 4096, 2, 2, 0, CODE_TOKENS, 3, 102, 53, 9 },
    { "13B, 4096, FP16, 2 x 4", "code-llama-13b", "fp16", true, 4096, 2, 4, 0, CODE_TOKENS, 3, 102, 53, 18 },
    { "13B, 2048, FP16, 4 x 8", "code-llama-13b", "fp16", true, 2048, 4, 8, 0, CODE_TOKENS, 3, 102, 62, 33 },
};
#define TABLE(title, assumed, rows) { title, assumed, rows, sizeof rows / sizeof *rows }
static const paper_table tables[] = {
    TABLE("Table 2: largest PEFT configurations of Llama 2",
        "Not in the paper, assumed: micro-batches of 1 x 2048 tokens, an update after each; rank 16 on all linear layers; "
        "the weights of LoRA in 16 bits; 60 KB are 16,500 tokens, and no row is padded. Padding every one of its 33 rows to "
        "2048 makes the floor of time 4.1 times as long.", table2),
    TABLE("Table 5: full fine-tuning of Llama 2 Chat",
        "Steps are the paper's; every micro-batch is taken to be full. Adam's states are paged to host memory: 8 bytes a "
        "parameter are the 54 and 102 GB that the paper prints.", table5),
    TABLE("Table 8: PEFT of Code Llama",
        "Not in the paper, assumed: micro-batches of 1 x 4096 tokens, an update after each; rank 16 on all linear layers; its "
        "60 rows are cut to 4096 tokens (all 10 MB would be 3.0 million tokens, 4 times as many). That QLoRA took less time than LoRA is no "
        "physics: another setting differed.", table8),
    TABLE("Table 9: full fine-tuning of Code Llama",
        "Not in the paper, assumed: 3 epochs of 60 rows cut to 4096 tokens; states paged as in table 5.", table9),
};
/* clang-format on */

static const char *const all_linear[] = { "all-linear" };

/* The least device memory that mathematics leaves: weights as stored, gradients in the type of
 * the weights (full), adapters with master, gradient and two states in float32 (LoRA), and the
 * input of every block in 16 bits. */
static double floor_bytes(const paper_row *r, const run_plan *p, const model *m)
{
    const llama_config *c = model_config(m);
    const double kept = (double)(c->layers * c->dim[DIM_C] * r->seq_len * r->batch) * 2;
    const double each = r->format[0] == 'f' && r->format[2] == '3' ? 4 : 2;
    if (r->full)
        return (double)p->params * 2 * each + kept;
    return (double)p->device[BYTES_WEIGHTS] + (double)p->trained * 16 + kept;
}

static hone_status plan_row(text *out, const paper_row *r, registry *plugins, hone_error *err)
{
    const double batches = r->steps ? (double)(r->steps * r->accumulate)
                                    : ceil(r->tokens / (double)(r->seq_len * r->batch));
    const double n = r->steps ? batches * (double)(r->seq_len * r->batch) : r->tokens;
    const double windows = ceil(batches / (double)r->accumulate);
    const adapter_options adapter = { .rank = 16, .alpha = 32, .targets = { all_linear, 1 } };
    train_options train = { .method = r->full,
                            .seq_len = r->seq_len,
                            .batch = r->batch,
                            .accumulate = r->accumulate,
                            .epochs = r->steps ? 1 : r->epochs,
                            .keep = 1,
                            .paged_memory = r->full ? 1 << 20 : 0 };
    const model_options options_ = { .shape = r->shape,
                                     .train = r->full ? TRAIN_FULL : TRAIN_LORA,
                                     .adapter = r->full ? NULL : &adapter,
                                     .seq_len = r->seq_len,
                                     .batch = r->batch };
    const plan_data data = { .rows = (int64_t)batches * r->batch,
                             .tokens = (int64_t)n,
                             .learned = (int64_t)n,
                             .batches = (int64_t)batches,
                             .steps = r->steps ? r->steps : (int64_t)(windows * r->epochs),
                             .context = (double)r->seq_len,
                             .max_sequences = r->batch };
    plan_input in = { .train = &train,
                      .model = &options_,
                      .plugins = plugins,
                      .optimizer = r->full ? "paged-adamw" : "adamw",
                      .adapter = &adapter,
                      .data = &data,
                      .device = device_row_find("a100-80gb") };
    backend *back = NULL;
    model *m = NULL;
    run_plan p = { 0 }, least = { 0 };
    hone_status st = backend_open_absent(&back, plugins, "a100-80gb", r->format, NULL, err);
    in.back = back;
    if (!st)
        st = run_plan_make(&p, &m, &in, err);
    train.activations = ACTIVATIONS_INPUT;
    if (!st)
        st = run_plan_make(&least, NULL, &in, err);
    if (st)
        goto out;
    const double floor_minutes = p.floor_seconds * (double)p.steps / 60;
    text_printf(
        out, "| %s | %.0f | %.1f | %.1f | %s%.1f%s | %.0f | %.1f | %.0f | %.2f | %.1f | %.3g |\n",
        r->name, r->device, floor_bytes(r, &p, m) / 1e9, (double)least.device_total / 1e9,
        p.fits ? "" : "(", (double)p.device_total / 1e9, p.fits ? "" : ")", r->host,
        (double)p.paged_host / 1e9, r->minutes, floor_minutes, p.total_seconds / 60,
        r->minutes / floor_minutes);
out:
    model_close(m);
    backend_close(back);
    return st;
}

hone_status paper_tables(text *out, registry *plugins, hone_error *err)
{
    hone_status st = HONE_OK;
    text_puts(out,
              "# The paper's tables, beside the floor and the plan\n\n"
              "Written by `./dev docs` (`hone plan --paper`). The tables are those of *Fine Tuning "
              "LLMs for\n"
              "Enterprise: Practical Guidelines and Recommendations* (Raj J et al. 2024), measured "
              "by its authors on an\n"
              "A100 80 GB. GB are 10^9 bytes; an A100 has 85.9 of them.\n\n"
              "- **floor**, memory: weights as stored; adapters with float32 master, gradient and "
              "two states, or\n"
              "  gradients in the type of the weights; the input of every block in 16 bits. No "
              "buffer of a program.\n"
              "- **floor**, time: the operations of the run over 312 Tflop/s (19.5 in float32), "
              "the update over the memory's bandwidth\n"
              "  or, where states are paged, over PCIe. No loading, no evaluation.\n"
              "- **plan**: what `hone plan --device a100-80gb` computes, from the same code that "
              "allocates a run's\n"
              "  memory: activations in float32, blocks kept as far as 80 GB allow; time at half "
              "of the peak.\n"
              "  There is no such device in hone yet: the plan says what its memory would be.\n");
    for (size_t i = 0; i < sizeof tables / sizeof *tables && !st; i++) {
        text_printf(out,
                    "\n## %s\n\n%s\n\n"
                    "| row | GPU GB: paper | floor | plan, least | plan, chosen | CPU GB: paper | "
                    "plan, paged | minutes: paper | floor | plan | paper / floor |\n"
                    "|---|---|---|---|---|---|---|---|---|---|---|\n",
                    tables[i].title, tables[i].assumed);
        for (size_t k = 0; k < tables[i].n && !st; k++)
            st = plan_row(out, &tables[i].rows[k], plugins, err);
    }
    return st ? st : text_status(out, err);
}
