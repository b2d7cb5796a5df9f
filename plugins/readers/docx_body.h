/*
 * docx_body.h - private to docx_body.c and docx_run.c: the text at hand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef READERS_DOCX_BODY_H
#define READERS_DOCX_BODY_H

#include "docx.h"

#define MAX_BOXES 16  /* text boxes in text boxes */
#define MAX_FIELDS 32 /* fields in fields */

typedef struct paragraph {
    hone_text text;
    docx_look look;
    bool marks_deleted; /* the end of the paragraph: it runs on */
    bool in_properties;
    uint64_t from; /* its number, or that of the first which ran on into it */
} paragraph;

typedef struct body {
    docx_out *o;
    docx_styles *styles;
    const docx_notes *notes[2]; /* footnotes, endnotes */
    docx_counts *counts;
    paragraph at[MAX_BOXES]; /* the innermost open one is at[depth] */
    uint32_t depth;
    uint64_t n_paragraphs;
    uint32_t fields[MAX_FIELDS]; /* 1: in its code, 0: in its result */
    uint32_t n_fields;
    uint32_t n_alternatives; /* AlternateContent elements that are open ... */
    uint8_t taken[64];       /* ... and whether one of their choices was read */
    bool in_run_properties, hidden, in_ruby, in_text;
    uint32_t n_notes[2]; /* so far */
    hone_text later;     /* footnotes of the paragraph */
    hone_text last;      /* endnotes, of uint64_t pairs: id, number */
} body;

static inline paragraph *current(body *b)
{
    return &b->at[b->depth];
}

/* Is the code of a field at hand, which is not shown? */
bool docx_in_field_code(const body *b);
/* Content of a run that stands for itself: tabs, breaks, symbols, marks of notes, fields. */
void docx_in_run(body *b, const docx_xml *x, docx_name name);

#endif /* READERS_DOCX_BODY_H */
