/*
 * entities.h - character references. SPDX-License-Identifier: Apache-2.0
 */
#ifndef READERS_ENTITIES_H
#define READERS_ENTITIES_H

#include <stddef.h>
#include <stdint.h>

/* The code point of "amp"; 0: not known. */
uint32_t entity_find(const char *name, size_t n);
/* The code point of "&amp;", "&#38;" or "&#x26;"; U+FFFD for a number that is no character; 0: not
 * known, or no reference. */
uint32_t entity_decode(const char *p, size_t n);

#endif /* READERS_ENTITIES_H */
