/*
 * tokenizer_impl.h - what the tokenizer's files share; private to core/data.
 *
 *   tokenizer.c          open and close, the files beside it, what callers ask
 *   tokenizer_json.c     tokenizer.json: model and added tokens
 *   tokenizer_nul.c      ... and the character that JSON libraries cannot hold
 *   tokenizer_parts.c    ... its normalizers, pre-tokenizers, decoders, post-processors
 *   tokenizer_spm.c      tokenizer.model
 *   tokenizer_spm_read.c ... its message
 *   tokenizer_vocab.c    pieces and merges as hash tables, spellings as a trie
 *   tokenizer_unicode.c  classes of code points, the byte alphabet
 *   tokenizer_regex.c    patterns in the dialect of the published files, over PCRE2
 *   tokenizer_scan.c     the published patterns by hand
 *   tokenizer_norm.c     normalizers, with the way back to the original bytes
 *   tokenizer_nfx.c      ... of them the Unicode normal forms
 *   tokenizer_split.c    pre-tokenizers
 *   tokenizer_bpe.c      one word to ids
 *   tokenizer_encode.c   text to ids
 *   tokenizer_losses.c   ... what of the text they do not say
 *   tokenizer_decode.c   ids to text, whole and streamed
 *   tokenizer_train.c    a byte-level BPE from texts
 *   tokenizer_train_files.c  ... and its files
 *
 * Two domains. A model whose last pre-tokenizer is ByteLevel works on bytes here
 * ("raw"): its pieces are turned back from the printable alphabet at load. Any
 * other model works on the UTF-8 of its pieces. The ids are the same either way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_DATA_TOKENIZER_IMPL_H
#define CORE_DATA_TOKENIZER_IMPL_H

#include "core/data/data.h"
#include "core/data/tokenizer_unicode.h"
#include "core/data/tokenizer_vocab.h"

#include <pthread.h>

#define TOKENIZER_MAX_IDS (1 << 24)            /* pieces; a larger file is refused        */
#define TOKENIZER_MAX_FILE ((size_t)512 << 20) /* bytes of tokenizer.json or .model       */
#define VIRTUAL_FIRST TOKENIZER_MAX_IDS        /* ids of characters without a piece: see spm  */
#define META_MARK "\xe2\x96\x81"               /* U+2581, the SentencePiece space: 3 bytes */

/* ------------------------------------------------------------------- components */

typedef struct regex regex;
/* Compiles a pattern of the published dialect (Oniguruma's Ruby syntax). `where` names
 * it in messages. A string pattern is escaped first. */
HONE_MUST_CHECK hone_status regex_open(regex **out, const char *pattern, size_t n, bool literal,
                                       const char *where, hone_error *err);
void regex_close(regex *r);
/* All matches in a text, one after another as Oniguruma's find_iter gives them. */
typedef struct regex_scan {
    const void *code; /* borrowed */
    void *data;       /* owned */
    const char *p;    /* borrowed */
    size_t n, at, last;
    size_t start, end; /* of the match found */
} regex_scan;
HONE_MUST_CHECK hone_status regex_begin(regex_scan *scan, const regex *r, const char *p, size_t n,
                                        hone_error *err);
HONE_MUST_CHECK hone_status regex_next(regex_scan *scan, bool *found, hone_error *err);
void regex_end(regex_scan *scan);

/* End of the match that starts at p[i]; always > i: the published patterns match everywhere. */
typedef size_t (*scanner)(const char *p, size_t n, size_t i);
scanner scanner_find(const char *pattern); /* NULL: not one of the published patterns */
size_t scan_gpt2(const char *p, size_t n, size_t i);

#define NORM_NFC 1
#define NORM_NFD 2
#define NORM_NFKC 3
#define NORM_NFKD 4
#define NORM_PREPEND 5
#define NORM_REPLACE 6
#define NORM_STRIP 7
#define NORM_LOWERCASE 8
#define NORM_BYTELEVEL 9
#define NORM_SPACES 10 /* SentencePiece: no space in front, one where there are several */
#define NORM_TRAIL 11  /* SentencePiece: no space mark behind */

typedef struct normalizer {
    int kind;
    char *text; /* owned: what is prepended, or replaces */
    size_t n;
    bool first;    /* PREPEND: only where the text begins */
    char *pattern; /* owned: REPLACE of a plain string */
    size_t n_pattern;
    regex *re;        /* owned: REPLACE of a regex; else NULL */
    bool left, right; /* STRIP */
} normalizer;

