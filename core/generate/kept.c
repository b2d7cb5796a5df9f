/*
 * kept.c - answers on disk: <folder>/ab/cdef....json, each whole or not there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/generate/parts.h"

#define MAX_FILE ((size_t)64 << 20)

static char *path_of(const char *folder, const request *r, char **dir)
{
    char name[3] = { r->key[0], r->key[1], '\0' }, rest[72];
    (void)snprintf(rest, sizeof rest, "%s.json", r->key + 2);
    *dir = path_join(folder, name);
    return *dir ? path_join(*dir, rest) : NULL;
}

hone_status kept_read(const char *folder, request *r, hone_error *err)
{
    char *dir = NULL, *path = path_of(folder, r, &dir), *p = NULL;
    size_t n = 0;
    json_t *root = NULL;
    hone_error why = { 0 };
    hone_status st = HONE_OK;
    if (!path) {
        st = hone_fail(err, HONE_ERR_NOMEM, "generator: no memory");
        goto out;
    }
    if (!path_exists(path)) {
        st = HONE_ERR_NOTFOUND;
        goto out;
    }
    const json_t *answer = NULL;
    if (file_read(&p, &n, path, MAX_FILE, &why) == HONE_OK &&
        json_parse_texts(&root, p, n, path, &why) == HONE_OK)
        answer = json_object_get(root, "answer");
    if (!json_is_string(answer)) {
        log_line(HONE_LOG_WARN, "%s: no kept answer (%s); asked again", path,
                 why.message[0] ? why.message : "it has no \"answer\"");
        st = HONE_ERR_NOTFOUND;
        goto out;
    }
    text_clear(&r->answer);
    text_add(&r->answer, json_string_value(answer), json_string_length(answer));
    r->end = json_is_true(json_object_get(root, "cut")) ? HONE_ANSWER_LENGTH : HONE_ANSWER_STOP;
    r->cached = true;
    st = text_status(&r->answer, err);
out:
    json_decref(root);
    free(p);
    free(path);
    free(dir);
    return st;
}

hone_status kept_write(const char *folder, const request *r, const char *identity, hone_error *err)
{
    char *dir = NULL, *path = path_of(folder, r, &dir);
    json_t *root = json_pack("{s:s%, s:b, s:s}", "answer", r->answer.p ? r->answer.p : "",
                             r->answer.n, "cut", r->end == HONE_ANSWER_LENGTH, "by", identity);
    hone_status st = path && root
                         ? dir_make(dir, err)
                         : hone_fail(err, HONE_ERR_NOMEM, "generator: no memory to keep an answer");
    if (!st)
        st = json_write(root, path, err);
    json_decref(root);
    free(path);
    free(dir);
    return st;
}
