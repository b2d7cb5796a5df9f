/*
 * test_memory.c - a run takes the memory that its plan says.
 *
 *     test_memory resident BACKEND lora|full OPTIMIZER ACTIVATIONS
 *     test_memory counted  BACKEND lora|full OPTIMIZER ACTIVATIONS
 *     test_memory generate BACKEND
 *
 * resident: anonymous pages of a process with 42 million parameters, within the larger of 3 % and
 * 64 MB. That hides much; so counted, on a smaller model, holds what was asked for against the
 * plan, to the byte on the device; a step asks for nothing but what oneDNN takes inside a call. One process each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/heap.h"
#include "tests/unit/train/planned.h"

#define STEPS 3
#define SMALL_THINGS (64 << 10) /* lists, names, JSON: of the run, not of the model */
#define PANELS (128 << 10)      /* of a thread in a call of dnnl_sgemm() */

typedef struct counts {
    ops *o;                  /* borrowed */
    int64_t before;          /* after step STEPS - 1 */
    int64_t buffers, work;   /* on the device, and what it took by itself, after step STEPS */
    int64_t growth, passing; /* in step STEPS: more than before; at most meanwhile */
} counts;

static void look(void *ctx, const train_progress *p)
{
    counts *c = ctx;
    if (p->step == STEPS - 1) {
        c->before = heap_now();
        heap_mark();
    }
    if (p->step == STEPS) {
        c->growth = heap_now() - c->before;
        c->passing = heap_peak() - c->before;
        c->buffers = host_bytes("cpu buffers") - (int64_t)ops_scratch_allocated(c->o);
        c->work = host_bytes("cpu scratch");
    }
}

static void check_resident(const run_plan *plan, const train_result *result, const char *what)
{
    const double off = (double)(result->peak_host_bytes - plan->resident);
    const double allowed = fmax(0.03 * (double)plan->resident, 64e6);
    printf("%s: %.1f MB planned, %.1f MB measured, off by %.1f of %.1f MB\n", what,
           (double)plan->resident / 1e6, (double)result->peak_host_bytes / 1e6, off / 1e6,
           allowed / 1e6);
    CHECK(!heap_is_counted || fabs(off) <= allowed);
}

static void check_counts(const run_plan *plan, const counts *c, uint32_t threads, const char *what)
{
    const int64_t work = plan->device[BYTES_WORKSPACE];
    printf("%s: %lld bytes on the device and %lld of its own planned, %lld and %lld taken, a step "
           "adds %lld, and %lld meanwhile\n",
           what, (long long)(plan->device_total - work + plan->paged_host), (long long)work,
           (long long)c->buffers, (long long)c->work, (long long)c->growth, (long long)c->passing);
    CHECK_INT(c->buffers, plan->device_total - work + plan->paged_host);
    CHECK(c->work <= work);
    CHECK(llabs(c->growth) <= SMALL_THINGS);
    CHECK(c->passing <= SMALL_THINGS + (int64_t)threads * PANELS);
}

/* 77: this method is not for this format. */
static int train(char **a, bool counted)
{
    hone_error err = { 0 };
    planned p;
    run_plan plan = { 0 };
    train_result result = { 0 };
    counts c = { 0 };
    model *m = NULL;
    char what[160];
    (void)snprintf(what, sizeof what, "%s %s %s, activations %s", a[0], a[1], a[2], a[3]);
    planned_init(&p, a[0], strcmp(a[1], "full") == 0, a[2], counted);
    p.train.activations = atoll(a[3]);
    p.train.steps = counted ? STEPS + 1 : 2;
    if (counted && strncmp(a[2], "paged", 5) == 0)
        p.train.paged_memory = 16; /* MiB: the least; pages come and go */
    const hone_status st = run_plan_make(&plan, &m, &p.in, &err);
    if (st == HONE_ERR_UNSUPPORTED) {
        planned_finish(&p);
        return 77;
    }
    CHECK_OK(st, err);
    CHECK(plan.fits);
    p.train.paged_memory = (double)plan.paged / (1 << 20);
    CHECK_OK(model_load(m, &err), err);
    c.o = model_ops(m);
    const train_hooks hooks = { .ctx = &c, .on_step = look };
    CHECK_OK(train_run(m, &p.rows, NULL, &p.train, a[2], NULL, fixture_plugins, NULL, NULL, &hooks,
                       &result, &err),
             err);
    CHECK_INT(result.model_bytes, plan.device_total + plan.paged_host);
    if (counted)
        check_counts(&plan, &c, backend_info(p.back)->threads, what);
    else
        check_resident(&plan, &result, what);
    model_close(m);
    planned_finish(&p);
    return 0;
}

