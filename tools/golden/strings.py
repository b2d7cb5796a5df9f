# SPDX-License-Identifier: Apache-2.0
"""The strings that every tokenizer is tried on, and the text that the tokenizers are trained on.

Nothing is copied from anywhere: sentences are drawn from word lists, code from small grammars, foreign words from the
letters of their script. Only the list of English words comes from Python's own documentation (pydoc_data).

Code points are those assigned in this Python's Unicode: a younger one is a letter to one library and nothing to another.
"""
import gzip
import random
import re
import struct
import sys
import unicodedata

import pydoc_data.topics

EDGES = ["", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "▁", "a", "\0", "\ufeff"]

SPACES = [" ", "  ", "   ", "    ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r", "\r\n\r\n", "\v", "\f", "\x1c", "\x1d",
          "\x1e", "\x1f", "\x85", "\u00a0", "\u1680", "\u180e", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004",
          "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a", "\u200b", "\u200c", "\u200d", "\u2028", "\u2029",
          "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff", " \n", "\n ", " \t ", "\t\n", "        ", "\n\n\n", " " * 15,
          " " * 16, " " * 17, " " * 33, "\n\t\t", "▁", "▁▁", " ▁", "▁ "]

SPECIALS = ["<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>",
            "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>",
            "<|finetune_right_pad_id|>", "<|reserved_special_token_0|>", "<|reserved_special_token_24|>",
            "<|reserved_special_token_247|>", "<tool_call>", "</tool_call>", "<think>", "</think>", "<|fim_prefix|>",
            "<|fim_middle|>", "<|object_ref_start|>", "<|vision_pad|>", "<repo_name>", "<reponame>", "<gh_stars>",
            "<empty_output>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[control_8]", "▁<PRE>",
            "▁<SUF>", "▁<MID>", "▁<EOT>", " <PRE>", "<PRE>", "<<SYS>>\n", "\n<</SYS>>\n\n", "<|user|>", "<|assistant|>",
            "<0x00>", "<0x0A>", "<0xFF>", "<pad>", "<mask>", "<|sep|>", "<|tail|>", "<|both|>", "<|raw|>", "<|a|>",
            "<|a|>b", "hone", "plugin", "café", "cafe\u0301", "naïve", "nai\u0308ve", "éclair", "e\u0301clair", "abc",
            "bcd", "abcd", "the", "the pump", "123", "🙂", "данные", "数据", "\n\n\n", "\t\t"]

CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Re", "'rE", "'VE", "'M", "'LL", "'Ll",
                "'D", "ʼs", "’s", "’ll", "ʼll", "'ſ", "'k", "''", "'", "'1", "'ss", "'sa", "'lle", "'llo", "' s",
                "'\ts", "'é", "n't", "N'T", "o'", "'em", "\"'s", "`s", "'K"]

EMOJI = ["😀", "🙂", "👍", "👩", "👨", "👧", "🧑", "🔧", "🚀", "❤", "❤️", "☺", "☺️", "✔", "✔︎", "⚠️", "🏳️", "🏴", "🐻", "🦰",
         "💻", "🌈", "⚧️", "🐈", "⬛", "👁️", "🗨️", "🧑", "🤝", "1️⃣", "#️⃣", "*️⃣", "🅰️", "🈁", "©️", "™", "㊙️", "〰️"]
