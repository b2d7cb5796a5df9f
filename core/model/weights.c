/*
 * weights.c - the plan of every weight's storage, and loading them from a folder.
 *
 * Projections that do not train are stored as the weights plugin lays them out. Embedding
 * and lm_head are 16 bits wide where the format is not fp32; norms and biases are float32.
 * What trains is float32 too, and where the format is 16 bits wide, products are made with
 * a copy of it that is refreshed after each step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "core/model/impl.h"
#include "core/model/weights_io.h"

#define ALIGN 256u /* of a plane in its buffer, bytes */

/* --------------------------------------------------------------------------- plan */

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
    w->dense = table->dense;
    if (table->dense)
        w->w.plane[0] = hone_tensor_2d(0, 0, table->dense, w->w.rows, w->w.cols);
    if (HONE_HAS_CALL(table, describe))
        table->describe(self, &w->w);
    return HONE_OK;
}

/* A plain matrix or vector; own: in memory of its own. */
static void plan_dense(weight *w, uint32_t dtype, bool own)
{
    w->dense = dtype;
    w->w.format = dense_format(dtype);
    w->w.n_planes = 1;
    w->w.plane[0] = w->w.cols == 1 ? hone_tensor_1d(0, 0, dtype, w->w.rows)
                                   : hone_tensor_2d(0, 0, dtype, w->w.rows, w->w.cols);
    if (own)
        w->bytes = (uint64_t)(w->w.rows * w->w.cols) * hone_dtype_size(dtype);
}

/* Type of embedding and lm_head, and in full fine-tuning of the copies that products read:
 * the format's where it is plain, otherwise half precision if the model was saved in it. */
static uint32_t narrow_dtype(const model *m)
{
    const char *format;
    void *self;
    const hone_weights *table = backend_format(m->backend, &format, &self);
    if (table->dense)
        return table->dense;
    return m->c.torch_dtype && strcmp(m->c.torch_dtype, "float16") == 0 ? HONE_F16 : HONE_BF16;
}

static hone_status plan_one(model *m, weight *w, const llama_tensor *t, hone_error *err)
{
    const int which = (int)(t - llama_tensors);
    const uint32_t narrow = narrow_dtype(m);
    if (m->train == TRAIN_FULL) {
        const bool product = t->flags & TENSOR_LINEAR || which == (m->c.tied ? W_EMBED : W_HEAD);
        plan_dense(w, product ? narrow : HONE_F32, product && narrow != HONE_F32);
    } else if (t->flags & TENSOR_LINEAR) {
        return plan_linear(m, w, err);
    } else {
        plan_dense(w, which == W_EMBED || which == W_HEAD ? narrow : HONE_F32, true);
    }
    return HONE_OK;
}

hone_status weights_plan(model *m, hone_error *err)
{
    for (int64_t l = 0; l < m->c.layers; l++)
        for (const llama_tensor *t = llama_tensors; t->name; t++) {
            if (!llama_has(&m->c, t) || (l && !(t->flags & TENSOR_PER_LAYER)))
                continue;
            weight *w = weight_at(m, l, (int)(t - llama_tensors));
            w->w.struct_size = sizeof w->w;
            w->w.rows = m->c.dim[t->rows];
            w->w.cols = m->c.dim[t->cols];
            hone_status st = plan_one(m, w, t, err);
            if (st != HONE_OK)
                return st;
            m->plan.bytes[BYTES_WEIGHTS] += w->bytes;
            const uint64_t load = weight_load_bytes(w);
            if (load > m->plan.load)
                m->plan.load = load;
        }
    return HONE_OK;
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

/* The planes of a matrix that was saved in its format: all there, of the types and sizes of
 * the layout. */
static hone_status find_planes(source *s, const model *m, const weight *w, const st_file *f,
                               bool *used, const char *name, const char *dir, hone_error *err)
{
    char full[TENSOR_NAME_SIZE + 32];
    for (uint32_t k = 0; k < w->w.n_planes; k++) {
        const hone_tensor *want = &w->w.plane[k];
        weight_plane_name(full, sizeof full, m, w, k, name);
        const st_tensor *t = st_find(f, full);
        if (!t)
            return hone_fail(err, HONE_ERR_FORMAT, "%s: tensor %s is missing", dir, full);
        if (t->dtype != want->dtype || t->rank != 1 || t->shape[0] != want->shape[0])
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: tensor %s is not the %lld numbers of %u bytes that %s has for a "
                             "matrix of %lld x %lld",
                             dir, full, (long long)want->shape[0],
                             (unsigned)hone_dtype_size(want->dtype), w->w.format,
                             (long long)w->w.rows, (long long)w->w.cols);
        s->plane[k] = t;
        used[t - st_at(f, 0)] = true;
    }
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
    if (f && m->c.stored_format && row_of->flags & TENSOR_LINEAR) {
        hone_status st = find_planes(&s, m, w, f, used, name, dir, err);
        if (st != HONE_OK)
            return st;
    } else if (f) {
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
    const hone_status st = weight_store(m, w, &s, err);
    if (s.t)
        st_release(f, s.t);
    for (uint32_t k = 0; k < HONE_MAX_PLANES; k++)
        if (s.plane[k])
            st_release(f, s.plane[k]);
    return st == HONE_OK ? st : hone_prefix(err, "%s: tensor %s", dir, name);
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
