/*
 * csv.c - comma-separated values as RFC 4180 has them.
 *
 * Fields may be quoted and then hold delimiters, doubled quotes and line ends;
 * records end with LF, CRLF or a lone CR. A quote inside an unquoted field is an
 * ordinary byte, as spreadsheets write it. What is lost by other readers is an
 * error here: text after a closing quote, a quote that never closes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/dataset.h"

#include <stdlib.h>

void csv_record_finish(csv_record *r)
{
    text_finish(&r->cells);
    free(r->end);
    *r = (csv_record){ 0 };
}

hone_str csv_field(const csv_record *r, size_t i)
{
    const size_t start = i ? r->end[i - 1] : 0;
    return (hone_str){ r->cells.p ? r->cells.p + start : "", r->end[i] - start };
}

static bool at_line_end(const csv *c)
{
    return c->p[c->at] == '\n' || c->p[c->at] == '\r';
}

static void skip_line_end(csv *c)
{
    if (c->p[c->at] == '\r' && c->at + 1 < c->n && c->p[c->at + 1] == '\n')
        c->at++;
    c->at++;
    c->line++;
}

/* A line end inside quotes counts lines too; CRLF counts once, at its LF. */
static void count_quoted(csv *c, char b)
{
    const bool lone_cr = b == '\r' && !(c->at + 1 < c->n && c->p[c->at + 1] == '\n');
    if (b == '\n' || lone_cr)
        c->line++;
}

static hone_status read_quoted(csv *c, text *out, hone_error *err)
{
    const int64_t line = c->line;
    c->at++; /* the opening quote */
    while (c->at < c->n) {
        const char b = c->p[c->at];
        if (b != '"') {
            count_quoted(c, b);
            text_putc(out, b);
            c->at++;
        } else if (c->at + 1 < c->n && c->p[c->at + 1] == '"') {
            text_putc(out, '"');
            c->at += 2;
        } else {
            c->at++;
            if (c->at < c->n && c->p[c->at] != c->delimiter && !at_line_end(c))
                return hone_fail(err, HONE_ERR_FORMAT,
                                 "line %lld: text after a closing quote; a quote inside a quoted "
                                 "field is written twice",
                                 (long long)c->line);
            return HONE_OK;
        }
    }
    return hone_fail(err, HONE_ERR_FORMAT, "line %lld: a quote is opened and never closed",
                     (long long)line);
}

hone_status csv_next(csv *c, csv_record *r, bool *more, hone_error *err)
{
    while (c->at < c->n && at_line_end(c))
        skip_line_end(c);
    *more = false;
    if (c->at >= c->n)
        return HONE_OK;
    text_clear(&r->cells);
    r->n = 0;
    r->line = c->line;
    for (;;) {
        if (c->at < c->n && c->p[c->at] == '"') {
            const hone_status st = read_quoted(c, &r->cells, err);
            if (st)
                return st;
        } else {
            const size_t start = c->at;
            while (c->at < c->n && c->p[c->at] != c->delimiter && !at_line_end(c))
                c->at++;
            text_add(&r->cells, c->p + start, c->at - start);
        }
        if (r->cells.failed || !mem_grow(&r->end, &r->cap, r->n + 1, sizeof *r->end))
            return hone_fail(err, HONE_ERR_NOMEM, "line %lld: no memory for the record",
                             (long long)r->line);
        r->end[r->n++] = r->cells.n;
        if (c->at >= c->n)
            break;
        if (at_line_end(c)) {
            skip_line_end(c);
            break;
        }
        c->at++; /* the delimiter */
    }
    *more = true;
    return HONE_OK;
}
