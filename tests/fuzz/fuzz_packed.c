/*
 * fuzz_packed.c - any bytes as a packed file of rows: it is refused, or its rows are sound and give
 * the report's hash again.
 *
 * Seeds have the key "{}"; bytes that begin with "HONEROWS" are a whole file, others the part
 * between a good head and end, so that rows are reached though an end holds a hash: of no row.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/dataset.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEY "{}"

static void check_rows(const dataset *d)
{
    int64_t learned = 0;
    for (size_t i = 0; i < d->n; i++) {
        const row *r = &d->rows[i];
        if (r->n < 1)
            abort();
        for (int32_t k = 0; k < r->n; k++) {
            if (r->ids[k] < 0 || r->ids[k] > d->max_id ||
                (r->labels[k] != LABEL_MASKED && r->labels[k] != r->ids[k]))
                abort();
            learned += k && r->labels[k] != LABEL_MASKED;
        }
        learned -= r->n_learned;
    }
    if (learned)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static char path[64];
    static const char head[] = "HONEROWS\2\0\0\0\0\0\0\0" KEY;
    text t = { 0 };
    dataset d = { 0 };
    if (!path[0])
        (void)snprintf(path, sizeof path, "/tmp/hone-fuzz-packed-%ld", (long)getpid());
    log_set_level(HONE_LOG_ERROR);
    if (n < 8 || memcmp(p, head, 8) != 0)
        text_add(&t, head, sizeof head - 1);
    text_add(&t, (const char *)p, n);
    FILE *f = t.failed ? NULL : fopen(path, "wb"); /* file_write() waits for the disk */
    if (!f || fwrite(t.p, 1, t.n, f) != t.n || fclose(f) != 0)
        abort();
    json_decref(packed_report(path, KEY));
    if (packed_load(&d, path, KEY)) {
        check_rows(&d);
        dataset_finish(&d);
    }
    text_finish(&t);
    (void)unlink(path);
    return 0;
}
