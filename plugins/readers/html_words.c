/*
 * html_words.c - what elements do, and what words in class, id and role give away.
 *
 * The words are those that documentation tools write (DocBook, Sphinx, Doxygen, Texinfo, rustdoc,
 * Javadoc, MediaWiki, the common site generators and style frameworks). A word counts only
 * as a whole: "nav" is not found in "navy".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "html_tree.h"

#include <stdlib.h>

const char *const html_reasons[N_REASONS] = {
    [R_CODE] = "scripts, styles and templates",
    [R_NAV] = "navigation",
    [R_PAGE] = "headers and footers of the page",
    [R_HIDDEN] = "hidden text",
    [R_FORM] = "forms and controls",
    [R_MEDIA] = "descriptions of images and media",
    [R_NUMBERS] = "line numbers",
    [R_OUTSIDE] = "text outside the main text",
};

/* clang-format off */
static const html_tag tags[] = { /* sorted by name */
    { "a",          ACT_LINK,        0 },
    { "address",    ACT_BLOCK,       0 },
    { "applet",     ACT_LEAVE_OUT,   R_MEDIA },
    { "area",       ACT_LEAVE_OUT,   R_MEDIA },
    { "article",    ACT_ARTICLE,     0 },
    { "aside",      ACT_ASIDE,       0 },
    { "audio",      ACT_LEAVE_OUT,   R_MEDIA },
    { "blockquote", ACT_QUOTE,       0 },
    { "body",       ACT_BLOCK,       0 },
    { "br",         ACT_BREAK,       0 },
    { "button",     ACT_LEAVE_OUT,   R_FORM },
    { "canvas",     ACT_LEAVE_OUT,   R_MEDIA },
    { "caption",    ACT_CAPTION,     0 },
    { "center",     ACT_BLOCK,       0 },
    { "datalist",   ACT_LEAVE_OUT,   R_FORM },
    { "dd",         ACT_DEFINITION,  0 },
    { "details",    ACT_BLOCK,       0 },
    { "dialog",     ACT_LEAVE_OUT,   R_HIDDEN },
    { "dir",        ACT_LIST,        0 },
    { "div",        ACT_BLOCK,       0 },
    { "dl",         ACT_DEFINITIONS, 0 },
    { "dt",         ACT_TERM,        0 },
    { "embed",      ACT_LEAVE_OUT,   R_MEDIA },
    { "fieldset",   ACT_BLOCK,       0 },
    { "figcaption", ACT_BLOCK,       0 },
    { "figure",     ACT_BLOCK,       0 },
    { "footer",     ACT_FOOTER,      0 },
    { "form",       ACT_FORM,        0 },
    { "frame",      ACT_LEAVE_OUT,   R_MEDIA },
    { "h1",         ACT_HEADING,     1 },
    { "h2",         ACT_HEADING,     2 },
    { "h3",         ACT_HEADING,     3 },
    { "h4",         ACT_HEADING,     4 },
    { "h5",         ACT_HEADING,     5 },
    { "h6",         ACT_HEADING,     6 },
    { "head",       ACT_BLOCK,       0 },
    { "header",     ACT_HEADER,      0 },
    { "hgroup",     ACT_BLOCK,       0 },
    { "hr",         ACT_RULE,        0 },
    { "html",       ACT_BLOCK,       0 },
    { "iframe",     ACT_LEAVE_OUT,   R_MEDIA },
    { "img",        ACT_IMAGE,       0 },
    { "input",      ACT_LEAVE_OUT,   R_FORM },
    { "legend",     ACT_BLOCK,       0 },
    { "li",         ACT_ITEM,        0 },
    { "listing",    ACT_PRE,         0 },
    { "main",       ACT_MAIN,        0 },
    { "map",        ACT_LEAVE_OUT,   R_MEDIA },
    { "menu",       ACT_LIST,        0 },
    { "nav",        ACT_LEAVE_OUT,   R_NAV },
    { "noframes",   ACT_LEAVE_OUT,   R_HIDDEN },
    { "noscript",   ACT_LEAVE_OUT,   R_HIDDEN },
    { "object",     ACT_LEAVE_OUT,   R_MEDIA },
    { "ol",         ACT_ORDERED,     0 },
    { "optgroup",   ACT_LEAVE_OUT,   R_FORM },
    { "option",     ACT_LEAVE_OUT,   R_FORM },
    { "p",          ACT_BLOCK,       0 },
    { "plaintext",  ACT_PRE,         0 },
    { "pre",        ACT_PRE,         0 },
    { "progress",   ACT_LEAVE_OUT,   R_FORM },
    { "q",          ACT_CITED,       0 },
    { "script",     ACT_LEAVE_OUT,   R_CODE },
    { "section",    ACT_SECTION,     0 },
    { "select",     ACT_LEAVE_OUT,   R_FORM },
    { "style",      ACT_LEAVE_OUT,   R_CODE },
    { "summary",    ACT_BLOCK,       0 },
    { "sup",        ACT_RAISED,      0 },
    { "svg",        ACT_LEAVE_OUT,   R_MEDIA },
    { "table",      ACT_TABLE,       0 },
    { "tbody",      ACT_BLOCK,       0 },
    { "td",         ACT_CELL,        0 },
    { "template",   ACT_LEAVE_OUT,   R_CODE },
    { "textarea",   ACT_LEAVE_OUT,   R_FORM },
    { "tfoot",      ACT_BLOCK,       0 },
    { "th",         ACT_CELL,        0 },
    { "thead",      ACT_BLOCK,       0 },
    { "title",      ACT_TITLE,       0 },
    { "tr",         ACT_ROW,         0 },
    { "ul",         ACT_LIST,        0 },
    { "video",      ACT_LEAVE_OUT,   R_MEDIA },
    { "xmp",        ACT_PRE,         0 },
};

