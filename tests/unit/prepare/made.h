/*
 * made.h - PDF and docx documents that tests write themselves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_PREPARE_MADE_H
#define TESTS_UNIT_PREPARE_MADE_H

#include "core/base/base.h"

/* A PDF of pages 612 x 792. Each page is lines of "x y size font text", y upwards, font one of
 * R(oman), B(old), M(ono), or "image" for a picture that fills it. titles: "page title" lines of
 * the outline, or NULL. */
void made_pdf(text *out, const char *const *pages, size_t n_pages, const char *const *titles,
              size_t n_titles);

/* A zip archive of name, content pairs that end with NULL. */
void made_zip(text *out, const char *const *pairs);
/* A docx of a body, with styles and numbering (NULL: none) and further pairs (NULL: none). */
void made_docx(text *out, const char *body, const char *styles, const char *numbering,
               const char *const *more);

#endif /* TESTS_UNIT_PREPARE_MADE_H */
