/*
 * fuzz_ignore.c - a .gitignore and a path (the line after a NUL), or an index of git.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/ignore.h"
#include "fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    work_tree t = { 0 };
    ignore_list l;
    if (n >= 4 && p[0] == 'D') {
        if (!tracked_parse(&t, p, n, n % 2 ? 20 : 32, NULL))
            for (size_t i = 0; i < t.n_tracked; i++)
                if (!work_tree_tracks(&t, t.tracked[i]))
                    abort();
        work_tree_finish(&t);
        return 0;
    }
    const uint8_t *zero = memchr(p, 0, n);
    const size_t n_list = zero ? (size_t)(zero - p) : n;
    char *path = zero ? mem_strndup((const char *)zero + 1, n - n_list - 1) : mem_strdup("a/b.c");
    if (path && path[0] && !ignore_parse(&l, (const char *)p, n_list, "", n & 1, NULL)) {
        const int said = ignore_ask(&l, path, false);
        if (said != ignore_ask(&l, path, false))
            abort();
        ignore_finish(&l);
    }
    free(path);
    return 0;
}
