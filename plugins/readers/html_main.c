/*
 * html_main.c - which parts of a page are the document's own text.
 *
 * Three rules, in this order:
 *   1. What an element is or is called: <nav>, class="sidebar", role="search", hidden, ... A name
 *      alone does not condemn the part that holds most of the page's text.
 *   2. Links to neighbours: a part in which most text is links, and at least half of the links read
 *      "next", "up", "home", ..., is navigation, however it is marked up. So is a list of links into
 *      the page itself: a table of contents repeats its headings.
 *   3. If one <main>, <article> or element called "content" holds at least half of what is left,
 *      the rest is outside the main text.
 *
 * Sums run over the nodes backwards: parents stand before their children.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "html_tree.h"

#define A_SIGN 4 /* bytes: an arrow or a bullet beside a link */

static uint32_t text_bytes(const html_tree *t, const html_node *node)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < node->text_n; i++)
        n += !html_is_space(t->text.p[node->text + i]);
    return n;
}

static uint16_t add16(uint16_t a, uint16_t b)
{
    return a > UINT16_MAX - b ? UINT16_MAX : (uint16_t)(a + b);
}

/* kept, linked, links and navs of every element, from what stays below it. */
static void sum(html_tree *t)
{
    const uint32_t n = html_n(t);
    for (uint32_t i = 0; i < n; i++) {
        html_node *node = html_at(t, i);
        node->kept = node->tag ? 0 : text_bytes(t, node);
        node->linked = 0;
        node->links = node->navs = node->inner = 0;
    }
    for (uint32_t i = n; i-- > 1;) {
        html_node *node = html_at(t, i), *parent = html_at(t, node->parent);
        if (node->reason != KEPT)
            continue;
        if (node->flags & NODE_LINK && node->kept) {
            node->linked = node->kept;
            node->links = 1;
            node->navs = (node->flags & NODE_NAV) != 0;
            node->inner = (node->flags & NODE_IN_PAGE) != 0;
        }
        parent->kept += node->kept;
        parent->linked += node->linked;
        parent->links = add16(parent->links, node->links);
        parent->navs = add16(parent->navs, node->navs);
        parent->inner = add16(parent->inner, node->inner);
    }
}

/* Is the text of a link (short) one that leads to a neighbour? */
static bool leads_aside(const html_tree *t, uint32_t link)
{
    char buf[40];
    size_t n = 0;
    for (uint32_t i = link + 1; i < html_n(t); i++) {
        const html_node *node = html_at(t, i);
        uint32_t up = node->parent;
        while (up > link)
            up = html_at(t, up)->parent;
        if (up != link)
            break;
        if (node->tag)
            continue;
        if (node->text_n > sizeof buf - n)
            return false;
        memcpy(buf + n, t->text.p + node->text, node->text_n);
        n += node->text_n;
    }
    return n && html_is_nav_text(buf, n);
}

static bool mostly_links(const html_node *node)
{
    return node->links && node->linked >= node->kept / 2;
}

static bool stays(const html_tree *t, uint32_t i)
{
    for (; i; i = html_at(t, i)->parent)
        if (html_at(t, i)->reason != KEPT)
            return false;
    return true;
}

static bool is_part(const html_node *node)
{
    return node->tag && node->tag->act != ACT_INLINE && node->tag->act != ACT_LINK &&
           node->tag->act != ACT_HEADING && node->tag->act != ACT_PRE;
}

static bool inside(const html_tree *t, uint32_t i, uint32_t root)
{
    while (i > root)
        i = html_at(t, i)->parent;
    return i == root;
}

static bool under_section(const html_tree *t, uint32_t i)
{
    for (i = html_at(t, i)->parent; i; i = html_at(t, i)->parent) {
        const uint8_t act = html_at(t, i)->tag->act;
        if (act == ACT_MAIN || act == ACT_ARTICLE || act == ACT_SECTION)
            return true;
    }
    return false;
}

