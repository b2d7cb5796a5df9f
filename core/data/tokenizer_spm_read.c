/*
 * tokenizer_spm_read.c - the protobuf message of tokenizer.model. Fields that change nothing
 * here (how it was trained) are passed over; those that do and are not known are refused in
 * tokenizer_spm.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/tokenizer_protobuf.h"
#include "core/data/tokenizer_spm.h"

static const char *const default_names[4] = { "<unk>", "<s>", "</s>", "<pad>" };

static bool read_piece(spm_piece *q, const char *p, size_t n)
{
    pb_reader r = pb_open(p, n);
    *q = (spm_piece){ .p = "", .type = TYPE_NORMAL };
    while (pb_next(&r)) {
        if (r.number == 1 && r.type == PB_BYTES) {
            q->p = r.bytes;
            q->n = r.n;
        } else if (r.number == 2 && r.type == PB_FIXED32) {
            const uint32_t bits = (uint32_t)r.value;
            memcpy(&q->score, &bits, sizeof q->score);
        } else if (r.number == 3 && r.type == PB_VARINT) {
            q->type = r.value;
        }
    }
    return !r.bad;
}

static bool read_trainer(spm_model *m, const char *p, size_t n)
{
    pb_reader r = pb_open(p, n);
    while (pb_next(&r)) {
        if (r.type == PB_VARINT && r.number == 3)
            m->model_type = r.value;
        else if (r.type == PB_VARINT && r.number == 24)
            m->suffix_space = r.value != 0;
        else if (r.type == PB_VARINT && r.number == 35)
            m->byte_fallback = r.value != 0;
        else if (r.type == PB_BYTES && r.number >= 45 && r.number <= 48) {
            m->names[r.number - 45] = r.bytes;
            m->n_names[r.number - 45] = r.n;
        }
    }
    return !r.bad;
}

static bool read_normalizer(spm_model *m, const char *p, size_t n)
{
    pb_reader r = pb_open(p, n);
    while (pb_next(&r)) {
        if (r.type == PB_BYTES && r.number == 1) {
            m->rule = r.bytes;
            m->n_rule = r.n;
        } else if (r.type == PB_BYTES && r.number == 2) {
            m->n_charsmap = r.n;
        } else if (r.type == PB_BYTES && r.number == 6) {
            m->n_tsv = r.n;
        } else if (r.type == PB_VARINT && r.number == 3) {
            m->dummy_prefix = r.value != 0;
        } else if (r.type == PB_VARINT && r.number == 4) {
            m->extra_spaces_go = r.value != 0;
        } else if (r.type == PB_VARINT && r.number == 5) {
            m->escape_spaces = r.value != 0;
        }
    }
    return !r.bad;
}

hone_status spm_read(spm_model *m, const tokenizer *t, const char *p, size_t n, hone_error *err)
{
    pb_reader r = pb_open(p, n);
    size_t i;
    bool ok = true;
    *m = (spm_model){ .model_type = 1,
                      .dummy_prefix = true,
                      .extra_spaces_go = true,
                      .escape_spaces = true,
                      .rule = "" };
    for (i = 0; i < 4; i++) {
        m->names[i] = default_names[i];
        m->n_names[i] = strlen(default_names[i]);
    }
    while (ok && pb_next(&r)) {
        if (r.type != PB_BYTES)
            continue;
        if (r.number == 1) {
            if (m->n == TOKENIZER_MAX_IDS ||
                !mem_grow(&m->pieces, &m->cap, m->n + 1, sizeof *m->pieces))
                return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for %zu pieces", t->what,
                                 m->n + 1);
            ok = read_piece(m->pieces + m->n++, r.bytes, r.n);
        } else if (r.number == 2) {
            ok = read_trainer(m, r.bytes, r.n);
        } else if (r.number == 3) {
            ok = read_normalizer(m, r.bytes, r.n);
        } else if (r.number == 5) { /* the same message, for what is decoded */
            spm_model back = { 0 };
            ok = read_normalizer(&back, r.bytes, r.n);
            m->denormalizes = back.n_charsmap || back.n_tsv;
        }
    }
    if (!ok || r.bad)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: it is cut short or no SentencePiece model, after %zu pieces", t->what,
                         m->n);
    if (!m->n)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: it has no pieces", t->what);
    return HONE_OK;
}
