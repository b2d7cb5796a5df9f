/*
 * question.c - see question.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "question.h"

hone_status question_check(const char *recipe, const char *question, const char *subject,
                           hone_error *err)
{
    int n = 0;
    for (const char *p = question; *p; p++) {
        if (*p != '%')
            continue;
        p++;
        if (*p != 's' && *p != '%')
            return hone_fail(err, HONE_ERR_ARG,
                             "%s: question \"%s\": %% is followed by %s%.1s; only %%s (the %s) "
                             "and %%%% (a percent sign) are known",
                             recipe, question, *p ? "" : "the end", p, subject);
        n += *p == 's';
    }
    if (n == 0)
        return hone_fail(err, HONE_ERR_ARG,
                         "%s: question \"%s\" has no %%s: every question would be the same; "
                         "put %%s where the %s go",
                         recipe, question, subject);
    return HONE_OK;
}

void question_put(hone_text *out, const char *question, hone_str subject)
{
    for (const char *p = question; *p; p++) {
        if (*p != '%')
            hone_text_putc(out, *p);
        else if (*++p == '%')
            hone_text_putc(out, '%');
        else
            hone_text_add(out, subject.p, subject.n);
    }
}
