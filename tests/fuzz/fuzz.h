/*
 * fuzz.h - what a fuzz target gives: one call per input. A target must not keep memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#endif /* TESTS_FUZZ_H */
