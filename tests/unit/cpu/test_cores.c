/*
 * test_cores.c - quotas of control groups, from folders like those of the system.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/base.h"
#include "plugins/backends/cpu/cores.h"
#include "tests/test.h"

typedef struct row {
    const char *name;
    const char *groups;   /* /proc/self/cgroup */
    const char *files[8]; /* path, contents, path, contents, .. */
    int cores;
} row;

/* clang-format off */
static const row rows[] = {
    { "none of both", "", { NULL }, 0 },
    { "v2, no limit", "0::/\n", { "cpu.max", "max 100000\n" }, 0 },
    { "v2, a container with its own name space", "0::/\n", { "cpu.max", "250000 100000\n" }, 2 },
    { "v2, less than a core", "0::/\n", { "cpu.max", "5000 100000\n" }, 1 },
    { "v2, the group's own", "0::/user/job\n",
      { "user/job/cpu.max", "300000 100000\n", "user/cpu.max", "max 100000\n" }, 3 },
    { "v2, one above has less", "0::/user/job\n",
      { "user/job/cpu.max", "900000 100000\n", "user/cpu.max", "400000 100000\n" }, 4 },
    { "v2, a path of the host", "0::/docker/1234\n", { "cpu.max", "200000 100000\n" }, 2 },
    { "v2, outside of the name space", "0::/../other\n", { "cpu.max", "200000 100000\n" }, 2 },
    { "v1, no limit", "4:memory:/\n1:cpu:/\n",
      { "cpu/cpu.cfs_quota_us", "-1\n", "cpu/cpu.cfs_period_us", "100000\n" }, 0 },
    { "v1", "4:memory:/\n1:cpu:/\n",
      { "cpu/cpu.cfs_quota_us", "600000\n", "cpu/cpu.cfs_period_us", "100000\n" }, 6 },
    { "v1, together with cpuacct, a group below", "3:cpu,cpuacct:/a/b\n2:cpuset:/\n",
      { "cpu,cpuacct/a/b/cpu.cfs_quota_us", "50000\n", "cpu,cpuacct/a/b/cpu.cfs_period_us", "20000\n" }, 2 },
    { "v1, together, the host's path and the link", "3:cpuacct,cpu:/docker/1234\n",
      { "cpu/cpu.cfs_quota_us", "300000\n", "cpu/cpu.cfs_period_us", "100000\n" }, 3 },
    { "v1, cpuset and cpuacct are other things", "3:cpuset:/\n2:cpuacct:/\n",
      { "cpu/cpu.cfs_quota_us", "300000\n", "cpu/cpu.cfs_period_us", "100000\n" }, 0 },
    { "v1, no period", "1:cpu:/\n", { "cpu/cpu.cfs_quota_us", "300000\n" }, 0 },
    { "both, v2 without cpu", "1:cpu:/\n0::/\n",
      { "cpu/cpu.cfs_quota_us", "500000\n", "cpu/cpu.cfs_period_us", "100000\n",
        "unified/cgroup.procs", "1\n" }, 5 },
    { "both, the unified one limits", "0::/x\n", { "unified/x/cpu.max", "700000 100000\n" }, 7 },
    { "no numbers", "0::/\n", { "cpu.max", "many few\n" }, 0 },
    { "negative", "0::/\n", { "cpu.max", "-3 100000\n" }, 0 },
    { "more than there can be", "0::/\n", { "cpu.max", "99999999999 1\n" }, CORES_MAX },
    { "lines that are none", "nothing\n::\n0:\n", { "cpu.max", "200000 100000\n" }, 2 },
};
/* clang-format on */

static void put(const char *dir, const char *name, const char *bytes)
{
    hone_error err = { 0 };
    char *path = path_join(dir, name), *above = path_dir(path);
    CHECK_OK(dir_make(above, &err), err);
    CHECK_OK(file_write(path, bytes, strlen(bytes), &err), err);
    free(above);
    free(path);
}

static void test_cores__the_least_quota_of_nested_groups(void)
{
    hone_error err = { 0 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *tmp = getenv("TMPDIR");
        char *dir = path_join(tmp && tmp[0] == '/' ? tmp : "/tmp", "hone-cores-XXXXXX");
        char *root, *groups;
        int got;
        if (!dir || !mkdtemp(dir)) {
            perror("mkdtemp");
            exit(EXIT_FAILURE);
        }
        root = path_join(dir, "fs");
        groups = path_join(dir, "cgroup");
        put(dir, "cgroup", rows[i].groups);
        for (int k = 0; k < 8 && rows[i].files[k]; k += 2)
            put(root, rows[i].files[k], rows[i].files[k + 1]);
        got = cores_quota(root, groups);
        if (got != rows[i].cores) {
            fprintf(stderr, "%s: %d cores, expected %d\n", rows[i].name, got, rows[i].cores);
            test_failures++;
        }
        CHECK_OK(dir_remove(dir, &err), err);
        free(groups);
        free(root);
        free(dir);
    }
    CHECK_INT(cores_quota("/nonexistent", "/nonexistent/cgroup"), 0);
}

static void test_cores__here(void)
{
    int core[4] = { -1, -1, -1, -1 };
    CHECK(cores_in_mask(NULL, 0) >= 1);
    CHECK(cores_in_mask(core, 4) == cores_in_mask(NULL, 0) && core[0] >= 0);
    CHECK(cores_allowed() >= 1 && cores_allowed() <= cores_in_mask(NULL, 0));
}

int main(void)
{
    RUN(test_cores__the_least_quota_of_nested_groups);
    RUN(test_cores__here);
    return TEST_EXIT();
}
