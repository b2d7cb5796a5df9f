/*
 * code_find.c - which languages there are, and of which a file is.
 *
 * Dropping <language>.lang and libtree-sitter-<language>.so into a folder adds a language.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "code.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool known(const languages *all, const char *stem, size_t n)
{
    for (uint64_t i = 0; i < all->list.n / sizeof(language); i++) {
        const char *s = language_at(all, i)->stem;
        if (strlen(s) == n && memcmp(s, stem, n) == 0)
            return true;
    }
    return false;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* given: the user named it, so it has to be there. */
static hone_status load_folder(languages *all, const char *folder, bool given, hone_error *err)
{
    struct dirent **names = NULL;
    hone_status st = HONE_OK;
    const int n = scandir(folder, &names, NULL, by_name);
    if (n < 0)
        return given ? hone_fail(err, HONE_ERR_IO, "code: grammars: %s cannot be read: %s", folder,
                                 strerror(errno))
                     : HONE_OK;
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        const size_t k = strlen(name);
        if (st == HONE_OK && k > 5 && strcmp(name + k - 5, ".lang") == 0 &&
            !known(all, name, k - 5))
            st = language_load(all, folder, name, k - 5, err);
        free(names[i]);
    }
    free(names);
    return st;
}

static hone_status load_variable(languages *all, hone_error *err)
{
    const char *p = getenv("HONE_GRAMMARS");
    hone_status st = HONE_OK;
    while (p && *p && st == HONE_OK) {
        const size_t n = strcspn(p, ":");
        char *folder = code_copy(all->host, p, n);
        st = !folder ? hone_fail(err, HONE_ERR_NOMEM, "code: no memory for languages")
             : n     ? load_folder(all, folder, true, err)
                     : HONE_OK;
        all->host->free(all->host, folder);
        p += n + (p[n] == ':');
    }
    return st;
}

static hone_status load_home(languages *all, hone_error *err)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    const bool own = data && *data;
    if (!own && !(home && *home))
        return HONE_OK;
    char *folder =
        code_join(all->host, own ? data : home, own ? "" : "/.local/share", "/hone/grammars");
    const hone_status st = folder ? load_folder(all, folder, false, err)
                                  : hone_fail(err, HONE_ERR_NOMEM, "code: no memory for languages");
    all->host->free(all->host, folder);
    return st;
}

static const char here; /* of this plugin: where its file is */

static hone_status load_beside(languages *all, hone_error *err)
{
    Dl_info info;
    if (!dladdr(&here, &info) || !info.dli_fname)
        return HONE_OK;
    const char *slash = strrchr(info.dli_fname, '/');
    char *dir = code_copy(all->host, slash ? info.dli_fname : ".",
                          slash ? (size_t)(slash - info.dli_fname) : 1);
    char *folder = dir ? code_join(all->host, dir, "/grammars", "") : NULL;
    const hone_status st = folder ? load_folder(all, folder, false, err)
                                  : hone_fail(err, HONE_ERR_NOMEM, "code: no memory for languages");
    all->host->free(all->host, dir);
    all->host->free(all->host, folder);
    return st;
}

hone_status languages_load(languages *l, const hone_host *host, const hone_list *folders,
                           hone_error *err)
{
    hone_status st = HONE_OK;
    *l = (languages){ .host = host, .list = { .host = host, .tag = "code" } };
    for (uint64_t i = 0; i < folders->n && st == HONE_OK; i++)
        st = load_folder(l, folders->items[i], true, err);
    if (st != HONE_OK || (st = load_variable(l, err)) != HONE_OK ||
        (st = load_home(l, err)) != HONE_OK || (st = load_beside(l, err)) != HONE_OK)
        languages_finish(l);
    return st;
}

void languages_finish(languages *l)
{
    for (uint64_t i = 0; i < l->list.n / sizeof(language); i++)
        language_finish((language *)(void *)l->list.p + i, l->host);
    hone_text_finish(&l->list);
}

/* ------------------------------------------------------------------ which language */

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Does name end with the word (letter case does not matter), or is it the word? */
static bool matches(hone_str name, const char *word, bool whole)
{
    const size_t n = strlen(word);
    if (n > name.n || (whole && n != name.n))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char c = name.p[name.n - n + i];
        if (whole ? c != word[i] : lower(c) != word[i])
            return false;
    }
    return true;
}

static bool in_list(const hone_text *list, hone_str name, bool whole)
{
    for (const char *w = list->p; w && *w; w += strlen(w) + 1)
        if (matches(name, w, whole))
            return true;
    return false;
}

/* "#!/usr/bin/env python3": the program, without its version. */
static hone_str program_of(hone_str text)
{
    hone_str w = { "", 0 };
    uint64_t i = 2, start;
    if (text.n < 2 || text.p[0] != '#' || text.p[1] != '!')
        return w;
    while (i < text.n && text.p[i] != '\n') {
        while (i < text.n && (text.p[i] == ' ' || text.p[i] == '\t'))
            i++;
        for (start = i; i < text.n && !strchr(" \t\n", text.p[i]) && text.p[i]; i++)
            if (text.p[i] == '/')
                start = i + 1;
        w = (hone_str){ text.p + start, i - start };
        if (!(w.n == 3 && memcmp(w.p, "env", 3) == 0) || i == text.n)
            break;
    }
    while (w.n && (strchr("0123456789.", w.p[w.n - 1])))
        w.n--;
    return w;
}

const language *languages_find(const languages *l, hone_str name, hone_str text,
                               const language **second)
{
    const uint64_t n = l->list.n / sizeof(language);
    const language *lang = NULL;
    hone_str base = name;
    *second = NULL;
    for (uint64_t i = 0; i < name.n; i++)
        if (name.p[i] == '/')
            base = (hone_str){ name.p + i + 1, name.n - i - 1 };
    for (uint64_t i = 0; i < n && !lang; i++)
        if (in_list(&language_at(l, i)->files, base, true) ||
            in_list(&language_at(l, i)->extensions, base, false))
            lang = language_at(l, i);
    for (uint64_t i = 0; i < n && lang && !*second; i++)
        if (language_at(l, i) != lang && language_at(l, i)->ts &&
            in_list(&language_at(l, i)->also, base, false))
            *second = language_at(l, i);
    if (lang || memchr(base.p, '.', base.n))
        return lang;
    const hone_str program = program_of(text);
    for (uint64_t i = 0; i < n && program.n && !lang; i++)
        if (in_list(&language_at(l, i)->shebangs, program, true))
            lang = language_at(l, i);
    return lang;
}
