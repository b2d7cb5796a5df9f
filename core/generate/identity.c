/*
 * identity.c - a name for the model that answers, by what its files hold.
 *
 * Small files are hashed whole. Of a file of weights it is size, header and samples all over it:
 * training changes every weight, and nobody waits for gigabytes to be read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/generate/parts.h"

#define SMALL ((int64_t)4 << 20) /* bytes */
#define SAMPLES 256
#define SAMPLE_BYTES 4096

typedef struct state {
    sha256 hash;
    size_t root; /* bytes of a path that are the folder */
    int64_t files;
} state;

static bool counts(const char *name)
{
    static const char *const tails[] = { ".safetensors", ".json", ".model" };
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        const size_t k = strlen(tails[i]);
        if (n > k && strcmp(name + n - k, tails[i]) == 0)
            return true;
    }
    return false;
}

static hone_status add_file(void *ctx, const char *path, hone_error *err)
{
    state *x = ctx;
    char bytes[SAMPLE_BYTES];
    struct stat s;
    hone_status st = HONE_OK;
    if (!counts(path) || strchr(path + x->root + 1, '/'))
        return HONE_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &s) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return hone_fail(err, HONE_ERR_IO, "%s: cannot be read", path);
    }
    sha256_add(&x->hash, path + x->root, strlen(path + x->root) + 1);
    sha256_add(&x->hash, &(int64_t){ s.st_size }, sizeof(int64_t));
    const int64_t step = s.st_size <= SMALL ? SAMPLE_BYTES : s.st_size / SAMPLES;
    for (int64_t at = 0; at < s.st_size && !st; at += step) {
        const ssize_t n = pread(fd, bytes, sizeof bytes, (off_t)at);
        if (n < 0)
            st = hone_fail(err, HONE_ERR_IO, "%s: cannot be read", path);
        else
            sha256_add(&x->hash, bytes, (size_t)n);
    }
    (void)close(fd);
    x->files++;
    return st;
}

hone_status generator_identity(char **out, const char *model_dir, const char *adapter_dir,
                               const char *spec, hone_error *err)
{
    const char *const dirs[] = { model_dir, adapter_dir };
    uint8_t digest[32];
    char hex[17];
    text t = { 0 };
    state x = { 0 };
    sha256_init(&x.hash);
    for (size_t i = 0; i < 2 && dirs[i]; i++) {
        x.root = strlen(dirs[i]);
        while (x.root > 1 && dirs[i][x.root - 1] == '/')
            x.root--;
        const hone_status st = dir_walk(dirs[i], add_file, &x, err);
        if (st)
            return st;
    }
    sha256_done(&x.hash, digest);
    for (size_t i = 0; i < 8; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    text_printf(&t, "%s on %s", hex, spec);
    const hone_status st = text_status(&t, err);
    if (st)
        text_finish(&t);
    else
        *out = t.p;
    return st;
}