#define OUT(why) WORD_LEFT_OUT, why
#define LINKS WORD_IF_LINKS, R_NAV
#define MAIN WORD_MAIN, KEPT
#define NOTE WORD_ADMONITION, KEPT
#define TITLE WORD_TITLE, KEPT
static const html_word words[] = { /* sorted by word */
    { "admonition",           NOTE },
    { "admonition-title",     WORD_LABEL, KEPT },
    { "ads",                  OUT(R_PAGE) },
    { "advert",               OUT(R_PAGE) },
    { "advertisement",        OUT(R_PAGE) },
    { "alert",                NOTE },
    { "announcement",         OUT(R_PAGE) },
    { "article-body",         MAIN },
    { "article-content",      MAIN },
    { "attention",            NOTE },
    { "backtotop",            OUT(R_NAV) },
    { "banner",               OUT(R_PAGE) },
    { "body",                 MAIN },
    { "body-content",         MAIN },
    { "bodywrapper",          MAIN },
    { "bottomlang",           OUT(R_NAV) },
    { "breadcrumb",           OUT(R_NAV) },
    { "breadcrumbs",          OUT(R_NAV) },
    { "catlinks",             OUT(R_NAV) },
    { "caution",              NOTE },
    { "clipboard",            OUT(R_FORM) },
    { "complementary",        LINKS },
    { "content",              MAIN },
    { "contentinfo",          OUT(R_PAGE) },
    { "contents",             LINKS },
    { "cookie-banner",        OUT(R_PAGE) },
    { "cookie-consent",       OUT(R_PAGE) },
    { "copiable-anchor",      WORD_PERMALINK, R_NAV },
    { "copiable-link",        WORD_PERMALINK, R_NAV },
    { "copy-button",          OUT(R_FORM) },
    { "copybtn",              OUT(R_FORM) },
    { "copybutton",           OUT(R_FORM) },
    { "copyright-footer",     OUT(R_PAGE) },
    { "crumbs",               OUT(R_NAV) },
    { "d-none",               OUT(R_HIDDEN) },
    { "danger",               NOTE },
    { "dialog",               OUT(R_HIDDEN) },
    { "doc-content",          MAIN },
    { "docnav",               OUT(R_NAV) },
    { "docs-content",         MAIN },
    { "document",             MAIN },
    { "documentwrapper",      MAIN },
    { "edit-link",            OUT(R_NAV) },
    { "edit-page",            OUT(R_NAV) },
    { "editlink",             OUT(R_NAV) },
    { "editsection",          OUT(R_NAV) },
    { "entry-content",        MAIN },
    { "fancy_title",          TITLE },
    { "fancy_toc",            OUT(R_NAV) },
    { "feedback",             OUT(R_PAGE) },
    { "footer",               OUT(R_PAGE) },
    { "footer-text",          OUT(R_PAGE) },
    { "globaltoc",            OUT(R_NAV) },
    { "gutter",               OUT(R_NUMBERS) },
    { "hash-link",            WORD_PERMALINK, R_NAV },
    { "header",               LINKS },
    { "headerlink",           WORD_PERMALINK, R_NAV },
    { "headernav",            OUT(R_NAV) },
    { "headertitle",          TITLE },
    { "hidden",               OUT(R_HIDDEN) },
    { "hint",                 NOTE },
    { "important",            NOTE },
    { "info",                 NOTE },
    { "line-number",          OUT(R_NUMBERS) },
    { "lineno",               OUT(R_NUMBERS) },
    { "linenos",              OUT(R_NUMBERS) },
    { "linenumber",           OUT(R_NUMBERS) },
    { "linenumbers",          OUT(R_NUMBERS) },
    { "links",                LINKS },
    { "localtoc",             OUT(R_NAV) },
    { "main",                 MAIN },
    { "main-content",         MAIN },
    { "main-nav",             OUT(R_NAV) },
    { "maincontent",          MAIN },
    { "mainmenu",             OUT(R_NAV) },
    { "markdown-body",        MAIN },
    { "masthead",             OUT(R_PAGE) },
    { "menu",                 LINKS },
    { "menu-wrapper",         OUT(R_NAV) },
    { "menubar",              OUT(R_NAV) },
    { "mobile-nav",           OUT(R_NAV) },
    { "mobile-topbar",        OUT(R_NAV) },
    { "mw-content-text",      MAIN },
    { "mw-editsection",       OUT(R_NAV) },
    { "mw-jump-link",         OUT(R_NAV) },
    { "nav",                  OUT(R_NAV) },
    { "nav-bar",              OUT(R_NAV) },
    { "nav-footer",           OUT(R_NAV) },
    { "nav-header",           OUT(R_NAV) },
    { "nav-links",            OUT(R_NAV) },
    { "nav-menu",             OUT(R_NAV) },
    { "nav-panel",            OUT(R_NAV) },
    { "nav-path",             OUT(R_NAV) },
    { "nav-tree",             OUT(R_NAV) },
    { "navbar",               OUT(R_NAV) },
    { "navbox",               OUT(R_NAV) },
    { "navfooter",            OUT(R_NAV) },
    { "navheader",            OUT(R_NAV) },
    { "navigation",           OUT(R_NAV) },
    { "navlinks",             OUT(R_NAV) },
    { "navpath",              OUT(R_NAV) },
    { "newsletter",           OUT(R_PAGE) },
    { "next",                 LINKS },
    { "next_page",            OUT(R_NAV) },
    { "noprint",              OUT(R_HIDDEN) },
    { "note",                 NOTE },
    { "out-of-band",          LINKS },
    { "page-content",         MAIN },
    { "page-footer",          OUT(R_PAGE) },
    { "page-header",          LINKS },
    { "pageheader",           LINKS },
    { "pager",                OUT(R_NAV) },
    { "pagination",           OUT(R_NAV) },
    { "permalink",            WORD_PERMALINK, R_NAV },
    { "post-content",         MAIN },
    { "presentation",         WORD_LAYOUT, KEPT },
    { "prev",                 LINKS },
    { "prev-next",            OUT(R_NAV) },
    { "previous",             LINKS },
    { "previous_page",        OUT(R_NAV) },
    { "prevnext",             OUT(R_NAV) },
    { "related",              LINKS },
    { "rst-content",          MAIN },
    { "rustdoc-breadcrumbs",  OUT(R_NAV) },
    { "screen-reader-text",   OUT(R_HIDDEN) },
    { "search",               OUT(R_FORM) },
    { "search-container",     OUT(R_FORM) },
    { "search-form",          OUT(R_FORM) },
    { "searchbox",            OUT(R_FORM) },
    { "searchform",           OUT(R_FORM) },
    { "searchmenu",           OUT(R_FORM) },
    { "section-toc",          OUT(R_NAV) },
    { "seealso",              NOTE },
    { "share",                OUT(R_PAGE) },
    { "side-nav",             OUT(R_NAV) },
    { "sidebar",              LINKS },
    { "sidebarwrapper",       OUT(R_NAV) },
    { "sidenav",              OUT(R_NAV) },
    { "site-footer",          OUT(R_PAGE) },
    { "site-header",          OUT(R_PAGE) },
    { "site-nav",             OUT(R_NAV) },
    { "skip",                 OUT(R_NAV) },
    { "skip-link",            OUT(R_NAV) },
    { "skiplink",             OUT(R_NAV) },
    { "social",               OUT(R_PAGE) },
    { "sphinxsidebar",        OUT(R_NAV) },
    { "spirit-nav",           OUT(R_NAV) },
    { "sr-only",              OUT(R_HIDDEN) },
    { "srclink",              WORD_PERMALINK, R_NAV },
    { "subnav",               OUT(R_NAV) },
    { "table-of-contents",    OUT(R_NAV) },
    { "tableofcontents",      OUT(R_NAV) },
    { "tagline",              OUT(R_PAGE) },
    { "this-page-menu",       OUT(R_NAV) },
    { "tip",                  NOTE },
    { "titlearea",            OUT(R_PAGE) },
    { "toc",                  OUT(R_NAV) },
    { "toc_page",             OUT(R_NAV) },
    { "toctree-wrapper",      LINKS },
    { "toolbar",              OUT(R_NAV) },
    { "topbar",               OUT(R_PAGE) },
    { "toplang",              OUT(R_NAV) },
    { "topnav",               OUT(R_NAV) },
    { "viewcode-link",        WORD_PERMALINK, R_NAV },
    { "visually-hidden",      OUT(R_HIDDEN) },
    { "visuallyhidden",       OUT(R_HIDDEN) },
    { "warning",              NOTE },
};

