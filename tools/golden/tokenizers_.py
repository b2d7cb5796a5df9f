# SPDX-License-Identifier: Apache-2.0
"""Small tokenizers with each family's exact components, and the ids that tokenizers and sentencepiece give.

Writes <out>/tokenizers/strings.bin.gz and a folder per tokenizer: its files as a family publishes them, and

  ids.bin.gz          every string, without special tokens: a count and the ids, all LEB128
  ids_special.bin.gz  the first 2,000 with special tokens
  decoded.bin.gz      the first 2,000 decoded again, special tokens kept: u32 LE length and bytes
  ids_parsed.bin.gz   where there is only a tokenizer.model: the first 2,000 with special tokens in the text recognised
  chat.json           conversations through the folder's chat template, or (template) one of hone's: messages, text, ids

Byte-level vocabularies come from the BPE trainer of `tokenizers`. Those with byte fallback come from sentencepiece and are
converted as transformers converts Llama's: every split of a piece into two pieces is a merge, in the order of the scores.
`llama2_first` and `llama1` come from the trainer of `tokenizers` instead.
"""
import collections
import io
import json
import os
import random
import re
import shutil

import common

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import sentencepiece
import tokenizers
import transformers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import strings

FIRST = 2000  # strings that are also encoded with special tokens and decoded
BYTE_LEVEL_SIZE = 1800
SPM_SIZE = 2000
HUGE = 1000000000000000019884624838656  # transformers' "no limit", as published files spell it: 1e30 as an integer

GPT4_LIKE = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def token(content, special=True, **flags):
    row = dict(content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=special)
    row.update(flags)
    return row


def byte_level(add_prefix_space, trim_offsets, use_regex=None):
    row = dict(type="ByteLevel", add_prefix_space=add_prefix_space, trim_offsets=trim_offsets)
    return row if use_regex is None else dict(row, use_regex=use_regex)


def split(pattern):
    return dict(type="Split", pattern=dict(Regex=pattern), behavior="Isolated", invert=False)


def sequence(kind, *steps):
    return {"type": "Sequence", kind: list(steps)}


# ---- vocabularies ---------------------------------------------------------------------------------------------------

def common_letters(lines, count):
    """The lines without all but their most frequent characters (the trainer's own limit breaks ties by chance)."""
    frequency = collections.Counter(c for line in lines for c in line)
    kept = {c for c, _ in sorted(frequency.items(), key=lambda p: (-p[1], p[0]))[:count]}
    return ["".join(c for c in line if c in kept) for line in lines]


