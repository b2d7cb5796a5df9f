/*
 * bench_step.c - seconds and tokens per second of a training step, through the real trainer.
 *
 *     bench_step write FOLDER 10M|100M|1B|gpt2   a random Llama and tokens for it
 *     bench_step run FOLDER SEQ BATCH STEPS [BACKEND [KEY=VALUE]...]
 *                                                train on those tokens; one line. BACKEND is
 *                                                cpu/fp32. Keys: method=lora|full, optimizer=NAME,
 *                                                activations=0..3, planned=1 (what hone plan says of
 *                                                the time), paced=1; others are the device's
 *
 * Paced, it takes turns with another program: it waits for a line on standard input before every
 * step and answers with "step SECONDS PROCESSOR-SECONDS LOSS" (tools/bench/pairs.py).
 * tools/bench/peer_lora.py does the same with PyTorch + PEFT on the same folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/random_model.h"

typedef struct bench {
    const char *dir, *backend, *optimizer;
    int64_t seq, batch, steps;
    bool full, paced, planned;
    int64_t activations;
    json_t *device; /* owned: its options */
    char out[32];   /* folder of the run */
    double last, busy;
    double *seconds; /* owned: per step */
    int64_t n;
} bench;

static double processor_seconds(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)
               ? NAN
               : (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The other's turn, until a line comes. The end of input ends the program where it stands: what
 * follows the last step, checkpoint and result, is nobody's turn. */
static void wait_for_turn(bench *b)
{
    int c;
    (void)fflush(stdout);
    do
        c = getchar();
    while (c != '\n' && c != EOF);
    if (c == EOF) {
        (void)!dir_remove(b->out, NULL);
        _exit(0);
    }
}

static void on_step(void *ctx, const train_progress *p)
{
    bench *b = ctx;
    const double now = clock_now(), busy = processor_seconds();
    b->seconds[p->step - 1] = now - b->last;
    b->n = p->step;
    if (b->paced) {
        printf("step %.6f %.6f %.5f\n", now - b->last, busy - b->busy, p->loss);
        wait_for_turn(b);
    }
    b->last = clock_now();
    b->busy = processor_seconds();
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_line(bench *b, const train_result *r, const run_plan *plan)
{
    if (b->n > 1) /* the first warms up */
        qsort(b->seconds + 1, (size_t)b->n - 1, sizeof *b->seconds, ascending);
    const double median = b->seconds[b->n > 1 ? 1 + (b->n - 1) / 2 : 0];
    printf("hone %s %s: %.4f s/step, %.0f tok/s, first loss %.4f, resident at most %.0f MB "
           "(planned %.0f)",
           b->backend, b->full ? "full" : "LoRA r16", median, (double)(b->seq * b->batch) / median,
           r->first_loss, (double)r->peak_host_bytes / 1e6, (double)plan->resident / 1e6);
    if (b->planned)
        printf(", planned %.4f s/step, measured / planned %.2f", plan->step_seconds,
               median / plan->step_seconds);
    printf("\n");
}

static hone_status run(bench *b, hone_error *err)
{
    registry *plugins = NULL;
    backend *back = NULL;
    model *m = NULL;
    dataset d = { 0 };
    plan_data data;
    plan_rates rates = { 0 };
    run_plan plan = { 0 };
    train_result result = { 0 };
    const char *targets[] = { "all-linear" };
    const adapter_options adapter = { .rank = 16, .alpha = 32, .targets = { targets, 1 } };
    const model_options mo = { .dir = b->dir,
                               .train = b->full ? TRAIN_FULL : TRAIN_LORA,
                               .adapter = b->full ? NULL : &adapter,
                               .seed = 1,
                               .seq_len = b->seq,
                               .batch = b->batch };
    train_options to = { .method = b->full,
                         .out = b->out,
                         .seq_len = b->seq,
                         .batch = b->batch,
                         .accumulate = 1,
                         .packing = true,
                         .steps = b->steps,
                         .lr = 1e-4,
                         .clip = 1,
                         .save_every = b->steps,
                         .log_every = 1,
                         .eval_every = b->steps,
                         .keep = 1,
                         .activations = b->activations };
    hone_status st = registry_open(&plugins, NULL, 0, err);
    if (st || (st = backend_open(&back, plugins, b->backend, b->device, NULL, err)) ||
        (st = random_rows(&d, b->dir, b->batch * b->steps, b->seq, err)) ||
        (st = plan_data_of(&data, &d, NULL, &to, err)) ||
        (b->planned && (st = rates_get(&rates, back, b->full ? "full" : "lora", false, err))))
        goto out;
    rates.correction = 1; /* of the rates alone */
    const plan_input in = { .train = &to,
                            .model = &mo,
                            .back = back,
                            .plugins = plugins,
                            .optimizer = b->optimizer,
                            .adapter = &adapter,
                            .data = &data,
                            .rates = &rates };
    if ((st = run_plan_make(&plan, &m, &in, err)))
        goto out;
    if (!plan.fits) {
        st = hone_fail(err, HONE_ERR_NOMEM, "%s of %s needs %.1f GB, %.1f are free",
                       b->full ? "full fine-tuning" : "LoRA", b->dir, (double)plan.resident / 1e9,
                       (double)plan.limit / 1e9);
        goto out;
    }
    to.paged_memory = (double)plan.paged / (1 << 20);
    b->seconds = mem_new((size_t)b->steps, sizeof *b->seconds);
    if ((st = model_load(m, err)))
        goto out;
    if (b->paced) {
        printf("ready\n");
        wait_for_turn(b);
    }
    b->last = clock_now();
    b->busy = processor_seconds();
    const train_hooks hooks = { .ctx = b, .on_step = on_step };
    st = train_run(m, &d, NULL, &to, b->optimizer, NULL, plugins, NULL, NULL, &hooks, &result, err);
    if (!st)
        print_line(b, &result, &plan);
out:
    dataset_finish(&d);
    free(b->seconds);
    model_close(m);
    backend_close(back);
    plugin_shutdown_all();
    registry_close(plugins);
    return st;
}

/* KEY=VALUE words: the program's own by name, the others as options of the device. */
static hone_status parse_words(bench *b, char **words, int n, hone_error *err)
{
    for (int i = 0; i < n; i++) {
        char *value = strchr(words[i], '='), *end;
        if (!value)
            return hone_fail(err, HONE_ERR_ARG, "'%s': expected KEY=VALUE", words[i]);
        *value++ = '\0';
        const long long number = strtoll(value, &end, 10);
        if (strcmp(words[i], "method") == 0)
            b->full = strcmp(value, "full") == 0;
        else if (strcmp(words[i], "optimizer") == 0)
            b->optimizer = value;
        else if (strcmp(words[i], "activations") == 0)
            b->activations = number;
        else if (strcmp(words[i], "paced") == 0)
            b->paced = number != 0;
        else if (strcmp(words[i], "planned") == 0)
            b->planned = number != 0;
        else
            (void)json_object_set_new(b->device, words[i],
                                      *end ? json_string(value) : json_integer(number));
    }
    return HONE_OK;
}

int main(int argc, char **argv)
{
    hone_error err = { 0 };
    hone_status st = HONE_ERR_ARG;
    if (argc == 4 && strcmp(argv[1], "write") == 0)
        st = random_model_write(argv[2], argv[3], &err);
    else if (argc >= 6 && strcmp(argv[1], "run") == 0) {
        bench b = { .dir = argv[2],
                    .backend = argc > 6 ? argv[6] : "cpu/fp32",
                    .optimizer = "adamw",
                    .seq = atoll(argv[3]),
                    .batch = atoll(argv[4]),
                    .steps = atoll(argv[5]),
                    .device = json_object(),
                    .out = "/tmp/hone-bench-XXXXXX" };
        st = parse_words(&b, argv + 7, argc > 7 ? argc - 7 : 0, &err);
        if (!st && !mkdtemp(b.out))
            st = hone_fail(&err, HONE_ERR_IO, "%s: cannot make a folder", b.out);
        if (!st) {
            st = run(&b, &err);
            (void)!dir_remove(b.out, NULL);
        }
        json_decref(b.device);
    } else
        (void)hone_fail(&err, st,
                        "bench_step write FOLDER 10M|100M|1B|gpt2, or run FOLDER SEQ BATCH STEPS "
                        "[BACKEND [KEY=VALUE]...]");
    if (st)
        fprintf(stderr, "bench_step: %s\n", err.message);
    return st ? 1 : 0;
}