#define PRE_SPLIT 1
#define PRE_DIGITS 2
#define PRE_BYTELEVEL 3
#define PRE_MAP 4 /* the second half of a ByteLevel that is not the last: write the alphabet */
#define PRE_METASPACE 5

#define SPLIT_ISOLATED 0
#define SPLIT_REMOVED 1
#define SPLIT_PREVIOUS 2
#define SPLIT_NEXT 3
#define SPLIT_CONTIGUOUS 4

#define SCHEME_ALWAYS 0
#define SCHEME_FIRST 1
#define SCHEME_NEVER 2

typedef struct pre_tokenizer {
    int kind;
    scanner scan; /* SPLIT: a published pattern that keeps every piece; or NULL */
    regex *re;    /* owned: any other */
    int behavior; /* SPLIT_* */
    bool invert;
    bool individual;              /* DIGITS */
    bool prefix_space, use_regex; /* BYTELEVEL */
    char mark[5];                 /* METASPACE: the replacement, NUL-terminated */
    int scheme;                   /* METASPACE: SCHEME_* */
    bool split;                   /* METASPACE */
} pre_tokenizer;

#define DEC_BYTELEVEL 1
#define DEC_METASPACE 2
#define DEC_REPLACE 3
#define DEC_BYTE_FALLBACK 4
#define DEC_FUSE 5
#define DEC_STRIP 6

typedef struct decoder {
    int kind;
    char *text; /* owned: REPLACE content */
    size_t n;
    regex *re;           /* owned: REPLACE */
    char mark[5];        /* METASPACE, STRIP: the character, NUL-terminated */
    bool drop_first;     /* METASPACE: marks of the first token are dropped */
    int64_t start, stop; /* STRIP */
} decoder;

/* An added token: how its spelling is found in text. */
typedef struct added {
    int32_t id;
    bool special, normalized, single_word, lstrip, rstrip;
    char *content; /* owned */
    size_t n;
    char *normal; /* owned: content through the normalizers, when they change it; else NULL */
    size_t n_normal;
} added;

#define MAX_EDGE 16 /* ids the post-processor may put on one side */

#define PREFIX_NEVER 0
#define PREFIX_ALWAYS 1
#define PREFIX_AT_START 2    /* where the text begins */
#define PREFIX_UNLESS_MARK 3 /* unless a mark or a space is there */
#define PREFIX_FIRST 4       /* both of the last two */

typedef struct scratch scratch;

struct tokenizer {
    char what[32]; /* "tokenizer.json": names it in messages */
    char nul[5];   /* stands for U+0000 in the JSON that is read; "": there is none */
    char hash[65];
    text arena;    /* every piece's bytes */
    piece *pieces; /* owned, cap_pieces */
    size_t cap_pieces;
    int64_t n;         /* ids are 0..n-1 */
    int64_t n_vocab;   /* ... of which the first are the model's own */
    piece_map by_text; /* as spelled */
    piece_map by_raw;  /* the model's own, in its domain */

    added *added; /* owned */
    size_t n_added, cap_added;
    int32_t *added_of;  /* owned, n: index into added, or -1 */
    trie plain, normal; /* spellings looked for in the text, and in the normalized text */

    normalizer *norms; /* owned */
    size_t n_norms, cap_norms;
    pre_tokenizer *pres; /* owned */
    size_t n_pres, cap_pres;
    decoder *decs; /* owned */
    size_t n_decs, cap_decs;
    bool has_decoder;
    int32_t before[MAX_EDGE], after[MAX_EDGE]; /* what the post-processor adds */
    size_t n_before, n_after;

    /* the model */
    bool raw; /* its domain is bytes */
    merge_map merges;
    int32_t unit[256]; /* id of a byte: raw units, or the <0xHH> pieces; -1: none */
    int32_t **page;    /* owned, PAGES: id of a single character by cp >> 8, cp & 255; -1: none */
    int32_t unk;       /* what an unknown character becomes; -1: nothing */
    bool fuse_unk, byte_fallback, ignore_merges;
    bool odd_merges; /* see tokenizer_bpe.c */
    bool spm;        /* every character is a unit; from VIRTUAL_FIRST on without a piece */
    joins joins;
    bool cut_at_marks;   /* words may be cut in front of a space mark that joins nothing */
    bool cut_anywhere;   /* ... and between any two characters that do not join */
    bool straight;       /* the text need not be written anew: see encode_straight */
    int straight_prefix; /* PREFIX_* */
    bool straight_split; /* every mark begins a word */

    int32_t bos, eos, pad; /* -1: none */
    int32_t unk_named;

