/*
 * weights.c - from the table of weights to device memory, one tensor at a time.
 *
 * Projections that do not train are stored as the weights plugin lays them out;
 * embedding, norms, biases, lm_head and everything that trains is dense float32. A
 * tensor goes up in pieces from the mapped file, so that the host holds one piece, or
 * one matrix where the format is packed and must see all of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "core/model/impl.h"

#define PIECE ((int64_t)1 << 22) /* elements converted at a time */
#define ALIGN 256u               /* of a plane in its buffer, bytes */
#define DENSE_FORMAT "fp32"      /* what devices call a dense float32 matrix */

/* Where a tensor's numbers come from. */
typedef struct source {
    const st_tensor *t; /* a file; NULL: fresh ... */
    double constant;    /* ... all this, */
    double deviation;   /* ... or normally distributed when above 0 */
    uint64_t seed, stream;
} source;

/* ----------------------------------------------------------------------- numbers */

typedef struct piece {
    const source *s;
    int64_t first;
    float *dst;
} piece;

static void piece_fill(void *arg, int64_t lo, int64_t hi)
{
    const piece *p = arg;
    const source *s = p->s;
    if (s->t) {
        (void)st_read_f32(s->t, p->first + lo, hi - lo, p->dst + lo); /* checked by check_tensor */
        return;
    }
    for (int64_t i = lo; i < hi; i++)
        p->dst[i] = (float)(s->deviation > 0 ? s->deviation * rng_normal(s->seed, s->stream,
                                                                         (uint64_t)(p->first + i))
                                             : s->constant);
}

static void source_read(const source *s, int64_t first, int64_t n, float *dst)
{
    piece p = { s, first, dst };
    parallel_for(n, 1 << 16, piece_fill, &p);
}

/* Dense float32 of n elements to buf. */
static hone_status upload_f32(model *m, hone_buf buf, uint64_t offset, const source *s, int64_t n,
                              hone_error *err)
{
    if (s->t && s->t->dtype == HONE_F32)
        return ops_upload(m->o, buf, offset, s->t->p, s->t->bytes, err);
    const int64_t step = n < PIECE ? n : PIECE;
    float *staging = mem_new((size_t)step, sizeof *staging);
    if (!staging)
        return hone_fail(err, HONE_ERR_NOMEM, "model: no memory to convert weights");
    hone_status st = HONE_OK;
    for (int64_t i = 0; i < n && st == HONE_OK; i += step) {
        const int64_t k = n - i < step ? n - i : step;
        source_read(s, i, k, staging);
        st = ops_upload(m->o, buf, offset + (uint64_t)i * sizeof *staging, staging,
                        (uint64_t)k * sizeof *staging, err);
    }
    free(staging);
    return st;
}

/* ------------------------------------------------------------------------ storage */

static uint64_t plane_bytes(const hone_plane *p)
{
    return ((uint64_t)p->count * hone_dtype_size(p->dtype) + ALIGN - 1) / ALIGN * ALIGN;
}

/* Planes of a frozen matrix in the weights plugin's layout, one behind another. */
static hone_status plan_linear(model *m, weight *w, hone_error *err)
{
    const char *format;
    void *self;
    const hone_weights *table = backend_format(m->backend, &format, &self);
    hone_planes planes = { .struct_size = sizeof planes };
    hone_status st = table->layout(self, w->w.rows, w->w.cols, &planes, err);
    if (st != HONE_OK)
        return st;
    w->w.n_planes = planes.n;
    w->w.format = format;
    for (uint32_t k = 0; k < planes.n; k++) {
        const hone_plane *p = &planes.plane[k];
        w->w.plane[k] = hone_tensor_1d(0, w->bytes, p->dtype, p->count);
        w->bytes += plane_bytes(p);
    }
    if (table->dense)
        w->w.plane[0] = hone_tensor_2d(0, 0, table->dense, w->w.rows, w->w.cols);
    return HONE_OK;
}

