# SPDX-License-Identifier: Apache-2.0
"""Small corpora and the byte-level BPE that the trainer of `tokenizers` makes of them.

Writes <out>/trainer/cases.json: a list of {name, special, size, texts, vocab, merges}, where vocab lists the pieces by id and
merges are pairs of ids.
"""
import json
import os
import random

import common

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import strings


def ties(seed):
    """Words of few letters, so that most counts are equal, and runs, whose pairs overlap."""
    rng = random.Random(seed)
    words = ["".join(rng.choice("ab") for _ in range(rng.randint(1, 9))) for _ in range(400)]
    words += ["a" * n for n in range(1, 24)] + ["ab" * n for n in range(1, 9)]
    return [" ".join(words)]


def prose(seed):
    lines, n = [], 0
    for line in strings.training_text(seed, 400):
        lines.append(line)
        n += len(line.encode())
        if n > 16000:
            return lines
    return lines


def scripts(seed):
    rng = random.Random(seed)
    letters = "eèéêñß日本語данныеعربي🙂👩‍👧0123'\t\n  <|>"
    return ["".join(rng.choice(letters) for _ in range(rng.randint(0, 60))) + "<|end|> it's" for _ in range(120)]


CASES = [("ties", ties, 300, []), ("prose", prose, 1200, ["<s>", "</s>"]), ("scripts", scripts, 600, ["<|end|>"])]


def train(texts, size, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(tokenizer.to_str())["model"]
    vocab = sorted(model["vocab"], key=model["vocab"].get)
    return vocab, [[model["vocab"][left], model["vocab"][right]] for left, right in model["merges"]]


def main():
    args = common.arguments(__doc__.splitlines()[0])
    folder = os.path.join(args.out, "trainer")
    os.makedirs(folder, exist_ok=True)
    rows = []
    for name, make, size, special in CASES:
        texts = make(common.sub_seed(args.seed, "trainer." + name))
        vocab, merges = train(texts, size, special)
        rows.append(dict(name=name, special=special, size=len(vocab), texts=texts, vocab=vocab, merges=merges))
        print(f"{name}: {len(vocab)} pieces of {sum(len(t.encode()) for t in texts)} bytes")
    with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as f:
        f.write("[" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "]\n")


if __name__ == "__main__":
    main()