    pthread_mutex_t lock; /* of pool */
    scratch *pool;        /* owned: scratch memory at rest */
};

#define PAGES 0x1100

/* --------------------------------------------------------- text on its way to ids */

/* Where a byte of normalized text comes from: bytes [a, b) of the original. */
typedef struct align {
    uint32_t a, b;
} align;

/* Text being normalized. al == NULL: byte i is byte base + i of the original. */
typedef struct view {
    const char *p;   /* borrowed */
    const align *al; /* borrowed */
    uint32_t n, base;
} view;

static inline align view_range(const view *v, uint32_t i, uint32_t j) /* of bytes [i, j) */
{
    if (!v->al)
        return (align){ v->base + i, v->base + j };
    if (i < j)
        return (align){ v->al[i].a, v->al[j - 1].b };
    if (i < v->n) /* nothing of the original: where it would be */
        return (align){ v->al[i].a, v->al[i].a };
    return v->n ? (align){ v->al[i - 1].b, v->al[i - 1].b } : (align){ 0, 0 };
}

static inline view view_slice(const view *v, uint32_t i, uint32_t j)
{
    return (view){ v->p + i, v->al ? v->al + i : NULL, j - i, v->base + (v->al ? 0 : i) };
}

void view_strip(view *v, bool left, bool right); /* White_Space */

/* Growing text with alignment. */
typedef struct aligned {
    char *p;   /* owned */
    align *al; /* owned */
    size_t n, cap_p, cap_al;
    bool failed;
} aligned;
void aligned_add(aligned *t, const char *p, size_t n, align from);
/* Bytes [i, j) of v, each with its own alignment. */
void aligned_copy(aligned *t, const view *v, uint32_t i, uint32_t j);
view aligned_view(const aligned *t);
void aligned_finish(aligned *t);
/* Bytes [i, j) of v in the printable alphabet. */
void map_bytes(const view *v, uint32_t i, uint32_t j, aligned *out);

typedef struct part { /* bytes [start, end) of a text; origin: where it began in the original */
    uint32_t start, end, origin;
} part;

typedef struct parts {
    part *p; /* owned */
    size_t n, cap;
    bool failed;
} parts;

typedef struct fragment { /* bytes [start, end): a match of a pattern, or what is between */
    uint32_t start, end;
    bool match;
} fragment;

typedef struct spot { /* bytes [start, end) were replaced; at: where in the repaired text */
    uint32_t at, start, end;
} spot;

typedef struct symbol {
    int32_t id;
    uint32_t len; /* bytes in the model's domain */
} symbol;

typedef struct heap_entry {
    uint64_t key; /* rank << 32 | place */
    int32_t id;
} heap_entry;

typedef struct link_node {
    int32_t id;
    uint32_t len, prev, next;
} link_node;

typedef struct nf_char { /* a code point under normalization */
    uint32_t cp, ccc;
    align from;
} nf_char;

#define WORD_KEY 22
#define WORD_IDS 8
typedef struct word_entry {
    int32_t id[WORD_IDS];
    uint8_t len[WORD_IDS]; /* bytes of the key */
    char key[WORD_KEY];
    uint8_t n_key, n_ids; /* n_key == 0: free */
} word_entry;
HONE_STATIC_ASSERT(sizeof(word_entry) == 64, "one cache line");
#define WORD_SLOTS_LOG2 15
#define WORD_SLOTS (1u << WORD_SLOTS_LOG2)

struct scratch { /* memory of one call; all owned */
    scratch *next;
    aligned norm[2], pre[2]; /* texts that take turns */
    parts s, t;              /* parts, and those of the next step */
    fragment *cuts;
    size_t n_cuts, cap_cuts;
    text word, ahead; /* a word in the model's domain; the first word with its mark */
    text repaired;    /* the text without ill-formed UTF-8 */
    spot *spots;
    size_t n_spots, cap_spots;
    symbol *sym;
    size_t n_sym, cap_sym;
    link_node *links;
    size_t cap_links;
    heap_entry *heap;
    size_t n_heap, cap_heap;
    nf_char *nf;
    size_t cap_nf;
    word_entry *words; /* WORD_SLOTS */
    int64_t dropped;   /* characters of this call without a piece or anything in its place */
    uint32_t first_dropped;
};
scratch *scratch_borrow(const tokenizer *t); /* NULL: no memory */
void scratch_return(const tokenizer *t, scratch *s);
void scratch_free(scratch *s);
aligned *scratch_other(aligned pair[2], const view *v); /* the one v is not in */