TONES = ["🏻", "🏼", "🏽", "🏾", "🏿"]
ZWJ = ["👩‍🔧", "👨‍👩‍👧‍👦", "👩🏽‍💻", "🏳️‍🌈", "🏳️‍⚧️", "🧑🏾‍🤝‍🧑🏻", "👁️‍🗨️", "🐻‍❄️", "❤️‍🔥", "🐈‍⬛", "👩‍❤️‍💋‍👨", "🧑‍🚀", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"]

# Scripts that the training text holds too, so that their letters are merged: name, first and last letter.
SCRIPTS = [("latin1", 0xDF, 0xFF), ("latin-a", 0x100, 0x17F), ("greek", 0x3B1, 0x3C9), ("cyrillic", 0x430, 0x44F),
           ("armenian", 0x561, 0x586), ("hebrew", 0x5D0, 0x5EA), ("arabic", 0x627, 0x64A), ("devanagari", 0x905, 0x939),
           ("bengali", 0x985, 0x9B9), ("tamil", 0xB85, 0xBB9), ("thai", 0xE01, 0xE30), ("georgian", 0x10D0, 0x10F0),
           ("hangul", 0xAC00, 0xAC80), ("hiragana", 0x3041, 0x3093), ("katakana", 0x30A1, 0x30F6),
           ("han", 0x4E00, 0x4EA0), ("vietnamese", 0x1EA0, 0x1EF9), ("ethiopic", 0x1200, 0x1250)]

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def assigned(c):
    return unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")


ASSIGNED = [c for c in range(sys.maxunicode + 1) if assigned(c)]
ENGLISH = [w for w, _ in sorted(
    ((w, n) for w, n in __import__("collections").Counter(
        re.findall(r"[A-Za-z]+", " ".join(pydoc_data.topics.topics.values()))).items() if n > 2),
    key=lambda p: (-p[1], p[0]))][:1800]


class Source:
    """Draws words, sentences and code from one seeded generator."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.lexicon = {}
        lexicons = random.Random(77)  # the same words whatever the seed: training and trial share them
        for name, low, high in SCRIPTS:
            letters = [chr(c) for c in range(low, high + 1) if unicodedata.category(chr(c))[0] == "L"]
            self.lexicon[name] = ["".join(lexicons.choice(letters) for _ in range(lexicons.randint(1, 7)))
                                  for _ in range(60)]

    def pick(self, *options):
        return self.rng.choice(options)

    def word(self):
        # Squared: common words are much more common than rare ones.
        return ENGLISH[int(self.rng.random() ** 2 * len(ENGLISH))]

    def number(self):
        return self.pick(str(self.rng.randrange(10 ** self.rng.randint(1, 12))), f"{self.rng.random() * 1000:.3f}",
                         f"{self.rng.randrange(1900, 2030)}-{self.rng.randrange(1, 13):02}-{self.rng.randrange(1, 29):02}")

    def english(self):
        words = [self.word() for _ in range(self.rng.randint(2, 8))]
        for _ in range(self.rng.randint(0, 2)):
            words[self.rng.randrange(len(words))] += self.pick(",", ";", "'s", "'t", ".", " -", ":", "!", "n't", "'ll")
        if self.rng.random() < 0.3:
            words.insert(self.rng.randrange(len(words)), self.number())
        text = " ".join(words)
        return (text[0].upper() + text[1:] if self.rng.random() < 0.6 else text) + self.pick(".", ".", "?", "", "...")

    def foreign(self, name=None):
        words = self.lexicon[name or self.pick(*self.lexicon)]
        joint = "" if name in ("han", "hiragana", "katakana", "thai") else " "
        text = joint.join(words[int(self.rng.random() ** 2 * len(words))] for _ in range(self.rng.randint(1, 4)))
        return text + self.pick("", ".", "。", "؟", "!", " 1", "、")

    def identifier(self):
        parts = [self.word().lower() for _ in range(self.rng.randint(1, 3))]
        return self.pick("_".join(parts), parts[0] + "".join(p.title() for p in parts[1:]), parts[0][:2],
                         "_".join(parts).upper(), "_" + parts[0], parts[0] + str(self.rng.randrange(99)))

    def code(self):
        i, j, k = self.identifier(), self.identifier(), self.identifier()
        n, gap = self.number(), self.pick("    ", "  ", "\t", "        ")
        return self.pick(
            f"int {i}(const char *{j}, size_t {k}) {{\n{gap}return {j} ? {k} + {n} : -1;\n}}\n",
            f"for (size_t i = 0; i < {n}; i++)\n{gap}{i}[i] += {j}->{k};",
            f"#define {i.upper()}({j}) (({j}) << {self.rng.randrange(32)})\n#include <{k}.h>\n",
            f"def {i}({j}, {k}=None):\n{gap}\"\"\"{self.english()}\"\"\"\n{gap}return {j}[{n}:] if not {k} else {{}}\n",
            f"{{\"{i}\": [{n}, \"{j}\", null], \"{k}\": {{\"a\": true}}}}",
            f"<{i} class=\"{j}\">{self.english()}</{i}>\n<!-- {k} -->",
            f"SELECT {i}, COUNT(*) FROM {j} WHERE {k} != '{n}' GROUP BY 1;",
            f"$ {i} --{j}={n} -v | grep -c '{k}' && echo \"$?\"",
            f"https://{i}.example.com:{self.rng.randrange(65536)}/{j}?q={k}&x=%20{n}#top",
            f"{i} = lambda {j}: {j}**{n} // 0x{self.rng.getrandbits(32):08x}  # {self.english()}",
            f"\\frac{{{i}}}{{{j}}} \\le \\sum_{{k=0}}^{{{n}}} x_{{{k}}}$$",
            f"- [ ] **{i}**: `{j}` ~~{k}~~\n  1. {self.english()}\n\n> {n}\n",
            f"if({i}!={j}){{{k}();}}else{{++{i};}}//{n}",
            f"C:\\{i}\\{j}.{k}\r\n",
        )


def training_text(seed, lines=9000):
    """Lines of English, code and foreign words."""
    source = Source(seed)
    for i in range(lines):
        yield (source.english(), source.code(), source.foreign(), source.english())[i % 4]


def spread(rng, characters, low, high):
    """A string of such characters, now and then with a space, a letter or a digit between."""
    out = []
    for _ in range(rng.randint(low, high)):
        out.append(chr(rng.choice(characters)))
        if rng.random() < 0.15:
            out.append(rng.choice([" ", " ", "a", "1", "\n", ".", "  "]))
    return "".join(out)


def build(seed):
    rng = random.Random(seed)
    source = Source(seed + 1)
    out = []

    # Every assigned window of 128 code points: all scripts, and what is no script.
    windows = {}
    for c in ASSIGNED:
        windows.setdefault(c >> 7, []).append(c)
    for window in windows.values():
        for _ in range(3 if window[0] < 0x3400 else 1):
            out.append(spread(rng, window, 2, 5))
    # Every number, separator, control and format character, punctuation mark, symbol below U+3000 and combining mark.
    for categories, limit in ((("Nd", "Nl", "No"), None), (("Zs", "Zl", "Zp", "Cc"), None), (("Cf",), None),
                              (("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"), None), (("Sm", "Sc", "Sk", "So"), 0x3000),
                              (("Mn", "Mc", "Me"), None), (("Lm",), None), (("Lt",), None)):
        chosen = [chr(c) for c in ASSIGNED if unicodedata.category(chr(c)) in categories and (not limit or c < limit)]
        for i in range(0, len(chosen), 4):
            four = chosen[i:i + 4]
            out.append(rng.choice(["{0}", "a{0}b", "{0} {0}", "x {0}1", " {0}", "{0}\n", "1{0}"]).format(
                rng.choice(["", " ", "a", "1"]).join(four)))
    for _ in range(2800):
        out.append("".join(chr(rng.choice(ASSIGNED)) for _ in range(rng.randint(1, 4))))
    for _ in range(300):  # private use and code points that will never be assigned
        out.append("".join(rng.choice(["\ue000", "\uf8ff", "\U000f0000", "\U0010fffd", "\ufffe", "\uffff", "\ufdd0",
                                       "\U0001ffff", "\ufffd", "a", " "]) for _ in range(rng.randint(1, 6))))

    for _ in range(700):
        flag = lambda: chr(0x1F1E6 + rng.randrange(26))
        piece = lambda: rng.choice([rng.choice(EMOJI), rng.choice(EMOJI) + rng.choice(TONES), rng.choice(ZWJ),
                                    flag() + flag(), flag(), "\u200d", rng.choice(EMOJI) + "\u200d" + rng.choice(EMOJI),
                                    " ", source.word(), "\ufe0f"])
        out.append("".join(piece() for _ in range(rng.randint(1, 4))))

    marks = [chr(c) for c in range(0x300, 0x370)] + ["\u05b0", "\u064e", "\u0651", "\u093c", "\u0f71", "\u3099", "\u20d0"]
    for _ in range(800):
        word = rng.choice([source.word(), source.foreign("latin1"), source.foreign("vietnamese"),
                           source.foreign("hangul"), source.foreign("katakana"), source.foreign("devanagari")])
        word = "".join(c + "".join(rng.choice(marks) for _ in range(rng.choice([0, 0, 0, 0, 1, 2]))) for c in word)
        out.append(unicodedata.normalize(rng.choice(["NFC", "NFD", "NFKC", "NFKD"]), word) if rng.random() < 0.8 else word)
    for c in ASSIGNED:  # every character with a canonical form other than itself, a few at a time
        if unicodedata.normalize("NFC", chr(c)) != chr(c) and (c < 0xF900 or c % 8 == 0):
            out.append(rng.choice(["{}", "a{}", "{} b"]).format(chr(c)))

    for _ in range(2200):
        parts = [rng.choice([source.word(), rng.choice(SPACES), rng.choice(SPACES), source.number(),
                             rng.choice(PUNCTUATION)]) for _ in range(rng.randint(1, 4))]
        out.append("".join(parts))
    for space in SPACES:
        word = source.word()
        out += [space, space + word, word + space, word + space + word, space + "1", "." + space, space + "." + space,
                word + space * 2 + word]

    for _ in range(700):
        word = rng.choice([source.word(), source.word().upper(), source.number(), "é", "", source.foreign("cyrillic"), " "])
        out.append(word + rng.choice(CONTRACTIONS) + rng.choice(["", " ", source.word(), ".", rng.choice(CONTRACTIONS)]))

    for length in range(1, 13):
        for _ in range(40):
            digits = "".join(rng.choice("0123456789") for _ in range(length))
            out.append(rng.choice(["{}", " {}", "a{}b", "{}.{}", "{} {}", "-{}", "{},{}", "${}", "v{}", "{}\n"]).format(
                digits, digits[::-1]))
    zeros = [0x30, 0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xFF10, 0x1D7CE, 0x1D7D8, 0x1E950]
    for _ in range(400):
        out.append("".join(chr(rng.choice(zeros) + rng.randrange(10)) + rng.choice(["", "", "", " ", "²", "½", "Ⅷ", "٫"])
                           for _ in range(rng.randint(1, 10))))

    out += [source.code() for _ in range(700)]
    out += [source.english() for _ in range(1300)]
    out += [source.pick("", " ") + source.word() + source.pick(" ", "-", "/") + source.identifier() for _ in range(800)]
    for name in source.lexicon:
        out += [source.foreign(name) for _ in range(50)]
    for _ in range(250):
        out.append(rng.choice(["", " ", ", "]).join(
            rng.choice([source.foreign, source.foreign, source.word, source.number])() for _ in range(rng.randint(2, 3))))

    # Special tokens of every family inside text: with and without spaces about them, doubled, cut short.
    for token in SPECIALS:
        out += [token, " " + token, token + " ", token + token, token + " " + token, "a" + token + "b",
                "a " + token + " b", "a  " + token + "  b", "\n" + token + "\n", token[:-1], token[1:], token + token[-1],
                token.upper(), "é" + token + "é", "1" + token + "_", token + "\u3000" + source.word()]
    for _ in range(2000):
        parts = [rng.choice([rng.choice(SPECIALS), rng.choice(SPECIALS), source.word(), " " + source.word(),
                             rng.choice(SPACES), source.number()]) for _ in range(rng.randint(2, 4))]
        out.append("".join(parts))

    for _ in range(1000):
        out.append("".join(rng.choice(PUNCTUATION + "—–…“”„«»¿¡、。！？") * rng.choice([1, 1, 1, 2, 3, 8])
                           for _ in range(rng.randint(1, 7))) + rng.choice(["", " ", "\n", "\r\n\n", "a", " a", "\n\n b"]))
    for _ in range(300):
        out.append("".join(rng.choice([chr(rng.randrange(32)), chr(rng.randrange(0x7F, 0xA0)), "a", " "])
                           for _ in range(rng.randint(1, 8))))
    for _ in range(60):  # words far longer than any token
        kind = rng.choice(["abcdefghijklmnopqrstuvwxyz", "ab", "0123456789abcdef", "АБВГДабвгд", "漢字", "aé", "ACGT", "_-"])
        out.append("".join(rng.choice(kind) for _ in range(rng.randint(60, 200))))
    out += ["a" * 3000, " " * 1000, "ab" * 1500, "9" * 1001, "\n" * 300, "é" * 400, "🙂" * 100, "the " * 300,
            "x" + " " * 257 + "y", "▁" * 100, "'s" * 200, "\u0301" * 100]

    seen = set(EDGES)
    rest = []
    for text in out:
        if text not in seen:
            seen.add(text)
            rest.append(text)
    rng.shuffle(rest)
    return EDGES + rest


def save(path, strings):
    data = bytearray()
    for text in strings:
        raw = text.encode()
        data += struct.pack("<I", len(raw)) + raw
    write_gz(path, data)


def write_gz(path, data):
    with open(path, "wb") as f:
        with gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
            z.write(bytes(data))


if __name__ == "__main__":
    made = build(1)
    print(len(made), "strings,", sum(len(s.encode()) for s in made), "bytes")
    save("/dev/null", made)
