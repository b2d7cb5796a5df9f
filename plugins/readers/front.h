/*
 * front.h - metadata that stands in front of a Markdown document.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef READERS_FRONT_H
#define READERS_FRONT_H

#include "hone/reader.h"

/* Give the "key: value" lines of a front matter (between "---" lines, or "key = value" between
 * "+++" lines) to sink->meta and count its other lines as lost. *length: its bytes in text,
 * 0 when there is none. */
hone_status front_matter(hone_str text, const hone_block_sink *sink, uint64_t *length,
                         hone_error *err);

#endif /* READERS_FRONT_H */
