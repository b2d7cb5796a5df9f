/*
 * config.c - config.json of the Llama family, in the spellings of transformers 4 and 5.
 *
 * Missing keys get the defaults of the family's own class in transformers, which is
 * what the published weights were made with. What another architecture would compute
 * differently is refused by name: a wrong guess here is a model that talks nonsense.
 *
 * Traps: Mistral's sliding_window is 4096 when the key is absent and off when it is
 * null; its num_key_value_heads is 8 when absent and num_attention_heads when null. Qwen2 and Qwen3 write sliding_window even where use_sliding_window is false.
 * head_dim is not always hidden_size / num_attention_heads (Qwen3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/model/config.h"

/* Far above any model, and low enough that no count of parameters or bytes overflows. */
#define LIMIT 2147483647.0
#define VOCAB_LIMIT 268435456.0
#define WIDTH_LIMIT 1048576.0

/* What config.json says, before the family's rules. 0: absent. */
typedef struct fields {
    int64_t vocab_size, hidden_size, intermediate_size, num_hidden_layers;
    int64_t num_attention_heads, num_key_value_heads, head_dim, max_position_embeddings;
    int64_t sliding_window, max_window_layers;
    double rms_norm_eps, initializer_range;
    bool tie_word_embeddings, attention_bias, mlp_bias, use_sliding_window;
} fields;

typedef enum kind { WHOLE, REAL, FLAG } kind;

/* clang-format off */
#define FIELD(type, key) #key, type, offsetof(fields, key)
static const struct field {
    const char *key;
    kind type;
    size_t offset;
    double min, max;
    bool required;
    double fallback;
} table[] = {
    { FIELD(WHOLE, vocab_size),              1, VOCAB_LIMIT, true,  0 },
    { FIELD(WHOLE, hidden_size),             1, WIDTH_LIMIT, true,  0 },
    { FIELD(WHOLE, intermediate_size),       1, WIDTH_LIMIT, true,  0 },
    { FIELD(WHOLE, num_hidden_layers),       1, 10000, true,  0 },
    { FIELD(WHOLE, num_attention_heads),     1, 65536, true,  0 },
    { FIELD(WHOLE, num_key_value_heads),     1, 65536, false, 0 },
    { FIELD(WHOLE, head_dim),                2, 65536, false, 0 },
    { FIELD(WHOLE, max_position_embeddings), 1, LIMIT, false, 0 },
    { FIELD(WHOLE, sliding_window),          1, LIMIT, false, 0 },
    { FIELD(WHOLE, max_window_layers),       0, LIMIT, false, 28 },
    { FIELD(REAL,  rms_norm_eps),            0, 1,     false, 1e-6 },
    { FIELD(REAL,  initializer_range),       0, 1,     false, 0.02 },
    { FIELD(FLAG,  tie_word_embeddings),     0, 0,     false, 0 },
    { FIELD(FLAG,  attention_bias),          0, 0,     false, 0 },
    { FIELD(FLAG,  mlp_bias),                0, 0,     false, 0 },
    { FIELD(FLAG,  use_sliding_window),      0, 0,     false, 0 },
};

#define WINDOW_NONE 0   /* the family has no sliding window        */
#define WINDOW_ALL 1    /* every layer, where the key is not null  */
#define WINDOW_SWITCH 2 /* use_sliding_window and max_window_layers, or layer_types */

#define ATTENTION_BIAS 1u /* attention_bias: on q, k, v and o */
#define MLP_BIAS 2u       /* mlp_bias is read                 */
#define QKV_BIAS 4u       /* always on q, k and v             */
#define QK_NORM 8u        /* RMSNorm of each head of q and k  */

static const struct family {
    const char *name, *architecture;
    uint32_t flags, window;
    int64_t kv_heads;  /* when absent; 0, or the key is null: as many as heads */
    int64_t head_dim;  /* when absent; 0: hidden size over heads     */
    int64_t positions, default_window;
} families[] = {
    { "llama",   "LlamaForCausalLM",   ATTENTION_BIAS | MLP_BIAS, WINDOW_NONE,   0,  0,   2048,   0    },
    { "mistral", "MistralForCausalLM", 0,                         WINDOW_ALL,    8,  0,   131072, 4096 },
    { "qwen2",   "Qwen2ForCausalLM",   QKV_BIAS,                  WINDOW_SWITCH, 32, 0,   32768,  4096 },
    { "qwen3",   "Qwen3ForCausalLM",   ATTENTION_BIAS | QK_NORM,  WINDOW_SWITCH, 32, 128, 32768,  4096 },
};

/* Keys that change the mathematics where they are not what is said here. text: a
 * string, or NULL: then the number must match. null and absent are always fine. */