/* v in normal form; it may move to one of s's texts. */
HONE_MUST_CHECK hone_status normalize(const tokenizer *t, scratch *s, view *v, hone_error *err);
HONE_MUST_CHECK hone_status normal_form(int kind, scratch *s, const view *v, aligned *out,
                                        hone_error *err);
bool normal_form_is_noop(int kind, const char *p, size_t n); /* false: perhaps not */
void normal_form_init(void);                                 /* every open calls it [any] */

/* v into s->s; it may move to one of s's texts. */
HONE_MUST_CHECK hone_status pre_tokenize(const tokenizer *t, scratch *s, view *v, hone_error *err);

/* A word in the model's domain into s->sym. */
HONE_MUST_CHECK hone_status bpe_word(const tokenizer *t, scratch *s, const char *p, size_t n,
                                     hone_error *err);
int32_t char_find(const tokenizer *t, uint32_t cp); /* id of a single character, or -1 */

size_t text_well_formed(const char *p, size_t n); /* bytes before the first ill-formed one */
/* The text with U+FFFD for ill-formed UTF-8 into s->repaired; s->spots says where. */
HONE_MUST_CHECK hone_status text_repair(scratch *s, const char *p, size_t n, hone_error *err);
/* A place in the repaired text to one in the text as given. */
uint32_t repaired_place(const scratch *s, uint32_t x, bool is_end);
/* What the call that made out->p[from..] with s lost. */
void losses_add(encode_losses *l, const tokenizer *t, const scratch *s, bool repaired,
                const tokens *out, size_t from);

/* ---------------------------------------------------------------------- loading */

HONE_MUST_CHECK hone_status tokenizer_new(tokenizer **out, const char *what, const char *p,
                                          size_t n, hone_error *err);

/* Room for n pieces; add gives one its id, index makes it findable by its bytes. */
HONE_MUST_CHECK hone_status pieces_init(tokenizer *t, size_t n, hone_error *err);
HONE_MUST_CHECK hone_status piece_add(tokenizer *t, int64_t id, const char *p, size_t n,
                                      hone_error *err);
HONE_MUST_CHECK hone_status piece_index(tokenizer *t, int32_t id, bool vocabulary, hone_error *err);
HONE_MUST_CHECK hone_status pieces_check(const tokenizer *t, hone_error *err); /* no hole */
int32_t piece_find(const tokenizer *t, const char *p, size_t n); /* as spelled; -1: none */
int32_t raw_find(const tokenizer *t, const char *p, size_t n);   /* the model's domain */
const char *piece_text(const tokenizer *t, int32_t id, size_t *n);
const char *piece_raw(const tokenizer *t, int32_t id, size_t *n);

/* A string of tokenizer.json as it is meant, fresh and NUL-terminated (free()), *n bytes; NULL: no
 * memory. JSON's \u0000 stands in it as a NUL. */
char *json_plain(const tokenizer *t, const json_t *s, size_t *n);
char *text_plain(const tokenizer *t, const char *s, size_t n, size_t *n_out);
/* A stand-in for U+0000 that (p, n) does not have; false: there is none. */
bool nul_choose(char nul[5], const char *p, size_t n);
/* (p, n) with the stand-in for every \u0000. */
void nul_hide(const char *nul, const char *p, size_t n, text *out);

/* An object whose keys are all among `keys` (separated by spaces) or "type"; others are refused
 * by name, unless they are null. what: names the object in the message. */
HONE_MUST_CHECK hone_status keys_check(const tokenizer *t, const json_t *o, const char *what,
                                       const char *keys, hone_error *err);
HONE_MUST_CHECK hone_status components_parse(tokenizer *t, const json_t *root, hone_error *err);
HONE_MUST_CHECK hone_status post_parse(tokenizer *t, const json_t *root, hone_error *err);
/* Text copied into *a; takes nothing over. */
HONE_MUST_CHECK hone_status added_append(tokenizer *t, const added *a, const char *content,
                                         size_t n, hone_error *err);

/* tokenizer.model with what tokenizer_config.json beside it says (borrowed, may be NULL). */
HONE_MUST_CHECK hone_status spm_open(tokenizer **out, const char *p, size_t n, const json_t *config,
                                     hone_error *err);

/* After all pieces, components and added tokens: the tables that encoding looks at. */
HONE_MUST_CHECK hone_status tokenizer_ready(tokenizer *t, hone_error *err);
HONE_MUST_CHECK hone_status char_put(tokenizer *t, uint32_t cp, int32_t id, hone_error *err);
#endif /* CORE_DATA_TOKENIZER_IMPL_H */
