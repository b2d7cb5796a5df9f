/*
 * docx_run.c - what stands for itself in a run of a docx: tabs, breaks, symbols, notes, fields.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "docx_body.h"

/* The mark stays in the text; the note follows the paragraph, or stands at the end. */
static void refer(body *b, int kind, int64_t id)
{
    const docx_note *note = docx_find_note(b->notes[kind], id);
    char mark[40];
    if (!note)
        return;
    docx_note_mark(kind, ++b->n_notes[kind], mark);
    hone_text_puts(&current(b)->text, mark);
    if (kind) {
        const uint64_t pair[2] = {
            (uint64_t)(note - (const docx_note *)(const void *)b->notes[1]->list.p), b->n_notes[1]
        };
        hone_text_add(&b->last, (const char *)pair, sizeof pair);
        return;
    }
    if (b->later.n)
        hone_text_putc(&b->later, '\n');
    hone_text_puts(&b->later, mark);
    hone_text_putc(&b->later, ' ');
    hone_text_add(&b->later, b->notes[0]->text.p + note->at, note->n);
}

bool docx_in_field_code(const body *b)
{
    for (uint32_t i = 0; i < b->n_fields; i++)
        if (b->fields[i])
            return true;
    return false;
}

static void field(body *b, const docx_xml *x)
{
    const hone_str type = docx_attribute(x, "fldCharType");
    if (type.n == 5 && memcmp(type.p, "begin", 5) == 0) {
        if (b->n_fields < MAX_FIELDS)
            b->fields[b->n_fields++] = 1;
    } else if (b->n_fields && type.n == 8 && memcmp(type.p, "separate", 8) == 0) {
        b->fields[b->n_fields - 1] = 0;
    } else if (b->n_fields && type.n == 3 && memcmp(type.p, "end", 3) == 0) {
        b->n_fields--;
    }
}

/* A character by its number in a font; only those that Unicode knows can be read. */
static void symbol(body *b, const docx_xml *x)
{
    const hone_str s = docx_attribute(x, "char");
    uint32_t cp = 0;
    for (uint64_t i = 0; i < s.n && i < 6; i++) {
        const char c = s.p[i];
        cp = cp * 16 + (uint32_t)(c >= '0' && c <= '9'   ? c - '0'
                                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                         : 0);
    }
    if (cp == 0xf0b7)
        cp = 0x2022;
    if (cp >= 0xa0 && cp < 0xe000)
        hone_text_put_code(&current(b)->text, cp);
    else if (cp > 0x20 && cp < 0x7f)
        hone_text_putc(&current(b)->text, (char)cp);
    else
        b->counts->symbols++;
}

/* Content that stands for itself in a run. */
void docx_in_run(body *b, const docx_xml *x, docx_name name)
{
    hone_text *t = &current(b)->text;
    if (b->hidden || docx_in_field_code(b)) {
        if (name == DOCX_fldChar)
            field(b, x);
        return;
    }
    switch (name) {
    case DOCX_tab:
        hone_text_putc(t, '\t');
        break;
    case DOCX_br:
    case DOCX_cr:
        hone_text_putc(t, '\n');
        break;
    case DOCX_noBreakHyphen:
        hone_text_putc(t, '-');
        break;
    case DOCX_sym:
        symbol(b, x);
        break;
    case DOCX_footnoteReference:
        refer(b, 0, docx_number(x, "id", INT64_MIN));
        break;
    case DOCX_endnoteReference:
        refer(b, 1, docx_number(x, "id", INT64_MIN));
        break;
    case DOCX_fldChar:
        field(b, x);
        break;
    default:
        break;
    }
}
