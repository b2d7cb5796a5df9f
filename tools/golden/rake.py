# SPDX-License-Identifier: Apache-2.0
"""tests/golden/rake/cases.json: phrases and scores of rake-nltk on our own text, for plugins/recipes/rake.c.

Sentences are given, so that only the algorithm and NLTK's word tokenizer are compared. Stop words are the lists of
plugins/recipes/stopwords.c. Needs rake-nltk and no data of NLTK.
"""
import json
import os
import random
import re

from common import HERE, arguments, sub_seed
from rake_nltk import Metric, Rake

METRICS = {"ratio": Metric.DEGREE_TO_FREQUENCY_RATIO, "degree": Metric.WORD_DEGREE, "frequency": Metric.WORD_FREQUENCY}

TEXTS = {
    "manual": ["The hydraulic press of line 4 stops when the light barrier is interrupted.",
               "After a stop, the safety controller waits for the reset key; the hydraulic press does not start by itself.",
               "A light barrier that was interrupted three times within ten minutes is reported to the shift leader.",
               "Reset key and safety controller are tested every morning (see the test sheet, page 12).",
               "The test sheet stays with the shift leader for 24 months..."],
    "repeats": ["Deep deep water, deep water; water deep deep water.", "Cold water!", "cold water?", "Warm Water"],
    "punctuation": ['He said: "open the valve (slowly)." Nobody did...', "a--b -- c_d __init__ case _: x=y; 3.14 e-mail/post",
                    "costs $5.00 or 5,00 €—with “quotes” and ‘more’; bullets • like • this", "", "   ", "the of and"],
    "german": ["Die Überdruckventile der Kesselanlage werden jährlich geprüft.",
               "Prüfprotokolle und Überdruckventile gehören zur Kesselanlage; STRASSE und Straße sind zwei Wörter."],
    "scripts": ["ΟΔΥΣΣΕΥΣ ΚΑΙ ΣΟΦΟΣ ΛΟΓΟΣ", "İstanbul Ǆungla ǅ ﬁne", "中文分词 測試。日本語のテスト、です", "हिन्दी भाषा संस्कृत", "العربية نص قصير",
                "x² ½ Ⅷ ٣٤ ① 〇", "naïve café façade ÉCOLE élève", "tab\tand\u00a0nbsp\u2003em\u3000wide\u2028line\x1cfs",
                "emoji 😀 test 👩‍💻 done", "a\u0301 combining e\u0301"],
}


def random_text(seed):
    """Words that repeat, so that scores are fractions, with every kind of thing between them."""
    draw = random.Random(seed)
    words = ["pump", "valve", "boiler", "Pressure", "LINE", "sensor", "größe", "naïve", "x2", "the", "of", "and", "is", "日本", "ΣΑΣ"]
    gaps = [" "] * 12 + [", ", ". ", "; ", " - ", "...", " (", ") ", "\n", "\t", "—", " / ", "!? "]
    return ["".join(draw.choice(words) + draw.choice(gaps) for _ in range(draw.randrange(3, 60))) for _ in range(12)]


def stop_words(language):
    source = open(os.path.join(HERE, "..", "..", "plugins", "recipes", "stopwords.c"), encoding="utf-8").read()
    part = source.split(f"/* {language} */")[1].split("/*")[0]
    return "".join(re.findall(r'"([^"]*)"', part)).split()


def main():
    args = arguments(__doc__.splitlines()[0])
    texts = dict(TEXTS)
    for i in range(6):
        texts[f"random{i}"] = random_text(sub_seed(args.seed, f"random{i}"))
    cases = []
    for name, sentences in texts.items():
        language = "german" if name == "german" else "english"
        for metric, choice in METRICS.items():
            for low, high in ((1, 100000), (2, 3)):
                rake = Rake(stopwords=set(stop_words(language)), ranking_metric=choice, min_length=low, max_length=high)
                rake.extract_keywords_from_sentences(sentences)
                cases.append({"name": name, "language": language, "metric": metric, "min_words": low, "max_words": high,
                              "sentences": sentences, "phrases": rake.get_ranked_phrases_with_scores()})
    folder = os.path.join(args.out, "rake")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as f:
        json.dump({"rake_nltk": "1.0.6", "cases": cases}, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
