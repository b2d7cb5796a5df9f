/*
 * tokenizer_purpose.c - which special token of a vocabulary is for what.
 *
 * Files of models do not say it: the spellings are those that families of models were trained with.
 * A family is known by all of its three fill-in-the-middle tokens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/data.h"
#include "hone/host.h"

#define N_PURPOSES 7

/* clang-format off */
static const char *const families[][N_PURPOSES] = {
    /*      prefix                 suffix                 middle                end                              file                  repository */
    { NULL, "<|fim_prefix|>",      "<|fim_suffix|>",      "<|fim_middle|>",     "<|endoftext|>",                 "<|file_sep|>",       "<|repo_name|>" }, /* Qwen */
    { NULL, "<|fim_prefix|>",      "<|fim_suffix|>",      "<|fim_middle|>",     "<|file_separator|>",            "<|file_separator|>", NULL },            /* CodeGemma */
    { NULL, "<fim_prefix>",        "<fim_suffix>",        "<fim_middle>",       "<|endoftext|>",                 "<file_sep>",         "<repo_name>" },   /* StarCoder2 */
    { NULL, "<fim_prefix>",        "<fim_suffix>",        "<fim_middle>",       "<|endoftext|>",                 "<filename>",         "<reponame>" },    /* StarCoder */
    { NULL, "\u2581<PRE>",         "\u2581<SUF>",         "\u2581<MID>",        "\u2581<EOT>",                   NULL,                 NULL },            /* Code Llama */
    { NULL, "<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581end\uff5c>",
            "<\uff5cend\u2581of\u2581sentence\uff5c>", NULL, NULL },                                                                                  /* DeepSeek */
};
/* clang-format on */
#define N_FAMILIES (sizeof families / sizeof *families)

static bool has(const tokenizer *t, const char *spelling)
{
    return spelling && tokenizer_id(t, spelling) >= 0;
}

const char *tokenizer_special_for(const tokenizer *t, uint32_t purpose)
{
    const char *const *best = NULL;
    int most = 0;
    for (size_t i = 0; i < N_FAMILIES;
         i++) { /* families share spellings: the one with most of its own */
        int n = 0;
        for (uint32_t k = 1; k < N_PURPOSES; k++)
            n += has(t, families[i][k]);
        if (has(t, families[i][HONE_TOKEN_FIM_PREFIX]) &&
            has(t, families[i][HONE_TOKEN_FIM_SUFFIX]) &&
            has(t, families[i][HONE_TOKEN_FIM_MIDDLE]) && n > most) {
            best = families[i];
            most = n;
        }
    }
    if (!best || purpose >= N_PURPOSES)
        return NULL;
    if (has(t, best[purpose]))
        return best[purpose];
    return purpose == HONE_TOKEN_FIM_END ? tokenizer_piece(t, tokenizer_eos(t)) : NULL;
}