/* Rule 1. */
static void by_name(html_tree *t)
{
    const uint32_t n = html_n(t);
    for (uint32_t i = 1; i < n; i++) {
        html_node *node = html_at(t, i);
        const uint8_t act = node->tag ? node->tag->act : ACT_INLINE;
        if (node->named != KEPT)
            continue;
        if (act == ACT_FORM)
            node->named = R_FORM;
        else if (act == ACT_FOOTER || (act == ACT_HEADER && !under_section(t, i)))
            node->named = R_PAGE;
        else if (act == ACT_ASIDE && !node->admonition) {
            if (under_section(t, i))
                node->flags |= WORD_IF_LINKS;
            else
                node->named = R_NAV;
        }
    }
    sum(t);
    const uint32_t all = html_at(t, 0)->kept;
    for (uint32_t i = 1; i < n; i++) {
        html_node *node = html_at(t, i);
        if (node->reason == KEPT && (node->kept <= all / 2 || mostly_links(node)))
            node->reason = node->named;
    }
}

/* A row of links and nothing else, the only one of its table: a bar of buttons. */
static bool is_bar(const html_tree *t, uint32_t i)
{
    const html_node *node = html_at(t, i);
    if (node->tag->act != ACT_ROW || node->links < 3 || node->kept > 200 ||
        node->kept - node->linked > A_SIGN * (uint32_t)node->links)
        return false;
    for (uint32_t up = i; html_at(t, up)->tag->act != ACT_TABLE; up = html_at(t, up)->parent) {
        const html_node *parent = html_at(t, html_at(t, up)->parent);
        if (!up || parent->kept != node->kept)
            return false;
    }
    return true;
}

/* Rule 2. */
static void by_links(html_tree *t)
{
    const uint32_t n = html_n(t);
    for (uint32_t i = 1; i < n; i++)
        if (html_at(t, i)->flags & NODE_LINK && leads_aside(t, i))
            html_at(t, i)->flags |= NODE_NAV;
    sum(t);
    for (uint32_t i = 1; i < n; i++) {
        html_node *node = html_at(t, i);
        if (node->reason != KEPT || !is_part(node) || !mostly_links(node))
            continue;
        if (node->flags & WORD_IF_LINKS || is_bar(t, i) ||
            (node->navs >= 2 && node->navs >= node->links / 2) ||
            (node->navs == node->links && node->kept - node->linked <= A_SIGN) ||
            (node->inner >= 3 && node->inner >= node->links / 5 * 4 &&
             node->linked >= node->kept / 5 * 4))
            node->reason = R_NAV;
    }
}

/* "This page last modified on ...", "Generated by ..." as the last paragraph of the page. */
static void last_line(html_tree *t)
{
    static const char *const starts[] = { "this page last modified",
                                          "this page was last",
                                          "last modified",
                                          "last updated",
                                          "generated by",
                                          "generated on",
                                          "page generated" };
    uint32_t i = html_n(t);
    while (--i && (html_at(t, i)->tag || !html_at(t, i)->kept || !stays(t, i)))
        ;
    while (i && !is_part(html_at(t, i)))
        i = html_at(t, i)->parent; /* the part that the last text of the page is in */
    if (!i || html_at(t, i)->kept > 120)
        return;
    char low[32];
    size_t n = 0;
    for (uint32_t k = i + 1; k < html_n(t) && n < sizeof low - 1; k++) {
        const html_node *node = html_at(t, k);
        for (uint32_t c = 0; !node->tag && c < node->text_n && n < sizeof low - 1; c++) {
            const char ch = t->text.p[node->text + c];
            if (!html_is_space(ch))
                low[n++] = ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
            else if (n && low[n - 1] != ' ')
                low[n++] = ' ';
        }
    }
    low[n] = '\0';
    for (size_t k = 0; k < sizeof starts / sizeof starts[0]; k++)
        if (strncmp(low, starts[k], strlen(starts[k])) == 0)
            html_at(t, i)->reason = R_PAGE;
}

