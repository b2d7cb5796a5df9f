/*
 * test_curve.c - twenty steps against PEFT, PyTorch's AdamW and transformers' schedule.
 *
 * Same weights, same rows in the same order, same initial adapter: loss within 1e-4 of
 * it at every step, the norm of the gradients and the weights after the last step as well.
 * The reference's own rounding moves its loss by 1e-7, leaving out weight decay by 5e-4.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/train/fixture.h"

#define STEPS 20

typedef struct losses {
    const char *folder;
    double before, after; /* on eval.jsonl */
} losses;

static double number(const json_t *curve, const char *key, size_t i)
{
    return json_number_value(json_array_get(json_object_get(curve, key), i));
}

static void check_list(const char *out, const json_t *curve, const char *got_key,
                       const char *want_key, double tolerance)
{
    double got[STEPS + 1] = { 0 };
    size_t i;
    CHECK_INT(metric(out, got_key, got, STEPS + 1), STEPS);
    for (i = 0; i < STEPS; i++) {
        const double want = number(curve, want_key, i);
        CHECK_NEAR(got[i], want, tolerance * fabs(want));
    }
}

static void check_curve(const char *folder, int64_t method, const char *saved)
{
    char *out = scratch(folder), *path = fixture_path(folder, "curve.json");
    char *final = fixture_path(folder, "final.safetensors"), *ours = path_join(out, saved);
    hone_error err = { 0 };
    json_t *curve = NULL;
    trial t = trial_new(out);
    double learned[STEPS + 1] = { 0 }, sum = 0, first_val;
    size_t i;
    CHECK_OK(json_read(&curve, path, &err), err);
    t.base = folder;
    t.adapter_as_saved = true;
    t.n_val = 8;
    t.o.method = method;
    t.o.warmup = json_number_value(json_object_get(curve, "warmup_steps"));
    t.o.lr = json_number_value(json_object_get(curve, "lr_max"));
    t.o.weight_decay = json_number_value(json_object_get(curve, "weight_decay"));
    t.o.clip = json_number_value(json_object_get(curve, "max_grad_norm"));
    trial_ok(&t);
    CHECK_INT(t.result.steps, STEPS);
    CHECK_INT(t.result.epochs, 1);
    CHECK_STR(t.result.stopped, "done");
    check_list(out, curve, "loss", "loss", 1e-4);
    check_list(out, curve, "grad_norm", "grad_norm", 1e-3);
    check_list(out, curve, "lr", "lr", 1e-12);
    CHECK_INT(metric(out, "learned_tokens", learned, STEPS + 1), STEPS);
    for (i = 0; i < STEPS; i++) {
        sum += number(curve, "supervised", i);
        CHECK_NEAR(learned[i], sum, 0);
    }
    first_val = json_number_value(json_object_get(curve, "eval_loss_before"));
    CHECK_NEAR(t.result.first_val, first_val, 1e-5 * first_val);
    first_val = json_number_value(json_object_get(curve, "eval_loss_after"));
    CHECK_NEAR(t.val_after, first_val, 1e-4 * first_val);
    CHECK(file_distance(final, ours) < 1e-3);
    json_decref(curve);
    free(path);
    free(final);
    free(ours);
    scratch_done(out);
}

static void test_curve__lora_is_that_of_peft(void)
{
    check_curve("curve_lora", 0, "adapter/adapter_model.safetensors");
}

static void test_curve__full_is_that_of_torch(void)
{
    check_curve("curve_full", 1, "model/model.safetensors");
}

/* State in eight bits, for the smallest parameters too, moves the curve by less than the
 * bound; eight-bit moments that are wrong move it by far more. Measured: 1.3 % at most. */
static void test_curve__eight_bits_stay_near(void)
{
    char *out = scratch("eight"), *path = fixture_path("curve_full", "curve.json");
    hone_error err = { 0 };
    json_t *curve = NULL;
    trial t = trial_new(out);
    double got[STEPS + 1] = { 0 }, worst = 0;
    CHECK_OK(json_read(&curve, path, &err), err);
    t.base = "curve_full";
    t.optimizer = "adamw8bit";
    t.optimizer_options = json_pack("{s:i}", "min_8bit_size", 0);
    t.o.method = 1;
    t.o.warmup = json_number_value(json_object_get(curve, "warmup_steps"));
    t.o.lr = json_number_value(json_object_get(curve, "lr_max"));
    t.o.weight_decay = json_number_value(json_object_get(curve, "weight_decay"));
    t.o.clip = json_number_value(json_object_get(curve, "max_grad_norm"));
    trial_ok(&t);
    CHECK_INT(metric(out, "loss", got, STEPS + 1), STEPS);
    for (size_t i = 0; i < STEPS; i++)
        worst = fmax(worst, fabs(got[i] / number(curve, "loss", i) - 1));
    CHECK(worst > 1e-6); /* eight bits they are */
    CHECK(worst < 0.02);
    json_decref(curve);
    json_decref(t.optimizer_options);
    free(path);
    scratch_done(out);
}

int main(int argc, char **argv)
{
    if (!fixture_open(argc, argv))
        return 77;
    RUN(test_curve__lora_is_that_of_peft);
    RUN(test_curve__full_is_that_of_torch);
    RUN(test_curve__eight_bits_stay_near);
    return fixture_exit();
}
