/*
 * decode.h - a document's bytes as clean UTF-8, and the way back to its byte offsets.
 *
 * Shared by the readers of text formats. The encoding is the byte order mark's or the one the
 * document or the user names; else UTF-16 or windows-1252 where the bytes can hardly be anything
 * else, and UTF-8. Any other than UTF-8 is said in the report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef READERS_DECODE_H
#define READERS_DECODE_H

#include <stdbool.h>

#include "hone/reader.h"
#include "hone/text.h"

typedef struct charset charset; /* a row of the table in decode.c */

/* Opens the converters; a child process that has restricted itself could not. */
typedef struct decoder {
    const char *reader;    /* borrowed: "text", named in messages */
    const charset *fixed;  /* borrowed: the option's, or NULL for "auto" */
    void **converters;     /* owned, one per charset; NULL where none is needed */
    const hone_host *host; /* borrowed */
} decoder;

/* encoding: "auto" or a label ("windows-1252"). all: any charset may be asked for later;
 * otherwise only `encoding` can. */
hone_status decoder_init(decoder *d, const hone_host *host, const char *reader,
                         const char *encoding, bool all, hone_error *err);
void decoder_finish(decoder *d);

/* Text is valid UTF-8, without byte order mark; lines end in '\n'; page breaks are line ends; other
 * control characters but '\t' are left out; undecodable bytes are U+FFFD. */
typedef struct decoded {
    hone_text text;
    hone_text runs;   /* of struct run: where text and source go out of step */
    uint64_t n_src;   /* bytes of the source */
    uint64_t bad;     /* source bytes that became U+FFFD */
    uint64_t control; /* source bytes left out */
    const charset *charset;
} decoded;

/* label: what the document itself declares, p may be NULL. An unknown label is HONE_ERR_FORMAT, and so
 * are bytes of which more than a tenth cannot be read. out->text and runs are finished on failure. */
hone_status decode(const decoder *d, decoded *out, const hone_source *source, hone_str label,
                   hone_error *err);
void decoded_finish(decoded *d);
/* Say through sink->lost what was replaced or left out. */
void decoded_report(const decoded *d, const hone_block_sink *sink);

/* The source offset of the character at text offset `at`; n_src for the end. */
uint64_t decoded_src(const decoded *d, uint64_t at);
/* Fill block->src_off and src_len from a range [start, end) of the text. */
void decoded_span(const decoded *d, uint64_t start, uint64_t end, hone_block *block);

/* 0x80..0x9f of windows-1252, which numeric references of HTML mean by these numbers; others unchanged. */
uint32_t decode_cp1252(uint32_t c);

#define DECODE_OPTION_HELP                                                                    \
    "of the bytes: auto (byte order mark, the document's own word, else by looks), or a name" \
    " such as windows-1252"

#endif /* READERS_DECODE_H */