/* Dense float32; of its own unless it is a parameter. */
static void plan_dense(const model *m, weight *w)
{
    w->w.format = DENSE_FORMAT;
    w->w.n_planes = 1;
    if (m->train != TRAIN_FULL)
        w->bytes = (uint64_t)(w->w.rows * w->w.cols) * sizeof(float);
}

/* Host memory while a weight is converted. */
static uint64_t convert_bytes(const weight *w)
{
    const uint64_t n = (uint64_t)(w->w.rows * w->w.cols);
    const bool packed = w->bytes && strcmp(w->w.format, DENSE_FORMAT) != 0;
    return packed ? n * sizeof(float) + w->bytes
                  : (n < PIECE ? n : (uint64_t)PIECE) * sizeof(float);
}

hone_status weights_plan(model *m, hone_error *err)
{
    for (int64_t l = 0; l < m->c.layers; l++)
        for (const llama_tensor *t = llama_tensors; t->name; t++) {
            if (!llama_has(&m->c, t) || (l && !(t->flags & TENSOR_PER_LAYER)))
                continue;
            weight *w = weight_at(m, l, (int)(t - llama_tensors));
            hone_status st = HONE_OK;
            w->w.struct_size = sizeof w->w;
            w->w.rows = m->c.dim[t->rows];
            w->w.cols = m->c.dim[t->cols];
            if (t->flags & TENSOR_LINEAR && m->train != TRAIN_FULL)
                st = plan_linear(m, w, err);
            else
                plan_dense(m, w);
            if (st != HONE_OK)
                return st;
            m->plan.bytes[BYTES_WEIGHTS] += w->bytes;
            if (convert_bytes(w) > m->plan.load)
                m->plan.load = convert_bytes(w);
        }
    return HONE_OK;
}

/* The whole matrix through the plugin's quantize(). */
static hone_status upload_packed(model *m, weight *w, const hone_weights *table, void *self,
                                 const source *s, hone_error *err)
{
    const int64_t n = w->w.rows * w->w.cols;
    void *plane[HONE_MAX_PLANES] = { NULL };
    hone_status st = HONE_OK;
    float *full = mem_new((size_t)n, sizeof *full);
    bool ok = full != NULL;
    for (uint32_t k = 0; k < w->w.n_planes && ok; k++) {
        const hone_tensor *t = &w->w.plane[k];
        plane[k] = mem_new((size_t)t->shape[0], hone_dtype_size(t->dtype));
        ok = plane[k] != NULL;
    }
    if (!ok) {
        st = hone_fail(err, HONE_ERR_NOMEM, "model: no memory to convert a weight of %lld numbers",
                       (long long)n);
        goto out;
    }
    source_read(s, 0, n, full);
    st = table->quantize(self, full, w->w.rows, w->w.cols, plane, err);
    for (uint32_t k = 0; k < w->w.n_planes && st == HONE_OK; k++) {
        const hone_tensor *t = &w->w.plane[k];
        st = ops_upload(m->o, t->buf, t->offset, plane[k],
                        (uint64_t)t->shape[0] * hone_dtype_size(t->dtype), err);
    }
    (void)mem_resident(); /* the highest point of loading */
out:
    for (uint32_t k = 0; k < HONE_MAX_PLANES; k++)
        free(plane[k]);
    free(full);
    return st;
}

static hone_status store_linear(model *m, weight *w, const source *s, hone_error *err)
{
    const char *format;
    void *self;
    const hone_weights *table = backend_format(m->backend, &format, &self);
    hone_status st = model_alloc(m, &w->buf, w->bytes, err);
    if (st != HONE_OK)
        return st;
    for (uint32_t k = 0; k < w->w.n_planes; k++)
        w->w.plane[k].buf = w->buf;
    if (table->dense == HONE_F32) {
        w->value = w->w.plane[0];
        return upload_f32(m, w->buf, 0, s, w->w.rows * w->w.cols, err);
    }
    if (table->dense && s->t && s->t->dtype == table->dense)
        return ops_upload(m->o, w->buf, 0, s->t->p, s->t->bytes, err);
    return upload_packed(m, w, table, self, s, err);
}