static const struct neutral { const char *key, *text; double number; } neutral[] = {
    { "hidden_act", "silu", 0 },        { "hidden_activation", "silu", 0 },
    { "attention_dropout", NULL, 0 },   { "partial_rotary_factor", NULL, 1 },
    { "rope_interleaved", NULL, 0 },    { "residual_multiplier", NULL, 1 },
    { "embedding_multiplier", NULL, 1 }, { "logits_scaling", NULL, 1 },
    { "scale_emb", NULL, 1 },           { "position_embedding_type", "rope", 0 },
    { "residual_dropout", NULL, 0 },    { "resid_pdrop", NULL, 0 },
    { "embd_pdrop", NULL, 0 },          { "hidden_dropout", NULL, 0 },
    { "num_local_experts", NULL, 0 },   { "num_experts", NULL, 0 },
    { "use_mrope", NULL, 0 },
};

/* Keys that must be absent or null. */
static const char *const refused[] = {
    "quantization_config", "attention_multiplier", "scale_depth", "clip_qkv",
    "attn_logit_softcapping", "final_logit_softcapping", "kv_lora_rank", "q_lora_rank",
    "query_pre_attn_scalar", "no_rope_layers", "compression_config",
};
/* clang-format on */
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A member; NULL when absent or null. */
static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

hone_status config_real(double *out, const json_t *object, const char *key, double min, double max,
                        const char *file, hone_error *err)
{
    const json_t *value = member(object, key);
    if (!value)
        return HONE_OK;
    if (!json_is_number(value))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %s is not a number", file, key);
    const double x = json_number_value(value);
    if (!(x >= min && x <= max))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %s is %g, expected %g to %g", file, key, x, min,
                         max);
    *out = x;
    return HONE_OK;
}

hone_status config_whole(int64_t *out, const json_t *object, const char *key, double min,
                         double max, const char *file, hone_error *err)
{
    double x = 0;
    const json_t *value = member(object, key);
    if (!value)
        return HONE_OK;
    if (!json_is_integer(value))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %s is not a whole number", file, key);
    hone_status st = config_real(&x, object, key, min, max, file, err);
    if (st == HONE_OK)
        *out = json_integer_value(value);
    return st;
}

hone_status config_flag(bool *out, const json_t *object, const char *key, const char *file,
                        hone_error *err)
{
    const json_t *value = member(object, key);
    if (!value)
        return HONE_OK;
    if (!json_is_boolean(value))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %s is not true or false", file, key);
    *out = json_is_true(value);
    return HONE_OK;
}

static hone_status read_fields(fields *f, const json_t *root, const char *file, hone_error *err)
{
    for (size_t i = 0; i < COUNT(table); i++) {
        const struct field *def = &table[i];
        char *at = (char *)f + def->offset;
        hone_status st = HONE_OK;
        if (def->required && !member(root, def->key))
            return hone_fail(err, HONE_ERR_FORMAT, "%s: %s is missing", file, def->key);
        switch (def->type) {
        case WHOLE:
            *(int64_t *)(void *)at = (int64_t)def->fallback;
            st = config_whole((int64_t *)(void *)at, root, def->key, def->min, def->max, file, err);
            break;
        case REAL:
            *(double *)(void *)at = def->fallback;
            st = config_real((double *)(void *)at, root, def->key, def->min, def->max, file, err);
            break;
        case FLAG:
            st = config_flag((bool *)at, root, def->key, file, err);
            break;
        }
        if (st != HONE_OK)
            return st;
    }
    return HONE_OK;
}

static hone_status find_family(const struct family **out, const json_t *root, const char *file,
                               hone_error *err)
{
    const char *type = json_string_value(json_object_get(root, "model_type"));
    const struct family *found = NULL;
    char known[128] = "";
    for (size_t i = 0; i < COUNT(families); i++) {
        if (type && strcmp(families[i].name, type) == 0)
            found = &families[i];
        (void)strncat(known, i ? ", " : "", sizeof known - strlen(known) - 1);
        (void)strncat(known, families[i].name, sizeof known - strlen(known) - 1);
    }
    if (!found)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: model_type is %.60s, hone knows %s", file,
                         type ? type : "missing", known);
    const json_t *names = member(root, "architectures"), *name;
    size_t i;
    bool right = !names || json_array_size(names) == 0;
    json_array_foreach(names, i, name) right |=
        json_is_string(name) && strcasecmp(json_string_value(name), found->architecture) == 0;
    if (!right)
        return hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: architectures is not %s", file,
                         found->architecture);
    *out = found;
    return HONE_OK;
}

