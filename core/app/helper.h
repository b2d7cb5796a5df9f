/*
 * helper.h - the model as a tool of recipes: what hone prepare offers them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_APP_HELPER_H
#define CORE_APP_HELPER_H

#include "core/app/app.h"

typedef struct helper { /* start from { 0 } */
    session *z;         /* borrowed */
    const settings *s;  /* borrowed */
    generator *g;       /* NULL: neither a model nor a service is configured */
    char *identity, *cache;
    bool terminal;
    double last; /* clock_now() of the last line shown */
} helper;

/* Offer the services to recipes. z has tokenizer and template when a model is configured. */
HONE_MUST_CHECK hone_status helper_open(helper *h, session *z, const settings *s, hone_error *err);
/* Withdraw them; before z is closed. */
void helper_close(helper *h);
/* What was asked, for the summary; nothing when nobody asked. */
void helper_print(const helper *h, text *out);

#endif /* CORE_APP_HELPER_H */
