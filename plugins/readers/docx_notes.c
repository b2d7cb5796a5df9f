/*
 * docx_notes.c - footnotes and endnotes by id, and text of parts that is only counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "docx.h"

#include <stdio.h>

void docx_add_text(hone_text *t, const char *p, uint64_t n)
{
    uint64_t from = 0;
    for (uint64_t i = 0; i < n;) {
        const unsigned char c = (unsigned char)p[i];
        uint64_t k = 0;
        if (c == '\n' || c == '\r' || c == '\t')
            k = 1;
        else if (c == 0xc2 && i + 1 < n && ((unsigned char)p[i + 1] == 0xa0 || p[i + 1] == '\xad'))
            k = 2;
        else if (c == 0xe2 && i + 2 < n && memcmp(p + i, "\xe2\x80\x8b", 3) == 0)
            k = 3;
        if (!k) {
            i++;
            continue;
        }
        hone_text_add(t, p + from, i - from);
        if (k == 1 || (k == 2 && p[i + 1] == '\xa0'))
            hone_text_putc(t, ' ');
        from = i += k;
    }
    hone_text_add(t, p + from, n - from);
}

const docx_note *docx_find_note(const docx_notes *n, int64_t id)
{
    const docx_note *list = (const docx_note *)(const void *)n->list.p;
    for (uint64_t i = 0; i < n->list.n / sizeof *list; i++)
        if (list[i].id == id)
            return &list[i];
    return NULL;
}

static void roman(uint32_t n, char out[32])
{
    static const struct {
        uint32_t value;
        const char *letters;
    } steps[] = { { 100, "c" }, { 90, "xc" }, { 50, "l" }, { 40, "xl" }, { 10, "x" },
                  { 9, "ix" },  { 5, "v" },   { 4, "iv" }, { 1, "i" } };
    size_t used = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (; n >= steps[i].value && used < 28; n -= steps[i].value) {
            memcpy(out + used, steps[i].letters, strlen(steps[i].letters));
            used += strlen(steps[i].letters);
        }
    out[used] = '\0';
}

void docx_note_mark(int kind, uint32_t n, char out[40])
{
    char letters[32];
    roman(n, letters);
    if (kind)
        (void)snprintf(out, 40, "[%s]", letters);
    else
        (void)snprintf(out, 40, "[%u]", n);
}

typedef struct plain {
    docx_notes *notes; /* NULL: only count */
    docx_note note;
    uint64_t count;
    bool in_text;
} plain;

static bool plain_start(docx_xml *x, docx_space space, docx_name name)
{
    plain *p = x->ctx;
    if (space == DOCX_MC)
        return name != DOCX_Fallback;
    if (space != DOCX_W)
        return true;
    if (name == DOCX_del || name == DOCX_moveFrom)
        return false;
    if (name == DOCX_footnote || name == DOCX_endnote) {
        if (docx_attribute(x, "type").p && docx_attribute(x, "type").n != 6) /* "normal" */
            return false;
        p->note = (docx_note){ .id = docx_number(x, "id", INT64_MIN),
                               .at = p->notes ? p->notes->text.n : 0 };
    }
    if (p->notes && p->notes->text.n > p->note.at && (name == DOCX_p || name == DOCX_tab))
        hone_text_putc(&p->notes->text, ' ');
    if (name == DOCX_t)
        p->in_text = true;
    return true;
}

static void plain_end(docx_xml *x, docx_space space, docx_name name)
{
    plain *p = x->ctx;
    if (space != DOCX_W)
        return;
    if (name == DOCX_t)
        p->in_text = false;
    if (!p->notes || (name != DOCX_footnote && name != DOCX_endnote))
        return;
    hone_text *t = &p->notes->text;
    while (p->note.at < t->n && t->p[p->note.at] == ' ')
        p->note.at++;
    while (t->n > p->note.at && t->p[t->n - 1] == ' ')
        t->n--;
    p->note.n = t->n - p->note.at;
    hone_text_add(&p->notes->list, (const char *)&p->note, sizeof p->note);
}

static void plain_text(docx_xml *x, const char *s, uint64_t n)
{
    plain *p = x->ctx;
    if (!p->in_text)
        return;
    p->count += n;
    if (p->notes)
        docx_add_text(&p->notes->text, s, n);
}

static hone_status read_plain(plain *p, const hone_host *host, hone_str bytes, const char *part,
                              hone_error *err)
{
    docx_xml x = { .host = host,
                   .part = part,
                   .ctx = p,
                   .start = plain_start,
                   .end = plain_end,
                   .text = plain_text };
    return docx_xml_parse(&x, bytes, err);
}

hone_status docx_notes_read(docx_notes *n, const hone_host *host, hone_str bytes, const char *part,
                            hone_error *err)
{
    const hone_text empty = { .host = host, .tag = "docx" };
    plain p = { .notes = n };
    *n = (docx_notes){ empty, empty };
    if (!bytes.n)
        return HONE_OK;
    const hone_status st = read_plain(&p, host, bytes, part, err);
    if (st == HONE_OK && (n->list.failed || n->text.failed))
        return hone_fail(err, HONE_ERR_NOMEM, "docx: no memory for the notes");
    return st;
}

void docx_notes_finish(docx_notes *n)
{
    hone_text_finish(&n->list);
    hone_text_finish(&n->text);
}

hone_status docx_count_text(uint64_t *n, const hone_host *host, hone_str bytes, const char *part,
                            hone_error *err)
{
    plain p = { .notes = NULL };
    const hone_status st = read_plain(&p, host, bytes, part, err);
    *n += p.count;
    return st;
}