static hone_status check_neutral(const json_t *root, const char *file, hone_error *err)
{
    for (size_t i = 0; i < COUNT(refused); i++)
        if (member(root, refused[i]))
            return hone_fail(err, HONE_ERR_UNSUPPORTED,
                             "%s: %s is set, and is not part of the families hone knows", file,
                             refused[i]);
    for (size_t i = 0; i < COUNT(neutral); i++) {
        const struct neutral *fixed = &neutral[i];
        const json_t *value = member(root, fixed->key);
        if (!value)
            continue;
        if (fixed->text) {
            const char *got = json_string_value(value);
            if (!got || strcmp(got, fixed->text) != 0)
                return hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: %s is %.60s, only %s is supported",
                                 file, fixed->key, got ? got : "not a string", fixed->text);
            continue;
        }
        const bool same = json_is_number(value)    ? json_number_value(value) == fixed->number
                          : json_is_boolean(value) ? json_is_true(value) == (fixed->number != 0)
                                                   : false;
        if (!same)
            return hone_fail(err, HONE_ERR_UNSUPPORTED,
                             "%s: %s is not %g, the only supported value", file, fixed->key,
                             fixed->number);
    }
    return HONE_OK;
}

/* Which layers the window covers, from layer_types. */
static hone_status read_layer_types(bool *windowed, int64_t layers, const json_t *types,
                                    const char *file, hone_error *err)
{
    const json_t *type;
    size_t i;
    if (!json_is_array(types) || json_array_size(types) != (size_t)layers)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: layer_types is not a list of %lld entries, one per layer", file,
                         (long long)layers);
    json_array_foreach(types, i, type)
    {
        const char *name = json_is_string(type) ? json_string_value(type) : "";
        windowed[i] = strcmp(name, "sliding_attention") == 0;
        if (!windowed[i] && strcmp(name, "full_attention") != 0)
            return hone_fail(err, HONE_ERR_UNSUPPORTED,
                             "%s: layer_types: layer %zu is \"%.60s\", expected full_attention or "
                             "sliding_attention",
                             file, i, name);
    }
    return HONE_OK;
}

static hone_status read_window(llama_config *c, const fields *f, const struct family *family,
                               const json_t *root, const char *file, hone_error *err)
{
    const json_t *types = member(root, "layer_types");
    bool on = family->window != WINDOW_NONE;
    int64_t window = f->sliding_window;
    if (family->window == WINDOW_NONE && member(root, "sliding_window"))
        return hone_fail(err, HONE_ERR_UNSUPPORTED,
                         "%s: sliding_window is set, and %s models have none", file, family->name);
    if (family->window == WINDOW_SWITCH)
        on = f->use_sliding_window;
    if (on && !json_object_get(root, "sliding_window"))
        window = family->default_window;
    if (!on)
        window = 0;

    bool *windowed = mem_new((size_t)c->layers, sizeof *windowed);
    if (!windowed)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", file);
    bool any = false;
    hone_status st = HONE_OK;
    for (int64_t l = 0; l < c->layers; l++)
        windowed[l] = window > 0 && (family->window == WINDOW_ALL || l >= f->max_window_layers);
    if (types && family->window == WINDOW_SWITCH)
        st = read_layer_types(windowed, c->layers, types, file, err);
    for (int64_t l = 0; l < c->layers; l++)
        any |= windowed[l];
    if (st == HONE_OK && types && family->window != WINDOW_SWITCH)
        st = hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: layer_types is set, and %s models have none",
                       file, family->name);
    if (st == HONE_OK && any && !window)
        st = hone_fail(err, HONE_ERR_FORMAT,
                       "%s: layer_types has sliding_attention, but no sliding window is in use",
                       file);
    if (st == HONE_OK && any) {
        c->window = window;
        c->windowed = windowed;
        windowed = NULL;
    }
    free(windowed);
    return st;
}

