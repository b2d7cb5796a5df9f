# SPDX-License-Identifier: Apache-2.0
"""What transformers' apply_chat_template makes of conversations, for the chat templates of published models.

Reads tests/golden/templates/*.jinja, each the template of a family as its tokenizer_config.json carries it, and writes
<out>/templates/cases.json: {"<template>": [case, ...]}. A case holds messages, add_generation_prompt, bos_token, eos_token,
date (where the template says the day), enable_thinking (where given), and either text or error.
"""
import json
import os
import random
import shutil

import common

import tokenizers
import transformers

SOURCE = os.path.join(common.DEFAULT_OUT, "templates")

# template: (bos_token, eos_token)
TOKENS = {
    "llama2": ("<s>", "</s>"),
    "codellama": ("<s>", "</s>"),
    "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
    "llama31": ("<|begin_of_text|>", "<|eot_id|>"),
    "llama32": ("<|begin_of_text|>", "<|eot_id|>"),
    "chatml": ("<s>", "<|im_end|>"),
    "qwen2": (None, "<|im_end|>"),
    "qwen25": (None, "<|im_end|>"),
    "qwen3": (None, "<|im_end|>"),
    "smollm2": ("<|im_start|>", "<|im_end|>"),
    "mistral_v01": ("<s>", "</s>"),
    "mistral_v02": ("<s>", "</s>"),
    "mistral_v02_system": ("<s>", "</s>"),
    "mistral_v03": ("<s>", "</s>"),
    "zephyr": ("<s>", "</s>"),
    "alpaca": ("<s>", "</s>"),
}

WORDS = ("pump valve pressure reset the a of 42 3.5 bar — café Größe 温度 контроль \n \n\n \t {x} <b> `code` #1 "
         "don't C:\\temp %d {{y}}").split(" ")


def turns(*texts, system=None):
    messages = [] if system is None else [dict(role="system", content=system)]
    for i, text in enumerate(texts):
        messages.append(dict(role="user" if i % 2 == 0 else "assistant", content=text))
    return messages


def conversations(seed):
    """Conversations that every template is given, those with refused role orders among them."""
    yield turns("How do I reset the pump?")
    yield turns("How do I reset the pump?", system="You answer from the manual.")
    yield turns("How do I reset the pump?", "Hold the red button for five seconds.")
    yield turns("Hi", "Hello. What can I do?", "Which valve is V-3?")
    yield turns("Hi", "Hello. What can I do?", "Which valve is V-3?", "The inlet.", "Thanks", "You're welcome!",
                system="Be brief.")
    yield turns("  two spaces before, newline after\n", "\n\n\tan answer in white space  \n ",
                " \n second question \t", system="\n  system prompt with edges \n\n")
    yield turns("line one\nline two\r\nline three\n\n\n    indented\n", "```c\nint main(void) {\n    return 0;\n}\n```\n")
    yield turns("Wie groß ist die Pumpe? 泵有多大？ насос 🔧👩🏽‍🔧", "éé ½ \u00a0nbsp\u00a0 \u3000ideographic\u3000",
                system="Antworte auf Deutsch — „kurz“.")
    yield turns("\u00a0\u2003no-break and em space at the edges\u2003\u00a0", "\u200bzero width\u200b")
    yield turns("", "")
    yield turns("", system="")
    yield turns("{{ bos_token }} {% raw %} [INST] x [/INST] <<SYS>> <|im_end|> <|eot_id|> </s>",
                "### Response:\n'quoted' \"double\" \\n back\\slash")
    yield turns("What is 2+2?", "<think>\nTwo and two.\n</think>\n\n4", "And 3+3?", "<think>\n\n</think>\n\n6")
    yield turns("What is 2+2?", "no thought</think>\n4")
    yield [dict(role="system", content="Only a system message.")]
    yield turns("a")[:1] + turns("b")[:1]
    yield [dict(role="assistant", content="I speak first."), dict(role="user", content="And I second.")]
    yield turns("q", "a") + [dict(role="system", content="A late system message.")] + turns("again")
    yield [dict(role="system", content="one"), dict(role="system", content="two")] + turns("q")
    yield turns("q") + [dict(role="narrator", content="An unknown role.")]
    rng = random.Random(seed)
    for _ in range(6):
        text = lambda: " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 12)))
        yield turns(*[text() for _ in range(rng.randint(1, 6))], system=text() if rng.random() < 0.5 else None)


def render(tokenizer, template, case):
    given = {}
    if "date" in case:
        given["date_string"] = case["date"]
    if "enable_thinking" in case:
        given["enable_thinking"] = case["enable_thinking"]
    try:
        case["text"] = tokenizer.apply_chat_template(
            case["messages"], chat_template=template, tokenize=False,
            add_generation_prompt=case["add_generation_prompt"], **given)
    except Exception as error:  # what a template raises is the answer, whatever its class
        case["error"] = str(error)
    return case


def cases(name, template, seed):
    bos, eos = TOKENS[name]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(tokenizers.models.BPE()), bos_token=bos, eos_token=eos)
    for messages in conversations(seed):
        for prompt in (False, True):
            case = dict(messages=messages, add_generation_prompt=prompt, bos_token=bos, eos_token=eos)
            if name in ("llama31", "llama32"):
                case["date"] = "26 Jul 2024" if len(messages) < 3 else "05 Mar 2025"
            yield render(tokenizer, template, case)
            if name == "qwen3" and prompt:
                again = {k: v for k, v in case.items() if k not in ("text", "error")}
                yield render(tokenizer, template, dict(again, enable_thinking=False))


def main():
    args = common.arguments(__doc__.splitlines()[0])
    out = os.path.join(args.out, "templates")
    os.makedirs(out, exist_ok=True)
    made = {}
    for name in TOKENS:
        source = os.path.join(SOURCE, name + ".jinja")
        with open(source, encoding="utf-8", newline="") as f:
            template = f.read()
        if os.path.abspath(out) != SOURCE:
            shutil.copy(source, out)
        if common.wanted(args, name):
            made[name] = list(cases(name, template, args.seed))
            print(f"{name}: {len(made[name])} cases, {sum('error' in c for c in made[name])} refused")
    with open(os.path.join(out, "cases.json"), "w", encoding="utf-8") as f:  # one case a line
        f.write("{")
        for i, (name, rows) in enumerate(made.items()):
            lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
            f.write(f"{',' * (i > 0)}\n{json.dumps(name)}: [\n{lines}\n]")
        f.write("\n}\n")


if __name__ == "__main__":
    main()