/* A conversation: weights, a cache, buffers for a pass; and what it takes to choose a word. */
static void generate(const char *spec)
{
    static const int32_t prompt[20] = { 1, 2, 3 };
    const sampling greedy = { .max_tokens = 40 };
    hone_error err = { 0 };
    planned p;
    model *m = NULL;
    tokens out = { 0 };
    const char *why = NULL;
    planned_init(&p, spec, false, "adamw", false);
    p.model.train = TRAIN_NONE;
    p.model.adapter = NULL;
    p.model.context = 512;
    p.model.max_sequences = p.model.batch;
    CHECK_OK(model_plan(&m, p.back, &p.model, &err), err);
    const int64_t vocabulary = model_config(m)->dim[DIM_V],
                  work = model_bytes_of(m, BYTES_WORKSPACE);
    const int64_t before = mem_resident();
    CHECK(model_bytes_of(m, BYTES_CACHE) == 2 * 8 * 512 * 256 * 4);
    CHECK_OK(model_load(m, &err), err);
    for (int turn = 0; turn < 2; turn++) {
        const int64_t now = heap_now();
        heap_mark();
        model_rewind(m, 0);
        CHECK_OK(model_generate(m, prompt, 20, &greedy, NULL, 0, NULL, NULL, &out, &why, &err),
                 err);
        CHECK_STR(why, "length");
        if (turn) { /* logits, candidates, and what chose among them */
            CHECK(heap_peak() - now <= vocabulary * 32 + SMALL_THINGS);
            CHECK(heap_now() - now <= SMALL_THINGS);
        }
        tokens_finish(&out);
    }
    CHECK_INT(host_bytes("cpu buffers") - (int64_t)ops_scratch_allocated(model_ops(m)),
              model_bytes(m) - work);
    CHECK(host_bytes("cpu scratch") <= work);
    const model_host_bytes host = model_host(m);
    const int64_t later = model_bytes(m) - model_bytes_of(m, BYTES_WEIGHTS); /* than loading */
    const int64_t passing = host.load > later ? host.load - later : 0;
    const double expected = (double)(model_bytes(m) + host.staging + passing);
    const double taken = (double)(mem_resident_peak() - before);
    printf("%s generates: %.1f MB planned, %.1f MB measured\n", spec, expected / 1e6, taken / 1e6);
    CHECK(!heap_is_counted || fabs(taken - expected) <= fmax(0.03 * expected, 64e6));
    model_close(m);
    planned_finish(&p);
}

int main(int argc, char **argv)
{
    char *self[2] = { argv[0], argc > 2 ? argv[2] : NULL };
    component_row found;
    int code = 0;
    if (argc != 3 && argc != 6) {
        fprintf(stderr, "usage: test_memory resident|counted BACKEND lora|full OPTIMIZER 0..3, or "
                        "generate BACKEND\n");
        return 1;
    }
    if (!fixture_open(2, self) ||
        registry_find(&found, fixture_plugins, HONE_KIND_WEIGHTS, strchr(argv[2], '/') + 1, NULL) ||
        (argc == 6 && registry_find(&found, fixture_plugins, HONE_KIND_OPTIMIZER, argv[4], NULL)))
        return 77;
    if (argc == 6)
        code = train(argv + 2, strcmp(argv[1], "counted") == 0);
    else
        generate(argv[2]);
    return code ? code : fixture_exit();
}