static hone_status set_sizes(llama_config *c, const fields *f, const struct family *family,
                             const json_t *root, const char *file, hone_error *err)
{
    c->layers = f->num_hidden_layers;
    c->heads = f->num_attention_heads;
    if (f->num_key_value_heads)
        c->kv_heads = f->num_key_value_heads;
    else if (family->kv_heads && !json_object_get(root, "num_key_value_heads"))
        c->kv_heads = family->kv_heads;
    else
        c->kv_heads = c->heads; /* null */
    c->head_dim = f->head_dim ? f->head_dim : family->head_dim;
    if (!c->head_dim) {
        if (f->hidden_size % c->heads)
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: hidden_size %lld is no multiple of num_attention_heads %lld, and "
                             "head_dim is missing",
                             file, (long long)f->hidden_size, (long long)c->heads);
        c->head_dim = f->hidden_size / c->heads;
    }
    if (c->head_dim % 2)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: head_dim is %lld, expected an even number",
                         file, (long long)c->head_dim);
    if (c->heads % c->kv_heads)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: num_attention_heads %lld is no multiple of num_key_value_heads %lld",
                         file, (long long)c->heads, (long long)c->kv_heads);
    c->dim[DIM_1] = 1;
    c->dim[DIM_V] = f->vocab_size;
    c->dim[DIM_C] = f->hidden_size;
    c->dim[DIM_Q] = c->heads * c->head_dim;
    c->dim[DIM_K] = c->kv_heads * c->head_dim;
    c->dim[DIM_F] = f->intermediate_size;
    c->dim[DIM_D] = c->head_dim;
    if ((double)c->dim[DIM_Q] > WIDTH_LIMIT)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %lld heads of %lld are too many", file,
                         (long long)c->heads, (long long)c->head_dim);
    c->max_positions = f->max_position_embeddings ? f->max_position_embeddings : family->positions;
    return HONE_OK;
}

/* "hone_quantization": { "format": "nf4" }, as model_save_stored() writes it. */
static hone_status read_stored(llama_config *c, const json_t *root, const char *file,
                               hone_error *err)
{
    const json_t *q = member(root, "hone_quantization");
    const char *format = json_string_value(json_object_get(q, "format"));
    if (!q)
        return HONE_OK;
    if (!format || !*format || strlen(format) > 64)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: hone_quantization has no \"format\", the name of a weight format",
                         file);
    c->stored_format = mem_strdup(format);
    return c->stored_format ? HONE_OK : hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", file);
}

hone_status llama_config_parse(llama_config *out, const json_t *root, const char *file,
                               hone_error *err)
{
    llama_config c = { 0 };
    fields f = { 0 };
    const struct family *family = NULL;
    if (!json_is_object(root))
        return hone_fail(err, HONE_ERR_FORMAT, "%s is not a JSON object", file);
    hone_status st = find_family(&family, root, file, err);
    if (st == HONE_OK)
        st = check_neutral(root, file, err);
    if (st == HONE_OK)
        st = read_fields(&f, root, file, err);
    if (st == HONE_OK)
        st = set_sizes(&c, &f, family, root, file, err);
    if (st != HONE_OK)
        goto out;

    (void)snprintf(c.family, sizeof c.family, "%s", family->name);
    c.eps = f.rms_norm_eps;
    c.init_range = f.initializer_range;
    c.tied = f.tie_word_embeddings;
    c.qkv_bias =
        (family->flags & QKV_BIAS) || ((family->flags & ATTENTION_BIAS) && f.attention_bias);
    c.o_bias = (family->flags & ATTENTION_BIAS) && f.attention_bias;
    c.mlp_bias = (family->flags & MLP_BIAS) && f.mlp_bias;
    c.qk_norm = (family->flags & QK_NORM) != 0;
    if (f.attention_bias && !c.o_bias)
        st = hone_fail(err, HONE_ERR_UNSUPPORTED,
                       "%s: attention_bias is set, and %s models have none", file, family->name);
    if (st == HONE_OK && f.mlp_bias && !c.mlp_bias)
        st = hone_fail(err, HONE_ERR_UNSUPPORTED, "%s: mlp_bias is set, and %s models have none",
                       file, family->name);
    if (st == HONE_OK)
        st = read_window(&c, &f, family, root, file, err);
    if (st == HONE_OK)
        st = config_rope(&c, root, file, err);
    if (st != HONE_OK)
        goto out;

    const char *dtype = json_string_value(member(root, "torch_dtype"));
    if (!dtype)
        dtype = json_string_value(member(root, "dtype"));
    c.torch_dtype = mem_strdup(dtype);
    st = read_stored(&c, root, file, err);
    if (st != HONE_OK)
        goto out;
    if (dtype && !c.torch_dtype) {
        st = hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", file);
        goto out;
    }
    *out = c;
    c = (llama_config){ 0 };
out:
    llama_config_finish(&c);
    return st;
}

hone_status llama_config_read(llama_config *out, const char *model_dir, hone_error *err)
{
    json_t *root = NULL;
    char *path = path_join(model_dir, "config.json");
    if (!path)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory", model_dir);
    hone_status st = json_read(&root, path, err);
    if (st == HONE_OK)
        st = llama_config_parse(out, root, path, err);
    json_decref(root);
    free(path);
    return st;
}

void llama_config_finish(llama_config *c)
{
    if (!c)
        return;
    free(c->torch_dtype);
    free(c->stored_format);
    free(c->windowed);
    *c = (llama_config){ 0 };
}