def train_bpe(pre, normalizer, seed, size, special=(), letters=None, **model):
    """A vocabulary {piece: id} and merges [(left, right)] by the trainer of `tokenizers`."""
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    lines = list(strings.training_text(seed))
    more = {}
    if letters:
        lines = common_letters(lines, letters)
    else:
        more["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), show_progress=False, **more))
    trained = json.loads(tokenizer.to_str())["model"]
    return trained["vocab"], [tuple(m) for m in trained["merges"]]


BYTES = [f"<0x{b:02X}>" for b in range(256)]


def with_runs_of_spaces(vocab, merges):
    """Adds the pieces of 2, 4, 8 and 16 spaces that Llama's vocabulary has, merged before anything else."""
    runs = [("▁" * n, "▁" * n) for n in (1, 2, 4, 8)]
    for left, right in runs:
        if left + right not in vocab:
            vocab[left + right] = len(vocab)
    return vocab, [m for m in runs if m not in merges] + merges


def train_sentencepiece(seed, size, **more):
    """A SentencePiece model trained as Llama 2's was, small; returns the bytes of tokenizer.model."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=strings.training_text(seed), model_writer=model, model_type="bpe", vocab_size=size,
        byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=True, remove_extra_whitespaces=False,
        split_digits=True, allow_whitespace_only_pieces=True, character_coverage=0.98, unk_id=0, bos_id=1, eos_id=2,
        pad_id=-1, max_sentence_length=16384, num_threads=1, minloglevel=2, **more)
    return model.getvalue()


def convert(model):
    """The vocabulary and merges of a SentencePiece BPE model, as published tokenizer.json files hold them."""
    sp = sentencepiece.SentencePieceProcessor(model_proto=model)
    vocab = {sp.id_to_piece(i): i for i in range(sp.get_piece_size())}
    merges = []
    for piece, i in vocab.items():
        if sp.is_control(i) or sp.is_unknown(i) or sp.is_byte(i) or len(piece) < 2:
            continue
        here = [(piece[:n], piece[n:]) for n in range(1, len(piece)) if piece[:n] in vocab and piece[n:] in vocab]
        here.sort(key=lambda m: (vocab[m[0]], vocab[m[1]]))
        merges += [(sp.get_score(i), m) for m in here]
    merges.sort(key=lambda m: (-m[0], len(m[1][0]), len(m[1][1])))
    return vocab, [m for _, m in merges]


# ---- files ----------------------------------------------------------------------------------------------------------

def bpe(vocab, merges, merges_as_text, **settings):
    model = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix="", end_of_word_suffix="",
                 fuse_unk=False, byte_fallback=False, ignore_merges=False)
    model.update(settings)
    model = {k: v for k, v in model.items() if v is not ...}  # ... leaves a key out, as older files do
    model["vocab"] = vocab
    model["merges"] = [" ".join(m) if merges_as_text else list(m) for m in merges]
    return model


def llama_bpe(vocab, merges, merges_as_text, **settings):
    return bpe(vocab, merges, merges_as_text, **dict(
        dict(unk_token="<unk>", continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=True,
             byte_fallback=True), **settings))


def number(vocab, added):
    """Gives added tokens their ids: the vocabulary's own where it has them, the next free ones otherwise."""
    rows, free = [], len(vocab)
    for row in added:
        if row["content"] in vocab:
            rows.append(dict(id=vocab[row["content"]], **row))
        else:
            rows.append(dict(id=free, **row))
            free += 1
    return sorted(rows, key=lambda r: r["id"])


def tokenizer_json(vocab, added, model, normalizer, pre_tokenizer, post_processor, decoder):
    return dict(version="1.0", truncation=None, padding=None, added_tokens=number(vocab, added), normalizer=normalizer,
                pre_tokenizer=pre_tokenizer, post_processor=post_processor, decoder=decoder, model=model)


def template(bos, bos_id):
    """A post-processor that puts bos before the text, and before each text of a pair."""
    return dict(type="TemplateProcessing",
                single=[dict(SpecialToken=dict(id=bos, type_id=0)), dict(Sequence=dict(id="A", type_id=0))],
                pair=[dict(SpecialToken=dict(id=bos, type_id=0)), dict(Sequence=dict(id="A", type_id=0)),
                      dict(SpecialToken=dict(id=bos, type_id=1)), dict(Sequence=dict(id="B", type_id=1))],
                special_tokens={bos: dict(id=bos, ids=[bos_id], tokens=[bos])})


PREPEND = sequence("normalizers", dict(type="Prepend", prepend="▁"),
                   dict(type="Replace", pattern=dict(String=" "), content="▁"))
METASPACE_FIRST = dict(type="Metaspace", replacement="▁", prepend_scheme="first", split=False)
LLAMA_DECODER = sequence("decoders", dict(type="Replace", pattern=dict(String="▁"), content=" "),
                         dict(type="ByteFallback"), dict(type="Fuse"), dict(type="Strip", content=" ", start=1, stop=0))


def decoder_rows(tokenizer):
    """added_tokens_decoder of tokenizer_config.json."""
    return {str(row["id"]): {k: row[k] for k in ("content", "lstrip", "normalized", "rstrip", "single_word", "special")}
            for row in tokenizer["added_tokens"]}


def old_token(content, normalized=False):
    """A special token as transformers 4 first wrote it into tokenizer_config.json."""
    return dict(__type="AddedToken", content=content, lstrip=False, normalized=normalized, rstrip=False, single_word=False)


def chat_template(name):
    with open(os.path.join(common.DEFAULT_OUT, "templates", name + ".jinja"), encoding="utf-8", newline="") as f:
        return f.read()


# ---- families -------------------------------------------------------------------------------------------------------
# Each returns (tokenizer.json or None, tokenizer_config.json, special_tokens_map.json or None, tokenizer.model or None).

def gpt2(seed):
    vocab, merges = train_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False), None, seed, BYTE_LEVEL_SIZE)
    end = "<|endoftext|>"
    vocab[end] = len(vocab)
    # The published file is old: its model has no "type", and its pre-tokenizer no "use_regex".
    model = bpe(vocab, merges, True, type=..., byte_fallback=..., ignore_merges=...)
    made = tokenizer_json(vocab, [token(end, normalized=True)], model, None, byte_level(False, True),
                          byte_level(True, False), byte_level(True, True))
    return made, dict(add_prefix_space=False, bos_token=end, eos_token=end, model_max_length=1024,
                      tokenizer_class="GPT2Tokenizer", unk_token=end), None, None