/* Marks beside headings: a class says so, or the link is a lone sign into this page. */
static void permalinks(html_tree *t)
{
    for (uint32_t i = 1; i < html_n(t); i++) {
        html_node *node = html_at(t, i);
        const html_node *only = node->first ? html_at(t, node->first) : NULL;
        if (!(node->flags & NODE_IN_PAGE) || node->reason != KEPT || !only || only->tag ||
            only->next || only->text_n > 4)
            continue;
        const hone_str s = { t->text.p + only->text, only->text_n };
        if ((s.n == 1 && s.p[0] == '#') || (s.n == 2 && memcmp(s.p, "\xc2\xb6", 2) == 0) ||
            (s.n == 2 && memcmp(s.p, "\xc2\xa7", 2) == 0) ||
            (s.n == 4 && memcmp(s.p, "\xf0\x9f\x94\x97", 4) == 0))
            node->reason = R_NAV;
    }
}

/* Rule 3: of the candidates of one rank, the one with the most text, if that is enough of what
 * `within` holds. */
static uint32_t main_of_rank(const html_tree *t, uint32_t within, int rank, uint32_t share_num,
                             uint32_t share_den)
{
    uint32_t best = 0, most = 0;
    for (uint32_t i = within + 1; i < html_n(t); i++) {
        const html_node *node = html_at(t, i);
        if (!node->tag || node->reason != KEPT || node->kept <= most)
            continue;
        const bool candidate = rank == 0   ? node->tag->act == ACT_MAIN
                               : rank == 1 ? node->tag->act == ACT_ARTICLE
                                           : (node->flags & WORD_MAIN) != 0;
        if (!candidate || (within && !inside(t, i, within)))
            continue;
        best = i;
        most = node->kept;
    }
    return (uint64_t)most * share_den >= (uint64_t)html_at(t, within)->kept * share_num ? best : 0;
}

/* Does h1 number i stay? A page header around it is forgiven when `forgive` says so. */
static bool is_h1(const html_tree *t, uint32_t i, bool forgive)
{
    const html_node *node = html_at(t, i);
    if (!node->tag || node->tag->act != ACT_HEADING || node->tag->value != 1)
        return false;
    for (; i; i = html_at(t, i)->parent)
        if (html_at(t, i)->reason != KEPT && !(forgive && html_at(t, i)->reason == R_PAGE))
            return false;
    return true;
}

/* The first h1 of the page, when none is in the main text. */
static uint32_t find_outer_heading(const html_tree *t, uint32_t root)
{
    uint32_t found = 0;
    for (uint32_t i = 1; i < html_n(t); i++) {
        if (is_h1(t, i, false) && inside(t, i, root))
            return 0;
        if (!found && is_h1(t, i, true))
            found = i;
    }
    return found;
}

/* All text that is not in the main part, by reason. */
static void count_lost(html_tree *t, uint32_t root, uint32_t heading)
{
    for (uint32_t i = 1; i < html_n(t); i++) {
        const html_node *node = html_at(t, i);
        uint8_t reason = KEPT;
        bool in_root = root == 0, in_heading = false, title = false;
        if (node->tag)
            continue;
        for (uint32_t up = node->parent; up; up = html_at(t, up)->parent) {
            const html_node *a = html_at(t, up);
            reason = a->reason != KEPT ? a->reason : reason;
            in_root = in_root || up == root;
            in_heading = in_heading || (heading && up == heading);
            title = title || a->tag->act == ACT_TITLE;
        }
        if (title || (in_heading && reason != R_NAV))
            continue;
        if (reason == KEPT && !in_root)
            reason = R_OUTSIDE;
        if (reason != KEPT)
            t->lost[reason] += text_bytes(t, node);
    }
}

uint32_t html_main(html_tree *t, uint32_t *outer_heading)
{
    uint32_t root = 0, next;
    permalinks(t);
    by_name(t);
    by_links(t);
    sum(t);
    last_line(t);
    sum(t);
    for (int rank = 0; rank < 3; rank++) {
        next = main_of_rank(t, root, rank, root ? 4 : 1, root ? 5 : 2);
        root = next ? next : root;
    }
    *outer_heading = find_outer_heading(t, root);
    count_lost(t, root, *outer_heading);
    return root;
}