/* Texts of links that lead to neighbours of a page. Lower case, letters and single blanks only. */
static const char *const nav_texts[] = { /* sorted */
    "back", "back to top", "contents", "first", "forward", "full index", "general index", "home", "index",
    "last", "main", "module index", "modules", "next", "next page", "next section", "prev", "previous",
    "previous page", "previous section", "search", "start", "table of contents", "toc", "top", "up",
};

/* What tools write in front of a language's name, and names that name none. */
static const char *const lang_heads[] = { "language-", "lang-", "highlight-source-", "highlight-", "brush:" };
/* Class words that are a language by themselves, on <pre> and <code>. */
static const char *const langs[] = {
    "asm", "awk", "bash", "bat", "c", "cmake", "console", "cpp", "csharp", "css", "diff", "fortran", "go",
    "haskell", "html", "ini", "java", "javascript", "js", "json", "julia", "kotlin", "lisp", "lua", "make",
    "makefile", "matlab", "octave", "perl", "php", "powershell", "python", "r", "ruby", "rust", "scala",
    "scheme", "sh", "shell", "sql", "swift", "tcl", "toml", "typescript", "xml", "yaml",
};
static const char *const no_langs[] = { "default", "none", "text", "plain", "plaintext", "txt", "output", "notranslate" };
/* clang-format on */

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

