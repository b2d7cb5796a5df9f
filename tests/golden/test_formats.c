/*
 * test_formats.c - training through each weight format against the fp32 curves of PEFT and
 * PyTorch: the loss of twenty steps stays within a stated share of it.
 *
 *     test_formats DEVICE [KERNELS]     of the cpu device's option
 *
 * The bounds are about twice what was measured; the base's weights are N(0, 0.25), drawn
 * wide, which is harder on a format than trained weights are. That the base stays as it was
 * is checked by every run itself (train_result.base_hash).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/train/fixture.h"

#define STEPS 20

static const char *device = "cpu";

/* clang-format off */
static const struct format {
    const char *name;
    double lora, full; /* largest |loss - fp32's| / fp32's; full 0: refused */
} formats[] = {
    { "fp16", 3e-4, 3e-4 }, { "bf16", 4e-3, 1e-3 }, { "int8", 1e-2, 0 }, { "nf4", 6e-2, 0 },
};
/* clang-format on */

static char spec[64];

static void use(const struct format *f)
{
    (void)snprintf(spec, sizeof spec, "%s/%s", device, f->name);
    fixture_backend = spec;
}

static trial curve_trial(const char *folder, int64_t method, char *out, json_t **curve)
{
    char *path = fixture_path(folder, "curve.json");
    hone_error err = { 0 };
    trial t = trial_new(out);
    CHECK_OK(json_read(curve, path, &err), err);
    t.base = folder;
    t.adapter_as_saved = true;
    t.o.method = method;
    t.o.warmup = json_number_value(json_object_get(*curve, "warmup_steps"));
    t.o.lr = json_number_value(json_object_get(*curve, "lr_max"));
    t.o.weight_decay = json_number_value(json_object_get(*curve, "weight_decay"));
    t.o.clip = json_number_value(json_object_get(*curve, "max_grad_norm"));
    free(path);
    return t;
}

/* What trains: adapters and nothing else. */
static void only_adapters(void *ctx, model *m)
{
    (void)ctx;
    for (size_t i = 0; i < model_param_count(m); i++)
        CHECK(strstr(model_param(m, i)->name, ".lora_") != NULL);
}

static void check_curve(const struct format *f, const char *folder, int64_t method, double bound)
{
    char *out = scratch(f->name);
    json_t *curve = NULL;
    double loss[STEPS + 1] = { 0 }, worst = 0;
    trial t = curve_trial(folder, method, out, &curve);
    use(f);
    CHECK_OK(trial_run(&t, method == 0 ? only_adapters : NULL, NULL), t.err);
    CHECK_INT(metric(out, "loss", loss, STEPS + 1), STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        const double want = json_number_value(json_array_get(json_object_get(curve, "loss"), i));
        worst = fmax(worst, fabs(loss[i] - want) / want);
    }
    printf("     %s, %s: off the fp32 curve by %.2g at most, allowed %.2g\n", spec,
           method == 0 ? "lora" : "full", worst, bound);
    CHECK(worst <= bound);
    CHECK(worst > 1e-7); /* it did go through the format */
    CHECK(loss[STEPS - 1] < loss[0]);
    json_decref(curve);
    scratch_done(out);
}

static void test_formats__lora_follows_the_fp32_curve(void)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        check_curve(&formats[i], "curve_lora", 0, formats[i].lora);
}

static void test_formats__full_follows_the_fp32_curve_or_is_refused(void)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (formats[i].full > 0) {
            check_curve(&formats[i], "curve_full", 1, formats[i].full);
            continue;
        }
        char *out = scratch(formats[i].name);
        json_t *curve = NULL;
        trial t = curve_trial("curve_full", 1, out, &curve);
        use(&formats[i]);
        CHECK(trial_run(&t, NULL, NULL) == HONE_ERR_UNSUPPORTED);
        CHECK_HAS(t.err.message, "full fine-tuning needs weights in fp32, bf16 or fp16");
        json_decref(curve);
        scratch_done(out);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        device = argv[1];
    fixture_device = argc > 2 ? json_pack("{s:s}", "kernels", argv[2]) : NULL;
    use(&formats[0]);
    if (!fixture_open(2, (char *[]){ argv[0], spec, NULL }))
        return 77;
    RUN(test_formats__lora_follows_the_fp32_curve);
    RUN(test_formats__full_follows_the_fp32_curve_or_is_refused);
    return fixture_exit();
}