static hone_status store_dense(model *m, weight *w, const source *s, hone_error *err)
{
    hone_status st = HONE_OK;
    if (!w->value.buf) {
        st = model_alloc(m, &w->buf, w->bytes, err);
        if (st != HONE_OK)
            return st;
        w->value = w->w.cols == 1 ? hone_tensor_1d(w->buf, 0, HONE_F32, w->w.rows)
                                  : hone_tensor_2d(w->buf, 0, HONE_F32, w->w.rows, w->w.cols);
    }
    w->w.plane[0] = w->value;
    return upload_f32(m, w->value.buf, w->value.offset, s, w->w.rows * w->w.cols, err);
}

/* ------------------------------------------------------------------------- checks */

static void print_shape(char *out, size_t size, uint32_t rank, const int64_t *shape)
{
    size_t n = (size_t)snprintf(out, size, "(");
    for (uint32_t k = 0; k < rank && n < size; k++)
        n += (size_t)snprintf(out + n, size - n, "%s%lld", k ? ", " : "", (long long)shape[k]);
    if (n < size)
        (void)snprintf(out + n, size - n, ")");
}

/* Is it there, made of floats, and of the shape that config.json says? */
static hone_status check_tensor(const st_tensor *t, const char *name, int64_t rows, int64_t cols,
                                bool vector, const char *dir, hone_error *err)
{
    const int64_t want[2] = { rows, cols };
    const uint32_t rank = vector ? 1 : 2;
    char found[96], expected[96];
    if (!t)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: tensor %s is missing", dir, name);
    if (t->rank != rank || t->shape[0] != rows || (!vector && t->shape[1] != cols)) {
        print_shape(found, sizeof found, t->rank, t->shape);
        print_shape(expected, sizeof expected, rank, want);
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: tensor %s has shape %s, config.json makes it %s", dir, name, found,
                         expected);
    }
    if (!st_read_f32(t, 0, 0, NULL))
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "%s: tensor %s holds no F32, F16, BF16 or F64 numbers; a quantized model "
                         "must be converted first",
                         dir, name);
    return HONE_OK;
}

/* Tensors that are in files and carry nothing. */
static bool is_harmless(const model *m, const st_file *f, const st_tensor *t)
{
    static const char inv_freq[] = ".rotary_emb.inv_freq"; /* a buffer old versions saved */
    const size_t n = strlen(t->name), k = sizeof inv_freq - 1;
    if (n > k && strcmp(t->name + n - k, inv_freq) == 0)
        return true;
    if (!m->c.tied || strcmp(t->name, llama_tensors[W_HEAD].name) != 0)
        return false;
    const st_tensor *embed = st_find(f, llama_tensors[W_EMBED].name);
    return embed && embed->dtype == t->dtype && embed->bytes == t->bytes &&
           memcmp(embed->p, t->p, t->bytes) == 0;
}

/* Nothing in the files is left unread without a word. */
static hone_status check_rest(const model *m, const st_file *f, const bool *used, const char *dir,
                              hone_error *err)
{
    for (size_t i = 0; i < st_count(f); i++) {
        const st_tensor *t = st_at(f, i);
        if (used[i] || is_harmless(m, f, t))
            continue;
        if (m->c.tied && strcmp(t->name, llama_tensors[W_HEAD].name) == 0)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: config.json ties lm_head to the embedding, but lm_head.weight is "
                             "stored and differs from it; set tie_word_embeddings to false",
                             dir);
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: tensor %.120s is no part of a %s model with this config.json", dir,
                         t->name, m->c.family);
    }
    return HONE_OK;
}

