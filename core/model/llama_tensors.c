/*
 * llama_tensors.c - THE table of weights of the Llama family.
 *
 * Loader, saver, plan, adapter placement, optimizer groups and the forward pass walk
 * or index this one list (indexes: W_* in tensors.h). Rows of one block stand in the
 * order the forward pass uses them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/model/tensors.h"

#define L TENSOR_PER_LAYER
#define LINEAR (TENSOR_PER_LAYER | TENSOR_LINEAR | TENSOR_DECAY)

/* clang-format off */
const llama_tensor llama_tensors[] = {
    /*               name                                               short name                    rows   cols   flags */
    [W_EMBED]     = { "model.embed_tokens.weight",                       "embed_tokens",               DIM_V, DIM_C, TENSOR_DECAY },
    [W_ATTN_NORM] = { "model.layers.%d.input_layernorm.weight",          "input_layernorm",            DIM_C, DIM_1, L },
    [W_Q]         = { "model.layers.%d.self_attn.q_proj.weight",         "q_proj",                     DIM_Q, DIM_C, LINEAR },
    [W_Q_BIAS]    = { "model.layers.%d.self_attn.q_proj.bias",           "q_proj",                     DIM_Q, DIM_1, L | TENSOR_QKV_BIAS },
    [W_K]         = { "model.layers.%d.self_attn.k_proj.weight",         "k_proj",                     DIM_K, DIM_C, LINEAR },
    [W_K_BIAS]    = { "model.layers.%d.self_attn.k_proj.bias",           "k_proj",                     DIM_K, DIM_1, L | TENSOR_QKV_BIAS },
    [W_V]         = { "model.layers.%d.self_attn.v_proj.weight",         "v_proj",                     DIM_K, DIM_C, LINEAR },
    [W_V_BIAS]    = { "model.layers.%d.self_attn.v_proj.bias",           "v_proj",                     DIM_K, DIM_1, L | TENSOR_QKV_BIAS },
    [W_Q_NORM]    = { "model.layers.%d.self_attn.q_norm.weight",         "q_norm",                     DIM_D, DIM_1, L | TENSOR_QK_NORM },
    [W_K_NORM]    = { "model.layers.%d.self_attn.k_norm.weight",         "k_norm",                     DIM_D, DIM_1, L | TENSOR_QK_NORM },
    [W_O]         = { "model.layers.%d.self_attn.o_proj.weight",         "o_proj",                     DIM_C, DIM_Q, LINEAR },
    [W_O_BIAS]    = { "model.layers.%d.self_attn.o_proj.bias",           "o_proj",                     DIM_C, DIM_1, L | TENSOR_O_BIAS },
    [W_MLP_NORM]  = { "model.layers.%d.post_attention_layernorm.weight", "post_attention_layernorm",   DIM_C, DIM_1, L },
    [W_GATE]      = { "model.layers.%d.mlp.gate_proj.weight",            "gate_proj",                  DIM_F, DIM_C, LINEAR },
    [W_GATE_BIAS] = { "model.layers.%d.mlp.gate_proj.bias",              "gate_proj",                  DIM_F, DIM_1, L | TENSOR_MLP_BIAS },
    [W_UP]        = { "model.layers.%d.mlp.up_proj.weight",              "up_proj",                    DIM_F, DIM_C, LINEAR },
    [W_UP_BIAS]   = { "model.layers.%d.mlp.up_proj.bias",                "up_proj",                    DIM_F, DIM_1, L | TENSOR_MLP_BIAS },
    [W_DOWN]      = { "model.layers.%d.mlp.down_proj.weight",            "down_proj",                  DIM_C, DIM_F, LINEAR },
    [W_DOWN_BIAS] = { "model.layers.%d.mlp.down_proj.bias",              "down_proj",                  DIM_C, DIM_1, L | TENSOR_MLP_BIAS },
    [W_NORM]      = { "model.norm.weight",                               "norm",                       DIM_C, DIM_1, 0 },
    [W_HEAD]      = { "lm_head.weight",                                  "lm_head",                    DIM_V, DIM_C, TENSOR_DECAY | TENSOR_UNTIED },
    [W_COUNT]     = { NULL, NULL, DIM_1, DIM_1, 0 },
};
/* clang-format on */

bool llama_has(const llama_config *c, const llama_tensor *t)
{
    return !(t->flags & TENSOR_UNTIED && c->tied) &&
           !(t->flags & TENSOR_QKV_BIAS && !c->qkv_bias) &&
           !(t->flags & TENSOR_O_BIAS && !c->o_bias) &&
           !(t->flags & TENSOR_MLP_BIAS && !c->mlp_bias) &&
           !(t->flags & TENSOR_QK_NORM && !c->qk_norm);
}

int64_t llama_param_count(const llama_config *c)
{
    int64_t n = 0;
    for (const llama_tensor *t = llama_tensors; t->name; t++)
        if (llama_has(c, t))
            n += c->dim[t->rows] * c->dim[t->cols] * (t->flags & TENSOR_PER_LAYER ? c->layers : 1);
    return n;
}

void llama_tensor_name(char *out, size_t size, const llama_tensor *t, int64_t layer)
{
    const char *at = strstr(t->name, "%d");
    if (at)
        (void)snprintf(out, size, "%.*s%lld%s", (int)(at - t->name), t->name, (long long)layer,
                       at + 2);
    else
        (void)snprintf(out, size, "%s", t->name);
}