def llama3(seed):
    pattern = GPT4_LIKE % "{1,3}"
    pre = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    vocab, merges = train_bpe(pre, None, seed, BYTE_LEVEL_SIZE)
    # With ignore_merges a whole piece in the vocabulary is taken as it is. So some entries must be out of the merges' reach:
    # whole words whose last merge is taken away, and words that never had one.
    rng = random.Random(seed)
    parts = {p for m in merges for p in m}
    alone = [m for m in merges if "".join(m) not in parts and "".join(m)[0] == "Ġ" and len("".join(m)) > 4]
    cut = set(rng.sample(alone, min(80, len(alone) // 2)))
    merges = [m for m in merges if m not in cut]
    for word in (" unreachable", " internationalization", "Zusammenfassung", " 数据", "данные", "數據庫", " pressure",
                 "123", "007", ".\r\n", "    ", "🙂", " don", "'ll", "'LL"):
        encoded = "".join(p for p, _ in pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
                          .pre_tokenize_str(word))
        vocab.setdefault(encoded, len(vocab))
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
             "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>",
             "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]
    names += [f"<|reserved_special_token_{i}|>" for i in range(3, 248)]
    bos = names[0]
    made = tokenizer_json(
        vocab, [token(n) for n in names],
        bpe(vocab, merges, True, continuing_subword_prefix=None, end_of_word_suffix=None, ignore_merges=True), None,
        sequence("pretokenizers", split(pattern), byte_level(False, True, False)),
        sequence("processors", byte_level(True, False, True), template(bos, len(vocab))), byte_level(True, True, True))
    config = dict(added_tokens_decoder=decoder_rows(made), bos_token=bos, chat_template=chat_template("llama31"),
                  clean_up_tokenization_spaces=True, eos_token="<|eot_id|>",
                  model_input_names=["input_ids", "attention_mask"], model_max_length=131072,
                  tokenizer_class="PreTrainedTokenizerFast")
    return made, config, dict(bos_token=token_map(bos), eos_token=token_map("<|eot_id|>")), None


def token_map(content):
    return dict(content=content, lstrip=False, normalized=False, rstrip=False, single_word=False)


def qwen2(seed):
    pattern = GPT4_LIKE % ""
    pre = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    vocab, merges = train_bpe(pre, normalizers.NFC(), seed, BYTE_LEVEL_SIZE)
    special = ["endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start", "box_end", "quad_start",
               "quad_end", "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad"]
    plain = ["<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
             "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
    special = [f"<|{name}|>" for name in special]
    made = tokenizer_json(
        vocab, [token(n) for n in special] + [token(n, special=False) for n in plain], bpe(vocab, merges, True, ignore_merges=...),
        dict(type="NFC"), sequence("pretokenizers", split(pattern), byte_level(False, False, False)),
        byte_level(False, False, False), byte_level(False, False, False))
    config = dict(add_bos_token=False, add_prefix_space=False, added_tokens_decoder=decoder_rows(made),
                  additional_special_tokens=special[1:], bos_token=None, chat_template=chat_template("qwen25"),
                  clean_up_tokenization_spaces=False, eos_token="<|im_end|>", errors="replace", model_max_length=131072,
                  pad_token="<|endoftext|>", split_special_tokens=False, tokenizer_class="Qwen2Tokenizer", unk_token=None)
    return made, config, None, None


def smollm(seed):
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False)])
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>",
               "<gh_stars>", "<issue_start>", "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>",
               "<jupyter_code>", "<jupyter_output>", "<jupyter_script>", "<empty_output>"]
    vocab, merges = train_bpe(pre, None, seed, BYTE_LEVEL_SIZE, special)  # special tokens come first: ids 0 to 16
    made = tokenizer_json(
        vocab, [token(n) for n in special], bpe(vocab, merges, True, continuing_subword_prefix=None, end_of_word_suffix=None),
        None, sequence("pretokenizers", dict(type="Digits", individual_digits=True), byte_level(False, True, True)),
        None, byte_level(True, True, True))
    config = dict(add_prefix_space=False, added_tokens_decoder=decoder_rows(made),
                  additional_special_tokens=["<|im_start|>", "<|im_end|>"], bos_token="<|im_start|>",
                  chat_template=chat_template("smollm2"), clean_up_tokenization_spaces=False, eos_token="<|im_end|>",
                  model_max_length=8192, pad_token="<|im_end|>", tokenizer_class="GPT2Tokenizer",
                  unk_token="<|endoftext|>", vocab_size=len(vocab))
    return made, config, dict(bos_token=token_map("<|im_start|>"), eos_token=token_map("<|im_end|>")), None


