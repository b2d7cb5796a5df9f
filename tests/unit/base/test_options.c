/*
 * test_options.c - every type of row, from text and from JSON, and the messages.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"
#include "test.h"

#include <float.h>
#include <locale.h>
#include <unistd.h>

typedef struct config {
    int64_t steps, big;
    double lr, free_number;
    const char *name, *title, *out, *data;
    int64_t dtype;
    hone_list targets, none;
    bool packing;
} config;

/* clang-format off */
static const hone_option rows[] = {
    HONE_ROW_I64(config, steps, 1, 1000, "100", "optimizer steps"),
    HONE_ROW_I64(config, big, -9223372036854775808.0, 9223372036854775807.0, "0", "any integer"),
    HONE_ROW_F64(config, lr, 0, 1, "2e-4", "step size"),
    HONE_ROW_F64(config, free_number, -DBL_MAX, DBL_MAX, "0", "any number"),
    HONE_ROW_STRING(config, name, "run", "name of the run"),
    HONE_ROW_STRING(config, title, NULL, "title"),
    HONE_ROW_PATH(config, out, "run/out", "where results go"),
    HONE_ROW_PATH(config, data, NULL, "folder with documents"),
    HONE_ROW_ENUM(config, dtype, "fp32|fp16|bf16", "bf16", "type of numbers"),
    HONE_ROW_LIST(config, targets, "q_proj, v_proj", "matrices that get an adapter"),
    HONE_ROW_LIST(config, none, NULL, "a list"),
    HONE_ROW_BOOL(config, packing, "on", "pack samples"),
    HONE_OPTIONS_END,
};
/* clang-format on */

static void test_options__defaults_come_from_the_rows(void)
{
    hone_error err = { 0 };
    options o;
    config c;
    CHECK_OK(options_init(&o, rows, &c, "train", "/conf", &err), err);
    CHECK_INT(c.steps, 100);
    CHECK_INT(c.big, 0);
    CHECK_NEAR(c.lr, 2e-4, 0);
    CHECK_STR(c.name, "run");
    CHECK(c.title == NULL && c.data == NULL);
    CHECK_STR(c.out, "/conf/run/out");
    CHECK_INT(c.dtype, 2);
    CHECK_INT(c.targets.n, 2);
    CHECK_STR(c.targets.items[0], "q_proj");
    CHECK_STR(c.targets.items[1], "v_proj");
    CHECK(c.none.n == 0 && c.none.items == NULL);
    CHECK(c.packing == true);
    CHECK(!options_given(&o, "lr"));
    options_finish(&o);
}

int main(void)
{
    RUN(test_options__defaults_come_from_the_rows);
    return TEST_EXIT();
}
