/*
 * prompt.c - see prompt.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "prompt.h"

#include <errno.h>
#include <stdio.h>

#define MAX_PROMPT (1 << 18) /* bytes of a file */

static hone_status read_words(prompt *p, const char *path, hone_error *err)
{
    char part[4096];
    size_t n;
    hone_status st = HONE_OK;
    FILE *f = fopen(path, "rb");
    if (!f)
        return hone_fail(err, errno == ENOENT ? HONE_ERR_NOTFOUND : HONE_ERR_IO,
                         "%s: prompt: cannot read %s: %s", p->name, path, strerror(errno));
    while ((n = fread(part, 1, sizeof part, f)) > 0 && p->words.n <= MAX_PROMPT)
        hone_text_add(&p->words, part, n);
    if (ferror(f))
        st = hone_fail(err, HONE_ERR_IO, "%s: prompt: cannot read %s", p->name, path);
    else if (p->words.n > MAX_PROMPT)
        st = hone_fail(err, HONE_ERR_LIMIT, "%s: prompt: %s has more than %d bytes", p->name, path,
                       MAX_PROMPT);
    (void)fclose(f);
    for (uint64_t i = 0; i < p->words.n && st == HONE_OK;) {
        uint32_t cp;
        i += hone_utf8_next(p->words.p + i, p->words.n - i, &cp);
        if (cp == UINT32_MAX)
            st = hone_fail(err, HONE_ERR_FORMAT, "%s: prompt: %s is no UTF-8 at byte %llu", p->name,
                           path, (unsigned long long)i);
    }
    return st;
}

static hone_str trimmed(const char *from, const char *to)
{
    while (to > from && (to[-1] == '\n' || to[-1] == '\r' || to[-1] == ' '))
        to--;
    while (from < to && (*from == '\n' || *from == '\r'))
        from++;
    return (hone_str){ from, (uint64_t)(to - from) };
}

/* "---" alone on a line ends the system message. */
static void split(prompt *p)
{
    const char *start = p->words.p, *end = start + p->words.n;
    p->user = trimmed(start, end);
    for (const char *line = start; line < end;) {
        const char *nl = memchr(line, '\n', (size_t)(end - line));
        const char *stop = nl ? nl : end;
        const uint64_t n = (uint64_t)(stop - line) - (stop > line && stop[-1] == '\r');
        if (n == 3 && memcmp(line, "---", 3) == 0) {
            p->system = trimmed(start, line);
            p->user = trimmed(stop, end);
            return;
        }
        line = stop + 1;
    }
}

/* The next {{name}} of s at or after *at: its start in *at, its end in *end. */
static bool next_name(hone_str s, uint64_t *at, uint64_t *end, hone_str *name)
{
    for (uint64_t i = *at; i + 4 <= s.n; i++) {
        if (s.p[i] != '{' || s.p[i + 1] != '{')
            continue;
        uint64_t k = i + 2;
        while (k < s.n && (s.p[k] == '_' || (s.p[k] >= 'a' && s.p[k] <= 'z')))
            k++;
        if (k > i + 2 && k + 2 <= s.n && s.p[k] == '}' && s.p[k + 1] == '}') {
            *name = (hone_str){ s.p + i + 2, k - i - 2 };
            *at = i;
            *end = k + 2;
            return true;
        }
    }
    return false;
}

static bool is_name(hone_str name, const char *word)
{
    return strlen(word) == name.n && memcmp(word, name.p, name.n) == 0;
}