LLAMA_SPECIAL = ["<unk>", "<s>", "</s>"]


def llama_like(vocab, merges, added, normalizer, pre_tokenizer, merges_as_text, **model):
    return tokenizer_json(vocab, added, llama_bpe(vocab, merges, merges_as_text, **model), normalizer, pre_tokenizer,
                          template("<s>", 1), LLAMA_DECODER)


def llama2_config(chat="llama2"):
    return dict(add_bos_token=True, add_eos_token=False, bos_token=old_token("<s>"), chat_template=chat_template(chat),
                clean_up_tokenization_spaces=False, eos_token=old_token("</s>"), legacy=False, model_max_length=HUGE,
                pad_token=None, padding_side="right", sp_model_kwargs={}, tokenizer_class="LlamaTokenizer",
                unk_token=old_token("<unk>"))


LLAMA2_MAP = dict(bos_token=token_map("<s>"), eos_token=token_map("</s>"), unk_token=token_map("<unk>"))


def llama2_legacy(seed):
    vocab, merges = convert(train_sentencepiece(seed, SPM_SIZE))
    made = llama_like(vocab, merges, [token(n) for n in LLAMA_SPECIAL], PREPEND, None, True, ignore_merges=...)
    return made, llama2_config(), LLAMA2_MAP, None