const html_tag *html_tag_find(const char *name)
{
    static const html_tag unknown = { "", ACT_INLINE, 0 };
    size_t lo = 0, hi = N_OF(tags);
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        const int order = strcmp(name, tags[mid].name);
        if (order == 0)
            return &tags[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return &unknown;
}

static int compare(const char *p, size_t n, const char *word)
{
    const size_t n_word = strlen(word);
    const int order = memcmp(p, word, n < n_word ? n : n_word);
    return order ? order : (n > n_word) - (n < n_word);
}

const html_word *html_word_find(const char *p, size_t n)
{
    size_t lo = 0, hi = N_OF(words);
    char low[32];
    if (!n || n > sizeof low)
        return NULL;
    for (size_t i = 0; i < n; i++)
        low[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        const int order = compare(low, n, words[mid].word);
        if (order == 0)
            return &words[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static bool listed(const char *p, size_t n, const char *const *list, size_t n_list)
{
    for (size_t i = 0; i < n_list; i++)
        if (compare(p, n, list[i]) == 0)
            return true;
    return false;
}

bool html_is_nav_text(const char *p, size_t n)
{
    char low[24];
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const char c = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
        if (k == sizeof low - 1)
            return false;
        if (c >= 'a' && c <= 'z')
            low[k++] = c;
        else if ((c & 0x80) == 0 && k && low[k - 1] != ' ')
            low[k++] = ' '; /* arrows and brackets around the word do not count */
    }
    while (k && low[k - 1] == ' ')
        k--;
    if (!k)
        return n <= 4; /* an arrow alone */
    return listed(low, k, nav_texts, N_OF(nav_texts));
}

hone_str html_class_lang(hone_str classes, bool code)
{
    bool source = false; /* pandoc: class="sourceCode python" */
    for (uint64_t i = 0, k; i < classes.n; i = k + 1) {
        for (k = i; k < classes.n && !html_is_space(classes.p[k]);)
            k++;
        hone_str word = { classes.p + i, k - i };
        bool named = source || (code && listed(word.p, word.n, langs, N_OF(langs)));
        source = source || compare(word.p, word.n, "sourceCode") == 0 ||
                 compare(word.p, word.n, "brush:") == 0;
        for (size_t h = 0; h < N_OF(lang_heads) && !named; h++) {
            const size_t n = strlen(lang_heads[h]);
            if (word.n > n && memcmp(word.p, lang_heads[h], n) == 0) {
                word.p += n;
                word.n -= n;
                named = true;
            }
        }
        while (word.n && (word.p[word.n - 1] == ';' || word.p[word.n - 1] == ','))
            word.n--;
        if (!named || !word.n || word.n > 32)
            continue;
        if (listed(word.p, word.n, no_langs, N_OF(no_langs)))
            word.n = 0;
        if (compare(word.p, word.n, "python3") == 0)
            word.n--;
        return word;
    }
    return (hone_str){ "", 0 };
}