static hone_status check(const prompt *p, const char *const *names, hone_error *err)
{
    const hone_str parts[] = { p->system, p->user };
    bool text = false;
    for (size_t i = 0; i < 2; i++) {
        uint64_t at = 0, end;
        hone_str name;
        for (; next_name(parts[i], &at, &end, &name); at = end) {
            size_t k = 0;
            while (names[k] && !is_name(name, names[k]))
                k++;
            if (!names[k]) {
                char known[200] = "";
                for (k = 0; names[k]; k++)
                    (void)snprintf(known + strlen(known), sizeof known - strlen(known), "%s{{%s}}",
                                   k ? ", " : "", names[k]);
                return hone_fail(err, HONE_ERR_ARG, "%s: prompt: {{%.*s}} is unknown; known are %s",
                                 p->name, (int)name.n, name.p, known);
            }
            text = text || is_name(name, "text");
        }
    }
    return text ? HONE_OK
                : hone_fail(err, HONE_ERR_ARG,
                            "%s: prompt: it has no {{text}}: every question would be the same",
                            p->name);
}

hone_status prompt_init(prompt *p, const hone_host *host, const char *name, const char *path,
                        const char *words, const char *const *names, hone_error *err)
{
    const hone_text text = { .host = host, .tag = name };
    hone_status st = HONE_OK;
    *p = (prompt){
        .host = host, .name = name, .words = text, .filled_system = text, .filled_user = text
    };
    p->service = host->service(host, HONE_SERVICE_GENERATE);
    if (!p->service)
        return hone_fail(err, HONE_ERR_STATE,
                         "%s: there is no model to ask: set the model, or generator.endpoint",
                         name);
    if (path)
        st = read_words(p, path, err);
    else
        hone_text_puts(&p->words, words);
    if (st == HONE_OK)
        st = hone_text_status(&p->words, err);
    if (st != HONE_OK)
        return st;
    if (!p->words.n)
        return hone_fail(err, HONE_ERR_ARG, "%s: prompt: %s is empty", name, path ? path : "it");
    split(p);
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a: a name, not a proof */
    for (uint64_t i = 0; i < p->words.n; i++)
        hash = (hash ^ (unsigned char)p->words.p[i]) * 0x100000001b3u;
    (void)snprintf(p->version, sizeof p->version, "%016llx", (unsigned long long)hash);
    return check(p, names, err);
}

void prompt_finish(prompt *p)
{
    if (!p->host)
        return;
    hone_text_finish(&p->words);
    hone_text_finish(&p->filled_system);
    hone_text_finish(&p->filled_user);
}

static void fill(hone_text *out, hone_str words, const prompt_value *values)
{
    uint64_t from = 0, at = 0, end;
    hone_str name;
    hone_text_clear(out);
    for (; next_name(words, &at, &end, &name); from = at = end) {
        hone_text_add(out, words.p + from, at - from);
        for (const prompt_value *v = values; v->name; v++)
            if (is_name(name, v->name))
                hone_text_add(out, v->value.p, v->value.n);
    }
    hone_text_add(out, words.p + from, words.n - from);
}

hone_status prompt_submit(prompt *p, const prompt_value *values, int64_t max_tokens,
                          uint64_t *handle, hone_error *err)
{
    fill(&p->filled_system, p->system, values);
    fill(&p->filled_user, p->user, values);
    hone_status st = hone_text_status(&p->filled_system, err);
    if (st == HONE_OK)
        st = hone_text_status(&p->filled_user, err);
    const hone_prompt q = { .struct_size = sizeof q,
                            .system = hone_text_str(&p->filled_system),
                            .user = hone_text_str(&p->filled_user),
                            .version = hone_s(p->version),
                            .max_tokens = max_tokens };
    return st == HONE_OK ? p->service->submit(p->service, &q, handle, err) : st;
}

hone_status prompt_collect(prompt *p, uint64_t handle, hone_answer *answer, const char **why,
                           hone_error *err)
{
    const hone_status st = p->service->collect(p->service, handle, answer, err);
    *why = NULL;
    if (st == HONE_ERR_LIMIT)
        *why = "prompts that the model's context does not hold";
    else if (st == HONE_ERR_SKIP)
        *why = "prompts that were not answered";
    return *why ? HONE_OK : st;
}