def train_llama(seed):
    """A vocabulary with byte fallback by the trainer of `tokenizers`, each word apart, rare letters left to bytes."""
    vocab, merges = train_bpe(pre_tokenizers.Metaspace(), None, seed, SPM_SIZE, LLAMA_SPECIAL + BYTES, letters=500,
                              unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    return with_runs_of_spaces(vocab, merges)


def llama1(seed):
    """Llama 2's components with special tokens that are normalized, as the first conversions of Llama had them."""
    vocab, merges = train_llama(seed)
    added = [token(n, normalized=True) for n in LLAMA_SPECIAL]
    made = llama_like(vocab, merges, added, PREPEND, None, True, ignore_merges=...)
    config = dict(add_bos_token=True, add_eos_token=False, bos_token=old_token("<s>", True), eos_token=old_token("</s>", True),
                  clean_up_tokenization_spaces=False, model_max_length=2048, pad_token=None, sp_model_kwargs={},
                  tokenizer_class="LlamaTokenizer", unk_token=old_token("<unk>", True))
    return made, config, None, None


def llama2_first(seed):
    vocab, merges = train_llama(seed)
    made = llama_like(vocab, merges, [token(n) for n in LLAMA_SPECIAL], None, METASPACE_FIRST, False)
    config = dict(llama2_config(), added_tokens_decoder=decoder_rows(made), add_prefix_space=None, bos_token="<s>",
                  eos_token="</s>", unk_token="<unk>", pad_token=None)
    return made, config, LLAMA2_MAP, None


def codellama(seed):
    vocab, merges = convert(train_sentencepiece(seed, SPM_SIZE))
    infill = ["▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"]
    for name in infill:
        vocab[name] = len(vocab)
    made = llama_like(vocab, merges, [token(n) for n in LLAMA_SPECIAL + infill], PREPEND, None, True, ignore_merges=...)
    config = dict(llama2_config("codellama"), added_tokens_decoder=decoder_rows(made), additional_special_tokens=infill,
                  bos_token="<s>", eos_token="</s>", unk_token="<unk>", fill_token="<FILL_ME>", prefix_token=infill[0],
                  suffix_token=infill[1], middle_token=infill[2], eot_token=infill[3], legacy=None, suffix_first=False,
                  tokenizer_class="CodeLlamaTokenizer", use_default_system_prompt=False)
    return made, config, None, None


def mistral(seed):
    vocab, merges = convert(train_sentencepiece(seed, SPM_SIZE))
    made = llama_like(vocab, merges, [token(n) for n in LLAMA_SPECIAL], PREPEND, None, True, ignore_merges=...)
    config = dict(add_bos_token=True, add_eos_token=False, added_tokens_decoder=decoder_rows(made),
                  additional_special_tokens=[], bos_token="<s>", chat_template=chat_template("mistral_v02"),
                  clean_up_tokenization_spaces=False, eos_token="</s>", legacy=True, model_max_length=HUGE, pad_token=None,
                  sp_model_kwargs={}, spaces_between_special_tokens=False, tokenizer_class="LlamaTokenizer",
                  unk_token="<unk>", use_default_system_prompt=False)
    return made, config, LLAMA2_MAP, None


def mistral_v03(seed):
    """Control tokens before the bytes, so that <0x00> is not 3."""
    control = ["[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
               "[/TOOL_RESULTS]"] + [f"[control_{i}]" for i in range(8, 40)]
    vocab, merges = convert(train_sentencepiece(seed, SPM_SIZE + len(control), control_symbols=control))
    made = llama_like(vocab, merges, [token(n) for n in LLAMA_SPECIAL + control], None, METASPACE_FIRST, True)
    config = dict(add_bos_token=True, add_eos_token=False, add_prefix_space=True, added_tokens_decoder=decoder_rows(made),
                  bos_token="<s>", chat_template=chat_template("mistral_v03"), clean_up_tokenization_spaces=False,
                  eos_token="</s>", legacy=False, model_max_length=HUGE, pad_token=None, sp_model_kwargs={},
                  spaces_between_special_tokens=False, tokenizer_class="LlamaTokenizer", unk_token="<unk>",
                  use_default_system_prompt=False)
    return made, config, None, None


def tinyllama(seed):
    vocab, merges = convert(train_sentencepiece(seed, SPM_SIZE))
    made = llama_like(vocab, merges, [token(n) for n in LLAMA_SPECIAL], PREPEND, None, True, ignore_merges=...)
    config = dict(add_bos_token=True, add_eos_token=False, added_tokens_decoder=decoder_rows(made), bos_token="<s>",
                  chat_template=chat_template("zephyr"), clean_up_tokenization_spaces=False, eos_token="</s>", legacy=False,
                  model_max_length=2048, pad_token="</s>", padding_side="right", sp_model_kwargs={},
                  tokenizer_class="LlamaTokenizer", unk_token="<unk>", use_default_system_prompt=False)
    return made, config, dict(LLAMA2_MAP, pad_token=token_map("</s>")), None


def added(seed):
    """Every kind of added token there is, over a byte-level BPE with NFC."""
    vocab, merges = train_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFC(), seed, BYTE_LEVEL_SIZE)
    rows = [
        token("<|endoftext|>"),
        token("<mask>", lstrip=True), token("<|sep|>", lstrip=True), token("<|tail|>", rstrip=True),
        token("<|both|>", lstrip=True, rstrip=True), token("<pad>", normalized=True),
        token("<|raw|>", special=False), token("<tool_call>", special=False, rstrip=True),
        # One a prefix of the other, one beginning inside another.
        token("<|a|>"), token("<|a|>b", special=False), token("abc", special=False), token("bcd", special=False),
        token("abcd", special=False, normalized=True), token("<|im_start|>"), token("<|im_end|>", special=False),
        # Whole words only, in more than one script.
        token("hone", special=False, single_word=True, normalized=True), token("данные", special=False, single_word=True),
        token("plugin", special=False, single_word=True, lstrip=True, rstrip=True), token("数据", special=False),
        # NFC comes between: composed and decomposed, matched before and after.
        token("café", special=False, normalized=True), token("naïve", special=False),
        token("e\u0301clair", special=False, normalized=True), token("nai\u0308f", special=False),
        # In the vocabulary already, white space, digits, an emoji.
        token("the", special=False, normalized=True, single_word=True), token("\n\n\n", special=False),
        token("\t\t", special=False, normalized=True), token("123", special=False), token("🙂", special=False),
    ]
    # A token that ends where another is stripped from, and one that is only space and a word.
    rows += [token(" the pump", special=False), token("</s>", lstrip=True, rstrip=True, single_word=True)]
    made = tokenizer_json(vocab, rows, bpe(vocab, merges, False), dict(type="NFC"), byte_level(False, True, True),
                          byte_level(True, False, True), byte_level(True, True, True))
    config = dict(added_tokens_decoder=decoder_rows(made), bos_token=None, chat_template=chat_template("chatml"),
                  clean_up_tokenization_spaces=False, eos_token="<|im_end|>", model_max_length=2048,
                  pad_token="<pad>", tokenizer_class="PreTrainedTokenizerFast", unk_token=None)
    return made, config, None, None