/* ------------------------------------------------------------------------ loading */

static hone_status load_one(model *m, const st_file *f, bool *used, const llama_tensor *row_of,
                            int64_t l, const char *dir, hone_error *err)
{
    const int which = (int)(row_of - llama_tensors);
    const int64_t rows = m->c.dim[row_of->rows], cols = m->c.dim[row_of->cols];
    const bool vector = row_of->cols == DIM_1;
    char name[TENSOR_NAME_SIZE];
    weight *w = weight_at(m, l, which);
    source s = { .seed = m->seed, .stream = (uint64_t)(l * W_COUNT + which) };
    llama_tensor_name(name, sizeof name, row_of, l);
    if (f) {
        s.t = st_find(f, name);
        hone_status st = check_tensor(s.t, name, rows, cols, vector, dir, err);
        if (st != HONE_OK)
            return st;
        used[s.t - st_at(f, 0)] = true;
    } else if (!vector) {
        s.deviation = m->c.init_range;
    } else {
        s.constant = strstr(row_of->name, "norm") ? 1 : 0; /* biases start at 0 */
    }
    if (row_of->flags & TENSOR_LINEAR && m->train != TRAIN_FULL)
        return store_linear(m, w, &s, err);
    return store_dense(m, w, &s, err);
}

hone_status weights_load(model *m, const char *dir, bool fresh, hone_error *err)
{
    st_file *f = NULL;
    bool *used = NULL;
    hone_status st = HONE_OK;
    if (!fresh) {
        st = st_open(&f, dir, err);
        if (st != HONE_OK)
            return st;
        used = mem_new(st_count(f), sizeof *used);
        if (!used) {
            st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", dir);
            goto out;
        }
    }
    for (int64_t l = 0; l < m->c.layers; l++)
        for (const llama_tensor *t = llama_tensors; t->name; t++) {
            if (!llama_has(&m->c, t) || (l && !(t->flags & TENSOR_PER_LAYER)))
                continue;
            st = load_one(m, f, used, t, l, dir, err);
            if (st != HONE_OK)
                goto out;
        }
    if (f)
        st = check_rest(m, f, used, dir, err);
    if (st == HONE_OK)
        st = ops_sync(m->o, err); /* before the mapping goes */
out:
    free(used);
    st_close(f);
    return st;
}

void weights_free(model *m)
{
    if (!m->weights)
        return;
    for (int64_t i = 0; i < m->c.layers * W_COUNT; i++) {
        ops_free(m->o, m->weights[i].buf);
        free(m->weights[i].lora);
    }
    free(m->weights);
    m->weights = NULL;
}

hone_status weight_download(const model *m, const weight *w, float *dst, hone_error *err)
{
    const int64_t n = w->w.rows * w->w.cols;
    void *plane[HONE_MAX_PLANES] = { NULL };
    const char *format;
    void *self;
    const hone_weights *table = backend_format(m->backend, &format, &self);
    if (w->value.buf)
        return ops_download(m->o, dst, w->value.buf, w->value.offset, (uint64_t)n * sizeof *dst,
                            err);
    hone_status st = HONE_OK;
    for (uint32_t k = 0; k < w->w.n_planes && st == HONE_OK; k++) {
        const hone_tensor *t = &w->w.plane[k];
        const uint64_t bytes = (uint64_t)hone_tensor_count(t) * hone_dtype_size(t->dtype);
        plane[k] = mem_new(1, bytes);
        st = plane[k] ? ops_download(m->o, plane[k], t->buf, t->offset, bytes, err)
                      : hone_fail(err, HONE_ERR_NOMEM, "model: no memory to read a weight back");
    }
    if (st == HONE_OK)
        st = table->dequantize(self, (const void *const *)plane, w->w.rows, w->w.cols, dst, err);
    for (uint32_t k = 0; k < HONE_MAX_PLANES; k++)
        free(plane[k]);
    return st;
}
