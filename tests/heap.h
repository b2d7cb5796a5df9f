/*
 * heap.h - what a test process has asked malloc() for, to the byte: now and at most.
 *
 * Resident memory is too coarse for small things: pages that nobody touched, free memory that an
 * allocator keeps, code that libraries map. These figures are sums of requested sizes, over
 * everything in the process: core, plugins, oneDNN, jansson.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_HEAP_H
#define TESTS_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* False: a sanitizer has malloc() for itself, and nothing is counted. */
extern const bool heap_is_counted;
int64_t heap_now(void);
int64_t heap_peak(void); /* since the last heap_mark(), or the start */
void heap_mark(void);

#endif /* TESTS_HEAP_H */