def spm(seed):
    return None, llama2_config(), LLAMA2_MAP, train_sentencepiece(seed, SPM_SIZE)


def spm_user(seed):
    """User-defined pieces, which are taken whole wherever they stand, and control pieces, which never are."""
    return None, dict(llama2_config("codellama"), tokenizer_class="CodeLlamaTokenizer"), LLAMA2_MAP, train_sentencepiece(
        seed, SPM_SIZE, user_defined_symbols=["▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>", "<think>", "▁▁▁▁▁", "the▁pump"],
        control_symbols=["[INST]", "[/INST]"])


FAMILIES = [gpt2, llama3, qwen2, smollm, llama1, llama2_legacy, llama2_first, codellama, mistral, mistral_v03, tinyllama,
            added, spm, spm_user]


# ---- what they answer -----------------------------------------------------------------------------------------------

def leb128(out, value):
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def save_ids(path, rows):
    out = bytearray()
    for row in rows:
        leb128(out, len(row))
        for i in row:
            leb128(out, i)
    strings.write_gz(path, out)


class Answers:
    """The same three questions to either library."""

    def __init__(self, folder):
        if os.path.exists(os.path.join(folder, "tokenizer.json")):
            self.hf = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        else:
            with open(os.path.join(folder, "tokenizer.model"), "rb") as f:
                model = sentencepiece_model_pb2.ModelProto.FromString(f.read())
            self.hf = None
            self.sp = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
            model.normalizer_spec.add_dummy_prefix = False
            self.sp_inside = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())

    def encode(self, text, special=False):
        if self.hf:
            return self.hf.encode(text, add_special_tokens=special).ids
        return [1] * special + self.sp.encode(text)

    def encode_chat(self, text):
        """A rendered conversation: its special tokens are in the text.

        Where there is only a tokenizer.model, <s>, </s> and <unk> are cut out first, and only what begins the text gets
        the space that sentencepiece puts before (transformers' slow LlamaTokenizer with "legacy": false).
        """
        if self.hf:
            return self.encode(text)
        ids = []
        for i, part in enumerate(re.split("(<s>|</s>|<unk>)", text)):
            if i % 2:
                ids.append(self.sp.piece_to_id(part))
            elif part:
                ids += (self.sp if i == 0 else self.sp_inside).encode(part)
        return ids

    def decode(self, ids):
        return self.hf.decode(ids, skip_special_tokens=False) if self.hf else self.sp.decode(ids)

    def unknown(self):
        return self.hf.token_to_id("<unk>") if self.hf else 0


PLAIN = ("{{ bos_token }}{% for m in messages %}{{ m['content'] }}"
         "{{ eos_token if m['role'] == 'assistant' else '\n\n' }}{% endfor %}")

