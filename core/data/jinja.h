/*
 * jinja.h - runs the Jinja of chat templates, as transformers runs it. Private to
 * core/data.
 *
 * This is not how hone renders. A template is chosen by what it writes, and what a row
 * of the table writes is held against what the model's own template writes: for that
 * the template has to run. The language is what published chat templates use for
 * conversations of plain messages; anything else is HONE_ERR_UNSUPPORTED, by name, when
 * it is reached.
 *
 * As transformers has it: trim_blocks, lstrip_blocks, loop controls, {% generation %},
 * raise_exception(), strftime_now().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_DATA_JINJA_H
#define CORE_DATA_JINJA_H

#include "core/data/data.h"

typedef struct jinja jinja; /* a parsed template; immutable, [any] */

/* what: the template's name in messages. The bytes are copied. */
HONE_MUST_CHECK hone_status jinja_parse(jinja **out, const char *p, size_t n, const char *what,
                                        hone_error *err);
void jinja_free(jinja *j);

/* What the template sees. All borrowed. */
typedef struct jinja_input {
    const message *m; /* "messages" */
    size_t n;
    bool generation_prompt; /* "add_generation_prompt" */
    const char *bos, *eos;  /* "bos_token", "eos_token"; "" : undefined */
    const char *date;       /* "date_string" and strftime_now(); NULL: undefined, and today */
    const char *today;      /* as %d %b %Y */
} jinja_input;

/* Appends what the template writes. HONE_ERR_FORMAT: the template refuses this input, and
 * says why; HONE_ERR_UNSUPPORTED: it uses what is not offered here; HONE_ERR_LIMIT: it
 * wants too much. */
HONE_MUST_CHECK hone_status jinja_render(const jinja *j, const jinja_input *in, text *out,
                                         hone_error *err);

#endif /* CORE_DATA_JINJA_H */
