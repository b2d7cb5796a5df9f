/*
 * docx_styles.c - styles.xml and numbering.xml: which paragraphs are headings and items.
 *
 * A heading is what has an outline level, of its own or from a style it is based on: names of styles
 * are translated, levels are not. Only w:name keeps Word's English names, which tell titles,
 * quotations, code and tables of contents.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "docx.h"

#include <stdlib.h>

#define MAX_CHAIN 32 /* styles based on styles, which may loop */
#define MAX_LEVEL 8
#define AT(type, array, i) ((type *)(void *)(array).p + (i))
#define N(type, array) ((array).n / sizeof(type))

typedef struct reading {
    docx_styles *s;
    docx_style style;
    bool in_style, in_level, in_override;
    int64_t abstract, num;
    docx_level level;
    docx_override override;
} reading;

typedef struct link {
    int64_t abstract;
    uint64_t style;
} link;

uint64_t docx_hash(hone_str s)
{
    uint64_t h = 14695981039346656037u;
    for (uint64_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h ? h : 1;
}

/* Word's own names, and those of other programs, for what the role is. */
static const struct {
    const char *part;
    docx_role role;
    bool whole;
} roles[] = {
    { "title", ROLE_TITLE, true },      { "quote", ROLE_QUOTE, false },
    { "quotation", ROLE_QUOTE, false }, { "block text", ROLE_QUOTE, true },
    { "code", ROLE_CODE, false },       { "preformatted", ROLE_CODE, false },
    { "verbatim", ROLE_CODE, false },   { "listing", ROLE_CODE, false },
    { "macro text", ROLE_CODE, true },  { "table of figures", ROLE_CONTENTS, true },
};

static void name_style(docx_style *style, hone_str name)
{
    char low[64];
    uint64_t n = 0;
    for (; n < name.n && n < sizeof low - 1; n++)
        low[n] = name.p[n] >= 'A' && name.p[n] <= 'Z' ? (char)(name.p[n] + 32) : name.p[n];
    low[n] = '\0';
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (roles[i].whole ? strcmp(low, roles[i].part) == 0 : strstr(low, roles[i].part) != NULL) {
            style->role = (uint8_t)roles[i].role;
            style->has_role = 1;
        }
    if (strncmp(low, "toc ", 4) == 0 && low[4] >= '1' && low[4] <= '9') {
        style->role = ROLE_CONTENTS;
        style->has_role = 1;
    }
    if (strncmp(low, "heading ", 8) == 0 && low[8] >= '1' && low[8] <= '9' && !low[9] &&
        style->outline < 0)
        style->outline = (int8_t)(low[8] - '1');
}

static void in_style(reading *r, const docx_xml *x, docx_name name)
{
    docx_style *s = &r->style;
    const hone_str value = docx_attribute(x, "val");
    const int64_t number = docx_number(x, "val", -1);
    switch (name) {
    case DOCX_name:
        if (value.p)
            name_style(s, value);
        break;
    case DOCX_basedOn:
        s->based_on = value.p ? docx_hash(value) : 0;
        break;
    case DOCX_outlineLvl:
        s->outline = number >= 0 && number <= 9 ? (int8_t)number : s->outline;
        break;
    case DOCX_numId:
        s->num = number;
        break;
    case DOCX_ilvl:
        s->level = number >= 0 && number <= MAX_LEVEL ? (int8_t)number : s->level;
        break;
    default:
        break;
    }
}

static bool is(hone_str s, const char *what)
{
    return s.p && s.n == strlen(what) && memcmp(s.p, what, s.n) == 0;
}

static bool styles_start(docx_xml *x, docx_space space, docx_name name)
{
    reading *r = x->ctx;
    if (space != DOCX_W)
        return true;
    if (name == DOCX_rPr || name == DOCX_docDefaults || name == DOCX_pPrChange)
        return false;
    if (name == DOCX_style) {
        const hone_str id = docx_attribute(x, "styleId");
        r->in_style = id.p && is(docx_attribute(x, "type"), "paragraph");
        r->style = (docx_style){ .outline = -1, .level = -1, .num = -1 };
        r->style.id = r->in_style ? docx_hash(id) : 0;
    } else if (r->in_style) {
        in_style(r, x, name);
    }
    return true;
}

static void styles_end(docx_xml *x, docx_space space, docx_name name)
{
    reading *r = x->ctx;
    if (space == DOCX_W && name == DOCX_style && r->in_style) {
        hone_text_add(&r->s->styles, (const char *)&r->style, sizeof r->style);
        r->in_style = false;
    }
}

static void format_level(docx_level *l, hone_str format)
{
    l->bullet = is(format, "bullet");
    l->none = is(format, "none");
}

static bool numbering_start(docx_xml *x, docx_space space, docx_name name)
{
    reading *r = x->ctx;
    const int64_t number = docx_number(x, "val", -1);
    if (space != DOCX_W)
        return space != DOCX_MC || name != DOCX_Fallback;
    switch (name) {
    case DOCX_abstractNum:
        r->abstract = docx_number(x, "abstractNumId", -1);
        break;
    case DOCX_numStyleLink: {
        const hone_str style = docx_attribute(x, "val");
        const link l = { r->abstract, style.p ? docx_hash(style) : 0 };
        hone_text_add(&r->s->links, (const char *)&l, sizeof l);
        break;
    }
    case DOCX_lvl: {
        const int64_t level = docx_number(x, "ilvl", 0);
        r->in_level = level >= 0 && level <= MAX_LEVEL && !r->in_override;
        r->level = (docx_level){
            .abstract = r->abstract, .level = (int32_t)level, .start = 1, .count = INT64_MIN
        };
        break;
    }
    case DOCX_start:
        if (r->in_level && number >= 0)
            r->level.start = number;
        break;
    case DOCX_numFmt:
        if (r->in_level)
            format_level(&r->level, docx_attribute(x, "val"));
        break;
    case DOCX_num:
        r->num = docx_number(x, "numId", -1);
        break;
    case DOCX_abstractNumId: {
        const docx_num n = { r->num, number };
        hone_text_add(&r->s->nums, (const char *)&n, sizeof n);
        break;
    }
    case DOCX_lvlOverride:
        r->in_override = true;
        r->override = (docx_override){ .num = r->num, .level = (int32_t)docx_number(x, "ilvl", 0) };
        break;
    case DOCX_startOverride:
        r->override.start = number;
        if (r->in_override && number >= 0)
            hone_text_add(&r->s->overrides, (const char *)&r->override, sizeof r->override);
        break;
    default:
        break;
    }
    return true;
}

static void numbering_end(docx_xml *x, docx_space space, docx_name name)
{
    reading *r = x->ctx;
    if (space == DOCX_W && name == DOCX_lvl && r->in_level) {
        hone_text_add(&r->s->levels, (const char *)&r->level, sizeof r->level);
        r->in_level = false;
    }
    if (space == DOCX_W && name == DOCX_lvlOverride)
        r->in_override = false;
}

static void no_text(docx_xml *x, const char *p, uint64_t n)
{
    (void)x;
    (void)p;
    (void)n;
}

void docx_styles_init(docx_styles *s, const hone_host *host)
{
    const hone_text empty = { .host = host, .tag = "docx" };
    *s = (docx_styles){ empty, empty, empty, empty, empty };
}

void docx_styles_finish(docx_styles *s)
{
    hone_text_finish(&s->styles);
    hone_text_finish(&s->levels);
    hone_text_finish(&s->nums);
    hone_text_finish(&s->overrides);
    hone_text_finish(&s->links);
}

static int by_id(const void *a, const void *b)
{
    const uint64_t x = ((const docx_style *)a)->id, y = ((const docx_style *)b)->id;
    return x < y ? -1 : x > y;
}

hone_status docx_styles_read(docx_styles *s, const hone_host *host, hone_str styles,
                             hone_str numbering, hone_error *err)
{
    reading r = { .s = s, .abstract = -1, .num = -1 };
    docx_xml x = { .host = host,
                   .part = "the part of styles",
                   .ctx = &r,
                   .start = styles_start,
                   .end = styles_end,
                   .text = no_text };
    hone_status st = styles.n ? docx_xml_parse(&x, styles, err) : HONE_OK;
    docx_xml y = { .host = host,
                   .part = "the part of numbering",
                   .ctx = &r,
                   .start = numbering_start,
                   .end = numbering_end,
                   .text = no_text };
    if (st == HONE_OK && numbering.n)
        st = docx_xml_parse(&y, numbering, err);
    if (st == HONE_OK && (s->styles.failed || s->levels.failed || s->nums.failed ||
                          s->overrides.failed || s->links.failed))
        st = hone_fail(err, HONE_ERR_NOMEM, "docx: no memory for styles");
    if (st == HONE_OK && s->styles.n)
        qsort(s->styles.p, N(docx_style, s->styles), sizeof(docx_style), by_id);
    return st;
}

static const docx_style *find_style(const docx_styles *s, uint64_t id)
{
    const docx_style key = { .id = id };
    return id && s->styles.n
               ? bsearch(&key, s->styles.p, N(docx_style, s->styles), sizeof(docx_style), by_id)
               : NULL;
}

void docx_look_up(const docx_styles *s, docx_look *look)
{
    const docx_style *style = find_style(s, look->style);
    bool role = false;
    look->role = ROLE_TEXT;
    for (int i = 0; style && i < MAX_CHAIN; i++, style = find_style(s, style->based_on)) {
        if (look->outline < 0)
            look->outline = style->outline;
        if (look->num < 0)
            look->num = style->num;
        if (look->level < 0)
            look->level = style->level;
        if (!role && style->has_role) {
            look->role = (docx_role)style->role;
            role = true;
        }
    }
    if (look->level < 0)
        look->level = 0;
}

static int64_t abstract_of(const docx_styles *s, int64_t num, int depth)
{
    int64_t abstract = -1;
    for (uint64_t i = 0; i < N(docx_num, s->nums); i++)
        if (AT(docx_num, s->nums, i)->id == num)
            abstract = AT(docx_num, s->nums, i)->abstract;
    for (uint64_t i = 0; i < N(link, s->links) && depth < 4; i++)
        if (AT(link, s->links, i)->abstract == abstract) { /* what the style says instead */
            const docx_style *style = find_style(s, AT(link, s->links, i)->style);
            if (style && style->num > 0 && style->num != num)
                return abstract_of(s, style->num, depth + 1);
        }
    return abstract;
}

int64_t docx_next_number(docx_styles *s, int64_t num, int32_t level)
{
    const int64_t abstract = abstract_of(s, num, 0);
    docx_level *at = NULL;
    for (uint64_t i = 0; i < N(docx_level, s->levels); i++) {
        docx_level *l = AT(docx_level, s->levels, i);
        if (l->abstract != abstract)
            continue;
        if (l->level == level)
            at = l;
        else if (l->level > level)
            l->count = INT64_MIN; /* begins again below a new item */
    }
    if (!at || at->bullet)
        return 0;
    if (at->none)
        return -1;
    for (uint64_t i = 0; i < N(docx_override, s->overrides); i++) {
        docx_override *o = AT(docx_override, s->overrides, i);
        if (o->num == num && o->level == level && !o->used) {
            o->used = true;
            at->count = o->start - 1;
        }
    }
    at->count = at->count == INT64_MIN ? at->start : at->count + 1;
    return at->count > 0 ? at->count : 0;
}
