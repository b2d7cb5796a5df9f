/*
 * test_base.c - a base that changes while its adapter is trained: nothing is saved, and said why.
 *
 *     test_base BACKEND
 *
 * One byte of one frozen weight is changed between two steps, as faulty memory or a kernel
 * that writes beside its output would; in the first block, the last one, the head, and (of
 * a packed format) in every plane.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/impl.h"
#include "tests/unit/train/planned.h"

typedef struct fault {
    model *m; /* borrowed */
    int64_t layer;
    int which;
    uint32_t plane;
    bool last_byte;
} fault;

static void strike(void *ctx, const train_progress *p)
{
    const fault *f = ctx;
    hone_error err = { 0 };
    uint8_t byte = 0;
    if (p->step != 1 || !f->m)
        return;
    const hone_tensor *t = &weight_at(f->m, f->layer, f->which)->w.plane[f->plane];
    const uint64_t bytes = (uint64_t)hone_tensor_count(t) * hone_dtype_size(t->dtype);
    const uint64_t at = t->offset + (f->last_byte ? bytes - 1 : 0);
    CHECK_OK(ops_download(f->m->o, &byte, t->buf, at, 1, &err), err);
    byte ^= 1;
    CHECK_OK(ops_upload(f->m->o, t->buf, at, &byte, 1, &err), err);
}

/* f->which < 0: nothing happens to it. */
static void run_with(fault *f)
{
    hone_error err = { 0 };
    planned p;
    run_plan planned_run = { 0 };
    train_result result = { 0 };
    model *m = NULL;
    planned_init(&p, fixture_backend, false, "adamw", true);
    p.train.steps = 2;
    CHECK_OK(run_plan_make(&planned_run, &m, &p.in, &err), err);
    CHECK_OK(model_load(m, &err), err);
    f->m = f->which < 0 ? NULL : m;
    if (f->m && f->plane >= weight_at(m, f->layer, f->which)->w.n_planes)
        goto out;
    const train_hooks hooks = { .ctx = f, .on_step = strike };
    const hone_status st = train_run(m, &p.rows, NULL, &p.train, "adamw", NULL, fixture_plugins,
                                     NULL, NULL, &hooks, &result, &err);
    char *adapter = path_join(p.train.out, "adapter");
    if (f->m) {
        CHECK_INT(st, HONE_ERR_DEVICE);
        CHECK_HAS(err.message, "the base model's weights changed while its adapter was trained");
        CHECK(!path_exists(adapter));
    } else {
        CHECK_OK(st, err);
        CHECK(path_exists(adapter));
    }
    free(adapter);
out:
    model_close(m);
    planned_finish(&p);
}

static void test_base__left_alone_the_adapter_is_saved(void)
{
    run_with(&(fault){ .which = -1 });
}

static void test_base__one_bit_is_seen(void)
{
    static const fault cases[] = {
        { .layer = 0, .which = W_Q },
        { .layer = 3, .which = W_DOWN, .last_byte = true },
        { .layer = 1, .which = W_GATE, .plane = 1 },
        { .layer = 1, .which = W_GATE, .plane = 2, .last_byte = true },
        { .layer = 0, .which = W_HEAD, .last_byte = true },
        { .layer = 2, .which = W_ATTN_NORM },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fault f = cases[i];
        run_with(&f);
    }
}

int main(int argc, char **argv)
{
    component_row found;
    if (!fixture_open(argc, argv) || registry_find(&found, fixture_plugins, HONE_KIND_WEIGHTS,
                                                   strchr(fixture_backend, '/') + 1, NULL))
        return 77;
    RUN(test_base__left_alone_the_adapter_is_saved);
    RUN(test_base__one_bit_is_seen);
    return fixture_exit();
}