# Templates of hone's table that a folder's conversations go through besides the folder's own: name, jinja
NAMED = {
    "gpt2": [("plain", PLAIN.replace("{{ bos_token }}", "")), ("alpaca", "alpaca")],
    "llama2_legacy": [("plain", PLAIN), ("alpaca", "alpaca"), ("mistral-v0.1", "mistral_v01"),
                      ("mistral-system", "mistral_v02_system")],
    "llama3": [("llama3", "llama3"), ("llama32", "llama32")],
    "qwen2": [("qwen2", "qwen2"), ("qwen3", "qwen3")],
    "mistral": [("alpaca", "alpaca"), ("mistral-v0.3", "mistral_v03")],
    "spm": [("plain", PLAIN), ("alpaca", "alpaca")],
}


def all_chat_cases(name, config, answers):
    if "chat_template" in config:
        yield from chat_cases(config, answers, config["chat_template"])
    for row, source in NAMED.get(name, []):
        template = source if "{" in source else chat_template(source)
        for case in chat_cases(config, answers, template):
            yield dict(template=row, **case)


def chat_cases(config, answers, template):
    talks = [
        [("user", "How do I reset the pump?")],
        [("user", "How do I reset the pump?"), ("assistant", "Hold the red button.")],
        [("user", " Hi \n"), ("assistant", "Hello. What can I do?"), ("user", "Wie groß ist 泵? 🙂 It's 1234.5\n\n")],
        [("system", "Be brief."), ("user", "Hi"), ("assistant", "  Hello  "), ("user", "Bye </s> <|im_end|>")],
    ]
    text_of = lambda name: config[name]["content"] if isinstance(config.get(name), dict) else config.get(name)
    shell = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token=text_of("bos_token"),
                                                 eos_token=text_of("eos_token"))
    for talk in talks:
        messages = [dict(role=r, content=c) for r, c in talk]
        for prompt in (False, True):
            try:
                text = shell.apply_chat_template(messages, chat_template=template, tokenize=False,
                                                 add_generation_prompt=prompt, date_string="26 Jul 2024")
            except Exception as error:  # what a template refuses is in templates/cases.json
                continue
            yield dict(messages=messages, add_generation_prompt=prompt, text=text, ids=answers.encode_chat(text))


def make(family, args, texts):
    name = family.__name__
    folder = os.path.join(args.out, "tokenizers", name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    made, config, special_map, model = family(common.sub_seed(args.seed, name))
    if made:
        with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
            json.dump(made, f, ensure_ascii=False, indent=0 if isinstance(made["model"]["merges"][0], str) else None)
    if model:
        with open(os.path.join(folder, "tokenizer.model"), "wb") as f:
            f.write(model)
    common.write_json(os.path.join(folder, "tokenizer_config.json"), config)
    if special_map:
        common.write_json(os.path.join(folder, "special_tokens_map.json"), special_map)

    answers = Answers(folder)
    ids = [answers.encode(text) for text in texts]
    save_ids(os.path.join(folder, "ids.bin.gz"), ids)
    save_ids(os.path.join(folder, "ids_special.bin.gz"), [answers.encode(text, True) for text in texts[:FIRST]])
    if model:
        save_ids(os.path.join(folder, "ids_parsed.bin.gz"), [answers.encode_chat(text) for text in texts[:FIRST]])
    decoded = [answers.decode(row) for row in ids[:FIRST]]
    strings.save(os.path.join(folder, "decoded.bin.gz"), decoded)
    cases = list(all_chat_cases(name, config, answers))
    if cases:
        with open(os.path.join(folder, "chat.json"), "w", encoding="utf-8") as f:  # one case a line
            f.write("[" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "]\n")
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    back = sum(a == b for a, b in zip(decoded, texts)) / len(decoded)
    unknown = answers.unknown()
    print(f"{name}: {sum(map(len, ids))} ids, {len({i for row in ids for i in row})} of them different, largest "
          f"{max(max(r) for r in ids if r)}, {sum(unknown in r for r in ids)} strings with <unk>, {back:.1%} decode to "
          f"themselves, {size // 1024} KiB")


def main():
    args = common.arguments(__doc__.splitlines()[0])
    os.makedirs(os.path.join(args.out, "tokenizers"), exist_ok=True)
    texts = strings.build(args.seed)
    strings.save(os.path.join(args.out, "tokenizers", "strings.bin.gz"), texts)
    for family in FAMILIES:
        if common.wanted(args, family.__name__):
            make(family, args, texts)


if __name__ == "__main__":
    main()
